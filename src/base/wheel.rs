//! A timer wheel with one entry for each id, linked in place.
//!
//! Moving a deadline back is a store in its owner, not a call here: an entry that fires early is
//! compared with its owner's real deadline and put back. So a keep-alive request costs the wheel
//! nothing, and the wheel never holds more than one small node for each slot of the slab.
//!
//! ```text
//!   slots (by tick)      nodes (by index of the id)
//!   +---+                +------------------------------+
//!   | 0 | ---> first --> | previous, next, due, gen.    | <-> node <-> node
//!   | 1 |                +------------------------------+
//! ```

use super::{Id, Millis};
use crate::base::limits::TICK;

const SLOTS: usize = 512;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    previous: u32,
    next: u32,
    generation: u32,
    linked: bool,
    due_tick: u64,
}

const UNLINKED: Node = Node {
    previous: NONE,
    next: NONE,
    generation: 0,
    linked: false,
    due_tick: 0,
};

/// Ids with the tick at which they are to be looked at.
pub struct Wheel {
    slots: [u32; SLOTS],
    nodes: Vec<Node>,
    now_tick: u64,
    linked: usize,
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
            slots: [NONE; SLOTS],
            nodes: Vec::new(),
            now_tick: 0,
            linked: 0,
        }
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.linked == 0
    }

    /// Looks at `id` once `deadline` has passed, instead of when it was to be looked at before.
    pub fn schedule(&mut self, id: Id, deadline: Millis) {
        let index = id.index as usize;
        if index >= self.nodes.len() {
            self.nodes.resize(index + 1, UNLINKED);
        }
        if self.nodes[index].linked {
            self.unlink(id.index);
        }
        // The tick after the deadline's own: a deadline is never met early.
        let due_tick = tick_of(deadline).saturating_add(1).max(self.now_tick + 1);
        let slot = due_tick as usize % SLOTS;
        let next = self.slots[slot];
        let generation = id.generation;
        self.nodes[index] = Node {
            previous: NONE,
            next,
            generation,
            linked: true,
            due_tick,
        };
        if next != NONE {
            self.nodes[next as usize].previous = id.index;
        }
        self.slots[slot] = id.index;
        self.linked += 1;
    }

    /// Forgets `id`.
    pub fn cancel(&mut self, id: Id) {
        let node = self.nodes.get(id.index as usize);
        if node.is_some_and(|node| node.linked && node.generation == id.generation) {
            self.unlink(id.index);
        }
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
            let mut index = self.slots[tick as usize % SLOTS];
            while index != NONE {
                let node = self.nodes[index as usize];
                if node.due_tick <= target {
                    self.unlink(index);
                    due.push(Id {
                        index,
                        generation: node.generation,
                    });
                }
                index = node.next;
            }
        }
    }

    fn unlink(&mut self, index: u32) {
        let node = self.nodes[index as usize];
        assert!(node.linked, "only linked nodes are unlinked");
        if node.previous == NONE {
            self.slots[node.due_tick as usize % SLOTS] = node.next;
        } else {
            self.nodes[node.previous as usize].next = node.next;
        }
        if node.next != NONE {
            self.nodes[node.next as usize].previous = node.previous;
        }
        self.nodes[index as usize].linked = false;
        self.linked -= 1;
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
        wheel.schedule(id(1), Millis(1_250));
        wheel.advance(Millis(1_250), &mut due);
        assert!(due.is_empty());
        wheel.advance(Millis(1_300), &mut due);
        assert_eq!(due, [id(1)]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn an_id_has_one_entry_and_cancelling_needs_its_generation() {
        let mut wheel = Wheel::new();
        let mut due = Vec::new();
        wheel.schedule(id(3), Millis(500));
        wheel.schedule(id(4), Millis(500));
        wheel.schedule(id(3), Millis(90_000));
        wheel.cancel(Id {
            index: 4,
            generation: 1,
        });
        wheel.advance(Millis(1_000), &mut due);
        assert_eq!(due, [id(4)]);
        wheel.cancel(id(4));
        wheel.cancel(id(3));
        wheel.cancel(id(99));
        assert!(wheel.is_empty());
        wheel.advance(Millis(200_000), &mut due);
        assert_eq!(due.len(), 1);
    }

    #[test]
    fn far_deadlines_survive_whole_rounds() {
        let mut wheel = Wheel::new();
        let mut due = Vec::new();
        let round = SLOTS as u64 * TICK.as_millis() as u64;
        wheel.advance(Millis(5_000), &mut due);
        wheel.schedule(id(7), Millis(5_000 + 3 * round));
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
            wheel.schedule(id(n), Millis(100 + u64::from(n) * 100));
        }
        wheel.advance(Millis(100_000_000), &mut due);
        due.sort();
        assert_eq!(due, (0..2_000).map(id).collect::<Vec<_>>());
        assert!(wheel.is_empty());
    }
}
