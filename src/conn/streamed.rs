//! Bodies that are still being made: taken from their producers when the socket has room, and
//! framed for the protocol.
//!
//! Over HTTP/1 such a body is the last thing in the output; nothing is answered behind it before it
//! has ended. Over HTTP/2 it is queued with the core as other bodies are.

use crate::base::limits::STREAMED_SEND_BYTES_MAX;
use crate::engine::{Engine, SendBatch, SocketId};
use crate::exchange::{BodyStream, StreamState};
use crate::proto::h1;
use crate::proto::h2::{ErrorCode, StreamId};

use super::Connections;
use super::connection::{Item, Output, Reading, WaitsFor};
use super::services::{Event, Outbox, Services};
use super::stream_body::{StreamBody, push_piece};
use super::streams::Streams;

impl Services {
    /// The connection is told when there is something to send. The body comes from the slow lane:
    /// no other has a producer.
    pub(super) fn listen_to(&self, body: &BodyStream, socket: SocketId, stream: Option<StreamId>) {
        let outbox = Outbox::clone(&self.outbox);
        body.when_ready(move || {
            let ready = Event::BodyReady { socket, stream };
            outbox.borrow_mut().push(ready);
        });
    }
}

impl Output {
    /// A body follows what was written so far, and nothing follows it.
    pub(super) fn push_stream(&mut self, body: BodyStream, is_chunked: bool) {
        self.queue.extend(self.filling.take().map(Item::Batch));
        self.queue.push_back(Item::Stream { body, is_chunked });
    }

    /// True until the last byte of a streamed body was taken.
    #[inline]
    pub(super) fn ends_in_stream(&self) -> bool {
        matches!(self.queue.back(), Some(Item::Stream { .. }))
    }

    /// Nobody can take the body any more.
    pub(super) fn drop_stream(&mut self) {
        if self.ends_in_stream() {
            self.queue.pop_back();
        }
    }

    /// Once the body's turn has come, moves what there is of it into the batch before it.
    fn pull_stream(&mut self, spare: impl FnOnce() -> Box<SendBatch>) {
        let Some(Item::Stream { body, is_chunked }) = self.queue.back() else {
            return;
        };
        match body.state() {
            StreamState::Pending | StreamState::Broken => return,
            // Told by the end of the connection.
            StreamState::Ended if !is_chunked => {
                self.queue.pop_back();
                return;
            }
            StreamState::Ended | StreamState::Ready(_) => {}
        }
        if self.queue.len() == 1 {
            self.queue.push_front(Item::Batch(spare()));
        }
        let [Item::Batch(batch), Item::Stream { body, is_chunked }] = self.queue.make_contiguous()
        else {
            return; // Others come first.
        };
        let before = batch.len();
        let has_ended = write_stream(batch, body, *is_chunked);
        self.queued_bytes += batch.len() - before;
        if has_ended {
            self.queue.pop_back();
        }
    }
}

/// Moves what one send takes of a body; true when that was the end of it.
fn write_stream(batch: &mut SendBatch, body: &mut BodyStream, is_chunked: bool) -> bool {
    if let StreamState::Ready(len) = body.state() {
        let mut left = len.min(STREAMED_SEND_BYTES_MAX.saturating_sub(batch.len()));
        // A chunk without content would be the last one.
        let is_framed = is_chunked && left > 0;
        if is_framed {
            h1::write_chunk_size(batch.own_mut(), left);
        }
        while left > 0 {
            let piece = body.take(left).expect("so much was ready");
            left -= piece.len();
            push_piece(batch, piece);
        }
        if is_framed {
            batch.push(h1::CHUNK_END);
        }
    }
    let has_ended = body.state() == StreamState::Ended;
    if has_ended && is_chunked {
        batch.push(h1::LAST_CHUNK);
    }
    has_ended
}

impl Streams {
    /// Does what a streamed body calls for whose state has changed. An end needs no window
    /// (RFC 9113 §6.9.1), and the peer should hear at once that no more will come.
    pub(super) fn follow_producer(&mut self, stream: StreamId, out: &mut Vec<u8>) {
        let Some(StreamBody::Stream(body)) = self.core.body_mut(stream) else {
            return; // Reset meanwhile, or another kind of body.
        };
        match body.state() {
            StreamState::Ready(_) => self.core.set_ready(stream),
            StreamState::Pending => self.core.set_blocked(stream),
            StreamState::Ended => self.core.write_data(stream, 0, true, out),
            StreamState::Broken => drop(self.core.reset(stream, ErrorCode::INTERNAL_ERROR, out)),
        }
    }
}

impl<E: Engine> Connections<E> {
    /// Brings bodies that are pulled into the output, as much as it may have of them; returns the
    /// bytes of content that streams of HTTP/2 gave.
    pub(super) fn pull_bodies(&mut self, socket: SocketId) -> u64 {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return 0;
        };
        if matches!(connection.reading, Reading::Streams(_)) {
            return self.fill_from_streams(socket);
        }
        if connection.output.ends_in_stream() {
            let spare = &mut self.services.spare_batches;
            let output = &mut connection.output;
            output.pull_stream(|| spare.pop().unwrap_or_default());
        }
        0
    }

    /// All that was before a streamed body is with the kernel, and the body has nothing to give.
    pub(super) fn wait_for_producer(&mut self, socket: SocketId) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        match connection.output.queue.front() {
            // Without its last chunk the body is seen not to be whole (RFC 9112 §8).
            Some(Item::Stream { body, .. }) if body.state() == StreamState::Broken => {
                self.terminate(socket);
            }
            _ => self.set_wait(socket, WaitsFor::Answer),
        }
    }

    /// A producer has something for its connection, or has ended.
    pub(super) fn on_body_ready(&mut self, socket: SocketId, stream: Option<StreamId>) {
        match stream {
            None => self.mark_dirty(socket),
            Some(stream) => self.with_output(socket, |streams, out| {
                streams.follow_producer(stream, out);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{BodyWriter, body_stream};
    use bytes::Bytes;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn write(writer: &mut BodyWriter, piece: &'static [u8]) {
        let write = pin!(writer.write(Bytes::from_static(piece)));
        let polled = write.poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Ok(())));
    }

    fn pulled(output: &mut Output) -> Vec<u8> {
        output.pull_stream(Box::default);
        let mut bytes = Vec::new();
        while let Some(Item::Batch(batch)) = output.queue.front() {
            bytes.extend(batch.slices(0).flatten());
            output.pop();
        }
        assert_eq!(output.queued_bytes, 0);
        bytes
    }

    fn output(head: &[u8], is_chunked: bool) -> (BodyWriter, Output) {
        let (writer, body) = body_stream(1 << 20);
        let mut output = Output::default();
        if !head.is_empty() {
            output.filling_or(Box::default).push(head);
            output.queued_bytes += head.len();
        }
        output.push_stream(body, is_chunked);
        (writer, output)
    }

    /// RFC 9112 §7.1
    #[test]
    fn pieces_become_chunks_behind_the_head_and_the_last_one_ends_them() {
        let (mut writer, mut output) = output(b"head\r\n\r\n", true);
        write(&mut writer, b"0123456789");
        write(&mut writer, b"abcdef");
        assert_eq!(
            pulled(&mut output),
            b"head\r\n\r\n10\r\n0123456789abcdef\r\n"
        );
        assert_eq!(pulled(&mut output), b"", "an empty chunk would be the last");
        assert!(output.is_full() && output.ends_in_stream());
        write(&mut writer, b"x");
        writer.finish();
        assert_eq!(pulled(&mut output), b"1\r\nx\r\n0\r\n\r\n");
        assert!(output.is_empty() && !output.is_full());
    }

    #[test]
    fn an_end_that_comes_alone_is_a_last_chunk() {
        let (writer, mut output) = output(b"", true);
        assert_eq!(pulled(&mut output), b"");
        writer.finish();
        assert_eq!(pulled(&mut output), b"0\r\n\r\n");
        assert!(output.is_empty());
    }

    /// RFC 9112 §6.3: the end of the connection is the end of the body.
    #[test]
    fn without_chunks_the_bytes_come_as_they_are() {
        let (mut writer, mut output) = output(b"head", false);
        write(&mut writer, b"one");
        assert_eq!(pulled(&mut output), b"headone");
        write(&mut writer, b"two");
        writer.finish();
        assert_eq!(pulled(&mut output), b"two");
        assert!(output.is_empty());

        let (writer, mut output) = self::output(b"", false);
        writer.finish();
        assert_eq!(pulled(&mut output), b"");
        assert!(output.is_empty(), "no empty batch is left to be sent");
    }

    /// RFC 9112 §8
    #[test]
    fn a_broken_body_gives_what_it_had_and_no_last_chunk() {
        let (mut writer, mut output) = output(b"", true);
        write(&mut writer, b"part");
        drop(writer);
        assert_eq!(pulled(&mut output), b"4\r\npart\r\n");
        assert_eq!(pulled(&mut output), b"");
        assert!(output.ends_in_stream(), "for `wait_for_producer` to see");
    }

    #[test]
    fn one_send_takes_no_more_than_its_share() {
        static LARGE: [u8; 3 * STREAMED_SEND_BYTES_MAX] = [7; 3 * STREAMED_SEND_BYTES_MAX];
        let (mut writer, mut output) = output(b"head", true);
        write(&mut writer, &LARGE);
        writer.finish();
        let first = pulled(&mut output);
        assert!(first.starts_with(b"headfffc\r\n"));
        assert_eq!(first.len(), STREAMED_SEND_BYTES_MAX + 8);
        // Behind a batch that is large already, nothing.
        let mut batch = Box::<SendBatch>::default();
        batch.push(&LARGE);
        output.push_front(Item::Batch(batch));
        assert_eq!(pulled(&mut output).len(), LARGE.len());
        while output.ends_in_stream() {
            assert!(pulled(&mut output).len() <= STREAMED_SEND_BYTES_MAX + 20);
        }
    }

    #[test]
    fn a_body_waits_for_what_comes_before_it() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let (mut writer, body) = body_stream(10);
        let mut output = Output::default();
        output.push_file(crate::engine::FileRange {
            file: std::sync::Arc::new(file.into()),
            offset: 0,
            len: 1,
        });
        output.push_stream(body, true);
        write(&mut writer, b"later");
        writer.finish();
        assert_eq!(pulled(&mut output), b"");
        output.pop();
        assert_eq!(pulled(&mut output), b"5\r\nlater\r\n0\r\n\r\n");
    }

    #[test]
    fn dropping_the_body_tells_the_producer() {
        let (mut writer, mut output) = output(b"head", true);
        output.drop_stream();
        assert!(!output.ends_in_stream() && !output.is_empty());
        let write = pin!(writer.write(Bytes::from_static(b"x")));
        let polled = write.poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Err(crate::exchange::Gone)));
    }
}
