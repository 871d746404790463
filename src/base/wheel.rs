//! A timer wheel with lazy deadlines.
//!
//! Moving a deadline is a store in its owner, not a call here: an entry that fires early is compared
//! with its owner's real deadline and put back. So a keep-alive request costs the wheel nothing.

use super::{Id, Millis};
use crate::base::limits::TICK;

const SLOTS: usize = 512;

struct Entry {
    id: Id,
    due_tick: u64,
}

/// Ids with the tick at which they are to be looked at.
pub struct Wheel {
    slots: Vec<Vec<Entry>>,
    now_tick: u64,
    entries: usize,
}

impl Default for Wheel {
    fn default() -> Self {
        Self::new()
    }
}

fn tick_of(time: Millis) -> u64 {
    time.0 / TICK.as_millis() as u64
}

impl Wheel {
    /// An empty wheel whose first [`Wheel::advance`] sets its time.
    pub fn new() -> Self {
        Wheel {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            now_tick: 0,
            entries: 0,
        }
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Looks at `id` once `deadline` has passed. An id may stand in the wheel more than once.
    pub fn insert(&mut self, id: Id, deadline: Millis) {
        // The tick after the deadline's own: a deadline is never met early.
        let due_tick = tick_of(deadline).saturating_add(1).max(self.now_tick + 1);
        self.slots[due_tick as usize % SLOTS].push(Entry { id, due_tick });
        self.entries += 1;
    }

    /// Moves every id that is due by `now` to `due`.
    pub fn advance(&mut self, now: Millis, due: &mut Vec<Id>) {
        let target = tick_of(now);
        if target <= self.now_tick {
            return;
        }
        // After a long sleep one round over all slots sees everything.
        let first = (self.now_tick + 1).max(target.saturating_sub(SLOTS as u64 - 1));
        self.now_tick = target;
        for tick in first..=target {
            let slot = &mut self.slots[tick as usize % SLOTS];
            let before = slot.len();
            slot.retain(|entry| {
                let waits = entry.due_tick > target;
                if !waits {
                    due.push(entry.id);
                }
                waits
            });
            self.entries -= before - slot.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> Id {
        Id {
            index,
            generation: 0,
        }
    }

    #[test]
    fn fires_after_the_deadline_and_never_before() {
        let mut wheel = Wheel::new();
        let mut due = Vec::new();
        wheel.advance(Millis(1_000), &mut due);
        wheel.insert(id(1), Millis(1_250));
        wheel.advance(Millis(1_250), &mut due);
        assert!(due.is_empty());
        wheel.advance(Millis(1_300), &mut due);
        assert_eq!(due, [id(1)]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn far_deadlines_survive_whole_rounds() {
        let mut wheel = Wheel::new();
        let mut due = Vec::new();
        let round = SLOTS as u64 * TICK.as_millis() as u64;
        wheel.advance(Millis(5_000), &mut due);
        wheel.insert(id(7), Millis(5_000 + 3 * round));
        for step in 0..3 * SLOTS as u64 {
            wheel.advance(Millis(5_000 + step * 100), &mut due);
            assert!(due.is_empty(), "fired at step {step}");
        }
        wheel.advance(Millis(5_100 + 3 * round), &mut due);
        assert_eq!(due, [id(7)]);
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let mut wheel = Wheel::new();
        let mut due = Vec::new();
        wheel.advance(Millis(100), &mut due);
        for n in 0..2_000 {
            wheel.insert(id(n), Millis(100 + u64::from(n) * 100));
        }
        wheel.advance(Millis(100_000_000), &mut due);
        assert_eq!(due.len(), 2_000);
        assert!(wheel.is_empty());
    }
}
