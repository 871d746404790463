//! Starts the thread of a worker: pin it, make its engine there, hand it its listeners.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use crate::config::Config;
use crate::conn::{ConnectionCount, ConnectionSettings, ListenerKind, ReceptionSettings, Services};
use crate::engine::epoll::EpollEngine;
use crate::engine::uring::{self, UringEngine};
use crate::engine::{Engine, EngineKind};
use crate::handler::files::{FileServices, Site};
use crate::handler::resources::Resources;
use crate::handler::sites::Sites;
use crate::proto::h2::H2Settings;
use crate::route::hosts::Hosts;
use crate::tls::TlsServer;

use super::{Mailbox, Worker};

/// What a worker is made of.
pub struct WorkerSetup {
    /// Its number, from 0.
    pub index: usize,
    /// The processor that it stays on.
    pub cpu: Option<usize>,
    /// Its own listening sockets.
    pub listeners: Vec<WorkerListener>,
    /// The engine to run on.
    pub engine: EngineKind,
    pub config: Arc<Config>,
    pub hosts: Arc<Hosts>,
    pub sites: Vec<Arc<Site>>,
    pub files: FileServices,
    pub count: ConnectionCount,
    /// Certificates and tickets, where a listener speaks TLS.
    pub tls: Option<TlsServer>,
    /// Where plain requests are sent on to, over TLS.
    pub https_port: Option<u16>,
    /// What is asked of requests before they are answered, if anything.
    pub reception: Option<ReceptionSettings>,
    /// What writes, for each site that lets clients.
    pub resources: Vec<Option<Resources>>,
}

/// A listening socket, and what is spoken there.
#[derive(Debug)]
pub struct WorkerListener {
    pub socket: OwnedFd,
    pub kind: ListenerKind,
}

impl WorkerListener {
    /// Another descriptor for the same socket.
    pub fn try_clone(&self) -> io::Result<WorkerListener> {
        Ok(WorkerListener {
            socket: self.socket.try_clone()?,
            kind: self.kind,
        })
    }
}

/// A running worker.
pub struct Handle {
    /// Where to leave it messages.
    pub mailbox: Mailbox,
    /// Its thread, which ends after a drain or on a fault of the kernel's.
    pub thread: JoinHandle<io::Result<()>>,
    /// Its engine and what that engine was made with, for the start line.
    pub engine: String,
}

/// What a starting worker says once it is ready.
type Ready = io::Result<(Mailbox, String)>;

/// Starts a worker and returns when it serves.
pub fn spawn(setup: WorkerSetup) -> io::Result<Handle> {
    let (ready, is_ready) = mpsc::channel::<Ready>();
    let name = format!("worker-{}", setup.index);
    let thread = std::thread::Builder::new()
        .name(name)
        .spawn(move || start(setup, &ready))?;
    match is_ready.recv() {
        Ok(Ok((mailbox, engine))) => Ok(Handle {
            mailbox,
            thread,
            engine,
        }),
        Ok(Err(error)) => Err(error),
        Err(mpsc::RecvError) => Err(io::Error::other("a worker ended while it started")),
    }
}

fn start(setup: WorkerSetup, ready: &mpsc::Sender<Ready>) -> io::Result<()> {
    if let Some(cpu) = setup.cpu {
        crate::base::cpu::pin(cpu)?;
    }
    let settings = setup.config.engine_settings.clone();
    match setup.engine {
        EngineKind::IoUring => {
            // The ring is made on the thread that uses it, and outlives its engine.
            let made = uring::build(&settings);
            let (mut ring, features) = tell(ready, made)?;
            let engine = tell(ready, UringEngine::new(&mut ring, features, &settings))?;
            serve(setup, engine, ready, &features.names())
        }
        EngineKind::Epoll => {
            let engine = tell(ready, EpollEngine::new(&settings))?;
            serve(setup, engine, ready, &[])
        }
        #[cfg(feature = "tokio-uring")]
        EngineKind::TokioUring => {
            use crate::engine::tokio_uring::TokioUringEngine;
            let engine = tell(ready, TokioUringEngine::new(&settings))?;
            serve(setup, engine, ready, &[])
        }
        #[cfg(not(feature = "tokio-uring"))]
        EngineKind::TokioUring => {
            let error = "this binary was built without the tokio-uring engine";
            tell(
                ready,
                Err(io::Error::new(io::ErrorKind::Unsupported, error)),
            )
        }
    }
}

/// Passes a failure on to the thread that waits for us.
fn tell<T>(ready: &mpsc::Sender<Ready>, made: io::Result<T>) -> io::Result<T> {
    made.inspect_err(|error| {
        let copy = error.raw_os_error().map_or_else(
            || io::Error::new(error.kind(), error.to_string()),
            io::Error::from_raw_os_error,
        );
        // Nobody listens only when the process is ending.
        let _ = ready.send(Err(copy));
    })
}

fn serve<E: Engine>(
    setup: WorkerSetup,
    engine: E,
    ready: &mpsc::Sender<Ready>,
    features: &[&str],
) -> io::Result<()> {
    let config = &setup.config;
    let settings = ConnectionSettings {
        keepalive_timeout: config.timeouts.keepalive,
        header_timeout: config.timeouts.header,
        send_timeout: config.timeouts.send,
        head_bytes_max: config.limits.head_bytes_max,
        handshake_timeout: config.timeouts.handshake,
        handshakes_max: config.limits.handshakes_max,
        h2: config.http2.map(|http2| H2Settings {
            max_concurrent_streams: http2.streams_max,
            header_list_bytes_max: u32::try_from(config.limits.head_bytes_max).unwrap_or(u32::MAX),
            ..H2Settings::default()
        }),
        https_port: setup.https_port,
        hsts: config.tls.as_ref().and_then(|tls| tls.hsts.clone()),
        send_rate: config.server_access.send_bytes_max,
        body_bytes_max: config.body_bytes_max(),
        body_timeout: config.timeouts.body,
    };
    let sites = Sites::new(setup.hosts, &setup.sites, &setup.files);
    let sites = sites.with_resources(&setup.resources);
    let mut name = engine.name().to_owned();
    if !features.is_empty() {
        name = format!("{name}: {}", features.join(", "));
    }
    let services = Services::new(sites, settings, setup.tls, engine.waker(), engine.now());
    let services = services.with_reception(setup.reception);
    let mut worker = Worker::new(engine, services);
    for listener in setup.listeners {
        worker
            .connections_mut()
            .listen(listener.socket, listener.kind, setup.count.clone());
    }
    // Nobody listens only when the process is ending.
    let _ = ready.send(Ok((worker.mailbox(), name)));
    worker.run()
}
