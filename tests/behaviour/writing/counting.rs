//! Of what many change at a time nothing is lost.

use super::*;

const CLIENTS: usize = 16;
const EACH: usize = 4;

/// Sixteen clients count, each as often as it takes for a `try_once` that says true.
fn count(server: &Server, try_once: impl Fn(&mut Client, usize, &str) -> bool + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = server.connect();
                let mut done = 0;
                while done < EACH {
                    let present = client.get("/notes/count.json");
                    let text = std::str::from_utf8(&present.body).unwrap();
                    let digits = text.trim_matches(|letter: char| !letter.is_ascii_digit());
                    let etag = present.field("etag").unwrap();
                    done += usize::from(try_once(&mut client, digits.parse().unwrap(), etag));
                }
            });
        }
    });
}

#[test]
fn no_count_is_lost_by_put_with_if_match() {
    let site = Site::of(&[("notes/count.json", b"{\"n\":0}")]);
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "2"]));
    count(&server, |client, number, etag| {
        let next = format!("{{\"n\":{}}}", number + 1);
        let answer = client.say(
            "PUT",
            "/notes/count.json",
            &[("if-match", etag)],
            next.as_bytes(),
        );
        assert!(matches!(answer.status, 204 | 412), "{answer:?}");
        answer.status == 204
    });
    let counted = format!("{{\"n\":{}}}", CLIENTS * EACH);
    server
        .get("/notes/count.json")
        .assert_body(counted.as_bytes());
    assert_left(&server, &site, &["notes/", "notes/count.json"]);
}

#[test]
fn no_count_is_lost_by_patches_that_test() {
    let site = Site::of(&[("notes/count.json", b"{\"n\":0}")]);
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "2"]));
    count(&server, |client, number, _| {
        let patch = format!(
            r#"[{{"op":"test","path":"/n","value":{number}}},
                {{"op":"replace","path":"/n","value":{}}}]"#,
            number + 1
        );
        let fields = [("content-type", "application/json-patch+json")];
        let answer = client.say("PATCH", "/notes/count.json", &fields, patch.as_bytes());
        assert!(matches!(answer.status, 204 | 409), "{answer:?}");
        answer.status == 204
    });
    let counted = format!("{{\"n\":{}}}", CLIENTS * EACH);
    server
        .get("/notes/count.json")
        .assert_body(counted.as_bytes());
    assert_left(&server, &site, &["notes/", "notes/count.json"]);
}

/// Each appends a line of its own, and says nothing of the state that it saw: where another was
/// faster, the range does not begin at the end, and it writes over nothing by `If-Match`.
#[test]
fn of_many_that_append_each_has_its_place() {
    let site = Site::of(&[("notes/log", b"")]);
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "2"]));
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.connect();
                let line = format!("line {number}\n");
                loop {
                    let present = client.get("/notes/log");
                    let len = present.body.len();
                    let range = format!("bytes {len}-{}/*", len + line.len() - 1);
                    let fields = [
                        ("content-type", "application/octet-stream"),
                        ("content-range", &range),
                        ("if-match", present.field("etag").unwrap()),
                    ];
                    let answer = client.say("PATCH", "/notes/log", &fields, line.as_bytes());
                    if answer.status == 204 {
                        return;
                    }
                    assert_eq!(answer.status, 412);
                }
            });
        }
    });
    let text = String::from_utf8(server.get("/notes/log").body).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let mut expected: Vec<String> = (0..CLIENTS)
        .map(|number| format!("line {number}"))
        .collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

/// Of many who create, one does.
#[test]
fn one_of_many_creates() {
    let site = Site::new();
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "2"]));
    for (path, len) in [("/notes/a/b", 10), ("/notes/long", LONG)] {
        let created: Vec<u8> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..CLIENTS as u8)
                .map(|number| {
                    let server = &server;
                    scope.spawn(move || {
                        let fields = [("if-none-match", "*")];
                        let status = status(server, "PUT", path, &fields, &vec![number; len]);
                        assert!(matches!(status, 201 | 412), "{status}");
                        (status == 201).then_some(number)
                    })
                })
                .collect();
            let created = writers
                .into_iter()
                .filter_map(|writer| writer.join().unwrap());
            created.collect()
        });
        assert_eq!(created.len(), 1, "{path}");
        server.get(path).assert_body(&vec![created[0]; len]);
    }
    assert_left(
        &server,
        &site,
        &["notes/", "notes/a/", "notes/a/b", "notes/long"],
    );
}
