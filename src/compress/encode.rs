//! One body, one coding, one effort. Pure; the same input gives the same output.

use std::io::Cursor;

use brotli::enc::BrotliEncoderParams;
use libdeflater::{CompressionLvl, Compressor};

use crate::base::limits::{COMPRESS_BYTES_MAX, COMPRESS_BYTES_MIN};
use crate::http::Coding;

/// The largest window of a brotli encoder, as a power of two (RFC 7932 §9.1): 4 MiB for each client
/// that decodes. More gains nothing that a page would feel.
const BROTLI_WINDOW_BITS_MAX: i32 = 22;

/// How much time an output is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    /// About a millisecond for 100 KB: while an answer waits.
    Fast,
    /// A few milliseconds for 100 KB, and half of what `Best` gains.
    Good,
    /// As small as it gets: brotli takes 1.5 ms for each KB.
    Best,
}

impl Effort {
    /// Its name, also in the names of kept files.
    pub const fn name(self) -> &'static str {
        match self {
            Effort::Fast => "fast",
            Effort::Good => "good",
            Effort::Best => "best",
        }
    }
}

/// `input` in this coding, when it may be compressed and gets smaller by it.
pub fn compress(coding: Coding, effort: Effort, input: &[u8]) -> Option<Vec<u8>> {
    let bytes = input.len() as u64;
    if !(COMPRESS_BYTES_MIN..=COMPRESS_BYTES_MAX).contains(&bytes) {
        return None;
    }
    encode(coding, effort, input)
}

/// As [`compress`], whatever the size of the input.
pub fn encode(coding: Coding, effort: Effort, input: &[u8]) -> Option<Vec<u8>> {
    let output = match coding {
        Coding::Identity => None,
        Coding::Gzip => gzip(effort, input),
        Coding::Zstd => zstd(effort, input),
        Coding::Brotli => brotli(effort, input),
    };
    output.filter(|output| output.len() < input.len())
}

/// RFC 1952: no name, no time, no operating system.
fn gzip(effort: Effort, input: &[u8]) -> Option<Vec<u8>> {
    let level = match effort {
        Effort::Fast => 6,
        Effort::Good => 9,
        Effort::Best => 12,
    };
    let level = CompressionLvl::new(level).expect("levels go from 0 to 12");
    let mut compressor = Compressor::new(level);
    // What does not fit into as many bytes as there were is not wanted.
    let mut output = vec![0; input.len()];
    let bytes = compressor.gzip_compress(input, &mut output).ok()?;
    output.truncate(bytes);
    output.shrink_to_fit();
    Some(output)
}

/// RFC 8878. The window of these levels is at most 8 MiB, as RFC 9659 §3 demands of a content
/// coding.
fn zstd(effort: Effort, input: &[u8]) -> Option<Vec<u8>> {
    let level = match effort {
        Effort::Fast => 3,
        Effort::Good => 9,
        Effort::Best => 19,
    };
    // It fails when memory is out; the content then stays as it is.
    let mut output = zstd::bulk::compress(input, level).ok()?;
    output.shrink_to_fit();
    Some(output)
}

/// RFC 7932.
fn brotli(effort: Effort, input: &[u8]) -> Option<Vec<u8>> {
    let quality = match effort {
        Effort::Fast => 5,
        Effort::Good => 9,
        Effort::Best => 11,
    };
    let params = BrotliEncoderParams {
        quality,
        lgwin: brotli_window_bits(input.len()),
        size_hint: input.len(),
        ..BrotliEncoderParams::default()
    };
    let mut output = Vec::with_capacity(input.len() / 4); // Most text shrinks to that.
    brotli::BrotliCompress(&mut Cursor::new(input), &mut output, &params).ok()?;
    output.shrink_to_fit();
    Some(output)
}

/// The smallest window that holds all of the input: a decoder gets by with less memory.
fn brotli_window_bits(input_bytes: usize) -> i32 {
    // RFC 7932 §9.1: a window of so many bits holds 16 bytes less.
    (16..BROTLI_WINDOW_BITS_MAX)
        .find(|bits| (1 << bits) - 16 >= input_bytes)
        .unwrap_or(BROTLI_WINDOW_BITS_MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const CODINGS: [Coding; 3] = [Coding::Gzip, Coding::Zstd, Coding::Brotli];
    const EFFORTS: [Effort; 3] = [Effort::Fast, Effort::Good, Effort::Best];

    /// Text of a page, of about so many bytes.
    pub(crate) fn page(bytes: usize) -> Vec<u8> {
        let mut page = b"<!doctype html><title>A page</title>\n".to_vec();
        let mut number = 7_u32;
        while page.len() < bytes {
            number = number.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let line = format!(
                "<li class=\"row\"><a href=\"/item/{}\">{:x}</a>\n",
                number >> 20,
                number
            );
            page.extend_from_slice(line.as_bytes());
        }
        page
    }

    fn decode(coding: Coding, coded: &[u8], bytes: usize) -> Vec<u8> {
        match coding {
            Coding::Identity => coded.to_vec(),
            Coding::Gzip => {
                let mut plain = vec![0; bytes];
                let mut decoder = libdeflater::Decompressor::new();
                let len = decoder.gzip_decompress(coded, &mut plain).unwrap();
                plain.truncate(len);
                plain
            }
            Coding::Zstd => zstd::bulk::decompress(coded, bytes).unwrap(),
            Coding::Brotli => {
                let mut plain = Vec::new();
                brotli::BrotliDecompress(&mut Cursor::new(coded), &mut plain).unwrap();
                plain
            }
        }
    }

    #[test]
    fn a_page_shrinks_and_comes_back_and_more_effort_is_never_larger() {
        let page = include_bytes!("../../ARCHITECTURE.md").to_vec();
        for coding in CODINGS {
            let mut before = page.len();
            for effort in EFFORTS {
                let coded = compress(coding, effort, &page).unwrap();
                assert!(coded.len() <= before, "{coding:?} {effort:?}");
                assert_eq!(decode(coding, &coded, page.len()), page);
                assert_eq!(compress(coding, effort, &page).unwrap(), coded, "each time");
                before = coded.len();
            }
            assert!(before * 5 < page.len() * 2, "{coding:?}: {before}");
        }
    }

    #[test]
    fn nothing_too_small_and_nothing_too_large_and_nothing_that_does_not_shrink() {
        let least = COMPRESS_BYTES_MIN as usize;
        let mut state = 1_u32;
        let noise: Vec<u8> = (0..4096)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        for coding in CODINGS {
            let zeros = vec![0; least];
            assert!(compress(coding, Effort::Fast, &zeros).is_some());
            assert_eq!(compress(coding, Effort::Fast, &zeros[1..]), None);
            for effort in EFFORTS {
                assert_eq!(compress(coding, effort, &noise), None, "{coding:?}");
                assert_eq!(encode(coding, effort, b""), None);
            }
            let large = vec![0; COMPRESS_BYTES_MAX as usize + 1];
            assert_eq!(compress(coding, Effort::Fast, &large), None);
        }
        assert_eq!(compress(Coding::Identity, Effort::Best, &page(999)), None);
    }

    /// RFC 1952 §2.3: flags and time are zero, the operating system is unknown.
    #[test]
    fn the_head_of_gzip_tells_nothing() {
        let coded = compress(Coding::Gzip, Effort::Fast, &page(2000)).unwrap();
        assert_eq!(coded[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
        assert_eq!(coded[9], 255);
    }

    /// RFC 9659 §3: the window of a content coding has at most 8 MiB.
    #[test]
    fn the_window_of_zstd_is_one_that_clients_take() {
        let input = page(9 << 20);
        for effort in [Effort::Fast, Effort::Good] {
            assert!(window_bytes(effort, &input) <= 8 << 20);
        }
        // The best takes too long for a test: what it would use is said by its table.
        let large = vec![b'x'; 20 << 20];
        assert!(window_bytes(Effort::Best, &large) <= 8 << 20);
    }

    /// RFC 8878 §3.1.1.1.2, of a frame that is not one segment.
    fn window_bytes(effort: Effort, input: &[u8]) -> u64 {
        let coded = zstd(effort, input).unwrap();
        assert_eq!(coded[..4], [0x28, 0xb5, 0x2f, 0xfd]);
        assert_eq!(coded[4] & 0x20, 0, "not a single segment");
        let base = 1_u64 << (10 + (coded[5] >> 3));
        base + base / 8 * u64::from(coded[5] & 7)
    }

    #[test]
    fn the_window_of_brotli_holds_the_input() {
        for (bytes, bits) in [
            (0, 16),
            (65_520, 16),
            (65_521, 17),
            (1 << 22, 22),
            (1 << 30, 22),
        ] {
            assert_eq!(brotli_window_bits(bytes), bits, "{bytes}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_was_compressed_comes_back(
            pieces in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 1..40), 1..60_usize),
                0..60,
            ),
        ) {
            let mut input = Vec::new();
            for (bytes, times) in pieces {
                input.extend(bytes.repeat(times));
            }
            for coding in CODINGS {
                for effort in EFFORTS {
                    if let Some(coded) = encode(coding, effort, &input) {
                        prop_assert!(coded.len() < input.len());
                        prop_assert_eq!(decode(coding, &coded, input.len()), input.clone());
                    }
                }
            }
        }
    }
}
