//! Frames as bytes (RFC 9113 §4.1, §6): headers and payloads, in and out.
//!
//! What a frame means for a stream or the connection is decided elsewhere; here stands only what
//! can be said of a frame by itself.

use super::error::{ErrorCode, Failure};
use crate::base::limits::H2_FRAME_BYTES_MAX;

/// Bytes of a frame header.
pub(super) const HEADER_BYTES: usize = 9;

/// What a client sends first (§3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The flags of §6; ACK shares its bit with END_STREAM.
pub(super) mod flags {
    pub(in crate::proto::h2) const ACK: u8 = 0x1;
    pub(in crate::proto::h2) const END_STREAM: u8 = 0x1;
    pub(in crate::proto::h2) const END_HEADERS: u8 = 0x4;
    pub(in crate::proto::h2) const PADDED: u8 = 0x8;
    pub(in crate::proto::h2) const PRIORITY: u8 = 0x20;
}

/// The frame types that this server knows (§6, RFC 9218 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Data = 0x0,
    Headers = 0x1,
    Priority = 0x2,
    RstStream = 0x3,
    Settings = 0x4,
    PushPromise = 0x5,
    Ping = 0x6,
    Goaway = 0x7,
    WindowUpdate = 0x8,
    Continuation = 0x9,
    PriorityUpdate = 0x10,
    /// Any other; ignored (§4.1).
    Unknown = 0xff,
}

impl Kind {
    fn of(byte: u8) -> Kind {
        match byte {
            0x0 => Kind::Data,
            0x1 => Kind::Headers,
            0x2 => Kind::Priority,
            0x3 => Kind::RstStream,
            0x4 => Kind::Settings,
            0x5 => Kind::PushPromise,
            0x6 => Kind::Ping,
            0x7 => Kind::Goaway,
            0x8 => Kind::WindowUpdate,
            0x9 => Kind::Continuation,
            0x10 => Kind::PriorityUpdate,
            _ => Kind::Unknown,
        }
    }
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Bytes of the payload.
    pub(super) len: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    /// 0 for frames of the connection.
    pub(super) stream: u32,
}

impl FrameHeader {
    /// Reads the header at the start of `input`; `None` when it is not whole yet.
    #[inline]
    pub(super) fn parse(input: &[u8]) -> Option<FrameHeader> {
        let [a, b, c, kind, flags, d, e, f, g] = *input.first_chunk::<HEADER_BYTES>()?;
        Some(FrameHeader {
            len: u32::from_be_bytes([0, a, b, c]) as usize,
            kind: Kind::of(kind),
            flags,
            // §4.1: the reserved bit is ignored.
            stream: u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff,
        })
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What is wrong with a frame whatever its payload and whatever came before it. PRIORITY of a
    /// wrong size is a matter of its stream (§6.3).
    #[inline]
    pub(super) fn check(&self) -> Result<(), Failure> {
        // §4.2: an error of the stream would do for some, but who sends these cannot count.
        if self.len > H2_FRAME_BYTES_MAX {
            return Err(Failure::frame_size(
                "a frame exceeds SETTINGS_MAX_FRAME_SIZE",
            ));
        }
        let needs_stream = match self.kind {
            Kind::Data
            | Kind::Headers
            | Kind::Priority
            | Kind::RstStream
            | Kind::PushPromise
            | Kind::Continuation => true,
            Kind::Settings | Kind::Ping | Kind::Goaway | Kind::PriorityUpdate => false,
            Kind::WindowUpdate | Kind::Unknown => return self.check_len(),
        };
        if needs_stream == (self.stream != 0) {
            self.check_len()
        } else if needs_stream {
            Err(Failure::protocol("a frame of a stream on stream 0"))
        } else {
            Err(Failure::protocol("a frame of the connection on a stream"))
        }
    }

    #[inline]
    fn check_len(&self) -> Result<(), Failure> {
        let is_right = match self.kind {
            Kind::Data | Kind::Headers => {
                let padding = usize::from(self.has(flags::PADDED));
                let has_priority = self.kind == Kind::Headers && self.has(flags::PRIORITY);
                self.len >= padding + if has_priority { PRIORITY_BYTES } else { 0 }
            }
            Kind::RstStream | Kind::WindowUpdate => self.len == 4,
            Kind::Settings if self.has(flags::ACK) => self.len == 0,
            Kind::Settings => self.len.is_multiple_of(SETTING_BYTES),
            Kind::Ping => self.len == 8,
            Kind::Goaway => self.len >= 8,
            Kind::PriorityUpdate => self.len >= 4,
            Kind::Priority | Kind::PushPromise | Kind::Continuation | Kind::Unknown => true,
        };
        if is_right {
            Ok(())
        } else {
            Err(Failure::frame_size("a frame of a wrong size"))
        }
    }
}

/// Bytes of one setting (§6.5.1).
pub(super) const SETTING_BYTES: usize = 6;
/// Bytes of the deprecated priority of HEADERS and PRIORITY (§6.2, §6.3).
pub(super) const PRIORITY_BYTES: usize = 5;

const TOO_MUCH_PADDING: Failure = Failure::protocol("more padding than payload");

/// The field block fragment of a HEADERS payload, without padding and priority (§6.2).
#[inline]
pub(super) fn headers_fragment(header: FrameHeader, payload: &[u8]) -> Result<&[u8], Failure> {
    let mut fragment = payload;
    if header.has(flags::PADDED) {
        let (pad_len, rest) = fragment.split_first().ok_or(TOO_MUCH_PADDING)?;
        let end = rest.len().checked_sub(usize::from(*pad_len));
        fragment = &rest[..end.ok_or(TOO_MUCH_PADDING)?];
    }
    if header.has(flags::PRIORITY) {
        // §5.3.2: deprecated, and ignored as RFC 9218 §2.1 has it.
        fragment = fragment.get(PRIORITY_BYTES..).ok_or(TOO_MUCH_PADDING)?;
    }
    Ok(fragment)
}

/// How many bytes of a DATA payload are content (§6.1), given its pad length.
#[inline]
pub(super) fn data_len(header: FrameHeader, pad_len: Option<u8>) -> Result<usize, Failure> {
    match pad_len {
        None => Ok(header.len),
        Some(pad_len) => (header.len - 1)
            .checked_sub(usize::from(pad_len))
            .ok_or(TOO_MUCH_PADDING),
    }
}

/// The four bytes at `at`, which the caller knows to be there.
pub(super) fn u32_at(payload: &[u8], at: usize) -> u32 {
    let bytes = payload[at..].first_chunk::<4>();
    u32::from_be_bytes(*bytes.expect("the frame's size was checked"))
}

/// Appends a frame header.
#[inline]
pub(super) fn write_header(out: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, len: usize) {
    debug_assert!(len < 1 << 24);
    let [_, a, b, c] = (len as u32).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind as u8, flags, d, e, f, g]);
}

pub(super) fn write_rst_stream(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    write_header(out, Kind::RstStream, 0, stream, 4);
    out.extend_from_slice(&code.0.to_be_bytes());
}

pub(super) fn write_window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    debug_assert!(increment > 0 && increment < 1 << 31);
    write_header(out, Kind::WindowUpdate, 0, stream, 4);
    out.extend_from_slice(&increment.to_be_bytes());
}

pub(super) fn write_ping(out: &mut Vec<u8>, flags: u8, payload: &[u8]) {
    write_header(out, Kind::Ping, flags, 0, payload.len());
    out.extend_from_slice(payload);
}

pub(super) fn write_goaway(out: &mut Vec<u8>, last: u32, code: ErrorCode, debug_data: &str) {
    write_header(out, Kind::Goaway, 0, 0, 8 + debug_data.len());
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(debug_data.as_bytes());
}

pub(super) fn write_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    write_header(out, Kind::Settings, 0, 0, settings.len() * SETTING_BYTES);
    for (id, value) in settings {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(super) fn write_settings_ack(out: &mut Vec<u8>) {
    write_header(out, Kind::Settings, flags::ACK, 0, 0);
}

/// Appends a field block (§4.3): HEADERS, and CONTINUATION for what does not fit into one frame.
#[inline]
pub(super) fn write_block(
    out: &mut Vec<u8>,
    stream: u32,
    end_stream: bool,
    parts: &[&[u8]],
    frame_bytes_max: usize,
) {
    let end = if end_stream { flags::END_STREAM } else { 0 };
    let len = parts.iter().map(|part| part.len()).sum();
    if len > frame_bytes_max {
        return write_long_block(out, stream, end, &parts.concat(), frame_bytes_max);
    }
    out.reserve(HEADER_BYTES + len);
    write_header(out, Kind::Headers, end | flags::END_HEADERS, stream, len);
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cold]
fn write_long_block(out: &mut Vec<u8>, stream: u32, end: u8, block: &[u8], frame_bytes_max: usize) {
    let mut fragments = block.chunks(frame_bytes_max).peekable();
    let (mut kind, mut flags) = (Kind::Headers, end);
    while let Some(fragment) = fragments.next() {
        if fragments.peek().is_none() {
            flags |= flags::END_HEADERS;
        }
        write_header(out, kind, flags, stream, fragment.len());
        out.extend_from_slice(fragment);
        (kind, flags) = (Kind::Continuation, 0);
    }
}
