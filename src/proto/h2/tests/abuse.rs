//! Attacks by name: each is bounded, in work, in memory and in what it makes us send.

use super::*;
use crate::base::limits::{
    H2_CONTINUATIONS_MAX, H2_CONTROL_BURST, H2_CONTROL_PER_SECOND, H2_CONTROL_PER_USE,
    H2_FAULTS_BURST, H2_RESETS_BURST, H2_RESETS_PER_SECOND,
};

const CALM: ErrorCode = ErrorCode::ENHANCE_YOUR_CALM;

/// How many rounds of an attack are taken; the connection must fail with ENHANCE_YOUR_CALM.
fn rounds(rig: &mut Rig, mut attack: impl FnMut(&mut Rig, u32) -> Vec<u8>) -> u32 {
    for round in 0..10_000 {
        let input = attack(rig, round);
        let sent_before = rig.out.len();
        let events = rig.feed(&input);
        if events.last() == Some(&Seen::Closed) {
            rig.expect_goaway(CALM);
            return round;
        }
        let answer = rig.out.len() - sent_before;
        assert!(
            answer <= 2 * input.len() + 64,
            "{answer} for {}",
            input.len()
        );
    }
    panic!("the attack goes on for ever");
}

fn odd(round: u32) -> u32 {
    2 * round + 1
}

/// CVE-2023-44487: requests that are reset at once.
#[test]
fn rapid_reset() {
    let mut rig = Rig::new();
    let taken = rounds(&mut rig, |_, round| {
        [get(odd(round)), rst_stream(odd(round), 8)].concat()
    });
    assert_eq!(taken, H2_RESETS_BURST);
    // The same against a server that has answered by then.
    let mut rig = Rig::new();
    let taken = rounds(&mut rig, |rig, round| {
        rig.open(&[odd(round)]);
        rig.answer(odd(round));
        rst_stream(odd(round), 8)
    });
    assert_eq!(taken, H2_RESETS_BURST);
    // A page that is left now and then is no attack.
    let mut rig = Rig::new();
    for round in 0..20_000 {
        rig.now = rig.now + std::time::Duration::from_millis(1000) / H2_RESETS_PER_SECOND;
        let cancelled = [get(odd(round)), rst_stream(odd(round), 8)].concat();
        assert_eq!(rig.feed(&cancelled).len(), 2);
        rig.out.clear();
    }
}

/// CVE-2025-8671 (MadeYouReset): streams that the peer makes us reset.
#[test]
fn made_you_reset() {
    let ways: [fn(u32) -> Vec<u8>; 7] = [
        |id| [get(id), window_update(id, 0)].concat(),
        |id| [get(id), window_update(id, 0x7fff_ffff)].concat(),
        |id| [get(id), data(id, 0, b"x")].concat(),
        |id| [get(id), get(id)].concat(),
        |id| [get(id), frame(Kind::Priority, 0, id, b"")].concat(),
        |id| [post(id), headers(id, END_HEADERS, &[("x", "y")])].concat(),
        // Malformed from the start; CVE-2019-9516 among them: fields without a name.
        |id| headers(id, WHOLE, &[("", ""), ("", "")]),
    ];
    for way in ways {
        let mut rig = Rig::new();
        let taken = rounds(&mut rig, |_, round| way(odd(round)));
        assert_eq!(taken, H2_FAULTS_BURST);
    }
}

/// The same by streams above the limit, on closed streams, and by requests that are refused.
#[test]
fn floods_of_refusals() {
    let limits = H2Settings {
        max_concurrent_streams: 1,
        ..H2Settings::default()
    };
    let mut rig = Rig::with(&limits);
    rig.open(&[1]);
    let taken = rounds(&mut rig, |_, round| get(odd(round + 1)));
    assert_eq!(taken, H2_FAULTS_BURST);
    // Before it knows of the limit a client may mean it well, for a while.
    let mut rig = Rig::silent(&limits);
    rig.feed(PREFACE);
    rig.feed(&settings(&[]));
    rig.open(&[1]);
    let taken = rounds(&mut rig, |_, round| get(odd(round + 1)));
    assert_eq!(taken, H2_CONTROL_BURST);
    let mut rig = Rig::new();
    for round in 0..1000 {
        rig.open(&[odd(round)]);
        rig.answer(odd(round));
    }
    assert_eq!(
        rounds(&mut rig, |_, round| data(odd(round), 0, b"x")),
        H2_FAULTS_BURST
    );
    let mut rig = Rig::new();
    let taken = rounds(&mut rig, |rig, round| {
        if round > 0 {
            rig.answer(odd(round - 1));
        }
        let mut fields = GET.to_vec();
        fields.push(("expect", "nothing"));
        headers(odd(round), WHOLE, &fields)
    });
    assert_eq!(taken, H2_FAULTS_BURST);
    // Blocks for a stream that we have reset.
    let mut rig = Rig::new();
    rig.open(&[1]);
    rig.core.reset(StreamId(1), ErrorCode::CANCEL, &mut rig.out);
    assert_eq!(rounds(&mut rig, |_, _| get(1)), H2_FAULTS_BURST);
}

/// CVE-2024-27316: a field block without an end.
#[test]
fn continuation_flood() {
    for payload in [&b""[..], &[0; 100]] {
        let mut rig = Rig::new();
        rig.feed(&headers(1, END_STREAM, GET));
        let more = frame(Kind::Continuation, 0, 1, payload);
        assert_eq!(rounds(&mut rig, |_, _| more.clone()), H2_CONTINUATIONS_MAX);
    }
    // In bytes it ends sooner.
    let mut rig = Rig::new();
    rig.feed(&frame(Kind::Headers, 0, 1, &[0; 16_000]));
    let more = frame(Kind::Continuation, 0, 1, &[0; 10_000]);
    assert_eq!(rounds(&mut rig, |_, _| more.clone()), 1);
}

/// CVE-2019-9512, CVE-2019-9515, CVE-2019-9518 and their kin: frames that bring nothing.
#[test]
fn floods_of_control_frames() {
    let mut goaway = frame(Kind::Goaway, 0, 0, &[0; 8]);
    let mut unknown = frame(Kind::Unknown, 0, 0, b"");
    unknown[3] = 0x77;
    goaway[8] = 0;
    let floods = [
        frame(Kind::Ping, 0, 0, &[0; 8]),
        frame(Kind::Ping, ACK, 0, &[0; 8]),
        settings(&[]),
        settings(&[(INITIAL_WINDOW_SIZE, 5)]),
        frame(Kind::Settings, ACK, 0, b""),
        frame(Kind::Priority, 0, 1, &[0; 5]),
        frame(Kind::Priority, 0, 77, &[0; 5]),
        frame(Kind::PriorityUpdate, 0, 0, b"\0\0\0\x01u=1"),
        frame(Kind::PriorityUpdate, 0, 0, b"\0\0\0\x77u=1"),
        window_update(0, 1),
        window_update(1, 1),
        data(1, 0, b""),
        data(1, PADDED, b"\x03\0\0\0"),
        unknown,
        goaway,
    ];
    for flood in floods {
        let mut rig = Rig::new();
        rig.open_for_content(1);
        let taken = rounds(&mut rig, |_, _| flood.clone());
        // A few were spent before, and requests pay for some.
        let expected = H2_CONTROL_BURST - 1..=H2_CONTROL_BURST + H2_CONTROL_PER_USE;
        assert!(expected.contains(&taken), "{taken} of {flood:?}");
    }
}

/// Many settings in one frame are as dear as several frames.
#[test]
fn large_settings_frames() {
    let mut rig = Rig::new();
    let values = vec![(INITIAL_WINDOW_SIZE, 5); 2700];
    assert!(rounds(&mut rig, |_, _| settings(&values)) < 5);
}

/// Clients that open windows and measure the way as they receive are no attackers.
#[test]
fn control_frames_are_paid_by_use() {
    let mut rig = Rig::new();
    let mut control = Vec::new();
    for _ in 0..H2_CONTROL_PER_USE {
        control.extend(window_update(0, 1));
    }
    for round in 0..10_000 {
        rig.open(&[odd(round)]);
        assert!(rig.respond(odd(round), false));
        assert_eq!(rig.feed(&control), []);
        rig.core
            .write_data(StreamId(odd(round)), 1, true, &mut rig.out);
        assert_eq!(rig.feed(&control), []);
        rig.out.clear();
    }
    // Time pays, too.
    let mut rig = Rig::new();
    for _ in 0..10_000 {
        rig.now = rig.now + std::time::Duration::from_millis(1000) / H2_CONTROL_PER_SECOND;
        rig.expect_alive();
    }
}

/// CVE-2016-6581: what unfolds to too much is counted, not kept.
#[test]
fn hpack_bomb() {
    let mut rig = Rig::new();
    // One byte each for a field of the static table.
    let bomb = frame(Kind::Headers, WHOLE, 1, &[0x82; 16_000]);
    let events = rig.feed(&bomb);
    match &events[..] {
        [
            Seen::Refused {
                stream: 1,
                status: 431,
            },
        ] => {
            assert!(rig.list.is_overflown() && rig.list.len() <= 100);
        }
        [Seen::Closed] => rig.expect_goaway(CALM),
        other => panic!("{other:?}"),
    }
}

/// CVE-2019-9511, CVE-2019-9517: a reader that opens windows a little, or not at all. The owner has
/// the deadline; the core keeps to the windows and says that bodies wait.
#[test]
fn slow_readers_are_seen() {
    let mut rig = Rig::new();
    rig.feed(&settings(&[(INITIAL_WINDOW_SIZE, 0)]));
    for round in 0..128 {
        rig.open(&[odd(round)]);
        rig.queue(odd(round), 1 << 20);
    }
    assert!(rig.core.has_waiting_bodies() && !rig.core.wants_to_send());
    rig.feed(&window_update(1, 1));
    assert_eq!(rig.pump(), [(1, 1)]);
    assert!(rig.core.has_waiting_bodies() && !rig.core.wants_to_send());
}

/// Windows at their edges, from hostile settings.
#[test]
fn window_overflow_by_settings() {
    let mut rig = Rig::new();
    rig.open(&[1]);
    rig.feed(&window_update(1, 0x7fff_ffff - 65_535));
    let input = settings(&[(INITIAL_WINDOW_SIZE, 65_536)]);
    rig.expect_failure(&input, ErrorCode::FLOW_CONTROL_ERROR);
}

/// What a connection holds does not grow with what is thrown at it.
#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<H2Connection<(u64, u64)>>() <= 768);
}
