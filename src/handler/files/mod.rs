//! Files: the fast lane answers from this worker's index, the slow lane asks the store and the
//! disk.
//!
//! ```text
//! serve(head) -> Hit | Answer     known and fresh
//!             -> Slow             load(head, why, io) -> Loaded; remember(what it says)
//! an aside came with the answer: do_aside(it, io) runs beside it
//! once a second: sweep()
//! ```
//!
//! From the inside: `site` is what is served, `walk` looks names up, `resolve` and `variants` find
//! what stands behind a path, `contents` reads it, `build` and `render` make an entry of it, `load`
//! says when; `choose` and `reply` answer a request from an entry, `pages` are the answers without
//! a resource, `listed` shows directories, `make` compresses beside the answers.

mod answering;
mod beside;
mod build;
mod choose;
mod contents;
mod listed;
mod load;
mod make;
mod pages;
mod render;
mod reply;
mod resolve;
mod site;
mod variants;
mod walk;
mod warnings;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use answering::Answering;
use choose::CodingMemo;
pub use listed::Listings;
use load::Loader;
pub(in crate::handler) use render::{Dress, representation};
use reply::{Refused, Replied, Reply, Scene};
pub(in crate::handler) use resolve::is_never_written;
pub(in crate::handler) use site::Tree;
pub use site::{MountPoint, Site, TreeChange, open_root};

use crate::base::{Millis, Now};
use crate::cache::{Entry, Freshness, Hold, Index, Origin, Outcome, Page, Refresh, Store, Wanted};
use crate::exchange::{Answer, Producer};
use crate::http::{
    Coding, Fields, HeadTemplate, Method, OwnedRequestHead, PathError, RequestHead, SafePath,
    Status, TargetForm, Version,
};
use crate::route::Rules;
use crate::task::{Io, Pool};
use crate::watch::Watch;

/// What all workers share to answer for files.
#[derive(Clone)]
pub struct FileServices {
    pub store: Arc<Store>,
    pub watch: Watch,
    pub pool: Pool,
    pub listings: Listings,
}

/// The files of one site, as one worker sees them.
pub struct Files {
    site: Arc<Site>,
    services: FileServices,
    index: Index,
    /// The tree that the index belongs to.
    generation: u32,
    rules: Rules,
    codings: CodingMemo,
}

/// What the fast lane says.
#[derive(Debug)]
pub enum Served<'a> {
    /// A rendered head and a body in memory, which is empty for HEAD and 304.
    Hit {
        head: &'a HeadTemplate,
        body: &'a Bytes,
        /// To be given to [`Files::do_aside`] beside the answer.
        aside: Option<Aside>,
    },
    /// An answer made for this request: a part, a redirect, a large file.
    Answer {
        answer: Answer,
        aside: Option<Aside>,
    },
    /// Not to be answered at once: [`Files::load`] it.
    Slow(Why),
}

/// Why the slow lane answers.
#[derive(Debug, Default)]
pub struct Why(Option<Refused>);

/// Work that an answer has brought up.
#[derive(Debug)]
pub enum Aside {
    /// A cached entry is compared with the disk.
    Refresh(Refresh),
    /// A body that is asked for often moves into memory.
    Promote,
    /// A compressed form is made.
    Make {
        entry: Arc<Entry>,
        variant: u8,
        coding: Coding,
    },
}

/// What the slow lane brings back.
pub struct Loaded {
    pub answer: Answer,
    /// To be given to [`Files::remember`] of the same worker.
    pub remember: Option<Remember>,
    /// To be given to [`Files::do_aside`], with the path of the request.
    pub aside: Option<(Aside, Box<[u8]>)>,
    /// What makes the rest of the answer's body; it runs beside the answer.
    pub rest: Option<Producer>,
}

/// Something that a worker's index should know.
#[derive(Debug)]
pub struct Remember {
    raw_path: Box<[u8]>,
    entry: Arc<Entry>,
    /// Of the tree that it was loaded from.
    generation: u32,
}

impl Files {
    /// The files of `site` with an empty index of this worker.
    pub fn new(site: Arc<Site>, services: FileServices) -> Files {
        let mut files = Files {
            generation: site.generation(),
            rules: Rules::default(),
            site,
            services,
            index: Index::new(),
            codings: CodingMemo::default(),
        };
        files.start_over();
        files
    }

    /// What is served.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// What it is served by.
    pub fn services(&self) -> &FileServices {
        &self.services
    }

    /// Answers at once what is known and fresh. A hit costs no allocation, lock or system call.
    #[inline]
    pub fn serve(&mut self, head: &RequestHead<'_>, now: Now) -> Served<'_> {
        if self.generation != self.site.generation() {
            self.start_over();
        }
        let Some(entry) = self.index.get(head.path) else {
            return Served::Slow(Why(None));
        };
        let refresh = match entry.freshness(now.monotonic) {
            Freshness::Stale => return Served::Slow(Why(None)),
            _ if entry.is_overtaken_by(self.services.store.writes()) => {
                return Served::Slow(Why(None));
            }
            Freshness::Fresh => None,
            Freshness::Ageing => entry.claim_refresh(),
        };
        entry.mark_used();
        let settings = self.site.settings();
        let scene = Scene {
            rules: &self.rules,
            languages: &settings.representations.languages,
            refuses_unacceptable: settings.representations.refuses_unacceptable,
        };
        let Replied {
            reply,
            wish,
            was_read,
        } = reply::from_entry(head, entry, scene, &mut self.codings);
        let aside = match (refresh, wish) {
            (Some(refresh), _) => Some(Aside::Refresh(refresh)),
            (None, Some((variant, coding))) => make::aside(entry, variant, coding, now),
            (None, None) if was_read && entry.count_hit(now.monotonic) => Some(Aside::Promote),
            (None, None) => None,
        };
        match reply {
            Reply::Ready { head, body } => Served::Hit { head, body, aside },
            Reply::Made(answer) => Served::Answer { answer, aside },
            Reply::Slow => Served::Slow(Why(None)),
            Reply::Error(status, field) => self.refuse(head, (status, field)),
        }
    }

    /// An error that was decided without asking the disk: with its page, where the rules name one.
    fn refuse(&self, head: &RequestHead<'_>, refused: Refused) -> Served<'_> {
        if self.has_page(head.path, refused.0) {
            return Served::Slow(Why(Some(refused)));
        }
        Served::Answer {
            answer: reply::usual_error(head, refused),
            aside: None,
        }
    }

    /// True when the site has a page of its own for an error, so that [`Files::load`] answers with
    /// [`Why::status`].
    pub fn has_page(&self, raw_path: &[u8], status: Status) -> bool {
        let path = SafePath::parse(raw_path);
        path.is_ok_and(|path| self.rules.error_page(&path.to_decoded(), status).is_some())
    }

    /// Answers by way of the store and the disk.
    pub fn load(
        &self,
        head: OwnedRequestHead,
        why: Why,
        io: Io,
        now: Now,
    ) -> impl Future<Output = Loaded> + use<> {
        let (site, services) = (Arc::clone(&self.site), self.services.clone());
        let known = self.index.get(head.path());
        let is_per_request =
            known.is_some_and(|entry| matches!(entry.outcome(), Outcome::PerRequest));
        async move {
            let list = head.list();
            let head = head.borrow(&list);
            let (path, why) = match SafePath::parse(head.path) {
                Ok(path) => (path, why),
                // No file can have this name, but the site may have a page that says so.
                Err(PathError::NotFound) => (SafePath::root(), Why::status(Status::NOT_FOUND)),
                Err(PathError::BadRequest(reason)) => {
                    return Loaded::unkept(reply::bad_request(&head, reason));
                }
            };
            let Some(tree) = site.tree() else {
                return load_welcome(&site, &path, &why, &head);
            };
            let loader = Loader {
                site: &site,
                tree: &tree,
                host: head.authority.filter(|_| tree.rules.names_hosts()),
                services: &services,
                store: &services.store,
                watch: &services.watch,
                io: &io,
                now,
                writes: services.store.writes(),
                wanted: Wanted::Now,
                opens: false,
            };
            let answering = Answering {
                loader,
                services: &services,
                path: &path,
                head: &head,
            };
            answering.answer(why, is_per_request).await
        }
    }

    /// Does what an answer has brought up. `raw_path` is the path of the request that it came with.
    pub fn do_aside(
        &self,
        aside: Aside,
        raw_path: &[u8],
        io: Io,
        now: Now,
    ) -> impl Future<Output = Option<Remember>> + use<> {
        let (site, services) = (Arc::clone(&self.site), self.services.clone());
        let raw_path: Box<[u8]> = raw_path.into();
        async move {
            let path = SafePath::parse(&raw_path).ok()?;
            let tree = site.tree()?;
            let wanted = match aside {
                Aside::Promote => Wanted::Often,
                Aside::Refresh(_) | Aside::Make { .. } => Wanted::Now,
            };
            let loader = Loader {
                site: &site,
                tree: &tree,
                host: None, // Where it matters, no index holds what would bring up an aside.
                services: &services,
                store: &services.store,
                watch: &services.watch,
                io: &io,
                now,
                writes: services.store.writes(),
                wanted,
                opens: false,
            };
            let head = plain_request(&raw_path);
            match aside {
                Aside::Refresh(refresh) => loader.refresh(refresh, &path, &head).await,
                Aside::Promote => {
                    let entry = loader.promote(&path, &head).await?;
                    return Some(Remember {
                        raw_path,
                        entry,
                        generation: tree.generation,
                    });
                }
                Aside::Make {
                    entry,
                    variant,
                    coding,
                } => make::make(&services, site.kept(), entry, variant, coding).await,
            }
            None
        }
    }

    /// Lets this worker's index know what was loaded.
    pub fn remember(&mut self, loaded: Remember, now: Now) {
        if loaded.generation == self.generation {
            self.index
                .insert(loaded.raw_path, loaded.entry, now.monotonic);
        }
    }

    /// Lets go of what the store has retired, now and then. To be called once a second, and before
    /// the worker sleeps for long: retired bodies count against the cache's budget while held.
    pub fn sweep(&mut self, now: Now) {
        self.index.sweep(&self.services.store, now.monotonic);
    }

    /// Another tree is served from now on.
    #[cold]
    fn start_over(&mut self) {
        self.index.clear();
        if let Some(tree) = self.site.tree() {
            self.generation = tree.generation;
            self.rules = tree.rules.clone();
        }
    }
}

impl Why {
    /// A refusal that was decided elsewhere.
    pub fn status(status: Status) -> Why {
        Why(Some((status, None)))
    }
}

impl Loaded {
    /// An answer of which nothing is remembered.
    pub fn unkept(answer: Answer) -> Loaded {
        Loaded {
            answer,
            remember: None,
            aside: None,
            rest: None,
        }
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = out.debug_struct("Loaded");
        out.field("answer", &self.answer).finish_non_exhaustive()
    }
}

fn load_welcome(site: &Site, path: &SafePath, why: &Why, head: &RequestHead<'_>) -> Loaded {
    if let Some((status, _)) = why.0 {
        return Loaded::unkept(reply::usual_error(head, (status, None)));
    }
    let welcome = site
        .welcome_page()
        .expect("a site without a tree has pages");
    let slash: &[u8] = if path.ends_in_slash() { b"/" } else { b"" };
    let key = [path.as_bytes(), slash].concat();
    let entry = welcome.page(&key).unwrap_or_else(|| {
        let usual = crate::handler::errors::page(Status::NOT_FOUND);
        let page = Page {
            head: usual.head.clone(),
            body: usual.body.clone(),
            location: None,
        };
        let (hold, never_checked) = (Hold::unkept(), Millis::default());
        let (outcome, origin) = (Outcome::Page(page), Origin::Embedded);
        Arc::new(Entry::new(key.into(), outcome, origin, hold, never_checked))
    });
    let scene = Scene {
        rules: &Rules::default(),
        languages: &[],
        refuses_unacceptable: false,
    };
    let replied = reply::from_entry(head, &entry, scene, &mut CodingMemo::default());
    let answer = match replied.reply.into_answer() {
        Ok(answer) => answer,
        Err(refused) => {
            let usual = refused.unwrap_or((Status::INTERNAL_SERVER_ERROR, None));
            reply::usual_error(head, usual)
        }
    };
    Loaded {
        answer,
        remember: Some(Remember {
            raw_path: head.path.into(),
            entry,
            generation: site.generation(),
        }),
        aside: None,
        rest: None,
    }
}

/// A request for nothing in particular, in whose name an aside looks at the disk.
fn plain_request(raw_path: &[u8]) -> RequestHead<'_> {
    RequestHead {
        method: Method::Get,
        version: Version::Http11,
        form: TargetForm::Origin,
        path: raw_path,
        query: None,
        authority: None,
        fields: Fields::new(&[]),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::handler) use tests::{Bench, Lane, SETTINGS, Seen, plain_settings, seen_answer};
