//! The flags about resources that clients may change: those of a site, and those of the server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use super::access_values::{idempotency_size, idempotency_time, max_patch_bytes};
use super::quantity::size;
use super::values::boolean;

/// The flags of a site.
#[derive(Debug, Args)]
pub struct SiteWritingArgs {
    /// Let clients create, replace, change and remove (POST, PUT, PATCH, DELETE) the files of a
    /// glob, as in '/notes/**'; who may is said by --access; repeatable
    #[arg(long, value_name = "GLOB", help_heading = "Writing")]
    #[arg(env = "DOWNPOUR_WRITABLE", hide_env = true)]
    pub writable: Vec<String>,

    /// Let anybody write where no --access says who may
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "false",
        help_heading = "Writing"
    )]
    #[arg(env = "DOWNPOUR_ALLOW_ANONYMOUS_WRITES", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_anonymous_writes: bool,

    /// Answer 428 to changes that do not say of which state (If-Match, If-None-Match,
    /// If-Unmodified-Since), so that nobody overwrites what they have not seen
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "false",
        help_heading = "Writing"
    )]
    #[arg(env = "DOWNPOUR_REQUIRE_PRECONDITIONS", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub require_preconditions: bool,

    /// Largest content of a request, 413 beyond. 16M has room for photographs and documents, and a
    /// disk does not fill unnoticed
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "16M",
        help_heading = "Writing"
    )]
    #[arg(env = "DOWNPOUR_MAX_BODY_BYTES", hide_env = true, value_parser = size)]
    pub max_body_bytes: u64,

    /// Largest document that PATCH works on and largest list of changes, at most 64M, since both
    /// are held in memory; byte ranges are not
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1M",
        help_heading = "Writing"
    )]
    #[arg(env = "DOWNPOUR_MAX_PATCH_BYTES", hide_env = true, value_parser = max_patch_bytes)]
    pub max_patch_bytes: u64,
}

/// The flags of the server.
#[derive(Debug, Args)]
pub struct WritingArgs {
    /// Directory for what outlives the process: the answers that are kept for Idempotency-Key,
    /// which are kept with it only
    #[arg(long, value_name = "DIR", help_heading = "Writing")]
    #[arg(env = "DOWNPOUR_STATE_DIR", hide_env = true)]
    pub state_dir: Option<PathBuf>,

    /// How long an answer is kept for its Idempotency-Key [default: 24h]
    #[arg(long, value_name = "TIME", help_heading = "Writing")]
    #[arg(env = "DOWNPOUR_IDEMPOTENCY_TIME", hide_env = true, value_parser = idempotency_time)]
    pub idempotency_time: Option<Duration>,

    /// Bytes of all answers that are kept so; beyond, the oldest go [default: 64M]
    #[arg(long, value_name = "SIZE", help_heading = "Writing")]
    #[arg(env = "DOWNPOUR_IDEMPOTENCY_SIZE", hide_env = true, value_parser = idempotency_size)]
    pub idempotency_size: Option<u64>,
}
