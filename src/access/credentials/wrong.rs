//! What is wrong with a credential, and how to ask for another one.

/// A scheme of the `Authorization` field that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Basic,
    Bearer,
}

/// Why a credential shows nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Of a scheme that is not spoken here.
    UnknownScheme,
    /// Not what its scheme says.
    Malformed(Scheme),
    /// Nobody has it: a guess, perhaps.
    BadCredential(Scheme),
    /// The same as a moment ago, when it was refused: nothing that an attacker learns from.
    SameAgain(Scheme),
    /// A token whose `exp` is past.
    Expired,
    /// A token whose `nbf` is to come.
    NotYetValid,
    /// A token for somebody else than this server.
    WrongAudience,
    /// A token by somebody who is not trusted for it.
    WrongIssuer,
    /// A token that lacks the claim with the name of its user.
    Nameless,
}

impl Wrong {
    /// True when it counts against its address.
    pub fn is_guess(self) -> bool {
        matches!(self, Wrong::BadCredential(_))
    }

    /// Which of [`DESCRIPTIONS`] a client of Bearer is told.
    fn description(self) -> Option<usize> {
        match self {
            Wrong::UnknownScheme => None,
            Wrong::Malformed(Scheme::Basic)
            | Wrong::BadCredential(Scheme::Basic)
            | Wrong::SameAgain(Scheme::Basic) => None,
            Wrong::Malformed(Scheme::Bearer) => Some(0),
            Wrong::BadCredential(Scheme::Bearer) | Wrong::SameAgain(Scheme::Bearer) => Some(1),
            Wrong::Expired => Some(2),
            Wrong::NotYetValid => Some(3),
            Wrong::WrongAudience => Some(4),
            Wrong::WrongIssuer => Some(5),
            Wrong::Nameless => Some(6),
        }
    }
}

/// Sentences of `error_description`, without quotes and backslashes (RFC 6750 §3).
const DESCRIPTIONS: [&str; 7] = [
    "The token is malformed",
    "The token is not known, or its signature is wrong",
    "The token has expired",
    "The token is not yet valid",
    "The token is meant for another audience",
    "The token comes from another issuer",
    "The token does not name its user",
];

/// The fields `WWW-Authenticate` for every reason, made once.
#[derive(Debug)]
pub(super) struct Challenges {
    plain: Box<[String]>,
    described: Vec<Box<[String]>>,
}

impl Challenges {
    pub(super) fn new(realm: &str, basic: bool, bearer: bool) -> Challenges {
        let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
        let fields = |error: &str| {
            // RFC 7617 §2.1: whoever sees this sends names and passwords in UTF-8.
            let basic = basic.then(|| format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
            let bearer = bearer.then(|| format!("Bearer realm=\"{realm}\"{error}"));
            basic.into_iter().chain(bearer).collect()
        };
        // RFC 6750 §3.1: whoever brought no token is not told of an error.
        let described = DESCRIPTIONS.map(|text| {
            let error = format!(", error=\"invalid_token\", error_description=\"{text}\"");
            fields(&error)
        });
        Challenges {
            plain: fields(""),
            described: described.into(),
        }
    }

    pub(super) fn get(&self, why: Option<Wrong>) -> &[String] {
        match why.and_then(Wrong::description) {
            Some(index) => &self.described[index],
            None => &self.plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_is_asked_for_in_its_words() {
        let both = Challenges::new("a \"b\\c\"", true, true);
        let realm = "realm=\"a \\\"b\\\\c\\\"\"";
        let basic = format!("Basic {realm}, charset=\"UTF-8\"");
        assert_eq!(both.get(None), [basic.clone(), format!("Bearer {realm}")]);
        let expired = ", error=\"invalid_token\", error_description=\"The token has expired\"";
        let expired = format!("Bearer {realm}{expired}");
        assert_eq!(both.get(Some(Wrong::Expired)), [basic, expired]);
        let of_basic = both.get(Some(Wrong::BadCredential(Scheme::Basic)));
        assert_eq!(of_basic, both.get(None));
        assert_eq!(Challenges::new("a", true, false).get(None).len(), 1);
        assert!(Challenges::new("a", false, false).get(None).is_empty());
    }

    #[test]
    fn descriptions_need_no_escapes() {
        let fits = |byte: u8| byte == b' ' || byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        assert!(DESCRIPTIONS.iter().all(|text| text.bytes().all(fits)));
    }

    #[test]
    fn only_what_may_be_a_guess_counts() {
        assert!(Wrong::BadCredential(Scheme::Basic).is_guess());
        for wrong in [
            Wrong::SameAgain(Scheme::Basic),
            Wrong::Expired,
            Wrong::Malformed(Scheme::Bearer),
        ] {
            assert!(!wrong.is_guess());
        }
    }
}
