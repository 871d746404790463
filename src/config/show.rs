//! `downpour config --show`: what is asked for in all, as a file that can be served, with a comment
//! behind each value that says who has set it.

use std::fmt::Write;
use std::path::Path;

use clap::Arg;

use super::asked::{Asked, serve, site};
use super::file::SiteTable;
use super::keys::{self, Form};
use super::rule_table::{KEYS, RuleTable, SWITCHES};
use super::settings::{Origin, Place, Setting, Settings};
use super::values;

/// The file.
pub fn show(asked: &Asked) -> String {
    let path = asked.file.as_ref().map(|file| file.path.as_path());
    let mut page = Page {
        text: String::new(),
        path: path.unwrap_or(Path::new("")),
    };
    if let Some(path) = path {
        page.line(format_args!("# With {}", path.display()));
    }
    page.settings(&serve(), &asked.settings, Missing::Told);
    if let Some(file) = &asked.file {
        file.rules.iter().for_each(|rule| page.rule("rule", rule));
        file.sites.iter().for_each(|table| page.site(table));
    }
    page.text
}

/// What becomes of a key that nobody has set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Told,
    LeftOut,
}

struct Page<'a> {
    text: String,
    path: &'a Path,
}

impl Page<'_> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a String takes any text");
    }

    fn settings(&mut self, definition: &clap::Command, settings: &Settings, missing: Missing) {
        let mut heading = None;
        for flag in keys::keys(definition) {
            let next = flag.get_help_heading().or(Some("Site"));
            if missing == Missing::Told && next != heading {
                heading = next;
                self.line(format_args!("\n# {}", next.unwrap_or_default()));
            }
            let name = keys::name(flag);
            match settings.get(flag.get_id().as_str()) {
                Some(setting) => {
                    let value = value(flag, setting);
                    let origin = self.origin(setting.origin);
                    self.line(format_args!("{name} = {value} # {origin}"));
                }
                None if missing == Missing::Told => self.line(format_args!("# {name} is not set")),
                None => {}
            }
        }
    }

    fn origin(&self, origin: Origin) -> String {
        match origin {
            Origin::Default => "default".to_owned(),
            Origin::File { line } => Place(self.path, Some(line)).to_string(),
            Origin::Environment => "environment".to_owned(),
            Origin::Flag => "flag".to_owned(),
        }
    }

    fn site(&mut self, table: &SiteTable) {
        let place = self.origin(Origin::File { line: table.line });
        self.line(format_args!("\n[[site]] # {place}"));
        if !table.names.is_empty() {
            let names = list(table.names.iter().map(|(name, _)| quoted(name)));
            let line = table.names[0].1;
            let origin = self.origin(Origin::File { line });
            self.line(format_args!("names = {names} # {origin}"));
        }
        if let Some(line) = table.default_line {
            let origin = self.origin(Origin::File { line });
            self.line(format_args!("default = true # {origin}"));
        }
        self.settings(&site(), &table.settings, Missing::LeftOut);
        for rule in &table.rules {
            self.rule("site.rule", rule);
        }
    }

    fn rule(&mut self, name: &str, rule: &RuleTable) {
        let place = self.origin(Origin::File { line: rule.line });
        self.line(format_args!("\n[[{name}]] # {place}"));
        self.line(format_args!("path = {}", quoted(&rule.path)));
        for (key, _) in KEYS {
            let said: Vec<_> = rule.said.iter().filter(|said| said.key == *key).collect();
            let Some(first) = said.first() else {
                continue;
            };
            let origin = self.origin(Origin::File { line: first.line });
            match SWITCHES.contains(key) {
                true => self.line(format_args!("{key} = true # {origin}")),
                false => {
                    let texts = list(said.iter().map(|said| quoted(&said.text)));
                    self.line(format_args!("{key} = {texts} # {origin}"));
                }
            }
        }
    }
}

/// The value of a key as TOML writes it.
fn value(flag: &Arg, setting: &Setting) -> String {
    let here = std::path::absolute(".").unwrap_or_default();
    let mut texts = setting.texts.iter().map(|text| {
        let text = keys::resolved(flag, text, &here);
        scalar(flag, &text.to_string_lossy())
    });
    match keys::is_list(flag) {
        true => list(texts),
        false => texts.next_back().unwrap_or_default(),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A value without quotes where the flag takes one of its type.
fn scalar(flag: &Arg, text: &str) -> String {
    let forms = keys::forms(flag);
    let takes = |wanted: &[Form]| forms.iter().any(|form| wanted.contains(form));
    // The file's numbers end at 63 bits.
    if takes(&[Form::Count, Form::Port, Form::Size])
        && let Ok(number @ 0..) = text.parse::<i64>()
    {
        return number.to_string();
    }
    if takes(&[Form::Boolean])
        && let Ok(value) = values::boolean(text)
    {
        // Variables switch in more ways than true and false; but `--spa=on` names a page.
        let is_other = takes(&[Form::Text, Form::Path]) && text != value.to_string();
        if !is_other {
            return value.to_string();
        }
    }
    quoted(text)
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(letter)).expect("a String takes any text");
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
