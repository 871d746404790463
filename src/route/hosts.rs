//! Which site a request is for, by the host that it names (RFC 9110 §7.2).

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::net::Ipv6Addr;

use foldhash::fast::RandomState;

use crate::base::limits::HOST_NAME_BYTES_MAX;

/// Bytes of one label of a name (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// A host that a site answers for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostName {
    /// One host, in lower case: `a.example`, `192.0.2.1`, `[2001:db8::1]`.
    Exact(String),
    /// Every host below this one, at any depth: `*.a.example`. The host itself is not one of them.
    Below(String),
    /// Every host: `*`.
    Any,
}

impl HostName {
    /// Reads a name as the configuration writes it. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<HostName, String> {
        if text == "*" {
            return Ok(HostName::Any);
        }
        let address = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = address.parse::<Ipv6Addr>() {
            return Ok(HostName::Exact(format!("[{address}]")));
        }
        match text.strip_prefix("*.") {
            Some(parent) => Ok(HostName::Below(check_name(parent)?)),
            None => Ok(HostName::Exact(check_name(text)?)),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostName::Exact(name) => out.write_str(name),
            HostName::Below(parent) => write!(out, "*.{parent}"),
            HostName::Any => out.write_str("*"),
        }
    }
}

/// A name of labels, in lower case and without a final dot.
fn check_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if !name.is_ascii() {
        return Err(format!(
            "{text} is not ASCII: write it as browsers send it, in punycode (xn--…)"
        ));
    }
    if name.contains("://") || name.contains('/') {
        return Err(format!(
            "{text} is an address: write the host alone, as in a.example"
        ));
    }
    if name.contains('*') {
        return Err(format!(
            "the * in {text} stands for whole labels at the beginning only, as in *.a.example"
        ));
    }
    if name.contains(':') {
        return Err(format!(
            "{text} holds a port: a site answers on every port, name the host alone"
        ));
    }
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label =
        |label: &str| (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(is_letter);
    if name.len() > HOST_NAME_BYTES_MAX || !name.split('.').all(is_label) {
        return Err(format!(
            "{text} is no host name: letters, digits and hyphens with single dots between them"
        ));
    }
    Ok(name)
}

/// The sites by the hosts that they answer for.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    exact: HashMap<Box<[u8]>, usize, RandomState>,
    below: HashMap<Box<[u8]>, usize, RandomState>,
    /// For every other host, and for none.
    default: Option<usize>,
    /// No site has a name.
    is_nameless: bool,
}

impl Hosts {
    /// One site for every host.
    pub fn only() -> Hosts {
        Hosts {
            default: Some(0),
            is_nameless: true,
            ..Hosts::default()
        }
    }

    /// Puts sites, each with its names, together. `default` answers for what no site has; without
    /// one there is no answer (421). A name that two sites have is a fault.
    pub fn new(
        sites: Vec<(Vec<HostName>, usize)>,
        default: Option<usize>,
    ) -> Result<Hosts, String> {
        let mut hosts = Hosts {
            default,
            ..Hosts::default()
        };
        let mut any = None;
        for (names, site) in sites {
            for name in names {
                let before = match &name {
                    HostName::Exact(host) => hosts.exact.insert(host.as_bytes().into(), site),
                    HostName::Below(parent) => hosts.below.insert(parent.as_bytes().into(), site),
                    HostName::Any => any.replace(site),
                };
                if before.is_some_and(|before| before != site) {
                    return Err(format!(
                        "two sites have the host {name}: give it to one of them"
                    ));
                }
            }
        }
        hosts.default = any.or(default);
        hosts.is_nameless = hosts.exact.is_empty() && hosts.below.is_empty();
        Ok(hosts)
    }

    /// The site for the authority of a request, which has been checked against the grammar: the one
    /// that names the host, else the one with the longest wildcard, else the default.
    #[inline]
    pub fn select(&self, authority: Option<&[u8]>) -> Option<usize> {
        if self.is_nameless {
            return self.default;
        }
        self.select_by_name(authority)
    }

    fn select_by_name(&self, authority: Option<&[u8]>) -> Option<usize> {
        let mut buffer = [0; HOST_NAME_BYTES_MAX];
        let Some(host) = authority.and_then(|authority| canonical(authority, &mut buffer)) else {
            return self.default;
        };
        if let Some(site) = self.exact.get(host) {
            return Some(*site);
        }
        let mut parent = host;
        while let Some(dot) = memchr::memchr(b'.', parent) {
            parent = &parent[dot + 1..];
            if let Some(site) = self.below.get(parent) {
                return Some(*site);
            }
        }
        self.default
    }
}

/// The host of an authority in the form in which names are kept: in lower case, without port and
/// final dot. `None` when it is longer than any name.
pub fn canonical<'b>(
    authority: &[u8],
    buffer: &'b mut [u8; HOST_NAME_BYTES_MAX],
) -> Option<&'b [u8]> {
    if authority.first() == Some(&b'[') {
        let close = memchr::memchr(b']', authority)?;
        let address = std::str::from_utf8(&authority[1..close]).ok()?;
        let address = address.parse::<Ipv6Addr>().ok()?;
        let mut left = &mut buffer[..];
        write!(left, "[{address}]").ok()?;
        let len = HOST_NAME_BYTES_MAX - left.len();
        return Some(&buffer[..len]);
    }
    let host = memchr::memchr(b':', authority).map_or(authority, |colon| &authority[..colon]);
    let host = host.strip_suffix(b".").unwrap_or(host);
    let name = buffer.get_mut(..host.len())?;
    name.copy_from_slice(host);
    name.make_ascii_lowercase();
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hosts(sites: &[&[&str]], default: Option<usize>) -> Result<Hosts, String> {
        let names = |names: &[&str]| names.iter().map(|name| HostName::parse(name)).collect();
        let sites: Result<Vec<Vec<HostName>>, String> =
            sites.iter().map(|site| names(site)).collect();
        let sites = sites.unwrap().into_iter().enumerate();
        Hosts::new(sites.map(|(site, names)| (names, site)).collect(), default)
    }

    fn select(hosts: &Hosts, authority: &str) -> Option<usize> {
        hosts.select(Some(authority.as_bytes()))
    }

    #[test]
    fn exact_comes_before_the_longest_wildcard_before_the_default() {
        let hosts = hosts(
            &[
                &["a.example", "[2001:DB8:0::1]", "192.0.2.1"],
                &["*.example"],
                &["*.a.example", "WWW.b.example."],
                &["x.y.a.example"],
            ],
            Some(9),
        );
        let hosts = hosts.unwrap();
        for (authority, site) in [
            ("a.example", 0),
            ("A.EXAMPLE:8080", 0),
            ("a.example.", 0),
            ("a.example.:80", 0),
            ("[2001:db8::1]", 0),
            ("[2001:db8:0:0::1]:443", 0),
            ("192.0.2.1:80", 0),
            ("b.example", 1),
            ("c.b.example", 1),
            ("b.a.example", 2),
            ("c.b.a.example", 2),
            ("www.b.example", 2),
            ("x.y.a.example", 3),
            ("y.a.example", 2),
            ("example", 9),
            ("a.example.org", 9),
            ("xa.example", 1),
            ("[::1]", 9),
            ("localhost", 9),
            ("", 9),
            (".", 9),
        ] {
            assert_eq!(select(&hosts, authority), Some(site), "{authority}");
        }
        assert_eq!(hosts.select(None), Some(9));
        let long = "a".repeat(HOST_NAME_BYTES_MAX + 1) + ".example";
        assert_eq!(select(&hosts, &long), Some(9));
    }

    #[test]
    fn without_a_default_other_hosts_have_no_site() {
        let named = hosts(&[&["a.example"]], None).unwrap();
        assert_eq!(select(&named, "b.example"), None);
        assert_eq!(named.select(None), None);
        let nameless = hosts(&[&[]], Some(0)).unwrap();
        assert_eq!(select(&nameless, "b.example"), Some(0));
        let any = hosts(&[&["a.example"], &["*"]], None).unwrap();
        assert_eq!(
            (select(&any, "b.example"), any.select(None)),
            (Some(1), Some(1))
        );
    }

    #[test]
    fn a_host_belongs_to_one_site() {
        let twice = hosts(&[&["a.example"], &["A.example"]], None);
        assert!(
            twice
                .unwrap_err()
                .contains("two sites have the host a.example")
        );
        assert!(hosts(&[&["*.a.example"], &["*.a.example"]], None).is_err());
        assert!(hosts(&[&["*"], &["*"]], None).is_err());
        assert!(hosts(&[&["a.example", "a.example"]], None).is_ok());
        assert!(hosts(&[&["a.example"], &["*.a.example"]], None).is_ok());
    }

    #[test]
    fn odd_names_are_refused_with_a_sentence() {
        for (name, says) in [
            ("b\u{fc}cher.example", "punycode"),
            ("https://a.example", "host alone"),
            ("a.example/x", "host alone"),
            ("a.example:80", "port"),
            ("a.*.example", "at the beginning"),
            ("*a.example", "at the beginning"),
            ("*.*.example", "at the beginning"),
            ("", "no host name"),
            ("*.", "no host name"),
            ("a..example", "no host name"),
            (".a", "no host name"),
            ("a b", "no host name"),
            ("[x]", "no host name"),
        ] {
            let why = HostName::parse(name).unwrap_err();
            assert!(why.contains(says), "{name}: {why}");
        }
        for name in ["*", "*.a.example", "a_b.example", "[::1]"] {
            assert_eq!(HostName::parse(name).unwrap().to_string(), name);
        }
        assert_eq!(HostName::parse("::1").unwrap().to_string(), "[::1]");
        assert!(HostName::parse(&"a".repeat(64)).is_err());
    }

    proptest! {
        #[test]
        fn any_authority_is_answered_without_a_panic(
            authority in proptest::collection::vec(any::<u8>(), 0..300),
            name in "\\PC{0,24}",
        ) {
            let hosts = hosts(&[&["a.example", "*.a.example", "[::1]"]], None).unwrap();
            hosts.select(Some(&authority));
            let _ = HostName::parse(&name);
        }
    }
}
