//! Files: what a path leads to, and every way in which bytes leave (RFC 9110).

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::thread::sleep;
use std::time::Duration;

use crate::client::{Answer, Client, End};
use crate::rig::{Engine, Server, Site, eventually, pattern};

/// Around the bound of copied bodies, the cache's, `sendfile`'s, and several slices.
const SIZES: [usize; 14] = [
    0, 1, 4095, 4096, 16_383, 16_384, 16_385, 65_536, 262_143, 262_144, 262_145, 524_288, 524_289,
    1_500_000,
];

#[track_caller]
fn assert_missing(answer: &Answer, path: &str) {
    assert_eq!(answer.status, 404, "{path}");
    assert_eq!(answer.field("etag"), None, "{path}");
}

pub(crate) fn every_size_is_sent_byte_for_byte(engine: Engine) {
    let site = Site::new();
    for (n, size) in SIZES.iter().enumerate() {
        site.write(&format!("{n}"), pattern(*size, n as u64));
    }
    // As the flags stand, all through the cache, nothing cached, and everything by sendfile.
    let flags: [&[&str]; 4] = [
        &[],
        &["--sendfile-min", "4M", "--cache-entry-max", "4M"],
        &["--cache-size", "0"],
        &["--sendfile-min", "1"],
    ];
    for flags in flags {
        let server = Server::of(engine, &site, flags);
        let mut client = server.connect();
        // From the slow lane, then from the fast lane; and over many connections at a time.
        for _ in 0..2 {
            for (n, size) in SIZES.iter().enumerate() {
                let answer = client.get(&format!("/{n}"));
                assert_eq!(answer.status, 200);
                answer.assert_body(&pattern(*size, n as u64));
            }
        }
        std::thread::scope(|scope| {
            for n in 0..8 {
                let server = &server;
                let n = n + 6;
                scope.spawn(move || {
                    server
                        .get(&format!("/{n}"))
                        .assert_body(&pattern(SIZES[n], n as u64))
                });
            }
        });
    }
}

pub(crate) fn conditional_requests(engine: Engine) {
    let site = Site::of(&[("a.txt", b"alpha")]);
    site.write("large", pattern(400_000, 1));
    let server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    for path in ["/a.txt", "/large"] {
        let full = client.get(path);
        let tag = full.field("etag").unwrap().to_owned();
        let date = full.field("last-modified").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.len() > 2, "a strong tag: {tag}");
        let long_ago = "Sun, 06 Nov 1994 08:49:37 GMT";
        let rows = [
            (format!("If-None-Match: {tag}"), 304),
            ("If-None-Match: *".to_owned(), 304),
            (format!("If-None-Match: \"x\", W/{tag}"), 304),
            ("If-None-Match: \"x\"".to_owned(), 200),
            (format!("If-Modified-Since: {date}"), 304),
            (format!("If-Modified-Since: {long_ago}"), 200),
            ("If-Modified-Since: yesterday".to_owned(), 200),
            // The tag is heard before the date (RFC 9110 §13.2.2).
            (
                format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}"),
                200,
            ),
            (format!("If-Match: {tag}"), 200),
            ("If-Match: \"x\"".to_owned(), 412),
            (format!("If-Match: W/{tag}"), 412),
            (format!("If-Unmodified-Since: {long_ago}"), 412),
            (format!("If-Unmodified-Since: {date}"), 200),
        ];
        for (field, status) in rows {
            let answer = client.get_with(path, &format!("{field}\r\n"));
            assert_eq!(answer.status, status, "{path} {field}");
            match status {
                304 => assert_eq!(answer.field("etag"), Some(&*tag), "RFC 9110 §15.4.5"),
                200 => answer.assert_body(&full.body),
                _ => assert!(answer.field("etag").is_none()),
            }
        }
    }
}

pub(crate) fn ranges(engine: Engine) {
    let site = Site::of(&[("empty", b"")]);
    let small = pattern(1000, 1);
    let large = pattern(1_500_000, 2);
    site.write("small", &small);
    site.write("large", &large);
    let server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    for (path, bytes) in [("/small", &small), ("/large", &large)] {
        let len = bytes.len();
        let last = len - 1;
        let rows = [
            ("0-0".to_owned(), 0..1),
            ("0-".to_owned(), 0..len),
            ("10-19".to_owned(), 10..20),
            (format!("500-{last}"), 500..len),
            ("-1".to_owned(), last..len),
            ("-999999999".to_owned(), 0..len),
            (format!("{last}-"), last..len),
            ("999-99999999999".to_owned(), 999..len),
        ];
        for (range, expected) in rows {
            let answer = client.get_with(path, &format!("Range: bytes={range}\r\n"));
            assert_eq!(answer.status, 206, "{path} {range}");
            let shown = format!("bytes {}-{}/{len}", expected.start, expected.end - 1);
            assert_eq!(
                answer.field("content-range"),
                Some(&*shown),
                "{path} {range}"
            );
            answer.assert_body(&bytes[expected]);
        }
        for range in [
            format!("{len}-"),
            "99999999999999999999-".to_owned(),
            "-0".to_owned(),
        ] {
            let answer = client.get_with(path, &format!("Range: bytes={range}\r\n"));
            assert_eq!(answer.status, 416, "{path} {range}");
            assert_eq!(
                answer.field("content-range"),
                Some(&*format!("bytes */{len}"))
            );
        }
        // What is no single range is ignored (RFC 9110 §14.2).
        for range in [
            "bytes=",
            "bytes=5-4",
            "bytes=a-b",
            "lines=0-1",
            "0-1",
            "bytes=-",
        ] {
            let answer = client.get_with(path, &format!("Range: {range}\r\n"));
            assert_eq!(answer.status, 200, "{path} {range}");
            answer.assert_body(bytes);
        }
        if_range(&mut client, path, bytes);
    }
    // Go's clients and others send a range with every request: nothing of nothing is all of it.
    let answer = client.get_with("/empty", "Range: bytes=0-\r\n");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

/// RFC 9110 §13.1.5: the range counts only while the representation is the same.
fn if_range(client: &mut Client, path: &str, bytes: &[u8]) {
    let full = client.get(path);
    let tag = full.field("etag").unwrap();
    let rows = [
        (tag.to_owned(), 206),
        (format!("W/{tag}"), 200),
        ("\"x\"".to_owned(), 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), 200),
    ];
    for (validator, status) in rows {
        let fields = format!("Range: bytes=5-9\r\nIf-Range: {validator}\r\n");
        let answer = client.get_with(path, &fields);
        assert_eq!(answer.status, status, "{path} {validator}");
        answer.assert_body(if status == 206 { &bytes[5..10] } else { bytes });
    }
}

pub(crate) fn directories_and_their_index(engine: Engine) {
    let site = Site::of(&[
        ("index.html", b"root"),
        ("docs/index.html", b"docs"),
        ("docs/a b/index.html", b"spaced"),
        ("second/start.htm", b"second"),
        ("none/file", b"x"),
    ]);
    let server = Server::of(
        engine,
        &site,
        &["--index", "index.html", "--index", "start.htm"],
    );
    let mut client = server.connect();
    let rows = [
        ("/", "root"),
        ("/docs/", "docs"),
        ("/second/", "second"),
        ("/docs/.", "docs"),
    ];
    for (path, expected) in rows {
        let answer = client.get(path);
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, expected.as_bytes()),
            "{path}"
        );
        assert_eq!(
            answer.field("content-type"),
            Some("text/html; charset=utf-8"),
            "{path}"
        );
    }
    let redirects = [
        ("/docs", "/docs/"),
        ("/docs?a=b&c", "/docs/?a=b&c"),
        ("/docs?", "/docs/?"),
        ("/docs/a%20b", "/docs/a%20b/"),
        ("/./docs", "/docs/"),
        // Two slashes at its start would lead to another host (RFC 3986 §4.2).
        ("//docs", "/docs/"),
        ("///docs?x", "/docs/?x"),
        ("//evil.example/../docs", "/docs/"),
        ("/docs?\\<>\"", "/docs/?%5C%3C%3E%22"),
        ("http://a/docs", "/docs/"),
    ];
    for _ in 0..2 {
        for (path, location) in redirects {
            let answer = client.get(path);
            assert_eq!(answer.status, 308, "{path}");
            assert_eq!(answer.field("location"), Some(location), "{path}");
        }
    }
    for path in ["/none/", "/index.html/", "/docs/index.html/", "/docs/none"] {
        assert_missing(&client.get(path), path);
    }
    assert_eq!(
        client.get("/none").status,
        308,
        "whether it has an index is not told"
    );
}

pub(crate) fn nothing_outside_the_root(engine: Engine) {
    let site = Site::of(&[("a/in.txt", b"inside"), ("..a", b"x"), ("a/..b/c", b"dots")]);
    std::fs::write(site.outside("secret"), "secret").unwrap();
    symlink(site.outside("secret"), site.path("absolute")).unwrap();
    symlink("../secret", site.path("relative")).unwrap();
    symlink("..", site.path("above")).unwrap();
    symlink("in.txt", site.path("a/inward")).unwrap();
    symlink("../a", site.path("a/around")).unwrap();
    symlink(site.path("a/in.txt"), site.path("absolute-inward")).unwrap();
    symlink("loop", site.path("loop")).unwrap();
    symlink("/etc", site.path("etc")).unwrap();
    let server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    for path in [
        "/a/inward",
        "/a/around/in.txt",
        "/a/../a/in.txt",
        "/a/./in.txt",
        "/a//in.txt",
    ] {
        client.get(path).assert_body(b"inside");
    }
    for path in [
        "/absolute",
        "/relative",
        "/above/secret",
        "/above",
        "/absolute-inward",
        "/loop",
        "/etc/passwd",
        "/etc",
        "/a/..b/c",
        "/..a",
        "/a%2fin.txt",
        "/a%5cin.txt",
        "/..%2fsecret",
        "/a/..%2f..%2fsecret",
        "/%2e%2e%2fsecret",
    ] {
        for _ in 0..2 {
            let answer = client.get(path);
            assert_missing(&answer, path);
        }
    }
    for path in [
        "/../secret",
        "/a/../../secret",
        "/..",
        "/a/../..",
        "/%2e%2e/secret",
        "/.%2e/secret",
        "/%2E./secret",
        "/a/%2e%2E/%2e%2e/secret",
        "/./../secret",
        "//../secret",
        "/a%00",
        "/%",
        "/%2",
        "/%zz",
        "/a%0",
        "/../../../../../../etc/passwd",
    ] {
        assert_eq!(client.get(path).status, 400, "{path}");
    }
    for path in [
        "/..\\secret",
        "/%252e%252e/secret",
        "/....//secret",
        "/..;/secret",
        "/..%c0%af",
    ] {
        let answer = client.get(path);
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
    }
    assert!(client.has_nothing_left());
}

pub(crate) fn hidden_and_special_files(engine: Engine) {
    let site = Site::of(&[
        (".env", b"x"),
        (".git/config", b"x"),
        ("a/.hidden", b"x"),
        (".well-known/security.txt", b"well"),
        (".well-known/.env", b"x"),
        ("plain", b"plain"),
    ]);
    let fifo = site.path("fifo");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
    )
    .unwrap();
    let _socket = UnixListener::bind(site.path("socket")).unwrap();
    let mut missing = vec!["/.env", "/.git/config", "/.git", "/a/.hidden", "/%2eenv"];
    missing.extend(["/.well-known/.env", "/fifo", "/socket", "/fifo/"]);
    let device = rustix::fs::mknodat(
        rustix::fs::CWD,
        site.path("zero"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 5),
    );
    if device.is_ok() {
        missing.push("/zero");
    }
    let server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    client.get("/.well-known/security.txt").assert_body(b"well");
    for _ in 0..2 {
        for path in &missing {
            assert_missing(&client.get(path), path);
        }
    }
    // Had it been opened, a writer would not wait for a reader.
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
    let writer = rustix::fs::open(&fifo, flags, rustix::fs::Mode::empty());
    assert_eq!(writer.unwrap_err(), rustix::io::Errno::NXIO);
    client.get("/plain").assert_body(b"plain");
}

pub(crate) fn media_types(engine: Engine) {
    let rows = [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("A.JS", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.tar.gz", "application/gzip"),
        ("README", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ];
    let site = Site::new();
    for (name, _) in rows {
        site.write(name, name);
    }
    let strange = [
        "blank .txt",
        "\u{fc}ml\u{e4}ut.txt",
        "per%cent.txt",
        "a+b&c;d=e.txt",
    ];
    for name in strange {
        site.write(name, name);
    }
    let server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    for (name, media_type) in rows {
        let answer = client.get(&format!("/{name}"));
        assert_eq!(answer.field("content-type"), Some(media_type), "{name}");
        answer.assert_body(name.as_bytes());
    }
    for name in strange {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        client
            .get(&format!("/{encoded}"))
            .assert_body(name.as_bytes());
    }
    client
        .get("/a+b&c;d=e.txt?%zz")
        .assert_body(b"a+b&c;d=e.txt");
}

pub(crate) fn what_may_not_be_read_is_403(engine: Engine) {
    let site = Site::of(&[
        ("closed.txt", b"x"),
        ("closed/a", b"x"),
        ("open.txt", b"open"),
    ]);
    site.write("large", pattern(600_000, 1));
    for name in ["closed.txt", "closed", "large"] {
        let mode = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(site.path(name), mode).unwrap();
    }
    let server = Server::without_rights(engine, &site);
    let mut client = server.connect();
    for _ in 0..2 {
        for path in ["/closed.txt", "/closed/a", "/closed/", "/large"] {
            let answer = client.get(path);
            assert_eq!(answer.status, 403, "{path}");
            assert!(answer.body.starts_with(b"403 Forbidden\n"), "{path}");
        }
    }
    client.get("/open.txt").assert_body(b"open");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(site.path("closed"), mode).unwrap();
}

pub(crate) fn a_slow_reader_gets_every_byte_of_a_big_file(engine: Engine) {
    let site = Site::new();
    let big = pattern(3_000_000, 3);
    site.write("big", &big);
    let server = Server::of(engine, &site, &[]);
    let mut client = Client::connect_narrow(server.address());
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..2 {
        let (_, len) = client.answer_head();
        assert_eq!(len, big.len());
        let mut got = Vec::new();
        while got.len() < len {
            got.extend(client.content((len - got.len()).min(150_000)));
            sleep(Duration::from_millis(2));
            // Others do not wait for the slow one.
            server.get("/none");
        }
        assert!(got == big);
    }
}

/// Pages that are not in memory are read off the worker, whatever their file's size.
pub(crate) fn cold_files_arrive_whole(engine: Engine) {
    let site = Site::new();
    for n in 0..12 {
        site.write(&format!("{n}"), pattern(SIZES[n + 2], n as u64));
    }
    let server = Server::of(engine, &site, &["--cache-size", "0"]);
    let mut client = server.connect();
    for _ in 0..3 {
        for n in 0..12 {
            site.cool(&format!("{n}"));
            client
                .get(&format!("/{n}"))
                .assert_body(&pattern(SIZES[n + 2], n as u64));
        }
    }
    site.cool("11");
    let whole = pattern(SIZES[13], 11);
    let answer = client.get_with("/11", "Range: bytes=700001-1400000\r\n");
    answer.assert_body(&whole[700_001..1_400_001]);
}

/// The length was promised: the connection ends early, and nobody else is harmed.
pub(crate) fn a_file_truncated_while_it_is_sent(engine: Engine) {
    const LEN: usize = 48_000_000;
    let site = Site::of(&[("other", b"other")]);
    let path = site.write("big", pattern(LEN, 4));
    let server = Server::of(engine, &site, &[]);
    let descriptors = server.descriptors();
    let mut other = server.connect();
    let mut client = Client::connect_narrow(server.address());
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    let (answer, len) = client.answer_head();
    assert_eq!((answer.status, len), (200, LEN));
    client.content(100_000);
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1_000)
        .unwrap();
    match client.end() {
        End::Closed(rest) => assert!(rest < LEN - 100_000, "{rest} bytes of nothing"),
        End::Reset => {}
    }
    other.get("/other").assert_body(b"other");
    drop((client, other));
    // The file itself may stay open in the cache.
    eventually("its descriptors are closed", || {
        server.descriptors() <= descriptors + 1
    });
}
