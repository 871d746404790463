//! The watcher over the real kernel, in scratch directories: what changes is told, and soon.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::root::open_root;
use super::{Change, Follow, Watcher, Watching};
use crate::watch::{Name, Observation, Sight, Suspicion, TreeId, Trust, Watch};

/// Nothing takes so long on a machine that is not frozen; what is told at all takes milliseconds.
const SOON: Duration = Duration::from_secs(1);
/// So long nothing must happen, where nothing is to be told.
const QUIET: Duration = Duration::from_millis(100);

/// A cold thread with a watcher, and a scratch directory with a tree.
struct Rig {
    watch: Watch,
    tree: TreeId,
    root: PathBuf,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _scratch: tempfile::TempDir,
}

impl Rig {
    fn new(directories: &[&str]) -> Rig {
        Rig::following(directories, Watching::Inotify, |_| Vec::new())
    }

    fn following(
        directories: &[&str],
        watching: Watching,
        follows: impl FnOnce(&Path) -> Vec<Follow>,
    ) -> Rig {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap().join("root");
        fs::create_dir(&root).unwrap();
        for directory in directories {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let (watch, mut watcher) = Watcher::start(watching);
        follows(&root)
            .into_iter()
            .for_each(|follow| watcher.follow(follow));
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    never = watcher.watch() => match never {},
                    _ = ended => {}
                }
            });
        });
        Rig {
            tree: watch.add_tree(opened(&root)),
            watch,
            root,
            end: Some(end),
            thread: Some(thread),
            _scratch: scratch,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn sight(&self, dir: &str) -> Sight {
        wait_for(self.watch.observe(self.tree, dir.as_bytes()))
    }

    fn observe(&self, dir: &str) -> Observation {
        match self.sight(dir) {
            Sight::Watched(observation) => observation,
            Sight::Blind => panic!("{dir:?} can be watched"),
        }
    }

    fn thing(&self, dir: &str, name: &str) -> Arc<Suspicion> {
        // An event of what the test did before may come in between, once.
        for _ in 0..100 {
            let thing = Arc::new(Suspicion::new());
            let on = [(self.observe(dir), Name::Is(name.as_bytes()))];
            if self.watch.register(&thing, &on) {
                // Whatever was done before is told by now, or soon.
                thread::sleep(Duration::from_millis(20));
                if thing.trust() == Trust::Trusted {
                    return thing;
                }
            }
        }
        panic!("nothing changes, and yet nothing is trusted");
    }

    /// What `change` does must be told to who depends on a name.
    fn told_by(&self, dir: &str, name: &str, change: impl FnOnce(&Rig)) -> Duration {
        let thing = self.thing(dir, name);
        let began = Instant::now();
        change(self);
        assert!(
            soon(|| thing.trust() == Trust::Suspect),
            "{name} in {dir:?}"
        );
        began.elapsed()
    }

    fn untold_by(&self, dir: &str, name: &str, change: impl FnOnce(&Rig)) {
        let thing = self.thing(dir, name);
        change(self);
        thread::sleep(QUIET);
        assert_eq!(thing.trust(), Trust::Trusted, "{name} in {dir:?}");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.end.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.expect("it was started").expect("the watcher lives");
        }
    }
}

fn opened(path: &Path) -> Arc<OwnedFd> {
    Arc::new(open_root(path).unwrap())
}

/// Waits as a worker does: under another executor.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    assert!(Handle::try_current().is_err());
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => thread::park(),
        }
    }
}

fn soon(mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + SOON;
    while Instant::now() < until {
        if holds() {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    holds()
}

#[test]
fn every_way_to_change_a_file_is_told() {
    let rig = Rig::new(&["a"]);
    rig.told_by("a", "page.html", |rig| rig.write("a/page.html", "created"));
    rig.told_by("a", "page.html", |rig| {
        rig.write("a/page.html", "edited in place")
    });
    rig.told_by("a", "page.html", |rig| {
        rig.write("new", "replaced");
        fs::rename(rig.path("new"), rig.path("a/page.html")).unwrap();
    });
    rig.told_by("a", "page.html", |rig| {
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(rig.path("a/page.html"), mode).unwrap();
    });
    rig.told_by("a", "page.html", |rig| {
        rig.write("a/page.html.br", "a sidecar")
    });
    rig.told_by("a", "page.html", |rig| {
        rig.write("a/page.de.html", "a language")
    });
    rig.told_by("a", "page.html", |rig| {
        fs::remove_file(rig.path("a/page.html.br")).unwrap();
    });
    rig.told_by("a", "page.html", |rig| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(rig.path("a/page.html"));
        file.unwrap().set_len(1).unwrap();
    });
    rig.told_by("a", "page.html", |rig| {
        fs::rename(rig.path("a/page.html"), rig.path("gone")).unwrap();
    });
    rig.told_by("a", "page.html", |rig| {
        fs::hard_link(rig.path("gone"), rig.path("a/page.html")).unwrap();
    });
    rig.told_by("a", "page.html", |rig| {
        fs::remove_file(rig.path("a/page.html")).unwrap();
    });
    rig.told_by("a", "page.html", |rig| {
        symlink("../gone", rig.path("a/page.html")).unwrap();
    });
    rig.untold_by("a", "page.html", |rig| rig.write("a/other.html", "another"));
    rig.untold_by("a", "page.html", |rig| rig.write("page.html", "elsewhere"));
}

#[test]
fn a_file_that_stays_open_is_told_with_each_write() {
    use std::io::Write;
    let rig = Rig::new(&[]);
    let mut file = fs::File::create(rig.path("log")).unwrap();
    for _ in 0..3 {
        rig.told_by("", "log", |_| file.write_all(b"a line\n").unwrap());
    }
}

#[test]
fn directories_that_come_and_go_are_told() {
    let rig = Rig::new(&["a/b/c"]);
    rig.told_by("a/b/c", "x", |rig| {
        fs::rename(rig.path("a"), rig.path("moved")).unwrap();
    });
    // What does not exist is depended on by its first missing segment.
    rig.told_by("a/b/c", "x", |rig| fs::create_dir(rig.path("a")).unwrap());
    rig.told_by("a/b/c", "x", |rig| {
        fs::create_dir_all(rig.path("a/b/c")).unwrap()
    });
    rig.told_by("a/b/c", "x", |rig| rig.write("a/b/c/x", "x"));
    rig.told_by("a/b/c", "x", |rig| {
        fs::remove_dir_all(rig.path("a")).unwrap()
    });
    rig.told_by("a/b/c", "x", |rig| {
        fs::rename(rig.path("moved"), rig.path("a")).unwrap();
    });
    rig.told_by("a/b/c", "x", |rig| {
        let mode = fs::Permissions::from_mode(0o711);
        fs::set_permissions(rig.path("a/b"), mode).unwrap();
    });
    rig.told_by("a/b/c", "x", |rig| {
        let mode = fs::Permissions::from_mode(0o711);
        fs::set_permissions(&rig.root, mode).unwrap();
    });
    // A file in the place of a directory.
    rig.write("file", "x");
    rig.told_by("file/below", "x", |rig| {
        fs::remove_file(rig.path("file")).unwrap();
        fs::create_dir(rig.path("file")).unwrap();
    });
    rig.told_by("file", "x", |rig| rig.write("file/x", "x"));
}

#[test]
fn deep_directories_made_at_once_are_watched_to_the_last() {
    let rig = Rig::new(&[]);
    let deep = (0..50)
        .map(|depth| depth.to_string())
        .collect::<Vec<_>>()
        .join("/");
    rig.told_by(&deep, "x", |rig| {
        fs::create_dir_all(rig.path(&deep)).unwrap()
    });
    rig.told_by(&deep, "x", |rig| rig.write(&format!("{deep}/x"), "x"));
}

#[test]
fn what_cannot_be_watched_is_blind() {
    let rig = Rig::new(&["a/b"]);
    symlink("a", rig.path("link")).unwrap();
    assert_eq!(rig.sight("link"), Sight::Blind);
    assert_eq!(rig.sight("link/b"), Sight::Blind);
    assert_eq!(rig.sight("a/.."), Sight::Blind);
    let proc = rig.watch.add_tree(opened(Path::new("/proc")));
    let sight = wait_for(rig.watch.observe(proc, b"self"));
    assert_eq!(sight, Sight::Blind);
    // A link that becomes a directory can be watched.
    fs::remove_file(rig.path("link")).unwrap();
    fs::create_dir(rig.path("link")).unwrap();
    assert!(soon(|| rig.sight("link") != Sight::Blind));

    let off = Rig::following(&[], Watching::Off, |_| Vec::new());
    assert_eq!(off.sight(""), Sight::Blind);
}

#[test]
fn one_directory_in_two_trees_is_told_to_both() {
    let rig = Rig::new(&["docs"]);
    let docs = rig.watch.add_tree(opened(&rig.path("docs")));
    let other = Arc::new(Suspicion::new());
    let Sight::Watched(seen) = wait_for(rig.watch.observe(docs, b"")) else {
        panic!("it can be watched");
    };
    assert!(rig.watch.register(&other, &[(seen, Name::Is(b"x"))]));
    rig.told_by("docs", "x", |rig| rig.write("docs/x", "x"));
    assert!(soon(|| other.trust() == Trust::Suspect));
    rig.watch.retire(docs);
    rig.told_by("docs", "x", |rig| rig.write("docs/x", "y"));
}

#[test]
#[ignore = "mounts something: unshare -m <this binary> --ignored cold::watch"]
fn what_is_mounted_over_a_directory_is_told() {
    let rig = Rig::new(&["a"]);
    let run = |program: &str, words: &[&str]| {
        let path = rig.path("a");
        let status = std::process::Command::new(program)
            .args(words)
            .arg(path)
            .status();
        assert!(status.unwrap().success());
    };
    rig.told_by("a", "x", |_| run("mount", &["-t", "tmpfs", "tmpfs"]));
    rig.told_by("a", "x", |rig| rig.write("a/x", "above"));
    rig.told_by("a", "x", |_| run("umount", &[]));
    rig.told_by("a", "x", |rig| rig.write("a/x", "below"));
}

#[test]
fn of_a_thousand_quick_changes_none_is_missed() {
    let rig = Rig::new(&["a"]);
    for change in 0..1000 {
        let dir = if change % 3 == 0 { "" } else { "a" };
        let name = if dir.is_empty() { "x" } else { "a/x" };
        let thing = Arc::new(Suspicion::new());
        let on = [(rig.observe(dir), Name::Is(b"x"))];
        let is_registered = rig.watch.register(&thing, &on);
        rig.write(name, &change.to_string());
        assert!(!is_registered || soon(|| thing.trust() == Trust::Suspect));
    }
}

#[test]
fn an_overflow_of_the_queue_loses_nothing() {
    let rig = Rig::new(&["a", "b"]);
    let thing = rig.thing("b", "x");
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let _in_a = rig.thing("a", "x");
    // Pairs of names, so that the kernel joins none of these. Whether it overflows is not sure;
    // that the last change is told is.
    let names = [rig.path("a/0"), rig.path("a/1")];
    fs::write(&names[0], "").unwrap();
    for change in 0..limit.min(100_000) {
        fs::rename(&names[change % 2], &names[(change + 1) % 2]).unwrap();
    }
    rig.write("b/x", "x");
    assert!(soon(|| thing.trust() == Trust::Suspect));
    rig.told_by("b", "x", |rig| rig.write("b/x", "y"));
}

/// A writer changes files in each of the usual ways; readers look, read and register. Whenever the
/// content is not what was registered, that is told within a second.
#[test]
fn nothing_that_is_trusted_is_older_than_a_second() {
    const NAMES: [&str; 4] = ["a/x.html", "a/y.html", "b/deep/x.html", "z.html"];
    let rig = Rig::new(&["a", "b/deep"]);
    let is_over = AtomicBool::new(false);
    let registered = thread::scope(|scope| {
        let writer = scope.spawn(|| write_in_every_way(&rig, &NAMES, &is_over));
        let readers: Vec<_> = (0..2)
            .map(|reader| {
                scope.spawn({
                    let (rig, is_over) = (&rig, &is_over);
                    move || read_and_trust(rig, NAMES[reader], NAMES[reader + 2], is_over)
                })
            })
            .collect();
        thread::sleep(Duration::from_secs(3));
        is_over.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 100);
        let registered = readers.into_iter().map(|reader| reader.join().unwrap());
        registered.sum::<usize>()
    });
    assert!(registered > 100, "{registered} were trusted");
}

fn write_in_every_way(rig: &Rig, names: &[&str], is_over: &AtomicBool) -> usize {
    let mut changes = 0;
    while !is_over.load(Ordering::Relaxed) {
        changes += 1;
        let name = names[changes % names.len()];
        // Whatever is not there at the moment, because its directory was moved, is skipped.
        match changes / names.len() % 5 {
            0 | 1 => drop(fs::write(rig.path(name), changes.to_string())),
            2 => {
                rig.write("new", &changes.to_string());
                let _ = fs::rename(rig.path("new"), rig.path(name));
            }
            3 => drop(fs::remove_file(rig.path(name))),
            _ => {
                fs::rename(rig.path("b"), rig.path("c")).unwrap();
                thread::sleep(Duration::from_millis(1));
                fs::rename(rig.path("c"), rig.path("b")).unwrap();
            }
        }
        thread::sleep(Duration::from_micros(200 * (changes as u64 % 7)));
    }
    changes
}

fn read_and_trust(rig: &Rig, one: &str, other: &str, is_over: &AtomicBool) -> usize {
    let mut registered = 0;
    let mut turn = 0;
    while !is_over.load(Ordering::Relaxed) {
        turn += 1;
        let name = if turn % 2 == 0 { one } else { other };
        let (dir, file) = name.rsplit_once('/').unwrap_or(("", name));
        let observation = rig.observe(dir);
        let content = fs::read(rig.path(name)).ok();
        let thing = Arc::new(Suspicion::new());
        if !rig
            .watch
            .register(&thing, &[(observation, Name::Is(file.as_bytes()))])
        {
            continue;
        }
        registered += 1;
        // It may be trusted for as long as the content is what was read, and a second longer.
        let until = Instant::now() + Duration::from_millis(5);
        while Instant::now() < until && thing.trust() == Trust::Trusted {
            if fs::read(rig.path(name)).ok() != content {
                assert!(soon(|| thing.trust() == Trust::Suspect), "{name} is old");
            }
        }
    }
    registered
}

/// A root at `current`, next to `root`, and what is told of it.
fn followed(watching: Watching, prepare: impl FnOnce(&Path)) -> (Rig, mpsc::Receiver<Told>) {
    let (sender, told) = mpsc::channel();
    let rig = Rig::following(&["one", "two"], watching, |root| {
        fs::write(root.join("one/which"), "one").unwrap();
        fs::write(root.join("two/which"), "two").unwrap();
        prepare(root);
        let path = root.join("current");
        let first = opened(&path);
        let files = vec![c"_headers".to_owned(), c"_redirects".to_owned()];
        let latest = Mutex::new(Arc::clone(&first));
        let on_change = Box::new(move |change| {
            let told = match change {
                Change::Root(root) => {
                    let which = read_below(&root, "which");
                    *latest.lock().unwrap() = root;
                    Told::Root(which)
                }
                Change::Files => Told::Files(read_below(&latest.lock().unwrap(), "_headers")),
            };
            sender.send(told).unwrap();
        });
        vec![Follow {
            path,
            root: first,
            files,
            on_change,
        }]
    });
    thread::sleep(Duration::from_millis(50)); // Until the watches are there: no more, a second.
    (rig, told)
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Root(String),
    Files(String),
}

fn read_below(root: &Arc<OwnedFd>, name: &str) -> String {
    let path = crate::engine::find::descriptor_path(root);
    fs::read_to_string(Path::new(&path).join(name)).unwrap_or_default()
}

/// With inotify within half a second, without it with the next look.
fn limit(watching: Watching) -> Duration {
    match watching {
        Watching::Inotify => Duration::from_millis(700),
        Watching::Off => Duration::from_millis(2500),
    }
}

/// What `ln -sfn` and `mv -T` do together.
fn swap_link(root: &Path, target: &str) {
    symlink(target, root.join("next")).unwrap();
    fs::rename(root.join("next"), root.join("current")).unwrap();
}

#[test]
fn a_root_behind_a_link_is_followed() {
    for watching in [Watching::Inotify, Watching::Off] {
        let (rig, told) = followed(watching, |root| {
            symlink("one", root.join("current")).unwrap()
        });
        let next = || told.recv_timeout(limit(watching));
        swap_link(&rig.root, "two");
        assert_eq!(next(), Ok(Told::Root("two".to_owned())), "{watching:?}");
        // Not atomically: for a moment there is none, which keeps the old one.
        fs::remove_file(rig.path("current")).unwrap();
        thread::sleep(QUIET);
        symlink("two", rig.path("current")).unwrap();
        thread::sleep(QUIET);
        swap_link(&rig.root, "one");
        assert_eq!(next(), Ok(Told::Root("one".to_owned())), "{watching:?}");
        // What the link leads to is exchanged.
        fs::rename(rig.path("one"), rig.path("old")).unwrap();
        fs::rename(rig.path("two"), rig.path("one")).unwrap();
        assert_eq!(next(), Ok(Told::Root("two".to_owned())), "{watching:?}");
        assert!(told.recv_timeout(QUIET).is_err());
    }
}

#[test]
fn a_root_that_is_replaced_by_rename_is_followed() {
    let (rig, told) = followed(Watching::Inotify, |root| {
        fs::rename(root.join("one"), root.join("current")).unwrap();
    });
    fs::rename(rig.path("current"), rig.path("old")).unwrap();
    fs::rename(rig.path("two"), rig.path("current")).unwrap();
    let next = || told.recv_timeout(limit(Watching::Inotify));
    assert_eq!(next(), Ok(Told::Root("two".to_owned())));
    // The new root's files are watched.
    rig.write("current/_headers", "new");
    assert_eq!(next(), Ok(Told::Files("new".to_owned())));
    // Those of the old one are not.
    rig.write("old/_headers", "old");
    // A directory above it moves, and another takes its place.
    let above = rig.root.parent().unwrap();
    fs::create_dir_all(above.join("other/current")).unwrap();
    fs::write(above.join("other/current/which"), "three").unwrap();
    fs::rename(&rig.root, above.join("before")).unwrap();
    fs::rename(above.join("other"), &rig.root).unwrap();
    assert_eq!(next(), Ok(Told::Root("three".to_owned())));
}

#[test]
fn many_swaps_end_with_the_last() {
    let (rig, told) = followed(Watching::Inotify, |root| {
        symlink("one", root.join("current")).unwrap();
    });
    for swap in 0..501 {
        swap_link(&rig.root, ["two", "one"][swap % 2]);
    }
    let mut last = None;
    while let Ok(change) = told.recv_timeout(limit(Watching::Inotify)) {
        last = Some(change);
    }
    assert_eq!(last, Some(Told::Root("two".to_owned())));
}

#[test]
fn files_with_rules_are_told_when_their_writer_is_done() {
    use std::io::Write;
    for watching in [Watching::Inotify, Watching::Off] {
        let (rig, told) = followed(watching, |root| {
            fs::create_dir(root.join("current")).unwrap();
        });
        let next = || told.recv_timeout(limit(watching));
        let mut file = fs::File::create(rig.path("current/_headers")).unwrap();
        for _ in 0..5 {
            file.write_all(b"line\n").unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        drop(file);
        let whole = Told::Files("line\n".repeat(5));
        let mut first = next();
        if watching == Watching::Off && first != Ok(Told::Files("line\n".repeat(5))) {
            first = next(); // The look came while it was written; the next one sees the rest.
        }
        assert_eq!(first, Ok(whole), "{watching:?}");
        if watching == Watching::Inotify {
            assert!(told.recv_timeout(QUIET).is_err(), "once");
            rig.write("current/other", "of no interest");
            assert!(told.recv_timeout(QUIET).is_err());
        }
        rig.write("new", "replaced");
        fs::rename(rig.path("new"), rig.path("current/_headers")).unwrap();
        let replaced = Told::Files("replaced".to_owned());
        assert!(told.iter().take(3).any(|change| change == replaced));
        fs::remove_file(rig.path("current/_headers")).unwrap();
        let removed = Told::Files(String::new());
        assert!(told.iter().take(3).any(|change| change == removed));
    }
}
