//! Answers without a representation: errors, `OPTIONS`, and the short texts that come with them.
//!
//! The usual text of each status is rendered once. Texts are for the person at the other end; they
//! never hold bytes of the request.

use std::sync::LazyLock;

use bytes::Bytes;

use super::resources::Resources;
use super::{ALLOW, SERVER};
use crate::exchange::{Answer, AnswerHead, Body};
use crate::http::{HeadTemplate, ResponseHead, Status};

/// A rendered answer.
#[derive(Debug)]
pub struct Page {
    status: Status,
    /// The head, with the length of the body.
    pub head: HeadTemplate,
    /// The body; left out for HEAD.
    pub body: Bytes,
}

/// The statuses that have a page, with the sentence that explains them.
const SENTENCES: &[(Status, &str)] = &[
    (Status::MOVED_PERMANENTLY, "It is at another address now."),
    (Status::FOUND, "It is at another address for now."),
    (Status::SEE_OTHER, "Another address answers."),
    (
        Status::TEMPORARY_REDIRECT,
        "It is at another address for now.",
    ),
    (Status::PERMANENT_REDIRECT, "It is at another address now."),
    (Status::BAD_REQUEST, "The request is not valid HTTP."),
    (
        Status::UNAUTHORIZED,
        "It is for those who say who they are.",
    ),
    (Status::FORBIDDEN, "The server may not read this file."),
    (Status::NOT_FOUND, "There is nothing at this address."),
    (
        Status::METHOD_NOT_ALLOWED,
        "This resource can only be read.",
    ),
    (
        Status::NOT_ACCEPTABLE,
        "There is no form of it that the request accepts.",
    ),
    (
        Status::REQUEST_TIMEOUT,
        "The request did not arrive in time.",
    ),
    (
        Status::CONFLICT,
        "The resource is not in a state that allows this.",
    ),
    (Status::GONE, "It is no longer here."),
    (
        Status::LENGTH_REQUIRED,
        "The request must say how long its content is.",
    ),
    (
        Status::PRECONDITION_FAILED,
        "The file is not in the state that the request asks for.",
    ),
    (
        Status::CONTENT_TOO_LARGE,
        "The body of the request is too large.",
    ),
    (Status::URI_TOO_LONG, "The address is too long."),
    (
        Status::UNSUPPORTED_MEDIA_TYPE,
        "Content of this type is not taken here.",
    ),
    (
        Status::RANGE_NOT_SATISFIABLE,
        "The file ends before the range begins.",
    ),
    (
        Status::EXPECTATION_FAILED,
        "Only the expectation 100-continue is understood.",
    ),
    (
        Status::MISDIRECTED_REQUEST,
        "This server does not answer for that host.",
    ),
    (
        Status::UNPROCESSABLE_CONTENT,
        "The content is well formed, but cannot be applied.",
    ),
    (
        Status::PRECONDITION_REQUIRED,
        "The request must say which state it changes, by If-Match.",
    ),
    (
        Status::TOO_MANY_REQUESTS,
        "There were too many requests. Please try again later.",
    ),
    (
        Status::HEADER_FIELDS_TOO_LARGE,
        "The header fields are too large.",
    ),
    (
        Status::UNAVAILABLE_FOR_LEGAL_REASONS,
        "It may not be shown, for legal reasons.",
    ),
    (
        Status::INTERNAL_SERVER_ERROR,
        "The server failed to answer. It is not your fault.",
    ),
    (
        Status::NOT_IMPLEMENTED,
        "The server does not know this method.",
    ),
    (
        Status::BAD_GATEWAY,
        "The server behind this one did not answer well.",
    ),
    (
        Status::SERVICE_UNAVAILABLE,
        "The server is busy. Please try again soon.",
    ),
    (
        Status::VERSION_NOT_SUPPORTED,
        "This version of HTTP is not spoken here.",
    ),
    (
        Status::INSUFFICIENT_STORAGE,
        "There is no room to store it.",
    ),
];

static PAGES: LazyLock<Vec<Page>> = LazyLock::new(|| {
    let render = |(status, sentence): &(Status, &str)| {
        let body = text(*status, sentence);
        Page {
            status: *status,
            head: HeadTemplate::new(&error_head(*status, body.len())),
            body: body.into(),
        }
    };
    SENTENCES.iter().map(render).collect()
});

/// The usual page of an error status.
pub fn page(status: Status) -> &'static Page {
    let page = PAGES.iter().find(|page| page.status == status);
    page.expect("every error status that the server sends has a sentence")
}

/// An error answer with a sentence of its own, or with the usual one when `reason` is empty. With
/// `head_only` (an answer to HEAD) the head is the same and the body stays away (RFC 9110 §9.3.2).
pub fn error_answer(status: Status, reason: &str, head_only: bool) -> Answer {
    if reason.is_empty() {
        return page_answer(page(status), head_only);
    }
    let body = text(status, reason);
    Answer {
        head: AnswerHead::Fresh(error_head(status, body.len())),
        body: body_unless(head_only, body.into()),
    }
}

/// The answer to a method that files do not allow; `Allow` says which they do (RFC 9110 §15.5.6).
pub fn method_not_allowed_answer(head_only: bool) -> Answer {
    page_answer(page(Status::METHOD_NOT_ALLOWED), head_only)
}

/// The answer to OPTIONS (RFC 9110 §9.3.7). A 204 has no `Content-Length` (§8.6).
pub fn options_answer() -> Answer {
    static HEAD: LazyLock<HeadTemplate> = LazyLock::new(|| {
        let head = ResponseHead::new(Status::NO_CONTENT);
        HeadTemplate::new(&head.with("Server", SERVER).with("Allow", ALLOW))
    });
    Answer {
        head: AnswerHead::Template(HEAD.clone()),
        body: Body::Empty,
    }
}

/// The same for what can be written.
pub fn options_of_writable(raw_path: &[u8]) -> Answer {
    let head = ResponseHead::new(Status::NO_CONTENT)
        .with("Server", SERVER)
        .with("Allow", Resources::allow(raw_path));
    let head = match raw_path.ends_with(b"/") {
        true => head,
        false => head.with("Accept-Patch", Resources::ACCEPT_PATCH),
    };
    Answer {
        head: AnswerHead::Fresh(head),
        body: Body::Empty,
    }
}

/// The answer to a CORS preflight, whose fields come from the gate.
pub fn preflight_answer() -> Answer {
    static HEAD: LazyLock<HeadTemplate> = LazyLock::new(|| {
        HeadTemplate::new(&ResponseHead::new(Status::NO_CONTENT).with("Server", SERVER))
    });
    Answer {
        head: AnswerHead::Template(HEAD.clone()),
        body: Body::Empty,
    }
}

/// The head of an error answer whose body has `len` bytes; more fields may be added.
pub(super) fn error_head(status: Status, len: usize) -> ResponseHead {
    let mut head = ResponseHead::new(status)
        .with("Server", SERVER)
        .with("Content-Type", "text/plain; charset=utf-8")
        .with("X-Content-Type-Options", "nosniff")
        .with_length(len as u64);
    if status.is_error() {
        head.has_usual_text = true;
        head = head.with("Vary", "Accept");
    }
    match status {
        Status::METHOD_NOT_ALLOWED => head.with("Allow", ALLOW),
        Status::SERVICE_UNAVAILABLE => head.with("Retry-After", "1"),
        _ => head,
    }
}

pub(super) fn body_unless(head_only: bool, body: Bytes) -> Body {
    if head_only || body.is_empty() {
        Body::Empty
    } else {
        Body::Bytes(body)
    }
}

/// There is too much to do for one more request.
pub fn busy_answer(head_only: bool) -> Answer {
    error_answer(Status::SERVICE_UNAVAILABLE, "", head_only)
}

/// A handler has failed.
pub fn failed_answer(head_only: bool) -> Answer {
    let reason = "The server failed to make an answer.";
    error_answer(Status::INTERNAL_SERVER_ERROR, reason, head_only)
}

/// A page that was rendered before, as an answer that may still change its form.
pub fn page_again(head: &HeadTemplate, body: &Bytes) -> Answer {
    Answer {
        head: AnswerHead::Template(head.clone()),
        body: body_unless(body.is_empty(), body.clone()),
    }
}

fn page_answer(page: &Page, head_only: bool) -> Answer {
    Answer {
        head: AnswerHead::Template(page.head.clone()),
        body: body_unless(head_only, page.body.clone()),
    }
}

/// The status and why, as a sentence: parsers give reasons without a capital and a full stop.
fn text(status: Status, reason: &str) -> String {
    let mut letters = reason.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let stop = if reason.ends_with('.') { "" } else { "." };
    let sentence: String = first.into_iter().chain(letters).collect();
    format!("{} {}\n{sentence}{stop}\n", status.code(), status.reason())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(answer: &Answer) -> String {
        let mut bytes = Vec::new();
        match &answer.head {
            AnswerHead::Template(template) => bytes.extend_from_slice(template.h1()),
            AnswerHead::Fresh(head) => head.render_h1(&mut bytes),
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_page_is_framed_and_cannot_be_sniffed() {
        for page in PAGES.iter() {
            let head = std::str::from_utf8(page.head.h1()).unwrap();
            let length = format!("Content-Length: {}\r\n", page.body.len());
            assert!(head.contains(&length), "{head}");
            assert!(
                head.contains("X-Content-Type-Options: nosniff\r\n"),
                "{head}"
            );
            assert!(head.contains("Server: downpour\r\n"), "{head}");
            assert!(
                page.body
                    .starts_with(page.status.code().to_string().as_bytes())
            );
        }
    }

    #[test]
    fn a_head_answer_announces_the_length_that_get_would_have() {
        for reason in ["", "The field Host is missing."] {
            let get = error_answer(Status::BAD_REQUEST, reason, false);
            let head = error_answer(Status::BAD_REQUEST, reason, true);
            assert_eq!(rendered(&get), rendered(&head));
            assert!(matches!(head.body, Body::Empty));
            let Body::Bytes(body) = get.body else {
                panic!("GET has a body")
            };
            assert!(std::str::from_utf8(&body).unwrap().contains(reason));
            assert!(rendered(&head).contains(&format!("Content-Length: {}\r\n", body.len())));
        }
    }

    #[test]
    fn a_parsers_reason_becomes_a_sentence() {
        let answer = error_answer(Status::BAD_REQUEST, "a chunk size is malformed", false);
        let Body::Bytes(body) = answer.body else {
            panic!("it has a body")
        };
        assert_eq!(body, "400 Bad Request\nA chunk size is malformed.\n");
        assert!(text(Status::NOT_FOUND, "Gone away.").ends_with("\nGone away.\n"));
    }

    #[test]
    fn options_and_405_name_the_methods() {
        let options = rendered(&options_answer());
        assert!(options.starts_with("HTTP/1.1 204 No Content\r\n"));
        assert!(options.contains("Allow: GET, HEAD, OPTIONS\r\n"));
        assert!(!options.contains("Content-Length"));
        let refused = rendered(&method_not_allowed_answer(false));
        assert!(refused.contains("Allow: GET, HEAD, OPTIONS\r\n"));
    }
}
