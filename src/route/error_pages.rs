//! Which page of the site stands for an error (`--error-page`).

use std::fmt;

use crate::base::limits::ERROR_PAGE_DEPTH_MAX;
use crate::http::{SafePath, Status};

use super::glob::Glob;

/// `[GLOB ]STATUS[,STATUS…]=PAGE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPageRule {
    text: Box<str>,
    glob: Option<Glob>,
    statuses: Box<[Statuses]>,
    page: ErrorPage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statuses {
    One(Status),
    /// `4xx` or `5xx`, by its hundreds.
    Class(u16),
}

/// A page of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorPage {
    /// This file: its decoded path with a leading slash.
    At(String),
    /// The file of this name that is nearest: in the directory of the request, or one above it.
    Nearest(String),
}

impl ErrorPageRule {
    /// Reads a rule. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<ErrorPageRule, String> {
        let text = text.trim();
        let (glob, rest) = match text.rsplit_once([' ', '\t']) {
            Some((glob, rest)) => (Some(Glob::parse(glob.trim())?), rest),
            None => (None, text),
        };
        let Some((statuses, page)) = rest.split_once('=') else {
            return Err(format!(
                "{text} is no error page: write 404=/404.html or 4xx,5xx=error.html"
            ));
        };
        let statuses: Result<_, String> = statuses.split(',').map(parse_statuses).collect();
        Ok(ErrorPageRule {
            text: text.into(),
            glob,
            statuses: statuses?,
            page: parse_page(page)?,
        })
    }

    /// How well it fits: an exact status before a class, then the longer glob.
    fn fits(&self, path: &[u8], status: Status) -> Option<(bool, usize)> {
        let exact = self.statuses.contains(&Statuses::One(status));
        let class = Statuses::Class(status.code() / 100);
        if !exact && !self.statuses.contains(&class) {
            return None;
        }
        let length = match &self.glob {
            None => 0,
            Some(glob) => glob.matches(path).then_some(glob.as_str().len())?,
        };
        Some((exact, length))
    }
}

impl fmt::Display for ErrorPageRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

fn parse_statuses(text: &str) -> Result<Statuses, String> {
    let class = text.strip_suffix("xx").or(text.strip_suffix("XX"));
    match class {
        Some("4") => return Ok(Statuses::Class(4)),
        Some("5") => return Ok(Statuses::Class(5)),
        _ => {}
    }
    let code: Option<u16> = text.parse().ok();
    let Some(code) = code.filter(|code| (400..600).contains(code)) else {
        return Err(format!(
            "{text} is no status of an error: write 404, 4xx or 5xx"
        ));
    };
    match Status::from_code(code) {
        Some(status) => Ok(Statuses::One(status)),
        None => Err(format!("{code} is a status that this server never sends")),
    }
}

fn parse_page(text: &str) -> Result<ErrorPage, String> {
    let inside = text.strip_prefix('/').unwrap_or(text);
    let safe = inside
        .split('/')
        .all(|segment| SafePath::is_segment(segment.as_bytes()));
    match text.starts_with('/') {
        true if safe => Ok(ErrorPage::At(text.to_owned())),
        false if SafePath::is_segment(text.as_bytes()) => Ok(ErrorPage::Nearest(text.to_owned())),
        _ => Err(format!(
            "{text} is no page: write a path of the site, /404.html, or the name of the nearest \
             one, 404.html"
        )),
    }
}

impl ErrorPage {
    /// Where the page may be, the nearest place first: decoded paths with a leading slash. `path`
    /// is the request's, decoded.
    pub fn places(&self, path: &[u8]) -> Vec<Vec<u8>> {
        match self {
            ErrorPage::At(page) => vec![page.clone().into_bytes()],
            ErrorPage::Nearest(name) => {
                let slashes = memchr::memchr_iter(b'/', path).take(ERROR_PAGE_DEPTH_MAX);
                let below = |slash: usize| [&path[..=slash], name.as_bytes()].concat();
                let mut places: Vec<Vec<u8>> = slashes.map(below).collect();
                places.reverse();
                places
            }
        }
    }
}

/// The page that fits best; of several that fit equally well the last.
pub fn error_page<'a>(
    rules: &'a [ErrorPageRule],
    path: &[u8],
    status: Status,
) -> Option<&'a ErrorPage> {
    let fitting = rules.iter().filter_map(|rule| {
        let fit = rule.fits(path, status)?;
        Some((fit, &rule.page))
    });
    let best = fitting.max_by_key(|(fit, _)| *fit);
    best.map(|(_, page)| page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(rules: &[&str], path: &str, status: Status) -> Option<String> {
        let rules = rules.iter().map(|rule| ErrorPageRule::parse(rule).unwrap());
        let rules: Vec<ErrorPageRule> = rules.collect();
        let page = error_page(&rules, path.as_bytes(), status)?;
        Some(match page {
            ErrorPage::At(page) | ErrorPage::Nearest(page) => page.clone(),
        })
    }

    #[test]
    fn what_is_more_specific_wins() {
        let rules = &[
            "4xx=any.html",
            "404=/404.html",
            "/docs/** 404=/docs/404.html",
            "/docs/api/** 4xx=/docs/api/error.html",
            "403,410=gone.html",
            "410=later.html",
        ];
        for (path, status, expected) in [
            ("/x", Status::NOT_FOUND, Some("/404.html")),
            ("/x", Status::METHOD_NOT_ALLOWED, Some("any.html")),
            ("/docs/x", Status::NOT_FOUND, Some("/docs/404.html")),
            ("/docs/api/x", Status::NOT_FOUND, Some("/docs/404.html")),
            ("/docs/api/x", Status::FORBIDDEN, Some("gone.html")),
            (
                "/docs/api/x",
                Status::URI_TOO_LONG,
                Some("/docs/api/error.html"),
            ),
            ("/x", Status::GONE, Some("later.html")),
            ("/x", Status::INTERNAL_SERVER_ERROR, None),
            ("/x", Status::OK, None),
        ] {
            assert_eq!(
                page(rules, path, status).as_deref(),
                expected,
                "{path} {status:?}"
            );
        }
    }

    #[test]
    fn the_nearest_page_is_looked_for_upwards() {
        let places = |page: &str, path: &str| {
            let rule = ErrorPageRule::parse(&format!("404={page}")).unwrap();
            let places = rule.page.places(path.as_bytes()).into_iter();
            places
                .map(|place| String::from_utf8(place).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(places("/e/404.html", "/a/b"), ["/e/404.html"]);
        assert_eq!(
            places("404.html", "/a/b/c"),
            ["/a/b/404.html", "/a/404.html", "/404.html"]
        );
        assert_eq!(places("404.html", "/a/"), ["/a/404.html", "/404.html"]);
        assert_eq!(places("404.html", "/"), ["/404.html"]);
        let deep = places("404.html", &"/a".repeat(1000));
        assert_eq!(deep.len(), ERROR_PAGE_DEPTH_MAX);
        assert_eq!(deep.last().unwrap(), "/404.html");
    }

    #[test]
    fn odd_rules_are_refused_with_a_sentence() {
        for (rule, says) in [
            ("", "no error page"),
            ("404", "no error page"),
            ("/docs/**", "no error page"),
            ("=x.html", "no status of an error"),
            ("200=x.html", "no status of an error"),
            ("4x=x.html", "no status of an error"),
            ("3xx=x.html", "no status of an error"),
            ("404,=x.html", "no status of an error"),
            ("418=x.html", "never sends"),
            ("404=", "no page"),
            ("404=a/b.html", "no page"),
            ("404=/a/../b.html", "no page"),
            ("404=/", "no page"),
            ("404=..", "no page"),
            ("/{a 404=x.html", "brace"),
        ] {
            let why = ErrorPageRule::parse(rule).unwrap_err();
            assert!(why.contains(says), "{rule}: {why}");
        }
        assert_eq!(
            ErrorPageRule::parse("5XX=a.html").unwrap().to_string(),
            "5XX=a.html"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text in "[/*a. 4x=,]{0,16}|\\PC{0,24}") {
            if let Ok(rule) = ErrorPageRule::parse(&text) {
                rule.page.places(b"/a/b");
            }
        }
    }
}
