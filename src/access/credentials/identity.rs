//! Whom a credential has shown to be there.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::settings::check_user_name;

/// What an identity was shown by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A line of the users file.
    Password,
    /// A line of the tokens file, or a JWT.
    Token,
    /// A certificate of a client.
    Certificate,
    /// Another server, which was asked.
    Forwarded,
}

/// A known user. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    pub name: Arc<str>,
    pub source: Source,
    claims: Option<Arc<Map<String, Value>>>,
}

impl Identity {
    /// Someone of whom nothing is known but a name.
    pub fn new(name: &str, source: Source) -> Identity {
        Identity {
            name: name.into(),
            source,
            claims: None,
        }
    }

    /// Someone of whom a token says more.
    pub(in crate::access) fn with_claims(name: &str, claims: Map<String, Value>) -> Identity {
        Identity {
            claims: Some(Arc::new(claims)),
            ..Identity::new(name, Source::Token)
        }
    }

    /// The holder of a certificate with this subject (RFC 4514), by its common name. `None` where
    /// it has none, or several: then nobody could say which is meant.
    pub fn of_certificate(subject: &str) -> Option<Identity> {
        let name = common_name(subject)?;
        check_user_name(&name).ok()?;
        Some(Identity::new(&name, Source::Certificate))
    }

    /// The name, as the log shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the token says under this name; where it says nothing, a dot leads into an object, as
    /// in `realm_access.roles`.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        let claims = self.claims.as_deref()?;
        if let Some(value) = claims.get(name) {
            return Some(value);
        }
        let mut parts = name.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }
}

/// The one value of `CN`, without its escapes.
fn common_name(subject: &str) -> Option<String> {
    let mut found = None;
    let mut rest = subject.as_bytes();
    while !rest.is_empty() {
        let equals = memchr::memchr(b'=', rest)?;
        let name = rest[..equals].trim_ascii();
        let (value, behind) = attribute_value(&rest[equals + 1..])?;
        rest = behind;
        if name.eq_ignore_ascii_case(b"CN") && found.replace(value).is_some() {
            return None;
        }
    }
    String::from_utf8(found?).ok()
}

/// A value up to the comma or plus behind it (RFC 4514 §3), and what follows. `None` for what is
/// no text, as a value in hexadecimal.
fn attribute_value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut at = 0;
    if text.first() == Some(&b'#') {
        return None;
    }
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b',' | b'+' | b';' => return Some((value, &text[at..])),
            b'\\' => {
                let escaped = *text.get(at)?;
                let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
                match (digit(text.get(at)), digit(text.get(at + 1))) {
                    (Some(high), Some(low)) => {
                        value.push((high * 16 + low) as u8);
                        at += 2;
                    }
                    _ => {
                        value.push(escaped);
                        at += 1;
                    }
                }
            }
            byte => value.push(*byte),
        }
    }
    Some((value, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(subject: &str) -> Option<String> {
        Identity::of_certificate(subject).map(|identity| identity.name().to_owned())
    }

    #[test]
    fn the_holder_of_a_certificate_is_known_by_its_common_name() {
        for (subject, name) in [
            ("CN=alice", "alice"),
            ("CN=alice,O=Rain\\, Inc.", "alice"),
            ("O=Rain\\, CN=mallory,CN=alice", "alice"),
            ("C=DE,OU=x+CN=alice", "alice"),
            ("cn=Gr\\C3\\BC\\C3\\9Fe", "Grüße"),
            ("CN=Grüße", "Grüße"),
            ("CN=a\\+b \\\"c\\\"", "a+b \"c\""),
        ] {
            assert_eq!(named(subject).as_deref(), Some(name), "{subject}");
        }
    }

    #[test]
    fn a_subject_that_does_not_say_who_it_is_is_nobody() {
        for subject in [
            "",
            "O=x",
            "CN=",
            "CN=a,CN=b",
            "CN=#0403414243",
            "CN=a\\",
            "CN",
            "CN=a,",
            "CN=a\\0A",
            "O=\\,CN=a",
        ] {
            let expected = (subject == "CN=a,").then(|| "a".to_owned());
            assert_eq!(named(subject), expected, "{subject}");
        }
    }

    #[test]
    fn a_claim_is_found_by_its_whole_name_first() {
        let claims = json!({
            "https://a.example/roles": ["x"], "a": {"b": {"c": 1}}, "a.b": 2, "s": "text"
        });
        let Value::Object(claims) = claims else {
            unreachable!()
        };
        let identity = Identity::with_claims("a", claims);
        let roles = identity.claim("https://a.example/roles");
        assert_eq!(roles, Some(&json!(["x"])));
        assert_eq!(identity.claim("a.b"), Some(&json!(2)));
        assert_eq!(identity.claim("a.b.c"), Some(&json!(1)));
        assert_eq!(identity.claim("s.t"), None);
        assert_eq!(identity.claim(""), None);
        assert_eq!(Identity::new("a", Source::Password).claim("a"), None);
    }
}
