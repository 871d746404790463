//! What the rooms say to one request, whichever protocol it came over.

use crate::base::Now;
use crate::exchange::Answer;
use crate::handler::files::{Files, Served};
use crate::handler::{errors, redirect};
use crate::http::{Method, RequestHead, Status};
use crate::route::{Route, route};

/// Asks the rooms. `https_port` is where requests are sent on to instead of being answered.
#[inline]
pub(super) fn reply<'a>(
    files: &'a mut Files,
    now: Now,
    request: &RequestHead<'_>,
    https_port: Option<u16>,
) -> Served<'a> {
    if let Some(port) = https_port {
        return made(redirect::to_https(request, port));
    }
    match route(request) {
        Route::Files => files.serve(request, now),
        other => made(refusal(other, request.method == Method::Head)),
    }
}

fn made<'a>(answer: Answer) -> Served<'a> {
    let refresh = None;
    Served::Answer { answer, refresh }
}

#[cold]
fn refusal(route: Route, head_only: bool) -> Answer {
    match route {
        Route::Files => unreachable!("files answer for themselves"),
        Route::Options => errors::options_answer(),
        Route::MethodNotAllowed => errors::method_not_allowed_answer(head_only),
        Route::NotImplemented => {
            let reason = "The request method is not known to this server.";
            errors::error_answer(Status::NOT_IMPLEMENTED, reason, head_only)
        }
        Route::BadRequest(reason) => errors::error_answer(Status::BAD_REQUEST, reason, head_only),
    }
}
