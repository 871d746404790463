//! Certificates with their keys, read from files and held against each other and the time.
//!
//! What is loaded is right: a chain whose first certificate is in force and belongs to its key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::{DateTime, Decode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::client_auth::Authorities;
use super::ticket_keys::{self, TicketKey};
use super::{SelfSigned, TlsError, pem, server};

/// A certificate chain and the key that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// PEM: the server's certificate, then those that lead to its authority.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, SEC1 or PKCS#1. May be the same file.
    pub key: PathBuf,
}

/// Every file that TLS is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The first is for clients that name nobody we know.
    pub pairs: Vec<PairFiles>,
    /// Certificates of those who issue client certificates.
    pub client_authorities: Option<PathBuf>,
    /// Ticket keys; none for random ones.
    pub ticket_keys: Vec<PathBuf>,
}

impl Sources {
    /// The files, to be watched.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.pairs.iter();
        pairs
            .flat_map(|pair| [&pair.certificate, &pair.key])
            .chain(&self.client_authorities)
            .chain(&self.ticket_keys)
            .map(PathBuf::as_path)
    }
}

/// All that a server shows and checks, loaded and consistent.
#[derive(Default)]
pub struct Credentials {
    pub(super) certificates: Vec<Certificate>,
    pub(super) authorities: Option<Authorities>,
    /// `None` for random ones.
    pub(super) ticket_keys: Option<Vec<TicketKey>>,
    /// Sentences for the log.
    pub warnings: Vec<String>,
}

/// One certificate with its chain and key.
#[derive(Clone)]
pub(super) struct Certificate {
    /// DNS names in small letters, with their wildcards.
    pub(super) names: Vec<Box<str>>,
    pub(super) key: Arc<CertifiedKey>,
    /// Where its validity ends.
    ends: DateTime,
}

/// Reads and checks every file. `unix_seconds`: now.
pub fn load(sources: &Sources, unix_seconds: u64) -> Result<Credentials, TlsError> {
    let provider = server::provider();
    let mut credentials = Credentials::default();
    for pair in &sources.pairs {
        let chain = pem::certificates(&pair.certificate)?;
        let key = pem::private_key(&pair.key)?;
        let certificate = credentials.check(pair, chain, key, unix_seconds, &provider)?;
        credentials.certificates.push(certificate);
    }
    credentials.note_unreachable(sources);
    if let Some(path) = &sources.client_authorities {
        credentials.authorities = Some(Authorities::load(path)?);
    }
    if !sources.ticket_keys.is_empty() {
        credentials.ticket_keys = Some(ticket_keys::load(&sources.ticket_keys)?);
    }
    Ok(credentials)
}

impl Credentials {
    /// A certificate that was made on the spot serves as well.
    pub fn add(&mut self, made: &SelfSigned) {
        self.certificates.push(made.served.clone());
    }

    /// Holds a key against its certificate, and that against the time.
    pub(super) fn check(
        &mut self,
        pair: &PairFiles,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        unix_seconds: u64,
        provider: &CryptoProvider,
    ) -> Result<Certificate, TlsError> {
        let shown = pair.certificate.display();
        let (names, starts, ends) = read(&chain[0]).ok_or_else(|| {
            TlsError::new(
                format!("the first certificate in {shown} is not valid X.509"),
                "take the file anew from who issued it",
            )
        })?;
        if ends.unix_duration().as_secs() < unix_seconds {
            return Err(TlsError::new(
                format!("the certificate in {shown} has expired at {ends}"),
                "have it renewed by who issued it; if it has not, check the clock: date -u",
            ));
        }
        if starts.unix_duration().as_secs() > unix_seconds {
            self.warnings.push(format!(
                "the certificate in {shown} is not valid before {starts}: clients will refuse it, \
                 if the clock of this machine is right"
            ));
        }
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::new(
                format!(
                    "the key in {} does not belong to the certificate in {shown}",
                    pair.key.display()
                ),
                "give each --tls-cert its own --tls-key, in the same order; the server's own \
                 certificate stands first in its file",
            ),
            error => TlsError::new(
                format!("the key in {} cannot be used: {error}", pair.key.display()),
                "use an ECDSA key (P-256 or P-384), Ed25519, or RSA of 2048 bits and more",
            ),
        })?;
        Ok(Certificate {
            names,
            key: Arc::new(key),
            ends,
        })
    }

    /// A certificate without names can only be the default.
    fn note_unreachable(&mut self, sources: &Sources) {
        let nameless = self.certificates.iter().zip(&sources.pairs).skip(1);
        for (_, pair) in nameless.filter(|(certificate, _)| certificate.names.is_empty()) {
            self.warnings.push(format!(
                "the certificate in {} names no host (it has no DNS name as subjectAltName), so \
                 no client gets it",
                pair.certificate.display()
            ));
        }
    }

    /// What is served, for one line of the log.
    pub fn summary(&self) -> String {
        let shown = self.certificates.iter().map(|certificate| {
            let names = match &*certificate.names {
                [] => "no name".to_owned(),
                [name] => name.to_string(),
                [name, rest @ ..] => format!("{name} and {} more", rest.len()),
            };
            format!("{names} until {}", certificate.ends)
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(&self.names).finish()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Credentials({})", self.summary())
    }
}

/// Names and validity of a certificate.
fn read(certificate: &CertificateDer<'_>) -> Option<(Vec<Box<str>>, DateTime, DateTime)> {
    let parsed = CertificateInner::<Raw>::from_der(certificate).ok()?;
    let body = &parsed.tbs_certificate;
    let mut names = Vec::new();
    // One that cannot be read is as none: the certificate may still be the default.
    if let Ok(Some((_, SubjectAltName(found)))) = body.get::<SubjectAltName>() {
        for name in found {
            if let GeneralName::DnsName(name) = name {
                names.push(name.as_str().to_ascii_lowercase().into_boxed_str());
            }
        }
    }
    let validity = body.validity;
    let (starts, ends) = (validity.not_before, validity.not_after);
    Some((names, starts.to_date_time(), ends.to_date_time()))
}
