//! The content of requests on streams of HTTP/2, on its way to the tasks that take it.
//!
//! A stream's window opens again as its task takes content, so that a peer waits for the task that
//! it sends to. The connection's window opens at once, as long as no more waits on all streams than
//! may: a slow task holds up its own stream, and not the others.

use crate::base::Millis;
use crate::base::limits::{BODY_PROGRESS_BYTES_MIN, H2_CONTENT_WAITING_BYTES_MAX};
use crate::engine::{Engine, SocketId};
use crate::exchange::{BodyFault, RequestBody};
use crate::http::field::parse_length;
use crate::http::{Known, RequestHead, hpack_block};
use crate::proto::h2::{H2Connection, StreamId};

use super::Connections;
use super::answer::Slow;
use super::connection::{Connection, Reading};
use super::inbound::{Announced, Intake};
use super::services::{ConnectionSettings, Services};
use super::stream_body::StreamBody;
use super::streams::Streams;

type Core = H2Connection<StreamBody>;

/// What comes of requests on the streams of one connection that were not answered yet.
#[derive(Debug, Default)]
pub(super) struct Contents {
    all: Vec<Content>,
    /// Bytes that wait for tasks.
    waiting: usize,
    /// What of them keeps the connection's window shut.
    withheld: usize,
    /// Bytes that have come since all peers' time began anew.
    progress_bytes: usize,
}

/// What comes on one stream.
#[derive(Debug)]
struct Content {
    stream: StreamId,
    intake: Intake,
    /// Until it is known that a task takes it.
    body: Option<RequestBody>,
    /// Bytes that wait for the task and keep the stream's window shut.
    waiting: usize,
    /// What of them keeps the connection's window shut.
    withheld: usize,
}

/// A piece of content that has come, as the core tells of it.
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) flow: usize,
    pub(super) end: bool,
}

/// What a request on a stream says of its content.
fn announced(request: &RequestHead<'_>) -> Announced {
    let length = request.fields.get(Known::ContentLength);
    Announced {
        length: length.and_then(parse_length),
        // Another expectation was refused before.
        expects_continue: request.fields.get(Known::Expect).is_some(),
    }
}

impl Streams {
    /// The content for the task of a request, if it takes any.
    pub(super) fn content_for(
        &mut self,
        slow: &Slow,
        place: (SocketId, StreamId),
        (request, has_content): (&RequestHead<'_>, bool),
        (services, out): (&Services, &mut Vec<u8>),
    ) -> Option<RequestBody> {
        match slow {
            Slow::Load(_) if has_content => {
                self.discard_content(place.1, out);
                None
            }
            Slow::Load(_) | Slow::List(_) => None,
            Slow::Work(_) | Slow::Write => {
                let takes_content = matches!(slow, Slow::Write);
                let contents = &mut self.contents;
                contents.content_for(takes_content, place, (request, has_content), services)
            }
        }
    }

    /// Takes in a piece of content.
    pub(super) fn take_content(
        &mut self,
        stream: StreamId,
        piece: Piece<'_>,
        services: &Services,
        out: &mut Vec<u8>,
    ) {
        let how = (&services.settings, services.now.monotonic);
        let Streams { contents, core, .. } = self;
        contents.push((stream, piece), core, how, out);
    }

    /// Nobody takes the content of this stream, now or later.
    pub(super) fn discard_content(&mut self, stream: StreamId, out: &mut Vec<u8>) {
        self.core.discard_content(stream, out);
        self.contents.remove(stream);
        self.contents.release_to_connection(&mut self.core, out);
    }
}

impl Contents {
    /// The content of a request; `None` while it is not known whether a task takes it. It is held
    /// meanwhile.
    fn content_for(
        &mut self,
        takes_content: bool,
        (socket, stream): (SocketId, StreamId),
        (request, has_content): (&RequestHead<'_>, bool),
        services: &Services,
    ) -> Option<RequestBody> {
        if !has_content {
            return takes_content.then(|| RequestBody::whole(b""));
        }
        if self.find(stream).is_none() {
            let window = services.settings.h2.as_ref()?.initial_window as usize;
            let place = (socket, Some(stream));
            // With half of its window full the peer may find no room for a whole frame.
            let (intake, body) = Intake::open(window / 2, announced(request), place, services);
            self.all.push(Content {
                stream,
                intake,
                body: Some(body),
                waiting: 0,
                withheld: 0,
            });
        }
        let content = self.find(stream)?;
        content.body.take_if(|_| takes_content)
    }

    fn find(&mut self, stream: StreamId) -> Option<&mut Content> {
        self.all.iter_mut().find(|content| content.stream == stream)
    }

    /// True when content of this stream is wanted, or may be.
    pub(super) fn has(&self, stream: StreamId) -> bool {
        self.all.iter().any(|content| content.stream == stream)
    }

    fn push(
        &mut self,
        (stream, piece): (StreamId, Piece<'_>),
        core: &mut Core,
        (settings, now): (&ConnectionSettings, Millis),
        out: &mut Vec<u8>,
    ) {
        let Some(content) = self.all.iter_mut().find(|it| it.stream == stream) else {
            return core.release(stream, piece.flow, out);
        };
        content.intake.push(piece.bytes, settings, now);
        if !content.intake.is_open() {
            // It has failed, or its task has gone. What waits for the task is still held.
            core.discard_content(stream, out);
            self.withheld -= std::mem::take(&mut content.withheld);
            return self.release_to_connection(core, out);
        }
        content.waiting += piece.flow;
        content.withheld += piece.flow;
        self.waiting += piece.flow;
        self.withheld += piece.flow;
        if piece.end {
            content.intake.end();
        }
        self.note_progress(piece.flow, settings, now);
        self.release_to_connection(core, out);
    }

    /// A peer may send one body after the other: what it brings of one counts for all, if it is as
    /// much as all of them had to bring.
    fn note_progress(&mut self, bytes: usize, settings: &ConnectionSettings, now: Millis) {
        self.progress_bytes += bytes;
        if self.progress_bytes >= self.all.len() * BODY_PROGRESS_BYTES_MIN {
            self.give_time(settings, now);
        }
    }

    fn give_time(&mut self, settings: &ConnectionSettings, now: Millis) {
        self.progress_bytes = 0;
        for content in &mut self.all {
            content.intake.give_time(settings.body_timeout, now);
        }
    }

    /// The content of a stream is whole.
    pub(super) fn end(&mut self, stream: StreamId) {
        if let Some(content) = self.find(stream) {
            content.intake.end();
        }
    }

    /// Opens the connection's window again, but for what waits beyond the bound.
    fn release_to_connection(&mut self, core: &mut Core, out: &mut Vec<u8>) {
        let excess = self.waiting.saturating_sub(H2_CONTENT_WAITING_BYTES_MAX);
        let mut surplus = self.withheld.saturating_sub(excess);
        for content in &mut self.all {
            let bytes = surplus.min(content.withheld);
            if bytes > 0 {
                core.release_to_connection(content.stream, bytes, out);
                content.withheld -= bytes;
                self.withheld -= bytes;
                surplus -= bytes;
            }
        }
    }

    /// A task has asked for content, has taken some, or has gone.
    fn on_wanted(
        &mut self,
        stream: StreamId,
        core: &mut Core,
        (settings, now): (&ConnectionSettings, Millis),
        out: &mut Vec<u8>,
    ) {
        let Some(content) = self.find(stream) else {
            return; // It was answered, or reset.
        };
        if content.intake.on_wanted(settings.body_timeout, now) {
            let mut block = Vec::new();
            hpack_block::status(&mut block, 100);
            core.respond(stream, &[&block], false, out);
        }
        let taken = content.waiting - content.intake.waiting_bytes().min(content.waiting);
        content.waiting -= taken;
        self.waiting -= taken;
        core.release_to_stream(stream, taken, out);
        let was_shut = self.withheld > 0;
        self.release_to_connection(core, out);
        if was_shut && self.withheld == 0 {
            self.give_time(settings, now);
        }
    }

    /// Forgets a stream; the core opens the connection's window for what was withheld.
    fn remove(&mut self, stream: StreamId) {
        if let Some(position) = self.all.iter().position(|it| it.stream == stream) {
            let content = self.all.swap_remove(position);
            self.waiting -= content.waiting;
            self.withheld -= content.withheld;
        }
    }

    /// When a peer has to have brought more. Where we keep the connection's window shut, it is not
    /// its turn on any stream.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let deadlines = self.all.iter().filter_map(|it| it.intake.deadline());
        deadlines.min().filter(|_| self.withheld == 0)
    }

    /// Fails bodies whose peer has let its time pass.
    pub(super) fn fail_slow(&mut self, now: Millis) {
        if self.withheld == 0 {
            for content in &self.all {
                content.intake.fail_if_slow(now);
            }
        }
    }

    /// The peer sends nothing more.
    pub(super) fn lose(&mut self) {
        for content in &self.all {
            content.intake.fail(BodyFault::Gone);
        }
    }
}

impl<E: Engine> Connections<E> {
    /// The task of a stream wants more of its content, or none any more.
    pub(super) fn on_stream_wanted(&mut self, socket: SocketId, stream: StreamId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        let Connection {
            reading: Reading::Streams(streams),
            output,
            ..
        } = connection
        else {
            return;
        };
        let spare = &mut self.services.spare_batches;
        let mut batch = output.take_filling(|| spare.pop().unwrap_or_default());
        let before = batch.len();
        let now = self.services.now.monotonic;
        let how = (&self.services.settings, now);
        let streams = &mut **streams;
        streams
            .contents
            .on_wanted(stream, &mut streams.core, how, batch.own_mut());
        let has_written = batch.len() > before;
        output.put_filling(batch, &mut self.services.spare_batches);
        match has_written {
            true => self.mark_dirty(socket),
            false => self.settle_wait(socket),
        }
    }
}
