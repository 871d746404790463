//! Parts of files in memory, for answers that cannot go out by `sendfile(2)`: encrypted ones, and
//! those cut into frames.
//!
//! A block that is asked for again is kept for a moment and shared: the next answer sends it
//! without reading it from the page cache once more. What is asked for once (a long download) is
//! not kept. No block lives longer than a cached file may go without being compared with the disk,
//! so that nothing old is served.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::base::Millis;
use crate::base::limits::{FILE_BLOCK_BYTES, FILE_BLOCKS_MAX, FRESH_FOR};
use crate::engine::{Engine, Errno, FileRange, FileRead};

/// The blocks that one worker keeps, and those that were asked for once. Few enough to look through
/// all their keys, which costs nothing beside the bytes; and no address decides what is kept, so
/// that a simulated run can be run again.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// File and block of each slot: what is looked through.
    keys: Vec<(usize, u64)>,
    slots: Vec<Slot>,
    /// Where the next block goes once all slots are taken.
    next: usize,
}

#[derive(Debug)]
struct Slot {
    /// Keeps the address from being used again, but not the file open.
    file: Weak<OwnedFd>,
    until: Millis,
    /// Empty while it was asked for once only.
    bytes: Bytes,
}

/// What a read gives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BlockRead {
    /// The beginning of the range, at least one byte.
    Piece(Bytes),
    /// Not in memory: to be read off the worker.
    Cold,
    /// The file ended before its range did.
    Truncated,
    Failed(Errno),
}

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

impl Blocks {
    /// The beginning of `range`, which holds at least one byte, up to the end of its block.
    pub(super) fn read<E: Engine>(
        &mut self,
        engine: &mut E,
        range: &FileRange,
        now: Millis,
    ) -> BlockRead {
        let key = (Arc::as_ptr(&range.file).addr(), range.offset / BLOCK);
        let found = self.keys.iter().position(|known| *known == key);
        let known = found.filter(|index| now < self.slots[*index].until);
        let Some(index) = known else {
            return match read_piece(engine, range) {
                Ok(bytes) => {
                    self.note(found, key, range, now);
                    BlockRead::Piece(bytes)
                }
                Err(failed) => failed,
            };
        };
        if let Some(piece) = piece_of(&self.slots[index].bytes, range) {
            return BlockRead::Piece(piece);
        }
        match read_block(engine, range) {
            Ok((bytes, is_complete)) => {
                if is_complete {
                    self.slots[index].bytes = bytes.clone();
                    self.slots[index].until = now + FRESH_FOR;
                }
                // One that ends before the range begins was cut short: by the page cache or by the
                // file's end.
                piece_of(&bytes, range).map_or(BlockRead::Cold, BlockRead::Piece)
            }
            Err(failed) => failed,
        }
    }

    /// The block was asked for once.
    fn note(&mut self, found: Option<usize>, key: (usize, u64), range: &FileRange, now: Millis) {
        let slot = Slot {
            file: Arc::downgrade(&range.file),
            until: now + FRESH_FOR,
            bytes: Bytes::new(),
        };
        if found.is_none() && self.slots.len() < FILE_BLOCKS_MAX {
            self.keys.push(key);
            self.slots.push(slot);
            return;
        }
        let index = found.unwrap_or_else(|| self.give_way(now));
        self.keys[index] = key;
        self.slots[index] = slot;
    }

    /// A slot that another block may have: within a few steps one that is of little use, else the
    /// one whose turn it is. So a long download, whose blocks are asked for once, pushes out few
    /// that are kept.
    fn give_way(&mut self, now: Millis) -> usize {
        const STEPS: usize = 16;
        for _ in 0..STEPS {
            let index = self.next;
            self.next = (index + 1) % FILE_BLOCKS_MAX;
            let slot = &self.slots[index];
            if slot.bytes.is_empty() || now >= slot.until {
                return index;
            }
        }
        self.next
    }

    /// Lets go of what is too old, and of closed files.
    pub(super) fn sweep(&mut self, now: Millis) {
        for index in (0..self.slots.len()).rev() {
            let slot = &self.slots[index];
            if now >= slot.until || slot.file.strong_count() == 0 {
                self.keys.swap_remove(index);
                self.slots.swap_remove(index);
            }
        }
        self.next = 0;
    }
}

/// Reads no more than the range asks for.
fn read_piece<E: Engine>(engine: &mut E, range: &FileRange) -> Result<Bytes, BlockRead> {
    let len = range.len.min(BLOCK - range.offset % BLOCK);
    let mut buf = Vec::with_capacity(len as usize);
    let range = FileRange {
        len,
        ..range.clone()
    };
    read_into(engine, &range, &mut buf).map(|()| buf.into())
}

/// Reads the whole block that the range begins in; true when it is complete, as far as the range
/// tells.
fn read_block<E: Engine>(engine: &mut E, range: &FileRange) -> Result<(Bytes, bool), BlockRead> {
    let start = range.offset - range.offset % BLOCK;
    let mut buf = Vec::with_capacity(FILE_BLOCK_BYTES);
    let whole = FileRange {
        offset: start,
        len: BLOCK,
        file: Arc::clone(&range.file),
    };
    read_into(engine, &whole, &mut buf)?;
    let end = start + buf.len() as u64;
    let is_complete = buf.len() == FILE_BLOCK_BYTES || end >= range.offset + range.len;
    Ok((buf.into(), is_complete))
}

fn read_into<E: Engine>(
    engine: &mut E,
    range: &FileRange,
    buf: &mut Vec<u8>,
) -> Result<(), BlockRead> {
    match engine.read_file(range, buf) {
        FileRead::Read(_) => Ok(()),
        FileRead::Cold => Err(BlockRead::Cold),
        FileRead::Truncated => Err(BlockRead::Truncated),
        FileRead::Failed(errno) => Err(BlockRead::Failed(errno)),
    }
}

/// What a block has of the range; `None` when it does not reach there.
fn piece_of(block: &Bytes, range: &FileRange) -> Option<Bytes> {
    let from = (range.offset % BLOCK) as usize;
    if from >= block.len() {
        return None;
    }
    let len = range.len.min((block.len() - from) as u64) as usize;
    Some(block.slice(from..from + len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sim::{SimEngine, SimSettings};
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    const LEN: usize = 2 * FILE_BLOCK_BYTES + 1000;

    fn engine() -> SimEngine {
        SimEngine::new(1, SimSettings::calm()).unwrap()
    }

    fn file() -> (File, FileRange) {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..LEN).map(|position| (position % 251) as u8).collect();
        file.write_all_at(&bytes, 0).unwrap();
        let range = FileRange {
            file: Arc::new(file.try_clone().unwrap().into()),
            offset: 0,
            len: LEN as u64,
        };
        (file, range)
    }

    fn part(range: &FileRange, offset: u64, len: u64) -> FileRange {
        let file = Arc::clone(&range.file);
        FileRange { file, offset, len }
    }

    fn piece(read: BlockRead) -> Bytes {
        match read {
            BlockRead::Piece(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_block_that_is_asked_for_again_is_kept_for_a_moment() {
        let (file, range) = file();
        let (mut blocks, mut engine) = (Blocks::default(), engine());
        let mut read_at = |now| piece(blocks.read(&mut engine, &range, Millis(now)))[0];
        assert_eq!(read_at(0), 0);
        file.write_all_at(b"1", 0).unwrap();
        assert_eq!(read_at(1), b'1', "not kept at first");
        file.write_all_at(b"2", 0).unwrap();
        assert_eq!(read_at(2), b'1', "kept when asked for again");
        let old = 1 + FRESH_FOR.as_millis() as u64;
        assert_eq!(read_at(old), b'2', "never older than a cached file");
    }

    #[test]
    fn every_part_of_a_file_is_right_first_kept_and_again() {
        let (_file, range) = file();
        let (mut blocks, mut engine) = (Blocks::default(), engine());
        for round in 0..3 {
            for offset in [0, 1, 65_535, 65_536, 131_071, 131_072, LEN as u64 - 1] {
                let mut rest = part(&range, offset, LEN as u64 - offset);
                while rest.len > 0 {
                    let bytes = piece(blocks.read(&mut engine, &rest, Millis(round)));
                    for (step, byte) in bytes.iter().enumerate() {
                        let position = rest.offset as usize + step;
                        assert_eq!(usize::from(*byte), position % 251, "at {position}");
                    }
                    rest.offset += bytes.len() as u64;
                    rest.len -= bytes.len() as u64;
                }
            }
        }
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let (_file, range) = file();
        let (mut blocks, mut engine) = (Blocks::default(), engine());
        let files: Vec<FileRange> = (0..2 * FILE_BLOCKS_MAX)
            .map(|_| FileRange {
                file: Arc::new(range.file.try_clone().unwrap()),
                ..range.clone()
            })
            .collect();
        for file in files.iter().chain(&files) {
            piece(blocks.read(&mut engine, file, Millis(0)));
        }
        assert_eq!(blocks.slots.len(), FILE_BLOCKS_MAX);
        drop(files);
        blocks.sweep(Millis(1));
        assert!(blocks.slots.is_empty(), "closed files are let go");
    }

    #[test]
    fn a_file_that_became_shorter_is_not_made_up() {
        let (file, range) = file();
        let (mut blocks, mut engine) = (Blocks::default(), engine());
        file.set_len(100).unwrap();
        let behind = part(&range, FILE_BLOCK_BYTES as u64, 1000);
        for now in 0..3 {
            let read = blocks.read(&mut engine, &behind, Millis(now));
            assert_eq!(read, BlockRead::Truncated);
        }
        // The block is there, the part of it that is asked for is not.
        let within = part(&range, 200, 1000);
        for now in 0..3 {
            let read = blocks.read(&mut engine, &within, Millis(now));
            assert!(!matches!(read, BlockRead::Piece(_)), "{read:?}");
        }
    }
}
