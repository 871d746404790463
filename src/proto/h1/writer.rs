//! The final writer of HTTP/1: turns heads of answers into bytes for the next send.
//!
//! What belongs to the connection and not to the answer is added here: `Date` and `Connection`.

use crate::http::{DateField, HeadTemplate, ResponseHead};

/// What the answer says about the connection (RFC 9112 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: HTTP/1.1 goes on by itself.
    Implied,
    /// `keep-alive`: a client of HTTP/1.0 asked for it.
    KeepAlive,
    /// `close`: this is the last answer.
    Close,
}

impl Persistence {
    #[inline]
    fn line(self) -> &'static [u8] {
        match self {
            Persistence::Implied => b"",
            Persistence::KeepAlive => b"Connection: keep-alive\r\n",
            Persistence::Close => b"Connection: close\r\n",
        }
    }
}

/// Appends a head that was rendered before. `fields`: further field lines, each with its CRLF.
#[inline]
pub fn write_template(
    out: &mut Vec<u8>,
    head: &HeadTemplate,
    fields: &[u8],
    date: &DateField,
    persistence: Persistence,
) {
    let (h1, line, last) = (head.h1(), persistence.line(), date.last_line());
    out.reserve(h1.len() + fields.len() + line.len() + last.len());
    out.extend_from_slice(h1);
    out.extend_from_slice(fields);
    out.extend_from_slice(line);
    out.extend_from_slice(last);
}

/// Appends a head that was made for this answer.
pub fn write_head(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    fields: &[u8],
    date: &DateField,
    persistence: Persistence,
) {
    head.render_h1(out);
    out.extend_from_slice(fields);
    out.extend_from_slice(persistence.line());
    out.extend_from_slice(date.last_line());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Status;

    #[test]
    fn both_kinds_of_heads_become_the_same_bytes() {
        let head = ResponseHead::new(Status::OK)
            .with("Content-Type", "text/plain")
            .with_length(5);
        let date = DateField::new(784_111_777);
        for (persistence, line) in [
            (Persistence::Implied, ""),
            (Persistence::KeepAlive, "Connection: keep-alive\r\n"),
            (Persistence::Close, "Connection: close\r\n"),
        ] {
            let expected = format!(
                "before HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\
                 Content-Length: 5\r\nA: b\r\n{line}\
                 Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
            );
            let mut out = b"before ".to_vec();
            write_head(&mut out, &head, b"A: b\r\n", &date, persistence);
            assert_eq!(out, expected.as_bytes());
            let mut out = b"before ".to_vec();
            write_template(
                &mut out,
                &HeadTemplate::new(&head),
                b"A: b\r\n",
                &date,
                persistence,
            );
            assert_eq!(out, expected.as_bytes());
        }
    }
}
