//! New connections, and what happens when there are too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::base::Millis;

use crate::engine::{Engine, Errno, ListenerId, SocketId};
use crate::handler::errors;
use crate::http::{Status, Version};
use crate::proto::h1::Persistence;

use super::Connections;
use super::connection::{Connection, Reading, WaitsFor};
use super::request::write_answer;
use super::secure::Secure;

/// Waiting connections that are told to go when the process is out of descriptors, at one time.
const SHED_MAX: usize = 64;
/// Between two warnings that a listener cannot accept.
const WARN_PAUSE: Duration = Duration::from_secs(10);

/// How many connections all workers have together, and how many they may have.
#[derive(Clone, Debug)]
pub struct ConnectionCount {
    open: Arc<AtomicUsize>,
    max: usize,
}

impl ConnectionCount {
    /// Shared by all workers of a server.
    pub fn new(max: usize) -> ConnectionCount {
        ConnectionCount {
            open: Arc::default(),
            max,
        }
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn is_full(&self) -> bool {
        self.open() >= self.max
    }

    fn add(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is spoken on a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// HTTP as it is.
    Plain,
    /// HTTP over TLS.
    Tls,
    /// HTTP as it is, about counters alone.
    Metrics,
}

/// One listener of this worker.
pub(super) struct Listener {
    id: ListenerId,
    kind: ListenerKind,
    count: ConnectionCount,
    state: Accepting,
    /// Until then the operator has been told that accepting fails.
    quiet_until: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    /// The engine accepts.
    Armed,
    /// Told to stop; the engine's word is awaited.
    Stopping,
    /// Stopped for want of descriptors or because there are enough connections; tried again at
    /// the next tick.
    Paused,
    /// Stopped for good.
    Closed,
}

impl<E: Engine> Connections<E> {
    /// Starts accepting on a listening socket.
    pub fn listen(
        &mut self,
        listener: std::os::fd::OwnedFd,
        kind: ListenerKind,
        count: ConnectionCount,
    ) {
        let id = self.engine.add_listener(listener);
        assert!(
            id.0 as usize == self.listeners.len(),
            "listeners are numbered in order"
        );
        self.engine.accept(id);
        self.listeners.push(Listener {
            id,
            kind,
            count,
            state: Accepting::Armed,
            quiet_until: Millis::default(),
        });
    }

    pub(super) fn on_accepted(&mut self, listener: ListenerId, socket: SocketId) {
        let state = &mut self.listeners[listener.0 as usize];
        let surplus = state.count.is_full();
        state.count.add();
        if state.count.is_full() && state.state == Accepting::Armed {
            state.state = Accepting::Stopping;
            self.engine.stop_accepting(listener);
        }
        let kind = state.kind;
        let mut connection = Connection::new(listener);
        connection.is_for_metrics = kind == ListenerKind::Metrics;
        if kind == ListenerKind::Tls {
            connection.is_secure = true;
            connection.secure = Some(Secure::new());
        }
        self.table.insert(socket.0, connection);
        let may_stay = self.meet(socket);
        let waits = match kind {
            ListenerKind::Plain | ListenerKind::Metrics => WaitsFor::FirstRequest,
            ListenerKind::Tls => WaitsFor::Handshake,
        };
        self.set_wait(socket, waits);
        // Nothing can be said before the handshake, and a surplus one would be dear.
        if self.draining || !may_stay || surplus && kind == ListenerKind::Tls {
            self.terminate(socket);
        } else if surplus {
            self.refuse(socket);
        } else if kind == ListenerKind::Tls {
            self.begin_handshake(socket);
        } else {
            self.receive(socket);
        }
    }

    /// Connections that came in one batch with the last that may stay hear why they may not.
    fn refuse(&mut self, socket: SocketId) {
        let answer = errors::error_answer(
            Status::SERVICE_UNAVAILABLE,
            "The server has as many connections as it may have.",
            false,
        );
        let connection = self.table.get_mut(socket.0).expect("just inserted");
        connection.reading = Reading::Done;
        connection.close_after_output = true;
        connection.linger = true;
        write_answer(
            connection,
            &mut self.services,
            answer,
            (Version::Http11, Persistence::Close),
            None,
        );
        self.mark_dirty(socket);
        self.receive(socket);
    }

    pub(super) fn on_accept_stopped(&mut self, listener: ListenerId, error: Option<Errno>) {
        let state = &mut self.listeners[listener.0 as usize];
        if let Some(errno) = error {
            let error = std::io::Error::from(errno);
            let remedy = match errno.0 {
                libc::EMFILE | libc::ENFILE => {
                    "; raise the limit of open files (ulimit -n 65536) or lower --max-connections"
                }
                _ => "",
            };
            let now = self.services.now.monotonic;
            if now >= state.quiet_until {
                state.quiet_until = now + WARN_PAUSE;
                log::warn!("cannot accept connections, trying again in a moment: {error}{remedy}");
            }
            for _ in 0..SHED_MAX {
                if !self.engine.shed(listener) {
                    break;
                }
            }
        }
        if self.draining {
            state.state = Accepting::Closed;
            self.engine.close_listener(listener);
        } else {
            state.state = Accepting::Paused;
        }
    }

    /// Listens again where there is room for more.
    pub(super) fn resume_accepting(&mut self) {
        for listener in &mut self.listeners {
            if listener.state == Accepting::Paused && !listener.count.is_full() {
                listener.state = Accepting::Armed;
                self.engine.accept(listener.id);
            }
        }
    }

    pub(super) fn has_paused_listener(&self) -> bool {
        self.listeners
            .iter()
            .any(|listener| listener.state == Accepting::Paused)
    }

    /// Takes no more connections.
    pub(super) fn stop_listening(&mut self) {
        for listener in &mut self.listeners {
            match listener.state {
                Accepting::Armed => self.engine.stop_accepting(listener.id),
                Accepting::Paused => self.engine.close_listener(listener.id),
                Accepting::Stopping | Accepting::Closed => continue,
            }
            let paused = listener.state == Accepting::Paused;
            listener.state = if paused {
                Accepting::Closed
            } else {
                Accepting::Stopping
            };
        }
    }

    /// True when no listener is with the engine any more.
    pub(super) fn listeners_are_closed(&self) -> bool {
        self.listeners
            .iter()
            .all(|listener| listener.state == Accepting::Closed)
    }

    /// A connection of `listener` is gone.
    pub(super) fn on_connection_closed(&mut self, listener: ListenerId) {
        let state = &mut self.listeners[listener.0 as usize];
        state.count.remove();
        if state.state == Accepting::Paused && !state.count.is_full() {
            state.state = Accepting::Armed;
            self.engine.accept(listener);
        }
    }
}
