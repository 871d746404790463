//! A part of a file into memory, from the loop, as far as it can be had without waiting for a disk.
//!
//! For answers that cannot go out by `sendfile(2)`: encrypted ones, and those cut into frames.
//! `preadv2(RWF_NOWAIT)` reads what is in the page cache and stops where it would have to wait.
//! File systems that do not know the flag count as cold: their files are read by a thread.
//! Raw system call, because rustix reads with flags into initialised memory only.
#![allow(unsafe_code)]

use std::os::fd::AsRawFd;

use super::{Errno, FileRange, FileRead};

/// Reads from the beginning of `range` into the spare capacity of `buf`.
pub fn read_file(range: &FileRange, buf: &mut Vec<u8>) -> FileRead {
    let wanted = usize::try_from(range.len).unwrap_or(usize::MAX);
    let spare = buf.spare_capacity_mut();
    let len = spare.len().min(wanted);
    if len == 0 {
        return FileRead::Read(0);
    }
    let piece = libc::iovec {
        iov_base: spare.as_mut_ptr().cast(),
        iov_len: len,
    };
    let Ok(offset) = libc::off64_t::try_from(range.offset) else {
        return FileRead::Truncated;
    };
    loop {
        // SAFETY: the kernel writes at most `len` bytes into the spare capacity of `buf`, which is
        // borrowed for the call; the descriptor is owned by `range`.
        let read = unsafe {
            libc::preadv2(
                range.file.as_raw_fd(),
                &raw const piece,
                1,
                offset,
                libc::RWF_NOWAIT,
            )
        };
        if read > 0 {
            let read = read as usize;
            // SAFETY: the kernel has filled so many bytes behind the old ones.
            unsafe { buf.set_len(buf.len() + read) };
            return FileRead::Read(read);
        }
        if read == 0 {
            return FileRead::Truncated;
        }
        let errno = std::io::Error::last_os_error().raw_os_error();
        return match errno.unwrap_or(libc::EIO) {
            libc::EINTR => continue,
            libc::EAGAIN | libc::EOPNOTSUPP => FileRead::Cold,
            errno => FileRead::Failed(Errno(errno)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Arc;

    fn range_of(file: std::fs::File, offset: u64, len: u64) -> FileRange {
        FileRange {
            file: Arc::new(file.into()),
            offset,
            len,
        }
    }

    #[test]
    fn reads_behind_what_is_there_and_no_more_than_asked_for_or_fits() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut buf = Vec::with_capacity(64);
        buf.push(b'x');
        let range = range_of(file, 2, 4);
        match read_file(&range, &mut buf) {
            FileRead::Read(4) => assert_eq!(buf, b"x2345"),
            FileRead::Cold => return, // This file system does not know `RWF_NOWAIT`.
            other => panic!("{other:?}"),
        }
        let mut full = Vec::new();
        assert_eq!(read_file(&range, &mut full), FileRead::Read(0));
        let mut small = Vec::with_capacity(8);
        let all = FileRange {
            len: 1000,
            ..range.clone()
        };
        let read = read_file(&all, &mut small);
        assert_eq!(read, FileRead::Read(small.len()));
        assert!(small.len() <= small.capacity() && b"23456789".starts_with(&small));
        let behind = FileRange {
            offset: 10,
            ..range
        };
        assert_eq!(read_file(&behind, &mut buf), FileRead::Truncated);
    }

    #[test]
    fn what_is_not_in_memory_is_cold_or_there_in_no_time_and_never_wrong() {
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let all = std::num::NonZeroU64::new(1 << 20);
        rustix::fs::fadvise(&file, 0, all, rustix::fs::Advice::DontNeed).unwrap();
        let mut buf = Vec::with_capacity(4096);
        match read_file(&range_of(file, 512 << 10, 4096), &mut buf) {
            FileRead::Cold => assert!(buf.is_empty()),
            // The kernel reads ahead on this occasion, and some disks are memory.
            FileRead::Read(len) => assert_eq!(buf, vec![b'x'; len]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let writer = std::fs::File::options()
            .write(true)
            .open("/dev/null")
            .unwrap();
        let mut buf = Vec::with_capacity(16);
        let read = read_file(&range_of(writer, 0, 10), &mut buf);
        assert_eq!(read, FileRead::Failed(Errno(libc::EBADF)));
    }
}
