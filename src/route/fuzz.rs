//! Fuzz bodies for the rules: each takes any bytes and checks what must hold for all of them.
//!
//! A cargo-fuzz target is one call of one of these; `tests/fuzz_bodies.rs` runs them as tests.

use crate::http::{Field, Fields, ResponseHead, SafePath, Status};

use super::condition::language_matches;
use super::glob::Glob;
use super::hosts::{HostName, Hosts};
use super::redirect::{Action, RuleContext};
use super::rules::{Facts, Rules};
use super::target::with_query;

/// Rules that capture whatever they can, for the requests that a peer makes up.
const REDIRECTS: &[u8] = b"\
/s/* /:splat 302!\n/t/:a/* /:splat/:a 302!\n/q a=:a b=:b /:a/:b?q=:a#:b 302!\n\
/u/* https://o.example/:splat 302!\n/r/* /in/:splat 200!\n/f a=:a /in/:a 200!\n\
https://:h.example/* /:h/:splat?h=:h 302!\n/l /de 302! Language=de Cookie=a\n/*.x /:splat 302\n";
const HEADERS: &[u8] = b"/*\n X-Path: :splat\n/:a/:b\n Link: </:a/:b>\n! Server\n";

/// Whatever a request says, no rule sends it to a host that the rule does not name, ends a field
/// line, or serves it what lies outside. Lines: path, query, host, `Accept-Language`, `Cookie`.
pub fn fuzz_steering(input: &[u8]) {
    let (rules, complaints) = Rules::default().with_files(Some(HEADERS), Some(REDIRECTS));
    assert_eq!(complaints, []);
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    // The raw path as a peer sends it, and the same bytes as if they had been decoded.
    let (raw, query, host, language, cookie) = (next(), next(), next(), next(), next());
    let mut decoded = vec![b'/'];
    decoded.extend(SafePath::parse(raw).iter().flat_map(SafePath::as_bytes));
    let list = [
        Field {
            name: "accept-language",
            value: language,
        },
        Field {
            name: "cookie",
            value: cookie,
        },
    ];
    language_matches(language, "de");
    for path in [&decoded[..], &[b"/", raw].concat()] {
        let context = RuleContext {
            host: Some(host),
            path,
            query: Some(query),
            fields: Fields::new(&list),
        };
        check(rules.steer(&context).action, query);
        check(rules.steer_missing(&context).action, query);
        let mut head = ResponseHead::new(Status::OK);
        let facts = Facts {
            path,
            host: Some(host),
            file_name: raw,
            media_type: "",
            status: Status::OK,
        };
        rules.dress(&facts, &mut head);
    }
}

fn check(action: Action, query: &[u8]) {
    match action {
        Action::Pass => {}
        Action::Redirect {
            location,
            keeps_query,
            ..
        } => {
            let whole = match keeps_query {
                true => with_query(&location, Some(query)),
                false => location,
            };
            assert!(
                whole.iter().all(u8::is_ascii_graphic),
                "a byte that ends the line"
            );
            let here = whole[0] == b'/' && !matches!(whole.get(1), Some(b'/' | b'\\'));
            assert!(
                here || whole.starts_with(b"https://o.example/"),
                "another host"
            );
        }
        Action::Rewrite { path, .. } => {
            let inside = path.strip_prefix(b"/").expect("paths begin with a slash");
            let inside = inside.strip_suffix(b"/").unwrap_or(inside);
            let mut segments = inside.split(|byte| *byte == b'/');
            assert!(
                inside.is_empty() || segments.all(SafePath::is_segment),
                "outside"
            );
        }
    }
}

/// Whatever a file of rules holds, it is read within its bounds, and obeyed without a fault.
pub fn fuzz_rule_files(input: &[u8]) {
    let (rules, complaints) = Rules::default().with_files(Some(input), Some(input));
    assert!(complaints.iter().all(|complaint| complaint.line > 0));
    for path in [&b"/"[..], b"/a", b"/a/b/c.css", b"/a/b/"] {
        let context = RuleContext {
            host: Some(b"a.example:80"),
            path,
            query: Some(b"a=b&c"),
            fields: Fields::new(&[]),
        };
        rules.steer(&context);
        rules.steer_missing(&context);
        let mut head = ResponseHead::new(Status::OK).with("Vary", "Accept");
        let facts = Facts {
            path,
            host: Some(b"a.example:80"),
            file_name: b"c.css",
            media_type: "text/css",
            status: Status::OK,
        };
        rules.dress(&facts, &mut head);
        assert_eq!(head.get("Vary"), Some(&b"Accept"[..]));
    }
}

/// A glob (the first line) and a path; a name of a site and the authority of a request.
pub fn fuzz_names(input: &[u8]) {
    let line_end = memchr::memchr(b'\n', input).unwrap_or(input.len());
    let (first, rest) = (
        &input[..line_end],
        input.get(line_end + 1..).unwrap_or_default(),
    );
    let Ok(text) = std::str::from_utf8(first) else {
        return;
    };
    if let Ok(glob) = Glob::parse(text) {
        glob.matches(rest);
    }
    if let Ok(name) = HostName::parse(text) {
        assert_eq!(HostName::parse(&name.to_string()).as_ref(), Ok(&name));
        let hosts = Hosts::new(vec![(vec![name], 0)], None).expect("one site has no rival");
        hosts.select(Some(rest));
    }
}
