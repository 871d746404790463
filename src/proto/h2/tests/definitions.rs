//! RFC 9113 §6 and §7: each frame type, its size and its place.

use super::super::flow::WINDOW_MAX;
use super::*;

/// §6.1, §6.2, §6.3, §6.4, §6.10
#[test]
fn frames_of_streams_name_a_stream() {
    for input in [
        data(0, END_STREAM, b"x"),
        get(0),
        frame(Kind::Priority, 0, 0, &[0; 5]),
        rst_stream(0, 8),
        frame(Kind::Continuation, END_HEADERS, 0, b""),
    ] {
        Rig::new().expect_failure(&input, ErrorCode::PROTOCOL_ERROR);
    }
}

/// §6.5, §6.7, §6.8, RFC 9218 §7.1
#[test]
fn frames_of_the_connection_name_none() {
    for input in [
        frame(Kind::Settings, 0, 1, b""),
        frame(Kind::Settings, ACK, 1, b""),
        frame(Kind::Ping, 0, 1, &[0; 8]),
        frame(Kind::Goaway, 0, 1, &[0; 8]),
        frame(Kind::PriorityUpdate, 0, 1, &[0, 0, 0, 1]),
    ] {
        let mut rig = Rig::new();
        rig.open(&[1]);
        rig.expect_failure(&input, ErrorCode::PROTOCOL_ERROR);
    }
}

/// §4.2, §6.4, §6.5, §6.7, §6.8, §6.9, RFC 9218 §7.1
#[test]
fn frames_of_a_wrong_size() {
    let cases: [(Kind, u8, u32, &[usize]); 8] = [
        (Kind::RstStream, 0, 1, &[0, 3, 5]),
        (Kind::Settings, 0, 0, &[1, 5, 7, 11]),
        (Kind::Settings, ACK, 0, &[1, 6]),
        (Kind::Ping, 0, 0, &[0, 6, 7, 9]),
        (Kind::Ping, ACK, 0, &[7, 9]),
        (Kind::Goaway, 0, 0, &[0, 7]),
        (Kind::WindowUpdate, 0, 0, &[0, 3, 5]),
        (Kind::PriorityUpdate, 0, 0, &[0, 3]),
    ];
    for (kind, flags, stream, sizes) in cases {
        for size in sizes {
            let mut rig = Rig::new();
            rig.open(&[1]);
            let input = frame(kind, flags, stream, &vec![0; *size]);
            rig.expect_failure(&input, ErrorCode::FRAME_SIZE_ERROR);
        }
    }
    // Too small for what the flags promise.
    for input in [
        data(1, PADDED, b""),
        frame(Kind::Headers, WHOLE | PADDED, 1, b""),
        frame(Kind::Headers, WHOLE | PRIORITY, 1, &[0; 4]),
        frame(Kind::Headers, WHOLE | PRIORITY | PADDED, 1, &[0; 5]),
    ] {
        let mut rig = Rig::new();
        rig.expect_failure(&input, ErrorCode::FRAME_SIZE_ERROR);
    }
}

/// §6.1, §6.2
#[test]
fn padding_is_taken_off() {
    let mut rig = Rig::new();
    let request = block(GET);
    let mut payload = vec![3];
    payload.extend_from_slice(&[0x80, 0, 0, 7, 255]);
    payload.extend_from_slice(&request);
    payload.extend_from_slice(&[0; 3]);
    let flags = END_HEADERS | PADDED | PRIORITY;
    let expected = Seen::Request {
        stream: 9,
        has_content: true,
    };
    assert_eq!(
        rig.feed(&frame(Kind::Headers, flags, 9, &payload)),
        [expected]
    );
    assert_eq!(rig.list.len(), GET.len());
    let content = Seen::Content(9, b"abc".to_vec(), false);
    assert_eq!(rig.feed(&data(9, PADDED, b"\x02abc\0\0")), [content]);
    assert_eq!(rig.feed(&data(9, PADDED, b"\x02\0\0")), []);
    assert_eq!(
        rig.feed(&data(9, PADDED | END_STREAM, b"\0")),
        [Seen::Ended(9)]
    );
}

/// §6.1, §6.2
#[test]
fn more_padding_than_payload_is_a_protocol_error() {
    let mut bad_headers = vec![block(GET).len() as u8 + 1];
    bad_headers.extend(block(GET));
    for input in [
        data(1, PADDED, b"\x06Test"),
        data(1, PADDED, b"\x05Test"),
        data(1, PADDED, b"\x01"),
        frame(Kind::Headers, WHOLE | PADDED, 3, &bad_headers),
        frame(
            Kind::Headers,
            WHOLE | PADDED | PRIORITY,
            3,
            &[1, 0, 0, 0, 0, 0],
        ),
    ] {
        let mut rig = Rig::new();
        rig.open_for_content(1);
        rig.expect_failure(&input, ErrorCode::PROTOCOL_ERROR);
    }
    // As much as there is leaves an empty block, which is decoded and is no request.
    let mut rig = Rig::new();
    assert_eq!(
        rig.feed(&frame(Kind::Headers, WHOLE | PADDED, 1, b"\x01\0")),
        []
    );
    rig.expect_reset(1, ErrorCode::PROTOCOL_ERROR);
}

/// §6.3
#[test]
fn priority_of_a_wrong_size_is_an_error_of_its_stream() {
    let mut rig = Rig::new();
    rig.open(&[1]);
    assert_eq!(
        rig.feed(&frame(Kind::Priority, 0, 1, &[0; 4])),
        [Seen::Reset(1)]
    );
    rig.expect_reset(1, ErrorCode::FRAME_SIZE_ERROR);
    // §6.4: RST_STREAM must not be sent for an idle stream.
    let idle = frame(Kind::Priority, 0, 3, &[0; 6]);
    rig.expect_failure(&idle, ErrorCode::FRAME_SIZE_ERROR);
}

/// §6.5.2
#[test]
fn settings_out_of_bounds() {
    let protocol = ErrorCode::PROTOCOL_ERROR;
    for (id, value, code) in [
        (0x2, 2, protocol),
        (0x2, u32::MAX, protocol),
        (0x4, 1 << 31, ErrorCode::FLOW_CONTROL_ERROR),
        (0x4, u32::MAX, ErrorCode::FLOW_CONTROL_ERROR),
        (0x5, (1 << 14) - 1, protocol),
        (0x5, 0, protocol),
        (0x5, 1 << 24, protocol),
        // RFC 9218 §2.1
        (0x9, 2, protocol),
        (0x9, 1, protocol),
    ] {
        let input = settings(&[(0x3, 100), (id, value)]);
        Rig::new().expect_failure(&input, code);
    }
}

/// §6.5.2, §6.5.3
#[test]
fn settings_are_taken_in_order_and_acknowledged() {
    let mut rig = Rig::new();
    let values = [
        (0x1, 0),
        (0x2, 0),
        (0x2, 1),
        (0x3, 0),
        (0x4, 100),
        (0x4, 1),
        (0x5, (1 << 24) - 1),
        (0x5, 1 << 14),
        (0x6, 0),
        (0x9, 0),
        // Unknown ones are ignored.
        (0xff, 7),
        (0x0, u32::MAX),
    ];
    assert_eq!(rig.feed(&settings(&values)), []);
    let sent = rig.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].kind, sent[0].flags), (Kind::Settings, ACK));
    rig.open(&[1]);
    assert_eq!(rig.core.room_now(StreamId(1)), 1);
}

/// RFC 9218 §2.1
#[test]
fn the_use_of_old_priorities_is_settled_by_the_first_settings() {
    let mut rig = Rig::silent(&H2Settings::default());
    rig.feed(PREFACE);
    assert_eq!(rig.feed(&settings(&[(0x9, 1)])), []);
    assert_eq!(rig.feed(&settings(&[(0x9, 1)])), []);
    assert_eq!(rig.feed(&settings(&[(0x4, 1)])), []);
    rig.expect_failure(&settings(&[(0x9, 0)]), ErrorCode::PROTOCOL_ERROR);
}

/// §6.5.2, §4.2
#[test]
fn frames_are_as_large_as_the_peer_takes() {
    let mut rig = Rig::new();
    let values = [(0x4, WINDOW_MAX as u32), (0x5, 20_000)];
    assert_eq!(rig.feed(&settings(&values)), []);
    rig.open(&[1, 3]);
    assert_eq!(rig.core.room_now(StreamId(1)), 20_000);
    rig.queue(3, 50_000);
    assert_eq!(rig.turn(usize::MAX), Some((3, 20_000)));
    // A turn is not as long as a peer likes.
    rig.feed(&settings(&[(0x5, (1 << 24) - 1)]));
    rig.feed(&window_update(0, 1 << 30));
    assert_eq!(rig.core.room_now(StreamId(1)), 0, "another one waits");
    rig.pump();
    assert_eq!(rig.core.room_now(StreamId(1)), 65_536);
}

/// §4.3.1: a peer that makes its dynamic table smaller hears that we follow, once. Clients such as
/// nghttp2's insist on it.
#[test]
fn a_smaller_table_is_acknowledged_in_the_next_block() {
    let mut rig = Rig::new();
    let mut first_bytes = |values: &[(u16, u32)], stream| {
        rig.feed(&settings(values));
        rig.open(&[stream]);
        rig.sent();
        rig.answer(stream);
        rig.sent()[0].payload.clone()
    };
    assert_eq!(first_bytes(&[(0x1, 4096)], 1), b"\x88");
    assert_eq!(first_bytes(&[(0x1, 65_536)], 3), b"\x88");
    assert_eq!(first_bytes(&[(0x1, 8192), (0x1, 9000)], 5), b"\x20\x88");
    assert_eq!(first_bytes(&[], 7), b"\x88");
    assert_eq!(first_bytes(&[(0x1, 0)], 9), b"\x20\x88");
    assert_eq!(first_bytes(&[(0x1, 0)], 11), b"\x88");
}

/// §6.6, §8.4
#[test]
fn a_client_cannot_push() {
    let mut rig = Rig::new();
    rig.open(&[1]);
    let mut promise = vec![0, 0, 0, 2];
    promise.extend(block(GET));
    let input = frame(Kind::PushPromise, END_HEADERS, 1, &promise);
    rig.expect_failure(&input, ErrorCode::PROTOCOL_ERROR);
}

/// §6.7
#[test]
fn pings_are_answered_and_answers_are_not() {
    let mut rig = Rig::new();
    assert_eq!(rig.feed(&frame(Kind::Ping, ACK, 0, b"unasked!")), []);
    assert_eq!(rig.sent(), []);
    let pings = [
        frame(Kind::Ping, 0, 0, b"first..."),
        frame(Kind::Ping, 0, 0, b"second.."),
    ];
    assert_eq!(rig.feed(&pings.concat()), []);
    let sent = rig.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(
        (sent[0].flags, &sent[0].payload[..]),
        (ACK, &b"first..."[..])
    );
    assert_eq!(sent[1].payload, b"second..");
}

/// §6.8, §7: whatever its code, GOAWAY of a client only says that it opens no more streams.
#[test]
fn a_goaway_of_the_peer_changes_nothing() {
    let mut rig = Rig::new();
    rig.open(&[1]);
    let goaway = [&0u32.to_be_bytes()[..], &0xffu32.to_be_bytes(), b"bye"].concat();
    assert!(!rig.core.is_peer_leaving());
    assert_eq!(rig.feed(&frame(Kind::Goaway, 0, 0, &goaway)), []);
    assert!(rig.core.is_peer_leaving());
    rig.expect_alive();
    rig.answer(1);
    assert_eq!(rig.sent().len(), 1);
}

/// §7
#[test]
fn unknown_error_codes_mean_nothing_special() {
    let mut rig = Rig::new();
    rig.open(&[1]);
    assert_eq!(rig.feed(&rst_stream(1, 0xdead_beef)), [Seen::Reset(1)]);
    rig.expect_alive();
}

/// §6.9
#[test]
fn a_window_update_of_nothing() {
    Rig::new().expect_failure(&window_update(0, 0), ErrorCode::PROTOCOL_ERROR);
    // The reserved bit does not count.
    Rig::new().expect_failure(&window_update(0, 1 << 31), ErrorCode::PROTOCOL_ERROR);
    let mut rig = Rig::new();
    rig.open(&[1]);
    assert_eq!(rig.feed(&window_update(1, 0)), [Seen::Reset(1)]);
    rig.expect_reset(1, ErrorCode::PROTOCOL_ERROR);
    rig.expect_alive();
}
