//! Bodies by the state of the file that they were read from: however many paths lead to one file
//! (an index, a fallback for every path, a hard link), its bytes are held once, and what is made of
//! them is made once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;

use super::budget::{PaidBody, WeakBody};
use crate::engine::operation::FileStat;

/// One state of a file, and a form of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BodyKey {
    device: (u32, u32),
    inode: u64,
    len: u64,
    modified: (i64, u32),
    changed: (i64, u32),
    form: &'static str,
}

impl BodyKey {
    /// `form`: empty for the bytes themselves, else what was made of them.
    pub fn new(stat: &FileStat, form: &'static str) -> BodyKey {
        BodyKey {
            device: stat.device,
            inode: stat.inode,
            len: stat.len,
            modified: stat.modified,
            changed: stat.changed,
            form,
        }
    }
}

/// Bodies that are alive somewhere. The lock is taken in the slow lane only, for a few operations
/// in memory.
#[derive(Debug, Default)]
pub(super) struct SharedBodies(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    bodies: HashMap<BodyKey, WeakBody, RandomState>,
    /// Entries of those that have gone are dropped when there are so many.
    prune_at: usize,
}

const PRUNE_MIN: usize = 1024;

impl SharedBodies {
    pub(super) fn get(&self, key: &BodyKey) -> Option<PaidBody> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.bodies.get(key)?.upgrade()
    }

    pub(super) fn insert(&self, key: BodyKey, body: &PaidBody) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.bodies.len() >= known.prune_at.max(PRUNE_MIN) {
            known.bodies.retain(|_, body| !body.is_gone());
            known.prune_at = 2 * known.bodies.len();
        }
        known.bodies.insert(key, body.downgrade());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Budget;
    use crate::engine::operation::FileKind;

    fn stat(inode: u64) -> FileStat {
        FileStat {
            kind: FileKind::Regular,
            mode: 0o644,
            len: 5,
            device: (1, 2),
            inode,
            hard_links: 1,
            modified: (4, 5),
            changed: (6, 7),
        }
    }

    #[test]
    fn a_body_is_found_while_somebody_holds_it_and_is_known_by_its_whole_state() {
        let (shared, budget) = (SharedBodies::default(), Budget::new(1 << 20));
        let body = budget.take(5).unwrap().into_body(b"hello".to_vec());
        let key = BodyKey::new(&stat(1), "");
        shared.insert(key, &body);
        let held = body.bytes();
        drop(body);
        assert_eq!(shared.get(&key).unwrap().bytes(), held);
        let later = FileStat {
            changed: (6, 8),
            ..stat(1)
        };
        assert!(shared.get(&BodyKey::new(&later, "")).is_none());
        assert!(shared.get(&BodyKey::new(&stat(1), "br")).is_none());
        drop(held);
        assert!(shared.get(&key).is_none());
        assert_eq!(budget.live(), 0);
    }

    #[test]
    fn those_that_have_gone_do_not_pile_up() {
        let (shared, budget) = (SharedBodies::default(), Budget::new(1 << 20));
        for inode in 0..10 * PRUNE_MIN as u64 {
            let body = budget.take(5).unwrap().into_body(b"hello".to_vec());
            shared.insert(BodyKey::new(&stat(inode), ""), &body);
        }
        assert!(shared.0.lock().unwrap().bodies.len() <= PRUNE_MIN);
    }
}
