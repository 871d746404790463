//! RFC 9113 §8: what a request is.

use super::*;
use crate::base::limits::{FIELDS_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX};
use crate::http::{Known, Method, RequestHead, TargetForm, Version};

type Fields<'a> = &'a [(&'a str, &'a str)];

/// `GET` with one field replaced, or added at the end.
fn get_with<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut fields = GET.to_vec();
    match fields.iter_mut().find(|field| field.0 == name) {
        Some(field) => field.1 = value,
        None => fields.push((name, value)),
    }
    fields
}

fn get_without(name: &str) -> Vec<(&'static str, &'static str)> {
    let mut fields = GET.to_vec();
    fields.retain(|field| field.0 != name);
    fields
}

/// What comes of a request with `fields`, as its only frame.
fn judge_request(flags: u8, payload: &[u8]) -> Result<Vec<Seen>, ErrorCode> {
    let mut rig = Rig::new();
    let events = rig.feed(&frame(Kind::Headers, flags, 1, payload));
    match &rig.sent()[..] {
        [] => Ok(events),
        [reset] => {
            assert_eq!((reset.kind, events), (Kind::RstStream, vec![]));
            rig.expect_alive();
            Err(ErrorCode(u32::from_be_bytes(
                reset.payload[..].try_into().unwrap(),
            )))
        }
        more => panic!("{more:?}"),
    }
}

/// §8.1.1: a stream error of type PROTOCOL_ERROR.
#[track_caller]
fn malformed(fields: Fields<'_>) {
    let judged = judge_request(WHOLE, &block(fields));
    assert_eq!(judged, Err(ErrorCode::PROTOCOL_ERROR), "{fields:?}");
}

#[track_caller]
fn malformed_raw(name: &[u8], value: &[u8]) {
    let mut payload = block(GET);
    payload.extend(raw_block(&[(name, value)]));
    let judged = judge_request(WHOLE, &payload);
    assert_eq!(
        judged,
        Err(ErrorCode::PROTOCOL_ERROR),
        "{name:?}: {value:?}"
    );
}

#[track_caller]
fn refused(fields: Fields<'_>, status: u16) {
    let expected = Seen::Refused { stream: 1, status };
    assert_eq!(judge_request(WHOLE, &block(fields)), Ok(vec![expected]));
}

#[track_caller]
fn accepted(fields: Fields<'_>) {
    let expected = Seen::Request {
        stream: 1,
        has_content: false,
    };
    let judged = judge_request(WHOLE, &block(fields));
    assert_eq!(judged, Ok(vec![expected]), "{fields:?}");
}

fn with_head<T>(fields: Fields<'_>, look: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let mut rig = Rig::new();
    let input = headers(1, WHOLE, fields);
    let mut storage = HeadStorage::new();
    let step = rig
        .core
        .step(&input, &mut rig.list, &mut storage, rig.now, &mut rig.out);
    assert_eq!(step.consumed, input.len());
    match step.event {
        Some(Event::Request { head, .. }) => look(&head),
        other => panic!("{other:?}"),
    }
}

/// §8.3.1
#[test]
fn a_request_is_read() {
    let mut fields = GET.to_vec();
    fields.extend([("accept", "x"), ("range", "bytes=0-1"), ("x-empty", "")]);
    with_head(&fields, |head| {
        assert_eq!((head.method, head.version), (Method::Get, Version::Http2));
        assert_eq!(head.form, TargetForm::Origin);
        assert_eq!((head.path, head.query), (&b"/a"[..], Some(&b"b"[..])));
        assert_eq!(head.authority, Some(&b"a.example"[..]));
        assert_eq!(head.fields.get(Known::Range), Some(&b"bytes=0-1"[..]));
        let names: Vec<&str> = head.fields.list().iter().map(|field| field.name).collect();
        assert_eq!(names, ["accept", "range", "x-empty"]);
    });
    with_head(&get_with(":path", "/"), |head| {
        assert_eq!((head.path, head.query), (&b"/"[..], None));
    });
    with_head(&get_with(":path", "/x?"), |head| {
        assert_eq!((head.path, head.query), (&b"/x"[..], Some(&b""[..])));
    });
    // Any order of pseudo-fields will do.
    let mut fields = GET.to_vec();
    fields.reverse();
    accepted(&fields);
}

/// §8.2.1
#[test]
fn field_names() {
    for name in [
        &b""[..],
        b"UPPERCASE",
        b"x-Y",
        b"space force",
        b" x",
        b"\x01invalid",
        b"\x7finvalid",
        "inválid".as_bytes(),
        b"invalid:field",
        b"x:",
        b"x\0",
        b"x\r\ny",
        b"x(y",
        b"\xff",
    ] {
        malformed_raw(name, b"oh no");
    }
    accepted(&get_with("x!#$%&'*+-.^_`|~1", "y"));
}

/// §8.2.1
#[test]
fn field_values() {
    for value in [
        &b"oh\nno"[..],
        b"oh\rno",
        b"oh\0no",
        b"\x01",
        b"\x7f",
        b" oh no",
        b"\toh no",
        b"oh no ",
        b"oh no\t",
        b" ",
    ] {
        malformed_raw(b"x", value);
        malformed_raw(b"accept", value);
    }
    accepted(&get_with("x", "a b\tc \u{e9}"));
    accepted(&get_with("x", ""));
}

/// §8.2.2
#[test]
fn connection_specific_fields() {
    for (name, value) in [
        ("connection", "keep-alive"),
        ("connection", "close"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", ""),
    ] {
        malformed(&get_with(name, value));
    }
    accepted(&get_with("te", "trailers"));
    accepted(&get_with("connection-x", "y"));
}

/// §8.3
#[test]
fn pseudo_fields_come_first_once_and_known() {
    malformed(&get_with(":status", "200"));
    malformed(&get_with(":protocol", "websocket"));
    malformed(&get_with(":unknown", "x"));
    malformed(&get_with(":", "x"));
    for pseudo in GET {
        let mut fields = GET.to_vec();
        fields.push(*pseudo);
        malformed(&fields);
        let mut fields = get_without(pseudo.0);
        fields.extend([("accept", "x"), *pseudo]);
        malformed(&fields);
    }
}

/// §8.3.1
#[test]
fn mandatory_pseudo_fields() {
    for name in [":method", ":scheme", ":path"] {
        malformed(&get_without(name));
    }
    malformed(&[]);
    malformed(&[("accept", "x")]);
}

/// §8.3.1
#[test]
fn paths() {
    for path in [
        "",
        "a",
        "?a",
        "*",
        "http://a.example/",
        "a.example:80",
        "/a b",
        "/a\tb",
    ] {
        malformed(&get_with(":path", path));
    }
    malformed_raw(b":path", b"/\0");
    refused(&get_with(":path", "/a#b"), 400);
    let longest = format!("/{}", "a".repeat(TARGET_BYTES_MAX - 1));
    accepted(&get_with(":path", &longest));
    refused(&get_with(":path", &format!("{longest}a")), 414);
    let mut fields = get_with(":path", "*");
    fields[0].1 = "OPTIONS";
    with_head(&fields, |head| {
        assert_eq!((head.form, head.path), (TargetForm::Asterisk, &b""[..]));
    });
}

/// §8.3.1
#[test]
fn schemes() {
    for scheme in ["http", "https", "HTTP", "Https"] {
        accepted(&get_with(":scheme", scheme));
    }
    for scheme in ["ftp", "", "http:"] {
        refused(&get_with(":scheme", scheme), 400);
    }
}

/// §8.3.1, RFC 9110 §9.1
#[test]
fn methods() {
    for method in ["", "GE T", "GET,", "G\u{e9}T"] {
        malformed(&get_with(":method", method));
    }
    let longest = "M".repeat(METHOD_BYTES_MAX);
    with_head(&get_with(":method", &longest), |head| {
        assert_eq!(head.method, Method::Unknown);
    });
    refused(&get_with(":method", &format!("{longest}M")), 501);
}

/// §8.3.1, RFC 9110 §7.2
#[test]
fn authorities() {
    for authority in ["", "u@a.example", "a b", "a:x", "a.example/", ":80"] {
        malformed(&get_with(":authority", authority));
    }
    let authority_of =
        |fields: Fields<'_>| with_head(fields, |head| head.authority.map(<[u8]>::to_vec));
    let mut fields = get_without(":authority");
    refused(&fields, 400);
    fields.push(("host", "b.example:81"));
    assert_eq!(authority_of(&fields), Some(b"b.example:81".to_vec()));
    fields.push(("host", "b.example:81"));
    malformed(&fields);
    fields.truncate(3);
    fields.push(("host", "b example"));
    malformed(&fields);
    // Both must name the same server.
    for (authority, host, is_same) in [
        ("a.example", "a.example", true),
        ("a.example", "A.EXAMPLE", true),
        ("a.example", "a.example:80", true),
        ("a.example:80", "a.example:", true),
        ("a.example:81", "a.example:81", true),
        ("a.example", "a.example:443", false),
        ("a.example", "b.example", false),
        ("a.example", "a.example.different", false),
        ("a.example", "", false),
    ] {
        let mut fields = get_with(":authority", authority);
        fields.push(("host", host));
        if is_same {
            assert_eq!(authority_of(&fields), Some(authority.as_bytes().to_vec()));
        } else {
            malformed(&fields);
        }
    }
    let mut fields = get_with(":scheme", "https");
    fields.push(("host", "a.example:443"));
    accepted(&fields);
}

/// §8.5
#[test]
fn connect_names_an_authority_alone() {
    let connect = |more: Fields<'_>| {
        let mut fields = vec![(":method", "CONNECT")];
        fields.extend_from_slice(more);
        block(&fields)
    };
    let authority = (":authority", "example.com:443");
    for more in [
        &[(":scheme", "https"), authority][..],
        &[(":path", "/"), authority],
        &[(":scheme", "https"), (":path", "/"), authority],
        &[],
        &[(":authority", "example.com")],
        &[("host", "example.com:443")],
    ] {
        let judged = judge_request(END_HEADERS, &connect(more));
        assert_eq!(judged, Err(ErrorCode::PROTOCOL_ERROR), "{more:?}");
    }
    let fields = [(":method", "CONNECT"), authority];
    with_head(&fields, |head| {
        assert_eq!(
            (head.method, head.form),
            (Method::Connect, TargetForm::Authority)
        );
        assert_eq!(head.authority, Some(&b"example.com:443"[..]));
    });
}

/// §8.1.1
#[test]
fn content_length_agrees_with_the_content() {
    for value in ["", "x", "-1", "+1", "1, 1", "1,1", "99999999999999999999"] {
        malformed(&get_with("content-length", value));
    }
    malformed(&get_with("content-length", "1"));
    accepted(&get_with("content-length", "0"));
    let mut twice = get_with("content-length", "0");
    twice.push(("content-length", "0"));
    malformed(&twice);

    let begin = |length: &str| {
        let mut rig = Rig::new();
        let mut fields = POST.to_vec();
        fields.push(("content-length", length));
        assert_eq!(rig.feed(&headers(1, END_HEADERS, &fields)).len(), 1);
        rig
    };
    let mut rig = begin("5");
    let content = |bytes: &[u8], end| vec![Seen::Content(1, bytes.to_vec(), end)];
    assert_eq!(rig.feed(&data(1, 0, b"ab")), content(b"ab", false));
    assert_eq!(
        rig.feed(&data(1, PADDED | END_STREAM, b"\x01cde\0")),
        content(b"cde", true)
    );
    for (length, frames) in [
        ("5", vec![data(1, 0, b"abcdef")]),
        ("5", vec![data(1, END_STREAM, b"abcd")]),
        ("5", vec![data(1, END_STREAM, b"")]),
        ("5", vec![headers(1, WHOLE, &[("x", "y")])]),
        ("0", vec![data(1, END_STREAM, b"a")]),
        ("5", vec![data(1, 0, b"abcde"), data(1, 0, b"f")]),
    ] {
        let mut rig = begin(length);
        let events = rig.feed(&frames.concat());
        assert_eq!(events.last(), Some(&Seen::Reset(1)), "{length} {events:?}");
        rig.expect_reset(1, ErrorCode::PROTOCOL_ERROR);
    }
    let mut rig = begin("5");
    let both = [data(1, 0, b"abcde"), data(1, END_STREAM, b"")].concat();
    assert_eq!(rig.feed(&both).last(), Some(&Seen::Ended(1)));
    let mut rig = begin("5");
    let both = [data(1, 0, b"abcde"), headers(1, WHOLE, &[("x", "y")])].concat();
    assert_eq!(rig.feed(&both).last(), Some(&Seen::Ended(1)));
    assert_eq!(rig.sent(), []);
}

/// §8.1
#[test]
fn trailers_end_a_request() {
    let mut rig = Rig::new();
    rig.open_for_content(1);
    rig.feed(&data(1, 0, b"test"));
    let trailers: Fields<'_> = &[("x-checksum", "1"), ("te", "trailers")];
    assert_eq!(rig.feed(&headers(1, WHOLE, trailers)), [Seen::Ended(1)]);
    rig.answer(1);
    assert_eq!(rig.core.open_streams(), 0);
    for (flags, fields) in [
        (END_HEADERS, &[("x-test", "ok")][..]),
        (WHOLE, &[(":method", "POST")]),
        (WHOLE, &[(":status", "200")]),
        (WHOLE, &[("x", "y"), (":path", "/")]),
        (WHOLE, &[("X", "y")]),
        (WHOLE, &[("x", "y\n")]),
        (WHOLE, &[("connection", "close")]),
    ] {
        let mut rig = Rig::new();
        rig.open_for_content(1);
        let frames = [data(1, 0, b"test"), headers(1, flags, fields)].concat();
        assert_eq!(
            rig.feed(&frames).last(),
            Some(&Seen::Reset(1)),
            "{fields:?}"
        );
        rig.expect_reset(1, ErrorCode::PROTOCOL_ERROR);
    }
}

/// RFC 6585 §5: what is too large is answered, and compression stays in step.
#[test]
fn large_field_sections_are_refused() {
    let many = |count: usize| {
        let mut fields = GET.to_vec();
        fields.resize(GET.len() + count, ("x", "y"));
        fields
    };
    accepted(&many(FIELDS_MAX - GET.len()));
    refused(&many(FIELDS_MAX - GET.len() + 1), 431);
    let large = "v".repeat(16_000);
    let mut fields = get_with("x", &large);
    fields.push(("y", &large));
    let block = block(&fields);
    let mut input = frame(Kind::Headers, END_STREAM, 1, &block[..16_384]);
    input.extend(frame(Kind::Continuation, END_HEADERS, 1, &block[16_384..]));
    let small_list = H2Settings {
        header_list_bytes_max: 32_200,
        ..H2Settings::default()
    };
    let mut rig = Rig::with(&small_list);
    let refused = Seen::Refused {
        stream: 1,
        status: 431,
    };
    assert_eq!(rig.feed(&input), [refused]);
    rig.answer(1);
    rig.open(&[3]);
    assert_eq!(rig.core.open_streams(), 1);
}

/// A refused HEAD is answered without content.
#[test]
fn a_refused_head_request_is_known_as_one() {
    let long = format!("/{}", "a".repeat(TARGET_BYTES_MAX));
    for (method, expected) in [("HEAD", true), ("GET", false)] {
        let mut rig = Rig::new();
        let mut fields = get_with(":path", &long);
        fields[0].1 = method;
        let input = headers(1, WHOLE, &fields);
        let mut storage = HeadStorage::new();
        let step = rig
            .core
            .step(&input, &mut rig.list, &mut storage, rig.now, &mut rig.out);
        let Some(Event::Refused { head_only, .. }) = step.event else {
            panic!("it is too long");
        };
        assert_eq!(head_only, expected);
    }
}

/// RFC 9110 §10.1.1
#[test]
fn expectations() {
    accepted(&get_with("expect", "100-Continue"));
    refused(&get_with("expect", "200-ok"), 417);
    let mut twice = get_with("expect", "100-continue");
    twice.push(("expect", "100-continue"));
    refused(&twice, 417);
    // An interim answer may go before the final one (§8.1).
    let mut rig = Rig::new();
    rig.open_for_content(1);
    assert!(rig.respond(1, false) && rig.respond(1, true));
    assert_eq!(rig.sent().len(), 2);
}
