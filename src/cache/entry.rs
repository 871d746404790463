//! What one path leads to, rendered once and shared by all workers.
//!
//! All of it is immutable, but for a few atomics: when it was last compared with the disk, whether
//! the disk tells us of changes, whether the store has let go of it, who works on it, and how much
//! it is used. They are relaxed: nothing is published through them, and reading an old value only
//! means to look once more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::budget::Permit;
use super::forms::{Forms, Made};
use super::representation::{Content, Outcome};
use crate::base::Millis;
use crate::base::limits::{FRESH_FOR, PROMOTE_HITS, PROMOTE_WINDOW, WATCHED_FRESH_FOR};
use crate::engine::operation::FileStat;
use crate::watch::{Suspicion, Trust, Watched};

/// How an entry stands to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Compared a moment ago, or watched since.
    Fresh,
    /// To be served, and to be compared again meanwhile.
    Ageing,
    /// Not to be served before it was compared again.
    Stale,
}

/// What a path leads to, and how it stands to the disk.
#[derive(Debug)]
pub struct Entry {
    /// The key under which the store has it.
    path: Box<[u8]>,
    outcome: Outcome,
    origin: Origin,
    hold: Hold,
    /// It says something about a moment: handed to those who wait now, and to nobody after them.
    passing: bool,
    /// On the clock that all workers share (`CLOCK_MONOTONIC`).
    checked_at: AtomicU64,
    /// Changes that this process had made to files when it was compared ([`Entry::seen_at`]).
    writes: AtomicU64,
    /// Told when the disk changes.
    suspicion: Suspicion,
    retired: AtomicBool,
    refreshing: AtomicBool,
    /// When an entry whose files are gone ends; 0 for one whose files are there.
    kept_until: AtomicU64,
    /// Since the policy looked last.
    used: AtomicBool,
    /// Hits since a moment, both in one word: see [`Entry::count_hit`].
    hits: AtomicU32,
    /// Shared with whoever replaces the entry while its files stay the same.
    forms: Arc<Forms>,
    /// The version of the forms that the outcome holds.
    forms_version: u32,
}

/// How an entry is held by the store.
#[derive(Debug, Default)]
pub struct Hold {
    /// Handed to those who wait for it, then forgotten.
    pub is_unkept: bool,
    /// Pay for open descriptors, for as long as the entry lives.
    pub descriptors: Vec<Permit>,
}

impl Hold {
    /// Of what is not kept.
    pub fn unkept() -> Hold {
        Hold {
            is_unkept: true,
            descriptors: Vec::new(),
        }
    }
}

/// What an entry was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Files on the disk, in these states.
    Files {
        states: Box<[FileStat]>,
        /// A file changed so shortly before it was read that it may change once more within the
        /// same tick of the file system's clock, without a trace in its times (the problem that
        /// git calls racy). Such a state proves nothing: the next comparison reads the file again.
        racy: bool,
    },
    /// A state of the disk that cannot be compared: it is found again.
    Unknown,
    /// The binary itself: never stale.
    Embedded,
}

/// Bytes that an entry costs besides its heads and its content: the structs, the slots.
const ENTRY_OVERHEAD_BYTES: u64 = 512;
const FRESH_MS: u64 = FRESH_FOR.as_millis() as u64;
const WATCHED_FRESH_MS: u64 = WATCHED_FRESH_FOR.as_millis() as u64;
const PROMOTE_MS: u64 = PROMOTE_WINDOW.as_millis() as u64;

impl Entry {
    /// An entry that was compared with its origin at `checked_at`.
    pub fn new(
        path: Box<[u8]>,
        outcome: Outcome,
        origin: Origin,
        hold: Hold,
        checked_at: Millis,
    ) -> Entry {
        if let Outcome::Resource(resource) = &outcome {
            for one in resource.all() {
                if let Content::Memory(bytes) = &one.content {
                    assert_eq!(bytes.len() as u64, one.len, "never a wrong length");
                }
            }
        }
        let (checked_at, writes) = match origin {
            Origin::Embedded => (Millis::NEVER, u64::MAX),
            Origin::Files { .. } | Origin::Unknown => (checked_at, 0),
        };
        // What has no resource is never in the store, which could let go of it.
        let retired = hold.is_unkept && matches!(outcome, Outcome::Resource(_));
        Entry {
            path,
            outcome,
            origin,
            checked_at: AtomicU64::new(checked_at.0),
            writes: AtomicU64::new(writes),
            passing: false,
            suspicion: Suspicion::new(),
            retired: AtomicBool::new(retired),
            hold,
            refreshing: AtomicBool::new(false),
            kept_until: AtomicU64::new(0),
            used: AtomicBool::new(false),
            hits: AtomicU32::new(0),
            forms: Arc::default(),
            forms_version: 0,
        }
    }

    /// This entry, whose outcome holds the forms of this version.
    #[must_use]
    pub fn with_forms(self, forms: Arc<Forms>, forms_version: u32) -> Entry {
        Entry {
            forms,
            forms_version,
            ..self
        }
    }

    /// This entry, which says nothing about the next moment.
    #[must_use]
    pub fn passing(self) -> Entry {
        Entry {
            passing: true,
            ..self
        }
    }

    /// True when nobody may remember it.
    pub fn is_passing(&self) -> bool {
        self.passing
    }

    /// What to send.
    #[inline]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The key under which the store has it.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// What it was made from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the fast lane may serve it.
    #[inline]
    pub fn freshness(&self, now: Millis) -> Freshness {
        let (age, fresh) = (self.age(now), self.fresh_ms());
        if age >= fresh || self.is_retired() {
            Freshness::Stale
        } else if age >= fresh / 2 {
            Freshness::Ageing
        } else {
            Freshness::Fresh
        }
    }

    /// True when it was compared with the disk shortly before `now`, retired or not.
    pub(super) fn is_current(&self, now: Millis) -> bool {
        self.age(now) < self.fresh_ms()
    }

    /// True when `states` prove that the files are what they were.
    pub fn is_unchanged(&self, states: &[FileStat]) -> bool {
        matches!(&self.origin, Origin::Files { states: known, racy: false } if **known == *states)
    }

    /// True when its files changed so shortly before they were read that their states prove
    /// nothing.
    pub fn is_racy(&self) -> bool {
        matches!(self.origin, Origin::Files { racy: true, .. })
    }

    /// The state of one of its files.
    pub fn state(&self, position: u8) -> Option<&FileStat> {
        match &self.origin {
            Origin::Files { states, .. } => states.get(usize::from(position)),
            Origin::Unknown | Origin::Embedded => None,
        }
    }

    /// Its files are gone: true while it may be served all the same, for `keep` from the first time
    /// that this is asked.
    pub fn keep_for(&self, keep: Duration, now: Millis) -> bool {
        let until = (now + keep).0;
        match self
            .kept_until
            .compare_exchange(0, until, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => true,
            Err(until) => now.0 < until,
        }
    }

    /// Notes that it was found unchanged; `now` is the time before the files were looked at.
    pub fn touch(&self, now: Millis) {
        // A slower comparison that began earlier must not make it look older.
        self.checked_at.fetch_max(now.0, Ordering::Relaxed);
    }

    /// Notes that it holds what the disk held when this process had made so many changes
    /// ([`super::Store::writes`], asked before the look).
    pub fn seen_at(&self, writes: u64) {
        self.writes.fetch_max(writes, Ordering::Relaxed);
    }

    /// True when this process has changed files since, and nobody would have told the entry if it
    /// depended on one of them.
    #[inline]
    pub fn is_overtaken_by(&self, writes: u64) -> bool {
        self.writes.load(Ordering::Relaxed) < writes && self.suspicion.trust() != Trust::Trusted
    }

    /// Nobody serves it before it was compared with the disk again.
    pub fn suspect(&self) {
        self.suspicion.forget();
        self.checked_at.store(0, Ordering::Relaxed);
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

    /// The compressed forms of its files.
    pub fn forms(&self) -> &Arc<Forms> {
        &self.forms
    }

    /// True when a form was made that its outcome does not hold yet.
    pub fn has_new_forms(&self) -> bool {
        self.forms.version() != self.forms_version
    }

    /// Hands over a compressed form. The next request finds the entry suspect, and whoever compares
    /// it with the disk puts one with this form in its place.
    pub fn add_made(&self, made: Made) {
        self.forms.add(made);
        self.suspect();
    }

    /// Notes a use for the policy.
    #[inline]
    pub fn mark_used(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// True when it was used since this was asked last.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Counts a hit of an entry whose body is not in memory; true when it deserves to be: now and
    /// then, when it was asked for often within a moment.
    pub fn count_hit(&self, now: Millis) -> bool {
        // The upper half of the word is the moment, the lower one its count. Races lose a count.
        let moment = (now.0 / PROMOTE_MS) as u32 & 0xffff;
        let word = self.hits.load(Ordering::Relaxed);
        let count = if word >> 16 == moment {
            (word & 0xffff).saturating_add(1).min(0xffff)
        } else {
            1
        };
        self.hits.store(moment << 16 | count, Ordering::Relaxed);
        count == PROMOTE_HITS
    }

    /// True when this call is the one that retired it.
    pub(super) fn retire(&self) -> bool {
        !self.retired.swap(true, Ordering::Relaxed)
    }

    /// How the store holds it.
    pub(super) fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Bytes in the store's accounts, and how many of them are bodies.
    pub(super) fn weight(&self) -> (u64, u64) {
        let (heads, bodies) = self.outcome.weights();
        let paths = 2 * self.path.len();
        let all = ENTRY_OVERHEAD_BYTES + (paths + heads + bodies) as u64;
        (all, bodies as u64)
    }

    #[inline]
    fn age(&self, now: Millis) -> u64 {
        now.since(Millis(self.checked_at.load(Ordering::Relaxed)))
    }

    #[inline]
    fn fresh_ms(&self) -> u64 {
        match self.suspicion.trust() {
            Trust::Trusted => WATCHED_FRESH_MS,
            Trust::Unwatched => FRESH_MS,
            Trust::Suspect => 0,
        }
    }
}

impl Watched for Entry {
    fn suspicion(&self) -> &Suspicion {
        &self.suspicion
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
