//! The order of names that people expect: numbers by their value, letters whatever their case.
//!
//! Case is folded for ASCII only; a full collation depends on the reader's language, which a
//! cached page cannot know.

use std::cmp::Ordering;

/// Compares two names: `file2` before `file10`, `a` with `A`. Equal does not mean the same bytes.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(first), Some(second)) = (a.first(), b.first()) else {
            return a.len().cmp(&b.len());
        };
        if first.is_ascii_digit() && second.is_ascii_digit() {
            let (number_a, number_b) = (take_number(&mut a), take_number(&mut b));
            // Without zeros in front the longer number is the larger one.
            let values = number_a.len().cmp(&number_b.len());
            match values.then_with(|| number_a.cmp(number_b)) {
                Ordering::Equal => continue,
                different => return different,
            }
        }
        match first.to_ascii_lowercase().cmp(&second.to_ascii_lowercase()) {
            Ordering::Equal => (a, b) = (&a[1..], &b[1..]),
            different => return different,
        }
    }
}

/// Takes the digits in front, and returns them without zeros in front.
fn take_number<'a>(name: &mut &'a [u8]) -> &'a [u8] {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let end = name.iter().position(|byte| !is_digit(byte));
    let (digits, rest) = name.split_at(end.unwrap_or(name.len()));
    *name = rest;
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_compare_as_people_expect() {
        use Ordering::{Equal, Greater, Less};
        let rows = [
            ("file2", "file10", Less),
            ("file02", "file2", Equal),
            ("file02", "file10", Less),
            ("File", "file", Equal),
            ("a", "B", Less),
            ("Z", "a", Greater),
            ("1.9.0", "1.10.0", Less),
            ("a1b2", "a1b10", Less),
            ("a", "a1", Less),
            ("", "a", Less),
            ("0", "00", Equal),
            ("0", "1", Less),
            ("99999999999999999999999", "100000000000000000000000", Less),
            ("1a", "1", Greater),
            ("10", "a", Less),
            ("_", "1", Greater),
            ("ä", "z", Greater),
            ("2024-01-09", "2024-01-10", Less),
        ];
        for (a, b, expected) in rows {
            assert_eq!(compare(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            let reversed = compare(b.as_bytes(), a.as_bytes());
            assert_eq!(reversed, expected.reverse(), "{b} {a}");
        }
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            Just(b'0'),
            Just(b'1'),
            Just(b'9'),
            Just(b'a'),
            Just(b'A'),
            any::<u8>()
        ];
        proptest::collection::vec(byte, 0..8)
    }

    proptest! {
        /// A sort may panic over an order that is none.
        #[test]
        fn it_is_an_order(a in name(), b in name(), c in name()) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            let mut sorted = [a, b, c];
            sorted.sort_by(|x, y| compare(x, y));
            prop_assert!(compare(&sorted[0], &sorted[1]).is_le());
            prop_assert!(compare(&sorted[1], &sorted[2]).is_le());
            prop_assert!(compare(&sorted[0], &sorted[2]).is_le());
        }
    }
}
