//! The sites of one worker: which host is answered by which.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use super::files::{Aside, FileServices, Files, Loaded, Remember, Served, Site, Why};
use super::resources::{Resources, Write};
use crate::base::Now;
use crate::exchange::RequestBody;
use crate::http::{OwnedRequestHead, RequestHead, Status};
use crate::route::hosts::Hosts;
use crate::task::{Io, Pool};

/// Names a site of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteId(usize);

impl SiteId {
    /// Its number in the order of the configuration.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What answers requests that write, in the place of a site's resources: for tests of what carries
/// their content.
#[doc(hidden)]
pub type Taker = Rc<dyn Fn(OwnedRequestHead, RequestBody) -> Pin<Box<dyn Future<Output = Loaded>>>>;

/// All sites of one worker.
pub struct Sites {
    hosts: Arc<Hosts>,
    files: Vec<Files>,
    pool: Pool,
    /// What writes, for each site that lets clients.
    resources: Vec<Option<Resources>>,
    taker: Option<Taker>,
}

impl Sites {
    /// `sites`: at least one, in the order in which `hosts` counts them.
    pub fn new(hosts: Arc<Hosts>, sites: &[Arc<Site>], services: &FileServices) -> Sites {
        assert!(!sites.is_empty(), "a server has a site");
        let files = sites
            .iter()
            .map(|site| Files::new(Arc::clone(site), services.clone()));
        Sites {
            hosts,
            files: files.collect(),
            pool: services.pool.clone(),
            resources: Vec::new(),
            taker: None,
        }
    }

    /// With what writes, in the order of the sites.
    #[must_use]
    pub fn with_resources(mut self, resources: &[Option<Resources>]) -> Sites {
        self.resources = resources.to_vec();
        self
    }

    /// Every request that writes goes to `taker`.
    #[doc(hidden)]
    #[must_use]
    pub fn with_taker(mut self, taker: Taker) -> Sites {
        self.taker = Some(taker);
        self
    }

    /// True when every path can be written.
    pub fn has_taker(&self) -> bool {
        self.taker.is_some()
    }

    /// The site that answers for the host of a request; `None`: no site does.
    #[inline]
    pub fn select(&self, authority: Option<&[u8]>) -> Option<SiteId> {
        self.hosts.select(authority).map(SiteId)
    }

    /// Where work runs that would hold a worker up.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// [`Files::serve`] of a site.
    #[inline]
    pub fn serve(&mut self, site: SiteId, request: &RequestHead<'_>, now: Now) -> Served<'_> {
        self.files[site.0].serve(request, now)
    }

    /// True when a site has a page of its own for an error.
    pub fn has_page(&self, site: SiteId, request: &RequestHead<'_>, status: Status) -> bool {
        self.files[site.0].has_page(request.path, status)
    }

    /// [`Files::load`] of a site.
    pub fn load(
        &self,
        site: SiteId,
        head: OwnedRequestHead,
        why: Why,
        io: Io,
        now: Now,
    ) -> impl Future<Output = Loaded> + use<> {
        self.files[site.0].load(head, why, io, now)
    }

    /// Answers a request that writes, in the name of `user`. A client that waits for that sends its
    /// content when the future first asks for it.
    pub fn write(
        &self,
        site: SiteId,
        head: OwnedRequestHead,
        body: RequestBody,
        user: Option<Arc<str>>,
    ) -> impl Future<Output = Loaded> + use<> {
        let taking: Pin<Box<dyn Future<Output = Loaded>>> = match &self.taker {
            Some(taker) => taker(head, body),
            None => {
                let files = &self.files[site.0];
                let resources = self.resources.get(site.0).and_then(Option::as_ref);
                let resources = resources.expect("only what can be written is written");
                let answer = resources.write(Write {
                    head,
                    body,
                    user,
                    site: Arc::clone(files.site()),
                    services: files.services().clone(),
                });
                Box::pin(async move { Loaded::unkept(answer.await) })
            }
        };
        taking
    }

    /// The members of a collection; `None`: the site answers.
    pub fn list(
        &self,
        site: SiteId,
        head: OwnedRequestHead,
    ) -> impl Future<Output = Option<Loaded>> + use<> {
        let files = &self.files[site.0];
        let resources = self.resources.get(site.0).and_then(Option::as_ref);
        let listing = resources.map(|resources| {
            resources.list(head, Arc::clone(files.site()), files.services().clone())
        });
        async move { listing?.await.map(Loaded::unkept) }
    }

    /// [`Files::do_aside`] of a site.
    pub fn do_aside(
        &self,
        site: SiteId,
        aside: Aside,
        raw_path: &[u8],
        io: Io,
        now: Now,
    ) -> impl Future<Output = Option<Remember>> + use<> {
        self.files[site.0].do_aside(aside, raw_path, io, now)
    }

    /// [`Files::remember`] of a site.
    pub fn remember(&mut self, site: SiteId, loaded: Remember, now: Now) {
        self.files[site.0].remember(loaded, now);
    }

    /// [`Files::sweep`] of all sites.
    pub fn sweep(&mut self, now: Now) {
        self.files.iter_mut().for_each(|files| files.sweep(now));
    }
}
