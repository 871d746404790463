//! How far a peer has come in taking our bytes: what tells a slow reader from a dead one.
//!
//! Raw system calls, because no crate of ours reads `tcpi_bytes_acked` or `SIOCOUTQ` safely.
#![allow(unsafe_code)]

use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsFd, AsRawFd};

/// The start of the kernel's `struct tcp_info`, up to the field that we read (Linux 4.1).
#[repr(C)]
struct TcpInfo {
    bytes: [u8; 8],
    words: [u32; 24],
    pacing_rate: u64,
    pacing_rate_max: u64,
    bytes_acked: u64,
}

const _: () = assert!(offset_of!(TcpInfo, bytes_acked) == 120);

/// A number that grows as the peer takes bytes. `handed` is how many bytes the caller knows that
/// the kernel accepted on this socket since it was opened.
///
/// TCP counts acknowledged bytes. Elsewhere (Unix sockets) the order is: `handed` first, then the
/// emptiness of the send queue. An engine that does not hear of partial sends may see the number
/// fall when the queue is refilled; it never stands still while the peer reads.
pub fn send_progress(socket: impl AsFd, handed: u64) -> u64 {
    const QUEUED_BITS: u32 = 24;
    const QUEUED_MAX: u64 = (1 << QUEUED_BITS) - 1;
    tcp_bytes_acked(&socket).unwrap_or_else(|| {
        let queued = queued_bytes(&socket).unwrap_or(0).min(QUEUED_MAX);
        (handed << QUEUED_BITS) | (QUEUED_MAX - queued)
    })
}

/// Bytes that the peer's kernel has acknowledged; `None` when this is not a TCP socket.
fn tcp_bytes_acked(socket: impl AsFd) -> Option<u64> {
    let mut info = MaybeUninit::<TcpInfo>::zeroed();
    let mut len = size_of::<TcpInfo>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes, which is the size of `info`; both live here.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut len,
        )
    };
    if result != 0 || (len as usize) < size_of::<TcpInfo>() {
        return None;
    }
    // SAFETY: plain integers, all initialised: zeroed first, then filled by the kernel.
    Some(unsafe { info.assume_init() }.bytes_acked)
}

/// Memory that unread bytes hold in the send queue.
fn queued_bytes(socket: impl AsFd) -> Option<u64> {
    let mut queued: libc::c_int = 0;
    // SAFETY: `SIOCOUTQ` (the same number as `TIOCOUTQ`) writes one int, which lives here.
    let result =
        unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut queued) };
    (result == 0).then(|| u64::try_from(queued).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    #[test]
    fn grows_on_tcp_as_bytes_are_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let before = send_progress(&ours, 0);
        ours.write_all(&[7; 1000]).unwrap();
        peer.read_exact(&mut [0; 1000]).unwrap();
        for _ in 0..1000 {
            if send_progress(&ours, 0) >= before + 1000 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("1000 bytes were read, but not counted as acknowledged");
    }

    #[test]
    fn grows_on_unix_sockets_as_the_peer_reads_and_as_we_hand_over() {
        let (mut ours, mut peer) = UnixStream::pair().unwrap();
        ours.write_all(&[7; 1000]).unwrap();
        let unread = send_progress(&ours, 1000);
        peer.read_exact(&mut [0; 1000]).unwrap();
        let read = send_progress(&ours, 1000);
        assert!(read > unread);
        ours.write_all(&[7; 1000]).unwrap();
        assert!(send_progress(&ours, 2000) > read);
    }
}
