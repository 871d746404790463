//! Fuzz bodies for addresses, the PROXY protocol and limits: each takes any bytes and checks what
//! must hold for all of them.
//!
//! A cargo-fuzz target is one call of one of these; `tests/fuzz_bodies.rs` runs them as tests.

use std::net::{IpAddr, Ipv4Addr};

use super::address::{AddressList, AddressRule, Cidr, ForwardedBy, client_address, plain};
use super::limit::LimitRule;
use super::proxy_protocol::{ProxyHeader, parse_proxy_header};
use crate::base::limits::PROXY_HEADER_BYTES_MAX;
use crate::http::{Field, Fields};

/// A header is the same in any pieces: partial up to its last byte, and not changed by what
/// follows; what is invalid stays so.
pub fn fuzz_proxy_header(input: &[u8]) {
    let whole = parse_proxy_header(input);
    let end = match whole {
        ProxyHeader::Complete { len, source } => {
            assert!(len <= input.len().min(PROXY_HEADER_BYTES_MAX));
            assert_eq!(source, source.map(plain));
            len
        }
        ProxyHeader::Partial => {
            assert!(input.len() < PROXY_HEADER_BYTES_MAX);
            input.len()
        }
        ProxyHeader::Invalid(_) => {
            let more = [input, b"\r\n"].concat();
            assert!(matches!(parse_proxy_header(&more), ProxyHeader::Invalid(_)));
            return;
        }
    };
    for len in 0..end {
        assert_eq!(parse_proxy_header(&input[..len]), ProxyHeader::Partial);
    }
    assert_eq!(parse_proxy_header(&input[..end]), whole);
}

/// Whatever a client says, the address that a trusted proxy adds is believed, and nothing that
/// stands before it; a peer that is not trusted is not asked. Lines of the input are lines of
/// fields, by turns `Forwarded` and `X-Forwarded-For`.
pub fn fuzz_forwarded(input: &[u8]) {
    let trusted = AddressList::parse("10.0.0.0/8").expect("the list is right");
    let proxy = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));
    let names = ["Forwarded", "X-Forwarded-For"];
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').take(8).collect();
    let field = |(at, value): (usize, &&'_ [u8])| (names[at % 2], value.to_vec());
    let said: Vec<(&str, Vec<u8>)> = lines.iter().enumerate().map(field).collect();
    let ask = |by, peer, said: &[(&str, Vec<u8>)]| {
        let fields: Vec<Field<'_>> = said
            .iter()
            .map(|(name, value)| Field { name, value })
            .collect();
        client_address(by, peer, &Fields::new(&fields), &trusted)
    };
    for by in [ForwardedBy::XForwardedFor, ForwardedBy::Forwarded] {
        assert_eq!(ask(by, stranger, &said), stranger);
        let client = ask(by, proxy, &said);
        assert_eq!(client, plain(client));
    }
    // The proxy adds to the last line, or a line of its own.
    let for_client = &b", for=\"192.0.2.1:80\";by=\"a,\\\"b\""[..];
    for (by, name, added) in [
        (ForwardedBy::Forwarded, names[0], for_client),
        (ForwardedBy::XForwardedFor, names[1], b", 192.0.2.1"),
    ] {
        let of_name = |(told, _): &&(&str, Vec<u8>)| *told == name;
        let mut said: Vec<(&str, Vec<u8>)> = said.iter().filter(of_name).cloned().collect();
        said.push((name, added.to_vec()));
        let expected = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(ask(by, proxy, &said), expected);
        said.pop();
        if let Some((_, last)) = said.last_mut() {
            last.extend_from_slice(added);
            assert_eq!(ask(by, proxy, &said), expected);
        }
    }
}

/// Texts of operators are read or told, and what was read is shown as it is read.
pub fn fuzz_rules(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let _ = AddressRule::parse(text);
    if let Ok(network) = Cidr::parse(text) {
        assert_eq!(Cidr::parse(&network.to_string()), Ok(network));
    }
    if let Ok(rule) = LimitRule::parse(text) {
        let mut policy = Vec::new();
        rule.push_policy(&mut policy);
        assert!(policy.iter().all(|byte| (b' '..=b'~').contains(byte)));
        let (next_ns, taken) = rule.quota.take(0, 1);
        assert!(taken.allowed && next_ns > 1 && taken.remaining < rule.quota.burst());
    }
}
