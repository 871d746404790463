//! Requests on streams of HTTP/2: asked about, and answered into the connection's batch.

use bytes::Bytes;

use crate::access::gate::Peer;
use crate::engine::{SendBatch, SocketId};
use crate::exchange::{Answer, AnswerHead, Body};
use crate::handler::errors;
use crate::handler::files::Served;
use crate::handler::sites::SiteId;
use crate::http::{FieldForm, RequestHead, Version};
use crate::proto::h2::{Event, StreamId, UNKNOWN_LENGTH};
use crate::record::CacheState;

use super::answer::{Question, Reply, Slow, reply};
use super::reception::{Flight, Overloaded};
use super::services::Services;
use super::slow::{spawn_aside, spawn_slow};
use super::stream_body::StreamBody;
use super::stream_inbound::Piece;
use super::streams::{StreamTask, Streams};
use super::visit::{Again, Left, Made, Outcome, Visit, formed};

/// Writes the answers of one batch.
pub(super) struct Answering<'a> {
    pub(super) socket: SocketId,
    pub(super) streams: &'a mut Streams,
    pub(super) batch: &'a mut SendBatch,
    pub(super) services: &'a mut Services,
    pub(super) is_secure: bool,
    pub(super) peer: Option<&'a Peer>,
    pub(super) is_for_metrics: bool,
}

impl Answering<'_> {
    #[inline]
    pub(super) fn on_event(&mut self, event: Event<'_>) {
        match event {
            Event::Request {
                stream,
                head,
                has_content,
            } => self.on_request(stream, (&head, has_content), None),
            Event::Content {
                stream,
                bytes,
                flow,
                end,
            } => {
                let piece = Piece { bytes, flow, end };
                let out = self.batch.own_mut();
                self.streams.take_content(stream, piece, self.services, out);
            }
            Event::Ended { stream } => self.streams.contents.end(stream),
            Event::Closed => {}
            Event::Refused {
                stream,
                fault,
                head_only,
            } => {
                let answer = errors::error_answer(fault.status, fault.reason, head_only);
                self.on_fault(stream, answer);
            }
            Event::Reset { stream } => {
                self.streams.cancel(stream, &mut self.services.executor);
                let out = self.batch.own_mut();
                self.streams.discard_content(stream, out);
            }
        }
    }

    #[inline]
    pub(super) fn on_request(
        &mut self,
        stream: StreamId,
        (request, has_content): (&RequestHead<'_>, bool),
        mut again: Option<Again>,
    ) {
        let Answering {
            streams,
            batch,
            services,
            is_secure,
            peer,
            is_for_metrics,
            ..
        } = self;
        let form = FieldForm::H2;
        let flight = again.as_mut().and_then(Again::take_flight);
        let (mut visit, found) = services.visit(request, *peer, (*is_secure, form), again);
        let question = Question {
            request,
            peer: *peer,
            https_port: services.settings.https_port.filter(|_| !*is_secure),
            form,
            found,
            is_for_metrics: *is_for_metrics,
            is_draining: services.draining,
        };
        let reception = services.reception.as_deref_mut().zip(visit.as_deref_mut());
        let (reply, site) = reply(&mut services.sites, reception, services.now, question);
        let (made, aside) = match reply {
            Reply::Served(Served::Hit { head, body, aside }) if !head.has_usual_text() => {
                let fields = match &visit {
                    Some(visit) => &visit.fields,
                    None => services.tls_fields.get(*is_secure, form),
                };
                let parts = [head.h2(), services.date.h2(), fields];
                streams.write(stream, &parts, body, batch);
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
                        let asked = (request, has_content);
                        return self.wait(stream, asked, (slow, site), visit, flight);
                    }
                    Err(Overloaded) => (Made::busy(request), None),
                }
            }
        };
        let outcome = match made {
            Made::Written(outcome) => outcome,
            Made::Ready(answer, cache) => {
                let answer = formed(answer, &request.fields, visit.as_deref_mut(), form);
                let outcome = Outcome::of(&answer, cache);
                self.write_answer(stream, answer, visit.as_deref());
                outcome
            }
        };
        if let (Some(aside), Some(site)) = (aside, site) {
            spawn_aside(self.services, site, aside, request.path);
        }
        self.services.end_visit(visit, request, outcome);
        if has_content {
            let out = self.batch.own_mut();
            self.streams.discard_content(stream, out);
        }
    }

    /// Answers what cannot be understood.
    fn on_fault(&mut self, stream: StreamId, answer: Answer) {
        let request = RequestHead::unread(Version::Http2);
        let (peer, form) = (self.peer, FieldForm::H2);
        let mut visit = self
            .services
            .begin_visit(&request, peer, (self.is_secure, form));
        if let Some(visit) = &mut visit {
            visit.is_told = !self.is_for_metrics;
        }
        let answer = formed(answer, &request.fields, visit.as_deref_mut(), form);
        let outcome = Outcome::of(&answer, CacheState::Bypass);
        self.write_answer(stream, answer, visit.as_deref());
        self.services.end_visit(visit, &request, outcome);
    }

    /// The slow lane has the request.
    fn wait(
        &mut self,
        stream: StreamId,
        (request, has_content): (&RequestHead<'_>, bool),
        (slow, site): (Slow, Option<SiteId>),
        visit: Option<Box<Visit>>,
        flight: Option<Flight>,
    ) {
        let (socket, services) = (self.socket, &mut *self.services);
        let (asked, out) = ((request, has_content), self.batch.own_mut());
        let streams = &mut *self.streams;
        let content = streams.content_for(&slow, (socket, stream), asked, (services, out));
        let slow = (slow, content, visit.as_deref());
        let task = spawn_slow((socket, Some(stream)), services, site, request, slow);
        let left = Some(Left::of(request, visit, flight));
        streams.tasks.push(StreamTask { stream, task, left });
    }

    pub(super) fn write_answer(&mut self, stream: StreamId, answer: Answer, visit: Option<&Visit>) {
        let mut fresh = Vec::new();
        let block = match &answer.head {
            AnswerHead::Template(template) => template.h2(),
            AnswerHead::Fresh(head) => {
                head.render_h2(&mut fresh);
                &fresh
            }
        };
        let services = &*self.services;
        let fields = match visit {
            Some(visit) => &visit.fields,
            None => services.tls_fields.get(self.is_secure, FieldForm::H2),
        };
        let parts = [block, services.date.h2(), fields];
        let (streams, batch) = (&mut *self.streams, &mut *self.batch);
        match answer.body {
            Body::Empty => streams.write(stream, &parts, &Bytes::new(), batch),
            Body::Bytes(bytes) => streams.write(stream, &parts, &bytes, batch),
            Body::File(rest) => {
                let len = rest.len;
                streams.queue(stream, &parts, StreamBody::File(rest), len, batch);
            }
            Body::Parts(content) => {
                let len = content.len();
                let pieces = content.into_pieces();
                streams.queue(stream, &parts, StreamBody::Parts(pieces), len, batch);
            }
            Body::Stream(body) => {
                let (body, len) = (StreamBody::Stream(body), UNKNOWN_LENGTH);
                streams.queue(stream, &parts, body, len, batch);
            }
        }
    }
}
