//! Byte ranges (RFC 9110 §14): what a `Range` field asks of a representation of known length.

use super::field::trim;

/// A part of a representation: never empty, never beyond its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    start: u64,
    last: u64,
    complete_length: u64,
}

impl ByteRange {
    /// The bytes `start..=last` of `complete_length`; `None` when that is empty or beyond the end.
    pub fn new(start: u64, last: u64, complete_length: u64) -> Option<ByteRange> {
        (start <= last && last < complete_length).then_some(ByteRange {
            start,
            last,
            complete_length,
        })
    }

    /// Position of the first byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Position of the last byte.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Number of bytes, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u64 {
        self.last - self.start + 1
    }

    /// Length of the whole representation.
    pub fn complete_length(&self) -> u64 {
        self.complete_length
    }

    /// The value of `Content-Range` in a 206 (RFC 9110 §14.4).
    pub fn content_range(&self) -> String {
        let ByteRange {
            start,
            last,
            complete_length,
        } = self;
        format!("bytes {start}-{last}/{complete_length}")
    }
}

/// The value of `Content-Range` in a 416 (RFC 9110 §15.5.17).
pub fn unsatisfied_content_range(complete_length: u64) -> String {
    format!("bytes */{complete_length}")
}

/// What a `Range` field means for one representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRequest {
    /// The whole representation: the unit is unknown, the field is malformed, or it asks for
    /// several ranges (RFC 9110 §14.2 lets a server ignore all of these).
    Ignore,
    /// One range.
    Single(ByteRange),
    /// Well-formed, but no range overlaps the representation: 416.
    Unsatisfiable,
}

/// Reads a `Range` value for a representation of `complete_length` bytes.
pub fn parse(value: &[u8], complete_length: u64) -> RangeRequest {
    let Some(set) = strip_unit(value) else {
        return RangeRequest::Ignore;
    };
    // Some clients send a range with every request, only to bound the answer: an empty
    // representation is answered with 200, since no range of it could be expressed.
    if complete_length == 0 {
        return RangeRequest::Ignore;
    }
    let mut satisfiable = None;
    let (mut specs, mut satisfiable_count) = (0, 0);
    for spec in set.split(|byte| *byte == b',').map(trim) {
        if spec.is_empty() {
            continue; // RFC 9110 §5.6.1.2
        }
        specs += 1;
        match parse_spec(spec, complete_length) {
            Spec::Invalid => return RangeRequest::Ignore,
            Spec::Unsatisfiable => {}
            Spec::Range(range) => {
                satisfiable_count += 1;
                satisfiable = Some(range);
            }
        }
    }
    match satisfiable {
        Some(range) if satisfiable_count == 1 => RangeRequest::Single(range),
        None if specs > 0 => RangeRequest::Unsatisfiable,
        _ => RangeRequest::Ignore,
    }
}

/// `bytes=`, in any case (RFC 9110 §14.1).
fn strip_unit(value: &[u8]) -> Option<&[u8]> {
    let (unit, set) = value.split_at_checked(b"bytes=".len())?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(set)
}

enum Spec {
    Invalid,
    Unsatisfiable,
    Range(ByteRange),
}

/// One range-spec of RFC 9110 §14.1.2.
fn parse_spec(spec: &[u8], complete_length: u64) -> Spec {
    let Some(dash) = memchr::memchr(b'-', spec) else {
        return Spec::Invalid;
    };
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    let end = complete_length - 1;
    let range = match (first.is_empty(), last.is_empty()) {
        (true, true) => return Spec::Invalid,
        (true, false) => parse_digits(last).map(|suffix| match suffix {
            0 => (complete_length, end),
            suffix => (complete_length.saturating_sub(suffix), end),
        }),
        (false, true) => parse_digits(first).map(|first| (first, end)),
        (false, false) => match (parse_digits(first), parse_digits(last)) {
            (Some(first), Some(last)) if first <= last => Some((first, last.min(end))),
            _ => return Spec::Invalid,
        },
    };
    match range {
        None => Spec::Invalid,
        Some((start, last)) => {
            ByteRange::new(start, last, complete_length).map_or(Spec::Unsatisfiable, Spec::Range)
        }
    }
}

/// Decimal digits; a number too large for us is as good as the largest.
fn parse_digits(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges;
impl Ranges {
    pub fn len(&self) -> usize {
        0
    }
    pub fn iter(&self) -> impl Iterator<Item = ByteRange> {
        [].into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn single(start: u64, end_exclusive: u64, length: u64) -> RangeRequest {
        RangeRequest::Single(ByteRange::new(start, end_exclusive - 1, length).unwrap())
    }

    /// The rows of `ServeFileRangeTests` in Go's net/http (fs_test.go, BSD-3-Clause) with at most
    /// one range, and the one whose ranges are wasteful; the file there has 11 bytes.
    #[test]
    fn the_table_of_go() {
        let n = 11;
        let rows = [
            ("bytes=0-4", single(0, 5, n)),
            ("bytes=2-", single(2, n, n)),
            ("bytes=-5", single(n - 5, n, n)),
            ("bytes=3-7", single(3, 8, n)),
            ("bytes=5-1000", single(5, n, n)),
            ("bytes=0-,1-,2-,3-,4-", RangeRequest::Ignore),
            ("bytes=0-9", single(0, n - 1, n)),
            ("bytes=0-10", single(0, n, n)),
            ("bytes=0-11", single(0, n, n)),
            ("bytes=10-11", single(n - 1, n, n)),
            ("bytes=10-", single(n - 1, n, n)),
            ("bytes=11-", RangeRequest::Unsatisfiable),
            ("bytes=11-12", RangeRequest::Unsatisfiable),
            ("bytes=12-12", RangeRequest::Unsatisfiable),
            ("bytes=11-100", RangeRequest::Unsatisfiable),
            ("bytes=12-100", RangeRequest::Unsatisfiable),
            ("bytes=100-", RangeRequest::Unsatisfiable),
            ("bytes=100-1000", RangeRequest::Unsatisfiable),
        ];
        for (value, expected) in rows {
            assert_eq!(parse(value.as_bytes(), n), expected, "{value}");
        }
    }

    /// RFC 9110 §14.1.1, §14.1.2
    #[test]
    fn odd_values() {
        use RangeRequest::{Ignore, Unsatisfiable};
        let n = 11;
        let rows = [
            ("", Ignore),
            ("bytes", Ignore),
            ("bytes=", Ignore),
            ("bytes=,", Ignore),
            ("bytes=-", Ignore),
            ("bytes=abc-", Ignore),
            ("bytes=4-3", Ignore),
            ("bytes=0-4,x", Ignore),
            ("bytes=--1", Ignore),
            ("bytes=+1-2", Ignore),
            ("bytes=0x1-2", Ignore),
            ("bytes=1 - 2", Ignore),
            ("bytes 0-4", Ignore),
            ("pages=1-2", Ignore),
            ("bytes=0-1,5-8", Ignore),
            ("bytes=-0", Unsatisfiable),
            ("bytes=11-,-0", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=1-99999999999999999999999", single(1, n, n)),
            ("bytes=-99999999999999999999999", single(0, n, n)),
            ("bytes=-12", single(0, n, n)),
            ("BYTES=0-0", single(0, 1, n)),
            ("bytes= 0-4 ,\t, 20-30", single(0, 5, n)),
        ];
        for (value, expected) in rows {
            assert_eq!(parse(value.as_bytes(), n), expected, "{value}");
        }
        assert_eq!(parse(b"bytes=0-", 0), Ignore);
        assert_eq!(parse(b"bytes=-5", 0), Ignore);
    }

    #[test]
    fn content_range() {
        let range = ByteRange::new(2, 5, 11).unwrap();
        assert_eq!(range.content_range(), "bytes 2-5/11");
        assert_eq!((range.start(), range.last(), range.len()), (2, 5, 4));
        assert_eq!(unsatisfied_content_range(11), "bytes */11");
        assert_eq!(ByteRange::new(5, 4, 11), None);
        assert_eq!(ByteRange::new(0, 11, 11), None);
        assert_eq!(ByteRange::new(0, 0, 0), None);
        let whole = ByteRange::new(0, u64::MAX - 1, u64::MAX).unwrap();
        assert_eq!(whole.len(), u64::MAX);
    }

    proptest! {
        #[test]
        fn a_range_lies_inside(
            value in "bytes=[0-9]{0,21}-[0-9]{0,21}(,[0-9]{0,3}-[0-9]{0,3}){0,2}",
            length: u64,
        ) {
            if let RangeRequest::Single(range) = parse(value.as_bytes(), length) {
                prop_assert!(range.start() <= range.last() && range.last() < length);
                prop_assert!(range.len() >= 1 && range.len() <= length);
            }
        }

        #[test]
        fn a_plain_range_is_cut_at_the_end(
            first in 0u64..50,
            more in 0u64..50,
            length in 1u64..60,
        ) {
            let last = first + more;
            let expected = match ByteRange::new(first, last.min(length - 1), length) {
                Some(range) => RangeRequest::Single(range),
                None => RangeRequest::Unsatisfiable,
            };
            prop_assert_eq!(parse(format!("bytes={first}-{last}").as_bytes(), length), expected);
        }
    }
}
