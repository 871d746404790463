//! Who has come: asked once for a connection, where somebody wants to know.

use std::sync::Arc;

use crate::access::gate::Peer;
use crate::engine::{Engine, SocketId};

use super::Connections;
use super::connection::Connection;

impl<E: Engine> Connections<E> {
    /// A connection was accepted.
    pub(super) fn meet(&mut self, socket: SocketId) {
        if let Some(rate) = self.services.settings.send_rate {
            self.engine.set_send_rate(socket, rate);
        }
        if self.services.reception.is_none() {
            return;
        }
        let peer = Peer {
            address: self.engine.peer_address(socket),
            certificate: None,
        };
        if let Some(connection) = self.table.get_mut(socket.0) {
            connection.peer = Some(Box::new(peer));
        }
    }
}

impl Connection {
    /// Its certificate was verified.
    pub(super) fn note_certificate(&mut self, subject: Option<&str>) {
        if let (Some(peer), Some(subject)) = (&mut self.peer, subject) {
            peer.certificate = Some(Arc::from(subject));
        }
    }
}
