//! PUT and DELETE.

use super::*;
use crate::base::limits::UPLOAD_CHUNK_BYTES;
use crate::exchange::BodyInlet;
use crate::handler::files::{SETTINGS, plain_settings};
use crate::watch::Watch;

#[test]
fn put_creates_and_replaces_and_delete_removes() {
    let mut scene = Scene::new(WriteSettings::default());
    assert_eq!(scene.reader.get("/a%20b.txt").status, Status::NOT_FOUND);
    let created = scene.put("/a%20b.txt", &[], "one");
    assert_eq!(created.status, Status::CREATED);
    assert_eq!(created.field("Location"), Some("/a%20b.txt"));
    assert_eq!(created.field("Content-Length"), Some("0"));
    let got = scene.reader.get("/a%20b.txt");
    assert_eq!((got.status, &got.body[..]), (Status::OK, &b"one"[..]));
    assert_eq!(got.field("ETag"), created.field("ETag"));
    assert_eq!(got.field("Last-Modified"), created.field("Last-Modified"));

    let replaced = scene.put("/a%20b.txt", &[], "two");
    assert_eq!(replaced.status, Status::NO_CONTENT);
    assert_eq!(replaced.field("Location"), None);
    assert_eq!(replaced.field("Content-Length"), None);
    assert_ne!(replaced.field("ETag"), created.field("ETag"));
    let got = scene.reader.get("/a%20b.txt");
    assert_eq!(
        (&got.body[..], got.field("ETag")),
        (&b"two"[..], replaced.field("ETag"))
    );

    assert_eq!(scene.delete("/a%20b.txt", &[]).status, Status::NO_CONTENT);
    assert_eq!(scene.reader.get("/a%20b.txt").status, Status::NOT_FOUND);
    assert_eq!(scene.delete("/a%20b.txt", &[]).status, Status::NOT_FOUND);
    assert_eq!(scene.names(), [""; 0]);
}

#[test]
fn what_is_written_is_seen_at_once_by_every_path_that_leads_to_it() {
    let mut scene = Scene::new(WriteSettings::default());
    for number in 0..20 {
        let content = format!("{number:02}");
        scene.put("/dir/index.html", &[], &content);
        for path in ["/dir/", "/dir/index.html", "/./dir/%69ndex.html"] {
            let got = scene.reader.get(path);
            assert_eq!(String::from_utf8_lossy(&got.body), content, "{path}");
        }
        assert_eq!(scene.reader.get("/dir").status, Status::PERMANENT_REDIRECT);
        if number % 5 == 0 {
            assert_eq!(
                scene.delete("/dir/index.html", &[]).status,
                Status::NO_CONTENT
            );
            assert_eq!(scene.reader.get("/dir/").status, Status::NOT_FOUND);
            assert_eq!(scene.delete("/dir/", &[]).status, Status::NO_CONTENT);
            assert_eq!(scene.reader.get("/dir").status, Status::NOT_FOUND);
        }
    }
}

#[test]
fn every_state_has_its_own_tag_however_fast_they_follow() {
    let scene = Scene::new(WriteSettings::default());
    let mut tags: Vec<String> = (0..200)
        .map(|number| {
            let put = scene.put("/a", &[], format!("{number:03}"));
            put.field("ETag").unwrap().to_owned()
        })
        .collect();
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 200);
}

#[test]
fn a_file_that_is_dated_in_the_future_is_replaced_by_a_later_one() {
    let scene = Scene::new(WriteSettings::default());
    scene.put("/a", &[], "1");
    let future = std::time::SystemTime::now() + Duration::from_secs(1_000_000);
    let file = fs::File::options()
        .write(true)
        .open(scene.root().join("a"))
        .unwrap();
    file.set_modified(future).unwrap();
    scene.put("/a", &[], "2");
    let modified = fs::metadata(scene.root().join("a"))
        .unwrap()
        .modified()
        .unwrap();
    assert!(modified > future);
}

#[test]
fn conditions_are_evaluated_on_the_state_that_get_shows() {
    let mut scene = Scene::new(WriteSettings::default());
    let put =
        |scene: &Scene, name: &str, value: &str| scene.put("/a", &[(name, value)], "x").status;
    assert_eq!(put(&scene, "If-Match", "*"), Status::PRECONDITION_FAILED);
    assert_eq!(
        put(&scene, "If-Match", "\"1\""),
        Status::PRECONDITION_FAILED
    );
    assert_eq!(put(&scene, "If-None-Match", "*"), Status::CREATED);
    assert_eq!(
        put(&scene, "If-None-Match", "*"),
        Status::PRECONDITION_FAILED
    );
    let etag = scene.reader.get("/a").field("ETag").unwrap().to_owned();
    let failed = scene.put("/a", &[("If-Match", "\"1\"")], "x");
    assert_eq!(failed.field("ETag"), Some(&etag[..]));
    assert_eq!(
        put(&scene, "If-None-Match", &etag),
        Status::PRECONDITION_FAILED
    );
    assert_eq!(
        put(&scene, "If-Match", &format!("W/{etag}")),
        Status::PRECONDITION_FAILED
    );
    let of_form = format!("\"x\", {}-br\"", &etag[..etag.len() - 1]);
    assert_eq!(put(&scene, "If-Match", &of_form), Status::NO_CONTENT);
    assert_eq!(put(&scene, "If-Match", &etag), Status::PRECONDITION_FAILED);
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(
        put(&scene, "If-Unmodified-Since", past),
        Status::PRECONDITION_FAILED
    );
    let future = "Sun, 06 Nov 2094 08:49:37 GMT";
    assert_eq!(
        put(&scene, "If-Unmodified-Since", future),
        Status::NO_CONTENT
    );
    let refused = scene.delete("/a", &[("If-Match", &etag)]);
    assert_eq!(refused.status, Status::PRECONDITION_FAILED);
    assert_eq!(
        scene.delete("/b", &[("If-Match", &etag)]).status,
        Status::NOT_FOUND
    );
    assert_eq!(
        scene.delete("/a", &[("If-Match", "*")]).status,
        Status::NO_CONTENT
    );
}

#[test]
fn where_preconditions_are_required_only_new_resources_go_without() {
    let scene = Scene::new(WriteSettings {
        require_preconditions: true,
        ..WriteSettings::default()
    });
    let created = scene.put("/a", &[], "1");
    assert_eq!(created.status, Status::CREATED);
    let etag = created.field("ETag").unwrap();
    assert_eq!(
        scene.put("/a", &[], "2").status,
        Status::PRECONDITION_REQUIRED
    );
    assert_eq!(
        scene.delete("/a", &[]).status,
        Status::PRECONDITION_REQUIRED
    );
    assert_eq!(
        scene.put("/a", &[("If-Match", etag)], "2").status,
        Status::NO_CONTENT
    );
    assert_eq!(scene.read("a"), "2");
}

#[test]
fn no_update_is_lost() {
    let scene = Scene::new(WriteSettings::default());
    scene.put("/n", &[], "0");
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let writer = scene.writer.clone();
            let file = scene.root().join("n");
            thread::spawn(move || {
                let mut done = 0;
                while done < 25 {
                    let opened = fs::File::open(&file).unwrap();
                    let stat = crate::engine::find::stat(&opened).unwrap();
                    let number: u32 = std::io::read_to_string(opened).unwrap().parse().unwrap();
                    let tag = crate::http::validator::file_etag(stat.modified, stat.len);
                    let tag = String::from_utf8(tag.as_bytes().to_vec()).unwrap();
                    let next = (number + 1).to_string();
                    let fields = [("If-Match", &tag[..])];
                    match writer
                        .ask(Method::Put, "/n", &fields, next.as_bytes())
                        .status
                    {
                        Status::NO_CONTENT => done += 1,
                        Status::PRECONDITION_FAILED => {}
                        other => panic!("{other:?}"),
                    }
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(scene.read("n"), "200");
    assert_eq!(scene.names(), ["n"]);
}

#[test]
fn only_one_of_many_creates() {
    let scene = Scene::new(WriteSettings::default());
    let threads: Vec<_> = (0..16)
        .map(|number: u32| {
            let writer = scene.writer.clone();
            let fields = [("If-None-Match", "*")];
            let content = number.to_string();
            thread::spawn(move || {
                writer
                    .ask(Method::Put, "/d/n", &fields, content.as_bytes())
                    .status
            })
        })
        .collect();
    let statuses = threads.into_iter().map(|thread| thread.join().unwrap());
    let created = statuses.filter(|status| *status == Status::CREATED).count();
    assert_eq!(created, 1);
    assert_eq!(scene.names(), ["d", "d/n"]);
}

#[test]
fn directories_are_made_only_where_they_may_and_go_again_when_nothing_comes() {
    let scene = Scene::new(WriteSettings::default());
    assert_eq!(scene.put("/a/b/c", &[], "x").status, Status::CREATED);
    assert_eq!(scene.names(), ["a", "a/b", "a/b/c"]);
    let refused = scene.put("/x/y/z", &[("If-Match", "*")], "x");
    assert_eq!(refused.status, Status::PRECONDITION_FAILED);
    assert_eq!(scene.put("/a/b/c/d", &[], "x").status, Status::CONFLICT);
    assert_eq!(scene.names(), ["a", "a/b", "a/b/c"]);
    let strict = Scene::new(WriteSettings {
        create_directories: false,
        ..WriteSettings::default()
    });
    assert_eq!(strict.put("/a/b", &[], "x").status, Status::CONFLICT);
    assert_eq!(strict.names(), [""; 0]);
}

#[test]
fn directories_are_removed_when_they_are_empty() {
    let scene = Scene::new(WriteSettings::default());
    scene.put("/a/b", &[], "x");
    assert_eq!(scene.delete("/a/", &[]).status, Status::CONFLICT);
    assert_eq!(scene.put("/a", &[], "x").status, Status::CONFLICT);
    assert_eq!(
        scene.put("/a/", &[], "x").status,
        Status::METHOD_NOT_ALLOWED
    );
    assert_eq!(scene.delete("/a/b/", &[]).status, Status::NOT_FOUND);
    assert_eq!(scene.delete("/a/b", &[]).status, Status::NO_CONTENT);
    assert_eq!(scene.delete("/a/", &[]).status, Status::NO_CONTENT);
    assert_eq!(scene.delete("/", &[]).status, Status::FORBIDDEN);
    assert_eq!(scene.names(), [""; 0]);
}

#[test]
fn nothing_leads_out_of_the_root_or_through_a_link() {
    let scene = Scene::new(WriteSettings::default());
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    symlink(outside.path(), scene.root().join("out")).unwrap();
    symlink(outside.path().join("secret"), scene.root().join("file")).unwrap();
    fs::create_dir(scene.root().join("in")).unwrap();
    symlink("in", scene.root().join("alias")).unwrap();
    for path in [
        "/out/secret",
        "/out/new",
        "/out/d/new",
        "/file",
        "/alias/a",
        "/out",
    ] {
        let put = scene.put(path, &[], "x").status;
        assert_eq!(put, Status::FORBIDDEN, "PUT {path}");
        let delete = scene.delete(path, &[]).status;
        let refused = [Status::FORBIDDEN, Status::NOT_FOUND];
        assert!(refused.contains(&delete), "DELETE {path}");
    }
    assert_eq!(scene.put("/../x", &[], "x").status, Status::BAD_REQUEST);
    assert_eq!(scene.put("/a%2fb", &[], "x").status, Status::NOT_FOUND);
    assert_eq!(scene.names(), ["alias", "file", "in", "out", "out/secret"]);
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
}

#[test]
fn hidden_names_rules_and_drafts_are_not_written() {
    let scene = Scene::new(WriteSettings::default());
    for path in [
        "/.git/config",
        "/.env",
        "/_headers",
        "/_redirects",
        "/.downpour.x.tmp",
        "/a/.downpour.x.tmp",
    ] {
        assert_eq!(
            scene.put(path, &[], "x").status,
            Status::FORBIDDEN,
            "{path}"
        );
        assert_eq!(scene.delete(path, &[]).status, Status::FORBIDDEN, "{path}");
    }
    assert_eq!(
        scene.put("/.well-known/x", &[], "x").status,
        Status::CREATED
    );
    assert_eq!(scene.put("/a/_headers", &[], "x").status, Status::CREATED);
}

#[test]
fn drafts_are_never_shown_not_even_where_hidden_names_are() {
    let site = |root: &Path| {
        let mut settings = plain_settings(root);
        settings.finding.hidden = true;
        settings.listing = Some(Default::default());
        Site::open(0, settings, &Watch::off()).unwrap()
    };
    let mut scene = Scene::of(Bench::new(site, SETTINGS), WriteSettings::default());
    assert_eq!(scene.put("/.env", &[], "x").status, Status::CREATED);
    assert_eq!(
        scene.put("/.downpour.1.tmp", &[], "x").status,
        Status::FORBIDDEN
    );
    fs::write(scene.root().join(".downpour.1.tmp"), "draft").unwrap();
    assert_eq!(scene.reader.get("/.env").status, Status::OK);
    assert_eq!(
        scene.reader.get("/.downpour.1.tmp").status,
        Status::NOT_FOUND
    );
    let listing = String::from_utf8(scene.reader.get("/").body).unwrap();
    assert!(listing.contains(".env") && !listing.contains(".downpour"));
}

#[test]
fn a_listing_shows_what_was_written_just_now() {
    let site = |root: &Path| {
        let mut settings = plain_settings(root);
        settings.listing = Some(Default::default());
        Site::open(0, settings, &Watch::off()).unwrap()
    };
    let mut scene = Scene::of(Bench::new(site, SETTINGS), WriteSettings::default());
    for number in 0..300 {
        fs::write(scene.root().join(format!("file-{number}")), "").unwrap();
    }
    let names = |scene: &mut Scene| {
        let seen = scene.reader.request(Method::Head, "/?format=json", &[]);
        assert_eq!(seen.status, Status::OK);
        let seen = scene.reader.request(Method::Head, "/sub/?format=json", &[]);
        seen.field("Content-Length").map(str::to_owned)
    };
    scene.put("/sub/1", &[], "x");
    let before = names(&mut scene);
    scene.put("/sub/2", &[], "x");
    assert_ne!(names(&mut scene), before);
    scene.delete("/sub/2", &[]);
    assert_eq!(names(&mut scene), before);
}

#[test]
fn the_mode_of_a_file_stays() {
    let scene = Scene::new(WriteSettings::default());
    scene.put("/a", &[], "1");
    let path = scene.root().join("a");
    for mode in [0o600, 0o664, 0o444] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(scene.put("/a", &[], "2").status, Status::NO_CONTENT);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode);
    }
}

#[test]
fn parts_and_encoded_content_are_no_whole_states() {
    let scene = Scene::new(WriteSettings::default());
    let part = scene.put("/a", &[("Content-Range", "bytes 0-0/1")], "x");
    assert_eq!(part.status, Status::BAD_REQUEST);
    let encoded = scene.put("/a", &[("Content-Encoding", "gzip")], "x");
    assert_eq!(encoded.status, Status::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(encoded.field("Accept-Encoding"), Some("identity"));
    let plain = scene.put("/a", &[("Content-Encoding", "identity")], "x");
    assert_eq!(plain.status, Status::CREATED);
}

#[test]
fn digests_are_checked_and_told() {
    let scene = Scene::new(WriteSettings::default());
    let hello = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    let content = "{\"hello\": \"world\"}\n";
    let wrong = scene.put("/a", &[("Repr-Digest", hello)], "other");
    assert_eq!(wrong.status, Status::BAD_REQUEST);
    assert_eq!(scene.names(), [""; 0]);
    let fields = [
        ("Content-Digest", hello),
        ("Want-Repr-Digest", "sha-256=5, md5=10"),
    ];
    let right = scene.put("/a", &fields, content);
    assert_eq!(right.status, Status::CREATED);
    assert_eq!(right.field("Repr-Digest"), Some(hello));
}

/// A request whose content comes bit by bit.
fn streamed(
    scene: &Scene,
    length: Option<u64>,
) -> (BodyInlet, impl Future<Output = Answer> + use<>) {
    streamed_to(scene, "/big", length)
}

fn streamed_to(
    scene: &Scene,
    path: &str,
    length: Option<u64>,
) -> (BodyInlet, impl Future<Output = Answer> + use<>) {
    let (inlet, body) = request_body(UPLOAD_CHUNK_BYTES, length);
    let writer = &scene.writer;
    let write = writer.request(None, Method::Put, path, &[], body);
    (inlet, writer.resources.write(write))
}

/// Feeds `content` whenever there is room, then ends.
fn feed(scene: &Scene, length: Option<u64>, content: &[u8], piece: usize) -> Seen {
    let (inlet, future) = streamed(scene, length);
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let (mut pieces, mut inlet) = (content.chunks(piece), Some(inlet));
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return seen_answer(&answer, Lane::Slow);
        }
        match inlet.take() {
            Some(open) if open.has_room() => match pieces.next() {
                Some(piece) => {
                    open.push(piece);
                    inlet = Some(open);
                }
                None => open.end(),
            },
            waits => {
                inlet = waits;
                thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
}

#[test]
fn large_content_is_written_as_it_comes() {
    let scene = Scene::new(WriteSettings::default());
    let content: Vec<u8> = (0..3_000_000u32)
        .map(|number| (number % 251) as u8)
        .collect();
    for (length, piece) in [
        (Some(content.len() as u64), 16_384),
        (None, 100_000),
        (Some(content.len() as u64), 1_000_000),
    ] {
        let seen = feed(&scene, length, &content, piece);
        assert!(!seen.status.is_error(), "{}", seen.head);
        assert!(fs::read(scene.root().join("big")).unwrap() == content);
        assert_eq!(scene.names(), ["big"]);
    }
    let edge = &content[..2 * UPLOAD_CHUNK_BYTES];
    for length in [None, Some(edge.len() as u64)] {
        feed(&scene, length, edge, UPLOAD_CHUNK_BYTES);
        assert!(fs::read(scene.root().join("big")).unwrap() == edge);
    }
}

#[test]
fn content_that_is_too_large_leaves_nothing_behind() {
    let scene = Scene::new(WriteSettings {
        body_bytes_max: 1_000_000,
        ..WriteSettings::default()
    });
    let content = vec![7; 2_000_000];
    for length in [None, Some(2_000_000), Some(1_000_001)] {
        let seen = feed(&scene, length, &content, 50_000);
        assert_eq!(seen.status, Status::CONTENT_TOO_LARGE);
    }
    scene.eventually_holds(&[]);
    let seen = feed(&scene, None, &content[..1_000_000], 50_000);
    assert_eq!(seen.status, Status::CREATED);
    let small = Scene::new(WriteSettings {
        body_bytes_max: 3,
        ..WriteSettings::default()
    });
    assert_eq!(
        small.put("/a", &[], "four").status,
        Status::CONTENT_TOO_LARGE
    );
    assert_eq!(
        feed(&small, None, b"four", 1).status,
        Status::CONTENT_TOO_LARGE
    );
    assert_eq!(small.put("/a", &[], "has").status, Status::CREATED);
}

#[test]
fn content_that_breaks_off_leaves_nothing_behind() {
    let scene = Scene::new(WriteSettings::default());
    for (fault, status) in [
        (BodyFault::TooSlow, Status::REQUEST_TIMEOUT),
        (BodyFault::TooLarge, Status::CONTENT_TOO_LARGE),
        (
            BodyFault::Malformed("a chunk is wrong"),
            Status::BAD_REQUEST,
        ),
    ] {
        for len in [10, 3 * UPLOAD_CHUNK_BYTES] {
            let (inlet, future) = streamed(&scene, None);
            inlet.push(&vec![1; len]);
            inlet.fail(fault);
            let seen = seen_answer(&block_on(future), Lane::Slow);
            assert_eq!(seen.status, status);
            scene.eventually_holds(&[]);
        }
    }
}

#[test]
fn a_future_that_is_dropped_leaves_nothing_behind() {
    let scene = Scene::new(WriteSettings::default());
    for polls in 1..8 {
        let (inlet, future) = streamed(&scene, Some(10_000_000));
        let mut future = Box::pin(future);
        for _ in 0..polls {
            inlet.push(&vec![1; UPLOAD_CHUNK_BYTES]);
            let mut context = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut context).is_pending());
            thread::sleep(Duration::from_millis(2 * polls));
        }
        drop(future);
        scene.eventually_holds(&[]);
    }
}

/// The one that fails takes the directories away that it had made.
#[test]
fn of_two_uploads_into_a_new_directory_one_may_fail() {
    let scene = Scene::new(WriteSettings::default());
    let content = vec![1; 2 * UPLOAD_CHUNK_BYTES];
    let mut begun = Vec::new();
    for path in ["/new/deep/a", "/new/deep/b"] {
        let (inlet, future) = streamed_to(&scene, path, Some(content.len() as u64));
        let mut future = Box::pin(future);
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        scene.eventually_holds(&["new", "new/deep"]);
        begun.push((inlet, future));
    }
    let (inlet, future) = begun.pop().unwrap();
    thread::sleep(Duration::from_millis(50)); // Both have a draft there by now.
    drop(begun);
    scene.eventually_holds(&[]);
    inlet.push(&content);
    inlet.end();
    let seen = seen_answer(&block_on(future), Lane::Slow);
    assert_eq!(seen.status, Status::CREATED, "{}", seen.head);
    assert!(fs::read(scene.root().join("new/deep/b")).unwrap() == content);
    scene.eventually_holds(&["new", "new/deep", "new/deep/b"]);
}

#[test]
fn what_would_be_refused_is_refused_before_its_content_is_asked_for() {
    let scene = Scene::new(WriteSettings::default());
    scene.put("/big", &[], "x");
    let (inlet, body) = request_body(UPLOAD_CHUNK_BYTES, Some(10_000_000));
    let fields = [("If-None-Match", "*")];
    let write = scene
        .writer
        .request(None, Method::Put, "/big", &fields, body);
    let answer = block_on(scene.writer.resources.write(write));
    assert_eq!(
        seen_answer(&answer, Lane::Slow).status,
        Status::PRECONDITION_FAILED
    );
    assert!(!inlet.is_asked_for());
}
