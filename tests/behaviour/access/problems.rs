//! Errors: their forms (RFC 9457), and how the request is called that they are about.

use super::*;
use crate::rig::eventually;

fn site() -> Site {
    Site::of(&[("a", b"alpha"), ("errors/404.html", b"our own page")])
}

/// A browser's wishes.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/problem+json";

/// What is accepted, and the form that comes.
const FORMS: [(Option<&str>, &str); 7] = [
    (None, TEXT),
    (Some("*/*"), TEXT),
    (Some("image/png"), TEXT),
    (Some(BROWSER), HTML),
    (Some("application/json"), JSON),
    (Some("application/problem+json"), JSON),
    (Some("text/html;q=0.5, application/*"), JSON),
];

/// The error has this form; how its request is called.
#[track_caller]
fn check_form(answer: &Answer, form: &str, what: &str) -> String {
    assert_eq!(answer.field("content-type"), Some(form), "{what}");
    assert!(answer.values("vary").contains(&"Accept"), "{what}");
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    let id = answer.field("x-request-id").expect(what).to_owned();
    let (text, status) = (
        String::from_utf8(answer.body.clone()).unwrap(),
        answer.status,
    );
    match form {
        JSON => {
            let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(problem["status"], status, "{what}");
            assert_eq!(problem["request_id"], id, "{what}");
            assert_eq!(problem["type"], "about:blank");
            assert!(problem["title"].is_string() && problem["detail"].is_string());
        }
        HTML => {
            assert!(text.contains(&id), "{text}");
            assert!(text.contains(&status.to_string()), "{text}");
            assert!(answer.field("content-security-policy").is_some());
        }
        _ => assert!(text.starts_with(&status.to_string()), "{text}"),
    }
    id
}

pub(crate) fn errors_come_in_the_form_that_is_wanted(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let users = users(&site, &["anna"]);
    let log = site.outside("access.log");
    let log = log.to_str().unwrap();
    let flags = format!(
        "--users={users}
         --access=/private/** read=users
         --deny=/denied/** any
         --limit=/few 1/h burst=1 by=header:X-Key
         --access-log=json
         --log-file={log}"
    );
    let server = keys.server(engine, &site, &lines(&flags));
    let mut names = Vec::new();
    for (name, mut wire) in all_ways(&server, &keys) {
        let key = ("X-Key", name);
        wire.say("GET", "/few", &[key]);
        let rows = [
            ("GET", "/none", 404),
            ("GET", "/none", 404),
            ("GET", "/private/a", 401),
            ("GET", "/denied/a", 403),
            ("POST", "/a", 405),
            ("BREW", "/a", 501),
            ("GET", "/few", 429),
            ("GET", "/%00", 400),
        ];
        for ((method, path, status), (accept, form)) in rows
            .into_iter()
            .flat_map(|row| FORMS.map(|form| (row, form)))
        {
            let mut fields = vec![key];
            fields.extend(accept.map(|accept| ("Accept", accept)));
            let answer = wire.say(method, path, &fields);
            let what = format!("{method} {path} {accept:?} over {name}");
            assert_eq!(answer.status, status, "{what}");
            names.push((check_form(&answer, form, &what), status));
            if method == "GET" {
                let head = wire.say("HEAD", path, &fields);
                assert_eq!((head.status, head.body.len()), (status, 0), "{what}");
                assert_eq!(head.field("content-type"), Some(form), "{what}");
                names.push((head.field("x-request-id").unwrap().to_owned(), status));
            }
        }
        assert_eq!(wire.say("GET", "/a", &[]).field("x-request-id"), None);
    }
    eventually("all lines", || json_lines(log).len() == names.len() + 2 * 4);
    let lines = json_lines(log);
    let logged = lines
        .iter()
        .map(|line| (line["id"].as_str().unwrap(), &line["status"]));
    let logged: std::collections::HashMap<_, _> = logged.collect();
    assert_eq!(
        logged.len(),
        lines.len(),
        "no two requests are called alike"
    );
    for (id, status) in &names {
        assert_eq!(*logged[&**id], *status, "{id}");
    }
}

/// Texts never hold what a peer has sent, unless it cannot mean anything.
#[test]
fn nothing_breaks_out_of_an_error() {
    let site = site();
    let flags = ["--trusted-proxies", "127.0.0.1", "--request-id"];
    let server = Server::of(ENGINE, &site, &flags);
    let mut client = server.connect();
    for evil in [
        "<script>alert(1)</script>",
        "\"},{\"a\":\"",
        "&lt;",
        "a'b\"c\\",
    ] {
        for accept in ["application/json", "text/html"] {
            let path = format!(
                "/{}",
                evil.replace([' ', '<', '>', '"', '\\', '{', '}'], "%3c")
            );
            let fields = [
                ("X-Request-Id", evil),
                ("Accept", accept),
                ("Referer", evil),
            ];
            let answer = client.say("GET", &path, &fields);
            assert_eq!(answer.status, 404);
            let text = String::from_utf8(answer.body).unwrap();
            match accept {
                "text/html" => {
                    assert!(!text.contains("<script") && !text.contains(evil), "{text}");
                }
                _ => {
                    let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
                    let own = problem["request_id"].as_str().unwrap();
                    assert!(own == evil || !own.contains(evil));
                }
            }
        }
    }
}

#[test]
fn a_page_of_the_site_stays_as_it_is() {
    let site = site();
    let flags = ["--error-page", "404=/errors/404.html", "--request-id"];
    let server = Server::of(ENGINE, &site, &flags);
    for (name, mut wire) in both_ways(&server) {
        for accept in ["application/json", BROWSER, "*/*"] {
            for _ in 0..2 {
                let answer = wire.say("GET", "/none", &[("Accept", accept)]);
                assert_eq!(
                    (answer.status, &answer.body[..]),
                    (404, &b"our own page"[..]),
                    "{name}"
                );
                assert!(answer.field("x-request-id").is_some());
            }
        }
    }
}

/// The name of a request is its own, unless a trusted peer has given it one.
#[test]
fn only_a_trusted_peer_names_a_request() {
    let site = site();
    let log = site.outside("access.log");
    let log = log.to_str().unwrap();
    let flags = format!(
        "--request-id
         --trusted-proxies=127.0.0.9
         --access-log=json
         --log-file={log}"
    );
    let flags = lines(&flags);
    let server = Server::of(ENGINE, &site, &flags);
    let mut told = Vec::new();
    let mut ask = |source: &str, sent: Option<&str>| {
        let fields: Vec<_> = sent
            .map(|sent| ("X-Request-Id", sent))
            .into_iter()
            .collect();
        for path in ["/a", "/none"] {
            let answer = connect_from(source, server.address()).say("GET", path, &fields);
            let id = answer.field("x-request-id").unwrap().to_owned();
            assert!(!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()));
            told.push(id);
        }
        told.last().unwrap().clone()
    };
    assert_eq!(ask("127.0.0.9", Some("from-the-edge-1")), "from-the-edge-1");
    assert_ne!(ask("127.0.0.1", Some("from-the-edge-2")), "from-the-edge-2");
    let made = ask("127.0.0.9", None);
    assert!(made.len() >= 16, "{made}");
    for strange in ["a b", "a\tb", &"x".repeat(300), "\u{e4}"] {
        assert_ne!(ask("127.0.0.9", Some(strange)), strange);
    }
    eventually("all lines", || json_lines(log).len() == told.len());
    let lines = json_lines(log);
    let logged: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["id"].as_str())
        .collect();
    assert_eq!(logged, told);
    // Over HTTP/2, each stream has a name of its own.
    let mut streams = Http2::connect(server.address());
    let ids: Vec<u32> = (0..20).map(|_| streams.ask("GET", "/a", &[])).collect();
    let mut names: Vec<String> = ids
        .into_iter()
        .map(|id| streams.answer(id).field("x-request-id").unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 20);
}

/// What cannot be understood is told in the same way.
#[test]
fn a_request_that_cannot_be_read_is_an_error_like_others() {
    let site = site();
    let log = site.outside("access.log");
    let log = log.to_str().unwrap();
    let flags = ["--access-log", "json", "--log-file", log];
    let server = Server::of(ENGINE, &site, &flags);
    let rows = [
        ("GET /a HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
            400,
        ),
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET /a HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)),
            414,
        ),
        (
            format!(
                "GET /a HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
                "x".repeat(40_000)
            ),
            431,
        ),
    ];
    let mut told = Vec::new();
    for (request, status) in &rows {
        let mut client = server.connect();
        client.try_send(request);
        let answer = client.answer();
        assert_eq!(answer.status, *status);
        told.push((answer.field("x-request-id").map(str::to_owned), *status));
    }
    eventually("a line for each", || json_lines(log).len() == rows.len());
    for (line, (id, status)) in json_lines(log).iter().zip(&told) {
        assert_eq!(line["status"], *status);
        assert_eq!(line["address"], "127.0.0.1");
        assert_eq!(line["id"].as_str(), id.as_deref());
    }
}
