//! The registry against every kind of event, with a disk that is a set of names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;
use crate::base::limits::{WATCH_REGISTRATIONS_MAX, WATCH_REQUESTS_WAITING_MAX};

/// A disk of directories, and the kernel's watches of them.
struct World {
    watch: Watch,
    lookout: Lookout,
    tree: TreeId,
    disk: Disk,
}

#[derive(Default)]
struct Disk {
    directories: BTreeSet<String>,
    blind: BTreeSet<String>,
    watches_max: usize,
    watches: BTreeMap<i32, String>,
    last: i32,
    here: String,
    /// Directories that were opened.
    walks: usize,
}

impl Walk for Disk {
    fn begin(&mut self, _: Arc<OwnedFd>) {
        self.here.clear();
        self.walks += 1;
    }

    fn enter(&mut self, name: &[u8]) -> Result<(), Unseen> {
        let name = str::from_utf8(name).unwrap();
        self.here = join(&self.here, name);
        if self.directories.contains(&self.here) {
            Ok(())
        } else {
            Err(Unseen::Absent)
        }
    }

    fn watch(&mut self) -> Result<i32, Unseen> {
        if self.blind.contains(&self.here) {
            return Err(Unseen::Blind);
        }
        if self.watches.len() >= self.watches_max {
            return Err(Unseen::Full);
        }
        self.last += 1;
        self.watches.insert(self.last, self.here.clone());
        Ok(self.last)
    }

    fn bind(&mut self, _: i32, directory: Option<DirectoryId>) {
        assert!(directory.is_some());
    }
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn root() -> Arc<OwnedFd> {
    Arc::new(File::open("/").unwrap().into())
}

fn world(directories: &[&str]) -> World {
    let (watch, lookout) = pair();
    World {
        tree: watch.add_tree(root()),
        watch,
        lookout,
        disk: Disk {
            directories: directories.iter().map(|&name| name.to_owned()).collect(),
            watches_max: usize::MAX,
            ..Disk::default()
        },
    }
}

impl World {
    fn sight(&mut self, dir: &str) -> Sight {
        let watch = self.watch.clone();
        let mut sight = pin!(watch.observe(self.tree, dir.as_bytes()));
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(sight) = sight.as_mut().poll(&mut context) {
            return sight;
        }
        self.work();
        match sight.as_mut().poll(&mut context) {
            Poll::Ready(sight) => sight,
            Poll::Pending => panic!("every request is answered"),
        }
    }

    /// What the cold thread does when it is asked.
    fn work(&mut self) {
        while let Some(asked) = now(self.lookout.next()) {
            match asked {
                Asked::Watch(request) => {
                    let fallen = self.lookout.answer(request, &mut self.disk);
                    self.end(&fallen);
                }
                Asked::Settle => {
                    let fallen = self.lookout.settle();
                    self.end(&fallen);
                }
            }
        }
    }

    fn end(&mut self, fallen: &[Fallen]) {
        for fallen in fallen {
            let ended = self.disk.watches.remove(&fallen.handle);
            assert!(ended.is_some(), "a watch ends once");
        }
    }

    fn observe(&mut self, dir: &str) -> Observation {
        match self.sight(dir) {
            Sight::Watched(observation) => observation,
            Sight::Blind => panic!("{dir:?} can be watched"),
        }
    }

    fn id(&self, dir: &str) -> Option<DirectoryId> {
        let registry = self.watch.0.as_ref().unwrap().shared.lock();
        let mut here = registry.top(self.tree)?;
        for name in dir.split('/').filter(|name| !name.is_empty()) {
            here = registry.child(here, name.as_bytes())?;
        }
        Some(here)
    }

    fn event(&mut self, dir: &str, name: &str) {
        let directory = self.id(dir).expect("it is watched");
        let fallen = self.lookout.on_event(directory, name.as_bytes());
        self.end(&fallen);
    }

    fn thing(&mut self, on: &[(&str, Name<'_>)]) -> Arc<Suspicion> {
        let on: Vec<_> = on
            .iter()
            .map(|(dir, name)| (self.observe(dir), *name))
            .collect();
        let thing = Arc::new(Suspicion::new());
        assert!(self.watch.register(&thing, &on));
        assert_eq!(thing.trust(), Trust::Trusted);
        thing
    }

    fn watched(&self) -> Vec<&str> {
        let mut watched: Vec<_> = self.disk.watches.values().map(String::as_str).collect();
        watched.sort_unstable();
        watched
    }

    fn registrations(&self) -> usize {
        let inner = self.watch.0.as_ref().unwrap();
        let mut registry = inner.shared.lock();
        registry.prune(usize::MAX);
        registry.registrations()
    }
}

fn is(name: &str) -> Name<'_> {
    Name::Is(name.as_bytes())
}

#[test]
fn a_change_of_our_own_is_an_event_that_nobody_waits_for() {
    let mut world = world(&["a", "a/b"]);
    let dependencies = [
        ("", is("page.html")),
        ("a", is("page.html")),
        ("a", Name::Any),
        ("a/b", is("page.html")),
        ("none/deep", is("page.html")),
    ];
    for (dir, name, told) in [
        ("a", "page.html.br", &[1, 2][..]),
        ("a/b", "other", &[]),
        ("none/deep", "page.html", &[4]),
        ("none", "x", &[4]),
        ("", "page.html", &[0]),
    ] {
        let things = dependencies.map(|dependency| world.thing(&[dependency]));
        let late = world.observe("a/b");
        let (watch, tree) = (world.watch.clone(), world.tree);
        watch.note_change(tree, dir.as_bytes(), name.as_bytes());
        for (index, thing) in things.iter().enumerate() {
            let is_told = thing.trust() == Trust::Suspect;
            assert_eq!(is_told, told.contains(&index), "{name} in {dir:?}: {index}");
        }
        // Who looked before cannot register any more; who looks now can.
        let thing = Arc::new(Suspicion::new());
        let registers = world.watch.register(&thing, &[(late, is("other"))]);
        assert_eq!(registers, dir != "a/b");
        world.thing(&[("a/b", is("other"))]);
    }
    // A directory that was removed takes what depends on it along when the cold thread comes by.
    let below = world.thing(&[("a/b", is("page.html"))]);
    world.watch.note_change(world.tree, b"a", b"b");
    world.work();
    assert_eq!(below.trust(), Trust::Suspect);
    assert_eq!(world.watched(), ["", "a"]);
    Watch::off().note_change(world.tree, b"a", b"b");
}

#[test]
fn each_event_tells_what_depends_on_it_and_nothing_else() {
    let dependencies = [
        ("", is("page.html")),
        ("", is("other.html")),
        ("", Name::Any),
        ("a", is("page.html")),
        ("a", Name::Any),
        ("a/b", is("page.html")),
        ("none/deep", is("page.html")),
        ("a/none", Name::Any),
    ];
    for (dir, name, told) in [
        ("", "page.html", &[0, 2][..]),
        ("", "page.html.br", &[0, 2]),
        ("", "page", &[0, 2]),
        ("", "page.de.html", &[0, 2]),
        ("", "unknown", &[2]),
        ("", "none", &[2, 6]),
        ("", "a", &[2, 3, 4, 5, 7]),
        ("a", "page.html", &[3, 4]),
        ("a", "b", &[4, 5]),
        ("a", "none", &[4, 7]),
        ("a/b", "page.txt", &[5]),
        ("a/b", "other", &[]),
    ] {
        let mut world = world(&["a", "a/b"]);
        let things = dependencies.map(|dependency| world.thing(&[dependency]));
        world.event(dir, name);
        for (index, thing) in things.iter().enumerate() {
            let expected = if told.contains(&index) {
                Trust::Suspect
            } else {
                Trust::Trusted
            };
            assert_eq!(thing.trust(), expected, "{name} in {dir:?}: {index}");
        }
    }
}

#[test]
fn an_event_between_look_and_registration_refuses_it() {
    let cases = [
        (is("page.html"), "page.html", false),
        (is("page.html"), "page.html.gz", false),
        (is("page.html"), "other", true),
        (Name::Any, "other", false),
    ];
    for (name, event, registers) in cases {
        let mut world = world(&["a"]);
        let observation = world.observe("a");
        let bystander = world.observe("");
        world.event("a", event);
        let thing = Arc::new(Suspicion::new());
        let on = [(bystander, is("a")), (observation, name)];
        assert_eq!(world.watch.register(&thing, &on), registers, "{event}");
        assert_eq!(thing.trust() == Trust::Trusted, registers);
        let again = [(world.observe("a"), name)];
        assert!(world.watch.register(&thing, &again), "observed anew");
    }
    let mut world = world(&["a"]);
    let missing = world.observe("none/deep");
    world.event("", "none");
    let thing = Arc::new(Suspicion::new());
    assert!(!world.watch.register(&thing, &[(missing, is("x"))]));
}

#[test]
fn a_directory_that_goes_takes_all_below_it_along() {
    let mut world = world(&["a", "a/b", "a/b/c", "d"]);
    let deep = world.thing(&[("a/b/c", is("x"))]);
    let beside = world.thing(&[("d", is("x"))]);
    let old = world.observe("a/b");
    assert_eq!(world.watched(), ["", "a", "a/b", "a/b/c", "d"]);
    world.event("", "a");
    assert_eq!(world.watched(), ["", "d"]);
    assert_eq!(deep.trust(), Trust::Suspect);
    assert_eq!(beside.trust(), Trust::Trusted);
    let thing = Arc::new(Suspicion::new());
    assert!(!world.watch.register(&thing, &[(old, is("x"))]));
    let again = world.observe("a/b");
    assert!(world.watch.register(&thing, &[(again, is("x"))]));
    let root = world.id("").unwrap();
    let fallen = world.lookout.on_lost(root);
    assert_eq!(fallen.len(), 4);
    world.end(&fallen);
    assert_eq!(
        (thing.trust(), beside.trust()),
        (Trust::Suspect, Trust::Suspect)
    );
    assert_eq!(world.lookout.on_lost(root), [], "it is unknown by now");
    assert!(world.lookout.on_event(root, b"x").is_empty());
}

#[test]
fn a_directory_that_is_found_gone_before_its_event_is_let_go() {
    let mut world = world(&["a", "a/b"]);
    let thing = world.thing(&[("a", is("x"))]);
    world.disk.directories.clear();
    let missing = world.observe("a/c");
    assert_eq!(thing.trust(), Trust::Suspect);
    assert_eq!(world.watched(), [""]);
    assert!(world.watch.register(&thing, &[(missing, is("x"))]));
    world.event("", "a");
    assert_eq!(thing.trust(), Trust::Suspect);
}

#[test]
fn an_overflow_tells_everything() {
    let mut world = world(&["a"]);
    let other_tree = std::mem::replace(&mut world.tree, TreeId::NONE);
    world.tree = world.watch.add_tree(root());
    let here = world.thing(&[("a", is("x"))]);
    world.tree = other_tree;
    let there = world.thing(&[("", is("x"))]);
    let fallen = world.lookout.on_all_lost();
    world.end(&fallen);
    assert_eq!(
        (here.trust(), there.trust()),
        (Trust::Suspect, Trust::Suspect)
    );
    assert_eq!(world.lookout.directories(), 0);
    world.thing(&[("a", is("x"))]);
    assert_eq!(world.watched(), ["", "a"]);
}

#[test]
fn what_is_known_is_not_asked_for_again() {
    let mut world = world(&["a"]);
    world.observe("a");
    let missing = world.observe("none/deep");
    assert_eq!(world.disk.walks, 2);
    world.observe("a/");
    world.observe("");
    assert_eq!(world.observe("none/else"), missing);
    assert_eq!(world.disk.walks, 2);
    world.disk.directories.insert("none".to_owned());
    world.event("", "none");
    world.observe("none");
    assert_eq!(world.disk.walks, 3);
    assert_eq!(world.watched(), ["", "a", "none"]);
}

#[test]
fn what_cannot_be_watched_is_tried_again_in_the_next_epoch() {
    let mut world = world(&["a", "a/b"]);
    world.disk.blind.insert("a".to_owned());
    assert_eq!(world.sight("a/b"), Sight::Blind);
    assert_eq!(world.sight("a"), Sight::Blind);
    assert_eq!(world.disk.walks, 1);
    world.disk.blind.clear();
    assert_eq!(world.sight("a"), Sight::Blind);
    assert!(world.lookout.begin_epoch().is_empty());
    world.observe("a/b");

    let mut world = self::world(&[]);
    world.disk.blind.insert(String::new());
    assert_eq!(world.sight("a"), Sight::Blind);
    world.disk.blind.clear();
    assert_eq!(world.sight(""), Sight::Blind);
    world.lookout.begin_epoch();
    world.observe("");
}

#[test]
fn when_the_watches_are_used_up_unused_ones_make_room_later() {
    let mut world = world(&["a", "b", "b/c", "d"]);
    world.disk.watches_max = 4;
    let used = world.thing(&[("a", is("x"))]);
    drop(world.thing(&[("b/c", is("x"))]));
    assert_eq!(world.sight("d"), Sight::Blind);
    let walks = world.disk.walks;
    assert_eq!(world.sight("d"), Sight::Blind);
    assert_eq!(world.disk.walks, walks, "nobody is asked in vain");
    assert_eq!(world.observe("a"), world.observe("a"), "the others go on");
    world.lookout.prune();
    let fallen = world.lookout.begin_epoch();
    world.end(&fallen);
    assert_eq!(world.watched(), ["", "a", "b"]);
    world.observe("d");
    assert_eq!(used.trust(), Trust::Trusted);
}

#[test]
fn a_retired_tree_is_told_and_its_watches_end() {
    let mut world = world(&["a", "a/b"]);
    let thing = world.thing(&[("a/b", is("x"))]);
    let observation = world.observe("a");
    world.watch.retire(world.tree);
    assert_eq!(world.sight("a"), Sight::Blind);
    world.work();
    assert_eq!(thing.trust(), Trust::Suspect);
    assert!(world.watched().is_empty());
    assert!(!world.watch.register(&thing, &[(observation, is("x"))]));
    world.watch.retire(world.tree);
}

#[test]
fn without_the_cold_thread_nothing_is_trusted() {
    let mut world = world(&["a"]);
    let thing = world.thing(&[("a", is("x"))]);
    let observation = world.observe("a");
    let World {
        watch,
        lookout,
        tree,
        ..
    } = world;
    let mut waiting = Box::pin(watch.observe(tree, b"unknown"));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(lookout);
    assert_eq!(
        waiting.as_mut().poll(&mut context),
        Poll::Ready(Sight::Blind)
    );
    assert_eq!(thing.trust(), Trust::Suspect);
    assert_eq!(now(watch.observe(tree, b"a")), Some(Sight::Blind));
    assert!(!watch.register(&thing, &[(observation, is("x"))]));
    assert_eq!(thing.trust(), Trust::Unwatched);

    let off = Watch::off();
    let tree = off.add_tree(root());
    assert_eq!(now(off.observe(tree, b"")), Some(Sight::Blind));
    assert!(!off.register(&thing, &[]));
    off.retire(tree);
}

#[test]
fn a_flood_of_requests_is_answered_blindly() {
    let mut world = world(&["a"]);
    let watch = world.watch.clone();
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..WATCH_REQUESTS_WAITING_MAX)
        .map(|_| Box::pin(watch.observe(world.tree, b"a")))
        .collect();
    for future in &mut waiting {
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(now(watch.observe(world.tree, b"a")), Some(Sight::Blind));
    drop(waiting.pop());
    world.work();
    for future in &mut waiting {
        let sight = future.as_mut().poll(&mut context);
        assert!(matches!(sight, Poll::Ready(Sight::Watched(_))));
    }
    assert_eq!(world.watched(), ["", "a"]);
}

#[test]
fn a_thing_is_registered_for_its_last_dependencies_only() {
    let mut world = world(&[]);
    let observation = world.observe("");
    let thing = Arc::new(Suspicion::new());
    for _ in 0..1000 {
        let on = [(observation, is("old")), (observation, is("both"))];
        assert!(world.watch.register(&thing, &on));
    }
    assert!(world.watch.register(&thing, &[(observation, is("new"))]));
    world.event("", "old");
    assert_eq!(thing.trust(), Trust::Trusted);
    assert_eq!(world.registrations(), 1);
    world.event("", "new");
    assert_eq!(thing.trust(), Trust::Suspect);
    assert_eq!(world.registrations(), 0);
    assert!(!world.watch.register(&thing, &[]), "it depends on nothing");
}

#[test]
fn registrations_are_bounded_and_those_of_dropped_things_are_no_burden() {
    let mut world = world(&[]);
    let observation = world.observe("");
    for index in 0..100_000 {
        let name = index.to_string();
        let thing = Arc::new(Suspicion::new());
        assert!(world.watch.register(&thing, &[(observation, is(&name))]));
    }
    assert_eq!(world.registrations(), 0);
    let many = vec![(observation, Name::Any); WATCH_REGISTRATIONS_MAX + 1];
    let thing = Arc::new(Suspicion::new());
    assert!(!world.watch.register(&thing, &many));
    assert!(world.watch.register(&thing, &many[1..]));
    assert!(
        !world
            .watch
            .register(&Arc::new(Suspicion::new()), &many[..1])
    );
}

#[test]
fn a_large_directory_is_told_to_the_last_thing() {
    let mut world = world(&["a", "a/b"]);
    let observation = world.observe("a/b");
    let things: Vec<_> = (0..10_000)
        .map(|index: u32| {
            let thing = Arc::new(Suspicion::new());
            let name = index.to_string();
            assert!(world.watch.register(&thing, &[(observation, is(&name))]));
            thing
        })
        .collect();
    world.event("", "a");
    assert!(things.iter().all(|thing| thing.trust() == Trust::Suspect));
    assert_eq!(world.registrations(), 0);
}

/// The property below: what was done, on three directories and few names.
#[derive(Clone, Debug)]
enum Step {
    /// One thing begins a look at a name in a directory.
    Observe(usize, usize, usize),
    /// It is registered for all that it has looked at.
    Register(usize),
    Event(usize, usize),
}

const DIRECTORIES: [&str; 4] = ["", "a", "a/b", "none/c"];
const NAMES: [&str; 6] = ["x", "x.br", "y.html", "a", "b", "none"];
const THINGS: usize = 4;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..THINGS, 0..4usize, 0..NAMES.len()).prop_map(|(t, d, n)| Step::Observe(t, d, n)),
        (0..THINGS).prop_map(Step::Register),
        (0..3usize, 0..NAMES.len()).prop_map(|(d, n)| Step::Event(d, n)),
    ];
    prop::collection::vec(step, 0..60)
}

/// True when an event of `name` in `dir` says something about `wanted` in `wanted_dir`.
fn concerns(dir: &str, name: &str, wanted_dir: &str, wanted: &str) -> bool {
    let path = join(dir, name);
    let is_above = wanted_dir == path || wanted_dir.starts_with(&format!("{path}/"));
    let stem_of = |name: &str| stem(name.as_bytes()).to_owned();
    // What is looked for in a missing directory depends on that alone.
    let is_same = dir == wanted_dir && stem_of(name) == stem_of(wanted);
    is_above || (is_same && !wanted_dir.starts_with("none"))
}

proptest! {
    #[test]
    fn a_thing_is_trusted_exactly_while_nothing_has_happened_since_it_looked(steps in steps()) {
        let mut world = world(&["a", "a/b"]);
        // For each thing what it has looked at, when, and whether it is registered.
        let mut looks: Vec<Vec<(Observation, usize, usize, usize)>> = vec![Vec::new(); THINGS];
        let mut registered = vec![None; THINGS];
        let things: Vec<_> = (0..THINGS).map(|_| Arc::new(Suspicion::new())).collect();
        let mut events: Vec<(usize, usize)> = Vec::new();
        for step in steps {
            match step {
                Step::Observe(thing, dir, name) => {
                    let observation = world.observe(DIRECTORIES[dir]);
                    looks[thing].push((observation, events.len(), dir, name));
                }
                Step::Register(thing) => {
                    let looked = std::mem::take(&mut looks[thing]);
                    let on: Vec<_> = looked
                        .iter()
                        .map(|(observation, _, _, name)| (*observation, is(NAMES[*name])))
                        .collect();
                    let is_registered = world.watch.register(&things[thing], &on);
                    registered[thing] = is_registered.then_some(looked);
                }
                Step::Event(dir, name) => {
                    if world.id(DIRECTORIES[dir]).is_some() {
                        world.event(DIRECTORIES[dir], NAMES[name]);
                        events.push((dir, name));
                    }
                }
            }
            for (thing, looked) in registered.iter().enumerate() {
                let trust = things[thing].trust();
                let Some(looked) = looked else {
                    prop_assert_eq!(trust, Trust::Unwatched);
                    continue;
                };
                let is_disturbed = looked.iter().any(|(_, since, dir, name)| {
                    events[*since..].iter().any(|(event_dir, event_name)| {
                        let (wanted_dir, wanted) = (DIRECTORIES[*dir], NAMES[*name]);
                        concerns(DIRECTORIES[*event_dir], NAMES[*event_name], wanted_dir, wanted)
                    })
                });
                let expected = if is_disturbed { Trust::Suspect } else { Trust::Trusted };
                prop_assert_eq!(trust, expected);
            }
        }
    }
}
