//! The command line: commands, help, and how it is read together with environment and file.
#![allow(rustdoc::broken_intra_doc_links)] // Help is read in a terminal: [::] is an address.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::asked::Asked;
use super::keys::{self, Form};
use super::settings::Settings;
use super::usage::Refusal;
use super::{HashPasswordArgs, HashTokenArgs, PrecompressArgs, ServeArgs, StartError};

const SERVE_EXAMPLES: &str = "\
Every flag is an environment variable too: --cache-size is DOWNPOUR_CACHE_SIZE,
ROOT is DOWNPOUR_ROOT; and a key of the file that --config names: cache-size. A
flag wins over its variable, and that over the file. Where a flag may be
repeated, its variable takes a list separated by blanks or commas, or by lines
where values hold blanks; the file takes a list.
Sizes are bytes, or K, M and G as powers of 1024. Times need a unit: us, ms, s,
m or h. What can be switched on can be said in three ways: --quiet, --quiet=true,
--quiet true.

Examples:
  downpour serve                             the welcome page at http://localhost:8080
  downpour serve ./public -p 3000            one directory at port 3000
  downpour serve /srv/www --listen 127.0.0.1:8080 --listen unix:/run/downpour.sock
  downpour serve /srv/www --workers 1 --cpus 0 --engine io-uring
  downpour serve ./app --spa --security-headers --cache-control auto
  downpour serve ./public --tls-listen [::]:8443 --self-signed
  downpour serve /srv/www --tls-listen [::]:443 --tls-cert a.pem --tls-key a.key \
      --port 80 --https-redirect
  downpour serve --config /etc/downpour.toml";

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
    command: Words,
}

/// The words of the command line, before the file is read.
#[derive(Debug, Subcommand)]
enum Words {
    /// Serve a directory over HTTP
    #[command(after_help = SERVE_EXAMPLES, allow_negative_numbers = true)]
    Serve(Box<ServeArgs>),
    /// Say what this machine gives to each engine, and what to change
    ///
    /// Prints what the kernel offers to each engine, the limits that will hurt, and a remedy for
    /// each. Needs no root, changes nothing, and exits with 0 whether or not it finds a weakness.
    Doctor,
    /// Say whether a configuration file is right
    ///
    /// Prints all that is wrong with it, each with its line, and exits with 2; or that it is fine.
    /// What flags and variables would say besides is left aside.
    Check(CheckArgs),
    /// Show the configuration that serve would have, or the schema of its file
    #[command(allow_negative_numbers = true)]
    Config(Box<ConfigArgs>),
    /// Make compressed forms of a site's files beside them, before they are served
    ///
    /// Makes page.html.br, page.html.zst and page.html.gz of page.html and of whatever else is
    /// worth it, as small as they get. A form that has the time of its source is current and stays.
    /// Ctrl-C leaves nothing half done.
    Precompress(PrecompressArgs),
    /// Make a line of the file with users, out of a password
    ///
    /// Asks for the password twice; where the input is no terminal, its first line is the password.
    /// Prints NAME:HASH.
    HashPassword(HashPasswordArgs),
    /// Make a bearer token, and the line of the file with tokens that knows it
    ///
    /// Prints the line on standard output and the token, which is shown this once, on standard
    /// error.
    HashToken(HashTokenArgs),
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The configuration file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Print every key with its value, and behind it who has set it, as a file that can be served
    #[arg(long, help_heading = "Output", conflicts_with = "schema")]
    show: bool,

    /// Print the JSON schema of configuration files
    #[arg(long, help_heading = "Output", required_unless_present = "show")]
    schema: bool,

    #[command(flatten)]
    serve: ServeArgs,
}

/// What the binary is asked to do.
#[derive(Debug)]
pub enum Command {
    Serve(Box<Asked>),
    Doctor,
    /// Validate this file.
    Check(PathBuf),
    /// Print the effective configuration.
    Show(Box<Asked>),
    /// Print the schema of files.
    Schema,
    /// Make sidecars.
    Precompress(PrecompressArgs),
    /// Print a line for a user.
    HashPassword(HashPasswordArgs),
    /// Print a token and its line.
    HashToken(HashTokenArgs),
}

/// The definition of every command and flag, from which `docs/flags.md` is written.
pub fn definition() -> clap::Command {
    CommandLine::command()
}

/// Reads the command line, whose first word is the program's name, the environment, and the file
/// that either names.
pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Command, Refusal> {
    let definition = definition();
    let words = join_values(&definition, words.into_iter().collect());
    let matches = definition
        .clone()
        .try_get_matches_from(words)
        .map_err(Refusal::from)?;
    let line = CommandLine::from_arg_matches(&matches).map_err(Refusal::from)?;
    let asked = |name: &str, args: &ServeArgs| -> Result<Box<Asked>, StartError> {
        let (command, matches) = definition
            .find_subcommand(name)
            .zip(matches.subcommand_matches(name))
            .expect("it is the command that was read");
        let line = Settings::of_line(command, matches)?;
        Asked::new(&line, args.config.as_deref()).map(Box::new)
    };
    let command = match &line.command {
        Words::Precompress(args) => Ok(Command::Precompress(args.clone())),
        Words::HashPassword(args) => Ok(Command::HashPassword(args.clone())),
        Words::HashToken(args) => Ok(Command::HashToken(args.clone())),
        Words::Serve(args) => asked("serve", args).map(Command::Serve),
        Words::Doctor => Ok(Command::Doctor),
        Words::Check(check) => Ok(Command::Check(check.file.clone())),
        Words::Config(config) if config.schema => Ok(Command::Schema),
        Words::Config(config) => asked("config", &config.serve).map(Command::Show),
    };
    command.map_err(Refusal::Wrong)
}

/// `--quiet false` becomes `--quiet=false`, so that `--quiet ./site` still names a directory; the
/// same where a flag that may stand alone takes one of some words.
fn join_values(definition: &clap::Command, words: Vec<OsString>) -> Vec<OsString> {
    let takes = |flag: &OsStr, value: &OsStr| {
        let (Some(flag), Some(value)) = (flag.to_str(), value.to_str()) else {
            return false;
        };
        let Some(long) = flag.strip_prefix("--") else {
            return false;
        };
        let flags = definition.get_subcommands();
        let mut flags = flags.flat_map(clap::Command::get_arguments);
        let alone =
            flags.find(|flag| flag.is_require_equals_set() && flag.get_long() == Some(long));
        alone.is_some_and(|flag| {
            let is_boolean = keys::forms(flag).contains(&Form::Boolean);
            is_boolean && matches!(value, "true" | "false")
                || keys::words(flag).any(|word| word == value)
        })
    };
    let mut joined: Vec<OsString> = Vec::with_capacity(words.len());
    let mut flags_end = false;
    for word in words {
        if !flags_end && joined.last().is_some_and(|last| takes(last, &word)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits;
    use crate::config::Listen;

    fn parse(words: &[&str]) -> Result<ServeArgs, Refusal> {
        let words = ["downpour", "serve"].iter().chain(words);
        match read(words.map(OsString::from))? {
            Command::Serve(asked) => Ok(asked.args),
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
        assert_eq!(flags, 109);
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
        let writing = &args.site.writing;
        assert_eq!(writing.max_body_bytes, limits::BODY_BYTES_DEFAULT);
        assert_eq!(writing.max_patch_bytes, limits::PATCH_BYTES_DEFAULT);
        assert_eq!(args.site.access.jwt_leeway, limits::JWT_LEEWAY_DEFAULT);
        let access = &args.access;
        assert_eq!(access.body_timeout, limits::BODY_TIMEOUT_DEFAULT);
        assert_eq!(access.limit_memory, limits::LIMIT_MEMORY_BYTES_DEFAULT);
        assert_eq!(
            (
                limits::IDEMPOTENCY_TIME_DEFAULT.as_secs(),
                limits::IDEMPOTENCY_BYTES_DEFAULT
            ),
            (24 * 60 * 60, 64 << 20),
            "as the help says"
        );
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
            (&["--max-in-flight", "0"], &["at least 1", "or off"]),
            (&["--send-rate", "10"], &["at least 1K"]),
            (&["--metrics", "9090"], &["127.0.0.1:9090/metrics"]),
            (&["--health", "healthz"], &["as in /healthz"]),
            (&["--access-log", "xml"], &["combined or json"]),
            (&["--jwt-leeway", "2h"], &["--jwt-leeway", "at most 1h"]),
            (&["--realm", "a\"b"], &["--realm", "without quotes"]),
            (&["--proxy-protocol=v1"], &["--proxy-protocol"]),
            (&["--cors", "a.example"], &["--cors does not take"]),
            (&["--limit", "ten"], &["--limit does not take", "10/s"]),
            (&["--writable", "/a{"], &["--writable does not take"]),
            (&["--trusted-proxies", "lan"], &["lan is no network"]),
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
        let sentence = refusal(&["--listen", "localhost:80"]);
        assert!(sentence.contains("127.0.0.1:80"), "{sentence}");
        let sentence = refusal(&["-p", "http"]);
        assert!(sentence.starts_with("--port does not take"), "{sentence}");
    }

    #[test]
    fn a_word_behind_a_flag_that_may_stand_alone_is_its_value() {
        use crate::route::site::CleanUrls::*;
        for (words, expected, root) in [
            (&["--clean-urls"][..], Serve, None),
            (&["--clean-urls", "redirect"], Redirect, None),
            (&["--clean-urls=redirect", "off"], Redirect, Some("off")),
            (&["--clean-urls", "./redirect"], Serve, Some("./redirect")),
        ] {
            let args = parse(words).unwrap();
            assert_eq!(args.site.clean_urls, expected, "{words:?}");
            assert_eq!(args.root, root.map(PathBuf::from), "{words:?}");
        }
    }
}
