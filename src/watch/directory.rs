//! One watched directory: its children, and what happened in it lately.

use std::collections::HashMap;

use arrayvec::ArrayVec;
use foldhash::fast::RandomState;

use super::registry::TreeId;
use super::stem::is_form;
use crate::base::Id;
use crate::base::limits::{WATCH_EVENTS_REMEMBERED, WATCH_MARKS_REMEMBERED};

/// Names a watched directory; stale once it was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DirectoryId(pub(super) Id);

pub(super) struct Directory {
    pub(super) place: Place,
    /// What the cold thread knows its watch by.
    pub(super) handle: i32,
    pub(super) children: HashMap<Box<[u8]>, DirectoryId, RandomState>,
    marks: Marks,
    past: Past,
    forms: Forms,
}

/// Whether compressed forms stand in a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Forms {
    #[default]
    Unknown,
    /// Somebody looks.
    LookedFor,
    None,
    /// There is one, or was, or there are too many names to tell.
    Perhaps,
}

/// Where a directory hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Root(TreeId),
    Below(DirectoryId, Box<[u8]>),
}

/// What is known of a child that is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// There is no directory of that name.
    Absent,
    /// It cannot be watched, as was found in this epoch.
    Blind(u32),
}

impl Directory {
    pub(super) fn new(place: Place, handle: i32) -> Directory {
        Directory {
            place,
            handle,
            children: HashMap::default(),
            marks: Marks::default(),
            past: Past::default(),
            forms: Forms::default(),
        }
    }

    pub(super) fn is_without_forms(&self) -> bool {
        self.forms == Forms::None
    }

    /// True for the first who asks.
    pub(super) fn claim_look_for_forms(&mut self) -> bool {
        let is_first = self.forms == Forms::Unknown;
        if is_first {
            self.forms = Forms::LookedFor;
        }
        is_first
    }

    /// Whoever looked has found none. What has appeared meanwhile has given an event, or will.
    pub(super) fn note_without_forms(&mut self) {
        if self.forms == Forms::LookedFor {
            self.forms = Forms::None;
        }
    }

    pub(super) fn mark(&self, name: &[u8]) -> Option<Mark> {
        let found = self.marks.known.iter().find(|(known, _)| **known == *name);
        found.map(|(_, mark)| *mark)
    }

    pub(super) fn set_mark(&mut self, name: &[u8], mark: Mark) {
        self.marks.forget(name);
        if self.marks.known.len() < WATCH_MARKS_REMEMBERED {
            self.marks.known.push((name.into(), mark));
        } else {
            self.marks.oldest = (self.marks.oldest + 1) % WATCH_MARKS_REMEMBERED;
            self.marks.known[self.marks.oldest] = (name.into(), mark);
        }
    }

    /// Notes an event of a name with this stem.
    pub(super) fn on_event(&mut self, name: &[u8], stem: u32, at: u64) {
        self.marks.forget(name);
        self.past.note(stem, at);
        if is_form(name) {
            self.forms = Forms::Perhaps;
        }
    }

    /// True when nothing has happened to a stem after `at`; `None` is every stem.
    pub(super) fn was_quiet(&self, stem: Option<u32>, at: u64) -> bool {
        match stem {
            Some(stem) => self.past.last_of(stem) <= at,
            None => self.past.last <= at,
        }
    }
}

/// Bounded, as peers choose which names are asked for.
#[derive(Default)]
struct Marks {
    known: Vec<(Box<[u8]>, Mark)>,
    /// The one that was replaced last.
    oldest: usize,
}

impl Marks {
    fn forget(&mut self, name: &[u8]) {
        self.known.retain(|(known, _)| **known != *name);
    }
}

/// When stems had their last events. A file that is written to all the time must not keep its
/// neighbours from being registered, so the last few are remembered by name.
#[derive(Default)]
struct Past {
    /// The last event of all.
    last: u64,
    /// The last event of a stem that is not remembered.
    forgotten: u64,
    /// Boxed, for nothing ever happens in most directories.
    recent: Option<Box<ArrayVec<(u32, u64), WATCH_EVENTS_REMEMBERED>>>,
}

impl Past {
    fn note(&mut self, stem: u32, at: u64) {
        self.last = at;
        let recent = self.recent.get_or_insert_default();
        if let Some(known) = recent.iter_mut().find(|(known, _)| *known == stem) {
            known.1 = at;
        } else if !recent.is_full() {
            recent.push((stem, at));
        } else if let Some(oldest) = recent.iter_mut().min_by_key(|(_, at)| *at) {
            self.forgotten = oldest.1;
            *oldest = (stem, at);
        }
    }

    fn last_of(&self, stem: u32) -> u64 {
        let mut recent = self.recent.iter().flat_map(|recent| recent.iter());
        let known = recent.find(|(known, _)| *known == stem);
        known.map_or(self.forgotten, |(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        Directory::new(Place::Root(TreeId::NONE), 1)
    }

    #[test]
    fn forms_are_looked_for_once_and_what_appears_is_known() {
        let mut directory = directory();
        assert!(directory.claim_look_for_forms());
        assert!(!directory.claim_look_for_forms());
        assert!(!directory.is_without_forms(), "nobody has said so yet");
        directory.note_without_forms();
        assert!(directory.is_without_forms());
        directory.on_event(b"a.html", 1, 1);
        assert!(directory.is_without_forms());
        directory.on_event(b"a.html.gz", 1, 2);
        assert!(!directory.is_without_forms());
        directory.note_without_forms();
        assert!(!directory.is_without_forms() && !directory.claim_look_for_forms());
    }

    #[test]
    fn a_form_that_appears_during_the_look_counts() {
        let mut directory = directory();
        assert!(directory.claim_look_for_forms());
        directory.on_event(b"a.html.br", 1, 1);
        directory.note_without_forms();
        assert!(!directory.is_without_forms());
    }

    #[test]
    fn a_busy_stem_does_not_disturb_the_others() {
        let mut directory = directory();
        assert!(directory.was_quiet(Some(1), 0) && directory.was_quiet(None, 0));
        for at in 1..1000 {
            directory.on_event(b"log", 7, at);
        }
        assert!(!directory.was_quiet(Some(7), 998));
        assert!(directory.was_quiet(Some(7), 999));
        assert!(directory.was_quiet(Some(1), 0));
        assert!(!directory.was_quiet(None, 998));
    }

    #[test]
    fn too_many_stems_are_all_taken_for_disturbed() {
        let mut directory = directory();
        let events = WATCH_EVENTS_REMEMBERED as u64;
        for at in 1..=events + 3 {
            directory.on_event(b"x", at as u32, at);
        }
        assert!(
            !directory.was_quiet(Some(1000), 2),
            "one of the first three"
        );
        assert!(directory.was_quiet(Some(1000), 3));
        assert!(!directory.was_quiet(Some(4), 3));
        assert!(directory.was_quiet(Some(4), 4));
    }

    #[test]
    fn marks_are_few_and_end_with_an_event() {
        let mut directory = directory();
        directory.set_mark(b"a", Mark::Absent);
        directory.set_mark(b"a", Mark::Blind(3));
        assert_eq!(directory.mark(b"a"), Some(Mark::Blind(3)));
        directory.on_event(b"a", 1, 1);
        assert_eq!(directory.mark(b"a"), None);
        for index in 0..2 * WATCH_MARKS_REMEMBERED {
            directory.set_mark(index.to_string().as_bytes(), Mark::Absent);
        }
        assert_eq!(directory.marks.known.len(), WATCH_MARKS_REMEMBERED);
        let last = (2 * WATCH_MARKS_REMEMBERED - 1).to_string();
        assert_eq!(directory.mark(last.as_bytes()), Some(Mark::Absent));
    }
}
