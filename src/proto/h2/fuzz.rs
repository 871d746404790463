//! Fuzz bodies for HTTP/2: each takes any bytes and checks what must hold for all of them.
//!
//! A cargo-fuzz target is one call of one of these; `tests/fuzz_bodies.rs` runs them as tests.

use super::frame::{FrameHeader, HEADER_BYTES, Kind, PREFACE, flags, write_header};
use super::{ErrorCode, Event, FieldList, H2Connection, H2Settings, HeadStorage, StreamId};
use crate::base::Millis;
use crate::base::limits::{H2_FRAME_BYTES_MAX, H2_STREAMS_DEFAULT, HEAD_BYTES_DEFAULT};

/// Any bytes behind a proper beginning.
pub fn fuzz_frames(input: &[u8]) {
    let mut bytes = beginning();
    bytes.extend_from_slice(input);
    check(&bytes);
}

/// A program for a client: each operation becomes a frame that is mostly well formed, on streams
/// that mostly exist.
pub fn fuzz_program(input: &[u8]) {
    let mut client = Client::new(input);
    while let Some(operation) = client.take() {
        client.run(operation);
    }
    check(&client.bytes);
}

fn beginning() -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    write_header(&mut bytes, Kind::Settings, 0, 0, 0);
    bytes
}

/// What the bytes lead to does not depend on the pieces in which they come.
fn check(bytes: &[u8]) {
    let whole = Owner::run(bytes, |_| usize::MAX);
    assert_eq!(Owner::run(bytes, |_| 1), whole, "byte by byte");
    let uneven = |at: usize| 1 + usize::from(bytes[at]) * 7 % 61;
    assert_eq!(Owner::run(bytes, uneven), whole, "in uneven pieces");
}

#[derive(Debug, PartialEq)]
enum Log {
    Request(u32, String),
    Refused(u32, u16),
    Content(u32, Vec<u8>, bool),
    Ended(u32),
    Reset(u32),
    Closed(ErrorCode),
}

/// The owner of a connection. What it does depends on the stream alone, so that runs can be
/// compared.
struct Owner {
    core: H2Connection<usize>,
    list: FieldList,
    out: Vec<u8>,
    log: Vec<Log>,
    /// Bytes of heads and bodies that it sent.
    answered: usize,
}

impl Owner {
    /// Feeds `bytes` in pieces, whose lengths follow from where they begin.
    fn run(bytes: &[u8], piece_len: impl Fn(usize) -> usize) -> Vec<Log> {
        let mut out = Vec::new();
        let mut owner = Owner {
            core: H2Connection::new(&H2Settings::default(), Millis(0), &mut out),
            list: FieldList::new(HEAD_BYTES_DEFAULT),
            out,
            log: Vec::new(),
            answered: 0,
        };
        let preface_len = owner.out.len();
        let (mut pending, mut at) = (Vec::new(), 0);
        while at < bytes.len() && owner.core.failure().is_none() {
            let end = at.saturating_add(piece_len(at)).min(bytes.len());
            pending.extend_from_slice(&bytes[at..end]);
            at = end;
            let consumed = owner.feed(&pending);
            pending.drain(..consumed);
            assert!(
                pending.len() < HEADER_BYTES + H2_FRAME_BYTES_MAX,
                "it can be taken"
            );
            assert!(owner.core.open_streams() <= H2_STREAMS_DEFAULT as usize);
        }
        let unasked = owner.out.len() - preface_len - owner.answered;
        assert!(
            unasked <= 2 * bytes.len() + 64,
            "{unasked} for {}",
            bytes.len()
        );
        check_output(&owner.out);
        owner.log
    }

    fn feed(&mut self, input: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let mut storage = HeadStorage::new();
            let (list, out) = (&mut self.list, &mut self.out);
            let step = self
                .core
                .step(&input[used..], list, &mut storage, Millis(0), out);
            used += step.consumed;
            let entry = match step.event {
                None => return used,
                Some(Event::Request { stream, head, .. }) => {
                    Log::Request(stream.0, format!("{head:?}"))
                }
                Some(Event::Refused { stream, fault, .. }) => {
                    Log::Refused(stream.0, fault.status.code())
                }
                Some(Event::Content {
                    stream, bytes, end, ..
                }) => Log::Content(stream.0, bytes.to_vec(), end),
                Some(Event::Ended { stream }) => Log::Ended(stream.0),
                Some(Event::Reset { stream }) => Log::Reset(stream.0),
                Some(Event::Closed) => {
                    let failure = self.core.failure().expect("it says why");
                    self.log.push(Log::Closed(failure.code));
                    return used;
                }
            };
            self.act(&entry);
            self.note(entry);
        }
    }

    fn act(&mut self, entry: &Log) {
        let before = self.out.len();
        match *entry {
            Log::Request(id, _) => self.on_request(StreamId(id)),
            Log::Refused(id, _) | Log::Ended(id) | Log::Content(id, _, true) => {
                let stream = StreamId(id);
                self.core.release(stream, usize::MAX, &mut self.out);
                self.core.respond(stream, &[b"\x88"], true, &mut self.out);
            }
            Log::Content(..) | Log::Reset(_) | Log::Closed(_) => {}
        }
        self.answered += self.out.len() - before;
    }

    fn on_request(&mut self, stream: StreamId) {
        let (core, out) = (&mut self.core, &mut self.out);
        match stream.0 / 2 % 6 {
            0 => {
                core.respond(stream, &[b"\x88"], false, out);
                let len = 1000;
                if core.room_now(stream) >= len {
                    core.write_data(stream, len, true, out);
                    out.resize(out.len() + len, 0);
                } else {
                    core.queue_body(stream, len, len as u64);
                }
            }
            1 => {
                core.respond(stream, &[b"\x88", b"\x0f\x0d\x0540000"], false, out);
                core.queue_body(stream, 40_000, 40_000);
            }
            2 => {
                core.respond(stream, &[b"\x88"], true, out);
            }
            3 => {
                core.reset(stream, ErrorCode::CANCEL, out);
            }
            4 => core.discard_content(stream, out),
            _ => {}
        }
        for _ in 0..3 {
            let Some(turn) = core.next_turn() else { break };
            let (stream, max) = (turn.stream, turn.max);
            *turn.body -= max;
            let end = *turn.body == 0;
            core.write_data(stream, max, end, out);
            out.resize(out.len() + max, 0);
        }
    }

    /// Pieces of content are joined, however they came.
    fn note(&mut self, entry: Log) {
        if let Log::Content(stream, bytes, end) = &entry
            && let Some(Log::Content(last, before, last_end)) = self.log.last_mut()
            && last == stream
        {
            before.extend_from_slice(bytes);
            *last_end = *end;
            return;
        }
        self.log.push(entry);
    }
}

/// What is sent is made of frames, and nothing follows the end of a stream or of the connection.
fn check_output(out: &[u8]) {
    let (mut rest, mut ended, mut is_over) = (out, Vec::new(), false);
    while !rest.is_empty() {
        let header = FrameHeader::parse(rest).expect("a whole header");
        assert!(!is_over, "something follows the last word");
        is_over = header.kind == Kind::Goaway;
        let ends = match header.kind {
            Kind::Data | Kind::Headers => header.has(flags::END_STREAM),
            Kind::RstStream => true,
            _ => false,
        };
        if matches!(header.kind, Kind::Data | Kind::Headers) {
            assert!(!ended.contains(&header.stream), "{header:?}");
        }
        if ends {
            ended.push(header.stream);
        }
        rest = &rest[HEADER_BYTES + header.len..];
    }
}

/// Writes what a program says. A byte above `WILD` asks for something that ends a connection; most
/// do not, so that programs get far.
struct Client<'a> {
    program: &'a [u8],
    /// Streams that it has opened.
    opened: u32,
    /// Those of them that have content to come, as far as it knows.
    unfinished: Vec<u32>,
    bytes: Vec<u8>,
}

const WILD: u8 = 0xf8;

impl<'a> Client<'a> {
    fn new(program: &'a [u8]) -> Client<'a> {
        Client {
            program,
            opened: 0,
            unfinished: Vec::new(),
            bytes: beginning(),
        }
    }

    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.program.split_first()?;
        self.program = rest;
        Some(*first)
    }

    fn byte(&mut self) -> u8 {
        self.take().unwrap_or(0)
    }

    /// Mostly one that was opened.
    fn stream(&mut self) -> u32 {
        match self.byte() {
            0xff => 0,
            0xfe => 2,
            WILD.. => 1 + 2 * self.opened,
            choice => 1 + 2 * (u32::from(choice) % self.opened.max(1)),
        }
    }

    /// Mostly one that has content to come.
    fn unfinished(&mut self) -> u32 {
        match self.unfinished.len() {
            0 => self.stream(),
            count => match self.byte() {
                WILD.. => self.stream(),
                choice => self.unfinished[usize::from(choice) % count],
            },
        }
    }

    fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        write_header(&mut self.bytes, kind, flags, stream, payload.len());
        self.bytes.extend_from_slice(payload);
        if matches!(kind, Kind::Data | Kind::Headers) && flags & flags::END_STREAM != 0 {
            self.unfinished.retain(|id| *id != stream);
        }
    }

    fn run(&mut self, operation: u8) {
        if self.opened == 0 {
            return self.open();
        }
        match operation % 16 {
            0..5 => self.open(),
            5..8 => {
                let (stream, flags, len) = (self.unfinished(), self.byte(), self.byte());
                let end = u8::from(flags & 6 == 6);
                self.frame(
                    Kind::Data,
                    flags & 8 | end,
                    stream,
                    &vec![3; usize::from(len)],
                );
            }
            8 => {
                let stream = self.unfinished();
                // A trailer: `x: y`.
                let end = u8::from(self.byte() < WILD);
                self.frame(Kind::Headers, end | 0x4, stream, b"\0\x01x\x01y");
            }
            9 => {
                let stream = self.stream();
                self.frame(Kind::RstStream, 0, stream, &[0, 0, 0, 8]);
            }
            10 => self.window(),
            11 => self.settings(),
            12 => self.priority(),
            13 => match self.byte() {
                WILD.. => self.frame(Kind::Continuation, 4, 1, &[0x82]),
                flags => self.frame(Kind::Ping, flags, 0, b"12345678"),
            },
            14 => {
                let len = match self.byte() {
                    WILD.. => 20.min(self.program.len()),
                    _ => 0,
                };
                let (raw, rest) = self.program.split_at(len);
                self.bytes.extend_from_slice(raw);
                self.program = rest;
            }
            _ => {
                let (stream, len) = (self.stream(), self.byte());
                self.frame(Kind::Unknown, 0, stream, &vec![1; usize::from(len)]);
            }
        }
    }

    fn window(&mut self) {
        let (stream, high, low) = (self.stream(), self.byte(), self.byte());
        let stream = if low & 1 == 0 { 0 } else { stream };
        let increment = match high {
            WILD.. => [0x7f, high, low, 0],
            _ => [0, 0, high, low | 1],
        };
        self.frame(Kind::WindowUpdate, 0, stream, &increment);
    }

    fn settings(&mut self) {
        let (id, value) = (self.byte(), self.byte());
        let value = match (id % 10, value) {
            (_, WILD..) => u32::from(value) << 24,
            (2, _) => u32::from(value & 1),
            (4, _) => u32::from(value) * 100,
            (5, _) => 0x4000 + u32::from(value),
            (9, _) => 0,
            _ => u32::from(value),
        };
        let [a, b, c, d] = value.to_be_bytes();
        self.frame(Kind::Settings, 0, 0, &[0, id % 10, a, b, c, d]);
    }

    fn priority(&mut self) {
        let (stream, choice) = (self.stream(), self.byte());
        let stream = if choice & 8 == 0 { stream } else { stream + 40 };
        if choice & 0x10 == 0 {
            let len = if choice < WILD { 5 } else { 6 };
            return self.frame(Kind::Priority, 0, stream, &vec![0; len]);
        }
        let mut payload = stream.to_be_bytes().to_vec();
        payload.extend_from_slice(&[b'u', b'=', b'0' + choice % 8, b',', b'i']);
        self.frame(Kind::PriorityUpdate, 0, 0, &payload);
    }

    fn open(&mut self) {
        let choice = self.byte();
        let stream = 1 + 2 * self.opened;
        self.opened += 1;
        self.unfinished.push(stream);
        // GET or POST, http, /, and an authority that the dynamic table keeps.
        let mut block = vec![0x82 + (choice & 1), 0x86, 0x84, 0x41, 1, b'a'];
        match choice >> 5 {
            0 => block.extend_from_slice(b"\x0f\x0d\x013"), // content-length: 3
            1 => block.extend_from_slice(b"\0\x08priority\x03u=1"),
            2 => block.extend_from_slice(b"\0\x01X\x01y"),
            3 => block.extend_from_slice(b"\x0f\x14\x03x-y"), // expect
            4 => block.push(0xbe),
            _ => {}
        }
        let ends = if choice & 2 == 0 {
            flags::END_STREAM
        } else {
            0
        };
        if choice & 0x1c == 4 {
            let (first, last) = block.split_at(usize::from(choice >> 5).min(block.len()));
            self.frame(Kind::Headers, ends, stream, first);
            self.frame(Kind::Continuation, flags::END_HEADERS, stream, last);
        } else {
            self.frame(Kind::Headers, ends | flags::END_HEADERS, stream, &block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fuzz body that never gets anywhere finds nothing.
    #[test]
    fn programs_reach_every_kind_of_event() {
        let mut seen = std::collections::BTreeMap::new();
        let mut word = 0x1234_5678_9abc_def0_u64;
        for _ in 0..3000 {
            let program: Vec<u8> = (0..60)
                .map(|_| {
                    word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    (word >> 56) as u8
                })
                .collect();
            let mut client = Client::new(&program);
            while let Some(operation) = client.take() {
                client.run(operation);
            }
            for entry in Owner::run(&client.bytes, |_| usize::MAX) {
                let kind = match entry {
                    Log::Request(..) => "request".to_owned(),
                    Log::Refused(_, status) => format!("refused {status}"),
                    Log::Content(_, _, end) => format!("content {end}"),
                    Log::Ended(_) => "ended".to_owned(),
                    Log::Reset(_) => "reset".to_owned(),
                    Log::Closed(code) => format!("closed {}", code.0),
                };
                *seen.entry(kind).or_insert(0) += 1;
            }
        }
        for kind in [
            "request",
            "refused 417",
            "content false",
            "content true",
            "ended",
            "reset",
            "closed 1",
            "closed 3",
            "closed 5",
            "closed 6",
        ] {
            assert!(seen.get(kind) > Some(&10), "{kind}: {seen:?}");
        }
    }
}
