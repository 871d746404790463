//! Value types of HTTP semantics (RFC 9110), the same for every version of the protocol.
//!
//! Pure: no I/O, no clock, no unsafe. Bytes of a peer are parsed here once into types that cannot
//! be wrong; nothing behind them checks again.

pub mod accept;
pub mod authority;
pub mod coding;
pub mod conditions;
pub mod date;
pub mod fault;
pub mod field;
pub mod field_writer;
#[doc(hidden)]
pub mod fuzz;
pub mod head;
pub mod hpack_block;
pub mod hpack_huffman;
pub mod hpack_static;
pub mod language;
pub mod media_type;
pub mod method;
pub mod multipart;
pub mod path;
pub mod quality;
pub mod range;
pub mod response;
pub mod status;
pub mod target;
pub mod validator;

pub use authority::Authority;
pub use coding::{AcceptedCodings, Coding, CodingSet};
pub use conditions::Selected;
pub use date::DateField;
pub use fault::Fault;
pub use field::{Field, Fields, Known, KnownSet};
pub use field_writer::{FieldForm, FieldWriter, RenderedFields};
pub use head::{OwnedRequestHead, RequestHead, TargetForm};
pub use method::Method;
pub use multipart::{Boundary, Multipart};
pub use path::{PathError, SafePath};
pub use range::{ByteRange, Ranges};
pub use response::{HeadTemplate, ResponseHead};
pub use status::Status;
pub use target::Target;
pub use validator::{EntityTag, Validators};

/// The minor versions of HTTP/1 and the later protocols, as far as semantics differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}
