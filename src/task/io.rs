//! Operations of the engine as futures.
//!
//! A task does not hold the engine: it queues an operation here, the worker hands the queue over
//! once a turn, and the outcome comes back through [`Io::on_finished`]. A task that is dropped
//! while its operation runs leaves the outcome an orphan, which is dropped when it arrives.

use std::cell::RefCell;
use std::ffi::CString;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::base::{Id, Slab};
use crate::engine::operation::SharedFile;
use crate::engine::{Engine, Errno, FileStat, Links, Operation, OperationId, Outcome};

/// A worker's slow-lane operations; clones share them.
#[derive(Clone, Default)]
pub struct Io(Rc<RefCell<Shared>>);

#[derive(Default)]
struct Shared {
    operations: Slab<State>,
    queue: Vec<(OperationId, Operation)>,
}

enum State {
    /// The engine works; the task sleeps (or has not asked yet).
    Running(Option<Waker>),
    /// The outcome waits for its task.
    Finished(Outcome),
    /// The task is gone; the outcome will be dropped.
    Orphaned,
}

impl Io {
    /// Hands everything that tasks asked for to the engine.
    pub fn submit<E: Engine>(&self, engine: &mut E) {
        for (id, operation) in self.0.borrow_mut().queue.drain(..) {
            engine.start(id, operation);
        }
    }

    /// Takes the outcome of an operation in and wakes its task.
    pub fn on_finished(&self, operation: OperationId, outcome: Outcome) {
        let mut shared = self.0.borrow_mut();
        let state = shared
            .operations
            .get_mut(operation.0)
            .expect("an operation finishes once");
        match state {
            State::Running(waker) => {
                let waker = waker.take();
                *state = State::Finished(outcome);
                drop(shared); // The waker may come back to us.
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            State::Orphaned => {
                shared.operations.remove(operation.0);
            }
            State::Finished(_) => unreachable!("an operation finishes once"),
        }
    }

    /// Operations asked for and not yet taken by their tasks.
    pub fn in_flight(&self) -> usize {
        self.0.borrow().operations.len()
    }

    /// Finds the file at `path` below `root` without opening it. An empty path is the root itself.
    pub async fn find(
        &self,
        root: &SharedFile,
        path: CString,
        links: Links,
    ) -> Result<SharedFile, Errno> {
        match self
            .run(Operation::Find {
                root: Arc::clone(root),
                path,
                links,
            })
            .await
        {
            Outcome::Opened(result) => result.map(Arc::new),
            other => unreachable!("a find ends as opened, not {other:?}"),
        }
    }

    /// Opens for reading what [`Io::find`] found.
    pub async fn open_found(&self, found: &SharedFile) -> Result<SharedFile, Errno> {
        match self
            .run(Operation::OpenFound {
                found: Arc::clone(found),
            })
            .await
        {
            Outcome::Opened(result) => result.map(Arc::new),
            other => unreachable!("an open ends as opened, not {other:?}"),
        }
    }

    /// The present state of a file.
    pub async fn stat(&self, file: &SharedFile) -> Result<FileStat, Errno> {
        match self
            .run(Operation::Stat {
                file: Arc::clone(file),
            })
            .await
        {
            Outcome::Stat(result) => result,
            other => unreachable!("a stat ends as a stat, not {other:?}"),
        }
    }

    /// Reads at `offset` into the spare capacity of `buf`: perhaps fewer bytes, none at the end.
    pub async fn read(
        &self,
        file: &SharedFile,
        offset: u64,
        buf: Vec<u8>,
    ) -> (Vec<u8>, Result<usize, Errno>) {
        match self
            .run(Operation::Read {
                file: Arc::clone(file),
                offset,
                buf,
            })
            .await
        {
            Outcome::Read { buf, result } => (buf, result),
            other => unreachable!("a read ends as a read, not {other:?}"),
        }
    }

    fn run(&self, operation: Operation) -> Running {
        let mut shared = self.0.borrow_mut();
        let id = shared.operations.insert(State::Running(None));
        shared.queue.push((OperationId(id), operation));
        Running {
            io: self.clone(),
            id: Some(id),
        }
    }
}

/// A future of one outcome.
struct Running {
    io: Io,
    /// `None` once the outcome was taken.
    id: Option<Id>,
}

impl Future for Running {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let id = self.id.expect("a future is not polled after it was ready");
        let mut shared = self.io.0.borrow_mut();
        match shared
            .operations
            .get_mut(id)
            .expect("the slot lives until its outcome is taken")
        {
            State::Running(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            State::Finished(_) => {
                let Some(State::Finished(outcome)) = shared.operations.remove(id) else {
                    unreachable!("it was finished a line ago")
                };
                drop(shared);
                self.id = None;
                Poll::Ready(outcome)
            }
            State::Orphaned => unreachable!("only a dropped future leaves an orphan"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut shared = self.io.0.borrow_mut();
        let Some(state) = shared.operations.get_mut(id) else {
            return;
        };
        match state {
            State::Running(_) => *state = State::Orphaned,
            State::Finished(_) => {
                let outcome = shared.operations.remove(id);
                drop(shared);
                drop(outcome);
            }
            State::Orphaned => unreachable!("a future is dropped once"),
        }
    }
}
