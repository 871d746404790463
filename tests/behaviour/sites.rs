//! What a site is asked to do: rules, forms, several ranges, hosts, listings, over both protocols.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::client::Answer;
use crate::http2_client::Http2;
use crate::rig::{Engine, Server, Site, eventually, pattern};

/// The same request over both protocols; what they say must be the same.
#[track_caller]
pub(crate) fn ask(server: &Server, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let lines: String = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let mut http1 = server.connect();
    let one = match method {
        "HEAD" => http1.head_with(path, &lines),
        _ => http1.get_with(path, &lines),
    };
    let mut http2 = Http2::connect(server.address());
    let id = http2.ask(method, path, fields);
    let two = http2.answer(id);
    assert_eq!(one.status, two.status, "{path}");
    let is_multipart = |answer: &Answer| {
        let media = answer.field("content-type").unwrap_or_default();
        media.starts_with("multipart/")
    };
    if !is_multipart(&one) {
        assert_eq!(one.fields_but_date(), two.fields_but_date(), "{path}");
        assert!(one.body == two.body, "{path}");
    }
    one
}

pub(crate) fn curl(words: &[&str]) -> Vec<u8> {
    let output = Command::new("timeout")
        .args(["60", "curl", "-sS", "--fail-with-body"])
        .args(words)
        .output()
        .expect("timeout (coreutils)");
    assert!(output.status.success(), "{words:?}: {output:?}");
    output.stdout
}

pub(crate) fn rules_by_flags(engine: Engine) {
    let site = Site::of(&[
        ("index.html", b"home"),
        ("about.html", b"about"),
        ("404.html", b"not here"),
        ("refused.html", b"refused"),
        ("app.3f2a9c1b.js", b"code"),
        ("new/x.txt", b"moved"),
    ]);
    let flags = [
        "--clean-urls=redirect",
        "--cache-control=auto",
        "--security-headers",
        "--header=X-All: yes",
        "--header=*.js !X-All",
        "--redirect=/old/* /new/:splat 301",
        "--redirect=/away https://b.example/x 302",
        "--rewrite=/app/* /about.html",
        "--error-page=404=/404.html",
        "--error-page=405,416=/refused.html",
        "--maintenance=/shop/**",
        "--retry-after=90s",
    ];
    let server = Server::of(engine, &site, &flags);
    for _ in 0..2 {
        let page = ask(&server, "GET", "/about", &[]);
        page.assert_body(b"about");
        assert_eq!(page.field("cache-control"), Some("no-cache"));
        assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.field("x-all"), Some("yes"));
        let script = ask(&server, "GET", "/app.3f2a9c1b.js", &[]);
        let immutable = Some("max-age=31536000, immutable");
        assert_eq!(script.field("cache-control"), immutable);
        assert_eq!(script.field("x-all"), None);
        for (path, status, location) in [
            ("/about.html?a=1", 308, "/about?a=1"),
            ("/old/x.txt?a", 301, "/new/x.txt?a"),
            ("/away", 302, "https://b.example/x"),
        ] {
            let answer = ask(&server, "GET", path, &[]);
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.field("location"), Some(location), "{path}");
        }
        ask(&server, "GET", "/app/any/where", &[]).assert_body(b"about");
        let missing = ask(&server, "GET", "/none", &[]);
        assert_eq!(missing.status, 404);
        missing.assert_body(b"not here");
        let head = ask(&server, "HEAD", "/none", &[]);
        assert_eq!(
            (head.status, head.field("content-length")),
            (404, Some("8"))
        );
        let beyond = ask(&server, "GET", "/about", &[("range", "bytes=100-")]);
        assert_eq!(beyond.status, 416);
        beyond.assert_body(b"refused");
        assert_eq!(beyond.field("content-range"), Some("bytes */5"));
        let closed = ask(&server, "GET", "/shop/a", &[]);
        assert_eq!(
            (closed.status, closed.field("retry-after")),
            (503, Some("90"))
        );
    }
    let mut client = server.connect();
    client.send("POST /about HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let refused = client.answer();
    assert_eq!(
        (refused.status, refused.field("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    refused.assert_body(b"refused");
}

pub(crate) fn rule_files_are_obeyed_and_followed(engine: Engine) {
    let site = Site::of(&[
        ("index.html", b"home"),
        ("real.html", b"real"),
        ("_headers", b"/*.html\n  X-A: one\n"),
        (
            "_redirects",
            b"/go/:x /index.html?x=:x 302\n/real.html /index.html 301\n/* /index.html 200\n",
        ),
    ]);
    let server = Server::of(engine, &site, &[]);
    let home = ask(&server, "GET", "/index.html", &[]);
    assert_eq!(home.field("x-a"), Some("one"));
    let sent = ask(&server, "GET", "/go/7", &[]);
    assert_eq!(
        (sent.status, sent.field("location")),
        (302, Some("/index.html?x=7"))
    );
    ask(&server, "GET", "/real.html", &[]).assert_body(b"real"); // Files come first.
    ask(&server, "GET", "/any", &[]).assert_body(b"home");
    ask(&server, "GET", "/_headers", &[]).assert_body(b"home"); // Never itself.
    site.write("_headers", "/*.html\n  X-A: two\n");
    eventually("the new rules", || {
        server.get("/index.html").field("x-a") == Some("two")
    });
    std::fs::remove_file(site.path("_redirects")).unwrap();
    eventually("no redirects any more", || {
        server.get("/go/7").status == 404
    });
}

pub(crate) fn several_ranges(engine: Engine) {
    let site = Site::new();
    let (small, large) = (pattern(5_000, 1), pattern(3_000_000, 2));
    site.write("small.bin", &small);
    site.write("large.bin", &large);
    let server = Server::of(engine, &site, &[]);
    for (path, content) in [("/small.bin", &small), ("/large.bin", &large)] {
        for _ in 0..2 {
            let fields = [("range", "bytes=0-9, 100-4000, -5")];
            let answer = ask(&server, "GET", path, &fields);
            assert_eq!(answer.status, 206);
            let media = answer.field("content-type").unwrap();
            let boundary = media
                .strip_prefix("multipart/byteranges; boundary=")
                .unwrap();
            let len = content.len();
            let mut expected = Vec::new();
            for (start, end) in [(0, 10), (100, 4001), (len - 5, len)] {
                let head = format!(
                    "{}--{boundary}\r\nContent-Type: application/octet-stream\r\n\
                     Content-Range: bytes {start}-{}/{len}\r\n\r\n",
                    if expected.is_empty() { "" } else { "\r\n" },
                    end - 1
                );
                expected.extend_from_slice(head.as_bytes());
                expected.extend_from_slice(&content[start..end]);
            }
            expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
            answer.assert_body(&expected);
            let len = expected.len().to_string();
            assert_eq!(answer.field("content-length"), Some(&len[..]));
            let head = ask(&server, "HEAD", path, &fields);
            assert_eq!(head.status, 200, "only GET knows ranges (RFC 9110 §14.2)");
        }
    }
    let many: Vec<String> = (0..200).map(|n| format!("{}-{}", 20 * n, 20 * n)).collect();
    let abuse = format!("bytes={}", many.join(","));
    let answer = ask(&server, "GET", "/small.bin", &[("range", &abuse)]);
    assert_eq!(answer.status, 200);
    answer.assert_body(&small);
}

pub(crate) fn forms_are_made_while_answers_go_out(engine: Engine) {
    let text = "a line of a page that says the same\n".repeat(3_000);
    let site = Site::of(&[("page.html", text.as_bytes()), ("small.txt", b"small")]);
    site.write("given.css", &text);
    site.write("given.css.gz", b"what a sidecar holds is not looked at");
    sleep(Duration::from_millis(3_100)); // A file that is younger may change without a trace.
    let server = Server::of(engine, &site, &[]);
    // Asked once: the second answer may be a coded one.
    let fields = "Accept-Encoding: br, gzip\r\n";
    let first = server.connect().get_with("/page.html", fields);
    assert_eq!(first.body, text.as_bytes());
    assert_eq!(first.field("vary"), Some("Accept-Encoding"));
    for (accepts, coding) in [("br, gzip", "br"), ("gzip", "gzip"), ("zstd", "zstd")] {
        let fields = format!("Accept-Encoding: {accepts}\r\n");
        let mut client = server.connect();
        eventually("a coded answer", || {
            let answer = client.get_with("/page.html", &fields);
            answer.field("content-encoding") == Some(coding)
        });
    }
    let url = format!("http://{}/page.html", server.address());
    for accepts in ["br", "gzip"] {
        let accepts = format!("Accept-Encoding: {accepts}");
        for protocol in ["--http1.1", "--http2-prior-knowledge"] {
            let got = curl(&[protocol, "--compressed", "-H", &accepts, &url]);
            assert!(got == text.as_bytes(), "{accepts} {protocol}");
        }
    }
    let plain = ask(&server, "GET", "/page.html", &[]);
    plain.assert_body(text.as_bytes());
    let given = ask(&server, "GET", "/given.css", &[("accept-encoding", "gzip")]);
    given.assert_body(b"what a sidecar holds is not looked at");
    let small = ask(&server, "GET", "/small.txt", &[("accept-encoding", "gzip")]);
    assert_eq!(
        (small.field("content-encoding"), small.field("vary")),
        (None, None)
    );
}

pub(crate) fn hosts_have_sites_of_their_own(engine: Engine) {
    let site = Site::of(&[("a/index.html", b"site a"), ("b/index.html", b"site b")]);
    let file = site.outside("downpour.toml");
    let text = "unknown-host = \"421\"\n\
        [[site]]\nnames = [\"a.example\", \"*.a.example\"]\nroot = \"root/a\"\n\
        header = \"X-Site: a\"\n\
        [[site]]\nnames = [\"b.example\"]\nroot = \"root/b\"\n\
        [[site.rule]]\npath = \"/closed/**\"\nmaintenance = true\n";
    std::fs::write(&file, text).unwrap();
    let mut command = crate::rig::serve(crate::rig::binary(), engine);
    command.args(["--listen", "127.0.0.1:0", "--workers", "1", "--config"]);
    let server = Server::start(command.arg(&file));
    let get = |host: &str, path: &str| {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.answer()
    };
    for _ in 0..2 {
        for host in ["a.example", "A.example:80", "x.y.a.example"] {
            let answer = get(host, "/");
            answer.assert_body(b"site a");
            assert_eq!(answer.field("x-site"), Some("a"));
        }
        get("b.example", "/").assert_body(b"site b");
        assert_eq!(get("b.example", "/closed/x").status, 503);
        assert_eq!(get("a.example", "/closed/x").status, 404);
        assert_eq!(get("c.example", "/").status, 421);
    }
}

pub(crate) fn long_listings_are_streamed(engine: Engine) {
    let site = Site::of(&[("short/a.txt", b"a")]);
    std::fs::create_dir(site.path("long")).unwrap();
    for n in 0..5_000 {
        std::fs::write(site.path(&format!("long/file-{n}.txt")), b"x").unwrap();
    }
    let server = Server::of(engine, &site, &["--list"]);
    let short = ask(&server, "GET", "/short/", &[]);
    assert!(
        short.body.starts_with(b"<!DOCTYPE html>") || short.body.starts_with(b"<!doctype html>")
    );
    assert_eq!(short.field("vary"), Some("Accept"));
    let tag = short.field("etag").unwrap();
    let again = ask(&server, "GET", "/short/", &[("if-none-match", tag)]);
    assert_eq!(again.status, 304);
    let json = ask(&server, "GET", "/short/", &[("accept", "application/json")]);
    assert_eq!(json.field("content-type"), Some("application/json"));
    let url = format!("http://{}/long/?format=json", server.address());
    for protocol in ["--http1.1", "--http1.0", "--http2-prior-knowledge"] {
        let whole = String::from_utf8(curl(&[protocol, &url])).unwrap();
        for n in [0, 1_234, 4_999] {
            assert!(
                whole.contains(&format!("\"file-{n}.txt\"")),
                "{protocol} {n}"
            );
        }
        assert!(whole.trim_end().ends_with('}'), "{protocol}: whole");
    }
    // The connection goes on behind a body that was sent in chunks.
    let count = curl(&[
        "--http1.1",
        &url,
        &url,
        "-o",
        "/dev/null",
        "-o",
        "/dev/null",
        "-w",
        "%{num_connects}",
    ]);
    assert_eq!(String::from_utf8(count).unwrap(), "10");
}

pub(crate) fn maintenance_follows_its_file(engine: Engine) {
    let site = Site::of(&[("index.html", b"home"), ("closed.html", b"closed")]);
    let switch = site.outside("closed");
    let when = format!("--maintenance-when={}", switch.display());
    let flags = ["--maintenance", "--maintenance-page=/closed.html", &when];
    let server = Server::of(engine, &site, &flags);
    server.get("/").assert_body(b"home");
    std::fs::write(&switch, "").unwrap();
    eventually("it is closed", || server.get("/").status == 503);
    let closed = server.get("/any");
    closed.assert_body(b"closed");
    assert!(closed.field("retry-after").is_some());
    std::fs::remove_file(&switch).unwrap();
    eventually("it is open again", || server.get("/").status == 200);
}
