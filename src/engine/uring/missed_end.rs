//! Ends of receives that the kernel has not told.
//!
//! Seen on Linux 6.18: bytes arrive, a reset right behind them, and the multishot receive tells the
//! bytes and stays armed for ever; about one TCP connection in twenty thousand that end so. The
//! likely cause is the lost second wake-up of axboe/liburing#1549, which was reported for Unix
//! sockets. Only a deadline would end such a connection. So once a tick the sockets that have
//! received since the last one are asked, with one system call for many, whether their peer is
//! gone; an armed receive that should know is stopped, and hears it when it is armed again.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::UringEngine;
use crate::engine::{Engine, SocketId};

/// As many as a word has bits.
const SOCKETS_A_POLL: usize = u64::BITS as usize;

const NO_TIME: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

impl UringEngine<'_> {
    /// Bytes came and the receive stays armed: an end may be right behind them.
    #[inline]
    pub(super) fn note_received(&mut self, socket: SocketId) {
        if let Some(state) = self.sockets.get_mut(socket.0)
            && !state.received_lately
        {
            state.received_lately = true;
            self.received_lately.push(socket);
        }
    }

    /// Once a tick.
    pub(super) fn look_for_missed_ends(&mut self) {
        let mut listed = std::mem::take(&mut self.received_lately);
        listed.retain(|socket| {
            let state = self.sockets.get_mut(socket.0);
            state.is_some_and(|state| {
                state.received_lately = false;
                state.receiving
            })
        });
        for some in listed.chunks(SOCKETS_A_POLL) {
            let mut gone = self.which_are_gone(some);
            while gone != 0 {
                self.stop_receiving(some[gone.trailing_zeros() as usize]);
                gone &= gone - 1;
            }
        }
        listed.clear();
        self.received_lately = listed; // Keeps its memory.
    }

    /// One bit for each of `sockets`, all of which are open: whether its peer sends no more.
    fn which_are_gone(&self, sockets: &[SocketId]) -> u64 {
        let ends = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        // On the stack, since a steady worker allocates nothing; what is too much is not asked.
        let mut fds: [PollFd<'_>; SOCKETS_A_POLL] = std::array::from_fn(|position| {
            let socket = sockets.get(position).unwrap_or(&sockets[0]);
            let state = self.sockets.get(socket.0).expect("the caller has looked");
            PollFd::from_borrowed_fd(state.fd.as_fd(), ends)
        });
        let fds = &mut fds[..sockets.len()];
        // Failing only means that the peers' ends are found by their deadlines.
        let _ = poll(fds, Some(&NO_TIME));
        let bit = |(position, fd): (usize, &PollFd<'_>)| {
            u64::from(fd.revents().intersects(ends)) << position
        };
        fds.iter()
            .enumerate()
            .map(bit)
            .fold(0, |all, bit| all | bit)
    }
}
