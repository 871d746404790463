//! The server is killed at any point under its writers, again and again: each resource is then in
//! its last state or in the one that was on its way, whole.
//!
//! ```text
//! DOWNPOUR_TEST_KILLS=1000 cargo test --test behaviour writing::crashes   the nightly size
//! ```

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::rig::pattern;

/// How often the server is killed, unless `DOWNPOUR_TEST_KILLS` says so.
const KILLS: usize = 30;
/// From how many on the test waits for leftovers to be old enough to be swept away.
const KILLS_OF_THE_NIGHT: usize = 500;
/// A kill comes within this time.
const LIFE_US_MAX: u64 = 60_000;
/// `DRAFT_LEFT_AFTER` of the server, and the seconds of its clock.
const LEFT_AFTER: Duration = Duration::from_secs(62);

/// How a resource changes from one state to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// PUT of content that is gathered in memory.
    Short,
    /// PUT of content that goes to a draft as it comes.
    Long,
    /// A merge patch of a document.
    Merge,
    /// Operations on a document.
    Operations,
    /// A range that is written over all there is.
    Range,
    /// A range at the end.
    Append,
    /// By turns PUT and DELETE.
    ComesAndGoes,
    /// PUT into a directory that is there only as long as it is needed.
    InDirectory,
}

const ALL: [How; 8] = [
    How::Short,
    How::Long,
    How::Merge,
    How::Operations,
    How::Range,
    How::Append,
    How::ComesAndGoes,
    How::InDirectory,
];

/// A resource that one client writes, and what is known of it.
struct Resource {
    how: How,
    /// The last state whose answer has come.
    answered: u64,
    /// The last one that was asked for.
    asked: u64,
}

impl How {
    fn path(self) -> String {
        match self {
            How::InDirectory => "/notes/dir/ecto/ry/a".to_owned(),
            How::Merge | How::Operations => format!("/notes/{self:?}.json"),
            _ => format!("/notes/{self:?}"),
        }
    }

    /// What the file holds in a state; `None`: it is not there. State 0 is the beginning.
    fn content(self, state: u64) -> Option<Vec<u8>> {
        let of_len = |len: u64| {
            let mut content = pattern(len as usize, state + 1);
            let number = state.to_le_bytes();
            let len = content.len().min(8);
            content[..len].copy_from_slice(&number[..len]);
            Some(content)
        };
        match self {
            How::ComesAndGoes | How::InDirectory if state.is_multiple_of(2) => None,
            _ if state == 0 && !matches!(self, How::Append | How::Range) => None,
            How::Short | How::ComesAndGoes => of_len(1 + state * 1_237 % 20_000),
            How::Long | How::InDirectory => of_len(300_000 + state * 100_003 % 400_000),
            How::Merge | How::Operations => {
                let padding = "x".repeat(2_000);
                Some(format!(r#"{{"padding":"{padding}","state":{state}}}"#).into())
            }
            How::Range => of_len(50_000),
            How::Append => {
                let lines = (0..state).map(|line| format!("line {line}\n"));
                Some(lines.collect::<String>().into())
            }
        }
    }

    /// Asks for `state` where the one before is there.
    fn ask(self, client: &mut Client, state: u64) -> std::io::Result<Answer> {
        let path = self.path();
        let next = self.content(state);
        let put = |content: &[u8]| request("PUT", &path, &[], content);
        let patch = |kind: &str, content: &[u8]| {
            request("PATCH", &path, &[("content-type", kind)], content)
        };
        let range = |at: usize, content: &[u8]| {
            let range = format!("bytes {at}-{}/*", at + content.len() - 1);
            let fields = [
                ("content-type", "application/octet-stream"),
                ("content-range", &range),
            ];
            request("PATCH", &path, &fields, content)
        };
        let request = match (self, next) {
            (_, None) => request("DELETE", &path, &[], b""),
            (How::Merge, Some(_)) if state > 1 => {
                let patch_of = format!(r#"{{"state":{state}}}"#);
                patch("application/merge-patch+json", patch_of.as_bytes())
            }
            (How::Operations, Some(_)) if state > 1 => {
                let patch_of = format!(
                    r#"[{{"op":"test","path":"/state","value":{}}},
                        {{"op":"replace","path":"/state","value":{state}}}]"#,
                    state - 1
                );
                patch("application/json-patch+json", patch_of.as_bytes())
            }
            (How::Range, Some(next)) => range(0, &next),
            (How::Append, Some(next)) => {
                let before = self.content(state - 1).unwrap().len();
                range(before, &next[before..])
            }
            (_, Some(next)) => put(&next),
        };
        client.try_send(request);
        client.try_answer()
    }
}

fn request(method: &str, path: &str, fields: Fields<'_>, content: &[u8]) -> Vec<u8> {
    [
        head(method, path, fields, content.len()).as_bytes(),
        content,
    ]
    .concat()
}

impl Resource {
    fn new(how: How) -> Resource {
        Resource {
            how,
            answered: 0,
            asked: 0,
        }
    }

    /// Goes from state to state until the server ends.
    fn write(&mut self, server: &Server) {
        let Some(mut client) = connect(server) else {
            return;
        };
        loop {
            self.asked = self.answered + 1;
            match self.how.ask(&mut client, self.asked) {
                Ok(answer) => {
                    assert!(
                        matches!(answer.status, 201 | 204),
                        "{:?}: {answer:?}",
                        self.how
                    );
                    self.answered = self.asked;
                }
                Err(_) => return,
            }
        }
    }

    /// The file is in the last state or the one that was on its way, which it is in from now on.
    fn check(&mut self, site: &Site) {
        let path = site.path(&self.how.path()[1..]);
        let found = std::fs::read(&path).ok();
        let is = |state| self.how.content(state) == found;
        let state = [self.answered, self.asked]
            .into_iter()
            .find(|state| is(*state));
        let state = state.unwrap_or_else(|| {
            let len = found.as_ref().map(Vec::len);
            let (answered, asked) = (self.answered, self.asked);
            let lens = [answered, asked].map(|state| self.how.content(state).map(|it| it.len()));
            panic!(
                "{:?}: {len:?} bytes, neither {answered} nor {asked}: {lens:?}",
                self.how
            )
        });
        (self.answered, self.asked) = (state, state);
    }
}

fn connect(server: &Server) -> Option<Client> {
    let stream = std::net::TcpStream::connect(server.address()).ok()?;
    stream.set_read_timeout(Some(crate::rig::PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    Some(Client::new(stream))
}

/// Several clients put content of their own to one resource.
struct Contended {
    /// By client: the last that was answered, and the last that was asked for.
    clients: [(u64, u64); 3],
    /// What was there at the start of the server.
    before: Option<Vec<u8>>,
}

impl Contended {
    const PATH: &'static str = "/notes/contended";

    fn content(client: usize, number: u64) -> Vec<u8> {
        let len = 100 + (number * 70_001) % 400_000;
        let mut content = pattern(len as usize, number * 3 + client as u64 + 1);
        content[0] = client as u8;
        content[1..9].copy_from_slice(&number.to_le_bytes());
        content
    }

    fn write(client: usize, known: &mut (u64, u64), server: &Server) {
        let Some(mut connection) = connect(server) else {
            return;
        };
        loop {
            known.1 = known.0.max(known.1) + 1;
            let content = Contended::content(client, known.1);
            connection.try_send(request("PUT", Contended::PATH, &[], &content));
            match connection.try_answer() {
                Ok(answer) => assert!(matches!(answer.status, 201 | 204), "{answer:?}"),
                Err(_) => return,
            }
            known.0 = known.1;
        }
    }

    fn check(&mut self, site: &Site) {
        let found = std::fs::read(site.path(&Contended::PATH[1..])).ok();
        if found != self.before {
            let content = found.as_ref().expect("it has been there before");
            let client = usize::from(content[0]);
            let number = u64::from_le_bytes(content[1..9].try_into().unwrap());
            assert!(*content == Contended::content(client, number), "a mix");
            let (answered, asked) = self.clients[client];
            assert!(
                (answered..=asked).contains(&number),
                "{number} of {answered}..={asked}"
            );
        }
        self.before = found;
    }
}

/// A client that makes members, each with a key.
#[derive(Default)]
struct Keyed {
    next: u64,
    locations: BTreeSet<String>,
}

impl Keyed {
    /// Asks with one key until there is an answer, then with the next, until the server ends.
    fn write(&mut self, server: &Server) {
        let Some(mut client) = connect(server) else {
            return;
        };
        loop {
            let key = format!("key {}", self.next);
            let fields = [
                ("content-type", "text/plain"),
                ("idempotency-key", &key[..]),
            ];
            client.try_send(request("POST", "/notes/members/", &fields, key.as_bytes()));
            let Ok(answer) = client.try_answer() else {
                return;
            };
            assert_eq!(answer.status, 201, "{answer:?}");
            let is_new = self
                .locations
                .insert(answer.field("location").unwrap().to_owned());
            assert!(is_new, "{answer:?}");
            self.next += 1;
        }
    }

    /// Each key has made one member, the one that is on its way at most.
    fn check(&self, site: &Site) {
        let names = std::fs::read_dir(site.path("notes/members"))
            .into_iter()
            .flatten()
            .flatten();
        let names = names.map(|name| name.file_name().to_string_lossy().into_owned());
        let made: BTreeSet<String> = names
            .filter(|name| !name.starts_with('.'))
            .map(|name| format!("/notes/members/{name}"))
            .collect();
        let unknown = made.difference(&self.locations).count();
        assert!(unknown <= 1, "{unknown} members that nobody was told of");
        assert!(self.locations.is_subset(&made), "a member is gone");
    }
}

fn drafts(site: &Site) -> Vec<PathBuf> {
    let paths = tree(&site.root()).into_iter();
    let paths = paths.filter(|path| path.ends_with(".tmp"));
    paths.map(|path| site.path(&path)).collect()
}

/// Numbers from 0 to below `end`.
fn random(state: &mut u64, end: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % end
}

#[test]
fn a_kill_at_any_point_leaves_each_resource_old_or_new() {
    let kills = std::env::var("DOWNPOUR_TEST_KILLS").ok();
    let kills = kills.map_or(KILLS, |kills| kills.parse().expect("a number"));
    let mut seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64
        | 1;
    let site = Site::new();
    let state = site.outside("state");
    std::fs::create_dir(&state).unwrap();
    for how in [How::Range, How::Append] {
        site.write(&how.path()[1..], how.content(0).unwrap());
    }
    let flags = open_with(&["--workers", "2", "--state-dir", state.to_str().unwrap()]);
    let mut resources = ALL.map(Resource::new);
    let mut contended = Contended {
        clients: [(0, 0); 3],
        before: None,
    };
    let mut keyed = Keyed::default();
    let mut changes = 0;
    for _ in 0..kills {
        let mut server = Server::of(ENGINE, &site, &flags);
        let before: u64 = resources.iter().map(|resource| resource.answered).sum();
        std::thread::scope(|scope| {
            let server = &server;
            for resource in &mut resources {
                scope.spawn(move || resource.write(server));
            }
            for (client, known) in contended.clients.iter_mut().enumerate() {
                scope.spawn(move || Contended::write(client, known, server));
            }
            let keyed = &mut keyed;
            scope.spawn(move || keyed.write(server));
            sleep(Duration::from_micros(random(&mut seed, LIFE_US_MAX)));
            server.signal(Signal::KILL);
        });
        server.wait_for_end();
        resources
            .iter_mut()
            .for_each(|resource| resource.check(&site));
        contended.check(&site);
        keyed.check(&site);
        let after: u64 = resources.iter().map(|resource| resource.answered).sum();
        changes += after - before;
    }
    let left = drafts(&site);
    let done = (changes, keyed.next);
    assert!(changes > kills as u64, "{done:?} changes and members");
    let server = Server::of(ENGINE, &site, &flags);
    for resource in &resources {
        let answer = server.get(&resource.how.path());
        match resource.how.content(resource.answered) {
            Some(content) => answer.assert_body(&content),
            None => assert_eq!(answer.status, 404),
        }
    }
    for draft in &left {
        let path = draft.strip_prefix(site.root()).unwrap();
        assert_eq!(server.get(&format!("/{}", path.display())).status, 404);
    }
    drop(server);
    if kills >= KILLS_OF_THE_NIGHT {
        // Another server might be writing to those that are young.
        sleep(LEFT_AFTER);
        let _server = Server::of(ENGINE, &site, &flags);
        eventually("leftovers are swept away", || drafts(&site).is_empty());
    }
}

/// Who reads while others write sees one state after the other, each of them whole.
#[test]
fn readers_see_whole_states_that_go_forward() {
    let site = Site::new();
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "2"]));
    let len = |state: u64| [10, 70_000, 1_500_000][state as usize % 3];
    let content = |state: u64| {
        let mut content = pattern(len(state), state + 1);
        content[..8].copy_from_slice(&state.to_le_bytes());
        content
    };
    put(&server, "/notes/a", &content(0));
    let is_over = AtomicBool::new(false);
    let answered = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.connect();
                while !is_over.load(Ordering::Relaxed) {
                    let least = answered.load(Ordering::SeqCst);
                    let seen = client.get("/notes/a");
                    assert_eq!(seen.status, 200);
                    let state = u64::from_le_bytes(seen.body[..8].try_into().unwrap());
                    assert!(state >= least, "{state} after {least}");
                    seen.assert_body(&content(state));
                }
            });
        }
        let (mut client, began) = (server.connect(), Instant::now());
        for state in 1.. {
            if began.elapsed() > Duration::from_millis(800) {
                break;
            }
            let answer = client.say("PUT", "/notes/a", &[], &content(state));
            assert_eq!(answer.status, 204);
            answered.store(state, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
