//! The trees, their watched directories, and what is registered in them. Everything here is called
//! under the registry's lock.

use std::hash::BuildHasher;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;

use super::directory::{Directory, DirectoryId, Mark, Place};
use super::links::{Key, Links, Told};
use super::stem::stem;
use super::suspicion::Watched;
use super::{Name, Observation};
use crate::base::limits::WATCH_REGISTRATIONS_MAX;
use crate::base::{Id, Slab};

/// Names one generation of one root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeId(Id);

impl TreeId {
    /// No tree: nothing in it can be watched.
    pub const NONE: TreeId = TreeId(Id {
        index: u32::MAX,
        generation: u32::MAX,
    });
}

#[derive(Default)]
pub(super) struct Registry {
    trees: Slab<Tree>,
    directories: Slab<Directory>,
    links: Links,
    /// Counts events.
    clock: u64,
    /// Those marks count that were made in this one.
    epoch: u32,
    /// No further directory can be watched in this epoch.
    is_full: bool,
    is_closed: bool,
    /// Directories that nothing leads to any more, to be taken apart.
    falling: Vec<DirectoryId>,
    hasher: RandomState,
}

struct Tree {
    root: Arc<OwnedFd>,
    top: Top,
}

/// What is known of the root itself.
enum Top {
    Unknown,
    Watched(DirectoryId),
    /// It cannot be watched, as was found in this epoch.
    Blind(u32),
}

/// What is known of a directory without asking the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Known(Observation),
    Unknown,
    Blind,
}

/// The stem of dependencies on every name.
const ANY: u32 = 0;

impl Registry {
    pub(super) fn add_tree(&mut self, root: Arc<OwnedFd>) -> TreeId {
        TreeId(self.trees.insert(Tree {
            root,
            top: Top::Unknown,
        }))
    }

    /// Lets go of a tree. Its directories fall when the cold thread comes by.
    pub(super) fn retire(&mut self, tree: TreeId) -> Option<Arc<OwnedFd>> {
        let tree = self.trees.remove(tree.0)?;
        if let Top::Watched(directory) = tree.top {
            self.falling.push(directory);
        }
        Some(tree.root)
    }

    pub(super) fn root(&self, tree: TreeId) -> Option<Arc<OwnedFd>> {
        let tree = self.trees.get(tree.0)?;
        Some(Arc::clone(&tree.root))
    }

    pub(super) fn look(&self, tree: TreeId, dir: &[u8]) -> Look {
        let Some(tree) = self.trees.get(tree.0).filter(|_| !self.is_closed) else {
            return Look::Blind;
        };
        let unknown = if self.is_full {
            Look::Blind
        } else {
            Look::Unknown
        };
        let mut here = match tree.top {
            Top::Watched(directory) => directory,
            Top::Blind(epoch) if epoch == self.epoch => return Look::Blind,
            Top::Blind(_) | Top::Unknown => return unknown,
        };
        for name in segments(dir) {
            let directory = self.directory(here);
            if let Some(child) = directory.children.get(name) {
                here = *child;
                continue;
            }
            return match directory.mark(name) {
                Some(Mark::Absent) => Look::Known(self.observation(here, Some(name))),
                Some(Mark::Blind(epoch)) if epoch == self.epoch => Look::Blind,
                Some(Mark::Blind(_)) | None => unknown,
            };
        }
        Look::Known(self.observation(here, None))
    }

    /// See [`super::Watch::register`].
    pub(super) fn register(
        &mut self,
        thing: &dyn Watched,
        weak: &Weak<dyn Watched>,
        on: &[(Observation, Name<'_>)],
    ) -> bool {
        let fits = self.links.len() + on.len() <= WATCH_REGISTRATIONS_MAX;
        let holds = |(observation, name): &(Observation, Name<'_>)| self.holds(observation, *name);
        if on.is_empty() || !fits || self.is_closed || !on.iter().all(holds) {
            thing.suspicion().forget();
            return false;
        }
        let registration = thing.suspicion().enter();
        for (observation, name) in on {
            let key = Key {
                directory: observation.directory.0.index,
                stem: self.stem_of(observation, *name),
            };
            self.links.insert(key, Weak::clone(weak), registration);
        }
        true
    }

    /// True when nothing has happened since an observation to a name that was looked for then.
    fn holds(&self, observation: &Observation, name: Name<'_>) -> bool {
        let Some(directory) = self.directories.get(observation.directory.0) else {
            return false;
        };
        let stem = self.stem_of(observation, name);
        directory.was_quiet((stem != ANY).then_some(stem), observation.at)
    }

    /// Under what a dependency is registered: where the directory itself is missing, under that.
    fn stem_of(&self, observation: &Observation, name: Name<'_>) -> u32 {
        match (observation.missing, name) {
            (Some(missing), _) => missing,
            (None, Name::Is(name)) => self.hash_stem(name),
            (None, Name::Any) => ANY,
        }
    }

    /// Two stems with one hash are told of each other's events, which does no harm.
    fn hash_stem(&self, name: &[u8]) -> u32 {
        (self.hasher.hash_one(stem(name)) as u32).max(ANY + 1)
    }

    fn observation(&self, id: DirectoryId, missing: Option<&[u8]>) -> Observation {
        Observation {
            directory: id,
            at: self.clock,
            missing: missing.map(|name| self.hash_stem(name)),
            is_without_forms: missing.is_none() && self.directory(id).is_without_forms(),
        }
    }

    /// See [`super::Watch::claim_look_for_forms`].
    pub(super) fn claim_look_for_forms(&mut self, observation: &Observation) -> bool {
        let directory = self.directories.get_mut(observation.directory.0);
        let directory = directory.filter(|_| observation.missing.is_none());
        directory.is_some_and(Directory::claim_look_for_forms)
    }

    pub(super) fn note_without_forms(&mut self, observation: &Observation) {
        if let Some(directory) = self.directories.get_mut(observation.directory.0) {
            directory.note_without_forms();
        }
    }

    /// The directory that is at the root.
    pub(super) fn top(&self, tree: TreeId) -> Option<DirectoryId> {
        match self.trees.get(tree.0)?.top {
            Top::Watched(directory) => Some(directory),
            Top::Unknown | Top::Blind(_) => None,
        }
    }

    pub(super) fn child(&self, directory: DirectoryId, name: &[u8]) -> Option<DirectoryId> {
        let directory = self.directories.get(directory.0)?;
        directory.children.get(name).copied()
    }

    /// Hangs a directory that has got its watch below the one above it. `None` when that has gone.
    pub(super) fn adopt(&mut self, place: Place, handle: i32) -> Option<DirectoryId> {
        let exists = match &place {
            Place::Root(tree) => self.trees.get(tree.0).is_some(),
            Place::Below(parent, _) => self.directories.get(parent.0).is_some(),
        };
        if !exists || self.is_closed {
            return None;
        }
        let directory = Directory::new(place.clone(), handle);
        let id = DirectoryId(self.directories.insert(directory));
        match place {
            Place::Root(tree) => self.set_top(tree, Top::Watched(id)),
            Place::Below(parent, name) => {
                self.directory_mut(parent).children.insert(name, id);
            }
        }
        Some(id)
    }

    /// Notes that there is nothing to be watched at a place.
    pub(super) fn mark(&mut self, place: &Place, is_absent: bool) {
        let blind = self.epoch;
        match place {
            Place::Root(tree) => self.set_top(*tree, Top::Blind(blind)),
            Place::Below(parent, name) => {
                let mark = if is_absent {
                    Mark::Absent
                } else {
                    Mark::Blind(blind)
                };
                if let Some(parent) = self.directories.get_mut(parent.0) {
                    parent.set_mark(name, mark);
                }
            }
        }
    }

    /// Notes that no further directory can be watched before [`Registry::begin_epoch`].
    pub(super) fn fill(&mut self) {
        self.is_full = true;
    }

    /// What could not be watched may be tried again.
    pub(super) fn begin_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.is_full {
            self.is_full = false;
            self.drop_unused();
        }
    }

    /// Takes in that something has happened to a name in a directory.
    pub(super) fn on_event(&mut self, id: DirectoryId, name: &[u8], told: &mut Told) {
        let stem = self.hash_stem(name);
        let Some(directory) = self.directories.get_mut(id.0) else {
            return;
        };
        self.clock += 1;
        directory.on_event(name, stem, self.clock);
        let child = directory.children.remove(name);
        self.falling.extend(child);
        for stem in [stem, ANY] {
            let directory = id.0.index;
            self.links.take_stem(Key { directory, stem }, told);
        }
    }

    /// See [`super::Watch::note_change`]. Where a directory of the path is not known, what depends
    /// on its being missing is told. True when a directory has fallen.
    pub(super) fn on_change(
        &mut self,
        tree: TreeId,
        dir: &[u8],
        name: &[u8],
        told: &mut Told,
    ) -> bool {
        let Some(mut here) = self.top(tree) else {
            return false;
        };
        let mut changed = name;
        for segment in segments(dir) {
            match self.child(here, segment) {
                Some(child) => here = child,
                None => {
                    changed = segment;
                    break;
                }
            }
        }
        let falling = self.falling.len();
        self.on_event(here, changed, told);
        self.falling.len() > falling
    }

    /// Lets go of a directory and all below it.
    pub(super) fn let_go(&mut self, id: DirectoryId) {
        let Some(directory) = self.directories.get(id.0) else {
            return;
        };
        match directory.place.clone() {
            Place::Root(tree) if self.top(tree) == Some(id) => self.set_top(tree, Top::Unknown),
            Place::Root(_) => {}
            Place::Below(parent, name) => {
                let parent = self.directories.get_mut(parent.0);
                if let Some(parent) =
                    parent.filter(|parent| parent.children.get(&name) == Some(&id))
                {
                    parent.children.remove(&name);
                }
            }
        }
        self.falling.push(id);
    }

    /// Lets go of everything.
    pub(super) fn let_all_go(&mut self) {
        let trees: Vec<Id> = self.trees.ids().collect();
        for tree in trees {
            if let Some(directory) = self.top(TreeId(tree)) {
                self.let_go(directory);
            }
        }
    }

    /// Nothing can be observed or registered any more.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.let_all_go();
    }

    /// Takes one falling directory apart, or a part of one with much in it. True when there is
    /// more.
    ///
    /// Until it is gone, somebody with an older observation may still register something in it:
    /// that is told like the rest.
    pub(super) fn fall(&mut self, told: &mut Told) -> Fall {
        let Some(id) = self.falling.last().copied() else {
            return Fall::Done;
        };
        if self.directories.get(id.0).is_none() {
            self.falling.pop();
            return Fall::More; // It was let go twice.
        }
        if !self.links.take_directory(id.0.index, LINKS_PER_FALL, told) {
            return Fall::More;
        }
        self.falling.pop();
        let directory = self.directories.remove(id.0).expect("it was there");
        self.falling.extend(directory.children.into_values());
        Fall::Fell(id, directory.handle)
    }

    /// Lets the memory of things that have gone be used again.
    pub(super) fn prune(&mut self, slots: usize) {
        self.links.prune(slots);
    }

    /// Lets go of directories that hold nothing, so that others can be watched.
    fn drop_unused(&mut self) {
        let is_unused = |id: &Id| {
            let directory = self.directories.get(*id);
            let is_leaf = directory.is_some_and(|directory| directory.children.is_empty());
            is_leaf && self.links.is_unused(id.index)
        };
        let unused: Vec<Id> = self.directories.ids().filter(is_unused).collect();
        unused
            .into_iter()
            .for_each(|id| self.let_go(DirectoryId(id)));
    }

    /// Directories that are watched.
    pub(super) fn len(&self) -> usize {
        self.directories.len()
    }

    /// Slots of registrations.
    #[cfg(test)]
    pub(super) fn registrations(&self) -> usize {
        self.links.len()
    }

    fn set_top(&mut self, tree: TreeId, top: Top) {
        if let Some(tree) = self.trees.get_mut(tree.0) {
            tree.top = top;
        }
    }

    fn directory(&self, id: DirectoryId) -> &Directory {
        let directory = self.directories.get(id.0);
        directory.expect("what hangs in a tree has not been taken apart")
    }

    fn directory_mut(&mut self, id: DirectoryId) -> &mut Directory {
        let directory = self.directories.get_mut(id.0);
        directory.expect("what hangs in a tree has not been taken apart")
    }
}

/// One step of taking apart.
pub(super) enum Fall {
    /// This directory is gone, and its watch is not needed any more.
    Fell(DirectoryId, i32),
    More,
    Done,
}

/// Registrations that are taken in one step.
const LINKS_PER_FALL: usize = 256;

/// The names of a path.
pub(super) fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let segments = path.split(|byte| *byte == b'/');
    segments.filter(|segment| !segment.is_empty())
}
