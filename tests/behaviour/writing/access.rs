//! Pages of other origins (Fetch §3.2), whose visitors a server knows.

use super::*;

#[test]
fn pages_of_other_origins_write_only_where_they_are_allowed() {
    let site = Site::new();
    let keys = Keys::new();
    let cors = "/notes/shared/** https://app.example; methods=GET,PUT,PATCH,DELETE,POST";
    let server = keys.server(ENGINE, &site, &open_with(&["--cors", cors]));
    for (kind, mut client) in all_kinds(&keys, &server) {
        let ask = |client: &mut dyn Speaks, method: &str, path: &str, fields: Fields<'_>| {
            client.say(method, path, fields, b"{}")
        };
        let (evil, app) = (
            ("origin", "https://evil.example"),
            ("origin", "https://app.example"),
        );
        let opaque = ("origin", "null");
        for origin in [evil, opaque] {
            for path in ["/notes/a", "/notes/shared/a"] {
                for method in ["PUT", "PATCH", "DELETE"] {
                    let answer = ask(&mut *client, method, path, &[origin]);
                    assert_eq!(answer.status, 403, "{kind}: {method} {path} of {origin:?}");
                    assert_eq!(answer.field("access-control-allow-origin"), None);
                }
            }
            let answer = ask(&mut *client, "POST", "/notes/shared/", &[origin]);
            assert_eq!(answer.status, 403, "{kind}");
            // What would be long is refused before it comes.
            let long = vec![b'x'; LONG];
            assert_eq!(status(&server, "PUT", "/notes/a", &[origin], &long), 403);
        }
        // Allowed here, and not there.
        assert_eq!(
            ask(&mut *client, "PUT", "/notes/a", &[app]).status,
            403,
            "{kind}"
        );
        let answer = ask(&mut *client, "PUT", "/notes/shared/a", &[app]);
        assert_eq!(answer.status, 201, "{kind}");
        assert_eq!(
            answer.field("access-control-allow-origin"),
            Some("https://app.example")
        );
        let vary = answer
            .field("vary")
            .unwrap_or_default()
            .to_ascii_lowercase();
        assert!(vary.contains("origin"), "{kind}: {vary}");
        // A preflight does not touch the resource.
        let preflight = client.say(
            "OPTIONS",
            "/notes/shared/a",
            &[app, ("access-control-request-method", "DELETE")],
            b"",
        );
        assert_eq!(preflight.status, 204, "{kind}");
        let methods = preflight.field("access-control-allow-methods").unwrap();
        assert!(methods.contains("DELETE"), "{kind}: {methods}");
        server.get("/notes/shared/a").assert_body(b"{}");
        // A page of the same origin, and who is no page.
        let scheme = if kind.ends_with("TLS") {
            "https"
        } else {
            "http"
        };
        let same = format!("{scheme}://a");
        let answer = ask(&mut *client, "PUT", "/notes/a", &[("origin", &same)]);
        assert_eq!(answer.status, 201, "{kind}: {same}");
        assert_eq!(
            ask(&mut *client, "DELETE", "/notes/shared/a", &[]).status,
            204,
            "{kind}"
        );
        assert_eq!(
            ask(&mut *client, "DELETE", "/notes/a", &[]).status,
            204,
            "{kind}"
        );
    }
    assert_left(&server, &site, &["notes/", "notes/shared/"]);
}

/// Content that waits for a password to be hashed is taken whole, and that of who is nobody is not.
#[test]
fn content_waits_until_it_is_known_whose_it_is() {
    let site = Site::new();
    let users = site.outside("users");
    let bcrypt = bcrypt::hash("secret", 6).unwrap();
    std::fs::write(&users, format!("ada:{bcrypt}\n")).unwrap();
    let flags = [
        "--writable",
        "/notes/**",
        "--users",
        users.to_str().unwrap(),
        "--access",
        "/notes/** read=anyone write=user:ada",
        "--workers",
        "1",
    ];
    let keys = Keys::new();
    let right = "Basic YWRhOnNlY3JldA==";
    let content = crate::rig::pattern(2 * LONG, 5);
    for number in 0..4 {
        // A new server, which remembers nobody.
        let server = keys.server(ENGINE, &site, &flags);
        let (kind, mut client) = all_kinds(&keys, &server).swap_remove(number);
        let path = format!("/notes/{number}");
        let answer = client.say("PUT", &path, &[("authorization", right)], &content);
        assert_eq!(answer.status, 201, "{kind}");
        server.get(&path).assert_body(&content);
        let (_, mut client) = all_kinds(&keys, &server).swap_remove(number);
        let wrong = [("authorization", "Basic YWRhOndyb25n")];
        let answer = client.say("PUT", &path, &wrong, &content[..LONG]);
        assert_eq!(answer.status, 401, "{kind}");
        let mut waiting = server.connect();
        waiting.send(head("PUT", &path, &[("expect", "100-continue")], LONG));
        assert_eq!(waiting.answer().status, 401, "{kind}");
        server.get(&path).assert_body(&content);
    }
}

/// 503 is for all requests, and most of all for those that change something.
#[test]
fn nothing_is_written_during_maintenance() {
    let site = Site::of(&[("notes/a", b"alpha"), ("notes/open/a", b"alpha")]);
    let switch = site.outside("closed");
    let flags = open_with(&[
        "--maintenance=/notes/*",
        "--maintenance-when",
        switch.to_str().unwrap(),
        "--retry-after",
        "7s",
    ]);
    let server = Server::of(ENGINE, &site, &flags);
    assert_eq!(status(&server, "PUT", "/notes/a", &[], b"beta"), 204);
    std::fs::write(&switch, "").unwrap();
    eventually("it is closed", || server.get("/notes/a").status == 503);
    for (method, path) in [
        ("PUT", "/notes/a"),
        ("PUT", "/notes/new"),
        ("PATCH", "/notes/a"),
        ("DELETE", "/notes/a"),
        ("POST", "/notes/"),
    ] {
        let fields = [("content-type", "application/merge-patch+json")];
        let answer = server.connect().say(method, path, &fields, b"{}");
        assert_eq!(answer.status, 503, "{method} {path}");
        assert_eq!(answer.field("retry-after"), Some("7"));
    }
    assert_eq!(status(&server, "PUT", "/notes/open/a", &[], b"beta"), 204);
    std::fs::remove_file(&switch).unwrap();
    eventually("it is open", || server.get("/notes/a").status == 200);
    server.get("/notes/a").assert_body(b"beta");
    assert_eq!(status(&server, "DELETE", "/notes/a", &[], b""), 204);
}
