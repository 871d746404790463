//! HTTP/2 over clear text, begun with its preface (RFC 9113 §3.3): requests, bodies, windows and
//! priorities. How connections end is in `http2_life.rs`, what means harm in `http2_abuse.rs`.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use crate::client::{Client, connect_tcp};
use crate::http2_client::{
    END_HEADERS, END_STREAM, Http2, INITIAL_WINDOW, PREFACE, block, code, frame, get, kind,
    literal, request, settings,
};
use crate::rig::{Engine, Server, Site, pattern};

const SMALL: usize = 10_000;
const MIDDLE: usize = 100_000;
const LARGE: usize = 5_000_000;
/// Wide enough not to matter.
const WIDE: (u16, u32) = (INITIAL_WINDOW, 100_000_000);

fn site() -> Site {
    let site = Site::of(&[("a", b"alpha"), ("empty", b"")]);
    site.write("small", pattern(SMALL, 1));
    site.write("middle", pattern(MIDDLE, 2));
    site.write("large", pattern(LARGE, 3));
    site
}

/// Whatever is asked, both protocols say the same.
pub(crate) fn answers_are_those_of_http1(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let etag = server.get("/a").field("etag").unwrap().to_owned();
    let long = format!("/{}", "x".repeat(9_000));
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);
    let rows: [Row<'_>; 18] = [
        ("GET", "/a", &[], 200),
        ("GET", "/a?b=c", &[], 200),
        ("GET", "/empty", &[], 200),
        ("GET", "/small", &[], 200),
        ("HEAD", "/small", &[], 200),
        ("GET", "/middle", &[], 200),
        ("HEAD", "/middle", &[], 200),
        ("GET", "/a", &[("if-none-match", &etag)], 304),
        ("GET", "/none", &[], 404),
        ("HEAD", "/none", &[], 404),
        ("GET", "/../a", &[], 400),
        ("GET", "/%2e%00", &[], 400),
        ("POST", "/a", &[], 405),
        ("BREW", "/a", &[], 501),
        ("OPTIONS", "*", &[], 204),
        ("GET", "/small", &[("range", "bytes=10-19")], 206),
        ("GET", "/middle", &[("range", "bytes=-50000")], 206),
        ("GET", &long, &[], 414),
    ];
    let mut http2 = Http2::connect(server.address());
    for (method, path, fields, status) in rows {
        let mut http1 = server.connect();
        let lines = fields.iter();
        let lines = lines.map(|(name, value)| format!("{name}: {value}\r\n"));
        let lines: String = lines.collect();
        http1.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n"
        ));
        let expected = match method {
            "HEAD" => http1.answer_to_head(),
            _ => http1.answer(),
        };
        let id = http2.ask(method, path, fields);
        let answer = http2.answer(id);
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(expected.status, status, "{method} {path}");
        let mut fields = expected.fields_but_date();
        fields.retain(|(name, _)| name != "connection");
        assert_eq!(answer.fields_but_date(), fields, "{method} {path}");
        answer.assert_body(&expected.body);
    }
    assert!(http2.goaways.is_empty());
}

/// What is whole but not acceptable is answered; what is malformed costs its stream (RFC 9113
/// §8.1.1), and the connection goes on.
pub(crate) fn bad_requests_cost_their_stream(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let mut client = Http2::connect(server.address());
    let good = request("GET", "/a", &[]);
    let with = |name: &str, value: &str| [&good[..], &literal(name, value)].concat();
    let malformed: [(&str, Vec<u8>); 14] = [
        ("an empty block", Vec::new()),
        (
            "no path",
            block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a")]),
        ),
        ("an empty path", request("GET", "", &[])),
        ("a path without slash", request("GET", "a", &[])),
        ("an upper-case name", with("Accept", "x")),
        ("an empty name", with("", "x")),
        ("a space in a name", with("a b", "x")),
        ("a line end in a value", with("x", "a\r\nb: c")),
        ("a field of the connection", with("connection", "close")),
        ("another one", with("transfer-encoding", "chunked")),
        ("te", with("te", "gzip")),
        ("a pseudo-field at the end", with(":method", "GET")),
        (
            "an unknown pseudo-field",
            [literal(":x", "y"), good.clone()].concat(),
        ),
        ("content that is missing", with("content-length", "5")),
    ];
    for (what, block) in malformed {
        let id = client.open();
        let flags = END_HEADERS | END_STREAM;
        client.send(frame(kind::HEADERS, flags, id, &block));
        let outcome = client.outcome(id).map(|answer| answer.status);
        assert_eq!(outcome, Err(code::PROTOCOL_ERROR), "{what}");
        client.get("/a").assert_body(b"alpha");
    }
    // §8.5: a tunnel is not what this server is for.
    let id = client.open();
    let connect = block(&[(":method", "CONNECT"), (":authority", "a:443")]);
    client.send(frame(kind::HEADERS, END_HEADERS, id, &connect));
    let refused = client.answer(id);
    assert!(matches!(refused.status, 405 | 501), "{}", refused.status);
    // Too long a list of fields.
    let id = client.ask("GET", "/a", &[("x", &"y".repeat(7_000))]);
    assert_eq!(client.answer(id).status, 200);
    let many: Vec<_> = (0..101).map(|_| ("x", "y")).collect();
    let id = client.ask("GET", "/a", &many);
    assert_eq!(client.answer(id).status, 431);
    client.get("/a").assert_body(b"alpha");
}

/// A whole page of requests: all answers leave together.
pub(crate) fn a_hundred_streams_in_one_write(engine: Engine) {
    const STREAMS: usize = 100;
    let site = site();
    let server = Server::of(engine, &site, &[]);
    for path in ["/a", "/small", "/none"] {
        server.get(path);
    }
    let mut client = Http2::connect_with(server.address(), &[WIDE]);
    client.open_connection_window(10_000_000);
    client.ping();
    for path in ["/a", "/small", "/none"] {
        let ids: Vec<u32> = (0..STREAMS).map(|_| client.open()).collect();
        let requests: Vec<u8> = ids.iter().flat_map(|id| get(*id, path)).collect();
        let before = client.reads;
        client.send(requests);
        for id in ids {
            let answer = client.answer(id);
            match path {
                "/a" => answer.assert_body(b"alpha"),
                "/small" => answer.assert_body(&pattern(SMALL, 1)),
                _ => assert_eq!(answer.status, 404),
            }
        }
        // A read takes what came with one or two sends, 64 KiB at most; the client reads no faster
        // than the server writes.
        let most = if path == "/small" { 60 } else { 8 };
        let reads = client.reads - before;
        assert!(reads <= most, "{reads} reads for {path}");
    }
}

/// Files of every kind through windows of every size.
pub(crate) fn bodies_pass_through_windows(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let bodies = [
        ("/a", b"alpha".to_vec()),
        ("/empty", Vec::new()),
        ("/small", pattern(SMALL, 1)),
        ("/middle", pattern(MIDDLE, 2)),
        ("/large", pattern(LARGE, 3)),
    ];
    for window in [65_535, 100_000_000, 5_000, 1] {
        let values = [(INITIAL_WINDOW, window)];
        let mut client = Http2::connect_with(server.address(), &values);
        for (path, body) in &bodies {
            if body.len() / window as usize <= 1_000 {
                client.get(path).assert_body(body);
            }
        }
        // All at a time.
        let ids = bodies.each_ref().map(|(path, body)| {
            let fits = body.len() / window as usize <= 1_000;
            fits.then(|| client.ask("GET", path, &[]))
        });
        for (id, (_, body)) in ids.iter().zip(&bodies) {
            if let Some(id) = id {
                client.answer(*id).assert_body(body);
            }
        }
        assert!(client.goaways.is_empty());
    }
}

/// Windows that are opened by hand, by WINDOW_UPDATE and by SETTINGS (§6.9.2).
pub(crate) fn windows_are_kept_to(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let mut client = Http2::connect_with(server.address(), &[(INITIAL_WINDOW, 0)]);
    client.opens_windows = false;
    let large = client.ask("GET", "/large", &[]);
    let small = client.ask("GET", "/small", &[]);
    let empty = client.ask("GET", "/empty", &[]);
    client.answer(empty).assert_body(b"");
    client.ping();
    assert_eq!((client.received(large), client.received(small)), (0, 0));
    client.open_window(large, 1);
    client.read_until(|client| client.received(large) == 1);
    // The windows of streams that are open change with the setting.
    client.set_initial_window(SMALL);
    client.answer(small).assert_body(&pattern(SMALL, 1));
    client.read_until(|client| client.received(large) == SMALL + 1);
    // It may go below zero, and then more is owed.
    client.set_initial_window(0);
    client.ping();
    client.open_window(large, SMALL as u32 - 1);
    client.ping();
    assert_eq!(client.received(large), SMALL + 1);
    client.open_window(large, LARGE as u32);
    client.answer(large).assert_body(&pattern(LARGE, 3));
}

/// RFC 9218: urgency first, then order; who can use parts takes turns.
pub(crate) fn the_urgent_go_first(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    server.get("/large");
    server.get("/middle");
    let mut client = Http2::connect_with(server.address(), &[WIDE]);
    client.opens_windows = false;
    let idle = client.ask("GET", "/large", &[("priority", "u=7")]);
    client.read_until(|client| client.received(idle) == 65_535);
    let mut ask = |priority| client.ask("GET", "/middle", &[("priority", priority)]);
    let normal = ask("u=3");
    let late = ask("");
    let urgent = ask("u=0");
    let [odd, even] = ["u=5, i", "u=5, i"].map(&mut ask);
    let raised = ask("u=6");
    // PRIORITY_UPDATE (RFC 9218 §7.1).
    let update = [&raised.to_be_bytes()[..], b"u=1"].concat();
    client.send(frame(0x10, 0, 0, &update));
    client.read_until(|client| {
        let all = [normal, late, urgent, odd, even, raised];
        all.iter().all(|id| client.has_head(*id))
    });
    client.ping();
    client.order.clear();
    client.open_connection_window(6 * MIDDLE as u32 + 1);
    client.read_until(|client| client.received(idle) == 65_536);
    let order = std::mem::take(&mut client.order);
    let mut seen: Vec<u32> = order.clone();
    seen.dedup();
    let turns = seen.iter().position(|id| *id == odd).unwrap();
    assert_eq!(seen[..turns], [urgent, raised, normal, late], "{order:?}");
    assert_eq!(seen.last(), Some(&idle));
    // Frames of 16 KiB, each in its turn.
    assert!(seen.len() - turns > 10, "{order:?}");
    for id in [normal, late, urgent, odd, even, raised] {
        client.answer(id).assert_body(&pattern(MIDDLE, 2));
    }
}

/// Content of requests is thrown away; who sends much of it is told to stop (§8.1).
pub(crate) fn content_is_thrown_away(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let mut client = Http2::connect(server.address());
    let piece = pattern(10_000, 4);
    // More than the connection's window in all.
    for round in 0..20 {
        let length = [("content-length", "1000000")];
        let id = client.ask_with_content("POST", &length);
        for _ in 0..10 {
            client.send(frame(kind::DATA, 0, id, &piece));
        }
        client.read_until(|client| client.reset_code(id).is_some());
        assert_eq!(client.reset_code(id), Some(code::NO_ERROR), "{round}");
        assert_eq!(client.answer(id).status, 405);
        // What was on its way is no fault.
        client.send(frame(kind::DATA, END_STREAM, id, &piece));
        client.get("/a").assert_body(b"alpha");
    }
    // A little content, whole, with and without trailers, padded, and none at last.
    for trailers in [false, true] {
        let id = client.ask_with_content("POST", &[("content-length", "5")]);
        let flags = if trailers { 0 } else { END_STREAM };
        client.send(frame(kind::DATA, flags | 8, id, b"\x03hello\0\0\0"));
        if trailers {
            let trailers = block(&[("x-checksum", "y")]);
            client.send(frame(
                kind::HEADERS,
                END_HEADERS | END_STREAM,
                id,
                &trailers,
            ));
        }
        assert_eq!(client.answer(id).status, 405);
        client.ping();
        client.get("/a").assert_body(b"alpha");
    }
    let id = client.ask_with_content("GET", &[]);
    client.send(frame(kind::DATA, END_STREAM, id, b""));
    client.answer(id).assert_body(b"alpha");
    assert!(client.goaways.is_empty());
}

/// Content or trailers that break their stream's rules reset it and harm no other.
pub(crate) fn broken_content_costs_its_stream(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let mut client = Http2::connect(server.address());
    let length: &[(&str, &str)] = &[("content-length", "5")];
    let headers = |fields: &[(&str, &str)], flags| (kind::HEADERS, flags, block(fields));
    let rows = [
        ("too much", (kind::DATA, 0, b"hello!".to_vec())),
        ("too little", (kind::DATA, END_STREAM, b"hell".to_vec())),
        ("trailers that go on", headers(&[("x", "y")], END_HEADERS)),
        (
            "a pseudo-field in trailers",
            headers(&[(":path", "/")], END_HEADERS | END_STREAM),
        ),
    ];
    for (what, (kind, flags, payload)) in rows {
        let fields = if kind == kind::DATA { length } else { &[] };
        let id = client.ask_with_content("POST", fields);
        client.send(frame(kind, flags, id, &payload));
        client.read_until(|client| client.reset_code(id).is_some());
        assert_eq!(client.reset_code(id), Some(code::PROTOCOL_ERROR), "{what}");
        client.get("/a").assert_body(b"alpha");
    }
}

/// RFC 9113 §3.1: the upgrade of RFC 7540 is gone; HTTP/1.1 answers.
pub(crate) fn an_upgrade_is_ignored(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    for _ in 0..2 {
        let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                      HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n";
        let answer = client.get_with("/a", fields);
        answer.assert_body(b"alpha");
        assert_eq!((answer.status, answer.field("upgrade")), (200, None));
    }
    // After a request, the preface is one more request, and none that we know.
    client.send(PREFACE);
    assert!((400..=505).contains(&client.answer().status));
    client.assert_closed();
}

pub(crate) fn a_preface_may_come_in_any_pieces(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let all = [PREFACE, &settings(&[]), &get(1, "/a")].concat();
    for cut in 1..all.len() {
        let mut stream = connect_tcp(server.address());
        stream.write_all(&all[..cut]).unwrap();
        sleep(Duration::from_millis(1));
        stream.write_all(&all[cut..]).unwrap();
        let mut client = Http2::silent(stream);
        let id = client.open();
        client.answer(id).assert_body(b"alpha");
    }
    let mut stream = connect_tcp(server.address());
    for byte in &all {
        stream.write_all(&[*byte]).unwrap();
        sleep(Duration::from_millis(1));
    }
    let mut client = Http2::silent(stream);
    let id = client.open();
    client.answer(id).assert_body(b"alpha");
    // What only begins like it is HTTP/1, and none that we know.
    for cut in 1..PREFACE.len() {
        let mut client = Client::connect(server.address());
        client.send(&PREFACE[..cut]);
        sleep(Duration::from_millis(1));
        client.send("!\r\n\r\n");
        let answer = client.answer();
        assert!((400..=505).contains(&answer.status), "{cut}");
        client.assert_closed();
    }
}

/// Fast and slow lane side by side: nobody waits for a neighbour.
pub(crate) fn streams_over_both_lanes(engine: Engine) {
    const FILES: usize = 40;
    let site = site();
    for n in 0..FILES {
        site.write(&format!("{n}"), pattern(3_000 * n, n as u64));
    }
    let server = Server::of(engine, &site, &[]);
    server.get("/a");
    let mut client = Http2::connect_with(server.address(), &[WIDE]);
    let mut requests = Vec::new();
    let ids: Vec<(u32, u32)> = (0..FILES)
        .map(|n| {
            let slow = client.open();
            requests.extend(get(slow, &format!("/{n}")));
            let fast = client.open();
            requests.extend(get(fast, "/a"));
            (slow, fast)
        })
        .collect();
    client.send(requests);
    for (n, (slow, fast)) in ids.into_iter().enumerate() {
        client.answer(fast).assert_body(b"alpha");
        client
            .answer(slow)
            .assert_body(&pattern(3_000 * n, n as u64));
    }
}

pub(crate) fn cold_files_arrive_over_http2(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    for _ in 0..3 {
        site.cool("large");
        site.cool("middle");
        let mut client = Http2::connect_with(server.address(), &[WIDE]);
        let paths = ["/large", "/middle", "/a", "/large"];
        let ids = paths.map(|path| client.ask("GET", path, &[]));
        client.answer(ids[2]).assert_body(b"alpha");
        client.answer(ids[1]).assert_body(&pattern(MIDDLE, 2));
        client.answer(ids[0]).assert_body(&pattern(LARGE, 3));
        client.answer(ids[3]).assert_body(&pattern(LARGE, 3));
    }
}
