//! Fuzz bodies for HTTP/1: each takes any bytes and checks what must hold for all of them.
//!
//! A cargo-fuzz target is one call of one of these; `tests/fuzz_bodies.rs` runs them as tests.

use super::{BodyReader, Framing, HeadLimits, HeadStorage, ParsedHead};
use super::{may_be_complete, parse_head};
use crate::http::Fault;

const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 4096,
};

/// What two parses of one head must agree on.
#[derive(Debug, PartialEq)]
enum Verdict {
    Complete(String, usize),
    Partial,
    Invalid(Fault),
}

fn verdict(input: &[u8]) -> Verdict {
    match parse_head(input, &mut HeadStorage::new(), &LIMITS) {
        ParsedHead::Complete(head) => Verdict::Complete(format!("{head:?}"), head.len),
        ParsedHead::Partial => Verdict::Partial,
        ParsedHead::Invalid(fault) => Verdict::Invalid(fault),
    }
}

/// A verdict holds whatever follows, and a head is complete at its last byte and not before.
pub fn fuzz_head(input: &[u8]) {
    let whole = verdict(input);
    let mut extended = input.to_vec();
    extended.extend_from_slice(b"GET / HTTP/1.1\r\n\n\0");
    match &whole {
        Verdict::Complete(_, len) => {
            assert!(*len <= input.len() && *len <= LIMITS.head_bytes_max);
            assert!(input[..*len].ends_with(b"\r\n\r\n"));
            assert_eq!(verdict(&input[..*len]), whole);
            assert_eq!(verdict(&extended), whole);
            assert_eq!(verdict(&input[..*len - 1]), Verdict::Partial);
            assert!(may_be_complete(&input[..*len], *len - 1));
        }
        Verdict::Invalid(_) => assert_eq!(verdict(&extended), whole),
        Verdict::Partial => assert!(input.len() < LIMITS.head_bytes_max),
    }
    // A few cuts: whatever was certain earlier is still so.
    for cut in [
        input.len() / 3,
        input.len() / 2,
        input.len().saturating_sub(1),
    ] {
        let earlier = verdict(&input[..cut]);
        if earlier != Verdict::Partial {
            assert_eq!(earlier, whole, "at {cut}");
        } else if matches!(whole, Verdict::Complete(..)) {
            assert!(may_be_complete(input, cut));
        }
    }
}

/// A body reads the same whole and byte by byte. The first byte picks the framing.
pub fn fuzz_body(input: &[u8]) {
    let Some((first, input)) = input.split_first() else {
        return;
    };
    let framing = match first {
        0 => Framing::Length(1 + input.len() as u64 / 2),
        _ => Framing::Chunked,
    };
    let whole = read_body(framing, input, input.len());
    assert_eq!(read_body(framing, input, 1), whole);
    assert_eq!(read_body(framing, input, 7), whole);
}

/// The data, how many bytes it took, and how it ended.
fn read_body(
    framing: Framing,
    input: &[u8],
    piece: usize,
) -> (Vec<u8>, Result<Option<usize>, Fault>) {
    let mut reader = BodyReader::new(framing).expect("neither framing is None");
    let mut data = Vec::new();
    let mut consumed = 0;
    for mut rest in input.chunks(piece.max(1)) {
        while !rest.is_empty() {
            let step = match reader.handle_input(rest) {
                Ok(step) => step,
                Err(fault) => return (data, Err(fault)),
            };
            assert!(step.consumed > 0 && step.data.len() <= step.consumed);
            data.extend_from_slice(step.data);
            consumed += step.consumed;
            rest = &rest[step.consumed..];
            if step.ended {
                return (data, Ok(Some(consumed)));
            }
        }
    }
    (data, Ok(None))
}
