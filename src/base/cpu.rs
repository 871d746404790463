//! Processors: which ones this process may use, and pinning a thread to one.

use std::io;

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
    fn a_processor_beyond_the_set_is_an_error() {
        assert!(pin(CPUS_MAX).is_err());
    }
}
