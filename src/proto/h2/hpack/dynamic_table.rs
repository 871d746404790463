//! The dynamic table (RFC 7541 §2.3.2): the fields that the peer's encoder chose to name again.
//!
//! The text of all entries lies in one buffer, the oldest first. What was evicted leaves a gap at
//! the front, which closes when room is needed: entries cost no allocation and are never split.

use std::collections::VecDeque;

use super::field_list::{Carried, Text};
use super::validity::FieldFault;

/// The dynamic table of one connection. Empty, it owns no memory.
#[derive(Debug)]
pub(super) struct DynamicTable {
    /// The oldest entry comes first.
    entries: VecDeque<Entry>,
    text: String,
    /// The position of `text`'s first byte: positions count all bytes ever stored, and wrap.
    text_starts: u32,
    /// Size as RFC 7541 §4.1 counts it.
    bytes: usize,
    bytes_max: usize,
}

/// One entry. The sizes fit: no table is larger than [`TABLE_BYTES_LIMIT`].
#[derive(Debug)]
struct Entry {
    /// The position of its text.
    at: u32,
    /// 0 when the name is static.
    name_len: u16,
    value_len: u16,
    size: u16,
    name_index: u8,
    fault: Option<FieldFault>,
    /// Name and value when they are not UTF-8. That is rare, and the text is then empty.
    octets: Option<Box<[u8]>>,
}

/// No table may be larger than what an entry's sizes can say.
pub(super) const TABLE_BYTES_LIMIT: usize = u16::MAX as usize;

impl DynamicTable {
    /// An empty table for `bytes_max` bytes.
    pub(super) fn new(bytes_max: usize) -> DynamicTable {
        assert!(bytes_max <= TABLE_BYTES_LIMIT);
        DynamicTable {
            entries: VecDeque::new(),
            text: String::new(),
            text_starts: 0,
            bytes: 0,
            bytes_max,
        }
    }

    /// The entry at `position`, counted from the newest one.
    #[inline]
    pub(super) fn get(&self, position: usize) -> Option<Carried<'_>> {
        let from_oldest = self.entries.len().checked_sub(position + 1)?;
        let entry = &self.entries[from_oldest];
        let text = match &entry.octets {
            None => {
                let at = entry.at.wrapping_sub(self.text_starts) as usize;
                let len = usize::from(entry.name_len) + usize::from(entry.value_len);
                Text::Utf8(&self.text[at..at + len])
            }
            Some(octets) => Text::Octets(octets),
        };
        Some(Carried {
            name_index: entry.name_index,
            name_len: usize::from(entry.name_len),
            size: usize::from(entry.size),
            fault: entry.fault,
            text,
        })
    }

    /// Adds a copy of `field` as the newest entry. One that is larger than the whole table empties
    /// it, which is no error (RFC 7541 §4.4).
    pub(super) fn insert(&mut self, field: &Carried<'_>) {
        self.evict_to(self.bytes_max.saturating_sub(field.size));
        if field.size > self.bytes_max {
            return;
        }
        let (text, octets) = match field.text {
            Text::Utf8(text) => (text, None),
            Text::Octets(octets) => ("", Some(octets.into())),
        };
        self.make_room(text.len());
        let at = self.text_starts.wrapping_add(self.text.len() as u32);
        self.text.push_str(text);
        self.bytes += field.size;
        self.entries.push_back(Entry {
            at,
            name_len: field.name_len as u16,
            value_len: (field.text.as_bytes().len() - field.name_len) as u16,
            size: field.size as u16,
            name_index: field.name_index,
            fault: field.fault,
            octets,
        });
    }

    /// Sets the size within which the peer wants to stay (RFC 7541 §4.3).
    pub(super) fn resize(&mut self, bytes_max: usize) {
        assert!(bytes_max <= TABLE_BYTES_LIMIT);
        self.bytes_max = bytes_max;
        self.evict_to(bytes_max);
    }

    /// Evicts the oldest entries until at most `bytes` are left.
    fn evict_to(&mut self, bytes: usize) {
        while self.bytes > bytes {
            let oldest = self.entries.pop_front();
            let oldest = oldest.expect("a size above zero has entries");
            self.bytes -= usize::from(oldest.size);
        }
    }

    /// Closes the gap at the front when `len` bytes more would not fit and it pays: fewer than four
    /// bytes are moved for each one that was evicted.
    fn make_room(&mut self, len: usize) {
        let gap = match self.entries.front() {
            Some(oldest) => oldest.at.wrapping_sub(self.text_starts) as usize,
            None => self.text.len(),
        };
        if self.text.len() + len > self.text.capacity() && gap * 4 >= self.text.len() {
            self.text.drain(..gap);
            self.text_starts = self.text_starts.wrapping_add(gap as u32);
        }
    }
}

#[cfg(test)]
impl DynamicTable {
    /// Size as RFC 7541 §4.1 counts it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Memory that it holds, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let octets = self
            .entries
            .iter()
            .filter_map(|entry| entry.octets.as_ref());
        self.text.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + octets.map(|octets| octets.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(name_and_value: &str, name_len: usize) -> Carried<'_> {
        Carried {
            name_index: 0,
            name_len,
            size: 32 + name_and_value.len(),
            fault: None,
            text: Text::Utf8(name_and_value),
        }
    }

    fn texts(table: &DynamicTable) -> Vec<String> {
        let entries = (0..).map_while(|position| table.get(position));
        entries
            .map(|entry| String::from_utf8_lossy(entry.text.as_bytes()).into_owned())
            .collect()
    }

    /// RFC 7541 §4.1, §4.4
    #[test]
    fn the_oldest_entries_make_room() {
        let mut table = DynamicTable::new(34 * 3 - 1);
        assert_eq!(table.memory_bytes(), 0);
        for text in ["aA", "bB", "cC"] {
            table.insert(&carried(text, 1));
        }
        assert_eq!(
            (texts(&table), table.bytes()),
            (vec!["cC".into(), "bB".into()], 68)
        );
        table.resize(67);
        assert_eq!(texts(&table), ["cC"]);
        table.resize(34);
        table.insert(&carried("dD", 1));
        assert_eq!(texts(&table), ["dD"]);
        table.insert(&carried("too large", 3));
        assert_eq!((table.len(), table.bytes()), (0, 0));
        table.insert(&carried("eE", 1));
        assert_eq!(texts(&table), ["eE"]);
        table.resize(0);
        table.insert(&carried("", 0));
        assert_eq!((table.len(), table.bytes()), (0, 0));
    }

    #[test]
    fn positions_survive_their_wrap() {
        let mut table = DynamicTable::new(200);
        table.text_starts = u32::MAX - 1000;
        for round in 0..1000 {
            let text = format!("{round}{}", "x".repeat(round % 60));
            table.insert(&carried(&text, 1));
            assert_eq!(
                table.get(0).map(|entry| entry.text.as_bytes()),
                Some(text.as_bytes())
            );
            assert!(table.bytes() <= 200);
        }
        assert!(table.text_starts < u32::MAX / 2, "it wrapped");
        assert!(
            table.text.capacity() <= 3 * 200,
            "{}",
            table.text.capacity()
        );
    }

    #[test]
    fn octets_and_text_live_side_by_side() {
        let mut table = DynamicTable::new(34 * 2);
        for round in 0..100 {
            let octets = [b'n', 0x80 + round];
            let field = Carried {
                text: Text::Octets(&octets),
                ..carried("nv", 1)
            };
            table.insert(&field);
            table.insert(&carried("aA", 1));
            assert_eq!(table.len(), 2);
            assert!(matches!(table.get(1), Some(entry) if entry.text.as_bytes() == octets));
            assert!(matches!(table.get(0), Some(entry) if entry.text.as_bytes() == b"aA"));
            assert!(table.get(2).is_none());
        }
    }

    /// An entry costs no allocation once the table has been full.
    #[test]
    fn a_full_table_stops_growing() {
        let mut table = DynamicTable::new(4096);
        let mut memory = 0;
        for round in 0..20_000 {
            let text = format!("x-name-{}{}", round % 1000, "v".repeat(round * 7 % 120));
            table.insert(&carried(&text, 7));
            if round == 2000 {
                memory = table.memory_bytes();
            }
        }
        assert_eq!(table.memory_bytes(), memory);
        assert!(memory <= 3 * 4096 + 128 * size_of::<Entry>(), "{memory}");
        assert_eq!(size_of::<Entry>(), 32);
    }
}
