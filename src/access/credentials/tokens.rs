//! The tokens file: names and the digests of their tokens, with what each is for.
//!
//! ```text
//! # made by: downpour hash-token --user robot
//! robot:sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 read write
//! ```
//!
//! Tokens are long and random, so that a digest that is made fast will do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use foldhash::quality::RandomState;
use serde_json::{Map, Value};

use super::identity::{Identity, Source};
use super::settings::{AuthFile, check_user_name};
use crate::base::limits::CREDENTIALS_MAX;

type Digest = [u8; 32];

/// The tokens of all files, by the beginning of their digests. Nobody can make a token whose digest
/// begins as another's does, so that the look-up tells nothing; what decides is then compared in
/// constant time.
pub(super) struct Tokens(HashMap<u64, Token, RandomState>);

struct Token {
    digest: Digest,
    identity: Arc<Identity>,
}

impl Tokens {
    pub(super) fn parse(files: &[AuthFile]) -> Result<Tokens, String> {
        let mut tokens = Tokens(HashMap::default());
        for file in files {
            for (number, line) in file.lines()? {
                tokens.add(line).map_err(|why| file.fault(number, why))?;
            }
        }
        match files.first() {
            Some(file) if tokens.0.is_empty() => Err(format!(
                "{} holds no token; make a line for one: downpour hash-token --user NAME",
                file.name
            )),
            _ => Ok(tokens),
        }
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        const FORM: &str = "a token is a line NAME:sha256:HEX, as downpour hash-token makes it";
        let (name, rest) = line.split_once(':').ok_or(FORM)?;
        check_user_name(name)?;
        let rest = rest.strip_prefix("sha256:").ok_or(FORM)?;
        let (hex, scope) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let digest = digest_of_hex(hex).ok_or("a digest of SHA-256 has 64 hexadecimal digits")?;
        if self.0.len() == CREDENTIALS_MAX {
            return Err(format!("there are more than {CREDENTIALS_MAX} tokens"));
        }
        let scope: Vec<&str> = scope.split_whitespace().collect();
        let identity = match scope.is_empty() {
            true => Identity::new(name, Source::Token),
            false => {
                let scope = Value::String(scope.join(" "));
                Identity::with_claims(name, Map::from_iter([("scope".to_owned(), scope)]))
            }
        };
        match self.0.entry(beginning(&digest)) {
            Entry::Occupied(_) => Err("the same token stands here twice".to_owned()),
            Entry::Vacant(place) => {
                let identity = Arc::new(identity);
                place.insert(Token { digest, identity });
                Ok(())
            }
        }
    }

    /// True when there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token it is.
    pub(super) fn find(&self, token: &[u8]) -> Option<&Arc<Identity>> {
        let digest = digest_of(token);
        let found = self.0.get(&beginning(&digest))?;
        let is_same = verify_slices_are_equal(&found.digest, &digest).is_ok();
        is_same.then_some(&found.identity)
    }
}

/// What the file holds of a token.
pub(super) fn digest_of(token: &[u8]) -> Digest {
    let digest = digest(&SHA256, token);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn beginning(digest: &Digest) -> u64 {
    u64::from_ne_bytes(*digest.first_chunk().expect("a digest is longer"))
}

fn digest_of_hex(hex: &str) -> Option<Digest> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|letter| letter.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "test" and of the empty text, by `sha256sum`.
    const TEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn tokens(text: &str) -> Result<Tokens, String> {
        Tokens::parse(&[AuthFile::new("tokens", text)])
    }

    #[test]
    fn a_token_is_known_by_its_digest() {
        let text = format!(
            "robot:sha256:{TEST}\nci:sha256:{}  read  write\n",
            EMPTY.to_uppercase()
        );
        let tokens = tokens(&text).unwrap();
        let robot = tokens.find(b"test").unwrap();
        assert_eq!((robot.name(), robot.claim("scope")), ("robot", None));
        let ci = tokens.find(b"").unwrap();
        let scope = ci.claim("scope").and_then(Value::as_str);
        assert_eq!((ci.name(), scope), ("ci", Some("read write")));
        assert!(tokens.find(b"tesu").is_none());
        assert!(
            tokens.find(TEST.as_bytes()).is_none(),
            "the digest is no token"
        );
    }

    #[test]
    fn faults_name_file_and_line() {
        for (text, parts) in [
            (String::new(), ["tokens holds no token", "hash-token"]),
            (
                "#\n\nrobot".to_owned(),
                ["tokens, line 3: ", "NAME:sha256:HEX"],
            ),
            ("robot:secret".to_owned(), ["line 1", "NAME:sha256:HEX"]),
            (format!("robot:sha1:{TEST}"), ["line 1", "NAME:sha256:HEX"]),
            (format!("robot:sha256:{}", &TEST[1..]), ["line 1", "64"]),
            (format!("robot:sha256:{TEST}0"), ["line 1", "64"]),
            (format!("robot:sha256:+{}", &TEST[1..]), ["line 1", "64"]),
            (format!(":sha256:{TEST}"), ["line 1", "has a name"]),
            (
                format!("a:sha256:{TEST}\nb:sha256:{TEST}"),
                ["line 2", "twice"],
            ),
        ] {
            let fault = tokens(&text).err().unwrap_or_default();
            for part in parts {
                assert!(fault.contains(part), "{text:?} gave {fault:?}");
            }
        }
    }
}
