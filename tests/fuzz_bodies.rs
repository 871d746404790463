//! Runs every fuzz body over thousands of seeded mutations of real inputs, as an ordinary test.
//!
//! A failure names the seed and the round; the same body is a cargo-fuzz target's one line.

use downpour::access::credentials::fuzz::{fuzz_access, fuzz_authorization, fuzz_subject};
use downpour::access::fuzz::{fuzz_forwarded, fuzz_proxy_header, fuzz_rules};
use downpour::handler::resources::fuzz as resources;
use downpour::http::fuzz::{
    fuzz_accept, fuzz_accept_encoding, fuzz_accept_language, fuzz_conditions, fuzz_path, fuzz_range,
};
use downpour::listing::fuzz as listing;
use downpour::proto::h1::fuzz::{fuzz_body, fuzz_head};
use downpour::proto::h2::fuzz::{fuzz_frames, fuzz_program};
use downpour::proto::h2::hpack::fuzz::{fuzz_blocks, fuzz_huffman};
use downpour::record::fuzz::fuzz_lines;
use downpour::route::fuzz::{fuzz_names, fuzz_rule_files, fuzz_steering};
use downpour::tls::fuzz as tls;

const ROUNDS: u64 = 20_000;

const HEADS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n",
    b"GET /a/b.css?v=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
    b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nConnection: keep-alive\r\n\
      Cache-Control: max-age=0\r\nUpgrade-Insecure-Requests: 1\r\n\
      User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n\
      Accept: text/html,*/*;q=0.8\r\n\
      Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\
      If-None-Match: \"17979cfe362a0005-64\"\r\n\
      If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 12\r\n\
      Expect: 100-continue\r\n\r\n",
    b"PUT http://a.example/x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
];

const BODIES: &[&[u8]] = &[
    b"\x01\x35\r\nhello\r\n0\r\n\r\n",
    b"\x01a;n=v\r\n0123456789\r\n1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\nGET / HTTP/1.1\r\n",
    b"\x01FFFFFFFFFFFFFFFF\r\nx",
    b"\x00hello, world",
];

const PATHS: &[&[u8]] = &[
    b"/",
    b"/a/b.css",
    b"/a/./../b/%2e%2e/%2E/c%20d/",
    b"//.well-known//acme-challenge/x",
    b"/%ff%00%2f%zz",
];

const RANGES: &[&[u8]] = &[
    b"\x0b\0\0\0\0\0\0\0bytes=0-4",
    b"\xff\xff\xff\xff\xff\xff\xff\xffbytes=-5, 3-7 ,100-",
    b"\0\0\0\0\0\0\0\0bytes=0-",
    b"\x0b\0\0\0\0\0\0\0bytes=18446744073709551615-18446744073709551616",
    b"\xff\0\0\0\0\0\0\0bytes=0-0,-2,5-8,9-20,30-40,25-31",
    b"\xff\xff\xff\xff\xff\xff\xff\x7fbytes=50-59,0-9,60-69,-10,100000-",
];

const ACCEPTED_CODINGS: &[&[u8]] = &[
    b"\x0fgzip, deflate, br, zstd",
    b"\x03identity;q=0, *;q=0.5\nx-gzip ; q=0.123",
    b"\x0ebr;q=1.000,zstd;Q=0.,GZIP;q=0.001,*;q=0",
    b"\x0f",
];

const ACCEPTED_LANGUAGES: &[&[u8]] = &[
    b"\x00en-GB,en;q=0.9,de;q=0.8",
    b"\x01zh-Hant-CN-x-private1-private2, *;q=0",
    b"\x02de-AT, de;q=0\nen;q=0.5, *;q=0.1",
    b"\x03en;q=0,zh-Hant;q=0,de-AT;q=0",
];

const ACCEPTED_TYPES: &[&[u8]] = &[
    b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8,\
      application/signed-exchange;v=b3;q=0.7",
    b"text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed\n\
      text/plain;format=\"fi\\xed\";q=0.4",
    b"*/*;q=0, image/avif; q=0.1, text/html;charset=\"utf-8\";q=0.2",
];

const CONDITIONS: &[&[u8]] = &[
    b"\x00\x01\"x\", W/\"y\"\n\x05bytes=0-4\n\x04\"x\"",
    b"\x01\x02Sun, 06 Nov 1994 08:49:37 GMT\n\x03Sun Nov  6 08:49:37 1994",
    b"\x02\x00*\n\x01*\n\x05bytes=-1",
    b"\x00\x05bytes=0-9,20-29,900-\n\x04\"x\"",
    b"\x00\x05bytes=1000-\n\x04Sunday, 06-Nov-94 08:49:37 GMT",
];

const LISTING_QUERIES: &[&[u8]] = &[
    b"sort=size&order=desc",
    b"format=json&sort=modified&order=asc&x=%20",
    b"sort=name&&format=html&C=M;O=D",
];

/// A directory and the names in it, by lines.
const LISTED_NAMES: &[&[u8]] = &[
    b"dir\na.txt\nfile 10\n100%\na:b\n<script>alert(1)</script>",
    b"a%2fb\n\"'&amp;\n..a\n%2e%2e\n\\\n?#\n \n\xff\xc3\xa4\xe2\x80\xae\x07",
    b"\xe2\x80\xa8\n</a></bdi>\njavascript:x\n//\n~\n\xf0\x9f\x8c\xa7",
];

/// The examples of RFC 7541, Appendix C, and what its rules forbid; each block behind its length.
const FIELD_BLOCKS: &[&[u8]] = &[
    b"\x03\x14\x82\x86\x84\x41\x0fwww.example.com\x0e\x82\x86\x84\xbe\x58\x08no-cache\
      \x1d\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value",
    b"\x02\x11\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff\
      \x0c\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf\
      \x18\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\
      \x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf",
    b"\x01\x36\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b\x61\x96\xd0\x7a\xbe\x94\
      \x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff\x6e\x91\
      \x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3\
      \x08\x48\x83\x64\x0e\xff\xc1\xc0\xbf",
    b"\x03\x09\x20\x3f\xe1\x1f\x82\x40\x01N\x01v\x02\xbe\xbe\x06\x7e\x02\xe9v\xbf\xbe",
    b"\x03\x10\x40\x05:path\x02/x\x10\x01n\x02 v\x04\xbe\x7e\x01y",
    b"\x00\x07\xff\xff\xff\xff\xff\xff\x7f",
];

const HUFFMAN_STRINGS: &[&[u8]] = &[
    b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
    b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\
      \xff",
    b"\xff\xff\xff\xfc\x1f\xff\xff\xff\xff",
    b"Mozilla/5.0 (X11; Linux x86_64) \\ \x7f\x80\xc3",
];

/// Frames behind the prefaces.
const FRAMES: &[&[u8]] = &[
    // GET on two streams, the second in two frames; PING.
    b"\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01a\
      \0\0\x02\x01\x01\0\0\0\x03\x82\x84\0\0\x02\x09\x04\0\0\0\x03\x86\xbe\
      \0\0\x08\x06\0\0\0\0\x00pingping",
    // POST with content, padding and trailers; WINDOW_UPDATE of both kinds.
    b"\0\0\x0b\x01\x0c\0\0\0\x01\x03\x83\x84\x86\x41\x01a\0\0\0\0\
      \0\0\x05\0\0\0\0\0\x01hello\0\0\x04\0\x08\0\0\0\x01\x01ab\0\
      \0\0\x05\x01\x05\0\0\0\x01\0\x01x\x01y\
      \0\0\x04\x08\0\0\0\0\x01\0\0\x01\0\0\0\x04\x08\0\0\0\0\0\0\0\x01\0",
    // Settings, priorities of both kinds, a reset, GOAWAY, an unknown frame.
    b"\0\0\x0c\x04\0\0\0\0\0\0\x04\0\0\0\x05\0\x05\0\0\x40\0\
      \0\0\x05\x02\0\0\0\0\x01\0\0\0\0\x10\0\0\x07\x10\0\0\0\0\0\0\0\0\x03u=1\
      \0\0\x06\x01\x04\0\0\0\x03\x82\x84\x86\x41\x01a\0\0\x04\x03\0\0\0\0\x03\0\0\0\x08\
      \0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03\x77\0\0\0\0\x09xyz",
];

/// Programs for a client of HTTP/2.
const PROGRAMS: &[&[u8]] = &[
    b"\0\x80\0\xa0\0\xc0\0\xe0\0\x82\x04\x04\x01\x09\x0d\x04\x01",
    b"\0\x02\x04\0\0\x03\0\x22\x04\x01\x01\x03\x06\x02\x07\x02\x03\xff\x08\x04\x01\x02\x0f\x01\x20",
    b"\0\x44\0\x65\0\x86\x0c\x02\x04\x05\x0b\x01\x02\x0b\x03\x0b\x0a\x01\x01\x09\0\x08\x04\x00\x00",
    b"\x01\x82\x01\x83\x01\x82\x01\x83\x01\x82\x01\x83\x05\x01\x08\x05\x05\x02\0\xff",
    b"\x00\xa2\x0a\x00\x10\x01\x0b\x04\x01\x08\x00\x00\x0d\x00\x0c\x00\x11\x0e\xff\0\0\x04\x08",
];

/// Path, query, host, `Accept-Language` and `Cookie` of a request.
const STEERED: &[&[u8]] = &[
    b"/s/%2e%2e/%5cevil.example\n\na.example",
    b"/t/x//evil.example/y/\n\n\nde-AT,en;q=0.5\na=1; b",
    b"/q\na=%2F%2Fevil.example&b=..%0d%0a#x\n",
    b"/u/@evil.example\nq=%41 #\nx.example:80",
    b"/r/a/b/\n\n\n",
    b"/f\na=..%2f..\n[::1]",
    b"/l\n\n\nde;q=1.000\nx; a=2",
];

const RULE_FILES: &[&[u8]] = &[
    b"/a/* /b/:splat 301!\n/:a id=:id https://b.example/:a?x=:id#y 302 Country=a,b # c\n",
    b"/a/*\n  X-A: :splat\n  ! X-B\nhttps://:x.example/*.css\n  Set-Cookie: a=:x\n",
    b"\xef\xbb\xbf/* 200\r\n/*/b /:splat 404 Language=de Cookie=c Role=d\r\n",
];

const NAMES: &[&[u8]] = &[
    b"/a/**/{b,c?}/[!a-z]*.css\n/a/x/y/b/1.css",
    b"*.a.example\nX.A.example.:80",
    b"[::1]\n[0:0::1]:443",
];

/// Path, query, host, `Referer`, `User-Agent`, user and id of a request.
const LOGGED: &[&[u8]] = &[
    b"/a/b.css\nv=1\na.example\nhttps://a.example/\nMozilla/5.0 (X11; Linux x86_64)\nanna\n01-ab",
    b"/\" 200 0 \"-\r\x1b[2J\n\\\n{\"a\":1}\n\xff\xc3\xa4\xe2\x80\xa8\n\"\nan na\na b",
    b"*\n\n\n\n\n\n",
];

/// Documents, and patches behind a NUL.
const PATCHES: &[&[u8]] = &[
    b"{\"a\":[1,{\"b\":null}]}\0{\"a\":{\"c\":null},\"d\":[1.5e3]}",
    b"[[1],{}]\0[{\"op\":\"copy\",\"from\":\"\",\"path\":\"/-\"},{\"op\":\"move\",\"from\":\"/0\",\
      \"path\":\"/1/a\"},{\"op\":\"test\",\"path\":\"/0/a/0\",\"value\":1}]",
    b"{\"~/\":\"\\ud83d\\ude00\"}\0[{\"op\":\"replace\",\"path\":\"/~0~1\",\"value\":[[[]]]},\
      {\"op\":\"add\",\"path\":\"/~0~1/0/0/-\",\"value\":{}},\
      {\"op\":\"remove\",\"path\":\"/~0~1\"}]",
];

const CONTENT_RANGES: &[&[u8]] = &[
    b"bytes 0-99/100",
    b"bytes 18446744073709551614-18446744073709551615/*",
];

/// Queries, and names behind a NUL.
const PAGE_QUERIES: &[&[u8]] = &[
    b"limit=5&after=a%20b%2B\0c d+%&.json",
    b"after=%ff&limit=1000&limit=1\0\xff\xfe",
];

const DIGESTS: &[&[u8]] = &[
    b"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:;a=1, md5=:AAAA:\nsha-512=3,sha-256=10",
    b"sha-512=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:\nsha-256=0;x, unixsum=1",
];

/// The last is the token of RFC 7515 §A.1, whose secret is not known here.
const AUTHORIZATIONS: &[&[u8]] = &[
    b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    b"basic YWxpY2U6c2VjcmV0",
    b"Bearer test",
    b"Digest username=\"a\", realm=\"b\"",
    b"Bearer eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
      eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl\
      fQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
];

const SUBJECTS: &[&[u8]] = &[
    b"CN=alice,O=Rain\\, Inc.",
    b"C=DE,OU=x+CN=Gr\\C3\\BCn",
    b"1.2.3=#0403414243,CN=a",
];

const ACCESS_RULES: &[&[u8]] = &[
    b"/notes/** read=anyone write=users",
    b"*.txt read=user:alice,cert:\"a b\",claim:groups=x write=nobody",
    b"write=claim:scope=write",
];

const PROXY_HEADERS: &[&[u8]] = &[
    b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET / HTTP/1.1\r\n",
    b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 0 65535\r\n",
    b"PROXY UNKNOWN ffff:: x 1 2\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xc0\0\x02\x01\xc0\0\x02\x02\0\x50\x01\xbb\x04\0\x01\0\
      GET",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\
      \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\0\x50\x01\xbb",
];

/// By turns, lines of `Forwarded` and of `X-Forwarded-For`.
const FORWARDED: &[&[u8]] = &[
    b"for=192.0.2.60;proto=http;by=203.0.113.43, for=\"[2001:db8::17]:4711\"\n192.0.2.1, 10.0.0.3",
    b"for=_hidden, for=unknown;by=\"a\\\"b,\", for=10.0.0.2;;\n[2001:db8::1]:80, 10.0.0.2:1",
    b"for=\"10.0.0.3:_port\"\n10.0.0.4,,\nfor=\"\\1\\0.0.0.5\n::ffff:10.0.0.6",
];

const ADDRESS_AND_LIMIT_RULES: &[&[u8]] = &[
    b"/a/** private, 192.0.2.0/24 2001:db8::/32",
    b"::ffff:10.0.0.0/104",
    b"10.0.0.0/8",
    b"/api/** 10/2s burst=5 by=address+path+header:X-Key name=api",
    b"1000/h by=user",
];

/// Bytes that parsers stumble over.
const HOSTILE: &[u8] = b"\r\n\0 \t:;,%/.\"*-#?@[]\x7f\x80\xff0Ff";

/// splitmix64: small, seeded, and good enough to choose mutations.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }
}

fn mutate(input: &mut Vec<u8>, corpus: &[&[u8]], dice: &mut Dice) {
    let at = dice.below(input.len() + 1);
    let end = at + dice.below((input.len() - at).min(16) + 1);
    match dice.below(7) {
        0 => input.insert(at, HOSTILE[dice.below(HOSTILE.len())]),
        1 if at < input.len() => input[at] = HOSTILE[dice.below(HOSTILE.len())],
        2 if at < input.len() => input[at] = dice.roll() as u8,
        3 => drop(input.drain(at..end)),
        4 => {
            let copy = input[at..end].to_vec();
            let to = dice.below(input.len() + 1);
            input.splice(to..to, copy);
        }
        5 => {
            let other = corpus[dice.below(corpus.len())];
            let from = dice.below(other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => input.truncate(at),
    }
}

fn run(corpus: &[&[u8]], seed: u64, body: fn(&[u8])) {
    run_rounds(corpus, seed, ROUNDS, body);
}

fn run_rounds(corpus: &[&[u8]], seed: u64, rounds: u64, body: fn(&[u8])) {
    for sample in corpus {
        body(sample);
    }
    for round in 0..rounds {
        let mut dice = Dice(seed ^ round << 16);
        let mut input = corpus[dice.below(corpus.len())].to_vec();
        for _ in 0..=dice.below(4) {
            mutate(&mut input, corpus, &mut dice);
        }
        let outcome = std::panic::catch_unwind(|| body(&input));
        assert!(outcome.is_ok(), "seed {seed}, round {round}: {input:?}");
    }
}

#[test]
fn heads() {
    run(HEADS, 1, fuzz_head);
}

#[test]
fn bodies() {
    run(BODIES, 2, fuzz_body);
}

#[test]
fn paths() {
    run(PATHS, 3, fuzz_path);
}

#[test]
fn ranges() {
    run(RANGES, 4, fuzz_range);
}

#[test]
fn conditions() {
    run(CONDITIONS, 5, fuzz_conditions);
}

fn run_tls(seed: u64, rounds: u64, body: fn(&[u8])) {
    let hellos = tls::hellos();
    let corpus: Vec<&[u8]> = hellos.iter().map(Vec::as_slice).collect();
    run_rounds(&corpus, seed, rounds, body);
}

#[test]
fn tls_records() {
    run_tls(6, ROUNDS, tls::fuzz_records);
}

#[test]
fn tls_fragments() {
    run_tls(7, ROUNDS / 20, tls::fuzz_fragments);
}

#[test]
fn tls_conversations() {
    run_tls(8, ROUNDS / 20, tls::fuzz_conversation);
}

#[test]
fn field_blocks() {
    run(FIELD_BLOCKS, 9, fuzz_blocks);
}

#[test]
fn huffman_strings() {
    run(HUFFMAN_STRINGS, 10, fuzz_huffman);
}

#[test]
fn frames() {
    run(FRAMES, 8, fuzz_frames);
}

#[test]
fn frame_programs() {
    run(PROGRAMS, 9, fuzz_program);
}

#[test]
fn accepted_codings() {
    run(ACCEPTED_CODINGS, 13, fuzz_accept_encoding);
}

#[test]
fn accepted_languages() {
    run(ACCEPTED_LANGUAGES, 14, fuzz_accept_language);
}

#[test]
fn accepted_types() {
    run(ACCEPTED_TYPES, 15, fuzz_accept);
}

#[test]
fn listing_queries() {
    run(LISTING_QUERIES, 16, listing::fuzz_query);
}

#[test]
fn listed_names() {
    run_rounds(LISTED_NAMES, 17, ROUNDS / 10, listing::fuzz_names);
}

#[test]
fn patches() {
    run(PATCHES, 18, resources::fuzz_patch);
}

#[test]
fn content_ranges() {
    run(CONTENT_RANGES, 19, resources::fuzz_content_range);
}

#[test]
fn page_queries() {
    run(PAGE_QUERIES, 21, resources::fuzz_page_query);
}

#[test]
fn digests() {
    run(DIGESTS, 20, resources::fuzz_digests);
}

#[test]
fn steering() {
    run_rounds(STEERED, 10, ROUNDS / 4, fuzz_steering);
}

#[test]
fn rule_files() {
    run(RULE_FILES, 11, fuzz_rule_files);
}

#[test]
fn names() {
    run(NAMES, 12, fuzz_names);
}

#[test]
fn logged_texts() {
    run_rounds(LOGGED, 18, ROUNDS / 4, fuzz_lines);
}

#[test]
fn authorizations() {
    run(AUTHORIZATIONS, 18, fuzz_authorization);
}

#[test]
fn subjects() {
    run(SUBJECTS, 19, fuzz_subject);
}

#[test]
fn access_rules() {
    run(ACCESS_RULES, 20, fuzz_access);
}

#[test]
fn proxy_headers() {
    run(PROXY_HEADERS, 22, fuzz_proxy_header);
}

#[test]
fn forwarded_fields() {
    run(FORWARDED, 23, fuzz_forwarded);
}

#[test]
fn rules_of_addresses_and_limits() {
    run(ADDRESS_AND_LIMIT_RULES, 24, fuzz_rules);
}
