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
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::{Bytes, BytesMut};

/// Content on its way from a connection, at most `bytes_max` of it and what one receive adds.
/// `length`: as the request announces it.
pub fn request_body(bytes_max: usize, length: Option<u64>) -> (BodyInlet, RequestBody) {
    assert!(bytes_max > 0, "nothing would ever fit");
    let queue = Rc::new(RefCell::new(Queue {
        gathered: BytesMut::new(),
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
    gathered: BytesMut,
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
        !queue.is_taken || queue.gathered.len() < queue.bytes_max
    }

    /// Bytes that wait for the task.
    pub fn len(&self) -> usize {
        self.0.borrow().gathered.len()
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
            queue.gathered.extend_from_slice(bytes);
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

    /// All content that is there, at least one byte; waits for it. `None`: that was all.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyFault> {
        poll_fn(|context| {
            let mut queue = self.0.borrow_mut();
            let was_asked_for = std::mem::replace(&mut queue.is_asked_for, true);
            let bytes = queue.gathered.split().freeze();
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
        queue.gathered = BytesMut::new();
        let tell = queue.tell.take();
        drop(queue);
        if let Some(tell) = tell {
            tell();
        }
    }
}

impl Queue {
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
        write!(
            out,
            "BodyInlet({} bytes wait)",
            self.0.borrow().gathered.len()
        )
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
