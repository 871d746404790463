//! The state of one connection.

use crate::base::Millis;
use crate::engine::{FileRange, ListenerId, SendBatch};
use crate::proto::h1::{BodyReader, Persistence};
use crate::task::TaskId;

use std::collections::VecDeque;

/// Where a connection stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Requests are read and answered.
    Open,
    /// The last answer is out and FIN is sent; what the peer still sends is thrown away, so that
    /// it reads our answer before it hears of a reset (RFC 9112 §9.6).
    Lingering,
    /// Ending: waiting for what is in flight.
    Terminating,
}

/// What the next bytes of the peer are.
pub(super) enum Reading {
    /// A request head.
    Head,
    /// The body of a request that was answered already, to be thrown away.
    Body(BodyReader),
    /// Nothing: a slow-lane task makes the answer to the request before.
    Waiting(Waiting),
    /// Nothing will be read as a request any more.
    Done,
}

/// A request whose answer is being made.
pub(super) struct Waiting {
    pub(super) task: TaskId,
    pub(super) persistence: Persistence,
    /// The request was HEAD: an answer made in its task's stead has no content either.
    pub(super) head_only: bool,
    /// The request's body, which comes next.
    pub(super) body: Option<BodyReader>,
}

/// What the socket is busy with on its sending side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    Idle,
    /// A batch is with the kernel.
    Batch,
    /// The socket is full; a file goes on when there is room.
    Room,
    /// The next slice of a file comes from a disk.
    ColdSlice(TaskId),
}

/// Which deadline is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// For the first byte on a new connection.
    ForFirstRequest,
    /// For the first byte of the next request.
    ForRequest,
    /// For the rest of a request.
    ForRest,
    /// For the peer to take what we send.
    ForRoom,
    /// For the peer to read its last answer.
    ForGoodbye,
    /// For ourselves: a slow-lane task.
    ForAnswer,
}

/// What is to be sent, in order.
pub(super) enum Item {
    Batch(Box<SendBatch>),
    File(FileRange),
}

/// Output that has not been handed to the engine.
#[derive(Default)]
pub(super) struct Output {
    /// What comes before `filling`; mostly nothing, and then it has no memory.
    pub(super) queue: VecDeque<Item>,
    /// Where answers are written now.
    pub(super) filling: Option<Box<SendBatch>>,
    /// Bytes in memory over both.
    pub(super) queued_bytes: usize,
}

/// One connection of a peer. Idle, it owns no buffer.
pub(super) struct Connection {
    pub(super) listener: ListenerId,
    pub(super) life: Life,
    pub(super) reading: Reading,
    pub(super) sending: Sending,
    pub(super) waits: Waits,
    /// The engine's receive is armed.
    pub(super) receiving: bool,
    /// The peer has sent all that it will send.
    pub(super) peer_done: bool,
    /// Stands in the list of connections with output.
    pub(super) dirty: bool,
    /// The connection ends when its output is out.
    pub(super) close_after_output: bool,
    /// The peer may still be sending when we end: say goodbye slowly.
    pub(super) linger: bool,
    /// Bytes that could not be parsed yet: part of a head, or what waits behind a slow answer.
    pub(super) input: Vec<u8>,
    pub(super) output: Output,
    /// When the present wait has lasted too long.
    pub(super) deadline: Millis,
    /// When the wheel will look at this connection; at the latest at `deadline`.
    pub(super) scheduled: Millis,
    /// What the engine said of the peer's reading when the deadline was set.
    pub(super) send_progress: u64,
    /// Bytes of unwanted bodies, or thrown away while lingering.
    pub(super) drained_bytes: u64,
}

impl Connection {
    pub(super) fn new(listener: ListenerId) -> Connection {
        Connection {
            listener,
            life: Life::Open,
            reading: Reading::Head,
            sending: Sending::Idle,
            waits: Waits::ForFirstRequest,
            receiving: false,
            peer_done: false,
            dirty: false,
            close_after_output: false,
            linger: false,
            input: Vec::new(),
            output: Output::default(),
            deadline: Millis::NEVER,
            scheduled: Millis::NEVER,
            send_progress: 0,
            drained_bytes: 0,
        }
    }

    /// True when nothing is asked and nothing is owed.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.reading, Reading::Head)
            && self.input.is_empty()
            && self.sending == Sending::Idle
            && self.output.is_empty()
    }
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.filling.is_none()
    }
}
