//! Entries on their way from a worker to the thread that writes them.
//!
//! One ring of bytes for each worker, with one writer and one reader. Who finds no room drops the
//! entry and counts it: a worker never waits for a disk.

use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use rtrb::{Consumer, Producer, RingBuffer};

use super::counters::Counters;
use super::encoding::{self, ENTRY_BYTES_MAX};
use super::entry::Entry;

/// The least that a ring holds: a few entries of any length.
const RING_BYTES_MIN: usize = 4 * ENTRY_BYTES_MAX;

/// Who is woken when a ring fills up; unknown until it has said so.
type Sleeper = OnceLock<Thread>;

/// The worker's end.
pub struct Recorder {
    ring: Producer<u8>,
    /// Where an entry is put together; it is committed to the ring whole.
    entry: Vec<u8>,
    /// Bytes recorded since the reader was woken last, and how many of them wake it.
    bytes_since_wake: usize,
    wake_bytes: usize,
    sleeper: Arc<Sleeper>,
    counters: Arc<Counters>,
}

/// The writer's end.
pub struct EntryReader {
    ring: Consumer<u8>,
    /// The next entry, once it was looked at.
    entry: Box<[u8; ENTRY_BYTES_MAX]>,
    loaded: Option<usize>,
    sleeper: Arc<Sleeper>,
    counters: Arc<Counters>,
}

/// A ring of so many bytes. What is dropped is counted among `counters`, the worker's own.
pub fn channel(bytes: usize, counters: Arc<Counters>) -> (Recorder, EntryReader) {
    let bytes = bytes.max(RING_BYTES_MIN);
    let (producer, consumer) = RingBuffer::new(bytes);
    let sleeper = Arc::new(Sleeper::new());
    let recorder = Recorder {
        ring: producer,
        entry: Vec::with_capacity(ENTRY_BYTES_MAX),
        bytes_since_wake: 0,
        wake_bytes: bytes / 4,
        sleeper: Arc::clone(&sleeper),
        counters: Arc::clone(&counters),
    };
    let reader = EntryReader {
        ring: consumer,
        entry: Box::new([0; ENTRY_BYTES_MAX]),
        loaded: None,
        sleeper,
        counters,
    };
    (recorder, reader)
}

impl Recorder {
    /// Leaves an entry for the writer, or drops it. Allocates nothing, takes no lock, and makes a
    /// system call only when a quarter of the ring was filled since the reader was last woken.
    pub fn record(&mut self, entry: &Entry<'_>) {
        encoding::encode(entry, &mut self.entry);
        if self.ring.push_entire_slice(&self.entry).is_err() {
            self.counters.on_log_lines_dropped(1);
            return;
        }
        // Counted here instead of asking how full the ring is: that would fetch the reader's place
        // from the other processor's cache for each entry.
        self.bytes_since_wake += self.entry.len();
        if self.bytes_since_wake >= self.wake_bytes {
            self.bytes_since_wake = 0;
            if let Some(thread) = self.sleeper.get() {
                thread.unpark();
            }
        }
    }
}

impl EntryReader {
    /// Has `thread` unparked when the ring fills up. Only the first call counts.
    pub fn wake(&self, thread: Thread) {
        let _ = self.sleeper.set(thread);
    }

    /// The time of the next entry, if there is one.
    pub fn next_unix_ms(&mut self) -> Option<u64> {
        let len = self.load()?;
        Some(encoding::unix_ms(&self.entry[..len]))
    }

    /// The next entry.
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        let len = self.load()?;
        self.loaded = None;
        Some(encoding::decode(&self.entry[..len]))
    }

    /// Entries that found no room, since the start.
    pub fn dropped(&self) -> u64 {
        self.counters.log_lines_dropped()
    }

    /// Copies the next entry out of the ring, unless that was done; its length.
    fn load(&mut self) -> Option<usize> {
        if self.loaded.is_none() {
            let mut len = [0; 2];
            self.ring.pop_entire_slice(&mut len).ok()?;
            let len = usize::from(u16::from_le_bytes(len));
            self.ring
                .pop_entire_slice(&mut self.entry[..len])
                .expect("an entry is committed whole");
            self.loaded = Some(len);
        }
        self.loaded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::ACCESS_RING_BYTES;
    use crate::record::fuzz::sample;
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn entries_arrive_in_their_order() {
        let (mut recorder, mut reader) = channel(0, Arc::default());
        assert_eq!(reader.next_unix_ms(), None);
        for time in 0..1000 {
            let entry = Entry {
                unix_ms: time,
                bytes: time * 7,
                ..sample()
            };
            recorder.record(&entry);
            if time % 2 == 0 {
                assert_eq!(reader.next_unix_ms(), Some(time));
                assert_eq!(reader.next_unix_ms(), Some(time));
            }
            assert_eq!(reader.next_entry(), Some(entry));
            assert_eq!(reader.next_entry(), None);
        }
        assert_eq!(reader.dropped(), 0);
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted_and_nothing_is_torn() {
        let (mut recorder, mut reader) = channel(0, Arc::default());
        let mut dropped = 0;
        for round in 0..50 {
            for number in 0..500 {
                let entry = Entry {
                    unix_ms: number,
                    status: round,
                    ..sample()
                };
                recorder.record(&entry);
            }
            let mut expected = 0;
            while let Some(entry) = reader.next_entry() {
                assert_eq!((entry.unix_ms, entry.status), (expected, round));
                expected += 1;
            }
            assert!(expected > 10 && expected < 500);
            dropped += 500 - expected;
            assert_eq!(reader.dropped(), dropped);
        }
    }

    #[test]
    fn recording_never_grows_its_memory() {
        let (mut recorder, _reader) = channel(0, Arc::default());
        let long = [b'x'; 10_000];
        let entry = Entry {
            target: &long,
            query: Some(&long),
            referer: Some(&long),
            user_agent: Some(&long),
            host: Some(&long),
            ..sample()
        };
        recorder.record(&entry);
        assert_eq!(recorder.entry.capacity(), ENTRY_BYTES_MAX);
    }

    #[test]
    fn a_quarter_of_the_ring_wakes_the_reader() {
        let (mut recorder, reader) = channel(ACCESS_RING_BYTES, Arc::default());
        let sleeper = thread::spawn(|| {
            let before = Instant::now();
            thread::park_timeout(Duration::from_secs(20));
            before.elapsed()
        });
        reader.wake(sleeper.thread().clone());
        while recorder.bytes_since_wake < ACCESS_RING_BYTES / 4 - 1000 {
            recorder.record(&sample());
        }
        assert!(!sleeper.is_finished());
        (0..20).for_each(|_| recorder.record(&sample()));
        assert!(recorder.bytes_since_wake < 10_000);
        assert!(sleeper.join().unwrap() < Duration::from_secs(15));
    }

    #[test]
    fn two_threads_pass_every_entry_or_count_it() {
        const ENTRIES: u64 = 20_000;
        let (mut recorder, mut reader) = channel(64 * 1024, Arc::default());
        let worker = thread::spawn(move || {
            for time in 0..ENTRIES {
                let entry = Entry {
                    unix_ms: time,
                    bytes: !time,
                    ..sample()
                };
                recorder.record(&entry);
            }
        });
        let (mut read, mut last) = (0, None);
        loop {
            let is_over = worker.is_finished();
            while let Some(entry) = reader.next_entry() {
                assert_eq!(entry.bytes, !entry.unix_ms);
                assert!(last < Some(entry.unix_ms));
                last = Some(entry.unix_ms);
                read += 1;
            }
            if is_over {
                break;
            }
        }
        worker.join().unwrap();
        assert_eq!(read + reader.dropped(), ENTRIES);
    }
}
