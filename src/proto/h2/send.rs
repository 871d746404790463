//! Answers on their way out: heads, content within the windows, and the ends of streams.

use super::connection::H2Connection;
use super::error::ErrorCode;
use super::frame::{Kind, flags, write_block, write_header, write_rst_stream};
use super::schedule::Schedule;
use super::streams::{Ends, Stream, StreamId, UNKNOWN_LENGTH};

/// A turn to send one DATA frame.
#[derive(Debug)]
pub struct Turn<'a, B> {
    pub stream: StreamId,
    /// What was queued for it.
    pub body: &'a mut B,
    /// Bytes that may be sent now, at least 1: never beyond the windows, the peer's largest frame
    /// and the rest of the body.
    pub max: usize,
    /// Bytes of the body that were not sent yet, or [`UNKNOWN_LENGTH`].
    pub rest: u64,
}

/// A dynamic table of size zero (RFC 7541 §6.3).
const EMPTY_TABLE: &[u8] = &[0x20];

impl<B> H2Connection<B> {
    /// Appends the head of an answer, or its trailers: a field block that `parts` make up. `end`
    /// when nothing follows. False, and nothing was written, when the stream is gone or answered.
    #[inline]
    pub fn respond(
        &mut self,
        stream: StreamId,
        parts: &[&[u8]],
        end: bool,
        out: &mut Vec<u8>,
    ) -> bool {
        let found = self.streams.get(stream.0);
        if found.is_none_or(|stream| stream.is_answered()) {
            return false;
        }
        let frame_bytes_max = self.peer.frame_bytes_max;
        if self.owes_table_update {
            // §4.3.1. Our blocks never use the table.
            self.owes_table_update = false;
            let parts = [&[EMPTY_TABLE], parts].concat();
            write_block(out, stream.0, end, &parts, frame_bytes_max);
        } else {
            write_block(out, stream.0, end, parts, frame_bytes_max);
        }
        if end {
            self.end_answer(stream.0, out);
        }
        true
    }

    /// How many bytes of content may leave at once on this stream, as one DATA frame. Zero while
    /// others that are as urgent wait for their turn.
    #[inline]
    pub fn room_now(&self, stream: StreamId) -> usize {
        let Some(stream) = self.streams.get(stream.0) else {
            return 0;
        };
        if stream.is_answered()
            || stream.body.is_some()
            || !self.schedule.lets_pass(stream.priority)
        {
            return 0;
        }
        let room = stream.send.room().min(self.send.room());
        room.min(self.peer.frame_bytes_max)
    }

    /// Appends the header of a DATA frame of `len` bytes, which the caller puts behind it. The
    /// stream is open, and `len` was found to fit by `room_now` or `next_turn`; an `end` without
    /// content fits always.
    #[inline]
    pub fn write_data(&mut self, stream: StreamId, len: usize, end: bool, out: &mut Vec<u8>) {
        let id = stream.0;
        let stream = self.streams.get_mut(id).expect("the stream is open");
        assert!(!stream.is_answered(), "nothing follows the end");
        assert!(len <= self.peer.frame_bytes_max && (len > 0 || end));
        stream.send.book(len);
        self.send.book(len);
        self.abuse.on_use();
        if end {
            // Its WINDOW_UPDATEs must not come between the header and what the caller appends.
            self.end_answer(id, out);
            write_header(out, Kind::Data, flags::END_STREAM, id, len);
            return;
        }
        write_header(out, Kind::Data, 0, id, len);
        if stream.rest != UNKNOWN_LENGTH && stream.body.is_some() {
            let rest = stream.rest.checked_sub(len as u64);
            stream.rest = rest.expect("a body is as long as it was said to be");
        }
        if stream.is_scheduled {
            self.schedule.end_turn(id);
            sync(&mut self.schedule, stream);
        }
    }

    /// Hangs a body of `len` bytes, at least one or [`UNKNOWN_LENGTH`], on an answer whose head was
    /// written. It leaves as the scheduler says. Dropped when the stream is gone.
    pub fn queue_body(&mut self, stream: StreamId, body: B, len: u64) {
        let Some(stream) = self.streams.get_mut(stream.0) else {
            return;
        };
        debug_assert!(stream.body.is_none() && len > 0 && !stream.is_answered());
        stream.body = Some(body);
        stream.rest = len;
        sync(&mut self.schedule, stream);
    }

    /// Who may send next (RFC 9218 §10). The caller then writes a frame, or says that the body is
    /// blocked, or resets the stream; else the answer stays the same.
    pub fn next_turn(&mut self) -> Option<Turn<'_, B>> {
        let room = self.send.room();
        if room == 0 {
            return None;
        }
        let id = self.schedule.next()?;
        let stream = self.streams.get_mut(id);
        let stream = stream.expect("who is scheduled is open");
        let max = room
            .min(stream.send.room())
            .min(self.peer.frame_bytes_max)
            .min(usize::try_from(stream.rest).unwrap_or(usize::MAX));
        assert!(max > 0, "who is scheduled has something to send");
        Some(Turn {
            stream: StreamId(id),
            body: stream.body.as_mut().expect("who is scheduled has a body"),
            max,
            rest: stream.rest,
        })
    }

    /// The bytes of the queued body are not there yet.
    pub fn set_blocked(&mut self, stream: StreamId) {
        self.mark_blocked(stream, true);
    }

    /// The bytes of the queued body are there.
    pub fn set_ready(&mut self, stream: StreamId) {
        self.mark_blocked(stream, false);
    }

    fn mark_blocked(&mut self, stream: StreamId, is_blocked: bool) {
        if let Some(stream) = self.streams.get_mut(stream.0) {
            stream.is_blocked = is_blocked;
            sync(&mut self.schedule, stream);
        }
    }

    /// The queued body of a stream.
    pub fn body_mut(&mut self, stream: StreamId) -> Option<&mut B> {
        self.streams.get_mut(stream.0)?.body.as_mut()
    }

    /// Ends a stream before its time. Its queued body comes back.
    pub fn reset(&mut self, stream: StreamId, code: ErrorCode, out: &mut Vec<u8>) -> Option<B> {
        let removed = self.take_out(stream.0, out)?;
        write_rst_stream(out, stream.0, code);
        self.streams.note_reset(stream.0);
        removed.body
    }

    /// There is a turn to be had.
    #[inline]
    pub fn wants_to_send(&self) -> bool {
        !self.schedule.is_empty() && self.send.room() > 0
    }

    /// There are queued bodies, whether or not windows let them go.
    pub fn has_waiting_bodies(&self) -> bool {
        self.streams.iter().any(|stream| stream.body.is_some())
    }

    /// There are queued bodies whose bytes are at hand; those that get no turn wait for windows.
    pub fn has_ready_bodies(&self) -> bool {
        let mut streams = self.streams.iter();
        streams.any(|stream| stream.body.is_some() && !stream.is_blocked)
    }

    /// There are queued bodies whose bytes are not there yet.
    pub fn has_blocked_bodies(&self) -> bool {
        let mut streams = self.streams.iter();
        streams.any(|stream| stream.body.is_some() && stream.is_blocked)
    }

    /// The answer is complete.
    #[inline]
    fn end_answer(&mut self, id: u32, out: &mut Vec<u8>) {
        let stream = self.streams.get_mut(id).expect("the stream is open");
        match stream.state.after(Ends::We) {
            None => drop(self.take_out(id, out)),
            Some(state) => {
                stream.state = state;
                stream.body = None;
                sync(&mut self.schedule, stream);
                self.discard_content(StreamId(id), out);
                self.let_request_end(id, out);
            }
        }
    }
}

/// Brings the schedule in line with what a stream can do.
#[inline]
pub(super) fn sync<B>(schedule: &mut Schedule, stream: &mut Stream<B>) {
    let may_send = stream.may_send();
    if may_send == stream.is_scheduled {
        return;
    }
    stream.is_scheduled = may_send;
    if may_send {
        schedule.add(stream.id, stream.priority);
    } else {
        schedule.remove(stream.id);
    }
}
