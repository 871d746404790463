//! Answers that take their time: how many there may be, and how fast they are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::forward::Judge;
use super::*;
use crate::http2_client::{code, rst_stream};
use crate::rig::{eventually, pattern};

pub(crate) fn too_many_slow_answers_are_refused(engine: Engine) {
    let site = Site::of(&[("a", b"alpha"), ("cold", b"cold"), ("slow/b", b"beta")]);
    let may_answer = Arc::new(AtomicBool::new(false));
    let door = Arc::clone(&may_answer);
    let judge = Judge::new(move |_| {
        let deadline = Instant::now() + Duration::from_secs(4);
        while !door.load(Ordering::Relaxed) && Instant::now() < deadline {
            sleep(Duration::from_millis(5));
        }
        "HTTP/1.1 204 No\r\n".to_owned()
    });
    let rule = judge.rule("/slow/**");
    let flags = format!(
        "--forward-auth={rule}
         --max-in-flight=2
         --metrics=127.0.0.1:0/metrics
         --cors=*"
    );
    let flags = lines(&flags);
    let server = Server::of(engine, &site, &flags);
    assert_eq!(server.get("/a").status, 200);
    let mut first = server.connect();
    first.send("GET /slow/b HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut second = Http2::connect(server.address());
    let id = second.ask("GET", "/slow/b", &[]);
    second.send(b"");
    eventually("both wait", || judge.asked().len() == 2);
    let mut refused = 0.0;
    for (name, mut wire) in both_ways(&server) {
        for path in ["/slow/b", "/cold"] {
            let answer = wire.say("GET", path, &[("Accept", "application/json")]);
            assert_eq!(answer.status, 503, "{path} {name}");
            assert!(answer.field("retry-after").is_some(), "{path} {name}");
            assert_eq!(
                answer.field("content-type"),
                Some("application/problem+json")
            );
            assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
            refused += 1.0;
        }
        // What is in memory costs no more than the refusal would.
        for _ in 0..3 {
            assert_eq!(wire.say("GET", "/a", &[]).status, 200, "{name}");
        }
    }
    let overload = "downpour_refused_total{limit=\"overload\"}";
    assert_eq!(metrics::scrape(&server)[overload], refused);
    may_answer.store(true, Ordering::Relaxed);
    first.answer().assert_body(b"beta");
    second.answer(id).assert_body(b"beta");
    assert_eq!(judge.asked().len(), 2, "who was refused made nobody ask");
    for _ in 0..3 {
        assert_eq!(server.get("/cold").status, 200);
        assert_eq!(server.get("/slow/b").status, 200);
    }
}

/// A request whose answer takes two steps is one request.
#[test]
fn a_request_has_one_place_from_its_first_step_to_its_last() {
    let site = Site::new();
    let judge = Judge::new(|_| "HTTP/1.1 204 No\r\n".to_owned());
    let rule = judge.rule("/");
    let rule = rule.replace("/ ", "/** ");
    let server = Server::of(
        ENGINE,
        &site,
        &["--forward-auth", &rule, "--max-in-flight", "1"],
    );
    for (number, (name, mut wire)) in both_ways(&server).into_iter().enumerate() {
        let path = format!("/{number}");
        site.write(&path[1..], b"cold");
        assert_eq!(wire.say("GET", &path, &[]).status, 200, "{name}");
    }
}

/// Who goes away while an answer is made leaves its place.
#[test]
fn a_place_is_free_when_its_client_has_gone() {
    let site = Site::of(&[("a", b"alpha"), ("slow/b", b"beta")]);
    let judge = Judge::new(|_| {
        sleep(Duration::from_millis(300));
        "HTTP/1.1 204 No\r\n".to_owned()
    });
    let rule = judge.rule("/slow/**");
    let server = Server::of(
        ENGINE,
        &site,
        &["--forward-auth", &rule, "--max-in-flight", "1"],
    );
    for round in 1..5 {
        let mut client = server.connect();
        let mut streams = Http2::connect(server.address());
        let id = match round % 2 {
            0 => streams.ask("GET", "/slow/b", &[]),
            _ => {
                client.send("GET /slow/b HTTP/1.1\r\nHost: a\r\n\r\n");
                0
            }
        };
        eventually("it waits", || judge.asked().len() >= round);
        match id {
            0 => client.reset(),
            _ => streams.send(rst_stream(id, code::CANCEL)),
        }
        eventually("its place is free", || {
            server.get(&format!("/none{round}")).status == 404
        });
    }
}

pub(crate) fn what_is_sent_is_paced(engine: Engine) {
    const LEN: usize = 1_000_000;
    let (site, keys) = (Site::new(), Keys::new());
    site.write("large", pattern(LEN, 1));
    let server = keys.server(engine, &site, &["--send-rate", "1M"]);
    let unpaced = Server::of(engine, &site, &[]);
    let measure = |wire: &mut dyn Speaks| {
        let began = Instant::now();
        wire.say("GET", "/large", &[]).assert_body(&pattern(LEN, 1));
        began.elapsed()
    };
    measure(&mut unpaced.connect());
    let paced = [
        measure(&mut server.connect()),
        measure(&mut keys.http2(&server)),
    ];
    for took in paced {
        let bounds = Duration::from_millis(400)..Duration::from_secs(10);
        assert!(bounds.contains(&took), "{took:?}");
    }
}
