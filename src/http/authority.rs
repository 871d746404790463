//! The authority of a request: host and optional port (RFC 9110 §7.2, RFC 3986 §3.2).
//!
//! User information is refused: it has no place in a request (RFC 9110 §4.2.4) and hides the host.

use std::net::Ipv6Addr;

/// A host with an optional port, checked against the grammar; the bytes are the request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// A registered name, an IPv4 address, or an IPv6 address in brackets, in any case.
    pub host: &'a [u8],
    /// The port when one is given (`host:` gives none).
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Parses `uri-host [ ":" port ]`. `None` when it breaks the grammar or the host is empty.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Authority<'a>> {
        if bytes.first() == Some(&b'[') {
            return Self::parse_ip_literal(bytes);
        }
        let mut end = 0;
        while let Some(byte) = bytes.get(end) {
            match CLASSES[*byte as usize] {
                Class::Name => end += 1,
                Class::Percent if is_escape(&bytes[end..]) => end += 3,
                Class::Colon => break,
                Class::Percent | Class::Other => return None,
            }
        }
        Self::with_port(bytes, end)
    }

    #[cold]
    fn parse_ip_literal(bytes: &'a [u8]) -> Option<Authority<'a>> {
        let close = bytes.iter().position(|byte| *byte == b']')?;
        // Neither zones (RFC 6874) nor IPvFuture: no request can need them here.
        let address = std::str::from_utf8(&bytes[1..close]).ok()?;
        address.parse::<Ipv6Addr>().ok()?;
        Self::with_port(bytes, close + 1)
    }

    #[inline]
    fn with_port(bytes: &'a [u8], host_end: usize) -> Option<Authority<'a>> {
        let (host, rest) = bytes.split_at(host_end);
        if host.is_empty() {
            return None;
        }
        let port = match rest {
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(parse_port(digits)?),
            _ => return None,
        };
        Some(Authority { host, port })
    }
}

fn parse_port(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |port, byte| {
        let digit = byte.is_ascii_digit().then(|| u16::from(byte - b'0'))?;
        port.checked_mul(10)?.checked_add(digit)
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// unreserved or sub-delims of RFC 3986 §2
    Name,
    Percent,
    Colon,
    Other,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => Class::Name,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {
                Class::Name
            }
            b'%' => Class::Percent,
            b':' => Class::Colon,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

fn is_escape(bytes: &[u8]) -> bool {
    matches!(bytes, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(&str, Option<u16>)> {
        let authority = Authority::parse(text.as_bytes())?;
        Some((std::str::from_utf8(authority.host).unwrap(), authority.port))
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(parse("a.example"), Some(("a.example", None)));
        assert_eq!(parse("A_b-c~d:8080"), Some(("A_b-c~d", Some(8080))));
        assert_eq!(parse("127.0.0.1:65535"), Some(("127.0.0.1", Some(65535))));
        assert_eq!(parse("a:"), Some(("a", None)));
        assert_eq!(parse("[::1]"), Some(("[::1]", None)));
        assert_eq!(parse("[2001:db8::1]:80"), Some(("[2001:db8::1]", Some(80))));
        assert_eq!(parse("[::ffff:1.2.3.4]"), Some(("[::ffff:1.2.3.4]", None)));
        assert_eq!(parse("%41b"), Some(("%41b", None)));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            ":80",
            "a b",
            " a",
            "a ",
            "a:65536",
            "a:99999999999",
            "a:8o",
            "a:+1",
            "a:1:2",
            "u@a",
            "u:p@a",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a%",
            "a%4",
            "a%4g",
            "[::1",
            "::1",
            "[::1]x",
            "[::1%25eth0]",
            "[]",
            "[g::]",
            "[v1.a]",
            "a[::1]",
            "a\"b",
            "a<b",
            "a\tb",
            "ä",
            "a|b",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(Authority::parse(b"a\0"), None);
    }
}
