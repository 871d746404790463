//! What it costs to choose a representation: codings, languages, media types, ranges.
//!
//! `cargo bench --bench negotiation`; under `cargo test --benches` each runs once. Every answer is
//! verified.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

use downpour::http::range::{self, RangeRequest};
use downpour::http::{AcceptedCodings, Coding, CodingSet, Field, Fields, accept, language};
use downpour::http::{Boundary, Multipart};

const fn field(name: &'static str, value: &'static str) -> Field<'static> {
    Field {
        name,
        value: value.as_bytes(),
    }
}

/// What Chrome sends for a page.
const CHROME: &[Field<'static>] = &[
    field("Host", "www.example.org"),
    field("Connection", "keep-alive"),
    field("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"),
    field(
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,\
         */*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    ),
    field("Accept-Encoding", "gzip, deflate, br, zstd"),
    field("Accept-Language", "en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7"),
];

fn codings(criterion: &mut Criterion) {
    let fields = Fields::new(CHROME);
    let available = CodingSet::of(&[Coding::Identity, Coding::Gzip, Coding::Brotli]);
    let best = |fields: &Fields<'_>| AcceptedCodings::of(fields).best(available);
    assert_eq!(best(&fields), Some(Coding::Brotli));
    criterion.bench_function("accept_encoding/read_and_choose", |bencher| {
        bencher.iter(|| best(black_box(&fields)));
    });
    let accepted = AcceptedCodings::of(&fields);
    criterion.bench_function("accept_encoding/choose", |bencher| {
        bencher.iter(|| black_box(accepted).best(black_box(available)));
    });
    let none = Fields::new(&CHROME[..1]);
    assert_eq!(best(&none), Some(Coding::Identity));
    criterion.bench_function("accept_encoding/absent", |bencher| {
        bencher.iter(|| best(black_box(&none)));
    });
}

fn languages(criterion: &mut Criterion) {
    let fields = Fields::new(CHROME);
    let available = ["de", "en", "fr", "zh-Hant"];
    let found = |fields: &Fields<'_>| language::lookup(fields, &available, 0);
    assert_eq!(found(&fields), Some(1));
    criterion.bench_function("accept_language/lookup", |bencher| {
        bencher.iter(|| found(black_box(&fields)));
    });
}

fn media_types(criterion: &mut Criterion) {
    let fields = Fields::new(CHROME);
    let images = ["image/jpeg", "image/webp", "image/avif"];
    let chosen = |fields: &Fields<'_>| accept::choose(fields, &images);
    assert_eq!(chosen(&fields), Some(1));
    criterion.bench_function("accept/choose_of_3", |bencher| {
        bencher.iter(|| chosen(black_box(&fields)));
    });
}

fn ranges(criterion: &mut Criterion) {
    let length = 100 * 1024 * 1024;
    let single = b"bytes=1048576-1114111";
    match range::parse(single, length) {
        RangeRequest::Single(range) => assert_eq!((range.start(), range.len()), (1 << 20, 65536)),
        other => panic!("{other:?}"),
    }
    criterion.bench_function("range/single", |bencher| {
        bencher.iter(|| {
            matches!(
                range::parse(black_box(single), length),
                RangeRequest::Single(_)
            )
        });
    });
    let list = b"bytes=0-1023,4096-8191,1048576-1114111,-4096";
    let RangeRequest::Several(four) = range::parse(list, length) else {
        panic!("four ranges");
    };
    assert_eq!(
        (four.len(), four.total_bytes()),
        (4, 1024 + 4096 + 65536 + 4096)
    );
    criterion.bench_function("range/4", |bencher| {
        bencher.iter(|| {
            matches!(
                range::parse(black_box(list), length),
                RangeRequest::Several(_)
            )
        });
    });
    criterion.bench_function("multipart/4", |bencher| {
        bencher.iter(|| {
            let multipart = Multipart::new(black_box(&four), "video/mp4", Boundary::new());
            let heads = (0..four.len()).map(|index| multipart.part_head(index).len());
            let frame_bytes = heads.sum::<usize>() + multipart.last().len();
            let content_bytes = multipart.content_length() - four.total_bytes();
            assert_eq!(content_bytes, frame_bytes as u64);
        });
    });
}

criterion_group!(benches, codings, languages, media_types, ranges);
criterion_main!(benches);
