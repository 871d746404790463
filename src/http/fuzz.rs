//! Fuzz bodies for the value types: each takes any bytes and checks what must hold for all of them.
//!
//! A cargo-fuzz target is one call of one of these; `tests/fuzz_bodies.rs` runs them as tests.

use super::conditions::{Selected, evaluate};
use super::{
    EntityTag, Field, Fields, Known, Method, RequestHead, SafePath, TargetForm, Validators,
};
use super::{Version, range};

/// A safe path holds no segment that could leave its root, whatever it was parsed from.
pub fn fuzz_path(input: &[u8]) {
    let Ok(path) = SafePath::parse(input) else {
        return;
    };
    let bytes = path.as_bytes();
    assert!(bytes.is_empty() || bytes.split(|byte| *byte == b'/').all(SafePath::is_segment));
    assert!(bytes.len() < input.len(), "decoding never grows a path");
    assert_eq!(path.to_c_string().as_bytes(), bytes);
    let index = path.join_index("index.html");
    assert!(index.as_bytes().ends_with(b"index.html") && !index.ends_in_slash());
}

/// A range lies inside its representation. The first 8 bytes are the length.
pub fn fuzz_range(input: &[u8]) {
    let Some((length, value)) = input.split_first_chunk::<8>() else {
        return;
    };
    for complete_length in [u64::from_le_bytes(*length), u64::from(length[0])] {
        if let range::RangeRequest::Single(range) = range::parse(value, complete_length) {
            assert!(range.start() <= range.last() && range.last() < complete_length);
            assert!(range.len() >= 1 && range.complete_length() == complete_length);
        }
    }
}

/// Conditions select only what their method allows. The first byte picks the method; each further
/// line is one condition, whose first byte picks the field.
pub fn fuzz_conditions(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    let method = [Method::Get, Method::Head, Method::Post][*first as usize % 3];
    let names = [
        Known::IfMatch,
        Known::IfNoneMatch,
        Known::IfModifiedSince,
        Known::IfUnmodifiedSince,
        Known::IfRange,
        Known::Range,
    ];
    let list: Vec<Field<'_>> = rest
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split_first())
        .take(8)
        .map(|(name, value)| Field {
            name: names[*name as usize % names.len()].name(),
            value,
        })
        .collect();
    let head = RequestHead {
        method,
        version: Version::Http11,
        form: TargetForm::Origin,
        path: b"/",
        query: None,
        authority: None,
        fields: Fields::new(&list),
    };
    let validators = Validators {
        etag: EntityTag::parse(b"\"x\""),
        last_modified_unix: Some(784_111_777),
    };
    let length = 1000;
    match evaluate(&head, &validators, length) {
        Selected::Full | Selected::PreconditionFailed => {}
        Selected::NotModified => assert!(method != Method::Post),
        Selected::Range(range) => {
            assert!(method == Method::Get && range.complete_length() == length);
        }
        Selected::Ranges(_) => {}
        Selected::Unsatisfiable => assert!(method == Method::Get),
    }
}
