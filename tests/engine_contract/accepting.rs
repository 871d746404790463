//! Listeners: accepting, stopping, running out of descriptors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use downpour::engine::{Completion, Engine, ReceiveEnd, SocketId, Wait};
use rustix::io::Errno as Kernel;

use crate::rig::*;

fn echo<S: Read + Write, E: Engine>(rig: &mut Rig<E>, socket: SocketId, peer: &mut S) {
    rig.engine.receive(socket);
    for n in 0..300 {
        let message = noise(1 + n * 7 % 900, n as u32);
        peer.write_all(&message).unwrap();
        let received = rig.receive_exactly(socket, message.len());
        assert_eq!(received, message);
        rig.send(socket, &received);
        let mut echoed = vec![0; message.len()];
        peer.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, message);
    }
    rig.close(socket, true);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the peer hears the close");
}

/// Accept, one arm for many messages, sends, close; over TCP.
pub(crate) fn accepts_and_echoes_over_tcp<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    echo(&mut rig, socket, &mut peer);
}

pub(crate) fn accepts_and_echoes_over_unix<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.unix_pair();
    echo(&mut rig, socket, &mut peer);
}

pub(crate) fn accepts_many_from_several_listeners<E: Engine>(mut rig: Rig<E>) {
    let (tcp, address) = rig.listen_tcp();
    let (unix, path) = rig.listen_unix();
    assert_ne!(tcp, unix);
    rig.engine.accept(tcp);
    rig.engine.accept(unix);
    let tcp_peers: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let unix_peers: Vec<_> = (0..20)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    let mut of_tcp = Vec::new();
    let mut of_unix = Vec::new();
    while of_tcp.len() < tcp_peers.len() || of_unix.len() < unix_peers.len() {
        let (listener, socket) = rig.until("a connection", |completion| match completion {
            Completion::Accepted { listener, socket } => Some((*listener, *socket)),
            _ => None,
        });
        if listener == tcp {
            &mut of_tcp
        } else {
            &mut of_unix
        }
        .push(socket);
    }
    // Every one of them works: the peers ask in turn, over far fewer buffers than connections.
    for socket in of_tcp.iter().chain(&of_unix) {
        rig.engine.receive(*socket);
    }
    for mut peer in tcp_peers.iter() {
        peer.write_all(b"?").unwrap();
    }
    for mut peer in unix_peers.iter() {
        peer.write_all(b"?").unwrap();
    }
    for socket in of_tcp.iter().chain(&of_unix) {
        assert_eq!(rig.receive_exactly(*socket, 1), b"?");
        rig.engine.send(*socket, batch_of(b"!"), false);
    }
    for socket in of_tcp.iter().chain(&of_unix) {
        assert_eq!(rig.sent(*socket).1, Ok(()));
    }
    for mut peer in tcp_peers.iter() {
        let mut answer = [0];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"!");
    }
    for socket in of_tcp.into_iter().chain(of_unix) {
        rig.close(socket, true);
    }
}

pub(crate) fn stops_accepting_and_starts_again<E: Engine>(mut rig: Rig<E>) {
    let (listener, address) = rig.listen_tcp();
    rig.engine.accept(listener);
    let _first = TcpStream::connect(address).unwrap();
    let first = rig.accepted();
    rig.engine.stop_accepting(listener);
    let error = rig.until("the stop", |completion| match completion {
        Completion::AcceptStopped {
            listener: of,
            error,
        } if *of == listener => Some(*error),
        _ => None,
    });
    assert_eq!(error, None);
    let mut second = TcpStream::connect(address).unwrap();
    let quiet = rig.completed_within(Duration::from_millis(50));
    assert!(quiet.is_empty(), "{quiet:?}");
    rig.engine.accept(listener);
    let socket = rig.accepted();
    rig.send(socket, b"late");
    let mut late = [0; 4];
    second.read_exact(&mut late).unwrap();
    assert_eq!(&late, b"late");
    rig.engine.stop_accepting(listener);
    rig.until("the stop", |completion| {
        matches!(completion, Completion::AcceptStopped { .. }).then_some(())
    });
    rig.engine.close_listener(listener);
    rig.turn(Wait::Poll);
    assert!(TcpStream::connect(address).is_err(), "nobody listens there");
    rig.close(first, false);
    rig.close(socket, false);
}

pub(crate) fn out_of_descriptors<E: Engine>(mut rig: Rig<E>) {
    let (listener, address) = rig.listen_tcp();
    assert!(!rig.engine.shed(listener), "none waits");
    // Before accepting begins: io_uring remembers the limit of that moment.
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = Some(256);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    rig.engine.accept(listener);
    rig.turn(Wait::Poll);
    // The peers have their descriptors before there are no more.
    let new_socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let peers: Vec<_> = (0..3).map(|_| new_socket().unwrap()).collect();
    let mut taken = Vec::new();
    while let Ok(fd) = rustix::io::dup(peers[0].as_fd()) {
        taken.push(fd);
    }
    for peer in &peers {
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.connect(&address.into()).unwrap();
    }
    let error = rig.until("the end of accepting", |completion| match completion {
        Completion::AcceptStopped { error, .. } => Some(*error),
        _ => None,
    });
    assert_eq!(error, Some(kernel(Kernel::MFILE)));
    for mut peer in peers.iter().take(2) {
        assert!(rig.engine.shed(listener), "one waits");
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "its peer hears a close");
    }
    // With descriptors again, the third is served.
    taken.truncate(taken.len() - 8);
    rig.engine.accept(listener);
    let socket = rig.accepted();
    rig.send(socket, b"served");
    let mut served = [0; 6];
    let mut third = &peers[2];
    third.read_exact(&mut served).unwrap();
    assert_eq!(&served, b"served");
    assert!(!rig.engine.shed(listener), "none waits");
    rig.close(socket, false);
}

/// The queue holds connections whose peer is gone: they are accepted all the same, and end.
pub(crate) fn accepts_a_peer_that_has_left_already<E: Engine>(mut rig: Rig<E>) {
    let (listener, address) = rig.listen_tcp();
    for reset in [false, true] {
        let peer =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        peer.connect(&address.into()).unwrap();
        if reset {
            peer.set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(peer);
    }
    rig.engine.accept(listener);
    for _ in 0..2 {
        let socket = rig.accepted();
        rig.engine.receive(socket);
        let end = rig.receive_end(socket);
        assert!(
            matches!(end, ReceiveEnd::Eof | ReceiveEnd::Failed(_)),
            "{end:?}"
        );
        rig.close(socket, false);
    }
}
