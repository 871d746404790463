//! What pages of other origins may read (the Fetch standard, §3.2), on every kind of answer.

use super::*;

const APP: &str = "https://app.example";
const RULE: &str = "/api/** https://app.example https://*.b.example http://localhost:*; \
                    credentials; expose=X-Total, ETag";

/// Origins that the rule does not have, though they look like it.
const STRANGERS: [&str; 9] = [
    "null",
    "http://app.example",
    "https://app.example:8443",
    "https://app.example.evil.example",
    "https://evilapp.example",
    "https://b.example",
    "https://evilb.example",
    "https://evil.example/.b.example",
    "https://localhost",
];

fn site() -> Site {
    let site = Site::of(&[("api/a", b"alpha"), ("api/private/b", b"beta"), ("c", b"")]);
    site.write("api/large", vec![b'x'; 200_000]);
    site
}

/// Every list of `Vary`, as one set of names.
fn vary(answer: &Answer) -> Vec<String> {
    let lists = answer.values("vary").join(",").to_ascii_lowercase();
    lists
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect()
}

#[track_caller]
fn assert_allowed(answer: &Answer, origin: &str, what: &str) {
    let allowed = answer.field("access-control-allow-origin");
    assert_eq!(allowed, Some(origin), "{what}");
    let credentials = answer.field("access-control-allow-credentials");
    assert_eq!(credentials, Some("true"), "{what}");
    assert!(vary(answer).contains(&"origin".to_owned()), "{what}");
}

#[track_caller]
fn assert_not_allowed(answer: &Answer, what: &str) {
    for name in ["origin", "credentials", "methods", "headers"] {
        let field = format!("access-control-allow-{name}");
        assert_eq!(answer.field(&field), None, "{what}");
    }
    assert_eq!(
        answer.field("access-control-expose-headers"),
        None,
        "{what}"
    );
    // A cache must not give one origin what another was told.
    assert!(vary(answer).contains(&"origin".to_owned()), "{what}");
}

/// Hits and misses, parts, redirects, and refusals of every room.
pub(crate) fn every_answer_says_who_may_read_it(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let users = users(&site, &["anna"]);
    let flags = format!(
        "--cors={RULE}
         --users={users}
         --access=/api/private/** read=users
         --redirect=/api/old /api/a 302
         --limit=/api/few 1/h burst=1 by=header:X-Key
         --header=/api/** Vary: Accept-Language"
    );
    let flags = lines(&flags);
    let server = keys.server(engine, &site, &flags);
    let etag = server.get("/api/a").field("etag").unwrap().to_owned();
    for (number, (name, mut wire)) in all_ways(&server, &keys).into_iter().enumerate() {
        let key = number.to_string();
        wire.say("GET", "/api/few", &[("X-Key", &key)]);
        let rows: [(&str, &str, Fields<'_>, u16); 13] = [
            ("GET", "/api/a", &[], 200),
            ("HEAD", "/api/a", &[], 200),
            ("GET", "/api/large", &[], 200),
            ("GET", "/api/a", &[("If-None-Match", &etag)], 304),
            ("GET", "/api/a", &[("Range", "bytes=1-2")], 206),
            ("GET", "/api/large", &[("Range", "bytes=9-,0-1")], 206),
            ("GET", "/api/a", &[("Range", "bytes=9-")], 416),
            ("GET", "/api/old", &[], 302),
            ("GET", "/api/none", &[], 404),
            ("GET", "/api/none", &[("Accept", "application/json")], 404),
            ("GET", "/api/private/b", &[], 401),
            ("POST", "/api/a", &[], 405),
            ("GET", "/api/few", &[("X-Key", &key)], 429),
        ];
        for (method, path, fields, status) in rows {
            let mut say = |origin: &str| {
                let fields = [fields, &[("Origin", origin)]].concat();
                let answer = wire.say(method, path, &fields);
                let what = format!("{method} {path} for {origin} over {name}");
                assert_eq!(answer.status, status, "{what}");
                (answer, what)
            };
            for origin in [
                APP,
                "https://x.b.example",
                "https://y.x.b.example",
                "http://localhost:3000",
            ] {
                let (answer, what) = say(origin);
                assert_allowed(&answer, origin, &what);
                let exposed = answer.field("access-control-expose-headers");
                assert_eq!(exposed, Some("X-Total, ETag"), "{what}");
            }
            for origin in STRANGERS {
                let (answer, what) = say(origin);
                assert_not_allowed(&answer, &what);
            }
            let answer = wire.say(method, path, fields);
            assert_not_allowed(&answer, &format!("{method} {path} without an origin"));
        }
        let twice = [("Origin", APP), ("Origin", APP)];
        assert_not_allowed(&wire.say("GET", "/api/a", &twice), "two origins");
        // The rules of the site keep their say.
        assert!(vary(&wire.say("GET", "/api/a", &[])).contains(&"accept-language".to_owned()));
        let other = wire.say("GET", "/c", &[("Origin", APP)]);
        assert_eq!(other.field("access-control-allow-origin"), None);
        assert!(!vary(&other).contains(&"origin".to_owned()));
    }
}

/// What a preflight wants to send besides.
const WANTS: [(&str, &str); 1] = [("Access-Control-Request-Headers", "content-type,x-a")];

/// A preflight is answered whatever stands at its path, whoever may read it.
pub(crate) fn preflights_touch_nothing(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let users = users(&site, &["anna"]);
    let flags = format!(
        "--cors=/api/** https://app.example; credentials; max-age=90s
         --cors=/api/narrow/** https://app.example; methods=GET, PUT; headers=X-A, X-B
         --cors=/api/home/** https://app.example; private-network
         --cors=/open/** *
         --users={users}
         --access=/api/private/** read=users
         --limit=/api/** 1/h burst=1"
    );
    let server = keys.server(engine, &site, &lines(&flags));
    for (_, mut wire) in all_ways(&server, &keys) {
        let mut ask = |path: &str, origin: &str, more: Fields<'_>| {
            let fields = [("Origin", origin), ("Access-Control-Request-Method", "PUT")];
            let answer = wire.say("OPTIONS", path, &[&fields, more].concat());
            assert_eq!(answer.status, 204, "{path}");
            assert_eq!(answer.field("content-length"), None, "RFC 9110 §8.6");
            assert!(answer.body.is_empty());
            answer
        };
        for path in ["/api/a", "/api/none", "/api/private/b", "/api/", "/api/a?b"] {
            assert_tells_all(&ask(path, APP, &WANTS));
            assert_not_allowed(&ask(path, "https://evil.example", &WANTS), path);
        }
        // What a preflight asks for cannot break out of its field.
        let strange = [("Access-Control-Request-Headers", "x-a;y, \"z\"")];
        let answer = ask("/api/a", APP, &strange);
        assert_eq!(told(&answer, "allow-headers"), None);
        let answer = ask("/api/narrow/x", APP, &WANTS);
        assert_eq!(told(&answer, "allow-methods"), Some("GET, PUT"));
        assert_eq!(told(&answer, "allow-headers"), Some("X-A, X-B"));
        assert_eq!(told(&answer, "allow-credentials"), None);
        let near = [("Access-Control-Request-Private-Network", "true")];
        let network = |answer: Answer| told(&answer, "allow-private-network").map(str::to_owned);
        assert_eq!(network(ask("/api/home/x", APP, &near)).unwrap(), "true");
        assert_eq!(network(ask("/api/home/x", APP, &[])), None);
        assert_eq!(network(ask("/api/a", APP, &near)), None);
        let answer = ask("/open/x", "null", &WANTS);
        assert_eq!(told(&answer, "allow-origin"), Some("*"));
        assert_eq!(told(&answer, "allow-credentials"), None);
        // Not a preflight: the server says what it can do.
        let answer = wire.say("OPTIONS", "/open/x", &[("Origin", APP)]);
        let allow = answer.field("allow").unwrap();
        assert!(allow.contains("GET"), "{allow}");
    }
}

/// A field about other origins.
fn told<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.field(&format!("access-control-{name}"))
}

/// The answer to an allowed preflight that `WANTS`.
#[track_caller]
fn assert_tells_all(answer: &Answer) {
    assert_allowed(answer, APP, "a preflight");
    assert_eq!(told(answer, "allow-headers"), Some("content-type,x-a"));
    assert_eq!(told(answer, "max-age"), Some("90"));
    let methods = told(answer, "allow-methods").unwrap();
    assert!(methods.split(", ").any(|one| one == "PUT"), "{methods}");
    let vary = vary(answer);
    for name in ["method", "headers", "private-network"] {
        let name = format!("access-control-request-{name}");
        assert!(vary.contains(&name), "{vary:?}");
    }
}

#[test]
fn answers_for_any_origin_are_the_same_for_all() {
    let site = site();
    let server = Server::of(ENGINE, &site, &["--cors", "*; expose=ETag"]);
    for (name, mut wire) in both_ways(&server) {
        for fields in [&[][..], &[("Origin", APP)], &[("Origin", "null")]] {
            let answer = wire.say("GET", "/api/a", fields);
            assert_eq!(
                answer.field("access-control-allow-origin"),
                Some("*"),
                "{name}"
            );
            assert_eq!(answer.field("access-control-allow-credentials"), None);
            assert_eq!(answer.field("access-control-expose-headers"), Some("ETag"));
            assert!(!vary(&answer).contains(&"origin".to_owned()), "{name}");
        }
    }
}

#[test]
fn the_last_rule_that_is_for_a_path_counts() {
    let site = site();
    let flags = lines(
        "--cors=https://app.example
         --cors=/api/** https://other.example
         --cors=/api/a https://app.example; credentials",
    );
    let server = Server::of(ENGINE, &site, &flags);
    let mut client = server.connect();
    for (path, allowed) in [("/c", true), ("/api/private/b", false), ("/api/a", true)] {
        let answer = client.say("GET", path, &[("Origin", APP)]);
        let told = answer.field("access-control-allow-origin");
        assert_eq!(told, allowed.then_some(APP), "{path}");
    }
}

#[test]
fn credentials_for_any_origin_are_refused_at_the_start() {
    let site = site();
    for rule in [
        "*; credentials",
        "/api/** *;credentials",
        "/api/** *  ; max-age=1m; credentials",
    ] {
        let said = refusal(&site, &["--cors", rule]);
        assert!(said.contains("--cors does not take"), "{said}");
        assert!(said.contains("named"), "{said}");
    }
}

/// What lists of addresses keep out gets no answer of another kind.
#[test]
fn a_preflight_from_an_address_that_is_denied_is_refused() {
    let site = site();
    let flags = ["--cors", "*", "--deny", "/api/** 127.0.0.0/8"];
    let server = Server::of(ENGINE, &site, &flags);
    let fields = [("Origin", APP), ("Access-Control-Request-Method", "GET")];
    assert_eq!(
        server.connect().say("OPTIONS", "/api/a", &fields).status,
        403
    );
    assert_eq!(server.connect().say("OPTIONS", "/c", &fields).status, 204);
}
