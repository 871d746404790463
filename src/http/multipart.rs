//! `multipart/byteranges` (RFC 9110 §14.6): what stands around several parts of a representation.
//!
//! Only the text between the parts is made here; their bytes are added by who holds them.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::hash::{BuildHasher, RandomState};

use super::Ranges;

/// The line between two parts, which must not occur within one: 128 bits that nobody can guess, so
/// that nobody can have written them into a file. RFC 2046 §5.1.1 allows 70 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary(u128);

impl Boundary {
    /// A boundary that was not used before.
    pub fn new() -> Boundary {
        thread_local! {
            /// SipHash with random keys of the operating system, and what it has been asked.
            static SOURCE: (RandomState, Cell<u64>) = (RandomState::new(), Cell::new(0));
        }
        SOURCE.with(|(keys, used)| {
            let number = used.get();
            used.set(number.wrapping_add(2));
            let half = |number: u64| u128::from(keys.hash_one(number));
            Boundary(half(number) << 64 | half(number | 1))
        })
    }
}

impl Default for Boundary {
    fn default() -> Boundary {
        Boundary::new()
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// The frame of one answer of several parts. On the wire stand `part_head(0)`, the bytes of the
/// first range, `part_head(1)`, …, the bytes of the last range, `last()`.
#[derive(Clone, Copy, Debug)]
pub struct Multipart<'a> {
    ranges: &'a Ranges,
    media_type: &'a str,
    boundary: Boundary,
}

impl<'a> Multipart<'a> {
    /// The frame for `ranges` of a representation of type `media_type`.
    pub fn new(ranges: &'a Ranges, media_type: &'a str, boundary: Boundary) -> Multipart<'a> {
        Multipart {
            ranges,
            media_type,
            boundary,
        }
    }

    /// The value of `Content-Type` in the answer's head. It has no `Content-Range` (RFC 9110
    /// §15.3.7.2): each part has one.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// The value of `Content-Length`: all parts with all that stands around them. Files have at
    /// most `i64::MAX` bytes, so that this cannot overflow.
    pub fn content_length(&self) -> u64 {
        let mut frame = Counter(0);
        for index in 0..self.ranges.len() {
            self.write_part_head(index, &mut frame);
        }
        self.write_last(&mut frame);
        frame.0 + self.ranges.total_bytes()
    }

    /// What stands before the bytes of the range at `index`: the delimiter and the part's fields.
    ///
    /// # Panics
    ///
    /// When there is no such range.
    pub fn part_head(&self, index: usize) -> Vec<u8> {
        let mut head = String::new();
        self.write_part_head(index, &mut head);
        head.into_bytes()
    }

    /// What stands behind the last part.
    pub fn last(&self) -> Vec<u8> {
        let mut last = String::new();
        self.write_last(&mut last);
        last.into_bytes()
    }

    /// The line end before a delimiter belongs to it (RFC 2046 §5.1.1); before the first there is
    /// nothing to end.
    fn write_part_head(&self, index: usize, out: &mut impl Write) {
        let line_end = if index == 0 { "" } else { "\r\n" };
        write!(
            out,
            "{line_end}--{}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
            self.boundary,
            self.media_type,
            self.ranges.get(index).content_range(),
        )
        .expect("writing to memory does not fail");
    }

    fn write_last(&self, out: &mut impl Write) {
        write!(out, "\r\n--{}--\r\n", self.boundary).expect("writing to memory does not fail");
    }
}

/// Counts what is written.
struct Counter(u64);

impl Write for Counter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::range::{self, RangeRequest};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn several(value: &str, length: u64) -> Option<Ranges> {
        match range::parse(value.as_bytes(), length) {
            RangeRequest::Several(ranges) => Some(ranges),
            _ => None,
        }
    }

    fn body(multipart: &Multipart<'_>, ranges: &Ranges, content: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        for (index, range) in ranges.iter().enumerate() {
            body.extend(multipart.part_head(index));
            body.extend(&content[range.start() as usize..=range.last() as usize]);
        }
        body.extend(multipart.last());
        body
    }

    /// RFC 9110 §14.6, §15.3.7.2
    #[test]
    fn what_stands_on_the_wire() {
        let ranges = several("bytes=0-0,-2", 11).unwrap();
        let multipart = Multipart::new(&ranges, "text/plain; charset=utf-8", Boundary(0xab));
        let boundary = "000000000000000000000000000000ab";
        assert_eq!(
            multipart.content_type(),
            format!("multipart/byteranges; boundary={boundary}")
        );
        let expected = format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Range: bytes 0-0/11\r\n\r\nh\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Range: bytes 9-10/11\r\n\r\nld\r\n--{boundary}--\r\n"
        );
        let body = body(&multipart, &ranges, b"hello world");
        assert_eq!(String::from_utf8(body).unwrap(), expected);
        assert_eq!(multipart.content_length(), expected.len() as u64);
    }

    /// RFC 2046 §5.1.1
    #[test]
    fn boundaries_differ_and_need_no_quotes() {
        let own: HashSet<String> = (0..1000).map(|_| Boundary::new().to_string()).collect();
        assert_eq!(own.len(), 1000);
        for boundary in &own {
            assert!(boundary.len() == 32 && boundary.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        let other = std::thread::spawn(|| Boundary::new().to_string());
        assert!(!own.contains(&other.join().unwrap()));
    }

    #[test]
    fn the_largest_file_has_a_length() {
        let length = i64::MAX as u64;
        let ranges = several("bytes=0-9,20-", length).unwrap();
        let multipart = Multipart::new(&ranges, "video/mp4", Boundary::new());
        assert!(multipart.content_length() > length - 10);
    }

    proptest! {
        #[test]
        fn the_length_is_that_of_the_bytes(
            specs in prop::collection::vec((0u64..2000, 0u64..300), 2..8),
            media_type in "[a-z]{1,9}/[a-z]{1,9}(; charset=utf-8)?",
        ) {
            let members: Vec<String> = specs
                .iter()
                .map(|(start, more)| format!("{start}-{}", start + more))
                .collect();
            let content = [b'x'; 2000];
            let Some(ranges) = several(&format!("bytes={}", members.join(",")), 2000) else {
                return Ok(());
            };
            let multipart = Multipart::new(&ranges, &media_type, Boundary::new());
            let body = body(&multipart, &ranges, &content);
            prop_assert_eq!(body.len() as u64, multipart.content_length());
        }
    }
}
