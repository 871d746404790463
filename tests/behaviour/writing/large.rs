//! Large content goes to the disk in bounded memory, whatever is faster, the client or the disk.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::*;
use crate::client::connect_tcp;
use crate::rig::pattern;

const MIB: usize = 1 << 20;
/// What the server may need besides what it needed before.
const MEMORY_MORE_MAX: usize = 4 * MIB;

/// Calls `act`; the most memory that the server has had meanwhile, beyond what it had before.
fn memory_during<T>(server: &Server, act: impl FnOnce() -> T) -> (T, usize) {
    let (before, is_done) = (server.memory(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0;
            while !is_done.load(Ordering::Relaxed) {
                most = most.max(server.memory());
                sleep(Duration::from_millis(2));
            }
            most
        });
        let done = act();
        is_done.store(true, Ordering::Relaxed);
        (done, watching.join().unwrap().saturating_sub(before))
    })
}

/// Content of some length that repeats itself.
fn send_pattern(stream: &mut impl Write, block: &[u8], len: usize) {
    for _ in 0..len / block.len() {
        stream.write_all(block).unwrap();
    }
}

#[test]
fn a_quarter_of_a_gigabyte_is_put_in_four_megabytes() {
    const LEN: usize = 256 * MIB;
    let site = Site::new();
    let flags = open_with(&["--max-body-bytes", "1G"]);
    let server = Server::of(ENGINE, &site, &flags);
    let block = pattern(MIB, 1);
    // Threads and connections are there before.
    put(&server, "/notes/warm", &pattern(4 * MIB, 2));
    let mut stream = connect_tcp(server.address());
    let ((), more) = memory_during(&server, || {
        stream
            .write_all(head("PUT", "/notes/big", &[], LEN).as_bytes())
            .unwrap();
        send_pattern(&mut stream, &block, LEN);
        let answer = Client::new(&mut stream).answer();
        assert_eq!(answer.status, 201);
    });
    assert!(more < MEMORY_MORE_MAX, "{more} bytes more");
    let written = std::fs::File::open(site.path("notes/big")).unwrap();
    assert_eq!(written.metadata().unwrap().len(), LEN as u64);
    let mut read = vec![0; MIB];
    for number in [0, 1, 100, 255] {
        std::os::unix::fs::FileExt::read_exact_at(&written, &mut read, (number * MIB) as u64)
            .unwrap();
        assert!(read == block, "at {number} MiB");
    }
}

#[test]
fn sixty_four_megabytes_come_over_http2() {
    const LEN: usize = 64 * MIB;
    let site = Site::new();
    let server = Server::of(ENGINE, &site, &open_with(&["--max-body-bytes", "1G"]));
    let block = pattern(MIB, 1);
    put(&server, "/notes/warm", &pattern(4 * MIB, 2));
    let mut client = Http2::connect(server.address());
    let (answer, more) = memory_during(&server, || {
        let id = client.begin_content("PUT", "/notes/big", &[]);
        for number in 1..=LEN / MIB {
            assert!(client.send_content(id, &block, number == LEN / MIB));
        }
        client.answer(id)
    });
    assert_eq!(answer.status, 201);
    assert!(more < MEMORY_MORE_MAX, "{more} bytes more");
    let written = std::fs::read(site.path("notes/big")).unwrap();
    assert!(written.chunks(MIB).all(|chunk| chunk == block));
}

/// A client that is faster than the disk waits for it.
#[test]
fn a_slow_disk_holds_its_clients_up_and_nobody_else() {
    const LEN: usize = 64 * MIB;
    let site = Site::of(&[("plain", b"plain")]);
    let server = Server::of(ENGINE, &site, &open_with(&["--max-body-bytes", "1G"]));
    let block = pattern(MIB, 1);
    put(&server, "/notes/warm", &pattern(4 * MIB, 2));
    // At most 256 KiB in a fifth of a second.
    let mut tracer = slowed(&server, "writev", 200_000);
    let sent = AtomicUsize::new(0);
    let streams: Vec<TcpStream> = (0..3).map(|_| connect_tcp(server.address())).collect();
    let (slowest, more) = memory_during(&server, || {
        std::thread::scope(|scope| {
            for (number, mut stream) in streams.iter().enumerate() {
                let (block, sent) = (&block, &sent);
                scope.spawn(move || {
                    let path = format!("/notes/{number}");
                    stream
                        .write_all(head("PUT", &path, &[], LEN).as_bytes())
                        .unwrap();
                    for piece in block.chunks(64 * 1024).cycle() {
                        if stream.write_all(piece).is_err() {
                            return; // It is shut below.
                        }
                        sent.fetch_add(piece.len(), Ordering::Relaxed);
                    }
                });
            }
            let began = Instant::now();
            let (mut slowest, mut client) = (Duration::ZERO, server.connect());
            while began.elapsed() < Duration::from_millis(800) {
                let asked = Instant::now();
                client.get("/plain").assert_body(b"plain");
                slowest = slowest.max(asked.elapsed());
                sleep(Duration::from_millis(5));
            }
            let earlier = sent.load(Ordering::Relaxed);
            sleep(Duration::from_millis(400));
            let meanwhile = sent.load(Ordering::Relaxed) - earlier;
            for stream in &streams {
                stream.shutdown(std::net::Shutdown::Both).unwrap();
            }
            // Two calls of each, and what the kernel's buffers have let go of at a time.
            assert!(meanwhile < 16 * MIB, "{meanwhile} bytes in 0.4 s");
            assert!(earlier < 3 * 16 * MIB, "{earlier} bytes in 0.8 s");
            slowest
        })
    });
    let_go(&mut tracer);
    assert!(more < 2 * MEMORY_MORE_MAX, "{more} bytes more");
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    assert_left(&server, &site, &["notes/", "notes/warm", "plain"]);
}
