//! A listing for programs: one object, an entry a line.
//!
//! `name` is for people and loses what is not UTF-8; `href` leads to the very file.

use super::entries::{Entry, EntryKind};
use super::escape::{push_href, push_json};
use super::figures::{push_decimal, time};
use super::render::Listing;

/// Appends what stands before the entries.
pub(super) fn push_start(out: &mut Vec<u8>, listing: &Listing) {
    let mut path = vec![b'/'];
    path.extend_from_slice(&listing.page.path);
    if path.len() > 1 {
        path.push(b'/');
    }
    out.extend_from_slice(b"{\"path\":");
    push_json(out, &path);
    out.extend_from_slice(b",\"entries\":[");
}

/// Appends an entry. A directory has no size.
pub(super) fn push_entry(out: &mut Vec<u8>, listing: &Listing, rank: usize, entry: Entry<'_>) {
    out.extend_from_slice(if rank > 0 { b",\n" } else { b"\n" });
    out.extend_from_slice(b"{\"name\":");
    push_json(out, entry.name);
    out.extend_from_slice(b",\"href\":\"");
    out.extend_from_slice(&listing.link_prefix);
    push_href(out, entry.name);
    match entry.kind {
        EntryKind::Directory => out.extend_from_slice(b"/\",\"type\":\"directory\""),
        EntryKind::File => {
            out.extend_from_slice(b"\",\"type\":\"file\",\"size\":");
            push_decimal(out, entry.len);
        }
    }
    out.extend_from_slice(b",\"modified\":\"");
    out.extend_from_slice(&time(entry.modified_unix));
    out.extend_from_slice(b"\"}");
}

/// Appends what stands behind the entries: the totals, and whether these are all.
pub(super) fn push_end(out: &mut Vec<u8>, listing: &Listing) {
    let entries = &listing.entries;
    let directories = entries.directories();
    out.extend_from_slice(b"\n],\"directories\":");
    push_decimal(out, directories as u64);
    out.extend_from_slice(b",\"files\":");
    push_decimal(out, (entries.len() - directories) as u64);
    out.extend_from_slice(b",\"size\":");
    push_decimal(out, entries.files_bytes());
    out.extend_from_slice(b",\"complete\":");
    out.extend_from_slice(if entries.is_cut() { b"false" } else { b"true" });
    out.extend_from_slice(b"}\n");
}
