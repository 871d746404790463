//! From field blocks to field lists (RFC 7541 §3.2, §6).

use super::dynamic_table::DynamicTable;
use super::field_list::{Carried, FIELD_OVERHEAD, FieldList, Text};
use super::validity::{FieldFault, is_name, is_value, pseudo_index};
use super::{HpackError, huffman};
use crate::http::hpack_static::{NAME_INDEX, STATIC_TABLE};

/// Octets of an integer behind its prefix. Four say numbers up to 2^28, far above any block.
const INTEGER_OCTETS_MAX: usize = 4;

/// The decoding side of one connection.
#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable,
    /// Our SETTINGS_HEADER_TABLE_SIZE.
    table_bytes_max: usize,
}

/// What becomes of a literal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Literal {
    /// It becomes the newest entry of the dynamic table (RFC 7541 §6.2.1).
    Indexed,
    /// It does not, or must not even elsewhere (§6.2.2, §6.2.3).
    NotIndexed,
}

/// The name of a literal.
struct Name {
    /// In the static table, or 0.
    index: u8,
    fault: Option<FieldFault>,
}

impl Decoder {
    /// A decoder for a peer whose table may have `table_bytes_max` bytes (at most 65,535): the
    /// SETTINGS_HEADER_TABLE_SIZE that we announce, or 4096 when we announce none.
    pub fn new(table_bytes_max: usize) -> Decoder {
        Decoder {
            table: DynamicTable::new(table_bytes_max),
            table_bytes_max,
        }
    }

    /// Appends the fields of one whole block to `list`, which the caller has cleared. After an
    /// error the table is lost and so is the connection; the list is of no use.
    pub fn decode(&mut self, block: &[u8], list: &mut FieldList) -> Result<(), HpackError> {
        let mut rest = self.size_updates(block)?;
        while let Some((first, after)) = rest.split_first() {
            rest = match first {
                0x80.. => {
                    let (index, after) = integer(*first, 7, after)?;
                    self.indexed(index, list)?;
                    after
                }
                0x40.. => self.literal(Literal::Indexed, integer(*first, 6, after)?, list)?,
                0x20.. => return Err(HpackError::SizeUpdateLate),
                _ => self.literal(Literal::NotIndexed, integer(*first, 4, after)?, list)?,
            };
        }
        Ok(())
    }

    /// Changes of the table's size, which only the start of a block may hold (RFC 7541 §4.2, §6.3).
    fn size_updates<'a>(&mut self, block: &'a [u8]) -> Result<&'a [u8], HpackError> {
        let mut rest = block;
        while let Some((first, after)) = rest.split_first()
            && (0x20..0x40).contains(first)
        {
            let (size, after) = integer(*first, 5, after)?;
            if size > self.table_bytes_max {
                return Err(HpackError::SizeUpdateTooLarge);
            }
            self.table.resize(size);
            rest = after;
        }
        Ok(rest)
    }

    /// A whole field of one of the tables (RFC 7541 §6.1).
    #[inline]
    fn indexed(&self, index: usize, list: &mut FieldList) -> Result<(), HpackError> {
        match index.checked_sub(1) {
            None => Err(HpackError::IndexZero),
            Some(position) if position < STATIC_TABLE.len() => list.push_static(position),
            Some(position) => list.push(&self.dynamic(position)?),
        }
    }

    /// The entry of the dynamic table at `position` of both tables together (RFC 7541 §2.3.3).
    #[inline]
    fn dynamic(&self, position: usize) -> Result<Carried<'_>, HpackError> {
        let entry = self.table.get(position - STATIC_TABLE.len());
        entry.ok_or(HpackError::IndexUnknown)
    }

    /// A literal behind its first integer, the index of its name or 0 (RFC 7541 §6.2).
    fn literal<'a>(
        &mut self,
        kind: Literal,
        (index, rest): (usize, &'a [u8]),
        list: &mut FieldList,
    ) -> Result<&'a [u8], HpackError> {
        // Name and value are put together outside list and table: the entry that has the name may
        // be evicted by this very literal (RFC 7541 §4.4).
        let mut scratch = std::mem::take(&mut list.scratch);
        scratch.clear();
        let (name, rest) = self.name(index, rest, &mut scratch)?;
        let name_len = scratch.len();
        let rest = string(rest, &mut scratch)?;
        let static_len = match name.index {
            0 => 0,
            index => STATIC_TABLE[usize::from(index) - 1].0.len(),
        };
        let is_value = is_value(&scratch[name_len..]);
        let field = Carried {
            name_index: name.index,
            name_len,
            size: static_len + scratch.len() + FIELD_OVERHEAD,
            fault: name.fault.or((!is_value).then_some(FieldFault::Value)),
            text: text(&scratch, name_len),
        };
        list.push(&field)?;
        if kind == Literal::Indexed {
            self.table.insert(&field);
        }
        list.scratch = scratch;
        Ok(rest)
    }

    /// The name of a literal; unless it is static, it is written to `scratch`.
    fn name<'a>(
        &self,
        index: usize,
        rest: &'a [u8],
        scratch: &mut Vec<u8>,
    ) -> Result<(Name, &'a [u8]), HpackError> {
        let rest = match index.checked_sub(1) {
            None => string(rest, scratch)?,
            Some(position) if position < STATIC_TABLE.len() => {
                return Ok((Name::known(NAME_INDEX[position]), rest));
            }
            Some(position) => {
                let entry = self.dynamic(position)?;
                if entry.name_index != 0 {
                    return Ok((Name::known(entry.name_index), rest));
                }
                scratch.extend_from_slice(&entry.text.as_bytes()[..entry.name_len]);
                rest
            }
        };
        if let Some(index) = pseudo_index(scratch) {
            scratch.clear();
            return Ok((Name::known(index), rest));
        }
        let fault = (!is_name(scratch)).then_some(FieldFault::Name);
        Ok((Name { index: 0, fault }, rest))
    }
}

impl Name {
    fn known(index: u8) -> Name {
        Name { index, fault: None }
    }
}

/// Text, if both parts are. The dynamic table and the list then need not ask again.
fn text(bytes: &[u8], name_len: usize) -> Text<'_> {
    match str::from_utf8(bytes) {
        Ok(text) if text.is_char_boundary(name_len) => Text::Utf8(text),
        _ => Text::Octets(bytes),
    }
}

/// An integer whose prefix is the low `bits` of `first` (RFC 7541 §5.1), and what follows it.
#[inline]
pub(super) fn integer(first: u8, bits: u32, rest: &[u8]) -> Result<(usize, &[u8]), HpackError> {
    let limit = (1 << bits) - 1;
    let prefix = usize::from(first) & limit;
    if prefix < limit {
        Ok((prefix, rest))
    } else {
        long_integer(limit, rest)
    }
}

/// RFC 7541 §5.1: "Integer encodings that exceed implementation limits -- in value or octet length
/// -- MUST be treated as decoding errors."
fn long_integer(limit: usize, rest: &[u8]) -> Result<(usize, &[u8]), HpackError> {
    let mut value = limit;
    for (position, octet) in rest.iter().take(INTEGER_OCTETS_MAX).enumerate() {
        value += usize::from(octet & 0x7f) << (7 * position);
        if octet & 0x80 == 0 {
            return Ok((value, &rest[position + 1..]));
        }
    }
    Err(match rest.len() < INTEGER_OCTETS_MAX {
        true => HpackError::Truncated,
        false => HpackError::IntegerOverflow,
    })
}

/// Appends a string (RFC 7541 §5.2) to `out`; gives what follows it.
fn string<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], HpackError> {
    const HUFFMAN: u8 = 0x80;
    let (first, rest) = rest.split_first().ok_or(HpackError::Truncated)?;
    let (len, rest) = integer(*first, 7, rest)?;
    let (text, rest) = rest.split_at_checked(len).ok_or(HpackError::Truncated)?;
    if first & HUFFMAN == 0 {
        out.extend_from_slice(text);
    } else {
        huffman::decode(text, out)?;
    }
    Ok(rest)
}

#[cfg(test)]
impl Decoder {
    /// The dynamic table, for looks into it.
    pub(super) fn table(&self) -> &DynamicTable {
        &self.table
    }
}
