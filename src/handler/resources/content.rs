//! The content of a request, taken in bounded memory: small content waits whole, large content goes
//! to a draft as it comes, a chunk being written while the next one is gathered.

use bytes::Bytes;

use super::digest::Hashing;
use super::draft::Draft;
use super::place::Place;
use super::refusal::{Refusal, Result};
use crate::base::limits::UPLOAD_CHUNK_BYTES;
use crate::exchange::RequestBody;
use crate::http::Status;
use crate::task::{Pool, Running, Urgency};

/// Content that has come whole.
pub(super) enum Content {
    /// In memory.
    Memory(Pieces),
    /// In a draft.
    Written(Lent),
}

/// Content in memory, as it came.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) pieces: Vec<Bytes>,
    pub(super) len: usize,
}

/// A draft that content is written to, in the place that it may get.
pub(super) struct Upload {
    /// Before its place: a directory that was made for it goes when it is empty.
    pub(super) draft: Draft,
    pub(super) place: Place,
    pub(super) hashing: Hashing,
    pub(super) len: u64,
}

/// An upload on its way between a task and the threads that write. Wherever it is dropped, a thread
/// of the pool takes it away: to free a large file may take long.
pub(super) struct Lent {
    upload: Option<Upload>,
    pool: Pool,
}

impl Content {
    /// What was taken to be looked at.
    pub(super) fn again(upload: Upload, pool: &Pool) -> Content {
        Content::Written(Lent::new(upload, pool))
    }
}

impl Pieces {
    fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        self.pieces.push(piece);
    }

    /// All of it, in one.
    pub(super) fn concat(self) -> Bytes {
        match <[Bytes; 1]>::try_from(self.pieces) {
            Ok([one]) => one,
            Err(pieces) => pieces.concat().into(),
        }
    }
}

impl Upload {
    fn write(&mut self, chunk: &Pieces) -> Result<()> {
        for piece in &chunk.pieces {
            self.hashing.update(piece);
        }
        self.len += chunk.len as u64;
        Ok(self.draft.write(&chunk.pieces)?)
    }
}

impl Lent {
    pub(super) fn new(upload: Upload, pool: &Pool) -> Lent {
        Lent {
            upload: Some(upload),
            pool: pool.clone(),
        }
    }

    /// The upload, on a thread of the pool.
    pub(super) fn take(mut self) -> Upload {
        self.upload.take().expect("it is taken once")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            // Where the pool is full, it is dropped here.
            let _ = self.pool.run(Urgency::Answer, move || drop(upload));
        }
    }
}

/// Takes the whole content, of at most `bytes_max` bytes. `prepare` is called when it does not fit
/// into one chunk, on a thread of the pool, and refuses what would be refused in any case.
pub(super) async fn take(
    mut body: RequestBody,
    bytes_max: u64,
    pool: &Pool,
    prepare: impl FnOnce() -> Result<Upload> + Send + 'static,
) -> Result<Content> {
    let too_large = || Refusal::new(Status::CONTENT_TOO_LARGE);
    let announced = body.length();
    if announced.is_some_and(|len| len > bytes_max) {
        return Err(too_large());
    }
    let mut chunk = Pieces::default();
    let mut is_whole = false;
    // What is known to be long is prepared before any of it is asked for: a client that waits for
    // "100 Continue" is told first what is wrong (RFC 9110 §10.1.1).
    if announced.is_none_or(|len| len <= UPLOAD_CHUNK_BYTES as u64) {
        is_whole = gather(&mut body, &mut chunk).await?;
        if is_whole {
            return match chunk.len as u64 > bytes_max {
                true => Err(too_large()),
                false => Ok(Content::Memory(chunk)),
            };
        }
    }
    let for_drop = pool.clone();
    let prepared = move || prepare().map(|upload| Lent::new(upload, &for_drop));
    let mut lent = run(pool, prepared).await?;
    if chunk.len == 0 {
        is_whole = gather(&mut body, &mut chunk).await?;
    }
    let mut len = 0;
    loop {
        len += chunk.len as u64;
        if len > bytes_max {
            return Err(too_large());
        }
        let full = std::mem::take(&mut chunk);
        let for_drop = pool.clone();
        let writing = pool.run(Urgency::Answer, move || {
            let mut upload = lent.take();
            let written = upload.write(&full);
            let lent = Lent::new(upload, &for_drop);
            (written.map(|()| lent), full)
        });
        let writing = writing.map_err(|_| Refusal::new(Status::SERVICE_UNAVAILABLE))?;
        if is_whole {
            return Ok(Content::Written(written(writing).await?));
        }
        let gathered = gather(&mut body, &mut chunk).await;
        lent = written(writing).await?;
        is_whole = gathered?;
    }
}

/// Waits for a chunk to be written. Its memory is freed by the thread that made it, which uses it
/// again at once: freed elsewhere, it would come back late, and an upload would hold more and more.
async fn written(writing: Running<(Result<Lent>, Pieces)>) -> Result<Lent> {
    let (lent, chunk) = writing.await.ok_or_else(panicked)?;
    drop(chunk);
    lent
}

/// Gathers a chunk; true when there is nothing behind it.
async fn gather(body: &mut RequestBody, chunk: &mut Pieces) -> Result<bool> {
    while chunk.len < UPLOAD_CHUNK_BYTES {
        match body.next().await? {
            Some(piece) => chunk.push(piece),
            None => return Ok(true),
        }
    }
    Ok(false)
}

/// Has something done by a thread of the pool.
pub(super) async fn run<T: Send + 'static>(
    pool: &Pool,
    job: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let running = pool.run(Urgency::Answer, job);
    let running = running.map_err(|_| Refusal::new(Status::SERVICE_UNAVAILABLE))?;
    running.await.ok_or_else(panicked)?
}

fn panicked() -> Refusal {
    Refusal::new(Status::INTERNAL_SERVER_ERROR)
}
