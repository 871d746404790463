//! Field lines of a request, with the ones that the server reads found in one pass.

/// One field line: its name as sent, and its value without surrounding white space.
pub use httparse::Header as Field;

macro_rules! known_fields {
    ($($name:ident = $wire:literal;)*) => {
        /// The request fields that the server itself reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Known { $($name,)* }

        const NAMES: &[&str] = &[$($wire,)*];
        const ALL: &[Known] = &[$(Known::$name,)*];
    };
}

known_fields! {
    Host = "host";
    Connection = "connection";
    ContentLength = "content-length";
    TransferEncoding = "transfer-encoding";
    Expect = "expect";
    Range = "range";
    IfRange = "if-range";
    IfMatch = "if-match";
    IfNoneMatch = "if-none-match";
    IfModifiedSince = "if-modified-since";
    IfUnmodifiedSince = "if-unmodified-since";
    Accept = "accept";
    AcceptEncoding = "accept-encoding";
    AcceptLanguage = "accept-language";
    Authorization = "authorization";
    Cookie = "cookie";
    Origin = "origin";
    Upgrade = "upgrade";
}

const KNOWN_COUNT: usize = NAMES.len();

impl Known {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Every known field.
    pub fn all() -> &'static [Known] {
        ALL
    }

    /// Which known field `name`, a token, stands for, in any case. Runs for each line of each
    /// request: the length alone sends most unknown names away.
    #[inline]
    pub fn classify(name: &str) -> Option<Known> {
        let name = name.as_bytes();
        let known = match name.len() {
            4 if is(name, b"host") => Known::Host,
            5 if is(name, b"range") => Known::Range,
            6 if is(name, b"accept") => Known::Accept,
            6 if is(name, b"cookie") => Known::Cookie,
            6 if is(name, b"origin") => Known::Origin,
            6 if is(name, b"expect") => Known::Expect,
            7 if is(name, b"upgrade") => Known::Upgrade,
            8 if is(name, b"if-match") => Known::IfMatch,
            8 if is(name, b"if-range") => Known::IfRange,
            10 if is(name, b"connection") => Known::Connection,
            13 if is(name, b"if-none-match") => Known::IfNoneMatch,
            13 if is(name, b"authorization") => Known::Authorization,
            14 if is(name, b"content-length") => Known::ContentLength,
            15 if is(name, b"accept-encoding") => Known::AcceptEncoding,
            15 if is(name, b"accept-language") => Known::AcceptLanguage,
            17 if is(name, b"if-modified-since") => Known::IfModifiedSince,
            17 if is(name, b"transfer-encoding") => Known::TransferEncoding,
            19 if is(name, b"if-unmodified-since") => Known::IfUnmodifiedSince,
            _ => return None,
        };
        Some(known)
    }
}

/// Compares a token with a lower-case name of fixed length, which the compiler turns into word
/// compares. Setting bit 5 folds letters; the only other bytes that it could confuse with a name's
/// are control characters, which no token holds.
#[inline(always)]
fn is<const N: usize>(token: &[u8], lower: &[u8; N]) -> bool {
    let Some(token) = token.first_chunk::<N>() else {
        return false;
    };
    let mut difference = 0;
    for (byte, lower) in token.iter().zip(lower) {
        difference |= (byte | 0x20) ^ lower;
    }
    difference == 0
}

/// A set of known fields, for one question about several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownSet(u32);

const _: () = assert!(KNOWN_COUNT <= u32::BITS as usize);

impl KnownSet {
    /// The set of `members`.
    pub const fn of(members: &[Known]) -> KnownSet {
        let mut bits = 0;
        let mut index = 0;
        while index < members.len() {
            bits |= 1 << members[index] as u32;
            index += 1;
        }
        KnownSet(bits)
    }
}

/// The field lines of one request.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    list: &'a [Field<'a>],
    /// Position in `list` of the first line of each known field that is present.
    first: [u8; KNOWN_COUNT],
    /// Which known fields are there.
    present: KnownSet,
    /// Which known fields stand on more than one line.
    repeated: KnownSet,
}

const _: () = assert!(crate::base::limits::FIELDS_MAX <= u8::MAX as usize);

impl<'a> Fields<'a> {
    /// Indexes `list`, which holds at most [`crate::base::limits::FIELDS_MAX`] lines.
    #[inline]
    pub fn new(list: &'a [Field<'a>]) -> Fields<'a> {
        let mut fields = Fields {
            list,
            first: [0; KNOWN_COUNT],
            present: KnownSet(0),
            repeated: KnownSet(0),
        };
        for (position, field) in list.iter().enumerate() {
            if let Some(known) = Known::classify(field.name) {
                let bit = 1 << known as u32;
                if fields.present.0 & bit == 0 {
                    fields.present.0 |= bit;
                    fields.first[known as usize] = position as u8;
                } else {
                    fields.repeated.0 |= bit;
                }
            }
        }
        fields
    }

    /// All lines as sent.
    pub fn list(&self) -> &'a [Field<'a>] {
        self.list
    }

    /// True when at least one field of `set` is there.
    #[inline]
    pub fn has_any(&self, set: KnownSet) -> bool {
        self.present.0 & set.0 != 0
    }

    /// The value of the first line of a known field.
    #[inline]
    pub fn get(&self, known: Known) -> Option<&'a [u8]> {
        if self.has_any(KnownSet::of(&[known])) {
            Some(self.list[self.first[known as usize] as usize].value)
        } else {
            None
        }
    }

    /// The value of a known field that stands on exactly one line.
    #[inline]
    pub fn get_single(&self, known: Known) -> Option<&'a [u8]> {
        if self.is_repeated(known) {
            None
        } else {
            self.get(known)
        }
    }

    /// True when a known field stands on more than one line.
    #[inline]
    pub fn is_repeated(&self, known: Known) -> bool {
        self.repeated.0 & KnownSet::of(&[known]).0 != 0
    }

    /// The values of all lines of a known field, in order (a list field may be split, RFC 9110
    /// §5.3).
    pub fn all(&self, known: Known) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let lines = if self.has_any(KnownSet::of(&[known])) {
            &self.list[self.first[known as usize] as usize..]
        } else {
            &[][..]
        };
        lines
            .iter()
            .filter(move |field| Known::classify(field.name) == Some(known))
            .map(|field| field.value)
    }
}

/// The members of a comma-separated list value, without white space around them and without the
/// empty ones (RFC 9110 §5.6.1). For lists of tokens: a comma in a quoted string would split it.
pub fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// `value` without optional white space (RFC 9110 §5.6.3) at both ends.
pub fn trim(value: &[u8]) -> &[u8] {
    let is_visible = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let Some(start) = value.iter().position(is_visible) else {
        return b"";
    };
    let end = value
        .iter()
        .rposition(is_visible)
        .map_or(start, |last| last + 1);
    &value[start..end]
}

/// The value of `Content-Length` (RFC 9110 §8.6): digits only; an overflow is no number either.
pub fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

/// True for the bytes of a token (RFC 9110 §5.6.2).
pub const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        )
}

/// True for the bytes of a field value (RFC 9110 §5.5): visible ones, SP, HTAB and obs-text.
pub fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case_and_no_other() {
        for known in Known::all() {
            let name = known.name();
            assert_eq!(Known::classify(name), Some(*known));
            assert_eq!(Known::classify(&name.to_uppercase()), Some(*known));
            for position in 0..name.len() {
                let mut other = name.as_bytes().to_vec();
                other[position] = b'_';
                let other = String::from_utf8(other).unwrap();
                assert_eq!(Known::classify(&other), None, "{other}");
            }
            assert_eq!(Known::classify(&name[1..]), None);
            assert_eq!(Known::classify(&format!("{name}x")), None);
        }
        assert_eq!(Known::classify(""), None);
        assert_eq!(Known::classify("accept_encoding"), None);
    }

    #[test]
    fn first_all_and_repeated() {
        let line = |name, value| Field { name, value };
        let list = [
            line("Accept", &b"a"[..]),
            line("connection", b"x"),
            line("X", b"y"),
            line("CONNECTION", b"close"),
        ];
        let fields = Fields::new(&list);
        assert_eq!(fields.get(Known::Accept), Some(&b"a"[..]));
        assert_eq!(fields.get(Known::Connection), Some(&b"x"[..]));
        assert_eq!(fields.get(Known::Host), None);
        assert!(fields.is_repeated(Known::Connection) && !fields.is_repeated(Known::Accept));
        assert_eq!(fields.get_single(Known::Connection), None);
        assert_eq!(fields.get_single(Known::Accept), Some(&b"a"[..]));
        let all: Vec<&[u8]> = fields.all(Known::Connection).collect();
        assert_eq!(all, [&b"x"[..], b"close"]);
        assert_eq!(fields.all(Known::Range).count(), 0);
        assert!(fields.has_any(KnownSet::of(&[Known::Range, Known::Accept])));
        assert!(!fields.has_any(KnownSet::of(&[Known::Range, Known::Host])));
    }

    /// RFC 9110 §5.6.2
    #[test]
    fn token_bytes_are_those_of_the_grammar() {
        for byte in 0..=255_u8 {
            let expected = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token_byte(byte), expected, "{byte}");
        }
    }

    #[test]
    fn list_members_skip_white_space_and_empty_ones() {
        let members: Vec<&[u8]> = list_members(b" a ,, \tb\t,").collect();
        assert_eq!(members, [&b"a"[..], b"b"]);
        assert_eq!(list_members(b"").count(), 0);
    }
}
