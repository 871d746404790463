//! A command line that cannot be read, in one sentence.
//!
//! clap explains on several lines and with colours; a server's start is read in a journal.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::StartError;

/// Why there is nothing to do.
#[derive(Debug)]
pub enum Refusal {
    /// Help or the version was asked for; it is to be printed.
    Answer(Box<clap::Error>),
    /// The command line is wrong.
    Wrong(StartError),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Refusal {
        match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Refusal::Answer(Box::new(error))
            }
            _ => Refusal::Wrong(sentence(&error)),
        }
    }
}

fn sentence(error: &clap::Error) -> StartError {
    let see_help = "see downpour serve --help";
    let flag = context(error, ContextKind::InvalidArg).unwrap_or_default();
    // clap shows the value with it: `--workers <COUNT>`, `--quiet[=<BOOL>]`.
    let flag = flag.split([' ', '[', '=']).next().unwrap_or_default();
    match error.kind() {
        ErrorKind::ValueValidation => {
            let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
            let why = error.source().map(ToString::to_string);
            let name = variable_with(flag, &value).unwrap_or_else(|| flag.to_owned());
            StartError::usage(
                format!("{name} does not take {value:?}"),
                why.unwrap_or_else(|| see_help.to_owned()),
            )
        }
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues | ErrorKind::NoEquals => {
            StartError::usage(format!("{flag} needs a value"), see_help)
        }
        ErrorKind::UnknownArgument => unknown(error, flag),
        ErrorKind::ArgumentConflict => conflict(error, flag),
        ErrorKind::MissingRequiredArgument => missing(flag),
        ErrorKind::InvalidSubcommand => {
            let word = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            StartError::usage(
                format!("there is no command {word:?}"),
                format!("to serve a directory say: downpour serve {word}"),
            )
        }
        ErrorKind::InvalidUtf8 => StartError::usage(
            "an argument is not valid UTF-8".to_owned(),
            "only ROOT may be anything else",
        ),
        _ => {
            let text = error.to_string();
            let first_line = text.lines().next().unwrap_or_default();
            let what = first_line.strip_prefix("error: ").unwrap_or(first_line);
            StartError::usage(what, see_help)
        }
    }
}

fn conflict(error: &clap::Error, flag: &str) -> StartError {
    let other = context(error, ContextKind::PriorArg).unwrap_or_default();
    let other = other.split([' ', '[', '=']).next().unwrap_or_default();
    if other.is_empty() || other == flag {
        return StartError::usage(format!("{flag} is given more than once"), "say it once");
    }
    StartError::usage(
        format!("{flag} and {other} exclude each other"),
        "leave one of them out",
    )
}

/// What is missing can only be what `check`, `config`, `precompress` and `hash-token` are about.
fn missing(what: &str) -> StartError {
    match what {
        "<FILE>" => StartError::usage(
            "downpour check does not know what to look at",
            "name the file: downpour check FILE",
        ),
        "--user" => StartError::usage(
            "--user is missing",
            "say whose token it is: downpour hash-token --user NAME",
        ),
        group if group.contains("--") => StartError::usage(
            "downpour config does not know what to print",
            "say downpour config --show, or --schema",
        ),
        other => StartError::usage(
            format!("{other} is missing"),
            "see downpour --help, and --help of the subcommand",
        ),
    }
}

fn unknown(error: &clap::Error, flag: &str) -> StartError {
    if !flag.starts_with('-') {
        return StartError::usage(
            format!("{flag:?} is one argument too many"),
            "serve takes one directory, check one file, doctor takes nothing",
        );
    }
    match context(error, ContextKind::SuggestedArg) {
        Some(near) => StartError::usage(
            format!("there is no flag {flag}"),
            format!("perhaps {near} is meant"),
        ),
        None => StartError::usage(
            format!("there is no flag {flag}"),
            "downpour serve --help names them all",
        ),
    }
}

/// The environment variable of `flag`, when it is what holds the wrong value.
fn variable_with(flag: &str, value: &str) -> Option<String> {
    let name = flag
        .trim_start_matches('-')
        .to_uppercase()
        .replace('-', "_");
    let name = format!("DOWNPOUR_{name}");
    let said_as_flag =
        std::env::args().any(|word| word == flag || word.starts_with(&format!("{flag}=")));
    (!said_as_flag && std::env::var(&name).is_ok_and(|held| held == value)).then_some(name)
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}
