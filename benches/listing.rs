//! Listings of many files: sorted, and written in pieces as HTML and JSON.
//!
//! `cargo bench --bench listing`; under `cargo test --benches` each runs once. The answer is
//! verified before it is measured.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use downpour::base::limits::LISTING_PIECE_BYTES;
use downpour::listing::{
    Entries, EntriesBuilder, Entry, EntryKind, Format, Order, OrderBy, PageFacts, Renderer,
};

const ENTRIES: usize = 10_000;

/// Files in no order, as a file system gives them.
fn gathered() -> EntriesBuilder {
    let mut builder = EntriesBuilder::new();
    for step in 0..ENTRIES {
        let number = step * 7919 % ENTRIES;
        builder.push(Entry {
            name: format!("a-file-with-a-usual-name-{number}.jpeg").as_bytes(),
            kind: EntryKind::File,
            len: number as u64 * 1000,
            modified_unix: 1_764_044_609 + step as i64,
            modified_ns: 0,
        });
    }
    builder
}

/// The bytes of a listing, all pieces together.
fn write(entries: &Arc<Entries>, order: Order, format: Format) -> usize {
    let page = PageFacts {
        path: b"photos".to_vec(),
        ends_in_slash: true,
    };
    let mut renderer = Renderer::new(Arc::clone(entries), order, format, page);
    let mut bytes = 0;
    while let Some(piece) = renderer.next_piece(LISTING_PIECE_BYTES) {
        bytes += black_box(piece).len();
    }
    bytes
}

fn listings(criterion: &mut Criterion) {
    let entries = Arc::new(gathered().finish());
    assert_eq!(entries.len(), ENTRIES);
    assert!(entries.get(9_999).name.ends_with(b"-9999.jpeg"));
    let by_name = Order::default();
    let by_size = Order {
        by: OrderBy::Size,
        descending: true,
    };
    let bytes = write(&entries, by_name, Format::Json);
    assert!(bytes > 100 * ENTRIES && bytes == write(&entries, by_size, Format::Json));

    let mut group = criterion.benchmark_group("listing of 10,000 files");
    group.sample_size(20);
    group.bench_function("sort by name", |bencher| {
        let finish = |builder: EntriesBuilder| builder.finish();
        bencher.iter_batched(gathered, finish, BatchSize::LargeInput);
    });
    for (name, order, format) in [
        ("HTML", by_name, Format::Html),
        ("HTML by size", by_size, Format::Html),
        ("JSON", by_name, Format::Json),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| write(&entries, order, format));
        });
    }
    group.finish();
}

criterion_group!(benches, listings);
criterion_main!(benches);
