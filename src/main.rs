//! The binary: a table of contents.

fn main() {}
