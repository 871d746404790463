//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): the first answer for a key is
//! given again to whoever asks the same again.
//!
//! ```text
//! claim      one request with a key at a time: 409 for others
//! begin      what is going to be done is noted, durably, before anything is done
//! finish     the answer is noted; a failure is forgotten, since it has done nothing
//! ```
//!
//! A crash between begin and finish leaves a note without an answer. Who asks again then gets the
//! answer all the same: the note says under which name a member was to be made, or which state was
//! to be patched, and the disk says whether that happened.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{Context, SHA256};
use foldhash::fast::RandomState;
use serde_json::{Value, json};

use super::answer_store::{AnswerKey, AnswerStore, StoreFault};
use super::done::Done;
use super::refusal::{Refusal, Result};
use crate::base::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::http::{Fields, Status};

/// All answers that may be asked for again.
pub(super) struct Answers {
    store: Box<dyn AnswerStore>,
    ttl: Duration,
    /// Keys of requests that run.
    claimed: Mutex<HashSet<AnswerKey, RandomState>>,
}

/// The right to answer for a key, until it is dropped.
pub(super) struct Claim {
    answers: Arc<Answers>,
    key: AnswerKey,
}

/// What is noted about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// It was begun: with the name of the member that it makes, or the state that it patches.
    Begun(String),
    /// It was done.
    Done(Done),
}

/// The value of the field: a string (RFC 8941 §3.3.3), or the same without its quotes, as most
/// clients send it.
pub(super) fn key_of<'a>(fields: &Fields<'a>) -> Result<Option<&'a [u8]>> {
    let is_key = |name: &str| name.eq_ignore_ascii_case("idempotency-key");
    let mut lines = fields.list().iter().filter(|field| is_key(field.name));
    let Some(field) = lines.next() else {
        return Ok(None);
    };
    let quoted = field.value.strip_prefix(b"\"");
    let key = quoted.map_or(Some(field.value), |quoted| quoted.strip_suffix(b"\""));
    let is_key = |key: &&[u8]| {
        (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
            && key
                .iter()
                .all(|byte| (b' '..=b'~').contains(byte) && *byte != b'"')
    };
    match key.filter(is_key) {
        Some(key) if lines.next().is_none() => Ok(Some(key)),
        _ => {
            let reason = "The Idempotency-Key is no string of 1 to 256 letters";
            Err(Refusal::because(Status::BAD_REQUEST, reason))
        }
    }
}

/// A digest of parts, none of which can be taken for a part of another.
pub(super) fn digest_of(parts: &[&[u8]]) -> Context {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    context
}

/// Ends a digest.
pub(super) fn finish(context: Context) -> AnswerKey {
    let digest = context.finish();
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl Answers {
    /// Answers that are kept in `store` for `ttl`.
    pub(super) fn new(store: Box<dyn AnswerStore>, ttl: Duration) -> Answers {
        Answers {
            store,
            ttl,
            claimed: Mutex::default(),
        }
    }

    /// Claims a key, unless a request with it runs.
    pub(super) fn claim(self: &Arc<Self>, key: AnswerKey) -> Result<Claim> {
        if !self.lock().insert(key) {
            let reason = "A request with this Idempotency-Key is being answered";
            return Err(Refusal::because(Status::CONFLICT, reason));
        }
        Ok(Claim {
            answers: Arc::clone(self),
            key,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<AnswerKey, RandomState>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Notes that a request with this payload begins; returns what was noted before.
    pub(super) fn begin(&self, payload: &AnswerKey, hint: &str) -> Result<Option<Note>> {
        let now = unix_now();
        let expires = now.saturating_add(self.answers.ttl.as_secs());
        let record = written(payload, &Note::Begun(hint.to_owned()));
        let store = &self.answers.store;
        let known = store.insert_new(&self.key, &record, now, expires);
        let Some(known) = known.map_err(unstored)? else {
            return Ok(None);
        };
        let Some((known_payload, note)) = read(&known) else {
            return Err(unstored(StoreFault("a record cannot be read".to_owned())));
        };
        if known_payload != hex(payload) {
            let reason = "The Idempotency-Key was used with other content";
            return Err(Refusal::because(Status::UNPROCESSABLE_CONTENT, reason));
        }
        Ok(Some(note))
    }

    /// Notes what it has come to. What failed has done nothing, and may be tried again.
    pub(super) fn finish(&self, payload: &AnswerKey, outcome: &Result<Done>) {
        let store = &self.answers.store;
        let noted = match outcome {
            Ok(done) => store.replace(&self.key, &written(payload, &Note::Done(done.clone()))),
            Err(_) => store.remove(&self.key),
        };
        if let Err(fault) = noted {
            // The note that it was begun is still there.
            log::error!("cannot store an answer for its Idempotency-Key: {fault}");
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.answers.lock().remove(&self.key);
    }
}

fn unstored(fault: StoreFault) -> Refusal {
    log::error!("cannot store an answer for its Idempotency-Key: {fault}");
    Refusal::new(Status::INTERNAL_SERVER_ERROR)
}

fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn written(payload: &AnswerKey, note: &Note) -> Vec<u8> {
    let text = |bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_ref();
        bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()) // ASCII, all of them.
    };
    let record = match note {
        Note::Begun(hint) => json!({ "payload": hex(payload), "begun": hint }),
        Note::Done(done) => json!({
            "payload": hex(payload),
            "status": done.status.code(),
            "location": text(&done.location),
            "etag": text(&done.etag),
            "modified": done.last_modified_unix,
            "digest": done.repr_digest,
        }),
    };
    record.to_string().into_bytes()
}

fn read(record: &[u8]) -> Option<(String, Note)> {
    let record: Value = serde_json::from_slice(record).ok()?;
    let text = |name: &str| record[name].as_str().map(str::to_owned);
    let payload = text("payload")?;
    if let Some(hint) = text("begun") {
        return Some((payload, Note::Begun(hint)));
    }
    let code = u16::try_from(record["status"].as_u64()?).ok()?;
    let done = Done {
        status: Status::from_code(code)?,
        location: text("location").map(String::into_bytes),
        etag: text("etag").map(String::into_bytes),
        last_modified_unix: record["modified"].as_u64(),
        repr_digest: text("digest"),
    };
    Some((payload, Note::Done(done)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Field;

    #[test]
    fn keys_are_strings_quoted_or_not() {
        let read = |values: &[&str]| {
            let list: Vec<Field<'_>> = values
                .iter()
                .map(|value| Field {
                    name: "Idempotency-Key",
                    value: value.as_bytes(),
                })
                .collect();
            let key = key_of(&Fields::new(&list)).map_err(|refusal| refusal.status.code());
            key.map(|key| key.map(|key| String::from_utf8(key.to_vec()).unwrap()))
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["\"a-1\""]), Ok(Some("a-1".to_owned())));
        assert_eq!(read(&["a-1"]), Ok(Some("a-1".to_owned())));
        for values in [
            &["\"\""][..],
            &[""],
            &["\"a"],
            &["a\"b"],
            &["a\u{e9}"],
            &["a", "a"],
        ] {
            assert_eq!(read(values), Err(400), "{values:?}");
        }
        assert_eq!(read(&[&"x".repeat(257)]), Err(400));
    }

    #[test]
    fn notes_are_read_as_they_were_written() {
        let done = Done {
            location: Some(b"/a".to_vec()),
            etag: Some(b"\"1-2\"".to_vec()),
            last_modified_unix: Some(7),
            repr_digest: Some("sha-256=:AA==:".to_owned()),
            ..Done::new(Status::CREATED)
        };
        for note in [
            Note::Begun("name".to_owned()),
            Note::Done(done),
            Note::Done(Done::new(Status::NO_CONTENT)),
        ] {
            let record = written(&[7; 32], &note);
            assert_eq!(read(&record), Some((hex(&[7; 32]), note)));
        }
        assert_eq!(read(b"{}"), None);
        assert_eq!(read(b""), None);
    }
}
