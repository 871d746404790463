//! What makes answers. A handler sees a request head and gives an [`crate::exchange::Answer`]; it
//! never asks which version of HTTP speaks, and sets no field that belongs to the connection.

pub mod errors;
pub mod files;
pub mod problem;
pub mod redirect;
pub mod resources;
pub mod sites;
pub mod told;
pub mod welcome;

/// The value of the `Server` field of every answer. No version: it would help attackers only.
pub const SERVER: &str = "downpour";

/// The methods that files allow (RFC 9110 §10.2.1).
pub const ALLOW: &str = "GET, HEAD, OPTIONS";
