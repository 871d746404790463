//! The life of a connection: accept, pump bytes, deadlines, back-pressure, the closing ladder.
//!
//! The conductor of the house: it takes completions from the engine, lets `proto` parse, `route`
//! choose and `handler` answer, and queues what they made. Those rooms do not know each other, and
//! none of them knows a socket.

mod accept;
mod answer;
mod blocks;
mod close;
mod connection;
mod deadline;
mod inbound;
mod output;
mod peer;
mod receive;
mod reception;
mod request;
mod secure;
mod services;
mod slow;
mod stream_body;
mod stream_inbound;
mod stream_request;
mod streamed;
mod streams;
mod visit;

pub use accept::{ConnectionCount, ListenerKind};
pub use reception::{InFlight, Metrics, ReceptionSettings};
pub use services::{ConnectionSettings, Event, Services};

use std::collections::VecDeque;

use crate::base::{Id, Table, Wheel};
use crate::engine::{Completion, Engine, SocketId};

use accept::Listener;
use connection::Connection;

/// All connections of one worker, and the engine that carries them.
pub struct Connections<E: Engine> {
    engine: E,
    table: Table<Connection>,
    services: Services,
    listeners: Vec<Listener>,
    wheel: Wheel,
    /// Connections with something to send, each once.
    dirty: Vec<SocketId>,
    /// Connections whose receive ended for want of buffers.
    starved: Vec<SocketId>,
    /// Memory of [`Connections::check_deadlines`], kept.
    due: Vec<Id>,
    /// TLS handshakes of this round (a tick) under way, and connections that wait to begin theirs.
    handshakes: usize,
    handshake_round: u64,
    waiting_handshakes: VecDeque<SocketId>,
    /// No new connections, and no further request on those that are there.
    draining: bool,
    ticking: bool,
}

impl<E: Engine> Connections<E> {
    /// No connections yet, and no listeners.
    pub fn new(engine: E, services: Services) -> Self {
        Connections {
            engine,
            table: Table::new(),
            services,
            listeners: Vec::new(),
            wheel: Wheel::new(),
            dirty: Vec::new(),
            starved: Vec::new(),
            due: Vec::new(),
            handshakes: 0,
            handshake_round: 0,
            waiting_handshakes: VecDeque::new(),
            draining: false,
            ticking: false,
        }
    }

    /// The engine.
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// What requests are answered with.
    pub fn services_mut(&mut self) -> &mut Services {
        &mut self.services
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True when there is no connection.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// True when a connection has something to send at once.
    pub fn has_output(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Acts on one completion. Runs after all completions of a turn were collected.
    pub fn on_completion(&mut self, completion: Completion) {
        match completion {
            Completion::Received { socket, received } => self.on_received(socket, received),
            Completion::Sent {
                socket,
                batch,
                result,
            } => self.on_sent(socket, batch, result),
            Completion::ReceiveEnded { socket, end } => self.on_receive_ended(socket, end),
            Completion::Accepted { listener, socket } => self.on_accepted(listener, socket),
            Completion::AcceptStopped { listener, error } => {
                self.on_accept_stopped(listener, error);
            }
            Completion::Writable { socket } => self.on_writable(socket),
            Completion::Finished { operation, outcome } => {
                self.services.io.on_finished(operation, outcome);
            }
            Completion::Ticked => self.on_ticked(),
            Completion::Woken => {} // The worker looks into its mailbox every turn.
        }
    }

    /// The end of a turn: what the batch has made goes out, what it has freed is used again.
    pub fn finish_turn(&mut self) {
        self.services.io.submit(&mut self.engine);
        self.flush_dirty();
        self.rearm_starved();
        let ticking = !self.table.is_empty() || self.has_paused_listener() || self.draining;
        if ticking != self.ticking {
            self.ticking = ticking;
            self.engine.set_ticking(ticking);
        }
    }
}
