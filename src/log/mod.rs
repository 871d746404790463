//! Log lines for people, one event a line, on standard error.
//!
//! Everybody logs through the `log` facade. A worker never waits: its line goes into a bounded
//! queue that a thread empties; when the queue is full the line is counted and dropped, and the
//! count is told. The room knows nothing of HTTP.

mod line;
mod sink;

pub use sink::{LogThread, announce, complain, log_panics, start};
