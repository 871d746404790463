//! The heads of a representation (RFC 9110 §8, §15.3.1, §15.3.7, §15.4.5), dressed by the rules.

use std::sync::OnceLock;

use crate::cache::{About, Content, Representation, Vary};
use crate::handler::SERVER;
use crate::http::{Coding, CodingSet, HeadTemplate, ResponseHead, Status, Validators, date};
use crate::route::{Facts, Rules};

const POLICY: &str = "Content-Security-Policy";
/// What `--security-headers` says by it.
const PRESET_POLICY: &str = "frame-ancestors 'self'";

/// What the heads of one path say besides what its representations say of themselves.
#[derive(Clone, Copy)]
pub(in crate::handler) struct Dress<'a> {
    pub(in crate::handler) rules: &'a Rules,
    /// Of the request, where the rules tell hosts apart.
    pub(in crate::handler) host: Option<&'a [u8]>,
    /// The site's languages, which [`About::language`] counts.
    pub(in crate::handler) languages: &'a [String],
    /// Decoded, with its leading slash.
    pub(in crate::handler) path: &'a [u8],
    /// Of the file itself.
    pub(in crate::handler) file_name: &'a [u8],
    pub(in crate::handler) vary: Vary,
    /// Further fields that chose, as a list.
    pub(in crate::handler) vary_names: &'a str,
    /// The value of `Content-Security-Policy` of a page that is ours.
    pub(in crate::handler) security_policy: Option<&'static str>,
}

impl Dress<'_> {
    /// Lets the rules change a head.
    pub(super) fn put_on(&self, media_type: &str, head: &mut ResponseHead) {
        let facts = Facts {
            path: self.path,
            host: self.host,
            file_name: self.file_name,
            media_type,
            status: head.status,
        };
        self.rules.dress(&facts, head);
        // The preset says less than a page of ours says of itself.
        if let Some(policy) = self.security_policy
            && head
                .get(POLICY)
                .is_some_and(|value| value == PRESET_POLICY.as_bytes())
        {
            let both = format!("{policy}; {PRESET_POLICY}");
            head.set(POLICY.into(), both.into_bytes());
        }
    }
}

/// Renders what every request for this content is answered with.
pub(in crate::handler) fn representation(
    dress: &Dress<'_>,
    about: About,
    validators: Validators,
    len: u64,
    content: Content,
) -> Representation {
    let mut full = described(dress, Status::OK, &about, &validators)
        .with("Accept-Ranges", "bytes")
        .with_length(len);
    dress.put_on(&about.media_type, &mut full);
    Representation {
        full: HeadTemplate::new(&full),
        not_modified: HeadTemplate::new(&not_modified(dress, &about, &validators)),
        about,
        validators,
        len,
        content,
        makes: CodingSet::default(),
        partial: OnceLock::new(),
    }
}

/// A 304 repeats what guides the cache that asked, and nothing else (RFC 9110 §15.4.5): the date
/// only where there is no entity tag.
fn not_modified(dress: &Dress<'_>, about: &About, validators: &Validators) -> ResponseHead {
    let head = ResponseHead::new(Status::NOT_MODIFIED).with("Server", SERVER);
    let head = match &validators.etag {
        Some(etag) => head.with_value("ETag", etag.as_bytes()),
        None => with_last_modified(head, validators),
    };
    let mut head = with_vary(head, dress);
    dress.put_on(&about.media_type, &mut head);
    head
}

/// The head of an answer made for one request: `Content-Length` and `Content-Range` follow.
pub(super) fn described(
    dress: &Dress<'_>,
    status: Status,
    about: &About,
    validators: &Validators,
) -> ResponseHead {
    let mut head = ResponseHead::new(status)
        .with("Server", SERVER)
        .with_value("Content-Type", about.media_type.as_bytes());
    if about.coding != Coding::Identity {
        head = head.with("Content-Encoding", about.coding.name());
    }
    let language = about
        .language
        .and_then(|position| dress.languages.get(usize::from(position)));
    if let Some(language) = language {
        head = head.with_value("Content-Language", language.as_bytes());
    }
    head = with_last_modified(head, validators);
    if let Some(etag) = &validators.etag {
        head = head.with_value("ETag", etag.as_bytes());
    }
    if let Some(policy) = dress.security_policy {
        head = head.with("Content-Security-Policy", policy);
    }
    with_vary(head, dress)
}

/// RFC 9110 §12.5.5
fn with_vary(head: ResponseHead, dress: &Dress<'_>) -> ResponseHead {
    match (dress.vary.value(), dress.vary_names) {
        (None, "") => head,
        (Some(value), "") => head.with("Vary", value),
        (None, names) => head.with_value("Vary", names),
        (Some(value), names) => head.with_value("Vary", format!("{value}, {names}")),
    }
}

fn with_last_modified(head: ResponseHead, validators: &Validators) -> ResponseHead {
    match validators.last_modified_unix {
        Some(seconds) => head.with_value("Last-Modified", date::format(seconds)),
        None => head,
    }
}
