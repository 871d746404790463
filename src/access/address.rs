//! The address that a request comes from, and lists of networks.
//!
//! An IPv4 address inside of IPv6 (`::ffff:192.0.2.1`) is the IPv4 address everywhere: a listener
//! on `[::]` sees IPv4 clients so, and no list is to be passed by on this way.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::limits::NETWORKS_MAX;
use crate::http::Fields;
use crate::http::field::{is_token_byte, is_value_byte, trim};
use crate::route::Glob;

/// What the word `private` stands for: loopback, RFC 1918, link-local, unique local (RFC 4193).
const PRIVATE: &[&str] = &[
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1",
    "fe80::/10",
    "fc00::/7",
];
const ANY: &[&str] = &["0.0.0.0/0", "::/0"];

/// The IPv4 address of an address that only wraps one.
#[inline]
pub fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// What limits count by: an IPv4 address, as IPv6 has it (`::ffff:192.0.2.1`), or the /64 of an
/// IPv6 address, which one client has all to itself.
#[inline]
pub fn network_key(address: IpAddr) -> [u8; 16] {
    match plain(address) {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => (u128::from(address) & !u128::from(u64::MAX)).to_be_bytes(),
    }
}

/// A network, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    first: IpAddr,
    prefix_bits: u8,
}

impl Cidr {
    /// Reads `192.0.2.1`, `10.0.0.0/8`, `::1` or `2001:db8::/32`. The fault is a sentence for the
    /// operator.
    pub fn parse(text: &str) -> Result<Cidr, String> {
        let no_network = || format!("{text} is no network; say one, as in 10.0.0.0/8 or ::1");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| no_network())?;
        let bits_max = width(written);
        let is_number = |prefix: &str| prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix_bits = match prefix {
            None => Some(bits_max),
            Some(prefix) if is_number(prefix) => prefix.parse().ok(),
            Some(_) => None,
        };
        let prefix_bits: u8 = prefix_bits.ok_or_else(no_network)?;
        if prefix_bits > bits_max {
            return Err(no_network());
        }
        let first = first_of(written, prefix_bits);
        if first != written {
            return Err(format!(
                "{text} has bits behind its prefix; the network is {first}/{prefix_bits}"
            ));
        }
        Ok(Cidr::plain(first, prefix_bits))
    }

    /// A network of wrapped IPv4 addresses is one of IPv4 addresses.
    fn plain(first: IpAddr, prefix_bits: u8) -> Cidr {
        match (first, plain(first)) {
            (IpAddr::V6(_), IpAddr::V4(inner)) if prefix_bits >= 96 => Cidr {
                first: IpAddr::V4(inner),
                prefix_bits: prefix_bits - 96,
            },
            _ => Cidr { first, prefix_bits },
        }
    }

    /// True for every address of the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = plain(address);
        address.is_ipv4() == self.first.is_ipv4()
            && first_of(address, self.prefix_bits) == self.first
    }

    /// The last address.
    fn last(&self) -> IpAddr {
        match self.first {
            IpAddr::V4(first) => {
                let behind = u32::MAX.checked_shr(self.prefix_bits.into()).unwrap_or(0);
                IpAddr::V4((u32::from(first) | behind).into())
            }
            IpAddr::V6(first) => {
                let behind = u128::MAX.checked_shr(self.prefix_bits.into()).unwrap_or(0);
                IpAddr::V6((u128::from(first) | behind).into())
            }
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix_bits == width(self.first) {
            true => write!(out, "{}", self.first),
            false => write!(out, "{}/{}", self.first, self.prefix_bits),
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// An address without what stands behind its prefix.
fn first_of(address: IpAddr, prefix_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let behind = u32::MAX.checked_shr(prefix_bits.into()).unwrap_or(0);
            IpAddr::V4((u32::from(address) & !behind).into())
        }
        IpAddr::V6(address) => {
            let behind = u128::MAX.checked_shr(prefix_bits.into()).unwrap_or(0);
            IpAddr::V6((u128::from(address) & !behind).into())
        }
    }
}

/// Networks, to be asked for an address.
///
/// Ranges that do not touch, in order: a look is a search by halves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressList {
    v4: Box<[(Ipv4Addr, Ipv4Addr)]>,
    v6: Box<[(Ipv6Addr, Ipv6Addr)]>,
}

impl AddressList {
    /// Reads networks between blanks or commas, and the words `private` and `any`. The fault is a
    /// sentence for the operator.
    pub fn parse(text: &str) -> Result<AddressList, String> {
        let mut networks = Vec::new();
        for word in text.split([' ', ',', '\t', '\n']) {
            match word {
                "" => continue,
                "private" => networks.extend(known(PRIVATE)),
                "any" => networks.extend(known(ANY)),
                _ => networks.push(Cidr::parse(word)?),
            }
            if networks.len() > NETWORKS_MAX {
                return Err(format!("a list has at most {NETWORKS_MAX} networks"));
            }
        }
        match networks.is_empty() {
            true => Err("it names no network; say one, as in 10.0.0.0/8 or private".to_owned()),
            false => Ok(networks.into_iter().collect()),
        }
    }

    /// True for an address of any of the networks.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        match plain(address) {
            IpAddr::V4(address) => is_within(&self.v4, address),
            IpAddr::V6(address) => is_within(&self.v6, address),
        }
    }

    /// True when it contains no address.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// What is in either list, as when a flag is said twice.
    pub fn joined(&self, other: &AddressList) -> AddressList {
        AddressList {
            v4: merged([&self.v4[..], &other.v4].concat(), v4_next),
            v6: merged([&self.v6[..], &other.v6].concat(), v6_next),
        }
    }
}

impl FromIterator<Cidr> for AddressList {
    fn from_iter<I: IntoIterator<Item = Cidr>>(networks: I) -> AddressList {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match (network.first, network.last()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first, last)),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((first, last)),
                _ => unreachable!("a network ends in the family that it begins in"),
            }
        }
        AddressList {
            v4: merged(v4, v4_next),
            v6: merged(v6, v6_next),
        }
    }
}

fn known(texts: &[&str]) -> impl Iterator<Item = Cidr> {
    let network = |text: &&str| Cidr::parse(text).expect("the text is ours");
    texts.iter().map(network)
}

fn is_within<A: Ord>(ranges: &[(A, A)], address: A) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind > 0 && address <= ranges[behind - 1].1
}

/// Sorts ranges and joins those that meet.
fn merged<A: Copy + Ord>(mut ranges: Vec<(A, A)>, next: fn(A) -> Option<A>) -> Box<[(A, A)]> {
    ranges.sort_unstable();
    let mut apart: Vec<(A, A)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match apart.last_mut() {
            Some(before) if next(before.1).is_none_or(|next| first <= next) => {
                before.1 = before.1.max(last);
            }
            _ => apart.push((first, last)),
        }
    }
    apart.into()
}

fn v4_next(address: Ipv4Addr) -> Option<Ipv4Addr> {
    u32::from(address).checked_add(1).map(Ipv4Addr::from)
}

fn v6_next(address: Ipv6Addr) -> Option<Ipv6Addr> {
    u128::from(address).checked_add(1).map(Ipv6Addr::from)
}

/// Who is let in, or kept out, on the paths of a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// `None`: every path.
    pub glob: Option<Glob>,
    pub list: AddressList,
}

impl AddressRule {
    /// Reads `[GLOB ]NETWORK…`. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<AddressRule, String> {
        let (glob, text) = super::split_glob(text)?;
        let list = AddressList::parse(text)?;
        Ok(AddressRule { glob, list })
    }
}

/// Which field of a trusted proxy tells the client. There is one: a proxy passes the other on as a
/// client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`, as most proxies write it.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The address of the client: the peer's own, or what trusted proxies say.
///
/// The field is walked from the right, where the nearest proxy has written: as long as an address
/// is a trusted proxy, it can be believed about the one before. The walk ends at the first that is
/// not, or before the first that cannot be read or is hidden.
pub fn client_address(
    by: ForwardedBy,
    peer: IpAddr,
    fields: &Fields<'_>,
    trusted: &AddressList,
) -> IpAddr {
    let peer = plain(peer);
    if !trusted.contains(peer) {
        return peer;
    }
    match by {
        ForwardedBy::Forwarded => {
            let elements = lines(fields, FORWARDED).flat_map(Elements);
            walk(peer, elements.map(forwarded_for), trusted)
        }
        ForwardedBy::XForwardedFor => {
            let lines = lines(fields, X_FORWARDED_FOR);
            let members = lines.flat_map(|line| line.rsplit(|byte| *byte == b','));
            let members = members.map(trim).filter(|member| !member.is_empty());
            walk(peer, members.map(node), trusted)
        }
    }
}

const FORWARDED: &str = "forwarded";
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The values of a field, the last line first.
fn lines<'a>(fields: &Fields<'a>, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    let lines = fields.list().iter().rev();
    let lines = lines.filter(move |field| field.name.eq_ignore_ascii_case(name));
    lines.map(|field| field.value)
}

fn walk(
    peer: IpAddr,
    mut hops: impl Iterator<Item = Option<IpAddr>>,
    trusted: &AddressList,
) -> IpAddr {
    let mut client = peer;
    while trusted.contains(client) {
        match hops.next().flatten() {
            Some(before) => client = before,
            None => break,
        }
    }
    client
}

/// The elements of one line of `Forwarded`, the last first.
///
/// Read from the right, since whatever a client has put on the left (a quote that is never closed)
/// must not swallow what proxies have put behind it.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.0.is_empty() {
            let comma = last_comma(self.0);
            let element = trim(&self.0[comma.map_or(0, |comma| comma + 1)..]);
            self.0 = &self.0[..comma.unwrap_or(0)];
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    }
}

/// The last comma outside of quotes.
fn last_comma(value: &[u8]) -> Option<usize> {
    let mut is_quoted = false;
    for (at, byte) in value.iter().enumerate().rev() {
        match byte {
            b',' if !is_quoted => return Some(at),
            // No quote inside of a quoted string is without its backslash, and none that opens or
            // closes one has any.
            b'"' if !is_quoted => is_quoted = true,
            b'"' => is_quoted = is_escaped(value, at),
            _ => {}
        }
    }
    None
}

/// True behind an odd number of backslashes.
fn is_escaped(value: &[u8], at: usize) -> bool {
    let before = value[..at].iter().rev();
    before.take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The address that one element of `Forwarded` names by `for` (RFC 7239 §4).
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let (mut found, mut rest) = (None, element);
    loop {
        // Pairs may be empty.
        while let [b';', behind @ ..] = rest {
            rest = trim(behind);
        }
        if rest.is_empty() {
            return found.flatten();
        }
        let (name, behind) = split_at_byte(rest, b'=')?;
        if name.is_empty() || !name.iter().all(|byte| is_token_byte(*byte)) {
            return None;
        }
        let mut value = Unquoted {
            bytes: [0; NODE_BYTES_MAX],
            len: 0,
        };
        rest = value.read(behind)?;
        if name.eq_ignore_ascii_case(b"for") {
            // §4: each parameter occurs once in an element.
            match found {
                None => found = Some(node(value.bytes())),
                Some(_) => return None,
            }
        }
        if !matches!(rest, [] | [b';', ..]) {
            return None;
        }
    }
}

fn split_at_byte(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(byte, bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// The value of a parameter, as far as a node could be as long; a longer one is no address.
struct Unquoted {
    bytes: [u8; NODE_BYTES_MAX],
    len: usize,
}

/// `[`, an IPv6 address, `]:` and a port or a name for one.
const NODE_BYTES_MAX: usize = 64;

impl Unquoted {
    /// Takes a token or a quoted string (RFC 9110 §5.6.4); what is left begins behind it, and
    /// behind white space. Addresses with colons are taken without quotes, too: some proxies write
    /// them so.
    fn read<'a>(&mut self, value: &'a [u8]) -> Option<&'a [u8]> {
        let Some(quoted) = value.strip_prefix(b"\"") else {
            let is_bare = |byte: &u8| is_token_byte(*byte) || matches!(byte, b':' | b'[' | b']');
            let end = value.iter().position(|byte| !is_bare(byte));
            let (bare, rest) = value.split_at(end.unwrap_or(value.len()));
            bare.iter().for_each(|byte| self.push(*byte));
            return (!bare.is_empty()).then(|| trim(rest));
        };
        let mut bytes = quoted.iter().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => return Some(trim(&quoted[at + 1..])),
                b'\\' => self.push(*bytes.next()?.1),
                byte if is_value_byte(*byte) => self.push(*byte),
                _ => return None,
            }
        }
        None
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
        }
        self.len += 1;
    }

    fn bytes(&self) -> &[u8] {
        // What is cut would not be told from what is whole.
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A node (RFC 7239 §6): an address, with a port or without. Names that hide one are none.
fn node(bytes: &[u8]) -> Option<IpAddr> {
    if bytes.len() > NODE_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let address = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, behind) = bracketed.split_once(']')?;
            let is_whole = behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port);
            let address: Ipv6Addr = is_whole.then(|| address.parse().ok()).flatten()?;
            IpAddr::V6(address)
        }
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => {
                let address: Ipv4Addr = address.parse().ok()?;
                is_port(port).then_some(IpAddr::V4(address))?
            }
            _ => text.parse().ok()?,
        },
    };
    Some(plain(address))
}

/// A number, or a name that hides one (RFC 7239 §6.3).
fn is_port(text: &str) -> bool {
    let is_hiding = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match text.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(is_hiding),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Field;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn list(text: &str) -> AddressList {
        AddressList::parse(text).unwrap()
    }

    /// The client of a peer that says these lines. Proxies: 10.0.0.0/8 and 2001:db8:1::/48.
    fn client(peer: &str, said: &[(&str, &str)]) -> String {
        let trusted = list("10.0.0.0/8 2001:db8:1::/48");
        let line = |(name, value): &(&'static str, &'static str)| Field {
            name,
            value: value.as_bytes(),
        };
        let said: Vec<(&'static str, &'static str)> =
            said.iter().map(|(n, v)| (leak(n), leak(v))).collect();
        let fields: Vec<Field<'_>> = said.iter().map(line).collect();
        let fields = Fields::new(&fields);
        let by = match lines(&fields, FORWARDED).next() {
            Some(_) => ForwardedBy::Forwarded,
            None => ForwardedBy::XForwardedFor,
        };
        client_address(by, ip(peer), &fields, &trusted).to_string()
    }

    fn leak(text: &str) -> &'static str {
        Box::leak(text.to_owned().into_boxed_str())
    }

    fn forwarded(value: &str) -> String {
        client("10.0.0.1", &[("Forwarded", value)])
    }

    #[test]
    fn networks_are_read_and_shown() {
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "192.0.2.1",
            "::/0",
            "::1",
            "2001:db8::/32",
        ] {
            assert_eq!(Cidr::parse(text).unwrap().to_string(), text);
        }
        let same = |one, other| assert_eq!(Cidr::parse(one).unwrap().to_string(), other);
        same("10.0.0.1/32", "10.0.0.1");
        same("::ffff:10.0.0.0/104", "10.0.0.0/8");
        same("::ffff:10.0.0.1", "10.0.0.1");
        same("::ffff:0:0/96", "0.0.0.0/0");
    }

    #[test]
    fn a_wrong_network_is_told() {
        for text in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "::/+1",
            "10.0.0.0/8/8",
            "10.0/8",
            "010.0.0.1",
            "localhost",
            "fe80::1%eth0",
            "[::1]",
            "1.2.3.4:80",
            "10.0.0.0/256",
        ] {
            let why = Cidr::parse(text).unwrap_err();
            assert!(why.contains("is no network"), "{text}: {why}");
        }
        let why = Cidr::parse("10.1.2.3/8").unwrap_err();
        assert!(why.contains("the network is 10.0.0.0/8"), "{why}");
        assert!(Cidr::parse("::1/0").is_err());
    }

    #[test]
    fn a_list_contains_what_its_networks_do() {
        let networks = list("10.0.0.0/8, 192.0.2.1\t2001:db8::/32\n10.1.0.0/16 11.0.0.0/8");
        for address in [
            "10.0.0.0",
            "10.255.255.255",
            "11.2.3.4",
            "192.0.2.1",
            "2001:db8:f::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(networks.contains(ip(address)), "{address}");
        }
        for address in ["9.255.255.255", "12.0.0.0", "192.0.2.2", "2001:db9::", "::"] {
            assert!(!networks.contains(ip(address)), "{address}");
        }
        assert_eq!(networks.v4.len(), 2, "what meets is one range");
        assert!(!networks.is_empty() && AddressList::default().is_empty());
        assert!(!AddressList::default().contains(ip("::1")));
        let joined = list("::1").joined(&list("12.0.0.0/8"));
        assert!(joined.contains(ip("::1")) && joined.contains(ip("12.0.0.1")));
    }

    #[test]
    fn the_words_of_a_list_stand_for_networks() {
        let private = list("private");
        for address in [
            "127.0.0.1",
            "10.9.8.7",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(private.contains(ip(address)), "{address}");
        }
        for address in [
            "172.32.0.1",
            "8.8.8.8",
            "2001:db8::1",
            "::",
            "::ffff:8.8.8.8",
        ] {
            assert!(!private.contains(ip(address)), "{address}");
        }
        let any = list("any");
        assert!(
            [
                "0.0.0.0",
                "255.255.255.255",
                "::",
                "ffff::",
                "::ffff:1.2.3.4"
            ]
            .iter()
            .all(|address| any.contains(ip(address)))
        );
        assert!(
            AddressList::parse(" ,")
                .unwrap_err()
                .contains("names no network")
        );
        assert!(AddressList::parse("Private").is_err());
    }

    #[test]
    fn a_list_is_bounded() {
        let text = "10.0.0.1 ".repeat(NETWORKS_MAX + 1);
        assert!(AddressList::parse(&text).unwrap_err().contains("at most"));
    }

    #[test]
    fn a_rule_begins_with_its_glob() {
        let rule = AddressRule::parse("/admin/** private, 192.0.2.0/24").unwrap();
        assert_eq!(rule.glob.unwrap().as_str(), "/admin/**");
        assert!(rule.list.contains(ip("192.0.2.9")) && rule.list.contains(ip("::1")));
        assert_eq!(AddressRule::parse("any").unwrap().glob, None);
        for text in ["", "/admin/**", "/a{ any", "*.json x"] {
            assert!(AddressRule::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_count_ipv4_addresses_and_networks_of_ipv6() {
        let key = |text| network_key(ip(text));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1:2:3"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    }

    #[test]
    fn only_a_trusted_peer_is_asked_for_its_client() {
        let said = [
            ("Forwarded", "for=192.0.2.1"),
            ("X-Forwarded-For", "192.0.2.2"),
        ];
        assert_eq!(client("198.51.100.1", &said), "198.51.100.1");
        assert_eq!(client("::ffff:198.51.100.1", &said), "198.51.100.1");
        assert_eq!(client("::ffff:10.0.0.1", &said), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &said[1..]), "192.0.2.2");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(
            client("10.0.0.1", &[("Forwarded", ""), said[1]]),
            "10.0.0.1"
        );
    }

    #[test]
    fn the_field_that_counts_can_be_said() {
        let lines = [
            ("Forwarded", "for=192.0.2.1"),
            ("X-Forwarded-For", "192.0.2.2"),
        ];
        let lines = lines.map(|(name, value)| Field {
            name,
            value: value.as_bytes(),
        });
        let (fields, trusted) = (Fields::new(&lines), list("private"));
        let by = |by| client_address(by, ip("::1"), &fields, &trusted).to_string();
        assert_eq!(by(ForwardedBy::Forwarded), "192.0.2.1");
        assert_eq!(by(ForwardedBy::XForwardedFor), "192.0.2.2");
    }

    /// RFC 7239 §4, §6, §7.1
    #[test]
    fn the_examples_of_forwarded_are_read() {
        assert_eq!(
            forwarded("for=192.0.2.60;proto=http;by=203.0.113.43"),
            "192.0.2.60"
        );
        assert_eq!(
            forwarded("For=\"[2001:db8:cafe::17]:4711\""),
            "2001:db8:cafe::17"
        );
        assert_eq!(forwarded("for=\"192.0.2.43:47011\""), "192.0.2.43");
        assert_eq!(
            forwarded("for=192.0.2.43, for=198.51.100.17"),
            "198.51.100.17"
        );
        assert_eq!(
            forwarded("for=192.0.2.43,FOR=10.1.1.1;by=\"a,b;\\\"\" , ,"),
            "192.0.2.43"
        );
        assert_eq!(
            forwarded("proto=https ; for=\"[2001:db8::1]:_port\" ;by=_x"),
            "2001:db8::1"
        );
        assert_eq!(forwarded("for=192.0.2.43:80"), "192.0.2.43");
        assert_eq!(forwarded("for=[2001:db8::1]"), "2001:db8::1");
        assert_eq!(forwarded(";; for=192.0.2.43 ; "), "192.0.2.43");
        assert_eq!(forwarded("for=\"::ffff:192.0.2.43\""), "192.0.2.43");
        assert_eq!(forwarded("for=\"\\1\\9\\2.0.2.43\""), "192.0.2.43");
    }

    #[test]
    fn the_lines_of_a_field_are_one_list() {
        let split = [
            ("Forwarded", "for=192.0.2.9, for=192.0.2.1"),
            ("accept", "*/*"),
            ("forwarded", "for=10.0.0.3, for=\"[2001:db8:1::5]\""),
        ];
        assert_eq!(client("10.0.0.1", &split), "192.0.2.1");
        let split = [
            ("X-Forwarded-For", "192.0.2.9, 192.0.2.1"),
            ("x-forwarded-for", "10.0.0.3"),
        ];
        assert_eq!(client("10.0.0.1", &split), "192.0.2.1");
    }

    #[test]
    fn the_walk_ends_before_what_cannot_be_believed() {
        // All are trusted: the leftmost.
        assert_eq!(forwarded("for=10.0.0.4, for=10.0.0.3"), "10.0.0.4");
        for (hidden, last) in [
            ("for=192.0.2.1, for=_hidden, for=10.0.0.3", "10.0.0.3"),
            ("for=192.0.2.1, for=unknown", "10.0.0.1"),
            ("for=192.0.2.1, proto=http, for=10.0.0.3", "10.0.0.3"),
            ("for=192.0.2.1, for=192.0.2.1;for=10.0.0.3", "10.0.0.1"),
            ("for=192.0.2.1, for==10.0.0.3", "10.0.0.1"),
            ("for=192.0.2.1, for =10.0.0.3", "10.0.0.1"),
            ("for=192.0.2.1, for=\"10.0.0.3\"x", "10.0.0.1"),
            ("for=192.0.2.1, for=\"10.0.0.3:99999x\"", "10.0.0.1"),
            ("for=192.0.2.1, for=\"[10.0.0.3]\"", "10.0.0.1"),
        ] {
            assert_eq!(forwarded(hidden), last, "{hidden}");
        }
        let xff = |value: &str| client("10.0.0.1", &[("X-Forwarded-For", value)]);
        assert_eq!(xff("192.0.2.1, unknown, 10.0.0.3"), "10.0.0.3");
        assert_eq!(xff("192.0.2.1,10.0.0.3,"), "192.0.2.1");
        assert_eq!(xff("192.0.2.1:4711, [2001:db8:1::1]:80"), "192.0.2.1");
        assert_eq!(xff("192.0.2.1, 10.0.0.3:80:80"), "10.0.0.1");
    }

    #[test]
    fn what_a_client_writes_cannot_swallow_what_a_proxy_adds() {
        for hostile in [
            "for=\"192.0.2.66",
            "for=192.0.2.66;by=\"\\",
            "\"",
            "\\\"",
            "for=\"a\\\\\"b\"",
            ";;;==",
            "for=192.0.2.66, \"\"\"",
        ] {
            for added in [
                "for=192.0.2.1",
                "for=\"192.0.2.1:80\";by=\"_a,b\"",
                "by=\"\\\"\";for=192.0.2.1",
            ] {
                assert_eq!(
                    forwarded(&format!("{hostile}, {added}")),
                    "192.0.2.1",
                    "{hostile}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn a_list_agrees_with_its_networks(
            texts in prop::collection::vec((any::<[u8; 4]>(), 0u8..=32), 1..20),
            wide in prop::collection::vec((any::<[u8; 16]>(), 0u8..=128), 0..20),
            asked in prop::collection::vec(any::<[u8; 16]>(), 1..20),
        ) {
            let v4 = texts.iter().map(|(octets, bits)| (IpAddr::from(*octets), *bits));
            let v6 = wide.iter().map(|(octets, bits)| (IpAddr::from(*octets), *bits));
            let networks: Vec<Cidr> = v4
                .chain(v6)
                .map(|(address, bits)| format!("{}/{bits}", first_of(address, bits)))
                .map(|text| Cidr::parse(&text).unwrap())
                .collect();
            let list: AddressList = networks.iter().copied().collect();
            let narrow = asked.iter().map(|o| IpAddr::from([o[0], o[1], o[2], o[3]]));
            let near = networks.iter().flat_map(|network| [network.first, network.last()]);
            for address in asked.iter().map(|o| IpAddr::from(*o)).chain(narrow).chain(near) {
                let expected = networks.iter().any(|network| network.contains(address));
                prop_assert_eq!(list.contains(address), expected, "{}", address);
            }
        }

        #[test]
        fn a_shown_network_is_read_again(octets in any::<[u8; 16]>(), bits in 0u8..=128) {
            let network = Cidr::plain(first_of(IpAddr::from(octets), bits), bits);
            prop_assert_eq!(Cidr::parse(&network.to_string()), Ok(network));
        }

        #[test]
        fn any_text_is_answered_without_a_panic(text in "\\PC{0,32}|[0-9a-f:./ ,*]{0,32}") {
            let _ = (Cidr::parse(&text), AddressRule::parse(&text));
        }

        #[test]
        fn a_proxy_is_believed_about_what_it_adds(
            hostile in "[ -~\t]{0,40}",
            octets in any::<[u8; 4]>(),
        ) {
            let added = Ipv4Addr::from(octets);
            prop_assume!(octets[0] != 10);
            let value = format!("{hostile}, for=\"{added}:1\";by=_x");
            prop_assert_eq!(forwarded(&value), added.to_string());
        }
    }
}
