//! The slow lane: local futures on the worker's own small executor.
//!
//! A task waits for operations of the worker's engine ([`Io`]) or for other threads (any waker). It
//! knows no socket and no protocol; its result is put where its spawner said. Work that would hold
//! the worker up goes to the [`Pool`].

mod executor;
mod give_way;
mod io;
pub mod pool;

pub use executor::{Executor, TaskId};
pub use io::Io;
pub use pool::{Full, Pool, Running, Urgency};
