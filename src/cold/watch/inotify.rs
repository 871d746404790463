//! One inotify descriptor, and what each of its watches is for.
//!
//! The kernel has one watch for a directory however often it is asked for. Here it is shared, so
//! that a directory which is in two trees, or on the way to a root, keeps its watch until nobody
//! needs it.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::engine::find::{descriptor_path, no_proc};
use crate::watch::DirectoryId;

/// What somebody wants to know of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Everything, for the registry.
    Directory(DirectoryId),
    /// Whether the path of the root with this number still leads where it led.
    Path(usize),
    /// Whether a file with rules has changed in the root with this number.
    Files(usize),
}

/// Changes of which names stand for what. `MODIFY` and `CLOSE_WRITE` are both needed: a file may be
/// written to for hours, and stores through a mapping are only told when it is closed. What happens
/// to a directory itself is told by the one above it, but for the root's permissions (`ATTRIB`).
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB);
const CONTENTS: WatchFlags = WatchFlags::MODIFY.union(WatchFlags::CLOSE_WRITE);
/// Another one's watch of the same directory keeps what it asked for (`MASK_ADD`); writing to a
/// file that has no name any more is of no interest (`EXCL_UNLINK`).
const HOW: WatchFlags = WatchFlags::ONLYDIR
    .union(WatchFlags::MASK_ADD)
    .union(WatchFlags::EXCL_UNLINK);

pub(super) struct Inotify {
    pub(super) descriptor: Arc<OwnedFd>,
    targets: HashMap<i32, Vec<Target>>,
}

impl Inotify {
    pub(super) fn new() -> Result<Inotify, Errno> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Inotify {
            descriptor: Arc::new(descriptor),
            targets: HashMap::new(),
        })
    }

    /// Watches an open directory, whatever its path is by now.
    pub(super) fn watch(&self, directory: impl AsFd, contents: bool) -> Result<i32, Errno> {
        let flags = if contents { NAMES | CONTENTS } else { NAMES };
        let path = descriptor_path(directory);
        inotify::add_watch(&self.descriptor, path, flags | HOW).map_err(no_proc)
    }

    /// Notes what a watch is for.
    pub(super) fn bind(&mut self, watch: i32, target: Target) {
        let targets = self.targets.entry(watch).or_default();
        if !targets.contains(&target) {
            targets.push(target);
        }
    }

    /// Ends a watch when nothing else needs it.
    pub(super) fn release(&mut self, watch: i32, target: Target) {
        let Some(targets) = self.targets.get_mut(&watch) else {
            return; // The kernel has ended it already.
        };
        targets.retain(|known| *known != target);
        self.end_unused(watch);
    }

    /// Ends a watch that nothing needs.
    pub(super) fn end_unused(&mut self, watch: i32) {
        if self.targets.get(&watch).is_none_or(Vec::is_empty) {
            self.targets.remove(&watch);
            // It may be gone with its directory.
            let _ = inotify::remove_watch(&self.descriptor, watch);
        }
    }

    /// What a watch is for; nothing for one that was ended and had events waiting.
    pub(super) fn targets(&self, watch: i32) -> Vec<Target> {
        self.targets.get(&watch).cloned().unwrap_or_default()
    }

    /// Takes in that the kernel has ended a watch; what it was for.
    pub(super) fn on_ended(&mut self, watch: i32) -> Vec<Target> {
        self.targets.remove(&watch).unwrap_or_default()
    }

    /// Directories with a watch.
    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }
}
