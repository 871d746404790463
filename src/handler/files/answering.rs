//! One answer by way of the slow lane.

use std::sync::Arc;

use super::choose::CodingMemo;
use super::listed::{self, Shown};
use super::load::Loader;
use super::reply::{self, Refused, Replied, Scene};
use super::resolve::Found;
use super::walk::Purpose;
use super::{Aside, FileServices, Loaded, Remember, Why, make, pages};
use crate::cache::{Entry, Outcome, Page};
use crate::exchange::{Answer, AnswerHead};
use crate::handler::errors;
use crate::http::{Method, RequestHead, SafePath, Status};

/// One request that waits.
pub(super) struct Answering<'a> {
    pub(super) loader: Loader<'a>,
    pub(super) services: &'a FileServices,
    pub(super) path: &'a SafePath,
    pub(super) head: &'a RequestHead<'a>,
}

impl Answering<'_> {
    /// Answers it. `is_per_request`: what was found before holds for no second request.
    pub(super) async fn answer(&self, why: Why, is_per_request: bool) -> Loaded {
        if let Some(refused) = why.0 {
            return Loaded::unkept(self.refusal(refused).await);
        }
        if let Some(loaded) = self.in_maintenance().await {
            return loaded;
        }
        let (loader, path, head) = (&self.loader, self.path, self.head);
        if is_per_request {
            return self.for_request().await;
        }
        let entry = loader.fetch(path, head).await;
        let remember = self.remember(&entry);
        let is_for_request = match entry.outcome() {
            Outcome::PerRequest => true,
            Outcome::Resource(resource) => resource.by_query && head.query.is_some(),
            Outcome::Page(_) => false,
        };
        if is_for_request {
            let loaded = self.for_request().await;
            return Loaded { remember, ..loaded };
        }
        let (answer, aside) = self.reply(&entry).await;
        Loaded {
            remember,
            aside: self.with_path(aside),
            ..Loaded::unkept(answer)
        }
    }

    /// The answer to this request, which holds for no other.
    async fn for_request(&self) -> Loaded {
        let (loader, path, head) = (&self.loader, self.path, self.head);
        let (resolved, trail) = loader.resolve(path, head, Purpose::Load).await;
        if let Found::Directory {
            mount,
            path: inner,
            located,
        } = &resolved.found
        {
            let shown = Shown {
                mount: *mount,
                inner,
                located,
            };
            return match listed::answer(self, &shown).await {
                Ok(loaded) => loaded,
                Err(status) => Loaded::unkept(self.refusal((status, None)).await),
            };
        }
        let entry = loader.load_for_request(path, head, resolved, trail).await;
        let (answer, aside) = self.reply(&entry).await;
        Loaded {
            aside: self.with_path(aside),
            ..Loaded::unkept(answer)
        }
    }

    fn with_path(&self, aside: Option<Aside>) -> Option<(Aside, Box<[u8]>)> {
        aside.map(|aside| (aside, self.head.path.into()))
    }

    fn remember(&self, entry: &Arc<Entry>) -> Option<Remember> {
        let is_kept = !entry.is_passing() && !entry.is_retired() && self.loader.host.is_none();
        is_kept.then(|| Remember {
            raw_path: self.head.path.into(),
            entry: entry.clone(),
            generation: self.loader.tree.generation,
        })
    }

    fn scene(&self) -> Scene<'_> {
        let representations = &self.loader.site.settings().representations;
        Scene {
            rules: &self.loader.tree.rules,
            languages: &representations.languages,
            refuses_unacceptable: representations.refuses_unacceptable,
        }
    }

    /// The answer from an entry, and what it has brought up.
    async fn reply(&self, entry: &Arc<Entry>) -> (Answer, Option<Aside>) {
        let now = self.loader.now;
        let replied = self.try_reply(entry);
        let aside = |(variant, coding)| make::aside(entry, variant, coding, now);
        let wish = replied.wish;
        match replied.reply.into_answer() {
            Ok(answer) => return (answer, wish.and_then(aside)),
            Err(Some(refused)) => return (self.refusal(refused).await, None),
            Err(None) => {}
        }
        // Who accepts nothing but a coding that is not there yet waits for it.
        if let Some((variant, coding)) = wish
            && let Some(made) = make::now(
                self.services,
                self.loader.site.kept(),
                entry,
                variant,
                coding,
            )
            .await
        {
            entry.add_made(made);
            let entry = self.loader.fetch(self.path, self.head).await;
            if let Ok(answer) = self.try_reply(&entry).reply.into_answer() {
                return (answer, None);
            }
            return (self.refusal((Status::NOT_ACCEPTABLE, None)).await, None);
        }
        // A small file that is not in memory, or not what it was: it is opened for this answer.
        entry.suspect();
        let loader = Loader {
            opens: true,
            ..self.loader
        };
        let entry = loader.fetch_for_request(self.path, self.head).await;
        match self.try_reply(&entry).reply.into_answer() {
            Ok(answer) => (answer, None),
            Err(refused) => {
                let usual = refused.unwrap_or((Status::NOT_ACCEPTABLE, None));
                (self.refusal(usual).await, None)
            }
        }
    }

    pub(super) fn try_reply<'e>(&self, entry: &'e Entry) -> Replied<'e> {
        let mut codings = CodingMemo::default();
        reply::from_entry(self.head, entry, self.scene(), &mut codings)
    }

    /// An error with the page that the rules name for it, or the usual one.
    pub(super) async fn refusal(&self, refused: Refused) -> Answer {
        let (status, field) = refused;
        let trail = &mut Default::default();
        let (mut head, body) = pages::error_parts(&self.loader, self.path, status, trail).await;
        if let Some((name, value)) = field {
            head.set(name.into(), value.into());
        }
        Answer {
            head: AnswerHead::Fresh(head),
            body: errors::body_unless(self.head.method == Method::Head, body),
        }
    }

    /// The answer to everything while the site is being worked on.
    async fn in_maintenance(&self) -> Option<Loaded> {
        let decoded = self.path.to_decoded();
        let maintenance = self.loader.tree.maintenance(&decoded)?;
        let page: Page = pages::maintenance(&self.loader, self.path, maintenance).await;
        let entry = self.loader.unwatched_page(self.path, page);
        let (answer, _) = self.reply(&entry).await;
        Some(Loaded {
            remember: self.remember(&entry),
            ..Loaded::unkept(answer)
        })
    }
}
