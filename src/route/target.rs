//! Where a redirect or rewrite leads: text with the captures of its pattern in it.
//!
//! No capture decides about the host, leaves the site's root, or ends a field line.

use crate::base::limits::LOCATION_BYTES_MAX;
use crate::http::{Authority, SafePath};

use super::escape;
use super::pattern::{Captures, SPLAT, name_len, strip_scheme};

/// Where a rule leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `https://a.example`, as it was written; `None` for a path of this site.
    origin: Option<Box<str>>,
    path: Box<[Piece]>,
    query: Option<Box<[Piece]>>,
    fragment: Option<Box<[Piece]>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// A part of a URI as it was written.
    Literal(Box<[u8]>),
    Capture(Box<str>),
}

impl Target {
    /// Reads a target. `names`: what the rule captures. The fault is a sentence for the operator.
    pub fn parse(text: &str, names: &[&str]) -> Result<Target, String> {
        let (origin, rest) = match strip_scheme(text) {
            Some(after) => {
                let end = after.find(['/', '?', '#']).unwrap_or(after.len());
                let authority = &after[..end];
                // A capture here would let a request choose the host.
                if Authority::parse(authority.as_bytes()).is_none() {
                    return Err(format!(
                        "{authority} is no host: it is written out, not captured"
                    ));
                }
                let (origin, rest) = text.split_at(text.len() - after.len() + end);
                (Some(origin.into()), rest)
            }
            None => (None, text),
        };
        if origin.is_none() && !rest.starts_with('/') {
            return Err(format!("{text} begins with neither a slash nor https://"));
        }
        if origin.is_none() && rest.starts_with(['/', '\\']) && rest[1..].starts_with(['/', '\\']) {
            return Err(format!(
                "{text} names another host: write https:// in front of it"
            ));
        }
        let (rest, fragment) = split_at_mark(rest, '#');
        let (path, query) = split_at_mark(rest, '?');
        Ok(Target {
            origin,
            path: parse_pieces(path, names)?,
            query: query.map(|query| parse_pieces(query, names)).transpose()?,
            fragment: fragment
                .map(|fragment| parse_pieces(fragment, names))
                .transpose()?,
        })
    }

    /// True for a URL, false for a path of this site.
    pub fn has_host(&self) -> bool {
        self.origin.is_some()
    }

    /// True when it says itself which query goes with it.
    pub fn has_query(&self) -> bool {
        self.query.is_some()
    }

    /// The value of `Location`; `None` when it would be too long. It never names a host that the
    /// target does not, and never holds a byte that could end the field line.
    pub fn location(&self, captures: &Captures<'_>) -> Option<Vec<u8>> {
        let mut location = Vec::new();
        match &self.origin {
            Some(origin) => {
                location.extend_from_slice(origin.as_bytes());
                push_pieces(&self.path, captures, In::Path, &mut location)?;
            }
            None => {
                push_pieces(&self.path, captures, In::Path, &mut location)?;
                // Two slashes at the beginning would name a host (RFC 3986 §4.2). An empty capture
                // leaves such, as in `/:splat/x`.
                let slashes = location.iter().take_while(|byte| **byte == b'/').count();
                location.drain(1..slashes);
            }
        }
        for (mark, pieces) in [(b'?', &self.query), (b'#', &self.fragment)] {
            if let Some(pieces) = pieces {
                location.push(mark);
                push_pieces(pieces, captures, In::Value, &mut location)?;
            }
        }
        Some(location)
    }

    /// The path of this site that it means, decoded and with its leading slash; `None` when the
    /// captures make no path of it that can be safe.
    pub fn path(&self, captures: &Captures<'_>) -> Option<Vec<u8>> {
        let mut encoded = Vec::new();
        push_pieces(&self.path, captures, In::Path, &mut encoded)?;
        // A capture does not climb, not even inside of the root.
        let climbs = |segment: &[u8]| matches!(&escape::decode(segment)[..], b"." | b"..");
        if encoded.split(|byte| *byte == b'/').any(climbs) {
            return None;
        }
        let path = SafePath::parse(&encoded).ok()?;
        let mut decoded = vec![b'/'];
        decoded.extend_from_slice(path.as_bytes());
        if path.ends_in_slash() && decoded.len() > 1 {
            decoded.push(b'/');
        }
        Some(decoded)
    }

    /// True when the target is another server's path, or this one's, and the same as `path`.
    pub fn is_at(&self, captures: &Captures<'_>, path: &[u8]) -> bool {
        // A URL without a path means the root.
        match self.path.is_empty() {
            true => path == b"/",
            false => self.path(captures).as_deref() == Some(path),
        }
    }

    /// True when it names the host, port included, that a request names. A path always does.
    pub fn is_on(&self, authority: Option<&[u8]>) -> bool {
        let Some(origin) = &self.origin else {
            return true;
        };
        let own = strip_scheme(origin).unwrap_or_default();
        let (own, named) = (
            Authority::parse(own.as_bytes()),
            authority.and_then(Authority::parse),
        );
        // The scheme is not known here, so that either one's port is as good as none.
        let port = |port: Option<u16>| port.filter(|port| !matches!(port, 80 | 443));
        own.zip(named).is_some_and(|(own, named)| {
            own.host.eq_ignore_ascii_case(named.host) && port(own.port) == port(named.port)
        })
    }

    /// True when it has no query of its own, or one that is the request's.
    pub fn asks(&self, captures: &Captures<'_>, query: Option<&[u8]>) -> bool {
        self.query.as_ref().is_none_or(|pieces| {
            let mut own = Vec::new();
            let made = push_pieces(pieces, captures, In::Value, &mut own);
            made.is_some() && Some(&own[..]) == query
        })
    }
}

/// `location` with the query of the request, which goes in front of a fragment (RFC 3986 §3.5).
/// For a location that has no query of its own.
pub fn with_query(location: &[u8], query: Option<&[u8]>) -> Vec<u8> {
    let Some(query) = query else {
        return location.to_vec();
    };
    let end = memchr::memchr(b'#', location).unwrap_or(location.len());
    let mut whole = location[..end].to_vec();
    whole.push(b'?');
    // The query of a request holds no `#`, which would begin a fragment.
    for (position, part) in query.split(|byte| *byte == b'#').enumerate() {
        whole.extend_from_slice(if position == 0 { b"" } else { b"%23" });
        escape::push_reference(part, &mut whole);
    }
    whole.extend_from_slice(&location[end..]);
    whole
}

fn split_at_mark(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn parse_pieces(text: &str, names: &[&str]) -> Result<Box<[Piece]>, String> {
    let bytes = text.as_bytes();
    let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
    while let Some(colon) = memchr::memchr(b':', &bytes[at..]).map(|found| at + found) {
        at = colon + 1;
        let end = at + name_len(&bytes[at..]);
        let name = &text[at..end];
        if names.contains(&name) {
            pieces.push(Piece::Literal(bytes[start..colon].into()));
            pieces.push(Piece::Capture(name.into()));
            (start, at) = (end, end);
        } else if !name.is_empty() && text[..colon].ends_with('/') {
            let missing = match name {
                SPLAT => "the rule has no * at the end of its source".to_owned(),
                _ => format!("the rule captures no :{name}"),
            };
            return Err(format!("the target holds :{name}, but {missing}"));
        }
    }
    pieces.push(Piece::Literal(bytes[start..].into()));
    pieces.retain(|piece| *piece != Piece::Literal(Box::default()));
    Ok(pieces.into())
}

/// Where a capture is put.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Path,
    /// A query or a fragment.
    Value,
}

fn push_pieces(pieces: &[Piece], captures: &Captures<'_>, to: In, out: &mut Vec<u8>) -> Option<()> {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => escape::push_reference(text, out),
            Piece::Capture(name) => {
                let value = captures.get(name).unwrap_or_default();
                match to {
                    In::Value => escape::push_value(value, out),
                    In::Path if **name == *SPLAT => escape::push_path(value, out),
                    In::Path => escape::push_segment(value, out),
                }
            }
        }
        if out.len() > LOCATION_BYTES_MAX {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: &[&str] = &["splat", "a", "b"];

    fn captures(splat: &[u8], a: &[u8]) -> Captures<'static> {
        let mut captures = Captures::default();
        captures.add("splat", splat.to_vec());
        captures.add("a", a.to_vec());
        captures
    }

    fn location(target: &str, splat: &[u8], a: &[u8]) -> String {
        let target = Target::parse(target, NAMES).unwrap();
        String::from_utf8(target.location(&captures(splat, a)).unwrap()).unwrap()
    }

    #[test]
    fn locations_hold_what_was_captured_and_nothing_else() {
        for (target, splat, a, expected) in [
            ("/x", &b""[..], &b""[..], "/x"),
            ("/x/:splat", b"a/b/", b"", "/x/a/b/"),
            ("/x/:a.html", b"", b"p", "/x/p.html"),
            ("/:a-:splat?q=:a#:a", b"s", b"p&q", "/p&q-s?q=p%26q#p%26q"),
            (
                "https://o.example/:splat",
                b"a b",
                b"",
                "https://o.example/a%20b",
            ),
            ("https://o.example", b"a", b"", "https://o.example"),
            (
                "https://o.example:8443?x=:a",
                b"",
                b"1",
                "https://o.example:8443?x=1",
            ),
            ("/x:80/:a", b"", b"\xc3\xa4", "/x:80/%C3%A4"),
            ("/p%20q r", b"", b"", "/p%20q%20r"),
            // No capture names a host.
            ("/:splat", b"/evil.example/", b"", "/evil.example/"),
            ("/:splat", b"\\evil.example", b"", "/%5Cevil.example"),
            ("/:splat/evil.example", b"", b"", "/evil.example"),
            ("/:a/x", b"", b"//evil.example", "/%2F%2Fevil.example/x"),
            (
                "/:splat",
                b"a\r\nSet-Cookie: b=c",
                b"",
                "/a%0D%0ASet-Cookie:%20b=c",
            ),
            (
                "https://o.example/:splat",
                b"/@evil.example",
                b"",
                "https://o.example//@evil.example",
            ),
        ] {
            assert_eq!(location(target, splat, a), expected, "{target}");
        }
    }

    #[test]
    fn a_path_is_decoded_and_stays_below_the_root() {
        let path = |target: &str, splat: &[u8], a: &[u8]| {
            let target = Target::parse(target, NAMES).unwrap();
            let path = target.path(&captures(splat, a))?;
            Some(String::from_utf8(path).unwrap())
        };
        assert_eq!(
            path("/x%20y/:splat", b"a b/", b""),
            Some("/x y/a b/".into())
        );
        assert_eq!(path("/", b"", b""), Some("/".into()));
        assert_eq!(path("/:splat/x?q#f", b"", b""), Some("/x".into()));
        assert_eq!(path("/:a", b"", b"100%25"), Some("/100%25".into()));
        assert_eq!(path("/x/:a", b"", b"../y"), None);
        assert_eq!(path("/:splat", b"../y", b""), None);
        assert_eq!(path("/x/:a", b"", b".."), None);
        assert_eq!(path("/x/:splat", b"y/./z", b""), None);
        assert_eq!(path("/x/:splat", b"a\0", b""), None);
        assert_eq!(path("/:a", b"", b"a/b"), None);
    }

    #[test]
    fn odd_targets_are_refused_with_a_sentence() {
        for (target, says) in [
            ("", "neither a slash"),
            ("x", "neither a slash"),
            ("javascript:alert(1)", "neither a slash"),
            ("//evil.example", "names another host"),
            ("/\\evil.example", "names another host"),
            ("https://", "no host"),
            ("https://:a.example/", "no host"),
            ("https://o.example:splat", "no host"),
            ("https://u@o.example/", "no host"),
            ("/:c", "captures no :c"),
            ("https://o.example/:year", "captures no :year"),
        ] {
            let why = Target::parse(target, NAMES).unwrap_err();
            assert!(why.contains(says), "{target}: {why}");
        }
        let why = Target::parse("/:splat", &[]).unwrap_err();
        assert!(why.contains("no * at the end"), "{why}");
    }

    #[test]
    fn what_leads_to_itself_is_seen() {
        let back = |target: &str, host: Option<&[u8]>, query: Option<&[u8]>| {
            let (target, captures) = (Target::parse(target, NAMES).unwrap(), captures(b"x", b"y"));
            let at = target.is_at(&captures, b"/x/y");
            at && target.is_on(host) && target.asks(&captures, query)
        };
        let host = Some(&b"o.example:80"[..]);
        assert!(back("/:splat/:a", None, None));
        assert!(back("/:splat/y#z", None, Some(b"q=1")));
        assert!(back("/x/y?q=1", None, Some(b"q=1")));
        assert!(!back("/x/y?q=1", None, None));
        assert!(!back("/x/y/", None, None));
        assert!(back("https://O.example/x/y", host, None));
        assert!(back("https://O.example:443/x/y", host, None));
        assert!(!back("https://o.example:8443/x/y", host, None));
        assert!(!back("https://p.example/x/y", host, None));
        assert!(!back("https://o.example/x/y", None, None));
        let root = Target::parse("https://o.example", NAMES).unwrap();
        assert!(root.is_at(&captures(b"", b""), b"/") && !root.is_at(&captures(b"", b""), b"/x"));
    }

    #[test]
    fn a_query_goes_in_front_of_the_fragment() {
        assert_eq!(with_query(b"/a", None), b"/a");
        assert_eq!(
            with_query(b"/a", Some(b"b=%41 \r\nc")),
            b"/a?b=%41%20%0D%0Ac"
        );
        assert_eq!(with_query(b"/a#f", Some(b"b#c")), b"/a?b%23c#f");
    }

    #[test]
    fn a_location_has_a_bound() {
        let target = format!("/{}", ":splat/".repeat(100));
        let target = Target::parse(&target, NAMES).unwrap();
        assert_eq!(target.location(&captures(&[b' '; 4000], b"")), None);
        assert_eq!(target.path(&captures(&[b' '; 4000], b"")), None);
    }

    proptest! {
        #[test]
        fn no_capture_leads_to_another_host_or_ends_the_line(
            target in "(https://o\\.example)?/(:splat|:a|/|[a-z?#.]){0,6}",
            splat in prop_oneof![
                "[/\\\\\r\n:@?#.%a]{0,8}".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..24),
            ],
            a in "[/\\\\\r\n:@?#.%a]{0,8}",
        ) {
            if let Ok(parsed) = Target::parse(&target, NAMES) {
                let captures = captures(&splat, a.as_bytes());
                let location = parsed.location(&captures).unwrap();
                prop_assert!(location.iter().all(u8::is_ascii_graphic));
                if parsed.has_host() {
                    prop_assert!(location.starts_with(b"https://o.example/"));
                } else {
                    prop_assert!(location[0] == b'/');
                    prop_assert!(!matches!(location.get(1), Some(b'/' | b'\\')));
                }
                if let Some(path) = parsed.path(&captures) {
                    prop_assert!(path[0] == b'/');
                    let inside = path[1..].strip_suffix(b"/").unwrap_or(&path[1..]);
                    let safe = inside.split(|byte| *byte == b'/').all(SafePath::is_segment);
                    prop_assert!(inside.is_empty() || safe);
                }
            }
        }
    }
}
