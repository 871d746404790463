//! The last minutes of a connection: terminate, join, close.
//!
//! The kernel may still own our buffers when we decide to leave. So nothing is closed or freed
//! while a send is in flight: we mark, cancel, wait for it, then go. Receive buffers belong to the
//! engine; an armed receive ends with its socket.

use crate::engine::{Engine, SocketId};

use super::Connections;
use super::connection::{Item, Life, Reading, Sending, WaitsFor};

impl<E: Engine> Connections<E> {
    /// Everything was answered. Ends at once when the peer cannot be sending any more; else says
    /// goodbye slowly, because closing with unread bytes resets the connection, and the peer would
    /// lose our last answer (RFC 9112 §9.6).
    pub(super) fn finish(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        if connection.life != Life::Open {
            return;
        }
        if let Some(secure) = &mut connection.secure
            && secure.say_goodbye()
        {
            connection.close_after_output = true;
            // The peer's own close_notify is on its way, or will be.
            connection.linger = true;
            self.mark_dirty(socket); // Comes here again once it is out.
            return;
        }
        if !connection.linger || connection.peer_done {
            self.terminate(socket);
            return;
        }
        connection.life = Life::Lingering;
        self.services.abandon_reading(connection);
        connection.drained_bytes = 0;
        connection.input = Vec::new();
        self.engine.shutdown_write(socket);
        self.set_wait(socket, WaitsFor::Goodbye);
        self.receive_if_wanted(socket);
    }

    /// Decides that this connection ends now. A second call changes nothing.
    pub(super) fn terminate(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        if connection.life == Life::Terminating {
            return;
        }
        connection.life = Life::Terminating;
        self.services.abandon_reading(connection);
        if let Sending::ColdSlice(task) = connection.sending {
            self.services.executor.cancel(task);
            connection.sending = Sending::Idle;
        }
        let output = std::mem::take(&mut connection.output);
        for item in output
            .queue
            .into_iter()
            .chain(output.filling.map(Item::Batch))
        {
            if let Item::Batch(batch) = item {
                self.services.give_batch(batch);
            }
        }
        if connection.sending != Sending::Idle {
            self.engine.cancel(socket); // What is in flight completes and leads to `join`.
        }
        self.join(socket);
    }

    /// Goes on once nothing is in flight.
    pub(super) fn join(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get(socket.0) else {
            return;
        };
        assert!(
            connection.life == Life::Terminating,
            "only a terminating connection joins"
        );
        if connection.sending == Sending::Idle {
            self.close(socket);
        }
    }

    fn close(&mut self, socket: SocketId) {
        let mut connection = self.table.remove(socket.0).expect("joined a moment ago");
        if let Some(secure) = &mut connection.secure {
            self.on_handshake_ended(secure);
        }
        self.wheel.cancel(socket.0);
        self.engine.close(socket);
        self.on_connection_closed(connection.listener);
    }

    /// Begins to shut down: no new connections, no further requests; idle connections end now.
    pub fn drain(&mut self) {
        self.draining = true;
        self.services.draining = true;
        self.stop_listening();
        for id in self.table.ids().collect::<Vec<_>>() {
            self.drain_streams(SocketId(id));
            self.finish_if_idle(SocketId(id));
        }
    }

    /// Ends a connection on which nothing is asked and nothing is owed.
    fn finish_if_idle(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        // HTTP/2 says goodbye in two steps (`drain_streams`); its last GOAWAY makes it drained.
        let may_go = match &connection.reading {
            Reading::Streams(streams) => streams.is_drained(),
            _ => true,
        };
        if may_go && connection.is_idle() && connection.life == Life::Open {
            // A request may be under way to us: FIN tells its sender that it was not read.
            connection.linger = true;
            self.finish(socket);
        }
    }

    /// A connection has done what it was busy with. While draining, that was the last it did, also
    /// when its answer was begun before and did not say so.
    pub(super) fn on_done(&mut self, socket: SocketId) {
        self.settle_wait(socket);
        if self.draining {
            self.finish_if_idle(socket);
        }
    }

    /// True when all that was begun has ended.
    pub fn is_drained(&self) -> bool {
        self.table.is_empty() && self.listeners_are_closed() && self.services.pending() == 0
    }

    /// Ends every connection now, wherever it stands.
    pub fn terminate_all(&mut self) {
        self.draining = true;
        self.services.draining = true;
        self.stop_listening();
        for id in self.table.ids().collect::<Vec<_>>() {
            self.terminate(SocketId(id));
        }
    }
}
