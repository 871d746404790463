//! Who is registered under which stem of which directory.
//!
//! Each registration under one stem is a slot in two chains: of its stem, and of its directory. A
//! slot costs 48 bytes, its stem about 25 more. Slots of things that have gone are found by a hand
//! that goes round, two steps for each new slot, so that they never outnumber the others for long
//! and no call has much to clear away.

use std::collections::HashMap;
use std::sync::Weak;

use foldhash::fast::RandomState;

use super::suspicion::Watched;

/// A directory, by its index alone, and the hash of a stem in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) directory: u32,
    pub(super) stem: u32,
}

/// Things to be told once no lock is held.
#[derive(Default)]
pub(super) struct Told(Vec<(Weak<dyn Watched>, u32)>);

impl Told {
    /// Tells all of them.
    pub(super) fn tell(self) {
        for (thing, registration) in self.0 {
            if let Some(thing) = thing.upgrade() {
                thing.suspicion().tell(registration);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[derive(Default)]
pub(super) struct Links {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The first slot of each stem.
    stems: HashMap<Key, u32, RandomState>,
    /// The first slot of each directory, by its index.
    directories: Vec<u32>,
    /// The next slot to be looked at.
    hand: usize,
}

struct Slot {
    /// `None` when the slot is free.
    thing: Option<Weak<dyn Watched>>,
    registration: u32,
    key: Key,
    of_stem: Neighbours,
    of_directory: Neighbours,
}

#[derive(Clone, Copy)]
struct Neighbours {
    previous: u32,
    next: u32,
}

const NONE: u32 = u32::MAX;
/// Slots that are looked at for each new one.
const STEPS_PER_LINK: usize = 2;

impl Links {
    /// Registers a thing under one stem.
    pub(super) fn insert(&mut self, key: Key, thing: Weak<dyn Watched>, registration: u32) {
        self.prune(STEPS_PER_LINK);
        let index = self.free.pop().unwrap_or(self.slots.len() as u32);
        let directory = key.directory as usize;
        if directory >= self.directories.len() {
            self.directories.resize(directory + 1, NONE);
        }
        let after_stem = self.stems.insert(key, index).unwrap_or(NONE);
        let after_directory = std::mem::replace(&mut self.directories[directory], index);
        if after_stem != NONE {
            self.slots[after_stem as usize].of_stem.previous = index;
        }
        if after_directory != NONE {
            self.slots[after_directory as usize].of_directory.previous = index;
        }
        let first = |next| Neighbours {
            previous: NONE,
            next,
        };
        let slot = Slot {
            thing: Some(thing),
            registration,
            key,
            of_stem: first(after_stem),
            of_directory: first(after_directory),
        };
        match self.slots.get_mut(index as usize) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
    }

    /// Moves what is registered under a stem to those who are to be told.
    pub(super) fn take_stem(&mut self, key: Key, told: &mut Told) {
        while let Some(first) = self.stems.get(&key) {
            let taken = self.remove(*first);
            told.0.push(taken);
        }
    }

    /// Does the same for all stems of a directory, but for at most `slots_max` slots; true when
    /// none is left.
    pub(super) fn take_directory(
        &mut self,
        directory: u32,
        slots_max: usize,
        told: &mut Told,
    ) -> bool {
        for _ in 0..slots_max {
            let Some(first) = self.first_of(directory) else {
                return true;
            };
            let taken = self.remove(first);
            told.0.push(taken);
        }
        self.first_of(directory).is_none()
    }

    /// True when nothing is registered in a directory.
    pub(super) fn is_unused(&self, directory: u32) -> bool {
        self.first_of(directory).is_none()
    }

    /// Lets the hand go on by so many slots, and frees those of things that have gone.
    pub(super) fn prune(&mut self, steps: usize) {
        for _ in 0..steps.min(self.slots.len()) {
            self.hand = (self.hand + 1) % self.slots.len();
            if self.slots[self.hand].is_over() {
                drop(self.remove(self.hand as u32));
            }
        }
    }

    /// Slots in use.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn first_of(&self, directory: u32) -> Option<u32> {
        let first = *self.directories.get(directory as usize)?;
        (first != NONE).then_some(first)
    }

    /// Takes a slot out of both chains.
    fn remove(&mut self, index: u32) -> (Weak<dyn Watched>, u32) {
        let slot = &mut self.slots[index as usize];
        let thing = slot.thing.take().expect("a slot in a chain is in use");
        let (key, registration) = (slot.key, slot.registration);
        let (of_stem, of_directory) = (slot.of_stem, slot.of_directory);
        match (of_stem.previous, of_stem.next) {
            (NONE, NONE) => {
                self.stems.remove(&key);
            }
            (NONE, next) => {
                self.stems.insert(key, next);
            }
            (previous, next) => self.slots[previous as usize].of_stem.next = next,
        }
        if of_stem.next != NONE {
            self.slots[of_stem.next as usize].of_stem.previous = of_stem.previous;
        }
        match of_directory.previous {
            NONE => self.directories[key.directory as usize] = of_directory.next,
            previous => self.slots[previous as usize].of_directory.next = of_directory.next,
        }
        if of_directory.next != NONE {
            self.slots[of_directory.next as usize].of_directory.previous = of_directory.previous;
        }
        self.free.push(index);
        (thing, registration)
    }
}

impl Slot {
    /// True when its thing has gone, was told, or is registered anew.
    fn is_over(&self) -> bool {
        let Some(thing) = &self.thing else {
            return false;
        };
        match thing.upgrade() {
            Some(thing) => !thing.suspicion().counts(self.registration),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{Suspicion, Trust};
    use std::sync::Arc;

    fn key(directory: u32, stem: u32) -> Key {
        Key { directory, stem }
    }

    fn link(links: &mut Links, key: Key) -> Arc<Suspicion> {
        let thing = Arc::new(Suspicion::new());
        let registration = thing.enter();
        let weak = Arc::downgrade(&thing);
        links.insert(key, weak, registration);
        thing
    }

    #[test]
    fn a_slot_is_as_small_as_it_is_called() {
        assert_eq!(size_of::<Slot>(), 48);
    }

    #[test]
    fn stems_and_directories_are_taken_by_themselves() {
        let mut links = Links::default();
        let things: Vec<_> = [(0, 1), (0, 1), (0, 2), (7, 1), (0, 1)]
            .map(|(directory, stem)| link(&mut links, key(directory, stem)))
            .into();
        let told_of = |told: Told| {
            told.tell();
            let is_told = |thing: &Arc<Suspicion>| thing.trust() == Trust::Suspect;
            things.iter().map(is_told).collect::<Vec<_>>()
        };
        let mut told = Told::default();
        links.take_stem(key(0, 1), &mut told);
        links.take_stem(key(0, 3), &mut told);
        assert_eq!(told_of(told), [true, true, false, false, true]);
        assert!(!links.is_unused(0) && !links.is_unused(7) && links.is_unused(1));
        let mut told = Told::default();
        assert!(links.take_directory(0, 1, &mut told));
        assert_eq!(told_of(told), [true, true, true, false, true]);
        assert_eq!(links.len(), 1);
        link(&mut links, key(7, 2));
        let mut told = Told::default();
        assert!(!links.take_directory(7, 1, &mut told));
        assert!(links.take_directory(7, 1, &mut told));
        assert!(links.take_directory(8, 1, &mut told));
        assert_eq!((links.len(), links.stems.len()), (0, 0));
    }

    #[test]
    fn slots_of_things_that_have_gone_or_are_registered_anew_are_used_again() {
        let mut links = Links::default();
        for stem in 0..10_000 {
            drop(link(&mut links, key(0, stem)));
        }
        assert!(links.slots.len() < 10, "{}", links.slots.len());
        let thing = link(&mut links, key(0, 1));
        for _ in 0..10_000 {
            let weak = Arc::downgrade(&thing);
            links.insert(key(1, 1), weak, thing.enter());
        }
        assert!(links.slots.len() < 10, "{}", links.slots.len());
        links.prune(100);
        assert_eq!((links.len(), links.stems.len()), (1, 1));
        let kept: Vec<_> = (0..1000)
            .map(|stem| link(&mut links, key(2, stem)))
            .collect();
        drop(kept);
        links.prune(links.slots.len());
        assert_eq!(links.len(), 1);
    }
}
