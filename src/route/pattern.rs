//! Patterns of addresses, as `_redirects` and `_headers` write them, and what they capture.
//!
//! `:name` at the beginning of a segment takes that segment, up to what follows the name; one `*`
//! takes any bytes. Each pattern fits in one way only, so that matching never goes back.

use std::borrow::Cow;

use crate::base::limits::HOST_NAME_BYTES_MAX;

use super::{escape, hosts};

/// A pattern of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The labels of the host that it is for.
    host: Option<Box<[Segment]>>,
    /// Up to the asterisk, or all.
    head: Box<[Segment]>,
    splat: Option<Splat>,
}

/// One segment of a path, or one label of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// Decoded; labels are in lower case.
    Literal(Box<[u8]>),
    /// At least one byte in front of `suffix`.
    Capture { name: Box<str>, suffix: Box<[u8]> },
}

/// The asterisk, and what stands around it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Splat {
    before: Box<[u8]>,
    after: Box<[u8]>,
    tail: Box<[Segment]>,
}

/// The name under which a target says what the asterisk took.
pub const SPLAT: &str = "splat";

/// What was captured, by name. Decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures<'a>(Vec<(&'a str, Cow<'a, [u8]>)>);

impl<'a> Captures<'a> {
    /// What was captured under a name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mut captures = self.0.iter();
        let capture = captures.find(|(known, _)| *known == name);
        capture.map(|(_, value)| &value[..])
    }

    /// Adds what was captured elsewhere in the request.
    pub fn add(&mut self, name: &'a str, value: impl Into<Cow<'a, [u8]>>) {
        self.0.push((name, value.into()));
    }
}

impl Pattern {
    /// Reads a path, or a URL with `http://` or `https://`, of which the scheme is not looked at.
    /// The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let (host, path) = match strip_scheme(text) {
            Some(rest) => {
                let slash = rest.find('/').unwrap_or(rest.len());
                (Some(parse_host(&rest[..slash])?), &rest[slash..])
            }
            None if text.starts_with('/') => (None, text),
            None => return Err(format!("{text} begins with neither a slash nor https://")),
        };
        let (head, splat) = parse_path(path)?;
        let pattern = Pattern { host, head, splat };
        let mut names: Vec<&str> = pattern.names().collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("{text} captures :{} twice", pair[0])),
            None => Ok(pattern),
        }
    }

    /// The names that it captures.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let host = self.host.iter().flatten();
        let tail = self.splat.iter().flat_map(|splat| &splat.tail);
        let named = host.chain(&self.head).chain(tail);
        let named = named.filter_map(|segment| match segment {
            Segment::Capture { name, .. } => Some(&**name),
            Segment::Literal(_) => None,
        });
        named.chain(self.splat.iter().map(|_| SPLAT))
    }

    /// True when it is for one host only.
    pub fn has_host(&self) -> bool {
        self.host.is_some()
    }

    /// The only path that it is for, decoded and without a final slash, when there is only one.
    pub fn literal(&self) -> Option<Vec<u8>> {
        if self.splat.is_some() {
            return None;
        }
        let mut path = Vec::new();
        for segment in &self.head {
            let Segment::Literal(segment) = segment else {
                return None;
            };
            path.push(b'/');
            path.extend_from_slice(segment);
        }
        Some(path)
    }

    /// What it captures of a path, decoded and with its leading slash. A final slash makes no
    /// difference.
    pub fn match_path<'a>(&'a self, path: &'a [u8]) -> Option<Captures<'a>> {
        let mut captures = Captures::default();
        let whole = path.strip_prefix(b"/")?;
        let path = whole.strip_suffix(b"/").unwrap_or(whole);
        let Some(splat) = &self.splat else {
            let rest = match_front(&self.head, Some(path), &mut captures)?;
            return rest.is_none_or(<[u8]>::is_empty).then_some(captures);
        };
        // An asterisk at the end takes the final slash, too: `/a/*` sends `/a/b/` on as `b/`.
        let takes_slash = splat.after.is_empty() && splat.tail.is_empty();
        let path = if takes_slash { whole } else { path };
        let rest = match_front(&self.head, Some(path), &mut captures)?;
        let rest = match rest {
            Some(rest) => rest,
            // `/a/*` is for `/a`, too.
            None if takes_slash && splat.before.is_empty() => b"",
            None => return None,
        };
        let middle = match_back(&splat.tail, rest, &mut captures)?;
        let middle = middle.strip_prefix(&*splat.before)?;
        captures.add(SPLAT, middle.strip_suffix(&*splat.after)?);
        Some(captures)
    }

    /// True when it is for the host of this authority; adds what it captures of it.
    pub fn match_host<'a>(&'a self, authority: Option<&[u8]>, captures: &mut Captures<'a>) -> bool {
        let Some(labels) = &self.host else {
            return true;
        };
        let mut buffer = [0; HOST_NAME_BYTES_MAX];
        let host = authority.and_then(|authority| hosts::canonical(authority, &mut buffer));
        let Some(host) = host else {
            return false;
        };
        let mut found = host.split(|byte| *byte == b'.');
        for label in labels {
            let Some(found) = found.next() else {
                return false;
            };
            match label {
                Segment::Literal(literal) if **literal == *found => {}
                Segment::Capture { name, .. } if !found.is_empty() => {
                    captures.add(name, found.to_vec());
                }
                _ => return false,
            }
        }
        found.next().is_none()
    }
}

/// What follows the scheme of a URL.
pub fn strip_scheme(text: &str) -> Option<&str> {
    text.strip_prefix("https://")
        .or(text.strip_prefix("http://"))
}

/// How many bytes of a text are the name of a capture: letters, digits and underscores, a digit not
/// being the first.
pub fn name_len(text: &[u8]) -> usize {
    if text.first().is_none_or(u8::is_ascii_digit) {
        return 0;
    }
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.iter().take_while(|byte| is_letter(byte)).count()
}

fn parse_host(text: &str) -> Result<Box<[Segment]>, String> {
    let labels = text.split('.').map(|label| {
        if let Some(name) = label.strip_prefix(':')
            && name_len(name.as_bytes()) == name.len()
            && !name.is_empty()
        {
            let name = name.into();
            let suffix = Box::default();
            return Ok(Segment::Capture { name, suffix });
        }
        match hosts::HostName::parse(label)? {
            hosts::HostName::Exact(label) => Ok(Segment::Literal(label.into_bytes().into())),
            _ => Err(format!(
                "{text}: a label of a host is written out, or captured by :name"
            )),
        }
    });
    labels.collect()
}

type Path = (Box<[Segment]>, Option<Splat>);

fn parse_path(text: &str) -> Result<Path, String> {
    if text.contains('?') {
        return Err(format!(
            "{text} holds a query: conditions on it stand behind the path, as in /a id=:id /b/:id"
        ));
    }
    if text.contains('#') {
        return Err(format!("{text} holds a fragment, which no client sends"));
    }
    let text = text.strip_prefix('/').unwrap_or(text);
    let Some((before, after)) = text.split_once('*') else {
        return Ok((parse_segments(text)?, None));
    };
    if after.contains('*') {
        return Err(format!("/{text} holds more than one *"));
    }
    let (head, before) = before.rsplit_once('/').unwrap_or(("", before));
    let (after, tail) = after.split_once('/').unwrap_or((after, ""));
    let splat = Splat {
        before: escape::decode(before.as_bytes()).into(),
        after: escape::decode(after.as_bytes()).into(),
        tail: parse_segments(tail)?,
    };
    Ok((parse_segments(head)?, Some(splat)))
}

fn parse_segments(text: &str) -> Result<Box<[Segment]>, String> {
    let segments = text.split('/').filter(|segment| !segment.is_empty());
    segments.map(parse_segment).collect()
}

fn parse_segment(text: &str) -> Result<Segment, String> {
    let name = text.strip_prefix(':').unwrap_or_default();
    let (name, suffix) = name.split_at(name_len(name.as_bytes()));
    if !name.is_empty() {
        if suffix.contains(':') {
            return Err(format!("{text} captures twice in one segment"));
        }
        let (name, suffix) = (name.into(), escape::decode(suffix.as_bytes()).into());
        return Ok(Segment::Capture { name, suffix });
    }
    let literal = escape::decode(text.as_bytes());
    if matches!(&literal[..], b"." | b"..") || literal.contains(&b'/') || literal.contains(&0) {
        return Err(format!("{text} is no segment that a path can have"));
    }
    Ok(Segment::Literal(literal.into()))
}

/// Matches segments at the beginning of `path` and gives what is left: `None` when the path ends
/// with them.
fn match_front<'a>(
    segments: &'a [Segment],
    path: Option<&'a [u8]>,
    captures: &mut Captures<'a>,
) -> Option<Option<&'a [u8]>> {
    let mut rest = path;
    for segment in segments {
        let path = rest?;
        let end = memchr::memchr(b'/', path);
        match_segment(segment, &path[..end.unwrap_or(path.len())], captures)?;
        rest = end.map(|slash| &path[slash + 1..]);
    }
    Some(rest)
}

/// Matches segments at the end of `path` and gives what stands in front of them.
fn match_back<'a>(
    segments: &'a [Segment],
    path: &'a [u8],
    captures: &mut Captures<'a>,
) -> Option<&'a [u8]> {
    let mut rest = path;
    for segment in segments.iter().rev() {
        let slash = memchr::memrchr(b'/', rest)?;
        match_segment(segment, &rest[slash + 1..], captures)?;
        rest = &rest[..slash];
    }
    Some(rest)
}

fn match_segment<'a>(
    segment: &'a Segment,
    found: &'a [u8],
    captures: &mut Captures<'a>,
) -> Option<()> {
    match segment {
        Segment::Literal(literal) => (**literal == *found).then_some(()),
        Segment::Capture { name, suffix } => {
            let value = found.strip_suffix(&**suffix)?;
            (!value.is_empty()).then(|| captures.add(name, value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `name=value` of each capture, with a space between them.
    fn captured(pattern: &str, path: &str) -> Option<String> {
        let pattern = Pattern::parse(pattern).unwrap();
        let captures = pattern.match_path(path.as_bytes())?;
        let texts = captures
            .0
            .iter()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
        Some(texts.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn patterns_capture() {
        for (pattern, path, expected) in [
            ("/", "/", ""),
            ("/a", "/a", ""),
            ("/a", "/a/", ""),
            ("/a/", "/a", ""),
            ("/a//b", "/a/b", ""),
            ("/caf%C3%A9", "/caf\u{e9}", ""),
            ("/100%", "/100%", ""),
            ("/a/:slug", "/a/b", "slug=b"),
            ("/a/:slug/", "/a/b", "slug=b"),
            ("/:year/:month", "/2024/05/", "year=2024 month=05"),
            ("/blog/:slug.html", "/blog/x.y.html", "slug=x.y"),
            ("/Talk:Main", "/Talk:Main", ""),
            ("/:80", "/:80", ""),
            ("/*", "/", "splat="),
            ("/*", "/a/b/", "splat=a/b/"),
            ("/a/*", "/a", "splat="),
            ("/a/*", "/a/", "splat="),
            ("/a/*", "/a/b/c", "splat=b/c"),
            ("/a/:slug/*", "/a/b/c/d", "slug=b splat=c/d"),
            ("/a/:slug/*", "/a/b", "slug=b splat="),
            // Cloudflare's own forms of the asterisk.
            ("/*.jpg", "/a/b.jpg", "splat=a/b"),
            ("/img-*.jpg", "/img-1/2.jpg", "splat=1/2"),
            ("/a*", "/abc", "splat=bc"),
            ("/a/*/b", "/a/x/y/b", "splat=x/y"),
            ("/a/*/:last", "/a/x/y", "last=y splat=x"),
        ] {
            assert_eq!(
                captured(pattern, path).as_deref(),
                Some(expected),
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn patterns_do_not_match_other_paths() {
        for (pattern, path) in [
            ("/", "/a"),
            ("/a", "/A"),
            ("/a", "/a/b"),
            ("/a", "/ab"),
            ("/a/:slug", "/a"),
            ("/a/:slug", "/a/"),
            ("/a/:slug", "/a/b/c"),
            ("/blog/:slug.html", "/blog/.html"),
            ("/blog/:slug.html", "/blog/x.htm"),
            ("/a/*", "/ab"),
            ("/a/:slug/*", "/a"),
            ("/*.jpg", "/a.png"),
            ("/aa*aa", "/aaa"),
            ("/a/*/b", "/a/b"),
            ("/a*", "/"),
        ] {
            assert_eq!(captured(pattern, path), None, "{pattern} {path}");
        }
    }

    #[test]
    fn a_url_is_for_its_host_alone() {
        let host = |pattern: &str, authority: &str| {
            let pattern = Pattern::parse(pattern).unwrap();
            let mut captures = Captures::default();
            let authority = (!authority.is_empty()).then_some(authority.as_bytes());
            let matched = pattern.match_host(authority, &mut captures);
            matched.then(|| captures.get("p").map(<[u8]>::to_vec).unwrap_or_default())
        };
        assert_eq!(host("/a", ""), Some(vec![]));
        assert_eq!(host("https://a.example/x", "A.example:80"), Some(vec![]));
        assert_eq!(host("http://a.example", "a.example."), Some(vec![]));
        assert_eq!(
            host("https://:p.b.example/*", "x.b.example"),
            Some(b"x".to_vec())
        );
        for authority in ["", "b.example", "x.a.example", "a.example.org"] {
            assert_eq!(host("https://a.example/x", authority), None, "{authority}");
        }
        assert_eq!(host("https://:p.b.example/*", "x.y.b.example"), None);
        assert_eq!(host("https://:p.b.example/*", "b.example"), None);
    }

    #[test]
    fn literals_are_known_as_such() {
        let literal = |text: &str| Pattern::parse(text).unwrap().literal();
        assert_eq!(literal("/a/b%20c/"), Some(b"/a/b c".to_vec()));
        assert_eq!(literal("/"), Some(b"".to_vec()));
        assert_eq!(literal("/a/:b"), None);
        assert_eq!(literal("/a/*"), None);
    }

    #[test]
    fn odd_patterns_are_refused_with_a_sentence() {
        for (pattern, says) in [
            ("a", "neither a slash"),
            ("", "neither a slash"),
            ("ftp://a/", "neither a slash"),
            ("/a?b=c", "stand behind the path"),
            ("/a#b", "fragment"),
            ("/*/a/*", "more than one *"),
            ("/:a/:a", "captures :a twice"),
            ("/:splat/*", "captures :splat twice"),
            ("/:a-:b", "twice in one segment"),
            ("/a/../b", "no segment"),
            ("/a%2Fb", "no segment"),
            ("https:///a", "no host name"),
            ("https://a.example:80/", "port"),
            ("https://*.example/", "written out"),
        ] {
            let why = Pattern::parse(pattern).unwrap_err();
            assert!(why.contains(says), "{pattern}: {why}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(
            text in "/[a:*/._%]{0,16}|https://\\PC{0,16}|\\PC{0,16}",
            path in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            if let Ok(pattern) = Pattern::parse(&text) {
                pattern.match_path(&path);
                pattern.match_host(Some(&path), &mut Captures::default());
            }
        }

        #[test]
        fn a_path_matches_itself_and_is_captured_whole(path in "(/[a-z.]{1,4}x){1,4}/?") {
            prop_assert_eq!(captured(&path, &path), Some(String::new()));
            prop_assert_eq!(captured("/*", &path), Some(format!("splat={}", &path[1..])));
        }
    }
}
