//! What the floor knows of one connection.

use crate::request::Carry;

/// Indexed by descriptor; the default is a free slot.
#[derive(Clone, Copy, Default)]
pub struct Connection {
    /// The end of the last head that is not complete.
    pub carry: Carry,
    /// Requests that wait for an answer that keeps the connection.
    pub unanswered: u32,
    /// One more request, the last, waits for its answer.
    pub last_unanswered: bool,
    /// No request is read any more; the connection ends when nothing is in flight.
    pub ending: bool,
    /// A multishot receive is armed.
    pub receiving: bool,
    /// A send is in flight.
    pub sending: bool,
    /// It stands in the list of connections to be served at the end of the batch.
    pub dirty: bool,
    /// What is left of the current send, when the kernel took less than all.
    pub send: Option<Send>,
}

/// A part of one of the fixed responses.
#[derive(Clone, Copy)]
pub struct Send {
    /// Where the next byte is; the responses outlive every send.
    pub bytes: *const u8,
    /// How many bytes are left.
    pub len: u32,
}
