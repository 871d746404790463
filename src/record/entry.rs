//! What the log says of one request.

use std::net::IpAddr;

use super::counters::Answered;
use super::request_id::RequestId;
use crate::http::{Method, Version};

/// One request and how it was answered. Every text may be a peer's; long ones are cut when the
/// entry is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When the answer had ended: milliseconds since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// The client's address; `None` on a Unix socket.
    pub address: Option<IpAddr>,
    /// Who the client has proven to be.
    pub user: Option<&'a str>,
    pub method: Method,
    /// The path as sent, or `*`; empty where no head could be read.
    pub target: &'a [u8],
    /// What follows the first `?`, without it.
    pub query: Option<&'a [u8]>,
    pub version: Version,
    /// Whether it came over TLS.
    pub is_secure: bool,
    pub host: Option<&'a [u8]>,
    /// The status code; 0 where no answer has begun.
    pub status: u16,
    /// Bytes of content that were sent.
    pub bytes: u64,
    /// Microseconds from the end of the request's head to the end of the answer, an hour at most.
    pub micros: u32,
    pub id: RequestId,
    pub cache: CacheState,
    pub referer: Option<&'a [u8]>,
    pub user_agent: Option<&'a [u8]>,
}

impl Entry<'_> {
    /// What the counters want to know of it.
    pub fn answered(&self) -> Answered {
        Answered {
            method: self.method,
            version: self.version,
            status: self.status,
            bytes: self.bytes,
            micros: self.micros,
            cache: self.cache,
        }
    }
}

/// Where the answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheState {
    /// From the cache, at once.
    Hit,
    /// From an entry that was found unchanged when it was compared with the disk.
    Revalidated,
    /// From the disk: it was not in the cache, or had changed.
    Miss,
    /// The cache was not asked: refusals, writes, what is made for each request.
    Bypass,
}

impl CacheState {
    pub(super) const ALL: [CacheState; 4] = [
        CacheState::Hit,
        CacheState::Revalidated,
        CacheState::Miss,
        CacheState::Bypass,
    ];

    /// Its name in the log and among the counters.
    pub fn name(self) -> &'static str {
        match self {
            CacheState::Hit => "hit",
            CacheState::Revalidated => "revalidated",
            CacheState::Miss => "miss",
            CacheState::Bypass => "bypass",
        }
    }
}

/// In the order of their numbers, so that a number leads back to its method.
pub(super) const METHODS: [Method; 10] = [
    Method::Get,
    Method::Head,
    Method::Options,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Connect,
    Method::Trace,
    Method::Unknown,
];

/// The token of a method; `None` for one that we do not know.
pub(super) fn method_name(method: Method) -> Option<&'static str> {
    match method {
        Method::Get => Some("GET"),
        Method::Head => Some("HEAD"),
        Method::Options => Some("OPTIONS"),
        Method::Post => Some("POST"),
        Method::Put => Some("PUT"),
        Method::Patch => Some("PATCH"),
        Method::Delete => Some("DELETE"),
        Method::Connect => Some("CONNECT"),
        Method::Trace => Some("TRACE"),
        Method::Unknown => None,
    }
}

/// In the order of their numbers.
pub(super) const VERSIONS: [Version; 3] = [Version::Http10, Version::Http11, Version::Http2];

/// The name of a protocol as it stands in logs. HTTP/2 has a minor version there by custom.
pub(super) fn version_name(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_back_to_its_method_version_and_state() {
        for (number, method) in METHODS.into_iter().enumerate() {
            assert_eq!(method as usize, number);
            let parsed = method_name(method).map(|name| Method::parse(name.as_bytes()));
            assert_eq!(parsed.unwrap_or(Method::Unknown), method);
        }
        for (number, version) in VERSIONS.into_iter().enumerate() {
            assert_eq!(version as usize, number);
        }
        for (number, state) in CacheState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, number);
        }
    }
}
