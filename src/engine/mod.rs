//! The only code on the data path that talks to the kernel: one vocabulary, four engines.
//!
//! An engine owns the descriptors of its sockets and every byte that the kernel may still touch.
//! The calling order of one turn of a worker's loop:
//!
//! ```text
//! engine.wait(…, &mut completions)       submits what was asked for, sleeps, collects what ended
//! for completion in completions { … }    acted on after all were collected; asks for more
//! ```
//!
//! Calls only *ask*; nothing completes inside a call, except [`Engine::send_file`], which says at
//! once how far it came. An engine never calls back.
//!
//! Life of a socket: [`Completion::Accepted`] names it → any number of
//! receives and sends → [`Engine::cancel`] → the completion of a send in flight →
//! [`Engine::close`]. The connection layer keeps that order (`conn/close.rs`); an engine asserts
//! it.

pub mod batch;
pub mod blocking;
mod clock;
pub mod epoll;
mod errno;
pub mod file_read;
pub mod file_send;
pub mod find;
pub mod kind;
pub mod named;
pub mod operation;
pub mod pacing;
pub mod peer;
pub mod probe;
pub mod progress;
pub mod reserve;
pub mod settings;
pub mod sim;
#[cfg(feature = "tokio-uring")]
pub mod tokio_uring;
pub mod uring;
pub mod warmth;

use std::io;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

pub use batch::SendBatch;
pub use kind::{EngineChoice, EngineKind};
pub use operation::{FileRange, FileStat, Links, Operation, Outcome};
pub use settings::EngineSettings;

use crate::base::{Id, Now};

/// One listening socket of one engine, in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u32);

/// One connected socket. The id of a closed socket names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub Id);

/// One operation of the slow lane; made by `task/io.rs`, opaque to engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OperationId(pub Id);

/// An error number of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> io::Error {
        io::Error::from_raw_os_error(errno.0)
    }
}

/// A filled receive buffer, lent by the engine: read it with [`Engine::bytes`], give it back with
/// [`Engine::recycle`]. It cannot be copied, so it is given back once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a receive buffer that is not recycled is lost to its ring"]
pub struct Received {
    pub(in crate::engine) buffer: u16,
    pub(in crate::engine) len: u32,
}

/// Why a receive is no longer armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveEnd {
    /// The peer has sent all that it will send.
    Eof,
    /// No receive buffer was free. Transient: arm again once buffers were recycled.
    Starved,
    /// [`Engine::stop_receiving`] or [`Engine::cancel`] took effect, or the engine ended the
    /// arm for reasons of its own: arm again if more is wanted.
    Stopped,
    /// The connection is broken (reset, timed out, unreachable).
    Failed(Errno),
}

/// What [`Engine::send_file`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSent {
    /// So many bytes left, at least one and perhaps fewer than asked for. `full`: the socket took
    /// less than it was offered, so that the next attempt is for [`Completion::Writable`].
    Sent { bytes: u64, full: bool },
    /// The socket is full: ask for [`Engine::poll_writable`].
    WouldBlock,
    /// The pages are not in memory: read them with [`Operation::Read`] and send them as bytes.
    Cold,
    /// The file ended before its range did.
    Truncated,
    /// The connection or the file is broken.
    Failed(Errno),
}

/// What [`Engine::read_file`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRead {
    /// So many bytes stand behind the old ones; fewer than asked for when the next are not in
    /// memory, none when there was no room for any.
    Read(usize),
    /// The pages are not in memory: read them with [`Operation::Read`].
    Cold,
    /// The file ended before its range did.
    Truncated,
    /// The file is broken.
    Failed(Errno),
}

/// What happened. Ids may be stale by the time it is read: look them up, ignore what is gone.
#[derive(Debug)]
pub enum Completion {
    /// A new connection. Accepting goes on by itself.
    Accepted {
        listener: ListenerId,
        socket: SocketId,
    },
    /// Accepting stopped: out of descriptors or memory ([`Engine::shed`], then arm again later with
    /// [`Engine::accept`]), or as asked.
    AcceptStopped {
        listener: ListenerId,
        error: Option<Errno>,
    },
    /// Bytes arrived. The receive stays armed until [`Completion::ReceiveEnded`].
    Received {
        socket: SocketId,
        received: Received,
    },
    /// The receive is no longer armed. Exactly one follows every [`Engine::receive`], unless the
    /// socket was closed before.
    ReceiveEnded { socket: SocketId, end: ReceiveEnd },
    /// The whole batch was handed to the kernel, or the connection broke. Exactly one follows every
    /// [`Engine::send`]; the batch comes home to be used again.
    Sent {
        socket: SocketId,
        batch: Box<SendBatch>,
        result: Result<(), Errno>,
    },
    /// Exactly one follows every [`Engine::poll_writable`]: room again, broken or cancelled alike;
    /// the next attempt tells.
    Writable { socket: SocketId },
    /// A slow-lane operation ended.
    Finished {
        operation: OperationId,
        outcome: Outcome,
    },
    /// [`Waker::wake`] was called, once or more often.
    Woken,
    /// A tick of the timer went by (see [`Engine::set_ticking`]).
    Ticked,
}

/// Whether [`Engine::wait`] may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Sleep until at least one completion is there.
    Block,
    /// Take what is there: the caller has more work of its own.
    Poll,
}

/// Wakes a worker that sleeps in [`Engine::wait`], from any thread.
#[derive(Clone, Debug)]
pub struct Waker(std::sync::Arc<OwnedFd>);

impl Waker {
    /// A waker with its own eventfd (non-blocking, close-on-exec).
    pub fn new() -> io::Result<Waker> {
        use rustix::event::{EventfdFlags, eventfd};
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Waker(std::sync::Arc::new(fd)))
    }

    /// Makes the worker's next or current wait return with [`Completion::Woken`].
    pub fn wake(&self) {
        // A full counter (EAGAIN) means that a wake-up is already pending, which is all we want.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    /// The eventfd, for the engine that waits on it.
    pub(in crate::engine) fn fd(&self) -> &OwnedFd {
        &self.0
    }
}

/// What a worker asks of the kernel. One instance belongs to one thread.
///
/// Every method but [`Engine::wait`] returns without waiting for anything.
pub trait Engine {
    /// The name as `--engine` spells it.
    fn name(&self) -> &'static str;

    /// Both clocks as of the last [`Engine::wait`].
    fn now(&self) -> Now;

    /// Wakes this engine from other threads.
    fn waker(&self) -> Waker;

    /// Turns [`Completion::Ticked`] (every [`crate::base::limits::TICK`]) on or off. Off at first:
    /// an idle server does not wake up.
    fn set_ticking(&mut self, on: bool);

    /// Takes over a listening, non-blocking socket. Does not accept yet.
    fn add_listener(&mut self, listener: OwnedFd) -> ListenerId;
    /// Accepts until [`Completion::AcceptStopped`]. May be called again after that only.
    fn accept(&mut self, listener: ListenerId);
    /// Stops accepting; [`Completion::AcceptStopped`] follows when it was accepting.
    fn stop_accepting(&mut self, listener: ListenerId);
    /// Closes a listener that is not accepting.
    fn close_listener(&mut self, listener: ListenerId);
    /// Out of descriptors: accepts one waiting connection with a descriptor held in reserve and
    /// closes it, so that its peer hears now instead of waiting. False when none waits.
    fn shed(&mut self, listener: ListenerId) -> bool;

    /// Arms reception; [`Completion::Received`] follow until [`Completion::ReceiveEnded`].
    fn receive(&mut self, socket: SocketId);
    /// Ends reception early (back-pressure). Bytes already received still arrive before the
    /// [`Completion::ReceiveEnded`].
    fn stop_receiving(&mut self, socket: SocketId);
    /// The bytes of a filled buffer; to change in place when they are ciphertext.
    fn bytes(&mut self, received: &Received) -> &mut [u8];
    /// Gives a buffer back.
    fn recycle(&mut self, received: Received);

    /// Sends all of `batch`. At most one send or [`Engine::poll_writable`] is in flight on a
    /// socket. `more` tells the kernel that a file follows at once, so that packets are filled.
    fn send(&mut self, socket: SocketId, batch: Box<SendBatch>, more: bool);
    /// Hands bytes to the socket at once: the head of a file (`more`), so that the file can follow
    /// in the same turn, or so many bytes that their memory should be used again while it is in the
    /// processor's cache. Returns how many were taken, none when the socket is full or broken; an
    /// error is left for the next send to find. [`Engine::send`] is cheaper for few bytes.
    fn send_ahead(&mut self, socket: SocketId, bytes: &[u8], more: bool) -> usize;
    /// Hands a part of a file (at most `FILE_BURST_BYTES`) to the socket, at once, without ever
    /// waiting for a disk.
    fn send_file(&mut self, socket: SocketId, range: &FileRange) -> FileSent;
    /// Reads a part of a file into the spare capacity of `buf`, at once, as far as it is in memory:
    /// for answers that are encrypted or cut into frames.
    fn read_file(&mut self, range: &FileRange, buf: &mut Vec<u8>) -> FileRead {
        file_read::read_file(range, buf)
    }
    /// The bytes of this range were just read with [`Operation::Read`]: for the next moments they
    /// can be sent from the page cache, also where the kernel does not tell that they are there.
    fn note_read(&mut self, range: &FileRange);
    /// One [`Completion::Writable`] follows once the socket has room.
    fn poll_writable(&mut self, socket: SocketId);
    /// The descriptor of a socket, and how many bytes the kernel has taken for it; `None` where
    /// there is none any more, or never was one.
    fn descriptor(&self, socket: SocketId) -> Option<(BorrowedFd<'_>, u64)>;
    /// A number that grows as the peer takes our bytes: tells a slow reader from a dead one.
    fn send_progress(&self, socket: SocketId) -> u64 {
        let socket = self.descriptor(socket);
        socket.map_or(0, |(fd, handed)| progress::send_progress(fd, handed))
    }
    /// The address of the peer; `None` for a Unix socket. A system call.
    fn peer_address(&self, socket: SocketId) -> Option<IpAddr> {
        peer::peer_address(self.descriptor(socket)?.0)
    }
    /// Lets a socket send at most so many bytes a second. A system call.
    fn set_send_rate(&self, socket: SocketId, bytes_a_second: u64) {
        if let Some((fd, _)) = self.descriptor(socket) {
            // Only TCP is paced by the kernel; a Unix socket is a proxy's.
            let _ = pacing::set_send_rate(fd, bytes_a_second);
        }
    }

    /// Sends FIN after what was sent so far; the peer may go on sending.
    fn shutdown_write(&mut self, socket: SocketId);
    /// Makes a send or poll that is in flight on the socket complete soon, and its receive end.
    fn cancel(&mut self, socket: SocketId);
    /// Closes a socket on which no send and no [`Engine::poll_writable`] is in flight. A receive
    /// that is still armed ends with it, unheard: the id is stale from now on, and bytes that
    /// arrive for it are dropped by the engine.
    fn close(&mut self, socket: SocketId);

    /// Starts a slow-lane operation; one [`Completion::Finished`] follows.
    fn start(&mut self, id: OperationId, operation: Operation);

    /// Submits what was asked for and adds what ended to `completions`.
    fn wait(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()>;
    /// Submits what was asked for without collecting anything (see `SENDS_PER_FLUSH`).
    fn flush(&mut self);
}
