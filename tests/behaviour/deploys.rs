//! The cache follows the disk: what is changed is seen at once, a deploy is seen whole.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::rig::{Engine, Server, Site, eventually};

/// Below the 0.9 s for which what is not watched is served after its last look at the disk. Each
/// step below has just looked, so nothing but an event can be faster.
const AT_ONCE: Duration = Duration::from_millis(750);

#[track_caller]
fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    eventually(what, &mut holds);
    let took = began.elapsed();
    assert!(took < AT_ONCE, "{what} took {took:?}");
}

pub(crate) fn every_kind_of_change_is_seen_at_once(engine: Engine) {
    let site = Site::of(&[
        ("a.css", b"one"),
        ("dir/page.html", b"page"),
        ("deep/er/x.txt", b"x"),
    ]);
    let server = Server::of(engine, &site, &[]);
    let mut client = server.connect();
    let mut body = |path: &str| {
        let answer = client.get_with(path, "Accept-Encoding: gzip\r\n");
        (answer.status, answer.body)
    };
    for path in [
        "/a.css",
        "/dir/page.html",
        "/deep/er/x.txt",
        "/dir/",
        "/new.txt",
        "/no/such",
    ] {
        body(path);
        body(path);
    }
    sleep(Duration::from_millis(50));
    site.write("a.css", b"edited");
    soon("an edit in place", || body("/a.css").1 == b"edited");
    std::fs::write(site.path("tmp"), b"replaced").unwrap();
    std::fs::rename(site.path("tmp"), site.path("a.css")).unwrap();
    soon("a replacement", || body("/a.css").1 == b"replaced");
    site.write("new.txt", b"new");
    soon("a new file behind a 404", || body("/new.txt").1 == b"new");
    site.write("a.css.gz", b"coded");
    soon("a sidecar", || body("/a.css").1 == b"coded");
    std::fs::remove_file(site.path("a.css.gz")).unwrap();
    soon("no sidecar", || body("/a.css").1 == b"replaced");
    site.write("dir/index.html", b"index");
    soon("an index", || body("/dir/").1 == b"index");
    std::fs::remove_file(site.path("new.txt")).unwrap();
    soon("a removal", || body("/new.txt").0 == 404);
    std::fs::rename(site.path("deep"), site.path("gone")).unwrap();
    soon("a renamed directory", || body("/deep/er/x.txt").0 == 404);
    soon("its new name", || body("/gone/er/x.txt").1 == b"x");
    site.write("no/such/index.html", b"made");
    soon("directories that were not there", || {
        body("/no/such/").1 == b"made"
    });
}

/// Two releases beside each other, and a link to one of them.
struct Releases {
    site: Site,
}

impl Releases {
    fn new() -> Releases {
        let site = Site::new();
        for release in ["one", "two"] {
            site.write(&format!("{release}/index.html"), format!("page {release}"));
            site.write(&format!("{release}/plain.css"), format!("style {release}"));
        }
        site.write("one/app.3f2a9c1b.js", "script one");
        site.write("two/app.77aa01bc.js", "script two");
        site.write("one/only.css", "only one");
        symlink("one", site.path("current")).unwrap();
        Releases { site }
    }

    fn swap(&self) {
        symlink("two", self.site.path("next")).unwrap();
        std::fs::rename(self.site.path("next"), self.site.path("current")).unwrap();
    }

    fn serve(&self, engine: Engine, flags: &[&str]) -> Server {
        let mut command = crate::rig::serve(crate::rig::binary(), engine);
        command.args(["--listen", "127.0.0.1:0", "--workers", "2"]);
        Server::start(command.args(flags).arg(self.site.path("current")))
    }
}

pub(crate) fn a_deploy_is_seen_whole(engine: Engine) {
    let releases = Releases::new();
    let server = releases.serve(engine, &[]);
    let is_new = AtomicBool::new(false);
    let ends = Instant::now() + Duration::from_secs(2);
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (server, is_new) = (&server, &is_new);
            scope.spawn(move || {
                let mut client = server.connect();
                let path = ["/", "/plain.css", "/index.html"][reader];
                while Instant::now() < ends {
                    let was_new = is_new.load(Ordering::SeqCst);
                    let answer = client.get(path);
                    let text = String::from_utf8(answer.body).unwrap();
                    let shows_new = text.ends_with("two");
                    assert!(shows_new || text.ends_with("one"), "{text}");
                    assert!(shows_new || !was_new, "{path} went back to the old deploy");
                    if shows_new {
                        is_new.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
        sleep(Duration::from_millis(500));
        releases.swap();
    });
    assert!(is_new.load(Ordering::SeqCst));
    assert_eq!(server.get("/app.3f2a9c1b.js").status, 404);
    server.get("/app.77aa01bc.js").assert_body(b"script two");
}

pub(crate) fn removed_assets_are_kept_for_a_while(engine: Engine) {
    let releases = Releases::new();
    let server = releases.serve(engine, &["--keep-removed=3s"]);
    server.get("/only.css").assert_body(b"only one");
    let swapped = Instant::now();
    releases.swap();
    eventually("the new deploy", || server.get("/").body == b"page two");
    server.get("/app.3f2a9c1b.js").assert_body(b"script one");
    assert_eq!(server.get("/only.css").status, 404, "no hash, no mercy");
    sleep(Duration::from_secs(5).saturating_sub(swapped.elapsed()));
    assert_eq!(server.get("/app.3f2a9c1b.js").status, 404);
}

/// Writers replace and rewrite files all the time; every answer is one of their versions, whole,
/// and not older than a second.
pub(crate) fn no_answer_is_mixed_or_old_while_files_change(engine: Engine) {
    let site = Site::new();
    let version = |n: u64, len: usize| format!("{n:08}").repeat(len).into_bytes();
    let lens = [10, 1_000, 40_000];
    for (file, len) in lens.iter().enumerate() {
        site.write(&format!("f{file}"), version(0, *len));
    }
    let server = Server::of(engine, &site, &["--workers", "2"]);
    let start = Instant::now();
    let ends = start + Duration::from_secs(3);
    // When each version of each file was replaced, in milliseconds since the start.
    let replaced: Vec<std::sync::Mutex<Vec<u128>>> =
        lens.iter().map(|_| Default::default()).collect();
    std::thread::scope(|scope| {
        let (site, server, replaced) = (&site, &server, &replaced);
        scope.spawn(move || {
            let mut n = 0;
            while Instant::now() < ends {
                n += 1;
                for (file, len) in lens.iter().enumerate() {
                    std::fs::write(site.path("tmp"), version(n, *len)).unwrap();
                    std::fs::rename(site.path("tmp"), site.path(&format!("f{file}"))).unwrap();
                    let now = start.elapsed().as_millis();
                    replaced[file].lock().unwrap().push(now);
                }
                sleep(Duration::from_millis(n % 30));
            }
        });
        for reader in 0..3_usize {
            scope.spawn(move || {
                let mut client = server.connect();
                let (path, len) = (format!("/f{reader}"), lens[reader]);
                while Instant::now() < ends {
                    let asked = start.elapsed().as_millis();
                    let answer = client.get(&path);
                    if answer.status == 503 {
                        continue; // It never held still.
                    }
                    assert_eq!(answer.status, 200);
                    let n: u64 = std::str::from_utf8(&answer.body[..8])
                        .unwrap()
                        .parse()
                        .unwrap();
                    assert!(answer.body == version(n, len), "a mixed body of {path}");
                    let gone = replaced[reader].lock().unwrap().get(n as usize).copied();
                    let age = gone.map_or(0, |gone| asked.saturating_sub(gone));
                    assert!(age <= 1_000, "{path} is {age} ms old");
                }
            });
        }
    });
}

/// Twenty thousand answers for one watched file, and the disk is hardly looked at.
pub(crate) fn a_watched_file_costs_no_look_at_the_disk(engine: Engine) {
    let site = Site::of(&[("a.txt", b"alpha")]);
    let counts = site.outside("counts");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-c",
        "-e",
        "trace=statx,openat2,openat,newfstatat",
        "-o",
    ]);
    command.arg(&counts).arg(crate::rig::binary());
    command.args(["serve", "--engine", engine, "--workers", "1"]);
    command.args(["--listen", "127.0.0.1:0"]).arg(site.root());
    let mut server = Server::start(&mut command);
    let mut client = server.connect();
    client.get("/a.txt").assert_body(b"alpha");
    let began = Instant::now();
    let mut answers = 0;
    while began.elapsed() < Duration::from_secs(3) {
        client.get("/a.txt").assert_body(b"alpha");
        answers += 1;
    }
    assert!(answers > 1_000, "{answers}");
    stop_traced(&server);
    server.wait();
    let took = began.elapsed();
    // The start looks at some hundred files, and the cold thread now and then at the root: as often
    // as where nobody asks for as long.
    let looks = count(&counts);
    let idle = {
        let mut idle = Server::start(&mut traced(&site, &counts, engine));
        idle.connect().get("/a.txt").assert_body(b"alpha");
        sleep(took);
        stop_traced(&idle);
        idle.wait();
        count(&counts)
    };
    assert!(
        looks <= idle + 20,
        "{looks} looks with {answers} answers, {idle} with one"
    );
}

fn traced(site: &Site, counts: &Path, engine: Engine) -> Command {
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-c",
        "-e",
        "trace=statx,openat2,openat,newfstatat",
        "-o",
    ]);
    command.arg(counts).arg(crate::rig::binary());
    command.args(["serve", "--engine", engine, "--workers", "1"]);
    command.args(["--listen", "127.0.0.1:0"]).arg(site.root());
    command
}

/// Ends the server behind the tracer, which ends with it.
fn stop_traced(server: &Server) {
    let children = format!("/proc/{0}/task/{0}/children", server.pid().as_raw_nonzero());
    let children = std::fs::read_to_string(children).unwrap();
    let child: i32 = children.split_whitespace().next().unwrap().parse().unwrap();
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::TERM).unwrap();
}

/// Calls that strace has counted in all.
fn count(path: &Path) -> u64 {
    let table = std::fs::read_to_string(path).unwrap();
    let total = table.lines().find(|line| line.ends_with("total")).unwrap();
    total.split_whitespace().nth(3).unwrap().parse().unwrap()
}
