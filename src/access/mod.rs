//! Who may do what, and how often: addresses, credentials, permissions, origins, limits.
//!
//! Everything here is a question about one request, answered from memory. The policy of a path
//! says what its operator wants; the gate of a worker asks it before any handler does. What
//! must wait (a password to be hashed, another server to be asked) comes out as work for the slow
//! lane; the request is asked again when that is done.

pub mod address;
pub mod cors;
pub mod credentials;
pub mod gate;
pub mod limit;
pub mod limit_table;
pub mod permission;
pub mod policy;
pub mod proxy_protocol;
