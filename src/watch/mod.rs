//! Which cached thing depends on which names of which directories, and who is told of a change.
//!
//! Memory only: the kernel's part (inotify) lives on the cold thread, which reports here. Workers
//! ask in the slow lane; the fast lane reads one atomic of the thing itself ([`Suspicion`]).
//!
//! ```text
//! worker, slow lane                                     cold thread
//! watch.observe(tree, "blog")  --- only if unknown ---> opens "", "blog", watches both
//!                              <--- an Observation ---
//! finds and reads blog/a.html
//! watch.register(&entry, [(observation, "a.html")])
//!                                                       event ("blog", "a.html.br"):
//! entry.suspicion() is Suspect <----------------------  told; the next request compares
//! ```
//!
//! A dependency is on a directory and a *stem*, the name up to its first dot: `a.html`,
//! `a.de.html`, `a.html.br` and `a` have one stem, so that sidecars, languages and clean addresses
//! which come or go are seen. Names that are not there can be depended on as well; where
//! directories are missing, the dependency is on the first missing one.
//!
//! # Why nothing is missed
//!
//! 1. An [`Observation`] is made when the directory and all directories above it have a watch. A
//!    parent is watched before its child is opened by name, and the child is watched by its
//!    descriptor: a child that is exchanged at any time after is reported by its parent.
//! 2. Whoever loads looks at the disk after the observation. What changed before the look is seen
//!    by the look. What changes after it gives an event that is read after the observation was
//!    made.
//! 3. The event is read either before the registration: then [`Watch::register`], which compares
//!    the directory's last events with the observation under the same lock, refuses; or after it:
//!    then the event finds the thing and tells it.
//! 4. A directory that is exchanged, moved, removed or no longer watched is let go with all below
//!    it: everything registered there is told, and an observation of it registers nothing more, for
//!    its id has gone. Until an event is read, a directory's id may stand for the one that had the
//!    name before; what is registered there is told as soon as the event is read.
//! 5. When the kernel's queue overflows, or the table of mounts changes, everything is let go.
//! 6. What this process changes itself is reported by [`Watch::note_change`] before anybody is told
//!    that it is done, and counts as an event; the kernel's own comes later and does no harm.
//! 7. When the cold thread stops listening, everything is told, and nothing can be observed.
//!
//! What the kernel does not report is not seen here: stores through a shared mapping before its
//! file is closed, and changes by way of another hard link in another directory. Whoever registers
//! a thing looks for the latter (a link count above one), does not follow symbolic links unseen,
//! and compares even what is trusted with the disk now and then.
//!
//! # Locks
//!
//! One lock for all. It is taken in the slow lane and on the cold thread only, never on a hit of an
//! index, and held for a few map operations in memory: things are told, descriptors closed and
//! memory of many things freed after it was released, and a directory with much below it is let go
//! in steps. Growing the tables, which is rare, is the longest of them.

mod directory;
mod links;
mod lookout;
mod registry;
mod stem;
mod suspicion;
#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use tokio::sync::{mpsc, oneshot};

pub use directory::DirectoryId;
pub use lookout::{Asked, Fallen, Lookout, Request, Unseen, Walk};
pub use registry::TreeId;
pub use stem::{is_form, stem};
pub use suspicion::{Suspicion, Trust, Watched};

use links::Told;
use lookout::Shared;
use registry::Look;

use crate::base::limits::WATCH_REQUESTS_WAITING_MAX;

/// Whether cached files are watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watching {
    /// With inotify, where that works.
    #[default]
    Inotify,
    /// Not at all: cached files are compared by their age, roots are looked at each half second.
    Off,
}

/// What workers ask. Clones share one registry.
#[derive(Clone)]
pub struct Watch(Option<Inner>);

#[derive(Clone)]
struct Inner {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

/// What is known of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It is watched, or it is missing and that is watched.
    Watched(Observation),
    /// It cannot be watched: there is a symbolic link in its path, its file system does not tell,
    /// the limit of watches is reached, or watching is off.
    Blind,
}

/// One look at a directory: which, and after which events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    directory: DirectoryId,
    /// The registry's clock of events.
    at: u64,
    /// The stem of the segment that is missing below `directory`, if any.
    missing: Option<u32>,
    /// No compressed form is in the directory.
    is_without_forms: bool,
}

impl Observation {
    /// True when no name in the directory ends as compressed forms do ([`is_form`]): they need not
    /// be looked for. One that appears gives an event, like any other change.
    pub fn is_without_forms(&self) -> bool {
        self.is_without_forms
    }
}

/// What a thing depends on in an observed directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// This file name and all with the same stem, whether they are there or not.
    Is(&'a [u8]),
    /// Every name in the directory (but not those below its sub-directories): a listing.
    Any,
}

/// A watch for workers, and its other end for the cold thread.
pub fn pair() -> (Watch, Lookout) {
    let shared = Arc::new(Shared::default());
    let (requests, asked) = mpsc::channel(WATCH_REQUESTS_WAITING_MAX);
    let lookout = Lookout::new(Arc::clone(&shared), asked);
    (Watch(Some(Inner { shared, requests })), lookout)
}

impl Watch {
    /// A watch that sees nothing.
    pub fn off() -> Watch {
        Watch(None)
    }

    /// Names a new tree by its open root. Nothing is watched before it is asked for.
    pub fn add_tree(&self, root: Arc<OwnedFd>) -> TreeId {
        match &self.0 {
            Some(inner) => inner.shared.lock().add_tree(root),
            None => TreeId::NONE,
        }
    }

    /// Ends a tree, for instance when its root was exchanged for another: everything that was
    /// registered in it is told, and its watches end.
    pub fn retire(&self, tree: TreeId) {
        if let Some(inner) = &self.0 {
            // The descriptor is closed after the lock was released.
            let root = inner.shared.lock().retire(tree);
            drop(root);
            inner.shared.nudge.notify_one();
        }
    }

    /// To be asked before names are looked for in `dir`: decoded, relative to the tree's root,
    /// empty for the root itself. Answers at once when the directory is watched already; otherwise
    /// asks the cold thread and waits for its word.
    pub async fn observe(&self, tree: TreeId, dir: &[u8]) -> Sight {
        let Some(Inner { shared, requests }) = &self.0 else {
            return Sight::Blind;
        };
        let look = shared.lock().look(tree, dir);
        match look {
            Look::Known(observation) => return Sight::Watched(observation),
            Look::Blind => return Sight::Blind,
            Look::Unknown => {}
        }
        let (answer, word) = oneshot::channel();
        let dir = dir.into();
        // A full queue: the thing is compared by its age this time.
        if requests.try_send(Request { tree, dir, answer }).is_err() {
            return Sight::Blind;
        }
        word.await.unwrap_or(Sight::Blind)
    }

    /// True for one caller: who looks through all names of the observed directory, and says with
    /// [`Watch::note_without_forms`] when none of them is a compressed form's.
    pub fn claim_look_for_forms(&self, observation: &Observation) -> bool {
        let Some(inner) = &self.0 else { return false };
        inner.shared.lock().claim_look_for_forms(observation)
    }

    /// The look that was claimed has found none.
    pub fn note_without_forms(&self, observation: &Observation) {
        if let Some(inner) = &self.0 {
            inner.shared.lock().note_without_forms(observation);
        }
    }

    /// Reports a change that this process has made itself, so that nobody has to wait for the
    /// kernel's word: `name` in `dir` (as in [`Watch::observe`]) is not what it was. To be called
    /// when the disk is changed; everything that depends on the name is told on return.
    pub fn note_change(&self, tree: TreeId, dir: &[u8], name: &[u8]) {
        let Some(inner) = &self.0 else { return };
        let mut told = Told::default();
        let has_fallen = inner.shared.lock().on_change(tree, dir, name, &mut told);
        told.tell();
        if has_fallen {
            inner.shared.nudge.notify_one();
        }
    }

    /// Trusts `thing`, which was made after these observations, until one of these names changes.
    /// It replaces what the thing was registered for before.
    ///
    /// False, and the thing is unwatched, when something has happened to one of the names since it
    /// was observed, when nothing is depended on, or when there is no room.
    pub fn register<T: Watched + 'static>(
        &self,
        thing: &Arc<T>,
        on: &[(Observation, Name<'_>)],
    ) -> bool {
        let Some(inner) = &self.0 else {
            thing.suspicion().forget();
            return false;
        };
        let thing: Arc<dyn Watched> = Arc::<T>::clone(thing);
        let weak: Weak<dyn Watched> = Arc::downgrade(&thing);
        inner.shared.lock().register(&*thing, &weak, on)
    }
}
