//! The directory that is served, with everything that was ever true of it.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use downpour::engine::sim::Random;

/// One state of one path.
struct State {
    /// `None`: there is no file.
    content: Option<Vec<u8>>,
    from: Duration,
    until: Duration,
}

/// A directory, and which content each path had at which virtual time.
pub(crate) struct Site {
    directory: tempfile::TempDir,
    states: BTreeMap<&'static str, Vec<State>>,
    changes: u64,
    /// What each entity tag of each path stood for: a strong one stands for one content.
    tags: HashMap<(String, String), Vec<u8>>,
}

/// The files, with their lengths.
const FILES: &[(&str, usize)] = &[
    ("index.html", 1000),
    ("empty.txt", 0),
    ("a.css", 100),
    ("page.html", 5000),
    ("medium.bin", 20_000),
    ("large.bin", 100_000),
    ("big.bin", 700_000),
    ("dir/index.html", 700),
    ("changes.txt", 3000),
    ("changes.bin", 500_000),
    ("shrinks.bin", 400_000),
    ("goes.txt", 2000),
];

impl Site {
    /// A directory on the disk.
    pub(crate) fn new(random: &mut Random) -> Site {
        let directory = tempfile::tempdir().expect("a place for the site");
        let mut site = Site {
            directory,
            states: BTreeMap::new(),
            changes: 0,
            tags: HashMap::new(),
        };
        let root = site.root();
        std::fs::create_dir_all(root.join("dir")).unwrap();
        std::fs::write(site.directory.path().join("secret.txt"), SECRET).unwrap();
        std::fs::write(root.join(".hidden"), SECRET).unwrap();
        std::os::unix::fs::symlink("../secret.txt", root.join("link-out.txt")).unwrap();
        let fifo = root.join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for (path, len) in FILES {
            let content = content(random, *len);
            site.set(path, Some(content), Duration::ZERO);
        }
        site
    }

    /// The root to serve.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// The directory that the root lies in.
    pub(crate) fn beside_root(&self) -> &Path {
        self.directory.path()
    }

    /// Puts another file in the place of `path` at the virtual time `now`.
    pub(crate) fn replace(&mut self, path: &'static str, content: Vec<u8>, now: Duration) {
        self.set(path, Some(content), now);
    }

    /// Removes `path`, or brings it back.
    pub(crate) fn toggle(&mut self, path: &'static str, content: Vec<u8>, now: Duration) {
        let is_there = self.latest(path).is_some();
        self.set(path, (!is_there).then_some(content), now);
    }

    /// Cuts the file of `path`, the very inode, to `len` bytes.
    pub(crate) fn truncate(&mut self, path: &'static str, len: usize, now: Duration) {
        let mut content = self.latest(path).expect("it is there").to_vec();
        content.truncate(len);
        let len = content.len();
        let file = File::options()
            .write(true)
            .open(self.root().join(path))
            .unwrap();
        file.set_len(len as u64).unwrap();
        self.changes += 1;
        file.set_times(self.times()).unwrap();
        self.note(path, Some(content), now);
    }

    /// Every state of `path` that may be answered with on a connection that began at `since`, when
    /// a change is seen at the latest after `lag`.
    pub(crate) fn allowed(
        &self,
        path: &str,
        since: Duration,
        lag: Duration,
    ) -> impl Iterator<Item = Option<&[u8]>> {
        let states = self.states[path].iter();
        let visible = states.filter(move |state| state.until.saturating_add(lag) > since);
        visible.map(|state| state.content.as_deref())
    }

    /// Checks that `tag` of `path` has always stood for this content.
    pub(crate) fn check_tag(&mut self, path: &str, tag: &str, content: &[u8]) {
        assert!(
            tag.starts_with('"') && tag.ends_with('"'),
            "{tag} is not strong"
        );
        let key = (path.to_owned(), tag.to_owned());
        let known = self.tags.entry(key).or_insert_with(|| content.to_vec());
        assert!(known == content, "{tag} of {path} stands for two contents");
    }

    /// What `tag` of `path` stands for.
    pub(crate) fn content_of_tag(&self, path: &str, tag: &str) -> Option<&[u8]> {
        let key = (path.to_owned(), tag.to_owned());
        self.tags.get(&key).map(Vec::as_slice)
    }

    fn latest(&self, path: &str) -> Option<&[u8]> {
        self.states[path]
            .last()
            .and_then(|state| state.content.as_deref())
    }

    fn set(&mut self, path: &'static str, content: Option<Vec<u8>>, now: Duration) {
        let file = self.root().join(path);
        self.changes += 1;
        match &content {
            Some(content) => self.write(&file, content),
            None => std::fs::remove_file(&file).unwrap(),
        }
        self.note(path, content, now);
    }

    fn note(&mut self, path: &'static str, content: Option<Vec<u8>>, now: Duration) {
        let states = self.states.entry(path).or_default();
        if let Some(before) = states.last_mut() {
            before.until = now;
        }
        states.push(State {
            content,
            from: now,
            until: Duration::MAX,
        });
        assert!(states.is_sorted_by_key(|state| state.from));
    }

    /// A new inode each time, put in its place at once.
    fn write(&self, file: &Path, content: &[u8]) {
        let draft = self.directory.path().join("draft");
        std::fs::write(&draft, content).unwrap();
        let opened = File::options().write(true).open(&draft).unwrap();
        opened.set_times(self.times()).unwrap();
        std::fs::rename(&draft, file).unwrap();
    }

    /// Times of modification that are the same in each run, and another one for each change.
    fn times(&self) -> FileTimes {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000 + self.changes);
        FileTimes::new().set_modified(modified)
    }
}

/// What must never be served.
pub(crate) const SECRET: &[u8] = b"this is outside of the root or hidden";

/// Bytes without a pattern, so that no two parts of them are alike.
pub(crate) fn content(random: &mut Random, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.word().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
