//! The configuration file: TOML whose keys are flags, with tables for sites and rules.
//!
//! A value becomes the text of its flag and is read by the flag's own parser. What is wrong is told
//! with its line, all of it at once.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Arg;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Form};
use super::problems::{Problems, nearest};
use super::rule_table::RuleTable;
use super::settings::{Origin, Setting, Settings};
use super::{StartError, values};
use crate::base::limits::{CONFIG_BYTES_MAX, SITE_NAMES_MAX, SITES_MAX};

/// What a file says, each value right by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    pub path: PathBuf,
    /// The keys at the top.
    pub settings: Settings,
    pub sites: Vec<SiteTable>,
    /// Rules of every site.
    pub rules: Vec<RuleTable>,
}

/// A `[[site]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteTable {
    /// Where it stands in the file.
    pub line: usize,
    /// The hosts that it answers for, each with its line.
    pub names: Vec<(String, usize)>,
    /// The line that says that it answers for all other hosts, too.
    pub default_line: Option<usize>,
    /// Its own keys.
    pub settings: Settings,
    pub rules: Vec<RuleTable>,
}

/// A key of a table and its value.
pub(super) type Entry<'a, 'i> = (&'a str, usize, &'a Spanned<DeValue<'i>>);

/// Keys of a site that are no flags.
pub(super) const SITE_KEYS: &[&str] = &["names", "default", "root", "rule"];

/// Reads a file. `serve`: the command whose flags are keys; `site`: those that a site has.
pub(super) fn read(
    path: &Path,
    serve: &clap::Command,
    site: &clap::Command,
) -> Result<ConfigFile, StartError> {
    let text = read_text(path)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let directory = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    let mut reader = Reader {
        text: &text,
        directory: std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()),
        serve,
        site,
        problems: Problems::of(path),
    };
    let file = reader.file(path);
    reader.problems.into_result().map(|()| file)
}

fn read_text(path: &Path) -> Result<String, StartError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        StartError::usage(
            format!("the configuration {shown} cannot be read: {error}"),
            "name a file that is there: --config FILE",
        )
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(CONFIG_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        return Err(StartError::usage(
            format!("the configuration {shown} is larger than {CONFIG_BYTES_MAX} bytes"),
            "what differs by path only may stand in the _headers and _redirects of a site",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = line_at(&String::from_utf8_lossy(&error.as_bytes()[..valid]), valid);
        StartError::usage(
            format!("{shown}:{line}: that is not UTF-8"),
            "save the file as UTF-8",
        )
    })
}

/// The line in which a byte stands; the first is 1.
fn line_at(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + memchr::memchr_iter(b'\n', before).count()
}

pub(super) struct Reader<'a> {
    text: &'a str,
    /// Absolute: paths of the file begin here.
    directory: PathBuf,
    serve: &'a clap::Command,
    site: &'a clap::Command,
    pub(super) problems: Problems,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path) -> ConfigFile {
        let mut file = ConfigFile {
            path: path.to_owned(),
            settings: Settings::default(),
            sites: Vec::new(),
            rules: Vec::new(),
        };
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let only_duplicates = errors
            .iter()
            .all(|error| error.message() == "duplicate key");
        for error in &errors {
            let line = error.span().map(|span| line_at(self.text, span.start));
            let named = error.span().and_then(|span| self.text.get(span));
            match (error.message(), named) {
                ("duplicate key", Some(key)) => {
                    let sentence = format!("{key} stands here a second time; say it once");
                    self.problems.add(line, sentence);
                }
                (message, _) => self
                    .problems
                    .add(line, format!("this is not TOML: {message}")),
            }
        }
        if !only_duplicates {
            return file; // What can be read of the rest would only confuse.
        }
        for (key, line, value) in self.entries(table.get_ref()) {
            match key {
                "site" => file.sites = self.sites(line, value),
                "rule" => file.rules = self.rules(key, line, value),
                _ => self.setting(self.serve, key, line, value, &mut file.settings),
            }
        }
        file
    }

    /// The keys of a table in the order in which they stand.
    pub(super) fn entries<'a, 'i>(&self, table: &'a DeTable<'i>) -> Vec<Entry<'a, 'i>> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'i>>)| {
            let key: &Spanned<std::borrow::Cow<'i, str>> = key;
            let line = line_at(self.text, key.span().start);
            (key.get_ref().as_ref(), line, value)
        };
        entries.into_iter().map(entry).collect()
    }

    pub(super) fn line(&self, value: &Spanned<DeValue<'_>>) -> usize {
        line_at(self.text, value.span().start)
    }

    fn sites(&mut self, line: usize, value: &Spanned<DeValue<'_>>) -> Vec<SiteTable> {
        let tables = self.tables("site", line, value);
        if tables.len() > SITES_MAX {
            let sentence = format!("there are more than {SITES_MAX} sites");
            self.problems.add(Some(line), sentence);
        }
        let tables = tables.into_iter().take(SITES_MAX);
        tables.map(|(line, table)| self.site(line, table)).collect()
    }

    /// The tables of a `[[name]]`.
    pub(super) fn tables<'a, 'i>(
        &mut self,
        name: &str,
        line: usize,
        value: &'a Spanned<DeValue<'i>>,
    ) -> Vec<(usize, &'a DeTable<'i>)> {
        let items = value.get_ref().as_array().map(|array| array.iter());
        let tables: Option<Vec<_>> = items.and_then(|items| {
            let table = |item: &'a Spanned<DeValue<'i>>| {
                let table = item.get_ref().as_table()?;
                Some((self.line(item), table))
            };
            items.map(table).collect()
        });
        tables.unwrap_or_else(|| {
            let sentence = format!("there may be several of {name}; write [[{name}]] above each");
            self.problems.add(Some(line), sentence);
            Vec::new()
        })
    }

    fn site(&mut self, line: usize, table: &DeTable<'_>) -> SiteTable {
        let mut site = SiteTable {
            line,
            names: Vec::new(),
            default_line: None,
            settings: Settings::default(),
            rules: Vec::new(),
        };
        for (key, line, value) in self.entries(table) {
            match key {
                "names" => site.names = self.names(line, value),
                "default" => match value.get_ref().as_bool() {
                    Some(true) => site.default_line = Some(line),
                    Some(false) => {}
                    None => self.wrong_type(key, "true or false", value),
                },
                "rule" => site.rules = self.rules("site.rule", line, value),
                _ => self.setting(self.site, key, line, value, &mut site.settings),
            }
        }
        site
    }

    fn names(&mut self, line: usize, value: &Spanned<DeValue<'_>>) -> Vec<(String, usize)> {
        let names = self.texts("names", "a text in quotes, or a list of such", value);
        if names.len() > SITE_NAMES_MAX {
            let sentence = format!("names holds more than {SITE_NAMES_MAX} hosts");
            self.problems.add(Some(line), sentence);
        }
        for (name, line) in &names {
            if let Err(why) = crate::route::HostName::parse(name) {
                let sentence = format!("names does not take {name:?}; {why}");
                self.problems.add(Some(*line), sentence);
            }
        }
        names
    }

    /// A text or a list of texts, each with its line.
    pub(super) fn texts(
        &mut self,
        key: &str,
        takes: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Vec<(String, usize)> {
        let mut texts = Vec::new();
        let items = match value.get_ref() {
            DeValue::Array(array) => array.iter().collect(),
            _ => vec![value],
        };
        for item in items {
            match item.get_ref().as_str() {
                Some(text) => texts.push((text.to_owned(), self.line(item))),
                None => self.wrong_type(key, takes, item),
            }
        }
        texts
    }

    pub(super) fn wrong_type(&mut self, key: &str, takes: &str, value: &Spanned<DeValue<'_>>) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let line = self.line(value);
        let sentence = format!("{key} takes {takes}, not {found}");
        self.problems.add(Some(line), sentence);
    }

    /// Reads a key that is a flag of this command.
    fn setting(
        &mut self,
        command: &clap::Command,
        key: &str,
        line: usize,
        value: &Spanned<DeValue<'_>>,
        settings: &mut Settings,
    ) {
        let Some(flag) = keys::keys(command).find(|flag| keys::name(flag) == key) else {
            self.unknown(command, key, line);
            return;
        };
        let items = match value.get_ref() {
            DeValue::Array(array) if keys::is_list(flag) => array.iter().collect(),
            _ => vec![value],
        };
        let mut setting = Setting::new(Vec::new(), Origin::File { line });
        for item in items {
            let line = self.line(item);
            let Some(text) = scalar(flag, item.get_ref()) else {
                self.wrong_type(key, &keys::takes(flag), item);
                continue;
            };
            match self.checked(flag, &text) {
                Ok(text) => {
                    setting.texts.push(text);
                    setting.lines.push(line);
                }
                Err(why) => {
                    let sentence = format!("{key} does not take {text:?}; {why}");
                    self.problems.add(Some(line), sentence);
                }
            }
        }
        let is_empty_list = value
            .get_ref()
            .as_array()
            .is_some_and(|list| list.is_empty());
        if is_empty_list && !flag.get_default_values().is_empty() {
            let sentence = format!("{key} is an empty list; leave the key out or name a value");
            self.problems.add(Some(line), sentence);
        }
        settings.set(flag.get_id().as_str(), setting);
    }

    fn unknown(&mut self, command: &clap::Command, key: &str, line: usize) {
        let is_site = std::ptr::eq(command, self.site);
        let of_server = keys::keys(self.serve).any(|flag| keys::name(flag) == key);
        let sentence = if is_site && of_server {
            format!("{key} is for all sites at once; write it above the first [[site]]")
        } else if !is_site && matches!(key, "names" | "default") {
            format!("{key} belongs to a site; write [[site]] above it")
        } else if key == "config" {
            "there is no key \"config\"; a configuration is one file".to_owned()
        } else {
            let own: &[&str] = if is_site {
                SITE_KEYS
            } else {
                &["site", "rule"]
            };
            let known = keys::keys(command)
                .map(keys::name)
                .chain(own.iter().copied());
            unknown(key, known)
        };
        self.problems.add(Some(line), sentence);
    }

    /// The text of a flag as its parser takes it, with paths made absolute.
    fn checked(&self, flag: &Arg, text: &str) -> Result<OsString, String> {
        let id = flag.get_id().as_str();
        if text.is_empty() && keys::forms(flag).contains(&Form::Path) {
            return Err("it is empty; leave the key out or name a path".to_owned());
        }
        let text = keys::resolved(flag, OsStr::new(text), &self.directory);
        values::check(flag, &text)?;
        if let Some(text) = text.to_str() {
            keys::check_text(id, text)?;
        }
        Ok(text)
    }
}

/// The sentence for a key that there is not.
pub(super) fn unknown<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(key, known) {
        Some(near) => format!("there is no key {key:?}; perhaps {near} is meant"),
        None => format!("there is no key {key:?}; downpour config --schema names them all"),
    }
}

/// The text of a value, when the flag takes values of its type.
fn scalar(flag: &Arg, value: &DeValue<'_>) -> Option<String> {
    let forms = keys::forms(flag);
    let is_number = |form: &Form| matches!(form, Form::Count | Form::Port | Form::Size);
    let has_word = |text: &str| forms.contains(&Form::Word(text.to_owned()));
    match value {
        DeValue::Boolean(value) => forms.contains(&Form::Boolean).then(|| value.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            let number = i64::from_str_radix(&digits, number.radix()).ok()?;
            let text = number.to_string();
            (forms.iter().any(is_number) || has_word(&text)).then_some(text)
        }
        DeValue::Float(number) => has_word(number.as_str()).then(|| number.as_str().to_owned()),
        DeValue::String(text) => {
            let is_text = |form: &Form| {
                let others = matches!(form, Form::Boolean | Form::Count | Form::Port);
                !others
            };
            forms.iter().any(is_text).then(|| text.clone().into_owned())
        }
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
