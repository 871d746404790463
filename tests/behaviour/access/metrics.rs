//! Counters, and whether the server is well.

use std::collections::BTreeMap;

use rustix::process::Signal;

use super::*;
use crate::rig::eventually;

fn site() -> Site {
    Site::of(&[("a", b"alpha"), ("private/b", b"beta"), ("denied/c", b"")])
}

/// What a server tells: samples by their name and labels.
pub(super) fn scrape(server: &Server) -> BTreeMap<String, f64> {
    let mut client = Client::connect(server.addresses()[1]);
    let answer = client.get("/metrics");
    assert_eq!(answer.status, 200);
    let kind = answer.field("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = String::from_utf8(answer.body).unwrap();
    let mut samples = BTreeMap::new();
    let mut types = BTreeMap::new();
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# TYPE ") {
            let (name, kind) = about.split_once(' ').unwrap();
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none());
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
                family
                    .strip_suffix(end)
                    .filter(|base| types.contains_key(*base))
            });
            assert!(
                types.contains_key(base.unwrap_or(family)),
                "{name} has no type"
            );
            let value = value.parse().unwrap();
            assert!(
                samples.insert(name.to_owned(), value).is_none(),
                "{name} twice"
            );
        }
    }
    assert!(text.ends_with('\n'));
    samples
}

/// Eighteen requests of every kind.
fn ask_all_sorts(wire: &mut dyn Speaks) {
    let anna = basic("anna", PASSWORD);
    for _ in 0..10 {
        assert_eq!(wire.say("GET", "/a", &[]).status, 200);
    }
    let known = [("Authorization", &anna[..])];
    let unknown = [("Authorization", "Basic YW5uYTp3cm9uZw==")];
    let rows: [(&str, &str, Fields<'_>, u16); 7] = [
        ("HEAD", "/a", &[], 200),
        ("POST", "/a", &[], 405),
        ("GET", "/none", &[], 404),
        ("GET", "/denied/c", &[], 403),
        ("GET", "/private/b", &[], 401),
        ("GET", "/private/b", &known, 200),
        ("GET", "/private/b", &unknown, 401),
    ];
    for (method, path, fields, status) in rows {
        assert_eq!(wire.say(method, path, fields).status, status, "{path}");
    }
    wire.say("GET", "/few", &[]);
}

/// What they move over four connections, two of each protocol.
const MOVED: [(&str, u32); 18] = [
    ("downpour_requests_total{method=\"GET\"}", 64),
    ("downpour_requests_total{method=\"HEAD\"}", 4),
    ("downpour_requests_total{method=\"POST\"}", 4),
    ("downpour_requests_total{method=\"PUT\"}", 0),
    ("downpour_responses_total{status=\"2xx\"}", 48),
    ("downpour_responses_total{status=\"3xx\"}", 0),
    ("downpour_responses_total{status=\"4xx\"}", 24),
    ("downpour_responses_total{status=\"5xx\"}", 0),
    (
        "downpour_protocol_requests_total{protocol=\"HTTP/1.1\"}",
        36,
    ),
    (
        "downpour_protocol_requests_total{protocol=\"HTTP/2.0\"}",
        36,
    ),
    ("downpour_refused_total{limit=\"rate\"}", 2),
    ("downpour_refused_total{limit=\"address\"}", 4),
    ("downpour_auth_failures_total", 4),
    ("downpour_panics_total", 0),
    ("downpour_access_log_dropped_lines_total", 0),
    ("downpour_access_log_lines_total", 72),
    ("downpour_request_duration_seconds_count", 72),
    ("downpour_request_duration_seconds_bucket{le=\"+Inf\"}", 72),
];

pub(crate) fn counters_count_what_was_asked(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let users = users(&site, &["anna"]);
    let log = site.outside("access.log");
    let log = log.display();
    let flags = format!(
        "--metrics=127.0.0.1:0/metrics
         --users={users}
         --access=/private/** read=users
         --deny=/denied/** any
         --limit=/few 1/h burst=2
         --access-log=json
         --log-file={log}"
    );
    let flags = [&["--workers", "2"], &lines(&flags)[..]].concat();
    let server = keys.server(engine, &site, &flags);
    server.get("/a");
    let lines = "downpour_access_log_lines_total";
    eventually("a line", || scrape(&server)[lines] == 1.0);
    let before = scrape(&server);
    for (_, mut wire) in all_ways(&server, &keys) {
        ask_all_sorts(&mut *wire);
    }
    eventually("all lines", || scrape(&server)[lines] >= 73.0);
    let after = scrape(&server);
    let moved = |name: &str| after[name] - before[name];
    for (name, count) in MOVED {
        assert_eq!(moved(name), f64::from(count), "{name}");
    }
    let cache = |state| {
        moved(&format!(
            "downpour_cache_requests_total{{state=\"{state}\"}}"
        ))
    };
    let all = ["hit", "revalidated", "miss", "bypass"].map(cache);
    assert_eq!(all.iter().sum::<f64>(), 72.0);
    assert!(all[0] >= 20.0, "{all:?}");
    let sent = moved("downpour_sent_bytes_total");
    assert!(sent >= (10.0 * 5.0 + 4.0) * 4.0, "{sent}");
    assert_eq!(after["downpour_workers"], 2.0);
    assert!(moved("downpour_connections_accepted_total") >= 4.0);
    assert!(after["downpour_request_duration_seconds_sum"] > 0.0);
    let bucket = "downpour_request_duration_seconds_bucket";
    let buckets = after.iter().filter(|(name, _)| name.starts_with(bucket));
    assert!(buckets.map(|(_, count)| *count).all(|count| count <= 73.0));
}

#[test]
fn connections_that_are_open_are_counted() {
    let site = site();
    let server = Server::of(ENGINE, &site, &["--metrics", "127.0.0.1:0/metrics"]);
    let open = || scrape(&server)["downpour_connections_open"];
    let none = open();
    let held: Vec<Client> = (0..7)
        .map(|_| {
            let mut client = server.connect();
            client.get("/a");
            client
        })
        .collect();
    assert_eq!(open() - none, 7.0);
    drop(held);
    eventually("all have gone", || open() <= none);
}

#[test]
fn counters_are_told_at_their_place_alone() {
    let site = site();
    let (users, log) = (users(&site, &["anna"]), site.outside("access.log"));
    let flags = [
        "--metrics",
        "127.0.0.1:0/metrics",
        "--users",
        &users,
        "--access",
        "read=users",
        "--access-log",
        "json",
        "--log-file",
        log.to_str().unwrap(),
    ];
    let server = Server::of(ENGINE, &site, &flags);
    let place = server.addresses()[1];
    for (_, mut wire) in [
        ("", Box::new(Client::connect(place)) as Box<dyn Speaks>),
        ("", Box::new(Http2::connect(place))),
    ] {
        for path in [
            "/",
            "/a",
            "/metrics/",
            "/metricsx",
            "/Metrics",
            "/private/b",
        ] {
            assert_eq!(wire.say("GET", path, &[]).status, 404, "{path}");
        }
        assert_eq!(wire.say("GET", "/metrics", &[]).status, 200);
        let head = wire.say("HEAD", "/metrics", &[]);
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(wire.say("POST", "/metrics", &[]).status, 405);
    }
    assert_eq!(server.get("/metrics").status, 401);
    // Who looks at the counters does not move them.
    let total =
        |samples: &BTreeMap<String, f64>| samples["downpour_request_duration_seconds_count"];
    let before = total(&scrape(&server));
    assert_eq!(total(&scrape(&server)), before);
    assert_eq!(before, 1.0);
    eventually("the line", || json_lines(log.to_str().unwrap()).len() == 1);
}

pub(crate) fn health_ends_before_the_server(engine: Engine) {
    let site = site();
    let users = users(&site, &["anna"]);
    site.write("big", vec![b'x'; 20_000_000]);
    let flags = format!(
        "--health=/healthz
         --users={users}
         --access=/private/** read=users
         --maintenance=/healthz
         --grace-period=30s"
    );
    let flags = lines(&flags);
    let mut server = Server::of(engine, &site, &flags);
    for (name, mut wire) in both_ways(&server) {
        assert_eq!(wire.say("GET", "/healthz", &[]).status, 200, "{name}");
        let head = wire.say("HEAD", "/healthz", &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{name}");
        assert_eq!(wire.say("GET", "/healthz?x", &[]).status, 200, "{name}");
        assert_eq!(wire.say("GET", "/healthzz", &[]).status, 404, "{name}");
    }
    let mut download = Client::connect_narrow(server.address());
    download.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_, len) = download.answer_head();
    let mut asking = server.connect();
    asking.send("GET /healthz HTTP/1.1\r\n");
    std::thread::sleep(std::time::Duration::from_millis(50));
    server.signal(Signal::TERM);
    eventually("the end begins", || {
        server.has_logged("finishing what is being answered")
    });
    eventually("no new connections", || {
        std::net::TcpStream::connect(server.address()).is_err()
    });
    asking.send("Host: a\r\n\r\n");
    let answer = asking.answer();
    assert_eq!((answer.status, answer.says_close()), (503, true));
    asking.assert_closed();
    drop(asking);
    download.content(len);
    drop(download);
    assert_eq!(server.wait(), 0);
}
