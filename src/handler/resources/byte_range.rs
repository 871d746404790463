//! `Content-Range` of a request (RFC 9110 §14.4, §14.5): which bytes of a resource its content is.

use super::refusal::{Refusal, Result};
use crate::http::Status;
use crate::http::field::parse_length;

/// The bytes that a PATCH writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrittenRange {
    pub(super) first: u64,
    pub(super) len: u64,
    /// What the whole shall have when all parts of it have been written.
    complete: Option<u64>,
}

impl WrittenRange {
    /// Reads `bytes first-last/complete`, where the length may be `*`.
    pub(super) fn parse(value: &[u8]) -> Option<WrittenRange> {
        let (unit, rest) = value.split_first_chunk::<6>()?;
        if !unit.eq_ignore_ascii_case(b"bytes ") {
            return None;
        }
        let slash = memchr::memchr(b'/', rest)?;
        let (range, complete) = (&rest[..slash], &rest[slash + 1..]);
        let dash = memchr::memchr(b'-', range)?;
        let first = parse_length(&range[..dash])?;
        let last = parse_length(&range[dash + 1..])?;
        let complete = match complete {
            b"*" => None,
            length => Some(parse_length(length)?),
        };
        if complete.is_some_and(|length| last >= length) {
            return None;
        }
        let len = last.checked_sub(first)?.checked_add(1)?;
        Some(WrittenRange {
            first,
            len,
            complete,
        })
    }

    /// The length of the whole, now `len`, once the range is written. Bytes between the end and the
    /// range would be nobody's.
    pub(super) fn length_after(&self, len: u64) -> Result<u64> {
        if self.first > len {
            let reason = "The range begins behind the end of the resource";
            let refusal = Refusal::because(Status::RANGE_NOT_SATISFIABLE, reason);
            return Err(refusal.with("Content-Range", format!("bytes */{len}")));
        }
        if self.complete.is_some_and(|complete| len > complete) {
            let reason = "The resource is longer than the request says";
            return Err(Refusal::because(Status::CONFLICT, reason));
        }
        let end = self.first.checked_add(self.len);
        let end = end.ok_or_else(|| Refusal::new(Status::CONTENT_TOO_LARGE))?;
        Ok(len.max(end))
    }
}

/// A range that is read lies within the numbers that it was read from.
pub(super) fn fuzz(value: &[u8]) {
    let Some(range) = WrittenRange::parse(value) else {
        return;
    };
    assert!(range.len > 0);
    for len in [0, range.first, u64::MAX] {
        if let Ok(after) = range.length_after(len) {
            assert!(after >= len && after - range.first >= range.len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read() {
        for (value, first, len, complete) in [
            ("bytes 0-0/1", 0, 1, Some(1)),
            ("bytes 5-9/*", 5, 5, None),
            ("BYTES 10-19/100", 10, 10, Some(100)),
        ] {
            let expected = WrittenRange {
                first,
                len,
                complete,
            };
            assert_eq!(WrittenRange::parse(value.as_bytes()), Some(expected));
        }
        for value in [
            "",
            "bytes",
            "bytes */10",
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes 0-1",
            "bytes 0-1/",
            "bytes -1/2",
            "bytes 0-/2",
            "bytes=0-1/2",
            "bytes 0-18446744073709551615/*",
            "bytes 0-1/+2",
            "rows 0-1/2",
        ] {
            assert_eq!(WrittenRange::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn what_is_written_stands_without_a_gap() {
        let after = |value: &str, len| {
            let range = WrittenRange::parse(value.as_bytes()).unwrap();
            range
                .length_after(len)
                .map_err(|refusal| refusal.status.code())
        };
        assert_eq!(after("bytes 0-4/*", 10), Ok(10));
        assert_eq!(after("bytes 10-14/*", 10), Ok(15));
        assert_eq!(after("bytes 8-14/*", 10), Ok(15));
        assert_eq!(after("bytes 11-14/*", 10), Err(416));
        assert_eq!(after("bytes 0-4/8", 10), Err(409));
        assert_eq!(after("bytes 0-4/20", 10), Ok(10));
    }

    proptest! {
        #[test]
        fn no_value_breaks_the_reading(
            value in prop_oneof!["bytes [0-9]{1,21}-[0-9]{1,21}/([0-9]{1,21}|\\*)", ".{0,40}"],
        ) {
            fuzz(value.as_bytes());
        }
    }
}
