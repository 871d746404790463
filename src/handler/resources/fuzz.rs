//! Fuzz bodies for what writes: each takes any bytes and checks what must hold for all of them.
//!
//! A cargo-fuzz target is one call of one of these; `tests/fuzz_bodies.rs` runs them as tests.

use super::digest::DigestFields;
use super::{byte_range, collection, patch};
use crate::http::{Field, Fields};

/// A document, and behind a NUL a patch: what comes of them can be patched again.
pub fn fuzz_patch(input: &[u8]) {
    let nul = memchr::memchr(0, input).unwrap_or(input.len());
    patch::fuzz(&input[..nul], input.get(nul + 1..).unwrap_or_default());
}

/// The value of a `Content-Range`: a range lies within the numbers that it was read from.
pub fn fuzz_content_range(input: &[u8]) {
    byte_range::fuzz(input);
}

/// The query of a page, and behind a NUL the name of its last member: the next page is found.
pub fn fuzz_page_query(input: &[u8]) {
    let nul = memchr::memchr(0, input).unwrap_or(input.len());
    collection::fuzz(&input[..nul], input.get(nul + 1..).unwrap_or_default());
}

/// Values of `Repr-Digest` and `Want-Repr-Digest`, a line each: what is read can be checked.
pub fn fuzz_digests(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let list = ["repr-digest", "want-repr-digest"].map(|name| Field {
        name,
        value: lines.next().unwrap_or_default(),
    });
    if let Ok(fields) = DigestFields::of(&Fields::new(&list)) {
        let told = fields.check(fields.hashing());
        assert_eq!(told.is_ok_and(|told| told.is_some()), {
            fields.wanted.is_some() && fields.check(fields.hashing()).is_ok()
        });
    }
}
