//! What an operator says about credentials, and the checks of each text.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::limits::{CREDENTIAL_REMEMBERED, USER_NAME_BYTES_MAX};

/// A file that somebody has read. Its contents are wiped when it is dropped.
#[derive(Clone)]
pub struct AuthFile {
    /// As faults call it.
    pub name: String,
    pub contents: Zeroizing<Vec<u8>>,
}

impl AuthFile {
    /// A file with these contents.
    pub fn new(name: impl Into<String>, contents: impl Into<Vec<u8>>) -> AuthFile {
        AuthFile {
            name: name.into(),
            contents: Zeroizing::new(contents.into()),
        }
    }

    /// A fault at this line, which counts from one.
    pub(super) fn fault(&self, line: usize, what: impl fmt::Display) -> String {
        format!("{}, line {line}: {what}", self.name)
    }

    /// The lines that say something, without comments, each with its number.
    pub(super) fn lines(&self) -> Result<impl Iterator<Item = (usize, &str)>, String> {
        let text = str::from_utf8(&self.contents)
            .map_err(|error| format!("{} is no text in UTF-8: {error}", self.name))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = (1..).zip(text.lines().map(str::trim));
        Ok(lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')))
    }
}

impl fmt::Debug for AuthFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("AuthFile").field(&self.name).finish()
    }
}

/// All that an `Authenticator` is made of.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// What browsers call the place that asks for a password.
    pub realm: String,
    /// Lines `name:hash`; any file brings Basic.
    pub users: Vec<AuthFile>,
    /// Lines `name:sha256:HEX[ scope…]`; any file brings Bearer.
    pub tokens: Vec<AuthFile>,
    /// Public keys in PEM, or JWK sets; any brings Bearer.
    pub jwt_keys: Vec<AuthFile>,
    /// Shared secrets (HS256 and longer); any brings Bearer. Never guessed from what a file holds:
    /// a public key that is taken for a secret lets everybody sign.
    pub jwt_secrets: Vec<AuthFile>,
    /// A JWT is for one of these; where there are none, it is for nobody in particular.
    pub audiences: Vec<String>,
    /// A JWT is by one of these; where there are none, by whoever has a key.
    pub issuers: Vec<String>,
    /// How wrong the clocks of issuers may be.
    pub leeway: Duration,
    /// The claim with the name of the user.
    pub name_claim: String,
    /// Whether a JWT must say when it expires.
    pub requires_expiry: bool,
    /// How long what was checked is good without being checked again.
    pub remembered: Duration,
}

impl Default for AuthSettings {
    fn default() -> Self {
        AuthSettings {
            realm: "downpour".to_owned(),
            users: Vec::new(),
            tokens: Vec::new(),
            jwt_keys: Vec::new(),
            jwt_secrets: Vec::new(),
            audiences: Vec::new(),
            issuers: Vec::new(),
            leeway: Duration::from_secs(60),
            name_claim: "sub".to_owned(),
            requires_expiry: true,
            remembered: CREDENTIAL_REMEMBERED,
        }
    }
}

/// Checks a realm: it stands between quotes in a field.
pub fn check_realm(text: &str) -> Result<String, String> {
    let is_shown = |letter: char| letter == ' ' || letter.is_ascii_graphic();
    match !text.is_empty() && text.chars().all(is_shown) {
        true => Ok(text.to_owned()),
        false => Err("it is a name in letters of ASCII, as in \"Our wiki\"".to_owned()),
    }
}

/// Checks the name of a claim.
pub fn check_name_claim(text: &str) -> Result<String, String> {
    check_value(text).map_err(|_| "it is the name of a claim, as in sub or email".to_owned())
}

/// Checks an audience or an issuer.
pub fn check_value(text: &str) -> Result<String, String> {
    match text.is_empty() || text.trim() != text {
        true => Err("it is a text as the tokens have it, as in https://a.example".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// Checks a name that somebody may have. It goes into the log.
pub(super) fn check_user_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a user has a name".to_owned());
    }
    if name.len() > USER_NAME_BYTES_MAX {
        return Err(format!("a name has at most {USER_NAME_BYTES_MAX} bytes"));
    }
    match name.chars().any(char::is_control) || name.trim() != name {
        true => Err("a name has no control characters, and no blanks around it".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers() {
        let file = AuthFile::new("users", "\u{feff}# who\r\n\r\n a:b \r\n#\nc:d");
        let lines: Vec<_> = file.lines().unwrap().collect();
        assert_eq!(lines, [(3, "a:b"), (5, "c:d")]);
        assert_eq!(file.fault(3, "no"), "users, line 3: no");
        assert!(AuthFile::new("users", b"a:\xff".to_vec()).lines().is_err());
        assert_eq!(format!("{file:?}"), "AuthFile(\"users\")");
    }

    #[test]
    fn texts_that_do_not_fit_are_refused() {
        assert!(check_realm("Our \"wiki\"").is_ok());
        assert!(
            ["", "a\nb", "Gäste"]
                .iter()
                .all(|text| check_realm(text).is_err())
        );
        assert!(check_value("https://a.example").is_ok());
        assert!(["", " a"].iter().all(|text| check_value(text).is_err()));
        assert!(
            ["", "a\0", "a\u{85}", " a"]
                .iter()
                .all(|text| check_user_name(text).is_err())
        );
        assert!(check_user_name(&"a".repeat(257)).is_err());
        assert!(check_user_name("Zoë Müller").is_ok());
    }
}
