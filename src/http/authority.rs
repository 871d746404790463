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
        loop {
            end += name_len(&bytes[end..]);
            match &bytes[end..] {
                [] | [b':', ..] => return Self::with_port(bytes, end),
                [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    end += 3;
                }
                _ => return None,
            }
        }
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

/// How many bytes of a name `bytes` begins with. Every request names its host: four bytes a step
/// take half of what one a step takes.
#[inline]
fn name_len(bytes: &[u8]) -> usize {
    let is_name = |byte: &u8| IS_NAME[*byte as usize];
    let fours = bytes.chunks_exact(4);
    let len = 4 * fours
        .take_while(|four| {
            is_name(&four[0]) & is_name(&four[1]) & is_name(&four[2]) & is_name(&four[3])
        })
        .count();
    len + bytes[len..].iter().take_while(|byte| is_name(byte)).count()
}

fn parse_port(digits: &[u8]) -> Option<u16> {
    const DIGITS_MAX: usize = 5;
    if digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let port = digits
        .iter()
        .fold(0u32, |port, byte| port * 10 + u32::from(byte - b'0'));
    u16::try_from(port).ok()
}

/// The bytes of a registered name: unreserved and sub-delims of RFC 3986 §2.
static IS_NAME: [bool; 256] = {
    let mut is_name = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        is_name[byte] = matches!(
            byte as u8,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~'
                | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        );
        byte += 1;
    }
    is_name
};

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
