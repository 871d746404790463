//! Globs over decoded paths, as rules name the files that they are for.
//!
//! A path is walked once, with all places of the glob where it may stand at the same time: no glob
//! and no path makes it go back.

use std::fmt;

use crate::base::limits::{GLOB_ALTERNATIVES_MAX, GLOB_BYTES_MAX};

/// A character becomes two steps at most; `/**/` may be put in front.
const STEPS_MAX: usize = 2 * GLOB_BYTES_MAX + 8;
const WORDS: usize = STEPS_MAX / 64 + 1;

/// A glob over paths that begin with a slash.
///
/// `*` stands for anything inside of a segment, `**` for any segments, `?` for one character,
/// `{a,b}` for either, `[a-z]` and `[!a-z]` for one character of a class; a backslash takes what
/// follows as it is. A glob without a slash means the name of a file, in any directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: Box<str>,
    /// One for each way to read the braces.
    alternatives: Box<[Box<[Step]>]>,
}

/// What one place of a glob takes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Byte(u8),
    /// One character: one of these ASCII bytes, or the first byte of any other.
    Character {
        ascii: u128,
        others: bool,
    },
    /// What is left of a character (UTF-8), any number of bytes.
    Tail,
    /// Anything but a slash, any number of bytes.
    Star,
    /// Anything.
    Rest,
    /// Nothing: leads to the step behind the next, and to the next, which is `Segments`.
    Between,
    /// Whole segments, each with its slash.
    Segments,
}

impl Glob {
    /// Reads a glob. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<Glob, String> {
        if text.is_empty() {
            return Err("a glob is not empty; ** stands for every path".to_owned());
        }
        if text.len() > GLOB_BYTES_MAX {
            return Err(format!("a glob has at most {GLOB_BYTES_MAX} bytes"));
        }
        let alternatives = expand(text.as_bytes())?;
        let compiled: Result<_, String> = alternatives.iter().map(|one| compile(one)).collect();
        Ok(Glob {
            text: text.into(),
            alternatives: compiled?,
        })
    }

    /// True when the whole path, decoded and with its leading slash, is what the glob says.
    pub fn matches(&self, path: &[u8]) -> bool {
        let mut alternatives = self.alternatives.iter();
        alternatives.any(|steps| walk(steps, path, || {}))
    }

    /// The glob as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// Every way to read the braces of a glob.
fn expand(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut waiting = vec![text.to_vec()];
    let mut expanded = Vec::new();
    while let Some(glob) = waiting.pop() {
        let Some(braces) = first_braces(&glob)? else {
            expanded.push(glob);
            continue;
        };
        let (before, after) = (&glob[..braces.open], &glob[braces.close + 1..]);
        let mut start = braces.open + 1;
        let ends = braces.commas.iter().copied().chain([braces.close]);
        let alternatives = ends.map(|end| {
            let inside = &glob[start..end];
            start = end + 1;
            [before, inside, after].concat()
        });
        waiting.extend(alternatives);
        if waiting.len() + expanded.len() > GLOB_ALTERNATIVES_MAX {
            return Err(format!(
                "the braces of this glob stand for more than {GLOB_ALTERNATIVES_MAX} globs; \
                 write several rules"
            ));
        }
    }
    Ok(expanded)
}

/// Where the first braces stand, and their own commas.
struct Braces {
    open: usize,
    commas: Vec<usize>,
    close: usize,
}

fn first_braces(glob: &[u8]) -> Result<Option<Braces>, String> {
    let (mut open, mut commas, mut depth, mut at) = (0, Vec::new(), 0usize, 0);
    while at < glob.len() {
        match glob[at] {
            b'\\' => at += 1,
            b'[' => at = class_end(glob, at).unwrap_or(at),
            b'{' => {
                depth += 1;
                open = if depth == 1 { at } else { open };
            }
            b',' if depth == 1 => commas.push(at),
            b'}' if depth == 1 => {
                let close = at;
                return Ok(Some(Braces {
                    open,
                    commas,
                    close,
                }));
            }
            b'}' if depth > 1 => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    if depth > 0 {
        return Err("a glob closes the brace { that it opens; \\{ is the character".to_owned());
    }
    Ok(None)
}

/// Where the class that opens here closes. `]` as its first member is a member.
fn class_end(glob: &[u8], open: usize) -> Option<usize> {
    let negated = matches!(glob.get(open + 1), Some(b'!' | b'^'));
    let first = open + 1 + usize::from(negated);
    let close = glob.get(first + 1..)?.iter().position(|byte| *byte == b']');
    Some(first + 1 + close?)
}

/// Turns a glob without braces into steps.
fn compile(glob: &[u8]) -> Result<Box<[Step]>, String> {
    let mut steps = vec![Step::Byte(b'/')];
    if !glob.contains(&b'/') {
        steps.extend([Step::Between, Step::Segments]);
    }
    let mut segments = glob
        .strip_prefix(b"/")
        .unwrap_or(glob)
        .split(slash)
        .peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"**" if is_last => steps.push(Step::Rest),
            b"**" => steps.extend([Step::Between, Step::Segments]),
            _ => {
                compile_segment(segment, &mut steps)?;
                steps.extend((!is_last).then_some(Step::Byte(b'/')));
            }
        }
    }
    assert!(steps.len() < STEPS_MAX, "the text was not too long");
    Ok(steps.into())
}

fn slash(byte: &u8) -> bool {
    *byte == b'/'
}

fn compile_segment(segment: &[u8], steps: &mut Vec<Step>) -> Result<(), String> {
    let mut at = 0;
    while at < segment.len() {
        match segment[at] {
            b'*' if segment.get(at + 1) == Some(&b'*') => {
                return Err("** stands alone between slashes, as in /docs/** or **/*.css".into());
            }
            b'*' => steps.push(Step::Star),
            b'?' => push_character(!bit(b'/'), true, steps),
            b'[' => {
                let close = class_end(segment, at)
                    .ok_or("a glob closes the class [ that it opens; \\[ is the character")?;
                push_class(&segment[at + 1..close], steps)?;
                at = close;
            }
            b'\\' => {
                at += 1;
                let escaped = segment.get(at);
                let escaped =
                    escaped.ok_or("a backslash at the end of a segment escapes nothing")?;
                steps.push(Step::Byte(*escaped));
            }
            byte => steps.push(Step::Byte(byte)),
        }
        at += 1;
    }
    Ok(())
}

fn push_character(ascii: u128, others: bool, steps: &mut Vec<Step>) {
    steps.push(Step::Character { ascii, others });
    steps.extend(others.then_some(Step::Tail));
}

/// Members of a class: single ones and ranges of ASCII. No class takes a slash.
fn push_class(class: &[u8], steps: &mut Vec<Step>) -> Result<(), String> {
    let negated = class.strip_prefix(b"!").or(class.strip_prefix(b"^"));
    let mut members = negated.unwrap_or(class);
    if !members.is_ascii() {
        return Err("the class of a glob holds ASCII only; use {ä,ö} for other letters".into());
    }
    let mut ascii = 0u128;
    while let Some((first, rest)) = members.split_first() {
        let (last, rest) = match rest {
            [b'-', last, rest @ ..] => (last, rest),
            _ => (first, rest),
        };
        if first > last {
            let (first, last) = (char::from(*first), char::from(*last));
            return Err(format!("the range {first}-{last} of a glob runs backwards"));
        }
        ascii = (*first..=*last).fold(ascii, |set, byte| set | bit(byte));
        members = rest;
    }
    let ascii = if negated.is_some() { !ascii } else { ascii };
    push_character(ascii & !bit(b'/'), negated.is_some(), steps);
    Ok(())
}

fn bit(ascii: u8) -> u128 {
    1 << ascii
}

/// The places of a glob that are alive: one bit for each step, and one for its end.
#[derive(Clone, Copy, Default)]
struct Places([u64; WORDS]);

impl Places {
    fn add(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn has(&self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 == 1
    }
}

/// Takes the path byte by byte. `count` is called once for each byte and place that is alive.
fn walk(steps: &[Step], path: &[u8], mut count: impl FnMut()) -> bool {
    let words = steps.len() / 64 + 1;
    let mut places = Places::default();
    places.add(0);
    for byte in path {
        let mut next = Places::default();
        for (word, bits) in places.0[..words].iter().enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                let place = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                count();
                if let Some(step) = steps.get(place) {
                    take(step, *byte, place, &mut next);
                }
            }
        }
        if next.0 == [0; WORDS] {
            return false;
        }
        skip(steps, &mut next);
        places = next;
    }
    places.has(steps.len())
}

fn take(step: &Step, byte: u8, place: usize, next: &mut Places) {
    let is_continuation = (0x80..0xc0).contains(&byte);
    match step {
        Step::Byte(own) if *own == byte => next.add(place + 1),
        Step::Character { ascii, .. } if byte < 0x80 && ascii & bit(byte) != 0 => {
            next.add(place + 1);
        }
        Step::Character { others: true, .. } if byte >= 0xc0 => next.add(place + 1),
        Step::Tail if is_continuation => next.add(place),
        Step::Star if byte != b'/' => next.add(place),
        Step::Rest => next.add(place),
        Step::Segments => {
            next.add(place);
            if byte == b'/' {
                next.add(place + 1);
            }
        }
        _ => {}
    }
}

/// Adds the places that are reached without taking a byte: they all lie further behind.
fn skip(steps: &[Step], places: &mut Places) {
    for word in 0..=steps.len() / 64 {
        let mut seen = 0;
        // Adding a place may bring more of the same word.
        while places.0[word] & !seen != 0 {
            let lowest = (places.0[word] & !seen).trailing_zeros();
            seen |= 1 << lowest;
            let place = word * 64 + lowest as usize;
            match steps.get(place) {
                Some(Step::Tail | Step::Star | Step::Rest) => places.add(place + 1),
                Some(Step::Between) => {
                    places.add(place + 1);
                    places.add(place + 2);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::PATH_BYTES_MAX;
    use proptest::prelude::*;

    fn matches(glob: &str, path: &str) -> bool {
        Glob::parse(glob).unwrap().matches(path.as_bytes())
    }

    #[test]
    fn globs_match_what_they_say() {
        for (glob, paths) in [
            ("/a.css", &["/a.css"][..]),
            ("/*.css", &["/a.css", "/.css"]),
            ("/docs/**", &["/docs/", "/docs/a", "/docs/a/b/c.html"]),
            ("/docs/**/", &["/docs/", "/docs/a/", "/docs/a/b/"]),
            ("/**", &["/", "/a", "/a/b/"]),
            ("**", &["/", "/a", "/a/b/"]),
            ("*", &["/", "/a", "/a/b/"]),
            ("*.css", &["/a.css", "/b/c/a.css", "/.css"]),
            ("**/*.css", &["/a.css", "/b/c/a.css"]),
            ("/**/x", &["/x", "/a/x", "/a/b/x"]),
            (
                "/a/**/b/**/c",
                &["/a/b/c", "/a/1/b/c", "/a/b/2/3/c", "/a/b/b/c/c"],
            ),
            ("docs/*.html", &["/docs/a.html"]),
            ("a?c", &["/abc", "/x/a\u{e4}c", "/a\u{1f600}c"]),
            ("/[a-c][!a-c]", &["/ad", "/b-", "/c\u{e4}"]),
            ("/[]x]", &["/]", "/x"]),
            ("/[^a]", &["/b"]),
            ("/[a-]", &["/a", "/-"]),
            ("*.{js,css}", &["/a.js", "/b/a.css"]),
            ("/{a,b/**}/x", &["/a/x", "/b/x", "/b/1/2/x"]),
            ("/{a,{b,c}d}", &["/a", "/bd", "/cd"]),
            ("/{,x}", &["/", "/x"]),
            ("/\\*\\{a\\}\\[", &["/*{a}["]),
            ("/[{]", &["/{"]),
            ("/a*b*c", &["/abc", "/aXbYc", "/abcbc"]),
            ("/}", &["/}"]),
        ] {
            for path in paths {
                assert!(matches(glob, path), "{glob} {path}");
            }
        }
    }

    #[test]
    fn globs_match_nothing_else() {
        for (glob, paths) in [
            ("/a.css", &["/a.cssx", "/b/a.css", "/", "/A.css"][..]),
            ("/*.css", &["/b/a.css", "/a.css/"]),
            ("/docs/**", &["/docs", "/docsx/a", "/x/docs/a"]),
            ("/docs/**/", &["/docs/a", "/docs"]),
            ("*.css", &["/a.css/b", "/a.cs"]),
            ("/**/x", &["/ax", "/a/xy", "/x/a"]),
            ("/a/**/b/**/c", &["/a/c", "/ab/c", "/a/b/", "/a/b"]),
            ("a?c", &["/ac", "/a/c", "/abbc"]),
            ("a??c", &["/a\u{e4}c"]),
            ("/[a-c]", &["/", "/d", "//", "/ab"]),
            ("/[!a]", &["/a", "//", "/"]),
            ("/{a,b}", &["/", "/c", "/a,b", "/{a,b}"]),
        ] {
            for path in paths {
                assert!(!matches(glob, path), "{glob} {path}");
            }
        }
    }

    #[test]
    fn odd_globs_are_refused_with_a_sentence() {
        for (glob, says) in [
            ("", "not empty"),
            ("/a**", "alone between slashes"),
            ("**.css", "**/*.css"),
            ("/***", "alone between slashes"),
            ("/{a,b", "closes the brace"),
            ("/[a", "closes the class"),
            ("/[]", "closes the class"),
            ("/[z-a]", "backwards"),
            ("/[\u{e4}]", "ASCII"),
            ("/a\\", "escapes nothing"),
        ] {
            let why = Glob::parse(glob).unwrap_err();
            assert!(why.contains(says), "{glob}: {why}");
        }
        let long = "a".repeat(GLOB_BYTES_MAX + 1);
        assert!(Glob::parse(&long).unwrap_err().contains("at most 256"));
        assert!(Glob::parse(&long[1..]).is_ok());
        let many = "{a,b}".repeat(7);
        assert!(Glob::parse(&many).unwrap_err().contains("several rules"));
        assert!(Glob::parse(&many[5..]).unwrap().matches(b"/ababab"));
    }

    #[test]
    fn names_of_any_bytes_are_paths_too() {
        assert!(Glob::parse("/*.bin").unwrap().matches(b"/\xff\xfe.bin"));
        assert!(Glob::parse("/**").unwrap().matches(b"/\xff/\x80"));
    }

    /// No glob costs more than its own length for each byte of a path.
    #[test]
    fn hostile_globs_take_linear_time() {
        let stars = "*a".repeat(GLOB_BYTES_MAX / 2 - 1);
        let segments = "/**/a".repeat(GLOB_BYTES_MAX / 5 - 1);
        for glob in [
            format!("/{stars}b"),
            format!("{segments}/b"),
            "?".repeat(255),
        ] {
            let glob = Glob::parse(&glob).unwrap();
            for piece in ["a", "a/", "/a/", "\u{e4}"] {
                let path = format!("/{}", piece.repeat(PATH_BYTES_MAX / piece.len()));
                let mut count = 0;
                let steps = &glob.alternatives[0];
                walk(steps, path.as_bytes(), || count += 1);
                assert!(count <= path.len() * (steps.len() + 1), "{count}");
            }
        }
    }

    /// The same language by going back, which is slow and easy to believe.
    fn slow(glob: &[u8], path: &[u8]) -> bool {
        match glob {
            [] => path.is_empty(),
            [b'*', b'*', b'/', rest @ ..] => {
                let slashes = (0..path.len()).filter(|at| path[*at] == b'/');
                slow(rest, path) || slashes.into_iter().any(|at| slow(rest, &path[at + 1..]))
            }
            b"**" => true,
            [b'*', rest @ ..] => {
                let len = path.iter().take_while(|byte| **byte != b'/').count();
                (0..=len).any(|at| slow(rest, &path[at..]))
            }
            [b'?', rest @ ..] => {
                matches!(path, [byte, path @ ..] if *byte != b'/' && slow(rest, path))
            }
            [own, rest @ ..] => path.first() == Some(own) && slow(rest, &path[1..]),
        }
    }

    proptest! {
        #[test]
        fn the_walk_agrees_with_going_back(
            segments in proptest::collection::vec("[ab*?]{0,4}|\\*\\*", 1..5),
            path in "/[ab/]{0,12}",
        ) {
            let glob = format!("/{}", segments.join("/"));
            if let Ok(parsed) = Glob::parse(&glob) {
                let expected = slow(glob.as_bytes(), path.as_bytes());
                prop_assert_eq!(parsed.matches(path.as_bytes()), expected, "{} {}", glob, path);
            }
        }

        #[test]
        fn any_text_is_answered_without_a_panic(
            text in "[a\\]\\[{},*?!^\\\\/-]{0,24}|\\PC{0,24}",
            path in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            if let Ok(glob) = Glob::parse(&text) {
                glob.matches(&path);
            }
        }
    }
}
