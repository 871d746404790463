//! Asking another server whether a request may go on (`--forward-auth`), and for how long its
//! answer holds.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use ureq::Agent;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use crate::base::limits::{
    FORWARD_ANSWER_AGE_MAX, FORWARD_ANSWERS_MAX, FORWARD_KEY_BYTES_MAX, FORWARD_TIMEOUT,
};
use crate::base::{Millis, Now};
use crate::http::{Method, RequestHead, Status};
use crate::route::Glob;

/// Whom to ask about the paths of a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardRule {
    /// `None`: every path.
    pub glob: Option<Glob>,
    pub url: Arc<str>,
}

/// A question to another server, with all that it is asked by.
pub struct ForwardQuestion {
    url: Arc<str>,
    fields: Vec<(String, Vec<u8>)>,
    /// Fields of its answer of which the first that is there names the user.
    user_fields: Arc<[String]>,
    key: Option<Box<[u8]>>,
}

/// What another server has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAnswer {
    pub verdict: Verdict,
    /// For how long it holds, as it says; zero for this request only.
    hold: Duration,
    key: Option<Box<[u8]>>,
}

/// Whether a request may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may, in the name of this user.
    Passed(Option<Arc<str>>),
    /// It may not; with the fields that tell the client what to do about it.
    Refused(Status, Vec<(&'static str, Vec<u8>)>),
    /// The other server did not answer as it should.
    Failed,
}

/// Fields of a refusal that go on to the client.
const TOLD_ON: [&str; 3] = ["Location", "WWW-Authenticate", "Set-Cookie"];
/// Fields of the request that the other server sees.
const SHOWN: [&str; 6] = [
    "authorization",
    "cookie",
    "origin",
    "accept",
    "accept-language",
    "user-agent",
];
/// Where Debian, Alpine and others keep the authorities that they trust, and where Fedora does.
const AUTHORITIES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

impl ForwardRule {
    /// Reads `[GLOB ]URL`. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<ForwardRule, String> {
        let (glob, url) = super::split_glob(text)?;
        let rest = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        let is_plain = !url.contains(|letter: char| letter.is_whitespace() || letter.is_control());
        match rest {
            Some(rest) if is_plain && !rest.is_empty() && !rest.starts_with('/') => {
                Ok(ForwardRule {
                    glob,
                    url: url.into(),
                })
            }
            _ => Err(format!(
                "{url:?} is no address to ask, as in http://127.0.0.1:9000/verify"
            )),
        }
    }
}

impl ForwardQuestion {
    /// What `rule` asks about a request from `address`.
    pub fn new(
        rule: &ForwardRule,
        user_fields: &Arc<[String]>,
        head: &RequestHead<'_>,
        (address, is_secure): (Option<IpAddr>, bool),
    ) -> ForwardQuestion {
        let mut fields = Vec::new();
        let mut add = |name: &str, value: &[u8]| fields.push((name.to_owned(), value.to_vec()));
        let mut uri = head.path.to_vec();
        if let Some(query) = head.query {
            uri.push(b'?');
            uri.extend_from_slice(query);
        }
        add("X-Forwarded-Method", method_name(head.method).as_bytes());
        add("X-Forwarded-Uri", &uri);
        add("X-Forwarded-Host", head.authority.unwrap_or_default());
        let proto: &[u8] = if is_secure { b"https" } else { b"http" };
        add("X-Forwarded-Proto", proto);
        if let Some(address) = address {
            add("X-Forwarded-For", address.to_string().as_bytes());
        }
        for field in head.fields.list() {
            if SHOWN
                .iter()
                .any(|name| field.name.eq_ignore_ascii_case(name))
            {
                add(field.name, field.value);
            }
        }
        ForwardQuestion {
            url: Arc::clone(&rule.url),
            key: key_of(rule, &fields),
            fields,
            user_fields: Arc::clone(user_fields),
        }
    }

    /// Asks. Blocks: not for a worker.
    pub fn ask(self) -> ForwardAnswer {
        let mut request = agent().get(&*self.url);
        for (name, value) in &self.fields {
            request = request.header(name, &value[..]);
        }
        let (verdict, hold) = match request.call() {
            Ok(response) => (
                verdict_of(&response, &self.user_fields),
                hold_of(response.headers()),
            ),
            Err(error) => {
                log::warn!("{} cannot be asked about a request: {error}", self.url);
                (Verdict::Failed, Duration::ZERO)
            }
        };
        ForwardAnswer {
            verdict,
            hold,
            key: self.key,
        }
    }
}

/// What makes two questions the same: everything that the other server sees.
fn key_of(rule: &ForwardRule, fields: &[(String, Vec<u8>)]) -> Option<Box<[u8]>> {
    let mut key = Vec::new();
    let mut add = |part: &[u8]| {
        key.extend_from_slice(&(part.len() as u32).to_ne_bytes());
        key.extend_from_slice(part);
    };
    add(rule.url.as_bytes());
    for (name, value) in fields {
        add(name.as_bytes());
        add(value);
    }
    (key.len() <= FORWARD_KEY_BYTES_MAX).then(|| key.into_boxed_slice())
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Connect => "CONNECT",
        Method::Unknown => "UNKNOWN",
    }
}

fn verdict_of<B>(response: &Response<B>, user_fields: &[String]) -> Verdict {
    let fields = response.headers();
    match response.status().as_u16() {
        200..=299 => {
            let names = user_fields.iter();
            let user = names.filter_map(|name| fields.get(name)?.to_str().ok());
            Verdict::Passed(user.filter(|user| !user.is_empty()).map(Arc::from).next())
        }
        code @ (301..=303 | 307 | 308 | 401 | 403 | 429) => {
            let status = Status::from_code(code).expect("these are known");
            let told = TOLD_ON.iter().flat_map(|name| {
                let values = fields.get_all(*name).iter();
                values.map(|value| (*name, value.as_bytes().to_vec()))
            });
            Verdict::Refused(status, told.collect())
        }
        _ => Verdict::Failed,
    }
}

/// For how long an answer holds: as `Cache-Control: max-age` says (RFC 9111 §5.2.2.1).
fn hold_of(fields: &HeaderMap) -> Duration {
    let control = fields
        .get("cache-control")
        .and_then(|value| value.to_str().ok());
    let mut directives = control.unwrap_or_default().split(',').map(str::trim);
    let forbids = |directive: &str| {
        directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache")
    };
    if directives.clone().any(forbids) {
        return Duration::ZERO;
    }
    let seconds = directives.find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let is_age = name.eq_ignore_ascii_case("max-age");
        is_age
            .then(|| value.trim_matches('"').parse().ok())
            .flatten()
    });
    Duration::from_secs(seconds.unwrap_or(0)).min(FORWARD_ANSWER_AGE_MAX)
}

/// One for all: it keeps connections.
fn agent() -> &'static Agent {
    static AGENT: OnceLock<Agent> = OnceLock::new();
    AGENT.get_or_init(|| {
        let mut authorities = Vec::new();
        let bundle = AUTHORITIES.iter().find_map(|path| std::fs::read(path).ok());
        for item in ureq::tls::parse_pem(&bundle.unwrap_or_default()) {
            if let Ok(PemItem::Certificate(certificate)) = item {
                authorities.push(certificate);
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&authorities))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(FORWARD_TIMEOUT))
            .tls_config(tls)
            .build()
            .new_agent()
    })
}

/// The answers that a worker remembers.
#[derive(Debug, Default)]
pub struct ForwardMemo {
    answers: HashMap<Box<[u8]>, (Verdict, Millis), RandomState>,
}

impl ForwardMemo {
    /// What was said about the same request, while it holds.
    pub fn get(&self, question: &ForwardQuestion, now: Now) -> Option<&Verdict> {
        let (verdict, until) = self.answers.get(question.key.as_ref()?)?;
        (now.monotonic < *until).then_some(verdict)
    }

    /// Remembers an answer for as long as it says.
    pub fn keep(&mut self, answer: &ForwardAnswer, now: Now) {
        let (Some(key), false) = (&answer.key, answer.hold.is_zero()) else {
            return;
        };
        if self.answers.len() >= FORWARD_ANSWERS_MAX {
            self.answers.retain(|_, (_, until)| now.monotonic < *until);
        }
        if self.answers.len() >= FORWARD_ANSWERS_MAX {
            self.answers.clear();
        }
        let until = now.monotonic + answer.hold;
        self.answers
            .insert(key.clone(), (answer.verdict.clone(), until));
    }
}

impl fmt::Debug for ForwardQuestion {
    /// Without fields: they hold credentials.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ForwardQuestion({})", self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Field, Fields, TargetForm, Version};
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A server that gives one answer, and then what it was asked.
    fn server(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/verify", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                asked.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap().to_ascii_lowercase()
        });
        (url, thread)
    }

    fn question(url: &str, path: &[u8], token: &str) -> ForwardQuestion {
        let list = [
            Field {
                name: "Authorization",
                value: token.as_bytes(),
            },
            Field {
                name: "X-Secret",
                value: b"mine",
            },
        ];
        let head = RequestHead {
            method: Method::Put,
            version: Version::Http11,
            form: TargetForm::Origin,
            path,
            query: Some(b"q=1"),
            authority: Some(b"a.example"),
            fields: Fields::new(&list),
        };
        let rule = ForwardRule::parse(&format!("/a/** {url}")).unwrap();
        let users: Arc<[String]> = Arc::new(["X-User".to_owned(), "Remote-User".to_owned()]);
        let address = Some([192, 0, 2, 7].into());
        ForwardQuestion::new(&rule, &users, &head, (address, true))
    }

    #[test]
    fn the_other_server_sees_what_it_is_asked_about() {
        let (url, server) = server(
            "HTTP/1.1 204 No Content\r\nRemote-User: anna\r\nCache-Control: max-age=60\r\n\r\n",
        );
        let answer = question(&url, b"/a/b", "Bearer t").ask();
        let asked = server.join().unwrap();
        assert_eq!(answer.verdict, Verdict::Passed(Some("anna".into())));
        assert_eq!(answer.hold, Duration::from_secs(60));
        for line in [
            "get /verify http/1.1\r\n",
            "x-forwarded-method: put\r\n",
            "x-forwarded-uri: /a/b?q=1\r\n",
            "x-forwarded-host: a.example\r\n",
            "x-forwarded-proto: https\r\n",
            "x-forwarded-for: 192.0.2.7\r\n",
            "authorization: bearer t\r\n",
        ] {
            assert!(asked.contains(line), "{line} {asked}");
        }
        assert!(!asked.contains("x-secret"));
    }

    #[test]
    fn a_refusal_goes_on_to_the_client_and_nonsense_does_not() {
        let (url, _server) = server(
            "HTTP/1.1 302 Found\r\nLocation: /login\r\nX-Other: 1\r\nContent-Length: 0\r\n\r\n",
        );
        let told = vec![("Location", b"/login".to_vec())];
        let expected = Verdict::Refused(Status::FOUND, told);
        assert_eq!(question(&url, b"/", "").ask().verdict, expected);
        for nonsense in [
            "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
            "garbage\r\n\r\n",
        ] {
            let (url, _server) = server(nonsense);
            assert_eq!(question(&url, b"/", "").ask().verdict, Verdict::Failed);
        }
    }

    #[test]
    fn an_answer_holds_for_the_same_question_as_long_as_it_says() {
        let url = "http://127.0.0.1:1/";
        let mut memo = ForwardMemo::default();
        let at = |millis| Now {
            monotonic: Millis(millis),
            ..Now::default()
        };
        let asked = question(url, b"/a", "Bearer t");
        let answer = |hold| ForwardAnswer {
            verdict: Verdict::Passed(None),
            hold: Duration::from_secs(hold),
            key: asked.key.clone(),
        };
        memo.keep(&answer(0), at(0));
        assert_eq!(memo.get(&asked, at(0)), None);
        memo.keep(&answer(2), at(0));
        assert_eq!(memo.get(&asked, at(1999)), Some(&Verdict::Passed(None)));
        assert_eq!(memo.get(&asked, at(2000)), None);
        for other in [
            question(url, b"/b", "Bearer t"),
            question(url, b"/a", "Bearer u"),
        ] {
            assert_eq!(memo.get(&other, at(0)), None);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut memo = ForwardMemo::default();
        for number in 0..FORWARD_ANSWERS_MAX + 10 {
            let answer = ForwardAnswer {
                verdict: Verdict::Passed(None),
                hold: Duration::from_secs(100),
                key: Some(number.to_ne_bytes().into()),
            };
            memo.keep(&answer, Now::default());
        }
        assert!(memo.answers.len() <= FORWARD_ANSWERS_MAX);
    }

    #[test]
    fn addresses_are_checked() {
        assert!(ForwardRule::parse("/a/** https://auth.example/x?y=1").is_ok());
        for text in [
            "",
            "/a/**",
            "auth.example",
            "http://",
            "http:///x",
            "http://a b",
            "ftp://a",
        ] {
            let why = ForwardRule::parse(text).unwrap_err();
            assert!(why.contains("no address to ask"), "{text}: {why}");
        }
    }
}
