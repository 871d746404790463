//! The configuration file through the binary: served, checked, shown.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use super::process::*;

fn place(text: &str) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::create_dir(scratch.path().join("www")).unwrap();
    std::fs::write(scratch.path().join("d.toml"), text).unwrap();
    scratch
}

/// The binary in this directory.
fn within(directory: &Path, words: &[&str]) -> Command {
    let mut command = downpour();
    command.current_dir(directory).args(words);
    command
}

/// The line of the shown configuration that sets this key.
fn shown(command: &mut Command, key: &str) -> String {
    let (code, stdout, stderr) = outcome(command);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let start = format!("{key} = ");
    let line = stdout.lines().find(|line| line.starts_with(&start));
    line.unwrap_or_else(|| panic!("{key} is not in {stdout}"))
        .to_owned()
}

#[test]
fn flag_environment_file_and_default_are_four_layers() {
    let scratch = place("cache-size = \"3M\"\n");
    let show = || within(scratch.path(), &["config", "--show"]);
    let with_file = || {
        let mut command = show();
        command.args(["--config", "d.toml"]);
        command
    };
    let key = "cache-size";
    assert_eq!(shown(&mut show(), key), "cache-size = \"256M\" # default");
    assert_eq!(
        shown(&mut with_file(), key),
        "cache-size = \"3M\" # d.toml:1"
    );
    let variable = ("DOWNPOUR_CACHE_SIZE", "2M");
    assert_eq!(
        shown(with_file().env(variable.0, variable.1), key),
        "cache-size = \"2M\" # environment"
    );
    assert_eq!(
        shown(
            with_file()
                .env(variable.0, variable.1)
                .args(["--cache-size", "1M"]),
            key
        ),
        "cache-size = \"1M\" # flag"
    );
    let mut named_by_variable = show();
    named_by_variable.env("DOWNPOUR_CONFIG", "d.toml");
    assert_eq!(
        shown(&mut named_by_variable, key),
        "cache-size = \"3M\" # d.toml:1"
    );
}

#[test]
fn variables_hold_values_with_blanks_in_lines() {
    let scratch = place("");
    let mut command = within(scratch.path(), &["config", "--show"]);
    command.env("DOWNPOUR_HEADER", "X-A: b c\n/x/** X-D: e, f\n");
    command.env("DOWNPOUR_INDEX", "a.html, b.html");
    assert_eq!(
        shown(&mut command, "header"),
        "header = [\"X-A: b c\", \"/x/** X-D: e, f\"] # environment"
    );
    assert_eq!(
        shown(&mut command, "index"),
        "index = [\"a.html\", \"b.html\"] # environment"
    );
    let wrong = complaint(
        within(scratch.path(), &["serve"]).env("DOWNPOUR_HEADER", "X-A: b\nX"),
        2,
    );
    assert!(
        wrong.contains("DOWNPOUR_HEADER does not take \"X\""),
        "{wrong}"
    );
}

#[test]
fn check_says_what_is_wrong_or_that_all_is_fine() {
    let scratch = place("root = \"www\"\n");
    let check = ["check", "d.toml"];
    let mut command = within(scratch.path(), &check);
    // The environment has nothing to say here.
    command.env("DOWNPOUR_WORKERS", "many");
    assert_eq!(
        outcome(&mut command),
        (0, "d.toml: fine\n".to_owned(), String::new())
    );
    let text = "root = \"www\"\ncach-size = \"1G\"\n\nquiet = 1\n[[site]]\nroot = \"gone\"\n";
    std::fs::write(scratch.path().join("d.toml"), text).unwrap();
    let (code, stdout, stderr) = outcome(&mut within(scratch.path(), &check));
    assert_eq!((code, stderr.as_str()), (2, ""));
    assert_eq!(
        stdout,
        "d.toml:2: there is no key \"cach-size\"; perhaps cache-size is meant\n\
         d.toml:4: quiet takes true or false, not a number\n"
    );
    let (code, stdout, _) = outcome(&mut within(scratch.path(), &["check", "gone.toml"]));
    assert_eq!(code, 2);
    assert!(stdout.contains("gone.toml cannot be read"), "{stdout}");
    assert_complains(&["check"], 2, &["downpour check FILE"]);
}

#[test]
fn a_server_with_a_wrong_file_tells_all_of_it_and_ends() {
    let scratch = place("rot = 1\nquiet = 1\n");
    let words = ["serve", "--config", "d.toml"];
    let (code, stdout, stderr) = outcome(&mut within(scratch.path(), &words));
    assert_eq!((code, stdout.as_str()), (2, ""));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(lines[0].starts_with("downpour: d.toml:1: "), "{stderr}");
    assert!(lines[1].starts_with("downpour: d.toml:2: "), "{stderr}");
}

#[test]
fn check_and_serve_say_the_same_of_a_file() {
    let text = "mount = [\"/a=gone\", \"/b=lost\"]\n[[site]]\nspa = true\ntry = \"$path\"\n\
                [[site]]\nnames = \"a.example\"\nroot = \"gone\"\n";
    let scratch = place(text);
    let (code, checked, _) = outcome(&mut within(scratch.path(), &["check", "d.toml"]));
    assert_eq!(code, 2);
    let places: Vec<&str> = checked.lines().map(|line| &line[..9]).collect();
    let expected = ["d.toml:1:", "d.toml:1:", "d.toml:3:", "d.toml:7:"];
    assert_eq!(places, expected, "{checked}");
    let words = ["serve", "--config", "d.toml"];
    let (code, _, served) = outcome(&mut within(scratch.path(), &words));
    assert_eq!((code, served.replace("downpour: ", "")), (2, checked));
}

#[test]
fn a_host_that_no_site_has_gets_the_first() {
    let text = "listen = \"127.0.0.1:0\"\nengine = \"epoll\"\nworkers = 1\n\
                [[site]]\nnames = \"a.example\"\nroot = \"www\"\n\
                [[site]]\nnames = \"b.example\"\nroot = \"b\"\n";
    let scratch = place(text);
    std::fs::create_dir(scratch.path().join("b")).unwrap();
    for site in ["www", "b"] {
        std::fs::write(scratch.path().join(site).join("index.html"), site).unwrap();
    }
    let served = |words: &[&str], host: &str| {
        let words = [&["serve", "--config", "d.toml"], words].concat();
        let server = Server::start(&mut within(scratch.path(), &words));
        let mut stream = TcpStream::connect(&server.addresses()[0]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(served(&[], "b.example").ends_with("\r\n\r\nb"));
    assert!(served(&[], "c.example").ends_with("\r\n\r\nwww"));
    let refused = served(&["--unknown-host", "421"], "c.example");
    assert!(refused.starts_with("HTTP/1.1 421 "), "{refused}");
}

#[test]
fn a_file_is_served() {
    let text = "root = \"www\"\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\nengine = \"epoll\"\n";
    let scratch = place(text);
    let words = ["serve", "--config", "d.toml", "--workers", "1"];
    let server = Server::start(&mut within(scratch.path(), &words));
    assert_eq!(server.addresses().len(), 2, "{}", server.start_line);
    let root = scratch.path().join("www").display().to_string();
    assert!(server.start_line.ends_with(&root), "{}", server.start_line);
    assert_eq!(server.terminate(), 0);
}

#[test]
fn what_is_shown_can_be_served_again() {
    let text = "root = \"www\"\nheader = [\"X-A: \\\"b\\\"\"]\n[[site]]\nnames = \"a.example\"\n\
                [[site.rule]]\npath = \"/a/**\"\ncache-control = \"immutable\"\n";
    let scratch = place(text);
    let words = ["config", "--show", "--config", "d.toml", "-p", "3000"];
    let (code, first, _) = outcome(&mut within(scratch.path(), &words));
    assert_eq!(code, 0);
    assert!(first.contains("\nport = [3000] # flag\n"), "{first}");
    assert!(first.contains("\n[[site.rule]] # d.toml:5\n"), "{first}");
    std::fs::write(scratch.path().join("again.toml"), &first).unwrap();
    let words = ["config", "--show", "--config", "again.toml"];
    let (code, again, _) = outcome(&mut within(scratch.path(), &words));
    assert_eq!(code, 0);
    let values = |page: &str| {
        let lines = page.lines().map(|line| line.split(" # ").next());
        lines
            .map(|value| value.unwrap_or("").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&again)[1..], values(&first)[1..]);
}

/// Whoever has said them, however, and in whichever directory.
#[test]
fn what_flags_and_variables_say_can_be_served_as_a_file() {
    let text = "listen = \"127.0.0.1:0\"\ntry = \"$path =404\"\n\
                [[site]]\nnames = [\"a.example\", \"*.a.example\"]\nroot = \"www\"\n\
                [[site.rule]]\npath = \"/a/*\"\nheaders = { A = ['b \"', \"c\"], D = false }\n\
                redirect = \"/b/:splat\"\nstatus = 307\nerror-page = { 404 = \"/404.html\" }\n\
                [[site]]\ndefault = true\nmount = \"/m=www\"\n";
    let scratch = place(text);
    let flags = [
        "config",
        "--show",
        "--config=d.toml",
        "--mount=/x=www",
        "--tls-listen=unix:d.sock",
        "--tls-cert=c.pem",
        "--https-redirect=8443",
        "--spa=false",
        "--clean-urls",
        "--maintenance=/a/*",
        "--max-connections=007",
        "www",
    ];
    let mut command = within(scratch.path(), &flags);
    for (variable, value) in [
        ("DOWNPOUR_HTTP2", "off"),
        ("DOWNPOUR_LOG_LEVEL", "warning"),
        ("DOWNPOUR_LANGUAGE", "de,pt-BR"),
        ("DOWNPOUR_PORT", "0 08"),
        ("DOWNPOUR_RETRY_AFTER", "10m"),
    ] {
        command.env(variable, value);
    }
    let (code, first, stderr) = outcome(&mut command);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let www = scratch.path().join("www").display().to_string();
    for line in [
        "port = [0, 8] # environment",
        "http2 = false # environment",
        "spa = false # flag",
        "try = [\"$path =404\"] # d.toml:2",
        &format!("root = \"{www}\" # flag"),
        &format!("mount = [\"/x={www}\"] # flag"),
        "# listen is not set",
    ] {
        assert!(first.lines().any(|one| one == line), "{line}: {first}");
    }
    let below = scratch.path().join("below");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(below.join("b.toml"), &first).unwrap();
    let words = ["config", "--show", "--config", "below/b.toml"];
    let (code, again, _) = outcome(&mut within(scratch.path(), &words));
    assert_eq!(code, 0);
    let values = |page: &str| {
        let lines = page.lines().skip(1);
        let values = lines.map(|line| line.rsplit_once(" # ").map_or(line, |(value, _)| value));
        values.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(&first));
}

#[test]
fn the_schema_is_json() {
    let (code, stdout, stderr) = outcome(downpour().args(["config", "--schema"]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let rest = json(stdout.trim()).unwrap_or_else(|at| panic!("no JSON at {at:?}"));
    assert_eq!(rest, "");
    for key in [
        "\"cache-size\": {",
        "\"site\": {",
        "\"additionalProperties\": false",
    ] {
        assert!(stdout.contains(key), "{key} is not in {stdout}");
    }
    assert_complains(&["config"], 2, &["--show", "--schema"]);
    assert_complains(
        &["config", "--show", "--schema"],
        2,
        &["exclude each other"],
    );
}

/// What follows a value of JSON (RFC 8259), or where it is none.
fn json(text: &str) -> Result<&str, &str> {
    let text = text.trim_start();
    let closed = |open: char, close: char, one: fn(&str) -> Result<&str, &str>| {
        let mut rest = text.strip_prefix(open).ok_or(text)?.trim_start();
        if let Some(rest) = rest.strip_prefix(close) {
            return Ok(rest);
        }
        loop {
            rest = one(rest)?.trim_start();
            if let Some(end) = rest.strip_prefix(close) {
                return Ok(end);
            }
            rest = rest.strip_prefix(',').ok_or(rest)?;
        }
    };
    match text.as_bytes().first() {
        Some(b'{') => closed('{', '}', |text| {
            let rest = string(text.trim_start())?.trim_start();
            json(rest.strip_prefix(':').ok_or(rest)?)
        }),
        Some(b'[') => closed('[', ']', json),
        Some(b'"') => string(text),
        _ => {
            let end = text.find([',', ']', '}', '\n', ' ']).unwrap_or(text.len());
            let word = &text[..end];
            let is_value = matches!(word, "true" | "false" | "null") || word.parse::<f64>().is_ok();
            is_value.then(|| &text[end..]).ok_or(text)
        }
    }
}

fn string(text: &str) -> Result<&str, &str> {
    let mut letters = text.strip_prefix('"').ok_or(text)?.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok(&text[at + 2..]),
            '\\' => {
                let (_, escaped) = letters.next().ok_or(text)?;
                if !"\"\\/bfnrtu".contains(escaped) {
                    return Err(&text[at..]);
                }
            }
            letter if u32::from(letter) < 0x20 => return Err(&text[at..]),
            _ => {}
        }
    }
    Err(text)
}
