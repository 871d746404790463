//! Requests in the slow lane: the tasks that work for them, and how each of them ends.

use std::sync::Arc;

use crate::access::gate::Work;
use crate::engine::SocketId;
use crate::exchange::RequestBody;
use crate::handler::files::{Aside, Loaded, Why};
use crate::handler::sites::SiteId;
use crate::http::{OwnedRequestHead, RequestHead};
use crate::proto::h2::StreamId;
use crate::task::{Full, TaskId, Urgency};

use super::answer::Slow;
use super::services::{Event, Outbox, Services};
use super::visit::Visit;

/// Lets the slow lane do what a reply asks for. `stream`: over HTTP/2.
pub(super) fn spawn_slow(
    place: (SocketId, Option<StreamId>),
    services: &mut Services,
    site: Option<SiteId>,
    request: &RequestHead<'_>,
    (slow, content, visit): (Slow, Option<RequestBody>, Option<&Visit>),
) -> TaskId {
    let site = site.expect("only a site is slow");
    match slow {
        Slow::Write => {
            let content = content.expect("who writes takes content");
            let identity = visit.and_then(|visit| visit.passed.identity.as_ref());
            let user = identity.map(|identity| Arc::clone(&identity.name));
            spawn_write(place, services, site, request, (content, user))
        }
        Slow::Load(why) => spawn_load(place, services, site, request, why),
        Slow::List(why) => spawn_list(place, services, site, request, why),
        Slow::Work(work) => spawn_work(place, services, request, work),
    }
}

/// Finds something out, and asks about the request again.
fn spawn_work(
    (socket, stream): (SocketId, Option<StreamId>),
    services: &mut Services,
    request: &RequestHead<'_>,
    work: Work,
) -> TaskId {
    let head = OwnedRequestHead::new(request);
    let urgency = match work {
        Work::Password(_) => Urgency::Answer,
        Work::Forward(_) => Urgency::Elsewhere,
    };
    let running = services.sites.pool().run(urgency, || work.run());
    let mut answering = Answering::new((socket, stream), services);
    services.executor.spawn(async move {
        let found = match running {
            Ok(running) => running.await,
            Err(Full) => return answering.give_busy(),
        };
        // Work that panicked leaves a 500.
        if let Some(found) = found {
            answering.give(Event::Found {
                socket,
                stream,
                head,
                found,
            });
        }
    })
}

/// Lets the site make the answer.
fn spawn_load(
    place: (SocketId, Option<StreamId>),
    services: &mut Services,
    site: SiteId,
    request: &RequestHead<'_>,
    why: Why,
) -> TaskId {
    let head = OwnedRequestHead::new(request);
    let (io, now) = (services.io.clone(), services.now);
    let load = services.sites.load(site, head, why, io, now);
    spawn_answer(place, services, site, load)
}

/// Lets a collection list its members, or else the site make the answer.
fn spawn_list(
    place: (SocketId, Option<StreamId>),
    services: &mut Services,
    site: SiteId,
    request: &RequestHead<'_>,
    why: Why,
) -> TaskId {
    let head = OwnedRequestHead::new(request);
    let (io, now) = (services.io.clone(), services.now);
    let list = services.sites.list(site, head.clone());
    let load = services.sites.load(site, head, why, io, now);
    spawn_answer(place, services, site, async move {
        match list.await {
            Some(listed) => listed,
            None => load.await,
        }
    })
}

/// Lets the site take the content of a request that writes, and answer.
fn spawn_write(
    place: (SocketId, Option<StreamId>),
    services: &mut Services,
    site: SiteId,
    request: &RequestHead<'_>,
    (content, user): (RequestBody, Option<Arc<str>>),
) -> TaskId {
    let head = OwnedRequestHead::new(request);
    let write = services.sites.write(site, head, content, user);
    spawn_answer(place, services, site, write)
}

/// Gives what `made` comes to to the request that waits for it.
fn spawn_answer(
    (socket, stream): (SocketId, Option<StreamId>),
    services: &mut Services,
    site: SiteId,
    made: impl Future<Output = Loaded> + 'static,
) -> TaskId {
    let mut answering = Answering::new((socket, stream), services);
    services.executor.spawn(async move {
        let loaded = made.await;
        answering.give(Event::Loaded {
            socket,
            stream,
            site,
            loaded,
        });
    })
}

/// What an answer has brought up is done beside it. `path`: of its request.
pub(super) fn spawn_aside(services: &mut Services, site: SiteId, aside: Aside, path: &[u8]) {
    let (io, now) = (services.io.clone(), services.now);
    let outbox = Outbox::clone(&services.outbox);
    let done = services.sites.do_aside(site, aside, path, io, now);
    services.executor.spawn(async move {
        if let Some(remember) = done.await {
            outbox.borrow_mut().push(Event::Known { site, remember });
        }
    });
}

/// Answers one request, come what may: a task that ends without an answer leaves a 500.
struct Answering {
    socket: SocketId,
    stream: Option<StreamId>,
    outbox: Option<Outbox>,
}

impl Answering {
    fn new((socket, stream): (SocketId, Option<StreamId>), services: &Services) -> Answering {
        Answering {
            socket,
            stream,
            outbox: Some(Outbox::clone(&services.outbox)),
        }
    }

    fn give(&mut self, event: Event) {
        if let Some(outbox) = self.outbox.take() {
            outbox.borrow_mut().push(event);
        }
    }

    /// There is too much to do for one more request.
    fn give_busy(&mut self) {
        let (socket, stream) = (self.socket, self.stream);
        self.give(Event::Busy { socket, stream });
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(outbox) = self.outbox.take() {
            outbox.borrow_mut().push(Event::Lost {
                socket: self.socket,
                stream: self.stream,
            });
        }
    }
}
