//! HTTP/2 on one connection: frames in, requests to the rooms, frames out.
//!
//! What can be answered at once goes straight into the connection's batch, heads and bodies of all
//! streams one behind the other. Larger bodies wait with the core's scheduler, and are pulled frame
//! by frame whenever the socket can take another batch.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::access::gate::Found;
use crate::base::limits::{COPY_BODY_BYTES_MAX, FRAMED_SEND_BYTES_MAX, H2_COLD_READS_MAX};
use crate::engine::{Engine, SendBatch, SocketId};
use crate::exchange::Answer;
use crate::http::{FieldForm, RequestHead};
use crate::proto::h2::{ErrorCode, Event, FieldList, H2Connection, HeadStorage, StreamId};
use crate::record::CacheState;
use crate::task::{Executor, TaskId};

use super::Connections;
use super::connection::{Connection, Reading};
use super::services::Services;
use super::stream_body::{Pulled, ReadAhead, Reader, StreamBody, push_piece};
use super::stream_inbound::Contents;
use super::stream_request::Answering;
use super::visit::{Again, Left, Outcome};

/// The streams of one connection.
pub(super) struct Streams {
    pub(super) core: H2Connection<StreamBody>,
    pub(super) tasks: Vec<StreamTask>,
    pub(super) ahead: ReadAhead,
    /// Streams whose next slice must come from the disk, and that wait for others' slices.
    cold: VecDeque<StreamId>,
    /// What comes of requests that were not answered yet.
    pub(super) contents: Contents,
    /// Bytes of content sent over all streams.
    content_bytes: u64,
    /// The peer was told that the end is near.
    is_draining: bool,
}

/// A slow-lane task that works for one stream.
pub(super) struct StreamTask {
    pub(super) stream: StreamId,
    pub(super) task: TaskId,
    /// For its answer. `None`: it reads a slice of a file.
    pub(super) left: Option<Left>,
}

/// The connection speaks HTTP/2 from now on.
pub(super) fn begin_streams(connection: &mut Connection, services: &mut Services) {
    let Some(settings) = &services.settings.h2 else {
        return;
    };
    let spare = &mut services.spare_batches;
    let batch = connection
        .output
        .filling_or(|| spare.pop().unwrap_or_default());
    let before = batch.len();
    let mut core = H2Connection::new(settings, services.now.monotonic, batch.own_mut());
    if services.draining {
        core.begin_drain(batch.own_mut());
    }
    connection.output.queued_bytes += batch.len() - before;
    connection.is_fresh = false;
    connection.reading = Reading::Streams(Box::new(Streams {
        core,
        tasks: Vec::new(),
        ahead: ReadAhead::default(),
        cold: VecDeque::new(),
        contents: Contents::default(),
        content_bytes: 0,
        is_draining: services.draining,
    }));
}

/// Takes in frames and answers what can be answered; returns how many bytes are done with.
pub(super) fn consume_frames(
    socket: SocketId,
    connection: &mut Connection,
    services: &mut Services,
    bytes: &[u8],
) -> usize {
    let Connection {
        reading: Reading::Streams(streams),
        output,
        is_secure,
        met,
        is_for_metrics,
        ..
    } = connection
    else {
        unreachable!("the caller has seen streams");
    };
    let spare = &mut services.spare_batches;
    let mut batch = output.take_filling(|| spare.pop().unwrap_or_default());
    let list_bytes_max = services.settings.head_bytes_max;
    let list = services.field_list.take();
    let mut list = list.unwrap_or_else(|| Box::new(FieldList::new(list_bytes_max)));
    let mut used = 0;
    let mut is_closed = false;
    let mut answering = Answering {
        socket,
        streams: &mut *streams,
        batch: &mut batch,
        services: &mut *services,
        is_secure: *is_secure,
        peer: met.as_ref().map(|met| &met.peer),
        is_for_metrics: *is_for_metrics,
    };
    while used < bytes.len() && !is_closed && !output.is_full_with(answering.batch) {
        let now = answering.services.now.monotonic;
        let mut storage = HeadStorage::new();
        let out = answering.batch.own_mut();
        let core = &mut answering.streams.core;
        let step = core.step(&bytes[used..], &mut list, &mut storage, now, out);
        used += step.consumed;
        match step.event {
            Some(Event::Closed) => is_closed = true,
            Some(event) => answering.on_event(event),
            None => break, // The rest is not a whole frame.
        }
    }
    services.field_list = Some(list);
    output.put_filling(batch, &mut services.spare_batches);
    if is_closed {
        services.abandon_reading(connection);
        connection.close_after_output = true;
        connection.linger = true;
        return bytes.len();
    }
    used
}

impl Streams {
    /// Writes an answer whose body is in memory: whole, where it may leave at once.
    #[inline]
    pub(super) fn write(
        &mut self,
        stream: StreamId,
        head: &[&[u8]],
        body: &Bytes,
        batch: &mut SendBatch,
    ) {
        let core = &mut self.core;
        let len = body.len();
        if !core.respond(stream, head, len == 0, batch.own_mut()) || len == 0 {
            return;
        }
        if batch.len() < FRAMED_SEND_BYTES_MAX && core.room_now(stream) >= len {
            core.write_data(stream, len, true, batch.own_mut());
            self.content_bytes += len as u64;
            if len <= COPY_BODY_BYTES_MAX {
                batch.push(body);
            } else {
                batch.push_shared(body.clone());
            }
        } else {
            core.queue_body(stream, StreamBody::Bytes(body.clone()), len as u64);
        }
    }

    /// Writes a head and leaves its body to the scheduler.
    pub(super) fn queue(
        &mut self,
        stream: StreamId,
        head: &[&[u8]],
        body: StreamBody,
        len: u64,
        batch: &mut SendBatch,
    ) {
        if self.core.respond(stream, head, len == 0, batch.own_mut()) && len > 0 {
            self.core.queue_body(stream, body, len);
        }
    }

    /// The stream is gone: nobody waits for its answer.
    pub(super) fn cancel(&mut self, stream: StreamId, executor: &mut Executor) {
        self.ahead.take(stream);
        self.tasks.retain(|task| {
            if task.stream == stream {
                executor.cancel(task.task);
            }
            task.stream != stream
        });
        self.wake_cold(0);
    }

    /// A task reads a file for this stream.
    pub(super) fn note_read(&mut self, stream: StreamId, task: TaskId) {
        let left = None;
        self.tasks.push(StreamTask { stream, task, left });
    }

    fn cold_reads(&self) -> usize {
        let reads = self.tasks.iter().filter(|task| task.left.is_none());
        reads.count()
    }

    /// Streams that wait for the disk try again, as many as may beside `more` reads that are about
    /// to begin; true when there was one.
    fn wake_cold(&mut self, more: usize) -> bool {
        let mut free = H2_COLD_READS_MAX.saturating_sub(self.cold_reads() + more);
        let mut has_woken = false;
        while free > 0
            && let Some(stream) = self.cold.pop_front()
        {
            if self.core.body_mut(stream).is_some() {
                self.core.set_ready(stream);
                has_woken = true;
                free -= 1;
            }
        }
        has_woken
    }

    /// The connection is gone.
    pub(super) fn cancel_tasks(self, executor: &mut Executor) {
        for task in self.tasks {
            executor.cancel(task.task);
        }
    }

    pub(super) fn are_idle(&self) -> bool {
        self.core.open_streams() == 0
    }

    pub(super) fn wants_to_send(&self) -> bool {
        self.core.wants_to_send()
    }

    pub(super) fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// True while tasks make answers, or what is left of their bodies.
    pub(super) fn is_answering(&self) -> bool {
        self.has_tasks() || self.core.has_blocked_bodies()
    }

    /// True when bodies wait for the peer to open a window.
    pub(super) fn wait_for_window(&self) -> bool {
        self.core.has_ready_bodies() && self.tasks.is_empty()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.core.is_drained()
    }

    /// True when only the peer's word is missing that it knows of the end.
    pub(super) fn wait_for_goodbye(&self) -> bool {
        self.is_draining && self.are_idle()
    }

    /// Grows as the peer lets us send.
    pub(super) fn content_bytes(&self) -> u64 {
        self.content_bytes
    }
}

impl<E: Engine> Connections<E> {
    /// Pulls frames from the scheduler into the connection's batch; returns their content's bytes.
    pub(super) fn fill_from_streams(&mut self, socket: SocketId) -> u64 {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return 0;
        };
        let Connection {
            reading: Reading::Streams(streams),
            output,
            ..
        } = connection
        else {
            return 0;
        };
        streams.contents.fail_slow(self.services.now.monotonic);
        streams.wake_cold(0);
        if !streams.core.wants_to_send() {
            return 0;
        }
        let spare = &mut self.services.spare_batches;
        let mut batch = output.take_filling(|| spare.pop().unwrap_or_default());
        let before = streams.content_bytes;
        let reads_max = H2_COLD_READS_MAX.saturating_sub(streams.cold_reads());
        let mut cold = Vec::new();
        while batch.len() < FRAMED_SEND_BYTES_MAX {
            let Some(turn) = streams.core.next_turn() else {
                if streams.wake_cold(cold.len()) {
                    continue; // Somebody else may have had the disk read what they want.
                }
                break;
            };
            let stream = turn.stream;
            let Services { blocks, now, .. } = &mut self.services;
            let reader = Reader {
                engine: &mut self.engine,
                blocks,
                ahead: &mut streams.ahead,
                now: now.monotonic,
            };
            match turn.body.pull(stream, turn.max, reader) {
                Pulled::Piece { bytes, end } => {
                    let len = bytes.len();
                    streams.core.write_data(stream, len, end, batch.own_mut());
                    streams.content_bytes += len as u64;
                    push_piece(&mut batch, bytes);
                    if !end {
                        streams.follow_producer(stream, batch.own_mut());
                    }
                }
                Pulled::Pending => streams.core.set_blocked(stream),
                Pulled::Cold(slice) => {
                    streams.core.set_blocked(stream);
                    if cold.len() < reads_max {
                        cold.push((stream, slice));
                    } else {
                        streams.cold.push_back(stream);
                    }
                }
                // The length was promised: only a reset tells that it is not kept.
                Pulled::Broken => {
                    let code = ErrorCode::INTERNAL_ERROR;
                    streams.core.reset(stream, code, batch.own_mut());
                }
            }
        }
        let pulled = streams.content_bytes - before;
        output.put_filling(batch, &mut self.services.spare_batches);
        for (stream, slice) in cold {
            self.read_cold_slice(socket, Some(stream), slice);
        }
        pulled
    }

    /// The answer to a request on a stream was made, or got lost.
    pub(super) fn on_stream_answer(
        &mut self,
        socket: SocketId,
        stream: StreamId,
        answer: impl FnOnce(bool) -> Answer,
    ) {
        self.after_task(socket, stream, |answering, mut left| {
            let answer = left.form(answer(left.head_only), FieldForm::H2);
            let outcome = Outcome::of(&answer, CacheState::Miss);
            answering.write_answer(stream, answer, left.visit.as_deref());
            answering.services.end_left(left, outcome);
            let out = answering.batch.own_mut();
            answering.streams.discard_content(stream, out);
        });
    }

    /// What had to be found out about a request on a stream is known now.
    pub(super) fn on_stream_found(
        &mut self,
        socket: SocketId,
        stream: StreamId,
        request: &RequestHead<'_>,
        found: Found,
    ) {
        self.after_task(socket, stream, |answering, left| {
            let has_content = answering.streams.contents.has(stream);
            let again = Again::new(found, left);
            answering.on_request(stream, (request, has_content), Some(again));
        });
    }

    /// The task of a stream has ended; `act` writes what follows from it.
    fn after_task(
        &mut self,
        socket: SocketId,
        stream: StreamId,
        act: impl FnOnce(&mut Answering<'_>, Left),
    ) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        let Connection {
            reading: Reading::Streams(streams),
            output,
            is_secure,
            met,
            is_for_metrics,
            ..
        } = connection
        else {
            return;
        };
        let Some(position) = streams.tasks.iter().position(|task| task.stream == stream) else {
            return; // Cancelled after it had ended.
        };
        let left = streams.tasks.swap_remove(position).left;
        let spare = &mut self.services.spare_batches;
        let mut batch = output.take_filling(|| spare.pop().unwrap_or_default());
        let mut answering = Answering {
            socket,
            streams: &mut *streams,
            batch: &mut batch,
            services: &mut self.services,
            is_secure: *is_secure,
            peer: met.as_ref().map(|met| &met.peer),
            is_for_metrics: *is_for_metrics,
        };
        act(&mut answering, left.unwrap_or_default());
        output.put_filling(batch, &mut self.services.spare_batches);
        self.mark_dirty(socket);
    }

    /// Begins to say goodbye (RFC 9113 §6.8); requests that are under way are still answered.
    pub(super) fn drain_streams(&mut self, socket: SocketId) {
        self.with_output(socket, |streams, out| {
            streams.is_draining = true;
            streams.core.begin_drain(out);
        });
    }

    /// Says that nothing is read any more, and why.
    pub(super) fn end_streams(&mut self, socket: SocketId, code: ErrorCode) {
        self.with_output(socket, |streams, out| streams.core.goaway_now(code, out));
        if let Some(connection) = self.table.get_mut(socket.0) {
            self.services.abandon_reading(connection);
            connection.close_after_output = true;
            connection.linger = true;
        }
    }

    pub(super) fn with_output(
        &mut self,
        socket: SocketId,
        act: impl FnOnce(&mut Streams, &mut Vec<u8>),
    ) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        if let Connection {
            reading: Reading::Streams(streams),
            output,
            ..
        } = connection
        {
            let spare = &mut self.services.spare_batches;
            let mut batch = output.take_filling(|| spare.pop().unwrap_or_default());
            act(streams, batch.own_mut());
            output.put_filling(batch, &mut self.services.spare_batches);
            self.mark_dirty(socket);
        }
    }

    pub(super) fn streams_mut(&mut self, socket: SocketId) -> Option<&mut Streams> {
        match &mut self.table.get_mut(socket.0)?.reading {
            Reading::Streams(streams) => Some(streams),
            _ => None,
        }
    }
}
