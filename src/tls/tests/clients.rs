//! Client certificates.

use std::sync::Arc;

use rcgen::{DnType, ExtendedKeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::maker::*;
use crate::tls::peer::{At, NOW, Peer, Served};
use crate::tls::{ClientAuth, Session, Sources, TlsServer, TlsSettings, load};

/// The server's authority, and one that issues client certificates.
struct Scene {
    maker: Maker,
    clients: Maker,
}

impl Scene {
    fn new() -> Scene {
        Scene {
            maker: Maker::new(),
            clients: Maker::new(),
        }
    }

    fn sources(&self) -> Sources {
        let authority = pem("CERTIFICATE", self.clients.authority.der());
        Sources {
            pairs: vec![self.maker.pair("a", &["localhost"], KeyKind::Ecdsa)],
            client_authorities: Some(self.maker.write("ca.pem", authority.as_bytes(), 0o644)),
            ..Sources::default()
        }
    }

    fn server(&self, client_auth: ClientAuth) -> TlsServer {
        let settings = TlsSettings {
            client_auth,
            ..settings()
        };
        TlsServer::new(settings, load(&self.sources(), NOW).unwrap(), NOW).unwrap()
    }
}

/// Clients of both versions with a certificate issued by `issuer`.
fn clients(scene: &Scene, issuer: Option<&Maker>) -> [Arc<ClientConfig>; 2] {
    [&rustls::version::TLS13, &rustls::version::TLS12].map(|version| {
        let mut roots = RootCertStore::empty();
        roots.add(scene.maker.root()).unwrap();
        let provider = crate::tls::server::provider();
        let builder = ClientConfig::builder_with_details(provider, Arc::new(At(NOW)))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let Some(issuer) = issuer else {
            return Arc::new(builder.with_no_client_auth());
        };
        let key = KeyKind::Ecdsa.key();
        let mut params = Maker::wanted(&[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Rain, Inc.");
        params.distinguished_name.push(DnType::CommonName, "alice");
        let chain = vec![issuer.issue(&params, &key)];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(builder.with_client_auth_cert(chain, key).unwrap())
    })
}

fn is_refused(server: &TlsServer, config: &Arc<ClientConfig>) -> bool {
    let mut served = Served::new(Session::new(server));
    let mut peer = Peer::new(config, "localhost");
    !matches!(served.converse(&mut peer), Ok(Ok(())))
}

#[test]
fn who_must_show_a_certificate_is_known_by_it() {
    let scene = Scene::new();
    let server = scene.server(ClientAuth::Required);
    for config in clients(&scene, Some(&scene.clients)) {
        for _ in 0..2 {
            // The second time by its ticket.
            let (mut served, mut peer) = connect(&server, &config);
            let subject = served.session.client_subject().unwrap();
            assert_eq!(subject, "CN=alice,O=Rain\\, Inc.");
            peer.say(b"x");
            served.converse(&mut peer).unwrap().unwrap();
        }
    }
    for config in clients(&scene, None) {
        assert!(is_refused(&server, &config));
    }
    for config in clients(&scene, Some(&scene.maker)) {
        assert!(is_refused(&server, &config), "issued by somebody else");
    }
}

#[test]
fn who_may_show_one_need_not_but_it_must_be_valid() {
    let scene = Scene::new();
    let server = scene.server(ClientAuth::Optional);
    for config in clients(&scene, None) {
        let (served, _) = connect(&server, &config);
        assert_eq!(served.session.client_subject(), None);
    }
    for config in clients(&scene, Some(&scene.clients)) {
        let (served, _) = connect(&server, &config);
        assert!(served.session.client_subject().is_some());
    }
    for config in clients(&scene, Some(&scene.maker)) {
        assert!(is_refused(&server, &config));
    }
}

#[test]
fn a_ticket_does_not_survive_the_authority_it_was_made_under() {
    let scene = Scene::new();
    let keys = scene.maker.write("tickets", &[9; 80], 0o600);
    let sources = Sources {
        ticket_keys: vec![keys],
        ..scene.sources()
    };
    let server = TlsServer::new(settings(), load(&sources, NOW).unwrap(), NOW).unwrap();
    for config in clients(&scene, Some(&scene.clients)) {
        server.replace(load(&sources, NOW).unwrap()).unwrap();
        let (mut served, mut peer) = connect(&server, &config);
        peer.say(b"x");
        served.converse(&mut peer).unwrap().unwrap();
        let others = Maker::new();
        let authority = pem("CERTIFICATE", others.authority.der());
        let changed = Sources {
            client_authorities: Some(scene.maker.write("ca2.pem", authority.as_bytes(), 0o644)),
            ..sources.clone()
        };
        server.replace(load(&changed, NOW).unwrap()).unwrap();
        assert!(is_refused(&server, &config));
    }
}

#[test]
fn a_ticket_of_a_server_that_asks_for_nothing_opens_no_door() {
    let scene = Scene::new();
    let keys = scene.maker.write("tickets", &[9; 80], 0o600);
    let strict = Sources {
        ticket_keys: vec![keys],
        ..scene.sources()
    };
    let open = Sources {
        client_authorities: None,
        ..strict.clone()
    };
    let [open, strict] = [open, strict]
        .map(|sources| TlsServer::new(settings(), load(&sources, NOW).unwrap(), NOW).unwrap());
    for config in clients(&scene, None) {
        let (mut served, mut peer) = connect(&open, &config);
        peer.say(b"x");
        served.converse(&mut peer).unwrap().unwrap();
        assert!(is_refused(&strict, &config));
    }
}
