//! The command line as a user meets it: the real binary, its sentences, its exit status.

#![allow(clippy::unwrap_used)] // The helpers of these tests are tests too.

mod conditions;
mod configuration;
mod credentials;
mod precompress;
mod process;
mod tls;

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use process::*;

#[test]
fn help_and_version_are_data() {
    let (code, stdout, stderr) = outcome(downpour().arg("--version"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout, format!("downpour {}\n", env!("CARGO_PKG_VERSION")));
    let (code, stdout, _) = outcome(downpour().args(["serve", "--help"]));
    assert_eq!(code, 0);
    for part in [
        "--listen",
        "Engine tuning:",
        "DOWNPOUR_CACHE_SIZE",
        "[default: 256M]",
    ] {
        assert!(stdout.contains(part), "{part} is missing in {stdout}");
    }
    assert!(
        stdout.lines().all(|line| line.chars().count() <= 100),
        "{stdout}"
    );
    let (code, stdout, stderr) = outcome(&mut downpour());
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("Usage: downpour"));
}

#[test]
fn wrong_usage_is_one_sentence_and_status_2() {
    assert_complains(
        &["serve", "--wrokers", "2"],
        2,
        &["--wrokers", "perhaps --workers"],
    );
    assert_complains(
        &["serve", "--workers", "0"],
        2,
        &["--workers", "at least 1"],
    );
    assert_complains(
        &["serve", "--recv-buffers", "100"],
        2,
        &["power of two", "128"],
    );
    assert_complains(
        &["serve", "--cache-size", "1.5G"],
        2,
        &["--cache-size", "whole numbers"],
    );
    assert_complains(&["serve", "--listen", "localhost:80"], 2, &["127.0.0.1:80"]);
    assert_complains(
        &["serve", "--quiet=loud"],
        2,
        &["--quiet does", "true or false"],
    );
    assert_complains(
        &["serve", "--cpus", "1000"],
        2,
        &["--cpus", "1000", "choose from"],
    );
    assert_complains(&["serve", "-p", "80", "-p", "80"], 2, &["twice"]);
    assert_complains(&["./site"], 2, &["downpour serve ./site"]);
    assert_complains(&["serve", "a", "b"], 2, &["\"b\"", "one directory"]);
    assert_complains(&["doctor", "x"], 2, &["\"x\"", "doctor takes nothing"]);
    assert_complains(&["serve", "--workers", "-1"], 2, &["--workers", "-1"]);
}

#[test]
fn a_root_that_cannot_be_served_is_told() {
    let scratch = tempfile::tempdir().unwrap();
    let missing = scratch.path().join("x");
    let expected = format!(
        "downpour: the directory {} does not exist; \
         create it or name another: downpour serve DIR\n",
        missing.display()
    );
    assert_eq!(
        complaint(downpour().arg("serve").arg(&missing), 1),
        expected
    );
    let file = scratch.path().join("page.html");
    std::fs::write(&file, "x").unwrap();
    let of_file = complaint(downpour().arg("serve").arg(&file), 1);
    assert!(of_file.contains("is not a directory"), "{of_file}");
}

#[test]
fn a_user_without_rights_is_told_what_to_do() {
    let scratch = tempfile::tempdir().unwrap();
    let binary = public_binary(scratch.path());
    let closed = scratch.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    let sentence = complaint(unprivileged(&binary).arg("serve").arg(&closed), 1);
    assert!(sentence.contains("may not be entered"), "{sentence}");
    assert!(sentence.contains("chmod"), "{sentence}");

    let first_free = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first_free: u16 = first_free.unwrap().trim().parse().unwrap();
    if first_free > 1 {
        let sentence = complaint(unprivileged(&binary).args(["serve", "-p", "1"]), 1);
        assert!(sentence.contains("port 1 may not be opened"), "{sentence}");
        assert!(sentence.contains("cap_net_bind_service"), "{sentence}");
    }
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port();
    let sentence = complaint(
        downpour().args(["serve", "--listen", &address.to_string()]),
        1,
    );
    assert!(
        sentence.contains(&format!("port {port} is in use")),
        "{sentence}"
    );
    assert!(
        sentence.contains(&format!("ss -ltnp 'sport = :{port}'")),
        "{sentence}"
    );

    let first = Server::start(downpour().args(["serve", "--listen", "127.0.0.1:0"]));
    let address = first.addresses().remove(0);
    let sentence = complaint(downpour().args(["serve", "--listen", &address]), 1);
    assert!(
        sentence.contains("is in use"),
        "a second server of our own: {sentence}"
    );
}

#[test]
fn the_start_line_tells_real_ports_engine_workers_and_root() {
    let scratch = tempfile::tempdir().unwrap();
    let line = [
        "serve",
        "--workers",
        "2",
        "--listen",
        "127.0.0.1:0",
        "-p",
        "0",
    ];
    let server = Server::start(
        downpour()
            .args(line)
            .args(["--engine", "epoll"])
            .arg(scratch.path()),
    );
    let start = &server.start_line;
    assert!(start.starts_with("downpour 0."), "{start}");
    assert!(start.contains(" (epoll), 2 workers, serving /"), "{start}");
    assert!(
        start.ends_with(&scratch.path().display().to_string()),
        "{start}"
    );
    let addresses = server.addresses();
    assert_eq!(addresses.len(), 2, "{start}");
    for address in addresses {
        let address: std::net::SocketAddr = address.parse().unwrap();
        assert_ne!(address.port(), 0);
        TcpStream::connect(("127.0.0.1", address.port())).unwrap();
    }
    assert_eq!(server.terminate(), 0);
}

#[test]
fn variables_stand_in_for_flags_and_flags_win() {
    let listen = ("DOWNPOUR_LISTEN", "127.0.0.1:0, 127.0.0.1:0 127.0.0.1:0");
    let mut from_variables = downpour();
    from_variables.arg("serve").env(listen.0, listen.1);
    from_variables
        .env("DOWNPOUR_WORKERS", "3")
        .env("DOWNPOUR_ENGINE", "epoll");
    let server = Server::start(&mut from_variables);
    assert_eq!(server.addresses().len(), 3, "{}", server.start_line);
    assert!(
        server.start_line.contains("3 workers"),
        "{}",
        server.start_line
    );
    drop(server);

    let flags = ["--workers", "1", "--listen", "127.0.0.1:0"];
    let server = Server::start(from_variables.args(flags));
    assert_eq!(server.addresses().len(), 1, "{}", server.start_line);
    assert!(
        server.start_line.contains("1 worker,"),
        "{}",
        server.start_line
    );
    assert!(
        server.start_line.contains("(epoll)"),
        "the others hold: {}",
        server.start_line
    );

    let wrong = complaint(downpour().arg("serve").env("DOWNPOUR_WORKERS", "many"), 2);
    assert!(
        wrong.contains("DOWNPOUR_WORKERS does not take \"many\""),
        "{wrong}"
    );
}

#[test]
fn quiet_says_nothing_and_serves_all_the_same() {
    let scratch = tempfile::tempdir().unwrap();
    let socket = scratch.path().join("d.sock");
    let place = format!("unix:{}", socket.display());
    let line = [
        "serve",
        "--quiet",
        "--engine=epoll",
        "--backlog=64",
        "--listen",
        &place,
    ];
    let mut server = Server::start_quietly(downpour().args(line));
    let deadline = Instant::now() + PATIENCE;
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(Instant::now() < deadline, "it does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(wait(&mut server.child).code(), Some(0));
    assert_eq!(server.lines.recv_timeout(PATIENCE).ok(), None, "not a word");
    assert!(!socket.exists(), "the socket's file is removed");
}

#[test]
fn a_hangup_is_survived_and_an_interrupt_ends_in_order() {
    let mut server = Server::start(downpour().args(["serve", "--listen", "127.0.0.1:0"]));
    server.signal(rustix::process::Signal::HUP);
    assert!(server.line().contains("SIGHUP: there are no certificates"));
    server.signal(rustix::process::Signal::INT);
    assert_eq!(wait(&mut server.child).code(), Some(0));
    assert!(server.line().contains("SIGINT"));
}

#[test]
fn an_inherited_socket_is_served() {
    let passed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = passed.local_addr().unwrap().to_string();
    let mut command = downpour();
    command.args(["serve", "--listen", "fd:0"]);
    let server = Server::start(command.stdin(Stdio::from(OwnedFd::from(passed))));
    assert_eq!(server.addresses(), [address]);
    assert_complains(
        &["serve", "--listen", "fd:77"],
        1,
        &["fd:77 is not an open descriptor"],
    );
}
