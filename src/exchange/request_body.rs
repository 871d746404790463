//! The content of a request on its way to the task that takes it: a bounded queue from one
//! connection to one slow-lane task.
//!
//! ```text
//! connection                                                  task
//! push(bytes)                    ->  [ gathered bytes ]  ->   next().await
//! is told when more is wanted                                 waits while it is empty
//! end(), or fail(why)                                         None, or why
//! ```
//!
//! Both ends live on one worker. The connection stops its receive while there is no room, so that
//! the peer's window closes. The task may go away at any time: what comes then is thrown away.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::{Bytes, BytesMut};

/// Bytes of one allocation: content is never moved to a larger one, however much waits, and memory
/// that its reader has let go of is soon used again.
const PIECE_BYTES_MAX: usize = 64 * 1024;
/// Where it is not known how much there will be.
const PIECE_BYTES_MIN: usize = 1024;

/// Content on its way from a connection, at most `bytes_max` of it and what one receive adds.
/// `length`: as the request announces it.
pub fn request_body(bytes_max: usize, length: Option<u64>) -> (BodyInlet, RequestBody) {
    assert!(bytes_max > 0, "nothing would ever fit");
    let queue = Rc::new(RefCell::new(Queue {
        filled: VecDeque::new(),
        gathered: BytesMut::new(),
        waiting: 0,
        received: 0,
        bytes_max,
        length,
        state: State::Open,
        is_asked_for: false,
        is_taken: true,
        reader: None,
        tell: None,
    }));
    (BodyInlet(Rc::clone(&queue)), RequestBody(queue))
}

/// The connection's end. Dropped before [`BodyInlet::end`], it is a peer that has gone away.
pub struct BodyInlet(Rc<RefCell<Queue>>);

/// The task's end.
pub struct RequestBody(Rc<RefCell<Queue>>);

/// Why a body is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// It is longer than it may be: 413.
    TooLarge,
    /// It did not come in time: 408.
    TooSlow,
    /// It is no valid body: 400.
    Malformed(&'static str),
    /// The peer has gone away; nobody hears an answer.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Failed(BodyFault),
}

struct Queue {
    /// Pieces that have no room, before the one that is being filled.
    filled: VecDeque<Bytes>,
    gathered: BytesMut,
    /// Bytes in all of them.
    waiting: usize,
    /// Bytes that have come since the beginning.
    received: u64,
    bytes_max: usize,
    length: Option<u64>,
    state: State,
    /// The task wants content: only then is a client told to go on that waits for that (RFC 9110
    /// §10.1.1).
    is_asked_for: bool,
    is_taken: bool,
    reader: Option<Waker>,
    tell: Option<Rc<dyn Fn()>>,
}

impl BodyInlet {
    /// `tell` will be called when the task asks for content first, whenever it has taken some, and
    /// when it goes away. It must not call back.
    pub fn when_wanted(&self, tell: impl Fn() + 'static) {
        self.0.borrow_mut().tell = Some(Rc::new(tell));
    }

    /// True while there is room, or nobody takes the content any more.
    pub fn has_room(&self) -> bool {
        let queue = self.0.borrow();
        !queue.is_taken || queue.waiting < queue.bytes_max
    }

    /// Bytes that wait for the task.
    pub fn len(&self) -> usize {
        self.0.borrow().waiting
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True until the body has ended or failed.
    pub fn is_open(&self) -> bool {
        self.0.borrow().state == State::Open
    }

    /// True once the task has asked for content.
    pub fn is_asked_for(&self) -> bool {
        self.0.borrow().is_asked_for
    }

    /// True while the task may still take content.
    pub fn is_taken(&self) -> bool {
        self.0.borrow().is_taken
    }

    /// Hands content on. What was received is taken in any case: [`BodyInlet::has_room`] says
    /// whether to receive more.
    pub fn push(&self, bytes: &[u8]) {
        let mut queue = self.0.borrow_mut();
        if queue.is_taken && queue.state == State::Open {
            queue.add(bytes);
            queue.wake();
        }
    }

    /// The body is whole. What waits is still taken.
    pub fn end(&self) {
        self.close(State::Ended);
    }

    /// The body will never be whole. What waits is still taken.
    pub fn fail(&self, why: BodyFault) {
        self.close(State::Failed(why));
    }

    fn close(&self, state: State) {
        let mut queue = self.0.borrow_mut();
        if queue.state == State::Open {
            queue.state = state;
            queue.wake();
        }
    }
}

impl Drop for BodyInlet {
    fn drop(&mut self) {
        self.close(State::Failed(BodyFault::Gone)); // Unless it was ended.
    }
}

impl RequestBody {
    /// A body that came with its request, or none.
    pub fn whole(content: &[u8]) -> RequestBody {
        let (inlet, body) = request_body(content.len().max(1), Some(content.len() as u64));
        inlet.push(content);
        inlet.end();
        body
    }

    /// Its length, where the request announces it.
    pub fn length(&self) -> Option<u64> {
        self.0.borrow().length
    }

    /// What comes next, at least one byte; waits for it. `None`: that was all.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyFault> {
        poll_fn(|context| {
            let mut queue = self.0.borrow_mut();
            let was_asked_for = std::mem::replace(&mut queue.is_asked_for, true);
            let bytes = queue.take();
            let polled = match queue.state {
                _ if !bytes.is_empty() => Poll::Ready(Ok(Some(bytes))),
                State::Ended => Poll::Ready(Ok(None)),
                State::Failed(why) => Poll::Ready(Err(why)),
                State::Open => {
                    queue.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            };
            let has_taken = matches!(polled, Poll::Ready(Ok(Some(_))));
            let tell = queue.tell.clone().filter(|_| has_taken || !was_asked_for);
            drop(queue);
            if let Some(tell) = tell {
                tell();
            }
            polled
        })
        .await
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let mut queue = self.0.borrow_mut();
        queue.is_taken = false;
        queue.clear();
        let tell = queue.tell.take();
        drop(queue);
        if let Some(tell) = tell {
            tell();
        }
    }
}

impl Queue {
    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.gathered.len() == self.gathered.capacity() {
                let next = BytesMut::with_capacity(self.next_capacity(bytes.len()));
                let full = std::mem::replace(&mut self.gathered, next);
                if !full.is_empty() {
                    self.filled.push_back(full.freeze());
                }
            }
            let room = self.gathered.capacity() - self.gathered.len();
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.gathered.extend_from_slice(now);
            self.waiting += now.len();
            self.received += now.len() as u64;
            bytes = rest;
        }
    }

    /// Room for the rest where it is known how long that is, and else for as much as has come.
    fn next_capacity(&self, len: usize) -> usize {
        let left = self
            .length
            .map(|length| length.saturating_sub(self.received));
        let wanted = left.unwrap_or_else(|| self.received.max(PIECE_BYTES_MIN as u64));
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).max(len);
        wanted.min(PIECE_BYTES_MAX)
    }

    fn take(&mut self) -> Bytes {
        let first = self.filled.pop_front();
        let bytes = first.unwrap_or_else(|| self.gathered.split().freeze());
        self.waiting -= bytes.len();
        bytes
    }

    fn clear(&mut self) {
        self.filled = VecDeque::new();
        self.gathered = BytesMut::new();
        self.waiting = 0;
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.0.borrow();
        write!(out, "RequestBody({:?} of {:?})", queue.state, queue.length)
    }
}

impl fmt::Debug for BodyInlet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BodyInlet({} bytes wait)", self.0.borrow().waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::future::Future;
    use std::pin::pin;
    use std::task::Context;

    fn poll(body: &mut RequestBody) -> Poll<Result<Option<Bytes>, BodyFault>> {
        let next = pin!(body.next());
        next.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn told(inlet: &BodyInlet) -> Rc<Cell<usize>> {
        let told = Rc::new(Cell::new(0));
        let count = Rc::clone(&told);
        inlet.when_wanted(move || count.set(count.get() + 1));
        told
    }

    #[test]
    fn content_arrives_in_order_and_ends() {
        let (inlet, mut body) = request_body(100, Some(4));
        assert_eq!(poll(&mut body), Poll::Pending);
        inlet.push(b"ab");
        inlet.push(b"cd");
        inlet.end();
        assert_eq!(poll(&mut body), Poll::Ready(Ok(Some("abcd".into()))));
        assert_eq!(poll(&mut body), Poll::Ready(Ok(None)));
        assert_eq!(body.length(), Some(4));
    }

    #[test]
    fn much_content_comes_in_pieces() {
        let content: Vec<u8> = (0..200_000u32).map(|number| (number % 251) as u8).collect();
        for length in [None, Some(content.len() as u64), Some(10)] {
            let (inlet, mut body) = request_body(1 << 20, length);
            for part in content.chunks(7_000) {
                inlet.push(part);
            }
            inlet.end();
            assert_eq!(inlet.len(), content.len());
            let mut read = Vec::new();
            while let Poll::Ready(Ok(Some(piece))) = poll(&mut body) {
                assert!(piece.len() <= PIECE_BYTES_MAX);
                read.extend_from_slice(&piece);
                assert_eq!(inlet.len(), content.len() - read.len());
            }
            assert!(read == content);
        }
    }

    #[test]
    fn a_queue_asks_for_more_once_it_is_empty() {
        let (inlet, mut body) = request_body(3, None);
        let told = told(&inlet);
        assert!(inlet.has_room() && !inlet.is_asked_for());
        assert_eq!(poll(&mut body), Poll::Pending);
        assert_eq!((told.get(), inlet.is_asked_for()), (1, true));
        inlet.push(b"ab");
        assert!(inlet.has_room());
        inlet.push(b"cd");
        assert!(!inlet.has_room());
        assert_eq!(inlet.len(), 4);
        assert_eq!(poll(&mut body), Poll::Ready(Ok(Some("abcd".into()))));
        assert_eq!((told.get(), inlet.has_room()), (2, true));
        assert!(inlet.is_empty() && inlet.is_open());
        assert_eq!(poll(&mut body), Poll::Pending);
        assert_eq!(told.get(), 2);
    }

    #[test]
    fn what_happens_to_one_end_is_seen_at_the_other() {
        let (inlet, mut body) = request_body(3, None);
        inlet.push(b"a");
        inlet.fail(BodyFault::TooSlow);
        assert!(!inlet.is_open());
        drop(inlet);
        assert_eq!(poll(&mut body), Poll::Ready(Ok(Some("a".into()))));
        assert_eq!(poll(&mut body), Poll::Ready(Err(BodyFault::TooSlow)));

        let (inlet, mut body) = request_body(3, None);
        drop(inlet);
        assert_eq!(poll(&mut body), Poll::Ready(Err(BodyFault::Gone)));

        let (inlet, body) = request_body(3, None);
        let told = told(&inlet);
        inlet.push(b"abcd");
        drop(body);
        assert_eq!(told.get(), 1);
        assert!(inlet.has_room() && !inlet.is_taken());
        inlet.push(b"thrown away");
    }

    #[test]
    fn a_whole_body_needs_nobody_else() {
        let mut body = RequestBody::whole(b"abc");
        assert_eq!(poll(&mut body), Poll::Ready(Ok(Some("abc".into()))));
        assert_eq!(poll(&mut body), Poll::Ready(Ok(None)));
        assert_eq!(poll(&mut RequestBody::whole(b"")), Poll::Ready(Ok(None)));
    }
}
