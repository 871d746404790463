//! Fuzz bodies for listings: each takes any bytes and checks what must hold for all of them.

use std::sync::Arc;

use super::entries::{EntriesBuilder, Entry, EntryKind};
use super::order::Order;
use super::query::{Format, ListingQuery};
use super::render::{PageFacts, Renderer};
use crate::http::SafePath;

/// A query is one of few variants, and reading it is all that it takes.
pub fn fuzz_query(input: &[u8]) {
    let query = ListingQuery::parse(Some(input));
    assert!(query.variant() < ListingQuery::VARIANTS);
    let noise = [b"x=1&", input, b"&y=2"].concat();
    assert_eq!(ListingQuery::parse(Some(&noise)), query);
}

/// Each line but the first is a name, and the first is the directory's: every link leads back to
/// its name, no name leaves its element, and pieces make the whole.
pub fn fuzz_names(input: &[u8]) {
    let mut lines = input
        .split(|byte| *byte == b'\n')
        .filter(|line| SafePath::is_segment(line) && line.len() <= 255);
    let path = lines.next().unwrap_or_default().to_vec();
    let mut builder = EntriesBuilder::new();
    for (name, modified_unix) in lines.zip([0, i64::MIN, i64::MAX].into_iter().cycle()) {
        builder.push(Entry {
            name,
            kind: EntryKind::File,
            len: modified_unix as u64,
            modified_unix,
            modified_ns: 0,
        });
    }
    let entries = Arc::new(builder.finish());
    for ends_in_slash in [true, false] {
        let page = PageFacts {
            path: path.clone(),
            ends_in_slash,
        };
        let make =
            |format| Renderer::new(Arc::clone(&entries), Order::default(), format, page.clone());
        let html = make(Format::Html).render_all();
        let mut pieces = make(Format::Html);
        let pieces: Vec<u8> = std::iter::from_fn(|| pieces.next_piece(1000))
            .flatten()
            .collect();
        assert!(pieces == html, "pieces make the whole");
        let html = String::from_utf8(html).expect("a page is UTF-8, whatever the names are");
        let names: Vec<&[u8]> = entries.iter().map(|entry| entry.name).collect();
        check_rows(&html, &path, ends_in_slash, &names);
        let json = make(Format::Json).render_all();
        assert!(json.is_ascii() || String::from_utf8(json).is_ok());
    }
}

/// Checks each row between the groups and the end of the table.
fn check_rows(html: &str, path: &[u8], ends_in_slash: bool, names: &[&[u8]]) {
    let rows: Vec<&str> = html
        .lines()
        .filter_map(|line| line.strip_prefix("<tr><td><a href=\""))
        .collect();
    assert_eq!(rows.len(), names.len(), "a row for each name");
    for (row, name) in rows.iter().zip(names) {
        let (href, rest) = row.split_once("\"><bdi>").expect("an address ends");
        let base = match (path.is_empty(), ends_in_slash) {
            (false, true) => [b"/", path, b"/"].concat(),
            _ => b"/".to_vec(),
        };
        // The base is a path that is decoded already: as it stands only if it holds no escape.
        let base: Vec<u8> = base
            .iter()
            .flat_map(|byte| match byte {
                b'%' => b"%25".to_vec(),
                byte => vec![*byte],
            })
            .collect();
        let target = SafePath::parse(&[&base, href.as_bytes()].concat()).expect("an address");
        let expected = match path.is_empty() {
            true => name.to_vec(),
            false => [path, b"/", name].concat(),
        };
        assert_eq!(target.as_bytes(), expected);
        let (text, rest) = rest.split_once("</bdi></a><td").expect("a name ends");
        let text = text.replace("<i>U+", "").replace("</i>", "");
        assert!(!text.contains(['<', '>', '"', '\'']), "{text}");
        assert!(rest.ends_with("</time>"), "{rest}");
    }
}
