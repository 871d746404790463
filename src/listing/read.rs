//! Reads a directory, once: the only part of listings that asks the kernel.
//!
//! Every call here may wait for a disk, and a large directory takes a call for each entry: this
//! runs on a thread that may wait, never on a worker.

use std::collections::HashSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Statx, StatxFlags, openat, openat2,
    statx,
};
use rustix::io::Errno;

use super::entries::{Entries, EntriesBuilder, Entry, EntryKind};
use crate::base::limits::LISTING_ENTRIES_MAX;

/// Bytes that one call brings names in: some hundred of them.
const NAMES_BUFFER_BYTES: usize = 32 * 1024;

/// Files at a site's root that are rules, not content.
const RULE_FILES: [&[u8]; 2] = [b"_headers", b"_redirects"];

/// What ends the name of a compressed form that stands beside its file.
const SIDECAR_ENDS: [&[u8]; 3] = [b".br", b".zst", b".gz"];

/// Names of files that are being written: `.downpour.`, something, `.tmp`. Nobody ever sees them.
/// All have one stem, so that the watch takes them for one file.
pub const DRAFT_NAME: (&str, &str) = (".downpour.", ".tmp");

/// True for the name of a file that is being written, or was when the server ended.
pub fn is_draft(name: &[u8]) -> bool {
    name.starts_with(DRAFT_NAME.0.as_bytes()) && name.ends_with(DRAFT_NAME.1.as_bytes())
}

/// What is shown of a directory. The default is what every site may show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Showing<'a> {
    /// Names that begin with a dot, too.
    pub hidden: bool,
    /// Leave out the compressed forms of files that are there themselves.
    pub omits_sidecars: bool,
    /// Leave out `_headers` and `_redirects`: this is the root of a site that reads them.
    pub omits_rule_files: bool,
    /// What becomes of symbolic links.
    pub links: Links<'a>,
}

/// What becomes of symbolic links. A link that is shown is shown as what it leads to.
#[derive(Clone, Copy, Debug, Default)]
pub enum Links<'a> {
    /// None is shown.
    #[default]
    Omitted,
    /// Those that lead to something below a root are shown. Takes `openat2`; a kernel or sandbox
    /// without it shows none.
    Beneath {
        /// The root that none may leave.
        root: BorrowedFd<'a>,
        /// The directory's path below that root, as `SafePath` writes it; empty for the root.
        directory: &'a [u8],
    },
    /// All that lead somewhere are shown.
    Followed,
}

/// Reads a directory, which may be open by its path only (`O_PATH`).
///
/// Left out are, besides what `showing` says, devices, sockets and FIFOs, and what is gone or may
/// not be looked at. Beyond [`LISTING_ENTRIES_MAX`] the listing ends and says so.
pub fn read(directory: impl AsFd, showing: Showing<'_>) -> io::Result<Entries> {
    read_bounded(directory.as_fd(), showing, LISTING_ENTRIES_MAX)
}

fn read_bounded(
    directory: BorrowedFd<'_>,
    showing: Showing<'_>,
    entries_max: usize,
) -> io::Result<Entries> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let directory: OwnedFd = openat(directory, c".", flags, Mode::empty())?;
    let mut builder = EntriesBuilder::new();
    let mut buffer = Vec::with_capacity(NAMES_BUFFER_BYTES);
    let mut names = RawDir::new(&directory, buffer.spare_capacity_mut());
    while let Some(found) = names.next() {
        let found = match found {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let name = found.file_name();
        if !may_be_shown(name.to_bytes(), showing) {
            continue;
        }
        let Some(entry) = describe(&directory, name, found.file_type(), showing.links) else {
            continue;
        };
        if builder.len() == entries_max {
            builder.cut();
            break;
        }
        builder.push(entry);
    }
    if showing.omits_sidecars {
        omit_sidecars(&mut builder);
    }
    Ok(builder.finish())
}

fn may_be_shown(name: &[u8], showing: Showing<'_>) -> bool {
    if matches!(name, b"." | b"..") || (name.starts_with(b".") && !showing.hidden) {
        return false;
    }
    if is_draft(name) {
        return false;
    }
    !(showing.omits_rule_files && RULE_FILES.contains(&name))
}

/// What stands under a name; `None` for what is not shown. `hint` spares a call for the rest.
fn describe<'a>(
    directory: &OwnedFd,
    name: &'a CStr,
    hint: FileType,
    links: Links<'_>,
) -> Option<Entry<'a>> {
    use FileType::{Directory, RegularFile, Symlink, Unknown};
    let mut found = match hint {
        Directory | RegularFile | Unknown => look(directory, name, AtFlags::SYMLINK_NOFOLLOW),
        Symlink => follow(directory, name, links),
        _ => None,
    }?;
    if hint != Symlink && file_type(&found) == Symlink {
        found = follow(directory, name, links)?; // The file system gives no hints.
    }
    let kind = match file_type(&found) {
        Directory => EntryKind::Directory,
        RegularFile => EntryKind::File,
        _ => return None,
    };
    Some(Entry {
        name: name.to_bytes(),
        kind,
        len: found.stx_size,
        modified_unix: found.stx_mtime.tv_sec,
        modified_ns: found.stx_mtime.tv_nsec,
    })
}

/// Describes what a link leads to, where it may be followed.
fn follow(directory: &OwnedFd, name: &CStr, links: Links<'_>) -> Option<Statx> {
    match links {
        Links::Omitted => None,
        Links::Followed => look(directory, name, AtFlags::empty()),
        Links::Beneath {
            root,
            directory: path,
        } => {
            let mut path = path.to_vec();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name.to_bytes());
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            let found = openat2(root, path, flags, Mode::empty(), resolve).ok()?;
            look(&found, c"", AtFlags::EMPTY_PATH)
        }
    }
}

/// Asks what a name stands for. What cannot be asked about could not be served either.
fn look(directory: &OwnedFd, name: &CStr, how: AtFlags) -> Option<Statx> {
    // What a network file system knows by now is good enough for a listing.
    let flags = how | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let wanted = StatxFlags::TYPE | StatxFlags::SIZE | StatxFlags::MTIME;
    statx(directory, name, flags, wanted).ok()
}

fn file_type(found: &Statx) -> FileType {
    FileType::from_raw_mode(u32::from(found.stx_mode))
}

/// The name of the file that a compressed form would belong to.
fn source_of_sidecar(name: &[u8]) -> Option<&[u8]> {
    let source = SIDECAR_ENDS.iter().find_map(|end| name.strip_suffix(*end));
    source.filter(|source| !source.is_empty())
}

fn omit_sidecars(builder: &mut EntriesBuilder) {
    let entries = builder.entries();
    let files = || entries.iter().filter(|entry| entry.kind == EntryKind::File);
    let wanted: HashSet<&[u8]> = files()
        .filter_map(|file| source_of_sidecar(file.name))
        .collect();
    if wanted.is_empty() {
        return;
    }
    let there: HashSet<Vec<u8>> = files()
        .filter(|file| wanted.contains(file.name))
        .map(|file| file.name.to_vec())
        .collect();
    builder.retain(|entry| {
        let source = source_of_sidecar(entry.name);
        let is_sidecar = source.is_some_and(|source| there.contains(source));
        entry.kind == EntryKind::Directory || !is_sidecar
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs::{self, File};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn opened(path: &Path, flags: OFlags) -> OwnedFd {
        rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    fn shown(path: &Path, showing: Showing<'_>) -> Vec<String> {
        let entries = read(opened(path, OFlags::PATH), showing).unwrap();
        let text = |entry: Entry<'_>| {
            let slash = if entry.kind == EntryKind::Directory {
                "/"
            } else {
                ""
            };
            String::from_utf8_lossy(entry.name).into_owned() + slash
        };
        entries.iter().map(text).collect()
    }

    #[test]
    fn a_directory_is_read_with_sizes_and_times() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.txt"), "hello").unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        let hour = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(3_600_000_000_007);
        let file = File::options()
            .write(true)
            .open(root.path().join("a.txt"))
            .unwrap();
        file.set_modified(hour).unwrap();
        for flags in [OFlags::PATH, OFlags::RDONLY | OFlags::DIRECTORY] {
            let entries = read(opened(root.path(), flags), Showing::default()).unwrap();
            assert_eq!((entries.len(), entries.directories()), (2, 1));
            let file = entries.get(1);
            assert_eq!((file.name, file.len), (&b"a.txt"[..], 5));
            assert_eq!((file.modified_unix, file.modified_ns), (3600, 7));
        }
    }

    #[test]
    fn what_is_no_content_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        for name in [".env", "_headers", "_redirects", "a", "..b"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        let fifo = root.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
        assert_eq!(
            shown(root.path(), Showing::default()),
            ["_headers", "_redirects", "a"]
        );
        let rules = Showing {
            omits_rule_files: true,
            ..Showing::default()
        };
        assert_eq!(shown(root.path(), rules), ["a"]);
        let hidden = Showing {
            hidden: true,
            ..rules
        };
        assert_eq!(shown(root.path(), hidden), ["..b", ".env", "a"]);
        drop(socket);
    }

    #[test]
    fn sidecars_are_left_out_when_their_file_is_there() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "a.js", "a.js.br", "a.js.gz", "a.js.zst", "b.tar.gz", "dir.gz", ".gz", "gz",
        ] {
            fs::write(root.path().join(name), "").unwrap();
        }
        fs::create_dir(root.path().join("dir")).unwrap();
        fs::create_dir(root.path().join("gz.br")).unwrap();
        let all = [
            "dir/", "gz.br/", "a.js", "a.js.br", "a.js.gz", "a.js.zst", "b.tar.gz", "dir.gz", "gz",
        ];
        assert_eq!(shown(root.path(), Showing::default()), all);
        let showing = Showing {
            omits_sidecars: true,
            ..Showing::default()
        };
        assert_eq!(
            shown(root.path(), showing),
            ["dir/", "gz.br/", "a.js", "b.tar.gz", "dir.gz", "gz"]
        );
    }

    #[test]
    fn links_are_shown_as_what_they_may_lead_to() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "123").unwrap();
        let root = tempfile::tempdir().unwrap();
        let sub = root.path().join("sub");
        fs::create_dir(&sub).unwrap();
        fs::write(root.path().join("top"), "12345").unwrap();
        symlink("../top", sub.join("inside")).unwrap();
        symlink("..", sub.join("up")).unwrap();
        symlink("../..", sub.join("above")).unwrap();
        symlink(outside.path().join("secret"), sub.join("outside")).unwrap();
        symlink("nowhere", sub.join("dangling")).unwrap();
        symlink("loop", sub.join("loop")).unwrap();
        symlink("/dev/null", sub.join("device")).unwrap();
        assert!(shown(&sub, Showing::default()).is_empty());
        let root = opened(root.path(), OFlags::PATH);
        let beneath = Links::Beneath {
            root: root.as_fd(),
            directory: b"sub",
        };
        let showing = Showing {
            links: beneath,
            ..Showing::default()
        };
        assert_eq!(shown(&sub, showing), ["up/", "inside"]);
        let showing = Showing {
            links: Links::Followed,
            ..Showing::default()
        };
        assert_eq!(shown(&sub, showing), ["above/", "up/", "inside", "outside"]);
        let entries = read(opened(&sub, OFlags::PATH), showing).unwrap();
        assert_eq!(
            entries.get(2).len,
            5,
            "the length of the file, not of the link"
        );
    }

    #[test]
    fn any_bytes_are_a_name() {
        let root = tempfile::tempdir().unwrap();
        let nasty: [&[u8]; 4] = [b"\xff\xfe", b"a\nb", b" ", "\u{202e}".as_bytes()];
        for name in nasty {
            fs::write(root.path().join(OsStr::from_bytes(name)), "").unwrap();
        }
        let entries = read(opened(root.path(), OFlags::PATH), Showing::default()).unwrap();
        let mut names: Vec<&[u8]> = entries.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        let mut expected = nasty;
        expected.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn many_files_are_all_found_and_too_many_are_told() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..20_000 {
            File::create(root.path().join(format!("file-{number}"))).unwrap();
        }
        let directory = opened(root.path(), OFlags::PATH);
        let entries = read(&directory, Showing::default()).unwrap();
        assert_eq!(entries.len(), 20_000);
        assert!(!entries.is_cut());
        for (number, entry) in entries.iter().enumerate() {
            assert_eq!(entry.name, format!("file-{number}").as_bytes());
        }
        for (entries_max, is_cut) in [(19_999, true), (20_000, false)] {
            let bounded = read_bounded(directory.as_fd(), Showing::default(), entries_max).unwrap();
            assert_eq!((bounded.len(), bounded.is_cut()), (entries_max, is_cut));
        }
    }

    #[test]
    fn what_is_no_directory_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = read(opened(file.path(), OFlags::PATH), Showing::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
