//! A worker: one thread with its own engine, listeners and connections.
//!
//! STAND-IN: the interface between the cold thread and the workers, with a thread behind it that
//! holds its listeners and waits for the order to stop. The loop comes from the worker room.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::base::cpu;
use crate::config::Config;
use crate::engine::EngineKind;

/// What a worker is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Stop accepting, close idle connections, finish what is being answered, end within `grace`.
    Shutdown { grace: Duration },
}

/// The way to a worker, from any thread.
#[derive(Clone, Debug)]
pub struct Mailbox(Sender<Message>);

impl Mailbox {
    /// Hands over a message; one to a worker that has ended is lost, which is all right.
    pub fn send(&self, message: Message) {
        let _ = self.0.send(message);
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Handle {
    pub mailbox: Mailbox,
    pub thread: JoinHandle<()>,
}

/// All that a worker starts with.
#[derive(Debug)]
pub struct WorkerSetup {
    pub index: usize,
    pub cpu: Option<usize>,
    pub listeners: Vec<OwnedFd>,
    pub config: Arc<Config>,
    pub engine: EngineKind,
}

/// Starts a worker on a thread of its own.
pub fn spawn(setup: WorkerSetup) -> io::Result<Handle> {
    let (sender, messages) = channel();
    let thread = thread::Builder::new()
        .name(format!("worker-{}", setup.index))
        .spawn(move || {
            if let Some(cpu) = setup.cpu
                && let Err(error) = cpu::pin(cpu)
            {
                log::warn!(
                    "worker {} cannot be pinned to processor {cpu}: {error}",
                    setup.index
                );
            }
            let _ = messages.recv();
            drop(setup.listeners);
        })?;
    Ok(Handle {
        mailbox: Mailbox(sender),
        thread,
    })
}
