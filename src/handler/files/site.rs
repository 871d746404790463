//! A site: directories of files with their rules, or the pages inside the binary.
//!
//! What may change while it is served (its root that is swapped for a new deploy, the rules in its
//! files) stands in a [`Tree`], which is replaced as a whole: a request sees one tree from its
//! beginning to its end. Each tree has a generation, and everything cached belongs to one.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use rustix::fs::{Mode, OFlags, open, openat};

use crate::base::limits::TREES_KEPT_MAX;
use crate::compress::Kept;
use crate::engine::operation::SharedFile;
use crate::handler::welcome::Welcome;
use crate::http::SafePath;
use crate::route::{Maintenance, Rules, SiteSettings};
use crate::watch::{TreeId, Watch};

/// Where the files of a site come from, and its rules; shared by all workers.
#[derive(Debug)]
pub struct Site {
    /// Tells the keys of several sites apart in the one store.
    id: u16,
    settings: SiteSettings,
    /// Where compressed forms outlive the process.
    kept: Option<Arc<Kept>>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Directory(Current),
    Welcome(Welcome),
}

#[derive(Debug)]
struct Current {
    tree: ArcSwap<Tree>,
    /// That of the tree, to be asked on the fast lane.
    generation: AtomicU32,
}

/// The directories and rules of a site at one time.
#[derive(Debug)]
pub(in crate::handler) struct Tree {
    pub(super) generation: u32,
    /// The longest prefix first; the last is the root, without one.
    pub(in crate::handler) mounts: Vec<MountPoint>,
    /// Those of the settings, with those of the files at the root.
    pub(super) rules: Rules,
    /// The file that switches maintenance on is there.
    pub(super) in_maintenance: bool,
    /// The trees before, the latest first, and until when what they alone hold is served.
    pub(super) previous: Vec<(Arc<Tree>, Instant)>,
}

/// An open directory below a path of the site.
#[derive(Clone, Debug)]
pub struct MountPoint {
    /// Decoded, without slashes at its ends; empty for the root.
    pub prefix: Box<[u8]>,
    pub root: SharedFile,
    /// What the watch knows it by.
    pub watched: TreeId,
}

/// What changes with a new tree; `None` for what stays.
#[derive(Debug, Default)]
pub struct TreeChange {
    /// The mount points in the order of [`Site::mounts`].
    pub mounts: Option<Vec<MountPoint>>,
    pub rules: Option<Rules>,
    pub in_maintenance: Option<bool>,
}

impl MountPoint {
    /// A directory that was opened just now.
    pub fn new(prefix: &[u8], root: SharedFile, watch: &Watch) -> MountPoint {
        MountPoint {
            prefix: prefix.into(),
            watched: watch.add_tree(Arc::clone(&root)),
            root,
        }
    }
}

impl Site {
    /// The files below the root of `settings`, and its mounts. Runs at start, before a worker
    /// serves. `id`: a number of its own.
    ///
    /// # Errors
    /// Those of the kernel when a root is missing, no directory, or may not be entered; and
    /// [`io::ErrorKind::InvalidInput`] when an index name is not the name of a file.
    pub fn open(id: u16, settings: SiteSettings, watch: &Watch) -> io::Result<Site> {
        for name in &settings.finding.index_names {
            if !SafePath::is_segment(name.as_bytes()) {
                let message = format!("the index name {name:?} is not the name of a file");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        }
        let Some(root) = &settings.root else {
            let message = "a site of files needs a root";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        let mut mounts = Vec::new();
        for mount in &settings.mounts {
            let prefix = mount.prefix.as_bytes();
            mounts.push(MountPoint::new(prefix, open_root(&mount.root)?, watch));
        }
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.prefix.len()));
        mounts.push(MountPoint::new(b"", open_root(root)?, watch));
        let tree = Tree {
            generation: 0,
            mounts,
            rules: settings.rules.clone(),
            in_maintenance: false,
            previous: Vec::new(),
        };
        Ok(Site {
            id,
            settings,
            kept: None,
            source: Source::Directory(Current {
                tree: ArcSwap::from_pointee(tree),
                generation: AtomicU32::new(0),
            }),
        })
    }

    /// The welcome site, which names the engine that runs.
    pub fn welcome(engine: &str) -> Site {
        Site {
            id: 0,
            settings: SiteSettings::default(),
            kept: None,
            source: Source::Welcome(Welcome::new(engine)),
        }
    }

    /// Keeps compressed forms there from now on.
    #[must_use]
    pub fn keeping(self, kept: Arc<Kept>) -> Site {
        Site {
            kept: Some(kept),
            ..self
        }
    }

    pub(super) fn kept(&self) -> Option<Arc<Kept>> {
        self.kept.clone()
    }

    /// Its number.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// What it is asked to do.
    pub fn settings(&self) -> &SiteSettings {
        &self.settings
    }

    /// Grows with each new tree.
    #[inline]
    pub fn generation(&self) -> u32 {
        match &self.source {
            Source::Directory(current) => current.generation.load(Ordering::Acquire),
            Source::Welcome(_) => 0,
        }
    }

    /// The directories as they are now, in the order that [`TreeChange::mounts`] takes; none for
    /// the welcome site.
    pub fn mounts(&self) -> Vec<MountPoint> {
        match &self.source {
            Source::Directory(current) => current.tree.load().mounts.clone(),
            Source::Welcome(_) => Vec::new(),
        }
    }

    /// Puts a new tree in place of the old one, for all workers at once: everything cached belongs
    /// to the old one. To be called by one thread only.
    pub fn change(&self, change: TreeChange) {
        let Source::Directory(current) = &self.source else {
            return;
        };
        let old = current.tree.load_full();
        let mut previous = Vec::new();
        let keep = self.settings.keep_removed;
        if !keep.is_zero() {
            let now = Instant::now();
            if change.mounts.is_some() {
                previous.push((Arc::clone(&old), now + keep));
            }
            let kept = old.previous.iter().filter(|(_, until)| *until > now);
            previous.extend(kept.cloned());
            previous.truncate(TREES_KEPT_MAX);
        }
        let generation = old.generation + 1;
        let tree = Tree {
            generation,
            mounts: change.mounts.unwrap_or_else(|| old.mounts.clone()),
            rules: change.rules.unwrap_or_else(|| old.rules.clone()),
            in_maintenance: change.in_maintenance.unwrap_or(old.in_maintenance),
            previous,
        };
        current.tree.store(Arc::new(tree));
        // Behind the tree: who sees the new number finds the new tree, or a newer one.
        current.generation.store(generation, Ordering::Release);
    }

    pub(in crate::handler) fn tree(&self) -> Option<Arc<Tree>> {
        match &self.source {
            Source::Directory(current) => Some(current.tree.load_full()),
            Source::Welcome(_) => None,
        }
    }

    pub(super) fn welcome_page(&self) -> Option<&Welcome> {
        match &self.source {
            Source::Directory(_) => None,
            Source::Welcome(welcome) => Some(welcome),
        }
    }

    /// The key of a path in the store: the site, the generation, the host where rules tell hosts
    /// apart, and the path as decoded, with its final slash, since `dir` is a redirect and `dir/`
    /// an index. No path has a NUL.
    pub(super) fn store_key(
        &self,
        generation: u32,
        host: Option<&[u8]>,
        path: &SafePath,
    ) -> Box<[u8]> {
        let slash: &[u8] = if path.ends_in_slash() { b"/" } else { b"" };
        let (id, generation) = (self.id.to_ne_bytes(), generation.to_ne_bytes());
        let host = host.map(|host| [&host.to_ascii_lowercase()[..], b"\0"].concat());
        let host = host.unwrap_or_default();
        let parts = [&id[..], &generation, &host, path.as_bytes(), slash];
        parts.concat().into()
    }
}

impl Tree {
    /// The mount point that `path` lies below, and the path below that.
    pub(in crate::handler) fn mount_of(&self, path: &SafePath) -> (usize, SafePath) {
        let bytes = path.as_bytes();
        for (position, mount) in self.mounts.iter().enumerate() {
            let Some(rest) = bytes.strip_prefix(&mount.prefix[..]) else {
                continue;
            };
            if mount.prefix.is_empty() || rest.is_empty() || rest[0] == b'/' {
                return (position, path.below(mount.prefix.len()));
            }
        }
        unreachable!("the root has no prefix")
    }

    /// The maintenance that a path, decoded and with its leading slash, is under now.
    pub(in crate::handler) fn maintenance(&self, decoded: &[u8]) -> Option<&Maintenance> {
        let maintenance = self.rules.maintenance(decoded)?;
        let is_now = maintenance.when_file.is_none() || self.in_maintenance;
        is_now.then_some(maintenance)
    }
}

/// Opens a root; it is entered, too.
pub fn open_root(path: &Path) -> io::Result<SharedFile> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root: OwnedFd = open(path, flags, Mode::empty())?;
    // O_PATH asks for no permission on the directory itself: entering it does.
    openat(&root, OsStr::new("."), flags, Mode::empty())?;
    Ok(Arc::new(root))
}
