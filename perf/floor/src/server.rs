//! The loop: wait, take all completions, act on them, answer each dirty connection once.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::squeue::Flags;
use io_uring::{IoUring, cqueue, opcode, squeue, types};

use crate::buffers::{Buffers, GROUP};
use crate::connection::{Connection, Send};
use crate::request::Scanner;
use crate::response::Responses;

const SUBMISSION_ENTRIES: u32 = 256;
const COMPLETION_ENTRIES: u32 = 4096;

const ACCEPT: u64 = 1 << 32;
const RECEIVE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const CLOSE: u64 = 4 << 32;
const CANCEL: u64 = 5 << 32;
const KIND_MASK: u64 = !0 << 32;

/// The yardstick itself.
pub struct Server {
    ring: IoUring,
    listener: OwnedFd,
    responses: Responses,
    scanner: Scanner,
    buffers: Buffers,
    connections: Vec<Connection>,
    dirty: Vec<i32>,
    completed: Vec<(u64, i32, u32)>,
    backlog: VecDeque<squeue::Entry>,
}

impl Server {
    /// Sets the ring up on the calling thread, which must also call [`Server::run`].
    pub fn new(listener: OwnedFd, responses: Responses) -> io::Result<Server> {
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
            responses,
            scanner: Scanner::new(),
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
            self.connections.resize(index + 1, Connection::default());
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
                let scanned = self.scanner.scan(&mut connection.carry, bytes);
                connection.unanswered += scanned.requests;
                if scanned.close && scanned.requests > 0 {
                    connection.unanswered -= 1;
                    connection.last_unanswered = true;
                    connection.ending = true;
                }
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
        connection.send = match connection.send {
            Some(send) if result > 0 && (result as u32) < send.len => Some(Send {
                bytes: send.bytes.wrapping_add(result as usize),
                len: send.len - result as u32,
            }),
            _ => None,
        };
        if result <= 0 {
            connection.unanswered = 0;
            connection.last_unanswered = false;
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
            connection.send = next_send(&self.responses, connection);
        }
        if let Some(send) = connection.send {
            connection.sending = true;
            self.submit_send(fd, send);
        }
        let connection = self.connections[fd as usize];
        if connection.ending {
            if !connection.sending {
                self.end(fd, connection.receiving);
            }
        } else if !connection.receiving {
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

    fn submit_send(&mut self, fd: i32, send: Send) {
        let entry = opcode::Send::new(types::Fd(fd), send.bytes, send.len)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build();
        self.push(entry.user_data(SEND | fd as u64));
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: the only memory that entries name are the responses, which are never changed or
        // freed while the ring exists; the provided buffers are registered for as long.
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

/// One send for all answers that are due: those that keep the connection first, then the last.
fn next_send(responses: &Responses, connection: &mut Connection) -> Option<Send> {
    let bytes = if connection.unanswered > 0 {
        let (bytes, answered) = responses.keep_alive(connection.unanswered);
        connection.unanswered -= answered;
        bytes
    } else if connection.last_unanswered {
        connection.last_unanswered = false;
        responses.close()
    } else {
        return None;
    };
    Some(Send {
        bytes: bytes.as_ptr(),
        len: bytes.len() as u32,
    })
}
