//! Sizes, counts and times as people and programs read them, appended without allocation.

/// Appends a size with its unit, in powers of 1000: `512 B`, `1.2 kB`, `12.3 MB`, `123 MB`.
pub fn push_size(out: &mut Vec<u8>, bytes: u64) {
    const UNITS: [&[u8]; 6] = [b" kB", b" MB", b" GB", b" TB", b" PB", b" EB"];
    if bytes < 1000 {
        push_decimal(out, bytes);
        return out.extend_from_slice(b" B");
    }
    let mut unit_bytes: u64 = 1000;
    for (position, name) in UNITS.iter().enumerate() {
        let is_last = position == UNITS.len() - 1;
        let tenths = rounded(bytes, unit_bytes / 10);
        if tenths < 1000 {
            push_decimal(out, tenths / 10);
            out.extend_from_slice(&[b'.', b'0' + (tenths % 10) as u8]);
            return out.extend_from_slice(name);
        }
        let whole = rounded(bytes, unit_bytes);
        if whole < 1000 || is_last {
            push_decimal(out, whole);
            return out.extend_from_slice(name);
        }
        unit_bytes *= 1000;
    }
}

/// `bytes / unit`, to the nearest; half a unit is rounded up.
fn rounded(bytes: u64, unit: u64) -> u64 {
    bytes / unit + u64::from(bytes % unit >= unit.div_ceil(2))
}

/// Appends a number.
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return out.extend_from_slice(&digits[start..]);
        }
    }
}

/// Appends a number with a comma before each three digits: `12,345`.
pub fn push_grouped(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 26];
    let mut start = digits.len();
    let mut rest = number;
    for place in 0.. {
        if place > 0 && place % 3 == 0 {
            start -= 1;
            digits[start] = b',';
        }
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Bytes of a time such as `2026-11-25T04:23:29Z`.
pub const TIME_BYTES: usize = 20;

/// The first second of the year 1 and the last of 9999: all that four digits and HTML can say.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A time in UTC (RFC 3339), from seconds since 1970-01-01; what four digits cannot say is moved
/// to the nearest that they can.
pub fn time(unix: i64) -> [u8; TIME_BYTES] {
    const DAY: i64 = 24 * 60 * 60;
    let unix = unix.clamp(*SECONDS.start(), *SECONDS.end());
    let (year, month, day) = date_of_day(unix.div_euclid(DAY));
    let second = unix.rem_euclid(DAY) as u32;
    let mut text = *b"0000-00-00T00:00:00Z";
    for (at, value) in [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, second / 3600),
        (14, second / 60 % 60),
        (17, second % 60),
    ] {
        text[at] += (value / 10) as u8;
        text[at + 1] += (value % 10) as u8;
    }
    text
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counts from March 1st, so that the day that comes and goes is the year's last, and in eras of
/// 400 years, after which the calendar repeats: Howard Hinnant's `civil_from_days`.
fn date_of_day(day: i64) -> (u32, u32, u32) {
    const ERA_DAYS: i64 = 146_097;
    let day = day + 719_468; // From 0000-03-01.
    let era = day.div_euclid(ERA_DAYS);
    let of_era = day.rem_euclid(ERA_DAYS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as u32, month as u32, day_of_month as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(push: fn(&mut Vec<u8>, u64), number: u64) -> String {
        let mut out = Vec::new();
        push(&mut out, number);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn sizes_are_short_and_rounded() {
        let rows = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1049, "1.0 kB"),
            (1050, "1.1 kB"),
            (12_345, "12.3 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (123_456, "123 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1_500_000_000, "1.5 GB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (bytes, expected) in rows {
            assert_eq!(text(push_size, bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let rows = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (number, expected) in rows {
            assert_eq!(text(push_grouped, number), expected);
        }
        assert_eq!(text(push_grouped, u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn times_are_dates_of_the_calendar() {
        let rows = [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (784_111_777, "1994-11-06T08:49:37Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0001-01-01T00:00:00Z"),
        ];
        for (unix, expected) in rows {
            assert_eq!(str::from_utf8(&time(unix)).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn times_agree_with_the_dates_of_http(unix in 0..253_402_300_800_u64) {
            let ours = time(unix as i64);
            let http = crate::http::date::format(unix);
            prop_assert_eq!(&ours[..4], &http[12..16]);
            prop_assert_eq!(&ours[8..10], &http[5..7]);
            prop_assert_eq!(&ours[11..19], &http[17..25]);
        }

        #[test]
        fn numbers_read_back(number: u64) {
            prop_assert_eq!(text(push_decimal, number), number.to_string());
            prop_assert_eq!(text(push_grouped, number).replace(',', ""), number.to_string());
        }
    }
}
