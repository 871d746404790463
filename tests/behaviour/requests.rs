//! Requests and connections (RFC 9112): what is answered, in which order, and what goes on after.

use std::fmt::Write;
use std::thread::sleep;
use std::time::Duration;

use crate::client::{Answer, Client, End};
use crate::rig::{Engine, Server, Site, pattern};

fn site() -> Site {
    Site::of(&[
        ("a.txt", b"alpha"),
        ("b.txt", b"beta"),
        ("empty.txt", b""),
        ("dir/index.html", b"index"),
    ])
}

/// Sends bytes over a connection of their own and reads one answer.
#[track_caller]
fn ask(server: &Server, bytes: &str) -> (Client, Answer) {
    let mut client = server.connect();
    client.send(bytes);
    let answer = client.answer();
    (client, answer)
}

/// The connection goes on: another request is answered on it.
#[track_caller]
fn assert_goes_on(client: &mut Client) {
    assert!(client.has_nothing_left());
    let answer = client.get("/b.txt");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"beta"[..]));
}

/// The server refuses with a short readable page and ends the connection, whatever follows.
#[track_caller]
fn assert_refused(server: &Server, bytes: &str, status: u16) {
    let mut client = server.connect();
    client.send(bytes);
    let answer = client.answer();
    assert_eq!(answer.status, status, "{bytes:?}");
    assert_is_page(&answer);
    assert!(answer.says_close(), "{bytes:?}");
    client.assert_closed();
}

#[track_caller]
fn assert_is_page(answer: &Answer) {
    let text = std::str::from_utf8(&answer.body).unwrap();
    assert!(text.starts_with(&answer.status.to_string()), "{text}");
    assert!(text.ends_with('\n') && text.lines().count() == 2, "{text}");
    assert_eq!(
        answer.field("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

pub(crate) fn all_forms_of_targets(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    for target in [
        "/a.txt",
        "/a.txt?",
        "/a.txt?x=/../y",
        "http://a/a.txt",
        "HTTPS://b:1/a.txt?q",
    ] {
        let (mut client, answer) = ask(
            &server,
            &format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
        );
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, &b"alpha"[..]),
            "{target}"
        );
        assert_goes_on(&mut client);
    }
    let (_, answer) = ask(&server, "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.status, 404, "no index at the root");
    let (mut client, answer) = ask(&server, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.status, 501);
    assert_goes_on(&mut client);
    for line in [
        "GET *",
        "GET a.txt",
        "GET ftp://a/",
        "GET http://",
        "GET /#a",
        "CONNECT /",
    ] {
        assert_refused(&server, &format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    }
}

pub(crate) fn host_stands_exactly_once(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    for fields in ["Host:\r\n", "Host: a:80\r\n", "hOsT: [::1]:1\r\n"] {
        let (mut client, answer) = ask(&server, &format!("GET /a.txt HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(answer.status, 200, "{fields:?}");
        assert_goes_on(&mut client);
    }
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: u@a\r\n",
    ] {
        assert_refused(
            &server,
            &format!("GET /a.txt HTTP/1.1\r\n{fields}\r\n"),
            400,
        );
    }
    let (_, answer) = ask(&server, "GET /a.txt HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert_refused(
        &server,
        "GET /a.txt HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        400,
    );
}

pub(crate) fn connections_persist_by_version(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    // Version, field, what the answer says, whether the connection goes on (RFC 9112 §9.3).
    let rows = [
        ("1.1", "", None, true),
        ("1.1", "Connection: keep-alive\r\n", None, true),
        ("1.1", "Connection: close\r\n", Some("close"), false),
        ("1.1", "Connection: foo, CLOSE\r\n", Some("close"), false),
        ("1.0", "", Some("close"), false),
        (
            "1.0",
            "Connection: Keep-Alive\r\n",
            Some("keep-alive"),
            true,
        ),
        (
            "1.0",
            "Connection: keep-alive, close\r\n",
            Some("close"),
            false,
        ),
    ];
    for (version, field, says, goes_on) in rows {
        let request = format!("GET /a.txt HTTP/{version}\r\nHost: a\r\n{field}\r\n");
        let (mut client, answer) = ask(&server, &request);
        assert_eq!(answer.field("connection"), says, "{request:?}");
        answer.assert_body(b"alpha");
        if goes_on {
            assert_goes_on(&mut client);
        } else {
            client.assert_closed();
        }
    }
    // What is pipelined behind the last request is not answered.
    let last = "GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (mut client, _) = ask(&server, &format!("{last}{last}"));
    client.assert_closed();
}

pub(crate) fn a_thousand_pipelined_requests_in_order(engine: Engine) {
    let site = site();
    let bodies: Vec<Vec<u8>> = (0..10).map(|n| pattern(100 + 37 * n, n as u64)).collect();
    for (n, body) in bodies.iter().enumerate() {
        site.write(&format!("n{n}"), body);
    }
    let server = Server::of(engine, &site, &[]);
    let mut requests = String::new();
    for n in 0..1000 {
        // One in fifty leads nowhere.
        let name = if n % 50 == 49 { 10 } else { n % 10 };
        write!(requests, "GET /n{name}?{n} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    for _ in 0..2 {
        let mut client = server.connect();
        let sender = client.send_beside(requests.clone().into_bytes());
        for n in 0..1000 {
            let answer = client.answer();
            if n % 50 == 49 {
                assert_eq!(answer.status, 404, "request {n}");
            } else {
                assert_eq!(answer.status, 200, "request {n}");
                answer.assert_body(&bodies[n % 10]);
            }
        }
        sender.join().unwrap();
        assert_goes_on(&mut client);
    }
}

/// Cold files and large ones between cached ones; each size takes another way out.
pub(crate) fn pipelined_over_both_lanes(engine: Engine) {
    let site = site();
    let sizes = [1, 20_000, 300_000, 600, 17_000, 700_000];
    let mut requests = String::new();
    let mut expected = Vec::new();
    for n in 0..60 {
        let body = pattern(sizes[n % sizes.len()] + n, n as u64);
        site.write(&format!("cold/{n}"), &body);
        site.cool(&format!("cold/{n}"));
        write!(requests, "GET /cold/{n} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        write!(requests, "GET /b.txt HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        expected.push(body);
        expected.push(b"beta".to_vec());
    }
    let server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    client.get("/b.txt");
    for _ in 0..2 {
        let sender = client.send_beside(requests.clone().into_bytes());
        for body in &expected {
            client.answer().assert_body(body);
        }
        sender.join().unwrap();
    }
    assert_goes_on(&mut client);
}

pub(crate) fn head_is_get_without_content(engine: Engine) {
    let site = site();
    site.write("large", pattern(600_000, 1));
    let server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    let tag = client.get("/a.txt").field("etag").unwrap().to_owned();
    let unchanged = format!("If-None-Match: {tag}\r\n");
    let rows = [
        ("/a.txt", "", 200),
        ("/empty.txt", "", 200),
        ("/large", "", 200),
        ("/dir/", "", 200),
        ("/dir", "", 308),
        ("/none", "", 404),
        ("/.hidden", "", 404),
        ("/%zz", "", 400),
        ("/a.txt", &unchanged, 304),
        ("/a.txt", "If-Match: \"other\"\r\n", 412),
    ];
    for (path, fields, status) in rows {
        // Twice: what is cold and what is known must not differ.
        for _ in 0..2 {
            let head = client.head_with(path, fields);
            let get = client.get_with(path, fields);
            assert_eq!(head.status, status, "{path}");
            assert_eq!(get.status, status, "{path}");
            assert_eq!(head.fields_but_date(), get.fields_but_date(), "{path}");
        }
    }
    assert_goes_on(&mut client);
    // A range means nothing to HEAD (RFC 9110 §14.2).
    let answer = client.head_with("/a.txt", "Range: bytes=0-1\r\n");
    assert_eq!(
        (answer.status, answer.field("content-length")),
        (200, Some("5"))
    );
    assert_goes_on(&mut client);
}

/// Content would be taken for the beginning of the next answer (RFC 9110 §9.3.2).
pub(crate) fn no_content_for_a_head_that_is_refused(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let long = "x".repeat(9000);
    let rows = [
        ("HEAD / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("\r\nHEAD / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400),
        ("HEAD / HTTP/1.9\r\nHost: a\r\n\r\n".to_owned(), 505),
        (
            "HEAD / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n".to_owned(),
            417,
        ),
        (format!("HEAD /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
    ];
    for (request, status) in rows {
        let mut client = server.connect();
        client.send(&request);
        assert_eq!(client.answer_to_head().status, status, "{request:?}");
        client.assert_closed();
    }
}

pub(crate) fn methods(engine: Engine) {
    const ALLOW: Option<&str> = Some("GET, HEAD, OPTIONS");
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    for target in ["*", "/", "/a.txt", "/none"] {
        client.send(format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(
            (answer.status, answer.field("allow")),
            (204, ALLOW),
            "{target}"
        );
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
        client.send(format!("{method} /a.txt HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(
            (answer.status, answer.field("allow")),
            (405, ALLOW),
            "{method}"
        );
        assert_is_page(&answer);
    }
    for method in ["BREW", "get", "G", "PROPFIND"] {
        client.send(format!("{method} /a.txt HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(
            (answer.status, answer.field("allow")),
            (501, None),
            "{method}"
        );
        assert_is_page(&answer);
    }
    assert_goes_on(&mut client);
}

pub(crate) fn too_long_and_unknown(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &["--max-head-bytes", "16K"]);
    let long = |bytes| "x".repeat(bytes);
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/3", "HTTP/0.9"] {
        assert_refused(&server, &format!("GET / {version}\r\nHost: a\r\n\r\n"), 505);
    }
    for version in ["http/1.1", "HTTP/1.", "HTTP/x.1", "HTTP", "HTTP/1.1x"] {
        assert_refused(&server, &format!("GET / {version}\r\nHost: a\r\n\r\n"), 400);
    }
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(8192));
    assert_refused(&server, &target, 414);
    // Refused although its end never comes.
    assert_refused(&server, &format!("GET /{}", long(16_384)), 414);
    let field = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(17_000));
    assert_refused(&server, &field, 431);
    let fields = "A: b\r\n".repeat(101);
    assert_refused(
        &server,
        &format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"),
        431,
    );
    assert_refused(&server, &long(40), 501);
    // The longest that is allowed.
    let fits = format!(
        "GET /a.txt HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        long(16_000)
    );
    assert_eq!(ask(&server, &fits).1.status, 200);
    let name = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(8000));
    assert_eq!(ask(&server, &name).1.status, 404);
}

/// Heads that two recipients could read in two ways (RFC 9112 §11.2): none of them is answered as a
/// request, and what is hidden behind them is never answered.
pub(crate) fn ambiguous_heads_are_refused(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let fields = [
        "Content-Length: 4\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4, 4\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: -4\r\n",
        "Content-Length: 0x4\r\n",
        "Content-Length: 4 4\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length : 4\r\n",
        " Content-Length: 4\r\n",
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X: a\0b\r\n",
        "X: a\rb\r\n",
        "X: a\nY: b\r\n",
        "X: a\n",
        "X\r\n",
        ": a\r\n",
        "X Y: a\r\n",
        "X(): a\r\n",
        "\u{e9}: a\r\n",
    ];
    for field in fields {
        let request = format!("POST /a.txt HTTP/1.1\r\nHost: a\r\n{field}\r\n");
        assert_refused(
            &server,
            &format!("{request}GET /b.txt HTTP/1.1\r\nHost: a\r\n\r\n"),
            400,
        );
    }
    for line in [
        "GET  /", "GET /\t", " GET /", "GET / ", "GET", "G\x01T /", "GET /a b",
    ] {
        assert_refused(&server, &format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_refused(&server, old, 400);
    let unknown = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    assert_refused(&server, unknown, 501);
}

/// RFC 9110 §10.1.1: the final answer at once, without the content, and the end.
pub(crate) fn an_expectation_gets_the_final_answer(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    for (method, status) in [("POST", 405), ("GET", 200)] {
        let mut client = server.connect();
        let head = "Host: a\r\nExpect: 100-Continue\r\nContent-Length: 10\r\n\r\n";
        client.send(format!("{method} /a.txt HTTP/1.1\r\n{head}"));
        let answer = client.answer();
        assert_eq!(answer.status, status);
        assert!(answer.says_close());
        // Its content comes all the same, and must not reset what was answered.
        client.try_send("0123456789");
        client.assert_closed();
    }
    // Without content there is nothing to wait for, and HTTP/1.0 has no expectations.
    let mut client = server.connect();
    let answer = client.get_with("/a.txt", "Expect: 100-continue\r\n");
    assert_eq!((answer.status, answer.says_close()), (200, false));
    assert_goes_on(&mut client);
    let old = "GET /a.txt HTTP/1.0\r\nExpect: what\r\nConnection: keep-alive\r\n\r\n";
    let (mut client, answer) = ask(&server, old);
    assert_eq!(answer.status, 200);
    assert_goes_on(&mut client);
    assert_refused(
        &server,
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n",
        417,
    );
}

pub(crate) fn content_that_nobody_wants_is_drained(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let bodies = [
        format!("Content-Length: 5\r\n\r\n{}", "x".repeat(5)),
        format!("Content-Length: 60000\r\n\r\n{}", "x".repeat(60_000)),
        format!("{chunked}5;a=b\r\nhello\r\n0\r\n\r\n"),
        format!("{chunked}A\r\n0123456789\r\n00\r\nTrailer: x\r\nOther: y\r\n\r\n"),
        format!("{chunked}{}0\r\n\r\n", "1\r\nx\r\n".repeat(1000)),
    ];
    for (n, body) in bodies.iter().enumerate() {
        let mut client = server.connect();
        for (method, path, status) in [("GET", "/a.txt", 200), ("POST", "/a.txt", 405)] {
            client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{body}"));
            assert_eq!(client.answer().status, status);
            assert_goes_on(&mut client);
        }
        // Behind a cold file, in one write with the next request.
        let cold = format!("cold{n}");
        site.write(&cold, "cold");
        let next = "GET /b.txt HTTP/1.1\r\nHost: a\r\n\r\n";
        let requests = format!("GET /{cold} HTTP/1.1\r\nHost: a\r\n{body}{next}");
        let sender = client.send_beside(requests.into_bytes());
        client.answer().assert_body(b"cold");
        client.answer().assert_body(b"beta");
        sender.join().unwrap();
        // Byte by byte.
        if body.len() < 100 {
            let request = format!("GET /a.txt HTTP/1.1\r\nHost: a\r\n{body}");
            for byte in request.as_bytes() {
                client.send([*byte]);
            }
            client.answer().assert_body(b"alpha");
            assert_goes_on(&mut client);
        }
    }
}

pub(crate) fn content_that_is_too_long_ends_the_connection(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let head = "POST /a.txt HTTP/1.1\r\nHost: a\r\n";
    let (mut client, answer) = ask(&server, &format!("{head}Content-Length: 65537\r\n\r\n"));
    assert_eq!(answer.status, 405);
    assert!(answer.says_close(), "announced, so that nobody sends it");
    // A polite client that sends it all the same has got its answer, and is not reset at once.
    assert!(client.try_send("x".repeat(65_537)));
    client.assert_closed();
    // Chunks have no length that could be known before.
    let (mut client, answer) = ask(
        &server,
        &format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
    );
    assert_eq!((answer.status, answer.says_close()), (405, false));
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let sent = (0..10_000).take_while(|_| client.try_send(&chunk)).count();
    assert!(sent < 10_000, "an endless body was read");
    assert!(matches!(client.end(), End::Closed(0) | End::Reset));
    // And broken ones leave no place where the next request could begin.
    for body in [
        "5\r\nhelloX",
        "x\r\n",
        "5 \r\nhello\r\n",
        "-1\r\n",
        "0\r\nX\r\n\r\n",
        "5\nhello",
    ] {
        let next = "GET /b.txt HTTP/1.1\r\nHost: a\r\n\r\n";
        let request = format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}{next}");
        let (mut client, answer) = ask(&server, &request);
        assert_eq!(answer.status, 405);
        client.assert_closed();
    }
}

pub(crate) fn a_head_may_come_in_any_pieces(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let request = "GET /a.txt?q HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n\r\n";
    let mut client = server.connect();
    for position in 1..request.len() {
        client.send(&request[..position]);
        sleep(Duration::from_millis(1));
        client.send(&request[position..]);
        client.answer().assert_body(b"alpha");
    }
    for byte in request.repeat(3).as_bytes() {
        client.send([*byte]);
    }
    for _ in 0..3 {
        client.answer().assert_body(b"alpha");
    }
    // The end of one request and the beginning of the next in one piece, all the way through.
    let many = request.repeat(50);
    for piece in many.as_bytes().chunks(request.len() - 1) {
        client.send(piece);
        sleep(Duration::from_micros(300));
    }
    for _ in 0..50 {
        client.answer().assert_body(b"alpha");
    }
    assert_goes_on(&mut client);
}

pub(crate) fn empty_lines_before_a_request(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let request = "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = server.connect();
    for count in 0..=4 {
        client.send(format!("{}{request}", "\r\n".repeat(count)));
        client.answer().assert_body(b"alpha");
    }
    assert_goes_on(&mut client);
    assert_refused(&server, &"\r\n".repeat(6), 400);
    assert_refused(&server, &format!("\n{request}"), 400);
}
