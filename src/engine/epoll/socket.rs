//! One connected socket of the epoll engine: what is asked of it, and what the kernel last said.
//!
//! Sockets are watched edge-triggered, so that arming and disarming a receive costs no system call.
//! The price is that we keep in mind what the kernel has told us once: `readable` and `writable`
//! stay true until a call answers `EAGAIN` or a read leaves its buffer partly empty, which for
//! streams means the same (epoll(7), question 9).

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno as KernelErrno;
use rustix::net::{SendAncillaryBuffer, SendFlags};

use crate::engine::{Errno, SendBatch};

/// Pieces of one `sendmsg`.
const PIECES_MAX: usize = 64;

/// A batch of which `done` bytes are with the kernel.
struct Sending {
    batch: Box<SendBatch>,
    done: usize,
    flags: SendFlags,
}

pub(super) struct Socket {
    fd: OwnedFd,
    /// What epoll watches for; empty before the first wait for anything.
    watched: EventFlags,
    /// Bytes, the end or an error may be there to be read.
    pub(super) readable: bool,
    /// The peer sends no more, so that what is there ends with an end: no edge will follow.
    pub(super) hung_up: bool,
    /// The send queue may have room.
    pub(super) writable: bool,
    /// Between `receive` and its `ReceiveEnded`.
    pub(super) receiving: bool,
    /// Between `poll_writable` and its `Writable`.
    pub(super) polling: bool,
    /// Stands in the engine's list of sockets to read.
    pub(super) listed_unread: bool,
    sending: Option<Sending>,
    /// Bytes that the kernel took since the socket was opened.
    pub(super) handed: u64,
}

impl Socket {
    pub(super) fn new(fd: OwnedFd) -> Socket {
        Socket {
            fd,
            watched: EventFlags::empty(),
            // Nobody has asked yet: the first call tells.
            readable: true,
            hung_up: false,
            writable: true,
            receiving: false,
            polling: false,
            listed_unread: false,
            sending: None,
            handed: 0,
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// True when an edge is waited for that epoll does not watch for yet.
    pub(super) fn needs_watching(&self) -> bool {
        self.receiving && !self.readable && !self.watched.contains(EventFlags::IN)
    }

    /// Notes what an event says.
    pub(super) fn note(&mut self, event: EventFlags) {
        let broken = EventFlags::ERR | EventFlags::HUP;
        if event.intersects(broken | EventFlags::RDHUP) {
            self.hung_up = true;
        }
        if event.intersects(broken | EventFlags::RDHUP | EventFlags::IN) {
            self.readable = true;
        }
        if event.intersects(broken | EventFlags::OUT) {
            self.writable = true;
        }
    }

    /// Watches for bytes from now on.
    pub(super) fn watch_reading(&mut self, epoll: &OwnedFd, data: u64) -> Result<(), Errno> {
        let reading = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        self.watch(epoll, data, self.watched | reading)
    }

    /// Watches for room in the send queue, too.
    pub(super) fn watch_writing(&mut self, epoll: &OwnedFd, data: u64) -> Result<(), Errno> {
        let both = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET | EventFlags::OUT;
        self.watch(epoll, data, both)
    }

    /// Room that nobody waits for wakes us no more. TCP says so only after a full queue, Unix
    /// sockets whenever their peer reads.
    pub(super) fn unwatch_writing(&mut self, epoll: &OwnedFd, data: u64) -> Result<(), Errno> {
        self.watch(epoll, data, self.watched - EventFlags::OUT)
    }

    fn watch(&mut self, epoll: &OwnedFd, data: u64, wanted: EventFlags) -> Result<(), Errno> {
        if wanted == self.watched {
            return Ok(());
        }
        let data = EventData::new_u64(data);
        // Both report what is there already, so that nothing is missed in between.
        if self.watched.is_empty() {
            epoll::add(epoll, &self.fd, data, wanted)?;
        } else {
            epoll::modify(epoll, &self.fd, data, wanted)?;
        }
        self.watched = wanted;
        Ok(())
    }

    /// Takes a batch to send; [`Socket::continue_sending`] follows.
    pub(super) fn start_sending(&mut self, batch: Box<SendBatch>, more: bool) {
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::MORE, more);
        self.sending = Some(Sending {
            batch,
            done: 0,
            flags,
        });
    }

    /// Gives the kernel as much as it takes. `Some` when the send ended, with its batch.
    pub(super) fn continue_sending(&mut self) -> Option<(Box<SendBatch>, Result<(), Errno>)> {
        let Sending { batch, done, flags } = self.sending.as_mut()?;
        let result = loop {
            if *done == batch.len() {
                break Ok(());
            }
            match send_once(self.fd.as_fd(), batch, *done, *flags) {
                Ok(sent) => {
                    *done += sent;
                    self.handed += sent as u64;
                }
                Err(KernelErrno::INTR) => {}
                Err(KernelErrno::AGAIN) => {
                    self.writable = false;
                    return None;
                }
                Err(errno) => break Err(errno.into()),
            }
        };
        self.stop_sending().map(|batch| (batch, result))
    }

    /// Takes the batch back, wherever it is.
    pub(super) fn stop_sending(&mut self) -> Option<Box<SendBatch>> {
        self.sending.take().map(|sending| sending.batch)
    }
}

fn send_once(
    fd: BorrowedFd<'_>,
    batch: &SendBatch,
    done: usize,
    flags: SendFlags,
) -> Result<usize, KernelErrno> {
    if let Some(bytes) = batch.contiguous() {
        return rustix::net::send(fd, &bytes[done..], flags);
    }
    let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
    let mut count = 0;
    let mut slices = batch.slices(done);
    for (piece, slice) in pieces.iter_mut().zip(&mut slices) {
        *piece = IoSlice::new(slice);
        count += 1;
    }
    // More pieces follow at once: let the kernel fill its packets.
    let flags = match slices.next() {
        Some(_) => flags | SendFlags::MORE,
        None => flags,
    };
    let mut no_control = SendAncillaryBuffer::default();
    rustix::net::sendmsg(fd, &pieces[..count], &mut no_control, flags)
}
