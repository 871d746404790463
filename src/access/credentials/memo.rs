//! What one worker knows of the `Authorization` fields that it has seen: no lock, no cryptography
//! and no counter that another worker touches.
//!
//! The fields are kept as they came, for as long as what they have shown is good, and are wiped
//! when they are let go.

use std::hash::BuildHasher;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use foldhash::fast::RandomState;
use zeroize::Zeroizing;

use super::authenticator::{Authenticator, Credential};
use super::identity::Identity;
use super::remembered::Term;
use super::wrong::Wrong;
use crate::base::Now;
use crate::base::limits::{CREDENTIAL_MEMO_BYTES, CREDENTIAL_MEMO_SLOTS};

/// One field, and one subject of a certificate, for each slot.
pub struct CredentialMemo {
    hasher: RandomState,
    /// Empty until somebody is known.
    slots: Vec<Option<Slot>>,
}

struct Slot {
    generation: u64,
    term: Term,
    kind: Kind,
    text: Zeroizing<Box<[u8]>>,
    /// This worker's own, so that its counter stays in this worker's cache.
    identity: Arc<Identity>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Authorization,
    Certificate,
}

impl Default for CredentialMemo {
    fn default() -> Self {
        Self::new()
    }
}

impl CredentialMemo {
    /// Knows nothing yet.
    pub fn new() -> CredentialMemo {
        CredentialMemo {
            hasher: RandomState::default(),
            slots: Vec::new(),
        }
    }

    /// The same as [`Authenticator::check`], without its cost where it was asked lately.
    #[inline]
    pub fn check(
        &mut self,
        authenticator: &Arc<Authenticator>,
        authorization: Option<&[u8]>,
        client_certificate: Option<&str>,
        now: Now,
    ) -> Credential {
        let unknown = match authorization {
            None => None,
            Some(value) => match self.check_field(authenticator, value, now) {
                Credential::Wrong(Wrong::UnknownScheme) => Some(Wrong::UnknownScheme),
                credential => return credential,
            },
        };
        if client_certificate.is_none() && unknown.is_none() {
            return Credential::None;
        }
        self.check_certificate(authenticator, client_certificate, unknown, now)
    }

    #[inline]
    fn check_field(
        &mut self,
        authenticator: &Arc<Authenticator>,
        value: &[u8],
        now: Now,
    ) -> Credential {
        let index = self.index(Kind::Authorization, value, authenticator);
        if let Some(identity) = self.find(index, Kind::Authorization, value, authenticator, now) {
            return Credential::Known(Arc::clone(identity));
        }
        let (credential, term) = authenticator.check_field(value, now);
        if let Credential::Known(identity) = &credential {
            let kind = Kind::Authorization;
            return self.keep(index, kind, value, authenticator, identity, term);
        }
        credential
    }

    fn check_certificate(
        &mut self,
        authenticator: &Authenticator,
        subject: Option<&str>,
        unknown: Option<Wrong>,
        now: Now,
    ) -> Credential {
        let text = subject.unwrap_or_default().as_bytes();
        let index = self.index(Kind::Certificate, text, authenticator);
        if let Some(identity) = self.find(index, Kind::Certificate, text, authenticator, now) {
            return Credential::Known(Arc::clone(identity));
        }
        let credential = authenticator.check_certificate(subject, unknown);
        if let Credential::Known(identity) = &credential {
            let kind = Kind::Certificate;
            let term = authenticator.term(now);
            return self.keep(index, kind, text, authenticator, identity, term);
        }
        credential
    }

    /// Lets go of what is not good any more; for the tick of the worker.
    pub fn sweep(&mut self, now: Now) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|slot| !slot.term.holds(now)) {
                *slot = None;
            }
        }
    }

    #[inline]
    fn index(&self, kind: Kind, text: &[u8], authenticator: &Authenticator) -> usize {
        let hash = self
            .hasher
            .hash_one((kind, authenticator.generation(), text));
        hash as usize % CREDENTIAL_MEMO_SLOTS
    }

    #[inline]
    fn find(
        &self,
        index: usize,
        kind: Kind,
        text: &[u8],
        authenticator: &Authenticator,
        now: Now,
    ) -> Option<&Arc<Identity>> {
        let slot = self.slots.get(index)?.as_ref()?;
        let is_good = slot.generation == authenticator.generation()
            && slot.kind == kind
            && slot.term.holds(now)
            && verify_slices_are_equal(&slot.text, text).is_ok();
        is_good.then_some(&slot.identity)
    }

    /// Remembers a known user, whose name this worker from now on has to itself.
    fn keep(
        &mut self,
        index: usize,
        kind: Kind,
        text: &[u8],
        authenticator: &Authenticator,
        identity: &Arc<Identity>,
        term: Term,
    ) -> Credential {
        let identity = Arc::new(Identity::clone(identity));
        if text.len() <= CREDENTIAL_MEMO_BYTES {
            if self.slots.is_empty() {
                self.slots.resize_with(CREDENTIAL_MEMO_SLOTS, || None);
            }
            self.slots[index] = Some(Slot {
                generation: authenticator.generation(),
                term,
                kind,
                text: Zeroizing::new(text.into()),
                identity: Arc::clone(&identity),
            });
        }
        Credential::Known(identity)
    }
}
