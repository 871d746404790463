//! Every known way to harm a server over HTTP/2, ten attackers at a time, beside honest clients of
//! both protocols who are served rightly and soon. What the attackers cost has a bound, and each
//! hears the right word.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::connect_tcp;
use crate::http2_client::{
    END_HEADERS, END_STREAM, Http2, INITIAL_WINDOW, PREFACE, block, code, frame, get, kind,
    literal, request, rst_stream, settings, window_update,
};
use crate::rig::{Engine, Server, Site, eventually, pattern};

const ATTACKERS: usize = 10;
/// How long each attack goes on.
const ATTACK: Duration = Duration::from_millis(300);
/// What half of the honest requests take at most, and ninety-nine of a hundred, on a machine that
/// builds other things meanwhile.
const MEDIAN_MAX: Duration = Duration::from_millis(250);
const LATENCY_MAX: Duration = Duration::from_millis(1500);
/// Memory of the server's own that all attackers together may cost.
const GROWTH_MAX: usize = 12 << 20;

fn site() -> Site {
    let site = Site::of(&[("a", b"alpha")]);
    site.write("small", pattern(10_000, 1));
    site.write("big", pattern(2_000_000, 2));
    site
}

/// Asks until `done`; how long each answer took.
fn honest(done: &AtomicBool, mut ask: impl FnMut(&str) -> Vec<u8>) -> Vec<Duration> {
    let small = pattern(10_000, 1);
    let mut latencies = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        assert_eq!(ask("/a"), b"alpha");
        assert!(ask("/small") == small);
        latencies.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(3));
    }
    latencies
}

fn assert_soon(mut latencies: Vec<Duration>) {
    latencies.sort();
    assert!(latencies.len() >= 3, "{latencies:?}");
    let (median, most) = (latencies.len() / 2, latencies.len() * 99 / 100);
    assert!(latencies[median] < MEDIAN_MAX, "{latencies:?}");
    assert!(latencies[most] < LATENCY_MAX, "{latencies:?}");
}

/// Lets ten attackers repeat `attack` beside two honest clients.
fn beside_honest(server: &Server, attack: impl Fn() + Sync) {
    server.get("/a");
    server.get("/small");
    server.get("/big");
    let before = server.memory();
    let (done, attacks) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut grown = 0;
    std::thread::scope(|scope| {
        let (mut http1, mut http2) = (server.connect(), Http2::connect(server.address()));
        let (done, attack, attacks) = (&done, &attack, &attacks);
        let honest = [
            scope.spawn(move || honest(done, |path| http1.get(path).body)),
            scope.spawn(move || honest(done, |path| http2.get(path).body)),
        ];
        let began = Instant::now();
        let attackers: Vec<_> = (0..ATTACKERS)
            .map(|_| {
                scope.spawn(move || {
                    while began.elapsed() < ATTACK {
                        attack();
                        attacks.fetch_add(1, Ordering::Relaxed);
                        // The attackers' own work is not what is measured.
                        std::thread::sleep(Duration::from_millis(10));
                    }
                })
            })
            .collect();
        while !attackers.iter().all(|attacker| attacker.is_finished()) {
            grown = grown.max(server.memory().saturating_sub(before));
            std::thread::sleep(Duration::from_millis(20));
        }
        // The honest clients end whatever happened to the others.
        done.store(true, Ordering::Relaxed);
        let failed = attackers
            .into_iter()
            .filter_map(|it| it.join().err())
            .last();
        let latencies = honest.map(|honest| honest.join().unwrap());
        if let Some(panic) = failed {
            std::panic::resume_unwind(panic);
        }
        latencies.into_iter().for_each(assert_soon);
    });
    assert!(attacks.into_inner() >= ATTACKERS);
    assert!(
        grown < GROWTH_MAX,
        "{grown} bytes for {ATTACKERS} attackers"
    );
    server.get("/a").assert_body(b"alpha");
}

/// Sends `flood` again and again until the server has had enough; its last word is `code`.
fn flood(server: &Server, values: &[(u16, u32)], flood: &[u8], code: u32) {
    const BYTES_MAX: usize = 20 << 20;
    let mut client = Http2::connect_with(server.address(), values);
    client.opens_windows = false;
    let mut sent = 0;
    while client.try_send(flood) {
        sent += flood.len();
        assert!(sent < BYTES_MAX, "it is never enough");
    }
    // A reset may have overtaken the last word: then this attacker hears nothing.
    client.read_rest();
    let last = client.goaways.last().map(|(_, code)| *code);
    assert!(last.is_none_or(|last| last == code), "{last:?}");
}

/// Sends a flood that ends by itself, and reads the last word in any case.
fn flood_once(server: &Server, flood: &[u8], code: u32) {
    let mut client = Http2::connect(server.address());
    client.is_mute = true;
    let sending = client.send_beside(flood.to_vec());
    client.read_rest();
    sending.join().unwrap();
    let last = client.goaways.last().map(|(_, code)| *code);
    assert_eq!(last, Some(code));
}

/// The same frames for a row of streams.
fn streams(count: u32, frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|n| frames(2 * n + 1)).collect()
}

fn open(stream: u32, flags: u8) -> Vec<u8> {
    frame(kind::HEADERS, flags, stream, &request("POST", "/a", &[]))
}

fn attack_with(engine: Engine, bytes: &[u8], code: u32) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    flood_once(&server, bytes, code);
    beside_honest(&server, || flood_once(&server, bytes, code));
}

/// Rapid reset: requests that are taken back at once.
pub(crate) fn cve_2023_44487_rapid_reset(engine: Engine) {
    let pairs = |id| [get(id, "/big"), rst_stream(id, code::CANCEL)].concat();
    attack_with(engine, &streams(3_000, pairs), code::ENHANCE_YOUR_CALM);
}

/// MadeYouReset: streams that the server is made to reset, so that they do not count.
pub(crate) fn cve_2025_8671_made_you_reset(engine: Engine) {
    let window = |id| [open(id, END_HEADERS), window_update(id, 0)].concat();
    let overflow = |id| [open(id, END_HEADERS), window_update(id, 0x7fff_ffff)].concat();
    let late_data = |id| {
        let (head, data) = (get(id, "/big"), frame(kind::DATA, 0, id, b"x"));
        [head, data].concat()
    };
    for frames in [&window as &dyn Fn(u32) -> Vec<u8>, &overflow, &late_data] {
        attack_with(engine, &streams(3_000, frames), code::ENHANCE_YOUR_CALM);
    }
}

/// Field blocks without an end.
pub(crate) fn cve_2024_27316_continuation_flood(engine: Engine) {
    let field = literal("x", &"y".repeat(1_000));
    for (piece, pieces) in [(field, 500), (Vec::new(), 3_000), (vec![0x82], 3_000)] {
        let begin = frame(kind::HEADERS, END_STREAM, 1, &request("GET", "/a", &[]));
        let more = frame(kind::CONTINUATION, 0, 1, &piece).repeat(pieces);
        attack_with(engine, &[begin, more].concat(), code::ENHANCE_YOUR_CALM);
    }
}

/// The bomb of HPACK: one field kept in the table, and a thousand references to it.
pub(crate) fn cve_2016_6581_hpack_bomb(engine: Engine) {
    let mut field = literal("x", &"y".repeat(4_000));
    field[0] = 0x40; // With indexing.
    let head = |fields: &[u8]| [&request("GET", "/a", &[]), fields].concat();
    let plant = frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &head(&field));
    let refer = head(&[0xbe; 16_000]);
    let refer = frame(kind::HEADERS, END_HEADERS | END_STREAM, 3, &refer);
    attack_with(engine, &[plant, refer].concat(), code::ENHANCE_YOUR_CALM);
}

pub(crate) fn cve_2019_9512_ping_flood(engine: Engine) {
    let pings = frame(kind::PING, 0, 0, b"question").repeat(5_000);
    attack_with(engine, &pings, code::ENHANCE_YOUR_CALM);
}

/// Priorities that are shuffled, in both dialects.
pub(crate) fn cve_2019_9513_priority_flood(engine: Engine) {
    let tree = frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 3, 200]).repeat(5_000);
    let update = frame(0x10, 0, 0, b"\0\0\0\x01u=1").repeat(5_000);
    for frames in [tree, update] {
        attack_with(engine, &frames, code::ENHANCE_YOUR_CALM);
    }
}

/// Requests that are malformed, so that the server answers with resets.
pub(crate) fn cve_2019_9514_reset_flood(engine: Engine) {
    let bad = block(&[(":method", "GET")]);
    let frames = |id| frame(kind::HEADERS, END_HEADERS | END_STREAM, id, &bad);
    attack_with(engine, &streams(3_000, frames), code::ENHANCE_YOUR_CALM);
}

pub(crate) fn cve_2019_9515_settings_flood(engine: Engine) {
    let empty = settings(&[]).repeat(5_000);
    let full = settings(&[(INITIAL_WINDOW, 70_000); 2_000]).repeat(100);
    for frames in [empty, full] {
        attack_with(engine, &frames, code::ENHANCE_YOUR_CALM);
    }
}

/// Fields without name and value, which weigh nothing.
pub(crate) fn cve_2019_9516_empty_fields(engine: Engine) {
    let fields = b"\0\0\0".repeat(200);
    let frames = |id| {
        let block = [&request("GET", "/a", &[])[..], &fields].concat();
        frame(kind::HEADERS, END_HEADERS | END_STREAM, id, &block)
    };
    attack_with(engine, &streams(300, frames), code::ENHANCE_YOUR_CALM);
}

/// Frames without content and without end.
pub(crate) fn cve_2019_9518_empty_frames(engine: Engine) {
    let data = frame(kind::DATA, 0, 1, b"").repeat(5_000);
    let data = [open(1, END_HEADERS), data].concat();
    // Padding is content to nobody, too.
    let padded = frame(kind::DATA, 8, 1, b"\x03\0\0\0").repeat(5_000);
    let padded = [open(1, END_HEADERS), padded].concat();
    let unknown = frame(0xbe, 0, 0, b"").repeat(5_000);
    for frames in [data, padded, unknown] {
        attack_with(engine, &frames, code::ENHANCE_YOUR_CALM);
    }
}

/// Windows that open for nothing.
pub(crate) fn window_updates_are_bounded(engine: Engine) {
    let flood = window_update(0, 1).repeat(5_000);
    attack_with(engine, &flood, code::ENHANCE_YOUR_CALM);
    let overflow = window_update(0, 0x7fff_ffff);
    attack_with(engine, &overflow, code::FLOW_CONTROL_ERROR);
}

/// Large answers through windows of one byte: each frame is paid for, and fair.
pub(crate) fn cve_2019_9511_data_dribble(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    beside_honest(&server, || {
        let mut client = Http2::connect_with(server.address(), &[(INITIAL_WINDOW, 0)]);
        client.opens_windows = false;
        client.send(streams(100, |id| get(id, "/big")));
        let drops = streams(100, |id| window_update(id, 1));
        for _ in 0..10 {
            client.try_send(&drops);
            for _ in 0..100 {
                if !client.next_frame().is_ok_and(|frame| frame.is_some()) {
                    return;
                }
            }
        }
    });
}

/// The windows of HTTP/2 are wide open, that of TCP is shut: answers must not pile up.
pub(crate) fn cve_2019_9517_buffered_answers(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &["--send-timeout", "600ms"]);
    let descriptors = server.descriptors();
    let requests = streams(100, |id| get(id, ["/big", "/small"][id as usize / 2 % 2]));
    beside_honest(&server, || {
        let wide = [(INITIAL_WINDOW, 0x7fff_ffff)];
        let mut client = Http2::connect_narrow(server.address(), &wide);
        client.send(window_update(0, 0x7000_0000));
        client.send(&requests);
        std::thread::sleep(ATTACK);
    });
    eventually("they are gone", || server.descriptors() <= descriptors + 2);
}

/// Whoever floods does not read, either: what the server has to say piles up nowhere.
pub(crate) fn floods_without_reading_are_bounded(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let pings = frame(kind::PING, 0, 0, b"question").repeat(1_000);
    let requests = streams(128, |id| get(id, "/small"));
    let shut = [(INITIAL_WINDOW, 0)];
    beside_honest(&server, || {
        flood(&server, &[], &pings, code::ENHANCE_YOUR_CALM);
        flood(&server, &shut, &requests, code::ENHANCE_YOUR_CALM);
    });
}

/// Many connections that open all that they may and then keep silent.
pub(crate) fn silent_connections_cost_little(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &["--header-timeout", "400ms"]);
    let beginnings = [
        PREFACE.to_vec(),
        [PREFACE, &settings(&[])[..5]].concat(),
        [PREFACE, &settings(&[]), &frame(kind::HEADERS, 0, 1, b"")].concat(),
        [
            PREFACE,
            &settings(&[]),
            &streams(128, |id| open(id, END_HEADERS)),
        ]
        .concat(),
    ];
    beside_honest(&server, || {
        let mut held = Vec::new();
        for beginning in &beginnings {
            let mut client = Http2::silent(connect_tcp(server.address()));
            client.send(beginning);
            held.push(client);
        }
        for client in &mut held {
            client.read_rest();
        }
    });
}

/// Many files that must come from the disk at a time, through small windows: what is read of them
/// does not pile up.
pub(crate) fn many_cold_files_are_bounded(engine: Engine) {
    const FILES: u32 = 80;
    const LEN: usize = 270_000;
    let (site, body) = (site(), pattern(LEN, 3));
    for n in 0..FILES {
        site.write(&format!("{n}"), &body);
    }
    let server = Server::of(engine, &site, &[]);
    server.get("/a");
    for window in [1, 20_000] {
        (0..FILES).for_each(|n| site.cool(&format!("{n}")));
        let before = server.memory();
        let mut grown = 0;
        let mut clients: Vec<Http2> = (0..3)
            .map(|_| {
                let values = [(INITIAL_WINDOW, window)];
                let mut client = Http2::connect_with(server.address(), &values);
                client.opens_windows = false;
                client.open_connection_window(100_000_000);
                client
            })
            .collect();
        for client in &mut clients {
            let ids: Vec<u32> = (0..FILES).map(|_| client.open()).collect();
            let asked = ids.iter().zip(0..);
            client.send(
                asked
                    .flat_map(|(id, n)| get(*id, &format!("/{n}")))
                    .collect::<Vec<_>>(),
            );
        }
        for client in &mut clients {
            client.read_until(|client| {
                grown = grown.max(server.memory().saturating_sub(before));
                (0..FILES).all(|n| client.received(2 * n + 1) == window as usize)
            });
        }
        for client in &mut clients {
            client.opens_windows = true;
            for n in 0..FILES {
                client.open_window(2 * n + 1, LEN as u32);
            }
            for n in 0..FILES {
                client.answer(2 * n + 1).assert_body(&body);
            }
        }
        assert!(grown < GROWTH_MAX, "{grown} bytes with windows of {window}");
    }
}
