//! Flow-control windows (RFC 9113 §5.2, §6.9): of what we send, and of what we take.

/// The largest window (§6.9.1).
pub(super) const WINDOW_MAX: i32 = i32::MAX;
/// Where every window begins, unless SETTINGS say something else for streams (§6.9.2).
pub(super) const DEFAULT_WINDOW: i32 = 65_535;

/// The window would exceed [`WINDOW_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

/// How much may be sent. Falls below zero when the peer lowers its initial window (§6.9.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct SendWindow(i32);

impl SendWindow {
    pub(super) fn new(bytes: i32) -> SendWindow {
        SendWindow(bytes)
    }

    /// Bytes that may be sent now.
    #[inline]
    pub(super) fn room(self) -> usize {
        self.0.max(0) as usize
    }

    /// Books what was sent.
    #[inline]
    pub(super) fn book(&mut self, bytes: usize) {
        assert!(bytes <= self.room(), "more was sent than the window allows");
        self.0 -= bytes as i32;
    }

    /// A WINDOW_UPDATE, or a change of the initial window.
    #[inline]
    pub(super) fn add(&mut self, delta: i64) -> Result<(), Overflow> {
        let sum = i64::from(self.0) + delta;
        if sum > i64::from(WINDOW_MAX) {
            return Err(Overflow);
        }
        // The lowest is an initial window of 2^31-1, all sent, then lowered to zero.
        self.0 = i32::try_from(sum).expect("a window falls by no more than an initial window");
        Ok(())
    }
}

/// How much the peer may send, and what of it is to be given back.
///
/// What was taken is given back in one WINDOW_UPDATE once it is half of the window, so that a peer
/// that sends small frames does not cost an answer for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceiveWindow {
    /// What the peer may still send.
    left: u32,
    /// Taken, and not yet given back.
    taken: u32,
    size: u32,
}

impl ReceiveWindow {
    pub(super) fn new(size: u32) -> ReceiveWindow {
        ReceiveWindow {
            left: size,
            taken: 0,
            size,
        }
    }

    /// Books what came; false when it is more than the window allows.
    #[inline]
    pub(super) fn book(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes as u32) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Gives `bytes` back; the increment of a WINDOW_UPDATE when it is time for one.
    #[inline]
    pub(super) fn give_back(&mut self, bytes: usize) -> Option<u32> {
        self.taken += bytes as u32;
        debug_assert!(self.left + self.taken <= self.size);
        if self.taken == 0 || self.taken < self.size / 2 {
            return None;
        }
        let increment = std::mem::take(&mut self.taken);
        self.left += increment;
        Some(increment)
    }

    /// Lets the peer send `bytes` in all, if that is more than it may now; the increment of a
    /// WINDOW_UPDATE then. What was taken before is not given back any more.
    pub(super) fn widen_to(&mut self, bytes: u32) -> Option<u32> {
        let increment = bytes.checked_sub(self.left).filter(|more| *more > 0)?;
        self.left = bytes;
        self.taken = 0;
        self.size = self.size.max(bytes);
        Some(increment)
    }

    /// What the peer may still send.
    pub(super) fn left(&self) -> u32 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// §6.9.1, §6.9.2
    #[test]
    fn a_send_window_may_be_negative_and_never_too_large() {
        let mut window = SendWindow::new(WINDOW_MAX);
        window.book(WINDOW_MAX as usize);
        assert_eq!(window.room(), 0);
        assert_eq!(window.add(-i64::from(WINDOW_MAX)), Ok(()));
        assert_eq!(window.room(), 0);
        assert_eq!(window.add(i64::from(WINDOW_MAX)), Ok(()));
        assert_eq!(window.room(), 0);
        assert_eq!(window.add(i64::from(WINDOW_MAX)), Ok(()));
        assert_eq!(window.room(), WINDOW_MAX as usize);
        assert_eq!(window.add(1), Err(Overflow));
        assert_eq!(window.room(), WINDOW_MAX as usize);
    }

    #[test]
    #[should_panic(expected = "more was sent than the window allows")]
    fn more_than_the_window_is_never_sent() {
        SendWindow::new(5).book(6);
    }

    #[test]
    fn a_receive_window_can_be_widened() {
        let mut window = ReceiveWindow::new(100);
        assert!(window.book(60));
        assert_eq!(window.widen_to(40), None);
        assert_eq!(window.widen_to(141), Some(101));
        assert!(window.book(141) && !window.book(1));
    }

    /// §6.9.1
    #[test]
    fn what_was_taken_is_given_back_by_halves() {
        let mut window = ReceiveWindow::new(100);
        assert!(window.book(100) && !window.book(1) && window.book(0));
        assert_eq!(window.give_back(49), None);
        assert!(!window.book(1));
        assert_eq!(window.give_back(1), Some(50));
        assert!(window.book(50) && !window.book(1));
        assert_eq!(window.give_back(0), None);
        assert_eq!(window.give_back(100), Some(100));
    }
}
