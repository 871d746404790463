//! Who sends next (RFC 9218): urgency first; within one, answers that are of use in parts take
//! turns, and the others go whole, in the order of their requests.

use crate::http::field::trim;

/// The priority of an answer (RFC 9218 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// 0 is the most urgent, 7 the least.
    pub urgency: u8,
    /// The client can use parts of the answer.
    pub incremental: bool,
}

impl Priority {
    /// What holds when nothing is said (RFC 9218 §4).
    pub const DEFAULT: Priority = Priority {
        urgency: 3,
        incremental: false,
    };

    /// Reads the value of a `priority` field or a PRIORITY_UPDATE frame: a dictionary of RFC 8941,
    /// of which only `u` and `i` matter. What is malformed or out of range is ignored (§4).
    pub fn parse(value: &[u8]) -> Priority {
        let mut priority = Priority::DEFAULT;
        for member in split_unquoted(value, b',').map(trim) {
            // Parameters of a member are of no use to us.
            let member = split_unquoted(member, b';').next().map_or(member, trim);
            match member {
                [b'u', b'=', urgency @ b'0'..=b'7'] => priority.urgency = urgency - b'0',
                b"i" | b"i=?1" => priority.incremental = true,
                b"i=?0" => priority.incremental = false,
                _ => {}
            }
        }
        priority
    }
}

/// The parts of `text` between separators that stand outside of quotes.
fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'"' if !was_escaped => is_quoted = !is_quoted,
            b'\\' if is_quoted && !was_escaped => is_escaped = true,
            _ => {}
        }
        !is_quoted && *byte == separator
    })
}

/// A stream that has something to send and a window to send it in.
#[derive(Clone, Copy, Debug)]
struct Ready {
    priority: Priority,
    /// Among those that take turns: who has waited longest. Among the others: the stream.
    order: u64,
    stream: u32,
}

impl Ready {
    fn key(&self) -> (u8, bool, u64) {
        (self.priority.urgency, self.priority.incremental, self.order)
    }
}

/// The streams of one connection that may send, in the order in which they will.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    ready: Vec<Ready>,
    /// Counts turns, for those that take turns.
    turns: u64,
    /// The two kinds of one urgency alternate, so that neither starves (RFC 9218 §10).
    favours_incremental: bool,
}

impl Schedule {
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Nobody that is as urgent waits.
    #[inline]
    pub(super) fn lets_pass(&self, priority: Priority) -> bool {
        let first = self.ready.first();
        first.is_none_or(|first| priority.urgency < first.priority.urgency)
    }

    /// `stream`, which is not in it, may send from now on.
    pub(super) fn add(&mut self, stream: u32, priority: Priority) {
        let order = if priority.incremental {
            self.turns += 1;
            self.turns
        } else {
            u64::from(stream)
        };
        let ready = Ready {
            priority,
            order,
            stream,
        };
        let at = self
            .ready
            .partition_point(|other| other.key() < ready.key());
        self.ready.insert(at, ready);
    }

    /// `stream` may not send any more.
    pub(super) fn remove(&mut self, stream: u32) {
        let mut places = self.ready.iter();
        if let Some(at) = places.position(|ready| ready.stream == stream) {
            self.ready.remove(at);
        }
    }

    /// Whose turn it is.
    #[inline]
    pub(super) fn next(&self) -> Option<u32> {
        let first = self.ready.first()?;
        if self.favours_incremental && !first.priority.incremental {
            let urgency = first.priority.urgency;
            let of_turns = (urgency, true, 0);
            let at = self.ready.partition_point(|ready| ready.key() < of_turns);
            if let Some(other) = self.ready.get(at)
                && other.priority.urgency == urgency
            {
                return Some(other.stream);
            }
        }
        Some(first.stream)
    }

    /// `stream` has sent a frame and has more.
    pub(super) fn end_turn(&mut self, stream: u32) {
        let mut places = self.ready.iter();
        let Some(at) = places.position(|ready| ready.stream == stream) else {
            return;
        };
        let priority = self.ready[at].priority;
        self.favours_incremental = !priority.incremental;
        if priority.incremental {
            self.ready.remove(at);
            self.add(stream, priority);
        }
    }

    /// Gives unused memory back.
    pub(super) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
    }
}

/// Priorities that came before their streams (RFC 9218 §7.1).
#[derive(Debug, Default)]
pub(super) struct EarlyPriorities {
    list: Vec<(u32, Priority)>,
}

impl EarlyPriorities {
    /// Keeps the latest one; false when there would be more than `max` streams.
    pub(super) fn keep(&mut self, stream: u32, priority: Priority, max: usize) -> bool {
        if let Some((_, kept)) = self.list.iter_mut().find(|(id, _)| *id == stream) {
            *kept = priority;
            return true;
        }
        let has_room = self.list.len() < max;
        if has_room {
            self.list.push((stream, priority));
        }
        has_room
    }

    /// What was kept for `stream`, which opens now. Streams below it never will.
    #[inline]
    pub(super) fn take(&mut self, stream: u32) -> Option<Priority> {
        if self.list.is_empty() {
            return None;
        }
        let found = self.list.iter().find(|(id, _)| *id == stream);
        let priority = found.map(|(_, priority)| *priority);
        self.list.retain(|(id, _)| *id > stream);
        if self.list.is_empty() {
            self.list = Vec::new();
        }
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(urgency: u8, incremental: bool) -> Priority {
        Priority {
            urgency,
            incremental,
        }
    }

    /// RFC 9218 §4, §5
    #[test]
    fn priorities_are_read_and_nonsense_is_ignored() {
        for (value, expected) in [
            ("", (3, false)),
            ("u=0", (0, false)),
            ("u=7, i", (7, true)),
            ("i,u=1", (1, true)),
            ("i=?1", (3, true)),
            ("i, i=?0", (3, false)),
            ("u=5, u=2", (2, false)),
            ("u=8", (3, false)),
            ("u=-1", (3, false)),
            ("u=1.0", (3, false)),
            ("u=\"1\"", (3, false)),
            ("u", (3, false)),
            ("i=1", (3, false)),
            ("U=1, I", (3, false)),
            ("u=1;x=\"a,b\", i;y", (1, true)),
            ("x=\"u=1, i\", u=6", (6, false)),
            ("x=\"\\\", u=1\", i", (3, true)),
            ("u=4,,", (4, false)),
            ("\tu=4 ", (4, false)),
            ("a=b u=1", (3, false)),
        ] {
            let (urgency, incremental) = expected;
            let read = Priority::parse(value.as_bytes());
            assert_eq!(read, priority(urgency, incremental), "{value:?}");
        }
        assert_eq!(Priority::parse(b"\xff\"\\"), Priority::DEFAULT);
    }

    fn served(schedule: &mut Schedule, turns: usize) -> Vec<u32> {
        let mut order = Vec::new();
        for _ in 0..turns {
            let stream = schedule.next().unwrap();
            schedule.end_turn(stream);
            order.push(stream);
        }
        order
    }

    /// RFC 9218 §10
    #[test]
    fn the_urgent_go_first_whole_answers_in_order_and_parts_in_turns() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(), None);
        schedule.add(9, priority(3, true));
        schedule.add(5, priority(3, true));
        schedule.add(7, priority(3, true));
        schedule.add(13, priority(5, false));
        assert_eq!(served(&mut schedule, 7), [9, 5, 7, 9, 5, 7, 9]);
        schedule.add(3, priority(1, false));
        schedule.add(1, priority(1, false));
        assert_eq!(served(&mut schedule, 3), [1, 1, 1]);
        schedule.remove(1);
        assert_eq!(served(&mut schedule, 2), [3, 3]);
        for gone in [3, 5, 7, 9, 9] {
            schedule.remove(gone);
        }
        assert_eq!(served(&mut schedule, 2), [13, 13]);
        schedule.remove(13);
        assert!(schedule.is_empty());
    }

    /// RFC 9218 §10
    #[test]
    fn neither_kind_starves_the_other() {
        let mut schedule = Schedule::default();
        schedule.add(1, priority(3, false));
        schedule.add(3, priority(3, false));
        schedule.add(5, priority(3, true));
        schedule.add(7, priority(3, true));
        schedule.add(9, priority(4, true));
        assert_eq!(served(&mut schedule, 6), [1, 5, 1, 7, 1, 5]);
        schedule.remove(1);
        assert_eq!(served(&mut schedule, 4), [3, 7, 3, 5]);
    }

    #[test]
    fn only_the_more_urgent_pass_those_that_wait() {
        let mut schedule = Schedule::default();
        assert!(schedule.lets_pass(Priority::DEFAULT));
        schedule.add(1, Priority::DEFAULT);
        assert!(!schedule.lets_pass(Priority::DEFAULT));
        assert!(!schedule.lets_pass(priority(4, true)));
        assert!(schedule.lets_pass(priority(2, false)));
    }

    /// RFC 9218 §7.1
    #[test]
    fn early_priorities_are_bounded_and_leave_with_their_streams() {
        let mut early = EarlyPriorities::default();
        for stream in [1, 3, 5] {
            assert!(early.keep(stream, priority(1, false), 3));
        }
        assert!(!early.keep(7, priority(1, false), 3));
        assert!(early.keep(3, priority(2, true), 3));
        assert_eq!(early.take(3), Some(priority(2, true)));
        assert_eq!(early.take(1), None, "passed over");
        assert!(early.keep(9, priority(4, false), 2));
        assert_eq!(early.take(7), None);
        assert_eq!(early.take(9), Some(priority(4, false)));
        assert!(early.list.is_empty());
    }
}
