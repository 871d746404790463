//! Parsers of the values of flags that are no plain sizes, times or counts. Pure.
//!
//! Each gives a sentence that goes behind `--flag does not take "value"; `.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::builder::Resettable;

use super::quantity::{OrAuto, OrOff, count, duration, size};
use super::serve_args::UnknownHost;
use crate::base::limits;
use crate::route::site::{CleanUrls, TrailingSlash};

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("it is true or false".to_owned()),
    }
}

pub(super) fn log_level(text: &str) -> Result<log::LevelFilter, String> {
    match text {
        "warning" => Ok(log::LevelFilter::Warn),
        _ => text
            .parse()
            .map_err(|_| "the levels are error, warn, info, debug, trace and off".to_owned()),
    }
}

pub(super) fn within<T>(value: T, low: T, high: T, sentence: &str) -> Result<T, String>
where
    T: PartialOrd,
{
    if value < low || value > high {
        return Err(sentence.to_owned());
    }
    Ok(value)
}

/// `value`, when it is a power of two; otherwise the nearest ones are named.
fn power_of_two(value: u64) -> Result<u64, String> {
    if value.is_power_of_two() {
        return Ok(value);
    }
    let above = value.next_power_of_two();
    let below = above / 2;
    // The nearer one is named; from the middle, the larger.
    let nearest = if value - below < above - value {
        below
    } else {
        above
    };
    Err(format!(
        "it must be a power of two; the nearest is {nearest}"
    ))
}

pub(super) fn backlog(text: &str) -> Result<u32, String> {
    let backlog = count(text)?;
    within(backlog, 1, 1 << 20, "it lies between 1 and 1048576").map(|count| count as u32)
}

pub(super) fn cache_files(text: &str) -> Result<u64, String> {
    within(count(text)?, 1, 1 << 30, "it lies between 1 and 1073741824")
}

pub(super) fn max_connections(text: &str) -> Result<OrAuto<u64>, String> {
    OrAuto::parse(text, count)
}

pub(super) fn workers(text: &str) -> Result<OrAuto<usize>, String> {
    let most = limits::WORKERS_MAX;
    OrAuto::parse(text, |text| {
        let workers = usize::try_from(count(text)?).unwrap_or(usize::MAX);
        within(workers, 1, most, &format!("it is at most {most}"))
    })
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let (least, most) = (limits::TICK, limits::TIMEOUT_MAX);
    within(
        duration(text)?,
        least,
        most,
        "it lies between 100ms and 24h",
    )
}

pub(super) fn grace_period(text: &str) -> Result<Duration, String> {
    let most = limits::TIMEOUT_MAX;
    within(duration(text)?, Duration::ZERO, most, "it is at most 24h")
}

pub(super) fn max_head_bytes(text: &str) -> Result<usize, String> {
    within(size(text)?, 1 << 10, 1 << 20, "it lies between 1K and 1M").map(|bytes| bytes as usize)
}

pub(super) fn ring_entries(text: &str) -> Result<u32, String> {
    let entries = within(count(text)?, 16, 1 << 15, "it lies between 16 and 32768")?;
    power_of_two(entries).map(|entries| entries as u32)
}

pub(super) fn recv_buffers(text: &str) -> Result<u16, String> {
    let buffers = within(count(text)?, 4, 1 << 15, "it lies between 4 and 32768")?;
    power_of_two(buffers).map(|buffers| buffers as u16)
}

pub(super) fn recv_buffer_bytes(text: &str) -> Result<u32, String> {
    within(size(text)?, 512, 1 << 20, "it lies between 512 and 1M").map(|bytes| bytes as u32)
}

pub(super) fn zero_copy_min(text: &str) -> Result<OrOff<usize>, String> {
    OrOff::parse(text, |text| {
        within(size(text)?, 1, 1 << 30, "it lies between 1 and 1G").map(|bytes| bytes as usize)
    })
}

pub(super) fn busy_poll(text: &str) -> Result<OrOff<Duration>, String> {
    let (least, most) = (Duration::from_micros(1), Duration::from_millis(100));
    OrOff::parse(text, |text| {
        within(
            duration(text)?,
            least,
            most,
            "it lies between 1us and 100ms",
        )
    })
}

pub(super) fn sqpoll(text: &str) -> Result<OrOff<Duration>, String> {
    let (least, most) = (Duration::from_millis(1), Duration::from_secs(60));
    OrOff::parse(text, |text| {
        within(duration(text)?, least, most, "it lies between 1ms and 60s")
    })
}

/// `--watch`: true for auto.
pub(super) fn watch(text: &str) -> Result<bool, String> {
    match text {
        "auto" => Ok(true),
        "off" => Ok(false),
        _ => Err("say auto or off".to_owned()),
    }
}

pub(super) fn unknown_host(text: &str) -> Result<UnknownHost, String> {
    match text {
        "default" => Ok(UnknownHost::Default),
        "421" => Ok(UnknownHost::Misdirected),
        _ => Err("say default or 421".to_owned()),
    }
}

/// A time that deploys and maintenance take.
pub(super) fn days(text: &str) -> Result<Duration, String> {
    let most = limits::LONG_TIME_MAX;
    within(duration(text)?, Duration::ZERO, most, "it is at most 720h")
}

pub(super) fn clean_urls(text: &str) -> Result<CleanUrls, String> {
    match text {
        "off" | "false" => Ok(CleanUrls::Off),
        "serve" | "true" => Ok(CleanUrls::Serve),
        "redirect" => Ok(CleanUrls::Redirect),
        _ => Err("say off, serve or redirect".to_owned()),
    }
}

pub(super) fn trailing_slash(text: &str) -> Result<TrailingSlash, String> {
    match text {
        "add" => Ok(TrailingSlash::Add),
        "remove" => Ok(TrailingSlash::Remove),
        "ignore" => Ok(TrailingSlash::Ignore),
        _ => Err("say add, remove or ignore".to_owned()),
    }
}

/// `--not-acceptable`: true for 406.
pub(super) fn not_acceptable(text: &str) -> Result<bool, String> {
    match text {
        "serve" => Ok(false),
        "406" => Ok(true),
        _ => Err("say serve or 406".to_owned()),
    }
}

/// Holds one text against the parser of its flag. The fault is the parser's sentence.
pub(super) fn check(flag: &clap::Arg, text: &OsStr) -> Result<(), String> {
    let flag = flag.clone().env(Resettable::Reset);
    let mut word = match flag.get_long() {
        Some(long) => OsString::from(format!("--{long}=")),
        None => OsString::new(), // The directory's place.
    };
    word.push(text);
    let command = clap::Command::new("downpour")
        .no_binary_name(true)
        .disable_help_flag(true)
        .arg(flag);
    match command.try_get_matches_from([word]) {
        Ok(_) => Ok(()),
        Err(error) => match error.source() {
            Some(why) => Err(why.to_string()),
            None => Err("that is no value for it".to_owned()),
        },
    }
}
