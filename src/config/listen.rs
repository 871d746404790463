//! Where to listen, as `--listen` says it. Pure.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Bytes of a path in `sockaddr_un`, without the final NUL.
const UNIX_PATH_BYTES_MAX: usize = 107;

/// One place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Every address of this machine: `[::]` for both families, `0.0.0.0` where IPv6 is absent.
    Everywhere { port: u16 },
    /// Exactly this address.
    Tcp(SocketAddr),
    /// A Unix socket that we make.
    Unix(PathBuf),
    /// A listening socket that whoever started us has opened (socket activation).
    Inherited(u32),
}

impl Listen {
    /// The place that both spellings of the same place share; port 0 is a new place each time.
    pub fn same_place(&self, other: &Listen) -> bool {
        match (self.tcp_address(), other.tcp_address()) {
            (Some(mine), Some(theirs)) => mine == theirs && mine.port() != 0,
            _ => self == other,
        }
    }

    fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Listen::Everywhere { port } => Some((Ipv6Addr::UNSPECIFIED, *port).into()),
            Listen::Tcp(address) => Some(*address),
            Listen::Unix(_) | Listen::Inherited(_) => None,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Everywhere { port } => write!(out, "[::]:{port}"),
            Listen::Tcp(address) => address.fmt(out),
            Listen::Unix(path) => write!(out, "unix:{}", path.display()),
            Listen::Inherited(number) => write!(out, "fd:{number}"),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        if let Some(number) = text.strip_prefix("fd:") {
            return inherited(number);
        }
        if let Some(port) = text.strip_prefix(':').filter(|rest| !rest.contains(':')) {
            return Ok(Listen::Everywhere {
                port: self::port(port)?,
            });
        }
        text.parse()
            .map(Listen::Tcp)
            .map_err(|_| not_an_address(text))
    }
}

/// A TCP port; 0 lets the kernel choose a free one.
pub fn port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| "a port is a number from 0 to 65535".to_owned())
}

fn unix(path: &str) -> Result<Listen, String> {
    if path.is_empty() {
        return Err("say the path of the socket, as in unix:/run/downpour.sock".to_owned());
    }
    if path.contains('\0') {
        return Err("a path cannot hold a NUL".to_owned());
    }
    if path.len() > UNIX_PATH_BYTES_MAX {
        return Err(format!(
            "a socket's path has at most {UNIX_PATH_BYTES_MAX} bytes; this one has {}",
            path.len()
        ));
    }
    Ok(Listen::Unix(PathBuf::from(path)))
}

fn inherited(number: &str) -> Result<Listen, String> {
    let sentence = || "say the number of an open descriptor, as in fd:3".to_owned();
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(sentence());
    }
    let number = number.parse().map_err(|_| sentence())?;
    if i32::try_from(number).is_err() {
        return Err(sentence());
    }
    Ok(Listen::Inherited(number))
}

/// Says what was probably meant.
fn not_an_address(text: &str) -> String {
    if port(text).is_ok() {
        return format!("for port {text} at every address say --port {text}");
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return format!("put an IPv6 address into brackets and say the port, as in [{text}]:8080");
    }
    if text.parse::<Ipv4Addr>().is_ok() {
        return format!("say the port as well, as in {text}:8080");
    }
    if let Some((host, number)) = text.rsplit_once(':')
        && port(number).is_ok()
    {
        if host == "*" {
            return format!("for every address say [::]:{number}");
        }
        if host.parse::<Ipv6Addr>().is_ok() {
            return format!("put the IPv6 address into brackets: [{host}]:{number}");
        }
        if host.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            return format!("names are not looked up; say an address, as in 127.0.0.1:{number}");
        }
    }
    "say ADDRESS:PORT, unix:/path or fd:N, as in 127.0.0.1:8080 or [::]:8080".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_is_read() {
        for (text, listen) in [
            ("127.0.0.1:80", Listen::Tcp(([127, 0, 0, 1], 80).into())),
            (
                "[::]:8080",
                Listen::Tcp((Ipv6Addr::UNSPECIFIED, 8080).into()),
            ),
            (":8080", Listen::Everywhere { port: 8080 }),
            ("unix:/run/d.sock", Listen::Unix("/run/d.sock".into())),
            ("unix:d.sock", Listen::Unix("d.sock".into())),
            ("fd:3", Listen::Inherited(3)),
        ] {
            assert_eq!(text.parse(), Ok(listen), "{text}");
        }
    }

    #[test]
    fn what_was_probably_meant_is_said() {
        for (text, hint) in [
            ("8080", "--port 8080"),
            ("::1", "[::1]:8080"),
            ("10.0.0.1", "10.0.0.1:8080"),
            ("localhost:80", "127.0.0.1:80"),
            ("*:80", "[::]:80"),
            ("fe80::1%eth0:80", "names are not looked up"),
            ("127.0.0.1:99999", "127.0.0.1:8080"),
            ("", "ADDRESS:PORT"),
            ("unix:", "unix:/run"),
            ("fd:", "fd:3"),
            ("fd:-1", "fd:3"),
            ("fd:4294967295", "fd:3"),
            (":http", "65535"),
        ] {
            let why = text.parse::<Listen>().unwrap_err();
            assert!(why.contains(hint), "{text}: {why}");
        }
        let long = format!("unix:/{}", "x".repeat(107));
        assert!(long.parse::<Listen>().unwrap_err().contains("107"));
        assert!(long[..long.len() - 1].parse::<Listen>().is_ok());
    }

    #[test]
    fn two_spellings_of_one_place_are_the_same_place() {
        let read = |text: &str| text.parse::<Listen>().unwrap();
        assert!(read(":80").same_place(&read("[::]:80")));
        assert!(!read(":80").same_place(&read("[::]:81")));
        assert!(!read(":0").same_place(&read("[::]:0")));
        assert!(read("unix:/a").same_place(&read("unix:/a")));
        assert!(read("fd:3").same_place(&read("fd:3")));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(address in any::<SocketAddr>(), number in 0u32..1 << 31) {
            // A flow label is not part of the text form, and a scope is not what we bind to.
            let plain = SocketAddr::new(address.ip(), address.port());
            for listen in [Listen::Tcp(plain), Listen::Inherited(number)] {
                prop_assert_eq!(listen.to_string().parse(), Ok(listen));
            }
        }

        #[test]
        fn any_text_is_answered_without_a_panic(text in "(unix:|fd:|:|\\[)?\\PC{0,40}") {
            let _ = text.parse::<Listen>();
        }
    }
}
