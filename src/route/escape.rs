//! Escapes of URIs, for what rules read and write (RFC 3986 §2).

/// Decodes escapes; a percent sign that begins none stands for itself.
pub fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = (*byte == b'%').then(|| escaped_byte(after)).flatten();
        decoded.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    decoded
}

/// Decodes a name or value of a query as forms write it: `+` is a space.
pub fn decode_query(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    decode(&spaced)
}

/// Appends what was captured to a path: all that `pchar` does not allow is escaped, and slashes
/// stay.
pub fn push_path(bytes: &[u8], out: &mut Vec<u8>) {
    push(bytes, out, |byte| is_pchar(byte) || byte == b'/');
}

/// Appends what was captured to a path as one segment, or a part of one.
pub fn push_segment(bytes: &[u8], out: &mut Vec<u8>) {
    push(bytes, out, is_pchar);
}

/// Appends what was captured to a query or a fragment, in which it stays one value.
pub fn push_value(bytes: &[u8], out: &mut Vec<u8>) {
    push(bytes, out, is_unreserved);
}

/// Appends text that is a part of a URI already; what may not stand in one is escaped all the same.
pub fn push_reference(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        if *byte == b'%' && escaped_byte(after).is_some() {
            out.push(b'%');
        } else {
            push(&[*byte], out, |byte| {
                is_pchar(byte) || matches!(byte, b'/' | b'?' | b'#')
            });
        }
        rest = after;
    }
}

fn push(bytes: &[u8], out: &mut Vec<u8>, stays: impl Fn(u8) -> bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        if stays(*byte) {
            out.push(*byte);
        } else {
            let (high, low) = (byte >> 4, byte & 15);
            out.extend([b'%', DIGITS[high as usize], DIGITS[low as usize]]);
        }
    }
}

fn escaped_byte(after_percent: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*after_percent.get(at)?).to_digit(16);
    Some((digit(0)? * 16 + digit(1)?) as u8)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pushed(push: fn(&[u8], &mut Vec<u8>), bytes: &[u8]) -> String {
        let mut out = Vec::new();
        push(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_place_keeps_what_may_stand_there() {
        let bytes = b"a/b?c#d%41&\\\r\n\xc3\xa4 ";
        assert_eq!(
            pushed(push_path, bytes),
            "a/b%3Fc%23d%2541&%5C%0D%0A%C3%A4%20"
        );
        assert_eq!(pushed(push_segment, b"a/b&"), "a%2Fb&");
        assert_eq!(pushed(push_value, b"a/b&=+"), "a%2Fb%26%3D%2B");
        assert_eq!(
            pushed(push_reference, bytes),
            "a/b?c#d%41&%5C%0D%0A%C3%A4%20"
        );
        assert_eq!(pushed(push_reference, b"%4%zz"), "%254%25zz");
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(decode(b"a%20b%2525%zz%"), b"a b%25%zz%");
        assert_eq!(decode_query(b"a+b%2B"), b"a b+");
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_decoded_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for push in [push_path, push_segment, push_value] {
                let mut out = Vec::new();
                push(&bytes, &mut out);
                prop_assert!(out.iter().all(u8::is_ascii_graphic));
                prop_assert_eq!(decode(&out), &bytes[..]);
            }
            let mut out = Vec::new();
            push_reference(&bytes, &mut out);
            prop_assert!(out.iter().all(u8::is_ascii_graphic));
        }
    }
}
