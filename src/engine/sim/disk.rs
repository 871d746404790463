//! Files: real ones, because their content follows from the test, behind a virtual disk, because
//! its delays, short reads and errors would not.

use std::collections::HashMap;

use super::Fault;
use super::trace::Who;
use super::world::{Event, World};
use crate::engine::operation::SharedFile;
use crate::engine::{
    Completion, Errno, FileRange, FileRead, FileSent, FileStat, Operation, OperationId, Outcome,
    SocketId, find,
};

/// Files are in memory or not in blocks of this size.
const BLOCK_BYTES: u64 = 64 * 1024;
/// An ordinary operation takes up to so long, a slow one up to a second.
const OPERATION_MAX_US: u64 = 500;
const SLOW_OPERATION_MAX_US: u64 = 1_000_000;
/// When files last changed that have not changed since the simulation began.
const LONG_AGO: i64 = 1_000_000_000;
/// What fails, fails with one of these.
const OPERATION_ERRNOS: [i32; 3] = [libc::EIO, libc::EMFILE, libc::ENOMEM];

/// An operation under way.
pub(super) struct Started {
    id: OperationId,
    progress: Progress,
}

enum Progress {
    /// Looks at the disk when it ends.
    Asked(Operation),
    /// Looked at the disk when it began.
    Done(Outcome),
}

/// The page cache, and names for inodes that do not differ between runs.
#[derive(Default)]
pub(super) struct Pages {
    /// Whether a block of a file is in memory, once it was touched.
    warm: HashMap<(FileKey, u64), bool>,
    inodes: HashMap<FileKey, u64>,
    /// Per file: its real states, and the virtual times at which they were first seen.
    changes: HashMap<FileKey, Vec<(FileState, FileTime)>>,
    /// Every file that was ever looked at: while it is held, no other one gets its inode. When the
    /// file system would give an inode out again depends on what else the machine does.
    held: HashMap<FileKey, SharedFile>,
}

/// What a change of a file is told by: its length, the times of its last modification and change.
type FileState = (u64, FileTime, FileTime);

/// Seconds since 1970 and nanoseconds.
type FileTime = (i64, u32);

/// Device and inode of a real file.
type FileKey = (u64, u64);

impl World {
    pub(super) fn start(&mut self, id: OperationId, operation: Operation) {
        let is_new = self.in_flight.insert(id);
        self.demand(is_new, || format!("start of {id:?}, which is in flight"));
        if let Operation::Read { buf, .. } = &operation {
            let room = buf.capacity() > buf.len();
            self.demand(room, || {
                format!("the read {id:?} has no room in its buffer")
            });
        }
        let what = match &operation {
            Operation::Find { .. } => "find",
            Operation::OpenFound { .. } => "open found",
            Operation::Stat { .. } => "stat",
            Operation::Read { .. } => "read",
        };
        self.record(Who::Operation(id.0.index), what, 0);
        let slow = self.strikes(Fault::SlowDisk, self.settings.slow_disk);
        let longest_us = if slow {
            SLOW_OPERATION_MAX_US
        } else {
            OPERATION_MAX_US
        };
        let delay_us = self.random.between(1, longest_us);
        let progress = if self.random.chance(0.5) {
            Progress::Done(self.perform(operation))
        } else {
            Progress::Asked(operation)
        };
        self.plan(delay_us, Event::Finish(Box::new(Started { id, progress })));
    }

    pub(super) fn on_finish(&mut self, started: Started) {
        let outcome = match started.progress {
            Progress::Done(outcome) => outcome,
            Progress::Asked(operation) => self.perform(operation),
        };
        let was_in_flight = self.in_flight.remove(&started.id);
        assert!(was_in_flight, "an operation ends once");
        self.ready.push(Completion::Finished {
            operation: started.id,
            outcome,
        });
    }

    fn perform(&mut self, operation: Operation) -> Outcome {
        let fault = self.strikes(Fault::IoError, self.settings.io_error);
        let fault = fault.then(|| Errno(self.random.pick(&OPERATION_ERRNOS)));
        match operation {
            Operation::Find { root, path, links } => Outcome::Opened(match fault {
                Some(errno) => Err(errno),
                None => find::find(&*root, &path, links).map_err(Errno::from),
            }),
            Operation::OpenFound { found } => Outcome::Opened(match fault {
                Some(errno) => Err(errno),
                None => find::open_found(&*found).map_err(Errno::from),
            }),
            Operation::Stat { file } => Outcome::Stat(match fault {
                Some(errno) => Err(errno),
                None => self.stat(&file),
            }),
            Operation::Read {
                file,
                offset,
                mut buf,
            } => {
                let result = match fault {
                    Some(_) => Err(Errno(libc::EIO)),
                    None => self.read(&file, offset, &mut buf),
                };
                Outcome::Read { buf, result }
            }
        }
    }

    fn read(&mut self, file: &SharedFile, offset: u64, buf: &mut Vec<u8>) -> Result<usize, Errno> {
        let wanted = buf.capacity() - buf.len();
        let len = self.cut(wanted, self.settings.short_read);
        let bytes = read_at(file, offset, len)?;
        if bytes.len() == len && len < wanted {
            self.coverage.count(Fault::ShortRead);
        }
        self.warm_up(file, offset, bytes.len() as u64);
        buf.extend_from_slice(&bytes);
        Ok(bytes.len())
    }

    /// The description of a file, with other numbers for inodes and times of change: real ones
    /// would differ in the next run. A change is said to have happened when it was first seen; what
    /// was there before the first look, long ago.
    fn stat(&mut self, file: &SharedFile) -> Result<FileStat, Errno> {
        let mut stat = find::stat(&**file)?;
        let key = self.pages.key_of(file)?;
        let state = (stat.len, stat.modified, stat.changed);
        let next_inode = 1_000_000 + self.pages.inodes.len() as u64;
        stat.inode = *self.pages.inodes.entry(key).or_insert(next_inode);
        stat.device = (0, 1);
        let now = self.unix_seconds() as i64;
        let changes = self.pages.changes.entry(key).or_default();
        let known = changes.iter().find(|(real, _)| *real == state);
        let nth = changes.len() as u32;
        let seconds = if nth == 0 { LONG_AGO } else { now };
        let first_seen = known.map_or((seconds, nth), |(_, seen)| *seen);
        if known.is_none() {
            changes.push((state, first_seen));
        }
        stat.changed = first_seen;
        Ok(stat)
    }

    /// All, a part or nothing of a head, as the room and chance have it.
    pub(super) fn send_ahead(&mut self, id: SocketId, bytes: &[u8]) -> usize {
        let peer = self.demand_idle_output(id, "send_ahead");
        let room = self.send_room(peer);
        let is_refused = self.random.chance(self.settings.would_block);
        if self.peers[peer].broken.is_some() || room == 0 || is_refused {
            return 0;
        }
        let len = self.cut(room.min(bytes.len()), self.settings.partial_file);
        self.push_file_bytes(peer, &bytes[..len]);
        self.record(Who::Socket(id), "send ahead", len as u64);
        len
    }

    pub(super) fn send_file(&mut self, id: SocketId, range: &FileRange) -> FileSent {
        let peer = self.demand_idle_output(id, "send_file");
        self.demand(range.len > 0, || format!("send_file of nothing on {id:?}"));
        let sent = self.try_send_file(peer, range);
        let (what, amount) = match sent {
            FileSent::Sent { bytes, .. } => ("send file", bytes),
            FileSent::WouldBlock => ("send file WouldBlock", 0),
            FileSent::Cold => ("send file Cold", 0),
            FileSent::Truncated => ("send file Truncated", 0),
            FileSent::Failed(errno) => ("send file Failed", errno.0 as u64),
        };
        self.record(Who::Socket(id), what, amount);
        sent
    }

    pub(super) fn read_file(&mut self, range: &FileRange, buf: &mut Vec<u8>) -> FileRead {
        self.demand(range.len > 0, || {
            format!("read_file of nothing at {}", range.offset)
        });
        let read = self.try_read_file(range, buf);
        let (what, amount) = match read {
            FileRead::Read(len) => ("read file", len as u64),
            FileRead::Cold => ("read file Cold", 0),
            FileRead::Truncated => ("read file Truncated", 0),
            FileRead::Failed(errno) => ("read file Failed", errno.0 as u64),
        };
        self.record(Who::Engine, what, amount);
        read
    }

    fn try_read_file(&mut self, range: &FileRange, buf: &mut Vec<u8>) -> FileRead {
        let spare = buf.capacity() - buf.len();
        let wanted = range.len.min(spare as u64);
        if wanted == 0 {
            return FileRead::Read(0);
        }
        match self.is_warm(&range.file, range.offset, wanted) {
            Ok(true) => {}
            Ok(false) => {
                self.coverage.count(Fault::Cold);
                return FileRead::Cold;
            }
            Err(errno) => return FileRead::Failed(errno),
        }
        if self.strikes(Fault::IoError, self.settings.io_error) {
            return FileRead::Failed(Errno(libc::EIO));
        }
        let len = self.cut(wanted as usize, self.settings.partial_file);
        match read_at(&range.file, range.offset, len) {
            Ok(bytes) if bytes.is_empty() => {
                self.coverage.count(Fault::Truncated);
                FileRead::Truncated
            }
            Ok(bytes) => {
                buf.extend_from_slice(&bytes);
                FileRead::Read(bytes.len())
            }
            Err(errno) => FileRead::Failed(errno),
        }
    }

    fn try_send_file(&mut self, peer: usize, range: &FileRange) -> FileSent {
        if let Some(errno) = self.peers[peer].broken {
            return FileSent::Failed(Errno(errno));
        }
        let wanted = range.slice_len();
        match self.is_warm(&range.file, range.offset, wanted) {
            Ok(true) => {}
            Ok(false) => {
                self.coverage.count(Fault::Cold);
                return FileSent::Cold;
            }
            Err(errno) => return FileSent::Failed(errno),
        }
        let room = self.send_room(peer);
        if room == 0 || self.random.chance(self.settings.would_block) {
            self.coverage.count(Fault::WouldBlock);
            return FileSent::WouldBlock;
        }
        if self.strikes(Fault::IoError, self.settings.io_error) {
            return FileSent::Failed(Errno(libc::EIO));
        }
        let can = room.min(wanted as usize);
        let len = self.cut(can, self.settings.partial_file);
        match read_at(&range.file, range.offset, len) {
            Ok(bytes) if bytes.is_empty() => {
                self.coverage.count(Fault::Truncated);
                FileSent::Truncated
            }
            Ok(bytes) => {
                if (bytes.len() as u64) < wanted {
                    self.coverage.count(Fault::PartialFile);
                }
                self.push_file_bytes(peer, &bytes);
                let bytes = bytes.len() as u64;
                FileSent::Sent {
                    bytes,
                    full: bytes < wanted,
                }
            }
            Err(errno) => FileSent::Failed(errno),
        }
    }

    fn is_warm(&mut self, file: &SharedFile, offset: u64, len: u64) -> Result<bool, Errno> {
        let key = self.pages.key_of(file)?;
        let mut all_warm = true;
        for block in offset / BLOCK_BYTES..=(offset + len - 1) / BLOCK_BYTES {
            let cold = self.random.chance(self.settings.cold);
            all_warm &= *self.pages.warm.entry((key, block)).or_insert(!cold);
        }
        Ok(all_warm)
    }

    fn warm_up(&mut self, file: &SharedFile, offset: u64, len: u64) {
        let Ok(key) = self.pages.key_of(file) else {
            return;
        };
        for block in offset / BLOCK_BYTES..(offset + len).div_ceil(BLOCK_BYTES) {
            self.pages.warm.insert((key, block), true);
        }
    }
}

impl Pages {
    fn key_of(&mut self, file: &SharedFile) -> Result<FileKey, Errno> {
        let stat = rustix::fs::fstat(&**file)?;
        let key = (stat.st_dev, stat.st_ino);
        let hold = || SharedFile::clone(file);
        self.held.entry(key).or_insert_with(hold);
        Ok(key)
    }
}

/// Reads `len` bytes, or fewer where the file ends.
fn read_at(file: &SharedFile, offset: u64, len: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        let count = rustix::io::pread(&**file, &mut bytes[filled..], offset + filled as u64)?;
        if count == 0 {
            break;
        }
        filled += count;
    }
    bytes.truncate(filled);
    Ok(bytes)
}
