//! Slows down whoever guesses: counts the wrong credentials of each address, in fixed memory,
//! without a lock.
//!
//! A word of 64 bits is an address: 28 bits tell it from others of its set, 6 count, 30 say when it
//! last failed. A set is a cache line. A correct credential forgives nothing: an attacker may have
//! an account of their own, and whoever has only mistyped is let in as soon as the wait is over.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::quality::RandomState;

use crate::base::Millis;
use crate::base::limits::{
    FAILING_ADDRESSES_MAX, FAILURE_PENALTY_MAX, FAILURES_FREE, FAILURES_REMEMBERED,
};

const SET: usize = 8;
const SETS: usize = FAILING_ADDRESSES_MAX / SET;
const COUNT_MAX: u32 = 63;
const TIME_BITS: u32 = 30;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const COUNT_BITS: u32 = 6;
/// The unit of the times.
const TENTH_MS: u64 = 100;
const REMEMBERED_TENTHS: u64 = FAILURES_REMEMBERED.as_millis() as u64 / TENTH_MS;
/// Tries against other threads that count in the same set.
const TRIES: usize = 4;

const _: () = assert!(SETS.is_power_of_two());

/// The failures of all addresses. Shared by all workers.
#[derive(Default)]
pub struct Guard {
    /// Made at the first failure.
    words: OnceLock<Box<[AtomicU64]>>,
    hasher: RandomState,
    /// The millisecond from which on all failures are forgotten.
    quiet_from: AtomicU64,
}

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    tag: u64,
    count: u32,
    tenths: u64,
}

impl Guard {
    /// Nobody has failed.
    pub fn new() -> Guard {
        Guard::default()
    }

    /// How long an address still waits until its next credential is looked at; `None` when it does
    /// not. While nobody has failed, this reads one number.
    #[inline]
    pub fn delay_for(&self, address: &[u8; 16], now: Millis) -> Option<Duration> {
        if now.0 >= self.quiet_from.load(Ordering::Relaxed) {
            return None;
        }
        self.look(address, now)
    }

    fn look(&self, address: &[u8; 16], now: Millis) -> Option<Duration> {
        let (set, tag) = self.place(address);
        let words = self.words.get()?[set..set + SET].iter();
        let mut records = words.map(|word| Record::of(word.load(Ordering::Relaxed)));
        let record = records.find(|record| record.tag == tag && record.count > 0)?;
        let waited = record.age(now);
        if waited >= REMEMBERED_TENTHS {
            return None;
        }
        let waited = Duration::from_millis(waited * TENTH_MS);
        penalty(record.count)
            .checked_sub(waited)
            .filter(|rest| !rest.is_zero())
    }

    /// Counts a wrong credential (`Wrong::is_guess`).
    pub fn note_failure(&self, address: &[u8; 16], now: Millis) {
        let quiet_from = (now + FAILURES_REMEMBERED).0;
        self.quiet_from.fetch_max(quiet_from, Ordering::Relaxed);
        let words = self.words.get_or_init(|| {
            let zeros = (0..FAILING_ADDRESSES_MAX).map(|_| AtomicU64::new(0));
            zeros.collect()
        });
        let (set, tag) = self.place(address);
        let set = &words[set..set + SET];
        for _ in 0..TRIES {
            let held: [u64; SET] = std::array::from_fn(|at| set[at].load(Ordering::Relaxed));
            let (at, count) = choose(&held, tag, now);
            let word = Record {
                tag,
                count: (count + 1).min(COUNT_MAX),
                tenths: tenths(now),
            };
            let (order, new) = (Ordering::Relaxed, word.word());
            if set[at]
                .compare_exchange(held[at], new, order, order)
                .is_ok()
            {
                return;
            }
        }
    }

    /// Where the set of an address begins, and its tag there.
    fn place(&self, address: &[u8; 16]) -> (usize, u64) {
        let hash = self.hasher.hash_one(address);
        let set = hash as usize % SETS;
        (set * SET, hash >> (TIME_BITS + COUNT_BITS))
    }
}

/// The word for one more failure of a tag, and how many it holds of it: its own, or an old one, or
/// that of whoever failed least.
fn choose(held: &[u64; SET], tag: u64, now: Millis) -> (usize, u32) {
    let records = held.map(Record::of);
    let is_current = |record: &Record| record.count > 0 && record.age(now) < REMEMBERED_TENTHS;
    let own = records
        .iter()
        .position(|record| record.tag == tag && is_current(record));
    if let Some(at) = own {
        return (at, records[at].count);
    }
    let worth = |at: &usize| match is_current(&records[*at]) {
        true => (records[*at].count, u64::MAX - records[*at].age(now)),
        false => (0, 0),
    };
    let at = (0..SET).min_by_key(worth).expect("a set is not empty");
    (at, 0)
}

/// What one more failure costs: nothing, then 1 s, 2 s, 4 s and so on.
fn penalty(count: u32) -> Duration {
    let Some(further) = count.checked_sub(FAILURES_FREE + 1) else {
        return Duration::ZERO;
    };
    Duration::from_secs(1 << further.min(16)).min(FAILURE_PENALTY_MAX)
}

fn tenths(now: Millis) -> u64 {
    (now.0 / TENTH_MS) & TIME_MASK
}

impl Record {
    fn of(word: u64) -> Record {
        Record {
            tag: word >> (TIME_BITS + COUNT_BITS),
            count: (word >> TIME_BITS) as u32 & COUNT_MAX,
            tenths: word & TIME_MASK,
        }
    }

    fn word(self) -> u64 {
        let upper = self.tag << COUNT_BITS | u64::from(self.count);
        upper << TIME_BITS | self.tenths
    }

    /// Tenths of a second since it was written. Another worker's turn may have begun a little later
    /// than ours.
    fn age(self, now: Millis) -> u64 {
        let age = tenths(now).wrapping_sub(self.tenths) & TIME_MASK;
        match age > TIME_MASK / 2 {
            true => 0,
            false => age,
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Guard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = Millis(1_000_000);

    fn after(seconds: u64) -> Millis {
        START + Duration::from_secs(seconds)
    }

    fn address(number: u32) -> [u8; 16] {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&number.to_be_bytes());
        address
    }

    #[test]
    fn the_fifth_failure_costs_a_second_and_each_further_one_twice_as_much() {
        let guard = Guard::new();
        let who = address(1);
        for _ in 0..FAILURES_FREE {
            guard.note_failure(&who, START);
            assert_eq!(guard.delay_for(&who, START), None);
        }
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            guard.note_failure(&who, START);
            assert_eq!(
                guard.delay_for(&who, START),
                Some(Duration::from_secs(seconds))
            );
        }
        assert_eq!(
            guard.delay_for(&who, after(29)),
            Some(Duration::from_secs(1))
        );
        assert_eq!(guard.delay_for(&who, after(30)), None, "it has waited");
        assert_eq!(guard.delay_for(&address(2), START), None, "a stranger");
        guard.note_failure(&who, after(30));
        let wait = guard.delay_for(&who, after(30));
        assert_eq!(
            wait,
            Some(Duration::from_secs(30)),
            "it goes on where it was"
        );
    }

    #[test]
    fn failures_are_forgotten() {
        let guard = Guard::new();
        let who = address(1);
        (0..20).for_each(|_| guard.note_failure(&who, START));
        let later = START + FAILURES_REMEMBERED;
        assert_eq!(guard.delay_for(&who, later), None);
        guard.note_failure(&who, later);
        assert_eq!(
            guard.delay_for(&who, later),
            None,
            "the first of a new count"
        );
    }

    #[test]
    fn a_worker_whose_turn_began_earlier_sees_the_whole_penalty() {
        let guard = Guard::new();
        (0..5).for_each(|_| guard.note_failure(&address(1), after(1)));
        let wait = guard.delay_for(&address(1), START);
        assert_eq!(wait, Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_flood_of_addresses_does_not_push_out_who_fails_often() {
        let guard = Guard::new();
        (0..10).for_each(|_| guard.note_failure(&address(1), START));
        (2..300_000).for_each(|number| guard.note_failure(&address(number), after(1)));
        assert!(guard.delay_for(&address(1), after(1)).is_some());
        let slowed = (1_000_000..1_100_000)
            .filter(|number| guard.delay_for(&address(*number), after(1)).is_some());
        assert_eq!(slowed.count(), 0, "nobody else pays");
    }

    #[test]
    fn words_keep_what_is_put_into_them() {
        let record = Record {
            tag: (1 << 28) - 1,
            count: COUNT_MAX,
            tenths: TIME_MASK - 1,
        };
        assert_eq!(Record::of(record.word()), record);
        // Times go round after three years.
        let now = Millis(u64::MAX / (TIME_MASK + 1) / TENTH_MS * (TIME_MASK + 1) * TENTH_MS + 300);
        assert_eq!(record.age(now), 5);
    }
}
