//! The life of connections: deadlines, slow and dead peers, and too many of them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, prlimit};

use crate::client::{Client, End};
use crate::rig::{Engine, PATIENCE, Server, Site, eventually, pattern};

/// What a deadline may take longer than it says: ticks, and a busy machine.
const SLACK: Duration = Duration::from_secs(5);

const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

fn site() -> Site {
    Site::of(&[("a", b"alpha")])
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// 408 for the beginning of a head (RFC 9110 §15.5.9), silence for nothing at all.
pub(crate) fn a_head_has_one_deadline(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &["--header-timeout", "500ms"]);
    let mut silent = server.connect();
    let mut partial = server.connect();
    partial.send(&REQUEST[..20]);
    let mut second = server.connect();
    second.send(REQUEST);
    second.answer();
    second.send("HEAD / HT");
    let began = Instant::now();
    // A byte now and then does not move the deadline.
    let mut slow = server.connect();
    let mut sent = 0;
    while began.elapsed() < SLACK && slow.try_send(&REQUEST[sent..=sent]) {
        sent += 1;
        sleep(millis(60));
        if began.elapsed() > millis(1200) {
            break;
        }
    }
    for client in [&mut partial, &mut slow] {
        let answer = client.answer();
        assert_eq!((answer.status, answer.says_close()), (408, true));
    }
    assert_eq!(second.answer_to_head().status, 408);
    partial.assert_closed();
    second.assert_closed();
    silent.assert_closed();
    assert!(matches!(slow.end(), End::Closed(0) | End::Reset));
    assert!(began.elapsed() < SLACK);
}

pub(crate) fn an_idle_connection_is_closed_silently(engine: Engine) {
    let site = site();
    let flags = ["--keepalive-timeout", "500ms", "--header-timeout", "60s"];
    let server = Server::of(engine, &site, &flags);
    let mut client = server.connect();
    // Each request begins the wait anew.
    let began = Instant::now();
    for _ in 0..5 {
        client.get("/a");
        sleep(millis(150));
    }
    let idle = Instant::now();
    assert!(began.elapsed() > millis(700));
    client.assert_closed();
    assert!(idle.elapsed() < SLACK);
}

/// Who never sends the content that a request announced is not waited for.
pub(crate) fn slow_content_has_a_deadline(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &["--header-timeout", "400ms"]);
    let mut client = server.connect();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    client.answer().assert_body(b"alpha");
    let began = Instant::now();
    client.assert_closed();
    assert!(began.elapsed() < SLACK);
}

pub(crate) fn a_reader_that_reads_a_little_survives(engine: Engine) {
    let site = site();
    let big = pattern(20_000_000, 1);
    site.write("big", &big);
    let server = Server::of(engine, &site, &["--send-timeout", "1s"]);
    let mut client = Client::connect_narrow(server.address());
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_, len) = client.answer_head();
    let mut got = Vec::new();
    // Longer than the timeout, with pauses shorter than it.
    for _ in 0..8 {
        sleep(millis(300));
        got.extend(client.content(20_000));
    }
    got.extend(client.content(len - got.len()));
    assert!(got == big);
    client.get("/a").assert_body(b"alpha");
}

/// Both ways out: a batch that is with the kernel, and a file that waits for room.
pub(crate) fn a_reader_that_reads_nothing_is_cut(engine: Engine) {
    let site = site();
    site.write("big", pattern(40_000_000, 1));
    site.write("small", pattern(50_000, 1));
    let server = Server::of(engine, &site, &["--send-timeout", "800ms"]);
    let mut other = server.connect();
    other.get("/a");
    let descriptors = server.descriptors();
    let mut file = Client::connect_narrow(server.address());
    file.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut batch = Client::connect_narrow(server.address());
    batch.send("GET /small HTTP/1.1\r\nHost: a\r\n\r\n".repeat(400));
    let began = Instant::now();
    for _ in 0..2 {
        other.get("/a");
        sleep(millis(150));
    }
    assert!(server.descriptors() >= descriptors + 2, "cut too early");
    // The cache may keep the large file open.
    eventually("both are cut", || server.descriptors() <= descriptors + 1);
    assert!(
        began.elapsed() > millis(400),
        "they had less than their time"
    );
    other.get("/a").assert_body(b"alpha");
    assert!(!matches!(file.end(), End::Closed(len) if len >= 40_000_000));
}

/// FIN says that nothing more is asked, not that nothing is wanted.
pub(crate) fn a_half_closed_peer_gets_its_answers(engine: Engine) {
    let site = site();
    let cold = pattern(300_000, 2);
    site.write("cold", &cold);
    site.write("small", pattern(10_000, 3));
    let server = Server::of(engine, &site, &[]);
    for _ in 0..2 {
        let mut client = server.connect();
        let paths = ["/a", "/cold", "/none", "/small", "/a"];
        for path in paths {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
        client.shut_down_write();
        assert_eq!(client.answer().body, b"alpha");
        client.answer().assert_body(&cold);
        assert_eq!(client.answer().status, 404);
        client.answer().assert_body(&pattern(10_000, 3));
        assert_eq!(client.answer().body, b"alpha");
        client.assert_closed();
    }
    // More answers than the output takes at a time.
    let mut client = server.connect();
    client.send("GET /small HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200));
    client.send("GET /cold HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100));
    client.shut_down_write();
    for n in 0..300 {
        let answer = client.answer();
        assert_eq!(
            answer.body.len(),
            if n < 200 { 10_000 } else { 300_000 },
            "{n}"
        );
    }
    client.assert_closed();
    // Half a request is none.
    let mut client = server.connect();
    client.send(&REQUEST[..20]);
    client.shut_down_write();
    client.assert_closed();
}

/// Peers that vanish in the middle of an answer, in every manner.
pub(crate) fn a_killed_client_harms_nobody(engine: Engine) {
    let site = site();
    let big = pattern(20_000_000, 5);
    site.write("big", &big);
    let server = Server::of(engine, &site, &[]);
    let mut other = server.connect();
    other.get("/a");
    let descriptors = server.descriptors();
    let address = server.address();
    let script = format!(
        "exec 3<>/dev/tcp/{}/{}; printf 'GET /big HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' >&3; \
         head -c 100000 <&3 >/dev/null; echo reads; read -r _",
        address.ip(),
        address.port()
    );
    let mut reader = server.connect();
    reader.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..3 {
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "reads\n");
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    for n in 0..20 {
        let mut client = Client::connect_narrow(address);
        client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
        if n % 2 == 0 {
            client.answer_head();
        }
        match n % 4 {
            0 | 1 => client.reset(),
            2 => drop(client),
            _ => client.shut_down_write(),
        }
    }
    reader.answer().assert_body(&big);
    drop(reader);
    other.get("/a").assert_body(b"alpha");
    eventually("all are gone", || server.descriptors() <= descriptors + 1);
}

/// Whether a new connection is served at once, told 503, or left waiting.
fn fate(server: &Server) -> Option<u16> {
    let mut client = server.connect();
    client.set_patience(millis(200));
    client.send(REQUEST);
    match client.try_answer() {
        Ok(answer) => Some(answer.status),
        Err(_) => None,
    }
}

pub(crate) fn surplus_connections_wait_or_get_503(engine: Engine) {
    let site = site();
    for workers in ["1", "3"] {
        let flags = ["--max-connections", "8", "--workers", workers];
        let server = Server::of(engine, &site, &flags);
        let mut held: Vec<Client> = Vec::new();
        while held.len() < 8 {
            let mut client = server.connect();
            client.send(REQUEST);
            client.answer().assert_body(b"alpha");
            held.push(client);
        }
        for _ in 0..3 {
            assert!(matches!(fate(&server), None | Some(503)));
        }
        for client in &mut held {
            client.get("/a").assert_body(b"alpha");
        }
        held.drain(..4);
        let mut served = 0;
        eventually("there is room again", || {
            served += usize::from(fate(&server) == Some(200));
            served >= 3
        });
        for client in &mut held {
            client.get("/a").assert_body(b"alpha");
        }
    }
}

fn limit_descriptors(server: &Server, limit: usize) -> Rlimit {
    let limit = Rlimit {
        current: Some(limit as u64),
        maximum: prlimit_of(server).maximum,
    };
    prlimit(Some(server.pid()), Resource::Nofile, limit).unwrap()
}

fn prlimit_of(server: &Server) -> Rlimit {
    let path = format!("/proc/{}/limits", server.pid().as_raw_nonzero());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    let words: Vec<u64> = line
        .unwrap()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    Rlimit {
        current: Some(words[0]),
        maximum: Some(words[1]),
    }
}

/// Out of descriptors in the middle of its life: those who are there go on, new ones hear at once
/// that they are not wanted or wait, and afterwards all is as before.
pub(crate) fn out_of_descriptors_sheds_and_recovers(engine: Engine) {
    let site = site();
    for n in 0..20 {
        site.write(&format!("{n}"), pattern(300_000, n));
    }
    // Full, it stops accepting; the next accept is armed under the new limit.
    let server = Server::of(engine, &site, &["--max-connections", "16"]);
    let mut held: Vec<Client> = (0..16).map(|_| server.connect()).collect();
    for client in &mut held {
        client.get("/a").assert_body(b"alpha");
    }
    let before = limit_descriptors(&server, server.descriptors() - 8);
    held.truncate(12);
    let mut hungry: Vec<Client> = (0..40).map(|_| server.connect()).collect();
    for client in &mut hungry {
        client.try_send(REQUEST);
    }
    eventually("it is out of descriptors", || {
        server.has_logged("cannot accept connections")
    });
    sleep(millis(300));
    for client in &mut held {
        client.get("/a").assert_body(b"alpha");
        // A file that is not cached needs a descriptor that may not be there.
        let answer = client.get("/1");
        assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
    }
    prlimit(Some(server.pid()), Resource::Nofile, before).unwrap();
    drop(hungry);
    eventually("it serves again", || fate(&server) == Some(200));
    for n in 0..20 {
        let mut client = server.connect();
        client
            .get(&format!("/{n}"))
            .assert_body(&pattern(300_000, n));
    }
    assert!(server.log().len() < 200, "it does not flood its log");
}

/// A start with little room: it says how many connections fit, and keeps to that.
pub(crate) fn a_small_limit_of_descriptors_is_kept_to(engine: Engine) {
    let site = site();
    let mut command = Command::new("sh");
    let binary = crate::rig::binary().to_str().unwrap();
    let line = format!(
        "ulimit -n 80 && exec {binary} serve --engine {engine} --workers 1 --listen 127.0.0.1:0 {}",
        site.root().display()
    );
    let server = Server::start(command.args(["-c", &line]).stdin(Stdio::null()));
    let mut clients: Vec<Client> = (0..120).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.try_send(REQUEST);
        client.set_patience(millis(1));
    }
    sleep(millis(300));
    let served = clients
        .iter_mut()
        .filter_map(|client| client.try_answer().ok())
        .count();
    assert!((8..80).contains(&served), "{served}");
    // Those who wait are served as those before them leave.
    let began = Instant::now();
    for (done, mut client) in clients.into_iter().enumerate() {
        client.set_patience(PATIENCE);
        if done >= served {
            let status = client.try_answer().map(|answer| answer.status);
            assert!(matches!(status, Ok(200 | 503) | Err(_)), "{status:?}");
        }
    }
    assert!(began.elapsed() < PATIENCE);
    eventually("it serves again", || fate(&server) == Some(200));
}

/// Bytes that come after the last answer do not make it unreadable.
pub(crate) fn the_last_answer_is_read_before_the_end(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    for _ in 0..20 {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost a\r\n\r\n");
        // The server has decided to close; the client does not know.
        for _ in 0..20 {
            client.try_send("more and more and more of it\r\n".repeat(50));
        }
        assert_eq!(client.answer().status, 400);
        client.assert_closed();
    }
    // Out of patience, it closes all the same.
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost a\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    let began = Instant::now();
    while client.try_send("x") {
        sleep(millis(50));
        assert!(began.elapsed() < PATIENCE, "it lingers for ever");
    }
}
