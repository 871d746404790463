//! Which representation of a resource a request prefers (RFC 9110 §12): first by media type, then
//! by language, then by coding.

use crate::cache::{Representation, Resource};
use crate::http::{AcceptedCodings, Coding, CodingSet, Known, RequestHead, accept, language};

/// What a request accepts of codings, remembered by the bytes of the field: browsers send the same
/// few values again and again.
#[derive(Debug)]
pub(super) struct CodingMemo {
    value: Vec<u8>,
    accepted: AcceptedCodings,
}

impl Default for CodingMemo {
    fn default() -> Self {
        CodingMemo {
            value: Vec::new(),
            accepted: AcceptedCodings::from_value(b""),
        }
    }
}

impl CodingMemo {
    #[inline]
    pub(super) fn accepted(&mut self, head: &RequestHead<'_>) -> AcceptedCodings {
        match head.fields.get_single(Known::AcceptEncoding) {
            Some(value) if value == self.value => self.accepted,
            Some(value) => {
                self.accepted = AcceptedCodings::from_value(value);
                self.value.clear();
                self.value.extend_from_slice(value);
                self.accepted
            }
            None => AcceptedCodings::of(&head.fields),
        }
    }
}

/// What was chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen<'r> {
    pub(super) representation: &'r Representation,
    /// The request would prefer this coding, which can be made.
    pub(super) wish: Option<Coding>,
    /// Nothing that is there is acceptable; this is the least bad.
    pub(super) is_unacceptable: bool,
}

/// Chooses for a request. Without a field that chooses, this is one comparison.
#[inline]
pub(super) fn choose<'r>(
    head: &RequestHead<'_>,
    resource: &'r Resource,
    languages: &[String],
    codings: &mut CodingMemo,
) -> Chosen<'r> {
    let vary = resource.vary;
    let is_asked = vary.accept
        || vary.language
        || (vary.encoding && head.fields.get(Known::AcceptEncoding).is_some());
    if !is_asked {
        return Chosen {
            representation: &resource.first,
            wish: None,
            is_unacceptable: false,
        };
    }
    choose_among(head, resource, languages, codings)
}

fn choose_among<'r>(
    head: &RequestHead<'_>,
    resource: &'r Resource,
    languages: &[String],
    codings: &mut CodingMemo,
) -> Chosen<'r> {
    let mut is_unacceptable = false;
    let mut variant = resource.first.about.variant;
    let is_plain = |one: &&Representation| one.about.coding == Coding::Identity;
    if resource.vary.accept {
        let plain = || resource.all().filter(is_plain);
        let types: Vec<&str> = plain().map(|one| &*one.about.media_type).collect();
        match accept::choose(&head.fields, &types) {
            Some(position) => variant = nth_variant(resource, position),
            None => is_unacceptable = true,
        }
    }
    if resource.vary.language {
        let plain = || resource.all().filter(is_plain);
        let language_of = |one: &Representation| {
            let position = usize::from(one.about.language.unwrap_or(0));
            languages.get(position).map_or("", |language| &**language)
        };
        let available: Vec<&str> = plain().map(language_of).collect();
        match language::lookup(&head.fields, &available, 0) {
            Some(position) => variant = nth_variant(resource, position),
            None => is_unacceptable = true,
        }
    }
    let forms = || {
        resource
            .all()
            .filter(move |one| one.about.variant == variant)
    };
    let plain = forms().find(is_plain).unwrap_or(&resource.first);
    let accepted = codings.accepted(head);
    let there: CodingSet = forms().map(|one| one.about.coding).collect();
    let best = accepted.best(there);
    let wish = accepted.best(there.union(plain.makes));
    let wish = wish.filter(|coding| plain.makes.contains(*coding));
    let form = best.and_then(|coding| forms().find(|one| one.about.coding == coding));
    Chosen {
        representation: form.unwrap_or(plain),
        wish,
        is_unacceptable: is_unacceptable || form.is_none(),
    }
}

fn nth_variant(resource: &Resource, position: usize) -> u8 {
    let mut plain = resource
        .all()
        .filter(|one| one.about.coding == Coding::Identity);
    plain.nth(position).map_or(0, |one| one.about.variant)
}
