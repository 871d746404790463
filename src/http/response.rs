//! Heads of responses: built for one request, or rendered once and sent many times.

use std::borrow::Cow;
use std::io::Write;

use bytes::Bytes;

use super::Status;

/// The head of one response, without what belongs to the connection: `Date`, `Connection` and
/// `Transfer-Encoding` are the final writer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: Status,
    /// Field lines in the order in which they go out.
    pub fields: Vec<(&'static str, Cow<'static, [u8]>)>,
}

impl ResponseHead {
    /// A head without fields.
    pub fn new(status: Status) -> ResponseHead {
        ResponseHead {
            status,
            fields: Vec::new(),
        }
    }

    /// Adds a field whose value is known at compile time.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &'static str) -> ResponseHead {
        self.fields.push((name, Cow::Borrowed(value.as_bytes())));
        self
    }

    /// Adds a field with a value made for this response; it must not hold CR, LF or NUL.
    #[must_use]
    pub fn with_value(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> ResponseHead {
        let value: Vec<u8> = value.into();
        assert!(
            !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)),
            "field injection"
        );
        self.fields.push((name, Cow::Owned(value)));
        self
    }

    /// Adds `Content-Length`.
    #[must_use]
    pub fn with_length(self, len: u64) -> ResponseHead {
        self.with_value("Content-Length", len.to_string())
    }

    /// Appends the status line and the field lines of HTTP/1, without the empty line.
    pub fn render_h1(&self, out: &mut Vec<u8>) {
        let (code, reason) = (self.status.code(), self.status.reason());
        write!(out, "HTTP/1.1 {code} {reason}\r\n").expect("writing to a Vec cannot fail");
        for (name, value) in &self.fields {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// A head that was rendered once, for every protocol, and is sent many times. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadTemplate {
    status: Status,
    h1: Bytes,
}

impl HeadTemplate {
    /// Renders `head`.
    pub fn new(head: &ResponseHead) -> HeadTemplate {
        let mut h1 = Vec::new();
        head.render_h1(&mut h1);
        HeadTemplate {
            status: head.status,
            h1: h1.into(),
        }
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Status line and field lines for HTTP/1, without `Date`, `Connection` and the empty line.
    #[inline]
    pub fn h1(&self) -> &[u8] {
        &self.h1
    }

    /// Bytes that it occupies, for the cache's accounts.
    pub fn weight(&self) -> usize {
        self.h1.len()
    }
}
