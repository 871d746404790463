//! Content codings (RFC 9110 §8.4.1) and which of them a request accepts (§12.5.3).

use super::field::list_members;
use super::quality::{QUALITY_MAX, split_weight};
use super::{Fields, Known};

/// A content coding that the server can send. Greater ones are preferred where the client has no
/// preference: what is smaller arrives sooner, and decoding is cheap for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Coding {
    /// As it is.
    Identity,
    /// RFC 1952
    Gzip,
    /// RFC 8878
    Zstd,
    /// RFC 7932
    Brotli,
}

const CODING_COUNT: usize = 4;

impl Coding {
    /// Every coding, the preferred ones first.
    pub const fn all() -> &'static [Coding; CODING_COUNT] {
        &[Coding::Brotli, Coding::Zstd, Coding::Gzip, Coding::Identity]
    }

    /// The value of `Content-Encoding`; for `Identity` the name that stands in `Accept-Encoding`
    /// only.
    pub const fn name(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
        }
    }

    /// What a file of this coding has behind the name of its source.
    pub const fn extension(self) -> &'static str {
        match self {
            Coding::Identity => "",
            Coding::Gzip => ".gz",
            Coding::Zstd => ".zst",
            Coding::Brotli => ".br",
        }
    }

    /// The coding of this name, in any case (RFC 9110 §8.4.1). `x-gzip` is `gzip` (§8.4.1.3).
    #[inline]
    pub fn of_name(name: &[u8]) -> Option<Coding> {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let coding = match name.len() {
            2 if is("br") => Coding::Brotli,
            4 if is("gzip") => Coding::Gzip,
            4 if is("zstd") => Coding::Zstd,
            6 if is("x-gzip") => Coding::Gzip,
            8 if is("identity") => Coding::Identity,
            _ => return None,
        };
        Some(coding)
    }
}

/// A set of codings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CodingSet(u8);

impl CodingSet {
    /// The set without members.
    pub const EMPTY: CodingSet = CodingSet(0);

    /// The set of `members`.
    pub const fn of(members: &[Coding]) -> CodingSet {
        let mut set = CodingSet::EMPTY;
        let mut index = 0;
        while index < members.len() {
            set = set.with(members[index]);
            index += 1;
        }
        set
    }

    /// This set and `coding`.
    #[must_use]
    pub const fn with(self, coding: Coding) -> CodingSet {
        CodingSet(self.0 | 1 << coding as u8)
    }

    /// This set but for `coding`.
    #[must_use]
    pub const fn without(self, coding: Coding) -> CodingSet {
        CodingSet(self.0 & !(1 << coding as u8))
    }

    /// The members of both.
    #[must_use]
    pub const fn union(self, other: CodingSet) -> CodingSet {
        CodingSet(self.0 | other.0)
    }

    /// True when `coding` is a member.
    #[inline]
    pub const fn contains(self, coding: Coding) -> bool {
        self.0 & 1 << coding as u8 != 0
    }

    /// True without members.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, the preferred ones first.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Coding> {
        let all = Coding::all().iter().copied();
        all.filter(move |coding| self.contains(*coding))
    }
}

impl FromIterator<Coding> for CodingSet {
    fn from_iter<I: IntoIterator<Item = Coding>>(codings: I) -> CodingSet {
        codings.into_iter().fold(CodingSet::EMPTY, CodingSet::with)
    }
}

/// The quality of a representation that is not coded where the request says nothing about it: it is
/// acceptable (RFC 9110 §12.5.3), but any coding that the client names is wanted more.
const UNNAMED_IDENTITY: u16 = 1;

/// How much a request wants each coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AcceptedCodings {
    /// Thousandths by `Coding as usize`; 0 is a refusal.
    qualities: [u16; CODING_COUNT],
}

impl AcceptedCodings {
    /// What a request without the field gets. RFC 9110 §12.5.3 lets a server send any coding then,
    /// but clients that do not send it are those that cannot decode: scripts, health checks, old
    /// tools.
    pub const IDENTITY_ONLY: AcceptedCodings = AcceptedCodings {
        qualities: [UNNAMED_IDENTITY, 0, 0, 0],
    };

    /// Reads every line of `Accept-Encoding`.
    #[inline]
    pub fn of(fields: &Fields<'_>) -> AcceptedCodings {
        match fields.get(Known::AcceptEncoding) {
            None => AcceptedCodings::IDENTITY_ONLY,
            Some(value) if !fields.is_repeated(Known::AcceptEncoding) => {
                AcceptedCodings::from_value(value)
            }
            // RFC 9110 §5.3: the lines are one list.
            Some(_) => AcceptedCodings::from_lines(fields.all(Known::AcceptEncoding)),
        }
    }

    /// Reads the field where it stands on one line: what these bytes say can be remembered.
    pub fn from_value(value: &[u8]) -> AcceptedCodings {
        AcceptedCodings::from_lines(std::iter::once(value))
    }

    /// A member that breaks the grammar is ignored. Of two that name the same coding the first
    /// counts.
    fn from_lines<'a>(lines: impl Iterator<Item = &'a [u8]>) -> AcceptedCodings {
        let mut named = [None; CODING_COUNT];
        let mut others = None;
        let members = lines.flat_map(list_members).filter_map(split_weight);
        for (name, quality) in members {
            if let Some(coding) = Coding::of_name(name) {
                named[coding as usize].get_or_insert(quality);
            } else if name == b"*" {
                others.get_or_insert(quality);
            }
        }
        // RFC 9110 §12.5.3: `*` stands for what is not named, `identity` included; without it, what
        // is not named is refused, except for `identity`.
        let mut qualities = named.map(|quality| quality.or(others).unwrap_or(0));
        if named[Coding::Identity as usize].is_none() && others.is_none() {
            qualities[Coding::Identity as usize] = UNNAMED_IDENTITY;
        }
        debug_assert!(qualities.iter().all(|quality| *quality <= QUALITY_MAX));
        AcceptedCodings { qualities }
    }

    /// How much `coding` is wanted, in thousandths; 0 when it is refused.
    #[inline]
    pub fn q(self, coding: Coding) -> u16 {
        self.qualities[coding as usize]
    }

    /// True when an answer of this coding is acceptable.
    #[inline]
    pub fn accepts(self, coding: Coding) -> bool {
        self.q(coding) > 0
    }

    /// Which of `available` to send: the most wanted, and among equals the greatest. `None` when
    /// all are refused.
    #[inline]
    pub fn best(self, available: CodingSet) -> Option<Coding> {
        let mut best = None;
        let mut best_quality = 0;
        for coding in available.iter() {
            if self.q(coding) > best_quality {
                best_quality = self.q(coding);
                best = Some(coding);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Field;
    use proptest::prelude::*;

    const ALL: CodingSet = CodingSet::of(Coding::all());

    fn best(value: &str) -> Option<Coding> {
        AcceptedCodings::from_value(value.as_bytes()).best(ALL)
    }

    fn of_lines(lines: &[&str]) -> AcceptedCodings {
        let list: Vec<Field<'_>> = lines
            .iter()
            .map(|value| Field {
                name: "accept-encoding",
                value: value.as_bytes(),
            })
            .collect();
        AcceptedCodings::of(&Fields::new(&list))
    }

    /// RFC 9110 §12.5.3
    #[test]
    fn the_best_of_all() {
        use Coding::{Brotli, Gzip, Identity, Zstd};
        let rows = [
            ("gzip, deflate, br, zstd", Some(Brotli)), // Chrome, Firefox
            ("gzip, deflate, br", Some(Brotli)),       // Safari
            ("gzip, deflate", Some(Gzip)),             // requests, without brotli
            ("zstd,gzip", Some(Zstd)),
            ("GZIP", Some(Gzip)),
            ("x-gzip", Some(Gzip)), // RFC 9110 §8.4.1.3
            ("X-GZip;q=0.2", Some(Gzip)),
            ("deflate, compress", Some(Identity)),
            ("br;q=0.5, gzip;q=0.8, zstd;q=0.1", Some(Gzip)),
            ("br;q=0.8, gzip;q=0.8", Some(Brotli)),
            ("br;q=0, gzip", Some(Gzip)),
            ("identity, gzip;q=0.5", Some(Identity)),
            ("identity, gzip", Some(Gzip)),
            ("gzip;q=0.001", Some(Gzip)),
            ("identity;q=0.5, gzip;q=0.4", Some(Identity)),
            // Refusals.
            ("identity;q=0", None),
            ("identity;q=0, gzip", Some(Gzip)),
            ("*;q=0", None),
            ("*;q=0, gzip", Some(Gzip)),
            ("*;q=0, identity;q=0.1", Some(Identity)),
            ("gzip;q=0", Some(Identity)),
            ("identity;q=0, *", Some(Brotli)),
            ("identity;q=0.0, gzip;q=0.000, br;q=0, zstd;q=0.", None),
            // Anything.
            ("*", Some(Brotli)),
            ("*;q=0.5", Some(Brotli)),
            ("br;q=0, *;q=0.5", Some(Zstd)),
            ("gzip;q=0.3, *;q=0.5", Some(Brotli)),
            ("gzip;q=0.6, *;q=0.5", Some(Gzip)),
            // Nothing.
            ("", Some(Identity)),
            (" , ,", Some(Identity)),
            // Malformed members do not count.
            ("gzip;q=x, br;q=1.5, zstd;q=0.1234", Some(Identity)),
            ("br;level=11, gzip;q=0.1", Some(Gzip)),
            ("identity;q=zero", Some(Identity)),
            ("*;q=, gzip", Some(Gzip)),
            ("gzip br", Some(Identity)),
            (" gzip\t; \tQ=0.5 , br ; q=0.4", Some(Gzip)),
            // The first one counts.
            ("gzip;q=0, x-gzip, gzip", Some(Identity)),
            ("*, *;q=0", Some(Brotli)),
        ];
        for (value, expected) in rows {
            assert_eq!(best(value), expected, "{value}");
        }
    }

    /// RFC 9110 §5.3, §12.5.3
    #[test]
    fn lines_are_one_list_and_none_means_identity() {
        assert_eq!(of_lines(&[]), AcceptedCodings::IDENTITY_ONLY);
        assert_eq!(of_lines(&[""]), AcceptedCodings::IDENTITY_ONLY);
        assert_eq!(of_lines(&[]).best(ALL), Some(Coding::Identity));
        let split = of_lines(&["gzip;q=0.5", "", "br;q=0.7, zstd"]);
        let joined = AcceptedCodings::from_value(b"gzip;q=0.5, br;q=0.7, zstd");
        assert_eq!(split, joined);
        assert_eq!((split.q(Coding::Brotli), split.q(Coding::Gzip)), (700, 500));
        assert_eq!(of_lines(&["gzip", "*;q=0"]).q(Coding::Identity), 0);
    }

    #[test]
    fn only_what_is_available_is_chosen() {
        let accepted = AcceptedCodings::from_value(b"br, gzip;q=0.5");
        let with = |members: &[Coding]| accepted.best(CodingSet::of(members));
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[Coding::Identity]), Some(Coding::Identity));
        assert_eq!(with(&[Coding::Zstd]), None);
        let two = [Coding::Gzip, Coding::Identity];
        assert_eq!(with(&two), Some(Coding::Gzip));
    }

    #[test]
    fn names_extensions_and_sets() {
        let names: Vec<_> = Coding::all().iter().map(|coding| coding.name()).collect();
        assert_eq!(names, ["br", "zstd", "gzip", "identity"]);
        let extensions = Coding::all().map(Coding::extension);
        assert_eq!(extensions, [".br", ".zst", ".gz", ""]);
        assert!(Coding::all().is_sorted_by(|left, right| left > right));
        for coding in Coding::all() {
            assert_eq!(Coding::of_name(coding.name().as_bytes()), Some(*coding));
            let set = CodingSet::EMPTY.with(*coding);
            assert!(set.contains(*coding) && set.without(*coding).is_empty());
            assert_eq!(set.iter().collect::<Vec<_>>(), [*coding]);
        }
        assert_eq!(ALL.iter().collect::<Vec<_>>(), Coding::all());
        assert_eq!(ALL.iter().collect::<CodingSet>(), ALL);
    }

    proptest! {
        #[test]
        fn the_best_is_wanted_and_nothing_is_wanted_more(
            lines in prop::collection::vec(
                "((gzip|br|zstd|x-gzip|identity|\\*|deflate)(;q=[01](\\.[0-9]{0,4})?)?,? ?){0,6}",
                0..3,
            ),
            members in prop::collection::vec(prop::sample::select(Coding::all().to_vec()), 0..5),
        ) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let accepted = of_lines(&lines);
            let available: CodingSet = members.into_iter().collect();
            let best = accepted.best(available);
            match best {
                Some(best) => {
                    prop_assert!(available.contains(best) && accepted.accepts(best));
                    for other in available.iter() {
                        let (other, best) = ((accepted.q(other), other), (accepted.q(best), best));
                        prop_assert!(other <= best);
                    }
                }
                None => prop_assert!(available.iter().all(|coding| !accepted.accepts(coding))),
            }
        }
    }
}
