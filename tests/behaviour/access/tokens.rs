//! Tokens (RFC 6750): listed ones, and JSON web tokens (RFC 7519) by every kind of key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"a secret of more than thirty-two bytes";

fn site() -> Site {
    Site::of(&[("private/a", b"alpha"), ("admin/b", b"beta")])
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn sign(algorithm: Algorithm, claims: &Value, key: &EncodingKey) -> String {
    bearer(&encode(&Header::new(algorithm), claims, key).unwrap())
}

fn hs256(claims: &Value) -> String {
    sign(Algorithm::HS256, claims, &EncodingKey::from_secret(SECRET))
}

fn get(client: &mut dyn Speaks, path: &str, authorization: &str) -> Answer {
    client.say("GET", path, &[("Authorization", authorization)])
}

#[test]
fn a_listed_token_names_its_user() {
    let site = site();
    let tokens = tokens(&site, "robot", "read admin");
    let flags = format!(
        "--tokens={tokens}
         --access=/private/** read=user:robot
         --access=/admin/** read=claim:scope=admin"
    );
    let flags = lines(&flags);
    let server = Server::of(ENGINE, &site, &flags);
    for (name, mut wire) in both_ways(&server) {
        for path in ["/private/a", "/admin/b"] {
            assert_eq!(get(&mut *wire, path, &bearer(TOKEN)).status, 200, "{name}");
            let lower = bearer(TOKEN).replace("Bearer", "bearer");
            assert_eq!(get(&mut *wire, path, &lower).status, 200, "{name}");
        }
        let wrong = get(&mut *wire, "/private/a", &bearer("wrong"));
        assert_eq!(wrong.status, 401, "{name}");
        let challenge = wrong.field("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        // Who brings none is not told of an error (RFC 6750 §3.1).
        let none = wire.say("GET", "/private/a", &[]);
        assert_eq!(
            none.field("www-authenticate"),
            Some("Bearer realm=\"downpour\"")
        );
    }
}

#[test]
fn a_signed_token_is_good_for_its_time_and_audience() {
    let site = site();
    let secret = secret(&site, "secret", SECRET);
    let flags = format!(
        "--jwt-secret={secret}
         --jwt-audience=https://api.example
         --jwt-issuer=https://id.example
         --jwt-leeway=5s
         --access=/private/** read=users
         --access=/admin/** read=claim:realm_access.roles=admin"
    );
    let flags = lines(&flags);
    let server = Server::of(ENGINE, &site, &flags);
    let with = |changes: Value| {
        let mut claims = json!({
            "sub": "anna",
            "exp": now() + 600,
            "nbf": now() - 600,
            "aud": ["https://other.example", "https://api.example"],
            "iss": "https://id.example",
            "realm_access": {"roles": ["admin"]},
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                _ => claims[name] = value.clone(),
            }
        }
        hs256(&claims)
    };
    let mut client = server.connect();
    let good = with(json!({}));
    for _ in 0..3 {
        assert_eq!(get(&mut client, "/private/a", &good).status, 200);
        assert_eq!(get(&mut client, "/admin/b", &good).status, 200);
    }
    let other_role = with(json!({"realm_access": {"roles": ["user"]}}));
    assert_eq!(get(&mut client, "/admin/b", &other_role).status, 403);
    for (changes, part) in [
        (json!({"exp": now() - 60}), "has expired"),
        (json!({"exp": null}), "malformed"),
        (json!({"nbf": now() + 60}), "not yet valid"),
        (json!({"aud": "https://other.example"}), "another audience"),
        (json!({"aud": null}), "another audience"),
        (json!({"iss": "https://evil.example"}), "another issuer"),
        (json!({"iss": null}), "another issuer"),
        (json!({"sub": null}), "does not name its user"),
    ] {
        let answer = get(&mut client, "/private/a", &with(changes.clone()));
        assert_eq!(answer.status, 401, "{changes}");
        let challenge = answer.field("www-authenticate").unwrap();
        let is_told = challenge.contains(part) || changes == json!({"exp": null});
        assert!(is_told, "{changes}: {challenge}");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    // Clocks differ a little.
    for changes in [json!({"exp": now() - 2}), json!({"nbf": now() + 3})] {
        assert_eq!(get(&mut client, "/private/a", &with(changes)).status, 200);
    }
}

/// What is remembered of a token ends with it.
#[test]
fn a_token_that_expires_while_it_is_in_use_is_refused() {
    let site = site();
    let secret = secret(&site, "secret", SECRET);
    let flags = format!(
        "--jwt-secret={secret}
         --jwt-leeway=0s
         --access=/private/** read=users"
    );
    let flags = lines(&flags);
    let server = Server::of(ENGINE, &site, &flags);
    let token = hs256(&json!({"sub": "anna", "exp": now() + 1}));
    let mut client = server.connect();
    assert_eq!(get(&mut client, "/private/a", &token).status, 200);
    assert_eq!(get(&mut client, "/private/a", &token).status, 200);
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(get(&mut client, "/private/a", &token).status, 401);
}

#[test]
fn keys_of_every_kind_verify_what_was_signed_by_them_alone() {
    let site = site();
    let keys = [
        (&PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
        (&PKCS_ED25519, Algorithm::EdDSA),
        (&PKCS_RSA_SHA256, Algorithm::RS256),
    ];
    let claims = json!({"sub": "anna", "exp": now() + 600});
    for (number, (kind, algorithm)) in keys.into_iter().enumerate() {
        let pair = KeyPair::generate_for(kind).unwrap();
        let pem = pair.serialize_pem();
        let key = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        };
        let public = pair.public_key_pem();
        let file = secret(&site, "key.pem", &public);
        let flags = ["--jwt-key", &file, "--access", "/private/** read=users"];
        let server = Server::of(ENGINE, &site, &flags);
        let from = |host: u8| connect_from(&format!("127.1.{number}.{host}"), server.address());
        let token = sign(algorithm, &claims, &key.unwrap());
        let mut client = from(1);
        assert_eq!(
            get(&mut client, "/private/a", &token).status,
            200,
            "{algorithm:?}"
        );
        let mut http2 = Http2::connect(server.address());
        assert_eq!(
            get(&mut http2, "/private/a", &token).status,
            200,
            "{algorithm:?}"
        );
        // One letter of the signature is another.
        let (start, end) = token.split_at(token.len() - 10);
        let other = if end.starts_with('A') { "B" } else { "A" };
        let forged = format!("{start}{other}{}", &end[1..]);
        assert_eq!(get(&mut client, "/private/a", &forged).status, 401);
        // The public key is no secret, whatever the token says of its algorithm.
        let confused = EncodingKey::from_secret(public.as_bytes());
        let confused = sign(Algorithm::HS256, &claims, &confused);
        assert_eq!(get(&mut client, "/private/a", &confused).status, 401);
        let none = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIiwiZXhwIjo5OTk5OTk5OTk5fQ.";
        assert_eq!(get(&mut from(2), "/private/a", none).status, 401);
        for malformed in [
            "Bearer a.b.c",
            "Bearer ..",
            "Bearer a.b",
            "Bearer",
            "Bearer \u{e4}",
        ] {
            assert_eq!(
                get(&mut from(3), "/private/a", malformed).status,
                401,
                "{malformed}"
            );
        }
    }
}

#[test]
fn a_set_of_keys_is_read_again_when_it_changes() {
    let site = site();
    let set = |secret: &[u8], id: &str| {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let key = URL_SAFE_NO_PAD.encode(secret);
        json!({"keys": [{"kty": "oct", "alg": "HS256", "kid": id, "k": key}]}).to_string()
    };
    let file = secret(&site, "keys.json", set(SECRET, "one"));
    let flags = ["--jwt-key", &file, "--access", "/private/** read=users"];
    let server = Server::of(ENGINE, &site, &flags);
    let claims = json!({"sub": "anna", "exp": now() + 600});
    let token = |secret: &[u8], id: &str| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(id.to_owned());
        bearer(&encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap())
    };
    let other = b"another secret of thirty-two bytes and more";
    let mut client = server.connect();
    assert_eq!(
        get(&mut client, "/private/a", &token(SECRET, "one")).status,
        200
    );
    secret(&site, "keys.json", set(other, "two"));
    let began = Instant::now();
    let mut number = 0;
    crate::rig::eventually("the other key", || {
        number += 1;
        let mut client = connect_from(&format!("127.2.0.{number}"), server.address());
        get(&mut client, "/private/a", &token(other, "two")).status == 200
    });
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(
        get(&mut client, "/private/a", &token(SECRET, "one")).status,
        401
    );
}
