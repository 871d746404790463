//! The life of HTTP/2 connections: deadlines, peers that take nothing, and every way to end.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{End, connect_tcp};
use crate::http2_client::{
    END_HEADERS, Http2, INITIAL_WINDOW, PREFACE, code, frame, get, kind, request, rst_stream,
    settings,
};
use crate::rig::{Engine, PATIENCE, Server, Site, eventually, pattern};

const BIG: usize = 5_000_000;
const WIDE: (u16, u32) = (INITIAL_WINDOW, 1_000_000_000);
/// What a deadline may take longer than it says: ticks, and a busy machine.
const SLACK: Duration = Duration::from_secs(5);
/// The last stream of a first GOAWAY (RFC 9113 §6.8).
const ANY: u32 = 0x7fff_ffff;

fn site() -> Site {
    let site = Site::of(&[("a", b"alpha")]);
    site.write("small", pattern(10_000, 2));
    site.write("big", pattern(BIG, 1));
    site
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A download that has begun and waits for its window.
fn held_download(client: &mut Http2) -> u32 {
    client.opens_windows = false;
    let id = client.ask("GET", "/big", &[]);
    client.read_until(|client| client.received(id) == 65_535);
    id
}

pub(crate) fn idle_streams_end_with_goaway(engine: Engine) {
    let site = site();
    let flags = ["--keepalive-timeout", "500ms", "--header-timeout", "900ms"];
    let server = Server::of(engine, &site, &flags);
    let mut client = Http2::connect(server.address());
    // Each request begins the wait anew.
    for _ in 0..5 {
        client.get("/a").assert_body(b"alpha");
        std::thread::sleep(millis(150));
    }
    let mut silent = Http2::connect(server.address());
    let mut half = server.connect();
    half.send(&PREFACE[..10]);
    let mut partial = Http2::connect(server.address());
    partial.get("/a").assert_body(b"alpha");
    partial.send(&get(3, "/a")[..20]);
    let began = Instant::now();
    client.assert_ends_with(code::NO_ERROR);
    assert_eq!(client.goaways.last().unwrap().0, 9, "the last stream");
    silent.assert_ends_with(code::NO_ERROR);
    partial.assert_ends_with(code::NO_ERROR);
    // Half a preface is half a request.
    assert_eq!(half.answer().status, 408);
    half.assert_closed();
    assert!(began.elapsed() < SLACK);
}

/// Content that was announced and does not come does not hold a stream open for ever.
pub(crate) fn slow_content_over_http2_has_a_deadline(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &["--header-timeout", "500ms"]);
    let mut client = Http2::connect(server.address());
    let id = client.ask_with_content("POST", &[("content-length", "5")]);
    assert_eq!(client.answer(id).status, 405);
    let began = Instant::now();
    client.assert_ends_with(code::NO_ERROR);
    assert!(began.elapsed() < SLACK);
}

/// SIGTERM: GOAWAY in two steps (RFC 9113 §6.8); what was asked for is answered.
pub(crate) fn an_orderly_end_over_http2(engine: Engine) {
    let site = site();
    let mut server = Server::of(engine, &site, &["--grace-period", "60s"]);
    let mut idle = Http2::connect(server.address());
    idle.get("/a");
    let mut client = Http2::connect(server.address());
    let big = held_download(&mut client);
    // This one does not say that it has read the first GOAWAY, and may still ask.
    let mut late = Http2::connect(server.address());
    late.answers_pings = false;
    let late_big = held_download(&mut late);
    server.signal(Signal::TERM);
    idle.assert_ends_with(code::NO_ERROR);
    let lasts: Vec<u32> = idle.goaways.iter().map(|(last, _)| *last).collect();
    assert_eq!(lasts, [ANY, 1]);
    drop(idle);
    client.read_until(|client| client.goaways.len() == 2);
    assert_eq!(client.goaways, [(ANY, 0), (big, 0)]);
    // Too late, and told so: the client asks somebody else.
    let refused = client.ask("GET", "/a", &[]);
    late.read_until(|late| !late.goaways.is_empty());
    let asked = late.ask("GET", "/a", &[]);
    late.open_connection_window(5);
    late.answer(asked).assert_body(b"alpha");
    for (client, id) in [(&mut client, big), (&mut late, late_big)] {
        client.opens_windows = true;
        client.open_window(id, BIG as u32);
        client.answer(id).assert_body(&pattern(BIG, 1));
    }
    assert!(!client.has_head(refused));
    client.assert_ends_with(code::NO_ERROR);
    late.assert_ends_with(code::NO_ERROR);
    drop((client, late));
    assert_eq!(server.wait(), 0);
    assert!(server.has_logged("goodbye"), "{:?}", server.log());
}

/// A window that stays shut is a peer that takes nothing.
pub(crate) fn who_opens_no_window_is_cut(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &["--send-timeout", "800ms"]);
    let mut other = Http2::connect(server.address());
    other.get("/small");
    other.get("/big");
    let before = server.memory();
    let mut clients: Vec<Http2> = (0..10)
        .map(|_| {
            let mut client = Http2::connect_with(server.address(), &[(INITIAL_WINDOW, 0)]);
            client.opens_windows = false;
            let paths = ["/big", "/small"].iter().cycle();
            let ids: Vec<u32> = paths
                .take(100)
                .map(|path| client.ask("GET", path, &[]))
                .collect();
            client.read_until(|client| ids.iter().all(|id| client.has_head(*id)));
            client
        })
        .collect();
    let began = Instant::now();
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes for 1,000 waiting streams");
    let mut steady = Http2::connect_with(server.address(), &[(INITIAL_WINDOW, 0)]);
    steady.opens_windows = false;
    let id = steady.ask("GET", "/small", &[]);
    // Longer than the timeout, with pauses shorter than it.
    for _ in 0..10 {
        std::thread::sleep(millis(150));
        steady.open_window(id, 1_000);
    }
    steady.answer(id).assert_body(&pattern(10_000, 2));
    for client in &mut clients {
        client.assert_ends_with(code::ENHANCE_YOUR_CALM);
    }
    assert!(
        began.elapsed() > millis(400),
        "they had less than their time"
    );
    assert!(began.elapsed() < SLACK);
}

/// All windows are open, but nobody reads.
pub(crate) fn who_does_not_read_is_cut(engine: Engine) {
    const PEERS: usize = 10;
    let site = site();
    let server = Server::of(engine, &site, &["--send-timeout", "800ms"]);
    let mut other = Http2::connect_with(server.address(), &[WIDE]);
    other.get("/small");
    other.get("/big");
    let descriptors = server.descriptors();
    let before = server.memory();
    let clients: Vec<Http2> = (0..PEERS)
        .map(|n| {
            let mut client = Http2::connect_narrow(server.address(), &[WIDE]);
            client.set_send_patience(millis(300));
            client.open_connection_window(1_000_000_000);
            let path = ["/big", "/small"][n % 2];
            let mut id = 1;
            for _ in 0..40 {
                let mut requests = Vec::new();
                for _ in 0..100 {
                    requests.extend(get(id, path));
                    id += 2;
                }
                if !client.try_send(requests) {
                    break;
                }
            }
            client
        })
        .collect();
    other.get("/a").assert_body(b"alpha");
    let grown = server.memory().saturating_sub(before);
    assert!(grown < PEERS * (1 << 20), "{grown} bytes");
    eventually("all are cut", || server.descriptors() <= descriptors);
    drop(clients);
    other.get("/a").assert_body(b"alpha");
}

/// The length was promised; a reset tells that it is not kept, and other streams go on.
pub(crate) fn a_truncated_file_resets_its_stream(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let mut client = Http2::connect(server.address());
    let id = held_download(&mut client);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(site.path("big"));
    file.unwrap().set_len(70_000).unwrap();
    client.opens_windows = true;
    client.open_window(id, BIG as u32);
    assert_eq!(client.outcome(id), Err(code::INTERNAL_ERROR));
    client.get("/a").assert_body(b"alpha");
    client.get("/small").assert_body(&pattern(10_000, 2));
    let now = &pattern(BIG, 1)[..70_000];
    eventually("the new state is seen", || {
        let id = client.ask("GET", "/big", &[]);
        client.outcome(id).is_ok_and(|answer| answer.body == now)
    });
}

/// Peers that lose interest, in one stream or in all, at every point of an answer.
pub(crate) fn a_reset_harms_nobody(engine: Engine) {
    let site = site();
    for n in 0..60 {
        site.write(&format!("{n}"), pattern(100_000, n));
    }
    let server = Server::of(engine, &site, &[]);
    let mut other = Http2::connect(server.address());
    other.get("/big");
    let descriptors = server.descriptors();
    let mut client = Http2::connect(server.address());
    for round in 0..10 {
        let ids = ["/big", "/small", "/big"].map(|path| client.ask("GET", path, &[]));
        // Before the answer (and while the slow lane makes it), or in the middle of it.
        let cold = client.ask("GET", &format!("/{round}"), &[]);
        client.send(rst_stream(cold, code::CANCEL));
        if round % 2 == 0 {
            client.read_until(|client| client.received(ids[0]) > 50_000);
        }
        client.send(rst_stream(ids[0], code::CANCEL));
        client.answer(ids[1]).assert_body(&pattern(10_000, 2));
        client.answer(ids[2]).assert_body(&pattern(BIG, 1));
    }
    for n in 20..50 {
        let mut client = Http2::connect_narrow(server.address(), &[WIDE]);
        client.ask("GET", "/big", &[]);
        client.ask("GET", &format!("/{n}"), &[]);
        let third = client.ask("GET", "/small", &[]);
        match n % 4 {
            0 => client.abort(),
            1 => drop(client),
            2 => client.shut_down_write(),
            _ => {
                client.read_until(|client| client.has_head(third));
                client.abort();
            }
        }
        other.get("/a").assert_body(b"alpha");
    }
    drop(client);
    // The cache may keep some large files open.
    eventually("all are gone", || server.descriptors() <= descriptors + 62);
    other.get("/big").assert_body(&pattern(BIG, 1));
}

/// FIN says that nothing more is asked, not that nothing is wanted.
pub(crate) fn a_half_closed_client_gets_its_streams(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    for _ in 0..2 {
        let mut client = Http2::connect_with(server.address(), &[WIDE]);
        client.open_connection_window(100_000_000);
        let paths = ["/a", "/big", "/small", "/none", "/big"];
        let ids = paths.map(|path| client.ask("GET", path, &[]));
        client.ping();
        client.shut_down_write();
        client.answer(ids[0]).assert_body(b"alpha");
        client.answer(ids[1]).assert_body(&pattern(BIG, 1));
        client.answer(ids[2]).assert_body(&pattern(10_000, 2));
        assert_eq!(client.answer(ids[3]).status, 404);
        client.answer(ids[4]).assert_body(&pattern(BIG, 1));
        assert_eq!(client.end(), End::Closed(0));
    }
}

/// A peer that breaks the rules of the connection hears why, whatever else it sends.
pub(crate) fn a_fault_is_told_before_the_end(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let whole = END_HEADERS | 1;
    let a = request("GET", "/a", &[]);
    let rows: [(&str, u32, Vec<u8>); 13] = [
        (
            "data on no stream",
            code::PROTOCOL_ERROR,
            frame(kind::DATA, 0, 0, b"x"),
        ),
        (
            "data on an idle stream",
            code::PROTOCOL_ERROR,
            frame(kind::DATA, 0, 9, b"x"),
        ),
        (
            "an even stream",
            code::PROTOCOL_ERROR,
            frame(kind::HEADERS, whole, 2, &a),
        ),
        ("a push", code::PROTOCOL_ERROR, frame(5, 0, 1, &[0; 8])),
        (
            "a continuation of nothing",
            code::PROTOCOL_ERROR,
            frame(kind::CONTINUATION, 4, 1, b""),
        ),
        (
            "a frame too large",
            code::FRAME_SIZE_ERROR,
            frame(kind::DATA, 0, 1, &[0; 16_385]),
        ),
        (
            "a short ping",
            code::FRAME_SIZE_ERROR,
            frame(kind::PING, 0, 0, b"short"),
        ),
        (
            "a setting of a wrong size",
            code::FRAME_SIZE_ERROR,
            frame(kind::SETTINGS, 0, 0, b"12345"),
        ),
        (
            "a window too large",
            code::FLOW_CONTROL_ERROR,
            settings(&[(INITIAL_WINDOW, 1 << 31)]),
        ),
        ("a bad setting", code::PROTOCOL_ERROR, settings(&[(5, 1)])),
        (
            "padding beyond the frame",
            code::PROTOCOL_ERROR,
            frame(kind::HEADERS, whole | 8, 1, b"\xff"),
        ),
        (
            "an index of nothing",
            code::COMPRESSION_ERROR,
            frame(kind::HEADERS, whole, 1, b"\xff\xff\x01"),
        ),
        (
            "an interrupted block",
            code::PROTOCOL_ERROR,
            [frame(kind::HEADERS, 1, 1, &a), get(3, "/a")].concat(),
        ),
    ];
    for (what, code, bytes) in rows {
        let mut client = Http2::connect(server.address());
        client.send(bytes);
        client.try_send(get(99, "/a").repeat(100));
        assert_eq!(client.end(), End::Closed(0), "{what}");
        assert_eq!(
            client.goaways.last().map(|(_, code)| *code),
            Some(code),
            "{what}"
        );
    }
    // SETTINGS come first.
    let mut client = Http2::silent(connect_tcp(server.address()));
    client.send([PREFACE, &get(1, "/a")].concat());
    client.assert_ends_with(code::PROTOCOL_ERROR);
}

/// Out of patience, a second signal or the end of the grace period cuts streams, too.
pub(crate) fn the_grace_period_cuts_streams(engine: Engine) {
    let site = site();
    let mut server = Server::of(engine, &site, &["--grace-period", "500ms"]);
    let mut client = Http2::connect(server.address());
    let id = held_download(&mut client);
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 0);
    assert!(began.elapsed() >= millis(500) && began.elapsed() < PATIENCE);
    assert!(matches!(client.end(), End::Closed(0) | End::Reset));
    assert!(client.received(id) < BIG);
}
