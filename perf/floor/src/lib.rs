//! The physical limits that the server is measured against.
//!
//! One thread, one ring, one fixed response. The programs parse nothing but where requests end and
//! know no file, no time-out and no error answer: what they spend is what the kernel's TCP and
//! io_uring cost. They must stay as fast as we can make them, and they must not cheat: every
//! request is read, every answer is a whole response of realistic size.
//!
//! Both protocols run in the same loop (`server`); each says where requests end and what is sent.
//! Writes have a loop of their own (`put`), without a socket.

mod arguments;
mod buffers;
mod connection;
mod h1;
mod h2;
mod put;
mod server;
mod socket;

pub use arguments::{Answer, run};
pub use h1::Http1;
pub use h2::Http2;
pub use put::write_durably;
