//! Log lines for people, one event a line, on standard error.
//!
//! Everybody logs through the `log` facade. A worker never waits: its line goes into a bounded queue
//! that a thread of this room empties; when the queue is full the line is counted and dropped, and
//! the count is told. The room knows nothing of HTTP.

mod line;
mod sink;

pub use sink::{LogThread, START_LINE, start};
