//! The one place where the data path reads clocks: once for each turn of the loop.

use rustix::time::{ClockId, clock_gettime};

use crate::base::{Millis, Now};

/// Both clocks at the kernel's tick (1–4 ms): far finer than any deadline here, and cheaper.
pub(super) fn read() -> Now {
    let monotonic = clock_gettime(ClockId::MonotonicCoarse);
    let real = clock_gettime(ClockId::RealtimeCoarse);
    let seconds = u64::try_from(monotonic.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(monotonic.tv_nsec).unwrap_or(0);
    Now {
        monotonic: Millis(seconds * 1000 + nanos / 1_000_000),
        // A clock before 1970 is as wrong as one at 1970.
        unix_seconds: u64::try_from(real.tv_sec).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn agrees_with_the_system_and_never_goes_back() {
        let before = read();
        let real = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        assert!(real.as_secs().abs_diff(before.unix_seconds) <= 1);
        for _ in 0..1000 {
            assert!(read().monotonic >= before.monotonic);
        }
    }
}
