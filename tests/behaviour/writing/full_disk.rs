//! A file system without room. It is mounted for the server alone, in a namespace of its own; the
//! test looks into it through `/proc`.

use std::path::PathBuf;

use super::*;
use crate::rig::{binary, pattern, serve};

const MIB: usize = 1 << 20;

/// A server whose root is a small file system, and where that is seen.
struct Small {
    server: Server,
    root: PathBuf,
}

impl Small {
    /// `options`: of the mount.
    fn of(site: &Site, options: &str) -> Small {
        let root = site.root();
        let root = root.to_str().unwrap();
        let mut served = serve(binary(), ENGINE);
        served.args([
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "1",
            "--max-body-bytes",
            "64M",
        ]);
        served.args(OPEN).arg(root);
        let mut command = Command::new("unshare");
        // Who is not root becomes it in a namespace of users.
        let is_root = rustix::process::geteuid().is_root();
        command.args(if is_root { &["-m"][..] } else { &["-r", "-m"] });
        // What is executed keeps the number of the process.
        let mount = format!("mount -t tmpfs -o {options} tmpfs '{root}' && exec \"$@\"");
        command
            .args(["sh", "-c", &mount, "sh"])
            .arg(served.get_program());
        command.args(served.get_args()).stdin(Stdio::null());
        for (name, value) in served.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let server = Server::start(&mut command);
        let seen = format!("/proc/{}/root{root}", server.pid().as_raw_nonzero());
        Small {
            server,
            root: seen.into(),
        }
    }

    /// Bytes and names that there is room for.
    fn room(&self) -> (u64, u64) {
        let stat = rustix::fs::statvfs(&self.root).unwrap();
        (stat.f_bavail * stat.f_frsize, stat.f_favail)
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, fields: Fields<'_>, content: &[u8]) -> u16 {
        status(&self.server, method, path, fields, content)
    }

    /// All is as it was before, the room as well.
    #[track_caller]
    fn assert_as_before(&self, room: (u64, u64), expected: &[&str]) {
        eventually("what was begun is gone", || self.room() == room);
        assert_eq!(tree(&self.root), expected);
    }
}

#[test]
fn what_the_disk_has_no_room_for_leaves_nothing() {
    let site = Site::new();
    let small = Small::of(&site, "size=2m");
    let kept = pattern(1_000, 1);
    assert_eq!(small.ask("PUT", "/notes/kept", &[], &kept), 201);
    let room = small.room();
    let left = ["notes/", "notes/kept"];
    let long = pattern(4 * MIB, 2);
    let range = format!("bytes 1000-{}/*", 999 + 4 * MIB);
    let append = [
        ("content-type", "application/octet-stream"),
        ("content-range", &range),
    ];
    for _ in 0..3 {
        for path in ["/notes/kept", "/notes/new", "/notes/deep/er/new"] {
            assert_eq!(small.ask("PUT", path, &[], &long), 507, "{path}");
            small.assert_as_before(room, &left);
        }
        assert_eq!(small.ask("POST", "/notes/", &[], &long), 507);
        assert_eq!(small.ask("PATCH", "/notes/kept", &append, &long), 507);
        small.assert_as_before(room, &left);
        let mut streams = Http2::connect(small.server.address());
        assert_eq!(streams.say("PUT", "/notes/new", &[], &long).status, 507);
        streams.get("/notes/kept").assert_body(&kept);
        small.assert_as_before(room, &left);
    }
    // What is short fails as late, when little is left.
    let filling = vec![0; room.0 as usize - 64 * 1024];
    assert_eq!(small.ask("PUT", "/notes/filling", &[], &filling), 201);
    let room = small.room();
    let left = ["notes/", "notes/filling", "notes/kept"];
    let short = pattern(100_000, 3);
    let range = format!("bytes 1000-{}/*", 999 + short.len());
    let append = [
        ("content-type", "application/octet-stream"),
        ("content-range", &range),
    ];
    let keyed = [("idempotency-key", "k")];
    for (method, path, fields) in [
        ("PUT", "/notes/kept", &[][..]),
        ("PUT", "/notes/deep/new", &[]),
        ("POST", "/notes/", &[]),
        ("POST", "/notes/", &keyed),
        ("PATCH", "/notes/kept", &append),
    ] {
        assert_eq!(
            small.ask(method, path, fields, &short),
            507,
            "{method} {path}"
        );
        small.assert_as_before(room, &left);
    }
    small.server.get("/notes/kept").assert_body(&kept);
    // Where there is room again, it goes on.
    assert_eq!(small.ask("DELETE", "/notes/filling", &[], b""), 204);
    assert_eq!(small.ask("POST", "/notes/", &keyed, &short), 201);
    assert_eq!(small.ask("PUT", "/notes/kept", &[], &short), 204);
    small.server.get("/notes/kept").assert_body(&short);
}

#[test]
fn where_no_name_is_left_nothing_is_made() {
    let site = Site::new();
    // The root, a directory and two files, one of which may be a draft of the other.
    let small = Small::of(&site, "size=8m,nr_inodes=5");
    assert_eq!(small.ask("PUT", "/notes/a", &[], b"alpha"), 201);
    assert_eq!(small.ask("PUT", "/notes/b", &[], b"beta"), 201);
    assert_eq!(small.ask("PUT", "/notes/b", &[], &pattern(LONG, 1)), 204);
    assert_eq!(small.ask("PUT", "/notes/c", &[], b"gamma"), 201);
    let (room, left) = (small.room(), ["notes/", "notes/a", "notes/b", "notes/c"]);
    for content in [&b"x"[..], &pattern(LONG, 2)] {
        for path in ["/notes/d", "/notes/e/f/g"] {
            assert_eq!(small.ask("PUT", path, &[], content), 507, "{path}");
            assert_eq!(small.ask("POST", "/notes/", &[], content), 507);
            small.assert_as_before(room, &left);
        }
    }
    assert_eq!(small.ask("DELETE", "/notes/b", &[], b""), 204);
    // Two directories need two names, one is left for neither a draft.
    assert_eq!(small.ask("PUT", "/notes/e/f", &[], b"x"), 507);
    assert_eq!(tree(&small.root), ["notes/", "notes/a", "notes/c"]);
    assert_eq!(small.ask("PUT", "/notes/a", &[], b"again"), 204);
    small.server.get("/notes/a").assert_body(b"again");
}

#[test]
fn a_disk_that_takes_nothing_is_told_of() {
    let site = Site::of(&[]);
    let small = Small::of(&site, "size=2m");
    assert_eq!(small.ask("PUT", "/notes/a", &[], b"alpha"), 201);
    let pid = small.server.pid().as_raw_nonzero().to_string();
    let mut remount = Command::new("nsenter");
    let namespaces = if rustix::process::geteuid().is_root() {
        &["-m"][..]
    } else {
        &["-U", "-m"]
    };
    remount.args(["-t", &pid]).args(namespaces);
    remount.args(["mount", "-o", "remount,ro"]).arg(site.root());
    assert!(remount.status().unwrap().success());
    for content in [&b"x"[..], &pattern(LONG, 1)] {
        for path in ["/notes/a", "/notes/b", "/notes/c/d"] {
            assert_eq!(small.ask("PUT", path, &[], content), 403, "{path}");
        }
    }
    assert_eq!(small.ask("DELETE", "/notes/a", &[], b""), 403);
    small.server.get("/notes/a").assert_body(b"alpha");
    assert_eq!(tree(&small.root), ["notes/", "notes/a"]);
}
