//! What it costs to tell of a request: its entry, its counters, and its line in both formats.
//!
//! `cargo bench --bench record`; under `cargo test --benches` each runs once. Every result is
//! verified.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

use downpour::base::limits::ACCESS_RING_BYTES;
use downpour::http::{Method, Version};
use downpour::record::{
    AllCounters, CacheState, Entry, Format, Formatter, RequestId, RequestIds, channel,
};

/// Entries of one round; they fit the ring.
const ROUND: usize = 1000;

/// What a browser sends.
fn entry(id: RequestId) -> Entry<'static> {
    Entry {
        unix_ms: 1_800_000_000_123,
        address: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 195))),
        user: Some("anna"),
        method: Method::Get,
        target: b"/assets/css/main-3f2a91c0.css",
        query: None,
        version: Version::Http11,
        is_secure: true,
        host: Some(b"www.a.example"),
        status: 200,
        bytes: 10_240,
        micros: 87,
        id,
        cache: CacheState::Hit,
        referer: Some(b"https://www.a.example/articles/2026/what-is-new"),
        user_agent: Some(
            b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
              Chrome/143.0.0.0 Safari/537.36",
        ),
    }
}

fn recording(criterion: &mut Criterion, entry: &Entry<'_>) {
    criterion.bench_function("record/1000_entries", |bencher| {
        bencher.iter_batched(
            || channel(ACCESS_RING_BYTES, Arc::default()),
            |(mut recorder, reader)| {
                for _ in 0..ROUND {
                    recorder.record(black_box(entry));
                }
                (recorder, reader)
            },
            BatchSize::PerIteration,
        );
    });
    let (mut recorder, mut reader) = channel(ACCESS_RING_BYTES, Arc::default());
    criterion.bench_function("record/entry_there_and_back", |bencher| {
        bencher.iter(|| {
            recorder.record(black_box(entry));
            let read = reader.next_entry().expect("it was recorded");
            assert_eq!(black_box(read).unix_ms, entry.unix_ms);
        });
    });
    (0..ROUND).for_each(|_| recorder.record(entry));
    let mut read = 0;
    while let Some(again) = reader.next_entry() {
        assert_eq!(again, *entry);
        read += 1;
    }
    assert_eq!((read, reader.dropped()), (ROUND, 0));
}

fn counting(criterion: &mut Criterion, entry: &Entry<'_>) {
    let mut all = AllCounters::default();
    let counters = all.add();
    criterion.bench_function("record/count", |bencher| {
        bencher.iter(|| counters.on_request(&black_box(entry).answered()));
    });
    let totals = all.sum();
    assert!(totals.requests() > 0);
    assert_eq!(totals.sent_bytes(), totals.requests() * entry.bytes);
}

fn formatting(criterion: &mut Criterion, entry: &Entry<'_>) {
    let hostile = Entry {
        user_agent: Some("Mäuse \"\\\r\n\u{1b}[2J".as_bytes()),
        ..*entry
    };
    for (name, format, entry) in [
        ("record/combined", Format::Combined, entry),
        ("record/json", Format::Json, entry),
        ("record/json_with_escapes", Format::Json, &hostile),
    ] {
        let mut formatter = Formatter::new(format);
        let mut line = Vec::new();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                line.clear();
                formatter.push_line(black_box(entry), &mut line);
            });
        });
        let text = std::str::from_utf8(&line).expect("a line is UTF-8");
        assert!(text.contains("203.0.113.195") && text.contains("main-3f2a91c0.css"));
        assert!(text.find('\n') == Some(text.len() - 1));
    }
}

fn record(criterion: &mut Criterion) {
    let mut ids = RequestIds::random();
    criterion.bench_function("record/make_id", |bencher| bencher.iter(|| ids.make()));
    let id = ids.make();
    assert!(id.as_bytes().len() == 16 && id != ids.make());
    let entry = entry(id);
    recording(criterion, &entry);
    counting(criterion, &entry);
    formatting(criterion, &entry);
}

criterion_group!(benches, record);
criterion_main!(benches);
