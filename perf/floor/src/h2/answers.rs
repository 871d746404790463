//! The fixed answer: frames that are copied, and into which only the stream is written. Large parts
//! of a body are named instead of copied.

use std::ops::Range;

use crate::server::Due;

use super::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, header};

/// What a peer takes in one frame unless it says otherwise (SETTINGS_MAX_FRAME_SIZE).
pub const DATA_BYTES_MAX: usize = 16_384;
/// Up to here a copy is cheap beside one more piece in a send.
const COPY_BYTES_MAX: usize = 4096;
const STREAM_AT: usize = 5;

/// One answer, made once.
pub struct Answers {
    /// HEADERS and the header of the first DATA, both for stream 0.
    opening: Vec<u8>,
    /// Where in `opening` the DATA frame begins.
    data_at: usize,
    body: Vec<u8>,
}

/// An answer whose opening has been written and whose body goes on.
#[derive(Clone, Copy)]
pub struct Unfinished {
    stream: u32,
    written: usize,
}

/// What one send is made of: frames of its own, and parts of the body between them.
#[derive(Default)]
pub struct Outgoing {
    own: Vec<u8>,
    parts: Vec<Part>,
    part_bytes: usize,
}

/// A part of the body, and how much of `own` goes before it.
struct Part {
    own_end: usize,
    body: Range<usize>,
}

impl Outgoing {
    /// Begins anew with `control`, which is empty afterwards.
    pub fn begin(&mut self, control: &mut Vec<u8>) {
        self.own.clear();
        self.own.append(control);
        self.parts.clear();
        self.part_bytes = 0;
    }

    /// How much it is so far.
    pub fn bytes(&self) -> usize {
        self.own.len() + self.part_bytes
    }
}

impl Answers {
    /// An answer with `body_bytes` of the repeated alphabet, as the other servers' files hold.
    pub fn new(body_bytes: usize) -> Answers {
        let body: Vec<u8> = (b'a'..=b'z').cycle().take(body_bytes).collect();
        let block = block(body.len());
        let first_bytes = body.len().min(DATA_BYTES_MAX);
        let mut opening = header(block.len(), HEADERS, END_HEADERS, 0).to_vec();
        opening.extend_from_slice(&block);
        let data_at = opening.len();
        let end = end_flag(first_bytes == body.len());
        opening.extend_from_slice(&header(first_bytes, DATA, end, 0));
        Answers {
            opening,
            data_at,
            body,
        }
    }

    /// Appends the HEADERS and the first DATA frame for `stream`.
    #[inline]
    pub fn begin(&self, stream: u32, out: &mut Outgoing) -> Option<Unfinished> {
        let at = out.own.len();
        out.own.extend_from_slice(&self.opening);
        for frame in [at, at + self.data_at] {
            out.own[frame + STREAM_AT..][..4].copy_from_slice(&stream.to_be_bytes());
        }
        self.append_body(0..self.body.len().min(DATA_BYTES_MAX), stream, out)
    }

    /// Appends one more DATA frame.
    pub fn go_on(&self, unfinished: Unfinished, out: &mut Outgoing) -> Option<Unfinished> {
        let Unfinished { stream, written } = unfinished;
        let end = self.body.len().min(written + DATA_BYTES_MAX);
        let flag = end_flag(end == self.body.len());
        let frame = header(end - written, DATA, flag, stream);
        out.own.extend_from_slice(&frame);
        self.append_body(written..end, stream, out)
    }

    #[inline]
    fn append_body(
        &self,
        range: Range<usize>,
        stream: u32,
        out: &mut Outgoing,
    ) -> Option<Unfinished> {
        let written = range.end;
        if range.len() <= COPY_BYTES_MAX {
            out.own.extend_from_slice(&self.body[range]);
        } else {
            out.part_bytes += range.len();
            out.parts.push(Part {
                own_end: out.own.len(),
                body: range,
            });
        }
        (written < self.body.len()).then_some(Unfinished { stream, written })
    }

    /// What `out` has become, in the order of sending.
    #[inline]
    pub fn due<'a>(&'a self, out: &'a Outgoing) -> Due<'a> {
        if out.parts.is_empty() {
            return match out.own.is_empty() {
                true => Due::Nothing,
                false => Due::Bytes(&out.own),
            };
        }
        let mut pieces = Vec::with_capacity(2 * out.parts.len() + 1);
        let mut own_start = 0;
        for part in &out.parts {
            pieces.push(&out.own[own_start..part.own_end]);
            pieces.push(&self.body[part.body.clone()]);
            own_start = part.own_end;
        }
        if own_start < out.own.len() {
            pieces.push(&out.own[own_start..]);
        }
        Due::Pieces(pieces)
    }
}

fn end_flag(is_last: bool) -> u8 {
    if is_last { END_STREAM } else { 0 }
}

/// The fields that a static server sends, with fixed values: names from the static table, values as
/// literals without indexing or Huffman coding (RFC 7541 §6.2.2), so that all answers are the same
/// octets. The floor does not read the clock.
fn block(body_bytes: usize) -> Vec<u8> {
    const STATUS_200: u8 = 0x88;
    const DATE: &str = "Mon, 01 Jan 2024 00:00:00 GMT";
    let length = body_bytes.to_string();
    // Indices of RFC 7541 appendix A.
    let fields = [
        (54, "floor"),                     // server
        (33, DATE),                        // date
        (31, "text/plain; charset=utf-8"), // content-type
        (28, length.as_str()),             // content-length
        (44, DATE),                        // last-modified
        (34, "\"65920080-64\""),           // etag
        (18, "bytes"),                     // accept-ranges
    ];
    let mut block = vec![STATUS_200];
    for (index, value) in fields {
        block.extend_from_slice(&name(index));
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// A literal without indexing with its name from the static table: an integer with a prefix of four
/// bits, RFC 7541 §5.1.
fn name(index: u8) -> Vec<u8> {
    const PREFIX_MAX: u8 = 15;
    match index.checked_sub(PREFIX_MAX) {
        Some(rest) => vec![PREFIX_MAX, rest],
        None => vec![index],
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::frames::HEADER_BYTES;
    use super::*;

    /// The payloads of the DATA frames of `stream`, all of which must be there up to its end.
    pub fn body_of(mut sent: &[u8], stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        let mut ended = false;
        while let Some((head, rest)) = sent.split_first_chunk::<HEADER_BYTES>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if head[3] == DATA && head[5..] == stream.to_be_bytes() {
                assert!(!ended && length <= DATA_BYTES_MAX);
                body.extend_from_slice(&rest[..length]);
                ended = head[4] & END_STREAM != 0;
            }
            sent = &rest[length..];
        }
        assert!(ended);
        body
    }

    fn sent(due: Due<'_>) -> Vec<u8> {
        match due {
            Due::Nothing => Vec::new(),
            Due::Bytes(bytes) => bytes.to_vec(),
            Due::Pieces(pieces) => pieces.concat(),
        }
    }

    #[test]
    fn each_answer_is_for_its_stream_and_whole() {
        let sizes = [0, 1, 100, COPY_BYTES_MAX, COPY_BYTES_MAX + 1];
        let large = [DATA_BYTES_MAX, DATA_BYTES_MAX + 1, 100_000];
        for body_bytes in sizes.into_iter().chain(large) {
            let answers = Answers::new(body_bytes);
            let mut out = Outgoing::default();
            for stream in [0x0102_0304, 5] {
                let mut unfinished = answers.begin(stream, &mut out);
                while let Some(more) = unfinished {
                    unfinished = answers.go_on(more, &mut out);
                }
            }
            let sent = sent(answers.due(&out));
            assert_eq!(sent.len(), out.bytes());
            assert_eq!(sent[3..9], [HEADERS, END_HEADERS, 1, 2, 3, 4]);
            let expected: Vec<u8> = (b'a'..=b'z').cycle().take(body_bytes).collect();
            for stream in [0x0102_0304, 5] {
                assert_eq!(body_of(&sent, stream), expected);
            }
        }
    }

    #[test]
    fn the_block_begins_as_the_rfc_counts() {
        let block = block(100);
        assert_eq!(block[..8], [0x88, 15, 54 - 15, 5, b'f', b'l', b'o', b'o']);
        let length = [15, 28 - 15, 3, b'1', b'0', b'0'];
        assert!(block.windows(length.len()).any(|window| window == length));
    }
}
