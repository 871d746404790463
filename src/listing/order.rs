//! In which order entries are shown: directories first, whatever else is asked for.

use super::entries::{Entries, Entry};

/// What entries are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OrderBy {
    /// Their names, as `natural.rs` compares them.
    #[default]
    Name,
    /// The bytes of files; directories, which have none, stay in the order of their names.
    Size,
    /// When they were last changed.
    Modified,
}

/// The order of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Order {
    /// What counts.
    pub by: OrderBy,
    /// The largest, latest or last first.
    pub descending: bool,
}

/// Positions in [`Entries`] in the order in which they are shown.
#[derive(Clone, Debug)]
pub struct Sequence {
    way: Way,
    directories: usize,
    len: usize,
}

#[derive(Clone, Debug)]
enum Way {
    /// As they stand.
    Forward,
    /// Directories from the last to the first, then files so.
    Backward,
    /// As listed.
    Listed(Box<[u32]>),
}

impl Order {
    /// The sequence of `entries` in this order. Ties stand by name, ascending. Takes memory (four
    /// bytes an entry) only for the orders that are rarely asked for.
    pub fn sequence(self, entries: &Entries) -> Sequence {
        let way = match (self.by, self.descending) {
            (OrderBy::Name, false) => Way::Forward,
            (OrderBy::Name, true) => Way::Backward,
            (OrderBy::Size, _) => Way::Listed(self.listed(entries, |entry| entry.len)),
            (OrderBy::Modified, _) => {
                Way::Listed(self.listed(entries, |entry| (entry.modified_unix, entry.modified_ns)))
            }
        };
        Sequence {
            way,
            directories: entries.directories(),
            len: entries.len(),
        }
    }

    /// Sorts both groups by a key. The sort is stable, so that ties stay in the order of names.
    fn listed<K: Ord>(self, entries: &Entries, key: impl Fn(Entry<'_>) -> K) -> Box<[u32]> {
        let count = u32::try_from(entries.len()).expect("a listing is bounded far below");
        let mut positions: Vec<u32> = (0..count).collect();
        let (directories, files) = positions.split_at_mut(entries.directories());
        for group in [directories, files] {
            group.sort_by(|a, b| {
                let key_at = |position: &u32| key(entries.get(*position as usize));
                let ascending = key_at(a).cmp(&key_at(b));
                match self.descending {
                    true => ascending.reverse(),
                    false => ascending,
                }
            });
        }
        positions.into_boxed_slice()
    }
}

impl Sequence {
    /// Number of positions.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The position that is shown at `rank`, which lies below [`Sequence::len`].
    pub fn position(&self, rank: usize) -> usize {
        assert!(rank < self.len, "a rank of this listing");
        match &self.way {
            Way::Forward => rank,
            Way::Backward if rank < self.directories => self.directories - 1 - rank,
            Way::Backward => self.len - 1 - (rank - self.directories),
            Way::Listed(positions) => positions[rank] as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entries::{EntriesBuilder, EntryKind};
    use super::*;

    fn sample() -> Entries {
        use EntryKind::{Directory, File};
        let mut builder = EntriesBuilder::new();
        for (name, kind, len, modified_unix, modified_ns) in [
            ("a", File, 5, 30, 0),
            ("b", File, 1, 10, 7),
            ("c", File, 5, 10, 9),
            ("d", File, u64::MAX, -5, 0),
            ("x", Directory, 0, 2, 0),
            ("y", Directory, 0, 1, 0),
        ] {
            builder.push(Entry {
                name: name.as_bytes(),
                kind,
                len,
                modified_unix,
                modified_ns,
            });
        }
        builder.finish()
    }

    #[test]
    fn every_order_keeps_directories_first_and_ties_by_name() {
        let entries = sample();
        let rows = [
            (OrderBy::Name, false, "xyabcd"),
            (OrderBy::Name, true, "yxdcba"),
            (OrderBy::Size, false, "xybacd"),
            (OrderBy::Size, true, "xydacb"),
            (OrderBy::Modified, false, "yxdbca"),
            (OrderBy::Modified, true, "xyacbd"),
        ];
        for (by, descending, expected) in rows {
            let sequence = Order { by, descending }.sequence(&entries);
            let names: String = (0..sequence.len())
                .map(|rank| char::from(entries.get(sequence.position(rank)).name[0]))
                .collect();
            assert_eq!(names, expected, "{by:?} {descending}");
        }
    }

    #[test]
    fn nothing_has_every_order() {
        for by in [OrderBy::Name, OrderBy::Size, OrderBy::Modified] {
            let sequence = Order {
                by,
                descending: true,
            }
            .sequence(&Entries::default());
            assert!(sequence.is_empty());
        }
    }
}
