//! The sites of a configuration: one from the flags alone, or those of the file's tables.

use std::path::{Path, PathBuf};

use clap::FromArgMatches;

use super::args::{self, Asked};
use super::file::{ConfigFile, SiteTable};
use super::problems::Problems;
use super::rules::{RuleTexts, rules};
use super::serve_args::UnknownHost;
use super::settings::Settings;
use super::site_args::SiteArgs;
use super::site_values::{index_name, language, mount, spa_page, tries};
use super::{StartError, root};
use crate::base::limits::LANGUAGES_MAX;
use crate::route::site::{Finding, ListingSettings, Mount, Representations, SiteSettings};
use crate::route::try_files::{Try, TryFiles};
use crate::route::{HostName, Hosts};

/// The sites, at least one, and which host is answered by which.
pub(super) struct Sites {
    pub(super) sites: Vec<SiteSettings>,
    pub(super) hosts: Hosts,
    /// One of them wants browsers to be careful.
    pub(super) security_headers: bool,
}

/// What one site is made of.
struct Source<'a> {
    args: &'a SiteArgs,
    root: Option<PathBuf>,
    settings: &'a Settings,
    /// Of the file, and the site's own.
    tables: Vec<&'a super::rule_table::RuleTable>,
}

/// Puts the sites together. What is wrong with those of a file is told all at once.
pub(super) fn sites(asked: &Asked) -> Result<Sites, StartError> {
    let tables = asked.file.as_ref().map_or(&[][..], |file| &file.sites);
    if tables.is_empty() {
        let rules = asked.file.iter().flat_map(|file| &file.rules);
        let site = site(&Source {
            args: &asked.args.site,
            root: asked.args.root.clone(),
            settings: &asked.settings,
            tables: rules.collect(),
        })?;
        return Ok(Sites {
            sites: vec![site],
            hosts: Hosts::only(),
            security_headers: asked.args.site.rules.security_headers,
        });
    }
    let file = asked.file.as_ref().expect("it has the tables");
    of_file(asked, file)
}

fn of_file(asked: &Asked, file: &ConfigFile) -> Result<Sites, StartError> {
    let mut problems = Problems::of(&file.path);
    let mut sites = Vec::new();
    let mut security_headers = false;
    for table in &file.sites {
        match of_table(asked, file, table) {
            Ok((site, is_careful)) => {
                security_headers |= is_careful;
                sites.push(site);
            }
            Err(error) => problems.add(Some(table.line), error.to_string()),
        }
    }
    let hosts = hosts(asked, file, &mut problems);
    problems.into_result()?;
    Ok(Sites {
        sites,
        hosts: hosts.unwrap_or_default(),
        security_headers,
    })
}

fn of_table(
    asked: &Asked,
    file: &ConfigFile,
    table: &SiteTable,
) -> Result<(SiteSettings, bool), StartError> {
    let settings = table.settings.within(&asked.settings);
    let definition = args::site_definition();
    let words = settings.words(&definition);
    let matches = args::matches(definition, words)?;
    let site_args = SiteArgs::from_arg_matches(&matches).map_err(args::wrong)?;
    let root: Option<PathBuf> = matches.get_one("root").cloned();
    if root.is_none() {
        return Err(StartError::usage(
            "this site has no directory",
            "say root = \"DIR\" in it",
        ));
    }
    let source = Source {
        args: &site_args,
        root,
        settings: &settings,
        tables: file.rules.iter().chain(&table.rules).collect(),
    };
    let mut site = site(&source)?;
    site.names = table.names.iter().map(|(name, _)| name.clone()).collect();
    Ok((site, site_args.rules.security_headers))
}

/// Which host is answered by which site; a host that two have is told with its line.
fn hosts(asked: &Asked, file: &ConfigFile, problems: &mut Problems) -> Option<Hosts> {
    let mut all: Vec<(Vec<HostName>, usize)> = Vec::new();
    let mut seen: Vec<(HostName, usize, usize)> = Vec::new();
    let mut default: Option<(usize, usize)> = None;
    for (position, table) in file.sites.iter().enumerate() {
        let mut names = Vec::new();
        for (text, line) in &table.names {
            let Ok(name) = HostName::parse(text) else {
                continue; // It was told when the file was read.
            };
            let before = seen
                .iter()
                .find(|(known, at, _)| *known == name && *at != position);
            if let Some((_, _, before)) = before {
                let sentence = format!("{text} belongs to the site of line {before} already");
                problems.add(Some(*line), sentence);
                continue;
            }
            seen.push((name.clone(), position, *line));
            names.push(name);
        }
        let line = table
            .default_line
            .or(table.names.is_empty().then_some(table.line));
        match (line, default) {
            (Some(line), Some((_, before))) => {
                let sentence = format!("the site of line {before} is the default one already");
                problems.add(Some(line), format!("{sentence}; give this one names"));
            }
            (Some(line), None) => default = Some((position, line)),
            (None, _) => {}
        }
        all.push((names, position));
    }
    let default = match asked.args.unknown_host {
        UnknownHost::Misdirected => default.map(|(position, _)| position),
        // Without a site for all others, the first answers.
        UnknownHost::Default => Some(default.map_or(0, |(position, _)| position)),
    };
    match Hosts::new(all, default) {
        Ok(hosts) => Some(hosts),
        Err(why) => {
            problems.add(None, why);
            None
        }
    }
}

fn site(source: &Source<'_>) -> Result<SiteSettings, StartError> {
    let args = source.args;
    let root = source.root.as_deref().map(root::check).transpose()?;
    let texts = RuleTexts::new(&args.rules, source.tables.iter().copied());
    Ok(SiteSettings {
        names: Vec::new(),
        mounts: mounts(args)?,
        finding: finding(source)?,
        representations: representations(args)?,
        listing: args.list.then(ListingSettings::default),
        rules: rules(&texts)?,
        reads_rule_files: args.rules.rule_files,
        keep_removed: args.keep_removed,
        root,
    })
}

fn finding(source: &Source<'_>) -> Result<Finding, StartError> {
    let args = source.args;
    let index_names = read_all("--index", &args.index, index_name)?;
    let spa = match &args.spa {
        Some(text) => spa_page(text).map_err(|why| refuse("--spa", text, why))?,
        None => None,
    };
    if spa.is_some() && !args.tries.is_empty() {
        let said = |id| {
            source
                .settings
                .get(id)
                .and_then(|setting| setting.origin.line())
        };
        let place = match (said("spa"), said("tries")) {
            (Some(spa), Some(tries)) => format!(" (lines {spa} and {tries})"),
            _ => String::new(),
        };
        return Err(StartError::usage(
            format!("--spa and --try both say what is tried{place}"),
            "--spa means --try '$path $path/ /index.html': leave one of them out",
        ));
    }
    let try_files = match spa {
        Some(page) => TryFiles(vec![
            Try::Path {
                suffix: String::new(),
            },
            Try::Path {
                suffix: "/".to_owned(),
            },
            Try::File(page),
        ]),
        None if args.tries.is_empty() => TryFiles::default(),
        None => {
            let texts = args.tries.iter().map(String::as_str);
            tries(texts).map_err(|why| refuse("--try", &args.tries.join(" "), why))?
        }
    };
    Ok(Finding {
        index_names,
        try_files,
        clean_urls: args.clean_urls,
        trailing_slash: args.trailing_slash,
        hidden: args.hidden,
        follow_symlinks: args.follow_symlinks,
    })
}

fn mounts(args: &SiteArgs) -> Result<Vec<Mount>, StartError> {
    let mut mounts: Vec<Mount> = Vec::new();
    for text in &args.mount {
        let Mount { prefix, root } = mount(text).map_err(|why| refuse("--mount", text, why))?;
        if mounts.iter().any(|known| known.prefix == prefix) {
            return Err(StartError::usage(
                format!("two directories are mounted at /{prefix}"),
                "give one of them another path",
            ));
        }
        let root = root::check(&root)?;
        mounts.push(Mount { prefix, root });
    }
    Ok(mounts)
}

fn representations(args: &SiteArgs) -> Result<Representations, StartError> {
    let languages = read_all("--language", &args.language, language)?;
    if languages.len() > LANGUAGES_MAX {
        return Err(StartError::usage(
            format!("--language is said {} times", languages.len()),
            format!("a site has at most {LANGUAGES_MAX} languages"),
        ));
    }
    Ok(Representations {
        sidecars: args.precompressed,
        compress: args.compress,
        compress_dir: args.compress_dir.as_deref().map(absolute),
        languages,
        media_variants: args.media_variants,
        refuses_unacceptable: args.not_acceptable,
    })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn read_all<T>(
    flag: &str,
    texts: &[String],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, StartError> {
    let one = |text: &String| read(text).map_err(|why| refuse(flag, text, why));
    texts.iter().map(one).collect()
}

fn refuse(flag: &str, text: &str, why: String) -> StartError {
    StartError::usage(format!("{flag} does not take {text:?}"), why)
}
