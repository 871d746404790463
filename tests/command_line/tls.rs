//! TLS on the command line: what is refused, what is said, and what happens when files change.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::process::*;

fn write(path: PathBuf, text: &str, mode: u32) -> PathBuf {
    // Moved into its place whole, as tools do that renew certificates.
    let fresh = path.with_extension("fresh");
    std::fs::write(&fresh, text).unwrap();
    std::fs::set_permissions(&fresh, PermissionsExt::from_mode(mode)).unwrap();
    std::fs::rename(fresh, &path).unwrap();
    path
}

/// A certificate until that year, and its key.
fn pair(folder: &Path, name: &str, last_year: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut wanted = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    wanted.not_after = date_time_ymd(last_year, 1, 1);
    let made = wanted.self_signed(&key).unwrap();
    let certificate = write(folder.join(format!("{name}.pem")), &made.pem(), 0o644);
    let key = write(
        folder.join(format!("{name}.key")),
        &key.serialize_pem(),
        0o600,
    );
    let shown = |path: PathBuf| path.to_str().unwrap().to_owned();
    (shown(certificate), shown(key))
}

/// An answer over TLS to who trusts exactly this certificate; `None` when another one is shown.
fn get(server: &Server, certificate: &str) -> Option<String> {
    let address = server.start_line.split("https://").nth(1).unwrap();
    let address = address.split(' ').next().unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(address).unwrap());
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    if asked.is_err() {
        return None;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap(); // An error without close_notify.
    Some(answer)
}

fn serve(words: &[&str]) -> Command {
    let mut command = downpour();
    let place = ["serve", "--workers", "1", "--tls-listen", "127.0.0.1:0"];
    command.args(place).args(words);
    command
}

#[test]
fn a_listener_without_a_certificate_is_told_how_to_get_one() {
    let sentence = complaint(&mut serve(&[]), 2);
    assert!(
        sentence.contains("--tls-cert FILE --tls-key FILE"),
        "{sentence}"
    );
    assert!(sentence.contains("--self-signed"), "{sentence}");
}

#[test]
fn keys_that_cannot_serve_are_refused_with_a_remedy() {
    let scratch = tempfile::tempdir().unwrap();
    let (certificate, key) = pair(scratch.path(), "a", 2090);
    let (expired, its_key) = pair(scratch.path(), "expired", 2020);
    let (_, other_key) = pair(scratch.path(), "b", 2090);
    let open = scratch.path().join("open.key");
    std::fs::copy(&key, &open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o644)).unwrap();
    let open = open.to_str().unwrap();
    for (certificate, key, parts) in [
        (
            &*certificate,
            &*other_key,
            ["does not belong", "same order"],
        ),
        (&expired, &its_key, ["expired at 2020-01-01", "renewed"]),
        (&certificate, open, ["anybody", "chmod o-rw"]),
        (
            &certificate,
            "/nowhere.key",
            ["/nowhere.key does not exist", "check the path"],
        ),
    ] {
        let words = ["--tls-cert", certificate, "--tls-key", key];
        let sentence = complaint(&mut serve(&words), 1);
        for part in parts {
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}

#[test]
fn a_self_signed_certificate_is_announced_and_no_plain_port_opened() {
    let mut server = Server::start(&mut serve(&["--self-signed"]));
    assert!(
        server.start_line.contains("https://127.0.0.1:"),
        "{}",
        server.start_line
    );
    assert!(server.addresses().is_empty(), "{}", server.start_line);
    let line = server.line();
    assert!(
        line.contains("self-signed certificate for localhost"),
        "{line}"
    );
    assert!(line.contains("SHA-256 "), "{line}");
    assert_eq!(server.terminate(), 0);
}

#[test]
fn a_redirect_leads_to_the_port_that_the_kernel_chose() {
    let words = [
        "--self-signed",
        "--listen",
        "127.0.0.1:0",
        "--https-redirect",
    ];
    let server = Server::start(&mut serve(&words));
    let port = server
        .start_line
        .split("https://127.0.0.1:")
        .nth(1)
        .unwrap();
    let port = port.split(' ').next().unwrap();
    let mut plain = TcpStream::connect(&server.addresses()[0]).unwrap();
    let request = b"GET /a?b HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    plain.write_all(request).unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    let location = format!("Location: https://a.example:{port}/a?b\r\n");
    assert!(answer.contains(&location), "{answer}");
    assert!(
        !answer.contains("Strict-Transport-Security"),
        "not over plain HTTP"
    );
}

#[test]
fn certificates_are_loaded_again_when_they_change_or_when_asked() {
    let scratch = tempfile::tempdir().unwrap();
    let (certificate, key) = pair(scratch.path(), "a", 2090);
    let words = [
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "--hsts",
        "1h",
    ];
    let mut server = Server::start(&mut serve(&words));
    let old = scratch.path().join("old.pem").to_str().unwrap().to_owned();
    std::fs::copy(&certificate, &old).unwrap();
    let answer = get(&server, &old).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nStrict-Transport-Security: max-age=3600\r\n"));
    pair(scratch.path(), "a", 2091);
    let line = server.line();
    assert!(
        line.contains("loaded again: localhost until 2091-01-01"),
        "{line}"
    );
    assert!(get(&server, &certificate).is_some());
    assert!(get(&server, &old).is_none(), "another certificate is shown");
    server.signal(Signal::HUP);
    let line = server.line();
    assert!(
        line.contains("loaded again: localhost until 2091"),
        "{line}"
    );
    write(key.into(), "nonsense", 0o600);
    let line = server.line();
    assert!(line.contains("the old ones stay"), "{line}");
    assert!(line.contains("holds no private key"), "{line}");
    assert!(get(&server, &certificate).is_some());
    pair(scratch.path(), "a", 2092);
    let line = server.line();
    assert!(line.contains("until 2092"), "a fault is told once: {line}");
    assert_eq!(server.terminate(), 0);
}
