//! What is wrong with a configuration file: all of it, each with its line.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::StartError;
use super::settings::Place;

/// Problems of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problems {
    path: PathBuf,
    found: Vec<(Option<usize>, String)>,
}

impl Problems {
    pub(super) fn of(path: &Path) -> Problems {
        Problems {
            path: path.to_owned(),
            found: Vec::new(),
        }
    }

    /// Adds one. `sentence`: what is the matter; what to do about it.
    pub(super) fn add(&mut self, line: Option<usize>, sentence: impl Into<String>) {
        self.found.push((line, sentence.into()));
    }

    /// Nothing, or all of it in the order of the lines.
    pub(super) fn into_result(mut self) -> Result<(), StartError> {
        self.found.sort_by_key(|(line, _)| *line);
        let mut told = HashSet::new(); // What holds for all sites is found in each.
        self.found.retain(|problem| told.insert(problem.clone()));
        let sentences = self
            .found
            .iter()
            .map(|(line, sentence)| format!("{}: {sentence}", Place(&self.path, *line)));
        match StartError::all(sentences.collect()) {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }
}

/// The nearest of some names, when one is near enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR: f64 = 0.8;
    let name = name.to_lowercase().replace('_', "-");
    let closeness = |known: &str| strsim::jaro_winkler(&name, known);
    let known = known.into_iter().map(|known| (closeness(known), known));
    let near = known.filter(|(closeness, _)| *closeness > NEAR);
    let nearest = near.max_by(|(one, _), (other, _)| one.total_cmp(other));
    nearest.map(|(_, known)| known)
}
