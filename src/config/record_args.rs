//! The flags about what is told of requests: the access log, counters, health.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::access_values::{access_log, health, metrics};
use super::quantity::OrOff;
use super::values::boolean;
use super::{AccessLog, MetricsPlace};

/// The flags of the record.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// One line for each request: combined, which other servers write and programs read, or json
    #[arg(
        long,
        value_name = "off|combined|json",
        default_value = "off",
        help_heading = "Log"
    )]
    #[arg(env = "DOWNPOUR_ACCESS_LOG", hide_env = true, value_parser = access_log)]
    pub access_log: AccessLog,

    /// File for these lines, opened again on SIGHUP; - is standard output [default: -]
    #[arg(long, value_name = "FILE|-", help_heading = "Log")]
    #[arg(env = "DOWNPOUR_LOG_FILE", hide_env = true)]
    pub log_file: Option<PathBuf>,

    /// Where counters are given in the format of Prometheus, as in 127.0.0.1:9090/metrics
    #[arg(
        long,
        value_name = "ADDR:PORT/PATH|off",
        default_value = "off",
        help_heading = "Log"
    )]
    #[arg(env = "DOWNPOUR_METRICS", hide_env = true, value_parser = metrics)]
    pub metrics: OrOff<MetricsPlace>,

    /// Path of all sites that says whether the server is well, as in /healthz
    #[arg(
        long,
        value_name = "PATH|off",
        default_value = "off",
        help_heading = "Log"
    )]
    #[arg(env = "DOWNPOUR_HEALTH", hide_env = true, value_parser = health)]
    pub health: OrOff<String>,

    /// Say X-Request-Id in every answer; errors as application/problem+json name it always
    #[arg(
        long,
        value_name = "BOOL|on|off",
        default_value = "false",
        help_heading = "Log"
    )]
    #[arg(env = "DOWNPOUR_REQUEST_ID", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub request_id: bool,
}
