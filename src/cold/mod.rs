//! The cold thread: what is neither a request nor an answer.
//!
//! Starting up (listeners, limits, certificates, the choice of an engine), signals, and the end. It
//! runs an ordinary Tokio runtime on the main thread; it talks to workers through their mailboxes
//! only and never sees a request.

pub mod access_log;
pub mod certificates;
pub mod descriptors;
pub mod listeners;
pub mod machine;
mod reception;
pub mod run;
pub mod serve;
mod sites;
pub mod users;
pub mod watch;
mod writing;

pub use listeners::{Listeners, WorkerListeners, bind};
pub use serve::serve;
