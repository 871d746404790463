//! The flags: one definition for parsing, help and environment variables.
//!
//! A value that is wrong by itself is refused here, by its parser; what contradicts another flag or
//! the machine is refused in `checked.rs`.
#![allow(rustdoc::broken_intra_doc_links)] // Help is read in a terminal: [::] is an address.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::cpus::CpuList;
use super::quantity::{OrAuto, OrOff, count, duration, size};
use super::tls_args::TlsArgs;
use super::usage::Refusal;
use super::{Listen, PrecompressArgs, StartError, listen};
use crate::base::limits;
use crate::engine::EngineChoice;

const SERVE_EXAMPLES: &str = "\
Every flag is an environment variable too: --cache-size is DOWNPOUR_CACHE_SIZE,
ROOT is DOWNPOUR_ROOT. A flag wins over its variable. Where a flag may be
repeated, its variable takes a list separated by blanks or commas.
Sizes are bytes, or K, M and G as powers of 1024. Times need a unit: us, ms, s,
m or h. What can be switched on can be said in three ways: --quiet, --quiet=true,
--quiet true.

Examples:
  downpour serve                             the welcome page at http://localhost:8080
  downpour serve ./public -p 3000            one directory at port 3000
  downpour serve /srv/www --listen 127.0.0.1:8080 --listen unix:/run/downpour.sock
  downpour serve /srv/www --workers 1 --cpus 0 --engine io-uring
  downpour serve ./public --tls-listen [::]:8443 --self-signed
  downpour serve /srv/www --tls-listen [::]:443 --tls-cert a.pem --tls-key a.key \
      --port 80 --https-redirect";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "downpour",
    version,
    about = "An io_uring web server for Linux",
    max_term_width = 100,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// What the binary is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a directory over HTTP
    #[command(after_help = SERVE_EXAMPLES, allow_negative_numbers = true)]
    Serve(Box<ServeArgs>),
    /// Say what this machine gives to each engine, and what to change
    ///
    /// Prints what the kernel offers to each engine, the limits that will hurt, and a remedy for
    /// each. Needs no root, changes nothing, and exits with 0 whether or not it finds a weakness.
    Doctor,
    /// Make compressed forms of a site's files beside them, before they are served
    ///
    /// Makes page.html.br, page.html.zst and page.html.gz of page.html and of whatever else is
    /// worth it, as small as they get. A form that has the time of its source is current and stays.
    /// Ctrl-C leaves nothing half done.
    Precompress(PrecompressArgs),
}

/// The flags of `downpour serve`, each right by itself.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The directory to serve [default: a welcome page]
    #[arg(value_name = "ROOT", env = "DOWNPOUR_ROOT", hide_env = true)]
    pub root: Option<PathBuf>,

    /// File that stands for its directory; repeat it for more, the first that exists is sent
    #[arg(
        long,
        value_name = "NAME",
        default_value = "index.html",
        help_heading = "Site"
    )]
    #[arg(env = "DOWNPOUR_INDEX", hide_env = true)]
    pub index: Vec<String>,

    /// Where to listen: ADDRESS:PORT, unix:/path or fd:N (a listening socket that is already open);
    /// repeatable. Port 0 takes a free one [default: [::]:8080, for IPv4 and IPv6]
    #[arg(long, value_name = "WHERE", help_heading = "Network")]
    #[arg(env = "DOWNPOUR_LISTEN", hide_env = true)]
    pub listen: Vec<String>,

    /// Short for --listen [::]:PORT; adds to --listen
    #[arg(short, long, value_name = "PORT", help_heading = "Network")]
    #[arg(env = "DOWNPOUR_PORT", hide_env = true)]
    pub port: Vec<String>,

    /// Connections that may wait to be accepted, on each listening socket; more rides out bursts of
    /// new connections, up to net.core.somaxconn
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "4096",
        help_heading = "Network"
    )]
    #[arg(env = "DOWNPOUR_BACKLOG", hide_env = true, value_parser = backlog)]
    pub backlog: u32,

    /// Connections at a time; auto: what the limit of open files allows
    #[arg(
        long,
        value_name = "COUNT|auto",
        default_value = "auto",
        help_heading = "Network"
    )]
    #[arg(env = "DOWNPOUR_MAX_CONNECTIONS", hide_env = true, value_parser = max_connections)]
    pub max_connections: OrAuto<u64>,

    #[command(flatten)]
    pub tls: TlsArgs,

    /// Threads that serve, each with its own ring and connections; auto: one for each processor
    /// that this process may use. Fewer leave processors to others
    #[arg(
        long,
        value_name = "COUNT|auto",
        default_value = "auto",
        help_heading = "Workers"
    )]
    #[arg(env = "DOWNPOUR_WORKERS", hide_env = true, value_parser = workers)]
    pub workers: OrAuto<usize>,

    /// Pin workers to these processors in turn, as in 0 or 0-3,6; steadier latencies on a machine
    /// that does nothing else. Without --workers: one worker for each
    #[arg(long, value_name = "LIST", help_heading = "Workers")]
    #[arg(env = "DOWNPOUR_CPUS", hide_env = true)]
    pub cpus: Option<CpuList>,

    /// Engine: auto, io-uring, epoll or tokio-uring; auto is io-uring where the kernel allows it,
    /// else epoll. `downpour doctor` says which and why
    #[arg(
        long,
        value_name = "NAME",
        default_value = "auto",
        help_heading = "Workers"
    )]
    #[arg(env = "DOWNPOUR_ENGINE", hide_env = true)]
    pub engine: EngineChoice,

    /// Bytes of files held in memory by all workers together; 0 turns the cache off
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "256M",
        help_heading = "Cache and files"
    )]
    #[arg(env = "DOWNPOUR_CACHE_SIZE", hide_env = true, value_parser = size)]
    pub cache_size: u64,

    /// Largest file that is cached; larger ones are read each time, or sent by sendfile
    /// [default: 64K]
    #[arg(long, value_name = "SIZE", help_heading = "Cache and files")]
    #[arg(env = "DOWNPOUR_CACHE_ENTRY_MAX", hide_env = true, value_parser = size)]
    pub cache_entry_max: Option<u64>,

    /// Files of this size and more go from the page cache to the socket by sendfile and are never
    /// cached here
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64K",
        help_heading = "Cache and files"
    )]
    #[arg(env = "DOWNPOUR_SENDFILE_MIN", hide_env = true, value_parser = size)]
    pub sendfile_min: u64,

    /// Idle time between two requests after which a connection is closed
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        help_heading = "Limits"
    )]
    #[arg(env = "DOWNPOUR_KEEPALIVE_TIMEOUT", hide_env = true, value_parser = timeout)]
    pub keepalive_timeout: Duration,

    /// Time for a whole request head to arrive; short ones stop slow attackers
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        help_heading = "Limits"
    )]
    #[arg(env = "DOWNPOUR_HEADER_TIMEOUT", hide_env = true, value_parser = timeout)]
    pub header_timeout: Duration,

    /// Time in which a peer takes no byte of its answer, after which it is given up
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30s",
        help_heading = "Limits"
    )]
    #[arg(env = "DOWNPOUR_SEND_TIMEOUT", hide_env = true, value_parser = timeout)]
    pub send_timeout: Duration,

    /// Time between SIGTERM and the end for answers that are on their way; 0s waits for none
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        help_heading = "Limits"
    )]
    #[arg(env = "DOWNPOUR_GRACE_PERIOD", hide_env = true, value_parser = grace_period)]
    pub grace_period: Duration,

    /// Largest request head, 1K to 1M; a larger one is answered with 431
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "32K",
        help_heading = "Limits"
    )]
    #[arg(env = "DOWNPOUR_MAX_HEAD_BYTES", hide_env = true, value_parser = max_head_bytes)]
    pub max_head_bytes: usize,

    /// Entries of a worker's submission queue, a power of two; more batches more work in one system
    /// call under many connections
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "512",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_RING_ENTRIES", hide_env = true, value_parser = ring_entries)]
    pub ring_entries: u32,

    /// Receive buffers of a worker, a power of two, shared by its connections; fewer stay in the
    /// processor's cache, more take large bursts at once
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "128",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_RECV_BUFFERS", hide_env = true, value_parser = recv_buffers)]
    pub recv_buffers: u16,

    /// Bytes of one receive buffer, 512 to 1M; most request heads should fit into one
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "4K",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_RECV_BUFFER_BYTES", hide_env = true, value_parser = recv_buffer_bytes)]
    pub recv_buffer_bytes: u32,

    /// Send at least so many bytes without a copy; may pay on a real network card, never on
    /// loopback
    #[arg(
        long,
        value_name = "SIZE|off",
        default_value = "off",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_ZERO_COPY_MIN", hide_env = true, value_parser = zero_copy_min)]
    pub zero_copy_min: OrOff<usize>,

    /// Poll the network card for so long before sleeping, as in 50us; trades processor time for
    /// latency
    #[arg(
        long,
        value_name = "TIME|off",
        default_value = "off",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_BUSY_POLL", hide_env = true, value_parser = busy_poll)]
    pub busy_poll: OrOff<Duration>,

    /// Let a kernel thread take submissions until idle for so long, as in 100ms; needs a processor
    /// of its own for each worker
    #[arg(
        long,
        value_name = "TIME|off",
        default_value = "off",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_SQPOLL", hide_env = true, value_parser = sqpoll)]
    pub sqpoll: OrOff<Duration>,

    /// Least weight of a log line: error, warn, info, debug, trace or off
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "Log"
    )]
    #[arg(env = "DOWNPOUR_LOG_LEVEL", hide_env = true, value_parser = log_level)]
    pub log_level: log::LevelFilter,

    /// Print no start line and nothing below a warning
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "false",
        help_heading = "Log"
    )]
    #[arg(env = "DOWNPOUR_QUIET", hide_env = true, value_parser = boolean, action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(hide_default_value = true)]
    pub quiet: bool,
}

impl ServeArgs {
    /// The places of `--listen` and `--port`, in that order; empty when neither is given.
    pub fn places(&self) -> Result<Vec<Listen>, StartError> {
        let mut places = read_places("--listen", &self.listen)?;
        for text in &self.port {
            let port = listen::port(text).map_err(|why| refuse("--port", text, why))?;
            places.push(Listen::Everywhere { port });
        }
        Ok(places)
    }

    /// The places of `--tls-listen`.
    pub fn tls_places(&self) -> Result<Vec<Listen>, StartError> {
        read_places("--tls-listen", &self.tls.tls_listen)
    }
}

fn read_places(flag: &str, texts: &[String]) -> Result<Vec<Listen>, StartError> {
    let read = |text: &String| text.parse().map_err(|why| refuse(flag, text, why));
    texts.iter().map(read).collect()
}

fn refuse(flag: &str, value: &str, why: String) -> StartError {
    StartError::usage(format!("{flag} does not take {value:?}"), why)
}

/// The definition of every command and flag, from which `docs/flags.md` is written.
pub fn definition() -> clap::Command {
    CommandLine::command()
}

/// Reads the command line, whose first word is the program's name, and the environment.
pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Command, Refusal> {
    let definition = definition();
    let words = join_booleans(&definition, words.into_iter().collect());
    let matches = definition
        .try_get_matches_from(words)
        .map_err(Refusal::from)?;
    let mut line = CommandLine::from_arg_matches(&matches).map_err(Refusal::from)?;
    if let (Command::Serve(args), Some(matches)) =
        (&mut line.command, matches.subcommand_matches("serve"))
    {
        split_variable(matches, "listen", &mut args.listen);
        split_variable(matches, "port", &mut args.port);
        split_variable(matches, "index", &mut args.index);
        split_variable(matches, "tls_listen", &mut args.tls.tls_listen);
        split_variable(matches, "tls_cert", &mut args.tls.tls_cert);
        split_variable(matches, "tls_key", &mut args.tls.tls_key);
        split_variable(matches, "self_signed", &mut args.tls.self_signed);
        split_variable(matches, "tls_ticket_keys", &mut args.tls.tls_ticket_keys);
    }
    Ok(line.command)
}

/// `--quiet false` becomes `--quiet=false`, so that `--quiet ./site` still names a directory.
fn join_booleans(definition: &clap::Command, words: Vec<OsString>) -> Vec<OsString> {
    let is_boolean = |word: &str| {
        definition
            .get_subcommands()
            .flat_map(clap::Command::get_arguments)
            .filter(|flag| flag.is_require_equals_set())
            .filter_map(clap::Arg::get_long)
            .any(|long| word.strip_prefix("--") == Some(long))
    };
    let mut joined: Vec<OsString> = Vec::with_capacity(words.len());
    let mut flags_end = false;
    for word in words {
        let is_value = matches!(word.to_str(), Some("true" | "false"));
        let before = joined.last().and_then(|last| last.to_str());
        if is_value && !flags_end && before.is_some_and(is_boolean) {
            let flag = joined.last_mut().expect("there is a word before this one");
            flag.push("=");
            flag.push(word);
            continue;
        }
        flags_end |= word == "--";
        joined.push(word);
    }
    joined
}

/// A variable holds a list in one string, a repeatable flag one value each time.
fn split_variable(matches: &ArgMatches, id: &str, values: &mut Vec<String>) {
    if matches.value_source(id) != Some(ValueSource::EnvVariable) {
        return;
    }
    *values = values
        .iter()
        .flat_map(|list| list.split([' ', ',', '\t', '\n']))
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect();
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("it is true or false".to_owned()),
    }
}

fn log_level(text: &str) -> Result<log::LevelFilter, String> {
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

fn backlog(text: &str) -> Result<u32, String> {
    let backlog = count(text)?;
    within(backlog, 1, 1 << 20, "it lies between 1 and 1048576").map(|count| count as u32)
}

fn max_connections(text: &str) -> Result<OrAuto<u64>, String> {
    OrAuto::parse(text, count)
}

fn workers(text: &str) -> Result<OrAuto<usize>, String> {
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

fn grace_period(text: &str) -> Result<Duration, String> {
    let most = limits::TIMEOUT_MAX;
    within(duration(text)?, Duration::ZERO, most, "it is at most 24h")
}

fn max_head_bytes(text: &str) -> Result<usize, String> {
    within(size(text)?, 1 << 10, 1 << 20, "it lies between 1K and 1M").map(|bytes| bytes as usize)
}

fn ring_entries(text: &str) -> Result<u32, String> {
    let entries = within(count(text)?, 16, 1 << 15, "it lies between 16 and 32768")?;
    power_of_two(entries).map(|entries| entries as u32)
}

fn recv_buffers(text: &str) -> Result<u16, String> {
    let buffers = within(count(text)?, 4, 1 << 15, "it lies between 4 and 32768")?;
    power_of_two(buffers).map(|buffers| buffers as u16)
}

fn recv_buffer_bytes(text: &str) -> Result<u32, String> {
    within(size(text)?, 512, 1 << 20, "it lies between 512 and 1M").map(|bytes| bytes as u32)
}

fn zero_copy_min(text: &str) -> Result<OrOff<usize>, String> {
    OrOff::parse(text, |text| {
        within(size(text)?, 1, 1 << 30, "it lies between 1 and 1G").map(|bytes| bytes as usize)
    })
}

fn busy_poll(text: &str) -> Result<OrOff<Duration>, String> {
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

fn sqpoll(text: &str) -> Result<OrOff<Duration>, String> {
    let (least, most) = (Duration::from_millis(1), Duration::from_secs(60));
    OrOff::parse(text, |text| {
        within(duration(text)?, least, most, "it lies between 1ms and 60s")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<ServeArgs, Refusal> {
        let words = ["downpour", "serve"].iter().chain(words);
        match read(words.map(OsString::from))? {
            Command::Serve(args) => Ok(*args),
            _ => unreachable!("the first word is serve"),
        }
    }

    fn refusal(words: &[&str]) -> String {
        match parse(words) {
            Err(Refusal::Wrong(error)) => error.to_string(),
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound_and_every_flag_has_its_variable() {
        let definition = CommandLine::command();
        definition.clone().debug_assert();
        let serve = definition.find_subcommand("serve").unwrap();
        let mut flags = 0;
        for flag in serve.get_arguments() {
            let Some(long) = flag.get_long() else {
                continue;
            };
            let variable = format!("DOWNPOUR_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(flag.get_env().unwrap().to_str(), Some(&*variable));
            assert!(
                flag.get_help().is_some() && flag.get_help_heading().is_some(),
                "{long}"
            );
            flags += 1;
        }
        assert_eq!(flags, 40);
    }

    #[test]
    fn a_negative_number_is_a_wrong_value_and_no_flag() {
        let sentence = refusal(&["--cache-size", "-1"]);
        assert!(
            sentence.contains("--cache-size does not take \"-1\""),
            "{sentence}"
        );
    }

    #[test]
    fn the_defaults_in_the_help_are_those_of_the_limits() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.backlog, limits::BACKLOG_DEFAULT);
        assert_eq!(args.cache_size, limits::CACHE_BYTES_DEFAULT);
        assert_eq!(args.sendfile_min, limits::SENDFILE_BYTES_DEFAULT);
        assert_eq!(
            limits::CACHE_ENTRY_BYTES_DEFAULT,
            64 << 10,
            "as the help says"
        );
        assert_eq!(args.keepalive_timeout, limits::KEEPALIVE_TIMEOUT_DEFAULT);
        assert_eq!(args.header_timeout, limits::HEADER_TIMEOUT_DEFAULT);
        assert_eq!(args.send_timeout, limits::SEND_TIMEOUT_DEFAULT);
        assert_eq!(args.grace_period, limits::GRACE_PERIOD_DEFAULT);
        assert_eq!(args.max_head_bytes, limits::HEAD_BYTES_DEFAULT);
        assert_eq!(
            args.tls.handshake_timeout,
            limits::HANDSHAKE_TIMEOUT_DEFAULT
        );
        assert_eq!(args.tls.max_handshakes, limits::HANDSHAKES_DEFAULT);
        assert_eq!(args.tls.http2_max_streams, limits::H2_STREAMS_DEFAULT);
        let engine = crate::engine::EngineSettings::default();
        assert_eq!(args.ring_entries, engine.ring_entries);
        assert_eq!(args.recv_buffers, engine.recv_buffers);
        assert_eq!(args.recv_buffer_bytes, engine.recv_buffer_bytes);
        assert_eq!(args.zero_copy_min.0, engine.zero_copy_min);
        assert_eq!(args.busy_poll.0, engine.busy_poll);
        assert_eq!(args.sqpoll.0, engine.sqpoll);
    }

    #[test]
    fn a_boolean_is_said_in_any_of_its_ways() {
        for (words, quiet) in [
            (&[][..], false),
            (&["--quiet"][..], true),
            (&["--quiet=true"][..], true),
            (&["--quiet", "true"][..], true),
            (&["--quiet=false"][..], false),
            (&["--quiet", "false"][..], false),
        ] {
            assert_eq!(parse(words).unwrap().quiet, quiet, "{words:?}");
        }
        let args = parse(&["--quiet", "./site"]).unwrap();
        assert!(args.quiet);
        assert_eq!(args.root, Some("./site".into()));
        let args = parse(&["--quiet", "--", "true"]).unwrap();
        assert!(args.quiet);
        assert_eq!(args.root, Some("true".into()));
    }

    #[test]
    fn repeated_places_keep_their_order() {
        let words = ["-p", "80", "--listen", "unix:/a", "--listen=fd:3", "-p81"];
        let places = parse(&words).unwrap().places().unwrap();
        let shown: Vec<String> = places.iter().map(Listen::to_string).collect();
        assert_eq!(shown, ["unix:/a", "fd:3", "[::]:80", "[::]:81"]);
    }

    #[test]
    fn wrong_values_name_the_flag_and_the_way_out() {
        for (words, parts) in [
            (&["--workers", "0"][..], &["--workers", "at least 1"][..]),
            (&["--workers", "9999"], &["--workers", "at most 1024"]),
            (
                &["--recv-buffers", "100"],
                &["--recv-buffers", "the nearest is 128"],
            ),
            (&["--recv-buffers", "65"], &["the nearest is 64"]),
            (&["--recv-buffers", "96"], &["the nearest is 128"]),
            (&["--recv-buffers", "2"], &["between 4 and 32768"]),
            (&["--ring-entries", "500"], &["the nearest is 512"]),
            (&["--recv-buffer-bytes", "100"], &["between 512 and 1M"]),
            (
                &["--cache-size", "1.5G"],
                &["--cache-size", "whole numbers"],
            ),
            (&["--header-timeout", "5"], &["--header-timeout", "5s"]),
            (&["--header-timeout", "0s"], &["between 100ms and 24h"]),
            (&["--send-timeout", "25h"], &["between 100ms and 24h"]),
            (&["--grace-period", "25h"], &["at most 24h"]),
            (&["--max-head-bytes", "1"], &["between 1K and 1M"]),
            (&["--backlog", "0"], &["--backlog", "at least 1"]),
            (&["--backlog", "2000000"], &["1048576"]),
            (&["--engine", "nginx"], &["--engine", "tokio-uring"]),
            (&["--log-level", "loud"], &["--log-level", "debug"]),
            (&["--zero-copy-min", "no"], &["--zero-copy-min", "or off"]),
            (&["--busy-poll", "1s"], &["between 1us and 100ms"]),
            (&["--sqpoll", "1us"], &["between 1ms and 60s"]),
            (&["--cpus", "3-1"], &["--cpus", "1-3"]),
            (&["--quiet=loud"], &["--quiet", "true or false"]),
            (
                &["--max-connections", "x"],
                &["--max-connections", "or auto"],
            ),
            (&["--wrokers", "2"], &["--wrokers", "--workers"]),
            (
                &["--workers", "1", "--workers", "2"],
                &["--workers", "once"],
            ),
            (&["--workers"], &["--workers", "a value"]),
            (&["a", "b"], &["b", "one directory"]),
        ] {
            let sentence = refusal(words);
            for part in parts {
                assert!(sentence.contains(part), "{words:?} gave {sentence:?}");
            }
            assert!(!sentence.contains('\n'), "{sentence:?}");
        }
    }

    #[test]
    fn a_wrong_place_names_its_flag() {
        let error = parse(&["--listen", "localhost:80"])
            .unwrap()
            .places()
            .unwrap_err();
        assert_eq!(error.exit_code, 2);
        assert!(error.to_string().contains("127.0.0.1:80"), "{error}");
        let error = parse(&["-p", "http"]).unwrap().places().unwrap_err();
        assert!(
            error.to_string().starts_with("--port does not take"),
            "{error}"
        );
    }
}
