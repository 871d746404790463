//! Bytes from a peer: parsed where they lie; only what cannot be parsed yet is kept.

use crate::base::limits::{DRAIN_BYTES_MAX, H2_FRAME_BYTES_MAX};
use crate::engine::{Engine, ReceiveEnd, Received, SocketId};
use crate::proto::h1::may_be_complete;

use super::Connections;
use super::connection::{Connection, Life, Reading, Sending};
use super::request::consume;
use super::services::Services;

/// Bytes that a peer may send after our last answer before we stop listening to it.
const LINGER_BYTES_MAX: u64 = 16 * DRAIN_BYTES_MAX;
/// The largest frame of HTTP/2, with its header.
const UNREAD_FRAME_BYTES_MAX: usize = 9 + H2_FRAME_BYTES_MAX;

impl<E: Engine> Connections<E> {
    pub(super) fn on_received(&mut self, socket: SocketId, received: Received) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            self.engine.recycle(received);
            return;
        };
        let mut begin = 0;
        if connection.awaits_proxy_header() && connection.life == Life::Open {
            match self.take_proxy_header(socket, &received) {
                Some(len) => begin = len,
                None => {
                    self.engine.recycle(received);
                    return;
                }
            }
        }
        let Some(connection) = self.table.get_mut(socket.0) else {
            unreachable!("it was there a moment ago");
        };
        if connection.secure.is_some() && connection.life == Life::Open {
            self.on_ciphertext(socket, received, begin);
            return;
        }
        let bytes = &self.engine.bytes(&received)[begin..];
        match connection.life {
            Life::Open => take_plain(socket, connection, &mut self.services, bytes),
            Life::Lingering => connection.drained_bytes += bytes.len() as u64,
            Life::Terminating => {}
        }
        self.engine.recycle(received);
        self.after_input(socket);
    }

    /// Requests that waited in the connection's own buffer go on.
    pub(super) fn resume_input(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        consume_input(socket, connection, &mut self.services);
        self.after_input(socket);
    }

    pub(super) fn after_input(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        match connection.life {
            Life::Open if connection.peer_done => connection.lose_bodies(),
            Life::Open => {}
            Life::Lingering => {
                if connection.drained_bytes > LINGER_BYTES_MAX {
                    self.terminate(socket);
                }
                return;
            }
            Life::Terminating => return,
        }
        if connection.receiving && connection.is_glutted(&self.services) {
            self.engine.stop_receiving(socket);
        }
        if connection.has_output() || connection.close_after_output {
            self.mark_dirty(socket);
        } else if connection.sending == Sending::Idle {
            self.on_done(socket);
        }
    }

    pub(super) fn on_receive_ended(&mut self, socket: SocketId, end: ReceiveEnd) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        connection.receiving = false;
        if connection.life == Life::Terminating {
            return;
        }
        match end {
            ReceiveEnd::Eof => self.on_peer_done(socket),
            ReceiveEnd::Starved => self.starved.push(socket),
            ReceiveEnd::Stopped => self.receive_if_wanted(socket),
            ReceiveEnd::Failed(_) => self.terminate(socket),
        }
    }

    /// The peer will send no more. What it asked for is still answered.
    pub(super) fn on_peer_done(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        connection.peer_done = true;
        connection.lose_bodies();
        let answering = connection.is_answering()
            || connection.sending != Sending::Idle
            || connection.dirty
            || connection.has_output();
        if connection.life == Life::Lingering {
            self.terminate(socket);
        } else if !answering {
            self.finish(socket);
        }
    }

    pub(super) fn receive(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        connection.receiving = true;
        self.engine.receive(socket);
    }

    /// Arms the receive again unless it is armed or there is no use for more bytes now.
    pub(super) fn receive_if_wanted(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get(socket.0) else {
            return;
        };
        if !connection.receiving && connection.wants_input(&self.services) {
            self.receive(socket);
        }
    }

    /// All buffers of this turn were given back: who went without tries again.
    pub(super) fn rearm_starved(&mut self) {
        let mut starved = std::mem::take(&mut self.starved);
        for socket in starved.drain(..) {
            self.receive_if_wanted(socket);
        }
        self.starved = starved;
    }
}

impl Connection {
    /// True while further bytes would only pile up behind an answer that is being made or sent.
    fn is_glutted(&self, services: &Services) -> bool {
        let head_bytes_max = services.limits.head_bytes_max;
        let bytes_max = match self.reading {
            // A frame that is not whole yet must not keep its own rest out.
            Reading::Streams(_) => head_bytes_max.max(UNREAD_FRAME_BYTES_MAX),
            _ => head_bytes_max,
        };
        let is_full = matches!(&self.reading, Reading::Waiting(waiting) if waiting.is_full());
        self.life == Life::Open && (is_full || self.input.len() >= bytes_max)
    }

    fn wants_input(&self, services: &Services) -> bool {
        match self.life {
            // The last answer is on its way: only who must linger hears what else comes.
            // While that is still being made, its client may leave.
            Life::Open if matches!(self.reading, Reading::Done) => {
                !self.peer_done && (self.linger || self.output.ends_in_stream())
            }
            Life::Open => !self.peer_done && !self.is_glutted(services),
            Life::Lingering => !self.peer_done,
            Life::Terminating => false,
        }
    }

    /// Whether parsing can go further now that `new` has come behind the kept input. A head that
    /// comes byte by byte is parsed again only once it may be whole or too long, so that a slow
    /// sender cannot make us parse the same bytes over and over.
    fn is_worth_parsing(&self, seen: usize, services: &Services) -> bool {
        match &self.reading {
            Reading::Head => {
                may_be_complete(&self.input, seen)
                    || self.input.len() >= services.limits.head_bytes_max
            }
            Reading::Body(_) | Reading::Streams(_) | Reading::Done => true,
            Reading::Waiting(waiting) => waiting.takes_bytes(),
        }
    }
}

/// Acts on bytes of the protocol, where they lie when nothing was kept before them.
pub(super) fn take_plain(
    socket: SocketId,
    connection: &mut Connection,
    services: &mut Services,
    bytes: &[u8],
) {
    if connection.input.is_empty() {
        let used = consume(socket, connection, services, bytes);
        connection.input.extend_from_slice(&bytes[used..]);
        return;
    }
    let seen = connection.input.len();
    connection.input.extend_from_slice(bytes);
    if connection.is_worth_parsing(seen, services) {
        consume_input(socket, connection, services);
    }
}

/// Parses what the connection has kept, and keeps the rest.
fn consume_input(socket: SocketId, connection: &mut Connection, services: &mut Services) {
    let mut input = std::mem::take(&mut connection.input);
    let used = consume(socket, connection, services, &input);
    if used < input.len() {
        input.drain(..used);
        connection.input = input;
    }
}
