//! Files with certificates and keys: read whole, checked for who else may read them, wiped after.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::TlsError;
use crate::base::limits::PEM_FILE_BYTES_MAX;

/// Permission of everybody to read or to write.
const BY_ANYBODY: u32 = 0o006;

/// Whether a file holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Public,
    /// Nobody but its owner and group may read it.
    Secret,
}

/// The bytes of a file, which are wiped when they are dropped.
pub(super) fn read_file(path: &Path, kind: Kind) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let shown = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => TlsError::new(
            format!("the file {shown} does not exist"),
            "check the path; a relative one is looked up where downpour was started",
        ),
        ErrorKind::PermissionDenied => TlsError::new(
            format!(
                "the file {shown} may not be read by user {}",
                rustix::process::geteuid().as_raw()
            ),
            "give this user or its group the right to read it",
        ),
        _ => TlsError::new(
            format!("the file {shown} cannot be read: {error}"),
            "name a file that can",
        ),
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(TlsError::new(
            format!("{shown} is not a file"),
            "name the file itself",
        ));
    }
    if kind == Kind::Secret && found.mode() & BY_ANYBODY != 0 {
        return Err(TlsError::new(
            format!("anybody on this machine may read or change the key in {shown}"),
            format!("take that right away: chmod o-rw {shown}"),
        ));
    }
    if found.len() > PEM_FILE_BYTES_MAX {
        return Err(TlsError::new(
            format!("{shown} is too large for a file of certificates or keys"),
            "name the right file",
        ));
    }
    // The room is made at once, so that no piece of a secret is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(found.len() as usize + 1));
    let mut limited = (&mut file).take(found.len() + 1);
    limited.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The certificates of a PEM file in their order; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let shown = path.display();
    let text = read_file(path, Kind::Public)?;
    let found: Result<Vec<_>, Error> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::new(
            format!("{shown} holds no certificate"),
            "it must hold PEM: a block from -----BEGIN CERTIFICATE----- on for each certificate, \
             the server's own first",
        )),
        Err(error) => Err(TlsError::new(
            format!("{shown} is not valid PEM: {error}"),
            "take the file anew from who issued it",
        )),
    }
}

/// The private key of a PEM file: PKCS#8, SEC1 or PKCS#1, unencrypted.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let shown = path.display();
    let text = read_file(path, Kind::Secret)?;
    if is_encrypted(&text) {
        return Err(TlsError::new(
            format!("the key in {shown} is encrypted with a passphrase"),
            format!("decrypt it to a file that only this user may read: openssl pkey -in {shown}"),
        ));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        Error::NoItemsFound => TlsError::new(
            format!("{shown} holds no private key"),
            "it must hold PEM: a block from -----BEGIN PRIVATE KEY----- on",
        ),
        error => TlsError::new(
            format!("{shown} is not valid PEM: {error}"),
            "take the file anew from where the key was made",
        ),
    })
}

/// PKCS#8 says it in its label, the older forms in a header (RFC 1421 §4.6.1.1).
fn is_encrypted(text: &[u8]) -> bool {
    let holds = |word: &[u8]| memchr::memmem::find(text, word).is_some();
    holds(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds(b"Proc-Type: 4,ENCRYPTED")
}
