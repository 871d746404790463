//! `Idempotency-Key`: who asks again gets the first answer, and nothing is done twice.

use base64::Engine as _;

use super::*;

const JSON: (&str, &str) = ("content-type", "application/json");

fn post(server: &Server, key: &str, content: &[u8]) -> Answer {
    post_as(server, &[], key, content)
}

fn post_as(server: &Server, fields: Fields<'_>, key: &str, content: &[u8]) -> Answer {
    let fields = [fields, &[JSON, ("idempotency-key", key)]].concat();
    server.connect().say("POST", "/notes/", &fields, content)
}

/// How many members there are.
fn members(site: &Site) -> usize {
    let names = std::fs::read_dir(site.path("notes"));
    names.into_iter().flatten().count()
}

/// The value of `Authorization` for Basic.
fn basic(user: &str, password: &str) -> String {
    let pair = format!("{user}:{password}");
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
}

#[test]
fn the_first_answer_is_given_again() {
    let site = Site::new();
    let keys = Keys::new();
    let server = keys.server(ENGINE, &site, &open_with(&["--workers", "2"]));
    let first = post(&server, "\"k1\"", b"{\"n\":1}");
    assert_eq!(first.status, 201);
    let again = [JSON, ("idempotency-key", "\"k1\"")];
    for (kind, mut client) in all_kinds(&keys, &server) {
        let answer = client.say("POST", "/notes/", &again, b"{\"n\":1}");
        assert_eq!(answer.status, 201, "{kind}");
        for name in ["location", "etag", "last-modified"] {
            assert_eq!(answer.field(name), first.field(name), "{kind}");
        }
        let other = client.say("POST", "/notes/", &again, b"{\"n\":2}");
        assert_eq!(other.status, 422, "{kind}");
        let fields = [("content-type", "text/plain"), again[1]];
        let other = client.say("POST", "/notes/", &fields, b"{\"n\":1}");
        assert_eq!(other.status, 422, "{kind}: another type");
    }
    assert_eq!(members(&site), 1);
    // The key is one of this collection.
    let elsewhere = server
        .connect()
        .say("POST", "/notes/deep/", &again, b"{\"n\":1}");
    assert_eq!(elsewhere.status, 201);
    assert_ne!(elsewhere.field("location"), first.field("location"));
    for (key, expected) in [
        ("", 400),
        ("\"\"", 400),
        ("\"open", 400),
        (&"x".repeat(257), 400),
    ] {
        assert_eq!(post(&server, key, b"{}").status, expected, "{key}");
    }
    // Long content, which lies in a draft.
    let long = vec![b' '; LONG];
    let first = post(&server, "k2", &long);
    assert_eq!(first.status, 201);
    assert_eq!(
        post(&server, "k2", &long).field("location"),
        first.field("location")
    );
    assert_eq!(post(&server, "k2", &long[1..]).status, 422);
    // What has failed has done nothing, and may be tried again.
    put(&server, "/notes/file", b"x");
    let fields = [JSON, ("idempotency-key", "k3")];
    let ask = || {
        server
            .connect()
            .say("POST", "/notes/file/", &fields, b"{}")
            .status
    };
    assert_eq!(ask(), 409);
    assert_eq!(status(&server, "DELETE", "/notes/file", &[], b""), 204);
    assert_eq!(ask(), 201);
}

#[test]
fn a_patch_with_a_key_is_done_once() {
    let site = Site::of(&[("notes/log", b"")]);
    let server = Server::of(ENGINE, &site, &OPEN);
    let append = |key: &str, at: usize| {
        let range = format!("bytes {at}-{at}/*");
        let fields = [
            ("content-type", "application/octet-stream"),
            ("content-range", &range),
            ("idempotency-key", key),
        ];
        server.connect().say("PATCH", "/notes/log", &fields, b"x")
    };
    let first = append("a", 0);
    assert_eq!(first.status, 204);
    assert_eq!(append("b", 1).status, 204);
    let again = append("a", 0);
    assert_eq!(
        (again.status, again.field("etag")),
        (204, first.field("etag"))
    );
    assert_eq!(append("a", 2).status, 422, "another range");
    server.get("/notes/log").assert_body(b"xx");
}

#[test]
fn of_many_requests_with_one_key_one_is_done() {
    let site = Site::new();
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "2"]));
    for round in 0..4 {
        let key = format!("key {round}");
        let content = vec![b'x'; if round % 2 == 0 { 10 } else { LONG }];
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..12)
                .map(|_| scope.spawn(|| post(&server, &key, &content)))
                .collect();
            asking.into_iter().map(|ask| ask.join().unwrap()).collect()
        });
        let made = answers.iter().filter(|answer| answer.status == 201);
        let mut locations: Vec<_> = made.map(|answer| answer.field("location")).collect();
        locations.dedup();
        assert_eq!(locations.len(), 1, "{locations:?}");
        let is_right = |answer: &Answer| matches!(answer.status, 201 | 409);
        assert!(answers.iter().all(is_right), "{answers:?}");
        assert_eq!(members(&site), round + 1);
    }
}

/// Whoever comes while the first one is being done is told so.
#[test]
fn who_asks_meanwhile_is_told_to_come_again() {
    let site = Site::new();
    let server = Server::of(ENGINE, &site, &OPEN);
    put(&server, "/notes/warm", b"");
    // Half a second for each fsync.
    let mut tracer = slowed(&server, "fsync", 500_000);
    let first = std::thread::scope(|scope| {
        let first = scope.spawn(|| post(&server, "k", b"{}"));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(post(&server, "k", b"{}").status, 409);
        // Before it is known whether it is the same.
        assert_eq!(post(&server, "k", b"other").status, 409);
        first.join().unwrap()
    });
    assert_eq!(first.status, 201);
    let_go(&mut tracer);
    assert_eq!(
        post(&server, "k", b"{}").field("location"),
        first.field("location")
    );
    assert_eq!(post(&server, "k", b"other").status, 422);
}

#[test]
fn answers_survive_restarts_and_kills() {
    let site = Site::new();
    let state = site.outside("state");
    std::fs::create_dir(&state).unwrap();
    let flags = open_with(&["--state-dir", state.to_str().unwrap()]);
    let mut server = Server::of(ENGINE, &site, &flags);
    let first = post(&server, "k", b"{}");
    assert_eq!(first.status, 201);
    for ending in [Signal::TERM, Signal::KILL] {
        server.signal(ending);
        server.wait_for_end();
        server = Server::of(ENGINE, &site, &flags);
        let again = post(&server, "k", b"{}");
        assert_eq!(
            (again.status, again.field("location")),
            (201, first.field("location"))
        );
        assert_eq!(again.field("etag"), first.field("etag"));
        assert_eq!(post(&server, "k", b"{ }").status, 422);
    }
    assert_eq!(members(&site), 1);
    // Without a directory, answers end with the process.
    drop(server);
    let server = Server::of(ENGINE, &site, &OPEN);
    assert_eq!(post(&server, "k", b"{}").status, 201);
    assert_eq!(members(&site), 2);
}

#[test]
fn a_key_is_that_of_one_user() {
    let site = Site::new();
    let users = site.outside("users");
    let line = |name: &str| {
        let hash = bcrypt::hash(format!("secret of {name}"), 4).unwrap();
        format!("{name}:{hash}\n")
    };
    std::fs::write(&users, line("ada") + &line("bob")).unwrap();
    let access = "/notes/** read=anyone write=user:ada,user:bob";
    let flags = [
        "--writable",
        "/notes/**",
        "--users",
        users.to_str().unwrap(),
        "--access",
        access,
    ];
    let server = Server::of(ENGINE, &site, &flags);
    let [ada, bob] = ["ada", "bob"].map(|name| basic(name, &format!("secret of {name}")));
    let long = vec![b' '; LONG];
    let mut locations = Vec::new();
    for content in [&b"{}"[..], &long] {
        let key = format!("k{}", content.len());
        for user in [&ada, &bob] {
            let fields = [("authorization", &user[..])];
            // The first request of each waits for a hash before its content is taken.
            let answer = post_as(&server, &fields, &key, content);
            assert_eq!(answer.status, 201);
            let again = post_as(&server, &fields, &key, content);
            assert_eq!(again.field("location"), answer.field("location"));
            locations.push(answer.field("location").unwrap().to_owned());
        }
    }
    locations.sort();
    locations.dedup();
    assert_eq!((locations.len(), members(&site)), (4, 4));
    let refused = post(&server, "k2", b"{}");
    assert_eq!(refused.status, 401);
    assert!(refused.field("www-authenticate").is_some());
    assert_eq!(members(&site), 4);
}
