//! From an address to what is sent: patterns, mounts, clean addresses, error pages, rules that
//! change, hosts and listings, over both protocols.

use std::time::{Duration, Instant};

use crate::client::connect_tcp;
use crate::http2_client::{END_HEADERS, END_STREAM, Http2, block, frame, kind};
use crate::rig::{Engine, Server, Site, eventually};
use crate::sites::ask;

/// Path, status, and the body or where it leads.
type Row<'a> = (&'a str, u16, &'a str);

/// Each row twice: from the disk and from the cache.
#[track_caller]
fn check(server: &Server, rows: &[Row<'_>]) {
    for (path, status, expected) in rows.iter().chain(rows) {
        let answer = ask(server, "GET", path, &[]);
        assert_eq!(answer.status, *status, "{path}");
        match status {
            300..400 => assert_eq!(answer.field("location"), Some(*expected), "{path}"),
            200 => assert_eq!(String::from_utf8_lossy(&answer.body), *expected, "{path}"),
            _ => assert!(answer.field("etag").is_none(), "{path}"),
        }
    }
}

fn site() -> Site {
    let site = Site::of(&[
        ("index.html", b"home"),
        ("about.html", b"about"),
        ("app.html", b"app"),
        ("a.css", b"style"),
        ("dir/index.html", b"dir"),
        ("empty/x.txt", b"x"),
        ("docs/hidden-by-mount.txt", b"no"),
    ]);
    std::fs::create_dir_all(site.outside("manual/v1")).unwrap();
    std::fs::create_dir_all(site.outside("old")).unwrap();
    std::fs::write(site.outside("manual/index.html"), "manual").unwrap();
    std::fs::write(site.outside("manual/v1/a.txt"), "not this").unwrap();
    std::fs::write(site.outside("old/a.txt"), "old").unwrap();
    site
}

pub(crate) fn one_page_for_all_paths(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &["--spa"]);
    let rows = [
        ("/", 200, "home"),
        ("/any/where?x", 200, "home"),
        ("/a.css", 200, "style"),
        ("/dir", 308, "/dir/"),
        ("/dir/", 200, "dir"),
        ("/empty/", 200, "home"),
    ];
    check(&server, &rows);
    let any = ask(&server, "GET", "/any/other", &[]);
    let media = any.field("content-type").unwrap();
    assert!(media.starts_with("text/html"), "{media}");
    let tag = any.field("etag").unwrap();
    let again = ask(&server, "GET", "/any/other", &[("if-none-match", tag)]);
    assert_eq!(again.status, 304);
    assert_eq!(ask(&server, "GET", "/%2e%2e/x", &[]).status, 400);
    let server = Server::of(engine, &site, &["--spa=app.html"]);
    check(&server, &[("/any", 200, "app"), ("/", 200, "home")]);
}

pub(crate) fn patterns_are_tried_in_order(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &["--try=$path $path.html $path/ =410"]);
    let rows = [
        ("/about", 200, "about"),
        ("/a.css", 200, "style"),
        ("/dir/", 200, "dir"),
        ("/none", 410, ""),
    ];
    check(&server, &rows);
    let server = Server::of(engine, &site, &["--try=$path /app.html"]);
    check(&server, &[("/about", 200, "app"), ("/a.css", 200, "style")]);
}

pub(crate) fn addresses_without_html(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &["--clean-urls"]);
    let rows = [
        ("/about", 200, "about"),
        ("/about.html", 200, "about"),
        ("/about/?q=1", 308, "/about?q=1"),
        ("/none", 404, ""),
        ("/dir", 308, "/dir/"),
    ];
    check(&server, &rows);
    let server = Server::of(engine, &site, &["--clean-urls=redirect"]);
    let rows = [
        ("/about", 200, "about"),
        ("/about.html", 308, "/about"),
        ("/about.html?q=1", 308, "/about?q=1"),
        ("/dir/index.html", 308, "/dir/"),
        ("/index.html", 308, "/"),
        ("/a.css", 200, "style"),
        ("/none.html", 404, ""),
    ];
    check(&server, &rows);
    let rows = |dir: Row<'static>, slashed: Row<'static>| [dir, slashed];
    for (policy, expected) in [
        (
            "add",
            rows(("/dir?a", 308, "/dir/?a"), ("/dir/", 200, "dir")),
        ),
        (
            "remove",
            rows(("/dir", 200, "dir"), ("/dir/?a", 308, "/dir?a")),
        ),
        ("ignore", rows(("/dir", 200, "dir"), ("/dir/", 200, "dir"))),
    ] {
        let flag = format!("--trailing-slash={policy}");
        check(&Server::of(engine, &site, &[&flag]), &expected);
    }
    // A host in the path must not become a host in `Location`.
    let server = Server::of(engine, &site, &["--clean-urls=redirect"]);
    for path in ["//evil.example/..//about.html", "//dir"] {
        let answer = ask(&server, "GET", path, &[]);
        let location = answer.field("location").unwrap_or("/");
        assert!(!location.starts_with("//"), "{path}: {location}");
    }
}

pub(crate) fn mounts_hide_what_is_below(engine: Engine) {
    let site = site();
    let mounts = [
        format!("--mount=/docs={}", site.outside("manual").display()),
        format!("--mount=/docs/v1={}", site.outside("old").display()),
    ];
    let server = Server::of(engine, &site, &[&mounts[0], &mounts[1]]);
    let rows = [
        ("/docs", 308, "/docs/"),
        ("/docs/", 200, "manual"),
        ("/docs/v1/a.txt", 200, "old"),
        ("/docs/hidden-by-mount.txt", 404, ""),
        ("/docsx", 404, ""),
        ("/", 200, "home"),
        ("/docs/../a.css", 200, "style"),
    ];
    check(&server, &rows);
    // Mounts follow the disk as the root does.
    std::fs::write(site.outside("old/a.txt"), "new").unwrap();
    eventually("the mount follows", || {
        server.get("/docs/v1/a.txt").body == b"new"
    });
}

/// The nearest page, whatever the error and the method; the status stays.
pub(crate) fn errors_have_their_pages(engine: Engine) {
    let site = Site::of(&[
        ("404.html", b"missing"),
        ("de/404.html", b"fehlt"),
        ("client.html", b"your fault"),
        ("a.txt", b"alpha"),
    ]);
    let flags = ["--error-page=404=404.html", "--error-page=4xx=/client.html"];
    let server = Server::of(engine, &site, &flags);
    let beyond = [("range", "bytes=9-")];
    let changed = [("if-match", "\"x\"")];
    type Error<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a [u8]);
    let rows: [Error<'_>; 5] = [
        ("/none", &[], 404, b"missing"),
        ("/de/none", &[], 404, b"fehlt"),
        ("/de/deep/none", &[], 404, b"fehlt"),
        ("/a.txt", &beyond, 416, b"your fault"),
        ("/a.txt", &changed, 412, b"your fault"),
    ];
    for (path, fields, status, body) in rows.iter().chain(&rows) {
        let answer = ask(&server, "GET", path, fields);
        assert_eq!(answer.status, *status, "{path}");
        answer.assert_body(body);
        assert_eq!(answer.field("etag"), None, "{path}: not the page's");
        assert_eq!(answer.field("last-modified"), None, "{path}");
        let media = answer.field("content-type").unwrap();
        assert!(media.starts_with("text/html"), "{path}: {media}");
        if *status == 404 {
            let head = ask(&server, "HEAD", path, fields);
            assert_eq!(head.fields_but_date(), answer.fields_but_date(), "{path}");
        }
    }
    // A condition is for what is there (RFC 9110 §13.2.1).
    for condition in [("if-none-match", "*"), ("range", "bytes=0-1")] {
        let answer = ask(&server, "GET", "/none", &[condition]);
        assert_eq!(answer.status, 404, "{condition:?}");
        answer.assert_body(b"missing");
    }
    let mut http2 = Http2::connect(server.address());
    let id = http2.ask("POST", "/a.txt", &[]);
    let refused = http2.answer(id);
    assert_eq!(refused.status, 405);
    assert!(refused.field("allow").is_some());
    refused.assert_body(b"your fault");
    site.write("404.html", "missing, still");
    eventually("an edited page", || {
        server.get("/none").body == b"missing, still"
    });
}

#[track_caller]
fn within(bound: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    eventually(what, &mut holds);
    let took = began.elapsed();
    assert!(took <= bound, "{what} took {took:?}");
}

/// Files with rules that appear, change and go; a site that is closed and opened again.
pub(crate) fn rules_change_in_time(engine: Engine) {
    let second = Duration::from_millis(1_050);
    for watch in ["--watch=auto", "--watch=off"] {
        let site = Site::of(&[("index.html", b"home")]);
        let switch = site.outside("closed");
        let when = format!("--maintenance-when={}", switch.display());
        let flags = [watch, "--maintenance", &when, "--retry-after=10m"];
        let server = Server::of(engine, &site, &flags);
        let field = |path: &str| server.get(path).field("x-a").map(str::to_owned);
        for path in ["/", "/_headers", "/_redirects", "/go"] {
            server.get(path);
        }
        site.write("_headers", "/*\n  X-A: one\n");
        within(second, &format!("rules that appear {watch}"), || {
            field("/") == Some("one".into())
        });
        site.write("beside", "/*\n  X-A: two\n");
        std::fs::rename(site.path("beside"), site.path("_headers")).unwrap();
        within(second, "replaced rules", || {
            field("/") == Some("two".into())
        });
        site.write("_redirects", "/go /there 302\n/ /there 302!\n");
        within(second, "a redirect", || server.get("/go").status == 302);
        assert_eq!(server.get("/").status, 302, "forced: even where a file is");
        assert_eq!(ask(&server, "GET", "/_headers", &[]).status, 404);
        assert_eq!(ask(&server, "GET", "/_redirects", &[]).status, 404);
        assert_eq!(ask(&server, "GET", "/%5fheaders", &[]).status, 404);
        std::fs::remove_file(site.path("_redirects")).unwrap();
        std::fs::remove_file(site.path("_headers")).unwrap();
        within(second, "no rules", || {
            let home = server.get("/");
            home.status == 200 && home.field("x-a").is_none()
        });
        let bound = Duration::from_millis(1_500);
        std::fs::write(&switch, "").unwrap();
        within(bound, "closed", || server.get("/").status == 503);
        for path in ["/", "/none"] {
            let closed = ask(&server, "GET", path, &[]);
            assert_eq!(closed.status, 503, "{path}");
            assert_eq!(closed.field("retry-after"), Some("600"), "{path}");
        }
        std::fs::remove_file(&switch).unwrap();
        within(bound, "open", || server.get("/").status == 200);
    }
}

/// A host that is nobody's costs its stream, not the connection (RFC 9113 §9.1.2).
pub(crate) fn hosts_over_one_connection(engine: Engine) {
    let site = Site::of(&[("a/index.html", b"site a"), ("b/index.html", b"site b")]);
    let file = site.outside("downpour.toml");
    let text = "unknown-host = \"421\"\n\
        [[site]]\nnames = [\"a.example\"]\nroot = \"root/a\"\n\
        [[site]]\nnames = [\"*.b.example\"]\nroot = \"root/b\"\n";
    std::fs::write(&file, text).unwrap();
    let mut command = crate::rig::serve(crate::rig::binary(), engine);
    command.args(["--listen", "127.0.0.1:0", "--workers", "1", "--config"]);
    let server = Server::start(command.arg(&file));
    let rows = [
        ("a.example", 200, "site a"),
        ("c.example", 421, ""),
        ("x.b.example:8080", 200, "site b"),
        ("b.example", 421, ""),
        ("A.EXAMPLE", 200, "site a"),
        ("a.example", 200, "site a"),
    ];
    let mut http1 = server.connect();
    let mut http2 = Http2::connect(server.address());
    for (host, status, body) in rows {
        http1.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let one = http1.answer();
        let id = http2.open();
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", host),
        ];
        let flags = END_HEADERS | END_STREAM;
        http2.send(frame(kind::HEADERS, flags, id, &block(&fields)));
        let two = http2.answer(id);
        for answer in [one, two] {
            assert_eq!(answer.status, status, "{host}");
            if status == 200 {
                answer.assert_body(body.as_bytes());
            }
        }
    }
}

const ENTRIES: usize = 5_000;

/// How a long listing is framed by each version, and what the connection is good for afterwards.
pub(crate) fn long_listings_are_framed(engine: Engine) {
    let site = Site::of(&[("a.txt", b"alpha")]);
    std::fs::create_dir(site.path("long")).unwrap();
    for n in 0..ENTRIES {
        std::fs::write(site.path(&format!("long/file-{n}.txt")), b"x").unwrap();
    }
    site.write("long/<b>&\"'.txt", b"x");
    let server = Server::of(engine, &site, &["--list"]);
    let (head, chunked) = chunked_and_next(&server);
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert!(!head.contains("content-length"), "RFC 9112 §6.2: {head}");
    let whole: serde_json::Value = serde_json::from_slice(&chunked).unwrap();
    assert_eq!(whole["entries"].as_array().unwrap().len(), ENTRIES + 1);
    assert_eq!(whole["complete"], serde_json::Value::Bool(true));
    // To the end of the connection, where there are no chunks (RFC 9112 §6.3).
    let text = until_closed(&server, "/long/?format=json");
    let (head, closed) = split(&text);
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    assert!(closed == chunked, "the same over both versions");
    let mut http2 = Http2::connect(server.address());
    let streamed = http2.get("/long/?format=json");
    assert_eq!(streamed.status, 200);
    assert!(streamed.body == chunked, "the same over HTTP/2");
    http2.get("/a.txt").assert_body(b"alpha");
    let page = http2.get("/long/");
    let page = String::from_utf8(page.body).unwrap();
    assert!(page.contains("file-4999.txt") && !page.contains("<b>&"));
    assert!(page.trim_end().ends_with("</html>"));
    let id = http2.ask("HEAD", "/long/", &[]);
    let head = http2.answer(id);
    assert_eq!((head.status, head.body.len()), (200, 0));
    http2.get("/a.txt").assert_body(b"alpha");
    // Who leaves in the middle harms nobody.
    for _ in 0..5 {
        let mut client = server.connect();
        client.send("GET /long/ HTTP/1.1\r\nHost: a\r\n\r\n");
        client.reset();
    }
    server.get("/a.txt").assert_body(b"alpha");
    // And what is listed follows the disk.
    let lists = |name: &str| {
        let answer = Http2::connect(server.address()).get("/long/?format=json");
        String::from_utf8(answer.body).unwrap().contains(name)
    };
    site.write("long/newcomer.txt", b"x");
    within(Duration::from_millis(1_500), "a new name", || {
        lists("newcomer.txt")
    });
}

/// A long listing over HTTP/1.1 with another request behind it, both sent at once.
fn chunked_and_next(server: &Server) -> (String, Vec<u8>) {
    use std::io::{Read, Write};
    let mut stream = connect_tcp(server.address());
    let one = "GET /long/?format=json HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = "HEAD /long/?format=json HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = "GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream
        .write_all([one, head, last].concat().as_bytes())
        .unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let (head, rest) = split(&all);
    let (mut rest, mut body) = (rest, Vec::new());
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let len = std::str::from_utf8(&rest[..end]).unwrap();
        let len = usize::from_str_radix(len, 16).expect("a chunk has a length");
        let chunk = &rest[end + 2..];
        body.extend_from_slice(&chunk[..len]);
        assert_eq!(&chunk[len..len + 2], b"\r\n", "RFC 9112 §7.1");
        rest = &chunk[len + 2..];
        if len == 0 {
            break;
        }
    }
    let (of_head, rest) = split(rest);
    assert!(of_head.starts_with("http/1.1 200 "), "{of_head}");
    let (next, content) = split(rest);
    assert!(next.starts_with("http/1.1 200 "), "{next}");
    assert_eq!(content, b"alpha");
    (head, body)
}

fn until_closed(server: &Server, path: &str) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut stream = connect_tcp(server.address());
    let request = format!("GET {path} HTTP/1.0\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

/// The first head, in lower case, and what follows it.
fn split(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, rest) = bytes.split_at(end.expect("a head") + 4);
    (String::from_utf8_lossy(head).to_lowercase(), rest)
}
