//! What the field blocks of HTTP/2 cost: a request decoded, an answer written.
//!
//! `cargo bench --bench hpack`; under `cargo test --benches` each runs once. Every answer is
//! verified.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

use downpour::base::limits::{HEAD_BYTES_DEFAULT, HPACK_TABLE_BYTES_MAX};
use downpour::http::{DateField, Field, HeadTemplate, ResponseHead, Status};
use downpour::proto::h2::hpack::{Decoder, FieldList, ListedField};

/// What a load generator sends: everything but the pseudo-fields is indexed by the first request.
const SHORT: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "127.0.0.1:8080"),
    (":path", "/index.html"),
    ("user-agent", "h2load nghttp2/1.52.0"),
];

const BROWSER: &[(&str, &str)] = &[
    (":method", "GET"),
    (":authority", "www.example.org"),
    (":scheme", "https"),
    (":path", "/assets/style.css?v=3"),
    (
        "sec-ch-ua",
        "\"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"",
    ),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/130.0.0.0 Safari/537.36",
    ),
    ("accept", "text/css,*/*;q=0.1"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "no-cors"),
    ("sec-fetch-dest", "style"),
    ("referer", "https://www.example.org/"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("priority", "u=0"),
];

/// The block of a peer that indexes every field but the path, in Huffman code.
fn encoded(encoder: &mut httlib_hpack::Encoder<'_>, fields: &[(&str, &str)]) -> Vec<u8> {
    use httlib_hpack::Encoder;
    let strings = Encoder::HUFFMAN_NAME | Encoder::HUFFMAN_VALUE | Encoder::BEST_FORMAT;
    let mut block = Vec::new();
    for (name, value) in fields {
        let is_indexed = *name != ":path" || *value == "/index.html";
        let indexing = if is_indexed {
            Encoder::WITH_INDEXING
        } else {
            0
        };
        let field = (
            name.as_bytes().to_vec(),
            value.as_bytes().to_vec(),
            strings | indexing,
        );
        encoder
            .encode(field, &mut block)
            .expect("the field can be encoded");
    }
    block
}

/// A first block, and the one that the same peer sends for the same request again.
fn two_blocks(fields: &[(&str, &str)]) -> (Vec<u8>, Vec<u8>) {
    let mut encoder = httlib_hpack::Encoder::with_dynamic_size(HPACK_TABLE_BYTES_MAX as u32);
    (encoded(&mut encoder, fields), encoded(&mut encoder, fields))
}

/// Decodes `block` as the benchmarks do, and says what is wrong with the outcome.
fn verify(decoder: &mut Decoder, block: &[u8], expected: &[(&str, &str)]) {
    let mut list = FieldList::new(HEAD_BYTES_DEFAULT);
    decoder
        .decode(block, &mut list)
        .expect("the block is valid");
    assert!(!list.is_overflown() && list.fault().is_none());
    let fields = list.fields().map(|field| (field.name, field.value));
    assert!(
        fields.eq(expected
            .iter()
            .map(|(name, value)| (*name, value.as_bytes())))
    );
}

fn decode(criterion: &mut Criterion) {
    let mut list = FieldList::new(HEAD_BYTES_DEFAULT);
    for (name, fields) in [("short", SHORT), ("browser", BROWSER)] {
        let (first, again) = two_blocks(fields);
        assert!(
            name != "short" || again.len() == fields.len(),
            "all of it is indexed"
        );
        let mut decoder = Decoder::new(HPACK_TABLE_BYTES_MAX);
        verify(&mut decoder, &first, fields);
        verify(&mut decoder, &again, fields);
        criterion.bench_function(&format!("decode/{name}_first"), |bencher| {
            bencher.iter(|| {
                let mut decoder = Decoder::new(HPACK_TABLE_BYTES_MAX);
                list.clear();
                decoder
                    .decode(black_box(&first), &mut list)
                    .map(|()| list.len())
            });
        });
        criterion.bench_function(&format!("decode/{name}_again"), |bencher| {
            bencher.iter(|| {
                list.clear();
                decoder
                    .decode(black_box(&again), &mut list)
                    .map(|()| list.len())
            });
        });
        list.clear();
        decoder
            .decode(&again, &mut list)
            .expect("the block is valid");
        criterion.bench_function(&format!("read/{name}_fields"), |bencher| {
            bencher.iter(|| {
                for ListedField { name, value, .. } in black_box(&list).fields() {
                    black_box(Field { name, value });
                }
            });
        });
    }
}

/// One literal of 107 bytes in Huffman code, and no table.
fn literal(criterion: &mut Criterion) {
    let agent = &BROWSER[7..8];
    let (first, _) = two_blocks(agent);
    let mut list = FieldList::new(HEAD_BYTES_DEFAULT);
    let mut decoder = Decoder::new(0);
    verify(&mut decoder, &first, agent);
    criterion.bench_function("decode/user_agent_literal", |bencher| {
        bencher.iter(|| {
            list.clear();
            decoder
                .decode(black_box(&first), &mut list)
                .map(|()| list.len())
        });
    });
}

fn head() -> ResponseHead {
    ResponseHead::new(Status::OK)
        .with("Server", "downpour")
        .with("Content-Type", "text/html; charset=utf-8")
        .with("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        .with("ETag", "\"17979cfe362a0005-64\"")
        .with("Accept-Ranges", "bytes")
        .with_length(100)
}

fn answers(criterion: &mut Criterion) {
    let (head, mut date) = (head(), DateField::new(784_111_777));
    let template = HeadTemplate::new(&head);
    let expected = [
        (":status", "200"),
        ("server", "downpour"),
        ("content-type", "text/html; charset=utf-8"),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("etag", "\"17979cfe362a0005-64\""),
        ("accept-ranges", "bytes"),
        ("content-length", "100"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    let block = [template.h2(), date.h2()].concat();
    verify(&mut Decoder::new(HPACK_TABLE_BYTES_MAX), &block, &expected);

    let mut out = Vec::with_capacity(4096);
    criterion.bench_function("write/fresh_head", |bencher| {
        bencher.iter(|| {
            out.clear();
            head.render_h2(black_box(&mut out));
            out.len()
        });
    });
    criterion.bench_function("write/new_template", |bencher| {
        bencher.iter(|| HeadTemplate::new(black_box(&head)));
    });
    criterion.bench_function("write/template_and_date", |bencher| {
        bencher.iter(|| {
            out.clear();
            out.extend_from_slice(black_box(template.h2()));
            out.extend_from_slice(date.h2());
            out.len()
        });
    });
    let mut second = 784_111_777;
    criterion.bench_function("write/date_of_a_new_second", |bencher| {
        bencher.iter(|| {
            second += 1;
            date.update(second);
            date.h2().len()
        });
    });
}

criterion_group!(benches, decode, literal, answers);
criterion_main!(benches);
