//! Clients of other people: curl, nghttp, h2load and openssl. They make other mistakes than ours.
//!
//! `scripts/test` installs them. A missing one is a failure: what it would have found is not known.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::client::Client;
use crate::rig::{Engine, Server, Site, pattern};
use crate::tls_client::Keys;

const SMALL: usize = 10_000;
const LARGE: usize = 3_000_000;

fn site() -> Site {
    let site = Site::of(&[("a", b"alpha"), ("empty", b"")]);
    site.write("small", pattern(SMALL, 1));
    site.write("large", pattern(LARGE, 2));
    site
}

fn bodies() -> [(&'static str, Vec<u8>); 4] {
    [
        ("a", b"alpha".to_vec()),
        ("empty", Vec::new()),
        ("small", pattern(SMALL, 1)),
        ("large", pattern(LARGE, 2)),
    ]
}

/// A program that is ended after a while.
fn bounded(program: &str, words: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["60", program]).args(words);
    command.stdin(Stdio::null());
    command
}

/// What a program wrote; it must be there and must not hang.
fn run(program: &str, words: &[&str]) -> Output {
    let output = bounded(program, words)
        .output()
        .expect("timeout (coreutils)");
    let code = output.status.code();
    assert_ne!(
        code,
        Some(127),
        "please install {program} (as scripts/test does)"
    );
    assert_ne!(code, Some(124), "{program} {words:?} hangs");
    output
}

/// The same for one that must succeed; its standard output.
#[track_caller]
fn succeed(program: &str, words: &[&str]) -> Vec<u8> {
    let output = run(program, words);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {told}");
    output.stdout
}

#[track_caller]
fn text_of(program: &str, words: &[&str]) -> String {
    String::from_utf8(succeed(program, words)).expect("it prints text")
}

fn http(server: &Server, path: &str) -> String {
    format!("http://{}/{path}", server.address())
}

fn https(server: &Server, path: &str) -> String {
    format!("https://localhost:{}/{path}", server.tls_address().port())
}

/// Flags of curl by which it finds and trusts the server.
fn trust(keys: &Keys) -> [String; 2] {
    let file = keys.certificate_path();
    ["--cacert".to_owned(), file.to_str().unwrap().to_owned()]
}

pub(crate) fn curl_gets_every_body(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &[]);
    let trust = trust(&keys);
    let ways: [(&[&str], bool, &str); 7] = [
        (&["--http1.1"], false, "1.1"),
        (&["--http1.0"], false, "1.1"), // The version that the server speaks.
        // An upgrade is ignored (RFC 9113 §3.1).
        (&["--http2"], false, "1.1"),
        (&["--http2-prior-knowledge"], false, "2"),
        (&["--http1.1", "--tls-max", "1.2"], true, "1.1"),
        (&["--http2", "--tlsv1.3"], true, "2"),
        (&["--http2", "--tls-max", "1.2"], true, "2"),
    ];
    let (got, kinds) = (site.outside("got"), bodies());
    for (flags, is_secure, version) in ways {
        for (path, body) in &kinds {
            let url = if is_secure {
                https(&server, path)
            } else {
                http(&server, path)
            };
            let mut words = vec!["-sS", "-4", "-o", got.to_str().unwrap()];
            words.extend(["-w", "%{http_code} %{http_version} %{ssl_verify_result}"]);
            words.extend(flags);
            words.extend(trust.each_ref().map(String::as_str));
            words.push(&url);
            let told = text_of("curl", &words);
            assert_eq!(told, format!("200 {version} 0"), "{flags:?} {path}");
            assert!(std::fs::read(&got).unwrap() == *body, "{flags:?} {path}");
        }
    }
}

/// Methods, conditions, ranges and uploads, over both protocols.
pub(crate) fn curl_asks_for_all_sorts(engine: Engine) {
    let site = site();
    let server = Server::of(engine, &site, &[]);
    let upload = format!("@{}", site.path("large").display());
    let etag = server.get("/a").field("etag").unwrap().to_owned();
    let condition = format!("If-None-Match: {etag}");
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let status = |words: &[&str], path: &str| {
            let url = http(&server, path);
            let fixed = [
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code} %{size_download}",
                version,
            ];
            text_of("curl", &[&fixed[..], words, &[url.as_str()]].concat())
        };
        assert_eq!(status(&["-I"], "small"), "200 0");
        assert_eq!(status(&["-r", "5-14"], "small"), "206 10");
        assert_eq!(status(&["-H", &condition], "a"), "304 0");
        assert!(status(&["-X", "BREW"], "a").starts_with("501 "));
        assert!(status(&["-d", "x=y"], "a").starts_with("405 "));
        for fields in [&["-H", "Expect:"][..], &[]] {
            let url = http(&server, "a");
            let words = [
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                version,
                "--data-binary",
            ];
            let output = run("curl", &[&words[..], &[&upload], fields, &[&url]].concat());
            // curl 7.88 stumbles when the answer and the RST_STREAM that stops its upload (RFC 9113
            // §8.1) come in one read.
            let has_stumbled = version != "--http1.1" && output.status.code() == Some(92);
            assert!(has_stumbled || output.stdout == b"405", "{output:?}");
        }
        assert!(status(&[], "none").starts_with("404 "));
    }
}

/// Fifty transfers at a time over one connection.
pub(crate) fn curl_in_parallel(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &[]);
    let trust = trust(&keys);
    let folder = site.outside("many");
    std::fs::create_dir(&folder).unwrap();
    let kinds = bodies();
    let mut words: Vec<String> = ["-sS", "-4", "-Z", "--http2"].map(str::to_owned).to_vec();
    words.extend(trust);
    for n in 0..60 {
        let path = kinds[n % kinds.len()].0;
        words.extend([https(&server, path), "-o".to_owned()]);
        words.push(folder.join(format!("{n}")).to_str().unwrap().to_owned());
    }
    succeed(
        "curl",
        &words.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    for n in 0..60 {
        let got = std::fs::read(folder.join(format!("{n}"))).unwrap();
        assert!(got == kinds[n % kinds.len()].1, "{n}");
    }
}

/// nghttp with windows of every size, padding, content and trailers.
pub(crate) fn nghttp_gets_every_body(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &[]);
    let upload = site.path("large");
    for (path, body) in bodies() {
        let (plain, secure) = (http(&server, path), https(&server, path));
        for flags in [
            &["-w", "30", "-W", "30"][..],
            &["-w", "8"],
            &["--no-dep"],
            &["-b", "200"],
        ] {
            if body.len() > SMALL && flags[1..] == ["8"] {
                continue; // 10,000 round trips of 255 bytes.
            }
            for url in [&plain, &secure] {
                let got = succeed("nghttp", &[flags, &[url.as_str()]].concat());
                assert!(got == body, "{flags:?} {url}");
            }
        }
    }
    let url = http(&server, "a");
    let flags = ["-nv", "--trailer", "x: y", "-d", upload.to_str().unwrap()];
    let told = text_of("nghttp", &[&flags[..], &[&url]].concat());
    assert!(told.contains(":status: 405"), "{told}");
    assert!(!told.contains("PROTOCOL_ERROR"), "{told}");
    let told = text_of("nghttp", &["-nv", "-m", "50", &url, &http(&server, "none")]);
    assert!(told.matches(":status: 200").count() == 50, "{told}");
    assert!(told.matches(":status: 404").count() == 50, "{told}");
}

/// Load over every way; no request is lost.
pub(crate) fn h2load_loses_nothing(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &["--workers", "2"]);
    let (plain, secure) = (http(&server, "small"), https(&server, "small"));
    let large = https(&server, "large");
    let rows: [(&str, &[&str], &str); 6] = [
        (&plain, &["-c", "10", "-m", "100"], "2000"),
        (&plain, &["-c", "10", "--h1"], "500"),
        (&secure, &["-c", "10", "-m", "20"], "1000"),
        (&secure, &["-c", "10", "-m", "1", "--h1"], "300"),
        (
            &plain,
            &["-c", "3", "-m", "30", "-w", "10", "-W", "14"],
            "300",
        ),
        (&large, &["-c", "3", "-m", "5"], "30"),
    ];
    for (url, flags, count) in rows {
        let told = text_of("h2load", &[&["-n", count][..], flags, &[url]].concat());
        let whole = format!(
            "requests: {count} total, {count} started, {count} done, {count} succeeded, 0 failed, \
             0 errored, 0 timeout"
        );
        assert!(told.contains(&whole), "{flags:?}: {told}");
        assert!(
            told.contains(&format!("status codes: {count} 2xx")),
            "{told}"
        );
    }
}

/// Flags by which s_client trusts the server and asks for its name.
fn s_client(keys: &Keys, address: SocketAddr) -> Vec<String> {
    let file = keys.certificate_path();
    let words = [
        "s_client",
        "-servername",
        "localhost",
        "-verify_return_error",
        "-CAfile",
    ];
    let mut words = words.map(str::to_owned).to_vec();
    words.push(file.to_str().unwrap().to_owned());
    words.extend(["-connect".to_owned(), address.to_string()]);
    words
}

/// A talk with the server through openssl: lines typed with pauses; all that it shows.
fn talk(words: &[String], more: &[&str], lines: &[&str]) -> (String, bool) {
    let words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    let mut command = bounded("openssl", &words);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("timeout (coreutils)");
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        std::thread::sleep(Duration::from_millis(150));
        let _ = input.write_all(line.as_bytes());
    }
    if lines.is_empty() {
        drop(input);
    }
    let mut shown = String::new();
    let mut bytes = Vec::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    shown.push_str(&String::from_utf8_lossy(&bytes));
    let status = child.wait().unwrap();
    assert_ne!(
        status.code(),
        Some(127),
        "please install openssl (as scripts/test does)"
    );
    assert_ne!(status.code(), Some(124), "it hangs: {shown}");
    (shown, status.success())
}

pub(crate) fn openssl_shakes_hands(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let server = keys.server(engine, &site, &[]);
    let base = s_client(&keys, server.tls_address());
    for version in ["-tls1_2", "-tls1_3"] {
        for protocol in ["h2", "http/1.1"] {
            let (shown, succeeded) = talk(&base, &[version, "-alpn", protocol], &[]);
            assert!(succeeded, "{shown}");
            assert!(shown.contains("Verify return code: 0 (ok)"), "{shown}");
            assert!(
                shown.contains(&format!("ALPN protocol: {protocol}")),
                "{shown}"
            );
        }
    }
    // RFC 8996, and protocols that nobody speaks here (RFC 7301 §3.2).
    for refused in [&["-tls1_1"][..], &["-alpn", "spdy/3"]] {
        let (shown, succeeded) = talk(&base, refused, &[]);
        assert!(!succeeded, "{shown}");
    }
    let ask = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    // New keys in the middle of the talk (RFC 8446 §4.6.3), asked for and not.
    let (shown, _) = talk(&base, &["-tls1_3"], &["k\n", "K\n", "k\n", ask]);
    assert!(
        shown.contains("alpha") && shown.contains("KEYUPDATE"),
        "{shown}"
    );
    // The old way is refused, and harms nobody.
    talk(&base, &["-tls1_2"], &["R\n", ask]);
    // Tickets.
    let session = site.outside("session");
    let session = session.to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        talk(&base, &[version, "-sess_out", session], &[ask]);
        let (shown, _) = talk(&base, &[version, "-sess_in", session], &[ask]);
        assert!(shown.contains("Reused, TLSv1."), "{shown}");
        assert!(shown.contains("alpha"), "{shown}");
    }
    Client::connect(server.address())
        .get("/a")
        .assert_body(b"alpha");
}
