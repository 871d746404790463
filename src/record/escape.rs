//! Texts of peers and numbers inside lines of the log, so that no text can end its field, its line,
//! or talk to a terminal.

use std::io::Write;
use std::net::IpAddr;

use crate::http::field_writer::push_decimal;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends a text for a field in quotes of the combined format, as nginx does: visible ASCII and
/// spaces as they are, but `"`, `\` and every other byte as `\xHH`.
#[inline]
pub(super) fn push_combined(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        return out.extend_from_slice(text);
    }
    for &byte in text {
        push_combined_byte(out, byte, is_plain_byte(byte));
    }
}

/// The same for a field without quotes, which a space would end.
pub(super) fn push_combined_word(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        push_combined_byte(out, byte, is_plain_byte(byte) && byte != b' ');
    }
}

fn push_combined_byte(out: &mut Vec<u8>, byte: u8, is_plain: bool) {
    if is_plain {
        return out.push(byte);
    }
    let [high, low] = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]);
    out.extend_from_slice(&[b'\\', b'x', high, low]);
}

/// Appends a JSON string with its quotes. What is not UTF-8 becomes U+FFFD; control characters,
/// separators of lines and what turns the direction of text are escaped.
#[inline]
pub(super) fn push_json(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        push_json_slowly(out, text);
    }
    out.push(b'"');
}

fn push_json_slowly(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                _ if is_unseen(letter) => push_json_code(out, u32::from(letter)),
                _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            let mark = char::REPLACEMENT_CHARACTER;
            out.extend_from_slice(mark.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// `\u` and four digits; all letters that are escaped have no more.
fn push_json_code(out: &mut Vec<u8>, code: u32) {
    let digit = |shift: u32| HEX[(code >> shift & 15) as usize];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// Letters that cannot be seen and change what is around them.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Visible ASCII and space without `"` and `\`: the same bytes in both formats.
#[inline]
fn is_plain_byte(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\'
}

/// Whether a text needs no escape, as most do.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    // Looks at every byte instead of stopping at the first, so that it becomes vector instructions.
    let special = |found: u8, byte: &u8| found | u8::from(!is_plain_byte(*byte));
    text.iter().fold(0, special) == 0
}

/// Appends an address; an IPv4 address that came over an IPv6 socket as what it is.
#[inline]
pub(super) fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            push_decimal(out, a.into());
            for octet in [b, c, d] {
                out.push(b'.');
                push_decimal(out, octet.into());
            }
        }
        IpAddr::V6(address) => write!(out, "{address}").expect("a Vec takes any text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(push: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn combined_escapes_what_could_forge_a_line() {
        let rows: &[(&[u8], &str)] = &[
            (b"", ""),
            (b"a b?c=%0a~", "a b?c=%0a~"),
            (b"a\"b\\c", "a\\x22b\\x5Cc"),
            (b"\r\n\t\x1b[2J\x7f\0", "\\x0D\\x0A\\x09\\x1B[2J\\x7F\\x00"),
            ("ä\u{85}".as_bytes(), "\\xC3\\xA4\\xC2\\x85"),
        ];
        for (text, expected) in rows {
            assert_eq!(shown(|out| push_combined(out, text)), *expected);
        }
        assert_eq!(
            shown(|out| push_combined_word(out, b"a b\"")),
            "a\\x20b\\x22"
        );
    }

    #[test]
    fn json_escapes_what_could_forge_a_line() {
        let rows: &[(&[u8], &str)] = &[
            (b"", "\"\""),
            (b"plain </script>", "\"plain </script>\""),
            (b"a\"b\\c", "\"a\\\"b\\\\c\""),
            (b"\r\n\x1b\x7f\0", "\"\\u000D\\u000A\\u001B\\u007F\\u0000\""),
            ("ä\u{85}\u{2028}".as_bytes(), "\"ä\\u0085\\u2028\""),
            ("\u{202e}\u{feff}𝄞".as_bytes(), "\"\\u202E\\uFEFF𝄞\""),
            (b"a\xffb\xc3", "\"a\u{fffd}b\u{fffd}\""),
        ];
        for (text, expected) in rows {
            assert_eq!(shown(|out| push_json(out, text)), *expected);
        }
    }

    #[test]
    fn addresses_are_shown_as_what_they_are() {
        for text in ["1.2.3.4", "255.0.10.100", "::1", "2001:db8::a"] {
            assert_eq!(shown(|out| push_address(out, text.parse().unwrap())), text);
        }
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(shown(|out| push_address(out, mapped)), "192.0.2.1");
    }

    proptest! {
        #[test]
        fn numbers_are_decimal(number: u64, shift in 0..64) {
            let number = number >> shift;
            prop_assert_eq!(shown(|out| push_decimal(out, number)), number.to_string());
        }

        #[test]
        fn json_reads_back(text: Vec<u8>) {
            let json = shown(|out| push_json(out, &text));
            prop_assert!(!json.contains(is_unseen));
            let read: String = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&text));
        }

        #[test]
        fn combined_is_visible_ascii_and_reads_back(text: Vec<u8>) {
            for word in [false, true] {
                let push = if word { push_combined_word } else { push_combined };
                let shown = shown(|out| push(out, &text));
                prop_assert!(shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
                prop_assert!(!shown.contains('"'));
                prop_assert!(!word || !shown.contains(' '));
                let mut pieces = shown.split("\\x");
                let mut read = pieces.next().unwrap().as_bytes().to_vec();
                for piece in pieces {
                    read.push(u8::from_str_radix(&piece[..2], 16).unwrap());
                    read.extend_from_slice(&piece.as_bytes()[2..]);
                }
                prop_assert_eq!(&read, &text);
            }
        }
    }
}
