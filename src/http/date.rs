//! HTTP dates (RFC 9110 §5.6.7), and the `Date` field that every response carries.
//!
//! Knows no clock: the time is an argument, in seconds since 1970-01-01 UTC.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

use super::hpack_block;

/// Bytes of an IMF-fixdate.
pub const DATE_BYTES: usize = 29;

/// The last second of the year 9999: four digits are all that the format has.
const LAST_SECOND: u64 = 253_402_300_799;

/// An IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn format(unix_seconds: u64) -> [u8; DATE_BYTES] {
    let time = UNIX_EPOCH + Duration::from_secs(unix_seconds.min(LAST_SECOND));
    let mut text = [0; DATE_BYTES];
    write!(&mut text[..], "{}", HttpDate::from(time)).expect("an IMF-fixdate has 29 bytes");
    text
}

/// A date in any of the three formats of RFC 9110 §5.6.7.
pub fn parse(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let date: HttpDate = text.parse().ok()?;
    let since = SystemTime::from(date).duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

const NAME: &[u8] = b"Date: ";
const LINE_BYTES: usize = NAME.len() + DATE_BYTES + 2;

/// Bytes of the field in HTTP/2 at most: its index, its length, and the date in plain.
const H2_BYTES_MAX: usize = 2 + 1 + DATE_BYTES;

/// The `Date` field line, rendered at most once a second.
#[derive(Clone, Debug)]
pub struct DateField {
    unix_seconds: u64,
    /// The line, followed by the empty line that ends a head.
    bytes: [u8; LINE_BYTES + 2],
    /// The field for HTTP/2; its length changes with the date's Huffman code.
    h2: Vec<u8>,
}

impl DateField {
    /// Renders the line for `unix_seconds`.
    pub fn new(unix_seconds: u64) -> DateField {
        let mut bytes = [0; LINE_BYTES + 2];
        bytes[..NAME.len()].copy_from_slice(NAME);
        bytes[LINE_BYTES - 2..].copy_from_slice(b"\r\n\r\n");
        let mut field = DateField {
            unix_seconds,
            bytes,
            h2: Vec::with_capacity(H2_BYTES_MAX),
        };
        field.render();
        field
    }

    /// Renders the line anew if the second changed.
    #[inline]
    pub fn update(&mut self, unix_seconds: u64) {
        if self.unix_seconds != unix_seconds {
            self.unix_seconds = unix_seconds;
            self.render();
        }
    }

    /// `Date: …` with its CRLF.
    #[inline]
    pub fn line(&self) -> &[u8] {
        &self.bytes[..LINE_BYTES]
    }

    /// The line as the last one of an HTTP/1 head: with the empty line behind it.
    #[inline]
    pub fn last_line(&self) -> &[u8] {
        &self.bytes
    }

    /// The field for HTTP/2: a literal without indexing, which holds for every connection.
    #[inline]
    pub fn h2(&self) -> &[u8] {
        &self.h2
    }

    fn render(&mut self) {
        let date = format(self.unix_seconds);
        self.bytes[NAME.len()..LINE_BYTES - 2].copy_from_slice(&date);
        self.h2.clear();
        hpack_block::field(&mut self.h2, "date", &date);
        debug_assert!(self.h2.len() <= H2_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9110 §5.6.7
    #[test]
    fn all_three_formats_are_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
        assert_eq!(&format(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "0",
            "yesterday",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 99 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"\xff\xfe"), None);
    }

    #[test]
    fn far_times_are_clamped() {
        assert_eq!(&format(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(&format(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
    }

    fn hex(text: &[u8]) -> Vec<u8> {
        let digits: Vec<u8> = text.iter().filter(|b| **b != b' ').copied().collect();
        let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
        pairs
            .map(|pair| u8::from_str_radix(pair, 16).unwrap())
            .collect()
    }

    #[test]
    fn the_field_follows_the_second() {
        let mut field = DateField::new(784_111_777);
        assert_eq!(field.line(), b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(field.line().len(), 37);
        // RFC 7541 §C.6.1 has this form of date, though with indexing.
        let date = hex(b"96 d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff");
        let mut rfc = DateField::new(1_382_386_401);
        assert_eq!(rfc.line(), b"Date: Mon, 21 Oct 2013 20:13:21 GMT\r\n");
        assert_eq!(rfc.h2(), [&b"\x0f\x12"[..], &date].concat());
        let before = (rfc.h2.as_ptr(), rfc.h2().to_vec());
        rfc.update(1_382_386_402);
        assert!(rfc.h2() != before.1 && rfc.h2.as_ptr() == before.0);
        field.update(784_111_778);
        assert_eq!(
            field.last_line(),
            b"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n\r\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn a_date_survives_the_round_trip(seconds in 0..=LAST_SECOND) {
            proptest::prop_assert_eq!(parse(&format(seconds)), Some(seconds));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }
}
