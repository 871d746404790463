//! From a decoded field section to a request head (RFC 9113 §8.2, §8.3).
//!
//! A request that breaks these sections is malformed: its stream is reset (§8.1.1). One that is
//! well formed and not acceptable for another reason has a [`Fault`], answered as in HTTP/1.

use std::mem::ManuallyDrop;

use arrayvec::ArrayVec;

use super::hpack::{FieldFault, FieldList, ListedField};
use super::schedule::Priority;
use super::streams::UNKNOWN_LENGTH;
use crate::base::limits::{FIELDS_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX};
use crate::http::field::{is_token_byte, parse_length};
use crate::http::hpack_static::names;
use crate::http::{
    Authority, Fault, Field, Fields, Method, RequestHead, Status, Target, TargetForm, Version,
};

/// Room for the fields of one head, on the caller's stack; never zeroed.
pub struct HeadStorage<'a> {
    /// Without its destructor, which has nothing to do here and would keep the fields borrowed to
    /// the end of the caller's scope.
    fields: ManuallyDrop<ArrayVec<Field<'a>, FIELDS_MAX>>,
}

impl Default for HeadStorage<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadStorage<'_> {
    /// Room for one head.
    #[inline]
    pub fn new() -> Self {
        HeadStorage {
            fields: ManuallyDrop::new(ArrayVec::new_const()),
        }
    }
}

/// Why there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// §8.1.1: a stream error of type PROTOCOL_ERROR.
    Malformed(&'static str),
    /// To be answered; without content when it was going to be HEAD.
    Fault { fault: Fault, head_only: bool },
}

/// A field section that was found to be a request, by the places of its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outline {
    method: Method,
    form: TargetForm,
    /// Where `:path` stands, how much of it is the path, and whether a query follows.
    path: Option<(usize, usize, bool)>,
    /// Where `:authority` stands, or `host`.
    authority: usize,
    /// The first field that is no pseudo-field.
    first: usize,
    /// What `content-length` says, or [`UNKNOWN_LENGTH`].
    pub(super) length: u64,
    pub(super) priority: Priority,
}

/// What the sections ask about, found in one pass. Values with their places.
#[derive(Default)]
struct Found<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    path: Option<(usize, &'a [u8])>,
    authority: Option<(usize, &'a [u8])>,
    host: Option<(usize, &'a [u8])>,
    length: Option<u64>,
    expectation: Expectation,
    priority: Option<Priority>,
    /// Pseudo-fields so far: all fields, until the first other one.
    pseudo: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expectation {
    #[default]
    None,
    Continue,
    Unknown,
}

/// Reads `list`, a whole field section that came with HEADERS.
pub(super) fn outline(list: &FieldList, has_content: bool) -> Result<Outline, Refusal> {
    check_fields(list)?;
    if list.is_overflown() {
        return Err(too_large(list));
    }
    let found = find(list)?;
    let method_token = found.method.ok_or(MISSING)?;
    let method = Method::parse(method_token);
    if method == Method::Unknown && !is_token(method_token) {
        return Err(Refusal::Malformed("the method is no token"));
    }
    check_length(&found, has_content)?;
    let mut outline = Outline {
        method,
        form: TargetForm::Origin,
        path: None,
        authority: 0,
        first: found.pseudo,
        length: found.length.unwrap_or(UNKNOWN_LENGTH),
        priority: found.priority.unwrap_or(Priority::DEFAULT),
    };
    let head_only = method == Method::Head;
    let faulty = |fault| Refusal::Fault { fault, head_only };
    read_target(&mut outline, &found, faulty)?;
    if method_token.len() > METHOD_BYTES_MAX {
        return Err(faulty(Fault::new(
            Status::NOT_IMPLEMENTED,
            "the method is too long",
        )));
    }
    if found.expectation == Expectation::Unknown {
        // RFC 9110 §10.1.1
        return Err(faulty(Fault::new(
            Status::EXPECTATION_FAILED,
            "the expectation is unknown",
        )));
    }
    Ok(outline)
}

impl Outline {
    /// The request that was outlined from `list`.
    #[inline]
    pub(super) fn head<'s, 'a: 's>(
        &self,
        list: &'a FieldList,
        storage: &'s mut HeadStorage<'a>,
    ) -> RequestHead<'s> {
        let mut path: &[u8] = b"";
        let mut query = None;
        let mut authority = None;
        storage.fields.clear();
        for (place, field) in list.fields().enumerate() {
            let value = field.value;
            if place == self.authority {
                authority = Some(value);
            }
            if place >= self.first {
                let name = field.name;
                storage.fields.push(Field { name, value });
            } else if let Some((at, len, has_query)) = self.path
                && place == at
            {
                path = &value[..len];
                query = has_query.then(|| &value[len + 1..]);
            }
        }
        RequestHead {
            method: self.method,
            version: Version::Http2,
            form: self.form,
            path,
            query,
            authority,
            fields: Fields::new(&storage.fields),
        }
    }
}

const MISSING: Refusal = Refusal::Malformed("a pseudo-field is missing");
const CONNECTION_SPECIFIC: Refusal = Refusal::Malformed("a connection-specific field");
const REPEATED: Refusal = Refusal::Malformed("a pseudo-field is repeated");

/// §8.2.1
fn check_fields(list: &FieldList) -> Result<(), Refusal> {
    match list.fault() {
        None => Ok(()),
        Some(FieldFault::Name) => Err(Refusal::Malformed("a field name is malformed")),
        Some(FieldFault::Value) => Err(Refusal::Malformed("a field value is malformed")),
    }
}

/// RFC 6585 §5. What was left out can be anything, so nothing else is judged.
#[cold]
fn too_large(list: &FieldList) -> Refusal {
    let is_head = |field: ListedField<'_>| {
        field.static_index == Some(names::METHOD) && field.value == b"HEAD"
    };
    Refusal::Fault {
        fault: Fault::new(
            Status::HEADER_FIELDS_TOO_LARGE,
            "the request's fields are too large",
        ),
        head_only: list.fields().any(is_head),
    }
}

/// §8.3: pseudo-fields come first, each once, and only those of a request.
#[inline]
fn find(list: &FieldList) -> Result<Found<'_>, Refusal> {
    let mut found = Found::default();
    for (place, field) in list.fields().enumerate() {
        let value = field.value;
        match field.static_index {
            Some(index @ names::AUTHORITY..=names::STATUS) => {
                if found.pseudo != place {
                    return Err(Refusal::Malformed("a pseudo-field behind other fields"));
                }
                found.pseudo += 1;
                note_pseudo(&mut found, place, index, value)?;
            }
            None => note_field(&mut found, place, field.name, value)?,
            Some(
                names::HOST | names::CONTENT_LENGTH | names::EXPECT | names::TRANSFER_ENCODING,
            ) => {
                note_field(&mut found, place, field.name, value)?;
            }
            // The other names of the static table say nothing about the message.
            Some(_) => {}
        }
    }
    Ok(found)
}

#[inline]
fn note_pseudo<'a>(
    found: &mut Found<'a>,
    place: usize,
    index: u8,
    value: &'a [u8],
) -> Result<(), Refusal> {
    let was_there = match index {
        names::AUTHORITY => found.authority.replace((place, value)).is_some(),
        names::METHOD => found.method.replace(value).is_some(),
        names::PATH => found.path.replace((place, value)).is_some(),
        names::SCHEME => found.scheme.replace(value).is_some(),
        _ => return Err(Refusal::Malformed("a pseudo-field that requests lack")),
    };
    if was_there { Err(REPEATED) } else { Ok(()) }
}

/// The fields that say something about the message itself. The length of a name sends nearly all
/// others away.
#[inline]
fn note_field<'a>(
    found: &mut Found<'a>,
    place: usize,
    name: &str,
    value: &'a [u8],
) -> Result<(), Refusal> {
    match name {
        _ if is_connection_specific(name) => {
            return Err(CONNECTION_SPECIFIC);
        }
        // §8.2.2
        "te" if !value.eq_ignore_ascii_case(b"trailers") => {
            return Err(Refusal::Malformed("TE says more than trailers"));
        }
        "host" => match found.host.replace((place, value)) {
            None => {}
            Some(_) => return Err(Refusal::Malformed("Host is repeated")),
        },
        // §8.1.1; RFC 9110 §8.6
        "content-length" => {
            let length = parse_length(value).filter(|length| *length != UNKNOWN_LENGTH);
            if length.is_none() || found.length.replace(length.unwrap_or(0)).is_some() {
                return Err(Refusal::Malformed("Content-Length is not one number"));
            }
        }
        "expect" => {
            let is_continue = value.eq_ignore_ascii_case(b"100-continue");
            found.expectation = match (found.expectation, is_continue) {
                (Expectation::None, true) => Expectation::Continue,
                _ => Expectation::Unknown,
            };
        }
        // RFC 9218 §5. Lines of one field are one list; the last one wins.
        "priority" => found.priority = Some(Priority::parse(value)),
        _ => {}
    }
    Ok(())
}

/// §8.2.2
#[inline]
fn is_connection_specific(name: &str) -> bool {
    matches!(
        name,
        "connection" | "proxy-connection" | "keep-alive" | "transfer-encoding" | "upgrade"
    )
}

/// §8.1.1: a request without content cannot promise any.
fn check_length(found: &Found<'_>, has_content: bool) -> Result<(), Refusal> {
    match found.length {
        Some(length) if length > 0 && !has_content => {
            Err(Refusal::Malformed("Content-Length without content"))
        }
        _ => Ok(()),
    }
}

/// §8.3.1: method, scheme, path and authority.
#[inline]
fn read_target(
    outline: &mut Outline,
    found: &Found<'_>,
    faulty: impl Fn(Fault) -> Refusal,
) -> Result<(), Refusal> {
    if outline.method == Method::Connect {
        return read_connect(outline, found);
    }
    let scheme = found.scheme.ok_or(MISSING)?;
    let (place, path) = found.path.ok_or(MISSING)?;
    read_authority(outline, found, scheme, &faulty)?;
    if path.first() != Some(&b'/') {
        // The asterisk is the path of an OPTIONS request for the server itself.
        if path == b"*" && outline.method == Method::Options {
            outline.form = TargetForm::Asterisk;
            return Ok(());
        }
        return Err(Refusal::Malformed(":path does not begin with a slash"));
    }
    if path.len() > TARGET_BYTES_MAX {
        return Err(faulty(Fault::new(
            Status::URI_TOO_LONG,
            "the request target is too long",
        )));
    }
    if !is_target(path) {
        return Err(Refusal::Malformed(":path holds white space"));
    }
    let target = Target::parse_path(path).map_err(&faulty)?;
    outline.path = Some((place, target.path.len(), target.query.is_some()));
    Ok(())
}

/// §8.3.1, RFC 9110 §7.2: `:authority` or `host`, and both alike. An origin server may normalize as
/// it likes: names without case, and ports by their scheme.
#[inline]
fn read_authority(
    outline: &mut Outline,
    found: &Found<'_>,
    scheme: &[u8],
    faulty: impl Fn(Fault) -> Refusal,
) -> Result<(), Refusal> {
    let default_port = match scheme {
        b"http" => 80,
        b"https" => 443,
        // RFC 9110 §4.2.3: schemes have no case.
        _ if scheme.eq_ignore_ascii_case(b"http") => 80,
        _ if scheme.eq_ignore_ascii_case(b"https") => 443,
        _ => {
            return Err(faulty(Fault::bad_request(
                "the scheme is neither http nor https",
            )));
        }
    };
    // User information, which must not be there, is no part of our grammar either.
    const NO_AUTHORITY: Refusal = Refusal::Malformed("the authority is malformed");
    let parse = |value| Authority::parse(value).ok_or(NO_AUTHORITY);
    let (place, _) = match (found.authority, found.host) {
        (Some(authority), None) => {
            parse(authority.1)?;
            authority
        }
        (None, Some(host)) => {
            parse(host.1)?;
            host
        }
        (Some(authority), Some(host)) => {
            let (left, right) = (parse(authority.1)?, parse(host.1)?);
            let port = |authority: Authority<'_>| authority.port.unwrap_or(default_port);
            if !left.host.eq_ignore_ascii_case(right.host) || port(left) != port(right) {
                return Err(Refusal::Malformed("Host and :authority differ"));
            }
            authority
        }
        (None, None) => return Err(faulty(Fault::bad_request("the authority is missing"))),
    };
    outline.authority = place;
    Ok(())
}

/// §8.5: CONNECT names an authority with a port, and nothing else.
#[cold]
fn read_connect(outline: &mut Outline, found: &Found<'_>) -> Result<(), Refusal> {
    if found.scheme.is_some() || found.path.is_some() {
        return Err(Refusal::Malformed("CONNECT with :scheme or :path"));
    }
    let (place, authority) = found.authority.ok_or(MISSING)?;
    match Authority::parse(authority) {
        Some(Authority { port: Some(_), .. }) => {
            outline.form = TargetForm::Authority;
            outline.authority = place;
            Ok(())
        }
        _ => Err(Refusal::Malformed("CONNECT needs a host and a port")),
    }
}

#[cold]
fn is_token(method: &[u8]) -> bool {
    !method.is_empty() && method.iter().all(|byte| is_token_byte(*byte))
}

/// Field values may hold spaces and tabs, targets may not; HTTP/1 lets the other bytes pass, too.
#[inline]
fn is_target(path: &[u8]) -> bool {
    let any_space = path
        .iter()
        .fold(false, |any, byte| any | matches!(byte, b' ' | b'\t'));
    !any_space
}

/// §8.1, §8.3: trailers have no pseudo-fields, and §8.2 holds for them as for others.
pub(super) fn check_trailers(list: &FieldList) -> Result<(), Refusal> {
    check_fields(list)?;
    for field in list.fields() {
        if let Some(names::AUTHORITY..=names::STATUS) = field.static_index {
            return Err(Refusal::Malformed("a pseudo-field in trailers"));
        }
        if is_connection_specific(field.name) {
            return Err(CONNECTION_SPECIFIC);
        }
    }
    Ok(())
}
