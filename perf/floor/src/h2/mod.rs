//! HTTP/2 by prior knowledge: every HEADERS frame is answered with one fixed HEADERS and DATA.
//!
//! Header blocks are not decoded, and the peer's windows are not counted: the load that is measured
//! opens them wider than all bodies together (RFC 9113 §6.9). Requests have no content, so there is
//! no window to give back.

mod answers;
mod frames;

use crate::server::{Due, Protocol, Wish};
use answers::{Answers, Outgoing, Unfinished};
use frames::{Event, Walker};

/// A send ends after the frame that passes this.
const SEND_BYTES: usize = 512 * 1024;

/// The fixed answer.
pub struct Http2 {
    answers: Answers,
}

/// One connection: where its frames are, and what is due.
#[derive(Default)]
pub struct Streams {
    walker: Walker,
    /// Streams that wait for their answer, in the order of their requests.
    due: Vec<u32>,
    /// The first of these whose answer has not begun.
    next: usize,
    unfinished: Option<Unfinished>,
    /// SETTINGS, their acknowledgements and those of PING, which go before all answers.
    control: Vec<u8>,
    /// What is being sent; filled anew by each `next_send`.
    out: Outgoing,
}

impl Http2 {
    /// Answers of `body_bytes` each.
    pub fn new(body_bytes: usize) -> Http2 {
        Http2 {
            answers: Answers::new(body_bytes),
        }
    }
}

impl Protocol for Http2 {
    type Memory = Streams;

    #[inline]
    fn handle_input(&self, streams: &mut Streams, received: &[u8]) -> Wish {
        let Streams {
            walker,
            due,
            control,
            ..
        } = streams;
        let walked = walker.walk(received, |event| match event {
            Event::Request(stream) => due.push(stream),
            Event::Preface => control.extend_from_slice(&frames::SETTINGS_FRAME),
            Event::Settings => control.extend_from_slice(&frames::SETTINGS_ACK_FRAME),
            Event::Ping(payload) => control.extend_from_slice(&frames::ping_ack(payload)),
        });
        match walked {
            Ok(()) => Wish::GoOn,
            Err(frames::NotHttp2) => Wish::End,
        }
    }

    #[inline]
    fn next_send<'a>(&'a self, streams: &'a mut Streams) -> Due<'a> {
        let out = &mut streams.out;
        out.begin(&mut streams.control);
        while out.bytes() < SEND_BYTES {
            if let Some(unfinished) = streams.unfinished.take() {
                streams.unfinished = self.answers.go_on(unfinished, out);
            } else if let Some(stream) = streams.due.get(streams.next) {
                streams.next += 1;
                streams.unfinished = self.answers.begin(*stream, out);
            } else {
                streams.due.clear();
                streams.next = 0;
                break;
            }
        }
        self.answers.due(out)
    }

    fn forget(&self, streams: &mut Streams) {
        *streams = Streams::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frames::tests::{request, settings};

    fn preface() -> Vec<u8> {
        [&frames::PREFACE[..], &settings()].concat()
    }

    #[test]
    fn every_request_of_a_read_is_answered_in_one_send() {
        let http2 = Http2::new(100);
        let mut streams = Streams::default();
        let input = [preface(), request(1), request(3)].concat();
        assert_eq!(http2.handle_input(&mut streams, &input), Wish::GoOn);
        let mut expected = Outgoing::default();
        let mut control = [frames::SETTINGS_FRAME, frames::SETTINGS_ACK_FRAME].concat();
        expected.begin(&mut control);
        assert!(http2.answers.begin(1, &mut expected).is_none());
        assert!(http2.answers.begin(3, &mut expected).is_none());
        assert_eq!(http2.next_send(&mut streams), http2.answers.due(&expected));
        assert_eq!(http2.next_send(&mut streams), Due::Nothing);
    }

    #[test]
    fn large_answers_come_in_several_sends_and_in_full() {
        let http2 = Http2::new(1_000_000);
        let mut streams = Streams::default();
        http2.handle_input(&mut streams, &[preface(), request(1)].concat());
        let mut sent = Vec::new();
        let mut sends = 0;
        while let Due::Pieces(pieces) = http2.next_send(&mut streams) {
            let bytes = pieces.concat();
            assert!(bytes.len() < SEND_BYTES + 2 * answers::DATA_BYTES_MAX);
            assert!(pieces.len() <= 1024);
            sent.extend_from_slice(&bytes);
            sends += 1;
        }
        assert_eq!(sends, 2);
        assert_eq!(answers::tests::body_of(&sent, 1).len(), 1_000_000);
    }

    #[test]
    fn what_is_no_http2_ends() {
        let http2 = Http2::new(100);
        let mut streams = Streams::default();
        let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(http2.handle_input(&mut streams, input), Wish::End);
        assert_eq!(http2.next_send(&mut streams), Due::Nothing);
    }
}
