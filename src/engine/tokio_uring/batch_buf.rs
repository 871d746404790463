//! How a [`SendBatch`] becomes buffers of the crate `tokio-uring`.
//!
//! Its buffers are owned by the operation and promise an address that does not move: an unsafe
//! trait, which is why unsafe code is allowed here.
#![allow(unsafe_code)]

use std::rc::Rc;

use ::tokio_uring::buf::IoBuf;

use crate::engine::SendBatch;

/// Pieces of one `writev`.
const PIECES_MAX: usize = 64;

/// The rest of a contiguous batch from `done` on.
pub(super) struct Rest {
    pub(super) batch: Box<SendBatch>,
    pub(super) done: usize,
}

impl Rest {
    fn bytes(&self) -> &[u8] {
        let whole = self.batch.contiguous().unwrap_or_default();
        whole.get(self.done..).unwrap_or_default()
    }
}

// SAFETY: the bytes lie on the heap, in the batch's own vector or in a shared piece. The operation
// owns the batch while it runs and nothing changes it meanwhile, so they neither move nor shrink
// when the `Rest` itself is moved. All of them are initialised.
unsafe impl IoBuf for Rest {
    fn stable_ptr(&self) -> *const u8 {
        self.bytes().as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.bytes().len()
    }

    fn bytes_total(&self) -> usize {
        self.bytes().len()
    }
}

/// One slice of a batch that other pieces share.
pub(super) struct Piece {
    start: *const u8,
    len: usize,
    /// Keeps the bytes alive and, being shared, unchanged.
    _batch: Rc<SendBatch>,
}

/// The slices of a batch from `done` on, as many as one call takes.
pub(super) fn pieces(batch: &Rc<SendBatch>, done: usize) -> Vec<Piece> {
    let slices = batch.slices(done).take(PIECES_MAX);
    slices
        .map(|slice| Piece {
            start: slice.as_ptr(),
            len: slice.len(),
            _batch: Rc::clone(batch),
        })
        .collect()
}

// SAFETY: `start` and `len` come from a slice of the batch that the `Rc` keeps alive. As long as
// any piece lives the batch has more than one owner, so that nobody can change it; its bytes lie
// on the heap and do not move with it.
unsafe impl IoBuf for Piece {
    fn stable_ptr(&self) -> *const u8 {
        self.start
    }

    fn bytes_init(&self) -> usize {
        self.len
    }

    fn bytes_total(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn pieces_and_rest_are_the_bytes_of_the_batch() {
        let mut batch = SendBatch::default();
        batch.push(b"head");
        batch.push_shared(Bytes::from_static(b"body"));
        batch.push(b"tail");
        let batch = Rc::new(batch);
        let lens: Vec<_> = pieces(&batch, 2).iter().map(IoBuf::bytes_init).collect();
        assert_eq!(lens, [2, 4, 4]);
        assert!(pieces(&batch, 12).is_empty());
        let mut batch = Box::<SendBatch>::default();
        batch.push(b"0123");
        let rest = Rest { batch, done: 3 };
        assert_eq!(rest.bytes(), b"3");
        assert_eq!(rest.bytes_init(), 1);
    }
}
