//! An authenticator as the gate uses it, with the memory of a worker and without.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;

use super::jwt::tests::{NOW as NOW_SECONDS, secret, token};
use super::users::tests::LINES;
use super::*;
use crate::base::limits::{CREDENTIAL_REMEMBERED, REFUSAL_REMEMBERED};
use crate::base::{Millis, Now};

const TOKENS: &str =
    "robot:sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 read";

fn after(length: Duration) -> Now {
    Now {
        monotonic: Millis(5000) + length,
        unix_seconds: NOW_SECONDS + length.as_secs(),
    }
}

fn now() -> Now {
    after(Duration::ZERO)
}

fn settings() -> AuthSettings {
    AuthSettings {
        users: vec![AuthFile::new("users", LINES)],
        tokens: vec![AuthFile::new("tokens", TOKENS)],
        ..secret()
    }
}

fn authenticator(settings: &AuthSettings) -> Arc<Authenticator> {
    Arc::new(Authenticator::new(settings).unwrap())
}

fn basic(name: &str, password: &str) -> Vec<u8> {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))).into_bytes()
}

fn bearer(token: &str) -> Vec<u8> {
    format!("Bearer {token}").into_bytes()
}

/// A credential in a word, after it was hashed where that is needed.
fn told(credential: Credential) -> String {
    match credential {
        Credential::None => "none".to_owned(),
        Credential::Known(identity) => identity.name().to_owned(),
        Credential::Wrong(wrong) => format!("{wrong:?}"),
        Credential::Costly(costly) => format!("hashed {}", told(costly.run())),
    }
}

#[test]
fn a_password_is_hashed_once_and_then_known() {
    let all = authenticator(&settings());
    let field = basic("alice", "secret");
    let check = |now| told(all.check(Some(&field), None, now));
    assert_eq!(check(now()), "hashed alice");
    assert_eq!(check(now()), "alice");
    assert_eq!(
        check(after(CREDENTIAL_REMEMBERED - Duration::from_millis(1))),
        "alice"
    );
    assert_eq!(check(after(CREDENTIAL_REMEMBERED)), "hashed alice");
    let other = basic("alice", "secreT");
    assert!(told(all.check(Some(&other), None, now())).starts_with("hashed Bad"));
    let carol = basic("carol", "password");
    assert_eq!(told(all.check(Some(&carol), None, now())), "hashed carol");
}

#[test]
fn a_password_that_many_streams_bring_at_once_is_hashed_once() {
    let all = authenticator(&settings());
    let field = basic("alice", "secret");
    let waiting = [now(), now()].map(|now| all.check(Some(&field), None, now));
    for credential in waiting {
        assert_eq!(told(credential), "hashed alice");
    }
    let wrong = basic("alice", "wrong");
    let mut waiting = [now(), now()]
        .map(|now| all.check(Some(&wrong), None, now))
        .into_iter();
    let mut next = || told(waiting.next().unwrap());
    assert_eq!(next(), "hashed BadCredential(Basic)");
    assert_eq!(next(), "hashed SameAgain(Basic)", "found out by the first");
}

#[test]
fn a_refusal_is_remembered_for_a_moment_and_counts_once() {
    let all = authenticator(&settings());
    for (field, first) in [
        (basic("nobody", "secret"), "hashed BadCredential(Basic)"),
        (bearer("guess"), "BadCredential(Bearer)"),
        (bearer("e30.e30.e30"), "Malformed(Bearer)"),
    ] {
        let check = |now| told(all.check(Some(&field), None, now));
        assert_eq!(check(now()), first);
        let again = match first {
            "Malformed(Bearer)" => first.to_owned(),
            _ => first
                .replace("hashed ", "")
                .replace("BadCredential", "SameAgain"),
        };
        assert_eq!(check(now()), again);
        assert_eq!(check(after(REFUSAL_REMEMBERED)), first);
    }
}

#[test]
fn a_token_is_known_until_it_expires() {
    let all = authenticator(&AuthSettings {
        leeway: Duration::ZERO,
        ..settings()
    });
    let field = bearer(&token(&json!({"sub": "alice", "exp": NOW_SECONDS + 20})));
    let mut memo = CredentialMemo::new();
    for (seconds, expected) in [(0, "alice"), (1, "alice"), (19, "alice"), (20, "Expired")] {
        let now = after(Duration::from_secs(seconds));
        assert_eq!(told(all.check(Some(&field), None, now)), expected);
        assert_eq!(
            told(memo.check(&all, Some(&field), None, now)),
            expected,
            "by the memo"
        );
    }
    assert_eq!(told(all.check(Some(&bearer("test")), None, now())), "robot");
}

#[test]
fn the_worker_remembers_who_is_known_and_nobody_else() {
    let all = authenticator(&settings());
    let mut memo = CredentialMemo::new();
    let field = basic("alice", "secret");
    let check = |memo: &mut CredentialMemo, all: &Arc<Authenticator>, now| {
        told(memo.check(all, Some(&field), None, now))
    };
    assert_eq!(check(&mut memo, &all, now()), "hashed alice");
    assert_eq!(check(&mut memo, &all, now()), "alice");
    assert_eq!(check(&mut memo, &all, now()), "alice");
    let fresh = authenticator(&settings());
    assert_eq!(
        check(&mut memo, &fresh, now()),
        "hashed alice",
        "another generation"
    );
    let late = after(CREDENTIAL_REMEMBERED);
    memo.sweep(late);
    assert_eq!(check(&mut memo, &all, late), "hashed alice");
    for field in [
        basic("alice", "secreT"),
        basic("alicE", "secret"),
        bearer("tesT"),
    ] {
        let credential = memo.check(&all, Some(&field), None, now());
        assert!(told(credential).contains("BadCredential"));
    }
}

#[test]
fn one_worker_serves_sites_with_users_of_their_own() {
    let first = authenticator(&settings());
    let second = authenticator(&AuthSettings {
        tokens: vec![AuthFile::new("tokens", TOKENS.replace("robot", "other"))],
        ..settings()
    });
    let mut memo = CredentialMemo::new();
    for _ in 0..3 {
        let mut check = |of| told(memo.check(of, Some(b"Bearer test"), None, now()));
        assert_eq!(
            (check(&first), check(&second)),
            ("robot".to_owned(), "other".to_owned())
        );
    }
}

#[test]
fn a_certificate_counts_where_no_other_credential_does() {
    let all = authenticator(&settings());
    let only_users = authenticator(&AuthSettings {
        tokens: Vec::new(),
        jwt_secrets: Vec::new(),
        ..settings()
    });
    let nobody = authenticator(&AuthSettings::default());
    let mut memo = CredentialMemo::new();
    for (of, field, subject, expected) in [
        (&all, None, None, "none"),
        (&all, None, Some("CN=robot,O=x"), "robot"),
        (&all, Some(&b"Bearer test"[..]), Some("CN=cert"), "robot"),
        (&all, Some(b"Bearer"), Some("CN=cert"), "Malformed(Bearer)"),
        (&all, Some(b"Negotiate YII="), None, "UnknownScheme"),
        (&all, Some(b"Negotiate YII="), Some("CN=cert"), "cert"),
        (&only_users, Some(b"Bearer test"), None, "UnknownScheme"),
        (&only_users, Some(b"Bearer test"), Some("CN=cert"), "cert"),
        (&all, None, Some("O=x"), "none"),
        (&nobody, None, Some("CN=cert"), "cert"),
        (&nobody, Some(b"Basic YTpi"), None, "UnknownScheme"),
        (&nobody, Some(b"Basic"), None, "UnknownScheme"),
        (&nobody, Some(b"Bearer"), Some("CN=cert"), "cert"),
    ] {
        for _ in 0..2 {
            assert_eq!(
                told(of.check(field, subject, now())),
                expected,
                "{field:?} {subject:?}"
            );
            assert_eq!(
                told(memo.check(of, field, subject, now())),
                expected,
                "by the memo"
            );
        }
    }
    assert!(nobody.challenge(None).is_empty());
    assert_eq!(only_users.challenge(None).len(), 1);
    assert_eq!(all.challenge(None).len(), 2);
    let robot = memo.check(&all, None, Some("CN=robot"), now());
    let Credential::Known(robot) = robot else {
        panic!("{robot:?}")
    };
    assert_eq!(robot.source, Source::Certificate);
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let all = authenticator(&settings());
    let costly = all.check(Some(&basic("alice", "secret")), None, now());
    let shown = format!("{costly:?} {all:?} {:?}", settings());
    for secret in ["alice", "ssss", "115, 115", "$2y$", "9f86"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn what_is_asked_for_says_what_was_wrong() {
    let all = authenticator(&settings());
    let expired = all.challenge(Some(Wrong::Expired));
    assert!(
        expired[0].starts_with("Basic realm=\"downpour\", charset="),
        "{expired:?}"
    );
    assert!(expired[1].starts_with("Bearer realm=\"downpour\", error=\"invalid_token\""));
    let faulty = AuthSettings {
        realm: "\n".to_owned(),
        ..settings()
    };
    assert!(Authenticator::new(&faulty).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_field_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::fuzz_authorization(&bytes);
        fuzz::fuzz_authorization(&[b"Basic ", &bytes[..]].concat());
        fuzz::fuzz_authorization(&[b"Bearer ", &bytes[..]].concat());
        let encoded = STANDARD.encode(&bytes);
        fuzz::fuzz_authorization(format!("Basic {encoded}").as_bytes());
    }

    #[test]
    fn no_token_is_too_strange(
        header in ".{0,40}",
        payload in ".{0,40}",
        rest in "[a-z._=-]{0,9}",
    ) {
        let [header, payload] = [header, payload].map(|part| STANDARD.encode(part));
        fuzz::fuzz_authorization(format!("bearer {header}.{payload}.{rest}").as_bytes());
    }

    #[test]
    fn no_subject_is_too_strange(text in "([A-Z]{1,2}=|CN=|[\\\\,+;#\"]|[a-f0-9]|.){0,30}") {
        fuzz::fuzz_subject(text.as_bytes());
    }

    #[test]
    fn no_access_rule_is_too_strange(
        text in "([ ,=:\"*/]|read=|write=|user|claim:|cert|any|.){0,20}",
    ) {
        fuzz::fuzz_access(text.as_bytes());
    }
}
