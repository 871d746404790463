//! Byte ranges (RFC 9110 §14): what a `Range` field asks of a representation of known length.

use std::fmt;

use arrayvec::ArrayVec;

use super::field::{list_members, trim};
use crate::base::limits::{RANGES_MAX, RANGES_UNORDERED_MAX};

/// A range of fewer bytes costs less than what is sent around it when it is one of several parts.
const SMALL_RANGE_BYTES: u64 = 80;

/// A part of a representation: never empty, never beyond its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    start: u64,
    last: u64,
    complete_length: u64,
}

impl ByteRange {
    /// The bytes `start..=last` of `complete_length`; `None` when that is empty or beyond the end.
    pub fn new(start: u64, last: u64, complete_length: u64) -> Option<ByteRange> {
        (start <= last && last < complete_length).then_some(ByteRange {
            start,
            last,
            complete_length,
        })
    }

    /// Position of the first byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Position of the last byte.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Number of bytes, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u64 {
        self.last - self.start + 1
    }

    /// Length of the whole representation.
    pub fn complete_length(&self) -> u64 {
        self.complete_length
    }

    /// True when some byte lies in both.
    fn overlaps(&self, other: &ByteRange) -> bool {
        self.start <= other.last && other.start <= self.last
    }

    /// True when they overlap, or one begins where the other ends. No position is `u64::MAX`, since
    /// all lie below a length.
    fn touches(&self, other: &ByteRange) -> bool {
        self.start <= other.last + 1 && other.start <= self.last + 1
    }

    /// The value of `Content-Range` in a 206 (RFC 9110 §14.4).
    pub fn content_range(&self) -> String {
        let ByteRange {
            start,
            last,
            complete_length,
        } = self;
        format!("bytes {start}-{last}/{complete_length}")
    }
}

/// The value of `Content-Range` in a 416 (RFC 9110 §15.5.17).
pub fn unsatisfied_content_range(complete_length: u64) -> String {
    format!("bytes */{complete_length}")
}

/// Several parts of one representation, in the order in which they are to be sent: at least two,
/// none of which overlaps or touches another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ranges {
    /// First and last position of each; zeros behind the last one.
    list: [(u64, u64); RANGES_MAX],
    len: usize,
    complete_length: u64,
}

impl Ranges {
    /// Takes over what [`coalesce`] has left.
    fn new(list: &RangeList) -> Ranges {
        assert!(list.len() >= 2);
        let mut ranges = Ranges {
            list: [(0, 0); RANGES_MAX],
            len: list.len(),
            complete_length: list[0].complete_length,
        };
        for (place, range) in ranges.list.iter_mut().zip(list) {
            *place = (range.start, range.last);
        }
        ranges
    }

    /// Number of ranges, from two to [`RANGES_MAX`].
    #[expect(clippy::len_without_is_empty, reason = "there are always two")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The range at `index`.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn get(&self, index: usize) -> ByteRange {
        let (start, last) = self.list[..self.len][index];
        ByteRange {
            start,
            last,
            complete_length: self.complete_length,
        }
    }

    /// All ranges, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ByteRange> + '_ {
        (0..self.len).map(|index| self.get(index))
    }

    /// Number of bytes in all ranges.
    pub fn total_bytes(&self) -> u64 {
        self.iter().map(|range| range.len()).sum()
    }

    /// Length of the whole representation.
    pub fn complete_length(&self) -> u64 {
        self.complete_length
    }
}

impl fmt::Debug for Ranges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// What a `Range` field means for one representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one answer"
)]
pub enum RangeRequest {
    /// The whole representation: the unit is unknown, the field is malformed, or what it asks for
    /// costs more than it is worth (RFC 9110 §14.2 lets a server ignore all of these).
    Ignore,
    /// One range.
    Single(ByteRange),
    /// Several ranges.
    Several(Ranges),
    /// Well-formed, but no range overlaps the representation: 416.
    Unsatisfiable,
}

type RangeList = ArrayVec<ByteRange, RANGES_MAX>;

/// Reads a `Range` value for a representation of `complete_length` bytes.
pub fn parse(value: &[u8], complete_length: u64) -> RangeRequest {
    let Some(set) = strip_unit(value) else {
        return RangeRequest::Ignore;
    };
    // Some clients send a range with every request, only to bound the answer: an empty
    // representation is answered with 200, since no range of it could be expressed.
    if complete_length == 0 {
        return RangeRequest::Ignore;
    }
    if memchr::memchr(b',', set).is_some() {
        return parse_list(set, complete_length);
    }
    match parse_spec(trim(set), complete_length) {
        Spec::Invalid => RangeRequest::Ignore,
        Spec::Unsatisfiable => RangeRequest::Unsatisfiable,
        Spec::Range(range) => RangeRequest::Single(range),
    }
}

fn parse_list(set: &[u8], complete_length: u64) -> RangeRequest {
    let mut ranges = RangeList::new();
    let mut specs = 0;
    for spec in list_members(set) {
        specs += 1;
        if specs > RANGES_MAX {
            return RangeRequest::Ignore;
        }
        match parse_spec(spec, complete_length) {
            Spec::Invalid => return RangeRequest::Ignore,
            // RFC 9110 §15.3.7.2: only the satisfiable ones are sent.
            Spec::Unsatisfiable => {}
            Spec::Range(range) => ranges.push(range),
        }
    }
    if specs == 0 {
        return RangeRequest::Ignore;
    }
    if ranges.is_empty() {
        return RangeRequest::Unsatisfiable;
    }
    if ranges.len() > 1 {
        if is_wasteful(&ranges) {
            return RangeRequest::Ignore;
        }
        coalesce(&mut ranges);
    }
    match ranges[..] {
        [range] => RangeRequest::Single(range),
        _ => RangeRequest::Several(Ranges::new(&ranges)),
    }
}

/// True for what RFC 9110 §14.2 and §17.15 let a server refuse: more than two ranges that overlap,
/// or many small ones in no order; and for what asks for more than there is.
fn is_wasteful(ranges: &[ByteRange]) -> bool {
    let total_bytes = ranges
        .iter()
        .fold(0, |total: u64, range| total.saturating_add(range.len()));
    if total_bytes > ranges[0].complete_length {
        return true;
    }
    let has_overlap = |(index, range): &(usize, &ByteRange)| {
        let mut others = ranges.iter().enumerate();
        others.any(|(other, other_range)| other != *index && range.overlaps(other_range))
    };
    let overlapping = ranges.iter().enumerate().filter(has_overlap).count();
    let is_in_order = ranges.is_sorted_by_key(|range| range.start);
    let are_small = total_bytes < ranges.len() as u64 * SMALL_RANGE_BYTES;
    overlapping > 2 || (ranges.len() > RANGES_UNORDERED_MAX && are_small && !is_in_order)
}

/// Joins ranges that overlap or touch, each at the place of the first of them (RFC 9110 §15.3.7.2).
/// Those with a gap between them stay apart, as the client has asked for them.
fn coalesce(ranges: &mut RangeList) {
    while let Some((first, second)) = find_joinable(ranges) {
        let gone = ranges.remove(second);
        let kept = &mut ranges[first];
        kept.start = kept.start.min(gone.start);
        kept.last = kept.last.max(gone.last);
    }
}

fn find_joinable(ranges: &[ByteRange]) -> Option<(usize, usize)> {
    (0..ranges.len()).find_map(|first| {
        (first + 1..ranges.len())
            .find(|second| ranges[first].touches(&ranges[*second]))
            .map(|second| (first, second))
    })
}

/// `bytes=`, in any case (RFC 9110 §14.1).
fn strip_unit(value: &[u8]) -> Option<&[u8]> {
    let (unit, set) = value.split_at_checked(b"bytes=".len())?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(set)
}

enum Spec {
    Invalid,
    Unsatisfiable,
    Range(ByteRange),
}

/// One range-spec of RFC 9110 §14.1.2.
fn parse_spec(spec: &[u8], complete_length: u64) -> Spec {
    let Some(dash) = memchr::memchr(b'-', spec) else {
        return Spec::Invalid;
    };
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    let end = complete_length - 1;
    let range = match (first.is_empty(), last.is_empty()) {
        (true, true) => return Spec::Invalid,
        (true, false) => parse_digits(last).map(|suffix| match suffix {
            0 => (complete_length, end),
            suffix => (complete_length.saturating_sub(suffix), end),
        }),
        (false, true) => parse_digits(first).map(|first| (first, end)),
        (false, false) => match (parse_digits(first), parse_digits(last)) {
            (Some(first), Some(last)) if first <= last => Some((first, last.min(end))),
            _ => return Spec::Invalid,
        },
    };
    match range {
        None => Spec::Invalid,
        Some((start, last)) => {
            ByteRange::new(start, last, complete_length).map_or(Spec::Unsatisfiable, Spec::Range)
        }
    }
}

/// Decimal digits; a number too large for us is as good as the largest.
fn parse_digits(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn single(start: u64, end_exclusive: u64, length: u64) -> RangeRequest {
        RangeRequest::Single(ByteRange::new(start, end_exclusive - 1, length).unwrap())
    }

    /// The ranges from first to last position, both included.
    fn several(positions: &[(u64, u64)], length: u64) -> RangeRequest {
        let range = |(start, last): &(u64, u64)| ByteRange::new(*start, *last, length).unwrap();
        RangeRequest::Several(Ranges::new(&positions.iter().map(range).collect()))
    }

    /// The rows of `ServeFileRangeTests` in Go's net/http (fs_test.go, BSD-3-Clause) that have a
    /// `Range` field; the file there has 11 bytes.
    #[test]
    fn the_table_of_go() {
        let n = 11;
        let rows = [
            ("bytes=0-4", single(0, 5, n)),
            ("bytes=2-", single(2, n, n)),
            ("bytes=-5", single(n - 5, n, n)),
            ("bytes=3-7", single(3, 8, n)),
            ("bytes=0-0,-2", several(&[(0, 0), (9, 10)], n)),
            ("bytes=0-1,5-8", several(&[(0, 1), (5, 8)], n)),
            ("bytes=0-1,5-", several(&[(0, 1), (5, 10)], n)),
            ("bytes=5-1000", single(5, n, n)),
            ("bytes=0-,1-,2-,3-,4-", RangeRequest::Ignore),
            ("bytes=0-9", single(0, n - 1, n)),
            ("bytes=0-10", single(0, n, n)),
            ("bytes=0-11", single(0, n, n)),
            ("bytes=10-11", single(n - 1, n, n)),
            ("bytes=10-", single(n - 1, n, n)),
            ("bytes=11-", RangeRequest::Unsatisfiable),
            ("bytes=11-12", RangeRequest::Unsatisfiable),
            ("bytes=12-12", RangeRequest::Unsatisfiable),
            ("bytes=11-100", RangeRequest::Unsatisfiable),
            ("bytes=12-100", RangeRequest::Unsatisfiable),
            ("bytes=100-", RangeRequest::Unsatisfiable),
            ("bytes=100-1000", RangeRequest::Unsatisfiable),
        ];
        for (value, expected) in rows {
            assert_eq!(parse(value.as_bytes(), n), expected, "{value}");
        }
    }

    /// RFC 9110 §14.1.1, §14.1.2
    #[test]
    fn odd_values() {
        use RangeRequest::{Ignore, Unsatisfiable};
        let n = 11;
        let rows = [
            ("", Ignore),
            ("bytes", Ignore),
            ("bytes=", Ignore),
            ("bytes=,", Ignore),
            ("bytes=-", Ignore),
            ("bytes=abc-", Ignore),
            ("bytes=4-3", Ignore),
            ("bytes=0-4,x", Ignore),
            ("bytes=--1", Ignore),
            ("bytes=+1-2", Ignore),
            ("bytes=0x1-2", Ignore),
            ("bytes=1 - 2", Ignore),
            ("bytes 0-4", Ignore),
            ("pages=1-2", Ignore),
            ("bytes=-0", Unsatisfiable),
            ("bytes=11-,-0", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=1-99999999999999999999999", single(1, n, n)),
            ("bytes=-99999999999999999999999", single(0, n, n)),
            ("bytes=-12", single(0, n, n)),
            ("BYTES=0-0", single(0, 1, n)),
            ("bytes= 0-4 ,\t, 20-30", single(0, 5, n)),
        ];
        for (value, expected) in rows {
            assert_eq!(parse(value.as_bytes(), n), expected, "{value}");
        }
        assert_eq!(parse(b"bytes=0-", 0), Ignore);
        assert_eq!(parse(b"bytes=-5", 0), Ignore);
    }

    /// RFC 9110 §15.3.7.2, §14.2
    #[test]
    fn several_ranges() {
        use RangeRequest::{Ignore, Unsatisfiable};
        let n = 1000;
        let rows = [
            ("bytes=500-600,0-9", several(&[(500, 600), (0, 9)], n)),
            ("bytes=0-9, ,20-29,", several(&[(0, 9), (20, 29)], n)),
            ("bytes=0-9,11-19", several(&[(0, 9), (11, 19)], n)),
            ("bytes=-1,0-0", several(&[(999, 999), (0, 0)], n)),
            // Unsatisfiable ones are left out.
            ("bytes=0-9,1000-,20-29,-0", several(&[(0, 9), (20, 29)], n)),
            ("bytes=0-9,1000-", single(0, 10, n)),
            ("bytes=1000-,2000-3000", Unsatisfiable),
            // Those that overlap or touch are joined, at the place of the first.
            ("bytes=0-9,10-19", single(0, 20, n)),
            ("bytes=10-19,0-9", single(0, 20, n)),
            ("bytes=0-9,5-19", single(0, 20, n)),
            ("bytes=0-99,10-19", single(0, 100, n)),
            ("bytes=7-7,7-7", single(7, 8, n)),
            (
                "bytes=50-59,0-9,60-69,-10",
                several(&[(50, 69), (0, 9), (990, 999)], n),
            ),
            ("bytes=0-9,20-29,10-19", single(0, 30, n)),
            ("bytes=20-29,0-9,10-19", single(0, 30, n)),
            ("bytes=0-499,500-999", single(0, 1000, n)),
            // Waste.
            ("bytes=0-9,5-14,10-19", Ignore),
            ("bytes=0-9,5-14,50-59,55-64", Ignore),
            ("bytes=0-,0-", Ignore),
            ("bytes=0-599,500-999", Ignore),
            ("bytes=0-9,x", Ignore),
            ("bytes=0-9,5-4", Ignore),
        ];
        for (value, expected) in rows {
            assert_eq!(parse(value.as_bytes(), n), expected, "{value}");
        }
    }

    /// RFC 9110 §14.2: many small ranges that are not in ascending order.
    #[test]
    fn many_small_ranges_in_no_order_are_ignored() {
        let list = |starts: &[u64], len: u64| -> String {
            let specs: Vec<String> = starts
                .iter()
                .map(|start| format!("{}-{}", start * 1000, start * 1000 + len - 1))
                .collect();
            format!("bytes={}", specs.join(","))
        };
        let count = |value: &str| match parse(value.as_bytes(), 1_000_000) {
            RangeRequest::Several(ranges) => ranges.len(),
            RangeRequest::Ignore => 0,
            other => panic!("{other:?}"),
        };
        let rising: Vec<u64> = (0..RANGES_MAX as u64).collect();
        let falling: Vec<u64> = rising.iter().rev().copied().collect();
        assert_eq!(count(&list(&rising, 1)), RANGES_MAX);
        assert_eq!(count(&list(&falling, 1)), 0);
        assert_eq!(count(&list(&falling, SMALL_RANGE_BYTES)), RANGES_MAX);
        let few = &falling[..RANGES_UNORDERED_MAX];
        assert_eq!(count(&list(few, 1)), RANGES_UNORDERED_MAX);
        // One more than the bound, whatever they ask for.
        let beyond: Vec<u64> = (0..=RANGES_MAX as u64).collect();
        assert_eq!(count(&list(&beyond, 100)), 0);
        let unsatisfiable = format!("bytes={}", "2000000-,".repeat(RANGES_MAX + 1));
        assert_eq!(count(&unsatisfiable), 0);
    }

    #[test]
    fn what_several_ranges_tell() {
        let RangeRequest::Several(ranges) = parse(b"bytes=0-1,5-8", 11) else {
            panic!("two ranges");
        };
        assert_eq!((ranges.len(), ranges.total_bytes()), (2, 6));
        assert_eq!(ranges.complete_length(), 11);
        assert_eq!(ranges.get(1), ByteRange::new(5, 8, 11).unwrap());
        assert_eq!(ranges.iter().len(), 2);
        let written = format!("{ranges:?}");
        assert!(
            written.starts_with("[ByteRange { start: 0, last: 1"),
            "{written}"
        );
    }

    #[test]
    fn content_range() {
        let range = ByteRange::new(2, 5, 11).unwrap();
        assert_eq!(range.content_range(), "bytes 2-5/11");
        assert_eq!((range.start(), range.last(), range.len()), (2, 5, 4));
        assert_eq!(unsatisfied_content_range(11), "bytes */11");
        assert_eq!(ByteRange::new(5, 4, 11), None);
        assert_eq!(ByteRange::new(0, 11, 11), None);
        assert_eq!(ByteRange::new(0, 0, 0), None);
        let whole = ByteRange::new(0, u64::MAX - 1, u64::MAX).unwrap();
        assert_eq!(whole.len(), u64::MAX);
    }

    proptest! {
        #[test]
        fn a_range_lies_inside(
            value in "bytes=[0-9]{0,21}-[0-9]{0,21}(,[0-9]{0,3}-[0-9]{0,3}){0,2}",
            length: u64,
        ) {
            if let RangeRequest::Single(range) = parse(value.as_bytes(), length) {
                prop_assert!(range.start() <= range.last() && range.last() < length);
                prop_assert!(range.len() >= 1 && range.len() <= length);
            }
        }

        #[test]
        fn several_ranges_are_disjoint_and_hold_what_was_asked_for(
            specs in prop::collection::vec((0u64..120, 0u64..20), 1..8),
            length in 1u64..200,
        ) {
            let members: Vec<String> = specs
                .iter()
                .map(|(start, more)| format!("{start}-{}", start + more))
                .collect();
            let value = format!("bytes={}", members.join(","));
            let asked: BTreeSet<u64> = specs
                .iter()
                .flat_map(|(start, more)| *start..=start + more)
                .filter(|position| *position < length)
                .collect();
            let ranges: Vec<ByteRange> = match parse(value.as_bytes(), length) {
                RangeRequest::Ignore => return Ok(()),
                RangeRequest::Unsatisfiable => Vec::new(),
                RangeRequest::Single(range) => vec![range],
                RangeRequest::Several(ranges) => {
                    prop_assert!(ranges.len() >= 2);
                    prop_assert_eq!(ranges.total_bytes(), asked.len() as u64);
                    ranges.iter().collect()
                }
            };
            let sent: Vec<u64> = ranges
                .iter()
                .flat_map(|range| range.start()..=range.last())
                .collect();
            prop_assert_eq!(sent.len(), asked.len());
            prop_assert_eq!(sent.into_iter().collect::<BTreeSet<u64>>(), asked);
            for (index, range) in ranges.iter().enumerate() {
                prop_assert!(ranges[..index].iter().all(|other| !other.touches(range)));
            }
        }

        #[test]
        fn a_plain_range_is_cut_at_the_end(
            first in 0u64..50,
            more in 0u64..50,
            length in 1u64..60,
        ) {
            let last = first + more;
            let expected = match ByteRange::new(first, last.min(length - 1), length) {
                Some(range) => RangeRequest::Single(range),
                None => RangeRequest::Unsatisfiable,
            };
            prop_assert_eq!(parse(format!("bytes={first}-{last}").as_bytes(), length), expected);
        }
    }
}
