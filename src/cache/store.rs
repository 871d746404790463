//! The process-wide part of the cache: bounded, scan-resistant, one load at a time for one path.
//!
//! ```text
//! bodies       entries with a body in memory, weighed by their bytes
//! descriptors  entries that hold an open file, large ones and some of the small, counted
//! names        entries that know a file's heads and its name, counted
//! loads        one placeholder for each path that is being loaded; it keeps nothing
//! ```
//!
//! An entry stands in one tier. What has no room in memory is not loaded there at the cost of
//! something else: it is known by name, and moves into memory when it is asked for often.
//!
//! Its locks are the only ones that a worker takes. They are taken in the slow lane only, never on
//! a hit of an index, and held for a few map operations in memory: no wait for a disk, a peer or an
//! allocation of a body happens under them. A load in progress holds a placeholder, not a lock;
//! when its task is dropped, the next task in the queue takes the load over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle, PlaceholderGuard};
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::budget::{Budget, PaidBody, Permit};
use super::entry::Entry;
use super::representation::Outcome;
use super::shared_bodies::{BodyKey, SharedBodies};
use crate::base::Millis;

/// How much the store may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Bytes of all bodies in memory (`--cache-size`); 0 keeps nothing.
    pub bytes_max: u64,
    /// Bytes of the largest body that is kept in memory: the smaller of `--cache-entry-max` and one
    /// less than `--sendfile-min`.
    pub entry_bytes_max: u64,
    /// Open files that are kept, first of all for larger bodies: a share of `RLIMIT_NOFILE`.
    pub descriptors_max: u64,
    /// Files that are known by their heads and names (`--cache-files`).
    pub names_max: u64,
}

/// The answer to [`Store::lookup`].
#[derive(Debug)]
pub enum Lookup<'a> {
    /// Compared with the disk within the time that entries stay fresh.
    Current(Arc<Entry>),
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
    /// It stays in its file, which is read for each answer: opened by its name, or kept open where
    /// a permit pays for that.
    Named(Option<Permit>),
    /// It stays in its file, and nothing is kept: the budget is used up.
    Unkept,
}

/// Why a body is to be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It is asked for: into memory where there is room.
    Now,
    /// It is asked for often: into memory, instead of what is used less.
    Often,
}

/// The process-wide cache.
pub struct Store {
    bodies: Tier,
    descriptors: Tier,
    names: Tier,
    loads: Loads,
    body_bytes: Arc<Budget>,
    descriptor_count: Arc<Budget>,
    shared: SharedBodies,
    retirements: Retirements,
    /// Changes that this process has made to files.
    writes: AtomicU64,
    /// As in the settings, or less when a shard would not admit such an entry.
    entry_bytes_max: u64,
    /// The weight of [`Store::bodies`] above which nothing is added but what is asked for often.
    full_bytes: u64,
    keeps_names: bool,
}

type Tier = Cache<Vec<u8>, Arc<Entry>, Weigh, RandomState, Retirements>;
type LoadsLifecycle = DefaultLifecycle<Vec<u8>, Arc<Entry>>;
type Loads = Cache<Vec<u8>, Arc<Entry>, KeepNothing, RandomState, LoadsLifecycle>;
type Guard<'a> =
    PlaceholderGuard<'a, Vec<u8>, Arc<Entry>, KeepNothing, RandomState, LoadsLifecycle>;

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
/// Of one part in so many of the bodies' weight, nothing is filled without need: shards differ.
const UNEVEN_SHARE: u64 = 16;

/// One descriptor of so many is left to large files.
const LARGE_FILES_SHARE: u64 = 4;

/// The part of a budget that the store fills; the rest is for what is loaded or still being sent.
fn kept_of(limit: u64) -> u64 {
    limit - limit / SLACK_SHARE
}

impl Store {
    /// An empty store.
    pub fn new(settings: StoreSettings) -> Store {
        let keeps = settings.bytes_max > 0;
        let capacity = kept_of(settings.bytes_max);
        let largest = settings.entry_bytes_max.max(TYPICAL_ENTRY_BYTES);
        let retirements = Retirements::default();
        let shards = (capacity / largest.saturating_mul(LARGEST_PER_SHARD)).clamp(1, SHARDS_MAX);
        let bodies = tier(
            capacity,
            capacity / TYPICAL_ENTRY_BYTES,
            shards,
            Weigh::Bytes,
            &retirements,
        );
        let counted = |count: u64| {
            let count = if keeps { count } else { 0 };
            let shards = (count / LARGEST_PER_SHARD).clamp(1, SHARDS_MAX);
            tier(count, count, shards, Weigh::One, &retirements)
        };
        let admitted = (bodies.shard_capacity() as f64 * LARGEST_SHARE) as u64;
        Store {
            entry_bytes_max: settings.entry_bytes_max.min(admitted),
            full_bytes: capacity - capacity / UNEVEN_SHARE,
            bodies,
            descriptors: counted(kept_of(settings.descriptors_max)),
            names: counted(settings.names_max),
            loads: loads(),
            body_bytes: Budget::new(settings.bytes_max),
            descriptor_count: Budget::new(settings.descriptors_max),
            shared: SharedBodies::default(),
            retirements,
            writes: AtomicU64::new(0),
            keeps_names: keeps && settings.names_max > 0,
        }
    }

    /// What is known about a canonical path. When it is not known well enough, one caller at a time
    /// gets a ticket, and the others wait here until it is filled or dropped.
    pub async fn lookup(&self, path: &[u8], now: Millis) -> Lookup<'_> {
        let writes = self.writes();
        let current = |entry: &Arc<Entry>| entry.is_current(now) && !entry.is_overtaken_by(writes);
        if let Some(entry) = self.known(path).filter(current) {
            return Lookup::Current(entry);
        }
        let guard = loop {
            match self.loads.get_value_or_guard_async(path).await {
                // A load that began before a file was changed: the next one began after.
                Ok(entry) if entry.is_overtaken_by(writes) => {}
                Ok(entry) => return Lookup::Current(entry),
                Err(guard) => break guard,
            }
        };
        // Whoever held the placeholder before us may have filled it.
        match self.known(path) {
            Some(entry) if current(&entry) => Lookup::Current(entry),
            Some(entry) => {
                let old = Some(Arc::clone(&entry));
                let ticket = Ticket {
                    guard,
                    old,
                    store: self,
                };
                Lookup::Stale(ticket, entry)
            }
            None => Lookup::Vacant(Ticket {
                guard,
                old: None,
                store: self,
            }),
        }
    }

    /// Notes that this process has changed a file: whatever was looked at before and is not watched
    /// is compared with the disk before it is served again.
    pub fn note_write(&self) {
        // Release: whoever sees the new count looks at the disk after the change.
        self.writes.fetch_add(1, Ordering::Release);
    }

    /// Changes so far; to be asked before the disk is looked at (see [`Entry::seen_at`]).
    #[inline]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// The entry of a path, however old.
    pub fn peek(&self, path: &[u8]) -> Option<Arc<Entry>> {
        self.known(path)
    }

    /// True unless the cache is off.
    pub fn keeps_anything(&self) -> bool {
        self.body_bytes.limit() > 0
    }

    /// Puts an entry in place of the one of its path, if that is there.
    pub fn replace(&self, entry: &Arc<Entry>) {
        if self.known(entry.path()).is_some() {
            self.keep(entry);
        }
    }

    fn known(&self, path: &[u8]) -> Option<Arc<Entry>> {
        let mut tiers = [&self.bodies, &self.names, &self.descriptors].into_iter();
        tiers.find_map(|tier| tier.get(path))
    }

    /// Decides where the content of a new entry goes, and pays for it.
    pub fn place(&self, len: u64, wanted: Wanted) -> Place {
        if len > self.entry_bytes_max {
            let permit = self.descriptor_count.take(1);
            return permit.map_or(Place::Unkept, Place::Descriptor);
        }
        let is_full = || self.bodies.weight() + len > self.full_bytes;
        if self.keeps_names && wanted == Wanted::Now && is_full() {
            return self.place_named();
        }
        match self.body_bytes.take(len) {
            Some(permit) => Place::Memory(permit),
            None if self.keeps_names => self.place_named(),
            None => Place::Unkept,
        }
    }

    /// Small files are kept open while there are plenty of descriptors: large ones have nothing
    /// else.
    fn place_named(&self) -> Place {
        let budget = &self.descriptor_count;
        let is_plenty = budget.live() < budget.limit() - budget.limit() / LARGE_FILES_SHARE;
        Place::Named(is_plenty.then(|| budget.take(1)).flatten())
    }

    /// Pays for a body of `len` bytes that is not a file's own, if there is room.
    pub fn pay(&self, len: u64) -> Option<Permit> {
        self.body_bytes.take(len)
    }

    /// The body of a file in this state, when somebody holds it.
    pub fn shared_body(&self, key: &BodyKey) -> Option<PaidBody> {
        self.shared.get(key)
    }

    /// Lets others find a body.
    pub fn share_body(&self, key: BodyKey, body: &PaidBody) {
        self.shared.insert(key, body);
    }

    /// Notes that the policy should know of a hit: hits of an index never reach it, so whoever
    /// compares an entry in the background says that the entry is in use.
    pub fn mark_used(&self, entry: &Entry) {
        drop(self.known(entry.path()));
    }

    /// Forgets an entry that is no longer what the disk holds.
    pub fn forget(&self, entry: &Arc<Entry>) {
        // Removed first: once it is seen as retired, a lookup no longer finds it.
        let is_this = |other: &Arc<Entry>| Arc::ptr_eq(other, entry);
        for tier in [&self.bodies, &self.names, &self.descriptors] {
            drop(tier.remove_if(entry.path(), is_this));
        }
        self.retirements.retire(entry);
    }

    /// Puts an entry into its tier, in place of any other of its path.
    fn keep(&self, entry: &Arc<Entry>) {
        let is_resource = matches!(entry.outcome(), Outcome::Resource(_));
        let (_, body_bytes) = entry.weight();
        let into = match entry.hold() {
            _ if !is_resource => None,
            hold if hold.is_unkept => None,
            _ if body_bytes > 0 => Some(&self.bodies),
            hold if !hold.descriptors.is_empty() => Some(&self.descriptors),
            _ => Some(&self.names),
        };
        for tier in [&self.bodies, &self.names, &self.descriptors] {
            if let Some((_, other)) = tier.remove(entry.path())
                && !Arc::ptr_eq(&other, entry)
            {
                self.retirements.retire(&other);
            }
        }
        if let Some(tier) = into {
            tier.insert(entry.path().to_vec(), Arc::clone(entry));
        }
    }

    /// Grows whenever an entry is retired.
    pub fn retirements(&self) -> u64 {
        self.retirements.0.load(Ordering::Acquire)
    }

    /// True when more is alive than the store itself holds at most: others hold retired entries,
    /// and should let them go now.
    pub fn is_pressed(&self) -> bool {
        let is_pressed = |budget: &Budget| budget.live() > kept_of(budget.limit());
        is_pressed(&self.body_bytes) || is_pressed(&self.descriptor_count)
    }

    /// Bytes of bodies that are alive, wherever they are held.
    pub fn live_bytes(&self) -> u64 {
        self.body_bytes.live()
    }

    /// Descriptors that entries keep open.
    pub fn live_descriptors(&self) -> u64 {
        self.descriptor_count.live()
    }

    /// Entries that the store holds.
    pub fn len(&self) -> usize {
        self.bodies.len() + self.names.len() + self.descriptors.len()
    }

    /// True when the store holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn tier(capacity: u64, items: u64, shards: u64, weigh: Weigh, retirements: &Retirements) -> Tier {
    let shards = 1u64 << shards.max(1).ilog2(); // Rounded down: the cache would round up.
    let options = OptionsBuilder::new()
        .shards(shards as usize)
        .weight_capacity(capacity)
        .hot_allocation(HOT_SHARE)
        .estimated_items_capacity(items as usize)
        .build()
        .expect("both capacities are set");
    Cache::with_options(options, weigh, RandomState::default(), retirements.clone())
}

fn loads() -> Loads {
    let options = OptionsBuilder::new()
        .shards(SHARDS_MAX as usize)
        .weight_capacity(0)
        .estimated_items_capacity(0)
        .build()
        .expect("both capacities are set");
    let lifecycle = DefaultLifecycle::default();
    Cache::with_options(options, KeepNothing, RandomState::default(), lifecycle)
}

/// The right and duty to say what a path leads to. Dropped unfilled, it passes to the next waiter.
#[must_use = "those who wait for the path wait for this ticket"]
pub struct Ticket<'a> {
    guard: Guard<'a>,
    old: Option<Arc<Entry>>,
    store: &'a Store,
}

impl std::fmt::Debug for Ticket<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Ticket")
            .field("old", &self.old)
            .finish_non_exhaustive()
    }
}

impl Ticket<'_> {
    /// The entry that was found unchanged goes on.
    pub fn confirm(self) {
        let entry = self.old.expect("only a stale entry is confirmed");
        hand_out(self.guard, entry);
    }

    /// Says what the path leads to and wakes those who wait. Keeps a resource if there is room for
    /// it; otherwise it is handed out retired.
    pub fn fill(self, entry: Arc<Entry>) {
        self.store.keep(&entry);
        if let Some(old) = &self.old
            && !Arc::ptr_eq(old, &entry)
        {
            self.store.retirements.retire(old); // It may have been evicted meanwhile.
        }
        hand_out(self.guard, entry);
    }
}

/// Gives the entry to those who wait. Nobody removes placeholders, so that this cannot fail; if it
/// did, those who wait would load the path themselves.
fn hand_out(guard: Guard<'_>, entry: Arc<Entry>) {
    drop(guard.insert(entry));
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

impl Lifecycle<Vec<u8>, Arc<Entry>> for Retirements {
    /// Dropped after the lock was released: freeing a large body takes its time.
    type RequestState = Vec<Arc<Entry>>;

    /// A second chance for what an index has served since the policy looked last.
    fn is_pinned(&self, _path: &Vec<u8>, entry: &Arc<Entry>) -> bool {
        entry.take_used()
    }

    fn on_evict(&self, evicted: &mut Vec<Arc<Entry>>, _path: Vec<u8>, entry: Arc<Entry>) {
        self.retire(&entry);
        evicted.push(entry);
    }
}

#[derive(Clone, Copy)]
enum Weigh {
    Bytes,
    One,
}

impl Weighter<Vec<u8>, Arc<Entry>> for Weigh {
    fn weight(&self, _path: &Vec<u8>, entry: &Arc<Entry>) -> u64 {
        match self {
            Weigh::Bytes => entry.weight().0,
            Weigh::One => 1,
        }
    }
}

/// Heavier than any cache: refused after it was handed to those who wait.
#[derive(Clone)]
struct KeepNothing;

impl Weighter<Vec<u8>, Arc<Entry>> for KeepNothing {
    fn weight(&self, _path: &Vec<u8>, _entry: &Arc<Entry>) -> u64 {
        u64::MAX
    }
}
