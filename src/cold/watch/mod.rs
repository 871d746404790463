//! The disk as the cold thread watches it: directories of cached files for the registry
//! (`crate::watch`), and roots whose paths may come to lead elsewhere.
//!
//! ```text
//! workers --requests--> Watcher --inotify_add_watch--> kernel
//! entries <---told----- registry <----on_event-------- events, read at most every 2 ms
//! sites   <---Change--- followed roots <-------------- events, and a look each half second
//! ```
//!
//! Nothing here is needed for correct answers: what is not watched is compared with the disk by its
//! age.

mod filesystem;
mod followed;
mod inotify;
mod root;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs::File;
use std::future::pending;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify::{ReadFlags, Reader};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

pub use followed::{Change, Follow};

use crate::base::limits::{ROOT_LOOK_PAUSE, WATCH_READ_PAUSE, WATCH_RETRY_PAUSE};
use crate::watch::{self, Asked, Fallen, Lookout, Request, Watch, Watching};
use followed::Followed;
use inotify::{Inotify, Target};
use walk::{Walker, Warned};

/// What watches on the cold thread.
pub struct Watcher {
    /// Both or none: dropped when inotify fails, which blinds the workers' [`Watch`].
    senses: Option<Senses>,
    followed: Vec<Followed>,
    /// Those whose paths are to be looked at, by their numbers.
    moved: BTreeSet<usize>,
    warned: Warned,
    /// Why inotify does not work, until there is a log to tell it to.
    trouble: Option<io::Error>,
}

struct Senses {
    inotify: Inotify,
    lookout: Lookout,
    /// When something could not be watched, to try it again.
    partial_since: Option<Instant>,
}

/// Bytes for events, of which the longest has 272.
const EVENTS_BYTES: usize = 16 * 1024;
/// Events that are acted on before other duties get their turn.
const EVENTS_PER_TURN: usize = 4096;
/// The kernel reports, by the readiness of this file, that the table of mounts has changed: what is
/// mounted over a watched directory gives no other event.
const MOUNTS: &str = "/proc/self/mountinfo";
/// That is acted on at most so often: a machine with many containers changes it all the time.
const MOUNTS_PAUSE: Duration = Duration::from_millis(200);

impl Watcher {
    /// A watch for the workers, and the watcher that serves it once [`Watcher::watch`] runs.
    pub fn start(watching: Watching) -> (Watch, Watcher) {
        let mut watcher = Watcher {
            senses: None,
            followed: Vec::new(),
            moved: BTreeSet::new(),
            warned: Warned::default(),
            trouble: None,
        };
        if watching == Watching::Off {
            return (Watch::off(), watcher);
        }
        match Inotify::new() {
            Ok(inotify) => {
                let (watch, lookout) = watch::pair();
                watcher.senses = Some(Senses {
                    inotify,
                    lookout,
                    partial_since: None,
                });
                (watch, watcher)
            }
            Err(errno) => {
                watcher.trouble = Some(errno.into());
                (Watch::off(), watcher)
            }
        }
    }

    /// Follows a root from now on.
    pub fn follow(&mut self, follow: Follow) {
        let number = self.followed.len();
        self.followed.push(Followed::new(follow, number));
        self.moved.insert(number);
    }

    /// Watches until it is dropped.
    pub async fn watch(&mut self) -> Infallible {
        let events = self.senses.as_ref().and_then(|senses| {
            let descriptor = Arc::clone(&senses.inotify.descriptor);
            let events = sense(descriptor, Interest::READABLE);
            events.map_err(|error| self.trouble = Some(error)).ok()
        });
        if events.is_none() {
            self.senses = None;
        }
        self.tell_trouble();
        // Where there is no /proc, nothing can be watched anyway.
        let mounts = File::open(MOUNTS).and_then(|file| sense(file, Interest::PRIORITY));
        let mounts = mounts.ok();
        let mut tick = interval(ROOT_LOOK_PAUSE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut events_rest, mut mounts_rest) = (Instant::now(), Instant::now());
        loop {
            let moved = std::mem::take(&mut self.moved);
            moved
                .into_iter()
                .for_each(|number| self.look_at_path(number));
            let due = self.followed.iter().filter_map(Followed::due).min();
            tokio::select! {
                mut ready = readable(events.as_ref(), Interest::READABLE, events_rest) => {
                    if self.read_events() == Read::All {
                        ready.clear_ready();
                        events_rest = Instant::now() + WATCH_READ_PAUSE;
                    }
                }
                mut ready = readable(mounts.as_ref(), Interest::PRIORITY, mounts_rest) => {
                    ready.clear_ready();
                    mounts_rest = Instant::now() + MOUNTS_PAUSE;
                    self.on_all_lost();
                }
                asked = asked(self.senses.as_mut()) => self.on_asked(asked),
                _ = tick.tick() => self.on_tick(Instant::now()),
                () = sleep_to(due) => {
                    let now = Instant::now();
                    self.followed.iter_mut().for_each(|followed| followed.tell_files(now));
                }
            }
        }
    }

    fn tell_trouble(&mut self) {
        if let Some(error) = self.trouble.take() {
            log::warn!(
                "inotify does not work ({error}; see fs.inotify.max_user_instances): cached files \
                 are compared with the disk after a second"
            );
        }
    }

    fn on_asked(&mut self, asked: Asked) {
        match asked {
            Asked::Watch(request) => self.answer(request),
            Asked::Settle => {
                if let Some(senses) = &mut self.senses {
                    let fallen = senses.lookout.settle();
                    senses.release(fallen);
                }
            }
        }
    }

    fn answer(&mut self, request: Request) {
        let Some(senses) = &mut self.senses else {
            return;
        };
        let mut walker = Walker {
            inotify: &mut senses.inotify,
            warned: &mut self.warned,
            here: None,
            is_partial: false,
        };
        let fallen = senses.lookout.answer(request, &mut walker);
        if walker.is_partial {
            senses.partial_since.get_or_insert_with(Instant::now);
        }
        senses.release(fallen);
    }

    fn on_tick(&mut self, now: Instant) {
        for followed in &mut self.followed {
            let inotify = self.senses.as_mut().map(|senses| &mut senses.inotify);
            followed.look(inotify, now);
        }
        if let Some(senses) = &mut self.senses {
            senses.lookout.prune();
            let is_over = |since: Instant| now.duration_since(since) >= WATCH_RETRY_PAUSE;
            if senses.partial_since.is_some_and(is_over) {
                senses.partial_since = None;
                let fallen = senses.lookout.begin_epoch();
                senses.release(fallen);
            }
        }
    }

    fn look_at_path(&mut self, number: usize) {
        let inotify = self.senses.as_mut().map(|senses| &mut senses.inotify);
        self.followed[number].look_at_path(inotify);
    }

    fn read_events(&mut self) -> Read {
        let Some(senses) = &self.senses else {
            return Read::All;
        };
        let descriptor = Arc::clone(&senses.inotify.descriptor);
        let mut space = [MaybeUninit::uninit(); EVENTS_BYTES];
        let mut reader = Reader::new(&*descriptor, &mut space);
        let mut events = 0;
        while events < EVENTS_PER_TURN || !reader.is_buffer_empty() {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(std::ffi::CStr::to_bytes);
                    self.on_event(event.wd(), event.events(), name);
                    events += 1;
                }
                Err(Errno::AGAIN) => return Read::All,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    self.trouble = Some(errno.into());
                    self.tell_trouble();
                    self.senses = None;
                    return Read::All;
                }
            }
        }
        Read::Part
    }

    fn on_event(&mut self, watch: i32, events: ReadFlags, name: Option<&[u8]>) {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            log::info!("so many files change that some were not told: all are compared anew");
            self.on_all_lost();
            return;
        }
        let Some(senses) = &mut self.senses else {
            return;
        };
        // A file system that is unmounted ends its watches with this flag, too.
        let has_ended = events.contains(ReadFlags::IGNORED);
        let targets = if has_ended {
            senses.inotify.on_ended(watch)
        } else {
            senses.inotify.targets(watch)
        };
        for target in targets {
            match target {
                Target::Directory(directory) => {
                    // Without a name it happened to the directory itself.
                    let fallen = match name {
                        Some(name) => senses.lookout.on_event(directory, name),
                        None => senses.lookout.on_lost(directory),
                    };
                    senses.release(fallen);
                }
                Target::Path(number) if self.followed[number].concerns_path(watch, name) => {
                    self.moved.insert(number);
                }
                Target::Path(_) => {}
                Target::Files(number) => {
                    self.followed[number].on_file_event(name, Instant::now());
                }
            }
            if let (true, Target::Path(number) | Target::Files(number)) = (has_ended, target) {
                self.followed[number].on_watch_ended(watch);
                self.moved.insert(number);
            }
        }
    }

    /// Anything may have happened.
    fn on_all_lost(&mut self) {
        if let Some(senses) = &mut self.senses {
            let fallen = senses.lookout.on_all_lost();
            senses.release(fallen);
        }
        let now = Instant::now();
        for (number, followed) in self.followed.iter_mut().enumerate() {
            self.moved.insert(number);
            followed.on_file_event(None, now);
        }
    }
}

impl Senses {
    fn release(&mut self, fallen: Vec<Fallen>) {
        for Fallen { directory, handle } in fallen {
            self.inotify.release(handle, Target::Directory(directory));
        }
    }
}

/// How much was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    All,
    Part,
}

/// Lets the runtime wait for a descriptor.
#[allow(
    deprecated,
    reason = "its heir is unsafe for the sake of types that lie about their descriptor; ours own it"
)]
fn sense<D: AsRawFd>(descriptor: D, interest: Interest) -> io::Result<AsyncFd<D>> {
    AsyncFd::with_interest(descriptor, interest)
}

/// Waits for a descriptor, but not before `rested`; for ever where there is none.
async fn readable<D: AsRawFd>(
    descriptor: Option<&AsyncFd<D>>,
    interest: Interest,
    rested: Instant,
) -> AsyncFdReadyGuard<'_, D> {
    if let Some(descriptor) = descriptor {
        sleep_until(rested).await;
        if let Ok(ready) = descriptor.ready(interest).await {
            return ready;
        }
    }
    pending().await
}

async fn asked(senses: Option<&mut Senses>) -> Asked {
    match senses {
        Some(senses) => senses.lookout.next().await,
        None => pending().await,
    }
}

async fn sleep_to(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
