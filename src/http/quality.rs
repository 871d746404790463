//! Quality values (RFC 9110 §12.4.2): how much a client wants one of several things.

use super::field::trim;

/// The quality of what is wanted without reserve, and of what is named without a weight.
pub const QUALITY_MAX: u16 = 1000;

/// A `qvalue` in thousandths; `None` when it breaks the grammar.
pub fn parse(value: &[u8]) -> Option<u16> {
    let (whole, fraction) = match value {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let (mut quality, mut digit_weight) = (u16::from(whole - b'0') * QUALITY_MAX, 100);
    for digit in fraction {
        if !digit.is_ascii_digit() {
            return None;
        }
        quality += u16::from(digit - b'0') * digit_weight;
        digit_weight /= 10;
    }
    (quality <= QUALITY_MAX).then_some(quality)
}

/// The value of a parameter that is a weight: what follows `q=`, in any case.
pub fn weight_value(parameter: &[u8]) -> Option<&[u8]> {
    match parameter {
        [b'q' | b'Q', b'=', value @ ..] => Some(value),
        _ => None,
    }
}

/// Splits a member of a list that takes no parameters but a weight, as `Accept-Encoding` and
/// `Accept-Language` are; `None` when something else stands behind the name.
#[inline]
pub fn split_weight(member: &[u8]) -> Option<(&[u8], u16)> {
    let Some(semicolon) = memchr::memchr(b';', member) else {
        return Some((member, QUALITY_MAX));
    };
    let (name, parameter) = (&member[..semicolon], &member[semicolon + 1..]);
    let quality = parse(weight_value(trim(parameter))?)?;
    Some((trim(name), quality))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 9110 §12.4.2
    #[test]
    fn quality_values() {
        let rows = [
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.0", Some(0)),
            ("0.000", Some(0)),
            ("0.001", Some(1)),
            ("0.5", Some(500)),
            ("0.05", Some(50)),
            ("0.999", Some(999)),
            ("1", Some(1000)),
            ("1.", Some(1000)),
            ("1.000", Some(1000)),
            ("1.001", None),
            ("1.5", None),
            ("0.0000", None),
            ("0.1234", None),
            ("2", None),
            ("00", None),
            ("", None),
            (".5", None),
            ("-0", None),
            ("+1", None),
            ("0,5", None),
            ("0.5 ", None),
            ("0.a", None),
            ("1e0", None),
        ];
        for (value, expected) in rows {
            assert_eq!(parse(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn weights_of_members() {
        let rows: [(&str, Option<(&str, u16)>); 11] = [
            ("gzip", Some(("gzip", 1000))),
            ("gzip;q=0.5", Some(("gzip", 500))),
            ("gzip \t;\t Q=0", Some(("gzip", 0))),
            ("*;q=0.1", Some(("*", 100))),
            ("gzip;", None),
            ("gzip;q", None),
            ("gzip;q=", None),
            ("gzip;q =1", None),
            ("gzip;q=2", None),
            ("gzip;q=1;q=0", None),
            ("gzip;level=9", None),
        ];
        for (member, expected) in rows {
            let expected = expected.map(|(name, quality)| (name.as_bytes(), quality));
            assert_eq!(split_weight(member.as_bytes()), expected, "{member}");
        }
    }

    proptest! {
        #[test]
        fn every_thousandth_is_read_as_written(quality in 0u16..=1000) {
            let value = format!("{}.{:03}", quality / 1000, quality % 1000);
            prop_assert_eq!(parse(value.as_bytes()), Some(quality));
        }

        #[test]
        fn no_quality_is_above_one(value in "[0-9.]{0,6}") {
            prop_assert!(parse(value.as_bytes()).is_none_or(|quality| quality <= QUALITY_MAX));
        }
    }
}
