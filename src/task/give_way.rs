//! Makes the calling thread give way to all others.
//!
//! A raw system call, because no crate of ours sets a scheduling policy.
#![allow(unsafe_code)]

use std::mem::zeroed;

/// The calling thread gets what all others leave, and leaves the processor as soon as one of them
/// wants it: `SCHED_IDLE`. By niceness alone it could keep the processor for the rest of its slice,
/// some milliseconds, while an answer waits. Where a system call filter refuses the policy, the
/// niceness stays.
pub(super) fn give_way() {
    // Linux takes the calling thread for "this process". Giving way is always allowed.
    let _ = rustix::process::setpriority_process(None, 19);
    // SAFETY: plain integers, of which the policy wants 0.
    let parameters: libc::sched_param = unsafe { zeroed() };
    // SAFETY: the kernel only reads `parameters`, which lives here; 0 is the calling thread.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameters) };
}
