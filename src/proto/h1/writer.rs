//! The final writer of HTTP/1: turns heads of answers into bytes for the next send.
//!
//! What belongs to the connection and not to the answer is added here: `Date` and `Connection`,
//! and the framing of content whose length is not known (RFC 9112 §7.1).

use std::io::Write;

use crate::http::{DateField, HeadTemplate, ResponseHead};

/// The field line of an answer in chunks.
pub const CHUNKED: &[u8] = b"Transfer-Encoding: chunked\r\n";
/// Stands behind the content of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// The last chunk and the end of an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Tells a client that its content is wanted (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

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

/// Appends the line before the content of a chunk, which is not empty.
pub fn write_chunk_size(out: &mut Vec<u8>, len: usize) {
    debug_assert!(len > 0, "that would be the last chunk");
    write!(out, "{len:x}\r\n").expect("writing to a Vec cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Status;

    /// RFC 9112 §7.1: what we write, our own reader takes for the same content.
    #[test]
    fn chunks_are_read_as_they_were_written() {
        use crate::proto::h1::{BodyReader, Framing};
        for len in [1, 9, 10, 255, 256, 65_535, 65_536] {
            let mut out = Vec::new();
            write_chunk_size(&mut out, len);
            out.resize(out.len() + len, b'z');
            out.extend_from_slice(CHUNK_END);
            out.extend_from_slice(LAST_CHUNK);
            let mut reader = BodyReader::new(Framing::Chunked).unwrap();
            let (mut used, mut content) = (0, 0);
            loop {
                let step = reader.handle_input(&out[used..]).unwrap();
                used += step.consumed;
                content += step.data.len();
                if step.ended {
                    break;
                }
            }
            assert_eq!((used, content), (out.len(), len));
        }
    }

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
