//! What is never written, whatever the path, and what a path says that may be.

use std::os::unix::fs::symlink;

use super::*;

/// A request of every method that writes; none of them may do anything.
#[track_caller]
fn assert_refused(server: &Server, path: &str, expected: &[u16]) {
    let long = vec![b'x'; LONG];
    let merge = [("content-type", "application/merge-patch+json")];
    let range = [
        ("content-type", "application/octet-stream"),
        ("content-range", "bytes 0-0/*"),
    ];
    let requests: [(&str, Fields<'_>, &[u8]); 6] = [
        ("PUT", &[], b"{}"),
        ("PUT", &[], &long),
        ("PATCH", &merge, b"{}"),
        ("PATCH", &range, b"x"),
        ("DELETE", &[], b""),
        ("POST", &[], b"{}"),
    ];
    for (method, fields, content) in requests {
        let answer = server.connect().say(method, path, fields, content);
        assert!(
            expected.contains(&answer.status) || answer.status == 405,
            "{method} {path}: {}",
            answer.status
        );
    }
}

#[test]
fn names_that_are_not_shown_are_not_written() {
    let site = Site::of(&[
        ("_headers", b"/*\n  X-A: b\n"),
        ("_redirects", b"/old /new\n"),
        ("notes/.env", b"{}"),
        ("notes/.git/config", b"{}"),
        ("notes/.downpour.0123.tmp", b"{}"),
        ("plain", b"{}"),
    ]);
    let everything = ["--writable", "/**", "--allow-anonymous-writes"];
    for hidden in [&[][..], &["--hidden"]] {
        let server = Server::of(ENGINE, &site, &[&everything[..], hidden].concat());
        let before = tree(&site.root());
        let never = [
            "/_headers",
            "/_redirects",
            "/notes/.downpour.0123.tmp",
            "/.downpour.x.tmp",
        ];
        let unless_shown = [
            "/notes/.env",
            "/notes/.git/config",
            "/notes/.new",
            "/.new/a",
        ];
        let encoded = [
            "/%5fheaders",
            "/notes/%2edownpour.0123.tmp",
            "/notes//.downpour.0123.tmp",
        ];
        for path in [&never[..], &encoded].concat() {
            assert_refused(&server, path, &[403, 404]);
            // In it, and as a collection.
            assert_refused(&server, &format!("{path}/"), &[403, 404, 409]);
        }
        if hidden.is_empty() {
            for path in unless_shown {
                assert_refused(&server, path, &[403, 404]);
            }
        }
        assert_eq!(tree(&site.root()), before);
        for path in [
            "notes/.env",
            "notes/.git/config",
            "notes/.downpour.0123.tmp",
        ] {
            assert_eq!(std::fs::read(site.path(path)).unwrap(), b"{}", "{path}");
        }
        assert_eq!(
            server.get("/plain").field("x-a"),
            Some("b"),
            "rules are obeyed"
        );
        // Below the root these are names as any.
        assert_eq!(status(&server, "PUT", "/notes/_headers", &[], b"x"), 201);
        assert_eq!(status(&server, "DELETE", "/notes/_headers", &[], b""), 204);
    }
    let server = Server::of(ENGINE, &site, &[&everything[..], &["--hidden"]].concat());
    assert_eq!(status(&server, "PUT", "/notes/.env", &[], b"shown"), 204);
    server.get("/notes/.env").assert_body(b"shown");
}

#[test]
fn nothing_is_written_through_links_or_outside() {
    let site = Site::of(&[("notes/a", b"alpha"), ("plain/b", b"beta")]);
    let outside = site.outside("secret");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("x"), b"secret").unwrap();
    symlink(&outside, site.path("notes/out")).unwrap();
    symlink("../plain", site.path("notes/in")).unwrap();
    symlink(outside.join("x"), site.path("notes/file")).unwrap();
    symlink("a", site.path("notes/alias")).unwrap();
    symlink("nowhere", site.path("notes/dangling")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        site.path("notes/fifo"),
        rustix::fs::FileType::Fifo,
        0o666.into(),
        0,
    )
    .unwrap();
    for links in [&[][..], &["--follow-symlinks"]] {
        let server = Server::of(ENGINE, &site, &open_with(links));
        let before = tree(&site.root());
        for path in [
            "/notes/out/x",
            "/notes/out/new",
            "/notes/out/new/er",
            "/notes/in/b",
            "/notes/in/new",
        ] {
            assert_refused(&server, path, &[403]);
        }
        for path in ["/notes/out/", "/notes/in/"] {
            assert_refused(&server, path, &[403, 404]);
        }
        // A link itself is neither written through nor replaced nor removed.
        for path in [
            "/notes/file",
            "/notes/alias",
            "/notes/dangling",
            "/notes/fifo",
        ] {
            assert_refused(&server, path, &[403]);
        }
        for path in [
            "/notes/../plain/b",
            "/notes/../../secret/x",
            "/notes/%2e%2e/plain/b",
            "/notes/..%2fplain/b",
            "/notes/a%00b",
            "/notes/a/b",
        ] {
            assert_refused(&server, path, &[400, 403, 404, 409]);
        }
        assert_refused(&server, &format!("/notes/{}", "x".repeat(300)), &[414, 404]);
        assert_eq!(tree(&site.root()), before);
        assert_eq!(std::fs::read(outside.join("x")).unwrap(), b"secret");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(std::fs::read(site.path("plain/b")).unwrap(), b"beta");
        server.get("/notes/a").assert_body(b"alpha");
    }
}

/// Rules are for what is written, however its path is spelled.
#[test]
fn no_spelling_of_a_path_leads_past_a_rule() {
    let site = Site::of(&[("notes/private/a", b"alpha"), ("plain/b", b"beta")]);
    let flags = [
        "--writable",
        "/notes/**",
        "--access",
        "/notes/** write=anyone",
        "--access",
        "/notes/private/** write=nobody",
    ];
    let server = Server::of(ENGINE, &site, &flags);
    let before = tree(&site.root());
    for path in [
        "/notes/private/",
        "/notes//private/",
        "//notes/private/",
        "/notes/./private/",
        "/notes/%70rivate/",
        "/%6eotes/priv%61te/",
        "/notes/x/../private/",
        "/notes/private%2f",
        "/notes/private//",
        "/notes/private/%2e/",
        "/notes/../plain/",
        "/notes/..%2fplain/",
        "/notes/%2e%2e/plain/",
        "/notes/%2e%2e%2fplain/",
        "http://a/notes/private/",
    ] {
        for name in ["a", "b", "new", ""] {
            assert_refused(&server, &format!("{path}{name}"), &[400, 403, 404]);
        }
    }
    assert_eq!(tree(&site.root()), before);
    assert_eq!(
        std::fs::read(site.path("notes/private/a")).unwrap(),
        b"alpha"
    );
    assert_eq!(std::fs::read(site.path("plain/b")).unwrap(), b"beta");
    // And one that may be written is, in every spelling.
    for path in [
        "/notes/x",
        "/%6eotes/x",
        "/notes//x",
        "/notes/%78",
        "http://a/notes/x",
    ] {
        let status = status(&server, "PUT", path, &[], b"x");
        assert!(matches!(status, 201 | 204), "{path}: {status}");
    }
    assert_left(
        &server,
        &site,
        &[
            "notes/",
            "notes/private/",
            "notes/private/a",
            "notes/x",
            "plain/",
            "plain/b",
        ],
    );
}

#[test]
fn what_is_mounted_is_written_where_it_is_mounted() {
    let site = Site::of(&[("notes/m/below", b"hidden by the mount"), ("notes/a", b"")]);
    let mounted = site.outside("mounted");
    std::fs::create_dir(&mounted).unwrap();
    let mount = format!("/notes/m={}", mounted.display());
    let server = Server::of(ENGINE, &site, &open_with(&["--mount", &mount]));
    assert_eq!(
        status(&server, "PUT", "/notes/m/x", &[], b"in the mount"),
        201
    );
    assert_eq!(
        status(&server, "PUT", "/notes/m/d/y", &[], &vec![b'y'; LONG]),
        201
    );
    assert_eq!(std::fs::read(mounted.join("x")).unwrap(), b"in the mount");
    server.get("/notes/m/x").assert_body(b"in the mount");
    assert_eq!(tree(&mounted), ["d/", "d/y", "x"]);
    let listed = String::from_utf8(server.get("/notes/m/").body).unwrap();
    assert!(
        listed.contains("\"/notes/m/x\"") && !listed.contains("below"),
        "{listed}"
    );
    assert_eq!(status(&server, "DELETE", "/notes/m/d/y", &[], b""), 204);
    assert_eq!(status(&server, "DELETE", "/notes/m/d/", &[], b""), 204);
    assert_eq!(status(&server, "DELETE", "/notes/m/x", &[], b""), 204);
    assert_eq!(status(&server, "DELETE", "/notes/m/", &[], b""), 403);
    assert_eq!(status(&server, "PUT", "/notes/m", &[], b"x"), 409);
    assert_left(
        &server,
        &site,
        &["notes/", "notes/a", "notes/m/", "notes/m/below"],
    );
    assert!(mounted.exists());
    // A root of its own is not removed, either.
    let root = Site::new();
    let server = Server::of(
        ENGINE,
        &root,
        &["--writable", "/**", "--allow-anonymous-writes"],
    );
    assert_eq!(status(&server, "DELETE", "/", &[], b""), 403);
    assert!(root.root().exists());
}

#[test]
fn every_path_says_what_may_be_asked_of_it() {
    let site = Site::of(&[("notes/a.json", b"{}"), ("plain", b"")]);
    let keys = Keys::new();
    let server = keys.server(ENGINE, &site, &OPEN);
    let reading = "GET, HEAD, OPTIONS";
    let resource = "GET, HEAD, OPTIONS, PUT, PATCH, DELETE";
    let collection = "GET, HEAD, OPTIONS, POST, DELETE";
    let formats =
        "application/merge-patch+json, application/json-patch+json, application/octet-stream";
    for (kind, mut client) in all_kinds(&keys, &server) {
        for (path, allow, patches) in [
            ("/notes/a.json", resource, Some(formats)),
            ("/notes/none", resource, Some(formats)),
            ("/notes/", collection, None),
            ("/plain", reading, None),
            ("/notes", reading, None),
        ] {
            let options = client.say("OPTIONS", path, &[], b"");
            assert_eq!(options.status, 204, "{kind}: {path}");
            assert_eq!(options.field("allow"), Some(allow), "{kind}: {path}");
            assert_eq!(options.field("accept-patch"), patches, "{kind}: {path}");
        }
        for (method, path, allow) in [
            ("PUT", "/plain", reading),
            ("PUT", "/new", reading),
            ("DELETE", "/notes", reading),
            ("PATCH", "/", reading),
            ("POST", "/plain/", reading),
            ("POST", "/notes/a.json", resource),
            ("PUT", "/notes/", collection),
            ("PUT", "/notes/new/", collection),
            ("PATCH", "/notes/", collection),
            ("TRACE", "/plain", reading),
        ] {
            let content: &[u8] = if method == "TRACE" { b"" } else { b"x" };
            let refused = client.say(method, path, &[], content);
            assert_eq!(refused.status, 405, "{kind}: {method} {path}");
            assert_eq!(
                refused.field("allow"),
                Some(allow),
                "{kind}: {method} {path}"
            );
        }
    }
    assert_left(&server, &site, &["notes/", "notes/a.json", "plain"]);
}
