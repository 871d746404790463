//! RFC 9218: priorities as they come, and the turns they lead to.

use super::*;

fn request_of(stream: u32, priority: &str) -> Vec<u8> {
    let mut fields = GET.to_vec();
    fields.push(("priority", priority));
    headers(stream, WHOLE, &fields)
}

fn priority_update(stream: u32, value: &str) -> Vec<u8> {
    let payload = [&stream.to_be_bytes()[..], value.as_bytes()].concat();
    frame(Kind::PriorityUpdate, 0, 0, &payload)
}

/// Who had the next turns of 1000 bytes.
fn turns(rig: &mut Rig, count: usize) -> Vec<u32> {
    std::iter::from_fn(|| rig.turn(1000))
        .take(count)
        .map(|(stream, _)| stream)
        .collect()
}

/// RFC 9218 §5, §10
#[test]
fn answers_leave_by_urgency_then_in_order_or_in_turns() {
    let mut rig = Rig::new();
    for (stream, priority) in [(1, "u=5"), (3, "u=1"), (5, "i"), (7, "u=3, i"), (9, "u=1")] {
        assert_eq!(rig.feed(&request_of(stream, priority)).len(), 1);
        rig.queue(stream, 2000);
    }
    let order = turns(&mut rig, usize::MAX);
    assert_eq!(order, [3, 3, 9, 9, 5, 7, 5, 7, 1, 1]);
}

/// RFC 9218 §7.1
#[test]
fn priority_updates_move_streams() {
    let mut rig = Rig::new();
    rig.open(&[1, 3, 5]);
    for stream in [1, 3, 5] {
        rig.queue(stream, 3000);
    }
    assert_eq!(turns(&mut rig, 1), [1]);
    assert_eq!(rig.feed(&priority_update(5, "u=0")), []);
    assert_eq!(turns(&mut rig, 2), [5, 5]);
    assert_eq!(rig.feed(&priority_update(5, "u=7, i")), []);
    assert_eq!(turns(&mut rig, usize::MAX), [1, 1, 3, 3, 3, 5]);
    // Closed streams are no matter.
    assert_eq!(rig.feed(&priority_update(1, "u=0")), []);
    rig.expect_alive();
}

/// RFC 9218 §7.1: it may come before its request, and counts for more than the field.
#[test]
fn priority_updates_may_come_early() {
    let mut rig = Rig::new();
    rig.feed(&priority_update(3, "u=6"));
    rig.feed(&priority_update(3, "u=0"));
    for stream in [1, 3] {
        rig.feed(&request_of(stream, "u=2"));
        rig.queue(stream, 1000);
    }
    assert_eq!(turns(&mut rig, 2), [3, 1]);
}

/// RFC 9218 §7.1
#[test]
fn priority_updates_of_wrong_streams() {
    for stream in [0, 2, 0x7fff_fffe, 1 << 31] {
        Rig::new().expect_failure(&priority_update(stream, "u=1"), ErrorCode::PROTOCOL_ERROR);
    }
    // Idle ones and those that are open together keep to the limit of streams.
    let limits = H2Settings {
        max_concurrent_streams: 3,
        ..H2Settings::default()
    };
    let mut rig = Rig::with(&limits);
    rig.open(&[1]);
    for stream in [3, 5, 5, 3] {
        assert_eq!(rig.feed(&priority_update(stream, "u=1")), []);
    }
    rig.expect_failure(&priority_update(7, "u=1"), ErrorCode::PROTOCOL_ERROR);
}

/// A body without bytes at hand lets others pass.
#[test]
fn blocked_streams_wait_aside() {
    let mut rig = Rig::new();
    rig.open(&[1, 3]);
    rig.queue(1, 2000);
    rig.queue(3, 2000);
    rig.core.set_blocked(StreamId(1));
    assert_eq!(turns(&mut rig, 1), [3]);
    rig.core.set_ready(StreamId(1));
    assert_eq!(turns(&mut rig, 1), [1]);
    assert_eq!(rig.core.body_mut(StreamId(1)).copied(), Some(1000));
    rig.core.set_blocked(StreamId(1));
    rig.core.set_blocked(StreamId(3));
    assert!(!rig.core.wants_to_send() && rig.core.has_waiting_bodies());
    // Its window does not make it ready.
    rig.feed(&window_update(1, 5));
    assert!(rig.core.next_turn().is_none());
    let code = ErrorCode::INTERNAL_ERROR;
    let body = rig.core.reset(StreamId(1), code, &mut rig.out);
    assert_eq!(body, Some(1000));
    rig.core.set_ready(StreamId(1));
    rig.core.set_ready(StreamId(3));
    assert_eq!(turns(&mut rig, 2), [3]);
}

/// A stream without a window does not hold others up.
#[test]
fn a_shut_window_lets_others_pass() {
    let mut rig = Rig::new();
    rig.feed(&settings(&[(INITIAL_WINDOW_SIZE, 0)]));
    rig.open(&[1, 3]);
    rig.queue(1, 2000);
    rig.queue(3, 2000);
    rig.feed(&window_update(3, 1500));
    assert_eq!(rig.pump(), [(3, 1500)]);
    rig.feed(&settings(&[(INITIAL_WINDOW_SIZE, 700)]));
    assert_eq!(rig.pump(), [(1, 700), (3, 500)]);
}

/// The fast lane does not overtake those that wait, unless it is more urgent.
#[test]
fn room_now_is_fair() {
    let mut rig = Rig::new();
    rig.open(&[1]);
    assert_eq!(rig.core.room_now(StreamId(1)), 16_384);
    rig.queue(1, 1000);
    assert_eq!(rig.core.room_now(StreamId(1)), 0);
    rig.open(&[3]);
    assert_eq!(rig.core.room_now(StreamId(3)), 0);
    rig.feed(&request_of(5, "u=0"));
    assert_eq!(rig.core.room_now(StreamId(5)), 16_384);
    assert_eq!(rig.pump(), [(1, 1000)]);
    assert_eq!(rig.core.room_now(StreamId(3)), 16_384);
    // The connection's window bounds it, too.
    rig.queue(5, 65_535 - 1000 - 10);
    rig.pump();
    assert_eq!(rig.core.room_now(StreamId(3)), 10);
}

/// A body of unknown length ends when its owner says so.
#[test]
fn a_body_of_unknown_length() {
    let mut rig = Rig::new();
    rig.open(&[1]);
    assert!(rig.respond(1, false));
    rig.core.queue_body(StreamId(1), 7, UNKNOWN_LENGTH);
    let turn = rig.core.next_turn().unwrap();
    assert_eq!(
        (turn.max, turn.rest, *turn.body),
        (16_384, UNKNOWN_LENGTH, 7)
    );
    rig.core.write_data(StreamId(1), 5, false, &mut rig.out);
    assert!(rig.core.wants_to_send());
    // Trailers end it as well.
    assert!(rig.respond(1, true));
    assert_eq!(rig.core.open_streams(), 0);
    assert!(!rig.core.wants_to_send());
}
