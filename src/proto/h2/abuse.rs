//! What a peer may ask of us for nothing: token buckets over time.
//!
//! Every frame is cheap; floods of frames that bring no request are not. Each kind is paid from a
//! bucket that fills with time, and the connection ends with ENHANCE_YOUR_CALM when it is empty
//! (RFC 9113 §10.5).

use super::error::Failure;
use crate::base::Millis;
use crate::base::limits::{
    H2_CONTROL_BURST, H2_CONTROL_PER_SECOND, H2_CONTROL_PER_USE, H2_FAULTS_BURST,
    H2_FAULTS_PER_SECOND, H2_RESETS_BURST, H2_RESETS_PER_SECOND,
};

/// Tokens that come back with time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: u32,
    /// When the last whole token came.
    filled: Millis,
}

impl Bucket {
    fn new(burst: u32, now: Millis) -> Bucket {
        Bucket {
            tokens: burst,
            filled: now,
        }
    }

    /// Takes `cost` tokens; false when there are too few.
    fn take(&mut self, cost: u32, burst: u32, per_second: u32, now: Millis) -> bool {
        if self.tokens < cost {
            self.fill(burst, per_second, now);
        }
        match self.tokens.checked_sub(cost) {
            Some(tokens) => {
                self.tokens = tokens;
                true
            }
            None => false,
        }
    }

    #[cold]
    fn fill(&mut self, burst: u32, per_second: u32, now: Millis) {
        let millis = now.since(self.filled);
        let new = millis.saturating_mul(u64::from(per_second)) / 1000;
        if new > 0 {
            // Fractions of a token stay in `filled`, unless the bucket is full anyway.
            let full = u64::from(self.tokens) + new >= u64::from(burst);
            self.tokens = if full {
                burst
            } else {
                self.tokens + new as u32
            };
            self.filled = if full {
                now
            } else {
                Millis(self.filled.0 + new * 1000 / u64::from(per_second))
            };
        }
    }
}

/// The accounts of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abuse {
    control: Bucket,
    resets: Bucket,
    faults: Bucket,
}

impl Abuse {
    pub(super) fn new(now: Millis) -> Abuse {
        Abuse {
            control: Bucket::new(H2_CONTROL_BURST, now),
            resets: Bucket::new(H2_RESETS_BURST, now),
            faults: Bucket::new(H2_FAULTS_BURST, now),
        }
    }

    /// A frame that brings nothing by itself: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA,
    /// unknown ones. `cost` is 1, more for one that makes more work.
    #[inline]
    pub(super) fn on_control(&mut self, cost: u32, now: Millis) -> Result<(), Failure> {
        let (burst, rate) = (H2_CONTROL_BURST, H2_CONTROL_PER_SECOND);
        if self.control.take(cost, burst, rate, now) {
            Ok(())
        } else {
            Err(Failure::calm("a flood of control frames"))
        }
    }

    /// A request, or a DATA frame that we send: it comes with control frames.
    #[inline]
    pub(super) fn on_use(&mut self) {
        self.control.tokens = H2_CONTROL_BURST.min(self.control.tokens + H2_CONTROL_PER_USE);
    }

    /// A RST_STREAM of the peer (CVE-2023-44487).
    pub(super) fn on_reset(&mut self, now: Millis) -> Result<(), Failure> {
        let (burst, rate) = (H2_RESETS_BURST, H2_RESETS_PER_SECOND);
        if self.resets.take(1, burst, rate, now) {
            Ok(())
        } else {
            Err(Failure::calm("a flood of resets"))
        }
    }

    /// Something of the peer's that we refuse on its stream (CVE-2025-8671).
    pub(super) fn on_fault(&mut self, now: Millis) -> Result<(), Failure> {
        let (burst, rate) = (H2_FAULTS_BURST, H2_FAULTS_PER_SECOND);
        if self.faults.take(1, burst, rate, now) {
            Ok(())
        } else {
            Err(Failure::calm("a flood of faulty streams"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_with_time_up_to_its_burst() {
        let mut bucket = Bucket::new(10, Millis(5000));
        let mut take = |cost, now| bucket.take(cost, 10, 2, Millis(now));
        assert!(take(10, 5000) && !take(1, 5000));
        assert!(!take(1, 5499), "half a token is none");
        assert!(take(1, 5500) && !take(1, 5500));
        assert!(!take(1, 5999) && take(1, 6000), "fractions are kept");
        assert!(take(10, 60_000) && !take(1, 60_000), "no more than a burst");
        assert!(!take(1, 100), "a clock that goes back gives nothing");
        assert!(!take(11, u64::MAX));
        assert!(take(10, u64::MAX));
    }
}
