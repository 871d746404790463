//! Conditional and range requests: what a request wants of a representation that exists.
//!
//! Asked only for what would otherwise be answered with 200 (RFC 9110 §13.2.1).

use super::validator::{TagRef, tags};
use super::{ByteRange, Known, KnownSet, Method, Ranges, RequestHead, Validators, date, range};

/// The answer that the conditions of a request select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one answer"
)]
pub enum Selected {
    /// The whole representation: 200.
    Full,
    /// The client has it: 304.
    NotModified,
    /// The client expected another state: 412.
    PreconditionFailed,
    /// A part of it: 206.
    Range(ByteRange),
    /// Several parts of it: 206 with `multipart/byteranges`.
    Ranges(Ranges),
    /// No part that exists: 416.
    Unsatisfiable,
}

const CONDITIONAL: KnownSet = KnownSet::of(&[
    Known::IfMatch,
    Known::IfUnmodifiedSince,
    Known::IfNoneMatch,
    Known::IfModifiedSince,
    Known::Range,
]);

/// Evaluates the conditions of `head` in the order of RFC 9110 §13.2.2 for a representation of
/// `len` bytes.
#[inline]
pub fn evaluate(head: &RequestHead<'_>, validators: &Validators, len: u64) -> Selected {
    // `If-Range` alone means nothing (RFC 9110 §13.1.5), so it is not among them.
    if !head.fields.has_any(CONDITIONAL) {
        return Selected::Full;
    }
    evaluate_conditions(head, validators, len)
}

fn evaluate_conditions(head: &RequestHead<'_>, validators: &Validators, len: u64) -> Selected {
    if !precondition_holds(head, validators) {
        return Selected::PreconditionFailed;
    }
    let is_read = matches!(head.method, Method::Get | Method::Head);
    if !is_modified(head, validators, is_read) {
        return if is_read {
            Selected::NotModified
        } else {
            Selected::PreconditionFailed
        };
    }
    select_range(head, validators, len)
}

/// True when the conditions of a request allow it to change a resource, or to create it where
/// `current` is `None` (RFC 9110 §13.2.2). A tag of a compressed form names the state of the file
/// that the form was made of: clients know no other when they get what is compressed.
pub fn permit_change(head: &RequestHead<'_>, current: Option<&Validators>) -> bool {
    let Some(validators) = current else {
        return head.fields.get(Known::IfMatch).is_none();
    };
    if head.fields.get(Known::IfMatch).is_some() {
        let names_current = names(head, Known::IfMatch, validators, |theirs, ours| {
            let suffix = theirs.opaque.strip_prefix(ours.opaque);
            !theirs.is_weak && suffix.is_some_and(|rest| rest.is_empty() || rest[0] == b'-')
        });
        if !names_current {
            return false;
        }
    } else if !precondition_holds(head, validators) {
        return false;
    }
    is_modified(head, validators, false)
}

/// True when a request says which state it may change.
pub fn has_precondition(head: &RequestHead<'_>) -> bool {
    const PRECONDITIONS: KnownSet =
        KnownSet::of(&[Known::IfMatch, Known::IfNoneMatch, Known::IfUnmodifiedSince]);
    head.fields.has_any(PRECONDITIONS)
}

/// Steps 1 and 2: `If-Match`, else `If-Unmodified-Since`.
fn precondition_holds(head: &RequestHead<'_>, validators: &Validators) -> bool {
    if head.fields.get(Known::IfMatch).is_some() {
        return names(head, Known::IfMatch, validators, |theirs, ours| {
            theirs.matches_strongly(ours)
        });
    }
    // A value that is no date, or a second one, is ignored (RFC 9110 §13.1.4).
    let date = head.fields.get_single(Known::IfUnmodifiedSince);
    match (date.and_then(date::parse), validators.last_modified_unix) {
        (Some(date), Some(modified)) => modified <= date,
        _ => true,
    }
}

/// Steps 3 and 4: `If-None-Match`, else `If-Modified-Since`.
fn is_modified(head: &RequestHead<'_>, validators: &Validators, is_read: bool) -> bool {
    if head.fields.get(Known::IfNoneMatch).is_some() {
        return !names(head, Known::IfNoneMatch, validators, |theirs, ours| {
            theirs.matches_weakly(ours)
        });
    }
    if !is_read {
        return true; // RFC 9110 §13.1.3
    }
    let date = head.fields.get_single(Known::IfModifiedSince);
    match (date.and_then(date::parse), validators.last_modified_unix) {
        (Some(date), Some(modified)) => modified > date,
        _ => true,
    }
}

/// Step 5: `Range`, as far as `If-Range` allows. Only GET defines ranges (RFC 9110 §14.2).
fn select_range(head: &RequestHead<'_>, validators: &Validators, len: u64) -> Selected {
    let Some(value) = head.fields.get_single(Known::Range) else {
        return Selected::Full;
    };
    if head.method != Method::Get || !if_range_holds(head, validators) {
        return Selected::Full;
    }
    match range::parse(value, len) {
        range::RangeRequest::Ignore => Selected::Full,
        range::RangeRequest::Single(range) => Selected::Range(range),
        range::RangeRequest::Several(ranges) => Selected::Ranges(ranges),
        range::RangeRequest::Unsatisfiable => Selected::Unsatisfiable,
    }
}

/// RFC 9110 §13.1.5: an entity tag compares strongly, a date must be exactly ours. Whether our date
/// is strong in the sense of §8.8.2.2 cannot be known; an exact match is what all servers take.
fn if_range_holds(head: &RequestHead<'_>, validators: &Validators) -> bool {
    let Some(value) = head.fields.get(Known::IfRange) else {
        return true;
    };
    if head.fields.is_repeated(Known::IfRange) {
        return false;
    }
    if let Some(ours) = &validators.etag {
        let mut named = tags(value);
        if let Some(tag) = named.next() {
            return named.next().is_none() && tag.matches_strongly(ours.as_tag());
        }
    }
    match (date::parse(value), validators.last_modified_unix) {
        (Some(date), Some(modified)) => date == modified,
        _ => false,
    }
}

/// True when a field of entity tags names the current state, or is `*`.
fn names(
    head: &RequestHead<'_>,
    known: Known,
    validators: &Validators,
    matches: fn(TagRef<'_>, TagRef<'_>) -> bool,
) -> bool {
    if head.fields.get_single(known) == Some(b"*") {
        return true; // The representation exists.
    }
    let Some(ours) = validators.etag.as_ref().map(|etag| etag.as_tag()) else {
        return false;
    };
    head.fields
        .all(known)
        .flat_map(tags)
        .any(|tag| matches(tag, ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{EntityTag, Field, Fields, TargetForm, Version};

    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const EXACT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const LEN: u64 = 10;

    fn select_for(method: Method, validators: &Validators, lines: &[(&str, &str)]) -> Selected {
        let list: Vec<Field<'_>> = lines
            .iter()
            .map(|(name, value)| Field {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let head = RequestHead {
            method,
            version: Version::Http11,
            form: TargetForm::Origin,
            path: b"/",
            query: None,
            authority: Some(b"a"),
            fields: Fields::new(&list),
        };
        evaluate(&head, validators, LEN)
    }

    fn ours() -> Validators {
        Validators {
            etag: EntityTag::parse(b"\"x\""),
            last_modified_unix: Some(784_111_777),
        }
    }

    fn select(lines: &[(&str, &str)]) -> Selected {
        select_for(Method::Get, &ours(), lines)
    }

    fn part(start: u64, last: u64) -> Selected {
        Selected::Range(ByteRange::new(start, last, LEN).unwrap())
    }

    /// RFC 9110 §13.1.1
    #[test]
    fn if_match() {
        assert_eq!(select(&[]), Selected::Full);
        assert_eq!(select(&[("If-Match", "*")]), Selected::Full);
        assert_eq!(select(&[("If-Match", "\"a\", \"x\"")]), Selected::Full);
        assert_eq!(
            select(&[("If-Match", "\"a\""), ("If-Match", "\"x\"")]),
            Selected::Full
        );
        for value in ["\"a\"", "W/\"x\"", "x", "", "\"a\", *"] {
            let selected = select(&[("If-Match", value)]);
            assert_eq!(selected, Selected::PreconditionFailed, "{value}");
        }
    }

    /// RFC 9110 §13.1.4
    #[test]
    fn if_unmodified_since() {
        let with = |date| select(&[("If-Unmodified-Since", date)]);
        assert_eq!(with(EARLIER), Selected::PreconditionFailed);
        assert_eq!(with(EXACT), Selected::Full);
        assert_eq!(with(LATER), Selected::Full);
        assert_eq!(with("soon"), Selected::Full);
        // Step 1 makes step 2 void.
        let both = [("If-Match", "\"x\""), ("If-Unmodified-Since", EARLIER)];
        assert_eq!(select(&both), Selected::Full);
    }

    /// RFC 9110 §13.1.2
    #[test]
    fn if_none_match() {
        for value in ["*", "\"x\"", "W/\"x\"", "\"a\", W/\"x\"", ",\"a\",,\"x\","] {
            let lines = [("If-None-Match", value)];
            assert_eq!(select(&lines), Selected::NotModified, "{value}");
            let head = select_for(Method::Head, &ours(), &lines);
            assert_eq!(head, Selected::NotModified);
            let post = select_for(Method::Post, &ours(), &lines);
            assert_eq!(post, Selected::PreconditionFailed);
        }
        for value in ["\"a\"", "x", ""] {
            assert_eq!(
                select(&[("If-None-Match", value)]),
                Selected::Full,
                "{value}"
            );
        }
        let lines = [("If-None-Match", "\"a\""), ("If-None-Match", "\"x\"")];
        assert_eq!(select(&lines), Selected::NotModified);
    }

    /// RFC 9110 §13.1.3
    #[test]
    fn if_modified_since() {
        let with = |date| select(&[("If-Modified-Since", date)]);
        assert_eq!(with(EARLIER), Selected::Full);
        assert_eq!(with(EXACT), Selected::NotModified);
        assert_eq!(with(LATER), Selected::NotModified);
        assert_eq!(with("0"), Selected::Full);
        let twice = [("If-Modified-Since", LATER), ("If-Modified-Since", LATER)];
        assert_eq!(select(&twice), Selected::Full);
        // Step 3 makes step 4 void.
        let both = [("If-None-Match", "\"a\""), ("If-Modified-Since", LATER)];
        assert_eq!(select(&both), Selected::Full);
        let lines = [("If-Modified-Since", LATER)];
        assert_eq!(select_for(Method::Post, &ours(), &lines), Selected::Full);
    }

    /// RFC 9110 §13.1.5, §14.2
    #[test]
    fn range_and_if_range() {
        let range = ("Range", "bytes=2-4");
        assert_eq!(select(&[range]), part(2, 4));
        assert_eq!(select(&[("If-Range", "\"x\"")]), Selected::Full);
        assert_eq!(select(&[range, ("If-Range", "\"x\"")]), part(2, 4));
        assert_eq!(select(&[range, ("If-Range", EXACT)]), part(2, 4));
        for value in ["W/\"x\"", "\"a\"", EARLIER, LATER, "x", "", "\"x\", \"a\""] {
            let selected = select(&[range, ("If-Range", value)]);
            assert_eq!(selected, Selected::Full, "{value}");
        }
        let two = ("Range", "bytes=0-0,-2");
        let Selected::Ranges(ranges) = select(&[two]) else {
            panic!("two ranges");
        };
        let ranges: Vec<Selected> = ranges.iter().map(Selected::Range).collect();
        assert_eq!(ranges, [part(0, 0), part(8, 9)]);
        assert_eq!(select(&[two, ("If-Range", "\"a\"")]), Selected::Full);
        assert_eq!(select_for(Method::Head, &ours(), &[two]), Selected::Full);
        let beyond = [("Range", "bytes=10-")];
        assert_eq!(select(&beyond), Selected::Unsatisfiable);
        assert_eq!(select_for(Method::Head, &ours(), &beyond), Selected::Full);
        assert_eq!(select(&[beyond[0], ("If-Range", "\"a\"")]), Selected::Full);
        assert_eq!(select(&[range, ("Range", "bytes=0-1")]), Selected::Full);
    }

    /// RFC 9110 §13.2.2
    #[test]
    fn the_order_of_evaluation() {
        let all = [
            ("Range", "bytes=10-"),
            ("If-None-Match", "\"x\""),
            ("If-Match", "\"a\""),
        ];
        assert_eq!(select(&all), Selected::PreconditionFailed);
        assert_eq!(select(&all[..2]), Selected::NotModified);
        assert_eq!(select(&all[..1]), Selected::Unsatisfiable);
    }

    #[test]
    fn without_validators() {
        let with = |lines: &[_]| select_for(Method::Get, &Validators::default(), lines);
        assert_eq!(with(&[("If-Match", "*")]), Selected::Full);
        assert_eq!(with(&[("If-Match", "\"x\"")]), Selected::PreconditionFailed);
        assert_eq!(with(&[("If-Unmodified-Since", EARLIER)]), Selected::Full);
        assert_eq!(with(&[("If-None-Match", "\"x\"")]), Selected::Full);
        assert_eq!(with(&[("If-Modified-Since", LATER)]), Selected::Full);
        assert_eq!(
            with(&[("Range", "bytes=0-1"), ("If-Range", "\"x\"")]),
            Selected::Full
        );
    }
}
