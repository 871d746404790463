//! Makes an entry from a file, and compares entries with their files again. Slow lane only.
//!
//! A body in memory is read whole and proven: the file must be in the same state before and after
//! the read, so that no answer mixes two states or has a wrong length.

use std::sync::Arc;

use bytes::Bytes;

use super::render;
use super::resolve::{Found, resolve, verdict_of};
use super::site::Directory;
use crate::base::Now;
use crate::base::limits::{LOAD_ATTEMPTS_MAX, RACY_WINDOW};
use crate::cache::{
    Content, Entry, Hold, Lookup, Origin, Permit, Place, Refresh, Store, Stored, Verdict,
};
use crate::engine::Errno;
use crate::engine::operation::{FileStat, SharedFile};
use crate::http::{SafePath, Validators, media_type};
use crate::task::Io;

/// One site's loads.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) directory: &'a Directory,
    pub(super) store: &'a Store,
    pub(super) io: &'a Io,
    pub(super) now: Now,
}

/// Why an attempt to read a file gave no entry.
enum Unread {
    /// It was written to meanwhile.
    Changed,
    /// It only grew meanwhile; here is its earlier state, which was read whole.
    Grew(Bytes),
    Verdict(Verdict),
}

impl Loader<'_> {
    /// What `path` leads to: from the store, from the disk, or from somebody else's load.
    pub(super) async fn fetch(&self, path: &SafePath) -> Stored {
        let key = store_key(path);
        match self.store.lookup(&key, self.now.monotonic).await {
            Lookup::Current(stored) => stored,
            Lookup::Vacant(ticket) => {
                let found = resolve(self.directory, path, self.io).await;
                let stored = self.load(path, key, found).await;
                ticket.fill(stored.clone());
                stored
            }
            Lookup::Stale(ticket, entry) => {
                let found = resolve(self.directory, path, self.io).await;
                if is_unchanged(&entry, &found) {
                    ticket.confirm(self.now.monotonic);
                    return Stored::Entry(entry);
                }
                drop(entry);
                let stored = self.load(path, key, found).await;
                ticket.fill(stored.clone());
                stored
            }
        }
    }

    /// Compares an ageing entry with the disk while it is still being served.
    pub(super) async fn refresh(&self, refresh: Refresh, path: &SafePath) {
        let entry = refresh.entry();
        let found = resolve(self.directory, path, self.io).await;
        if is_unchanged(entry, &found) {
            entry.touch(self.now.monotonic);
            self.store.mark_used(entry);
        } else {
            // The next request loads it: it must wait for the new state anyway.
            self.store.forget(entry);
        }
    }

    async fn load(&self, path: &SafePath, key: Box<[u8]>, found: Result<Found, Verdict>) -> Stored {
        let mut found = found;
        for attempt in 1..=LOAD_ATTEMPTS_MAX {
            let is_last = attempt == LOAD_ATTEMPTS_MAX;
            let this = match found {
                Ok(found) => found,
                Err(verdict) => return Stored::Verdict(verdict),
            };
            match self.load_found(&key, &this).await {
                Ok(entry) => return Stored::Entry(Arc::new(entry)),
                Err(Unread::Verdict(verdict)) => return Stored::Verdict(verdict),
                Err(Unread::Grew(bytes)) if is_last => {
                    return Stored::Entry(Arc::new(self.snapshot(&key, &this, bytes)));
                }
                Err(Unread::Grew(_) | Unread::Changed) => {}
            }
            found = resolve(self.directory, path, self.io).await;
        }
        Stored::Verdict(Verdict::Changing)
    }

    async fn load_found(&self, key: &[u8], found: &Found) -> Result<Entry, Unread> {
        let refused = |errno| Unread::Verdict(verdict_of(errno, &found.path));
        let file = self.io.open_found(&found.file).await.map_err(refused)?;
        let stat = &found.stat;
        let (content, hold) = match self.store.place(stat.len) {
            Place::Memory(permit) => {
                let bytes = self.read_proven(&file, found, permit).await?;
                (bytes, Hold::Bytes)
            }
            Place::Descriptor(permit) => (Content::File(file), Hold::Descriptor(permit)),
            Place::Unkept => (Content::File(file), Hold::Unkept),
        };
        Ok(self.entry(key, found, content, hold))
    }

    /// Reads the file whole and looks whether it is still in the state in which it was found.
    async fn read_proven(
        &self,
        file: &SharedFile,
        found: &Found,
        permit: Permit,
    ) -> Result<Content, Unread> {
        let refused = |errno| Unread::Verdict(verdict_of(errno, &found.path));
        let bytes = self
            .read_exactly(file, found.stat.len)
            .await
            .map_err(refused)?;
        let after = self.io.stat(file).await.map_err(refused)?;
        let Some(bytes) = bytes else {
            return Err(Unread::Changed);
        };
        let bytes = permit.into_body(bytes);
        if after == found.stat {
            return Ok(Content::Memory(bytes));
        }
        let grew = (after.device, after.inode) == (found.stat.device, found.stat.inode)
            && after.len > found.stat.len;
        Err(if grew {
            Unread::Grew(bytes)
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

    fn entry(&self, key: &[u8], found: &Found, content: Content, hold: Hold) -> Entry {
        let stat = found.stat;
        let validators = Validators::of_file(stat.modified, stat.len);
        let media_type = media_type::of_file_name(found.path.file_name());
        let representation = render::representation(media_type, validators, stat.len, content);
        let racy = is_racy(&stat, self.now);
        let origin = Origin::File { stat, racy };
        Entry::new(key.into(), representation, origin, hold, self.now.monotonic)
    }

    /// An entry for a file that is appended to faster than it is read (a log): a state of it that
    /// was there once, for those who wait now. Nothing of it can be compared later, so it has no
    /// validators and is not kept.
    fn snapshot(&self, key: &[u8], found: &Found, bytes: Bytes) -> Entry {
        let stat = found.stat;
        let media_type = media_type::of_file_name(found.path.file_name());
        let content = Content::Memory(bytes);
        let validators = Validators::default();
        let representation = render::representation(media_type, validators, stat.len, content);
        let origin = Origin::File { stat, racy: true };
        Entry::new(
            key.into(),
            representation,
            origin,
            Hold::Unkept,
            self.now.monotonic,
        )
    }
}

fn is_unchanged(entry: &Entry, found: &Result<Found, Verdict>) -> bool {
    matches!(found, Ok(found) if entry.is_unchanged(&found.stat))
}

/// True when the file changed so shortly before now (or, by its file system's clock, after) that it
/// may change again without a trace. The time of the last change counts, not that of modification:
/// programs can set the latter.
fn is_racy(stat: &FileStat, now: Now) -> bool {
    let now = i64::try_from(now.unix_seconds).unwrap_or(i64::MAX);
    stat.changed.0 >= now.saturating_sub(RACY_WINDOW.as_secs() as i64)
}

/// The key of a path in the store: as decoded, with its final slash, since `dir` is a redirect and
/// `dir/` an index.
pub(super) fn store_key(path: &SafePath) -> Box<[u8]> {
    let slash: &[u8] = if path.ends_in_slash() { b"/" } else { b"" };
    [path.as_bytes(), slash].concat().into()
}
