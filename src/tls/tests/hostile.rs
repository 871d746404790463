//! Peers that stop, lie, and cut.

use std::sync::Arc;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::{ClientConfig, ConnectionTrafficSecrets};

use super::maker::*;
use crate::tls::peer::{Peer, Served, client_config};
use crate::tls::{Session, TlsServer};

/// The first flight of a client, and its second after the server's answer.
fn flights(server: &TlsServer, config: &Arc<ClientConfig>) -> (Vec<u8>, Vec<u8>) {
    let mut peer = Peer::new(config, "localhost");
    let first = peer.output();
    let mut served = Served::new(Session::new(server));
    served.give(&first, usize::MAX).unwrap();
    peer.take(&served.out).unwrap();
    (first, peer.output())
}

#[test]
fn a_first_flight_that_ends_at_any_byte_is_waited_for() {
    let (server, configs) = simple();
    for config in configs {
        let (first, _) = flights(&server, &config);
        for cut in 0..first.len() {
            for piece in [1, 5, 100, usize::MAX] {
                let mut served = Served::new(Session::new(&server));
                // A byte at a time is the dearest way: every eighth cut will do.
                if piece == 1 && cut % 8 != 0 {
                    continue;
                }
                served.give(&first[..cut], piece).unwrap();
                assert!(served.session.is_handshaking());
                assert!(served.out.is_empty() && served.plain.is_empty());
                assert_eq!(
                    served.unread.len(),
                    cut,
                    "a record is kept until it is whole"
                );
            }
        }
    }
}

#[test]
fn a_second_flight_that_ends_at_any_byte_is_waited_for() {
    let (server, configs) = simple();
    for config in configs {
        let (_, second) = flights(&server, &config);
        for cut in 0..second.len() {
            let mut peer = Peer::new(&config, "localhost");
            let mut served = Served::new(Session::new(&server));
            let first = peer.output();
            served.give(&first, usize::MAX).unwrap();
            peer.take(&served.out).unwrap();
            let second = peer.output();
            served
                .give(&second[..cut.min(second.len() - 1)], 16)
                .unwrap();
            assert!(served.session.is_handshaking());
        }
    }
}

#[test]
fn a_flight_that_breaks_at_any_byte_ends_in_an_alert() {
    let (server, [config, _]) = simple();
    let (first, _) = flights(&server, &config);
    for cut in (0..first.len()).step_by(3) {
        let mut served = Served::new(Session::new(&server));
        let mut wire = first[..cut].to_vec();
        // What comes instead of the rest: another record, which makes no sense there.
        wire.extend_from_slice(&[21, 3, 3, 0, 2, 2, 80]);
        wire.extend_from_slice(&[0; 2000]);
        let Err(fault) = served.give(&wire, 700) else {
            // Inside the record it stands for the rest of the message, which may even be right.
            continue;
        };
        assert!(!fault.to_string().is_empty());
        assert!(served.out.len() < 4096 && served.plain.is_empty());
    }
}

#[test]
fn a_changed_byte_is_seen_and_nothing_of_its_record_heard() {
    let (server, configs) = simple();
    for config in configs {
        let len = {
            let (_, mut peer) = connect(&server, &config);
            peer.say(b"a secret message");
            peer.output().len()
        };
        for at in 0..len {
            let (mut served, mut peer) = connect(&server, &config);
            peer.say(b"first");
            served.converse(&mut peer).unwrap().unwrap();
            peer.say(b"a secret message");
            let mut sent = peer.output();
            sent[at] ^= 0x10;
            let heard = served.give(&sent, usize::MAX);
            match (at, heard) {
                // The version in the header means nothing (RFC 8446 §5.1), ...
                (1 | 2, Ok(())) => continue,
                // ... and a record that says it is longer is waited for.
                (3 | 4, Ok(())) => assert_eq!(served.unread.len(), len),
                (_, heard) => assert!(heard.is_err(), "{at}"),
            }
            assert_eq!(served.plain, b"first");
            if served.out.is_empty() {
                continue;
            }
            assert!(peer.take(&served.out).is_err(), "an alert at {at}");
        }
    }
}

#[test]
fn a_close_is_told_and_what_follows_it_ignored() {
    let (server, configs) = simple();
    for config in configs {
        for piece in [1, 1000] {
            let (mut served, mut peer) = connect(&server, &config);
            peer.say(b"last words");
            peer.tls.send_close_notify();
            let mut sent = peer.output();
            sent.extend_from_slice(b"\x17\x03\x03\x00\x05junk!");
            let whole = sent.len() - 10;
            served.give(&sent[..whole], piece).unwrap();
            assert!(served.closed);
            served.give(&sent[whole..], 1000).unwrap();
            assert_eq!(served.plain, b"last words");
            assert!(served.unread.is_empty());
            // We may still answer (RFC 8446 §6.1).
            let (session, out) = (&mut served.session, &mut served.out);
            session.write([&b"an answer"[..]].into_iter(), out).unwrap();
            session.close_notify(out);
            assert!(session.write([&b"too late"[..]].into_iter(), out).is_err());
            let said = std::mem::take(&mut served.out);
            peer.take(&said).unwrap();
            assert_eq!(peer.heard, b"an answer");
        }
    }
}

#[test]
fn our_close_is_heard() {
    let (server, configs) = simple();
    for config in configs {
        let (mut served, mut peer) = connect(&server, &config);
        let mut out = Vec::new();
        served.session.close_notify(&mut out);
        let first = out.len();
        served.session.close_notify(&mut out);
        assert_eq!(out.len(), first, "said once");
        let mut bytes = &out[..];
        peer.tls.read_tls(&mut bytes).unwrap();
        assert!(peer.tls.process_new_packets().unwrap().peer_has_closed());
    }
}

#[test]
fn a_message_in_endless_pieces_is_given_up() {
    let (server, _) = simple();
    let mut served = Served::new(Session::new(&server));
    // A hello of 65,000 bytes, a byte in each record.
    let mut message = vec![1, 0, 0xfd, 0xe8];
    message.resize(65_004, 0);
    let mut verdict = Ok(());
    let mut held = 0;
    for byte in message {
        verdict = served.give(&[22, 3, 1, 0, 1, byte], usize::MAX);
        held += 6;
        if verdict.is_err() {
            break;
        }
        assert!(served.unread.is_empty(), "the session keeps it");
    }
    let told = verdict.unwrap_err().to_string();
    assert!(told.contains("too many pieces"), "{told}");
    assert!(held < 70 * 1024, "{held}");
}

#[test]
fn records_that_are_too_long_are_refused_at_their_header() {
    let (server, [config, _]) = simple();
    let mut served = Served::new(Session::new(&server));
    assert!(served.give(&[22, 3, 1, 0xff, 0xff], 5).is_err());
    // Also where the beginning of a message is held.
    let hello = Peer::new(&config, "localhost").output();
    let mut served = Served::new(Session::new(&server));
    served.give(&[22, 3, 1, 0, 1, hello[5]], 6).unwrap();
    assert!(served.give(&[22, 3, 1, 0xff, 0xff], 5).is_err());
    assert!(!served.out.is_empty(), "with an alert");
}

/// Encrypts what rustls' client would not: records of TLS 1.3 with any content.
struct Forger {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Forger {
    fn new(peer: Peer) -> Forger {
        let (sequence, secrets) = peer.tls.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
            panic!("the first cipher of the list");
        };
        let key = UnboundKey::new(&aws_lc_rs::aead::AES_128_GCM, key.as_ref()).unwrap();
        Forger {
            key: LessSafeKey::new(key),
            iv: iv.as_ref().try_into().unwrap(),
            sequence,
        }
    }

    /// RFC 8446 §5.2 and §5.3.
    fn record(&mut self, content: &[u8], content_type: u8) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, counted) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= counted;
        }
        self.sequence += 1;
        let mut body = [content, &[content_type]].concat();
        let len = (body.len() + 16) as u16;
        let header = [&[23, 3, 3][..], &len.to_be_bytes()].concat();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(&header),
                &mut body,
            )
            .unwrap();
        [header, body].concat()
    }
}

fn forged() -> (Served, Forger) {
    let maker = Maker::new();
    let pair = maker.pair("a", &["localhost"], KeyKind::Ecdsa);
    let server = server(&[pair], settings());
    let mut config = client_config(&maker.root(), &rustls::version::TLS13);
    config.enable_secret_extraction = true;
    let (served, peer) = connect(&server, &Arc::new(config));
    (served, Forger::new(peer))
}

const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
/// KeyUpdate, with an update of ours asked for (RFC 8446 §4.6.3).
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 1];

#[test]
fn we_may_write_while_half_a_message_of_the_peer_is_here() {
    let (mut served, mut forger) = forged();
    let half = forger.record(&KEY_UPDATE[..2], HANDSHAKE);
    served.give(&half, usize::MAX).unwrap();
    let (session, out) = (&mut served.session, &mut served.out);
    session.write([&b"answer"[..]].into_iter(), out).unwrap();
    let said = out.len();
    assert_eq!(said, 5 + 6 + 17);
    let rest = forger.record(&KEY_UPDATE[2..], HANDSHAKE);
    served.give(&rest, 3).unwrap();
    assert!(served.unread.is_empty());
    let (session, out) = (&mut served.session, &mut served.out);
    session.write([&b"answer"[..]].into_iter(), out).unwrap();
    let update = 5 + KEY_UPDATE.len() + 17;
    assert_eq!(
        out.len() - said,
        update + said,
        "our own update goes before"
    );
}

#[test]
fn other_records_between_the_halves_of_a_message_are_refused() {
    let (mut served, mut forger) = forged();
    let half = forger.record(&KEY_UPDATE[..2], HANDSHAKE);
    served.give(&half, usize::MAX).unwrap();
    // RFC 8446 §5.1
    let between = forger.record(b"GET / HTTP/1.1\r\n\r\n", DATA);
    let told = served.give(&between, usize::MAX).unwrap_err().to_string();
    assert!(told.contains("MessageInterleaved"), "{told}");
    assert!(served.plain.is_empty());
}

#[test]
fn a_flood_of_key_updates_ends_the_connection() {
    let maker = Maker::new();
    let pair = maker.pair("a", &["localhost"], KeyKind::Ecdsa);
    let server = server(&[pair], settings());
    let config = client_config(&maker.root(), &rustls::version::TLS13);
    let (mut served, mut peer) = connect(&server, &Arc::new(config));
    let mut updates = 0;
    while updates < 1000 {
        peer.tls.refresh_traffic_keys().unwrap();
        let sent = peer.output();
        if served.give(&sent, usize::MAX).is_err() {
            break;
        }
        updates += 1;
    }
    assert!(updates < 100, "{updates} key updates were answered");
    assert!(served.out.len() < 8 * 1024);
}

#[test]
fn empty_records_end_the_connection() {
    let (mut served, mut forger) = forged();
    let mut verdict = Ok(());
    for _ in 0..1000 {
        let empty = forger.record(b"", DATA);
        verdict = served.give(&empty, usize::MAX);
        if verdict.is_err() {
            break;
        }
    }
    assert!(verdict.is_err());
}
