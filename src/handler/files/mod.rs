//! Files: the fast lane answers from this worker's index, the slow lane asks the store and the
//! disk.
//!
//! ```text
//! serve(head) -> Hit | Answer     known and fresh
//!             -> Slow             load(head, io) -> Loaded { answer, remember } -> remember(…)
//! a refresh came with the answer: refresh(it, io) runs beside it
//! once a second: sweep()
//! ```

mod load;
mod render;
mod reply;
mod resolve;
mod site;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use load::{Loader, store_key};
pub(in crate::handler) use render::representation;
use reply::Reply;
use site::Source;
pub use site::{Site, SiteSettings};

use crate::base::{Millis, Now};
use crate::cache::{Freshness, Index, Refresh, Seen, Store, Stored, Verdict};
use crate::exchange::{Answer, Producer};
use crate::http::{HeadTemplate, OwnedRequestHead, PathError, RequestHead, SafePath};
use crate::task::Io;

/// The files of one site, as one worker sees them.
pub struct Files {
    site: Arc<Site>,
    store: Arc<Store>,
    index: Index,
}

/// What the fast lane says.
#[derive(Debug)]
pub enum Served<'a> {
    /// A rendered head and a body in memory, which is empty for HEAD and 304.
    Hit {
        head: &'a HeadTemplate,
        body: &'a Bytes,
        /// To be given to [`Files::refresh`] beside the answer.
        refresh: Option<Refresh>,
    },
    /// An answer made for this request: a part, a redirect, a large file.
    Answer {
        answer: Answer,
        refresh: Option<Refresh>,
    },
    /// Unknown or too old: [`Files::load`] it.
    Slow,
}

/// What the slow lane brings back.
#[derive(Debug)]
pub struct Loaded {
    pub answer: Answer,
    /// To be given to [`Files::remember`] of the same worker.
    pub remember: Option<Remember>,
    /// Writes the body that the answer began; it goes on as a task of its own.
    pub rest: Option<Producer>,
}

/// Something that a worker's index should know.
#[derive(Debug)]
pub struct Remember {
    raw_path: Box<[u8]>,
    what: Stored,
    /// When the load began.
    checked_at: Millis,
}

impl Files {
    /// The files of `site` with an empty index of this worker.
    pub fn new(site: Arc<Site>, store: Arc<Store>) -> Files {
        Files {
            site,
            store,
            index: Index::new(),
        }
    }

    /// Answers at once what is known and fresh. A hit costs no allocation, lock or system call.
    #[inline]
    pub fn serve(&mut self, head: &RequestHead<'_>, now: Now) -> Served<'_> {
        let (reply, refresh) = match self.index.get(head.path, now.monotonic) {
            Some(Seen::Entry(entry)) => match entry.freshness(now.monotonic) {
                Freshness::Stale => return Served::Slow,
                Freshness::Fresh => (reply::from_entry(head, entry), None),
                Freshness::Ageing => (reply::from_entry(head, entry), entry.claim_refresh()),
            },
            Some(Seen::Verdict(verdict)) => (reply::from_verdict(head, verdict), None),
            None => return Served::Slow,
        };
        match reply {
            Reply::Ready { head, body } => Served::Hit {
                head,
                body,
                refresh,
            },
            Reply::Made(answer) => Served::Answer { answer, refresh },
        }
    }

    /// Answers by way of the store and the disk.
    pub fn load(
        &self,
        head: OwnedRequestHead,
        io: Io,
        now: Now,
    ) -> impl Future<Output = Loaded> + use<> {
        let (site, store) = (Arc::clone(&self.site), Arc::clone(&self.store));
        async move {
            let path = match SafePath::parse(head.path()) {
                Ok(path) => path,
                Err(PathError::NotFound) => {
                    return Loaded::new(&head, Stored::Verdict(Verdict::Missing), now);
                }
                Err(PathError::BadRequest(reason)) => {
                    let answer = head.with(|head| reply::bad_request(head, reason));
                    return Loaded {
                        answer,
                        remember: None,
                        rest: None,
                    };
                }
            };
            let stored = match &site.0 {
                Source::Welcome(welcome) => welcome.page(&store_key(&path)),
                Source::Directory(directory) => {
                    let (store, io) = (&*store, &io);
                    let loader = Loader {
                        directory,
                        store,
                        io,
                        now,
                    };
                    loader.fetch(&path).await
                }
            };
            Loaded::new(&head, stored, now)
        }
    }

    /// Compares an entry that was just served with the disk. `raw_path` is the path of the request
    /// that the refresh came with.
    pub fn refresh(
        &self,
        refresh: Refresh,
        raw_path: &[u8],
        io: Io,
        now: Now,
    ) -> impl Future<Output = ()> + use<> {
        let (site, store) = (Arc::clone(&self.site), Arc::clone(&self.store));
        let path = SafePath::parse(raw_path);
        async move {
            if let (Ok(path), Source::Directory(directory)) = (path, &site.0) {
                debug_assert_eq!(*store_key(&path), *refresh.entry().path());
                let (store, io) = (&*store, &io);
                let loader = Loader {
                    directory,
                    store,
                    io,
                    now,
                };
                loader.refresh(refresh, &path).await;
            }
        }
    }

    /// Lets this worker's index know what was loaded.
    pub fn remember(&mut self, loaded: Remember, now: Now) {
        let Remember {
            raw_path,
            what,
            checked_at,
        } = loaded;
        match what {
            Stored::Entry(entry) => self.index.insert(raw_path, entry, now.monotonic),
            Stored::Verdict(verdict) => self.index.insert_verdict(raw_path, verdict, checked_at),
        }
    }

    /// Lets go of what the store has retired, now and then. To be called once a second, and before
    /// the worker sleeps for long: retired bodies count against the cache's budget while held.
    pub fn sweep(&mut self, now: Now) {
        self.index.sweep(&self.store, now.monotonic);
    }
}

impl Loaded {
    fn new(head: &OwnedRequestHead, stored: Stored, now: Now) -> Loaded {
        let answer = head.with(|head| {
            match &stored {
                Stored::Entry(entry) => reply::from_entry(head, entry),
                Stored::Verdict(verdict) => reply::from_verdict(head, *verdict),
            }
            .into_answer()
        });
        let is_kept = match &stored {
            Stored::Entry(entry) => !entry.is_retired(),
            Stored::Verdict(verdict) => verdict.is_lasting(),
        };
        let remember = is_kept.then(|| Remember {
            raw_path: head.path().into(),
            what: stored,
            checked_at: now.monotonic,
        });
        Loaded {
            answer,
            remember,
            rest: None,
        }
    }
}

#[cfg(test)]
mod tests;
