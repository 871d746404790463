//! `Cache-Control` by kind of file or by path (`--cache-control`).

use std::fmt;

use crate::http::Status;
use crate::http::field::{is_token_byte, list_members};

use super::glob::Glob;

const NO_CACHE: &str = "no-cache";
const IMMUTABLE: &str = "max-age=31536000, immutable";

/// `off`, `auto`, or `[GLOB ]VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRule {
    text: Box<str>,
    glob: Option<Glob>,
    policy: Policy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Policy {
    /// No field.
    Off,
    /// Documents are asked for again, names with a hash never, and the rest is the client's.
    Auto,
    Value(Box<str>),
}

impl CacheRule {
    /// Reads a rule. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<CacheRule, String> {
        let text = text.trim();
        let (first, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        // No directive has such a character in front of its value.
        let is_glob = first.starts_with('/')
            || first.contains(['*', '?', '[', '{', '.']) && !first.contains('=');
        let (glob, value) = match is_glob {
            true => (Some(Glob::parse(first)?), rest.trim()),
            false => (None, text),
        };
        let policy = match value {
            "off" => Policy::Off,
            "auto" => Policy::Auto,
            "immutable" => Policy::Value(IMMUTABLE.into()),
            _ => Policy::Value(check_value(value)?.into()),
        };
        let text = text.into();
        Ok(CacheRule { text, glob, policy })
    }
}

impl fmt::Display for CacheRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// A list of directives (RFC 9111 §5.2).
fn check_value(value: &str) -> Result<&str, String> {
    let is_token = |text: &[u8]| !text.is_empty() && text.iter().copied().all(is_token_byte);
    let is_directive = |member: &[u8]| match memchr::memchr(b'=', member) {
        None => is_token(member),
        Some(equals) => {
            let (name, argument) = (&member[..equals], &member[equals + 1..]);
            let quoted = argument
                .strip_prefix(b"\"")
                .and_then(|rest| rest.strip_suffix(b"\""));
            is_token(name) && is_token(quoted.unwrap_or(argument))
        }
    };
    let mut members = list_members(value.as_bytes()).peekable();
    if members.peek().is_none() || !members.all(is_directive) {
        return Err(format!(
            "{value:?} is no Cache-Control: write off, auto, immutable, or directives like public, \
             max-age=3600"
        ));
    }
    Ok(value)
}

/// What the rules say of an answer for `path`; the last that is for it counts. Only answers with
/// what a file holds get the field.
pub fn cache_control<'a>(
    rules: &'a [CacheRule],
    path: &[u8],
    file_name: &[u8],
    media_type: &str,
    status: Status,
) -> Option<&'a str> {
    use crate::http::Status as S;
    if !matches!(status, S::OK | S::PARTIAL_CONTENT | S::NOT_MODIFIED) {
        return None;
    }
    let is_for = |rule: &&CacheRule| rule.glob.as_ref().is_none_or(|glob| glob.matches(path));
    match &rules.iter().rev().find(is_for)?.policy {
        Policy::Off => None,
        Policy::Value(value) => Some(value),
        Policy::Auto if is_document(media_type) => Some(NO_CACHE),
        Policy::Auto if has_hash(file_name) => Some(IMMUTABLE),
        Policy::Auto => None,
    }
}

fn is_document(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    matches!(essence, "text/html" | "application/xhtml+xml")
}

/// Characters of the shortest hash.
const HASH_MIN: usize = 8;
/// Lengths of a name that is a hash and nothing else: 64, 80, 128, 160 and 256 bits.
const WHOLE_NAME: &[usize] = &[16, 20, 32, 40, 64];

/// True when the name of a file holds a hash of its content, as bundlers write it, so that other
/// content will have another name. In doubt it is none: a wrong guess would keep an old file at
/// clients for a year.
pub fn has_hash(file_name: &[u8]) -> bool {
    let Some(dot) = memchr::memrchr(b'.', file_name) else {
        return false;
    };
    let (stem, extension) = (&file_name[..dot], &file_name[dot + 1..]);
    if stem.len() < HASH_MIN || is_uuid(stem) {
        return false;
    }
    let is_separator = |byte: &u8| matches!(byte, b'.' | b'-' | b'~');
    let mut tokens = stem.split(is_separator);
    if tokens.any(|token| is_hex_hash(token, token.len() == stem.len())) {
        return true;
    }
    let mut parts = stem.split(|byte| *byte == b'.').enumerate();
    parts.any(|(position, part)| {
        let after_dot = (position > 0).then_some(part);
        let after_hyphen = part
            .len()
            .checked_sub(HASH_MIN + 1)
            .filter(|at| matches!(part[*at], b'-' | b'~'))
            .map(|at| &part[at + 1..]);
        [after_dot, after_hyphen]
            .into_iter()
            .flatten()
            .any(|token| is_base64_hash(token) || is_code(extension) && is_base32_hash(token))
    })
}

/// Digits and letters up to `f`, some of each: dates have no letters, and words no digits.
fn is_hex_hash(token: &[u8], is_whole_name: bool) -> bool {
    let fits = match is_whole_name {
        // An identifier of a database can look the same; these are the lengths of hashes.
        true => WHOLE_NAME.contains(&token.len()),
        false => token.len() >= HASH_MIN,
    };
    let is_lower = !token.iter().any(u8::is_ascii_uppercase);
    fits && is_lower
        && token.iter().all(u8::is_ascii_hexdigit)
        && token.iter().any(u8::is_ascii_digit)
        && token.iter().any(u8::is_ascii_alphabetic)
}

/// `8-4-4-4-12`: made by chance, not of the content.
fn is_uuid(stem: &[u8]) -> bool {
    const LENGTHS: [usize; 5] = [8, 4, 4, 4, 12];
    let lengths: Vec<usize> = stem.split(|byte| *byte == b'-').map(<[u8]>::len).collect();
    lengths.windows(5).any(|window| window == LENGTHS)
}

/// Eight characters of base64url (Vite, Rollup) that no word with a number looks like: lower and
/// upper case and a digit, and inside of them a word of one letter or a lone digit.
fn is_base64_hash(token: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if token.len() != HASH_MIN
        || !token.iter().all(is_letter)
        || !token.iter().any(u8::is_ascii_digit)
        || !token.iter().any(u8::is_ascii_lowercase)
        || !token.iter().any(u8::is_ascii_uppercase)
    {
        return false;
    }
    let words = words(token);
    matches!(&words[..], [_, inner @ .., _] if inner.contains(&1))
}

/// The lengths of what a reader takes for words: capitals with the small letters behind them, and
/// numbers. `Win10Pro` has three.
fn words(token: &[u8]) -> Vec<usize> {
    let mut words: Vec<usize> = Vec::new();
    let mut before = b'-';
    for byte in token {
        let goes_on = match byte {
            b'0'..=b'9' => before.is_ascii_digit(),
            b'a'..=b'z' => before.is_ascii_alphabetic(),
            b'A'..=b'Z' => before.is_ascii_uppercase(),
            _ => true,
        };
        if !goes_on {
            words.push(0);
        }
        if let Some(last) = words.last_mut()
            && byte.is_ascii_alphanumeric()
        {
            *last += 1;
        }
        before = *byte;
    }
    words
}

/// Eight characters of base32 (esbuild): capitals and digits from 2 to 7, a letter behind a digit.
fn is_base32_hash(token: &[u8]) -> bool {
    let is_letter = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'2'..=b'7');
    let digit = token.iter().position(u8::is_ascii_digit);
    let behind = digit.map_or(&[][..], |digit| &token[digit..]);
    token.len() == HASH_MIN
        && token.iter().all(is_letter)
        && behind.iter().any(u8::is_ascii_uppercase)
}

/// What esbuild writes; the names of other files in capitals are left alone.
fn is_code(extension: &[u8]) -> bool {
    matches!(extension, b"js" | b"mjs" | b"css" | b"map")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hashes_are_recognised() {
        for name in [
            "app.3f2a9c1b.js",
            "app-BX3kd9Qz.js",
            "main.8d3c2f1a0b.chunk.css",
            "logo~ab12cd34.png",
            "fonts.d41d8cd98f00b204.woff2",
            "a.d41d8cd98f00b204.",
            "runtime-0f1e2d3c4b5a6978.js",
            "style.d41d8cd98f00b204e9800998ecf8427e.css",
            "d41d8cd98f00b204e980.png",
            "d41d8cd98f00b204e9800998ecf8427e.svg",
            "index-D_5f-xQz.js",
            "index-Cq7vP-2a.css",
            "vendor.BX3kd9Qz.js",
            "index-BX3kd9Qz.js.map",
            "hero-a1B2c3D4.avif",
            "main-5XJ3QZ2K.js",
            "chunk-ABC2DEFG.js",
            "polyfills.a1b2c3d4e5f6.min.js",
        ] {
            assert!(has_hash(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn ordinary_names_hold_none() {
        for name in [
            "",
            "index.html",
            "app.js",
            "app.min.js",
            "jquery-3.7.1.min.js",
            "bootstrap.min.css",
            "photo-20240131.jpg",
            "photo_20240131_101112.jpg",
            "IMG-20240131-WA0001.jpg",
            "DSC01234.JPG",
            "document-download.pdf",
            "deadbeef.js",
            "cafe-facade-decade.html",
            "report-Sept2024.pdf",
            "setup-Win10Pro.exe",
            "setup-Version2.js",
            "phone-IPhone12.png",
            "report-Q3FY2024.pdf",
            "REPORT23.pdf",
            "my-REPORT23.pdf",
            "my-REPORT23.js",
            "my-Foo-Bar1.js",
            "a-HelloWorld2Things.js",
            "550e8400-e29b-41d4-a716-446655440000.jpg",
            "avatar-550e8400-e29b-41d4-a716-446655440000.jpg",
            "507f1f77bcf86cd799439011.jpg",
            "ab12cd34.jpg",
            "user_ab12cd34.jpg",
            "3f2a9c1.js",
            "app.3f2a9c1.js",
            "1234567890.js",
            "app.12345678.js",
            "app-DASHBOARD.js",
            "app-DASHBORD.js",
            "app-dashbord.js",
            "3f2a9c1b",
            ".3f2a9c1b",
            "v1.2.3.js",
            "inter-latin-400-normal.woff2",
            "DEADBEEF01.bin",
        ] {
            assert!(!has_hash(name.as_bytes()), "{name}");
        }
    }

    fn said(rules: &[&str], path: &str, media_type: &str, status: Status) -> Option<String> {
        let rules: Vec<CacheRule> = rules.iter().map(|r| CacheRule::parse(r).unwrap()).collect();
        let file_name = path.rsplit('/').next().unwrap().as_bytes();
        let value = cache_control(&rules, path.as_bytes(), file_name, media_type, status);
        value.map(str::to_owned)
    }

    #[test]
    fn the_last_rule_for_a_path_counts() {
        let html = "text/html; charset=utf-8";
        for (rules, path, media_type, expected) in [
            (&[][..], "/a.3f2a9c1b.js", "text/javascript", None),
            (&["off"], "/a.3f2a9c1b.js", "text/javascript", None),
            (&["auto"], "/", html, Some("no-cache")),
            (
                &["auto"],
                "/a.3f2a9c1b.js",
                "text/javascript",
                Some(IMMUTABLE),
            ),
            (&["auto"], "/a.3f2a9c1b.html", html, Some("no-cache")),
            (&["auto"], "/a.js", "text/javascript", None),
            (
                &["public, max-age=60"],
                "/a.js",
                "x/y",
                Some("public, max-age=60"),
            ),
            (
                &["auto", "*.js private=\"x\""],
                "/a.js",
                "x/y",
                Some("private=\"x\""),
            ),
            (&["auto", "/api/** off"], "/api/", html, None),
            (
                &["/api/** no-store", "auto"],
                "/api/",
                html,
                Some("no-cache"),
            ),
            (
                &["auto", "index.html no-store"],
                "/index.html",
                html,
                Some("no-store"),
            ),
            (
                &["/assets/** immutable"],
                "/assets/x.js",
                "x/y",
                Some(IMMUTABLE),
            ),
            (
                &["off", "*.{js,css} max-age=5"],
                "/x.css",
                "x/y",
                Some("max-age=5"),
            ),
        ] {
            let said = said(rules, path, media_type, Status::OK);
            assert_eq!(said.as_deref(), expected, "{rules:?} {path}");
        }
    }

    #[test]
    fn only_what_a_file_holds_is_kept() {
        for status in [Status::PARTIAL_CONTENT, Status::NOT_MODIFIED] {
            assert!(said(&["max-age=5"], "/a", "x/y", status).is_some());
        }
        for status in [
            Status::NOT_FOUND,
            Status::FOUND,
            Status::SERVICE_UNAVAILABLE,
        ] {
            assert_eq!(said(&["max-age=5"], "/a", "x/y", status), None);
        }
    }

    #[test]
    fn odd_values_are_refused_with_a_sentence() {
        for text in [
            "",
            ",",
            "a b",
            "max-age=",
            "=1",
            "max-age=\"",
            "/a/**",
            "\u{e4}",
            "a;b",
        ] {
            let why = CacheRule::parse(text).unwrap_err();
            assert!(why.contains("no Cache-Control"), "{text}: {why}");
        }
        assert!(CacheRule::parse("/{a off").unwrap_err().contains("brace"));
        assert_eq!(
            CacheRule::parse(" *.js  off ").unwrap().to_string(),
            "*.js  off"
        );
    }

    proptest! {
        #[test]
        fn any_name_and_any_text_are_answered_without_a_panic(
            name in proptest::collection::vec(any::<u8>(), 0..48),
            tail in "[-a-zA-Z0-9_.~]{0,24}",
            text in "\\PC{0,24}",
        ) {
            has_hash(&name);
            has_hash(&[&name[..], tail.as_bytes()].concat());
            let _ = CacheRule::parse(&text);
        }

        #[test]
        fn every_mixed_hash_of_hex_is_found(hash in "[0-9a-f]{3}[0-9][a-f][0-9a-f]{3,27}") {
            let name = format!("a.{hash}.js");
            prop_assert!(has_hash(name.as_bytes()));
        }
    }
}
