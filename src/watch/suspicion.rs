//! Whether a thing may be served without a look at the disk: one atomic inside the thing.
//!
//! It is relaxed: nothing is published through it, and reading an old value for a moment is what a
//! reader would have got a moment ago.

use std::sync::atomic::{AtomicU32, Ordering};

/// Something that can be told that a name it depends on has changed.
pub trait Watched: Send + Sync {
    /// Where it is told.
    fn suspicion(&self) -> &Suspicion;
}

/// How a thing stands to its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nobody would tell: it is trusted by its age.
    Unwatched,
    /// It is watched, and nothing has happened.
    Trusted,
    /// Something has happened: it is to be compared with the disk before it is served.
    Suspect,
}

/// A [`Trust`] that other threads change.
///
/// The two low bits hold the trust, the others count registrations: a word to one that was replaced
/// by another changes nothing.
#[derive(Debug, Default)]
pub struct Suspicion(AtomicU32);

const TRUST_BITS: u32 = 2;
const TRUST_MASK: u32 = (1 << TRUST_BITS) - 1;
const UNWATCHED: u32 = 0;
const TRUSTED: u32 = 1;
const SUSPECT: u32 = 2;

impl Suspicion {
    /// That of an unwatched thing.
    pub fn new() -> Suspicion {
        Suspicion::default()
    }

    /// How the thing stands now.
    #[inline]
    pub fn trust(&self) -> Trust {
        match self.0.load(Ordering::Relaxed) & TRUST_MASK {
            UNWATCHED => Trust::Unwatched,
            TRUSTED => Trust::Trusted,
            _ => Trust::Suspect,
        }
    }

    /// Makes the thing unwatched: what it was registered for counts no more. For whoever compares
    /// it with the disk and cannot register it again.
    pub fn forget(&self) {
        self.begin(UNWATCHED);
    }

    /// Begins a registration and returns its number.
    pub(super) fn enter(&self) -> u32 {
        self.begin(TRUSTED)
    }

    /// True while the registration of this number counts.
    pub(super) fn counts(&self, registration: u32) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        word >> TRUST_BITS == registration && word & TRUST_MASK == TRUSTED
    }

    /// Tells the thing, if the registration of this number counts.
    pub(super) fn tell(&self, registration: u32) {
        let counting = registration << TRUST_BITS;
        let (from, to) = (counting | TRUSTED, counting | SUSPECT);
        // It fails when the registration has been replaced, or the thing was told already.
        let _ = self
            .0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn begin(&self, trust: u32) -> u32 {
        let next = |word: u32| (word >> TRUST_BITS).wrapping_add(1) << TRUST_BITS | trust;
        let update = |word| Some(next(word));
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update)
            .expect("the update always has a value");
        next(before) >> TRUST_BITS
    }
}

/// A flag of its own, for things that have no place for one.
impl Watched for Suspicion {
    fn suspicion(&self) -> &Suspicion {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_registration_is_told() {
        let suspicion = Suspicion::new();
        assert_eq!(suspicion.trust(), Trust::Unwatched);
        suspicion.tell(0);
        assert_eq!(suspicion.trust(), Trust::Unwatched, "it was in none");
        let first = suspicion.enter();
        assert!(suspicion.counts(first));
        let second = suspicion.enter();
        suspicion.tell(first);
        assert_eq!(suspicion.trust(), Trust::Trusted);
        suspicion.tell(second);
        assert_eq!(suspicion.trust(), Trust::Suspect);
        assert!(!suspicion.counts(first) && !suspicion.counts(second));
        suspicion.forget();
        assert_eq!(suspicion.trust(), Trust::Unwatched);
    }

    #[test]
    fn numbers_wrap_within_their_bits() {
        let suspicion = Suspicion(AtomicU32::new(u32::MAX));
        let number = suspicion.enter();
        assert_eq!(number, 0);
        suspicion.tell(number);
        assert_eq!(suspicion.trust(), Trust::Suspect);
    }
}
