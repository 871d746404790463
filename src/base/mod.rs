//! Leaves that know nothing of HTTP, sockets or files: ids, slabs, timers, time, bounds,
//! processors.

pub mod cpu;
pub mod inherited;
pub mod limits;
pub mod slab;
pub mod table;
pub mod time;
pub mod wheel;

pub use slab::{Id, Slab};
pub use table::Table;
pub use time::{Millis, Now};
pub use wheel::Wheel;
