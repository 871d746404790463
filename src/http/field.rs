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
    Origin = "origin";
    Upgrade = "upgrade";
}

const KNOWN_COUNT: usize = NAMES.len();

impl Known {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Which known field `name` stands for, in any case.
    #[inline]
    pub fn classify(name: &str) -> Option<Known> {
        ALL.iter()
            .copied()
            .find(|known| name.eq_ignore_ascii_case(known.name()))
    }
}

/// The field lines of one request.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    list: &'a [Field<'a>],
    /// Position in `list` plus one of the first line of each known field; 0: absent.
    first: [u8; KNOWN_COUNT],
    /// Bit n: known field n stands on more than one line.
    repeated: u32,
}

const _: () = assert!(KNOWN_COUNT <= 32);
const _: () = assert!(crate::base::limits::FIELDS_MAX < 255);

impl<'a> Fields<'a> {
    /// Indexes `list`, which holds at most [`crate::base::limits::FIELDS_MAX`] lines.
    #[inline]
    pub fn new(list: &'a [Field<'a>]) -> Fields<'a> {
        let mut fields = Fields {
            list,
            first: [0; KNOWN_COUNT],
            repeated: 0,
        };
        for (position, field) in list.iter().enumerate() {
            if let Some(known) = Known::classify(field.name) {
                let first = &mut fields.first[known as usize];
                if *first == 0 {
                    *first = position as u8 + 1;
                } else {
                    fields.repeated |= 1 << known as u32;
                }
            }
        }
        fields
    }

    /// All lines as sent.
    pub fn list(&self) -> &'a [Field<'a>] {
        self.list
    }

    /// The value of the first line of a known field.
    #[inline]
    pub fn get(&self, known: Known) -> Option<&'a [u8]> {
        match self.first[known as usize] {
            0 => None,
            position => Some(self.list[position as usize - 1].value),
        }
    }

    /// True when a known field stands on more than one line.
    #[inline]
    pub fn is_repeated(&self, known: Known) -> bool {
        self.repeated & (1 << known as u32) != 0
    }

    /// The values of all lines of a known field, in order (a list field may be split, RFC 9110 §5.3).
    pub fn all(&self, known: Known) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let first = self.first[known as usize] as usize;
        let lines = if first == 0 {
            &[][..]
        } else {
            &self.list[first - 1..]
        };
        lines
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(known.name()))
            .map(|field| field.value)
    }
}
