//! A new state of a resource before it has its name: a file in the same directory, which nobody
//! sees, and which is gone when it is dropped.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps, fchmod, fstat, fsync, futimens,
    linkat, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use crate::engine::find;
use crate::engine::operation::FileStat;
use crate::listing::DRAFT_NAME;

/// Bits of a mode that a replaced file hands on.
const MODE_BITS: u16 = 0o777;
/// The mode of a new file, before the umask.
const NEW_MODE: u16 = 0o666;
/// Slices of one call (`IOV_MAX` is 1024).
const SLICES_MAX: usize = 64;

/// A file without a name of its own yet.
#[derive(Debug)]
pub(super) struct Draft {
    directory: Arc<OwnedFd>,
    file: File,
    /// Its name for the time being; `None` while it has none at all.
    name: Option<CString>,
}

impl Draft {
    /// A draft that is soon done, so that hardly any crash leaves it behind. `replaced`: what
    /// stands in its place now.
    pub(super) fn short(
        directory: &Arc<OwnedFd>,
        replaced: Option<&FileStat>,
    ) -> Result<Draft, Errno> {
        let name = fresh_name();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(directory, &name, flags | OFlags::NOFOLLOW, mode(replaced))?;
        Ok(Draft {
            directory: Arc::clone(directory),
            file: file.into(),
            name: Some(name),
        })
    }

    /// A draft that may take long: where the file system can, it has no name, and a crash leaves
    /// nothing behind.
    pub(super) fn long(
        directory: &Arc<OwnedFd>,
        replaced: Option<&FileStat>,
    ) -> Result<Draft, Errno> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        match openat(directory, c".", flags, mode(replaced)) {
            Ok(file) => Ok(Draft {
                directory: Arc::clone(directory),
                file: file.into(),
                name: None,
            }),
            Err(Errno::NOTSUP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                Draft::short(directory, replaced)
            }
            // What ext4 says of a directory that was removed.
            Err(Errno::PERM) if fstat(directory)?.st_nlink == 0 => Err(Errno::NOENT),
            Err(errno) => Err(errno),
        }
    }

    /// True when its directory cannot go before it.
    pub(super) fn has_name(&self) -> bool {
        self.name.is_some()
    }

    /// Gets its name in another directory; it has none yet.
    pub(super) fn move_to(&mut self, directory: &Arc<OwnedFd>) {
        assert!(self.name.is_none(), "it stands in its directory");
        self.directory = Arc::clone(directory);
    }

    /// Appends what the pieces hold, one behind the other.
    pub(super) fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        for some in pieces.chunks(SLICES_MAX) {
            let mut slices: Vec<IoSlice<'_>> =
                some.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut rest = &mut slices[..];
            while !rest.is_empty() {
                match self.file.write_vectored(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => IoSlice::advance_slices(&mut rest, written),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// The file, to be read or written at any place.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Makes its content durable, dated now and in any case after what it replaces, so that the two
    /// never have the same entity tag; the mode stays that of the replaced file. Returns its state.
    pub(super) fn settle(&self, replaced: Option<&FileStat>) -> Result<FileStat, Errno> {
        let mut stat = find::stat(&self.file)?;
        if let Some(replaced) = replaced
            && (stat.mode ^ replaced.mode) & MODE_BITS != 0
        {
            fchmod(&self.file, mode(Some(replaced)))?;
        }
        let mut modified = now();
        let least = replaced.map_or(i64::MIN, |replaced| replaced.modified.0);
        for seconds in 0.. {
            if let Some(replaced) = replaced {
                modified = modified.max(just_after(replaced.modified));
            }
            futimens(&self.file, &dated(modified))?;
            stat = find::stat(&self.file)?;
            // A file system whose clock is coarse cuts the time off.
            if seconds > COARSEST_CLOCK_SECONDS
                || replaced.is_none_or(|replaced| stat.modified > replaced.modified)
            {
                break;
            }
            modified = (least + 1 + seconds, 0);
        }
        fsync(&self.file)?;
        Ok(stat)
    }

    /// Gives it a name that nothing has; `EEXIST` when something does.
    pub(super) fn create(&mut self, name: &CString) -> Result<(), Errno> {
        let Some(own) = &self.name else {
            return self.link(name);
        };
        let directory = &self.directory;
        let flags = RenameFlags::NOREPLACE;
        match renameat_with(directory, own, directory, name, flags) {
            // The file system does not know the flag.
            Err(Errno::INVAL | Errno::NOSYS) => {
                linkat(directory, own, directory, name, AtFlags::empty())
            }
            Ok(()) => {
                self.name = None;
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }

    /// Gives it the name of what it replaces.
    pub(super) fn replace(&mut self, name: &CString) -> Result<(), Errno> {
        let own = match self.name.take() {
            Some(own) => own,
            None => {
                let own = fresh_name();
                self.link(&own)?;
                own
            }
        };
        let renamed = renameat(&self.directory, &own, &self.directory, name);
        self.name = renamed.is_err().then_some(own);
        renamed
    }

    fn link(&self, name: &CString) -> Result<(), Errno> {
        let file = find::descriptor_path(&self.file);
        let flags = AtFlags::SYMLINK_FOLLOW;
        linkat(CWD, file, &self.directory, name, flags)
    }
}

/// Clocks of file systems are no coarser (FAT has two seconds).
const COARSEST_CLOCK_SECONDS: i64 = 3;

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // If it stays all the same, it is swept away later.
            let _ = unlinkat(&self.directory, name, AtFlags::empty());
        }
    }
}

fn fresh_name() -> CString {
    let (start, end) = DRAFT_NAME;
    let unique = uuid::Uuid::now_v7().simple();
    CString::new(format!("{start}{unique}{end}")).expect("there is no NUL in it")
}

fn mode(replaced: Option<&FileStat>) -> Mode {
    let bits = replaced.map_or(NEW_MODE, |replaced| replaced.mode & MODE_BITS);
    Mode::from_raw_mode(bits.into())
}

/// The time by the finest clock: the kernel dates files by a coarser one.
fn now() -> (i64, u32) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    (since.as_secs() as i64, since.subsec_nanos())
}

fn just_after((seconds, nanoseconds): (i64, u32)) -> (i64, u32) {
    match nanoseconds {
        999_999_999.. => (seconds.saturating_add(1), 0),
        _ => (seconds, nanoseconds + 1),
    }
}

fn dated((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
