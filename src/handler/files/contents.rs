//! The bytes of a found file: into memory where there is room, proven whole; else left in the file.
//!
//! A body in memory is read whole and proven: the file must be in the same state before and after
//! the read, so that no answer mixes two states or has a wrong length.

use std::sync::Arc;

use bytes::Bytes;

use super::load::Loader;
use super::walk::{Located, Verdict, verdict_of};
use crate::base::Now;
use crate::base::limits::RACY_WINDOW;
use crate::cache::{BodyKey, Budget, Content, PaidBody, Permit, Place};
use crate::engine::Errno;
use crate::engine::named::NamedFile;
use crate::engine::operation::{FileStat, SharedFile};
use crate::http::SafePath;

/// Where the bytes of a file are, and what pays for that.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) content: Content,
    pub(super) descriptor: Option<Permit>,
    pub(super) is_unkept: bool,
}

/// Why an attempt to read a file gave nothing.
#[derive(Debug)]
pub(super) enum Unread {
    /// It was written to meanwhile.
    Changed,
    /// It only grew meanwhile; here is its earlier state, which was read whole.
    Grew(Bytes),
    Verdict(Verdict),
}

impl Placed {
    fn kept(content: Content) -> Placed {
        Placed {
            content,
            descriptor: None,
            is_unkept: false,
        }
    }
}

impl Loader<'_> {
    /// Places the content of a file that was found.
    pub(super) async fn place(
        &self,
        mount: usize,
        path: &SafePath,
        located: &Located,
    ) -> Result<Placed, Unread> {
        let stat = &located.stat;
        if self.opens {
            return Ok(Placed {
                content: Content::File(self.open(path, located).await?),
                descriptor: None,
                is_unkept: true,
            });
        }
        // The same bytes under another path: read once, held once.
        let key = (!is_racy(stat, self.now)).then(|| BodyKey::new(stat, ""));
        if let Some(body) = key.and_then(|key| self.store.shared_body(&key)) {
            return Ok(Placed::kept(Content::Memory(body.bytes())));
        }
        match self.store.place(stat.len, self.wanted) {
            Place::Memory(permit) => {
                let file = self.open(path, located).await?;
                let body = self.read_proven(&file, path, stat, permit).await?;
                if let Some(key) = key {
                    self.store.share_body(key, &body);
                }
                Ok(Placed::kept(Content::Memory(body.bytes())))
            }
            Place::Descriptor(permit) => Ok(Placed {
                content: Content::File(self.open(path, located).await?),
                descriptor: Some(permit),
                is_unkept: false,
            }),
            Place::Named(permit) if !located.is_linked => {
                // Opened in any case, so that what may not be read is told apart now.
                let opened = self.open(path, located).await?;
                let file = NamedFile {
                    root: Arc::clone(&self.tree.mounts[mount].root),
                    path: path.to_c_string(),
                    stat: *stat,
                    opened: permit.is_some().then_some(opened),
                };
                Ok(Placed {
                    content: Content::Named(Arc::new(file)),
                    descriptor: permit,
                    is_unkept: false,
                })
            }
            Place::Named(_) | Place::Unkept => Ok(Placed {
                content: Content::File(self.open(path, located).await?),
                descriptor: None,
                is_unkept: true,
            }),
        }
    }

    /// Reads a small file that is wanted whatever room there is: a page that explains an error.
    pub(super) async fn read_small(
        &self,
        path: &SafePath,
        located: &Located,
        bytes_max: u64,
    ) -> Option<Bytes> {
        if located.stat.len > bytes_max {
            return None;
        }
        let key = (!is_racy(&located.stat, self.now)).then(|| BodyKey::new(&located.stat, ""));
        if let Some(body) = key.and_then(|key| self.store.shared_body(&key)) {
            return Some(body.bytes());
        }
        // Where the cache is off or used up, it is held for as long as the answer.
        let len = located.stat.len;
        let permit = match self.store.pay(len) {
            Some(permit) => permit,
            None => Budget::new(len).take(len)?,
        };
        let file = self.open(path, located).await.ok()?;
        let read = self.read_proven(&file, path, &located.stat, permit).await;
        let body = read.ok()?;
        if let Some(key) = key {
            self.store.share_body(key, &body);
        }
        Some(body.bytes())
    }

    pub(super) async fn open(
        &self,
        path: &SafePath,
        located: &Located,
    ) -> Result<SharedFile, Unread> {
        if let Some(opened) = &located.opened {
            return Ok(Arc::clone(opened));
        }
        let opened = self.io.open_found(&located.file).await;
        opened.map_err(|errno| Unread::Verdict(verdict_of(errno, path)))
    }

    /// Reads the file whole and looks whether it is still in the state in which it was found.
    async fn read_proven(
        &self,
        file: &SharedFile,
        path: &SafePath,
        found: &FileStat,
        permit: Permit,
    ) -> Result<PaidBody, Unread> {
        let refused = |errno| Unread::Verdict(verdict_of(errno, path));
        let bytes = self.read_exactly(file, found.len).await.map_err(refused)?;
        let after = self.io.stat(file).await.map_err(refused)?;
        let Some(bytes) = bytes else {
            return Err(Unread::Changed);
        };
        let body = permit.into_body(bytes);
        if after == *found {
            return Ok(body);
        }
        let grew =
            (after.device, after.inode) == (found.device, found.inode) && after.len > found.len;
        Err(if grew {
            Unread::Grew(body.bytes())
        } else {
            Unread::Changed
        })
    }

    /// The first `len` bytes; `None` when the file has fewer.
    async fn read_exactly(&self, file: &SharedFile, len: u64) -> Result<Option<Vec<u8>>, Errno> {
        let len = usize::try_from(len).expect("what goes into memory fits its addresses");
        let mut buf = Vec::new();
        if buf.try_reserve_exact(len).is_err() {
            return Err(Errno(libc::ENOMEM));
        }
        while buf.len() < len {
            let offset = buf.len() as u64;
            let (filled, result) = self.io.read(file, offset, buf).await;
            buf = filled;
            match result {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(Errno(libc::EINTR)) => {}
                Err(errno) => return Err(errno),
            }
        }
        buf.truncate(len); // The allocator may have reserved more, and the file may have grown.
        Ok(Some(buf))
    }
}

/// True when the file changed so shortly before now (or, by its file system's clock, after) that it
/// may change again without a trace. The time of the last change counts, not that of modification:
/// programs can set the latter.
pub(super) fn is_racy(stat: &FileStat, now: Now) -> bool {
    let now = i64::try_from(now.unix_seconds).unwrap_or(i64::MAX);
    stat.changed.0 >= now.saturating_sub(RACY_WINDOW.as_secs() as i64)
}
