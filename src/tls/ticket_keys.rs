//! Keys that session tickets are sealed with: random ones, or read from files so that several
//! machines accept each other's tickets.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hkdf, rand};
use zeroize::Zeroizing;

use super::TlsError;
use super::pem::{self, Kind};
use crate::base::limits::TICKET_KEYS_MAX;

/// Bytes of the name that stands in front of a ticket.
pub(super) const NAME_BYTES: usize = 16;
/// Bytes of one key in a file, as nginx has them: the name, then the secret.
const FILE_KEY_BYTES: [usize; 2] = [80, 48];
/// What this key is for, so that the same file under another program gives another key.
const PURPOSE: &[u8] = b"downpour session ticket 1";
const TAG_BYTES: usize = 16;

/// A key with its name.
///
/// AES-256-GCM-SIV (RFC 8452), because nonces are random and keys from a file are used for long and
/// on many machines: a nonce that comes twice tells nothing but that two tickets are equal.
pub(super) struct TicketKey {
    name: [u8; NAME_BYTES],
    cipher: RandomizedNonceKey,
}

impl TicketKey {
    pub(super) fn random() -> Result<TicketKey, TlsError> {
        let mut block = Zeroizing::new([0; 80]);
        rand::fill(&mut *block).map_err(|_| {
            TlsError::new(
                "the kernel gives no random numbers",
                "allow getrandom(2) to this process",
            )
        })?;
        Ok(TicketKey::new(&*block))
    }

    /// `block`: the name, then the secret.
    fn new(block: &[u8]) -> TicketKey {
        let (name, secret) = block.split_at(NAME_BYTES);
        let mut key = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
            .extract(secret)
            .expand(&[PURPOSE], hkdf::HKDF_SHA256)
            .and_then(|material| material.fill(&mut *key))
            .expect("32 bytes are one block of HKDF");
        TicketKey {
            name: name.try_into().expect("split so"),
            cipher: RandomizedNonceKey::new(&AES_256_GCM_SIV, &*key)
                .expect("the key has the length of the cipher"),
        }
    }

    /// `name || nonce || ciphertext || tag`; `context` must be the same to open it.
    pub(super) fn seal(&self, context: &[u8], plain: &[&[u8]]) -> Option<Vec<u8>> {
        let len: usize = plain.iter().map(|piece| piece.len()).sum();
        let mut body = Zeroizing::new(Vec::with_capacity(len));
        plain.iter().for_each(|piece| body.extend_from_slice(piece));
        let aad = Aad::from(self.bound_to(context));
        let sealed = self.cipher.seal_in_place_separate_tag(aad, &mut body);
        let (nonce, tag) = sealed.ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + len + TAG_BYTES);
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.extend_from_slice(&body);
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    /// What was sealed, when this key and `context` did it.
    pub(super) fn open(&self, context: &[u8], ticket: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (name, rest) = ticket.split_at_checked(NAME_BYTES)?;
        if name != self.name {
            return None;
        }
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = Zeroizing::new(sealed.to_vec());
        let aad = Aad::from(self.bound_to(context));
        let len = self.cipher.open_in_place(nonce, aad, &mut body).ok()?.len();
        body.truncate(len);
        Some(body)
    }

    fn bound_to(&self, context: &[u8]) -> Vec<u8> {
        [&self.name[..], context].concat()
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TicketKey")
    }
}

/// Reads keys; the first one seals, all open.
pub(super) fn load(paths: &[PathBuf]) -> Result<Vec<TicketKey>, TlsError> {
    let mut keys: Vec<TicketKey> = Vec::new();
    for path in paths {
        let bytes = pem::read_file(path, Kind::Secret)?;
        let size = key_size(path, bytes.len())?;
        keys.extend(bytes.chunks_exact(size).map(TicketKey::new));
    }
    let has_twin = |at: usize| keys[..at].iter().any(|key| key.name == keys[at].name);
    if keys.len() > TICKET_KEYS_MAX {
        return Err(TlsError::new(
            format!("there are {} ticket keys", keys.len()),
            format!("{TICKET_KEYS_MAX} are enough: drop those whose tickets have all expired"),
        ));
    }
    if (0..keys.len()).any(has_twin) {
        return Err(TlsError::new(
            "two ticket keys have the same name (their first 16 bytes)",
            "make each of them anew: openssl rand -out FILE 80",
        ));
    }
    Ok(keys)
}

/// How long each key in a file of `len` bytes is.
fn key_size(path: &Path, len: usize) -> Result<usize, TlsError> {
    let mut fitting = FILE_KEY_BYTES
        .into_iter()
        .filter(|size| len > 0 && len.is_multiple_of(*size));
    match (fitting.next(), fitting.next()) {
        (Some(size), None) => Ok(size),
        (Some(_), Some(_)) => Err(TlsError::new(
            format!(
                "{} may hold keys of 48 or of 80 bytes: its {len} bytes fit both",
                path.display()
            ),
            "give each key a file of its own and repeat --tls-ticket-keys",
        )),
        (None, _) => Err(TlsError::new(
            format!(
                "{} holds no ticket keys: {len} bytes are not a multiple of 48 or 80",
                path.display()
            ),
            format!("make one: openssl rand -out {} 80", path.display()),
        )),
    }
}
