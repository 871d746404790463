//! What the rooms say to one request, whichever protocol it came over.

use crate::base::Now;
use crate::exchange::Answer;
use crate::handler::files::{Served, Why};
use crate::handler::sites::{SiteId, Sites};
use crate::handler::{errors, redirect};
use crate::http::{Method, RequestHead, Status};
use crate::route::{Route, route};

/// Asks the rooms. `https_port` is where requests are sent on to instead of being answered.
#[inline]
pub(super) fn reply<'a>(
    sites: &'a mut Sites,
    now: Now,
    request: &RequestHead<'_>,
    https_port: Option<u16>,
) -> (Served<'a>, Option<SiteId>) {
    if let Some(port) = https_port {
        return (made(redirect::to_https(request, port)), None);
    }
    let Some(site) = sites.select(request.authority) else {
        return (made(misdirected(request)), None);
    };
    let served = match route(request) {
        Route::Files => sites.serve(site, request, now),
        other => refused(sites, site, request, other),
    };
    (served, Some(site))
}

fn made<'a>(answer: Answer) -> Served<'a> {
    Served::Answer {
        answer,
        aside: None,
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
fn refused<'a>(sites: &Sites, site: SiteId, request: &RequestHead<'_>, route: Route) -> Served<'a> {
    let head_only = request.method == Method::Head;
    let (status, reason) = match route {
        Route::Files => unreachable!("files answer for themselves"),
        Route::Options => return made(errors::options_answer()),
        Route::MethodNotAllowed => (Status::METHOD_NOT_ALLOWED, ""),
        Route::NotImplemented => (
            Status::NOT_IMPLEMENTED,
            "The request method is not known to this server.",
        ),
        Route::BadRequest(reason) => (Status::BAD_REQUEST, reason),
    };
    if sites.has_page(site, request, status) {
        return Served::Slow(Why::status(status));
    }
    made(errors::error_answer(status, reason, head_only))
}
