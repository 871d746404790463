//! Decoding of Huffman strings (RFC 7541 §5.2), several symbols a step.
//!
//! The next bits of the string are the index of a table whose entries hold one or two whole
//! symbols. Bytes of ordinary text have codes of 5 to 7 bits and come in pairs; words longer than
//! the window are found by their length, since the code is canonical.

use super::HpackError;
use crate::http::hpack_huffman::{BITS_MAX, CODES, EOS, SYMBOLS, codes};

/// Bits of the table's index: two symbols of 6 bits. The table then has 16 KiB.
const WINDOW: usize = 12;
/// Steps between two refills: at most 48 bits of at least 56.
const STEPS: usize = 4;
/// What the steps between two refills store at once.
const STORED_BYTES: usize = 2 * STEPS;

/// The symbols that the bits of a window begin with.
#[derive(Clone, Copy)]
struct Entry {
    /// The symbols, the first one in the low byte; zero where there is none.
    symbols: u16,
    /// Bits of all its symbols.
    bits: u8,
    /// 0 (a word that is longer than the window), 1 or 2.
    count: u8,
}

static TABLE: [Entry; 1 << WINDOW] = table();

const fn table() -> [Entry; 1 << WINDOW] {
    const CODES: [crate::http::hpack_huffman::Code; SYMBOLS] = codes();
    let none = Entry {
        symbols: 0,
        bits: 0,
        count: 0,
    };
    let mut table = [none; 1 << WINDOW];
    let mut first = 0;
    while first < EOS as usize {
        let (word, bits) = (CODES[first].word as usize, CODES[first].bits as usize);
        if bits <= WINDOW {
            let entry = Entry {
                symbols: first as u16,
                bits: bits as u8,
                count: 1,
            };
            fill(&mut table, word, entry);
            let mut second = 0;
            while second < EOS as usize {
                let both = bits + CODES[second].bits as usize;
                if both <= WINDOW {
                    let word = word << CODES[second].bits | CODES[second].word as usize;
                    let entry = Entry {
                        symbols: first as u16 | (second as u16) << 8,
                        bits: both as u8,
                        count: 2,
                    };
                    fill(&mut table, word, entry);
                }
                second += 1;
            }
        }
        first += 1;
    }
    table
}

/// Sets `entry` for every window that begins with `word`.
const fn fill(table: &mut [Entry; 1 << WINDOW], word: usize, entry: Entry) {
    let free = WINDOW - entry.bits as usize;
    let mut index = word << free;
    while index < (word + 1) << free {
        table[index] = entry;
        index += 1;
    }
}

/// The words of one length.
#[derive(Clone, Copy)]
struct Length {
    /// The first 32 bits that lie behind its words (so a number of 33 bits for the last one).
    end: u64,
    /// Its first word.
    first: u32,
    /// Where that word's symbol stands in [`BY_WORD`].
    offset: u16,
}

static LENGTHS: [Length; BITS_MAX + 1] = by_length().0;
/// All symbols in the order of their words.
static BY_WORD: [u16; SYMBOLS] = by_length().1;

const fn by_length() -> ([Length; BITS_MAX + 1], [u16; SYMBOLS]) {
    let codes = codes();
    let empty = Length {
        end: 0,
        first: 0,
        offset: 0,
    };
    let (mut lengths, mut symbols) = ([empty; BITS_MAX + 1], [0; SYMBOLS]);
    let (mut next, mut offset) = (0, 0);
    let mut bits = 1;
    while bits <= BITS_MAX {
        lengths[bits].first = next;
        lengths[bits].offset = offset as u16;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if codes[symbol].bits as usize == bits {
                symbols[offset] = symbol as u16;
                offset += 1;
                next += 1;
            }
            symbol += 1;
        }
        lengths[bits].end = (next as u64) << (32 - bits);
        next <<= 1;
        bits += 1;
    }
    (lengths, symbols)
}

/// The symbol that the highest bits of `word` begin with, longer than the window, and its bits.
fn long(word: u64) -> (u16, usize) {
    let top = word >> 32;
    let mut bits = WINDOW + 1;
    while top >= LENGTHS[bits].end {
        bits += 1;
    }
    let length = LENGTHS[bits];
    let rank = (top >> (32 - bits)) as u32 - length.first;
    (BY_WORD[usize::from(length.offset) + rank as usize], bits)
}

/// Appends the string that `code` stands for.
pub(super) fn decode(code: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    const SHORTEST: usize = 5;
    let start = out.len();
    out.resize(start + code.len() * 8 / SHORTEST + STORED_BYTES, 0);
    let len = decode_into(code, &mut out[start..])?;
    out.truncate(start + len);
    Ok(())
}

/// `out` has room for the string and `STORED_BYTES` more.
fn decode_into(code: &[u8], out: &mut [u8]) -> Result<usize, HpackError> {
    let mut rest = code;
    // The next bits, from the highest one on, and how many of them are counted as loaded. What
    // lies below are the bits that come next anyway, or zeros.
    let (mut word, mut count) = (0_u64, 0_usize);
    let mut at = 0;
    while let Some(next) = rest.first_chunk::<8>() {
        word |= u64::from_be_bytes(*next) >> count;
        rest = &rest[(63 - count) / 8..];
        count |= 56; // As many whole bytes as there was room for.
        let (mut symbols, mut stored) = (0, 0);
        let mut entry = TABLE[0];
        for _ in 0..STEPS {
            entry = TABLE[(word >> (64 - WINDOW)) as usize];
            symbols |= u64::from(entry.symbols) << (8 * stored);
            stored += usize::from(entry.count);
            word <<= entry.bits;
            count -= usize::from(entry.bits);
        }
        out[at..at + STORED_BYTES].copy_from_slice(&symbols.to_le_bytes());
        at += stored;
        if entry.count == 0 && count >= BITS_MAX {
            let (symbol, bits) = long(word);
            out[at] = byte(symbol)?;
            at += 1;
            word <<= bits;
            count -= bits;
        }
    }
    decode_end(rest, word, count, out, at)
}

/// The last bytes, where a symbol may be cut by the end.
fn decode_end(
    mut rest: &[u8],
    mut word: u64,
    mut count: usize,
    out: &mut [u8],
    mut at: usize,
) -> Result<usize, HpackError> {
    loop {
        while count <= 56
            && let Some((byte, after)) = rest.split_first()
        {
            word |= u64::from(*byte) << (56 - count);
            count += 8;
            rest = after;
        }
        // Behind the end lies EOS, all ones.
        let behind = u64::MAX.checked_shr(count as u32).unwrap_or(0);
        let padded = if rest.is_empty() { word | behind } else { word };
        let entry = TABLE[(padded >> (64 - WINDOW)) as usize];
        let bits = if entry.count > 0 && usize::from(entry.bits) <= count {
            out[at..at + 2].copy_from_slice(&entry.symbols.to_le_bytes());
            at += usize::from(entry.count);
            usize::from(entry.bits)
        } else {
            let (symbol, bits) = match entry.count {
                0 => long(padded),
                _ => single(entry),
            };
            if bits > count {
                // RFC 7541 §5.2: what remains is shorter than a byte, and the start of EOS.
                let is_padding = count < 8 && padded == u64::MAX;
                return is_padding.then_some(at).ok_or(HpackError::HuffmanPadding);
            }
            out[at] = byte(symbol)?;
            at += 1;
            bits
        };
        word <<= bits;
        count -= bits;
    }
}

/// The first symbol of an entry, and its bits.
fn single(entry: Entry) -> (u16, usize) {
    let symbol = entry.symbols & 0xff;
    (symbol, usize::from(CODES[usize::from(symbol)].bits))
}

/// RFC 7541 §5.2: EOS in a string is an error.
fn byte(symbol: u16) -> Result<u8, HpackError> {
    u8::try_from(symbol).map_err(|_| HpackError::HuffmanEos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::hpack_huffman::encode;

    fn decoded(code: &[u8]) -> Result<Vec<u8>, HpackError> {
        let mut out = b"before".to_vec();
        decode(code, &mut out)?;
        assert!(out.starts_with(b"before"));
        Ok(out[6..].to_vec())
    }

    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(text.iter().copied(), &mut out);
        out
    }

    /// The code words of `symbols`, and `ones` bits of ones behind them, as far as whole bytes go.
    fn packed(symbols: impl IntoIterator<Item = usize>, ones: usize) -> Vec<u8> {
        let words = symbols.into_iter().map(|symbol| {
            let code = CODES[symbol];
            format!("{:0width$b}", code.word, width = usize::from(code.bits))
        });
        let bits = words.collect::<String>() + &"1".repeat(ones);
        let bytes = bits.as_bytes().chunks_exact(8);
        bytes
            .map(|bits| u8::from_str_radix(str::from_utf8(bits).unwrap(), 2).unwrap())
            .collect()
    }

    #[test]
    fn every_byte_beside_every_byte() {
        for first in 0..=255 {
            assert_eq!(decoded(&encoded(&[first])), Ok(vec![first]));
            for second in 0..=255 {
                let text = [first, second, b'a', second, first, second, first, b'0'];
                for len in 2..=text.len() {
                    let text = &text[..len];
                    assert_eq!(decoded(&encoded(text)), Ok(text.to_vec()), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn long_strings_of_one_length_of_code() {
        for bytes in [
            &b"01aeiost"[..],
            b" %-./36=AbUu",
            b":BCjz",
            b"&*,;XZ",
            b"!\"()?",
            b"#>\0$@[~",
            b"\\\xc3\xd0\x80\x82",
            b"\x02\n\r\x16\x7f",
            b"a\nb\x16e\0",
        ] {
            for len in 1..100 {
                let text: Vec<u8> = bytes.iter().cycle().take(len).copied().collect();
                assert_eq!(decoded(&encoded(&text)), Ok(text));
            }
        }
    }

    /// RFC 7541 §5.2: "A padding strictly longer than 7 bits MUST be treated as a decoding error."
    #[test]
    fn padding_of_a_byte_and_more_is_refused() {
        assert_eq!(decoded(b""), Ok(vec![]));
        // `B` has 7 bits.
        let symbol = [usize::from(b'B')];
        assert_eq!(decoded(&packed(symbol, 1)), Ok(b"B".to_vec()));
        for ones in [9, 17, 25] {
            let code = packed(symbol, ones);
            assert_eq!(code.len() * 8, 7 + ones);
            assert_eq!(decoded(&code), Err(HpackError::HuffmanPadding), "{ones}");
        }
        // `X` has 8 bits, and enough of them pass through the fast loop.
        for ones in [8, 16, 24] {
            let code = packed([usize::from(b'X'); 12], ones);
            assert_eq!(decoded(&code), Err(HpackError::HuffmanPadding), "{ones}");
        }
        assert_eq!(decoded(b"\xff"), Err(HpackError::HuffmanPadding));
        assert_eq!(decoded(b"\xff\xff\xff"), Err(HpackError::HuffmanPadding));
    }

    /// RFC 7541 §5.2: "A padding not corresponding to the most significant bits of the code for the
    /// EOS symbol MUST be treated as a decoding error."
    #[test]
    fn padding_of_zeros_is_refused() {
        // `a` is 00011; three bits are free.
        assert_eq!(decoded(&[0b0001_1111]), Ok(b"a".to_vec()));
        for wrong in 0..7 {
            let code = [0b0001_1000 | wrong];
            assert_eq!(decoded(&code), Err(HpackError::HuffmanPadding), "{wrong}");
        }
        // A long word that is cut.
        assert_eq!(
            decoded(&encoded(b"\\")[..2]),
            Err(HpackError::HuffmanPadding)
        );
    }

    /// RFC 7541 §5.2: "A Huffman-encoded string literal containing the EOS symbol MUST be treated
    /// as a decoding error."
    #[test]
    fn the_end_of_a_string_inside_it_is_refused() {
        for before in [&b""[..], b"0", b"www.example.org", b"\\\n\0"] {
            for behind in [&b""[..], b"0", b"www.example.org"] {
                let bytes = |text: &'static [u8]| text.iter().map(|byte| usize::from(*byte));
                let eos = [usize::from(EOS)];
                let code = packed(bytes(before).chain(eos).chain(bytes(behind)), 7);
                assert_eq!(decoded(&code), Err(HpackError::HuffmanEos), "{code:x?}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text: Vec<u8>) {
            prop_assert_eq!(decoded(&encoded(&text)), Ok(text));
        }

        /// No string has two codes: what can be decoded is what the encoder makes.
        #[test]
        fn what_can_be_decoded_was_encoded_so(code: Vec<u8>) {
            if let Ok(text) = decoded(&code) {
                prop_assert_eq!(encoded(&text), code);
            }
        }
    }
}
