//! A TLS client in memory, for tests and fuzz bodies.
