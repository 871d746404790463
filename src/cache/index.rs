//! One worker's view of the cache: raw path bytes to entries, asked before anything is decoded.
//!
//! Spelling variants of one path are several keys of one entry. The hasher is seeded, because peers
//! choose the keys. Bodies are not weighed here (the budget counts them once for all workers); what
//! an index costs is its keys.

use std::sync::Arc;

use foldhash::fast::RandomState;
use quick_cache::unsync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::entry::{Entry, Freshness, Verdict};
use super::store::Store;
use crate::base::Millis;
use crate::base::limits::{FRESH_FOR, INDEX_BYTES_MAX, INDEX_SWEEP_PAUSE, VERDICT_BYTES_MAX};

/// What one key costs besides its bytes: slot, hash table share, and the pointer to the entry.
const KEY_OVERHEAD_BYTES: u64 = 96;
const FRESH_MS: u64 = FRESH_FOR.as_millis() as u64;
const SWEEP_MS: u64 = INDEX_SWEEP_PAUSE.as_millis() as u64;

/// What a worker knows about the path of a request.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A representation; the caller judges its freshness.
    Entry(&'a Arc<Entry>),
    /// A fresh verdict.
    Verdict(Verdict),
}

/// The index of one worker.
pub struct Index {
    entries: Paths<Arc<Entry>>,
    /// Apart from the entries, so that requests for names that do not exist push nothing out.
    verdicts: Paths<(Verdict, Millis)>,
    /// The store's count of retirements up to which this index was swept.
    swept: u64,
    swept_at: Millis,
}

type Paths<V> = Cache<Box<[u8]>, V, WeighKey, RandomState, DefaultLifecycle<Box<[u8]>, V>>;

#[derive(Clone)]
struct WeighKey;

impl<V> Weighter<Box<[u8]>, V> for WeighKey {
    fn weight(&self, key: &Box<[u8]>, _value: &V) -> u64 {
        key.len() as u64 + KEY_OVERHEAD_BYTES
    }
}

fn paths<V>(bytes_max: u64) -> Paths<V> {
    let options = OptionsBuilder::new()
        .weight_capacity(bytes_max)
        .estimated_items_capacity((bytes_max / (2 * KEY_OVERHEAD_BYTES)) as usize)
        .build()
        .expect("both capacities are set");
    Cache::with_options(
        options,
        WeighKey,
        RandomState::default(),
        DefaultLifecycle::default(),
    )
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Index {
    /// An empty index.
    pub fn new() -> Index {
        Index {
            entries: paths(INDEX_BYTES_MAX),
            verdicts: paths(VERDICT_BYTES_MAX),
            swept: 0,
            swept_at: Millis::default(),
        }
    }

    /// What is known about a path, by its bytes as sent.
    #[inline]
    pub fn get(&self, raw_path: &[u8], now: Millis) -> Option<Seen<'_>> {
        if let Some(entry) = self.entries.get(raw_path) {
            return Some(Seen::Entry(entry));
        }
        let (verdict, checked_at) = self.verdicts.get(raw_path)?;
        (now.since(*checked_at) < FRESH_MS).then_some(Seen::Verdict(*verdict))
    }

    /// Remembers the entry behind a path, unless it went stale on its way here.
    pub fn insert(&mut self, raw_path: Box<[u8]>, entry: Arc<Entry>, now: Millis) {
        self.verdicts.remove(&raw_path[..]);
        let known = self.entries.peek(&raw_path[..]);
        if known.is_some_and(|known| Arc::ptr_eq(known, &entry)) {
            return;
        }
        if entry.freshness(now) == Freshness::Stale {
            self.entries.remove(&raw_path[..]);
        } else {
            self.entries.insert(raw_path, entry);
        }
    }

    /// Remembers that a path leads to no representation.
    pub fn insert_verdict(&mut self, raw_path: Box<[u8]>, verdict: Verdict, checked_at: Millis) {
        self.entries.remove(&raw_path[..]);
        self.verdicts.insert(raw_path, (verdict, checked_at));
    }

    /// Lets go of entries that the store has retired, so that their memory comes back. Looks
    /// through the whole index, so it does so rarely unless the memory is wanted, and not at all
    /// when nothing was retired since the last time.
    pub fn sweep(&mut self, store: &Store, now: Millis) {
        let retirements = store.retirements();
        let is_due = store.is_pressed() || now.since(self.swept_at) >= SWEEP_MS;
        if retirements != self.swept && is_due {
            self.entries.retain(|_, entry| !entry.is_retired());
            (self.swept, self.swept_at) = (retirements, now);
        }
    }

    /// Paths with an entry.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when no path has an entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
