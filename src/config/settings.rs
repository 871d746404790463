//! What each flag is set to, and by whom: the layers flag, environment, file and default.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::StartError;
use super::keys::{self, Between};

/// Who has set a value; the later wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Default,
    /// The file, in this line.
    File {
        line: usize,
    },
    Environment,
    Flag,
}

impl Origin {
    fn layer(self) -> u8 {
        match self {
            Origin::Default => 0,
            Origin::File { .. } => 1,
            Origin::Environment => 2,
            Origin::Flag => 3,
        }
    }

    /// The line of the file.
    pub fn line(self) -> Option<usize> {
        match self {
            Origin::File { line } => Some(line),
            _ => None,
        }
    }
}

/// One flag's values as texts, each right by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub texts: Vec<OsString>,
    pub origin: Origin,
    /// Where each text stands in the file.
    pub lines: Vec<usize>,
}

/// What flags are set to, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, Setting>);

/// Flags that speak of one thing: where one is said by a higher layer, those that a lower layer has
/// said of the others do not hold.
const GROUPS: &[&[&str]] = &[
    &["listen", "port"],
    &["spa", "tries"],
    &["tls_cert", "tls_key", "self_signed"],
];

impl Settings {
    /// What the command line and the environment say. Each value of a list is checked.
    pub(super) fn of_line(
        definition: &clap::Command,
        matches: &ArgMatches,
    ) -> Result<Settings, StartError> {
        let mut settings = Settings::default();
        for flag in keys::keys(definition) {
            let id = flag.get_id().as_str();
            let origin = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => Origin::Flag,
                Some(ValueSource::EnvVariable) => Origin::Environment,
                _ => Origin::Default,
            };
            let raw = matches.get_raw(id).into_iter().flatten();
            let mut texts: Vec<OsString> = raw.map(OsStr::to_owned).collect();
            if origin == Origin::Environment && keys::is_list(flag) {
                texts = split(&texts, keys::between(flag));
            }
            for text in texts.iter().filter_map(|text| text.to_str()) {
                keys::check_text(id, text).map_err(|why| {
                    let variable = flag.get_env().and_then(OsStr::to_str);
                    let name = match (origin, variable) {
                        (Origin::Environment, Some(variable)) => variable.to_owned(),
                        _ => format!("--{}", keys::name(flag)),
                    };
                    StartError::usage(format!("{name} does not take {text:?}"), why)
                })?;
            }
            // A variable that names nothing says nothing.
            if !texts.is_empty() {
                settings.set(id, Setting::new(texts, origin));
            }
        }
        Ok(settings)
    }

    pub(super) fn set(&mut self, id: &str, setting: Setting) {
        self.0.insert(id.to_owned(), setting);
    }

    /// What a flag is set to.
    pub fn get(&self, id: &str) -> Option<&Setting> {
        self.0.get(id)
    }

    /// Lays these over those of lower layers.
    pub(super) fn over(&self, lower: &Settings) -> Settings {
        let mut merged = lower.clone();
        let mut said: Vec<(&str, u8)> = Vec::new();
        for (id, setting) in &self.0 {
            let below = lower.get(id).map_or(Origin::Default, |below| below.origin);
            if setting.origin.layer() >= below.layer() {
                merged.set(id, setting.clone());
                said.push((id, setting.origin.layer()));
            }
        }
        said.retain(|(id, layer)| *layer > 0 && !merged.is_off(id));
        for (id, layer) in said {
            let groups = GROUPS.iter().filter(|group| group.contains(&id));
            for other in groups.flat_map(|group| group.iter()) {
                let lower = merged.get(other).map(|setting| setting.origin.layer());
                if lower.is_some_and(|lower| 0 < lower && lower < layer) {
                    merged.0.remove(*other);
                }
            }
        }
        merged
    }

    /// A site's own keys laid over what holds for all sites: they win, whoever says the others.
    pub(super) fn within(&self, all: &Settings) -> Settings {
        let mut merged = all.clone();
        for id in self.0.keys().filter(|id| !self.is_off(id)) {
            let groups = GROUPS.iter().filter(|group| group.contains(&id.as_str()));
            for other in groups.flat_map(|group| group.iter()) {
                merged.0.remove(*other);
            }
        }
        // Both of a group may be a site's own; that is for the check to tell.
        for (id, setting) in &self.0 {
            merged.set(id, setting.clone());
        }
        merged
    }

    /// True for `--spa=false` and `--self-signed=false`, which leave the others of their group as
    /// they are.
    fn is_off(&self, id: &str) -> bool {
        let last = self.get(id).and_then(|setting| setting.texts.last());
        matches!(id, "spa" | "self_signed") && last.is_some_and(|text| text == "false")
    }

    /// A command line that says all this, behind the name of a program.
    pub(super) fn words(&self, definition: &clap::Command) -> Vec<OsString> {
        let mut words = vec![OsString::from("downpour")];
        let mut last = Vec::new();
        for flag in keys::keys(definition) {
            let Some(setting) = self.get(flag.get_id().as_str()) else {
                continue;
            };
            for text in &setting.texts {
                match flag.get_long() {
                    None => last.extend(["--".into(), text.clone()]),
                    Some(long) => {
                        let mut word = OsString::from(format!("--{long}="));
                        word.push(text);
                        words.push(word);
                    }
                }
            }
        }
        words.append(&mut last);
        words
    }

    /// Flags with what they are set to.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.0.iter().map(|(id, setting)| (id.as_str(), setting))
    }
}

impl Setting {
    pub(super) fn new(texts: Vec<OsString>, origin: Origin) -> Setting {
        Setting {
            texts,
            origin,
            lines: Vec::new(),
        }
    }

    /// Where the text with this index stands in the file.
    pub fn line_of(&self, index: usize) -> Option<usize> {
        self.lines.get(index).copied().or(self.origin.line())
    }
}

/// A variable holds a list in one string.
fn split(texts: &[OsString], between: Between) -> Vec<OsString> {
    let is_end = |letter: char| match between {
        Between::Blanks => matches!(letter, ' ' | ',' | '\t' | '\n'),
        Between::Lines => letter == '\n',
    };
    let texts = texts.iter().map(|text| text.to_string_lossy());
    let mut values = Vec::new();
    for text in texts {
        let parts = text.split(is_end).map(str::trim);
        values.extend(parts.filter(|part| !part.is_empty()).map(OsString::from));
    }
    values
}

/// Shows where something stands: `downpour.toml:12`.
pub(super) struct Place<'a>(pub(super) &'a Path, pub(super) Option<usize>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(line) => write!(out, "{}:{line}", self.0.display()),
            None => write!(out, "{}", self.0.display()),
        }
    }
}
