//! Answers as field blocks of HPACK (RFC 7541): static indices and literals without indexing.
//!
//! Such a block changes no dynamic table, so that one rendering serves every connection and the
//! same bytes can be sent many times.

use super::hpack_huffman::{encode, encoded_len};
use super::hpack_static::{STATIC_TABLE, StaticMatch, find, names};

/// Fields about an HTTP/1 connection, which HTTP/2 must not carry (RFC 9113 §8.2.2).
const CONNECTION_FIELDS: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Appends the pseudo-field `:status`, which comes first in every answer (RFC 9113 §8.3.2).
pub fn status(out: &mut Vec<u8>, code: u16) {
    debug_assert!((100..1000).contains(&code), "a status has three digits");
    let digit = |value: u16| b'0' + (value % 10) as u8;
    let digits = [digit(code / 100), digit(code / 10), digit(code)];
    write(out, STATIC_TABLE[usize::from(names::STATUS) - 1].0, &digits);
}

/// Appends a field; `name` in any case, written in lower case (RFC 9113 §8.2). A field about the
/// connection is left out.
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !is_connection_field(name) {
        write(out, name, value);
    }
}

/// True for the fields that HTTP/2 must not carry (RFC 9113 §8.2.2); `name` in any case.
pub fn is_connection_field(name: &str) -> bool {
    let mut fields = CONNECTION_FIELDS.iter();
    fields.any(|field| name.eq_ignore_ascii_case(field))
}

fn write(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    const INDEXED: u8 = 0x80; // RFC 7541 §6.1
    const WITHOUT_INDEXING: u8 = 0x00; // RFC 7541 §6.2.2
    match find(name, value) {
        StaticMatch::Field(index) => return integer(out, INDEXED, 7, usize::from(index)),
        StaticMatch::Name(index) => integer(out, WITHOUT_INDEXING, 4, usize::from(index)),
        StaticMatch::None => {
            out.push(WITHOUT_INDEXING);
            let lower = name.bytes().map(|byte| byte.to_ascii_lowercase());
            string(out, lower);
        }
    }
    string(out, value.iter().copied());
}

/// Appends an integer behind `flags`, with a prefix of `bits` bits (RFC 7541 §5.1).
fn integer(out: &mut Vec<u8>, flags: u8, bits: u32, value: usize) {
    let limit = (1 << bits) - 1;
    if value < limit {
        out.push(flags | value as u8);
        return;
    }
    out.push(flags | limit as u8);
    let mut rest = value - limit;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a string, in the Huffman code where that is shorter (RFC 7541 §5.2).
fn string(out: &mut Vec<u8>, text: impl ExactSizeIterator<Item = u8> + Clone) {
    const HUFFMAN: u8 = 0x80;
    let (plain, coded) = (text.len(), encoded_len(text.clone()));
    if coded < plain {
        integer(out, HUFFMAN, 7, coded);
        encode(text, out);
    } else {
        integer(out, 0, 7, plain);
        out.extend(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        field(&mut out, name, value);
        out
    }

    /// RFC 7541 §C.1
    #[test]
    fn integers_of_the_rfc() {
        let encoded = |flags, bits, value| {
            let mut out = Vec::new();
            integer(&mut out, flags, bits, value);
            out
        };
        assert_eq!(encoded(0xe0, 5, 10), [0xea]);
        assert_eq!(encoded(0, 5, 1337), [0x1f, 0x9a, 0x0a]);
        assert_eq!(encoded(0, 8, 42), [0x2a]);
        assert_eq!(encoded(0, 7, 126), [0x7e]);
        assert_eq!(encoded(0, 7, 127), [0x7f, 0]);
        assert_eq!(encoded(0, 7, 127 + 128), [0x7f, 0x80, 0x01]);
    }

    #[test]
    fn a_status_is_one_byte_where_the_table_has_it() {
        for (code, expected) in [
            (200, &b"\x88"[..]),
            (204, b"\x89"),
            (206, b"\x8a"),
            (304, b"\x8b"),
            (400, b"\x8c"),
            (404, b"\x8d"),
            (500, b"\x8e"),
            (302, b"\x08\x82\x64\x02"), // §C.6.1, but without indexing
            (999, b"\x08\x03999"),      // 18 bits: Huffman saves nothing
        ] {
            let mut out = Vec::new();
            status(&mut out, code);
            assert_eq!(out, expected, "{code}");
        }
    }

    /// RFC 9113 §8.2
    #[test]
    fn names_are_numbers_or_lower_case() {
        assert_eq!(written("Accept-Encoding", b"gzip, deflate"), b"\x90");
        assert_eq!(written("Content-Length", b"1"), b"\x0f\x0d\x011");
        assert_eq!(
            written("Custom-Key", b"custom-value"),
            b"\0\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"
        );
        assert_eq!(written("Q", b""), b"\0\x01q\0");
    }

    #[test]
    fn a_string_is_in_the_shorter_form() {
        assert_eq!(written("etag", b"\xff\xff"), b"\x0f\x13\x02\xff\xff");
        assert_eq!(written("etag", b"aaaa")[2], 0x80 | 3);
        let long = written("etag", &[b'0'; 1000]);
        assert_eq!(long[..5], *b"\x0f\x13\xff\xf2\x03"); // 625 bytes
        assert_eq!(long.len(), 5 + 625);
    }

    /// RFC 9113 §8.2.2
    #[test]
    fn what_concerns_a_connection_is_left_out() {
        for name in [
            "Connection",
            "Keep-Alive",
            "Proxy-Connection",
            "transfer-encoding",
            "UPGRADE",
        ] {
            assert_eq!(written(name, b"x"), b"", "{name}");
            assert!(is_connection_field(name));
        }
        assert!(!written("connections", b"x").is_empty());
    }
}
