//! What the loop knows of one connection.

/// Indexed by descriptor; the default is a free slot.
#[derive(Default)]
pub struct Connection<M> {
    /// What the protocol remembers of it.
    pub memory: M,
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

/// A part of what the protocol gave to be sent.
#[derive(Clone, Copy)]
pub struct Send {
    /// Where the next byte is; the bytes outlive the send, as [`crate::server::Protocol`] promises.
    pub bytes: *const u8,
    /// How many bytes are left.
    pub len: u32,
}
