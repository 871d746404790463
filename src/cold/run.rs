//! From the first request to the end of the process: signals, and workers that must not vanish.
//!
//! ```text
//! running --SIGTERM, SIGINT--> draining --all workers ended, or the grace is over--> exit 0
//!    |                            `-------a second signal--> exit 128 + its number
//!    `----all workers ended by themselves--> exit 1
//! ```

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::access_log::AccessLog;
use super::certificates::Keeper;
use super::users::UsersKeeper;
use super::watch::Watcher;
use crate::worker::{Handle, Message};

/// How often a running server looks whether its workers live.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// The same while it waits for their end.
const JOIN_EVERY: Duration = Duration::from_millis(10);
/// What workers may take beyond the grace to cut what is left, before the process goes anyway.
const CUT_WAIT: Duration = Duration::from_millis(500);

/// The cold thread's runtime with its signals, which are caught from [`ColdThread::new`] on.
#[derive(Debug)]
pub struct ColdThread {
    runtime: Runtime,
    signals: Signals,
}

/// What the cold thread does beside waiting for signals.
#[derive(Default)]
pub struct Duties {
    /// Keeps certificates up to date.
    pub keeper: Option<Keeper>,
    /// Watches the disk.
    pub watcher: Option<Watcher>,
    /// Writes the access log.
    pub access_log: Option<AccessLog>,
    /// Reads files of users again.
    pub users: UsersKeeper,
}

/// Whom SIGHUP is passed on to.
struct Hangup<'a> {
    /// Loads certificates again.
    certificates: Option<&'a Notify>,
    /// Opens its file again.
    access_log: Option<&'a AccessLog>,
}

impl Hangup<'_> {
    fn pass_on(&self) {
        if let Some(certificates) = self.certificates {
            certificates.notify_one();
        }
        if let Some(access_log) = self.access_log {
            access_log.reopen();
        }
        if self.certificates.is_none() && self.access_log.is_none() {
            log::info!("SIGHUP: there are no certificates and no access log to be opened again");
        }
    }
}

#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// A signal that asks the process to end, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Terminate,
    Interrupt,
}

impl Order {
    fn name(self) -> &'static str {
        match self {
            Order::Terminate => "SIGTERM",
            Order::Interrupt => "SIGINT",
        }
    }

    /// What a shell reports of a process that such a signal killed.
    fn exit_code(self) -> ExitCode {
        match self {
            Order::Terminate => ExitCode::from(128 + 15),
            Order::Interrupt => ExitCode::from(128 + 2),
        }
    }
}

impl Signals {
    fn catch() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the order to end, and passes SIGHUP on.
    async fn order(&mut self, hangup: &Hangup<'_>) -> Order {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Order::Terminate,
                _ = self.interrupt.recv() => return Order::Interrupt,
                _ = self.hangup.recv() => hangup.pass_on(),
            }
        }
    }
}

impl ColdThread {
    /// Takes over the calling thread's signals. To be called before workers start, so that an early
    /// signal is not lost.
    pub fn new() -> io::Result<ColdThread> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let signals = Signals::catch()?;
        drop(entered);
        Ok(ColdThread { runtime, signals })
    }

    /// Runs until the process is to end. `grace` is what an orderly end may take.
    pub fn run(self, workers: Vec<Handle>, duties: Duties, grace: Duration) -> ExitCode {
        let ColdThread {
            runtime,
            mut signals,
        } = self;
        let Duties {
            keeper,
            mut watcher,
            access_log,
            mut users,
        } = duties;
        let exit_code = runtime.block_on(async {
            tokio::select! {
                exit_code = signals.live(workers, keeper, access_log.as_ref(), grace) => exit_code,
                // To the last: what is still being answered must be true to the disk, too.
                never = watch(watcher.as_mut()) => match never {},
                never = users.keep() => match never {},
            }
        });
        if let Some(access_log) = access_log {
            access_log.finish();
        }
        exit_code
    }
}

impl Signals {
    /// The life of the process from here on.
    async fn live(
        &mut self,
        mut workers: Vec<Handle>,
        mut keeper: Option<Keeper>,
        access_log: Option<&AccessLog>,
        grace: Duration,
    ) -> ExitCode {
        let reload = Notify::new();
        let hangup = Hangup {
            certificates: keeper.is_some().then_some(&reload),
            access_log,
        };
        let order = tokio::select! {
            order = self.order(&hangup) => order,
            never = keep(keeper.as_mut(), &reload) => match never {},
            () = all_vanished(&mut workers) => {
                log::error!("no worker is left; the server ends");
                return ExitCode::FAILURE;
            }
        };
        log::info!("{}: finishing what is being answered", order.name());
        for worker in &workers {
            worker.mailbox.send(Message::Shutdown { grace });
        }
        let limit = grace + CUT_WAIT;
        match drain(self.order(&hangup), all_ended(&mut workers), limit).await {
            End::Answered => {
                log::info!("all is answered; goodbye");
                ExitCode::SUCCESS
            }
            End::Cut => {
                log::warn!("the grace period is over; what was not answered is cut");
                ExitCode::SUCCESS
            }
            End::Again(order) => {
                log::warn!("{} again: ending at once", order.name());
                order.exit_code()
            }
        }
    }
}

/// Keeps certificates up to date, where there are any.
async fn keep(keeper: Option<&mut Keeper>, hangup: &Notify) -> Infallible {
    match keeper {
        Some(keeper) => keeper.keep(hangup).await,
        None => pending().await,
    }
}

/// Watches the disk, where there is anything to watch.
async fn watch(watcher: Option<&mut Watcher>) -> Infallible {
    match watcher {
        Some(watcher) => watcher.watch().await,
        None => pending().await,
    }
}

/// How an orderly end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    Cut,
    Again(Order),
}

async fn drain(
    next_order: impl Future<Output = Order>,
    all_ended: impl Future<Output = ()>,
    limit: Duration,
) -> End {
    tokio::select! {
        order = next_order => End::Again(order),
        () = all_ended => End::Answered,
        () = sleep(limit) => End::Cut,
    }
}

/// Ends when no worker is left although none was told to go. Each loss is told when it is seen; the
/// others go on, for their listeners get the connections of the lost one.
async fn all_vanished(workers: &mut Vec<Handle>) {
    let mut watch = interval(WATCH_EVERY);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !workers.is_empty() {
        watch.tick().await;
        for lost in take_ended(workers) {
            let name = name(&lost);
            match lost.thread.join() {
                Ok(Err(error)) => log::error!("{name} ended, because its engine failed: {error}"),
                // A panic has been told by the panic hook.
                Ok(Ok(())) | Err(_) => log::error!("{name} ended unexpectedly"),
            }
            if !workers.is_empty() {
                log::warn!("the other workers go on; restart the server to have all of them");
            }
        }
    }
}

/// Ends when every worker has ended.
async fn all_ended(workers: &mut Vec<Handle>) {
    let mut watch = interval(JOIN_EVERY);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !workers.is_empty() {
        watch.tick().await;
        for ended in take_ended(workers) {
            let _ = ended.thread.join(); // A panic has been told by the panic hook.
        }
    }
}

fn take_ended(workers: &mut Vec<Handle>) -> Vec<Handle> {
    workers
        .extract_if(.., |worker| worker.thread.is_finished())
        .collect()
}

fn name(worker: &Handle) -> String {
    worker
        .thread
        .thread()
        .name()
        .unwrap_or("a worker")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::access_log::{self, Target};
    use crate::record::Format;
    use std::future::ready;
    use std::sync::Arc;

    const LONG: Duration = Duration::from_secs(60);

    fn now<T>(future: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let bounded = async { tokio::time::timeout(Duration::from_secs(5), future).await };
        runtime.block_on(bounded).expect("ends long before")
    }

    #[test]
    fn the_end_comes_with_the_last_worker_the_second_signal_or_the_limit() {
        assert_eq!(now(drain(pending(), ready(()), LONG)), End::Answered);
        let again = drain(ready(Order::Interrupt), pending(), LONG);
        assert_eq!(now(again), End::Again(Order::Interrupt));
        let limit = Duration::from_millis(20);
        assert_eq!(now(drain(pending(), pending(), limit)), End::Cut);
    }

    #[test]
    fn sighup_reaches_certificates_and_the_access_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let target = Target::of(&path);
        let access_log = access_log::start(Vec::new(), target, Format::Json, Arc::default());
        let access_log = access_log.unwrap();
        std::fs::remove_file(&path).unwrap();
        let reload = Notify::new();
        let hangup = Hangup {
            certificates: Some(&reload),
            access_log: Some(&access_log),
        };
        hangup.pass_on();
        now(reload.notified());
        assert!(access_log.finish());
        assert!(path.exists());
    }

    #[test]
    fn a_second_signal_exits_as_a_shell_reports_it() {
        let shown = |order: Order| format!("{:?}", order.exit_code());
        assert_eq!(
            shown(Order::Terminate),
            format!("{:?}", ExitCode::from(143))
        );
        assert_eq!(
            shown(Order::Interrupt),
            format!("{:?}", ExitCode::from(130))
        );
    }
}
