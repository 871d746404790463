//! The habits of the house, read from its sources: who may know whom, where `unsafe` may stand,
//! how long things may grow, and whether the documents still say what is there.
//!
//! A rule that fails says where. The maps are in `map.rs`; each rule is tried on bad samples in
//! `rules.rs`.

mod map;
mod rules;
mod source;

use std::path::Path;
use std::process::Command;

use source::Source;

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(project().join(name)).expect("the document exists")
}

fn sources() -> Vec<Source> {
    let found = source::read_all(project(), &["src", "tests", "benches", "perf/floor/src"]);
    assert!(found.len() > 100, "the sources were found");
    found
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn every<F: Fn(&Source) -> Vec<String>>(rule: F) -> Vec<String> {
    sources().iter().flat_map(rule).collect()
}

#[test]
fn rooms_know_only_whom_they_may() {
    assert_none(&every(|source| rules::imports(source, map::MAY_USE)));
}

#[test]
fn the_document_and_the_map_of_rooms_agree() {
    let document = read("ARCHITECTURE.md");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let mut told: Vec<(String, Vec<String>)> = rows
        .filter_map(|row| {
            let columns: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let room = columns[0].strip_prefix('`')?.strip_suffix("/`")?;
            let quoted = columns.last()?.split('`').skip(1).step_by(2);
            let mut rooms: Vec<String> = quoted
                .flat_map(str::split_whitespace)
                .map(str::to_owned)
                .collect();
            rooms.sort();
            (columns.len() == 3).then(|| (room.to_owned(), rooms))
        })
        .collect();
    told.sort();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut meant: Vec<(String, Vec<String>)> = map::MAY_USE
        .iter()
        .map(|(room, may_use)| ((*room).to_owned(), owned(may_use)))
        .collect();
    meant.sort();
    assert_eq!(
        told, meant,
        "ARCHITECTURE.md (left) against tests/architecture/map.rs (right)"
    );
}

#[test]
fn unsafe_stands_where_it_is_listed_and_says_why() {
    assert_none(&rules::unsafety(&sources(), map::UNSAFE));
    let document = read("ARCHITECTURE.md");
    let rows = map::UNSAFE
        .iter()
        .filter(|(path, _)| path.starts_with("src/"));
    let missing = rows.filter(|(path, why)| !document.contains(&format!("| `{path}` | {why} |")));
    let faults = missing.map(|(path, why)| format!("ARCHITECTURE.md lacks | `{path}` | {why} |"));
    assert_none(&faults.collect::<Vec<_>>());
}

#[test]
fn lines_functions_and_files_stay_short() {
    assert_none(&every(rules::sizes));
}

#[test]
fn nothing_is_left_unfinished() {
    let is_ours = |source: &Source| source.path.starts_with("src/");
    assert_none(&every(|source| match is_ours(source) {
        true => rules::unfinished(source),
        false => Vec::new(),
    }));
}

#[test]
fn every_dependency_says_why() {
    for manifest in ["Cargo.toml", "perf/floor/Cargo.toml"] {
        assert_none(&rules::unexplained_dependencies(&read(manifest)));
    }
}

#[test]
fn no_file_is_a_drawer() {
    let mut paths = Vec::new();
    source::walk(project(), &mut paths);
    let relative = |path: &std::path::PathBuf| {
        let below = path.strip_prefix(project()).expect("found below it");
        below.to_string_lossy().into_owned()
    };
    assert_none(&rules::drawers(
        &paths.iter().map(relative).collect::<Vec<_>>(),
    ));
}

#[test]
fn every_flag_is_in_a_document() {
    let help = Command::new(env!("CARGO_BIN_EXE_downpour"))
        .args(["serve", "--help"])
        .output()
        .expect("the binary runs");
    let help = String::from_utf8(help.stdout).expect("help is text");
    assert!(help.contains("--listen"), "{help}");
    let documents = read("README.md") + &read("docs/flags.md");
    assert_none(&rules::undocumented_flags(&help, &documents));
}

#[test]
fn documents_name_files_that_exist() {
    let exists = |path: &str| {
        let inside = |folder: &str| project().join(folder).join(path).exists();
        inside("") || inside("src") || inside("perf")
    };
    for document in [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
    ] {
        assert_none(&rules::dead_paths(&read(document), exists));
    }
}
