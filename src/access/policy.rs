//! All that holds for one path.
