//! The cache serves what is on the disk: a change is seen within a second, with the same access
//! rules on a hit as on a miss, and no answer mixes two states.

use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::rig::{Engine, Server, Site, pattern};

/// The promise.
const SECOND: Duration = Duration::from_millis(1000);

/// Every kind of change at a time, each to a small file and to one that `sendfile` serves.
pub(crate) fn every_change_is_seen_within_a_second(engine: Engine) {
    std::thread::scope(|scope| {
        scope.spawn(|| every_change_is_seen(engine, "", 1000, 1200));
        scope.spawn(|| every_change_is_seen(engine, "large-", 400_000, 500_000));
    });
}

fn every_change_is_seen(engine: Engine, large: &str, old_len: usize, new_len: usize) {
    let (old, new) = (pattern(old_len, 1), pattern(new_len, 2));
    let same_len = pattern(old_len, 3);
    let site = Site::new();
    let name = |kind: &str| format!("{large}{kind}");
    for kind in [
        "rewritten",
        "same",
        "replaced",
        "deleted",
        "closed",
        "became-dir",
    ] {
        site.write(&name(kind), &old);
    }
    site.write(&name("was-dir/index.html"), &old);
    let server = Server::without_rights(engine, &site);
    let mut client = server.connect();
    let path = |kind: &str| format!("/{large}{kind}");
    for _ in 0..3 {
        for kind in [
            "rewritten",
            "same",
            "replaced",
            "deleted",
            "closed",
            "became-dir",
        ] {
            client.get(&path(kind)).assert_body(&old);
        }
        assert_eq!(client.get(&path("created")).status, 404);
        assert_eq!(client.get(&path("was-dir")).status, 308);
    }

    site.write(&name("rewritten"), &new);
    site.write(&name("same"), &same_len);
    site.write(&name("created"), &new);
    let beside = site.write(&name("beside"), &new);
    std::fs::rename(beside, site.path(&name("replaced"))).unwrap();
    std::fs::remove_file(site.path(&name("deleted"))).unwrap();
    std::fs::remove_file(site.path(&name("became-dir"))).unwrap();
    std::fs::create_dir(site.path(&name("became-dir"))).unwrap();
    std::fs::remove_dir_all(site.path(&name("was-dir"))).unwrap();
    site.write(&name("was-dir"), &new);
    let closed = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(site.path(&name("closed")), closed).unwrap();
    let changed = Instant::now();
    keep_asking(&mut client, &path("replaced"), changed, &old, &new);

    for kind in ["rewritten", "replaced", "created", "was-dir"] {
        client.get(&path(kind)).assert_body(&new);
    }
    client.get(&path("same")).assert_body(&same_len);
    assert_eq!(client.get(&path("deleted")).status, 404);
    assert_eq!(client.get(&path("became-dir")).status, 308);
    assert_eq!(client.get(&path("closed")).status, 403);
}

/// Until a second has passed, each answer is the old state or the new one, and never the old one
/// after the new one was seen.
fn keep_asking(client: &mut Client, path: &str, changed: Instant, old: &[u8], new: &[u8]) {
    let mut seen_new = false;
    while changed.elapsed() < SECOND {
        let body = client.get(path).body;
        assert!(
            body == old || body == new,
            "a state that never was: {} bytes",
            body.len()
        );
        assert!(!(seen_new && body == old), "back to the old state");
        seen_new = body == new;
        sleep(Duration::from_millis(20));
    }
}

/// A server that has forgotten nothing has asked nobody for a while, either: the first answer after
/// a pause is new, without a second of grace.
pub(crate) fn the_first_answer_after_a_pause_is_new(engine: Engine) {
    let site = Site::of(&[("a", b"first"), ("b", b"first")]);
    // Where the kernel tells of changes, its word takes a moment: see `deploys.rs`.
    let server = Server::of(engine, &site, &["--watch=off"]);
    let mut client = server.connect();
    client.get("/a").assert_body(b"first");
    let tag = client.get("/b").field("etag").unwrap().to_owned();
    sleep(Duration::from_millis(950));
    site.write("a", b"other");
    site.write("b", b"other");
    client.get("/a").assert_body(b"other");
    let answer = client.get_with("/b", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!(
        answer.status, 200,
        "an old tag does not stand for a new state"
    );
    answer.assert_body(b"other");
}

/// A file that is written to all the time: each answer is one whole state of it, or says that there
/// is none to be had.
pub(crate) fn no_answer_mixes_two_states(engine: Engine) {
    let site = Site::new();
    let path = site.write("a", vec![b'0'; 50_000]);
    let server = Server::of(engine, &site, &[]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let beside = site.outside("beside");
            for n in (0u8..10).cycle() {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                let state = vec![b'0' + n; 40_000 + 1_000 * usize::from(n)];
                std::fs::write(&beside, state).unwrap();
                std::fs::rename(&beside, &path).unwrap();
            }
        });
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1500) {
            let answer = server.get("/a");
            if answer.status == 200 {
                let digit = answer.body[0];
                assert!(
                    answer.body.iter().all(|byte| *byte == digit),
                    "two states in one"
                );
            } else {
                assert_eq!(answer.status, 503);
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
