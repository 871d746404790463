//! The checked configuration: what flags, environment and machine agree on.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::quantity::Bytes;
use super::sites::Sites;
use super::tls::{self, Http2Config, TlsConfig};
use super::{AccessTexts, Asked, HttpsRedirect, Listen, RecordConfig, ServeArgs, ServerAccess};
use super::{StartError, WritingConfig, cpus, record, sites, writing};
use crate::base::limits;
use crate::engine::{EngineChoice, EngineKind, EngineSettings};
use crate::route::SiteSettings;

/// What the machine allows, as far as flags depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Processors that this process may run on, ascending.
    pub cpus: Vec<usize>,
    /// How many of them its control group pays for (rounded up), at least one.
    pub cpus_paid: NonZeroUsize,
    /// Descriptors that it may have open.
    pub descriptors_max: u64,
    /// `net.core.somaxconn`, where it can be read.
    pub somaxconn: Option<u32>,
}

/// Everything that was asked for: right, complete and never changed again.
#[derive(Clone, Debug)]
pub struct Config {
    /// The sites, at least one; their roots are absolute.
    pub sites: Vec<SiteSettings>,
    /// What is said about the access to each, in the same order.
    pub access: Vec<AccessTexts>,
    /// What is said about the access to all.
    pub server_access: ServerAccess,
    /// What all sites have for resources that clients may change.
    pub writing: WritingConfig,
    /// What is told of requests.
    pub record: RecordConfig,
    /// Which of them answers for hosts that none has; `None`: such a request gets 421.
    pub default_site: Option<usize>,
    /// Hear from the kernel what changes on the disk.
    pub watches: bool,
    /// The file that said some of this.
    pub config_file: Option<PathBuf>,
    /// Where to listen for plain HTTP; empty only where `tls` has a place. No place twice.
    pub listen: Vec<Listen>,
    /// How TLS is spoken, and where.
    pub tls: Option<TlsConfig>,
    /// Where plain requests are sent.
    pub https_redirect: HttpsRedirect,
    /// How HTTP/2 is spoken, if it is.
    pub http2: Option<Http2Config>,
    /// Connections that may wait to be accepted, for each socket.
    pub backlog: u32,
    /// Threads that serve.
    pub workers: NonZeroUsize,
    /// Processors to pin them to, in turn; empty for none.
    pub cpus: Vec<usize>,
    /// Which engine they run on.
    pub engine: EngineChoice,
    /// How it is tuned.
    pub engine_settings: EngineSettings,
    /// What is held in memory.
    pub cache: CacheConfig,
    /// Files of so many bytes and more go out by `sendfile(2)` and are never cached.
    pub sendfile_bytes_min: u64,
    /// Bounds on what a peer may take.
    pub limits: Limits,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// What is logged.
    pub log: LogConfig,
}

/// What is held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Bytes of all bodies together; 0 for no cache.
    pub bytes_max: u64,
    /// Bytes of one file; at most `bytes_max`.
    pub entry_bytes_max: u64,
    /// Files that are known by their heads and names.
    pub files_max: u64,
}

/// Bounds on what a peer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of all workers together.
    pub connections_max: usize,
    /// Bytes of one request head.
    pub head_bytes_max: usize,
    /// TLS handshakes of one worker at a time.
    pub handshakes_max: usize,
}

/// Deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Between two requests.
    pub keepalive: Duration,
    /// For a whole request head.
    pub header: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// Without a byte taken by the peer.
    pub send: Duration,
    /// Without a byte of a request's content sent by the peer.
    pub body: Duration,
    /// Between the order to stop and the end.
    pub grace: Duration,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Least weight of a line.
    pub level: log::LevelFilter,
    /// Whether one line at start says what runs.
    pub start_line: bool,
}

/// A configuration, and what its owner should hear about it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// Sentences for the log: where the machine gives less than was asked for.
    pub warnings: Vec<String>,
}

impl Config {
    /// Holds what is asked for against itself and against the machine.
    pub fn check(asked: &Asked, machine: &Machine) -> Result<Checked, StartError> {
        let (sites, fault) = match sites::check(asked) {
            Ok(sites) => (sites, None),
            Err(fault) => (Sites::none(), Some(fault)),
        };
        let checked = check(asked, sites, machine).map_err(|error| asked.locate(error));
        match (checked, fault) {
            (checked, None) => checked,
            // Of a file, all is told at once.
            (Err(error), Some(mut fault)) if asked.file.is_some() => {
                fault.further.extend(error.sentences());
                Err(fault)
            }
            (_, Some(fault)) => Err(fault),
        }
    }

    /// Bytes of the content of a request, whichever site it is for.
    pub fn body_bytes_max(&self) -> u64 {
        let sites = self.access.iter();
        let all = sites.map(|texts| texts.writing.body_bytes_max);
        all.max().unwrap_or_default()
    }

    /// The processor of the worker with this index; `None` when workers are not pinned.
    pub fn cpu_of(&self, worker: usize) -> Option<usize> {
        self.cpus.get(worker.checked_rem(self.cpus.len())?).copied()
    }
}

fn check(asked: &Asked, sites: Sites, machine: &Machine) -> Result<Checked, StartError> {
    let args = &asked.args;
    let mut warnings = Vec::new();
    let cpus = pinned(args, machine)?;
    let workers = workers(args, &cpus, machine);
    let tls = tls::check(
        &args.tls,
        args.tls_places()?,
        sites.careful == sites.sites.len(),
    )?;
    note_careful(&sites, tls.as_ref(), &mut warnings);
    let tls_listen = tls.as_ref().map_or(&[][..], |tls| &tls.listen);
    let listen = places(args, tls_listen)?;
    tls::check_redirect(args.tls.https_redirect, &listen, tls.as_ref())?;
    let places = listen.len() + tls_listen.len();
    let connections_max = connections(args, workers, places, machine, &mut warnings)?;
    note_backlog(args, machine, &mut warnings);
    let config = Config {
        sites: sites.sites,
        access: sites.access,
        server_access: ServerAccess::new(&args.access),
        writing: writing::check(&args.writing)?,
        record: record::check(
            &args.record,
            &listen.iter().chain(tls_listen).collect::<Vec<_>>(),
        )?,
        default_site: sites.default,
        watches: args.watch,
        config_file: asked.file.as_ref().map(|file| file.path.clone()),
        listen,
        tls,
        https_redirect: args.tls.https_redirect,
        http2: args.tls.http2.then_some(Http2Config {
            streams_max: args.tls.http2_max_streams,
        }),
        backlog: args.backlog,
        workers,
        cpus,
        engine: args.engine,
        engine_settings: engine_settings(args)?,
        cache: cache(args)?,
        sendfile_bytes_min: args.sendfile_min,
        limits: Limits {
            connections_max,
            head_bytes_max: args.max_head_bytes,
            handshakes_max: args.tls.max_handshakes as usize,
        },
        timeouts: Timeouts {
            keepalive: args.keepalive_timeout,
            header: args.header_timeout,
            handshake: args.tls.handshake_timeout,
            send: args.send_timeout,
            body: args.access.body_timeout,
            grace: args.grace_period,
        },
        log: log_config(args),
    };
    Ok(Checked { config, warnings })
}

/// Strict-Transport-Security is said for all hosts at once, and a host that did not ask for it may
/// not be able to keep it.
fn note_careful(sites: &Sites, tls: Option<&TlsConfig>, warnings: &mut Vec<String>) {
    let some = 0 < sites.careful && sites.careful < sites.sites.len();
    if some && tls.is_some_and(|tls| tls.hsts.is_none()) {
        warnings.push(
            "only some sites ask for security-headers, so that Strict-Transport-Security is not \
             sent; say --hsts 8760h to send it for all hosts"
                .to_owned(),
        );
    }
}

/// The level and start line; `--quiet` wins over a talkative `--log-level`.
pub fn log_config(args: &ServeArgs) -> LogConfig {
    let quietest = if args.quiet {
        log::LevelFilter::Warn
    } else {
        log::LevelFilter::Trace
    };
    LogConfig {
        level: args.log_level.min(quietest),
        start_line: !args.quiet,
    }
}

fn pinned(args: &ServeArgs, machine: &Machine) -> Result<Vec<usize>, StartError> {
    let Some(list) = &args.cpus else {
        return Ok(Vec::new());
    };
    let foreign = list
        .as_slice()
        .iter()
        .find(|cpu| !machine.cpus.contains(cpu));
    match foreign {
        None => Ok(list.as_slice().to_vec()),
        Some(cpu) => Err(StartError::usage(
            format!("--cpus names processor {cpu}, which this process may not use"),
            format!("choose from {}", cpus::show(&machine.cpus)),
        )),
    }
}

fn workers(args: &ServeArgs, pinned: &[usize], machine: &Machine) -> NonZeroUsize {
    let asked = args.workers.0.and_then(NonZeroUsize::new);
    let by_cpus = NonZeroUsize::new(pinned.len());
    let usable = NonZeroUsize::new(machine.cpus.len()).unwrap_or(NonZeroUsize::MIN);
    let automatic = by_cpus.unwrap_or(usable.min(machine.cpus_paid));
    let most = NonZeroUsize::new(limits::WORKERS_MAX).expect("the limit is not zero");
    asked.unwrap_or(automatic).min(most)
}

/// Where plain HTTP is spoken. `tls`: the other places, which must not be among them.
fn places(args: &ServeArgs, tls: &[Listen]) -> Result<Vec<Listen>, StartError> {
    let mut places = args.places()?;
    if places.is_empty() && tls.is_empty() {
        places.push(Listen::Everywhere { port: 8080 });
    }
    let all: Vec<&Listen> = places.iter().chain(tls).collect();
    for (position, place) in all.iter().enumerate() {
        if all[..position]
            .iter()
            .any(|before| before.same_place(place))
        {
            return Err(StartError::usage(
                format!("{place} is to be listened at twice"),
                "say it once; --port N means --listen [::]:N",
            ));
        }
    }
    Ok(places)
}

fn connections(
    args: &ServeArgs,
    workers: NonZeroUsize,
    places: usize,
    machine: &Machine,
    warnings: &mut Vec<String>,
) -> Result<usize, StartError> {
    let for_each_worker = limits::DESCRIPTORS_RESERVED_PER_WORKER + places as u64;
    let reserved = limits::DESCRIPTORS_RESERVED + workers.get() as u64 * for_each_worker;
    let room = machine.descriptors_max.saturating_sub(reserved);
    if room < limits::CONNECTIONS_MIN {
        let needed = reserved + limits::CONNECTIONS_MIN;
        return Err(StartError::machine(
            format!(
                "the limit of open files ({}) leaves no connections",
                machine.descriptors_max
            ),
            format!("raise it to {needed} or more, as with ulimit -n 65536, or use fewer workers"),
        ));
    }
    let asked = args.max_connections.0.unwrap_or(room);
    if asked > room {
        warnings.push(format!(
            "--max-connections {asked} is lowered to {room} by the limit of open files ({}); \
             raise that with ulimit -n {} or LimitNOFILE=",
            machine.descriptors_max,
            asked + reserved,
        ));
    }
    Ok(usize::try_from(asked.min(room)).unwrap_or(usize::MAX))
}

fn note_backlog(args: &ServeArgs, machine: &Machine, warnings: &mut Vec<String>) {
    if let Some(somaxconn) = machine.somaxconn
        && args.backlog > somaxconn
    {
        warnings.push(format!(
            "--backlog {} is cut to {somaxconn} by the kernel; \
             raise that with sysctl -w net.core.somaxconn={}",
            args.backlog, args.backlog,
        ));
    }
}

fn engine_settings(args: &ServeArgs) -> Result<EngineSettings, StartError> {
    if let EngineChoice::Only(kind @ (EngineKind::Epoll | EngineKind::TokioUring)) = args.engine
        && args.sqpoll.0.is_some()
    {
        return Err(StartError::usage(
            format!("--sqpoll means nothing to --engine {kind}"),
            "leave it out, or use --engine io-uring",
        ));
    }
    Ok(EngineSettings {
        ring_entries: args.ring_entries,
        recv_buffers: args.recv_buffers,
        recv_buffer_bytes: args.recv_buffer_bytes,
        zero_copy_min: args.zero_copy_min.0,
        busy_poll: args.busy_poll.0,
        sqpoll: args.sqpoll.0,
        ..EngineSettings::default()
    })
}

fn cache(args: &ServeArgs) -> Result<CacheConfig, StartError> {
    let bytes_max = args.cache_size;
    let entry_bytes_max = match args.cache_entry_max {
        None => limits::CACHE_ENTRY_BYTES_DEFAULT.min(bytes_max),
        Some(entry) if entry <= bytes_max => entry,
        Some(_) if bytes_max == 0 => 0,
        Some(entry) => {
            return Err(StartError::usage(
                format!(
                    "--cache-entry-max {} is larger than --cache-size {}",
                    Bytes(entry),
                    Bytes(bytes_max)
                ),
                "no such file would ever fit; lower the one or raise the other",
            ));
        }
    };
    Ok(CacheConfig {
        bytes_max,
        entry_bytes_max,
        files_max: args.cache_files,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::args::{Command, read};
    use crate::config::usage::Refusal;

    fn machine() -> Machine {
        Machine {
            cpus: vec![0, 1, 2, 3],
            cpus_paid: NonZeroUsize::new(3).unwrap(),
            descriptors_max: 20_000,
            somaxconn: Some(4096),
        }
    }

    fn check_on(machine: &Machine, words: &[&str]) -> Result<Checked, StartError> {
        let line = ["downpour", "serve"].iter().chain(words);
        match read(line.map(std::ffi::OsString::from)) {
            Ok(Command::Serve(asked)) => Config::check(&asked, machine),
            Err(Refusal::Wrong(error)) => Err(error),
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    fn check(words: &[&str]) -> Result<Checked, StartError> {
        check_on(&machine(), words)
    }

    #[test]
    fn without_flags_the_machine_decides() {
        let Checked { config, warnings } = check(&[]).unwrap();
        assert_eq!(warnings, [""; 0]);
        assert_eq!(config.listen, [Listen::Everywhere { port: 8080 }]);
        assert_eq!(config.workers.get(), 3, "what the control group pays for");
        assert_eq!(config.cpu_of(0), None);
        assert_eq!(config.limits.connections_max, 20_000 - 44 - 3 * 9);
        assert_eq!(config.sites.len(), 1);
        assert_eq!(config.default_site, Some(0));
        assert_eq!(config.sites[0].root, None);
        assert_eq!(config.sites[0].finding, Default::default());
        assert_eq!(config.sites[0].representations, Default::default());
        assert!(config.watches && config.config_file.is_none());
        assert_eq!(config.engine_settings, EngineSettings::default());
        assert!(config.log.start_line);
    }

    #[test]
    fn pinned_workers_take_turns_on_their_processors() {
        let config = check(&["--cpus", "2-3", "--workers", "3"]).unwrap().config;
        assert_eq!(config.workers.get(), 3);
        let turns: Vec<_> = (0..3).map(|worker| config.cpu_of(worker)).collect();
        assert_eq!(turns, [Some(2), Some(3), Some(2)]);
        assert_eq!(check(&["--cpus", "2-3"]).unwrap().config.workers.get(), 2);
        let error = check(&["--cpus", "2-4"]).unwrap_err();
        assert_eq!(error.exit_code, 2);
        assert!(error.to_string().contains("processor 4"), "{error}");
        assert!(error.to_string().contains("0-3"), "{error}");
    }

    #[test]
    fn the_limit_of_open_files_bounds_connections() {
        let checked = check(&["--workers", "1", "--max-connections", "50000"]).unwrap();
        assert_eq!(checked.config.limits.connections_max, 20_000 - 44 - 9);
        assert!(
            checked.warnings[0].contains("ulimit -n 50053"),
            "{:?}",
            checked.warnings
        );
        let modest = check(&["--max-connections", "7"]).unwrap();
        assert_eq!(modest.config.limits.connections_max, 7);
        assert!(modest.warnings.is_empty());
        let tiny = Machine {
            descriptors_max: 60,
            ..machine()
        };
        let error = check_on(&tiny, &["--workers", "1"]).unwrap_err();
        assert_eq!(error.exit_code, 1);
        assert!(error.to_string().contains("ulimit -n"), "{error}");
        let least = Machine {
            descriptors_max: 61,
            ..machine()
        };
        let checked = check_on(&least, &["--workers", "1"]).unwrap();
        assert_eq!(
            checked.config.limits.connections_max as u64,
            limits::CONNECTIONS_MIN
        );
    }

    #[test]
    fn a_place_is_listened_at_once() {
        let error = check(&["-p", "8080", "--listen", "[::]:8080"]).unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
        assert!(check(&["-p", "0", "-p", "0"]).is_ok(), "two free ports");
        assert_eq!(
            check(&["-p", "0", "-p", "1"]).unwrap().config.listen.len(),
            2
        );
    }

    #[test]
    fn tls_alone_opens_no_plain_port() {
        let config = check(&["--tls-listen", "[::]:8443", "--self-signed"]);
        let config = config.unwrap().config;
        assert!(config.listen.is_empty());
        let tls = config.tls.unwrap();
        assert_eq!(tls.self_signed, Some(vec![]));
        assert_eq!(tls.listen.len(), 1);
        assert_eq!(config.limits.connections_max, 20_000 - 44 - 3 * 9);
        let words = [
            "--tls-listen",
            ":8443",
            "--self-signed=a",
            "--self-signed=b",
            "-p80",
        ];
        let config = check(&words).unwrap().config;
        assert_eq!(config.listen, [Listen::Everywhere { port: 80 }]);
        assert_eq!(config.tls.unwrap().self_signed.unwrap(), ["a", "b"]);
        assert_eq!(check(&[]).unwrap().config.tls, None);
    }

    #[test]
    fn certificates_and_keys_go_in_pairs() {
        let words = ["--tls-listen", ":443", "--tls-cert", "a", "--tls-cert", "b"];
        let pairs = |more: &[&str]| {
            let config = check(&[&words, more].concat())?.config;
            let pairs = config.tls.expect("asked for").sources.pairs;
            let shown = pairs
                .iter()
                .map(|pair| format!("{} {}", pair.certificate.display(), pair.key.display()));
            Ok::<_, StartError>(shown.collect::<Vec<_>>())
        };
        assert_eq!(pairs(&[]).unwrap(), ["a a", "b b"]);
        let keys = ["--tls-key", "c", "--tls-key", "d"];
        assert_eq!(pairs(&keys).unwrap(), ["a c", "b d"]);
        let error = pairs(&keys[..2]).unwrap_err().to_string();
        assert!(
            error.contains("2 of --tls-cert and 1 of --tls-key"),
            "{error}"
        );
        let error = pairs(&["--self-signed"]).unwrap_err().to_string();
        assert!(error.contains("two ways"), "{error}");
    }

    #[test]
    fn flags_of_tls_that_hang_in_the_air_are_told() {
        for (words, part) in [
            (&["--tls-listen", ":443"][..], "--self-signed"),
            (&["--tls-cert", "a"], "--tls-listen [::]:443"),
            (&["--self-signed"], "--tls-listen [::]:443"),
            (&["--hsts", "8760h"], "--tls-listen [::]:443"),
            (&["--https-redirect"], "--https-redirect=443"),
            (
                &["--tls-listen", ":1", "--self-signed", "--https-redirect"],
                "--port 80",
            ),
            (
                &[
                    "-p80",
                    "--tls-listen",
                    "unix:/a",
                    "--self-signed",
                    "--https-redirect",
                ],
                "--https-redirect=443",
            ),
            (
                &[
                    "--tls-listen",
                    ":1",
                    "--self-signed",
                    "--tls-client-auth",
                    "optional",
                ],
                "--tls-client-ca FILE",
            ),
            (
                &["-p", "80", "--tls-listen", ":80", "--self-signed"],
                "twice",
            ),
        ] {
            let error = check(words).unwrap_err();
            assert!(error.to_string().contains(part), "{words:?}: {error}");
            assert_eq!(error.exit_code, 2);
        }
        check(&["--self-signed=false"]).unwrap();
        let config = check(&["--https-redirect=8443"]).unwrap().config;
        assert_eq!(config.https_redirect, HttpsRedirect::Port(8443));
    }

    #[test]
    fn http2_is_spoken_unless_it_is_switched_off() {
        let config = check(&[]).unwrap().config;
        assert_eq!(config.http2.unwrap().streams_max, 128);
        let config = check(&["--http2", "false"]).unwrap().config;
        assert_eq!(config.http2, None);
    }

    #[test]
    fn the_kernels_cap_on_the_backlog_is_told() {
        let checked = check(&["--backlog", "5000"]).unwrap();
        assert!(
            checked.warnings[0].contains("somaxconn=5000"),
            "{:?}",
            checked.warnings
        );
        assert_eq!(checked.config.backlog, 5000);
    }

    #[test]
    fn an_entry_that_never_fits_is_refused() {
        let error = check(&["--cache-size", "1M", "--cache-entry-max", "2M"]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("2M is larger than --cache-size 1M"),
            "{error}"
        );
        let small = check(&["--cache-size", "64K"]).unwrap().config.cache;
        assert_eq!(small.entry_bytes_max, 64 << 10, "the default gives way");
        let off = check(&["--cache-size", "0", "--cache-entry-max", "1M"]).unwrap();
        assert_eq!(off.config.cache.entry_bytes_max, 0);
    }

    #[test]
    fn a_polling_kernel_thread_needs_a_ring_of_ours() {
        let error = check(&["--sqpoll", "10ms", "--engine", "epoll"]).unwrap_err();
        assert!(
            error.to_string().contains("--sqpoll means nothing"),
            "{error}"
        );
        let tuned = check(&["--sqpoll", "10ms"]).unwrap().config.engine_settings;
        assert_eq!(tuned.sqpoll, Some(Duration::from_millis(10)));
    }

    #[test]
    fn an_index_is_a_plain_name() {
        let config = check(&["--index", "a.html", "--index", "b.htm"])
            .unwrap()
            .config;
        assert_eq!(config.sites[0].finding.index_names, ["a.html", "b.htm"]);
        for name in ["", ".", "..", "a/b", "/a"] {
            assert_eq!(
                check(&["--index", name]).unwrap_err().exit_code,
                2,
                "{name}"
            );
        }
    }

    #[test]
    fn quiet_lowers_the_level_and_never_raises_it() {
        let level = |words: &[&str]| check(words).unwrap().config.log;
        assert_eq!(level(&["--quiet"]).level, log::LevelFilter::Warn);
        assert!(!level(&["--quiet"]).start_line);
        let silent = level(&["--quiet", "--log-level", "error"]);
        assert_eq!(silent.level, log::LevelFilter::Error);
        assert_eq!(
            level(&["--log-level", "debug"]).level,
            log::LevelFilter::Debug
        );
    }
}
