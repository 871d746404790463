//! The examples of RFC 7541, its error cases, and the bounds.

use proptest::prelude::*;

use super::decoder::integer;
use super::*;
use crate::base::limits::HPACK_WORK_FACTOR;
use crate::base::limits::{FIELDS_MAX, HEAD_BYTES_DEFAULT, HPACK_TABLE_BYTES_MAX};

/// Bytes from hexadecimal digits, as the RFC prints them.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .collect();
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

fn decoder() -> Decoder {
    Decoder::new(HPACK_TABLE_BYTES_MAX)
}

fn list() -> FieldList {
    FieldList::new(HEAD_BYTES_DEFAULT)
}

/// A list as text.
fn lines(list: &FieldList) -> Vec<String> {
    let text = String::from_utf8_lossy;
    let fields = list.iter();
    fields
        .map(|(name, value)| format!("{}: {}", text(name), text(value)))
        .collect()
}

/// The dynamic table as text, the newest entry first. Only indexed fields: the table stays.
fn table(decoder: &mut Decoder) -> Vec<String> {
    let count = decoder.table().len() as u8;
    let block: Vec<u8> = (62..62 + count).map(|index| 0x80 | index).collect();
    decode(decoder, &block).unwrap()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, HpackError> {
    let mut list = list();
    decoder.decode(block, &mut list).map(|()| lines(&list))
}

fn error(block: &[u8]) -> HpackError {
    decode(&mut decoder(), block).expect_err("the block is broken")
}

/// One block of an example: the block, what it means, the table behind it and the table's size.
type Example<'a> = (&'a str, &'a [&'a str], &'a [&'a str], usize);

fn check(decoder: &mut Decoder, examples: &[Example<'_>]) {
    for (block, fields, entries, bytes) in examples {
        assert_eq!(decode(decoder, &hex(block)).unwrap(), *fields, "{block}");
        assert_eq!(table(decoder), *entries, "{block}");
        assert_eq!(decoder.table().bytes(), *bytes, "{block}");
    }
}

/// RFC 7541 §C.1
#[test]
fn integers_of_the_rfc() {
    assert_eq!(integer(0b1110_1010, 5, b"x"), Ok((10, &b"x"[..])));
    assert_eq!(integer(0xff, 5, &[0x9a, 0x0a, 7]), Ok((1337, &[7][..])));
    assert_eq!(integer(42, 8, b""), Ok((42, &b""[..])));
}

/// RFC 7541 §C.2
#[test]
fn representations_of_the_rfc() {
    let custom = "custom-key: custom-header";
    let block = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    check(&mut decoder(), &[(block, &[custom], &[custom], 55)]);
    let block = "040c 2f73 616d 706c 652f 7061 7468";
    check(&mut decoder(), &[(block, &[":path: /sample/path"], &[], 0)]);
    let block = "1008 7061 7373 776f 7264 0673 6563 7265 74";
    check(&mut decoder(), &[(block, &["password: secret"], &[], 0)]);
    check(&mut decoder(), &[("82", &[":method: GET"], &[], 0)]);
}

const REQUESTS: [&[&str]; 3] = [
    &[
        ":method: GET",
        ":scheme: http",
        ":path: /",
        ":authority: www.example.com",
    ],
    &[
        ":method: GET",
        ":scheme: http",
        ":path: /",
        ":authority: www.example.com",
        "cache-control: no-cache",
    ],
    &[
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ],
];

const REQUEST_TABLE: [&str; 3] = [
    "custom-key: custom-value",
    "cache-control: no-cache",
    ":authority: www.example.com",
];

fn check_requests(blocks: [&str; 3]) {
    check(
        &mut decoder(),
        &[
            (blocks[0], REQUESTS[0], &REQUEST_TABLE[2..], 57),
            (blocks[1], REQUESTS[1], &REQUEST_TABLE[1..], 110),
            (blocks[2], REQUESTS[2], &REQUEST_TABLE, 164),
        ],
    );
}

/// RFC 7541 §C.3
#[test]
fn requests_of_the_rfc_without_huffman() {
    check_requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
}

/// RFC 7541 §C.4
#[test]
fn requests_of_the_rfc_with_huffman() {
    check_requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
}

const COOKIE: &str = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const LOCATION: &str = "location: https://www.example.com";
const DATE_21: &str = "date: Mon, 21 Oct 2013 20:13:21 GMT";
const DATE_22: &str = "date: Mon, 21 Oct 2013 20:13:22 GMT";

/// A table of 256 bytes, which forces evictions.
fn check_responses(blocks: [&str; 3]) {
    let private = "cache-control: private";
    let gzip = "content-encoding: gzip";
    check(
        &mut Decoder::new(256),
        &[
            (
                blocks[0],
                &[":status: 302", private, DATE_21, LOCATION],
                &[LOCATION, DATE_21, private, ":status: 302"],
                222,
            ),
            (
                blocks[1],
                &[":status: 307", private, DATE_21, LOCATION],
                &[":status: 307", LOCATION, DATE_21, private],
                222,
            ),
            (
                blocks[2],
                &[":status: 200", private, DATE_22, LOCATION, gzip, COOKIE],
                &[COOKIE, gzip, DATE_22],
                215,
            ),
        ],
    );
}

/// RFC 7541 §C.5
#[test]
fn responses_of_the_rfc_without_huffman() {
    check_responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
         2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
         6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
         54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
         5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
         3d31",
    ]);
}

/// RFC 7541 §C.6
#[test]
fn responses_of_the_rfc_with_huffman() {
    check_responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
         2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
         77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
         9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}

/// RFC 7541 §6.1: "The index value of 0 is not used. It MUST be treated as a decoding error if
/// found in an indexed header field representation."
#[test]
fn the_index_zero_is_refused() {
    assert_eq!(error(&[0x80]), HpackError::IndexZero);
    assert_eq!(error(&[0x82, 0x80]), HpackError::IndexZero);
}

/// RFC 7541 §2.3.3: "Indices strictly greater than the sum of the lengths of both tables MUST be
/// treated as a decoding error."
#[test]
fn an_index_behind_the_tables_is_refused() {
    let first_free = [
        &[0xbe][..],                     // indexed
        &[0x7e, 0x01, b'v'],             // the name of a literal that is to be indexed
        &[0x0f, 62 - 15, 0x01, b'v'],    // without indexing
        &[0x1f, 62 - 15, 0x01, b'v'],    // never indexed
        &[0xff, 0xff, 0xff, 0xff, 0x7f], // as large as an index can be said
    ];
    for block in first_free {
        assert_eq!(error(block), HpackError::IndexUnknown, "{block:x?}");
    }
    let mut decoder = decoder();
    assert!(decode(&mut decoder, &[0x41, 0x01, b'v']).is_ok());
    assert_eq!(decode(&mut decoder, &[0xbe]).unwrap(), [":authority: v"]);
    assert_eq!(decode(&mut decoder, &[0xbf]), Err(HpackError::IndexUnknown));
}

/// RFC 7541 §5.1: "Integer encodings that exceed implementation limits […] MUST be treated as
/// decoding errors."
#[test]
fn an_integer_out_of_bounds_is_refused() {
    let largest = [0xff, 0xff, 0xff, 0x7f];
    assert_eq!(
        integer(0x7f, 7, &largest),
        Ok((127 + (1 << 28) - 1, &[][..]))
    );
    for octets in [
        &[0x80, 0x80, 0x80, 0x80, 0x00][..], // long zeros
        &[0xff, 0xff, 0xff, 0xff, 0x0f],     // 2^32 and more
        &[0xff; 20],
    ] {
        for bits in 4..8 {
            assert_eq!(
                integer(0xff, bits, octets),
                Err(HpackError::IntegerOverflow)
            );
        }
        for first in [0xff, 0x7f, 0x3f, 0x1f, 0x0f] {
            let block = [&[first][..], octets].concat();
            assert_eq!(error(&block), HpackError::IntegerOverflow, "{block:x?}");
        }
        let length = [&[0x41, 0x7f][..], octets].concat();
        assert_eq!(error(&length), HpackError::IntegerOverflow);
    }
    // Zeros behind the value are allowed within the limit.
    assert_eq!(integer(0x1f, 5, &[0x80, 0x80, 0x00]), Ok((31, &[][..])));
}

/// RFC 7541 §6: a block that ends inside a field means nothing.
#[test]
fn every_cut_is_seen() {
    let long_value = "76".repeat(128);
    let blocks = [
        "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
        "4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        "1f11 8441 8cf1 e3",                // `cookie`, never indexed
        "3fe1 1f",                          // a size of two octets
        &format!("0f11 7f01 {long_value}"), // a length of two octets
    ];
    for block in blocks {
        let block = hex(block);
        assert_ne!(decode(&mut decoder(), &block), Err(HpackError::Truncated));
        for len in 1..block.len() {
            let cut = &block[..len];
            assert_eq!(error(cut), HpackError::Truncated, "{cut:x?}");
        }
    }
}

/// RFC 7541 §4.2: a change "MUST occur at the beginning of the first header block following the
/// change".
#[test]
fn a_size_update_comes_first_or_is_refused() {
    let mut decoder = decoder();
    let custom = hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572");
    decode(&mut decoder, &custom).unwrap();
    // Down to 0 and up again in one block: the entry is gone (§4.3).
    assert_eq!(
        decode(&mut decoder, &hex("20 3fe1 1f 82")).unwrap(),
        [":method: GET"]
    );
    assert_eq!((decoder.table().len(), decoder.table().bytes()), (0, 0));
    decode(&mut decoder, &custom).unwrap();
    assert_eq!(decoder.table().len(), 1);
    // A size of 55 keeps it, one of 54 does not.
    decode(&mut decoder, &hex("3f18")).unwrap();
    assert_eq!(decoder.table().len(), 1);
    decode(&mut decoder, &hex("3f17")).unwrap();
    assert_eq!(decoder.table().len(), 0);
    decode(&mut decoder, &custom).unwrap();
    assert_eq!(decoder.table().len(), 0);

    assert_eq!(error(&hex("82 20")), HpackError::SizeUpdateLate);
    assert_eq!(error(&hex("20 82 20 82")), HpackError::SizeUpdateLate);
}

/// RFC 7541 §6.3: "The new maximum size MUST be lower than or equal to the limit determined by the
/// protocol using HPACK."
#[test]
fn a_size_update_above_the_setting_is_refused() {
    assert_eq!(decode(&mut decoder(), &hex("3fe1 1f")).unwrap(), [""; 0]);
    assert_eq!(error(&hex("3fe2 1f")), HpackError::SizeUpdateTooLarge);
    let mut small = Decoder::new(100);
    assert_eq!(decode(&mut small, &hex("3f45")).unwrap(), [""; 0]);
    let refused = decode(&mut small, &hex("3f46"));
    assert_eq!(refused, Err(HpackError::SizeUpdateTooLarge));
}

/// RFC 7541 §5.2, seen from a block.
#[test]
fn a_broken_huffman_string_is_refused() {
    for (string, expected) in [
        ("84 ffff ffff", HpackError::HuffmanEos),
        ("82 1fff", HpackError::HuffmanPadding), // `a` and eleven ones
        ("81 18", HpackError::HuffmanPadding),   // `a` and three zeros
    ] {
        let (name, value) = (hex(&format!("00{string}0161")), hex(&format!("44{string}")));
        assert_eq!((error(&name), error(&value)), (expected, expected));
    }
}

/// RFC 7541 §4.4: the entry that gives the name may be the one that must go.
#[test]
fn a_name_outlives_the_entry_that_it_came_from() {
    let mut decoder = Decoder::new(60);
    let first = [&[0x40, 4][..], b"name", &[5], b"value"].concat();
    assert_eq!(decode(&mut decoder, &first).unwrap(), ["name: value"]);
    let second = [&[0x40 | 62, 6][..], b"second"].concat();
    assert_eq!(decode(&mut decoder, &second).unwrap(), ["name: second"]);
    assert_eq!(table(&mut decoder), ["name: second"]);
    // Larger than the table: no entry, but a field.
    let long = [&[0x40 | 62, 30][..], &[b'x'; 30]].concat();
    let expected = format!("name: {}", "x".repeat(30));
    assert_eq!(decode(&mut decoder, &long).unwrap(), [expected]);
    assert_eq!(decoder.table().len(), 0);
}

/// A field as a literal with a spelled-out name.
fn literal(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    assert!(name.len() < 127 && value.len() < 127);
    [
        &[first, name.len() as u8][..],
        name,
        &[value.len() as u8],
        value,
    ]
    .concat()
}

/// RFC 9113 §8.2.1: found when the literal comes, and still known when the table repeats it.
#[test]
fn a_malformed_field_is_named_and_no_error() {
    for (name, value, expected) in [
        (&b"good"[..], &b"value \xe4\t~"[..], None),
        (b"", b"v", Some(FieldFault::Name)),
        (b"Upper", b"v", Some(FieldFault::Name)),
        (b"sp ace", b"v", Some(FieldFault::Name)),
        (b"\xff\xfe", b"v", Some(FieldFault::Name)),
        ("naïve".as_bytes(), b"v", Some(FieldFault::Name)),
        (b":unknown", b"v", Some(FieldFault::Name)),
        (b":", b"v", Some(FieldFault::Name)),
        (b"n", b"a\nb", Some(FieldFault::Value)),
        (b"n", b"a\0", Some(FieldFault::Value)),
        (b"n", b" a", Some(FieldFault::Value)),
        (b"n", b"a\t", Some(FieldFault::Value)),
        (b"n", b"\xff\r", Some(FieldFault::Value)),
    ] {
        let (mut decoder, mut list) = (decoder(), list());
        let indexed = literal(0x40, name, value);
        for block in [&indexed, &vec![0x82, 0xbe], &vec![0xbe, 0xbe]] {
            list.clear();
            decoder.decode(block, &mut list).unwrap();
            assert_eq!(list.fault(), expected, "{name:?}: {value:?}");
            let last = list.iter().last();
            assert_eq!(last, Some((name, value)));
            assert_eq!(list.fields().last().map(|field| field.value), Some(value));
        }
        list.clear();
        decoder.decode(&[0x82], &mut list).unwrap();
        assert_eq!(list.fault(), None);
    }
}

/// The name of an entry gets its own verdict when a literal uses it.
#[test]
fn a_bad_value_does_not_spoil_its_name() {
    let (mut decoder, mut list) = (decoder(), list());
    decoder
        .decode(&literal(0x40, b"n", b"\xff\0"), &mut list)
        .unwrap();
    list.clear();
    decoder.decode(&[0x7e, 1, b'v'], &mut list).unwrap();
    assert_eq!(list.fault(), None);
    let field = list.fields().next().unwrap();
    assert_eq!(
        (field.name, field.value, field.static_index),
        ("n", &b"v"[..], None)
    );
    list.clear();
    decoder
        .decode(&literal(0x40, b"N", b"v"), &mut list)
        .unwrap();
    list.clear();
    decoder.decode(&[0x7e, 1, b'v'], &mut list).unwrap();
    assert_eq!(list.fault(), Some(FieldFault::Name));
}

#[test]
fn pseudo_fields_have_their_number_however_they_are_written() {
    let (mut decoder, mut list) = (decoder(), list());
    let spelled_out = literal(0x40, b":path", b"/a");
    let blocks = [
        (&spelled_out[..], Some(4)),
        (&[0xbe], Some(4)),                // from the dynamic table
        (&[0x7e, 2, b'/', b'b'], Some(4)), // its name from there
        (&[0x84], Some(4)),
        (&[0x85], Some(4)),
        (&[0x45, 2, b'/', b'c'], Some(4)),
        (&[0x83], Some(2)),
        (&[0x8e], Some(8)),
        (&[0x90], Some(16)),
        (&literal(0, b"user-agent", b"x"), None),
        (&[0x0f, 58 - 15, 1, b'x'], Some(58)),
    ];
    for (block, expected) in blocks {
        list.clear();
        decoder.decode(block, &mut list).unwrap();
        let field = list.fields().next().unwrap();
        assert_eq!(field.static_index, expected, "{block:x?}");
        assert_eq!(list.fault(), None);
    }
}

/// RFC 9113 §6.5.2, §10.5.1: too large a section is counted, and the table stays right.
#[test]
fn a_large_section_overflows_and_the_table_follows() {
    let value = [b'v'; 100];
    let field = literal(0x40, b"name", &value); // 136 bytes as counted
    let mut list = FieldList::new(136 * 2);
    let mut decoder = decoder();
    decoder.decode(&field.repeat(2), &mut list).unwrap();
    assert!(!list.is_overflown() && list.len() == 2 && !list.is_empty());
    list.clear();
    let block = [&field.repeat(2)[..], &literal(0x40, b"last", b"one")].concat();
    decoder.decode(&block, &mut list).unwrap();
    assert!(list.is_overflown() && list.len() == 2);
    list.clear();
    assert!(!list.is_overflown() && list.is_empty());
    decoder.decode(&[0xbe], &mut list).unwrap();
    assert_eq!(lines(&list), ["last: one"]);
}

#[test]
fn too_many_fields_overflow() {
    let (mut decoder, mut list) = (decoder(), list());
    decoder.decode(&[0x82; FIELDS_MAX], &mut list).unwrap();
    assert!(!list.is_overflown() && list.len() == FIELDS_MAX);
    list.clear();
    decoder.decode(&[0x82; FIELDS_MAX + 1], &mut list).unwrap();
    assert!(list.is_overflown() && list.len() == FIELDS_MAX);
}

/// CVE-2016-6581: one large entry, named again and again by single bytes.
#[test]
fn a_bomb_of_indices_ends_early() {
    let (mut decoder, mut list) = (decoder(), list());
    let value_len = 4000;
    let mut entry = vec![0x41, 0x7f]; // `:authority`, indexed
    entry.extend([
        (value_len - 127) as u8 | 0x80,
        ((value_len - 127) >> 7) as u8,
    ]);
    entry.extend(vec![b'v'; value_len]);
    decoder.decode(&entry, &mut list).unwrap();
    let size = value_len + ":authority".len() + 32;

    // As many as the work allows go by, and one more does not.
    let allowed = HEAD_BYTES_DEFAULT * HPACK_WORK_FACTOR / size;
    list.clear();
    decoder.decode(&vec![0xbe; allowed], &mut list).unwrap();
    assert!(list.is_overflown() && list.len() == HEAD_BYTES_DEFAULT / size);
    list.clear();
    let bomb = vec![0xbe; 1 << 20];
    assert_eq!(
        decoder.decode(&bomb, &mut list),
        Err(HpackError::TooMuchWork)
    );
    assert_eq!(list.len(), HEAD_BYTES_DEFAULT / size);
    check_memory(&decoder, &list);
}

/// The same with names: each literal of three bytes makes a copy of a name of 4 KiB.
#[test]
fn a_bomb_of_names_ends_early() {
    let (mut decoder, mut list) = (decoder(), list());
    let name_len = 4000;
    let mut entry = vec![0x40, 0x7f];
    entry.extend([(name_len - 127) as u8 | 0x80, ((name_len - 127) >> 7) as u8]);
    entry.extend(vec![b'n'; name_len]);
    entry.push(0);
    decoder.decode(&entry, &mut list).unwrap();
    for first in [0x7e, 0x0f] {
        let reference = match first {
            0x7e => vec![0x7e, 1, b'v'],
            _ => vec![0x0f, 62 - 15, 0],
        };
        list.clear();
        let bomb = reference.repeat(1 << 16);
        assert_eq!(
            decoder.decode(&bomb, &mut list),
            Err(HpackError::TooMuchWork)
        );
        check_memory(&decoder, &list);
    }
}

/// A block of small literals or static indices is bounded by its fields' overhead.
#[test]
fn a_flood_of_small_fields_ends_early() {
    for field in [
        &[0x82][..],
        &[0x00, 0x00, 0x00],
        &[0x40, 0x00, 0x00],
        &[0x44, 0x00],
    ] {
        let (mut decoder, mut list) = (decoder(), list());
        let flood = field.repeat(1 << 16);
        assert_eq!(
            decoder.decode(&flood, &mut list),
            Err(HpackError::TooMuchWork)
        );
        assert_eq!(list.len(), FIELDS_MAX);
        check_memory(&decoder, &list);
    }
}

/// The longest block that HTTP/2 lets in, all of it one Huffman string of the shortest codes.
#[test]
fn a_huffman_string_grows_by_eight_fifths_at_most() {
    let (mut decoder, mut list) = (decoder(), list());
    let len = HEAD_BYTES_DEFAULT - 8; // Whole bytes of `0`, whose five bits are zeros.
    assert_eq!(len % 5, 0);
    let mut block = vec![0x44, 0xff];
    block.extend([(len - 127) as u8 | 0x80, ((len - 127) >> 7) as u8 | 0x80]);
    block.push(((len - 127) >> 14) as u8);
    block.extend(vec![0; len]);
    assert_eq!(decoder.decode(&block, &mut list), Ok(()));
    assert!(list.is_overflown() && list.is_empty());
    check_memory(&decoder, &list);
}

/// Whatever a peer sends: list and table stay within small multiples of their bounds.
fn check_memory(decoder: &Decoder, list: &FieldList) {
    let list_bytes = list.memory_bytes();
    assert!(list_bytes <= 5 * HEAD_BYTES_DEFAULT, "{list_bytes}");
    let table_bytes = decoder.table().memory_bytes();
    assert!(table_bytes <= 5 * HPACK_TABLE_BYTES_MAX, "{table_bytes}");
}

/// Once it has seen a request, a connection decodes such requests without an allocation.
#[test]
fn a_warm_decoder_allocates_nothing() {
    let (mut decoder, mut list) = (decoder(), list());
    let mut memory = (0, 0);
    for round in 0..1000 {
        let mut block = hex("8286 84 53 03 2a2f2a");
        block.extend(literal(0x40, b"x-name", format!("{round:040}").as_bytes()));
        block.extend(literal(0x00, b"sec-fetch-mode", b"navigate"));
        block.extend([0xbe, 0xbe]);
        list.clear();
        decoder.decode(&block, &mut list).unwrap();
        assert_eq!(list.len(), 8);
        if round == 200 {
            memory = (decoder.table().memory_bytes(), list.memory_bytes());
        }
    }
    assert_eq!(
        (decoder.table().memory_bytes(), list.memory_bytes()),
        memory
    );
}

/// Names that a static table has, that it has not, and that no request may have.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(":path".to_owned()),
        Just("accept-encoding".to_owned()),
        Just("etag".to_owned()),
        "[a-z][a-z0-9-]{0,30}",
    ]
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"gzip, deflate".to_vec()),
        "[ -~]{0,200}".prop_map(String::into_bytes),
        any::<Vec<u8>>(),
    ]
}

proptest! {
    /// What our own writer writes is read back.
    #[test]
    fn what_was_written_is_decoded(
        fields in prop::collection::vec((any_name(), any_value()), 0..20)
    ) {
        let mut block = Vec::new();
        encode::status(&mut block, 404);
        for (name, value) in &fields {
            encode::field(&mut block, &name.to_uppercase(), value);
        }
        let (mut decoder, mut list) = (decoder(), list());
        decoder.decode(&block, &mut list).unwrap();
        let mut expected = vec![(&b":status"[..], &b"404"[..])];
        let written = fields
            .iter()
            .filter(|(name, _)| !crate::http::hpack_block::is_connection_field(name));
        expected.extend(written.map(|(name, value)| (name.as_bytes(), &value[..])));
        prop_assert_eq!(list.iter().collect::<Vec<_>>(), expected);
        prop_assert_eq!(decoder.table().len(), 0);
    }

    #[test]
    fn no_block_makes_the_decoder_panic(blocks: Vec<Vec<u8>>) {
        let (mut decoder, mut list) = (decoder(), list());
        for block in &blocks {
            list.clear();
            if decoder.decode(block, &mut list).is_err() {
                break;
            }
            prop_assert!(decoder.table().bytes() <= HPACK_TABLE_BYTES_MAX);
        }
    }
}
