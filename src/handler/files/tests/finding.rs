//! How the file behind a path is found: indexes, patterns, clean addresses, slashes, mounts, links.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Bench, Lane, SETTINGS, plain_settings};
use crate::handler::files::Site;
use crate::http::Status;
use crate::route::site::{CleanUrls, Mount, SiteSettings, TrailingSlash};
use crate::route::try_files::{Try, TryFiles};
use crate::watch::Watch;

fn bench(change: impl FnOnce(&mut SiteSettings)) -> Bench {
    let open = |root: &Path| {
        let mut settings = plain_settings(root);
        change(&mut settings);
        Site::open(0, settings, &Watch::off()).unwrap()
    };
    Bench::new(open, SETTINGS)
}

fn path(suffix: &str) -> Try {
    Try::Path {
        suffix: suffix.to_owned(),
    }
}

#[track_caller]
fn leads_to(bench: &mut Bench, from: &str, to: &str) {
    for _ in 0..2 {
        let seen = bench.get(from);
        assert_eq!(seen.status, Status::PERMANENT_REDIRECT, "{from}");
        assert_eq!(seen.field("Location"), Some(to), "{from}");
    }
}

#[track_caller]
fn shows(bench: &mut Bench, target: &str, body: &str) {
    bench
        .get(target)
        .is(Status::OK, body.as_bytes(), Lane::Slow);
    bench
        .get(target)
        .is(Status::OK, body.as_bytes(), Lane::Fast);
}

#[track_caller]
fn is_missing(bench: &mut Bench, target: &str) {
    for _ in 0..2 {
        assert_eq!(bench.get(target).status, Status::NOT_FOUND, "{target}");
    }
}

#[test]
fn an_application_answers_for_every_path_without_a_file() {
    let tries = TryFiles(vec![
        path(""),
        path("/"),
        Try::File("index.html".to_owned()),
    ]);
    let mut bench = bench(|settings| settings.finding.try_files = tries);
    bench.write("index.html", "the application");
    bench.write("a.js", "code");
    bench.write("docs/index.html", "docs");
    bench.write("assets/x.png", "x");
    shows(&mut bench, "/a.js", "code");
    shows(&mut bench, "/any/where", "the application");
    shows(&mut bench, "/any/where/", "the application");
    leads_to(&mut bench, "/docs?x=1", "/docs/?x=1");
    shows(&mut bench, "/docs/", "docs");
    // A directory with nothing to show is no page of its own.
    shows(&mut bench, "/assets", "the application");
    shows(&mut bench, "/assets/", "the application");
    // Hidden names stay hidden, and the type is that of the file.
    is_missing(&mut bench, "/.env");
    let page = bench.get("/any/where");
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    // One body, however many addresses lead to it.
    for n in 0..100 {
        bench.get(&format!("/page/{n}"));
    }
    let bodies = "the application".len() + "code".len() + "docs".len();
    assert_eq!(bench.store.live_bytes(), bodies as u64);
}

#[test]
fn patterns_are_tried_in_order_and_may_end_in_a_status() {
    let tries = TryFiles(vec![path(".html"), path(""), path("/"), Try::Status(410)]);
    let mut bench = bench(|settings| settings.finding.try_files = tries);
    bench.write("a.html", "page a");
    bench.write("a", "file a");
    bench.write("b", "file b");
    bench.write("c/index.html", "index of c");
    shows(&mut bench, "/a", "page a");
    shows(&mut bench, "/b", "file b");
    shows(&mut bench, "/c/", "index of c");
    for _ in 0..2 {
        assert_eq!(bench.get("/d").status, Status::GONE);
    }
}

#[test]
fn clean_addresses_both_ways() {
    let mut bench = bench(|settings| settings.finding.clean_urls = CleanUrls::Redirect);
    bench.write("about.html", "about");
    bench.write("both", "plain");
    bench.write("both.html", "page");
    bench.write("index.html", "home");
    bench.write("dir/index.html", "dir");
    bench.write("dir/über uns.html", "us");
    shows(&mut bench, "/about", "about");
    let page = bench.get("/about");
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    leads_to(&mut bench, "/about.html?q=1", "/about?q=1");
    leads_to(&mut bench, "/about/", "/about");
    shows(&mut bench, "/both", "plain");
    leads_to(&mut bench, "/index.html", "/");
    leads_to(&mut bench, "/dir/index.html", "/dir/");
    leads_to(
        &mut bench,
        "/dir/%C3%BCber%20uns.html",
        "/dir/%C3%BCber%20uns",
    );
    shows(&mut bench, "/dir/%C3%BCber%20uns", "us");
    shows(&mut bench, "/", "home");
    is_missing(&mut bench, "/none");
    is_missing(&mut bench, "/none.html");
}

#[test]
fn clean_addresses_without_redirects() {
    let mut bench = bench(|settings| settings.finding.clean_urls = CleanUrls::Serve);
    bench.write("about.html", "about");
    shows(&mut bench, "/about", "about");
    shows(&mut bench, "/about.html", "about");
}

#[test]
fn final_slashes_by_policy() {
    let with = |policy| bench(|settings| settings.finding.trailing_slash = policy);
    let lay = |bench: &Bench| {
        bench.write("dir/index.html", "index");
        bench.write("index.html", "home");
        fs::create_dir_all(bench.directory.path().join("bare")).unwrap();
    };
    let mut add = with(TrailingSlash::Add);
    lay(&add);
    leads_to(&mut add, "/dir", "/dir/");
    shows(&mut add, "/dir/", "index");
    let mut remove = with(TrailingSlash::Remove);
    lay(&remove);
    leads_to(&mut remove, "/dir/", "/dir");
    shows(&mut remove, "/dir", "index");
    shows(&mut remove, "/", "home");
    is_missing(&mut remove, "/bare");
    let mut ignore = with(TrailingSlash::Ignore);
    lay(&ignore);
    shows(&mut ignore, "/dir", "index");
    shows(&mut ignore, "/dir/", "index");
}

#[test]
fn mounts_answer_below_their_prefix_and_nowhere_else() {
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("guide.txt"), "guide").unwrap();
    fs::write(other.path().join("index.html"), "mounted").unwrap();
    let deep = tempfile::tempdir().unwrap();
    fs::write(deep.path().join("x.txt"), "deep").unwrap();
    let mut bench = bench(|settings| {
        settings.mounts = vec![
            Mount {
                prefix: "docs".to_owned(),
                root: other.path().to_owned(),
            },
            Mount {
                prefix: "docs/api".to_owned(),
                root: deep.path().to_owned(),
            },
        ];
    });
    bench.write("docs/guide.txt", "covered by the mount");
    bench.write("docsx.txt", "beside");
    shows(&mut bench, "/docs/guide.txt", "guide");
    shows(&mut bench, "/docs/api/x.txt", "deep");
    shows(&mut bench, "/docs/", "mounted");
    shows(&mut bench, "/docsx.txt", "beside");
    leads_to(&mut bench, "/docs", "/docs/");
    is_missing(&mut bench, "/guide.txt");
    is_missing(&mut bench, "/docs/api/guide.txt");
    is_missing(&mut bench, "/docs/x.txt");
}

#[test]
fn hidden_names_and_links_that_lead_out_when_asked_for() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("shared.txt"), "shared").unwrap();
    let lay = |bench: &Bench| {
        bench.write(".env", "secret");
        symlink(outside.path(), bench.directory.path().join("out")).unwrap();
        symlink("loop", bench.directory.path().join("loop")).unwrap();
    };
    let mut strict = bench(|_| {});
    lay(&strict);
    for target in ["/.env", "/out/shared.txt", "/loop"] {
        is_missing(&mut strict, target);
    }
    let mut open = bench(|settings| {
        settings.finding.hidden = true;
        settings.finding.follow_symlinks = true;
    });
    lay(&open);
    shows(&mut open, "/.env", "secret");
    shows(&mut open, "/out/shared.txt", "shared");
    is_missing(&mut open, "/loop");
    assert_eq!(open.get("/../x").status, Status::BAD_REQUEST);
}

#[test]
fn rule_files_are_never_served() {
    let mut reads = bench(|settings| settings.reads_rule_files = true);
    reads.write("_headers", "/*\n  X-A: b\n");
    reads.write("_redirects", "/a /b\n");
    reads.write("sub/_headers", "text");
    is_missing(&mut reads, "/_headers");
    is_missing(&mut reads, "/_redirects");
    is_missing(&mut reads, "/%5fheaders");
    shows(&mut reads, "/sub/_headers", "text");
    let mut ignores = bench(|_| {});
    ignores.write("_headers", "text");
    shows(&mut ignores, "/_headers", "text");
}
