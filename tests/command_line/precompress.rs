//! `downpour precompress`, with the files that it makes read by other people's tools.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::process::*;

const ENDINGS: [&str; 3] = ["br", "zst", "gz"];

fn page(number: usize) -> Vec<u8> {
    let mut text = format!("<!doctype html><title>Page {number}</title>\n");
    for row in 0..40 {
        text += &format!(
            "<p id=\"row-{row}\">Row {} of page {number}</p>\n",
            row * row
        );
    }
    text.into_bytes()
}

fn precompress(directory: &Path, words: &[&str]) -> (i32, String, String) {
    outcome(downpour().arg("precompress").arg(directory).args(words))
}

/// The summary of a run that does well.
fn summary(directory: &Path, words: &[&str]) -> String {
    let (code, stdout, stderr) = precompress(directory, words);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    stdout
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What another implementation makes of a file.
fn decoded(path: &Path) -> Vec<u8> {
    let tool = match path.extension().unwrap().to_str().unwrap() {
        "br" => "brotli",
        "zst" => "zstd",
        _ => "gzip",
    };
    let output = Command::new(tool).arg("-dc").arg(path).output();
    let output = output.unwrap_or_else(|error| panic!("scripts/test installs {tool}: {error}"));
    assert!(output.status.success(), "{path:?}: {output:?}");
    output.stdout
}

fn set_time(path: &Path, time: SystemTime) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

fn times(path: &Path) -> (i64, i64) {
    let found = fs::metadata(path).unwrap();
    (found.mtime(), found.mtime_nsec())
}

#[test]
fn other_decoders_find_the_source_in_each_form() {
    let scratch = tempfile::tempdir().unwrap();
    let site = scratch.path();
    fs::create_dir_all(site.join("deep/er")).unwrap();
    let large = include_bytes!("../../ARCHITECTURE.md").repeat(8);
    let sources = [
        ("index.html", page(1)),
        ("deep/style.css", page(2)),
        ("deep/er/data.json", large),
        ("name with blanks & ü.svg", page(3)),
    ];
    for (name, content) in &sources {
        fs::write(site.join(name), content).unwrap();
    }
    fs::set_permissions(site.join("index.html"), Permissions::from_mode(0o640)).unwrap();
    let told = summary(site, &[]);
    assert!(
        told.starts_with("4 files: 4 compressed, 0 current, 0 failed; "),
        "{told}"
    );
    for (name, content) in &sources {
        for ending in ENDINGS {
            let form = beside(&site.join(name), ending);
            assert!(decoded(&form) == *content, "{form:?}");
            assert!(fs::metadata(&form).unwrap().len() < content.len() as u64 / 2);
            assert_eq!(times(&form), times(&site.join(name)));
        }
    }
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    for ending in ENDINGS {
        assert_eq!(mode(beside(&site.join("index.html"), ending)), 0o640);
    }
    assert_eq!(
        names(&site.join("deep")).len(),
        5,
        "nothing else is left behind"
    );
}

#[test]
fn a_second_run_finds_everything_current_and_is_quick() {
    let scratch = tempfile::tempdir().unwrap();
    for number in 0..500 {
        fs::write(scratch.path().join(format!("{number}.html")), page(number)).unwrap();
    }
    let told = summary(scratch.path(), &["--codings", "gz,zst"]);
    assert!(
        told.starts_with("500 files: 500 compressed, 0 current, 0 failed; "),
        "{told}"
    );
    let started = Instant::now();
    let told = summary(scratch.path(), &["--codings", "gz,zst"]);
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    assert!(
        told.starts_with("500 files: 0 compressed, 500 current, 0 failed in "),
        "{told}"
    );
    let told = summary(scratch.path(), &["--codings=gz", "--force", "--jobs=1"]);
    assert!(
        told.starts_with("500 files: 500 compressed, 0 current"),
        "{told}"
    );
}

#[test]
fn what_is_not_current_is_made_anew() {
    let scratch = tempfile::tempdir().unwrap();
    let (changed, stale) = (scratch.path().join("a.css"), scratch.path().join("b.js"));
    let kept = scratch.path().join("c.txt");
    for path in [&changed, &stale, &kept] {
        fs::write(path, page(1)).unwrap();
    }
    // A form of somebody else, newer than its source: whose it is cannot be known.
    fs::write(beside(&stale, "gz"), "of another source").unwrap();
    set_time(
        &beside(&stale, "gz"),
        SystemTime::now() + Duration::from_secs(1),
    );
    summary(scratch.path(), &[]);
    assert_eq!(decoded(&beside(&stale, "gz")), page(1));
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let before = inode(&beside(&kept, "br"));

    fs::write(&changed, page(2)).unwrap();
    set_time(&changed, SystemTime::now() + Duration::from_secs(5));
    fs::remove_file(beside(&stale, "zst")).unwrap();
    let told = summary(scratch.path(), &[]);
    assert!(
        told.starts_with("3 files: 2 compressed, 1 current, 0 failed; "),
        "{told}"
    );
    for ending in ENDINGS {
        assert_eq!(decoded(&beside(&changed, ending)), page(2));
        assert_eq!(times(&beside(&changed, ending)), times(&changed));
    }
    assert_eq!(decoded(&beside(&stale, "zst")), page(1));
    assert_eq!(
        inode(&beside(&kept, "br")),
        before,
        "what is current is not touched"
    );

    // An older time is another time, too: a deploy may bring an older release back.
    set_time(&changed, SystemTime::now() - Duration::from_secs(86_400));
    let told = summary(scratch.path(), &[]);
    assert!(
        told.starts_with("3 files: 1 compressed, 2 current"),
        "{told}"
    );
}

#[test]
fn what_is_not_worth_it_has_no_form() {
    let scratch = tempfile::tempdir().unwrap();
    let site = scratch.path();
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..5000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    fs::write(site.join("noise.svg"), &noise).unwrap();
    fs::write(site.join("noise.svg.gz"), "of a source that was worth it").unwrap();
    set_time(&site.join("noise.svg.gz"), SystemTime::UNIX_EPOCH);
    fs::write(site.join("picture.png"), page(1)).unwrap();
    fs::write(site.join("tiny.html"), &page(1)[..255]).unwrap();
    fs::write(site.join("backup.tar.gz"), page(1)).unwrap();
    fs::write(site.join("page.html.br"), page(1)).unwrap();
    fs::create_dir(site.join(".git")).unwrap();
    fs::write(site.join(".git/page.html"), page(1)).unwrap();
    fs::write(site.join(".hidden.html"), page(1)).unwrap();
    symlink("/etc", site.join("link")).unwrap();
    symlink("backup.tar.gz", site.join("link.html")).unwrap();
    let before = names(site);
    let told = summary(site, &[]);
    assert!(
        told.starts_with(
            "1 file: 0 compressed, 0 current, 0 failed, 1 not worth it, 1 removed in "
        ),
        "{told}"
    );
    let without: Vec<String> = before
        .into_iter()
        .filter(|name| name != "noise.svg.gz")
        .collect();
    assert_eq!(names(site), without);
    assert_eq!(names(&site.join(".git")), ["page.html"]);

    let told = summary(site, &["--hidden", "--codings", "br"]);
    assert!(told.starts_with("3 files: 2 compressed"), "{told}");
    assert_eq!(names(&site.join(".git")), ["page.html", "page.html.br"]);
    assert!(site.join(".hidden.html.br").exists());
}

#[test]
fn forms_without_a_source_go_when_asked_and_nothing_else_does() {
    let scratch = tempfile::tempdir().unwrap();
    let site = scratch.path();
    for name in ["gone.html", "stays.html"] {
        fs::write(site.join(name), page(1)).unwrap();
    }
    summary(site, &[]);
    fs::remove_file(site.join("gone.html")).unwrap();
    for name in ["backup.tar.gz", "photo.png.br", "archive.gz"] {
        fs::write(site.join(name), "a file by itself").unwrap();
    }
    let before = names(site);
    summary(site, &[]);
    assert_eq!(names(site), before, "nothing goes unasked");
    let told = summary(site, &["--remove", "--dry-run"]);
    assert_eq!(told.matches("would remove ").count(), 3, "{told}");
    assert!(
        told.ends_with("1 file: 0 to compress (0.0 kB), 1 current, 3 to remove\n"),
        "{told}"
    );
    assert_eq!(names(site), before, "nothing goes in a dry run");
    let told = summary(site, &["--remove"]);
    assert!(told.contains(", 3 removed in "), "{told}");
    let left: Vec<String> = before
        .into_iter()
        .filter(|name| !name.starts_with("gone"))
        .collect();
    assert_eq!(names(site), left);
}

#[test]
fn a_dry_run_says_what_a_run_would_do() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("a.html"), page(1)).unwrap();
    let told = summary(scratch.path(), &["--dry-run"]);
    assert!(told.contains("a.html{.br,.zst,.gz}\n"), "{told}");
    assert!(told.contains("\n1 file: 1 to compress ("), "{told}");
    assert_eq!(names(scratch.path()), ["a.html"]);
}

#[test]
fn a_file_that_cannot_be_done_is_named_and_the_others_are_done() {
    let scratch = tempfile::tempdir().unwrap();
    let binary = public_binary(scratch.path());
    let site = scratch.path().join("site");
    for name in ["good", "closed", "unreadable"] {
        fs::create_dir_all(site.join(name)).unwrap();
        fs::write(site.join(name).join("page.html"), page(1)).unwrap();
    }
    let everybody = Permissions::from_mode(0o777);
    fs::set_permissions(site.join("good"), everybody).unwrap();
    fs::set_permissions(site.join("closed"), Permissions::from_mode(0o555)).unwrap();
    let unreadable = site.join("unreadable/page.html");
    fs::set_permissions(&unreadable, Permissions::from_mode(0o000)).unwrap();
    let (code, stdout, stderr) = outcome(unprivileged(&binary).arg("precompress").arg(&site));
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(
        stdout.starts_with("3 files: 1 compressed, 0 current, 2 failed; "),
        "{stdout}"
    );
    let mut lines: Vec<&str> = stderr.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(
        lines[0].contains("closed/page.html: Permission denied"),
        "{stderr}"
    );
    assert!(
        lines[1].contains("unreadable/page.html: Permission denied"),
        "{stderr}"
    );
    assert_eq!(names(&site.join("closed")), ["page.html"]);
    assert_eq!(names(&site.join("good")).len(), 4);
}

#[test]
fn no_directory_is_one_sentence() {
    let scratch = tempfile::tempdir().unwrap();
    let missing = scratch.path().join("missing");
    let sentence = complaint(downpour().arg("precompress").arg(&missing), 1);
    assert!(sentence.contains("missing cannot be read"), "{sentence}");
    let file = scratch.path().join("file.html");
    fs::write(&file, page(1)).unwrap();
    let sentence = complaint(downpour().arg("precompress").arg(&file), 1);
    assert!(
        sentence.contains("file.html is not a directory"),
        "{sentence}"
    );
    assert_complains(&["precompress"], 2, &["<DIR> is missing"]);
    assert_complains(
        &["precompress", "d", "--codings", "lzma"],
        2,
        &["br, zst and gz"],
    );
}

#[test]
fn an_end_in_the_middle_leaves_nothing_half_done() {
    let scratch = tempfile::tempdir().unwrap();
    let site = scratch.path();
    let large = include_bytes!("../../ARCHITECTURE.md").repeat(40);
    for number in 0..20 {
        let content = [&large[..], number.to_string().as_bytes()].concat();
        fs::write(site.join(format!("{number}.md")), content).unwrap();
    }
    let mut command = downpour();
    command.arg("precompress").arg(site).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while names(site).len() == 20 {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let asked = Instant::now();
    let status = wait(&mut child);
    assert_eq!(status.code(), Some(130));
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    let left = names(site);
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
    for name in left.iter().filter(|name| !name.ends_with(".md")) {
        let form = site.join(name);
        let source = form.with_extension("");
        assert!(decoded(&form) == fs::read(&source).unwrap(), "{name}");
        assert_eq!(times(&form), times(&source));
    }
}
