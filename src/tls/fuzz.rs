//! Fuzz bodies for TLS.
