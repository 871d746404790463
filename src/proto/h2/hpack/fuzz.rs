//! Fuzz bodies for HPACK: each takes any bytes and checks what must hold for all of them.
//!
//! A cargo-fuzz target is one call of one of these; `tests/fuzz_bodies.rs` runs them as tests.

use super::{Decoder, FieldList, HpackError, encode, huffman};
use crate::base::limits::FIELDS_MAX;
use crate::http::hpack_block::is_connection_field;
use crate::http::hpack_huffman;

const LIST_BYTES_MAX: usize = 2048;

/// The blocks of one connection. The first byte picks the size of the table; then each block
/// follows a byte that is its length.
pub fn fuzz_blocks(input: &[u8]) {
    let Some((first, mut rest)) = input.split_first() else {
        return;
    };
    let table_bytes_max = [0, 64, 256, 4096][usize::from(*first) % 4];
    let mut decoder = Decoder::new(table_bytes_max);
    let mut again = Decoder::new(table_bytes_max);
    let mut list = FieldList::new(LIST_BYTES_MAX);
    while let Some((len, after)) = rest.split_first() {
        let (block, after) = after.split_at(after.len().min(usize::from(*len)));
        rest = after;
        list.clear();
        let outcome = decoder.decode(block, &mut list);
        // A used list says the same as a new one.
        let mut fresh = FieldList::new(LIST_BYTES_MAX);
        assert_eq!(again.decode(block, &mut fresh), outcome);
        assert!(fresh.iter().eq(list.iter()) && fresh.fault() == list.fault());
        if outcome.is_err() {
            return;
        }
        check_list(&list);
    }
}

/// What holds for every list, and that the writer and a new decoder make the same list again.
fn check_list(list: &FieldList) {
    let sizes = list.iter().map(|(name, value)| name.len() + value.len());
    assert!(sizes.sum::<usize>() + 32 * list.len() <= LIST_BYTES_MAX);
    assert!(list.len() <= FIELDS_MAX && list.fields().count() == list.len());
    if list.fault().is_some() {
        return;
    }
    let mut block = Vec::new();
    for field in list.fields() {
        assert!(!field.name.is_empty() && !field.name.contains(char::is_uppercase));
        assert!(!field.value.contains(&0) && !field.value.contains(&b'\n'));
        assert_eq!(
            field.static_index.is_some(),
            is_static(field.name, field.static_index)
        );
        encode::field(&mut block, field.name, field.value);
    }
    let mut copy = FieldList::new(LIST_BYTES_MAX);
    assert_eq!(Decoder::new(0).decode(&block, &mut copy), Ok(()));
    let kept = |(name, _): &(&[u8], &[u8])| !is_connection_field(&String::from_utf8_lossy(name));
    assert!(copy.iter().eq(list.iter().filter(kept)));
    assert!(!copy.is_overflown() && copy.fault().is_none());
}

/// True when the name has that number; a pseudo-field always has one.
fn is_static(name: &str, index: Option<u8>) -> bool {
    let Some(index) = index else {
        return name.starts_with(':');
    };
    let entry = crate::http::hpack_static::STATIC_TABLE[usize::from(index) - 1];
    entry.0 == name
}

/// A Huffman string has one code, and whatever has that code is the string.
pub fn fuzz_huffman(input: &[u8]) {
    let mut code = Vec::new();
    hpack_huffman::encode(input.iter().copied(), &mut code);
    assert_eq!(
        code.len(),
        hpack_huffman::encoded_len(input.iter().copied())
    );
    let mut text = Vec::new();
    assert_eq!(huffman::decode(&code, &mut text), Ok(()));
    assert_eq!(text, input);

    text.clear();
    match huffman::decode(input, &mut text) {
        Ok(()) => {
            code.clear();
            hpack_huffman::encode(text.iter().copied(), &mut code);
            assert_eq!(code, input);
        }
        Err(error) => assert!(matches!(
            error,
            HpackError::HuffmanEos | HpackError::HuffmanPadding
        )),
    }
}
