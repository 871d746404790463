//! Which of several languages a request wants: `Accept-Language` (RFC 9110 §12.5.4) by the lookup
//! of RFC 4647 §3.4.

use arrayvec::ArrayVec;

use super::field::list_members;
use super::quality::split_weight;
use super::{Fields, Known};
use crate::base::limits::LANGUAGE_RANGES_MAX;

/// One member of `Accept-Language`.
#[derive(Clone, Copy, Debug)]
struct LanguageRange<'a> {
    /// A language tag, or `*`.
    range: &'a [u8],
    /// Thousandths; 0 is a refusal.
    quality: u16,
}

type LanguageRanges<'a> = ArrayVec<LanguageRange<'a>, LANGUAGE_RANGES_MAX>;

/// True for what has the shape of a language tag (RFC 5646 §2.1): subtags of one to eight letters
/// and digits, the first of letters only. Whether it is registered is not asked.
pub fn is_language_tag(tag: &str) -> bool {
    is_tag(tag.as_bytes())
}

fn is_tag(tag: &[u8]) -> bool {
    let mut subtags = tag.split(|byte| *byte == b'-');
    let is_short = |subtag: &[u8]| (1..=8).contains(&subtag.len());
    subtags
        .next()
        .is_some_and(|first| is_short(first) && first.iter().all(u8::is_ascii_alphabetic))
        && subtags.all(|subtag| is_short(subtag) && subtag.iter().all(u8::is_ascii_alphanumeric))
}

/// The position in `available`, which holds language tags, of the language to send. Where nothing
/// that the request wants is there, that is `default`, unless the request refuses it (`q=0`): then
/// the first one that it does not refuse. `None` when it refuses all.
///
/// # Panics
///
/// When `default` is no position in `available`.
pub fn lookup(fields: &Fields<'_>, available: &[impl AsRef<str>], default: usize) -> Option<usize> {
    assert!(default < available.len());
    if fields.get(Known::AcceptLanguage).is_none() {
        return Some(default);
    }
    let ranges = read(fields);
    let is_refused = |index: &usize| is_refused(&ranges, available[*index].as_ref().as_bytes());
    wanted(&ranges, available, is_refused)
        .or_else(|| Some(default).filter(|index| !is_refused(index)))
        .or_else(|| (0..available.len()).find(|index| !is_refused(index)))
}

/// The ranges of a request by falling quality, equal ones in the order of the request. Members that
/// break the grammar are ignored, and so are those beyond the bound.
fn read<'a>(fields: &Fields<'a>) -> LanguageRanges<'a> {
    let mut ranges: LanguageRanges<'a> = fields
        .all(Known::AcceptLanguage)
        .flat_map(list_members)
        .filter_map(split_weight)
        .filter(|(range, _)| *range == b"*" || is_tag(range))
        .map(|(range, quality)| LanguageRange { range, quality })
        .take(LANGUAGE_RANGES_MAX)
        .collect();
    // Sorted by insertion: the list is short and mostly sorted, and the library's stable sort
    // allocates.
    for end in 1..ranges.len() {
        let mut index = end;
        while index > 0 && ranges[index - 1].quality < ranges[index].quality {
            ranges.swap(index - 1, index);
            index -= 1;
        }
    }
    ranges
}

/// The lookup itself: the first range that leads to a language, each made shorter until it does.
/// `*` says no more than the default does (RFC 4647 §3.4), so it is passed over.
fn wanted(
    ranges: &[LanguageRange<'_>],
    available: &[impl AsRef<str>],
    is_refused: impl Fn(&usize) -> bool,
) -> Option<usize> {
    let named = ranges
        .iter()
        .filter(|range| range.quality > 0 && range.range != b"*");
    for LanguageRange { range, .. } in named {
        for shorter in std::iter::successors(Some(*range), |range| truncate(range)) {
            let found = available
                .iter()
                .position(|tag| tag.as_ref().as_bytes().eq_ignore_ascii_case(shorter));
            // What is refused by name is not offered to who would take something more special.
            if let Some(index) = found.filter(|index| !is_refused(index)) {
                return Some(index);
            }
        }
    }
    None
}

/// `range` without its last subtag, and without a single letter or digit that stood before it: that
/// only introduces what follows.
fn truncate(range: &[u8]) -> Option<&[u8]> {
    let shorter = &range[..memchr::memrchr(b'-', range)?];
    match shorter {
        [start @ .., b'-', _] => Some(start),
        shorter => Some(shorter),
    }
}

/// True when the most special range that covers `tag` refuses it; of two alike the first in order
/// of quality counts, which is the kinder.
fn is_refused(ranges: &[LanguageRange<'_>], tag: &[u8]) -> bool {
    let mut refused = false;
    let mut length = None;
    for LanguageRange { range, quality } in ranges {
        let covered = match *range {
            b"*" => Some(0),
            range if covers(range, tag) => Some(range.len()),
            _ => None,
        };
        if covered > length {
            length = covered;
            refused = *quality == 0;
        }
    }
    refused
}

/// Basic filtering (RFC 4647 §3.3.1): `range` is `tag`, or its beginning up to a hyphen.
fn covers(range: &[u8], tag: &[u8]) -> bool {
    tag.split_at_checked(range.len())
        .is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(range) && matches!(rest, [] | [b'-', ..])
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Field;
    use proptest::prelude::*;

    fn lines<'a>(values: &[&'a str]) -> Vec<Field<'a>> {
        let line = |value: &&'a str| Field {
            name: "Accept-Language",
            value: value.as_bytes(),
        };
        values.iter().map(line).collect()
    }

    fn find<'a>(values: &[&str], available: &[&'a str]) -> Option<&'a str> {
        let list = lines(values);
        lookup(&Fields::new(&list), available, 0).map(|index| available[index])
    }

    /// RFC 4647 §3.4, RFC 9110 §12.5.4; the first of the languages is the default.
    #[test]
    fn languages_that_are_looked_up() {
        let rows: [(&str, &[&str], Option<&str>); 28] = [
            ("de", &["en", "de"], Some("de")),
            ("DE-at", &["en", "de", "de-AT"], Some("de-AT")),
            ("de-AT", &["en", "de"], Some("de")),
            ("de-CH-1996", &["en", "de", "de-ch"], Some("de-ch")),
            // A range is not longer than what it finds.
            ("de", &["en", "de-AT"], Some("en")),
            ("en-GB,en;q=0.9", &["de", "en"], Some("en")),
            (
                "en-GB,en;q=0.9,de;q=0.8",
                &["fr", "de", "en-US"],
                Some("de"),
            ),
            ("fr, de;q=0.9", &["en", "de", "fr"], Some("fr")),
            ("fr;q=0.8, de;q=0.9", &["en", "fr", "de"], Some("de")),
            ("de, fr", &["en", "fr", "de"], Some("de")),
            ("fr, de", &["en", "fr", "de"], Some("fr")),
            // The example of RFC 4647 §3.4: the range is shortened before the next is tried.
            (
                "zh-Hant-CN-x-private1-private2, en",
                &["en", "zh-Hant"],
                Some("zh-Hant"),
            ),
            ("zh-Hant-CN-x-private1", &["en", "zh-Hant-CN-x"], Some("en")),
            // Anything is as good as the default, whatever its place.
            ("*", &["en", "de"], Some("en")),
            ("*, de;q=0.5", &["en", "de"], Some("de")),
            ("fr, *;q=0.5", &["en", "de"], Some("en")),
            // Refusals.
            ("en;q=0", &["en", "de"], Some("de")),
            ("en;q=0", &["en", "en-GB"], None),
            ("en;q=0", &["en"], None),
            ("*;q=0", &["en", "de"], None),
            ("de, *;q=0", &["en", "de"], Some("de")),
            ("fr, *;q=0", &["en", "de"], None),
            ("en-GB, en;q=0", &["en", "en-GB"], Some("en-GB")),
            ("en-GB, en;q=0", &["en", "de"], Some("de")),
            ("en-US;q=0, en", &["en-US", "en"], Some("en")),
            // What breaks the grammar does not count.
            (
                "d e, de_AT, -de, de-, ;q=1, fr;q=x, \u{e4}",
                &["en", "de", "fr"],
                Some("en"),
            ),
            ("", &["en"], Some("en")),
            ("de;q=0.5;x=y, abcdefghi", &["en", "de"], Some("en")),
        ];
        for (value, available, expected) in rows {
            assert_eq!(find(&[value], available), expected, "{value}");
        }
    }

    /// RFC 9110 §5.3
    #[test]
    fn lines_are_one_list_and_none_means_the_default() {
        assert_eq!(find(&[], &["en", "de"]), Some("en"));
        assert_eq!(lookup(&Fields::new(&[]), &["en", "de"], 1), Some(1));
        let split = ["fr;q=0.5", "de;q=0.7"];
        assert_eq!(find(&split, &["en", "fr", "de"]), Some("de"));
        let list = lines(&["fr"]);
        assert_eq!(lookup(&Fields::new(&list), &["en", "de"], 1), Some(1));
    }

    #[test]
    fn ranges_beyond_the_bound_are_not_read() {
        let many = |count: usize| format!("{}de", "fr,".repeat(count));
        let available = ["en", "de"];
        let last = many(LANGUAGE_RANGES_MAX - 1);
        assert_eq!(find(&[&last], &available), Some("de"));
        let beyond = many(LANGUAGE_RANGES_MAX);
        assert_eq!(find(&[&beyond], &available), Some("en"));
    }

    /// RFC 5646 §2.1
    #[test]
    fn shapes_of_tags() {
        for tag in [
            "de",
            "en-GB",
            "zh-Hant-CN-x-private1",
            "i-klingon",
            "es-419",
        ] {
            assert!(is_language_tag(tag), "{tag}");
        }
        for tag in [
            "",
            "-",
            "de-",
            "-de",
            "de--at",
            "de_AT",
            "*",
            "419",
            "abcdefghi",
            "d\u{e9}",
        ] {
            assert!(!is_language_tag(tag), "{tag}");
        }
    }

    proptest! {
        #[test]
        fn no_refused_language_is_returned(
            value in "((de|en|fr|de-at|EN-gb|\\*)(;q=(0|1|0\\.[0-9]))?,){0,6}",
            default in 0usize..4,
        ) {
            let available = ["de", "de-AT", "en-GB", "fr"];
            let list = lines(&[&value]);
            let fields = Fields::new(&list);
            let found = lookup(&fields, &available, default);
            let lower = value.to_lowercase();
            let qualities = |tag: &str| -> Vec<bool> {
                let tag = tag.to_lowercase();
                let language = tag.split('-').next().unwrap().to_owned();
                lower
                    .split(',')
                    .filter(|member| !member.is_empty())
                    .map(|member| member.split_once(";q=").unwrap_or((member, "1")))
                    .filter(|(range, _)| [&tag, &language, "*"].contains(range))
                    .map(|(_, quality)| quality.trim_matches(['0', '.']).is_empty())
                    .collect()
            };
            let is_refused = |tag: &str| {
                let refusals = qualities(tag);
                !refusals.is_empty() && refusals.iter().all(|refused| *refused)
            };
            match found {
                Some(index) => prop_assert!(!is_refused(available[index])),
                None => prop_assert!(available.iter().all(|tag| qualities(tag).contains(&true))),
            }
        }
    }
}
