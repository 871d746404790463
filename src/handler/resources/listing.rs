//! GET of a collection.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use super::collection::{self, MembersPage, PageQuery};
use super::content::run;
use super::refusal::Refusal;
use super::target::Target;
use crate::exchange::{Answer, AnswerHead, Body};
use crate::handler::files::{FileServices, Site};
use crate::handler::{SERVER, errors};
use crate::http::{
    EntityTag, Method, OwnedRequestHead, RequestHead, ResponseHead, Selected, Status, Validators,
    accept, conditions,
};

/// The answer, if the path is that of a collection without a page of its own.
pub(super) async fn answer(
    head: OwnedRequestHead,
    site: Arc<Site>,
    services: FileServices,
) -> Option<Answer> {
    let list = head.list();
    let head = head.borrow(&list);
    let target = Target::of(&site, head.path).ok()?;
    if !target.is_collection() || has_page(&site, &head) {
        return None;
    }
    let Some(query) = PageQuery::parse(head.query) else {
        let reason = "The limit is a number from 1 on";
        return Some(Refusal::because(Status::BAD_REQUEST, reason).into_answer());
    };
    let location = target.location();
    let job = move || Ok(collection::page(&target, site.settings(), &query)?);
    match run(&services.pool, job).await {
        Ok(page) => page.map(|page| written(&head, &location, page)),
        Err(refusal) => Some(refusal.into_answer()),
    }
}

/// True when the site shows directories to people, and the client is one.
fn has_page(site: &Site, head: &RequestHead<'_>) -> bool {
    let query = head.query.unwrap_or_default();
    site.settings().listing.is_some()
        && (memchr::memmem::find(query, b"format=").is_some()
            || accept::choose(&head.fields, &["text/html", "application/json"]) != Some(1))
}

fn written(head: &RequestHead<'_>, location: &[u8], page: MembersPage) -> Answer {
    let hash = digest(&SHA256, &page.json);
    let hash: String = hash.as_ref()[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let validators = Validators {
        etag: EntityTag::parse(format!("\"{hash}\"").as_bytes()),
        last_modified_unix: None,
    };
    let status = match conditions::evaluate(head, &validators, page.json.len() as u64) {
        Selected::NotModified => Status::NOT_MODIFIED,
        Selected::PreconditionFailed => {
            return Refusal::new(Status::PRECONDITION_FAILED).into_answer();
        }
        _ => Status::OK,
    };
    let mut fresh = ResponseHead::new(status)
        .with("Server", SERVER)
        .with_value("ETag", format!("\"{hash}\""))
        .with("Vary", "Accept")
        .with("Cache-Control", "no-cache");
    if let Some(next) = page.next {
        let mut link = vec![b'<'];
        link.extend_from_slice(location);
        link.extend_from_slice(format!("?{next}>; rel=\"next\"").as_bytes());
        fresh = fresh.with_value("Link", link);
    }
    if status == Status::NOT_MODIFIED {
        return Answer {
            head: AnswerHead::Fresh(fresh),
            body: Body::Empty,
        };
    }
    let fresh = fresh
        .with("Content-Type", "application/json")
        .with("X-Content-Type-Options", "nosniff")
        .with_length(page.json.len() as u64);
    Answer {
        head: AnswerHead::Fresh(fresh),
        body: errors::body_unless(head.method == Method::Head, page.json.into()),
    }
}
