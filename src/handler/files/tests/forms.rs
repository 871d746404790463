//! The representations of one file: sidecars, forms that are made on the fly, languages, media.

use std::fs::{self, FileTimes};
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::{Bench, Lane, SETTINGS, Seen, plain_settings};
use crate::base::limits::FRESH_FOR;
use crate::cache::StoreSettings;
use crate::handler::files::Site;
use crate::http::{Method, Status};
use crate::route::site::{Representations, SiteSettings};
use crate::task::Urgency;
use crate::watch::Watch;

const BIG: StoreSettings = StoreSettings {
    entry_bytes_max: 256 * 1024,
    ..SETTINGS
};

fn bench(change: impl FnOnce(&mut Representations)) -> Bench {
    let open = |root: &Path| {
        let mut settings: SiteSettings = plain_settings(root);
        change(&mut settings.representations);
        Site::open(0, settings, &Watch::off()).unwrap()
    };
    Bench::new(open, BIG)
}

fn ask(bench: &mut Bench, target: &str, name: &str, value: &str) -> Seen {
    bench.request(Method::Get, target, &[(name, value)])
}

/// Sets the time of a file's last change, so many seconds after a fixed moment.
fn date(bench: &Bench, name: &str, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
    let file = fs::File::options()
        .write(true)
        .open(bench.directory.path().join(name));
    file.unwrap()
        .set_times(FileTimes::new().set_modified(time))
        .unwrap();
}

fn text() -> String {
    (0..400)
        .map(|n| format!("line {n} of a page of text\n"))
        .collect()
}

#[test]
fn sidecars_are_sent_to_who_accepts_them_unless_they_are_older() {
    let mut bench = bench(|forms| forms.sidecars = true);
    for (name, content, seconds) in [
        ("a.css", "plain", 0),
        ("a.css.br", "brotli", 0),
        ("a.css.gz", "gzip", 5),
        ("a.css.zst", "stale", 0),
    ] {
        bench.write(name, content);
        date(&bench, name, seconds);
    }
    date(&bench, "a.css", 0);
    date(&bench, "a.css.zst", 0);
    let file = fs::File::options()
        .write(true)
        .open(bench.directory.path().join("a.css.zst"))
        .unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    file.set_times(FileTimes::new().set_modified(long_ago))
        .unwrap();
    let rows = [
        ("br, gzip", "brotli", Some("br")),
        ("gzip", "gzip", Some("gzip")),
        ("zstd", "plain", None),
        ("zstd, gzip;q=0.1", "gzip", Some("gzip")),
        ("identity", "plain", None),
        ("br;q=0, *", "gzip", Some("gzip")),
        ("", "plain", None),
    ];
    let mut tags = Vec::new();
    for round in 0..2 {
        for (value, body, coding) in rows {
            let seen = ask(&mut bench, "/a.css", "Accept-Encoding", value);
            let lane = if round == 0 && value == rows[0].0 {
                Lane::Slow
            } else {
                Lane::Fast
            };
            seen.is(Status::OK, body.as_bytes(), lane);
            assert_eq!(seen.field("Content-Encoding"), coding, "{value}");
            assert_eq!(seen.field("Vary"), Some("Accept-Encoding"));
            assert_eq!(seen.field("Content-Type"), Some("text/css; charset=utf-8"));
            tags.push(seen.field("ETag").unwrap().to_owned());
        }
    }
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 3, "one strong tag for each form: {tags:?}");
    let plain = bench.get("/a.css");
    assert_eq!(
        plain.field("Vary"),
        Some("Accept-Encoding"),
        "this one varies, too"
    );
    let tag = plain.field("ETag").unwrap().to_owned();
    let fields = [("Accept-Encoding", "br"), ("If-None-Match", &*tag)];
    let other = bench.request(Method::Get, "/a.css", &fields);
    other.is(Status::OK, b"brotli", Lane::Fast);
    let fields = [("If-None-Match", &*tag)];
    let same = bench.request(Method::Get, "/a.css", &fields);
    same.is(Status::NOT_MODIFIED, b"", Lane::Fast);
    assert_eq!(same.field("Vary"), Some("Accept-Encoding"));
    // A range of the coded form (RFC 9110 §14.2).
    let fields = [("Accept-Encoding", "br"), ("Range", "bytes=1-3")];
    let part = bench.request(Method::Get, "/a.css", &fields);
    part.is(Status::PARTIAL_CONTENT, b"rot", Lane::Fast);
    assert_eq!(part.field("Content-Encoding"), Some("br"));
    assert_eq!(part.field("Content-Range"), Some("bytes 1-3/6"));
    // It appears and vanishes.
    fs::remove_file(bench.directory.path().join("a.css.br")).unwrap();
    bench.advance(FRESH_FOR);
    ask(&mut bench, "/a.css", "Accept-Encoding", "br").is(Status::OK, b"plain", Lane::Slow);
    // A sidecar asked for by its own name is a file like others.
    bench.get("/a.css.gz").is(Status::OK, b"gzip", Lane::Slow);
}

#[test]
fn what_is_compressed_already_has_no_sidecars_and_varies_by_nothing() {
    let mut bench = bench(|forms| {
        forms.sidecars = true;
        forms.compress = true;
    });
    bench.write("a.png", text());
    bench.write("a.png.br", "brotli");
    bench.write("short.css", "x".repeat(200));
    for name in ["/a.png", "/short.css"] {
        let seen = ask(&mut bench, name, "Accept-Encoding", "br");
        assert_eq!(seen.field("Content-Encoding"), None);
        assert_eq!(seen.field("Vary"), None);
    }
}

/// Asks until the answer is coded.
fn coded(bench: &mut Bench, target: &str, accepts: &str) -> Seen {
    for _ in 0..200 {
        let seen = ask(bench, target, "Accept-Encoding", accepts);
        assert_eq!(seen.status, Status::OK);
        if seen.field("Content-Encoding").is_some() {
            return seen;
        }
    }
    panic!("it is never coded");
}

#[test]
fn a_form_is_made_once_while_the_answer_goes_out_as_it_is() {
    let mut bench = bench(|forms| forms.compress = true);
    let text = text();
    bench.write("a.html", &text);
    let first = ask(&mut bench, "/a.html", "Accept-Encoding", "gzip");
    first.is(Status::OK, text.as_bytes(), Lane::Slow);
    assert_eq!(first.field("Vary"), Some("Accept-Encoding"));
    let seen = coded(&mut bench, "/a.html", "gzip");
    assert_eq!(seen.field("Content-Encoding"), Some("gzip"));
    assert!(seen.body.len() * 3 < text.len());
    assert_eq!(seen.body[..2], [0x1f, 0x8b]);
    let again = ask(&mut bench, "/a.html", "Accept-Encoding", "gzip");
    again.is(Status::OK, &seen.body, Lane::Fast);
    // Who accepts nothing gets what the file holds, and another tag.
    let plain = bench.get("/a.html");
    plain.is(Status::OK, text.as_bytes(), Lane::Fast);
    assert_ne!(plain.field("ETag"), seen.field("ETag"));
    assert_eq!(plain.field("Last-Modified"), seen.field("Last-Modified"));
    // A new state of the file has a new form.
    bench.write("a.html", format!("{text}more"));
    bench.advance(FRESH_FOR);
    let newer = coded(&mut bench, "/a.html", "gzip");
    assert_ne!(newer.body, seen.body);
}

#[test]
fn each_coding_is_made_once_in_whatever_order_they_are_asked_for() {
    let mut bench = bench(|forms| forms.compress = true);
    bench.write("a.html", text());
    let all = ["br", "gzip", "zstd"];
    for _ in 0..3 {
        for coding in all {
            ask(&mut bench, "/a.html", "Accept-Encoding", coding);
        }
    }
    let asked = |bench: &mut Bench| {
        all.map(|coding| {
            let seen = ask(bench, "/a.html", "Accept-Encoding", coding);
            assert_eq!(seen.field("Content-Encoding"), Some(coding));
            assert_eq!(seen.lane, Lane::Fast, "nothing is left to be done");
            seen.body
        })
    };
    let bodies = asked(&mut bench);
    assert_eq!(asked(&mut bench), bodies);
    // They outlive a comparison that finds the file unchanged.
    bench.advance(FRESH_FOR);
    let seen = ask(&mut bench, "/a.html", "Accept-Encoding", "zstd");
    assert_eq!(seen.lane, Lane::Slow);
    assert_eq!(asked(&mut bench), bodies);
}

#[test]
fn what_was_refused_for_too_much_work_is_made_for_who_asks_next() {
    let mut bench = bench(|forms| forms.compress = true);
    bench.write("a.html", text());
    let (let_go, held) = channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let pool = bench.files.services.pool.clone();
    // More than are taken: the pool is full.
    for _ in 0..1_000 {
        let held = Arc::clone(&held);
        let job = move || {
            let _ = held.lock().unwrap().recv();
        };
        let _ = pool.run(Urgency::Soon, job);
    }
    for _ in 0..2 {
        let seen = ask(&mut bench, "/a.html", "Accept-Encoding", "gzip");
        assert_eq!(seen.field("Content-Encoding"), None);
    }
    drop(let_go);
    // The next one that is taken is the last of all.
    let (done, all_done) = channel();
    let is_taken = || {
        let done = done.clone();
        pool.run(Urgency::Soon, move || done.send(()).unwrap())
            .is_ok()
    };
    while !is_taken() {}
    all_done.recv().unwrap();
    coded(&mut bench, "/a.html", "gzip");
}

#[test]
fn who_refuses_the_file_as_it_is_waits_for_a_form() {
    let mut bench = bench(|forms| {
        forms.compress = true;
        forms.refuses_unacceptable = true;
    });
    bench.write("a.html", text());
    bench.write("a.bin", "bytes");
    let seen = ask(
        &mut bench,
        "/a.html",
        "Accept-Encoding",
        "gzip, identity;q=0",
    );
    assert_eq!(
        (seen.status, seen.field("Content-Encoding")),
        (Status::OK, Some("gzip"))
    );
    for accepts in ["identity;q=0", "*;q=0"] {
        let seen = ask(&mut bench, "/a.bin", "Accept-Encoding", accepts);
        assert_eq!(seen.status, Status::OK, "it does not vary: {accepts}");
    }
    let seen = ask(&mut bench, "/a.html", "Accept-Encoding", "*;q=0");
    assert_eq!(seen.status, Status::NOT_ACCEPTABLE);
}

#[test]
fn languages_by_three_kinds_of_names() {
    let mut bench = bench(|forms| {
        forms.languages = ["en", "de", "fr", "it"].map(str::to_owned).to_vec();
        forms.sidecars = true;
    });
    bench.write("page.html", "english");
    bench.write("page.de.html", "deutsch");
    bench.write("page.html.fr", "français");
    bench.write("it/page.html", "italiano");
    bench.write("only.de.html", "nur deutsch");
    bench.write("plain.html", "plain");
    for _ in 0..2 {
        for (accepts, body, language) in [
            ("de", "deutsch", "de"),
            ("de-AT, en;q=0.5", "deutsch", "de"),
            ("fr;q=0.9, en;q=0.8", "français", "fr"),
            ("it", "italiano", "it"),
            ("en", "english", "en"),
            ("ja", "english", "en"),
            ("", "english", "en"),
        ] {
            let seen = ask(&mut bench, "/page.html", "Accept-Language", accepts);
            assert_eq!(
                (seen.status, &*seen.body),
                (Status::OK, body.as_bytes()),
                "{accepts}"
            );
            assert_eq!(seen.field("Content-Language"), Some(language));
            assert_eq!(seen.field("Vary"), Some("Accept-Language"));
            assert_eq!(seen.field("Content-Type"), Some("text/html; charset=utf-8"));
        }
        let only = ask(&mut bench, "/only.html", "Accept-Language", "fr");
        assert_eq!(
            (&*only.body, only.field("Content-Language")),
            (&b"nur deutsch"[..], Some("de"))
        );
        let plain = bench.get("/plain.html");
        assert_eq!(
            (plain.field("Content-Language"), plain.field("Vary")),
            (None, None)
        );
        let by_name = bench.get("/page.de.html");
        assert_eq!(by_name.field("Content-Language"), Some("de"));
        assert_eq!(by_name.field("Vary"), None);
    }
    // A further language appears.
    bench.write("plain.de.html", "auch deutsch");
    bench.advance(FRESH_FOR);
    let seen = ask(&mut bench, "/plain.html", "Accept-Language", "de");
    seen.is(Status::OK, "auch deutsch".as_bytes(), Lane::Slow);
}

#[test]
fn languages_and_codings_together() {
    let mut bench = bench(|forms| {
        forms.languages = ["en", "de"].map(str::to_owned).to_vec();
        forms.sidecars = true;
    });
    bench.write("page.html", "english");
    bench.write("page.de.html", "deutsch");
    bench.write("page.de.html.br", "kurz");
    let fields = [("Accept-Language", "de"), ("Accept-Encoding", "br")];
    let seen = bench.request(Method::Get, "/page.html", &fields);
    seen.is(Status::OK, b"kurz", Lane::Slow);
    assert_eq!(seen.field("Content-Language"), Some("de"));
    assert_eq!(seen.field("Vary"), Some("Accept-Encoding, Accept-Language"));
    let fields = [("Accept-Language", "en"), ("Accept-Encoding", "br")];
    let seen = bench.request(Method::Get, "/page.html", &fields);
    seen.is(Status::OK, b"english", Lane::Fast);
}

#[test]
fn other_media_types_beside_images_and_pages() {
    let mut bench = bench(|forms| forms.media_variants = true);
    for (name, content) in [
        ("a.jpg", "jpeg"),
        ("a.webp", "webp"),
        ("a.avif", "avif"),
        ("page.html", "<p>page"),
        ("page.md", "# page"),
        ("b.png", "png"),
    ] {
        bench.write(name, content);
    }
    let browser = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5";
    for _ in 0..2 {
        for (target, accepts, body, media) in [
            ("/a.jpg", browser, "avif", "image/avif"),
            ("/a.jpg", "image/webp,*/*;q=0.5", "webp", "image/webp"),
            ("/a.jpg", "*/*", "jpeg", "image/jpeg"),
            (
                "/page.html",
                "text/markdown",
                "# page",
                "text/markdown; charset=utf-8",
            ),
            (
                "/page.html",
                "text/html,*/*;q=0.8",
                "<p>page",
                "text/html; charset=utf-8",
            ),
        ] {
            let seen = ask(&mut bench, target, "Accept", accepts);
            assert_eq!(
                (seen.status, &*seen.body),
                (Status::OK, body.as_bytes()),
                "{accepts}"
            );
            assert_eq!(seen.field("Content-Type"), Some(media));
            assert_eq!(seen.field("Vary"), Some("Accept"));
        }
        assert_eq!(bench.get("/b.png").field("Vary"), None);
        bench.get("/a.jpg");
    }
    let refused = ask(&mut bench, "/a.jpg", "Accept", "text/plain");
    refused.is(Status::OK, b"jpeg", Lane::Fast);
}
