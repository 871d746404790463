//! How plaintext is cut into records.

use super::maker::*;
use crate::base::limits::RECORD_BYTES_MAX;
use crate::tls::Session;

/// Lengths of the records in some ciphertext.
fn records(mut wire: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let Some(header) = wire.first_chunk::<5>() {
        assert_eq!(header[0], 23, "application data");
        let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        lengths.push(len);
        wire = &wire[5 + len..];
    }
    assert!(wire.is_empty());
    lengths
}

fn write(session: &mut Session, lengths: &[usize]) -> Vec<u8> {
    let pieces: Vec<Vec<u8>> = lengths.iter().map(|len| vec![*len as u8; *len]).collect();
    let mut out = b"before".to_vec();
    session
        .write(pieces.iter().map(Vec::as_slice), &mut out)
        .unwrap();
    assert_eq!(&out[..6], b"before");
    out.split_off(6)
}

#[test]
fn pieces_share_records_and_records_are_as_large_as_they_may_be() {
    const MAX: usize = RECORD_BYTES_MAX;
    // TLS 1.3 adds the content type and a tag (RFC 8446 §5.2); 1.2 a nonce and a tag (RFC 5288 §3).
    let (server, configs) = simple();
    for (config, extra) in configs.iter().zip([17, 24]) {
        let (mut served, mut peer) = connect(&server, config);
        for (lengths, expected) in [
            (&[][..], &[][..]),
            (&[0, 0], &[]),
            (&[1], &[1]),
            (&[300, 10_000], &[10_300]),
            (&[300, 0, 5], &[305]),
            (&[MAX], &[MAX]),
            (&[MAX + 1], &[MAX, 1]),
            (
                &[100 * 1024],
                &[MAX, MAX, MAX, MAX, MAX, MAX, 100 * 1024 % MAX],
            ),
            (&[300, MAX], &[MAX, 300]),
            (&[300, 2 * MAX, 50], &[MAX, MAX, 350]),
            (&[2 * MAX, 50, MAX - 50], &[MAX, MAX, MAX]),
            (&[MAX - 1, 1, 1], &[MAX, 1]),
        ] {
            let wire = write(&mut served.session, lengths);
            let expected: Vec<usize> = expected.iter().map(|len| len + extra).collect();
            assert_eq!(records(&wire), expected, "{lengths:?}");
            peer.heard.clear();
            peer.take(&wire).unwrap();
            let said = lengths.iter().flat_map(|len| vec![*len as u8; *len]);
            assert!(peer.heard.iter().copied().eq(said), "{lengths:?}");
        }
    }
}

#[test]
fn nothing_is_written_before_the_handshake_and_after_a_fault() {
    let (server, [config, _]) = simple();
    let mut session = Session::new(&server);
    let mut out = Vec::new();
    assert!(session.write([&b"x"[..]].into_iter(), &mut out).is_err());
    session.close_notify(&mut out);
    assert!(out.is_empty() && session.is_handshaking());
    let (mut served, mut peer) = connect(&server, &config);
    peer.say(b"hello");
    let mut sent = peer.output();
    *sent.last_mut().unwrap() ^= 1;
    assert!(served.give(&sent, usize::MAX).is_err());
    let alert = std::mem::take(&mut served.out);
    assert!(!alert.is_empty());
    let again = [&b"x"[..]].into_iter();
    assert!(served.session.write(again, &mut served.out).is_err());
    served.session.close_notify(&mut served.out);
    assert!(served.out.is_empty() && served.plain.is_empty());
    let told = peer.take(&alert).unwrap_err();
    assert!(told.to_string().contains("BadRecordMac"), "{told}");
}
