//! Deadlines: one running at a time, moved by a store, checked by the wheel.

use std::time::Duration;

use crate::base::Millis;
use crate::engine::{Engine, SocketId};
use crate::http::{Fault, Status};
use crate::proto::h1;
use crate::proto::h2::ErrorCode;

use super::Connections;
use super::connection::{Connection, Reading, Sending, WaitsFor};
use super::request::on_fault;
use crate::base::limits::LINGER_TIMEOUT;

impl<E: Engine> Connections<E> {
    /// The connection now waits for something else, from now on.
    pub(super) fn set_wait(&mut self, socket: SocketId, waits: WaitsFor) {
        let settings = &self.services.settings;
        let timeout = match waits {
            WaitsFor::Handshake => settings.handshake_timeout,
            WaitsFor::FirstRequest | WaitsFor::Rest => settings.header_timeout,
            WaitsFor::Request => settings.keepalive_timeout,
            // Looked at twice: what the peer took is known only by asking.
            WaitsFor::Room | WaitsFor::Window => settings.send_timeout / 2,
            WaitsFor::Goodbye => LINGER_TIMEOUT,
            WaitsFor::Body => settings.body_timeout,
            WaitsFor::Answer => Duration::MAX,
        };
        let mut deadline = self.services.now.monotonic + timeout;
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        if waits == WaitsFor::Body {
            deadline = connection.body_deadline().unwrap_or(deadline);
        }
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
            (WaitsFor::Handshake, WaitsFor::Handshake)
                | (WaitsFor::Rest, WaitsFor::Rest)
                | (WaitsFor::Body, WaitsFor::Body)
                | (WaitsFor::Window, WaitsFor::Window)
                | (WaitsFor::Goodbye, WaitsFor::Goodbye)
                | (WaitsFor::FirstRequest, WaitsFor::Request)
        );
        if !goes_on {
            self.set_wait(socket, waits);
        }
    }

    /// The same, from now on.
    pub(super) fn wait_as_expected(&mut self, socket: SocketId) {
        if let Some(connection) = self.table.get_mut(socket.0) {
            let waits = connection.expected_wait();
            self.set_wait(socket, waits);
        }
    }

    pub(super) fn on_ticked(&mut self) {
        self.check_deadlines();
        self.begin_handshake_round();
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
            WaitsFor::Body => self.on_body_deadline(socket),
            WaitsFor::Room => self.check_progress(socket),
            WaitsFor::Window => self.check_window(socket),
            WaitsFor::Request | WaitsFor::FirstRequest
                if connection.secure.is_some()
                    || matches!(connection.reading, Reading::Streams(_)) =>
            {
                self.say_goodbye(socket);
            }
            WaitsFor::Rest | WaitsFor::Goodbye
                if matches!(connection.reading, Reading::Streams(_)) =>
            {
                self.end_streams(socket, ErrorCode::NO_ERROR);
            }
            // The wheel never fires for it; a task has bounds of its own.
            WaitsFor::Answer => {}
            WaitsFor::Handshake
            | WaitsFor::FirstRequest
            | WaitsFor::Request
            | WaitsFor::Rest
            | WaitsFor::Goodbye => self.terminate(socket),
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

impl<E: Engine> Connections<E> {
    /// The same for a window of HTTP/2 that the peer keeps shut.
    fn check_window(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        let Reading::Streams(streams) = &connection.reading else {
            return;
        };
        let progress = streams.content_bytes();
        if progress == connection.send_progress {
            self.end_streams(socket, ErrorCode::ENHANCE_YOUR_CALM);
        } else {
            connection.send_progress = progress;
            self.set_wait(socket, WaitsFor::Window);
        }
    }

    /// An idle connection ends in order: the peer hears that nothing was lost.
    fn say_goodbye(&mut self, socket: SocketId) {
        self.end_streams(socket, ErrorCode::NO_ERROR);
        if let Some(connection) = self.table.get_mut(socket.0) {
            connection.linger = true;
            connection.close_after_output = true;
            self.mark_dirty(socket);
        }
    }
}

impl Connection {
    fn expected_wait(&self) -> WaitsFor {
        if self
            .secure
            .as_ref()
            .is_some_and(|secure| secure.is_handshaking())
        {
            return WaitsFor::Handshake;
        }
        match (&self.reading, self.sending) {
            (_, Sending::Batch | Sending::Room) => WaitsFor::Room,
            (_, Sending::ColdSlice(_)) => WaitsFor::Answer,
            _ if self.body_deadline().is_some() => WaitsFor::Body,
            (Reading::Waiting(_), _) => WaitsFor::Answer,
            (Reading::Head, _) if self.input.is_empty() => WaitsFor::Request,
            (Reading::Streams(streams), _) if streams.has_tasks() => WaitsFor::Answer,
            (Reading::Streams(streams), _) if streams.wait_for_window() => WaitsFor::Window,
            (Reading::Streams(streams), _) if streams.is_answering() => WaitsFor::Answer,
            (Reading::Streams(streams), _) if streams.wait_for_goodbye() => WaitsFor::Goodbye,
            (Reading::Streams(streams), _) if streams.are_idle() && self.input.is_empty() => {
                WaitsFor::Request
            }
            (Reading::Streams(_), _) => WaitsFor::Rest,
            (Reading::Head | Reading::Body(_), _) => WaitsFor::Rest,
            (Reading::Done, _) => WaitsFor::Goodbye,
        }
    }
}
