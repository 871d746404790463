//! From what a path leads to and what a request asks, to an answer.
//!
//! The same code answers on both lanes: the fast lane sends a [`Reply`] by reference, the slow lane
//! turns it into an [`Answer`] of its own.

use bytes::Bytes;

use super::choose::{Chosen, CodingMemo, choose};
use super::render::{self, Dress};
use crate::cache::{Content, Entry, Outcome, Page, Representation, Resource};
use crate::engine::FileRange;
use crate::engine::named::{NamedRead, read_named};
use crate::exchange::{Answer, AnswerHead, Body, Part, Parts};
use crate::handler::errors::{self, error_answer};
use crate::handler::redirect;
use crate::http::{
    Boundary, ByteRange, Coding, HeadTemplate, Method, Multipart, Ranges, RequestHead,
    ResponseHead, Selected, Status, conditions, range,
};
use crate::route::Rules;

/// What the site of an entry says besides.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) rules: &'a Rules,
    pub(super) languages: &'a [String],
    /// Answer 406 to who accepts nothing that is there.
    pub(super) refuses_unacceptable: bool,
}

/// An answer that may still be borrowed.
pub(super) enum Reply<'a> {
    /// A template and its body; nothing is made for it.
    Ready {
        head: &'a HeadTemplate,
        body: &'a Bytes,
    },
    /// An answer made for this request.
    Made(Answer),
    /// An error, whose page the rules may name. The field is added to it.
    Error(Status, Option<(&'static str, String)>),
    /// The body cannot be had at once, or no entry answers.
    Slow,
}

static NO_BODY: Bytes = Bytes::new();

impl Reply<'_> {
    /// The answer by itself, if there is one.
    pub(super) fn into_answer(self) -> Result<Answer, Option<Refused>> {
        match self {
            Reply::Made(answer) => Ok(answer),
            Reply::Ready { head, body } => Ok(Answer {
                head: AnswerHead::Template(head.clone()),
                body: errors::body_unless(false, body.clone()),
            }),
            Reply::Error(status, field) => Err(Some((status, field))),
            Reply::Slow => Err(None),
        }
    }
}

/// An error to be answered, and a field of its own.
pub(super) type Refused = (Status, Option<(&'static str, String)>);

/// A reply, and the coding that the request would have preferred, of which variant.
pub(super) struct Replied<'a> {
    pub(super) reply: Reply<'a>,
    pub(super) wish: Option<(u8, Coding)>,
    /// The body came from the disk.
    pub(super) was_read: bool,
}

impl<'a> Replied<'a> {
    fn plain(reply: Reply<'a>) -> Replied<'a> {
        Replied {
            reply,
            wish: None,
            was_read: false,
        }
    }
}

/// The answer from an entry.
#[inline]
pub(super) fn from_entry<'a>(
    head: &RequestHead<'_>,
    entry: &'a Entry,
    scene: Scene<'_>,
    codings: &mut CodingMemo,
) -> Replied<'a> {
    match entry.outcome() {
        Outcome::Resource(resource) => from_resource(head, resource, scene, codings),
        Outcome::Page(page) => Replied::plain(from_page(head, page)),
        Outcome::PerRequest => Replied::plain(Reply::Slow),
    }
}

#[inline]
fn from_resource<'a>(
    head: &RequestHead<'_>,
    resource: &'a Resource,
    scene: Scene<'_>,
    codings: &mut CodingMemo,
) -> Replied<'a> {
    if resource.by_query && head.query.is_some() {
        return Replied::plain(Reply::Slow);
    }
    let Chosen {
        representation,
        wish,
        is_unacceptable,
    } = choose(head, resource, scene.languages, codings);
    let wish = wish.map(|coding| (representation.about.variant, coding));
    if is_unacceptable {
        // What is not there yet can be made for who needs it.
        if wish.is_some() {
            let reply = Reply::Slow;
            return Replied {
                reply,
                wish,
                was_read: false,
            };
        }
        if scene.refuses_unacceptable {
            return Replied::plain(Reply::Error(Status::NOT_ACCEPTABLE, None));
        }
    }
    let reply = match conditions::evaluate(head, &representation.validators, representation.len) {
        Selected::Full => full(head.method, representation),
        Selected::NotModified => Reply::Ready {
            head: &representation.not_modified,
            body: &NO_BODY,
        },
        Selected::PreconditionFailed => Reply::Error(Status::PRECONDITION_FAILED, None),
        Selected::Range(range) => partial(head, resource, representation, &range, scene),
        Selected::Ranges(ranges) => parts(head, resource, representation, &ranges, scene),
        Selected::Unsatisfiable => {
            let field = range::unsatisfied_content_range(representation.len);
            Reply::Error(
                Status::RANGE_NOT_SATISFIABLE,
                Some(("Content-Range", field)),
            )
        }
    };
    Replied {
        reply,
        wish,
        was_read: matches!(representation.content, Content::Named(_)),
    }
}

/// The answer to a path that breaks the grammar.
pub(super) fn bad_request(head: &RequestHead<'_>, reason: &str) -> Answer {
    error_answer(Status::BAD_REQUEST, reason, is_head(head))
}

fn from_page<'a>(head: &RequestHead<'_>, page: &'a Page) -> Reply<'a> {
    if let (Some(location), Some(query)) = (&page.location, head.query) {
        let (fresh, target) = &**location;
        let mut target = target.clone();
        redirect::push_query(Some(query), &mut target);
        let body = errors::body_unless(is_head(head), page.body.clone());
        return Reply::Made(Answer {
            head: AnswerHead::Fresh(fresh.clone().with_value("Location", target)),
            body,
        });
    }
    Reply::Ready {
        head: &page.head,
        body: if is_head(head) { &NO_BODY } else { &page.body },
    }
}

#[inline]
fn full(method: Method, representation: &Representation) -> Reply<'_> {
    let head = &representation.full;
    let template = || AnswerHead::Template(head.clone());
    match &representation.content {
        _ if method == Method::Head || representation.len == 0 => Reply::Ready {
            head,
            body: &NO_BODY,
        },
        Content::Memory(body) => Reply::Ready { head, body },
        Content::File(file) => Reply::Made(Answer {
            head: template(),
            body: Body::File(FileRange {
                file: file.clone(),
                offset: 0,
                len: representation.len,
            }),
        }),
        Content::Named(file) => {
            let mut bytes = Vec::new();
            match read_named(file, &mut bytes) {
                NamedRead::Whole => Reply::Made(Answer {
                    head: template(),
                    body: Body::Bytes(bytes.into()),
                }),
                NamedRead::Elsewhere => Reply::Slow,
            }
        }
    }
}

/// Heads of a part: what the whole says, and what the rules add to it.
fn part_head(
    head: &RequestHead<'_>,
    resource: &Resource,
    representation: &Representation,
    scene: Scene<'_>,
    finish: impl FnOnce(&mut ResponseHead),
) -> ResponseHead {
    let decoded = crate::http::SafePath::parse(head.path).map(|path| path.to_decoded());
    let decoded = decoded.unwrap_or_default();
    let name = memchr::memrchr(b'/', &decoded).map_or(0, |slash| slash + 1);
    let dress = Dress {
        rules: scene.rules,
        host: head.authority,
        languages: scene.languages,
        path: &decoded,
        file_name: &decoded[name..],
        vary: resource.vary,
        vary_names: "",
        security_policy: None,
    };
    let status = Status::PARTIAL_CONTENT;
    let about = &representation.about;
    let mut fresh = render::described(&dress, status, about, &representation.validators)
        .with("Accept-Ranges", "bytes");
    finish(&mut fresh);
    dress.put_on(&about.media_type, &mut fresh);
    fresh
}

/// RFC 9110 §15.3.7.1
fn partial<'a>(
    head: &RequestHead<'_>,
    resource: &Resource,
    representation: &Representation,
    range: &ByteRange,
    scene: Scene<'_>,
) -> Reply<'a> {
    let Some(content) = Source::of(representation) else {
        return Reply::Slow;
    };
    let template = representation.partial.get_or_init(|| {
        HeadTemplate::new(&part_head(head, resource, representation, scene, |_| {}))
    });
    let head = AnswerHead::Template(template.with_fields(&[
        ("Content-Range", range.content_range().as_bytes()),
        ("Content-Length", range.len().to_string().as_bytes()),
    ]));
    let body = match content.part(range.start(), range.len()) {
        Part::Bytes(bytes) => Body::Bytes(bytes),
        Part::File(range) => Body::File(range),
    };
    Reply::Made(Answer { head, body })
}

/// RFC 9110 §15.3.7.2
fn parts<'a>(
    head: &RequestHead<'_>,
    resource: &Resource,
    representation: &Representation,
    ranges: &Ranges,
    scene: Scene<'_>,
) -> Reply<'a> {
    let Some(content) = Source::of(representation) else {
        return Reply::Slow;
    };
    let multipart = Multipart::new(ranges, &representation.about.media_type, Boundary::new());
    let fresh = part_head(head, resource, representation, scene, |fresh| {
        fresh.set("Content-Type".into(), multipart.content_type().into());
        let len = multipart.content_length();
        fresh.add("Content-Length".into(), len.to_string().into());
    });
    let mut parts = Parts::default();
    for (position, range) in ranges.iter().enumerate() {
        parts.push(Part::Bytes(multipart.part_head(position).into()));
        parts.push(content.part(range.start(), range.len()));
    }
    parts.push(Part::Bytes(multipart.last().into()));
    let body = Body::Parts(parts);
    let head = AnswerHead::Fresh(fresh);
    Reply::Made(Answer { head, body })
}

/// Where parts of a representation are taken from.
enum Source {
    Memory(Bytes),
    File(crate::engine::operation::SharedFile),
}

impl Source {
    fn of(representation: &Representation) -> Option<Source> {
        match &representation.content {
            Content::Memory(bytes) => Some(Source::Memory(bytes.clone())),
            Content::File(file) => Some(Source::File(file.clone())),
            Content::Named(file) => {
                let mut bytes = Vec::new();
                (read_named(file, &mut bytes) == NamedRead::Whole)
                    .then(|| Source::Memory(bytes.into()))
            }
        }
    }

    fn part(&self, offset: u64, len: u64) -> Part {
        match self {
            Source::Memory(bytes) => {
                let (start, end) = (offset as usize, (offset + len) as usize);
                Part::Bytes(bytes.slice(start..end))
            }
            Source::File(file) => Part::File(FileRange {
                file: file.clone(),
                offset,
                len,
            }),
        }
    }
}

/// An error with its usual text, where no rule names a page.
pub(super) fn usual_error(head: &RequestHead<'_>, refused: Refused) -> Answer {
    let (status, field) = refused;
    let page = errors::page(status);
    let mut fresh = errors::error_head(status, page.body.len());
    if let Some((name, value)) = field {
        fresh.add(name.into(), value.into());
    }
    Answer {
        head: AnswerHead::Fresh(fresh),
        body: errors::body_unless(is_head(head), page.body.clone()),
    }
}

fn is_head(head: &RequestHead<'_>) -> bool {
    head.method == Method::Head
}
