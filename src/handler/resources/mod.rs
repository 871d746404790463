//! Resources that clients may write: files below the root of a site.
//!
//! ```text
//! write(PUT, POST, PATCH, DELETE)  ->  Answer      who may do it was decided before
//!   target    the path, by the rules that reading has
//!   content   what the request brings, in bounded memory
//!   turns     one writer of a resource at a time
//!   job       on a thread: place, draft, check, rename, sync
//! ```
//!
//! Nothing here runs on a worker but the waiting: all that asks the disk is done by the threads of
//! a pool of its own, which nobody else holds up.

mod answer_store;
mod byte_range;
mod collection;
mod content;
mod database;
mod digest;
mod done;
mod draft;
#[doc(hidden)]
pub mod fuzz;
mod idempotency;
mod job;
mod leftovers;
mod listing;
mod member;
mod once;
mod patch;
mod patching;
mod place;
mod refusal;
mod stripes;
mod target;
#[cfg(test)]
mod tests;
mod turns;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use answer_store::MemoryStore;
pub use answer_store::{AnswerKey, AnswerStore, StoreFault};
use byte_range::WrittenRange;
use content::{Content, run};
use database::DatabaseStore;
use digest::DigestFields;
use done::Done;
use idempotency::{Answers, Claim};
use job::Job;
use patch::PatchFormat;
use patching::{ACCEPT_PATCH, Patching};
use refusal::{Refusal, Result};
use stripes::Stripes;
use target::Target;
use turns::Turns;

use crate::base::limits::{
    BODY_BYTES_DEFAULT, DRAFT_LEFT_AFTER, IDEMPOTENCY_BYTES_DEFAULT, IDEMPOTENCY_TIME_DEFAULT,
    PATCH_BYTES_DEFAULT, PATCHES_AT_ONCE_MAX, WRITE_THREADS, WRITES_WAITING_MAX,
};
use crate::exchange::{Answer, RequestBody};
use crate::handler::files::{FileServices, Site};
use crate::http::{Fields, Method, OwnedRequestHead, Status, media_type};
use crate::task::{Pool, Urgency};

/// How resources are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteSettings {
    /// Refuse what does not say which state it changes (`--require-preconditions`).
    pub require_preconditions: bool,
    /// Make the directories of a new resource.
    pub create_directories: bool,
    /// Bytes of the content of one request (`--max-body-bytes`).
    pub body_bytes_max: u64,
    /// Bytes of a document that is patched, and of the patch: both are held in memory.
    pub patch_bytes_max: u64,
    /// Answers that are given again.
    pub idempotency: IdempotencySettings,
}

/// How answers are kept for an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencySettings {
    /// For how long (`--idempotency-ttl`).
    pub ttl: Duration,
    /// How many bytes of them; the oldest go first (`--idempotency-bytes`).
    pub bytes_max: u64,
    /// Where they survive a restart; without, they end with the process.
    pub directory: Option<PathBuf>,
}

impl Default for IdempotencySettings {
    fn default() -> Self {
        IdempotencySettings {
            ttl: IDEMPOTENCY_TIME_DEFAULT,
            bytes_max: IDEMPOTENCY_BYTES_DEFAULT,
            directory: None,
        }
    }
}

/// The file in that directory.
const ANSWERS_FILE: &str = "answers.redb";

impl Default for WriteSettings {
    fn default() -> Self {
        WriteSettings {
            require_preconditions: false,
            create_directories: true,
            body_bytes_max: BODY_BYTES_DEFAULT,
            patch_bytes_max: PATCH_BYTES_DEFAULT,
            idempotency: IdempotencySettings::default(),
        }
    }
}

/// One request that writes.
pub struct Write {
    pub head: OwnedRequestHead,
    pub body: RequestBody,
    /// Who asks; keys of theirs are nobody else's.
    pub user: Option<Arc<str>>,
    pub site: Arc<Site>,
    pub services: FileServices,
}

/// All that writes, shared by all workers; clones are handles.
#[derive(Clone)]
pub struct Resources(Arc<Shared>);

struct Shared {
    settings: WriteSettings,
    pool: Pool,
    turns: Turns,
    stripes: Stripes,
    /// For each document that is patched.
    patches: Arc<Semaphore>,
    answers: Arc<Answers>,
}

impl Resources {
    /// Threads start when there is something to write. Opens the answers of an earlier run.
    ///
    /// # Errors
    /// When the file with these answers cannot be opened: it is in use, or something else.
    pub fn open(settings: WriteSettings) -> std::result::Result<Resources, StoreFault> {
        let IdempotencySettings {
            bytes_max,
            directory,
            ..
        } = &settings.idempotency;
        let store: Box<dyn AnswerStore> = match directory {
            Some(directory) => Box::new(DatabaseStore::open(
                &directory.join(ANSWERS_FILE),
                *bytes_max,
            )?),
            None => Box::new(MemoryStore::new(*bytes_max)),
        };
        Ok(Resources::with_store(settings, store))
    }

    /// The same over another store of answers.
    pub fn with_store(settings: WriteSettings, store: Box<dyn AnswerStore>) -> Resources {
        let answers = Answers::new(store, settings.idempotency.ttl);
        Resources(Arc::new(Shared {
            settings,
            pool: Pool::new(WRITE_THREADS, WRITES_WAITING_MAX),
            turns: Turns::default(),
            stripes: Stripes::default(),
            answers: Arc::new(answers),
            patches: Arc::new(Semaphore::new(PATCHES_AT_ONCE_MAX)),
        }))
    }

    /// Has what a crash has left behind below a site removed, when nothing else is to be done. To
    /// be called once, at start.
    pub fn sweep(&self, site: &Site) {
        for mount in site.mounts() {
            let job = move || leftovers::sweep(&mount.root, DRAFT_LEFT_AFTER);
            // Nobody waits for it.
            drop(self.0.pool.run(Urgency::Background, job));
        }
    }

    /// Does what a PUT, POST, PATCH or DELETE asks for, and says what came of it. When the future
    /// is dropped, the write is done whole or not at all.
    pub fn write(&self, write: Write) -> impl Future<Output = Answer> + use<> {
        let shared = Arc::clone(&self.0);
        async move {
            match perform(shared, write).await {
                Ok(done) => done.into_answer(),
                Err(refusal) => refusal.into_answer(),
            }
        }
    }

    /// The members of a collection: of a directory without an index whose path ends in a slash, for
    /// who does not prefer the page that the site has for people. `None`: not ours to answer.
    pub fn list(
        &self,
        head: OwnedRequestHead,
        site: Arc<Site>,
        services: FileServices,
    ) -> impl Future<Output = Option<Answer>> + use<> {
        async move { listing::answer(head, site, services).await }
    }

    /// The value of `Accept-Patch` (RFC 5789 §3.1).
    pub const ACCEPT_PATCH: &str = ACCEPT_PATCH;

    /// The value of `Allow` for a path that may be written.
    pub fn allow(raw_path: &[u8]) -> &'static str {
        target::allow(raw_path.ends_with(b"/"))
    }
}

async fn perform(shared: Arc<Shared>, write: Write) -> Result<Done> {
    let Write {
        head,
        body,
        user,
        site,
        services,
    } = write;
    let target = Target::of(&site, head.path())?;
    let (digests, key) = {
        let list = head.list();
        let fields = Fields::new(&list);
        let digests = DigestFields::of(&fields)?;
        (
            digests,
            answer_key(&site, user.as_deref(), &head, &target, &fields)?,
        )
    };
    let method = head.method();
    let job = Job {
        head: Arc::new(head),
        target,
        digests,
        has_key: key.is_some(),
        services,
        shared,
    };
    match method {
        Method::Put if !job.target.is_collection() => put(job, body).await,
        Method::Delete => delete(job).await,
        Method::Post if job.target.is_collection() => post(job, key, body).await,
        Method::Patch if !job.target.is_collection() => patch(job, key, body).await,
        _ => Err(not_allowed(&job.target)),
    }
}

async fn put(job: Job, body: RequestBody) -> Result<Done> {
    refuse_what_is_no_whole_state(&Fields::new(&job.head.list()))?;
    let content = take(&job, body, job.shared.settings.body_bytes_max).await?;
    let shared = Arc::clone(&job.shared);
    let turn = shared.turns.take(job.target.key()).await;
    run(&shared.pool, move || {
        let _turn = turn;
        job.put(content)
    })
    .await
}

/// A member under a fresh name, which is nobody else's: it waits for no turn.
async fn post(job: Job, key: Option<AnswerKey>, body: RequestBody) -> Result<Done> {
    let name = {
        let list = job.head.list();
        let fields = Fields::new(&list);
        refuse_what_is_no_whole_state(&fields)?;
        member::fresh_name(value_of(&fields, "content-type"))
    };
    let job = Job {
        target: job.target.member(&name)?,
        ..job
    };
    let content = take(&job, body, job.shared.settings.body_bytes_max).await?;
    let shared = Arc::clone(&job.shared);
    let claim = claim(&shared, key)?;
    run(&shared.pool, move || job.once(claim, content, Job::put)).await
}

async fn patch(job: Job, key: Option<AnswerKey>, body: RequestBody) -> Result<Done> {
    let patching = patching_of(&Fields::new(&job.head.list()))?;
    let shared = Arc::clone(&job.shared);
    let settings = &shared.settings;
    let bytes_max = match patching {
        Patching::Document(_) => settings.patch_bytes_max.min(settings.body_bytes_max),
        Patching::Bytes(range) => {
            if body.length().is_some_and(|length| length != range.len) {
                let reason = "The content is not as long as its Content-Range says";
                return Err(Refusal::because(Status::BAD_REQUEST, reason));
            }
            settings.body_bytes_max
        }
    };
    let content = take(&job, body, bytes_max).await?;
    let claim = claim(&shared, key)?;
    let turn = shared.turns.take(job.target.key()).await;
    let permit = match patching {
        Patching::Document(_) => Arc::clone(&shared.patches).acquire_owned().await.ok(),
        Patching::Bytes(_) => None,
    };
    run(&shared.pool, move || {
        let _held = (turn, permit);
        job.once(claim, content, |job, content| job.patch(patching, content))
    })
    .await
}

/// What a request with an `Idempotency-Key` is known by; only what is not idempotent needs one.
fn answer_key(
    site: &Site,
    user: Option<&str>,
    head: &OwnedRequestHead,
    target: &Target,
    fields: &Fields<'_>,
) -> Result<Option<AnswerKey>> {
    let method: &[u8] = match head.method() {
        Method::Post => b"POST",
        Method::Patch => b"PATCH",
        _ => return Ok(None),
    };
    let Some(key) = idempotency::key_of(fields)? else {
        return Ok(None);
    };
    let (is_known, user) = (user.is_some(), user.unwrap_or_default());
    let (site, is_known) = (site.id().to_le_bytes(), [u8::from(is_known)]);
    let path = target.path.to_decoded();
    let parts = [&site[..], &is_known, user.as_bytes(), method, &path, key];
    Ok(Some(idempotency::finish(idempotency::digest_of(&parts))))
}

/// Claims a key when the content is there: a client that has lost its connection asks again before
/// the server notices.
fn claim(shared: &Shared, key: Option<AnswerKey>) -> Result<Option<Claim>> {
    key.map(|key| shared.answers.claim(key)).transpose()
}

async fn take(job: &Job, body: RequestBody, bytes_max: u64) -> Result<Content> {
    let preparing = job.clone();
    let prepare = move || preparing.prepare();
    content::take(body, bytes_max, &job.shared.pool, prepare).await
}

async fn delete(job: Job) -> Result<Done> {
    let shared = Arc::clone(&job.shared);
    let turn = shared.turns.take(job.target.key()).await;
    run(&shared.pool, move || {
        let _turn = turn;
        job.delete()
    })
    .await
}

fn not_allowed(target: &Target) -> Refusal {
    let reason = match target.is_collection() {
        true => "A collection is not written as a whole",
        false => "This resource does not take this method",
    };
    let allow = target::allow(target.is_collection());
    Refusal::because(Status::METHOD_NOT_ALLOWED, reason).with("Allow", allow)
}

/// A part would be taken for the whole (RFC 9110 §14.5), and so would encoded content.
fn refuse_what_is_no_whole_state(fields: &Fields<'_>) -> Result<()> {
    if value_of(fields, "content-range").is_some() {
        let reason = "A part of a resource is written by PATCH";
        return Err(Refusal::because(Status::BAD_REQUEST, reason));
    }
    refuse_encoded(fields)
}

/// How a PATCH is meant, by its media type (RFC 5789 §2.2).
fn patching_of(fields: &Fields<'_>) -> Result<Patching> {
    refuse_encoded(fields)?;
    let content_type = value_of(fields, "content-type").unwrap_or_default();
    let content_type = std::str::from_utf8(content_type).unwrap_or_default();
    let essence = media_type::essence(content_type);
    if let Some(format) = PatchFormat::of(essence) {
        return Ok(Patching::Document(format));
    }
    if !essence.eq_ignore_ascii_case(media_type::UNKNOWN) {
        let reason = "A patch of this type is not understood";
        let refusal = Refusal::because(Status::UNSUPPORTED_MEDIA_TYPE, reason);
        return Err(refusal.with("Accept-Patch", ACCEPT_PATCH));
    }
    let range = value_of(fields, "content-range").and_then(WrittenRange::parse);
    let reason = "A patch of bytes says by Content-Range which they are";
    let range = range.ok_or_else(|| Refusal::because(Status::BAD_REQUEST, reason))?;
    Ok(Patching::Bytes(range))
}

/// RFC 9110 §15.5.16
fn refuse_encoded(fields: &Fields<'_>) -> Result<()> {
    match value_of(fields, "content-encoding") {
        None => Ok(()),
        Some(coding) if coding.eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(_) => {
            let reason = "Content is taken as it is, not encoded";
            let refusal = Refusal::because(Status::UNSUPPORTED_MEDIA_TYPE, reason);
            Err(refusal.with("Accept-Encoding", "identity"))
        }
    }
}

/// The value of the first line of a field, by its name in lower case.
fn value_of<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a [u8]> {
    let mut lines = fields.list().iter();
    let line = lines.find(|field| field.name.eq_ignore_ascii_case(name));
    line.map(|field| field.value)
}
