//! The rules of a site, from the texts of flags and the file's tables.

use std::path::PathBuf;
use std::time::Duration;

use super::StartError;
use super::rule_table::{RuleTable, last_counts};
use super::site_args::RuleArgs;
use crate::base::limits::SITE_RULES_MAX;
use crate::route::{
    CacheRule, ErrorPageRule, FieldRule, Maintenance, RedirectRule, RuleSettings, Rules,
};

/// The rules of one site as they are written, each list in the order in which it counts: of
/// redirects and rewrites the first, of the others the last that fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleTexts {
    pub headers: Vec<String>,
    pub cache_control: Vec<String>,
    pub security_headers: bool,
    pub redirects: Vec<String>,
    pub rewrites: Vec<String>,
    pub error_pages: Vec<String>,
    /// Globs; an empty one for every path.
    pub maintenance: Vec<String>,
    /// A path of the site.
    pub maintenance_page: Option<String>,
    pub maintenance_when: Option<PathBuf>,
    pub retry_after: Option<Duration>,
    pub country_header: Option<String>,
}

impl RuleTexts {
    /// Puts what flags and keys say together with the tables of the file, which are about some
    /// paths and therefore win: those of a site over those of all sites.
    pub(super) fn new(args: &RuleArgs, of_all: &[RuleTable], of_site: &[RuleTable]) -> RuleTexts {
        let said = |key: &'static str, texts: &[String]| last_counts(key, texts, of_all, of_site);
        let first = |key: &'static str, texts: &[String]| {
            let tables = of_site.iter().chain(of_all);
            let in_tables = tables.flat_map(|table| table.texts(key));
            in_tables.chain(texts.iter().cloned()).collect()
        };
        let mut maintenance: Vec<String> = said("maintenance", &globs(&args.maintenance));
        // Its file alone is maintenance of everything while that exists.
        if args.maintenance.is_empty() && maintenance.is_empty() && args.maintenance_when.is_some()
        {
            maintenance.push(String::new());
        }
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or(path.clone());
        RuleTexts {
            headers: said("header", &args.header),
            cache_control: said("cache-control", &args.cache_control),
            security_headers: args.security_headers,
            redirects: first("redirect", &args.redirect),
            rewrites: first("rewrite", &args.rewrite),
            error_pages: said("error-page", &args.error_page),
            maintenance,
            maintenance_page: args.maintenance_page.clone(),
            maintenance_when: args.maintenance_when.as_ref().map(absolute),
            retry_after: args.retry_after,
            country_header: args.country_header.clone(),
        }
    }
}

/// `--maintenance` alone comes as `true`; `false` takes back what stands before it.
fn globs(values: &[String]) -> Vec<String> {
    let mut globs = Vec::new();
    for value in values {
        match value.as_str() {
            "false" => globs.clear(),
            "true" => globs.push(String::new()),
            glob => globs.push(glob.to_owned()),
        }
    }
    globs
}

/// Checks one text of a flag. The fault is a sentence for the operator.
pub(super) fn check_text(id: &str, text: &str) -> Result<(), String> {
    match id {
        "header" => FieldRule::parse(text).map(|_| ()),
        "cache_control" => CacheRule::parse(text).map(|_| ()),
        "redirect" => RedirectRule::parse(text).map(|_| ()),
        "rewrite" => RedirectRule::parse_rewrite(text).map(|_| ()),
        "error_page" => ErrorPageRule::parse(text).map(|_| ()),
        "maintenance" if matches!(text, "true" | "false") => Ok(()),
        "maintenance" => Maintenance::parse(text).map(|_| ()),
        "maintenance_page" => page(text).map(|_| ()),
        _ => Ok(()),
    }
}

/// Compiles the rules of a site.
pub fn rules(texts: &RuleTexts) -> Result<Rules, StartError> {
    let redirects = parse_all("--redirect", &texts.redirects, RedirectRule::parse)?;
    let rewrites = parse_all("--rewrite", &texts.rewrites, RedirectRule::parse_rewrite)?;
    let page = texts.maintenance_page.as_deref();
    let page = page.map(page_of("--maintenance-page")).transpose()?;
    let maintenance = |text: &str| {
        Maintenance::parse(text).map(|maintenance| Maintenance {
            page: page.clone(),
            retry_after_seconds: texts.retry_after.map(|time| time.as_secs()),
            when_file: texts.maintenance_when.clone(),
            ..maintenance
        })
    };
    Ok(Rules::new(RuleSettings {
        redirects: [redirects, rewrites].concat(),
        fields: parse_all("--header", &texts.headers, FieldRule::parse)?,
        cache: parse_all("--cache-control", &texts.cache_control, CacheRule::parse)?,
        security_headers: texts.security_headers,
        error_pages: parse_all("--error-page", &texts.error_pages, ErrorPageRule::parse)?,
        maintenance: parse_all("--maintenance", &texts.maintenance, maintenance)?,
        country_header: texts.country_header.clone(),
    }))
}

fn parse_all<T>(
    flag: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, StartError> {
    if texts.len() > SITE_RULES_MAX {
        return Err(StartError::usage(
            format!("{flag} is said {} times for one site", texts.len()),
            format!("a site has at most {SITE_RULES_MAX} rules of a kind"),
        ));
    }
    let rule = |text: &String| parse(text).map_err(|why| refuse(flag, text, why));
    texts.iter().map(rule).collect()
}

fn refuse(flag: &str, text: &str, why: String) -> StartError {
    StartError::usage(format!("{flag} does not take {text:?}"), why)
}

fn page_of(flag: &str) -> impl Fn(&str) -> Result<String, StartError> {
    move |text| page(text).map_err(|why| refuse(flag, text, why))
}

/// A page of the site: decoded, with its leading slash.
fn page(text: &str) -> Result<String, String> {
    match super::site_values::spa_page(text)? {
        Some(page) if text.starts_with('/') => Ok(format!("/{page}")),
        _ => Err("it is a page of the site, as in /maintenance.html".to_owned()),
    }
}
