//! The content of a request (RFC 9112 §6, §7.1), as slices of the input in which it came.
//!
//! A [`BodyReader`] takes any split of the bytes and keeps none of them. Whether the content is too
//! long for anybody is not its business.

use super::Framing;
use crate::base::limits::{CHUNK_EXTENSION_BYTES_MAX, CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX};
use crate::http::field::{is_token_byte, is_value_byte};
use crate::http::{Fault, Status};

/// Reads one content. Feed it with [`BodyReader::handle_input`] until a step says `ended`.
#[derive(Clone, Debug)]
pub enum BodyReader {
    /// So many bytes are still to come.
    Length(u64),
    /// The chunked coding.
    Chunked(ChunkReader),
}

/// What one call found at the start of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyStep<'a> {
    /// Bytes of the input that belong to the body and are done with, framing and `data`.
    pub consumed: usize,
    /// Content, perhaps none.
    pub data: &'a [u8],
    /// Nothing of the body is left; what follows is the next request.
    pub ended: bool,
}

impl BodyReader {
    /// A reader for `framing`; `None` when there is no content.
    pub fn new(framing: Framing) -> Option<BodyReader> {
        match framing {
            Framing::None => None,
            Framing::Length(length) => Some(BodyReader::Length(length)),
            Framing::Chunked => Some(BodyReader::Chunked(ChunkReader::new())),
        }
    }

    /// Takes one step: at most one piece of data. Consumes at least one byte of an input that is
    /// not empty, unless the body has ended. Call again with the rest of the input.
    pub fn handle_input<'a>(&mut self, input: &'a [u8]) -> Result<BodyStep<'a>, Fault> {
        match self {
            BodyReader::Length(remaining) => {
                let data = take(input, remaining);
                Ok(BodyStep {
                    consumed: data.len(),
                    data,
                    ended: *remaining == 0,
                })
            }
            BodyReader::Chunked(reader) => reader.handle_input(input),
        }
    }
}

/// Up to `remaining` bytes off the front of `input`, which are counted off.
fn take<'a>(input: &'a [u8], remaining: &mut u64) -> &'a [u8] {
    let len = usize::try_from(*remaining).map_or(input.len(), |len| len.min(input.len()));
    *remaining -= len as u64;
    &input[..len]
}

/// The state of the chunked coding between two bytes.
#[derive(Clone, Debug)]
pub struct ChunkReader {
    state: State,
    /// Bytes of the current chunk-size line.
    line_bytes: usize,
    /// Bytes of all chunk extensions so far.
    extension_bytes: usize,
    /// Bytes of the trailer section so far.
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a chunk size.
    Size { digits: u8, size: u64 },
    /// Behind the `;` of a chunk of this size.
    Extension { size: u64 },
    /// Behind the CR of a chunk-size line.
    SizeFeed { size: u64 },
    /// In chunk data, of which so much is to come.
    Data { remaining: u64 },
    /// Behind chunk data.
    DataReturn,
    /// Behind the CR after chunk data.
    DataFeed,
    /// At the start of a trailer line.
    TrailerStart,
    /// In the name of a trailer field.
    TrailerName,
    /// In the value of a trailer field.
    TrailerValue,
    /// Behind the CR of a trailer line.
    TrailerFeed,
    /// Behind the CR of the final empty line.
    LastFeed,
    /// Behind everything.
    Ended,
}

const SIZE: State = State::Size { digits: 0, size: 0 };

/// 16 hex digits fill 64 bits, so that no size overflows.
const SIZE_DIGITS_MAX: u8 = 16;

impl Default for ChunkReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkReader {
    /// A reader before the first chunk.
    pub fn new() -> ChunkReader {
        ChunkReader {
            state: SIZE,
            line_bytes: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
        }
    }

    fn handle_input<'a>(&mut self, input: &'a [u8]) -> Result<BodyStep<'a>, Fault> {
        let mut consumed = 0;
        while consumed < input.len() {
            match &mut self.state {
                State::Ended => break,
                State::Data { remaining } => {
                    let data = take(&input[consumed..], remaining);
                    if *remaining == 0 {
                        self.state = State::DataReturn;
                    }
                    return Ok(BodyStep {
                        consumed: consumed + data.len(),
                        data,
                        ended: false,
                    });
                }
                _ => {
                    self.state = self.next_state(input[consumed])?;
                    consumed += 1;
                }
            }
        }
        Ok(BodyStep {
            consumed,
            data: b"",
            ended: self.state == State::Ended,
        })
    }

    /// The state behind one byte of framing (§7.1).
    fn next_state(&mut self, byte: u8) -> Result<State, Fault> {
        const BAD_DATA_END: Fault = Fault::bad_request("chunk data does not end in CR LF");
        match (self.state, byte) {
            (State::Size { .. } | State::Extension { .. } | State::SizeFeed { .. }, _) => {
                self.next_state_in_size_line(byte)
            }
            (State::DataReturn, b'\r') => Ok(State::DataFeed),
            (State::DataFeed, b'\n') => Ok(SIZE),
            (State::DataReturn | State::DataFeed, _) => Err(BAD_DATA_END),
            (State::Data { .. } | State::Ended, _) => unreachable!("they take no framing"),
            _ => self.next_state_in_trailers(byte),
        }
    }

    /// `1*HEXDIG [ ";" … ] CRLF`. White space before the semicolon is refused: it is only tolerated
    /// by the RFC, and has been read as a part of the size by some.
    fn next_state_in_size_line(&mut self, byte: u8) -> Result<State, Fault> {
        const BAD_SIZE: Fault = Fault::bad_request("a chunk size is malformed");
        self.line_bytes += 1;
        if self.line_bytes > CHUNK_LINE_BYTES_MAX {
            return Err(Fault::bad_request("a chunk-size line is too long"));
        }
        match (self.state, byte) {
            (State::Size { digits, size }, _) if byte.is_ascii_hexdigit() => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(BAD_SIZE);
                }
                let digit = char::from(byte).to_digit(16).expect("it is a hex digit");
                Ok(State::Size {
                    digits: digits + 1,
                    size: size << 4 | u64::from(digit),
                })
            }
            (State::Size { digits: 0, .. }, _) => Err(BAD_SIZE),
            (State::Size { size, .. }, b';') => Ok(State::Extension { size }),
            (State::Size { size, .. } | State::Extension { size }, b'\r') => {
                Ok(State::SizeFeed { size })
            }
            // §7.1.1: unknown extensions are ignored, but not without end.
            (State::Extension { size }, _) if is_value_byte(byte) => {
                self.extension_bytes += 1;
                if self.extension_bytes > CHUNK_EXTENSION_BYTES_MAX {
                    return Err(Fault::bad_request("too many bytes of chunk extensions"));
                }
                Ok(State::Extension { size })
            }
            (State::SizeFeed { size }, b'\n') => {
                self.line_bytes = 0;
                Ok(match size {
                    0 => State::TrailerStart,
                    remaining => State::Data { remaining },
                })
            }
            _ => Err(BAD_SIZE),
        }
    }

    /// §7.1.2: field lines that are checked like those of a head, and dropped.
    fn next_state_in_trailers(&mut self, byte: u8) -> Result<State, Fault> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(Fault::new(
                Status::HEADER_FIELDS_TOO_LARGE,
                "the trailer section is too large",
            ));
        }
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::LastFeed),
            (State::LastFeed, b'\n') => Ok(State::Ended),
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => {
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerFeed),
            (State::TrailerValue, _) if is_value_byte(byte) => Ok(State::TrailerValue),
            (State::TrailerFeed, b'\n') => Ok(State::TrailerStart),
            _ => Err(Fault::bad_request("a trailer field is malformed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq)]
    enum End {
        /// So many bytes were consumed.
        Ended(usize),
        Open,
        Refused(u16),
    }

    /// Feeds `input` in pieces cut at `cuts`; gives the data and how it ended.
    fn read(framing: Framing, input: &[u8], cuts: &[usize]) -> (Vec<u8>, End) {
        let mut reader = BodyReader::new(framing).unwrap();
        let (mut data, mut consumed, mut start) = (Vec::new(), 0, 0);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(input.len());
        for cut in cuts {
            let mut rest = &input[start..cut];
            while !rest.is_empty() {
                match reader.handle_input(rest) {
                    Err(fault) => return (data, End::Refused(fault.status.code())),
                    Ok(step) => {
                        assert!(step.consumed > 0);
                        data.extend_from_slice(step.data);
                        consumed += step.consumed;
                        rest = &rest[step.consumed..];
                        if step.ended {
                            return (data, End::Ended(consumed));
                        }
                    }
                }
            }
            start = cut;
        }
        (data, End::Open)
    }

    fn read_chunked(input: &str) -> (Vec<u8>, End) {
        let whole = read(Framing::Chunked, input.as_bytes(), &[]);
        let every_byte: Vec<usize> = (0..input.len()).collect();
        let bytewise = read(Framing::Chunked, input.as_bytes(), &every_byte);
        assert_eq!(whole, bytewise, "{input:?}");
        whole
    }

    fn refuses(status: u16, input: &str) {
        assert_eq!(read_chunked(input).1, End::Refused(status), "{input:?}");
    }

    #[test]
    fn a_length_is_counted_down() {
        assert!(BodyReader::new(Framing::None).is_none());
        let (data, end) = read(Framing::Length(5), b"helloGET /", &[2]);
        assert_eq!((&data[..], end), (&b"hello"[..], End::Ended(5)));
        let (data, end) = read(Framing::Length(5), b"hell", &[]);
        assert_eq!((&data[..], end), (&b"hell"[..], End::Open));
        let mut reader = BodyReader::new(Framing::Length(u64::MAX)).unwrap();
        assert!(!reader.handle_input(b"x").unwrap().ended);
    }

    /// §7.1
    #[test]
    fn chunks() {
        for (input, expected) in [
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("2\r\nhe\r\n03\r\nllo\r\n000\r\n\r\n", "hello"),
            (
                "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
                "01234567890123456789",
            ),
            ("0000000000000001\r\nx\r\n0\r\n\r\n", "x"),
            ("1;a=b;c=\"d e\"\r\nx\r\n0;x\r\n\r\n", "x"),
            ("1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", "x"),
        ] {
            let behind = format!("{input}GET /");
            let (data, end) = read_chunked(&behind);
            assert_eq!(data, expected.as_bytes(), "{input:?}");
            assert_eq!(end, End::Ended(input.len()), "{input:?}");
            for len in 0..input.len() {
                assert_eq!(read_chunked(&input[..len]).1, End::Open);
            }
        }
    }

    #[test]
    fn after_the_end_nothing_is_consumed() {
        let mut reader = BodyReader::new(Framing::Chunked).unwrap();
        let step = reader.handle_input(b"0\r\n\r\nGET").unwrap();
        assert_eq!((step.consumed, step.ended), (5, true));
        let step = reader.handle_input(b"GET").unwrap();
        assert_eq!((step.consumed, step.data, step.ended), (0, &b""[..], true));
    }

    /// §7.1, §11.2
    #[test]
    fn malformed_chunks() {
        for input in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\t;a\r\n",
            "1g\r\n",
            ";a\r\n",
            "1\n",
            "1\rx",
            "1\r\r\n",
            "1;a\n",
            "1;a\rb",
            "1;a\0\r\n",
            "1;a\x7f\r\n",
            "00000000000000001\r\n",
            "FFFFFFFFFFFFFFFFF\r\n",
            "1\r\nxy",
            "1\r\nx\n",
            "1\r\nx\rx",
            "1\r\nx1\r\n",
            "1_0\r\n",
            "1,\r\n",
        ] {
            refuses(400, input);
        }
        let (_, end) = read_chunked("FFFFFFFFFFFFFFFF\r\nx");
        assert_eq!(end, End::Open, "the largest size is a size");
    }

    /// §7.1.2
    #[test]
    fn malformed_trailers() {
        for trailer in [
            "\n",
            "\rx",
            "A\r\n",
            "A b\r\n",
            "A : b\r\n",
            " A: b\r\n",
            ": b\r\n",
            "A: b\n",
            "A: b\rc",
            "A: b\r\n c\r\n",
            "A: \0\r\n",
            "A\0: b\r\n",
            "A: b\r\n\n",
            "\u{e4}: b\r\n",
        ] {
            refuses(400, &format!("0\r\n{trailer}"));
        }
    }

    #[test]
    fn chunk_size_lines_are_bounded() {
        let line = |len: usize| format!("1;{}\r\n", "a".repeat(len - 4));
        let (_, end) = read_chunked(&line(CHUNK_LINE_BYTES_MAX));
        assert_eq!(end, End::Open);
        refuses(400, &line(CHUNK_LINE_BYTES_MAX + 1));
    }

    #[test]
    fn chunk_extensions_are_bounded_in_all() {
        let extension = 100;
        let chunk = format!("1;{}\r\nx\r\n", "a".repeat(extension));
        let allowed = CHUNK_EXTENSION_BYTES_MAX / extension;
        assert_eq!(read_chunked(&chunk.repeat(allowed)).1, End::Open);
        refuses(400, &chunk.repeat(allowed + 1));
    }

    #[test]
    fn trailers_are_bounded() {
        let section = |len: usize| {
            let line = format!("A: {}\r\n", "b".repeat(len - 7));
            format!("0\r\n{line}\r\n")
        };
        let longest = section(TRAILER_BYTES_MAX);
        assert_eq!(read_chunked(&longest).1, End::Ended(longest.len()));
        refuses(431, &section(TRAILER_BYTES_MAX + 1));
    }

    fn hostile_chunks() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => "[a-z]{1,20}".prop_map(|data| format!("{:x}\r\n{data}\r\n", data.len())),
            1 => Just("1;a=b\r\nx\r\n".to_owned()),
            1 => Just("0\r\n".to_owned()),
            1 => Just("A: b\r\n".to_owned()),
            1 => Just("\r\n".to_owned()),
            1 => "[0-9a-f;: \r\n]{1,3}",
        ];
        proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn every_split_reads_the_same(input in hostile_chunks(), cuts: Vec<usize>) {
            let whole = read(Framing::Chunked, &input, &[]);
            prop_assert_eq!(&read(Framing::Chunked, &input, &cuts), &whole);
            let every_byte: Vec<usize> = (0..input.len()).collect();
            prop_assert_eq!(&read(Framing::Chunked, &input, &every_byte), &whole);
        }

        #[test]
        fn what_is_encoded_comes_back(pieces: Vec<Vec<u8>>, cuts: Vec<usize>) {
            let mut input = Vec::new();
            for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
                input.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
                input.extend_from_slice(piece);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\n");
            let len = input.len();
            input.extend_from_slice(b"more");
            let (data, end) = read(Framing::Chunked, &input, &cuts);
            prop_assert_eq!(data, pieces.concat());
            prop_assert_eq!(end, End::Ended(len));
        }
    }
}
