//! What the server tells of itself: whether it is well, and its counters.

use super::SERVER;
use super::errors::body_unless;
use crate::exchange::{Answer, AnswerHead};
use crate::http::{ResponseHead, Status};

/// Whether the server is well, for whoever sends it requests: 200, or 503 while it ends.
pub fn health(is_well: bool, head_only: bool) -> Answer {
    let (status, text) = match is_well {
        true => (Status::OK, "ok\n"),
        false => (Status::SERVICE_UNAVAILABLE, "ending\n"),
    };
    answer(
        status,
        "text/plain; charset=utf-8",
        text.to_owned(),
        head_only,
    )
}

/// The counters, as Prometheus reads them.
pub fn metrics(text: String, head_only: bool) -> Answer {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    answer(Status::OK, content_type, text, head_only)
}

fn answer(status: Status, content_type: &'static str, text: String, head_only: bool) -> Answer {
    let head = ResponseHead::new(status)
        .with("Server", SERVER)
        .with("Content-Type", content_type)
        .with("Cache-Control", "no-store")
        .with_length(text.len() as u64);
    Answer {
        head: AnswerHead::Fresh(head),
        body: body_unless(head_only, text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Body;

    #[test]
    fn a_server_that_ends_wants_no_further_requests() {
        for (is_well, status) in [(true, Status::OK), (false, Status::SERVICE_UNAVAILABLE)] {
            let answer = health(is_well, false);
            let AnswerHead::Fresh(head) = &answer.head else {
                panic!("it is made for each request");
            };
            assert_eq!(head.status, status);
            assert_eq!(head.get("Cache-Control"), Some(&b"no-store"[..]));
            assert!(matches!(answer.body, Body::Bytes(_)));
            assert!(matches!(health(is_well, true).body, Body::Empty));
        }
    }
}
