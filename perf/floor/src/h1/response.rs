//! The fixed response, laid out so that any number of answers is one contiguous send.

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
    /// Responses with `body_bytes` of the repeated alphabet, as the other servers' files hold.
    pub fn new(body_bytes: usize) -> Responses {
        let body: Vec<u8> = (b'a'..=b'z').cycle().take(body_bytes).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_answers_are_copies_of_one() {
        let responses = Responses::new(100);
        let (one, count) = responses.keep_alive(1);
        assert_eq!(count, 1);
        assert!(one.ends_with(b"opqrstuv"));
        let (three, count) = responses.keep_alive(3);
        assert_eq!((three, count), (one.repeat(3).as_slice(), 3));
        assert_eq!(responses.keep_alive(100_000).1, COPIES_MAX as u32);
    }

    #[test]
    fn a_large_response_has_one_copy() {
        let responses = Responses::new(10 * 1024 * 1024);
        let (bytes, count) = responses.keep_alive(16);
        assert_eq!(count, 1);
        assert!(bytes.len() > 10 * 1024 * 1024);
    }
}
