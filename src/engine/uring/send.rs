//! Sends: one in flight on a socket, continued until the whole batch has left.
#![allow(unsafe_code)] // Message headers hold pointers to the batch's pieces.

use std::os::fd::AsRawFd;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};

use super::{Tag, UringEngine};
use crate::engine::{Completion, Errno, SendBatch, SocketId};

/// A batch on its way. The socket's slot owns it until the last completion.
pub(super) struct Sending {
    batch: Box<SendBatch>,
    sent: usize,
    more: bool,
    message: Option<Box<Message>>,
    /// The kernel still holds pages of a zero-copy send and will notify us.
    notice_due: bool,
    /// How it ended, while the notice is awaited.
    result: Option<Result<(), Errno>>,
}

/// A message header with its vector, at an address that does not change.
pub(super) struct Message {
    header: libc::msghdr,
    vectors: Vec<libc::iovec>,
}

/// More pieces than this go out in the next send (the kernel's `UIO_MAXIOV` is 1024).
const VECTORS_MAX: usize = 256;

impl Message {
    fn new() -> Box<Message> {
        // SAFETY: `msghdr` is plain data for which zero (no address, no vector) is a value.
        let header = unsafe { std::mem::zeroed() };
        Box::new(Message {
            header,
            vectors: Vec::new(),
        })
    }

    fn fill(&mut self, batch: &SendBatch, skip: usize) {
        self.vectors.clear();
        self.vectors.extend(
            batch
                .slices(skip)
                .take(VECTORS_MAX)
                .map(|slice| libc::iovec {
                    iov_base: slice.as_ptr().cast_mut().cast(),
                    iov_len: slice.len(),
                }),
        );
        self.header.msg_iov = self.vectors.as_mut_ptr();
        self.header.msg_iovlen = self.vectors.len();
    }
}

impl UringEngine<'_> {
    pub(super) fn start_send(&mut self, socket: SocketId, batch: Box<SendBatch>, more: bool) {
        let Some(state) = self.socket_mut(socket) else {
            return;
        };
        assert!(
            state.sending.is_none() && !state.writable_polled,
            "one send at a time"
        );
        let sending = Sending {
            batch,
            sent: 0,
            more,
            message: None,
            notice_due: false,
            result: None,
        };
        state.sending = Some(sending);
        self.submit_send(socket);
    }

    /// Queues what the batch has left.
    fn submit_send(&mut self, socket: SocketId) {
        let spare = self.messages.pop();
        let zero_copy_min = self.zero_copy_min;
        let state = self
            .sockets
            .get_mut(socket.0)
            .expect("a send belongs to an open socket");
        // Cannot fail on a socket; if it did, a full socket would end the connection.
        let _ = state.set_nonblocking(false);
        let fd = Fd(state.fd.as_raw_fd());
        let sending = state.sending.as_mut().expect("the caller has put it there");
        let (entry, spare) = sending.entry(fd, spare, zero_copy_min);
        self.messages.extend(spare);
        self.push(&entry.user_data(Tag::Send.user_data(socket.0.pack())));
    }

    /// One completion of a send: the result, or the notice that a zero-copy send let go.
    pub(super) fn on_sent(
        &mut self,
        socket: SocketId,
        result: i32,
        flags: u32,
        completions: &mut Vec<Completion>,
    ) {
        let state = self
            .sockets
            .get_mut(socket.0)
            .expect("a send keeps its socket open");
        let cancelled = state.cancelled;
        let sending = state.sending.as_mut().expect("a send completes once");
        if io_uring::cqueue::notif(flags) {
            sending.notice_due = false;
        } else {
            sending.notice_due = io_uring::cqueue::more(flags);
            if result > 0 {
                sending.sent += result as usize;
                state.handed += result as u64;
            }
            sending.result = match result {
                _ if sending.sent >= sending.batch.len() => Some(Ok(())),
                error if error < 0 && error != -libc::EINTR => Some(Err(Errno(-error))),
                _ if cancelled => Some(Err(Errno(libc::ECANCELED))),
                0 => Some(Err(Errno(libc::EPIPE))),
                _ => None,
            };
        }
        if sending.notice_due {
            return;
        }
        match sending.result {
            None => self.submit_send(socket),
            Some(result) => {
                let sending = state.sending.take().expect("it was there a moment ago");
                self.messages.extend(sending.message);
                completions.push(Completion::Sent {
                    socket,
                    batch: sending.batch,
                    result,
                });
            }
        }
    }
}

impl Sending {
    /// The ring entry for what is left, and the spare message header when it was not needed.
    fn entry(
        &mut self,
        fd: Fd,
        spare: Option<Box<Message>>,
        zero_copy_min: usize,
    ) -> (squeue::Entry, Option<Box<Message>>) {
        let more = if self.more { libc::MSG_MORE } else { 0 };
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL | more;
        let left = self.batch.len() - self.sent;
        if let Some(whole) = self.batch.contiguous() {
            let rest = &whole[self.sent..];
            let len = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            let entry = if left >= zero_copy_min {
                opcode::SendZc::new(fd, rest.as_ptr(), len)
                    .flags(flags)
                    .build()
            } else {
                opcode::Send::new(fd, rest.as_ptr(), len)
                    .flags(flags)
                    .build()
            };
            return (entry, spare);
        }
        let message = self
            .message
            .get_or_insert_with(|| spare.unwrap_or_else(Message::new));
        message.fill(&self.batch, self.sent);
        let entry = if left >= zero_copy_min {
            opcode::SendMsgZc::new(fd, &message.header)
                .flags(flags as u32)
                .build()
        } else {
            opcode::SendMsg::new(fd, &message.header)
                .flags(flags as u32)
                .build()
        };
        (entry, None)
    }
}
