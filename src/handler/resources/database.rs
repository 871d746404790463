//! Answers in an embedded database, which survive a restart and a crash.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::answer_store::{AnswerKey, AnswerStore, RECORD_OVERHEAD_BYTES, StoreFault};

/// When each record ends, and the record.
const RECORDS: TableDefinition<'_, &[u8; 32], (u64, &[u8])> = TableDefinition::new("records");
/// What ends first comes first.
const ENDS: TableDefinition<'_, (u64, &[u8; 32]), ()> = TableDefinition::new("ends");

/// A store in a file.
pub(super) struct DatabaseStore {
    database: Database,
    bytes_max: u64,
    /// Bytes of all records. Held for as long as a call lasts: the database has one writer.
    bytes: Mutex<u64>,
}

/// The tables of one change.
struct Tables<'t> {
    records: Table<'t, &'static [u8; 32], (u64, &'static [u8])>,
    ends: Table<'t, (u64, &'static [u8; 32]), ()>,
    bytes: u64,
}

impl<E: Into<redb::Error>> From<E> for StoreFault {
    fn from(error: E) -> StoreFault {
        let error: redb::Error = error.into();
        StoreFault(error.to_string())
    }
}

impl DatabaseStore {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path, bytes_max: u64) -> Result<DatabaseStore, StoreFault> {
        let database = Database::create(path)?;
        let write = database.begin_write()?;
        drop((write.open_table(RECORDS)?, write.open_table(ENDS)?));
        write.commit()?;
        let mut bytes = 0;
        for record in database.begin_read()?.open_table(RECORDS)?.iter()? {
            let (_, record) = record?;
            bytes += cost(record.value().1);
        }
        Ok(DatabaseStore {
            database,
            bytes_max,
            bytes: Mutex::new(bytes),
        })
    }

    /// Does `act` whole or not at all.
    fn change<T>(
        &self,
        act: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let write = self.database.begin_write()?;
        let mut tables = Tables::open(&write, *bytes)?;
        let done = act(&mut tables)?;
        let after = tables.bytes;
        drop(tables);
        write.commit()?;
        *bytes = after;
        Ok(done)
    }
}

impl<'t> Tables<'t> {
    fn open(write: &'t WriteTransaction, bytes: u64) -> Result<Tables<'t>, StoreFault> {
        Ok(Tables {
            records: write.open_table(RECORDS)?,
            ends: write.open_table(ENDS)?,
            bytes,
        })
    }

    fn insert(&mut self, key: &AnswerKey, record: &[u8], expires: u64) -> Result<(), StoreFault> {
        self.records.insert(key, (expires, record))?;
        self.ends.insert((expires, key), ())?;
        self.bytes += cost(record);
        Ok(())
    }

    fn remove(&mut self, key: &AnswerKey) -> Result<Option<u64>, StoreFault> {
        let removed = match self.records.remove(key)? {
            Some(record) => {
                let (expires, record) = record.value();
                Some((expires, cost(record)))
            }
            None => None,
        };
        let Some((expires, cost)) = removed else {
            return Ok(None);
        };
        self.ends.remove((expires, key))?;
        self.bytes = self.bytes.saturating_sub(cost);
        Ok(Some(expires))
    }

    /// Lets go of what has ended, and of what would end first where there is too much.
    fn settle(&mut self, now: u64, bytes_max: u64) -> Result<(), StoreFault> {
        loop {
            let first = self.ends.first()?.map(|(end, _)| {
                let (expires, key) = end.value();
                (expires, *key)
            });
            let Some((expires, key)) = first else {
                return Ok(());
            };
            if expires > now && self.bytes <= bytes_max {
                return Ok(());
            }
            self.remove(&key)?;
        }
    }
}

fn cost(record: &[u8]) -> u64 {
    record.len() as u64 + RECORD_OVERHEAD_BYTES
}

impl AnswerStore for DatabaseStore {
    fn insert_new(
        &self,
        key: &AnswerKey,
        record: &[u8],
        now_unix: u64,
        expires_unix: u64,
    ) -> Result<Option<Vec<u8>>, StoreFault> {
        self.change(|tables| {
            tables.settle(now_unix, self.bytes_max)?;
            if let Some(known) = tables.records.get(key)? {
                return Ok(Some(known.value().1.to_vec()));
            }
            tables.insert(key, record, expires_unix)?;
            tables.settle(now_unix, self.bytes_max)?;
            Ok(None)
        })
    }

    fn replace(&self, key: &AnswerKey, record: &[u8]) -> Result<(), StoreFault> {
        self.change(|tables| match tables.remove(key)? {
            Some(expires) => tables.insert(key, record, expires),
            None => Ok(()),
        })
    }

    fn remove(&self, key: &AnswerKey) -> Result<(), StoreFault> {
        self.change(|tables| tables.remove(key).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer_store::tests::{check, check_bound};
    use super::*;

    #[test]
    fn records_are_kept_for_a_time_and_within_a_bound_over_restarts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("answers.redb");
        let open = || DatabaseStore::open(&path, 10_000).unwrap();
        check(&open());
        let store = open();
        assert_eq!(
            store.insert_new(&[1; 32], b"x", 20, 30).unwrap().unwrap(),
            b"six"
        );
        let before = *store.bytes.lock().unwrap();
        drop(store);
        let store = open();
        assert_eq!(*store.bytes.lock().unwrap(), before);
        store.change(|tables| tables.settle(100, 10_000)).unwrap();
        assert_eq!(*store.bytes.lock().unwrap(), 0);
        check_bound(&store);
        assert!(*store.bytes.lock().unwrap() <= 10_000);
    }

    #[test]
    fn a_file_of_something_else_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("answers.redb");
        std::fs::write(&path, [7; 10_000]).unwrap();
        assert!(DatabaseStore::open(&path, 1).is_err());
    }
}
