//! RFC 9113 §6.8 and §5.4.1: the end of a connection.

use super::*;

fn goaways(sent: &[Sent]) -> Vec<(u32, u32)> {
    let word =
        |payload: &[u8], at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
    let frames = sent.iter().filter(|sent| sent.kind == Kind::Goaway);
    frames
        .map(|sent| (word(&sent.payload, 0), word(&sent.payload, 4)))
        .collect()
}

/// §6.8
#[test]
fn a_drain_announces_itself_and_loses_no_request() {
    let mut rig = Rig::new();
    rig.open(&[1]);
    rig.core.begin_drain(&mut rig.out);
    rig.core.begin_drain(&mut rig.out);
    let sent = rig.sent();
    assert_eq!(goaways(&sent), [(0x7fff_ffff, 0)]);
    let ping = sent.last().unwrap();
    assert_eq!((ping.kind, ping.flags, sent.len()), (Kind::Ping, 0, 2));
    assert!(!rig.core.is_drained());
    // A request that crossed the word is served.
    rig.open(&[3]);
    assert_eq!(rig.feed(&frame(Kind::Ping, ACK, 0, b"another.")), []);
    assert_eq!(rig.sent(), []);
    assert_eq!(rig.feed(&frame(Kind::Ping, ACK, 0, &ping.payload)), []);
    assert_eq!(goaways(&rig.sent()), [(3, 0)]);
    // The peer knew when it sent this one.
    assert_eq!(rig.feed(&get(5)), []);
    assert_eq!(rig.feed(&data(5, 0, b"x")), []);
    assert_eq!(rig.feed(&rst_stream(5, 8)), []);
    assert_eq!(rig.sent(), []);
    rig.answer(1);
    assert!(!rig.core.is_drained());
    rig.answer(3);
    assert!(rig.core.is_drained());
    rig.core.goaway_now(ErrorCode::NO_ERROR, &mut rig.out);
    assert_eq!(goaways(&rig.sent()), []);
}

/// §6.8: a peer that does not answer is told anyway.
#[test]
fn a_drain_ends_without_the_peer() {
    let mut rig = Rig::new();
    rig.core.begin_drain(&mut rig.out);
    rig.core.goaway_now(ErrorCode::NO_ERROR, &mut rig.out);
    assert_eq!(goaways(&rig.sent()), [(0x7fff_ffff, 0), (0, 0)]);
    assert!(rig.core.is_drained());
    // §4.3: blocks of streams that are not taken still count for compression.
    let broken = frame(Kind::Headers, WHOLE, 1, b"\x40");
    rig.feed(&broken);
    let sent = rig.sent();
    assert_eq!(goaways(&sent), [(0, ErrorCode::COMPRESSION_ERROR.0)]);
}

/// §5.4.1: GOAWAY names the last stream that was taken.
#[test]
fn a_failure_names_the_last_stream() {
    let mut rig = Rig::new();
    rig.open(&[1, 3, 7]);
    rig.queue(3, 100);
    assert_eq!(rig.feed(&frame(Kind::Ping, 0, 3, &[0; 8])), [Seen::Closed]);
    assert_eq!(goaways(&rig.sent()), [(7, ErrorCode::PROTOCOL_ERROR.0)]);
    assert_eq!(rig.core.open_streams(), 0);
    assert!(!rig.respond(1, true) && !rig.core.has_waiting_bodies());
    rig.core.begin_drain(&mut rig.out);
    rig.core.goaway_now(ErrorCode::INTERNAL_ERROR, &mut rig.out);
    assert_eq!(rig.sent(), []);
}

/// The owner may end it with a code of its own.
#[test]
fn the_owner_may_end_a_connection() {
    let mut rig = Rig::new();
    rig.open(&[1]);
    rig.core
        .goaway_now(ErrorCode::ENHANCE_YOUR_CALM, &mut rig.out);
    assert_eq!(goaways(&rig.sent()), [(1, ErrorCode::ENHANCE_YOUR_CALM.0)]);
    assert_eq!(rig.feed(&get(3)), [Seen::Closed]);
}
