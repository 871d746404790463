//! Receiving: one arm for many messages, ends, starvation, back-pressure.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use downpour::engine::{Completion, Engine, ReceiveEnd, SocketId, Wait};

use crate::rig::*;

pub(crate) fn tells_eof_and_goes_on_sending<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.receive(socket);
    peer.write_all(b"last words").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rig.receive_exactly(socket, 10), b"last words");
    assert_eq!(rig.stream_end(socket), ReceiveEnd::Eof);
    rig.send(socket, b"answer");
    rig.engine.shutdown_write(socket);
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
    // Asking again gets the same answer.
    rig.engine.receive(socket);
    assert_eq!(rig.stream_end(socket), ReceiveEnd::Eof);
    rig.close(socket, false);
}

pub(crate) fn hears_an_end_that_comes_later<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.receive(socket);
    peer.write_all(b"x").unwrap();
    assert_eq!(rig.receive_exactly(socket, 1), b"x");
    let quiet = rig.completed_within(Duration::from_millis(30));
    let is_end = |completion: &Completion| match completion {
        Completion::ReceiveEnded { end, .. } => *end != ReceiveEnd::Stopped,
        _ => false,
    };
    assert!(!quiet.iter().any(is_end), "{quiet:?}");
    drop(peer);
    assert_eq!(rig.stream_end(socket), ReceiveEnd::Eof);
    rig.close(socket, false);
}

/// We say FIN first; the peer still sends, then ends.
/// Bytes and the end behind them, before the engine looks: both are heard.
pub(crate) fn hears_an_end_right_behind_bytes<E: Engine>(mut rig: Rig<E>) {
    rig.engine.set_ticking(true);
    for with_reset in [false, true, false, true] {
        let (socket, mut peer) = rig.pair();
        hears_last_words(&mut rig, socket, || {
            peer.write_all(b"last words").unwrap();
            if with_reset {
                let socket = socket2::SockRef::from(&peer);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(peer);
        });
    }
    let (listener, path) = rig.listen_unix();
    rig.engine.accept(listener);
    for _ in 0..4 {
        let mut peer = UnixStream::connect(&path).unwrap();
        let socket = rig.accepted();
        hears_last_words(&mut rig, socket, || {
            peer.write_all(b"last words").unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
        });
    }
}

fn hears_last_words<E: Engine>(rig: &mut Rig<E>, socket: SocketId, leave: impl FnOnce()) {
    rig.engine.receive(socket);
    rig.completed_within(Duration::from_millis(5));
    leave();
    loop {
        match rig.received(socket) {
            Ok(bytes) => assert!(bytes.len() <= 10),
            Err(ReceiveEnd::Stopped | ReceiveEnd::Starved) => rig.engine.receive(socket),
            Err(ReceiveEnd::Eof | ReceiveEnd::Failed(_)) => break,
        }
    }
    rig.engine.close(socket);
    rig.engine.flush();
}

pub(crate) fn half_closes_and_goes_on_receiving<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.send(socket, b"bye");
    rig.engine.shutdown_write(socket);
    rig.engine.receive(socket);
    let mut text = String::new();
    peer.read_to_string(&mut text).unwrap();
    assert_eq!(text, "bye");
    peer.write_all(b"well").unwrap();
    assert_eq!(rig.receive_exactly(socket, 4), b"well");
    drop(peer);
    assert_eq!(rig.stream_end(socket), ReceiveEnd::Eof);
    rig.close(socket, false);
}

pub(crate) fn starves_without_losing_a_byte<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    let sent = noise(100_000, 1);
    let copy = sent.clone();
    let writer = thread::spawn(move || {
        peer.write_all(&copy).unwrap();
        peer
    });
    rig.engine.receive(socket);
    let mut all = Vec::new();
    let mut starved = 0;
    while all.len() < sent.len() {
        // Nothing is given back before the engine has run dry (or everything is there).
        let mut held = Vec::new();
        let mut held_bytes = 0;
        let end = loop {
            if all.len() + held_bytes == sent.len() {
                break None;
            }
            let (end, completion) = rig.take("bytes or an end", |completion| match completion {
                Completion::Received { .. } => Some(None),
                Completion::ReceiveEnded { end, .. } => Some(Some(*end)),
                _ => None,
            });
            match completion {
                Completion::Received { received, .. } => {
                    held_bytes += rig.engine.bytes(&received).len();
                    held.push(received);
                }
                _ => break end,
            }
        };
        for received in held {
            all.extend_from_slice(rig.engine.bytes(&received));
            rig.engine.recycle(received);
        }
        match end {
            Some(ReceiveEnd::Starved) => {
                starved += 1;
                rig.engine.receive(socket);
            }
            // An engine may end an arm for reasons of its own.
            Some(ReceiveEnd::Stopped) => rig.engine.receive(socket),
            Some(end) => panic!("{end:?}"),
            None => {}
        }
    }
    assert!(all == sent, "the bytes are those that were sent");
    assert!(starved >= 2, "eight buffers of 1 KiB cannot hold 100 KB");
    drop(writer.join().unwrap());
    assert_eq!(rig.receive_end(socket), ReceiveEnd::Eof);
    rig.close(socket, false);
}

pub(crate) fn one_that_holds_all_buffers_starves_another_for_a_while_only<E: Engine>(
    mut rig: Rig<E>,
) {
    let (greedy, mut greedy_peer) = rig.pair();
    let (other, mut other_peer) = rig.pair();
    rig.engine.receive(greedy);
    greedy_peer.write_all(&noise(30_000, 2)).unwrap();
    let mut held = Vec::new();
    loop {
        let (starved, completion) = rig.take("starvation", |completion| match completion {
            Completion::Received { .. } => Some(false),
            Completion::ReceiveEnded { end, .. } => Some(*end == ReceiveEnd::Starved),
            _ => None,
        });
        match completion {
            Completion::Received { received, .. } => held.push(received),
            _ if starved => break,
            _ => rig.engine.receive(greedy),
        }
    }
    rig.engine.receive(other);
    other_peer.write_all(b"me too").unwrap();
    assert_eq!(rig.receive_end(other), ReceiveEnd::Starved);
    for received in held {
        rig.engine.recycle(received);
    }
    rig.engine.receive(other);
    assert_eq!(rig.receive_exactly(other, 6), b"me too");
    rig.close(other, true);
    rig.close(greedy, false);
}

pub(crate) fn stops_receiving_and_loses_nothing<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    // With nothing there.
    rig.engine.receive(socket);
    rig.turn(Wait::Poll);
    rig.engine.stop_receiving(socket);
    assert_eq!(rig.receive_end(socket), ReceiveEnd::Stopped);
    peer.write_all(b"quiet").unwrap();
    let quiet = rig.completed_within(Duration::from_millis(50));
    assert!(
        !quiet
            .iter()
            .any(|c| matches!(c, Completion::Received { .. })),
        "{quiet:?}"
    );
    rig.engine.receive(socket);
    assert_eq!(rig.receive_exactly(socket, 5), b"quiet");
    // In the middle of a stream, again and again.
    let sent = noise(50_000, 3);
    let copy = sent.clone();
    let writer = thread::spawn(move || {
        for chunk in copy.chunks(500) {
            peer.write_all(chunk).unwrap();
        }
        peer
    });
    rig.engine.stop_receiving(socket);
    let mut all = Vec::new();
    while all.len() < sent.len() {
        while let Ok(bytes) = rig.received(socket) {
            all.extend(bytes);
        }
        rig.engine.receive(socket);
        if all.len() < sent.len() {
            match rig.received(socket) {
                Ok(bytes) => all.extend(bytes),
                // Ended already: stopping it changes nothing, so there is nothing to wait for.
                Err(ReceiveEnd::Starved | ReceiveEnd::Stopped) => rig.engine.receive(socket),
                Err(end) => panic!("{end:?}"),
            }
        }
        rig.engine.stop_receiving(socket);
    }
    while let Ok(bytes) = rig.received(socket) {
        all.extend(bytes);
    }
    assert!(all == sent, "the bytes are those that were sent");
    drop(writer.join().unwrap());
    rig.close(socket, false);
}

pub(crate) fn bytes_can_be_changed_in_place<E: Engine>(mut rig: Rig<E>) {
    let (socket, mut peer) = rig.pair();
    rig.engine.receive(socket);
    peer.write_all(b"abc").unwrap();
    let (_, completion) = rig.take("bytes", |completion| {
        matches!(completion, Completion::Received { .. }).then_some(())
    });
    let Completion::Received { received, .. } = completion else {
        unreachable!()
    };
    rig.engine.bytes(&received).make_ascii_uppercase();
    assert_eq!(rig.engine.bytes(&received), b"ABC");
    rig.engine.recycle(received);
    rig.close(socket, true);
}
