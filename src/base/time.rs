//! Time as an argument: nothing outside `engine/` reads a clock.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Milliseconds on the worker's monotonic clock, whose zero is arbitrary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

/// Both clocks, as the engine read them when the current turn of the loop began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Never goes back; deadlines and freshness are measured with it.
    pub monotonic: Millis,
    /// Seconds since 1970-01-01 UTC; the `Date` field is made from it.
    pub unix_seconds: u64,
}

impl Millis {
    /// A deadline that never comes.
    pub const NEVER: Millis = Millis(u64::MAX);

    /// Milliseconds from `earlier` to `self`, zero when `earlier` lies in the future.
    pub fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Millis {
    type Output = Millis;

    fn add(self, duration: Duration) -> Millis {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Millis(self.0.saturating_add(millis))
    }
}

impl Sub<Duration> for Millis {
    type Output = Millis;

    fn sub(self, duration: Duration) -> Millis {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Millis(self.0.saturating_sub(millis))
    }
}
