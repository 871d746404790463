//! The states of streams (RFC 9113 §5.1), the open ones, and what is remembered of the others.

use std::collections::VecDeque;

use super::flow::{ReceiveWindow, SendWindow};
use super::schedule::Priority;
use crate::base::limits::{H2_GAPS_REMEMBERED, H2_RESETS_REMEMBERED};

/// Names one stream of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// The states in which a stream is known. There is no push, so nothing is ever reserved; idle and
/// closed streams leave no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Both sides may send.
    Open,
    /// Our answer is complete; the peer may still send content.
    HalfClosedLocal,
    /// The request is complete; we may still send.
    HalfClosedRemote,
}

/// Who sets END_STREAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Peer,
    We,
}

impl State {
    /// The state after one side's END_STREAM; `None` is closed. A second END_STREAM of the same
    /// side does not come here: the table below, or our own bookkeeping, stops it.
    pub(super) fn after(self, end: Ends) -> Option<State> {
        match (self, end) {
            (State::Open, Ends::Peer) => Some(State::HalfClosedRemote),
            (State::Open, Ends::We) => Some(State::HalfClosedLocal),
            (State::HalfClosedLocal, Ends::Peer) | (State::HalfClosedRemote, Ends::We) => None,
            (State::HalfClosedRemote, Ends::Peer) | (State::HalfClosedLocal, Ends::We) => {
                unreachable!("a side ends once")
            }
        }
    }
}

/// Where a stream that a frame names stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Not used yet.
    Idle,
    /// In this state.
    Live(State),
    /// Passed over: the peer opened a higher one (§5.1.1).
    Skipped,
    /// Both sides have ended it, or the peer has reset it.
    Closed,
    /// We have reset it, and the peer may not know yet.
    ResetByUs,
    /// Above the last one that our final GOAWAY takes (§6.8).
    BeyondGoaway,
}

/// The frames of a stream, as far as their treatment differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arriving {
    Headers,
    Data,
    /// RST_STREAM
    Reset,
    WindowUpdate,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does what it is for.
    Accept,
    /// It is discarded, after what it does to the connection: compression and flow control.
    Ignore,
    /// A stream error of type STREAM_CLOSED.
    StreamClosed,
    /// A connection error of type STREAM_CLOSED.
    ConnectionStreamClosed,
    /// A connection error of type PROTOCOL_ERROR.
    ConnectionProtocolError,
}

/// §5.1 as a table. PRIORITY may come at any time and does nothing (§5.3.2).
pub(super) fn judge(place: Place, frame: Arriving) -> Verdict {
    use Arriving::{Data, Headers, Reset, WindowUpdate};
    match (place, frame) {
        (Place::Idle, Headers) => Verdict::Accept,
        (Place::Idle, Data | Reset | WindowUpdate) => Verdict::ConnectionProtocolError,
        (Place::Live(State::Open | State::HalfClosedLocal), _) => Verdict::Accept,
        (Place::Live(State::HalfClosedRemote), Headers | Data) => Verdict::StreamClosed,
        (Place::Live(State::HalfClosedRemote), Reset | WindowUpdate) => Verdict::Accept,
        // §5.1.1: the id of a new stream is higher than any before.
        (Place::Skipped, Headers | Data) => Verdict::ConnectionProtocolError,
        (Place::Closed, Headers) => Verdict::ConnectionStreamClosed,
        (Place::Closed, Data) => Verdict::StreamClosed,
        (Place::Skipped | Place::Closed, Reset | WindowUpdate) => Verdict::Ignore,
        (Place::ResetByUs | Place::BeyondGoaway, _) => Verdict::Ignore,
    }
}

/// Content of unknown length, of a request or an answer.
pub const UNKNOWN_LENGTH: u64 = u64::MAX;

/// One stream that is open or half-closed.
#[derive(Debug)]
pub(super) struct Stream<B> {
    pub(super) id: u32,
    pub(super) state: State,
    pub(super) priority: Priority,
    pub(super) send: SendWindow,
    pub(super) receive: ReceiveWindow,
    /// Content that was handed on and not released yet.
    pub(super) held: usize,
    /// Content that `content-length` promises and that has not come; or [`UNKNOWN_LENGTH`].
    pub(super) expected: u64,
    /// Content is thrown away from now on; so much of it was.
    pub(super) discarded: Option<u64>,
    pub(super) body: Option<B>,
    /// What of the body was not sent yet; or [`UNKNOWN_LENGTH`].
    pub(super) rest: u64,
    /// The body has no bytes at hand.
    pub(super) is_blocked: bool,
    /// It stands in the schedule.
    pub(super) is_scheduled: bool,
}

impl<B> Stream<B> {
    /// It should stand in the schedule.
    pub(super) fn may_send(&self) -> bool {
        self.body.is_some() && !self.is_blocked && self.send.room() > 0
    }

    /// Content of `bytes` agrees with what was promised (§8.1.1); it is booked then.
    pub(super) fn expects(&mut self, bytes: u64, ends: bool) -> bool {
        if self.expected == UNKNOWN_LENGTH {
            return true;
        }
        match self.expected.checked_sub(bytes) {
            Some(rest) if rest == 0 || !ends => {
                self.expected = rest;
                true
            }
            _ => false,
        }
    }

    /// Its answer is complete: nobody asks about it any more.
    pub(super) fn is_answered(&self) -> bool {
        self.state == State::HalfClosedLocal
    }
}

/// The streams of one connection that are open or half-closed, and what is remembered of others.
///
/// Ids only grow, so a sorted queue serves as the map: new ones go to its end, and most leave at
/// its beginning. The newest stream stands apart until the next frame is read: an answer that
/// leaves at once then costs no insertion and no removal.
#[derive(Debug)]
pub(super) struct Streams<B> {
    newest: Option<Stream<B>>,
    settled: VecDeque<Stream<B>>,
    /// The highest id that the peer has used.
    last: u32,
    /// Ids from first to last that the peer has passed over.
    gaps: VecDeque<(u32, u32)>,
    /// The latest ones that we have reset.
    reset: VecDeque<u32>,
}

impl<B> Streams<B> {
    pub(super) fn new() -> Streams<B> {
        Streams {
            newest: None,
            settled: VecDeque::new(),
            last: 0,
            gaps: VecDeque::new(),
            reset: VecDeque::new(),
        }
    }

    /// How many are open or half-closed.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.settled.len() + usize::from(self.newest.is_some())
    }

    /// The highest id that the peer has used.
    pub(super) fn last(&self) -> u32 {
        self.last
    }

    /// Where `id`, odd and not zero, stands.
    #[inline]
    pub(super) fn place(&self, id: u32) -> Place {
        if id > self.last {
            return Place::Idle;
        }
        match self.get(id) {
            Some(stream) => Place::Live(stream.state),
            None => self.place_of_gone(id),
        }
    }

    #[cold]
    fn place_of_gone(&self, id: u32) -> Place {
        let is_in = |gap: &(u32, u32)| (gap.0..=gap.1).contains(&id);
        if self.reset.contains(&id) {
            Place::ResetByUs
        } else if self.gaps.iter().any(is_in) {
            Place::Skipped
        } else {
            Place::Closed
        }
    }

    /// The peer uses `id`, which was idle.
    #[inline]
    pub(super) fn note_used(&mut self, id: u32) {
        debug_assert!(id > self.last && id % 2 == 1);
        let next = if self.last == 0 { 1 } else { self.last + 2 };
        if id != next {
            remember(&mut self.gaps, (next, id - 2), H2_GAPS_REMEMBERED);
        }
        self.last = id;
    }

    /// We reset `id`, which is not in here any more.
    pub(super) fn note_reset(&mut self, id: u32) {
        remember(&mut self.reset, id, H2_RESETS_REMEMBERED);
    }

    /// Takes in the newest stream; its id was noted before.
    #[inline]
    pub(super) fn open(&mut self, stream: Stream<B>) {
        debug_assert!(self.newest.is_none() && stream.id == self.last);
        self.newest = Some(stream);
    }

    /// The newest stream stays.
    #[inline]
    pub(super) fn settle(&mut self) {
        if let Some(stream) = self.newest.take() {
            self.settled.push_back(stream);
        }
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&Stream<B>> {
        if let Some(newest) = &self.newest
            && newest.id == id
        {
            return Some(newest);
        }
        let at = self.find(id)?;
        self.settled.get(at)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Stream<B>> {
        if self.newest.as_ref().is_some_and(|newest| newest.id == id) {
            return self.newest.as_mut();
        }
        let at = self.find(id)?;
        self.settled.get_mut(at)
    }

    /// It is closed.
    #[inline]
    pub(super) fn remove(&mut self, id: u32) -> Option<Stream<B>> {
        if self.newest.as_ref().is_some_and(|newest| newest.id == id) {
            return self.newest.take();
        }
        let at = self.find(id)?;
        self.settled.remove(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream<B>> {
        self.settled.iter().chain(&self.newest)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream<B>> {
        self.settled.iter_mut().chain(&mut self.newest)
    }

    /// The connection ends.
    pub(super) fn clear(&mut self) {
        self.newest = None;
        self.settled = VecDeque::new();
    }

    /// Gives unused memory back.
    pub(super) fn shrink(&mut self) {
        self.settled.shrink_to_fit();
    }

    fn find(&self, id: u32) -> Option<usize> {
        self.settled
            .binary_search_by_key(&id, |stream| stream.id)
            .ok()
    }
}

/// Keeps the latest `max` items.
fn remember<T>(list: &mut VecDeque<T>, item: T, max: usize) {
    if list.len() == max {
        list.pop_front();
    }
    list.push_back(item);
}
