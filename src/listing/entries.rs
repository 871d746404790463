//! What a directory holds, packed: one store of name bytes and 32 bytes for each entry.
//!
//! Entries stand in the order that nearly everybody asks for: directories first, then by name. Any
//! other order is a way of walking over them (`order.rs`), so that one reading serves all of them.

use std::cmp::Ordering;

use super::natural;

/// What an entry is. Nothing else is ever shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
}

/// One entry as its readers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The bytes of its name: never empty, no slash and no NUL, but not always UTF-8.
    pub name: &'a [u8],
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file; 0 for a directory.
    pub len: u64,
    /// When its content changed: seconds since 1970-01-01 UTC.
    pub modified_unix: i64,
    /// Nanoseconds of that second.
    pub modified_ns: u32,
}

/// An entry as it is stored.
#[derive(Clone, Copy, Debug)]
struct Packed {
    len: u64,
    modified_unix: i64,
    modified_ns: u32,
    name_start: u32,
    name_bytes: u16,
    kind: EntryKind,
}

const _: () = assert!(size_of::<Packed>() <= 32);

/// What a directory holds, directories first and by name.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    names: Vec<u8>,
    packed: Vec<Packed>,
    directories: usize,
    files_bytes: u64,
    is_cut: bool,
}

impl Entries {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    /// True when nothing is shown.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Number of directories; they are the first entries.
    pub fn directories(&self) -> usize {
        self.directories
    }

    /// Bytes of all files together.
    pub fn files_bytes(&self) -> u64 {
        self.files_bytes
    }

    /// True when there was more than [`LISTING_ENTRIES_MAX`](crate::base::limits) allows.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Bytes of memory, for a cache that counts.
    pub fn memory_bytes(&self) -> usize {
        self.names.capacity() + self.packed.capacity() * size_of::<Packed>()
    }

    /// The entry at a position below [`Entries::len`].
    pub fn get(&self, position: usize) -> Entry<'_> {
        entry_of(&self.names, &self.packed[position])
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).map(|position| self.get(position))
    }
}

fn entry_of<'a>(names: &'a [u8], packed: &Packed) -> Entry<'a> {
    Entry {
        name: name_of(names, packed),
        kind: packed.kind,
        len: packed.len,
        modified_unix: packed.modified_unix,
        modified_ns: packed.modified_ns,
    }
}

fn name_of<'a>(names: &'a [u8], packed: &Packed) -> &'a [u8] {
    let start = packed.name_start as usize;
    &names[start..start + usize::from(packed.name_bytes)]
}

/// Gathers entries in any order.
#[derive(Debug, Default)]
pub struct EntriesBuilder {
    gathered: Entries,
}

impl EntriesBuilder {
    /// Nothing yet.
    pub fn new() -> EntriesBuilder {
        EntriesBuilder::default()
    }

    /// Number of entries so far.
    pub fn len(&self) -> usize {
        self.gathered.len()
    }

    /// True when there is none yet.
    pub fn is_empty(&self) -> bool {
        self.gathered.is_empty()
    }

    /// Adds an entry. One whose name is too long for the store, which Linux never gives, is left
    /// out, and the listing says that it is not complete.
    pub fn push(&mut self, entry: Entry<'_>) {
        let start = u32::try_from(self.gathered.names.len());
        let bytes = u16::try_from(entry.name.len());
        let (Ok(name_start), Ok(name_bytes)) = (start, bytes) else {
            return self.cut();
        };
        self.gathered.names.extend_from_slice(entry.name);
        self.gathered.packed.push(Packed {
            len: match entry.kind {
                EntryKind::Directory => 0,
                EntryKind::File => entry.len,
            },
            modified_unix: entry.modified_unix,
            modified_ns: entry.modified_ns,
            name_start,
            name_bytes,
            kind: entry.kind,
        });
    }

    /// Says that there was more.
    pub fn cut(&mut self) {
        self.gathered.is_cut = true;
    }

    /// Leaves out the entries that `keeps` refuses.
    pub fn retain(&mut self, keeps: impl Fn(Entry<'_>) -> bool) {
        let Entries { names, packed, .. } = &mut self.gathered;
        packed.retain(|packed| keeps(entry_of(names, packed)));
    }

    /// All entries so far.
    pub fn entries(&self) -> &Entries {
        &self.gathered
    }

    /// The entries in their order. Names that differ in nothing but case or zeros in front stand
    /// by their bytes, so that a directory has one order.
    pub fn finish(self) -> Entries {
        let mut entries = self.gathered;
        let Entries { names, packed, .. } = &mut entries;
        packed.sort_unstable_by(|a, b| {
            let kinds = a.kind.cmp(&b.kind);
            kinds.then_with(|| by_name(name_of(names, a), name_of(names, b)))
        });
        entries.names.shrink_to_fit();
        entries.packed.shrink_to_fit();
        entries.directories = entries
            .packed
            .partition_point(|packed| packed.kind == EntryKind::Directory);
        entries.files_bytes = entries
            .packed
            .iter()
            .fold(0, |sum: u64, packed| sum.saturating_add(packed.len));
        entries
    }
}

fn by_name(a: &[u8], b: &[u8]) -> Ordering {
    natural::compare(a, b).then_with(|| a.cmp(b))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Entries made of names; one that ends in a slash is a directory.
    pub(in crate::listing) fn named(names: &[&[u8]]) -> Entries {
        let mut builder = EntriesBuilder::new();
        for (position, name) in names.iter().enumerate() {
            let (name, kind) = match name.strip_suffix(b"/") {
                Some(name) => (name, EntryKind::Directory),
                None => (*name, EntryKind::File),
            };
            builder.push(Entry {
                name,
                kind,
                len: 1000 * position as u64,
                modified_unix: 1_764_044_609 + position as i64,
                modified_ns: 0,
            });
        }
        builder.finish()
    }

    fn names(entries: &Entries) -> Vec<String> {
        let text = |entry: Entry<'_>| String::from_utf8_lossy(entry.name).into_owned();
        entries.iter().map(text).collect()
    }

    #[test]
    fn directories_stand_first_and_names_in_natural_order() {
        let entries = named(&[
            b"file10", b"b/", b"File2", b"a.txt", b"file2", b"A/", b"file1", b"c10/", b"c9/",
        ]);
        let expected = [
            "A", "b", "c9", "c10", "a.txt", "file1", "File2", "file2", "file10",
        ];
        assert_eq!(names(&entries), expected);
        assert_eq!((entries.len(), entries.directories()), (9, 4));
        assert_eq!(entries.files_bytes(), 1000 * (2 + 3 + 4 + 6));
        assert_eq!(entries.get(0).len, 0, "a directory has no length to show");
        assert!(!entries.is_cut());
    }

    #[test]
    fn a_hundred_thousand_entries_are_small() {
        let mut builder = EntriesBuilder::new();
        for number in 0..100_000_u32 {
            let name = format!("a-file-with-a-usual-name-{number}.jpeg");
            builder.push(Entry {
                name: name.as_bytes(),
                kind: EntryKind::File,
                len: 1,
                modified_unix: 0,
                modified_ns: 0,
            });
        }
        let entries = builder.finish();
        assert_eq!(
            entries.get(99_999).name,
            b"a-file-with-a-usual-name-99999.jpeg"
        );
        assert!(
            entries.memory_bytes() < 8_000_000,
            "{}",
            entries.memory_bytes()
        );
    }

    #[test]
    fn a_name_that_is_too_long_is_left_out_and_told() {
        let mut builder = EntriesBuilder::new();
        builder.push(Entry {
            name: &[b'a'; 0x1_0000],
            kind: EntryKind::File,
            len: 1,
            modified_unix: 0,
            modified_ns: 0,
        });
        let entries = builder.finish();
        assert!(entries.is_empty() && entries.is_cut());
    }
}
