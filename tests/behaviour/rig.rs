//! A running server over a site of its own: started on a free port, killed by its id when dropped.
//!
//! Whatever a check does to a server, the server must not have panicked: the rig reads its log.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;

/// The name of an engine, as `--engine` spells it.
pub(crate) type Engine = &'static str;

/// How long anything may take that should happen at once, on a machine that others use too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const NOBODY: u32 = 65_534;

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// Bytes that differ everywhere, so that a piece at the wrong place is seen.
pub(crate) fn pattern(len: usize, salt: u64) -> Vec<u8> {
    let mut state = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A directory to serve, which anybody may enter.
pub(crate) struct Site {
    scratch: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Site {
        let scratch = tempfile::tempdir().unwrap();
        open_to_all(scratch.path());
        std::fs::create_dir(scratch.path().join("root")).unwrap();
        open_to_all(&scratch.path().join("root"));
        Site { scratch }
    }

    /// A site with these files.
    pub(crate) fn of(files: &[(&str, &[u8])]) -> Site {
        let site = Site::new();
        for (name, bytes) in files {
            site.write(name, bytes);
        }
        site
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.scratch.path().join("root")
    }

    /// A place next to the root, where requests must not lead.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Writes a file and the directories above it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Lets the kernel forget what it has read of a file, as far as its file system can.
    pub(crate) fn cool(&self, name: &str) {
        let file = std::fs::File::open(self.path(name)).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// `program serve` on one engine with one worker, undisturbed by the tester's environment. Flags
/// that come later win.
pub(crate) fn serve(program: &Path, engine: Engine) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DOWNPOUR_") {
            command.env_remove(name);
        }
    }
    command.args(["serve", "--engine", engine]);
    command.stdin(Stdio::null());
    // Memory that is not used goes back at once, in small pages, so that it can be measured.
    command
        .env("MIMALLOC_PURGE_DELAY", "0")
        .env("MIMALLOC_ALLOW_THP", "0");
    command
}

/// The binary that is tested.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_downpour"))
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    /// The copy of the binary that a user without rights runs.
    _public: Option<tempfile::TempDir>,
}

impl Server {
    /// Serves `site` on one engine with these flags.
    pub(crate) fn of(engine: Engine, site: &Site, flags: &[&str]) -> Server {
        let mut command = serve(binary(), engine);
        command.args(["--listen", "127.0.0.1:0"]);
        if !flags.contains(&"--workers") {
            command.args(["--workers", "1"]);
        }
        Server::start(command.args(flags).arg(site.root()))
    }

    /// The same as a user without rights, since root may read everything.
    pub(crate) fn without_rights(engine: Engine, site: &Site) -> Server {
        Server::without_rights_with(engine, site, &[])
    }

    /// The same with flags.
    pub(crate) fn without_rights_with(engine: Engine, site: &Site, flags: &[&str]) -> Server {
        let public = tempfile::tempdir().unwrap();
        open_to_all(public.path());
        let program = public.path().join("downpour");
        // By another process: a descriptor that writes here could leak into a child of another
        // check, and the kernel runs no file that somebody writes to.
        let copied = Command::new("cp").arg(binary()).arg(&program).status();
        assert!(copied.unwrap().success());
        open_to_all(&program);
        let mut command = serve(&program, engine);
        command.args(["--listen", "127.0.0.1:0", "--workers", "1"]);
        command.args(flags).arg(site.root());
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut server = Server::start(&mut command);
        server._public = Some(public);
        server
    }

    /// Starts a command and waits for its start line.
    pub(crate) fn start(command: &mut Command) -> Server {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let mut server = Server {
            child,
            log,
            addresses: Vec::new(),
            tls_addresses: Vec::new(),
            _public: None,
        };
        eventually("the start line", || {
            let ended = server.child.try_wait().unwrap();
            assert_eq!(ended, None, "{:?}", server.log());
            server.has_logged(" listening on ")
        });
        let log = server.log();
        let line = log.iter().find(|line| line.contains(" listening on "));
        let words = line.unwrap().split_whitespace();
        let all = |scheme| {
            let urls = words
                .clone()
                .filter_map(move |word| word.strip_prefix(scheme));
            urls.map(|url| url.parse().unwrap()).collect()
        };
        (server.addresses, server.tls_addresses) = (all("http://"), all("https://"));
        server
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn has_logged(&self, part: &str) -> bool {
        self.log().iter().any(|line| line.contains(part))
    }

    /// Its first TCP address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Its first address for TLS.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.tls_addresses[0]
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// One answer over a connection of its own.
    pub(crate) fn get(&self, path: &str) -> crate::client::Answer {
        self.connect().get(path)
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end by itself; its exit status.
    pub(crate) fn wait(&mut self) -> i32 {
        self.wait_for_end().code().expect("not killed")
    }

    /// Waits for its end, whatever brought it.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the process", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// Resident memory that is the process's own, in bytes: pages of files do not count.
    pub(crate) fn memory(&self) -> usize {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<usize>().unwrap() * 1024
    }

    /// How often each thread of this name was given a processor.
    pub(crate) fn runs_of_threads(&self, prefix: &str) -> Vec<u64> {
        let tasks = std::fs::read_dir(self.proc("task")).unwrap();
        let mut runs = Vec::new();
        for task in tasks.map(|task| task.unwrap().path()) {
            let name = std::fs::read_to_string(task.join("comm")).unwrap();
            if name.starts_with(prefix) {
                let stat = std::fs::read_to_string(task.join("schedstat")).unwrap();
                runs.push(stat.split_whitespace().nth(2).unwrap().parse().unwrap());
            }
        }
        runs
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server says: {:#?}", self.log());
        } else {
            assert!(!self.has_logged("panicked"), "{:#?}", self.log());
        }
    }
}
