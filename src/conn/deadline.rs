//! Deadlines: one running at a time, moved by a store, checked by the wheel.

use std::time::Duration;

use crate::base::Millis;
use crate::engine::{Engine, SocketId};
use crate::http::{Fault, Status};
use crate::proto::h1;

use super::Connections;
use super::connection::{Connection, Reading, Sending, WaitsFor};
use super::request::on_fault;
use crate::base::limits::LINGER_TIMEOUT;

impl<E: Engine> Connections<E> {
    /// The connection now waits for something else, from now on.
    pub(super) fn set_wait(&mut self, socket: SocketId, waits: WaitsFor) {
        let settings = &self.services.settings;
        let timeout = match waits {
            WaitsFor::FirstRequest | WaitsFor::Rest => settings.header_timeout,
            WaitsFor::Request => settings.keepalive_timeout,
            // Looked at twice: what the peer took is known only by asking.
            WaitsFor::Room => settings.send_timeout / 2,
            WaitsFor::Goodbye => LINGER_TIMEOUT,
            WaitsFor::Answer => Duration::MAX,
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
            (WaitsFor::Rest, WaitsFor::Rest) | (WaitsFor::FirstRequest, WaitsFor::Request)
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
            WaitsFor::Rest if matches!(connection.reading, Reading::Head) => {
                // RFC 9110 §15.5.9: says why, and ends the connection.
                let fault = Fault::new(
                    Status::REQUEST_TIMEOUT,
                    "The request did not arrive in time.",
                );
                let head_only = h1::asks_for_head(&connection.input);
                on_fault(connection, &mut self.services, fault, head_only);
                self.mark_dirty(socket);
            }
            WaitsFor::Room => self.check_progress(socket),
            // The wheel never fires for it; a task has bounds of its own.
            WaitsFor::Answer => {}
            WaitsFor::FirstRequest | WaitsFor::Request | WaitsFor::Rest | WaitsFor::Goodbye => {
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
            self.set_wait(socket, WaitsFor::Room);
        }
    }
}

impl Connection {
    fn expected_wait(&self) -> WaitsFor {
        match (&self.reading, self.sending) {
            (_, Sending::Batch | Sending::Room) => WaitsFor::Room,
            (_, Sending::ColdSlice(_)) | (Reading::Waiting(_), _) => WaitsFor::Answer,
            (Reading::Head, _) if self.input.is_empty() => WaitsFor::Request,
            (Reading::Head | Reading::Body(_), _) => WaitsFor::Rest,
            (Reading::Done, _) => WaitsFor::Goodbye,
        }
    }
}
