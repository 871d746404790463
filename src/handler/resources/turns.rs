//! Writers of one resource come one after the other, in the order in which they asked.
//!
//! Who waits for their turn waits as a task: no thread is held up by a resource that many write to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use tokio::sync::OwnedMutexGuard;

type Queue = Arc<tokio::sync::Mutex<()>>;
type Queues = HashMap<Box<[u8]>, Queue, RandomState>;

/// The queues of all resources that somebody writes to.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<Queues>>);

/// The right to write to one resource, until it is dropped, on whatever thread.
#[derive(Debug)]
pub(super) struct Turn {
    /// Let go before the place in the queue, which sees whether anybody else is in it.
    _guard: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place in a queue, whether its turn has come or not.
struct Place {
    turns: Turns,
    key: Box<[u8]>,
    queue: Queue,
}

impl Turns {
    /// Waits for the turn of the caller.
    pub(super) async fn take(&self, key: Box<[u8]>) -> Turn {
        let queue = Arc::clone(self.lock().entry(key.clone()).or_default());
        let place = Place {
            turns: self.clone(),
            key,
            queue: Arc::clone(&queue),
        };
        Turn {
            _guard: queue.lock_owned().await,
            _place: place,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.turns.lock();
        // The map's and this one: places are taken under the same lock.
        if Arc::strong_count(&self.queue) == 2 {
            queues.remove(&self.key);
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Place({})", self.key.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn turns_come_in_order_and_leave_nothing_behind() {
        let turns = Turns::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(turns.take(b"a"[..].into()));
        let mut second = Box::pin(turns.take(b"a"[..].into()));
        let mut third = Box::pin(turns.take(b"a"[..].into()));
        let Poll::Ready(turn) = first.as_mut().poll(&mut context) else {
            panic!("nobody else is there")
        };
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(third.as_mut().poll(&mut context).is_pending());
        let other = pin!(turns.take(b"b"[..].into()));
        assert!(other.poll(&mut context).is_ready());
        drop(second); // Who gives up holds nobody up.
        drop(turn);
        let Poll::Ready(turn) = third.as_mut().poll(&mut context) else {
            panic!("its turn has come")
        };
        assert_eq!(turns.lock().len(), 1);
        drop((first, third, turn));
        assert!(turns.lock().is_empty());
    }
}
