//! The cold thread's end: takes requests, reports what happened.
//!
//! Only the holder of the [`Lookout`] adds and removes directories, so that between two of its
//! calls none of those that it has seen disappears.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot};

use super::Sight;
use super::directory::{DirectoryId, Place};
use super::links::Told;
use super::registry::{Fall, Look, Registry, TreeId, segments};

#[derive(Default)]
pub(super) struct Shared {
    registry: Mutex<Registry>,
    /// Something is to be taken apart.
    pub(super) nudge: Notify,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A directory that somebody wants to have watched.
#[derive(Debug)]
pub struct Request {
    pub(super) tree: TreeId,
    pub(super) dir: Box<[u8]>,
    pub(super) answer: oneshot::Sender<Sight>,
}

/// What there is to do for the cold thread.
#[derive(Debug)]
pub enum Asked {
    /// To be given to [`Lookout::answer`].
    Watch(Request),
    /// A tree was retired: [`Lookout::settle`].
    Settle,
}

/// A directory whose watch is not needed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallen {
    pub directory: DirectoryId,
    /// As it was adopted with.
    pub handle: i32,
}

/// Why a directory got no watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// There is no directory of that name.
    Absent,
    /// It cannot be watched.
    Blind,
    /// It cannot be watched, and neither can any other for a while.
    Full,
}

/// A walk from a root down, with a view of the disk; [`Lookout::answer`] leads it.
pub trait Walk {
    /// Starts at a root.
    fn begin(&mut self, root: Arc<OwnedFd>);
    /// Goes on to a directory in the present one, never through a symbolic link.
    fn enter(&mut self, name: &[u8]) -> Result<(), Unseen>;
    /// Gives the present directory a watch and returns its handle.
    fn watch(&mut self) -> Result<i32, Unseen>;
    /// Notes which directory a watch is for; `None` when it is not needed after all.
    fn bind(&mut self, handle: i32, directory: Option<DirectoryId>);
}

/// The cold thread's end of a [`super::Watch`]; dropped, it blinds it.
pub struct Lookout {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
}

/// Steps of taking apart under one hold of the lock.
const FALLS_PER_HOLD: usize = 64;
/// So many things are told before the lock is taken again.
const TOLD_PER_HOLD: usize = 1024;

impl Lookout {
    pub(super) fn new(shared: Arc<Shared>, requests: mpsc::Receiver<Request>) -> Lookout {
        Lookout { shared, requests }
    }

    /// Waits for something to do. Can be dropped at any time without losing anything.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            () = self.shared.nudge.notified() => Asked::Settle,
            Some(request) = self.requests.recv() => Asked::Watch(request),
            else => std::future::pending().await,
        }
    }

    /// Answers a request: watches the directory and all above it that are not watched yet.
    pub fn answer(&mut self, request: Request, walk: &mut impl Walk) -> Vec<Fallen> {
        // Whoever asked may have gone.
        if !request.answer.is_closed() {
            self.descend(&request, walk);
        }
        let look = self.shared.lock().look(request.tree, &request.dir);
        let sight = match look {
            Look::Known(observation) => Sight::Watched(observation),
            Look::Unknown | Look::Blind => Sight::Blind,
        };
        let _ = request.answer.send(sight);
        self.settle()
    }

    fn descend(&self, request: &Request, walk: &mut impl Walk) -> Option<()> {
        let (root, top) = {
            let registry = self.shared.lock();
            (registry.root(request.tree)?, registry.top(request.tree))
        };
        walk.begin(root);
        let mut here = match top {
            Some(top) => top,
            None => {
                let watched = walk.watch();
                self.take_in(Place::Root(request.tree), watched, walk)?
            }
        };
        for name in segments(&request.dir) {
            let entered = walk.enter(name);
            let known = self.shared.lock().child(here, name);
            here = match (known, entered) {
                (Some(known), Ok(())) => known,
                (known, entered) => {
                    // Known and gone: the event that says so is still on its way.
                    if let Some(known) = known {
                        self.shared.lock().let_go(known);
                    }
                    let watched = entered.and_then(|()| walk.watch());
                    self.take_in(Place::Below(here, name.into()), watched, walk)?
                }
            };
        }
        Some(())
    }

    /// Notes what became of a directory, and goes on in it if it is watched.
    fn take_in(
        &self,
        place: Place,
        watched: Result<i32, Unseen>,
        walk: &mut impl Walk,
    ) -> Option<DirectoryId> {
        match watched {
            Ok(handle) => {
                let adopted = self.shared.lock().adopt(place, handle);
                walk.bind(handle, adopted);
                return adopted;
            }
            Err(Unseen::Absent) => self.shared.lock().mark(&place, true),
            Err(Unseen::Blind) => self.shared.lock().mark(&place, false),
            Err(Unseen::Full) => self.shared.lock().fill(),
        }
        None
    }

    /// Reports that something has happened to a name in a directory.
    pub fn on_event(&mut self, directory: DirectoryId, name: &[u8]) -> Vec<Fallen> {
        let mut told = Told::default();
        self.shared.lock().on_event(directory, name, &mut told);
        told.tell();
        self.settle()
    }

    /// Reports that a directory has lost its watch, or that its permissions have changed.
    pub fn on_lost(&mut self, directory: DirectoryId) -> Vec<Fallen> {
        self.shared.lock().let_go(directory);
        self.settle()
    }

    /// Reports that anything may have happened anywhere.
    pub fn on_all_lost(&mut self) -> Vec<Fallen> {
        self.shared.lock().let_all_go();
        self.settle()
    }

    /// Takes apart what was let go, and tells everything that was registered there. The watches of
    /// what is returned can end.
    pub fn settle(&mut self) -> Vec<Fallen> {
        let mut fallen = Vec::new();
        let mut is_done = false;
        while !is_done {
            let mut told = Told::default();
            let mut registry = self.shared.lock();
            for _ in 0..FALLS_PER_HOLD {
                match registry.fall(&mut told) {
                    Fall::Fell(directory, handle) => fallen.push(Fallen { directory, handle }),
                    Fall::More => {}
                    Fall::Done => is_done = true,
                }
                if is_done || told.len() >= TOLD_PER_HOLD {
                    break;
                }
            }
            drop(registry);
            told.tell();
        }
        fallen
    }

    /// Lets what could not be watched be tried again; after a time in which nothing more could be
    /// watched, directories in which nothing is registered are let go.
    pub fn begin_epoch(&mut self) -> Vec<Fallen> {
        self.shared.lock().begin_epoch();
        self.settle()
    }

    /// Lets the memory of things that have gone be used again: a step of it.
    pub fn prune(&mut self) {
        self.shared.lock().prune(PRUNED_PER_STEP);
    }

    /// Directories that are watched.
    pub fn directories(&self) -> usize {
        self.shared.lock().len()
    }
}

/// Slots that one step of pruning looks at.
const PRUNED_PER_STEP: usize = 4096;

impl Drop for Lookout {
    fn drop(&mut self) {
        self.shared.lock().close();
        self.settle();
    }
}
