//! Filled buffers on loan to the caller of the engine.
//!
//! The number on loan is bounded, as it is with the other engines; the number that reads hold is
//! not, because a one-shot read needs its buffer while it waits.

use crate::engine::Received;

/// Buffers kept for the next reads; beyond that their memory is given back.
const SPARE_MAX: usize = 256;

pub(super) struct Lent {
    slots: Vec<Vec<u8>>,
    free: Vec<u16>,
    spare: Vec<Vec<u8>>,
    buffer_bytes: usize,
}

impl Lent {
    pub(super) fn new(count: u16, buffer_bytes: u32) -> Lent {
        Lent {
            slots: vec![Vec::new(); usize::from(count)],
            free: (0..count).rev().collect(),
            spare: Vec::new(),
            buffer_bytes: buffer_bytes.max(1) as usize,
        }
    }

    /// An empty buffer for a read.
    pub(super) fn take_spare(&mut self) -> Vec<u8> {
        let spare = self.spare.pop();
        spare.unwrap_or_else(|| Vec::with_capacity(self.buffer_bytes))
    }

    pub(super) fn put_spare(&mut self, mut buf: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            buf.clear();
            self.spare.push(buf);
        }
    }

    /// Lends a filled buffer, or gives it back when too many are on loan.
    pub(super) fn lend(&mut self, filled: Vec<u8>) -> Result<Received, Vec<u8>> {
        let Some(buffer) = self.free.pop() else {
            return Err(filled);
        };
        let len = filled.len() as u32;
        self.slots[usize::from(buffer)] = filled;
        Ok(Received { buffer, len })
    }

    pub(super) fn bytes(&mut self, received: &Received) -> &mut [u8] {
        &mut self.slots[usize::from(received.buffer)][..received.len as usize]
    }

    pub(super) fn recycle(&mut self, received: Received) {
        let buf = std::mem::take(&mut self.slots[usize::from(received.buffer)]);
        self.free.push(received.buffer);
        self.put_spare(buf);
    }
}
