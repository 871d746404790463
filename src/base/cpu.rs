//! Processors: which ones this process may use, and pinning a thread to one.

use std::io;

use rustix::process::getpid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The highest processor number that can be named, plus one.
pub const CPUS_MAX: usize = CpuSet::MAX_CPU;

/// The processors that this thread may run on, in ascending order.
pub fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CPUS_MAX).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Pins the calling thread to one processor.
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= CPUS_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set)?;
    Ok(())
}

/// Lets the calling thread run wherever the first thread of the process may: a thread begins with
/// the processors of the one that has started it, which may be pinned.
pub fn unpin() -> io::Result<()> {
    let set = sched_getaffinity(Some(getpid()))?;
    sched_setaffinity(None, &set)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_may_run_on_one_processor_only() {
        let cpu = *allowed().unwrap().last().unwrap();
        let pinned = std::thread::spawn(move || {
            pin(cpu).unwrap();
            allowed().unwrap()
        });
        assert_eq!(pinned.join().unwrap(), [cpu]);
    }

    #[test]
    fn a_thread_of_a_pinned_one_is_pinned_until_it_says_otherwise() {
        let cpu = *allowed().unwrap().last().unwrap();
        let of_process = sched_getaffinity(Some(getpid())).unwrap();
        let both = std::thread::spawn(move || {
            pin(cpu).unwrap();
            let inner = std::thread::spawn(|| {
                let before = allowed().unwrap();
                unpin().unwrap();
                (before, sched_getaffinity(None).unwrap())
            });
            inner.join().unwrap()
        });
        let (before, after) = both.join().unwrap();
        assert_eq!(before, [cpu]);
        assert!(after == of_process);
    }

    #[test]
    fn a_processor_beyond_the_set_is_an_error() {
        assert!(pin(CPUS_MAX).is_err());
    }
}
