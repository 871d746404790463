//! The access log: one line for each request, whatever it holds and whatever becomes of the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::*;
use crate::rig::{eventually, pattern};

const LARGE: usize = 300_000;

fn site() -> Site {
    let site = Site::of(&[("a", b"alpha"), ("private/b", b"beta"), ("list/c", b"")]);
    site.write("large", pattern(LARGE, 1));
    site
}

/// What a line says of one request.
#[track_caller]
fn assert_says(line: &Value, expected: &[(&str, Value)]) {
    for (name, value) in expected {
        assert_eq!(&line[*name], value, "{name} of {line}");
    }
}

/// What is asked, its status, and what the cache does for it where that is certain.
type Row<'a> = (&'a str, &'a str, Fields<'a>, u16, &'a str);

const REFERER: &str = "https://r.example/?x=\"y\"";

/// What a line should say of a request that was answered so; `number` is that of the way.
fn expected(row: &Row<'_>, answer: &Answer, number: usize) -> Vec<(&'static str, Value)> {
    let (method, target, _, status, cache) = *row;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Value::from(query)),
        None => (target, Value::Null),
    };
    let user = match (status, path) {
        (200, "/private/b") => Value::from("anna"),
        _ => Value::Null,
    };
    let protocol = ["HTTP/1.1", "HTTP/2.0"][number % 2];
    let mut expected = vec![
        ("address", "127.0.0.1".into()),
        ("user", user),
        ("method", method.into()),
        ("path", path.into()),
        ("query", query),
        ("host", "a".into()),
        ("protocol", protocol.into()),
        ("tls", (number >= 2).into()),
        ("status", status.into()),
        ("bytes", answer.body.len().into()),
        ("id", answer.field("x-request-id").unwrap().into()),
        ("referer", REFERER.into()),
        ("user_agent", Value::Null),
    ];
    // A file that has just changed is compared with the disk again, instead of a hit.
    if !matches!(cache, "" | "hit") {
        expected.push(("cache", cache.into()));
    }
    expected
}

pub(crate) fn every_request_has_one_line(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let users = users(&site, &["anna"]);
    let path = site.outside("access.log");
    let path = path.to_str().unwrap();
    let flags = format!(
        "--users={users}
         --access=/private/** read=users
         --list
         --request-id
         --access-log=json
         --log-file={path}"
    );
    let server = keys.server(engine, &site, &lines(&flags));
    let etag = server.get("/a").field("etag").unwrap().to_owned();
    server.get("/large").assert_body(&pattern(LARGE, 1));
    let anna = basic("anna", PASSWORD);
    let (mut told, mut may_be_hits) = (Vec::new(), Vec::new());
    for (number, (name, mut wire)) in all_ways(&server, &keys).into_iter().enumerate() {
        let fresh = format!("/fresh{number}");
        site.write(&fresh[1..], b"fresh");
        let rows: [Row<'_>; 16] = [
            ("GET", "/a", &[], 200, "hit"),
            ("GET", &fresh, &[], 200, "miss"),
            ("GET", &fresh, &[], 200, "hit"),
            ("HEAD", "/a", &[], 200, "hit"),
            ("GET", "/a?b=c&d=%22", &[], 200, "hit"),
            ("GET", "/a", &[("If-None-Match", &etag)], 304, "hit"),
            ("GET", "/a", &[("Range", "bytes=1-2")], 206, "hit"),
            ("GET", "/large", &[], 200, "hit"),
            ("GET", "/large", &[("Range", "bytes=0-9,20-29")], 206, "hit"),
            ("POST", "/a", &[], 405, "bypass"),
            ("OPTIONS", "/a", &[], 204, "bypass"),
            ("OPTIONS", "*", &[], 204, "bypass"),
            ("GET", "/private/b", &[], 401, "bypass"),
            ("GET", "/private/b", &[("Authorization", &anna)], 200, ""),
            ("GET", "/none", &[], 404, ""),
            ("GET", "/list/", &[("Accept", "application/json")], 200, ""),
        ];
        for row in rows {
            let (method, target, fields, status, cache) = row;
            let answer = wire.say(method, target, &[fields, &[("Referer", REFERER)]].concat());
            assert_eq!(answer.status, status, "{method} {target} over {name}");
            if cache == "hit" {
                may_be_hits.push(told.len());
            }
            told.push(expected(&row, &answer, number));
        }
    }
    eventually("all lines", || json_lines(path).len() >= told.len() + 2);
    let lines = json_lines(path);
    assert_eq!(lines.len(), told.len() + 2, "one line for each");
    for (line, expected) in lines[2..].iter().zip(&told) {
        assert_says(line, expected);
        assert!(line["duration_us"].is_u64(), "{line}");
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
    let is_hit = |at: &&usize| lines[**at + 2]["cache"] == "hit";
    let hits = may_be_hits.iter().filter(is_hit).count();
    assert!(hits > may_be_hits.len() / 2, "{hits}");
}

#[test]
fn a_line_of_the_combined_format_stays_one_whatever_a_peer_sends() {
    let site = site();
    let path = site.outside("access.log");
    let path = path.to_str().unwrap();
    let flags = ["--access-log", "combined", "--log-file", path];
    let server = Server::of(ENGINE, &site, &flags);
    let mut client = server.connect();
    assert_eq!(
        client
            .say("GET", "/a?b", &[("User-Agent", "curl/8")])
            .status,
        200
    );
    let evil: [&[u8]; 6] = [
        b"\" 200 1 \"-\" \"-",
        b"\\\" \\\\",
        b"\t\x80\xff\xe2\x80\xa8",
        b"${jndi:ldap://x}",
        b"\x1b[31m",
        b"-",
    ];
    let mut count = 1;
    for value in evil {
        let mut request = b"GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: ".to_vec();
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\nReferer: ");
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n\r\n");
        let mut client = server.connect();
        client.send(request);
        assert!(matches!(client.answer().status, 200 | 400));
        count += 1;
    }
    for path in [
        "/%0a1.2.3.4%20-%20-%20[x]",
        "/a%22%20200",
        "/a?\"x\"",
        "/\u{2028}",
    ] {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.answer();
        count += 1;
    }
    // Frames may hold what lines cannot.
    let mut streams = Http2::connect(server.address());
    for value in ["a\r\nb: c", "a\nb", "a\0b"] {
        let id = streams.ask("GET", "/a", &[("user-agent", value)]);
        let _ = streams.outcome(id);
    }
    let text = || std::fs::read_to_string(path).unwrap();
    eventually("all lines", || text().lines().count() >= count);
    sleep(Duration::from_millis(400));
    let text = text();
    let first = text.lines().next().unwrap();
    let (begin, end) = first.split_once('[').unwrap();
    let (time, end) = end.split_once(']').unwrap();
    assert_eq!(begin, "127.0.0.1 - - ");
    assert!(time.len() == 26 && time.ends_with(" +0000"), "{time}");
    assert_eq!(end, " \"GET /a?b HTTP/1.1\" 200 5 \"-\" \"curl/8\"");
    let is_plain = |byte: u8| byte == b'\n' || (b' '..=b'~').contains(&byte);
    assert!(text.bytes().all(is_plain), "{text}");
    for line in text.lines() {
        assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
        assert_eq!(line.matches('"').count(), 6, "{line}");
    }
    let lines = text.lines().count();
    assert!(
        (count..=count + 3).contains(&lines),
        "{lines} for {count}: {text}"
    );
}

/// Renamed and opened again while requests come: both files together have every line, whole.
pub(crate) fn the_log_is_opened_again(engine: Engine) {
    const TURNS: usize = 4;
    let site = site();
    let path = site.outside("access.log");
    let flags = [
        "--access-log",
        "json",
        "--log-file",
        path.to_str().unwrap(),
        "--workers",
        "2",
    ];
    let server = Server::of(engine, &site, &flags);
    let has_ended = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (address, asked) = (server.address(), Arc::clone(&asked));
            let has_ended = Arc::clone(&has_ended);
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !has_ended.load(Ordering::Relaxed) {
                    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20));
                    (0..20).for_each(|_| assert_eq!(client.answer().status, 200));
                    asked.fetch_add(20, Ordering::Relaxed);
                    sleep(Duration::from_millis(5));
                }
            })
        })
        .collect();
    let old = |turn: usize| -> PathBuf { path.with_extension(turn.to_string()) };
    for turn in 0..TURNS {
        eventually("some lines", || path.metadata().unwrap().len() > 10_000);
        sleep(Duration::from_millis(50));
        std::fs::rename(&path, old(turn)).unwrap();
        server.signal(Signal::HUP);
        eventually("a new file", || path.exists());
    }
    sleep(Duration::from_millis(50));
    has_ended.store(true, Ordering::Relaxed);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let asked = asked.load(Ordering::Relaxed);
    let lines = |path: &Path| json_lines(path.to_str().unwrap());
    let count = || {
        let old: usize = (0..TURNS).map(|turn| lines(&old(turn)).len()).sum();
        old + lines(&path).len()
    };
    eventually("every line", || {
        sleep(Duration::from_millis(50));
        count() >= asked
    });
    assert_eq!(count(), asked);
    let mut ids: Vec<String> = (0..TURNS)
        .flat_map(|turn| lines(&old(turn)))
        .chain(lines(&path))
        .map(|line| line["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), asked, "each request once");
    assert!((0..TURNS).all(|turn| !lines(&old(turn)).is_empty()));
}

/// What was answered before the end is in the log after it.
#[test]
fn the_last_lines_are_written_before_the_end() {
    let site = site();
    let path = site.outside("access.log");
    let flags = ["--access-log", "json", "--log-file", path.to_str().unwrap()];
    let mut server = Server::of(ENGINE, &site, &flags);
    let mut client = server.connect();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500));
    (0..500).for_each(|_| assert_eq!(client.answer().status, 200));
    drop(client);
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 0);
    assert_eq!(json_lines(path.to_str().unwrap()).len(), 500);
}

#[test]
fn standard_output_is_a_log_too() {
    let site = site();
    let output = site.outside("output");
    let mut command = serve(binary(), ENGINE);
    command.args(["--listen", "127.0.0.1:0", "--access-log", "json"]);
    command
        .stdout(std::fs::File::create(&output).unwrap())
        .arg(site.root());
    let server = Server::start(&mut command);
    assert_eq!(server.get("/a").status, 200);
    let lines = || json_lines(output.to_str().unwrap());
    eventually("the line", || lines().len() == 1);
    assert_says(&lines()[0], &[("path", "/a".into())]);
}

/// A named pipe.
fn fifo(site: &Site) -> PathBuf {
    let path = site.outside("fifo");
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
    path
}

#[test]
fn a_log_that_cannot_be_opened_is_told_at_the_start() {
    let site = site();
    for place in ["/none/access.log", "/"] {
        let said = refusal(&site, &["--access-log", "json", "--log-file", place]);
        assert!(said.contains("the access log cannot be opened"), "{said}");
        assert!(said.contains("--log-file"), "{said}");
    }
    let path = fifo(&site);
    let said = refusal(
        &site,
        &["--access-log=json", "--log-file", path.to_str().unwrap()],
    );
    assert!(said.contains("a pipe that nobody reads"), "{said}");
    let said = refusal(&site, &["--access-log", "xml"]);
    assert!(
        said.contains("--access-log does not take \"xml\""),
        "{said}"
    );
}

/// A pipe that nobody reads: lines are lost and counted, and no answer waits.
#[test]
fn a_log_that_takes_nothing_delays_no_answer() {
    const REQUESTS: usize = 4000;
    let site = site();
    let path = fifo(&site);
    let mut options = std::fs::OpenOptions::new();
    let held = options.read(true).write(true).open(&path).unwrap();
    let flags = [
        "--access-log",
        "json",
        "--log-file",
        path.to_str().unwrap(),
        "--metrics",
        "127.0.0.1:0/metrics",
    ];
    let mut server = Server::of(ENGINE, &site, &flags);
    let agent = "x".repeat(1000);
    let request = format!("GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n");
    let mut client = server.connect();
    let mut slowest = Duration::ZERO;
    for _ in 0..REQUESTS / 10 {
        let began = Instant::now();
        client.send(request.repeat(10));
        (0..10).for_each(|_| assert_eq!(client.answer().status, 200));
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let dropped = || metrics::scrape(&server)["downpour_access_log_dropped_lines_total"];
    eventually("lost lines", || dropped() > 100.0);
    assert!(dropped() < REQUESTS as f64);
    drop(client);
    server.signal(Signal::TERM);
    let began = Instant::now();
    assert_eq!(server.wait(), 0);
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "the end does not wait for it"
    );
    drop(held);
}
