//! Lines of the access log: combined and JSON.
//!
//! What a line looks like is ours, so that it is written by hand: this runs once for each request
//! of all workers, on the machine that serves them.

use super::encoding::ENTRY_BYTES_MAX;
use super::entry::{Entry, method_name, version_name};
use super::escape::{push_address, push_combined, push_combined_word, push_json};
use crate::http::date;
use crate::http::field_writer::push_decimal;

/// Bytes of the longest line: each byte of a text may become the six of `\u0000`, and what stands
/// around the texts has less than the last.
pub const LINE_BYTES_MAX: usize = 6 * ENTRY_BYTES_MAX + 1024;

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `address - user [time] "request" status bytes "referer" "user agent"`, as nginx and Apache
    /// write it.
    Combined,
    /// One object a line, with all that is known.
    Json,
}

impl Format {
    /// The format with this name.
    pub fn parse(name: &str) -> Option<Format> {
        match name {
            "combined" => Some(Format::Combined),
            "json" => Some(Format::Json),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Format::Combined => "combined",
            Format::Json => "json",
        }
    }
}

/// Turns entries into lines. All times are UTC.
#[derive(Clone, Debug)]
pub struct Formatter {
    format: Format,
    unix_seconds: u64,
    /// The time of `unix_seconds`, as far as it is the same for all entries of that second.
    time: Vec<u8>,
}

impl Formatter {
    /// A formatter for one log.
    pub fn new(format: Format) -> Formatter {
        let mut formatter = Formatter {
            format,
            unix_seconds: 0,
            time: Vec::new(),
        };
        formatter.render_time();
        formatter
    }

    /// Appends the line of an entry, with its line feed.
    pub fn push_line(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let unix_seconds = entry.unix_ms / 1000;
        if unix_seconds != self.unix_seconds {
            self.unix_seconds = unix_seconds;
            self.render_time();
        }
        match self.format {
            Format::Combined => self.push_combined_line(entry, out),
            Format::Json => self.push_json_line(entry, out),
        }
    }

    fn push_combined_line(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match entry.address {
            Some(address) => push_address(out, address),
            None => out.push(b'-'),
        }
        out.extend_from_slice(b" - ");
        match entry.user {
            None | Some("") => out.push(b'-'),
            Some(user) => push_combined_word(out, user.as_bytes()),
        }
        out.extend_from_slice(b" [");
        out.extend_from_slice(&self.time);
        out.extend_from_slice(b"] \"");
        push_request_line(out, entry);
        out.extend_from_slice(b"\" ");
        push_status(out, entry.status);
        out.push(b' ');
        push_decimal(out, entry.bytes);
        for field in [entry.referer, entry.user_agent] {
            out.extend_from_slice(b" \"");
            push_combined(out, field.unwrap_or(b"-"));
            out.push(b'"');
        }
        out.push(b'\n');
    }

    fn push_json_line(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(&self.time);
        push_millis(out, entry.unix_ms);
        out.extend_from_slice(b"Z\",\"address\":");
        match entry.address {
            Some(address) => {
                out.push(b'"');
                push_address(out, address);
                out.push(b'"');
            }
            None => out.extend_from_slice(b"null"),
        }
        push_field(out, b",\"user\":", entry.user.map(str::as_bytes));
        out.extend_from_slice(b",\"method\":");
        push_name(out, method_name(entry.method));
        push_field(out, b",\"path\":", Some(entry.target));
        push_field(out, b",\"query\":", entry.query);
        push_field(out, b",\"host\":", entry.host);
        out.extend_from_slice(b",\"protocol\":");
        push_name(out, Some(version_name(entry.version)));
        out.extend_from_slice(match entry.is_secure {
            true => b",\"tls\":true,\"status\":",
            false => b",\"tls\":false,\"status\":",
        });
        push_decimal(out, entry.status.into());
        out.extend_from_slice(b",\"bytes\":");
        push_decimal(out, entry.bytes);
        out.extend_from_slice(b",\"duration_us\":");
        push_decimal(out, entry.micros.into());
        push_field(out, b",\"id\":", Some(entry.id.as_bytes()));
        out.extend_from_slice(b",\"cache\":");
        push_name(out, Some(entry.cache.name()));
        push_field(out, b",\"referer\":", entry.referer);
        push_field(out, b",\"user_agent\":", entry.user_agent);
        out.extend_from_slice(b"}\n");
    }

    /// Makes the time from an HTTP date, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    fn render_time(&mut self) {
        let date = date::format(self.unix_seconds);
        let (day, month, year, clock) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
        let number = month_number(month);
        let pieces: &[&[u8]] = match self.format {
            Format::Combined => &[day, b"/", month, b"/", year, b":", clock, b" +0000"],
            Format::Json => &[year, b"-", &number, b"-", day, b"T", clock],
        };
        self.time.clear();
        pieces
            .iter()
            .for_each(|piece| self.time.extend_from_slice(piece));
    }
}

/// What the request line was, or would have been over HTTP/1; `-` where there was none.
fn push_request_line(out: &mut Vec<u8>, entry: &Entry<'_>) {
    if entry.target.is_empty() {
        return out.push(b'-');
    }
    out.extend_from_slice(method_name(entry.method).unwrap_or("-").as_bytes());
    out.push(b' ');
    push_combined(out, entry.target);
    if let Some(query) = entry.query {
        out.push(b'?');
        push_combined(out, query);
    }
    out.push(b' ');
    out.extend_from_slice(version_name(entry.version).as_bytes());
}

/// Three digits, also where there was no status.
fn push_status(out: &mut Vec<u8>, status: u16) {
    match status {
        0 => out.extend_from_slice(b"000"),
        _ => push_decimal(out, status.into()),
    }
}

fn push_millis(out: &mut Vec<u8>, unix_ms: u64) {
    let millis = unix_ms % 1000;
    let digit = |value: u64| b'0' + (value % 10) as u8;
    out.extend_from_slice(&[b'.', digit(millis / 100), digit(millis / 10), digit(millis)]);
}

fn push_field(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    out.extend_from_slice(key);
    match value {
        Some(value) => push_json(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// A name of ours, which needs no escape.
fn push_name(out: &mut Vec<u8>, name: Option<&'static str>) {
    match name {
        Some(name) => {
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

/// The two digits of a month's English name.
fn month_number(name: &[u8]) -> [u8; 2] {
    const NAMES: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let place = NAMES.chunks(3).position(|month| month == name);
    let number = place.expect("a date has one of twelve months") as u8 + 1;
    [b'0' + number / 10, b'0' + number % 10]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Method, Version};
    use crate::record::CacheState;
    use crate::record::fuzz::{check_lines, sample};
    use proptest::prelude::*;

    fn line(format: Format, entry: &Entry<'_>) -> String {
        let mut out = Vec::new();
        Formatter::new(format).push_line(entry, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn combined_is_what_tools_expect() {
        assert_eq!(
            line(Format::Combined, &sample()),
            "203.0.113.9 - anna [06/Nov/1994:08:49:37 +0000] \"GET /a/b.css?v=1 HTTP/1.1\" 200 \
             1234 \"https://a.example/\" \"Mozilla/5.0 (X11; Linux x86_64)\"\n"
        );
        let bare = Entry {
            address: None,
            user: None,
            method: Method::Unknown,
            target: b"",
            query: None,
            status: 0,
            referer: None,
            user_agent: None,
            ..sample()
        };
        assert_eq!(
            line(Format::Combined, &bare),
            "- - - [06/Nov/1994:08:49:37 +0000] \"-\" 000 1234 \"-\" \"-\"\n"
        );
        let hostile = Entry {
            user: Some("a b\"\n"),
            target: b"/\" 200 0\r\n",
            query: Some(b""),
            version: Version::Http2,
            referer: Some(b"\\"),
            ..sample()
        };
        assert_eq!(
            line(Format::Combined, &hostile),
            "203.0.113.9 - a\\x20b\\x22\\x0A [06/Nov/1994:08:49:37 +0000] \
             \"GET /\\x22 200 0\\x0D\\x0A? HTTP/2.0\" 200 1234 \"\\x5C\" \
             \"Mozilla/5.0 (X11; Linux x86_64)\"\n"
        );
    }

    #[test]
    fn json_holds_everything() {
        assert_eq!(
            line(Format::Json, &sample()),
            "{\"time\":\"1994-11-06T08:49:37.042Z\",\"address\":\"203.0.113.9\",\
             \"user\":\"anna\",\"method\":\"GET\",\"path\":\"/a/b.css\",\"query\":\"v=1\",\
             \"host\":\"a.example\",\"protocol\":\"HTTP/1.1\",\"tls\":true,\"status\":200,\
             \"bytes\":1234,\"duration_us\":567,\"id\":\"0123456789abcdef\",\"cache\":\"hit\",\
             \"referer\":\"https://a.example/\",\
             \"user_agent\":\"Mozilla/5.0 (X11; Linux x86_64)\"}\n"
        );
        let bare = Entry {
            address: None,
            user: None,
            method: Method::Unknown,
            query: None,
            host: None,
            is_secure: false,
            cache: CacheState::Bypass,
            referer: None,
            user_agent: None,
            ..sample()
        };
        let read: serde_json::Value = serde_json::from_str(&line(Format::Json, &bare)).unwrap();
        for absent in ["address", "user", "method", "query", "host", "referer"] {
            assert!(read[absent].is_null(), "{absent}");
        }
        assert_eq!(
            (&read["tls"], &read["cache"]),
            (&false.into(), &"bypass".into())
        );
    }

    #[test]
    fn the_time_follows_its_entry() {
        let mut formatter = Formatter::new(Format::Json);
        let mut time = |unix_ms| {
            let mut out = Vec::new();
            let entry = Entry {
                unix_ms,
                ..sample()
            };
            formatter.push_line(&entry, &mut out);
            String::from_utf8(out[9..33].to_vec()).unwrap()
        };
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_400_009), "2000-02-29T00:00:00.009Z");
        assert_eq!(time(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(time(1_767_225_599_120), "2025-12-31T23:59:59.120Z");
        assert_eq!(time(u64::MAX), "9999-12-31T23:59:59.615Z");
    }

    #[test]
    fn formats_have_names() {
        for format in [Format::Combined, Format::Json] {
            assert_eq!(Format::parse(format.name()), Some(format));
        }
        assert_eq!(Format::parse("JSON"), None);
    }

    fn text() -> impl Strategy<Value = Option<Vec<u8>>> {
        let piece = prop_oneof![
            "[a-z/\"\\\\ \r\n{}\\[\\],:-]{0,8}".prop_map(String::into_bytes),
            any::<char>().prop_map(|letter| letter.to_string().into_bytes()),
            any::<Vec<u8>>(),
            (0..3000_usize).prop_map(|len| vec![b'x'; len]),
        ];
        let pieces = proptest::collection::vec(piece, 0..4);
        proptest::option::of(pieces.prop_map(|pieces| pieces.concat()))
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_line(
            texts in [text(), text(), text(), text(), text()],
            user in proptest::option::of(any::<String>()),
            address in any::<Option<std::net::IpAddr>>(),
            (unix_ms, bytes, micros, status) in any::<(u64, u64, u32, u16)>(),
        ) {
            let [target, query, host, referer, user_agent] = &texts;
            check_lines(&Entry {
                unix_ms,
                address,
                user: user.as_deref(),
                target: target.as_deref().unwrap_or_default(),
                query: query.as_deref(),
                host: host.as_deref(),
                status,
                bytes,
                micros,
                referer: referer.as_deref(),
                user_agent: user_agent.as_deref(),
                ..sample()
            });
        }
    }
}
