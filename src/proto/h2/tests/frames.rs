//! RFC 9113 §3.4 and §4: prefaces, the frame format, field blocks.

use super::*;

/// §3.4
#[test]
fn the_server_begins_with_settings() {
    let mut rig = Rig::silent(&H2Settings::default());
    let sent = rig.sent();
    assert_eq!((sent[0].kind, sent[0].flags), (Kind::Settings, 0));
    let values: Vec<(u8, u32)> = sent[0]
        .payload
        .chunks(6)
        .map(|setting| {
            (
                setting[1],
                u32::from_be_bytes(setting[2..].try_into().unwrap()),
            )
        })
        .collect();
    assert_eq!(values, [(3, 128), (4, 262_144), (6, 32_768), (9, 1)]);
    // §6.9.2: the connection's window grows by WINDOW_UPDATE alone.
    assert_eq!(increments(&sent, 0), [1024 * 1024 - 65_535]);
    assert_eq!(sent.len(), 2);
}

/// §3.4
#[test]
fn the_clients_preface_may_come_in_pieces() {
    let mut rig = Rig::silent(&H2Settings::default());
    for byte in PREFACE {
        assert_eq!(rig.feed(&[*byte]), []);
    }
    rig.sent();
    assert_eq!(rig.feed(&settings(&[])), []);
    let sent = rig.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].kind, sent[0].flags), (Kind::Settings, ACK));
    assert!(sent[0].payload.is_empty());
}

/// §3.4
#[test]
fn an_invalid_preface_is_a_protocol_error() {
    for at in 0..PREFACE.len() {
        let mut preface = *PREFACE;
        preface[at] ^= 1;
        let mut rig = Rig::silent(&H2Settings::default());
        rig.expect_failure(&preface, ErrorCode::PROTOCOL_ERROR);
    }
    let mut rig = Rig::silent(&H2Settings::default());
    rig.expect_failure(b"GET / HTTP/1.1\r\n", ErrorCode::PROTOCOL_ERROR);
}

/// §3.4
#[test]
fn the_first_frame_of_a_client_is_settings() {
    for first in [
        get(1),
        frame(Kind::Ping, 0, 0, &[0; 8]),
        frame(Kind::Settings, ACK, 0, b""),
        frame(Kind::Unknown, 0, 0, b""),
        window_update(0, 1),
    ] {
        let mut rig = Rig::silent(&H2Settings::default());
        let mut input = PREFACE.to_vec();
        input.extend_from_slice(&first);
        rig.expect_failure(&input, ErrorCode::PROTOCOL_ERROR);
    }
}

/// §4.1, §5.5
#[test]
fn frames_of_unknown_types_are_ignored() {
    let mut rig = Rig::new();
    for stream in [0, 1, 2, 0x7fff_ffff] {
        let mut unknown = frame(Kind::Unknown, 0xff, stream, &[7; 300]);
        for byte in [0x0a, 0x0b, 0x11, 0xff] {
            unknown[3] = byte;
            assert_eq!(rig.feed(&unknown), []);
        }
    }
    assert_eq!(rig.sent(), []);
    rig.expect_alive();
}

/// §4.1
#[test]
fn the_reserved_bit_and_unused_flags_are_ignored() {
    let mut rig = Rig::new();
    let mut ping = frame(Kind::Ping, 0xfe, 0, b"8 octets");
    ping[5] |= 0x80;
    assert_eq!(rig.feed(&ping), []);
    let sent = rig.sent();
    assert_eq!(
        (sent[0].flags, &sent[0].payload[..]),
        (ACK, &b"8 octets"[..])
    );
    let mut request = get(1);
    request[4] |= !(PADDED | PRIORITY);
    request[5] |= 0x80;
    let expected = Seen::Request {
        stream: 1,
        has_content: false,
    };
    assert_eq!(rig.feed(&request), [expected]);
}

/// §4.2
#[test]
fn the_largest_frame_is_taken_and_a_larger_one_is_a_frame_size_error() {
    let mut rig = Rig::new();
    rig.open_for_content(1);
    let events = rig.feed(&data(1, 0, &[1; 16_384]));
    assert_eq!(events, [Seen::Content(1, vec![1; 16_384], false)]);
    for kind in [
        Kind::Data,
        Kind::Headers,
        Kind::Settings,
        Kind::Unknown,
        Kind::Continuation,
    ] {
        let mut rig = Rig::new();
        // Its header is enough.
        let header = &frame(kind, END_HEADERS, 1, &[0; 16_385])[..HEADER_BYTES];
        rig.expect_failure(header, ErrorCode::FRAME_SIZE_ERROR);
    }
}

/// §4.3
#[test]
fn a_block_that_cannot_be_decoded_is_a_compression_error() {
    let mut rig = Rig::new();
    let input = frame(Kind::Headers, WHOLE, 1, b"\x40");
    rig.expect_failure(&input, ErrorCode::COMPRESSION_ERROR);
    // §4.3: also on a stream that is refused, or in trailers.
    let mut rig = Rig::new();
    rig.open_for_content(1);
    let input = frame(Kind::Headers, WHOLE, 1, b"\x80");
    rig.expect_failure(&input, ErrorCode::COMPRESSION_ERROR);
}

/// §4.3, §6.2, §6.10
#[test]
fn the_frames_of_a_block_stand_together() {
    let begin = || {
        let mut rig = Rig::new();
        rig.open(&[1]);
        assert_eq!(rig.feed(&headers(3, END_STREAM, GET)), []);
        rig
    };
    for other in [
        get(5),
        data(1, 0, b"x"),
        frame(Kind::Priority, 0, 1, &[0; 5]),
        frame(Kind::Ping, 0, 0, &[0; 8]),
        settings(&[]),
        window_update(0, 1),
        rst_stream(3, 8),
        headers(3, END_HEADERS, GET),
        // §5.5: extensions may not stand there either.
        frame(Kind::Unknown, 0, 3, b""),
        frame(Kind::Unknown, 0, 0, b""),
        frame(Kind::Continuation, END_HEADERS, 5, b""),
    ] {
        begin().expect_failure(&other, ErrorCode::PROTOCOL_ERROR);
    }
    let mut rig = begin();
    let more = block(&[("x", "y")]);
    assert_eq!(rig.feed(&frame(Kind::Continuation, 0, 3, &more)), []);
    // The flag stands in HEADERS alone.
    let last = frame(Kind::Continuation, WHOLE, 3, &more);
    let expected = Seen::Request {
        stream: 3,
        has_content: false,
    };
    assert_eq!(rig.feed(&last), [expected]);
    assert_eq!(rig.list.len(), GET.len() + 2);
}

/// §6.10
#[test]
fn continuation_continues_something() {
    for before in [Vec::new(), get(1), data(1, 0, b"x")] {
        let mut rig = Rig::new();
        rig.open_for_content(1);
        let mut input = before;
        if input == get(1) {
            input = get(3);
        }
        input.extend(frame(Kind::Continuation, END_HEADERS, 1, b""));
        rig.expect_failure(&input, ErrorCode::PROTOCOL_ERROR);
    }
    let mut rig = Rig::new();
    let input = frame(Kind::Continuation, END_HEADERS, 0, b"");
    rig.expect_failure(&input, ErrorCode::PROTOCOL_ERROR);
}

/// A block may be cut anywhere, also within a field.
#[test]
fn blocks_may_be_cut_anywhere() {
    let whole = block(GET);
    for cut in 0..=whole.len() {
        let mut rig = Rig::new();
        let mut input = frame(Kind::Headers, END_STREAM, 1, &whole[..cut]);
        input.extend(frame(Kind::Continuation, END_HEADERS, 1, &whole[cut..]));
        let expected = Seen::Request {
            stream: 1,
            has_content: false,
        };
        assert_eq!(rig.feed(&input), [expected]);
        assert!(rig.core.block.is_none());
    }
}

/// §4.1: the payload of control frames is waited for; the content of DATA is handed on as it comes.
#[test]
fn frames_may_come_in_pieces() {
    let mut rig = Rig::new();
    let request = post(1);
    for len in 0..request.len() {
        assert_eq!(rig.feed_some(&request[..len]), (vec![], 0), "{len}");
    }
    rig.open_for_content(1);
    let padded = data(1, PADDED | END_STREAM, b"\x02abcd\0\0");
    assert_eq!(
        rig.feed_some(&padded[..9]),
        (vec![], 0),
        "the pad length is missing"
    );
    assert_eq!(rig.feed_some(&padded[..10]), (vec![], 10));
    let content = |bytes: &[u8], end| Seen::Content(1, bytes.to_vec(), end);
    assert_eq!(rig.feed(b"a"), [content(b"a", false)]);
    assert_eq!(rig.feed(b"bcd"), [content(b"bcd", true)]);
    assert_eq!(rig.feed(b"\0"), []);
    assert_eq!(rig.feed(b"\0"), []);
    rig.expect_alive();
}

/// §4.3: what does not fit into one frame of the peer goes on in CONTINUATION.
#[test]
fn long_heads_are_sent_in_pieces() {
    let mut rig = Rig::new();
    rig.open(&[1, 3]);
    let field = [&b"\0\x01x\x7f\xd8\x7f"[..], &[b'v'; 16_471]].concat();
    let parts: [&[u8]; 3] = [b"\x88", &field, b"\0\x01y\x01z"];
    assert!(rig.core.respond(StreamId(1), &parts, true, &mut rig.out));
    let sent = rig.sent();
    let shape: Vec<_> = sent.iter().map(|sent| (sent.kind, sent.flags)).collect();
    let expected = [
        (Kind::Headers, END_STREAM),
        (Kind::Continuation, END_HEADERS),
    ];
    assert_eq!(shape, expected);
    assert_eq!(sent[0].payload.len(), 16_384);
    let joined = [&sent[0].payload[..], &sent[1].payload].concat();
    assert_eq!(joined, parts.concat());
    assert!(sent.iter().all(|sent| sent.stream == 1));
    // A frame that is just full needs no other one.
    let exact = vec![b'v'; 16_384];
    assert!(
        rig.core
            .respond(StreamId(3), &[&exact], false, &mut rig.out)
    );
    let sent = rig.sent();
    assert_eq!((sent.len(), sent[0].flags), (1, END_HEADERS));
}
