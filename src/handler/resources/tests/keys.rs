//! `Idempotency-Key`.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::base::limits::UPLOAD_CHUNK_BYTES;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const MERGE: (&str, &str) = ("Content-Type", "application/merge-patch+json");
const KEY: (&str, &str) = ("Idempotency-Key", "\"k-1\"");

fn members(scene: &Scene) -> usize {
    scene
        .names()
        .iter()
        .filter(|name| name.starts_with("n/"))
        .count()
}

#[test]
fn the_first_answer_is_given_again_for_the_same_request_only() {
    let scene = Scene::new(WriteSettings::default());
    let post = |user, path: &str, fields: &[(&str, &str)], content: &[u8]| {
        scene
            .writer
            .ask_as(user, Method::Post, path, fields, content)
    };
    let first = post(Some("a"), "/n/", &[JSON, KEY], b"{}");
    assert_eq!(first.status, Status::CREATED);
    let again = post(Some("a"), "/n/", &[JSON, ("idempotency-key", "k-1")], b"{}");
    assert_eq!((again.status, &again.head), (first.status, &first.head));
    assert_eq!(members(&scene), 1);
    let other = post(Some("a"), "/n/", &[JSON, KEY], b"[]");
    assert_eq!(other.status, Status::UNPROCESSABLE_CONTENT);
    let other = post(Some("a"), "/n/", &[KEY], b"{}");
    assert_eq!(other.status, Status::UNPROCESSABLE_CONTENT);
    for (user, path, key) in [
        (Some("b"), "/n/", "k-1"),
        (None, "/n/", "k-1"),
        (Some(""), "/n/", "k-1"),
        (Some("a"), "/n/m/", "k-1"),
        (Some("a"), "/n/", "k-2"),
    ] {
        let other = post(user, path, &[JSON, ("Idempotency-Key", key)], b"{}");
        assert_eq!(other.status, Status::CREATED);
        assert_ne!(other.field("Location"), first.field("Location"));
    }
    let invalid = post(None, "/n/", &[("Idempotency-Key", "\"")], b"{}");
    assert_eq!(invalid.status, Status::BAD_REQUEST);
}

#[test]
fn a_patch_with_a_key_is_done_once() {
    let scene = Scene::new(WriteSettings::default());
    let put = scene.put("/a", &[], r#"{"l":[]}"#);
    let fields = [
        ("Content-Type", "application/json-patch+json"),
        ("If-Match", put.field("ETag").unwrap()),
        KEY,
    ];
    for large in [false, true] {
        let key = if large { "large" } else { "small" };
        let put = scene.put("/a", &[], r#"{"l":[]}"#);
        let tag = put.field("ETag").unwrap();
        let fields = [fields[0], ("If-Match", tag), ("Idempotency-Key", key)];
        let padding = " ".repeat(if large { UPLOAD_CHUNK_BYTES } else { 0 });
        let patch = format!(r#"[{{"op":"add","path":"/l/-","value":1}}{padding}]"#);
        let ask = || {
            scene
                .writer
                .ask(Method::Patch, "/a", &fields, patch.as_bytes())
        };
        let first = ask();
        assert_eq!(first.status, Status::NO_CONTENT);
        assert_eq!(ask().head, first.head);
        assert_eq!(scene.read("a"), r#"{"l":[1]}"#);
    }
    // What failed has done nothing: it may be tried again.
    let failed = scene.writer.ask(Method::Patch, "/a", &fields, b"[]");
    assert_eq!(failed.status, Status::PRECONDITION_FAILED);
    let fields = [fields[0], KEY];
    let ask = |patch: &[u8]| scene.writer.ask(Method::Patch, "/a", &fields, patch).status;
    assert_eq!(ask(b"["), Status::BAD_REQUEST);
    assert_eq!(ask(b"[]"), Status::NO_CONTENT);
}

#[test]
fn of_many_with_one_key_one_is_done() {
    let scene = Scene::new(WriteSettings::default());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let writer = scene.writer.clone();
            thread::spawn(move || writer.ask(Method::Post, "/n/", &[JSON, KEY], b"{}"))
        })
        .collect();
    for thread in threads {
        let seen = thread.join().unwrap();
        assert!([Status::CREATED, Status::CONFLICT].contains(&seen.status));
    }
    assert_eq!(members(&scene), 1);
}

#[test]
fn answers_survive_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let settings = WriteSettings {
        idempotency: IdempotencySettings {
            directory: Some(state.path().to_owned()),
            ..IdempotencySettings::default()
        },
        ..WriteSettings::default()
    };
    let scene = Scene::new(settings.clone());
    let first = scene.writer.ask(Method::Post, "/n/", &[JSON, KEY], b"{}");
    assert!(Resources::open(settings.clone()).is_err(), "it is in use");
    let (mut writer, reader) = (scene.writer, scene.reader);
    drop(std::mem::replace(
        &mut writer.resources,
        Resources::open(WriteSettings::default()).unwrap(),
    ));
    let deadline = Instant::now() + Duration::from_secs(10);
    writer.resources = loop {
        match Resources::open(settings.clone()) {
            Ok(resources) => break resources,
            Err(fault) => assert!(Instant::now() < deadline, "{fault}"),
        }
    };
    let again = writer.ask(Method::Post, "/n/", &[JSON, KEY], b"{}");
    assert_eq!(again.head, first.head);
    drop(reader);
}

/// A store of a process that may be killed before it notes what was done.
#[derive(Clone)]
struct Killed {
    store: Arc<MemoryStore>,
    is_killed: Arc<AtomicBool>,
}

impl AnswerStore for Killed {
    fn insert_new(
        &self,
        key: &AnswerKey,
        record: &[u8],
        now: u64,
        expires: u64,
    ) -> std::result::Result<Option<Vec<u8>>, StoreFault> {
        self.store.insert_new(key, record, now, expires)
    }

    fn replace(&self, key: &AnswerKey, record: &[u8]) -> std::result::Result<(), StoreFault> {
        match self.is_killed.load(Ordering::Relaxed) {
            true => Ok(()),
            false => self.store.replace(key, record),
        }
    }

    fn remove(&self, key: &AnswerKey) -> std::result::Result<(), StoreFault> {
        self.store.remove(key)
    }
}

#[test]
fn a_crash_before_the_answer_was_noted_does_nothing_twice() {
    let mut scene = Scene::new(WriteSettings::default());
    let store = Killed {
        store: Arc::new(MemoryStore::new(100_000)),
        is_killed: Arc::new(AtomicBool::new(true)),
    };
    let with_store = |scene: &mut Scene| {
        let store = Box::new(store.clone());
        scene.writer.resources = Resources::with_store(WriteSettings::default(), store);
    };
    with_store(&mut scene);
    let first = scene.writer.ask(Method::Post, "/n/", &[JSON, KEY], b"{}");
    scene.put("/a", &[], "{}");
    let patch = |scene: &Scene| {
        scene
            .writer
            .ask(Method::Patch, "/a", &[MERGE, KEY], b"{\"b\":1}")
    };
    assert_eq!(patch(&scene).status, Status::NO_CONTENT);
    store.is_killed.store(false, Ordering::Relaxed);
    with_store(&mut scene);
    for _ in 0..2 {
        let again = scene.writer.ask(Method::Post, "/n/", &[JSON, KEY], b"{}");
        assert_eq!(again.head, first.head);
    }
    assert_eq!(members(&scene), 1);
    assert_eq!(patch(&scene).status, Status::CONFLICT);
    // Where nothing was done, it is done now: under the name that was noted.
    scene.delete(first.field("Location").unwrap(), &[]);
    let fields = [JSON, ("Idempotency-Key", "k-3")];
    store.is_killed.store(true, Ordering::Relaxed);
    let lost = scene.writer.ask(Method::Post, "/n/", &fields, b"{}");
    scene.delete(lost.field("Location").unwrap(), &[]);
    store.is_killed.store(false, Ordering::Relaxed);
    with_store(&mut scene);
    let done = scene.writer.ask(Method::Post, "/n/", &fields, b"{}");
    assert_eq!(done.status, Status::CREATED);
    assert_eq!(done.field("Location"), lost.field("Location"));
    let large = vec![b'x'; 3 * UPLOAD_CHUNK_BYTES];
    let fields = [("Idempotency-Key", "k-4")];
    let first = scene.writer.ask(Method::Post, "/n/", &fields, &large);
    let again = scene.writer.ask(Method::Post, "/n/", &fields, &large);
    assert_eq!(again.head, first.head);
    assert_eq!(members(&scene), 2);
}
