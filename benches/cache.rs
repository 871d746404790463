//! What the fast lane of files costs: a hit, a conditional hit, a known miss, an unknown path.
//!
//! `cargo bench --bench cache`; under `cargo test --benches` each runs once. Every answer is
//! verified.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};

use downpour::base::{Millis, Now};
use downpour::cache::{Store, StoreSettings};
use downpour::handler::files::{FileServices, Files, Listings, Loaded, Served, Site, Why};
use downpour::http::{
    Field, Fields, Method, OwnedRequestHead, RequestHead, Status, TargetForm, Version,
};
use downpour::task::{Io, Pool};
use downpour::watch::Watch;

const NOW: Now = Now {
    monotonic: Millis(1_000_000),
    unix_seconds: 1_800_000_000,
};

const FIELDS: &[Field<'_>] = &[
    Field {
        name: "Host",
        value: b"a.example",
    },
    Field {
        name: "Accept",
        value: b"*/*",
    },
];

fn head<'a>(path: &'a [u8], fields: &'a [Field<'a>]) -> RequestHead<'a> {
    RequestHead {
        method: Method::Get,
        version: Version::Http11,
        form: TargetForm::Origin,
        path,
        query: None,
        authority: Some(b"a.example"),
        fields: Fields::new(fields),
    }
}

/// The files of the welcome site, whose loads wait for nothing.
fn files() -> Files {
    let store = Store::new(StoreSettings {
        bytes_max: 1 << 20,
        entry_bytes_max: 1 << 16,
        descriptors_max: 8,
        names_max: 8,
    });
    let services = FileServices {
        store: Arc::new(store),
        watch: Watch::off(),
        pool: Pool::new(1, 1),
        listings: Listings::default(),
    };
    Files::new(Arc::new(Site::welcome("bench")), services)
}

fn load(files: &mut Files, head: &RequestHead<'_>) {
    let mut load = pin!(files.load(
        OwnedRequestHead::new(head),
        Why::default(),
        Io::default(),
        NOW
    ));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Loaded { remember, .. }) = load.as_mut().poll(&mut context) else {
        panic!("the welcome site has no disk to wait for")
    };
    files.remember(remember.expect("it is kept"), NOW);
}

fn status(served: &Served<'_>) -> Option<(Status, usize)> {
    match served {
        Served::Hit { head, body, .. } => Some((head.status(), body.len())),
        Served::Answer { .. } | Served::Slow(_) => None,
    }
}

fn cache(criterion: &mut Criterion) {
    let mut files = files();
    let hello = head(b"/hello.txt", FIELDS);
    let missing = head(b"/favicon.ico", FIELDS);
    let unknown = head(b"/a/path/that/nobody/asked/for", FIELDS);
    load(&mut files, &hello);
    load(&mut files, &missing);

    let etag = match files.serve(&hello, NOW) {
        Served::Hit { head, .. } => {
            let text = std::str::from_utf8(head.h1()).expect("a head is ASCII");
            let line = text.lines().find_map(|line| line.strip_prefix("ETag: "));
            line.expect("it has a tag").as_bytes().to_vec()
        }
        other => panic!("{other:?}"),
    };
    let mut fields = FIELDS.to_vec();
    fields.push(Field {
        name: "If-None-Match",
        value: &etag,
    });
    let conditional = head(b"/hello.txt", &fields);

    let expected = [
        ("cache/hit", hello, Some(Status::OK)),
        (
            "cache/conditional_hit",
            conditional,
            Some(Status::NOT_MODIFIED),
        ),
        ("cache/known_missing", missing, Some(Status::NOT_FOUND)),
        ("cache/index_miss", unknown, None),
    ];
    for (name, head, expected) in expected {
        let served = status(&files.serve(&head, NOW));
        assert_eq!(served.map(|(status, _)| status), expected, "{name}");
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| status(&files.serve(black_box(&head), NOW)));
        });
    }
}

criterion_group!(benches, cache);
criterion_main!(benches);
