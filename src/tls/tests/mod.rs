//! TLS against a client in memory.
