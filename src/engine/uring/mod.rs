//! The main engine: one io_uring per worker.
//!
//! Multishot accept and receive, provided buffers, deferred task work, one enter a turn. It knows
//! sockets and operations, nothing of HTTP. What the kernel may touch is owned here until the last
//! completion of its operation: batches by their socket, slow-lane buffers by `operations`, receive
//! buffers by `buffers`.
#![allow(unsafe_code)] // Ring entries hold pointers; each push names its owner.

mod buffers;
mod completion;
mod missed_end;
mod operations;
mod send;
mod setup;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

use io_uring::types::{CancelBuilder, Fd, TimeoutFlags, Timespec};
use io_uring::{
    CompletionQueue, EnterFlags, IoUring, SubmissionQueue, Submitter, cqueue, opcode, squeue,
};

use self::buffers::BufferRing;
use self::operations::InFlight;
use self::send::{Message, Sending};
pub use self::setup::{RingFeatures, build};

use super::reserve::Reserve;
use super::settings::EngineSettings;
use super::warmth::Warmth;
use super::{
    Completion, Engine, Errno, FileRange, FileSent, ListenerId, Operation, OperationId, Received,
    SendBatch, SocketId, Wait, Waker, clock, file_send,
};
use crate::base::limits::TICK;
use crate::base::{Id, Now, Slab};

/// What a completion belongs to: the upper 8 bits of its user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    /// Cancels and closes, whose results nobody waits for.
    Ignored,
    Accept,
    Receive,
    Send,
    Writable,
    Operation,
    Wake,
    Tick,
}

const TAGS: [Tag; 8] = [
    Tag::Ignored,
    Tag::Accept,
    Tag::Receive,
    Tag::Send,
    Tag::Writable,
    Tag::Operation,
    Tag::Wake,
    Tag::Tick,
];

impl Tag {
    fn user_data(self, low: u64) -> u64 {
        (self as u64) << 56 | low
    }

    fn of(user_data: u64) -> Tag {
        TAGS[(user_data >> 56) as usize & (TAGS.len() - 1)]
    }
}

struct Listener {
    fd: Option<OwnedFd>,
    accepting: bool,
    stopping: bool,
}

struct Socket {
    fd: OwnedFd,
    /// Nothing was received yet: many connections end after one request, and for those one plain
    /// receive is cheaper than a multishot one that must be cancelled.
    fresh: bool,
    receiving: bool,
    /// Stands in the engine's list of sockets that have received since the last tick.
    received_lately: bool,
    /// A cancelled socket's operations are not continued.
    cancelled: bool,
    /// In non-blocking mode, as `sendfile(2)` needs it and the ring's operations must not have it.
    nonblocking: bool,
    writable_polled: bool,
    sending: Option<Sending>,
    /// Bytes that the kernel accepted.
    handed: u64,
}

impl Socket {
    /// One system call for a whole file, not two for each slice: the mode is kept until the ring
    /// needs the other.
    fn set_nonblocking(&mut self, on: bool) -> Result<(), Errno> {
        if self.nonblocking != on {
            rustix::io::ioctl_fionbio(&self.fd, on)?;
            self.nonblocking = on;
        }
        Ok(())
    }
}

/// The io_uring engine of one worker. Lives on the stack of its thread, beside its ring.
pub struct UringEngine<'ring> {
    submitter: Submitter<'ring>,
    submissions: SubmissionQueue<'ring>,
    completions: CompletionQueue<'ring>,
    features: RingFeatures,
    /// Completions taken out to make room while submitting; seen by the next wait.
    early: Vec<cqueue::Entry>,
    /// `None` only while the engine is dropped.
    buffers: Option<BufferRing>,
    listeners: Vec<Listener>,
    sockets: Slab<Socket>,
    /// Sockets whose peer may have left right behind its bytes (see `missed_end`).
    received_lately: Vec<SocketId>,
    operations: Slab<Box<InFlight>>,
    /// Message headers of vectored sends that are not in flight.
    #[expect(clippy::vec_box, reason = "the kernel knows a header by its address")]
    messages: Vec<Box<Message>>,
    /// Entries that will still produce a completion.
    in_flight: usize,
    waker: Waker,
    reserve: Reserve,
    warmth: Warmth,
    ticking: bool,
    /// Tells the completions of the running timer from those of a cancelled one.
    tick_round: u32,
    tick_multishot: bool,
    tick: Box<Timespec>,
    zero_copy_min: usize,
    busy_poll: Option<std::time::Duration>,
    now: Now,
}

impl<'ring> UringEngine<'ring> {
    /// An engine over `ring`, which [`build`] made on this thread with the same settings.
    pub fn new(
        ring: &'ring mut IoUring,
        features: RingFeatures,
        settings: &EngineSettings,
    ) -> io::Result<UringEngine<'ring>> {
        let (mut submitter, submissions, completions) = ring.split();
        // Saves the look-up of the descriptor at each enter; older kernels do without.
        let _ = submitter.register_ring_fd();
        let mut threads = [settings.file_threads, settings.file_threads];
        let _ = submitter.register_iowq_max_workers(&mut threads);
        let count = settings.recv_buffers;
        let buffers = BufferRing::register(&submitter, count, settings.recv_buffer_bytes)?;
        let tick = Timespec::new()
            .sec(TICK.as_secs())
            .nsec(TICK.subsec_nanos());
        let mut engine = UringEngine {
            submitter,
            submissions,
            completions,
            features,
            early: Vec::new(),
            buffers: Some(buffers),
            listeners: Vec::new(),
            sockets: Slab::new(),
            received_lately: Vec::new(),
            operations: Slab::new(),
            messages: Vec::new(),
            in_flight: 0,
            waker: Waker::new()?,
            reserve: Reserve::new(),
            warmth: Warmth::default(),
            ticking: false,
            tick_round: 0,
            tick_multishot: true,
            tick: Box::new(tick),
            zero_copy_min: settings.zero_copy_min.unwrap_or(usize::MAX),
            busy_poll: settings.busy_poll,
            now: clock::read(),
        };
        engine.arm_waker();
        Ok(engine)
    }

    /// Queues an entry that ends with exactly one completion without `MORE`.
    fn push(&mut self, entry: &squeue::Entry) {
        self.in_flight += 1;
        // SAFETY: every caller's entry points only into memory that this engine owns until the
        // entry's last completion (see the module's doc), or into none.
        while unsafe { self.submissions.push(entry) }.is_err() {
            self.submit();
        }
    }

    /// Hands queued entries over. Errors are back-pressure: room is made and it is tried again.
    fn submit(&mut self) {
        if self.enter(0, false).is_err() {
            self.completions.sync();
            self.early.extend(self.completions.by_ref());
            let _ = self.enter(0, true);
        }
    }

    /// One `io_uring_enter`.
    fn enter(&mut self, want: u32, collect: bool) -> io::Result<()> {
        self.submissions.sync();
        let result = if self.features.sqpoll {
            self.submitter.submit_and_wait(want as usize)
        } else {
            let mut flags = EnterFlags::empty();
            if want > 0 || collect {
                flags |= EnterFlags::GETEVENTS;
            }
            if want > 0 && self.features.no_iowait {
                flags |= EnterFlags::NO_IOWAIT;
            }
            let queued = self.submissions.len() as u32;
            // SAFETY: no argument is passed, and what the entries point to is owned (see `push`).
            unsafe {
                self.submitter
                    .enter::<libc::sigset_t>(queued, want, flags.bits(), None)
            }
        };
        self.submissions.sync(); // Learns how many entries the kernel took.
        match result.map_err(|error| error.raw_os_error()) {
            Ok(_) | Err(Some(libc::EINTR)) => Ok(()),
            Err(Some(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Err(None) => Err(io::ErrorKind::Other.into()),
        }
    }

    /// Waits without sleeping for at most the busy-poll time.
    fn poll_busily(&mut self, time: std::time::Duration) -> io::Result<()> {
        let end = std::time::Instant::now() + time;
        loop {
            self.enter(0, true)?;
            self.completions.sync();
            if !self.completions.is_empty() || std::time::Instant::now() >= end {
                return Ok(());
            }
            std::hint::spin_loop();
        }
    }

    fn arm_waker(&mut self) {
        let fd = Fd(self.waker.fd().as_raw_fd());
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32)
            .multi(true)
            .build();
        self.push(&entry.user_data(Tag::Wake.user_data(0)));
    }

    fn arm_tick(&mut self) {
        let mut timeout = opcode::Timeout::new(&*self.tick);
        if self.tick_multishot {
            timeout = timeout.flags(TimeoutFlags::MULTISHOT);
        }
        let user_data = Tag::Tick.user_data(u64::from(self.tick_round));
        self.push(&timeout.build().user_data(user_data));
    }

    fn cancel_user_data(&mut self, user_data: u64) {
        let cancel = opcode::AsyncCancel2::new(CancelBuilder::user_data(user_data).all());
        self.push(&cancel.build().user_data(Tag::Ignored.user_data(0)));
    }

    fn arm_accept(&mut self, listener: ListenerId) {
        let state = &self.listeners[listener.0 as usize];
        let fd = state
            .fd
            .as_ref()
            .expect("a closed listener does not accept")
            .as_raw_fd();
        let entry = opcode::AcceptMulti::new(Fd(fd))
            .flags(libc::SOCK_CLOEXEC)
            .build();
        self.push(&entry.user_data(Tag::Accept.user_data(u64::from(listener.0))));
    }

    /// The state behind an id; a stale id names nothing, and what is asked of it does nothing.
    fn socket_mut(&mut self, socket: SocketId) -> Option<&mut Socket> {
        self.sockets.get_mut(socket.0)
    }

    fn buffers_mut(&mut self) -> &mut BufferRing {
        self.buffers
            .as_mut()
            .expect("buffers live as long as the engine")
    }
}

impl Engine for UringEngine<'_> {
    fn name(&self) -> &'static str {
        "io-uring"
    }

    fn now(&self) -> Now {
        self.now
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn set_ticking(&mut self, on: bool) {
        if self.ticking == on {
            return;
        }
        self.ticking = on;
        if on {
            self.arm_tick();
        } else {
            self.cancel_user_data(Tag::Tick.user_data(u64::from(self.tick_round)));
            self.tick_round = self.tick_round.wrapping_add(1);
        }
    }

    fn add_listener(&mut self, listener: OwnedFd) -> ListenerId {
        self.listeners.push(Listener {
            fd: Some(listener),
            accepting: false,
            stopping: false,
        });
        ListenerId(self.listeners.len() as u32 - 1)
    }

    fn accept(&mut self, listener: ListenerId) {
        let state = &mut self.listeners[listener.0 as usize];
        assert!(!state.accepting, "a listener is armed once");
        state.accepting = true;
        state.stopping = false;
        self.arm_accept(listener);
    }

    fn stop_accepting(&mut self, listener: ListenerId) {
        let state = &mut self.listeners[listener.0 as usize];
        if state.accepting && !state.stopping {
            state.stopping = true;
            self.cancel_user_data(Tag::Accept.user_data(u64::from(listener.0)));
        }
    }

    fn close_listener(&mut self, listener: ListenerId) {
        let state = &mut self.listeners[listener.0 as usize];
        assert!(!state.accepting, "stop accepting before closing");
        state.fd = None;
    }

    fn shed(&mut self, listener: ListenerId) -> bool {
        let state = &self.listeners[listener.0 as usize];
        let fd = state.fd.as_ref().expect("a closed listener sheds nothing");
        self.reserve.shed(fd)
    }

    fn receive(&mut self, socket: SocketId) {
        let Some(state) = self.socket_mut(socket) else {
            return;
        };
        assert!(!state.receiving, "a receive is armed once");
        state.receiving = true;
        // Cannot fail on a socket; if it did, the receive would end at once and be armed again.
        let _ = state.set_nonblocking(false);
        let fd = Fd(state.fd.as_raw_fd());
        let entry = if std::mem::take(&mut state.fresh) {
            let len = self.buffers_mut().buffer_bytes();
            let once = opcode::Recv::new(fd, std::ptr::null_mut(), len).buf_group(buffers::GROUP);
            once.build().flags(squeue::Flags::BUFFER_SELECT)
        } else {
            opcode::RecvMulti::new(fd, buffers::GROUP).build()
        };
        self.push(&entry.user_data(Tag::Receive.user_data(socket.0.pack())));
    }

    fn stop_receiving(&mut self, socket: SocketId) {
        if self.socket_mut(socket).is_some_and(|state| state.receiving) {
            self.cancel_user_data(Tag::Receive.user_data(socket.0.pack()));
        }
    }

    fn bytes(&mut self, received: &Received) -> &mut [u8] {
        self.buffers_mut().bytes(received.buffer, received.len)
    }

    fn recycle(&mut self, received: Received) {
        self.buffers_mut().recycle(received.buffer);
    }

    fn send(&mut self, socket: SocketId, batch: Box<SendBatch>, more: bool) {
        self.start_send(socket, batch, more);
    }

    fn send_ahead(&mut self, socket: SocketId, bytes: &[u8], more: bool) -> usize {
        let Some(state) = self.sockets.get_mut(socket.0) else {
            return 0;
        };
        assert!(state.sending.is_none(), "one send at a time");
        let taken = file_send::send_ahead(&state.fd, bytes, more);
        state.handed += taken as u64;
        taken
    }

    fn send_file(&mut self, socket: SocketId, range: &FileRange) -> FileSent {
        let Some(state) = self.sockets.get_mut(socket.0) else {
            return FileSent::Failed(Errno(libc::EBADF));
        };
        assert!(state.sending.is_none(), "one send at a time");
        if let Err(errno) = state.set_nonblocking(true) {
            return FileSent::Failed(errno);
        }
        let sent = file_send::send_file(&state.fd, range, &mut self.warmth, self.now.monotonic);
        if let FileSent::Sent { bytes, .. } = sent {
            state.handed += bytes;
        }
        sent
    }

    fn note_read(&mut self, range: &FileRange) {
        self.warmth.mark_read(range, self.now.monotonic);
    }

    fn poll_writable(&mut self, socket: SocketId) {
        let Some(state) = self.socket_mut(socket) else {
            return;
        };
        assert!(
            state.sending.is_none() && !state.writable_polled,
            "one send or poll at a time"
        );
        state.writable_polled = true;
        let entry = opcode::PollAdd::new(Fd(state.fd.as_raw_fd()), libc::POLLOUT as u32).build();
        self.push(&entry.user_data(Tag::Writable.user_data(socket.0.pack())));
    }

    fn descriptor(&self, socket: SocketId) -> Option<(BorrowedFd<'_>, u64)> {
        let state = self.sockets.get(socket.0)?;
        Some((state.fd.as_fd(), state.handed))
    }

    fn shutdown_write(&mut self, socket: SocketId) {
        if let Some(state) = self.socket_mut(socket) {
            // A broken connection refuses; its receive tells.
            let _ = rustix::net::shutdown(&state.fd, rustix::net::Shutdown::Write);
        }
    }

    fn cancel(&mut self, socket: SocketId) {
        let Some(state) = self.socket_mut(socket) else {
            return;
        };
        if state.receiving || state.sending.is_some() || state.writable_polled {
            state.cancelled = true;
            let cancel = CancelBuilder::fd(Fd(state.fd.as_raw_fd())).all();
            let entry = opcode::AsyncCancel2::new(cancel).build();
            self.push(&entry.user_data(Tag::Ignored.user_data(0)));
        }
    }

    fn close(&mut self, socket: SocketId) {
        let Some(state) = self.sockets.remove(socket.0) else {
            return;
        };
        assert!(
            state.sending.is_none() && !state.writable_polled,
            "a send outlives its socket"
        );
        if state.receiving {
            // The armed receive holds the connection open; its completion finds a stale id.
            self.cancel_user_data(Tag::Receive.user_data(socket.0.pack()));
        }
        // Through the ring: one system call less, and a lingering close never holds us up.
        let entry = opcode::Close::new(Fd(state.fd.into_raw_fd())).build();
        self.push(&entry.user_data(Tag::Ignored.user_data(0)));
    }

    fn start(&mut self, id: OperationId, operation: Operation) {
        let slot = self.operations.insert(InFlight::new(id, operation));
        let entry = self
            .operations
            .get_mut(slot)
            .expect("just inserted")
            .entry();
        self.push(&entry.user_data(Tag::Operation.user_data(slot.pack())));
    }

    fn wait(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()> {
        if let (Some(time), Wait::Block) = (self.busy_poll, wait) {
            self.poll_busily(time)?;
        }
        self.completions.sync();
        let nothing_yet = self.completions.is_empty() && self.early.is_empty();
        let want = u32::from(wait == Wait::Block && nothing_yet);
        match self.enter(want, true).map_err(|error| error.raw_os_error()) {
            // Back-pressure: what has completed is taken below, and the rest is submitted next
            // turn.
            Ok(()) | Err(Some(libc::EAGAIN | libc::EBUSY)) => {}
            Err(errno) => return Err(io::Error::from_raw_os_error(errno.unwrap_or(libc::EIO))),
        }
        self.now = clock::read();
        for entry in std::mem::take(&mut self.early) {
            self.on_completion(&entry, completions);
        }
        self.completions.sync();
        while let Some(entry) = self.completions.next() {
            self.on_completion(&entry, completions);
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.submit();
    }
}

impl Drop for UringEngine<'_> {
    /// Ends everything that the kernel still does with our memory before that memory goes.
    fn drop(&mut self) {
        for id in self.sockets.ids().collect::<Vec<Id>>() {
            let socket = self.sockets.get_mut(id).expect("just listed");
            socket.cancelled = true;
            let _ = rustix::net::shutdown(&socket.fd, rustix::net::Shutdown::Both);
        }
        let mut ended = Vec::new();
        for _ in 0..16 {
            let _ = self.enter(0, true);
            let any = CancelBuilder::any().all();
            let _ = self.submitter.register_sync_cancel(None, any);
            let _ = self.wait(Wait::Poll, &mut ended);
            ended.clear();
            if self.in_flight == 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let unregistered = self.submitter.unregister_buf_ring(buffers::GROUP).is_ok();
        if self.in_flight > 0 || !unregistered {
            // The kernel would not let go in time: leaking is safe, freeing is not.
            std::mem::forget(self.buffers.take());
            std::mem::forget(std::mem::take(&mut self.sockets));
            std::mem::forget(std::mem::take(&mut self.operations));
        }
    }
}
