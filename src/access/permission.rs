//! What a known or unknown user may do with the paths of a glob (`--access`).

use std::fmt;

use serde_json::Value;

use super::credentials::{Identity, Source};
use crate::base::limits::ACCESS_SOMEONES_MAX;
use crate::route::Glob;

const FORM: &str = "an access rule is [GLOB ]read=WHO write=WHO, as in \
                    \"/notes/** read=anyone write=users\"";
const KINDS: &str = "WHO is anyone, users, nobody, user:NAME, claim:NAME=VALUE or cert:NAME, or \
                     several of them with commas between";

/// `[GLOB ]read=WHO write=WHO`; one of the two may be left to an earlier rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    text: Box<str>,
    pub glob: Option<Glob>,
    pub read: Option<Who>,
    pub write: Option<Who>,
}

/// Who may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    Anyone,
    Nobody,
    /// Whoever is one of these.
    These(Box<[Someone]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Someone {
    /// Whoever is known.
    Users,
    /// Who has this name by a password or a token.
    User(Box<str>),
    /// Whose token says this.
    Claim { name: Box<str>, value: Box<str> },
    /// Who has this name by a certificate.
    Certificate(Box<str>),
}

/// What somebody is told who wants to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permitted {
    Yes,
    /// 401: another credential may do.
    AskForCredential,
    /// 403: this one is good and does not do, or none would.
    No,
}

impl AccessRule {
    /// Reads a rule. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<AccessRule, String> {
        let text = text.trim();
        let mut words = split(text, char::is_whitespace)?;
        words.retain(|word| !word.is_empty());
        let mut words = words.into_iter().peekable();
        let is_glob = |word: &&str| word.starts_with('/') || word.contains('*');
        let is_right = |word: &&str| word.starts_with("read=") || word.starts_with("write=");
        let glob = words.next_if(|word| is_glob(word) && !is_right(word));
        let mut rule = AccessRule {
            text: text.into(),
            glob: glob.map(Glob::parse).transpose()?,
            read: None,
            write: None,
        };
        for word in words {
            let (place, who) = match word.split_once('=') {
                Some(("read", who)) => (&mut rule.read, who),
                Some(("write", who)) => (&mut rule.write, who),
                _ => return Err(format!("{word:?} has no meaning here: {FORM}")),
            };
            if place.replace(Who::parse(who)?).is_some() {
                return Err(format!("{word:?} says for a second time who may: {FORM}"));
            }
        }
        match rule.read.is_some() || rule.write.is_some() {
            true => Ok(rule),
            false => Err(FORM.to_owned()),
        }
    }
}

impl fmt::Display for AccessRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Who {
    /// Reads a list of someones. Quotes keep blanks and commas together.
    pub fn parse(text: &str) -> Result<Who, String> {
        match text {
            "anyone" => return Ok(Who::Anyone),
            "nobody" => return Ok(Who::Nobody),
            _ => {}
        }
        let members = split(text, |letter| letter == ',')?;
        if members.len() > ACCESS_SOMEONES_MAX {
            return Err(format!(
                "a rule names at most {ACCESS_SOMEONES_MAX}; give their tokens a claim instead"
            ));
        }
        let members = members.into_iter().map(Someone::parse);
        let members: Result<Box<[Someone]>, String> = members.collect();
        members.map(Who::These)
    }

    /// True when nobody has to say who they are.
    #[inline]
    pub fn is_anyone(&self) -> bool {
        matches!(self, Who::Anyone)
    }

    /// What somebody is told, who is known or not.
    pub fn allows(&self, identity: Option<&Identity>) -> Permitted {
        match (self, identity) {
            (Who::Anyone, _) => Permitted::Yes,
            (Who::Nobody, _) => Permitted::No,
            (Who::These(_), None) => Permitted::AskForCredential,
            (Who::These(these), Some(identity)) => {
                match these.iter().any(|someone| someone.is(identity)) {
                    true => Permitted::Yes,
                    false => Permitted::No,
                }
            }
        }
    }
}

impl Someone {
    fn parse(text: &str) -> Result<Someone, String> {
        let text = &*text.replace('"', "");
        let someone = match text.split_once(':') {
            None if text == "users" => return Ok(Someone::Users),
            Some(("user", name)) => Someone::User(name.into()),
            Some(("cert", name)) => Someone::Certificate(name.into()),
            Some(("claim", claim)) => match claim.split_once('=') {
                Some((name, value)) => Someone::Claim {
                    name: name.into(),
                    value: value.into(),
                },
                None => return Err(format!("{text:?} lacks the claim's value: {KINDS}")),
            },
            _ if matches!(text, "anyone" | "nobody") => {
                return Err(format!("{text} stands alone: {KINDS}"));
            }
            _ => return Err(format!("{text:?} is nobody: {KINDS}")),
        };
        match someone.has_a_name() {
            true => Ok(someone),
            false => Err(format!("{text:?} lacks a name: {KINDS}")),
        }
    }

    fn has_a_name(&self) -> bool {
        match self {
            Someone::Users => true,
            Someone::User(name) | Someone::Certificate(name) => !name.is_empty(),
            Someone::Claim { name, value } => !name.is_empty() && !value.is_empty(),
        }
    }

    fn is(&self, identity: &Identity) -> bool {
        let by_certificate = identity.source == Source::Certificate;
        match self {
            Someone::Users => true,
            Someone::User(name) => !by_certificate && **name == *identity.name,
            Someone::Certificate(name) => by_certificate && **name == *identity.name,
            Someone::Claim { name, value } => identity
                .claim(name)
                .is_some_and(|held| says(name, held, value)),
        }
    }
}

/// Whether a claim is a value, or a list that has it. Of texts, only scopes are lists (RFC 8693
/// §4.2): others may be what a user calls themselves.
fn says(name: &str, held: &Value, wanted: &str) -> bool {
    match held {
        Value::String(text) if matches!(name, "scope" | "scp") => {
            text.split(' ').any(|one| one == wanted)
        }
        Value::String(text) => text == wanted,
        Value::Array(all) => all.iter().any(|one| match one {
            Value::String(text) => text == wanted,
            Value::Number(number) => number.to_string() == wanted,
            _ => false,
        }),
        Value::Number(number) => number.to_string() == wanted,
        Value::Bool(held) => matches!((held, wanted), (true, "true") | (false, "false")),
        Value::Null | Value::Object(_) => false,
    }
}

/// The parts of a text, whose quotes stay where they are.
fn split(text: &str, is_between: impl Fn(char) -> bool) -> Result<Vec<&str>, String> {
    let mut is_quoted = false;
    let parts = text.split(|letter: char| {
        is_quoted ^= letter == '"';
        is_between(letter) && !is_quoted
    });
    let parts = parts.collect();
    match is_quoted {
        true => Err("a quote is opened and not closed".to_owned()),
        false => Ok(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(text: &str) -> AccessRule {
        AccessRule::parse(text).unwrap()
    }

    fn told(who: &str, identity: Option<&Identity>) -> Permitted {
        Who::parse(who).unwrap().allows(identity)
    }

    #[test]
    fn a_rule_says_who_may_read_and_who_may_write() {
        let rule = parse("/notes/** read=anyone  write=users");
        assert_eq!(rule.glob.as_ref().map(Glob::as_str), Some("/notes/**"));
        assert_eq!(rule.read, Some(Who::Anyone));
        assert_eq!(rule.write, Some(Who::These([Someone::Users].into())));
        assert_eq!(rule.to_string(), "/notes/** read=anyone  write=users");
        let rule = parse("write=nobody");
        assert_eq!(
            (rule.glob, rule.read, rule.write),
            (None, None, Some(Who::Nobody))
        );
        let rule = parse("*.txt read=user:a,cert:b,claim:groups=x=y");
        assert_eq!(rule.glob.as_ref().map(Glob::as_str), Some("*.txt"));
        let these = [
            Someone::User("a".into()),
            Someone::Certificate("b".into()),
            Someone::Claim {
                name: "groups".into(),
                value: "x=y".into(),
            },
        ];
        assert_eq!(rule.read, Some(Who::These(these.into())));
        let rule = parse("read=user:\"Doe, John\",\"user:a\"");
        let Some(Who::These(these)) = rule.read else {
            panic!("{rule:?}")
        };
        assert_eq!(these[0], Someone::User("Doe, John".into()));
        assert!(parse("read=claim:role=*").glob.is_none());
    }

    #[test]
    fn faults_say_what_a_rule_looks_like() {
        for (text, part) in [
            ("", "an access rule is"),
            ("/a", "an access rule is"),
            ("/a /b read=users", "\"/b\" has no meaning"),
            ("raed=users", "\"raed=users\" has no meaning"),
            ("read=users read=users", "second time"),
            ("read=", "is nobody"),
            ("read=everybody", "\"everybody\" is nobody"),
            ("read=users,", "is nobody"),
            ("read=anyone,users", "anyone stands alone"),
            ("read=users,nobody", "nobody stands alone"),
            ("read=user:", "lacks a name"),
            ("read=user:\"\"", "lacks a name"),
            ("read=claim:a", "value"),
            ("read=claim:=a", "lacks a name"),
            ("read=claim:a=", "lacks a name"),
            ("read=user:\"a", "not closed"),
            ("/{a read=users", "brace"),
        ] {
            let fault = AccessRule::parse(text).unwrap_err();
            assert!(fault.contains(part), "{text:?} gave {fault:?}");
        }
    }

    #[test]
    fn whoever_is_unknown_is_asked_and_whoever_is_known_is_told() {
        use Permitted::*;
        let alice = Identity::new("alice", Source::Password);
        let robot = Identity::new("alice", Source::Certificate);
        for (who, unknown, of_alice, of_robot) in [
            ("anyone", Yes, Yes, Yes),
            ("nobody", No, No, No),
            ("users", AskForCredential, Yes, Yes),
            ("user:alice", AskForCredential, Yes, No),
            ("cert:alice", AskForCredential, No, Yes),
            ("user:bob,user:alice", AskForCredential, Yes, No),
            ("user:Alice", AskForCredential, No, No),
            ("claim:sub=alice", AskForCredential, No, No),
        ] {
            let answers = [None, Some(&alice), Some(&robot)].map(|one| told(who, one));
            assert_eq!(answers, [unknown, of_alice, of_robot], "{who}");
        }
        assert!(Who::parse("anyone").unwrap().is_anyone());
        assert!(!Who::parse("users").unwrap().is_anyone());
    }

    #[test]
    fn a_claim_is_a_value_or_a_list_that_has_it() {
        let claims = json!({
            "role": "admin", "scope": "read write", "name": "x admin", "groups": ["a b", 7],
            "level": 3, "staff": true, "realm": {"roles": ["r"]}, "none": null
        });
        let Value::Object(claims) = claims else {
            unreachable!()
        };
        let identity = Identity::with_claims("alice", claims);
        for (claim, is_held) in [
            ("role=admin", true),
            ("role=adm", false),
            ("scope=write", true),
            ("scope=writ", false),
            ("scope=\"read write\"", false),
            ("name=admin", false),
            ("groups=\"a b\"", true),
            ("groups=a", false),
            ("groups=7", true),
            ("level=3", true),
            ("staff=true", true),
            ("staff=false", false),
            ("realm.roles=r", true),
            ("realm=r", false),
            ("none=null", false),
        ] {
            let expected = match is_held {
                true => Permitted::Yes,
                false => Permitted::No,
            };
            assert_eq!(
                told(&format!("claim:{claim}"), Some(&identity)),
                expected,
                "{claim}"
            );
        }
    }
}
