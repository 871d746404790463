//! One worker's view of the cache: raw path bytes to entries, asked before anything is decoded.
//!
//! Spelling variants of one path are several keys of one entry. The hasher is seeded, because peers
//! choose the keys. Bodies are not weighed here (the budget counts them once for all workers); what
//! an index costs is its keys.

use std::sync::Arc;

use foldhash::fast::RandomState;
use quick_cache::unsync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::entry::{Entry, Freshness};
use super::representation::Outcome;
use super::store::Store;
use crate::base::Millis;
use crate::base::limits::{INDEX_BYTES_MAX, INDEX_SWEEP_PAUSE, PAGES_BYTES_MAX};

/// What one key costs besides its bytes: slot, hash table share, and the pointer to the entry.
const KEY_OVERHEAD_BYTES: u64 = 96;
/// What an entry without a resource costs its worker: the entry and its head, which no store holds.
const PAGE_OVERHEAD_BYTES: u64 = 1024;
const SWEEP_MS: u64 = INDEX_SWEEP_PAUSE.as_millis() as u64;

/// The index of one worker.
pub struct Index {
    entries: Paths,
    /// What leads to no resource, apart from the entries, so that requests for names that do not
    /// exist push nothing out.
    pages: Paths,
    /// The store's count of retirements up to which this index was swept.
    swept: u64,
    swept_at: Millis,
}

type Paths =
    Cache<Box<[u8]>, Arc<Entry>, WeighKey, RandomState, DefaultLifecycle<Box<[u8]>, Arc<Entry>>>;

#[derive(Clone)]
struct WeighKey {
    overhead: u64,
}

impl Weighter<Box<[u8]>, Arc<Entry>> for WeighKey {
    fn weight(&self, key: &Box<[u8]>, _value: &Arc<Entry>) -> u64 {
        key.len() as u64 + self.overhead
    }
}

fn paths(bytes_max: u64, overhead: u64) -> Paths {
    let options = OptionsBuilder::new()
        .weight_capacity(bytes_max)
        .estimated_items_capacity((bytes_max / (2 * overhead)) as usize)
        .build()
        .expect("both capacities are set");
    Cache::with_options(
        options,
        WeighKey { overhead },
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
            entries: paths(INDEX_BYTES_MAX, KEY_OVERHEAD_BYTES),
            pages: paths(PAGES_BYTES_MAX, PAGE_OVERHEAD_BYTES),
            swept: 0,
            swept_at: Millis::default(),
        }
    }

    /// What is known about a path, by its bytes as sent; the caller judges its freshness.
    #[inline]
    pub fn get(&self, raw_path: &[u8]) -> Option<&Arc<Entry>> {
        match self.entries.get(raw_path) {
            Some(entry) => Some(entry),
            None => self.pages.get(raw_path),
        }
    }

    /// Remembers the entry behind a path, unless it went stale on its way here.
    pub fn insert(&mut self, raw_path: Box<[u8]>, entry: Arc<Entry>, now: Millis) {
        let is_resource = matches!(entry.outcome(), Outcome::Resource(_));
        let (into, other) = if is_resource {
            (&mut self.entries, &mut self.pages)
        } else {
            (&mut self.pages, &mut self.entries)
        };
        other.remove(&raw_path[..]);
        let known = into.peek(&raw_path[..]);
        if known.is_some_and(|known| Arc::ptr_eq(known, &entry)) {
            return;
        }
        if entry.freshness(now) == Freshness::Stale {
            into.remove(&raw_path[..]);
        } else {
            into.insert(raw_path, entry);
        }
    }

    /// Forgets everything: the tree behind all paths is another one.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.pages.clear();
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

    /// Paths with a resource.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when no path has a resource.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
