//! The cache follows the disk, further: bounds in time with the kernel's word and without it,
//! deploys under many readers, writers in place, and how seldom the disk is looked at.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{Engine, Server, Site, binary, eventually, serve};

/// How soon a change is seen that the kernel tells of.
const WATCHED: Duration = Duration::from_millis(300);
/// And one that is found by comparing: a second, and what the answer itself takes.
const COMPARED: Duration = Duration::from_millis(1_050);

/// Asks in a loop until something holds, which must not take longer than `bound`.
#[track_caller]
fn within(bound: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    eventually(what, &mut holds);
    let took = began.elapsed();
    assert!(took <= bound, "{what} took {took:?}");
}

pub(crate) fn each_change_is_seen_while_watched(engine: Engine) {
    each_change(engine, &[], WATCHED);
}

pub(crate) fn each_change_is_seen_without_watching(engine: Engine) {
    each_change(engine, &["--watch=off"], COMPARED);
}

/// One change after the other, each of something that was served just before.
fn each_change(engine: Engine, flags: &[&str], bound: Duration) {
    let site = Site::of(&[
        ("edited.css", b"one"),
        ("replaced.css", b"one"),
        ("removed.css", b"one"),
        ("closed.css", b"one"),
        ("coded.css", b"plain"),
        ("old/page.html", b"page"),
        ("dir/x.html", b"x"),
    ]);
    let server = Server::without_rights_with(engine, &site, flags);
    let mut client = server.connect();
    let mut ask = |path: &str| {
        let answer = client.get_with(path, "Accept-Encoding: gzip\r\n");
        (answer.status, answer.body)
    };
    let body = |bytes: &[u8]| (200, bytes.to_vec());
    for path in ["/edited.css", "/coded.css", "/dir/", "/new.css"] {
        ask(path);
    }
    ask("/edited.css");
    site.write("edited.css", b"two");
    within(bound, "an edit of the same length", || {
        ask("/edited.css") == body(b"two")
    });
    assert_eq!(ask("/replaced.css"), body(b"one"));
    let beside = site.write("beside", b"two");
    std::fs::rename(beside, site.path("replaced.css")).unwrap();
    within(bound, "a replacement", || {
        ask("/replaced.css") == body(b"two")
    });
    assert_eq!(ask("/removed.css"), body(b"one"));
    std::fs::remove_file(site.path("removed.css")).unwrap();
    within(bound, "a removal", || ask("/removed.css").0 == 404);
    site.write("removed.css", b"again");
    within(bound, "a return", || ask("/removed.css") == body(b"again"));
    assert_eq!(ask("/new.css").0, 404);
    site.write("new.css", b"new");
    within(bound, "a creation", || ask("/new.css") == body(b"new"));
    assert_eq!(ask("/coded.css"), body(b"plain"));
    site.write("coded.css.gz", b"coded");
    within(bound, "a sidecar", || ask("/coded.css") == body(b"coded"));
    assert_eq!(ask("/dir/").0, 404);
    site.write("dir/index.html", b"index");
    within(bound, "an index", || ask("/dir/") == body(b"index"));
    std::fs::remove_file(site.path("dir/index.html")).unwrap();
    within(bound, "no index", || ask("/dir/").0 == 404);
    assert_eq!(ask("/closed.css"), body(b"one"));
    let mode = |bits| std::fs::Permissions::from_mode(bits);
    std::fs::set_permissions(site.path("closed.css"), mode(0o000)).unwrap();
    within(bound, "closed", || ask("/closed.css").0 == 403);
    std::fs::set_permissions(site.path("closed.css"), mode(0o644)).unwrap();
    within(bound, "opened", || ask("/closed.css") == body(b"one"));
    assert_eq!(ask("/old/page.html"), body(b"page"));
    assert_eq!(ask("/new/page.html").0, 404);
    std::fs::rename(site.path("old"), site.path("new")).unwrap();
    within(bound, "a directory gone", || ask("/old/page.html").0 == 404);
    within(bound, "a directory come", || {
        ask("/new/page.html") == body(b"page")
    });
}

/// A moment after a change that the kernel tells of, even the first answer is new.
pub(crate) fn the_first_answer_a_moment_after_a_change_is_new(engine: Engine) {
    let site = Site::of(&[("a", b"first"), ("b", b"first")]);
    let server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    client.get("/a").assert_body(b"first");
    let tag = client.get("/b").field("etag").unwrap().to_owned();
    sleep(Duration::from_millis(950));
    site.write("a", b"other");
    site.write("b", b"other");
    sleep(Duration::from_millis(50));
    client.get("/a").assert_body(b"other");
    let answer = client.get_with("/b", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!(answer.status, 200, "an old tag is of an old state");
    answer.assert_body(b"other");
}

/// Deploys one after the other, pages and assets, under readers: once anything of a deploy was
/// seen by anyone, no request that is sent later gets anything of one before it.
pub(crate) fn no_deploy_comes_back(engine: Engine) {
    const DEPLOYS: u64 = 6;
    const PATHS: [&str; 4] = ["/", "/plain.css", "/sub/page.html", "/large.txt"];
    let site = Site::new();
    for n in 1..=DEPLOYS {
        let text = |len: usize| format!("{n:08}").repeat(len);
        site.write(&format!("{n}/index.html"), text(1));
        site.write(&format!("{n}/plain.css"), text(100));
        site.write(&format!("{n}/sub/page.html"), text(10));
        site.write(&format!("{n}/large.txt"), text(20_000)); // By sendfile.
    }
    symlink("1", site.path("current")).unwrap();
    let mut command = serve(binary(), engine);
    command.args(["--listen", "127.0.0.1:0", "--workers", "2"]);
    let server = Server::start(command.arg(site.path("current")));
    let (newest, stop) = (AtomicU64::new(1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for path in PATHS {
            let (server, newest, stop) = (&server, &newest, &stop);
            scope.spawn(move || {
                let mut client = server.connect();
                while !stop.load(Ordering::SeqCst) {
                    let known = newest.load(Ordering::SeqCst);
                    let answer = client.get(path);
                    assert_eq!(answer.status, 200, "{path}");
                    let first = &answer.body[..8];
                    let shown: u64 = std::str::from_utf8(first).unwrap().parse().unwrap();
                    assert!(answer.body.chunks(8).all(|eight| eight == first), "{path}");
                    assert!(shown >= known, "{path}: {shown} after {known} was seen");
                    newest.fetch_max(shown, Ordering::SeqCst);
                }
            });
        }
        // Readers that fail must not be waited for.
        let ends = Ender(&stop);
        for n in 2..=DEPLOYS {
            sleep(Duration::from_millis(250));
            symlink(n.to_string(), site.path("next")).unwrap();
            std::fs::rename(site.path("next"), site.path("current")).unwrap();
            within(COMPARED, "a deploy", || newest.load(Ordering::SeqCst) >= n);
        }
        sleep(Duration::from_millis(100));
        drop(ends);
    });
}

struct Ender<'a>(&'a AtomicBool);

impl Drop for Ender<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What is removed by a deploy: a name with a hash lives on for its time, others do not.
pub(crate) fn removed_assets_end_with_their_time(engine: Engine) {
    let site = Site::of(&[
        ("one/index.html", b"page one"),
        ("one/app.3f2a9c1b.js", b"script one"),
        ("one/never-asked.9c1b3f2a.css", b"style one"),
        ("one/plain.css", b"plain one"),
        ("two/index.html", b"page two"),
    ]);
    symlink("one", site.path("current")).unwrap();
    let mut command = serve(binary(), engine);
    command.args(["--listen", "127.0.0.1:0", "--keep-removed=5s"]);
    let server = Server::start(command.arg(site.path("current")));
    server.get("/app.3f2a9c1b.js").assert_body(b"script one");
    server.get("/plain.css").assert_body(b"plain one");
    symlink("two", site.path("next")).unwrap();
    std::fs::rename(site.path("next"), site.path("current")).unwrap();
    let swapped = Instant::now();
    eventually("the new deploy", || server.get("/").body == b"page two");
    while swapped.elapsed() < Duration::from_millis(4_500) {
        server.get("/app.3f2a9c1b.js").assert_body(b"script one");
        let unasked = server.get("/never-asked.9c1b3f2a.css");
        unasked.assert_body(b"style one");
        assert_eq!(server.get("/plain.css").status, 404);
        sleep(Duration::from_millis(100));
    }
    // Its time, and the second in which a 404 may be behind.
    sleep(Duration::from_millis(6_200).saturating_sub(swapped.elapsed()));
    for path in [
        "/app.3f2a9c1b.js",
        "/never-asked.9c1b3f2a.css",
        "/plain.css",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

/// One file is written over in place, one is cut and written, one is replaced, all the time, while
/// four readers ask: each body is a state that the disk has had, and not for longer than a second.
pub(crate) fn no_state_is_mixed_or_old_under_writers(engine: Engine) {
    // One page of memory: the kernel itself mixes larger writes into reads.
    let version = |n: u64| format!("{n:08}").repeat(64).into_bytes();
    const FILES: [&str; 3] = ["over", "cut", "moved"];
    let site = Site::new();
    for file in FILES {
        site.write(file, version(0));
    }
    let server = Server::of(engine, &site, &["--workers", "2"]);
    let start = Instant::now();
    let ends = start + Duration::from_millis(2_500);
    // The version before this one was gone at that time: `(version, milliseconds)`, ever growing.
    let written = std::sync::Mutex::new(vec![0_u128]);
    std::thread::scope(|scope| {
        let (site, server, written) = (&site, &server, &written);
        scope.spawn(move || {
            let over = std::fs::File::options().write(true).open(site.path("over"));
            let over = over.unwrap();
            for n in 1.. {
                if Instant::now() >= ends {
                    return;
                }
                use std::os::unix::fs::FileExt;
                over.write_all_at(&version(n), 0).unwrap();
                std::fs::write(site.path("cut"), version(n)).unwrap();
                std::fs::write(site.outside("beside"), version(n)).unwrap();
                std::fs::rename(site.outside("beside"), site.path("moved")).unwrap();
                written.lock().unwrap().push(start.elapsed().as_millis());
                // Now and then long enough to be cached, even by its looks.
                sleep(Duration::from_millis(if n % 40 == 0 { 200 } else { n % 7 }));
            }
        });
        for reader in 0..4_usize {
            scope.spawn(move || {
                let mut client = server.connect();
                for file in FILES.iter().cycle().skip(reader) {
                    if Instant::now() >= ends {
                        return;
                    }
                    let asked = start.elapsed().as_millis();
                    let answer = client.get(&format!("/{file}"));
                    if answer.status == 503 || (answer.body.is_empty() && *file == "cut") {
                        continue; // It never held still; or it was cut and not yet written.
                    }
                    assert_eq!(answer.status, 200, "{file}");
                    let first = std::str::from_utf8(&answer.body[..8]).unwrap();
                    let n: u64 = first.parse().unwrap();
                    assert!(answer.body == version(n), "{file}: a mixed body");
                    let gone = written.lock().unwrap().get(n as usize + 1).copied();
                    let age = gone.map_or(0, |gone| asked.saturating_sub(gone));
                    assert!(age <= 1_000, "{file} is {age} ms old");
                }
            });
        }
    });
}

/// Twenty thousand requests over a second and a half and more: between the first answer and the
/// last the disk is looked at as it is where nobody asks.
pub(crate) fn the_disk_is_left_alone(engine: Engine) {
    let site = Site::of(&[("a.txt", b"alpha")]);
    let mut server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    for _ in 0..10 {
        client.get("/a.txt").assert_body(b"alpha");
    }
    let counts = site.outside("counts");
    let pid = server.pid().as_raw_nonzero().to_string();
    let mut tracer = Command::new("strace");
    tracer.args(["-f", "-e", "trace=statx,openat2,openat,newfstatat"]);
    tracer.arg("-o").arg(&counts).args(["-p", &pid]);
    tracer.stderr(std::process::Stdio::null());
    let mut tracer = tracer.spawn().expect("strace");
    // It has taken hold when the process says who traces it.
    eventually("strace has taken hold of every thread", || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let mut statuses = tasks.map(|task| task.unwrap().path().join("status"));
        statuses.all(|status| {
            let status = std::fs::read_to_string(status).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        })
    });
    let looks = || {
        let text = std::fs::read_to_string(&counts).unwrap_or_default();
        let lines = text.lines();
        lines.filter(|line| line.contains('(')).count()
    };
    // A control: what must be looked for is counted.
    let asked_before = asked_of_rings(&pid);
    assert_eq!(client.get("/never/seen/before").status, 404);
    match asked_before {
        None => eventually("the tracer sees", || looks() > 0),
        Some(before) => assert!(asked_of_rings(&pid).unwrap() > before),
    }
    sleep(Duration::from_millis(100));
    let before = looks();
    let asked_before = asked_of_rings(&pid);
    let began = Instant::now();
    let request = "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    for _ in 0..200 {
        client.send(&request);
        for _ in 0..100 {
            client.answer().assert_body(b"alpha");
        }
        sleep(Duration::from_millis(8));
    }
    let took = began.elapsed();
    let asked = asked_of_rings(&pid);
    let made = looks() - before;
    assert!(took > Duration::from_millis(1_500), "{took:?}");
    sleep(took);
    let idle = looks() - before - made;
    kill_process(Pid::from_child(&tracer), Signal::INT).unwrap();
    tracer.wait().unwrap();
    server.signal(Signal::TERM);
    drop(client);
    server.wait();
    assert!(
        made <= idle + 12,
        "{made} looks at the disk in {took:?}, {idle} as long idle"
    );
    // What goes through a ring is no system call: there, a look for each request would show among
    // all that was asked of it, which is a few operations for each batch.
    let asked = asked.zip(asked_before).map(|(now, before)| now - before);
    assert!(asked.is_none_or(|asked| asked < 1_000), "{asked:?}");
}

/// Operations that a process has asked of its rings, if it has any.
fn asked_of_rings(pid: &str) -> Option<u64> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
    let tails = texts.filter_map(|text| {
        let mut lines = text.lines();
        let tail = lines.find_map(|line| line.strip_prefix("SqTail:"))?;
        tail.trim().parse::<u64>().ok()
    });
    tails.reduce(|sum, tail| sum + tail)
}
