//! Entries on their way from a worker to the thread that writes them.
