//! What the slow lane asks of the kernel, and what it hears back.
//!
//! An operation owns its buffers, so that a task may be dropped while the kernel still works.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Errno;
use crate::base::limits::FILE_SLICE_BYTES;

/// A file that several sends and operations share. Closed when the last of them is done.
pub type SharedFile = Arc<OwnedFd>;

/// A part of an open file.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The file, open for reading.
    pub file: SharedFile,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

impl FileRange {
    /// Bytes of the range up to the end of its first slice. Slices begin at multiples of
    /// [`FILE_SLICE_BYTES`] in the file, so that what is known of one serves everybody.
    pub fn slice_len(&self) -> u64 {
        const SLICE: u64 = FILE_SLICE_BYTES as u64;
        self.len.min(SLICE - self.offset % SLICE)
    }
}

/// How symbolic links are followed on the way to a file. No way leads through the magic links of
/// `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Not at all: a path with one ends in `ELOOP`.
    Refused,
    /// As long as they stay below the root; a path that leaves it ends in `EXDEV`.
    Inside,
    /// Wherever they lead (`--follow-symlinks`).
    Anywhere,
}

/// One-shot work for the slow lane.
#[derive(Debug)]
pub enum Operation {
    /// `openat2` with `O_PATH` below `root`: finds a file without opening it, so that no FIFO or
    /// device is ever opened. An empty path is the root.
    Find {
        root: SharedFile,
        path: CString,
        links: Links,
    },
    /// Opens for reading what [`Operation::Find`] found (the same inode, never by name again).
    OpenFound { found: SharedFile },
    /// `statx` of an open (or found) file.
    Stat { file: SharedFile },
    /// Reads at `offset` into the spare capacity of `buf`, once: perhaps fewer bytes.
    Read {
        file: SharedFile,
        offset: u64,
        buf: Vec<u8>,
    },
}

/// The end of an [`Operation`].
#[derive(Debug)]
pub enum Outcome {
    /// Of [`Operation::Find`] and [`Operation::OpenFound`].
    Opened(Result<OwnedFd, Errno>),
    /// Of [`Operation::Stat`].
    Stat(Result<FileStat, Errno>),
    /// Of [`Operation::Read`]: the buffer with the new bytes behind the old, and their number.
    Read {
        buf: Vec<u8>,
        result: Result<usize, Errno>,
    },
}

/// What kind of file a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// An ordinary file.
    Regular,
    /// A directory.
    Directory,
    /// FIFO, socket, device: never opened, never served.
    Other,
}

/// The parts of `statx` that identify one state of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u16,
    /// Bytes.
    pub len: u64,
    /// Device, major and minor.
    pub device: (u32, u32),
    /// Inode number.
    pub inode: u64,
    /// Names that it has.
    pub hard_links: u32,
    /// Last change of content: seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// Last change of content or metadata (owner, mode, links).
    pub changed: (i64, u32),
}
