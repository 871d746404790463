//! The keys that sign tokens: PEM, JWK sets (RFC 7517), and shared secrets.
//!
//! What a key may be used for is settled here, by its kind and what its file says of it. A token
//! only names an algorithm; it never chooses one that the key is not for (RFC 8725 §3.1).

use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use memchr::memmem;
use serde_json::Value;
use zeroize::Zeroizing;

use super::settings::AuthFile;
use crate::base::limits::{JWT_KEYS_MAX, JWT_KEYS_TRIED_MAX};

/// A PKCS #1 key of 2048 bits is longer, one of 1024 bits shorter.
const RSA_DER_BYTES_MIN: usize = 262;
const RSA_BYTES_MIN: usize = 256;
const RSA_BYTES_MAX: usize = 1024;

/// One key.
pub(super) struct Key {
    pub(super) material: DecodingKey,
    algorithms: Vec<Algorithm>,
    id: Option<Box<str>>,
}

/// The keys of all files.
pub(super) struct Keys(Vec<Key>);

impl Keys {
    pub(super) fn parse(keys: &[AuthFile], secrets: &[AuthFile]) -> Result<Keys, String> {
        let mut all = Vec::new();
        for file in keys {
            let found = match file.contents.trim_ascii_start().first() {
                Some(b'{') => of_jwk_set(file)?,
                _ => of_pem(file)?,
            };
            all.extend(found);
        }
        for file in secrets {
            all.push(of_secret(file)?);
        }
        if all.len() > JWT_KEYS_MAX {
            return Err(format!(
                "there are more than {JWT_KEYS_MAX} keys for tokens"
            ));
        }
        let nameless = all.iter().filter(|key| key.id.is_none()).count();
        match nameless > JWT_KEYS_TRIED_MAX {
            true => Err(format!(
                "there are {nameless} keys for tokens without an id, of which one token could be \
                 tried with {JWT_KEYS_TRIED_MAX}; put them into a JWK set and give each its kid"
            )),
            false => Ok(Keys(all)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that a token of this algorithm and `kid` may be signed by. A key without an id may
    /// be meant by any.
    pub(super) fn candidates(&self, by: Algorithm, id: Option<&str>) -> impl Iterator<Item = &Key> {
        let fits = move |key: &&Key| {
            let is_meant = id.is_none() || key.id.is_none() || key.id.as_deref() == id;
            is_meant && key.algorithms.contains(&by)
        };
        self.0.iter().filter(fits).take(JWT_KEYS_TRIED_MAX)
    }
}

/// A secret as it is in its file; the end of a line is not a part of one that is text.
fn of_secret(file: &AuthFile) -> Result<Key, String> {
    let mut secret = &file.contents[..];
    let is_text = secret
        .iter()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    if is_text {
        secret = secret.trim_ascii_end();
    }
    // Whoever can read a public key could sign with it.
    let is_public = memmem::find(secret, b"-----BEGIN").is_some() || secret.starts_with(b"{");
    let is_der = secret.starts_with(b"\x30\x82") || secret.starts_with(b"\x30\x59");
    if is_public || is_der {
        return Err(format!(
            "{} holds a key in PEM, DER or JSON and no shared secret; name it as a key, in PEM or \
             JSON",
            file.name
        ));
    }
    let algorithms = hmac_algorithms(secret);
    if algorithms.is_empty() {
        return Err(format!(
            "the secret in {} has {} bytes, and needs 32 at least (RFC 7518 §3.2); make one: \
             openssl rand -hex 32",
            file.name,
            secret.len()
        ));
    }
    Ok(Key {
        material: DecodingKey::from_secret(secret),
        algorithms,
        id: None,
    })
}

/// RFC 7518 §3.2: a key is as long as the hash at least.
fn hmac_algorithms(secret: &[u8]) -> Vec<Algorithm> {
    let all = [
        (32, Algorithm::HS256),
        (48, Algorithm::HS384),
        (64, Algorithm::HS512),
    ];
    let fitting = all.into_iter().filter(|(least, _)| secret.len() >= *least);
    fitting.map(|(_, algorithm)| algorithm).collect()
}

/// All public keys of a file in PEM.
fn of_pem(file: &AuthFile) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (number, line) in file.lines()? {
        if line.starts_with("-----BEGIN ") {
            block = Some((number, String::new()));
        }
        let Some((begin, text)) = &mut block else {
            continue; // What stands between blocks is a remark.
        };
        text.push_str(line);
        text.push('\n');
        if line.starts_with("-----END ") {
            let key = of_block(text).map_err(|why| file.fault(*begin, why))?;
            keys.push(key);
            block = None;
        }
    }
    match (block, keys.is_empty()) {
        (Some((begin, _)), _) => Err(file.fault(begin, "what begins here has no end")),
        (None, true) => Err(format!(
            "{} holds no key: it is a file with PUBLIC KEY in PEM, or a JWK set",
            file.name
        )),
        (None, false) => Ok(keys),
    }
}

fn of_block(text: &str) -> Result<Key, String> {
    let label = text.lines().next().unwrap_or_default();
    if label.contains("PRIVATE KEY") {
        return Err(
            "this is a private key, which belongs to who signs; take the public one: \
                    openssl pkey -pubout"
                .to_owned(),
        );
    }
    if label.contains("CERTIFICATE") {
        return Err(
            "this is a certificate; take the key out of it: openssl x509 -pubkey -noout".to_owned(),
        );
    }
    let bytes = text.as_bytes();
    let material = DecodingKey::from_rsa_pem(bytes)
        .or_else(|_| DecodingKey::from_ec_pem(bytes))
        .or_else(|_| DecodingKey::from_ed_pem(bytes))
        .map_err(|_| "this is no public key of RSA, EC or Ed25519".to_owned())?;
    Ok(Key {
        algorithms: algorithms_of(&material)?,
        material,
        id: None,
    })
}

/// What a key can be used for, after a look at whether it can be used at all.
fn algorithms_of(material: &DecodingKey) -> Result<Vec<Algorithm>, String> {
    let family = material.family();
    let sound = |key: Result<ParsedPublicKey, _>, algorithms: &[Algorithm]| match key {
        Ok(_) => Ok(algorithms.to_vec()),
        Err(_) => Err("this key is damaged, or of an unknown kind".to_owned()),
    };
    let bytes = match material.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => bytes,
        DecodingKeyKind::RsaModulusExponent { n, .. } => {
            return match (RSA_BYTES_MIN..=RSA_BYTES_MAX).contains(&n.len()) {
                true => Ok(family.algorithms().to_vec()),
                false => Err("an RSA key has between 2048 and 8192 bits".to_owned()),
            };
        }
    };
    match (family, bytes.len()) {
        (AlgorithmFamily::Hmac, _) => match hmac_algorithms(bytes) {
            algorithms if algorithms.is_empty() => Err("a secret has 32 bytes at least".to_owned()),
            algorithms => Ok(algorithms),
        },
        (AlgorithmFamily::Rsa, ..RSA_DER_BYTES_MIN) => {
            Err("an RSA key has between 2048 and 8192 bits".to_owned())
        }
        (AlgorithmFamily::Rsa, _) => {
            let key = ParsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, bytes);
            sound(key, family.algorithms())
        }
        (AlgorithmFamily::Ec, 65) => {
            let key = ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, bytes);
            sound(key, &[Algorithm::ES256])
        }
        (AlgorithmFamily::Ec, 97) => {
            let key = ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, bytes);
            sound(key, &[Algorithm::ES384])
        }
        (AlgorithmFamily::Ec, _) => Err("of EC keys, P-256 and P-384 are taken".to_owned()),
        (AlgorithmFamily::Ed, _) => {
            let key = ParsedPublicKey::new(&signature::ED25519, bytes);
            sound(key, &[Algorithm::EdDSA])
        }
    }
}

/// All keys of a JWK set, or of a single JWK, that are for signatures. What is for something else
/// or of an unknown kind is passed over (RFC 7517 §5).
fn of_jwk_set(file: &AuthFile) -> Result<Vec<Key>, String> {
    let set: Value = serde_json::from_slice(&file.contents)
        .map_err(|error| file.fault(error.line(), format_args!("this is no JSON: {error}")))?;
    let members = match set.get("keys") {
        Some(Value::Array(keys)) => &keys[..],
        _ if set.get("kty").is_some() => std::slice::from_ref(&set),
        _ => {
            return Err(format!(
                "{} is no JWK set: it lacks the list \"keys\"",
                file.name
            ));
        }
    };
    let mut keys = Vec::new();
    for (number, member) in (1..).zip(members) {
        let key = of_jwk(member);
        keys.extend(key.map_err(|why| format!("{}, key {number}: {why}", file.name))?);
    }
    match keys.is_empty() {
        true => Err(format!(
            "{} holds no key for signatures of RSA, P-256, P-384, Ed25519 or HMAC",
            file.name
        )),
        false => Ok(keys),
    }
}

fn of_jwk(jwk: &Value) -> Result<Option<Key>, String> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let needed = |name: &str| text(name).ok_or(format!("it lacks {name:?}"));
    let broken = |error: jsonwebtoken::errors::Error| format!("it is damaged: {error}");
    let verifies = |operations: &Vec<Value>| operations.iter().any(|one| one == "verify");
    let operations = jwk.get("key_ops").and_then(Value::as_array);
    if text("use").is_some_and(|purpose| purpose != "sig") || !operations.is_none_or(verifies) {
        return Ok(None);
    }
    let material = match (text("kty").unwrap_or_default(), text("crv")) {
        ("RSA", _) => DecodingKey::from_rsa_components(needed("n")?, needed("e")?),
        ("EC", Some("P-256" | "P-384")) => {
            DecodingKey::from_ec_components(needed("x")?, needed("y")?)
        }
        ("OKP", Some("Ed25519")) => DecodingKey::from_ed_components(needed("x")?),
        ("oct", _) => {
            let secret = URL_SAFE_NO_PAD.decode(needed("k")?).map(Zeroizing::new);
            let secret = secret.map_err(|error| format!("it is damaged: {error}"))?;
            Ok(DecodingKey::from_secret(&secret))
        }
        _ => return Ok(None),
    };
    let material = material.map_err(broken)?;
    let mut algorithms = algorithms_of(&material)?;
    if let Some(named) = text("alg") {
        algorithms.retain(|algorithm| named.parse() == Ok(*algorithm));
    }
    let id = text("kid").map(Box::from);
    let key = Key {
        material,
        algorithms,
        id,
    };
    Ok((!key.algorithms.is_empty()).then_some(key))
}
