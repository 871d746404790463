//! Fuzz bodies for the value types: each takes any bytes and checks what must hold for all of them.
//!
//! A cargo-fuzz target is one call of one of these; `tests/fuzz_bodies.rs` runs them as tests.

use super::conditions::{Selected, evaluate};
use super::range::{self, RangeRequest};
use super::{AcceptedCodings, Coding, CodingSet, EntityTag, Field, Fields, Known, Method};
use super::{Boundary, ByteRange, Multipart, Ranges, RequestHead, SafePath, TargetForm};
use super::{Validators, Version, accept, language};

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
        match range::parse(value, complete_length) {
            RangeRequest::Single(range) => check_range(&range, complete_length),
            RangeRequest::Several(ranges) => check_ranges(&ranges, complete_length),
            RangeRequest::Ignore | RangeRequest::Unsatisfiable => {}
        }
    }
}

fn check_range(range: &ByteRange, complete_length: u64) {
    assert!(range.start() <= range.last() && range.last() < complete_length);
    assert!(range.len() >= 1 && range.complete_length() == complete_length);
}

/// Several ranges have gaps between them, and their frame is as long as it says.
fn check_ranges(ranges: &Ranges, complete_length: u64) {
    assert!(ranges.len() >= 2 && ranges.total_bytes() < complete_length);
    let mut sorted: Vec<ByteRange> = ranges.iter().collect();
    sorted
        .iter()
        .for_each(|range| check_range(range, complete_length));
    sorted.sort_by_key(ByteRange::start);
    let is_apart = |pair: &[ByteRange]| pair[0].last() + 1 < pair[1].start();
    assert!(sorted.windows(2).all(is_apart));
    if i64::try_from(complete_length).is_ok() {
        let multipart = Multipart::new(ranges, "text/plain", Boundary::new());
        let heads = (0..ranges.len()).map(|index| multipart.part_head(index).len());
        let frame = heads.sum::<usize>() + multipart.last().len();
        let whole = ranges.total_bytes() + frame as u64;
        assert_eq!(multipart.content_length(), whole);
    }
}

/// The lines of one field, from lines of the input.
fn lines_of(known: Known, input: &[u8]) -> Vec<Field<'_>> {
    let lines = input.split(|byte| *byte == b'\n').take(8);
    lines
        .map(|value| Field {
            name: known.name(),
            value,
        })
        .collect()
}

/// No coding is sent that is refused, or less wanted than another one. The first byte says which
/// there are; each further line is one of the field.
pub fn fuzz_accept_encoding(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    let is_there = |coding: &Coding| first >> *coding as u8 & 1 == 1;
    let available: CodingSet = Coding::all().iter().copied().filter(is_there).collect();
    let list = lines_of(Known::AcceptEncoding, rest);
    let accepted = AcceptedCodings::of(&Fields::new(&list));
    if let [line] = &list[..] {
        assert_eq!(accepted, AcceptedCodings::from_value(line.value));
    }
    match accepted.best(available) {
        Some(best) => {
            assert!(available.contains(best) && accepted.accepts(best));
            let best = (accepted.q(best), best);
            assert!(
                available
                    .iter()
                    .all(|other| (accepted.q(other), other) <= best)
            );
        }
        None => assert!(available.iter().all(|coding| !accepted.accepts(coding))),
    }
}

/// A language is found wherever one is not refused, and what is sent would be sent if there were
/// nothing else. The first byte picks the default; each further line is one of the field.
pub fn fuzz_accept_language(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    let available = ["en", "de", "de-AT", "zh-Hant"];
    let default = *first as usize % available.len();
    let list = lines_of(Known::AcceptLanguage, rest);
    let fields = Fields::new(&list);
    match language::lookup(&fields, &available, default) {
        Some(index) => {
            let only = [available[index]];
            assert_eq!(language::lookup(&fields, &only, 0), Some(0));
        }
        None => {
            for tag in available {
                assert_eq!(language::lookup(&fields, &[tag], 0), None);
            }
        }
    }
}

/// A media type is chosen wherever one is acceptable, and none is wanted more. Each line is one of
/// the field.
pub fn fuzz_accept(input: &[u8]) {
    let list = lines_of(Known::Accept, input);
    let fields = Fields::new(&list);
    let available = [
        "image/avif",
        "text/html; charset=utf-8",
        "text/plain;format=\"flowed\"",
    ];
    let chosen = accept::choose(&fields, &available);
    let quality = |media_type: &str| accept::quality(&fields, media_type);
    let best = chosen.map_or(0, |index| quality(available[index]));
    assert!(chosen.is_some() == (best > 0) && best <= 1000);
    assert!(
        available
            .iter()
            .all(|media_type| quality(media_type) <= best)
    );
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
        Selected::Ranges(ranges) => {
            assert!(method == Method::Get);
            check_ranges(&ranges, length);
        }
        Selected::Unsatisfiable => assert!(method == Method::Get),
    }
}
