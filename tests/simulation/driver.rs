//! Clients that are futures: driven by hand, in virtual time, without a runtime.
//!
//! They go on whenever their connection has something new for them, and when a pause ends.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use downpour::engine::sim::{Client, Sim};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Rounds in which somebody was woken, at one moment; more is a client that spins.
const ROUNDS_MAX: usize = 10_000;

/// The futures of one client. Clones drive the same ones.
#[derive(Clone)]
pub(crate) struct Driver {
    inner: Rc<Inner>,
}

struct Inner {
    sim: Sim,
    tasks: RefCell<Vec<Task>>,
    spawned: RefCell<Vec<Task>>,
    woken: Arc<Woken>,
}

/// Somebody was woken since the flag was last taken down.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Driver {
    /// Nothing to drive yet; goes on when something changes for `client`.
    pub(crate) fn new(sim: &Sim, client: &Client) -> Driver {
        let driver = Driver {
            inner: Rc::new(Inner {
                sim: sim.clone(),
                tasks: RefCell::default(),
                spawned: RefCell::default(),
                woken: Arc::default(),
            }),
        };
        let watcher = driver.clone();
        client.watch(Rc::new(move |_| watcher.go_on()));
        driver
    }

    /// Drives this future, too, from the next round on.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.inner.spawned.borrow_mut().push(Box::pin(task));
        self.inner.woken.0.store(true, Ordering::Relaxed);
    }

    /// Lets every future do what it can do now.
    pub(crate) fn go_on(&self) {
        let Inner {
            tasks,
            spawned,
            woken,
            ..
        } = &*self.inner;
        let waker = Waker::from(Arc::clone(woken));
        let mut context = Context::from_waker(&waker);
        let mut tasks = tasks.borrow_mut();
        for _ in 0..ROUNDS_MAX {
            woken.0.store(false, Ordering::Relaxed);
            tasks.append(&mut spawned.borrow_mut());
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            if !woken.0.load(Ordering::Relaxed) {
                return;
            }
        }
        panic!("a client spins");
    }

    /// Drops every future: those that never ended hold their own driver.
    pub(crate) fn end(&self) {
        let tasks = self.inner.tasks.take();
        drop(tasks);
        self.inner.spawned.take();
    }

    /// Waits for `delay` of virtual time.
    pub(crate) async fn pause(&self, delay: Duration) {
        let is_over = Rc::new(Cell::new(false));
        let (flag, driver) = (Rc::clone(&is_over), self.clone());
        self.inner.sim.after(delay, move |_| {
            flag.set(true);
            driver.go_on();
        });
        poll_fn(|_| match is_over.get() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// `future`, unless `delay` passes before.
    pub(crate) async fn within<T>(
        &self,
        delay: Option<Duration>,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let Some(delay) = delay else {
            return Some(future.await);
        };
        let mut pause = std::pin::pin!(self.pause(delay));
        poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            pause.as_mut().poll(context).map(|()| None)
        })
        .await
    }
}
