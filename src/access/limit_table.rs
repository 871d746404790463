//! How many requests whoever has made, in bounded memory, for all workers.
//!
//! A table of sets, and in each set eight slots of two atomics: a tag that stands for a key and its
//! rule, and the key's theoretical arrival time (TAT, see `limit`). No locks, and nothing to tidy
//! up: a slot whose TAT lies in the past says the same as an empty one.
//!
//! ```text
//! pages: | 2 KiB | not made yet | 2 KiB | …           made when a key first falls there
//! page:  | set | set | … 16
//! set:   | tag × 8 | TAT × 8 |                          two cache lines
//! ```
//!
//! **Finding and claiming.** A key has one set. If no slot has its tag, it claims one: that of
//! which the TAT lies in the past; if there is none, the one that owes least of what its rule
//! allows. So a key that is over its limit is forgotten last. Where all eight keys of a set are
//! active, the newcomer takes the place of the one that owes least, which then starts anew: the
//! table fails open, and nobody is refused for what others do. Memory never grows for it.
//!
//! **Races.** A charge is one exchange of the TAT, so none is lost. A slot may change hands between
//! the look at its tag and the charge: the tag is looked at again behind the charge, and if it is
//! another, the charge is taken back and the key looks for its place again. Two threads may claim
//! two slots for one key: each claims first and looks at the other slots second, in the one order
//! of all such steps, so at least one of them sees both. Whoever does keeps the first of them, and
//! moves what the others owe there. A thread that loses its processor just then may let a few more
//! through meanwhile, fewer than a second burst; in sum they are far below one in a hundred.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::limit::{Quota, Taken};
use crate::base::limits::LIMIT_TRIES_MAX;

const SLOTS: usize = 8;
const SETS_PER_PAGE: usize = 16;
const PAGE_BYTES: u64 = size_of::<Page>() as u64;
const ENTRY_BYTES: u64 = size_of::<OnceLock<Box<Page>>>() as u64;
/// The lowest bits of a tag tell the tolerance of its quota.
const SCALE_BITS: u32 = 8;
const SCALE_MASK: u64 = (1 << SCALE_BITS) - 1;
/// What a slot owes is compared by this part of its tolerance.
const DEBT_STEPS: u64 = 1024;

/// What all keys of all limits have used up. Shared by all workers.
pub struct LimitTable {
    pages: Box<[OnceLock<Box<Page>>]>,
    /// SipHash, with a secret of this process: keys are not kept, their hash stands for them, and
    /// peers choose keys. Nobody must be able to find one that is taken for another's.
    hasher: RandomState,
}

#[derive(Default)]
struct Page([Set; SETS_PER_PAGE]);

#[derive(Default)]
#[repr(align(128))]
struct Set {
    /// Zero: none.
    tags: [AtomicU64; SLOTS],
    tats_ns: [AtomicU64; SLOTS],
}

impl LimitTable {
    /// A table that holds at most `bytes_max` bytes: some 60 000 active keys in each MiB. It takes
    /// memory as keys come, and at least one page.
    pub fn new(bytes_max: u64) -> LimitTable {
        let pages = (bytes_max / (PAGE_BYTES + ENTRY_BYTES)).max(1);
        let pages = usize::try_from(pages).unwrap_or(usize::MAX);
        LimitTable {
            pages: (0..pages).map(|_| OnceLock::new()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Bytes that it holds now.
    pub fn bytes(&self) -> u64 {
        let made = self.pages.iter().filter(|page| page.get().is_some());
        self.pages.len() as u64 * ENTRY_BYTES + made.count() as u64 * PAGE_BYTES
    }

    /// Asks for one request of a key under a rule; `rule` tells rules from each other. `now_ns` is
    /// of a monotonic clock; those of the workers need not agree to the millisecond.
    pub fn take(&self, rule: u32, key: &[u8], quota: &Quota, now_ns: u64) -> Taken {
        let (set, tag) = self.place(rule, key, quota);
        for _ in 0..LIMIT_TRIES_MAX {
            let slot = set.find(tag).or_else(|| set.claim(tag, now_ns));
            let taken = slot.and_then(|slot| set.charge(slot, tag, quota, now_ns));
            if let Some(taken) = taken {
                return taken;
            }
        }
        // Others have claimed slots of this set all the time.
        quota.take(0, now_ns).1
    }

    /// What the last request that was allowed to a key has left, without charging another.
    pub fn look(&self, rule: u32, key: &[u8], quota: &Quota, now_ns: u64) -> Taken {
        let (set, tag) = self.place(rule, key, quota);
        let tat_ns = set.find(tag).map(|slot| set.tats_ns[slot].load(SeqCst));
        quota.look(tat_ns.unwrap_or(0), now_ns)
    }

    /// The set of a key, and its tag there.
    #[inline]
    fn place(&self, rule: u32, key: &[u8], quota: &Quota) -> (&Set, u64) {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(rule);
        hasher.write(key);
        let hash = hasher.finish();
        let tag = hash & !SCALE_MASK | scale(quota.tolerance_ns());
        (self.set(hash), tag)
    }

    /// The set of a hash; the upper bits decide.
    #[inline]
    fn set(&self, hash: u64) -> &Set {
        let sets = (self.pages.len() * SETS_PER_PAGE) as u128;
        let at = ((u128::from(hash) * sets) >> u64::BITS) as usize;
        let page = &self.pages[at / SETS_PER_PAGE];
        // Once for each page: zeros are made before anybody could have to wait for them.
        let page = match page.get() {
            Some(page) => page,
            None => {
                let zeros = Box::<Page>::default();
                page.get_or_init(|| zeros)
            }
        };
        &page.0[at % SETS_PER_PAGE]
    }
}

impl fmt::Debug for LimitTable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "LimitTable({} bytes)", self.bytes())
    }
}

impl Set {
    /// The first slot of a tag.
    #[inline]
    fn find(&self, tag: u64) -> Option<usize> {
        self.tags.iter().position(|held| held.load(Relaxed) == tag)
    }

    /// Takes a slot for a tag that has none. `None`: another thread was faster; look again.
    #[cold]
    fn claim(&self, tag: u64, now_ns: u64) -> Option<usize> {
        let held: [(u64, u64); SLOTS] =
            std::array::from_fn(|at| (self.tags[at].load(SeqCst), self.tats_ns[at].load(SeqCst)));
        if let Some(at) = held.iter().position(|(held, _)| *held == tag) {
            return Some(at);
        }
        let debt = |at: &usize| debt(held[*at], now_ns);
        let at = (0..SLOTS).min_by_key(debt).expect("a set has slots");
        let (old, tat_ns) = held[at];
        // The newcomer does not inherit it; and whoever was charged since the look keeps its place.
        let forgotten = self.tats_ns[at].compare_exchange(tat_ns, 0, SeqCst, SeqCst);
        forgotten.ok()?;
        self.tags[at]
            .compare_exchange(old, tag, SeqCst, SeqCst)
            .ok()?;
        self.settle(tag, now_ns)
    }

    /// Looks for other claims of the same tag, moves what they owe to the first, and gives that.
    fn settle(&self, tag: u64, now_ns: u64) -> Option<usize> {
        let of_tag = |at: &usize| self.tags[*at].load(SeqCst) == tag;
        let mut claims = (0..SLOTS).filter(of_tag);
        let first = claims.next()?;
        for other in claims {
            let removed = self.tags[other].compare_exchange(tag, 0, SeqCst, SeqCst);
            if removed.is_ok() {
                let owed = self.tats_ns[other].swap(0, SeqCst).saturating_sub(now_ns);
                let add = |tat_ns: u64| Some(tat_ns.max(now_ns).saturating_add(owed));
                // Never refused: `add` always gives a number.
                let _ = self.tats_ns[first].fetch_update(SeqCst, SeqCst, add);
            }
        }
        Some(first)
    }

    /// Charges the slot of a tag. `None`: it is another's by now, and was not charged.
    #[inline]
    fn charge(&self, slot: usize, tag: u64, quota: &Quota, now_ns: u64) -> Option<Taken> {
        let (held, cell) = (&self.tags[slot], &self.tats_ns[slot]);
        let mut tat_ns = cell.load(SeqCst);
        loop {
            let (next_ns, taken) = quota.take(tat_ns, now_ns);
            if taken.allowed
                && let Err(newer) = cell.compare_exchange_weak(tat_ns, next_ns, SeqCst, SeqCst)
            {
                tat_ns = newer;
                continue;
            }
            if held.load(SeqCst) == tag {
                return Some(taken);
            }
            if taken.allowed {
                let undo = |tat_ns: u64| Some(tat_ns.saturating_sub(quota.interval_ns()));
                let _ = cell.fetch_update(SeqCst, SeqCst, undo);
            }
            return None;
        }
    }
}

/// What a slot owes, as a part of its tolerance: zero, when forgetting it costs nothing.
fn debt((tag, tat_ns): (u64, u64), now_ns: u64) -> u64 {
    let owed = tat_ns.saturating_sub(now_ns);
    if owed == 0 || tag == 0 {
        return 0;
    }
    // Nobody owes more than a tolerance, and a tolerance has less than 52 bits.
    owed.min(1 << 52) * DEBT_STEPS / unscaled(tag & SCALE_MASK)
}

/// A tolerance to two bits behind its highest one.
fn scale(tolerance_ns: u64) -> u64 {
    let exponent = tolerance_ns.max(4).ilog2();
    u64::from(exponent) << 2 | tolerance_ns >> (exponent - 2) & 3
}

/// The least tolerance of a scale.
fn unscaled(scale: u64) -> u64 {
    let exponent = (scale >> 2).clamp(2, 62);
    (4 | scale & 3) << (exponent - 2)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicU32;

    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;
    const THREADS: u64 = 4;

    fn quota(count: u32, seconds: u32, burst: u32) -> Quota {
        Quota::new(count, seconds, burst).unwrap()
    }

    fn key(number: u64) -> [u8; 16] {
        u128::from(number).to_be_bytes()
    }

    /// How many of `times` requests at one moment are allowed.
    fn allowed(table: &LimitTable, key: &[u8], quota: &Quota, now: u64, times: u32) -> u32 {
        let takes = (0..times).filter(|_| table.take(1, key, quota, now).allowed);
        takes.count() as u32
    }

    #[test]
    fn a_look_says_what_is_left_and_takes_nothing() {
        let (table, quota) = (LimitTable::new(1 << 20), quota(1, 1, 3));
        let look = |now| table.look(1, b"a", &quota, now);
        assert_eq!(look(SECOND).remaining, 3);
        for _ in 0..3 {
            let taken = table.take(1, b"a", &quota, SECOND);
            assert_eq!(look(SECOND), taken);
            assert_eq!(look(SECOND), taken);
        }
        assert!(!table.take(1, b"a", &quota, SECOND).allowed);
        assert!(look(SECOND).allowed);
        assert_eq!(look(2 * SECOND).remaining, 1);
    }

    #[test]
    fn keys_and_rules_have_a_limit_each() {
        let (table, quota) = (LimitTable::new(1 << 20), quota(1, 1, 3));
        let first = table.take(1, b"a", &quota, SECOND);
        assert!(first.allowed && first.remaining == 2);
        assert_eq!(allowed(&table, b"a", &quota, SECOND, 10), 2);
        assert_eq!(allowed(&table, b"b", &quota, SECOND, 10), 3);
        assert!(table.take(2, b"a", &quota, SECOND).allowed, "another rule");
        assert_eq!(allowed(&table, b"a", &quota, 3 * SECOND, 10), 2);
        assert_eq!(allowed(&table, b"a", &quota, 60 * SECOND, 10), 3);
    }

    #[test]
    fn memory_is_taken_as_keys_come_and_stays_within_its_bound() {
        let table = LimitTable::new(64 << 20);
        let before = table.bytes();
        assert!(before < 1 << 20, "{before}");
        table.take(1, b"a", &quota(1, 1, 1), SECOND);
        assert_eq!(table.bytes(), before + PAGE_BYTES);
        assert!(format!("{table:?}").contains("bytes"));
        for bytes_max in [4 << 10, 100_000, 1 << 20] {
            let table = LimitTable::new(bytes_max);
            for number in 0..50_000 {
                table.take(1, &key(number), &quota(1, 60, 5), SECOND);
            }
            let bytes = table.bytes();
            assert!(
                bytes <= bytes_max && bytes > bytes_max / 2,
                "{bytes_max}: {bytes}"
            );
        }
        let smallest = LimitTable::new(0);
        assert!(smallest.take(1, b"a", &quota(1, 1, 1), SECOND).allowed);
        assert!(!smallest.take(1, b"a", &quota(1, 1, 1), SECOND).allowed);
    }

    #[test]
    fn ten_million_keys_take_no_more_memory_than_there_is() {
        let (bytes_max, quota) = (256 << 10, quota(10, 60, 10));
        let table = LimitTable::new(bytes_max);
        let next = AtomicU64::new(0);
        let run = || {
            loop {
                let from = next.fetch_add(10_000, SeqCst);
                if from >= 10_000_000 {
                    return;
                }
                for number in from..from + 10_000 {
                    // A millisecond for each thousand: far too many for the table are active.
                    let now = SECOND + number * 1000;
                    assert!(table.take(1, &key(number), &quota, now).allowed);
                }
            }
        };
        std::thread::scope(|scope| {
            (0..2).for_each(|_| drop(scope.spawn(run)));
        });
        assert!(table.bytes() <= bytes_max, "{}", table.bytes());
    }

    #[test]
    fn a_newcomer_to_a_full_set_is_let_in_and_who_is_over_the_limit_is_not_forgotten() {
        // One set's worth of keys at most is over the limit, wherever they fall.
        let (table, quota) = (LimitTable::new(0), quota(10, 60, 10));
        let heavy = |number: u64| key(1 << 40 | number);
        for number in 0..7 {
            assert_eq!(allowed(&table, &heavy(number), &quota, SECOND, 20), 10);
        }
        for number in 0..100_000 {
            assert!(
                table.take(1, &key(number), &quota, SECOND).allowed,
                "{number}"
            );
            if number % 1000 == 0 {
                for number in 0..7 {
                    assert!(!table.take(1, &heavy(number), &quota, SECOND).allowed);
                }
            }
        }
    }

    #[test]
    fn keys_whose_time_has_passed_make_place_first() {
        let (table, quota) = (LimitTable::new(0), quota(1, 1, 100));
        let slots = (SETS_PER_PAGE * SLOTS) as u64;
        for number in 0..slots {
            table.take(1, &key(number), &quota, SECOND); // Owes until two seconds.
        }
        let later = 3 * SECOND;
        let active: Vec<u64> = (1000..1008).collect();
        for number in &active {
            table.take(1, &key(*number), &quota, later);
        }
        for number in 2000..2008 {
            table.take(1, &key(number), &quota, later);
        }
        // One key for each set, of eight slots: hardly one set had more than eight of them.
        let known = active.iter().filter(|number| {
            let taken = table.take(1, &key(**number), &quota, later);
            taken.remaining == 98
        });
        assert!(known.count() >= 7);
    }

    #[test]
    fn what_is_owed_is_weighed_by_what_the_rule_allows() {
        let tag = |quota: &Quota| 0xff00 | scale(quota.tolerance_ns());
        let (fast, slow) = (quota(100, 1, 100), quota(1000, 3600, 1000));
        // All of a second, and a thousandth of an hour.
        let over = debt((tag(&fast), SECOND + fast.tolerance_ns()), SECOND);
        let idle = debt((tag(&slow), SECOND + slow.interval_ns()), SECOND);
        assert!(over > 100 * idle && idle > 0, "{over} {idle}");
        assert_eq!(debt((tag(&fast), SECOND), SECOND), 0);
        assert_eq!(debt((0, 2 * SECOND), SECOND), 0);
    }

    #[test]
    fn two_claims_of_one_key_become_one() {
        let set = Set::default();
        let (tag, quota) = (0xabc00 | scale(3 * SECOND), quota(1, 1, 3));
        for (at, owed) in [(2, 1), (5, 2), (7, 0)] {
            set.tags[at].store(tag, SeqCst);
            set.tats_ns[at].store((10 + owed) * SECOND, SeqCst);
        }
        assert_eq!(set.settle(tag, 10 * SECOND), Some(2));
        let of_tag = set.tags.iter().filter(|held| held.load(SeqCst) == tag);
        assert_eq!(of_tag.count(), 1);
        let taken = set.charge(2, tag, &quota, 10 * SECOND).unwrap();
        assert!(!taken.allowed, "three are owed, one and two");
    }

    #[test]
    fn a_charge_to_a_slot_that_changed_hands_is_taken_back() {
        let (set, quota) = (Set::default(), quota(1, 1, 3));
        set.tags[3].store(0x200, SeqCst);
        assert_eq!(set.charge(3, 0x100, &quota, 10 * SECOND), None);
        assert_eq!(set.tats_ns[3].load(SeqCst), 10 * SECOND);
        assert!(set.charge(3, 0x200, &quota, 10 * SECOND).is_some());
    }

    /// Runs one thread for each number, all from one moment on.
    fn on_threads(run: impl Fn(u64) + Sync) {
        let (run, start) = (&run, &Barrier::new(THREADS as usize));
        std::thread::scope(|scope| {
            for number in 0..THREADS {
                scope.spawn(move || {
                    start.wait();
                    run(number);
                });
            }
        });
    }

    fn assert_near(allowed: u64, expected: u64) {
        let slack = expected / 100;
        let range = expected - slack..=expected + slack;
        assert!(range.contains(&allowed), "{allowed} instead of {expected}");
    }

    #[test]
    fn threads_share_the_limit_of_one_key_to_a_hundredth() {
        let (table, quota) = (LimitTable::new(1 << 20), quota(1000, 1, 200));
        let (clock, allowed) = (AtomicU64::new(SECOND), AtomicU64::new(0));
        let end = 11 * SECOND;
        on_threads(|_| {
            loop {
                let now = clock.fetch_add(20_000, SeqCst); // Fifty requests for each that is due.
                if now > end {
                    return;
                }
                let taken = table.take(1, b"one", &quota, now);
                allowed.fetch_add(taken.allowed.into(), SeqCst);
            }
        });
        assert_near(allowed.into_inner(), 10 * 1000 + 200);
    }

    #[test]
    fn threads_share_the_limits_of_many_keys_to_a_hundredth() {
        const KEYS: u64 = 1000;
        let (table, quota) = (LimitTable::new(1 << 20), quota(10, 1, 10));
        let (clock, allowed) = (AtomicU64::new(0), AtomicU64::new(0));
        on_threads(|_| {
            loop {
                let step = clock.fetch_add(1, SeqCst);
                let now = SECOND + step * 25_000; // Each key comes each 25 ms, for ten seconds.
                if now > 11 * SECOND {
                    return;
                }
                let taken = table.take(1, &key(step % KEYS), &quota, now);
                allowed.fetch_add(taken.allowed.into(), SeqCst);
            }
        });
        assert_near(allowed.into_inner(), KEYS * (10 * 10 + 10));
    }

    #[test]
    fn threads_that_claim_a_place_for_one_key_do_not_double_its_limit() {
        const ROUNDS: u64 = 10_000;
        let (table, quota) = (LimitTable::new(0), quota(5, 60, 5));
        let (barrier, total) = (Barrier::new(THREADS as usize), AtomicU64::new(0));
        let (in_round, most) = (AtomicU32::new(0), AtomicU32::new(0));
        on_threads(|thread| {
            for round in 0..ROUNDS {
                let now = SECOND + round * 120 * SECOND;
                barrier.wait();
                // Keys of others, so that slots are claimed all around.
                table.take(1, &key(1 << 50 | round << 8 | thread), &quota, now);
                let shared = key(round);
                let taken = allowed(&table, &shared, &quota, now, 5);
                in_round.fetch_add(taken, SeqCst);
                if barrier.wait().is_leader() {
                    let allowed = in_round.swap(0, SeqCst);
                    most.fetch_max(allowed, SeqCst);
                    total.fetch_add(allowed.into(), SeqCst);
                }
            }
        });
        assert!(most.into_inner() < 10, "a key had two limits");
        assert_near(total.into_inner(), ROUNDS * 5);
    }

    proptest! {
        #[test]
        fn a_scale_tells_a_tolerance_to_a_quarter(tolerance in 1000u64..1 << 52) {
            let least = unscaled(scale(tolerance));
            prop_assert!(scale(tolerance) <= SCALE_MASK && scale(tolerance) > 0);
            prop_assert!(least <= tolerance && tolerance - least <= tolerance / 4);
        }

        #[test]
        fn while_there_is_room_the_table_agrees_with_a_number_for_each_key(
            steps in prop::collection::vec((0u64..6, 0u64..SECOND), 1..200),
        ) {
            let (table, quota) = (LimitTable::new(1 << 20), quota(2, 1, 4));
            let (mut tats, mut now) = ([0; 6], SECOND);
            for (number, wait) in steps {
                now += wait;
                let (tat, expected) = quota.take(tats[number as usize], now);
                tats[number as usize] = tat;
                prop_assert_eq!(table.take(7, &key(number), &quota, now), expected);
            }
        }
    }
}
