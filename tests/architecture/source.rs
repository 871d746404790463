//! A source file as the rules see it: its text, its code without comments and literals, and its
//! code without tests. Every view has the same length and the same lines.

use std::path::{Path, PathBuf};

/// One file of Rust.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the project, with `/`.
    pub(crate) path: String,
    /// As it stands.
    pub(crate) text: String,
    /// Comments and the inside of literals blanked.
    pub(crate) code: String,
    /// The code without what is compiled for tests only; empty for a file of tests.
    pub(crate) production: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let code = blank_comments_and_literals(text);
        Source {
            path: path.to_owned(),
            production: blank_tests(&code),
            text: text.to_owned(),
            code,
        }
    }

    /// The room of a file below `src/`; none for the crate's roots.
    pub(crate) fn room(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        below.split_once('/').map(|(room, _)| room)
    }

    /// How many modules lie between the crate and this file's own code.
    pub(crate) fn depth(&self) -> usize {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let parts = below.split('/').count();
        if below.ends_with("/mod.rs") {
            parts - 1
        } else {
            parts
        }
    }

    /// `path:line` of a byte offset.
    pub(crate) fn place(&self, offset: usize) -> String {
        let line = self.text[..offset].matches('\n').count() + 1;
        format!("{}:{line}", self.path)
    }
}

/// Every `.rs` file below the folders, as the compiler would see them: a file whose module is
/// declared under `#[cfg(test)]` is a file of tests.
pub(crate) fn read_all(project: &Path, folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        walk(&project.join(folder), &mut paths);
    }
    paths.sort();
    let mut sources: Vec<Source> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let relative = path.strip_prefix(project).expect("found below the project");
            let text = std::fs::read_to_string(path).expect("a source file can be read");
            Source::new(&relative.to_string_lossy(), &text)
        })
        .collect();
    let tests: Vec<String> = sources.iter().flat_map(modules_of_tests).collect();
    for source in &mut sources {
        if tests.iter().any(|module| is_of(&source.path, module)) {
            source.production = source.code.replace(|byte| byte != '\n', " ");
        }
    }
    sources
}

/// True for the file of a module, given as `folder/name.rs`, and for those below it.
fn is_of(path: &str, module: &str) -> bool {
    let below = path.strip_prefix(module.trim_end_matches(".rs"));
    path == module || below.is_some_and(|below| below.starts_with('/'))
}

/// Every file below a folder but what was built or downloaded.
pub(crate) fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.map_while(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if name != "target" && name != ".git" && name != "__pycache__" {
                walk(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

/// Files of the modules that `source` declares as `#[cfg(test)] mod name;`. What lies in a folder
/// of that name belongs to them.
fn modules_of_tests(source: &Source) -> Vec<String> {
    let folder = match source.path.strip_suffix("/mod.rs") {
        Some(folder) => folder,
        None if source.path == "src/lib.rs" => "src",
        None => source.path.trim_end_matches(".rs"),
    };
    let declared = source.code.split("#[cfg(test)]").skip(1);
    declared
        .filter_map(|rest| {
            let rest = rest.trim_start().trim_start_matches("pub ");
            let name = rest.strip_prefix("mod ")?.split_once(';')?.0;
            let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            is_name.then(|| format!("{folder}/{name}.rs"))
        })
        .collect()
}

/// Blanks comments and what stands between quotes, byte for byte; line ends stay.
fn blank_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skipped_from(bytes, at);
        let is_literal = matches!(bytes[at], b'"' | b'\'' | b'r' | b'b');
        if end > at {
            // The quotes of a literal stay, so that an empty one is seen to be one.
            let kept = usize::from(is_literal);
            blank(&mut code[at + kept..end - kept]);
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(code).expect("whole characters were blanked")
}

fn blank(code: &mut [u8]) {
    for byte in code.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

/// The end of the comment or literal that begins here; `at` when none does.
fn skipped_from(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
    let in_word = before.is_ascii_alphanumeric() || before == b'_';
    let length = match rest {
        [b'/', b'/', ..] => position(rest, b"\n"),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => quoted(rest),
        [b'r', b'"' | b'#', ..] if !in_word => raw_string(rest),
        [b'\'', b'\\', ..] => 3 + position(&rest[3..], b"'") + 1,
        [b'\'', _, ..] => character(rest),
        _ => 0,
    };
    at + length.min(rest.len())
}

fn position(bytes: &[u8], word: &[u8]) -> usize {
    let found = bytes.windows(word.len()).position(|window| window == word);
    found.unwrap_or(bytes.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// `r"…"`, `r#"…"#`; zero for a raw identifier.
fn raw_string(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let inside = 2 + hashes;
    inside + position(&rest[inside..], &end) + end.len()
}

/// `'x'` for any character; zero for a lifetime.
fn character(rest: &[u8]) -> usize {
    let width = match rest[1] {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    if rest.get(1 + width) == Some(&b'\'') {
        width + 2
    } else {
        0
    }
}

/// Blanks every item that stands under `#[cfg(test)]`.
fn blank_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut bytes = code.as_bytes().to_vec();
    let mut from = 0;
    while let Some(found) = code[from..].find(MARK) {
        let start = from + found;
        let end = start + MARK.len() + item_end(&code.as_bytes()[start + MARK.len()..]);
        blank(&mut bytes[start..end]);
        from = end;
    }
    String::from_utf8(bytes).expect("whole characters were blanked")
}

/// The length of an item: to its `;`, or over its braces.
pub(crate) fn item_end(code: &[u8]) -> usize {
    let (mut braces, mut brackets) = (0_i32, 0_i32);
    for (at, byte) in code.iter().enumerate() {
        match byte {
            b'{' => braces += 1,
            b'}' => braces -= 1,
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            _ => {}
        }
        let ends = matches!(byte, b'}' | b';');
        if ends && braces <= 0 && brackets <= 0 {
            return at + 1;
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let comments = "a // unsafe\nb /* x /* y */ z */ c ";
        let literals = "\"un\\\"safe\" '\\'' 'é' &'a d r#\"q\"q\"# e\n";
        let text = &format!("{comments}{literals}");
        let code = blank_comments_and_literals(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.matches('\n').count(), 2);
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(words[..3], ["a", "b", "c"]);
        assert!(words.contains(&"&'a") && words.contains(&"e"), "{words:?}");
        assert!(!code.contains("safe") && !code.contains('q'), "{code}");
    }

    #[test]
    fn tests_are_no_production_code() {
        let tests = "#[cfg(test)]\nmod t { fn b() { {} } }\n#[cfg(test)]\nuse c;\n";
        let text = &format!("fn a() {{}}\n{tests}fn d();");
        let source = Source::new("src/room/file.rs", text);
        let words: Vec<&str> = source.production.split_whitespace().collect();
        assert_eq!(words.join(" "), "fn a() {} fn d();");
        assert_eq!(source.production.len(), text.len());
    }

    #[test]
    fn a_module_of_tests_is_found_by_its_declaration() {
        let declares = Source::new("src/room/mod.rs", "#[cfg(test)]\nmod tests;\nmod real;");
        assert_eq!(modules_of_tests(&declares), ["src/room/tests.rs"]);
        let nested = Source::new("src/room/file.rs", "#[cfg(test)]\npub mod fuzz;");
        assert_eq!(modules_of_tests(&nested), ["src/room/file/fuzz.rs"]);
        let module = "src/room/tests.rs";
        assert!(is_of(module, module) && is_of("src/room/tests/mod.rs", module));
        assert!(is_of("src/room/tests/more.rs", module));
        assert!(!is_of("src/room/tests_of.rs", module) && !is_of("src/room/test.rs", module));
    }

    #[test]
    fn rooms_and_depths_follow_from_paths() {
        let of = |path| Source::new(path, "");
        assert_eq!(of("src/lib.rs").room(), None);
        assert_eq!(of("src/room/a/b.rs").room(), Some("room"));
        assert_eq!(of("src/room/mod.rs").depth(), 1);
        assert_eq!(of("src/room/a.rs").depth(), 2);
    }
}
