//! Compressed forms that are made on the fly: once, off the workers, while the answers go out as
//! they are; first a fast one, then the best, each put in place by whoever compares the entry next.

use std::sync::Arc;

use super::FileServices;
use super::{Aside, contents::is_racy_at};
use crate::base::Now;
use crate::cache::{BodyKey, Content, Entry, Made, Outcome, PaidBody, Representation};
use crate::compress::{self, Effort, KeptKey};
use crate::engine::FileStat;
use crate::engine::named::read_whole;
use crate::http::Coding;
use crate::task::Urgency;

/// The work that a request for a coding brings up, unless somebody does it already.
#[cold]
pub(super) fn aside(entry: &Arc<Entry>, variant: u8, coding: Coding, now: Now) -> Option<Aside> {
    if entry.is_racy() {
        // Nothing could be kept of a state that proves nothing. Once it has settled, it is read
        // again, and then it does.
        let mut position = 0;
        while let Some(state) = entry.state(position) {
            if is_racy_at(state, now) {
                return None;
            }
            position += 1;
        }
        entry.suspect();
        return None;
    }
    entry.claim_making(variant, coding).then(|| Aside::Make {
        entry: Arc::clone(entry),
        variant,
        coding,
    })
}

/// Makes a coding of a variant: what was kept or the fast form first, then the best.
pub(super) async fn make(services: &FileServices, entry: Arc<Entry>, variant: u8, coding: Coding) {
    for effort in [Effort::Fast, Effort::Best] {
        let Some(made) = form(services, &entry, variant, coding, effort).await else {
            return;
        };
        let is_best = made.is_best;
        // The entry may be another one by now, of the same files.
        let Some(current) = services.store.peek(entry.path()) else {
            return;
        };
        if current.origin() != entry.origin() {
            return;
        }
        // Whoever makes an entry of this one must not make it again.
        current.claim_making(variant, coding);
        current.add_made(made);
        if is_best {
            return;
        }
    }
}

/// The fast form for a request that waits for it.
pub(super) async fn now(
    services: &FileServices,
    entry: &Arc<Entry>,
    variant: u8,
    coding: Coding,
) -> Option<Made> {
    form(services, entry, variant, coding, Effort::Fast).await
}

async fn form(
    services: &FileServices,
    entry: &Entry,
    variant: u8,
    coding: Coding,
    effort: Effort,
) -> Option<Made> {
    let plain = plain(entry, variant)?;
    let stat = *entry.state(plain.about.state)?;
    let best = compress::tag(coding, Effort::Best);
    for (tag, is_best) in [
        (best, true),
        (compress::tag(coding, effort), effort == Effort::Best),
    ] {
        if let Some(body) = services.store.shared_body(&BodyKey::new(&stat, tag)) {
            return Some(made(variant, coding, tag, is_best || tag == best, &body));
        }
    }
    let content = plain.content.clone();
    let kept = services.kept.clone();
    let urgency = match effort {
        Effort::Fast => Urgency::Answer,
        Effort::Best => Urgency::Background,
    };
    let job = move || {
        if let Some(kept) = &kept
            && let Some(bytes) = kept.get(&kept_key(&stat, coding, Effort::Best))
        {
            return Some((bytes, Effort::Best));
        }
        let input = match &content {
            Content::Memory(bytes) => bytes.clone(),
            Content::File(file) => read_whole(file, &stat)?.into(),
            Content::Named(file) => read_whole(&file.open().ok()?, &stat)?.into(),
        };
        let bytes = compress::compress(coding, effort, &input)?;
        if let Some(kept) = &kept
            && effort == Effort::Best
        {
            kept.put(&kept_key(&stat, coding, effort), &bytes);
        }
        Some((bytes, effort))
    };
    let (mut bytes, effort) = services.pool.run(urgency, job).ok()?.await??;
    bytes.shrink_to_fit();
    let permit = services.store.pay(bytes.capacity() as u64)?;
    let body = permit.into_body(bytes);
    let tag = compress::tag(coding, effort);
    services.store.share_body(BodyKey::new(&stat, tag), &body);
    Some(made(variant, coding, tag, tag == best, &body))
}

fn made(variant: u8, coding: Coding, tag: &'static str, is_best: bool, body: &PaidBody) -> Made {
    Made {
        variant,
        coding,
        tag,
        is_best,
        bytes: body.bytes(),
    }
}

fn plain(entry: &Entry, variant: u8) -> Option<&Representation> {
    match entry.outcome() {
        Outcome::Resource(resource) => resource
            .all()
            .find(|one| one.about.variant == variant && one.about.coding == Coding::Identity),
        Outcome::Page(_) | Outcome::PerRequest => None,
    }
}

fn kept_key(stat: &FileStat, coding: Coding, effort: Effort) -> KeptKey {
    KeptKey::new(
        stat.device,
        stat.inode,
        stat.len,
        stat.modified,
        coding,
        effort,
    )
}
