//! A small file read by its name, from the loop, when all of it is in memory: for files whose heads
//! are known and whose bodies have no room in the cache.
//!
//! Three system calls read a file and prove that it is still in the state that is known; two where
//! it is kept open. What is not the same, and what would have to wait for a disk, is left to the
//! slow lane.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::{Mode, ResolveFlags, openat2};

use super::find::{OPEN_FLAGS, resolve_flags, stat};
use super::operation::SharedFile;
use super::{Errno, FileRange, FileRead, FileStat, Links, file_read};

/// A regular file by its name, in a known state.
#[derive(Debug)]
pub struct NamedFile {
    /// Where its path begins.
    pub root: SharedFile,
    /// Below the root, without a symbolic link in it.
    pub path: CString,
    /// The state that is known.
    pub stat: FileStat,
    /// It, opened, where there are descriptors for that.
    pub opened: Option<SharedFile>,
}

impl NamedFile {
    /// Opens it, which may wait for a disk.
    pub fn open(&self) -> Result<SharedFile, Errno> {
        self.open_with(resolve_flags(Links::Refused))
    }

    fn open_with(&self, resolve: ResolveFlags) -> Result<SharedFile, Errno> {
        if let Some(opened) = &self.opened {
            return Ok(Arc::clone(opened));
        }
        let opened = openat2(&self.root, &*self.path, OPEN_FLAGS, Mode::empty(), resolve)?;
        Ok(Arc::new(opened))
    }
}

/// Reads a whole file, which may wait for a disk; `None` when it is not in the state `stat` any
/// more.
pub fn read_whole(file: impl AsFd, expected: &FileStat) -> Option<Vec<u8>> {
    let len = usize::try_from(expected.len).ok()?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).ok()?;
    while bytes.len() < len {
        let offset = bytes.len() as u64;
        match rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut bytes), offset) {
            Ok(0) => return None,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    bytes.truncate(len);
    (stat(&file) == Ok(*expected)).then_some(bytes)
}

/// What [`read_named`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedRead {
    /// The whole file, in the state that is known.
    Whole,
    /// Not to be had at once, or not the same any more.
    Elsewhere,
}

/// Appends the whole file to `buf`, or nothing.
///
/// The file is a regular one by its inode, which is compared; opening something else that has taken
/// its name meanwhile is harmless (`O_NONBLOCK`, `O_NOCTTY`), and it is closed unread.
pub fn read_named(file: &NamedFile, buf: &mut Vec<u8>) -> NamedRead {
    let resolve = resolve_flags(Links::Refused).union(ResolveFlags::CACHED);
    let Ok(opened) = file.open_with(resolve) else {
        return NamedRead::Elsewhere;
    };
    let range = FileRange {
        file: opened,
        offset: 0,
        len: file.stat.len,
    };
    let before = buf.len();
    let len = usize::try_from(file.stat.len).unwrap_or(usize::MAX);
    if buf.try_reserve(len).is_err() {
        return NamedRead::Elsewhere;
    }
    let is_whole = file_read::read_file(&range, buf) == FileRead::Read(len);
    // Looked at after it was read: a writer in between has left a trace by now.
    if is_whole && stat(&*range.file) == Ok(file.stat) {
        return NamedRead::Whole;
    }
    buf.truncate(before);
    NamedRead::Elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn named(directory: &std::path::Path, name: &str) -> NamedFile {
        let root: SharedFile = Arc::new(fs::File::open(directory).unwrap().into());
        NamedFile {
            path: CString::new(name).unwrap(),
            stat: stat(fs::File::open(directory.join(name)).unwrap()).unwrap(),
            opened: None,
            root,
        }
    }

    #[test]
    fn a_file_is_read_whole_while_it_is_what_it_was() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.txt");
        fs::write(&path, "hello").unwrap();
        let file = named(scratch.path(), "a.txt");
        let mut buf = b"before ".to_vec();
        assert_eq!(read_named(&file, &mut buf), NamedRead::Whole);
        assert_eq!(buf, b"before hello");
        fs::write(&path, "hellos").unwrap();
        assert_eq!(read_named(&file, &mut buf), NamedRead::Elsewhere);
        let file = named(scratch.path(), "a.txt");
        fs::write(scratch.path().join("b.txt"), "hellos").unwrap();
        fs::rename(scratch.path().join("b.txt"), &path).unwrap();
        assert_eq!(read_named(&file, &mut buf), NamedRead::Elsewhere);
        fs::remove_file(&path).unwrap();
        assert_eq!(read_named(&file, &mut buf), NamedRead::Elsewhere);
        symlink("b.txt", &path).unwrap();
        assert_eq!(read_named(&file, &mut buf), NamedRead::Elsewhere);
        assert_eq!(buf, b"before hello");
    }

    #[test]
    fn a_file_that_is_kept_open_is_read_until_it_is_not_what_it_was() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.txt");
        fs::write(&path, "hello").unwrap();
        let opened: SharedFile = Arc::new(fs::File::open(&path).unwrap().into());
        let file = NamedFile {
            opened: Some(opened),
            ..named(scratch.path(), "a.txt")
        };
        fs::write(scratch.path().join("b.txt"), "other").unwrap();
        let mut buf = Vec::new();
        assert_eq!(read_named(&file, &mut buf), NamedRead::Whole);
        assert_eq!(buf, b"hello");
        // A name that goes is a change of the file: whoever asks looks for it again.
        fs::rename(scratch.path().join("b.txt"), &path).unwrap();
        assert_eq!(read_named(&file, &mut buf), NamedRead::Elsewhere);
        assert_eq!(buf, b"hello");
    }
}
