//! What requests are answered with: the rooms that a connection calls, and what they share.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::base::{Millis, Now};
use crate::engine::{self, Errno, SendBatch, SocketId};
use crate::handler::files::{Files, Loaded};
use crate::http::date::DateField;
use crate::proto::h1::HeadLimits;
use crate::task::{Executor, Io};

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
}

/// What a slow-lane task has for a connection.
#[derive(Debug)]
pub enum Event {
    /// The answer to the request that waits.
    Loaded { socket: SocketId, loaded: Loaded },
    /// The task ended without an answer: a bug of ours, answered with 500.
    Lost { socket: SocketId },
    /// A slice of a file that was not in memory; `slice` starts where the file range does.
    Slice {
        socket: SocketId,
        slice: Vec<u8>,
        result: Result<usize, Errno>,
    },
}

/// Where tasks put what they have; the worker empties it after they ran.
pub(super) type Outbox = Rc<RefCell<Vec<Event>>>;

/// The rooms and the time, as of this turn.
pub struct Services {
    pub(super) files: Files,
    pub(super) io: Io,
    pub(super) executor: Executor,
    pub(super) outbox: Outbox,
    pub(super) settings: ConnectionSettings,
    pub(super) limits: HeadLimits,
    pub(super) date: DateField,
    pub(super) now: Now,
    /// No further requests: answers say that the connection ends.
    pub(super) draining: bool,
    /// When the cache was swept last.
    pub(super) swept_at: Millis,
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
        files: Files,
        settings: ConnectionSettings,
        waker: engine::Waker,
        now: Now,
    ) -> Services {
        let limits = HeadLimits {
            head_bytes_max: settings.head_bytes_max,
        };
        Services {
            files,
            io: Io::default(),
            executor: Executor::new(waker),
            outbox: Outbox::default(),
            settings,
            limits,
            date: DateField::new(now.unix_seconds),
            now,
            draining: false,
            swept_at: now.monotonic,
            spare_batches: Vec::new(),
        }
    }

    /// The engine's clocks have moved on.
    pub fn set_now(&mut self, now: Now) {
        self.now = now;
        self.date.update(now.unix_seconds);
    }

    /// Once a second, drops what the cache has retired from this worker's index.
    pub(super) fn sweep_now_and_then(&mut self) {
        if self.now.monotonic.since(self.swept_at) >= 1000 {
            self.swept_at = self.now.monotonic;
            self.files.sweep(self.now);
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
