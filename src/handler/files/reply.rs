//! From what a path leads to and what a request asks, to an answer.
//!
//! The same code answers on both lanes: the fast lane sends a [`Reply`] by reference, the slow lane
//! turns it into an [`Answer`] of its own.

use bytes::Bytes;

use crate::cache::{Content, Entry, Representation, Verdict};
use crate::engine::FileRange;
use crate::exchange::{Answer, AnswerHead, Body};
use crate::handler::errors::{self, Page, error_answer};
use crate::handler::redirect;
use crate::http::{
    ByteRange, HeadTemplate, Method, RequestHead, Selected, Status, conditions, range,
};

use super::render;

/// An answer that may still be borrowed.
pub(super) enum Reply<'a> {
    /// A template and its body; nothing is made for it.
    Ready {
        head: &'a HeadTemplate,
        body: &'a Bytes,
    },
    /// An answer made for this request.
    Made(Answer),
}

static NO_BODY: Bytes = Bytes::new();

impl Reply<'_> {
    pub(super) fn into_answer(self) -> Answer {
        match self {
            Reply::Made(answer) => answer,
            Reply::Ready { head, body } => Answer {
                head: AnswerHead::Template(head.clone()),
                body: errors::body_unless(false, body.clone()),
            },
        }
    }
}

/// The answer from a representation.
#[inline]
pub(super) fn from_entry<'a>(head: &RequestHead<'_>, entry: &'a Entry) -> Reply<'a> {
    let representation = entry.representation();
    match conditions::evaluate(head, &representation.validators, representation.len) {
        // RFC 9110 §14.2 lets a server send everything to who asks for several parts.
        Selected::Full | Selected::Ranges(_) => full(head.method, representation),
        Selected::NotModified => Reply::Ready {
            head: &representation.not_modified,
            body: &NO_BODY,
        },
        Selected::PreconditionFailed => from_page(head, errors::page(Status::PRECONDITION_FAILED)),
        Selected::Range(range) => Reply::Made(partial(representation, &range)),
        Selected::Unsatisfiable => Reply::Made(unsatisfiable(representation.len)),
    }
}

/// The answer when a path leads to no representation.
pub(super) fn from_verdict(head: &RequestHead<'_>, verdict: Verdict) -> Reply<'static> {
    let page = |status| from_page(head, errors::page(status));
    match verdict {
        Verdict::Directory => Reply::Made(redirect::to_final_slash(head)),
        Verdict::Missing => page(Status::NOT_FOUND),
        Verdict::Forbidden => page(Status::FORBIDDEN),
        Verdict::Changing | Verdict::Exhausted => page(Status::SERVICE_UNAVAILABLE),
        Verdict::Failed => page(Status::INTERNAL_SERVER_ERROR),
    }
}

/// The answer to a path that breaks the grammar.
pub(super) fn bad_request(head: &RequestHead<'_>, reason: &str) -> Answer {
    error_answer(Status::BAD_REQUEST, reason, is_head(head))
}

fn from_page<'a>(head: &RequestHead<'_>, page: &'a Page) -> Reply<'a> {
    Reply::Ready {
        head: &page.head,
        body: if is_head(head) { &NO_BODY } else { &page.body },
    }
}

#[inline]
fn full(method: Method, representation: &Representation) -> Reply<'_> {
    let head = &representation.full;
    match &representation.content {
        _ if method == Method::Head || representation.len == 0 => Reply::Ready {
            head,
            body: &NO_BODY,
        },
        Content::Memory(body) => Reply::Ready { head, body },
        Content::File(_) => Reply::Made(Answer {
            head: AnswerHead::Template(head.clone()),
            body: part(representation, 0, representation.len),
        }),
    }
}

/// RFC 9110 §15.3.7
fn partial(representation: &Representation, range: &ByteRange) -> Answer {
    Answer {
        head: AnswerHead::Fresh(render::partial(representation, range)),
        body: part(representation, range.start(), range.len()),
    }
}

/// RFC 9110 §15.5.17; only GET asks for ranges.
fn unsatisfiable(len: u64) -> Answer {
    let page = errors::page(Status::RANGE_NOT_SATISFIABLE);
    let head = errors::error_head(Status::RANGE_NOT_SATISFIABLE, page.body.len())
        .with_value("Content-Range", range::unsatisfied_content_range(len));
    Answer {
        head: AnswerHead::Fresh(head),
        body: errors::body_unless(false, page.body.clone()),
    }
}

fn part(representation: &Representation, offset: u64, len: u64) -> Body {
    match &representation.content {
        Content::Memory(bytes) => {
            let (start, end) = (offset as usize, (offset + len) as usize);
            Body::Bytes(bytes.slice(start..end))
        }
        Content::File(file) => Body::File(FileRange {
            file: file.clone(),
            offset,
            len,
        }),
    }
}

fn is_head(head: &RequestHead<'_>) -> bool {
    head.method == Method::Head
}
