//! Values of a site's flags that have a syntax of their own. Pure.
//!
//! Each gives a sentence that goes behind `--flag does not take "value"; `.

use std::path::PathBuf;

use crate::base::limits::TRIES_MAX;
use crate::route::site::Mount;
use crate::route::try_files::{Try, TryFiles};

/// The name of a file without a path.
pub(super) fn index_name(text: &str) -> Result<String, String> {
    match is_segment(text) {
        true => Ok(text.to_owned()),
        false => Err("it is the name of a file without a path, as in index.html".to_owned()),
    }
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '\0']) && text != "." && text != ".."
}

/// Decoded, without slashes at its ends; segments that a path can have.
fn inner_path(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('/').unwrap_or(text);
    inner.split('/').all(is_segment).then_some(inner)
}

/// `--spa`: the page, without its leading slash; `None` for none.
pub(super) fn spa_page(text: &str) -> Result<Option<String>, String> {
    match text {
        "true" => Ok(Some("index.html".to_owned())),
        "false" => Ok(None),
        _ => match inner_path(text) {
            Some(page) => Ok(Some(page.to_owned())),
            None => Err("it is a page of the site, as in /app.html".to_owned()),
        },
    }
}

/// `--try`: patterns separated by blanks or commas.
pub(super) fn tries<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<TryFiles, String> {
    let split = |text: &'a str| text.split([' ', ',', '\t', '\n']);
    let patterns = texts.into_iter().flat_map(split);
    let patterns = patterns.filter(|pattern| !pattern.is_empty());
    let tries: Vec<Try> = patterns.map(try_one).collect::<Result<_, String>>()?;
    if tries.is_empty() {
        return Err("it tries nothing; write it as in '$path $path.html =404'".to_owned());
    }
    if tries.len() > TRIES_MAX {
        return Err(format!("it tries more than {TRIES_MAX} files"));
    }
    let is_end = |one: &Try| matches!(one, Try::Status(_));
    if tries[..tries.len() - 1].iter().any(is_end) {
        return Err("a status ends the search: it stands last".to_owned());
    }
    Ok(TryFiles(tries))
}

fn try_one(text: &str) -> Result<Try, String> {
    if let Some(suffix) = text.strip_prefix("$path") {
        // What stands behind a slash is a path below the one that was asked for, whose last
        // segment may be empty.
        let (end, below) = suffix.split_once('/').unwrap_or((suffix, ""));
        let is_safe = below.is_empty() || inner_path(below) == Some(below);
        let is_safe = is_safe && end != "." && end != "..";
        if suffix.contains(['$', '\0']) || !is_safe {
            return Err(format!("{text} is no path: say $path.html or $path/"));
        }
        let suffix = suffix.to_owned();
        return Ok(Try::Path { suffix });
    }
    if let Some(code) = text.strip_prefix('=') {
        let code: Option<u16> = code.parse().ok();
        return match code.filter(|code| is_error(*code)) {
            Some(code) => Ok(Try::Status(code)),
            None => Err(format!("{text} is no status of an error: say =404 or =410")),
        };
    }
    match text.starts_with('/').then(|| inner_path(text)).flatten() {
        Some(file) => Ok(Try::File(file.to_owned())),
        None => Err(format!(
            "{text} is nothing that can be tried: say $path, $path.html, $path/, /page.html or =404"
        )),
    }
}

fn is_error(code: u16) -> bool {
    let is_error = (400..600).contains(&code);
    is_error && crate::http::Status::from_code(code).is_some()
}

/// `--mount`: the directory as it is said.
pub(super) fn mount(text: &str) -> Result<Mount, String> {
    let sentence = "say /PREFIX=DIR, as in /docs=/srv/manual";
    let (prefix, root) = text.split_once('=').ok_or(sentence)?;
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    match inner_path(prefix) {
        Some(inner) if prefix.starts_with('/') && !root.is_empty() => Ok(Mount {
            prefix: inner.to_owned(),
            root: PathBuf::from(root),
        }),
        _ => Err(sentence.to_owned()),
    }
}

/// `--language`: a tag (RFC 5646 §2.1) in lower case.
pub(super) fn language(text: &str) -> Result<String, String> {
    let is_subtag = |subtag: &str| {
        (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let first = text.split('-').next().unwrap_or_default();
    let begins = first.len() >= 2 && first.bytes().all(|byte| byte.is_ascii_alphabetic());
    match begins && text.split('-').all(is_subtag) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a language is a tag, as in de, pt-BR or zh-Hant".to_owned()),
    }
}

/// `--country-header`: the name of a field.
pub(super) fn field_name(text: &str) -> Result<(), String> {
    let is_name = !text.is_empty() && text.bytes().all(crate::http::field::is_token_byte);
    match is_name {
        true => Ok(()),
        false => Err("it is the name of a field, as in CF-IPCountry".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(suffix: &str) -> Try {
        let suffix = suffix.to_owned();
        Try::Path { suffix }
    }

    #[test]
    fn patterns_are_tried_in_order() {
        let page = Try::File("a/b.html".to_owned());
        for (text, expected) in [
            ("$path", vec![path("")]),
            (
                "$path $path.html,$path/ , =404",
                vec![path(""), path(".html"), path("/"), Try::Status(404)],
            ),
            (
                "$path/index.htm /a/b.html",
                vec![path("/index.htm"), page.clone()],
            ),
        ] {
            assert_eq!(tries([text]), Ok(TryFiles(expected)), "{text}");
        }
        let in_pieces = tries(["$path", "/a/b.html"]);
        assert_eq!(in_pieces, Ok(TryFiles(vec![path(""), page])));
    }

    #[test]
    fn what_cannot_be_tried_is_told() {
        for (text, says) in [
            ("", "tries nothing"),
            (" ,", "tries nothing"),
            ("=404 $path", "stands last"),
            ("=200", "no status of an error"),
            ("=499", "no status of an error"),
            ("=x", "no status of an error"),
            ("path", "say $path"),
            ("/a/../b", "say $path"),
            ("/", "say $path"),
            ("$path/../../etc/passwd", "no path"),
            ("$path../x", "no path"),
            ("$path..", "no path"),
            ("$path$path", "no path"),
        ] {
            let why = tries([text]).unwrap_err();
            assert!(why.contains(says), "{text:?}: {why}");
        }
        let many = "$path ".repeat(TRIES_MAX + 1);
        assert!(tries([many.as_str()]).unwrap_err().contains("more than"));
    }

    #[test]
    fn an_application_has_one_page() {
        assert_eq!(spa_page("true"), Ok(Some("index.html".to_owned())));
        assert_eq!(spa_page("/app/a.html"), Ok(Some("app/a.html".to_owned())));
        assert_eq!(spa_page("false"), Ok(None));
        for text in ["", "/", "../a.html", "a//b", "a/"] {
            assert!(spa_page(text).unwrap_err().contains("/app.html"), "{text}");
        }
    }

    #[test]
    fn a_mount_has_a_prefix_and_a_directory() {
        let docs = |root: &str| {
            Ok(Mount {
                prefix: "docs/v1".to_owned(),
                root: root.into(),
            })
        };
        assert_eq!(mount("/docs/v1=../a"), docs("../a"));
        assert_eq!(mount("/docs/v1/=/a=b"), docs("/a=b"));
        for text in ["", "/docs", "docs=a", "/=a", "/docs=", "/a/../b=c", "//a=b"] {
            assert!(mount(text).unwrap_err().contains("/PREFIX=DIR"), "{text}");
        }
    }

    #[test]
    fn languages_are_tags() {
        assert_eq!(language("pt-BR").as_deref(), Ok("pt-br"));
        assert_eq!(language("zh-Hant-TW").as_deref(), Ok("zh-hant-tw"));
        for text in ["", "d", "de_DE", "de-", "-de", "12", "abcdefghi", "*", "dé"] {
            assert!(language(text).unwrap_err().contains("pt-BR"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered_and_nothing_climbs(text in "[$path./=a, \\-]{0,24}|\\PC{0,24}") {
            let _ = (language(&text), field_name(&text), index_name(&text));
            let climbs = |path: &str| path.split('/').any(|segment| segment == "..");
            if let Ok(Some(page)) = spa_page(&text) {
                prop_assert!(!climbs(&page));
            }
            if let Ok(mount) = mount(&text) {
                prop_assert!(!climbs(&mount.prefix) && !mount.prefix.is_empty());
            }
            for one in tries([text.as_str()]).map(|tries| tries.0).unwrap_or_default() {
                match one {
                    Try::Path { suffix } => prop_assert!(!climbs(&suffix)),
                    Try::File(file) => prop_assert!(!climbs(&file)),
                    Try::Status(code) => prop_assert!(code >= 400),
                }
            }
        }
    }
}
