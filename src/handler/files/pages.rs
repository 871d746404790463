//! Fixed answers: redirects, and errors with a page of the site's own or the usual one.

use std::sync::Arc;

use bytes::Bytes;

use super::load::Loader;
use super::render::Dress;
use super::resolve::FoundFile;
use super::walk::{Located, Purpose, Trail};
use crate::base::limits::{ERROR_PAGE_BYTES_MAX, RETRY_AFTER_SECONDS_DEFAULT};
use crate::cache::{Page, Vary};
use crate::engine::operation::FileKind;
use crate::handler::{SERVER, errors};
use crate::http::{HeadTemplate, ResponseHead, SafePath, Status, media_type};
use crate::route::{ErrorPage, Maintenance};

impl Loader<'_> {
    fn dress<'d>(&'d self, path: &'d [u8]) -> Dress<'d> {
        Dress {
            rules: &self.tree.rules,
            host: self.host,
            languages: &[],
            path,
            file_name: b"",
            vary: Vary::default(),
            vary_names: "",
            security_policy: None,
        }
    }
}

/// A redirect by a rule, or to the right address of the same thing.
pub(super) fn redirect(
    loader: &Loader<'_>,
    path: &SafePath,
    status: Status,
    location: Vec<u8>,
    keeps_query: bool,
    vary: &str,
) -> Page {
    let body = &errors::page(status).body;
    let mut head = errors::error_head(status, body.len());
    if !vary.is_empty() {
        head.add("Vary".into(), vary.into());
    }
    loader
        .dress(&path.to_decoded())
        .put_on("text/plain", &mut head);
    let with_location = head.clone().with_value("Location", location.clone());
    Page {
        head: HeadTemplate::new(&with_location),
        body: body.clone(),
        location: keeps_query.then(|| Arc::new((head, location))),
    }
}

/// An error, with the page that the rules name for it, if that is there.
pub(super) async fn error(
    loader: &Loader<'_>,
    path: &SafePath,
    status: Status,
    trail: &mut Trail,
) -> Page {
    page_of(error_parts(loader, path, status, trail).await)
}

/// The same, to be changed for one request.
pub(super) async fn error_parts(
    loader: &Loader<'_>,
    path: &SafePath,
    status: Status,
    trail: &mut Trail,
) -> (ResponseHead, Bytes) {
    let decoded = path.to_decoded();
    if let Some(name) = loader.tree.rules.error_page(&decoded, status)
        && let Some((path, located)) = find(loader, path, name, trail).await
        && let Some(body) = whole(loader, &path, &located).await
    {
        return from_body(loader, &decoded, &path, status, body);
    }
    usual(loader, &decoded, status)
}

/// What a rule sends with a status of its own.
pub(super) async fn of_file(
    loader: &Loader<'_>,
    path: &SafePath,
    file: &FoundFile,
    status: Status,
) -> Page {
    let decoded = path.to_decoded();
    let variant = &file.variants[0];
    page_of(match whole(loader, &variant.path, &variant.located).await {
        Some(body) => from_body(loader, &decoded, &variant.path, status, body),
        None => usual(loader, &decoded, status),
    })
}

fn page_of((head, body): (ResponseHead, Bytes)) -> Page {
    Page {
        head: HeadTemplate::new(&head),
        body,
        location: None,
    }
}

/// All requests during maintenance (RFC 9110 §15.6.4).
pub(super) async fn maintenance(
    loader: &Loader<'_>,
    path: &SafePath,
    maintenance: &Maintenance,
) -> Page {
    let decoded = path.to_decoded();
    let status = Status::SERVICE_UNAVAILABLE;
    let found = match &maintenance.page {
        Some(page) => {
            let page = ErrorPage::At(page.clone());
            find(loader, path, &page, &mut Trail::default()).await
        }
        None => None,
    };
    let mut body = None;
    if let Some((path, located)) = found {
        body = whole(loader, &path, &located)
            .await
            .map(|body| (path, body));
    }
    let (media, body) = match body {
        Some((path, body)) => (media_type::of_file_name(path.file_name()), body),
        None => (
            "text/plain; charset=utf-8".into(),
            errors::page(status).body.clone(),
        ),
    };
    let retry_after_seconds = maintenance
        .retry_after_seconds
        .unwrap_or(RETRY_AFTER_SECONDS_DEFAULT);
    let mut head = ResponseHead::new(status)
        .with("Server", SERVER)
        .with_value("Content-Type", media.as_bytes())
        .with("X-Content-Type-Options", "nosniff")
        .with_length(body.len() as u64)
        .with_value("Retry-After", retry_after_seconds.to_string());
    loader.dress(&decoded).put_on(&media, &mut head);
    page_of((head, body))
}

fn usual(loader: &Loader<'_>, decoded: &[u8], status: Status) -> (ResponseHead, Bytes) {
    let page = errors::page(status);
    let mut head = errors::error_head(status, page.body.len());
    loader.dress(decoded).put_on("text/plain", &mut head);
    (head, page.body.clone())
}

fn from_body(
    loader: &Loader<'_>,
    decoded: &[u8],
    file: &SafePath,
    status: Status,
    body: Bytes,
) -> (ResponseHead, Bytes) {
    let media = media_type::of_file_name(file.file_name());
    let mut head = errors::error_head(status, body.len());
    head.has_usual_text = false;
    head.remove("Vary");
    head.set("Content-Type".into(), media.as_bytes().to_vec());
    loader.dress(decoded).put_on(&media, &mut head);
    (head, body)
}

async fn whole(loader: &Loader<'_>, path: &SafePath, located: &Located) -> Option<Bytes> {
    loader.read_small(path, located, ERROR_PAGE_BYTES_MAX).await
}

/// The page by its path, or the nearest one of its name, from the path's directory upwards.
async fn find(
    loader: &Loader<'_>,
    path: &SafePath,
    page: &ErrorPage,
    trail: &mut Trail,
) -> Option<(SafePath, Located)> {
    let mut walk = loader.walk(Purpose::Load, std::mem::take(trail));
    let places = page.places(&path.to_decoded());
    let candidates = places
        .iter()
        .filter_map(|place| SafePath::from_decoded(place));
    let mut found = None;
    for candidate in candidates {
        let (mount, inner) = loader.tree.mount_of(&candidate);
        if let Ok(located) = walk.find(mount, &inner).await
            && located.stat.kind == FileKind::Regular
        {
            found = Some((inner, located));
            break;
        }
    }
    *trail = walk.trail; // The answer depends on its page, too.
    found
}
