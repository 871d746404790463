//! A ring of receive buffers that the kernel fills as bytes arrive.
//!
//! ```text
//!   entries (shared with the kernel)         data (one allocation)
//!   +------+------+------+- - -+             +--------+--------+- - -+
//!   | 0    | 1    | 2    |     |   buffer n  | 0      | 1      |     |
//!   +------+------+------+- - -+   ------->  +--------+--------+- - -+
//!      ^ the tail overlays the reserved field of entry 0
//! ```
//!
//! We write entries and then the tail; the kernel reads the tail and takes entries. A buffer
//! belongs to the kernel from the moment the tail passes its entry until a completion names it, and
//! to us from then until [`BufferRing::recycle`].
#![allow(unsafe_code)] // Memory shared with the kernel.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// The only group of buffers.
pub(super) const GROUP: u16 = 0;
const PAGE: usize = 4096;

/// The ring and its buffers.
pub(super) struct BufferRing {
    entries: NonNull<BufRingEntry>,
    layout: Layout,
    count: u16,
    tail: u16,
    data: Box<[u8]>,
    buffer_bytes: usize,
    /// Buffers that the kernel may fill now; tells when a starved receive is worth arming again.
    free: u16,
}

impl BufferRing {
    /// Registers `count` (a power of two) buffers of `buffer_bytes` each.
    pub(super) fn register(
        submitter: &Submitter<'_>,
        count: u16,
        buffer_bytes: u32,
    ) -> io::Result<BufferRing> {
        if !count.is_power_of_two() || buffer_bytes == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let bytes = usize::from(count) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(bytes, PAGE)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: the layout is not empty, since `count` is at least one.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(entries) = NonNull::new(memory.cast::<BufRingEntry>()) else {
            handle_alloc_error(layout)
        };
        let data = vec![0; usize::from(count) * buffer_bytes as usize].into_boxed_slice();
        let buffer_bytes = buffer_bytes as usize;
        let mut ring = BufferRing {
            entries,
            layout,
            count,
            tail: 0,
            data,
            buffer_bytes,
            free: count,
        };
        let address = entries.as_ptr() as u64;
        // SAFETY: the entries are page-aligned, zeroed, hold `count` of them, and live until
        // `drop`, before which `UringEngine` has ended every receive and unregistered the ring.
        unsafe { submitter.register_buf_ring_with_flags(address, count, GROUP, 0)? };
        for buffer in 0..count {
            ring.write_entry(buffer);
        }
        ring.publish();
        Ok(ring)
    }

    /// Bytes of each buffer.
    pub(super) fn buffer_bytes(&self) -> u32 {
        self.buffer_bytes as u32
    }

    /// The first `len` bytes of a buffer that a completion named.
    #[inline]
    pub(super) fn bytes(&mut self, buffer: u16, len: u32) -> &mut [u8] {
        let start = usize::from(buffer) * self.buffer_bytes;
        &mut self.data[start..start + len as usize]
    }

    /// Counts a buffer that a completion named as ours.
    #[inline]
    pub(super) fn on_taken(&mut self) {
        self.free -= 1;
    }

    /// Gives a buffer back to the kernel.
    #[inline]
    pub(super) fn recycle(&mut self, buffer: u16) {
        assert!(
            self.free < self.count && buffer < self.count,
            "a buffer is given back once"
        );
        self.free += 1;
        self.write_entry(buffer);
        self.publish();
    }

    fn write_entry(&mut self, buffer: u16) {
        let start = usize::from(buffer) * self.buffer_bytes;
        let address = self.data[start..].as_mut_ptr() as u64;
        let position = usize::from(self.tail & (self.count - 1));
        // SAFETY: `position` is below `count`, so the entry lies in our allocation; the kernel does
        // not read it before `publish` moves the tail over it, because at most `count` buffers are
        // out at once (asserted in `recycle`).
        let entry = unsafe { &mut *self.entries.as_ptr().add(position) };
        entry.set_addr(address);
        entry.set_len(self.buffer_bytes as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    #[inline]
    fn publish(&mut self) {
        // SAFETY: entry 0 exists, and the tail lies in its reserved field (the crate's `tail`). The
        // kernel reads it with acquire; no one else writes it.
        let tail =
            unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: allocated in `register` with this layout; unregistered by `UringEngine::drop`.
        unsafe { dealloc(self.entries.as_ptr().cast(), self.layout) };
    }
}
