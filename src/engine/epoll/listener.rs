//! One listening socket of the epoll engine.
//!
//! Watched level-triggered and exclusively: of the workers that share a listener, one is woken.

use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{SocketFlags, accept_with};

use crate::base::limits::ACCEPTS_PER_TURN;
use crate::engine::Errno;

pub(super) struct Listener {
    fd: Option<OwnedFd>,
    accepting: bool,
    /// How many connections to try for at the next event: an accept that finds nothing costs
    /// nearly as much as one that finds something, so we ask for as many as came last time.
    expected: usize,
}

/// What one attempt to accept brought.
pub(super) enum Accepted {
    Socket(OwnedFd),
    /// No more for now: epoll will tell.
    Enough,
    /// Out of descriptors or memory, or the listener is broken.
    Failed(Errno),
}

impl Listener {
    pub(super) fn new(fd: OwnedFd) -> Listener {
        Listener {
            fd: Some(fd),
            accepting: false,
            expected: 1,
        }
    }

    pub(super) fn fd(&self) -> Option<&OwnedFd> {
        self.fd.as_ref()
    }

    pub(super) fn is_accepting(&self) -> bool {
        self.accepting
    }

    pub(super) fn start(&mut self, epoll: &OwnedFd, data: u64) -> Result<(), Errno> {
        let Some(fd) = &self.fd else {
            return Err(rustix::io::Errno::BADF.into());
        };
        let wanted = EventFlags::IN | EventFlags::EXCLUSIVE;
        epoll::add(epoll, fd, EventData::new_u64(data), wanted)?;
        self.accepting = true;
        Ok(())
    }

    pub(super) fn stop(&mut self, epoll: &OwnedFd) {
        if let Some(fd) = &self.fd {
            // It was added; a kernel that cannot forget it goes on waking us for nothing we do.
            let _ = epoll::delete(epoll, fd);
        }
        self.accepting = false;
    }

    pub(super) fn close(&mut self) {
        self.fd = None;
    }

    /// Accepts what waits, within a bound, and calls `each` for every connection and at the end.
    pub(super) fn accept_waiting(&mut self, mut each: impl FnMut(Accepted)) {
        let Some(fd) = &self.fd else { return };
        let mut taken = 0;
        while taken < self.expected {
            match accept_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    taken += 1;
                    each(Accepted::Socket(socket));
                }
                Err(rustix::io::Errno::AGAIN) => {
                    self.expected = taken.max(1);
                    return each(Accepted::Enough);
                }
                Err(errno) if Errno::from(errno).is_of_one_connection() => taken += 1,
                Err(errno) => return each(Accepted::Failed(errno.into())),
            }
        }
        // There may be more; level-triggered events come back.
        self.expected = (self.expected * 2).min(ACCEPTS_PER_TURN);
        each(Accepted::Enough);
    }
}
