//! Values kept beside someone else's slab: found by the same generation-checked ids.

use super::Id;

const CHUNK_BITS: u32 = 8;
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;

type Chunk<T> = Box<[Option<(u32, T)>]>;

/// One optional value for each id of another slab. Chunks never move; an empty table holds none.
pub struct Table<T> {
    chunks: Vec<Option<Chunk<T>>>,
    occupied: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Table<T> {
    /// An empty table.
    pub fn new() -> Self {
        Table {
            chunks: Vec::new(),
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

    /// Stores the value of a new id. The slot's former value was removed before.
    pub fn insert(&mut self, id: Id, value: T) {
        let chunk_index = (id.index >> CHUNK_BITS) as usize;
        if chunk_index >= self.chunks.len() {
            self.chunks.resize_with(chunk_index + 1, || None);
        }
        let chunk = self.chunks[chunk_index]
            .get_or_insert_with(|| (0..CHUNK_SLOTS).map(|_| None).collect());
        let slot = &mut chunk[id.index as usize & (CHUNK_SLOTS - 1)];
        assert!(
            slot.is_none(),
            "an id's value is removed before its slot is used again"
        );
        *slot = Some((id.generation, value));
        self.occupied += 1;
    }

    /// The value of `id`; `None` when it has none or is stale.
    #[inline]
    pub fn get(&self, id: Id) -> Option<&T> {
        let chunk = self
            .chunks
            .get((id.index >> CHUNK_BITS) as usize)?
            .as_ref()?;
        match &chunk[id.index as usize & (CHUNK_SLOTS - 1)] {
            Some((generation, value)) if *generation == id.generation => Some(value),
            _ => None,
        }
    }

    /// The value of `id`, to change; `None` when it has none or is stale.
    #[inline]
    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.slot_mut(id)? {
            Some((generation, value)) if *generation == id.generation => Some(value),
            _ => None,
        }
    }

    /// Takes the value of `id` out.
    pub fn remove(&mut self, id: Id) -> Option<T> {
        let slot = self.slot_mut(id)?;
        if slot
            .as_ref()
            .is_none_or(|(generation, _)| *generation != id.generation)
        {
            return None;
        }
        let value = slot.take().map(|(_, value)| value);
        self.occupied -= 1;
        value
    }

    /// The ids of all values, in slot order.
    pub fn ids(&self) -> impl Iterator<Item = Id> + '_ {
        self.chunks
            .iter()
            .enumerate()
            .flat_map(|(chunk_index, chunk)| {
                let slots = chunk.iter().flat_map(|chunk| chunk.iter().enumerate());
                slots.filter_map(move |(slot_index, slot)| {
                    let index = (chunk_index * CHUNK_SLOTS + slot_index) as u32;
                    slot.as_ref().map(|(generation, _)| Id {
                        index,
                        generation: *generation,
                    })
                })
            })
    }

    #[inline]
    fn slot_mut(&mut self, id: Id) -> Option<&mut Option<(u32, T)>> {
        let chunk = self
            .chunks
            .get_mut((id.index >> CHUNK_BITS) as usize)?
            .as_mut()?;
        Some(&mut chunk[id.index as usize & (CHUNK_SLOTS - 1)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_generation_that_was_stored_is_found() {
        let mut table = Table::new();
        let first = Id {
            index: 700,
            generation: 3,
        };
        let later = Id {
            index: 700,
            generation: 4,
        };
        table.insert(first, 'a');
        assert_eq!(table.get(first), Some(&'a'));
        assert_eq!(table.get(later), None);
        assert_eq!(table.remove(later), None);
        assert_eq!(table.ids().collect::<Vec<_>>(), [first]);
        assert_eq!(table.remove(first), Some('a'));
        table.insert(later, 'b');
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.get_mut(later), Some(&mut 'b'));
        assert_eq!(table.len(), 1);
    }
}
