//! Looking names up on behalf of one load: below the mounts of one tree, and remembering in which
//! directories which names were looked for, so that the watch can tell when that changes.
//!
//! The kernel keeps each walk below its root, whatever symbolic links say.

use libc::{
    EACCES, EAGAIN, EINTR, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENOBUFS, ENOENT, ENOMEM, ENOTDIR,
    EPERM, ESTALE, EXDEV,
};

use super::beside;
use super::site::Tree;
use crate::engine::operation::{FileKind, FileStat, SharedFile};
use crate::engine::{Errno, Links};
use crate::http::SafePath;
use crate::task::{Io, Pool};
use crate::watch::{Observation, Sight, Watch};

/// Why a name leads to no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing that is served.
    Missing,
    /// We are not allowed to read it.
    Forbidden,
    /// The file changed each time that it was read.
    Changing,
    /// Out of descriptors or memory: later it may work.
    Exhausted,
    /// The disk failed us.
    Failed,
}

impl Verdict {
    /// True when it says something about the path rather than about this moment.
    pub(super) fn is_lasting(self) -> bool {
        matches!(self, Verdict::Missing | Verdict::Forbidden)
    }
}

/// A name that was looked up and found.
#[derive(Clone, Debug)]
pub(super) struct Located {
    /// Named, not opened.
    pub(super) file: SharedFile,
    /// Opened while something else was looked for.
    pub(super) opened: Option<SharedFile>,
    pub(super) stat: FileStat,
    /// A symbolic link stands in its path.
    pub(super) is_linked: bool,
    /// What was known of its directory before it was looked for.
    pub(super) directory: Option<Observation>,
}

/// A directory, and the name that was looked for in it; `None`: all of its names were.
type Seen = (Observation, Option<Vec<u8>>);

/// What was looked at, directory by directory.
#[derive(Debug, Default)]
pub(super) struct Trail {
    seen: Vec<Seen>,
    /// Something cannot be watched: what was found must be compared with the disk now and then.
    is_blind: bool,
}

impl Trail {
    /// What failed for the moment may be there all the same: nothing tells when it can be seen.
    pub(super) fn note(&mut self, verdict: Verdict) {
        self.is_blind |= !verdict.is_lasting();
    }

    /// Each directory with a name that was looked for in it; `None` when not all is watched.
    pub(super) fn watched(&self) -> Option<&[Seen]> {
        (!self.is_blind && !self.seen.is_empty()).then_some(&self.seen)
    }
}

/// One load's way through a tree.
pub(super) struct Walk<'a> {
    pub(super) tree: &'a Tree,
    pub(super) io: &'a Io,
    pub(super) watch: &'a Watch,
    pub(super) pool: &'a Pool,
    pub(super) follows_links: bool,
    pub(super) purpose: Purpose,
    pub(super) trail: Trail,
}

/// What files are found for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be sent: they are opened as soon as that costs no time.
    Load,
    /// To be compared with what is known of them.
    Compare,
}

impl Walk<'_> {
    /// Finds what `path` names below a mount.
    pub(super) async fn find(&mut self, mount: usize, path: &SafePath) -> Result<Located, Verdict> {
        let name = Some(path.file_name()).filter(|name| !name.is_empty());
        let directory = self.observe(mount, path.parent(), name).await;
        let mut found = self.find_unobserved(mount, path).await;
        // What has another name, too, can change by that one, in a directory that is not watched.
        if let Ok(located) = &mut found {
            located.directory = directory.filter(|_| !located.is_linked);
            let is_file = located.stat.kind == FileKind::Regular;
            self.trail.is_blind |= located.is_linked || (is_file && located.stat.hard_links > 1);
        }
        if let Err(verdict) = &found {
            self.trail.note(*verdict);
        }
        found
    }

    /// The same for a name that stands beside one that was looked for just now, and shares its
    /// stem.
    pub(super) async fn find_unobserved(
        &self,
        mount: usize,
        path: &SafePath,
    ) -> Result<Located, Verdict> {
        let root = &self.tree.mounts[mount].root;
        let refused = |errno| verdict_of(errno, path);
        let strict = self.io.find(root, path.to_c_string(), Links::Refused).await;
        let (found, is_linked) = match strict {
            Err(Errno(ELOOP)) => {
                let links = if self.follows_links {
                    Links::Anywhere
                } else {
                    Links::Inside
                };
                (self.io.find(root, path.to_c_string(), links).await, true)
            }
            other => (other, false),
        };
        let file = match found {
            Ok(file) => file,
            Err(errno) => return Err(refused(errno)),
        };
        let stat = self.io.stat(&file).await.map_err(refused)?;
        Ok(Located {
            file,
            opened: None,
            stat,
            is_linked,
            directory: None,
        })
    }

    /// Opens a file that is about to be sent. An error is met again by who needs it.
    pub(super) async fn open_ahead(&self, located: &Located) -> Option<SharedFile> {
        match self.purpose {
            Purpose::Load => self.io.open_found(&located.file).await.ok(),
            Purpose::Compare => None,
        }
    }

    /// All names of a directory are about to be looked at.
    pub(super) async fn observe_all(&mut self, mount: usize, directory: &SafePath) {
        self.observe(mount, directory.as_bytes(), None).await;
    }

    /// Has the directory of a file looked through, which seems to hold no compressed forms.
    pub(super) fn look_beside(&self, mount: usize, path: &SafePath, located: &Located) {
        if let Some(observation) = located.directory {
            let root = &self.tree.mounts[mount].root;
            beside::look(self.pool, self.watch, observation, root, path.parent());
        }
    }

    async fn observe(
        &mut self,
        mount: usize,
        directory: &[u8],
        name: Option<&[u8]>,
    ) -> Option<Observation> {
        if self.trail.is_blind {
            return None;
        }
        let tree = self.tree.mounts[mount].watched;
        match self.watch.observe(tree, directory).await {
            Sight::Watched(observation) => {
                let seen = (observation, name.map(<[u8]>::to_vec));
                if !self.trail.seen.contains(&seen) {
                    self.trail.seen.push(seen);
                }
                Some(observation)
            }
            Sight::Blind => {
                self.trail.is_blind = true;
                None
            }
        }
    }
}

/// What an error of the kernel means for the one who asked.
pub(super) fn verdict_of(errno: Errno, path: &SafePath) -> Verdict {
    match errno.0 {
        // No such name, or one that leads out of the root: nobody is told which.
        ENOENT | ENOTDIR | ELOOP | EXDEV | ENAMETOOLONG | ESTALE => Verdict::Missing,
        EACCES | EPERM => Verdict::Forbidden,
        EMFILE | ENFILE | ENOMEM | ENOBUFS => Verdict::Exhausted,
        // The engine has too much to do, or a rename kept racing with the walk (openat2(2)).
        EAGAIN | EINTR => Verdict::Exhausted,
        _ => {
            let name = path.as_bytes().escape_ascii();
            let error = std::io::Error::from(errno);
            log::error!("cannot read {name}: {error}");
            Verdict::Failed
        }
    }
}
