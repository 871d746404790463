//! Room: cold.
