//! What stands between requests and the rooms that answer them: the gate, the log, counters, the
//! bound on what is in flight. A server that was asked for nothing of it has none.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::access::gate::{Gate, Peer};
use crate::http::RequestHead;
use crate::record::{Counters, Recorder, RequestId, RequestIds};

use super::visit::since_epoch;

/// The reception of one worker.
pub struct Reception {
    /// Where some site has rules about access.
    pub gate: Option<Gate>,
    /// Where requests are logged.
    pub recorder: Option<Recorder>,
    pub counters: Arc<Counters>,
    /// Somebody reads the counters.
    pub counts: bool,
    /// Answers say `X-Request-Id`.
    pub says_request_id: bool,
    /// The path that says whether the server is well.
    pub health: Option<Box<str>>,
    pub metrics: Option<Metrics>,
    pub in_flight: Option<InFlight>,
    ids: RequestIds,
    /// When this turn of the worker's loop began, once somebody has asked.
    turn_began: Option<Duration>,
}

/// Where the counters are, and how they are told.
#[derive(Clone)]
pub struct Metrics {
    pub path: Box<str>,
    pub render: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Requests that the slow lane works at, of all workers.
#[derive(Clone, Debug)]
pub struct InFlight {
    count: Arc<AtomicUsize>,
    max: usize,
}

/// One of them.
pub(super) struct Flight(Arc<AtomicUsize>);

impl Reception {
    /// One that asks nothing and tells nothing, but counts for itself.
    pub fn new(counters: Arc<Counters>) -> Reception {
        Reception {
            gate: None,
            recorder: None,
            counters,
            counts: false,
            says_request_id: false,
            health: None,
            metrics: None,
            in_flight: None,
            ids: RequestIds::random(),
            turn_began: None,
        }
    }

    /// The loop has turned.
    pub(super) fn begin_turn(&mut self) {
        self.turn_began = None;
    }

    /// About when the bytes came that are being acted on.
    #[inline]
    pub(super) fn turn_began(&mut self) -> Duration {
        if self.recorder.is_none() && !self.counts {
            return Duration::ZERO;
        }
        *self.turn_began.get_or_insert_with(since_epoch)
    }

    /// Where a request comes from, as far as that can be trusted.
    #[inline]
    pub(super) fn address_of(
        &self,
        _request: &RequestHead<'_>,
        peer: Option<&Peer>,
    ) -> Option<IpAddr> {
        peer?.address
    }

    /// The name of a request: one that a trusted peer has given it, or a new one.
    #[inline]
    pub(super) fn id_of(
        &mut self,
        _request: &RequestHead<'_>,
        _peer: Option<&Peer>,
    ) -> Option<RequestId> {
        Some(self.ids.make())
    }
}

impl InFlight {
    /// At most `max` at a time; clones count together.
    pub fn new(max: usize) -> InFlight {
        InFlight {
            count: Arc::default(),
            max,
        }
    }

    /// One more, unless there are enough.
    pub(super) fn take_off(&self) -> Option<Flight> {
        let flight = Flight(Arc::clone(&self.count));
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        (before < self.max).then_some(flight)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Reception {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = out.debug_struct("Reception");
        out.field("gate", &self.gate.is_some())
            .field("recorder", &self.recorder.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flights_are_counted_while_they_last() {
        let in_flight = InFlight::new(2);
        let first = in_flight.take_off();
        let second = in_flight.clone().take_off();
        assert!(first.is_some() && second.is_some());
        assert!(in_flight.take_off().is_none());
        drop(first);
        assert!(in_flight.take_off().is_some());
    }
}
