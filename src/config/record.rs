//! What the flags agree on about the access log, counters and health.

use std::path::{Path, PathBuf};

use super::access::absolute;
use super::record_args::RecordArgs;
use super::{Listen, StartError};

/// What is told of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordConfig {
    pub access_log: AccessLog,
    /// Where its lines go, an absolute path; `None` for standard output.
    pub log_file: Option<PathBuf>,
    /// Where the counters are.
    pub metrics: Option<MetricsPlace>,
    /// The path that says whether the server is well, in every site.
    pub health: Option<String>,
    /// Answers say `X-Request-Id`.
    pub says_request_id: bool,
}

/// How a line of the access log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    #[default]
    Off,
    Combined,
    Json,
}

/// A place for counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsPlace {
    /// An address and a port.
    pub listen: Listen,
    /// With its leading slash.
    pub path: String,
}

/// Holds the flags against each other. `listen`: where requests are taken.
pub(super) fn check(args: &RecordArgs, listen: &[&Listen]) -> Result<RecordConfig, StartError> {
    let is_file = |path: &&PathBuf| path.as_path() != Path::new("-");
    let log_file = args.log_file.as_ref().filter(is_file);
    if log_file.is_some() && args.access_log == AccessLog::Off {
        return Err(StartError::usage(
            "--log-file means nothing without --access-log",
            "say how its lines are written, as in --access-log combined",
        ));
    }
    let metrics = args.metrics.0.as_ref();
    let is_taken = |place: &&MetricsPlace| listen.iter().any(|at| at.same_place(&place.listen));
    if let Some(place) = metrics.filter(is_taken) {
        return Err(StartError::usage(
            format!("--metrics is at {}, where requests are taken", place.listen),
            "give it a port of its own",
        ));
    }
    Ok(RecordConfig {
        access_log: args.access_log,
        log_file: log_file.map(|path| absolute(path)),
        metrics: metrics.cloned(),
        health: args.health.0.clone(),
        says_request_id: args.request_id,
    })
}
