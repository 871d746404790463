//! HTTP over TLS, by a client of the same library; other clients are in `foreign.rs`.

use std::io::Read;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::HandshakeKind;

use crate::client::{Client, connect_tcp, connect_tcp_narrow};
use crate::http2_client::{Http2, INITIAL_WINDOW, code, get};
use crate::rig::{Engine, Site, eventually, pattern};
use crate::tls_client::*;

const SMALL: usize = 10_000;
const MIDDLE: usize = 100_000;
const LARGE: usize = 5_000_000;
/// What a deadline may take longer than it says: ticks, and a busy machine.
const SLACK: Duration = Duration::from_secs(5);

fn site() -> Site {
    let site = Site::of(&[("a", b"alpha"), ("empty", b"")]);
    site.write("small", pattern(SMALL, 1));
    site.write("middle", pattern(MIDDLE, 2));
    site.write("large", pattern(LARGE, 3));
    site
}

fn bodies() -> [(&'static str, Vec<u8>); 5] {
    [
        ("/a", b"alpha".to_vec()),
        ("/empty", Vec::new()),
        ("/small", pattern(SMALL, 1)),
        ("/middle", pattern(MIDDLE, 2)),
        ("/large", pattern(LARGE, 3)),
    ]
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn every_body_over_both_versions_and_protocols(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &[]);
    for version in VERSIONS {
        let socket = connect_tcp(server.tls_address());
        let mut http1 = Client::new(stream(&keys.config(version, "http/1.1"), socket));
        let socket = connect_tcp(server.tls_address());
        let wide = [(INITIAL_WINDOW, 10_000_000)];
        let mut http2 = Http2::begin(stream(&keys.config(version, "h2"), socket), &wide);
        for (path, body) in bodies() {
            http1.get(path).assert_body(&body);
            http2.get(path).assert_body(&body);
            assert_eq!(http1.head_with(path, "").status, 200);
        }
        let range = http1.get_with("/large", "Range: bytes=4000000-\r\n");
        assert_eq!(range.status, 206);
        range.assert_body(&pattern(LARGE, 3)[4_000_000..]);
        assert_eq!(http1.get("/none").status, 404);
        assert_eq!(http2.get("/none").status, 404);
        let ids = bodies().map(|(path, _)| http2.ask("GET", path, &[]));
        for (id, (_, body)) in ids.into_iter().zip(bodies()) {
            http2.answer(id).assert_body(&body);
        }
    }
}

/// Answers of one batch share records, and their order stands.
pub(crate) fn pipelined_over_tls(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &[]);
    let mut client = keys.http1(&server);
    for _ in 0..3 {
        let paths = ["/a", "/small", "/none", "/middle"];
        let requests = paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.send(requests.concat().repeat(25));
        for _ in 0..25 {
            client.answer().assert_body(b"alpha");
            client.answer().assert_body(&pattern(SMALL, 1));
            assert_eq!(client.answer().status, 404);
            client.answer().assert_body(&pattern(MIDDLE, 2));
        }
    }
    let mut client = keys.http2(&server);
    let ids: Vec<u32> = (0..100).map(|_| client.open()).collect();
    let requests: Vec<u8> = ids.iter().flat_map(|id| get(*id, "/small")).collect();
    client.send(requests);
    for id in ids {
        client.answer(id).assert_body(&pattern(SMALL, 1));
    }
}

pub(crate) fn cold_files_over_tls(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &[]);
    let (mut http1, mut http2) = (keys.http1(&server), keys.http2(&server));
    for _ in 0..2 {
        site.cool("large");
        http1.get("/large").assert_body(&pattern(LARGE, 3));
        site.cool("large");
        let ids = ["/large", "/a"].map(|path| http2.ask("GET", path, &[]));
        http2.answer(ids[1]).assert_body(b"alpha");
        http2.answer(ids[0]).assert_body(&pattern(LARGE, 3));
    }
}

/// A file that grows shorter cannot be told within its length: the connection ends, or the stream.
pub(crate) fn a_truncated_file_over_tls(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &[]);
    let config = keys.config(&rustls::version::TLS13, "http/1.1");
    let narrow = connect_tcp_narrow(server.tls_address());
    let mut client = Client::new(stream(&config, narrow));
    site.write("huge", vec![b'x'; 30_000_000]);
    client.send("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_, len) = client.answer_head();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(site.path("huge"));
    file.unwrap().set_len(1000).unwrap();
    assert!(client.try_content(len).is_err(), "it must not look whole");
    keys.http1(&server).get("/a").assert_body(b"alpha");
}

/// close_notify in the end (RFC 8446 §6.1): the client knows that it has heard all.
pub(crate) fn the_end_is_told(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &["--keepalive-timeout", "500ms"]);
    // The reader of rustls gives an error at an end without it.
    let mut client = keys.http1(&server);
    let answer = client.get_with("/large", "Connection: close\r\n");
    answer.assert_body(&pattern(LARGE, 3));
    client.assert_closed();
    let mut client = keys.http1(&server);
    client.send("GET / HTTP/1.1\r\nHost a\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    client.assert_closed();
    let mut idle = keys.http1(&server);
    idle.get("/a").assert_body(b"alpha");
    let mut streams = keys.http2(&server);
    streams.get("/a").assert_body(b"alpha");
    let began = Instant::now();
    idle.assert_closed();
    streams.assert_ends_with(code::NO_ERROR);
    assert!(began.elapsed() < SLACK);
}

/// SIGTERM finds connections in every state; what was asked for is answered.
pub(crate) fn an_orderly_end_over_tls(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let mut server = keys.server(engine, &site, &["--grace-period", "60s"]);
    let mut silent = connect_tcp(server.tls_address());
    let (mut idle, mut streams) = (keys.http1(&server), keys.http2(&server));
    idle.get("/a").assert_body(b"alpha");
    streams.opens_windows = false;
    let id = streams.ask("GET", "/large", &[]);
    streams.read_until(|streams| streams.received(id) == 65_535);
    let config = keys.config(&rustls::version::TLS12, "http/1.1");
    let narrow = connect_tcp_narrow(server.tls_address());
    let mut download = Client::new(stream(&config, narrow));
    download.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_, len) = download.answer_head();
    server.signal(Signal::TERM);
    idle.assert_closed();
    assert!(silent.read(&mut [0; 10]).is_ok_and(|read| read == 0));
    drop(silent);
    download.content(len);
    download.assert_closed();
    streams.opens_windows = true;
    streams.open_window(id, LARGE as u32);
    streams.answer(id).assert_body(&pattern(LARGE, 3));
    streams.assert_ends_with(code::NO_ERROR);
    drop((idle, download, streams));
    assert_eq!(server.wait(), 0);
}

/// The client's two flights, cut at every record, in the middle of each, and in tiny pieces.
pub(crate) fn a_handshake_may_come_in_any_pieces(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &[]);
    let request = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for version in VERSIONS {
        let config = keys.config(version, "http/1.1");
        let many: Vec<usize> = (1..20).chain((20..2_000).step_by(17)).collect();
        for cuts in [&[1][..], &[4, 5, 6], &[50], &[200, 201], &many] {
            let (mut session, mut socket) = (session(&config), connect_tcp(server.tls_address()));
            send_in_pieces(&mut socket, &output(&mut session), cuts);
            while session.is_handshaking() {
                assert!(take(&mut session, &mut socket));
                let flight = output(&mut session);
                send_in_pieces(&mut socket, &flight, cuts);
            }
            use std::io::Write as _;
            session.writer().write_all(request).unwrap();
            send_in_pieces(&mut socket, &output(&mut session), cuts);
            while take(&mut session, &mut socket) {}
            let answer = heard(&mut session);
            assert!(answer.ends_with(b"alpha"), "{}", answer.escape_ascii());
        }
    }
}

/// Peers that go away in the middle of a handshake, or send nonsense instead.
pub(crate) fn broken_handshakes_leave_nothing(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &["--max-handshakes", "4"]);
    let mut other = keys.http1(&server);
    other.get("/a");
    let descriptors = server.descriptors();
    for version in VERSIONS {
        let config = keys.config(version, "http/1.1");
        for n in 0..40 {
            let (mut session, mut socket) = (session(&config), connect_tcp(server.tls_address()));
            let hello = output(&mut session);
            match n % 5 {
                0 => {} // Says nothing.
                1 => send_in_pieces(&mut socket, &hello[..hello.len() / 2], &[]),
                2 => send_in_pieces(&mut socket, &hello, &[]),
                3 => send_in_pieces(&mut socket, &[&hello[..60], &[n; 5_000]].concat(), &[]),
                _ => {
                    send_in_pieces(&mut socket, &hello, &[]);
                    take(&mut session, &mut socket);
                    let mut flight = output(&mut session);
                    if let Some(last) = flight.last_mut() {
                        *last ^= 1;
                    }
                    send_in_pieces(&mut socket, &flight, &[]);
                }
            }
            if n % 2 == 0 {
                let socket = socket2::SockRef::from(&socket);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        other.get("/a").assert_body(b"alpha");
    }
    eventually("all are gone", || server.descriptors() <= descriptors);
    keys.http1(&server).get("/a").assert_body(b"alpha");
}

pub(crate) fn a_handshake_has_a_deadline(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &["--handshake-timeout", "500ms"]);
    let config = keys.config(&rustls::version::TLS12, "http/1.1");
    let began = Instant::now();
    let silent = connect_tcp(server.tls_address());
    let mut begun = connect_tcp(server.tls_address());
    let mut first = session(&config);
    send_in_pieces(&mut begun, &output(&mut first)[..50], &[]);
    let mut answered = connect_tcp(server.tls_address());
    send_in_pieces(&mut answered, &output(&mut session(&config)), &[]);
    // One that is through has other deadlines.
    let mut done = keys.http1(&server);
    done.get("/a").assert_body(b"alpha");
    for mut socket in [silent, begun, answered] {
        let mut piece = [0; 4096];
        while socket.read(&mut piece).is_ok_and(|read| read > 0) {}
    }
    assert!(began.elapsed() > millis(400) && began.elapsed() < SLACK);
    sleep(millis(300));
    done.get("/a").assert_body(b"alpha");
}

/// Whoever connects and says nothing, or begins and stops, keeps nobody else out for long, not even
/// when there are far more of them than handshakes at a time.
pub(crate) fn silent_peers_keep_nobody_out(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let flags = ["--max-handshakes", "30", "--handshake-timeout", "60s"];
    let server = keys.server(engine, &site, &flags);
    let config = keys.config(&rustls::version::TLS13, "http/1.1");
    let hello = output(&mut session(&config));
    let mut held: Vec<TcpStream> = Vec::new();
    for n in 0..300 {
        let mut socket = connect_tcp(server.tls_address());
        match n % 3 {
            0 => {}
            1 => send_in_pieces(&mut socket, &hello[..10], &[]),
            _ => send_in_pieces(&mut socket, &hello, &[]),
        }
        held.push(socket);
    }
    let began = Instant::now();
    for _ in 0..3 {
        keys.http1(&server).get("/a").assert_body(b"alpha");
    }
    assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
}

/// Many handshakes at once wait for each other and all succeed.
pub(crate) fn more_handshakes_than_at_a_time(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &["--max-handshakes", "2", "--workers", "2"]);
    let config = keys.config(&rustls::version::TLS13, "http/1.1");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let socket = connect_tcp(server.tls_address());
                    let mut client = Client::new(stream(&config, socket));
                    client.get("/small").assert_body(&pattern(SMALL, 1));
                }
            });
        }
    });
}

/// Who speaks plain HTTP to the port is told so, readably.
pub(crate) fn plain_http_is_told_its_mistake(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &["--hsts", "8760h"]);
    let mut client = Client::connect(server.tls_address());
    let answer = client.get("/a");
    assert_eq!((answer.status, answer.says_close()), (400, true));
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert!(text.contains("HTTPS"), "{text}");
    assert_eq!(answer.field("strict-transport-security"), None);
    client.assert_closed();
    // What is neither gets an alert or the end, and no panic.
    for bytes in [
        &b"SSH-2.0-x\r\n"[..],
        &[0x80, 0x2e, 1, 0, 2],
        &[0; 100],
        &[0x16, 3, 1, 0xff, 0xff],
    ] {
        let mut socket = connect_tcp(server.tls_address());
        send_in_pieces(&mut socket, bytes, &[]);
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        let _ = socket.read_to_end(&mut heard);
        assert!(heard.len() < 1_000, "{}", heard.escape_ascii());
    }
    keys.http1(&server).get("/a").assert_body(b"alpha");
}

/// Plain requests are sent on to HTTPS; HSTS is said there and nowhere else (RFC 6797 §7.2).
pub(crate) fn plain_requests_are_sent_on(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &["--https-redirect", "--hsts", "8760h"]);
    let port = server.tls_address().port();
    let mut plain = server.connect();
    for path in ["/a", "/none?x=y", "/small"] {
        let answer = plain.get(path);
        assert_eq!(answer.status, 308);
        let location = format!("https://a:{port}{path}");
        assert_eq!(answer.field("location"), Some(&*location));
        assert_eq!(answer.field("strict-transport-security"), None);
    }
    let mut plain = Http2::connect(server.address());
    let answer = plain.get("/a");
    let location = format!("https://a:{port}/a");
    assert_eq!(
        (answer.status, answer.field("location")),
        (308, Some(&*location))
    );
    assert_eq!(answer.field("strict-transport-security"), None);
    let (mut http1, mut http2) = (keys.http1(&server), keys.http2(&server));
    for path in ["/a", "/none", "/large"] {
        for answer in [http1.get(path), http2.get(path)] {
            let value = answer.field("strict-transport-security");
            assert_eq!(value, Some("max-age=31536000"), "{path}");
        }
    }
}

/// New connections get the new certificate; those that are there go on with the old one.
pub(crate) fn certificates_change_under_open_connections(engine: Engine) {
    let (site, mut keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &[]);
    let (mut http1, mut http2) = (keys.http1(&server), keys.http2(&server));
    http1.get("/a").assert_body(b"alpha");
    http2.opens_windows = false;
    let id = http2.ask("GET", "/large", &[]);
    http2.read_until(|http2| http2.received(id) == 65_535);
    assert!(keys.certificate_path().exists());
    keys.renew();
    server.signal(Signal::HUP);
    eventually("the new one is loaded", || {
        server.has_logged("loaded again")
    });
    keys.http1(&server).get("/a").assert_body(b"alpha");
    http1.get("/large").assert_body(&pattern(LARGE, 3));
    http2.opens_windows = true;
    http2.open_window(id, LARGE as u32);
    http2.answer(id).assert_body(&pattern(LARGE, 3));
}

/// A ticket of one worker opens the session on another.
pub(crate) fn sessions_resume_across_workers(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &["--workers", "2"]);
    for version in VERSIONS {
        let config = keys.config(version, "http/1.1");
        let mut kinds = Vec::new();
        for _ in 0..20 {
            let mut stream = stream(&config, connect_tcp(server.tls_address()));
            let mut client = Client::new(&mut stream);
            client.get("/a").assert_body(b"alpha");
            kinds.push(stream.conn.handshake_kind().unwrap());
        }
        assert_eq!(kinds[0], HandshakeKind::Full);
        let all = kinds[1..]
            .iter()
            .all(|kind| *kind == HandshakeKind::Resumed);
        assert!(all, "{kinds:?}");
    }
}

/// Peers that take nothing are given up, over TLS as well.
pub(crate) fn who_reads_nothing_over_tls_is_cut(engine: Engine) {
    const PEERS: usize = 10;
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &["--send-timeout", "800ms"]);
    let mut other = keys.http1(&server);
    other.get("/large");
    let (descriptors, before) = (server.descriptors(), server.memory());
    let config = keys.config(&rustls::version::TLS13, "http/1.1");
    let clients: Vec<_> = (0..PEERS)
        .map(|_| {
            let narrow = connect_tcp_narrow(server.tls_address());
            let mut client = Client::new(stream(&config, narrow));
            client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10));
            client
        })
        .collect();
    sleep(millis(200));
    let grown = server.memory().saturating_sub(before);
    assert!(grown < PEERS * (1 << 20), "{grown} bytes");
    eventually("all are cut", || server.descriptors() <= descriptors);
    drop(clients);
    other.get("/a").assert_body(b"alpha");
}
