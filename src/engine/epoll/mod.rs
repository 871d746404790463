//! The engine for where io_uring is blocked: completions emulated over epoll.
//!
//! What is asked for is tried at once where that is likely to succeed, and its completion reported
//! by the next [`Engine::wait`]. A keep-alive request costs `epoll_wait`, `recv` and `send`:
//! sockets are watched edge-triggered and stay watched, and a turn that only reports what calls
//! have done does not ask the kernel at all.
//!
//! This file keeps the turn of the loop; `socket.rs` and `listener.rs` know one descriptor each.

mod buffers;
mod listener;
mod socket;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::RecvFlags;

use self::buffers::Buffers;
use self::listener::{Accepted, Listener};
use self::socket::Socket;
use super::blocking::{self, BlockingPool, Mailbox};
use super::reserve::Reserve;
use super::warmth::Warmth;
use super::{
    Completion, Engine, EngineSettings, Errno, FileRange, FileSent, ListenerId, Operation,
    OperationId, ReceiveEnd, Received, SendBatch, SocketId, Wait, Waker, clock, file_send,
};
use crate::base::limits::TICK;
use crate::base::{Id, Millis, Now, Slab};

/// Events taken from the kernel in one turn.
const EVENTS_MAX: usize = 256;
/// Buffers filled from one socket in one turn, so that an upload does not hold up the others.
const READS_PER_TURN: usize = 4;
/// Turns in a row that may report without asking the kernel: accepted, first read, sent.
const TURNS_WITHOUT_POLLING_MAX: u32 = 3;

/// What an event is about, in the upper 8 bits of its data; an [`Id`] is in the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Socket = 0,
    Listener = 1,
    Waker = 2,
    Mailbox = 3,
}

impl Subject {
    fn data(self, id: Id) -> u64 {
        ((self as u64) << 56) | id.pack()
    }

    fn of(data: u64) -> Subject {
        match data >> 56 {
            0 => Subject::Socket,
            1 => Subject::Listener,
            2 => Subject::Waker,
            _ => Subject::Mailbox,
        }
    }
}

const NO_ID: Id = Id {
    index: 0,
    generation: 0,
};

/// The emulated engine. See the module.
pub struct EpollEngine {
    epoll: OwnedFd,
    events: Vec<Event>,
    listeners: Vec<Listener>,
    sockets: Slab<Socket>,
    buffers: Buffers,
    /// What calls have ended since the last wait.
    ended: Vec<Completion>,
    /// Armed sockets that may have bytes of which epoll says nothing more.
    unread: Vec<SocketId>,
    /// Armed sockets to be watched before the next sleep.
    unwatched: Vec<SocketId>,
    turns_without_polling: u32,
    now: Now,
    /// When the next tick is due; `None` while ticking is off.
    tick_due: Option<Millis>,
    waker: Waker,
    mailbox: Arc<Mailbox>,
    pool: BlockingPool,
    reserve: Reserve,
    warmth: Warmth,
}

impl EpollEngine {
    /// An engine for the calling thread.
    pub fn new(settings: &EngineSettings) -> io::Result<EpollEngine> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let waker = Waker::new()?;
        let mailbox = Mailbox::new(Waker::new()?);
        // Edge-triggered: every write to an eventfd is an edge, so that it need not be read.
        let edge = EventFlags::IN | EventFlags::ET;
        let data = |subject: Subject| EventData::new_u64(subject.data(NO_ID));
        epoll::add(&epoll, waker.fd(), data(Subject::Waker), edge)?;
        epoll::add(&epoll, mailbox.fd(), data(Subject::Mailbox), edge)?;
        Ok(EpollEngine {
            epoll,
            events: Vec::with_capacity(EVENTS_MAX),
            listeners: Vec::new(),
            sockets: Slab::new(),
            buffers: Buffers::new(settings.recv_buffers, settings.recv_buffer_bytes),
            ended: Vec::new(),
            unread: Vec::new(),
            unwatched: Vec::new(),
            turns_without_polling: 0,
            now: clock::read(),
            tick_due: None,
            waker,
            mailbox,
            pool: BlockingPool::of_process(settings.file_threads),
            reserve: Reserve::new(),
            warmth: Warmth::default(),
        })
    }

    /// Asks the kernel once. Waits for at most `timeout`, or until something happens.
    fn poll(
        &mut self,
        timeout: Option<Timespec>,
        completions: &mut Vec<Completion>,
    ) -> io::Result<()> {
        self.turns_without_polling = 0;
        self.watch_unwatched(completions);
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        // What could not be watched is news: then we do not sleep.
        let timeout = if completions.is_empty() {
            timeout
        } else {
            Some(NO_TIME)
        };
        let spare = rustix::buffer::spare_capacity(&mut events);
        let waited = epoll::wait(&self.epoll, spare, timeout.as_ref());
        self.now = clock::read();
        for event in &events {
            let data = event.data.u64();
            let id = Id::unpack(data);
            match Subject::of(data) {
                Subject::Socket => self.on_socket(SocketId(id), event.flags, completions),
                Subject::Listener => self.on_listener(ListenerId(id.index), completions),
                Subject::Waker => completions.push(Completion::Woken),
                Subject::Mailbox => self.on_mailbox(completions),
            }
        }
        self.events = events;
        match waited {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn on_socket(&mut self, id: SocketId, event: EventFlags, completions: &mut Vec<Completion>) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        socket.note(event);
        if socket.is_sending() {
            if let Some((batch, result)) = socket.continue_sending() {
                completions.push(Completion::Sent {
                    socket: id,
                    batch,
                    result,
                });
            }
        } else if socket.polling && socket.writable {
            socket.polling = false;
            completions.push(Completion::Writable { socket: id });
        } else if event == EventFlags::OUT {
            // Failing only means to be woken again.
            let _ = socket.unwatch_writing(&self.epoll, Subject::Socket.data(id.0));
        }
        if socket.receiving && socket.readable {
            self.read(id, completions);
        }
    }

    /// Fills buffers from an armed socket until it has no more or has had its share.
    fn read(&mut self, id: SocketId, completions: &mut Vec<Completion>) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        let mut end = None;
        for _ in 0..READS_PER_TURN {
            let Some(buffer) = self.buffers.take() else {
                end = Some(ReceiveEnd::Starved);
                break;
            };
            let whole = self.buffers.whole(buffer);
            let room = whole.len();
            match rustix::net::recv(socket.fd(), whole, RecvFlags::empty()) {
                Ok((_, len)) if len > 0 => {
                    let received = self.buffers.lend(buffer, len);
                    completions.push(Completion::Received {
                        socket: id,
                        received,
                    });
                    // A partly filled buffer means that there was no more; the next byte is an
                    // edge, unless the end has been announced already.
                    socket.readable = len == room || socket.hung_up;
                }
                other => {
                    self.buffers.put(buffer);
                    match other {
                        Ok(_) => end = Some(ReceiveEnd::Eof),
                        Err(rustix::io::Errno::AGAIN) => socket.readable = false,
                        Err(rustix::io::Errno::INTR) => continue,
                        Err(errno) => end = Some(ReceiveEnd::Failed(errno.into())),
                    }
                }
            }
            if end.is_some() || !socket.readable {
                break;
            }
        }
        if let Some(end) = end {
            socket.receiving = false;
            completions.push(Completion::ReceiveEnded { socket: id, end });
        } else if socket.readable {
            self.list_unread(id);
        } else if socket.needs_watching() {
            self.unwatched.push(id);
        }
    }

    fn list_unread(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(id.0)
            && !socket.listed_unread
        {
            socket.listed_unread = true;
            self.unread.push(id);
        }
    }

    fn read_unread(&mut self, completions: &mut Vec<Completion>) {
        if self.unread.is_empty() {
            return;
        }
        let mut listed = std::mem::take(&mut self.unread);
        for id in listed.drain(..) {
            if let Some(socket) = self.sockets.get_mut(id.0) {
                socket.listed_unread = false;
                if socket.receiving {
                    self.read(id, completions);
                }
            }
        }
        // Keeps the memory; what was listed meanwhile is in the other list.
        listed.append(&mut self.unread);
        self.unread = listed;
    }

    fn watch_unwatched(&mut self, completions: &mut Vec<Completion>) {
        while let Some(id) = self.unwatched.pop() {
            let Some(socket) = self.sockets.get_mut(id.0) else {
                continue;
            };
            if !socket.needs_watching() {
                continue;
            }
            if let Err(errno) = socket.watch_reading(&self.epoll, Subject::Socket.data(id.0)) {
                socket.receiving = false;
                completions.push(Completion::ReceiveEnded {
                    socket: id,
                    end: ReceiveEnd::Failed(errno),
                });
            }
        }
    }

    fn on_listener(&mut self, id: ListenerId, completions: &mut Vec<Completion>) {
        let listener = &mut self.listeners[id.0 as usize];
        if !listener.is_accepting() {
            return;
        }
        let sockets = &mut self.sockets;
        let mut failed = None;
        listener.accept_waiting(|accepted| match accepted {
            Accepted::Socket(fd) => completions.push(Completion::Accepted {
                listener: id,
                socket: SocketId(sockets.insert(Socket::new(fd))),
            }),
            Accepted::Enough => {}
            Accepted::Failed(errno) => failed = Some(errno),
        });
        if failed.is_some() {
            listener.stop(&self.epoll);
            completions.push(Completion::AcceptStopped {
                listener: id,
                error: failed,
            });
        }
    }

    fn on_mailbox(&mut self, completions: &mut Vec<Completion>) {
        let finished = self.mailbox.take().into_iter();
        completions.extend(
            finished.map(|(operation, outcome)| Completion::Finished { operation, outcome }),
        );
    }

    fn tick(&mut self, completions: &mut Vec<Completion>) {
        if let Some(due) = self.tick_due
            && self.now.monotonic >= due
        {
            // After a long turn one tick stands for all that were missed.
            self.tick_due = Some(self.now.monotonic + TICK);
            completions.push(Completion::Ticked);
        }
    }

    /// How long a sleep may last; `None` for ever.
    fn until_tick(&self) -> Option<Timespec> {
        let due = self.tick_due?;
        // A millisecond more, because both ends are cut to whole milliseconds.
        let millis = match due.since(clock::read().monotonic) {
            0 => 0,
            left => left + 1,
        };
        Some(Timespec {
            tv_sec: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
            tv_nsec: (millis % 1000) as i64 * 1_000_000,
        })
    }

    /// Watches for room for a send that did not fit, or for [`Engine::poll_writable`].
    fn await_room(&mut self, id: SocketId) -> Result<(), Errno> {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return Ok(());
        };
        socket.watch_writing(&self.epoll, Subject::Socket.data(id.0))
    }
}

const NO_TIME: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

impl Engine for EpollEngine {
    fn name(&self) -> &'static str {
        "epoll"
    }

    fn now(&self) -> Now {
        self.now
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn set_ticking(&mut self, on: bool) {
        match (on, self.tick_due) {
            (true, None) => self.tick_due = Some(clock::read().monotonic + TICK),
            (true, Some(_)) => {}
            (false, _) => self.tick_due = None,
        }
    }

    fn add_listener(&mut self, listener: OwnedFd) -> ListenerId {
        let id = ListenerId(u32::try_from(self.listeners.len()).expect("few listeners"));
        self.listeners.push(Listener::new(listener));
        id
    }

    fn accept(&mut self, id: ListenerId) {
        let listener = &mut self.listeners[id.0 as usize];
        assert!(!listener.is_accepting(), "accepts already");
        let data = Subject::Listener.data(Id {
            index: id.0,
            generation: 0,
        });
        if let Err(errno) = listener.start(&self.epoll, data) {
            self.ended.push(Completion::AcceptStopped {
                listener: id,
                error: Some(errno),
            });
        }
    }

    fn stop_accepting(&mut self, id: ListenerId) {
        let listener = &mut self.listeners[id.0 as usize];
        if listener.is_accepting() {
            listener.stop(&self.epoll);
            self.ended.push(Completion::AcceptStopped {
                listener: id,
                error: None,
            });
        }
    }

    fn close_listener(&mut self, id: ListenerId) {
        let listener = &mut self.listeners[id.0 as usize];
        assert!(!listener.is_accepting(), "stop accepting first");
        listener.close();
    }

    fn shed(&mut self, id: ListenerId) -> bool {
        match self.listeners[id.0 as usize].fd() {
            Some(fd) => self.reserve.shed(fd),
            None => false,
        }
    }

    fn receive(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        assert!(!socket.receiving, "receives already");
        socket.receiving = true;
        if socket.readable {
            self.list_unread(id);
        } else if socket.needs_watching() {
            self.unwatched.push(id);
        }
    }

    fn stop_receiving(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(id.0)
            && socket.receiving
        {
            socket.receiving = false;
            self.ended.push(Completion::ReceiveEnded {
                socket: id,
                end: ReceiveEnd::Stopped,
            });
        }
    }

    fn bytes(&mut self, received: &Received) -> &mut [u8] {
        self.buffers.filled(received)
    }

    fn recycle(&mut self, received: Received) {
        self.buffers.put(received.buffer);
    }

    fn send(&mut self, id: SocketId, batch: Box<SendBatch>, more: bool) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        assert!(!socket.is_sending() && !socket.polling, "sends already");
        socket.start_sending(batch, more);
        let mut ended = socket.continue_sending();
        if ended.is_none()
            && let Err(errno) = self.await_room(id)
            && let Some(socket) = self.sockets.get_mut(id.0)
        {
            ended = socket.stop_sending().map(|batch| (batch, Err(errno)));
        }
        if let Some((batch, result)) = ended {
            self.ended.push(Completion::Sent {
                socket: id,
                batch,
                result,
            });
        }
    }

    fn send_ahead(&mut self, id: SocketId, bytes: &[u8], more: bool) -> usize {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return 0;
        };
        let taken = file_send::send_ahead(socket.fd(), bytes, more);
        socket.handed += taken as u64;
        taken
    }

    fn send_file(&mut self, id: SocketId, range: &FileRange) -> FileSent {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return FileSent::Failed(rustix::io::Errno::BADF.into());
        };
        let sent = file_send::send_file(socket.fd(), range, &mut self.warmth, self.now.monotonic);
        match sent {
            FileSent::Sent { bytes, .. } => socket.handed += bytes,
            FileSent::WouldBlock => socket.writable = false,
            _ => {}
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
        assert!(!socket.is_sending() && !socket.polling, "sends already");
        socket.polling = true;
        let room = socket.writable;
        if (room || self.await_room(id).is_err())
            && let Some(socket) = self.sockets.get_mut(id.0)
        {
            socket.polling = false;
            self.ended.push(Completion::Writable { socket: id });
        }
    }

    fn descriptor(&self, id: SocketId) -> Option<(BorrowedFd<'_>, u64)> {
        let socket = self.sockets.get(id.0)?;
        Some((socket.fd(), socket.handed))
    }

    fn shutdown_write(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(id.0) {
            // Fails when the connection is gone, which its receive or send reports.
            let _ = rustix::net::shutdown(socket.fd(), rustix::net::Shutdown::Write);
        }
    }

    fn cancel(&mut self, id: SocketId) {
        self.stop_receiving(id);
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        if let Some(batch) = socket.stop_sending() {
            self.ended.push(Completion::Sent {
                socket: id,
                batch,
                result: Err(rustix::io::Errno::CANCELED.into()),
            });
        }
        if std::mem::take(&mut socket.polling) {
            self.ended.push(Completion::Writable { socket: id });
        }
    }

    fn close(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.remove(id.0) {
            assert!(
                !socket.is_sending() && !socket.polling,
                "a send is in flight"
            );
            // The last descriptor of the connection: closing it ends the watching, too. A receive
            // that is still armed ends with it; lists that name the socket find a stale id.
        }
    }

    fn start(&mut self, id: OperationId, operation: Operation) {
        match blocking::try_now(operation) {
            Ok(outcome) => self.ended.push(Completion::Finished {
                operation: id,
                outcome,
            }),
            Err(operation) => self.pool.submit(id, operation, &self.mailbox),
        }
    }

    fn wait(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()> {
        let mut news = std::mem::take(&mut self.ended);
        loop {
            self.read_unread(&mut news);
            if !news.is_empty() && self.turns_without_polling < TURNS_WITHOUT_POLLING_MAX {
                self.turns_without_polling += 1;
                break;
            }
            let sleeps = wait == Wait::Block && news.is_empty() && self.unread.is_empty();
            let timeout = if sleeps {
                self.until_tick()
            } else {
                Some(NO_TIME)
            };
            self.poll(timeout, &mut news)?;
            self.tick(&mut news);
            if wait == Wait::Poll || !news.is_empty() {
                break;
            }
        }
        completions.append(&mut news);
        // The emptied list is kept for its memory.
        self.ended = news;
        Ok(())
    }

    fn flush(&mut self) {
        // Sends are with the kernel already.
    }
}
