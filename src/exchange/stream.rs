//! A body that is made while it is sent: a bounded queue from one producer to its connection.
//!
//! ```text
//! producer                                                    connection
//! write(piece).await  ->  [ pieces | small ones gathered ]  ->  take(max)
//! waits while it is full                                        is told when something comes
//! finish(), or dropped                                          Ended, or Broken
//! ```
//!
//! Both ends live on one worker. The producer is a slow-lane task and may wait; the connection
//! takes what is there and goes on with other things. What happens to one end is seen at the other:
//! a connection that is gone is an error of the next `write`, a producer that is gone breaks the
//! body.

use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use crate::base::limits::{COPY_BODY_BYTES_MAX, H2_FRAME_BYTES_MAX};

/// Small pieces are gathered up to here: what a client takes as one frame.
const GATHERED_BYTES_MAX: usize = H2_FRAME_BYTES_MAX;

/// A body of unknown length that holds at most `bytes_max` bytes, at least one, between its
/// producer and its connection.
pub fn body_stream(bytes_max: usize) -> (BodyWriter, BodyStream) {
    assert!(bytes_max > 0, "nothing would ever fit");
    let shared = Rc::new(Shared {
        queue: RefCell::new(Queue {
            pieces: VecDeque::new(),
            gathered: BytesMut::new(),
            len: 0,
            bytes_max,
            writing: Writing::Open,
            is_read: true,
            writer: None,
        }),
        tell: OnceCell::new(),
    });
    let writer = BodyWriter(Rc::clone(&shared));
    (writer, BodyStream(shared))
}

/// Nobody takes the body any more: its connection or stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// The producer's end. Dropped before [`BodyWriter::finish`], it breaks the body, and the client
/// sees that it is not whole.
pub struct BodyWriter(Rc<Shared>);

/// The connection's end. Dropping it lets the producer know that nobody takes the body any more.
pub struct BodyStream(Rc<Shared>);

/// What [`BodyStream::take`] would find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// So many bytes.
    Ready(usize),
    /// Nothing for now.
    Pending,
    /// Nothing any more: the body is whole.
    Ended,
    /// Nothing any more, and the body is not whole.
    Broken,
}

/// How far the producer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    Finished,
    Broken,
}

struct Shared {
    queue: RefCell<Queue>,
    /// Called when an empty queue has something to say again.
    tell: OnceCell<Box<dyn Fn()>>,
}

struct Queue {
    pieces: VecDeque<Bytes>,
    /// Small pieces, behind all others. Copied, so that many of them cost no more memory than
    /// their bytes, and leave as one.
    gathered: BytesMut,
    /// Bytes in both.
    len: usize,
    bytes_max: usize,
    writing: Writing,
    is_read: bool,
    /// The producer, which waits for room or for the end.
    writer: Option<Waker>,
}

impl BodyWriter {
    /// Hands a piece on; waits while there is no room. A piece larger than the queue goes in parts:
    /// a call that is dropped before its end may have handed some of them on.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), Gone> {
        let mut rest = piece;
        poll_fn(|context| self.poll_write(&mut rest, context)).await
    }

    /// Waits until nobody takes the body any more: to be awaited beside what the next piece comes
    /// from, so that a producer does not outlive its client.
    pub async fn gone(&mut self) {
        poll_fn(|context| {
            let mut queue = self.0.queue.borrow_mut();
            if !queue.is_read {
                return Poll::Ready(());
            }
            queue.writer = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The body is whole.
    pub fn finish(self) {
        self.0.end(Writing::Finished);
    }

    fn poll_write(&self, rest: &mut Bytes, context: &Context<'_>) -> Poll<Result<(), Gone>> {
        loop {
            let mut queue = self.0.queue.borrow_mut();
            if !queue.is_read {
                return Poll::Ready(Err(Gone));
            }
            if rest.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let room = queue.room_for(rest.len());
            if room == 0 {
                queue.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            let was_empty = queue.len == 0;
            queue.push(rest.split_to(room));
            drop(queue);
            if was_empty {
                self.0.tell();
            }
        }
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        self.0.end(Writing::Broken); // Unless it was finished.
    }
}

impl BodyStream {
    /// `tell` will be called each time an empty body has something to say again: bytes have come,
    /// or it has ended or broken. To be said once.
    pub fn when_ready(&self, tell: impl Fn() + 'static) {
        let is_first = self.0.tell.set(Box::new(tell)).is_ok();
        assert!(is_first, "a body goes to one connection");
    }

    /// Where it stands. It ends or breaks only once all that came before was taken.
    pub fn state(&self) -> StreamState {
        let queue = self.0.queue.borrow();
        match (queue.len, queue.writing) {
            (0, Writing::Open) => StreamState::Pending,
            (0, Writing::Finished) => StreamState::Ended,
            (0, Writing::Broken) => StreamState::Broken,
            (len, _) => StreamState::Ready(len),
        }
    }

    /// The next bytes, at most `max`; `None` when there are none now. Perhaps fewer than there are:
    /// pieces are not joined.
    pub fn take(&mut self, max: usize) -> Option<Bytes> {
        let mut queue = self.0.queue.borrow_mut();
        let piece = queue.pop(max)?;
        let writer = match queue.is_half_empty() {
            true => queue.writer.take(),
            false => None,
        };
        drop(queue); // A waker may do anything.
        if let Some(writer) = writer {
            writer.wake();
        }
        Some(piece)
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        let mut queue = self.0.queue.borrow_mut();
        queue.is_read = false;
        let pieces = std::mem::take(&mut queue.pieces);
        let gathered = std::mem::take(&mut queue.gathered);
        queue.len = 0;
        let writer = queue.writer.take();
        drop(queue);
        drop((pieces, gathered));
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

impl Shared {
    fn end(&self, how: Writing) {
        let mut queue = self.queue.borrow_mut();
        if queue.writing != Writing::Open {
            return;
        }
        queue.writing = how;
        let is_empty = queue.len == 0;
        drop(queue);
        if is_empty {
            self.tell();
        }
    }

    fn tell(&self) {
        if let Some(tell) = self.tell.get() {
            tell();
        }
    }
}

impl Queue {
    /// How much of a piece goes in now. One that does not fit as a whole waits for a half of the
    /// queue, so that it is not cut into crumbs.
    fn room_for(&self, len: usize) -> usize {
        let room = self.bytes_max.saturating_sub(self.len);
        if len <= room || self.is_half_empty() {
            return len.min(room);
        }
        0
    }

    fn is_half_empty(&self) -> bool {
        self.len <= self.bytes_max / 2
    }

    fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        let is_small = piece.len() <= COPY_BODY_BYTES_MAX;
        if !is_small || self.gathered.len() + piece.len() > GATHERED_BYTES_MAX {
            self.settle_gathered();
        }
        if is_small {
            self.gathered.extend_from_slice(&piece);
        } else {
            self.pieces.push_back(piece);
        }
    }

    fn pop(&mut self, max: usize) -> Option<Bytes> {
        if self.pieces.is_empty() {
            self.settle_gathered();
        }
        let first = self.pieces.front_mut()?;
        let piece = first.split_to(max.min(first.len()));
        if first.is_empty() {
            self.pieces.pop_front();
        }
        self.len -= piece.len();
        Some(piece)
    }

    /// What was gathered is a piece from now on.
    fn settle_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.pieces.push_back(self.gathered.split().freeze());
        }
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BodyStream({:?})", self.state())
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BodyWriter({} bytes wait)", self.0.queue.borrow().len)
    }
}

/// What a slow-lane task still has to do when its answer is on its way: write a body. It must end
/// soon once the body's writer says [`Gone`]: a worker that shuts down waits for it.
pub struct Producer(Pin<Box<dyn Future<Output = ()>>>);

impl Producer {
    /// Does what `work` does.
    pub fn new(work: impl Future<Output = ()> + 'static) -> Producer {
        Producer(Box::pin(work))
    }
}

impl Future for Producer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Producer")
    }
}

#[cfg(test)]
mod tests;
