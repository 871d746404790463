//! The fuzz body of the room: what peers send goes through the ring and both formats, and comes out
//! as whole lines.
//!
//! A cargo-fuzz target is one call of it; `tests/fuzz_bodies.rs` runs it as a test.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::Value;

use super::encoding::CUT_MARK;
use super::entry::{CacheState, Entry};
use super::format::{Format, Formatter, LINE_BYTES_MAX};
use super::request_id::RequestId;
use super::ring;
use crate::http::{Method, Version};

/// An entry with everything in it.
pub fn sample() -> Entry<'static> {
    Entry {
        unix_ms: 784_111_777_042,
        address: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))),
        user: Some("anna"),
        method: Method::Get,
        target: b"/a/b.css",
        query: Some(b"v=1"),
        version: Version::Http11,
        is_secure: true,
        host: Some(b"a.example"),
        status: 200,
        bytes: 1234,
        micros: 567,
        id: RequestId::taken(b"0123456789abcdef").expect("it is short and visible"),
        cache: CacheState::Hit,
        referer: Some(b"https://a.example/"),
        user_agent: Some(b"Mozilla/5.0 (X11; Linux x86_64)"),
    }
}

/// Lines of the input are the texts of an entry; one that is missing is not there.
pub fn fuzz_lines(input: &[u8]) {
    let mut texts = input.split(|byte| *byte == b'\n');
    let target = texts.next().unwrap_or_default();
    let [query, host, referer, user_agent, user, id] = std::array::from_fn(|_| texts.next());
    check_lines(&Entry {
        target,
        query,
        host,
        referer,
        user_agent,
        user: user.and_then(|user| str::from_utf8(user).ok()),
        id: id.and_then(RequestId::taken).unwrap_or(sample().id),
        ..sample()
    });
}

/// Sends an entry through a ring, and checks both lines of what comes out.
pub fn check_lines(entry: &Entry<'_>) {
    let (mut recorder, mut reader) = ring::channel(0, Arc::default());
    recorder.record(entry);
    let read = reader.next_entry().expect("an empty ring has room");
    check_cut(Some(read.target), Some(entry.target));
    check_cut(read.query, entry.query);
    check_cut(read.host, entry.host);
    check_cut(read.referer, entry.referer);
    check_cut(read.user_agent, entry.user_agent);
    check_cut(read.user.map(str::as_bytes), entry.user.map(str::as_bytes));
    check_combined(&read);
    check_json(&read);
}

/// A text is the same, or its beginning with the mark behind it.
fn check_cut(read: Option<&[u8]>, written: Option<&[u8]>) {
    assert_eq!(read.is_some(), written.is_some());
    let (read, written) = (read.unwrap_or_default(), written.unwrap_or_default());
    if read != written {
        let kept = read.strip_suffix(CUT_MARK.as_bytes());
        let kept = kept.expect("a cut is marked");
        assert!(written.starts_with(kept) && read.len() < written.len());
    }
}

fn line(format: Format, entry: &Entry<'_>) -> String {
    let mut out = Vec::new();
    Formatter::new(format).push_line(entry, &mut out);
    let mut line = String::from_utf8(out).expect("a line is UTF-8");
    assert!(line.len() <= LINE_BYTES_MAX);
    assert_eq!(line.pop(), Some('\n'));
    assert!(!line.contains(char::is_control), "{line:?}");
    line
}

/// One line of nine fields, of which three are in quotes and one in brackets.
fn check_combined(entry: &Entry<'_>) {
    let line = line(Format::Combined, entry);
    assert!(line.is_ascii());
    let quoted: Vec<&str> = line.split('"').collect();
    assert_eq!(quoted.len(), 7, "{line:?}");
    assert_eq!(quoted[0].split(' ').count(), 6, "{line:?}");
    assert_eq!(quoted[2].split(' ').count(), 4, "{line:?}");
    assert_eq!((quoted[4], quoted[6]), (" ", ""), "{line:?}");
}

/// One object, and every text is in it.
fn check_json(entry: &Entry<'_>) {
    let line = line(Format::Json, entry);
    let value: Value = serde_json::from_str(&line).expect("a line is JSON");
    assert_eq!(value.as_object().map(serde_json::Map::len), Some(16));
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes));
    let optional = |bytes: Option<&[u8]>| bytes.map_or(Value::Null, text);
    assert_eq!(value["path"], text(entry.target));
    assert_eq!(value["query"], optional(entry.query));
    assert_eq!(value["host"], optional(entry.host));
    assert_eq!(value["referer"], optional(entry.referer));
    assert_eq!(value["user_agent"], optional(entry.user_agent));
    assert_eq!(value["user"], optional(entry.user.map(str::as_bytes)));
    assert_eq!(value["id"], entry.id.as_str());
    assert_eq!(value["bytes"], entry.bytes);
    assert_eq!(value["status"], entry.status);
    assert_eq!(value["duration_us"], entry.micros);
    let address = entry
        .address
        .map(|address| address.to_canonical().to_string());
    assert_eq!(value["address"], address.map_or(Value::Null, Value::from));
}
