//! Field compression (RFC 7541), decoding only what needs no dynamic table and no Huffman code.

use crate::base::limits::FIELDS_MAX;
use crate::http::field::{is_token_byte, is_value_byte};

/// A field block that cannot be decoded: the connection ends with COMPRESSION_ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpackError {
    Truncated,
    TooMuchWork,
}

impl HpackError {
    pub fn reason(self) -> &'static str {
        "field block that cannot be decoded"
    }
}

/// Decodes the field blocks of one connection.
#[derive(Debug)]
pub struct Decoder {
    _table_bytes_max: usize,
}

impl Decoder {
    pub fn new(table_bytes_max: usize) -> Decoder {
        Decoder {
            _table_bytes_max: table_bytes_max,
        }
    }

    /// Decodes one whole field block and appends its fields to `list`.
    pub fn decode(&mut self, block: &[u8], list: &mut FieldList) -> Result<(), HpackError> {
        let mut rest = block;
        while let Some(first) = rest.first() {
            if first & 0x80 != 0 {
                let index = integer(&mut rest, 7)?;
                let (name, value) = STATIC
                    .get(index.wrapping_sub(1))
                    .ok_or(HpackError::Truncated)?;
                list.push(name.as_bytes(), value.as_bytes(), Some(index as u8));
                continue;
            }
            let prefix = match first {
                0x40..=0x7f => 6,
                0x20..=0x3f => {
                    integer(&mut rest, 5)?;
                    continue;
                }
                _ => 4,
            };
            let index = integer(&mut rest, prefix)?;
            if index == 0 {
                let name = string(&mut rest)?;
                let value = string(&mut rest)?;
                list.push(name, value, None);
            } else {
                let (name, _) = STATIC.get(index - 1).ok_or(HpackError::Truncated)?;
                let value = string(&mut rest)?;
                list.push(name.as_bytes(), value, Some(index as u8));
            }
        }
        Ok(())
    }
}

fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
    let mask = (1usize << prefix) - 1;
    let (first, mut tail) = rest.split_first().ok_or(HpackError::Truncated)?;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        for shift in [0, 7, 14] {
            let (byte, after) = tail.split_first().ok_or(HpackError::Truncated)?;
            tail = after;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                *rest = tail;
                return Ok(value);
            }
        }
        return Err(HpackError::Truncated);
    }
    *rest = tail;
    Ok(value)
}

fn string<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], HpackError> {
    if rest.first().ok_or(HpackError::Truncated)? & 0x80 != 0 {
        return Err(HpackError::Truncated);
    }
    let len = integer(rest, 7)?;
    let (text, tail) = rest.split_at_checked(len).ok_or(HpackError::Truncated)?;
    *rest = tail;
    Ok(text)
}

/// What is wrong with a field by itself (RFC 9113 §8.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldFault {
    Name,
    Value,
}

/// One field of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedField<'a> {
    pub name: &'a str,
    pub value: &'a [u8],
    pub static_index: Option<u8>,
}

/// A decoded field section.
#[derive(Debug)]
pub struct FieldList {
    fields: Vec<(String, Vec<u8>, Option<u8>)>,
    bytes: usize,
    bytes_max: usize,
    overflown: bool,
    fault: Option<FieldFault>,
}

impl FieldList {
    pub fn new(bytes_max: usize) -> FieldList {
        FieldList {
            fields: Vec::new(),
            bytes: 0,
            bytes_max,
            overflown: false,
            fault: None,
        }
    }

    pub fn clear(&mut self) {
        *self = FieldList::new(self.bytes_max);
    }

    pub fn len(&self) -> usize {
        self.fields.len()
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub fn fields(&self) -> impl Iterator<Item = ListedField<'_>> {
        self.fields
            .iter()
            .map(|(name, value, static_index)| ListedField {
                name,
                value,
                static_index: *static_index,
            })
    }

    pub fn is_overflown(&self) -> bool {
        self.overflown
    }

    pub fn fault(&self) -> Option<FieldFault> {
        self.fault
    }

    fn push(&mut self, name: &[u8], value: &[u8], index: Option<u8>) {
        self.bytes += name.len() + value.len() + 32;
        if self.bytes > self.bytes_max || self.fields.len() == FIELDS_MAX {
            self.overflown = true;
            return;
        }
        let position = STATIC
            .iter()
            .position(|(known, _)| known.as_bytes() == name);
        let index = match position {
            Some(position) if index.is_some() || name[0] == b':' => Some(position as u8 + 1),
            _ => None,
        };
        let is_name = |byte: &u8| is_token_byte(*byte) && !byte.is_ascii_uppercase();
        let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if (index.is_none() && !name.iter().all(is_name)) || name.is_empty() {
            self.fault.get_or_insert(FieldFault::Name);
        } else if !value.iter().all(|byte| is_value_byte(*byte))
            || is_space(value.first())
            || is_space(value.last())
        {
            self.fault.get_or_insert(FieldFault::Value);
        }
        let name = String::from_utf8_lossy(name).into_owned();
        self.fields.push((name, value.to_vec(), index));
    }
}

#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
    (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""),
    ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""),
    ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
    ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""),
    ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""),
    ("vary", ""), ("via", ""), ("www-authenticate", ""),
];
