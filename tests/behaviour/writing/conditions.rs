//! Which state a change is of (RFC 9110 §13, RFC 6585 §3).

use super::*;

const LONG_AGO: &str = "Thu, 01 Jan 2004 00:00:00 GMT";
const FAR_AHEAD: &str = "Fri, 01 Jan 2100 00:00:00 GMT";

#[test]
fn a_change_of_another_state_than_the_present_is_refused() {
    let site = Site::new();
    let keys = Keys::new();
    let server = keys.server(ENGINE, &site, &OPEN);
    for (kind, mut client) in all_kinds(&keys, &server) {
        let old = put(&server, "/notes/a", b"old");
        let present = put(&server, "/notes/a", b"present");
        let both = format!("{old}, {present}");
        let weak = format!("W/{present}");
        let patch = ("content-type", "application/merge-patch+json");
        // The same conditions hold for every method, and change nothing where they do not hold.
        for method in ["PUT", "PATCH", "DELETE"] {
            for (name, value) in [
                ("if-match", &old[..]),
                ("if-match", &weak),
                ("if-none-match", "*"),
                ("if-none-match", &both),
                ("if-none-match", &weak),
                ("if-unmodified-since", LONG_AGO),
            ] {
                let answer = client.say(method, "/notes/a", &[(name, value), patch], b"{}");
                assert_eq!(answer.status, 412, "{kind}: {method} with {name}: {value}");
                assert_eq!(answer.field("etag"), Some(&present[..]));
            }
        }
        let long = vec![0; LONG];
        let only_old = [("if-match", &old[..])];
        assert_eq!(status(&server, "PUT", "/notes/a", &only_old, &long), 412);
        server.get("/notes/a").assert_body(b"present");

        let mut etag = present;
        for (name, value) in [
            ("if-match", Some("*")),
            ("if-match", None),
            ("if-none-match", Some(&old[..])),
            ("if-unmodified-since", Some(FAR_AHEAD)),
            ("if-unmodified-since", Some("no date")),
        ] {
            let value = value.map_or(etag.clone(), str::to_owned);
            let answer = client.say("PUT", "/notes/a", &[(name, &value)], b"next");
            assert_eq!(answer.status, 204, "{kind}: {name}: {value}");
            etag = answer.field("etag").unwrap().to_owned();
        }
        let gone = client.say("DELETE", "/notes/a", &[("if-match", &etag)], b"");
        assert_eq!(gone.status, 204, "{kind}");
        // Nothing is there now, which is a state, too.
        let answer = client.say("PUT", "/notes/a", &[("if-match", "*")], b"x");
        assert_eq!(answer.status, 412, "{kind}");
        let answer = client.say("PUT", "/notes/a", &[("if-none-match", "*")], b"x");
        assert_eq!(answer.status, 201, "{kind}");
        assert_eq!(status(&server, "DELETE", "/notes/a", &[], b""), 204);
    }
    assert_left(&server, &site, &["notes/"]);
}

#[test]
fn where_they_are_required_a_change_without_conditions_is_refused() {
    let site = Site::of(&[("notes/a.json", b"{}")]);
    let server = Server::of(ENGINE, &site, &open_with(&["--require-preconditions"]));
    let merge = ("content-type", "application/merge-patch+json");
    let ask = |method: &str, fields: Fields<'_>| {
        let mut client = server.connect();
        let answer = client.say(
            method,
            "/notes/a.json",
            &[fields, &[merge]].concat(),
            b"{\"n\":1}",
        );
        answer.status
    };
    for method in ["PUT", "PATCH", "DELETE"] {
        assert_eq!(ask(method, &[]), 428, "{method}");
        // RFC 9110 §13.1.3: it says nothing to them.
        assert_eq!(
            ask(method, &[("if-modified-since", LONG_AGO)]),
            428,
            "{method}"
        );
    }
    server.get("/notes/a.json").assert_body(b"{}");
    let expecting = [("expect", "100-continue")];
    let mut client = server.connect();
    client.send(head("PUT", "/notes/a.json", &expecting, LONG));
    assert_eq!(client.answer().status, 428);
    let etag = server
        .get("/notes/a.json")
        .field("etag")
        .unwrap()
        .to_owned();
    assert_eq!(ask("PATCH", &[("if-match", &etag)]), 204);
    server.get("/notes/a.json").assert_body(b"{\"n\":1}");
    assert_eq!(ask("PUT", &[("if-unmodified-since", FAR_AHEAD)]), 204);
    // Nobody has seen what is not there, and a member is always new.
    assert_eq!(status(&server, "PUT", "/notes/new", &[], b""), 201);
    assert_eq!(status(&server, "POST", "/notes/", &[], b""), 201);
    assert_eq!(ask("DELETE", &[("if-match", "*")]), 204);
}

/// The digests of `alpha` (RFC 9530).
const ALPHA: &str = "sha-256=:jtP2rWhblZ6tcCJRjhr3bNgW+OjsfM3aHtQBjo8iI/g=:";
const OTHER: &str = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";

#[test]
fn content_has_the_digest_that_is_said_of_it() {
    let site = Site::of(&[("notes/a", b"old")]);
    let keys = Keys::new();
    let server = keys.server(ENGINE, &site, &OPEN);
    for (kind, mut client) in all_kinds(&keys, &server) {
        for name in ["repr-digest", "content-digest"] {
            for (value, content, expected) in [
                (OTHER, &b"alpha"[..], 400),
                (OTHER, &vec![0; LONG], 400),
                ("sha-256=:no base64:", b"alpha", 400),
            ] {
                let seen = status(&server, "PUT", "/notes/a", &[(name, value)], content);
                assert_eq!(seen, expected, "{name}: {value}");
                let seen = status(&server, "POST", "/notes/", &[(name, value)], content);
                assert_eq!(seen, expected, "{name}: {value}");
            }
        }
        server.get("/notes/a").assert_body(b"old");
        let wants = [("repr-digest", ALPHA), ("want-repr-digest", "sha-256=1")];
        let answer = client.say("PUT", "/notes/a", &wants, b"alpha");
        assert_eq!(
            (answer.status, answer.field("repr-digest")),
            (204, Some(ALPHA)),
            "{kind}"
        );
        put(&server, "/notes/a", b"old");
    }
    assert_left(&server, &site, &["notes/", "notes/a"]);
}
