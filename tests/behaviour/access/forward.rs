//! Another server is asked whether a request may go on.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use super::*;
use crate::rig::eventually;

/// What a server was asked, with the names of fields in lower case.
#[derive(Clone, Debug)]
pub(super) struct Asked(HashMap<String, String>);

impl Asked {
    pub(super) fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// A server that is asked about requests.
pub(super) struct Judge {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    has_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Judge {
    /// `answer` gives a head without its last empty line.
    pub(super) fn new(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Judge {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, has_ended) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::default());
        let (heard, ended) = (Arc::clone(&asked), Arc::<AtomicBool>::clone(&has_ended));
        let answer = Arc::new(answer);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (heard, answer) = (Arc::clone(&heard), Arc::clone(&answer));
                std::thread::spawn(move || serve_one(stream, &heard, &*answer));
            }
        });
        Judge {
            address,
            asked,
            has_ended,
            thread: Some(thread),
        }
    }

    pub(super) fn rule(&self, glob: &str) -> String {
        format!("{glob} http://{}/verify?x=y", self.address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve_one(stream: TcpStream, heard: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> String) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else {
        return;
    };
    let mut fields = HashMap::from([("request".to_owned(), request)]);
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
        fields.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let asked = Asked(fields);
    heard.lock().unwrap().push(asked.clone());
    let head = answer(&asked);
    if !head.is_empty() {
        let end = "Content-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = (&stream).write_all(format!("{head}{end}").as_bytes());
    }
}

fn site() -> Site {
    Site::of(&[("app/a", b"alpha"), ("app/b", b"beta"), ("open", b"open")])
}

/// Knows a cookie.
fn door(asked: &Asked) -> String {
    match asked.field("cookie") {
        "s=anna" => "HTTP/1.1 200 OK\r\nX-User: anna\r\n",
        "s=kept" => "HTTP/1.1 204 No\r\nX-User: kept\r\nCache-Control: private, max-age=60\r\n",
        "s=short" => "HTTP/1.1 204 No\r\nCache-Control: max-age=1\r\n",
        "s=forbidden" => "HTTP/1.1 403 No\r\nX-User: anna\r\n",
        "s=unknown" => {
            "HTTP/1.1 401 No\r\nWWW-Authenticate: Custom a=\"b\"\r\nWWW-Authenticate: Basic\r\n\
             Set-Cookie: x=1\r\nX-Other: no\r\n"
        }
        "s=broken" => "HTTP/1.1 500 No\r\nLocation: /no\r\n",
        "s=lost" => "HTTP/1.1 404 No\r\n",
        "s=silent" => "",
        "s=garbage" => "garbage\r\n",
        _ => {
            "HTTP/1.1 302 Found\r\nLocation: https://id.example/login?b=c\r\nSet-Cookie: a=1\r\n\
              Set-Cookie: b=2\r\n"
        }
    }
    .to_owned()
}

pub(crate) fn another_server_decides(engine: Engine) {
    let (site, keys, judge) = (site(), Keys::new(), Judge::new(door));
    let log = site.outside("access.log");
    let (rule, log) = (judge.rule("/app/**"), log.to_str().unwrap());
    let flags = format!(
        "--forward-auth={rule}
         --forward-auth-copy=X-User
         --access-log=json
         --log-file={log}"
    );
    let flags = lines(&flags);
    let server = keys.server(engine, &site, &flags);
    for (name, mut wire) in all_ways(&server, &keys) {
        let mut say = |cookie: &str| {
            let cookie = [("Cookie", cookie)];
            wire.say(
                "GET",
                "/app/a",
                if cookie[0].1.is_empty() { &[] } else { &cookie },
            )
        };
        for _ in 0..2 {
            let passed = say("s=anna");
            assert_eq!(
                (passed.status, &passed.body[..]),
                (200, &b"alpha"[..]),
                "{name}"
            );
        }
        let redirected = say("");
        assert_eq!(redirected.status, 302, "{name}");
        let location = redirected.field("location");
        assert_eq!(location, Some("https://id.example/login?b=c"));
        assert_eq!(redirected.values("set-cookie"), ["a=1", "b=2"]);
        let unknown = say("s=unknown");
        assert_eq!(unknown.status, 401, "{name}");
        let challenges = unknown.values("www-authenticate");
        assert_eq!(challenges, ["Custom a=\"b\"", "Basic"]);
        assert_eq!(unknown.values("set-cookie"), ["x=1"]);
        assert_eq!(unknown.field("x-other"), None);
        let forbidden = say("s=forbidden");
        assert_eq!((forbidden.status, forbidden.field("x-user")), (403, None));
        for cookie in ["s=broken", "s=lost", "s=silent", "s=garbage"] {
            let failed = say(cookie);
            assert_eq!(failed.status, 502, "{cookie} {name}");
            assert_eq!(failed.field("location"), None);
        }
        assert_eq!(wire.say("GET", "/open", &[]).status, 200);
        assert_eq!(
            wire.say("HEAD", "/app/a", &[("Cookie", "s=broken")]).status,
            502
        );
        assert_eq!(
            wire.say("GET", "/app/none", &[("Cookie", "s=anna")]).status,
            404
        );
        assert_eq!(wire.say("GET", "/%61pp/a", &[]).status, 302);
    }
    eventually("the user in the log", || {
        let lines = json_lines(log);
        lines.iter().filter(|line| line["user"] == "anna").count() == 4 * 3
    });
    let asked = judge.asked();
    let of = |key: &str, value: &str| {
        asked
            .iter()
            .filter(|asked| asked.field(key) == value)
            .count()
    };
    assert_eq!(of("request", "GET /verify?x=y HTTP/1.1"), asked.len());
    assert_eq!(of("x-forwarded-for", "127.0.0.1"), asked.len());
    assert_eq!(of("x-forwarded-proto", "https"), asked.len() / 2);
    assert_eq!(of("x-forwarded-method", "HEAD"), 4);
    assert_eq!(of("x-forwarded-host", "a"), asked.len());
    assert_eq!(of("x-forwarded-uri", "/app/none"), 4);
}

#[test]
fn an_answer_is_remembered_for_as_long_as_it_says_and_for_the_same_question() {
    let (site, judge) = (site(), Judge::new(door));
    let rule = judge.rule("/app/**");
    let server = Server::of(ENGINE, &site, &["--forward-auth", &rule]);
    let mut client = server.connect();
    let mut count = 0;
    let mut say = |client: &mut Client, path: &str, fields: Fields<'_>, more: usize| {
        assert_eq!(
            client.say("GET", path, fields).status,
            200,
            "{path} {fields:?}"
        );
        count += more;
        assert_eq!(judge.asked().len(), count, "{path} {fields:?}");
    };
    let kept = [("Cookie", "s=kept")];
    say(&mut client, "/app/a", &kept, 1);
    say(&mut client, "/app/a", &kept, 0);
    say(&mut server.connect(), "/app/a", &kept, 0);
    // Another path, another query, another client, another origin: another question.
    say(&mut client, "/app/b", &kept, 1);
    say(&mut client, "/app/a?c", &kept, 1);
    say(
        &mut connect_from("127.0.7.1", server.address()),
        "/app/a",
        &kept,
        1,
    );
    say(
        &mut client,
        "/app/a",
        &[kept[0], ("Origin", "https://evil.example")],
        1,
    );
    say(&mut client, "/app/a", &[kept[0], ("User-Agent", "curl")], 1);
    say(&mut client, "/app/a", &kept, 0);
    let short = [("Cookie", "s=short")];
    say(&mut client, "/app/a", &short, 1);
    say(&mut client, "/app/a", &short, 0);
    sleep(Duration::from_millis(1200));
    say(&mut client, "/app/a", &short, 1);
    let never = [("Cookie", "s=anna")];
    say(&mut client, "/app/a", &never, 1);
    say(&mut client, "/app/a", &never, 1);
}

/// What the other server says of a user is what rules and limits go by.
#[test]
fn rules_know_the_user_that_the_other_server_names() {
    let (site, judge) = (site(), Judge::new(door));
    let rule = judge.rule("/app/**");
    let flags = format!(
        "--forward-auth={rule}
         --forward-auth-copy=X-User
         --access=/app/b read=user:kept"
    );
    let flags = lines(&flags);
    let server = Server::of(ENGINE, &site, &flags);
    let mut client = server.connect();
    for (cookie, path, status) in [
        ("s=anna", "/app/a", 200),
        ("s=anna", "/app/b", 403),
        ("s=kept", "/app/b", 200),
        ("s=short", "/app/b", 403),
    ] {
        let answer = client.say("GET", path, &[("Cookie", cookie)]);
        assert_eq!(answer.status, status, "{cookie} {path}");
    }
}

#[test]
fn a_server_that_cannot_be_asked_lets_nobody_in() {
    let site = site();
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let hung = Judge::new(|_| {
        sleep(Duration::from_secs(7));
        String::new()
    });
    let rules = [
        format!("/app/** http://{closed}/verify"),
        hung.rule("/hung/**"),
    ];
    let flags = ["--forward-auth", &rules[0], "--forward-auth", &rules[1]];
    let server = Server::of(ENGINE, &site, &flags);
    let mut waiting = server.connect();
    waiting.send("GET /hung/a HTTP/1.1\r\nHost: a\r\n\r\n");
    // Who waits for a long time holds up nobody else.
    let began = Instant::now();
    for (name, mut wire) in both_ways(&server) {
        assert_eq!(wire.say("GET", "/app/a", &[]).status, 502, "{name}");
        assert_eq!(wire.say("GET", "/open", &[]).status, 200, "{name}");
    }
    eventually("a warning", || server.has_logged("cannot be asked"));
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(waiting.answer().status, 502);
}
