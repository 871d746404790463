//! Threads for work that would hold a worker up: compression, whole files read and written.
//!
//! One pool serves all workers. Work that an answer waits for, short work that makes later answers
//! better and long work that does have threads of their own: those that nobody waits for give way
//! to all others (`give_way.rs`), so that they take what workers and answers leave, and a long job
//! never stands before a short one.
//! Threads start when there is work and none of them is idle, and end when there was none for a
//! while; an idle server has none.
//!
//! The lock is held for a push or a pop, never while a job runs. A thread that gives way may lose
//! the processor while it holds it, for long: so whoever brings work that nobody waits for does not
//! wait for the lock either.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use super::give_way::give_way;
use crate::base::cpu;
use crate::base::limits::{POOL_ELSEWHERE_THREADS_MAX, POOL_THREAD_IDLE};

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// An answer waits for it.
    Answer,
    /// An answer waits for it, and it waits for another server: it must not hold up what has work
    /// to do.
    Elsewhere,
    /// Nobody waits: it makes later answers better, and is soon done.
    Soon,
    /// Nobody waits: it makes later answers better, and may take long.
    Background,
}

/// Too many jobs of this urgency wait already, or no thread can be made. What nobody waits for is
/// refused, too, while another thread holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("too much work waits already")
    }
}

impl std::error::Error for Full {}

/// The pool of the process; clones are handles of the same threads.
#[derive(Clone)]
pub struct Pool {
    answers: Arc<Crew>,
    elsewhere: Arc<Crew>,
    soon: Arc<Crew>,
    background: Arc<Crew>,
}

impl Pool {
    /// A pool of at most `threads` threads for each urgency but `Elsewhere`, before each of which
    /// at most `waiting_max` jobs wait. No thread is started yet.
    pub fn new(threads: usize, waiting_max: usize) -> Pool {
        let crew = |urgency| {
            let threads = match urgency {
                Urgency::Elsewhere => POOL_ELSEWHERE_THREADS_MAX,
                _ => threads.max(1),
            };
            Arc::new(Crew::new(urgency, threads, waiting_max))
        };
        Pool {
            answers: crew(Urgency::Answer),
            elsewhere: crew(Urgency::Elsewhere),
            soon: crew(Urgency::Soon),
            background: crew(Urgency::Background),
        }
    }

    /// Has `job` run on some thread. The future wakes its task, on whatever thread that lives; to
    /// drop it does not stop the job.
    pub fn run<T: Send + 'static>(
        &self,
        urgency: Urgency,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Running<T>, Full> {
        let (sender, receiver) = oneshot::channel();
        let job = move || {
            // Nobody may wait any more, which is fine.
            let _ = sender.send(job());
        };
        let crew = match urgency {
            Urgency::Answer => &self.answers,
            Urgency::Elsewhere => &self.elsewhere,
            Urgency::Soon => &self.soon,
            Urgency::Background => &self.background,
        };
        crew.take_on(Box::new(job))?;
        Ok(Running(receiver))
    }
}

/// The outcome of a job: `None` when it panicked.
#[must_use = "nothing else tells what came of the job"]
#[derive(Debug)]
pub struct Running<T>(oneshot::Receiver<T>);

impl<T> Future for Running<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        // The sender is dropped without a word only when the job unwinds.
        Pin::new(&mut self.0).poll(context).map(Result::ok)
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// The threads of one urgency.
struct Crew {
    urgency: Urgency,
    threads_max: usize,
    waiting_max: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Crew {
    fn new(urgency: Urgency, threads_max: usize, waiting_max: usize) -> Crew {
        Crew {
            urgency,
            threads_max,
            waiting_max,
            state: Mutex::default(),
            work: Condvar::new(),
        }
    }

    fn take_on(self: &Arc<Self>, job: Job) -> Result<(), Full> {
        let mut state = match self.urgency {
            Urgency::Answer | Urgency::Elsewhere => self.lock(),
            Urgency::Soon | Urgency::Background => self.lock_at_once().ok_or(Full)?,
        };
        // A thread counts as idle until it has taken its job.
        let all_busy = state.jobs.len() >= state.idle;
        if all_busy && state.threads < self.threads_max && self.start_thread(state.threads) {
            state.threads += 1;
            // It is as good as idle: it takes a job first of all.
            state.idle += 1;
        }
        if state.threads == 0 || state.jobs.len() >= self.waiting_max + state.idle {
            return Err(Full);
        }
        state.jobs.push_back(job);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// The stack has the usual size: encoders keep little there, and what is not touched is free.
    fn start_thread(self: &Arc<Self>, number: usize) -> bool {
        let crew = Arc::clone(self);
        let name = match self.urgency {
            Urgency::Answer => format!("downpour-pool-{number}"),
            Urgency::Elsewhere => format!("downpour-asks-{number}"),
            Urgency::Soon => format!("downpour-soon-{number}"),
            Urgency::Background => format!("downpour-idle-{number}"),
        };
        let builder = std::thread::Builder::new().name(name);
        builder.spawn(move || crew.serve()).is_ok()
    }

    /// The life of one thread, which counts as idle when it begins.
    fn serve(&self) {
        // Where it is refused, the thread shares the processor of the worker that has started it.
        let _ = cpu::unpin();
        if matches!(self.urgency, Urgency::Soon | Urgency::Background) {
            give_way();
        }
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.idle -= 1;
                drop(state);
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    log::error!("a job in the background panicked; it is given up");
                }
                state = self.lock();
                state.idle += 1;
                continue;
            }
            let waited = self.work.wait_timeout(state, POOL_THREAD_IDLE);
            let (again, time) = waited.unwrap_or_else(PoisonError::into_inner);
            state = again;
            if time.timed_out() && state.jobs.is_empty() {
                state.idle -= 1;
                state.threads -= 1;
                return;
            }
        }
    }

    fn lock_at_once(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Nothing panics while it is locked, and its content is whole between any two steps.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const _: () = assert!(POOL_THREAD_IDLE.as_millis() > Duration::from_secs(1).as_millis());

#[cfg(test)]
mod tests {
    use super::super::Executor;
    use super::*;
    use crate::engine;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A job that runs until the returned sender is used or dropped.
    fn held(pool: &Pool, urgency: Urgency) -> Sender<()> {
        let (let_go, held) = channel::<()>();
        let (begun, begins) = channel();
        let job = move || {
            begun.send(()).unwrap();
            let _ = held.recv();
        };
        drop(pool.run(urgency, job).unwrap());
        begins.recv_timeout(PATIENCE).unwrap();
        let_go
    }

    fn note(pool: &Pool, urgency: Urgency, notes: &Sender<u32>, number: u32) -> Result<(), Full> {
        let notes = notes.clone();
        pool.run(urgency, move || notes.send(number).unwrap())
            .map(drop)
    }

    fn next(notes: &Receiver<u32>) -> u32 {
        notes.recv_timeout(PATIENCE).unwrap()
    }

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn there_is_no_thread_before_the_first_job_and_never_too_many() {
        let pool = Pool::new(2, 1000);
        assert_eq!(pool.answers.lock().threads, 0);
        let (notes, read) = channel();
        for number in 0..500 {
            note(&pool, Urgency::Answer, &notes, number).unwrap();
        }
        let mut all: Vec<u32> = (0..500).map(|_| next(&read)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..500).collect::<Vec<_>>());
        assert!((1..=2).contains(&pool.answers.lock().threads));
        assert_eq!(pool.background.lock().threads, 0);
        eventually("threads come to rest", || {
            let state = pool.answers.lock();
            state.idle == state.threads
        });
    }

    #[test]
    fn jobs_of_one_urgency_keep_their_order() {
        let pool = Pool::new(1, 100);
        let let_go = held(&pool, Urgency::Background);
        let (notes, read) = channel();
        for number in 0..50 {
            note(&pool, Urgency::Background, &notes, number).unwrap();
        }
        drop(let_go);
        let order: Vec<u32> = (0..50).map(|_| next(&read)).collect();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_long_stands_before_nothing_that_is_short() {
        let pool = Pool::new(1, 10);
        let let_go = held(&pool, Urgency::Background);
        let (notes, read) = channel();
        note(&pool, Urgency::Background, &notes, 1).unwrap();
        note(&pool, Urgency::Soon, &notes, 3).unwrap();
        assert_eq!(next(&read), 3);
        note(&pool, Urgency::Answer, &notes, 2).unwrap();
        assert_eq!(next(&read), 2);
        assert!(read.try_recv().is_err());
        drop(let_go);
        assert_eq!(next(&read), 1);
    }

    /// The scheduling policy of the calling thread (proc_pid_stat(5)).
    fn policy() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, behind_name) = stat.rsplit_once(')').unwrap();
        behind_name.split(' ').nth(39).unwrap().parse().unwrap()
    }

    #[test]
    fn what_nobody_waits_for_gives_way_and_answers_do_not() {
        let pool = Pool::new(1, 10);
        let own = (
            rustix::process::getpriority_process(None).unwrap(),
            policy(),
        );
        let idle = (19, libc::SCHED_IDLE);
        for (urgency, expected) in [
            (Urgency::Answer, own),
            (Urgency::Soon, idle),
            (Urgency::Background, idle),
        ] {
            let (notes, read) = channel();
            let nice = || rustix::process::getpriority_process(None).unwrap();
            let job = move || notes.send((nice(), policy())).unwrap();
            drop(pool.run(urgency, job).unwrap());
            assert_eq!(
                read.recv_timeout(PATIENCE).unwrap(),
                expected,
                "{urgency:?}"
            );
        }
    }

    #[test]
    fn a_full_pool_says_so_and_takes_again_when_there_is_room() {
        let pool = Pool::new(1, 2);
        let let_go = held(&pool, Urgency::Answer);
        let (notes, read) = channel();
        assert_eq!(note(&pool, Urgency::Answer, &notes, 0), Ok(()));
        assert_eq!(note(&pool, Urgency::Answer, &notes, 1), Ok(()));
        assert_eq!(note(&pool, Urgency::Answer, &notes, 2), Err(Full));
        assert_eq!(note(&pool, Urgency::Background, &notes, 7), Ok(()));
        assert_eq!(next(&read), 7);
        drop(let_go);
        assert_eq!([next(&read), next(&read)], [0, 1]);
        eventually("there is room", || {
            note(&pool, Urgency::Answer, &notes, 3).is_ok()
        });
        assert_eq!(next(&read), 3);
    }

    /// Runs `future` on an executor as a worker does, until it ends.
    fn block_on<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
        let mut executor = Executor::new(engine::Waker::new().unwrap());
        let result = Rc::new(RefCell::new(None));
        let put = Rc::clone(&result);
        executor.spawn(async move { *put.borrow_mut() = Some(future.await) });
        eventually("the task ends", || {
            executor.run_ready();
            executor.is_empty()
        });
        result.take().unwrap()
    }

    #[test]
    fn a_task_of_a_worker_is_woken_with_the_outcome() {
        let pool = Pool::new(1, 10);
        let job = || {
            std::thread::sleep(Duration::from_millis(20));
            6 * 7
        };
        let running = pool.run(Urgency::Answer, job).unwrap();
        assert_eq!(block_on(running), Some(42));
    }

    #[test]
    fn a_panic_costs_its_job_and_nothing_else() {
        let pool = Pool::new(1, 10);
        let bad = pool.run(Urgency::Answer, || -> u32 { panic!("a bug") });
        let good = pool.run(Urgency::Answer, || 1);
        assert_eq!(block_on(bad.unwrap()), None);
        assert_eq!(block_on(good.unwrap()), Some(1));
        assert_eq!(pool.answers.lock().threads, 1);
    }

    #[test]
    fn a_job_that_nobody_waits_for_runs_all_the_same() {
        let pool = Pool::new(1, 10);
        let (notes, read) = channel();
        note(&pool, Urgency::Answer, &notes, 5).unwrap();
        assert_eq!(next(&read), 5);
    }
}
