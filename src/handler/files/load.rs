//! Makes entries, and compares them with the disk again. Slow lane only.

use std::sync::Arc;

use super::contents::Unread;
use super::listed::{self, Shown};
use super::resolve::{Found, Resolved, Resolver};
use super::site::{Site, Tree};
use super::walk::{Purpose, Trail, Verdict, Walk};
use super::{FileServices, pages};
use crate::base::Now;
use crate::base::limits::LOAD_ATTEMPTS_MAX;
use crate::cache::{Content, Entry, Hold, Lookup, Origin, Outcome, Page, Refresh, Store, Wanted};
use crate::http::{RequestHead, SafePath, Status};
use crate::task::Io;
use crate::watch::{Name, Observation, Watch};

/// One load.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) site: &'a Site,
    pub(super) tree: &'a Tree,
    /// The host of the request, where the rules tell hosts apart.
    pub(super) host: Option<&'a [u8]>,
    pub(super) services: &'a FileServices,
    pub(super) store: &'a Store,
    pub(super) watch: &'a Watch,
    pub(super) io: &'a Io,
    pub(super) now: Now,
    /// Changes that this process had made to files before the first look.
    pub(super) writes: u64,
    pub(super) wanted: Wanted,
    /// Nothing is kept: the file is opened for this one answer.
    pub(super) opens: bool,
}

impl Loader<'_> {
    /// The key of a path in the store.
    pub(super) fn key(&self, path: &SafePath) -> Box<[u8]> {
        self.site.store_key(self.tree.generation, self.host, path)
    }

    /// What `path` leads to: from the store, from the disk, or from somebody else's load.
    pub(super) async fn fetch(&self, path: &SafePath, head: &RequestHead<'_>) -> Arc<Entry> {
        let key = self.key(path);
        let (ticket, old) = match self.store.lookup(&key, self.now.monotonic).await {
            Lookup::Current(entry) => return entry,
            Lookup::Vacant(ticket) => (ticket, None),
            Lookup::Stale(ticket, entry) => (ticket, Some(entry)),
        };
        let purpose = match &old {
            Some(_) => Purpose::Compare,
            None => Purpose::Load,
        };
        let (resolved, trail) = self.resolve(path, head, purpose).await;
        if let Some(old) = &old
            && (self.confirms(old, &resolved, &trail) || self.keeps_removed(old, path, &resolved))
        {
            ticket.confirm();
            return Arc::clone(old);
        }
        let entry = self.load(path, key, head, resolved, trail, old).await;
        entry.seen_at(self.writes);
        ticket.fill(Arc::clone(&entry));
        if entry.has_new_forms() {
            entry.suspect(); // It was made while the entry was; its maker saw the old one.
        }
        entry
    }

    /// What `path` leads to for this one request.
    pub(super) async fn fetch_for_request(
        &self,
        path: &SafePath,
        head: &RequestHead<'_>,
    ) -> Arc<Entry> {
        let (resolved, trail) = self.resolve(path, head, Purpose::Load).await;
        self.load_for_request(path, head, resolved, trail).await
    }

    /// The same, of what was found already.
    pub(super) async fn load_for_request(
        &self,
        path: &SafePath,
        head: &RequestHead<'_>,
        mut resolved: Resolved,
        trail: Trail,
    ) -> Arc<Entry> {
        let key = self.key(path);
        resolved.is_per_request = false;
        let entry = self.load(path, key, head, resolved, trail, None).await;
        entry.seen_at(self.writes);
        entry
    }

    /// Compares an ageing entry with the disk while it is still being served.
    pub(super) async fn refresh(&self, refresh: Refresh, path: &SafePath, head: &RequestHead<'_>) {
        let entry = refresh.entry();
        let (resolved, trail) = self.resolve(path, head, Purpose::Compare).await;
        if self.confirms(entry, &resolved, &trail) {
            self.store.mark_used(entry);
        } else if !self.keeps_removed(entry, path, &resolved) {
            // The next request loads it: it must wait for the new state anyway.
            self.store.forget(entry);
        }
    }

    /// Makes an entry anew that is asked for often, with its body in memory.
    pub(super) async fn promote(
        &self,
        path: &SafePath,
        head: &RequestHead<'_>,
    ) -> Option<Arc<Entry>> {
        let key = self.key(path);
        let (resolved, trail) = self.resolve(path, head, Purpose::Load).await;
        if !matches!(resolved.found, Found::File { .. }) {
            return None;
        }
        let old = self.store.peek(&key);
        let entry = self.load(path, key, head, resolved, trail, old).await;
        entry.seen_at(self.writes);
        self.store.replace(&entry);
        Some(entry)
    }

    /// A way through the tree, for one purpose.
    pub(super) fn walk(&self, purpose: Purpose, trail: Trail) -> Walk<'_> {
        Walk {
            tree: self.tree,
            io: self.io,
            watch: self.watch,
            pool: &self.services.pool,
            follows_links: self.site.settings().finding.follow_symlinks,
            purpose,
            trail,
        }
    }

    pub(super) async fn resolve(
        &self,
        path: &SafePath,
        head: &RequestHead<'_>,
        purpose: Purpose,
    ) -> (Resolved, Trail) {
        let settings = self.site.settings();
        let mut resolver = Resolver {
            settings,
            walk: self.walk(purpose, Trail::default()),
            is_rewritten: false,
        };
        let resolved = resolver.resolve(path, head).await;
        (resolved, resolver.walk.trail)
    }

    /// True when the disk proves that `old` may go on.
    fn confirms(&self, old: &Arc<Entry>, resolved: &Resolved, trail: &Trail) -> bool {
        let Found::File { file, status } = &resolved.found else {
            return false;
        };
        let is_same = *status == Status::OK
            && !resolved.is_per_request
            && old.is_unchanged(&file.states())
            && !old.has_new_forms();
        if is_same {
            old.touch(self.now.monotonic);
            old.seen_at(self.writes);
            self.follow(old, trail);
        }
        is_same
    }

    /// Lets the watch tell the entry of changes, where everything that it depends on is watched.
    pub(super) fn follow(&self, entry: &Arc<Entry>, trail: &Trail) {
        let Some(seen) = trail.watched() else {
            return;
        };
        let names: Vec<(Observation, Name<'_>)> = seen
            .iter()
            .map(|(observation, name)| {
                let name = name.as_ref().map_or(Name::Any, |name| Name::Is(name));
                (*observation, name)
            })
            .collect();
        // Otherwise it has changed meanwhile, or there is no room: it is compared by its age.
        let _ = self.watch.register(entry, &names);
    }

    /// True when the file behind `old` is gone and its name holds a hash: who has an older page may
    /// still ask for it, for a while.
    fn keeps_removed(&self, old: &Arc<Entry>, path: &SafePath, resolved: &Resolved) -> bool {
        let keep = self.site.settings().keep_removed;
        let is_gone = matches!(resolved.found, Found::Refused(Verdict::Missing));
        let is_kept = is_gone
            && !keep.is_zero()
            && crate::route::cache_control::has_hash(path.file_name())
            && is_in_hand(old)
            && old.keep_for(keep, self.now.monotonic);
        if is_kept {
            old.touch(self.now.monotonic);
        }
        is_kept
    }

    /// What an earlier tree holds under a name with a hash.
    async fn load_removed(
        &self,
        path: &SafePath,
        key: &[u8],
        head: &RequestHead<'_>,
    ) -> Option<Arc<Entry>> {
        if !crate::route::cache_control::has_hash(path.file_name()) {
            return None;
        }
        let now = std::time::Instant::now();
        for (tree, until) in &self.tree.previous {
            if *until <= now {
                continue;
            }
            let earlier = Loader { tree, ..*self };
            let old_key = earlier.key(path);
            if let Some(old) = self.store.peek(&old_key)
                && is_in_hand(&old)
            {
                old.touch(self.now.monotonic);
                old.keep_for(until.saturating_duration_since(now), self.now.monotonic);
                return Some(old);
            }
            let (resolved, _) = earlier.resolve(path, head, Purpose::Load).await;
            if let Found::File { file, status } = &resolved.found
                && *status == Status::OK
                && let Ok(entry) = earlier.build(path, key.into(), file, &[], "").await
            {
                // Its time is that of its deploy, not of the first question.
                entry.keep_for(until.saturating_duration_since(now), self.now.monotonic);
                return Some(Arc::new(entry));
            }
        }
        None
    }

    /// Makes an entry of what was found. A file that changes while it is read is found again.
    async fn load(
        &self,
        path: &SafePath,
        key: Box<[u8]>,
        head: &RequestHead<'_>,
        resolved: Resolved,
        trail: Trail,
        old: Option<Arc<Entry>>,
    ) -> Arc<Entry> {
        let (mut resolved, mut trail) = (resolved, trail);
        for attempt in 1..=LOAD_ATTEMPTS_MAX {
            if resolved.is_per_request {
                let outcome = Outcome::PerRequest;
                return self.page_entry(key, outcome, &trail);
            }
            let Found::File { file, status } = &resolved.found else {
                break;
            };
            if *status != Status::OK {
                let page = pages::of_file(self, path, file, *status).await;
                return self.page_entry(key, Outcome::Page(page), &trail);
            }
            let states = file.states();
            let unchanged = old.as_ref().filter(|old| old.is_unchanged(&states));
            let forms = unchanged
                .map(|old| Arc::clone(old.forms()))
                .unwrap_or_default();
            let (made, version) = forms.all();
            match self
                .build(path, key.clone(), file, &made, &resolved.vary)
                .await
            {
                Ok(entry) => {
                    let entry = Arc::new(entry.with_forms(forms, version));
                    self.follow(&entry, &trail);
                    return entry;
                }
                Err(Unread::Verdict(verdict)) => {
                    resolved.found = Found::Refused(verdict);
                    break;
                }
                Err(Unread::Grew(bytes)) if attempt == LOAD_ATTEMPTS_MAX => {
                    return Arc::new(self.snapshot(path, key, file, bytes));
                }
                Err(Unread::Grew(_) | Unread::Changed) if attempt == LOAD_ATTEMPTS_MAX => {
                    resolved.found = Found::Refused(Verdict::Changing);
                    break;
                }
                Err(Unread::Grew(_) | Unread::Changed) => {}
            }
            (resolved, trail) = self.resolve(path, head, Purpose::Load).await;
        }
        self.load_page(path, key, head, resolved, trail).await
    }

    /// Makes an entry of what is no file.
    async fn load_page(
        &self,
        path: &SafePath,
        key: Box<[u8]>,
        head: &RequestHead<'_>,
        resolved: Resolved,
        mut trail: Trail,
    ) -> Arc<Entry> {
        let Resolved { found, vary, .. } = resolved;
        let (page, is_lasting) = match found {
            Found::File { .. } => unreachable!("files were made into entries"),
            Found::Directory {
                mount,
                path: inner,
                located,
            } => {
                let shown = Shown {
                    mount,
                    inner: &inner,
                    located: &located,
                };
                match listed::load(self, path, key.clone(), &shown).await {
                    Ok(entry) => {
                        let entry = Arc::new(entry);
                        self.follow(&entry, &trail);
                        return entry;
                    }
                    Err(status) => (pages::error(self, path, status, &mut trail).await, false),
                }
            }
            Found::Redirect {
                status,
                location,
                keeps_query,
            } => {
                let page = pages::redirect(self, path, status, location, keeps_query, &vary);
                (page, true)
            }
            Found::Error(status) => (pages::error(self, path, status, &mut trail).await, true),
            Found::Refused(verdict) => {
                if verdict == Verdict::Missing
                    && let Some(entry) = self.load_removed(path, &key, head).await
                {
                    return entry;
                }
                let status = status_of(verdict);
                let page = pages::error(self, path, status, &mut trail).await;
                (page, verdict.is_lasting())
            }
        };
        let outcome = Outcome::Page(page);
        if is_lasting {
            return self.page_entry(key, outcome, &trail);
        }
        let (origin, hold) = (Origin::Unknown, Hold::unkept());
        let entry = Entry::new(key, outcome, origin, hold, self.now.monotonic);
        Arc::new(entry.passing())
    }

    /// A page that is looked at again after a moment.
    pub(super) fn unwatched_page(&self, path: &SafePath, page: Page) -> Arc<Entry> {
        let key = self.key(path);
        self.page_entry(key, Outcome::Page(page), &Trail::default())
    }

    fn page_entry(&self, key: Box<[u8]>, outcome: Outcome, trail: &Trail) -> Arc<Entry> {
        let (origin, hold) = (Origin::Unknown, Hold::unkept());
        let entry = Arc::new(Entry::new(key, outcome, origin, hold, self.now.monotonic));
        entry.seen_at(self.writes);
        self.follow(&entry, trail);
        entry
    }
}

/// True when an entry can be sent although its file has no name any more.
fn is_in_hand(entry: &Entry) -> bool {
    match entry.outcome() {
        Outcome::Resource(resource) => resource
            .all()
            .all(|one| !matches!(one.content, Content::Named(_))),
        Outcome::Page(_) | Outcome::PerRequest => false,
    }
}

fn status_of(verdict: Verdict) -> Status {
    match verdict {
        Verdict::Missing => Status::NOT_FOUND,
        Verdict::Forbidden => Status::FORBIDDEN,
        Verdict::Changing | Verdict::Exhausted => Status::SERVICE_UNAVAILABLE,
        Verdict::Failed => Status::INTERNAL_SERVER_ERROR,
    }
}
