//! Resources that clients write: what is seen of them, by whom, and what is left on the disk.
//!
//! What depends on how content arrives runs on every engine; what files and rules do is the same on
//! all of them, and runs once.

mod access;
mod bodies;
mod conditions;
mod counting;
mod crashes;
mod full_disk;
mod keys;
mod large;
mod members;
mod names;
mod patches;
mod visibility;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) use bodies::*;
pub(crate) use visibility::*;

use crate::client::{Answer, Client};
use crate::http2_client::Http2;
use crate::rig::{Engine, Server, Site, eventually};
use crate::tls_client::Keys;

/// For what is the same on all.
const ENGINE: Engine = "io-uring";

/// Anybody may write below `/notes/`.
const OPEN: [&str; 3] = ["--writable", "/notes/**", "--allow-anonymous-writes"];

/// Content of more than one chunk, which goes to a draft as it comes.
const LONG: usize = 300 * 1024;

/// Fields of a request.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// `OPEN` and others.
fn open_with<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    [&OPEN[..], flags].concat()
}

/// A connection that requests with content are sent over, whatever it speaks.
trait Speaks {
    /// Sends a request and reads its answer. A server that refuses early need not take all content.
    fn say(&mut self, method: &str, path: &str, fields: Fields<'_>, content: &[u8]) -> Answer;
}

impl<S: Read + Write> Speaks for Client<S> {
    #[track_caller]
    fn say(&mut self, method: &str, path: &str, fields: Fields<'_>, content: &[u8]) -> Answer {
        let mut request = head(method, path, fields, content.len()).into_bytes();
        request.extend_from_slice(content);
        self.try_send(request);
        match method {
            "HEAD" => self.answer_to_head(),
            _ => self.answer(),
        }
    }
}

impl<S: Read + Write> Speaks for Http2<S> {
    #[track_caller]
    fn say(&mut self, method: &str, path: &str, fields: Fields<'_>, content: &[u8]) -> Answer {
        if content.is_empty() {
            let id = self.ask(method, path, fields);
            return self.answer(id);
        }
        let id = self.begin_content(method, path, fields);
        self.send_content(id, content, true);
        self.answer(id)
    }
}

/// The head of a request of HTTP/1.1 with content of this length.
fn head(method: &str, path: &str, fields: Fields<'_>, len: usize) -> String {
    let lines = fields.iter();
    let lines: String = lines
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = match method {
        "GET" | "HEAD" => String::new(),
        _ => format!("Content-Length: {len}\r\n"),
    };
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{length}{lines}\r\n")
}

/// Connections of every kind.
fn all_kinds(keys: &Keys, server: &Server) -> Vec<(&'static str, Box<dyn Speaks>)> {
    vec![
        ("HTTP/1.1", Box::new(server.connect())),
        ("HTTP/2", Box::new(Http2::connect(server.address()))),
        ("HTTP/1.1 over TLS", Box::new(keys.http1(server))),
        ("HTTP/2 over TLS", Box::new(keys.http2(server))),
    ]
}

/// One request over a connection of its own; its status.
#[track_caller]
fn status(server: &Server, method: &str, path: &str, fields: Fields<'_>, content: &[u8]) -> u16 {
    let answer = server.connect().say(method, path, fields, content);
    answer.status
}

/// Creates or replaces a resource; its entity tag.
#[track_caller]
fn put(server: &Server, path: &str, content: &[u8]) -> String {
    let answer = server.connect().say("PUT", path, &[], content);
    assert!(matches!(answer.status, 201 | 204), "{answer:?}");
    answer.field("etag").unwrap().to_owned()
}

/// The paths of all that a directory holds, hidden or not; those of directories end in a slash.
fn tree(root: &Path) -> Vec<String> {
    fn add(directory: &Path, prefix: &str, paths: &mut Vec<String>) {
        // What is removed meanwhile is not there.
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    let path = format!("{path}/");
                    add(&entry.path(), &path, paths);
                    paths.push(path);
                }
                _ => paths.push(path),
            }
        }
    }
    let mut paths = Vec::new();
    add(root, "", &mut paths);
    paths.sort();
    paths
}

/// Files without a name that the server holds open below its root.
fn nameless_files(server: &Server, site: &Site) -> usize {
    let open = format!("/proc/{}/fd", server.pid().as_raw_nonzero());
    let root = site.root();
    let targets = std::fs::read_dir(open).unwrap().flatten();
    let targets = targets.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let nameless = |target: &std::path::PathBuf| {
        target.starts_with(&root) && target.to_string_lossy().ends_with(" (deleted)")
    };
    targets.filter(nameless).count()
}

/// The root soon holds these paths and nothing else, and no file is open that has no name.
#[track_caller]
fn assert_left(server: &Server, site: &Site, expected: &[&str]) {
    eventually(&format!("only {expected:?} is left"), || {
        tree(&site.root()) == expected && nameless_files(server, site) == 0
    });
}

/// Lets each call of this name wait first. `strace` is installed by `scripts/test`.
fn slowed(server: &Server, call: &str, wait_us: usize) -> Child {
    let pid = server.pid().as_raw_nonzero().to_string();
    let mut tracer = Command::new("strace");
    tracer.args(["-f", "-e", &format!("trace={call}")]);
    tracer.args(["-e", &format!("inject={call}:delay_enter={wait_us}")]);
    tracer.args(["-o", "/dev/null", "-p", &pid]);
    let tracer = tracer.stderr(Stdio::null()).spawn().expect("strace");
    eventually("strace has taken hold of every thread", || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let mut statuses = tasks.map(|task| task.unwrap().path().join("status"));
        statuses.all(|status| {
            let status = std::fs::read_to_string(status).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        })
    });
    tracer
}

/// Ends what `slowed` began.
fn let_go(tracer: &mut Child) {
    kill_process(Pid::from_child(tracer), Signal::INT).unwrap();
    tracer.wait().unwrap();
}
