//! What the flags agree on about resources that clients may change.

use std::path::PathBuf;
use std::time::Duration;

use super::StartError;
use super::access::absolute;
use super::writing_args::{SiteWritingArgs, WritingArgs};
use crate::base::limits::{IDEMPOTENCY_BYTES_DEFAULT, IDEMPOTENCY_TIME_DEFAULT};

/// What may be changed in one site, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteWriting {
    /// Globs.
    pub writable: Vec<String>,
    /// Anybody may, where no rule says who.
    pub allows_anonymous: bool,
    /// 428 without a precondition.
    pub requires_preconditions: bool,
    /// Of the content of a request.
    pub body_bytes_max: u64,
    /// Of a document that is patched, and of the patch.
    pub patch_bytes_max: u64,
}

/// What holds for all sites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WritingConfig {
    /// Where answers are kept for their `Idempotency-Key`, if they are.
    pub idempotency: Option<IdempotencyConfig>,
}

/// How answers are kept for their `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyConfig {
    /// Absolute; nobody has looked whether it is there.
    pub directory: PathBuf,
    pub time: Duration,
    pub bytes_max: u64,
}

impl SiteWriting {
    /// `writable`: all globs, of flags and tables.
    pub(super) fn new(args: &SiteWritingArgs, writable: Vec<String>) -> SiteWriting {
        SiteWriting {
            writable,
            allows_anonymous: args.allow_anonymous_writes,
            requires_preconditions: args.require_preconditions,
            body_bytes_max: args.max_body_bytes,
            patch_bytes_max: args.max_patch_bytes,
        }
    }
}

/// Holds the flags against each other.
pub(super) fn check(args: &WritingArgs) -> Result<WritingConfig, StartError> {
    let Some(directory) = &args.state_dir else {
        let flag = match (args.idempotency_time, args.idempotency_size) {
            (None, None) => return Ok(WritingConfig::default()),
            (Some(_), _) => "--idempotency-time",
            (None, Some(_)) => "--idempotency-size",
        };
        return Err(StartError::usage(
            format!("{flag} means nothing without --state-dir"),
            "say where answers are kept: --state-dir DIR",
        ));
    };
    Ok(WritingConfig {
        idempotency: Some(IdempotencyConfig {
            directory: absolute(directory),
            time: args.idempotency_time.unwrap_or(IDEMPOTENCY_TIME_DEFAULT),
            bytes_max: args.idempotency_size.unwrap_or(IDEMPOTENCY_BYTES_DEFAULT),
        }),
    })
}
