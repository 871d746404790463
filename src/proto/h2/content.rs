//! The content of requests (RFC 9113 §6.1): DATA frames, and the windows that they come through.

use super::connection::{Event, H2Connection, Progress, Reading};
use super::error::{ErrorCode, Failure};
use super::frame::{FrameHeader, HEADER_BYTES, data_len, flags, write_window_update};
use super::streams::{Arriving, State, StreamId, Verdict, judge};
use crate::base::Millis;
use crate::base::limits::DRAIN_BYTES_MAX;

impl<B> H2Connection<B> {
    /// Content that is done with: its window opens again. What is not released when the stream ends
    /// opens the connection's window then.
    pub fn release(&mut self, stream: StreamId, bytes: usize, out: &mut Vec<u8>) {
        let id = stream.0;
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let bytes = bytes.min(stream.held);
        stream.held -= bytes;
        let ends = stream.state != State::Open;
        self.release_window(id, bytes, ends, out);
    }

    /// A half of [`H2Connection::release`], for content that has to wait longer than others should:
    /// the connection's window opens again.
    pub fn release_to_connection(&mut self, stream: StreamId, bytes: usize, out: &mut Vec<u8>) {
        if let Some(stream) = self.streams.get_mut(stream.0) {
            let bytes = bytes.min(stream.held);
            stream.held -= bytes;
            self.give_back(bytes, out);
        }
    }

    /// The other half: the stream's window opens again. No more in all than came.
    pub fn release_to_stream(&mut self, stream: StreamId, bytes: usize, out: &mut Vec<u8>) {
        let id = stream.0;
        if let Some(stream) = self.streams.get_mut(id)
            && stream.state == State::Open
            && stream.discarded.is_none()
            && let Some(increment) = stream.receive.give_back(bytes)
        {
            write_window_update(out, id, increment);
        }
    }

    /// Nobody wants the content of this request, now or later: no more events tell of it. The
    /// stream's window stays as it is, so that the peer stops soon.
    pub fn discard_content(&mut self, stream: StreamId, out: &mut Vec<u8>) {
        if let Some(stream) = self.streams.get_mut(stream.0) {
            stream.discarded.get_or_insert(0);
            let held = std::mem::take(&mut stream.held);
            self.give_back(held, out);
        }
    }

    /// The answer is complete, the request is not. A peer that has used up its window would wait
    /// for ever, and its stream with it: it may go on to the end of the request, or to where it is
    /// reset.
    pub(super) fn let_request_end(&mut self, id: u32, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let discarded = stream.discarded.unwrap_or(0);
        let until_reset = DRAIN_BYTES_MAX.saturating_sub(discarded) as u32 + 1;
        if stream.expected > u64::from(stream.receive.left())
            && let Some(increment) = stream.receive.widen_to(until_reset)
        {
            write_window_update(out, id, increment);
        }
    }

    /// The header of a DATA frame (§6.1). The whole frame counts at once, its content is handed on
    /// as it comes.
    pub(super) fn on_data<'a>(
        &mut self,
        header: FrameHeader,
        rest: &[u8],
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Progress<'a>), Failure> {
        let is_padded = header.has(flags::PADDED);
        let pad_len = rest.get(HEADER_BYTES).copied().filter(|_| is_padded);
        if is_padded && pad_len.is_none() {
            return Ok((0, Progress::Wait));
        }
        let content = data_len(header, pad_len)?;
        let consumed = HEADER_BYTES + usize::from(is_padded);
        let verdict = judge(self.locate(header.stream), Arriving::Data);
        if verdict == Verdict::ConnectionProtocolError {
            return Err(Failure::protocol("DATA on a stream that was not opened"));
        }
        if !self.receive.book(header.len) {
            return Err(Failure::flow_control("more content than the window allows"));
        }
        self.skip(header.len - usize::from(is_padded));
        let progress = match verdict {
            Verdict::Accept => self.on_wanted_data(header, content, now, out)?,
            _ => {
                self.give_back(header.len, out);
                match verdict {
                    Verdict::StreamClosed => {
                        self.stream_error(header.stream, ErrorCode::STREAM_CLOSED, now, out)?
                    }
                    _ => Progress::Continue,
                }
            }
        };
        Ok((consumed, progress))
    }

    /// DATA on a stream that takes content; `content` bytes of it are no padding.
    fn on_wanted_data<'a>(
        &mut self,
        header: FrameHeader,
        content: usize,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Progress<'a>, Failure> {
        let id = header.stream;
        let ends = header.has(flags::END_STREAM);
        if content == 0 && !ends {
            self.abuse.on_control(1, now)?;
        }
        let stream = self.streams.get_mut(id).expect("it was located");
        let code = if !stream.receive.book(header.len) {
            Some(ErrorCode::FLOW_CONTROL_ERROR)
        } else if !stream.expects(content as u64, ends) {
            Some(ErrorCode::PROTOCOL_ERROR)
        } else {
            None
        };
        if let Some(code) = code {
            self.give_back(header.len, out);
            return self.stream_error(id, code, now, out);
        }
        if let Some(discarded) = &mut stream.discarded {
            *discarded += header.len as u64;
            let is_too_much = *discarded > DRAIN_BYTES_MAX && stream.is_answered();
            self.give_back(header.len, out);
            if ends {
                return Ok(self.peer_ends(id, out));
            }
            if is_too_much {
                // §8.1: the answer is complete, the rest of the request is not needed.
                self.reset(StreamId(id), ErrorCode::NO_ERROR, out);
            }
            return Ok(Progress::Continue);
        }
        // Padding is of no use to anybody.
        self.release_window(id, header.len - content, ends, out);
        if content > 0 {
            let padding = header.len - content - usize::from(header.has(flags::PADDED));
            self.reading = Reading::Data {
                stream: id,
                left: content,
                padding,
                ends,
            };
            return Ok(Progress::Continue);
        }
        Ok(if ends {
            self.peer_ends(id, out)
        } else {
            Progress::Continue
        })
    }

    /// A piece of the content of a DATA frame.
    pub(super) fn on_content<'a>(
        &mut self,
        rest: &'a [u8],
        id: u32,
        left: usize,
        padding: usize,
        ends: bool,
        out: &mut Vec<u8>,
    ) -> (usize, Progress<'a>) {
        let bytes = &rest[..left.min(rest.len())];
        if bytes.is_empty() {
            return (0, Progress::Wait);
        }
        let flow = bytes.len();
        let left = left - flow;
        if left == 0 {
            self.skip(padding);
        } else {
            self.reading = Reading::Data {
                stream: id,
                left,
                padding,
                ends,
            };
        }
        let end = ends && left == 0;
        let progress = match self.streams.get_mut(id) {
            Some(stream) if stream.discarded.is_none() => {
                stream.held += flow;
                if end {
                    self.peer_ends(id, out);
                }
                let stream = StreamId(id);
                Progress::Event(Event::Content {
                    stream,
                    bytes,
                    flow,
                    end,
                })
            }
            // Its owner has lost interest since the frame began.
            found => {
                let is_open = found.is_some();
                self.give_back(flow, out);
                if is_open && end {
                    self.peer_ends(id, out);
                }
                Progress::Continue
            }
        };
        (flow, progress)
    }

    /// Gives `bytes` of the connection's window back.
    pub(super) fn give_back(&mut self, bytes: usize, out: &mut Vec<u8>) {
        if let Some(increment) = self.receive.give_back(bytes) {
            write_window_update(out, 0, increment);
        }
    }

    /// Gives `bytes` of both windows back; nothing more is to come on a stream that `ends`.
    pub(super) fn release_window(&mut self, id: u32, bytes: usize, ends: bool, out: &mut Vec<u8>) {
        self.give_back(bytes, out);
        if let Some(stream) = self.streams.get_mut(id)
            && !ends
            && let Some(increment) = stream.receive.give_back(bytes)
        {
            write_window_update(out, id, increment);
        }
    }
}
