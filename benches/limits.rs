//! What a limit costs: a request that is allowed, one that is refused, a key that is new to a full
//! table, and the key and fields besides.
//!
//! `cargo bench --bench limits`; under `cargo test --benches` each runs once. Every answer is
//! verified.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};

use downpour::access::address::{AddressList, network_key};
use downpour::access::limit::{Asker, LimitRule};
use downpour::access::limit_table::LimitTable;
use downpour::http::Fields;

const SECOND: u64 = 1_000_000_000;

fn rule(text: &str) -> LimitRule {
    LimitRule::parse(text).expect("the rule is right")
}

fn address(number: u32) -> [u8; 16] {
    network_key(IpAddr::V4(Ipv4Addr::from(number)))
}

fn takes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit");
    let (table, wide) = (LimitTable::new(64 << 20), rule("1000000/s").quota);
    let (mut now, key) = (SECOND, address(1));
    group.bench_function("allowed", |bencher| {
        bencher.iter(|| {
            now += 1000; // As fast as it is filled again.
            assert!(table.take(1, black_box(&key), &wide, now).allowed);
        });
    });
    let narrow = rule("1/h burst=1").quota;
    table.take(2, &key, &narrow, now);
    group.bench_function("refused", |bencher| {
        bencher.iter(|| assert!(!table.take(2, black_box(&key), &narrow, now).allowed));
    });
    let small = LimitTable::new(1 << 20);
    let mut number = 0;
    group.bench_function("a new key, all others active", |bencher| {
        bencher.iter(|| {
            number += 1;
            assert!(
                small
                    .take(1, &address(black_box(number)), &narrow, now)
                    .allowed
            );
        });
    });
    group.finish();
}

fn around(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit");
    let limit = rule("/api/** 100/m by=address+path");
    let fields = Fields::new(&[]);
    let asker = Asker {
        network: address(1),
        user: None,
        path: b"/api/notes/1",
        fields: &fields,
    };
    let mut out = Vec::with_capacity(256);
    group.bench_function("key", |bencher| {
        bencher.iter(|| {
            out.clear();
            limit.push_key(black_box(&asker), &mut out);
            assert_eq!(out.len(), 48);
        });
    });
    let (_, taken) = limit.quota.take(0, SECOND);
    group.bench_function("fields", |bencher| {
        bencher.iter(|| {
            out.clear();
            limit.push_policy(&mut out);
            limit.push_state(black_box(&taken), &mut out);
            assert_eq!(out.len(), 38);
        });
    });
    let list = AddressList::parse("private").expect("the list is right");
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    group.bench_function("address in a list", |bencher| {
        bencher.iter(|| assert!(!list.contains(black_box(stranger))));
    });
    group.finish();
}

criterion_group!(benches, takes, around);
criterion_main!(benches);
