//! Directories that are shown. A short listing is an entry like a file; a long one is streamed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::answering::Answering;
use super::load::Loader;
use super::render::{self, Dress};
use super::walk::Located;
use super::{FileServices, Loaded, MountPoint};
use crate::base::limits::{
    LISTING_KEPT_ENTRIES_MAX, LISTING_PIECE_BYTES, LISTING_STREAM_BYTES_MAX, LISTINGS_KEPT_MAX,
};
use crate::cache::{About, Content, Entry, Hold, Origin, Outcome, Representation, Resource, Vary};
use crate::engine::operation::SharedFile;
use crate::exchange::{Answer, AnswerHead, Body, Producer, body_stream};
use crate::handler::SERVER;
use crate::http::{Coding, EntityTag, Method, ResponseHead, SafePath, Status, Validators, accept};
use crate::listing::{
    CONTENT_SECURITY_POLICY, Entries, EntriesBuilder, EntryKind, Format, Links, ListingQuery,
    Order, PageFacts, Renderer, Showing, read,
};
use crate::task::Urgency;

/// Long directories that were read a moment ago, so that a flood of requests for one does not read
/// it again and again.
#[derive(Clone, Debug, Default)]
pub struct Listings(Arc<Mutex<Vec<Known>>>);

#[derive(Debug)]
struct Known {
    key: Box<[u8]>,
    entries: Arc<Entries>,
    read_at: Instant,
    /// Changes that this process had made to files by then.
    writes: u64,
}

/// How old a listing may be that is sent again.
const LISTING_FRESH_FOR: Duration = Duration::from_millis(900);

impl Listings {
    fn get(&self, key: &[u8], writes: u64) -> Option<Arc<Entries>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.read_at.elapsed() < LISTING_FRESH_FOR);
        let is_current = |known: &&Known| *known.key == *key && known.writes >= writes;
        let known = known.iter().find(is_current)?;
        Some(Arc::clone(&known.entries))
    }

    fn keep(&self, key: &[u8], entries: &Arc<Entries>, read_at: Instant, writes: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| *known.key != *key);
        if known.len() >= LISTINGS_KEPT_MAX {
            known.remove(0);
        }
        known.push(Known {
            key: key.into(),
            entries: Arc::clone(entries),
            read_at,
            writes,
        });
    }
}

/// A directory to be shown.
pub(super) struct Shown<'a> {
    pub(super) mount: usize,
    /// Below the mount.
    pub(super) inner: &'a SafePath,
    pub(super) located: &'a Located,
}

/// What is kept of a directory: its whole listing where that is short, else that each request is
/// answered by itself.
pub(super) async fn load(
    loader: &Loader<'_>,
    path: &SafePath,
    key: Box<[u8]>,
    shown: &Shown<'_>,
) -> Result<Entry, Status> {
    let entries = entries_of(loader, path, &key, shown).await?;
    let now = loader.now.monotonic;
    if entries.len() > LISTING_KEPT_ENTRIES_MAX {
        let (origin, hold) = (Origin::Unknown, Hold::unkept());
        return Ok(Entry::new(key, Outcome::PerRequest, origin, hold, now));
    }
    let decoded = path.to_decoded();
    let dress = dress(loader, &decoded);
    let mut hold = Hold::default();
    let mut form = |format: Format, variant: u8| -> Representation {
        let rendered = Renderer::new(Arc::clone(&entries), Order::default(), format, page(path));
        let mut bytes = rendered.render_all();
        bytes.shrink_to_fit();
        let validators = Validators {
            etag: EntityTag::parse(format!("\"{:016x}\"", fnv(&bytes)).as_bytes()),
            last_modified_unix: None,
        };
        let len = bytes.len() as u64;
        let content = match loader.store.pay(bytes.capacity() as u64) {
            Some(permit) => permit.into_body(bytes).bytes(),
            None => {
                hold.is_unkept = true;
                bytes.into()
            }
        };
        let about = About {
            media_type: format.content_type().into(),
            coding: Coding::Identity,
            language: None,
            variant,
            state: 0,
        };
        let content = Content::Memory(content);
        render::representation(&dress, about, validators, len, content)
    };
    let resource = Resource {
        first: form(Format::Html, 0),
        others: [form(Format::Json, 1)].into(),
        vary: dress.vary,
        by_query: true,
    };
    let outcome = Outcome::Resource(Box::new(resource));
    Ok(Entry::new(key, outcome, Origin::Unknown, hold, now))
}

/// The answer to one request: in the order and format that its query asks for, or too long to be
/// kept.
pub(super) async fn answer(answering: &Answering<'_>, shown: &Shown<'_>) -> Result<Loaded, Status> {
    let (loader, head) = (&answering.loader, answering.head);
    let path = answering.path;
    let key = loader.key(path);
    let entries = entries_of(loader, path, &key, shown).await?;
    let query = ListingQuery::parse(head.query);
    let formats = [Format::Html, Format::Json];
    let types = formats.map(Format::content_type);
    let chosen = accept::choose(&head.fields, &types).unwrap_or(0);
    let format = query.format.unwrap_or(formats[chosen]);
    let decoded = path.to_decoded();
    let dress = dress(loader, &decoded);
    let mut fresh = ResponseHead::new(Status::OK)
        .with("Server", SERVER)
        .with("Content-Type", format.content_type())
        .with("Vary", "Accept")
        .with("Content-Security-Policy", CONTENT_SECURITY_POLICY);
    let is_short = entries.len() <= LISTING_KEPT_ENTRIES_MAX;
    let mut renderer = Renderer::new(entries, query.order, format, page(path));
    let head_only = head.method == Method::Head;
    if is_short {
        let bytes = renderer.render_all();
        fresh = fresh.with_length(bytes.len() as u64);
        dress.put_on(format.content_type(), &mut fresh);
        let body = crate::handler::errors::body_unless(head_only, bytes.into());
        let head = AnswerHead::Fresh(fresh);
        return Ok(Loaded::unkept(Answer { head, body }));
    }
    dress.put_on(format.content_type(), &mut fresh);
    let head = AnswerHead::Fresh(fresh);
    if head_only {
        let body = Body::Empty;
        return Ok(Loaded::unkept(Answer { head, body }));
    }
    let (mut writer, stream) = body_stream(LISTING_STREAM_BYTES_MAX);
    let rest = Producer::new(async move {
        while let Some(piece) = renderer.next_piece(LISTING_PIECE_BYTES) {
            if writer.write(piece).await.is_err() {
                return; // Nobody reads on.
            }
        }
        writer.finish();
    });
    let body = Body::Stream(stream);
    Ok(Loaded {
        rest: Some(rest),
        ..Loaded::unkept(Answer { head, body })
    })
}

async fn entries_of(
    loader: &Loader<'_>,
    path: &SafePath,
    key: &[u8],
    shown: &Shown<'_>,
) -> Result<Arc<Entries>, Status> {
    let FileServices { pool, listings, .. } = loader.services;
    if let Some(entries) = listings.get(key, loader.writes) {
        return Ok(entries);
    }
    let read_at = Instant::now();
    let job = Job {
        directory: Arc::clone(&shown.located.file),
        root: Arc::clone(&loader.tree.mounts[shown.mount].root),
        inner: shown.inner.as_bytes().into(),
        hidden: loader.site.settings().finding.hidden,
        omits_sidecars: loader.site.settings().representations.sidecars,
        omits_rule_files: loader.site.settings().reads_rule_files
            && shown.inner.as_bytes().is_empty()
            && loader.tree.mounts[shown.mount].prefix.is_empty(),
        follows_links: loader.site.settings().finding.follow_symlinks,
        mounted: mounted_in(path, &loader.tree.mounts),
    };
    let reading = pool.run(Urgency::Answer, move || job.read());
    let reading = reading.map_err(|_| Status::SERVICE_UNAVAILABLE)?.await;
    let entries = match reading {
        Some(Ok(entries)) => Arc::new(entries),
        Some(Err(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(Status::FORBIDDEN);
        }
        Some(Err(_)) | None => return Err(Status::INTERNAL_SERVER_ERROR),
    };
    if entries.len() > LISTING_KEPT_ENTRIES_MAX {
        listings.keep(key, &entries, read_at, loader.writes);
    }
    Ok(entries)
}

/// What a thread needs to read a directory.
struct Job {
    directory: SharedFile,
    root: SharedFile,
    inner: Box<[u8]>,
    hidden: bool,
    omits_sidecars: bool,
    omits_rule_files: bool,
    follows_links: bool,
    mounted: Vec<Box<[u8]>>,
}

impl Job {
    fn read(&self) -> std::io::Result<Entries> {
        use std::os::fd::AsFd;
        let links = if self.follows_links {
            Links::Followed
        } else {
            Links::Beneath {
                root: self.root.as_fd(),
                directory: &self.inner,
            }
        };
        let showing = Showing {
            hidden: self.hidden,
            omits_sidecars: self.omits_sidecars,
            omits_rule_files: self.omits_rule_files,
            links,
        };
        let entries = read(&*self.directory, showing)?;
        if self.mounted.is_empty() {
            return Ok(entries);
        }
        let mut all = EntriesBuilder::new();
        for entry in entries.iter() {
            if !self.mounted.iter().any(|name| **name == *entry.name) {
                all.push(entry);
            }
        }
        for name in &self.mounted {
            all.push(crate::listing::Entry {
                name,
                kind: EntryKind::Directory,
                len: 0,
                modified_unix: 0,
                modified_ns: 0,
            });
        }
        Ok(all.finish())
    }
}

/// The names of what is mounted right below a path.
fn mounted_in(path: &SafePath, mounts: &[MountPoint]) -> Vec<Box<[u8]>> {
    let mut names = Vec::new();
    for mount in mounts {
        let Some(prefix) = SafePath::from_decoded(&[b"/", &mount.prefix[..]].concat()) else {
            continue;
        };
        if !mount.prefix.is_empty() && prefix.parent() == path.as_bytes() {
            names.push(prefix.file_name().into());
        }
    }
    names
}

fn dress<'d>(loader: &'d Loader<'_>, decoded: &'d [u8]) -> Dress<'d> {
    Dress {
        rules: &loader.tree.rules,
        host: loader.host,
        languages: &[],
        path: decoded,
        file_name: b"",
        vary: Vary {
            accept: true,
            ..Vary::default()
        },
        vary_names: "",
        security_policy: Some(CONTENT_SECURITY_POLICY),
    }
}

fn page(path: &SafePath) -> PageFacts {
    PageFacts {
        path: path.as_bytes().to_vec(),
        ends_in_slash: path.ends_in_slash(),
    }
}

/// FNV-1a: the same listing has the same tag on every machine.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
