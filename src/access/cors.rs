//! Who may read an answer from another origin (CORS, in the Fetch standard).

use std::time::Duration;

use crate::base::limits::{CORS_MAX_AGE_DEFAULT, CORS_ORIGINS_MAX, CORS_REQUEST_HEADERS_BYTES_MAX};
use crate::http::field::{is_token_byte, list_members};
use crate::http::{FieldWriter, Method, RenderedFields, RequestHead};
use crate::route::Glob;

/// What is said to other origins about the paths of a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsRule {
    /// `None`: every path.
    pub glob: Option<Glob>,
    pub cors: Cors,
}

/// What is said to other origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    origins: Origins,
    /// As `Access-Control-Allow-Methods` says them.
    methods: String,
    /// `None`: whichever a preflight asks for.
    headers: Option<String>,
    has_credentials: bool,
    has_private_network: bool,
    max_age: Duration,
    /// What every answer to an allowed origin says besides its name.
    allowed: RenderedFields,
    /// What a preflight of an allowed origin is told besides.
    preflight: RenderedFields,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origins {
    Any,
    Listed(Vec<Origin>),
}

/// An origin, or all below a name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    /// As browsers write it, where it is one.
    whole: Option<String>,
    /// With `://`.
    scheme: String,
    host: Host,
    port: Port,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    /// `*.example.org`: with the leading dot.
    Below(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Port {
    Default,
    Number(String),
    Any,
}

/// The methods that are allowed where a rule names none.
const METHODS_DEFAULT: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What a preflight depends on.
const PREFLIGHT_VARY: &str = "Origin, Access-Control-Request-Method, \
    Access-Control-Request-Headers, Access-Control-Request-Private-Network";

impl CorsRule {
    /// Reads `[GLOB ]ORIGIN…[; methods=…][; headers=…][; expose=…][; credentials][; max-age=TIME]
    /// [; private-network]`. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<CorsRule, String> {
        let (glob, text) = super::split_glob(text)?;
        let cors = Cors::parse(text)?;
        Ok(CorsRule { glob, cors })
    }
}

impl Cors {
    fn parse(text: &str) -> Result<Cors, String> {
        let mut parts = text.split(';').map(str::trim);
        let origins = Origins::parse(parts.next().unwrap_or_default())?;
        let mut cors = Cors {
            origins,
            methods: METHODS_DEFAULT.to_owned(),
            headers: None,
            has_credentials: false,
            has_private_network: false,
            max_age: CORS_MAX_AGE_DEFAULT,
            allowed: RenderedFields::default(),
            preflight: RenderedFields::default(),
        };
        let mut exposed = None;
        for part in parts.filter(|part| !part.is_empty()) {
            match part.split_once('=').map(|(key, value)| (key.trim(), value)) {
                None if part == "credentials" => cors.has_credentials = true,
                None if part == "private-network" => cors.has_private_network = true,
                Some(("methods", value)) => cors.methods = methods(value)?,
                Some(("headers", value)) if value.trim() == "*" => cors.headers = None,
                Some(("headers", value)) => cors.headers = Some(names(value)?),
                Some(("expose", value)) => exposed = Some(names(value)?),
                Some(("max-age", value)) => {
                    cors.max_age = max_age(value.trim())?;
                }
                _ => {
                    return Err(format!(
                        "{part:?} is none of methods=, headers=, expose=, credentials, max-age= \
                         and private-network"
                    ));
                }
            }
        }
        if cors.has_credentials && cors.origins == Origins::Any {
            return Err(
                "credentials go to origins that are named: with * any page could act for its \
                 visitors"
                    .to_owned(),
            );
        }
        cors.render(exposed.as_deref());
        Ok(cors)
    }

    /// What does not depend on the request is rendered once.
    fn render(&mut self, exposed: Option<&str>) {
        let mut allowed = Vec::new();
        let mut preflight = Vec::new();
        if self.has_credentials {
            allowed.push(("Access-Control-Allow-Credentials", "true"));
            preflight.push(("Access-Control-Allow-Credentials", "true"));
        }
        if let Some(exposed) = exposed {
            allowed.push(("Access-Control-Expose-Headers", exposed));
        }
        preflight.push(("Access-Control-Allow-Methods", &self.methods));
        if let Some(headers) = &self.headers {
            preflight.push(("Access-Control-Allow-Headers", headers));
        }
        let seconds = self.max_age.as_secs().to_string();
        preflight.push(("Access-Control-Max-Age", &seconds));
        let rendered = (
            RenderedFields::new(&allowed),
            RenderedFields::new(&preflight),
        );
        (self.allowed, self.preflight) = rendered;
    }

    /// What every answer but that to a preflight says. `Vary` stands in answers to all origins, and
    /// to none: a cache must not give one's answer to another.
    #[inline]
    pub fn write(&self, origin: Option<&[u8]>, out: &mut FieldWriter<'_>) {
        match &self.origins {
            Origins::Any => {
                out.field("Access-Control-Allow-Origin", b"*");
                out.rendered(&self.allowed);
            }
            Origins::Listed(listed) => {
                out.field("Vary", b"Origin");
                if let Some(origin) = origin
                    && listed.iter().any(|one| one.is(origin))
                {
                    out.field("Access-Control-Allow-Origin", origin);
                    out.rendered(&self.allowed);
                }
            }
        }
    }

    /// What the answer to a preflight says; an origin that is not allowed hears nothing.
    pub fn write_preflight(&self, head: &RequestHead<'_>, out: &mut FieldWriter<'_>) {
        out.field("Vary", PREFLIGHT_VARY.as_bytes());
        let Some(origin) = head.fields.get_single(crate::http::Known::Origin) else {
            return;
        };
        if !self.allows(origin) {
            return;
        }
        let origin = match &self.origins {
            Origins::Any => b"*",
            Origins::Listed(_) => origin,
        };
        out.field("Access-Control-Allow-Origin", origin);
        out.rendered(&self.preflight);
        let asked = field(head, "access-control-request-headers");
        if self.headers.is_none()
            && let Some(asked) = asked.filter(|asked| is_list_of_names(asked))
        {
            out.field("Access-Control-Allow-Headers", asked);
        }
        let asks_for_network = field(head, "access-control-request-private-network");
        if self.has_private_network && asks_for_network == Some(b"true") {
            out.field("Access-Control-Allow-Private-Network", b"true");
        }
    }

    /// True when pages of `origin` may read answers.
    pub fn allows(&self, origin: &[u8]) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::Listed(listed) => listed.iter().any(|one| one.is(origin)),
        }
    }
}

/// True for a preflight: OPTIONS that says for which method it asks.
pub fn is_preflight(head: &RequestHead<'_>) -> bool {
    head.method == Method::Options
        && head.fields.get(crate::http::Known::Origin).is_some()
        && field(head, "access-control-request-method").is_some()
}

/// True when a request comes from a page of another origin than it goes to, as its `Origin` says;
/// `null` is another one.
pub fn is_cross_origin(origin: &[u8], head: &RequestHead<'_>) -> bool {
    let host = origin
        .windows(3)
        .position(|window| window == b"://")
        .map(|at| &origin[at + 3..]);
    match (host, head.authority) {
        (Some(host), Some(authority)) => !host.eq_ignore_ascii_case(authority),
        _ => true,
    }
}

fn field<'a>(head: &RequestHead<'a>, name: &str) -> Option<&'a [u8]> {
    let mut list = head.fields.list().iter();
    list.find(|field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value)
}

fn is_list_of_names(value: &[u8]) -> bool {
    value.len() <= CORS_REQUEST_HEADERS_BYTES_MAX
        && list_members(value).next().is_some()
        && list_members(value).all(|name| name.iter().copied().all(is_token_byte))
}

impl Origins {
    fn parse(text: &str) -> Result<Origins, String> {
        let words: Vec<&str> = text
            .split([' ', ',', '\t'])
            .filter(|word| !word.is_empty())
            .collect();
        match words[..] {
            [] => Err("it names no origin, as in https://app.example.org".to_owned()),
            ["*"] => Ok(Origins::Any),
            _ if words.len() > CORS_ORIGINS_MAX => {
                Err(format!("it names more than {CORS_ORIGINS_MAX} origins"))
            }
            _ => {
                let origins = words.into_iter().map(Origin::parse);
                Ok(Origins::Listed(origins.collect::<Result<_, _>>()?))
            }
        }
    }
}

impl Origin {
    fn parse(text: &str) -> Result<Origin, String> {
        let why = || {
            format!(
                "{text} is no origin: write https://app.example.org, https://*.example.org or *"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(why)?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if scheme.is_empty() || !scheme.bytes().all(is_scheme) {
            return Err(why());
        }
        let bracket = rest.rfind(']').unwrap_or(0);
        let (host, port) = match rest[bracket..].rfind(':') {
            Some(colon) => (&rest[..bracket + colon], Some(&rest[bracket + colon + 1..])),
            None => (rest, None),
        };
        let port = match port {
            None => Port::Default,
            Some("*") => Port::Any,
            Some(number) if number.parse::<u16>().is_ok() => Port::Number(number.to_owned()),
            Some(_) => return Err(why()),
        };
        let is_host = |host: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
            !host.is_empty() && host.bytes().all(allowed)
        };
        let host = host.to_ascii_lowercase();
        let host = match host.strip_prefix('*') {
            Some(below) if below.len() > 1 && below.starts_with('.') && is_host(&below[1..]) => {
                Host::Below(below.to_owned())
            }
            None if is_host(&host) => Host::Name(host),
            _ => return Err(why()),
        };
        let scheme = format!("{}://", scheme.to_ascii_lowercase());
        let whole = match (&host, &port) {
            (Host::Name(host), Port::Default) => Some(format!("{scheme}{host}")),
            (Host::Name(host), Port::Number(port)) => Some(format!("{scheme}{host}:{port}")),
            _ => None,
        };
        Ok(Origin {
            whole,
            scheme,
            host,
            port,
        })
    }

    /// True for the origin that a browser sends, which writes schemes and hosts in lower case.
    fn is(&self, origin: &[u8]) -> bool {
        if let Some(whole) = &self.whole {
            return whole.as_bytes() == origin;
        }
        let Some(rest) = origin.strip_prefix(self.scheme.as_bytes()) else {
            return false;
        };
        let bracket = memchr::memrchr(b']', rest).unwrap_or(0);
        let colon = memchr::memchr(b':', &rest[bracket..]).map(|colon| bracket + colon);
        let (host, port) = match colon {
            Some(colon) => (&rest[..colon], Some(&rest[colon + 1..])),
            None => (rest, None),
        };
        let is_number = |port: &[u8]| !port.is_empty() && port.iter().all(u8::is_ascii_digit);
        let has_port = match (&self.port, port) {
            (Port::Default, port) => port.is_none(),
            (Port::Number(number), port) => port == Some(number.as_bytes()),
            (Port::Any, port) => port.is_none_or(is_number),
        };
        has_port
            && match &self.host {
                Host::Name(name) => name.as_bytes() == host,
                Host::Below(end) => host
                    .strip_suffix(end.as_bytes())
                    .is_some_and(|start| !start.is_empty() && start.iter().all(is_host_byte)),
            }
    }
}

fn is_host_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// Seconds, or a number with s, m or h.
fn max_age(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(format!("{text:?} is no time, as in 10m")),
    };
    let number: Option<u64> = digits.parse().ok();
    let seconds = number.and_then(|number| number.checked_mul(factor));
    let seconds = seconds.ok_or_else(|| format!("{text:?} is no time, as in 10m"))?;
    Ok(Duration::from_secs(seconds))
}

fn methods(text: &str) -> Result<String, String> {
    let list = names(text)?;
    match list.bytes().any(|byte| byte.is_ascii_lowercase()) {
        true => Err(format!("methods are written in capitals, unlike {list}")),
        false => Ok(list),
    }
}

/// A list of tokens, as a field writes it.
fn names(text: &str) -> Result<String, String> {
    let names: Vec<&str> = text
        .split([',', ' '])
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let is_name = |name: &&str| name.bytes().all(is_token_byte);
    match names.iter().all(is_name) && !names.is_empty() {
        true => Ok(names.join(", ")),
        false => Err(format!("{text:?} is no list of names")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Field, FieldForm, Fields, TargetForm, Version};

    fn cors(text: &str) -> Cors {
        CorsRule::parse(text).unwrap().cors
    }

    fn answered(cors: &Cors, origin: Option<&str>) -> String {
        let mut out = Vec::new();
        let mut writer = FieldWriter::new(&mut out, FieldForm::H1);
        cors.write(origin.map(str::as_bytes), &mut writer);
        String::from_utf8(out).unwrap().replace("\r\n", "|")
    }

    fn preflight(cors: &Cors, fields: &[(&'static str, &'static str)]) -> String {
        let list: Vec<Field<'_>> = fields
            .iter()
            .map(|(name, value)| Field {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let head = RequestHead {
            method: Method::Options,
            version: Version::Http11,
            form: TargetForm::Origin,
            path: b"/",
            query: None,
            authority: Some(b"api.example"),
            fields: Fields::new(&list),
        };
        let mut out = Vec::new();
        cors.write_preflight(&head, &mut FieldWriter::new(&mut out, FieldForm::H1));
        let text = String::from_utf8(out).unwrap().replace("\r\n", "|");
        let vary = format!("Vary: {PREFLIGHT_VARY}|");
        text.strip_prefix(&vary).unwrap().to_owned()
    }

    #[test]
    fn an_origin_that_is_allowed_is_named_and_vary_always_stands() {
        let one = cors("https://a.example; credentials; expose=ETag,Location");
        assert_eq!(
            answered(&one, Some("https://a.example")),
            "Vary: Origin|Access-Control-Allow-Origin: https://a.example|\
             Access-Control-Allow-Credentials: true|\
             Access-Control-Expose-Headers: ETag, Location|"
        );
        for other in [None, Some("https://b.example"), Some("null"), Some("")] {
            assert_eq!(answered(&one, other), "Vary: Origin|", "{other:?}");
        }
    }

    #[test]
    fn any_origin_is_one_answer_for_all() {
        let any = cors("*");
        for origin in [None, Some("https://a.example"), Some("null")] {
            assert_eq!(answered(&any, origin), "Access-Control-Allow-Origin: *|");
        }
    }

    #[test]
    fn credentials_never_go_to_everybody() {
        let why = CorsRule::parse("/api/** *; credentials").unwrap_err();
        assert!(why.contains("any page could act"), "{why}");
    }

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        for (rule, origin, expected) in [
            ("https://a.example", "https://a.example", true),
            ("https://A.example", "https://a.example", true),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example:8443", "https://a.example:8443", true),
            ("https://a.example:8443", "https://a.example", false),
            ("https://a.example", "https://a.example.evil", false),
            ("https://a.example", "https://xa.example", false),
            ("https://*.a.example", "https://x.a.example", true),
            ("https://*.a.example", "https://y.x.a.example", true),
            ("https://*.a.example", "https://a.example", false),
            ("https://*.a.example", "https://.a.example", false),
            ("https://*.a.example", "https://evil/x.a.example", false),
            ("https://*.a.example", "https://evila.example", false),
            ("http://localhost:*", "http://localhost:3000", true),
            ("http://localhost:*", "http://localhost", true),
            ("http://localhost:*", "http://localhost:", false),
            ("http://localhost:*", "http://localhost:1x", false),
            ("http://[::1]:80", "http://[::1]:80", true),
            ("http://[::1]", "http://[::1]", true),
        ] {
            assert_eq!(
                cors(rule).allows(origin.as_bytes()),
                expected,
                "{rule} {origin}"
            );
        }
    }

    #[test]
    fn a_preflight_hears_what_its_origin_may_do() {
        let origin = ("Origin", "https://a.example");
        let one = cors(
            "/api/** https://a.example https://b.example; methods=GET,PUT; headers=X-A; \
             credentials; max-age=10m; private-network",
        );
        assert_eq!(
            preflight(&one, &[origin, ("Access-Control-Request-Headers", "x-b")]),
            "Access-Control-Allow-Origin: https://a.example|\
             Access-Control-Allow-Credentials: true|Access-Control-Allow-Methods: GET, PUT|\
             Access-Control-Allow-Headers: X-A|Access-Control-Max-Age: 600|"
        );
        let network = ("Access-Control-Request-Private-Network", "true");
        let told = preflight(&one, &[origin, network]);
        assert!(told.ends_with("|Access-Control-Allow-Private-Network: true|"));
        assert_eq!(preflight(&one, &[("Origin", "https://c.example")]), "");
        assert_eq!(
            preflight(&one, &[origin, origin]),
            "",
            "two origins are none"
        );
    }

    #[test]
    fn headers_are_allowed_as_they_are_asked_for() {
        let any = cors("*");
        let origin = ("Origin", "null");
        let asked = |value| preflight(&any, &[origin, ("Access-Control-Request-Headers", value)]);
        let plain = preflight(&any, &[origin]);
        assert_eq!(
            asked("x-a,content-type"),
            format!("{plain}Access-Control-Allow-Headers: x-a,content-type|")
        );
        for garbage in ["", ",", "x a", "x\u{e4}"] {
            assert_eq!(asked(garbage), plain, "{garbage:?}");
        }
    }

    #[test]
    fn faults_of_rules_are_told() {
        for (text, says) in [
            ("", "names no origin"),
            ("/a/**", "names no origin"),
            ("a.example", "is no origin"),
            ("https://*", "is no origin"),
            ("https://a.example/x", "is no origin"),
            ("https://a.example:99999", "is no origin"),
            ("null", "is no origin"),
            ("* https://a.example", "is no origin"),
            ("*; methods=get", "capitals"),
            ("*; methods=", "no list of names"),
            ("*; max-age=x", "no time"),
            ("*; nonsense", "none of"),
        ] {
            let why = CorsRule::parse(text).unwrap_err();
            assert!(why.contains(says), "{text:?}: {why}");
        }
    }
}
