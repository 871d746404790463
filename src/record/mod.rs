//! What has happened: one line per request in the access log, and counters.
//!
//! A worker writes entries into a ring of its own and counts into memory of its own; the thread of
//! the access log turns entries into lines, and whoever reads the counters sums them. A worker
//! never waits for either.
//!
//! ```text
//! worker:  Entry -> Recorder -> encoding -> ring ...> EntryReader -> Entry -> Formatter -> line
//!          Answered -> Counters .....................> AllCounters -> Totals -> prometheus
//! ```

pub mod counters;
mod encoding;
pub mod entry;
mod escape;
pub mod format;
#[doc(hidden)]
pub mod fuzz;
pub mod prometheus;
pub mod request_id;
pub mod ring;

pub use counters::{AllCounters, Answered, Counters, Refusal, Totals};
pub use entry::{CacheState, Entry};
pub use format::{Format, Formatter};
pub use request_id::{RequestId, RequestIds};
pub use ring::{EntryReader, Recorder, channel};
