//! Who has come: asked once for a connection, where somebody wants to know. Behind a proxy that
//! speaks the PROXY protocol, its header says who; it comes before everything else, TLS included.

use std::sync::Arc;

use crate::access::address::network_key;
use crate::access::connections::ConnectionsByAddress;
use crate::access::gate::Peer;
use crate::access::proxy_protocol::{ProxyHeader, parse_proxy_header};
use crate::engine::{Engine, Received, SocketId};
use crate::record::{Counters, Refusal};

use super::Connections;
use super::connection::Connection;
use super::reception::Reception;

/// A peer, and what it counts as while it is here.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) peer: Peer,
    /// What came of the header of the PROXY protocol, while it is not whole.
    header: Option<Vec<u8>>,
    counted: Option<(Arc<ConnectionsByAddress>, [u8; 16])>,
    counters: Arc<Counters>,
}

/// The peer may not stay.
struct Unwelcome;

impl Met {
    /// Counts it among the connections of its address, once that is known.
    fn count(&mut self, reception: &Reception) -> Result<(), Unwelcome> {
        let (Some((all, max)), Some(address)) = (&reception.per_address, self.peer.address) else {
            return Ok(());
        };
        let network = network_key(address);
        if !all.try_add(network, *max) {
            self.counters.on_refused(Refusal::Connections);
            return Err(Unwelcome);
        }
        self.counted = Some((Arc::clone(all), network));
        Ok(())
    }

    /// Takes in bytes of the header; how many of them belong to it, once it is whole.
    fn take(&mut self, bytes: &[u8], reception: &Reception) -> Result<Option<usize>, Unwelcome> {
        let Some(header) = &mut self.header else {
            return Ok(Some(0));
        };
        let before = header.len();
        header.extend_from_slice(bytes);
        match parse_proxy_header(header) {
            ProxyHeader::Partial => Ok(None),
            ProxyHeader::Invalid(why) => {
                log::debug!("a connection ends: {why}");
                Err(Unwelcome)
            }
            ProxyHeader::Complete { len, source } => {
                self.header = None;
                // Without a source the proxy speaks for itself.
                self.peer.address = source.or(self.peer.address);
                self.count(reception)?;
                Ok(Some(len.saturating_sub(before)))
            }
        }
    }
}

impl Drop for Met {
    fn drop(&mut self) {
        self.counters.on_closed();
        if let Some((all, network)) = self.counted.take() {
            all.remove(network);
        }
    }
}

impl<E: Engine> Connections<E> {
    /// A connection was accepted. False when it may not stay.
    pub(super) fn meet(&mut self, socket: SocketId) -> bool {
        if let Some(rate) = self.services.settings.send_rate {
            self.engine.set_send_rate(socket, rate);
        }
        let (Some(reception), Some(connection)) =
            (&self.services.reception, self.table.get_mut(socket.0))
        else {
            return true;
        };
        reception.counters.on_accepted();
        let peer = Peer {
            address: self.engine.peer_address(socket),
            certificate: None,
        };
        let awaits_header = reception.has_proxy_protocol && !connection.is_for_metrics;
        let is_welcome = !awaits_header || reception.takes_headers_of(&peer);
        let mut met = Box::new(Met {
            peer,
            header: awaits_header.then(Vec::new),
            counted: None,
            counters: Arc::clone(&reception.counters),
        });
        let is_counted = awaits_header || connection.is_for_metrics || met.count(reception).is_ok();
        connection.met = Some(met);
        is_welcome && is_counted
    }

    /// Takes the header of the PROXY protocol out of what came first. The bytes behind it, if any,
    /// begin there; `None`: there are none, or the connection ends.
    pub(super) fn take_proxy_header(
        &mut self,
        socket: SocketId,
        received: &Received,
    ) -> Option<usize> {
        let bytes = self.engine.bytes(received);
        let (connection, reception) = (
            self.table.get_mut(socket.0)?,
            self.services.reception.as_deref()?,
        );
        let met = connection.met.as_mut()?;
        match met.take(bytes, reception) {
            Ok(len) => len.filter(|len| *len < bytes.len()),
            Err(Unwelcome) => {
                self.terminate(socket);
                None
            }
        }
    }
}

impl Connection {
    /// Who it is, where somebody wants to know.
    pub(super) fn peer(&self) -> Option<&Peer> {
        self.met.as_ref().map(|met| &met.peer)
    }

    /// True until the header of the PROXY protocol has come.
    pub(super) fn awaits_proxy_header(&self) -> bool {
        self.met.as_ref().is_some_and(|met| met.header.is_some())
    }

    /// Its certificate was verified.
    pub(super) fn note_certificate(&mut self, subject: Option<&str>) {
        if let (Some(met), Some(subject)) = (&mut self.met, subject) {
            met.peer.certificate = Some(Arc::from(subject));
        }
    }
}
