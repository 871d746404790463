//! The effective configuration as a file, with the origin of each value behind it.

use std::ffi::OsStr;
use std::fmt::Write;

use super::args::{self, Asked};
use super::file::SiteTable;
use super::keys::{self, Form};
use super::rule_table::RuleTable;
use super::settings::{Origin, Setting, Settings};

/// Writes what flags, environment, file and defaults say together. Read as a file, it says the
/// same.
pub fn show(asked: &Asked) -> String {
    let mut out = String::new();
    let file = asked.file.as_ref();
    let name = file.map_or_else(String::new, |file| file.path.display().to_string());
    settings(&mut out, &args::serve_definition(), &asked.settings, &name);
    for table in file.iter().flat_map(|file| &file.rules) {
        rule(&mut out, "rule", table, &name);
    }
    for table in file.iter().flat_map(|file| &file.sites) {
        site(&mut out, table, &name);
    }
    out
}

fn site(out: &mut String, table: &SiteTable, file: &str) {
    line(out, format_args!("\n[[site]] # {file}:{}", table.line));
    let names: Vec<String> = table.names.iter().map(|(name, _)| quote(name)).collect();
    if !names.is_empty() {
        line(out, format_args!("names = [{}]", names.join(", ")));
    }
    if table.default_line.is_some() {
        line(out, format_args!("default = true"));
    }
    settings(out, &args::site_definition(), &table.settings, file);
    for table in &table.rules {
        rule(out, "site.rule", table, file);
    }
}

fn rule(out: &mut String, name: &str, table: &RuleTable, file: &str) {
    line(out, format_args!("\n[[{name}]] # {file}:{}", table.line));
    line(out, format_args!("path = {}", quote(&table.path)));
    for (key, _) in super::rule_table::KEYS {
        let said: Vec<_> = table.said.iter().filter(|said| said.key == *key).collect();
        let texts: Vec<String> = said.iter().map(|said| quote(&said.text)).collect();
        match (*key, texts.len()) {
            (_, 0) => {}
            ("maintenance", _) => line(out, format_args!("maintenance = true")),
            (_, 1) => line(out, format_args!("{key} = {}", texts[0])),
            _ => line(out, format_args!("{key} = [{}]", texts.join(", "))),
        }
    }
}

fn settings(out: &mut String, definition: &clap::Command, settings: &Settings, file: &str) {
    for flag in keys::keys(definition) {
        let Some(setting) = settings.get(flag.get_id().as_str()) else {
            continue;
        };
        let values: Vec<String> = setting.texts.iter().map(|text| value(flag, text)).collect();
        let value = match (keys::is_list(flag), values.len()) {
            (true, _) => format!("[{}]", values.join(", ")),
            (false, _) => values.concat(),
        };
        let origin = origin(setting, file);
        line(
            out,
            format_args!("{} = {value} # {origin}", keys::name(flag)),
        );
    }
}

fn origin(setting: &Setting, file: &str) -> String {
    match setting.origin {
        Origin::Default => "default".to_owned(),
        Origin::File { line } => format!("{file}:{line}"),
        Origin::Environment => "environment".to_owned(),
        Origin::Flag => "flag".to_owned(),
    }
}

/// A value in the type that its key has in a file.
fn value(flag: &clap::Arg, text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let forms = keys::forms(flag);
    let is_boolean = matches!(&*text, "true" | "false") && forms.contains(&Form::Boolean);
    let has_numbers = forms
        .iter()
        .any(|form| matches!(form, Form::Count | Form::Port));
    let is_number = has_numbers && text.parse::<u32>().is_ok();
    if is_boolean || is_number {
        return text.into_owned();
    }
    quote(&text)
}

/// A basic string of TOML.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            letter if letter.is_control() => {
                write!(quoted, "\\u{:04x}", u32::from(letter)).expect("a String takes any text");
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::args::{Command, read};
    use std::ffi::OsString;
    use std::path::Path;

    fn asked(words: &[&str]) -> Asked {
        let line = ["downpour", "serve"].iter().chain(words);
        match read(line.map(OsString::from)) {
            Ok(Command::Serve(asked)) => *asked,
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    fn show_of(path: &Path) -> String {
        show(&asked(&["--config", path.to_str().unwrap()]))
    }

    /// What is shown says as a file the same as what it was made of, whoever has said it.
    #[test]
    fn what_is_shown_can_be_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        let text = r#"
            workers = 1
            quiet = true
            header = ["X-A: \"b\\c\"", "/x/** +X-B: c"]
            [[rule]]
            path = "*.css"
            cache-control = "max-age=600"
            [[site]]
            names = ["a.example", "*.b.example"]
            root = "."
            spa = true
            [[site.rule]]
            path = "/old/*"
            maintenance = true
            [[site]]
            default = true
            root = "."
            language = ["de", "en"]
        "#;
        std::fs::write(&path, text).unwrap();
        let shown = show_of(&path);
        assert!(shown.contains("workers = 1 # "), "{shown}");
        assert!(shown.contains(":2\n"), "lines of the file: {shown}");
        let again = directory.path().join("b.toml");
        std::fs::write(&again, &shown).unwrap();
        let stripped = |text: &str| -> Vec<String> {
            let lines = text.lines();
            let lines = lines.map(|line| line.rsplit_once(" # ").map_or(line, |(value, _)| value));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(stripped(&show_of(&again)), stripped(&shown));
    }

    #[test]
    fn each_origin_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        std::fs::write(&path, "backlog = 100\n").unwrap();
        let shown = show(&asked(&[
            "--config",
            path.to_str().unwrap(),
            "--workers",
            "2",
        ]));
        assert!(shown.contains("workers = 2 # flag\n"), "{shown}");
        assert!(
            shown.contains("backlog = 100 # ") && shown.contains("a.toml:1\n"),
            "{shown}"
        );
        assert!(
            shown.contains("cache-size = \"256M\" # default\n"),
            "{shown}"
        );
    }
}
