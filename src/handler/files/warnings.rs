//! What an operator should hear once, however often a request comes upon it.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::http::SafePath;

/// Paths that are remembered; beyond, nothing more is said.
const WARNINGS_MAX: usize = 1000;

static SAID: LazyLock<Mutex<HashSet<Box<[u8]>>>> = LazyLock::new(Mutex::default);

/// A compressed form is older than its file.
pub(super) fn stale_sidecar(path: &SafePath) {
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.len() < WARNINGS_MAX && said.insert(path.as_bytes().into()) {
        let name = path.as_bytes().escape_ascii();
        log::warn!("{name} is older than its file and is not used; downpour precompress renews it");
    }
}
