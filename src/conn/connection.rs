//! The state of one connection.

use crate::base::Millis;
use crate::engine::{FileRange, ListenerId, SendBatch};
use crate::exchange::BodyStream;
use crate::http::Version;
use crate::proto::h1::{BodyReader, Persistence};
use crate::task::TaskId;

use std::collections::VecDeque;

use super::inbound::Inbound;
use super::peer::Met;
use super::secure::Secure;
use super::streams::Streams;
use super::visit::Left;

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
    /// Frames of HTTP/2.
    Streams(Box<Streams>),
    /// Nothing will be read as a request any more.
    Done,
}

/// A request whose answer is being made.
pub(super) struct Waiting {
    pub(super) task: TaskId,
    pub(super) version: Version,
    pub(super) persistence: Persistence,
    pub(super) left: Left,
    /// The request's body, which comes next.
    pub(super) body: Option<Box<Inbound>>,
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
pub(super) enum WaitsFor {
    /// For the end of the TLS handshake.
    Handshake,
    /// For the first byte on a new connection.
    FirstRequest,
    /// For the first byte of the next request.
    Request,
    /// For the rest of a request.
    Rest,
    /// For the peer to bring more of a body that a task takes.
    Body,
    /// For the peer to take what we send.
    Room,
    /// For the peer to open a window of HTTP/2 that it keeps shut.
    Window,
    /// For the peer to read its last answer.
    Goodbye,
    /// For ourselves: a slow-lane task that makes an answer, or the rest of its body.
    Answer,
}

/// What is to be sent, in order.
pub(super) enum Item {
    Batch(Box<SendBatch>),
    File(FileRange),
    /// A body that is still being made; always the last item.
    Stream {
        body: BodyStream,
        /// Else the end of the connection is its end.
        is_chunked: bool,
    },
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
    /// The TLS layer; away while it reads, and for good where plain HTTP came instead.
    pub(super) secure: Option<Box<Secure>>,
    /// Who it is, where somebody wants to know.
    pub(super) met: Option<Box<Met>>,
    /// What is answered goes out over TLS.
    pub(super) is_secure: bool,
    /// It came where counters are told.
    pub(super) is_for_metrics: bool,
    /// Nothing was asked yet: the client may still begin with the preface of HTTP/2.
    pub(super) is_fresh: bool,
    pub(super) sending: Sending,
    pub(super) waits: WaitsFor,
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
    /// What the engine (for a shut window: the streams) said of the peer's reading when the
    /// deadline was set.
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
            secure: None,
            met: None,
            is_secure: false,
            is_for_metrics: false,
            is_fresh: true,
            sending: Sending::Idle,
            waits: WaitsFor::FirstRequest,
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
        let is_quiet = match &self.reading {
            Reading::Head => true,
            Reading::Streams(streams) => streams.are_idle(),
            Reading::Body(_) | Reading::Waiting(_) | Reading::Done => false,
        };
        is_quiet && self.input.is_empty() && self.sending == Sending::Idle && !self.has_output()
    }

    /// True when something could be sent now.
    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
            || self
                .secure
                .as_ref()
                .is_some_and(|secure| secure.has_output())
            || matches!(&self.reading, Reading::Streams(streams) if streams.wants_to_send())
    }

    /// True while a task makes an answer.
    pub(super) fn is_answering(&self) -> bool {
        match &self.reading {
            Reading::Waiting(_) => true,
            Reading::Streams(streams) => streams.is_answering(),
            Reading::Head | Reading::Body(_) | Reading::Done => false,
        }
    }
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.filling.is_none()
    }
}
