//! From a safe path to the file that it names at this moment, found but not opened.
//!
//! A load and a comparison both come here, so that access rules are the same on a hit as on a miss.
//! The kernel keeps the walk below the root, whatever symbolic links say.

use libc::{
    EACCES, EAGAIN, EINTR, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENOBUFS, ENOENT, ENOMEM, ENOTDIR,
    EPERM, ESTALE, EXDEV,
};

use super::site::Directory;
use crate::cache::Verdict;
use crate::engine::Errno;
use crate::engine::operation::{FileKind, FileStat, SharedFile};
use crate::http::SafePath;
use crate::task::Io;

/// A regular file that a path names.
#[derive(Debug)]
pub(super) struct Found {
    /// Found, not opened.
    pub(super) file: SharedFile,
    pub(super) stat: FileStat,
    /// The path of the file itself, which is another one than asked for when it is an index.
    pub(super) path: SafePath,
}

/// Finds what `path` names.
pub(super) async fn resolve(
    directory: &Directory,
    path: &SafePath,
    io: &Io,
) -> Result<Found, Verdict> {
    if path.is_hidden() {
        return Err(Verdict::Missing);
    }
    if path.ends_in_slash() {
        return resolve_index(directory, path, io).await;
    }
    let (file, stat) = find(directory, path, io).await?;
    match stat.kind {
        FileKind::Regular => Ok(Found {
            file,
            stat,
            path: path.clone(),
        }),
        FileKind::Directory => Err(Verdict::Directory),
        FileKind::Other => Err(Verdict::Missing),
    }
}

/// The first index that is there. A path to a regular file with a slash behind it ends here, too:
/// the kernel finds nothing below a file.
async fn resolve_index(directory: &Directory, path: &SafePath, io: &Io) -> Result<Found, Verdict> {
    for name in &directory.index_names {
        let path = path.join_index(name);
        match find(directory, &path, io).await {
            Ok((file, stat)) if stat.kind == FileKind::Regular => {
                return Ok(Found { file, stat, path });
            }
            Ok(_) | Err(Verdict::Missing) => {}
            Err(verdict) => return Err(verdict),
        }
    }
    Err(Verdict::Missing)
}

async fn find(
    directory: &Directory,
    path: &SafePath,
    io: &Io,
) -> Result<(SharedFile, FileStat), Verdict> {
    let refused = |errno| verdict_of(errno, path);
    let file = io
        .find(
            &directory.root,
            path.to_c_string(),
            crate::engine::Links::Inside,
        )
        .await;
    let file = file.map_err(refused)?;
    let stat = io.stat(&file).await.map_err(refused)?;
    Ok((file, stat))
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
