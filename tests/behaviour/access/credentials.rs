//! Names and passwords (RFC 7617), the files that they stand in, and who guesses.

use std::thread::sleep;
use std::time::Duration;

use super::*;
use crate::rig::eventually;

const GUARDED: [&str; 2] = ["--access", "/private/** read=users"];

fn site() -> Site {
    Site::of(&[("private/a", b"alpha"), ("open", b"open")])
}

fn get(client: &mut Client, authorization: &str) -> Answer {
    client.say("GET", "/private/a", &[("Authorization", authorization)])
}

#[test]
fn who_says_nothing_is_asked_in_the_words_of_each_scheme() {
    let site = site();
    let (users, tokens) = (users(&site, &["anna"]), tokens(&site, "robot", ""));
    let challenges = |flags: &[&str]| {
        let flags = [&GUARDED, flags].concat();
        let server = Server::of(ENGINE, &site, &flags);
        let answer = server.get("/private/a");
        assert_eq!(answer.status, 401);
        let values = answer.values("www-authenticate");
        values.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let (basic, bearer) = (
        "Basic realm=\"Our shop\", charset=\"UTF-8\"",
        "Bearer realm=\"Our shop\"",
    );
    let realm = ["--realm", "Our shop"];
    assert_eq!(
        challenges(&[&["--users", &users], &realm[..]].concat()),
        [basic]
    );
    assert_eq!(
        challenges(&[&["--tokens", &tokens], &realm[..]].concat()),
        [bearer]
    );
    let both = ["--tokens", &tokens, "--users", &users];
    assert_eq!(challenges(&[&both, &realm[..]].concat()), [basic, bearer]);
}

#[test]
fn a_password_is_right_or_wrong_whoever_is_meant() {
    let site = site();
    let argon2 = {
        use argon2::password_hash::{PasswordHasher, SaltString};
        let cheap = argon2::Params::new(8, 1, 1, None).unwrap();
        let cheap = argon2::Argon2::new(Default::default(), Default::default(), cheap);
        let salt = SaltString::from_b64("c29tZXNhbHQ").unwrap();
        cheap
            .hash_password(PASSWORD.as_bytes(), &salt)
            .unwrap()
            .to_string()
    };
    let bcrypt = bcrypt::hash(PASSWORD, 4).unwrap();
    let long = bcrypt::hash("p\u{e4}ss:w\u{f6}rd", 4).unwrap();
    let lines = format!("# staff\n\nanna:{bcrypt}\ncarl:{argon2}\nZo\u{eb} M:{long}\n");
    let users = secret(&site, "users", lines);
    let server = Server::of(
        ENGINE,
        &site,
        &[&GUARDED[..], &["--users", &users]].concat(),
    );
    let mut source = 1;
    let mut ask = |name: &str, password: &str| {
        // From other addresses, so that none guesses too often.
        source += 1;
        let mut client = connect_from(&format!("127.0.2.{source}"), server.address());
        let first = get(&mut client, &basic(name, password)).status;
        assert_eq!(
            get(&mut client, &basic(name, password)).status,
            first,
            "{name}"
        );
        first
    };
    for (name, password, status) in [
        ("anna", PASSWORD, 200),
        ("carl", PASSWORD, 200),
        ("Zo\u{eb} M", "p\u{e4}ss:w\u{f6}rd", 200),
        ("anna", "wrong", 401),
        ("anna", "", 401),
        ("carl", "correct horsf", 401),
        ("dora", PASSWORD, 401),
        ("Anna", PASSWORD, 401),
        ("", PASSWORD, 401),
        ("# staff", "", 401),
        ("anna", &"x".repeat(4000), 401),
    ] {
        assert_eq!(ask(name, password), status, "{name} {password:.20}");
    }
    let mut client = connect_from("127.0.3.1", server.address());
    for malformed in [
        "Basic",
        "Basic ",
        "Basic ====",
        "Basic YW5uYQ==",
        "basic",
        "Basic a b",
    ] {
        assert_eq!(get(&mut client, malformed).status, 401, "{malformed:?}");
    }
    // The name of a scheme has no case (RFC 9110 §11.1).
    let shouted = basic("anna", PASSWORD).replace("Basic", "BASIC");
    assert_eq!(get(&mut client, &shouted).status, 200);
    // Open paths need nothing, and nonsense does no harm there.
    let open = client.say("GET", "/open", &[("Authorization", "Basic ====")]);
    assert_eq!(open.status, 200);
}

/// How long an answer takes must not tell whether there is such a user.
#[test]
fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let site = site();
    let hash = bcrypt::hash(PASSWORD, 8).unwrap();
    let users = secret(&site, "users", format!("anna:{hash}\n"));
    let server = Server::of(
        ENGINE,
        &site,
        &[&GUARDED[..], &["--users", &users]].concat(),
    );
    let median = |name: &str, network: u8| {
        let mut times: Vec<Duration> = (1..8)
            .map(|number| {
                let source = format!("127.0.{network}.{number}");
                let mut client = connect_from(&source, server.address());
                let began = Instant::now();
                let answer = get(
                    &mut client,
                    &basic(name, &format!("wrong {network} {number}")),
                );
                assert_eq!(answer.status, 401);
                began.elapsed()
            })
            .collect();
        times.sort();
        times[times.len() / 2]
    };
    median("anna", 3);
    let (wrong, unknown) = (median("anna", 4), median("dora", 5));
    let ratio = unknown.as_secs_f64() / wrong.as_secs_f64();
    assert!((0.3..3.0).contains(&ratio), "{unknown:?} and {wrong:?}");
}

#[test]
fn a_users_file_that_changes_is_read_again_and_a_broken_one_is_not() {
    const SOON: Duration = Duration::from_secs(2);
    let site = site();
    let file = users(&site, &["anna"]);
    let server = Server::of(ENGINE, &site, &[&GUARDED[..], &["--users", &file]].concat());
    let (anna, bob) = (basic("anna", PASSWORD), basic("bob", PASSWORD));
    let mut client = server.connect();
    assert_eq!(get(&mut client, &anna).status, 200);
    // Under a stranger's address, since an unknown user is a wrong guess.
    let status = |authorization: &str, source: &str| {
        get(&mut connect_from(source, server.address()), authorization).status
    };
    assert_eq!(status(&bob, "127.0.4.1"), 401);
    users(&site, &["bob"]);
    let began = Instant::now();
    let mut number = 1;
    eventually("the other user", || {
        number += 1;
        status(&bob, &format!("127.0.4.{number}")) == 200
    });
    assert!(began.elapsed() < SOON + SOON / 2, "{:?}", began.elapsed());
    // Who is not in the file any more is not remembered either.
    assert_eq!(get(&mut client, &anna).status, 401);
    secret(&site, "users", "bob has forgotten the colon\n");
    eventually("a warning", || server.has_logged("stay as they are"));
    let log = server.log();
    let warning = log.iter().find(|line| line.contains("stay as they are"));
    assert!(warning.unwrap().contains("users, line 1"), "{warning:?}");
    assert_eq!(status(&bob, "127.0.5.1"), 200);
    std::fs::remove_file(&file).unwrap();
    eventually("another one", || server.has_logged("cannot be read"));
    assert_eq!(status(&bob, "127.0.5.2"), 200);
    users(&site, &["anna"]);
    let began = Instant::now();
    eventually("the first user again", || {
        get(&mut client, &anna).status == 200
    });
    assert!(began.elapsed() < SOON + SOON / 2, "{:?}", began.elapsed());
}

#[test]
fn files_that_cannot_be_used_are_told_at_the_start() {
    let site = site();
    let broken = secret(&site, "broken", "anna:$2b$04$short\n");
    let empty = secret(&site, "empty", "# nobody\n");
    for (flag, file, part) in [
        ("--users", "/none/users", "cannot be read"),
        ("--users", &broken, "line 1"),
        ("--users", &empty, "names no user"),
        ("--tokens", &broken, "line 1"),
        ("--jwt-key", &broken, "broken"),
    ] {
        let said = refusal(&site, &[flag, file]);
        assert!(said.contains(part), "{flag} {file}: {said}");
    }
}

#[test]
fn who_guesses_waits_and_nobody_else() {
    let site = site();
    let users = users(&site, &["anna"]);
    let server = Server::of(
        ENGINE,
        &site,
        &[&GUARDED[..], &["--users", &users]].concat(),
    );
    let right = basic("anna", PASSWORD);
    let mut guesser = server.connect();
    let mut number = 0;
    let mut guess = |client: &mut Client| {
        number += 1;
        get(client, &basic("anna", &number.to_string()))
    };
    // The same wrong password over and over teaches nothing: a program that was not told of a new
    // one does not lock its address out.
    for _ in 0..20 {
        assert_eq!(get(&mut guesser, &basic("anna", "old")).status, 401);
    }
    let refused = (0..10).find_map(|_| {
        let answer = guess(&mut guesser);
        assert!(matches!(answer.status, 401 | 429), "{}", answer.status);
        (answer.status == 429).then_some(answer)
    });
    let refused = refused.expect("ten guesses are too many");
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    let early = get(&mut guesser, &right);
    assert_eq!(
        early.status, 429,
        "a right one tells no more than a wrong one"
    );
    assert!(early.field("retry-after").is_some());
    // Over another connection, and another protocol.
    let mut streams = Http2::connect(server.address());
    let again = streams.say("GET", "/private/a", &[("Authorization", &right)]);
    assert_eq!(again.status, 429);
    let open = guesser.say("GET", "/open", &[]);
    assert_eq!(open.status, 200);
    assert_eq!(guesser.say("GET", "/private/a", &[]).status, 401);
    let mut stranger = connect_from("127.0.6.1", server.address());
    assert_eq!(get(&mut stranger, &right).status, 200);
    sleep(Duration::from_secs(wait) + Duration::from_millis(200));
    assert_eq!(get(&mut guesser, &right).status, 200);
}

/// A thousand guesses at once are no way around: most are not even looked at.
#[test]
fn guesses_that_come_at_once_are_counted() {
    let site = site();
    let users = users(&site, &["anna"]);
    let server = Server::of(
        ENGINE,
        &site,
        &[&GUARDED[..], &["--users", &users]].concat(),
    );
    let mut streams = Http2::connect(server.address());
    let guesses: Vec<u32> = (0..100)
        .map(|number| {
            let authorization = basic("anna", &number.to_string());
            streams.ask("GET", "/private/a", &[("authorization", &authorization)])
        })
        .collect();
    let statuses: Vec<u16> = guesses
        .into_iter()
        .map(|id| streams.answer(id).status)
        .collect();
    let looked_at = statuses.iter().filter(|status| **status == 401).count();
    assert!((1..10).contains(&looked_at), "{statuses:?}");
    assert!(
        statuses
            .iter()
            .all(|status| matches!(status, 401 | 429 | 503))
    );
}

/// What has to be found out for one request holds up the ones behind it, and mixes up none.
#[test]
fn requests_in_one_write_are_each_answered_for_itself() {
    let site = site();
    let users = users(&site, &["anna", "bob"]);
    let server = Server::of(
        ENGINE,
        &site,
        &[&GUARDED[..], &["--users", &users]].concat(),
    );
    let (anna, bob) = (basic("anna", PASSWORD), basic("bob", PASSWORD));
    let wrong = basic("anna", "wrong");
    let order = [
        (Some(&anna), "/private/a", 200),
        (None, "/private/a", 401),
        (Some(&bob), "/private/a", 200),
        (Some(&wrong), "/private/a", 401),
        (None, "/open", 200),
        (Some(&anna), "/private/none", 404),
        (Some(&anna), "/private/a", 200),
    ];
    let mut client = server.connect();
    let requests = order.map(|(who, path, _)| {
        let field = who.map(|value| format!("Authorization: {value}\r\n"));
        let field = field.unwrap_or_default();
        format!("GET {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n")
    });
    client.send(requests.concat().repeat(10));
    for _ in 0..10 {
        for (who, path, status) in order {
            assert_eq!(client.answer().status, status, "{path} {who:?}");
        }
    }
    let mut streams = Http2::connect(server.address());
    let ids = order.map(|(who, path, status)| {
        let field = who.map(|value| ("authorization", &value[..]));
        let fields: Vec<(&str, &str)> = field.into_iter().collect();
        (streams.ask("GET", path, &fields), status)
    });
    for (id, status) in ids {
        assert_eq!(streams.answer(id).status, status);
    }
}
