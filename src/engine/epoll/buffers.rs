//! The receive buffers of one epoll engine: a few, reused while they are in the processor's cache.

use crate::engine::Received;

/// A fixed number of buffers of one size, and which of them are free.
pub(super) struct Buffers {
    memory: Box<[u8]>,
    buffer_bytes: usize,
    free: Vec<u16>,
}

impl Buffers {
    pub(super) fn new(count: u16, buffer_bytes: u32) -> Buffers {
        let buffer_bytes = buffer_bytes.max(1) as usize;
        Buffers {
            memory: vec![0; usize::from(count) * buffer_bytes].into(),
            buffer_bytes,
            // The lowest numbers are on top of the stack.
            free: (0..count).rev().collect(),
        }
    }

    /// Takes a free buffer: [`Buffers::put`] or [`Buffers::lend`] follows.
    pub(super) fn take(&mut self) -> Option<u16> {
        self.free.pop()
    }

    /// Gives back what was taken.
    pub(super) fn put(&mut self, buffer: u16) {
        debug_assert!(!self.free.contains(&buffer), "a buffer is given back once");
        self.free.push(buffer);
    }

    /// Hands a taken buffer to the caller of the engine, with its first `len` bytes filled.
    pub(super) fn lend(&self, buffer: u16, len: usize) -> Received {
        debug_assert!(len <= self.buffer_bytes);
        Received {
            buffer,
            len: len as u32,
        }
    }

    /// All bytes of one buffer.
    pub(super) fn whole(&mut self, buffer: u16) -> &mut [u8] {
        let start = usize::from(buffer) * self.buffer_bytes;
        &mut self.memory[start..start + self.buffer_bytes]
    }

    /// The filled bytes of a lent buffer.
    pub(super) fn filled(&mut self, received: &Received) -> &mut [u8] {
        &mut self.whole(received.buffer)[..received.len as usize]
    }
}
