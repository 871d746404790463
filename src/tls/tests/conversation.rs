//! The fuzz bodies over seeded scripts, and what a session costs.

use super::maker::*;
use crate::tls::Session;
use crate::tls::fuzz::{fuzz_conversation, fuzz_fragments, fuzz_records, hellos};

#[test]
fn conversations_of_every_kind() {
    let mut state = 1_u64;
    for round in 0..300 {
        let mut script = vec![round as u8];
        for _ in 0..12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            script.extend_from_slice(&state.to_be_bytes()[..2]);
        }
        fuzz_conversation(&script);
    }
}

#[test]
fn hellos_are_heard_however_they_are_cut() {
    for sizes in [&[][..], &[0], &[1, 0], &[255, 3, 9], &[8, 200, 0, 0, 31]] {
        fuzz_fragments(sizes);
    }
    hellos().iter().for_each(|hello| fuzz_records(hello));
}

#[test]
fn a_session_is_small() {
    let (server, [config, _]) = simple();
    let (served, _) = connect(&server, &config);
    assert!(served.unread.capacity() > 0, "the caller keeps input");
    assert!(size_of::<Session>() <= 1536, "{}", size_of::<Session>());
}
