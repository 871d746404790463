//! The sites: what flags and the file's tables agree on, one [`SiteSettings`] each.

use std::path::{Path, PathBuf};

use super::access::absolute;
use super::asked::{self, Asked};
use super::file::SiteTable;
use super::problems::Problems;
use super::rule_table::RuleTable;
use super::settings::Settings;
use super::site_args::SiteArgs;
use super::site_values::{index_name, language, mount, spa_page, tries};
use super::{AccessTexts, RuleTexts, StartError, UnknownHost, access, root, rules};
use crate::base::limits::LANGUAGES_MAX;
use crate::route::site::{Finding, ListingSettings, Mount, Representations, SiteSettings};
use crate::route::try_files::{Try, TryFiles};
use crate::route::{HostName, Rules};

/// The sites, and which of them is for hosts that none has.
pub(super) struct Sites {
    /// At least one.
    pub(super) sites: Vec<SiteSettings>,
    /// What is said about the access to each.
    pub(super) access: Vec<AccessTexts>,
    /// `None`: such a host gets 421.
    pub(super) default: Option<usize>,
    /// Sites that ask for the preset of fields about security.
    pub(super) careful: usize,
}

impl Sites {
    /// What stands for sites that are wrong.
    pub(super) fn none() -> Sites {
        Sites {
            sites: Vec::new(),
            access: Vec::new(),
            default: None,
            careful: 0,
        }
    }
}

/// Checks all sites. What is wrong in the file is told together.
pub(super) fn check(asked: &Asked) -> Result<Sites, StartError> {
    let tables = asked.file.iter().flat_map(|file| &file.sites);
    let tables: Vec<&SiteTable> = tables.collect();
    if tables.is_empty() {
        return only_site(asked);
    }
    let file = asked.file.as_ref().expect("the tables are its");
    let mut problems = Problems::of(&file.path);
    let mut sites = Sites {
        sites: Vec::with_capacity(tables.len()),
        access: Vec::with_capacity(tables.len()),
        default: default_site(asked, &tables, &mut problems),
        careful: 0,
    };
    check_names(&tables, &mut problems);
    let mut faults = Vec::new();
    for table in &tables {
        let settings = table.settings.within(&asked.settings);
        let args: SiteArgs = asked::parse(asked::site(), &site_part(&settings));
        let site = Site {
            names: canonical(table),
            settings: &settings,
            args,
            rules_of_all: &file.rules,
            rules: &table.rules,
        };
        sites.careful += usize::from(site.args.rules.security_headers);
        sites.access.push(site.access(&mut faults));
        sites.sites.push(site.check(&mut faults));
    }
    let settings = tables.iter().map(|table| &table.settings);
    check_meaning(asked, settings, &sites.access, &mut faults);
    tell(faults, problems).map(|()| sites)
}

/// Without tables, the flags and the keys at the top are one site.
fn only_site(asked: &Asked) -> Result<Sites, StartError> {
    if asked.args.unknown_host == UnknownHost::Misdirected {
        return Err(asked.locate(StartError::usage(
            "--unknown-host 421 means nothing without sites that have names",
            "write them into a file, as [[site]] with names, and say --config FILE",
        )));
    }
    let args: SiteArgs = asked::parse(asked::site(), &site_part(&asked.settings));
    let careful = usize::from(args.rules.security_headers);
    let rules_of_all = asked.file.as_ref().map_or(&[][..], |file| &file.rules);
    let site = Site {
        names: Vec::new(),
        settings: &asked.settings,
        args,
        rules_of_all,
        rules: &[],
    };
    let mut faults = Vec::new();
    let sites = Sites {
        access: vec![site.access(&mut faults)],
        sites: vec![site.check(&mut faults)],
        default: Some(0),
        careful,
    };
    check_meaning(asked, [], &sites.access, &mut faults);
    let path = asked.file.as_ref().map(|file| file.path.as_path());
    let problems = Problems::of(path.unwrap_or(Path::new("")));
    tell(faults, problems).map(|()| sites)
}

/// What is wrong in the file, all together; or else the first that is wrong elsewhere.
fn tell(faults: Vec<Fault>, mut problems: Problems) -> Result<(), StartError> {
    let (in_file, elsewhere): (Vec<_>, Vec<_>) = faults.into_iter().partition(Fault::is_in_file);
    for fault in in_file {
        problems.add(fault.line, fault.error.to_string());
    }
    problems.into_result()?;
    match elsewhere.into_iter().next() {
        Some(fault) => Err(fault.error),
        None => Ok(()),
    }
}

/// What means nothing to any site. `of_sites`: their own settings.
fn check_meaning<'a>(
    asked: &'a Asked,
    of_sites: impl IntoIterator<Item = &'a Settings>,
    access: &[AccessTexts],
    faults: &mut Vec<Fault>,
) {
    let has_client_authorities = asked.args.tls.tls_client_ca.is_some();
    if let Err(error) = access::check_meaning(access, has_client_authorities) {
        let flag = error.what.split(' ').next().unwrap_or_default();
        let mut settings = [&asked.settings].into_iter().chain(of_sites);
        let line = settings.find_map(|settings| asked::line_named(settings, flag));
        faults.push(Fault { error, line });
    }
}

/// The settings of these that a site has.
fn site_part(settings: &Settings) -> Settings {
    let mut part = Settings::default();
    for flag in super::keys::keys(&asked::site()) {
        let id = flag.get_id().as_str();
        if let Some(setting) = settings.get(id) {
            part.set(id, setting.clone());
        }
    }
    part
}

/// The site without names, or the one that says so; else the first.
fn default_site(asked: &Asked, tables: &[&SiteTable], problems: &mut Problems) -> Option<usize> {
    let is_default = |table: &SiteTable| table.names.is_empty() || table.default_line.is_some();
    let mut defaults = tables
        .iter()
        .enumerate()
        .filter(|(_, table)| is_default(table));
    let first = defaults.next();
    let line = |table: &SiteTable| table.default_line.unwrap_or(table.line);
    if let Some((_, first)) = first {
        for (_, second) in defaults {
            let sentence = format!(
                "this is a second default site, beside that of line {}; name the hosts of one of \
                 them",
                line(first)
            );
            problems.add(Some(line(second)), sentence);
        }
    }
    match (asked.args.unknown_host, first) {
        (UnknownHost::Default, None) => Some(0),
        (UnknownHost::Default, Some((index, _))) => Some(index),
        (UnknownHost::Misdirected, None) => None,
        (UnknownHost::Misdirected, Some((_, table))) => {
            let sentence = "this is the default site, which no request would get, since \
                            unknown-host is 421; leave one of the two out";
            problems.add(Some(line(table)), sentence);
            None
        }
    }
}

/// Its hosts, in lower case.
fn canonical(table: &SiteTable) -> Vec<String> {
    let names = table.names.iter();
    let names = names.filter_map(|(name, _)| HostName::parse(name).ok());
    names.map(|name| name.to_string()).collect()
}

/// A host has one site.
fn check_names(tables: &[&SiteTable], problems: &mut Problems) {
    let mut seen: Vec<(String, usize)> = Vec::new();
    for (name, line) in tables.iter().flat_map(|table| &table.names) {
        let Ok(host) = HostName::parse(name) else {
            continue; // Has been told.
        };
        seen.push((host.to_string(), *line));
    }
    seen.sort();
    for pair in seen.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let (host, first) = &pair[0];
        let sentence = format!("{host} stands in line {first}, too; give it to one site, once");
        problems.add(Some(pair[1].1), sentence);
    }
}

/// One site as it is asked for.
struct Site<'a> {
    names: Vec<String>,
    settings: &'a Settings,
    args: SiteArgs,
    rules_of_all: &'a [RuleTable],
    /// Its own.
    rules: &'a [RuleTable],
}

/// What is wrong with a site, and where that stands when it stands in the file.
struct Fault {
    error: StartError,
    line: Option<usize>,
}

impl Fault {
    fn is_in_file(&self) -> bool {
        self.line.is_some()
    }
}

fn or_told<T: Default>(checked: Result<T, Fault>, faults: &mut Vec<Fault>) -> T {
    checked.unwrap_or_else(|fault| {
        faults.push(fault);
        T::default()
    })
}

impl Site<'_> {
    /// The settings; `faults` grows by all that is wrong with them.
    fn check(self, faults: &mut Vec<Fault>) -> SiteSettings {
        let args = &self.args;
        SiteSettings {
            names: self.names.clone(),
            root: or_told(self.root(), faults),
            mounts: self.mounts(faults),
            finding: Finding {
                index_names: or_told(self.each("index", &args.index, index_name), faults),
                try_files: or_told(self.try_files(), faults),
                clean_urls: args.clean_urls,
                trailing_slash: args.trailing_slash,
                hidden: args.hidden,
                follow_symlinks: args.follow_symlinks,
            },
            representations: Representations {
                sidecars: args.precompressed,
                compress: args.compress,
                compress_dir: args.compress_dir.as_deref().map(absolute),
                languages: or_told(self.languages(), faults),
                media_variants: args.media_variants,
                refuses_unacceptable: args.not_acceptable,
            },
            listing: args.list.then(ListingSettings::default),
            rules: or_told(self.rules(), faults),
            reads_rule_files: args.rules.rule_files,
            keep_removed: args.keep_removed,
        }
    }

    fn root(&self) -> Result<Option<PathBuf>, Fault> {
        let Some(setting) = self.settings.get("root") else {
            return Ok(None);
        };
        let path = setting.texts.last().map(Path::new).unwrap_or(Path::new(""));
        let checked = root::check(path);
        checked.map(Some).map_err(|error| Fault {
            error,
            line: setting.line_of(0),
        })
    }

    fn mounts(&self, faults: &mut Vec<Fault>) -> Vec<Mount> {
        let mut mounts = or_told(self.each("mount", &self.args.mount, mount), faults);
        for index in 0..mounts.len() {
            let (before, rest) = mounts.split_at_mut(index);
            match self.mounted(&rest[0], before) {
                Ok(root) => rest[0].root = root,
                Err(error) => faults.push(self.fault("mount", index, error)),
            }
        }
        mounts
    }

    /// The directory of a mount, which has a path of its own among those before it.
    fn mounted(&self, mount: &Mount, before: &[Mount]) -> Result<PathBuf, StartError> {
        let prefix = &mount.prefix;
        let Some(first) = before.iter().position(|one| one.prefix == *prefix) else {
            return root::check(&mount.root);
        };
        let line = self.line("mount", first);
        let place = line.map(|line| format!(" (line {line})"));
        Err(StartError::usage(
            format!("--mount names /{prefix} twice{}", place.unwrap_or_default()),
            "mount one directory at each path",
        ))
    }

    fn try_files(&self) -> Result<TryFiles, Fault> {
        let page = match &self.args.spa {
            Some(text) => spa_page(text).map_err(|why| self.refuse("spa", "--spa", text, why))?,
            None => None,
        };
        let texts = &self.args.tries;
        match page {
            Some(_) if !texts.is_empty() => {
                let place = match (self.line("spa", 0), self.line("tries", 0)) {
                    (Some(spa), Some(tries)) => format!(" (lines {spa} and {tries})"),
                    _ => String::new(),
                };
                let error = StartError::usage(
                    format!("--spa and --try are two ways to say what is tried{place}"),
                    "leave one of them out; --spa is --try '$path $path/ /index.html'",
                );
                Err(self.fault("spa", 0, error))
            }
            Some(page) => {
                let path = |suffix: &str| Try::Path {
                    suffix: suffix.to_owned(),
                };
                Ok(TryFiles(vec![path(""), path("/"), Try::File(page)]))
            }
            None if texts.is_empty() => Ok(TryFiles::default()),
            None => tries(texts.iter().map(String::as_str))
                .map_err(|why| self.refuse("tries", "--try", &texts.join(" "), why)),
        }
    }

    fn languages(&self) -> Result<Vec<String>, Fault> {
        let languages = self.each("language", &self.args.language, language)?;
        let mut sorted: Vec<&String> = languages.iter().collect();
        sorted.sort();
        let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
        let what = match twice {
            Some(pair) => format!("--language names {} twice", pair[0]),
            None if languages.len() > LANGUAGES_MAX => {
                format!("--language names more than {LANGUAGES_MAX}")
            }
            None => return Ok(languages),
        };
        let error = StartError::usage(what, "name each language once, the default first");
        Err(self.fault("language", 0, error))
    }

    fn rules(&self) -> Result<Rules, Fault> {
        let texts = RuleTexts::new(&self.args.rules, self.rules_of_all, self.rules);
        rules::rules(&texts).map_err(|error| self.fault_of_rule(error))
    }

    fn access(&self, faults: &mut Vec<Fault>) -> AccessTexts {
        let texts = AccessTexts::new(&self.args, self.rules_of_all, self.rules);
        or_told(
            texts.check().map_err(|error| self.fault_of_rule(error)),
            faults,
        );
        texts
    }

    /// It stands where the first flag that it names is said, or the last table that says it.
    fn fault_of_rule(&self, error: StartError) -> Fault {
        let key = asked::flags_named(&error.what).next();
        let tables = self.rules_of_all.iter().chain(self.rules);
        let mut said = tables.flat_map(|table| &table.said);
        let in_tables = said.rfind(|said| Some(said.key) == key);
        let line = asked::line_named(self.settings, &error.what);
        let line = line.or(in_tables.map(|said| said.line));
        Fault { error, line }
    }

    fn each<T>(
        &self,
        id: &str,
        texts: &[String],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Fault> {
        let flag = format!("--{id}");
        let one = |text: &String| parse(text).map_err(|why| self.refuse(id, &flag, text, why));
        texts.iter().map(one).collect()
    }

    fn refuse(&self, id: &str, flag: &str, text: &str, why: String) -> Fault {
        let error = StartError::usage(format!("{flag} does not take {text:?}"), why);
        self.fault(id, 0, error)
    }

    fn fault(&self, id: &str, index: usize, error: StartError) -> Fault {
        let line = self.line(id, index);
        Fault { error, line }
    }

    /// Where the file says the value of a flag with this index.
    fn line(&self, id: &str, index: usize) -> Option<usize> {
        self.settings.get(id)?.line_of(index)
    }
}
