//! Certificates, files and servers for the tests.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd,
};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use x509_cert::der::asn1::{AnyRef, OctetStringRef};
use x509_cert::der::{Reader, SliceReader};

use crate::tls::peer::{NOW, Peer, Served, client_config};
use crate::tls::{
    ClientAuth, LeastVersion, PairFiles, Session, Sources, TlsServer, TlsSettings, UnknownName,
    load,
};

/// An authority, a directory, and what was made in it.
pub(super) struct Maker {
    pub(super) scratch: tempfile::TempDir,
    pub(super) authority: CertifiedIssuer<'static, KeyPair>,
}

/// Both kinds of keys; RSA keys are slow to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Ecdsa,
    Rsa,
}

impl KeyKind {
    pub(super) fn key(self) -> KeyPair {
        match self {
            KeyKind::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            KeyKind::Rsa => {
                static RSA: OnceLock<Vec<u8>> = OnceLock::new();
                let made = RSA.get_or_init(|| {
                    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
                    key.unwrap().serialize_der()
                });
                KeyPair::try_from(made.as_slice()).unwrap()
            }
        }
    }
}

impl Maker {
    pub(super) fn new() -> Maker {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let title = "an authority";
        params.distinguished_name.push(DnType::CommonName, title);
        Maker {
            scratch: tempfile::tempdir().unwrap(),
            authority: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    pub(super) fn root(&self) -> CertificateDer<'static> {
        self.authority.der().clone()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8], mode: u32) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// What is asked for in a server's certificate.
    pub(super) fn wanted(names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
    }

    pub(super) fn issue(
        &self,
        params: &CertificateParams,
        key: &KeyPair,
    ) -> CertificateDer<'static> {
        params
            .signed_by(key, &self.authority)
            .unwrap()
            .der()
            .clone()
    }

    /// A certificate for these names and its key, in files called after `file`.
    pub(super) fn pair(&self, file: &str, names: &[&str], kind: KeyKind) -> PairFiles {
        let key = kind.key();
        let certificate = self.issue(&Maker::wanted(names), &key);
        let chain = pem("CERTIFICATE", &certificate) + &pem("CERTIFICATE", self.authority.der());
        let key = pem("PRIVATE KEY", &key.serialize_der());
        PairFiles {
            certificate: self.write(&format!("{file}.pem"), chain.as_bytes(), 0o644),
            key: self.write(&format!("{file}.key"), key.as_bytes(), 0o600),
        }
    }
}

/// The key inside PKCS#8: SEC1 for ECDSA, PKCS#1 for RSA.
pub(super) fn inside_pkcs8(der: &[u8]) -> Vec<u8> {
    let mut reader = SliceReader::new(der).unwrap();
    let inside = reader.sequence(|fields| {
        let _version: u8 = fields.decode()?;
        let _algorithm: AnyRef<'_> = fields.decode()?;
        let key: OctetStringRef<'_> = fields.decode()?;
        let _attributes = fields.read_slice(fields.remaining_len())?;
        Ok(key.as_bytes().to_vec())
    });
    inside.unwrap()
}

/// RFC 7468.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let mut word = [0; 4];
            word[1..1 + group.len()].copy_from_slice(group);
            let bits = u32::from_be_bytes(word);
            for digit in 0..4 {
                let shown = DIGITS[(bits >> (18 - 6 * digit)) as usize & 63];
                let is_there = digit <= group.len();
                text.push(if is_there { char::from(shown) } else { '=' });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

pub(super) fn settings() -> TlsSettings {
    TlsSettings {
        http2: true,
        least_version: LeastVersion::Tls12,
        client_auth: ClientAuth::Required,
        unknown_name: UnknownName::Default,
        key_log: None,
    }
}

pub(super) fn server(pairs: &[PairFiles], settings: TlsSettings) -> TlsServer {
    let sources = Sources {
        pairs: pairs.to_vec(),
        ..Sources::default()
    };
    TlsServer::new(settings, load(&sources, NOW).unwrap(), NOW).unwrap()
}

/// A server for `localhost` with an ECDSA key, and a client's settings for each version.
pub(super) fn simple() -> (TlsServer, [Arc<ClientConfig>; 2]) {
    let maker = Maker::new();
    let pair = maker.pair("a", &["localhost"], KeyKind::Ecdsa);
    (server(&[pair], settings()), both_versions(&maker))
}

pub(super) fn both_versions(maker: &Maker) -> [Arc<ClientConfig>; 2] {
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    versions.map(|version| Arc::new(client_config(&maker.root(), version)))
}

/// A complete handshake.
pub(super) fn connect(server: &TlsServer, config: &Arc<ClientConfig>) -> (Served, Peer) {
    connect_to(server, config, "localhost")
}

pub(super) fn connect_to(
    server: &TlsServer,
    config: &Arc<ClientConfig>,
    name: &str,
) -> (Served, Peer) {
    let mut served = Served::new(Session::new(server));
    let mut peer = Peer::new(config, name);
    served.converse(&mut peer).unwrap().unwrap();
    assert!(!served.session.is_handshaking() && !peer.tls.is_handshaking());
    (served, peer)
}
