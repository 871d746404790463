//! Content codings (RFC 9110 §8.4.1) and what a request accepts of them.

use super::{Fields, Known};

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Coding {
    Identity,
    Gzip,
    Zstd,
    Brotli,
}

impl Coding {
    pub fn name(self) -> &'static str {
        ["identity", "gzip", "zstd", "br"][self as usize]
    }
    pub fn extension(self) -> &'static str {
        ["", ".gz", ".zst", ".br"][self as usize]
    }
}

/// Several codings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodingSet(u8);

impl CodingSet {
    pub fn insert(&mut self, coding: Coding) {
        self.0 |= 1 << coding as u8;
    }
    pub fn contains(self, coding: Coding) -> bool {
        self.0 & (1 << coding as u8) != 0
    }
    pub fn union(self, other: CodingSet) -> CodingSet {
        CodingSet(self.0 | other.0)
    }
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a request accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedCodings([u16; 4]);

impl AcceptedCodings {
    pub fn of(fields: &Fields<'_>) -> AcceptedCodings {
        Self::from_value(fields.get(Known::AcceptEncoding).unwrap_or(b""))
    }
    pub fn from_value(_value: &[u8]) -> AcceptedCodings {
        AcceptedCodings([1000, 0, 0, 0])
    }
    pub fn best(self, _available: CodingSet) -> Option<Coding> {
        Some(Coding::Identity)
    }
}
