//! The directory that a resource stands in, open for writing, and the name in it.
//!
//! No symbolic link is followed on the way, wherever it leads.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, fsync, mkdirat, openat, unlinkat};
use rustix::io::Errno;

use super::target::Target;
use crate::base::limits::WRITE_ATTEMPTS_MAX;
use crate::engine::operation::FileStat;
use crate::engine::{Links, find};

/// A name in an open directory.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) directory: Arc<OwnedFd>,
    pub(super) name: CString,
    /// Directories that were made for it; they go again unless something comes into them.
    made: Made,
}

/// Directories that were made, the outermost first: where, and under which name.
#[derive(Debug, Default)]
struct Made(Vec<(OwnedFd, CString)>);

impl Place {
    /// The name of `target` in its directory, which must be there.
    pub(super) fn open(target: &Target) -> Result<Place, Errno> {
        let parent = CString::new(target.inner.parent()).expect("a safe path holds no NUL");
        let found = find::find(&target.mount().root, &parent, Links::Refused)?;
        Ok(Place {
            directory: Arc::new(open_directory(&found)?),
            name: name_of(target),
            made: Made::default(),
        })
    }

    /// The same; missing directories are made, durably. Another write that has failed may remove
    /// one that it had made just before: then they are made again.
    pub(super) fn make(target: &Target) -> Result<Place, Errno> {
        for _ in 1..WRITE_ATTEMPTS_MAX {
            match Place::make_once(target) {
                Err(Errno::NOENT) => {}
                other => return other,
            }
        }
        Place::make_once(target)
    }

    fn make_once(target: &Target) -> Result<Place, Errno> {
        match Place::open(target) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let mut made = Made::default();
        let mut here = open_directory(&target.mount().root)?;
        for segment in target.inner.parent().split(|byte| *byte == b'/') {
            let name = CString::new(segment).expect("a safe path holds no NUL");
            let next = match enter(&here, &name) {
                Err(Errno::NOENT) => {
                    let here = open_directory(&here)?;
                    match mkdirat(&here, &name, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(errno) => return Err(errno),
                    }
                    let next = enter(&here, &name)?;
                    sync_directory(&here)?;
                    made.0.push((here, name));
                    next
                }
                other => other?,
            };
            here = next;
        }
        Ok(Place {
            directory: Arc::new(open_directory(&here)?),
            name: name_of(target),
            made,
        })
    }

    /// What stands under the name.
    pub(super) fn look(&self) -> Result<Option<FileStat>, Errno> {
        match find::stat_at(&self.directory, &self.name) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Opens the directory of that name.
    pub(super) fn enter(&self) -> Result<OwnedFd, Errno> {
        open_directory(enter(&self.directory, &self.name)?)
    }

    /// Another name in the same directory.
    pub(super) fn rename(&mut self, target: &Target) {
        self.name = name_of(target);
    }

    /// Something has come into its directory, which stays.
    pub(super) fn keep(&mut self) {
        self.made.0.clear();
    }
}

/// The last segment, and for a mount itself the directory.
fn name_of(target: &Target) -> CString {
    match target.inner.file_name() {
        b"" => c".".to_owned(),
        name => CString::new(name).expect("a safe path holds no NUL"),
    }
}

fn enter(directory: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}

/// Opens a directory that was found, so that it can be made durable.
pub(super) fn open_directory(found: impl AsFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(found, c".", flags, Mode::empty())
}

/// Makes the names of a directory durable. Some file systems have no way to, and need none.
pub(super) fn sync_directory(directory: &OwnedFd) -> Result<(), Errno> {
    match fsync(directory) {
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        other => other,
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // One that somebody else has filled meanwhile stays, and those around it.
        while let Some((directory, name)) = self.0.pop() {
            if unlinkat(&directory, &name, AtFlags::REMOVEDIR).is_err() {
                return;
            }
        }
    }
}
