//! A decoded field section: one buffer of text and the places of the fields in it.
//!
//! A worker has one list and clears it between blocks, so that nothing is allocated once it is
//! warm. What fits into no list (too many fields, too many bytes) is counted and left out.

use super::HpackError;
use super::validity::FieldFault;
use crate::base::limits::{FIELDS_MAX, HPACK_WORK_FACTOR};
use crate::http::hpack_static::{NAME_INDEX, STATIC_TABLE};

/// Bytes that each field counts beside its name and value (RFC 7541 §4.1, RFC 9113 §6.5.2).
pub(super) const FIELD_OVERHEAD: usize = 32;

/// The fields of one block, in order.
#[derive(Debug)]
pub struct FieldList {
    /// The values of the static table, whose fields are mere places; behind them what came.
    text: String,
    /// Fields that are not UTF-8, which HPACK allows.
    octets: Vec<u8>,
    places: Vec<Place>,
    /// Space in which the decoder puts a literal together.
    pub(super) scratch: Vec<u8>,
    /// Size of the section as RFC 9113 §6.5.2 counts it.
    bytes: usize,
    bytes_max: usize,
    is_overflown: bool,
    fault: Option<FieldFault>,
}

/// Where a field stands. Its name, unless that is static, is followed by its value.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u32,
    name_len: u32,
    value_len: u32,
    /// The name's index in the static table, or 0.
    name_index: u8,
    /// In `octets` and not in `text`.
    is_octets: bool,
}

/// A field on its way between list, dynamic table and scratch space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried<'a> {
    /// The name's index in the static table, or 0.
    pub(super) name_index: u8,
    /// Bytes of `text` that are the name; 0 when it is static.
    pub(super) name_len: usize,
    /// Name and value with their overhead (RFC 7541 §4.1).
    pub(super) size: usize,
    pub(super) fault: Option<FieldFault>,
    pub(super) text: Text<'a>,
}

/// A name and the value behind it. Text was checked once and is not checked again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    Utf8(&'a str),
    Octets(&'a [u8]),
}

impl<'a> Text<'a> {
    pub(super) fn as_bytes(self) -> &'a [u8] {
        match self {
            Text::Utf8(text) => text.as_bytes(),
            Text::Octets(octets) => octets,
        }
    }
}

/// One field of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedField<'a> {
    /// Its name: a token in lower case, or a pseudo-field's, unless the list has a fault.
    pub name: &'a str,
    /// Its value, without control characters unless the list has a fault.
    pub value: &'a [u8],
    /// The name's number in [`crate::http::hpack_static::names`]. A pseudo-field always has one;
    /// the name of another field may have been spelled out and then has none.
    pub static_index: Option<u8>,
}

impl FieldList {
    /// An empty list for field sections of at most `bytes_max` bytes, counted as RFC 9113 §6.5.2
    /// does, and of at most [`FIELDS_MAX`] fields.
    pub fn new(bytes_max: usize) -> FieldList {
        FieldList {
            text: STATIC_TABLE.iter().map(|(_, value)| *value).collect(),
            octets: Vec::new(),
            places: Vec::with_capacity(FIELDS_MAX),
            scratch: Vec::new(),
            bytes: 0,
            bytes_max,
            is_overflown: false,
            fault: None,
        }
    }

    /// Forgets the fields and keeps the memory.
    pub fn clear(&mut self) {
        self.text.truncate(STATIC_TEXT_BYTES);
        self.octets.clear();
        self.places.clear();
        self.bytes = 0;
        self.is_overflown = false;
        self.fault = None;
    }

    /// How many fields there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// True when fields were left out, since the section is larger than allowed: the answer is 431.
    #[inline]
    pub fn is_overflown(&self) -> bool {
        self.is_overflown
    }

    /// The first field that is malformed by itself (RFC 9113 §8.2.1): the request must be refused.
    #[inline]
    pub fn fault(&self) -> Option<FieldFault> {
        self.fault
    }

    /// The fields in order, ready to be used. Ask for [`FieldList::fault`] first.
    #[inline]
    pub fn fields(&self) -> impl Iterator<Item = ListedField<'_>> {
        self.places.iter().map(|place| self.field(place))
    }

    /// Names and values in order, whatever their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places.iter().map(|place| {
            let field = self.field(place);
            let is_spelled_out = place.is_octets && place.name_index == 0;
            let name = match is_spelled_out {
                true => &self.octets[place.at as usize..][..place.name_len as usize],
                false => field.name.as_bytes(),
            };
            (name, field.value)
        })
    }

    #[inline]
    fn field(&self, place: &Place) -> ListedField<'_> {
        let at = place.at as usize;
        let value_at = at + place.name_len as usize;
        let end = value_at + place.value_len as usize;
        let bytes = match place.is_octets {
            false => self.text.as_bytes(),
            true => &self.octets,
        };
        let static_index = (place.name_index != 0).then_some(place.name_index);
        let name = match static_index {
            Some(index) => STATIC_TABLE[usize::from(index) - 1].0,
            None if !place.is_octets => &self.text[at..value_at],
            // A good name beside a value that is not UTF-8; else there is a fault.
            None => str::from_utf8(&self.octets[at..value_at]).unwrap_or(""),
        };
        ListedField {
            name,
            value: &bytes[value_at..end],
            static_index,
        }
    }

    /// Adds the entry of the static table at `position`.
    #[inline]
    pub(super) fn push_static(&mut self, position: usize) -> Result<(), HpackError> {
        let (place, size) = STATIC_PLACES[position];
        if self.admits(size as usize)? {
            self.places.push(place);
        }
        Ok(())
    }

    /// Adds a copy of `field`.
    #[inline]
    pub(super) fn push(&mut self, field: &Carried<'_>) -> Result<(), HpackError> {
        if !self.admits(field.size)? {
            return Ok(());
        }
        if self.fault.is_none() {
            self.fault = field.fault;
        }
        let (at, len, is_octets) = match field.text {
            Text::Utf8(text) => {
                let at = self.text.len();
                self.text.push_str(text);
                (at, text.len(), false)
            }
            Text::Octets(octets) => {
                let at = self.octets.len();
                self.octets.extend_from_slice(octets);
                (at, octets.len(), true)
            }
        };
        self.places.push(Place {
            at: at as u32,
            name_len: field.name_len as u32,
            value_len: (len - field.name_len) as u32,
            name_index: field.name_index,
            is_octets,
        });
        Ok(())
    }

    /// Counts a field of `size` and says whether it has a place in the list.
    #[inline]
    fn admits(&mut self, size: usize) -> Result<bool, HpackError> {
        self.bytes += size;
        if self.bytes <= self.bytes_max && self.places.len() < FIELDS_MAX {
            return Ok(true);
        }
        self.overflow()
    }

    /// The rest of the section is decoded for the dynamic table's sake alone, and that not forever:
    /// a field of 4 KiB is named by one byte (CVE-2016-6581).
    #[cold]
    fn overflow(&mut self) -> Result<bool, HpackError> {
        self.is_overflown = true;
        match self.bytes <= self.bytes_max.saturating_mul(HPACK_WORK_FACTOR) {
            true => Ok(false),
            false => Err(HpackError::TooMuchWork),
        }
    }

    /// Memory that it holds, in bytes.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.text.capacity()
            + self.octets.capacity()
            + self.places.capacity() * size_of::<Place>()
            + self.scratch.capacity()
    }
}

/// Bytes of all values of the static table.
const STATIC_TEXT_BYTES: usize = {
    let last = static_places()[STATIC_TABLE.len() - 1].0;
    last.at as usize + last.value_len as usize
};

/// For each static field its place in every list, and its size.
static STATIC_PLACES: [(Place, u32); STATIC_TABLE.len()] = static_places();

const fn static_places() -> [(Place, u32); STATIC_TABLE.len()] {
    let none = Place {
        at: 0,
        name_len: 0,
        value_len: 0,
        name_index: 0,
        is_octets: false,
    };
    let mut places = [(none, 0); STATIC_TABLE.len()];
    let (mut at, mut position) = (0, 0);
    while position < STATIC_TABLE.len() {
        let (name, value) = STATIC_TABLE[position];
        let place = Place {
            at,
            value_len: value.len() as u32,
            name_index: NAME_INDEX[position],
            ..none
        };
        places[position] = (place, (FIELD_OVERHEAD + name.len() + value.len()) as u32);
        at += value.len() as u32;
        position += 1;
    }
    places
}
