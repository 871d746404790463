//! Fields of responses that an operator sets, adds or takes away (`--header`), and the preset of
//! fields about security (`--security-headers`).

use std::borrow::Cow;
use std::fmt;

use crate::http::field::{is_token_byte, is_value_byte, trim};
use crate::http::{ResponseHead, Status};

use super::glob::Glob;

/// What `--security-headers` sets, before every other rule. HSTS is not among them: it belongs to
/// TLS.
pub const SECURITY_PRESET: &[(&str, &str)] = &[
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Content-Security-Policy", "frame-ancestors 'self'"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
];

/// Fields that say how the message itself is sent, or which part of a representation it is. The
/// server writes them; any other value would break the connection or the content.
const PROTECTED: &[&str] = &[
    "connection",
    "content-length",
    "content-range",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that may be taken away, but not given another value: the server answers conditions and
/// ranges by its own (RFC 9110 §8.8, §14.3).
const OWN_VALUE: &[&str] = &["accept-ranges", "etag", "last-modified"];

/// Fields about the content: rules give them to files, not to the pages of errors and the like.
const OF_CONTENT: &[&str] = &["content-encoding", "content-language", "content-type"];

/// One change of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldEdit {
    name: Box<str>,
    change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Set(Box<str>),
    Add(Box<str>),
    Remove,
}

impl FieldEdit {
    /// Reads `NAME: VALUE`, `+NAME: VALUE` or `!NAME`. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<FieldEdit, String> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('!') {
            let name = parse_name(name)?;
            if is_one_of(name, &["vary"]) {
                return Err("Vary cannot be taken away: caches would mix answers up".to_owned());
            }
            let change = Change::Remove;
            return Ok(FieldEdit {
                name: name.into(),
                change,
            });
        }
        let (name, adds) = match text.strip_prefix('+') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let Some((name, value)) = name.split_once(':') else {
            return Err(format!(
                "{text} is no field: write NAME: VALUE, or !NAME to take it away"
            ));
        };
        let (name, value) = (parse_name(name)?, value.trim());
        if is_one_of(name, OWN_VALUE) {
            return Err(format!(
                "{name} cannot be set: the server answers conditions by its own value; !{name} \
                 takes it away"
            ));
        }
        if value.is_empty() {
            return Err(format!("{name} has no value; !{name} takes the field away"));
        }
        if !value.bytes().all(is_value_byte) {
            return Err(format!("the value of {name} holds a control character"));
        }
        // What an answer varies by is the server's to say; a rule can only add to it.
        let adds = adds || is_one_of(name, &["vary"]);
        let change = if adds { Change::Add } else { Change::Set };
        Ok(FieldEdit {
            name: name.into(),
            change: change(value.into()),
        })
    }

    /// The field's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value that it gets; `None` when it is taken away.
    pub fn value(&self) -> Option<&str> {
        match &self.change {
            Change::Set(value) | Change::Add(value) => Some(value),
            Change::Remove => None,
        }
    }

    /// Changes a head.
    pub fn apply(&self, head: &mut ResponseHead) {
        if !is_for(&self.name, head.status) {
            return;
        }
        let name = || Cow::Owned(self.name.clone().into_string());
        match &self.change {
            Change::Set(value) => head.set(name(), value.as_bytes().to_vec()),
            Change::Add(value) => head.add(name(), value.as_bytes().to_vec()),
            Change::Remove => head.remove(&self.name),
        }
    }
}

/// True when rules may change a field of an answer with this status.
pub fn is_for(name: &str, status: Status) -> bool {
    let has_content = matches!(status, Status::OK | Status::PARTIAL_CONTENT);
    has_content || !is_one_of(name, OF_CONTENT)
}

fn parse_name(text: &str) -> Result<&str, String> {
    let name = text.trim();
    if name.is_empty() {
        return Err("the name of the field is missing: write NAME: VALUE".to_owned());
    }
    if !name.bytes().all(is_token_byte) {
        return Err(format!(
            "{name} is no name of a field: it holds letters, digits and hyphens"
        ));
    }
    if is_one_of(name, PROTECTED) {
        return Err(format!(
            "{name} belongs to the server: it says how the message itself is sent"
        ));
    }
    Ok(name)
}

fn is_one_of(name: &str, lower: &[&str]) -> bool {
    lower.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// A change of all heads, or of those for some paths: `[GLOB ]NAME: VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRule {
    text: Box<str>,
    glob: Option<Glob>,
    edit: FieldEdit,
}

impl FieldRule {
    /// Reads `[GLOB ]NAME: VALUE`, `[GLOB ]+NAME: VALUE` or `[GLOB ]!NAME`. The fault is a sentence
    /// for the operator.
    pub fn parse(text: &str) -> Result<FieldRule, String> {
        let trimmed = text.trim();
        let (first, rest) = trimmed.split_once([' ', '\t']).unwrap_or((trimmed, ""));
        // A field without a glob has its colon, or its exclamation mark, in the first word.
        let is_glob = first.starts_with('/') || !first.contains(':') && !first.starts_with('!');
        if is_glob && rest.trim().is_empty() {
            return Err(format!(
                "{text} is no field: write [GLOB ]NAME: VALUE, or [GLOB ]!NAME"
            ));
        }
        let (glob, edit) = match is_glob {
            true => (Some(Glob::parse(first)?), rest),
            false => (None, trimmed),
        };
        Ok(FieldRule {
            text: trimmed.into(),
            glob,
            edit: FieldEdit::parse(edit)?,
        })
    }

    /// Changes the head of an answer for `path`.
    pub fn apply(&self, path: &[u8], head: &mut ResponseHead) {
        if self.glob.as_ref().is_none_or(|glob| glob.matches(path)) {
            self.edit.apply(head);
        }
    }
}

impl fmt::Display for FieldRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// Joins a further value to a list field (RFC 9110 §5.3).
pub fn join(value: &mut Vec<u8>, further: &[u8]) {
    let further = trim(further);
    if !value.is_empty() && !further.is_empty() {
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(further);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dressed(rules: &[&str], path: &str, status: Status) -> String {
        let mut head = ResponseHead::new(status)
            .with("Server", "downpour")
            .with("Vary", "Accept-Encoding")
            .with("Content-Type", "text/css");
        for rule in rules {
            let rule = FieldRule::parse(rule).unwrap();
            rule.apply(path.as_bytes(), &mut head);
        }
        let lines = head.fields.iter();
        let lines = lines.map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
        lines.collect::<Vec<_>>().join("|")
    }

    const BEFORE: &str = "Server=downpour|Vary=Accept-Encoding|Content-Type=text/css";

    #[test]
    fn fields_are_set_added_and_taken_away() {
        for (rules, expected) in [
            (&["X-A: 1"][..], format!("{BEFORE}|X-A=1")),
            (&["X-A:1", "x-a: 2"], format!("{BEFORE}|x-a=2")),
            (
                &["X-A: 1", "+X-A: a b, c"],
                format!("{BEFORE}|X-A=1|X-A=a b, c"),
            ),
            (&["!Server"], BEFORE.replace("Server=downpour|", "")),
            (&["! server "], BEFORE.replace("Server=downpour|", "")),
            (&["*.css X-A: 1"], format!("{BEFORE}|X-A=1")),
            (&["/a:b.css X-A: 1"], BEFORE.to_owned()),
            (
                &["*.js X-A: 1", "/x/** +X-B: 2", "a.css !Server"],
                format!("{}|X-B=2", BEFORE.replace("Server=downpour|", "")),
            ),
            (&["Vary: Origin"], format!("{BEFORE}|Vary=Origin")),
            (
                &["Link: </a.css>; rel=preload"],
                format!("{BEFORE}|Link=</a.css>; rel=preload"),
            ),
        ] {
            assert_eq!(
                dressed(rules, "/x/a.css", Status::OK),
                expected,
                "{rules:?}"
            );
        }
    }

    #[test]
    fn fields_of_content_are_for_content() {
        let rule = &["Content-Type: text/x-mine"];
        let changed = BEFORE
            .replace("text/css|", "")
            .replace("text/css", "text/x-mine");
        assert_eq!(dressed(rule, "/a", Status::OK), changed);
        for status in [Status::NOT_FOUND, Status::NOT_MODIFIED, Status::FOUND] {
            assert_eq!(dressed(rule, "/a", status), BEFORE);
        }
    }

    #[test]
    fn odd_fields_are_refused_with_a_sentence() {
        for (rule, says) in [
            ("", "no field"),
            ("X-A", "no field"),
            ("/a/**", "no field"),
            ("/a/** X-A", "no field"),
            (": 1", "name of the field is missing"),
            ("X-A : 1", "missing"),
            ("!", "missing"),
            ("X-A:", "no value"),
            ("X-A: a\u{1}b", "control character"),
            ("X-\u{e4}: 1", "no name of a field"),
            ("/{a X-A: 1", "closes the brace"),
            ("Content-Length: 1", "belongs to the server"),
            ("*.css !transfer-encoding", "belongs to the server"),
            ("+Date: x", "belongs to the server"),
            ("ETag: \"x\"", "!ETag"),
            ("!Vary", "mix answers up"),
        ] {
            let why = FieldRule::parse(rule).unwrap_err();
            assert!(why.contains(says), "{rule}: {why}");
        }
        assert!(FieldRule::parse("!ETag").is_ok());
    }

    #[test]
    fn the_preset_could_be_written_as_rules() {
        for (name, value) in SECURITY_PRESET {
            assert!(FieldRule::parse(&format!("{name}: {value}")).is_ok());
        }
    }

    proptest! {
        #[test]
        fn what_is_read_can_be_sent(text in "[/*a!+: \r\n\t]{0,16}|\\PC{0,24}") {
            if let Ok(rule) = FieldRule::parse(&text) {
                let mut head = ResponseHead::new(Status::OK);
                rule.apply(b"/a", &mut head);
            }
        }
    }
}
