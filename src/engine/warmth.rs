//! Which slices of which files were seen in memory lately.
//!
//! Asking the kernel whether a slice is cached costs a tenth of sending it. A slice that was seen
//! in memory a moment ago, because it was asked for or because it was just read, is not asked about
//! again: a page that is in use is the last that the kernel evicts. It also helps where the kernel
//! does not tell (overlayfs, files of other users): what was read through the ring once is sent
//! from the page cache for the next moments.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use super::operation::{FileRange, SharedFile};
use crate::base::Millis;
use crate::base::limits::{FILE_SLICE_BYTES, WARM_FOR};

/// Slices that are remembered: 256 MiB of files in use at one time.
const SLOTS: usize = 1024;

/// A small table without chains: a newer slice pushes an older one out.
#[derive(Debug, Default)]
pub struct Warmth {
    /// Empty until the first slice is sent.
    slots: Box<[Option<Slot>]>,
}

#[derive(Clone, Debug)]
struct Slot {
    /// Keeps the address from being used again, but not the file open.
    file: Weak<OwnedFd>,
    slice: u64,
    until: Millis,
}

impl Warmth {
    /// True when the slice with this number was in memory a moment ago.
    pub fn is_warm(&self, file: &SharedFile, slice: u64, now: Millis) -> bool {
        let slot = self
            .slots
            .get(index_of(file, slice))
            .and_then(Option::as_ref);
        slot.is_some_and(|slot| {
            let is_same = slot.file.as_ptr() == Arc::as_ptr(file) && slot.slice == slice;
            is_same && now < slot.until
        })
    }

    /// The slice was in memory just now.
    pub fn mark(&mut self, file: &SharedFile, slice: u64, now: Millis) {
        if self.slots.is_empty() {
            self.slots = vec![None; SLOTS].into();
        }
        let until = now + WARM_FOR;
        let file_only = Arc::downgrade(file);
        self.slots[index_of(file, slice)] = Some(Slot {
            file: file_only,
            slice,
            until,
        });
    }

    /// The bytes of `range` were just read: the slices that they fill are in memory.
    pub fn mark_read(&mut self, range: &FileRange, now: Millis) {
        const SLICE: u64 = FILE_SLICE_BYTES as u64;
        let end = range.offset.saturating_add(range.len);
        for slice in range.offset.div_ceil(SLICE)..end / SLICE {
            self.mark(&range.file, slice, now);
        }
    }
}

fn index_of(file: &SharedFile, slice: u64) -> usize {
    // The low bits of an address are its alignment; neighbours in a file get neighbouring slots.
    let address = Arc::as_ptr(file) as usize >> 5;
    address.wrapping_mul(31).wrapping_add(slice as usize) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> SharedFile {
        Arc::new(tempfile::tempfile().unwrap().into())
    }

    #[test]
    fn a_slice_is_warm_for_a_moment_and_for_its_file_only() {
        let (one, other) = (file(), file());
        let mut warmth = Warmth::default();
        let now = Millis(1_000);
        assert!(!warmth.is_warm(&one, 3, now));
        warmth.mark(&one, 3, now);
        assert!(warmth.is_warm(&one, 3, now));
        assert!(!warmth.is_warm(&one, 4, now));
        assert!(!warmth.is_warm(&other, 3, now));
        assert!(!warmth.is_warm(&one, 3, now + WARM_FOR));
    }

    #[test]
    fn a_read_warms_the_slices_that_it_fills() {
        let slice = FILE_SLICE_BYTES as u64;
        let file = file();
        let mut warmth = Warmth::default();
        let range = FileRange {
            file: Arc::clone(&file),
            offset: 10,
            len: 3 * slice,
        };
        warmth.mark_read(&range, Millis(0));
        let warm = |number| warmth.is_warm(&file, number, Millis(1));
        assert_eq!(
            [warm(0), warm(1), warm(2), warm(3)],
            [false, true, true, false]
        );
    }

    #[test]
    fn a_closed_file_is_not_held_open() {
        let file = file();
        let mut warmth = Warmth::default();
        warmth.mark(&file, 0, Millis(0));
        assert_eq!(Arc::strong_count(&file), 1);
    }
}
