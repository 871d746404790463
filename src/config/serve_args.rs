//! The flags of `downpour serve`: one definition for parsing, help, environment and file.
//!
//! A value that is wrong by itself is refused here, by its parser; what contradicts another flag or
//! the machine is refused in `checked.rs`.
#![allow(rustdoc::broken_intra_doc_links)] // Help is read in a terminal: [::] is an address.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use super::access_args::ServerAccessArgs;
use super::cpus::CpuList;
use super::quantity::{OrAuto, OrOff, size};
use super::record_args::RecordArgs;
use super::site_args::SiteArgs;
use super::tls_args::TlsArgs;
use super::values::*;
use super::writing_args::WritingArgs;
use super::{Listen, StartError, listen};
use crate::engine::EngineChoice;

/// The flags of `downpour serve`, each right by itself.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The directory to serve [default: a welcome page]
    #[arg(value_name = "ROOT", env = "DOWNPOUR_ROOT", hide_env = true)]
    pub root: Option<PathBuf>,

    /// Read the configuration from a file, TOML with these flags as its keys; what stands there
    /// gives way to flags and variables. `downpour check FILE` says whether it is right
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    #[arg(env = "DOWNPOUR_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub site: SiteArgs,

    /// Where to listen: ADDRESS:PORT, unix:/path or fd:N (a listening socket that is already open);
    /// repeatable. Port 0 takes a free one [default: [::]:8080, for IPv4 and IPv6]
    #[arg(long, value_name = "WHERE", help_heading = "Network")]
    #[arg(env = "DOWNPOUR_LISTEN", hide_env = true)]
    pub listen: Vec<String>,

    /// Short for --listen [::]:PORT; adds to --listen
    #[arg(short, long, value_name = "PORT", help_heading = "Network")]
    #[arg(env = "DOWNPOUR_PORT", hide_env = true)]
    pub port: Vec<String>,

    /// Connections that may wait to be accepted, on each listening socket; more rides out bursts of
    /// new connections, up to net.core.somaxconn
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "4096",
        help_heading = "Network"
    )]
    #[arg(env = "DOWNPOUR_BACKLOG", hide_env = true, value_parser = backlog)]
    pub backlog: u32,

    /// Connections at a time; auto: what the limit of open files allows
    #[arg(
        long,
        value_name = "COUNT|auto",
        default_value = "auto",
        help_heading = "Network"
    )]
    #[arg(env = "DOWNPOUR_MAX_CONNECTIONS", hide_env = true, value_parser = max_connections)]
    pub max_connections: OrAuto<u64>,

    /// What a request for a host gets that no site of the file has: the default site, or 421
    #[arg(
        long,
        value_name = "default|421",
        default_value = "default",
        help_heading = "Network"
    )]
    #[arg(env = "DOWNPOUR_UNKNOWN_HOST", hide_env = true, value_parser = unknown_host)]
    pub unknown_host: UnknownHost,

    #[command(flatten)]
    pub access: ServerAccessArgs,

    #[command(flatten)]
    pub writing: WritingArgs,

    #[command(flatten)]
    pub tls: TlsArgs,

    /// Threads that serve, each with its own ring and connections; auto: one for each processor
    /// that this process may use. Fewer leave processors to others
    #[arg(
        long,
        value_name = "COUNT|auto",
        default_value = "auto",
        help_heading = "Workers"
    )]
    #[arg(env = "DOWNPOUR_WORKERS", hide_env = true, value_parser = workers)]
    pub workers: OrAuto<usize>,

    /// Pin workers to these processors in turn, as in 0 or 0-3,6; steadier latencies on a machine
    /// that does nothing else. Without --workers: one worker for each
    #[arg(long, value_name = "LIST", help_heading = "Workers")]
    #[arg(env = "DOWNPOUR_CPUS", hide_env = true)]
    pub cpus: Option<CpuList>,

    /// What does the input and output; auto is io-uring where the kernel allows it, else epoll.
    /// `downpour doctor` says which and why
    #[arg(
        long,
        value_name = "auto|io-uring|epoll|tokio-uring",
        default_value = "auto",
        help_heading = "Workers"
    )]
    #[arg(env = "DOWNPOUR_ENGINE", hide_env = true)]
    pub engine: EngineChoice,

    /// Bytes of files held in memory by all workers together; 0 turns the cache off
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "256M",
        help_heading = "Cache and files"
    )]
    #[arg(env = "DOWNPOUR_CACHE_SIZE", hide_env = true, value_parser = size)]
    pub cache_size: u64,

    /// Largest file that is cached; larger ones are read each time, or sent by sendfile
    /// [default: 64K]
    #[arg(long, value_name = "SIZE", help_heading = "Cache and files")]
    #[arg(env = "DOWNPOUR_CACHE_ENTRY_MAX", hide_env = true, value_parser = size)]
    pub cache_entry_max: Option<u64>,

    /// Files of this size and more go from the page cache to the socket by sendfile and are never
    /// cached here
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64K",
        help_heading = "Cache and files"
    )]
    #[arg(env = "DOWNPOUR_SENDFILE_MIN", hide_env = true, value_parser = size)]
    pub sendfile_min: u64,

    /// Files whose heads and names are remembered beside those in memory, each with about a
    /// kilobyte; they are read from the page cache for each answer
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "131072",
        help_heading = "Cache and files"
    )]
    #[arg(env = "DOWNPOUR_CACHE_FILES", hide_env = true, value_parser = cache_files)]
    pub cache_files: u64,

    /// Hear from the kernel when a file changes; off: compare what is cached with the disk, at
    /// least once a second
    #[arg(
        long,
        value_name = "auto|off",
        default_value = "auto",
        help_heading = "Cache and files"
    )]
    #[arg(env = "DOWNPOUR_WATCH", hide_env = true, value_parser = watch, action = ArgAction::Set)]
    pub watch: bool,

    /// Idle time between two requests after which a connection is closed
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        help_heading = "Limits"
    )]
    #[arg(env = "DOWNPOUR_KEEPALIVE_TIMEOUT", hide_env = true, value_parser = timeout)]
    pub keepalive_timeout: Duration,

    /// Time for a whole request head to arrive; short ones stop slow attackers
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        help_heading = "Limits"
    )]
    #[arg(env = "DOWNPOUR_HEADER_TIMEOUT", hide_env = true, value_parser = timeout)]
    pub header_timeout: Duration,

    /// Time in which a peer takes no byte of its answer, after which it is given up
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30s",
        help_heading = "Limits"
    )]
    #[arg(env = "DOWNPOUR_SEND_TIMEOUT", hide_env = true, value_parser = timeout)]
    pub send_timeout: Duration,

    /// Time between SIGTERM and the end for answers that are on their way; 0s waits for none
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        help_heading = "Limits"
    )]
    #[arg(env = "DOWNPOUR_GRACE_PERIOD", hide_env = true, value_parser = grace_period)]
    pub grace_period: Duration,

    /// Largest request head, 1K to 1M; a larger one is answered with 431
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "32K",
        help_heading = "Limits"
    )]
    #[arg(env = "DOWNPOUR_MAX_HEAD_BYTES", hide_env = true, value_parser = max_head_bytes)]
    pub max_head_bytes: usize,

    /// Entries of a worker's submission queue, a power of two; more batches more work in one system
    /// call under many connections
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "512",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_RING_ENTRIES", hide_env = true, value_parser = ring_entries)]
    pub ring_entries: u32,

    /// Receive buffers of a worker, a power of two, shared by its connections; fewer stay in the
    /// processor's cache, more take large bursts at once
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "128",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_RECV_BUFFERS", hide_env = true, value_parser = recv_buffers)]
    pub recv_buffers: u16,

    /// Bytes of one receive buffer, 512 to 1M; most request heads should fit into one
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "4K",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_RECV_BUFFER_BYTES", hide_env = true, value_parser = recv_buffer_bytes)]
    pub recv_buffer_bytes: u32,

    /// Send at least so many bytes without a copy; may pay on a real network card, never on
    /// loopback
    #[arg(
        long,
        value_name = "SIZE|off",
        default_value = "off",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_ZERO_COPY_MIN", hide_env = true, value_parser = zero_copy_min)]
    pub zero_copy_min: OrOff<usize>,

    /// Poll the network card for so long before sleeping, as in 50us; trades processor time for
    /// latency
    #[arg(
        long,
        value_name = "TIME|off",
        default_value = "off",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_BUSY_POLL", hide_env = true, value_parser = busy_poll)]
    pub busy_poll: OrOff<Duration>,

    /// Let a kernel thread take submissions until idle for so long, as in 100ms; needs a processor
    /// of its own for each worker
    #[arg(
        long,
        value_name = "TIME|off",
        default_value = "off",
        help_heading = "Engine tuning"
    )]
    #[arg(env = "DOWNPOUR_SQPOLL", hide_env = true, value_parser = sqpoll)]
    pub sqpoll: OrOff<Duration>,

    /// Least weight of a log line
    #[arg(
        long,
        value_name = "error|warn|info|debug|trace|off",
        default_value = "info",
        help_heading = "Log"
    )]
    #[arg(env = "DOWNPOUR_LOG_LEVEL", hide_env = true, value_parser = log_level)]
    pub log_level: log::LevelFilter,

    /// Print no start line and nothing below a warning
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "false",
        help_heading = "Log"
    )]
    #[arg(env = "DOWNPOUR_QUIET", hide_env = true, value_parser = boolean, action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(hide_default_value = true)]
    pub quiet: bool,

    #[command(flatten)]
    pub record: RecordArgs,
}

/// What a request for a host gets that no site has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownHost {
    /// The default site.
    Default,
    /// 421 (RFC 9110 §15.5.20).
    Misdirected,
}

impl ServeArgs {
    /// The places of `--listen` and `--port`, in that order; empty when neither is given.
    pub fn places(&self) -> Result<Vec<Listen>, StartError> {
        let mut places = read_places("--listen", &self.listen)?;
        for text in &self.port {
            let port = listen::port(text).map_err(|why| refuse("--port", text, why))?;
            places.push(Listen::Everywhere { port });
        }
        Ok(places)
    }

    /// The places of `--tls-listen`.
    pub fn tls_places(&self) -> Result<Vec<Listen>, StartError> {
        read_places("--tls-listen", &self.tls.tls_listen)
    }
}

fn read_places(flag: &str, texts: &[String]) -> Result<Vec<Listen>, StartError> {
    let read = |text: &String| text.parse().map_err(|why| refuse(flag, text, why));
    texts.iter().map(read).collect()
}

fn refuse(flag: &str, value: &str, why: String) -> StartError {
    StartError::usage(format!("{flag} does not take {value:?}"), why)
}
