//! A worker: one thread with its own engine, listeners, connections, tasks and cache index.

mod mailbox;
mod spawn;

use std::io;

use crate::base::Millis;
use crate::conn::{Connections, Event, Services};
use crate::engine::{Completion, Engine, Wait};

pub use mailbox::{Mailbox, Message};
pub use spawn::{Handle, WorkerListener, WorkerSetup, spawn};

/// The loop of one worker over its engine.
pub struct Worker<E: Engine> {
    connections: Connections<E>,
    mailbox: Mailbox,
    completions: Vec<Completion>,
    events: Vec<Event>,
    messages: Vec<Message>,
    /// While shutting down: when what has not ended is cut off.
    cut_off: Option<Millis>,
}

/// Whether a worker goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Call [`Worker::turn`] again.
    Goes,
    /// Everything has ended; the worker can be dropped.
    Ended,
}

impl<E: Engine> Worker<E> {
    /// A worker without listeners.
    pub fn new(engine: E, services: Services) -> Worker<E> {
        let mailbox = Mailbox::new(engine.waker());
        Worker {
            connections: Connections::new(engine, services),
            mailbox,
            completions: Vec::new(),
            events: Vec::new(),
            messages: Vec::new(),
            cut_off: None,
        }
    }

    /// Where other threads leave messages for it.
    pub fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    /// Its connections.
    pub fn connections_mut(&mut self) -> &mut Connections<E> {
        &mut self.connections
    }

    /// Turns until everything has ended after a [`Message::Shutdown`].
    pub fn run(&mut self) -> io::Result<()> {
        while self.turn()? == Turn::Goes {}
        Ok(())
    }

    /// One turn: collect what has happened, act on it, run tasks, send.
    pub fn turn(&mut self) -> io::Result<Turn> {
        let busy =
            self.connections.has_output() || self.connections.services_mut().has_ready_task();
        let wait = if busy { Wait::Poll } else { Wait::Block };
        self.connections
            .engine_mut()
            .wait(wait, &mut self.completions)?;
        let now = self.connections.engine_mut().now();
        self.connections.services_mut().set_now(now);
        self.read_mail(now.monotonic);

        let mut completions = std::mem::take(&mut self.completions);
        for completion in completions.drain(..) {
            self.connections.on_completion(completion);
        }
        self.completions = completions;

        let mut events = std::mem::take(&mut self.events);
        self.connections.services_mut().run_tasks(&mut events);
        for event in events.drain(..) {
            self.connections.on_event(event);
        }
        self.events = events;

        self.connections.finish_turn();
        Ok(self.check_end(now.monotonic))
    }

    fn read_mail(&mut self, now: Millis) {
        let mut messages = std::mem::take(&mut self.messages);
        self.mailbox.take(&mut messages);
        for message in messages.drain(..) {
            match message {
                Message::Shutdown { grace } => {
                    self.cut_off = Some(now + grace);
                    self.connections.drain();
                }
            }
        }
        self.messages = messages;
    }

    fn check_end(&mut self, now: Millis) -> Turn {
        let Some(cut_off) = self.cut_off else {
            return Turn::Goes;
        };
        if self.connections.is_drained() {
            return Turn::Ended;
        }
        if now >= cut_off && !self.connections.is_empty() {
            log::info!(
                "the grace period is over; cutting off {} connections",
                self.connections.len()
            );
            self.connections.terminate_all();
            self.connections.finish_turn();
        }
        Turn::Goes
    }
}
