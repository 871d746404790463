//! The Huffman code of HPACK (RFC 7541, Appendix B) and its encoder. The decoder, whose input is
//! hostile, lives with HTTP/2.

/// Symbols of the code: the 256 bytes and the end of a string.
pub const SYMBOLS: usize = 257;
/// The symbol that ends a string and never stands in one (RFC 7541 §5.2).
pub const EOS: u16 = 256;
/// Bits of the longest code.
pub const BITS_MAX: usize = 30;

/// Bits of each symbol's code. More is not needed: the code is canonical, its words ascend with
/// their length and, within a length, with the symbol.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, // 0
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, // 16
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6, // 32: space to /
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10, // 48: 0 to ?
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7, // 64: @ to O
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6, // 80: P to _
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5, // 96: ` to o
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28, // 112: p to DEL
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, // 128
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, // 144
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, // 160
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, // 176
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, // 192
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, // 208
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, // 224
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, // 240
    30, // EOS
];

/// One symbol's code word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The word, in its lowest bits.
    pub word: u32,
    /// How many bits it has: 5 to 30.
    pub bits: u8,
}

/// The code words by symbol.
pub static CODES: [Code; SYMBOLS] = codes();

/// Computes the code words from their lengths.
pub const fn codes() -> [Code; SYMBOLS] {
    let mut codes = [Code { word: 0, bits: 0 }; SYMBOLS];
    let mut word = 0;
    let mut bits = 1;
    while bits <= BITS_MAX {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == bits {
                codes[symbol] = Code {
                    word,
                    bits: bits as u8,
                };
                word += 1;
            }
            symbol += 1;
        }
        word <<= 1;
        bits += 1;
    }
    // A complete code: behind its last word lies nothing.
    assert!(word >> 1 == 1 << BITS_MAX);
    codes
}

/// Bytes of `text` once encoded.
pub fn encoded_len(text: impl Iterator<Item = u8>) -> usize {
    let bits: usize = text
        .map(|byte| usize::from(CODES[usize::from(byte)].bits))
        .sum();
    bits.div_ceil(8)
}

/// Appends `text` encoded.
pub fn encode(text: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    // Fewer than 32 bits wait between two symbols, and a word has at most 30.
    let (mut waiting, mut count) = (0_u64, 0_usize);
    for byte in text {
        let code = CODES[usize::from(byte)];
        waiting = waiting << code.bits | u64::from(code.word);
        count += usize::from(code.bits);
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&((waiting >> count) as u32).to_be_bytes());
        }
    }
    // The last byte is filled with the first bits of EOS, which are ones (RFC 7541 §5.2).
    let last = waiting << (32 - count) | u64::from(u32::MAX) >> count;
    out.extend_from_slice(&(last as u32).to_be_bytes()[..count.div_ceil(8)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, Appendix B: the first and the last word of most lengths.
    #[test]
    fn the_words_are_those_of_the_rfc() {
        for (symbol, word, bits) in [
            (usize::from(b'0'), 0x0, 5),
            (usize::from(b't'), 0x9, 5),
            (usize::from(b' '), 0x14, 6),
            (usize::from(b'u'), 0x2d, 6),
            (usize::from(b':'), 0x5c, 7),
            (usize::from(b'z'), 0x7b, 7),
            (usize::from(b'&'), 0xf8, 8),
            (usize::from(b'Z'), 0xfd, 8),
            (usize::from(b'!'), 0x3f8, 10),
            (usize::from(b'?'), 0x3fc, 10),
            (usize::from(b'|'), 0x7fc, 11),
            (usize::from(b'>'), 0xffb, 12),
            (0, 0x1ff8, 13),
            (usize::from(b'~'), 0x1ffd, 13),
            (usize::from(b'}'), 0x3ffd, 14),
            (usize::from(b'{'), 0x7ffe, 15),
            (usize::from(b'\\'), 0x7fff0, 19),
            (208, 0x7fff2, 19),
            (128, 0xfffe6, 20),
            (226, 0xfffed, 20),
            (153, 0x1fffdc, 21),
            (230, 0x1fffe8, 21),
            (233, 0x3fffeb, 22),
            (1, 0x7fffd8, 23),
            (239, 0x7ffff4, 23),
            (9, 0xffffea, 24),
            (199, 0x1ffffec, 25),
            (192, 0x3ffffe0, 26),
            (203, 0x7ffffde, 27),
            (2, 0xfffffe2, 28),
            (249, 0xffffffe, 28),
            (10, 0x3ffffffc, 30),
            (22, 0x3ffffffe, 30),
            (usize::from(EOS), 0x3fffffff, 30),
        ] {
            assert_eq!(CODES[symbol], Code { word, bits }, "{symbol}");
        }
    }

    /// RFC 7541 §C.4.1, C.4.3, C.6.1
    #[test]
    fn strings_of_the_rfc() {
        for (text, expected) in [
            (
                &b"www.example.com"[..],
                &b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..],
            ),
            (b"custom-key", b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f"),
            (b"302", b"\x64\x02"),
            (b"", b""),
        ] {
            let mut out = Vec::new();
            encode(text.iter().copied(), &mut out);
            assert_eq!(out, expected);
            assert_eq!(encoded_len(text.iter().copied()), expected.len());
        }
    }
}
