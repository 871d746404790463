//! The header of the PROXY protocol, versions 1 and 2.
//!
//! A proxy in front says by it who its client is, before the first byte of that client. Whether a
//! peer may say so is asked elsewhere. Source: haproxy.org, `proxy-protocol.txt`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::plain;
use crate::base::limits::PROXY_HEADER_BYTES_MAX;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The beginning of a header; more is to come.
    Partial,
    /// No header: the connection ends. Says why.
    Invalid(&'static str),
    /// A header of `len` bytes; what is behind it is the client's. `source` is the address of the
    /// client, `None` where the connection is the proxy's own or its address is not known.
    Complete { len: usize, source: Option<IpAddr> },
}

const V1_SIGNATURE: &[u8] = b"PROXY ";
/// With its CRLF (§2.1).
const V1_BYTES_MAX: usize = 107;
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED_BYTES: usize = 16;

const _: () = assert!(V1_BYTES_MAX <= PROXY_HEADER_BYTES_MAX);

/// Looks at the first bytes of a connection. What was `Invalid` stays so, whatever follows.
pub fn parse_proxy_header(bytes: &[u8]) -> ProxyHeader {
    let begins = |signature: &[u8]| {
        let len = signature.len().min(bytes.len());
        bytes[..len] == signature[..len]
    };
    let outcome = if begins(V1_SIGNATURE) {
        parse_v1(bytes)
    } else if begins(V2_SIGNATURE) {
        parse_v2(bytes)
    } else {
        Err("it does not begin with a header of the PROXY protocol")
    };
    match outcome {
        Ok(Some((len, source))) => ProxyHeader::Complete {
            len,
            source: source.map(plain),
        },
        Ok(None) => ProxyHeader::Partial,
        Err(why) => ProxyHeader::Invalid(why),
    }
}

/// The length of a header and its source; `None` while it is not whole.
type Outcome = Result<Option<(usize, Option<IpAddr>)>, &'static str>;

/// `PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n` (§2.1).
fn parse_v1(bytes: &[u8]) -> Outcome {
    let within = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let is_shown = |byte: &u8| (b' '..=b'~').contains(byte);
    let Some(end) = within.iter().position(|byte| !is_shown(byte)) else {
        return match within.len() < V1_BYTES_MAX {
            true => Ok(None),
            false => Err("its line is longer than 107 bytes"),
        };
    };
    match within[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if within.len() < V1_BYTES_MAX => return Ok(None),
        _ => return Err("its line does not end in CRLF"),
    }
    let line = within[..end].strip_prefix(V1_SIGNATURE);
    let line = line.ok_or("its line ends too early")?;
    let line = std::str::from_utf8(line).expect("all bytes are ASCII");
    let source = v1_source(line).ok_or("its line is none of version 1")?;
    Ok(Some((end + 2, source)))
}

/// What stands behind `PROXY `. The outer `None`: the line is wrong.
fn v1_source(line: &str) -> Option<Option<IpAddr>> {
    let mut words = line.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None); // "The receiver must ignore anything presented before the CRLF."
    }
    let [source, destination, source_port, destination_port] = [(); 4].map(|()| words.next());
    if words.next().is_some() || !is_port(source_port?) || !is_port(destination_port?) {
        return None;
    }
    match family {
        "TCP4" => {
            let _: Ipv4Addr = destination?.parse().ok()?;
            let source: Ipv4Addr = source?.parse().ok()?;
            Some(Some(IpAddr::V4(source)))
        }
        "TCP6" => {
            let _: Ipv6Addr = destination?.parse().ok()?;
            let source: Ipv6Addr = source?.parse().ok()?;
            Some(Some(IpAddr::V6(source)))
        }
        _ => None,
    }
}

/// Digits without a zero in front, up to 65535.
fn is_port(text: &str) -> bool {
    let is_canonical = text == "0" || !text.starts_with('0');
    is_canonical && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// The binary header (§2.2).
fn parse_v2(bytes: &[u8]) -> Outcome {
    let command = bytes.get(12).copied();
    match command {
        None | Some(0x20 | 0x21) => {}
        Some(byte) if byte >> 4 != 2 => return Err("its version is not 2"),
        Some(_) => return Err("its command is neither LOCAL nor PROXY"),
    }
    let is_local = command == Some(0x20);
    let family = bytes.get(13).copied();
    // "The receiver must … discard the protocol block including the family which is ignored."
    let address_bytes = match family.filter(|_| !is_local) {
        Some(byte) if byte & 0xf > 2 => return Err("its transport is none of version 2"),
        None => 0,
        Some(byte) => match byte >> 4 {
            0 => 0,
            1 => 12,
            2 => 36,
            3 => 216,
            _ => return Err("its address family is none of version 2"),
        },
    };
    let Some(fixed) = bytes.first_chunk::<V2_FIXED_BYTES>() else {
        return Ok(None);
    };
    let rest = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if rest < address_bytes {
        return Err("it is too short for its addresses");
    }
    let len = V2_FIXED_BYTES + rest;
    if len > PROXY_HEADER_BYTES_MAX {
        return Err("it is too long");
    }
    let Some(whole) = bytes.get(V2_FIXED_BYTES..len) else {
        return Ok(None);
    };
    // What follows the addresses (TLVs) is skipped.
    let source = match (is_local, fixed[13]) {
        (false, 0x11 | 0x12) => whole.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        (false, 0x21 | 0x22) => whole
            .first_chunk::<16>()
            .map(|octets| IpAddr::from(*octets)),
        _ => None,
    };
    Ok(Some((len, source)))
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::fuzz_proxy_header;
    use super::*;
    use proptest::prelude::*;

    fn complete(bytes: &[u8]) -> (usize, Option<String>) {
        match parse_proxy_header(bytes) {
            ProxyHeader::Complete { len, source } => (len, source.map(|source| source.to_string())),
            other => panic!("{other:?}: {}", bytes.escape_ascii()),
        }
    }

    fn is_invalid(bytes: &[u8]) -> bool {
        matches!(parse_proxy_header(bytes), ProxyHeader::Invalid(_))
    }

    /// A header of version 2.
    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let len = u16::try_from(block.len()).unwrap().to_be_bytes();
        [V2_SIGNATURE, &[command, family], &len, block].concat()
    }

    const V4_BLOCK: &[u8] = &[192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 1, 0xbb];

    #[test]
    fn the_line_of_version_1_names_its_source() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(complete(line), (45, Some("192.0.2.1".to_owned())));
        let line = b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n";
        assert_eq!(complete(line), (36, Some("2001:db8::1".to_owned())));
        let line = b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n";
        assert_eq!(complete(line).1, Some("192.0.2.1".to_owned()));
        assert_eq!(complete(b"PROXY UNKNOWN\r\n"), (15, None));
        let longest = [&b"PROXY UNKNOWN "[..], &[b'f'; 91], b"\r\nx"].concat();
        assert_eq!(complete(&longest), (107, None));
    }

    #[test]
    fn every_other_line_is_no_header() {
        for line in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY\r\n",
            b"PROXY \r\n",
            b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rx",
            b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
            b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.1\t192.0.2.2 1 2\r\n",
            b"PROXY UNKNOWN \xff\r\n",
            b"PROXY UNKNOWNx\r\n",
        ] {
            assert!(is_invalid(line), "{}", line.escape_ascii());
        }
        for fill in [91, 92, 200] {
            let long = [&b"PROXY UNKNOWN "[..], &vec![b'f'; fill], b"\r"].concat();
            let expected = if fill > 91 { true } else { is_invalid(&long) };
            assert_eq!(is_invalid(&long), expected);
        }
        let just_too_long = [&b"PROXY UNKNOWN "[..], &[b'f'; 92], b"\r\n"].concat();
        assert!(is_invalid(&just_too_long));
    }

    #[test]
    fn the_header_of_version_2_names_its_source() {
        let v4 = v2(0x21, 0x11, V4_BLOCK);
        let with_more = [&v4[..], b"GET"].concat();
        assert_eq!(complete(&with_more), (28, Some("192.0.2.1".to_owned())));
        let with_tlv = v2(0x21, 0x12, &[V4_BLOCK, &[4, 0, 1, 0]].concat());
        assert_eq!(complete(&with_tlv), (32, Some("192.0.2.1".to_owned())));
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 1]);
        assert_eq!(
            complete(&v2(0x21, 0x21, &v6)),
            (52, Some("2001::".to_owned()))
        );
    }

    #[test]
    fn a_header_of_version_2_may_name_none() {
        assert_eq!(complete(&v2(0x20, 0, &[])), (16, None));
        // Whatever the block of LOCAL holds is skipped.
        assert_eq!(complete(&v2(0x20, 0xff, V4_BLOCK)), (28, None));
        assert_eq!(complete(&v2(0x20, 0x11, V4_BLOCK)), (28, None));
        assert_eq!(complete(&v2(0x21, 0, V4_BLOCK)), (28, None));
        assert_eq!(complete(&v2(0x21, 0x10, V4_BLOCK)), (28, None));
        assert_eq!(complete(&v2(0x21, 0x31, &[b'/'; 216])), (232, None));
    }

    #[test]
    fn every_other_header_of_version_2_is_invalid() {
        for (command, family) in [
            (0x11, 0x11),
            (0x31, 0x11),
            (0x22, 0x11),
            (0x2f, 0x11),
            (0x21, 0x13),
            (0x21, 0x41),
            (0x21, 0x21),
            (0x21, 0x31),
        ] {
            assert!(
                is_invalid(&v2(command, family, V4_BLOCK)),
                "{command:x} {family:x}"
            );
        }
        assert!(is_invalid(&v2(0x21, 0x11, &V4_BLOCK[1..])));
        let most = PROXY_HEADER_BYTES_MAX - V2_FIXED_BYTES;
        let with = |rest| v2(0x21, 0x11, &[V4_BLOCK, &vec![0; rest - 12][..]].concat());
        assert_eq!(complete(&with(most)).0, PROXY_HEADER_BYTES_MAX);
        // It is told from its first bytes.
        assert!(is_invalid(&with(most + 1)[..V2_FIXED_BYTES]));
        assert!(is_invalid(b"\r\n\r\n\0\r\nQUIT\r"));
    }

    #[test]
    fn whatever_is_cut_off_is_partial() {
        for header in [
            &b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"[..],
            b"PROXY UNKNOWN\r\n",
            &v2(0x21, 0x11, V4_BLOCK),
            &v2(0x20, 0, &[]),
        ] {
            for len in 0..header.len() {
                assert_eq!(
                    parse_proxy_header(&header[..len]),
                    ProxyHeader::Partial,
                    "{len}"
                );
            }
            assert_eq!(complete(header).0, header.len());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_alike_in_any_pieces(
            start in prop::sample::select(vec![&b""[..], V1_SIGNATURE, V2_SIGNATURE]),
            rest in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            fuzz_proxy_header(&[start, &rest].concat());
        }

        #[test]
        fn any_addresses_of_version_1_are_read(
            v4 in any::<[u8; 4]>(), v6 in any::<[u8; 16]>(), ports in any::<(u16, u16)>(),
        ) {
            let (v4, v6) = (Ipv4Addr::from(v4), Ipv6Addr::from(v6));
            let (from, to) = ports;
            let line = format!("PROXY TCP4 {v4} {v4} {from} {to}\r\n");
            prop_assert_eq!(complete(line.as_bytes()), (line.len(), Some(v4.to_string())));
            let line = format!("PROXY TCP6 {v6} {v6} {from} {to}\r\n");
            let expected = plain(IpAddr::V6(v6)).to_string();
            prop_assert_eq!(complete(line.as_bytes()), (line.len(), Some(expected)));
        }
    }
}
