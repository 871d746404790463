//! Peers that mean harm, while an honest one is served all the time, rightly and soon.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Answer, Client};
use crate::rig::{Engine, Server, Site, eventually, pattern};

/// Pseudo-random numbers that a seed gives again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() % end
    }
}

fn site() -> Site {
    let site = Site::of(&[("a", b"alpha")]);
    site.write("body", pattern(30_000, 1));
    site.write("large", pattern(400_000, 2));
    site
}

/// Asks all the time until `done`; its slowest answer. Every tenth connection is a new one.
fn honest(server: &Server, done: &AtomicBool) -> Duration {
    let (body, large) = (pattern(30_000, 1), pattern(400_000, 2));
    let mut slowest = Duration::ZERO;
    let mut client = server.connect();
    for n in 0.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        if n % 10 == 0 {
            client = server.connect();
        }
        match n % 4 {
            0 => client.get("/body").assert_body(&body),
            1 => assert_eq!(client.get("/none").status, 404),
            2 => client.get("/large").assert_body(&large),
            _ => client.get("/a").assert_body(b"alpha"),
        }
        slowest = slowest.max(began.elapsed());
        std::thread::sleep(Duration::from_millis(2));
    }
    slowest
}

/// Runs `harm` beside an honest client; gives that one's slowest answer.
fn beside_honest(server: &Server, harm: impl FnOnce()) -> Duration {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let honest = scope.spawn(|| honest(server, &done));
        // The honest client ends whatever happens to the other.
        let harmed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(harm));
        done.store(true, Ordering::Relaxed);
        let slowest = honest.join();
        if let Err(panic) = harmed {
            std::panic::resume_unwind(panic);
        }
        slowest.unwrap()
    })
}

const CORPUS: [&str; 10] = [
    "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /body HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "GET http://a/large HTTP/1.1\r\nHost: a\r\nRange: bytes=5-10\r\nIf-Range: \"x\"\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\
     A: b\r\n\r\n",
    "GET /%61/../a?b#c HTTP/1.0\r\nConnection: keep-alive\r\nIf-Modified-Since: x\r\n\r\n",
    "\r\n\r\nGET //a/./%2e%2e HTTP/1.1\r\nHost: a\r\nIf-None-Match: W/\"a\", *\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nExpect: 100-continue\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
];

/// One head of the corpus, or two, with a few bytes changed, lost, doubled or moved.
fn mutated(random: &mut Random) -> Vec<u8> {
    let mut bytes = CORPUS[random.below(CORPUS.len())].as_bytes().to_vec();
    if random.below(3) == 0 {
        bytes.extend_from_slice(CORPUS[random.below(CORPUS.len())].as_bytes());
    }
    for _ in 0..random.below(6) {
        let position = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[position] = random.below(256) as u8,
            1 => drop(bytes.remove(position)),
            2 => bytes.insert(position, b"\r\n\0 :;,%/\xff"[random.below(10)]),
            3 => {
                let end = (position + random.below(20)).min(bytes.len());
                let piece = bytes[position..end].to_vec();
                bytes.splice(position..position, piece);
            }
            _ => {
                let other = random.below(bytes.len());
                bytes.swap(position, other);
            }
        }
        if bytes.is_empty() {
            bytes.push(b'G');
        }
    }
    bytes
}

/// Whatever comes, what goes back is answers: the client's parser is strict.
fn read_answers(client: &mut Client, head_possible: bool) {
    while let Ok(answer) = client.try_answer_head() {
        let (Answer { status, .. }, len) = answer;
        assert!((200..=505).contains(&status), "{status}");
        // HEAD may stand anywhere in what was sent: then nothing says whether content follows.
        if head_possible || client.try_content(len).is_err() {
            return;
        }
    }
}

pub(crate) fn garbage_gets_answers_or_the_end(engine: Engine) {
    const ROUNDS: usize = 1_500;
    let site = site();
    // Its answers are read as HTTP/1.1; garbage among frames is fuzzed elsewhere.
    let server = Server::of(engine, &site, &["--http2=false"]);
    let mut random = Random(0x5eed_0001);
    beside_honest(&server, || {
        for round in 0..ROUNDS {
            let bytes = match round % 4 {
                0 => {
                    let len = 1 + random.below(3_000);
                    pattern(len, random.next() as u64)
                }
                _ => mutated(&mut random),
            };
            let mut client = server.connect();
            let cut = random.below(bytes.len() + 1);
            client.try_send(&bytes[..cut]);
            client.try_send(&bytes[cut..]);
            match round % 3 {
                0 => client.reset(),
                _ => {
                    client.shut_down_write_if_open();
                    let head_possible = bytes.windows(4).any(|four| four == b"HEAD");
                    read_answers(&mut client, head_possible);
                }
            }
        }
    });
    server.get("/a").assert_body(b"alpha");
}

/// Two hundred slow heads, each a byte at a time.
pub(crate) fn slow_heads_do_not_hold_up_others(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &["--header-timeout", "20s"]);
    server.get("/large");
    let mut slow: Vec<Client> = (0..200).map(|_| server.connect()).collect();
    let slowest = beside_honest(&server, || {
        let head = format!("GET /a HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(100));
        for byte in head.as_bytes()[..100].chunks(2) {
            for client in &mut slow {
                client.send(byte);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    // One turn of the loop is far shorter; the rest is a machine that does other things.
    assert!(slowest < Duration::from_millis(1000), "{slowest:?}");
    for client in &mut slow {
        client.send("\r\n\r\n");
    }
    for client in &mut slow {
        client.answer().assert_body(b"alpha");
    }
}

/// Peers that ask and ask and never read: what they cost has a bound.
pub(crate) fn pipelining_without_reading_is_bounded(engine: Engine) {
    const PEERS: usize = 20;
    let site = site();
    let server = Server::of(engine, &site, &["--send-timeout", "60s"]);
    for path in ["/a", "/body", "/large"] {
        server.get(path);
    }
    let descriptors = server.descriptors();
    let before = server.memory();
    let slowest = beside_honest(&server, || {
        let mut clients: Vec<Client> = (0..PEERS)
            .map(|_| Client::connect_narrow(server.address()))
            .collect();
        std::thread::scope(|scope| {
            for (n, client) in clients.iter_mut().enumerate() {
                scope.spawn(move || {
                    let path = ["/a", "/body", "/large", "/none"][n % 4];
                    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
                    client.set_send_patience(Duration::from_millis(700));
                    // 20 MB of requests, unless the server stops taking them.
                    let many = request.repeat(2_000);
                    (0..250).all(|_| client.try_send(&many))
                });
            }
        });
        let grown = server.memory().saturating_sub(before);
        // Output, input, and what the allocator rounds up.
        assert!(grown < PEERS * (1 << 20), "{grown} bytes for {PEERS} peers");
    });
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    eventually("they are gone", || server.descriptors() <= descriptors + 1);
}

/// Heads and contents without an end are refused, and cost next to nothing.
pub(crate) fn endless_requests_are_ended(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    server.get("/large");
    let before = server.memory();
    let chunked = "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let rows = [
        (String::new(), "x".repeat(10_000)),
        ("GET /".to_owned(), "x".repeat(10_000)),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: ".to_owned(),
            "x".repeat(10_000),
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n".to_owned(),
            "A: b\r\n".repeat(1_000),
        ),
        (String::new(), "\r\n".repeat(5_000)),
        (
            chunked.to_owned(),
            format!("1000\r\n{}\r\n", "x".repeat(0x1000)),
        ),
        (chunked.to_owned(), "1\r\nx\r\n".repeat(1_000)),
        (format!("{chunked}1;"), "x".repeat(10_000)),
        (format!("{chunked}0\r\n"), "A: b\r\n".repeat(1_000)),
        (format!("{chunked}ffffffffffffffff\r\n"), "x".repeat(10_000)),
    ];
    beside_honest(&server, || {
        for (beginning, rest) in &rows {
            let mut client = server.connect();
            client.send(beginning);
            let began = Instant::now();
            let mut sent = 0;
            while client.try_send(rest) {
                sent += rest.len();
                assert!(sent < 100 << 20, "{beginning:?} is read for ever");
                assert!(began.elapsed() < Duration::from_secs(15), "{beginning:?}");
            }
        }
    });
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes");
}
