//! A certificate made on the spot, for trying things out: `--self-signed`.

use std::fmt::Write;

use aws_lc_rs::digest;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_cert::der::DateTime;

use super::certificates::{Certificate, Credentials, PairFiles};
use super::{TlsError, server};

/// How long it is in force: browsers refuse more than 398 days.
const DAYS: u64 = 365;
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// A certificate, its key, and how to recognise it.
#[derive(Debug)]
pub struct SelfSigned {
    pub(super) served: Certificate,
    /// The SHA-256 of the certificate as browsers and `openssl x509 -fingerprint` show it.
    pub fingerprint: String,
    /// The certificate itself, for clients that are to trust it.
    pub certificate: CertificateDer<'static>,
}

impl SelfSigned {
    /// This certificate, and nothing besides.
    pub fn credentials(&self) -> Credentials {
        let mut credentials = Credentials::default();
        credentials.add(self);
        credentials
    }
}

/// Makes an ECDSA P-256 certificate for these names and addresses. `unix_seconds`: now.
pub fn self_signed(names: &[String], unix_seconds: u64) -> Result<SelfSigned, TlsError> {
    let failed = |error: rcgen::Error| {
        TlsError::new(
            format!(
                "no certificate can be made for {}: {error}",
                names.join(", ")
            ),
            "name hosts or addresses, as in --self-signed=localhost",
        )
    };
    let mut wanted = CertificateParams::new(names).map_err(failed)?;
    // A day of grace for clients whose clocks are slow.
    let (year, month, day) = date(unix_seconds.saturating_sub(DAY_SECONDS));
    wanted.not_before = date_time_ymd(year, month, day);
    let (year, month, day) = date(unix_seconds + DAYS * DAY_SECONDS);
    wanted.not_after = date_time_ymd(year, month, day);
    wanted.distinguished_name = DistinguishedName::new();
    let title = "downpour self-signed";
    wanted.distinguished_name.push(DnType::CommonName, title);
    wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let made = wanted.self_signed(&key).map_err(failed)?;
    let certificate = made.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let pair = PairFiles {
        certificate: "the self-signed certificate".into(),
        key: "the key of the self-signed certificate".into(),
    };
    let chain = vec![certificate.clone()];
    let provider = server::provider();
    let served = Credentials::default().check(&pair, chain, key, unix_seconds, &provider)?;
    Ok(SelfSigned {
        served,
        fingerprint: fingerprint(&certificate),
        certificate,
    })
}

/// Year, month and day of a time.
fn date(unix_seconds: u64) -> (i32, u8, u8) {
    let since = std::time::Duration::from_secs(unix_seconds);
    let date = DateTime::from_unix_duration(since).unwrap_or(DateTime::INFINITY);
    (i32::from(date.year()), date.month(), date.day())
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let mut shown = String::new();
    for byte in digest::digest(&digest::SHA256, certificate).as_ref() {
        let colon = if shown.is_empty() { "" } else { ":" };
        write!(shown, "{colon}{byte:02X}").expect("a String takes any text");
    }
    shown
}
