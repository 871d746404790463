//! What each frame of the peer does (RFC 9113 §6).

use super::connection::{Block, DRAIN_PING, Event, H2Connection, Leaving, Progress, Reading};
use super::error::{ErrorCode, Failure};
use super::flow::{ReceiveWindow, SendWindow};
use super::frame::{
    FrameHeader, HEADER_BYTES, Kind, PRIORITY_BYTES, SETTING_BYTES, flags, headers_fragment,
    u32_at, write_ping, write_rst_stream, write_settings_ack,
};
use super::hpack::{FieldList, HpackError};
use super::request::{Outline, Refusal, check_trailers, outline};
use super::schedule::Priority;
use super::send::sync;
use super::streams::{
    Arriving, Ends, Place, State, Stream, StreamId, UNKNOWN_LENGTH, Verdict, judge,
};
use crate::base::Millis;
use crate::base::limits::H2_CONTINUATIONS_MAX;

const STREAM_BITS: u32 = 0x7fff_ffff;

impl<B> H2Connection<B> {
    /// Takes the frame at the start of `rest`, if it is whole. DATA is taken piece by piece.
    #[inline]
    pub(super) fn on_frame<'a>(
        &mut self,
        rest: &'a [u8],
        list: &mut FieldList,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Progress<'a>), Failure> {
        let Some(header) = FrameHeader::parse(rest) else {
            return Ok((0, Progress::Wait));
        };
        header.check()?;
        self.check_order(header)?;
        match header.kind {
            Kind::Data => return self.on_data(header, rest, now, out),
            Kind::Unknown => {
                self.abuse.on_control(1, now)?;
                self.skip(header.len);
                return Ok((HEADER_BYTES, Progress::Continue));
            }
            _ => {}
        }
        let consumed = HEADER_BYTES + header.len;
        let Some(payload) = rest.get(HEADER_BYTES..consumed) else {
            return Ok((0, Progress::Wait));
        };
        let progress = match header.kind {
            Kind::Headers => self.on_headers(header, payload, list, now, out)?,
            Kind::Continuation => self.on_continuation(header, payload, list, now, out)?,
            Kind::RstStream => self.on_rst_stream(header, now, out)?,
            Kind::WindowUpdate => self.on_window_update(header, payload, now, out)?,
            Kind::Priority => self.on_priority(header, now, out)?,
            _ => {
                self.on_connection_frame(header, payload, now, out)?;
                Progress::Continue
            }
        };
        Ok((consumed, progress))
    }

    /// What may follow what: SETTINGS come first (§3.4), and the frames of a field block stand
    /// together (§4.3).
    #[inline]
    fn check_order(&mut self, header: FrameHeader) -> Result<(), Failure> {
        if matches!(self.reading, Reading::FirstFrame) {
            if header.kind != Kind::Settings || header.has(flags::ACK) {
                return Err(Failure::protocol("the first frame is not SETTINGS"));
            }
            self.reading = Reading::Frames;
        }
        match (&self.block, header.kind) {
            (Some(block), Kind::Continuation) if block.stream == header.stream => Ok(()),
            (Some(_), _) => Err(Failure::protocol("a field block was interrupted")),
            (None, Kind::Continuation) => Err(Failure::protocol("CONTINUATION of nothing")),
            // §8.4: a client cannot push.
            (None, Kind::PushPromise) => Err(Failure::protocol("PUSH_PROMISE of a client")),
            (None, _) => Ok(()),
        }
    }

    /// Where a stream stands.
    #[inline]
    pub(super) fn locate(&self, id: u32) -> Place {
        if id.is_multiple_of(2) {
            return Place::Idle; // Ours to open, and we never do.
        }
        match self.leaving {
            Leaving::Final { last } if id > last => Place::BeyondGoaway,
            _ => self.streams.place(id),
        }
    }

    #[inline]
    fn on_headers<'a>(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        list: &mut FieldList,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Progress<'a>, Failure> {
        // §5.1.1
        if header.stream.is_multiple_of(2) {
            return Err(Failure::protocol("HEADERS on a stream of an even id"));
        }
        let fragment = headers_fragment(header, payload)?;
        let ends = header.has(flags::END_STREAM);
        if header.has(flags::END_HEADERS) {
            return self.on_block(header.stream, ends, fragment, list, now, out);
        }
        self.block = Some(Box::new(Block {
            stream: header.stream,
            ends,
            bytes: fragment.to_vec(),
            continuations: 0,
        }));
        Ok(Progress::Continue)
    }

    /// §6.10. The joined block is bounded in frames and bytes (CVE-2024-27316).
    #[cold]
    fn on_continuation<'a>(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        list: &mut FieldList,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Progress<'a>, Failure> {
        let mut block = self.block.take().expect("the order was checked");
        block.continuations += 1;
        block.bytes.extend_from_slice(payload);
        let bytes_max = self.local.header_list_bytes_max as usize;
        if block.continuations > H2_CONTINUATIONS_MAX || block.bytes.len() > bytes_max {
            return Err(Failure::calm("a field block in too many pieces"));
        }
        if header.has(flags::END_HEADERS) {
            return self.on_block(block.stream, block.ends, &block.bytes, list, now, out);
        }
        self.block = Some(block);
        Ok(Progress::Continue)
    }

    /// A whole field block. It is decoded whatever becomes of its stream, since it may change the
    /// compression state (§4.3).
    #[inline]
    fn on_block<'a>(
        &mut self,
        id: u32,
        ends: bool,
        block: &[u8],
        list: &mut FieldList,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Progress<'a>, Failure> {
        let place = self.locate(id);
        let verdict = judge(place, Arriving::Headers);
        list.clear();
        self.decoder.decode(block, list).map_err(hpack_failure)?;
        match verdict {
            Verdict::Accept if place == Place::Idle => self.on_request(id, ends, list, now, out),
            Verdict::Accept => self.on_trailers(id, ends, list, now, out),
            Verdict::Ignore => {
                self.abuse.on_fault(now)?;
                Ok(Progress::Continue)
            }
            Verdict::StreamClosed => self.stream_error(id, ErrorCode::STREAM_CLOSED, now, out),
            Verdict::ConnectionStreamClosed => Err(STREAM_IS_CLOSED),
            Verdict::ConnectionProtocolError => {
                Err(Failure::protocol("a stream id below one that was used"))
            }
        }
    }

    /// A field section that opens a stream.
    #[inline]
    fn on_request<'a>(
        &mut self,
        id: u32,
        ends: bool,
        list: &FieldList,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Progress<'a>, Failure> {
        self.streams.note_used(id);
        let early = self.early.take(id);
        // §5.1.2
        if self.streams.len() >= self.local.max_concurrent_streams as usize {
            return self.refuse(id, now, out);
        }
        let stream = StreamId(id);
        match outline(list, !ends) {
            Ok(outline) => {
                self.abuse.on_use();
                self.open(id, ends, outline.length, early.unwrap_or(outline.priority));
                Ok(request(stream, outline, !ends))
            }
            // §8.1.1
            Err(Refusal::Malformed(_)) => {
                self.stream_error(id, ErrorCode::PROTOCOL_ERROR, now, out)
            }
            Err(Refusal::Fault { fault, head_only }) => {
                self.abuse.on_fault(now)?;
                let priority = early.unwrap_or(Priority::DEFAULT);
                self.open(id, ends, UNKNOWN_LENGTH, priority);
                Ok(Progress::Event(Event::Refused {
                    stream,
                    fault,
                    head_only,
                }))
            }
        }
    }

    /// §5.1.2, §8.7: nothing was done for the request. It is no fault of a peer that has not heard
    /// of our limit yet, but work like a frame of control.
    #[cold]
    fn refuse<'a>(
        &mut self,
        id: u32,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Progress<'a>, Failure> {
        if self.knows_limits {
            self.abuse.on_fault(now)?;
        } else {
            self.abuse.on_control(1, now)?;
        }
        write_rst_stream(out, id, ErrorCode::REFUSED_STREAM);
        self.streams.note_reset(id);
        Ok(Progress::Continue)
    }

    #[inline]
    fn open(&mut self, id: u32, ends: bool, expected: u64, priority: Priority) {
        let state = if ends {
            State::HalfClosedRemote
        } else {
            State::Open
        };
        self.streams.open(Stream {
            id,
            state,
            priority,
            send: SendWindow::new(self.peer.initial_window),
            receive: ReceiveWindow::new(self.local.initial_window),
            held: 0,
            expected,
            discarded: None,
            body: None,
            rest: 0,
            is_blocked: false,
            is_scheduled: false,
        });
    }

    /// §8.1: a second field section ends the request.
    #[cold]
    fn on_trailers<'a>(
        &mut self,
        id: u32,
        ends: bool,
        list: &FieldList,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Progress<'a>, Failure> {
        let stream = self.streams.get(id).expect("it was located");
        let is_complete = stream.expected == 0 || stream.expected == UNKNOWN_LENGTH;
        if !ends || !is_complete || check_trailers(list).is_err() {
            return self.stream_error(id, ErrorCode::PROTOCOL_ERROR, now, out);
        }
        Ok(self.peer_ends(id, out))
    }

    /// The request is complete.
    pub(super) fn peer_ends<'a>(&mut self, id: u32, out: &mut Vec<u8>) -> Progress<'a> {
        let stream = self.streams.get_mut(id).expect("it was located");
        let is_unwanted = stream.discarded.is_some();
        match stream.state.after(Ends::Peer) {
            Some(state) => stream.state = state,
            None => drop(self.take_out(id, out)),
        }
        if is_unwanted {
            return Progress::Continue;
        }
        let stream = StreamId(id);
        Progress::Event(Event::Ended { stream })
    }

    /// §6.4
    fn on_rst_stream<'a>(
        &mut self,
        header: FrameHeader,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Progress<'a>, Failure> {
        self.abuse.on_reset(now)?;
        match judge(self.locate(header.stream), Arriving::Reset) {
            Verdict::Accept => Ok(self.drop_stream(header.stream, out)),
            Verdict::ConnectionProtocolError => Err(Failure::protocol(
                "RST_STREAM on a stream that was not opened",
            )),
            _ => Ok(Progress::Continue),
        }
    }

    /// §6.9
    fn on_window_update<'a>(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Progress<'a>, Failure> {
        self.abuse.on_control(1, now)?;
        let increment = u32_at(payload, 0) & STREAM_BITS;
        let id = header.stream;
        if id == 0 {
            if increment == 0 {
                return Err(Failure::protocol("a window is opened by nothing"));
            }
            let added = self.send.add(i64::from(increment));
            added.map_err(|_| Failure::flow_control("the window is too large"))?;
            return Ok(Progress::Continue);
        }
        match judge(self.locate(id), Arriving::WindowUpdate) {
            Verdict::Accept => {}
            Verdict::ConnectionProtocolError => {
                return Err(Failure::protocol(
                    "WINDOW_UPDATE on a stream that was not opened",
                ));
            }
            _ => return Ok(Progress::Continue),
        }
        let stream = self.streams.get_mut(id).expect("it was located");
        let code = if increment == 0 {
            ErrorCode::PROTOCOL_ERROR
        } else if stream.send.add(i64::from(increment)).is_err() {
            ErrorCode::FLOW_CONTROL_ERROR
        } else {
            sync(&mut self.schedule, stream);
            return Ok(Progress::Continue);
        };
        self.stream_error(id, code, now, out)
    }

    /// §6.3: deprecated and ignored, but for its size.
    #[cold]
    fn on_priority<'a>(
        &mut self,
        header: FrameHeader,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Progress<'a>, Failure> {
        self.abuse.on_control(1, now)?;
        if header.len == PRIORITY_BYTES {
            return Ok(Progress::Continue);
        }
        // RST_STREAM would be out of place on a stream that is idle or closed.
        match self.locate(header.stream) {
            Place::Live(_) => {
                self.stream_error(header.stream, ErrorCode::FRAME_SIZE_ERROR, now, out)
            }
            _ => Err(Failure::frame_size("PRIORITY of a wrong size")),
        }
    }

    #[cold]
    fn on_connection_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        // Settings cost by their number, since each is work.
        const SETTINGS_PER_TOKEN: usize = 8;
        let is_settings = header.kind == Kind::Settings;
        let settings = usize::from(is_settings) * payload.len() / SETTING_BYTES;
        let cost = 1 + settings / SETTINGS_PER_TOKEN;
        self.abuse.on_control(cost as u32, now)?;
        match header.kind {
            Kind::Settings if header.has(flags::ACK) => self.knows_limits = true,
            Kind::Settings => self.on_settings(payload, out)?,
            // §6.7
            Kind::Ping if header.has(flags::ACK) => {
                if self.leaving == Leaving::Announced && payload == DRAIN_PING {
                    self.goaway_now(ErrorCode::NO_ERROR, out);
                }
            }
            Kind::Ping => write_ping(out, flags::ACK, payload),
            // §6.8: we open no streams, so there is none to give up. §7: its code means nothing.
            Kind::Goaway => self.is_peer_leaving = true,
            Kind::PriorityUpdate => self.on_priority_update(payload)?,
            _ => unreachable!("the frames of streams are handled before"),
        }
        Ok(())
    }

    /// §6.5.3, §6.9.2
    fn on_settings(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let before = i64::from(self.peer.initial_window);
        let changed = self.peer.apply(payload)?;
        self.owes_table_update |= changed.lowers_header_table;
        let peak = i64::from(changed.initial_window_peak) - before;
        let delta = i64::from(self.peer.initial_window) - before;
        for stream in self.streams.iter_mut() {
            let mut at_peak = stream.send;
            if at_peak.add(peak).is_err() || stream.send.add(delta).is_err() {
                return Err(Failure::flow_control(
                    "SETTINGS_INITIAL_WINDOW_SIZE makes a window too large",
                ));
            }
            sync(&mut self.schedule, stream);
        }
        write_settings_ack(out);
        Ok(())
    }

    /// RFC 9218 §7.1
    fn on_priority_update(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let id = u32_at(payload, 0) & STREAM_BITS;
        if id.is_multiple_of(2) {
            return Err(Failure::protocol(
                "PRIORITY_UPDATE of a stream that is not the client's",
            ));
        }
        let priority = Priority::parse(&payload[4..]);
        match self.locate(id) {
            Place::Live(_) => {
                let stream = self.streams.get_mut(id).expect("it was located");
                stream.priority = priority;
                if stream.is_scheduled {
                    self.schedule.remove(id);
                    self.schedule.add(id, priority);
                }
                Ok(())
            }
            Place::Idle => {
                let streams_max = self.local.max_concurrent_streams as usize;
                let max = streams_max.saturating_sub(self.streams.len());
                if self.early.keep(id, priority, max) {
                    Ok(())
                } else {
                    Err(Failure::protocol(
                        "PRIORITY_UPDATE of more streams than may be open",
                    ))
                }
            }
            _ => Ok(()),
        }
    }

    /// A stream error (§5.4.2): the peer has broken the rules of one stream, which may be gone.
    #[cold]
    pub(super) fn stream_error<'a>(
        &mut self,
        id: u32,
        code: ErrorCode,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Progress<'a>, Failure> {
        self.abuse.on_fault(now)?;
        write_rst_stream(out, id, code);
        self.streams.note_reset(id);
        Ok(self.drop_stream(id, out))
    }

    /// A stream ends before its time, unless it was gone anyway.
    fn drop_stream<'a>(&mut self, id: u32, out: &mut Vec<u8>) -> Progress<'a> {
        match self.take_out(id, out) {
            Some(stream) if !stream.is_answered() => {
                let stream = StreamId(id);
                Progress::Event(Event::Reset { stream })
            }
            _ => Progress::Continue,
        }
    }

    /// Removes a stream from everywhere. What its owner holds of the connection's window goes back.
    pub(super) fn take_out(&mut self, id: u32, out: &mut Vec<u8>) -> Option<Stream<B>> {
        let stream = self.streams.remove(id)?;
        if stream.is_scheduled {
            self.schedule.remove(id);
        }
        if stream.held > 0 {
            self.give_back(stream.held, out);
        }
        Some(stream)
    }
}

const STREAM_IS_CLOSED: Failure =
    Failure::new(ErrorCode::STREAM_CLOSED, "HEADERS on a closed stream");

#[cold]
fn hpack_failure(error: HpackError) -> Failure {
    match error {
        HpackError::TooMuchWork => Failure::calm(error.reason()),
        _ => Failure::new(ErrorCode::COMPRESSION_ERROR, error.reason()),
    }
}

fn request<'a>(stream: StreamId, outline: Outline, has_content: bool) -> Progress<'a> {
    Progress::Request {
        stream,
        outline,
        has_content,
    }
}
