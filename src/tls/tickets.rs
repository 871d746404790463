//! Session tickets (RFC 8446 §4.6.1, RFC 5077), the same for all workers: a client that comes back
//! to another one is known there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustls::server::ProducesTickets;

use super::TlsError;
use super::ticket_keys::TicketKey;
use crate::base::limits::{TICKET_KEY_SECONDS, TICKET_SECONDS};

/// Bytes of the time that stands in front of what is sealed.
const TIME_BYTES: usize = 8;
/// How far clocks of machines with the same keys may differ.
const SKEW_SECONDS: u64 = 60;

/// The keys, which change while connections use them.
#[derive(Debug)]
pub(super) struct Tickets {
    ring: ArcSwap<Ring>,
    /// Seconds since 1970, as the cold thread told last.
    now: AtomicU64,
}

/// The first key seals, all open.
#[derive(Debug)]
struct Ring {
    keys: Vec<Arc<TicketKey>>,
    /// Random keys are made anew; those from files are their owner's to change.
    rotates: bool,
    made_at: u64,
}

impl Tickets {
    pub(super) fn new(keys: Option<Vec<TicketKey>>, now: u64) -> Result<Tickets, TlsError> {
        Ok(Tickets {
            ring: ArcSwap::from_pointee(Ring::new(keys, now)?),
            now: AtomicU64::new(now),
        })
    }

    /// Keys from files take the place of those before; random ones stay until their time is over.
    pub(super) fn replace(&self, keys: Option<Vec<TicketKey>>) -> Result<(), TlsError> {
        if keys.is_some() || !self.ring.load().rotates {
            let ring = Ring::new(keys, self.now.load(Ordering::Relaxed))?;
            self.ring.store(Arc::new(ring));
        }
        Ok(())
    }

    /// Tells the time, and makes a new key when it has come. The key before it still opens tickets.
    pub(super) fn rotate(&self, now: u64) -> Result<(), TlsError> {
        self.now.store(now, Ordering::Relaxed);
        let ring = self.ring.load();
        // A clock that was set back is a reason to start anew as well.
        let age = now.checked_sub(ring.made_at);
        if !ring.rotates || age.is_some_and(|age| age < TICKET_KEY_SECONDS) {
            return Ok(());
        }
        let mut keys = vec![Arc::new(TicketKey::random()?)];
        if age.is_some_and(|age| age < TICKET_KEY_SECONDS + TICKET_SECONDS) {
            keys.extend(ring.keys.first().map(Arc::clone));
        }
        self.ring.store(Arc::new(Ring {
            keys,
            rotates: true,
            made_at: now,
        }));
        Ok(())
    }
}

impl Ring {
    fn new(keys: Option<Vec<TicketKey>>, now: u64) -> Result<Ring, TlsError> {
        let rotates = keys.is_none();
        let keys = match keys {
            Some(keys) => keys,
            None => vec![TicketKey::random()?],
        };
        Ok(Ring {
            keys: keys.into_iter().map(Arc::new).collect(),
            rotates,
            made_at: now,
        })
    }
}

/// Makes and reads tickets of servers that check clients alike.
///
/// rustls does not look at a client's certificate again when it comes with a ticket. So a ticket is
/// sealed together with `context`, which says whose certificates were asked for when it was made,
/// and is worthless once that has changed.
#[derive(Debug)]
pub(super) struct Ticketer {
    pub(super) tickets: Arc<Tickets>,
    pub(super) context: [u8; 33],
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(TICKET_SECONDS).expect("at most a week (RFC 8446 §4.6.1)")
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let ring = self.tickets.ring.load();
        let now = self.tickets.now.load(Ordering::Relaxed).to_be_bytes();
        ring.keys.first()?.seal(&self.context, &[&now, plain])
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let ring = self.tickets.ring.load();
        let mut keys = ring.keys.iter();
        let opened = keys.find_map(|key| key.open(&self.context, ticket))?;
        let (made_at, plain) = opened.split_first_chunk::<TIME_BYTES>()?;
        let made_at = u64::from_be_bytes(*made_at);
        let now = self.tickets.now.load(Ordering::Relaxed);
        let is_in_force = now <= made_at.saturating_add(TICKET_SECONDS + SKEW_SECONDS);
        is_in_force.then(|| plain.to_vec())
    }
}
