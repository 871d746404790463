//! Who may read and who may write: no method, spelling or earlier answer gets around it.

use super::*;

fn site() -> Site {
    let site = Site::of(&[
        ("private/a", b"alpha"),
        ("private/index.html", b"index"),
        ("page.html", b"page"),
        ("closed/index.html", b"closed"),
        ("open", b"open"),
    ]);
    site.write("private/large", vec![b'x'; 200_000]);
    site
}

/// Every way to ask needs a credential, before and after somebody had one.
pub(crate) fn what_is_guarded_is_guarded_in_every_way(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let (users, tokens) = (users(&site, &["anna", "bob"]), tokens(&site, "robot", ""));
    let flags = [
        "--users",
        &users,
        "--tokens",
        &tokens,
        "--access",
        "/private/** read=user:anna,user:robot write=nobody",
        "--redirect",
        "/private/old /open 302",
    ];
    let server = keys.server(engine, &site, &flags);
    let (anna, bob) = (basic("anna", PASSWORD), basic("bob", PASSWORD));
    let robot = bearer(TOKEN);
    let etag = {
        let answer = server
            .connect()
            .say("GET", "/private/a", &[("Authorization", &anna)]);
        assert_eq!(answer.status, 200);
        answer.field("etag").unwrap().to_owned()
    };
    let rows: [(&str, &str, Fields<'_>, u16); 10] = [
        ("GET", "/private/a", &[], 200),
        ("HEAD", "/private/a", &[], 200),
        ("GET", "/private/a?x=y", &[], 200),
        ("GET", "/private/a", &[("If-None-Match", &etag)], 304),
        ("GET", "/private/a", &[("If-Match", "\"no\"")], 412),
        ("GET", "/private/a", &[("Range", "bytes=1-2")], 206),
        ("GET", "/private/large", &[], 200),
        ("GET", "/private/old", &[], 302),
        ("GET", "/private/none", &[], 404),
        ("GET", "/private", &[], 301),
    ];
    for (name, mut wire) in all_ways(&server, &keys) {
        for (method, path, fields, status) in rows {
            let what = format!("{method} {path} {fields:?} over {name}");
            let mut say = |authorization: Fields<'_>| {
                let answer = wire.say(method, path, &[fields, authorization].concat());
                assert!(answer.field("www-authenticate").is_none());
                answer.status
            };
            for known in [&anna, &robot] {
                let got = say(&[("Authorization", known)]);
                let is_right = got == status || (status, got) == (301, 308);
                assert!(is_right, "{got} {what}");
            }
            assert_eq!(say(&[("Authorization", &bob)]), 403, "{what}");
            let mut ask = |authorization: Fields<'_>| {
                let answer = wire.say(method, path, &[fields, authorization].concat());
                assert_eq!(answer.status, 401, "{what} {authorization:?}");
                assert_eq!(answer.values("www-authenticate").len(), 2, "{what}");
                assert!(!answer.body.starts_with(b"alpha"), "{what}");
                assert_eq!(answer.field("etag"), None, "{what}");
            };
            ask(&[]);
            // Of several nobody knows which one counts.
            ask(&[("Authorization", &anna), ("Authorization", &anna)]);
            ask(&[("Authorization", "Negotiate abc")]);
            ask(&[("Authorization", "")]);
        }
        let writes = wire.say("PUT", "/private/a", &[("Authorization", &anna)]);
        assert_eq!(writes.status, 403, "{name}");
        let open = wire.say("GET", "/open", &[]);
        assert_eq!((open.status, &open.body[..]), (200, &b"open"[..]));
    }
}

/// Whatever a path looks like: what it leads to is what counts.
#[test]
fn no_spelling_gets_around_a_rule() {
    let site = site();
    let users = users(&site, &["anna"]);
    for slashes in ["add", "remove", "ignore"] {
        for clean in ["off", "serve", "redirect"] {
            let flags = format!(
                "--users={users}
                 --access=/private/** read=users
                 --access=/page.html read=users
                 --access=/closed/index.html read=users
                 --trailing-slash={slashes}
                 --clean-urls={clean}
                 --list"
            );
            let flags = lines(&flags);
            let server = Server::of(ENGINE, &site, &flags);
            for path in [
                "/private/a",
                "/%70rivate/a",
                "/%70%72%69%76%61%74%65/%61",
                "//private/a",
                "/private//a",
                "/./private/a",
                "/private/./a",
                "/private/%2e/a",
                "/x/../private/a",
                "/x/%2e%2e/private/a",
                "/open/../private/a",
                "/private/x/../a",
                "/private%2fa",
                "/private/a/",
                "/private/a?x",
                "/private/a;x",
                "/private/a%00",
                "/private",
                "/private/",
                "/private/index",
                "/private/index.html",
                "/private/index.html/",
                "/page",
                "/page/",
                "/page.html",
                "/page%2ehtml",
                "/pag%65",
                "/page.html/",
                "/closed",
                "/closed/",
                "/closed/index",
                "/closed/index.html",
                "/closed/index.html/",
                "/./closed",
                "/closed/.",
                "/closed//",
                "http://a/private/a",
                "HTTP://A/%70rivate/a",
            ] {
                for (name, mut wire) in both_ways(&server) {
                    if path.starts_with('/') || name == "HTTP/1.1" {
                        let answer = wire.say("GET", path, &[]);
                        let leaks = [&b"alpha"[..], b"index", b"page", b"closed"];
                        let is_guarded = !leaks.contains(&&answer.body[..]);
                        let what = format!("{path} {slashes} {clean} {name}");
                        assert!(is_guarded, "{what}");
                        assert_ne!(answer.status, 200, "{what}");
                    }
                }
            }
        }
    }
}

/// A rule that lets in opens what it is for, and nothing that might be called so.
#[test]
fn what_is_open_opens_nothing_beside_it() {
    let files: [(&str, &[u8]); 6] = [
        ("page.html", b"page"),
        ("data", b"secret"),
        ("data.json", b"secret"),
        ("closed/a", b"secret"),
        ("public/index.html", b"public"),
        ("public/b", b"public"),
    ];
    let site = Site::of(&files);
    let users = users(&site, &["anna"]);
    for clean in ["off", "serve", "redirect"] {
        for slashes in ["add", "remove", "ignore"] {
            let flags = format!(
                "--users={users}
                 --access=read=users
                 --access=*.html read=anyone
                 --access=/public/** read=anyone
                 --clean-urls={clean}
                 --trailing-slash={slashes}
                 --list"
            );
            let server = Server::of(ENGINE, &site, &lines(&flags));
            let mut client = server.connect();
            for path in [
                "/data",
                "/data.json",
                "/closed/a",
                "/closed",
                "/closed/",
                "/",
            ] {
                let answer = client.say("GET", path, &[]);
                assert_eq!(answer.status, 401, "{path} {clean} {slashes}");
            }
            for path in ["/public/b", "/page.html"] {
                let answer = client.say("GET", path, &[]);
                let is_open = matches!(answer.status, 200 | 308);
                assert!(is_open, "{} {path} {clean} {slashes}", answer.status);
            }
        }
    }
}

/// Rules for pages say nothing of styles.
#[test]
fn a_rule_for_some_files_is_not_for_others() {
    let site = Site::of(&[("a.html", b""), ("a.css", b""), ("dir/b.css", b"")]);
    let users = users(&site, &["anna"]);
    let flags = format!(
        "--users={users}
         --access=*.html read=users
         --limit=*.html 1/h burst=1"
    );
    let server = Server::of(ENGINE, &site, &lines(&flags));
    for (path, status) in [("/a.html", 401), ("/a.css", 200), ("/dir/b.css", 200)] {
        for _ in 0..2 {
            let status = if status == 401 {
                [401, 429]
            } else {
                [status; 2]
            };
            let got = server.get(path).status;
            assert!(status.contains(&got), "{got} {path}");
        }
    }
}

/// Each site has rules of its own, whichever way its name is written.
#[test]
fn sites_have_rules_of_their_own() {
    let site = Site::of(&[("a/x", b"alpha"), ("b/x", b"beta")]);
    let users = users(&site, &["anna"]);
    let file = site.outside("downpour.toml");
    let text = format!(
        "[[site]]\nnames = [\"a.example\"]\nroot = \"root/a\"\nusers = {users:?}\n\
         access = \"read=users\"\nlimit = \"1/h burst=20 by=user\"\n\
         [[site]]\nnames = [\"b.example\"]\nroot = \"root/b\"\ncors = \"*\"\n\
         limit = \"1/h burst=9\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut command = serve(binary(), ENGINE);
    command.args(["--listen", "127.0.0.1:0", "--workers", "1", "--config"]);
    let server = Server::start(command.arg(&file));
    let get = |target: &str, host: &str| {
        let mut client = server.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.answer()
    };
    for host in ["a.example", "A.Example", "a.example:8080", "a.example."] {
        assert_ne!(get("/x", host).status, 200, "{host}");
    }
    assert_eq!(get("/x", "a.example").status, 401);
    // The target says which host is meant (RFC 9112 §3.2.2).
    assert_eq!(get("http://a.example/x", "b.example").status, 401);
    for remaining in (4..=8).rev() {
        let answer = get("/x", "b.example");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
        let state = answer.field("ratelimit").unwrap();
        assert!(state.contains(&format!("r={remaining};")), "{state}");
    }
    let mut streams = Http2::connect(server.address());
    for (host, status) in [("a.example", 401), ("b.example", 200), ("a.example", 401)] {
        let id = streams.open();
        let block = crate::http2_client::block(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/x"),
            (":authority", host),
        ]);
        let head = crate::http2_client::frame(1, 5, id, &block);
        streams.send(head);
        assert_eq!(streams.answer(id).status, status, "{host}");
    }
}

/// Bytes that were read by somebody who may are not given to who may not, from whichever tier of
/// the cache they come.
#[test]
fn an_answer_that_is_remembered_is_not_for_all() {
    let site = site();
    let tokens = tokens(&site, "robot", "");
    let flags = format!(
        "--tokens={tokens}
         --access=/private/** read=users
         --workers
         2"
    );
    let flags = lines(&flags);
    let server = Server::of(ENGINE, &site, &flags);
    let robot = bearer(TOKEN);
    let (known, other) = (
        [("Authorization", &robot[..])],
        [("Authorization", "Bearer other")],
    );
    // Connections go to both workers, sooner or later.
    for path in ["/private/a", "/private/large"] {
        for _ in 0..16 {
            let mut client = server.connect();
            assert_eq!(client.say("GET", path, &known).status, 200);
            assert_eq!(client.say("GET", path, &[]).status, 401);
            assert_eq!(client.say("GET", path, &other).status, 401);
            let mut streams = Http2::connect(server.address());
            assert_eq!(streams.say("GET", path, &[]).status, 401);
        }
    }
}

/// 401 asks for a credential; who has shown a good one is told that it does not do.
#[test]
fn reading_and_writing_are_permitted_by_path_user_and_scope() {
    let site = Site::of(&[("notes/a", b"alpha"), ("admin/b", b"beta"), ("open", b"")]);
    let users = users(&site, &["anna", "bob"]);
    let tokens = tokens(&site, "robot", "read write");
    let flags = [
        "--users",
        &users,
        "--tokens",
        &tokens,
        "--writable",
        "/notes/**",
        "--writable",
        "/admin/**",
        "--access",
        "/notes/** read=anyone write=users",
        "--access",
        "/admin/** read=users write=user:anna,claim:scope=write",
        "--access",
        "/admin/deep/** write=nobody",
    ];
    let server = Server::of(ENGINE, &site, &flags);
    let (anna, bob) = (basic("anna", PASSWORD), basic("bob", PASSWORD));
    let robot = bearer(TOKEN);
    let rows = [
        ("GET", "/notes/a", [200, 200, 200, 200]),
        ("PUT", "/notes/a", [401, 204, 204, 204]),
        ("PUT", "/%6eotes/a", [401, 204, 204, 204]),
        ("DELETE", "/notes/none", [401, 404, 404, 404]),
        ("GET", "/admin/b", [401, 200, 200, 200]),
        ("PUT", "/admin/b", [401, 204, 403, 204]),
        ("PATCH", "/admin/b", [401, 415, 403, 415]),
        ("POST", "/admin/", [401, 201, 403, 201]),
        ("PUT", "/admin/deep/c", [403, 403, 403, 403]),
        ("PUT", "/open", [405, 405, 405, 405]),
        ("GET", "/open", [200, 200, 200, 200]),
    ];
    for (way, mut wire) in both_ways(&server) {
        for (method, path, statuses) in rows {
            let whose = [None, Some(&anna), Some(&bob), Some(&robot)];
            for (who, status) in whose.into_iter().zip(statuses) {
                let authorization = who.map(|value| ("Authorization", &value[..]));
                let mut fields = vec![("Content-Length", "0")];
                fields.extend(authorization);
                let got = wire.say(method, path, &fields);
                assert_eq!(got.status, status, "{method} {path} of {who:?} over {way}");
            }
        }
    }
}

/// A page of another origin that nobody has allowed cannot have its visitor write.
#[test]
fn a_write_that_another_page_sends_is_refused() {
    let site = Site::of(&[("notes/a", b"alpha")]);
    let users = users(&site, &["anna"]);
    let flags = format!(
        "--users={users}
         --writable=/**
         --access=write=users
         --cors=https://app.example; credentials"
    );
    let flags = lines(&flags);
    let server = Server::of(ENGINE, &site, &flags);
    let anna = basic("anna", PASSWORD);
    let origins = [
        ("https://app.example", 204),
        ("http://a", 204),
        ("https://evil.example", 403),
        ("null", 403),
    ];
    for (_, mut wire) in both_ways(&server) {
        for (origin, status) in origins {
            let fields = [
                ("Authorization", &anna[..]),
                ("Origin", origin),
                ("Content-Length", "0"),
            ];
            assert_eq!(
                wire.say("PUT", "/notes/a", &fields).status,
                status,
                "{origin}"
            );
            assert_eq!(
                wire.say("GET", "/notes/a", &fields[..2]).status,
                200,
                "{origin}"
            );
        }
    }
}
