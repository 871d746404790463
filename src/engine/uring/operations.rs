//! Slow-lane operations in flight: each owns what the kernel reads and writes until it ends.
#![allow(unsafe_code)] // Pointers to an operation's own memory go into ring entries.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use io_uring::{opcode, squeue, types};

use crate::engine::operation::{FileKind, SharedFile};
use crate::engine::{Errno, FileStat, Operation, OperationId, Outcome, find};

/// One operation, boxed by its owner so that its memory stays where the kernel knows it.
pub(super) struct InFlight {
    pub(super) id: OperationId,
    kind: Kind,
}

enum Kind {
    Open {
        directory: Option<SharedFile>,
        path: CString,
        how: types::OpenHow,
        keep: Option<SharedFile>,
    },
    Stat {
        file: SharedFile,
        stat: Box<libc::statx>,
    },
    Read {
        file: SharedFile,
        offset: u64,
        buf: Vec<u8>,
    },
}

impl InFlight {
    pub(super) fn new(id: OperationId, operation: Operation) -> Box<InFlight> {
        let kind = match operation {
            Operation::Find { root, path, links } => {
                // Strictness in the kernel: no `..`, no absolute link, no magic link leads out of
                // the root. `O_PATH` opens nothing, so a FIFO or device is never touched.
                let flags = libc::O_PATH | libc::O_CLOEXEC;
                let resolve = find::resolve_flags(links).bits();
                let how = types::OpenHow::new().flags(flags as u64).resolve(resolve);
                let path = if path.is_empty() {
                    c".".to_owned()
                } else {
                    path
                };
                Kind::Open {
                    directory: Some(root),
                    path,
                    how,
                    keep: None,
                }
            }
            Operation::OpenFound { found } => {
                // The magic link leads to the inode that was found, whatever its name is now.
                let path = format!("/proc/self/fd/{}", found.as_raw_fd());
                let path = CString::new(path).expect("digits hold no NUL");
                let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
                let how = types::OpenHow::new().flags(flags as u64);
                Kind::Open {
                    directory: None,
                    path,
                    how,
                    keep: Some(found),
                }
            }
            Operation::Stat { file } => {
                // SAFETY: `statx` is plain data for which zero is a value.
                let stat = Box::new(unsafe { std::mem::zeroed() });
                Kind::Stat { file, stat }
            }
            Operation::Read { file, offset, buf } => Kind::Read { file, offset, buf },
        };
        Box::new(InFlight { id, kind })
    }

    /// The ring entry; it points into `self`, which must not move until its completion.
    pub(super) fn entry(&mut self) -> squeue::Entry {
        match &mut self.kind {
            Kind::Open {
                directory,
                path,
                how,
                ..
            } => {
                let directory = directory
                    .as_ref()
                    .map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd());
                opcode::OpenAt2::new(types::Fd(directory), path.as_ptr(), how).build()
            }
            Kind::Stat { file, stat } => {
                let buf: *mut libc::statx = &mut **stat;
                opcode::Statx::new(types::Fd(file.as_raw_fd()), c"".as_ptr(), buf.cast())
                    .flags(libc::AT_EMPTY_PATH)
                    .mask(libc::STATX_BASIC_STATS)
                    .build()
            }
            Kind::Read { file, offset, buf } => {
                let spare = buf.spare_capacity_mut();
                let len = u32::try_from(spare.len()).unwrap_or(u32::MAX);
                opcode::Read::new(types::Fd(file.as_raw_fd()), spare.as_mut_ptr().cast(), len)
                    .offset(*offset)
                    .build()
            }
        }
    }

    /// Reads the kernel's result.
    pub(super) fn finish(self, result: i32) -> Outcome {
        let error = Errno(-result);
        match self.kind {
            Kind::Open { keep, .. } => {
                drop(keep);
                if result < 0 {
                    return Outcome::Opened(Err(error));
                }
                // SAFETY: the completion of an open hands a new descriptor to us alone.
                Outcome::Opened(Ok(unsafe { OwnedFd::from_raw_fd(result as RawFd) }))
            }
            Kind::Stat { stat, .. } => Outcome::Stat(if result < 0 {
                Err(error)
            } else {
                Ok(file_stat(&stat))
            }),
            Kind::Read { mut buf, .. } => {
                if result < 0 {
                    return Outcome::Read {
                        buf,
                        result: Err(error),
                    };
                }
                let len = buf.len() + result as usize;
                assert!(
                    len <= buf.capacity(),
                    "the kernel reads no more than it was asked to"
                );
                // SAFETY: the kernel has written the `result` bytes behind the old length.
                unsafe { buf.set_len(len) };
                Outcome::Read {
                    buf,
                    result: Ok(result as usize),
                }
            }
        }
    }
}

fn file_stat(stat: &libc::statx) -> FileStat {
    let kind = match u32::from(stat.stx_mode) & libc::S_IFMT {
        libc::S_IFREG => FileKind::Regular,
        libc::S_IFDIR => FileKind::Directory,
        _ => FileKind::Other,
    };
    FileStat {
        kind,
        mode: stat.stx_mode & 0o7777,
        len: stat.stx_size,
        device: (stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        hard_links: stat.stx_nlink,
        modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
        changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
    }
}
