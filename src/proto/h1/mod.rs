//! HTTP/1.0 and 1.1 (RFC 9112), strictly: what two recipients could read in two ways is refused.
//!
//! A head comes from [`parse_head`], its content from a [`BodyReader`], and answers become bytes in
//! [`writer`].

pub mod body;
#[doc(hidden)]
pub mod fuzz;
pub mod head;
pub mod writer;

pub use body::{BodyReader, BodyStep};
pub use head::{
    Framing, Head, HeadLimits, HeadStorage, ParsedHead, asks_for_head, may_be_complete, parse_head,
};
pub use writer::{
    CHUNK_END, CHUNKED, CONTINUE, LAST_CHUNK, Persistence, write_chunk_size, write_head,
    write_template,
};
