//! Values of the flags about access, writing and the record. Pure.
//!
//! Each gives a sentence that goes behind `--flag does not take "value"; `.

use std::time::Duration;

use super::quantity::{OrOff, count, duration, size};
use super::values::within;
use super::{AccessLog, Listen, MetricsPlace};
use crate::access::address::ForwardedBy;
use crate::base::limits;

pub(super) fn leeway(text: &str) -> Result<Duration, String> {
    let most = limits::JWT_LEEWAY_MAX;
    within(duration(text)?, Duration::ZERO, most, "it is at most 1h")
}

pub(super) fn claim_name(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.chars().all(is_shown) {
        true => Ok(text.to_owned()),
        false => Err("it is the name of a claim, as in sub or email".to_owned()),
    }
}

/// A text that needs no escapes between quotes (RFC 9110 §5.6.4).
pub(super) fn realm(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    match !text.trim().is_empty() && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("it is a text in ASCII without quotes, as in 'The workshop'".to_owned()),
    }
}

pub(super) fn forwarded_by(text: &str) -> Result<ForwardedBy, String> {
    match text.to_ascii_lowercase().as_str() {
        "x-forwarded-for" => Ok(ForwardedBy::XForwardedFor),
        "forwarded" => Ok(ForwardedBy::Forwarded),
        _ => Err("it is x-forwarded-for or forwarded".to_owned()),
    }
}

pub(super) fn in_flight(text: &str) -> Result<OrOff<usize>, String> {
    OrOff::parse(text, many)
}

pub(super) fn connections_per_address(text: &str) -> Result<OrOff<usize>, String> {
    OrOff::parse(text, many)
}

fn many(text: &str) -> Result<usize, String> {
    within(count(text)?, 1, 1 << 30, "it lies between 1 and 1073741824").map(|count| count as usize)
}

pub(super) fn send_rate(text: &str) -> Result<OrOff<u64>, String> {
    let least = limits::SEND_RATE_BYTES_MIN;
    OrOff::parse(text, |text| {
        within(size(text)?, least, u64::MAX, "it is at least 1K")
    })
}

pub(super) fn limit_memory(text: &str) -> Result<u64, String> {
    let least = limits::LIMIT_MEMORY_BYTES_MIN;
    within(size(text)?, least, u64::MAX, "it is at least 4K")
}

pub(super) fn max_patch_bytes(text: &str) -> Result<u64, String> {
    let most = limits::PATCH_BYTES_MAX;
    within(size(text)?, 0, most, "it is at most 64M")
}

pub(super) fn idempotency_time(text: &str) -> Result<Duration, String> {
    let (least, most) = (Duration::from_secs(1), limits::LONG_TIME_MAX);
    within(duration(text)?, least, most, "it lies between 1s and 720h")
}

pub(super) fn idempotency_size(text: &str) -> Result<u64, String> {
    let least = limits::IDEMPOTENCY_BYTES_MIN;
    within(size(text)?, least, u64::MAX, "it is at least 4K")
}

pub(super) fn access_log(text: &str) -> Result<AccessLog, String> {
    match text {
        "off" => Ok(AccessLog::Off),
        "combined" => Ok(AccessLog::Combined),
        "json" => Ok(AccessLog::Json),
        _ => Err("say off, combined or json".to_owned()),
    }
}

pub(super) fn metrics(text: &str) -> Result<OrOff<MetricsPlace>, String> {
    OrOff::parse(text, |text| {
        let sentence = "say ADDRESS:PORT/PATH, as in 127.0.0.1:9090/metrics";
        let at = text.find('/').ok_or(sentence)?;
        let (place, path) = text.split_at(at);
        let listen: Listen = place.parse().map_err(|_| sentence)?;
        let is_tcp = matches!(listen, Listen::Tcp(_) | Listen::Everywhere { .. });
        match is_tcp && is_path(path) {
            true => Ok(MetricsPlace {
                listen,
                path: path.to_owned(),
            }),
            false => Err(sentence.to_owned()),
        }
    })
}

pub(super) fn health(text: &str) -> Result<OrOff<String>, String> {
    OrOff::parse(text, |text| match is_path(text) {
        true => Ok(text.to_owned()),
        false => Err("it is a path, as in /healthz".to_owned()),
    })
}

/// A path that a request names in one way only: without escapes and dot segments.
fn is_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
    let mut segments = text.split('/');
    text.len() > 1
        && segments.next() == Some("")
        && text.bytes().all(is_plain)
        && segments.all(|segment| segment != "." && segment != "..")
}

/// Neither blank nor control character.
fn is_shown(letter: char) -> bool {
    !letter.is_whitespace() && !letter.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_and_sizes_have_their_bounds() {
        assert_eq!(leeway("0s"), Ok(Duration::ZERO));
        assert!(leeway("61m").unwrap_err().contains("at most 1h"));
        assert_eq!(send_rate("1K"), Ok(OrOff(Some(1024))));
        assert!(send_rate("1023").unwrap_err().contains("at least 1K"));
        assert_eq!(send_rate("off"), Ok(OrOff(None)));
        assert!(limit_memory("4095").unwrap_err().contains("at least 4K"));
        assert!(max_patch_bytes("65M").unwrap_err().contains("at most 64M"));
        assert!(idempotency_time("0s").unwrap_err().contains("1s and 720h"));
        assert!(idempotency_size("1").unwrap_err().contains("at least 4K"));
        assert!(in_flight("0").unwrap_err().contains("or off"));
        assert_eq!(connections_per_address("8"), Ok(OrOff(Some(8))));
        assert!(in_flight("1073741825").is_err());
    }

    #[test]
    fn metrics_have_a_place_and_a_path() {
        let place = |text: &str| {
            let place = metrics(text).unwrap().0.unwrap();
            (place.listen.to_string(), place.path)
        };
        let pair = |listen: &str, path: &str| (listen.to_owned(), path.to_owned());
        assert_eq!(
            place("127.0.0.1:9090/metrics"),
            pair("127.0.0.1:9090", "/metrics")
        );
        assert_eq!(place("[::1]:1/a/b"), pair("[::1]:1", "/a/b"));
        assert_eq!(place(":9090/m"), pair("[::]:9090", "/m"));
        assert_eq!(metrics("off"), Ok(OrOff(None)));
        for text in [
            "",
            ":9090",
            ":9090/",
            "unix:/a/b",
            "fd:3/a",
            "a:1/m",
            ":1/a?b",
            ":1/../a",
        ] {
            let why = metrics(text).unwrap_err();
            assert!(
                why.contains("127.0.0.1:9090/metrics, or off"),
                "{text}: {why}"
            );
        }
    }

    #[test]
    fn health_is_a_plain_path() {
        assert_eq!(health("/healthz"), Ok(OrOff(Some("/healthz".to_owned()))));
        for text in ["", "/", "healthz", "/a b", "/a%20", "/a/..", "/a?b", "on"] {
            let why = health(text).unwrap_err();
            assert!(why.contains("/healthz, or off"), "{text}: {why}");
        }
    }

    #[test]
    fn texts_of_answers_and_claims_are_plain() {
        assert_eq!(realm("The workshop"), Ok("The workshop".to_owned()));
        for text in ["", " ", "a\"b", "a\\b", "\u{e4}", "a\r\nb"] {
            assert!(realm(text).unwrap_err().contains("quotes"), "{text:?}");
        }
        assert_eq!(
            claim_name("https://a.b/user"),
            Ok("https://a.b/user".to_owned())
        );
        assert!(claim_name("").is_err() && claim_name("a b").is_err());
        assert_eq!(access_log("json"), Ok(AccessLog::Json));
        assert!(access_log("xml").unwrap_err().contains("combined"));
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text in "\\PC{0,40}|[0-9:/\\[\\].]{0,24}") {
            let _ = (metrics(&text), health(&text), realm(&text), claim_name(&text));
            let _ = (leeway(&text), send_rate(&text), in_flight(&text), access_log(&text));
        }
    }
}
