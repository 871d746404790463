//! How many connections each network has open.
//!
//! Asked when a connection begins and told when it ends, never for a request; so locks will do,
//! many of them, each held for one look.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

const SHARDS: usize = 64;
/// A shard with room for so many more than it holds gives memory back.
const ROOM_KEPT: usize = 64;

type Counts = HashMap<[u8; 16], u32, RandomState>;

/// Open connections by network (`address::network_key`). Shared by all workers.
///
/// A network has an entry while it has a connection: there are never more entries than
/// connections, which have a bound of their own.
#[derive(Debug)]
pub struct ConnectionsByAddress {
    shards: Box<[Mutex<Counts>]>,
    hasher: RandomState,
}

impl Default for ConnectionsByAddress {
    fn default() -> Self {
        Self::new()
    }
}

impl ConnectionsByAddress {
    /// Nobody has come.
    pub fn new() -> ConnectionsByAddress {
        ConnectionsByAddress {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
        }
    }

    /// Counts one more connection, unless the network has `max` of them. Each one that was counted
    /// is removed once.
    pub fn try_add(&self, network: [u8; 16], max: u32) -> bool {
        let mut counts = self.shard(&network);
        match counts.get_mut(&network) {
            Some(count) if *count >= max => false,
            Some(count) => {
                *count += 1;
                true
            }
            None if max == 0 => false,
            None => {
                counts.insert(network, 1);
                true
            }
        }
    }

    /// A connection that was counted has ended.
    pub fn remove(&self, network: [u8; 16]) {
        let mut counts = self.shard(&network);
        match counts.get_mut(&network) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => {
                counts.remove(&network);
                if counts.capacity() > 4 * counts.len() + ROOM_KEPT {
                    let room = 2 * counts.len();
                    counts.shrink_to(room);
                }
            }
            None => debug_assert!(
                false,
                "a connection is removed once, and after it was counted"
            ),
        }
    }

    /// Networks that have a connection.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// True when nobody has a connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, network: &[u8; 16]) -> MutexGuard<'_, Counts> {
        // The upper bits: the maps go by the lower ones.
        let at = self.hasher.hash_one(network) >> 32;
        lock(&self.shards[at as usize % SHARDS])
    }
}

/// No panic leaves a count half changed.
fn lock(shard: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(number: u32) -> [u8; 16] {
        u128::from(number).to_be_bytes()
    }

    #[test]
    fn a_network_has_so_many_connections_and_no_more() {
        let connections = ConnectionsByAddress::new();
        assert!(connections.try_add(network(1), 2) && connections.try_add(network(1), 2));
        assert!(!connections.try_add(network(1), 2));
        assert!(
            connections.try_add(network(2), 2),
            "another one is not concerned"
        );
        connections.remove(network(1));
        assert!(connections.try_add(network(1), 2));
        assert!(!connections.try_add(network(3), 0));
        assert_eq!(connections.len(), 2);
    }

    #[test]
    fn an_entry_and_its_memory_go_with_the_last_connection() {
        let connections = ConnectionsByAddress::new();
        for number in 0..100_000 {
            assert!(connections.try_add(network(number), 1));
        }
        assert_eq!(connections.len(), 100_000);
        (0..100_000).for_each(|number| connections.remove(network(number)));
        assert!(connections.is_empty());
        let room: usize = connections
            .shards
            .iter()
            .map(|shard| lock(shard).capacity())
            .sum();
        assert!(room <= SHARDS * 2 * ROOM_KEPT, "{room}");
    }

    #[test]
    fn threads_never_pass_the_bound_together() {
        let connections = ConnectionsByAddress::new();
        let open = std::sync::atomic::AtomicU32::new(0);
        let order = std::sync::atomic::Ordering::SeqCst;
        let run = || {
            for _ in 0..20_000 {
                if connections.try_add(network(1), 3) {
                    assert!(open.fetch_add(1, order) < 3);
                    open.fetch_sub(1, order);
                    connections.remove(network(1));
                }
            }
        };
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(run)));
        });
        assert!(connections.is_empty());
    }

    proptest! {
        #[test]
        fn it_counts_as_a_plain_map_does(
            steps in prop::collection::vec((0u32..4, any::<bool>()), 0..200),
        ) {
            let connections = ConnectionsByAddress::new();
            let mut model: HashMap<u32, u32> = HashMap::new();
            for (number, adds) in steps {
                let count = model.entry(number).or_default();
                if adds {
                    prop_assert_eq!(connections.try_add(network(number), 3), *count < 3);
                    *count = (*count + 1).min(3);
                } else if *count > 0 {
                    connections.remove(network(number));
                    *count -= 1;
                }
            }
            let open = model.values().filter(|count| **count > 0).count();
            prop_assert_eq!(connections.len(), open);
        }
    }
}
