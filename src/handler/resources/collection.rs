//! Members of a collection for programs: a page of a JSON array, by name.
//!
//! A page costs the names of the whole directory and a look at its own members only, so that a
//! client can walk through a large collection page by page.

use std::collections::BinaryHeap;
use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

use super::place::Place;
use super::target::Target;
use crate::base::limits::{COLLECTION_PAGE_DEFAULT, COLLECTION_PAGE_MAX};
use crate::engine::find;
use crate::engine::operation::FileKind;
use crate::http::validator::file_etag;
use crate::listing::escape::{push_href, push_json};
use crate::listing::figures::{push_decimal, time};
use crate::listing::is_draft;
use crate::route::SiteSettings;

/// Which members a request wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageQuery {
    limit: usize,
    /// Those behind this name.
    after: Vec<u8>,
}

/// A page, written down.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MembersPage {
    pub(super) json: Vec<u8>,
    /// The query of the next page, where there is one.
    pub(super) next: Option<String>,
}

/// Bytes that one call brings names in.
const NAMES_BUFFER_BYTES: usize = 32 * 1024;

impl PageQuery {
    /// Reads `limit` and `after`; other parameters say nothing. `None` for a limit that is none.
    pub(super) fn parse(query: Option<&[u8]>) -> Option<PageQuery> {
        let mut parsed = PageQuery {
            limit: COLLECTION_PAGE_DEFAULT,
            after: Vec::new(),
        };
        for parameter in query.unwrap_or_default().split(|byte| *byte == b'&') {
            if let Some(limit) = parameter.strip_prefix(b"limit=") {
                let limit: usize = std::str::from_utf8(limit).ok()?.parse().ok()?;
                if limit == 0 {
                    return None;
                }
                parsed.limit = limit.min(COLLECTION_PAGE_MAX);
            } else if let Some(after) = parameter.strip_prefix(b"after=") {
                parsed.after = decode(after);
            }
        }
        Some(parsed)
    }

    fn next(&self, last: &[u8]) -> String {
        let mut after = String::new();
        for byte in last {
            match byte {
                b'-' | b'.' | b'_' | b'~' => after.push(char::from(*byte)),
                letter if letter.is_ascii_alphanumeric() => after.push(char::from(*letter)),
                other => after.push_str(&format!("%{other:02X}")),
            }
        }
        format!("after={after}&limit={}", self.limit)
    }
}

/// A value of a query, as forms write it.
fn decode(value: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.first_chunk::<2>().filter(|_| *byte == b'%');
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                decoded.push(escaped);
                rest = &after[2..];
            }
            None => {
                decoded.push(if *byte == b'+' { b' ' } else { *byte });
                rest = after;
            }
        }
    }
    decoded
}

/// The page of a collection that is a directory without an index; else `None`.
pub(super) fn page(
    target: &Target,
    settings: &SiteSettings,
    query: &PageQuery,
) -> Result<Option<MembersPage>, Errno> {
    let index = settings.finding.index_names.first();
    let inside = target.inside(index.map_or("index.html", String::as_str));
    let directory = match Place::open(&inside) {
        Ok(place) => place.directory,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    for name in &settings.finding.index_names {
        let Ok(name) = CString::new(name.as_str()) else {
            continue;
        };
        if find::stat_at(&directory, &name).is_ok() {
            return Ok(None);
        }
    }
    let shows = |name: &[u8]| {
        let is_hidden = name.starts_with(b".") && !settings.finding.hidden;
        !matches!(name, b"." | b"..") && !is_hidden && !is_draft(name) && !inside.is_rule(name)
    };
    let names = smallest(&directory, query, shows)?;
    let has_more = names.len() > query.limit;
    let shown = &names[..names.len().min(query.limit)];
    let next = shown.last().filter(|_| has_more);
    Ok(Some(MembersPage {
        json: write_down(&directory, &target.location(), shown),
        next: next.map(|last| query.next(last.as_bytes())),
    }))
}

/// The first names behind the query's, one more than it wants.
fn smallest(
    directory: &OwnedFd,
    query: &PageQuery,
    shows: impl Fn(&[u8]) -> bool,
) -> Result<Vec<CString>, Errno> {
    let mut names = BinaryHeap::with_capacity(query.limit + 2);
    let mut buffer = Vec::with_capacity(NAMES_BUFFER_BYTES);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let name = entry.file_name();
        let is_kind_shown = match entry.file_type() {
            FileType::RegularFile | FileType::Directory => true,
            FileType::Unknown => {
                find::stat_at(directory, name).is_ok_and(|stat| stat.kind != FileKind::Other)
            }
            _ => false,
        };
        if !is_kind_shown || name.to_bytes() <= &query.after[..] || !shows(name.to_bytes()) {
            continue;
        }
        names.push(name.to_owned());
        if names.len() > query.limit + 1 {
            names.pop();
        }
    }
    Ok(names.into_sorted_vec())
}

/// An array with a member a line. What is gone meanwhile is left out.
fn write_down(directory: &OwnedFd, location: &[u8], names: &[CString]) -> Vec<u8> {
    let mut out = b"[".to_vec();
    for name in names {
        let Ok(stat) = find::stat_at(directory, name) else {
            continue;
        };
        let is_file = stat.kind == FileKind::Regular;
        out.extend_from_slice(if out.len() > 1 { b",\n" } else { b"\n" });
        out.extend_from_slice(b"{\"href\":\"");
        out.extend_from_slice(location);
        push_href(&mut out, name.as_bytes());
        out.extend_from_slice(if is_file { b"\"" } else { b"/\"" });
        out.extend_from_slice(b",\"name\":");
        push_json(&mut out, name.as_bytes());
        if is_file {
            out.extend_from_slice(b",\"size\":");
            push_decimal(&mut out, stat.len);
        }
        out.extend_from_slice(b",\"modified\":\"");
        out.extend_from_slice(&time(stat.modified.0));
        out.extend_from_slice(b"\"");
        if is_file {
            out.extend_from_slice(b",\"etag\":");
            push_json(&mut out, file_etag(stat.modified, stat.len).as_bytes());
        }
        out.extend_from_slice(b"}");
    }
    out.extend_from_slice(b"\n]\n");
    out
}

/// What is read leads on, and only forwards.
pub(super) fn fuzz(query: &[u8], name: &[u8]) {
    let Some(parsed) = PageQuery::parse(Some(query)) else {
        return;
    };
    assert!((1..=COLLECTION_PAGE_MAX).contains(&parsed.limit));
    let next = PageQuery::parse(Some(parsed.next(name).as_bytes()));
    let expected = PageQuery {
        limit: parsed.limit,
        after: name.to_vec(),
    };
    assert_eq!(next, Some(expected));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn queries_are_read() {
        let read = |query: &str| {
            let parsed = PageQuery::parse(Some(query.as_bytes()))?;
            Some((parsed.limit, String::from_utf8(parsed.after).unwrap()))
        };
        assert_eq!(read(""), Some((100, String::new())));
        assert_eq!(
            read("limit=5&after=a%20b+c%2B&x=1"),
            Some((5, "a b c+".to_owned()))
        );
        assert_eq!(read("limit=1000000"), Some((1000, String::new())));
        assert_eq!(read("after=%zz%"), Some((100, "%zz%".to_owned())));
        for query in ["limit=0", "limit=-1", "limit=", "limit=x"] {
            assert_eq!(read(query), None, "{query}");
        }
    }

    proptest! {
        #[test]
        fn every_name_leads_to_the_next_page(
            query in "(limit|after|x)=.{0,8}(&after=.{0,8})?",
            name in prop::collection::vec(any::<u8>(), 1..40),
        ) {
            fuzz(query.as_bytes(), &name);
        }
    }
}
