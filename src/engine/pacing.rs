//! How fast a socket sends: the kernel paces it, so that a bound costs us nothing.
//!
//! A raw system call, because no crate of ours wraps `SO_MAX_PACING_RATE`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Lets a TCP socket send at most so many bytes a second from now on.
pub fn set_send_rate(socket: impl AsFd, bytes_a_second: u64) -> io::Result<()> {
    // SAFETY: the kernel reads eight bytes, which live here, for the time of the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MAX_PACING_RATE,
            (&raw const bytes_a_second).cast(),
            size_of::<u64>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    #[test]
    fn what_is_paced_takes_its_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        set_send_rate(&server, 1 << 20).unwrap();
        let sender = std::thread::spawn(move || server.write_all(&vec![7; 1 << 20]));
        let began = Instant::now();
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        sender.join().unwrap().unwrap();
        assert_eq!(received.len(), 1 << 20);
        let took = began.elapsed();
        // The first window may leave in one burst.
        assert!(took > Duration::from_millis(400), "{took:?}");
    }
}
