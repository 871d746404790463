//! The head of a request, whatever the protocol it came over.

use super::{Field, Fields, Method, Version};

/// The four forms of a request target (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, with CONNECT only
    Authority,
    /// `*`, with OPTIONS only
    Asterisk,
}

/// A request head whose bytes still lie in the buffer in which they came.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    pub method: Method,
    pub version: Version,
    pub form: TargetForm,
    /// The path as sent, still percent-encoded; starts with `/` (empty unless origin or absolute).
    pub path: &'a [u8],
    /// What follows the first `?`, without it.
    pub query: Option<&'a [u8]>,
    /// The host and port that the request is for; `None` only over HTTP/1.0.
    pub authority: Option<&'a [u8]>,
    pub fields: Fields<'a>,
}

impl RequestHead<'_> {
    /// The head of a request that could not be read.
    pub fn unread(version: Version) -> RequestHead<'static> {
        RequestHead {
            method: Method::Unknown,
            version,
            form: TargetForm::Origin,
            path: b"",
            query: None,
            authority: None,
            fields: Fields::new(&[]),
        }
    }
}

/// A request head of its own, for the slow lane.
#[derive(Clone, Debug)]
pub struct OwnedRequestHead {
    method: Method,
    version: Version,
    form: TargetForm,
    bytes: Box<[u8]>,
    path: Part,
    query: Option<Part>,
    authority: Option<Part>,
    fields: Box<[(Part, Part)]>,
}

/// A range of `OwnedRequestHead::bytes`: offset, length.
type Part = (u32, u32);

impl OwnedRequestHead {
    /// Copies `head`.
    pub fn new(head: &RequestHead<'_>) -> OwnedRequestHead {
        let mut bytes = Vec::new();
        let mut keep = |part: &[u8]| -> Part {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(part);
            (start, part.len() as u32)
        };
        let path = keep(head.path);
        let query = head.query.map(&mut keep);
        let authority = head.authority.map(&mut keep);
        let list = head.fields.list().iter();
        let fields = list
            .map(|field| (keep(field.name.as_bytes()), keep(field.value)))
            .collect();
        OwnedRequestHead {
            method: head.method,
            version: head.version,
            form: head.form,
            bytes: bytes.into_boxed_slice(),
            path,
            query,
            authority,
            fields,
        }
    }

    /// Its field lines, for [`OwnedRequestHead::borrow`].
    pub fn list(&self) -> Vec<Field<'_>> {
        self.fields
            .iter()
            .map(|(name, value)| Field {
                name: std::str::from_utf8(self.part(*name)).expect("it was a &str when copied"),
                value: self.part(*value),
            })
            .collect()
    }

    /// The head as a borrowed one; `list` is its own.
    pub fn borrow<'a>(&'a self, list: &'a [Field<'a>]) -> RequestHead<'a> {
        RequestHead {
            method: self.method,
            version: self.version,
            form: self.form,
            path: self.path(),
            query: self.query.map(|part| self.part(part)),
            authority: self.authority.map(|part| self.part(part)),
            fields: Fields::new(list),
        }
    }

    /// The path as sent.
    pub fn path(&self) -> &[u8] {
        self.part(self.path)
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    fn part(&self, (start, len): Part) -> &[u8] {
        &self.bytes[start as usize..(start + len) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Known;

    #[test]
    fn an_owned_head_says_the_same_as_its_original() {
        let list = [
            Field {
                name: "Host",
                value: b"a.example",
            },
            Field {
                name: "If-None-Match",
                value: b"\"x\"",
            },
        ];
        let head = RequestHead {
            method: Method::Get,
            version: Version::Http11,
            form: TargetForm::Origin,
            path: b"/p",
            query: Some(b"q=1"),
            authority: Some(b"a.example"),
            fields: Fields::new(&list),
        };
        let owned = OwnedRequestHead::new(&head);
        let list = owned.list();
        let copy = owned.borrow(&list);
        assert_eq!((copy.path, copy.query), (head.path, head.query));
        assert_eq!(copy.authority, head.authority);
        assert_eq!(copy.fields.get(Known::IfNoneMatch), Some(&b"\"x\""[..]));
        assert_eq!(copy.fields.list(), head.fields.list());
    }
}
