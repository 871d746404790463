//! Deadlines: one running at a time, moved by a store, checked by the wheel.

use std::time::Duration;

use crate::base::Millis;
use crate::engine::{Engine, SocketId};
use crate::http::{Fault, Status};

use super::Connections;
use super::connection::{Connection, Reading, Sending, Waits};
use super::request::on_fault;
use crate::base::limits::LINGER_TIMEOUT;

impl<E: Engine> Connections<E> {
    /// The connection now waits for something else, from now on.
    pub(super) fn set_wait(&mut self, socket: SocketId, waits: Waits) {
        let settings = &self.services.settings;
        let timeout = match waits {
            Waits::ForFirstRequest | Waits::ForRest => settings.header_timeout,
            Waits::ForRequest => settings.keepalive_timeout,
            // Looked at twice: what the peer took is known only by asking.
            Waits::ForRoom => settings.send_timeout / 2,
            Waits::ForGoodbye => LINGER_TIMEOUT,
            Waits::ForAnswer => Duration::MAX,
        };
        let deadline = self.services.now.monotonic + timeout;
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        connection.waits = waits;
        connection.deadline = deadline;
        if deadline < connection.scheduled {
            connection.scheduled = deadline;
            self.wheel.schedule(socket.0, deadline);
        }
    }

    /// Sets the wait that follows from what the connection does. A wait for the rest of a request
    /// that already runs goes on: the whole request has one deadline.
    pub(super) fn settle_wait(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        let waits = connection.expected_wait();
        let goes_on = matches!(
            (connection.waits, waits),
            (Waits::ForRest, Waits::ForRest) | (Waits::ForFirstRequest, Waits::ForRequest)
        );
        if !goes_on {
            self.set_wait(socket, waits);
        }
    }

    pub(super) fn on_ticked(&mut self) {
        self.check_deadlines();
        self.resume_accepting();
        self.services.sweep_now_and_then();
    }

    fn check_deadlines(&mut self) {
        let now = self.services.now.monotonic;
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for id in due.drain(..) {
            let Some(connection) = self.table.get_mut(id) else {
                continue;
            };
            if now >= connection.deadline {
                connection.scheduled = Millis::NEVER;
                self.on_deadline(SocketId(id));
            } else {
                connection.scheduled = connection.deadline;
                if connection.deadline != Millis::NEVER {
                    self.wheel.schedule(id, connection.deadline);
                }
            }
        }
        self.due = due;
    }

    fn on_deadline(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        match connection.waits {
            Waits::ForRest if matches!(connection.reading, Reading::Head) => {
                // RFC 9110 §15.5.9: says why, and ends the connection.
                let fault = Fault::new(
                    Status::REQUEST_TIMEOUT,
                    "The request did not arrive in time.",
                );
                on_fault(connection, &mut self.services, fault);
                self.mark_dirty(socket);
            }
            Waits::ForRoom => self.check_progress(socket),
            // The wheel never fires for it; a task has bounds of its own.
            Waits::ForAnswer => {}
            Waits::ForFirstRequest | Waits::ForRequest | Waits::ForRest | Waits::ForGoodbye => {
                self.terminate(socket);
            }
        }
    }

    /// A slow reader may go on; one that has taken nothing since we last looked may not.
    fn check_progress(&mut self, socket: SocketId) {
        let progress = self.engine.send_progress(socket);
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        if progress == connection.send_progress {
            self.terminate(socket);
        } else {
            connection.send_progress = progress;
            self.set_wait(socket, Waits::ForRoom);
        }
    }
}

impl Connection {
    fn expected_wait(&self) -> Waits {
        match (&self.reading, self.sending) {
            (_, Sending::Batch | Sending::Room) => Waits::ForRoom,
            (_, Sending::ColdSlice(_)) | (Reading::Waiting(_), _) => Waits::ForAnswer,
            (Reading::Head, _) if self.input.is_empty() => Waits::ForRequest,
            (Reading::Head | Reading::Body(_), _) => Waits::ForRest,
            (Reading::Done, _) => Waits::ForGoodbye,
        }
    }
}
