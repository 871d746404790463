//! PATCH (RFC 5789): documents by JSON Merge Patch and JSON Patch, and ranges of bytes.

use std::time::{Duration, Instant};

use super::*;
use crate::rig::pattern;

const MERGE: &str = "application/merge-patch+json";
const OPERATIONS: &str = "application/json-patch+json";
const BYTES: &str = "application/octet-stream";
const FORMATS: &str = "application/merge-patch+json, application/json-patch+json, \
                       application/octet-stream";

/// Longer than any patch takes that is refused for what it would do, in an unoptimised build on a
/// busy machine.
const QUICK: Duration = Duration::from_secs(5);

fn patch(client: &mut dyn Speaks, path: &str, kind: &str, content: &[u8]) -> Answer {
    client.say("PATCH", path, &[("content-type", kind)], content)
}

#[test]
fn documents_are_patched_in_both_formats() {
    let site = Site::new();
    let keys = Keys::new();
    let server = keys.server(ENGINE, &site, &OPEN);
    for (kind, mut client) in all_kinds(&keys, &server) {
        let before = put(
            &server,
            "/notes/a.json",
            br#"{"title":"one","tags":["x"],"old":1}"#,
        );
        let merge = br#"{"title":"two","old":null}"#;
        let merged = patch(&mut *client, "/notes/a.json", MERGE, merge);
        assert_eq!(merged.status, 204, "{kind}");
        let etag = merged.field("etag").unwrap();
        assert_ne!(etag, before);
        let seen = server.get("/notes/a.json");
        seen.assert_body(br#"{"title":"two","tags":["x"]}"#);
        assert_eq!(seen.field("etag"), Some(etag));
        let operations = br#"[{"op":"test","path":"/title","value":"two"},
                              {"op":"add","path":"/tags/-","value":"y"},
                              {"op":"move","from":"/title","path":"/name"}]"#;
        let operated = patch(&mut *client, "/notes/a.json", OPERATIONS, operations);
        assert_eq!(operated.status, 204, "{kind}");
        server
            .get("/notes/a.json")
            .assert_body(br#"{"tags":["x","y"],"name":"two"}"#);
    }
    assert_left(&server, &site, &["notes/", "notes/a.json"]);
}

#[test]
fn a_patch_that_cannot_be_applied_changes_nothing() {
    let site = Site::of(&[
        ("notes/a.json", b"{\"n\":1}"),
        ("notes/text", b"no JSON"),
        ("notes/d/x", b""),
    ]);
    let server = Server::of(ENGINE, &site, &open_with(&["--max-patch-bytes", "64K"]));
    let mut client = server.connect();
    let before = tree(&site.root());
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
    let fails_late = br#"[{"op":"replace","path":"/n","value":2},{"op":"remove","path":"/m"}]"#;
    let rows: [(&str, &str, &[u8], u16); 14] = [
        ("/notes/a.json", MERGE, b"{", 400),
        ("/notes/a.json", MERGE, b"", 400),
        ("/notes/a.json", OPERATIONS, b"{}", 400),
        (
            "/notes/a.json",
            OPERATIONS,
            br#"[{"op":"jump","path":"/n"}]"#,
            400,
        ),
        (
            "/notes/a.json",
            OPERATIONS,
            br#"[{"op":"test","path":"/n","value":2}]"#,
            409,
        ),
        ("/notes/text", MERGE, b"{}", 409),
        (
            "/notes/a.json",
            OPERATIONS,
            br#"[{"op":"remove","path":"/m"}]"#,
            422,
        ),
        ("/notes/a.json", OPERATIONS, fails_late, 422),
        ("/notes/none.json", MERGE, b"{}", 404),
        ("/notes/no/dir.json", MERGE, b"{}", 404),
        ("/notes/d", MERGE, b"{}", 409),
        ("/notes/", MERGE, b"{}", 405),
        ("/plain", MERGE, b"{}", 405),
        ("/notes/a.json", MERGE, long.as_bytes(), 413),
    ];
    for (path, kind, content, status) in rows {
        let answer = patch(&mut client, path, kind, content);
        let shown = String::from_utf8_lossy(&content[..content.len().min(60)]);
        assert_eq!(answer.status, status, "{path}: {shown}");
        if answer.says_close() {
            client = server.connect();
        }
    }
    server.get("/notes/a.json").assert_body(b"{\"n\":1}");
    server.get("/notes/text").assert_body(b"no JSON");
    assert_eq!(tree(&site.root()), before);
}

#[test]
fn a_patch_of_another_kind_is_refused_with_those_that_are_understood() {
    let site = Site::of(&[("notes/a.json", b"{\"n\":1}")]);
    let server = Server::of(ENGINE, &site, &OPEN);
    let mut client = server.connect();
    for kind in [
        "application/json",
        "text/plain",
        "",
        "application/xml-patch+xml",
    ] {
        let answer = patch(&mut client, "/notes/a.json", kind, b"{}");
        assert_eq!(answer.status, 415, "{kind}");
        assert_eq!(answer.field("accept-patch"), Some(FORMATS));
    }
    assert_eq!(client.say("PATCH", "/notes/a.json", &[], b"{}").status, 415);
    let encoded = [("content-type", MERGE), ("content-encoding", "gzip")];
    let answer = client.say("PATCH", "/notes/a.json", &encoded, b"{}");
    assert_eq!(
        (answer.status, answer.field("accept-encoding")),
        (415, Some("identity"))
    );
    // Parameters say nothing, and neither does the case of letters.
    let answer = patch(
        &mut client,
        "/notes/a.json",
        "Application/Merge-Patch+JSON; charset=utf-8",
        b"{\"n\":2}",
    );
    assert_eq!(answer.status, 204);
    server.get("/notes/a.json").assert_body(b"{\"n\":2}");
}

/// Writes a range; its answer.
fn range(client: &mut dyn Speaks, path: &str, value: &str, content: &[u8]) -> Answer {
    let fields = [("content-type", BYTES), ("content-range", value)];
    client.say("PATCH", path, &fields, content)
}

#[test]
fn ranges_of_bytes_are_written_and_appended() {
    let site = Site::new();
    let keys = Keys::new();
    let server = keys.server(ENGINE, &site, &open_with(&["--max-body-bytes", "2M"]));
    for (kind, mut client) in all_kinds(&keys, &server) {
        let mut expected = b"0123456789".to_vec();
        put(&server, "/notes/a", &expected);
        let long = pattern(LONG, 3);
        let appended = format!("bytes 12-{}/*", 11 + LONG);
        for (value, content, at) in [
            ("bytes 2-4/*", &b"abc"[..], 2),
            ("bytes 9-11/12", b"xyz", 9),
            (&appended, &long, 12),
            ("bytes 0-0/*", b"!", 0),
        ] {
            let answer = range(&mut *client, "/notes/a", value, content);
            assert_eq!(answer.status, 204, "{kind}: {value}");
            expected.resize(expected.len().max(at + content.len()), 0);
            expected[at..at + content.len()].copy_from_slice(content);
            let seen = server.get("/notes/a");
            seen.assert_body(&expected);
            assert_eq!(seen.field("etag"), answer.field("etag"));
        }
        let len = expected.len();
        let behind = format!("bytes {}-{}/*", len + 1, len + 1);
        let rows: [(&str, &[u8], u16); 9] = [
            (&behind, b"x", 416),
            ("bytes 0-0/5", b"x", 409), // It is longer.
            ("bytes 0-2/*", b"x", 400),
            ("bytes 0-0/*", b"xy", 400),
            ("bytes 2-1/*", b"", 400),
            ("bytes */10", b"x", 400),
            ("rows 0-0/*", b"x", 400),
            ("bytes 0-2097152/*", b"x", 400),
            ("", b"x", 400),
        ];
        for (value, content, status) in rows {
            let answer = range(&mut *client, "/notes/a", value, content);
            assert_eq!(answer.status, status, "{kind}: {value}");
            if status == 416 {
                let told = format!("bytes */{len}");
                assert_eq!(answer.field("content-range"), Some(&told[..]));
            }
        }
        let over = vec![0; (2 << 20) - len + 1];
        let value = format!("bytes {len}-{}/*", 2 << 20);
        assert_eq!(
            range(&mut *client, "/notes/a", &value, &over).status,
            413,
            "{kind}"
        );
        server.get("/notes/a").assert_body(&expected);
        // A part is never taken for the whole (RFC 9110 §14.5).
        let answer = client.say("PUT", "/notes/a", &[("content-range", "bytes 0-0/*")], b"x");
        assert_eq!(answer.status, 400, "{kind}");
        server.get("/notes/a").assert_body(&expected);
    }
    assert_left(&server, &site, &["notes/", "notes/a"]);
}

#[test]
fn patches_that_ask_for_too_much_end_quickly() {
    let site = Site::new();
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "1"]));
    let memory = server.memory();
    let array = format!("[{}0]", "0,".repeat(400_000));
    put(&server, "/notes/big.json", array.as_bytes());
    put(&server, "/notes/a.json", br#"{"a":["lol"]}"#);
    let deep = |open: &str, close: &str, levels: usize| open.repeat(levels) + &close.repeat(levels);
    put(&server, "/notes/deep.json", deep("[", "]", 120).as_bytes());
    let list = |operation: &dyn Fn(usize) -> String, count: usize| {
        let all: Vec<String> = (0..count).map(operation).collect();
        format!("[{}]", all.join(","))
    };
    let doubling = list(
        &|_| r#"{"op":"copy","from":"/a","path":"/a/-"}"#.to_owned(),
        900,
    );
    let nesting = list(
        &|_| r#"{"op":"copy","from":"/a","path":"/a/0"}"#.to_owned(),
        900,
    );
    let many = list(
        &|_| r#"{"op":"test","path":"","value":1}"#.to_owned(),
        5_000,
    );
    let copies = list(
        &|number| format!(r#"{{"op":"copy","from":"","path":"/{number}"}}"#),
        900,
    );
    let in_depth = format!(
        r#"[{{"op":"add","path":"{}/-","value":{}}}]"#,
        "/0".repeat(119),
        deep("[", "]", 100)
    );
    let rows: [(&str, &str, String, u16); 9] = [
        ("/notes/a.json", OPERATIONS, doubling, 422),
        ("/notes/a.json", OPERATIONS, nesting, 422),
        ("/notes/a.json", OPERATIONS, many, 422),
        ("/notes/big.json", OPERATIONS, copies, 422),
        ("/notes/deep.json", OPERATIONS, in_depth, 422),
        ("/notes/a.json", MERGE, deep("[", "]", 400_000), 400),
        ("/notes/a.json", MERGE, deep("{\"a\":", "}", 400), 400),
        ("/notes/a.json", OPERATIONS, deep("[", "]", 400_000), 400),
        (
            "/notes/deep.json",
            OPERATIONS,
            format!(
                r#"[{{"op":"copy","from":"","path":"{}/-"}}]"#,
                "/0".repeat(119)
            ),
            422,
        ),
    ];
    for (path, kind, content, status) in rows {
        let began = Instant::now();
        let answer = patch(&mut server.connect(), path, kind, content.as_bytes());
        let shown = &content[..content.len().min(60)];
        assert_eq!(answer.status, status, "{path}: {shown}");
        assert!(began.elapsed() < QUICK, "{path}: {shown}");
    }
    let grown = server.memory().saturating_sub(memory);
    assert!(grown < 64 << 20, "{grown} bytes more");
    server.get("/notes/a.json").assert_body(br#"{"a":["lol"]}"#);
}

/// What costs most for its bytes: every element of a large array is moved by each operation.
#[test]
fn many_moves_of_a_large_array_hold_up_nobody() {
    let site = Site::new();
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "1"]));
    put(
        &server,
        "/notes/big.json",
        format!("[{}0]", "0,".repeat(200_000)).as_bytes(),
    );
    let insert = vec![r#"{"op":"add","path":"/0","value":1}"#; 500].join(",");
    let operations = format!("[{insert}]");
    std::thread::scope(|scope| {
        let patching = scope.spawn(|| {
            let answer = patch(
                &mut server.connect(),
                "/notes/big.json",
                OPERATIONS,
                operations.as_bytes(),
            );
            assert_eq!(answer.status, 204);
        });
        let mut slowest = Duration::ZERO;
        let mut client = server.connect();
        while !patching.is_finished() {
            let began = Instant::now();
            assert_eq!(client.get("/none").status, 404);
            assert_eq!(status(&server, "PUT", "/notes/other", &[], b"x") / 100, 2);
            slowest = slowest.max(began.elapsed());
        }
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    });
}
