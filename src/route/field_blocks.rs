//! Fields by pattern of the address, as `_headers` gives them.

use std::borrow::Cow;

use crate::http::ResponseHead;

use super::condition::DependsOn;
use super::escape;
use super::fields::{FieldEdit, is_for, join};
use super::pattern::{Captures, Pattern, SPLAT, name_len};

/// The fields of one pattern, in the order of their lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldBlock {
    pub pattern: Pattern,
    pub edits: Vec<FieldEdit>,
}

/// A field as the blocks leave it: its values, or none when it is taken away.
struct Collected<'a> {
    name: &'a str,
    values: Vec<Vec<u8>>,
}

impl FieldBlock {
    /// True when it is for one host only.
    pub fn has_host(&self) -> bool {
        self.pattern.has_host()
    }
}

/// Changes the head of an answer by every block that is for it, and says whether the host mattered.
///
/// What the blocks say takes the place of what the server would say. When several lines name one
/// field, their values are joined, and `! NAME` takes back what was said before it, as Cloudflare
/// does.
pub fn apply(
    blocks: &[FieldBlock],
    path: &[u8],
    host: Option<&[u8]>,
    head: &mut ResponseHead,
) -> DependsOn {
    let mut depends_on = DependsOn::NOTHING;
    let mut collected: Vec<Collected<'_>> = Vec::new();
    for block in blocks {
        let Some(mut captures) = block.pattern.match_path(path) else {
            continue;
        };
        if block.pattern.has_host() {
            depends_on |= DependsOn::HOST;
        }
        if block.pattern.match_host(host, &mut captures) {
            for edit in &block.edits {
                collect(edit, &captures, &mut collected);
            }
        }
    }
    for Collected { name, values } in collected {
        if !is_for(name, head.status) {
            continue;
        }
        // What an answer varies by is the server's to say; a rule can only add to it.
        if !name.eq_ignore_ascii_case("vary") {
            head.remove(name);
        }
        for value in values {
            head.add(Cow::Owned(name.to_owned()), value);
        }
    }
    depends_on
}

fn collect<'a>(edit: &'a FieldEdit, captures: &Captures<'_>, collected: &mut Vec<Collected<'a>>) {
    let name = edit.name();
    let known = collected
        .iter()
        .position(|known| known.name.eq_ignore_ascii_case(name));
    let position = known.unwrap_or_else(|| {
        let values = Vec::new();
        collected.push(Collected { name, values });
        collected.len() - 1
    });
    let values = &mut collected[position].values;
    match edit.value().map(|value| fill(value, captures)) {
        None => values.clear(),
        // Dates of cookies hold commas: this field is never joined (RFC 9110 §5.3).
        Some(value) if name.eq_ignore_ascii_case("set-cookie") => values.push(value),
        Some(value) => match values.first_mut() {
            Some(first) => join(first, &value),
            None => values.push(value),
        },
    }
}

/// A value with what the pattern captured, escaped as in an address.
fn fill(value: &str, captures: &Captures<'_>) -> Vec<u8> {
    let (bytes, mut filled, mut start) = (value.as_bytes(), Vec::new(), 0);
    for colon in memchr::memchr_iter(b':', bytes) {
        let end = colon + 1 + name_len(&bytes[colon + 1..]);
        let name = &value[colon + 1..end];
        if let Some(captured) = captures.get(name) {
            filled.extend_from_slice(&bytes[start..colon]);
            match name {
                SPLAT => escape::push_path(captured, &mut filled),
                _ => escape::push_segment(captured, &mut filled),
            }
            start = end;
        }
    }
    filled.extend_from_slice(&bytes[start..]);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Status;

    fn dressed(blocks: &[(&str, &[&str])], path: &str, host: Option<&str>) -> (String, DependsOn) {
        let blocks = blocks.iter().map(|(pattern, edits)| FieldBlock {
            pattern: Pattern::parse(pattern).unwrap(),
            edits: edits
                .iter()
                .map(|edit| FieldEdit::parse(edit).unwrap())
                .collect(),
        });
        let blocks: Vec<FieldBlock> = blocks.collect();
        let mut head = ResponseHead::new(Status::OK)
            .with("Server", "downpour")
            .with("Vary", "Accept");
        let depends_on = apply(&blocks, path.as_bytes(), host.map(str::as_bytes), &mut head);
        let lines = head.fields.iter();
        let lines = lines.map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
        (lines.collect::<Vec<_>>().join("|"), depends_on)
    }

    /// The table of Cloudflare's documentation, and its other examples.
    #[test]
    fn every_block_that_matches_counts() {
        let blocks: &[(&str, &[&str])] = &[
            (
                "/secure/page",
                &["X-Frame-Options: DENY", "Referrer-Policy: no-referrer"],
            ),
            (
                "/static/*",
                &["Access-Control-Allow-Origin: *", "X-Robots-Tag: nosnippet"],
            ),
            ("https://p.example/*", &["X-Robots-Tag: noindex"]),
        ];
        for (host, path, expected) in [
            (
                "c.example",
                "/secure/page",
                "|X-Frame-Options=DENY|Referrer-Policy=no-referrer",
            ),
            (
                "c.example",
                "/static/i.jpg",
                "|Access-Control-Allow-Origin=*|X-Robots-Tag=nosnippet",
            ),
            ("p.example", "/home", "|X-Robots-Tag=noindex"),
            (
                "p.example:80",
                "/static/s.css",
                "|Access-Control-Allow-Origin=*|X-Robots-Tag=nosnippet, noindex",
            ),
            ("c.example", "/", ""),
        ] {
            let (fields, depends_on) = dressed(blocks, path, Some(host));
            assert_eq!(
                fields,
                format!("Server=downpour|Vary=Accept{expected}"),
                "{host}{path}"
            );
            assert_eq!(depends_on, DependsOn::HOST);
        }
    }

    #[test]
    fn fields_are_joined_detached_and_filled() {
        for (blocks, path, expected) in [
            (
                &[("/*", &["C-S: a"][..]), ("/*.jpg", &["! c-s"])][..],
                "/a.jpg",
                "Server=downpour|Vary=Accept",
            ),
            (
                &[("/*", &["!Server", "X: 1"]), ("/a", &["!X", "X: 2"])],
                "/a",
                "Vary=Accept|X=2",
            ),
            (
                &[("/*", &["Cache-Control: public", "cache-control: max-age=1"])],
                "/",
                "Server=downpour|Vary=Accept|Cache-Control=public, max-age=1",
            ),
            (
                &[("/*", &["Set-Cookie: a=1", "Set-Cookie: b=2"])],
                "/",
                "Server=downpour|Vary=Accept|Set-Cookie=a=1|Set-Cookie=b=2",
            ),
            (
                &[("/*", &["Server: x", "Vary: Origin"])],
                "/",
                "Vary=Accept|Server=x|Vary=Origin",
            ),
            (
                &[("/m/:title", &["X: You watch \":title\" :other a:b"])],
                "/m/a b\r\n",
                "Server=downpour|Vary=Accept|X=You watch \"a%20b%0D%0A\" :other a:b",
            ),
            (
                &[("/m/*", &["Link: </:splat>;x"])],
                "/m/a/b",
                "Server=downpour|Vary=Accept|Link=</a/b>;x",
            ),
        ] {
            let (fields, depends_on) = dressed(blocks, path, None);
            assert_eq!(fields, expected, "{blocks:?}");
            assert_eq!(depends_on, DependsOn::NOTHING);
        }
        let blocks: &[(&str, &[&str])] =
            &[("https://:p.b.example/*", &["X: https://s.:p.b.example/"])];
        let (fields, _) = dressed(blocks, "/", Some("Q.b.example"));
        assert!(fields.ends_with("X=https://s.q.b.example/"), "{fields}");
    }
}
