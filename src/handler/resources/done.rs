//! What a write has come to, as an answer.

use crate::engine::operation::FileStat;
use crate::exchange::{Answer, AnswerHead, Body};
use crate::handler::SERVER;
use crate::http::validator::file_etag;
use crate::http::{ResponseHead, Status, date};

/// A write that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) status: Status,
    pub(super) location: Option<Vec<u8>>,
    pub(super) etag: Option<Vec<u8>>,
    pub(super) last_modified_unix: Option<u64>,
    pub(super) repr_digest: Option<String>,
}

impl Done {
    /// With nothing to say of the resource.
    pub(super) fn new(status: Status) -> Done {
        Done {
            status,
            location: None,
            etag: None,
            last_modified_unix: None,
            repr_digest: None,
        }
    }

    /// With the validators of its new state.
    pub(super) fn of_state(status: Status, stat: &FileStat) -> Done {
        Done {
            etag: Some(file_etag(stat.modified, stat.len).as_bytes().to_vec()),
            last_modified_unix: u64::try_from(stat.modified.0).ok(),
            ..Done::new(status)
        }
    }

    /// The answer.
    pub(super) fn into_answer(self) -> Answer {
        let mut head = ResponseHead::new(self.status).with("Server", SERVER);
        if let Some(location) = self.location {
            head = head.with_value("Location", location);
        }
        if let Some(etag) = self.etag {
            head = head.with_value("ETag", etag);
        }
        if let Some(seconds) = self.last_modified_unix {
            head = head.with_value("Last-Modified", date::format(seconds));
        }
        if let Some(digest) = self.repr_digest {
            head = head.with_value("Repr-Digest", digest);
        }
        if !self.status.is_bodyless() {
            head = head.with_length(0);
        }
        Answer {
            head: AnswerHead::Fresh(head),
            body: Body::Empty,
        }
    }
}
