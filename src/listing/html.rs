//! A listing for people: one page without anything from elsewhere.
//!
//! It works without script; the script adds a filter and keys. Rows stand in groups, so that the
//! browser lays out those that are seen and no others.

use super::entries::{Entry, EntryKind};
use super::escape::{Unseen, push_href, push_html};
use super::figures::{push_grouped, push_size, time};
use super::order::{Order, OrderBy};
use super::query::of_order;
use super::render::Listing;

/// The value of `Content-Security-Policy` that fits the page: its own style and script by their
/// hashes, and nothing else. A test holds the hashes to `page.css` and `page.js`.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    style-src 'sha256-gYyX67IyZA3vS+uPT33B8Zy9hxchvH294E0Lfx6LbAQ='; \
    script-src 'sha256-4JzD/UMNHncAgizs2Cewm9i0Uw1+CrZ3p5mNKOYyI74='; \
    base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Rows of one group: about three screens.
const GROUP_ROWS: usize = 100;

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends what stands before the rows of entries.
pub(super) fn push_start(out: &mut Vec<u8>, listing: &Listing) {
    push(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>",
    );
    push_path(out, listing);
    push(out, "</title>\n<style>");
    push(out, STYLE);
    push(out, "</style>\n</head>\n<body>\n<header>\n");
    push_breadcrumbs(out, listing);
    push(
        out,
        "<input id=\"filter\" type=\"search\" placeholder=\"Filter\" aria-label=\"Filter by name\" \
         autocomplete=\"off\" spellcheck=\"false\" hidden>\n</header>\n<main>\n<h1>Directory ",
    );
    push_path(out, listing);
    push(out, "</h1>\n");
    let has_parent = !listing.page.path.is_empty();
    if has_parent || !listing.entries.is_empty() {
        push_table_head(out, listing.order);
    }
    if has_parent {
        let href = if listing.page.ends_in_slash {
            "../"
        } else {
            "./"
        };
        push(out, "<tbody>\n<tr><td><a class=\"u\" href=\"");
        push(out, href);
        push(out, "\">Parent directory</a>\n");
    }
}

/// The path as text.
fn push_path(out: &mut Vec<u8>, listing: &Listing) {
    push(out, "/");
    for segment in listing.page.segments() {
        push_html(out, segment, Unseen::Plain);
        push(out, "/");
    }
}

/// Links to all directories above. They are relative, as all links are.
fn push_breadcrumbs(out: &mut Vec<u8>, listing: &Listing) {
    let depth = listing.page.segments().count();
    push(out, "<nav aria-label=\"Path\"><ol>");
    for (level, segment) in std::iter::once(&b""[..])
        .chain(listing.page.segments())
        .enumerate()
    {
        push(out, "<li><a href=\"");
        let above = depth - level;
        match (above, listing.page.ends_in_slash) {
            (0, true) => push(out, "./"),
            (0, false) => push(out, str::from_utf8(&listing.link_prefix).expect("encoded")),
            (_, true) => push(out, &"../".repeat(above)),
            (1, false) => push(out, "./"),
            (_, false) => push(out, &"../".repeat(above - 1)),
        }
        push(out, "\"");
        if level == 0 {
            push(out, " class=\"r\" aria-label=\"Root\"");
        }
        if above == 0 {
            push(out, " aria-current=\"page\"");
        }
        push(out, ">");
        if level > 0 {
            push(out, "<bdi>");
            push_html(out, segment, Unseen::Marked);
            push(out, "</bdi>");
        }
        push(out, "</a></li>");
    }
    push(out, "</ol></nav>\n");
}

/// The heads of the columns, each a link to its order.
fn push_table_head(out: &mut Vec<u8>, order: Order) {
    push(out, "<table>\n<thead>\n<tr>");
    for (by, title) in [
        (OrderBy::Name, "Name"),
        (OrderBy::Size, "Size"),
        (OrderBy::Modified, "Modified (UTC)"),
    ] {
        let is_current = order.by == by;
        let descending = match is_current {
            true => !order.descending,
            false => by != OrderBy::Name, // The largest and the latest are looked for first.
        };
        push(out, "<th scope=\"col\"");
        match (is_current, order.descending) {
            (false, _) => {}
            (true, false) => push(out, " aria-sort=\"ascending\""),
            (true, true) => push(out, " aria-sort=\"descending\""),
        }
        push(out, "><a href=\"?");
        push(
            out,
            &of_order(Order { by, descending }).replace('&', "&amp;"),
        );
        push(out, "\">");
        push(out, title);
        push(out, "</a></th>");
    }
    push(out, "</tr>\n</thead>\n");
}

/// Appends the row of an entry. End tags that HTML does not need are left out: a page of 100,000
/// rows is a megabyte shorter for it.
pub(super) fn push_entry(out: &mut Vec<u8>, listing: &Listing, rank: usize, entry: Entry<'_>) {
    if rank.is_multiple_of(GROUP_ROWS) {
        push(out, "<tbody class=\"g\">\n");
    }
    let is_directory = entry.kind == EntryKind::Directory;
    push(out, "<tr><td><a ");
    push(
        out,
        if is_directory {
            "class=\"d\" href=\""
        } else {
            "href=\""
        },
    );
    out.extend_from_slice(&listing.link_prefix);
    push_href(out, entry.name);
    push(
        out,
        if is_directory {
            "/\"><bdi>"
        } else {
            "\"><bdi>"
        },
    );
    push_html(out, entry.name, Unseen::Marked);
    push(out, "</bdi></a><td");
    if !is_directory {
        if entry.len >= 1000 {
            push(out, " title=\"");
            push_grouped(out, entry.len);
            push(out, " bytes\"");
        }
        push(out, ">");
        push_size(out, entry.len);
    } else {
        push(out, ">");
    }
    let time = time(entry.modified_unix);
    push(out, "<td><time datetime=\"");
    out.extend_from_slice(&time);
    push(out, "\">");
    out.extend_from_slice(&time[..10]);
    push(out, " ");
    out.extend_from_slice(&time[11..16]);
    push(out, "</time>\n");
}

/// Appends what stands behind the rows.
pub(super) fn push_end(out: &mut Vec<u8>, listing: &Listing) {
    let entries = &listing.entries;
    if !listing.page.path.is_empty() || !entries.is_empty() {
        push(out, "</table>\n");
    }
    if entries.is_empty() {
        push(out, "<p class=\"e\">This directory is empty.</p>\n");
    }
    push(out, "</main>\n<footer>\n");
    if !entries.is_empty() {
        push(out, "<p>");
        push_totals(out, listing);
        push(out, "</p>\n");
    }
    if entries.is_cut() {
        push(out, "<p>There are more entries than can be shown.</p>\n");
    }
    push(out, "<p><a href=\"?");
    push(out, &of_order(listing.order).replace('&', "&amp;"));
    push(
        out,
        "&amp;format=json\">JSON</a></p>\n<p id=\"found\" role=\"status\"></p>\n\
         <p id=\"keys\" hidden><kbd>/</kbd> filter &nbsp;<kbd>j</kbd> <kbd>k</kbd> move \
         &nbsp;<kbd>u</kbd> up</p>\n</footer>\n<script>",
    );
    push(out, SCRIPT);
    push(out, "</script>\n</body>\n</html>\n");
}

/// `2 directories, 1 file, 1.2 kB`, without what there is none of.
fn push_totals(out: &mut Vec<u8>, listing: &Listing) {
    let directories = listing.entries.directories();
    let files = listing.entries.len() - directories;
    if directories > 0 {
        push_grouped(out, directories as u64);
        push(
            out,
            if directories == 1 {
                " directory"
            } else {
                " directories"
            },
        );
        push(out, if files > 0 { ", " } else { "" });
    }
    if files > 0 {
        push_grouped(out, files as u64);
        push(out, if files == 1 { " file, " } else { " files, " });
        push_size(out, listing.entries.files_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::entries::Entries;
    use super::super::entries::tests::named;
    use super::super::query::Format;
    use super::super::render::{PageFacts, Renderer};
    use super::*;
    use std::sync::Arc;

    fn page(entries: Entries, order: Order, path: &[u8]) -> String {
        let facts = PageFacts {
            path: path.to_vec(),
            ends_in_slash: true,
        };
        let renderer = Renderer::new(Arc::new(entries), order, Format::Html, facts);
        String::from_utf8(renderer.render_all()).unwrap()
    }

    fn base64(bytes: &[u8]) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let word = (0..3).fold(0, |word, at| {
                word << 8 | u32::from(group.get(at).copied().unwrap_or(0))
            });
            for place in 0..4 {
                let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
                let is_there = place <= group.len();
                text.push(if is_there { char::from(letter) } else { '=' });
            }
        }
        text
    }

    /// CSP Level 3, §6.7.3.2: the hash is of what stands between the tags.
    #[test]
    fn the_policy_allows_this_style_and_this_script() {
        let html = page(named(&[b"x"]), Order::default(), b"");
        let mut rest = html.clone();
        for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
            let (before, content) = rest.split_once(&format!("<{element}>")).unwrap();
            let (content, after) = content.split_once(&format!("</{element}>")).unwrap();
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content.as_bytes());
            let source = format!("{directive} 'sha256-{}'", base64(digest.as_ref()));
            assert!(CONTENT_SECURITY_POLICY.contains(&source), "{source}");
            rest = format!("{before}{after}");
        }
        for forbidden in ["<style", "<script", " style=", " on", "src=", "<link"] {
            assert!(!rest.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn rows_show_size_and_time() {
        let html = page(named(&[b"a<b", b"sub/", b"c"]), Order::default(), b"");
        let rows = [
            "<tr><td><a class=\"d\" href=\"sub/\"><bdi>sub</bdi></a><td>\
             <td><time datetime=\"2025-11-25T04:23:30Z\">2025-11-25 04:23</time>\n",
            "<tr><td><a href=\"a%3Cb\"><bdi>a&lt;b</bdi></a><td>0 B\
             <td><time datetime=\"2025-11-25T04:23:29Z\">2025-11-25 04:23</time>\n",
            "<tr><td><a href=\"c\"><bdi>c</bdi></a><td title=\"2,000 bytes\">2.0 kB\
             <td><time datetime=\"2025-11-25T04:23:31Z\">2025-11-25 04:23</time>\n",
        ];
        assert!(html.contains(&rows.concat()), "{html}");
        assert!(html.contains("<p>1 directory, 2 files, 2.0 kB</p>"));
        assert!(!html.contains("This directory is empty"));
        for (names, totals) in [
            (&[&b"a/"[..], b"b/"][..], "2 directories"),
            (&[&b"a"[..]][..], "1 file, 0 B"),
            (
                &[&b"a"[..], b"b", b"c/"][..],
                "1 directory, 2 files, 1.0 kB",
            ),
        ] {
            let html = page(named(names), Order::default(), b"");
            assert!(
                html.contains(&format!("<footer>\n<p>{totals}</p>")),
                "{totals}"
            );
        }
    }

    #[test]
    fn columns_link_to_their_orders() {
        use OrderBy::{Modified, Name, Size};
        let rows = [
            (
                Name,
                false,
                "name&amp;order=desc",
                "size&amp;order=desc",
                "modified&amp;order=desc",
            ),
            (
                Name,
                true,
                "name&amp;order=asc",
                "size&amp;order=desc",
                "modified&amp;order=desc",
            ),
            (
                Size,
                true,
                "name&amp;order=asc",
                "size&amp;order=asc",
                "modified&amp;order=desc",
            ),
            (
                Modified,
                false,
                "name&amp;order=asc",
                "size&amp;order=desc",
                "modified&amp;order=desc",
            ),
        ];
        for (by, descending, name, size, modified) in rows {
            let html = page(named(&[b"x"]), Order { by, descending }, b"");
            for link in [name, size, modified] {
                assert!(
                    html.contains(&format!("<a href=\"?sort={link}\">")),
                    "{by:?} {link}"
                );
            }
            let sorted = if descending {
                "descending"
            } else {
                "ascending"
            };
            assert_eq!(html.matches(" aria-sort=").count(), 1);
            assert!(html.contains(&format!("<th scope=\"col\" aria-sort=\"{sorted}\">")));
        }
    }

    #[test]
    fn an_empty_directory_says_so() {
        let html = page(named(&[]), Order::default(), b"");
        assert!(html.contains("This directory is empty.") && !html.contains("<table"));
        let html = page(named(&[]), Order::default(), b"a");
        assert!(html.contains("This directory is empty.") && html.contains("Parent directory"));
    }

    #[test]
    fn titles_take_any_path() {
        let html = page(named(&[]), Order::default(), b"</title>\n/\xff");
        assert!(html.contains("<title>/&lt;\u{fffd}") || html.contains("<title>/&lt;"));
        assert_eq!(html.matches("</title>").count(), 1);
    }
}
