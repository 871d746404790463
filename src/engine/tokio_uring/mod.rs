//! The baseline engine: the crate `tokio-uring` as its makers meant it, under the same contract.
//!
//! It is here to be compared with. One Tokio task for each operation, one-shot reads into a buffer
//! of each connection's own, one-shot writes; no multishot, no provided buffers, and a thread that
//! sleeps in epoll. [`Engine::wait`] enters the runtime; between two waits it stands still, and the
//! methods only note what is to be spawned.
//!
//! Where the crate cannot do what the contract asks:
//! - Nothing in flight can be cancelled. A read that is no longer wanted goes on in the background
//!   and its bytes are kept for the next receive; a send ends by shutting the socket down.
//! - An accept could not be taken back without shutting down a listener that others may share: so
//!   connections are accepted when Tokio says that some wait.
//! - Writes carry no flags: `more` is not passed on.
//! - Dropping its runtime frees buffers that the kernel may still write to. So the engine ends all
//!   operations first, and rather leaks the runtime than drop it too early.
//!
//! `tasks.rs` has what runs inside the runtime, `batch_buf.rs` how a batch becomes its buffers.

mod batch_buf;
mod lent;
mod tasks;

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::tokio_uring::Runtime;
use rustix::io::Errno as Kernel;
use rustix::net::Shutdown;
use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;

use self::lent::Lent;
use self::tasks::{Event, Shared, Stream};
use super::blocking::{self, BlockingPool, Mailbox};
use super::reserve::Reserve;
use super::warmth::Warmth;
use super::{
    Completion, Engine, EngineSettings, Errno, FileRange, FileSent, ListenerId, Operation,
    OperationId, Outcome, ReceiveEnd, Received, SendBatch, SocketId, Wait, Waker, clock, file_send,
};
use crate::base::{Now, Slab};

/// Entries of the completion queue: bursts must not overflow it.
const COMPLETION_ENTRIES: u32 = 4096;
/// How long the engine's end waits for operations that it has broken off.
const END_TIMEOUT: Duration = Duration::from_secs(2);

struct Listener {
    /// `None` once closed; the error of its registration, if that failed.
    fd: Option<Result<Rc<AsyncFd<OwnedFd>>, Errno>>,
    accepting: bool,
    task: Option<AbortHandle>,
}

struct Socket {
    stream: Rc<Stream>,
    /// Between `receive` and its `ReceiveEnded`.
    receiving: bool,
    /// A read is in flight, wanted or not.
    reading: bool,
    /// What a read brought when it was not wanted, or when no buffer could be lent.
    early: Option<(Result<usize, Errno>, Vec<u8>)>,
    sending: bool,
    polling: bool,
    poll_task: Option<AbortHandle>,
}

/// What is to be spawned at the next wait.
enum Command {
    Accept(ListenerId, Rc<AsyncFd<OwnedFd>>),
    Read(SocketId, Rc<Stream>, Vec<u8>),
    Send(SocketId, Rc<Stream>, Box<SendBatch>),
    Poll(SocketId, Rc<Stream>),
    ReadFile(OperationId, std::fs::File, u64, Vec<u8>),
    Tick,
}

/// The baseline engine. See the module.
pub struct TokioUringEngine {
    runtime: ManuallyDrop<Runtime>,
    shared: Rc<Shared>,
    commands: Vec<Command>,
    /// What calls have ended since the last wait.
    ended: Vec<Completion>,
    events: Vec<Event>,
    listeners: Vec<Listener>,
    sockets: Slab<Socket>,
    lent: Lent,
    ticking: bool,
    tick_task: Option<AbortHandle>,
    now: Now,
    waker: Waker,
    mailbox: Arc<Mailbox>,
    pool: BlockingPool,
    reserve: Reserve,
    warmth: Warmth,
}

impl TokioUringEngine {
    /// An engine for the calling thread, which must not be inside another Tokio runtime.
    pub fn new(settings: &EngineSettings) -> io::Result<TokioUringEngine> {
        let runtime = build_runtime(settings)?;
        let shared = Rc::new(Shared::default());
        let waker = Waker::new()?;
        let mailbox = Mailbox::new(Waker::new()?);
        let tasks = [(waker.clone(), false), (mailbox.waker(), true)];
        runtime.block_on(async {
            for (waker, is_mail) in tasks {
                let fd = tasks::register_waker(waker)?;
                let event = move || if is_mail { Event::Mail } else { Event::Woken };
                ::tokio_uring::spawn(tasks::watch(Rc::clone(&shared), fd, event));
            }
            Ok::<(), io::Error>(())
        })?;
        Ok(TokioUringEngine {
            runtime: ManuallyDrop::new(runtime),
            shared,
            commands: Vec::new(),
            ended: Vec::new(),
            events: Vec::new(),
            listeners: Vec::new(),
            sockets: Slab::new(),
            lent: Lent::new(settings.recv_buffers, settings.recv_buffer_bytes),
            ticking: false,
            tick_task: None,
            now: clock::read(),
            waker,
            mailbox,
            pool: BlockingPool::of_process(settings.file_threads),
            reserve: Reserve::new(),
            warmth: Warmth::default(),
        })
    }

    /// Runs the tasks: until something happens, or just once around.
    fn run(&mut self, sleep: bool) {
        let commands = std::mem::take(&mut self.commands);
        let shared = Rc::clone(&self.shared);
        let (listeners, sockets) = (&mut self.listeners, &mut self.sockets);
        let tick_task = &mut self.tick_task;
        self.runtime.block_on(async {
            for command in commands {
                spawn(command, &shared, listeners, sockets, tick_task);
            }
            // Tasks that became ready together run together, before this one goes on.
            if sleep {
                shared.happened().await;
            } else {
                // The runtime submits when it has nothing to do: an empty operation makes it
                // submit, and comes back when all that ended before has been seen. Its failure
                // would only mean not to have waited for that.
                let _ = ::tokio_uring::no_op().await;
            }
        });
        self.now = clock::read();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Accepted(listener, fd) => {
                let socket = SocketId(self.sockets.insert(Socket {
                    stream: Rc::new(Stream::new(fd)),
                    receiving: false,
                    reading: false,
                    early: None,
                    sending: false,
                    polling: false,
                    poll_task: None,
                }));
                self.ended.push(Completion::Accepted { listener, socket });
            }
            Event::AcceptFailed(listener, errno) => {
                self.listeners[listener.0 as usize].accepting = false;
                self.ended.push(Completion::AcceptStopped {
                    listener,
                    error: Some(errno),
                });
            }
            Event::Read(id, result, buf) => self.on_read(id, result, buf),
            Event::Sent(socket, batch, result) => {
                if let Some(of) = self.sockets.get_mut(socket.0) {
                    of.sending = false;
                    self.ended.push(Completion::Sent {
                        socket,
                        batch,
                        result,
                    });
                }
            }
            Event::Writable(socket) => {
                if let Some(of) = self.sockets.get_mut(socket.0)
                    && std::mem::take(&mut of.polling)
                {
                    self.ended.push(Completion::Writable { socket });
                }
            }
            Event::Finished(operation, outcome) => {
                self.ended.push(Completion::Finished { operation, outcome });
            }
            Event::Mail => {
                let finished = self.mailbox.take().into_iter();
                self.ended.extend(
                    finished
                        .map(|(operation, outcome)| Completion::Finished { operation, outcome }),
                );
            }
            Event::Woken => self.ended.push(Completion::Woken),
            Event::Ticked if self.ticking => self.ended.push(Completion::Ticked),
            Event::Ticked => {}
        }
    }

    fn on_read(&mut self, id: SocketId, result: Result<usize, Errno>, buf: Vec<u8>) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return self.lent.put_spare(buf);
        };
        socket.reading = false;
        if socket.receiving {
            self.deliver(id, result, buf);
        } else {
            socket.early = Some((result, buf));
        }
    }

    /// Reports the result of a read on a socket that receives.
    fn deliver(&mut self, id: SocketId, result: Result<usize, Errno>, buf: Vec<u8>) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        let end = match result {
            Ok(0) => ReceiveEnd::Eof,
            Ok(_) => match self.lent.lend(buf) {
                Ok(received) => {
                    self.ended.push(Completion::Received {
                        socket: id,
                        received,
                    });
                    return self.start_reading(id);
                }
                Err(buf) => {
                    socket.early = Some((result, buf));
                    ReceiveEnd::Starved
                }
            },
            Err(errno) => ReceiveEnd::Failed(errno),
        };
        socket.receiving = false;
        self.ended
            .push(Completion::ReceiveEnded { socket: id, end });
    }

    fn start_reading(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(id.0)
            && !socket.reading
        {
            socket.reading = true;
            let stream = Rc::clone(&socket.stream);
            let buf = self.lent.take_spare();
            self.commands.push(Command::Read(id, stream, buf));
        }
    }
}

fn build_runtime(settings: &EngineSettings) -> io::Result<Runtime> {
    let build = |with_coop: bool| {
        let mut ring = ::tokio_uring::uring_builder();
        ring.setup_cqsize(COMPLETION_ENTRIES.max(settings.ring_entries * 2));
        if with_coop {
            ring.setup_coop_taskrun();
        }
        let mut builder = ::tokio_uring::builder();
        builder.entries(settings.ring_entries).uring_builder(&ring);
        Runtime::new(&builder)
    };
    // Before Linux 5.19 the flag is unknown.
    build(true).or_else(|_| build(false))
}

fn spawn(
    command: Command,
    shared: &Rc<Shared>,
    listeners: &mut [Listener],
    sockets: &mut Slab<Socket>,
    tick_task: &mut Option<AbortHandle>,
) {
    let shared = Rc::clone(shared);
    match command {
        Command::Accept(id, fd) => {
            let task = ::tokio_uring::spawn(tasks::accept(shared, id, fd));
            listeners[id.0 as usize].task = Some(task.abort_handle());
        }
        Command::Read(id, stream, buf) => {
            ::tokio_uring::spawn(tasks::read(shared, id, stream, buf));
        }
        Command::Send(id, stream, batch) => {
            ::tokio_uring::spawn(tasks::send(shared, id, stream, batch));
        }
        Command::Poll(id, stream) => {
            let task = ::tokio_uring::spawn(tasks::poll_writable(shared, id, stream));
            if let Some(socket) = sockets.get_mut(id.0) {
                socket.poll_task = Some(task.abort_handle());
            }
        }
        Command::ReadFile(id, file, offset, buf) => {
            ::tokio_uring::spawn(tasks::read_file(shared, id, file, offset, buf));
        }
        Command::Tick => {
            *tick_task = Some(::tokio_uring::spawn(tasks::tick(shared)).abort_handle());
        }
    }
}

impl Engine for TokioUringEngine {
    fn name(&self) -> &'static str {
        "tokio-uring"
    }

    fn now(&self) -> Now {
        self.now
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn set_ticking(&mut self, on: bool) {
        if on == self.ticking {
            return;
        }
        self.ticking = on;
        self.commands.retain(|c| !matches!(c, Command::Tick));
        if on {
            self.commands.push(Command::Tick);
        } else if let Some(task) = self.tick_task.take() {
            task.abort();
        }
    }

    fn add_listener(&mut self, listener: OwnedFd) -> ListenerId {
        let id = ListenerId(u32::try_from(self.listeners.len()).expect("few listeners"));
        let registered = self
            .runtime
            .block_on(async { tasks::register_listener(listener) });
        self.listeners.push(Listener {
            fd: Some(registered.map(Rc::new).map_err(Errno::from)),
            accepting: false,
            task: None,
        });
        id
    }

    fn accept(&mut self, id: ListenerId) {
        let listener = &mut self.listeners[id.0 as usize];
        assert!(!listener.accepting, "accepts already");
        match &listener.fd {
            Some(Ok(fd)) => {
                listener.accepting = true;
                self.commands.push(Command::Accept(id, Rc::clone(fd)));
            }
            broken => self.ended.push(Completion::AcceptStopped {
                listener: id,
                error: Some(match broken {
                    Some(Err(errno)) => *errno,
                    _ => Kernel::BADF.into(),
                }),
            }),
        }
    }

    fn stop_accepting(&mut self, id: ListenerId) {
        let listener = &mut self.listeners[id.0 as usize];
        if !std::mem::take(&mut listener.accepting) {
            return;
        }
        if let Some(task) = listener.task.take() {
            task.abort();
        }
        self.commands
            .retain(|command| !matches!(command, Command::Accept(of, _) if *of == id));
        self.ended.push(Completion::AcceptStopped {
            listener: id,
            error: None,
        });
    }

    fn close_listener(&mut self, id: ListenerId) {
        let listener = &mut self.listeners[id.0 as usize];
        assert!(!listener.accepting, "stop accepting first");
        // The accepting task, if it still stands, lets go at the next wait.
        listener.fd = None;
    }

    fn shed(&mut self, id: ListenerId) -> bool {
        match &self.listeners[id.0 as usize].fd {
            Some(Ok(fd)) => self.reserve.shed(fd.get_ref()),
            _ => false,
        }
    }

    fn receive(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        assert!(!socket.receiving, "receives already");
        socket.receiving = true;
        match socket.early.take() {
            Some((result, buf)) => self.deliver(id, result, buf),
            None => self.start_reading(id),
        }
    }

    fn stop_receiving(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(id.0)
            && std::mem::take(&mut socket.receiving)
        {
            self.ended.push(Completion::ReceiveEnded {
                socket: id,
                end: ReceiveEnd::Stopped,
            });
        }
    }

    fn bytes(&mut self, received: &Received) -> &mut [u8] {
        self.lent.bytes(received)
    }

    fn recycle(&mut self, received: Received) {
        self.lent.recycle(received);
    }

    fn send(&mut self, id: SocketId, batch: Box<SendBatch>, _more: bool) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        assert!(!socket.sending && !socket.polling, "sends already");
        socket.sending = true;
        let stream = Rc::clone(&socket.stream);
        self.commands.push(Command::Send(id, stream, batch));
    }

    fn send_ahead(&mut self, id: SocketId, bytes: &[u8], more: bool) -> usize {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return 0;
        };
        let taken = file_send::send_ahead(&*socket.stream, bytes, more);
        socket.stream.add_handed(taken as u64);
        taken
    }

    fn send_file(&mut self, id: SocketId, range: &FileRange) -> FileSent {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return FileSent::Failed(Kernel::BADF.into());
        };
        let sent = file_send::send_file_on_blocking(
            &*socket.stream,
            range,
            &mut self.warmth,
            self.now.monotonic,
        );
        if let FileSent::Sent { bytes, .. } = sent {
            socket.stream.add_handed(bytes);
        }
        sent
    }

    fn note_read(&mut self, range: &FileRange) {
        self.warmth.mark_read(range, self.now.monotonic);
    }

    fn poll_writable(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        assert!(!socket.sending && !socket.polling, "sends already");
        socket.polling = true;
        let stream = Rc::clone(&socket.stream);
        self.commands.push(Command::Poll(id, stream));
    }

    fn descriptor(&self, id: SocketId) -> Option<(BorrowedFd<'_>, u64)> {
        let socket = self.sockets.get(id.0)?;
        Some((socket.stream.as_fd(), socket.stream.handed()))
    }

    fn shutdown_write(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(id.0) {
            // Fails when the connection is gone, which its receive or send reports.
            let _ = rustix::net::shutdown(&*socket.stream, Shutdown::Write);
        }
    }

    fn cancel(&mut self, id: SocketId) {
        self.stop_receiving(id);
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        if socket.sending {
            let _ = rustix::net::shutdown(&*socket.stream, Shutdown::Both);
        }
        if std::mem::take(&mut socket.polling) {
            if let Some(task) = socket.poll_task.take() {
                task.abort();
            }
            self.commands
                .retain(|c| !matches!(c, Command::Poll(of, _) if *of == id));
            self.ended.push(Completion::Writable { socket: id });
        }
    }

    fn close(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.remove(id.0) else {
            return;
        };
        assert!(!socket.sending && !socket.polling, "a send is in flight");
        if socket.reading {
            // The read in the background holds the descriptor until it ends; the peer hears now.
            let _ = rustix::net::shutdown(&*socket.stream, Shutdown::Both);
            self.commands
                .retain(|c| !matches!(c, Command::Read(of, ..) if *of == id));
        }
        if let Some((_, buf)) = socket.early {
            self.lent.put_spare(buf);
        }
    }

    fn start(&mut self, id: OperationId, operation: Operation) {
        let operation = match operation {
            Operation::Read { file, offset, buf } if buf.len() < buf.capacity() => {
                match file.try_clone() {
                    Ok(file) => {
                        let command = Command::ReadFile(id, file.into(), offset, buf);
                        return self.commands.push(command);
                    }
                    Err(error) => Err(Outcome::Read {
                        buf,
                        result: Err(error.into()),
                    }),
                }
            }
            other => blocking::try_now(other).map_or_else(Ok, Err),
        };
        match operation {
            Ok(operation) => self.pool.submit(id, operation, &self.mailbox),
            Err(outcome) => self.ended.push(Completion::Finished {
                operation: id,
                outcome,
            }),
        }
    }

    fn wait(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()> {
        loop {
            self.run(wait == Wait::Block && self.ended.is_empty());
            let mut events = std::mem::take(&mut self.events);
            self.shared.take_events(&mut events);
            for event in events.drain(..) {
                self.on_event(event);
            }
            self.events = events;
            if wait == Wait::Poll || !self.ended.is_empty() {
                completions.append(&mut self.ended);
                return Ok(());
            }
        }
    }

    fn flush(&mut self) {
        if !self.commands.is_empty() {
            self.run(false);
        }
    }
}

impl Drop for TokioUringEngine {
    fn drop(&mut self) {
        self.commands.clear();
        let ids: Vec<_> = self.sockets.ids().collect();
        for id in ids {
            if let Some(socket) = self.sockets.get(id) {
                let _ = rustix::net::shutdown(&*socket.stream, Shutdown::Both);
            }
        }
        let deadline = Instant::now() + END_TIMEOUT;
        while self.shared.in_flight() > 0 && Instant::now() < deadline {
            self.run(false);
        }
        self.listeners.clear();
        if self.shared.in_flight() == 0 {
            tasks::drop_runtime(&mut self.runtime);
        }
    }
}
