//! Walks the frames of a connection however they are cut, and looks at their first nine octets.

/// What a client begins with, RFC 9113 §3.4.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length, type, flags and stream, RFC 9113 §4.1.
pub const HEADER_BYTES: usize = 9;
const PING_BYTES: usize = 8;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

const ACK: u8 = 0x1;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;

/// The server's preface: no setting differs from its default.
pub const SETTINGS_FRAME: [u8; HEADER_BYTES] = header(0, SETTINGS, 0, 0);
pub const SETTINGS_ACK_FRAME: [u8; HEADER_BYTES] = header(0, SETTINGS, ACK, 0);

/// The first octets of a frame.
pub const fn header(length: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEADER_BYTES] {
    let [_, length_high, length_middle, length_low] = (length as u32).to_be_bytes();
    let stream = stream.to_be_bytes();
    [
        length_high,
        length_middle,
        length_low,
        kind,
        flags,
        stream[0],
        stream[1],
        stream[2],
        stream[3],
    ]
}

/// The answer to a PING.
pub fn ping_ack(payload: [u8; PING_BYTES]) -> [u8; HEADER_BYTES + PING_BYTES] {
    let mut frame = [0; HEADER_BYTES + PING_BYTES];
    frame[..HEADER_BYTES].copy_from_slice(&header(PING_BYTES, PING, ACK, 0));
    frame[HEADER_BYTES..].copy_from_slice(&payload);
    frame
}

/// What needs an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The client's preface has come, without its SETTINGS.
    Preface,
    /// A HEADERS frame on this stream. What the measured load sends has no content or trailers.
    Request(u32),
    Settings,
    Ping([u8; PING_BYTES]),
}

/// The connection does not begin with the preface.
#[derive(Debug, PartialEq, Eq)]
pub struct NotHttp2;

/// Where in its frames a connection is.
#[derive(Default)]
pub struct Walker {
    /// Octets of the preface that have come.
    preface: usize,
    /// The beginning of a frame that is cut, and of a PING its payload too.
    carry: [u8; HEADER_BYTES + PING_BYTES],
    carried: usize,
    /// Octets of payload that are still to be passed over.
    rest: usize,
}

impl Walker {
    /// Reports what needs an answer in `received`, which follows what came before.
    #[inline]
    pub fn walk(
        &mut self,
        mut received: &[u8],
        mut on_event: impl FnMut(Event),
    ) -> Result<(), NotHttp2> {
        if self.preface < PREFACE.len() {
            received = self.walk_preface(received, &mut on_event)?;
        }
        loop {
            let passed = self.rest.min(received.len());
            self.rest -= passed;
            received = &received[passed..];
            if received.is_empty() {
                return Ok(());
            }
            if self.carried == 0
                && let Some(header) = received.first_chunk()
                && header[3] != PING
            {
                received = &received[HEADER_BYTES..];
                self.on_header(header, &mut on_event);
            } else {
                received = self.walk_cut(received, &mut on_event);
            }
        }
    }

    fn walk_preface<'a>(
        &mut self,
        received: &'a [u8],
        on_event: &mut impl FnMut(Event),
    ) -> Result<&'a [u8], NotHttp2> {
        let missing = &PREFACE[self.preface..];
        let count = missing.len().min(received.len());
        if received[..count] != missing[..count] {
            return Err(NotHttp2);
        }
        self.preface += count;
        if self.preface == PREFACE.len() {
            on_event(Event::Preface);
        }
        Ok(&received[count..])
    }

    #[inline]
    fn on_header(&mut self, header: &[u8; HEADER_BYTES], on_event: &mut impl FnMut(Event)) {
        let [high, middle, low, kind, flags, stream @ ..] = *header;
        self.rest = u32::from_be_bytes([0, high, middle, low]) as usize;
        match kind {
            HEADERS => on_event(Event::Request(u32::from_be_bytes(stream) & (u32::MAX >> 1))),
            SETTINGS if flags & ACK == 0 => on_event(Event::Settings),
            _ => {}
        }
    }

    /// A header in pieces, or a PING, whose payload counts as part of it.
    fn walk_cut<'a>(
        &mut self,
        mut received: &'a [u8],
        on_event: &mut impl FnMut(Event),
    ) -> &'a [u8] {
        received = self.fill_carry(HEADER_BYTES, received);
        if self.carried < HEADER_BYTES {
            return received;
        }
        let header: [u8; HEADER_BYTES] = *self.carry.first_chunk().expect("it is longer");
        if header[3] != PING {
            self.carried = 0;
            self.on_header(&header, on_event);
            return received;
        }
        received = self.fill_carry(HEADER_BYTES + PING_BYTES, received);
        if let Some(payload) = self.carry[HEADER_BYTES..self.carried].first_chunk() {
            self.carried = 0;
            if header[4] & ACK == 0 {
                on_event(Event::Ping(*payload));
            }
        }
        received
    }

    /// Takes from `received` until `wanted` octets are carried.
    fn fill_carry<'a>(&mut self, wanted: usize, received: &'a [u8]) -> &'a [u8] {
        let count = wanted.saturating_sub(self.carried).min(received.len());
        self.carry[self.carried..self.carried + count].copy_from_slice(&received[..count]);
        self.carried += count;
        &received[count..]
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn request(stream: u32) -> Vec<u8> {
        let block = b"\x82\x86\x84\x41\x01a";
        let flags = END_STREAM | END_HEADERS;
        [&header(block.len(), HEADERS, flags, stream)[..], block].concat()
    }

    pub fn settings() -> Vec<u8> {
        let mut frame = header(6, SETTINGS, 0, 0).to_vec();
        frame.extend_from_slice(&[0, 4, 0x3f, 0xff, 0xff, 0xff]);
        frame
    }

    fn ping(flags: u8) -> Vec<u8> {
        [&header(PING_BYTES, PING, flags, 0)[..], b"12345678"].concat()
    }

    fn events_of(parts: &[&[u8]]) -> Vec<Event> {
        let mut walker = Walker::default();
        let mut events = Vec::new();
        for part in parts {
            walker.walk(part, |event| events.push(event)).unwrap();
        }
        events
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let window_update = [&header(4, 8, 0, 0)[..], b"\x00\x00\x01\x00"].concat();
        let stream = [
            PREFACE.to_vec(),
            settings(),
            window_update,
            SETTINGS_ACK_FRAME.to_vec(),
            request(1),
            ping(0),
            ping(ACK),
            request(0x8000_0003),
        ]
        .concat();
        let expected = [
            Event::Preface,
            Event::Settings,
            Event::Request(1),
            Event::Ping(*b"12345678"),
            Event::Request(3),
        ];
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let parts = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(events_of(&parts), expected, "cut at {first} and {second}");
            }
        }
        let octets: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(events_of(&octets), expected);
    }

    #[test]
    fn another_protocol_is_seen_at_its_first_octet() {
        let mut walker = Walker::default();
        assert_eq!(walker.walk(b"GET ", |_| {}), Err(NotHttp2));
    }
}
