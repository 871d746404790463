//! Which cipher a client would rather have, told from its first message before rustls sees it.
//!
//! We choose the cipher that costs us least, AES-128-GCM, for clients as well as for us have AES in
//! hardware. Those that have not ask for ChaCha20 first, and to them AES is dear: they get it.

/// Bytes in front of the list of cipher suites: the headers of record (5) and message (4), version
/// (2), random (32) and the length of the session id (RFC 8446 §4.1.2, §5.1).
const SESSION_ID_AT: usize = 5 + 4 + 2 + 32;
/// Suites that are looked at: real clients list theirs of TLS 1.3 first, behind one of no meaning
/// (RFC 8701).
const SUITES_SEEN: usize = 8;

/// Whether a hello asks for ChaCha20 before AES; `None` when too little of it is here.
pub(super) fn prefers_chacha(input: &[u8]) -> Option<bool> {
    let is_hello = input.first() == Some(&22) && input.get(5).is_none_or(|first| *first == 1);
    if !is_hello {
        return if input.is_empty() { None } else { Some(false) };
    }
    let suites_at = SESSION_ID_AT + 1 + usize::from(*input.get(SESSION_ID_AT)?);
    let len = input.get(suites_at..suites_at + 2)?;
    let len = usize::from(u16::from_be_bytes([len[0], len[1]]));
    let seen = len.min(2 * SUITES_SEEN);
    let suites = input.get(suites_at + 2..suites_at + 2 + seen)?;
    let known = suites.chunks_exact(2).find_map(|suite| match suite {
        // TLS 1.3 (RFC 8446 §B.4), TLS 1.2 (RFC 7905 §2).
        [0x13, 0x03] | [0xcc, 0xa8 | 0xa9] => Some(true),
        // AES-GCM: TLS 1.3, TLS 1.2 (RFC 5289 §3.2).
        [0x13, 0x01 | 0x02] | [0xc0, 0x2b | 0x2c | 0x2f | 0x30] => Some(false),
        _ => None,
    });
    Some(known.unwrap_or(false))
}

/// Whether a hello is of a client that knows nothing newer than TLS 1.1: later ones say 3.3 there
/// (RFC 8446 §4.1.2). rustls refuses it too, but says `handshake_failure`, since it looks for
/// extensions of TLS 1.2 first; the person at the other end should learn the reason.
pub(super) fn is_outdated(input: &[u8]) -> bool {
    let [22, _, _, high, low, 1, _, _, _, major, minor, ..] = input else {
        return false;
    };
    // In a smaller record these bytes are something else.
    let is_whole = u16::from_be_bytes([*high, *low]) >= 6;
    is_whole && (*major, *minor) < (3, 3)
}

/// The alert `protocol_version`, fatal (RFC 8446 §6.2), in a record of TLS 1.0.
pub(super) const PROTOCOL_VERSION_ALERT: &[u8] = &[21, 3, 1, 0, 2, 2, 70];

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(session_id: usize, suites: &[[u8; 2]]) -> Vec<u8> {
        let mut bytes = vec![22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        bytes.resize(SESSION_ID_AT, 7);
        bytes.push(session_id as u8);
        bytes.resize(SESSION_ID_AT + 1 + session_id, 7);
        bytes.extend_from_slice(&((suites.len() * 2) as u16).to_be_bytes());
        bytes.extend(suites.iter().flatten());
        bytes
    }

    #[test]
    fn clients_of_old_versions_are_known_by_their_hello() {
        let mut bytes = hello(0, &[[0xc0, 0x30]]);
        assert!(!is_outdated(&bytes));
        for (minor, outdated) in [(0, true), (1, true), (2, true), (3, false), (4, false)] {
            bytes[10] = minor;
            assert_eq!(is_outdated(&bytes), outdated, "3.{minor}");
            assert!(!is_outdated(&bytes[..10]), "too little is here");
        }
        bytes[10] = 1;
        bytes[3..5].copy_from_slice(&[0, 5]);
        assert!(!is_outdated(&bytes), "a hello in small records");
        bytes[3..5].copy_from_slice(&[0, 6]);
        assert!(is_outdated(&bytes));
        bytes[0] = 23;
        assert!(!is_outdated(&bytes), "no hello");
    }

    #[test]
    fn the_first_cipher_that_we_speak_decides() {
        for (suites, expected) in [
            (&[[0x13, 1], [0x13, 3]][..], false),
            (&[[0x13, 3], [0x13, 1]], true),
            (&[[0x6a, 0x6a], [0x13, 3]], true),
            (&[[0, 0xff], [0xcc, 0xa9], [0xc0, 0x2b]], true),
            (&[[0xc0, 0x30], [0xcc, 0xa8]], false),
            (&[[0, 0x2f]], false),
            (&[], false),
        ] {
            for session_id in [0, 32] {
                let bytes = hello(session_id, suites);
                assert_eq!(prefers_chacha(&bytes), Some(expected), "{suites:?}");
            }
        }
    }

    #[test]
    fn what_is_cut_is_not_decided_and_what_is_no_hello_is_no_wish() {
        let whole = hello(32, &[[0x13, 3], [0x13, 1]]);
        for cut in 0..whole.len() {
            assert_eq!(prefers_chacha(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(prefers_chacha(b"GET / HTTP/1.1"), Some(false));
        assert_eq!(prefers_chacha(&[21, 3, 3, 0, 2]), Some(false));
        assert_eq!(prefers_chacha(&[22, 3, 3, 0, 2, 2]), Some(false));
    }
}
