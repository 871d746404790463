//! A small, strict parser of HTTP/1.1 responses (RFC 9112): the oracle's own, so that it does not
//! share mistakes with the server.

use std::ops::Range;

/// The head of a response, and where its content lies.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    /// Where the content lies; when the response is cut off, what there is of it.
    pub(crate) content: Range<usize>,
    /// How long the content is when it is whole.
    pub(crate) content_len: usize,
}

/// What the bytes hold.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Not even a head.
    NoHead,
    /// A head, and content that is cut off.
    CutOff(Response),
    Whole(Response),
}

impl Response {
    /// A response whose parts came apart, with so much of its content.
    pub(crate) fn of_parts(status: u16, fields: Vec<(String, String)>, len: usize) -> Response {
        Response {
            status,
            fields,
            content: 0..len,
            content_len: len,
        }
    }

    /// The value of a field, which must not be repeated.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is repeated");
        value
    }

    /// True when the server says that nothing follows.
    pub(crate) fn says_close(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

/// Parses the response that begins at `start`. With `head_only` it answers HEAD.
///
/// Panics when the bytes cannot be the beginning of a correct response.
pub(crate) fn parse(bytes: &[u8], start: usize, head_only: bool) -> Parsed {
    let rest = &bytes[start..];
    let Some(head_len) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
        assert!(rest.len() < 16 * 1024, "a head without an end");
        let begins = rest.iter().zip(b"HTTP/1.1 ").all(|(a, b)| a == b);
        assert!(begins, "not a response: {}", rest.escape_ascii());
        return Parsed::NoHead;
    };
    let head = std::str::from_utf8(&rest[..head_len]).expect("a head of ASCII");
    let mut lines = head.split("\r\n");
    let status = parse_status_line(lines.next().expect("split gives one at least"));
    let fields: Vec<(String, String)> = lines.map(parse_field_line).collect();
    let content_start = start + head_len + 4;
    let mut response = Response {
        status,
        fields,
        content: content_start..content_start,
        content_len: 0,
    };
    assert_eq!(
        response.field("transfer-encoding"),
        None,
        "files have lengths"
    );
    let length = response.field("content-length");
    let bodyless = matches!(status, 100..200 | 204 | 304);
    if bodyless {
        assert!(length.is_none() || status == 304, "RFC 9110 §8.6: {head}");
    } else {
        let length = length.unwrap_or_else(|| panic!("no Content-Length: {head}"));
        assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "{head}");
        if !head_only {
            response.content_len = length.parse().expect("a number");
        }
    }
    let there = bytes.len() - content_start;
    if there < response.content_len {
        response.content.end = bytes.len();
        return Parsed::CutOff(response);
    }
    response.content.end = content_start + response.content_len;
    Parsed::Whole(response)
}

fn parse_status_line(line: &str) -> u16 {
    let rest = line.strip_prefix("HTTP/1.1 ");
    let rest = rest.unwrap_or_else(|| panic!("not a status line: {line:?}"));
    let (code, reason) = rest.split_once(' ').expect("a space before the reason");
    assert!(!reason.is_empty() && code.len() == 3, "{line:?}");
    code.parse().expect("three digits")
}

fn parse_field_line(line: &str) -> (String, String) {
    let (name, value) = line
        .split_once(": ")
        .unwrap_or_else(|| panic!("no field: {line:?}"));
    let token = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    assert!(token && !name.is_empty(), "no field name: {line:?}");
    assert_eq!(value.trim(), value, "{line:?}");
    assert!(
        value.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
        "{line:?}"
    );
    (name.to_ascii_lowercase(), value.to_owned())
}

/// Tells how many whole responses there are, without looking twice at those that were counted.
pub(crate) struct Counter {
    heads_only: Vec<bool>,
    counted: usize,
    offset: usize,
}

impl Counter {
    /// For a connection on which the n-th request is a HEAD when `heads_only[n]`.
    pub(crate) fn new(heads_only: Vec<bool>) -> Counter {
        Counter {
            heads_only,
            counted: 0,
            offset: 0,
        }
    }

    /// Whole responses in all that was received so far; or more when the server says that none
    /// will follow.
    pub(crate) fn count(&mut self, bytes: &[u8]) -> usize {
        while self.offset < bytes.len() && self.counted < self.heads_only.len() {
            let head_only = self.heads_only[self.counted];
            let Parsed::Whole(response) = parse(bytes, self.offset, head_only) else {
                break;
            };
            self.offset = response.content.end;
            self.counted += 1;
            if response.says_close() {
                self.counted = self.heads_only.len();
            }
        }
        self.counted
    }
}
