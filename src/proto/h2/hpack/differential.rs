//! Ours against another implementation of HPACK: blocks that its encoder makes are decoded equally
//! by both decoders, and blocks of ours are decoded by its decoder.

use httlib_hpack::{Decoder as TheirDecoder, Encoder as TheirEncoder};
use proptest::prelude::*;

use super::{Decoder, FieldList};
use crate::base::limits::HPACK_TABLE_BYTES_MAX;
use crate::http::{DateField, HeadTemplate, ResponseHead, Status, hpack_huffman};

type Pair = (Vec<u8>, Vec<u8>);

/// One step of a peer's encoder.
#[derive(Clone, Debug)]
enum Step {
    /// A field, and how it is to be encoded.
    Field(Pair, u8),
    /// The block ends here; the next one may begin with new sizes of the table.
    EndBlock(Vec<u32>),
}

/// Flags of a field: a code for name and value, indexing or never, an index where there is one.
fn any_flags() -> impl Strategy<Value = u8> {
    let index = prop_oneof![
        Just(TheirEncoder::WITH_INDEXING),
        Just(TheirEncoder::NEVER_INDEXED),
        Just(0)
    ];
    (index, 0..4_u8, prop::bool::weighted(0.8)).prop_map(|(index, huffman, best)| {
        let huffman = match huffman {
            0 => 0,
            1 => TheirEncoder::HUFFMAN_NAME,
            2 => TheirEncoder::HUFFMAN_VALUE,
            _ => TheirEncoder::HUFFMAN_NAME | TheirEncoder::HUFFMAN_VALUE,
        };
        index | huffman | if best { TheirEncoder::BEST_FORMAT } else { 0 }
    })
}

/// Fields that repeat, so that both tables are used, and some of any bytes.
fn any_pair() -> impl Strategy<Value = Pair> {
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            ":method", ":path", ":authority", "accept", "user-agent", "cookie", "x-custom",
            "sec-fetch-mode", "priority",
        ])
        .prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    let value = prop_oneof![
        4 => prop::sample::select(vec![
            "", "/", "GET", "navigate", "gzip, deflate, br", "u=1, i",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
        ])
        .prop_map(|value| value.as_bytes().to_vec()),
        2 => "[ -~]{0,120}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    (name, value)
}

fn any_step() -> impl Strategy<Value = Step> {
    let size = prop::sample::select(vec![0, 31, 64, 200, 1000, HPACK_TABLE_BYTES_MAX as u32]);
    prop_oneof![
        8 => (any_pair(), any_flags()).prop_map(|(pair, flags)| Step::Field(pair, flags)),
        1 => prop::collection::vec(size, 0..3).prop_map(Step::EndBlock),
    ]
}

/// Two decoders beside each other.
struct Decoders {
    ours: Decoder,
    list: FieldList,
    theirs: TheirDecoder<'static>,
}

impl Decoders {
    fn new() -> Decoders {
        Decoders {
            ours: Decoder::new(HPACK_TABLE_BYTES_MAX),
            list: FieldList::new(1 << 20),
            theirs: TheirDecoder::with_dynamic_size(HPACK_TABLE_BYTES_MAX as u32),
        }
    }

    /// Both decode `block` to `expected`.
    fn check(&mut self, block: &[u8], expected: &[Pair]) {
        self.list.clear();
        assert_eq!(self.ours.decode(block, &mut self.list), Ok(()));
        let fields = self.list.iter();
        let ours: Vec<Pair> = fields
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        assert_eq!(ours, expected);
        assert_eq!(their_fields(&mut self.theirs, block), expected);
    }
}

fn their_fields(decoder: &mut TheirDecoder<'_>, block: &[u8]) -> Vec<Pair> {
    let mut fields = Vec::new();
    decoder
        .decode(&mut block.to_vec(), &mut fields)
        .expect("the block is valid");
    let pairs = fields.into_iter();
    pairs.map(|(name, value, _flags)| (name, value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn their_blocks_mean_the_same_to_both(steps in prop::collection::vec(any_step(), 0..80)) {
        let mut encoder = TheirEncoder::with_dynamic_size(HPACK_TABLE_BYTES_MAX as u32);
        let mut decoders = Decoders::new();
        let (mut block, mut expected) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Field((name, value), flags) => {
                    encoder
                        .encode((name.clone(), value.clone(), flags), &mut block)
                        .expect("the field can be encoded");
                    if expected.len() < 100 {
                        expected.push((name, value));
                    }
                }
                Step::EndBlock(sizes) => {
                    decoders.check(&block, &expected);
                    block.clear();
                    expected.clear();
                    for size in sizes {
                        encoder
                            .update_max_dynamic_size(size, &mut block)
                            .expect("the size is allowed");
                    }
                }
            }
        }
        decoders.check(&block, &expected);
    }

    #[test]
    fn our_huffman_strings_are_theirs(text: Vec<u8>) {
        let (mut ours, mut block) = (Vec::new(), Vec::new());
        hpack_huffman::encode(text.iter().copied(), &mut ours);
        let flags = TheirEncoder::HUFFMAN_VALUE;
        TheirEncoder::default().encode((b"n".to_vec(), text, flags), &mut block).unwrap();
        prop_assert!(block.ends_with(&ours), "{ours:x?} {block:x?}");
    }

    #[test]
    fn our_answers_are_read_by_theirs(
        values in prop::collection::vec("[ -~]{0,60}", 4),
        length: u64,
        now in 0..4_000_000_000_u64,
    ) {
        let head = ResponseHead::new(Status::PARTIAL_CONTENT)
            .with("Server", "downpour")
            .with("X-Content-Type-Options", "nosniff")
            .with("Connection", "close")
            .with_value("Content-Type", &values[0][..])
            .with_value("ETag", &values[1][..])
            .with_value("Content-Range", &values[2][..])
            .with_value("X-Custom", &values[3][..])
            .with_length(length);
        let date = DateField::new(now);
        let block = [HeadTemplate::new(&head).h2(), date.h2()].concat();
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let line = str::from_utf8(date.line()).unwrap();
        let expected = [
            pair(":status", "206"),
            pair("server", "downpour"),
            pair("x-content-type-options", "nosniff"),
            pair("content-type", &values[0]),
            pair("etag", &values[1]),
            pair("content-range", &values[2]),
            pair("x-custom", &values[3]),
            pair("content-length", &length.to_string()),
            pair("date", line.trim_start_matches("Date: ").trim_end()),
        ];
        // Twice: the block holds for any connection at any time.
        let mut decoders = Decoders::new();
        // First behind the word that no table is used (RFC 9113 §4.3.1).
        decoders.check(&[&[0x20], &block[..]].concat(), &expected);
        decoders.check(&block, &expected);
    }
}

/// Each status, and each byte in a string of Huffman code.
#[test]
fn our_statuses_and_bytes_are_read_by_theirs() {
    let mut decoders = Decoders::new();
    for code in 100..1000_u16 {
        let mut block = Vec::new();
        super::encode::status(&mut block, code);
        let expected = (b":status".to_vec(), code.to_string().into_bytes());
        decoders.check(&block, &[expected]);
    }
    for byte in 0..=255_u8 {
        let value = [&[b'a'; 60][..], &[byte], &[b'a'; 60]].concat();
        let mut block = Vec::new();
        super::encode::field(&mut block, "name", &value);
        assert!(block.len() < value.len(), "it is in Huffman code");
        decoders.check(&block, &[(b"name".to_vec(), value)]);
    }
}
