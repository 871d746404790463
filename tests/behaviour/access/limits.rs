//! How many requests are answered, and for whom they are counted.

use super::*;

/// Nothing comes back within a test.
const TINY: &str = "1/h burst=3";

fn site() -> Site {
    Site::of(&[("a", b"alpha"), ("b", b"beta"), ("api/c", b"gamma")])
}

/// How many of these are answered.
fn answered(wire: &mut dyn Speaks, path: &str, fields: Fields<'_>, times: usize) -> usize {
    let statuses = (0..times).map(|_| wire.say("GET", path, fields).status);
    statuses
        .filter(|status| {
            assert!(matches!(status, 200 | 429), "{status}");
            *status == 200
        })
        .count()
}

pub(crate) fn beyond_the_limit_is_429(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let flags = lines(
        "--limit=/a 2/s burst=3 by=header:X-Key name=pages
         --limit=/api/** 100/m burst=50",
    );
    let server = keys.server(engine, &site, &flags);
    let mut ways = all_ways(&server, &keys);
    let mut began = Instant::now();
    for (name, wire) in &mut ways {
        let key = [("X-Key", *name)];
        began = Instant::now();
        for remaining in [2, 1, 0] {
            let answer = wire.say("GET", "/a", &key);
            assert_eq!(answer.status, 200, "{name}");
            assert_eq!(answer.field("ratelimit-policy"), Some("\"pages\";q=2;w=1"));
            let state = answer.field("ratelimit").unwrap();
            assert!(
                state.starts_with(&format!("\"pages\";r={remaining};t=")),
                "{state}"
            );
            assert_eq!(answer.field("retry-after"), None);
        }
        let refused = wire.say("GET", "/a", &key);
        assert_eq!(refused.status, 429, "{name}");
        assert_eq!(refused.field("retry-after"), Some("1"));
        assert_eq!(refused.field("ratelimit"), Some("\"pages\";r=0;t=1"));
        assert_ne!(refused.body, b"alpha");
        let head = wire.say("HEAD", "/a", &key);
        assert_eq!((head.status, head.body.len()), (429, 0));
        let other = wire.say("GET", "/b", &key);
        assert_eq!((other.status, other.field("ratelimit")), (200, None));
        let api = wire.say("GET", "/api/c", &[]);
        let policy = api.field("ratelimit-policy");
        assert_eq!(policy, Some("\"default\";q=100;w=60"));
    }
    // Who has waited as told is let in.
    std::thread::sleep(std::time::Duration::from_millis(1050).saturating_sub(began.elapsed()));
    for (name, wire) in &mut ways {
        let key = [("X-Key", *name)];
        assert_eq!(wire.say("GET", "/a", &key).status, 200, "{name}");
    }
}

#[test]
fn addresses_are_counted_apart() {
    let site = site();
    let rule = format!("/a {TINY}");
    let flags = ["--limit", &rule, "--trusted-proxies", "127.0.0.9"];
    let server = Server::of(ENGINE, &site, &flags);
    let from = |source: &str| connect_from(source, server.address());
    assert_eq!(answered(&mut from("127.0.0.1"), "/a", &[], 5), 3);
    assert_eq!(
        answered(&mut from("127.0.0.1"), "/a", &[], 5),
        0,
        "another connection"
    );
    assert_eq!(answered(&mut from("127.0.0.2"), "/a", &[], 5), 3);
    // A stranger cannot say that it is somebody else.
    for number in 1..4 {
        let claims = format!("192.0.2.{number}");
        let claims = [("X-Forwarded-For", &claims[..])];
        assert_eq!(answered(&mut from("127.0.0.1"), "/a", &claims, 2), 0);
    }
    // A trusted proxy can, over one connection.
    let mut proxy = from("127.0.0.9");
    let mut of = |client: &str| answered(&mut proxy, "/a", &[("X-Forwarded-For", client)], 5);
    assert_eq!(of("192.0.2.1"), 3);
    assert_eq!(of("192.0.2.1"), 0);
    assert_eq!(of("192.0.2.2"), 3);
    assert_eq!(of("::ffff:192.0.2.2"), 0, "the same address");
    // One client has a /64 for itself.
    assert_eq!(of("2001:db8:1:2::1"), 3);
    assert_eq!(of("2001:db8:1:2:ffff::9"), 0);
    assert_eq!(of("2001:db8:1:3::1"), 3);
    assert_eq!(of("127.0.0.1"), 0, "who it is does not depend on the way");
}

#[test]
fn users_fields_and_paths_are_counted_apart() {
    let site = site();
    let (users, tokens) = (users(&site, &["anna", "bob"]), tokens(&site, "anna", ""));
    let rules = [
        format!("/a {TINY} by=user"),
        format!("/b {TINY} by=header:X-Api-Key"),
        format!("/api/** {TINY} by=path"),
    ];
    let flags = [
        "--users",
        &users,
        "--tokens",
        &tokens,
        "--access",
        "read=anyone",
        "--limit",
        &rules[0],
        "--limit",
        &rules[1],
        "--limit",
        &rules[2],
    ];
    let server = Server::of(ENGINE, &site, &flags);
    let (anna, bob) = (basic("anna", PASSWORD), basic("bob", PASSWORD));
    let robot = bearer(TOKEN);
    let from = |source: &str| connect_from(source, server.address());
    let (mut here, mut there) = (from("127.0.0.1"), from("127.0.0.2"));
    let by = |authorization: &str| vec![("Authorization", authorization.to_owned())];
    let ask = |wire: &mut Client, path: &str, fields: &[(&str, String)], times: usize| {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        answered(wire, path, &fields, times)
    };
    assert_eq!(ask(&mut here, "/a", &by(&anna), 2), 2);
    assert_eq!(
        ask(&mut there, "/a", &by(&anna), 5),
        1,
        "the same user elsewhere"
    );
    assert_eq!(
        ask(&mut there, "/a", &by(&robot), 5),
        0,
        "by another credential"
    );
    assert_eq!(ask(&mut here, "/a", &by(&bob), 5), 3);
    assert_eq!(
        ask(&mut here, "/a", &[], 5),
        3,
        "nobody in particular: the address"
    );
    assert_eq!(ask(&mut there, "/a", &[], 5), 3);
    let key = |value: &str| vec![("X-Api-Key", value.to_owned())];
    assert_eq!(ask(&mut here, "/b", &key("one"), 5), 3);
    assert_eq!(ask(&mut there, "/b", &key("one"), 5), 0);
    assert_eq!(ask(&mut here, "/b", &key("two"), 5), 3);
    assert_eq!(ask(&mut here, "/b", &[], 5), 3);
    assert_eq!(ask(&mut here, "/api/c", &[], 2), 2);
    assert_eq!(ask(&mut there, "/api/c", &[], 2), 1);
    assert_eq!(
        ask(&mut there, "/%61pi/c", &[], 2),
        0,
        "spelled in another way"
    );
}

/// What must be found out first makes no request count twice.
#[test]
fn a_request_counts_once_whatever_has_to_be_found_out() {
    let site = site();
    let judge = forward::Judge::new(|_| "HTTP/1.1 204 No\r\n".to_owned());
    let users = users(&site, &["anna", "bob", "carl"]);
    let forward = judge.rule("/api/**");
    let flags = format!(
        "--users={users}
         --access=/a read=users
         --forward-auth={forward}
         --limit=/** 1/h burst=8
         --limit=/a 1/h burst=9 by=header:X-Key name=other"
    );
    let flags = lines(&flags);
    let server = Server::of(ENGINE, &site, &flags);
    for (number, (name, mut wire)) in both_ways(&server).into_iter().enumerate() {
        let remaining = |answer: &Answer| {
            assert_eq!(answer.status, 200, "{name}");
            let values = answer.values("ratelimit");
            let state = values.iter().find(|value| value.starts_with("\"default\""));
            state.unwrap()["\"default\";r=".len()..][..1]
                .parse::<usize>()
                .unwrap()
        };
        let before = number * 4;
        // Each is hashed for the first time.
        let whose = [["anna", "bob"], ["carl", "carl"]][number];
        for (at, who) in whose.into_iter().enumerate() {
            let authorization = basic(who, PASSWORD);
            let answer = wire.say("GET", "/a", &[("Authorization", &authorization)]);
            assert_eq!(remaining(&answer), 7 - before - at, "{name}");
            assert_eq!(answer.values("ratelimit").len(), 2);
            assert_eq!(answer.values("ratelimit-policy").len(), 2);
        }
        for at in 2..4 {
            let answer = wire.say("GET", "/api/c", &[]);
            assert_eq!(remaining(&answer), 7 - before - at, "{name}");
        }
    }
    assert_eq!(server.get("/api/c").status, 429);
    assert_eq!(
        judge.asked().len(),
        4,
        "who is over the limit does not make us ask"
    );
}

/// Many connections, two workers: the sum is right.
#[test]
fn a_limit_is_right_across_workers() {
    const BURST: usize = 1000;
    const CONNECTIONS: usize = 40;
    const EACH: usize = 75;
    let site = site();
    let flags = ["--limit", "/a 100/h burst=1000", "--workers", "2"];
    let server = Server::of(ENGINE, &site, &flags);
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let address = server.address();
            std::thread::spawn(move || {
                if number % 2 == 0 {
                    let mut client = Client::connect(address);
                    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(EACH));
                    let statuses = (0..EACH).map(|_| client.answer().status);
                    return statuses.filter(|status| *status == 200).count();
                }
                let mut client = Http2::connect(address);
                let ids: Vec<u32> = (0..EACH).map(|_| client.ask("GET", "/a", &[])).collect();
                let statuses = ids.into_iter().map(|id| client.answer(id).status);
                statuses.filter(|status| *status == 200).count()
            })
        })
        .collect();
    let answered: usize = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    let allowed = BURST..=BURST + BURST / 100;
    assert!(allowed.contains(&answered), "{answered}");
}

#[test]
fn wrong_limits_are_told_at_the_start() {
    let site = site();
    for text in [
        "10",
        "0/s",
        "10/y",
        "10/s burst=0",
        "10/s by=moon",
        "10/s by=header:",
    ] {
        let said = refusal(&site, &["--limit", text]);
        assert!(said.contains("--limit does not take"), "{said}");
    }
}
