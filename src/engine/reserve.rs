//! One descriptor held back for the moment when there are no others.
//!
//! When a process is out of descriptors, a waiting connection can be neither served nor refused:
//! its peer waits for nothing. The reserve is given up for one accept, so that the peer hears a
//! close.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{SocketFlags, accept_with};

use super::Errno;

/// Connections that may die in the queue before [`Reserve::shed`] gives up on finding a live one.
const ABORTED_MAX: u32 = 16;

/// The reserved descriptor; `None` while the process has not a single one left.
#[derive(Debug)]
pub struct Reserve(Option<OwnedFd>);

impl Default for Reserve {
    fn default() -> Self {
        Self::new()
    }
}

impl Reserve {
    /// Takes one descriptor out of the process's supply.
    pub fn new() -> Reserve {
        let mut reserve = Reserve(None);
        reserve.refill();
        reserve
    }

    /// Accepts one waiting connection of `listener` (non-blocking) and closes it. False when none
    /// waits, or when another thread took the descriptor first: the caller comes back later.
    pub fn shed(&mut self, listener: impl AsFd) -> bool {
        self.0 = None;
        let shed = accept_and_drop(listener);
        self.refill();
        shed
    }

    /// An eventfd: the cheapest descriptor that needs no file system.
    fn refill(&mut self) {
        self.0 = eventfd(0, EventfdFlags::CLOEXEC).ok();
    }
}

fn accept_and_drop(listener: impl AsFd) -> bool {
    for _ in 0..ABORTED_MAX {
        match accept_with(&listener, SocketFlags::CLOEXEC) {
            Ok(socket) => {
                drop(socket);
                return true;
            }
            Err(errno) if Errno::from(errno).is_of_one_connection() => {}
            Err(_) => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_shed_peer_hears_a_close_and_an_empty_queue_says_no() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut reserve = Reserve::new();
        assert!(!reserve.shed(&listener));
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(reserve.shed(&listener));
        assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
        assert!(reserve.0.is_some(), "held again");
        assert!(!reserve.shed(&listener));
    }
}
