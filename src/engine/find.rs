//! Finding, opening and describing files, so that no name leads out of a root and nothing but what
//! was looked at is ever opened.
//!
//! These calls may wait for a disk: they run on the threads of `blocking.rs`, or, one by one, as
//! operations of a ring. This file knows nothing of URLs; its paths come from the handlers.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, openat, openat2, statx,
};
use rustix::io::Errno;

use super::operation::FileKind;
use super::{FileStat, Links};

/// What a file is found with: named, not opened.
pub const FIND_FLAGS: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// How a path is followed.
pub fn resolve_flags(links: Links) -> ResolveFlags {
    const INSIDE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);
    match links {
        Links::Refused => INSIDE | ResolveFlags::NO_SYMLINKS,
        Links::Inside => INSIDE,
        Links::Anywhere => ResolveFlags::NO_MAGICLINKS,
    }
}

/// What a found file is opened with. Nothing found is a terminal or a FIFO by then, as the caller
/// looks first; the two flags keep even a mistake harmless.
pub const OPEN_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY)
    .union(OFlags::NONBLOCK);

/// What is asked of a file.
const WANTED: StatxFlags = StatxFlags::TYPE
    .union(StatxFlags::MODE)
    .union(StatxFlags::SIZE)
    .union(StatxFlags::INO)
    .union(StatxFlags::NLINK)
    .union(StatxFlags::MTIME)
    .union(StatxFlags::CTIME);

/// How often a lookup that raced with a rename is tried again.
const RACES_MAX: u32 = 8;

/// What `openat2` is given for a path: an empty one names the root itself.
pub fn path_or_root(path: &CStr) -> &CStr {
    if path.is_empty() { c"." } else { path }
}

/// Finds `path` below `root` without opening it: [`super::Operation::Find`].
///
/// Paths that lead out of the root (`..`, absolute ones, and symbolic links unless they may) end in
/// `EXDEV`.
pub fn find(root: impl AsFd, path: &CStr, links: Links) -> Result<OwnedFd, Errno> {
    if !openat2_works() {
        return match links {
            Links::Anywhere => openat(&root, path_or_root(path), FIND_FLAGS, Mode::empty()),
            Links::Refused | Links::Inside => find_by_segments(root.as_fd(), path),
        };
    }
    let resolve = resolve_flags(links);
    for _ in 0..RACES_MAX {
        let path = path_or_root(path);
        match openat2(&root, path, FIND_FLAGS, Mode::empty(), resolve) {
            // The kernel could not prove that a `..` stayed inside while something was renamed.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// [`find`] when all names of the path are in the kernel's cache, so that no disk is asked; `None`
/// when they are not, or when the kernel (before 5.12) cannot tell.
pub fn find_cached(root: impl AsFd, path: &CStr, links: Links) -> Option<Result<OwnedFd, Errno>> {
    if !openat2_works() {
        return None;
    }
    let resolve = resolve_flags(links).union(ResolveFlags::CACHED);
    match openat2(root, path_or_root(path), FIND_FLAGS, Mode::empty(), resolve) {
        Err(Errno::AGAIN | Errno::INTR | Errno::INVAL) => None,
        other => Some(other),
    }
}

/// Opens what [`find`] found, by its descriptor: [`super::Operation::OpenFound`].
///
/// Needs `/proc` for files. Where that is not mounted, directories can be opened all the same, and
/// files end in `ENOSYS`, which no missing file ever gives.
pub fn open_found(found: impl AsFd) -> Result<OwnedFd, Errno> {
    match openat(CWD, descriptor_path(&found), OPEN_FLAGS, Mode::empty()) {
        Err(errno @ (Errno::NOENT | Errno::NOTDIR)) => {
            let flags = OPEN_FLAGS.union(OFlags::DIRECTORY);
            openat(&found, c".", flags, Mode::empty()).map_err(|_| no_proc(errno))
        }
        other => other,
    }
}

/// The name under which `/proc` gives a descriptor's file, whatever its path is by now.
pub fn descriptor_path(found: impl AsFd) -> String {
    format!("/proc/self/fd/{}", found.as_fd().as_raw_fd())
}

/// The error of an open by [`descriptor_path`]: a descriptor cannot be missing, so `/proc` is.
pub fn no_proc(errno: Errno) -> Errno {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Errno::NOSYS,
        other => other,
    }
}

/// Describes an open or found file: [`super::Operation::Stat`].
pub fn stat(file: impl AsFd) -> Result<FileStat, Errno> {
    Ok(file_stat(&statx(file, c"", AtFlags::EMPTY_PATH, WANTED)?))
}

/// Describes what stands under a name of an open directory, without following a symbolic link.
pub fn stat_at(directory: impl AsFd, name: &CStr) -> Result<FileStat, Errno> {
    Ok(file_stat(&statx(
        directory,
        name,
        AtFlags::SYMLINK_NOFOLLOW,
        WANTED,
    )?))
}

fn file_stat(statx: &Statx) -> FileStat {
    FileStat {
        kind: kind_of(statx.stx_mode),
        mode: statx.stx_mode & 0o7777,
        len: statx.stx_size,
        device: (statx.stx_dev_major, statx.stx_dev_minor),
        inode: statx.stx_ino,
        hard_links: statx.stx_nlink,
        modified: (statx.stx_mtime.tv_sec, statx.stx_mtime.tv_nsec),
        changed: (statx.stx_ctime.tv_sec, statx.stx_ctime.tv_nsec),
    }
}

/// The kind that the upper bits of a mode stand for.
pub fn kind_of(mode: u16) -> FileKind {
    match FileType::from_raw_mode(mode.into()) {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        _ => FileKind::Other,
    }
}

/// False on kernels before 5.6, and under system call filters that do not know `openat2`.
fn openat2_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        let resolve = resolve_flags(Links::Inside);
        let probe = openat2(CWD, c".", FIND_FLAGS, Mode::empty(), resolve);
        !matches!(probe, Err(Errno::NOSYS | Errno::PERM))
    })
}

/// [`find`] without `openat2`: one segment at a time, each relative to the directory before it.
///
/// Safe, and stricter: no symbolic link is followed, not even one that stays inside (`ELOOP`), and
/// `..` is refused anywhere.
fn find_by_segments(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    let path = path.to_bytes();
    if path.first() == Some(&b'/') {
        return Err(Errno::XDEV);
    }
    let mut here = openat(root, c".", FIND_FLAGS | OFlags::DIRECTORY, Mode::empty())?;
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => continue,
            b".." => return Err(Errno::XDEV),
            _ => {}
        }
        here = openat(&here, segment, FIND_FLAGS | OFlags::NOFOLLOW, Mode::empty())?;
        // With `O_PATH | O_NOFOLLOW` a link is found itself. It would lead nowhere as a directory.
        if FileType::from_raw_mode(rustix::fs::fstat(&here)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
    }
    let wants_directory = path.ends_with(b"/") || path.ends_with(b"/.");
    if wants_directory && stat(&here)?.kind != FileKind::Directory {
        return Err(Errno::NOTDIR);
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    struct Tree {
        root: OwnedFd,
        _scratch: tempfile::TempDir,
    }

    /// `root/{a.txt, dir/b.txt, inside -> dir/b.txt, outside -> ../secret, absolute, upward}`.
    fn tree() -> Tree {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        std::fs::create_dir_all(root.join("dir")).unwrap();
        std::fs::write(scratch.path().join("secret"), "secret").unwrap();
        std::fs::write(root.join("a.txt"), "a").unwrap();
        std::fs::write(root.join("dir/b.txt"), "b").unwrap();
        symlink("dir/b.txt", root.join("inside")).unwrap();
        symlink("../secret", root.join("outside")).unwrap();
        symlink(scratch.path().join("secret"), root.join("absolute")).unwrap();
        symlink("..", root.join("upward")).unwrap();
        Tree {
            root: File::open(&root).unwrap().into(),
            _scratch: scratch,
        }
    }

    fn both(tree: &Tree, path: &str) -> [Result<OwnedFd, Errno>; 2] {
        let path = CString::new(path).unwrap();
        [
            find(&tree.root, &path, Links::Inside),
            find_by_segments(tree.root.as_fd(), &path),
        ]
    }

    #[test]
    fn finds_what_is_inside() {
        let tree = tree();
        for (path, kind) in [
            ("", FileKind::Directory),
            (".", FileKind::Directory),
            ("a.txt", FileKind::Regular),
            ("dir", FileKind::Directory),
            ("dir/", FileKind::Directory),
            ("dir//b.txt", FileKind::Regular),
            ("./dir/./b.txt", FileKind::Regular),
        ] {
            for found in both(&tree, path) {
                assert_eq!(stat(found.unwrap()).unwrap().kind, kind, "{path:?}");
            }
        }
    }

    #[test]
    fn nothing_leads_out() {
        let tree = tree();
        for path in [
            "..",
            "../secret",
            "dir/../../secret",
            "/etc/passwd",
            "outside",
            "absolute",
            "upward",
            "upward/secret",
            "upward/root/a.txt",
        ] {
            for (way, found) in both(&tree, path).into_iter().enumerate() {
                let errno = found.expect_err(path);
                let expected = [Errno::XDEV, Errno::LOOP, Errno::NOTDIR];
                assert!(expected.contains(&errno), "{path:?} way {way}: {errno:?}");
            }
        }
    }

    #[test]
    fn names_that_are_not_there_and_files_taken_for_directories() {
        let tree = tree();
        for (path, errno) in [
            ("b.txt", Errno::NOENT),
            ("none/b.txt", Errno::NOENT),
            ("a.txt/", Errno::NOTDIR),
            ("a.txt/b", Errno::NOTDIR),
        ] {
            for found in both(&tree, path) {
                assert_eq!(found.expect_err(path), errno, "{path:?}");
            }
        }
        let long = "x".repeat(300);
        for found in both(&tree, &long) {
            assert_eq!(found.expect_err("too long"), Errno::NAMETOOLONG);
        }
    }

    #[test]
    fn links_inside_are_followed_by_the_kernel_and_refused_by_the_fallback() {
        let tree = tree();
        let [kernel, fallback] = both(&tree, "inside");
        assert_eq!(stat(kernel.unwrap()).unwrap().kind, FileKind::Regular);
        assert_eq!(fallback.unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn links_are_followed_as_far_as_they_may() {
        let tree = tree();
        let found = |path: &str, links| {
            let path = CString::new(path).unwrap();
            find(&tree.root, &path, links)
        };
        for path in ["inside", "outside", "absolute", "upward/root/a.txt"] {
            assert_eq!(found(path, Links::Refused).unwrap_err(), Errno::LOOP);
            let file = found(path, Links::Anywhere).unwrap();
            assert_eq!(stat(file).unwrap().kind, FileKind::Regular, "{path}");
        }
        assert!(found("a.txt", Links::Refused).is_ok());
        assert!(found("dir/b.txt", Links::Refused).is_ok());
    }

    #[test]
    fn what_was_found_is_what_is_opened_even_if_the_name_changes_its_meaning() {
        let tree = tree();
        let found = find(&tree.root, c"a.txt", Links::Inside).unwrap();
        let path = tree._scratch.path().join("root/a.txt");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another").unwrap();
        let mut text = String::new();
        let mut opened = File::from(open_found(&found).unwrap());
        opened.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a");
        assert_eq!(stat(&found).unwrap().inode, stat(&opened).unwrap().inode);
    }

    #[test]
    fn stat_tells_one_state_of_a_file_from_another() {
        let tree = tree();
        let before = stat(find(&tree.root, c"a.txt", Links::Inside).unwrap()).unwrap();
        assert_eq!((before.kind, before.len), (FileKind::Regular, 1));
        assert_eq!(before.mode & 0o600, 0o600);
        std::fs::write(tree._scratch.path().join("root/a.txt"), "longer").unwrap();
        let after = stat(find(&tree.root, c"a.txt", Links::Inside).unwrap()).unwrap();
        assert_eq!((after.len, after.inode), (6, before.inode));
        assert_ne!(before, after);
    }
}
