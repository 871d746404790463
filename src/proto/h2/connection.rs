//! One connection: its state, and the step that takes bytes and gives events.

use super::abuse::Abuse;
use super::error::{ErrorCode, Failure};
use super::flow::{DEFAULT_WINDOW, ReceiveWindow, SendWindow};
use super::frame::{PREFACE, write_goaway, write_ping};
use super::hpack::{Decoder, FieldList};
use super::request::{HeadStorage, Outline};
use super::schedule::{EarlyPriorities, Schedule};
use super::settings::{H2Settings, PeerSettings};
use super::streams::{StreamId, Streams};
use crate::base::Millis;
use crate::base::limits::HPACK_TABLE_BYTES_MAX;
use crate::http::{Fault, RequestHead};

/// What came of some input.
#[derive(Debug)]
pub struct Step<'a> {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// `None` when all whole frames were taken and none led to an event: come again with more.
    pub event: Option<Event<'a>>,
}

/// What the owner of a connection has to act on. A stream whose answer has ended gives no more
/// events.
#[derive(Debug)]
pub enum Event<'a> {
    /// A request. It is answered before the next step, or later by its stream.
    Request {
        stream: StreamId,
        head: RequestHead<'a>,
        /// Content follows, which may turn out to be empty.
        has_content: bool,
    },
    /// A request that is refused: to be answered like one. Content that follows is thrown away once
    /// the answer has ended.
    Refused {
        stream: StreamId,
        fault: Fault,
        /// It was going to be HEAD: the answer has no content.
        head_only: bool,
    },
    /// Content of a request. The window opens again when it is released.
    Content {
        stream: StreamId,
        bytes: &'a [u8],
        /// Bytes to release.
        flow: usize,
        /// The request is complete.
        end: bool,
    },
    /// The request is complete; perhaps trailers came, which nobody reads.
    Ended { stream: StreamId },
    /// The stream is gone before its answer was complete: the peer has cancelled it or broken its
    /// rules. Its queued body was dropped.
    Reset { stream: StreamId },
    /// The connection has failed: GOAWAY stands in the output, everything else was dropped, and
    /// nothing more is read. [`H2Connection::failure`] says why.
    Closed,
}

/// What is being read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// The client's preface (§3.4), of which `seen` bytes came.
    Preface {
        seen: usize,
    },
    /// Frames; the first one must be SETTINGS (§3.4).
    FirstFrame,
    Frames,
    /// The content of a DATA frame, which is handed on as it comes.
    Data {
        stream: u32,
        left: usize,
        padding: usize,
        ends: bool,
    },
    /// A payload without interest.
    Skip {
        left: usize,
    },
    /// Nothing any more.
    Closed,
}

/// A field block in several frames (§4.3).
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) ends: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) continuations: u32,
}

/// How far the end of the connection has come (§6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// The peer was told to open no more streams, and may not know yet.
    Announced,
    /// Streams above this one are not taken any more.
    Final {
        last: u32,
    },
}

/// What became of a frame, or of a piece of one.
pub(super) enum Progress<'a> {
    /// More input is needed.
    Wait,
    /// On to the next frame.
    Continue,
    Request {
        stream: StreamId,
        outline: Outline,
        has_content: bool,
    },
    Event(Event<'a>),
}

/// The payload of the PING that follows the announcement of the end.
pub(super) const DRAIN_PING: &[u8; 8] = b"downpour";

/// The largest stream id.
const STREAM_MAX: u32 = 0x7fff_ffff;

/// The server's side of one HTTP/2 connection. `B` is what its owner hangs on a stream as the body
/// of an answer that cannot leave at once.
pub struct H2Connection<B> {
    pub(super) reading: Reading,
    pub(super) decoder: Decoder,
    pub(super) block: Option<Box<Block>>,
    pub(super) local: H2Settings,
    pub(super) peer: PeerSettings,
    pub(super) streams: Streams<B>,
    pub(super) schedule: Schedule,
    pub(super) early: EarlyPriorities,
    pub(super) send: SendWindow,
    pub(super) receive: ReceiveWindow,
    pub(super) abuse: Abuse,
    pub(super) leaving: Leaving,
    pub(super) is_peer_leaving: bool,
    /// The peer has acknowledged our SETTINGS: it knows how many streams it may open.
    pub(super) knows_limits: bool,
    /// The peer has lowered its dynamic table; our next block says that it is empty (§4.3.1).
    pub(super) owes_table_update: bool,
    failure: Option<Failure>,
}

impl<B> H2Connection<B> {
    /// A connection whose client has sent nothing yet. The server's preface is appended to `out`.
    pub fn new(settings: &H2Settings, now: Millis, out: &mut Vec<u8>) -> H2Connection<B> {
        settings.write_preface(out);
        H2Connection {
            reading: Reading::Preface { seen: 0 },
            decoder: Decoder::new(HPACK_TABLE_BYTES_MAX),
            block: None,
            local: *settings,
            peer: PeerSettings::new(),
            streams: Streams::new(),
            schedule: Schedule::default(),
            early: EarlyPriorities::default(),
            send: SendWindow::new(DEFAULT_WINDOW),
            receive: ReceiveWindow::new(settings.connection_window),
            abuse: Abuse::new(now),
            leaving: Leaving::No,
            is_peer_leaving: false,
            knows_limits: false,
            owes_table_update: false,
            failure: None,
        }
    }

    /// Takes as many frames of `input` as lead to one event, or all that are whole. A frame that is
    /// not whole stays with the caller, who comes again with more; such a rest is never longer than
    /// 9 bytes and a frame of 16,384. Frames of control are answered into `out`.
    #[inline]
    pub fn step<'s, 'a: 's>(
        &mut self,
        input: &'a [u8],
        list: &'a mut FieldList,
        storage: &'s mut HeadStorage<'a>,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Step<'s> {
        self.streams.settle();
        let mut consumed = 0;
        let event = loop {
            let progress = match self.advance(&input[consumed..], list, now, out) {
                Ok((bytes, progress)) => {
                    consumed += bytes;
                    progress
                }
                Err(failure) => {
                    consumed = input.len();
                    self.fail(failure, out);
                    Progress::Event(Event::Closed)
                }
            };
            match progress {
                Progress::Continue => {}
                Progress::Wait => break None,
                Progress::Event(event) => break Some(event),
                Progress::Request {
                    stream,
                    outline,
                    has_content,
                } => {
                    let head = outline.head(list, storage);
                    break Some(Event::Request {
                        stream,
                        head,
                        has_content,
                    });
                }
            }
        };
        Step { consumed, event }
    }

    /// Goes on with what is being read; returns how much of `rest` is done with.
    #[inline]
    fn advance<'a>(
        &mut self,
        rest: &'a [u8],
        list: &mut FieldList,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Progress<'a>), Failure> {
        match self.reading {
            Reading::Frames | Reading::FirstFrame => self.on_frame(rest, list, now, out),
            Reading::Data {
                stream,
                left,
                padding,
                ends,
            } => Ok(self.on_content(rest, stream, left, padding, ends, out)),
            Reading::Skip { left } => {
                let bytes = left.min(rest.len());
                self.skip(left - bytes);
                let is_done = matches!(self.reading, Reading::Frames);
                let progress = if is_done {
                    Progress::Continue
                } else {
                    Progress::Wait
                };
                Ok((bytes, progress))
            }
            Reading::Preface { seen } => self.on_preface(rest, seen),
            Reading::Closed => Ok((rest.len(), Progress::Event(Event::Closed))),
        }
    }

    /// Leaves out the next `left` bytes.
    pub(super) fn skip(&mut self, left: usize) {
        self.reading = match left {
            0 => Reading::Frames,
            left => Reading::Skip { left },
        };
    }

    #[cold]
    fn on_preface<'a>(
        &mut self,
        rest: &[u8],
        seen: usize,
    ) -> Result<(usize, Progress<'a>), Failure> {
        let expected = &PREFACE[seen..];
        let len = expected.len().min(rest.len());
        if rest[..len] != expected[..len] {
            return Err(Failure::protocol("not the preface of HTTP/2"));
        }
        if len < expected.len() {
            self.reading = Reading::Preface { seen: seen + len };
            return Ok((len, Progress::Wait));
        }
        self.reading = Reading::FirstFrame;
        Ok((len, Progress::Continue))
    }

    /// Ends the connection because of `failure` (§5.4.1).
    #[cold]
    pub(super) fn fail(&mut self, failure: Failure, out: &mut Vec<u8>) {
        if self.failure.is_some() {
            return;
        }
        write_goaway(out, self.last_taken(), failure.code, failure.reason);
        self.failure = Some(failure);
        self.reading = Reading::Closed;
        self.block = None;
        self.streams.clear();
        self.schedule = Schedule::default();
        self.early = EarlyPriorities::default();
    }

    /// The last stream that we might have acted on (§6.8); never rises once it was final.
    fn last_taken(&self) -> u32 {
        match self.leaving {
            Leaving::Final { last } => last,
            Leaving::No | Leaving::Announced => self.streams.last(),
        }
    }

    /// Asks the peer to open no more streams (§6.8). The GOAWAY with the true last stream follows
    /// when the peer is seen to know, or with [`H2Connection::goaway_now`].
    pub fn begin_drain(&mut self, out: &mut Vec<u8>) {
        if self.leaving == Leaving::No && self.failure.is_none() {
            self.leaving = Leaving::Announced;
            write_goaway(out, STREAM_MAX, ErrorCode::NO_ERROR, "");
            write_ping(out, 0, DRAIN_PING);
        }
    }

    /// The last word: streams that were taken are still served after NO_ERROR; with any other code
    /// the connection has failed.
    pub fn goaway_now(&mut self, code: ErrorCode, out: &mut Vec<u8>) {
        if code != ErrorCode::NO_ERROR {
            return self.fail(Failure::new(code, ""), out);
        }
        if self.failure.is_none() && !matches!(self.leaving, Leaving::Final { .. }) {
            let last = self.streams.last();
            self.leaving = Leaving::Final { last };
            write_goaway(out, last, code, "");
        }
    }

    /// Streams that are open or half-closed.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// The last word was said, and every stream that was taken has ended.
    pub fn is_drained(&self) -> bool {
        let is_final = matches!(self.leaving, Leaving::Final { .. });
        self.failure.is_some() || (is_final && self.streams.len() == 0)
    }

    /// The peer has sent GOAWAY: it will open no more streams, but may still ask for a sign of life
    /// (a PING), so that there is no haste to close.
    pub fn is_peer_leaving(&self) -> bool {
        self.is_peer_leaving
    }

    /// Why the connection has failed.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Gives memory back that an idle connection does not need.
    pub fn shrink(&mut self) {
        self.streams.shrink();
        self.schedule.shrink();
    }
}
