//! How many requests whom may make: rules.
//!
//! A limit is counted as GCRA does (the generic cell rate algorithm): one number for each key, the
//! theoretical arrival time (TAT), says all. It lies in the past for who has asked nothing lately;
//! each request moves it on by the time that one request is worth; and a request that would move it
//! further than a burst is worth is refused. Nothing has to be reset when a window ends, and no
//! client gets twice its due around that moment.

use std::time::Duration;

use crate::base::limits::{LIMIT_NAME_BYTES_MAX, LIMIT_PER_SECOND_MAX, LONG_TIME_MAX};
use crate::http::Fields;
use crate::http::field::is_token_byte;
use crate::http::field_writer::push_decimal;
use crate::route::Glob;

const NANOS: u64 = 1_000_000_000;
const SENTENCE: &str = "say how many in which time, as in '10/s burst=20 by=address'";

/// How many requests come in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    count: u32,
    period_seconds: u32,
    burst: u32,
    /// What one request is worth.
    interval_ns: u64,
    /// What a burst is worth.
    tolerance_ns: u64,
}

/// What a limit says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub allowed: bool,
    /// Requests that may follow at once.
    pub remaining: u32,
    /// The time until a whole burst may come again.
    pub reset: Duration,
    /// The time until a request is allowed again; zero when this one is.
    pub retry_after: Duration,
}

impl Quota {
    /// `count` requests in a period, and `burst` at once. The fault is a sentence for the operator.
    pub fn new(count: u32, period_seconds: u32, burst: u32) -> Result<Quota, String> {
        if count == 0 || period_seconds == 0 {
            return Err(SENTENCE.to_owned());
        }
        if burst == 0 {
            return Err("a burst is a whole number, at least 1".to_owned());
        }
        let period_ns = u64::from(period_seconds) * NANOS;
        let interval_ns = period_ns / u64::from(count);
        if interval_ns < NANOS / LIMIT_PER_SECOND_MAX {
            return Err(format!(
                "a limit is at most {LIMIT_PER_SECOND_MAX} in a second"
            ));
        }
        let tolerance_ns = interval_ns.checked_mul(u64::from(burst));
        let is_short = |ns: &u64| u128::from(*ns) <= LONG_TIME_MAX.as_nanos();
        match tolerance_ns
            .filter(is_short)
            .filter(|_| is_short(&period_ns))
        {
            Some(tolerance_ns) => Ok(Quota {
                count,
                period_seconds,
                burst,
                interval_ns,
                tolerance_ns,
            }),
            None => {
                Err("neither its period nor what its burst is worth is longer than 30 days".into())
            }
        }
    }

    /// Requests in a period.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Seconds of the period.
    pub fn period_seconds(&self) -> u32 {
        self.period_seconds
    }

    /// Requests that may come at once.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// What one request moves a TAT by.
    pub fn interval_ns(&self) -> u64 {
        self.interval_ns
    }

    /// How far from now a TAT lies at most.
    pub fn tolerance_ns(&self) -> u64 {
        self.tolerance_ns
    }

    /// Asks for one request. Gives the TAT that there is after it: the same, where it is refused.
    #[inline]
    pub fn take(&self, tat_ns: u64, now_ns: u64) -> (u64, Taken) {
        let latest = now_ns.saturating_add(self.tolerance_ns);
        // What lies further was counted with another worker's clock, or for somebody else.
        let begin = tat_ns.max(now_ns).min(latest);
        let next = begin.saturating_add(self.interval_ns);
        let (tat_ns, retry_ns, allowed) = match next <= latest {
            true => (next, 0, true),
            false => (tat_ns, next - latest, false),
        };
        let end = if allowed { next } else { begin };
        let taken = Taken {
            allowed,
            remaining: u32::try_from((latest - end) / self.interval_ns).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(end - now_ns),
            retry_after: Duration::from_nanos(retry_ns),
        };
        (tat_ns, taken)
    }

    /// What the last request that was allowed has left, without asking for another.
    pub fn look(&self, tat_ns: u64, now_ns: u64) -> Taken {
        let latest = now_ns.saturating_add(self.tolerance_ns);
        let end = tat_ns.max(now_ns).min(latest);
        Taken {
            allowed: true,
            remaining: u32::try_from((latest - end) / self.interval_ns).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(end - now_ns),
            retry_after: Duration::ZERO,
        }
    }
}

impl Taken {
    /// The value of `Retry-After`.
    pub fn retry_after_seconds(&self) -> u64 {
        whole_seconds(self.retry_after)
    }
}

/// Seconds, rounded up: who waits for so long has waited long enough.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// What requests are counted by. Where a request has no user, or no such field, its address stands
/// for it, so that all who say nothing do not share one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitKey {
    /// The IPv4 address, or the /64 of an IPv6 address.
    Address,
    User,
    /// The value of a field, whose name is in lower case.
    Header(Box<str>),
    Path,
}

/// One request, as far as limits want to know.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Of its address (`address::network_key`).
    pub network: [u8; 16],
    pub user: Option<&'a str>,
    /// Decoded, as globs see it.
    pub path: &'a [u8],
    pub fields: &'a Fields<'a>,
}

/// How many requests are answered on the paths of a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRule {
    /// `None`: every path.
    pub glob: Option<Glob>,
    pub quota: Quota,
    /// Requests are counted together when all of these are equal.
    pub by: Box<[LimitKey]>,
    /// What answers call it.
    pub name: Box<str>,
}

impl LimitRule {
    /// Reads `[GLOB ]RATE[ burst=COUNT][ by=KEY][ name=NAME]`. The fault is a sentence for the
    /// operator.
    pub fn parse(text: &str) -> Result<LimitRule, String> {
        let (glob, text) = super::split_glob(text)?;
        let mut words = text.split_whitespace();
        let (count, period_seconds) = words.next().and_then(rate).ok_or(SENTENCE)?;
        let (mut burst, mut by, mut name) = (None, None, None);
        for word in words {
            let is_new = match word.split_once('=') {
                Some(("burst", count)) => {
                    let count = number(count).ok_or("a burst is a whole number, at least 1")?;
                    burst.replace(count).is_none()
                }
                Some(("by", keys)) => by.replace(parse_keys(keys)?).is_none(),
                Some(("name", text)) => name.replace(parse_name(text)?).is_none(),
                _ => {
                    return Err(format!(
                        "{word:?} is neither burst=COUNT, by=KEY nor name=NAME"
                    ));
                }
            };
            if !is_new {
                let (what, _) = word.split_once('=').unwrap_or((word, ""));
                return Err(format!("it says {what} twice"));
            }
        }
        Ok(LimitRule {
            glob,
            quota: Quota::new(count, period_seconds, burst.unwrap_or(count))?,
            by: by.unwrap_or_else(|| Box::new([LimitKey::Address])),
            name: name.unwrap_or("default").into(),
        })
    }

    /// Appends the bytes that a request is counted by; those of two requests are equal when they
    /// are counted together.
    pub fn push_key(&self, asker: &Asker<'_>, out: &mut Vec<u8>) {
        for (part, key) in self.by.iter().enumerate() {
            let part = part as u8; // No key stands twice, and each field is one.
            match key {
                LimitKey::Path => push_part(out, b'p', part, asker.path),
                LimitKey::User if asker.user.is_some() => {
                    push_part(out, b'u', part, asker.user.unwrap_or_default().as_bytes());
                }
                LimitKey::Header(name) if push_lines(out, part, name, asker.fields) => {}
                LimitKey::Address | LimitKey::User | LimitKey::Header(_) => {
                    push_part(out, b'a', part, &asker.network);
                }
            }
        }
    }

    /// Appends a member of the field `RateLimit-Policy`: `"default";q=100;w=60`.
    pub fn push_policy(&self, out: &mut Vec<u8>) {
        self.push_name(out);
        out.extend_from_slice(b";q=");
        push_decimal(out, self.quota.count.into());
        out.extend_from_slice(b";w=");
        push_decimal(out, self.quota.period_seconds.into());
    }

    /// Appends a member of the field `RateLimit`: `"default";r=50;t=30`.
    ///
    /// draft-ietf-httpapi-ratelimit-headers §4: beside `Retry-After`, `t` means the same moment.
    pub fn push_state(&self, taken: &Taken, out: &mut Vec<u8>) {
        let time = match taken.allowed {
            true => taken.reset,
            false => taken.retry_after,
        };
        self.push_name(out);
        out.extend_from_slice(b";r=");
        push_decimal(out, taken.remaining.into());
        out.extend_from_slice(b";t=");
        push_decimal(out, whole_seconds(time));
    }

    /// A String of RFC 9651 §3.3.3; what would have to be escaped is in no name.
    fn push_name(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'"');
    }
}

/// `100/s`, `10/10s`: a count, and the seconds of a period.
fn rate(text: &str) -> Option<(u32, u32)> {
    let (count, period) = text.split_once('/')?;
    let unit_at = period.len().checked_sub(1)?;
    let (times, unit) = period.split_at_checked(unit_at)?;
    let unit_seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    let times = if times.is_empty() { 1 } else { number(times)? };
    Some((number(count)?, times.checked_mul(unit_seconds)?))
}

/// Digits that make a number from 1 on.
fn number(digits: &str) -> Option<u32> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u32> = is_number.then(|| digits.parse().ok()).flatten();
    number.filter(|number| *number > 0)
}

fn parse_keys(text: &str) -> Result<Box<[LimitKey]>, String> {
    let mut keys = Vec::new();
    // A plus sign is a byte of field names, too: it parts where a key begins behind it.
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (key, behind) = match next_key(text) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let key = match key {
            "address" => LimitKey::Address,
            "user" => LimitKey::User,
            "path" => LimitKey::Path,
            _ => LimitKey::Header(header_name(key)?),
        };
        if keys.contains(&key) {
            return Err(format!("by={text} says a key twice"));
        }
        keys.push(key);
        rest = behind;
    }
    match keys.len() <= usize::from(u8::MAX) {
        true => Ok(keys.into()),
        false => Err("by= has too many keys".to_owned()),
    }
}

/// Where the first key of several ends.
fn next_key(text: &str) -> Option<usize> {
    let mut ends = text.match_indices('+').map(|(at, _)| at);
    if !text.starts_with("header:") {
        return ends.next();
    }
    let begins_key = |at: &usize| {
        let behind = &text[at + 1..];
        let word = behind.split('+').next().unwrap_or_default();
        matches!(word, "address" | "user" | "path") || behind.starts_with("header:")
    };
    ends.find(begins_key)
}

fn header_name(key: &str) -> Result<Box<str>, String> {
    let name = key.strip_prefix("header:");
    let name = name.ok_or("by= takes address, user, path or header:NAME, several with +")?;
    match !name.is_empty() && name.bytes().all(is_token_byte) {
        true => Ok(name.to_ascii_lowercase().into()),
        false => Err(format!("{name:?} is not the name of a field")),
    }
}

fn parse_name(text: &str) -> Result<&str, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match (1..=LIMIT_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain) {
        true => Ok(text),
        false => Err(format!(
            "a name is made of letters, digits, - _ and ., at most {LIMIT_NAME_BYTES_MAX}"
        )),
    }
}

/// All lines of a field are a part each. False when there is none.
fn push_lines(out: &mut Vec<u8>, part: u8, name: &str, fields: &Fields<'_>) -> bool {
    let mut found = false;
    for field in fields.list() {
        if field.name.eq_ignore_ascii_case(name) {
            push_part(out, b'h', part, field.value);
            found = true;
        }
    }
    found
}

/// With its length, so that no two lists of parts are the same bytes.
fn push_part(out: &mut Vec<u8>, kind: u8, part: u8, bytes: &[u8]) {
    out.extend_from_slice(&[kind, part]);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Field;
    use proptest::prelude::*;

    const SECOND: u64 = NANOS;

    fn rule(text: &str) -> LimitRule {
        LimitRule::parse(text).unwrap()
    }

    fn rendered(push: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rules_are_read() {
        let told = |text: &str| {
            let LimitRule { quota, .. } = rule(text);
            (quota.count(), quota.period_seconds(), quota.burst())
        };
        assert_eq!(told("100/s"), (100, 1, 100));
        assert_eq!(told("60/m burst=5"), (60, 60, 5));
        assert_eq!(told("1000/h"), (1000, 3600, 1000));
        assert_eq!(told("10/10s burst=1"), (10, 10, 1));
        assert_eq!(told("9/2d"), (9, 172_800, 9));
        let all = rule("/api/** 5/m by=address+path+header:X-Key burst=2 name=api");
        assert_eq!(all.glob.unwrap().as_str(), "/api/**");
        let keys = [
            LimitKey::Address,
            LimitKey::Path,
            LimitKey::Header("x-key".into()),
        ];
        assert_eq!((&*all.by, &*all.name), (&keys[..], "api"));
        let plain = rule("1/s");
        assert_eq!(
            (plain.glob, &*plain.by, &*plain.name),
            (None, &keys[..1], "default")
        );
        let plus = rule("1/s by=header:a+b+user+header:c+path");
        let header = |name: &str| LimitKey::Header(name.into());
        assert_eq!(
            *plus.by,
            [header("a+b"), LimitKey::User, header("c"), LimitKey::Path]
        );
    }

    #[test]
    fn wrong_rules_are_told() {
        for (text, part) in [
            ("", "10/s burst=20"),
            ("/a/**", "10/s burst=20"),
            ("10", "10/s burst=20"),
            ("0/s", "10/s burst=20"),
            ("10/0s", "10/s burst=20"),
            ("10/y", "10/s burst=20"),
            ("10/", "10/s burst=20"),
            ("10/ä", "10/s burst=20"),
            ("+10/s", "10/s burst=20"),
            ("10/99999999999s", "10/s burst=20"),
            ("10/4294967295d", "10/s burst=20"),
            ("10/s burst=x", "whole number"),
            ("10/s burst=0", "whole number"),
            ("10/s burst=4294967296", "whole number"),
            ("10/s by=x", "header:NAME"),
            ("10/s by=", "header:NAME"),
            ("10/s by=address+", "header:NAME"),
            ("10/s by=header:", "name of a field"),
            ("10/s by=header:a b", "neither burst"),
            ("10/s by=path+path", "a key twice"),
            ("10/s by=header:A+header:a", "a key twice"),
            ("10/s per=x", "neither burst"),
            ("10/s burst=1 burst=2", "says burst twice"),
            ("10/s name=", "letters"),
            ("10/s name=a\"b", "letters"),
            ("1000001/s", "at most 1000000 in a second"),
            ("1/31d", "30 days"),
            ("1/d burst=31", "30 days"),
            ("/a{ 1/s", "brace"),
        ] {
            let why = LimitRule::parse(text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
        assert!(LimitRule::parse("1000000/s").is_ok() && LimitRule::parse("1/30d").is_ok());
    }

    #[test]
    fn a_burst_is_allowed_at_once_and_then_one_for_each_interval() {
        let quota = rule("2/s burst=3").quota;
        let (mut tat, now) = (0, 100 * SECOND);
        for remaining in [2, 1, 0] {
            let (next, taken) = quota.take(tat, now);
            assert!(taken.allowed && taken.remaining == remaining, "{taken:?}");
            assert_eq!(taken.retry_after, Duration::ZERO);
            tat = next;
        }
        let (same, refused) = quota.take(tat, now);
        assert_eq!(same, tat, "what is refused costs nothing");
        let expected = Taken {
            allowed: false,
            remaining: 0,
            reset: Duration::from_millis(1500),
            retry_after: Duration::from_millis(500),
        };
        assert_eq!(refused, expected);
        assert!(!quota.take(tat, now + SECOND / 2 - 1).1.allowed);
        let (tat, taken) = quota.take(tat, now + SECOND / 2);
        assert!(taken.allowed && taken.remaining == 0);
        assert_eq!(quota.take(tat, now + 60 * SECOND).1.remaining, 2);
    }

    #[test]
    fn a_time_from_the_far_future_is_a_whole_burst_and_no_more() {
        let quota = rule("1/s burst=5").quota;
        let (_, taken) = quota.take(u64::MAX, 10 * SECOND);
        assert_eq!(taken.retry_after, Duration::from_secs(1));
        quota.take(0, u64::MAX); // The end of time does not overflow.
    }

    #[test]
    fn the_fields_say_policy_and_state() {
        let limit = rule("100/m name=api");
        assert_eq!(rendered(|out| limit.push_policy(out)), "\"api\";q=100;w=60");
        let mut taken = Taken {
            allowed: true,
            remaining: 50,
            reset: Duration::from_millis(29_001),
            retry_after: Duration::ZERO,
        };
        assert_eq!(
            rendered(|out| limit.push_state(&taken, out)),
            "\"api\";r=50;t=30"
        );
        taken.allowed = false;
        taken.remaining = 0;
        taken.retry_after = Duration::from_nanos(1);
        assert_eq!(
            rendered(|out| limit.push_state(&taken, out)),
            "\"api\";r=0;t=1"
        );
        assert_eq!(taken.retry_after_seconds(), 1);
    }

    fn key(by: &str, user: Option<&str>, path: &str, said: &[(&str, &str)]) -> Vec<u8> {
        let line = |(name, value): &(&'static str, &'static str)| Field {
            name,
            value: value.as_bytes(),
        };
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let said: Vec<_> = said.iter().map(|(n, v)| (leak(n), leak(v))).collect();
        let lines: Vec<Field<'_>> = said.iter().map(line).collect();
        let asker = Asker {
            network: [7; 16],
            user,
            path: path.as_bytes(),
            fields: &Fields::new(&lines),
        };
        let mut out = Vec::new();
        rule(&format!("1/s by={by}")).push_key(&asker, &mut out);
        out
    }

    #[test]
    fn a_key_is_what_its_rule_names() {
        assert_eq!(
            key("address", Some("a"), "/a", &[]),
            key("address", None, "/b", &[])
        );
        assert_ne!(
            key("user", Some("a"), "/", &[]),
            key("user", Some("b"), "/", &[])
        );
        assert_ne!(key("path", None, "/a", &[]), key("path", None, "/b", &[]));
        let said = |value| [("X-KEY", value)];
        assert_ne!(
            key("header:x-key", None, "/", &said("a")),
            key("header:x-key", None, "/", &said("b"))
        );
        assert_ne!(
            key("path+user", Some("b"), "/a", &[]),
            key("path+user", Some("a"), "/b", &[])
        );
    }

    #[test]
    fn who_says_nothing_is_counted_by_address() {
        let address = key("address", None, "/", &[]);
        assert_eq!(key("user", None, "/", &[]), address);
        assert_eq!(key("header:x", None, "/", &[("y", "1")]), address);
        assert_ne!(key("user", Some(""), "/", &[]), address);
        assert_ne!(key("header:x", None, "/", &[("x", "")]), address);
    }

    proptest! {
        #[test]
        fn no_two_requests_share_a_key_by_how_it_is_written(
            one in prop::collection::vec("[ab]{0,3}", 0..3),
            other in prop::collection::vec("[ab]{0,3}", 0..3),
            paths in ("[ab]{0,3}", "[ab]{0,3}"),
        ) {
            let of = |values: &[String], path: &str| {
                let lines: Vec<(&str, &str)> =
                    values.iter().map(|value| ("x", value.as_str())).collect();
                key("header:x+path", None, path, &lines)
            };
            let are_same = (&one, &paths.0) == (&other, &paths.1);
            prop_assert_eq!(of(&one, &paths.0) == of(&other, &paths.1), are_same);
        }

        #[test]
        fn what_is_allowed_in_any_time_is_rate_and_burst(
            count in 1u32..1000, period in 1u32..100, burst in 1u32..100,
            waits in prop::collection::vec(0u64..3 * NANOS, 1..200),
        ) {
            let quota = Quota::new(count, period, burst).unwrap();
            let (mut tat, mut now, mut allowed) = (0, SECOND, 0u64);
            for wait in &waits {
                now += wait;
                let (next, taken) = quota.take(tat, now);
                prop_assert!(taken.remaining <= burst);
                prop_assert!(taken.reset.as_nanos() <= u128::from(quota.tolerance_ns()));
                prop_assert_eq!(taken.allowed, taken.retry_after == Duration::ZERO);
                if !taken.allowed {
                    let later = now + u64::try_from(taken.retry_after.as_nanos()).unwrap();
                    prop_assert!(quota.take(next, later).1.allowed);
                    prop_assert!(!quota.take(next, later - 1).1.allowed);
                }
                allowed += u64::from(taken.allowed);
                tat = next;
            }
            let time = now - SECOND - waits[0];
            prop_assert!(allowed <= u64::from(burst) + time / quota.interval_ns());
        }

        #[test]
        fn any_text_is_answered_without_a_panic(text in "\\PC{0,32}|[0-9a-z/=+: *]{0,32}") {
            let _ = LimitRule::parse(&text);
        }
    }
}
