//! Client certificates: whose are accepted, and who it was.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_cert::der::Decode;

use super::server::ClientAuth;
use super::{TlsError, pem};

/// The authorities whose client certificates are accepted.
pub(super) struct Authorities {
    roots: Arc<RootCertStore>,
    /// Names this set of authorities: tickets made under another one are not accepted.
    pub(super) digest: [u8; 32],
}

impl Authorities {
    pub(super) fn load(path: &Path) -> Result<Authorities, TlsError> {
        let certificates = pem::certificates(path)?;
        Authorities::new(&certificates).map_err(|error| {
            TlsError::new(
                format!(
                    "{} holds a certificate that cannot be an authority: {error}",
                    path.display()
                ),
                "name the file with the certificates of those who issue client certificates",
            )
        })
    }

    pub(super) fn new(
        certificates: &[CertificateDer<'static>],
    ) -> Result<Authorities, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let mut context = digest::Context::new(&digest::SHA256);
        for certificate in certificates {
            roots.add(certificate.clone())?;
            context.update(&(certificate.len() as u64).to_be_bytes());
            context.update(certificate);
        }
        let digest = context.finish();
        Ok(Authorities {
            roots: Arc::new(roots),
            digest: digest.as_ref().try_into().expect("SHA-256 has 32 bytes"),
        })
    }

    /// Asks for certificates as `auth` says.
    pub(super) fn verifier(
        &self,
        auth: ClientAuth,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let roots = Arc::clone(&self.roots);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        let builder = match auth {
            ClientAuth::Required => builder,
            ClientAuth::Optional => builder.allow_unauthenticated(),
        };
        builder.build().map_err(|error| {
            TlsError::new(
                format!("client certificates cannot be verified: {error}"),
                "check the file that --tls-client-ca names",
            )
        })
    }
}

/// Who a verified certificate is about, as RFC 4514 writes names.
pub(super) fn subject(certificate: &CertificateDer<'_>) -> Option<Box<str>> {
    type Parsed = x509_cert::certificate::CertificateInner<x509_cert::certificate::Raw>;
    let parsed = Parsed::from_der(certificate).ok()?;
    Some(parsed.tbs_certificate.subject.to_string().into_boxed_str())
}
