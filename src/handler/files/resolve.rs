//! From a safe path to what stands behind it at this moment, found but not opened: by the rules,
//! the patterns to try, clean addresses, indexes and languages.
//!
//! A load and a comparison both come here, so that access rules are the same on a hit as on a miss.

use super::site::Tree;
use super::variants::{self, Variant};
use super::walk::{Located, Verdict, Walk};
use crate::engine::operation::FileKind;
use crate::http::{RequestHead, SafePath, Status};
use crate::listing::is_draft;
use crate::route::site::{CleanUrls, SiteSettings, TrailingSlash};
use crate::route::try_files::Try;
use crate::route::{Action, DependsOn, RuleContext, Steered};

/// Files at a root that rule over it; they are never served.
const RULE_FILES: [&[u8]; 2] = [b"_headers", b"_redirects"];

/// What stands behind a path.
#[derive(Debug)]
pub(super) enum Found {
    /// A file, in all its representations; with another status than 200 when a rule says so.
    File { file: FoundFile, status: Status },
    /// A directory to be listed.
    Directory {
        mount: usize,
        path: SafePath,
        located: Located,
    },
    /// Somewhere else.
    Redirect {
        status: Status,
        location: Vec<u8>,
        keeps_query: bool,
    },
    /// An error.
    Error(Status),
    /// An error that has to do with the file system.
    Refused(Verdict),
}

/// A resource.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) mount: usize,
    /// At least one; the first is the default.
    pub(super) variants: Vec<Variant>,
}

/// What was found, and whether it holds for every request for the path.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) found: Found,
    /// A rule looked at more of the request than its path.
    pub(super) is_per_request: bool,
    /// The fields of the request that rules looked at, as a list for `Vary`.
    pub(super) vary: String,
}

/// One resolution.
pub(super) struct Resolver<'a> {
    pub(super) settings: &'a SiteSettings,
    pub(super) walk: Walk<'a>,
    /// A rule has led here: the address that was asked for stays, right or not.
    pub(super) is_rewritten: bool,
}

/// What trying one thing came to.
enum Tried {
    Found(Found),
    Nothing,
    /// A directory without an index, whose own address ends in a slash.
    BareDirectory,
}

impl Resolver<'_> {
    /// Finds what `path` leads to for this request.
    pub(super) async fn resolve(&mut self, path: &SafePath, head: &RequestHead<'_>) -> Resolved {
        let tree = self.walk.tree;
        let decoded = path.to_decoded();
        let context = |path| RuleContext {
            host: head.authority,
            path,
            query: head.query,
            fields: head.fields,
        };
        let steered = tree.rules.steer(&context(&decoded));
        let mut depends_on = steered.depends_on;
        let mut found = self.follow(steered).await;
        if found.is_none() {
            found = Some(self.try_all(path).await);
            if matches!(found, Some(Found::Refused(Verdict::Missing))) {
                let steered = tree.rules.steer_missing(&context(&decoded));
                depends_on |= steered.depends_on;
                if let Some(other) = self.follow(steered).await {
                    found = Some(other);
                }
            }
        }
        Resolved {
            found: found.expect("it was tried where nothing was followed"),
            is_per_request: depends_on != DependsOn::NOTHING,
            vary: tree.rules.vary(depends_on).join(", "),
        }
    }

    /// Does what the rules say, if they say anything. What a rewrite leads to is not rewritten
    /// again, so that no rules run in a circle.
    async fn follow(&mut self, steered: Steered) -> Option<Found> {
        match steered.action {
            Action::Pass => None,
            Action::Redirect {
                status,
                location,
                keeps_query,
            } => Some(Found::Redirect {
                status,
                location,
                keeps_query,
            }),
            Action::Rewrite { path, status } => {
                self.is_rewritten = true;
                let found = match SafePath::from_decoded(&path) {
                    Some(path) => self.try_all(&path).await,
                    None => Found::Refused(Verdict::Missing),
                };
                Some(match found {
                    Found::File { file, .. } => Found::File { file, status },
                    // What a rule leads to is the rule's: its own address is not told.
                    Found::Redirect { .. } => Found::Error(Status::NOT_FOUND),
                    Found::Refused(Verdict::Missing) if status.is_error() => Found::Error(status),
                    other => other,
                })
            }
        }
    }

    async fn try_all(&mut self, path: &SafePath) -> Found {
        if path.is_hidden() && !self.settings.finding.hidden || is_draft(path.file_name()) {
            return Found::Refused(Verdict::Missing);
        }
        let settings = self.settings;
        let tries = &settings.finding.try_files.0;
        let mut bare = None;
        for (position, one) in tries.iter().enumerate() {
            let is_last = position + 1 == tries.len();
            let tried = match one {
                Try::Path { suffix } => self.try_path(path, suffix, is_last).await,
                Try::File(name) => self.try_file(name).await,
                Try::Status(code) => {
                    let status = Status::from_code(*code).unwrap_or(Status::NOT_FOUND);
                    return Found::Error(status);
                }
            };
            match tried {
                Tried::Found(found) => return found,
                Tried::BareDirectory => bare = Some(position),
                Tried::Nothing => {}
            }
        }
        match bare {
            // Nothing else was there: the directory itself says why it is not shown.
            Some(_) if !path.ends_in_slash() => self.slash_redirect(path),
            _ => Found::Refused(Verdict::Missing),
        }
    }

    async fn try_file(&mut self, name: &str) -> Tried {
        match SafePath::from_decoded(format!("/{name}").as_bytes()) {
            Some(path) => self.try_plain(&path).await,
            None => Tried::Nothing,
        }
    }

    async fn try_path(&mut self, path: &SafePath, suffix: &str, is_last: bool) -> Tried {
        if let Some(inner) = suffix.strip_prefix('/') {
            let directory = path.with_final_slash(true);
            return match inner {
                "" => self.try_directory(&directory, is_last).await,
                name => {
                    let decoded = [&directory.to_decoded()[..], name.as_bytes()].concat();
                    match SafePath::from_decoded(&decoded) {
                        Some(path) => self.try_plain(&path).await,
                        None => Tried::Nothing,
                    }
                }
            };
        }
        if path.ends_in_slash() {
            return if suffix.is_empty() {
                self.try_directory(path, is_last).await
            } else {
                Tried::Nothing
            };
        }
        if !suffix.is_empty() {
            return self.try_plain(&path.with_suffix(suffix)).await;
        }
        match self.try_plain(path).await {
            Tried::Nothing if self.settings.finding.clean_urls != CleanUrls::Off => {
                self.try_plain(&path.with_suffix(".html")).await
            }
            Tried::Found(found @ Found::File { .. }) => {
                Tried::Found(self.clean_redirect(path).unwrap_or(found))
            }
            Tried::BareDirectory => self.try_unslashed(path, is_last).await,
            other => other,
        }
    }

    /// A regular file by exactly this path, in its languages.
    async fn try_plain(&mut self, path: &SafePath) -> Tried {
        let (mount, inner) = self.walk.tree.mount_of(path);
        if self.settings.reads_rule_files && is_rule_file(self.walk.tree, mount, &inner) {
            return Tried::Nothing;
        }
        if inner.as_bytes().is_empty() {
            return Tried::BareDirectory;
        }
        match variants::find(&mut self.walk, self.settings, mount, &inner, path).await {
            Ok(Some(variants)) => Tried::Found(Found::File {
                file: FoundFile { mount, variants },
                status: Status::OK,
            }),
            Ok(None) => Tried::BareDirectory,
            Err(Verdict::Missing) => Tried::Nothing,
            Err(verdict) => Tried::Found(Found::Refused(verdict)),
        }
    }

    /// A directory that was asked for by its address with a slash: its index, or itself.
    async fn try_directory(&mut self, path: &SafePath, is_last: bool) -> Tried {
        let has_slash_policy = self.trailing_slash() == TrailingSlash::Remove;
        if let Some(found) = self.index_of(path).await {
            if has_slash_policy && !path.as_bytes().is_empty() {
                return Tried::Found(redirect_to(&path.with_final_slash(false)));
            }
            return Tried::Found(found);
        }
        if self.settings.finding.clean_urls != CleanUrls::Off && !path.as_bytes().is_empty() {
            let page = path.with_final_slash(false);
            if let Tried::Found(Found::File { .. }) =
                self.try_plain(&page.with_suffix(".html")).await
            {
                return Tried::Found(redirect_to(&page));
            }
        }
        if self.settings.listing.is_some() && is_last {
            return self.try_listing(path).await;
        }
        Tried::Nothing
    }

    async fn try_listing(&mut self, path: &SafePath) -> Tried {
        let (mount, inner) = self.walk.tree.mount_of(path);
        let located = match self.walk.find(mount, &inner).await {
            Ok(located) => located,
            Err(Verdict::Missing) => return Tried::Nothing,
            Err(verdict) => return Tried::Found(Found::Refused(verdict)),
        };
        if located.stat.kind != FileKind::Directory {
            return Tried::Nothing;
        }
        self.walk.observe_all(mount, &inner).await;
        Tried::Found(Found::Directory {
            mount,
            path: inner,
            located,
        })
    }

    /// `path` is a directory that was asked for without a slash.
    async fn try_unslashed(&mut self, path: &SafePath, is_last: bool) -> Tried {
        let directory = path.with_final_slash(true);
        match self.trailing_slash() {
            TrailingSlash::Add if is_last => Tried::Found(self.slash_redirect(path)),
            // Something else may be tried, where there is nothing to be shown.
            TrailingSlash::Add => match self.index_of(&directory).await {
                Some(_) => Tried::Found(self.slash_redirect(path)),
                None => Tried::BareDirectory,
            },
            TrailingSlash::Remove | TrailingSlash::Ignore => {
                match self.index_of(&directory).await {
                    Some(found) => Tried::Found(found),
                    // Links in a listing are relative: it needs the slash.
                    None if self.settings.listing.is_some() => {
                        Tried::Found(self.slash_redirect(path))
                    }
                    None => Tried::Nothing,
                }
            }
        }
    }

    /// The first index that is there. A path to a regular file with a slash behind it ends here,
    /// too: the kernel finds nothing below a file.
    async fn index_of(&mut self, directory: &SafePath) -> Option<Found> {
        let settings = self.settings;
        for name in &settings.finding.index_names {
            match self.try_plain(&directory.join_index(name)).await {
                Tried::Found(found) => return Some(found),
                Tried::Nothing | Tried::BareDirectory => {}
            }
        }
        None
    }

    fn trailing_slash(&self) -> TrailingSlash {
        match self.is_rewritten {
            true => TrailingSlash::Ignore,
            false => self.settings.finding.trailing_slash,
        }
    }

    fn slash_redirect(&self, path: &SafePath) -> Found {
        redirect_to(&path.with_final_slash(true))
    }

    /// Where an address with `.html` leads when addresses go without.
    fn clean_redirect(&self, path: &SafePath) -> Option<Found> {
        if self.settings.finding.clean_urls != CleanUrls::Redirect || self.is_rewritten {
            return None;
        }
        let name = path.file_name();
        let mut indexes = self.settings.finding.index_names.iter();
        if indexes.any(|index| index.as_bytes() == name && name.ends_with(b".html")) {
            let parent = [b"/", path.parent(), b"/"].concat();
            return Some(redirect_to(&SafePath::from_decoded(&parent)?));
        }
        let stem = name
            .strip_suffix(b".html")
            .filter(|stem| !stem.is_empty())?;
        Some(redirect_to(&path.with_file_name(stem)))
    }
}

/// 308 keeps the method (RFC 9110 §15.4.9).
fn redirect_to(path: &SafePath) -> Found {
    let mut location = Vec::new();
    crate::handler::redirect::push_path(&path.to_decoded(), &mut location);
    Found::Redirect {
        status: Status::PERMANENT_REDIRECT,
        location,
        keeps_query: true,
    }
}

fn is_rule_file(tree: &Tree, mount: usize, inner: &SafePath) -> bool {
    let is_root = tree.mounts[mount].prefix.is_empty();
    is_root && RULE_FILES.contains(&inner.as_bytes())
}

/// True for what no client may write, whatever the settings say: rules, and unfinished files.
pub(in crate::handler) fn is_never_written(tree: &Tree, mount: usize, inner: &SafePath) -> bool {
    is_rule_file(tree, mount, inner) || is_draft(inner.file_name())
}
