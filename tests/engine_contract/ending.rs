//! Cancelling and closing, and ids that name nothing any more.

use std::ffi::CString;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use downpour::base::Id;
use downpour::engine::{
    Completion, Engine, FileRange, FileSent, Links, Operation, OperationId, ReceiveEnd, Wait,
};

use crate::rig::*;

pub(crate) fn cancel_ends_whatever_is_in_flight<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.receive(socket);
    let (batch, whole) = mixed_batch(2_000, 10_000);
    rig.engine.send(socket, batch, false);
    rig.completed_within(Duration::from_millis(30));
    rig.engine.cancel(socket);
    let (batch, result) = rig.sent(socket);
    assert!(result.is_err());
    assert_eq!(batch.len(), whole.len(), "the batch comes home whole");
    assert!(matches!(
        rig.receive_end(socket),
        ReceiveEnd::Stopped | ReceiveEnd::Eof | ReceiveEnd::Failed(_)
    ));
    rig.engine.close(socket);
    let mut got = Vec::new();
    let _ = peer.read_to_end(&mut got);
    assert!(got.len() < whole.len());
    assert!(whole.starts_with(&got), "what was sent is a beginning");
    let quiet = rig.completed_within(Duration::from_millis(30));
    assert!(!quiet.iter().any(|c| matches!(
        c,
        Completion::Sent { .. } | Completion::ReceiveEnded { .. } | Completion::Received { .. }
    )));
}

pub(crate) fn cancel_ends_a_poll<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.unix_pair();
    let file = rig.scratch.path().join("large");
    std::fs::write(&file, noise(8_000_000, 5)).unwrap();
    let mut range = FileRange {
        file: shared_file(&file),
        offset: 0,
        len: 8_000_000,
    };
    loop {
        match rig.engine.send_file(socket, &range) {
            FileSent::Sent { bytes, .. } => range.offset += bytes,
            FileSent::WouldBlock => break,
            other => panic!("{other:?}"),
        }
        range.len = 8_000_000 - range.offset;
    }
    // It may say so at once, when it has not asked yet; then the next attempt finds no room.
    rig.engine.poll_writable(socket);
    rig.completed_within(Duration::from_millis(30));
    rig.engine.cancel(socket);
    rig.writable(socket);
    rig.engine.close(socket);
    drop(peer);
}

pub(crate) fn closing_after_a_stopped_receive_reaches_the_peer<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.receive(socket);
    rig.turn(Wait::Poll);
    rig.engine.stop_receiving(socket);
    assert_eq!(rig.receive_end(socket), ReceiveEnd::Stopped);
    rig.engine.close(socket);
    rig.turn(Wait::Poll);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

pub(crate) fn stale_ids_name_nothing<E: Engine>(mut rig: Rig<E>) {
    let (stale, _peer) = rig.pair();
    rig.close(stale, false);
    let (socket, mut peer) = rig.pair();
    assert_ne!(stale, socket);
    rig.until("both stops", |c| {
        matches!(c, Completion::AcceptStopped { .. }).then_some(())
    });
    rig.until("both stops", |c| {
        matches!(c, Completion::AcceptStopped { .. }).then_some(())
    });
    let file = shared_file(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("Cargo.toml")
            .as_path(),
    );
    let range = FileRange {
        file,
        offset: 0,
        len: 1,
    };
    rig.engine.receive(stale);
    rig.engine.stop_receiving(stale);
    rig.engine.send(stale, batch_of(b"to nobody"), false);
    assert!(matches!(
        rig.engine.send_file(stale, &range),
        FileSent::Failed(_)
    ));
    rig.engine.poll_writable(stale);
    rig.engine.send_progress(stale);
    rig.engine.shutdown_write(stale);
    rig.engine.cancel(stale);
    rig.engine.close(stale);
    let quiet = rig.completed_within(Duration::from_millis(30));
    assert!(quiet.is_empty(), "{quiet:?}");
    // The one in the same slot is unharmed.
    rig.send(socket, b"here");
    let mut here = [0; 4];
    peer.read_exact(&mut here).unwrap();
    assert_eq!(&here, b"here");
    rig.close(socket, false);
}

/// A receive that is still armed ends with its socket, unheard, and keeps no buffer.
pub(crate) fn closing_ends_an_armed_receive<E: Engine>(mut rig: Rig<E>) {
    let buffers = usize::from(small_settings().recv_buffers);
    for n in 0..3 * buffers {
        let (socket, mut peer) = rig.pair();
        rig.engine.receive(socket);
        // Idle, with bytes under way, and with bytes that the engine has not told us of yet.
        if n % 3 > 0 {
            peer.write_all(b"unheard").unwrap();
        }
        if n % 3 > 1 {
            rig.engine.flush();
        }
        rig.engine.close(socket);
        rig.turn(Wait::Poll);
        match peer.read(&mut [0]) {
            Ok(read) => assert_eq!(read, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let is_unheard = !rig
            .completed_within(Duration::ZERO)
            .iter()
            .any(|completion| {
                matches!(
                    completion,
                    Completion::Received { .. } | Completion::ReceiveEnded { .. }
                )
            });
        assert!(is_unheard);
    }
    let (socket, mut peer) = rig.pair();
    rig.engine.receive(socket);
    let bytes = noise(buffers * small_settings().recv_buffer_bytes as usize, 1);
    peer.write_all(&bytes).unwrap();
    assert!(rig.receive_exactly(socket, bytes.len()) == bytes);
    rig.close(socket, true);
}

pub(crate) fn slots_are_used_again_under_churn<E: Engine>(mut rig: Rig<E>) {
    let (listener, address) = rig.listen_tcp();
    rig.engine.accept(listener);
    let client = thread::spawn(move || {
        for n in 0..200u32 {
            let mut peer = TcpStream::connect(address).unwrap();
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
            peer.write_all(&n.to_ne_bytes()).unwrap();
            let mut answer = Vec::new();
            peer.read_to_end(&mut answer).unwrap();
            assert_eq!(answer, n.to_ne_bytes());
        }
    });
    let mut indices = std::collections::HashSet::new();
    for _ in 0..200 {
        let socket = rig.accepted();
        indices.insert(socket.0.index);
        rig.engine.receive(socket);
        let question = rig.receive_exactly(socket, 4);
        rig.send(socket, &question);
        rig.close(socket, true);
    }
    client.join().unwrap();
    assert!(indices.len() <= 4, "slots are used again: {indices:?}");
}

/// Dropping an engine closes what it holds, whatever the kernel is doing with it.
pub(crate) fn an_engine_ends_with_everything_in_flight<E: Engine>(mut rig: Rig<E>) {
    let (listener, address) = rig.listen_tcp();
    rig.engine.accept(listener);
    let (receiving, mut receiving_peer) = rig.pair();
    let (sending, mut sending_peer) = rig.pair();
    rig.engine.set_ticking(true);
    rig.engine.receive(receiving);
    let (batch, whole) = mixed_batch(2_000, 10_000);
    rig.engine.send(sending, batch, false);
    rig.completed_within(Duration::from_millis(20));
    let root = shared_file(rig.scratch.path());
    for index in 0..50 {
        let id = OperationId(Id {
            index,
            generation: 0,
        });
        let (root, path) = (Arc::clone(&root), CString::new("none").unwrap());
        let links = Links::Inside;
        rig.engine.start(id, Operation::Find { root, path, links });
    }
    rig.engine.flush();
    drop(rig);
    assert_eq!(receiving_peer.read(&mut [0]).unwrap(), 0);
    let mut got = Vec::new();
    let _ = sending_peer.read_to_end(&mut got);
    assert!(got.len() < whole.len() && whole.starts_with(&got));
    assert!(TcpStream::connect(address).is_err(), "nobody listens there");
}
