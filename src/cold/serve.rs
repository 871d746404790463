//! The start, in the order in which things may fail, and the one line that says it succeeded.

use std::fmt::Write;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::access_log::AccessLog;
use super::certificates::{self, Keeper, Notes};
use super::listeners::{self, Bound, WorkerListeners};
use super::reception::{Opened, Receptions};
use super::run::{ColdThread, Duties};
use super::sites;
use super::watch::Watcher;
use super::{descriptors, machine, writing};
use crate::base::limits::{CACHED_DESCRIPTORS_SHARE, POOL_JOBS_WAITING_MAX};
use crate::cache::{Store, StoreSettings};
use crate::config::checked::Checked;
use crate::config::error::THREADS;
use crate::config::{Asked, Config, StartError, cpus};
use crate::conn::{ConnectionCount, ReceptionSettings};
use crate::engine::probe::{self, Decision, Unsupported};
use crate::engine::{EngineChoice, EngineKind};
use crate::handler::files::{FileServices, Listings, Site};
use crate::handler::resources::Resources;
use crate::log::announce;
use crate::route::Hosts;
use crate::task::Pool;
use crate::tls::TlsServer;
use crate::watch::{Watch, Watching};
use crate::worker::{self, Handle, Message, WorkerListener, WorkerSetup};

/// Raises the limit of open files and holds the arguments against this machine.
pub fn prepare(asked: &Asked) -> Result<Checked, StartError> {
    descriptors::raise();
    Config::check(asked, &machine::read())
}

/// Serves until a signal ends it. Nothing is logged before all that may fail has succeeded, so that
/// a failed start is one sentence.
pub fn serve(Checked { config, warnings }: Checked) -> Result<ExitCode, StartError> {
    let config = Arc::new(config);
    let mut engine = choose_engine(&config)?;
    let mut notes = Notes {
        warnings,
        lines: Vec::new(),
    };
    let keeper = match &config.tls {
        Some(tls) => Some(Keeper::start(tls, config.http2.is_some(), &mut notes)?),
        None => None,
    };
    // Before the first socket listens: whoever can connect can also stop us in order.
    let cold = ColdThread::new().map_err(|error| {
        StartError::machine(
            format!("signals cannot be caught: {error}"),
            "raise the limit of open files, as with ulimit -n 65536",
        )
    })?;
    let mut listeners = listeners::bind(&config)?;
    let (watch, mut watcher) = Watcher::start(match config.watches {
        true => Watching::Inotify,
        false => Watching::Off,
    });
    let shared = Shared {
        tls: keeper.as_ref().map(|keeper| keeper.server.clone()),
        https_port: certificates::https_port(&config, &listeners.bound),
        ..Shared::new(&config, engine.kind, &mut watcher, watch, &mut notes)?
    };
    let (receptions, users) = Receptions::new(&config, engine.kind.name())?;
    let started = start_workers(&shared, &receptions, &mut engine, &listeners.workers)?;
    let (workers, access_log) = started;
    // Each worker has duplicates, so that its closing them ends the listening.
    listeners.workers.clear();
    notes
        .warnings
        .iter()
        .for_each(|warning| log::warn!("{warning}"));
    if let Some(fallback) = &engine.fallback {
        log::warn!("{fallback}");
    }
    if config.log.start_line {
        announce(&start_line(&config, &engine, &listeners.bound));
    }
    notes.lines.iter().for_each(|line| log::info!("{line}"));
    let watcher = Some(watcher);
    let duties = Duties {
        keeper,
        watcher,
        access_log,
        users,
    };
    let exit_code = cold.run(workers, duties, config.timeouts.grace);
    drop(listeners); // Removes the files of Unix sockets.
    Ok(exit_code)
}

fn choose_engine(config: &Config) -> Result<Decision, StartError> {
    let found = probe::probe(&config.engine_settings);
    probe::choose(config.engine, &found).map_err(|Unsupported { what, remedy }| {
        StartError::machine(
            format!("the engine that --engine names does not work here: {what}"),
            format!("{remedy}; or use --engine auto"),
        )
    })
}

/// What all workers share: nothing of it changes but what the cache holds.
struct Shared {
    config: Arc<Config>,
    hosts: Arc<Hosts>,
    sites: Vec<Arc<Site>>,
    files: FileServices,
    count: ConnectionCount,
    tls: Option<TlsServer>,
    https_port: Option<u16>,
    resources: Vec<Option<Resources>>,
}

impl Shared {
    fn new(
        config: &Arc<Config>,
        engine: EngineKind,
        watcher: &mut Watcher,
        watch: Watch,
        notes: &mut Notes,
    ) -> Result<Shared, StartError> {
        let sites::Opened { hosts, sites } =
            sites::open(config, engine.name(), &watch, watcher, notes)?;
        let (descriptors, _) = descriptors::limits();
        let sendfile_from = config.sendfile_bytes_min.max(1);
        let store = Store::new(StoreSettings {
            bytes_max: config.cache.bytes_max,
            entry_bytes_max: config.cache.entry_bytes_max.min(sendfile_from - 1),
            descriptors_max: descriptors / CACHED_DESCRIPTORS_SHARE,
            names_max: config.cache.files_max,
        });
        Ok(Shared {
            config: Arc::clone(config),
            hosts,
            resources: writing::open(config, &sites)?,
            sites,
            files: FileServices {
                store: Arc::new(store),
                watch,
                pool: Pool::new(config.workers.get(), POOL_JOBS_WAITING_MAX),
                listings: Listings::default(),
            },
            count: ConnectionCount::new(config.limits.connections_max),
            tls: None,
            https_port: None,
        })
    }
}

/// Starts them all on one engine: on epoll, when only the probe was content with another and any
/// would do. That happens where the rings of all workers together lock too much memory.
fn start_workers(
    shared: &Shared,
    receptions: &Receptions,
    engine: &mut Decision,
    listeners: &[WorkerListeners],
) -> Result<(Vec<Handle>, Option<AccessLog>), StartError> {
    let Opened {
        settings,
        access_log,
    } = receptions.open()?;
    let (index, error) = match spawn_all(shared, settings, engine.kind, listeners) {
        Ok(workers) => return Ok((workers, access_log)),
        Err(failure) => failure,
    };
    if shared.config.engine != EngineChoice::Auto || engine.kind == EngineKind::Epoll {
        return Err(cannot_spawn(index, engine.kind, &error));
    }
    *engine = Decision {
        kind: EngineKind::Epoll,
        features: String::new(),
        fallback: Some(format!(
            "using epoll, because worker {index} cannot start its {} engine: {error}; \
             downpour doctor shows the limits that hurt",
            engine.kind
        )),
    };
    drop(access_log);
    let Opened {
        settings,
        access_log,
    } = receptions.open()?;
    let workers = spawn_all(shared, settings, engine.kind, listeners)
        .map_err(|(index, error)| cannot_spawn(index, engine.kind, &error))?;
    Ok((workers, access_log))
}

/// All workers or none.
fn spawn_all(
    shared: &Shared,
    receptions: Vec<Option<ReceptionSettings>>,
    engine: EngineKind,
    listeners: &[WorkerListeners],
) -> Result<Vec<Handle>, (usize, io::Error)> {
    let mut workers: Vec<Handle> = Vec::with_capacity(listeners.len());
    for ((index, sockets), reception) in listeners.iter().enumerate().zip(receptions) {
        let duplicates: io::Result<_> = sockets.iter().map(WorkerListener::try_clone).collect();
        let worker = duplicates.and_then(|listeners| {
            worker::spawn(WorkerSetup {
                index,
                cpu: shared.config.cpu_of(index),
                listeners,
                engine,
                config: Arc::clone(&shared.config),
                hosts: Arc::clone(&shared.hosts),
                sites: shared.sites.clone(),
                files: shared.files.clone(),
                count: shared.count.clone(),
                tls: shared.tls.clone(),
                https_port: shared.https_port,
                reception,
                resources: shared.resources.clone(),
            })
        });
        match worker {
            Ok(worker) => workers.push(worker),
            Err(error) => {
                let grace = Duration::ZERO;
                for worker in workers {
                    worker.mailbox.send(Message::Shutdown { grace });
                    let _ = worker.thread.join(); // A panic has been told by the panic hook.
                }
                return Err((index, error));
            }
        }
    }
    Ok(workers)
}

fn cannot_spawn(index: usize, engine: EngineKind, error: &io::Error) -> StartError {
    let remedy = match error.raw_os_error() {
        Some(libc::EAGAIN) => THREADS, // No engine says so.
        _ => "use fewer workers or another engine; downpour doctor shows the limits that hurt",
    };
    StartError::machine(
        format!("worker {index} cannot start its {engine} engine: {error}"),
        remedy,
    )
}

fn start_line(config: &Config, engine: &Decision, bound: &[Bound]) -> String {
    let places: Vec<String> = bound.iter().map(Bound::to_string).collect();
    let mut line = format!(
        "downpour {} listening on {} ({}",
        env!("CARGO_PKG_VERSION"),
        places.join(" and "),
        engine.kind,
    );
    let mut add = |piece: std::fmt::Arguments<'_>| {
        line.write_fmt(piece).expect("a String takes any text");
    };
    if !engine.features.is_empty() {
        add(format_args!(": {}", engine.features));
    }
    match config.workers.get() {
        1 => add(format_args!("), 1 worker")),
        workers => add(format_args!("), {workers} workers")),
    }
    if !config.cpus.is_empty() {
        add(format_args!(" on processors {}", cpus::show(&config.cpus)));
    }
    match &config.sites[..] {
        [site] => match &site.root {
            Some(root) => add(format_args!(", serving {}", root.display())),
            None => add(format_args!(
                ", serving the welcome page (for a site: downpour serve DIR)"
            )),
        },
        sites => add(format_args!(", serving {} sites", sites.len())),
    }
    line
}
