//! Representations of one resource: codings from beside the file and made on the way, languages,
//! media types, and ranges of each of them, over both protocols (RFC 9110 §12, §14).

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::client::Answer;
use crate::rig::{Engine, Server, Site, eventually, pattern};
use crate::sites::ask;

/// A file must hold still for so long before forms of it are made.
const SETTLES: Duration = Duration::from_millis(2_200);

/// Asks with one field.
#[track_caller]
fn accept(server: &Server, path: &str, name: &str, value: &str) -> Answer {
    match value {
        "" => ask(server, "GET", path, &[]),
        _ => ask(server, "GET", path, &[(name, value)]),
    }
}

/// A file on each tier, with three sidecars: what is sent follows the weights (§12.5.3).
pub(crate) fn sidecars_by_accept_encoding(engine: Engine) {
    let site = Site::new();
    let sizes = [("small", 3_000), ("large", 300_000)];
    let body = |len: usize, coding: &str| pattern(len, 1 + coding.len() as u64);
    let file_of = |name: &str, coding: &str| match coding {
        "" => format!("{name}.html"),
        "gzip" => format!("{name}.html.gz"),
        "zstd" => format!("{name}.html.zst"),
        other => format!("{name}.html.{other}"),
    };
    // Lengths of their own, so that each is known by its content.
    let codings = ["", "br", "zstd", "gzip"];
    let len_of = |len: usize, coding: &str| {
        let place = codings.iter().position(|known| *known == coding);
        len - 100 * place.unwrap()
    };
    for (name, len) in sizes {
        for coding in codings {
            let bytes = body(len_of(len, coding), coding);
            site.write(&file_of(name, coding), bytes);
        }
    }
    let server = Server::of(engine, &site, &[]);
    let rows = [
        ("", ""),
        ("identity", ""),
        ("br", "br"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("zstd", "zstd"),
        ("br, gzip", "br"),
        ("br;q=0.5, gzip;q=1.0", "gzip"),
        ("gzip;q=0, zstd;q=0, br;q=0", ""),
        ("br;q=0, zstd;q=0, *", "gzip"),
        ("gzip, identity;q=0", "gzip"),
        ("gzip;q=0.2, identity;q=0.9", ""),
        ("deflate", ""),
        ("gzip;q=0.001", "gzip"),
    ];
    for (name, len) in sizes {
        let path = format!("/{name}.html");
        let mut tags = std::collections::BTreeMap::new();
        for (value, coding) in rows.iter().chain(&rows) {
            let answer = accept(&server, &path, "accept-encoding", value);
            let what = format!("{path} {value}");
            assert_eq!(answer.status, 200, "{what}");
            let coded = Some(*coding).filter(|coding| !coding.is_empty());
            assert_eq!(answer.field("content-encoding"), coded, "{what}");
            answer.assert_body(&body(len_of(len, coding), coding));
            assert_eq!(answer.field("vary"), Some("Accept-Encoding"), "{what}");
            let media = answer.field("content-type").unwrap();
            assert!(media.starts_with("text/html"), "{what}: {media}");
            let tag = answer.field("etag").unwrap().to_owned();
            assert!(tag.starts_with('"'), "{what}: strong: {tag}");
            let known = tags.entry(*coding).or_insert_with(|| tag.clone());
            assert_eq!(*known, tag, "{what}");
            let again = [("accept-encoding", *value), ("if-none-match", &tag)];
            let again = ask(&server, "GET", &path, &again);
            assert_eq!(again.status, 304, "{what}");
            assert_eq!(again.field("etag"), Some(&*tag), "{what}");
            assert_eq!(again.field("vary"), Some("Accept-Encoding"), "{what}");
            let head = ask(&server, "HEAD", &path, &[("accept-encoding", value)]);
            assert_eq!(head.fields_but_date(), answer.fields_but_date(), "{what}");
        }
        let distinct: std::collections::BTreeSet<_> = tags.values().collect();
        assert_eq!(distinct.len(), 4, "a tag for each: {tags:?}");
        // Another representation's tag stands for nothing here.
        let fields = [("accept-encoding", "gzip"), ("if-none-match", &tags["br"])];
        assert_eq!(ask(&server, "GET", &path, &fields).status, 200, "{path}");
    }
}

/// A sidecar that is older than its file is of another state of it: told once, sent never.
pub(crate) fn a_stale_sidecar_is_not_sent(engine: Engine) {
    let site = Site::of(&[("a.css", b"new"), ("a.css.gz", b"old"), ("b.css.gz", b"x")]);
    let long_ago = SystemTime::now() - Duration::from_secs(1_000);
    let sidecar = std::fs::File::options()
        .write(true)
        .open(site.path("a.css.gz"));
    sidecar.unwrap().set_modified(long_ago).unwrap();
    let server = Server::of(engine, &site, &[]);
    for _ in 0..3 {
        let answer = accept(&server, "/a.css", "accept-encoding", "gzip");
        answer.assert_body(b"new");
        assert_eq!(answer.field("content-encoding"), None);
        // Without its file, a sidecar is a file like others.
        let lonely = accept(&server, "/b.css", "accept-encoding", "gzip");
        assert_eq!(lonely.status, 404);
    }
    let log = server.log();
    let told = log.iter().filter(|line| line.contains("a.css.gz")).count();
    assert_eq!(told, 1, "{log:?}");
    // Asked for by its own name, it is what it is.
    let own = accept(&server, "/a.css.gz", "accept-encoding", "gzip");
    own.assert_body(b"old");
    assert_eq!(own.field("content-encoding"), None);
}

/// Decodes with the program of its makers.
fn decode(program: &str, coded: &[u8]) -> Vec<u8> {
    let scratch = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(scratch.path(), coded).unwrap();
    let input = Stdio::from(std::fs::File::open(scratch.path()).unwrap());
    let output = Command::new(program).arg("-dc").stdin(input).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {output:?}");
    output.stdout
}

/// What is made of a file decodes to the file, has a tag of its own, and parts of it are parts of
/// the coded form (§14.2); what cannot gain is left alone.
pub(crate) fn made_forms_are_the_file(engine: Engine) {
    let line = |n: usize| format!("<p>line {n} of a page that says much the same</p>\n");
    let text: String = (0..400).map(line).collect();
    let long: String = (0..4_000).map(line).collect();
    let site = Site::of(&[
        ("page.html", text.as_bytes()),
        ("long.css", long.as_bytes()),
    ]);
    site.write("photo.jpg", &text);
    site.write("tiny.txt", [b'a'; 255]);
    sleep(SETTLES);
    let server = Server::of(engine, &site, &[]);
    for (path, content) in [("/page.html", &text), ("/long.css", &long)] {
        let plain = accept(&server, path, "accept-encoding", "identity");
        plain.assert_body(content.as_bytes());
        for (coding, program) in [("gzip", "gzip"), ("br", "brotli"), ("zstd", "zstd")] {
            let fields = format!("Accept-Encoding: {coding}\r\n");
            let mut client = server.connect();
            eventually("a coded answer", || {
                let answer = client.get_with(path, &fields);
                let is_coded = answer.field("content-encoding") == Some(coding);
                assert!(is_coded || answer.body == content.as_bytes());
                is_coded
            });
            // A better form may still be made, and then this one is gone.
            let mut coded = accept(&server, path, "accept-encoding", coding);
            eventually("the last form", || {
                sleep(Duration::from_millis(400));
                let before = std::mem::replace(&mut coded, client.get_with(path, &fields));
                before == coded || before.field("etag") == coded.field("etag")
            });
            assert!(decode(program, &coded.body) == content.as_bytes(), "{path}");
            assert!(coded.body.len() * 4 < content.len(), "{path} {coding}");
            assert_ne!(coded.field("etag"), plain.field("etag"), "{path} {coding}");
            assert_eq!(coded.field("vary"), Some("Accept-Encoding"));
            parts_of(&server, path, coding, &coded);
        }
    }
    for path in ["/photo.jpg", "/tiny.txt"] {
        for _ in 0..3 {
            let answer = accept(&server, path, "accept-encoding", "br, gzip, zstd");
            assert_eq!(answer.field("content-encoding"), None, "{path}");
            assert_eq!(answer.field("vary"), None, "{path}");
            sleep(Duration::from_millis(100));
        }
    }
}

/// Parts of a coded form, one and several, over both protocols.
#[track_caller]
fn parts_of(server: &Server, path: &str, coding: &str, whole: &Answer) {
    let tag = whole.field("etag").unwrap();
    let fields = [
        ("accept-encoding", coding),
        ("range", "bytes=10-29"),
        ("if-range", tag),
    ];
    let one = ask(server, "GET", path, &fields);
    assert_eq!(one.status, 206, "{path} {coding}");
    let len = whole.body.len();
    assert_eq!(
        one.field("content-range"),
        Some(&*format!("bytes 10-29/{len}"))
    );
    assert_eq!(one.field("content-encoding"), Some(coding));
    assert_eq!(one.field("etag"), Some(tag));
    one.assert_body(&whole.body[10..30]);
    let fields = [
        ("accept-encoding", coding),
        ("range", "bytes=0-4, 100-149, -7"),
    ];
    let several = ask(server, "GET", path, &fields);
    assert_eq!(several.status, 206, "{path} {coding}");
    assert_eq!(several.field("content-encoding"), Some(coding));
    assert_eq!(several.field("content-range"), None, "§15.3.7.2");
    let media = several.field("content-type").unwrap();
    let boundary = media.strip_prefix("multipart/byteranges; boundary=");
    let parts = parts(&several.body, boundary.unwrap());
    let expected = [(0, 5), (100, 150), (len - 7, len)];
    assert_eq!(parts.len(), expected.len(), "{path} {coding}");
    for ((head, body), (start, end)) in parts.iter().zip(expected) {
        let range = format!("Content-Range: bytes {start}-{}/{len}", end - 1);
        assert!(head.contains(&range), "{head}");
        assert!(*body == &whole.body[start..end], "{path} {coding} {range}");
    }
    // An older form's tag: the whole (§13.1.5).
    let fields = [
        ("accept-encoding", coding),
        ("range", "bytes=10-29"),
        ("if-range", "\"x\""),
    ];
    assert_eq!(ask(server, "GET", path, &fields).status, 200);
}

/// The heads and bodies of a body of several parts (RFC 2046 §5.1.1).
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<(&'a str, &'a [u8])> {
    let mut rest = body.strip_prefix(format!("--{boundary}\r\n").as_bytes());
    let delimiter = format!("\r\n--{boundary}");
    let find = |bytes: &[u8], wanted: &[u8]| {
        let mut windows = bytes.windows(wanted.len());
        windows.position(|window| window == wanted).unwrap()
    };
    let mut parts = Vec::new();
    while let Some(part) = rest {
        let head = find(part, b"\r\n\r\n");
        let content = &part[head + 4..];
        let end = find(content, delimiter.as_bytes());
        let text = std::str::from_utf8(&part[..head]).unwrap();
        parts.push((text, &content[..end]));
        let behind = &content[end + delimiter.len()..];
        rest = behind.strip_prefix(b"\r\n");
        assert!(rest.is_some() || behind == b"--\r\n", "the last line");
    }
    parts
}

pub(crate) fn languages_by_accept_language(engine: Engine) {
    let site = Site::of(&[
        ("page.html", b"english"),
        ("page.de.html", b"deutsch"),
        ("pt-br/page.html", b"brasileiro"),
        ("only.html.de", b"nur deutsch"),
        ("plain.txt", b"plain"),
    ]);
    let flags = ["--language=en", "--language=de", "--language=pt-BR"];
    let server = Server::of(engine, &site, &flags);
    let rows = [
        ("/page.html", "", "english", "en"),
        ("/page.html", "fr", "english", "en"),
        ("/page.html", "de-AT", "deutsch", "de"),
        ("/page.html", "de;q=0.4, en;q=0.6", "english", "en"),
        ("/page.html", "PT-br, en;q=0.5", "brasileiro", "pt-BR"),
        ("/page.html", "en;q=0, de", "deutsch", "de"),
        ("/page.html", "fr, de;q=0.1", "deutsch", "de"),
        ("/only.html", "en", "nur deutsch", "de"),
    ];
    for (path, value, body, language) in rows.iter().chain(&rows) {
        let answer = accept(&server, path, "accept-language", value);
        let what = format!("{path} {value}");
        assert_eq!(answer.status, 200, "{what}");
        answer.assert_body(body.as_bytes());
        // Case means nothing in a tag (RFC 9110 §8.5.1).
        let told = answer.field("content-language").unwrap();
        assert!(told.eq_ignore_ascii_case(language), "{what}: {told}");
        let vary = Some("Accept-Language").filter(|_| *path == "/page.html");
        assert_eq!(answer.field("vary"), vary, "{what}");
    }
    let plain = accept(&server, "/plain.txt", "accept-language", "de");
    assert_eq!(plain.field("vary"), None);
}

pub(crate) fn media_types_by_accept(engine: Engine) {
    let site = Site::of(&[
        ("photo.jpg", b"jpeg"),
        ("photo.avif", b"avif"),
        ("photo.webp", b"webp"),
        ("lone.png", b"png"),
        ("page.html", b"<p>page"),
        ("page.md", b"page"),
    ]);
    let server = Server::of(engine, &site, &["--media-variants"]);
    let rows = [
        ("/photo.jpg", "", "jpeg", "image/jpeg"),
        ("/photo.jpg", "*/*", "jpeg", "image/jpeg"),
        (
            "/photo.jpg",
            "image/avif,image/webp,*/*;q=0.8",
            "avif",
            "image/avif",
        ),
        ("/photo.jpg", "image/webp,*/*;q=0.8", "webp", "image/webp"),
        (
            "/photo.jpg",
            "image/avif;q=0.1, image/jpeg",
            "jpeg",
            "image/jpeg",
        ),
        ("/photo.jpg", "image/avif;q=0, */*", "jpeg", "image/jpeg"),
        ("/photo.jpg", "text/plain", "jpeg", "image/jpeg"),
        (
            "/page.html",
            "text/html, text/markdown;q=0.9",
            "<p>page",
            "text/html",
        ),
        (
            "/page.html",
            "text/markdown, text/html;q=0.9",
            "page",
            "text/markdown",
        ),
    ];
    for (path, value, body, media) in rows.iter().chain(&rows) {
        let answer = accept(&server, path, "accept", value);
        let what = format!("{path} {value}");
        assert_eq!(answer.status, 200, "{what}");
        answer.assert_body(body.as_bytes());
        let sent = answer.field("content-type").unwrap();
        assert!(sent.starts_with(media), "{what}: {sent}");
        assert_eq!(answer.field("vary"), Some("Accept"), "{what}");
    }
    let lone = accept(&server, "/lone.png", "accept", "image/avif");
    assert_eq!((lone.status, lone.field("vary")), (200, None));
    let strict = ["--media-variants", "--not-acceptable=406"];
    let server = Server::of(engine, &site, &strict);
    for path in ["/photo.jpg", "/page.html"] {
        let refused = accept(&server, path, "accept", "video/mp4");
        assert_eq!(refused.status, 406, "{path}");
        assert!(refused.field("etag").is_none());
    }
    assert_eq!(
        accept(&server, "/lone.png", "accept", "video/mp4").status,
        200
    );
}
