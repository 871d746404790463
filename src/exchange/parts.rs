//! A body of several pieces, some in memory and some in files, whose length is known.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::engine::FileRange;

/// One piece of a body, never empty.
#[derive(Clone, Debug)]
pub enum Part {
    /// In memory.
    Bytes(Bytes),
    /// In a file.
    File(FileRange),
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File(range) => range.len,
        }
    }
}

/// The pieces in the order in which they go out. Whoever makes them bounds their number.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    pieces: VecDeque<Part>,
    len: u64,
}

impl Parts {
    /// Appends a piece, unless there is nothing in it.
    pub fn push(&mut self, part: Part) {
        let len = part.len();
        if len > 0 {
            self.len += len;
            self.pieces.push_back(part);
        }
    }

    /// Bytes in all: what `Content-Length` says.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when there is no content.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, for whoever sends them.
    pub fn into_pieces(self) -> VecDeque<Part> {
        self.pieces
    }
}

impl FromIterator<Part> for Parts {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Parts {
        let mut all = Parts::default();
        parts.into_iter().for_each(|part| all.push(part));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_length_is_that_of_all_pieces_and_empty_ones_are_left_out() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let range = |len| FileRange {
            file: Arc::new(file.try_clone().unwrap().into()),
            offset: 7,
            len,
        };
        let parts: Parts = [
            Part::Bytes(Bytes::new()),
            Part::Bytes(Bytes::from_static(b"--x\r\n")),
            Part::File(range(0)),
            Part::File(range(1 << 40)),
            Part::Bytes(Bytes::from_static(b"--x--")),
        ]
        .into_iter()
        .collect();
        assert_eq!(parts.len(), 10 + (1 << 40));
        assert!(!parts.is_empty() && Parts::default().is_empty());
        assert_eq!(parts.into_pieces().len(), 3);
    }
}
