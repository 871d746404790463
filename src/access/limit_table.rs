//! How many requests whoever has made, in bounded memory, for all workers.
