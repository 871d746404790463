//! What a request with an `Idempotency-Key` does, on a thread that may wait.

use std::os::unix::fs::FileExt;

use super::answer_store::AnswerKey;
use super::content::Content;
use super::done::Done;
use super::idempotency::{self, Claim, Note};
use super::job::Job;
use super::place::Place;
use super::refusal::{Refusal, Result};
use super::value_of;
use crate::http::validator::file_etag;
use crate::http::{Fields, Method, Status};

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;

impl Job {
    /// Does `act` once for the key of a claim, whoever asks for it again. POST has the name of its
    /// new member in its target.
    pub(super) fn once(
        mut self,
        claim: Option<Claim>,
        content: Content,
        act: impl FnOnce(&Job, Content) -> Result<Done>,
    ) -> Result<Done> {
        let Some(claim) = claim else {
            return act(&self, content);
        };
        let (payload, content) = self.payload(content)?;
        match claim.begin(&payload, &self.hint())? {
            None => {}
            Some(Note::Done(done)) => return Ok(done),
            Some(Note::Begun(hint)) => {
                // The server has ended before it was done, or just after.
                if let Some(done) = self.resume(&hint)? {
                    let outcome = Ok(done);
                    claim.finish(&payload, &outcome);
                    return outcome;
                }
            }
        }
        let outcome = act(&self, content);
        claim.finish(&payload, &outcome);
        outcome
    }

    /// What the content is, and how it is meant.
    fn payload(&self, content: Content) -> Result<(AnswerKey, Content)> {
        let list = self.head.list();
        let fields = Fields::new(&list);
        let meant = ["content-type", "content-range"].map(|name| value_of(&fields, name));
        let meant = meant.map(Option::unwrap_or_default);
        let mut context = idempotency::digest_of(&meant);
        let content = match content {
            Content::Memory(pieces) => {
                pieces.pieces.iter().for_each(|piece| context.update(piece));
                Content::Memory(pieces)
            }
            Content::Written(lent) => {
                let upload = lent.take();
                let (mut buf, mut offset) = (vec![0; READ_BYTES], 0);
                while offset < upload.len {
                    let len = upload.draft.file().read_at(&mut buf, offset)?;
                    if len == 0 {
                        return Err(Refusal::new(Status::INTERNAL_SERVER_ERROR));
                    }
                    context.update(&buf[..len]);
                    offset += len as u64;
                }
                Content::again(upload, &self.shared.pool)
            }
        };
        Ok((idempotency::finish(context), content))
    }

    /// What tells later whether it was done: the name of the member, or the state before.
    fn hint(&self) -> String {
        match self.head.method() {
            Method::Post => String::from_utf8_lossy(self.target.inner.file_name()).into_owned(),
            _ => self.state(),
        }
    }

    /// The entity tag of the target; empty where there is none.
    fn state(&self) -> String {
        let place = Place::open(&self.target).ok();
        let stat = place.and_then(|place| place.look().ok().flatten());
        let tag = stat.map(|stat| file_etag(stat.modified, stat.len));
        let tag = tag.map(|tag| String::from_utf8_lossy(tag.as_bytes()).into_owned());
        tag.unwrap_or_default()
    }

    /// The answer of a request that was begun before the server ended, if it was done then;
    /// otherwise it is to be done now.
    fn resume(&mut self, hint: &str) -> Result<Option<Done>> {
        if self.head.method() == Method::Post {
            self.target = self.target.beside(hint)?;
            let Ok(place) = Place::open(&self.target) else {
                return Ok(None);
            };
            return Ok(place.look()?.map(|stat| Done {
                location: Some(self.target.location()),
                ..Done::of_state(Status::CREATED, &stat)
            }));
        }
        if self.state() == hint {
            return Ok(None);
        }
        let reason = "What came of an earlier request with this Idempotency-Key is not known";
        Err(Refusal::because(Status::CONFLICT, reason))
    }
}
