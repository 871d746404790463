//! The end of the process, and the places where it listens.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Client, End};
use crate::rig::{Engine, PATIENCE, Server, Site, binary, eventually, pattern, serve};

const BIG: usize = 20_000_000;

fn site() -> Site {
    let site = Site::of(&[("a", b"alpha")]);
    site.write("big", pattern(BIG, 1));
    site
}

/// A download that the client reads slowly enough to be still running later.
fn running_download(server: &Server) -> (Client, usize) {
    let mut client = Client::connect_narrow(server.address());
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    let (answer, len) = client.answer_head();
    assert_eq!((answer.status, len), (200, BIG));
    client.content(100_000);
    (client, len - 100_000)
}

fn is_refused(server: &Server) -> bool {
    std::net::TcpStream::connect(server.address()).is_err()
}

pub(crate) fn an_orderly_end_finishes_what_is_being_answered(engine: Engine) {
    let site = site();
    let flags = ["--grace-period", "60s", "--keepalive-timeout", "60s"];
    let mut server = Server::of(engine, &site, &flags);
    let mut idle = server.connect();
    idle.get("/a");
    let mut silent = server.connect();
    let mut partial = server.connect();
    partial.send("GET /a HTTP/1.1\r\n");
    let (mut download, rest) = running_download(&server);
    let mut unread = server.connect();
    unread.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(unread.answer().status, 405);
    sleep(Duration::from_millis(50)); // All of it has reached the server.
    server.signal(Signal::TERM);
    let began = Instant::now();
    eventually("new connections are refused", || is_refused(&server));
    idle.assert_closed();
    silent.assert_closed();
    drop((idle, silent));
    // A request that was under way is answered, and told that it is the last.
    partial.send("Host: a\r\n\r\n");
    let answer = partial.answer();
    assert_eq!((answer.status, answer.says_close()), (200, true));
    partial.assert_closed();
    drop(partial);
    // Content that was announced before is still taken; then nothing is left to wait for.
    unread.send("12345");
    unread.assert_closed();
    drop(unread);
    assert!(download.content(rest) == pattern(BIG, 1)[BIG - rest..]);
    download.assert_closed();
    drop(download);
    assert_eq!(server.wait(), 0);
    assert!(began.elapsed() < PATIENCE, "it waits for nobody");
    assert!(server.has_logged("goodbye"), "{:?}", server.log());
}

pub(crate) fn an_idle_server_ends_at_once(engine: Engine) {
    let site = site();
    let mut server = Server::of(engine, &site, &["--grace-period", "60s"]);
    let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.get("/a");
    }
    server.signal(Signal::INT);
    for client in &mut clients {
        client.assert_closed();
    }
    drop(clients);
    assert_eq!(server.wait(), 0);
}

pub(crate) fn the_grace_period_cuts(engine: Engine) {
    let site = site();
    let mut server = Server::of(engine, &site, &["--grace-period", "500ms"]);
    let (mut download, rest) = running_download(&server);
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 0);
    assert!(began.elapsed() >= Duration::from_millis(500));
    assert!(began.elapsed() < PATIENCE);
    match download.end() {
        End::Closed(got) => assert!(got < rest),
        End::Reset => {}
    }
}

pub(crate) fn a_second_signal_ends_at_once(engine: Engine) {
    let site = site();
    let mut server = Server::of(engine, &site, &["--grace-period", "60s"]);
    let (mut download, rest) = running_download(&server);
    server.signal(Signal::TERM);
    eventually("new connections are refused", || is_refused(&server));
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 128 + 15);
    assert!(began.elapsed() < PATIENCE);
    match download.end() {
        End::Closed(got) => assert!(got < rest),
        End::Reset => {}
    }
}

pub(crate) fn requests_during_the_end_are_the_last(engine: Engine) {
    let site = site();
    let mut server = Server::of(engine, &site, &["--grace-period", "60s"]);
    let mut client = Client::connect_narrow(server.address());
    // The first answer keeps the connection busy; the others are answered while it ends.
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    client.answer_head();
    server.signal(Signal::TERM);
    eventually("new connections are refused", || is_refused(&server));
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    assert!(client.content(BIG) == pattern(BIG, 1));
    let answer = client.answer();
    assert_eq!(
        (&answer.body[..], answer.says_close()),
        (&b"alpha"[..], true)
    );
    client.assert_closed();
    assert_eq!(server.wait(), 0);
}

pub(crate) fn a_unix_socket_is_served(engine: Engine) {
    let site = site();
    let socket = site.outside("d.sock");
    let place = format!("unix:{}", socket.display());
    let server = Server::of(engine, &site, &["--listen", &place]);
    assert_eq!(server.addresses().len(), 1, "beside the address");
    let connect = || {
        let stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream)
    };
    let mut client = connect();
    client.get("/a").assert_body(b"alpha");
    client.get("/big").assert_body(&pattern(BIG, 1));
    client
        .get_with("/a", "Connection: close\r\n")
        .assert_body(b"alpha");
    client.assert_closed();
    let mut clients: Vec<_> = (0..50).map(|_| connect()).collect();
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20));
    }
    for client in &mut clients {
        for _ in 0..20 {
            client.answer().assert_body(b"alpha");
        }
    }
    server.get("/a").assert_body(b"alpha");
    drop(clients);
    let mut server = server;
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 0);
    assert!(!socket.exists(), "its file is removed");
}

pub(crate) fn an_inherited_socket_is_served(engine: Engine) {
    let site = site();
    let passed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = passed.local_addr().unwrap();
    let mut command = serve(binary(), engine);
    command
        .args(["--workers", "2", "--listen", "fd:0"])
        .arg(site.root());
    let mut server = Server::start(command.stdin(Stdio::from(OwnedFd::from(passed))));
    drop(command); // Its copy of the socket would go on listening.
    assert_eq!(server.addresses(), [address]);
    for _ in 0..20 {
        server.get("/a").assert_body(b"alpha");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 0);
    assert!(is_refused(&server));
}

pub(crate) fn several_addresses_and_workers_all_serve(engine: Engine) {
    let site = site();
    let flags = [
        "--workers",
        "3",
        "--listen",
        "[::1]:0",
        "--listen",
        "127.0.0.1:0",
    ];
    let server = Server::of(engine, &site, &flags);
    assert_eq!(server.addresses().len(), 3, "{:?}", server.log());
    for address in server.addresses() {
        assert_ne!(address.port(), 0);
        Client::connect(*address).get("/a").assert_body(b"alpha");
    }
    let before = server.runs_of_threads("worker-");
    assert_eq!(before.len(), 3);
    let mut clients: Vec<Client> = (0..96).map(|_| server.connect()).collect();
    for _ in 0..5 {
        for client in &mut clients {
            client.get("/a").assert_body(b"alpha");
        }
    }
    let after = server.runs_of_threads("worker-");
    for (before, after) in before.iter().zip(&after) {
        assert!(
            after > &(before + 20),
            "a worker that serves nobody: {before} to {after}"
        );
    }
}
