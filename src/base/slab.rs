//! A slab whose ids carry a generation: a late completion cannot touch a reused slot.
//!
//! Slots live in chunks that never move, so growing copies nothing and an idle slot costs its size.

/// Names one occupant of one slot. Freed slots get a new generation, so an old id finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// Position in the slab.
    pub index: u32,
    /// Which occupant of that position; wraps within [`Id::GENERATION_BITS`].
    pub generation: u32,
}

impl Id {
    /// Generations wrap at 24 bits, so that an id and an 8-bit kind fit into one `u64`.
    pub const GENERATION_BITS: u32 = 24;
    const GENERATION_MASK: u32 = (1 << Self::GENERATION_BITS) - 1;

    /// The id in the low 56 bits of a word.
    pub fn pack(self) -> u64 {
        u64::from(self.index) | (u64::from(self.generation) << 32)
    }

    /// The inverse of [`Id::pack`]; the upper 8 bits are ignored.
    pub fn unpack(word: u64) -> Id {
        Id {
            index: word as u32,
            generation: (word >> 32) as u32 & Self::GENERATION_MASK,
        }
    }
}

const CHUNK_BITS: u32 = 8;
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;
const NO_SLOT: u32 = u32::MAX;

struct Slot<T> {
    generation: u32,
    next_free: u32,
    value: Option<T>,
}

/// Values with stable, generation-checked ids.
pub struct Slab<T> {
    chunks: Vec<Vec<Slot<T>>>,
    first_free: u32,
    occupied: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    /// An empty slab; allocates nothing yet.
    pub fn new() -> Self {
        Slab {
            chunks: Vec::new(),
            first_free: NO_SLOT,
            occupied: 0,
        }
    }

    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.occupied
    }

    /// True when it holds no value.
    pub fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// Stores `value` and returns its id.
    pub fn insert(&mut self, value: T) -> Id {
        self.occupied += 1;
        if self.first_free == NO_SLOT {
            return self.append(value);
        }
        let index = self.first_free;
        let slot = self
            .slot_mut(index)
            .expect("the free list holds only slots that exist");
        let (next_free, generation) = (slot.next_free, slot.generation);
        slot.value = Some(value);
        self.first_free = next_free;
        Id { index, generation }
    }

    /// Takes the value out; `None` when the id is stale.
    pub fn remove(&mut self, id: Id) -> Option<T> {
        let first_free = self.first_free;
        let slot = self
            .slot_mut(id.index)
            .filter(|slot| slot.generation == id.generation)?;
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) & Id::GENERATION_MASK;
        slot.next_free = first_free;
        self.first_free = id.index;
        self.occupied -= 1;
        Some(value)
    }

    /// The value behind `id`; `None` when the id is stale.
    #[inline]
    pub fn get(&self, id: Id) -> Option<&T> {
        let chunk = self.chunks.get((id.index >> CHUNK_BITS) as usize)?;
        let slot = chunk.get(id.index as usize & (CHUNK_SLOTS - 1))?;
        if slot.generation == id.generation {
            slot.value.as_ref()
        } else {
            None
        }
    }

    /// The value behind `id`, to change; `None` when the id is stale.
    #[inline]
    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        let slot = self.slot_mut(id.index)?;
        if slot.generation == id.generation {
            slot.value.as_mut()
        } else {
            None
        }
    }

    /// The ids of all values, in slot order.
    pub fn ids(&self) -> impl Iterator<Item = Id> + '_ {
        self.chunks
            .iter()
            .enumerate()
            .flat_map(|(chunk_index, chunk)| {
                chunk
                    .iter()
                    .enumerate()
                    .filter(|(_, slot)| slot.value.is_some())
                    .map(move |(slot_index, slot)| Id {
                        index: (chunk_index * CHUNK_SLOTS + slot_index) as u32,
                        generation: slot.generation,
                    })
            })
    }

    fn append(&mut self, value: T) -> Id {
        if self
            .chunks
            .last()
            .is_none_or(|chunk| chunk.len() == CHUNK_SLOTS)
        {
            self.chunks.push(Vec::with_capacity(CHUNK_SLOTS));
        }
        let chunk_index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[chunk_index];
        let index = (chunk_index * CHUNK_SLOTS + chunk.len()) as u32;
        assert!(index != NO_SLOT, "a slab holds fewer than 2^32 values");
        chunk.push(Slot {
            generation: 0,
            next_free: NO_SLOT,
            value: Some(value),
        });
        Id {
            index,
            generation: 0,
        }
    }

    #[inline]
    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        let chunk = self.chunks.get_mut((index >> CHUNK_BITS) as usize)?;
        chunk.get_mut(index as usize & (CHUNK_SLOTS - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(second.index, first.index, "the slot is reused");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
    }

    #[test]
    fn ids_survive_growth_and_pack_into_56_bits() {
        let mut slab = Slab::new();
        let ids: Vec<Id> = (0..1000).map(|n| slab.insert(n)).collect();
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(slab.get(*id), Some(&n));
            assert_eq!(Id::unpack(id.pack() | 0xff << 56), *id);
        }
        assert_eq!(slab.len(), 1000);
        assert_eq!(slab.ids().count(), 1000);
    }

    #[test]
    fn generations_wrap_within_their_bits() {
        let mut slab = Slab::new();
        let id = slab.insert(0);
        slab.slot_mut(id.index).unwrap().generation = Id::GENERATION_MASK;
        let last = Id {
            index: id.index,
            generation: Id::GENERATION_MASK,
        };
        assert_eq!(slab.remove(last), Some(0));
        assert_eq!(slab.insert(1).generation, 0);
    }
}
