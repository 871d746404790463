//! Names of files inside addresses, HTML and JSON.
//!
//! A name is any bytes but a slash and NUL. Here it becomes what can neither end its attribute,
//! element or string, nor lead to another address than its own.

/// Bytes that may stand in a segment of an address as they are: the unreserved ones and the
/// sub-delims (RFC 3986 §2.2, §2.3) without `&` and `'`, which would need an escape of HTML. A
/// colon, which would make a scheme of what stands before it (§4.2), is encoded.
const PLAIN_IN_HREF: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(
                byte as u8,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
                    | b'@'
            );
        byte += 1;
    }
    plain
};

/// Appends a name as one segment of an address. The result needs no further escape in HTML or
/// JSON, and is no dot segment unless the name is one.
pub fn push_href(out: &mut Vec<u8>, name: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for_each_run(name, &PLAIN_IN_HREF, |run, special| {
        out.extend_from_slice(run);
        if let Some(byte) = special {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'%', DIGITS[high], DIGITS[low]]);
        }
    });
}

/// Calls `act` with each run of plain bytes and the byte behind it.
fn for_each_run(bytes: &[u8], plain: &[bool; 256], mut act: impl FnMut(&[u8], Option<u8>)) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| !plain[usize::from(*byte)]);
        let end = end.unwrap_or(rest.len());
        act(&rest[..end], rest.get(end).copied());
        rest = rest.get(end + 1..).unwrap_or_default();
    }
}

/// How a letter that cannot be seen is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// In an `<i>`, which the style sheet makes look unlike a name.
    Marked,
    /// As text, where no element may stand.
    Plain,
}

/// ASCII that HTML text and quoted attributes take as it is.
const PLAIN_IN_HTML: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        plain[byte] = !matches!(byte as u8, b'&' | b'<' | b'>' | b'"' | b'\'');
        byte += 1;
    }
    plain
};

/// Appends a name as text of HTML. What is not UTF-8 becomes U+FFFD; letters that cannot be seen,
/// or that would move their neighbours, are named by their code.
pub fn push_html(out: &mut Vec<u8>, name: &[u8], unseen: Unseen) {
    if name.iter().all(|byte| PLAIN_IN_HTML[usize::from(*byte)]) {
        return out.extend_from_slice(name);
    }
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            push_letter(out, letter, unseen);
        }
        if !chunk.invalid().is_empty() {
            push_char(out, char::REPLACEMENT_CHARACTER);
        }
    }
}

fn push_letter(out: &mut Vec<u8>, letter: char, unseen: Unseen) {
    match letter {
        '&' => out.extend_from_slice(b"&amp;"),
        '<' => out.extend_from_slice(b"&lt;"),
        '>' => out.extend_from_slice(b"&gt;"),
        '"' => out.extend_from_slice(b"&quot;"),
        '\'' => out.extend_from_slice(b"&#39;"),
        _ if is_unseen(letter) => {
            let (open, close): (&[u8], &[u8]) = match unseen {
                Unseen::Marked => (b"<i>", b"</i>"),
                Unseen::Plain => (b"", b""),
            };
            out.extend_from_slice(open);
            out.extend_from_slice(format!("U+{:04X}", u32::from(letter)).as_bytes());
            out.extend_from_slice(close);
        }
        _ => push_char(out, letter),
    }
}

fn push_char(out: &mut Vec<u8>, letter: char) {
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

/// True for control characters and for formatting ones that hide or reorder text. The joiners
/// U+200C and U+200D are letters of their scripts, and of emoji.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

/// Bytes that a JSON string takes as they are (RFC 8259 §7), as far as they are ASCII.
const PLAIN_IN_JSON: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        plain[byte] = !matches!(byte as u8, b'"' | b'\\' | b'<');
        byte += 1;
    }
    plain
};

/// Appends a name as a JSON string with its quotes. What is not UTF-8 becomes U+FFFD. A `<` is
/// escaped, so that nobody who takes the answer for HTML finds an element in it.
pub fn push_json(out: &mut Vec<u8>, name: &[u8]) {
    out.push(b'"');
    if name.is_ascii() {
        push_json_ascii(out, name);
    } else {
        for chunk in name.utf8_chunks() {
            for letter in chunk.valid().chars() {
                match u8::try_from(letter).ok().filter(u8::is_ascii) {
                    Some(byte) => push_json_ascii(out, &[byte]),
                    None => push_char(out, letter),
                }
            }
            if !chunk.invalid().is_empty() {
                push_char(out, char::REPLACEMENT_CHARACTER);
            }
        }
    }
    out.push(b'"');
}

fn push_json_ascii(out: &mut Vec<u8>, text: &[u8]) {
    for_each_run(text, &PLAIN_IN_JSON, |run, special| {
        out.extend_from_slice(run);
        match special {
            None => {}
            Some(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
            Some(b'\n') => out.extend_from_slice(b"\\n"),
            Some(b'\r') => out.extend_from_slice(b"\\r"),
            Some(b'\t') => out.extend_from_slice(b"\\t"),
            Some(byte) => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::SafePath;
    use proptest::prelude::*;

    fn escaped(push: impl Fn(&mut Vec<u8>, &[u8]), name: &[u8]) -> String {
        let mut out = Vec::new();
        push(&mut out, name);
        String::from_utf8(out).unwrap()
    }

    fn marked(out: &mut Vec<u8>, name: &[u8]) {
        push_html(out, name, Unseen::Marked);
    }

    /// RFC 3986 §2.1, §3.3, §4.2
    #[test]
    fn addresses_hold_only_what_may_stand_there() {
        let rows: &[(&[u8], &str)] = &[
            (b"plain-name_1.tar.gz~", "plain-name_1.tar.gz~"),
            (b"a b", "a%20b"),
            (b" a ", "%20a%20"),
            (b"a:b", "a%3Ab"),
            (b"javascript:alert(1)", "javascript%3Aalert(1)"),
            (b"100%", "100%25"),
            (b"%2e%2e", "%252e%252e"),
            (b"a?b#c", "a%3Fb%23c"),
            (b"a\\b", "a%5Cb"),
            (b"\"'<>&", "%22%27%3C%3E%26"),
            (b"a\nb\t\r", "a%0Ab%09%0D"),
            (b"\xff\xc3\xa4", "%FF%C3%A4"),
            (b"...", "..."),
            (b"a+b=c;d,e@f!$(*)", "a+b=c;d,e@f!$(*)"),
        ];
        for (name, expected) in rows {
            assert_eq!(escaped(push_href, name), *expected);
        }
    }

    #[test]
    fn text_shows_every_letter() {
        let rows: &[(&[u8], &str)] = &[
            (b"plain", "plain"),
            (b"<script>", "&lt;script&gt;"),
            (b"a&amp;'\"", "a&amp;amp;&#39;&quot;"),
            (b"a\nb\x7f", "a<i>U+000A</i>b<i>U+007F</i>"),
            ("gpj.\u{202e}exe".as_bytes(), "gpj.<i>U+202E</i>exe"),
            ("\u{85}\u{feff}".as_bytes(), "<i>U+0085</i><i>U+FEFF</i>"),
            ("ä\u{200d}👩".as_bytes(), "ä\u{200d}👩"),
            (b"a\xffb\xc3", "a\u{fffd}b\u{fffd}"),
        ];
        for (name, expected) in rows {
            assert_eq!(escaped(marked, name), *expected);
        }
        let plain = |out: &mut Vec<u8>, name: &[u8]| push_html(out, name, Unseen::Plain);
        assert_eq!(escaped(plain, b"<\n"), "&lt;U+000A");
    }

    #[test]
    fn strings_of_json_are_whole() {
        let rows: &[(&[u8], &str)] = &[
            (b"plain", "\"plain\""),
            (b"a\"b\\c", "\"a\\\"b\\\\c\""),
            (b"\n\r\t\x01\x7f", "\"\\n\\r\\t\\u0001\x7f\""),
            (b"</script>", "\"\\u003c/script>\""),
            (b"\xc3\xa4\xff\"\n", "\"ä\u{fffd}\\\"\\n\""),
        ];
        for (name, expected) in rows {
            assert_eq!(escaped(push_json, name), *expected);
        }
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "[<>&\"'%:?#\\\\. \n\t]".prop_map(String::into_bytes),
            any::<char>().prop_map(|letter| letter.to_string().into_bytes()),
            any::<u8>().prop_map(|byte| vec![byte]),
            Just(b"</a><script>".to_vec()),
        ];
        proptest::collection::vec(piece, 1..12)
            .prop_map(|pieces| pieces.concat())
            .prop_filter("a name", |name| SafePath::is_segment(name))
    }

    proptest! {
        #[test]
        fn an_address_leads_back_to_its_name(name in name()) {
            let href = escaped(push_href, &name);
            let is_safe = |byte: u8| PLAIN_IN_HREF[usize::from(byte)] || byte == b'%';
            prop_assert!(href.bytes().all(is_safe));
            let path = SafePath::parse(format!("/dir/{href}").as_bytes()).unwrap();
            prop_assert_eq!(path.as_bytes(), &[b"dir/", &name[..]].concat());
        }

        #[test]
        fn text_holds_no_markup_but_ours(name in name()) {
            let html = escaped(marked, &name).replace("<i>U+", "").replace("</i>", "");
            prop_assert!(!html.contains(['<', '>', '"', '\'']) && !html.contains(is_unseen));
            let rest = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"]
                .iter()
                .fold(html, |html, entity| html.replace(entity, ""));
            prop_assert!(!rest.contains('&'));
        }

        #[test]
        fn json_reads_back(name in name()) {
            let json = escaped(push_json, &name);
            let read: String = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&name));
        }
    }
}
