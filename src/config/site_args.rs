//! The flags that a site has: alone on the command line, or as keys of the file's `[[site]]`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use super::access_args::AccessArgs;
use super::values::{boolean, clean_urls, days, not_acceptable, trailing_slash};
use super::writing_args::SiteWritingArgs;
use crate::route::site::{CleanUrls, TrailingSlash};

/// The flags of a site, each right by itself.
#[derive(Debug, Args)]
pub struct SiteArgs {
    /// File that stands for its directory; repeat it for more, the first that exists is sent
    #[arg(
        long,
        value_name = "NAME",
        default_value = "index.html",
        help_heading = "Site"
    )]
    #[arg(env = "DOWNPOUR_INDEX", hide_env = true)]
    pub index: Vec<String>,

    /// Serve one page for every path that is no file, as applications with a router of their own
    /// need it: index.html, or the one of --spa=PAGE
    #[arg(long, value_name = "BOOL|PAGE", help_heading = "Site")]
    #[arg(env = "DOWNPOUR_SPA", hide_env = true, action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub spa: Option<String>,

    /// What is tried for a path, in order, separated by blanks: $path, $path.html, $path/ (its
    /// index), /page.html (a page for all), =404 (a status) [default: $path]
    #[arg(long = "try", value_name = "PATTERN", help_heading = "Site")]
    #[arg(env = "DOWNPOUR_TRY", hide_env = true)]
    pub tries: Vec<String>,

    /// Addresses without .html: serve finds about.html for /about, redirect also sends /about.html
    /// there
    #[arg(
        long,
        value_name = "off|serve|redirect",
        default_value = "off",
        help_heading = "Site"
    )]
    #[arg(env = "DOWNPOUR_CLEAN_URLS", hide_env = true, value_parser = clean_urls)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "serve")]
    pub clean_urls: CleanUrls,

    /// The final slash of a directory's address: add and remove redirect, ignore does not mind
    #[arg(
        long,
        value_name = "add|remove|ignore",
        default_value = "add",
        help_heading = "Site"
    )]
    #[arg(env = "DOWNPOUR_TRAILING_SLASH", hide_env = true, value_parser = trailing_slash)]
    pub trailing_slash: TrailingSlash,

    /// Serve another directory below a path, as in /docs=../manual/html; repeatable
    #[arg(long, value_name = "/PREFIX=DIR", help_heading = "Site")]
    #[arg(env = "DOWNPOUR_MOUNT", hide_env = true)]
    pub mount: Vec<String>,

    /// Serve files and directories whose names begin with a dot (.well-known is served always)
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "false",
        help_heading = "Site"
    )]
    #[arg(env = "DOWNPOUR_HIDDEN", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub hidden: bool,

    /// Follow symbolic links that lead out of the directory
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "false",
        help_heading = "Site"
    )]
    #[arg(env = "DOWNPOUR_FOLLOW_SYMLINKS", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub follow_symlinks: bool,

    /// Show what a directory holds when it has no index
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "false",
        help_heading = "Site"
    )]
    #[arg(env = "DOWNPOUR_LIST", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub list: bool,

    /// Serve a removed file whose name holds a hash for so long, as in 10m: pages from before a
    /// deploy still ask for it
    #[arg(long, value_name = "TIME", default_value = "0s", help_heading = "Site")]
    #[arg(env = "DOWNPOUR_KEEP_REMOVED", hide_env = true, value_parser = days)]
    pub keep_removed: Duration,

    /// Take .br, .zst and .gz beside a file as its compressed forms, unless they are older than it
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "true",
        help_heading = "Representations"
    )]
    #[arg(env = "DOWNPOUR_PRECOMPRESSED", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub precompressed: bool,

    /// Compress what has no such form, once for each file
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "true",
        help_heading = "Representations"
    )]
    #[arg(env = "DOWNPOUR_COMPRESS", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub compress: bool,

    /// Keep compressed forms in this directory, for the time after a restart
    #[arg(long, value_name = "DIR", help_heading = "Representations")]
    #[arg(env = "DOWNPOUR_COMPRESS_DIR", hide_env = true)]
    pub compress_dir: Option<PathBuf>,

    /// Language of page.de.html, page.html.de and /de/page.html, as in de or pt-BR, chosen by
    /// Accept-Language; repeatable, the first is the default
    #[arg(long, value_name = "TAG", help_heading = "Representations")]
    #[arg(env = "DOWNPOUR_LANGUAGE", hide_env = true)]
    pub language: Vec<String>,

    /// Send image.avif or image.webp for image.jpg, and page.md for page.html, to who accepts them
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "false",
        help_heading = "Representations"
    )]
    #[arg(env = "DOWNPOUR_MEDIA_VARIANTS", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub media_variants: bool,

    /// Who accepts nothing of what is there gets it all the same, or 406
    #[arg(
        long,
        value_name = "serve|406",
        default_value = "serve",
        help_heading = "Representations"
    )]
    #[arg(env = "DOWNPOUR_NOT_ACCEPTABLE", hide_env = true, value_parser = not_acceptable)]
    #[arg(action = ArgAction::Set)]
    pub not_acceptable: bool,

    #[command(flatten)]
    pub rules: RuleArgs,

    #[command(flatten)]
    pub access: AccessArgs,

    #[command(flatten)]
    pub writing: SiteWritingArgs,
}

/// The flags of a site's rules, which stand in [`RuleTexts`](super::rules::RuleTexts) as texts.
#[derive(Debug, Args)]
pub struct RuleArgs {
    /// Field of answers, for all paths or those of a glob, as in '/api/** X-A: b'; +NAME: VALUE
    /// adds one more, !NAME takes it away; repeatable
    #[arg(long, value_name = "[GLOB ]NAME: VALUE", help_heading = "Rules")]
    #[arg(env = "DOWNPOUR_HEADER", hide_env = true)]
    pub header: Vec<String>,

    /// Cache-Control: auto (no-cache for pages, a year for names with a hash), off, or a value, for
    /// all paths or those of a glob, as in '*.css max-age=600'; repeatable [default: off]
    #[arg(long, value_name = "off|auto|[GLOB ]VALUE", help_heading = "Rules")]
    #[arg(env = "DOWNPOUR_CACHE_CONTROL", hide_env = true)]
    pub cache_control: Vec<String>,

    /// Send fields that make browsers careful (nosniff, frames of this site only, …), and over TLS
    /// --hsts 8760h unless it is said
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "false",
        help_heading = "Rules"
    )]
    #[arg(env = "DOWNPOUR_SECURITY_HEADERS", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub security_headers: bool,

    /// Send clients elsewhere, as in '/old/* /new/:splat 308'; repeatable, the first that fits
    /// counts
    #[arg(long, value_name = "FROM TO [STATUS]", help_heading = "Rules")]
    #[arg(env = "DOWNPOUR_REDIRECT", hide_env = true)]
    pub redirect: Vec<String>,

    /// Serve another path in its place, as in '/app/* /app/index.html'; repeatable
    #[arg(long, value_name = "FROM TO", help_heading = "Rules")]
    #[arg(env = "DOWNPOUR_REWRITE", hide_env = true)]
    pub rewrite: Vec<String>,

    /// Page of the site for an error, as in 404=/404.html or '/de/** 4xx=/de/error.html';
    /// repeatable
    #[arg(long, value_name = "[GLOB ]STATUS=PAGE", help_heading = "Rules")]
    #[arg(env = "DOWNPOUR_ERROR_PAGE", hide_env = true)]
    pub error_page: Vec<String>,

    /// Answer 503 for all paths, or with --maintenance=GLOB (repeatable) for those
    #[arg(long, value_name = "BOOL|GLOB", help_heading = "Rules")]
    #[arg(env = "DOWNPOUR_MAINTENANCE", hide_env = true, action = ArgAction::Append)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub maintenance: Vec<String>,

    /// Page of the site that is shown meanwhile
    #[arg(long, value_name = "PAGE", help_heading = "Rules")]
    #[arg(env = "DOWNPOUR_MAINTENANCE_PAGE", hide_env = true)]
    pub maintenance_page: Option<String>,

    /// Be under maintenance while this file exists, and only then
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    #[arg(env = "DOWNPOUR_MAINTENANCE_WHEN", hide_env = true)]
    pub maintenance_when: Option<PathBuf>,

    /// When clients should ask again during maintenance, as in 10m
    #[arg(long, value_name = "TIME", help_heading = "Rules")]
    #[arg(env = "DOWNPOUR_RETRY_AFTER", hide_env = true, value_parser = days)]
    pub retry_after: Option<Duration>,

    /// Field of requests in which a proxy that you trust says the country, for the conditions of
    /// redirects
    #[arg(long, value_name = "FIELD", help_heading = "Rules")]
    #[arg(env = "DOWNPOUR_COUNTRY_HEADER", hide_env = true)]
    pub country_header: Option<String>,

    /// Obey the files _headers and _redirects of the directory, which are never served
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "true",
        help_heading = "Rules"
    )]
    #[arg(env = "DOWNPOUR_RULE_FILES", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub rule_files: bool,
}
