//! What stands between requests and the rooms that answer them: the gate, the log, counters, the
//! bound on what is in flight. A server that was asked for nothing of it has none.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::access::connections::ConnectionsByAddress;
use crate::access::gate::{Gate, GateSettings, Peer};
use crate::exchange::Answer;
use crate::handler::{errors, told};
use crate::http::{Method, RequestHead, Status};
use crate::record::{Counters, Recorder, Refusal, RequestId, RequestIds};

use super::visit::since_epoch;

/// What the reception of one worker is made of, on the worker's own thread.
pub struct ReceptionSettings {
    /// What all gates share.
    pub gate: Arc<GateSettings>,
    /// Where requests are logged.
    pub recorder: Option<Recorder>,
    pub counters: Arc<Counters>,
    /// Answers say `X-Request-Id`.
    pub says_request_id: bool,
    /// The path that says whether the server is well.
    pub health: Option<Box<str>>,
    pub metrics: Option<Metrics>,
    pub in_flight: Option<InFlight>,
    /// Connections of one address, and how many there may be.
    pub per_address: Option<(Arc<ConnectionsByAddress>, u32)>,
    /// Every connection begins with the header of the PROXY protocol.
    pub has_proxy_protocol: bool,
}

/// The reception of one worker.
pub(super) struct Reception {
    settings: Arc<GateSettings>,
    /// Where some site has rules about access.
    pub(super) gate: Option<Gate>,
    pub(super) recorder: Option<Recorder>,
    pub(super) counters: Arc<Counters>,
    pub(super) says_request_id: bool,
    health: Option<Box<str>>,
    metrics: Option<Metrics>,
    in_flight: Option<InFlight>,
    pub(super) per_address: Option<(Arc<ConnectionsByAddress>, u32)>,
    pub(super) has_proxy_protocol: bool,
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
#[derive(Debug)]
pub(super) struct Flight(Arc<AtomicUsize>);

/// There are as many as there may be.
#[derive(Debug)]
pub(super) struct Overloaded;

impl Reception {
    pub(super) fn new(settings: ReceptionSettings) -> Reception {
        Reception {
            gate: Gate::new(&settings.gate),
            settings: settings.gate,
            recorder: settings.recorder,
            counters: settings.counters,
            says_request_id: settings.says_request_id,
            health: settings.health,
            metrics: settings.metrics,
            in_flight: settings.in_flight,
            per_address: settings.per_address,
            has_proxy_protocol: settings.has_proxy_protocol,
            ids: RequestIds::random(),
            turn_began: None,
        }
    }

    /// True where this peer's word about who it speaks for is taken: of those that are trusted, or
    /// of anybody where nobody was named.
    pub(super) fn takes_headers_of(&self, peer: &Peer) -> bool {
        let is_local = peer.address.is_none(); // A Unix socket is a proxy's.
        is_local || self.settings.trusted.is_empty() || self.settings.trusts(peer)
    }

    /// True when somebody reads the counters.
    pub(super) fn is_read(&self) -> bool {
        self.metrics.is_some()
    }

    /// True when somebody is told of each request.
    pub(super) fn records(&self) -> bool {
        self.recorder.is_some() || self.metrics.is_some()
    }

    /// What is answered without asking any site: the counters, and whether the server is well.
    #[inline]
    pub(super) fn answer(
        &self,
        request: &RequestHead<'_>,
        (is_for_metrics, is_draining): (bool, bool),
    ) -> Option<Answer> {
        if is_for_metrics {
            return Some(self.answer_metrics(request));
        }
        let health = self.health.as_ref()?;
        if health.as_bytes() != request.path {
            return None;
        }
        let reads = matches!(request.method, Method::Get | Method::Head);
        reads.then(|| told::health(!is_draining, request.method == Method::Head))
    }

    #[cold]
    fn answer_metrics(&self, request: &RequestHead<'_>) -> Answer {
        let head_only = request.method == Method::Head;
        match &self.metrics {
            Some(metrics) if metrics.path.as_bytes() == request.path => match request.method {
                Method::Get | Method::Head => told::metrics((metrics.render)(), head_only),
                _ => errors::method_not_allowed_answer(head_only),
            },
            _ => errors::error_answer(Status::NOT_FOUND, "", head_only),
        }
    }

    /// One more request for the slow lane; `Err`: there are enough.
    pub(super) fn take_off(&self) -> Result<Option<Flight>, Overloaded> {
        match &self.in_flight {
            None => Ok(None),
            Some(in_flight) => match in_flight.take_off() {
                Some(flight) => Ok(Some(flight)),
                None => {
                    self.counters.on_refused(Refusal::Overload);
                    Err(Overloaded)
                }
            },
        }
    }

    /// The loop has turned.
    pub(super) fn begin_turn(&mut self) {
        self.turn_began = None;
    }

    /// About when the bytes came that are being acted on.
    #[inline]
    pub(super) fn turn_began(&mut self) -> Duration {
        if !self.records() {
            return Duration::ZERO;
        }
        *self.turn_began.get_or_insert_with(since_epoch)
    }

    /// Where a request comes from, as far as that can be trusted.
    #[inline]
    pub(super) fn address_of(
        &self,
        request: &RequestHead<'_>,
        peer: Option<&Peer>,
    ) -> Option<IpAddr> {
        self.settings.address_of(peer?, &request.fields)
    }

    /// The name of a request: one that a trusted peer has given it, or a new one.
    #[inline]
    pub(super) fn id_of(
        &mut self,
        request: &RequestHead<'_>,
        peer: Option<&Peer>,
    ) -> Option<RequestId> {
        if peer.is_some_and(|peer| self.settings.trusts(peer)) {
            let mut fields = request.fields.list().iter();
            let field = fields.find(|field| field.name.eq_ignore_ascii_case("x-request-id"));
            if let Some(id) = field.and_then(|field| RequestId::taken(field.value)) {
                return Some(id);
            }
        }
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
    fn take_off(&self) -> Option<Flight> {
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
