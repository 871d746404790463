//! The binary as a process: started, heard, killed in time.
//!
//! Each wait is bounded: a process that does not end or does not speak is killed.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const NOBODY: u32 = 65_534;

pub(crate) fn downpour() -> Command {
    command(Path::new(env!("CARGO_BIN_EXE_downpour")))
}

/// A command whose environment says nothing to downpour.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DOWNPOUR_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the process did not end in time");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Exit status, standard output and standard error of a process that ends by itself.
pub(crate) fn outcome(command: &mut Command) -> (i32, String, String) {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let status = wait(&mut child);
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    (
        status.code().expect("not killed"),
        stdout,
        reader.join().unwrap(),
    )
}

/// The one sentence of a start that fails with this status.
pub(crate) fn complaint(command: &mut Command, status: i32) -> String {
    let (code, stdout, stderr) = outcome(command);
    assert_eq!(code, status, "{stderr}");
    assert_eq!(stdout, "");
    assert!(stderr.starts_with("downpour: "), "{stderr:?}");
    assert_eq!(stderr.matches('\n').count(), 1, "one line: {stderr:?}");
    stderr
}

pub(crate) fn assert_complains(words: &[&str], status: i32, parts: &[&str]) {
    let sentence = complaint(downpour().args(words), status);
    for part in parts {
        assert!(sentence.contains(part), "{words:?} gave {sentence:?}");
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) lines: Receiver<String>,
    pub(crate) early: Vec<String>,
    pub(crate) start_line: String,
}

impl Server {
    pub(crate) fn start(command: &mut Command) -> Server {
        let mut server = Server::start_quietly(command);
        loop {
            let line = server.line();
            if line.contains(" listening on ") {
                server.start_line = line;
                return server;
            }
            server.early.push(line);
        }
    }

    pub(crate) fn start_quietly(command: &mut Command) -> Server {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Server {
            child,
            lines,
            early: Vec::new(),
            start_line: String::new(),
        }
    }

    /// Whether a warning before the start line says this.
    pub(crate) fn warned(&self, part: &str) -> bool {
        let mut warnings = self
            .early
            .iter()
            .filter(|line| line.starts_with("downpour: warning: "));
        warnings.any(|line| line.contains(part))
    }

    pub(crate) fn line(&mut self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("the server says something")
    }

    /// Its TCP addresses, as the start line tells them.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let words = self.start_line.split_whitespace();
        let urls = words.filter_map(|word| word.strip_prefix("http://"));
        urls.map(str::to_owned).collect()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn terminate(mut self) -> i32 {
        self.signal(rustix::process::Signal::TERM);
        wait(&mut self.child).code().expect("it ends by itself")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, where every user may run it.
pub(crate) fn public_binary(directory: &Path) -> PathBuf {
    let binary = directory.join("downpour");
    // By another process: a descriptor open for writing here could leak into a child of another
    // test at the wrong moment, and the kernel runs no file that somebody writes to.
    let original = env!("CARGO_BIN_EXE_downpour");
    assert!(
        Command::new("cp")
            .arg(original)
            .arg(&binary)
            .status()
            .unwrap()
            .success()
    );
    for path in [directory, &binary] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    binary
}

/// The program as a user without rights; whoever runs the tests without rights is one already.
pub(crate) fn unprivileged(program: &Path) -> Command {
    let mut command = command(program);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
