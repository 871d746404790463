//! The exchange: one request and its answer, whatever the protocol.
//!
//! HTTP/1.1 has one exchange at a time on a connection, HTTP/2 and 3 many. What can be answered at
//! once never becomes one; what must wait is a slow-lane task that sees only its exchange.

mod parts;
mod request_body;
mod stream;

use bytes::Bytes;

pub use parts::{Part, Parts};
pub use request_body::{BodyFault, BodyInlet, RequestBody, request_body};
pub use stream::{BodyStream, BodyWriter, Gone, Producer, StreamState, body_stream};

use crate::engine::FileRange;
use crate::http::{HeadTemplate, ResponseHead};

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub head: AnswerHead,
    pub body: Body,
}

/// The head of an answer; `Date`, `Connection` and the like are the final writer's.
#[derive(Debug)]
pub enum AnswerHead {
    /// Rendered once, for many answers.
    Template(HeadTemplate),
    /// Made for this one.
    Fresh(ResponseHead),
}

/// The content of an answer. `Content-Length` in the head has been set by whoever made both, but
/// for a stream: its length is not known, and how its end is told is the final writer's.
#[derive(Debug)]
pub enum Body {
    /// No content: HEAD, 204, 304, or a length of zero.
    Empty,
    /// In memory.
    Bytes(Bytes),
    /// In a file.
    File(FileRange),
    /// In several pieces.
    Parts(Parts),
    /// Still being made, by the slow lane.
    Stream(BodyStream),
}
