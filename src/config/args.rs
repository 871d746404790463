//! The command line: its commands, and what all layers (flags, environment, file) say together.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::StartError;
use super::file::{self, ConfigFile};
use super::precompress_args::PrecompressArgs;
use super::serve_args::ServeArgs;
use super::settings::Settings;
use super::site_args::SiteArgs;
use super::usage::Refusal;

const SERVE_EXAMPLES: &str = "\
Every flag is an environment variable too: --cache-size is DOWNPOUR_CACHE_SIZE,
ROOT is DOWNPOUR_ROOT. A flag wins over its variable. Where a flag may be
repeated, its variable takes a list separated by blanks or commas, or one value
a line where values hold blanks. --config FILE reads the same from a file.
Sizes are bytes, or K, M and G as powers of 1024. Times need a unit: us, ms, s,
m or h. What can be switched on can be said in three ways: --quiet, --quiet=true,
--quiet true.

Examples:
  downpour serve                             the welcome page at http://localhost:8080
  downpour serve ./public -p 3000            one directory at port 3000
  downpour serve /srv/www --listen 127.0.0.1:8080 --listen unix:/run/downpour.sock
  downpour serve /srv/www --workers 1 --cpus 0 --engine io-uring
  downpour serve ./dist --spa --cache-control auto --security-headers
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
    command: Said,
}

/// The commands as clap reads them.
#[derive(Debug, Subcommand)]
enum Said {
    /// Serve a directory over HTTP
    #[command(after_help = SERVE_EXAMPLES, allow_negative_numbers = true)]
    Serve(Box<ServeArgs>),
    /// Say whether a configuration file is right
    ///
    /// Prints everything that is wrong with it, each with its line, and exits with 2; or one line
    /// that says that it is fine. Directories that it names have to be there.
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Show the configuration that serve would use, or what a file may hold
    ///
    /// Takes the same flags as serve, and reads the same variables and file.
    #[command(allow_negative_numbers = true)]
    Config(Box<ConfigArgs>),
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

/// The flags of `downpour config`.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// Print the configuration as a file, with the origin of each value behind it
    #[arg(long, conflicts_with = "schema", help_heading = "Configuration")]
    show: bool,

    /// Print a JSON schema of the file, for editors
    #[arg(long, help_heading = "Configuration")]
    schema: bool,

    #[command(flatten)]
    serve: ServeArgs,
}

/// What the binary is asked to do.
#[derive(Debug)]
pub enum Command {
    Serve(Box<Asked>),
    /// Check a configuration file, and nothing else.
    Check(Box<Asked>),
    /// Print the effective configuration.
    Show(Box<Asked>),
    /// Print the schema of configuration files.
    Schema,
    Doctor,
    Precompress(PrecompressArgs),
}

/// What flags, environment and file ask of the server, each value right by itself.
#[derive(Debug)]
pub struct Asked {
    /// All layers together; of sites, what holds for all of them.
    pub args: ServeArgs,
    /// The same as texts, with their origins.
    pub settings: Settings,
    /// The file, if one was named.
    pub file: Option<ConfigFile>,
}

/// The definition of every command and flag, from which `docs/flags.md` is written.
pub fn definition() -> clap::Command {
    CommandLine::command()
}

/// The definition of the flags of `downpour serve`, which are the keys of a file.
pub(super) fn serve_definition() -> clap::Command {
    ServeArgs::augment_args(clap::Command::new("downpour"))
}

/// The definition of the keys of a `[[site]]`.
pub(super) fn site_definition() -> clap::Command {
    let serve = serve_definition();
    let mut all = serve.get_arguments();
    let root = all.find(|flag| flag.get_id() == "root");
    let root = root.expect("serve takes a directory").clone();
    SiteArgs::augment_args(clap::Command::new("site")).arg(root)
}

/// Reads the command line, whose first word is the program's name, and the environment.
pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Command, Refusal> {
    let definition = definition();
    let words = join_booleans(&definition, words.into_iter().collect());
    let matches = definition
        .try_get_matches_from(words)
        .map_err(Refusal::from)?;
    let line = CommandLine::from_arg_matches(&matches).map_err(Refusal::from)?;
    let asked = |name: &str, file: Option<PathBuf>| -> Result<Box<Asked>, Refusal> {
        let matches = matches.subcommand_matches(name);
        let matches = matches.expect("this command was read");
        let said = Settings::of_line(&serve_definition(), matches).map_err(Refusal::Wrong)?;
        lay(&said, file).map(Box::new).map_err(Refusal::Wrong)
    };
    Ok(match line.command {
        Said::Serve(args) => Command::Serve(asked("serve", args.config)?),
        Said::Check { file } => {
            let nothing = Settings::default();
            Command::Check(Box::new(lay(&nothing, Some(file)).map_err(Refusal::Wrong)?))
        }
        Said::Config(args) if args.schema => {
            drop(args);
            Command::Schema
        }
        Said::Config(args) => Command::Show(asked("config", args.serve.config)?),
        Said::Doctor => Command::Doctor,
        Said::Precompress(args) => Command::Precompress(args),
    })
}

/// Lays what was said over what stands in a file.
fn lay(said: &Settings, path: Option<PathBuf>) -> Result<Asked, StartError> {
    let (serve, site) = (serve_definition(), site_definition());
    let file = path
        .map(|path| file::read(&path, &serve, &site))
        .transpose()?;
    let settings = match &file {
        Some(file) => said.over(&file.settings),
        None => said.clone(),
    };
    let args = parse::<ServeArgs>(serve, &settings)?;
    Ok(Asked {
        args,
        settings,
        file,
    })
}

/// Reads settings as if they were said on a command line; the environment is in them already.
fn parse<T: FromArgMatches>(
    definition: clap::Command,
    settings: &Settings,
) -> Result<T, StartError> {
    let words = settings.words(&definition);
    T::from_arg_matches(&matches(definition, words)?).map_err(wrong)
}

/// Reads words that were checked one by one.
pub(super) fn matches(
    definition: clap::Command,
    words: Vec<OsString>,
) -> Result<clap::ArgMatches, StartError> {
    let definition = definition
        .mut_args(|flag| flag.env(Resettable::Reset))
        .allow_negative_numbers(true);
    definition.try_get_matches_from(words).map_err(wrong)
}

pub(super) fn wrong(error: clap::Error) -> StartError {
    match Refusal::from(error) {
        Refusal::Wrong(error) => error,
        Refusal::Answer(answer) => StartError::usage(answer.to_string(), ""),
    }
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
        assert_eq!(flags, 71);
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
        let sentence = refusal(&["--listen", "localhost:80"]);
        assert!(sentence.starts_with("--listen does not take"), "{sentence}");
        assert!(sentence.contains("127.0.0.1:80"), "{sentence}");
        let sentence = refusal(&["-p", "http"]);
        assert!(sentence.starts_with("--port does not take"), "{sentence}");
    }
}
