//! One representation of one file, rendered once and shared by all workers.
//!
//! All of it is immutable, but for three atomics: when it was last compared with the disk, whether
//! the store has let go of it, and whether somebody is comparing it at the moment. They are
//! relaxed: nothing is published through them, and reading an old value only means to look once
//! more.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

use super::budget::Permit;
use crate::base::Millis;
use crate::base::limits::FRESH_FOR;
use crate::engine::operation::{FileStat, SharedFile};
use crate::http::{HeadTemplate, Validators};

/// Where the bytes of a representation are.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory; counted by the budget until the last sender is done.
    Memory(Bytes),
    /// In an open file, which is sent from the page cache.
    File(SharedFile),
}

/// What is sent, in parts that fit every request for it.
#[derive(Debug)]
pub struct Representation {
    /// The head of a 200 answer.
    pub full: HeadTemplate,
    /// The head of a 304 answer.
    pub not_modified: HeadTemplate,
    /// The value of `Content-Type`, for the answers that are made for one request (206).
    pub media_type: Cow<'static, str>,
    /// What conditions and ranges are compared with.
    pub validators: Validators,
    /// Bytes of the content.
    pub len: u64,
    /// The content.
    pub content: Content,
}

/// Why a path leads to no representation. Never kept by the store; a worker's index may remember
/// the first three for as long as an entry stays fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A directory that was asked for without its final slash.
    Directory,
    /// Nothing that is served.
    Missing,
    /// We are not allowed to read it.
    Forbidden,
    /// The file changed each time that it was read.
    Changing,
    /// Out of descriptors or memory: later it may work.
    Exhausted,
    /// The disk failed us.
    Failed,
}

impl Verdict {
    /// True when it says something about the path rather than about this moment.
    pub fn is_lasting(self) -> bool {
        matches!(
            self,
            Verdict::Directory | Verdict::Missing | Verdict::Forbidden
        )
    }
}

/// How an entry stands to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Compared a moment ago.
    Fresh,
    /// To be served, and to be compared again meanwhile.
    Ageing,
    /// Not to be served before it was compared again.
    Stale,
}

/// A cached representation.
#[derive(Debug)]
pub struct Entry {
    /// The key under which the store has it.
    path: Box<[u8]>,
    representation: Representation,
    origin: Origin,
    hold: Hold,
    /// On the clock that all workers share (`CLOCK_MONOTONIC`).
    checked_at: AtomicU64,
    retired: AtomicBool,
    refreshing: AtomicBool,
}

/// How an entry is held by the store.
#[derive(Debug)]
pub enum Hold {
    /// By the bytes of its body, which its content pays for.
    Bytes,
    /// By one open descriptor, for as long as the entry lives.
    Descriptor(#[allow(dead_code, reason = "gives back on drop")] Permit),
    /// Not at all: handed to those who wait for it, then forgotten.
    Unkept,
}

/// What an entry was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file on the disk, in this state.
    File {
        stat: FileStat,
        /// The file changed so shortly before it was read that it may change once more within the
        /// same tick of the file system's clock, without a trace in its times (the problem that
        /// git calls racy). Such a state proves nothing: the next comparison reads the file again.
        racy: bool,
    },
    /// The binary itself: never stale.
    Embedded,
}

/// Bytes that an entry costs besides its heads and its content: the structs, the slots.
const ENTRY_OVERHEAD_BYTES: u64 = 512;
const FRESH_MS: u64 = FRESH_FOR.as_millis() as u64;

impl Entry {
    /// An entry that was compared with its origin at `checked_at`.
    pub fn new(
        path: Box<[u8]>,
        representation: Representation,
        origin: Origin,
        hold: Hold,
        checked_at: Millis,
    ) -> Entry {
        if let Content::Memory(bytes) = &representation.content {
            assert_eq!(
                bytes.len() as u64,
                representation.len,
                "never a wrong length"
            );
        }
        let checked_at = match origin {
            Origin::File { .. } => checked_at,
            Origin::Embedded => Millis::NEVER,
        };
        Entry {
            path,
            representation,
            origin,
            checked_at: AtomicU64::new(checked_at.0),
            retired: AtomicBool::new(matches!(hold, Hold::Unkept)),
            hold,
            refreshing: AtomicBool::new(false),
        }
    }

    /// What to send.
    #[inline]
    pub fn representation(&self) -> &Representation {
        &self.representation
    }

    /// The key under which the store has it.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Whether the fast lane may serve it.
    #[inline]
    pub fn freshness(&self, now: Millis) -> Freshness {
        let age = self.age(now);
        if age >= FRESH_MS || self.is_retired() {
            Freshness::Stale
        } else if age >= FRESH_MS / 2 {
            Freshness::Ageing
        } else {
            Freshness::Fresh
        }
    }

    /// True when it was compared with the disk shortly before `now`, retired or not.
    pub(super) fn is_current(&self, now: Millis) -> bool {
        self.age(now) < FRESH_MS
    }

    /// True when `stat` proves that the file is what it was.
    pub fn is_unchanged(&self, stat: &FileStat) -> bool {
        self.origin
            == Origin::File {
                stat: *stat,
                racy: false,
            }
    }

    /// Notes that it was found unchanged; `now` is the time before the file was looked at.
    pub fn touch(&self, now: Millis) {
        // A slower comparison that began earlier must not make it look older.
        self.checked_at.fetch_max(now.0, Ordering::Relaxed);
    }

    /// True once the store no longer has it: it is not served from an index any more.
    #[inline]
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Claims the comparison that an [`Freshness::Ageing`] entry asks for; one claim at a time.
    pub fn claim_refresh(self: &Arc<Self>) -> Option<Refresh> {
        let taken = self.refreshing.load(Ordering::Relaxed)
            || self.refreshing.swap(true, Ordering::Relaxed);
        (!taken).then(|| Refresh(Arc::clone(self)))
    }

    /// True when this call is the one that retired it.
    pub(super) fn retire(&self) -> bool {
        !self.retired.swap(true, Ordering::Relaxed)
    }

    /// How the store holds it.
    pub(super) fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Bytes in the store's accounts.
    pub(super) fn weight(&self) -> u64 {
        let representation = &self.representation;
        let heads = representation.full.weight() + representation.not_modified.weight();
        let content = match &representation.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File(_) => 0,
        };
        ENTRY_OVERHEAD_BYTES + (2 * self.path.len() + heads) as u64 + content
    }

    #[inline]
    fn age(&self, now: Millis) -> u64 {
        now.since(Millis(self.checked_at.load(Ordering::Relaxed)))
    }
}

/// The duty to compare one ageing entry with the disk; dropped undone, it can be claimed again.
#[derive(Debug)]
#[must_use = "a refresh that is dropped is asked for again by the next request"]
pub struct Refresh(Arc<Entry>);

impl Refresh {
    /// The entry to compare.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.0
    }
}

impl Drop for Refresh {
    fn drop(&mut self) {
        self.0.refreshing.store(false, Ordering::Relaxed);
    }
}
