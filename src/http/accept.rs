//! Which of several media types a request wants (RFC 9110 §12.5.1).

use arrayvec::ArrayVec;

use super::field::{is_token_byte, trim};
use super::quality::{self, QUALITY_MAX, weight_value};
use super::{Fields, Known};
use crate::base::limits::MEDIA_RANGES_MAX;

/// A media type, or a range of them in `Accept`.
#[derive(Clone, Copy, Debug)]
struct MediaRange<'a> {
    /// A type, or `*`.
    main: &'a [u8],
    /// A subtype, or `*`.
    sub: &'a [u8],
    /// What follows the first semicolon; empty where that is only a weight.
    parameters: &'a [u8],
    /// Thousandths.
    quality: u16,
}

/// How closely a range describes a type: by how much of its name, then by how many parameters.
type Specificity = (u8, usize);
/// What the first of both is where a range names a type.
const NAMES_A_TYPE: u8 = 2;

type MediaRanges<'a> = ArrayVec<MediaRange<'a>, MEDIA_RANGES_MAX>;

/// How much a request wants `media_type`, in thousandths, by the closest range that covers it; 0
/// when none does. All are wanted alike by a request without the field, or without a range in it.
pub fn quality(fields: &Fields<'_>, media_type: &str) -> u16 {
    quality_among(&read(fields), media_type)
}

/// The position in `available`, which holds media types, of the one to send: the most wanted; among
/// equals one that the request names itself (browsers say `image/avif, image/*`, and mean the
/// former), and then the first. `None` when none is acceptable.
pub fn choose(fields: &Fields<'_>, available: &[&str]) -> Option<usize> {
    let ranges = read(fields);
    let mut best = None;
    let mut best_want = (0, false);
    for (index, media_type) in available.iter().enumerate() {
        let want = wanted_among(&ranges, media_type);
        if want.0 > 0 && want > best_want {
            best_want = want;
            best = Some(index);
        }
    }
    best
}

/// The media ranges of a request. Members that break the grammar are ignored, and so are those
/// beyond the bound.
fn read<'a>(fields: &Fields<'a>) -> MediaRanges<'a> {
    fields
        .all(Known::Accept)
        .flat_map(|line| split_unquoted(line, b','))
        .filter(|member| !member.is_empty())
        .take(MEDIA_RANGES_MAX)
        .filter_map(MediaRange::parse)
        .collect()
}

fn quality_among(ranges: &[MediaRange<'_>], media_type: &str) -> u16 {
    wanted_among(ranges, media_type).0
}

/// How much a type is wanted, and whether the closest range names it.
fn wanted_among(ranges: &[MediaRange<'_>], media_type: &str) -> (u16, bool) {
    if ranges.is_empty() {
        return (QUALITY_MAX, false);
    }
    let Some(ours) = MediaRange::parse(media_type.as_bytes()) else {
        return (0, false);
    };
    let mut closest: Option<(Specificity, u16)> = None;
    for range in ranges {
        let Some(specificity) = range.covers(&ours) else {
            continue;
        };
        // Of two that are equally close the first counts.
        if closest.is_none_or(|(other, _)| specificity > other) {
            closest = Some((specificity, range.quality));
        }
    }
    closest.map_or((0, false), |(specificity, quality)| {
        (quality, specificity.0 == NAMES_A_TYPE)
    })
}

impl<'a> MediaRange<'a> {
    fn parse(member: &'a [u8]) -> Option<MediaRange<'a>> {
        let semicolon = memchr::memchr(b';', member).unwrap_or(member.len());
        let name = trim(&member[..semicolon]);
        let slash = memchr::memchr(b'/', name)?;
        let (main, sub) = (&name[..slash], &name[slash + 1..]);
        if !is_token(main) || !is_token(sub) || (main == b"*" && sub != b"*") {
            return None;
        }
        let mut parameters = member.get(semicolon + 1..).unwrap_or_default();
        let (mut quality, mut has_others) = (QUALITY_MAX, false);
        for parameter in split_unquoted(parameters, b';').filter(|each| !each.is_empty()) {
            // Wherever it stands (RFC 9110 §12.5.1).
            if let Some(value) = weight_value(parameter) {
                quality = quality::parse(value)?;
            } else {
                split_parameter(parameter)?;
                has_others = true;
            }
        }
        if !has_others {
            parameters = b"";
        }
        Some(MediaRange {
            main,
            sub,
            parameters,
            quality,
        })
    }

    /// The parameters but for weights.
    fn parameters(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        split_unquoted(self.parameters, b';')
            .filter(|parameter| weight_value(parameter).is_none())
            .filter_map(split_parameter)
    }

    /// How closely this range describes `ours`; `None` when it does not.
    fn covers(&self, ours: &MediaRange<'_>) -> Option<Specificity> {
        let name = match (self.main, self.sub) {
            (b"*", _) => 0,
            (main, b"*") if main.eq_ignore_ascii_case(ours.main) => 1,
            (main, sub)
                if main.eq_ignore_ascii_case(ours.main) && sub.eq_ignore_ascii_case(ours.sub) =>
            {
                NAMES_A_TYPE
            }
            _ => return None,
        };
        let mut count = 0;
        for (name, value) in self.parameters() {
            count += 1;
            let has_it = ours.parameters().any(|(our_name, our_value)| {
                name.eq_ignore_ascii_case(our_name) && is_same_value(value, our_value)
            });
            if !has_it {
                return None;
            }
        }
        Some((name, count))
    }
}

/// The pieces of `value` between separators that stand outside of quoted strings (RFC 9110 §5.6.4),
/// without white space around them.
fn split_unquoted(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let current = rest?;
        let end = end_unquoted(current, separator);
        rest = current.get(end + 1..);
        Some(trim(&current[..end]))
    })
}

fn end_unquoted(value: &[u8], separator: u8) -> usize {
    let mut end = 0;
    while let Some(found) = memchr::memchr2(separator, b'"', &value[end..]) {
        end += found;
        if value[end] == separator {
            return end;
        }
        match quoted_len(&value[end..]) {
            Some(len) => end += len,
            None => break,
        }
    }
    value.len()
}

/// Length of the quoted string (RFC 9110 §5.6.4) whose first quote is the first byte of `value`;
/// `None` when it has no end.
fn quoted_len(value: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    for (position, byte) in value.iter().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(position + 1),
            _ => {}
        }
    }
    None
}

/// Name and value of a parameter (RFC 9110 §5.6.6): a token, and a token or a quoted string.
fn split_parameter(parameter: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = memchr::memchr(b'=', parameter)?;
    let (name, value) = (&parameter[..equals], &parameter[equals + 1..]);
    let is_value = is_token(value) || is_quoted_string(value);
    (is_token(name) && is_value).then_some((name, value))
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// True when `value` is one quoted string from its first byte to its last.
fn is_quoted_string(value: &[u8]) -> bool {
    value.first() == Some(&b'"') && quoted_len(value) == Some(value.len())
}

/// Compares what two values stand for, quoted or not. Few parameters tell cases apart, and none of
/// the types that we send has one of those.
fn is_same_value(left: &[u8], right: &[u8]) -> bool {
    let lower = |byte: u8| byte.to_ascii_lowercase();
    unquoted(left).map(lower).eq(unquoted(right).map(lower))
}

fn unquoted(value: &[u8]) -> impl Iterator<Item = u8> {
    let is_quoted = value.first() == Some(&b'"');
    let inner = if is_quoted {
        &value[1..value.len() - 1]
    } else {
        value
    };
    let mut bytes = inner.iter().copied();
    std::iter::from_fn(move || match bytes.next()? {
        b'\\' if is_quoted => bytes.next(),
        byte => Some(byte),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Field;
    use proptest::prelude::*;

    fn with_lines<R>(values: &[&str], read: impl FnOnce(&Fields<'_>) -> R) -> R {
        let list: Vec<Field<'_>> = values
            .iter()
            .map(|value| Field {
                name: "accept",
                value: value.as_bytes(),
            })
            .collect();
        read(&Fields::new(&list))
    }

    fn quality_of(value: &str, media_type: &str) -> u16 {
        with_lines(&[value], |fields| quality(fields, media_type))
    }

    /// The second example of RFC 9110 §12.5.1
    #[test]
    fn the_table_of_the_rfc() {
        let value = "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, \
                     text/plain;format=fixed;q=0.4, */*;q=0.5";
        let rows = [
            ("text/plain;format=flowed", 1000),
            ("text/plain", 700),
            ("text/html", 300),
            ("image/jpeg", 500),
            ("text/plain;format=fixed", 400),
            ("text/html;level=3", 300),
        ];
        for (media_type, expected) in rows {
            assert_eq!(quality_of(value, media_type), expected, "{media_type}");
        }
    }

    /// RFC 9110 §12.5.1, §5.6.6
    #[test]
    fn qualities() {
        let html = "text/html; charset=utf-8";
        let rows = [
            ("text/html", html, 1000),
            ("TEXT/HTML;Q=0.5", html, 500),
            ("text/html;charset=UTF-8", html, 1000),
            ("text/html; charset=\"utf-8\"", html, 1000),
            ("text/html; Charset=\"utf\\-8\" ;q=0.1", html, 100),
            ("text/html; charset=latin1", html, 0),
            ("text/html;level=1;q=0.4", html, 0),
            ("text/html;q=0.4;charset=utf-8, text/html;q=0.2", html, 400),
            ("text/*", html, 1000),
            ("*/*;q=0.1", html, 100),
            ("*/*;v=1, text/*;q=0.1", html, 100),
            ("image/*", html, 0),
            ("text/htm", html, 0),
            ("text/html;q=0, */*", html, 0),
            ("text/html;q=0", html, 0),
            ("*/*, text/html;q=0.2, text/*;q=0.3", html, 200),
            ("text/html;q=0.2, text/html;q=0.3", html, 200),
            // A comma and a semicolon in quotes.
            ("text/html;a=\"x, text/*;q=1\", */*;q=0.2", html, 200),
            ("a/b;c=\"\\\"\", text/html;q=0.3", html, 300),
            // What breaks the grammar does not count.
            ("text/html;q=2, */*;q=0.1", html, 100),
            ("text/html;q=, */*;q=0.1", html, 100),
            ("text/html;x, */*;q=0.1", html, 100),
            ("text/html;x=\"a, */*;q=0.1", html, 1000), // the quote takes the rest with it
            (
                "text/, /html, text, */html, te xt/html, text/html/, */*;q=0.2",
                html,
                200,
            ),
            ("text/html;x=\"a\"b, */*;q=0.1", html, 100),
            ("text/html;x=\"a\\\", */*;q=0.1", html, 1000),
            ("text/html;x=\", */*;q=0.1", html, 1000),
            ("text/html;x=\"\", */*;q=0.1", html, 100),
            ("text/html;;q=0.3;", html, 300),
            ("", html, 1000),
            (" , nonsense", html, 1000),
            ("text/html", "nonsense", 0),
            ("application/*+json", "application/ld+json", 0),
        ];
        for (value, media_type, expected) in rows {
            assert_eq!(quality_of(value, media_type), expected, "{value}");
        }
        with_lines(&[], |fields| assert_eq!(quality(fields, html), 1000));
        with_lines(&["image/*", "text/html;q=0.5"], |fields| {
            assert_eq!(quality(fields, html), 500);
        });
    }

    #[test]
    fn what_is_chosen() {
        let images = ["image/jpeg", "image/avif", "image/webp"];
        let pages = ["text/html; charset=utf-8", "text/markdown; charset=utf-8"];
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,\
                       image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
        let rows: [(&str, &[&str], Option<usize>); 10] = [
            ("image/avif,image/webp,*/*;q=0.8", &images, Some(1)),
            ("image/webp,*/*;q=0.8", &images, Some(2)),
            ("image/webp,image/avif", &images, Some(1)),
            ("*/*", &images, Some(0)),
            ("text/html", &images, None),
            ("image/avif;q=0", &images[1..2], None),
            (browser, &images, Some(1)),
            (browser, &pages, Some(0)),
            ("text/markdown, text/html;q=0.9", &pages, Some(1)),
            ("text/markdown", &[], None),
        ];
        for (value, available, expected) in rows {
            let chosen = with_lines(&[value], |fields| choose(fields, available));
            assert_eq!(chosen, expected, "{value}");
        }
        with_lines(&[], |fields| assert_eq!(choose(fields, &images), Some(0)));
    }

    #[test]
    fn ranges_beyond_the_bound_are_not_read() {
        let many = |count: usize| format!("{}text/html", "a/b,".repeat(count));
        assert_eq!(quality_of(&many(MEDIA_RANGES_MAX - 1), "text/html"), 1000);
        assert_eq!(quality_of(&many(MEDIA_RANGES_MAX), "text/html"), 0);
    }

    proptest! {
        #[test]
        fn nothing_that_is_refused_is_chosen(
            value in "((text|image|\\*)/(html|avif|\\*)(;a=(b|\"c\"))?(;q=(0|1|0\\.[0-9]))?,){0,6}",
        ) {
            let available = ["image/avif", "text/html;a=b", "text/html;a=c", "text/plain"];
            with_lines(&[&value], |fields| {
                let best = choose(fields, &available);
                let best_quality = best.map_or(0, |index| quality(fields, available[index]));
                for media_type in available {
                    prop_assert!(quality(fields, media_type) <= best_quality);
                }
                prop_assert_eq!(best.is_some(), best_quality > 0);
                Ok(())
            })?;
        }
    }
}
