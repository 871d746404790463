//! Digests of content (RFC 9530): what a request says of its content is checked, and what it wants
//! to know of the new state is told.

use aws_lc_rs::digest::{Context, SHA256, SHA512, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::refusal::{Refusal, Result};
use crate::http::field::{list_members, trim};
use crate::http::{Fields, Status};

/// The algorithms that are not deprecated (RFC 9530 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha256,
    Sha512,
}

/// What a request says about digests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DigestFields {
    /// What its content must have.
    expected: Vec<(Algorithm, Vec<u8>)>,
    /// What it wants to know of the new state.
    pub(super) wanted: Option<Algorithm>,
}

/// Digests in the making, of as many algorithms as anybody asks for.
#[derive(Default)]
pub(super) struct Hashing(Vec<(Algorithm, Context)>);

impl Algorithm {
    fn of_key(key: &[u8]) -> Option<Algorithm> {
        match key {
            b"sha-256" => Some(Algorithm::Sha256),
            b"sha-512" => Some(Algorithm::Sha512),
            _ => None,
        }
    }

    pub(super) fn context(self) -> Context {
        Context::new(match self {
            Algorithm::Sha256 => &SHA256,
            Algorithm::Sha512 => &SHA512,
        })
    }

    /// The value of `Repr-Digest` for a digest by this algorithm.
    pub(super) fn field_value(self, digest: &[u8]) -> String {
        let key = match self {
            Algorithm::Sha256 => "sha-256",
            Algorithm::Sha512 => "sha-512",
        };
        format!("{key}=:{}:", BASE64.encode(digest))
    }
}

impl DigestFields {
    /// Reads them. Algorithms that are not known say nothing.
    pub(super) fn of(fields: &Fields<'_>) -> Result<DigestFields> {
        let mut read = DigestFields::default();
        let mut wanted_most = 0;
        for field in fields.list() {
            let name = field.name;
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("repr-digest") || is("content-digest") {
                read.expect(field.value)?;
            } else if is("want-repr-digest") || is("want-content-digest") {
                for (algorithm, preference) in preferences(field.value) {
                    if preference > wanted_most {
                        (read.wanted, wanted_most) = (Some(algorithm), preference);
                    }
                }
            }
        }
        Ok(read)
    }

    /// A dictionary of byte sequences (RFC 8941 §3.2, §3.3.5), whose base64 holds no comma.
    fn expect(&mut self, value: &[u8]) -> Result<()> {
        for member in list_members(value) {
            let Some((key, value)) = split_once(member, b'=') else {
                continue;
            };
            let Some(algorithm) = Algorithm::of_key(key) else {
                continue;
            };
            let value = split_once(value, b';').map_or(value, |(value, _parameters)| trim(value));
            let encoded = value
                .strip_prefix(b":")
                .and_then(|value| value.strip_suffix(b":"));
            let digest = encoded.and_then(|encoded| BASE64.decode(encoded).ok());
            let digest = digest.ok_or_else(|| {
                Refusal::because(Status::BAD_REQUEST, "A digest is no byte sequence")
            })?;
            self.expected.push((algorithm, digest));
        }
        Ok(())
    }

    /// Begins with the digests that are needed.
    pub(super) fn hashing(&self) -> Hashing {
        let mut hashing = Hashing::default();
        let expected = self.expected.iter().map(|(algorithm, _)| *algorithm);
        for algorithm in expected.chain(self.wanted) {
            if !hashing.0.iter().any(|(known, _)| *known == algorithm) {
                hashing.0.push((algorithm, algorithm.context()));
            }
        }
        hashing
    }

    /// Compares what has come with what was said of it; gives the value of `Repr-Digest` that is
    /// wanted, if the content is the new state.
    pub(super) fn check(&self, hashing: Hashing) -> Result<Option<String>> {
        let mut wanted = None;
        for (algorithm, context) in hashing.0 {
            let digest = context.finish();
            let mut expected = self.expected.iter();
            if expected.any(|(of, expected)| *of == algorithm && expected != digest.as_ref()) {
                let reason = "The content does not have the digest that the request says";
                return Err(Refusal::because(Status::BAD_REQUEST, reason));
            }
            if self.wanted == Some(algorithm) {
                wanted = Some(algorithm.field_value(digest.as_ref()));
            }
        }
        Ok(wanted)
    }

    /// The value of `Repr-Digest` that is wanted of a whole state.
    pub(super) fn told_of(&self, state: &[u8]) -> Option<String> {
        let wanted = self.wanted?;
        let by = match wanted {
            Algorithm::Sha256 => &SHA256,
            Algorithm::Sha512 => &SHA512,
        };
        Some(wanted.field_value(digest(by, state).as_ref()))
    }
}

impl Hashing {
    /// Takes in what comes next.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        for (_, context) in &mut self.0 {
            context.update(bytes);
        }
    }
}

/// The algorithms of a `Want-Repr-Digest` that are known, with their preferences from 1 to 10; 0 is
/// not acceptable (RFC 9530 §4).
fn preferences(value: &[u8]) -> impl Iterator<Item = (Algorithm, u8)> {
    list_members(value).filter_map(|member| {
        let (key, preference) = split_once(member, b'=')?;
        let text = std::str::from_utf8(preference).ok()?;
        let preference: u8 = text.split(';').next()?.trim().parse().ok()?;
        (preference <= 10).then_some((Algorithm::of_key(key)?, preference))
    })
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = memchr::memchr(at, bytes)?;
    Some((&bytes[..position], &bytes[position + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Field;
    use proptest::prelude::*;

    fn read(fields: &[(&str, &str)]) -> Result<DigestFields> {
        let list: Vec<Field<'_>> = fields
            .iter()
            .map(|(name, value)| Field {
                name,
                value: value.as_bytes(),
            })
            .collect();
        DigestFields::of(&Fields::new(&list))
    }

    /// RFC 9530 §B.1: `{"hello": "world"}` and a line feed.
    const HELLO: &[u8] = b"{\"hello\": \"world\"}\n";
    const HELLO_256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";

    #[test]
    fn content_is_compared_with_what_is_said_of_it() {
        for (value, content, holds) in [
            (HELLO_256.to_owned(), HELLO, true),
            (HELLO_256.to_owned(), &HELLO[1..], false),
            (format!("md5=:AAAA:, {HELLO_256};x=1"), HELLO, true),
            (format!("{HELLO_256}, sha-512=:AAAA:"), HELLO, false),
            ("md5=:AAAA:, unixsum=30637, x".to_owned(), HELLO, true),
        ] {
            for name in ["Repr-Digest", "content-digest"] {
                let fields = read(&[(name, &value)]).unwrap();
                let mut hashing = fields.hashing();
                hashing.update(&content[..5]);
                hashing.update(&content[5..]);
                assert_eq!(fields.check(hashing).is_ok(), holds, "{value}");
            }
        }
        for value in ["sha-256=RK/0", "sha-256=:!:", "sha-512=1", "sha-256=:AAAA"] {
            let refusal = read(&[("Repr-Digest", value)]).unwrap_err();
            assert_eq!(refusal.status, Status::BAD_REQUEST, "{value}");
        }
    }

    #[test]
    fn the_wanted_digest_is_that_of_the_highest_preference() {
        for (value, wanted) in [
            ("sha-256=1", Some(Algorithm::Sha256)),
            ("sha-256=1, sha-512=3", Some(Algorithm::Sha512)),
            ("sha-512=3, sha-256=10, md5=10", Some(Algorithm::Sha256)),
            ("sha-256=0", None),
            ("sha-256=11, sha-512=x", None),
            ("md5=5", None),
        ] {
            let fields = read(&[("Want-Repr-Digest", value)]).unwrap();
            assert_eq!(fields.wanted, wanted, "{value}");
        }
        let fields = read(&[("Want-Repr-Digest", "sha-256=1")]).unwrap();
        let mut hashing = fields.hashing();
        hashing.update(HELLO);
        assert_eq!(fields.check(hashing).unwrap().unwrap(), HELLO_256);
        assert_eq!(fields.told_of(HELLO).unwrap(), HELLO_256);
    }

    proptest! {
        #[test]
        fn no_value_breaks_the_reading(value in prop::collection::vec(any::<u8>(), 0..64)) {
            let names = ["repr-digest", "want-repr-digest"];
            let list = names.map(|name| Field { name, value: &value });
            if let Ok(fields) = DigestFields::of(&Fields::new(&list)) {
                let _ = fields.check(fields.hashing());
            }
        }
    }
}
