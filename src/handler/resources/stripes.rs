//! The moment in which a name gets its new content belongs to one thread.
//!
//! Turns keep the writers of one path apart, but a directory may be known by several paths: two
//! sites or mounts may share it. Here names are told apart by the directory itself.

use std::hash::BuildHasher;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use rustix::io::Errno;

use crate::base::limits::WRITE_STRIPES;
use crate::engine::find;

/// Locks that names share; each is held for a few system calls, by threads that may wait.
pub(super) struct Stripes {
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Default for Stripes {
    fn default() -> Stripes {
        Stripes {
            locks: (0..WRITE_STRIPES).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::default(),
        }
    }
}

impl Stripes {
    /// Waits for the name to be nobody else's.
    pub(super) fn lock(
        &self,
        directory: impl AsFd,
        name: &[u8],
    ) -> Result<MutexGuard<'_, ()>, Errno> {
        let stat = find::stat(directory)?;
        let hash = self.hasher.hash_one((stat.device, stat.inode, name));
        let lock = &self.locks[hash as usize % self.locks.len()];
        Ok(lock.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
