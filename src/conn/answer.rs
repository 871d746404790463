//! What the rooms say to one request, whichever protocol it came over.

use bytes::Bytes;

use crate::base::Now;
use crate::cache::Refresh;
use crate::exchange::Answer;
use crate::handler::files::{Files, Served};
use crate::handler::{errors, redirect};
use crate::http::{HeadTemplate, Method, RequestHead, Status};
use crate::route::{Route, route};

/// The reply to one request; the protocol's own writer puts it on the wire.
pub(super) enum Reply<'a> {
    /// A rendered head and a body in memory, which is empty for HEAD and 304.
    Hit {
        head: &'a HeadTemplate,
        body: &'a Bytes,
        refresh: Option<Refresh>,
    },
    /// An answer made for this request.
    Answer {
        answer: Answer,
        refresh: Option<Refresh>,
    },
    /// The slow lane has to make it.
    Slow,
}

/// Asks the rooms. `https_port` is where requests are sent on to instead of being answered.
#[inline]
pub(super) fn reply<'a>(
    files: &'a mut Files,
    now: Now,
    request: &RequestHead<'_>,
    https_port: Option<u16>,
) -> Reply<'a> {
    if let Some(port) = https_port {
        return made(redirect::to_https(request, port));
    }
    match route(request) {
        Route::Files => match files.serve(request, now) {
            Served::Hit {
                head,
                body,
                refresh,
            } => Reply::Hit {
                head,
                body,
                refresh,
            },
            Served::Answer { answer, refresh } => Reply::Answer { answer, refresh },
            Served::Slow => Reply::Slow,
        },
        other => made(refusal(other, request.method == Method::Head)),
    }
}

fn made<'a>(answer: Answer) -> Reply<'a> {
    let refresh = None;
    Reply::Answer { answer, refresh }
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
