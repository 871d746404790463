//! Counters of one worker, read by anybody.
