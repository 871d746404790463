//! Protocol cores, one room each: plain structs that take bytes and give events and bytes back.
//!
//! Sans-IO: they never see a socket, a file, a clock or a thread, and know only `base` and `http`.

pub mod h1;
pub mod h2;
