//! Credentials that were checked, by a keyed hash: neither password nor token is kept.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use foldhash::fast::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::identity::Identity;
use crate::base::limits::{CREDENTIALS_REMEMBERED_BYTES, REFUSAL_REMEMBERED, REFUSALS_REMEMBERED};
use crate::base::{Millis, Now};

/// HMAC-SHA256 of a credential, under a key that nobody knows.
pub(super) type Fingerprint = [u8; 32];

/// Guessed bytes of what is remembered of a short credential.
const ENTRY_BYTES: u64 = 256;
/// Claims take so many times what they have in the token.
const CLAIMS_FACTOR: u64 = 4;

/// How long an answer is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term {
    until: Millis,
    until_unix: u64,
}

impl Term {
    /// Of what is not remembered.
    pub(super) const NEVER: Term = Term {
        until: Millis(0),
        until_unix: 0,
    };

    /// From now on, and not beyond the end of a token in seconds since 1970.
    pub(super) fn new(now: Now, length: Duration, until_unix: u64) -> Term {
        Term {
            until: now.monotonic + length,
            until_unix,
        }
    }

    pub(super) fn holds(self, now: Now) -> bool {
        now.monotonic < self.until && now.unix_seconds < self.until_unix
    }
}

/// What is remembered by all workers. A shard is locked for one look-up.
pub(super) struct Remembered {
    key: hmac::Key,
    known: Cache<Fingerprint, Known, Weigh, RandomState>,
    refused: Cache<Fingerprint, Millis, quick_cache::UnitWeighter, RandomState>,
}

#[derive(Clone)]
struct Known {
    identity: Arc<Identity>,
    term: Term,
    bytes: u64,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<Fingerprint, Known> for Weigh {
    fn weight(&self, _: &Fingerprint, known: &Known) -> u64 {
        known.bytes
    }
}

impl Remembered {
    /// Remembers nothing yet. Fails without randomness.
    pub(super) fn new() -> Result<Remembered, String> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random)
            .map_err(|_| "the kernel gives no random bytes".to_owned())?;
        let entries_max = (CREDENTIALS_REMEMBERED_BYTES / ENTRY_BYTES) as usize;
        let options = OptionsBuilder::new()
            .estimated_items_capacity(entries_max)
            .weight_capacity(CREDENTIALS_REMEMBERED_BYTES)
            .build()
            .expect("both capacities are given");
        Ok(Remembered {
            key,
            known: Cache::with_options(
                options,
                Weigh,
                RandomState::default(),
                DefaultLifecycle::default(),
            ),
            refused: Cache::with(
                REFUSALS_REMEMBERED,
                REFUSALS_REMEMBERED as u64,
                quick_cache::UnitWeighter,
                RandomState::default(),
                DefaultLifecycle::default(),
            ),
        })
    }

    /// What a credential is remembered by.
    pub(super) fn fingerprint(&self, scheme: &[u8], credential: &[u8]) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(scheme);
        context.update(credential);
        let tag = context.sign();
        tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Whose credential this is known to be, and for how long.
    pub(super) fn known(&self, of: &Fingerprint, now: Now) -> Option<(Arc<Identity>, Term)> {
        let known = self.known.get(of).filter(|known| known.term.holds(now))?;
        Some((known.identity, known.term))
    }

    /// True when it was refused a moment ago.
    pub(super) fn is_refused(&self, of: &Fingerprint, now: Now) -> bool {
        self.refused
            .get(of)
            .is_some_and(|until| now.monotonic < until)
    }

    /// Remembers whose credential this is, which has so many bytes of claims.
    pub(super) fn keep(
        &self,
        of: Fingerprint,
        identity: &Arc<Identity>,
        term: Term,
        claim_bytes: usize,
    ) {
        let bytes = ENTRY_BYTES + CLAIMS_FACTOR * claim_bytes as u64;
        let identity = Arc::clone(identity);
        let known = Known {
            identity,
            term,
            bytes,
        };
        self.known.insert(of, known);
    }

    /// Remembers for a moment that this is nobody's.
    pub(super) fn refuse(&self, of: Fingerprint, now: Now) {
        self.refused.insert(of, now.monotonic + REFUSAL_REMEMBERED);
    }
}
