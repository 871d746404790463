//! From answers to the socket: one send in flight on a connection, files slice by slice.

use bytes::Bytes;

use crate::base::limits::{FILE_TURN_BYTES_MAX, OUTPUT_BYTES_MAX, SENDS_PER_FLUSH};
use crate::engine::{Engine, Errno, FileRange, FileSent, SendBatch, SocketId};
use crate::proto::h2::StreamId;

use super::Connections;
use super::connection::{Item, Life, Output, Reading, Sending, WaitsFor};
use super::services::{Event, Outbox};
use super::stream_body::push_piece;

/// Answers of pipelined requests that may stand in the queue (each file holds a descriptor).
const ITEMS_MAX: usize = 64;
/// A longer piece before a file takes the ring, which waits for room by itself.
const AHEAD_BYTES_MAX: usize = 4096;

impl Output {
    /// The batch that answers are written into now.
    #[inline]
    pub(super) fn filling_or(
        &mut self,
        spare: impl FnOnce() -> Box<SendBatch>,
    ) -> &mut Box<SendBatch> {
        self.filling.get_or_insert_with(spare)
    }

    /// Content in memory follows what was written so far.
    pub(super) fn push_bytes(&mut self, bytes: Bytes, spare: impl FnOnce() -> Box<SendBatch>) {
        self.queued_bytes += bytes.len();
        push_piece(self.filling_or(spare), bytes);
    }

    /// A file follows what was written so far.
    pub(super) fn push_file(&mut self, file: FileRange) {
        self.queue.extend(self.filling.take().map(Item::Batch));
        self.queue.push_back(Item::File(file));
    }

    /// True when no further request should be answered before something has left. A body of several
    /// parts goes in as a whole: they were made before, and whoever made them has bounded their
    /// number. Behind a streamed body nothing goes in.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.queued_bytes >= OUTPUT_BYTES_MAX
            || self.queue.len() >= ITEMS_MAX
            || self.ends_in_stream()
    }

    /// The batch that is written into, taken out so that several borrowers can write.
    pub(super) fn take_filling(
        &mut self,
        spare: impl FnOnce() -> Box<SendBatch>,
    ) -> Box<SendBatch> {
        let batch = self.filling.take().unwrap_or_else(spare);
        self.queued_bytes -= batch.len();
        batch
    }

    /// Puts it back, unless there is nothing in it.
    #[expect(clippy::vec_box, reason = "batches move as their boxes")]
    pub(super) fn put_filling(&mut self, batch: Box<SendBatch>, spare: &mut Vec<Box<SendBatch>>) {
        if batch.is_empty() {
            spare.push(batch);
            return;
        }
        self.queued_bytes += batch.len();
        self.filling = Some(batch);
    }

    /// [`Output::is_full`] while the batch is taken out.
    pub(super) fn is_full_with(&self, batch: &SendBatch) -> bool {
        self.queued_bytes + batch.len() >= OUTPUT_BYTES_MAX
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self
            .queue
            .pop_front()
            .or_else(|| self.filling.take().map(Item::Batch));
        if let Some(Item::Batch(batch)) = &item {
            self.queued_bytes -= batch.len();
        }
        item
    }

    pub(super) fn push_front(&mut self, item: Item) {
        if let Item::Batch(batch) = &item {
            self.queued_bytes += batch.len();
        }
        self.queue.push_front(item);
    }
}

impl<E: Engine> Connections<E> {
    /// The connection has output, or ends once it has none.
    pub(super) fn mark_dirty(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(socket);
        }
    }

    /// Starts a send on every connection that has output and none in flight. Files get no more than
    /// a turn's share; who gets none of it comes first in the next turn.
    pub(super) fn flush_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        let mut file_share = FILE_TURN_BYTES_MAX as u64;
        let mut deferred = 0;
        for position in 0..dirty.len() {
            let socket = dirty[position];
            if position % SENDS_PER_FLUSH == SENDS_PER_FLUSH - 1 {
                self.engine.flush(); // What was written lately is still in the cache.
            }
            if file_share == 0 && self.has_file_next(socket) {
                dirty[deferred] = socket;
                deferred += 1;
            } else if let Some(connection) = self.table.get_mut(socket.0) {
                connection.dirty = false;
                file_share = file_share.saturating_sub(self.flush(socket));
            }
        }
        dirty.truncate(deferred);
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    fn has_file_next(&self, socket: SocketId) -> bool {
        self.table.get(socket.0).is_some_and(|connection| {
            let next = connection.output.queue.front();
            connection.sending == Sending::Idle && matches!(next, Some(Item::File(_)))
        })
    }

    /// Starts the next send; returns how much of a file was handed over.
    fn flush(&mut self, socket: SocketId) -> u64 {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return 0;
        };
        if connection.sending != Sending::Idle || connection.life != Life::Open {
            return 0;
        }
        let has_pulled =
            matches!(connection.reading, Reading::Streams(_)) || connection.output.ends_in_stream();
        let from_streams = if has_pulled {
            self.pull_bodies(socket)
        } else {
            0
        };
        let Some(connection) = self.table.get_mut(socket.0) else {
            return 0;
        };
        if connection.secure.is_some() {
            return from_streams + self.seal_output(socket);
        }
        match connection.output.pop() {
            None => self.on_output_drained(socket),
            Some(Item::Batch(batch)) => {
                if matches!(connection.output.queue.front(), Some(Item::File(_))) {
                    return self.send_head_and_file(socket, batch);
                }
                self.send_batch(socket, batch, false);
            }
            Some(Item::File(range)) => return self.send_burst(socket, range),
            Some(stream @ Item::Stream { .. }) => {
                connection.output.push_front(stream);
                self.wait_for_producer(socket);
            }
        }
        from_streams
    }

    pub(super) fn send_batch(&mut self, socket: SocketId, batch: Box<SendBatch>, more: bool) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        connection.sending = Sending::Batch;
        let is_handshaking = connection.waits == WaitsFor::Handshake;
        self.engine.send(socket, batch, more);
        if !is_handshaking {
            self.set_wait(socket, WaitsFor::Room);
        }
    }

    /// A file and the head before it leave in one turn where the socket has room for both.
    fn send_head_and_file(&mut self, socket: SocketId, mut batch: Box<SendBatch>) -> u64 {
        let Some(head) = batch
            .contiguous()
            .filter(|head| head.len() <= AHEAD_BYTES_MAX)
        else {
            self.send_batch(socket, batch, true);
            return 0;
        };
        let taken = self.engine.send_ahead(socket, head, true);
        let rest = head[taken..].to_vec();
        if !rest.is_empty() {
            batch.clear();
            batch.push(&rest);
            self.send_batch(socket, batch, true);
            return 0;
        }
        self.services.give_batch(batch);
        let Some(connection) = self.table.get_mut(socket.0) else {
            return 0;
        };
        match connection.output.pop() {
            Some(Item::File(range)) => self.send_burst(socket, range),
            _ => unreachable!("the caller has seen that a file is next"),
        }
    }

    fn send_burst(&mut self, socket: SocketId, mut range: FileRange) -> u64 {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return 0;
        };
        match self.engine.send_file(socket, &range) {
            FileSent::Sent { bytes, full } => {
                range.offset += bytes;
                range.len -= bytes;
                if range.len > 0 {
                    connection.output.push_front(Item::File(range));
                }
                if full {
                    self.wait_for_room(socket);
                } else if connection.output.is_empty() {
                    self.on_output_drained(socket);
                } else {
                    self.mark_dirty(socket);
                }
                return bytes;
            }
            FileSent::WouldBlock => {
                connection.output.push_front(Item::File(range));
                self.wait_for_room(socket);
            }
            FileSent::Cold => {
                let slice = FileRange {
                    len: range.slice_len(),
                    ..range.clone()
                };
                connection.output.push_front(Item::File(range));
                self.read_cold_slice(socket, None, slice);
            }
            // The length was promised: only ending the connection tells that it is not kept.
            FileSent::Truncated | FileSent::Failed(_) => self.terminate(socket),
        }
        0
    }

    fn wait_for_room(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        connection.sending = Sending::Room;
        self.engine.poll_writable(socket);
        self.set_wait(socket, WaitsFor::Room);
    }

    pub(super) fn on_writable(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        connection.sending = Sending::Idle;
        if connection.life == Life::Terminating {
            self.join(socket);
        } else {
            self.mark_dirty(socket);
        }
    }

    /// Lets a slice that is not in memory be read off the worker; it is then sent as bytes.
    pub(super) fn read_cold_slice(
        &mut self,
        socket: SocketId,
        stream: Option<StreamId>,
        slice: FileRange,
    ) {
        let io = self.services.io.clone();
        let outbox = Outbox::clone(&self.services.outbox);
        let task = self.services.executor.spawn(async move {
            let buf = Vec::with_capacity(slice.len as usize);
            let (slice, result) = io.read(&slice.file, slice.offset, buf).await;
            outbox.borrow_mut().push(Event::Slice {
                socket,
                stream,
                slice,
                result,
            });
        });
        if let Some(stream) = stream {
            self.note_stream_task(socket, stream, task);
            return;
        }
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        connection.sending = Sending::ColdSlice(task);
        self.set_wait(socket, WaitsFor::Answer);
    }

    pub(super) fn on_slice(
        &mut self,
        socket: SocketId,
        slice: Vec<u8>,
        result: Result<usize, Errno>,
    ) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        if !matches!(connection.sending, Sending::ColdSlice(_)) {
            return; // Cancelled after it had ended.
        }
        connection.sending = Sending::Idle;
        let (Ok(read @ 1..), Some(Item::File(mut range))) = (result, connection.output.pop())
        else {
            self.terminate(socket); // Truncated or unreadable.
            return;
        };
        self.engine.note_read(&FileRange {
            len: read as u64,
            ..range.clone()
        });
        range.offset += read as u64;
        range.len -= read as u64;
        if range.len > 0 {
            connection.output.push_front(Item::File(range));
        }
        let mut batch = self.services.take_batch();
        batch.push_shared(Bytes::from(slice));
        let connection = self
            .table
            .get_mut(socket.0)
            .expect("it was there a moment ago");
        connection.output.push_front(Item::Batch(batch));
        self.mark_dirty(socket);
    }

    pub(super) fn on_sent(
        &mut self,
        socket: SocketId,
        batch: Box<SendBatch>,
        result: Result<(), Errno>,
    ) {
        self.services.give_batch(batch);
        let connection = self
            .table
            .get_mut(socket.0)
            .expect("a connection outlives its send in flight");
        assert!(connection.sending == Sending::Batch, "one send in flight");
        connection.sending = Sending::Idle;
        if connection.life == Life::Terminating {
            self.join(socket);
        } else if result.is_err() {
            self.terminate(socket); // Nobody is left to read the rest.
        } else if connection.has_output() {
            self.mark_dirty(socket);
        } else {
            self.on_output_drained(socket);
        }
    }

    /// All that was answered is with the kernel.
    pub(super) fn on_output_drained(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        if connection.close_after_output {
            self.finish(socket);
            return;
        }
        let reads_on = matches!(connection.reading, Reading::Head | Reading::Streams(_));
        if !connection.input.is_empty() && reads_on {
            // Requests that waited for room in the output.
            self.resume_input(socket);
        }
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        if connection.has_output() {
            return; // `resume_input` has marked it.
        }
        if connection.peer_done && !connection.is_answering() {
            self.finish(socket);
            return;
        }
        self.on_done(socket);
        self.receive_if_wanted(socket);
    }
}
