//! What the rooms say to one request, whichever protocol it came over.

use crate::access::gate::{self, Asked, Found, Gate, Peer, Work};
use crate::base::Now;
use crate::exchange::Answer;
use crate::handler::files::{Served, Why};
use crate::handler::sites::{SiteId, Sites};
use crate::handler::{errors, redirect};
use crate::http::{FieldForm, FieldWriter, Method, RequestHead, Status};
use crate::record::{Counters, Refusal};
use crate::route::{Route, route};

use super::reception::Reception;
use super::visit::Visit;

/// What is to be done about a request.
pub(super) enum Reply<'a> {
    Served(Served<'a>),
    /// An answer that no site was asked for.
    Made(Answer),
    Slow(Slow),
}

/// What is to be done about a request in the slow lane.
pub(super) enum Slow {
    /// A site loads its answer.
    Load(Why),
    /// A collection lists its members, unless the site has a page there.
    List(Why),
    /// A task takes the content of the request.
    Write,
    /// Something must be found out first; then the same request is asked about again.
    Work(Work),
}

impl Reply<'_> {
    /// What the slow lane has to do, if anything.
    pub(super) fn into_slow(self) -> Option<Slow> {
        match self {
            Reply::Slow(slow) => Some(slow),
            Reply::Served(Served::Slow(why)) => Some(Slow::Load(why)),
            Reply::Served(_) | Reply::Made(_) => None,
        }
    }
}

/// A request, and what is known of where it comes from.
pub(super) struct Question<'a> {
    pub(super) request: &'a RequestHead<'a>,
    pub(super) peer: Option<&'a Peer>,
    /// Where it is sent on to instead of being answered.
    pub(super) https_port: Option<u16>,
    /// How fields are written to its answer.
    pub(super) form: FieldForm,
    /// It comes again, with what was found out.
    pub(super) found: Option<Found>,
    /// It came where counters are told, and sites are not served.
    pub(super) is_for_metrics: bool,
    /// The server is about to end.
    pub(super) is_draining: bool,
}

/// Asks the rooms. The visit is that of the request.
#[inline]
pub(super) fn reply<'a>(
    sites: &'a mut Sites,
    mut reception: Option<(&mut Reception, &mut Visit)>,
    now: Now,
    question: Question<'_>,
) -> (Reply<'a>, Option<SiteId>) {
    let request = question.request;
    if let Some((reception, visit)) = &mut reception {
        // Who looks at the counters does not move them.
        visit.is_told = !question.is_for_metrics;
        let told = (question.is_for_metrics, question.is_draining);
        if let Some(answer) = reception.answer(request, told) {
            return (Reply::Made(answer), None);
        }
    }
    if let Some(port) = question.https_port {
        return (Reply::Made(redirect::to_https(request, port)), None);
    }
    let Some(site) = sites.select(request.authority) else {
        return (Reply::Made(misdirected(request)), None);
    };
    let mut is_writable = sites.has_taker();
    if let Some((reception, visit)) = reception
        && let Some(gate) = &mut reception.gate
    {
        let asked = (gate, &*reception.counters);
        if let Some(reply) = ask(asked, site, visit, now, question) {
            return (reply, Some(site));
        }
        is_writable |= visit.passed.is_writable;
    }
    let reply = match route(request, is_writable) {
        Route::Files if is_writable && request.path.ends_with(b"/") => {
            match sites.serve(site, request, now) {
                Served::Slow(why) => Reply::Slow(Slow::List(why)),
                Served::Hit { head, .. } if head.status() == Status::NOT_FOUND => {
                    Reply::Slow(Slow::List(Why::default()))
                }
                served => Reply::Served(served),
            }
        }
        Route::Files => Reply::Served(sites.serve(site, request, now)),
        Route::Write => Reply::Slow(Slow::Write),
        other => refused(sites, site, request, (other, is_writable)),
    };
    (reply, Some(site))
}

/// What the gate says instead of letting a request pass.
fn ask<'a>(
    (gate, counters): (&mut Gate, &Counters),
    site: SiteId,
    visit: &mut Visit,
    now: Now,
    question: Question<'_>,
) -> Option<Reply<'a>> {
    let mut out = FieldWriter::new(&mut visit.fields, question.form);
    let asked = gate::Question {
        head: question.request,
        address: visit.address,
        certificate: question.peer.and_then(|peer| peer.certificate.as_deref()),
        is_secure: visit.is_secure,
        now,
        found: question.found,
    };
    match gate.ask(site.index(), asked, &mut out) {
        Asked::Passed(passed) => {
            visit.passed = passed;
            None
        }
        Asked::Preflight => Some(Reply::Made(errors::preflight_answer())),
        Asked::Refused {
            status,
            reason,
            why,
            identity,
        } => {
            count_refused(counters, why);
            visit.passed.identity = identity;
            let head_only = question.request.method == Method::Head;
            Some(Reply::Made(errors::error_answer(status, reason, head_only)))
        }
        Asked::Work(work) => Some(Reply::Slow(Slow::Work(work))),
    }
}

fn count_refused(counters: &Counters, why: gate::Why) {
    match why {
        gate::Why::Address => counters.on_refused(Refusal::Address),
        gate::Why::Limit => counters.on_refused(Refusal::Rate),
        gate::Why::Credential => counters.on_auth_failure(),
        gate::Why::Permission => {}
    }
}

/// RFC 9110 §15.5.20
#[cold]
fn misdirected(request: &RequestHead<'_>) -> Answer {
    let head_only = request.method == Method::Head;
    errors::error_answer(Status::MISDIRECTED_REQUEST, "", head_only)
}

/// An answer that no handler has to be asked for; errors with the site's own page, if it has one.
#[cold]
fn refused<'a>(
    sites: &Sites,
    site: SiteId,
    request: &RequestHead<'_>,
    (route, is_writable): (Route, bool),
) -> Reply<'a> {
    let head_only = request.method == Method::Head;
    let (status, reason) = match route {
        Route::Files | Route::Write => unreachable!("handlers answer for themselves"),
        Route::Options if is_writable => {
            return Reply::Made(errors::options_of_writable(request.path));
        }
        Route::Options => return Reply::Made(errors::options_answer()),
        Route::MethodNotAllowed => (Status::METHOD_NOT_ALLOWED, ""),
        Route::NotImplemented => (
            Status::NOT_IMPLEMENTED,
            "The request method is not known to this server.",
        ),
        Route::BadRequest(reason) => (Status::BAD_REQUEST, reason),
    };
    if sites.has_page(site, request, status) {
        return Reply::Served(Served::Slow(Why::status(status)));
    }
    Reply::Made(errors::error_answer(status, reason, head_only))
}
