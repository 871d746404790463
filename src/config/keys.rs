//! What each flag takes, read from its definition: the file, what is shown of a configuration, and
//! the schema ask here, so that a flag is described once.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Arg, ArgAction};

use super::site_values::{field_name, index_name, language, mount, spa_page, tries};
use super::{Listen, listen};
use super::{access_texts, rules};

/// What the environment variable of a repeatable flag puts between its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Between {
    /// Blanks or commas.
    Blanks,
    /// The ends of lines, since values hold blanks.
    Lines,
}

/// One way to write a value, out of the value name of a flag (`COUNT|auto`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Boolean,
    Count,
    Port,
    /// A number of bytes, or a text with a unit.
    Size,
    Time,
    /// This word.
    Word(String),
    /// A path of this machine.
    Path,
    Text,
}

/// The key of a flag; `root` for the directory.
pub(super) fn name(flag: &Arg) -> &str {
    flag.get_long().unwrap_or(flag.get_id().as_str())
}

/// The flags that are keys of a file, in the order of the help.
pub(super) fn keys(definition: &clap::Command) -> impl Iterator<Item = &Arg> {
    let is_key = |flag: &&Arg| {
        let id = flag.get_id().as_str();
        !matches!(id, "config" | "show" | "schema" | "help" | "version")
    };
    by_heading(definition).into_iter().filter(is_key)
}

/// All flags, those of one heading together.
fn by_heading(definition: &clap::Command) -> Vec<&Arg> {
    let mut headings: Vec<Option<&str>> = Vec::new();
    for flag in definition.get_arguments() {
        let heading = flag.get_help_heading();
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    let mut flags: Vec<&Arg> = definition.get_arguments().collect();
    flags.sort_by_key(|flag| {
        headings
            .iter()
            .position(|one| *one == flag.get_help_heading())
    });
    flags
}

/// True when it may be said several times.
pub(super) fn is_list(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::Append)
}

/// What stands between the values of its variable.
pub(super) fn between(flag: &Arg) -> Between {
    match value_name(flag).contains(' ') {
        true => Between::Lines,
        false => Between::Blanks,
    }
}

/// The ways to write its value.
pub(super) fn forms(flag: &Arg) -> Vec<Form> {
    let form = |part: &str| match part {
        "BOOL" => Form::Boolean,
        "COUNT" => Form::Count,
        "PORT" => Form::Port,
        "SIZE" => Form::Size,
        "TIME" => Form::Time,
        "FILE" | "DIR" | "ROOT" => Form::Path,
        word if !word.contains(|letter: char| letter.is_ascii_uppercase()) => {
            Form::Word(word.to_owned())
        }
        _ => Form::Text,
    };
    value_name(flag).split('|').map(form).collect()
}

/// The words that its value may be.
pub(super) fn words(flag: &Arg) -> impl Iterator<Item = String> {
    forms(flag).into_iter().filter_map(|form| match form {
        Form::Word(word) => Some(word),
        _ => None,
    })
}

fn value_name(flag: &Arg) -> &str {
    let names = flag.get_value_names().unwrap_or_default();
    names.first().map_or("", |name| name.as_str())
}

/// What it takes, in words: `a size such as "256M"`.
pub(super) fn takes(flag: &Arg) -> String {
    let mut ways: Vec<String> = forms(flag).iter().map(in_words).collect();
    let last = ways.pop().unwrap_or_default();
    let ways = match ways.is_empty() {
        true => last,
        false => format!("{} or {last}", ways.join(", ")),
    };
    match is_list(flag) {
        true => format!("{ways}, or a list of such"),
        false => ways,
    }
}

fn in_words(form: &Form) -> String {
    match form {
        Form::Boolean => "true or false".to_owned(),
        Form::Count => "a number such as 4".to_owned(),
        Form::Port => "a port such as 8080".to_owned(),
        Form::Size => "a size such as \"256M\"".to_owned(),
        Form::Time => "a time such as \"30s\"".to_owned(),
        Form::Word(word) => format!("{word:?}"),
        Form::Path => "a path in quotes".to_owned(),
        Form::Text => "a text in quotes".to_owned(),
    }
}

/// The value of a flag in which paths are absolute: those that are not begin at `directory`.
pub(super) fn resolved(flag: &Arg, value: &OsStr, directory: &Path) -> OsString {
    let behind = |start: &str, path: &str| {
        let mut whole = OsString::from(start);
        whole.push(directory.join(path));
        whole
    };
    let text = value.to_str().unwrap_or_default();
    let resolved = match flag.get_id().as_str() {
        "listen" | "tls_listen" => match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => Some(behind("unix:", path)),
            _ => None,
        },
        "mount" => match text.split_once('=') {
            Some((prefix, path)) if !path.is_empty() => Some(behind(&format!("{prefix}="), path)),
            _ => None,
        },
        _ if words(flag).any(|word| word == text) => None,
        _ if forms(flag).contains(&Form::Path) => Some(directory.join(value).into_os_string()),
        _ => None,
    };
    resolved.unwrap_or_else(|| value.to_owned())
}

/// Checks one value of a flag whose parser on the command line takes any text, because there its
/// variable holds several. The fault is a sentence that goes behind `--flag does not take "value"`.
pub(super) fn check_text(id: &str, text: &str) -> Result<(), String> {
    match id {
        "listen" | "tls_listen" => text.parse::<Listen>().map(|_| ()),
        "port" => listen::port(text).map(|_| ()),
        "index" => index_name(text).map(|_| ()),
        "spa" => spa_page(text).map(|_| ()),
        "tries" => tries([text]).map(|_| ()),
        "mount" => mount(text).map(|_| ()),
        "language" => language(text).map(|_| ()),
        "country_header" => field_name(text),
        _ => rules::check_text(id, text).and_then(|()| access_texts::check_text(id, text)),
    }
}
