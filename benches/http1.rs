//! What one HTTP/1 request costs in user space: head, path, conditions, answer head, chunks.
//!
//! `cargo bench --bench http1`; under `cargo test --benches` each runs once. Every answer is
//! verified.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

use downpour::http::{
    DateField, HeadTemplate, Known, Method, ResponseHead, SafePath, Selected, Status, Validators,
    conditions,
};
use downpour::proto::h1::{
    BodyReader, Framing, Head, HeadLimits, HeadStorage, ParsedHead, Persistence, parse_head,
    write_template,
};

const WRK: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const CHROME: &[u8] = b"GET /style.css?v=3 HTTP/1.1\r\nHost: www.example.org\r\n\
    Connection: keep-alive\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n\
    Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\r\n";

const CONDITIONAL: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"a\", W/\"b\"\r\n\
    If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";

const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 32 * 1024,
};

fn with_head<R>(input: &[u8], read: impl FnOnce(&Head<'_>) -> R) -> R {
    match parse_head(input, &mut HeadStorage::new(), &LIMITS) {
        ParsedHead::Complete(head) => read(&head),
        other => panic!("{other:?}"),
    }
}

fn template() -> HeadTemplate {
    HeadTemplate::new(
        &ResponseHead::new(Status::OK)
            .with("Content-Type", "text/html; charset=utf-8")
            .with("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
            .with("ETag", "\"17979cfe362a0005-64\"")
            .with("Accept-Ranges", "bytes")
            .with_length(100),
    )
}

fn heads(criterion: &mut Criterion) {
    with_head(WRK, |head| {
        assert_eq!(head.request.method, Method::Get);
        assert_eq!(head.request.path, b"/index.html");
        assert!(head.keep_alive && head.len == WRK.len());
    });
    with_head(CHROME, |head| {
        assert_eq!(head.request.fields.list().len(), 15);
        assert_eq!(head.request.authority, Some(&b"www.example.org"[..]));
        let encodings = head.request.fields.get(Known::AcceptEncoding);
        assert_eq!(encodings, Some(&b"gzip, deflate, br, zstd"[..]));
    });
    for (name, input) in [("parse_head/wrk", WRK), ("parse_head/chrome", CHROME)] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| with_head(black_box(input), |head| black_box(head).len));
        });
    }
    let pipeline = WRK.repeat(16);
    let (head, date) = (template(), DateField::new(784_111_777));
    let mut out = Vec::with_capacity(16 * 1024);
    criterion.bench_function("pipeline/16_heads_and_templates", |bencher| {
        bencher.iter(|| {
            out.clear();
            let mut storage = HeadStorage::new();
            let mut rest = black_box(&pipeline[..]);
            while let ParsedHead::Complete(parsed) = parse_head(rest, &mut storage, &LIMITS) {
                rest = &rest[parsed.len..];
                let persistence = match parsed.keep_alive {
                    true => Persistence::Implied,
                    false => Persistence::Close,
                };
                write_template(&mut out, &head, b"", &date, persistence);
            }
            assert!(rest.is_empty());
            out.len()
        });
    });
    assert_eq!(out.len(), 16 * (head.h1().len() + 37 + 2));
}

fn writer(criterion: &mut Criterion) {
    let (head, date) = (template(), DateField::new(784_111_777));
    let mut out = Vec::with_capacity(4096);
    criterion.bench_function("write_template", |bencher| {
        bencher.iter(|| {
            out.clear();
            write_template(black_box(&mut out), &head, b"", &date, Persistence::Implied);
            out.len()
        });
    });
    assert!(out.starts_with(b"HTTP/1.1 200 OK\r\n") && out.ends_with(b" GMT\r\n\r\n"));
}

fn chunks(criterion: &mut Criterion) {
    let chunk = [b"400\r\n", &[b'x'; 1024][..], b"\r\n"].concat();
    let input = [&chunk.repeat(16)[..], b"0\r\n\r\n"].concat();
    criterion.bench_function("chunks/16_of_1_KiB", |bencher| {
        bencher.iter(|| {
            let mut reader = BodyReader::new(Framing::Chunked).expect("chunked is content");
            let (mut rest, mut data_bytes) = (black_box(&input[..]), 0);
            loop {
                let step = reader.handle_input(rest).expect("the body is valid");
                data_bytes += step.data.len();
                rest = &rest[step.consumed..];
                if step.ended {
                    break;
                }
            }
            assert_eq!((data_bytes, rest.len()), (16 * 1024, 0));
        });
    });
}

fn values(criterion: &mut Criterion) {
    let raw = b"/docs/../a%20b/./style.css";
    let path = SafePath::parse(raw).expect("the path is valid");
    assert_eq!(path.as_bytes(), b"a b/style.css");
    criterion.bench_function("safe_path", |bencher| {
        bencher.iter(|| SafePath::parse(black_box(raw)));
    });

    let validators = Validators::of_file((784_111_777, 0), 100);
    let none = |head: &Head<'_>| conditions::evaluate(&head.request, &validators, 100);
    assert_eq!(with_head(WRK, none), Selected::Full);
    assert_eq!(with_head(CONDITIONAL, none), Selected::Full);
    for (name, input) in [("conditions/none", WRK), ("conditions/two", CONDITIONAL)] {
        with_head(input, |head| {
            criterion.bench_function(name, |bencher| {
                bencher.iter(|| none(black_box(head)));
            });
        });
    }
}

criterion_group!(benches, heads, writer, chunks, values);
criterion_main!(benches);
