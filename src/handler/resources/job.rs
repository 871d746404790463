//! One write, on a thread that may wait: looked at, checked, written, made durable, shown.
//!
//! ```text
//! the draft is written and made durable           nobody sees it
//! the name is locked; what stands there is looked at and checked once more
//! the draft gets the name                         whoever looks now sees the new state
//! caches are told                                 whoever asks this server now sees it
//! the directory is made durable                   then the client is told
//! ```
//!
//! A crash at any of these points leaves the old state or the new one, whole.

use std::sync::Arc;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::Shared;
use super::content::{Content, Upload};
use super::digest::DigestFields;
use super::done::Done;
use super::draft::Draft;
use super::leftovers;
use super::place::{Place, sync_directory};
use super::refusal::{Refusal, Result};
use super::target::Target;
use crate::base::limits::{DRAFT_LEFT_AFTER, WRITE_ATTEMPTS_MAX};
use crate::engine::operation::{FileKind, FileStat};
use crate::handler::files::FileServices;
use crate::http::conditions::{has_precondition, permit_change};
use crate::http::{Method, OwnedRequestHead, Status, Validators};

/// Everything that a thread needs to know of one request.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) head: Arc<OwnedRequestHead>,
    pub(super) target: Target,
    pub(super) digests: DigestFields,
    /// It may have been done before: then its conditions were evaluated.
    pub(super) has_key: bool,
    pub(super) services: FileServices,
    pub(super) shared: Arc<Shared>,
}

/// What a draft is to replace.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// Whatever the conditions of the request allow.
    Permitted,
    /// The state that the draft was made from.
    Exactly(FileStat),
}

/// What an attempt to give a draft its name came to.
pub(super) enum Attempt {
    Done(Box<Done>),
    /// Something has changed meanwhile: from the beginning.
    Again,
}

impl Job {
    /// Opens the place of the target.
    pub(super) fn place(&self) -> std::result::Result<Place, Errno> {
        match self.shared.settings.create_directories {
            true => Place::make(&self.target),
            false => Place::open(&self.target),
        }
    }

    /// Begins an upload in the directory of the target, if it would be taken as things stand.
    pub(super) fn prepare(&self) -> Result<Upload> {
        for _ in 0..WRITE_ATTEMPTS_MAX {
            let place = match self.head.method() {
                Method::Patch => Place::open(&self.target).map_err(missing)?,
                _ => self.place()?,
            };
            let present = place.look()?;
            if present.is_none() && self.head.method() == Method::Patch {
                return Err(Refusal::new(Status::NOT_FOUND));
            }
            if !self.has_key {
                self.check(present.as_ref())?;
            }
            let draft = match Draft::long(&place.directory, present.as_ref()) {
                Err(Errno::NOENT) => continue, // The directory was removed just now.
                other => other?,
            };
            return Ok(Upload {
                draft,
                place,
                hashing: self.digests.hashing(),
                len: 0,
            });
        }
        Err(changing())
    }

    /// Puts content in place of whatever the target is now.
    pub(super) fn put(&self, content: Content) -> Result<Done> {
        let pieces = match content {
            Content::Memory(pieces) => pieces,
            Content::Written(lent) => return self.put_draft(lent.take()),
        };
        let mut hashing = self.digests.hashing();
        pieces.pieces.iter().for_each(|piece| hashing.update(piece));
        let told = self.digests.check(hashing)?;
        for _ in 0..WRITE_ATTEMPTS_MAX {
            let mut place = self.place()?;
            let present = place.look()?;
            self.check(present.as_ref())?;
            let mut draft = match Draft::short(&place.directory, present.as_ref()) {
                Err(Errno::NOENT) => continue, // The directory was removed just now.
                other => other?,
            };
            draft.write(&pieces.pieces)?;
            match self.commit(&mut place, &mut draft, Expected::Permitted, &told) {
                Ok(Attempt::Done(done)) => return Ok(*done),
                Ok(Attempt::Again) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Err(changing())
    }

    fn put_draft(&self, upload: Upload) -> Result<Done> {
        let Upload {
            mut draft,
            mut place,
            hashing,
            ..
        } = upload;
        let told = self.digests.check(hashing)?;
        place.rename(&self.target); // It may have got another name since.
        for _ in 0..WRITE_ATTEMPTS_MAX {
            match self.commit(&mut place, &mut draft, Expected::Permitted, &told)? {
                Attempt::Done(done) => return Ok(*done),
                Attempt::Again if draft.has_name() => {}
                Attempt::Again => {
                    // The directory may be gone: a draft without a name keeps none, not even
                    // from another write that had made it and has failed.
                    drop(place);
                    place = self.place()?;
                    draft.move_to(&place.directory);
                }
            }
        }
        Err(changing())
    }

    /// Removes the target.
    pub(super) fn delete(&self) -> Result<Done> {
        let place = Place::open(&self.target).map_err(missing)?;
        if self.target.inner.as_bytes().is_empty() {
            let reason = "The root of a site or mount is not removed";
            return Err(Refusal::because(Status::FORBIDDEN, reason));
        }
        let name = place.name.as_bytes();
        let stripe = self.shared.stripes.lock(&place.directory, name)?;
        let Some(present) = place.look()? else {
            return Err(Refusal::new(Status::NOT_FOUND));
        };
        if present.kind == FileKind::Directory {
            self.check_conditions(Some(&Validators::default()))?;
            match self.remove_directory(&place) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    let reason = "The directory is not empty";
                    return Err(Refusal::because(Status::CONFLICT, reason));
                }
                Err(Errno::BUSY) => return Err(Refusal::new(Status::CONFLICT)),
                other => other.map_err(missing)?,
            }
        } else {
            if self.target.is_collection() {
                return Err(Refusal::new(Status::NOT_FOUND));
            }
            self.check(Some(&present))?;
            unlinkat(&place.directory, &place.name, AtFlags::empty()).map_err(missing)?;
        }
        self.announce();
        drop(stripe);
        sync_directory(&place.directory)?;
        Ok(Done::new(Status::NO_CONTENT))
    }

    /// Removes a directory with nothing in it but what a crash has left behind.
    fn remove_directory(&self, place: &Place) -> std::result::Result<(), Errno> {
        match unlinkat(&place.directory, &place.name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            other => return other,
        }
        let inside = place.enter()?;
        leftovers::clean(&inside, DRAFT_LEFT_AFTER, |_| {})?;
        unlinkat(&place.directory, &place.name, AtFlags::REMOVEDIR)
    }

    /// Refuses what may not be written over, and what the conditions of the request do not allow.
    pub(super) fn check(&self, present: Option<&FileStat>) -> Result<()> {
        let Some(present) = present else {
            return self.check_conditions(None);
        };
        match present.kind {
            FileKind::Regular => {}
            FileKind::Directory => {
                let reason = "A directory has this name";
                return Err(Refusal::because(Status::CONFLICT, reason));
            }
            FileKind::Other => {
                let reason = "What has this name is no file";
                return Err(Refusal::because(Status::FORBIDDEN, reason));
            }
        }
        let validators = Validators::of_file(present.modified, present.len);
        self.check_conditions(Some(&validators))?;
        let list = self.head.list();
        let head = self.head.borrow(&list);
        if self.shared.settings.require_preconditions && !has_precondition(&head) {
            return Err(Refusal::new(Status::PRECONDITION_REQUIRED));
        }
        Ok(())
    }

    fn check_conditions(&self, current: Option<&Validators>) -> Result<()> {
        let list = self.head.list();
        // Conditions of POST are about the collection, which has no validators.
        if self.head.method() == Method::Post || permit_change(&self.head.borrow(&list), current) {
            return Ok(());
        }
        let refusal = Refusal::new(Status::PRECONDITION_FAILED);
        Err(match current.and_then(|current| current.etag.as_ref()) {
            Some(etag) => refusal.with("ETag", etag.as_bytes()),
            None => refusal,
        })
    }

    /// Gives a finished draft the name of the target. `told`: the value of `Repr-Digest`.
    pub(super) fn commit(
        &self,
        place: &mut Place,
        draft: &mut Draft,
        expected: Expected,
        told: &Option<String>,
    ) -> Result<Attempt> {
        let present = place.look()?;
        let mut stat = draft.settle(present.as_ref())?;
        let stripe = self
            .shared
            .stripes
            .lock(&place.directory, place.name.as_bytes())?;
        let before = present;
        let present = place.look()?;
        if let Expected::Exactly(state) = expected
            && present != Some(state)
        {
            return Ok(Attempt::Again);
        }
        self.check(present.as_ref())?;
        if present != before {
            stat = draft.settle(present.as_ref())?;
        }
        let named = match present {
            None => draft.create(&place.name),
            Some(_) => draft.replace(&place.name),
        };
        match named {
            Err(Errno::NOENT | Errno::EXIST) => return Ok(Attempt::Again),
            other => other?,
        }
        place.keep();
        self.announce();
        drop(stripe);
        sync_directory(&place.directory)?;
        let status = match present {
            None => Status::CREATED,
            Some(_) => Status::NO_CONTENT,
        };
        let done = Done {
            location: (status == Status::CREATED).then(|| self.target.location()),
            repr_digest: told.clone(),
            ..Done::of_state(status, &stat)
        };
        Ok(Attempt::Done(Box::new(done)))
    }

    /// Lets no cache serve what was there before.
    fn announce(&self) {
        self.services.store.note_write();
        let inner = &self.target.inner;
        let tree = self.target.mount().watched;
        let watch = &self.services.watch;
        watch.note_change(tree, inner.parent(), inner.file_name());
    }
}

/// Where there is no directory, there is no resource.
pub(super) fn missing(errno: Errno) -> Refusal {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Refusal::new(Status::NOT_FOUND),
        other => other.into(),
    }
}

/// Another program writes to it all the time, or to its directory.
pub(super) fn changing() -> Refusal {
    Refusal::because(
        Status::CONFLICT,
        "It changed each time that it was to be written",
    )
}
