//! Fuzz bodies for credentials and permissions: each takes any bytes and checks what must hold for
//! all of them.
//!
//! A cargo-fuzz target is one call of one of these; `tests/fuzz_bodies.rs` runs them as tests.

use std::sync::{Arc, OnceLock};

use super::{AuthFile, AuthSettings, Authenticator, Credential, CredentialMemo, Identity, Source};
use crate::access::permission::{AccessRule, Permitted};
use crate::base::{Millis, Now};

const NOW: Now = Now {
    monotonic: Millis(1000),
    unix_seconds: 1_800_000_000,
};

fn authenticator() -> &'static Arc<Authenticator> {
    static ONE: OnceLock<Arc<Authenticator>> = OnceLock::new();
    ONE.get_or_init(|| {
        let user = "alice:$2y$04$V1qXTjd7VLn0AIm3YEQAYOvA5vNZm8gXCRYwPQF1o05NnFA0HFrX2";
        let token = "robot:sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let settings = AuthSettings {
            users: vec![AuthFile::new("users", user)],
            tokens: vec![AuthFile::new("tokens", token)],
            jwt_secrets: vec![AuthFile::new("secret", [b's'; 64])],
            ..AuthSettings::default()
        };
        Arc::new(Authenticator::new(&settings).expect("the settings are right"))
    })
}

/// Whatever a field says, with the memory of a worker and without it the answer is the same, and
/// nobody is known by it but the holder of the token "test" or of something that was signed.
pub fn fuzz_authorization(input: &[u8]) {
    let authenticator = authenticator();
    let first = authenticator.check(Some(input), None, NOW);
    let mut memo = CredentialMemo::new();
    for _ in 0..2 {
        let again = memo.check(authenticator, Some(input), None, NOW);
        match (&first, again) {
            (Credential::Known(one), Credential::Known(other)) => {
                assert_eq!(*one.name, *other.name);
                assert!(&*one.name == "robot" || one.claim("exp").is_some());
            }
            (Credential::Wrong(_), Credential::Wrong(wrong)) => {
                assert!(!authenticator.challenge(Some(wrong)).is_empty());
            }
            (Credential::Costly(_), Credential::Costly(_)) => {}
            (first, again) => panic!("{first:?} and then {again:?}"),
        }
    }
}

/// Any bytes as the subject of a certificate: a holder has a name that can be written to a log.
pub fn fuzz_subject(input: &[u8]) {
    let subject = String::from_utf8_lossy(input);
    if let Some(identity) = Identity::of_certificate(&subject) {
        let name = identity.name();
        assert!(!name.is_empty() && !name.chars().any(char::is_control));
    }
}

/// A rule, which means the same when it is read again, and lets nobody in who has no name.
pub fn fuzz_access(input: &[u8]) {
    let Ok(rule) = AccessRule::parse(&String::from_utf8_lossy(input)) else {
        return;
    };
    assert_eq!(AccessRule::parse(&rule.to_string()).as_ref(), Ok(&rule));
    let known = Identity::new("alice", Source::Password);
    for who in rule.read.iter().chain(&rule.write) {
        let is_open = who.allows(None) == Permitted::Yes;
        assert_eq!(is_open, who.is_anyone());
        who.allows(Some(&known));
    }
}
