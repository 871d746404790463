//! One engine under test, with a watchdog and what it completed so far.

use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use downpour::base::Id;
use downpour::engine::operation::SharedFile;
use downpour::engine::{
    Completion, Engine, EngineSettings, Errno, FileRange, FileSent, FileStat, Links, ListenerId,
    Operation, OperationId, Outcome, ReceiveEnd, SendBatch, SocketId, Wait, Waker,
};
use rustix::io::Errno as Kernel;

/// No check takes as long as this, on any machine that is not broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An engine under test. Every wait ends by the deadline, with the name of what was waited for.
pub(crate) struct Rig<E> {
    pub(crate) engine: E,
    /// Completions that no check has asked for yet, in order.
    pub(crate) queue: VecDeque<Completion>,
    deadline: Instant,
    pub(crate) scratch: tempfile::TempDir,
    _watchdog: Watchdog,
}

/// Wakes the engine at the deadline; ends the process if that does not help.
pub(crate) struct Watchdog(Option<Sender<()>>);

impl Watchdog {
    pub(crate) fn start(waker: Waker) -> Watchdog {
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

pub(crate) fn small_settings() -> EngineSettings {
    EngineSettings {
        recv_buffers: 8,
        recv_buffer_bytes: 1024,
        ..EngineSettings::default()
    }
}

impl<E: Engine> Rig<E> {
    pub(crate) fn new(make: fn(&EngineSettings) -> io::Result<E>) -> Rig<E> {
        let engine = make(&small_settings()).expect("this machine offers the engine");
        Rig {
            _watchdog: Watchdog::start(engine.waker()),
            engine,
            queue: VecDeque::new(),
            deadline: Instant::now() + PATIENCE,
            scratch: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn turn(&mut self, wait: Wait) {
        let mut completions = Vec::new();
        self.engine.wait(wait, &mut completions).unwrap();
        self.queue.extend(completions);
    }

    /// The first completion that `pick` wants; the others stay queued.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&Completion) -> Option<T>,
    ) -> T {
        let (picked, _) = self.take(what, |completion| pick(completion));
        picked
    }

    pub(crate) fn take<T>(
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
    pub(crate) fn completed_within(&mut self, span: Duration) -> &mut VecDeque<Completion> {
        let end = Instant::now() + span;
        while Instant::now() < end {
            self.turn(Wait::Poll);
            thread::sleep(Duration::from_millis(2));
        }
        &mut self.queue
    }

    pub(crate) fn listen_tcp(&mut self) -> (ListenerId, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        (self.engine.add_listener(listener.into()), address)
    }

    pub(crate) fn listen_unix(&mut self) -> (ListenerId, PathBuf) {
        let path = self.scratch.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        (self.engine.add_listener(listener.into()), path)
    }

    pub(crate) fn accepted(&mut self) -> SocketId {
        self.until("an accepted connection", |completion| match completion {
            Completion::Accepted { socket, .. } => Some(*socket),
            _ => None,
        })
    }

    /// A connected pair: ours by its id, and the peer's end.
    pub(crate) fn pair(&mut self) -> (SocketId, TcpStream) {
        let (listener, address) = self.listen_tcp();
        self.engine.accept(listener);
        let peer = TcpStream::connect(address).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.set_write_timeout(Some(PATIENCE)).unwrap();
        let socket = self.accepted();
        self.engine.stop_accepting(listener);
        (socket, peer)
    }

    pub(crate) fn unix_pair(&mut self) -> (SocketId, UnixStream) {
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
    pub(crate) fn received(&mut self, socket: SocketId) -> Result<Vec<u8>, ReceiveEnd> {
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
    pub(crate) fn receive_exactly(&mut self, socket: SocketId, len: usize) -> Vec<u8> {
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

    pub(crate) fn receive_end(&mut self, socket: SocketId) -> ReceiveEnd {
        match self.received(socket) {
            Ok(bytes) => panic!("{} bytes instead of an end", bytes.len()),
            Err(end) => end,
        }
    }

    /// The end of what the peer sends. An arm that the engine ends by itself is made again.
    pub(crate) fn stream_end(&mut self, socket: SocketId) -> ReceiveEnd {
        loop {
            match self.receive_end(socket) {
                ReceiveEnd::Stopped => self.engine.receive(socket),
                end => return end,
            }
        }
    }

    pub(crate) fn sent(&mut self, socket: SocketId) -> (Box<SendBatch>, Result<(), Errno>) {
        let (_, completion) = self.take("the end of a send", |completion| match completion {
            Completion::Sent { socket: of, .. } if *of == socket => Some(()),
            _ => None,
        });
        match completion {
            Completion::Sent { batch, result, .. } => (batch, result),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn send(&mut self, socket: SocketId, bytes: &[u8]) {
        self.engine.send(socket, batch_of(bytes), false);
        assert_eq!(self.sent(socket).1, Ok(()));
    }

    pub(crate) fn writable(&mut self, socket: SocketId) {
        self.until("room", |completion| match completion {
            Completion::Writable { socket: of } if *of == socket => Some(()),
            _ => None,
        });
    }

    /// The ladder's end: cancel, hear of what was in flight, close.
    pub(crate) fn close(&mut self, socket: SocketId, receiving: bool) {
        self.engine.cancel(socket);
        while receiving && self.received(socket).is_ok() {}
        self.engine.close(socket);
        self.engine.flush();
    }

    pub(crate) fn finish(&mut self, operation: Operation) -> Outcome {
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

    pub(crate) fn find(&mut self, root: &SharedFile, path: &str) -> Result<SharedFile, Errno> {
        let outcome = self.finish(Operation::Find {
            root: Arc::clone(root),
            path: CString::new(path).unwrap(),
            links: Links::Inside,
        });
        match outcome {
            Outcome::Opened(result) => result.map(Arc::new),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn open_found(&mut self, found: &SharedFile) -> Result<SharedFile, Errno> {
        let found = Arc::clone(found);
        match self.finish(Operation::OpenFound { found }) {
            Outcome::Opened(result) => result.map(Arc::new),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn stat(&mut self, file: &SharedFile) -> FileStat {
        let file = Arc::clone(file);
        match self.finish(Operation::Stat { file }) {
            Outcome::Stat(result) => result.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn read(
        &mut self,
        file: &SharedFile,
        offset: u64,
        buf: Vec<u8>,
    ) -> (Vec<u8>, usize) {
        let file = Arc::clone(file);
        match self.finish(Operation::Read { file, offset, buf }) {
            Outcome::Read { buf, result } => (buf, result.unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// Sends a whole range as the connection layer does: slices, polls, and reads of what is cold.
    pub(crate) fn send_range(
        &mut self,
        socket: SocketId,
        mut range: FileRange,
    ) -> Result<(), FileSent> {
        while range.len > 0 {
            let sent = match self.engine.send_file(socket, &range) {
                FileSent::Sent { bytes, .. } => {
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

pub(crate) fn batch_of(bytes: &[u8]) -> Box<SendBatch> {
    let mut batch = Box::<SendBatch>::default();
    batch.push(bytes);
    batch
}

/// A batch of shared pieces with own bytes between them, and the bytes that it stands for.
pub(crate) fn mixed_batch(pieces: usize, piece_bytes: usize) -> (Box<SendBatch>, Vec<u8>) {
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

/// Bytes of which no two stretches look alike.
pub(crate) fn noise(len: usize, seed: u32) -> Vec<u8> {
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

pub(crate) fn shared_file(path: &Path) -> SharedFile {
    Arc::new(File::open(path).unwrap().into())
}

pub(crate) fn kernel(errno: Kernel) -> Errno {
    Errno(errno.raw_os_error())
}

/// Names the check that a child process is to run; see [`in_a_child`].
const CHILD: &str = "DOWNPOUR_TEST_CHILD";

/// Runs `check` in a process of its own, because it takes all descriptors.
pub(crate) fn in_a_child(test: &str, check: impl FnOnce()) {
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
