//! Handshakes that succeed, and what is agreed on.

use std::sync::Arc;

use rustls::{NamedGroup, ProtocolVersion, SignatureScheme, SupportedCipherSuite};

use super::maker::*;
use crate::tls::peer::{Peer, Served, client_config, client_config_with};
use crate::tls::{LeastVersion, Session, TlsSettings, UnknownName};

#[test]
fn both_versions_with_both_keys_in_pieces_of_any_size() {
    let maker = Maker::new();
    for kind in [KeyKind::Ecdsa, KeyKind::Rsa] {
        let pair = maker.pair("a", &["localhost"], kind);
        let server = server(&[pair], settings());
        for config in both_versions(&maker) {
            for piece in [1, 7, 1000, usize::MAX] {
                let mut served = Served::new(Session::new(&server));
                let mut peer = Peer::new(&config, "localhost");
                while peer.tls.is_handshaking() || served.session.is_handshaking() {
                    let sent = peer.output();
                    served.give(&sent, piece).unwrap();
                    let answer = std::mem::take(&mut served.out);
                    assert!(!sent.is_empty() || !answer.is_empty(), "it goes on");
                    peer.take(&answer).unwrap();
                }
                peer.say(b"GET / HTTP/1.1\r\n\r\n");
                let sent = peer.output();
                served.give(&sent, piece).unwrap();
                assert_eq!(served.plain, b"GET / HTTP/1.1\r\n\r\n", "{kind:?} {piece}");
                assert!(served.unread.is_empty());
                let said: [&[u8]; 2] = [b"HTTP/1.1 ", b"200 OK\r\n\r\n"];
                let (session, out) = (&mut served.session, &mut served.out);
                session.write(said.into_iter(), out).unwrap();
                peer.take(&served.out).unwrap();
                assert_eq!(peer.heard, b"HTTP/1.1 200 OK\r\n\r\n");
            }
        }
    }
}

#[test]
fn http2_is_agreed_on_unless_it_is_switched_off() {
    let (server, configs) = simple();
    for config in configs {
        let (mut served, mut peer) = connect(&server, &config);
        assert!(served.session.alpn_is_h2());
        peer.say(b"x");
        served.converse(&mut peer).unwrap().unwrap();
        assert!(served.said_h2, "it comes with the plaintext");
    }
    let maker = Maker::new();
    let pair = maker.pair("a", &["localhost"], KeyKind::Ecdsa);
    let without = TlsSettings {
        http2: false,
        ..settings()
    };
    let server = self::server(&[pair], without);
    for config in both_versions(&maker) {
        let (served, peer) = connect(&server, &config);
        assert!(!served.session.alpn_is_h2());
        assert_eq!(peer.tls.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
}

#[test]
fn a_client_without_alpn_gets_http1_and_one_with_a_foreign_protocol_an_alert() {
    let maker = Maker::new();
    let pair = maker.pair("a", &["localhost"], KeyKind::Ecdsa);
    let server = server(&[pair], settings());
    let mut config = client_config(&maker.root(), &rustls::version::TLS13);
    config.alpn_protocols.clear();
    let (served, _) = connect(&server, &Arc::new(config.clone()));
    assert!(!served.session.alpn_is_h2());
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let mut served = Served::new(Session::new(&server));
    let mut peer = Peer::new(&Arc::new(config), "localhost");
    let told = served.converse(&mut peer).unwrap_err();
    // RFC 7301 §3.2
    assert!(told.to_string().contains("NoApplicationProtocol"), "{told}");
}

#[test]
fn only_the_newest_version_where_that_is_asked_for() {
    let maker = Maker::new();
    let pair = maker.pair("a", &["localhost"], KeyKind::Ecdsa);
    let strict = TlsSettings {
        least_version: LeastVersion::Tls13,
        ..settings()
    };
    let server = server(&[pair], strict);
    let [new, old] = both_versions(&maker);
    let (served, _) = connect(&server, &new);
    let version = served.session.connection().protocol_version();
    assert_eq!(version, Some(ProtocolVersion::TLSv1_3));
    let mut peer = Peer::new(&old, "localhost");
    let mut served = Served::new(Session::new(&server));
    let told = served.converse(&mut peer).unwrap_err();
    assert!(told.to_string().contains("ProtocolVersion"), "{told}");
}

#[test]
fn the_hybrid_key_exchange_is_taken_when_it_is_offered() {
    let (server, [new, old]) = simple();
    let (served, _) = connect(&server, &new);
    let group = |served: &Served| {
        let group = served.session.connection().negotiated_key_exchange_group();
        group.unwrap().name()
    };
    assert_eq!(group(&served), NamedGroup::X25519MLKEM768);
    let (served, _) = connect(&server, &old);
    assert_eq!(group(&served), NamedGroup::X25519);
}

#[test]
fn the_cheapest_cipher_is_taken_unless_the_client_would_rather_have_chacha() {
    let maker = Maker::new();
    let pair = maker.pair("a", &["localhost"], KeyKind::Ecdsa);
    let server = server(&[pair], settings());
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for (first, expected) in [("AES_256", "AES_128"), ("CHACHA20", "CHACHA20")] {
            let mut provider = (*crate::tls::server::provider()).clone();
            let is_first = |suite: &SupportedCipherSuite| format!("{suite:?}").contains(first);
            provider.cipher_suites.sort_by_key(|suite| !is_first(suite));
            let config = client_config_with(&maker.root(), version, Arc::new(provider));
            let config = Arc::new(config);
            for piece in [1, 60, usize::MAX] {
                let mut served = Served::new(Session::new(&server));
                let mut peer = Peer::new(&config, "localhost");
                served.give(&peer.output(), piece).unwrap();
                served.converse(&mut peer).unwrap().unwrap();
                let suite = served.session.connection().negotiated_cipher_suite();
                let suite = format!("{:?}", suite.unwrap());
                assert!(suite.contains(expected), "{suite} in pieces of {piece}");
            }
        }
    }
}

/// Which certificate a client gets: its first name.
fn name_for(
    server: &crate::tls::TlsServer,
    config: &Arc<rustls::ClientConfig>,
    name: &str,
) -> String {
    let (_, peer) = connect_to(server, config, name);
    let shown = &peer.tls.peer_certificates().unwrap()[0];
    let parsed = <x509_cert::Certificate as x509_cert::der::Decode>::from_der(shown).unwrap();
    let key = &parsed.tbs_certificate.subject_public_key_info;
    let kind = match key.algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.1" => "RSA",
        _ => "ECDSA",
    };
    let subject = parsed.tbs_certificate.subject.to_string();
    format!("{subject} {kind}")
}

/// A certificate whose subject tells which it is.
fn titled(maker: &Maker, title: &str, names: &[&str], kind: KeyKind) -> crate::tls::PairFiles {
    let pair = maker.pair(title, names, kind);
    let mut params = Maker::wanted(names);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, title);
    let key = kind.key();
    let chain = pem("CERTIFICATE", &maker.issue(&params, &key));
    maker.write(&format!("{title}.pem"), chain.as_bytes(), 0o644);
    let key = pem("PRIVATE KEY", &key.serialize_der());
    maker.write(&format!("{title}.key"), key.as_bytes(), 0o600);
    pair
}

#[test]
fn the_name_chooses_the_certificate_and_the_client_its_kind() {
    let maker = Maker::new();
    let pairs = [
        titled(
            &maker,
            "first",
            &["a.example", "FIRST.example"],
            KeyKind::Rsa,
        ),
        titled(&maker, "second", &["a.example"], KeyKind::Ecdsa),
        titled(&maker, "wild", &["*.b.example"], KeyKind::Ecdsa),
        titled(&maker, "exact", &["x.b.example"], KeyKind::Ecdsa),
        titled(&maker, "other", &["c.example", "127.0.0.1"], KeyKind::Ecdsa),
    ];
    let server = server(&pairs, settings());
    let [new, old] = both_versions(&maker);
    for config in [&new, &old] {
        // Whoever verifies ECDSA gets it: it is cheaper for us.
        assert_eq!(name_for(&server, config, "a.example"), "CN=second ECDSA");
        assert_eq!(name_for(&server, config, "first.example"), "CN=first RSA");
        assert_eq!(name_for(&server, config, "y.b.example"), "CN=wild ECDSA");
        assert_eq!(name_for(&server, config, "x.b.example"), "CN=exact ECDSA");
        assert_eq!(name_for(&server, config, "c.example"), "CN=other ECDSA");
    }
    // A client that names an address sends no name, and gets the default of its kind.
    let names = crate::tls::names::Names::new(&certificates(&pairs), UnknownName::Default);
    let kind_of = |name: Option<&str>, schemes: &[SignatureScheme]| {
        let key = names.choose(name, schemes).unwrap();
        (key.key.algorithm(), key.cert[0].len())
    };
    let rsa = [SignatureScheme::RSA_PSS_SHA256];
    let ecdsa = [SignatureScheme::ECDSA_NISTP256_SHA256];
    let first = kind_of(Some("first.example"), &rsa);
    assert_eq!(kind_of(None, &rsa), first);
    assert_eq!(kind_of(Some("unknown.example"), &rsa), first);
    assert_eq!(
        kind_of(Some("b.example"), &rsa),
        first,
        "a star is one label"
    );
    assert_eq!(kind_of(Some("z.y.b.example"), &rsa), first, "and not two");
    assert_eq!(kind_of(None, &ecdsa), kind_of(Some("a.example"), &ecdsa));
    assert_eq!(
        kind_of(Some("c.example."), &ecdsa),
        kind_of(Some("c.example"), &ecdsa)
    );
}

fn certificates(pairs: &[crate::tls::PairFiles]) -> Vec<crate::tls::certificates::Certificate> {
    let sources = crate::tls::Sources {
        pairs: pairs.to_vec(),
        ..Default::default()
    };
    crate::tls::load(&sources, crate::tls::peer::NOW)
        .unwrap()
        .certificates
}

#[test]
fn an_unknown_name_is_refused_where_that_is_asked_for() {
    let maker = Maker::new();
    let pair = maker.pair("a", &["localhost"], KeyKind::Ecdsa);
    let strict = TlsSettings {
        unknown_name: UnknownName::Refused,
        ..settings()
    };
    let server = server(&[pair], strict);
    for config in both_versions(&maker) {
        connect(&server, &config);
        for name in ["other.example", "127.0.0.1"] {
            let mut peer = Peer::new(&config, name);
            let mut served = Served::new(Session::new(&server));
            let told = served.converse(&mut peer).unwrap_err();
            assert!(told.to_string().contains("AccessDenied"), "{told}");
        }
    }
}

#[test]
fn new_certificates_hold_for_new_connections_and_old_connections_go_on() {
    let maker = Maker::new();
    let pair = titled(&maker, "old", &["localhost"], KeyKind::Ecdsa);
    let server = server(std::slice::from_ref(&pair), settings());
    let clone = server.clone();
    let [config, _] = both_versions(&maker);
    let (mut served, mut peer) = connect(&server, &config);
    let fresh = titled(&maker, "new", &["localhost"], KeyKind::Ecdsa);
    let sources = crate::tls::Sources {
        pairs: vec![fresh],
        ..Default::default()
    };
    let loaded = crate::tls::load(&sources, crate::tls::peer::NOW).unwrap();
    server.replace(loaded).unwrap();
    let [config, _] = both_versions(&maker);
    assert_eq!(name_for(&clone, &config, "localhost"), "CN=new ECDSA");
    peer.say(b"still here");
    served.converse(&mut peer).unwrap().unwrap();
    assert_eq!(served.plain, b"still here");
}

#[test]
fn a_self_signed_certificate_serves_its_names() {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = crate::tls::self_signed(&names, crate::tls::peer::NOW).unwrap();
    assert_eq!(made.fingerprint.len(), 32 * 3 - 1);
    let server = crate::tls::TlsServer::new(settings(), made.credentials(), crate::tls::peer::NOW);
    let config = client_config(&made.certificate, &rustls::version::TLS13);
    for name in ["localhost", "127.0.0.1", "::1"] {
        connect_to(server.as_ref().unwrap(), &Arc::new(config.clone()), name);
    }
    let error = crate::tls::self_signed(&["ü".to_owned()], crate::tls::peer::NOW).unwrap_err();
    assert!(error.remedy.contains("--self-signed=localhost"), "{error}");
}

#[test]
fn what_is_shown_of_keys_and_sessions_holds_no_secret() {
    let (server, [config, _]) = simple();
    let (served, _) = connect(&server, &config);
    let shown = format!("{server:?} {:?}", served.session);
    let expected = "TlsServer Session { phase: Established, is_h2: true, .. }";
    assert_eq!(shown, expected);
    let credentials = crate::tls::self_signed(&["localhost".to_owned()], crate::tls::peer::NOW);
    let shown = format!("{:?}", credentials.unwrap().credentials());
    assert!(
        shown.starts_with("Credentials(localhost until 20"),
        "{shown}"
    );
}
