//! Where the answers wait that are given again for an `Idempotency-Key`: an interface that several
//! servers could share a database behind, and a store in memory.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

/// Names a request of a user: a digest, since what it is made of is long and theirs.
pub type AnswerKey = [u8; 32];

/// The store cannot do what it was asked for.
#[derive(Debug)]
pub struct StoreFault(pub String);

impl fmt::Display for StoreFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for StoreFault {}

/// Records by key, each for a time. What a call has stored is durable on its return, as far as the
/// store is. Calls may block: they are made by threads that may wait.
pub trait AnswerStore: Send + Sync {
    /// Stores a record that ends at `expires_unix`, where there is none; else returns the one that
    /// is there. Of all callers with one key, one stores.
    fn insert_new(
        &self,
        key: &AnswerKey,
        record: &[u8],
        now_unix: u64,
        expires_unix: u64,
    ) -> Result<Option<Vec<u8>>, StoreFault>;

    /// Puts a record in place of the one that is there, if it is still there.
    fn replace(&self, key: &AnswerKey, record: &[u8]) -> Result<(), StoreFault>;

    /// Removes a record.
    fn remove(&self, key: &AnswerKey) -> Result<(), StoreFault>;
}

/// What a record costs besides its bytes, by a guess.
pub(super) const RECORD_OVERHEAD_BYTES: u64 = 192;

/// A store that ends with the process.
pub(super) struct MemoryStore {
    bytes_max: u64,
    records: Mutex<Records>,
}

#[derive(Default)]
struct Records {
    by_key: HashMap<AnswerKey, (u64, Vec<u8>), RandomState>,
    /// What ends first goes first.
    by_end: BTreeSet<(u64, AnswerKey)>,
    bytes: u64,
}

impl MemoryStore {
    /// A store of at most `bytes_max` bytes.
    pub(super) fn new(bytes_max: u64) -> MemoryStore {
        MemoryStore {
            bytes_max,
            records: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn insert(&mut self, key: AnswerKey, record: &[u8], expires: u64) {
        self.bytes += record.len() as u64 + RECORD_OVERHEAD_BYTES;
        self.by_key.insert(key, (expires, record.to_vec()));
        self.by_end.insert((expires, key));
    }

    fn remove(&mut self, key: &AnswerKey) -> Option<u64> {
        let (expires, record) = self.by_key.remove(key)?;
        self.by_end.remove(&(expires, *key));
        self.bytes -= record.len() as u64 + RECORD_OVERHEAD_BYTES;
        Some(expires)
    }

    /// Lets go of what has ended, and of what would end first where there is too much.
    fn settle(&mut self, now: u64, bytes_max: u64) {
        while let Some((expires, key)) = self.by_end.first().copied() {
            if expires > now && self.bytes <= bytes_max {
                break;
            }
            self.remove(&key);
        }
    }
}

impl AnswerStore for MemoryStore {
    fn insert_new(
        &self,
        key: &AnswerKey,
        record: &[u8],
        now_unix: u64,
        expires_unix: u64,
    ) -> Result<Option<Vec<u8>>, StoreFault> {
        let mut records = self.lock();
        records.settle(now_unix, self.bytes_max);
        if let Some((_, known)) = records.by_key.get(key) {
            return Ok(Some(known.clone()));
        }
        records.insert(*key, record, expires_unix);
        records.settle(now_unix, self.bytes_max);
        Ok(None)
    }

    fn replace(&self, key: &AnswerKey, record: &[u8]) -> Result<(), StoreFault> {
        let mut records = self.lock();
        if let Some(expires) = records.remove(key) {
            records.insert(*key, record, expires);
        }
        Ok(())
    }

    fn remove(&self, key: &AnswerKey) -> Result<(), StoreFault> {
        self.lock().remove(key);
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What every store does.
    pub(in crate::handler::resources) fn check(store: &dyn AnswerStore) {
        let (a, b) = ([1; 32], [2; 32]);
        assert_eq!(store.insert_new(&a, b"one", 10, 20).unwrap(), None);
        assert_eq!(
            store.insert_new(&a, b"two", 11, 21).unwrap().unwrap(),
            b"one"
        );
        store.replace(&a, b"three").unwrap();
        store.replace(&b, b"nowhere").unwrap();
        assert_eq!(
            store.insert_new(&a, b"four", 19, 29).unwrap().unwrap(),
            b"three"
        );
        assert_eq!(store.insert_new(&b, b"five", 19, 29).unwrap(), None);
        assert_eq!(
            store.insert_new(&a, b"six", 20, 30).unwrap(),
            None,
            "it has ended"
        );
        store.remove(&b).unwrap();
        store.remove(&b).unwrap();
        assert_eq!(store.insert_new(&b, b"seven", 20, 30).unwrap(), None);
    }

    /// What a store of 10,000 bytes does.
    pub(in crate::handler::resources) fn check_bound(store: &dyn AnswerStore) {
        for number in 0..100u8 {
            let expires = 100 + u64::from(number);
            let known = store
                .insert_new(&[number; 32], &[0; 1000], 1, expires)
                .unwrap();
            assert_eq!(known, None);
        }
        let mut kept = (0..100u8).filter(|number| {
            let known = store.insert_new(&[*number; 32], &[1; 10], 1, 1).unwrap();
            known.is_some_and(|known| known.len() == 1000)
        });
        assert!(kept.next().is_some_and(|first| first > 90));
        assert_eq!(kept.last(), Some(99));
    }

    #[test]
    fn records_are_kept_for_a_time_and_within_a_bound() {
        check(&MemoryStore::new(10_000));
        check_bound(&MemoryStore::new(10_000));
        let store = MemoryStore::new(10_000);
        check_bound(&store);
        assert!(store.lock().bytes <= 10_000);
        store.lock().settle(u64::MAX, 10_000);
        assert_eq!(store.lock().bytes, 0);
    }
}
