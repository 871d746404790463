//! POST and PATCH.

use super::*;
use crate::base::limits::UPLOAD_CHUNK_BYTES;

const MERGE: (&str, &str) = ("Content-Type", "application/merge-patch+json");
const OPERATIONS: (&str, &str) = ("Content-Type", "application/json-patch+json");
const BYTES: (&str, &str) = ("Content-Type", "application/octet-stream");

fn post(scene: &Scene, path: &str, fields: &[(&str, &str)], content: &[u8]) -> Seen {
    scene.writer.ask(Method::Post, path, fields, content)
}

fn patch(scene: &Scene, path: &str, fields: &[(&str, &str)], content: impl AsRef<[u8]>) -> Seen {
    scene
        .writer
        .ask(Method::Patch, path, fields, content.as_ref())
}

#[test]
fn post_makes_members_that_sort_as_they_came() {
    let mut scene = Scene::new(WriteSettings::default());
    let fields = [("Content-Type", "application/json")];
    let mut locations = Vec::new();
    for number in 0..20 {
        let content = format!("{{\"n\":{number}}}");
        let created = post(&scene, "/notes/", &fields, content.as_bytes());
        assert_eq!(created.status, Status::CREATED);
        let location = created.field("Location").unwrap().to_owned();
        let got = scene.reader.get(&location);
        assert_eq!(got.field("Content-Type"), Some("application/json"));
        assert_eq!(got.field("ETag"), created.field("ETag"));
        assert_eq!(got.body, content.as_bytes());
        locations.push(location);
    }
    assert!(locations.is_sorted() && locations[0].starts_with("/notes/"));
    let refused = post(&scene, "/notes", &fields, b"{}");
    assert_eq!(refused.status, Status::METHOD_NOT_ALLOWED);
    assert!(!refused.field("Allow").unwrap().contains("POST"));
    let refused = patch(&scene, "/notes/", &[MERGE], "{}");
    assert_eq!(refused.status, Status::METHOD_NOT_ALLOWED);
    assert!(refused.field("Allow").unwrap().contains("POST"));
    let strict = Scene::new(WriteSettings {
        create_directories: false,
        ..WriteSettings::default()
    });
    assert_eq!(
        post(&strict, "/notes/", &fields, b"{}").status,
        Status::CONFLICT
    );
    assert_eq!(post(&strict, "/", &fields, b"{}").status, Status::CREATED);
}

#[test]
fn documents_are_patched_in_both_formats() {
    let mut scene = Scene::new(WriteSettings::default());
    let put = scene.put("/a.json", &[], r#"{"a":1,"b":[1,2]}"#);
    let fields = [MERGE, ("If-Match", put.field("ETag").unwrap())];
    let merged = patch(&scene, "/a.json", &fields, r#"{"a":2}"#);
    assert_eq!(merged.status, Status::NO_CONTENT);
    assert_eq!(scene.reader.get("/a.json").body, br#"{"a":2,"b":[1,2]}"#);
    assert_eq!(
        scene.reader.get("/a.json").field("ETag"),
        merged.field("ETag")
    );
    assert_eq!(
        patch(&scene, "/a.json", &fields, "{}").status,
        Status::PRECONDITION_FAILED
    );
    let fields = [OPERATIONS, ("Want-Repr-Digest", "sha-256=1")];
    let operations = r#"[{"op":"test","path":"/a","value":2},{"op":"remove","path":"/b/0"}]"#;
    let patched = patch(&scene, "/a.json", &fields, operations);
    assert_eq!(patched.status, Status::NO_CONTENT);
    assert_eq!(scene.read("a.json"), r#"{"a":2,"b":[2]}"#);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, br#"{"a":2,"b":[2]}"#);
    let expected = digest::Algorithm::Sha256.field_value(digest.as_ref());
    assert_eq!(patched.field("Repr-Digest"), Some(&expected[..]));
    for (content, status) in [
        (r#"[{"op":"test","path":"/a","value":3}]"#, Status::CONFLICT),
        (
            r#"[{"op":"remove","path":"/c"}]"#,
            Status::UNPROCESSABLE_CONTENT,
        ),
        ("[", Status::BAD_REQUEST),
    ] {
        assert_eq!(
            patch(&scene, "/a.json", &[OPERATIONS], content).status,
            status
        );
    }
    assert_eq!(scene.read("a.json"), r#"{"a":2,"b":[2]}"#);
    assert_eq!(
        patch(&scene, "/b.json", &[MERGE], "{}").status,
        Status::NOT_FOUND
    );
    assert_eq!(
        patch(&scene, "/x/b.json", &[MERGE], "{}").status,
        Status::NOT_FOUND
    );
    assert_eq!(scene.names(), ["a.json"]);
}

#[test]
fn other_patches_are_refused_with_those_that_are_understood() {
    let scene = Scene::new(WriteSettings::default());
    scene.put("/a.json", &[], "{}");
    for fields in [
        &[][..],
        &[("Content-Type", "application/json")],
        &[("Content-Type", "text/plain")],
    ] {
        let refused = patch(&scene, "/a.json", fields, "{}");
        assert_eq!(refused.status, Status::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(refused.field("Accept-Patch"), Some(Resources::ACCEPT_PATCH));
    }
    let fields = [(
        "Content-Type",
        "Application/Merge-Patch+JSON; charset=utf-8",
    )];
    assert_eq!(
        patch(&scene, "/a.json", &fields, "{}").status,
        Status::NO_CONTENT
    );
}

#[test]
fn documents_and_patches_are_bounded() {
    let scene = Scene::new(WriteSettings {
        patch_bytes_max: 600_000,
        ..WriteSettings::default()
    });
    let text = |len| format!("\"{}\"", "x".repeat(len));
    scene.put("/a", &[], format!("{{\"a\":{}}}", text(300_000)));
    let large = format!("{{\"b\":{}}}", text(290_000)); // It comes in several chunks.
    assert_eq!(
        patch(&scene, "/a", &[MERGE], &large).status,
        Status::NO_CONTENT
    );
    let more = format!("{{\"c\":{}}}", text(20_000));
    assert_eq!(
        patch(&scene, "/a", &[MERGE], more).status,
        Status::UNPROCESSABLE_CONTENT
    );
    let too_large = text(600_000);
    assert_eq!(
        patch(&scene, "/a", &[MERGE], &too_large).status,
        Status::CONTENT_TOO_LARGE
    );
    scene.put("/b", &[], too_large);
    assert_eq!(
        patch(&scene, "/b", &[MERGE], "{}").status,
        Status::CONTENT_TOO_LARGE
    );
}

#[test]
fn no_patch_is_lost() {
    let scene = Scene::new(WriteSettings::default());
    scene.put("/n", &[], "{}");
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let writer = scene.writer.clone();
            thread::spawn(move || {
                for number in 0..20 {
                    let patch = format!("{{\"{thread}-{number}\":1}}");
                    let seen = writer.ask(Method::Patch, "/n", &[MERGE], patch.as_bytes());
                    assert_eq!(seen.status, Status::NO_CONTENT);
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let document: serde_json::Value = serde_json::from_str(&scene.read("n")).unwrap();
    assert_eq!(document.as_object().unwrap().len(), 160);
}

#[test]
fn ranges_of_bytes_are_written_and_appended() {
    let mut scene = Scene::new(WriteSettings::default());
    let range = |scene: &Scene, range: &str, content: &str| {
        patch(scene, "/a", &[BYTES, ("Content-Range", range)], content)
    };
    assert_eq!(range(&scene, "bytes 0-1/*", "ab").status, Status::NOT_FOUND);
    scene.put("/a", &[], "0123456789");
    let written = range(&scene, "bytes 2-4/10", "abc");
    assert_eq!(written.status, Status::NO_CONTENT);
    let got = scene.reader.get("/a");
    assert_eq!(
        (&got.body[..], got.field("ETag")),
        (&b"01abc56789"[..], written.field("ETag"))
    );
    assert_eq!(
        range(&scene, "bytes 8-11/*", "wxyz").status,
        Status::NO_CONTENT
    );
    assert_eq!(
        range(&scene, "bytes 12-12/13", "!").status,
        Status::NO_CONTENT
    );
    assert_eq!(scene.read("a"), "01abc567wxyz!");
    let behind = range(&scene, "bytes 14-14/*", "?");
    assert_eq!(behind.status, Status::RANGE_NOT_SATISFIABLE);
    assert_eq!(behind.field("Content-Range"), Some("bytes */13"));
    assert_eq!(range(&scene, "bytes 0-0/12", "?").status, Status::CONFLICT);
    for (value, content) in [
        ("bytes 0-1/*", "?"),
        ("bytes 1-0/*", "?"),
        ("lines 0-0/*", "?"),
    ] {
        assert_eq!(
            range(&scene, value, content).status,
            Status::BAD_REQUEST,
            "{value}"
        );
    }
    assert_eq!(
        patch(&scene, "/a", &[BYTES], "?").status,
        Status::BAD_REQUEST
    );
    assert_eq!(scene.read("a"), "01abc567wxyz!");
}

#[test]
fn large_ranges_are_spliced_and_resources_stay_within_their_bound() {
    let scene = Scene::new(WriteSettings {
        body_bytes_max: 1_500_000,
        ..WriteSettings::default()
    });
    let content: Vec<u8> = (0..1_000_000u32)
        .map(|number| (number % 251) as u8)
        .collect();
    scene.put("/a", &[], &content);
    let part = vec![b'x'; 3 * UPLOAD_CHUNK_BYTES];
    let range = format!("bytes 100-{}/*", 99 + part.len());
    let fields = [
        BYTES,
        ("Content-Range", &range),
        ("Want-Repr-Digest", "sha-512=1"),
    ];
    let seen = patch(&scene, "/a", &fields, &part);
    assert_eq!(seen.status, Status::NO_CONTENT);
    let mut expected = content;
    expected[100..100 + part.len()].copy_from_slice(&part);
    assert!(fs::read(scene.root().join("a")).unwrap() == expected);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &expected);
    let told = digest::Algorithm::Sha512.field_value(digest.as_ref());
    assert_eq!(seen.field("Repr-Digest"), Some(&told[..]));
    let range = format!("bytes 1000000-{}/*", 999_999 + part.len());
    let seen = patch(&scene, "/a", &[BYTES, ("Content-Range", &range)], &part);
    assert_eq!(seen.status, Status::CONTENT_TOO_LARGE);
    scene.eventually_holds(&["a"]);
}
