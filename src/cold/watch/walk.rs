//! The way down from a root, with a watch on each directory: parent first, and each child by the
//! descriptor under which it was opened, so that nothing is exchanged unseen (see `crate::watch`).

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::filesystem;
use super::inotify::{Inotify, Target};
use crate::base::limits::WATCHED_DIRECTORIES_MAX;
use crate::engine::find::{FIND_FLAGS, descriptor_path};
use crate::watch::{DirectoryId, Unseen, Walk};

/// What was told once and is not told again.
#[derive(Default)]
pub(super) struct Warned {
    filesystems: HashSet<&'static str>,
    is_full: bool,
    has_failed: bool,
}

/// A [`Walk`] with inotify.
pub(super) struct Walker<'a> {
    pub(super) inotify: &'a mut Inotify,
    pub(super) warned: &'a mut Warned,
    /// The directory where it stands.
    pub(super) here: Option<Arc<OwnedFd>>,
    /// Something could not be watched, and is to be tried again some day.
    pub(super) is_partial: bool,
}

impl Walker<'_> {
    fn here(&self) -> &Arc<OwnedFd> {
        self.here.as_ref().expect("a walk begins at a root")
    }

    fn try_enter(&mut self, name: &[u8]) -> Result<(), Unseen> {
        if matches!(name, b"." | b"..") {
            return Err(Unseen::Blind);
        }
        let flags = FIND_FLAGS | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        match openat(self.here(), name, flags, Mode::empty()) {
            Ok(directory) => {
                self.here = Some(Arc::new(directory));
                Ok(())
            }
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Err(Unseen::Absent),
            // No directory: a file, where the names below it are missing, or a symbolic link, whose
            // target may change without an event here.
            Err(Errno::NOTDIR | Errno::LOOP) => {
                match statat(self.here(), name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                        Err(Unseen::Blind)
                    }
                    Ok(_) => Err(Unseen::Absent),
                    Err(_) => Err(Unseen::Blind),
                }
            }
            Err(_) => Err(Unseen::Blind),
        }
    }

    fn try_watch(&mut self) -> Result<i32, Unseen> {
        let here = Arc::clone(self.here());
        match filesystem::silent(&here) {
            Ok(None) => {}
            Ok(Some(name)) => {
                self.warned.tell_filesystem(name, &here);
                return Err(Unseen::Blind);
            }
            Err(_) => return Err(Unseen::Blind),
        }
        if self.inotify.len() >= WATCHED_DIRECTORIES_MAX {
            self.warned.tell_full("downpour watches so many at most");
            return Err(Unseen::Full);
        }
        match self.inotify.watch(&here, true) {
            Ok(watch) => Ok(watch),
            Err(Errno::NOSPC) => {
                self.warned
                    .tell_full("raise it with: sysctl fs.inotify.max_user_watches=1048576");
                Err(Unseen::Full)
            }
            Err(Errno::NOMEM) => Err(Unseen::Full),
            // Entered but not read by us: a directory of mode 711.
            Err(Errno::ACCESS) => Err(Unseen::Blind),
            Err(errno) => {
                self.warned.tell_failed(errno);
                Err(Unseen::Blind)
            }
        }
    }
}

impl Walk for Walker<'_> {
    fn begin(&mut self, root: Arc<OwnedFd>) {
        self.here = Some(root);
    }

    fn enter(&mut self, name: &[u8]) -> Result<(), Unseen> {
        let entered = self.try_enter(name);
        self.is_partial |= entered == Err(Unseen::Blind);
        entered
    }

    fn watch(&mut self) -> Result<i32, Unseen> {
        let watched = self.try_watch();
        self.is_partial |= watched.is_err();
        watched
    }

    fn bind(&mut self, handle: i32, directory: Option<DirectoryId>) {
        match directory {
            Some(directory) => self.inotify.bind(handle, Target::Directory(directory)),
            None => self.inotify.end_unused(handle),
        }
    }
}

impl Warned {
    fn tell_filesystem(&mut self, name: &'static str, directory: impl AsFd) {
        if self.filesystems.insert(name) {
            log::info!(
                "{} is on {name}, which does not report its changes: its files are compared with \
                 the disk after a second",
                shown(directory)
            );
        }
    }

    fn tell_full(&mut self, remedy: &str) {
        if !self.is_full {
            self.is_full = true;
            log::warn!(
                "there are more directories than can be watched ({remedy}); files in the others \
                 are compared with the disk after a second"
            );
        }
    }

    fn tell_failed(&mut self, errno: Errno) {
        if !self.has_failed {
            self.has_failed = true;
            log::warn!(
                "directories cannot be watched ({errno}); files are compared with the disk after \
                 a second"
            );
        }
    }
}

/// The path of an open directory, for people.
fn shown(directory: impl AsFd) -> String {
    let path = std::fs::read_link(descriptor_path(directory));
    path.map_or_else(|_| "the root".into(), |path| path.display().to_string())
}
