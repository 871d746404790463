//! How many requests whom may make: rules.
