//! The thread that writes the access log.
//!
//! It owns the reading ends of the workers' rings. A disk that is slow, or a pipe that nobody
//! reads, holds this thread up and no other: then rings run full, and workers drop lines and count
//! them.
//!
//! ```text
//! sleeps --a ring fills up, SIGHUP, the end, or the pause is over--> opens again, if asked
//!    ^                                                                 |
//!    `--all rings are empty-- writes what fits the buffer <------------'
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::base::limits::{
    ACCESS_BUFFER_BYTES, ACCESS_BUSY_PAUSE, ACCESS_DROPS_TOLD_PAUSE, ACCESS_FINISH_WAIT,
    ACCESS_IDLE_PAUSE, ACCESS_RING_BYTES,
};
use crate::record::format::LINE_BYTES_MAX;
use crate::record::{Counters, EntryReader, Format, Formatter};

const _: () = assert!(LINE_BYTES_MAX < ACCESS_BUFFER_BYTES);

/// Who may read a log that is created: its owner and group.
const MODE: u32 = 0o640;
/// How long the writer waits for a pipe or terminal that takes nothing just now and says so.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Stdout,
    File(PathBuf),
}

impl Target {
    /// The target of `--log-file`: `-` is standard output.
    pub fn of(path: &Path) -> Target {
        match path == Path::new("-") {
            true => Target::Stdout,
            false => Target::File(path.to_owned()),
        }
    }

    /// Opens it; a file is created where there is none, and always written to at its end. Does not
    /// wait for somebody to read a pipe: that may never happen.
    fn open(&self) -> io::Result<File> {
        let path = match self {
            Target::Stdout => {
                return Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
            }
            Target::File(path) => path,
        };
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(MODE)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(|error| match error.raw_os_error() {
                Some(libc::ENXIO) => io::Error::other("it is a pipe that nobody reads"),
                _ => error,
            })?;
        let flags = fcntl_getfl(&file)?;
        fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
        Ok(file)
    }
}

/// The running log; to be held by the cold thread.
#[derive(Debug)]
#[must_use = "lines that are still in the rings are lost with it"]
pub struct AccessLog {
    thread: Thread,
    orders: Arc<Orders>,
    finished: Receiver<()>,
}

/// What the cold thread tells the writer.
#[derive(Debug, Default)]
struct Orders {
    reopen: AtomicBool,
    finish: AtomicBool,
}

/// Opens the target and starts the thread. `counters` are the writer's own.
pub fn start(
    readers: Vec<EntryReader>,
    target: Target,
    format: Format,
    counters: Arc<Counters>,
) -> io::Result<AccessLog> {
    let output = Output::new(target.open()?, counters);
    let orders = Arc::<Orders>::default();
    let (sender, finished) = sync_channel(1);
    let mut writer = Writer {
        readers,
        target,
        formatter: Formatter::new(format),
        lines: Vec::with_capacity(ACCESS_BUFFER_BYTES),
        output,
        orders: Arc::clone(&orders),
        losses: Losses::default(),
    };
    let thread = thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || writer.run(&sender))?;
    Ok(AccessLog {
        thread: thread.thread().clone(),
        orders,
        finished,
    })
}

impl AccessLog {
    /// Has the file opened again under its name, as after a rotation. Returns at once.
    pub fn reopen(&self) {
        self.orders.reopen.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Has everything written that the workers have left, and ends. Waits for it, but not for ever;
    /// false when the target took it too slowly.
    pub fn finish(self) -> bool {
        self.orders.finish.store(true, Ordering::Release);
        self.thread.unpark();
        let is_written = self.finished.recv_timeout(ACCESS_FINISH_WAIT).is_ok();
        if !is_written {
            log::warn!("the access log takes no more lines; the last ones are lost");
        }
        is_written
    }
}

struct Writer {
    readers: Vec<EntryReader>,
    target: Target,
    formatter: Formatter,
    lines: Vec<u8>,
    output: Output,
    orders: Arc<Orders>,
    losses: Losses,
}

impl Writer {
    /// Writes until it is told to finish.
    fn run(&mut self, finished: &SyncSender<()>) {
        for reader in &self.readers {
            reader.wake(thread::current());
        }
        loop {
            // Looked at before the rings, so that what was recorded before the order is written.
            let is_last = self.orders.finish.load(Ordering::Acquire);
            let is_idle = !self.write_all();
            self.tell_losses(is_last);
            if is_last {
                let _ = finished.try_send(());
                return;
            }
            thread::park_timeout(match is_idle {
                true => ACCESS_IDLE_PAUSE,
                false => ACCESS_BUSY_PAUSE,
            });
        }
    }

    /// Empties the rings; false when they were empty.
    fn write_all(&mut self) -> bool {
        let mut has_written = false;
        loop {
            if self.orders.reopen.swap(false, Ordering::Acquire) {
                // What was answered before the order belongs to the file before; as much as the
                // rings can hold.
                let rings = self.readers.len() * ACCESS_RING_BYTES;
                for _ in 0..=2 * rings / ACCESS_BUFFER_BYTES {
                    if !self.write_some() {
                        break;
                    }
                    has_written = true;
                }
                self.reopen();
            }
            if !self.write_some() {
                return has_written;
            }
            has_written = true;
        }
    }

    /// Writes a buffer of lines; false when there were none.
    fn write_some(&mut self) -> bool {
        let lines = self.fill();
        if lines > 0 {
            self.output.write(&self.lines, lines);
            self.lines.clear();
            self.tell_losses(false);
        }
        lines > 0
    }

    /// Fills the buffer with lines, the earliest of all rings first; how many.
    fn fill(&mut self) -> u64 {
        let mut lines = 0;
        while self.lines.len() + LINE_BYTES_MAX <= ACCESS_BUFFER_BYTES {
            let readers = self.readers.iter_mut();
            let waiting = readers.filter_map(|reader| Some((reader.next_unix_ms()?, reader)));
            let Some((_, reader)) = waiting.min_by_key(|(unix_ms, _)| *unix_ms) else {
                break;
            };
            let entry = reader.next_entry().expect("its time was read");
            self.formatter.push_line(&entry, &mut self.lines);
            lines += 1;
        }
        lines
    }

    fn reopen(&mut self) {
        let Target::File(path) = &self.target else {
            return;
        };
        match self.target.open() {
            Ok(file) => {
                self.output.replace(file);
                log::info!("the access log {} was opened again", path.display());
            }
            Err(error) => log::warn!(
                "the access log {} cannot be opened again: {error}; the file that was open is \
                 written on",
                path.display()
            ),
        }
    }

    fn tell_losses(&mut self, is_last: bool) {
        let dropped = self.readers.iter().map(EntryReader::dropped).sum::<u64>();
        let all = dropped + self.output.lost;
        let Some(lines) = self.losses.due(all, Instant::now(), is_last) else {
            return;
        };
        match self.output.fault.take() {
            Some(fault) => {
                log::warn!(
                    "{lines} lines of the access log were lost; it cannot be written: {fault}"
                );
            }
            None => log::warn!(
                "{lines} lines of the access log were lost, because they came faster than they \
                 could be written"
            ),
        }
    }
}

/// What was told of lines that were lost.
#[derive(Debug, Default)]
struct Losses {
    told: u64,
    told_at: Option<Instant>,
}

impl Losses {
    /// Lines that are to be told now, of `all` that were lost since the start.
    fn due(&mut self, all: u64, now: Instant, is_last: bool) -> Option<u64> {
        let is_early = |at: Instant| now.duration_since(at) < ACCESS_DROPS_TOLD_PAUSE;
        if all == self.told || (!is_last && self.told_at.is_some_and(is_early)) {
            return None;
        }
        let new = all - self.told;
        self.told = all;
        self.told_at = Some(now);
        Some(new)
    }
}

/// The open target.
struct Output {
    file: File,
    /// A line was written in part only: the next one must not continue it.
    is_torn: bool,
    /// Lines that could not be written, since the start, and why not.
    lost: u64,
    fault: Option<io::Error>,
    counters: Arc<Counters>,
}

impl Output {
    fn new(file: File, counters: Arc<Counters>) -> Output {
        Output {
            file,
            is_torn: false,
            lost: 0,
            fault: None,
            counters,
        }
    }

    fn replace(&mut self, file: File) {
        self.file = file;
        self.is_torn = false;
    }

    /// Writes whole lines, by one call where the target takes them. What it refuses is lost: a full
    /// disk may have room for the next.
    fn write(&mut self, text: &[u8], lines: u64) {
        if self.is_torn {
            match write_some(&mut self.file, b"\n") {
                (1, _) => self.is_torn = false,
                (_, fault) => return self.lose(lines, fault),
            }
        }
        let (written, fault) = write_some(&mut self.file, text);
        let (done, rest) = text.split_at(written);
        if rest.is_empty() {
            return self.counters.on_log_lines(lines);
        }
        self.is_torn = done.last().is_some_and(|byte| *byte != b'\n');
        let lost = memchr::memchr_iter(b'\n', rest).count() as u64;
        self.counters.on_log_lines(lines - lost);
        self.lose(lost, fault);
    }

    fn lose(&mut self, lines: u64, fault: Option<io::Error>) {
        self.counters.on_log_lines_dropped(lines);
        self.lost += lines;
        self.fault = fault;
    }
}

/// Writes as much as `output` takes; how much that was, and why not all.
fn write_some(output: &mut impl Write, text: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < text.len() {
        match output.write(&text[written..]) {
            Ok(0) => return (written, Some(ErrorKind::WriteZero.into())),
            Ok(bytes) => written += bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Standard output that somebody has made non-blocking: there is no hurry.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Entry, Recorder, channel, fuzz::sample};
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use tempfile::TempDir;

    const RING_BYTES: usize = 64 * 1024;

    struct Rig {
        dir: TempDir,
        recorders: Vec<Recorder>,
        log: AccessLog,
        counters: Arc<Counters>,
    }

    impl Rig {
        fn start(workers: usize) -> Rig {
            let dir = tempfile::tempdir().unwrap();
            let target = Target::File(dir.path().join("access.log"));
            Rig::start_to(dir, target, workers)
        }

        fn start_to(dir: TempDir, target: Target, workers: usize) -> Rig {
            let ends = (0..workers).map(|_| channel(RING_BYTES, Arc::default()));
            let (recorders, readers) = ends.unzip();
            let counters = Arc::<Counters>::default();
            let own = Arc::clone(&counters);
            let log = start(readers, target, Format::Json, own).unwrap();
            Rig {
                dir,
                recorders,
                log,
                counters,
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn record(&mut self, worker: usize, unix_ms: u64) {
            self.recorders[worker].record(&Entry {
                unix_ms,
                bytes: unix_ms,
                ..sample()
            });
        }

        fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
            let limit = Instant::now() + Duration::from_secs(10);
            while !is_so() {
                assert!(Instant::now() < limit, "{what}");
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// The field `bytes` of each line.
    fn bytes_of(path: &Path) -> Vec<u64> {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let lines = text.lines().map(|line| value(line)["bytes"].as_u64());
        lines.map(Option::unwrap).collect()
    }

    #[test]
    fn lines_are_written_soon_and_the_rest_at_the_end() {
        let mut rig = Rig::start(1);
        let path = rig.path("access.log");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o137, 0);
        rig.record(0, 1);
        rig.wait_for("a line", || bytes_of(&path) == [1]);
        (2..100).for_each(|time| rig.record(0, time));
        assert!(rig.log.finish());
        assert!(bytes_of(&path).into_iter().eq(1..100));
    }

    #[test]
    fn lines_of_all_workers_are_in_the_order_of_their_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (mut recorders, readers): (Vec<_>, Vec<_>) =
            (0..3).map(|_| channel(RING_BYTES, Arc::default())).unzip();
        for unix_ms in 0..90 {
            recorders[unix_ms as usize % 3].record(&Entry {
                unix_ms,
                bytes: unix_ms,
                ..sample()
            });
        }
        let target = Target::File(path.clone());
        let log = start(readers, target, Format::Json, Arc::default()).unwrap();
        assert!(log.finish());
        assert!(bytes_of(&path).into_iter().eq(0..90));
    }

    #[test]
    fn a_log_is_continued_and_opened_again_under_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        fs::write(&path, "{\"bytes\":0}\n").unwrap();
        let mut rig = Rig::start_to(dir, Target::File(path.clone()), 1);
        let old = rig.path("access.log.1");
        rig.record(0, 1);
        rig.wait_for("a line", || bytes_of(&path) == [0, 1]);

        fs::rename(&path, &old).unwrap();
        rig.record(0, 2);
        rig.wait_for("a line in the old file", || bytes_of(&old) == [0, 1, 2]);
        rig.log.reopen();
        rig.wait_for("a new file", || path.exists());
        rig.record(0, 3);
        rig.wait_for("a line in the new file", || bytes_of(&path) == [3]);
        assert!(rig.log.finish());
        assert_eq!(bytes_of(&old), [0, 1, 2]);
    }

    #[test]
    fn a_file_that_cannot_be_opened_again_leaves_the_old_one() {
        let mut rig = Rig::start(1);
        let (path, old) = (rig.path("access.log"), rig.path("old"));
        fs::rename(&path, &old).unwrap();
        fs::create_dir(&path).unwrap();
        rig.log.reopen();
        let orders = Arc::clone(&rig.log.orders);
        rig.wait_for("an attempt", || !orders.reopen.load(Ordering::Acquire));
        rig.record(0, 5);
        assert!(rig.log.finish());
        assert_eq!(bytes_of(&old), [5]);
    }

    #[test]
    fn what_cannot_be_opened_is_an_error_of_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::File(dir.path().to_owned());
        assert!(start(Vec::new(), target, Format::Json, Arc::default()).is_err());
        assert_eq!(Target::of(Path::new("-")), Target::Stdout);
        assert_eq!(Target::of(Path::new("a")), Target::File("a".into()));
        assert!(Target::Stdout.open().is_ok());
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::start_to(dir, Target::File("/dev/full".into()), 1);
        (0..10).for_each(|time| rig.record(0, time));
        let counters = Arc::clone(&rig.counters);
        assert!(rig.log.finish());
        assert_eq!(counters.log_lines_dropped(), 10);
    }

    /// A FIFO of which nothing is read: the disk that hangs.
    #[test]
    fn a_stuck_target_delays_no_worker_and_not_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let mode = rustix::fs::Mode::from_bits_truncate(0o600);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        let reading = OpenOptions::new().read(true).write(true).open(&path);
        let mut reading = reading.unwrap();
        let mut rig = Rig::start_to(dir, Target::File(path), 1);
        let before = Instant::now();
        (0..20_000).for_each(|time| rig.record(0, time));
        assert!(before.elapsed() < Duration::from_secs(10));
        let before = Instant::now();
        assert!(!rig.log.finish());
        assert!(before.elapsed() < ACCESS_FINISH_WAIT * 3);
        // Lets the thread go on and end.
        let mut page = [0; 4096];
        assert!(reading.read(&mut page).unwrap() > 0);
    }

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = Target::File(path.clone()).open().unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7137,
            0
        );
        let mut output = Output::new(file, Arc::default());
        output.write(b"a\nb\n", 2);
        (&output.file).write_all(b"half").unwrap();
        output.is_torn = true;
        output.write(b"c\n", 1);
        assert_eq!(fs::read(&path).unwrap(), b"a\nb\nhalf\nc\n");
    }

    /// Takes so many bytes, then fails; each second call is interrupted or would block.
    struct Stubborn(usize, usize);

    impl Write for Stubborn {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            match (self.0, self.1 % 3) {
                (0, _) => Err(ErrorKind::StorageFull.into()),
                (_, 1) => Err(ErrorKind::Interrupted.into()),
                (_, 2) => Err(ErrorKind::WouldBlock.into()),
                (left, _) => {
                    let taken = bytes.len().min(left).min(3);
                    self.0 -= taken;
                    Ok(taken)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn short_and_interrupted_writes_go_on() {
        let (written, fault) = write_some(&mut Stubborn(100, 0), b"hello, world");
        assert!(written == 12 && fault.is_none());
        let (written, fault) = write_some(&mut Stubborn(5, 0), b"hello, world");
        assert_eq!(written, 5);
        assert_eq!(fault.unwrap().kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn losses_are_told_once_in_a_while_and_at_the_end() {
        let mut losses = Losses::default();
        let start = Instant::now();
        assert_eq!(losses.due(0, start, true), None);
        assert_eq!(losses.due(3, start, false), Some(3));
        assert_eq!(losses.due(5, start, false), None);
        assert_eq!(
            losses.due(5, start + ACCESS_DROPS_TOLD_PAUSE, false),
            Some(2)
        );
        assert_eq!(
            losses.due(6, start + ACCESS_DROPS_TOLD_PAUSE, true),
            Some(1)
        );
        assert_eq!(
            losses.due(6, start + ACCESS_DROPS_TOLD_PAUSE * 2, true),
            None
        );
    }
}
