//! Drafts that a crash has left behind. They are seen by nobody, but take up room.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, RawDir, unlinkat};
use rustix::io::Errno;

use super::place::open_directory;
use crate::engine::operation::FileKind;
use crate::engine::{Links, find};
use crate::listing::is_draft;

/// Bytes that one call brings names in.
const NAMES_BUFFER_BYTES: usize = 32 * 1024;

/// Removes those to which nothing has happened for so long, from a directory and all below it. What
/// cannot be read is left as it is.
pub(super) fn sweep(root: &OwnedFd, left_after: Duration) {
    let mut rest = vec![CString::default()];
    while let Some(path) = rest.pop() {
        let Ok(found) = find::find(root, &path, Links::Refused) else {
            continue;
        };
        let Ok(directory) = open_directory(found) else {
            continue;
        };
        let below = |name: &CStr| {
            let parts = [path.as_bytes(), b"/", name.to_bytes()];
            let start = if path.is_empty() { 2 } else { 0 };
            CString::new(parts[start..].concat()).expect("no part holds a NUL")
        };
        // What could be read of it is done all the same.
        let _ = clean(&directory, left_after, |name| rest.push(below(name)));
    }
}

/// Removes them from one directory. `enter` is called for each directory in it.
pub(super) fn clean(
    directory: &OwnedFd,
    left_after: Duration,
    mut enter: impl FnMut(&CStr),
) -> Result<(), Errno> {
    let mut buffer = Vec::with_capacity(NAMES_BUFFER_BYTES);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if is_draft(name.to_bytes()) {
            remove_if_left(directory, name, left_after);
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Unknown => {
                find::stat_at(directory, name).is_ok_and(|stat| stat.kind == FileKind::Directory)
            }
            kind => kind == FileType::Directory,
        };
        if is_directory {
            enter(name);
        }
    }
    Ok(())
}

/// Another server may be writing to it at this moment: then it is young.
fn remove_if_left(directory: &OwnedFd, name: &CStr, left_after: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs() as i64;
    let oldest = now.saturating_sub(left_after.as_secs() as i64);
    let stat = find::stat_at(directory, name);
    if stat.is_ok_and(|stat| stat.kind == FileKind::Regular && stat.changed.0 <= oldest) {
        // If it stays, it is tried again at the next start.
        let _ = unlinkat(directory, name, AtFlags::empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_young_or_of_somebody_else_stays() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b/.downpour.d.tmp")).unwrap();
        for name in [
            ".downpour.1.tmp",
            "a/.downpour.2.tmp",
            "a/b/c",
            "a/.downpour",
        ] {
            fs::write(root.path().join(name), "").unwrap();
        }
        let directory: OwnedFd = fs::File::open(root.path()).unwrap().into();
        sweep(&directory, Duration::from_secs(60));
        let mut seen = Vec::new();
        clean(&directory, Duration::from_secs(60), |name| {
            seen.push(name.to_owned())
        })
        .unwrap();
        assert_eq!(seen, [c"a".to_owned()]);
        for name in [
            ".downpour.1.tmp",
            "a/.downpour.2.tmp",
            "a/b/c",
            "a/.downpour",
        ] {
            assert!(root.path().join(name).exists(), "{name}");
        }
        sweep(&directory, Duration::ZERO);
        for (name, stays) in [
            (".downpour.1.tmp", false),
            ("a/.downpour.2.tmp", false),
            ("a/b/c", true),
            ("a/.downpour", true),
            ("a/b/.downpour.d.tmp", true),
        ] {
            assert_eq!(root.path().join(name).exists(), stays, "{name}");
        }
    }
}
