//! Compressed forms that are made of a resource while it is served.
//!
//! They belong to a state of its files, not to an entry: entries that follow each other without a
//! change of the files share them, so that each form is made once, whoever asks for it and when.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::http::Coding;

/// A compressed form that was made of a representation.
#[derive(Clone, Debug)]
pub struct Made {
    /// Which file of the resource.
    pub variant: u8,
    pub coding: Coding,
    /// Tells this form from others of the same coding: a part of its entity tag.
    pub tag: &'static str,
    /// Nothing better is to be expected.
    pub is_final: bool,
    pub bytes: Bytes,
}

/// The forms of one state of a resource's files.
#[derive(Debug, Default)]
pub struct Forms {
    /// Codings that somebody makes or has made: four bits for each variant.
    making: AtomicU64,
    /// Grows with each form. Written under the lock.
    version: AtomicU32,
    made: Mutex<Vec<Made>>,
}

/// Files of one resource that are compressed on the fly: what fits a word of bits.
const VARIANTS_MADE_MAX: u8 = 16;

impl Forms {
    /// Claims the making of a coding, for few variants only; once, unless the claim is given back.
    pub fn claim(&self, variant: u8, coding: Coding) -> bool {
        if variant >= VARIANTS_MADE_MAX {
            return false;
        }
        let bit = bit_of(variant, coding);
        let known = self.making.load(Ordering::Relaxed);
        known & bit == 0 && self.making.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    /// Gives a claim back: there was too much to do.
    pub fn unclaim(&self, variant: u8, coding: Coding) {
        self.making
            .fetch_and(!bit_of(variant, coding), Ordering::Relaxed);
    }

    /// Takes a form in; a final one stays.
    pub fn add(&self, made: Made) {
        let mut all = self.lock();
        let is_same = |known: &Made| (known.variant, known.coding) == (made.variant, made.coding);
        if all.iter().any(|known| is_same(known) && known.is_final) {
            return;
        }
        all.retain(|known| !is_same(known));
        all.push(made);
        // Release: who sees the number finds the form, too.
        self.version.fetch_add(1, Ordering::Release);
    }

    /// True when there is a form of this coding.
    pub fn has(&self, variant: u8, coding: Coding) -> bool {
        let all = self.lock();
        all.iter()
            .any(|made| (made.variant, made.coding) == (variant, coding))
    }

    /// All that there are, and their version.
    pub fn all(&self) -> (Vec<Made>, u32) {
        let all = self.lock();
        (all.clone(), self.version.load(Ordering::Relaxed))
    }

    pub(super) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bit_of(variant: u8, coding: Coding) -> u64 {
    1 << (4 * variant + coding as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(coding: Coding, tag: &'static str) -> Made {
        Made {
            variant: 0,
            coding,
            tag,
            is_final: tag == "best",
            bytes: Bytes::new(),
        }
    }

    #[test]
    fn a_coding_is_claimed_once_unless_it_is_given_back() {
        let forms = Forms::default();
        assert!(forms.claim(0, Coding::Brotli));
        assert!(!forms.claim(0, Coding::Brotli));
        assert!(forms.claim(0, Coding::Gzip) && forms.claim(1, Coding::Brotli));
        forms.unclaim(0, Coding::Brotli);
        assert!(forms.claim(0, Coding::Brotli));
        assert!(!forms.claim(1, Coding::Brotli), "another's claim stays");
        assert!(!forms.claim(16, Coding::Brotli), "beyond the bits");
    }

    #[test]
    fn a_better_form_takes_the_place_of_another_and_a_final_one_stays() {
        let forms = Forms::default();
        let tags = || {
            forms
                .all()
                .0
                .iter()
                .map(|made| made.tag)
                .collect::<Vec<_>>()
        };
        forms.add(form(Coding::Brotli, "fast"));
        forms.add(form(Coding::Gzip, "best"));
        assert_eq!(tags(), ["fast", "best"]);
        forms.add(form(Coding::Brotli, "best"));
        let version = forms.version();
        forms.add(form(Coding::Brotli, "fast"));
        assert_eq!((tags(), forms.version()), (vec!["best", "best"], version));
        assert!(forms.has(0, Coding::Brotli) && !forms.has(0, Coding::Zstd));
    }
}
