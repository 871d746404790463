//! RFC 9113 §5.2 and §6.9: flow control both ways.

use super::super::flow::WINDOW_MAX;
use super::*;

/// §6.9.1
#[test]
fn windows_never_exceed_their_maximum() {
    let mut rig = Rig::new();
    let most = (WINDOW_MAX - 65_535) as u32;
    assert_eq!(rig.feed(&window_update(0, most)), []);
    rig.expect_failure(&window_update(0, 1), ErrorCode::FLOW_CONTROL_ERROR);
    let mut rig = Rig::new();
    rig.open_for_content(1);
    assert_eq!(rig.feed(&window_update(1, most)), []);
    assert_eq!(rig.feed(&window_update(1, 1)), [Seen::Reset(1)]);
    rig.expect_reset(1, ErrorCode::FLOW_CONTROL_ERROR);
    rig.expect_alive();
    // Also where the answer is complete.
    rig.open_for_content(3);
    rig.answer(3);
    rig.sent();
    assert_eq!(rig.feed(&window_update(3, WINDOW_MAX as u32)), []);
    rig.expect_reset(3, ErrorCode::FLOW_CONTROL_ERROR);
}

/// §6.9.1: both windows bound what is sent.
#[test]
fn content_keeps_to_the_windows() {
    let mut rig = Rig::new();
    rig.feed(&settings(&[(INITIAL_WINDOW_SIZE, 100_000)]));
    rig.open(&[1]);
    rig.queue(1, 200_000);
    assert!(rig.core.wants_to_send());
    let lens = |turns: Vec<(u32, usize)>| turns.iter().map(|turn| turn.1).sum::<usize>();
    assert_eq!(lens(rig.pump()), 65_535);
    assert!(!rig.core.wants_to_send() && rig.core.has_waiting_bodies());
    rig.feed(&window_update(1, 10_000));
    assert_eq!(rig.pump(), []);
    rig.feed(&window_update(0, 1_000_000));
    assert_eq!(lens(rig.pump()), 110_000 - 65_535);
    assert_eq!(rig.pump(), []);
    rig.feed(&window_update(1, 1));
    assert_eq!(rig.pump(), [(1, 1)]);
    rig.feed(&window_update(1, 1_000_000));
    assert_eq!(lens(rig.pump()), 200_000 - 110_001);
    assert!(!rig.core.has_waiting_bodies());
    let sent = rig.sent();
    let data: Vec<&Sent> = sent.iter().filter(|sent| sent.kind == Kind::Data).collect();
    let (last, others) = data.split_last().unwrap();
    assert_eq!(last.flags, END_STREAM);
    assert!(others.iter().all(|sent| sent.flags == 0));
    assert!(data.iter().all(|sent| sent.payload.len() <= 16_384));
    assert_eq!(rig.core.open_streams(), 0);
}

/// §6.9.1: an answer without content needs no window, nor does an end without content.
#[test]
fn empty_frames_need_no_window() {
    let mut rig = Rig::new();
    rig.feed(&settings(&[(INITIAL_WINDOW_SIZE, 0)]));
    rig.open(&[1, 3]);
    rig.answer(1);
    assert!(rig.respond(3, false));
    assert_eq!(rig.core.room_now(StreamId(3)), 0);
    let len = UNKNOWN_LENGTH;
    rig.core.queue_body(StreamId(3), 0, len);
    assert!(rig.core.next_turn().is_none());
    rig.core.write_data(StreamId(3), 0, true, &mut rig.out);
    let sent = rig.sent();
    let last = sent.last().unwrap();
    assert_eq!(
        (last.kind, last.flags, last.stream),
        (Kind::Data, END_STREAM, 3)
    );
    assert_eq!(rig.core.open_streams(), 0);
}

/// §6.9.2
#[test]
fn a_changed_initial_window_moves_open_streams() {
    let mut rig = Rig::new();
    rig.feed(&settings(&[(INITIAL_WINDOW_SIZE, 0)]));
    rig.open(&[1]);
    rig.queue(1, 100);
    assert_eq!(rig.pump(), []);
    rig.feed(&settings(&[(INITIAL_WINDOW_SIZE, 1)]));
    assert_eq!(rig.pump(), [(1, 1)]);
    rig.feed(&settings(&[(INITIAL_WINDOW_SIZE, 0)]));
    rig.feed(&window_update(1, 1));
    assert_eq!(rig.pump(), [], "the window was negative, and is zero");
    rig.feed(&window_update(1, 1));
    assert_eq!(rig.pump(), [(1, 1)]);
    // The connection's window is changed by WINDOW_UPDATE alone.
    rig.feed(&settings(&[(INITIAL_WINDOW_SIZE, WINDOW_MAX as u32 - 1)]));
    assert_eq!(rig.pump(), [(1, 98)]);
}

/// §6.9.2
#[test]
fn an_initial_window_that_overflows_a_stream_ends_the_connection() {
    for values in [
        vec![(INITIAL_WINDOW_SIZE, WINDOW_MAX as u32)],
        // Each value counts, not only the last.
        vec![
            (INITIAL_WINDOW_SIZE, WINDOW_MAX as u32),
            (INITIAL_WINDOW_SIZE, 5),
        ],
    ] {
        let mut rig = Rig::new();
        rig.open(&[1, 3]);
        rig.feed(&window_update(3, 1));
        rig.expect_failure(&settings(&values), ErrorCode::FLOW_CONTROL_ERROR);
    }
    let mut rig = Rig::new();
    rig.open(&[1]);
    rig.feed(&settings(&[(INITIAL_WINDOW_SIZE, WINDOW_MAX as u32)]));
    rig.expect_alive();
}

/// Feeds `bytes` of content that the windows allow.
fn fill(rig: &mut Rig, stream: u32, bytes: usize) {
    let mut left = bytes;
    while left > 0 {
        let len = left.min(16_384);
        let events = rig.feed(&data(stream, 0, &vec![0; len]));
        let is_right = matches!(&events[..], [Seen::Content(..)] | []);
        assert!(is_right, "{events:?}");
        left -= len;
    }
}

/// §6.9.1: what the peer sends beyond our windows.
#[test]
fn content_beyond_our_windows_is_a_flow_control_error() {
    let limits = H2Settings {
        initial_window: 65_535,
        connection_window: 100_000,
        ..H2Settings::default()
    };
    let mut rig = Rig::with(&limits);
    rig.open_for_content(1);
    fill(&mut rig, 1, 65_535);
    // An empty frame needs no window.
    assert_eq!(rig.feed(&data(1, 0, b"")), []);
    assert_eq!(rig.feed(&data(1, 0, b"x")), [Seen::Reset(1)]);
    let reset = reset_frame(1, ErrorCode::FLOW_CONTROL_ERROR);
    assert_eq!(rig.sent()[0], reset);
    let mut rig = Rig::with(&limits);
    rig.open_for_content(1);
    rig.open_for_content(3);
    fill(&mut rig, 1, 65_535);
    fill(&mut rig, 3, 100_000 - 65_535);
    rig.expect_failure(&data(3, 0, b"x"), ErrorCode::FLOW_CONTROL_ERROR);
    // §6.1: padding counts.
    let mut rig = Rig::with(&limits);
    rig.open_for_content(1);
    fill(&mut rig, 1, 65_535 - 2);
    let padded = data(1, PADDED, b"\x01x\0");
    assert_eq!(rig.feed(&padded), [Seen::Reset(1)]);
}

/// §5.2.2, §6.9: windows open again when content was taken, by halves.
#[test]
fn released_content_opens_the_windows() {
    let limits = H2Settings {
        initial_window: 65_536,
        connection_window: 65_536,
        ..H2Settings::default()
    };
    let mut rig = Rig::with(&limits);
    rig.open_for_content(1);
    for _ in 0..3 {
        rig.feed(&data(1, 0, &[0; 16_384]));
    }
    assert_eq!(rig.sent(), [], "nothing was taken yet");
    rig.core.release(StreamId(1), 32_767, &mut rig.out);
    assert_eq!(rig.sent(), []);
    rig.core.release(StreamId(1), 1, &mut rig.out);
    let sent = rig.sent();
    assert_eq!(
        (increments(&sent, 0), increments(&sent, 1)),
        (vec![32_768], vec![32_768])
    );
    // Not more than was held, and nothing for a stream whose request is complete.
    rig.feed(&data(1, END_STREAM, &[0; 16_384]));
    rig.core.release(StreamId(1), 1_000_000, &mut rig.out);
    let sent = rig.sent();
    assert_eq!(
        (increments(&sent, 0), increments(&sent, 1)),
        (vec![32_768], vec![])
    );
}

/// §5.2.2: one slow stream need not hold the others up.
#[test]
fn the_windows_open_one_by_one_where_they_are_released_so() {
    let limits = H2Settings {
        initial_window: 65_536,
        connection_window: 65_536,
        ..H2Settings::default()
    };
    let mut rig = Rig::with(&limits);
    rig.open_for_content(1);
    for _ in 0..4 {
        rig.feed(&data(1, 0, &[0; 16_384]));
        let out = &mut rig.out;
        rig.core.release_to_connection(StreamId(1), 16_384, out);
    }
    let sent = rig.sent();
    assert_eq!(
        (increments(&sent, 0), increments(&sent, 1)),
        (vec![32_768, 32_768], vec![])
    );
    // Others may send, the stream itself may not.
    rig.open_for_content(3);
    let events = rig.feed(&data(3, 0, &[0; 16_384]));
    assert!(matches!(&events[..], [Seen::Content(..)]), "{events:?}");
    rig.core
        .release_to_stream(StreamId(1), 32_768, &mut rig.out);
    let sent = rig.sent();
    assert_eq!(
        (increments(&sent, 0), increments(&sent, 1)),
        (vec![], vec![32_768])
    );
    // Nothing is given back twice, nor to a stream that nobody reads.
    let out = &mut rig.out;
    rig.core.release_to_connection(StreamId(1), 1_000_000, out);
    rig.core.discard_content(StreamId(1), out);
    rig.core.release_to_stream(StreamId(1), 32_768, out);
    assert_eq!(rig.sent(), []);
    for _ in 0..2 {
        assert_eq!(rig.feed(&data(1, 0, &[0; 16_384])), []);
    }
    assert_eq!(rig.feed(&data(1, 0, b"x")), [Seen::Reset(1)]);
}

/// What the owner holds when a stream ends opens the connection's window again.
#[test]
fn content_of_ended_streams_leaks_no_window() {
    let ends: [fn(&mut Rig); 4] = [
        |rig| {
            rig.core.reset(StreamId(1), ErrorCode::CANCEL, &mut rig.out);
        },
        |rig| rig.core.discard_content(StreamId(1), &mut rig.out),
        |rig| rig.answer(1),
        // The peer's own reset can only come behind the frame.
        |_| {},
    ];
    for end in ends {
        let limits = H2Settings {
            connection_window: 65_535,
            ..H2Settings::default()
        };
        let mut rig = Rig::with(&limits);
        rig.open_for_content(1);
        for _ in 0..3 {
            rig.feed(&data(1, 0, &[0; 16_384]));
        }
        // The stream ends within a frame, too.
        let cut = data(1, 0, &[0; 10_000]);
        rig.feed_some(&cut[..5000]);
        end(&mut rig);
        rig.core.release(StreamId(1), 5000, &mut rig.out);
        rig.feed_some(&cut[5000..]);
        rig.feed(&rst_stream(1, 8));
        let given: u32 = increments(&rig.sent(), 0).iter().sum();
        assert!(given >= 3 * 16_384, "{given}");
        // All of the window can be used again.
        rig.open_for_content(3);
        let mut left = 65_535 - (3 * 16_384 + 10_000 - given as usize);
        while left > 0 {
            let len = left.min(16_384);
            let events = rig.feed(&data(3, 0, &vec![0; len]));
            assert!(matches!(&events[..], [Seen::Content(..)]), "{events:?}");
            left -= len;
        }
    }
}

/// §8.1: an answer that is complete lets a large request end early, without an error.
#[test]
fn unwanted_content_is_taken_up_to_a_bound() {
    let mut rig = Rig::new();
    rig.open_for_content(1);
    rig.answer(1);
    rig.sent();
    for _ in 0..4 {
        assert_eq!(rig.feed(&data(1, 0, &[0; 16_384])), []);
    }
    assert_eq!(rig.sent(), [], "§6.9: the stream's window stays shut");
    assert_eq!(rig.feed(&data(1, 0, b"x")), []);
    rig.expect_reset(1, ErrorCode::NO_ERROR);
    assert_eq!(rig.feed(&data(1, 0, b"x")), []);
    assert_eq!(rig.sent(), []);
    assert_eq!(rig.core.open_streams(), 0);
}

/// The peer may have used up the window before the answer was complete: nothing would ever come of
/// its stream.
#[test]
fn a_request_with_a_shut_window_comes_to_an_end() {
    let limits = H2Settings {
        initial_window: 65_535,
        ..H2Settings::default()
    };
    // Held by the owner, or not wanted.
    for is_wanted in [true, false] {
        let mut rig = Rig::with(&limits);
        rig.open_for_content(1);
        if !is_wanted {
            rig.core.discard_content(StreamId(1), &mut rig.out);
        }
        fill(&mut rig, 1, 65_535);
        rig.sent();
        rig.answer(1);
        let more: u32 = increments(&rig.sent(), 1).iter().sum();
        let expected = if is_wanted { 65_537 } else { 2 };
        assert_eq!(more, expected);
        fill(&mut rig, 1, more as usize);
        rig.expect_reset(1, ErrorCode::NO_ERROR);
        assert_eq!(rig.core.open_streams(), 0);
    }
    // A window that is shut only a little later, and one that suffices.
    for (length, more) in [("65536", vec![2]), ("65535", vec![])] {
        let mut rig = Rig::with(&limits);
        let fields = [POST, &[("content-length", length)]].concat();
        rig.feed(&headers(1, END_HEADERS, &fields));
        rig.answer(1);
        assert_eq!(increments(&rig.sent(), 1), more);
    }
}

/// An answer that ends gives windows back before its last frame, and never within it.
#[test]
fn the_last_frame_of_an_answer_is_not_torn() {
    let limits = H2Settings {
        connection_window: 65_535,
        ..H2Settings::default()
    };
    for is_whole in [true, false] {
        let mut rig = Rig::with(&limits);
        rig.open_for_content(1);
        fill(&mut rig, 1, 40_000);
        if is_whole {
            rig.feed(&data(1, END_STREAM, b""));
        }
        rig.sent();
        rig.queue(1, 5);
        assert_eq!(rig.pump(), [(1, 5)]);
        let sent = rig.sent();
        assert_eq!(increments(&sent, 0), [40_000]);
        let last = sent.last().unwrap();
        let seen = (last.kind, last.flags, &last.payload[..]);
        assert_eq!(seen, (Kind::Data, END_STREAM, &[0; 5][..]));
    }
}

/// Content that the owner does not want is not told of; the stream lives until it is answered.
#[test]
fn discarded_content_gives_no_events() {
    let mut rig = Rig::new();
    rig.open_for_content(1);
    let some = Seen::Content(1, b"abc".to_vec(), false);
    assert_eq!(rig.feed(&data(1, 0, b"abc")), [some]);
    rig.core.discard_content(StreamId(1), &mut rig.out);
    assert_eq!(rig.feed(&data(1, 0, b"abc")), []);
    assert_eq!(rig.feed(&data(1, END_STREAM, b"abc")), []);
    rig.answer(1);
    assert_eq!(rig.core.open_streams(), 0);
}
