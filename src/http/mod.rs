//! Value types of HTTP semantics (RFC 9110), the same for every version of the protocol.
//!
//! Pure: no I/O, no clock, no unsafe. Bytes of a peer are parsed here once into types that cannot be
//! wrong; nothing behind them checks again.

pub mod fault;
pub mod field;
pub mod head;
pub mod method;
pub mod response;
pub mod status;

pub use fault::Fault;
pub use field::{Field, Fields, Known};
pub use head::{OwnedRequestHead, RequestHead, TargetForm};
pub use method::Method;
pub use response::{HeadTemplate, ResponseHead};
pub use status::Status;

/// The minor versions of HTTP/1 and the later protocols, as far as semantics differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}
