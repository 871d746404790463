//! The flags of TLS and HTTP/2. As in `args.rs`, a value that is wrong by itself is refused here.

use std::time::Duration;

use clap::{ArgAction, Args};

use super::listen;
use super::quantity::{count, duration};
use super::values::{boolean, timeout, within};
use crate::tls::{ClientAuth, LeastVersion};

/// The flags of TLS and HTTP/2, each right by itself.
#[derive(Debug, Args)]
pub struct TlsArgs {
    /// Where to listen for HTTPS: ADDRESS:PORT, unix:/path or fd:N; repeatable. Given alone, no
    /// plain port is opened
    #[arg(long, value_name = "WHERE", help_heading = "TLS")]
    #[arg(env = "DOWNPOUR_TLS_LISTEN", hide_env = true)]
    pub tls_listen: Vec<String>,

    /// Certificate chain in PEM, the server's own first; repeat it with its --tls-key for more. The
    /// name a client asks for chooses one, the first is for all other names. Read again when it
    /// changes
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    #[arg(env = "DOWNPOUR_TLS_CERT", hide_env = true)]
    pub tls_cert: Vec<String>,

    /// Private key in PEM of the --tls-cert at the same place; left out, it stands in the file of
    /// the certificate
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    #[arg(env = "DOWNPOUR_TLS_KEY", hide_env = true)]
    pub tls_key: Vec<String>,

    /// Make a certificate for trying things out, which clients do not trust: for localhost, its
    /// addresses and the host's name, or with --self-signed=NAME (repeatable) for those
    #[arg(long, value_name = "BOOL|NAME", help_heading = "TLS")]
    #[arg(env = "DOWNPOUR_SELF_SIGNED", hide_env = true, action = ArgAction::Append)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub self_signed: Vec<String>,

    /// Refuse clients that ask for a name without a certificate, or for none; otherwise they get
    /// the first certificate
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "false",
        help_heading = "TLS"
    )]
    #[arg(env = "DOWNPOUR_TLS_SNI_STRICT", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tls_sni_strict: bool,

    /// Oldest version that is spoken
    #[arg(
        long,
        value_name = "1.2|1.3",
        default_value = "1.2",
        help_heading = "TLS"
    )]
    #[arg(env = "DOWNPOUR_TLS_MIN_VERSION", hide_env = true, value_parser = least_version)]
    pub tls_min_version: LeastVersion,

    /// Certificates in PEM of those who issue client certificates; with it, clients must show one
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    #[arg(env = "DOWNPOUR_TLS_CLIENT_CA", hide_env = true)]
    pub tls_client_ca: Option<String>,

    /// Whether a client certificate is required or optional [default: required]
    #[arg(long, value_name = "required|optional", help_heading = "TLS")]
    #[arg(env = "DOWNPOUR_TLS_CLIENT_AUTH", hide_env = true, value_parser = client_auth)]
    pub tls_client_auth: Option<ClientAuth>,

    /// Keys of session tickets, 80 (or 48) random bytes each, for several machines behind one name;
    /// repeatable: the first seals, all open. Read again when it changes [default: random keys, new
    /// ones every 12h]
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    #[arg(env = "DOWNPOUR_TLS_TICKET_KEYS", hide_env = true)]
    pub tls_ticket_keys: Vec<String>,

    /// Write the secrets of all connections to a file, for finding faults: who has it reads
    /// everything
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    #[arg(env = "DOWNPOUR_TLS_KEYLOG", hide_env = true)]
    pub tls_keylog: Option<String>,

    /// Time for a TLS handshake
    #[arg(long, value_name = "TIME", default_value = "10s", help_heading = "TLS")]
    #[arg(env = "DOWNPOUR_HANDSHAKE_TIMEOUT", hide_env = true, value_parser = timeout)]
    pub handshake_timeout: Duration,

    /// TLS handshakes of one worker at a time; further ones wait, so that a burst of them does not
    /// hold up what is being answered
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "256",
        help_heading = "TLS"
    )]
    #[arg(env = "DOWNPOUR_MAX_HANDSHAKES", hide_env = true, value_parser = max_handshakes)]
    pub max_handshakes: u32,

    /// Answer plain requests with a redirect to HTTPS (308), at the port of the first --tls-listen
    /// or at the one said with --https-redirect=PORT
    #[arg(
        long,
        value_name = "BOOL|PORT",
        default_value = "false",
        help_heading = "TLS"
    )]
    #[arg(env = "DOWNPOUR_HTTPS_REDIRECT", hide_env = true, value_parser = https_redirect)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub https_redirect: HttpsRedirect,

    /// Tell browsers to come by HTTPS only, for so long (as in 8760h) or as said (as in
    /// 'max-age=31536000; includeSubDomains'): Strict-Transport-Security
    #[arg(long, value_name = "TIME|VALUE", help_heading = "TLS")]
    #[arg(env = "DOWNPOUR_HSTS", hide_env = true, value_parser = hsts)]
    pub hsts: Option<String>,

    /// Speak HTTP/2: by ALPN over TLS, by prior knowledge without
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "true",
        help_heading = "HTTP/2"
    )]
    #[arg(env = "DOWNPOUR_HTTP2", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub http2: bool,

    /// Requests of one HTTP/2 connection at a time, 1 to 1000
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "128",
        help_heading = "HTTP/2"
    )]
    #[arg(env = "DOWNPOUR_HTTP2_MAX_STREAMS", hide_env = true, value_parser = streams)]
    pub http2_max_streams: u32,
}

/// Where plain requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpsRedirect {
    /// Nowhere: they are answered.
    Off,
    /// To the port of the first TLS listener.
    Listener,
    /// To this port.
    Port(u16),
}

fn least_version(text: &str) -> Result<LeastVersion, String> {
    match text {
        "1.2" => Ok(LeastVersion::Tls12),
        "1.3" => Ok(LeastVersion::Tls13),
        "1.0" | "1.1" => Err("that version is broken (RFC 8996); say 1.2 or 1.3".to_owned()),
        _ => Err("say 1.2 or 1.3".to_owned()),
    }
}

fn client_auth(text: &str) -> Result<ClientAuth, String> {
    match text {
        "required" => Ok(ClientAuth::Required),
        "optional" => Ok(ClientAuth::Optional),
        _ => Err("say required or optional".to_owned()),
    }
}

fn max_handshakes(text: &str) -> Result<u32, String> {
    let most = 1 << 20;
    within(count(text)?, 1, most, "it lies between 1 and 1048576").map(|count| count as u32)
}

fn streams(text: &str) -> Result<u32, String> {
    within(count(text)?, 1, 1000, "it lies between 1 and 1000").map(|count| count as u32)
}

fn https_redirect(text: &str) -> Result<HttpsRedirect, String> {
    if let Ok(port) = listen::port(text)
        && port > 1
    {
        return Ok(HttpsRedirect::Port(port));
    }
    match boolean(text) {
        Ok(true) => Ok(HttpsRedirect::Listener),
        Ok(false) => Ok(HttpsRedirect::Off),
        Err(_) => Err("it is true, false or the port that clients reach HTTPS at".to_owned()),
    }
}

/// A value of `Strict-Transport-Security` (RFC 6797 §6.1), or the time that makes one.
fn hsts(text: &str) -> Result<String, String> {
    let sentence = "say a time, as in 8760h, or a value, as in 'max-age=31536000; preload'";
    if let Ok(time) = duration(text) {
        return Ok(format!("max-age={}", time.as_secs()));
    }
    let is_token = |text: &str| {
        let is_letter =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(is_letter)
    };
    let mut ages = 0;
    for directive in text.split(';').map(str::trim) {
        let (name, value) = match directive.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (directive, None),
        };
        if !is_token(name) || value.is_some_and(|value| !is_token(value)) {
            return Err(sentence.to_owned());
        }
        if name.eq_ignore_ascii_case("max-age") {
            let is_seconds = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            if !value.is_some_and(is_seconds) {
                return Err(format!("max-age is a number of seconds; {sentence}"));
            }
            ages += 1;
        }
    }
    match ages {
        1 => Ok(text.to_owned()),
        _ => Err(format!("it must name max-age once; {sentence}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_a_value_becomes_hsts() {
        for (text, value) in [
            ("8760h", "max-age=31536000"),
            ("0", "max-age=0"),
            ("max-age=5", "max-age=5"),
            (
                "max-age=31536000; includeSubDomains; preload",
                "max-age=31536000; includeSubDomains; preload",
            ),
        ] {
            assert_eq!(hsts(text).as_deref(), Ok(value));
        }
        for text in [
            "",
            "5",
            "preload",
            "max-age",
            "max-age=x",
            "max-age=1; max-age=2",
            "max-age=1;",
            "max-age=1\r\nX: y",
            "max-age=1; a b",
        ] {
            let why = hsts(text).unwrap_err();
            assert!(why.contains("8760h"), "{text:?}: {why}");
        }
    }

    #[test]
    fn a_redirect_is_switched_or_given_a_port() {
        assert_eq!(https_redirect("true"), Ok(HttpsRedirect::Listener));
        assert_eq!(https_redirect("false"), Ok(HttpsRedirect::Off));
        assert_eq!(https_redirect("8443"), Ok(HttpsRedirect::Port(8443)));
        assert!(https_redirect("99999").unwrap_err().contains("the port"));
        assert!(https_redirect("").is_err());
    }

    #[test]
    fn versions_and_ways_are_words() {
        assert_eq!(least_version("1.3"), Ok(LeastVersion::Tls13));
        assert!(least_version("1.1").unwrap_err().contains("RFC 8996"));
        assert!(least_version("tls").is_err());
        assert_eq!(client_auth("optional"), Ok(ClientAuth::Optional));
        assert!(client_auth("yes").unwrap_err().contains("required"));
    }
}
