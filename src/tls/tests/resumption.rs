//! Clients that come back: to another worker, after a rotation, to another machine.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind};

use super::maker::*;
use crate::base::limits::{TICKET_KEY_SECONDS, TICKET_SECONDS};
use crate::tls::peer::NOW;
use crate::tls::{Sources, TlsServer, load};

/// Whether a connection was resumed; the client keeps the ticket that it gets.
fn is_resumed(server: &TlsServer, config: &Arc<ClientConfig>) -> bool {
    let (mut served, mut peer) = connect(server, config);
    peer.say(b"so that the client reads its ticket");
    served.converse(&mut peer).unwrap().unwrap();
    let (session, out) = (&mut served.session, &mut served.out);
    session.write([&b"x"[..]].into_iter(), out).unwrap();
    peer.take(&served.out).unwrap();
    let kind = peer.tls.handshake_kind().unwrap();
    assert_eq!(served.session.connection().handshake_kind(), Some(kind));
    kind == HandshakeKind::Resumed
}

#[test]
fn a_ticket_is_good_on_every_worker() {
    let (server, configs) = simple();
    let other_worker = server.clone();
    for config in configs {
        assert!(!is_resumed(&server, &config));
        assert!(is_resumed(&other_worker, &config));
        assert!(is_resumed(&server, &config));
    }
}

#[test]
fn a_ticket_outlives_one_rotation_and_not_two() {
    let (server, configs) = simple();
    for (config, start) in configs.iter().zip([NOW, NOW + 10 * TICKET_KEY_SECONDS]) {
        server.rotate_tickets(start).unwrap();
        assert!(!is_resumed(&server, config));
        server.rotate_tickets(start + TICKET_KEY_SECONDS).unwrap();
        assert!(is_resumed(&server, config), "by the key before");
        // The client has a new ticket now, sealed by the new key.
        server
            .rotate_tickets(start + 2 * TICKET_KEY_SECONDS)
            .unwrap();
        assert!(is_resumed(&server, config));
        server
            .rotate_tickets(start + 4 * TICKET_KEY_SECONDS)
            .unwrap();
        assert!(!is_resumed(&server, config));
    }
}

fn ticket_file(maker: &Maker, name: &str, bytes: &[u8]) -> PathBuf {
    maker.write(name, bytes, 0o600)
}

fn with_keys(maker: &Maker, files: &[PathBuf]) -> (TlsServer, Sources) {
    let sources = Sources {
        pairs: vec![maker.pair("a", &["localhost"], KeyKind::Ecdsa)],
        ticket_keys: files.to_vec(),
        ..Sources::default()
    };
    let loaded = load(&sources, NOW).unwrap();
    (TlsServer::new(settings(), loaded, NOW).unwrap(), sources)
}

#[test]
fn machines_with_the_same_key_file_accept_each_others_tickets() {
    let maker = Maker::new();
    let file = ticket_file(&maker, "tickets", &[7; 80]);
    let (one, _) = with_keys(&maker, std::slice::from_ref(&file));
    let (two, _) = with_keys(&maker, std::slice::from_ref(&file));
    let (stranger, _) = with_keys(&maker, &[ticket_file(&maker, "others", &[8; 48])]);
    for config in both_versions(&maker) {
        assert!(!is_resumed(&one, &config));
        assert!(is_resumed(&two, &config));
        assert!(!is_resumed(&stranger, &config));
    }
}

#[test]
fn a_new_first_key_seals_and_the_old_one_opens() {
    let maker = Maker::new();
    let old = ticket_file(&maker, "old", &[1; 80]);
    let (server, mut sources) = with_keys(&maker, std::slice::from_ref(&old));
    let [config, _] = both_versions(&maker);
    assert!(!is_resumed(&server, &config));
    let new = ticket_file(&maker, "new", &[2; 48]);
    sources.ticket_keys = vec![new.clone(), old];
    server.replace(load(&sources, NOW).unwrap()).unwrap();
    assert!(is_resumed(&server, &config));
    sources.ticket_keys = vec![new];
    server.replace(load(&sources, NOW).unwrap()).unwrap();
    assert!(is_resumed(&server, &config), "by the ticket made meanwhile");
}

#[test]
fn a_ticket_grows_old_whatever_its_key() {
    let maker = Maker::new();
    let (server, _) = with_keys(&maker, &[ticket_file(&maker, "tickets", &[7; 80])]);
    for config in both_versions(&maker) {
        server.rotate_tickets(NOW).unwrap();
        assert!(!is_resumed(&server, &config));
        server.rotate_tickets(NOW + TICKET_SECONDS).unwrap();
        assert!(is_resumed(&server, &config));
        server.rotate_tickets(NOW + 3 * TICKET_SECONDS).unwrap();
        assert!(!is_resumed(&server, &config));
    }
}

#[test]
fn random_keys_stay_when_certificates_change() {
    let (server, [config, _]) = simple();
    assert!(!is_resumed(&server, &config));
    let maker = Maker::new();
    let sources = Sources {
        pairs: vec![maker.pair("b", &["localhost"], KeyKind::Ecdsa)],
        ..Sources::default()
    };
    server.replace(load(&sources, NOW).unwrap()).unwrap();
    assert!(is_resumed(&server, &config));
}

#[test]
fn a_clock_that_was_set_back_makes_no_old_key_eternal() {
    let (server, [config, _]) = simple();
    assert!(!is_resumed(&server, &config));
    server.rotate_tickets(NOW - TICKET_KEY_SECONDS).unwrap();
    server.rotate_tickets(NOW).unwrap();
    assert!(!is_resumed(&server, &config));
}

#[test]
fn key_files_that_hold_no_keys_are_refused() {
    let maker = Maker::new();
    for (bytes, part) in [
        (vec![], "openssl rand"),
        (vec![1; 79], "openssl rand"),
        (vec![1; 240], "48 or of 80"),
        (vec![1; 160], "same name"),
    ] {
        let sources = Sources {
            ticket_keys: vec![ticket_file(&maker, "tickets", &bytes)],
            ..Sources::default()
        };
        let error = load(&sources, NOW).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let open = maker.write("open", &[1; 80], 0o644);
    let sources = Sources {
        ticket_keys: vec![open],
        ..Sources::default()
    };
    let error = load(&sources, NOW).unwrap_err().to_string();
    assert!(error.contains("chmod o-rw"), "{error}");
}
