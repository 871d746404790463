//! What there is to do: one walk through the directory, which changes nothing.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::sidecar;
use crate::base::limits::{COMPRESS_BYTES_MIN, PRECOMPRESS_BYTES_MAX};
use crate::config::PrecompressArgs;
use crate::http::{Coding, CodingSet, media_type};

/// An unfinished file so old belongs to a run that was killed.
const LEFT_OVER_AFTER: Duration = Duration::from_secs(60 * 60);

/// A file that lacks a current form.
#[derive(Debug)]
pub(super) struct Source {
    pub path: PathBuf,
    pub bytes: u64,
    /// The forms to make.
    pub wanted: CodingSet,
}

/// What the walk has found.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What is to be compressed, the largest first, so that no processor is left alone with it.
    pub sources: Vec<Source>,
    /// Files all of whose forms are current.
    pub current: u64,
    /// Files that are not compressed for their size, and that.
    pub too_large: Vec<(PathBuf, u64)>,
    /// Forms without a source, when they are to be removed.
    pub orphans: Vec<PathBuf>,
    /// What a run that was killed has left.
    pub left_over: Vec<PathBuf>,
    /// What could not be looked at.
    pub failed: Vec<(PathBuf, io::Error)>,
}

/// Looks through the directory. Symbolic links are not followed: what they lead to is found where
/// it lies, or is not ours to change.
pub(super) fn plan(args: &PrecompressArgs) -> Plan {
    let mut walk = Walk {
        codings: args.codings.iter().copied().collect(),
        args,
        plan: Plan::default(),
        open: vec![args.directory.clone()],
    };
    while let Some(directory) = walk.open.pop() {
        if let Err(error) = walk.look_through(&directory) {
            walk.plan.failed.push((directory, error));
        }
    }
    let mut plan = walk.plan;
    plan.sources.sort_by(|left, right| {
        right
            .bytes
            .cmp(&left.bytes)
            .then(left.path.cmp(&right.path))
    });
    plan.orphans.sort();
    plan
}

struct Walk<'a> {
    codings: CodingSet,
    args: &'a PrecompressArgs,
    plan: Plan,
    /// Directories that were found and not yet looked through.
    open: Vec<PathBuf>,
}

impl Walk<'_> {
    fn look_through(&mut self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry.file_name();
            if sidecar::is_unfinished(&name) {
                self.note_left_over(&entry);
            } else if self.is_hidden(&name, directory) {
                continue;
            } else if kind.is_dir() {
                self.open.push(entry.path());
            } else if kind.is_file()
                && let Err(error) = self.look_at(&entry, &name)
                && error.kind() != io::ErrorKind::NotFound
            {
                self.plan.failed.push((entry.path(), error)); // Gone meanwhile is no fault.
            }
        }
        Ok(())
    }

    /// What is not served needs no forms; a `.well-known` at the root (RFC 8615) is served.
    fn is_hidden(&self, name: &OsStr, directory: &Path) -> bool {
        let is_served = name == ".well-known" && directory == self.args.directory;
        name.as_bytes().starts_with(b".") && !is_served && !self.args.hidden
    }

    fn note_left_over(&mut self, entry: &DirEntry) {
        let modified = entry.metadata().and_then(|found| found.modified());
        let age = modified.map(|time| SystemTime::now().duration_since(time).unwrap_or_default());
        if age.is_ok_and(|age| age > LEFT_OVER_AFTER) {
            self.plan.left_over.push(entry.path());
        }
    }

    fn look_at(&mut self, entry: &DirEntry, name: &OsStr) -> io::Result<()> {
        if let Some(source) = source_of(name) {
            if self.args.remove && is_orphan(entry, &source)? {
                self.plan.orphans.push(entry.path());
            }
            return Ok(());
        }
        if !is_compressible(name) {
            return Ok(());
        }
        let found = entry.metadata()?;
        if found.len() < COMPRESS_BYTES_MIN {
            return Ok(());
        }
        let path = entry.path();
        if found.len() > PRECOMPRESS_BYTES_MAX {
            self.plan.too_large.push((path, found.len()));
            return Ok(());
        }
        let wanted: CodingSet = self
            .codings
            .iter()
            .filter(|coding| self.args.force || !sidecar::is_current(&path, &found, *coding))
            .collect();
        if wanted.is_empty() {
            self.plan.current += 1;
            return Ok(());
        }
        let bytes = found.len();
        self.plan.sources.push(Source {
            path,
            bytes,
            wanted,
        });
        Ok(())
    }
}

fn is_compressible(name: &OsStr) -> bool {
    media_type::is_compressible(&media_type::of_file_name(name.as_bytes()))
}

/// The name of the file whose form this one is by its own name.
fn source_of(name: &OsStr) -> Option<OsString> {
    let endings = [Coding::Brotli, Coding::Zstd, Coding::Gzip].map(Coding::extension);
    let name = name.as_bytes();
    let source = endings
        .iter()
        .find_map(|ending| name.strip_suffix(ending.as_bytes()))?;
    (!source.is_empty()).then(|| OsString::from_vec(source.to_vec()))
}

/// True when a form belongs to nothing that we would make it of. Of files that are not compressible
/// by their name we never made one: `backup.tar.gz` is a file by itself.
fn is_orphan(entry: &DirEntry, source: &OsStr) -> io::Result<bool> {
    if !is_compressible(source) {
        return Ok(false);
    }
    match fs::symlink_metadata(entry.path().with_file_name(source)) {
        Ok(found) => Ok(is_too_small(&found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn is_too_small(found: &Metadata) -> bool {
    found.is_file() && found.len() < COMPRESS_BYTES_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_known_by_their_names() {
        for (name, source) in [
            ("page.html.br", Some("page.html")),
            ("page.html.zst", Some("page.html")),
            ("backup.tar.gz", Some("backup.tar")),
            ("page.html", None),
            (".br", None),
            ("br", None),
        ] {
            assert_eq!(
                source_of(OsStr::new(name)),
                source.map(OsString::from),
                "{name}"
            );
        }
        assert!(is_compressible(OsStr::new("page.html")));
        for name in ["backup.tar", "picture.png", "page.html.br", "LICENSE"] {
            assert!(!is_compressible(OsStr::new(name)), "{name}");
        }
    }
}
