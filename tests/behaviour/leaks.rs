//! What connections leave behind: nothing. Counted from outside, by the kernel.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::client::Client;
use crate::rig::{Engine, Server, Site, eventually, pattern};

/// Connections to each engine: 100,002 to all three.
const CONNECTIONS: usize = 33_334;
const THREADS: usize = 4;

/// What an allocator may keep for later, whatever was freed.
const MEMORY_SLACK: usize = 6 << 20;

fn site() -> Site {
    let site = Site::of(&[("a", b"alpha")]);
    site.write("large", pattern(300_000, 1));
    site
}

/// One short life, of one kind or another.
fn live(server: &Server, n: usize) {
    let mut client = server.connect();
    match n % 8 {
        // Closed by the server, in order.
        0 | 1 => {
            let answer = client.get_with("/a", "Connection: close\r\n");
            assert_eq!(answer.body, b"alpha");
            client.assert_closed();
            return;
        }
        2 => client.get("/a").assert_body(b"alpha"),
        // Gone without a word, within a head, before and within an answer, within content.
        3 => {}
        4 => client.send("GET /a HTTP/1.1\r\nHo"),
        5 => client.send("GET /none HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3)),
        6 => client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nx"),
        _ if n % 64 == 63 => {
            client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
            client.answer_head();
        }
        _ => client.send("\0\r\n\r\n"),
    }
    // A reset leaves no port in TIME_WAIT, which would run out.
    client.reset();
}

fn live_many(server: &Server, count: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    live(server, n);
                }
            });
        }
    });
}

pub(crate) fn a_hundred_thousand_connections_leave_nothing(engine: Engine) {
    let site = site();
    // No deadline may be what ends a connection whose peer has left.
    let flags = ["--header-timeout", "300s", "--keepalive-timeout", "300s"];
    let server = Server::of(engine, &site, &flags);
    server.get("/large"); // The cache keeps it open.
    live_many(&server, 2_000);
    let descriptors = settled_descriptors(&server);
    let memory = server.memory();
    live_many(&server, CONNECTIONS - 2_000);
    eventually("all descriptors are closed", || {
        server.descriptors() <= descriptors
    });
    let grown = server.memory().saturating_sub(memory);
    assert!(grown < MEMORY_SLACK, "{grown} bytes more");
    server.get("/a").assert_body(b"alpha");
}

/// The count once connections that have ended are closed.
fn settled_descriptors(server: &Server) -> usize {
    let mut count = usize::MAX;
    eventually("descriptors settle", || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let before = std::mem::replace(&mut count, server.descriptors());
        before == count
    });
    count
}

/// Heads and contents that break off, one after the other.
pub(crate) fn aborted_requests_leave_nothing(engine: Engine) {
    const ABORTED: usize = 3_400;
    let site = site();
    let server = Server::of(engine, &site, &[]);
    server.get("/a");
    let descriptors = settled_descriptors(&server);
    let abort_many = |count: usize| {
        let padding = "x".repeat(20_000);
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        for n in 0..count {
            let mut client = server.connect();
            let head = match n % 4 {
                0 => format!("GET /a HTTP/1.1\r\nHost: a\r\nX: {padding}"),
                1 => {
                    format!("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{padding}")
                }
                2 => {
                    "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()
                        + &chunk
                }
                _ => format!(
                    "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n{padding}"
                ),
            };
            client.try_send(head);
            client.reset();
        }
    };
    abort_many(400);
    settled_descriptors(&server);
    let memory = server.memory();
    abort_many(ABORTED - 400);
    eventually("all descriptors are closed", || {
        server.descriptors() <= descriptors
    });
    let grown = server.memory().saturating_sub(memory);
    assert!(grown < MEMORY_SLACK, "{grown} bytes more");
    server.get("/a").assert_body(b"alpha");
}

/// Slots are made by the hundred, so the price of one is known only over many.
pub(crate) fn an_idle_connection_costs_little(engine: Engine) {
    const IDLE: usize = 500;
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let connect = |count: usize| {
        let mut clients: Vec<Client> = (0..count).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.get("/a").assert_body(b"alpha");
        }
        clients
    };
    let _first = connect(50);
    let before = server.memory();
    let mut clients = connect(IDLE);
    let each = server.memory().saturating_sub(before) / IDLE;
    // The baseline engine holds a read and its buffer for each connection, the others nothing.
    let most = if engine == "tokio-uring" {
        16_384
    } else {
        2_048
    };
    assert!(each < most, "{each} bytes for each connection");
    // What they had asked for is not kept, either.
    for client in &mut clients {
        client.send(format!(
            "GET /a?{} HTTP/1.1\r\nHost: a\r\n\r\n",
            "x".repeat(8_000)
        ));
        client.answer().assert_body(b"alpha");
    }
    let each = server.memory().saturating_sub(before) / IDLE;
    assert!(
        each < 2 * most,
        "{each} bytes for each connection after a request"
    );
}
