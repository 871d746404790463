//! What is asked for in all: command line, environment and file, one laid over the other.

use std::path::Path;

use clap::builder::Resettable;
use clap::{Args, FromArgMatches};

use super::file::{self, ConfigFile};
use super::settings::{Origin, Place, Setting, Settings};
use super::site_args::SiteArgs;
use super::{ServeArgs, StartError, args};

/// What is asked for, each value right by itself.
#[derive(Debug)]
pub struct Asked {
    /// The flags, as all layers together say them.
    pub args: ServeArgs,
    /// What each is set to, and by whom.
    pub settings: Settings,
    /// The file, with its sites and rules.
    pub file: Option<ConfigFile>,
}

impl Asked {
    /// Lays what the command line and the environment say over what the file says.
    pub(super) fn new(line: &Settings, path: Option<&Path>) -> Result<Asked, StartError> {
        let serve = serve();
        let file = path.map(|path| file::read(path, &serve, &site()));
        let file = file.transpose()?;
        let settings = match &file {
            Some(file) => line.over(&file.settings.over(&defaults(&serve))),
            None => line.over(&defaults(&serve)),
        };
        Ok(Asked {
            args: parse::<ServeArgs>(serve, &settings),
            settings,
            file,
        })
    }

    /// What the file alone says, as on a machine that says nothing else.
    pub fn of_file(path: &Path) -> Result<Asked, StartError> {
        Asked::new(&Settings::default(), Some(path))
    }

    /// Puts file and line in front of what is wrong, when the first flag that it names stands in
    /// the file.
    pub(super) fn locate(&self, error: StartError) -> StartError {
        let Some(file) = &self.file else {
            return error;
        };
        let texts = match flags_named(&error.what).next() {
            Some(_) => &error.what,
            None => &error.remedy,
        };
        match line_named(&self.settings, texts) {
            Some(line) => located(error, &file.path, Some(line)),
            None => error,
        }
    }
}

/// Where the file sets the first of the flags that a sentence names, of those that it sets.
pub(super) fn line_named(settings: &Settings, sentence: &str) -> Option<usize> {
    let serve = serve();
    flags_named(sentence).find_map(|key| {
        let flag = super::keys::keys(&serve).find(|flag| super::keys::name(flag) == key)?;
        settings.get(flag.get_id().as_str())?.origin.line()
    })
}

/// The keys of the flags that a sentence names.
pub(super) fn flags_named(sentence: &str) -> impl Iterator<Item = &str> {
    let is_end = |letter: char| !letter.is_ascii_alphanumeric() && letter != '-';
    let starts = sentence.split("--").skip(1);
    starts.map(move |start| start.split(is_end).next().unwrap_or_default())
}

/// An error with the place in a file in front of it.
pub(super) fn located(error: StartError, path: &Path, line: Option<usize>) -> StartError {
    StartError {
        what: format!("{}: {}", Place(path, line), error.what),
        exit_code: 2,
        ..error
    }
}

/// `downpour serve` as it is without an environment.
pub(super) fn serve() -> clap::Command {
    let definition = args::definition();
    let serve = definition.find_subcommand("serve");
    without_environment(serve.expect("serve is a command").clone())
}

/// The flags of a site, and its directory.
pub(super) fn site() -> clap::Command {
    let site = SiteArgs::augment_args(clap::Command::new("site"));
    let root = serve()
        .get_arguments()
        .find(|flag| flag.get_id() == "root")
        .cloned();
    without_environment(site.arg(root.expect("serve takes a directory")))
}

fn without_environment(command: clap::Command) -> clap::Command {
    command.mut_args(|flag| flag.env(Resettable::Reset))
}

/// What flags are set to when nobody says anything.
fn defaults(definition: &clap::Command) -> Settings {
    let mut settings = Settings::default();
    for flag in super::keys::keys(definition) {
        let texts = flag.get_default_values().iter();
        let texts: Vec<_> = texts.map(|text| text.to_os_string()).collect();
        if !texts.is_empty() {
            let setting = Setting::new(texts, Origin::Default);
            settings.set(flag.get_id().as_str(), setting);
        }
    }
    settings
}

/// The arguments that these settings are.
pub(super) fn parse<T: FromArgMatches>(command: clap::Command, settings: &Settings) -> T {
    let words = settings.words(&command);
    let matches = command
        .try_get_matches_from(words)
        .expect("each of these values has been read before");
    T::from_arg_matches(&matches).expect("the command has all arguments of the type")
}
