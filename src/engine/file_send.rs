//! One slice of a file to a socket by `sendfile(2)`, from the loop, without ever waiting for a
//! disk.
//!
//! `sendfile` reads what is not in the page cache, and the worker would sleep meanwhile. So the
//! slice is sent only when its pages are in memory and filled:
//!
//! - `cachestat(2)` (Linux 6.5) counts the pages of the slice that are cached, without copying;
//! - a `RWF_NOWAIT` read of the slice's last byte tells whether the kernel is still filling them,
//!   as it is right after a read-ahead (pages are filled in order);
//! - where `cachestat` is missing, or refuses files that we do not own (Linux 6.14), `RWF_NOWAIT`
//!   reads of the first and the last byte stand in for it. That is a guess about the middle.
//!
//! Some file systems cannot tell at all, and their files count as cold: overlayfs (its `cachestat`
//! sees no pages, and it refuses `RWF_NOWAIT`), and tmpfs when the files are not ours. There every
//! slice is read by a thread and sent as bytes: dearer, and never a wait.
//!
//! Pages may be evicted between the question and the send; the kernel offers nothing tighter.
//! Raw system call, because no crate of ours wraps `cachestat`.
#![allow(unsafe_code)]

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, ReadWriteFlags, ioctl_fionbio, preadv2};
use rustix::net::SendFlags;

use super::warmth::Warmth;
use super::{FileRange, FileSent};
use crate::base::Millis;
use crate::base::limits::{FILE_BURST_BYTES, FILE_SLICE_BYTES};

/// The same number on every architecture that Rust's `libc` and this server run on.
const SYS_CACHESTAT: libc::c_long = 451;

/// False once the kernel said that it does not know `cachestat`.
static CACHESTAT: AtomicBool = AtomicBool::new(true);

/// Sends what the socket takes at once, `more` when a file follows; returns how many bytes that
/// are. An error is left for the next send to find.
pub fn send_ahead(socket: impl AsFd, bytes: &[u8], more: bool) -> usize {
    let mut flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    flags.set(SendFlags::MORE, more);
    rustix::net::send(socket, bytes, flags).unwrap_or(0)
}

/// Sends what is in memory at the beginning of `range`, up to [`FILE_BURST_BYTES`], on a socket
/// that is in non-blocking mode.
pub fn send_file(
    socket: impl AsFd,
    range: &FileRange,
    warmth: &mut Warmth,
    now: Millis,
) -> FileSent {
    let mut rest = range.clone();
    let mut warm_len = 0;
    while rest.len > 0 && warm_len < FILE_BURST_BYTES as u64 {
        if !is_warm_slice(&rest, warmth, now) {
            break;
        }
        let len = rest.slice_len();
        warm_len += len;
        rest.offset += len;
        rest.len -= len;
    }
    if warm_len > 0 {
        // From the middle of a slice the sum goes beyond a burst.
        return send_burst(socket.as_fd(), range, warm_len.min(FILE_BURST_BYTES as u64));
    }
    // The rest of the slice may be cold where the little that is asked for is not.
    let len = range.slice_len();
    match ask(range.file.as_fd(), range.offset, len) {
        Residency::Warm(len) => send_burst(socket.as_fd(), range, len),
        Residency::Cold => FileSent::Cold,
        Residency::Ended => FileSent::Truncated,
        Residency::Failed(errno) => FileSent::Failed(errno.into()),
    }
}

/// Whether the slice that `range` begins in is in memory, as remembered or as the kernel says.
fn is_warm_slice(range: &FileRange, warmth: &mut Warmth, now: Millis) -> bool {
    const SLICE: u64 = FILE_SLICE_BYTES as u64;
    let slice = range.offset / SLICE;
    if warmth.is_warm(&range.file, slice, now) {
        return true;
    }
    let is_warm = matches!(
        ask(range.file.as_fd(), slice * SLICE, SLICE),
        Residency::Warm(_)
    );
    if is_warm {
        warmth.mark(&range.file, slice, now);
    }
    is_warm
}

fn ask(file: BorrowedFd<'_>, offset: u64, len: u64) -> Residency {
    residency(file, offset, len, cached_pages(file, offset, len))
}

/// [`send_file`] for a socket in blocking mode, as io_uring wants them: `sendfile(2)` has no flag
/// for one call, so the mode of the socket is changed around it.
pub fn send_file_on_blocking(
    socket: impl AsFd,
    range: &FileRange,
    warmth: &mut Warmth,
    now: Millis,
) -> FileSent {
    if let Err(errno) = ioctl_fionbio(&socket, true) {
        return FileSent::Failed(errno.into());
    }
    let sent = send_file(&socket, range, warmth, now);
    match ioctl_fionbio(&socket, false) {
        Ok(()) => sent,
        Err(errno) => FileSent::Failed(errno.into()),
    }
}

fn send_burst(socket: BorrowedFd<'_>, range: &FileRange, len: u64) -> FileSent {
    let mut offset = range.offset;
    let len = usize::try_from(len).expect("a burst is at most FILE_BURST_BYTES long");
    loop {
        return match rustix::fs::sendfile(socket, &range.file, Some(&mut offset), len) {
            Ok(0) => FileSent::Truncated,
            Ok(sent) => FileSent::Sent {
                bytes: sent as u64,
                full: sent < len,
            },
            Err(Errno::AGAIN) => FileSent::WouldBlock,
            // Nothing was sent yet.
            Err(Errno::INTR) => continue,
            Err(errno) => FileSent::Failed(errno.into()),
        };
    }
}

/// Where the pages of a slice are.
#[derive(Debug, PartialEq, Eq)]
enum Residency {
    /// In memory, for so many bytes: the slice, or what the file still has of it.
    Warm(u64),
    /// Not all of them in memory, or the file system cannot tell.
    Cold,
    /// The file ends at or before the slice.
    Ended,
    /// The file cannot be read.
    Failed(Errno),
}

/// `cached`: how many pages the kernel says are there, where it says so.
fn residency(file: BorrowedFd<'_>, offset: u64, len: u64, cached: Option<u64>) -> Residency {
    if len == 0 {
        return Residency::Ended;
    }
    let (len, known) = match cached {
        Some(cached) if cached < pages_of(offset, len) => match rest_of_file(file, offset) {
            Ok(0) => return Residency::Ended,
            // A file that became shorter has fewer pages; that is no reason to read.
            Ok(rest) if rest < len && cached >= pages_of(offset, rest) => (rest, true),
            Ok(_) => return Residency::Cold,
            Err(errno) => return Residency::Failed(errno),
        },
        Some(_) => (len, true),
        None => (len, false),
    };
    if !known {
        match probe(file, offset) {
            Probe::Filled => {}
            Probe::Ended => return Residency::Ended,
            Probe::Missing | Probe::Unknown => return Residency::Cold,
        }
    }
    match probe(file, offset.saturating_add(len - 1)) {
        Probe::Filled => Residency::Warm(len),
        Probe::Missing => Residency::Cold,
        Probe::Unknown if known => Residency::Warm(len),
        Probe::Unknown => Residency::Cold,
        Probe::Ended => match rest_of_file(file, offset) {
            Ok(0) => Residency::Ended,
            // It ended within the slice; `sendfile` stops there.
            Ok(_) => Residency::Warm(len),
            Err(errno) => Residency::Failed(errno),
        },
    }
}

fn rest_of_file(file: BorrowedFd<'_>, offset: u64) -> Result<u64, Errno> {
    let stat = rustix::fs::fstat(file)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    Ok(size.saturating_sub(offset))
}

fn pages_of(offset: u64, len: u64) -> u64 {
    let page = rustix::param::page_size() as u64;
    offset.saturating_add(len).div_ceil(page) - offset / page
}

/// What a read of one byte that must not wait says.
enum Probe {
    Filled,
    Missing,
    Ended,
    /// The file system does not know `RWF_NOWAIT`, or something is wrong that `sendfile` will tell.
    Unknown,
}

fn probe(file: BorrowedFd<'_>, offset: u64) -> Probe {
    let mut byte = [0];
    let mut bufs = [IoSliceMut::new(&mut byte)];
    match preadv2(file, &mut bufs, offset, ReadWriteFlags::NOWAIT) {
        Ok(0) => Probe::Ended,
        Ok(_) => Probe::Filled,
        Err(Errno::AGAIN | Errno::INTR) => Probe::Missing,
        Err(_) => Probe::Unknown,
    }
}

/// `struct cachestat_range` of the kernel.
#[repr(C)]
struct CachestatRange {
    offset: u64,
    len: u64,
}

/// `struct cachestat` of the kernel; all but the first are of no use here.
#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// How many pages of the range are cached; `None` where the kernel does not say.
fn cached_pages(file: BorrowedFd<'_>, offset: u64, len: u64) -> Option<u64> {
    if !CACHESTAT.load(Ordering::Relaxed) {
        return None;
    }
    let range = CachestatRange { offset, len };
    let mut stat = Cachestat::default();
    // SAFETY: the kernel reads one `CachestatRange` and writes one `Cachestat`, both of its own
    // layout and alive until the call returns; the descriptor is borrowed for as long.
    let result = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            &raw const range,
            &raw mut stat,
            0,
        )
    };
    if result == 0 {
        return Some(stat.cached);
    }
    if std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        CACHESTAT.store(false, Ordering::Relaxed);
    }
    // Others (EPERM: not our file; EOPNOTSUPP: this file system) say nothing about the next file.
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Seek, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    fn file_of(bytes: usize) -> (File, FileRange) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; bytes]).unwrap();
        file.rewind().unwrap();
        let range = FileRange {
            file: Arc::new(file.try_clone().unwrap().into()),
            offset: 0,
            len: bytes as u64,
        };
        (file, range)
    }

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, peer) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, peer)
    }

    #[test]
    fn sends_one_slice_at_most_and_says_when_the_socket_is_full() {
        let (_file, mut range) = file_of(4 * FILE_SLICE_BYTES);
        let (ours, mut peer) = pair();
        let mut sent = 0;
        loop {
            match send_file(&ours, &range, &mut Warmth::default(), Millis(0)) {
                FileSent::Sent { bytes, .. } => {
                    assert!(bytes <= FILE_SLICE_BYTES as u64);
                    range.offset += bytes;
                    range.len -= bytes;
                    sent += bytes;
                }
                FileSent::WouldBlock => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(sent > 0);
        let mut received = vec![0; sent as usize];
        peer.read_exact(&mut received).unwrap();
        assert!(received.iter().all(|byte| *byte == b'x'));
    }

    #[test]
    fn a_file_that_became_shorter_is_truncated_and_not_cold() {
        let (file, range) = file_of(100_000);
        let (ours, _peer) = pair();
        file.set_len(50_000).unwrap();
        let at = |offset: u64| FileRange {
            offset,
            len: range.len - offset,
            ..range.clone()
        };
        assert_eq!(
            send_file(&ours, &at(49_990), &mut Warmth::default(), Millis(0)),
            FileSent::Sent {
                bytes: 10,
                full: true
            }
        );
        assert_eq!(
            send_file(&ours, &at(50_000), &mut Warmth::default(), Millis(0)),
            FileSent::Truncated
        );
        assert_eq!(
            send_file(&ours, &at(90_000), &mut Warmth::default(), Millis(0)),
            FileSent::Truncated
        );
        assert_eq!(
            send_file(&ours, &at(100_000), &mut Warmth::default(), Millis(0)),
            FileSent::Truncated
        );
    }

    #[test]
    fn pages_that_were_never_read_are_cold() {
        // Holes of a fresh file have no pages, on any file system with a page cache.
        let file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.set_len(10 * 1024 * 1024).unwrap();
        let range = FileRange {
            file: Arc::new(file.into()),
            offset: 5 * 1024 * 1024,
            len: 100_000,
        };
        let (ours, _peer) = pair();
        assert_eq!(
            send_file(&ours, &range, &mut Warmth::default(), Millis(0)),
            FileSent::Cold
        );
        let mut bytes = vec![0; 100_000];
        let mut read = 0;
        while read < bytes.len() {
            let at = range.offset + read as u64;
            read += rustix::io::pread(&range.file, &mut bytes[read..], at).unwrap();
        }
        assert!(matches!(
            send_file(&ours, &range, &mut Warmth::default(), Millis(0)),
            FileSent::Sent { .. }
        ));
    }

    #[test]
    fn two_probes_stand_in_where_the_kernel_does_not_count() {
        let (file, range) = file_of(100_000);
        let warm = |offset, len| residency(range.file.as_fd(), offset, len, None);
        // A file system without `RWF_NOWAIT` cannot tell; then reading is the safe answer.
        let probes = matches!(probe(range.file.as_fd(), 0), Probe::Filled);
        let expected = if probes {
            Residency::Warm(100_000)
        } else {
            Residency::Cold
        };
        assert_eq!(warm(0, 100_000), expected);
        if probes {
            assert_eq!(warm(100_000, 10), Residency::Ended);
            file.set_len(50_000).unwrap();
            assert_eq!(warm(60_000, 10), Residency::Ended);
            assert!(matches!(warm(40_000, 60_000), Residency::Warm(_)));
        }
        let writer = File::options().write(true).open("/dev/null").unwrap();
        assert_eq!(residency(writer.as_fd(), 0, 10, None), Residency::Cold);
    }

    #[test]
    fn a_blocking_socket_is_not_waited_for_and_stays_blocking() {
        let (_file, range) = file_of(4 * FILE_SLICE_BYTES);
        let (ours, _peer) = UnixStream::pair().unwrap();
        while let FileSent::Sent { .. } =
            send_file_on_blocking(&ours, &range, &mut Warmth::default(), Millis(0))
        {}
        let flags = rustix::fs::fcntl_getfl(&ours).unwrap();
        assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
    }

    #[test]
    fn a_slice_touches_the_pages_of_its_first_and_last_byte() {
        let page = rustix::param::page_size() as u64;
        assert_eq!(pages_of(0, 1), 1);
        assert_eq!(pages_of(0, page), 1);
        assert_eq!(pages_of(page - 1, 2), 2);
        assert_eq!(pages_of(page, page + 1), 2);
    }
}
