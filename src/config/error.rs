//! Why the server did not start, in one sentence that says what to do about it.

use std::fmt;
use std::process::ExitCode;

/// What to do where no further thread can be made.
pub const THREADS: &str = "raise the limit of threads, as with ulimit -u 4096 or TasksMax=";

/// A start that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    /// What is the matter; no capital, no full stop.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// Sentences about what else is wrong.
    pub further: Vec<String>,
    /// 2 for a wrong command line, 1 for everything else.
    pub exit_code: u8,
}

impl StartError {
    /// The command line (or the environment that stands in for it) is wrong.
    pub fn usage(what: impl Into<String>, remedy: impl Into<String>) -> StartError {
        StartError {
            what: what.into(),
            remedy: remedy.into(),
            further: Vec::new(),
            exit_code: 2,
        }
    }

    /// Everything that is wrong with what was asked for, one sentence each; `None` when it is
    /// nothing.
    pub fn all(sentences: Vec<String>) -> Option<StartError> {
        let mut sentences = sentences.into_iter();
        let first = StartError::usage(sentences.next()?, "");
        Some(StartError {
            further: sentences.collect(),
            ..first
        })
    }

    /// All sentences, one for each line of a terminal.
    pub fn sentences(&self) -> impl Iterator<Item = String> {
        let first = std::iter::once(self.to_string());
        first.chain(self.further.iter().cloned())
    }

    /// The command line is fine, the machine is not.
    pub fn machine(what: impl Into<String>, remedy: impl Into<String>) -> StartError {
        StartError {
            exit_code: 1,
            ..StartError::usage(what, remedy)
        }
    }

    /// The status for the shell.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit_code)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.remedy.is_empty() {
            return out.write_str(&self.what);
        }
        write!(out, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for StartError {}
