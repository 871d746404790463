//! What the loop knows of one connection.

use std::ptr;

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

/// A part of what the protocol gave to be sent. The bytes outlive the send, as
/// [`crate::server::Protocol`] promises.
pub enum Send {
    /// One piece: where the next byte is, and how many are left.
    Bytes(*const u8, u32),
    /// Several, in order.
    Pieces(Box<Message>),
}

/// The pieces that are left and the kernel's description of them, which must not move while a
/// submission names it.
pub struct Message {
    pub header: libc::msghdr,
    pieces: Vec<libc::iovec>,
    first: usize,
}

impl Send {
    /// What is left after the kernel took `count` bytes; none when it took all.
    pub fn after(self, count: usize) -> Option<Send> {
        match self {
            Send::Bytes(bytes, len) if count < len as usize => {
                Some(Send::Bytes(bytes.wrapping_add(count), len - count as u32))
            }
            Send::Bytes(..) => None,
            Send::Pieces(mut message) => {
                message.advance(count);
                (message.first < message.pieces.len()).then_some(Send::Pieces(message))
            }
        }
    }
}

impl Message {
    /// A message of `pieces`, of which there is at least one.
    pub fn new(pieces: impl Iterator<Item = libc::iovec>) -> Message {
        let mut message = Message {
            header: libc::msghdr {
                msg_name: ptr::null_mut(),
                msg_namelen: 0,
                msg_iov: ptr::null_mut(),
                msg_iovlen: 0,
                msg_control: ptr::null_mut(),
                msg_controllen: 0,
                msg_flags: 0,
            },
            pieces: pieces.collect(),
            first: 0,
        };
        message.describe();
        message
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.pieces.get_mut(self.first) {
            if count < piece.iov_len {
                piece.iov_base = piece.iov_base.wrapping_byte_add(count);
                piece.iov_len -= count;
                break;
            }
            count -= piece.iov_len;
            self.first += 1;
        }
        self.describe();
    }

    fn describe(&mut self) {
        let left = &mut self.pieces[self.first..];
        self.header.msg_iovlen = left.len();
        self.header.msg_iov = left.as_mut_ptr();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_of(send: Option<Send>) -> usize {
        match send {
            None => 0,
            Some(Send::Bytes(_, len)) => len as usize,
            Some(Send::Pieces(message)) => {
                assert_eq!(
                    message.header.msg_iovlen,
                    message.pieces.len() - message.first
                );
                let left = &message.pieces[message.first..];
                left.iter().map(|piece| piece.iov_len).sum()
            }
        }
    }

    #[test]
    fn what_the_kernel_took_is_passed_over_however_it_cuts() {
        let text = b"abcdef";
        let piece = |at: usize, len: usize| libc::iovec {
            iov_base: text[at..].as_ptr().cast_mut().cast(),
            iov_len: len,
        };
        for count in 0..=6 {
            let bytes = Send::Bytes(text.as_ptr(), 6);
            assert_eq!(left_of(bytes.after(count)), 6 - count);
            let message = Message::new([piece(0, 1), piece(1, 2), piece(3, 3)].into_iter());
            let rest = Send::Pieces(Box::new(message)).after(count);
            assert_eq!(left_of(rest), 6 - count);
        }
        let message = Message::new([piece(0, 3), piece(3, 3)].into_iter());
        let Some(Send::Pieces(rest)) = Send::Pieces(Box::new(message)).after(4) else {
            panic!("two bytes are left");
        };
        assert_eq!(
            rest.pieces[rest.first].iov_base.cast_const().cast(),
            &text[4]
        );
    }
}
