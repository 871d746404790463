//! What stands before the rooms of all workers: made before they start, one reception for each.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::access_log::{self, AccessLog as Writer, Target};
use super::users::{self, UsersKeeper};
use crate::access::connections::ConnectionsByAddress;
use crate::access::gate::GateSettings;
use crate::base::limits::ACCESS_RING_BYTES;
use crate::config::{AccessLog, Config, StartError};
use crate::conn::{InFlight, Metrics, ReceptionSettings};
use crate::record::{AllCounters, Format, channel, prometheus};

/// Makes receptions. Where nothing was asked for, there is none.
#[derive(Debug)]
pub(super) struct Receptions {
    config: Arc<Config>,
    gate: Arc<GateSettings>,
    in_flight: Option<InFlight>,
    per_address: Option<(Arc<ConnectionsByAddress>, u32)>,
    engine: &'static str,
}

/// The receptions of one start of all workers, and who writes what they record.
pub(super) struct Opened {
    pub(super) settings: Vec<Option<ReceptionSettings>>,
    pub(super) access_log: Option<Writer>,
}

impl Receptions {
    /// Compiles what is said about access, and reads who is known.
    pub(super) fn new(
        config: &Arc<Config>,
        engine: &'static str,
    ) -> Result<(Receptions, UsersKeeper), StartError> {
        let (gate, keeper) = users::open(config)?;
        let server = &config.server_access;
        let receptions = Receptions {
            config: Arc::clone(config),
            gate: Arc::new(gate),
            in_flight: server.requests_in_flight_max.map(InFlight::new),
            per_address: server.connections_per_address_max.map(|max| {
                let max = u32::try_from(max).unwrap_or(u32::MAX);
                (Arc::new(ConnectionsByAddress::new()), max)
            }),
            engine,
        };
        Ok((receptions, keeper))
    }

    /// Receptions for all workers, with an access log of their own.
    pub(super) fn open(&self) -> Result<Opened, StartError> {
        let workers = self.config.workers.get();
        if !self.is_asked_for() {
            let settings = (0..workers).map(|_| None).collect();
            return Ok(Opened {
                settings,
                access_log: None,
            });
        }
        let record = &self.config.record;
        let mut all = AllCounters::default();
        let counters: Vec<_> = (0..workers).map(|_| all.add()).collect();
        let log_counters = all.add();
        let metrics = record.metrics.as_ref().map(|place| Metrics {
            path: place.path.as_str().into(),
            render: self.render(all),
        });
        let format = match record.access_log {
            AccessLog::Off => None,
            AccessLog::Combined => Some(Format::Combined),
            AccessLog::Json => Some(Format::Json),
        };
        let mut readers = Vec::new();
        let settings = counters.into_iter().map(|counters| {
            let recorder = format.map(|_| {
                let (recorder, reader) = channel(ACCESS_RING_BYTES, Arc::clone(&counters));
                readers.push(reader);
                recorder
            });
            Some(ReceptionSettings {
                gate: Arc::clone(&self.gate),
                recorder,
                counters,
                says_request_id: record.says_request_id,
                health: record.health.as_deref().map(Into::into),
                metrics: metrics.clone(),
                in_flight: self.in_flight.clone(),
                per_address: self.per_address.clone(),
                has_proxy_protocol: self.config.server_access.has_proxy_protocol,
            })
        });
        let settings = settings.collect();
        let target = Target::of(record.log_file.as_deref().unwrap_or(Path::new("-")));
        let access_log = format.map(|format| {
            access_log::start(readers, target, format, log_counters).map_err(|error| {
                StartError::machine(
                    format!("the access log cannot be opened: {error}"),
                    "name a file that may be written: --log-file FILE",
                )
            })
        });
        Ok(Opened {
            settings,
            access_log: access_log.transpose()?,
        })
    }

    fn is_asked_for(&self) -> bool {
        let (record, access) = (&self.config.record, &self.config.server_access);
        record.access_log != AccessLog::Off
            || record.metrics.is_some()
            || record.health.is_some()
            || record.says_request_id
            || self.gate.asks()
            || access.requests_in_flight_max.is_some()
            || access.connections_per_address_max.is_some()
            || access.has_proxy_protocol
    }

    fn render(&self, all: AllCounters) -> Arc<dyn Fn() -> String + Send + Sync> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH);
        let started = started.unwrap_or_default().as_millis();
        let (engine, workers) = (self.engine, self.config.workers.get());
        Arc::new(move || {
            let about = prometheus::About {
                version: env!("CARGO_PKG_VERSION"),
                engine,
                workers,
                started_unix_ms: u64::try_from(started).unwrap_or(u64::MAX),
            };
            prometheus::render(&all.sum(), &about)
        })
    }
}
