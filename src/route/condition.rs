//! What a redirect asks of a request beside its path: query, language, country, cookies.

use std::ops::{BitOr, BitOrAssign};

use crate::http::field::{list_members, trim};
use crate::http::{Fields, Known};

use super::escape;
use super::pattern::{Captures, name_len};

/// What of a request, beside its path, an answer depended on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DependsOn(u8);

impl DependsOn {
    /// On the path alone.
    pub const NOTHING: DependsOn = DependsOn(0);
    pub const QUERY: DependsOn = DependsOn(1);
    pub const HOST: DependsOn = DependsOn(2);
    /// `Accept-Language`
    pub const LANGUAGE: DependsOn = DependsOn(4);
    /// `Cookie`
    pub const COOKIE: DependsOn = DependsOn(8);
    /// The field that names the country.
    pub const COUNTRY: DependsOn = DependsOn(16);
    /// Any field of the request.
    pub const FIELDS: DependsOn = DependsOn(4 | 8 | 16);

    /// True when it depended on one of these.
    pub fn has_any(self, of: DependsOn) -> bool {
        self.0 & of.0 != 0
    }
}

impl BitOr for DependsOn {
    type Output = DependsOn;

    fn bitor(self, other: DependsOn) -> DependsOn {
        DependsOn(self.0 | other.0)
    }
}

impl BitOrAssign for DependsOn {
    fn bitor_assign(&mut self, other: DependsOn) {
        *self = *self | other;
    }
}

/// A condition on the query: `page=news`, `id=:id`, `page`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryCondition {
    /// Decoded, as is the value.
    name: Box<[u8]>,
    value: QueryValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum QueryValue {
    Any,
    Literal(Box<[u8]>),
    Capture(Box<str>),
}

impl QueryCondition {
    /// Reads `name`, `name=value` or `name=:capture`.
    pub fn parse(text: &str) -> QueryCondition {
        let (name, value) = match text.split_once('=') {
            None => (text, QueryValue::Any),
            Some((name, value)) => (name, parse_query_value(value)),
        };
        let name = escape::decode_query(name.as_bytes()).into();
        QueryCondition { name, value }
    }

    /// The name under which it captures.
    pub fn capture(&self) -> Option<&str> {
        match &self.value {
            QueryValue::Capture(name) => Some(name),
            _ => None,
        }
    }

    /// True when the query meets it; adds what it captures. The first parameter of its name counts.
    pub fn matches<'a>(&'a self, query: &[u8], captures: &mut Captures<'a>) -> bool {
        let mut parameters = query.split(|byte| *byte == b'&').map(|parameter| {
            let equals = memchr::memchr(b'=', parameter);
            let (name, value) = parameter.split_at(equals.unwrap_or(parameter.len()));
            (name, value.strip_prefix(b"=").unwrap_or(value))
        });
        let found = parameters.find(|(name, _)| escape::decode_query(name) == *self.name);
        let Some((_, value)) = found else {
            return false;
        };
        let value = escape::decode_query(value);
        match &self.value {
            QueryValue::Any => true,
            QueryValue::Literal(literal) => **literal == *value,
            QueryValue::Capture(_) if value.is_empty() => false,
            QueryValue::Capture(name) => {
                captures.add(name, value);
                true
            }
        }
    }
}

fn parse_query_value(text: &str) -> QueryValue {
    match text.strip_prefix(':') {
        Some(name) if !name.is_empty() && name_len(name.as_bytes()) == name.len() => {
            QueryValue::Capture(name.into())
        }
        _ => QueryValue::Literal(escape::decode_query(text.as_bytes()).into()),
    }
}

/// A condition behind the status: `Country=au,nz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Codes of countries, of which the request comes from one.
    Country(Box<[String]>),
    /// Tags of languages, of which the client likes one best.
    Language(Box<[String]>),
    /// Names of cookies, of which the request has one.
    Cookie(Box<[String]>),
    /// Nobody has a role here, so that it is never met.
    Role,
}

impl Condition {
    /// Reads `Name=value,value`. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<Condition, String> {
        let Some((name, values)) = text.split_once('=') else {
            return Err(format!(
                "{text} is neither a status nor a condition like Language=de"
            ));
        };
        let values = values.split(',').filter(|value| !value.is_empty());
        let values: Box<[String]> = values.map(str::to_owned).collect();
        if values.is_empty() {
            return Err(format!(
                "{text} names nothing: write it as in Language=de,at"
            ));
        }
        match name.to_ascii_lowercase().as_str() {
            "country" => Ok(Condition::Country(values)),
            "language" => Ok(Condition::Language(values)),
            "cookie" => Ok(Condition::Cookie(values)),
            "role" => Ok(Condition::Role),
            _ => Err(format!(
                "{name} is no condition: there are Country, Language, Cookie and Role"
            )),
        }
    }

    /// What it depends on.
    pub fn depends_on(&self, country_field: Option<&str>) -> DependsOn {
        match self {
            Condition::Country(_) if country_field.is_none() => DependsOn::NOTHING,
            Condition::Country(_) => DependsOn::COUNTRY,
            Condition::Language(_) => DependsOn::LANGUAGE,
            Condition::Cookie(_) => DependsOn::COOKIE,
            Condition::Role => DependsOn::NOTHING,
        }
    }

    /// True when the request meets it. `country_field` is the field in which somebody whom the
    /// operator trusts says the country; without one nobody knows it.
    pub fn matches(&self, fields: &Fields<'_>, country_field: Option<&str>) -> bool {
        match self {
            Condition::Country(codes) => {
                let Some(country) = country_field.and_then(|name| first_line(fields, name)) else {
                    return false;
                };
                let mut codes = codes.iter();
                codes.any(|code| country.eq_ignore_ascii_case(code.as_bytes()))
            }
            Condition::Language(tags) => {
                let lines: Vec<&[u8]> = fields.all(Known::AcceptLanguage).collect();
                let accepted = lines.join(&b',');
                tags.iter().any(|tag| language_matches(&accepted, tag))
            }
            Condition::Cookie(names) => {
                let mut cookies = cookie_names(fields);
                cookies.any(|cookie| names.iter().any(|name| name.as_bytes() == cookie))
            }
            Condition::Role => false,
        }
    }
}

fn first_line<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a [u8]> {
    let mut lines = fields.list().iter();
    let line = lines.find(|field| field.name.eq_ignore_ascii_case(name));
    line.map(|field| trim(field.value))
}

/// The names of all cookies (RFC 6265 §4.2).
fn cookie_names<'a>(fields: &Fields<'a>) -> impl Iterator<Item = &'a [u8]> {
    let lines = fields.list().iter();
    let lines = lines.filter(|field| field.name.eq_ignore_ascii_case("cookie"));
    let cookies = lines.flat_map(|field| field.value.split(|byte| *byte == b';'));
    cookies.map(|cookie| {
        let equals = memchr::memchr(b'=', cookie);
        trim(&cookie[..equals.unwrap_or(cookie.len())])
    })
}

/// True when the language that the client likes best (RFC 9110 §12.5.4) is `tag`, or a kind of it:
/// looking up `de-AT` finds `de` (RFC 4647 §3.4). Languages that it likes less do not count: who
/// reads the language that the address has already should not be sent away.
pub fn language_matches(accept_language: &[u8], tag: &str) -> bool {
    let mut best: Option<(&[u8], u16)> = None;
    for member in list_members(accept_language) {
        let mut parts = member.split(|byte| *byte == b';').map(trim);
        let range = parts.next().unwrap_or_default();
        let weight = parts.next().map_or(Some(1000), weight);
        if let Some(weight) = weight
            && weight > best.map_or(0, |(_, weight)| weight)
        {
            best = Some((range, weight));
        }
    }
    let Some((range, _)) = best else {
        return false;
    };
    let (own, rest) = range.split_at(tag.len().min(range.len()));
    own.eq_ignore_ascii_case(tag.as_bytes()) && matches!(rest, [] | [b'-', ..])
}

/// `q=0.5` in thousandths (RFC 9110 §12.4.2).
fn weight(parameter: &[u8]) -> Option<u16> {
    let value = parameter
        .strip_prefix(b"q=")
        .or(parameter.strip_prefix(b"Q="))?;
    let text = std::str::from_utf8(value).ok()?;
    let (whole, thousandths) = text.split_once('.').unwrap_or((text, ""));
    let digits = thousandths.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || thousandths.len() > 3 || !digits {
        return None;
    }
    let whole = if whole == "1" { 1000 } else { 0 };
    let thousandths: u16 = format!("{thousandths:0<3}").parse().ok()?;
    Some((whole + thousandths).min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Field;
    use proptest::prelude::*;

    fn query(condition: &str, query: &str) -> Option<String> {
        let condition = QueryCondition::parse(condition);
        let mut captures = Captures::default();
        let matched = condition.matches(query.as_bytes(), &mut captures);
        matched.then(|| {
            let value = captures.get("id").unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        })
    }

    #[test]
    fn queries_are_asked_by_name_and_value() {
        for (condition, asked, expected) in [
            ("id=:id", "id=5", Some("5")),
            ("id=:id", "x=1&id=a+b%2Fc&id=7", Some("a b/c")),
            ("id=:id", "id=", None),
            ("id=:id", "ids=5", None),
            ("id=:id", "", None),
            ("page=news", "page=news&utm=1", Some("")),
            ("page=news", "page=new%73", Some("")),
            ("page=news", "page=newsx", None),
            ("page=", "page", Some("")),
            ("page", "page", Some("")),
            ("page", "page=1", Some("")),
            ("page", "pages", None),
        ] {
            assert_eq!(
                query(condition, asked).as_deref(),
                expected,
                "{condition} {asked}"
            );
        }
    }

    #[test]
    fn fields_are_asked_as_far_as_they_say() {
        let list = [
            Field {
                name: "Cookie",
                value: b"a=1; nf_ab=x;lone",
            },
            Field {
                name: "cookie",
                value: b"later=2",
            },
            Field {
                name: "Accept-Language",
                value: b"en;q=0.5",
            },
            Field {
                name: "accept-language",
                value: b"de-AT",
            },
            Field {
                name: "X-Country",
                value: b" AU ",
            },
        ];
        let fields = Fields::new(&list);
        for (condition, expected) in [
            ("Country=nz,au", true),
            ("country=AU", true),
            ("Country=nz", false),
            ("Language=de", true),
            ("Language=en", false),
            ("Language=fr,de-at", true),
            ("Cookie=nf_ab", true),
            ("Cookie=x,later", true),
            ("Cookie=lone", true),
            ("Cookie=nf", false),
            ("Cookie=A", false),
            ("Role=admin", false),
        ] {
            let parsed = Condition::parse(condition).unwrap();
            assert_eq!(
                parsed.matches(&fields, Some("x-country")),
                expected,
                "{condition}"
            );
        }
        let country = Condition::parse("Country=au").unwrap();
        assert!(!country.matches(&fields, None), "nobody knows the country");
        assert_eq!(country.depends_on(None), DependsOn::NOTHING);
        assert!(country.depends_on(Some("x")).has_any(DependsOn::FIELDS));
        for text in ["Country", "Country=", "Sign=X", "=x", "Language=,"] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_language_that_is_liked_best_counts() {
        for (accepted, tag, expected) in [
            ("de", "de", true),
            ("de-AT,de;q=0.9,en;q=0.8", "de", true),
            ("de-AT,de;q=0.9", "de-at", true),
            ("de", "de-at", false),
            ("den", "de", false),
            ("en;q=0.8, de;q=0.9", "de", true),
            ("en;q=0.8, de;q=0.9", "en", false),
            ("en, de", "de", false),
            ("de;q=0", "de", false),
            ("de;q=0.000, en;q=0.001", "en", true),
            ("de;q=2, en;q=0.1", "en", true),
            ("de;q=0.1234, en;q=0.1", "en", true),
            ("*", "de", false),
            ("", "de", false),
            (";q=1, ,", "de", false),
        ] {
            assert_eq!(
                language_matches(accepted.as_bytes(), tag),
                expected,
                "{accepted} {tag}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_field_is_answered_without_a_panic(
            value in proptest::collection::vec(any::<u8>(), 0..64),
            text in "\\PC{0,16}",
        ) {
            language_matches(&value, "de");
            QueryCondition::parse(&text).matches(&value, &mut Captures::default());
            let _ = Condition::parse(&text);
        }
    }
}
