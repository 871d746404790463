//! Who is at the other end of a socket.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

/// The address of the peer; `None` for a Unix socket, and where the connection is gone already.
pub fn peer_address(socket: impl AsFd) -> Option<IpAddr> {
    let address = rustix::net::getpeername(socket).ok().flatten()?;
    let address = SocketAddr::try_from(address).ok()?;
    Some(address.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_peer_has_the_address_that_it_connects_from() {
        for place in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(place).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let expected = client.local_addr().unwrap().ip();
            assert_eq!(peer_address(&accepted), Some(expected));
        }
    }

    #[test]
    fn an_address_of_ipv4_is_one_also_where_it_comes_by_ipv6() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(peer_address(&accepted), Some([127, 0, 0, 1].into()));
    }

    #[test]
    fn a_unix_socket_has_none() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(peer_address(&one), None);
    }
}
