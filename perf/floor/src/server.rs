//! The loop: wait, take all completions, act on them, answer each dirty connection once.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::squeue::Flags;
use io_uring::{IoUring, cqueue, opcode, squeue, types};

use crate::buffers::{Buffers, GROUP};
use crate::connection::{Connection, Message, Send};

const SUBMISSION_ENTRIES: u32 = 256;
const COMPLETION_ENTRIES: u32 = 4096;

const ACCEPT: u64 = 1 << 32;
const RECEIVE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const CLOSE: u64 = 4 << 32;
const CANCEL: u64 = 5 << 32;
const KIND_MASK: u64 = !0 << 32;

/// What the loop asks of a protocol: where requests end, and what is sent for them.
pub trait Protocol {
    /// What it remembers of one connection.
    type Memory: Default;

    /// Reads what has arrived. Bytes that [`Protocol::next_send`] has given stay as they are.
    fn handle_input(&self, memory: &mut Self::Memory, received: &[u8]) -> Wish;

    /// All that is due and fits in one send. The loop comes back when those bytes have been sent,
    /// and not before: until then neither they nor the memory's own storage is touched.
    fn next_send<'a>(&'a self, memory: &'a mut Self::Memory) -> Due<'a>;

    /// A send has failed: nothing is due any more.
    fn forget(&self, memory: &mut Self::Memory);
}

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Due<'a> {
    Nothing,
    Bytes(&'a [u8]),
    /// At most `UIO_MAXIOV` (1024) of them, in order.
    Pieces(Vec<&'a [u8]>),
}

/// What a peer wants of its connection after what it has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    /// More may come.
    GoOn,
    /// Nothing more is to be read; what is due is still sent.
    End,
}

/// The yardstick itself.
pub struct Server<P: Protocol> {
    ring: IoUring,
    listener: OwnedFd,
    protocol: P,
    buffers: Buffers,
    connections: Vec<Connection<P::Memory>>,
    dirty: Vec<i32>,
    completed: Vec<(u64, i32, u32)>,
    backlog: VecDeque<squeue::Entry>,
}

impl<P: Protocol> Server<P> {
    /// Sets the ring up on the calling thread, which must also call [`Server::run`].
    pub fn new(listener: OwnedFd, protocol: P) -> io::Result<Server<P>> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_cqsize(COMPLETION_ENTRIES)
            .build(SUBMISSION_ENTRIES)?;
        let buffers = Buffers::register(&ring.submitter())?;
        Ok(Server {
            ring,
            listener,
            protocol,
            buffers,
            connections: Vec::new(),
            dirty: Vec::new(),
            completed: Vec::with_capacity(COMPLETION_ENTRIES as usize),
            backlog: VecDeque::new(),
        })
    }

    /// Serves until the process is ended; returns only with an error that it cannot go on after.
    pub fn run(mut self) -> io::Result<()> {
        self.submit_accept();
        loop {
            self.wait()?;
            self.completed.clear();
            let completed = self.ring.completion();
            self.completed
                .extend(completed.map(|entry| (entry.user_data(), entry.result(), entry.flags())));
            for index in 0..self.completed.len() {
                let (token, result, flags) = self.completed[index];
                self.on_completion(token, result, flags)?;
            }
            self.buffers.publish();
            self.serve_dirty();
        }
    }

    /// Submits everything and sleeps until something ended.
    fn wait(&mut self) -> io::Result<()> {
        while !self.backlog.is_empty() {
            if !tolerate(self.ring.submit())? {
                break; // Completions must be taken first; the backlog keeps until the next turn.
            }
            let mut submission = self.ring.submission();
            while let Some(entry) = self.backlog.pop_front() {
                // SAFETY: see `push`, through which every entry came.
                if unsafe { submission.push(&entry) }.is_err() {
                    self.backlog.push_front(entry);
                    break;
                }
            }
        }
        tolerate(self.ring.submit_and_wait(1)).map(drop)
    }

    fn on_completion(&mut self, token: u64, result: i32, flags: u32) -> io::Result<()> {
        let fd = token as u32 as i32;
        match token & KIND_MASK {
            ACCEPT => self.on_accepted(result, flags)?,
            RECEIVE => self.on_received(fd, result, flags),
            SEND => self.on_sent(fd, result),
            CANCEL => {} // It came too late: the receive had already ended by itself.
            CLOSE => eprintln!("close failed: {}", io::Error::from_raw_os_error(-result)),
            _ => unreachable!("every entry is made below with one of these kinds"),
        }
        Ok(())
    }

    fn on_accepted(&mut self, result: i32, flags: u32) -> io::Result<()> {
        if !cqueue::more(flags) {
            self.submit_accept();
        }
        match -result {
            // The peer went away before it was accepted.
            libc::ECONNABORTED | libc::EINTR | libc::EAGAIN => return Ok(()),
            error if error > 0 => return Err(io::Error::from_raw_os_error(error)),
            _ => {}
        }
        let index = result as usize;
        if index >= self.connections.len() {
            self.connections.resize_with(index + 1, Connection::default);
        }
        self.connections[index] = Connection::default();
        self.submit_receive(result);
        Ok(())
    }

    fn on_received(&mut self, fd: i32, result: i32, flags: u32) {
        let connection = &mut self.connections[fd as usize];
        if let Some(buffer) = cqueue::buffer_select(flags) {
            let bytes = self.buffers.bytes(buffer, result.max(0) as usize);
            if !connection.ending {
                let wish = self.protocol.handle_input(&mut connection.memory, bytes);
                connection.ending = wish == Wish::End;
            }
            self.buffers.push(buffer);
        }
        if !cqueue::more(flags) {
            connection.receiving = false;
            // ENOBUFS is transient: the buffers of this batch come back before the next wait.
            connection.ending |= result <= 0 && result != -libc::ENOBUFS;
        }
        self.mark_dirty(fd);
    }

    fn on_sent(&mut self, fd: i32, result: i32) {
        let connection = &mut self.connections[fd as usize];
        connection.sending = false;
        let send = connection.send.take();
        connection.send = send.and_then(|send| send.after(result.max(0) as usize));
        if result <= 0 {
            connection.send = None;
            self.protocol.forget(&mut connection.memory);
            connection.ending = true;
        }
        self.mark_dirty(fd);
    }

    fn mark_dirty(&mut self, fd: i32) {
        let connection = &mut self.connections[fd as usize];
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(fd);
        }
    }

    fn serve_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for fd in dirty.drain(..) {
            self.serve(fd);
        }
        self.dirty = dirty;
    }

    /// Asks for whatever comes next on a connection: one send, a new receive, or the end.
    fn serve(&mut self, fd: i32) {
        let connection = &mut self.connections[fd as usize];
        connection.dirty = false;
        if connection.sending {
            return;
        }
        if connection.send.is_none() {
            connection.send = match self.protocol.next_send(&mut connection.memory) {
                Due::Nothing => None,
                Due::Bytes(bytes) => Some(Send::Bytes(bytes.as_ptr(), bytes.len() as u32)),
                Due::Pieces(pieces) => Some(Send::Pieces(Box::new(message_of(&pieces)))),
            };
        }
        let entry = connection.send.as_ref().map(|send| send_entry(fd, send));
        connection.sending = entry.is_some();
        let (ending, receiving) = (connection.ending, connection.receiving);
        if let Some(entry) = entry {
            self.push(entry);
        } else if ending {
            self.end(fd, receiving);
        }
        if !ending && !receiving {
            self.submit_receive(fd);
        }
    }

    /// Closes, when the receive has ended; else makes it end, which leads back here.
    fn end(&mut self, fd: i32, receiving: bool) {
        let (entry, kind) = if receiving {
            // Measured: a little cheaper than `shutdown(2)`; the peer has often closed by now.
            (
                opcode::AsyncCancel::new(RECEIVE | fd as u64).build(),
                CANCEL,
            )
        } else {
            (opcode::Close::new(types::Fd(fd)).build(), CLOSE)
        };
        self.push(entry.flags(Flags::SKIP_SUCCESS).user_data(kind | fd as u64));
    }

    fn submit_accept(&mut self) {
        let fd = types::Fd(self.listener.as_raw_fd());
        self.push(opcode::AcceptMulti::new(fd).build().user_data(ACCEPT));
    }

    fn submit_receive(&mut self, fd: i32) {
        self.connections[fd as usize].receiving = true;
        let receive = opcode::RecvMulti::new(types::Fd(fd), GROUP).build();
        self.push(receive.user_data(RECEIVE | fd as u64));
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: the only memory that entries name is what the protocol gave to be sent, which it
        // neither changes nor frees until it is asked again, and `serve` asks only when no send is
        // in flight; a message's box stays in its slot as long. A connection's slot is made anew
        // only after its close, which waits for the send. The provided buffers are registered for
        // as long as the ring exists.
        if unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.backlog.push_back(entry);
        }
    }
}

/// Back-pressure and signals are no faults; true when the kernel took what was submitted.
fn tolerate(submitted: io::Result<usize>) -> io::Result<bool> {
    match submitted {
        Ok(_) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(false),
            _ => Err(error),
        },
    }
}

fn message_of(pieces: &[&[u8]]) -> Message {
    Message::new(pieces.iter().map(|piece| libc::iovec {
        iov_base: piece.as_ptr().cast_mut().cast(),
        iov_len: piece.len(),
    }))
}

fn send_entry(fd: i32, send: &Send) -> squeue::Entry {
    const FLAGS: i32 = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
    let fd_entry = types::Fd(fd);
    let entry = match send {
        Send::Bytes(bytes, len) => opcode::Send::new(fd_entry, *bytes, *len)
            .flags(FLAGS)
            .build(),
        Send::Pieces(message) => opcode::SendMsg::new(fd_entry, &raw const message.header)
            .flags(FLAGS as u32)
            .build(),
    };
    entry.user_data(SEND | fd as u64)
}
