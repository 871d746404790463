//! Both lanes over real files, with a disk that can be disturbed between any two operations.

use std::cell::Cell;
use std::fs;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tempfile::TempDir;

use super::*;
use crate::base::Millis;
use crate::base::limits::{FRESH_FOR, LOAD_ATTEMPTS_MAX};
use crate::cache::StoreSettings;
use crate::engine::operation::Operation;
use crate::engine::{
    Completion, Engine, Errno, FileRange, FileSent, ListenerId, OperationId, Outcome, Received,
    SendBatch, SocketId, Wait, find,
};
use crate::exchange::{AnswerHead, Body};
use crate::http::Field;
use crate::route::site::{Finding, Representations, SiteSettings};

mod finding;
mod forms;

pub(in crate::handler) const SETTINGS: StoreSettings = StoreSettings {
    bytes_max: 1024 * 1024,
    entry_bytes_max: 4096,
    descriptors_max: 64,
    names_max: 1000,
};

/// Performs file operations at once; a disturbance runs before each of them.
struct Disk<'a> {
    finished: Vec<(OperationId, Outcome)>,
    performed: usize,
    disturb: &'a mut dyn FnMut(&Operation) -> Option<Errno>,
}

fn outcome(operation: Operation, error: Option<Errno>) -> Outcome {
    let failed = |error: rustix::io::Errno| error.raw_os_error();
    let or = |result: Result<OwnedFd, rustix::io::Errno>| match error {
        Some(error) => Err(error),
        None => result.map_err(|error| Errno(failed(error))),
    };
    match operation {
        Operation::Find { root, path, links } => {
            Outcome::Opened(or(find::find(root, &path, links)))
        }
        Operation::OpenFound { found } => Outcome::Opened(or(find::open_found(found))),
        Operation::Stat { file } => Outcome::Stat(match error {
            Some(error) => Err(error),
            None => find::stat(file).map_err(|error| Errno(failed(error))),
        }),
        Operation::Read {
            file,
            offset,
            mut buf,
        } => {
            if let Some(error) = error {
                let result = Err(error);
                return Outcome::Read { buf, result };
            }
            // At most 1000 bytes, so that every larger file takes several reads.
            let mut piece = vec![0; 1000.min(buf.capacity() - buf.len())];
            let len = rustix::io::pread(file, &mut piece, offset).unwrap();
            buf.extend_from_slice(&piece[..len]);
            Outcome::Read {
                buf,
                result: Ok(len),
            }
        }
    }
}

#[rustfmt::skip]
impl Engine for Disk<'_> {
    fn name(&self) -> &'static str { "disk" }
    fn now(&self) -> Now { unreachable!() }
    fn waker(&self) -> crate::engine::Waker { unreachable!() }
    fn set_ticking(&mut self, _: bool) { unreachable!() }
    fn add_listener(&mut self, _: OwnedFd) -> ListenerId { unreachable!() }
    fn accept(&mut self, _: ListenerId) { unreachable!() }
    fn stop_accepting(&mut self, _: ListenerId) { unreachable!() }
    fn close_listener(&mut self, _: ListenerId) { unreachable!() }
    fn shed(&mut self, _: ListenerId) -> bool { unreachable!() }
    fn receive(&mut self, _: SocketId) { unreachable!() }
    fn stop_receiving(&mut self, _: SocketId) { unreachable!() }
    fn bytes(&mut self, _: &Received) -> &mut [u8] { unreachable!() }
    fn recycle(&mut self, _: Received) { unreachable!() }
    fn send(&mut self, _: SocketId, _: Box<SendBatch>, _: bool) { unreachable!() }
    fn send_ahead(&mut self, _: SocketId, _: &[u8], _: bool) -> usize { unreachable!() }
    fn send_file(&mut self, _: SocketId, _: &FileRange) -> FileSent { unreachable!() }
    fn note_read(&mut self, _: &FileRange) { unreachable!() }

    fn poll_writable(&mut self, _: SocketId) { unreachable!() }
    fn descriptor(&self, _: SocketId) -> Option<(BorrowedFd<'_>, u64)> { unreachable!() }
    fn shutdown_write(&mut self, _: SocketId) { unreachable!() }
    fn cancel(&mut self, _: SocketId) { unreachable!() }
    fn close(&mut self, _: SocketId) { unreachable!() }
    fn wait(&mut self, _: Wait, _: &mut Vec<Completion>) -> std::io::Result<()> { unreachable!() }
    fn flush(&mut self) { unreachable!() }

    fn start(&mut self, id: OperationId, operation: Operation) {
        self.performed += 1;
        let error = (self.disturb)(&operation);
        self.finished.push((id, outcome(operation, error)));
    }
}

/// A site in a scratch directory, and one worker that serves it.
pub(in crate::handler) struct Bench {
    pub(in crate::handler) directory: TempDir,
    store: Arc<Store>,
    files: Files,
    pub(in crate::handler) now: Now,
    /// Operations of the disk so far.
    performed: Cell<usize>,
}

/// An answer in a form to compare.
#[derive(Debug)]
pub(in crate::handler) struct Seen {
    pub(in crate::handler) status: Status,
    pub(in crate::handler) head: String,
    pub(in crate::handler) body: Vec<u8>,
    lane: Lane,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::handler) enum Lane {
    Fast,
    /// From the fast lane, with a refresh beside it.
    FastRefreshing,
    Slow,
}

impl Seen {
    pub(in crate::handler) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (this, value) = line.split_once(": ")?;
            (this == name).then_some(value)
        })
    }

    #[track_caller]
    fn is(&self, status: Status, body: &[u8], lane: Lane) {
        assert_eq!((self.status, self.lane), (status, lane), "{}", self.head);
        assert!(
            self.body == body,
            "{:?}",
            String::from_utf8_lossy(&self.body)
        );
    }
}

fn no_disturbance(_: &Operation) -> Option<Errno> {
    None
}

fn read_body(body: &Body) -> Vec<u8> {
    match body {
        Body::Empty => Vec::new(),
        Body::Bytes(bytes) => bytes.to_vec(),
        Body::File(range) => {
            let mut bytes = vec![0; range.len as usize];
            let read = rustix::io::pread(&range.file, &mut bytes, range.offset).unwrap();
            bytes.truncate(read);
            bytes
        }
        Body::Parts(_) | Body::Stream(_) => unreachable!("files have one part"),
    }
}

pub(in crate::handler) fn seen_answer(answer: &Answer, lane: Lane) -> Seen {
    let (status, h1) = match &answer.head {
        AnswerHead::Template(template) => (template.status(), template.h1().to_vec()),
        AnswerHead::Fresh(head) => {
            let mut h1 = Vec::new();
            head.render_h1(&mut h1);
            (head.status, h1)
        }
    };
    Seen {
        status,
        head: String::from_utf8(h1).unwrap(),
        body: read_body(&answer.body),
        lane,
    }
}

impl Bench {
    pub(in crate::handler) fn new(
        site: impl FnOnce(&Path) -> Site,
        settings: StoreSettings,
    ) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let site = Arc::new(site(directory.path()));
        let store = Arc::new(Store::new(settings));
        Bench {
            files: Files::new(site, services(&store)),
            directory,
            store,
            // Half an hour from now, so that no file of the test is young, unless it wants to be.
            now: Now {
                monotonic: Millis(1_000_000),
                unix_seconds: unix_now() + 1_800,
            },
            performed: Cell::new(0),
        }
    }

    /// The site, for another handler.
    pub(in crate::handler) fn site(&self) -> (Arc<Site>, FileServices) {
        (Arc::clone(&self.files.site), self.files.services.clone())
    }

    pub(in crate::handler) fn directory() -> Bench {
        Bench::new(open_site, SETTINGS)
    }

    pub(in crate::handler) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn advance(&mut self, duration: std::time::Duration) {
        self.now.monotonic = self.now.monotonic + duration;
        self.now.unix_seconds += duration.as_secs();
    }

    /// Drives a future of the slow lane on a disk.
    fn run<T>(
        &self,
        make: impl FnOnce(&Files, Io) -> T,
        disturb: &mut dyn FnMut(&Operation) -> Option<Errno>,
    ) -> T::Output
    where
        T: Future,
    {
        let io = Io::default();
        let mut disk = Disk {
            finished: Vec::new(),
            performed: 0,
            disturb,
        };
        let mut future = pin!(make(&self.files, io.clone()));
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                assert_eq!(io.in_flight(), 0);
                self.performed.set(self.performed.get() + disk.performed);
                return output;
            }
            io.submit(&mut disk);
            for (id, outcome) in disk.finished.drain(..) {
                io.on_finished(id, outcome);
            }
        }
    }

    pub(in crate::handler) fn request(
        &mut self,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Seen {
        self.request_disturbed(method, target, fields, &mut no_disturbance)
    }

    pub(in crate::handler) fn get(&mut self, target: &str) -> Seen {
        self.request(Method::Get, target, &[])
    }

    fn get_disturbed(
        &mut self,
        target: &str,
        disturb: &mut dyn FnMut(&Operation) -> Option<Errno>,
    ) -> Seen {
        self.request_disturbed(Method::Get, target, &[], disturb)
    }

    /// One request as a connection would make it: fast lane, slow lane, memory, refresh.
    fn request_disturbed(
        &mut self,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
        disturb: &mut dyn FnMut(&Operation) -> Option<Errno>,
    ) -> Seen {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.as_bytes())),
            None => (target, None),
        };
        let list: Vec<Field<'_>> = fields
            .iter()
            .map(|(name, value)| Field {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let head = RequestHead {
            method,
            version: Version::Http11,
            form: TargetForm::Origin,
            path: path.as_bytes(),
            query,
            authority: Some(b"a.example"),
            fields: Fields::new(&list),
        };
        let now = self.now;
        let lane = |aside: &Option<Aside>| match aside {
            Some(_) => Lane::FastRefreshing,
            None => Lane::Fast,
        };
        let (seen, aside) = match self.files.serve(&head, now) {
            Served::Hit { head, body, aside } => {
                let seen = Seen {
                    status: head.status(),
                    head: String::from_utf8(head.h1().to_vec()).unwrap(),
                    body: body.to_vec(),
                    lane: lane(&aside),
                };
                (seen, aside)
            }
            Served::Answer { answer, aside } => (seen_answer(&answer, lane(&aside)), aside),
            Served::Slow(why) => {
                let owned = OwnedRequestHead::new(&head);
                let loaded = self.run(|files, io| files.load(owned, why, io, now), disturb);
                if let Some(remember) = loaded.remember {
                    self.files.remember(remember, now);
                }
                (
                    seen_answer(&loaded.answer, Lane::Slow),
                    loaded.aside.map(|(aside, _)| aside),
                )
            }
        };
        if let Some(aside) = aside {
            let path = head.path;
            let known = self.run(|files, io| files.do_aside(aside, path, io, now), disturb);
            if let Some(remember) = known {
                self.files.remember(remember, now);
            }
        }
        seen
    }
}

fn services(store: &Arc<Store>) -> FileServices {
    FileServices {
        store: Arc::clone(store),
        watch: Watch::off(),
        pool: Pool::new(2, 64),
        listings: Listings::default(),
    }
}

/// A site that takes each file as it is.
pub(in crate::handler) fn plain_settings(root: &Path) -> SiteSettings {
    SiteSettings {
        root: Some(root.to_owned()),
        finding: Finding {
            index_names: vec!["index.html".to_owned(), "index.htm".to_owned()],
            ..Finding::default()
        },
        representations: Representations {
            sidecars: false,
            compress: false,
            ..Representations::default()
        },
        ..SiteSettings::default()
    }
}

fn open_site(root: &Path) -> Site {
    Site::open(0, plain_settings(root), &Watch::off()).unwrap()
}

fn unix_now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    since.as_secs()
}

#[test]
fn a_file_comes_from_the_disk_once_and_from_the_index_then() {
    let mut bench = Bench::directory();
    bench.write("a.css", "body {}");
    let first = bench.get("/a.css");
    first.is(Status::OK, b"body {}", Lane::Slow);
    assert_eq!(first.field("Content-Type"), Some("text/css; charset=utf-8"));
    assert_eq!(first.field("Content-Length"), Some("7"));
    assert_eq!(first.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(first.field("Server"), Some("downpour"));
    assert!(first.field("Last-Modified").unwrap().ends_with(" GMT"));
    assert!(first.field("ETag").unwrap().starts_with('"'));
    let performed = bench.performed.get();
    let second = bench.get("/a.css?v=2");
    second.is(Status::OK, b"body {}", Lane::Fast);
    assert_eq!(first.head, second.head);
    let head = bench.request(Method::Head, "/a.css", &[]);
    head.is(Status::OK, b"", Lane::Fast);
    assert_eq!(head.head, first.head);
    assert_eq!(bench.performed.get(), performed, "no operation on a hit");
    // Another spelling is another key of the same entry.
    bench
        .get("/./%61.css")
        .is(Status::OK, b"body {}", Lane::Slow);
    assert_eq!(bench.performed.get(), performed);
    bench
        .get("/./%61.css")
        .is(Status::OK, b"body {}", Lane::Fast);
    assert_eq!(bench.store.len(), 1);
}

#[test]
fn conditions_and_ranges_are_answered_on_both_lanes_alike() {
    let mut bench = Bench::directory();
    bench.write("a.txt", "0123456789");
    let etag = bench.get("/a.txt").field("ETag").unwrap().to_owned();
    for lane in [Lane::Fast, Lane::Slow] {
        if lane == Lane::Slow {
            bench.files.index = Index::new();
        }
        let mut ask = |fields: &[(&str, &str)]| {
            let seen = bench.request(Method::Get, "/a.txt", fields);
            if lane == Lane::Slow {
                bench.files.index = Index::new();
            }
            seen
        };
        let fresh = ask(&[("If-None-Match", &etag)]);
        fresh.is(Status::NOT_MODIFIED, b"", lane);
        assert_eq!(fresh.field("ETag"), Some(&etag[..]));
        assert_eq!(fresh.field("Content-Length"), None);
        assert_eq!(fresh.field("Last-Modified"), None, "RFC 9110 §15.4.5");
        let part = ask(&[("Range", "bytes=2-4"), ("If-Range", &etag)]);
        part.is(Status::PARTIAL_CONTENT, b"234", lane);
        assert_eq!(part.field("Content-Range"), Some("bytes 2-4/10"));
        assert_eq!(part.field("Content-Length"), Some("3"));
        assert_eq!(part.field("ETag"), Some(&etag[..]));
        let beyond = ask(&[("Range", "bytes=10-")]);
        assert_eq!(
            (beyond.status, beyond.lane),
            (Status::RANGE_NOT_SATISFIABLE, lane)
        );
        assert_eq!(beyond.field("Content-Range"), Some("bytes */10"));
        let length = beyond.body.len().to_string();
        assert_eq!(beyond.field("Content-Length"), Some(&length[..]));
        let failed = ask(&[("If-Match", "\"other\"")]);
        assert_eq!(
            (failed.status, failed.lane),
            (Status::PRECONDITION_FAILED, lane)
        );
    }
}

#[test]
fn directories_redirect_or_give_their_index() {
    let mut bench = Bench::directory();
    bench.write("d/index.htm", "second choice");
    fs::create_dir_all(bench.directory.path().join("empty")).unwrap();
    for lane in [Lane::Slow, Lane::Fast] {
        let redirect = bench.get("/d?a=1&b=%20");
        assert_eq!(
            (redirect.status, redirect.lane),
            (Status::PERMANENT_REDIRECT, lane)
        );
        assert_eq!(redirect.field("Location"), Some("/d/?a=1&b=%20"));
        bench.get("/d/").is(Status::OK, b"second choice", lane);
        let missing = bench.get("/empty/");
        assert_eq!((missing.status, missing.lane), (Status::NOT_FOUND, lane));
        assert_eq!(bench.get("/d/index.htm/").status, Status::NOT_FOUND);
        assert_eq!(bench.get("/").status, Status::NOT_FOUND);
    }
    // A better index appears.
    bench.write("d/index.html", "first choice");
    bench.advance(FRESH_FOR);
    bench.get("/d/").is(Status::OK, b"first choice", Lane::Slow);
}

#[test]
fn a_redirect_cannot_lead_to_another_host() {
    let mut bench = Bench::directory();
    for name in ["evil.example", "\\evil.example", "ü b"] {
        fs::create_dir_all(bench.directory.path().join(name)).unwrap();
    }
    for (target, location) in [
        ("//evil.example", "/evil.example/"),
        ("////evil.example?q", "/evil.example/?q"),
        ("/\\evil.example", "/%5Cevil.example/"),
        ("/%5cevil.example", "/%5Cevil.example/"),
        ("/%c3%bc%20b?x\"y", "/%C3%BC%20b/?x%22y"),
        ("/.//evil.example", "/evil.example/"),
    ] {
        let redirect = bench.get(target);
        assert_eq!(redirect.status, Status::PERMANENT_REDIRECT, "{target}");
        assert_eq!(redirect.field("Location"), Some(location), "{target}");
    }
}

#[test]
fn what_is_not_to_be_served_is_not_found() {
    let mut bench = Bench::directory();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    bench.write(".env", "secret");
    bench.write(".git/config", "secret");
    bench.write("inside", "open");
    let root = bench.directory.path().to_owned();
    symlink(outside.path().join("secret"), root.join("absolute")).unwrap();
    symlink("../../etc/passwd", root.join("relative")).unwrap();
    symlink("inside", root.join("alias")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    let fifo = root.join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o644.into(),
        0,
    )
    .unwrap();
    let long = format!("/{}", "x".repeat(300));
    for target in [
        "/.env",
        "/.git/config",
        "/absolute",
        "/relative",
        "/loop",
        "/fifo",
        "/none",
        "/inside/x",
        "/inside/",
        "/a%2fb",
        &long,
    ] {
        assert_eq!(bench.get(target).status, Status::NOT_FOUND, "{target}");
    }
    bench.get("/alias").is(Status::OK, b"open", Lane::Slow);
    assert_eq!(bench.get("/../etc/passwd").status, Status::BAD_REQUEST);
    assert_eq!(bench.get("/%00").status, Status::BAD_REQUEST);
}

#[test]
fn errors_of_the_kernel_become_statuses() {
    let rows = [
        (libc::EACCES, Status::FORBIDDEN),
        (libc::EMFILE, Status::SERVICE_UNAVAILABLE),
        (libc::ENFILE, Status::SERVICE_UNAVAILABLE),
        (libc::ENOMEM, Status::SERVICE_UNAVAILABLE),
        (libc::EAGAIN, Status::SERVICE_UNAVAILABLE),
        (libc::EIO, Status::INTERNAL_SERVER_ERROR),
        (libc::ENOSYS, Status::INTERNAL_SERVER_ERROR),
    ];
    for (errno, status) in rows {
        // Find, stat, open, read, stat: whichever of them fails.
        for failing in 0..5 {
            let mut bench = Bench::directory();
            bench.write("a", "content");
            let mut count = 0;
            let seen = bench.get_disturbed("/a", &mut |_| {
                count += 1;
                (count == failing + 1).then_some(Errno(errno))
            });
            assert_eq!(seen.status, status, "{errno} at {failing}");
            if status == Status::SERVICE_UNAVAILABLE {
                assert_eq!(seen.field("Retry-After"), Some("1"));
            }
            assert_eq!(bench.store.live_bytes(), 0);
            if status != Status::FORBIDDEN {
                bench.get("/a").is(Status::OK, b"content", Lane::Slow);
            }
        }
    }
}

#[test]
fn a_change_is_seen_when_the_entry_is_no_longer_fresh() {
    let mut bench = Bench::directory();
    bench.write("a", "old");
    bench.get("/a").is(Status::OK, b"old", Lane::Slow);
    bench.write("a", "newer");
    bench.get("/a").is(Status::OK, b"old", Lane::Fast);
    bench.advance(FRESH_FOR);
    bench.get("/a").is(Status::OK, b"newer", Lane::Slow);
    bench.get("/a").is(Status::OK, b"newer", Lane::Fast);
    // Unchanged: compared, not read again.
    bench.advance(FRESH_FOR);
    let performed = bench.performed.get();
    bench.get("/a").is(Status::OK, b"newer", Lane::Slow);
    assert_eq!(bench.performed.get() - performed, 2, "find and stat");
    bench.get("/a").is(Status::OK, b"newer", Lane::Fast);
    fs::remove_file(bench.directory.path().join("a")).unwrap();
    bench.advance(FRESH_FOR);
    assert_eq!(bench.get("/a").status, Status::NOT_FOUND);
    // And what comes into being is found.
    bench.write("a", "again");
    bench.advance(FRESH_FOR);
    bench.get("/a").is(Status::OK, b"again", Lane::Slow);
}

#[test]
fn an_ageing_entry_is_compared_beside_its_answer() {
    let mut bench = Bench::directory();
    bench.write("a", "old");
    bench.get("/a");
    bench.advance(FRESH_FOR / 2);
    bench.get("/a").is(Status::OK, b"old", Lane::FastRefreshing);
    bench.get("/a").is(Status::OK, b"old", Lane::Fast);
    // Traffic keeps an unchanged file on the fast lane for ever.
    for _ in 0..10 {
        bench.advance(FRESH_FOR / 2);
        bench.get("/a").is(Status::OK, b"old", Lane::FastRefreshing);
    }
    bench.write("a", "newer");
    bench.advance(FRESH_FOR / 2);
    bench.get("/a").is(Status::OK, b"old", Lane::FastRefreshing);
    bench.get("/a").is(Status::OK, b"newer", Lane::Slow);
    bench.get("/a").is(Status::OK, b"newer", Lane::Fast);
}

#[test]
fn a_permission_taken_away_counts_on_a_hit_as_on_a_miss() {
    let mut bench = Bench::directory();
    bench.write("a", "content");
    bench.get("/a");
    let path = bench.directory.path().join("a");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    bench.advance(FRESH_FOR);
    let performed = bench.performed.get();
    // Root may read it all the same, so the kernel is made to say what it says to others.
    let seen = bench.get_disturbed("/a", &mut |operation| {
        matches!(operation, Operation::OpenFound { .. }).then_some(Errno(libc::EACCES))
    });
    assert_eq!((seen.status, seen.lane), (Status::FORBIDDEN, Lane::Slow));
    assert_eq!(
        bench.performed.get() - performed,
        3,
        "opened again, because its mode changed"
    );
}

#[test]
fn a_young_file_is_read_again_even_if_its_times_say_nothing() {
    let mut bench = Bench::directory();
    bench.now.unix_seconds = unix_now();
    bench.write("a", "same");
    bench.get("/a").is(Status::OK, b"same", Lane::Slow);
    bench.advance(FRESH_FOR);
    let performed = bench.performed.get();
    bench.get("/a").is(Status::OK, b"same", Lane::Slow);
    assert_eq!(
        bench.performed.get() - performed,
        5,
        "find, stat, open, read, stat"
    );
    // Once it was read as a settled file, comparing is enough.
    bench.now.unix_seconds += 60;
    for expected in [5, 2] {
        bench.advance(FRESH_FOR);
        let performed = bench.performed.get();
        bench.get("/a").is(Status::OK, b"same", Lane::Slow);
        assert_eq!(bench.performed.get() - performed, expected);
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_again() {
    let mut bench = Bench::directory();
    bench.write("a", vec![b'1'; 3000]);
    let path = bench.directory.path().join("a");
    let mut reads = 0;
    let seen = bench.get_disturbed("/a", &mut |operation| {
        if matches!(operation, Operation::Read { .. }) {
            reads += 1;
            if reads == 2 {
                fs::write(&path, vec![b'2'; 2500]).unwrap();
            }
        }
        None
    });
    seen.is(Status::OK, &[b'2'; 2500], Lane::Slow);
}

#[test]
fn a_file_that_never_holds_still_is_refused_not_mixed() {
    let mut bench = Bench::directory();
    bench.write("a", vec![b'0'; 3000]);
    let path = bench.directory.path().join("a");
    let (mut reads, mut opens) = (0_u8, 0);
    let seen = bench.get_disturbed("/a", &mut |operation| {
        match operation {
            Operation::Read { .. } => {
                reads += 1;
                fs::write(&path, vec![reads; 3000]).unwrap();
            }
            Operation::OpenFound { .. } => opens += 1,
            _ => {}
        }
        None
    });
    assert_eq!(seen.status, Status::SERVICE_UNAVAILABLE);
    assert_eq!(opens, LOAD_ATTEMPTS_MAX);
    assert_eq!(bench.store.live_bytes(), 0);
    bench.get("/a").is(Status::OK, &[reads; 3000], Lane::Slow);
}

#[test]
fn a_file_that_only_grows_is_served_as_it_was() {
    let mut bench = Bench::directory();
    bench.write("log", "line\n");
    let path = bench.directory.path().join("log");
    let mut reads = 0;
    let seen = bench.get_disturbed("/log", &mut |operation| {
        if matches!(operation, Operation::Read { .. }) {
            use std::io::Write;
            reads += 1;
            let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(b"line\n").unwrap();
        }
        None
    });
    assert_eq!(reads, LOAD_ATTEMPTS_MAX);
    seen.is(Status::OK, b"line\nline\nline\n", Lane::Slow);
    assert_eq!(seen.field("Content-Length"), Some("15"));
    assert_eq!(
        seen.field("ETag"),
        None,
        "nothing of it can be compared later"
    );
    assert_eq!((bench.store.len(), bench.store.live_bytes()), (0, 0));
    bench
        .get("/log")
        .is(Status::OK, b"line\nline\nline\nline\n", Lane::Slow);
}

#[test]
fn large_files_stay_on_the_disk_and_empty_ones_have_no_body() {
    let mut bench = Bench::directory();
    let large: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
    bench.write("large", &large);
    bench.write("edge", vec![b'e'; SETTINGS.entry_bytes_max as usize]);
    bench.write("empty", "");
    bench.get("/large").is(Status::OK, &large, Lane::Slow);
    assert_eq!(
        (bench.store.live_bytes(), bench.store.live_descriptors()),
        (0, 1)
    );
    bench.get("/large").is(Status::OK, &large, Lane::Fast);
    bench
        .request(Method::Head, "/large", &[])
        .is(Status::OK, b"", Lane::Fast);
    let part = bench.request(Method::Get, "/large", &[("Range", "bytes=-3")]);
    part.is(Status::PARTIAL_CONTENT, &large[9_997..], Lane::Fast);
    bench.get("/edge");
    assert_eq!(bench.store.live_bytes(), SETTINGS.entry_bytes_max);
    assert_eq!(bench.store.live_descriptors(), 1);
    let empty = bench.get("/empty");
    empty.is(Status::OK, b"", Lane::Slow);
    assert_eq!(empty.field("Content-Length"), Some("0"));
    bench.get("/empty").is(Status::OK, b"", Lane::Fast);
    bench.write("large", "now small");
    bench.advance(FRESH_FOR);
    bench.get("/large").is(Status::OK, b"now small", Lane::Slow);
    bench.files.sweep(bench.now);
    assert_eq!(bench.store.live_descriptors(), 0);
}

#[test]
fn without_a_cache_every_request_sees_the_disk() {
    let settings = StoreSettings {
        bytes_max: 0,
        entry_bytes_max: 0,
        descriptors_max: 0,
        names_max: 0,
    };
    let mut bench = Bench::new(open_site, settings);
    for text in ["one", "two", ""] {
        bench.write("a", text);
        bench.get("/a").is(Status::OK, text.as_bytes(), Lane::Slow);
    }
    assert!(bench.store.is_empty());
    assert_eq!(bench.store.live_descriptors(), 0);
}

#[test]
fn a_verdict_of_a_moment_is_not_remembered() {
    let mut bench = Bench::directory();
    bench.write("a", "content");
    let seen = bench.get_disturbed("/a", &mut |_| Some(Errno(libc::EMFILE)));
    assert_eq!(seen.status, Status::SERVICE_UNAVAILABLE);
    bench.get("/a").is(Status::OK, b"content", Lane::Slow);
}

#[test]
fn the_welcome_site_names_its_engine_and_needs_no_disk() {
    let mut bench = Bench::new(|_| Site::welcome("io-uring <&>"), SETTINGS);
    let page = bench.get("/");
    assert_eq!((page.status, page.lane), (Status::OK, Lane::Slow));
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains("io-uring &lt;&amp;>") && !html.contains("{{"));
    assert!(html.contains("downpour serve ./public"));
    let external = html.contains("src=") || html.contains("url(") || html.contains("//cdn");
    assert!(!external, "nothing comes from elsewhere");
    let icon = bench.get("/favicon.svg");
    assert_eq!(icon.field("Content-Type"), Some("image/svg+xml"));
    assert_eq!(bench.get("/hello.txt").status, Status::OK);
    assert_eq!(bench.get("/none").status, Status::NOT_FOUND);
    assert_eq!(bench.get("/hello.txt/").status, Status::NOT_FOUND);
    bench.advance(FRESH_FOR * 1_000);
    assert_eq!(bench.get("/").lane, Lane::Fast, "never stale");
    let etag = icon.field("ETag").unwrap();
    let again = bench.request(Method::Get, "/favicon.svg", &[("If-None-Match", etag)]);
    again.is(Status::NOT_MODIFIED, b"", Lane::Fast);
    assert_eq!(bench.performed.get(), 0);
}

#[test]
fn a_site_that_cannot_be_served_is_refused_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let open = |path: &Path, names: &[&str]| {
        let mut settings = plain_settings(path);
        settings.finding.index_names = names.iter().map(|name| (*name).to_owned()).collect();
        Site::open(0, settings, &Watch::off())
            .map(|_| ())
            .map_err(|error| error.kind())
    };
    use std::io::ErrorKind;
    assert_eq!(open(directory.path(), &["index.html"]), Ok(()));
    assert_eq!(open(directory.path(), &[]), Ok(()));
    for name in ["", "..", "a/b"] {
        assert_eq!(
            open(directory.path(), &[name]),
            Err(ErrorKind::InvalidInput)
        );
    }
    let missing = directory.path().join("missing");
    assert_eq!(open(&missing, &[]), Err(ErrorKind::NotFound));
    fs::write(&missing, "a file").unwrap();
    assert_eq!(open(&missing, &[]), Err(ErrorKind::NotADirectory));
}
