//! The bytes of one send: what a connection wrote itself, with shared pieces in between.

use bytes::Bytes;

/// Bytes on their way to the kernel, owned by the send operation until it completes.
///
/// Own bytes (heads, small bodies) lie in one buffer; shared pieces (cached bodies) are inserted
/// between them by reference. A batch without shared pieces is one contiguous send.
#[derive(Debug, Default)]
pub struct SendBatch {
    own: Vec<u8>,
    /// Each piece goes out before the own byte at its offset; offsets never decrease.
    shared: Vec<(usize, Bytes)>,
    shared_bytes: usize,
}

/// A batch that grew beyond this gives its memory back when it is cleared.
const KEEP_BYTES_MAX: usize = 80 * 1024;

impl SendBatch {
    /// Bytes in all.
    #[inline]
    pub fn len(&self) -> usize {
        self.own.len() + self.shared_bytes
    }

    /// True when there is nothing to send.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends by copying.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.own.extend_from_slice(bytes);
    }

    /// The buffer of own bytes, to append to (never to shorten).
    #[inline]
    pub fn own_mut(&mut self) -> &mut Vec<u8> {
        &mut self.own
    }

    /// Appends by reference.
    pub fn push_shared(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.shared_bytes += bytes.len();
            self.shared.push((self.own.len(), bytes));
        }
    }

    /// The whole batch when it is one contiguous piece.
    pub fn contiguous(&self) -> Option<&[u8]> {
        match self.shared.as_slice() {
            [] => Some(&self.own),
            [(_, only)] if self.own.is_empty() => Some(only),
            _ => None,
        }
    }

    /// The pieces in order, without their first `skip` bytes; none of them is empty.
    pub fn slices(&self, skip: usize) -> impl Iterator<Item = &[u8]> {
        let mut own_from = 0;
        let between = self.shared.iter().flat_map(move |(at, piece)| {
            let own = &self.own[own_from..*at];
            own_from = *at;
            [own, &piece[..]]
        });
        let tail = &self.own[self.shared.last().map_or(0, |(at, _)| *at)..];
        let mut skip = skip;
        between.chain([tail]).filter_map(move |slice| {
            let skipped = skip.min(slice.len());
            skip -= skipped;
            (skipped < slice.len()).then(|| &slice[skipped..])
        })
    }

    /// Drops the first `len` bytes, which were sent, of a batch without shared pieces.
    pub fn drop_front(&mut self, len: usize) {
        assert!(self.shared.is_empty(), "own bytes are dropped");
        self.own.drain(..len);
    }

    /// Empties the batch and keeps its buffer, unless that grew large.
    pub fn clear(&mut self) {
        self.shared.clear();
        self.shared_bytes = 0;
        self.own.clear();
        if self.own.capacity() > KEEP_BYTES_MAX {
            self.own = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SendBatch {
        let mut batch = SendBatch::default();
        batch.push_shared(Bytes::from_static(b"0"));
        batch.push(b"ab");
        batch.push_shared(Bytes::from_static(b"123"));
        batch.push_shared(Bytes::from_static(b"4"));
        batch.push(b"cd");
        batch
    }

    #[test]
    fn slices_keep_the_order_and_skip_any_number_of_bytes() {
        let batch = sample();
        let whole = b"0ab1234cd";
        assert_eq!(batch.len(), whole.len());
        for skip in 0..=whole.len() {
            let joined: Vec<u8> = batch.slices(skip).flatten().copied().collect();
            assert_eq!(joined, &whole[skip..]);
            assert!(batch.slices(skip).all(|slice| !slice.is_empty()));
        }
    }

    #[test]
    fn contiguous_only_when_one_piece() {
        let mut batch = SendBatch::default();
        assert_eq!(batch.contiguous(), Some(&b""[..]));
        batch.push_shared(Bytes::from_static(b"x"));
        assert_eq!(batch.contiguous(), Some(&b"x"[..]));
        batch.push(b"y");
        assert_eq!(batch.contiguous(), None);
        batch.clear();
        batch.push(b"y");
        assert_eq!(batch.contiguous(), Some(&b"y"[..]));
    }
}
