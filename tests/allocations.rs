//! A cache hit allocates nothing, from the bytes that arrive to the send that has ended: a counting
//! allocator around a real worker, over real sockets.
//!
//! What the worker's thread allocates is counted and nothing else, ticks of its timer included. An
//! engine that allocates by its nature (tokio-uring spawns a task for each operation) is left out.
//! A head that is cut by the end of a receive buffer is copied, which allocates; so the deepest
//! batch here fits into one.

#![allow(unsafe_code, reason = "an allocator is an unsafe trait")]
#![allow(clippy::unwrap_used, reason = "a check that cannot go on fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use downpour::access::address::{AddressList, AddressRule, ForwardedBy};
use downpour::access::cors::CorsRule;
use downpour::access::credentials::{AuthFile, AuthSettings, Authenticator, Guard};
use downpour::access::gate::{GateSettings, SiteAccess};
use downpour::access::limit::LimitRule;
use downpour::access::limit_table::LimitTable;
use downpour::access::permission::AccessRule;
use downpour::access::policy::AccessRules;
use downpour::base::Millis;
use downpour::cache::{Store, StoreSettings};
use downpour::conn::{
    ConnectionCount, ConnectionSettings, InFlight, ListenerKind, ReceptionSettings, Services,
};
use downpour::engine::epoll::EpollEngine;
use downpour::engine::uring::{self, UringEngine};
use downpour::engine::{Engine, EngineSettings};
use downpour::handler::files::{FileServices, Listings, Site};
use downpour::handler::sites::Sites;
use downpour::proto::h2::{Event, FieldList, H2Connection, H2Settings, HeadStorage, PREFACE};
use downpour::record::{Counters, EntryReader, channel};
use downpour::route::{Hosts, SiteSettings};
use downpour::task::Pool;
use downpour::watch::Watch;
use downpour::worker::{Mailbox, Message, Turn, Worker};

struct Counting;

thread_local! {
    /// Of this thread alone: clients and the test harness allocate on others.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator with the arguments as they came; counting
// touches a thread-local without a destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than a tick, so that everything that follows from the last answer has happened.
const SETTLE: Duration = Duration::from_millis(250);

/// A worker on a thread of its own.
struct Running {
    address: SocketAddr,
    mailbox: Mailbox,
    /// What its thread has allocated, as of its last turn.
    allocated: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

type Start = fn(Served, TcpListener, mpsc::Sender<Mailbox>, Arc<AtomicU64>);

/// What a worker serves.
struct Served {
    site: Site,
    /// With CORS, tokens, limits and an access log.
    is_guarded: bool,
}

impl Running {
    fn start(site: Site, start: Start) -> Running {
        let is_guarded = false;
        Running::start_with(Served { site, is_guarded }, start)
    }

    fn start_with(served: Served, start: Start) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let allocated = Arc::new(AtomicU64::new(0));
        let (sender, is_ready) = mpsc::channel();
        let counter = Arc::clone(&allocated);
        let thread = std::thread::spawn(move || start(served, listener, sender, counter));
        let mailbox = is_ready.recv_timeout(PATIENCE).unwrap();
        Running {
            address,
            mailbox,
            allocated,
            thread,
        }
    }

    fn end(self) {
        let grace = Duration::ZERO;
        self.mailbox.send(Message::Shutdown { grace });
        self.thread.join().unwrap();
    }
}

fn on_uring(
    served: Served,
    listener: TcpListener,
    ready: mpsc::Sender<Mailbox>,
    count: Arc<AtomicU64>,
) {
    let settings = EngineSettings::default();
    let (mut ring, features) = uring::build(&settings).unwrap();
    let engine = UringEngine::new(&mut ring, features, &settings).unwrap();
    run(engine, served, listener, &ready, &count);
}

fn on_epoll(
    served: Served,
    listener: TcpListener,
    ready: mpsc::Sender<Mailbox>,
    count: Arc<AtomicU64>,
) {
    let engine = EpollEngine::new(&EngineSettings::default()).unwrap();
    run(engine, served, listener, &ready, &count);
}

fn run<E: Engine>(
    engine: E,
    Served { site, is_guarded }: Served,
    listener: TcpListener,
    ready: &mpsc::Sender<Mailbox>,
    count: &AtomicU64,
) {
    let store = Store::new(StoreSettings {
        bytes_max: 16 << 20,
        entry_bytes_max: 1 << 20,
        descriptors_max: 8,
        names_max: 1000,
    });
    let minute = Duration::from_secs(60);
    let settings = ConnectionSettings {
        keepalive_timeout: minute,
        header_timeout: minute,
        send_timeout: minute,
        ..ConnectionSettings::default()
    };
    let services = FileServices {
        store: Arc::new(store),
        watch: Watch::off(),
        pool: Pool::new(2, 64),
        listings: Listings::default(),
    };
    let sites = Sites::new(Arc::new(Hosts::only()), &[Arc::new(site)], &services);
    let (reception, log) = is_guarded.then(guarded).unzip();
    let log = log.map(Log::read);
    let services = Services::new(sites, settings, None, engine.waker(), engine.now());
    let services = services.with_reception(reception);
    let mut worker = Worker::new(engine, services);
    let connections = worker.connections_mut();
    connections.listen(
        listener.into(),
        ListenerKind::Plain,
        ConnectionCount::new(100),
    );
    ready.send(worker.mailbox()).unwrap();
    while worker.turn().unwrap() == Turn::Goes {
        count.store(ALLOCATIONS.get(), Ordering::Release);
    }
    drop(log);
}

/// Reads what is logged, on a thread of its own.
struct Log {
    has_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<(u64, u64)>>,
}

impl Log {
    fn read(mut reader: EntryReader) -> Log {
        let has_ended = Arc::<AtomicBool>::default();
        let end = Arc::clone(&has_ended);
        let thread = std::thread::spawn(move || {
            let mut entries = 0;
            while !end.load(Ordering::Acquire) {
                while reader.next_entry().is_some() {
                    entries += 1;
                }
                sleep(Duration::from_millis(1));
            }
            (entries, reader.dropped())
        });
        let thread = Some(thread);
        Log { has_ended, thread }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Release);
        let (entries, dropped) = self.thread.take().unwrap().join().unwrap();
        assert!(entries > 1000, "{entries} requests were logged");
        assert_eq!(dropped, 0, "all of them");
    }
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const GUARDED: &str = "Origin: https://app.example\r\nUser-Agent: a\r\n\
    Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n";

/// A gate that asks everything, and a log.
fn guarded() -> (ReceptionSettings, EntryReader) {
    let digest = digest(&SHA256, TOKEN.as_bytes());
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    let line = format!("robot:sha256:{}\n", hex.collect::<String>());
    let authenticator = Authenticator::new(&AuthSettings {
        tokens: vec![AuthFile::new("tokens", line)],
        ..AuthSettings::default()
    });
    let rules = AccessRules {
        cors: vec![CorsRule::parse("https://app.example; credentials; expose=ETag").unwrap()],
        access: vec![AccessRule::parse("read=user:robot").unwrap()],
        limits: vec![
            LimitRule::parse("100000/s burst=1000000").unwrap(),
            LimitRule::parse("100000/s burst=1000000 by=user name=users").unwrap(),
        ],
        allow: vec![AddressRule::parse("private").unwrap()],
        ..AccessRules::default()
    };
    let site = SiteAccess {
        rules: Arc::new(rules),
        authenticator: Some(Arc::new(ArcSwap::from_pointee(authenticator.unwrap()))),
        ..SiteAccess::default()
    };
    let gate = GateSettings {
        sites: vec![site],
        trusted: AddressList::default(),
        forwarded_by: ForwardedBy::default(),
        limits: LimitTable::new(1 << 20),
        guard: Guard::new(),
    };
    let counters = Arc::<Counters>::default();
    let (recorder, log) = channel(1 << 20, Arc::clone(&counters));
    let settings = ReceptionSettings {
        gate: Arc::new(gate),
        recorder: Some(recorder),
        counters,
        says_request_id: true,
        health: Some("/healthz".into()),
        metrics: None,
        in_flight: Some(InFlight::new(100)),
        per_address: None,
        has_proxy_protocol: false,
    };
    (settings, log)
}

/// A request, repeated, and how its answer begins.
struct Exchange {
    requests: Vec<u8>,
    begins: String,
    /// How often it is asked in one write.
    depth: usize,
}

impl Exchange {
    fn new(method: &str, path: &str, fields: &str, status: u16, depth: usize) -> Exchange {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
        Exchange {
            requests: request.repeat(depth).into_bytes(),
            begins: format!("HTTP/1.1 {status} "),
            depth,
        }
    }
}

/// A client that knows how long its answer is, once it has seen one.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let buffer = vec![0; 4 << 20];
        Client { stream, buffer }
    }

    /// Asks once and waits for silence; the length of the whole answer.
    fn measure(&mut self, exchange: &Exchange) -> usize {
        self.stream.write_all(&exchange.requests).unwrap();
        let mut len = 0;
        self.stream.set_read_timeout(Some(SETTLE)).unwrap();
        while let Ok(read) = self.stream.read(&mut self.buffer[len..]) {
            assert!(read > 0, "the connection ended");
            len += read;
        }
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let text = String::from_utf8_lossy(&self.buffer[..len]);
        assert_eq!(
            text.matches(&exchange.begins).count(),
            exchange.depth,
            "{text:.300}"
        );
        len
    }

    fn ask(&mut self, exchange: &Exchange, len: usize, times: usize) {
        for _ in 0..times {
            self.stream.write_all(&exchange.requests).unwrap();
            self.stream.read_exact(&mut self.buffer[..len]).unwrap();
            assert!(self.buffer.starts_with(exchange.begins.as_bytes()));
        }
    }
}

/// Pages of the binary are never compared with a disk: nothing at all is allocated, however long it
/// takes.
fn embedded_hits(start: Start) {
    let rows = [
        Exchange::new("GET", "/hello.txt", "", 200, 1),
        Exchange::new("GET", "/", "Accept: text/html\r\nUser-Agent: a\r\n", 200, 1),
        Exchange::new("HEAD", "/", "", 200, 1),
        Exchange::new("GET", "/", "If-None-Match: *\r\n", 304, 1),
        Exchange::new("GET", "/hello.txt", "Connection: keep-alive\r\n", 200, 16),
        Exchange::new("GET", "/", "If-None-Match: *\r\n", 304, 60),
        Exchange::new("HEAD", "/hello.txt", "", 200, 16),
        Exchange::new("OPTIONS", "*", "", 204, 4),
    ];
    count(Running::start(Site::welcome("test"), start), &rows);
}

/// Who may be answered is known, how often, what other origins may read of it, and it is logged:
/// nothing of that is allocated.
fn guarded_hits(start: Start) {
    let rows = [
        Exchange::new("GET", "/hello.txt", GUARDED, 200, 1),
        Exchange::new("HEAD", "/", GUARDED, 200, 1),
        Exchange::new("GET", "/hello.txt", GUARDED, 200, 12),
    ];
    let served = Served {
        site: Site::welcome("test"),
        is_guarded: true,
    };
    count(Running::start_with(served, start), &rows);
}

/// Asks over two connections until all is warm, and then counts.
fn count(running: Running, rows: &[Exchange]) {
    let mut client = Client::connect(running.address);
    let mut second = Client::connect(running.address);
    let lens: Vec<usize> = rows.iter().map(|row| client.measure(row)).collect();
    // Warm: batches, lists and tables have the size that they need.
    for _ in 0..2 {
        for (row, len) in rows.iter().zip(&lens) {
            client.ask(row, *len, 100);
            second.ask(row, *len, 100);
        }
    }
    sleep(SETTLE);
    for (row, len) in rows.iter().zip(&lens) {
        let before = running.allocated.load(Ordering::Acquire);
        client.ask(row, *len, 500);
        second.ask(row, *len, 500);
        sleep(SETTLE);
        let after = running.allocated.load(Ordering::Acquire);
        let request = row.requests[..row.requests.len() / row.depth].escape_ascii();
        assert_eq!(after - before, 0, "1000 times {} of {request}", row.depth);
    }
    running.end();
}

/// A file is compared with the disk now and then, which allocates. Between two comparisons nothing
/// does, so that most runs that are shorter than the pause between them count nothing.
fn file_hits(start: Start) {
    const RUNS: usize = 30;
    let scratch = tempfile::tempdir().unwrap();
    let write = |name: &str, len: usize| std::fs::write(scratch.path().join(name), vec![b'x'; len]);
    write("small", 1_000).unwrap();
    write("copied", 16_000).unwrap();
    write("shared", 100_000).unwrap();
    let running = Running::start(open(scratch.path()), start);
    let mut client = Client::connect(running.address);
    let rows = [
        Exchange::new("GET", "/small", "", 200, 1),
        Exchange::new("GET", "/copied", "", 200, 1),
        Exchange::new("GET", "/shared", "", 200, 1),
        Exchange::new("GET", "/small", "", 200, 16),
        Exchange::new("GET", "/shared", "If-None-Match: *\r\n", 304, 1),
        Exchange::new("GET", "/none", "", 404, 1),
    ];
    for row in &rows {
        let len = client.measure(row);
        client.ask(row, len, 200);
        let mut silent = 0;
        for _ in 0..RUNS {
            let before = running.allocated.load(Ordering::Acquire);
            client.ask(row, len, 20);
            let after = running.allocated.load(Ordering::Acquire);
            silent += usize::from(before == after);
            sleep(Duration::from_millis(10));
        }
        let request = row.requests[..row.requests.len() / row.depth].escape_ascii();
        assert!(
            silent > RUNS / 2,
            "{silent} of {RUNS} runs of {request} allocate nothing"
        );
    }
    running.end();
}

fn open(root: &Path) -> Site {
    let settings = SiteSettings {
        root: Some(root.to_owned()),
        ..SiteSettings::default()
    };
    Site::open(0, settings, &Watch::off()).unwrap()
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.get();
    drop(Box::new(1_u8));
    assert_eq!(ALLOCATIONS.get(), before + 1);
    // And the worker's count reaches us: a new connection has a price.
    let running = Running::start(Site::welcome("test"), on_uring);
    let before = running.allocated.load(Ordering::Acquire);
    Client::connect(running.address).measure(&Exchange::new("GET", "/", "", 200, 1));
    assert!(running.allocated.load(Ordering::Acquire) > before);
    running.end();
}

#[test]
fn embedded_hits_on_io_uring() {
    embedded_hits(on_uring);
}

#[test]
fn embedded_hits_on_epoll() {
    embedded_hits(on_epoll);
}

#[test]
fn guarded_hits_on_io_uring() {
    guarded_hits(on_uring);
}

#[test]
fn guarded_hits_on_epoll() {
    guarded_hits(on_epoll);
}

#[test]
fn file_hits_on_io_uring() {
    file_hits(on_uring);
}

#[test]
fn file_hits_on_epoll() {
    file_hits(on_epoll);
}

/// The core of HTTP/2 by itself: once warm, neither requests that are answered at once allocate nor
/// content that comes in frames.
#[test]
fn frames_allocate_nothing() {
    let mut out = Vec::with_capacity(64 * 1024);
    let settings = H2Settings::default();
    let mut core: H2Connection<()> = H2Connection::new(&settings, Millis(0), &mut out);
    let mut list = FieldList::new(settings.header_list_bytes_max as usize);
    let mut answered = 0;
    let mut receive = |input: &[u8]| {
        let mut used = 0;
        out.clear();
        while used < input.len() {
            let mut storage = HeadStorage::new();
            let rest = &input[used..];
            let step = core.step(rest, &mut list, &mut storage, Millis(0), &mut out);
            used += step.consumed;
            let stream = match step.event {
                Some(Event::Content {
                    stream, flow, end, ..
                }) => {
                    core.release(stream, flow, &mut out);
                    if !end {
                        continue;
                    }
                    stream
                }
                Some(Event::Request {
                    stream,
                    has_content: false,
                    ..
                }) => stream,
                _ => continue,
            };
            assert!(core.respond(stream, &[b"\x88"], false, &mut out));
            core.write_data(stream, 1, true, &mut out);
            out.push(b'x');
            answered += 1;
        }
        ALLOCATIONS.get()
    };
    let mut begin = PREFACE.to_vec();
    begin.extend_from_slice(b"\0\0\0\x04\0\0\0\0\0");
    let mut stream = 1_u32;
    let mut request = |flags: u8, behind: &[u8]| {
        let mut bytes = vec![0, 0, 12, 1, flags];
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(b"\x82\x86\x84\x41\x07localho");
        if !behind.is_empty() {
            bytes.extend_from_slice(&[0, 0, behind.len() as u8, 0, 1]);
            bytes.extend_from_slice(&stream.to_be_bytes());
            bytes.extend_from_slice(behind);
        }
        stream += 2;
        bytes
    };
    let mut both = || [request(5, b""), request(4, b"content"), request(5, b"")].concat();
    begin.extend(both());
    let rounds: Vec<Vec<u8>> = (0..100).map(|_| both()).collect();
    receive(&begin);
    // The dynamic table is full by then.
    let (first, others) = rounds.split_at(50);
    let warm = first.iter().map(|round| receive(round)).last();
    for round in others {
        assert_eq!(Some(receive(round)), warm);
    }
    assert_eq!(answered, 3 * 101);
}
