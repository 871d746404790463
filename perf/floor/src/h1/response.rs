//! The fixed response, laid out so that any number of answers is one contiguous send.

use crate::arguments::Answer;

/// Enough copies for a whole receive buffer of small pipelined requests.
const COPIES_MAX: usize = 256;
/// Copies are made up to this size; a larger response goes out one by one.
const COPIES_BYTES_MAX: usize = 256 * 1024;

/// Both responses, rendered once.
pub struct Responses {
    keep_alive: Vec<u8>,
    close: Vec<u8>,
    copies: u32,
}

impl Responses {
    /// Responses with a body of the repeated alphabet, as the other servers' files hold, or with
    /// none.
    pub fn new(answer: Answer) -> Responses {
        let render = match answer.status {
            304 => |connection: &str, _: &[u8]| render_not_modified(connection),
            _ => render,
        };
        let body: Vec<u8> = (b'a'..=b'z').cycle().take(answer.body_bytes).collect();
        let one = render("keep-alive", &body);
        let copies = (COPIES_BYTES_MAX / one.len()).clamp(1, COPIES_MAX);
        Responses {
            keep_alive: one.repeat(copies),
            close: render("close", &body),
            copies: copies as u32,
        }
    }

    /// Up to `requests` answers that keep the connection, and how many they are.
    pub fn keep_alive(&self, requests: u32) -> (&[u8], u32) {
        let count = requests.min(self.copies);
        let one_bytes = self.keep_alive.len() / self.copies as usize;
        (&self.keep_alive[..one_bytes * count as usize], count)
    }

    /// The last answer of a connection.
    pub fn close(&self) -> &[u8] {
        &self.close
    }
}

/// The fields that a static server sends, with fixed values. The floor does not read the clock.
fn render(connection: &str, body: &[u8]) -> Vec<u8> {
    let mut response = format!(
        "HTTP/1.1 200 OK\r\n\
         Server: floor\r\n\
         Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\n\
         Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
         Connection: {connection}\r\n\
         ETag: \"65920080-64\"\r\n\
         Accept-Ranges: bytes\r\n\r\n",
        body.len()
    )
    .into_bytes();
    response.extend_from_slice(body);
    response
}

/// 304 has no body and the fields that a cache may want (RFC 9110 §15.4.5).
fn render_not_modified(connection: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 304 Not Modified\r\n\
         Server: floor\r\n\
         Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
         Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
         Connection: {connection}\r\n\
         ETag: \"65920080-64\"\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_bytes(body_bytes: usize) -> Responses {
        Responses::new(Answer {
            status: 200,
            body_bytes,
        })
    }

    #[test]
    fn a_304_ends_with_its_head() {
        let answer = Answer {
            status: 304,
            body_bytes: 100,
        };
        let responses = Responses::new(answer);
        let (one, _) = responses.keep_alive(1);
        assert!(one.starts_with(b"HTTP/1.1 304 ") && one.ends_with(b"\r\n\r\n"));
        assert!(responses.close().ends_with(b"\r\n\r\n"));
    }

    #[test]
    fn many_answers_are_copies_of_one() {
        let responses = of_bytes(100);
        let (one, count) = responses.keep_alive(1);
        assert_eq!(count, 1);
        assert!(one.ends_with(b"opqrstuv"));
        let (three, count) = responses.keep_alive(3);
        assert_eq!((three, count), (one.repeat(3).as_slice(), 3));
        assert_eq!(responses.keep_alive(100_000).1, COPIES_MAX as u32);
    }

    #[test]
    fn a_large_response_has_one_copy() {
        let responses = of_bytes(10 * 1024 * 1024);
        let (bytes, count) = responses.keep_alive(16);
        assert_eq!(count, 1);
        assert!(bytes.len() > 10 * 1024 * 1024);
    }
}
