//! The heads of a representation (RFC 9110 §8, §15.3.1, §15.3.7, §15.4.5).

use std::borrow::Cow;

use crate::cache::{Content, Representation};
use crate::handler::SERVER;
use crate::http::{ByteRange, HeadTemplate, ResponseHead, Status, Validators, date};

/// Renders what every request for this content is answered with.
pub(in crate::handler) fn representation(
    media_type: Cow<'static, str>,
    validators: Validators,
    len: u64,
    content: Content,
) -> Representation {
    let full = described(Status::OK, &media_type, &validators)
        .with("Accept-Ranges", "bytes")
        .with_length(len);
    // A 304 repeats what guides the cache that asked, and nothing else (RFC 9110 §15.4.5): the date
    // only where there is no entity tag.
    let not_modified = ResponseHead::new(Status::NOT_MODIFIED).with("Server", SERVER);
    let not_modified = match &validators.etag {
        Some(etag) => not_modified.with_value("ETag", etag.as_bytes()),
        None => with_last_modified(not_modified, &validators),
    };
    Representation {
        full: HeadTemplate::new(&full),
        not_modified: HeadTemplate::new(&not_modified),
        media_type,
        validators,
        len,
        content,
    }
}

/// The head of a 206 answer.
pub(super) fn partial(representation: &Representation, range: &ByteRange) -> ResponseHead {
    described(
        Status::PARTIAL_CONTENT,
        &representation.media_type,
        &representation.validators,
    )
    .with("Accept-Ranges", "bytes")
    .with_value("Content-Range", range.content_range())
    .with_length(range.len())
}

fn described(status: Status, media_type: &str, validators: &Validators) -> ResponseHead {
    let head = ResponseHead::new(status)
        .with("Server", SERVER)
        .with_value("Content-Type", media_type);
    let head = with_last_modified(head, validators);
    match &validators.etag {
        Some(etag) => head.with_value("ETag", etag.as_bytes()),
        None => head,
    }
}

fn with_last_modified(head: ResponseHead, validators: &Validators) -> ResponseHead {
    match validators.last_modified_unix {
        Some(seconds) => head.with_value("Last-Modified", date::format(seconds)),
        None => head,
    }
}
