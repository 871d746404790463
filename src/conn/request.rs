//! HTTP/1: one request after the other, parsed, answered, its body thrown away.

use std::borrow::Cow;

use bytes::Bytes;

use crate::access::gate::Found;
use crate::base::limits::{COPY_BODY_BYTES_MAX, DRAIN_BYTES_MAX};
use crate::engine::{Engine, SendBatch, SocketId};
use crate::exchange::{Answer, AnswerHead, Body, Part};
use crate::handler::errors;
use crate::handler::files::Served;
use crate::http::{
    DateField, Fault, FieldForm, HeadTemplate, OwnedRequestHead, RequestHead, Version,
};
use crate::proto::h1::{self, Head, HeadStorage, ParsedHead, Persistence, parse_head};
use crate::proto::h2::{self, StreamId};
use crate::record::CacheState;

use super::Connections;
use super::answer::{Question, Reply, reply};
use super::connection::{Connection, Output, Reading, Waiting};
use super::inbound::{Inbound, content_for};
use super::reception::Overloaded;
use super::services::{Event, Services};
use super::slow::{spawn_aside, spawn_slow};
use super::streams::{begin_streams, consume_frames};
use super::visit::{Again, Left, Made, Outcome, Visit, formed};

/// Answers what can be answered of `bytes`; returns how many of them are done with.
pub(super) fn consume(
    socket: SocketId,
    connection: &mut Connection,
    services: &mut Services,
    bytes: &[u8],
) -> usize {
    let mut used = 0;
    while used < bytes.len() {
        let rest = &bytes[used..];
        match &mut connection.reading {
            Reading::Head if connection.output.is_full() => break,
            Reading::Head => {
                let mut storage = HeadStorage::new();
                match parse_head(rest, &mut storage, &services.limits) {
                    ParsedHead::Complete(head) => {
                        used += head.len;
                        connection.is_fresh = false;
                        on_request(socket, connection, services, &head);
                    }
                    ParsedHead::Partial => break,
                    ParsedHead::Invalid(_) if may_begin_http2(connection, services, rest) => {
                        if rest.len() < h2::PREFACE.len() {
                            break;
                        }
                        begin_streams(connection, services);
                    }
                    ParsedHead::Invalid(fault) => {
                        on_fault(connection, services, fault, h1::asks_for_head(rest));
                    }
                }
            }
            Reading::Body(reader) => match reader.handle_input(rest) {
                Ok(step) => {
                    used += step.consumed;
                    connection.drained_bytes += step.consumed as u64;
                    if step.ended {
                        connection.reading = Reading::Head;
                    } else if connection.drained_bytes > DRAIN_BYTES_MAX {
                        stop_reading(connection);
                    } else if step.consumed == 0 {
                        break;
                    }
                }
                // Its request was answered already; the next one cannot be found any more.
                Err(_) => stop_reading(connection),
            },
            Reading::Waiting(waiting) => match waiting.feed(rest, services) {
                0 => break,
                fed => used += fed,
            },
            Reading::Streams(_) => {
                let consumed = consume_frames(socket, connection, services, rest);
                used += consumed;
                break;
            }
            // Sent behind the last request that we answer: closing at once would reset the answer.
            Reading::Done => {
                connection.linger = true;
                used = bytes.len();
            }
        }
    }
    used
}

/// Whether the client begins with HTTP/2 right away (RFC 9113 §3.3), as far as its bytes go.
#[cold]
fn may_begin_http2(connection: &Connection, services: &Services, bytes: &[u8]) -> bool {
    let len = bytes.len().min(h2::PREFACE.len());
    connection.is_fresh && services.settings.h2.is_some() && bytes[..len] == h2::PREFACE[..len]
}

/// Nothing more will be understood on this connection: it ends once its answers are out.
fn stop_reading(connection: &mut Connection) {
    connection.reading = Reading::Done;
    connection.close_after_output = true;
    connection.linger = true;
}

/// Answers what cannot be understood; without content when it was going to be HEAD.
pub(super) fn on_fault(
    connection: &mut Connection,
    services: &mut Services,
    fault: Fault,
    head_only: bool,
) {
    let answer = errors::error_answer(fault.status, fault.reason, head_only);
    let version = Version::Http11; // Of no matter: the answer has a length.
    let request = RequestHead::unread(version);
    let (peer, form) = (connection.peer(), FieldForm::H1);
    let (is_secure, is_told) = (connection.is_secure, !connection.is_for_metrics);
    let mut visit = services.begin_visit(&request, peer, (is_secure, form));
    if let Some(visit) = &mut visit {
        visit.is_told = is_told;
    }
    let answer = formed(answer, &request.fields, visit.as_deref_mut(), form);
    let outcome = Outcome::of(&answer, CacheState::Bypass);
    let how = (version, Persistence::Close);
    write_answer(connection, services, answer, how, visit.as_deref());
    services.end_visit(visit, &request, outcome);
    stop_reading(connection);
}

fn on_request(
    socket: SocketId,
    connection: &mut Connection,
    services: &mut Services,
    head: &Head<'_>,
) {
    let arrived = Arrived {
        request: &head.request,
        body: Inbound::of(head),
        persistence: persistence_of(head, services.draining),
    };
    answer(socket, connection, services, arrived, None);
}

/// A request, and what comes behind it on its connection.
struct Arrived<'a> {
    request: &'a RequestHead<'a>,
    body: Option<Inbound>,
    /// If nothing of the body stands in the way.
    persistence: Persistence,
}

/// Answers a request at once, or lets the slow lane do so. `again`: it was asked about before.
fn answer(
    socket: SocketId,
    connection: &mut Connection,
    services: &mut Services,
    arrived: Arrived<'_>,
    mut again: Option<Again>,
) {
    let Arrived {
        request,
        mut body,
        persistence: wanted,
    } = arrived;
    let persistence = persistence_at(body.as_ref(), wanted);
    let is_secure = connection.is_secure;
    let peer = connection.peer();
    let form = FieldForm::H1;
    let flight = again.as_mut().and_then(Again::take_flight);
    let (mut visit, found) = services.visit(request, peer, (is_secure, form), again);
    let question = Question {
        request,
        peer,
        https_port: services.settings.https_port.filter(|_| !is_secure),
        form,
        found,
        is_for_metrics: connection.is_for_metrics,
        is_draining: services.draining,
    };
    let reception = services.reception.as_deref_mut().zip(visit.as_deref_mut());
    let (reply, site) = reply(&mut services.sites, reception, services.now, question);
    let (made, aside) = match reply {
        Reply::Served(Served::Hit { head, body, aside }) if !head.has_usual_text() => {
            let fields = match &visit {
                Some(visit) => &visit.fields,
                None => services.tls_fields.get(is_secure, form),
            };
            let (out, spare) = (&mut connection.output, &mut services.spare_batches);
            let spare = || spare.pop().unwrap_or_default();
            let besides = (fields, &services.date);
            write_hit(out, spare, (head, body), besides, persistence);
            (Made::Written(Outcome::of_hit(head, body)), aside)
        }
        Reply::Served(Served::Hit { head, body, aside }) => {
            let answer = errors::page_again(head, body);
            (Made::Ready(answer, CacheState::Hit), aside)
        }
        Reply::Served(Served::Answer { answer, aside }) => {
            (Made::Ready(answer, CacheState::Hit), aside)
        }
        Reply::Made(answer) => (Made::Ready(answer, CacheState::Bypass), None),
        Reply::Served(Served::Slow(_)) | Reply::Slow(_) => {
            let slow = reply.into_slow().expect("it is slow");
            match services.take_off(flight) {
                Ok(flight) => {
                    let content = content_for(&slow, body.as_mut(), socket, services);
                    let slow = (slow, content, visit.as_deref());
                    let task = spawn_slow((socket, None), services, site, request, slow);
                    connection.reading = Reading::Waiting(Waiting {
                        task,
                        version: request.version,
                        persistence: wanted,
                        left: Left::of(request, visit, flight),
                        body: body.map(Box::new),
                    });
                    return;
                }
                Err(Overloaded) => (Made::busy(request), None),
            }
        }
    };
    if let (Some(aside), Some(site)) = (aside, site) {
        spawn_aside(services, site, aside, request.path);
    }
    settle(
        connection,
        services,
        request,
        (made, visit),
        (persistence, body),
    );
}

/// Writes what is not written yet, and lets the connection go on.
fn settle(
    connection: &mut Connection,
    services: &mut Services,
    request: &RequestHead<'_>,
    (made, mut visit): (Made, Option<Box<Visit>>),
    (mut persistence, body): (Persistence, Option<Inbound>),
) {
    let outcome = match made {
        Made::Written(outcome) => outcome,
        Made::Ready(answer, cache) => {
            let form = FieldForm::H1;
            let answer = formed(answer, &request.fields, visit.as_deref_mut(), form);
            let outcome = Outcome::of(&answer, cache);
            let how = (request.version, persistence);
            persistence = write_answer(connection, services, answer, how, visit.as_deref());
            outcome
        }
    };
    services.end_visit(visit, request, outcome);
    after_answer(connection, persistence, body);
}

/// Writes an answer from memory.
#[inline]
fn write_hit(
    output: &mut Output,
    spare: impl FnOnce() -> Box<SendBatch>,
    (head, content): (&HeadTemplate, &Bytes),
    (fields, date): (&[u8], &DateField),
    persistence: Persistence,
) {
    let batch = output.filling_or(spare);
    let before = batch.len();
    h1::write_template(batch.own_mut(), head, fields, date, persistence);
    if content.len() <= COPY_BODY_BYTES_MAX {
        batch.push(content);
    } else {
        batch.push_shared(content.clone());
    }
    let written = batch.len() - before;
    output.queued_bytes += written;
}

/// What comes after an answered request: its body, the next request, or the end.
fn after_answer(connection: &mut Connection, persistence: Persistence, body: Option<Inbound>) {
    connection.drained_bytes = 0;
    if persistence == Persistence::Close {
        connection.linger = body.is_some() || connection.linger;
        connection.reading = Reading::Done;
        connection.close_after_output = true;
        return;
    }
    let rest = body.map(Inbound::into_reader);
    connection.reading = rest.map_or(Reading::Head, Reading::Body);
}

/// Whether the connection goes on after this request (RFC 9112 §9.3).
fn persistence_of(head: &Head<'_>, draining: bool) -> Persistence {
    if !head.keep_alive || draining {
        Persistence::Close
    } else if head.request.version == Version::Http10 {
        Persistence::KeepAlive
    } else {
        Persistence::Implied
    }
}

/// The same for an answer that comes while `body` is still to come.
#[inline]
fn persistence_at(body: Option<&Inbound>, wanted: Persistence) -> Persistence {
    body.map_or(wanted, |body| body.persistence(wanted))
}

/// Writes an answer into the connection's output; returns what it says about the connection.
pub(super) fn write_answer(
    connection: &mut Connection,
    services: &mut Services,
    answer: Answer,
    (version, mut persistence): (Version, Persistence),
    visit: Option<&Visit>,
) -> Persistence {
    let mut fields = Cow::Borrowed(match visit {
        Some(visit) => &visit.fields[..],
        None => services.tls_fields.get(connection.is_secure, FieldForm::H1),
    });
    let spare = &mut services.spare_batches;
    let batch = connection
        .output
        .filling_or(|| spare.pop().unwrap_or_default());
    let before = batch.len();
    // RFC 9112 §6.1: older clients do not know chunks.
    let is_chunked = version != Version::Http10;
    if let Body::Stream(_) = &answer.body {
        if is_chunked {
            fields.to_mut().extend_from_slice(h1::CHUNKED);
        } else {
            persistence = Persistence::Close; // Which tells the end of the body (§6.3).
        }
    }
    let (out, date) = (batch.own_mut(), &services.date);
    match &answer.head {
        AnswerHead::Template(head) => h1::write_template(out, head, &fields, date, persistence),
        AnswerHead::Fresh(head) => h1::write_head(out, head, &fields, date, persistence),
    }
    let written = batch.len() - before;
    let output = &mut connection.output;
    output.queued_bytes += written;
    let mut spare = || spare.pop().unwrap_or_default();
    match answer.body {
        Body::Empty => {}
        Body::Bytes(bytes) => output.push_bytes(bytes, spare),
        Body::File(range) => output.push_file(range),
        Body::Parts(parts) => {
            for part in parts.into_pieces() {
                match part {
                    Part::Bytes(bytes) => output.push_bytes(bytes, &mut spare),
                    Part::File(range) => output.push_file(range),
                }
            }
        }
        Body::Stream(body) => output.push_stream(body, is_chunked),
    }
    persistence
}

impl<E: Engine> Connections<E> {
    /// Takes in what a slow-lane task has made.
    pub fn on_event(&mut self, event: Event) {
        match event {
            Event::Loaded {
                socket,
                stream,
                site,
                loaded,
            } => {
                let now = self.services.now;
                if let Some(remember) = loaded.remember {
                    self.services.sites.remember(site, remember, now);
                }
                if let Some((aside, path)) = loaded.aside {
                    spawn_aside(&mut self.services, site, aside, &path);
                }
                if let Body::Stream(body) = &loaded.answer.body {
                    self.services.listen_to(body, socket, stream);
                }
                if let Some(rest) = loaded.rest {
                    self.services.executor.spawn(rest);
                }
                self.on_made(socket, stream, |_| loaded.answer);
            }
            Event::Known { site, remember } => {
                let now = self.services.now;
                self.services.sites.remember(site, remember, now);
            }
            Event::Found {
                socket,
                stream,
                head,
                found,
            } => self.on_found((socket, stream), &head, found),
            Event::Busy { socket, stream } => {
                self.on_made(socket, stream, errors::busy_answer);
            }
            Event::Lost { socket, stream } => {
                self.services.count_panic();
                self.on_made(socket, stream, errors::failed_answer);
            }
            Event::Slice {
                socket,
                stream,
                slice,
                result,
            } => match stream {
                Some(stream) => self.on_stream_slice(socket, stream, slice, result),
                None => self.on_slice(socket, slice, result),
            },
            Event::BodyReady { socket, stream } => self.on_body_ready(socket, stream),
            Event::BodyWanted { socket, stream } => self.on_body_wanted(socket, stream),
        }
    }

    fn on_made(
        &mut self,
        socket: SocketId,
        stream: Option<StreamId>,
        answer: impl FnOnce(bool) -> Answer,
    ) {
        match stream {
            Some(stream) => self.on_stream_answer(socket, stream, answer),
            None => self.finish_waiting(socket, answer),
        }
    }

    fn finish_waiting(&mut self, socket: SocketId, answer: impl FnOnce(bool) -> Answer) {
        let Some((connection, services, waiting)) = self.take_waiting(socket) else {
            return;
        };
        let Waiting {
            version,
            persistence,
            mut left,
            body,
            ..
        } = waiting;
        let answer = left.form(answer(left.head_only), FieldForm::H1);
        let outcome = Outcome::of(&answer, CacheState::Miss);
        // The end of the server may have begun since the request came.
        let wanted = match services.draining {
            true => Persistence::Close,
            false => persistence,
        };
        let how = (version, persistence_at(body.as_deref(), wanted));
        let persistence = write_answer(connection, services, answer, how, left.visit.as_deref());
        services.end_left(left, outcome);
        after_answer(connection, persistence, body.map(|body| *body));
        self.resume_input(socket);
        self.receive_if_wanted(socket);
    }

    /// `None` where a connection is terminating: dropping its task has brought us here.
    fn take_waiting(
        &mut self,
        socket: SocketId,
    ) -> Option<(&mut Connection, &mut Services, Waiting)> {
        let connection = self.table.get_mut(socket.0)?;
        match std::mem::replace(&mut connection.reading, Reading::Done) {
            Reading::Waiting(waiting) => Some((connection, &mut self.services, waiting)),
            other => {
                connection.reading = other;
                None
            }
        }
    }

    /// What had to be found out about a request is known now.
    fn on_found(
        &mut self,
        (socket, stream): (SocketId, Option<StreamId>),
        head: &OwnedRequestHead,
        found: Found,
    ) {
        let list = head.list();
        let request = head.borrow(&list);
        if let Some(stream) = stream {
            return self.on_stream_found(socket, stream, &request, found);
        }
        let Some((connection, services, waiting)) = self.take_waiting(socket) else {
            return;
        };
        let arrived = Arrived {
            request: &request,
            body: waiting.body.map(|body| *body),
            persistence: waiting.persistence,
        };
        let again = Again::new(found, waiting.left);
        answer(socket, connection, services, arrived, Some(again));
        self.resume_input(socket);
        self.receive_if_wanted(socket);
    }
}
