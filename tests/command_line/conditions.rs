//! Machines that give little: few descriptors, no memory to lock, no io_uring. The server says what
//! to do, or serves with what there is; it never panics, hangs or spins.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process::*;

const ENGINES: [&str; 3] = ["io-uring", "epoll", "tokio-uring"];
/// `io_uring_setup`, `io_uring_enter` and `io_uring_register`.
const IO_URING: &str = "425,426,427";
/// Clock ticks (of 10 ms) that an idle process may use in a second.
const IDLE_TICKS_MAX: u64 = 10;

/// The program behind a shell that lowers a limit first.
fn limited(mut shell: Command, limit: &str, program: &Path, words: &[&str]) -> Command {
    let script = format!("{limit} && exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(program).args(words);
    shell
}

#[test]
fn too_few_descriptors_are_told() {
    let binary = Path::new(env!("CARGO_BIN_EXE_downpour"));
    let shell = || command(Path::new("/bin/sh"));
    let words = [
        "serve",
        "--workers",
        "1",
        "--listen",
        "127.0.0.1:0",
        "--engine",
        "epoll",
    ];
    let sentence = complaint(&mut limited(shell(), "ulimit -n 30", binary, &words), 1);
    assert!(sentence.contains("open files (30)"), "{sentence}");
    assert!(sentence.contains("ulimit -n 65536"), "{sentence}");

    let words = [&words[..], &["--max-connections", "5000"]].concat();
    let server = Server::start(&mut limited(shell(), "ulimit -n 100", binary, &words));
    assert!(
        server.warned("--max-connections 5000 is lowered to"),
        "{:?}",
        server.early
    );
}

/// Some kernels charge rings to the limit and some do not; either way the server starts.
#[test]
fn without_lockable_memory_it_serves_by_what_works() {
    let scratch = tempfile::tempdir().unwrap();
    let binary = public_binary(scratch.path());
    let shell = || unprivileged(Path::new("/bin/sh"));
    let words = ["serve", "--listen", "127.0.0.1:0"];
    let server = Server::start(&mut limited(shell(), "ulimit -l 0", &binary, &words));
    if server.start_line.contains("(epoll)") {
        assert!(server.warned("using epoll, because"), "{:?}", server.early);
        let words = [&words[..], &["--engine", "io-uring"]].concat();
        let sentence = complaint(&mut limited(shell(), "ulimit -l 0", &binary, &words), 1);
        assert!(sentence.contains("or use --engine auto"), "{sentence}");
    } else {
        assert!(!server.warned("using epoll"), "{:?}", server.early);
    }
    assert_eq!(server.terminate(), 0);
}

#[test]
fn doctor_tells_engines_and_limits_and_succeeds_without_rights() {
    let scratch = tempfile::tempdir().unwrap();
    let binary = public_binary(scratch.path());
    let (code, page, stderr) = outcome(unprivileged(&binary).arg("doctor"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    for part in [
        "Engines\n",
        "Limits\n",
        "  epoll                 yes",
        "open files",
        "lockable",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    let remedies = page.matches("-> ").count();
    let ills = page.matches("  HURTS  ").count() + page.matches("  no     ").count();
    assert_eq!(remedies, ills, "a remedy for each ill: {page}");

    let shell = unprivileged(Path::new("/bin/sh"));
    let (code, page, _) = outcome(&mut limited(shell, "ulimit -l 64", &binary, &["doctor"]));
    assert_eq!(code, 0, "weaknesses are no failure");
    assert!(
        page.contains("RLIMIT_MEMLOCK") && page.contains("HURTS"),
        "{page}"
    );
}

#[test]
fn too_few_threads_are_told() {
    if !rustix::process::geteuid().is_root() {
        return; // The tester's other processes count, too: nothing certain can be said.
    }
    let scratch = tempfile::tempdir().unwrap();
    let binary = public_binary(scratch.path());
    let words = ["serve", "--workers", "8", "--listen", "127.0.0.1:0"];
    for limit in ["ulimit -u 1", "ulimit -u 4"] {
        let mut shell = unprivileged(Path::new("bash"));
        shell.uid(NOBODY - 1); // A user without any other process.
        let sentence = complaint(&mut limited(shell, limit, &binary, &words), 1);
        assert!(sentence.contains("ulimit -u 4096"), "{limit}: {sentence}");
    }
}

/// The binary behind a filter that refuses these system calls.
fn forbidden(refusal: &str, numbers: &str, words: &[&str]) -> Command {
    let mut python = command(Path::new("python3"));
    let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command_line/forbid.py");
    python.arg(filter).args([refusal, numbers]);
    python.arg(env!("CARGO_BIN_EXE_downpour")).args(words);
    python
}

/// The answer to one request on a connection of its own.
fn get(address: &str) -> io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let request = "GET /hello.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

fn assert_serves(server: &Server) {
    for _ in 0..20 {
        let answer = get(&server.addresses()[0]).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    }
}

/// Clock ticks that a process has used, all threads together (fields 14 and 15 of proc(5)).
fn ticks_used(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

fn assert_idles(server: &Server) {
    let before = ticks_used(server);
    sleep(Duration::from_secs(1));
    let used = ticks_used(server) - before;
    assert!(used <= IDLE_TICKS_MAX, "{used} ticks in an idle second");
}

#[test]
fn without_io_uring_it_serves_on_epoll_and_says_why() {
    let words = ["serve", "--listen", "127.0.0.1:0"];
    for (refusal, numbers, why) in [
        ("EPERM", IO_URING, "forbids io_uring"),
        ("ENOSYS", IO_URING, "has no io_uring"),
        // Half a filter: what is allowed to be made is forbidden to be used.
        ("EPERM", "426", "forbids io_uring"),
        ("EPERM", "427", "forbids io_uring"),
    ] {
        let server = Server::start(&mut forbidden(refusal, numbers, &words));
        assert!(
            server.start_line.contains("(epoll)"),
            "{}",
            server.start_line
        );
        assert!(server.warned(why), "{:?}", server.early);
        assert_serves(&server);
        assert_eq!(server.terminate(), 0);
    }
    for engine in ["io-uring", "tokio-uring"] {
        let words = [&words[..], &["--engine", engine]].concat();
        let sentence = complaint(&mut forbidden("EPERM", IO_URING, &words), 1);
        assert!(sentence.contains("seccomp profile"), "{sentence}");
        assert!(sentence.contains("or use --engine auto"), "{sentence}");
    }
    let (code, page, _) = outcome(&mut forbidden("EPERM", IO_URING, &["doctor"]));
    assert_eq!(code, 0);
    assert!(
        page.contains("-> in a container allow io_uring_setup"),
        "{page}"
    );
}

#[test]
fn an_idle_server_sleeps_with_and_without_connections() {
    for engine in ENGINES {
        let words = ["serve", "--listen", "127.0.0.1:0", "--engine", engine];
        let Some(server) = start_or_refuse(downpour().args(words)) else {
            continue; // This machine has no io_uring; another test looks at that.
        };
        let address = server.addresses().remove(0);
        assert_idles(&server);
        let mut held = Vec::new();
        for _ in 0..50 {
            held.push(TcpStream::connect(&address).unwrap());
        }
        get(&address).unwrap();
        assert_idles(&server);
        drop(held);
        assert_serves(&server);
        assert_eq!(server.terminate(), 0);
    }
}

/// The server, unless this machine lacks its engine.
fn start_or_refuse(command: &mut Command) -> Option<Server> {
    let mut server = Server::start_quietly(command);
    let line = server.line();
    if line.contains("does not work here") {
        return None;
    }
    server.start_line = line;
    Some(server)
}

#[test]
fn out_of_descriptors_it_goes_on_and_recovers() {
    let binary = Path::new(env!("CARGO_BIN_EXE_downpour"));
    for engine in ENGINES {
        let words = [
            "serve",
            "--workers",
            "1",
            "--listen",
            "127.0.0.1:0",
            "--engine",
            engine,
        ];
        let shell = command(Path::new("/bin/sh"));
        let Some(mut server) = start_or_refuse(&mut limited(shell, "ulimit -n 64", binary, &words))
        else {
            continue;
        };
        let address = server.addresses().remove(0);
        let held: Vec<_> = (0..100)
            .map(|_| TcpStream::connect(&address).unwrap())
            .collect();
        sleep(Duration::from_millis(500));
        assert_idles(&server);
        drop(held);
        // Whoever comes before the others are seen to have gone may still be turned away.
        let deadline = Instant::now() + PATIENCE;
        while get(&address).is_err() {
            assert!(Instant::now() < deadline, "{engine} does not recover");
            sleep(Duration::from_millis(50));
        }
        assert_serves(&server);
        server.signal(rustix::process::Signal::TERM);
        assert_eq!(wait(&mut server.child).code(), Some(0));
        while let Ok(line) = server.lines.recv_timeout(PATIENCE) {
            assert!(!line.contains("panicked"), "{line}");
        }
    }
}
