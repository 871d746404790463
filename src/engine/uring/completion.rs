//! From ring completions to the engine's vocabulary.
#![allow(unsafe_code)] // A completed accept hands us a descriptor by number.

use std::os::fd::{FromRawFd, OwnedFd};

use io_uring::cqueue;

use super::{Socket, Tag, UringEngine};
use crate::base::Id;
use crate::engine::{Completion, Errno, ListenerId, ReceiveEnd, Received, SocketId};

impl UringEngine<'_> {
    pub(super) fn on_completion(
        &mut self,
        entry: &cqueue::Entry,
        completions: &mut Vec<Completion>,
    ) {
        let (user_data, result, flags) = (entry.user_data(), entry.result(), entry.flags());
        if !cqueue::more(flags) {
            self.in_flight -= 1;
        }
        match Tag::of(user_data) {
            Tag::Receive => {
                self.on_received(SocketId(Id::unpack(user_data)), result, flags, completions);
            }
            Tag::Send => self.on_sent(SocketId(Id::unpack(user_data)), result, flags, completions),
            Tag::Accept => {
                self.on_accepted(ListenerId(user_data as u32), result, flags, completions);
            }
            Tag::Writable => {
                let socket = SocketId(Id::unpack(user_data));
                let state = self
                    .socket_mut(socket)
                    .expect("a poll keeps its socket open");
                state.writable_polled = false;
                completions.push(Completion::Writable { socket });
            }
            Tag::Operation => {
                let slot = Id::unpack(user_data);
                let operation = self.operations.remove(slot).expect("it completes once");
                let id = operation.id;
                let outcome = operation.finish(result);
                completions.push(Completion::Finished {
                    operation: id,
                    outcome,
                });
            }
            Tag::Wake => self.on_woken(flags, completions),
            Tag::Tick => self.on_ticked(user_data as u32, result, flags, completions),
            Tag::Ignored => {}
        }
    }

    fn on_received(
        &mut self,
        socket: SocketId,
        result: i32,
        flags: u32,
        completions: &mut Vec<Completion>,
    ) {
        let is_open = self.sockets.get(socket.0).is_some();
        if let Some(buffer) = cqueue::buffer_select(flags) {
            self.buffers_mut().on_taken();
            if result > 0 && is_open {
                let received = Received {
                    buffer,
                    len: result as u32,
                };
                completions.push(Completion::Received { socket, received });
            } else {
                self.buffers_mut().recycle(buffer);
            }
        }
        if cqueue::more(flags) {
            self.note_received(socket);
            return;
        }
        let Some(state) = self.socket_mut(socket) else {
            return;
        };
        state.receiving = false;
        let end = match result {
            0 => ReceiveEnd::Eof,
            1.. => ReceiveEnd::Stopped,
            _ => match -result {
                libc::ENOBUFS => ReceiveEnd::Starved,
                libc::ECANCELED | libc::EINTR | libc::EAGAIN => ReceiveEnd::Stopped,
                errno => ReceiveEnd::Failed(Errno(errno)),
            },
        };
        completions.push(Completion::ReceiveEnded { socket, end });
    }

    fn on_accepted(
        &mut self,
        listener: ListenerId,
        result: i32,
        flags: u32,
        completions: &mut Vec<Completion>,
    ) {
        if result >= 0 {
            // SAFETY: a completed accept hands a new descriptor to us alone.
            let fd = unsafe { OwnedFd::from_raw_fd(result) };
            let socket = SocketId(self.sockets.insert(Socket {
                fd,
                fresh: true,
                receiving: false,
                received_lately: false,
                cancelled: false,
                nonblocking: false,
                writable_polled: false,
                sending: None,
                handed: 0,
            }));
            completions.push(Completion::Accepted { listener, socket });
        }
        if cqueue::more(flags) {
            return;
        }
        let state = &mut self.listeners[listener.0 as usize];
        let error = match -result {
            _ if state.stopping => None,
            // The connection died in the queue, or the kernel ended the arm: nothing is wrong here.
            libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | ..=0 => {
                self.arm_accept(listener);
                return;
            }
            errno => Some(Errno(errno)),
        };
        state.accepting = false;
        completions.push(Completion::AcceptStopped { listener, error });
    }

    fn on_woken(&mut self, flags: u32, completions: &mut Vec<Completion>) {
        let mut count = [0; 8];
        // Empty (EAGAIN) when an earlier completion of this turn has read it already.
        let _ = rustix::io::read(self.waker.fd(), &mut count);
        completions.push(Completion::Woken);
        if !cqueue::more(flags) {
            self.arm_waker();
        }
    }

    fn on_ticked(
        &mut self,
        round: u32,
        result: i32,
        flags: u32,
        completions: &mut Vec<Completion>,
    ) {
        if round != self.tick_round || !self.ticking {
            return; // A cancelled timer's last words.
        }
        if result == -libc::EINVAL {
            self.tick_multishot = false; // Before Linux 6.4: one shot at a time.
        } else {
            self.look_for_missed_ends();
            completions.push(Completion::Ticked);
        }
        if !cqueue::more(flags) {
            self.arm_tick();
        }
    }
}
