//! Content codings made by us: bodies compressed, and kept over a restart where that is asked for.
//!
//! Slow and blocking: it runs in the pool (`task::Pool`) or in a command, never on a worker. The
//! room knows no request; which coding a client gets is decided by `http::coding`.

pub mod encode;
pub mod kept;

pub use encode::{Effort, compress, encode};
pub use kept::Kept;
