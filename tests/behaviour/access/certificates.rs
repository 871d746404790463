//! Certificates of clients that name their user.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::client::connect_tcp;
use crate::tls_client::{Stream, stream};

/// Who issues certificates to clients.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key.
type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn issue(&self, name: &str) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Works");
        params.distinguished_name.push(DnType::CommonName, name);
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (made.der().clone(), key)
    }
}

fn config(keys: &Keys, protocol: &str, shown: Option<&Shown>) -> Arc<ClientConfig> {
    let trusting = keys.config(&rustls::version::TLS13, protocol);
    let Some((certificate, key)) = shown else {
        return trusting;
    };
    let mut config = (*trusting).clone();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key.clone_key());
    let key = rustls::sign::CertifiedKey::new(vec![certificate.clone()], key.unwrap());
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(key));
    Arc::new(config)
}

fn http1(keys: &Keys, server: &Server, shown: Option<&Shown>) -> Client<Stream> {
    let config = config(keys, "http/1.1", shown);
    Client::new(stream(&config, connect_tcp(server.tls_address())))
}

fn http2(keys: &Keys, server: &Server, shown: Option<&Shown>) -> Http2<Stream> {
    let config = config(keys, "h2", shown);
    Http2::begin(stream(&config, connect_tcp(server.tls_address())), &[])
}

fn site() -> Site {
    Site::of(&[
        ("private/a", b"alpha"),
        ("users/b", b""),
        ("password/c", b""),
        ("open", b""),
    ])
}

#[test]
fn a_certificate_names_its_user() {
    let (site, keys, authority) = (site(), Keys::new(), Authority::new());
    let trusted = secret(&site, "ca.pem", &authority.pem);
    let log = site.outside("access.log");
    let flags = [
        "--tls-client-ca",
        &trusted,
        "--tls-client-auth",
        "optional",
        "--client-cert-users",
        "--access",
        "/private/** read=cert:machine.one",
        "--access",
        "/users/** read=users",
        "--access",
        "/password/** read=user:machine.one",
        "--access-log",
        "json",
        "--log-file",
        log.to_str().unwrap(),
    ];
    let server = keys.server(ENGINE, &site, &flags);
    let (one, two) = (
        authority.issue("machine.one"),
        authority.issue("machine.two"),
    );
    for (shown, statuses) in [
        (Some(&one), [200, 200, 403, 200]),
        (Some(&two), [403, 200, 403, 200]),
        // Nothing but a certificate would do, and there is no field to ask for one.
        (None, [403, 403, 403, 200]),
    ] {
        let (mut http1, mut http2) = (http1(&keys, &server, shown), http2(&keys, &server, shown));
        let wires: [&mut dyn Speaks; 2] = [&mut http1, &mut http2];
        for wire in wires {
            let paths = ["/private/a", "/users/b", "/password/c", "/open"];
            for (path, status) in paths.into_iter().zip(statuses) {
                let answer = wire.say("GET", path, &[]);
                assert_eq!(answer.status, status, "{path}");
                assert_eq!(answer.field("www-authenticate"), None);
            }
        }
    }
    // A resumed session knows whose it is.
    let shared = config(&keys, "http/1.1", Some(&one));
    for _ in 0..2 {
        let mut client = Client::new(stream(&shared, connect_tcp(server.tls_address())));
        assert_eq!(client.get("/private/a").status, 200);
    }
    let mut clear = server.connect();
    assert_eq!(clear.get("/private/a").status, 403);
    let path = log.to_str().unwrap();
    crate::rig::eventually("the user in the log", || {
        let lines = json_lines(path);
        let of_one = lines.iter().filter(|line| line["user"] == "machine.one");
        of_one.count() == 8
    });
}

/// A certificate that lets its holder connect says nothing about users unless that was wanted.
#[test]
fn a_certificate_names_nobody_unless_it_is_said() {
    let (site, keys, authority) = (site(), Keys::new(), Authority::new());
    let trusted = secret(&site, "ca.pem", &authority.pem);
    let users = users(&site, &["anna"]);
    let flags = format!(
        "--tls-client-ca={trusted}
         --users={users}
         --access=/users/** read=users"
    );
    let flags = lines(&flags);
    let server = keys.server(ENGINE, &site, &flags);
    let one = authority.issue("machine.one");
    let mut client = http1(&keys, &server, Some(&one));
    assert_eq!(client.get("/users/b").status, 401);
    let anna = basic("anna", PASSWORD);
    let known = [("Authorization", &anna[..])];
    assert_eq!(client.say("GET", "/users/b", &known).status, 200);
    let said = refusal(&site, &["--access", "read=cert:machine.one"]);
    assert!(said.contains("--client-cert-users"), "{said}");
}

#[test]
fn who_has_issued_a_certificate_must_be_trusted() {
    let (site, keys, authority) = (site(), Keys::new(), Authority::new());
    let trusted = secret(&site, "ca.pem", &authority.pem);
    let flags = format!(
        "--tls-client-ca={trusted}
         --client-cert-users
         --access=read=cert:machine.one"
    );
    let flags = lines(&flags);
    let server = keys.server(ENGINE, &site, &flags);
    let forged = Authority::new().issue("machine.one");
    for shown in [None, Some(&forged)] {
        let mut client = http1(&keys, &server, shown);
        client.try_send("GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.try_answer().is_err());
    }
    let mut client = http1(&keys, &server, Some(&authority.issue("machine.one")));
    assert_eq!(client.get("/open").status, 200);
}
