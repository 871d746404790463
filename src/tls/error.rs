//! What can go wrong: with our files, said with a remedy; with a peer, said to the log.

use std::fmt;

/// Why certificates, keys or tickets cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// What is the matter; no capital, no full stop. Never holds a secret.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl TlsError {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> TlsError {
        TlsError {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for TlsError {}

/// Why one connection's TLS has ended: nothing can be read or written on it any more.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsFault(Why);

#[derive(Clone, Debug, PartialEq)]
enum Why {
    Protocol(rustls::Error),
    Stated(&'static str),
}

impl TlsFault {
    pub(super) const fn stated(what: &'static str) -> TlsFault {
        TlsFault(Why::Stated(what))
    }
}

impl From<rustls::Error> for TlsFault {
    fn from(error: rustls::Error) -> TlsFault {
        TlsFault(Why::Protocol(error))
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::Protocol(error) => error.fmt(out),
            Why::Stated(what) => out.write_str(what),
        }
    }
}

impl std::error::Error for TlsFault {}
