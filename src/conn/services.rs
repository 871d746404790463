//! What requests are answered with: the rooms that a connection calls, and what they share.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::access::gate::Found;
use crate::base::{Millis, Now, limits};
use crate::engine::{self, Errno, SendBatch, SocketId};
use crate::handler::files::{Loaded, Remember};
use crate::handler::sites::{SiteId, Sites};
use crate::http::date::DateField;
use crate::http::{FieldForm, OwnedRequestHead, RenderedFields};
use crate::proto::h1::HeadLimits;
use crate::proto::h2::{FieldList, H2Settings, StreamId};
use crate::task::{Executor, Io};
use crate::tls::TlsServer;

use super::blocks::Blocks;
use super::reception::{Reception, ReceptionSettings};
use super::visit::Visit;

/// The bounds of a connection that an operator may move.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// How long a connection may stand idle between requests.
    pub keepalive_timeout: Duration,
    /// How long a request may take to arrive.
    pub header_timeout: Duration,
    /// How long a peer may take nothing of what we send.
    pub send_timeout: Duration,
    /// Bytes of a request head.
    pub head_bytes_max: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// TLS handshakes at a time; further ones wait their turn.
    pub handshakes_max: usize,
    /// How HTTP/2 is spoken, if it is.
    pub h2: Option<H2Settings>,
    /// The port that plain requests are sent on to, over TLS.
    pub https_port: Option<u16>,
    /// The value of `Strict-Transport-Security` in answers over TLS.
    pub hsts: Option<String>,
    /// Bytes a second that one connection sends at most.
    pub send_rate: Option<u64>,
    /// Bytes of the content of one request.
    pub body_bytes_max: u64,
    /// How long the body of a request may make no progress.
    pub body_timeout: Duration,
}

impl Default for ConnectionSettings {
    /// What the flags say by default; no HTTP/2.
    fn default() -> Self {
        ConnectionSettings {
            keepalive_timeout: limits::KEEPALIVE_TIMEOUT_DEFAULT,
            header_timeout: limits::HEADER_TIMEOUT_DEFAULT,
            send_timeout: limits::SEND_TIMEOUT_DEFAULT,
            head_bytes_max: limits::HEAD_BYTES_DEFAULT,
            handshake_timeout: limits::HANDSHAKE_TIMEOUT_DEFAULT,
            handshakes_max: limits::HANDSHAKES_DEFAULT as usize,
            h2: None,
            https_port: None,
            hsts: None,
            send_rate: None,
            body_bytes_max: limits::BODY_BYTES_DEFAULT,
            body_timeout: limits::BODY_TIMEOUT_DEFAULT,
        }
    }
}

/// What a slow-lane task has for a connection.
#[derive(Debug)]
pub enum Event {
    /// The answer to the request that waits; over HTTP/2, on its stream.
    Loaded {
        socket: SocketId,
        stream: Option<StreamId>,
        site: SiteId,
        loaded: Loaded,
    },
    /// What had to be found out before a request is answered; it is asked about again.
    Found {
        socket: SocketId,
        stream: Option<StreamId>,
        head: OwnedRequestHead,
        found: Found,
    },
    /// Something that was found out beside an answer.
    Known { site: SiteId, remember: Remember },
    /// There is too much to do for one more request: 503.
    Busy {
        socket: SocketId,
        stream: Option<StreamId>,
    },
    /// The task ended without an answer: a bug of ours, answered with 500.
    Lost {
        socket: SocketId,
        stream: Option<StreamId>,
    },
    /// A slice of a file that was not in memory; `slice` starts where the file range does.
    Slice {
        socket: SocketId,
        stream: Option<StreamId>,
        slice: Vec<u8>,
        result: Result<usize, Errno>,
    },
    /// A body that is made while it is sent has something to say again.
    BodyReady {
        socket: SocketId,
        stream: Option<StreamId>,
    },
    /// The task that takes a request's content wants some, or none any more.
    BodyWanted {
        socket: SocketId,
        stream: Option<StreamId>,
    },
}

/// Where tasks put what they have; the worker empties it after they ran.
pub(super) type Outbox = Rc<RefCell<Vec<Event>>>;

/// The rooms and the time, as of this turn.
pub struct Services {
    pub(super) sites: Sites,
    pub(super) io: Io,
    pub(super) executor: Executor,
    pub(super) outbox: Outbox,
    pub(super) settings: ConnectionSettings,
    pub(super) limits: HeadLimits,
    /// The keys and certificates, where a listener speaks TLS.
    pub(super) tls: Option<TlsServer>,
    /// What answers over TLS say besides.
    pub(super) tls_fields: TlsFields,
    /// What is asked of requests before they are answered, if anything.
    pub(super) reception: Option<Box<Reception>>,
    /// Memory for the next visit.
    pub(super) spare_visit: Option<Box<Visit>>,
    /// Memory for the heads of HTTP/2, used by one connection after the other; away while one does.
    pub(super) field_list: Option<Box<FieldList>>,
    /// Parts of files that are framed or encrypted.
    pub(super) blocks: Blocks,
    pub(super) date: DateField,
    pub(super) now: Now,
    /// No further requests: answers say that the connection ends.
    pub(super) draining: bool,
    /// When the cache was swept last.
    pub(super) swept_at: Millis,
    /// Batches whose bytes were encrypted, on their way back.
    #[expect(clippy::vec_box, reason = "batches move as their boxes")]
    pub(super) spent_batches: Vec<Box<SendBatch>>,
    /// Batches that are not in use; answers are written into memory that is warm.
    #[expect(
        clippy::vec_box,
        reason = "a batch moves to the engine and back as its box"
    )]
    pub(super) spare_batches: Vec<Box<SendBatch>>,
}

/// Spare batches that a worker keeps.
const SPARE_BATCHES_MAX: usize = 256;

impl Services {
    /// Services for the thread whose engine `waker` wakes.
    pub fn new(
        sites: Sites,
        settings: ConnectionSettings,
        tls: Option<TlsServer>,
        waker: engine::Waker,
        now: Now,
    ) -> Services {
        let limits = HeadLimits {
            head_bytes_max: settings.head_bytes_max,
        };
        let tls_fields = TlsFields::new(settings.hsts.as_deref());
        Services {
            sites,
            io: Io::default(),
            executor: Executor::new(waker),
            outbox: Outbox::default(),
            settings,
            limits,
            tls,
            tls_fields,
            reception: None,
            spare_visit: None,
            field_list: None,
            blocks: Blocks::default(),
            date: DateField::new(now.unix_seconds),
            now,
            draining: false,
            swept_at: now.monotonic,
            spent_batches: Vec::new(),
            spare_batches: Vec::new(),
        }
    }

    /// Has something asked of requests before they are answered.
    #[must_use]
    pub fn with_reception(mut self, settings: Option<ReceptionSettings>) -> Services {
        self.reception = settings.map(|settings| Box::new(Reception::new(settings)));
        self
    }

    /// The engine's clocks have moved on.
    pub fn set_now(&mut self, now: Now) {
        self.now = now;
        self.date.update(now.unix_seconds);
        if let Some(reception) = &mut self.reception {
            reception.begin_turn();
        }
    }

    /// Once a second, drops what the cache has retired from this worker's index.
    pub(super) fn sweep_now_and_then(&mut self) {
        if self.now.monotonic.since(self.swept_at) >= 1000 {
            self.swept_at = self.now.monotonic;
            self.sites.sweep(self.now);
            self.blocks.sweep(self.now.monotonic);
            let gate = self
                .reception
                .as_mut()
                .and_then(|reception| reception.gate.as_mut());
            gate.into_iter().for_each(|gate| gate.sweep(self.now));
        }
    }

    /// True when a slow-lane task can run.
    pub fn has_ready_task(&self) -> bool {
        self.executor.has_ready()
    }

    /// Slow-lane tasks and operations under way.
    pub fn pending(&self) -> usize {
        self.executor.len() + self.io.in_flight()
    }

    /// Runs the slow-lane tasks that are ready and moves what they have for connections to
    /// `events`.
    pub fn run_tasks(&mut self, events: &mut Vec<Event>) {
        self.executor.run_ready();
        events.append(&mut self.outbox.borrow_mut());
    }

    pub(super) fn take_batch(&mut self) -> Box<SendBatch> {
        self.spare_batches.pop().unwrap_or_default()
    }

    pub(super) fn give_batch(&mut self, mut batch: Box<SendBatch>) {
        batch.clear();
        if self.spare_batches.len() < SPARE_BATCHES_MAX {
            self.spare_batches.push(batch);
        }
    }
}

/// Field lines that answers over TLS carry besides their own, rendered for each protocol.
#[derive(Debug, Default)]
pub(super) struct TlsFields(RenderedFields);

impl TlsFields {
    /// `hsts`: the value of `Strict-Transport-Security` (RFC 6797 §6.1).
    fn new(hsts: Option<&str>) -> TlsFields {
        let fields = hsts.map(|value| [("Strict-Transport-Security", value)]);
        let fields = fields.as_ref().map_or(&[][..], |fields| &fields[..]);
        TlsFields(RenderedFields::new(fields))
    }

    /// Nothing, where an answer does not go out over TLS.
    #[inline]
    pub(super) fn get(&self, is_secure: bool, form: FieldForm) -> &[u8] {
        if is_secure { self.0.get(form) } else { &[] }
    }
}
