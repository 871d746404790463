//! Collections: members that POST makes, and how they are listed.

use std::collections::BTreeSet;

use super::*;

/// The pages of a collection from `path` on, by their links: each with its text.
fn walk(client: &mut Client, path: &str) -> Vec<String> {
    let mut pages = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let page = client.get(&path);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.field("content-type"), Some("application/json"));
        next = page.field("link").map(|link| {
            let target = link.strip_prefix('<').unwrap();
            target.strip_suffix(">; rel=\"next\"").unwrap().to_owned()
        });
        pages.push(String::from_utf8(page.body).unwrap());
        assert!(pages.len() < 1_000, "the pages have no end");
    }
    pages
}

/// What members of a page say of themselves under `key`.
fn values(page: &str, key: &str) -> Vec<String> {
    let page: serde_json::Value = serde_json::from_str(page).unwrap();
    let members = page.as_array().unwrap().iter();
    let values = members.map(|member| member[key].as_str().unwrap().to_owned());
    values.collect()
}

#[test]
fn a_member_is_served_as_what_it_was_sent_as() {
    let site = Site::new();
    let keys = Keys::new();
    let server = keys.server(ENGINE, &site, &open_with(&["--workers", "2"]));
    let mut kinds = all_kinds(&keys, &server);
    let types = [
        ("application/json", "application/json"),
        ("application/ld+json", "application/ld+json"),
        ("application/vnd.a+json", "application/json"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("Text/Markdown", "text/markdown; charset=utf-8"),
        ("image/png", "image/png"),
        ("application/x-of-nobody", "application/octet-stream"),
        ("", "application/octet-stream"),
    ];
    for (number, (sent, served)) in types.into_iter().enumerate() {
        let count = kinds.len();
        let (kind, writer) = &mut kinds[number % count];
        let content = format!("member {number}");
        let answer = writer.say(
            "POST",
            "/notes/",
            &[("content-type", sent)],
            content.as_bytes(),
        );
        assert_eq!(answer.status, 201, "{kind}: {sent}");
        let location = answer.field("location").unwrap();
        assert!(location.starts_with("/notes/"), "{location}");
        for _ in 0..6 {
            let member = server.get(location);
            member.assert_body(content.as_bytes());
            assert_eq!(member.field("content-type"), Some(served), "{sent}");
            assert_eq!(member.field("etag"), answer.field("etag"));
        }
    }
    assert_eq!(tree(&site.root()).len(), 1 + types.len());
    assert_eq!(status(&server, "POST", "/notes/new/er/", &[], b"x"), 201);
    for (path, expected) in [
        ("/notes/a", 405),
        ("/notes", 405),
        ("/", 405),
        ("/plain/", 405),
    ] {
        assert_eq!(status(&server, "POST", path, &[], b"x"), expected, "{path}");
    }
    // Long content is taken as it comes.
    let long = vec![b'x'; LONG];
    let answer = server
        .connect()
        .say("POST", "/notes/", &[("content-type", "text/plain")], &long);
    assert_eq!(answer.status, 201);
    server
        .get(answer.field("location").unwrap())
        .assert_body(&long);
}

#[test]
fn names_of_members_sort_as_they_were_made() {
    let site = Site::new();
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "2"]));
    let mut clients: Vec<Client> = (0..6).map(|_| server.connect()).collect();
    let mut made = Vec::new();
    for round in 0..30 {
        let fields = [("content-type", "application/json")];
        let answer = clients[round % 6].say("POST", "/notes/", &fields, b"{}");
        made.push(answer.field("location").unwrap().to_owned());
    }
    assert!(made.is_sorted(), "{made:?}");
    let pages = walk(&mut clients[0], "/notes/?limit=7");
    let listed: Vec<String> = pages.iter().flat_map(|page| values(page, "href")).collect();
    assert_eq!(listed, made);
    // Many at a time, and no two get one name.
    let names: BTreeSet<String> = std::thread::scope(|scope| {
        let posting: Vec<_> = (0..40)
            .map(|_| {
                scope.spawn(|| {
                    let answer = server.connect().say("POST", "/notes/", &[], b"{}");
                    assert_eq!(answer.status, 201);
                    answer.field("location").unwrap().to_owned()
                })
            })
            .collect();
        posting
            .into_iter()
            .map(|post| post.join().unwrap())
            .collect()
    });
    assert_eq!(names.len(), 40);
}

#[test]
fn the_pages_of_a_collection_lead_through_all_members_once() {
    let site = Site::new();
    let strange = [
        "a b", "a&b=c", "a%2Fb", "\u{e9}", "~x", "a+b", "q\"uote", "x#y?z", "dir/",
    ];
    let mut expected: Vec<String> = (0..25).map(|number| format!("n{number:02}.json")).collect();
    for name in &expected {
        site.write(&format!("notes/{name}"), "{}");
    }
    for name in strange {
        match name.strip_suffix('/') {
            Some(directory) => {
                std::fs::create_dir(site.path(&format!("notes/{directory}"))).unwrap()
            }
            None => drop(site.write(&format!("notes/{name}"), name)),
        }
        expected.push(name.trim_end_matches('/').to_owned());
    }
    expected.sort();
    // What is not shown.
    site.write("notes/.hidden", "");
    site.write("notes/.downpour.0123.tmp", "");
    std::os::unix::fs::symlink("/etc", site.path("notes/link")).unwrap();
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "2"]));
    let mut client = server.connect();
    for limit in [
        "limit=1",
        "limit=4",
        "limit=34",
        "limit=35",
        "limit=1000",
        "limit=99999",
        "",
    ] {
        let pages = walk(&mut client, &format!("/notes/?{limit}"));
        let names: Vec<String> = pages.iter().flat_map(|page| values(page, "name")).collect();
        assert_eq!(names, expected, "{limit}");
        for href in pages.iter().flat_map(|page| values(page, "href")) {
            let member = client.get(&href);
            assert_eq!(member.status, 200, "{href}");
        }
    }
    for limit in ["0", "-1", "x", ""] {
        let answer = client.get(&format!("/notes/?limit={limit}"));
        assert_eq!(answer.status, 400, "{limit}");
    }
    // Members say of themselves what GET says of them.
    let page: serde_json::Value = serde_json::from_slice(&client.get("/notes/").body).unwrap();
    let members = page.as_array().unwrap();
    let member = members
        .iter()
        .find(|member| member["name"] == "a b")
        .unwrap();
    let seen = client.get(member["href"].as_str().unwrap());
    assert_eq!(member["etag"].as_str(), seen.field("etag"));
    assert_eq!(member["size"].as_u64(), Some(3));
}

#[test]
fn a_list_that_is_known_is_not_sent_again() {
    let site = Site::of(&[("notes/a.json", b"{}")]);
    let keys = Keys::new();
    let server = keys.server(ENGINE, &site, &open_with(&["--workers", "2"]));
    for (kind, mut client) in all_kinds(&keys, &server) {
        let list = client.say("GET", "/notes/", &[], b"");
        let etag = list.field("etag").unwrap();
        assert_eq!(list.field("vary"), Some("Accept"), "{kind}");
        let again = client.say("GET", "/notes/", &[("if-none-match", etag)], b"");
        assert_eq!((again.status, again.body.len()), (304, 0), "{kind}");
        assert_eq!(again.field("etag"), Some(etag));
        let only_head = client.say("HEAD", "/notes/", &[], b"");
        assert_eq!(only_head.status, 200);
        assert_eq!(
            only_head.field("content-length"),
            list.field("content-length")
        );
        for _ in 0..3 {
            put(&server, "/notes/a.json", b"{}");
            let fresh = client.say("GET", "/notes/", &[("if-none-match", etag)], b"");
            assert_eq!(fresh.status, 200, "{kind}: a member has changed");
        }
    }
}

#[test]
fn who_has_a_page_there_is_not_shown_a_list() {
    let site = Site::of(&[("notes/a.json", b"{}")]);
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "2"]));
    let mut clients: Vec<Client> = (0..6).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(
            client.get("/notes/").field("content-type"),
            Some("application/json")
        );
    }
    put(&server, "/notes/index.html", b"<p>page");
    for client in &mut clients {
        client.get("/notes/").assert_body(b"<p>page");
    }
    assert_eq!(
        status(&server, "DELETE", "/notes/index.html", &[], b""),
        204
    );
    for client in &mut clients {
        assert_eq!(
            values(
                std::str::from_utf8(&client.get("/notes/").body).unwrap(),
                "name"
            ),
            ["a.json"]
        );
    }
    // Elsewhere nothing is listed that was not before.
    site.write("plain/a", "");
    assert_eq!(server.get("/plain/").status, 404);
    assert_eq!(server.get("/notes/none/").status, 404);
    let moved = server.get("/notes");
    assert!(matches!(moved.status, 301 | 308), "{moved:?}");
}

#[test]
fn a_collection_is_removed_when_it_is_empty() {
    let site = Site::of(&[("notes/c/a", b"x"), ("notes/c/d/b", b"y")]);
    let server = Server::of(ENGINE, &site, &OPEN);
    let delete = |path: &str| status(&server, "DELETE", path, &[], b"");
    assert_eq!(delete("/notes/c/"), 409);
    assert_eq!(delete("/notes/c"), 409);
    assert_eq!(delete("/notes/c/a"), 204);
    assert_eq!(delete("/notes/c/d/"), 409);
    assert_eq!(delete("/notes/c/d/b"), 204);
    assert_eq!(delete("/notes/c/d/"), 204);
    assert_eq!(delete("/notes/c/"), 204);
    assert_eq!(delete("/notes/c/"), 404);
    assert_eq!(status(&server, "PUT", "/notes/c", &[], b"a file now"), 201);
    assert_eq!(delete("/notes/c/"), 404, "it is no collection");
    assert_eq!(server.get("/notes/c/").status, 404);
    server.get("/notes/c").assert_body(b"a file now");
    assert_left(&server, &site, &["notes/", "notes/c"]);
}
