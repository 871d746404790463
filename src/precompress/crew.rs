//! The threads that compress, each a file at a time.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::interrupt::Interrupt;
use super::sidecar::{self, Made};
use super::walk::Source;

/// How often the calling thread is asked while there is nothing to tell.
const TELLS_EVERY: Duration = Duration::from_secs(1);

/// Compresses all sources on so many threads, and tells of each on the calling thread; of none
/// where a file takes its time.
pub(super) fn compress(
    sources: &[Source],
    jobs: usize,
    interrupt: &Interrupt,
    mut tell: impl FnMut(Option<(&Source, io::Result<Made>)>),
) {
    let next = AtomicUsize::new(0);
    let (done, outcomes) = channel();
    let work = || {
        let done = done.clone();
        while let Some(source) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
            // An encoder is somebody else's code: its bug costs one file.
            let made = catch_unwind(AssertUnwindSafe(|| sidecar::make(source, interrupt)));
            let made = made.unwrap_or_else(|_| Err(io::Error::other("its encoder has a bug")));
            if done.send((source, made)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        let mut started = 0;
        for number in 0..jobs.min(sources.len()) {
            let name = format!("downpour-pre-{number}");
            let thread = thread::Builder::new().name(name);
            started += usize::from(thread.spawn_scoped(scope, work).is_ok());
        }
        if started == 0 {
            work(); // No thread is left to us: then this one, and what it did is told behind.
        }
        let mut told = 0;
        while told < sources.len() {
            // Nothing but the time can run out: we hold a sender ourselves.
            let done = outcomes.recv_timeout(TELLS_EVERY).ok();
            told += usize::from(done.is_some());
            tell(done);
        }
    });
}
