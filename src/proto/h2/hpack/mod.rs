//! HPACK (RFC 7541): what a client's field blocks mean, within bounds.
//!
//! A [`Decoder`] lives as long as its connection, since both ends keep the same dynamic table; it
//! reads each block into a [`FieldList`], which one worker uses for all its connections. Answers
//! need no state: they are written by [`encode`] and by `http`'s templates.

mod decoder;
mod dynamic_table;
mod field_list;
#[doc(hidden)]
pub mod fuzz;
mod huffman;
mod validity;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;

use std::fmt;

pub use decoder::Decoder;
pub use field_list::{FieldList, ListedField};
pub use validity::FieldFault;

/// Writes answers: static indices and literals without indexing.
pub mod encode {
    pub use crate::http::hpack_block::{field, status};
}

/// Why a block cannot be decoded. The dynamic tables of both ends no longer agree, so that the
/// connection ends with COMPRESSION_ERROR (RFC 9113 §4.3), or with ENHANCE_YOUR_CALM after
/// [`HpackError::TooMuchWork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpackError {
    /// The block ends inside a field (RFC 7541 §6).
    Truncated,
    /// An integer is larger or longer than anything of use (§5.1).
    IntegerOverflow,
    /// The index 0 (§6.1).
    IndexZero,
    /// An index behind the end of the dynamic table (§2.3.3).
    IndexUnknown,
    /// A change of the table's size behind the first field (§4.2).
    SizeUpdateLate,
    /// A table larger than we allow (§6.3).
    SizeUpdateTooLarge,
    /// A Huffman code that holds EOS (§5.2).
    HuffmanEos,
    /// A Huffman code whose end is not up to seven ones (§5.2).
    HuffmanPadding,
    /// The block unfolds to far more than a request may have.
    TooMuchWork,
}

impl HpackError {
    /// A few words for the person who debugs the client.
    pub fn reason(self) -> &'static str {
        match self {
            HpackError::Truncated => "field block ends inside a field",
            HpackError::IntegerOverflow => "integer overflow in a field block",
            HpackError::IndexZero => "field index 0",
            HpackError::IndexUnknown => "field index behind the dynamic table",
            HpackError::SizeUpdateLate => "table size update behind a field",
            HpackError::SizeUpdateTooLarge => "table size above the setting",
            HpackError::HuffmanEos => "EOS in a Huffman string",
            HpackError::HuffmanPadding => "bad padding of a Huffman string",
            HpackError::TooMuchWork => "field block unfolds too far",
        }
    }
}

impl fmt::Display for HpackError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for HpackError {}
