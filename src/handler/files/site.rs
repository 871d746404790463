//! A site: a directory of files, or the pages inside the binary.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, open, openat};

use crate::engine::operation::SharedFile;
use crate::handler::welcome::Welcome;
use crate::http::SafePath;

/// What a site is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSettings {
    /// Names that stand for a directory, in order of preference (`--index`).
    pub index_names: Vec<String>,
}

impl Default for SiteSettings {
    fn default() -> Self {
        SiteSettings {
            index_names: vec!["index.html".to_owned()],
        }
    }
}

/// Where the files of a site come from; immutable and shared by all workers.
#[derive(Debug)]
pub struct Site(pub(super) Source);

#[derive(Debug)]
pub(super) enum Source {
    Directory(Directory),
    Welcome(Welcome),
}

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) root: SharedFile,
    pub(super) index_names: Vec<String>,
}

impl Site {
    /// The files below `root`. Runs at start, before a worker serves.
    ///
    /// # Errors
    /// Those of the kernel when `root` is missing, no directory, or may not be entered; and
    /// [`io::ErrorKind::InvalidInput`] when an index name is not the name of a file.
    pub fn open(root: &Path, settings: &SiteSettings) -> io::Result<Site> {
        for name in &settings.index_names {
            if !SafePath::is_segment(name.as_bytes()) {
                let message = format!("the index name {name:?} is not the name of a file");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root: OwnedFd = open(root, flags, Mode::empty())?;
        // O_PATH asks for no permission on the directory itself: entering it does.
        openat(&root, OsStr::new("."), flags, Mode::empty())?;
        Ok(Site(Source::Directory(Directory {
            root: Arc::new(root),
            index_names: settings.index_names.clone(),
        })))
    }

    /// The welcome site, which names the engine that runs.
    pub fn welcome(engine: &str) -> Site {
        Site(Source::Welcome(Welcome::new(engine)))
    }
}
