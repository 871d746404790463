//! What HTTP/2 asks of each field by itself (RFC 9113 §8.2.1). Strings are checked once, when they
//! come as literals; the dynamic table remembers the verdict.

use crate::http::field::is_token_byte;
use crate::http::hpack_static::{STATIC_TABLE, names};

/// What is wrong with a field. The request that holds it is malformed (RFC 9113 §8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldFault {
    /// The name is empty, no token, not in lower case, or a pseudo-field that is not defined.
    Name,
    /// The value holds a control character, or white space at an end.
    Value,
}

/// For each byte whether a name may hold it.
static NAME_BYTES: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let is_upper = (byte as u8).is_ascii_uppercase();
        bytes[byte] = is_token_byte(byte as u8) && !is_upper;
        byte += 1;
    }
    bytes
};

/// True for a token in lower case (RFC 9113 §8.2).
pub(super) fn is_name(name: &[u8]) -> bool {
    let allowed = |so_far: bool, byte: &u8| so_far & NAME_BYTES[usize::from(*byte)];
    !name.is_empty() && name.iter().fold(true, allowed)
}

/// The static index of a pseudo-field's name that was spelled out.
pub(super) fn pseudo_index(name: &[u8]) -> Option<u8> {
    [
        names::AUTHORITY,
        names::METHOD,
        names::PATH,
        names::SCHEME,
        names::STATUS,
    ]
    .into_iter()
    .find(|index| STATIC_TABLE[usize::from(*index) - 1].0.as_bytes() == name)
}

/// True for a value of visible bytes, SP and HTAB that neither begins nor ends with white space.
pub(super) fn is_value(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    // Without a way out of the loop, so that it runs over whole registers.
    let forbidden = |byte: u8| (byte < b' ') & (byte != b'\t') | (byte == 0x7f);
    let any_forbidden = value.iter().fold(false, |any, byte| any | forbidden(*byte));
    !any_forbidden && !is_space(value.first()) && !is_space(value.last())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::field::is_value_byte;

    #[test]
    fn a_name_is_a_token_in_lower_case() {
        for byte in 0..=255 {
            let expected = is_token_byte(byte) && !byte.is_ascii_uppercase();
            assert_eq!(is_name(&[b'x', byte, b'y']), expected, "{byte}");
        }
        assert!(!is_name(b"") && !is_name(b":path") && is_name(b"x"));
    }

    #[test]
    fn a_value_has_no_control_characters_and_no_white_space_around() {
        for byte in 0..=255 {
            assert_eq!(is_value(&[b'x', byte, b'y']), is_value_byte(byte), "{byte}");
        }
        for value in [" a", "a ", "\ta", "a\t", " ", "\t"] {
            assert!(!is_value(value.as_bytes()), "{value:?}");
        }
        assert!(is_value(b"") && is_value(b"a b") && is_value(b"\xe9"));
    }

    #[test]
    fn only_defined_pseudo_fields_have_an_index() {
        assert_eq!(pseudo_index(b":path"), Some(4));
        assert_eq!(pseudo_index(b":status"), Some(8));
        assert_eq!(pseudo_index(b":protocol"), None);
        assert_eq!(pseudo_index(b":Path"), None);
        assert_eq!(pseudo_index(b":"), None);
    }
}
