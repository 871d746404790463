//! The file: each key, each way to be wrong, and what is shown of it.

mod access;
mod faults;
mod layers;
mod schema;
mod shown;
mod sites;

use std::num::NonZeroUsize;
use std::path::Path;

use tempfile::TempDir;

use super::asked::{serve, site};
use super::settings::{Origin, Setting, Settings};
use super::*;

/// A directory with a configuration and what it names.
fn place(text: &str) -> TempDir {
    let scratch = tempfile::tempdir().unwrap();
    for name in ["www", "app", "manual"] {
        std::fs::create_dir(scratch.path().join(name)).unwrap();
    }
    std::fs::write(scratch.path().join("d.toml"), text).unwrap();
    scratch
}

fn check_with(scratch: &Path, words: &[&str]) -> Result<(Box<Asked>, Config), StartError> {
    let machine = Machine {
        cpus: vec![0, 1],
        cpus_paid: NonZeroUsize::MIN,
        descriptors_max: 20_000,
        somaxconn: None,
    };
    let path = scratch.join("d.toml");
    let line = ["downpour", "serve", "--config", path.to_str().unwrap()];
    let line = line.iter().chain(words).map(std::ffi::OsString::from);
    let asked = match args::read(line) {
        Ok(Command::Serve(asked)) => asked,
        Err(usage::Refusal::Wrong(error)) => return Err(error),
        other => panic!("{other:?}"),
    };
    let config = Config::check(&asked, &machine)?.config;
    Ok((asked, config))
}

fn check(text: &str) -> Result<Config, StartError> {
    check_with(place(text).path(), &[]).map(|(_, config)| config)
}

/// What is wrong with a file, without the path in front.
fn wrong(text: &str) -> Vec<String> {
    let scratch = place(text);
    let error = check_with(scratch.path(), &[]).unwrap_err();
    assert_eq!(error.exit_code, 2, "{error}");
    let start = format!("{}:", scratch.path().join("d.toml").display());
    let sentences = error.sentences().map(|sentence| {
        let behind = sentence.strip_prefix(&start).map(str::to_owned);
        behind.unwrap_or_else(|| panic!("no place in {sentence:?}"))
    });
    sentences.collect()
}

/// A value for each key, other than its default.
const SAMPLES: &[(&str, &str)] = &[
    ("root", "\"www\""),
    ("index", "[\"a.html\", \"b.html\"]"),
    ("spa", "\"/app.html\""),
    ("try", "[\"$path\", \"$path.html =404\"]"),
    ("clean-urls", "\"redirect\""),
    ("trailing-slash", "\"ignore\""),
    ("mount", "[\"/docs=manual\"]"),
    ("hidden", "true"),
    ("follow-symlinks", "true"),
    ("list", "true"),
    ("keep-removed", "\"10m\""),
    ("precompressed", "false"),
    ("compress", "false"),
    ("compress-dir", "\"cache\""),
    ("language", "[\"en\", \"pt-BR\"]"),
    ("media-variants", "true"),
    ("not-acceptable", "406"),
    ("header", "[\"X-A: b\", \"*.css !ETag\"]"),
    ("cache-control", "[\"auto\", \"/a/** max-age=1\"]"),
    ("security-headers", "true"),
    ("redirect", "[\"/a /b 308\"]"),
    ("rewrite", "[\"/a/* /b\"]"),
    ("error-page", "[\"404=/404.html\"]"),
    ("maintenance", "[\"/a/**\"]"),
    ("maintenance-page", "\"/m.html\""),
    ("maintenance-when", "\"flag\""),
    ("retry-after", "\"10m\""),
    ("country-header", "\"X-Country\""),
    ("rule-files", "false"),
    ("cors", "[\"*\", \"/a/** https://a.example; credentials\"]"),
    (
        "access",
        "[\"read=anyone\", \"/a/** read=user:ada write=user:ada\"]",
    ),
    ("users", "\"users\""),
    ("tokens", "\"tokens\""),
    ("jwt-key", "[\"a.pem\", \"b.jwks\"]"),
    ("jwt-secret", "[\"secret\"]"),
    ("jwt-audience", "[\"here\"]"),
    ("jwt-issuer", "[\"there\"]"),
    ("jwt-leeway", "\"5s\""),
    ("jwt-user-claim", "\"email\""),
    ("realm", "\"The workshop\""),
    ("forward-auth", "[\"/a/** http://127.0.0.1:9000/verify\"]"),
    ("forward-auth-copy", "[\"X-User\"]"),
    ("client-cert-users", "true"),
    ("limit", "[\"10/s burst=20 by=user\", \"/a/** 1/m\"]"),
    ("allow", "[\"/a/** 10.0.0.0/8 ::1\"]"),
    ("deny", "[\"192.0.2.0/24\"]"),
    ("writable", "[\"/notes/**\"]"),
    ("allow-anonymous-writes", "true"),
    ("require-preconditions", "true"),
    ("max-body-bytes", "\"1G\""),
    ("max-patch-bytes", "\"2M\""),
    ("trusted-proxies", "[\"10.0.0.0/8\", \"::1\"]"),
    ("forwarded-by", "\"forwarded\""),
    ("proxy-protocol", "\"on\""),
    ("max-in-flight", "1000"),
    ("max-connections-per-address", "10"),
    ("send-rate", "\"1M\""),
    ("limit-memory", "\"8M\""),
    ("body-timeout", "\"3s\""),
    ("access-log", "\"json\""),
    ("log-file", "\"access.log\""),
    ("metrics", "\"127.0.0.1:9090/metrics\""),
    ("health", "\"/healthz\""),
    ("request-id", "true"),
    ("state-dir", "\"state\""),
    ("idempotency-time", "\"1h\""),
    ("idempotency-size", "\"1M\""),
    ("listen", "[\"127.0.0.1:80\", \"unix:d.sock\"]"),
    ("port", "[81, 82]"),
    ("backlog", "64"),
    ("cache-files", "1000"),
    ("max-connections", "100"),
    ("unknown-host", "\"default\""),
    ("tls-listen", "[\"[::]:443\"]"),
    ("tls-cert", "[\"a.pem\"]"),
    ("tls-key", "[\"a.key\"]"),
    ("self-signed", "true"),
    ("tls-sni-strict", "true"),
    ("tls-min-version", "1.3"),
    ("tls-client-ca", "\"ca.pem\""),
    ("tls-client-auth", "\"optional\""),
    ("tls-ticket-keys", "[\"t.keys\"]"),
    ("tls-keylog", "\"k.log\""),
    ("handshake-timeout", "\"3s\""),
    ("max-handshakes", "7"),
    ("https-redirect", "8443"),
    ("hsts", "\"8760h\""),
    ("http2", "false"),
    ("http2-max-streams", "9"),
    ("workers", "2"),
    ("cpus", "\"0-1\""),
    ("engine", "\"epoll\""),
    ("cache-size", "\"1M\""),
    ("cache-entry-max", "\"1K\""),
    ("sendfile-min", "1024"),
    ("watch", "\"off\""),
    ("keepalive-timeout", "\"3s\""),
    ("header-timeout", "\"3s\""),
    ("send-timeout", "\"3s\""),
    ("grace-period", "\"3s\""),
    ("max-head-bytes", "\"8K\""),
    ("ring-entries", "64"),
    ("recv-buffers", "64"),
    ("recv-buffer-bytes", "\"8K\""),
    ("zero-copy-min", "\"8K\""),
    ("busy-poll", "\"50us\""),
    ("sqpoll", "\"10ms\""),
    ("log-level", "\"debug\""),
    ("quiet", "true"),
];

/// The example of the guide.
fn example() -> String {
    let guide = include_str!("../../../docs/configuration.md");
    let (_, example) = guide.split_once("```toml\n").unwrap();
    example.split_once("```").unwrap().0.to_owned()
}

/// The file of a place below what a command line and an environment say.
fn below(scratch: &Path, said: &[(&str, Origin, &[&str])]) -> Result<Asked, StartError> {
    let mut line = Settings::default();
    for (id, origin, texts) in said {
        let texts = texts.iter().map(|text| text.into()).collect();
        line.set(id, Setting::new(texts, *origin));
    }
    Asked::new(&line, Some(&scratch.join("d.toml")))
}

/// The texts that a flag is set to.
fn texts(settings: &Settings, id: &str) -> Vec<String> {
    let texts = settings.get(id).map_or(&[][..], |setting| &setting.texts);
    let texts = texts.iter().map(|text| text.to_str().unwrap().to_owned());
    texts.collect()
}
