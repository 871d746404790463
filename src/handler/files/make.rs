//! Compressed forms that are made on the fly: once, off the workers, while the answers go out as
//! they are; first a fast one, then the best, each put in place by whoever compares the entry next.

use std::sync::Arc;

use bytes::Bytes;

use super::FileServices;
use super::{Aside, contents::is_racy};
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
            if is_racy(state, now) {
                return None;
            }
            position += 1;
        }
        entry.suspect();
        return None;
    }
    entry.forms().claim(variant, coding).then(|| Aside::Make {
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
        if effort == Effort::Fast && entry.forms().has(variant, coding) {
            continue;
        }
        let urgency = match effort {
            Effort::Fast | Effort::Good => Urgency::Soon,
            Effort::Best => Urgency::Background,
        };
        let which = (variant, coding, effort);
        match form(services, kept.clone(), &entry, which, urgency).await {
            Ok(made) => {
                let is_final = made.is_final;
                hand_over(services, &entry, made);
                if is_final {
                    return;
                }
            }
            Err(Unmade::Refused) => return entry.forms().unclaim(variant, coding),
            Err(Unmade::Impossible) => return,
        }
    }
}

/// Gives a form to the entry of the same files that the store has by now.
fn hand_over(services: &FileServices, entry: &Arc<Entry>, made: Made) {
    // First of all, so that who puts another entry in its place meanwhile finds the form.
    entry.add_made(made.clone());
    let Some(current) = services.store.peek(entry.path()) else {
        return;
    };
    if Arc::ptr_eq(current.forms(), entry.forms()) {
        current.suspect();
    } else if current.origin() == entry.origin() {
        current.add_made(made);
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
    let which = (variant, coding, Effort::Fast);
    let made = form(services, kept, entry, which, Urgency::Answer).await;
    made.ok()
}

/// Why there is no form.
enum Unmade {
    /// There is too much to do: whoever asks next may try again.
    Refused,
    /// It cannot be made, or there is no room for it.
    Impossible,
}

/// A form of this effort or a better one that is there already.
async fn form(
    services: &FileServices,
    kept: Option<Arc<Kept>>,
    entry: &Entry,
    (variant, coding, effort): (u8, Coding, Effort),
    urgency: Urgency,
) -> Result<Made, Unmade> {
    let plain = plain(entry, variant).ok_or(Unmade::Impossible)?;
    let stat = *entry.state(plain.about.state).ok_or(Unmade::Impossible)?;
    for effort in [Effort::Best, effort] {
        let key = BodyKey::new(&stat, tag(coding, effort));
        if let Some(body) = services.store.shared_body(&key) {
            return Ok(made(variant, coding, effort, &body));
        }
    }
    let content = plain.content.clone();
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
    let running = services
        .pool
        .run(urgency, job)
        .map_err(|_| Unmade::Refused)?;
    let coded = running.await.flatten();
    let (effort, mut bytes) = coded.ok_or(Unmade::Impossible)?;
    bytes.shrink_to_fit();
    let permit = services.store.pay(bytes.capacity() as u64);
    let body = permit.ok_or(Unmade::Impossible)?.into_body(bytes);
    let key = BodyKey::new(&stat, tag(coding, effort));
    services.store.share_body(key, &body);
    Ok(made(variant, coding, effort, &body))
}

fn made(variant: u8, coding: Coding, effort: Effort, body: &PaidBody) -> Made {
    Made {
        variant,
        coding,
        tag: tag(coding, effort),
        is_final: effort != Effort::Fast,
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
