//! Compressed forms that are made on the fly: once, off the workers, while the answers go out as
//! they are; first a fast one, then the best, each put in place by whoever compares the entry next.

use std::sync::Arc;

use bytes::Bytes;

use super::FileServices;
use super::{Aside, contents::is_racy_at};
use crate::base::Now;
use crate::cache::{BodyKey, Content, Entry, Made, Outcome, PaidBody, Representation};
use crate::compress::{Effort, Kept, compress};
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
pub(super) async fn make(
    services: &FileServices,
    kept: Option<Arc<Kept>>,
    entry: Arc<Entry>,
    variant: u8,
    coding: Coding,
) {
    // The best gzip gains little and costs twenty times as much: who wants less takes another
    // coding.
    let efforts: &[Effort] = match coding {
        Coding::Gzip | Coding::Identity => &[Effort::Good],
        Coding::Zstd | Coding::Brotli => &[Effort::Fast, Effort::Best],
    };
    for effort in efforts.iter().copied() {
        let Some(made) = form(services, kept.clone(), &entry, (variant, coding), effort).await
        else {
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
    kept: Option<Arc<Kept>>,
    entry: &Arc<Entry>,
    variant: u8,
    coding: Coding,
) -> Option<Made> {
    form(services, kept, entry, (variant, coding), Effort::Fast).await
}

/// A form of this effort or a better one that is there already.
async fn form(
    services: &FileServices,
    kept: Option<Arc<Kept>>,
    entry: &Entry,
    (variant, coding): (u8, Coding),
    effort: Effort,
) -> Option<Made> {
    let plain = plain(entry, variant)?;
    let stat = *entry.state(plain.about.state)?;
    for effort in [Effort::Best, effort] {
        let key = BodyKey::new(&stat, tag(coding, effort));
        if let Some(body) = services.store.shared_body(&key) {
            return Some(made(variant, coding, effort, &body));
        }
    }
    let content = plain.content.clone();
    let urgency = match effort {
        Effort::Fast | Effort::Good => Urgency::Answer,
        Effort::Best => Urgency::Background,
    };
    let job = move || {
        let input: Bytes = match &content {
            Content::Memory(bytes) => bytes.clone(),
            Content::File(file) => read_whole(file, &stat)?.into(),
            Content::Named(file) => read_whole(file.open().ok()?, &stat)?.into(),
        };
        let Some(kept) = kept else {
            let coded = compress(coding, effort, &input)?;
            return Some((effort, coded));
        };
        if let Some((known, coded)) = kept.best(coding, &input)
            && known >= effort
        {
            return Some((known, coded));
        }
        let coded = kept.compress(coding, effort, &input)?;
        Some((effort, coded))
    };
    let (effort, mut bytes) = services.pool.run(urgency, job).ok()?.await??;
    bytes.shrink_to_fit();
    let permit = services.store.pay(bytes.capacity() as u64)?;
    let body = permit.into_body(bytes);
    let key = BodyKey::new(&stat, tag(coding, effort));
    services.store.share_body(key, &body);
    Some(made(variant, coding, effort, &body))
}

fn made(variant: u8, coding: Coding, effort: Effort, body: &PaidBody) -> Made {
    Made {
        variant,
        coding,
        tag: tag(coding, effort),
        is_best: effort == Effort::Best,
        bytes: body.bytes(),
    }
}

/// Tells the forms of one file apart, in entity tags and among shared bodies.
fn tag(coding: Coding, effort: Effort) -> &'static str {
    match (coding, effort) {
        (Coding::Identity, _) => "",
        (Coding::Gzip, Effort::Fast) => "gzip1",
        (Coding::Gzip, Effort::Good) => "gzip2",
        (Coding::Gzip, Effort::Best) => "gzip3",
        (Coding::Zstd, Effort::Fast) => "zstd1",
        (Coding::Zstd, Effort::Good) => "zstd2",
        (Coding::Zstd, Effort::Best) => "zstd3",
        (Coding::Brotli, Effort::Fast) => "br1",
        (Coding::Brotli, Effort::Good) => "br2",
        (Coding::Brotli, Effort::Best) => "br3",
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
