//! Files that are right, and what is said of those that are not.

use std::path::PathBuf;

use rcgen::date_time_ymd;

use super::maker::*;
use crate::tls::peer::NOW;
use crate::tls::{PairFiles, Sources, load};

fn of(certificate: PathBuf, key: PathBuf) -> Sources {
    Sources {
        pairs: vec![PairFiles { certificate, key }],
        ..Sources::default()
    }
}

fn error(sources: &Sources) -> String {
    load(sources, NOW).unwrap_err().to_string()
}

#[test]
fn keys_are_read_in_every_form() {
    let maker = Maker::new();
    for (kind, inside) in [
        (KeyKind::Ecdsa, "EC PRIVATE KEY"),
        (KeyKind::Rsa, "RSA PRIVATE KEY"),
    ] {
        let key = kind.key();
        let certificate = maker.issue(&Maker::wanted(&["a.example"]), &key);
        let chain = pem("CERTIFICATE", &certificate);
        let path = maker.write("a.pem", chain.as_bytes(), 0o644);
        let whole = key.serialize_der();
        let forms = [
            pem("PRIVATE KEY", &whole),
            pem(inside, &inside_pkcs8(&whole)),
            format!("some words\n{}", pem("PRIVATE KEY", &whole)),
        ];
        for form in forms {
            let key = maker.write("a.key", form.as_bytes(), 0o640);
            let loaded = load(&of(path.clone(), key), NOW).unwrap();
            assert!(loaded.warnings.is_empty());
            assert!(loaded.summary().starts_with("a.example until 2040-01-01"));
        }
        let both = chain + &pem("PRIVATE KEY", &whole);
        let both = maker.write("both.pem", both.as_bytes(), 0o600);
        load(&of(both.clone(), both), NOW).unwrap();
    }
}

fn assert_says(sources: &Sources, parts: [&str; 2]) {
    let said = error(sources);
    for part in parts {
        assert!(said.contains(part), "{said}");
    }
    assert!(
        !said.contains("BEGIN PRIVATE KEY-----\n"),
        "no secret: {said}"
    );
}

#[test]
fn what_is_wrong_with_a_key_is_said_with_a_remedy() {
    let maker = Maker::new();
    let good = maker.pair("good", &["a.example"], KeyKind::Ecdsa);
    let other = maker.pair("other", &["a.example"], KeyKind::Ecdsa).key;
    let key = std::fs::read_to_string(&good.key).unwrap();
    let write = |name: &str, text: &str| maker.write(name, text.as_bytes(), 0o600);
    let locked = pem("ENCRYPTED PRIVATE KEY", b"x");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
    let odd = pem("PRIVATE KEY", b"nonsense");
    let open = maker.write("open", key.as_bytes(), 0o604);
    for (key, parts) in [
        (other, ["does not belong to", "in the same order"]),
        (
            maker.path("none"),
            ["none does not exist", "check the path"],
        ),
        (write("empty", ""), ["no private key", "BEGIN PRIVATE KEY"]),
        (
            write("cut", &key[..key.len() / 2]),
            ["not valid PEM", "anew"],
        ),
        (open, ["anybody", "chmod o-rw"]),
        (write("locked", &locked), ["passphrase", "openssl pkey -in"]),
        (write("old", old), ["passphrase", "openssl pkey -in"]),
        (write("odd", &odd), ["cannot be used", "ECDSA"]),
    ] {
        assert_says(&of(good.certificate.clone(), key), parts);
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_with_a_remedy() {
    let maker = Maker::new();
    let good = maker.pair("good", &["a.example"], KeyKind::Ecdsa);
    let write = |name: &str, text: &str| maker.write(name, text.as_bytes(), 0o644);
    let odd = pem("CERTIFICATE", b"nonsense");
    for (certificate, parts) in [
        (
            maker.path("none"),
            ["none does not exist", "check the path"],
        ),
        (maker.path(""), ["is not a file", "the file itself"]),
        (write("empty", ""), ["no certificate", "BEGIN CERTIFICATE"]),
        (write("odd", &odd), ["not valid X.509", "anew"]),
        (write("cut", &odd[..40]), ["not valid PEM", "anew"]),
        (
            write("key", &odd.replace("CERT", "DESERT")),
            ["no certificate", "BEGIN"],
        ),
    ] {
        assert_says(&of(certificate, good.key.clone()), parts);
    }
    let large = maker.write("large", &vec![b'x'; 5 << 20], 0o644);
    assert_says(&of(large, good.key), ["too large", "the right file"]);
}

#[test]
fn a_certificate_must_be_in_force() {
    let maker = Maker::new();
    let key = KeyKind::Ecdsa.key();
    let mut params = Maker::wanted(&["a.example"]);
    params.not_after = date_time_ymd(2021, 6, 1);
    let expired = pem("CERTIFICATE", &maker.issue(&params, &key));
    let expired = maker.write("a.pem", expired.as_bytes(), 0o644);
    let key_text = pem("PRIVATE KEY", &key.serialize_der());
    let key_path = maker.write("a.key", key_text.as_bytes(), 0o600);
    let said = error(&of(expired, key_path.clone()));
    assert!(said.contains("expired at 2021-06-01"), "{said}");
    assert!(said.contains("renewed"), "{said}");
    params.not_before = date_time_ymd(2039, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    let early = pem("CERTIFICATE", &maker.issue(&params, &key));
    let early = maker.write("b.pem", early.as_bytes(), 0o644);
    let loaded = load(&of(early, key_path), NOW).unwrap();
    assert!(loaded.warnings[0].contains("not valid before 2039-01-01"));
}

#[test]
fn a_certificate_without_names_is_told_when_nobody_can_get_it() {
    let maker = Maker::new();
    let nameless = maker.pair("nameless", &[], KeyKind::Ecdsa);
    let named = maker.pair("named", &["a.example"], KeyKind::Ecdsa);
    let load = |pairs: &[&PairFiles]| {
        let sources = Sources {
            pairs: pairs.iter().map(|pair| (*pair).clone()).collect(),
            ..Sources::default()
        };
        load(&sources, NOW).unwrap()
    };
    assert!(
        load(&[&nameless, &named]).warnings.is_empty(),
        "the default"
    );
    let warned = load(&[&named, &nameless]).warnings;
    assert!(
        warned[0].contains("nameless.pem names no host"),
        "{warned:?}"
    );
}

#[test]
fn every_file_is_watched() {
    let sources = Sources {
        pairs: vec![PairFiles {
            certificate: "a".into(),
            key: "b".into(),
        }],
        client_authorities: Some("c".into()),
        ticket_keys: vec!["d".into(), "e".into()],
    };
    let paths: Vec<_> = sources
        .paths()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(paths, ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_file_of_authorities_must_hold_some() {
    let maker = Maker::new();
    let sources = Sources {
        client_authorities: Some(maker.write("ca.pem", b"", 0o644)),
        ..Sources::default()
    };
    assert!(error(&sources).contains("holds no certificate"));
    let odd = pem("CERTIFICATE", b"nonsense");
    let sources = Sources {
        client_authorities: Some(maker.write("ca.pem", odd.as_bytes(), 0o644)),
        ..Sources::default()
    };
    assert!(error(&sources).contains("cannot be an authority"));
}
