//! Plain HTTP sent to a TLS port, seen by its first bytes.

/// Letters of a method that are looked at; the longest in common use, `PROPPATCH`, has nine.
const METHOD_LETTERS_SEEN: usize = 16;

/// True when the first bytes of a connection are plain HTTP spoken to the TLS port.
///
/// A TLS connection begins with a handshake record, whose first byte is 22 (RFC 8446 §5.1); HTTP
/// begins with a method in letters and a space (RFC 9112 §3). What is neither is left to TLS, which
/// answers with an alert.
pub fn looks_like_plain_http(first: &[u8]) -> bool {
    let seen = &first[..first.len().min(METHOD_LETTERS_SEEN)];
    let letters = seen
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    letters > 0 && seen.get(letters).is_none_or(|behind| *behind == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_told_from_a_record() {
        for plain in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"G",
            b"GET",
            b"OPTIONS * HTTP/1.1\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"get / HTTP/1.0",
        ] {
            assert!(looks_like_plain_http(plain), "{plain:?}");
        }
        for other in [
            &b""[..],
            b"\x16\x03\x01\x02\x00\x01",
            b"\x80\x2e\x01\x00\x02",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b" GET / HTTP/1.1\r\n",
            b"\r\nGET / HTTP/1.1\r\n",
            b"G\0",
        ] {
            assert!(!looks_like_plain_http(other), "{other:?}");
        }
    }
}
