//! Where the path of a root leads: followed through symbolic links, so that a deployment that
//! changes one of them, or renames a directory over another, is seen at once.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, open, openat, readlinkat};
use rustix::io::Errno;

use crate::base::limits::ROOT_LINKS_MAX;
use crate::engine::find::FIND_FLAGS;

/// A directory, by device and inode. An inode is not used again while a descriptor of it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

/// Which directory this is.
pub(super) fn identity(directory: impl AsFd) -> Result<Identity, Errno> {
    let stat = fstat(directory)?;
    Ok(Identity(stat.st_dev, stat.st_ino))
}

/// Opens the directory that a path leads to now, if we may enter it.
pub(super) fn open_root(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = FIND_FLAGS | OFlags::DIRECTORY;
    let root = open(path, flags, Mode::empty())?;
    // O_PATH asks for no permission on the directory itself: entering it does.
    openat(&root, ".", flags, Mode::empty())?;
    Ok(root)
}

/// Calls `visit` with each directory on the way and the name that is looked for in it, before it is
/// looked for; symbolic links are followed by hand. Ends where nothing more is found.
pub(super) fn walk_path(path: &Path, mut visit: impl FnMut(&OwnedFd, &[u8])) {
    let mut ahead: VecDeque<Vec<u8>> = names(path.as_os_str()).collect();
    let start = if path.is_absolute() { "/" } else { "." };
    let flags = FIND_FLAGS | OFlags::DIRECTORY;
    let Ok(mut here) = openat(CWD, start, flags, Mode::empty()) else {
        return;
    };
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        visit(&here, &name);
        let Ok(next) = openat(&here, &*name, FIND_FLAGS | OFlags::NOFOLLOW, Mode::empty()) else {
            return;
        };
        let is_link =
            |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        if !fstat(&next).is_ok_and(is_link) {
            here = next;
            continue;
        }
        let Ok(target) = readlinkat(&next, "", Vec::new()) else {
            return;
        };
        links += 1;
        if links > ROOT_LINKS_MAX {
            return;
        }
        if target.to_bytes().first() == Some(&b'/') {
            let Ok(top) = openat(CWD, "/", flags, Mode::empty()) else {
                return;
            };
            here = top;
        }
        let target = OsStr::from_bytes(target.to_bytes());
        names(target).rev().for_each(|name| ahead.push_front(name));
    }
}

fn names(path: &OsStr) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    let names = path.as_bytes().split(|byte| *byte == b'/');
    let names = names.filter(|name| !name.is_empty() && *name != b".");
    names.map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn visited(path: &Path) -> Vec<String> {
        let mut visited = Vec::new();
        walk_path(path, |directory, name| {
            let directory = std::fs::read_link(crate::engine::find::descriptor_path(directory));
            let place = directory.unwrap().join(OsStr::from_bytes(name));
            visited.push(place.display().to_string());
        });
        visited
    }

    #[test]
    fn each_directory_on_the_way_is_visited_with_the_name_in_it() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("releases/42/public")).unwrap();
        symlink("releases/../releases/42", top.join("current")).unwrap();
        symlink(top.join("current"), top.join("absolute")).unwrap();
        let below = |path: &Path| -> Vec<String> {
            let places = visited(path).into_iter();
            let below = places.filter_map(|place| {
                let place = place.strip_prefix(&format!("{}/", top.display()))?;
                Some(place.to_owned())
            });
            below.collect()
        };
        let expected = [
            "current",
            "releases",
            "releases/..",
            "releases",
            "releases/42",
            "releases/42/public",
        ];
        assert_eq!(below(&top.join("current/public")), expected);
        let through = below(&top.join("absolute/./public/"));
        assert_eq!(through[0], "absolute");
        assert_eq!(through[1..], expected);
        assert_eq!(below(&top.join("none/public")), ["none"]);
    }

    #[test]
    fn a_ring_of_links_ends() {
        let scratch = tempfile::tempdir().unwrap();
        symlink("b", scratch.path().join("a")).unwrap();
        symlink("a", scratch.path().join("b")).unwrap();
        let mut visits = 0;
        walk_path(&scratch.path().join("a"), |_, _| visits += 1);
        assert!(visits > ROOT_LINKS_MAX && visits < 2 * ROOT_LINKS_MAX);
        assert_eq!(
            open_root(&scratch.path().join("a")).unwrap_err(),
            Errno::LOOP
        );
    }

    #[test]
    fn a_root_is_told_from_another_in_its_place() {
        let scratch = tempfile::tempdir().unwrap();
        let (old, new) = (scratch.path().join("old"), scratch.path().join("new"));
        std::fs::create_dir(&old).unwrap();
        std::fs::create_dir(&new).unwrap();
        let before = open_root(&old).unwrap();
        assert_eq!(identity(&before), identity(open_root(&old).unwrap()));
        std::fs::remove_dir(&old).unwrap();
        assert_eq!(open_root(&old).unwrap_err(), Errno::NOENT);
        std::fs::rename(&new, &old).unwrap();
        assert_ne!(identity(&before), identity(open_root(&old).unwrap()));
    }
}
