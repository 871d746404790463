//! Sending: whole batches to slow, fast and vanished peers.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use downpour::engine::{Completion, Engine, ReceiveEnd, SocketId, Wait};
use rustix::io::Errno as Kernel;

use crate::rig::*;

fn send_to_slow_reader<S: Read + Send + 'static, E: Engine>(
    rig: &mut Rig<E>,
    socket: SocketId,
    mut peer: S,
) {
    let (batch, whole) = mixed_batch(300, 20_000);
    let len = whole.len();
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        let mut all = Vec::new();
        let mut buf = vec![0; 7_000];
        while all.len() < len {
            let read = peer.read(&mut buf).unwrap();
            assert!(read > 0, "closed after {} of {len}", all.len());
            all.extend_from_slice(&buf[..read]);
            if all.len() % 29 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        (all, peer)
    });
    let before = rig.engine.send_progress(socket);
    rig.engine.send(socket, batch, false);
    let (mut batch, result) = rig.sent(socket);
    assert_eq!((result, batch.len()), (Ok(()), len));
    let (received, peer) = reader.join().unwrap();
    assert!(received == whole, "the bytes are those of the batch");
    assert!(rig.engine.send_progress(socket) > before);
    // The batch came home to be used again.
    batch.clear();
    batch.push(b"again");
    rig.engine.send(socket, batch, false);
    assert_eq!(rig.sent(socket).1, Ok(()));
    rig.close(socket, false);
    drop(peer);
}

pub(crate) fn sends_all_of_a_large_batch_to_a_slow_reader_over_tcp<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.pair();
    send_to_slow_reader(&mut rig, socket, peer);
}

pub(crate) fn sends_all_of_a_large_batch_to_a_slow_reader_over_unix<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.unix_pair();
    send_to_slow_reader(&mut rig, socket, peer);
}

/// Small and large sends, one after the other, while bytes come in: no wake-up is lost.
pub(crate) fn sends_and_receives_at_the_same_time<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.unix_pair();
    let mut reader = peer.try_clone().unwrap();
    let mut writer = peer;
    let incoming = noise(200_000, 4);
    let copy = incoming.clone();
    let writing = thread::spawn(move || {
        for chunk in copy.chunks(1_000) {
            writer.write_all(chunk).unwrap();
        }
    });
    let outgoing: Vec<Vec<u8>> = (0..40)
        .map(|n| noise(if n % 4 == 0 { 700_000 } else { 300 }, n))
        .collect();
    let expected: Vec<u8> = outgoing.concat();
    let expected_len = expected.len();
    let reading = thread::spawn(move || {
        let mut all = vec![0; expected_len];
        reader.read_exact(&mut all).unwrap();
        all
    });
    rig.engine.receive(socket);
    let mut received = Vec::new();
    for bytes in outgoing {
        rig.engine.send(socket, batch_of(&bytes), false);
        if received.len() < incoming.len() {
            match rig.received(socket) {
                Ok(bytes) => received.extend(bytes),
                Err(ReceiveEnd::Starved | ReceiveEnd::Stopped) => rig.engine.receive(socket),
                Err(end) => panic!("{end:?}"),
            }
        }
        assert_eq!(rig.sent(socket).1, Ok(()));
    }
    let rest = incoming.len() - received.len();
    received.extend(rig.receive_exactly(socket, rest));
    assert!(received == incoming);
    writing.join().unwrap();
    assert!(reading.join().unwrap() == expected);
    rig.close(socket, true);
}

pub(crate) fn an_empty_batch_is_sent_at_once<E: Engine>(mut rig: Rig<E>) {
    let (socket, _peer) = rig.pair();
    rig.send(socket, b"");
    rig.close(socket, false);
}

pub(crate) fn flush_sends_without_collecting<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.send(socket, batch_of(b"now"), false);
    rig.engine.flush();
    let mut now = [0; 3];
    peer.read_exact(&mut now).unwrap();
    assert_eq!(&now, b"now");
    assert_eq!(rig.sent(socket).1, Ok(()));
    rig.close(socket, false);
}

pub(crate) fn a_reset_ends_send_and_receive<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.pair();
    rig.engine.receive(socket);
    let (batch, _) = mixed_batch(2_000, 10_000);
    rig.engine.send(socket, batch, false);
    let quiet = rig.completed_within(Duration::from_millis(50));
    assert!(
        !quiet.iter().any(|c| matches!(c, Completion::Sent { .. })),
        "20 MB fit nowhere"
    );
    // Closing with unread bytes resets the connection (RFC 9293, 3.10.7.1).
    drop(peer);
    let (_, result) = rig.sent(socket);
    let errno = result.expect_err("the peer is gone");
    assert!(
        [kernel(Kernel::CONNRESET), kernel(Kernel::PIPE)].contains(&errno),
        "{errno:?}"
    );
    // One of the two operations gets the reset, the other may see only an end.
    let end = rig.receive_end(socket);
    assert!(
        matches!(end, ReceiveEnd::Failed(_) | ReceiveEnd::Eof),
        "{end:?}"
    );
    rig.close(socket, false);
}

pub(crate) fn a_send_to_a_closed_peer_fails_and_kills_nobody<E: Engine>(mut rig: Rig<E>) {
    let (socket, peer) = rig.unix_pair();
    drop(peer);
    rig.engine.send(socket, batch_of(b"x"), false);
    let errno = rig.sent(socket).1.expect_err("the peer is gone");
    assert!(
        [kernel(Kernel::CONNRESET), kernel(Kernel::PIPE)].contains(&errno),
        "{errno:?}"
    );
    rig.close(socket, false);
}

/// One peer takes whatever it gets, so that our sends never wait; the others are heard meanwhile.
pub(crate) fn a_busy_sender_does_not_hold_up_others<E: Engine>(mut rig: Rig<E>) {
    let (busy, mut busy_peer) = rig.pair();
    let (quiet, mut quiet_peer) = rig.pair();
    rig.engine.receive(quiet);
    rig.turn(Wait::Poll);
    let reader = thread::spawn(move || {
        let mut buf = vec![0; 1 << 20];
        while busy_peer.read(&mut buf).unwrap() > 0 {}
    });
    quiet_peer.write_all(b"hello").unwrap();
    rig.engine.waker().wake();
    rig.engine.send(busy, batch_of(b"tick"), false);
    let (mut heard, mut woken) = (false, false);
    for turn in 0.. {
        assert!(turn < 1_000, "heard: {heard}, woken: {woken}");
        if heard && woken {
            break;
        }
        rig.turn(Wait::Block);
        while let Some(completion) = rig.queue.pop_front() {
            match completion {
                Completion::Sent {
                    socket,
                    batch,
                    result,
                } => {
                    assert_eq!((socket, result), (busy, Ok(())));
                    rig.engine.send(busy, batch, false);
                }
                Completion::Received { socket, received } => {
                    assert_eq!(socket, quiet);
                    rig.engine.recycle(received);
                    heard = true;
                }
                Completion::Woken => woken = true,
                Completion::ReceiveEnded { socket, end } => {
                    assert_eq!((socket, end), (quiet, ReceiveEnd::Stopped));
                    rig.engine.receive(socket);
                }
                _ => {}
            }
        }
    }
    assert_eq!(rig.sent(busy).1, Ok(()));
    rig.close(busy, false);
    rig.close(quiet, true);
    rig.turn(Wait::Poll);
    reader.join().unwrap();
}
