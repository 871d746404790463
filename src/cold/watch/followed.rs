//! One root whose path is followed, and its files with rules.
//!
//! Everything is looked at each half second besides; events only make it immediate. So it works, a
//! second later, on file systems that report nothing.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use tokio::time::Instant;

use super::inotify::{Inotify, Target};
use super::root::{Identity, identity, open_root, walk_path};
use crate::base::limits::{RACY_WINDOW, RULE_FILES_QUIET, RULE_FILES_WAIT_MAX};
use crate::engine::find;
use crate::engine::{FileStat, Links};

/// A root to follow.
pub struct Follow {
    /// As it was configured.
    pub path: PathBuf,
    /// Where the path led when it was opened last.
    pub root: Arc<OwnedFd>,
    /// Names of files at the root whose changes are told.
    pub files: Vec<CString>,
    /// Called on the cold thread: it may read files, and holds up nothing but other changes.
    pub on_change: Box<dyn FnMut(Change) + Send>,
}

/// What has happened to a followed root.
#[derive(Debug)]
pub enum Change {
    /// Its path leads to another directory, which is open here. Its files are to be read again.
    Root(Arc<OwnedFd>),
    /// One of its files was made, written, replaced or removed, and its writer seems to be done.
    Files,
}

/// A [`Follow`] at work.
pub(super) struct Followed {
    follow: Follow,
    /// Its number among the others, by which its watches know it.
    number: usize,
    identity: Option<Identity>,
    /// The watches on the way to the root, each with the name that counts there.
    path: Vec<(i32, Vec<u8>)>,
    /// The watch of the root itself, for its files.
    root: Option<i32>,
    /// The files as they were when they were told last.
    stamps: Vec<Option<FileStat>>,
    unrest: Option<Unrest>,
}

/// Something is being done to the files.
#[derive(Clone, Copy)]
struct Unrest {
    since: Instant,
    last: Instant,
}

impl Followed {
    pub(super) fn new(follow: Follow, number: usize) -> Followed {
        let identity = identity(&follow.root).ok();
        let mut followed = Followed {
            follow,
            number,
            identity,
            path: Vec::new(),
            root: None,
            stamps: Vec::new(),
            unrest: None,
        };
        followed.stamps = followed.stamps_now();
        followed
    }

    /// Watches the way to the root and looks where it leads. To be called at first and whenever
    /// something has happened on the way.
    pub(super) fn look_at_path(&mut self, inotify: Option<&mut Inotify>) {
        let mut inotify = inotify;
        if let Some(inotify) = inotify.as_deref_mut() {
            self.watch_path(inotify);
            self.watch_root(inotify);
        }
        // After the watches: what changes from here on is an event.
        self.look_at_root(inotify);
    }

    /// Looks whether the path leads elsewhere.
    pub(super) fn look_at_root(&mut self, inotify: Option<&mut Inotify>) {
        // A path that leads nowhere at the moment keeps its root.
        let Ok(root) = open_root(&self.follow.path) else {
            return;
        };
        let Ok(found) = identity(&root) else {
            return;
        };
        if self.identity == Some(found) {
            return;
        }
        self.identity = Some(found);
        self.follow.root = Arc::new(root);
        if let Some(inotify) = inotify {
            self.watch_path(inotify);
            self.watch_root(inotify);
        }
        self.stamps = self.stamps_now();
        self.unrest = None;
        log::info!("{} is another directory now", self.follow.path.display());
        let root = Arc::clone(&self.follow.root);
        (self.follow.on_change)(Change::Root(root));
    }

    /// The look of each half second, which needs no event.
    pub(super) fn look(&mut self, inotify: Option<&mut Inotify>, now: Instant) {
        self.look_at_root(inotify);
        let found = self.stamps_now();
        if found != self.stamps || (self.root.is_none() && self.stamps.iter().any(is_racy)) {
            self.note(now);
        }
    }

    /// Takes in an event on the way to the root; true when it asks for a look at the path.
    pub(super) fn concerns_path(&self, watch: i32, name: Option<&[u8]>) -> bool {
        let is_on_way = |(known, needed): &(i32, Vec<u8>)| {
            *known == watch && name.is_none_or(|name| name == &**needed)
        };
        self.path.iter().any(is_on_way)
    }

    /// Takes in an event in the root.
    pub(super) fn on_file_event(&mut self, name: Option<&[u8]>, now: Instant) {
        let mut files = self.follow.files.iter();
        if files.any(|file| name.is_none_or(|name| name == file.as_bytes())) {
            self.note(now);
        }
    }

    /// Takes in that the kernel has ended a watch.
    pub(super) fn on_watch_ended(&mut self, watch: i32) {
        self.path.retain(|(known, _)| *known != watch);
        self.root = self.root.filter(|known| *known != watch);
    }

    /// When [`Followed::tell_files`] is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        let unrest = self.unrest?;
        let quiet = unrest.last + RULE_FILES_QUIET;
        Some(quiet.min(unrest.since + RULE_FILES_WAIT_MAX))
    }

    /// Tells of changed files, when it is time.
    pub(super) fn tell_files(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            self.unrest = None;
            // Before they are read: what changes meanwhile is seen as different later.
            self.stamps = self.stamps_now();
            (self.follow.on_change)(Change::Files);
        }
    }

    fn note(&mut self, now: Instant) {
        let since = self.unrest.map_or(now, |unrest| unrest.since);
        self.unrest = Some(Unrest { since, last: now });
    }

    fn watch_path(&mut self, inotify: &mut Inotify) {
        let target = Target::Path(self.number);
        let mut path = Vec::new();
        walk_path(&self.follow.path, |directory, name| {
            // A directory that we may only pass through is left to the look of each half second.
            if let Ok(watch) = inotify.watch(directory, false) {
                inotify.bind(watch, target);
                path.push((watch, name.to_vec()));
            }
        });
        let old = std::mem::replace(&mut self.path, path);
        for (watch, _) in old {
            if self.path.iter().all(|(known, _)| *known != watch) {
                inotify.release(watch, target);
            }
        }
    }

    fn watch_root(&mut self, inotify: &mut Inotify) {
        if self.follow.files.is_empty() {
            return;
        }
        let target = Target::Files(self.number);
        let watch = inotify.watch(&self.follow.root, true).ok();
        if let Some(watch) = watch {
            inotify.bind(watch, target);
        }
        let old = std::mem::replace(&mut self.root, watch);
        if let Some(old) = old.filter(|old| self.root != Some(*old)) {
            inotify.release(old, target);
        }
    }

    fn stamps_now(&self) -> Vec<Option<FileStat>> {
        let stamp = |name: &CString| -> Result<FileStat, Errno> {
            find::stat(find::find(&self.follow.root, name, Links::Inside)?)
        };
        let files = self.follow.files.iter();
        files.map(|name| stamp(name).ok()).collect()
    }
}

/// True when a file may have changed once more without another stamp: then it is told again until
/// its stamp is old enough. Only where no event would tell.
fn is_racy(stamp: &Option<FileStat>) -> bool {
    let Some(stamp) = stamp else { return false };
    let changed = Duration::from_secs(stamp.changed.0.try_into().unwrap_or(0));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.is_ok_and(|now| now < changed + RACY_WINDOW && changed < now + RACY_WINDOW)
}
