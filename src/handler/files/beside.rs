//! Whether a directory holds compressed forms at all: looked through once, off the worker, so that
//! files in one without need not look for theirs.

use std::ffi::CString;

use rustix::fs::RawDir;
use rustix::io::{self, Errno};

use crate::base::limits::FORMS_LOOK_NAMES_MAX;
use crate::engine::operation::SharedFile;
use crate::engine::{Links, find};
use crate::task::{Pool, Urgency};
use crate::watch::{Observation, Watch, is_form};

/// Bytes for the names that one system call gives.
const NAMES_BUFFER_BYTES: usize = 32 * 1024;

/// Has the observed directory looked through, unless that was done. `path`: below `root`, of
/// segments that are no symbolic links.
pub(super) fn look(
    pool: &Pool,
    watch: &Watch,
    observation: Observation,
    root: &SharedFile,
    path: &[u8],
) {
    if !watch.claim_look_for_forms(&observation) {
        return;
    }
    let Ok(path) = CString::new(path) else {
        return;
    };
    let (watch, root) = (watch.clone(), SharedFile::clone(root));
    let job = move || {
        if holds_none(&root, &path) == Ok(true) {
            watch.note_without_forms(&observation);
        }
    };
    // Refused or failed: forms are looked for file by file, as in a directory with some.
    let _ = pool.run(Urgency::Soon, job);
}

/// True when all names were looked through and none is a form's.
fn holds_none(root: &SharedFile, path: &CString) -> io::Result<bool> {
    let directory = find::open_found(find::find(root, path, Links::Refused)?)?;
    let mut buffer = Vec::with_capacity(NAMES_BUFFER_BYTES);
    let mut names = RawDir::new(&directory, buffer.spare_capacity_mut());
    let mut count = 0;
    while let Some(found) = names.next() {
        let found = match found {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        count += 1;
        if count > FORMS_LOOK_NAMES_MAX || is_form(found.file_name().to_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::Arc;

    #[test]
    fn a_directory_is_looked_through() {
        let scratch = tempfile::tempdir().unwrap();
        let root: SharedFile = Arc::new(fs::File::open(scratch.path()).unwrap().into());
        fs::create_dir(scratch.path().join("a")).unwrap();
        fs::write(scratch.path().join("a/page.html"), "page").unwrap();
        for path in [c".", c"", c"a"] {
            assert_eq!(holds_none(&root, &path.to_owned()), Ok(true), "{path:?}");
        }
        fs::write(scratch.path().join("a/page.html.zst"), "form").unwrap();
        assert_eq!(holds_none(&root, &c"a".to_owned()), Ok(false));
        assert!(holds_none(&root, &c"b".to_owned()).is_err());
    }

    #[test]
    fn where_there_are_too_many_names_nothing_is_said() {
        let scratch = tempfile::tempdir().unwrap();
        let root: SharedFile = Arc::new(fs::File::open(scratch.path()).unwrap().into());
        let name = |number: usize| scratch.path().join(format!("{number}"));
        fs::write(name(0), "").unwrap();
        // `.`, `..` and the first file count, too.
        for number in 1..FORMS_LOOK_NAMES_MAX - 2 {
            fs::hard_link(name(0), name(number)).unwrap();
        }
        assert_eq!(holds_none(&root, &c".".to_owned()), Ok(true));
        fs::hard_link(name(0), name(FORMS_LOOK_NAMES_MAX)).unwrap();
        assert_eq!(holds_none(&root, &c".".to_owned()), Ok(false));
    }
}
