//! The static table of HPACK (RFC 7541, Appendix A), known to the writer of answers here and to the
//! decoder of HTTP/2.
//!
//! Indices are the RFC's: they begin at 1.

/// Entries of the static table.
pub const STATIC_COUNT: u8 = STATIC_TABLE.len() as u8;

/// The static table: names in lower case, and values; entry 1 stands at 0.
pub const STATIC_TABLE: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// Indices of names that a recipient recognises by number: the first entry of each name.
pub mod names {
    use super::first_of;

    /// `:authority`
    pub const AUTHORITY: u8 = first_of(":authority");
    /// `:method`
    pub const METHOD: u8 = first_of(":method");
    /// `:path`
    pub const PATH: u8 = first_of(":path");
    /// `:scheme`
    pub const SCHEME: u8 = first_of(":scheme");
    /// `:status`
    pub const STATUS: u8 = first_of(":status");
    /// `content-length`
    pub const CONTENT_LENGTH: u8 = first_of("content-length");
    /// `cookie`
    pub const COOKIE: u8 = first_of("cookie");
    /// `expect`
    pub const EXPECT: u8 = first_of("expect");
    /// `host`
    pub const HOST: u8 = first_of("host");
    /// `transfer-encoding`
    pub const TRANSFER_ENCODING: u8 = first_of("transfer-encoding");
}

/// For each entry the index of the first entry with its name.
pub const NAME_INDEX: [u8; STATIC_TABLE.len()] = {
    let mut indices = [0; STATIC_TABLE.len()];
    let mut position = 0;
    while position < STATIC_TABLE.len() {
        indices[position] = first_of(STATIC_TABLE[position].0);
        position += 1;
    }
    indices
};

/// Names of one length in the static table are no more than these.
const SAME_LENGTH_MAX: usize = 6;
/// Names up to this length stand in the static table.
const NAME_BYTES_MAX: usize = 27;

/// For each length of a name the first entries of the names that have it; 0 fills up.
const BY_LENGTH: [[u8; SAME_LENGTH_MAX]; NAME_BYTES_MAX + 1] = {
    let mut indices = [[0; SAME_LENGTH_MAX]; NAME_BYTES_MAX + 1];
    let mut counts = [0; NAME_BYTES_MAX + 1];
    let mut position = 0;
    while position < STATIC_TABLE.len() {
        let index = position as u8 + 1;
        if NAME_INDEX[position] == index {
            let length = STATIC_TABLE[position].0.len();
            indices[length][counts[length]] = index;
            counts[length] += 1;
        }
        position += 1;
    }
    indices
};

/// The index of the first entry called `name`, at compile time.
const fn first_of(name: &str) -> u8 {
    let mut position = 0;
    while !is_same(STATIC_TABLE[position].0.as_bytes(), name.as_bytes()) {
        position += 1;
    }
    position as u8 + 1
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Where a field stands in the static table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaticMatch {
    /// Its name and its value.
    Field(u8),
    /// Its name alone.
    Name(u8),
    /// Not at all.
    None,
}

/// Looks a field up; `name` in any case.
pub fn find(name: &str, value: &[u8]) -> StaticMatch {
    let Some(same_length) = BY_LENGTH.get(name.len()) else {
        return StaticMatch::None;
    };
    let is_name = |index: &u8| {
        let position = usize::from(*index).checked_sub(1);
        position.is_some_and(|position| STATIC_TABLE[position].0.eq_ignore_ascii_case(name))
    };
    let Some(first) = same_length.iter().copied().find(is_name) else {
        return StaticMatch::None;
    };
    // Entries of one name stand together.
    let has_name = |index: &u8| NAME_INDEX[usize::from(*index) - 1] == first;
    let has_value = |index: &u8| STATIC_TABLE[usize::from(*index) - 1].1.as_bytes() == value;
    let mut same_name = (first..=STATIC_COUNT).take_while(has_name);
    match same_name.find(has_value) {
        Some(index) => StaticMatch::Field(index),
        None => StaticMatch::Name(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_by_name_and_value() {
        for (position, (name, value)) in STATIC_TABLE.iter().enumerate() {
            let index = position as u8 + 1;
            assert_eq!(
                find(name, value.as_bytes()),
                StaticMatch::Field(index),
                "{name}"
            );
            let first = NAME_INDEX[position];
            let upper = name.to_uppercase();
            assert_eq!(find(&upper, b"\0"), StaticMatch::Name(first), "{name}");
            assert!(first <= index && STATIC_TABLE[first as usize - 1].0 == *name);
            assert!(first == 1 || STATIC_TABLE[first as usize - 2].0 != *name);
        }
        assert_eq!(find("x-frame-options", b""), StaticMatch::None);
        assert_eq!(find("", b""), StaticMatch::None);
        assert_eq!(find(&"x".repeat(27), b""), StaticMatch::None);
        assert_eq!(find(&"x".repeat(28), b""), StaticMatch::None);
    }

    /// RFC 7541, Appendix A: spot checks by number, so that a lost line is seen.
    #[test]
    fn the_numbers_are_those_of_the_rfc() {
        for (index, name) in [
            (names::AUTHORITY, ":authority"),
            (names::METHOD, ":method"),
            (names::PATH, ":path"),
            (names::SCHEME, ":scheme"),
            (names::STATUS, ":status"),
            (names::CONTENT_LENGTH, "content-length"),
            (names::COOKIE, "cookie"),
            (names::EXPECT, "expect"),
            (names::HOST, "host"),
            (names::TRANSFER_ENCODING, "transfer-encoding"),
        ] {
            assert_eq!(STATIC_TABLE[index as usize - 1].0, name);
        }
        let numbers = [
            names::AUTHORITY,
            names::METHOD,
            names::PATH,
            names::SCHEME,
            names::STATUS,
            names::CONTENT_LENGTH,
            names::COOKIE,
            names::EXPECT,
            names::HOST,
            names::TRANSFER_ENCODING,
            STATIC_COUNT,
        ];
        assert_eq!(numbers, [1, 2, 4, 6, 8, 28, 32, 35, 38, 57, 61]);
    }
}
