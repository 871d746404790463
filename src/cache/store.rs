//! The process-wide part of the cache: bounded, scan-resistant, one load at a time for one path.
//!
//! Its locks are the only ones that a worker takes. They are taken in the slow lane only, never on
//! a hit of an index, and held for a few map operations in memory: no wait for a disk, a peer or an
//! allocation of a body happens under them. A load in progress holds a placeholder, not a lock;
//! when its task is dropped, the next task in the queue takes the load over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use quick_cache::sync::{Cache, EntryAction, EntryResult, PlaceholderGuard};
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::budget::{Budget, Permit};
use super::entry::{Entry, Hold, Verdict};
use crate::base::Millis;

/// How much the store may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Bytes of all bodies in memory (`--cache-size`); 0 keeps nothing.
    pub bytes_max: u64,
    /// Bytes of the largest body that is kept in memory: the smaller of `--cache-entry-max` and one
    /// less than `--sendfile-min`.
    pub entry_bytes_max: u64,
    /// Open files that are kept for larger bodies: a share of `RLIMIT_NOFILE`.
    pub descriptors_max: u64,
}

/// What a path leads to.
#[derive(Clone, Debug)]
pub enum Stored {
    /// A representation.
    Entry(Arc<Entry>),
    /// None. Handed to those who wait for the same load, then forgotten.
    Verdict(Verdict),
}

/// The answer to [`Store::lookup`].
#[derive(Debug)]
pub enum Lookup<'a> {
    /// Compared with the disk within the time that entries stay fresh.
    Current(Stored),
    /// Unknown: the caller loads it; others wait for the ticket.
    Vacant(Ticket<'a>),
    /// Known, but to be compared with the disk by the caller; others wait for the ticket.
    Stale(Ticket<'a>, Arc<Entry>),
}

/// Where the content of a new entry goes.
#[derive(Debug)]
pub enum Place {
    /// Into memory that this permit pays for.
    Memory(Permit),
    /// It stays in its file, whose descriptor this permit pays for.
    Descriptor(Permit),
    /// It stays in its file, and nothing is kept: too large, or the budget is used up.
    Unkept,
}

/// The process-wide cache.
pub struct Store {
    entries: Entries,
    bodies: Arc<Budget>,
    descriptors: Arc<Budget>,
    retirements: Retirements,
    /// As in the settings, or less when a shard would not admit such an entry.
    entry_bytes_max: u64,
}

type Entries = Cache<Vec<u8>, Stored, Weigh, RandomState, Retirements>;
type Guard<'a> = PlaceholderGuard<'a, Vec<u8>, Stored, Weigh, RandomState, Retirements>;

/// One part in so many of a budget is left free by the store.
const SLACK_SHARE: u64 = 8;
/// A shard holds at least so many of the largest entries, so that one of them is not the whole of
/// it.
const LARGEST_PER_SHARD: u64 = 32;
const SHARDS_MAX: u64 = 16;
/// Guessed bytes of an entry: sets how many evicted paths are remembered to recognise a return.
const TYPICAL_ENTRY_BYTES: u64 = 16 * 1024;
/// The part of a shard for entries that proved useful. The rest is for newcomers, which must fit
/// there to stay until they are asked for again; the crate's own 97 % suits entries of equal size.
const HOT_SHARE: f64 = 0.9;
/// The part of a shard that one entry may fill: the policy refuses what exceeds the hot part.
const LARGEST_SHARE: f64 = 0.8;

/// The part of a budget that the store fills; the rest is for what is loaded or still being sent.
fn kept_of(limit: u64) -> u64 {
    limit - limit / SLACK_SHARE
}

impl Store {
    /// An empty store.
    pub fn new(settings: StoreSettings) -> Store {
        let capacity = kept_of(settings.bytes_max);
        let largest = settings.entry_bytes_max.max(TYPICAL_ENTRY_BYTES);
        let descriptors_kept = kept_of(settings.descriptors_max);
        let shards = (capacity / largest.saturating_mul(LARGEST_PER_SHARD))
            .min(descriptors_kept / LARGEST_PER_SHARD)
            .clamp(1, SHARDS_MAX);
        let shards = 1u64 << shards.ilog2(); // Rounded down: the cache would round up.
        let weigh = Weigh {
            bytes_per_descriptor: capacity / descriptors_kept.max(1),
        };
        let retirements = Retirements::default();
        let options = OptionsBuilder::new()
            .shards(shards as usize)
            .weight_capacity(capacity)
            .hot_allocation(HOT_SHARE)
            .estimated_items_capacity((capacity / TYPICAL_ENTRY_BYTES) as usize)
            .build()
            .expect("both capacities are set");
        let entries =
            Cache::with_options(options, weigh, RandomState::default(), retirements.clone());
        let admitted = (entries.shard_capacity() as f64 * LARGEST_SHARE) as u64;
        Store {
            entry_bytes_max: settings.entry_bytes_max.min(admitted),
            entries,
            bodies: Budget::new(settings.bytes_max),
            descriptors: Budget::new(settings.descriptors_max),
            retirements,
        }
    }

    /// What is known about a canonical path. When it is not known well enough, one caller at a time
    /// gets a ticket, and the others wait here until it is filled or dropped.
    pub async fn lookup(&self, path: &[u8], now: Millis) -> Lookup<'_> {
        match self.entries.get_value_or_guard_async(path).await {
            Ok(Stored::Entry(entry)) if !entry.is_current(now) => {}
            Ok(stored) => return Lookup::Current(stored),
            Err(guard) => return Lookup::Vacant(Ticket::new(guard, None, self)),
        }
        // Stale: replaced by a placeholder, unless somebody else did so meanwhile.
        let is_current = |stored: &Stored| match stored {
            Stored::Entry(entry) => entry.is_current(now),
            Stored::Verdict(_) => true,
        };
        let replace = |_: &Vec<u8>, stored: &mut Stored| {
            if is_current(stored) {
                EntryAction::Retain(stored.clone())
            } else {
                EntryAction::ReplaceWithGuard
            }
        };
        match self.entries.entry_async(path, replace).await {
            EntryResult::Retained(stored) => Lookup::Current(stored),
            EntryResult::Vacant(guard) => Lookup::Vacant(Ticket::new(guard, None, self)),
            EntryResult::Replaced(guard, Stored::Entry(entry)) => {
                Lookup::Stale(Ticket::new(guard, Some(Arc::clone(&entry)), self), entry)
            }
            EntryResult::Replaced(_, Stored::Verdict(_)) => {
                unreachable!("verdicts are always current")
            }
            EntryResult::Removed(..) | EntryResult::Timeout => {
                unreachable!("neither a removal nor a time limit was asked for")
            }
        }
    }

    /// Decides where the content of a new entry goes, and pays for it.
    pub fn place(&self, len: u64) -> Place {
        if len <= self.entry_bytes_max {
            return self.bodies.take(len).map_or(Place::Unkept, Place::Memory);
        }
        self.descriptors
            .take(1)
            .map_or(Place::Unkept, Place::Descriptor)
    }

    /// Notes that the policy should know of a hit: hits of an index never reach it, so whoever
    /// compares an entry in the background says that the entry is in use.
    pub fn mark_used(&self, entry: &Entry) {
        drop(self.entries.get(entry.path()));
    }

    /// Forgets an entry that is no longer what the disk holds.
    pub fn forget(&self, entry: &Arc<Entry>) {
        // Removed first: once it is seen as retired, a lookup no longer finds it.
        let is_this = |stored: &Stored| match stored {
            Stored::Entry(other) => Arc::ptr_eq(other, entry),
            Stored::Verdict(_) => false,
        };
        drop(self.entries.remove_if(entry.path(), is_this));
        self.retirements.retire(entry);
    }

    /// Grows whenever an entry is retired.
    pub fn retirements(&self) -> u64 {
        self.retirements.0.load(Ordering::Acquire)
    }

    /// True when more is alive than the store itself holds at most: others hold retired entries,
    /// and should let them go now.
    pub fn is_pressed(&self) -> bool {
        let is_pressed = |budget: &Budget| budget.live() > kept_of(budget.limit());
        is_pressed(&self.bodies) || is_pressed(&self.descriptors)
    }

    /// Bytes of bodies that are alive, wherever they are held.
    pub fn live_bytes(&self) -> u64 {
        self.bodies.live()
    }

    /// Descriptors that entries keep open.
    pub fn live_descriptors(&self) -> u64 {
        self.descriptors.live()
    }

    /// Entries that the store holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when the store holds nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The right and duty to say what a path leads to. Dropped unfilled, it passes to the next waiter.
#[derive(Debug)]
#[must_use = "those who wait for the path wait for this ticket"]
pub struct Ticket<'a> {
    guard: Guard<'a>,
    outgoing: Outgoing<'a>,
}

impl<'a> Ticket<'a> {
    fn new(guard: Guard<'a>, old: Option<Arc<Entry>>, store: &'a Store) -> Ticket<'a> {
        let retirements = &store.retirements;
        Ticket {
            guard,
            outgoing: Outgoing { old, retirements },
        }
    }

    /// Puts back the entry that was found unchanged.
    pub fn confirm(mut self, now: Millis) {
        let entry = self
            .outgoing
            .old
            .take()
            .expect("only a stale entry is confirmed");
        entry.touch(now);
        self.insert(Stored::Entry(entry));
    }

    /// Says what the path leads to and wakes those who wait. Keeps a representation if there is
    /// room for it; otherwise it is handed out retired.
    pub fn fill(self, stored: Stored) {
        self.insert(stored);
    }

    fn insert(self, stored: Stored) {
        // The placeholder is gone only when somebody removed the path, which nobody does while it
        // is a placeholder: `forget` compares the entry.
        if let Err(Stored::Entry(entry)) = self.guard.insert(stored) {
            self.outgoing.retirements.retire(&entry);
        }
    }
}

/// Retires the entry that a ticket replaced, unless it was put back.
#[derive(Debug)]
struct Outgoing<'a> {
    old: Option<Arc<Entry>>,
    retirements: &'a Retirements,
}

impl Drop for Outgoing<'_> {
    fn drop(&mut self) {
        if let Some(old) = self.old.take() {
            self.retirements.retire(&old);
        }
    }
}

/// Counts retirements; as the policy's life-cycle hook, retires what is evicted or refused.
#[derive(Clone, Debug, Default)]
struct Retirements(Arc<AtomicU64>);

impl Retirements {
    fn retire(&self, entry: &Entry) {
        if entry.retire() {
            // Release: an index that sees the new count also sees the flag.
            self.0.fetch_add(1, Ordering::Release);
        }
    }
}

impl Lifecycle<Vec<u8>, Stored> for Retirements {
    /// Dropped after the lock was released: freeing a large body takes its time.
    type RequestState = Vec<Stored>;

    fn on_evict(&self, evicted: &mut Vec<Stored>, _path: Vec<u8>, stored: Stored) {
        if let Stored::Entry(entry) = &stored {
            self.retire(entry);
        }
        evicted.push(stored);
    }
}

#[derive(Clone)]
struct Weigh {
    /// An entry in a file weighs at least its share of the descriptors, so that the policy also
    /// makes room among those.
    bytes_per_descriptor: u64,
}

/// Heavier than any store: refused after it was handed to those who wait.
const NEVER_KEPT: u64 = u64::MAX;

impl Weighter<Vec<u8>, Stored> for Weigh {
    fn weight(&self, _path: &Vec<u8>, stored: &Stored) -> u64 {
        match stored {
            Stored::Verdict(_) => NEVER_KEPT,
            Stored::Entry(entry) => match entry.hold() {
                Hold::Bytes => entry.weight(),
                Hold::Descriptor(_) => entry.weight().max(self.bytes_per_descriptor),
                Hold::Unkept => NEVER_KEPT,
            },
        }
    }
}
