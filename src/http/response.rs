//! Heads of responses: built for one request, or rendered once and sent many times.

use std::borrow::Cow;
use std::io::Write;

use bytes::Bytes;

use super::{Status, hpack_block};

/// The head of one response, without what belongs to the connection: `Date`, `Connection` and
/// `Transfer-Encoding` are the final writer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: Status,
    /// Field lines in the order in which they go out.
    pub fields: Vec<(Cow<'static, str>, Cow<'static, [u8]>)>,
    /// The body is the server's own text about an error: who prefers HTML or JSON gets that.
    pub has_usual_text: bool,
}

impl ResponseHead {
    /// A head without fields.
    pub fn new(status: Status) -> ResponseHead {
        ResponseHead {
            status,
            fields: Vec::new(),
            has_usual_text: false,
        }
    }

    /// Adds a field whose value is known at compile time.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &'static str) -> ResponseHead {
        let value = Cow::Borrowed(value.as_bytes());
        self.fields.push((Cow::Borrowed(name), value));
        self
    }

    /// Adds a field with a value made for this response; it must not hold CR, LF or NUL.
    #[must_use]
    pub fn with_value(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> ResponseHead {
        self.add(Cow::Borrowed(name), value.into());
        self
    }

    /// Adds a field line, also where one of that name is there; the value must not hold CR, LF or
    /// NUL.
    pub fn add(&mut self, name: Cow<'static, str>, value: Vec<u8>) {
        assert!(
            !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)),
            "field injection"
        );
        self.fields.push((name, Cow::Owned(value)));
    }

    /// Adds a field line in place of all of that name.
    pub fn set(&mut self, name: Cow<'static, str>, value: Vec<u8>) {
        self.remove(&name);
        self.add(name, value);
    }

    /// Takes all field lines of that name away, in any case.
    pub fn remove(&mut self, name: &str) {
        self.fields
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// The value of the first field line of that name, in any case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.fields.iter();
        let line = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        line.map(|(_, value)| &value[..])
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

    /// Appends status and fields as a field block of HTTP/2, without fields about the connection
    /// (RFC 9113 §8.2.2).
    pub fn render_h2(&self, out: &mut Vec<u8>) {
        hpack_block::status(out, self.status.code());
        for (name, value) in &self.fields {
            hpack_block::field(out, name, value);
        }
    }
}

/// A head that was rendered once, for every protocol, and is sent many times. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadTemplate {
    status: Status,
    has_usual_text: bool,
    /// Where the rendering for HTTP/1 ends.
    h1_bytes: u32,
    /// The renderings for HTTP/1 and HTTP/2, in one allocation.
    renderings: Bytes,
}

impl HeadTemplate {
    /// Renders `head`.
    pub fn new(head: &ResponseHead) -> HeadTemplate {
        let mut renderings = Vec::new();
        head.render_h1(&mut renderings);
        let h1_bytes = u32::try_from(renderings.len()).expect("a head is far below 4 GiB");
        head.render_h2(&mut renderings);
        HeadTemplate {
            status: head.status,
            has_usual_text: head.has_usual_text,
            h1_bytes,
            renderings: renderings.into_boxed_slice().into(),
        }
    }

    /// This head with further fields, whose values hold neither CR, LF nor NUL.
    #[must_use]
    pub fn with_fields(&self, fields: &[(&str, &[u8])]) -> HeadTemplate {
        let lines: usize = fields
            .iter()
            .map(|(name, value)| 2 * (name.len() + value.len() + 8))
            .sum();
        let mut renderings = Vec::with_capacity(self.renderings.len() + lines);
        renderings.extend_from_slice(self.h1());
        for (name, value) in fields {
            for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
                renderings.extend_from_slice(piece);
            }
        }
        let h1_bytes = u32::try_from(renderings.len()).expect("a head is far below 4 GiB");
        renderings.extend_from_slice(self.h2());
        for (name, value) in fields {
            hpack_block::field(&mut renderings, name, value);
        }
        HeadTemplate {
            status: self.status,
            has_usual_text: self.has_usual_text,
            h1_bytes,
            renderings: renderings.into(),
        }
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// [`ResponseHead::has_usual_text`].
    #[inline]
    pub fn has_usual_text(&self) -> bool {
        self.has_usual_text
    }

    /// The head that this one was rendered from.
    pub fn to_head(&self) -> ResponseHead {
        let mut head = ResponseHead::new(self.status);
        head.has_usual_text = self.has_usual_text;
        let lines = self.h1().split(|byte| *byte == b'\n').skip(1);
        for line in lines.filter_map(|line| line.strip_suffix(b"\r")) {
            let colon = memchr::memchr(b':', line).expect("a line has a name");
            let name = String::from_utf8_lossy(&line[..colon]).into_owned();
            head.add(Cow::Owned(name), line[colon + 2..].to_vec());
        }
        head
    }

    /// Status line and field lines for HTTP/1, without `Date`, `Connection` and the empty line.
    #[inline]
    pub fn h1(&self) -> &[u8] {
        &self.renderings[..self.h1_bytes as usize]
    }

    /// The field block for HTTP/2, without `date`. It holds for every connection.
    #[inline]
    pub fn h2(&self) -> &[u8] {
        &self.renderings[self.h1_bytes as usize..]
    }

    /// Bytes that it occupies, for the cache's accounts.
    pub fn weight(&self) -> usize {
        self.renderings.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_renderings_say_the_same_but_for_the_connection() {
        let head = ResponseHead::new(Status::NOT_FOUND)
            .with("Connection", "close")
            .with("Server", "downpour")
            .with_length(100);
        let template = HeadTemplate::new(&head);
        assert_eq!(
            template.h1(),
            b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nServer: downpour\r\n\
              Content-Length: 100\r\n"
        );
        let mut block = Vec::new();
        head.render_h2(&mut block);
        assert_eq!(template.h2(), block);
        // `:status 404`; `server` (54) and six bytes of Huffman code; `content-length` (28).
        assert_eq!(block[..3], [0x8d, 0x0f, 39]);
        assert_eq!(block[3], 0x80 | 6);
        assert_eq!(block[10..], [0x0f, 13, 0x80 | 2, 0x08, 0x01]);
        assert_eq!(template.weight(), template.h1().len() + template.h2().len());
        assert_eq!(template.clone(), template);
        assert_eq!(template.to_head(), head);
    }

    #[test]
    fn fields_are_added_set_and_removed_in_any_case() {
        let mut head = ResponseHead::new(Status::OK).with("Server", "downpour");
        head.add("X-A".into(), b"1".to_vec());
        head.add("x-a".into(), b"2".to_vec());
        assert_eq!(head.get("X-a"), Some(&b"1"[..]));
        head.set("X-A".into(), b"3".to_vec());
        assert_eq!(head.fields.len(), 2);
        assert_eq!(head.get("x-A"), Some(&b"3"[..]));
        head.remove("SERVER");
        assert_eq!(head.get("Server"), None);
    }

    #[test]
    fn a_template_with_further_fields_is_that_of_the_longer_head() {
        let head = ResponseHead::new(Status::PARTIAL_CONTENT).with("Server", "downpour");
        let longer = head
            .clone()
            .with("Content-Range", "bytes 0-1/2")
            .with_length(2);
        let fields: [(&str, &[u8]); 2] =
            [("Content-Range", b"bytes 0-1/2"), ("Content-Length", b"2")];
        let template = HeadTemplate::new(&head).with_fields(&fields);
        assert_eq!(template, HeadTemplate::new(&longer));
    }

    #[test]
    fn a_template_is_small() {
        assert!(size_of::<HeadTemplate>() <= size_of::<Bytes>() + 8);
    }
}
