//! Counters of one worker, read by anybody.
//!
//! Only one thread writes to a set of counters, so that counting is a load and a store, without
//! the locked instruction that shared counters would need. A second writer would lose counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::entry::{CacheState, METHODS, VERSIONS};
use crate::http::{Method, Version};

/// Upper bounds of the durations that are told apart, in microseconds; what takes longer is counted
/// behind the last.
pub const DURATION_BOUNDS: [u32; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// First digits of a status; the first is for what had none.
pub(super) const STATUS_CLASSES: usize = 6;

// Where each family of counters has its cells.
const RESPONSES: usize = 0;
const REQUESTS: usize = RESPONSES + STATUS_CLASSES;
const PROTOCOLS: usize = REQUESTS + METHODS.len();
const CACHE: usize = PROTOCOLS + VERSIONS.len();
const DURATIONS: usize = CACHE + CacheState::ALL.len();
const REFUSED: usize = DURATIONS + DURATION_BOUNDS.len() + 1;
const SENT_BYTES: usize = REFUSED + Refusal::ALL.len();
const DURATION_MICROS: usize = SENT_BYTES + 1;
const ACCEPTED: usize = DURATION_MICROS + 1;
const CLOSED: usize = ACCEPTED + 1;
const AUTH_FAILURES: usize = CLOSED + 1;
const PANICS: usize = AUTH_FAILURES + 1;
const LOG_LINES: usize = PANICS + 1;
const LOG_LINES_DROPPED: usize = LOG_LINES + 1;
const CELLS: usize = LOG_LINES_DROPPED + 1;

/// What is counted of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    pub method: Method,
    pub version: Version,
    /// The status code; 0 where no answer has begun.
    pub status: u16,
    /// Bytes of content that were sent.
    pub bytes: u64,
    /// Microseconds that it took.
    pub micros: u32,
    pub cache: CacheState,
}

/// Which limit has refused a request or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many requests of one client (429).
    Rate,
    /// Too many connections of one address.
    Connections,
    /// Too much in flight (503).
    Overload,
    /// An address that is not let in.
    Address,
}

impl Refusal {
    pub(super) const ALL: [Refusal; 4] = [
        Refusal::Rate,
        Refusal::Connections,
        Refusal::Overload,
        Refusal::Address,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Refusal::Rate => "rate",
            Refusal::Connections => "connections",
            Refusal::Overload => "overload",
            Refusal::Address => "address",
        }
    }
}

/// The counters of one thread. Aligned, so that no line of the processor's cache is shared with
/// what another thread writes (two lines are fetched at once).
#[derive(Debug)]
#[repr(align(128))]
pub struct Counters {
    cells: [AtomicU64; CELLS],
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            cells: [const { AtomicU64::new(0) }; CELLS],
        }
    }
}

impl Counters {
    /// Counts a request that has been answered, or given up.
    #[inline]
    pub fn on_request(&self, answered: &Answered) {
        let class = usize::from(answered.status / 100);
        let class = if class < STATUS_CLASSES { class } else { 0 };
        self.add(RESPONSES + class, 1);
        self.add(REQUESTS + answered.method as usize, 1);
        self.add(PROTOCOLS + answered.version as usize, 1);
        self.add(CACHE + answered.cache as usize, 1);
        self.add(DURATIONS + bucket(answered.micros), 1);
        self.add(DURATION_MICROS, u64::from(answered.micros));
        self.add(SENT_BYTES, answered.bytes);
    }

    /// A connection was accepted.
    pub fn on_accepted(&self) {
        self.add(ACCEPTED, 1);
    }

    /// A connection that was accepted has ended.
    pub fn on_closed(&self) {
        self.add(CLOSED, 1);
    }

    /// A limit has refused a request or a connection.
    pub fn on_refused(&self, refusal: Refusal) {
        self.add(REFUSED + refusal as usize, 1);
    }

    /// A credential was wrong.
    pub fn on_auth_failure(&self) {
        self.add(AUTH_FAILURES, 1);
    }

    /// A panic has cost a request.
    pub fn on_panic(&self) {
        self.add(PANICS, 1);
    }

    /// Lines of the access log were written.
    pub fn on_log_lines(&self, lines: u64) {
        self.add(LOG_LINES, lines);
    }

    /// Lines of the access log were lost.
    pub fn on_log_lines_dropped(&self, lines: u64) {
        self.add(LOG_LINES_DROPPED, lines);
    }

    /// Lines of the access log that were lost.
    pub fn log_lines_dropped(&self) -> u64 {
        self.cells[LOG_LINES_DROPPED].load(Ordering::Relaxed)
    }

    #[inline]
    fn add(&self, cell: usize, more: u64) {
        let cell = &self.cells[cell];
        let before = cell.load(Ordering::Relaxed);
        cell.store(before.wrapping_add(more), Ordering::Relaxed);
    }
}

/// The place of a duration among the bounds.
#[inline]
fn bucket(micros: u32) -> usize {
    // Most are answered from memory; for the others all bounds are compared without a branch.
    if micros <= DURATION_BOUNDS[0] {
        return 0;
    }
    let above = |bound: &u32| usize::from(micros > *bound);
    DURATION_BOUNDS.iter().map(above).sum()
}

/// The counters of all threads.
#[derive(Clone, Debug, Default)]
pub struct AllCounters(Vec<Arc<Counters>>);

impl AllCounters {
    /// New counters for one more thread.
    pub fn add(&mut self) -> Arc<Counters> {
        let counters = Arc::<Counters>::default();
        self.0.push(Arc::clone(&counters));
        counters
    }

    /// The sums. They are read while the threads go on: what one request has changed may be there
    /// in part.
    pub fn sum(&self) -> Totals {
        let mut cells = [0_u64; CELLS];
        for counters in &self.0 {
            for (sum, cell) in cells.iter_mut().zip(&counters.cells) {
                *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
            }
        }
        Totals { cells }
    }
}

/// What all threads have counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    cells: [u64; CELLS],
}

impl Totals {
    /// Requests in all.
    pub fn requests(&self) -> u64 {
        self.cells[DURATIONS..REFUSED].iter().sum()
    }

    /// Responses by the first digit of their status; first those that had none.
    pub fn responses(&self) -> &[u64] {
        &self.cells[RESPONSES..REQUESTS]
    }

    /// Requests of one method.
    pub fn requests_of(&self, method: Method) -> u64 {
        self.cells[REQUESTS + method as usize]
    }

    /// Requests over one protocol.
    pub fn requests_over(&self, version: Version) -> u64 {
        self.cells[PROTOCOLS + version as usize]
    }

    /// Requests by what the cache did for them.
    pub fn requests_from(&self, cache: CacheState) -> u64 {
        self.cells[CACHE + cache as usize]
    }

    /// Requests by duration: up to each of [`DURATION_BOUNDS`] and above the one before, and last
    /// the longer ones.
    pub fn durations(&self) -> &[u64] {
        &self.cells[DURATIONS..REFUSED]
    }

    /// Microseconds that all requests took together.
    pub fn duration_micros(&self) -> u64 {
        self.cells[DURATION_MICROS]
    }

    /// Requests and connections that a limit has refused.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.cells[REFUSED + refusal as usize]
    }

    /// Bytes of content that were sent.
    pub fn sent_bytes(&self) -> u64 {
        self.cells[SENT_BYTES]
    }

    /// Connections that were accepted.
    pub fn accepted(&self) -> u64 {
        self.cells[ACCEPTED]
    }

    /// Connections that are open.
    pub fn open(&self) -> u64 {
        // The two are not read at the same moment.
        self.cells[ACCEPTED].saturating_sub(self.cells[CLOSED])
    }

    /// Wrong credentials.
    pub fn auth_failures(&self) -> u64 {
        self.cells[AUTH_FAILURES]
    }

    /// Panics that have cost a request.
    pub fn panics(&self) -> u64 {
        self.cells[PANICS]
    }

    /// Lines of the access log that were written.
    pub fn log_lines(&self) -> u64 {
        self.cells[LOG_LINES]
    }

    /// Lines of the access log that were lost.
    pub fn log_lines_dropped(&self) -> u64 {
        self.cells[LOG_LINES_DROPPED]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fuzz::sample;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_counted_once_in_each_family() {
        let mut all = AllCounters::default();
        let (first, second) = (all.add(), all.add());
        for counters in [&first, &second] {
            counters.on_request(&Answered {
                method: Method::Put,
                version: Version::Http2,
                status: 201,
                bytes: 10,
                micros: 101,
                cache: CacheState::Bypass,
            });
        }
        first.on_request(&Answered {
            status: 0,
            micros: u32::MAX,
            ..sample().answered()
        });
        let totals = all.sum();
        assert_eq!(totals.requests(), 3);
        assert_eq!(totals.responses(), [1, 0, 2, 0, 0, 0]);
        assert_eq!(totals.requests_of(Method::Put), 2);
        assert_eq!(totals.requests_over(Version::Http2), 2);
        assert_eq!(totals.requests_from(CacheState::Bypass), 2);
        assert_eq!(totals.durations()[1], 2);
        assert_eq!(totals.durations().last(), Some(&1));
        assert_eq!(totals.duration_micros(), 202 + u64::from(u32::MAX));
        assert_eq!(totals.sent_bytes(), 20 + sample().bytes);
    }

    #[test]
    fn what_is_counted_by_itself_has_a_place_of_its_own() {
        let mut all = AllCounters::default();
        let counters = all.add();
        for _ in 0..3 {
            counters.on_accepted();
        }
        counters.on_closed();
        counters.on_auth_failure();
        counters.on_panic();
        counters.on_log_lines(40);
        counters.on_log_lines_dropped(2);
        for (times, refusal) in Refusal::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| counters.on_refused(refusal));
        }
        let totals = all.sum();
        assert_eq!((totals.accepted(), totals.open()), (3, 2));
        assert_eq!((totals.auth_failures(), totals.panics()), (1, 1));
        assert_eq!((totals.log_lines(), totals.log_lines_dropped()), (40, 2));
        let refused = Refusal::ALL.map(|refusal| totals.refused(refusal));
        assert_eq!(refused, [1, 2, 3, 4]);
        assert_eq!(totals.requests(), 0);
    }

    #[test]
    fn no_two_threads_share_a_line_of_the_cache() {
        assert_eq!(align_of::<Counters>(), 128);
        assert_eq!(size_of::<Counters>() % 128, 0);
    }

    proptest! {
        #[test]
        fn a_duration_lies_between_the_bounds_of_its_bucket(micros: u32, shift in 0..32) {
            let micros = micros >> shift;
            let bucket = bucket(micros);
            prop_assert!(bucket == 0 || micros > DURATION_BOUNDS[bucket - 1]);
            prop_assert!(DURATION_BOUNDS.get(bucket).is_none_or(|bound| micros <= *bound));
        }

        #[test]
        fn any_status_is_counted(status: u16) {
            let mut all = AllCounters::default();
            all.add().on_request(&Answered { status, ..sample().answered() });
            prop_assert_eq!(all.sum().responses().iter().sum::<u64>(), 1);
        }
    }
}
