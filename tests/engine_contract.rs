//! The contract of `downpour::engine::Engine`, checked on every engine alike.
//!
//! Each check is a generic function over a [`Rig`]: one engine, a watchdog and what it completed so
//! far. The macro at the end runs all of them for each engine.

// A check that cannot go on fails; `unwrap` says where.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use downpour::base::Id;
use downpour::base::limits::TICK;
use downpour::engine::operation::{FileKind, SharedFile};
use downpour::engine::uring::{self, UringEngine};
use downpour::engine::{
    Completion, Engine, EngineSettings, Errno, FileRange, FileSent, FileStat, ListenerId,
    Operation, OperationId, Outcome, ReceiveEnd, SendBatch, SocketId, Wait, Waker,
};
use rustix::io::Errno as Kernel;

/// No check takes as long as this, on any machine that is not broken.
const PATIENCE: Duration = Duration::from_secs(20);

// ---- The rig ---------------------------------------------------------------------------------

/// An engine under test. Every wait ends by the deadline, with the name of what was waited for.
struct Rig<E> {
    engine: E,
    /// Completions that no check has asked for yet, in order.
    queue: VecDeque<Completion>,
    deadline: Instant,
    scratch: tempfile::TempDir,
    _watchdog: Watchdog,
}

/// Wakes the engine at the deadline; ends the process if that does not help.
struct Watchdog(Option<Sender<()>>);

impl Watchdog {
    fn start(waker: Waker) -> Watchdog {
        let (sender, receiver) = channel::<()>();
        thread::spawn(move || {
            if receiver.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            waker.wake();
            if receiver.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!("an engine does not return from its wait");
                std::process::abort();
            }
        });
        Watchdog(Some(sender))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0 = None;
    }
}

fn small_settings() -> EngineSettings {
    EngineSettings {
        recv_buffers: 8,
        recv_buffer_bytes: 1024,
        ..EngineSettings::default()
    }
}

impl<E: Engine> Rig<E> {
    fn new(make: fn(&EngineSettings) -> io::Result<E>) -> Rig<E> {
        let engine = make(&small_settings()).expect("this machine offers the engine");
        Rig {
            _watchdog: Watchdog::start(engine.waker()),
            engine,
            queue: VecDeque::new(),
            deadline: Instant::now() + PATIENCE,
            scratch: tempfile::tempdir().unwrap(),
        }
    }

    fn turn(&mut self, wait: Wait) {
        let mut completions = Vec::new();
        self.engine.wait(wait, &mut completions).unwrap();
        self.queue.extend(completions);
    }

    /// The first completion that `pick` wants; the others stay queued.
    fn until<T>(&mut self, what: &str, mut pick: impl FnMut(&Completion) -> Option<T>) -> T {
        let (picked, _) = self.take(what, |completion| pick(completion));
        picked
    }

    fn take<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&Completion) -> Option<T>,
    ) -> (T, Completion) {
        let mut seen = 0;
        loop {
            while seen < self.queue.len() {
                if let Some(picked) = pick(&self.queue[seen]) {
                    return (picked, self.queue.remove(seen).unwrap());
                }
                seen += 1;
            }
            let late = Instant::now() >= self.deadline;
            assert!(!late, "waited in vain for {what}; got {:?}", self.queue);
            self.turn(Wait::Block);
        }
    }

    /// Everything that completes within `span`; for what must not happen.
    fn completed_within(&mut self, span: Duration) -> &mut VecDeque<Completion> {
        let end = Instant::now() + span;
        while Instant::now() < end {
            self.turn(Wait::Poll);
            thread::sleep(Duration::from_millis(2));
        }
        &mut self.queue
    }

    fn listen_tcp(&mut self) -> (ListenerId, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        (self.engine.add_listener(listener.into()), address)
    }

    fn listen_unix(&mut self) -> (ListenerId, PathBuf) {
        let path = self.scratch.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        (self.engine.add_listener(listener.into()), path)
    }

    fn accepted(&mut self) -> SocketId {
        self.until("an accepted connection", |completion| match completion {
            Completion::Accepted { socket, .. } => Some(*socket),
            _ => None,
        })
    }

    /// A connected pair: ours by its id, and the peer's end.
    fn pair(&mut self) -> (SocketId, TcpStream) {
        let (listener, address) = self.listen_tcp();
        self.engine.accept(listener);
        let peer = TcpStream::connect(address).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.set_write_timeout(Some(PATIENCE)).unwrap();
        let socket = self.accepted();
        self.engine.stop_accepting(listener);
        (socket, peer)
    }

    fn unix_pair(&mut self) -> (SocketId, UnixStream) {
        let (listener, path) = self.listen_unix();
        self.engine.accept(listener);
        let peer = UnixStream::connect(path).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.set_write_timeout(Some(PATIENCE)).unwrap();
        let socket = self.accepted();
        self.engine.stop_accepting(listener);
        (socket, peer)
    }

    /// The next received bytes of `socket`, recycled; or the end of the receive.
    fn received(&mut self, socket: SocketId) -> Result<Vec<u8>, ReceiveEnd> {
        let (end, completion) = self.take("bytes or an end", |completion| match completion {
            Completion::Received { socket: of, .. } if *of == socket => Some(None),
            Completion::ReceiveEnded { socket: of, end } if *of == socket => Some(Some(*end)),
            _ => None,
        });
        match (end, completion) {
            (Some(end), _) => Err(end),
            (None, Completion::Received { received, .. }) => {
                let bytes = self.engine.bytes(&received).to_vec();
                self.engine.recycle(received);
                assert!(!bytes.is_empty(), "an empty buffer says nothing");
                Ok(bytes)
            }
            (None, other) => panic!("{other:?}"),
        }
    }

    /// Receives exactly `len` bytes on an armed socket, arming again when it starves.
    fn receive_exactly(&mut self, socket: SocketId, len: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < len {
            match self.received(socket) {
                Ok(bytes) => all.extend(bytes),
                Err(ReceiveEnd::Starved | ReceiveEnd::Stopped) => self.engine.receive(socket),
                Err(end) => panic!("{end:?} after {} of {len} bytes", all.len()),
            }
        }
        assert_eq!(all.len(), len);
        all
    }

    fn receive_end(&mut self, socket: SocketId) -> ReceiveEnd {
        match self.received(socket) {
            Ok(bytes) => panic!("{} bytes instead of an end", bytes.len()),
            Err(end) => end,
        }
    }

    fn sent(&mut self, socket: SocketId) -> (Box<SendBatch>, Result<(), Errno>) {
        let (_, completion) = self.take("the end of a send", |completion| match completion {
            Completion::Sent { socket: of, .. } if *of == socket => Some(()),
            _ => None,
        });
        match completion {
            Completion::Sent { batch, result, .. } => (batch, result),
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, socket: SocketId, bytes: &[u8]) {
        self.engine.send(socket, batch_of(bytes), false);
        assert_eq!(self.sent(socket).1, Ok(()));
    }

    fn writable(&mut self, socket: SocketId) {
        self.until("room", |completion| match completion {
            Completion::Writable { socket: of } if *of == socket => Some(()),
            _ => None,
        });
    }

    /// The ladder's end: cancel, hear of what was in flight, close.
    fn close(&mut self, socket: SocketId, receiving: bool) {
        self.engine.cancel(socket);
        while receiving && self.received(socket).is_ok() {}
        self.engine.close(socket);
    }

    fn finish(&mut self, operation: Operation) -> Outcome {
        let id = OperationId(Id {
            index: 7,
            generation: 3,
        });
        self.engine.start(id, operation);
        let (_, completion) = self.take("the end of an operation", |completion| match completion {
            Completion::Finished { operation, .. } if *operation == id => Some(()),
            _ => None,
        });
        match completion {
            Completion::Finished { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn find(&mut self, root: &SharedFile, path: &str) -> Result<SharedFile, Errno> {
        let outcome = self.finish(Operation::Find {
            root: Arc::clone(root),
            path: CString::new(path).unwrap(),
        });
        match outcome {
            Outcome::Opened(result) => result.map(Arc::new),
            other => panic!("{other:?}"),
        }
    }

    fn open_found(&mut self, found: &SharedFile) -> Result<SharedFile, Errno> {
        let found = Arc::clone(found);
        match self.finish(Operation::OpenFound { found }) {
            Outcome::Opened(result) => result.map(Arc::new),
            other => panic!("{other:?}"),
        }
    }

    fn stat(&mut self, file: &SharedFile) -> FileStat {
        let file = Arc::clone(file);
        match self.finish(Operation::Stat { file }) {
            Outcome::Stat(result) => result.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, file: &SharedFile, offset: u64, buf: Vec<u8>) -> (Vec<u8>, usize) {
        let file = Arc::clone(file);
        match self.finish(Operation::Read { file, offset, buf }) {
            Outcome::Read { buf, result } => (buf, result.unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// Sends a whole range as the connection layer does: slices, polls, and reads of what is cold.
    fn send_range(&mut self, socket: SocketId, mut range: FileRange) -> Result<(), FileSent> {
        while range.len > 0 {
            let sent = match self.engine.send_file(socket, &range) {
                FileSent::Sent(bytes) => {
                    assert!(bytes >= 1 && bytes <= range.len);
                    bytes
                }
                FileSent::WouldBlock => {
                    self.engine.poll_writable(socket);
                    self.writable(socket);
                    0
                }
                FileSent::Cold => {
                    let want = range.len.min(64 * 1024) as usize;
                    let (buf, len) = self.read(&range.file, range.offset, Vec::with_capacity(want));
                    assert!(len > 0 && len <= want && len == buf.len());
                    self.send(socket, &buf);
                    len as u64
                }
                other => return Err(other),
            };
            range.offset += sent;
            range.len -= sent;
        }
        Ok(())
    }
}

fn batch_of(bytes: &[u8]) -> Box<SendBatch> {
    let mut batch = Box::<SendBatch>::default();
    batch.push(bytes);
    batch
}

/// Bytes of which no two stretches look alike.
fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8
        })
        .collect()
}

fn shared_file(path: &Path) -> SharedFile {
    Arc::new(File::open(path).unwrap().into())
}

fn kernel(errno: Kernel) -> Errno {
    Errno(errno.raw_os_error())
}

// ---- Accepting -------------------------------------------------------------------------------

fn echo<S: Read + Write, E: Engine>(rig: &mut Rig<E>, socket: SocketId, peer: &mut S) {
    rig.engine.receive(socket);
    for n in 0..300 {
        let message = noise(1 + n * 7 % 900, n as u32);
        peer.write_all(&message).unwrap();
        let received = rig.receive_exactly(socket, message.len());
        assert_eq!(received, message);
        rig.send(socket, &received);
        let mut echoed = vec![0; message.len()];
        peer.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, message);
    }
    rig.close(socket, true);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the peer hears the close");
}

/// Accept, one arm for many messages, sends, close; over TCP.
fn accepts_and_echoes_over_tcp<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    echo(&mut rig, socket, &mut peer);
}

fn accepts_and_echoes_over_unix<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.unix_pair();
    echo(&mut rig, socket, &mut peer);
}

fn accepts_many_from_several_listeners<E: Engine>(mut rig: Rig<E>) {
    let (tcp, address) = rig.listen_tcp();
    let (unix, path) = rig.listen_unix();
    assert_ne!(tcp, unix);
    rig.engine.accept(tcp);
    rig.engine.accept(unix);
    let tcp_peers: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let unix_peers: Vec<_> = (0..20)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    let mut of_tcp = Vec::new();
    let mut of_unix = Vec::new();
    while of_tcp.len() < tcp_peers.len() || of_unix.len() < unix_peers.len() {
        let (listener, socket) = rig.until("a connection", |completion| match completion {
            Completion::Accepted { listener, socket } => Some((*listener, *socket)),
            _ => None,
        });
        if listener == tcp {
            &mut of_tcp
        } else {
            &mut of_unix
        }
        .push(socket);
    }
    // Every one of them works: the peers ask in turn, over far fewer buffers than connections.
    for socket in of_tcp.iter().chain(&of_unix) {
        rig.engine.receive(*socket);
    }
    for mut peer in tcp_peers.iter() {
        peer.write_all(b"?").unwrap();
    }
    for mut peer in unix_peers.iter() {
        peer.write_all(b"?").unwrap();
    }
    for socket in of_tcp.iter().chain(&of_unix) {
        assert_eq!(rig.receive_exactly(*socket, 1), b"?");
        rig.engine.send(*socket, batch_of(b"!"), false);
    }
    for socket in of_tcp.iter().chain(&of_unix) {
        assert_eq!(rig.sent(*socket).1, Ok(()));
    }
    for mut peer in tcp_peers.iter() {
        let mut answer = [0];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"!");
    }
    for socket in of_tcp.into_iter().chain(of_unix) {
        rig.close(socket, true);
    }
}

fn stops_accepting_and_starts_again<E: Engine>(mut rig: Rig<E>) {
    let (listener, address) = rig.listen_tcp();
    rig.engine.accept(listener);
    let _first = TcpStream::connect(address).unwrap();
    let first = rig.accepted();
    rig.engine.stop_accepting(listener);
    let error = rig.until("the stop", |completion| match completion {
        Completion::AcceptStopped {
            listener: of,
            error,
        } if *of == listener => Some(*error),
        _ => None,
    });
    assert_eq!(error, None);
    let mut second = TcpStream::connect(address).unwrap();
    let quiet = rig.completed_within(Duration::from_millis(50));
    assert!(quiet.is_empty(), "{quiet:?}");
    rig.engine.accept(listener);
    let socket = rig.accepted();
    rig.send(socket, b"late");
    let mut late = [0; 4];
    second.read_exact(&mut late).unwrap();
    assert_eq!(&late, b"late");
    rig.engine.stop_accepting(listener);
    rig.until("the stop", |completion| {
        matches!(completion, Completion::AcceptStopped { .. }).then_some(())
    });
    rig.engine.close_listener(listener);
    rig.turn(Wait::Poll);
    assert!(TcpStream::connect(address).is_err(), "nobody listens there");
    rig.close(first, false);
    rig.close(socket, false);
}

// ---- Receiving -------------------------------------------------------------------------------

fn tells_eof_and_goes_on_sending<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.receive(socket);
    peer.write_all(b"last words").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rig.receive_exactly(socket, 10), b"last words");
    assert_eq!(rig.receive_end(socket), ReceiveEnd::Eof);
    rig.send(socket, b"answer");
    rig.engine.shutdown_write(socket);
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
    // Asking again gets the same answer.
    rig.engine.receive(socket);
    assert_eq!(rig.receive_end(socket), ReceiveEnd::Eof);
    rig.close(socket, false);
}

fn hears_an_end_that_comes_later<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.receive(socket);
    peer.write_all(b"x").unwrap();
    assert_eq!(rig.receive_exactly(socket, 1), b"x");
    let quiet = rig.completed_within(Duration::from_millis(30));
    assert!(
        !quiet
            .iter()
            .any(|c| matches!(c, Completion::ReceiveEnded { .. }))
    );
    drop(peer);
    assert_eq!(rig.receive_end(socket), ReceiveEnd::Eof);
    rig.close(socket, false);
}

/// We say FIN first; the peer still sends, then ends.
fn half_closes_and_goes_on_receiving<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.send(socket, b"bye");
    rig.engine.shutdown_write(socket);
    rig.engine.receive(socket);
    let mut text = String::new();
    peer.read_to_string(&mut text).unwrap();
    assert_eq!(text, "bye");
    peer.write_all(b"well").unwrap();
    assert_eq!(rig.receive_exactly(socket, 4), b"well");
    drop(peer);
    assert_eq!(rig.receive_end(socket), ReceiveEnd::Eof);
    rig.close(socket, false);
}

fn starves_without_losing_a_byte<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    let sent = noise(100_000, 1);
    let copy = sent.clone();
    let writer = thread::spawn(move || {
        peer.write_all(&copy).unwrap();
        peer
    });
    rig.engine.receive(socket);
    let mut all = Vec::new();
    let mut starved = 0;
    while all.len() < sent.len() {
        // Nothing is given back before the engine has run dry (or everything is there).
        let mut held = Vec::new();
        let mut held_bytes = 0;
        let end = loop {
            if all.len() + held_bytes == sent.len() {
                break None;
            }
            let (end, completion) = rig.take("bytes or an end", |completion| match completion {
                Completion::Received { .. } => Some(None),
                Completion::ReceiveEnded { end, .. } => Some(Some(*end)),
                _ => None,
            });
            match completion {
                Completion::Received { received, .. } => {
                    held_bytes += rig.engine.bytes(&received).len();
                    held.push(received);
                }
                _ => break end,
            }
        };
        for received in held {
            all.extend_from_slice(rig.engine.bytes(&received));
            rig.engine.recycle(received);
        }
        match end {
            Some(ReceiveEnd::Starved) => {
                starved += 1;
                rig.engine.receive(socket);
            }
            // An engine may end an arm for reasons of its own.
            Some(ReceiveEnd::Stopped) => rig.engine.receive(socket),
            Some(end) => panic!("{end:?}"),
            None => {}
        }
    }
    assert!(all == sent, "the bytes are those that were sent");
    assert!(starved >= 2, "eight buffers of 1 KiB cannot hold 100 KB");
    drop(writer.join().unwrap());
    assert_eq!(rig.receive_end(socket), ReceiveEnd::Eof);
    rig.close(socket, false);
}

fn one_that_holds_all_buffers_starves_another_for_a_while_only<E: Engine>(mut rig: Rig<E>) {
    let (greedy, mut greedy_peer) = rig.pair();
    let (other, mut other_peer) = rig.pair();
    rig.engine.receive(greedy);
    greedy_peer.write_all(&noise(30_000, 2)).unwrap();
    let mut held = Vec::new();
    loop {
        let (starved, completion) = rig.take("starvation", |completion| match completion {
            Completion::Received { .. } => Some(false),
            Completion::ReceiveEnded { end, .. } => Some(*end == ReceiveEnd::Starved),
            _ => None,
        });
        match completion {
            Completion::Received { received, .. } => held.push(received),
            _ if starved => break,
            _ => rig.engine.receive(greedy),
        }
    }
    rig.engine.receive(other);
    other_peer.write_all(b"me too").unwrap();
    assert_eq!(rig.receive_end(other), ReceiveEnd::Starved);
    for received in held {
        rig.engine.recycle(received);
    }
    rig.engine.receive(other);
    assert_eq!(rig.receive_exactly(other, 6), b"me too");
    rig.close(other, true);
    rig.close(greedy, false);
}

fn stops_receiving_and_loses_nothing<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    // With nothing there.
    rig.engine.receive(socket);
    rig.turn(Wait::Poll);
    rig.engine.stop_receiving(socket);
    assert_eq!(rig.receive_end(socket), ReceiveEnd::Stopped);
    peer.write_all(b"quiet").unwrap();
    let quiet = rig.completed_within(Duration::from_millis(50));
    assert!(
        !quiet
            .iter()
            .any(|c| matches!(c, Completion::Received { .. })),
        "{quiet:?}"
    );
    rig.engine.receive(socket);
    assert_eq!(rig.receive_exactly(socket, 5), b"quiet");
    // In the middle of a stream, again and again.
    let sent = noise(50_000, 3);
    let copy = sent.clone();
    let writer = thread::spawn(move || {
        for chunk in copy.chunks(500) {
            peer.write_all(chunk).unwrap();
        }
        peer
    });
    rig.engine.stop_receiving(socket);
    let mut all = Vec::new();
    while all.len() < sent.len() {
        while let Ok(bytes) = rig.received(socket) {
            all.extend(bytes);
        }
        rig.engine.receive(socket);
        if all.len() < sent.len() {
            match rig.received(socket) {
                Ok(bytes) => all.extend(bytes),
                // Ended already: stopping it changes nothing, so there is nothing to wait for.
                Err(ReceiveEnd::Starved | ReceiveEnd::Stopped) => rig.engine.receive(socket),
                Err(end) => panic!("{end:?}"),
            }
        }
        rig.engine.stop_receiving(socket);
    }
    while let Ok(bytes) = rig.received(socket) {
        all.extend(bytes);
    }
    assert!(all == sent, "the bytes are those that were sent");
    drop(writer.join().unwrap());
    rig.close(socket, false);
}

fn bytes_can_be_changed_in_place<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.receive(socket);
    peer.write_all(b"abc").unwrap();
    let (_, completion) = rig.take("bytes", |completion| {
        matches!(completion, Completion::Received { .. }).then_some(())
    });
    let Completion::Received { received, .. } = completion else {
        unreachable!()
    };
    rig.engine.bytes(&received).make_ascii_uppercase();
    assert_eq!(rig.engine.bytes(&received), b"ABC");
    rig.engine.recycle(received);
    rig.close(socket, true);
}

// ---- Sending ---------------------------------------------------------------------------------

fn mixed_batch(pieces: usize, piece_bytes: usize) -> (Box<SendBatch>, Vec<u8>) {
    let mut batch = Box::<SendBatch>::default();
    let mut whole = Vec::new();
    for n in 0..pieces {
        let head = noise(n % 50, n as u32);
        let body = noise(piece_bytes, 1000 + n as u32);
        batch.push(&head);
        whole.extend_from_slice(&head);
        whole.extend_from_slice(&body);
        batch.push_shared(Bytes::from(body));
    }
    (batch, whole)
}

fn send_to_slow_reader<S: Read + Send + 'static, E: Engine>(
    rig: &mut Rig<E>,
    socket: SocketId,
    mut peer: S,
) {
    let (batch, whole) = mixed_batch(300, 20_000);
    let len = whole.len();
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        let mut all = Vec::new();
        let mut buf = vec![0; 7_000];
        while all.len() < len {
            let read = peer.read(&mut buf).unwrap();
            assert!(read > 0, "closed after {} of {len}", all.len());
            all.extend_from_slice(&buf[..read]);
            if all.len() % 29 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        (all, peer)
    });
    let before = rig.engine.send_progress(socket);
    rig.engine.send(socket, batch, false);
    let (mut batch, result) = rig.sent(socket);
    assert_eq!((result, batch.len()), (Ok(()), len));
    let (received, peer) = reader.join().unwrap();
    assert!(received == whole, "the bytes are those of the batch");
    assert!(rig.engine.send_progress(socket) > before);
    // The batch came home to be used again.
    batch.clear();
    batch.push(b"again");
    rig.engine.send(socket, batch, false);
    assert_eq!(rig.sent(socket).1, Ok(()));
    rig.close(socket, false);
    drop(peer);
}

fn sends_all_of_a_large_batch_to_a_slow_reader_over_tcp<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.pair();
    send_to_slow_reader(&mut rig, socket, peer);
}

fn sends_all_of_a_large_batch_to_a_slow_reader_over_unix<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.unix_pair();
    send_to_slow_reader(&mut rig, socket, peer);
}

/// Small and large sends, one after the other, while bytes come in: no wake-up is lost.
fn sends_and_receives_at_the_same_time<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.unix_pair();
    let mut reader = peer.try_clone().unwrap();
    let mut writer = peer;
    let incoming = noise(200_000, 4);
    let copy = incoming.clone();
    let writing = thread::spawn(move || {
        for chunk in copy.chunks(1_000) {
            writer.write_all(chunk).unwrap();
        }
    });
    let outgoing: Vec<Vec<u8>> = (0..40)
        .map(|n| noise(if n % 4 == 0 { 700_000 } else { 300 }, n))
        .collect();
    let expected: Vec<u8> = outgoing.concat();
    let expected_len = expected.len();
    let reading = thread::spawn(move || {
        let mut all = vec![0; expected_len];
        reader.read_exact(&mut all).unwrap();
        all
    });
    rig.engine.receive(socket);
    let mut received = Vec::new();
    for bytes in outgoing {
        rig.engine.send(socket, batch_of(&bytes), false);
        if received.len() < incoming.len() {
            match rig.received(socket) {
                Ok(bytes) => received.extend(bytes),
                Err(ReceiveEnd::Starved | ReceiveEnd::Stopped) => rig.engine.receive(socket),
                Err(end) => panic!("{end:?}"),
            }
        }
        assert_eq!(rig.sent(socket).1, Ok(()));
    }
    let rest = incoming.len() - received.len();
    received.extend(rig.receive_exactly(socket, rest));
    assert!(received == incoming);
    writing.join().unwrap();
    assert!(reading.join().unwrap() == expected);
    rig.close(socket, true);
}

fn an_empty_batch_is_sent_at_once<E: Engine>(mut rig: Rig<E>) {
    let (socket, _peer) = rig.pair();
    rig.send(socket, b"");
    rig.close(socket, false);
}

fn flush_sends_without_collecting<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.send(socket, batch_of(b"now"), false);
    rig.engine.flush();
    let mut now = [0; 3];
    peer.read_exact(&mut now).unwrap();
    assert_eq!(&now, b"now");
    assert_eq!(rig.sent(socket).1, Ok(()));
    rig.close(socket, false);
}

fn a_reset_ends_send_and_receive<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.pair();
    rig.engine.receive(socket);
    let (batch, _) = mixed_batch(2_000, 10_000);
    rig.engine.send(socket, batch, false);
    let quiet = rig.completed_within(Duration::from_millis(50));
    assert!(
        !quiet.iter().any(|c| matches!(c, Completion::Sent { .. })),
        "20 MB fit nowhere"
    );
    // Closing with unread bytes resets the connection (RFC 9293, 3.10.7.1).
    drop(peer);
    let (_, result) = rig.sent(socket);
    let errno = result.expect_err("the peer is gone");
    assert!(
        [kernel(Kernel::CONNRESET), kernel(Kernel::PIPE)].contains(&errno),
        "{errno:?}"
    );
    // One of the two operations gets the reset, the other may see only an end.
    let end = rig.receive_end(socket);
    assert!(
        matches!(end, ReceiveEnd::Failed(_) | ReceiveEnd::Eof),
        "{end:?}"
    );
    rig.close(socket, false);
}

fn a_send_to_a_closed_peer_fails_and_kills_nobody<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.unix_pair();
    drop(peer);
    rig.engine.send(socket, batch_of(b"x"), false);
    let errno = rig.sent(socket).1.expect_err("the peer is gone");
    assert!(
        [kernel(Kernel::CONNRESET), kernel(Kernel::PIPE)].contains(&errno),
        "{errno:?}"
    );
    rig.close(socket, false);
}

// ---- Cancelling and closing ------------------------------------------------------------------

fn cancel_ends_whatever_is_in_flight<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.receive(socket);
    let (batch, whole) = mixed_batch(2_000, 10_000);
    rig.engine.send(socket, batch, false);
    rig.completed_within(Duration::from_millis(30));
    rig.engine.cancel(socket);
    let (batch, result) = rig.sent(socket);
    assert!(result.is_err());
    assert_eq!(batch.len(), whole.len(), "the batch comes home whole");
    assert!(matches!(
        rig.receive_end(socket),
        ReceiveEnd::Stopped | ReceiveEnd::Eof | ReceiveEnd::Failed(_)
    ));
    rig.engine.close(socket);
    let mut got = Vec::new();
    let _ = peer.read_to_end(&mut got);
    assert!(got.len() < whole.len());
    assert!(whole.starts_with(&got), "what was sent is a beginning");
    let quiet = rig.completed_within(Duration::from_millis(30));
    assert!(!quiet.iter().any(|c| matches!(
        c,
        Completion::Sent { .. } | Completion::ReceiveEnded { .. } | Completion::Received { .. }
    )));
}

fn cancel_ends_a_poll<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.unix_pair();
    let file = rig.scratch.path().join("large");
    std::fs::write(&file, noise(8_000_000, 5)).unwrap();
    let mut range = FileRange {
        file: shared_file(&file),
        offset: 0,
        len: 8_000_000,
    };
    loop {
        match rig.engine.send_file(socket, &range) {
            FileSent::Sent(bytes) => range.offset += bytes,
            FileSent::WouldBlock => break,
            other => panic!("{other:?}"),
        }
        range.len = 8_000_000 - range.offset;
    }
    // It may say so at once, when it has not asked yet; then the next attempt finds no room.
    rig.engine.poll_writable(socket);
    rig.completed_within(Duration::from_millis(30));
    rig.engine.cancel(socket);
    rig.writable(socket);
    rig.engine.close(socket);
    drop(peer);
}

fn closing_after_a_stopped_receive_reaches_the_peer<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.receive(socket);
    rig.turn(Wait::Poll);
    rig.engine.stop_receiving(socket);
    assert_eq!(rig.receive_end(socket), ReceiveEnd::Stopped);
    rig.engine.close(socket);
    rig.turn(Wait::Poll);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

fn stale_ids_name_nothing<E: Engine>(mut rig: Rig<E>) {
    let (stale, _peer) = rig.pair();
    rig.close(stale, false);
    let (socket, mut peer) = rig.pair();
    assert_ne!(stale, socket);
    rig.until("both stops", |c| {
        matches!(c, Completion::AcceptStopped { .. }).then_some(())
    });
    rig.until("both stops", |c| {
        matches!(c, Completion::AcceptStopped { .. }).then_some(())
    });
    let file = shared_file(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("Cargo.toml")
            .as_path(),
    );
    let range = FileRange {
        file,
        offset: 0,
        len: 1,
    };
    rig.engine.receive(stale);
    rig.engine.stop_receiving(stale);
    rig.engine.send(stale, batch_of(b"to nobody"), false);
    assert!(matches!(
        rig.engine.send_file(stale, &range),
        FileSent::Failed(_)
    ));
    rig.engine.poll_writable(stale);
    rig.engine.send_progress(stale);
    rig.engine.shutdown_write(stale);
    rig.engine.cancel(stale);
    rig.engine.close(stale);
    let quiet = rig.completed_within(Duration::from_millis(30));
    assert!(quiet.is_empty(), "{quiet:?}");
    // The one in the same slot is unharmed.
    rig.send(socket, b"here");
    let mut here = [0; 4];
    peer.read_exact(&mut here).unwrap();
    assert_eq!(&here, b"here");
    rig.close(socket, false);
}

fn slots_are_used_again_under_churn<E: Engine>(mut rig: Rig<E>) {
    let (listener, address) = rig.listen_tcp();
    rig.engine.accept(listener);
    let client = thread::spawn(move || {
        for n in 0..200u32 {
            let mut peer = TcpStream::connect(address).unwrap();
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
            peer.write_all(&n.to_ne_bytes()).unwrap();
            let mut answer = Vec::new();
            peer.read_to_end(&mut answer).unwrap();
            assert_eq!(answer, n.to_ne_bytes());
        }
    });
    let mut indices = std::collections::HashSet::new();
    for _ in 0..200 {
        let socket = rig.accepted();
        indices.insert(socket.0.index);
        rig.engine.receive(socket);
        let question = rig.receive_exactly(socket, 4);
        rig.send(socket, &question);
        rig.close(socket, true);
    }
    client.join().unwrap();
    assert!(indices.len() <= 4, "slots are used again: {indices:?}");
}

// ---- Waking, ticking, time -------------------------------------------------------------------

fn woken<E: Engine>(rig: &mut Rig<E>) {
    rig.until("the wake-up", |c| {
        matches!(c, Completion::Woken).then_some(())
    });
}

fn a_waker_ends_a_sleep_from_any_thread<E: Engine>(mut rig: Rig<E>) {
    for round in 0..3 {
        let waker = rig.engine.waker();
        let begun = Instant::now();
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            waker.wake();
        });
        woken(&mut rig);
        assert!(
            begun.elapsed() >= Duration::from_millis(30),
            "round {round}"
        );
        other.join().unwrap();
        let quiet = rig.completed_within(Duration::from_millis(20));
        assert!(quiet.is_empty(), "{quiet:?}");
    }
    // Before the sleep, and more than once: it is not lost, and it ends.
    rig.engine.waker().wake();
    rig.engine.waker().wake();
    woken(&mut rig);
    rig.completed_within(Duration::from_millis(20)).clear();
    rig.engine.waker().wake();
    woken(&mut rig);
}

fn ticks_while_ticking_is_on<E: Engine>(mut rig: Rig<E>) {
    let quiet = rig.completed_within(TICK * 2);
    assert!(quiet.is_empty(), "off at first: {quiet:?}");
    rig.engine.set_ticking(true);
    let begun = Instant::now();
    let before = rig.engine.now().monotonic;
    for _ in 0..3 {
        rig.until("a tick", |c| matches!(c, Completion::Ticked).then_some(()));
    }
    let elapsed = begun.elapsed();
    assert!(elapsed >= TICK * 2, "too fast: {elapsed:?}");
    assert!(elapsed <= TICK * 30, "too slow: {elapsed:?}");
    let clock = rig.engine.now().monotonic.since(before);
    assert!(
        clock >= 150,
        "the engine's clock went on with it: {clock} ms"
    );
    rig.engine.set_ticking(true);
    rig.engine.set_ticking(false);
    // One may be on its way.
    rig.completed_within(Duration::from_millis(20)).clear();
    let quiet = rig.completed_within(TICK * 2);
    assert!(quiet.is_empty(), "{quiet:?}");
    rig.engine.set_ticking(true);
    rig.until("a tick", |c| matches!(c, Completion::Ticked).then_some(()));
}

fn polling_does_not_sleep_and_the_clock_is_right<E: Engine>(mut rig: Rig<E>) {
    let begun = Instant::now();
    for _ in 0..10 {
        rig.turn(Wait::Poll);
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(rig.queue.is_empty());
    let real = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    assert!(rig.engine.now().unix_seconds.abs_diff(real.as_secs()) <= 1);
    assert!(!rig.engine.name().is_empty());
}

// ---- Files -----------------------------------------------------------------------------------

fn finds_inside_the_root_and_nothing_outside<E: Engine>(mut rig: Rig<E>) {
    let scratch = rig.scratch.path().to_owned();
    let root = scratch.join("root");
    std::fs::create_dir_all(root.join("dir/deep")).unwrap();
    std::fs::write(scratch.join("secret"), "secret").unwrap();
    std::fs::write(root.join("dir/deep/file"), "text").unwrap();
    symlink("../secret", root.join("relative")).unwrap();
    symlink(scratch.join("secret"), root.join("absolute")).unwrap();
    let root = shared_file(&root);
    for path in [
        "..",
        "../secret",
        "dir/../../secret",
        "/etc/passwd",
        "relative",
        "absolute",
    ] {
        let errno = rig.find(&root, path).expect_err(path);
        let refused = [kernel(Kernel::XDEV), kernel(Kernel::LOOP)];
        assert!(refused.contains(&errno), "{path}: {errno:?}");
    }
    assert_eq!(rig.find(&root, "none").unwrap_err(), kernel(Kernel::NOENT));
    assert_eq!(
        rig.find(&root, "dir/deep/file/x").unwrap_err(),
        kernel(Kernel::NOTDIR)
    );
    for path in ["", "dir", "dir/deep/"] {
        let found = rig.find(&root, path).unwrap();
        assert_eq!(rig.stat(&found).kind, FileKind::Directory, "{path:?}");
        let opened = rig.open_found(&found).unwrap();
        assert_eq!(rig.stat(&opened).inode, rig.stat(&found).inode);
    }
    // Often enough that what is known by heart is asked for, too.
    for _ in 0..3 {
        let found = rig.find(&root, "dir/deep/file").unwrap();
        let stat = rig.stat(&found);
        assert_eq!((stat.kind, stat.len), (FileKind::Regular, 4));
        let opened = rig.open_found(&found).unwrap();
        assert_eq!(rig.read(&opened, 0, Vec::with_capacity(10)).0, b"text");
    }
}

fn a_fifo_is_found_and_never_opened<E: Engine>(mut rig: Rig<E>) {
    let path = rig.scratch.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let root = shared_file(rig.scratch.path());
    let found = rig.find(&root, "fifo").unwrap();
    assert_eq!(rig.stat(&found).kind, FileKind::Other);
    // A FIFO with a reader could be opened for writing.
    let writer = File::options()
        .write(true)
        .custom_flags(libc_o_nonblock())
        .open(&path);
    assert_eq!(
        writer.unwrap_err().raw_os_error(),
        Some(Kernel::NXIO.raw_os_error())
    );
}

fn libc_o_nonblock() -> i32 {
    rustix::fs::OFlags::NONBLOCK.bits() as i32
}

fn reads_at_any_offset<E: Engine>(mut rig: Rig<E>) {
    let path = rig.scratch.path().join("file");
    let text = noise(300_000, 6);
    std::fs::write(&path, &text).unwrap();
    let file = shared_file(&path);
    for offset in [0, 1, 4_095, 4_096, 299_999] {
        let (buf, len) = rig.read(&file, offset, Vec::with_capacity(1_000));
        assert!(len >= 1 && len == buf.len());
        assert!(text[offset as usize..].starts_with(&buf));
    }
    for offset in [300_000, 300_001, 1 << 40] {
        assert_eq!(
            rig.read(&file, offset, Vec::with_capacity(10)),
            (Vec::new(), 0)
        );
    }
    assert_eq!(
        rig.read(&file, 0, Vec::new()),
        (Vec::new(), 0),
        "no room, no bytes"
    );
    let mut buf = Vec::with_capacity(10);
    buf.extend_from_slice(b"kept");
    let (buf, len) = rig.read(&file, 100, buf);
    assert_eq!(&buf[..4], b"kept");
    assert_eq!(buf[4..], text[100..100 + len]);
}

fn many_operations_end_once_each<E: Engine>(mut rig: Rig<E>) {
    let root = shared_file(rig.scratch.path());
    for index in 0..200 {
        let id = OperationId(Id {
            index,
            generation: 9,
        });
        let path = CString::new(if index % 2 == 0 { "" } else { "none" }).unwrap();
        let root = Arc::clone(&root);
        rig.engine.start(id, Operation::Find { root, path });
    }
    let mut ended = std::collections::HashSet::new();
    while ended.len() < 200 {
        let (id, found) = rig.until("an operation", |completion| match completion {
            Completion::Finished { operation, outcome } => match outcome {
                Outcome::Opened(result) => Some((*operation, result.is_ok())),
                other => panic!("{other:?}"),
            },
            _ => None,
        });
        assert_eq!(found, id.0.index % 2 == 0);
        assert!(ended.insert(id.0.index), "{id:?} ended twice");
    }
}

fn sends_a_file_byte_for_byte<E: Engine>(mut rig: Rig<E>) {
    let path = rig.scratch.path().join("large");
    let text = noise(5_000_001, 7);
    std::fs::write(&path, &text).unwrap();
    let (socket, mut peer) = rig.pair();
    let expected_len = 4 + text.len() - 3 + 4;
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        let mut all = vec![0; expected_len];
        peer.read_exact(&mut all).unwrap();
        all
    });
    rig.engine.send(socket, batch_of(b"head"), true);
    assert_eq!(rig.sent(socket).1, Ok(()));
    let range = FileRange {
        file: shared_file(&path),
        offset: 3,
        len: text.len() as u64 - 3,
    };
    rig.send_range(socket, range).unwrap();
    rig.send(socket, b"tail");
    let all = reader.join().unwrap();
    assert!(all.starts_with(b"head") && all.ends_with(b"tail"));
    assert!(
        all[4..all.len() - 4] == text[3..],
        "the bytes are those of the file"
    );
    rig.close(socket, false);
}

fn sends_a_file_while_receiving_over_unix<E: Engine>(mut rig: Rig<E>) {
    let path = rig.scratch.path().join("large");
    let text = noise(3_000_000, 8);
    std::fs::write(&path, &text).unwrap();
    let (socket, mut peer) = rig.unix_pair();
    rig.engine.receive(socket);
    let len = text.len();
    let reader = thread::spawn(move || {
        let mut all = vec![0; len];
        for chunk in all.chunks_mut(100_000) {
            peer.read_exact(chunk).unwrap();
            peer.write_all(b".").unwrap();
        }
        all
    });
    let range = FileRange {
        file: shared_file(&path),
        offset: 0,
        len: len as u64,
    };
    rig.send_range(socket, range).unwrap();
    assert_eq!(rig.receive_exactly(socket, 30), [b'.'; 30]);
    assert!(reader.join().unwrap() == text);
    rig.close(socket, true);
}

fn a_shrunken_file_is_truncated<E: Engine>(mut rig: Rig<E>) {
    let path = rig.scratch.path().join("file");
    std::fs::write(&path, noise(100_000, 9)).unwrap();
    let (socket, mut peer) = rig.pair();
    let range = FileRange {
        file: shared_file(&path),
        offset: 0,
        len: 100_000,
    };
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(30_000).unwrap();
    assert_eq!(
        rig.send_range(socket, range.clone()),
        Err(FileSent::Truncated)
    );
    peer.read_exact(&mut vec![0; 30_000]).unwrap();
    file.set_len(0).unwrap();
    assert_eq!(rig.engine.send_file(socket, &range), FileSent::Truncated);
    rig.close(socket, false);
}

fn a_cold_file_is_not_waited_for<E: Engine>(mut rig: Rig<E>) {
    // A hole has no pages until somebody reads it; on disks, so no tmpfs.
    let file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    file.write_all_at(b"end", 8 << 20).unwrap();
    let file: SharedFile = Arc::new(OwnedFd::from(file));
    let range = FileRange {
        file,
        offset: 4 << 20,
        len: 1 << 20,
    };
    let (socket, mut peer) = rig.pair();
    assert_eq!(rig.engine.send_file(socket, &range), FileSent::Cold);
    let reader = thread::spawn(move || {
        let mut all = vec![1; 1 << 20];
        peer.read_exact(&mut all).unwrap();
        all
    });
    rig.send_range(socket, range).unwrap();
    assert!(reader.join().unwrap().iter().all(|byte| *byte == 0));
    rig.close(socket, false);
}

// ---- Running out -----------------------------------------------------------------------------

/// Names the check that a child process is to run; see [`in_a_child`].
const CHILD: &str = "DOWNPOUR_TEST_CHILD";

/// Runs `check` in a process of its own, because it takes all descriptors.
fn in_a_child(test: &str, check: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some_and(|name| name == test) {
        return check();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, test)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn out_of_descriptors<E: Engine>(mut rig: Rig<E>) {
    let (listener, address) = rig.listen_tcp();
    assert!(!rig.engine.shed(listener), "none waits");
    rig.engine.accept(listener);
    rig.turn(Wait::Poll);
    // The peers have their descriptors before there are no more.
    let new_socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let peers: Vec<_> = (0..3).map(|_| new_socket().unwrap()).collect();
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = Some(256);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let mut taken = Vec::new();
    while let Ok(fd) = rustix::io::dup(peers[0].as_fd()) {
        taken.push(fd);
    }
    for peer in &peers {
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.connect(&address.into()).unwrap();
    }
    let error = rig.until("the end of accepting", |completion| match completion {
        Completion::AcceptStopped { error, .. } => Some(*error),
        _ => None,
    });
    assert_eq!(error, Some(kernel(Kernel::MFILE)));
    for mut peer in peers.iter().take(2) {
        assert!(rig.engine.shed(listener), "one waits");
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "its peer hears a close");
    }
    // With descriptors again, the third is served.
    taken.truncate(taken.len() - 8);
    rig.engine.accept(listener);
    let socket = rig.accepted();
    rig.send(socket, b"served");
    let mut served = [0; 6];
    let mut third = &peers[2];
    third.read_exact(&mut served).unwrap();
    assert_eq!(&served, b"served");
    assert!(!rig.engine.shed(listener), "none waits");
    rig.close(socket, false);
}

/// A ring outlives its engine; in a test it lives as long as the process.
fn leaked_uring(settings: &EngineSettings) -> io::Result<UringEngine<'static>> {
    let (ring, features) = uring::build(settings)?;
    UringEngine::new(Box::leak(Box::new(ring)), features, settings)
}

// ---- Every check on every engine -------------------------------------------------------------

macro_rules! checks {
    ($make:path; $($check:ident)*) => {
        $(
            #[test]
            fn $check() {
                super::$check(super::Rig::new($make));
            }
        )*

        #[test]
        fn out_of_descriptors() {
            let test = module_path!().split_once("::").expect("a module of this file").1;
            super::in_a_child(&format!("{test}::out_of_descriptors"), || {
                super::out_of_descriptors(super::Rig::new($make));
            });
        }
    };
}

macro_rules! contract {
    ($(#[$attribute:meta])* $engine:ident, $make:path) => {
        $(#[$attribute])*
        mod $engine {
            checks! {
                $make;
                accepts_and_echoes_over_tcp
                accepts_and_echoes_over_unix
                accepts_many_from_several_listeners
                stops_accepting_and_starts_again
                tells_eof_and_goes_on_sending
                hears_an_end_that_comes_later
                half_closes_and_goes_on_receiving
                starves_without_losing_a_byte
                one_that_holds_all_buffers_starves_another_for_a_while_only
                stops_receiving_and_loses_nothing
                bytes_can_be_changed_in_place
                sends_all_of_a_large_batch_to_a_slow_reader_over_tcp
                sends_all_of_a_large_batch_to_a_slow_reader_over_unix
                sends_and_receives_at_the_same_time
                an_empty_batch_is_sent_at_once
                flush_sends_without_collecting
                a_reset_ends_send_and_receive
                a_send_to_a_closed_peer_fails_and_kills_nobody
                cancel_ends_whatever_is_in_flight
                cancel_ends_a_poll
                closing_after_a_stopped_receive_reaches_the_peer
                stale_ids_name_nothing
                slots_are_used_again_under_churn
                a_waker_ends_a_sleep_from_any_thread
                ticks_while_ticking_is_on
                polling_does_not_sleep_and_the_clock_is_right
                finds_inside_the_root_and_nothing_outside
                a_fifo_is_found_and_never_opened
                reads_at_any_offset
                many_operations_end_once_each
                sends_a_file_byte_for_byte
                sends_a_file_while_receiving_over_unix
                a_shrunken_file_is_truncated
                a_cold_file_is_not_waited_for
            }
        }
    };
}

contract!(epoll, downpour::engine::epoll::EpollEngine::new);
contract!(io_uring, super::leaked_uring);
contract!(
    #[cfg(feature = "tokio-uring")]
    tokio_uring,
    downpour::engine::tokio_uring::TokioUringEngine::new
);
