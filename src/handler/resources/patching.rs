//! PATCH, on a thread that may wait: the present state is read, the new one is made beside it, and
//! takes its name only if the present state is still the one that was read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use rustix::fs::{Mode, openat};
use rustix::io::Errno;

use super::byte_range::WrittenRange;
use super::content::{Content, Upload};
use super::done::Done;
use super::draft::Draft;
use super::job::{Attempt, Expected, Job, changing, missing};
use super::patch::{self, PatchFormat};
use super::place::Place;
use super::refusal::{Refusal, Result};
use crate::base::limits::WRITE_ATTEMPTS_MAX;
use crate::engine::find;
use crate::engine::operation::FileStat;
use crate::http::Status;

/// What a PATCH does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patching {
    Document(PatchFormat),
    Bytes(WrittenRange),
}

/// What a PATCH may bring.
pub(super) const ACCEPT_PATCH: &str =
    "application/merge-patch+json, application/json-patch+json, application/octet-stream";

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;

impl Job {
    /// Changes a part of the target.
    pub(super) fn patch(&self, patching: Patching, content: Content) -> Result<Done> {
        match patching {
            Patching::Document(format) => self.patch_document(format, &self.whole(content)?),
            Patching::Bytes(range) => self.patch_bytes(range, content),
        }
    }

    /// A patch in memory; what has come in pieces is bounded by the settings.
    fn whole(&self, content: Content) -> Result<Bytes> {
        let mut hashing = self.digests.hashing();
        let whole = match content {
            Content::Memory(pieces) => pieces.concat(),
            Content::Written(lent) => {
                let upload = lent.take();
                let mut whole = vec![0; upload.len as usize];
                upload.draft.file().read_exact_at(&mut whole, 0)?;
                whole.into()
            }
        };
        hashing.update(&whole);
        self.digests.check(hashing)?;
        Ok(whole)
    }

    fn patch_document(&self, format: PatchFormat, patch: &[u8]) -> Result<Done> {
        let bytes_max = self.shared.settings.patch_bytes_max;
        for _ in 0..WRITE_ATTEMPTS_MAX {
            let (mut place, present) = self.present()?;
            if present.len > bytes_max {
                let reason = "The document is too large to be patched";
                return Err(Refusal::because(Status::CONTENT_TOO_LARGE, reason));
            }
            let Some(file) = open_exactly(&place, &present)? else {
                continue;
            };
            let mut document = Vec::with_capacity(present.len as usize + 1);
            file.take(bytes_max + 1).read_to_end(&mut document)?;
            let patched = match patch::apply(format, &document, patch, bytes_max) {
                // What was read may be half of what another program writes there.
                Err(_) if place.look()? != Some(present) => continue,
                applied => applied?,
            };
            let told = self.digests.told_of(&patched);
            let mut draft = Draft::short(&place.directory, Some(&present))?;
            draft.write(&[patched.into()])?;
            let expected = Expected::Exactly(present);
            match self.commit(&mut place, &mut draft, expected, &told)? {
                Attempt::Done(done) => return Ok(*done),
                Attempt::Again => {}
            }
        }
        Err(changing())
    }

    fn patch_bytes(&self, range: WrittenRange, content: Content) -> Result<Done> {
        let (len, content) = match content {
            Content::Memory(pieces) => {
                let mut hashing = self.digests.hashing();
                pieces.pieces.iter().for_each(|piece| hashing.update(piece));
                self.digests.check(hashing)?;
                (pieces.len as u64, Source::Memory(pieces.pieces))
            }
            Content::Written(lent) => {
                let Upload {
                    draft,
                    hashing,
                    len,
                    ..
                } = lent.take();
                self.digests.check(hashing)?;
                (len, Source::Draft(draft))
            }
        };
        if len != range.len {
            let reason = "The content is not as long as its Content-Range says";
            return Err(Refusal::because(Status::BAD_REQUEST, reason));
        }
        for _ in 0..WRITE_ATTEMPTS_MAX {
            let (mut place, present) = self.present()?;
            let after = range.length_after(present.len)?;
            if after > present.len && after > self.shared.settings.body_bytes_max {
                return Err(Refusal::new(Status::CONTENT_TOO_LARGE));
            }
            let Some(mut file) = open_exactly(&place, &present)? else {
                continue;
            };
            let mut draft = Draft::long(&place.directory, Some(&present))?;
            io::copy(&mut file, &mut draft.file())?;
            draft.file().seek(SeekFrom::Start(range.first))?;
            match &content {
                Source::Memory(pieces) => draft.write(pieces)?,
                Source::Draft(part) => {
                    let mut part = part.file();
                    part.seek(SeekFrom::Start(0))?;
                    io::copy(&mut part, &mut draft.file())?;
                }
            }
            let told = self.told_of_file(draft.file())?;
            let expected = Expected::Exactly(present);
            match self.commit(&mut place, &mut draft, expected, &told)? {
                Attempt::Done(done) => return Ok(*done),
                Attempt::Again => {}
            }
        }
        Err(changing())
    }

    /// The place of the target with what stands there, if that may be changed.
    fn present(&self) -> Result<(Place, FileStat)> {
        let place = Place::open(&self.target).map_err(missing)?;
        let present = place.look()?;
        let present = present.ok_or_else(|| Refusal::new(Status::NOT_FOUND))?;
        self.check(Some(&present))?;
        Ok((place, present))
    }

    /// The value of `Repr-Digest` that is wanted of a file.
    fn told_of_file(&self, file: &File) -> Result<Option<String>> {
        let Some(wanted) = self.digests.wanted else {
            return Ok(None);
        };
        let mut context = wanted.context();
        let (mut buf, mut offset) = (vec![0; READ_BYTES], 0);
        loop {
            let len = file.read_at(&mut buf, offset)?;
            if len == 0 {
                return Ok(Some(wanted.field_value(context.finish().as_ref())));
            }
            context.update(&buf[..len]);
            offset += len as u64;
        }
    }
}

/// Where the bytes of a range come from.
enum Source {
    Memory(Vec<Bytes>),
    Draft(Draft),
}

/// Opens what was looked at; `None` when it is not there any more.
fn open_exactly(place: &Place, present: &FileStat) -> Result<Option<File>> {
    let flags = find::OPEN_FLAGS | rustix::fs::OFlags::NOFOLLOW;
    let file = match openat(&place.directory, &place.name, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        other => other?,
    };
    let is_same = find::stat(&file)? == *present;
    Ok(is_same.then(|| file.into()))
}
