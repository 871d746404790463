//! The two clocks of a real engine, read once a turn.

use rustix::time::{ClockId, clock_gettime};

use crate::base::{Millis, Now};

/// Both clocks now, at the kernel's tick resolution: far finer than any deadline here, and cheaper.
pub(super) fn read() -> Now {
    let monotonic = clock_gettime(ClockId::MonotonicCoarse);
    let real = clock_gettime(ClockId::RealtimeCoarse);
    Now {
        monotonic: Millis(monotonic.tv_sec as u64 * 1000 + monotonic.tv_nsec as u64 / 1_000_000),
        unix_seconds: real.tv_sec as u64,
    }
}
