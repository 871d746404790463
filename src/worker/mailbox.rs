//! Messages from other threads to a worker, read between two turns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::engine::Waker;

/// What other threads tell a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Shut down: take no more connections and requests, finish what is being answered.
    Shutdown {
        /// After that, what has not ended is cut off; zero ends everything at once.
        grace: Duration,
    },
}

/// The sending and the receiving end; clones share one box.
#[derive(Clone)]
pub struct Mailbox {
    shared: Arc<Shared>,
    waker: Waker,
}

#[derive(Default)]
struct Shared {
    /// Spares the worker the lock in turns without mail, which are all but a few.
    has_mail: AtomicBool,
    messages: Mutex<Vec<Message>>,
}

impl Mailbox {
    /// An empty box for the worker that `waker` wakes.
    pub fn new(waker: Waker) -> Mailbox {
        Mailbox {
            shared: Arc::default(),
            waker,
        }
    }

    /// Leaves a message and wakes the worker.
    pub fn send(&self, message: Message) {
        self.shared
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(message);
        self.shared.has_mail.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Moves all messages to `messages`.
    pub fn take(&self, messages: &mut Vec<Message>) {
        if self.shared.has_mail.swap(false, Ordering::Acquire) {
            let mut waiting = self
                .shared
                .messages
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            messages.append(&mut waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_in_order_and_once() {
        let mailbox = Mailbox::new(Waker::new().unwrap());
        let sender = mailbox.clone();
        let grace = Duration::from_secs(1);
        std::thread::spawn(move || {
            sender.send(Message::Shutdown { grace });
            sender.send(Message::Shutdown {
                grace: Duration::ZERO,
            });
        })
        .join()
        .unwrap();
        let mut messages = Vec::new();
        mailbox.take(&mut messages);
        let at_once = Message::Shutdown {
            grace: Duration::ZERO,
        };
        assert_eq!(messages, [Message::Shutdown { grace }, at_once]);
        mailbox.take(&mut messages);
        assert_eq!(messages.len(), 2);
    }
}
