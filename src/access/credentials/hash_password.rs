//! Makes the lines of the files with users and tokens.

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bcrypt::BcryptError;
use zeroize::Zeroizing;

use super::settings::check_user_name;
use super::tokens::digest_of;
use crate::base::limits::{PASSWORD_BYTES_MAX, TOKEN_BYTES_MAX};

/// As OWASP advises: 19 MiB, two rounds, one lane. A login takes about 15 ms.
const ARGON2_KIB: u32 = 19 * 1024;
const ARGON2_ROUNDS: u32 = 2;
const ARGON2_LANES: u32 = 1;
/// About a quarter of a second.
const BCRYPT_COST: u32 = 12;
const RANDOMNESS: &str = "the kernel gives no random bytes";

/// A function that hashes passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    Argon2id,
    Bcrypt,
}

/// `NAME:HASH`, or the hash alone where there is no name.
pub fn user_line(name: Option<&str>, password: &[u8], kind: HashKind) -> Result<String, String> {
    let prefix = prefix(name)?;
    check_password(password)?;
    let hash = match kind {
        HashKind::Argon2id => argon2id(password)?,
        HashKind::Bcrypt => match bcrypt::non_truncating_hash(password, BCRYPT_COST) {
            Ok(hash) => hash,
            Err(BcryptError::Truncation(_)) => {
                return Err("bcrypt takes 71 bytes at most; leave --bcrypt out".to_owned());
            }
            Err(_) => return Err(RANDOMNESS.to_owned()),
        },
    };
    Ok(format!("{prefix}{hash}"))
}

fn argon2id(password: &[u8]) -> Result<String, String> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(|_| RANDOMNESS)?;
    let salt = SaltString::encode_b64(&salt).expect("16 bytes are as long as a salt may be");
    let params = Params::new(ARGON2_KIB, ARGON2_ROUNDS, ARGON2_LANES, None);
    let params = params.expect("these parameters are within what argon2 allows");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password, &salt);
    Ok(hash.map_err(|error| error.to_string())?.to_string())
}

/// A new token of 256 random bits.
pub fn new_token() -> Result<Zeroizing<String>, String> {
    let mut random = Zeroizing::new([0; 32]);
    rand::fill(&mut *random).map_err(|_| RANDOMNESS)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*random)))
}

/// `NAME:sha256:HEX`, and what the token is for behind it.
pub fn token_line(name: &str, token: &[u8], scope: &str) -> Result<String, String> {
    let prefix = prefix(Some(name))?;
    let is_sent = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if token.len() < 16 || token.len() > TOKEN_BYTES_MAX || !token.iter().all(is_sent) {
        return Err("a token is a random text of 16 letters of base64 or more".to_owned());
    }
    let digest = digest_of(token);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let scope: Vec<&str> = scope.split_whitespace().collect();
    let line = format!("{prefix}sha256:{hex} {}", scope.join(" "));
    Ok(line.trim_end().to_owned())
}

/// What clients can send (RFC 7617 §2).
fn check_password(password: &[u8]) -> Result<(), String> {
    let text = str::from_utf8(password).map_err(|_| "a password is a text in UTF-8")?;
    if text.is_empty() {
        return Err("a password is not empty".to_owned());
    }
    if text.len() > PASSWORD_BYTES_MAX {
        return Err(format!("a password has at most {PASSWORD_BYTES_MAX} bytes"));
    }
    match text.bytes().any(|byte| byte.is_ascii_control()) {
        true => Err("a password has no control characters".to_owned()),
        false => Ok(()),
    }
}

fn prefix(name: Option<&str>) -> Result<String, String> {
    let Some(name) = name else {
        return Ok(String::new());
    };
    check_user_name(name)?;
    match name.contains(':') || name.starts_with('#') {
        true => Err("the name of a user has no colon and does not begin with #".to_owned()),
        false => Ok(format!("{name}:")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::AuthFile;
    use super::super::tokens::Tokens;
    use super::super::users::Users;
    use super::*;

    #[test]
    fn the_lines_for_users_are_those_that_are_read() {
        for kind in [HashKind::Argon2id, HashKind::Bcrypt] {
            let line = user_line(Some("Zoë M"), "pässword".as_bytes(), kind).unwrap();
            let users = Users::parse(&[AuthFile::new("users", line)]).unwrap();
            let found = users.find("Zoë M", "pässword".as_bytes()).unwrap();
            assert_eq!(found.name(), "Zoë M");
        }
        let hash = user_line(None, b"secret", HashKind::Argon2id).unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
    }

    #[test]
    fn what_could_not_be_used_is_refused() {
        let refused = |name, password: &[u8], kind| user_line(Some(name), password, kind).is_err();
        for name in ["", "a:b", "#a", "a\n", " a"] {
            assert!(refused(name, b"secret", HashKind::Argon2id), "{name:?}");
        }
        for password in [&b""[..], b"a\n", b"\xff", &[b'a'; 1025]] {
            assert!(refused("a", password, HashKind::Argon2id));
        }
        assert!(refused("a", &[b'a'; 72], HashKind::Bcrypt));
    }

    #[test]
    fn the_lines_for_tokens_are_those_that_are_read() {
        let (first, second) = (new_token().unwrap(), new_token().unwrap());
        assert!(first.len() == 43 && *first != *second);
        let line = token_line("robot", first.as_bytes(), " read  write ").unwrap();
        assert!(line.ends_with(" read write"), "{line}");
        let bare = token_line("other", second.as_bytes(), "").unwrap();
        let text = format!("{line}\n{bare}\n");
        let tokens = Tokens::parse(&[AuthFile::new("tokens", text)]).unwrap();
        assert_eq!(tokens.find(first.as_bytes()).unwrap().name(), "robot");
        assert_eq!(tokens.find(second.as_bytes()).unwrap().name(), "other");
        for token in ["short", "with a blank in the middle"] {
            assert!(token_line("a", token.as_bytes(), "").is_err());
        }
    }
}
