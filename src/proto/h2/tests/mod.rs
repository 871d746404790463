//! The core driven by frames made by hand, and its answers read back.

mod abuse;
mod definitions;
mod frames;
mod leaving;
mod scheduling;
mod semantics;
mod states;
mod windows;

use super::frame::{FrameHeader, HEADER_BYTES, Kind, PREFACE, flags, write_header};
use super::{
    ErrorCode, Event, FieldList, H2Connection, H2Settings, HeadStorage, StreamId, UNKNOWN_LENGTH,
};
use crate::base::Millis;

const END_STREAM: u8 = flags::END_STREAM;
const END_HEADERS: u8 = flags::END_HEADERS;
const PADDED: u8 = flags::PADDED;
const PRIORITY: u8 = flags::PRIORITY;
const ACK: u8 = flags::ACK;
/// HEADERS of a request without content, in one frame.
const WHOLE: u8 = END_STREAM | END_HEADERS;

const GET: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/a?b"),
    (":authority", "a.example"),
];
const POST: &[(&str, &str)] = &[
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a"),
    (":authority", "a.example"),
];

/// An event with nothing borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Request { stream: u32, has_content: bool },
    Refused { stream: u32, status: u16 },
    Content(u32, Vec<u8>, bool),
    Ended(u32),
    Reset(u32),
    Closed,
}

/// A frame that the core has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    kind: Kind,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_header(&mut bytes, kind, flags, stream, payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field block of plain literals, which needs no state.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let raw: Vec<(&[u8], &[u8])> = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    raw_block(&raw)
}

fn raw_block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let string = |bytes: &mut Vec<u8>, text: &[u8]| {
        let mut len = text.len();
        if len < 127 {
            bytes.push(len as u8);
        } else {
            bytes.push(127);
            len -= 127;
            while len >= 128 {
                bytes.push(len as u8 | 128);
                len >>= 7;
            }
            bytes.push(len as u8);
        }
        bytes.extend_from_slice(text);
    };
    for (name, value) in fields {
        bytes.push(0);
        string(&mut bytes, name);
        string(&mut bytes, value);
    }
    bytes
}

fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(Kind::Headers, flags, stream, &block(fields))
}

fn get(stream: u32) -> Vec<u8> {
    headers(stream, WHOLE, GET)
}

/// A request whose content follows.
fn post(stream: u32) -> Vec<u8> {
    headers(stream, END_HEADERS, POST)
}

fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(Kind::Data, flags, stream, payload)
}

fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(Kind::WindowUpdate, 0, stream, &increment.to_be_bytes())
}

fn rst_stream(stream: u32, code: u32) -> Vec<u8> {
    frame(Kind::RstStream, 0, stream, &code.to_be_bytes())
}

fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in values {
        payload.extend_from_slice(&id.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(Kind::Settings, 0, 0, &payload)
}

const INITIAL_WINDOW_SIZE: u16 = 0x4;

/// A queued body is as many zeros.
type Core = H2Connection<usize>;

/// A connection, the client's side of which is the test.
struct Rig {
    core: Core,
    list: FieldList,
    out: Vec<u8>,
    now: Millis,
}

impl Rig {
    /// Nothing was sent by the client; the server's preface stands in `out`.
    fn silent(settings: &H2Settings) -> Rig {
        let mut out = Vec::new();
        let now = Millis(1_000_000);
        Rig {
            core: H2Connection::new(settings, now, &mut out),
            list: FieldList::new(settings.header_list_bytes_max as usize),
            out,
            now,
        }
    }

    fn with(settings: &H2Settings) -> Rig {
        let mut rig = Rig::silent(settings);
        assert_eq!(rig.feed(PREFACE), []);
        assert_eq!(rig.feed(&frame(Kind::Settings, 0, 0, b"")), []);
        assert_eq!(rig.feed(&frame(Kind::Settings, ACK, 0, b"")), []);
        rig.out.clear();
        rig
    }

    /// Prefaces and settings were exchanged.
    fn new() -> Rig {
        Rig::with(&H2Settings::default())
    }

    /// Feeds all of `input`, which holds whole frames only unless the connection fails.
    fn feed(&mut self, input: &[u8]) -> Vec<Seen> {
        let (events, consumed) = self.feed_some(input);
        assert_eq!(consumed, input.len(), "an incomplete frame is left");
        events
    }

    /// Feeds what can be taken.
    fn feed_some(&mut self, input: &[u8]) -> (Vec<Seen>, usize) {
        let (mut events, mut used) = (Vec::new(), 0);
        loop {
            let mut storage = HeadStorage::new();
            let (list, out) = (&mut self.list, &mut self.out);
            let rest = &input[used..];
            let step = self.core.step(rest, list, &mut storage, self.now, out);
            used += step.consumed;
            let seen = match step.event {
                None => return (events, used),
                Some(Event::Request {
                    stream,
                    has_content,
                    ..
                }) => Seen::Request {
                    stream: stream.0,
                    has_content,
                },
                Some(Event::Refused { stream, fault, .. }) => Seen::Refused {
                    stream: stream.0,
                    status: fault.status.code(),
                },
                Some(Event::Content {
                    stream,
                    bytes,
                    flow,
                    end,
                }) => {
                    assert_eq!(flow, bytes.len());
                    Seen::Content(stream.0, bytes.to_vec(), end)
                }
                Some(Event::Ended { stream }) => Seen::Ended(stream.0),
                Some(Event::Reset { stream }) => Seen::Reset(stream.0),
                Some(Event::Closed) => Seen::Closed,
            };
            let is_closed = seen == Seen::Closed;
            events.push(seen);
            if is_closed {
                return (events, input.len());
            }
        }
    }

    /// Feeds requests without content, and leaves them open.
    fn open(&mut self, streams: &[u32]) {
        for stream in streams {
            let expected = Seen::Request {
                stream: *stream,
                has_content: false,
            };
            assert_eq!(self.feed(&get(*stream)), [expected]);
        }
    }

    /// Feeds a request whose content is to come.
    fn open_for_content(&mut self, stream: u32) {
        let expected = Seen::Request {
            stream,
            has_content: true,
        };
        assert_eq!(self.feed(&post(stream)), [expected]);
    }

    /// Answers with a head alone.
    fn answer(&mut self, stream: u32) {
        assert!(self.respond(stream, true));
    }

    fn respond(&mut self, stream: u32, end: bool) -> bool {
        let parts: [&[u8]; 1] = [b"\x88"];
        self.core
            .respond(StreamId(stream), &parts, end, &mut self.out)
    }

    /// Answers with a head, and queues `len` bytes.
    fn queue(&mut self, stream: u32, len: usize) {
        assert!(self.respond(stream, false));
        self.core.queue_body(StreamId(stream), len, len as u64);
    }

    /// Takes one turn with up to `max` bytes: who had it, and how many bytes went.
    fn turn(&mut self, max: usize) -> Option<(u32, usize)> {
        let turn = self.core.next_turn()?;
        let len = turn.max.min(max);
        *turn.body -= len;
        let end = *turn.body == 0;
        assert_eq!(end, turn.rest == len as u64);
        let stream = turn.stream;
        self.core.write_data(stream, len, end, &mut self.out);
        self.out.resize(self.out.len() + len, 0);
        Some((stream.0, len))
    }

    /// Takes all turns there are.
    fn pump(&mut self) -> Vec<(u32, usize)> {
        std::iter::from_fn(|| self.turn(usize::MAX)).collect()
    }

    /// The frames that were sent since the last call.
    fn sent(&mut self) -> Vec<Sent> {
        let out = std::mem::take(&mut self.out);
        let (mut rest, mut frames) = (&out[..], Vec::new());
        while !rest.is_empty() {
            let header = FrameHeader::parse(rest).expect("a whole header");
            let (payload, behind) = rest[HEADER_BYTES..].split_at(header.len);
            frames.push(Sent {
                kind: header.kind,
                flags: header.flags,
                stream: header.stream,
                payload: payload.to_vec(),
            });
            rest = behind;
        }
        frames
    }

    /// The only frame that was sent is RST_STREAM.
    #[track_caller]
    fn expect_reset(&mut self, stream: u32, code: ErrorCode) {
        assert_eq!(self.sent(), [reset_frame(stream, code)]);
    }

    /// Feeds `input`, which ends the connection with `code`.
    #[track_caller]
    fn expect_failure(&mut self, input: &[u8], code: ErrorCode) {
        let events = self.feed(input);
        assert_eq!(events.last(), Some(&Seen::Closed), "{events:?}");
        self.expect_goaway(code);
    }

    #[track_caller]
    fn expect_goaway(&mut self, code: ErrorCode) {
        let failure = self.core.failure().expect("the connection has failed");
        assert_eq!(failure.code, code, "{failure:?}");
        let sent = self.sent();
        let goaway = sent.last().expect("GOAWAY stands last");
        assert_eq!(goaway.kind, Kind::Goaway);
        assert_eq!(goaway.payload[4..8], code.0.to_be_bytes());
        assert_eq!(&goaway.payload[8..], failure.reason.as_bytes());
        // Nothing more is read, written or kept.
        assert_eq!(self.feed_some(&get(0x7fff_ffff)).0, [Seen::Closed]);
        assert_eq!(self.core.open_streams(), 0);
        assert!(self.core.next_turn().is_none() && self.core.is_drained());
        assert_eq!(self.sent(), []);
    }

    /// The connection goes on as if nothing had happened.
    #[track_caller]
    fn expect_alive(&mut self) {
        self.out.clear();
        assert_eq!(self.feed(&frame(Kind::Ping, 0, 0, b"are you?")), []);
        let pong = Sent {
            kind: Kind::Ping,
            flags: ACK,
            stream: 0,
            payload: b"are you?".to_vec(),
        };
        assert_eq!(self.sent(), [pong]);
    }
}

fn reset_frame(stream: u32, code: ErrorCode) -> Sent {
    Sent {
        kind: Kind::RstStream,
        flags: 0,
        stream,
        payload: code.0.to_be_bytes().to_vec(),
    }
}

/// The increments of the WINDOW_UPDATE frames of `stream`.
fn increments(sent: &[Sent], stream: u32) -> Vec<u32> {
    let updates = sent.iter().filter(|sent| sent.kind == Kind::WindowUpdate);
    updates
        .filter(|sent| sent.stream == stream)
        .map(|sent| u32::from_be_bytes(sent.payload[..].try_into().unwrap()))
        .collect()
}
