//! Threads that wait for disks, so that workers do not: one small pool for the whole process.
//!
//! An engine that has no asynchronous file operations hands them over here. A worker gets its
//! results through its [`Mailbox`], whose waker ends the worker's sleep. Threads start when there
//! is work and none of them is idle, up to a fixed number.
//!
//! The pool knows nothing of engines. Its locks are held for a push or a pop, never over a call to
//! the kernel that may wait.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::io::{Errno as KernelErrno, ReadWriteFlags};

use super::find;
use super::{Errno, Operation, OperationId, Outcome, Waker};
use crate::base::cpu;
use crate::base::limits::FILE_OPERATIONS_WAITING_MAX;

/// What a worker started and a thread has ended.
pub type Finished = (OperationId, Outcome);

/// Where the results for one worker are collected.
#[derive(Debug)]
pub struct Mailbox {
    finished: Mutex<Vec<Finished>>,
    waker: Waker,
}

impl Mailbox {
    /// An empty mailbox that wakes through `waker`, which must be its own.
    pub fn new(waker: Waker) -> Arc<Mailbox> {
        Arc::new(Mailbox {
            finished: Mutex::new(Vec::new()),
            waker,
        })
    }

    /// The eventfd that becomes readable when the mailbox is no longer empty.
    pub(in crate::engine) fn fd(&self) -> &OwnedFd {
        self.waker.fd()
    }

    /// What wakes when the mailbox is no longer empty.
    #[cfg(feature = "tokio-uring")]
    pub(in crate::engine) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Takes everything that has arrived.
    pub fn take(&self) -> Vec<Finished> {
        std::mem::take(&mut *lock(&self.finished))
    }

    fn deliver(&self, finished: Finished) {
        let mut list = lock(&self.finished);
        list.push(finished);
        // Who emptied the list has seen all of it: one wake-up for each time it is empty.
        if list.len() == 1 {
            self.waker.wake();
        }
    }
}

struct Job {
    id: OperationId,
    operation: Operation,
    mailbox: Arc<Mailbox>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: u32,
    idle: u32,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

/// A pool of threads; clones are handles of the same pool.
#[derive(Clone)]
pub struct BlockingPool {
    shared: Arc<Shared>,
    threads_max: u32,
}

impl BlockingPool {
    /// The pool that all workers of the process share; the first caller sets its size.
    pub fn of_process(threads_max: u32) -> BlockingPool {
        static POOL: OnceLock<BlockingPool> = OnceLock::new();
        POOL.get_or_init(|| BlockingPool::new(threads_max)).clone()
    }

    fn new(threads_max: u32) -> BlockingPool {
        BlockingPool {
            shared: Arc::new(Shared {
                state: Mutex::new(State::default()),
                work: Condvar::new(),
            }),
            threads_max: threads_max.max(1),
        }
    }

    /// Runs `operation` on some thread; its outcome arrives in `mailbox`. When too many wait, or
    /// not a single thread can be started, the outcome is `EAGAIN`.
    pub fn submit(&self, id: OperationId, operation: Operation, mailbox: &Arc<Mailbox>) {
        let mut state = lock(&self.shared.state);
        // A thread counts as idle until it has taken its job.
        let all_busy = state.jobs.len() >= state.idle as usize;
        if all_busy && state.threads < self.threads_max && self.start_thread(state.threads) {
            state.threads += 1;
        }
        if state.threads == 0 || state.jobs.len() >= FILE_OPERATIONS_WAITING_MAX {
            drop(state);
            mailbox.deliver((id, fail(operation, KernelErrno::AGAIN.into())));
            return;
        }
        state.jobs.push_back(Job {
            id,
            operation,
            mailbox: Arc::clone(mailbox),
        });
        drop(state);
        self.shared.work.notify_one();
    }

    fn start_thread(&self, number: u32) -> bool {
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name(format!("downpour-file-{number}"))
            .stack_size(128 * 1024)
            .spawn(move || serve(&shared))
            .is_ok()
    }
}

fn serve(shared: &Shared) {
    // Where it is refused, the thread shares the processor of the worker that has started it.
    let _ = cpu::unpin();
    let mut state = lock(&shared.state);
    loop {
        let Some(job) = state.jobs.pop_front() else {
            state.idle += 1;
            let waited = shared.work.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
            continue;
        };
        drop(state);
        job.mailbox.deliver((job.id, run(job.operation)));
        state = lock(&shared.state);
    }
}

/// Nothing panics while these locks are held, and their contents are whole between any two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does the operation here and now, however long it takes.
pub fn run(operation: Operation) -> Outcome {
    match operation {
        Operation::Find { root, path, links } => {
            Outcome::Opened(find::find(&*root, &path, links).map_err(Errno::from))
        }
        Operation::OpenFound { found } => {
            Outcome::Opened(find::open_found(&*found).map_err(Errno::from))
        }
        Operation::Stat { file } => Outcome::Stat(find::stat(&*file).map_err(Errno::from)),
        Operation::Read {
            file,
            offset,
            mut buf,
        } => {
            let read = loop {
                if buf.len() == buf.capacity() {
                    break Ok(0);
                }
                let spare = rustix::buffer::spare_capacity(&mut buf);
                match rustix::io::pread(&*file, spare, offset) {
                    Err(KernelErrno::INTR) => {}
                    other => break other,
                }
            };
            Outcome::Read {
                buf,
                result: read.map_err(Errno::from),
            }
        }
    }
}

/// Does the operation if that takes no waiting; gives it back otherwise.
pub fn try_now(operation: Operation) -> Result<Outcome, Operation> {
    match operation {
        Operation::Find { root, path, links } => match find::find_cached(&*root, &path, links) {
            Some(result) => Ok(Outcome::Opened(result.map_err(Errno::from))),
            None => Err(Operation::Find { root, path, links }),
        },
        // An open may wait for a file server, and nothing tells us beforehand.
        Operation::OpenFound { found } => Err(Operation::OpenFound { found }),
        // The inode of an open file is in memory.
        Operation::Stat { file } => Ok(Outcome::Stat(find::stat(&*file).map_err(Errno::from))),
        Operation::Read { file, offset, buf } => try_read(file, offset, buf),
    }
}

fn try_read(
    file: super::operation::SharedFile,
    offset: u64,
    mut buf: Vec<u8>,
) -> Result<Outcome, Operation> {
    let filled = buf.len();
    // `preadv2` wants bytes that have a value.
    buf.resize(buf.capacity(), 0);
    let mut slices = [IoSliceMut::new(&mut buf[filled..])];
    let read = rustix::io::preadv2(&*file, &mut slices, offset, ReadWriteFlags::NOWAIT);
    buf.truncate(filled + read.unwrap_or(0));
    match read {
        Ok(len) => Ok(Outcome::Read {
            buf,
            result: Ok(len),
        }),
        // Not in memory, interrupted, or a file system that does not know the flag. Errors of the
        // disk itself come back the same way: the thread will meet them again.
        Err(_) => Err(Operation::Read { file, offset, buf }),
    }
}

fn fail(operation: Operation, errno: Errno) -> Outcome {
    match operation {
        Operation::Find { .. } | Operation::OpenFound { .. } => Outcome::Opened(Err(errno)),
        Operation::Stat { .. } => Outcome::Stat(Err(errno)),
        Operation::Read { buf, .. } => Outcome::Read {
            buf,
            result: Err(errno),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Id;
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    use std::time::{Duration, Instant};

    fn id(index: u32) -> OperationId {
        OperationId(Id {
            index,
            generation: 0,
        })
    }

    fn read_of(text: &[u8], offset: u64, capacity: usize) -> Operation {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        Operation::Read {
            file: Arc::new(file.into()),
            offset,
            buf: Vec::with_capacity(capacity),
        }
    }

    fn collect(mailbox: &Mailbox, count: usize) -> Vec<Finished> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut all = Vec::new();
        while all.len() < count {
            assert!(Instant::now() < deadline, "{} of {count}", all.len());
            all.extend(mailbox.take());
            std::thread::sleep(Duration::from_millis(1));
        }
        all
    }

    #[test]
    fn every_operation_ends_once_and_its_thread_number_is_bounded() {
        let pool = BlockingPool::new(3);
        let mailbox = Mailbox::new(Waker::new().unwrap());
        for n in 0..200 {
            pool.submit(id(n), read_of(b"text", 1, 100), &mailbox);
        }
        let mut all = collect(&mailbox, 200);
        all.sort_by_key(|(id, _)| id.0.index);
        for (n, (id, outcome)) in all.iter().enumerate() {
            assert_eq!(id.0.index as usize, n);
            let Outcome::Read { buf, result } = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!((&buf[..], *result), (&b"ext"[..], Ok(3)));
        }
        assert!((1..=3).contains(&lock(&pool.shared.state).threads));
    }

    #[test]
    fn more_than_the_bound_end_with_eagain() {
        let pool = BlockingPool::new(1);
        // A pool whose only thread is busy for ever: nothing takes from the queue.
        lock(&pool.shared.state).threads = 1;
        let mailbox = Mailbox::new(Waker::new().unwrap());
        let file: super::super::operation::SharedFile =
            Arc::new(tempfile::tempfile().unwrap().into());
        for n in 0..=FILE_OPERATIONS_WAITING_MAX {
            assert!(mailbox.take().is_empty());
            let file = Arc::clone(&file);
            pool.submit(id(n as u32), Operation::Stat { file }, &mailbox);
        }
        let refused = mailbox.take();
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].0, id(FILE_OPERATIONS_WAITING_MAX as u32));
        let errno = Errno::from(KernelErrno::AGAIN);
        assert!(matches!(refused[0].1, Outcome::Stat(Err(got)) if got == errno));
    }

    #[test]
    fn a_read_keeps_the_bytes_before_and_ends_at_the_end_of_the_file() {
        for now in [true, false] {
            let Operation::Read { file, .. } = read_of(b"0123456789", 0, 0) else {
                unreachable!()
            };
            let read = |offset, mut buf: Vec<u8>, spare| {
                buf.reserve_exact(spare);
                let file = Arc::clone(&file);
                let operation = Operation::Read { file, offset, buf };
                let outcome = if now {
                    try_now(operation).unwrap_or_else(run)
                } else {
                    run(operation)
                };
                let Outcome::Read { buf, result } = outcome else {
                    unreachable!()
                };
                (buf, result)
            };
            assert_eq!(read(8, b"ab".to_vec(), 10), (b"ab89".to_vec(), Ok(2)));
            assert_eq!(read(10, Vec::new(), 10), (Vec::new(), Ok(0)));
            assert_eq!(read(0, Vec::new(), 0), (Vec::new(), Ok(0)));
        }
    }

    #[test]
    fn cold_pages_are_not_waited_for() {
        let file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.write_all_at(&[1; 4096], 1 << 20).unwrap();
        let operation = Operation::Read {
            file: Arc::new(file.into()),
            offset: 0,
            buf: Vec::with_capacity(4096),
        };
        // A hole that was never read: the kernel says so, or fills it in from no disk at all.
        match try_now(operation) {
            Ok(Outcome::Read { buf, result }) => assert_eq!(result, Ok(buf.len())),
            Ok(other) => panic!("{other:?}"),
            Err(Operation::Read { buf, .. }) => assert!(buf.is_empty() && buf.capacity() >= 4096),
            Err(other) => panic!("{other:?}"),
        }
    }
}
