//! Room: conn.
