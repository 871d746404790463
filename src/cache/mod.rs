//! Room: cache.
