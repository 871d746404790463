//! Validators of a representation (RFC 9110 §8.8): entity tags and modification dates.

use std::fmt;

use super::field::trim;

/// An entity tag of ours, as it stands in `ETag`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EntityTag {
    /// The whole value: `"…"` or `W/"…"`.
    value: Box<[u8]>,
}

/// An entity tag that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagRef<'a> {
    /// `W/` stood before it.
    pub is_weak: bool,
    /// What stands between the quotes.
    pub opaque: &'a [u8],
}

impl EntityTag {
    /// Parses a whole value; `None` when it is not exactly one entity tag.
    pub fn parse(value: &[u8]) -> Option<EntityTag> {
        let (_, rest) = TagRef::split(value)?;
        rest.is_empty().then(|| EntityTag {
            value: value.into(),
        })
    }

    /// The value of `ETag`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.value
    }

    /// This tag weakened: for a representation that is equivalent, but not byte for byte.
    #[must_use]
    pub fn to_weak(&self) -> EntityTag {
        if self.as_tag().is_weak {
            return self.clone();
        }
        EntityTag {
            value: [b"W/", &self.value[..]].concat().into_boxed_slice(),
        }
    }

    /// This tag with `suffix` before its closing quote, as weak or strong as it was: each
    /// representation of one resource needs a strong tag of its own (RFC 9110 §8.8.3.3).
    ///
    /// # Panics
    ///
    /// When `suffix` holds what no tag may.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> EntityTag {
        assert!(suffix.bytes().all(is_etag_byte), "{suffix}");
        let (quote, start) = self.value.split_last().expect("a tag ends in a quote");
        EntityTag {
            value: [start, suffix.as_bytes(), &[*quote]]
                .concat()
                .into_boxed_slice(),
        }
    }

    /// The parts of this tag.
    #[inline]
    pub fn as_tag(&self) -> TagRef<'_> {
        match &self.value[..] {
            [b'W', b'/', b'"', opaque @ .., b'"'] => TagRef {
                is_weak: true,
                opaque,
            },
            [b'"', opaque @ .., b'"'] => TagRef {
                is_weak: false,
                opaque,
            },
            _ => unreachable!("the constructors check the form"),
        }
    }
}

impl fmt::Debug for EntityTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.value))
    }
}

/// The strong tag of one state of a file, from its time of modification (seconds and nanoseconds)
/// and its length, as other servers build it. The time has the clock's full resolution, so that two
/// states within one second differ.
pub fn file_etag(modified: (i64, u32), len: u64) -> EntityTag {
    let nanoseconds = i128::from(modified.0) * 1_000_000_000 + i128::from(modified.1);
    // Two's complement: times before 1970 stay distinct. 64 bits last until the year 2554.
    let nanoseconds = nanoseconds as u64;
    EntityTag {
        value: format!("\"{nanoseconds:x}-{len:x}\"")
            .into_bytes()
            .into_boxed_slice(),
    }
}

impl<'a> TagRef<'a> {
    /// Takes one tag off the front of `bytes` (RFC 9110 §8.8.3).
    fn split(bytes: &'a [u8]) -> Option<(TagRef<'a>, &'a [u8])> {
        let (is_weak, quoted) = match bytes {
            [b'W', b'/', quoted @ ..] => (true, quoted),
            quoted => (false, quoted),
        };
        let [b'"', inner @ ..] = quoted else {
            return None;
        };
        let close = inner.iter().position(|byte| !is_etag_byte(*byte))?;
        let (opaque, rest) = (&inner[..close], &inner[close + 1..]);
        (inner[close] == b'"').then_some((TagRef { is_weak, opaque }, rest))
    }

    /// Strong comparison (RFC 9110 §8.8.3.2): equal, and neither is weak.
    pub fn matches_strongly(self, other: TagRef<'_>) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }

    /// Weak comparison: equal, weak or not.
    pub fn matches_weakly(self, other: TagRef<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// etagc of RFC 9110 §8.8.3
fn is_etag_byte(byte: u8) -> bool {
    byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80
}

/// The tags of one `If-Match` or `If-None-Match` line, up to the first thing that is none.
pub fn tags(line: &[u8]) -> impl Iterator<Item = TagRef<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (tag, after) = TagRef::split(rest)?;
        let after = trim(after);
        // What follows a tag is a comma or nothing; else the line is not a list of tags.
        rest = if after.is_empty() || after[0] == b',' {
            after
        } else {
            b""
        };
        Some(tag)
    })
}

/// What a representation's current state is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The value of `ETag`.
    pub etag: Option<EntityTag>,
    /// The time of `Last-Modified`, in seconds since 1970.
    pub last_modified_unix: Option<u64>,
}

impl Validators {
    /// The validators of one state of a file. A time before 1970 gives no `Last-Modified`.
    pub fn of_file(modified: (i64, u32), len: u64) -> Validators {
        Validators {
            etag: Some(file_etag(modified, len)),
            last_modified_unix: u64::try_from(modified.0).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(value: &str) -> EntityTag {
        EntityTag::parse(value.as_bytes()).unwrap()
    }

    /// The table of RFC 9110 §8.8.3.2
    #[test]
    fn comparisons() {
        let rows = [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ];
        for (left, right, strong, weak) in rows {
            let (left, right) = (tag(left), tag(right));
            let (left, right) = (left.as_tag(), right.as_tag());
            assert_eq!(left.matches_strongly(right), strong);
            assert_eq!(left.matches_weakly(right), weak);
        }
    }

    /// RFC 9110 §8.8.3
    #[test]
    fn what_is_no_tag() {
        for value in [
            "", "1", "\"", "\"1", "1\"", "w/\"1\"", "W/1", "\"a b\"", "\"a\"x", "*", "\"\t\"",
        ] {
            assert_eq!(EntityTag::parse(value.as_bytes()), None, "{value}");
        }
        assert_eq!(tag("\"\"").as_tag().opaque, b"");
        assert_eq!(tag("\"1\"").to_weak(), tag("W/\"1\""));
        assert_eq!(tag("W/\"1\"").to_weak(), tag("W/\"1\""));
    }

    /// RFC 9110 §8.8.3.3
    #[test]
    fn each_representation_has_its_own_tag() {
        let rows = [
            ("\"x\"", "-br", "\"x-br\""),
            ("W/\"x\"", "-gzip", "W/\"x-gzip\""),
            ("\"\"", "-de", "\"-de\""),
            ("\"x\"", "", "\"x\""),
        ];
        for (ours, suffix, expected) in rows {
            let suffixed = tag(ours).with_suffix(suffix);
            assert_eq!(suffixed, tag(expected));
            assert_eq!(suffixed.as_tag().is_weak, tag(ours).as_tag().is_weak);
        }
        let both = tag("\"x\"").with_suffix("-de").with_suffix("-br");
        assert_eq!(both.as_bytes(), b"\"x-de-br\"");
    }

    #[test]
    #[should_panic(expected = "a\"b")]
    fn a_suffix_cannot_end_a_tag() {
        let _ = tag("\"x\"").with_suffix("a\"b");
    }

    #[test]
    fn lists_of_tags() {
        let read = |line: &'static str| -> Vec<(bool, &[u8])> {
            tags(line.as_bytes())
                .map(|tag| (tag.is_weak, tag.opaque))
                .collect()
        };
        assert_eq!(read("\"a\""), [(false, &b"a"[..])]);
        assert_eq!(
            read(" ,\"a,b\" ,, W/\"c\",\"\""),
            [(false, &b"a,b"[..]), (true, b"c"), (false, b"")]
        );
        assert_eq!(read("\"a\" \"b\""), [(false, &b"a"[..])]);
        assert_eq!(read("\"a\", b, \"c\""), [(false, &b"a"[..])]);
        assert_eq!(read("*"), []);
        assert_eq!(read(""), []);
    }

    #[test]
    fn the_tag_of_a_file_tells_its_states_apart() {
        let base = file_etag((1_700_000_000, 5), 100);
        assert_eq!(base.as_bytes(), b"\"17979cfe362a0005-64\"");
        assert!(!base.as_tag().is_weak);
        for other in [
            file_etag((1_700_000_000, 6), 100),
            file_etag((1_700_000_001, 5), 100),
            file_etag((1_700_000_000, 5), 101),
            file_etag((-1_700_000_000, 5), 100),
        ] {
            assert_ne!(base, other);
            assert_eq!(EntityTag::parse(other.as_bytes()), Some(other));
        }
        assert_eq!(Validators::of_file((-1, 0), 0).last_modified_unix, None);
    }
}
