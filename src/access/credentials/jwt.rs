//! JSON Web Tokens (RFC 7519), as RFC 8725 says that they are to be checked.
//!
//! `jsonwebtoken` has the signatures; the claims are checked here, against the clock of the worker.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto::verify;
use serde_json::{Map, Value};

use super::identity::Identity;
use super::jwt_keys::Keys;
use super::settings::{AuthSettings, check_name_claim, check_user_name, check_value};
use super::wrong::{Scheme, Wrong};

const MALFORMED: Wrong = Wrong::Malformed(Scheme::Bearer);
const NOT_SIGNED: Wrong = Wrong::BadCredential(Scheme::Bearer);

/// Who may sign tokens, and what these must say.
pub(super) struct Jwt {
    keys: Keys,
    audiences: Vec<String>,
    issuers: Vec<String>,
    leeway: Duration,
    name_claim: String,
    requires_expiry: bool,
}

impl Jwt {
    /// `None` when there is no key.
    pub(super) fn new(settings: &AuthSettings) -> Result<Option<Jwt>, String> {
        let keys = Keys::parse(&settings.jwt_keys, &settings.jwt_secrets)?;
        for text in settings.audiences.iter().chain(&settings.issuers) {
            check_value(text).map_err(|why| format!("{text:?} is not taken; {why}"))?;
        }
        let jwt = Jwt {
            keys,
            audiences: settings.audiences.clone(),
            issuers: settings.issuers.clone(),
            leeway: settings.leeway,
            name_claim: check_name_claim(&settings.name_claim)?,
            requires_expiry: settings.requires_expiry,
        };
        Ok((!jwt.keys.is_empty()).then_some(jwt))
    }

    /// Whose token it is, and the second from which on it is not good any more.
    pub(super) fn check(&self, token: &str, unix_seconds: u64) -> Result<(Identity, u64), Wrong> {
        let (message, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, payload) = message.split_once('.').ok_or(MALFORMED)?;
        let header = object(header).ok_or(MALFORMED)?;
        // RFC 7515 §4.1.11: whoever does not understand an extension refuses the token.
        if header.contains_key("crit") {
            return Err(MALFORMED);
        }
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        let algorithm = text("alg").ok_or(MALFORMED)?;
        // `none` is no algorithm.
        let algorithm: Algorithm = algorithm.parse().map_err(|_| NOT_SIGNED)?;
        let mut candidates = self.keys.candidates(algorithm, text("kid"));
        let is_signed = candidates.any(|key| {
            let verified = verify(signature, message.as_bytes(), &key.material, algorithm);
            matches!(verified, Ok(true))
        });
        if !is_signed {
            return Err(NOT_SIGNED);
        }
        let claims = object(payload).ok_or(MALFORMED)?;
        let ends = self.check_claims(&claims, unix_seconds)?;
        let name = match claims.get(&self.name_claim) {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return Err(Wrong::Nameless),
        };
        check_user_name(&name).map_err(|_| Wrong::Nameless)?;
        Ok((Identity::with_claims(&name, claims), ends))
    }

    /// RFC 7519 §4.1.
    fn check_claims(&self, claims: &Map<String, Value>, unix_seconds: u64) -> Result<u64, Wrong> {
        let (now, leeway) = (unix_seconds as f64, self.leeway.as_secs_f64());
        let ends = match claims.get("exp") {
            Some(exp) => exp.as_f64().ok_or(MALFORMED)? + leeway,
            None if self.requires_expiry => return Err(MALFORMED),
            None => f64::INFINITY,
        };
        if now >= ends {
            return Err(Wrong::Expired);
        }
        let begins = match claims.get("nbf") {
            Some(nbf) => nbf.as_f64().ok_or(MALFORMED)? - leeway,
            None => 0.0,
        };
        if now < begins {
            return Err(Wrong::NotYetValid);
        }
        let issuer = claims.get("iss").and_then(Value::as_str);
        let is_trusted = |issuer: &str| self.issuers.iter().any(|trusted| trusted == issuer);
        if !self.issuers.is_empty() && !issuer.is_some_and(is_trusted) {
            return Err(Wrong::WrongIssuer);
        }
        self.check_audience(claims.get("aud"))?;
        Ok(ends.floor() as u64) // Past the largest number it is that one.
    }

    /// "If the principal processing the claim does not identify itself with a value in the aud
    /// claim when this claim is present, then the JWT MUST be rejected."
    fn check_audience(&self, audience: Option<&Value>) -> Result<(), Wrong> {
        let is_ours = |one: &Value| self.audiences.iter().any(|ours| one == ours);
        let fits = match audience {
            None => self.audiences.is_empty(),
            Some(Value::Array(all)) => all.iter().any(is_ours),
            Some(one) => is_ours(one),
        };
        fits.then_some(()).ok_or(Wrong::WrongAudience)
    }
}

/// A part of a token that is a JSON object in base64url.
fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::settings::AuthFile;
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use rcgen::{
        KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData,
    };
    use rcgen::{PKCS_RSA_SHA256, SignatureAlgorithm};
    use serde_json::json;

    pub(crate) const NOW: u64 = 1_800_000_000;
    const SECRET: [u8; 64] = [b's'; 64];

    fn claims() -> Value {
        json!({"sub": "alice", "exp": NOW + 100})
    }

    fn header(algorithm: Algorithm, id: Option<&str>) -> Header {
        Header {
            kid: id.map(str::to_owned),
            ..Header::new(algorithm)
        }
    }

    /// A token as `claims` say, signed by the secret of these tests.
    pub(crate) fn token(claims: &Value) -> String {
        let header = header(Algorithm::HS256, None);
        encode(&header, claims, &EncodingKey::from_secret(&SECRET)).unwrap()
    }

    pub(crate) fn secret() -> AuthSettings {
        AuthSettings {
            jwt_secrets: vec![AuthFile::new("secret", SECRET)],
            ..AuthSettings::default()
        }
    }

    fn of_file(contents: impl Into<Vec<u8>>) -> AuthSettings {
        AuthSettings {
            jwt_keys: vec![AuthFile::new("keys", contents)],
            ..AuthSettings::default()
        }
    }

    fn jwt(settings: &AuthSettings) -> Jwt {
        Jwt::new(settings).unwrap().expect("there is a key")
    }

    fn fault(settings: &AuthSettings) -> String {
        Jwt::new(settings).err().unwrap_or_default()
    }

    fn check(settings: &AuthSettings, claims: &Value) -> Result<String, Wrong> {
        let found = jwt(settings).check(&token(claims), NOW);
        found.map(|(identity, _)| identity.name().to_owned())
    }

    fn pair(kind: &'static SignatureAlgorithm) -> (KeyPair, EncodingKey) {
        let pair = KeyPair::generate_for(kind).unwrap();
        let pem = pair.serialize_pem();
        let key = EncodingKey::from_ec_pem(pem.as_bytes())
            .or_else(|_| EncodingKey::from_ed_pem(pem.as_bytes()))
            .or_else(|_| EncodingKey::from_rsa_pem(pem.as_bytes()));
        (pair, key.unwrap())
    }

    #[test]
    fn each_algorithm_is_verified_by_the_keys_that_it_is_for() {
        use Algorithm::*;
        let pairs = [
            (
                pair(&PKCS_RSA_SHA256),
                &[RS256, RS384, RS512, PS256, PS384, PS512][..],
            ),
            (pair(&PKCS_ECDSA_P256_SHA256), &[ES256]),
            (pair(&PKCS_ECDSA_P384_SHA384), &[ES384]),
            (pair(&PKCS_ED25519), &[EdDSA]),
        ];
        let pem: String = pairs
            .iter()
            .map(|((pair, _), _)| pair.public_key_pem())
            .collect();
        let all = jwt(&of_file(format!("remark\n{pem}")));
        for ((pair, key), algorithms) in &pairs {
            let alone = jwt(&of_file(pair.public_key_pem()));
            for algorithm in *algorithms {
                let token = encode(&header(*algorithm, None), &claims(), key).unwrap();
                for jwt in [&alone, &all] {
                    let (identity, ends) = jwt.check(&token, NOW).unwrap();
                    assert_eq!(
                        (identity.name(), ends),
                        ("alice", NOW + 160),
                        "{algorithm:?}"
                    );
                    assert_eq!(identity.claim("sub"), Some(&json!("alice")));
                }
            }
        }
        let token = encode(&header(ES256, None), &claims(), &pairs[1].0.1).unwrap();
        let other = jwt(&of_file(pair(&PKCS_ECDSA_P256_SHA256).0.public_key_pem()));
        assert_eq!(other.check(&token, NOW), Err(NOT_SIGNED), "another key");
        let shared = jwt(&secret());
        for algorithm in [HS256, HS384, HS512] {
            let key = EncodingKey::from_secret(&SECRET);
            let token = encode(&header(algorithm, None), &claims(), &key).unwrap();
            assert!(shared.check(&token, NOW).is_ok(), "{algorithm:?}");
        }
    }

    /// The vector of RFC 7515 §A.1.
    #[test]
    fn the_example_of_rfc_7515_is_verified() {
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjA\
                      zZr1Z9CAow";
        let set = json!({"kty": "oct", "k": secret}).to_string();
        let settings = AuthSettings {
            issuers: vec!["joe".to_owned()],
            name_claim: "iss".to_owned(),
            ..of_file(set)
        };
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                     eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9\
                     pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let (identity, _) = jwt(&settings).check(token, 1_300_819_380).unwrap();
        assert_eq!(
            identity.claim("http://example.com/is_root"),
            Some(&json!(true))
        );
        let late = jwt(&settings).check(token, 1_300_819_440);
        assert_eq!(late, Err(Wrong::Expired));
    }

    #[test]
    fn a_token_does_not_choose_how_it_is_verified() {
        let (rsa, _) = pair(&PKCS_RSA_SHA256);
        let pem = rsa.public_key_pem();
        let jwt = jwt(&of_file(pem.clone()));
        // What everybody may read is no secret.
        for secret in [pem.as_bytes(), pem.trim().as_bytes(), rsa.der_bytes()] {
            let key = EncodingKey::from_secret(secret);
            let token = encode(&header(Algorithm::HS256, None), &claims(), &key).unwrap();
            assert_eq!(jwt.check(&token, NOW), Err(NOT_SIGNED));
        }
        let none = |header: &str, signature: &str| {
            let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
            format!(
                "{}.{}.{signature}",
                part(header),
                part(&claims().to_string())
            )
        };
        for algorithm in ["none", "None", "NONE", "", "HS1", "ES512"] {
            let token = none(&format!("{{\"alg\":\"{algorithm}\"}}"), "");
            assert_eq!(jwt.check(&token, NOW), Err(NOT_SIGNED), "{algorithm}");
        }
        for broken in [
            "{}",
            "{\"alg\":1}",
            "[]",
            "1",
            "{\"alg\":\"HS256\",\"crit\":[\"b64\"]}",
        ] {
            assert_eq!(
                jwt.check(&none(broken, "aaaa"), NOW),
                Err(MALFORMED),
                "{broken}"
            );
        }
        for broken in ["", ".", "..", "a.b", "a.b.c.d", "!.!.!", "e30.e30.e30"] {
            assert_eq!(jwt.check(broken, NOW), Err(MALFORMED), "{broken}");
        }
    }

    #[test]
    fn a_token_that_was_changed_is_not_signed() {
        let jwt = jwt(&secret());
        let token = token(&claims());
        assert!(jwt.check(&token, NOW).is_ok());
        let mut changed: Vec<String> = (0..token.len())
            .map(|at| {
                let mut bytes = token.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                String::from_utf8(bytes).unwrap()
            })
            .collect();
        changed.push(token[..token.len() - 1].to_owned());
        changed.push(format!("{token}A"));
        changed.push(format!("{token}="));
        changed.push(format!("{token}."));
        for token in changed {
            let wrong = jwt.check(&token, NOW).unwrap_err();
            assert!(
                matches!(wrong, NOT_SIGNED | MALFORMED),
                "{token}: {wrong:?}"
            );
        }
    }

    #[test]
    fn times_are_held_against_the_clock_with_its_leeway() {
        let settings = AuthSettings {
            leeway: Duration::from_secs(30),
            ..secret()
        };
        let with = |exp: Value, nbf: Value| json!({"sub": "a", "exp": exp, "nbf": nbf});
        for (claims, expected) in [
            (json!({"sub": "a", "exp": NOW - 29}), Ok(())),
            (json!({"sub": "a", "exp": NOW - 30}), Err(Wrong::Expired)),
            (json!({"sub": "a", "exp": NOW as f64 + 0.5}), Ok(())),
            (json!({"sub": "a", "exp": -1}), Err(Wrong::Expired)),
            (json!({"sub": "a", "exp": 1e300}), Ok(())),
            (json!({"sub": "a", "exp": "1"}), Err(MALFORMED)),
            (json!({"sub": "a", "exp": null}), Err(MALFORMED)),
            (json!({"sub": "a"}), Err(MALFORMED)),
            (with(json!(NOW + 9), json!(NOW + 30)), Ok(())),
            (
                with(json!(NOW + 9), json!(NOW + 31)),
                Err(Wrong::NotYetValid),
            ),
            (with(json!(NOW + 9), json!("x")), Err(MALFORMED)),
        ] {
            assert_eq!(check(&settings, &claims).map(|_| ()), expected, "{claims}");
        }
        let settings = AuthSettings {
            requires_expiry: false,
            ..settings
        };
        assert!(check(&settings, &json!({"sub": "a"})).is_ok());
        assert_eq!(
            check(&settings, &json!({"sub": "a", "exp": 1})),
            Err(Wrong::Expired)
        );
    }

    #[test]
    fn a_token_is_for_us_and_by_whom_we_trust() {
        let any = secret();
        let some = AuthSettings {
            audiences: vec!["us".to_owned(), "our-api".to_owned()],
            issuers: vec!["https://a.example".to_owned()],
            ..secret()
        };
        let with =
            |aud: Value, iss: Value| json!({"sub": "a", "exp": NOW + 1, "aud": aud, "iss": iss});
        let ours = json!("https://a.example");
        for (settings, claims, expected) in [
            (&any, claims(), Ok(())),
            (
                &any,
                with(json!("us"), json!("x")),
                Err(Wrong::WrongAudience),
            ),
            (&some, claims(), Err(Wrong::WrongIssuer)),
            (&some, with(json!("us"), ours.clone()), Ok(())),
            (&some, with(json!(["x", "our-api"]), ours.clone()), Ok(())),
            (
                &some,
                with(json!(["x"]), ours.clone()),
                Err(Wrong::WrongAudience),
            ),
            (
                &some,
                with(json!([]), ours.clone()),
                Err(Wrong::WrongAudience),
            ),
            (
                &some,
                with(json!(7), ours.clone()),
                Err(Wrong::WrongAudience),
            ),
            (
                &some,
                with(json!("US"), ours.clone()),
                Err(Wrong::WrongAudience),
            ),
            (
                &some,
                with(json!("us"), json!("https://a.example/")),
                Err(Wrong::WrongIssuer),
            ),
            (
                &some,
                with(json!("us"), json!(["https://a.example"])),
                Err(Wrong::WrongIssuer),
            ),
        ] {
            assert_eq!(check(settings, &claims).map(|_| ()), expected, "{claims}");
        }
    }

    #[test]
    fn the_claim_with_the_name_is_a_setting() {
        let by_mail = AuthSettings {
            name_claim: "email".to_owned(),
            ..secret()
        };
        let claims = json!({"sub": 7, "email": "a@b.example", "exp": NOW + 1});
        assert_eq!(check(&by_mail, &claims).as_deref(), Ok("a@b.example"));
        assert_eq!(check(&secret(), &claims).as_deref(), Ok("7"));
        for sub in [
            json!(""),
            json!("a\nb"),
            json!(null),
            json!(["a"]),
            json!("a".repeat(257)),
        ] {
            let claims = json!({"sub": sub, "exp": NOW + 1});
            assert_eq!(check(&secret(), &claims), Err(Wrong::Nameless), "{claims}");
        }
    }

    fn jwk(pair: &KeyPair, kind: &str, id: &str) -> Value {
        let raw = pair.der_bytes();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match kind {
            "EC" => json!({"kty": "EC", "crv": "P-256", "kid": id,
                "x": encode(&raw[1..33]), "y": encode(&raw[33..])}),
            _ => json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": encode(raw),
                "alg": "EdDSA", "use": "sig"}),
        }
    }

    #[test]
    fn the_kid_of_a_token_chooses_among_the_keys_of_a_set() {
        let (first, first_key) = pair(&PKCS_ECDSA_P256_SHA256);
        let (second, second_key) = pair(&PKCS_ECDSA_P256_SHA256);
        let (third, third_key) = pair(&PKCS_ED25519);
        let set = json!({"keys": [
            {"kty": "RSA", "use": "enc", "n": "AQ", "e": "AQAB"},
            {"kty": "EC", "crv": "P-521", "x": "", "y": ""},
            {"kty": "new"},
            jwk(&first, "EC", "1"), jwk(&second, "EC", "2"), jwk(&third, "OKP", "3"),
        ]});
        let jwt = jwt(&of_file(set.to_string()));
        for (algorithm, key, id, is_signed) in [
            (Algorithm::ES256, &first_key, Some("1"), true),
            (Algorithm::ES256, &second_key, Some("2"), true),
            (Algorithm::EdDSA, &third_key, Some("3"), true),
            (Algorithm::ES256, &second_key, None, true),
            (Algorithm::ES256, &first_key, Some("2"), false),
            (Algorithm::ES256, &first_key, Some("3"), false),
            (Algorithm::ES256, &first_key, Some("4"), false),
        ] {
            let token = encode(&header(algorithm, id), &claims(), key).unwrap();
            assert_eq!(
                jwt.check(&token, NOW).is_ok(),
                is_signed,
                "{algorithm:?} {id:?}"
            );
        }
    }

    #[test]
    fn a_key_of_a_set_is_for_the_algorithm_that_it_names() {
        let k = URL_SAFE_NO_PAD.encode(SECRET);
        let set = json!({"keys": [{"kty": "oct", "k": k, "alg": "HS512"}]});
        let jwt = jwt(&of_file(set.to_string()));
        let key = EncodingKey::from_secret(&SECRET);
        for (algorithm, is_signed) in [(Algorithm::HS512, true), (Algorithm::HS256, false)] {
            let token = encode(&header(algorithm, None), &claims(), &key).unwrap();
            assert_eq!(jwt.check(&token, NOW).is_ok(), is_signed);
        }
    }

    #[test]
    fn a_secret_that_is_text_ends_before_its_line_does() {
        let text = "0123456789abcdef0123456789abcdef";
        let settings = AuthSettings {
            jwt_secrets: vec![AuthFile::new("secret", format!("{text}\n"))],
            ..AuthSettings::default()
        };
        let key = EncodingKey::from_secret(text.as_bytes());
        let token = encode(&header(Algorithm::HS256, None), &claims(), &key).unwrap();
        assert!(jwt(&settings).check(&token, NOW).is_ok());
        let token = encode(&header(Algorithm::HS512, None), &claims(), &key).unwrap();
        assert_eq!(
            jwt(&settings).check(&token, NOW),
            Err(NOT_SIGNED),
            "too short for it"
        );
    }

    #[test]
    fn faults_of_key_files_say_where_and_what_to_do() {
        let (ec, _) = pair(&PKCS_ECDSA_P256_SHA256);
        let pem = ec.public_key_pem();
        let private = ec.serialize_pem();
        let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        let small = json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]});
        let short = json!({"keys": [{"kty": "oct", "k": "AQAB"}]});
        let off_curve = json!({"kty": "EC", "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode([1; 32]), "y": URL_SAFE_NO_PAD.encode([1; 32])});
        for (contents, parts) in [
            (String::new(), ["keys holds no key", "PUBLIC KEY"]),
            ("nonsense".to_owned(), ["keys holds no key", "JWK"]),
            (format!("{pem}{private}"), ["keys, line 5: ", "private"]),
            (certificate.to_owned(), ["keys, line 1: ", "x509 -pubkey"]),
            (pem.replace("-----END", "END"), ["keys, line 1: ", "no end"]),
            (
                pem.replace("MFkw", "MFkx"),
                ["keys, line 1: ", "no public key"],
            ),
            ("{\n\"keys\": [".to_owned(), ["keys, line 2: ", "no JSON"]),
            ("{}".to_owned(), ["keys is no JWK set", "keys"]),
            ("{\"keys\": []}".to_owned(), ["keys holds no key", "P-256"]),
            (small.to_string(), ["keys, key 1: ", "2048"]),
            (short.to_string(), ["keys, key 1: ", "32 bytes"]),
            (off_curve.to_string(), ["keys, key 1: ", "damaged"]),
            (
                "{\"kty\":\"RSA\"}".to_owned(),
                ["keys, key 1: ", "lacks \"n\""],
            ),
            (pem.repeat(9), ["9 keys", "kid"]),
            (pem.repeat(65), ["more than 64", "keys"]),
        ] {
            let fault = fault(&of_file(contents.clone()));
            for part in parts {
                assert!(fault.contains(part), "{contents} gave {fault:?}");
            }
        }
        for (contents, part) in [
            (&b"short\n"[..], "5 bytes"),
            (pem.as_bytes(), "no shared secret"),
            (
                b"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMko\"}",
                "no shared secret",
            ),
        ] {
            let settings = AuthSettings {
                jwt_secrets: vec![AuthFile::new("secret", contents)],
                ..AuthSettings::default()
            };
            let fault = fault(&settings);
            assert!(fault.contains(part), "{fault}");
        }
        let nameless = AuthSettings {
            name_claim: String::new(),
            ..secret()
        };
        assert!(fault(&nameless).contains("name of a claim"));
    }
}
