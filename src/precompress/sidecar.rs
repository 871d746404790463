//! One file and its compressed forms: which are current, and how they are made.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::interrupt::Interrupt;
use super::walk::Source;
use crate::base::limits::PRECOMPRESS_BYTES_MAX;
use crate::compress::{Effort, encode};
use crate::http::Coding;

/// What the names of unfinished files end with; they begin with a dot and are never served.
const UNFINISHED: &str = ".downpour-unfinished";
/// A form is kept when it saves at least one byte of so many.
const SAVES_ONE_OF: usize = 20;
/// From this size on, a quick try says first whether it is worth the time of the best.
const TRIED_FIRST_BYTES_MIN: usize = 64 * 1024;

/// What came of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    /// Forms that were written.
    pub written: u32,
    /// Bytes of the smallest of them.
    pub smallest_bytes: u64,
    /// Forms that were removed, since they would not be worth it any more.
    pub removed: u32,
}

/// True for files that a run writes at the moment, or has left behind.
pub(super) fn is_unfinished(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".") && name.as_bytes().ends_with(UNFINISHED.as_bytes())
}

/// True when the form beside `path` was made of it as it is: both have the same time.
pub(super) fn is_current(path: &Path, source: &Metadata, coding: Coding) -> bool {
    fs::symlink_metadata(beside(path, coding)).is_ok_and(|form| {
        form.is_file() && (form.mtime(), form.mtime_nsec()) == (source.mtime(), source.mtime_nsec())
    })
}

/// Makes every form that is wanted. One that does not save enough is not kept, and what lies in its
/// place goes: it is of an older source.
pub(super) fn make(source: &Source, interrupt: &Interrupt) -> io::Result<Made> {
    let (content, found) = read(&source.path)?;
    let mut made = Made::default();
    for coding in source.wanted.iter() {
        let form = smaller(coding, &content);
        let Some(_unharmed) = interrupt.hold_off() else {
            break; // The process is about to end.
        };
        let beside = beside(&source.path, coding);
        match form {
            Some(form) => {
                write(&beside, &form, &found)?;
                let bytes = form.len() as u64;
                let is_first = made.written == 0;
                made.smallest_bytes = if is_first {
                    bytes
                } else {
                    made.smallest_bytes.min(bytes)
                };
                made.written += 1;
            }
            None => match fs::remove_file(&beside) {
                Ok(()) => made.removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            },
        }
    }
    Ok(made)
}

fn beside(path: &Path, coding: Coding) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(coding.extension());
    name.into()
}

/// The whole content with the metadata that it belongs to.
fn read(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    let mut file = OpenOptions::new()
        .read(true)
        // What has become a link or a pipe since the walk is neither followed nor waited for.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.len() > PRECOMPRESS_BYTES_MAX {
        return Err(io::Error::other("it changed while it was read"));
    }
    let mut content = Vec::with_capacity(found.len() as usize + 1);
    (&mut file)
        .take(found.len() + 1)
        .read_to_end(&mut content)?;
    let after = file.metadata()?;
    if content.len() as u64 != found.len() || after.modified()? != found.modified()? {
        return Err(io::Error::other("it changed while it was read"));
    }
    Ok((content, found))
}

fn smaller(coding: Coding, content: &[u8]) -> Option<Vec<u8>> {
    let bytes_max = content.len() - content.len() / SAVES_ONE_OF;
    if content.len() >= TRIED_FIRST_BYTES_MIN {
        // The best saves more than a quick try does, but not where that saves nothing.
        encode(coding, Effort::Fast, content)
            .filter(|form| form.len() <= content.len() - content.len() / (2 * SAVES_ONE_OF))?;
    }
    encode(coding, Effort::Best, content).filter(|form| form.len() <= bytes_max)
}

/// Puts `form` at `path`, whole or not at all, with the rights, the owner and the time of its
/// source.
fn write(path: &Path, form: &[u8], source: &Metadata) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Short, since the name of the form may be as long as names can be.
    let name = format!(".{}-{number}{UNFINISHED}", std::process::id());
    let unfinished = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    let written = fill(&mut file, form, source).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished); // The error that counts is the first.
    }
    written
}

fn fill(file: &mut File, form: &[u8], source: &Metadata) -> io::Result<()> {
    file.write_all(form)?;
    if rustix::process::geteuid().is_root() {
        // A server without rights reads what a deploy by root leaves. The owner first: to change it
        // may take rights away.
        fchown(&*file, Some(source.uid()), Some(source.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(source.mode() & 0o777))?;
    file.set_modified(source.modified()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_saves_little_is_no_form() {
        // Noise with a repetition that saves about a tenth, or next to nothing.
        let mut state = 1_u32;
        let noise: Vec<u8> = (0..100_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let saves = |repeated: usize| [&noise[..], &noise[..repeated]].concat();
        for coding in [Coding::Brotli, Coding::Zstd] {
            assert!(smaller(coding, &saves(11_000)).is_some(), "{coding:?}");
            assert!(smaller(coding, &saves(2_000)).is_none(), "{coding:?}");
        }
        assert!(smaller(Coding::Gzip, &noise[..3000]).is_none());
        assert!(smaller(Coding::Gzip, &[b'x'; 300]).is_some());
    }

    #[test]
    fn unfinished_files_have_names_that_nobody_else_gives() {
        let scratch = tempfile::tempdir().unwrap();
        assert!(is_unfinished(OsStr::new(".12-3.downpour-unfinished")));
        assert!(!is_unfinished(OsStr::new("a.downpour-unfinished")));
        let source = scratch.path().join("a.txt");
        fs::write(&source, "x").unwrap();
        let found = fs::metadata(&source).unwrap();
        let long = scratch.path().join("n".repeat(252) + ".br");
        write(&long, b"form", &found).unwrap();
        assert_eq!(fs::read(&long).unwrap(), b"form");
        let too_long = scratch.path().join("n".repeat(256) + ".br");
        assert!(write(&too_long, b"form", &found).is_err());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
    }
}
