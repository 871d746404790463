//! A small executor for `!Send` futures, run once a turn by its worker.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};
use std::thread::{self, ThreadId};

use crate::base::{Id, Slab};
use crate::engine;

/// Names a task; stale once it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId(Id);

/// The tasks of one worker.
pub struct Executor {
    tasks: Slab<Task>,
    ready: Arc<Ready>,
    /// The list that is swapped with the ready one, to keep both their memories.
    running: Vec<Id>,
}

struct Task {
    /// Taken out while it runs.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: std::task::Waker,
}

/// Tasks to poll next. The lock is held for one push or one swap, never while a task runs, so that
/// a worker cannot be made to wait for longer than a few instructions.
struct Ready {
    ids: Mutex<Vec<Id>>,
    worker: ThreadId,
    engine: engine::Waker,
}

impl Ready {
    fn push(&self, id: Id) {
        self.ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(id);
        // On its own thread the worker looks into the list before it sleeps.
        if thread::current().id() != self.worker {
            self.engine.wake();
        }
    }
}

struct TaskWaker {
    id: Id,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.id);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.push(self.id);
    }
}

impl Executor {
    /// An executor for the calling thread, which `engine` wakes from sleep.
    pub fn new(engine: engine::Waker) -> Executor {
        let worker = thread::current().id();
        let ready = Arc::new(Ready {
            ids: Mutex::default(),
            worker,
            engine,
        });
        Executor {
            tasks: Slab::new(),
            ready,
            running: Vec::new(),
        }
    }

    /// Adds a task; it first runs in the next [`Executor::run_ready`].
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) -> TaskId {
        let waker = std::task::Waker::noop().clone();
        let id = self.tasks.insert(Task {
            future: Some(Box::pin(future)),
            waker,
        });
        let waker = Arc::new(TaskWaker {
            id,
            ready: Arc::clone(&self.ready),
        })
        .into();
        self.tasks.get_mut(id).expect("just inserted").waker = waker;
        self.ready.push(id);
        TaskId(id)
    }

    /// Drops a task, wherever it waits. A task that has ended is ignored.
    pub fn cancel(&mut self, task: TaskId) {
        drop(self.tasks.remove(task.0));
    }

    /// True when a task can run: the worker must not sleep.
    pub fn has_ready(&self) -> bool {
        !self
            .ready
            .ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Tasks that have not ended.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// True when no task waits for anything.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Polls each task that was ready when the call began, once.
    pub fn run_ready(&mut self) {
        let mut running = std::mem::take(&mut self.running);
        std::mem::swap(
            &mut running,
            &mut self
                .ready
                .ids
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for id in running.drain(..) {
            self.poll(id);
        }
        self.running = running;
    }

    fn poll(&mut self, id: Id) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        }; // Cancelled, or woken twice.
        let Some(mut future) = task.future.take() else {
            return;
        };
        let waker = task.waker.clone();
        let mut context = Context::from_waker(&waker);
        // A bug in one handler costs one request: its future is dropped, and dropping it answers.
        let poll = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        match poll {
            Ok(Poll::Pending) => {
                if let Some(task) = self.tasks.get_mut(id) {
                    task.future = Some(future);
                }
            }
            Ok(Poll::Ready(())) => drop(self.tasks.remove(id)),
            Err(_) => {
                log::error!("a request handler panicked; its request is answered with 500");
                drop(self.tasks.remove(id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    fn executor() -> Executor {
        Executor::new(engine::Waker::new().unwrap())
    }

    #[test]
    fn a_task_runs_until_it_waits_and_again_when_woken() {
        let mut executor = executor();
        let polls = Rc::new(Cell::new(0));
        let seen = Rc::clone(&polls);
        let mut yielded = false;
        executor.spawn(std::future::poll_fn(move |context| {
            seen.set(seen.get() + 1);
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        executor.run_ready();
        assert_eq!(polls.get(), 1);
        assert!(executor.has_ready());
        executor.run_ready();
        assert_eq!(polls.get(), 2);
        assert!(executor.is_empty() && !executor.has_ready());
    }

    #[test]
    fn a_panic_ends_one_task_only() {
        let mut executor = executor();
        let done = Rc::new(Cell::new(false));
        let seen = Rc::clone(&done);
        executor.spawn(async { panic!("a bug") });
        executor.spawn(async move { seen.set(true) });
        executor.run_ready();
        assert!(done.get());
        assert!(executor.is_empty());
    }

    #[test]
    fn a_cancelled_task_is_dropped_where_it_waits() {
        let mut executor = executor();
        let held = Rc::new(());
        let weak = Rc::downgrade(&held);
        let task = executor.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        executor.run_ready();
        executor.cancel(task);
        assert!(weak.upgrade().is_none());
        executor.cancel(task);
    }

    #[test]
    fn another_thread_wakes_a_task() {
        let mut executor = executor();
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut sent = false;
        executor.spawn(std::future::poll_fn(move |context| {
            if sent {
                return Poll::Ready(());
            }
            sent = true;
            sender.send(context.waker().clone()).unwrap();
            Poll::Pending
        }));
        executor.run_ready();
        let waker = receiver.recv().unwrap();
        thread::spawn(move || waker.wake()).join().unwrap();
        assert!(executor.has_ready());
        executor.run_ready();
        assert!(executor.is_empty());
    }
}
