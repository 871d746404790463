//! The bytes of an entry in the ring: numbers of fixed places, then the texts.
//!
//! They never leave the process, so that what is read was written here, and their layout may change
//! with every build.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::entry::{CacheState, Entry, METHODS, VERSIONS};
use super::request_id::RequestId;
use crate::base::limits::{
    LOGGED_HOST_BYTES_MAX, LOGGED_QUERY_BYTES_MAX, LOGGED_REFERER_BYTES_MAX,
    LOGGED_TARGET_BYTES_MAX, LOGGED_USER_AGENT_BYTES_MAX, LOGGED_USER_BYTES_MAX,
    REQUEST_ID_BYTES_MAX,
};

/// What ends a text that was cut.
pub(super) const CUT_MARK: &str = "…";

/// The most that each text may have, in the order in which they are written.
const TEXT_BYTES_MAX: [usize; 7] = [
    LOGGED_TARGET_BYTES_MAX,
    LOGGED_QUERY_BYTES_MAX,
    LOGGED_REFERER_BYTES_MAX,
    LOGGED_USER_AGENT_BYTES_MAX,
    LOGGED_HOST_BYTES_MAX,
    LOGGED_USER_BYTES_MAX,
    REQUEST_ID_BYTES_MAX,
];
/// The length of a text that is not there.
const NONE: u16 = u16::MAX;

/// Bytes before the texts: the length of what follows it (2), time, content (8 each), duration (4),
/// status (2), method, version, cache (1 each), kind of address (1), address (16), text lengths.
const FIXED_BYTES: usize = 2 + 8 + 8 + 4 + 2 + 3 + 1 + 16 + 2 * TEXT_BYTES_MAX.len();

/// Bytes of the longest entry.
pub(super) const ENTRY_BYTES_MAX: usize = FIXED_BYTES + {
    let (mut bytes, mut index) = (0, 0);
    while index < TEXT_BYTES_MAX.len() {
        assert!(TEXT_BYTES_MAX[index] > CUT_MARK.len());
        bytes += TEXT_BYTES_MAX[index];
        index += 1;
    }
    bytes
};
const _: () = assert!(ENTRY_BYTES_MAX < NONE as usize);

/// Marks a request over TLS in the byte of its version.
const SECURE: u8 = 0x80;

/// Replaces what is in `out` by an entry with its length in front.
pub(super) fn encode(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let texts: [Option<&[u8]>; 7] = [
        Some(entry.target),
        entry.query,
        entry.referer,
        entry.user_agent,
        entry.host,
        entry.user.map(str::as_bytes),
        Some(entry.id.as_bytes()),
    ];
    out.clear();
    out.extend_from_slice(&[0; FIXED_BYTES]);
    let mut lengths = [NONE; 7];
    for ((text, bytes_max), length) in texts.into_iter().zip(TEXT_BYTES_MAX).zip(&mut lengths) {
        let Some(text) = text else {
            continue;
        };
        let before = out.len();
        if text.len() <= bytes_max {
            out.extend_from_slice(text);
        } else {
            push_cut(out, text, bytes_max);
        }
        *length = (out.len() - before) as u16;
    }

    let (kind, address) = encode_address(entry.address);
    let len = (out.len() - 2) as u16;
    let mut place = &mut out[..FIXED_BYTES];
    put(&mut place, len.to_le_bytes());
    put(&mut place, entry.unix_ms.to_le_bytes());
    put(&mut place, entry.bytes.to_le_bytes());
    put(&mut place, entry.micros.to_le_bytes());
    put(&mut place, entry.status.to_le_bytes());
    let secure = if entry.is_secure { SECURE } else { 0 };
    let version = entry.version as u8 | secure;
    put(
        &mut place,
        [entry.method as u8, version, entry.cache as u8, kind],
    );
    put(&mut place, address);
    for length in lengths {
        put(&mut place, length.to_le_bytes());
    }
    debug_assert!(place.is_empty());
}

/// Appends the beginning of a text and the mark. Does not cut through a letter of UTF-8.
#[cold]
fn push_cut(out: &mut Vec<u8>, text: &[u8], bytes_max: usize) {
    let end = bytes_max - CUT_MARK.len();
    let is_boundary = |at: &usize| text[*at] & 0xc0 != 0x80;
    let end = (end.saturating_sub(3)..=end)
        .rev()
        .find(is_boundary)
        .unwrap_or(end);
    out.extend_from_slice(&text[..end]);
    out.extend_from_slice(CUT_MARK.as_bytes());
}

fn encode_address(address: Option<IpAddr>) -> (u8, [u8; 16]) {
    match address {
        None => (0, [0; 16]),
        Some(IpAddr::V4(address)) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&address.octets());
            (4, octets)
        }
        Some(IpAddr::V6(address)) => (6, address.octets()),
    }
}

/// The address of a kind; of an IPv4 address the first four octets.
fn decode_address(kind: u8, octets: [u8; 16]) -> Option<IpAddr> {
    let [a, b, c, d, ..] = octets;
    match kind {
        4 => Some(Ipv4Addr::new(a, b, c, d).into()),
        6 => Some(Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

#[inline]
fn put<const N: usize>(place: &mut &mut [u8], bytes: [u8; N]) {
    let (head, rest) = std::mem::take(place)
        .split_first_chunk_mut()
        .expect("the fixed part has a place for it");
    *head = bytes;
    *place = rest;
}

/// Takes what [`encode`] has written, without the length in front of it.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self
            .0
            .split_first_chunk()
            .expect("an entry is written whole");
        self.0 = rest;
        *head
    }

    fn text(&mut self, length: u16) -> Option<&'a [u8]> {
        if length == NONE {
            return None;
        }
        let (text, rest) = self.0.split_at(usize::from(length));
        self.0 = rest;
        Some(text)
    }
}

/// The time of an encoded entry.
pub(super) fn unix_ms(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(Cursor(bytes).take())
}

/// The entry whose bytes, behind its length, these are.
pub(super) fn decode(bytes: &[u8]) -> Entry<'_> {
    let mut cursor = Cursor(bytes);
    let unix_ms = u64::from_le_bytes(cursor.take());
    let content = u64::from_le_bytes(cursor.take());
    let micros = u32::from_le_bytes(cursor.take());
    let status = u16::from_le_bytes(cursor.take());
    let [method, version, cache, kind] = cursor.take();
    let address = decode_address(kind, cursor.take());
    let lengths: [u16; 7] = std::array::from_fn(|_| u16::from_le_bytes(cursor.take()));
    let [target, query, referer, user_agent, host, user, id] =
        lengths.map(|length| cursor.text(length));
    debug_assert!(cursor.0.is_empty());
    Entry {
        unix_ms,
        address,
        user: user.map(|user| str::from_utf8(user).expect("it was a &str, cut at a letter")),
        method: METHODS[usize::from(method)],
        target: target.unwrap_or_default(),
        query,
        version: VERSIONS[usize::from(version & !SECURE)],
        is_secure: version & SECURE != 0,
        host,
        status,
        bytes: content,
        micros,
        id: id.and_then(RequestId::taken).expect("it was an id"),
        cache: CacheState::ALL[usize::from(cache)],
        referer,
        user_agent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fuzz::sample;

    fn round_trip(entry: &Entry<'_>, check: impl FnOnce(&Entry<'_>)) {
        let mut out = b"old".to_vec();
        encode(entry, &mut out);
        let (len, rest) = out.split_first_chunk().unwrap();
        assert_eq!(usize::from(u16::from_le_bytes(*len)), rest.len());
        assert!(out.len() <= ENTRY_BYTES_MAX);
        assert_eq!(unix_ms(rest), entry.unix_ms);
        check(&decode(rest));
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let full = sample();
        let empty = Entry {
            address: None,
            user: None,
            target: b"",
            query: None,
            host: None,
            referer: None,
            user_agent: None,
            is_secure: false,
            ..full
        };
        let odd = Entry {
            unix_ms: u64::MAX,
            bytes: u64::MAX,
            micros: u32::MAX,
            status: u16::MAX,
            address: Some("2001:db8::1".parse().unwrap()),
            query: Some(b""),
            user: Some(""),
            ..full
        };
        for entry in [full, empty, odd] {
            round_trip(&entry, |read| assert_eq!(*read, entry));
        }
    }

    #[test]
    fn every_method_version_and_state_survives() {
        for method in METHODS {
            for version in VERSIONS {
                for cache in CacheState::ALL {
                    let entry = Entry {
                        method,
                        version,
                        cache,
                        ..sample()
                    };
                    round_trip(&entry, |read| assert_eq!(*read, entry));
                }
            }
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_letter_and_marked() {
        let long = "ä".repeat(4096);
        for odd in ["", "x"] {
            let text = format!("{odd}{long}");
            let entry = Entry {
                user: Some(&text),
                target: text.as_bytes(),
                query: Some(text.as_bytes()),
                host: Some(text.as_bytes()),
                referer: Some(text.as_bytes()),
                user_agent: Some(text.as_bytes()),
                id: RequestId::taken(&[b'x'; REQUEST_ID_BYTES_MAX]).unwrap(),
                ..sample()
            };
            round_trip(&entry, |read| {
                let texts = [
                    (Some(read.target), LOGGED_TARGET_BYTES_MAX),
                    (read.query, LOGGED_QUERY_BYTES_MAX),
                    (read.referer, LOGGED_REFERER_BYTES_MAX),
                    (read.user_agent, LOGGED_USER_AGENT_BYTES_MAX),
                    (read.host, LOGGED_HOST_BYTES_MAX),
                    (read.user.map(str::as_bytes), LOGGED_USER_BYTES_MAX),
                ];
                for (cut, bytes_max) in texts {
                    let cut = str::from_utf8(cut.unwrap()).unwrap();
                    assert!(cut.len() <= bytes_max && cut.len() > bytes_max - 2);
                    let kept = cut.strip_suffix(CUT_MARK).unwrap();
                    assert!(text.starts_with(kept) && kept.len() > 2);
                }
            });
        }
    }

    #[test]
    fn what_just_fits_is_not_cut_and_no_utf_8_is_cut_anywhere() {
        let fits = [0xff; LOGGED_TARGET_BYTES_MAX];
        let entry = Entry {
            target: &fits,
            ..sample()
        };
        round_trip(&entry, |read| assert_eq!(read.target, fits));
        let tails = [0x80; LOGGED_TARGET_BYTES_MAX + 1];
        let entry = Entry {
            target: &tails,
            ..sample()
        };
        round_trip(&entry, |read| {
            assert_eq!(read.target.len(), LOGGED_TARGET_BYTES_MAX);
            assert!(read.target.ends_with(CUT_MARK.as_bytes()));
        });
    }
}
