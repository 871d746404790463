//! HTTP/1.1: as many answers as heads ended, in one send.

mod request;
mod response;

use crate::arguments::Answer;
use crate::server::{Due, Protocol, Wish};
use request::{Carry, Scanner};
use response::Responses;

/// The fixed responses and what finds the requests.
pub struct Http1 {
    responses: Responses,
    scanner: Scanner,
}

/// What one connection has asked and not been answered.
#[derive(Default)]
pub struct Asked {
    /// The end of the last head that is not complete.
    carry: Carry,
    /// Requests that wait for an answer that keeps the connection.
    unanswered: u32,
    /// One more request, the last, waits for its answer.
    last_unanswered: bool,
}

impl Http1 {
    /// The same `answer` to everything.
    pub fn new(answer: Answer) -> Http1 {
        Http1 {
            responses: Responses::new(answer),
            scanner: Scanner::new(),
        }
    }
}

impl Protocol for Http1 {
    type Memory = Asked;

    #[inline]
    fn handle_input(&self, asked: &mut Asked, received: &[u8]) -> Wish {
        let scanned = self.scanner.scan(&mut asked.carry, received);
        asked.unanswered += scanned.requests;
        if scanned.close && scanned.requests > 0 {
            asked.unanswered -= 1;
            asked.last_unanswered = true;
            return Wish::End;
        }
        Wish::GoOn
    }

    /// One send for all answers that are due: those that keep the connection first, then the last.
    #[inline]
    fn next_send<'a>(&'a self, asked: &'a mut Asked) -> Due<'a> {
        if asked.unanswered > 0 {
            let (bytes, answered) = self.responses.keep_alive(asked.unanswered);
            asked.unanswered -= answered;
            Due::Bytes(bytes)
        } else if asked.last_unanswered {
            asked.last_unanswered = false;
            Due::Bytes(self.responses.close())
        } else {
            Due::Nothing
        }
    }

    fn forget(&self, asked: &mut Asked) {
        asked.unanswered = 0;
        asked.last_unanswered = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_that_keep_the_connection_come_before_the_last() {
        let http1 = Http1::new(Answer {
            status: 200,
            body_bytes: 10,
        });
        let mut asked = Asked::default();
        let requests = b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n";
        assert_eq!(http1.handle_input(&mut asked, requests), Wish::End);
        for kind in ["keep-alive", "close"] {
            let Due::Bytes(answer) = http1.next_send(&mut asked) else {
                panic!("an answer is due");
            };
            assert!(String::from_utf8_lossy(answer).contains(&format!("Connection: {kind}")));
        }
        assert_eq!(http1.next_send(&mut asked), Due::Nothing);
    }
}
