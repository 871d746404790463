//! Content on its way in: when it is asked for, what ends it, and that nothing stays of what was
//! not taken.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::*;
use crate::client::End;
use crate::http2_client::{END_STREAM, code, frame, kind, rst_stream};
use crate::rig::{PATIENCE, pattern};

/// The head of a request whose client waits for 100 (Continue).
fn waiting_head(path: &str, fields: Fields<'_>, len: usize) -> String {
    let fields = [fields, &[("expect", "100-continue")]].concat();
    head("PUT", path, &fields, len)
}

/// An error that is known before any content comes does not cost the client any.
pub(crate) fn who_waits_to_be_told_is_told_what_is_wrong_first(engine: Engine) {
    let site = Site::of(&[("notes/a", b"alpha"), ("plain", b"")]);
    let keys = Keys::new();
    let server = keys.server(engine, &site, &open_with(&["--max-body-bytes", "1M"]));
    let refused: [(&str, Fields<'_>, usize, u16); 5] = [
        ("/notes/a", &[("if-none-match", "*")], LONG, 412),
        ("/notes/b", &[("if-match", "*")], LONG, 412),
        ("/notes/a/b", &[], LONG, 409),
        ("/notes/b", &[], 2_000_000, 413),
        ("/plain", &[], LONG, 405),
    ];
    for (path, fields, len, status) in refused {
        // The answer comes first and alone; what follows it would be a guess.
        let mut clear = server.connect();
        clear.send(waiting_head(path, fields, len));
        let answer = clear.answer();
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.says_close(), "{path}");
        clear.shut_down_write();
        clear.assert_closed();
        let mut tls = keys.http1(&server);
        tls.send(waiting_head(path, fields, len));
        assert_eq!(tls.answer().status, status, "{path}");
        let mut streams = Http2::connect(server.address());
        let length = len.to_string();
        let expects = [("expect", "100-continue"), ("content-length", &length)];
        let id = streams.begin_content("PUT", path, &[fields, &expects].concat());
        streams.read_until(|client| client.has_head(id));
        assert!(!streams.may_continue(id), "{path}");
        assert_eq!(streams.answer(id).status, status, "{path}");
    }
    let content = pattern(LONG, 1);
    for (number, len) in [LONG, 10].into_iter().enumerate() {
        let content = &content[..len];
        let path = format!("/notes/new{number}");
        let mut clear = server.connect();
        clear.send(waiting_head(&path, &[("if-none-match", "*")], len));
        clear.take_continue();
        clear.send(content);
        assert_eq!(clear.answer().status, 201);
        clear.get(&path).assert_body(content);
        let mut streams = keys.http2(&server);
        let id = streams.begin_content("PUT", &path, &[("expect", "100-continue")]);
        streams.read_until(|client| client.may_continue(id));
        assert!(streams.send_content(id, content, true));
        assert_eq!(streams.answer(id).status, 204);
        streams.get(&path).assert_body(content);
    }
    let left = ["notes/", "notes/a", "notes/new0", "notes/new1", "plain"];
    assert_left(&server, &site, &left);
}

/// By what is announced, and by what comes where nothing is: in memory, and in a draft.
pub(crate) fn content_that_is_too_long_is_refused(engine: Engine) {
    let site = Site::of(&[("notes/a", b"alpha")]);
    let keys = Keys::new();
    for max in [100 * 1024, 600 * 1024] {
        let bound = max.to_string();
        let server = keys.server(engine, &site, &open_with(&["--max-body-bytes", &bound]));
        let mut announced = server.connect();
        announced.send(head("PUT", "/notes/a", &[], max + 1));
        let answer = announced.answer();
        assert_eq!((answer.status, answer.says_close()), (413, true));
        let mut stream = Http2::connect(server.address());
        let length = (max + 1).to_string();
        let id = stream.begin_content("PUT", "/notes/a", &[("content-length", &length)]);
        assert_eq!(stream.answer(id).status, 413);
        // Its connection goes on.
        stream.get("/notes/a").assert_body(b"alpha");

        let chunk = [b"8000\r\n", &pattern(0x8000, 1)[..], b"\r\n"].concat();
        let chunked = "Transfer-Encoding: chunked\r\n\r\n";
        let mut chunks = server.connect();
        chunks.send(format!("PUT /notes/a HTTP/1.1\r\nHost: a\r\n{chunked}"));
        for _ in 0..=max / 0x8000 {
            chunks.try_send(&chunk);
        }
        assert_eq!(chunks.answer().status, 413);
        let mut stream = keys.http2(&server);
        let id = stream.begin_content("PUT", "/notes/a", &[]);
        stream.send_content(id, &pattern(max + 1, 2), true);
        assert_eq!(stream.answer(id).status, 413);
        stream.get("/notes/a").assert_body(b"alpha");

        assert_eq!(
            status(&server, "PUT", "/notes/b", &[], &pattern(max, 3)),
            201
        );
        assert_eq!(status(&server, "DELETE", "/notes/b", &[], b""), 204);
        assert_left(&server, &site, &["notes/", "notes/a"]);
    }
}

/// A peer that sends nothing for a while, or next to nothing, is answered and let go.
pub(crate) fn slow_content_is_given_up(engine: Engine) {
    let site = Site::new();
    let keys = Keys::new();
    let server = keys.server(engine, &site, &open_with(&["--body-timeout", "800ms"]));
    let content = pattern(2 * LONG, 1);
    let began = Instant::now();
    let head = head("PUT", "/notes/a", &[], content.len());
    let begin = |len: usize| [head.as_bytes(), &content[..len]].concat();
    // Nothing at all, a little in memory, and more than that.
    let mut clear: Vec<Client> = [0, 1000, LONG].map(|_| server.connect()).into();
    for (client, len) in clear.iter_mut().zip([0, 1000, LONG]) {
        client.send(begin(len));
    }
    let mut tls = keys.http1(&server);
    tls.send(begin(LONG));
    let mut streams = Http2::connect(server.address());
    let silent = streams.begin_content("PUT", "/notes/a", &[]);
    assert!(streams.send_content(silent, &content[..1000], false));
    let slow = streams.begin_content("PUT", "/notes/b", &[]);
    assert!(streams.send_content(slow, &content[..LONG], false));
    // A byte now and then is no progress.
    let mut trickle = server.connect();
    trickle.send(begin(LONG));
    let trickling = std::thread::spawn(move || {
        while began.elapsed() < PATIENCE && trickle.try_send("x") {
            sleep(Duration::from_millis(100));
            trickle.set_patience(Duration::from_millis(1));
            if let Ok(answer) = trickle.try_answer() {
                return answer;
            }
        }
        panic!("a peer that trickles is not let go");
    });
    // One that is slow and goes on is waited for.
    let mut steady = server.connect();
    steady.send(begin(0));
    let mut sent = 0;
    while began.elapsed() < Duration::from_millis(1_300) {
        steady.send(&content[sent..sent + 2_000]);
        sent += 2_000;
        sleep(Duration::from_millis(200));
    }
    for client in &mut clear {
        let answer = client.answer();
        assert_eq!((answer.status, answer.says_close()), (408, true));
        client.shut_down_write_if_open();
        assert_ne!(client.end(), End::Closed(1));
    }
    assert_eq!(tls.answer().status, 408);
    assert_eq!(streams.answer(silent).status, 408);
    assert_eq!(streams.answer(slow).status, 408);
    assert_eq!(streams.get("/notes/a").status, 404);
    assert_eq!(trickling.join().unwrap().status, 408);
    steady.send(&content[sent..]);
    assert_eq!(steady.answer().status, 201);
    steady.get("/notes/a").assert_body(&content);
    assert_left(&server, &site, &["notes/", "notes/a"]);
}

/// By a reset or an end of the connection or the stream, or by what is no content.
pub(crate) fn content_that_breaks_off_leaves_nothing(engine: Engine) {
    let site = Site::of(&[("notes/a", b"alpha")]);
    let keys = Keys::new();
    let server = keys.server(engine, &site, &open_with(&["--max-body-bytes", "64M"]));
    server.get("/notes/a");
    let descriptors = server.descriptors();
    let content = pattern(3 * LONG, 1);
    for path in ["/notes/a", "/notes/new/b"] {
        for len in [100, LONG, 2 * LONG] {
            let begun = [
                head("PUT", path, &[], content.len()).as_bytes(),
                &content[..len],
            ]
            .concat();
            let begin = || {
                let mut client = server.connect();
                client.send(&begun);
                client
            };
            begin().reset();
            begin().shut_down_write();
            let mut half = begin();
            half.shut_down_write();
            half.end();
            let mut tls = keys.http1(&server);
            tls.send(&begun);
            drop(tls);
            let mut broken = server.connect();
            broken.send(format!(
                "PUT {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            ));
            let chunk = [
                format!("{len:x}\r\n").as_bytes(),
                &content[..len],
                b"\r\nno chunk\r\n",
            ]
            .concat();
            broken.send(chunk);
            let answer = broken.answer();
            let told = String::from_utf8_lossy(&answer.body);
            assert_eq!((answer.status, answer.says_close()), (400, true), "{told}");

            let mut streams = Http2::connect(server.address());
            let id = streams.begin_content("PUT", path, &[]);
            assert!(streams.send_content(id, &content[..len], false));
            streams.send(rst_stream(id, code::CANCEL));
            streams.get("/notes/a").assert_body(b"alpha");
            // Less than was announced (RFC 9113 §8.1.1).
            let length = content.len().to_string();
            let id = streams.begin_content("PUT", path, &[("content-length", &length)]);
            assert!(streams.send_content(id, &content[..len], false));
            streams.send(frame(kind::DATA, END_STREAM, id, b""));
            assert_eq!(streams.outcome(id), Err(code::PROTOCOL_ERROR));
            streams.get("/notes/a").assert_body(b"alpha");
            let id = streams.begin_content("PUT", path, &[]);
            assert!(streams.send_content(id, &content[..len], false));
            streams.abort();
        }
    }
    assert_left(&server, &site, &["notes/", "notes/a"]);
    server.get("/notes/a").assert_body(b"alpha");
    eventually("all descriptors are closed", || {
        server.descriptors() <= descriptors
    });
}

/// What is under way when the server is to end comes to its end, within the time for that.
pub(crate) fn an_orderly_end_waits_for_content(engine: Engine) {
    let site = Site::new();
    let keys = Keys::new();
    let content = pattern(2 * LONG, 1);
    for (grace, is_whole) in [("20s", true), ("300ms", false)] {
        let flags = open_with(&["--grace-period", grace]);
        let mut server = keys.server(engine, &site, &flags);
        let begun = head("PUT", "/notes/a", &[], content.len());
        let begun = [begun.as_bytes(), &content[..LONG]].concat();
        let (mut clear, mut tls) = (server.connect(), keys.http1(&server));
        clear.send(&begun);
        tls.send(&begun);
        let mut streams = Http2::connect(server.address());
        let id = streams.begin_content("PUT", "/notes/b", &[]);
        assert!(streams.send_content(id, &content[..LONG], false));
        streams.ping();
        sleep(Duration::from_millis(50)); // All of it has reached the server.
        server.signal(Signal::TERM);
        eventually("new connections are refused", || {
            std::net::TcpStream::connect(server.address()).is_err()
        });
        if is_whole {
            clear.send(&content[LONG..]);
            tls.send(&content[LONG..]);
            assert!(streams.send_content(id, &content[LONG..], true));
            let answer = clear.answer();
            assert!(
                matches!(answer.status, 201 | 204) && answer.says_close(),
                "{answer:?}"
            );
            assert!(matches!(tls.answer().status, 201 | 204));
            assert_eq!(streams.answer(id).status, 201);
        }
        drop((clear, tls, streams));
        server.wait();
        assert_eq!(tree(&site.root()), ["notes/", "notes/a", "notes/b"]);
        for path in ["notes/a", "notes/b"] {
            assert!(std::fs::read(site.path(path)).unwrap() == content);
        }
    }
}
