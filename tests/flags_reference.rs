//! `docs/flags.md` is written from the definition of the flags, and this fails when it is stale.
//!
//! To write it anew: `DOWNPOUR_TEST_WRITE=1 cargo test --test flags_reference`

use std::fmt::Write;
use std::path::Path;

use downpour::config::args;

const TOP: &str = "\
# Flags of `downpour serve`

```
downpour serve [FLAGS] [ROOT]
```

`ROOT` is the directory to serve; without it, a welcome page from the binary is served. Every flag
is an environment variable too (`ROOT` is `DOWNPOUR_ROOT`) and a key of the file that `--config`
names (see [configuration.md](configuration.md)): a flag wins over its variable, and that over the
file. Where a flag may be repeated, its variable takes a list separated by blanks or commas, or,
where values hold blanks themselves, one value on each line; the file takes a list.

Sizes are bytes, or `K`, `M` and `G` as powers of 1024. Times need a unit: `us`, `ms`, `s`, `m` or
`h`. What can be switched on can be said in three ways: `--quiet`, `--quiet=true`, `--quiet true`.

This page is written from the definition in `src/config/serve_args.rs` and the files that it names:
do not edit it. To write it anew: `DOWNPOUR_TEST_WRITE=1 cargo test --test flags_reference`
";

/// The page, with a table for each heading of the help.
fn page() -> String {
    let definition = args::definition();
    let serve = definition
        .find_subcommand("serve")
        .expect("there is a command serve");
    // ROOT stands in the text above.
    let flags = serve.get_arguments().filter_map(|flag| {
        let heading = flag.get_help_heading();
        let long = flag.get_long()?;
        Some((heading.expect("every flag has a heading"), row(flag, long)))
    });
    // Some headings are about sites and about the server, which the definition keeps apart.
    let mut tables: Vec<(&str, String)> = Vec::new();
    for (heading, row) in flags {
        match tables.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, rows)) => rows.push_str(&row),
            None => tables.push((heading, row)),
        }
    }
    let mut page = TOP.to_owned();
    for (heading, rows) in tables {
        write!(
            page,
            "\n## {heading}\n\n| flag | default | what it does |\n|---|---|---|\n{rows}"
        )
        .expect("a String takes any text");
    }
    page
}

fn row(flag: &clap::Arg, long: &str) -> String {
    let names = flag.get_value_names().unwrap_or_default();
    let value = names.first().map_or("", |name| name.as_str());
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    // A default that follows from other things is told in the help, between brackets.
    let (text, told) = match help.rsplit_once(" [default: ") {
        Some((text, told)) => (
            text.to_owned(),
            told.strip_suffix(']').unwrap_or(told).to_owned(),
        ),
        None => (help, "none".to_owned()),
    };
    let held: Vec<_> = flag.get_default_values().iter().collect();
    let default = match held.first() {
        Some(held) => format!("`{}`", held.to_string_lossy()),
        None => told,
    };
    let short = flag
        .get_short()
        .map(|letter| format!("`-{letter}`, "))
        .unwrap_or_default();
    let text = text.replace('|', "\\|");
    let value = value.replace('|', "\\|");
    let value = if flag.is_require_equals_set() {
        format!("[={value}]")
    } else {
        format!(" {value}")
    };
    format!("| {short}`--{long}{value}` | {default} | {text} |\n")
}

#[test]
fn the_page_is_what_the_definition_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flags.md");
    let page = page();
    if std::env::var_os("DOWNPOUR_TEST_WRITE").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/flags.md is stale; write it anew with: \
         DOWNPOUR_TEST_WRITE=1 cargo test --test flags_reference"
    );
}

#[test]
fn the_page_holds_every_flag_with_its_default() {
    let page = page();
    let rows = page.lines().filter(|line| line.starts_with("| `-")).count();
    let definition = args::definition();
    let serve = definition.find_subcommand("serve").expect("it is there");
    let flags = serve
        .get_arguments()
        .filter(|flag| flag.get_long().is_some());
    assert_eq!(rows, flags.count());
    assert!(page.contains("| `--cache-size SIZE` | `256M` |"), "{page}");
    assert!(page.contains("| `-p`, `--port PORT` |"), "{page}");
}
