//! A strict process-wide budget: what is given out comes back when its holder is dropped.
//!
//! The store's own weights say what it *keeps*; this counter says what is *alive*, which is more
//! while slow readers or other workers' indexes still hold an evicted body.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;

/// A number of units (bytes, descriptors) of which no more than a limit are ever out.
#[derive(Debug)]
pub struct Budget {
    live: AtomicU64,
    limit: u64,
}

/// So many units, given back on drop.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    amount: u64,
}

impl Budget {
    /// A budget of `limit` units.
    pub fn new(limit: u64) -> Arc<Budget> {
        Arc::new(Budget {
            live: AtomicU64::new(0),
            limit,
        })
    }

    /// Takes `amount` units, or none when that would pass the limit.
    pub fn take(self: &Arc<Self>, amount: u64) -> Option<Permit> {
        // Relaxed: the counter guards no memory, and a single atomic has one order of changes.
        let grow = |live: u64| live.checked_add(amount).filter(|sum| *sum <= self.limit);
        let taken = self
            .live
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow);
        taken.ok().map(|_| Permit {
            budget: Arc::clone(self),
            amount,
        })
    }

    /// Units that are out.
    pub fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// The most that are ever out.
    pub fn limit(&self) -> u64 {
        self.limit
    }
}

impl Permit {
    /// Units of this permit.
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Ties the permit to the bytes that it was taken for: every clone and slice of the result
    /// keeps it, and the last one gives it back.
    pub fn into_body(self, bytes: Vec<u8>) -> PaidBody {
        assert!(
            bytes.capacity() as u64 <= self.amount,
            "a body is paid for in full"
        );
        PaidBody(Arc::new(Paid {
            bytes,
            _permit: self,
        }))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.budget.live.fetch_sub(self.amount, Ordering::Relaxed);
        assert!(before >= self.amount, "a permit is given back once");
    }
}

/// A body in memory that a permit pays for.
#[derive(Clone, Debug)]
pub struct PaidBody(Arc<Paid>);

/// A body that may have gone.
#[derive(Debug)]
pub(super) struct WeakBody(Weak<Paid>);

#[derive(Debug)]
struct Paid {
    bytes: Vec<u8>,
    _permit: Permit,
}

impl PaidBody {
    /// The bytes, which keep the body alive.
    pub fn bytes(&self) -> Bytes {
        if self.0.bytes.is_empty() {
            return Bytes::new();
        }
        Bytes::from_owner(self.clone())
    }

    pub(super) fn downgrade(&self) -> WeakBody {
        WeakBody(Arc::downgrade(&self.0))
    }
}

impl WeakBody {
    pub(super) fn upgrade(&self) -> Option<PaidBody> {
        self.0.upgrade().map(PaidBody)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl AsRef<[u8]> for PaidBody {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_strict_and_what_is_dropped_comes_back() {
        let budget = Budget::new(10);
        let six = budget.take(6).unwrap();
        assert!(budget.take(5).is_none());
        let four = budget.take(4).unwrap();
        assert_eq!(budget.live(), 10);
        drop(six);
        assert_eq!(budget.live(), four.amount());
        assert!(budget.take(u64::MAX).is_none(), "sums do not wrap");
    }

    #[test]
    fn a_slice_keeps_the_whole_body_paid() {
        let budget = Budget::new(100);
        let body = budget.take(5).unwrap().into_body(b"hello".to_vec()).bytes();
        let slice = body.slice(1..2);
        drop(body);
        assert_eq!((&slice[..], budget.live()), (&b"e"[..], 5));
        drop(slice);
        assert_eq!(budget.live(), 0);
    }

    #[test]
    fn threads_never_pass_the_limit_together() {
        let budget = Budget::new(64);
        std::thread::scope(|scope| {
            for n in 1..=4 {
                let budget = &budget;
                scope.spawn(move || {
                    for round in 0..5_000 {
                        let permit = budget.take((round * n) % 40);
                        assert!(budget.live() <= 64);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(budget.live(), 0);
    }
}
