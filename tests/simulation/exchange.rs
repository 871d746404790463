//! Requests, and what the answers to them must be.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use downpour::engine::sim::Random;

use crate::response::Response;
use crate::site::{SECRET, Site};

/// A request and the demands on its answer.
pub(crate) struct Exchange {
    pub(crate) request: Request,
    pub(crate) head_only: bool,
    /// The server ends the connection after this answer.
    pub(crate) ends: bool,
    /// It may do so before it has read the whole request.
    pub(crate) is_long: bool,
    pub(crate) expected: Expected,
}

/// The bytes of a request.
#[derive(Clone)]
pub(crate) enum Request {
    Fixed(Vec<u8>),
    /// With the entity tag and the date of the answer before in the place of `{tag}`, `{date}`.
    AfterAnswer(String),
}

/// What an answer must be.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// The file.
    Whole(&'static str),
    /// A part of the file, from the first number to the second if it has one; or its last bytes.
    Part(&'static str, Part),
    /// 304 when the file is as it was at the answer before, else the file.
    Unchanged(&'static str),
    /// One of these statuses, with a short text.
    Error(&'static [u16]),
    /// 308.
    Redirect(&'static str),
    /// 204 with `Allow`.
    Options,
}

/// A range that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    From(usize),
    FromTo(usize, usize),
    Last(usize),
}

/// What may be answered, and why.
pub(crate) struct Truth<'a> {
    pub(crate) site: &'a Rc<RefCell<Site>>,
    /// Changes from before are seen.
    pub(crate) since: Duration,
    /// How late a change may be seen.
    pub(crate) lag: Duration,
    /// A disk error or a lack of memory was simulated: 500 and 503 are right answers to files.
    pub(crate) may_fail: bool,
    /// There may be too many connections: 503 and the end is a right first answer.
    pub(crate) may_be_full: bool,
    /// The entity tag of the answer before.
    pub(crate) tag_before: Option<String>,
}

const SMALL: &[&str] = &[
    "a.css",
    "page.html",
    "index.html",
    "changes.txt",
    "empty.txt",
];
const ANY: &[&str] = &[
    "a.css",
    "page.html",
    "medium.bin",
    "large.bin",
    "big.bin",
    "changes.txt",
    "changes.bin",
    "shrinks.bin",
    "goes.txt",
    "empty.txt",
    "dir/index.html",
];

/// The target under which a file is asked for; the root's index has two.
fn target_of(random: &mut Random, path: &str) -> String {
    match path {
        "a.css" => random
            .pick(&["/a.css", "/%61.css", "/dir/../a.css", "//a.css?x=1"])
            .into(),
        "index.html" => random
            .pick(&["/", "/index.html", "/?q", "http://sim.test/"])
            .into(),
        "dir/index.html" => random.pick(&["/dir/", "/dir/index.html", "/dir/."]).into(),
        path => format!("/{path}"),
    }
}

fn request(method: &str, target: &str, lines: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: sim.test\r\n{lines}\r\n")
}

impl Exchange {
    fn fixed(request: String, expected: Expected) -> Exchange {
        Exchange {
            head_only: request.starts_with("HEAD "),
            request: Request::Fixed(request.into_bytes()),
            ends: false,
            is_long: false,
            expected,
        }
    }

    fn ending(mut self) -> Exchange {
        self.ends = true;
        self
    }

    /// GET of a small file.
    pub(crate) fn small(random: &mut Random) -> Exchange {
        let path = random.pick(SMALL);
        let target = target_of(random, path);
        Exchange::fixed(request("GET", &target, ""), Expected::Whole(path))
    }

    /// GET of a file that is likely to be sent from its descriptor.
    pub(crate) fn big(random: &mut Random) -> Exchange {
        let path = random.pick(&["big.bin", "changes.bin", "large.bin", "shrinks.bin"]);
        Exchange::fixed(
            request("GET", &format!("/{path}"), ""),
            Expected::Whole(path),
        )
    }

    /// Any request after which the connection goes on.
    pub(crate) fn any(random: &mut Random) -> Exchange {
        let path = random.pick(ANY);
        let target = target_of(random, path);
        match random.below(10) {
            0 => Exchange::fixed(request("HEAD", &target, ""), Expected::Whole(path)),
            1 | 2 => Exchange::part(random, path, &target),
            3 => Exchange::without_file(random),
            4 => Exchange::refused(random),
            5 => Exchange::conditional(random, path, &target),
            _ => Exchange::fixed(request("GET", &target, ""), Expected::Whole(path)),
        }
    }

    /// A pair: a request, and one on the condition that its answer still holds.
    pub(crate) fn revalidation(random: &mut Random) -> [Exchange; 2] {
        let path = random.pick(&["a.css", "big.bin", "changes.txt", "changes.bin"]);
        let target = target_of(random, path);
        let first = Exchange::fixed(request("GET", &target, ""), Expected::Whole(path));
        let line = random.pick(&[
            "If-None-Match: {tag}\r\n",
            "If-None-Match: \"x\", W/{tag}\r\nIf-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
            "If-Modified-Since: {date}\r\n",
        ]);
        let method = random.pick(&["GET", "HEAD"]);
        let second = Exchange {
            request: Request::AfterAnswer(request(method, &target, line)),
            head_only: method == "HEAD",
            ends: false,
            is_long: false,
            expected: Expected::Unchanged(path),
        };
        [first, second]
    }

    /// A request after which the server must end the connection.
    pub(crate) fn last(random: &mut Random) -> Exchange {
        let path = random.pick(SMALL);
        let target = target_of(random, path);
        match random.below(6) {
            0 => {
                let text = request("GET", &target, "Connection: close\r\n");
                Exchange::fixed(text, Expected::Whole(path)).ending()
            }
            1 => {
                let text = format!("GET {target} HTTP/1.0\r\n\r\n");
                Exchange::fixed(text, Expected::Whole(path)).ending()
            }
            2 => Exchange::expecting(random).ending(),
            3 => {
                let body = "z".repeat(random.between(70_000, 300_000) as usize);
                let head = request(
                    "PUT",
                    &target,
                    &format!("Content-Length: {}\r\n", body.len()),
                );
                let mut exchange = Exchange::fixed(head + &body, Expected::Error(&[405])).ending();
                exchange.is_long = true;
                exchange
            }
            _ => Exchange::malformed(random).ending(),
        }
    }

    /// POST with content that comes apart from it.
    pub(crate) fn upload(random: &mut Random, said_len: Option<usize>) -> Exchange {
        let target = target_of(random, "a.css");
        let line = said_len.map_or(String::new(), |len| format!("Content-Length: {len}\r\n"));
        let (method, status): (_, &[u16]) =
            random.pick(&[("POST", &[405][..]), ("PUT", &[405]), ("BREW", &[501])]);
        Exchange::fixed(request(method, &target, &line), Expected::Error(status))
    }

    fn part(random: &mut Random, path: &'static str, target: &str) -> Exchange {
        let from = random.any_size(20) as usize;
        let part = match random.below(3) {
            0 => Part::From(from),
            1 => Part::FromTo(from, from + random.any_size(18) as usize),
            _ => Part::Last(1 + from),
        };
        let value = match part {
            Part::From(first) => format!("{first}-"),
            Part::FromTo(first, last) => format!("{first}-{last}"),
            Part::Last(len) => format!("-{len}"),
        };
        let text = request("GET", target, &format!("Range: bytes={value}\r\n"));
        Exchange::fixed(text, Expected::Part(path, part))
    }

    fn conditional(random: &mut Random, path: &'static str, target: &str) -> Exchange {
        let (line, expected) = match random.below(4) {
            0 => ("If-None-Match: \"other\"\r\n", Expected::Whole(path)),
            1 => {
                let line = "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
                (line, Expected::Whole(path))
            }
            2 => {
                let line = "If-Range: \"other\"\r\nRange: bytes=0-3\r\n";
                (line, Expected::Whole(path))
            }
            _ => ("If-Match: \"other\"\r\n", Expected::Error(&[412, 404])),
        };
        Exchange::fixed(request("GET", target, line), expected)
    }

    fn without_file(random: &mut Random) -> Exchange {
        let method = random.pick(&["GET", "HEAD"]);
        let (target, expected) = random.pick(&[
            ("/none", 404),
            ("/dir/none.html", 404),
            ("/.hidden", 404),
            ("/link-out.txt", 404),
            ("/fifo", 404),
            ("/a.css/", 404),
            ("/a.css/b", 404),
            ("/%2e%2e/secret.txt", 400),
            ("/../secret.txt", 400),
            ("/%zz", 400),
            ("/dir", 308),
            ("/dir?a=b", 308),
        ]);
        let expected = match (expected, target) {
            (308, "/dir") => Expected::Redirect("/dir/"),
            (308, _) => Expected::Redirect("/dir/?a=b"),
            (400, _) => Expected::Error(&[400]),
            _ => Expected::Error(&[404]),
        };
        Exchange::fixed(request(method, target, ""), expected)
    }

    fn refused(random: &mut Random) -> Exchange {
        let body = "name=value&GET / HTTP/1.1";
        let (text, expected) = match random.below(6) {
            0 => (request("OPTIONS", "*", ""), Expected::Options),
            1 => (request("OPTIONS", "/a.css", ""), Expected::Options),
            2 => (request("BREW", "/pot", ""), Expected::Error(&[501])),
            3 => (request("DELETE", "/a.css", ""), Expected::Error(&[405])),
            4 => {
                let head = request(
                    "POST",
                    "/a.css",
                    &format!("Content-Length: {}\r\n", body.len()),
                );
                (head + body, Expected::Error(&[405]))
            }
            _ => {
                let head = request("POST", "/a.css", "Transfer-Encoding: chunked\r\n");
                let chunks = "5\r\nhello\r\na;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";
                (head + chunks, Expected::Error(&[405]))
            }
        };
        Exchange::fixed(text, expected)
    }

    /// The final answer comes without the 100 that was asked for; whether the body comes all the
    /// same is the client's choice, so nothing can follow (RFC 9110 §10.1.1).
    fn expecting(random: &mut Random) -> Exchange {
        let lines = "Expect: 100-continue\r\nContent-Length: 5\r\n";
        let body = random.pick(&["", "hello"]);
        let text = request("POST", "/a.css", lines) + body;
        Exchange::fixed(text, Expected::Error(&[405]))
    }

    fn malformed(random: &mut Random) -> Exchange {
        let long = "x".repeat(9000);
        let wide = format!("X: {}\r\n", "y".repeat(40_000));
        let (text, statuses): (String, &'static [u16]) = match random.below(10) {
            0 => ("GET / HTTP/1.1\r\n\r\n".into(), &[400]),
            1 => (request("GET", "/", "Host: two.test\r\n"), &[400]),
            2 => (request("GET", "/", "Bad : space\r\n"), &[400]),
            3 => (request("GET", "/", "Content-Length: 1, 2\r\n"), &[400]),
            4 => {
                let lines = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n";
                (request("POST", "/", lines), &[400])
            }
            5 => (request("GET", "/", "Folded: a\r\n b\r\n"), &[400]),
            6 => ("GET / HTTP/2.0\r\nHost: sim.test\r\n\r\n".into(), &[505]),
            7 => (request("GET", &format!("/{long}"), ""), &[414]),
            8 => (request("GET", "/", &wide), &[431]),
            _ => ("GET / HTTP/1.1\nHost: sim.test\n\n".into(), &[400]),
        };
        let mut exchange = Exchange::fixed(text, Expected::Error(statuses));
        exchange.head_only = false;
        exchange
    }
}

impl Expected {
    /// Checks a whole response. `bytes` are all that the connection has received.
    pub(crate) fn check(
        &self,
        response: &Response,
        content: &[u8],
        head_only: bool,
        truth: &Truth<'_>,
    ) {
        assert!(
            !content.windows(SECRET.len()).any(|window| window == SECRET),
            "a secret"
        );
        let reads_file = !matches!(self, Expected::Options);
        if truth.may_fail && reads_file && matches!(response.status, 500 | 503) {
            return;
        }
        match self {
            Expected::Error(statuses) => {
                let right = statuses.contains(&response.status);
                assert!(right, "{} and not {statuses:?}", response.status);
                assert!(head_only || !content.is_empty(), "an error says why");
                let allow = response.field("allow").is_some();
                assert_eq!(allow, response.status == 405, "RFC 9110 §15.5.6");
            }
            Expected::Redirect(location) => {
                assert_eq!(response.status, 308);
                assert_eq!(response.field("location"), Some(*location));
            }
            Expected::Options => {
                assert_eq!(response.status, 204);
                assert!(
                    response
                        .field("allow")
                        .is_some_and(|allow| allow.contains("GET"))
                );
            }
            Expected::Whole(path) => check_whole(path, response, content, head_only, truth),
            Expected::Part(path, part) => check_part(path, *part, response, content, truth),
            Expected::Unchanged(path) if response.status == 304 => {
                check_unchanged(path, response, truth);
            }
            Expected::Unchanged(path) => {
                check_whole(path, response, content, head_only, truth);
            }
        }
    }

    /// Checks the beginning of a response that is cut off.
    pub(crate) fn check_cut_off(&self, response: &Response, content: &[u8], truth: &Truth<'_>) {
        let (path, from) = match (self, response.status) {
            (Expected::Whole(path) | Expected::Unchanged(path), 200) => (path, 0),
            (Expected::Part(path, _), 200) => (path, 0),
            (Expected::Part(path, _), 206) => (path, content_range(response).0),
            _ => return,
        };
        let site = truth.site.borrow();
        let mut allowed = site.allowed(path, truth.since, truth.lag).flatten();
        let right =
            allowed.any(|whole| whole.get(from..).is_some_and(|it| it.starts_with(content)));
        assert!(right, "the beginning of /{path} is not what the file holds");
    }

    /// True when a file that shrinks while it is sent may end the connection early.
    pub(crate) fn may_be_cut_off(&self) -> bool {
        let (Expected::Whole(path) | Expected::Part(path, _) | Expected::Unchanged(path)) = self
        else {
            return false;
        };
        *path == "shrinks.bin"
    }
}

/// True when the file may be missing by now, and 404 says so.
fn is_rightly_missing(path: &str, response: &Response, truth: &Truth<'_>) -> bool {
    let site = truth.site.borrow();
    let may_be_missing = site
        .allowed(path, truth.since, truth.lag)
        .any(|state| state.is_none());
    response.status == 404 && may_be_missing
}

fn check_whole(
    path: &str,
    response: &Response,
    content: &[u8],
    head_only: bool,
    truth: &Truth<'_>,
) {
    if is_rightly_missing(path, response, truth) {
        return;
    }
    assert_eq!(response.status, 200, "/{path}");
    let length: usize = response
        .field("content-length")
        .expect("it has")
        .parse()
        .unwrap();
    let right = {
        let site = truth.site.borrow();
        let mut allowed = site.allowed(path, truth.since, truth.lag).flatten();
        let right = |it: &&[u8]| it.len() == length && (head_only || *it == content);
        allowed.find(right).map(<[u8]>::to_vec)
    };
    let right = right.unwrap_or_else(|| panic!("/{path}: {length} bytes that it does not hold"));
    if head_only {
        return; // Two states may have the same length.
    }
    if let Some(tag) = response.field("etag") {
        truth.site.borrow_mut().check_tag(path, tag, &right);
    }
}

fn check_part(path: &str, part: Part, response: &Response, content: &[u8], truth: &Truth<'_>) {
    if is_rightly_missing(path, response, truth) {
        return;
    }
    let site = truth.site.borrow();
    let mut allowed = site.allowed(path, truth.since, truth.lag).flatten();
    let right = allowed.any(|whole| {
        let range = match part {
            Part::From(first) => first..whole.len(),
            Part::FromTo(first, last) => first..(last + 1).min(whole.len()),
            Part::Last(len) => whole.len().saturating_sub(len)..whole.len(),
        };
        match response.status {
            // Of an empty file no range can be expressed (RFC 9110 §14.4).
            200 => whole.is_empty() && content.is_empty(),
            206 => {
                let expected = (range.start, range.end, whole.len());
                range.start < whole.len()
                    && content_range(response) == expected
                    && *content == whole[range]
            }
            416 => {
                let unsatisfied = format!("bytes */{}", whole.len());
                range.start >= whole.len() && response.field("content-range") == Some(&unsatisfied)
            }
            _ => false,
        }
    });
    assert!(right, "/{path} {part:?}: {response:?}");
}

/// First byte, byte after the last, and length of the whole.
fn content_range(response: &Response) -> (usize, usize, usize) {
    let value = response
        .field("content-range")
        .expect("206 has a Content-Range");
    let numbers = value.strip_prefix("bytes ").expect("of bytes");
    let (range, len) = numbers.split_once('/').expect("with the length");
    let (first, last) = range.split_once('-').expect("two positions");
    let number = |text: &str| -> usize { text.parse().expect("a number") };
    (number(first), number(last) + 1, number(len))
}

fn check_unchanged(path: &str, response: &Response, truth: &Truth<'_>) {
    let tag = truth
        .tag_before
        .as_deref()
        .expect("the answer before had one");
    assert_eq!(response.field("etag"), Some(tag));
    let site = truth.site.borrow();
    let meant = site.content_of_tag(path, tag).expect("it was seen before");
    let mut allowed = site.allowed(path, truth.since, truth.lag).flatten();
    assert!(
        allowed.any(|content| content == meant),
        "/{path} has changed since"
    );
}
