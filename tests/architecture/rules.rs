//! The rules, each a function from sources to what breaks it, and shown to find what it is for.

use crate::map::{DRAWERS, FILE_LINES_MAX, FUNCTION_LINES_MAX, LINE_CHARACTERS_MAX};
use crate::source::{Source, item_end};

type Allowed<'a> = &'a [(&'a str, &'a [&'a str])];

/// Rooms that a file names against the map, and paths that climb past the crate.
pub(crate) fn imports(source: &Source, allowed: Allowed<'_>) -> Vec<String> {
    let Some(room) = source.room() else {
        return Vec::new();
    };
    let Some((_, may_use)) = allowed.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{}: the room {room} stands in no map", source.path)];
    };
    let mut faults = Vec::new();
    for (at, named) in rooms_named(&source.code) {
        let known = allowed.iter().any(|(name, _)| *name == named);
        if known && named != room && !may_use.contains(&named) {
            let place = source.place(at);
            faults.push(format!("{place}: {room} may not know {named}"));
        }
    }
    let climb = vec!["super"; source.depth()].join("::") + "::";
    if let Some(at) = source.production.find(&climb) {
        faults.push(format!("{}: say crate:: here", source.place(at)));
    }
    faults
}

/// Each `room` of `crate::room` and `crate::{room, …}`, with its place.
fn rooms_named(code: &str) -> Vec<(usize, &str)> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            named.push((at, first_word(rest)));
            continue;
        };
        let mut depth = 0;
        let members = item_end(rest.as_bytes()).saturating_sub(2);
        let members = group[..members].split(|letter| {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            letter == ',' && depth == 0
        });
        named.extend(members.map(|member| (at, first_word(member.trim_start()))));
    }
    named
}

fn first_word(text: &str) -> &str {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split(|letter| !is_letter(letter)).next().unwrap_or("")
}

/// `unsafe` outside the listed files, without its reason, or listed for nothing.
pub(crate) fn unsafety(sources: &[Source], listed: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let is_listed = listed.iter().any(|(path, _)| *path == source.path);
        let found = words(&source.code, "unsafe");
        if found.is_empty() && is_listed {
            faults.push(format!("{} is listed and has no unsafe", source.path));
        }
        for at in found {
            if !is_listed {
                faults.push(format!(
                    "{}: unsafe in a file that is not listed",
                    source.place(at)
                ));
            } else if !has_reason(source, at) {
                faults.push(format!("{}: unsafe without // SAFETY:", source.place(at)));
            }
        }
    }
    let exists = |path: &str| sources.iter().any(|source| source.path == path);
    let missing = listed.iter().filter(|(path, _)| !exists(path));
    faults.extend(missing.map(|(path, _)| format!("{path} is listed and does not exist")));
    faults
}

/// Where a whole word stands.
fn words(code: &str, word: &str) -> Vec<usize> {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_letter = |byte: Option<&u8>| byte.is_some_and(letter);
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(|at| *at == 0 || !is_letter(bytes.get(at - 1)))
        .filter(|at| !is_letter(bytes.get(at + word.len())))
        .collect()
}

/// The comment above the statement that holds `unsafe`. A function of a trait that is unsafe by
/// itself (`unsafe impl GlobalAlloc`) is covered by the reason of its impl.
fn has_reason(source: &Source, at: usize) -> bool {
    const STATEMENT_LINES: usize = 4;
    let line_start = source.text[..at].rfind('\n').map_or(0, |end| end + 1);
    if source.code[at..].starts_with("unsafe fn") {
        return true; // Not a use: its caller, or the unsafe impl around it, gives the reason.
    }
    let mut code_lines = 0;
    for line in source.text[..line_start].lines().rev() {
        let line = line.trim_start();
        if line.starts_with("//") {
            if line.starts_with("// SAFETY:") {
                return true;
            }
        } else if code_lines == STATEMENT_LINES || line.is_empty() {
            return false;
        } else {
            code_lines += 1;
        }
    }
    false
}

/// Lines, functions and files that are too long.
pub(crate) fn sizes(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let characters = line.chars().count();
        if characters > LINE_CHARACTERS_MAX {
            faults.push(format!(
                "{}:{}: {characters} columns",
                source.path,
                index + 1
            ));
        }
    }
    let lines = source.production.trim_end().lines().count();
    if lines > FILE_LINES_MAX && source.path.starts_with("src/") {
        faults.push(format!("{}: {lines} lines without its tests", source.path));
    }
    for at in words(&source.production, "fn") {
        let body = &source.production[at..at + item_end(&source.production.as_bytes()[at..])];
        let lines = body.lines().count();
        if lines > FUNCTION_LINES_MAX {
            faults.push(format!("{}: a function of {lines} lines", source.place(at)));
        }
    }
    faults
}

/// What may not stand in production code.
pub(crate) fn unfinished(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for word in [".unwrap()", "todo!", "unimplemented!", "dbg!"] {
        for (at, _) in source.production.match_indices(word) {
            faults.push(format!("{}: {word}", source.place(at)));
        }
    }
    faults
}

/// Dependencies of a `Cargo.toml` that have no line above them to say why.
pub(crate) fn unexplained_dependencies(manifest: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut in_table, mut before) = (false, "");
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_table = line.trim_end_matches(']').ends_with("dependencies");
        } else if in_table
            && let Some((name, _)) = line.split_once('=')
            && !line.starts_with('#')
            && !before.starts_with("# ")
        {
            faults.push(format!("{} has no line that says why", name.trim()));
        }
        before = line;
    }
    faults
}

/// Files and folders with the name of a drawer.
pub(crate) fn drawers(paths: &[String]) -> Vec<String> {
    let is_drawer = |part: &str| {
        let words = part.split(['.', '_', '-']);
        words.into_iter().any(|word| DRAWERS.contains(&word))
    };
    let found = paths.iter().filter(|path| path.split('/').any(is_drawer));
    found.map(|path| format!("{path} is a drawer")).collect()
}

/// Flags of a `--help` page that no document names.
pub(crate) fn undocumented_flags(help: &str, documents: &str) -> Vec<String> {
    let mut flags: Vec<&str> = help
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-')
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .collect();
    flags.sort_unstable();
    flags.dedup();
    flags.retain(|flag| !documents.contains(&format!("`{flag}")));
    flags
        .iter()
        .map(|flag| format!("{flag} is in no document"))
        .collect()
}

/// Paths in backquotes that a document names and that are not there.
pub(crate) fn dead_paths(document: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let quoted = document.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_.-".contains(&b);
        text.contains('/') && text.bytes().all(plain) && !text.starts_with(['/', '.'])
    };
    let missing = quoted.filter(is_path).filter(|path| !exists(path));
    missing
        .map(|path| format!("{path} does not exist"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: Allowed<'_> = &[("low", &[]), ("side", &["low"]), ("high", &["low", "side"])];

    fn imports_of(path: &str, text: &str) -> Vec<String> {
        imports(&Source::new(path, text), MAP)
    }

    #[test]
    fn an_import_against_the_map_is_found() {
        let faults = imports_of("src/low/a.rs", "fn a() {}\nuse crate::high::X;");
        assert_eq!(faults, ["src/low/a.rs:2: low may not know high"]);
        assert_eq!(
            imports_of("src/low/a.rs", "fn a() { crate::side::x() }").len(),
            1
        );
        let grouped = "use crate::{low::{a, b}, high::c, side};\nuse other::high;";
        assert_eq!(imports_of("src/side/a.rs", grouped).len(), 1);
        assert_eq!(imports_of("src/low/a.rs", grouped).len(), 2);
        assert_eq!(
            imports_of("src/low/b/c.rs", "use super::super::super::high;").len(),
            1
        );
        assert_eq!(
            imports_of("src/new/a.rs", ""),
            ["src/new/a.rs: the room new stands in no map"]
        );
    }

    #[test]
    fn an_import_along_the_map_is_none() {
        for text in [
            "use crate::low::X;",
            "use crate::{low, side::y};",
            "// crate::nothing",
            "use super::b;",
        ] {
            assert_eq!(imports_of("src/high/a.rs", text), [""; 0], "{text}");
        }
        assert_eq!(imports_of("src/low/a.rs", "// crate::high"), [""; 0]);
    }

    #[test]
    fn unsafe_needs_a_listed_file_and_a_reason() {
        let check = |text| unsafety(&[Source::new("src/a.rs", text)], &[("src/a.rs", "why")]);
        let bare = "fn a() {\n    let x = 1;\n    unsafe { b() }\n}";
        assert_eq!(check(bare), ["src/a.rs:3: unsafe without // SAFETY:"]);
        assert_eq!(
            check("// SAFETY: so\nlet x =\n    unsafe { b() };"),
            [""; 0]
        );
        assert_eq!(check("// SAFETY: so\n\n// else\nunsafe { b() }").len(), 1);
        assert_eq!(
            check("fn safe() {}"),
            ["src/a.rs is listed and has no unsafe"]
        );
        let reasoned = Source::new("src/b.rs", "// SAFETY: so\nunsafe { b() }");
        assert_eq!(
            unsafety(&[reasoned], &[]),
            ["src/b.rs:2: unsafe in a file that is not listed"]
        );
        let missing = unsafety(&[], &[("src/c.rs", "why")]);
        assert_eq!(missing, ["src/c.rs is listed and does not exist"]);
    }

    #[test]
    fn what_is_too_long_is_found() {
        let sizes_of = |path, text: &str| sizes(&Source::new(path, text));
        assert_eq!(sizes_of("src/a.rs", &"x".repeat(100)), [""; 0]);
        assert_eq!(
            sizes_of("src/a.rs", &"é".repeat(101)),
            ["src/a.rs:1: 101 columns"]
        );
        let function = |lines| format!("\nfn a(x: [u8; 2]) {{{}}}", "\n".repeat(lines));
        assert_eq!(sizes_of("src/a.rs", &function(79)), [""; 0]);
        assert_eq!(
            sizes_of("src/a.rs", &function(80)),
            ["src/a.rs:2: a function of 81 lines"]
        );
        let file = "use x;\n".repeat(601);
        assert_eq!(
            sizes_of("src/a.rs", &file),
            ["src/a.rs: 601 lines without its tests"]
        );
        let tested = format!("{}#[cfg(test)]\nmod t {{\n\n}}", "use x;\n".repeat(600));
        assert_eq!(sizes_of("src/a.rs", &tested), [""; 0]);
    }

    #[test]
    fn what_is_unfinished_is_found_outside_tests() {
        let text = "fn a() { b.unwrap(); dbg!(1); todo!() }\n#[cfg(test)]\nfn t() { b.unwrap() }";
        assert_eq!(unfinished(&Source::new("src/a.rs", text)).len(), 3);
        assert_eq!(
            unfinished(&Source::new("src/a.rs", "b.unwrap_or(1); // todo!")),
            [""; 0]
        );
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let manifest = "[package]\nname = \"a\"\n[dependencies]\n# Why.\nb = \"1\"\nc = \"2\"\n";
        assert_eq!(
            unexplained_dependencies(manifest),
            ["c has no line that says why"]
        );
        let dev = "[dev-dependencies]\nd = \"1\"\n[lints.rust]\nunsafe_code = \"deny\"";
        assert_eq!(unexplained_dependencies(dev).len(), 1);
    }

    #[test]
    fn a_drawer_is_found_by_its_name() {
        let paths = [
            "src/utils.rs",
            "src/misc/a.rs",
            "src/http_helpers.rs",
            "src/command.rs",
        ];
        assert_eq!(drawers(&paths.map(str::to_owned)).len(), 3);
    }

    #[test]
    fn a_flag_without_a_document_is_found() {
        let help = "  -p, --port <PORT>  as in --engine=epoll\n      --quiet[=<BOOL>]";
        let faults = undocumented_flags(help, "`--port N` and `--quiet`; not --engine");
        assert_eq!(faults, ["--engine is in no document"]);
    }

    #[test]
    fn a_dead_path_is_found() {
        let document = "see `src/gone.rs`, `src/here.rs`, `a / b`, `/etc/x` and `cargo test`";
        let faults = dead_paths(document, |path| path == "src/here.rs");
        assert_eq!(faults, ["src/gone.rs does not exist"]);
    }
}
