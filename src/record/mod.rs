//! What has happened: one line per request in the access log, and counters.
//!
//! A worker writes entries into a ring of its own and counts into memory of its own; the cold
//! thread turns entries into lines, and whoever reads the counters sums them. A worker never waits
//! for either.

pub mod counters;
pub mod entry;
pub mod format;
pub mod prometheus;
pub mod ring;
