//! What a peer did wrong, as a value, and the one place that says what the wire answer is.

use super::Status;

/// A request that cannot be understood or will not be accepted. It is answered with its status and
/// the connection ends, since where the next request begins cannot be trusted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The status of the answer.
    pub status: Status,
    /// One short sentence for the person who debugs the client.
    pub reason: &'static str,
}

impl Fault {
    /// 400: the request breaks the grammar or its framing is ambiguous.
    pub const fn bad_request(reason: &'static str) -> Fault {
        Fault {
            status: Status::BAD_REQUEST,
            reason,
        }
    }

    /// A fault with another status than 400.
    pub const fn new(status: Status, reason: &'static str) -> Fault {
        Fault { status, reason }
    }
}
