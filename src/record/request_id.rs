//! The name of one request, by which its answer, its line in the log and a complaint are joined.

use std::fmt;

use crate::base::limits::REQUEST_ID_BYTES_MAX;

/// Bytes of an id that we make: a prefix of the worker's life and a counter.
const MADE_BYTES: usize = 16;

/// Digits of made ids, in the order of ASCII, without letters that are taken for others.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// An id of visible ASCII, ours or a trusted peer's.
#[derive(Clone, Copy)]
pub struct RequestId {
    len: u8,
    bytes: [u8; REQUEST_ID_BYTES_MAX],
}

impl RequestId {
    /// An id that a trusted peer has sent (`X-Request-Id`); `None` when it is empty, too long, or
    /// holds anything but visible ASCII.
    pub fn taken(value: &[u8]) -> Option<RequestId> {
        if value.is_empty() || !value.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let mut bytes = [0; REQUEST_ID_BYTES_MAX];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(RequestId {
            len: value.len() as u8,
            bytes,
        })
    }

    /// Its text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("an id is ASCII")
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &RequestId) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for RequestId {}

impl fmt::Debug for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Makes the ids of one worker. They sort in the order in which they were made.
#[derive(Clone, Debug)]
pub struct RequestIds {
    last: [u8; MADE_BYTES],
}

impl RequestIds {
    /// Ids behind a prefix of 40 bits of `seed`, which should be another for each worker and each
    /// start.
    pub fn new(seed: u64) -> RequestIds {
        let mut last = [DIGITS[0]; MADE_BYTES];
        for (place, digit) in last[..MADE_BYTES / 2].iter_mut().enumerate() {
            *digit = DIGITS[(seed >> (place * 5)) as usize % DIGITS.len()];
        }
        RequestIds { last }
    }

    /// Ids behind a prefix that chance has chosen.
    pub fn random() -> RequestIds {
        let mut seed = [0; 8];
        aws_lc_rs::rand::fill(&mut seed).expect("the machine has random numbers");
        RequestIds::new(u64::from_le_bytes(seed))
    }

    /// The next id: one more than the last, digit by digit.
    #[inline]
    pub fn make(&mut self) -> RequestId {
        for digit in self.last.iter_mut().rev() {
            *digit = match *digit {
                b'z' => b'0',
                // The letters that are left out: i, l, o and u.
                b'9' => b'a',
                before @ (b'h' | b'k' | b'n' | b't') => before + 2,
                before => before + 1,
            };
            if *digit != b'0' {
                break;
            }
        }
        let mut bytes = [0; REQUEST_ID_BYTES_MAX];
        bytes[..MADE_BYTES].copy_from_slice(&self.last);
        RequestId {
            len: MADE_BYTES as u8,
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_counted_in_the_digits_of_the_alphabet() {
        let mut ids = RequestIds::new(0);
        let mut before = None;
        for number in 1..=70_000_usize {
            let id = ids.make();
            let digits = id.as_bytes().iter().map(|byte| {
                let place = DIGITS.iter().position(|digit| digit == byte);
                place.expect("a digit")
            });
            assert_eq!(digits.fold(0, |value, digit| value * 32 + digit), number);
            assert!(before.is_none_or(|before: String| before.as_str() < id.as_str()));
            before = Some(id.to_string());
        }
    }

    #[test]
    fn the_last_id_is_followed_by_the_first() {
        let mut ids = RequestIds { last: [b'z'; 16] };
        assert_eq!(ids.make().as_str(), "0000000000000000");
        assert_eq!(ids.make().as_str(), "0000000000000001");
    }

    #[test]
    fn other_seeds_make_other_ids() {
        let id = |seed| RequestIds::new(seed).make();
        assert_ne!(id(1), id(2));
        assert_eq!(id(7), id(7));
        assert_ne!(RequestIds::random().make(), RequestIds::random().make());
    }

    #[test]
    fn only_short_visible_ids_are_taken() {
        let long = [b'x'; REQUEST_ID_BYTES_MAX + 1];
        for refused in [&b""[..], b"a b", b"a\n", b"\x7f", b"\xc3\xa4", &long] {
            assert_eq!(RequestId::taken(refused), None, "{refused:?}");
        }
        for taken in [&b"a"[..], b"3f\"<~!", &long[1..]] {
            assert_eq!(RequestId::taken(taken).unwrap().as_bytes(), taken);
        }
    }
}
