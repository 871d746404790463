//! A ring of provided receive buffers: the kernel takes from its head, we add at its tail.
//!
//! ```text
//!   entry 0 … 127 (16 bytes each; the tail lies in the unused last two bytes of entry 0)
//!   buffer 0 … 127 (4 KiB each, small enough together to stay in the second-level cache)
//! ```

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

const COUNT: u16 = 128;
const BUFFER_BYTES: usize = 4096;
const PAGE_BYTES: usize = 4096;

/// The only buffer group.
pub const GROUP: u16 = 0;

/// Lives until the process ends, as does the ring that it is registered with.
pub struct Buffers {
    entries: *mut BufRingEntry,
    memory: *mut u8,
    tail: u16,
}

impl Buffers {
    /// Allocates the ring with all its buffers and registers it.
    pub fn register(submitter: &Submitter<'_>) -> io::Result<Buffers> {
        let mut buffers = Buffers {
            entries: allocate(usize::from(COUNT) * size_of::<BufRingEntry>()).cast(),
            memory: allocate(usize::from(COUNT) * BUFFER_BYTES),
            tail: 0,
        };
        // SAFETY: the entries are page-aligned, `COUNT` long, and never freed.
        unsafe {
            submitter.register_buf_ring_with_flags(buffers.entries as u64, COUNT, GROUP, 0)?;
        }
        for id in 0..COUNT {
            buffers.push(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// The first `len` bytes of buffer `id`, which the kernel has filled and not yet got back.
    pub fn bytes(&self, id: u16, len: usize) -> &[u8] {
        assert!(id < COUNT && len <= BUFFER_BYTES);
        // SAFETY: within the allocation by the assertion; the kernel does not write to a buffer
        // between its completion and `push`, and `push` takes `&mut self`.
        unsafe { std::slice::from_raw_parts(self.memory.add(usize::from(id) * BUFFER_BYTES), len) }
    }

    /// Gives buffer `id` back; the kernel sees it after [`Buffers::publish`].
    pub fn push(&mut self, id: u16) {
        let slot = usize::from(self.tail & (COUNT - 1));
        // SAFETY: `slot < COUNT`. The kernel reads entries below the published tail only, and this
        // one is not; the setters leave the last two bytes alone, where entry 0 holds the tail.
        unsafe {
            let entry = &mut *self.entries.add(slot);
            entry.set_addr(self.memory.add(usize::from(id) * BUFFER_BYTES) as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel everything that was pushed.
    pub fn publish(&self) {
        // SAFETY: `entries` is the ring's base, and the tail is a valid, aligned `u16` in it, which
        // the kernel only reads. Release pairs with the kernel's acquire.
        unsafe {
            let tail = BufRingEntry::tail(self.entries).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

fn allocate(bytes: usize) -> *mut u8 {
    let layout = Layout::from_size_align(bytes, PAGE_BYTES).expect("a page is a power of two");
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    memory
}
