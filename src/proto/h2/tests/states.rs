//! RFC 9113 §5.1: the states of streams, as a table and on the wire.

use super::super::streams::{Arriving, Ends, Place, State, Verdict, judge};
use super::*;

/// §5.1: every pair, so that a change of the table is seen.
#[test]
fn the_table_of_states() {
    use Arriving::{Data, Headers, Reset, WindowUpdate};
    let places = [
        Place::Idle,
        Place::Live(State::Open),
        Place::Live(State::HalfClosedLocal),
        Place::Live(State::HalfClosedRemote),
        Place::Skipped,
        Place::Closed,
        Place::ResetByUs,
        Place::BeyondGoaway,
    ];
    let row = |place| [Headers, Data, Reset, WindowUpdate].map(|frame| judge(place, frame));
    use Verdict::{
        Accept as Yes, ConnectionProtocolError as Bad, ConnectionStreamClosed as Gone,
        Ignore as Ign, StreamClosed as Rst,
    };
    let expected = [
        [Yes, Bad, Bad, Bad],
        [Yes, Yes, Yes, Yes],
        [Yes, Yes, Yes, Yes],
        [Rst, Rst, Yes, Yes],
        [Bad, Bad, Ign, Ign],
        [Gone, Rst, Ign, Ign],
        [Ign, Ign, Ign, Ign],
        [Ign, Ign, Ign, Ign],
    ];
    assert_eq!(places.map(row), expected);
}

/// §5.1
#[test]
fn the_ends_of_both_sides_close_a_stream() {
    let after = |state: State, ends: [Ends; 2]| {
        let between = state.after(ends[0]).unwrap();
        (between, between.after(ends[1]))
    };
    let we_first = after(State::Open, [Ends::We, Ends::Peer]);
    assert_eq!(we_first, (State::HalfClosedLocal, None));
    let peer_first = after(State::Open, [Ends::Peer, Ends::We]);
    assert_eq!(peer_first, (State::HalfClosedRemote, None));
}

/// §5.1: idle
#[test]
fn only_headers_and_priority_may_come_on_an_idle_stream() {
    for input in [
        data(1, END_STREAM, b"x"),
        data(1, 0, b""),
        rst_stream(1, 8),
        window_update(1, 100),
        frame(Kind::Continuation, END_HEADERS, 1, b""),
        // Streams that only we could open are idle for ever.
        data(2, 0, b"x"),
        rst_stream(2, 8),
        window_update(2, 1),
    ] {
        Rig::new().expect_failure(&input, ErrorCode::PROTOCOL_ERROR);
    }
    let mut rig = Rig::new();
    assert_eq!(rig.feed(&frame(Kind::Priority, 0, 5, &[0; 5])), []);
    // §5.3.2: PRIORITY opens nothing.
    rig.open(&[1, 5]);
}

/// §5.1: half-closed (remote)
#[test]
fn nothing_follows_the_end_of_a_request() {
    for more in [data(1, END_STREAM, b"x"), data(1, 0, b""), get(1), post(1)] {
        let mut rig = Rig::new();
        rig.open(&[1]);
        assert_eq!(rig.feed(&more), [Seen::Reset(1)]);
        rig.expect_reset(1, ErrorCode::STREAM_CLOSED);
        assert!(!rig.respond(1, true), "nobody can answer it any more");
        rig.expect_alive();
    }
    let mut rig = Rig::new();
    rig.open(&[1]);
    assert_eq!(rig.feed(&window_update(1, 5)), []);
    assert_eq!(rig.feed(&frame(Kind::Priority, 0, 1, &[0; 5])), []);
    assert_eq!(rig.sent(), []);
    assert_eq!(rig.feed(&rst_stream(1, 8)), [Seen::Reset(1)]);
    assert_eq!(rig.core.open_streams(), 0);
}

/// §5.1: half-closed (local). The answer is complete, the request is not: it is taken to its end,
/// and nobody hears of it.
#[test]
fn a_request_may_go_on_behind_its_answer() {
    let mut rig = Rig::new();
    rig.open_for_content(1);
    rig.answer(1);
    assert_eq!(rig.core.open_streams(), 1);
    assert_eq!(rig.feed(&data(1, 0, b"abc")), []);
    assert_eq!(rig.feed(&window_update(1, 5)), []);
    assert_eq!(rig.feed(&data(1, END_STREAM, b"def")), []);
    assert_eq!(rig.core.open_streams(), 0);
    // The same with trailers, and with a reset.
    rig.open_for_content(3);
    rig.answer(3);
    assert_eq!(rig.feed(&headers(3, WHOLE, &[("x", "y")])), []);
    assert_eq!(rig.core.open_streams(), 0);
    rig.open_for_content(5);
    rig.answer(5);
    assert_eq!(rig.feed(&rst_stream(5, 8)), []);
    assert_eq!(rig.core.open_streams(), 0);
    // A broken rest is still told to be broken.
    rig.open_for_content(7);
    rig.answer(7);
    rig.sent();
    assert_eq!(rig.feed(&headers(7, END_HEADERS, &[("x", "y")])), []);
    rig.expect_reset(7, ErrorCode::PROTOCOL_ERROR);
}

/// §5.1: closed, after both sides ended the stream
#[test]
fn a_closed_stream_takes_nothing() {
    let closed = || {
        let mut rig = Rig::new();
        rig.open(&[1]);
        rig.answer(1);
        assert_eq!(rig.core.open_streams(), 0);
        rig.sent();
        rig
    };
    let mut rig = closed();
    assert_eq!(rig.feed(&data(1, END_STREAM, b"x")), []);
    rig.expect_reset(1, ErrorCode::STREAM_CLOSED);
    assert_eq!(rig.feed(&data(1, END_STREAM, b"x")), []);
    assert_eq!(rig.sent(), [], "it was told once");
    closed().expect_failure(&get(1), ErrorCode::STREAM_CLOSED);
    let continuation = frame(Kind::Continuation, END_HEADERS, 1, b"");
    closed().expect_failure(&continuation, ErrorCode::PROTOCOL_ERROR);
    // These may have been on their way.
    let mut rig = closed();
    assert_eq!(rig.feed(&window_update(1, 0x7fff_ffff)), []);
    assert_eq!(rig.feed(&window_update(1, 0x7fff_ffff)), []);
    assert_eq!(rig.feed(&rst_stream(1, 8)), []);
    assert_eq!(rig.feed(&frame(Kind::Priority, 0, 1, &[0; 5])), []);
    assert_eq!(rig.sent(), []);
}

/// §5.1: closed, after the peer's RST_STREAM
#[test]
fn nothing_follows_a_reset_of_the_peer() {
    let reset = || {
        let mut rig = Rig::new();
        rig.open_for_content(1);
        assert_eq!(rig.feed(&rst_stream(1, 0xff)), [Seen::Reset(1)]);
        assert_eq!(
            rig.sent(),
            [],
            "§5.4.2: RST_STREAM is not answered with one"
        );
        rig
    };
    let mut rig = reset();
    assert_eq!(rig.feed(&data(1, 0, b"x")), []);
    rig.expect_reset(1, ErrorCode::STREAM_CLOSED);
    reset().expect_failure(&headers(1, WHOLE, GET), ErrorCode::STREAM_CLOSED);
}

/// §5.1: closed, after our RST_STREAM: the peer may not know yet, so that all is taken and thrown
/// away.
#[test]
fn frames_behind_our_reset_are_discarded() {
    let mut rig = Rig::new();
    rig.open_for_content(1);
    let code = ErrorCode::CANCEL;
    assert_eq!(rig.core.reset(StreamId(1), code, &mut rig.out), None);
    rig.expect_reset(1, code);
    assert_eq!(rig.core.reset(StreamId(1), code, &mut rig.out), None);
    for frame in [
        data(1, 0, &[0; 1000]),
        window_update(1, 5),
        // A compression state that only a table size update touches; see also the tests of hpack.
        frame(Kind::Headers, END_HEADERS, 1, &[0x20, 0x88]),
        data(1, END_STREAM, b""),
        rst_stream(1, 8),
    ] {
        assert_eq!(rig.feed(&frame), []);
        assert_eq!(rig.sent(), []);
    }
    // §4.3: a block of a stream that is gone still counts for compression.
    let broken = frame(Kind::Headers, END_HEADERS, 1, b"\x40");
    rig.expect_failure(&broken, ErrorCode::COMPRESSION_ERROR);
}

/// §5.1: what DATA on a discarded stream takes of the connection's window goes back.
#[test]
fn discarded_content_opens_the_connections_window() {
    let mut rig = Rig::new();
    rig.open_for_content(1);
    rig.core.reset(StreamId(1), ErrorCode::CANCEL, &mut rig.out);
    for _ in 0..200 {
        assert_eq!(rig.feed(&data(1, PADDED, &[100; 16_384])), []);
    }
    let given: u32 = increments(&rig.sent(), 0).iter().sum();
    assert!(given >= 199 * 16_384 - 512 * 1024, "{given}");
    rig.expect_alive();
}

/// §5.1.1
#[test]
fn a_client_opens_odd_streams_only() {
    Rig::new().expect_failure(&get(2), ErrorCode::PROTOCOL_ERROR);
    let first = headers(2, 0, GET);
    Rig::new().expect_failure(&first, ErrorCode::PROTOCOL_ERROR);
}

/// §5.1.1: opening a stream closes all idle ones below it.
#[test]
fn ids_only_grow() {
    for passed_over in [1, 3, 7] {
        let mut rig = Rig::new();
        rig.open(&[5, 9]);
        rig.expect_failure(&get(passed_over), ErrorCode::PROTOCOL_ERROR);
        let mut rig = Rig::new();
        rig.open(&[5, 9]);
        rig.expect_failure(&data(passed_over, 0, b"x"), ErrorCode::PROTOCOL_ERROR);
        let mut rig = Rig::new();
        rig.open(&[5, 9]);
        assert_eq!(rig.feed(&rst_stream(passed_over, 8)), []);
        assert_eq!(rig.feed(&window_update(passed_over, 8)), []);
        rig.expect_alive();
    }
}

/// §5.1.1: a client that uses up its ids can open no more.
#[test]
fn the_last_id_is_taken() {
    let mut rig = Rig::new();
    rig.open(&[0x7fff_fffd, 0x7fff_ffff]);
    rig.answer(0x7fff_ffff);
    rig.expect_alive();
}

/// What is remembered of gaps and resets is bounded; forgetting them is harmless.
#[test]
fn memory_of_gone_streams_is_bounded() {
    let mut rig = Rig::new();
    for stream in (1..4000).step_by(4) {
        rig.open(&[stream]);
        rig.answer(stream);
    }
    rig.expect_failure(&get(3), ErrorCode::STREAM_CLOSED);
    let mut rig = Rig::new();
    for stream in (1..2000).step_by(2) {
        rig.open_for_content(stream);
        rig.core
            .reset(StreamId(stream), ErrorCode::CANCEL, &mut rig.out);
    }
    rig.sent();
    assert_eq!(rig.feed(&data(1999, 0, b"x")), []);
    assert_eq!(rig.sent(), []);
    assert_eq!(rig.feed(&data(1, 0, b"x")), []);
    rig.expect_reset(1, ErrorCode::STREAM_CLOSED);
}

/// §5.1.2
#[test]
fn streams_above_the_limit_are_refused() {
    let limits = H2Settings {
        max_concurrent_streams: 3,
        ..H2Settings::default()
    };
    let mut rig = Rig::with(&limits);
    rig.open(&[1, 3]);
    rig.open_for_content(5);
    assert_eq!(rig.feed(&get(7)), []);
    rig.expect_reset(7, ErrorCode::REFUSED_STREAM);
    // Its content may be on the way.
    assert_eq!(rig.feed(&data(7, END_STREAM, b"x")), []);
    assert_eq!(rig.sent(), []);
    // Half-closed ones count on either side.
    rig.answer(5);
    rig.sent();
    assert_eq!(rig.feed(&post(9)), []);
    rig.expect_reset(9, ErrorCode::REFUSED_STREAM);
    rig.answer(3);
    rig.open(&[11]);
    assert_eq!(rig.core.open_streams(), 3);
}

/// The newest stream is kept apart until the next frame; it is the same stream after.
#[test]
fn a_stream_may_be_answered_at_once_or_later() {
    let mut rig = Rig::new();
    rig.open(&[1]);
    assert_eq!(rig.core.room_now(StreamId(1)), 16_384);
    rig.answer(1);
    assert!(!rig.respond(1, true), "answered");
    assert_eq!(rig.core.room_now(StreamId(1)), 0);
    rig.open(&[3, 5, 7]);
    rig.answer(5);
    rig.answer(3);
    rig.answer(7);
    assert_eq!(rig.core.open_streams(), 0);
    let answered: Vec<u32> = rig.sent().iter().map(|sent| sent.stream).collect();
    assert_eq!(answered, [1, 5, 3, 7]);
    assert!(!rig.respond(9, true), "never opened");
}
