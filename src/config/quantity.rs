//! Sizes, times and counts as people type them. Pure.

use std::fmt;
use std::time::Duration;

/// A number of bytes: `4096`, `64K`, `256M`, `1G`; units are powers of 1024.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(not_a_size(text)),
    };
    let number = whole_number(number).ok_or_else(|| not_a_size(text))?;
    number
        .checked_mul(factor)
        .filter(|bytes| *bytes <= i64::MAX as u64)
        .ok_or_else(|| "that is more bytes than a file can have".to_owned())
}

fn not_a_size(text: &str) -> String {
    if text.contains(['.', ',']) {
        "sizes are whole numbers; say 1536K rather than 1.5M".to_owned()
    } else {
        "a size is a whole number of bytes, or one with K, M or G behind it, as in 64K".to_owned()
    }
}

/// A span of time: `5s`, `500ms`, `2m`, `1h`, `50us`; the unit is required except for a bare `0`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split_unit(text);
    let number = whole_number(digits).ok_or_else(|| not_a_duration(text))?;
    let too_long = || "that is longer than anybody will wait".to_owned();
    let seconds = |factor: u64| {
        number
            .checked_mul(factor)
            .map(Duration::from_secs)
            .ok_or_else(too_long)
    };
    match unit {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "" if number == 0 => Ok(Duration::ZERO),
        _ => Err(not_a_duration(text)),
    }
}

fn not_a_duration(text: &str) -> String {
    if text.contains(['.', ',']) {
        "times are whole numbers; say 1500ms rather than 1.5s".to_owned()
    } else {
        "a time is a whole number with us, ms, s, m or h behind it, as in 500ms or 5s".to_owned()
    }
}

/// A whole number of things, at least one.
pub fn count(text: &str) -> Result<u64, String> {
    match whole_number(text) {
        Some(0) => Err("it must be at least 1".to_owned()),
        Some(number) => Ok(number),
        None => Err("it is a whole number, as in 4".to_owned()),
    }
}

/// Digits only: no sign, no blank, no separator.
fn whole_number(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A value that may also be `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrOff<T>(pub Option<T>);

impl<T> OrOff<T> {
    /// Reads `off`, or whatever `parse` reads.
    pub fn parse(
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<OrOff<T>, String> {
        match text {
            "off" => Ok(OrOff(None)),
            _ => parse(text)
                .map(|value| OrOff(Some(value)))
                .map_err(|why| format!("{why}, or off")),
        }
    }
}

/// A value that may also be `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrAuto<T>(pub Option<T>);

impl<T> OrAuto<T> {
    /// Reads `auto`, or whatever `parse` reads.
    pub fn parse(
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<OrAuto<T>, String> {
        match text {
            "auto" => Ok(OrAuto(None)),
            _ => parse(text)
                .map(|value| OrAuto(Some(value)))
                .map_err(|why| format!("{why}, or auto")),
        }
    }
}

/// Shows a number of bytes as [`size`] reads it, in the largest unit that keeps it whole.
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "G"), (20, "M"), (10, "K")];
        for (shift, unit) in units {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(out, "{}{unit}", self.0 >> shift);
            }
        }
        write!(out, "{}", self.0)
    }
}

/// Shows a time as [`duration`] reads it, in the largest unit that keeps it whole.
pub struct Time(pub Duration);

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        let units = [
            (3_600_000_000, "h"),
            (60_000_000, "m"),
            (1_000_000, "s"),
            (1_000, "ms"),
        ];
        if micros == 0 {
            return out.write_str("0s");
        }
        for (factor, unit) in units {
            if micros.is_multiple_of(factor) {
                return write!(out, "{}{unit}", micros / factor);
            }
        }
        write!(out, "{micros}us")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4096B", 4096),
            ("64K", 65_536),
            ("64k", 65_536),
            ("64KiB", 65_536),
            ("64KB", 65_536),
            ("256M", 256 << 20),
            ("1G", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn odd_sizes_are_refused_with_a_sentence() {
        assert!(size("1.5M").unwrap_err().contains("1536K"));
        for text in [
            "", "K", "-1", "+1", "1 K", " 1", "0x10", "1T5", "1KK", "64Ki", "١",
        ] {
            assert!(size(text).unwrap_err().contains("64K"), "{text}");
        }
        assert!(size("99999999999999999999").is_err());
        assert!(size("9999999999G").unwrap_err().contains("more bytes"));
    }

    #[test]
    fn times_need_a_unit() {
        for (text, micros) in [
            ("0", 0),
            ("0s", 0),
            ("50us", 50),
            ("500ms", 500_000),
            ("5s", 5_000_000),
            ("2m", 120_000_000),
            ("1h", 3_600_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        assert!(duration("1.5s").unwrap_err().contains("1500ms"));
        for text in ["", "5", "s", "-5s", "5 s", "5S", "5sec", "5d"] {
            assert!(duration(text).unwrap_err().contains("500ms"), "{text}");
        }
        assert!(duration("9999999999999999h").unwrap_err().contains("wait"));
    }

    #[test]
    fn counts_start_at_one() {
        assert_eq!(count("7"), Ok(7));
        assert!(count("0").unwrap_err().contains("at least 1"));
        assert!(count("two").unwrap_err().contains("whole number"));
    }

    #[test]
    fn off_and_auto_are_words_beside_the_value() {
        assert_eq!(OrOff::parse("off", size), Ok(OrOff(None)));
        assert_eq!(OrOff::parse("8K", size), Ok(OrOff(Some(8192))));
        assert!(OrOff::parse("on", size).unwrap_err().ends_with("or off"));
        assert_eq!(OrAuto::parse("auto", count), Ok(OrAuto(None)));
        assert_eq!(OrAuto::parse("3", count), Ok(OrAuto(Some(3))));
        assert!(OrAuto::parse("0", count).unwrap_err().ends_with("or auto"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes in 0..i64::MAX as u64, micros in 0u64..1 << 50) {
            prop_assert_eq!(size(&Bytes(bytes).to_string()), Ok(bytes));
            let time = Duration::from_micros(micros);
            prop_assert_eq!(duration(&Time(time).to_string()), Ok(time));
        }

        #[test]
        fn any_unit_multiplies_exactly(number in 0u64..1 << 20, shift in 0u32..4) {
            let unit = ["", "K", "M", "G"][shift as usize];
            prop_assert_eq!(size(&format!("{number}{unit}")), Ok(number << (10 * shift)));
        }

        #[test]
        fn any_text_is_answered_without_a_panic(text in "\\PC{0,24}") {
            let _ = (size(&text), duration(&text), count(&text));
        }
    }
}
