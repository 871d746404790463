//! The head of a request (RFC 9112 §2–§7), from bytes to a borrowed [`Head`] in one pass.
//!
//! `httparse` splits the lines; everything that gives them meaning, and every reason to refuse
//! them, stands here. Garbage and excess are refused at their first byte, what the lines mean only
//! once the head is whole; a verdict never changes with the bytes that follow.

use std::mem::MaybeUninit;

use httparse::Status as Progress;

use crate::base::limits::{EMPTY_LINES_MAX, FIELDS_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX};
use crate::http::field::{is_token_byte, list_members, parse_length};
use crate::http::{
    Authority, Fault, Field, Fields, Known, KnownSet, Method, RequestHead, Status, Target, Version,
};

/// Room for the field lines of one head, on the caller's stack; never zeroed.
pub struct HeadStorage<'a> {
    fields: [MaybeUninit<Field<'a>>; FIELDS_MAX],
}

impl Default for HeadStorage<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadStorage<'_> {
    /// Room for one head; may be used again for the next one.
    #[inline]
    pub fn new() -> Self {
        HeadStorage {
            fields: [const { MaybeUninit::uninit() }; FIELDS_MAX],
        }
    }
}

/// Bounds that an operator may set; the others stand in `base::limits`.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of a head, from its first byte to its empty line.
    pub head_bytes_max: usize,
}

/// How the content of a request is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes, at least one.
    Length(u64),
    /// The chunked coding.
    Chunked,
}

/// A whole head.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub request: RequestHead<'a>,
    /// Where the content ends.
    pub framing: Framing,
    /// Whether the client will send another request on this connection (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// The client waits for 100 (Continue) before it sends its content (RFC 9110 §10.1.1).
    pub expect_continue: bool,
    /// Bytes of the input that the head took, empty lines before it included.
    pub len: usize,
}

/// What the input holds.
#[derive(Clone, Copy, Debug)]
pub enum ParsedHead<'a> {
    /// A head, perhaps with more behind it.
    Complete(Head<'a>),
    /// The beginning of a head.
    Partial,
    /// No head that this server accepts, whatever may follow.
    Invalid(Fault),
}

/// Parses the head at the start of `input`.
#[inline]
pub fn parse_head<'s, 'b: 's>(
    input: &'b [u8],
    storage: &'s mut HeadStorage<'b>,
    limits: &HeadLimits,
) -> ParsedHead<'s> {
    // Bytes behind the limit are never looked at, so that the verdict cannot depend on them.
    let window = &input[..input.len().min(limits.head_bytes_max)];
    let skipped = match window.first() {
        Some(b'\r' | b'\n') => match skip_empty_lines(window) {
            Ok(skipped) => skipped,
            Err(fault) => return ParsedHead::Invalid(fault),
        },
        _ => 0,
    };
    let text = &window[skipped..];
    let mut lines = httparse::Request::new(&mut []);
    match lines.parse_with_uninit_headers(text, &mut storage.fields) {
        Ok(Progress::Complete(len)) => match interpret(&text[..len], lines) {
            Ok(mut head) => {
                head.len += skipped;
                ParsedHead::Complete(head)
            }
            Err(fault) => ParsedHead::Invalid(fault),
        },
        Ok(Progress::Partial) => {
            let is_full = window.len() == limits.head_bytes_max;
            judge_partial(text, is_full).map_or(ParsedHead::Partial, ParsedHead::Invalid)
        }
        Err(error) => ParsedHead::Invalid(judge_error(text, error)),
    }
}

/// Whether `input` may hold a whole head, when parsing its first `seen` bytes gave `Partial`. Lets
/// a caller wait for the end of a slow head without parsing its beginning again and again.
pub fn may_be_complete(input: &[u8], seen: usize) -> bool {
    // An empty line that began within the seen bytes may end in the new ones.
    let new = &input[seen.saturating_sub(3).min(input.len())..];
    memchr::memchr_iter(b'\n', new)
        .any(|feed| matches!(new[feed + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

/// Whether a head that is no good, or not whole, was going to be a HEAD request: its client takes
/// content for the beginning of the next answer (RFC 9110 §9.3.2).
#[cold]
pub fn asks_for_head(input: &[u8]) -> bool {
    let start = input.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    start.is_some_and(|start| input[start..].starts_with(b"HEAD "))
}

/// §2.2: a few empty lines before a request line are skipped; old clients send one after content.
#[cold]
fn skip_empty_lines(text: &[u8]) -> Result<usize, Fault> {
    for count in 0..=EMPTY_LINES_MAX {
        let start = 2 * count;
        match &text[start..] {
            [] | [b'\r'] => return Ok(start),
            [b'\r', b'\n', ..] => {}
            [b'\r' | b'\n', ..] => return Err(BARE_LINE_BREAK),
            _ => return Ok(start),
        }
    }
    Err(Fault::bad_request(
        "too many empty lines before the request",
    ))
}

const BARE_LINE_BREAK: Fault = Fault::bad_request("a line does not end in CR LF");
const HEAD_TOO_LARGE: Fault = Fault::new(
    Status::HEADER_FIELDS_TOO_LARGE,
    "the request head is too large",
);
const TARGET_TOO_LONG: Fault = Fault::new(Status::URI_TOO_LONG, "the request target is too long");
const METHOD_TOO_LONG: Fault = Fault::new(Status::NOT_IMPLEMENTED, "the method is too long");

/// Gives meaning to the lines of `text`, which is one whole head without empty lines before it.
#[inline]
fn interpret<'s, 'b: 's>(
    text: &'b [u8],
    lines: httparse::Request<'s, 'b>,
) -> Result<Head<'s>, Fault> {
    const WHOLE: &str = "a complete head has a whole request line";
    let method_token = lines.method.expect(WHOLE).as_bytes();
    let target = lines.path.expect(WHOLE).as_bytes();
    if method_token.len() > METHOD_BYTES_MAX {
        return Err(METHOD_TOO_LONG);
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(TARGET_TOO_LONG);
    }
    let list: &'s [Field<'b>] = lines.headers;
    if !all_lines_end_in_crlf(text, list) {
        return Err(BARE_LINE_BREAK);
    }
    let version = match lines.version {
        Some(0) => Version::Http10,
        _ => Version::Http11, // httparse knows no third one.
    };
    let method = Method::parse(method_token);
    let target = Target::parse(method, target)?;
    let fields = Fields::new(list);
    let host = read_host(&fields, version)?;
    let mut head = Head {
        request: RequestHead {
            method,
            version,
            form: target.form,
            path: target.path,
            query: target.query,
            // §3.2.2: the authority of the target overrides `Host`.
            authority: target.authority.or(host),
            fields,
        },
        framing: Framing::None,
        keep_alive: version == Version::Http11,
        expect_continue: false,
        len: text.len(),
    };
    if fields.has_any(MESSAGE_FIELDS) {
        head.framing = read_framing(&fields, version)?;
        head.keep_alive = read_keep_alive(&fields, version);
        head.expect_continue =
            reads_expectation(&fields, version)? && head.framing != Framing::None;
    }
    Ok(head)
}

/// The fields that say something about the message itself; most requests have at most `Connection`.
const MESSAGE_FIELDS: KnownSet = KnownSet::of(&[
    Known::Connection,
    Known::ContentLength,
    Known::TransferEncoding,
    Known::Expect,
]);

/// §2.2 allows a lone LF as the end of a line, and httparse takes it; we do not, since the
/// recipients before and behind us may differ. A line break stands before each name and before the
/// end, and nowhere else, so that looking there costs a compare a line.
#[inline]
fn all_lines_end_in_crlf(text: &[u8], list: &[Field<'_>]) -> bool {
    let start = text.as_ptr().addr();
    let follows_crlf = |field: &Field<'_>| {
        let position = field.name.as_ptr().addr() - start;
        text.get(position.wrapping_sub(2)) == Some(&b'\r')
    };
    text.ends_with(b"\r\n\r\n") && list.iter().all(follows_crlf)
}

/// §3.2: exactly one valid `Host` in HTTP/1.1; at most one in 1.0. It may be empty (RFC 9110 §7.2).
#[inline]
fn read_host<'a>(fields: &Fields<'a>, version: Version) -> Result<Option<&'a [u8]>, Fault> {
    if fields.is_repeated(Known::Host) {
        return Err(Fault::bad_request("Host is repeated"));
    }
    let Some(host) = fields.get(Known::Host) else {
        return match version {
            Version::Http10 => Ok(None),
            Version::Http11 | Version::Http2 => Err(Fault::bad_request("Host is missing")),
        };
    };
    if host.is_empty() || Authority::parse(host).is_some() {
        Ok(Some(host))
    } else {
        Err(Fault::bad_request("Host is malformed"))
    }
}

/// §6.3, with every ambiguity refused (§11.2).
fn read_framing(fields: &Fields<'_>, version: Version) -> Result<Framing, Fault> {
    let has_length = fields.get(Known::ContentLength).is_some();
    if fields.get(Known::TransferEncoding).is_some() {
        if has_length {
            return Err(Fault::bad_request(
                "Transfer-Encoding and Content-Length exclude each other",
            ));
        }
        // §6.1: a 1.0 sender cannot know it, so the framing is faulty.
        if version == Version::Http10 {
            return Err(Fault::bad_request("Transfer-Encoding in HTTP/1.0"));
        }
        return read_transfer_encoding(fields);
    }
    if !has_length {
        return Ok(Framing::None);
    }
    const NO_LENGTH: Fault = Fault::bad_request("Content-Length is not one number");
    let value = fields.get_single(Known::ContentLength).ok_or(NO_LENGTH)?;
    match parse_length(value).ok_or(NO_LENGTH)? {
        0 => Ok(Framing::None),
        length => Ok(Framing::Length(length)),
    }
}

/// §6.1, §7: `chunked`, once and last. Other codings before it are valid, but unknown here.
fn read_transfer_encoding(fields: &Fields<'_>) -> Result<Framing, Fault> {
    const MALFORMED: Fault = Fault::bad_request("Transfer-Encoding is malformed");
    let mut has_unknown = false;
    let mut has_ended = false;
    for line in fields.all(Known::TransferEncoding) {
        // Empty members would be legal in other lists; here they only serve to confuse.
        for coding in line
            .split(|byte| *byte == b',')
            .map(crate::http::field::trim)
        {
            // §6.1: chunked is applied once, as the last coding.
            if has_ended || !coding.first().is_some_and(|byte| is_token_byte(*byte)) {
                return Err(MALFORMED);
            }
            if coding.eq_ignore_ascii_case(b"chunked") {
                has_ended = true;
            } else {
                has_unknown = true;
            }
        }
    }
    match (has_ended, has_unknown) {
        // §6.3: without a final `chunked` the length of a request cannot be known.
        (false, _) => Err(Fault::bad_request(
            "the final transfer coding is not chunked",
        )),
        (true, true) => Err(Fault::new(
            Status::NOT_IMPLEMENTED,
            "a transfer coding is unknown",
        )),
        (true, false) => Ok(Framing::Chunked),
    }
}

/// §9.3: 1.1 persists unless told otherwise, 1.0 only when asked to.
fn read_keep_alive(fields: &Fields<'_>, version: Version) -> bool {
    // What nearly all requests say; and one line needs no search for further ones.
    if let Some(value) = fields.get_single(Known::Connection)
        && value.eq_ignore_ascii_case(b"keep-alive")
    {
        return true;
    }
    let mut keep_alive = version == Version::Http11;
    for option in fields.all(Known::Connection).flat_map(list_members) {
        if option.eq_ignore_ascii_case(b"close") {
            return false;
        }
        keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    keep_alive
}

/// RFC 9110 §10.1.1: `100-continue` is the only expectation; HTTP/1.0 has none.
fn reads_expectation(fields: &Fields<'_>, version: Version) -> Result<bool, Fault> {
    if version == Version::Http10 || fields.get(Known::Expect).is_none() {
        return Ok(false);
    }
    match fields.get_single(Known::Expect) {
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(Fault::new(
            Status::EXPECTATION_FAILED,
            "the expectation is unknown",
        )),
    }
}

/// Finds what is already certain about the beginning of a head.
#[cold]
fn judge_partial(text: &[u8], is_full: bool) -> Option<Fault> {
    if let Some(fault) = judge_lengths(text) {
        return Some(fault);
    }
    if !is_full {
        return None;
    }
    // The request line alone fills the head: then it is the target that is too long.
    let has_request_line = memchr::memchr(b'\n', text).is_some();
    Some(if has_request_line {
        HEAD_TOO_LARGE
    } else {
        TARGET_TOO_LONG
    })
}

/// Names what httparse refused. Lengths go first, since a shorter input was refused for them.
#[cold]
fn judge_error(text: &[u8], error: httparse::Error) -> Fault {
    if let Some(fault) = judge_lengths(text) {
        return fault;
    }
    match error {
        httparse::Error::TooManyHeaders => {
            Fault::new(Status::HEADER_FIELDS_TOO_LARGE, "too many fields")
        }
        httparse::Error::Version => judge_version(text),
        httparse::Error::HeaderName => Fault::bad_request("a field name is malformed"),
        httparse::Error::HeaderValue => Fault::bad_request("a field value is malformed"),
        httparse::Error::NewLine => BARE_LINE_BREAK,
        httparse::Error::Token | httparse::Error::Status => {
            Fault::bad_request("the request line is malformed")
        }
    }
}

/// Refuses a method or target that is too long as soon as that is certain.
fn judge_lengths(text: &[u8]) -> Option<Fault> {
    let method_bytes = match text.iter().position(|byte| !is_token_byte(*byte)) {
        None if text.len() > METHOD_BYTES_MAX => return Some(METHOD_TOO_LONG),
        None => return None,
        Some(end) if end > METHOD_BYTES_MAX => return Some(METHOD_TOO_LONG),
        Some(end) => end,
    };
    // A malformed byte that ends the method or the target early was refused for itself.
    let target = text[method_bytes..].strip_prefix(b" ")?;
    let is_target_byte = |byte: &u8| *byte > b' ' && *byte != 0x7f;
    let target_bytes = target
        .iter()
        .position(|byte| !is_target_byte(byte))
        .unwrap_or(target.len());
    (target_bytes > TARGET_BYTES_MAX).then_some(TARGET_TOO_LONG)
}

/// §2.3, RFC 9110 §15.6.6: a version that exists, or may once exist, is not supported; all else is
/// no version.
fn judge_version(text: &[u8]) -> Fault {
    let version = text.splitn(3, |byte| *byte == b' ').nth(2).unwrap_or(b"");
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, rest @ ..] if major.is_ascii_digit() => {
            match (major, rest) {
                (b'1', [b'.', minor, ..]) if minor.is_ascii_digit() => VERSION_UNKNOWN,
                (b'1', _) => Fault::bad_request("the HTTP version is malformed"),
                _ => VERSION_UNKNOWN,
            }
        }
        _ => Fault::bad_request("the HTTP version is malformed"),
    }
}

const VERSION_UNKNOWN: Fault = Fault::new(
    Status::VERSION_NOT_SUPPORTED,
    "only HTTP/1.0 and HTTP/1.1 are spoken here",
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::limits::HEAD_BYTES_DEFAULT;
    use crate::http::TargetForm;

    const LIMITS: HeadLimits = HeadLimits {
        head_bytes_max: HEAD_BYTES_DEFAULT,
    };

    /// Parses and lets `check` look at the head; panics when it is not complete.
    fn with_head<R>(input: &str, check: impl FnOnce(&Head<'_>) -> R) -> R {
        match parse_head(input.as_bytes(), &mut HeadStorage::new(), &LIMITS) {
            ParsedHead::Complete(head) => check(&head),
            other => panic!("{input:?}: {other:?}"),
        }
    }

    #[test]
    fn a_refused_head_request_is_known_by_its_first_word() {
        for input in ["HEAD ", "HEAD / HTTP/9.9", "\r\n\nHEAD /"] {
            assert!(asks_for_head(input.as_bytes()), "{input:?}");
        }
        for input in [
            "",
            "\r\n",
            "HEAD",
            "HEADS /",
            "head /",
            "GET / HEAD ",
            " HEAD /",
        ] {
            assert!(!asks_for_head(input.as_bytes()), "{input:?}");
        }
    }

    /// 0 for partial, 200 for complete.
    fn code_of(input: &[u8]) -> u16 {
        match parse_head(input, &mut HeadStorage::new(), &LIMITS) {
            ParsedHead::Complete(_) => 200,
            ParsedHead::Partial => 0,
            ParsedHead::Invalid(fault) => fault.status.code(),
        }
    }

    fn code(input: &str) -> u16 {
        code_of(input.as_bytes())
    }

    /// A valid head of HTTP/1.1 with these lines added.
    fn with_lines(lines: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
    }

    fn framing(lines: &str) -> Framing {
        with_head(&with_lines(lines), |head| head.framing)
    }

    fn refuses(status: u16, all_lines: &[&str]) {
        for lines in all_lines {
            assert_eq!(code(&with_lines(lines)), status, "{lines:?}");
        }
    }

    #[test]
    fn a_plain_head() {
        let input = "GET /a?b HTTP/1.1\r\nHost: a.example:80\r\nX-Y:\tz \r\n\r\nGET /next";
        with_head(input, |head| {
            assert_eq!(head.request.method, Method::Get);
            assert_eq!(head.request.version, Version::Http11);
            assert_eq!(head.request.form, TargetForm::Origin);
            assert_eq!(
                (head.request.path, head.request.query),
                (&b"/a"[..], Some(&b"b"[..]))
            );
            assert_eq!(head.request.authority, Some(&b"a.example:80"[..]));
            assert_eq!(head.request.fields.list()[1].value, b"z");
            assert_eq!(head.framing, Framing::None);
            assert!(head.keep_alive && !head.expect_continue);
            assert_eq!(&input[head.len..], "GET /next");
        });
    }

    #[test]
    fn one_storage_serves_a_pipeline() {
        let input = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(16);
        let mut storage = HeadStorage::new();
        let (mut rest, mut count) = (input.as_bytes(), 0);
        while let ParsedHead::Complete(head) = parse_head(rest, &mut storage, &LIMITS) {
            rest = &rest[head.len..];
            count += 1;
        }
        assert_eq!((rest.len(), count), (0, 16));
    }

    /// §2.2
    #[test]
    fn empty_lines_before_the_request_line() {
        let head = with_lines("");
        for count in 0..=EMPTY_LINES_MAX {
            let empty = "\r\n".repeat(count);
            assert_eq!(code(&empty), 0);
            assert_eq!(code(&format!("{empty}\r")), 0);
            let input = format!("{empty}{head}");
            with_head(&input, |head| assert_eq!(head.len, input.len()));
        }
        let too_many = "\r\n".repeat(EMPTY_LINES_MAX + 1);
        assert_eq!(code(&too_many), 400);
        assert_eq!(code(&format!("{too_many}{head}")), 400);
        assert_eq!(code(&format!("\n{head}")), 400);
        assert_eq!(code(&format!("\r\r\n{head}")), 400);
        assert_eq!(code(&format!(" {head}")), 400);
    }

    /// §2.2: every line break is CR LF.
    #[test]
    fn bare_line_breaks() {
        for input in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\n",
            "GET / HTTP/1.1\r\nX: y\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nX:\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nX: \t\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n",
            "GET / HTTP/1.0\n\r\n",
            "GET / HTTP/1.0\r\n\n",
            "GET / HTTP/1.0\n\n",
            "GET / HTTP/1.1\rHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\rX",
        ] {
            assert_eq!(code(input), 400, "{input:?}");
        }
        assert_eq!(code("GET / HTTP/1.0\r\n\r\n"), 200);
    }

    /// §5.1, §5.2, RFC 9110 §5.5
    #[test]
    fn malformed_field_lines() {
        refuses(
            400,
            &[
                "X : y\r\n",
                "X\t: y\r\n",
                ": y\r\n",
                "X y\r\n",
                "X\r\n",
                " X: y\r\n",
                "\tX: y\r\n",
                "X: a\r\n b\r\n",
                "X: a\r\n\tb\r\n",
                "X:\r\n b\r\n",
                "X: a\0b\r\n",
                "X: a\x01b\r\n",
                "X: a\x1bb\r\n",
                "X: a\x7fb\r\n",
                "X\0: y\r\n",
                "X(: y\r\n",
                "X\u{e4}: y\r\n",
            ],
        );
        assert_eq!(
            code_of(b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xe4\r\n\r\n"),
            200
        );
    }

    /// §3
    #[test]
    fn malformed_request_lines() {
        for line in [
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /",
            "GET",
            "GET / a HTTP/1.1",
            "GET /\tHTTP/1.1",
            "G(T / HTTP/1.1",
            " / HTTP/1.1",
            "GET /\0 HTTP/1.1",
            "GET /\x7f HTTP/1.1",
            "GET / ",
            "GET / HTTP/1.1, x",
            "GET /a#b HTTP/1.1",
            "GET a HTTP/1.1",
            "GET * HTTP/1.1",
            "CONNECT / HTTP/1.1",
            "GET http://u@a/ HTTP/1.1",
            "{\"a\": 1}",
        ] {
            assert_eq!(code(&format!("{line}\r\nHost: a\r\n\r\n")), 400, "{line:?}");
        }
        // HTTP/0.9, whose requests had neither version nor fields
        assert_eq!(code("GET /\r\n"), 400);
        assert_eq!(code("get / HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
        let unknown = "get / HTTP/1.1\r\nHost: a\r\n\r\n";
        with_head(unknown, |head| {
            assert_eq!(head.request.method, Method::Unknown)
        });
    }

    #[test]
    fn garbage_is_refused_at_its_first_bytes() {
        assert_eq!(code_of(&[0x16, 0x03, 0x01]), 400, "a TLS ClientHello");
        assert_eq!(code_of(&[0x80]), 400);
        assert_eq!(code_of(b"\0"), 400);
        assert_eq!(code_of(b"GET /\0"), 400);
        assert_eq!(code(""), 0);
    }

    /// §2.3, RFC 9110 §15.6.6
    #[test]
    fn versions() {
        let with_version = |version: &str| code(&format!("GET / {version}\r\nHost: a\r\n\r\n"));
        for version in ["HTTP/1.0", "HTTP/1.1"] {
            assert_eq!(with_version(version), 200, "{version}");
        }
        for version in [
            "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/2", "HTTP/0.9", "HTTP/3.0", "HTTP/9",
        ] {
            assert_eq!(with_version(version), 505, "{version}");
        }
        for version in [
            "HTTP/1.",
            "HTTP/1",
            "HTTP/1,1",
            "HTTP/11.1",
            "http/1.1",
            "HTTP",
            "HTTP/x.1",
            "XTTP/1.1",
            "HTTP/1.10",
        ] {
            assert_eq!(with_version(version), 400, "{version}");
        }
        assert_eq!(code("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
        assert_eq!(code("PRI * HTTP/2"), 505);
        assert_eq!(code("PRI * HTTP/"), 0);
    }

    /// §3.2, RFC 9110 §7.2
    #[test]
    fn host() {
        let with_host =
            |version: &str, lines: &str| code(&format!("GET / {version}\r\n{lines}\r\n"));
        assert_eq!(with_host("HTTP/1.1", ""), 400);
        assert_eq!(with_host("HTTP/1.0", ""), 200);
        for version in ["HTTP/1.0", "HTTP/1.1"] {
            assert_eq!(with_host(version, "Host: a\r\nHost: a\r\n"), 400);
            assert_eq!(with_host(version, "Host: a\r\nX: y\r\nhost: b\r\n"), 400);
            for host in [
                "a b", "a/b", "u@a", "a:x", "a:65536", "[::", "a#", "a, b", "http://a", "%zz",
            ] {
                let lines = format!("Host: {host}\r\n");
                assert_eq!(with_host(version, &lines), 400, "{host}");
            }
            for host in ["", "a", "A.B-c_d", "1.2.3.4:80", "[::1]:8080", "a:"] {
                let lines = format!("Host: {host}\r\n");
                assert_eq!(with_host(version, &lines), 200, "{host}");
            }
        }
        with_head("GET / HTTP/1.0\r\n\r\n", |head| {
            assert_eq!(head.request.authority, None)
        });
    }

    /// §3.2.2, §3.2.3, §3.2.4
    #[test]
    fn the_authority_of_the_target_overrides_host() {
        with_head("GET http://b:1?q HTTP/1.1\r\nHost: a\r\n\r\n", |head| {
            assert_eq!(head.request.form, TargetForm::Absolute);
            assert_eq!(head.request.authority, Some(&b"b:1"[..]));
            assert_eq!(
                (head.request.path, head.request.query),
                (&b"/"[..], Some(&b"q"[..]))
            );
        });
        with_head("CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n", |head| {
            assert_eq!(head.request.form, TargetForm::Authority);
            assert_eq!(head.request.authority, Some(&b"b:443"[..]));
        });
        with_head("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", |head| {
            assert_eq!(head.request.form, TargetForm::Asterisk);
            assert_eq!(head.request.authority, Some(&b"a"[..]));
        });
        // §3.2: it is ignored, but must be there and valid.
        assert_eq!(code("GET http://b/ HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(code("GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
    }

    /// §6.2, §6.3, RFC 9110 §8.6
    #[test]
    fn content_length() {
        assert_eq!(framing("Content-Length: 5\r\n"), Framing::Length(5));
        assert_eq!(framing("content-length:0\r\n"), Framing::None);
        assert_eq!(framing("Content-Length: 007\r\n"), Framing::Length(7));
        let most = format!("Content-Length: {}\r\n", u64::MAX);
        assert_eq!(framing(&most), Framing::Length(u64::MAX));
        refuses(
            400,
            &[
                "Content-Length: \r\n",
                "Content-Length: +5\r\n",
                "Content-Length: -5\r\n",
                "Content-Length: 0x5\r\n",
                "Content-Length: 5 5\r\n",
                "Content-Length: 5,5\r\n",
                "Content-Length: 5,\r\n",
                "Content-Length: 5.0\r\n",
                "Content-Length: a\r\n",
                "Content-Length: 18446744073709551616\r\n",
                "Content-Length: 99999999999999999999999999\r\n",
                "Content-Length: 5\r\nContent-Length: 5\r\n",
                "Content-Length: 5\r\nContent-Length: 6\r\n",
            ],
        );
    }

    /// §6.1, §6.3, §7
    #[test]
    fn transfer_encoding() {
        assert_eq!(framing("Transfer-Encoding: chunked\r\n"), Framing::Chunked);
        assert_eq!(framing("transfer-encoding:CHUNKED\t\r\n"), Framing::Chunked);
        refuses(
            400,
            &[
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: \r\n",
                "Transfer-Encoding: identity\r\n",
                "Transfer-Encoding: gzip\r\n",
                "Transfer-Encoding: chunked, gzip\r\n",
                "Transfer-Encoding: chunked, chunked\r\n",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
                "Transfer-Encoding: chunked,\r\n",
                "Transfer-Encoding: ,chunked\r\n",
                "Transfer-Encoding: chunked;a=b\r\n",
                "Transfer-Encoding: xchunked\r\n",
                "Transfer-Encoding: chunked x\r\n",
                "Transfer-Encoding: \"chunked\"\r\n",
                "Transfer-Encoding: gzip\r\nTransfer-Encoding: \r\n",
                "Transfer-Encoding: \x0bchunked\r\n",
            ],
        );
        refuses(
            501,
            &[
                "Transfer-Encoding: gzip, chunked\r\n",
                "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            ],
        );
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(code(old), 400);
    }

    /// §9.3, RFC 9110 §7.6.1
    #[test]
    fn persistence() {
        let keeps = |version: &str, lines: &str| {
            let input = format!("GET / {version}\r\nHost: a\r\n{lines}\r\n");
            with_head(&input, |head| head.keep_alive)
        };
        for (lines, in_10, in_11) in [
            ("", false, true),
            ("Connection: close\r\n", false, false),
            ("Connection: keep-alive\r\n", true, true),
            ("connection: Keep-Alive\r\n", true, true),
            ("Connection: x, CLOSE\r\n", false, false),
            ("Connection: keep-alive, close\r\n", false, false),
            (
                "Connection: keep-alive\r\nX: y\r\nConnection: ,close\r\n",
                false,
                false,
            ),
            ("Connection: x\r\nConnection: keep-alive\r\n", true, true),
            ("Connection: closed, xclose\r\n", false, true),
            ("Connection:\r\n", false, true),
        ] {
            assert_eq!(keeps("HTTP/1.0", lines), in_10, "1.0 {lines:?}");
            assert_eq!(keeps("HTTP/1.1", lines), in_11, "1.1 {lines:?}");
        }
    }

    /// RFC 9110 §10.1.1
    #[test]
    fn expectations() {
        let expects = |input: &str| with_head(input, |head| head.expect_continue);
        assert!(expects(&with_lines(
            "Expect: 100-Continue\r\nContent-Length: 1\r\n"
        )));
        assert!(expects(&with_lines(
            "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"
        )));
        // Without content there is nothing to wait for.
        assert!(!expects(&with_lines("Expect: 100-continue\r\n")));
        refuses(
            417,
            &[
                "Expect: 100-continue, x\r\nContent-Length: 1\r\n",
                "Expect: 200-ok\r\n",
                "Expect:\r\n",
                "Expect: 100-continue\r\nExpect: 100-continue\r\n",
            ],
        );
        let old = "POST / HTTP/1.0\r\nExpect: x\r\nContent-Length: 1\r\n\r\n";
        assert!(!expects(old));
    }

    /// RFC 9110 §15.5.15, §15.6.2: too long is certain before the line ends.
    #[test]
    fn long_methods_and_targets() {
        let target = |len: usize| format!("GET /{}", "a".repeat(len - 1));
        let rest = " HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(code(&target(TARGET_BYTES_MAX)), 0);
        assert_eq!(code(&format!("{}{rest}", target(TARGET_BYTES_MAX))), 200);
        assert_eq!(code(&target(TARGET_BYTES_MAX + 1)), 414);
        assert_eq!(
            code(&format!("{}{rest}", target(TARGET_BYTES_MAX + 1))),
            414
        );
        let method = |len: usize| "M".repeat(len);
        assert_eq!(code(&method(METHOD_BYTES_MAX)), 0);
        assert_eq!(code(&format!("{} /{rest}", method(METHOD_BYTES_MAX))), 200);
        assert_eq!(code(&method(METHOD_BYTES_MAX + 1)), 501);
        assert_eq!(
            code(&format!("{} /{rest}", method(METHOD_BYTES_MAX + 1))),
            501
        );
    }

    /// RFC 6585 §5
    #[test]
    fn large_heads() {
        let with_fields = |count: usize| with_lines(&"X: y\r\n".repeat(count - 1));
        assert_eq!(code(&with_fields(FIELDS_MAX)), 200);
        assert_eq!(code(&with_fields(FIELDS_MAX + 1)), 431);
        let head = with_lines("X: yyyyyyyyyyyyyyyy\r\n");
        let code_within = |input: &str, head_bytes_max: usize| {
            let limits = HeadLimits { head_bytes_max };
            match parse_head(input.as_bytes(), &mut HeadStorage::new(), &limits) {
                ParsedHead::Complete(_) => 200,
                ParsedHead::Partial => 0,
                ParsedHead::Invalid(fault) => fault.status.code(),
            }
        };
        let len = head.len();
        assert_eq!(code_within(&head, len), 200);
        assert_eq!(code_within(&format!("{head}{head}"), len), 200);
        assert_eq!(code_within(&head, len - 1), 431);
        assert_eq!(code_within(&head[..len - 1], len), 0);
        assert_eq!(code_within(&head[..len - 1], len - 1), 431);
        // The request line alone fills it.
        assert_eq!(code_within(&head, 10), 414);
    }

    #[test]
    fn the_end_of_a_slow_head_is_noticed() {
        let head = with_lines("X: y\r\n");
        for seen in 0..head.len() {
            for now in seen..head.len() {
                assert!(!may_be_complete(&head.as_bytes()[..now], seen));
            }
            assert!(may_be_complete(head.as_bytes(), seen));
        }
        assert!(may_be_complete(b"GET / HTTP/1.0\n\n", 14));
        assert!(!may_be_complete(b"", 0));
    }

    /// Heads made of pieces that matter to the parser, in and out of place.
    fn hostile_head() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => Just(b"\r\n".to_vec()),
            1 => Just(b"\n".to_vec()),
            1 => Just(b"\r".to_vec()),
            2 => Just(b"GET / HTTP/1.1\r\n".to_vec()),
            1 => Just(b"POST http://b/?q HTTP/1.0\r\n".to_vec()),
            1 => Just(b"PRI * HTTP/2.0\r\n\r\n".to_vec()),
            4 => Just(b"Host: a\r\n".to_vec()),
            1 => Just(b"Content-Length: 3\r\n".to_vec()),
            1 => Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
            1 => Just(b"Expect: 100-continue\r\n".to_vec()),
            1 => Just(b"Connection: close\r\n".to_vec()),
            2 => "[A-Za-z-]{1,20}: [ -~]{0,60}\r\n".prop_map(String::into_bytes),
            1 => "/[!-~\u{80}-\u{2000}]{0,60} ".prop_map(String::into_bytes),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        let pieces = proptest::collection::vec(piece, 0..12);
        (any::<bool>(), pieces).prop_map(|(is_likely, pieces)| {
            let mut head = if is_likely {
                b"GET /a HTTP/1.1\r\nHost: a\r\n".to_vec()
            } else {
                Vec::new()
            };
            head.extend(pieces.concat());
            head
        })
    }

    proptest! {
        /// Once certain, a verdict stays, whatever follows; and it does not depend on how the bytes
        /// lie in memory or in which pieces they came.
        #[test]
        fn a_verdict_holds_whatever_follows(input in hostile_head(), tail: [u8; 40]) {
            let verdict = |input: &[u8]| {
                match parse_head(input, &mut HeadStorage::new(), &LIMITS) {
                    ParsedHead::Partial => None,
                    other => Some(format!("{other:?}")),
                }
            };
            let mut whole = input.clone();
            whole.extend_from_slice(&tail);
            let last = verdict(&whole);
            let mut certain = None;
            for len in 0..whole.len() {
                let now = verdict(&whole[..len]);
                if certain.is_some() {
                    prop_assert_eq!(&now, &certain);
                }
                certain = certain.or(now);
            }
            if certain.is_some() {
                prop_assert_eq!(last, certain);
            }
        }

        #[test]
        fn a_valid_head_is_complete_at_its_last_byte(
            target in "/[!\"$-~]{0,80}",
            host in "[a-z0-9.-]{1,30}(:[0-9]{1,4})?",
            lines in proptest::collection::vec("X[A-Za-z-]{1,30}:[ -~\t]{0,100}\r\n", 0..20),
        ) {
            let input = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{}\r\n", lines.concat());
            prop_assert_eq!(code(&input), 200);
            for len in 0..input.len() {
                prop_assert_eq!(code_of(&input.as_bytes()[..len]), 0);
            }
        }
    }
}
