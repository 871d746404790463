//! Walks over entries and yields a listing in pieces.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::entries::Entries;
use super::escape::push_href;
use super::order::{Order, Sequence};
use super::query::Format;
use super::{html, json};

/// Room for what a part overshoots a piece by; a row of a usual name has 200 bytes.
const PART_BYTES_USUAL: usize = 1024;

/// What a listing says about its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFacts {
    /// The decoded path of the directory as `SafePath` writes it: no slash at its ends, empty for
    /// the root.
    pub path: Vec<u8>,
    /// The address that is shown ends in a slash; without one, links need the last segment again.
    pub ends_in_slash: bool,
}

impl PageFacts {
    /// The segments of the path.
    pub(super) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let segments = self.path.split(|byte| *byte == b'/');
        segments.filter(|segment| !segment.is_empty())
    }

    /// What stands before the name of an entry in a link (RFC 3986 §5.2.3). Links are relative, so
    /// that they hold behind a proxy that has taken a prefix away.
    fn link_prefix(&self) -> Vec<u8> {
        let mut prefix = Vec::new();
        if let Some(name) = self.segments().last().filter(|_| !self.ends_in_slash) {
            push_href(&mut prefix, name);
            prefix.push(b'/');
        }
        prefix
    }
}

/// What both formats write from.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) entries: Arc<Entries>,
    pub(super) order: Order,
    pub(super) page: PageFacts,
    pub(super) link_prefix: Vec<u8>,
}

/// Writes a listing, piece after piece.
#[derive(Debug)]
pub struct Renderer {
    listing: Listing,
    format: Format,
    sequence: Sequence,
    next: Part,
    /// What is written and not yet taken.
    written: BytesMut,
}

/// What is written next.
#[derive(Clone, Copy, Debug)]
enum Part {
    Start,
    /// The entry at this rank, or the end behind the last.
    Entry(usize),
    Done,
}

impl Renderer {
    /// A renderer that has written nothing. For orders other than by name it sorts at once: up to
    /// some 10 ms for 100,000 entries.
    pub fn new(entries: Arc<Entries>, order: Order, format: Format, page: PageFacts) -> Renderer {
        let sequence = order.sequence(&entries);
        let link_prefix = page.link_prefix();
        Renderer {
            listing: Listing {
                entries,
                order,
                page,
                link_prefix,
            },
            format,
            sequence,
            next: Part::Start,
            written: BytesMut::new(),
        }
    }

    /// The next piece: never empty, and `bytes_max` long but for the last one. `None` at the end.
    pub fn next_piece(&mut self, bytes_max: usize) -> Option<Bytes> {
        assert!(bytes_max > 0, "a piece holds something");
        let mut scratch = Vec::with_capacity(PART_BYTES_USUAL);
        self.written.reserve(bytes_max + PART_BYTES_USUAL);
        while self.written.len() < bytes_max && self.write_part(&mut scratch) {
            self.written.extend_from_slice(&scratch);
            scratch.clear();
        }
        let len = self.written.len().min(bytes_max);
        (len > 0).then(|| self.written.split_to(len).freeze())
    }

    /// The whole listing, or what is left of it, for a directory that is small.
    pub fn render_all(mut self) -> Vec<u8> {
        let mut all = self.written.to_vec();
        while self.write_part(&mut all) {}
        all
    }

    /// Appends the next part; false when there is none.
    fn write_part(&mut self, out: &mut Vec<u8>) -> bool {
        let listing = &self.listing;
        self.next = match (self.next, self.format) {
            (Part::Done, _) => return false,
            (Part::Start, format) => {
                match format {
                    Format::Html => html::push_start(out, listing),
                    Format::Json => json::push_start(out, listing),
                }
                Part::Entry(0)
            }
            (Part::Entry(rank), format) if rank < self.sequence.len() => {
                let entry = listing.entries.get(self.sequence.position(rank));
                match format {
                    Format::Html => html::push_entry(out, listing, rank, entry),
                    Format::Json => json::push_entry(out, listing, rank, entry),
                }
                Part::Entry(rank + 1)
            }
            (Part::Entry(_), format) => {
                match format {
                    Format::Html => html::push_end(out, listing),
                    Format::Json => json::push_end(out, listing),
                }
                Part::Done
            }
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::entries::EntriesBuilder;
    use super::super::entries::tests::named;
    use super::*;
    use proptest::prelude::*;

    const NASTY: &[&[u8]] = &[
        b"<script>alert(1)</script>/",
        b"a\"b'c&d.txt",
        b"\xff\xfe",
        b"new\nline",
        b"a:b",
        b"plain.txt",
        b" spaces ",
    ];

    fn page(path: &[u8], ends_in_slash: bool) -> PageFacts {
        PageFacts {
            path: path.to_vec(),
            ends_in_slash,
        }
    }

    fn text(entries: Entries, format: Format, page: PageFacts) -> String {
        let renderer = Renderer::new(Arc::new(entries), Order::default(), format, page);
        String::from_utf8(renderer.render_all()).unwrap()
    }

    #[test]
    fn pieces_are_full_and_make_the_whole() {
        let names: Vec<Vec<u8>> = (0..1000).map(|n| format!("<{n}>").into_bytes()).collect();
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let entries = Arc::new(named(&names));
        for format in [Format::Html, Format::Json] {
            for bytes_max in [1, 100, 4096, 32 * 1024, 10_000_000] {
                let make = || {
                    let page = page(b"a", true);
                    Renderer::new(Arc::clone(&entries), Order::default(), format, page)
                };
                let whole = make().render_all();
                let mut renderer = make();
                let pieces: Vec<Bytes> =
                    std::iter::from_fn(|| renderer.next_piece(bytes_max)).collect();
                assert!(pieces.concat() == whole, "{format:?} {bytes_max}");
                let (last, full) = pieces.split_last().unwrap();
                assert!(full.iter().all(|piece| piece.len() == bytes_max));
                assert!(!last.is_empty() && last.len() <= bytes_max);
                assert!(
                    renderer.next_piece(bytes_max).is_none(),
                    "it stays at its end"
                );
            }
        }
    }

    #[test]
    fn json_says_what_is_there() {
        let json = text(named(NASTY), Format::Json, page(b"a\xff/b", true));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["path"], "/a\u{fffd}/b/");
        assert_eq!(value["directories"], 1);
        assert_eq!(value["files"], 6);
        assert_eq!(value["size"], 1000 * (1 + 2 + 3 + 4 + 5 + 6));
        assert_eq!(value["complete"], true);
        let entries = value["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 7);
        let first = serde_json::json!({
            "name": "<script>alert(1)</script>",
            "href": "%3Cscript%3Ealert(1)%3C%2Fscript%3E/",
            "type": "directory",
            "modified": "2025-11-25T04:23:29Z",
        });
        assert_eq!(entries[0], first);
        let invalid = entries
            .iter()
            .find(|entry| entry["href"] == "%FF%FE")
            .unwrap();
        assert_eq!(invalid["name"], "\u{fffd}\u{fffd}");
        assert_eq!(invalid["size"], 2000);
        let empty = text(Entries::default(), Format::Json, page(b"", true));
        let value: serde_json::Value = serde_json::from_str(&empty).unwrap();
        assert_eq!(
            (&value["path"], &value["entries"]),
            (&"/".into(), &serde_json::json!([]))
        );
    }

    #[test]
    fn a_listing_that_is_cut_says_so() {
        let mut builder = EntriesBuilder::new();
        builder.cut();
        let entries = builder.finish();
        let json = text(entries.clone(), Format::Json, page(b"", true));
        assert!(json.contains("\"complete\":false"), "{json}");
        let html = text(entries, Format::Html, page(b"", true));
        assert!(html.contains("more entries than can be shown"));
    }

    #[test]
    fn a_renderer_may_change_its_thread() {
        fn moves<T: Send + 'static>() {}
        moves::<Renderer>();
        moves::<Entries>();
    }

    /// RFC 3986 §5.2.3: what follows the last slash of an address is replaced.
    #[test]
    fn links_hold_with_and_without_the_final_slash() {
        let rows: [(&[u8], bool, &str, &str); 4] = [
            (b"", true, "x", ""),
            (b"a", true, "x", "../"),
            (b"a/b c", true, "x", "../"),
            (b"a/b c", false, "b%20c/x", "./"),
        ];
        for (path, ends_in_slash, href, parent) in rows {
            let html = text(named(&[b"x"]), Format::Html, page(path, ends_in_slash));
            assert!(
                html.contains(&format!("<a href=\"{href}\"><bdi>x</bdi>")),
                "{href}"
            );
            let link = format!("<a class=\"u\" href=\"{parent}\">");
            assert_eq!(html.contains(&link), !parent.is_empty(), "{path:?}");
            let json = text(named(&[b"x"]), Format::Json, page(path, ends_in_slash));
            assert!(json.contains(&format!("\"href\":\"{href}\"")));
        }
        let html = text(named(&[]), Format::Html, page(b"a/b/c d", true));
        for link in [
            "\"../../../\" class=\"r\"",
            "\"../../\"><bdi>a<",
            "\"../\"><bdi>b<",
            "\"./\" aria",
        ] {
            assert!(html.contains(&format!("<li><a href={link}")), "{link}");
        }
        let html = text(named(&[]), Format::Html, page(b"a/b/c d", false));
        for link in [
            "\"../../\" class=\"r\"",
            "\"../\"><bdi>a<",
            "\"./\"><bdi>b<",
            "\"c%20d/\" aria",
        ] {
            assert!(html.contains(&format!("<li><a href={link}")), "{link}");
        }
    }

    proptest! {
        #[test]
        fn no_name_breaks_a_page(names in proptest::collection::vec(any::<Vec<u8>>(), 0..8)) {
            let mut input = names;
            input.extend(NASTY.iter().map(|name| name.to_vec()));
            super::super::fuzz::fuzz_names(&input.join(&b'\n'));
        }
    }
}
