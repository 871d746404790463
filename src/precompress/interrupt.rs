//! Ctrl-C: the process ends at once, but between two files and not within one.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::log::complain;

/// Ends the process when a signal asks for it. An encoder may be at work for minutes, so nobody
/// waits for encoders; who writes a file holds the end off.
#[derive(Debug)]
pub(super) struct Interrupt {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Read by who writes a file, written by who ends the process.
    writing: RwLock<()>,
    ends: AtomicBool,
}

impl Interrupt {
    /// Listens to signals on a thread of its own.
    pub(super) fn start() -> io::Result<Interrupt> {
        let shared = Arc::new(Shared::default());
        let listening = runtime::Builder::new_current_thread().enable_io().build()?;
        let entered = listening.enter();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        drop(entered);
        let heard = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("downpour-signal".to_owned())
            .spawn(move || {
                let kind = listening.block_on(async {
                    tokio::select! {
                        _ = interrupt.recv() => SignalKind::interrupt(),
                        _ = terminate.recv() => SignalKind::terminate(),
                        _ = hangup.recv() => SignalKind::hangup(),
                    }
                });
                heard.end(kind);
            })?;
        Ok(Interrupt { shared })
    }

    /// Keeps the process from ending for as long as the guard lives; `None` once it is ending.
    pub(super) fn hold_off(&self) -> Option<RwLockReadGuard<'_, ()>> {
        if self.shared.ends.load(Ordering::Acquire) {
            return None;
        }
        // Its holder may have panicked; there is nothing in it that could be broken.
        let guard = self.shared.writing.read();
        Some(guard.unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Shared {
    fn end(&self, kind: SignalKind) -> ! {
        self.ends.store(true, Ordering::Release);
        let _nobody_writes = self.writing.write();
        complain(&"stopped; what is finished stays, and the next run goes on from there");
        // What a shell says of a process that a signal has ended.
        std::process::exit(128 + kind.as_raw_value())
    }
}
