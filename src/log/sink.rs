//! The queue between whoever logs and the thread that writes.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};

use super::line;
use crate::base::limits::LOG_LINES_WAITING_MAX;

/// How long the end of the process waits for lines that were not written yet: a blocked terminal
/// must not keep a server alive.
const FINISH_WAIT: Duration = Duration::from_secs(1);

enum Entry {
    Line(String),
    /// Everything before this has been written once the other end hears of it.
    Flush(SyncSender<()>),
}

/// The `log` facade's sink.
struct Sink {
    queue: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
}

impl Sink {
    fn new(lines_waiting_max: usize) -> (Sink, Receiver<Entry>) {
        let (queue, entries) = sync_channel(lines_waiting_max);
        let dropped = Arc::new(AtomicU64::new(0));
        (Sink { queue, dropped }, entries)
    }

    fn offer(&self, line: String) {
        match self.queue.try_send(Entry::Line(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn finish(&self) {
        let (written, heard) = sync_channel(1);
        // A full queue means that the writer is stuck or busy: it is given its time all the same.
        let mut request = Entry::Flush(written);
        for _ in 0..FINISH_WAIT.as_millis() / 10 {
            match self.queue.try_send(request) {
                Ok(()) => {
                    let _ = heard.recv_timeout(FINISH_WAIT);
                    return;
                }
                Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(again)) => request = again,
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Crates below us may be chatty; their warnings are worth a line, their stories are not.
        metadata.level() <= log::max_level()
            && (metadata.level() <= LevelFilter::Warn
                || metadata.target().starts_with(env!("CARGO_PKG_NAME")))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.offer(line::render(record.level(), *record.args()));
        }
    }

    fn flush(&self) {}
}

/// Writes until nobody can log any more. Errors of the output are nobody's to hear.
fn write_lines(entries: &Receiver<Entry>, dropped: &AtomicU64, output: &mut dyn Write) {
    for entry in entries.iter() {
        match entry {
            Entry::Line(line) => {
                let _ = output.write_all(line.as_bytes());
            }
            Entry::Flush(heard) => {
                tell_dropped(dropped, output);
                let _ = output.flush();
                let _ = heard.try_send(());
                continue;
            }
        }
        tell_dropped(dropped, output);
    }
}

fn tell_dropped(dropped: &AtomicU64, output: &mut dyn Write) {
    let count = dropped.swap(0, Ordering::Relaxed);
    if count > 0 {
        let line = line::render(
            log::Level::Warn,
            format_args!("{count} log lines were dropped, because they came too fast"),
        );
        let _ = output.write_all(line.as_bytes());
    }
}

static SINK: OnceLock<Sink> = OnceLock::new();

/// Writes what is left when it is dropped; to be held by `main`.
#[must_use = "lines that are still in the queue are lost with it"]
#[derive(Debug)]
pub struct LogThread(());

impl Drop for LogThread {
    fn drop(&mut self) {
        if let Some(sink) = SINK.get() {
            sink.finish();
        }
    }
}

/// Starts the writing thread and becomes the sink of this process; a second call changes only the
/// level.
pub fn start(level: LevelFilter) -> io::Result<LogThread> {
    log::set_max_level(level);
    if SINK.get().is_some() {
        return Ok(LogThread(()));
    }
    let (sink, entries) = Sink::new(LOG_LINES_WAITING_MAX);
    let dropped = Arc::clone(&sink.dropped);
    thread::Builder::new()
        .name("downpour-log".to_owned())
        .spawn(move || write_lines(&entries, &dropped, &mut io::stderr()))?;
    // Should another thread have been faster, its sink stays and our writer ends with our queue.
    let _ = log::set_logger(SINK.get_or_init(|| sink));
    Ok(LogThread(()))
}

/// Writes one line that has no weight and no prefix, whatever the level: the start line.
pub fn announce(line: &str) {
    if let Some(sink) = SINK.get() {
        sink.offer(line::plain("", format_args!("{line}")));
    }
}

/// Writes a sentence on standard error at once: for a process that ends now.
pub fn complain(sentence: &dyn fmt::Display) {
    let line = line::plain("downpour: ", format_args!("{sentence}"));
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Makes a panic one line of the log instead of a page on standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("without a message");
        let thread = thread::current();
        let name = thread.name().unwrap_or("a thread");
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        log::error!("{name} panicked at {place}: {message} (this is a bug; please report it)");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_full_queue_never_blocks_and_what_it_cost_is_told() {
        let (sink, entries) = Sink::new(4);
        for number in 0..10 {
            sink.offer(format!("line {number}\n"));
        }
        let page = Page::default();
        let dropped = Arc::clone(&sink.dropped);
        drop(sink);
        write_lines(&entries, &dropped, &mut page.clone());
        let text = page.text();
        assert!(text.starts_with("line 0\n"), "{text}");
        assert!(
            text.contains("line 3\n") && !text.contains("line 4"),
            "{text}"
        );
        assert!(text.contains("warning: 6 log lines were dropped"), "{text}");
    }

    #[test]
    fn finishing_waits_until_all_is_written() {
        let (sink, entries) = Sink::new(4);
        let page = Page::default();
        let (dropped, mut output) = (Arc::clone(&sink.dropped), page.clone());
        let writer = thread::spawn(move || write_lines(&entries, &dropped, &mut output));
        sink.offer("last words\n".to_owned());
        sink.finish();
        assert_eq!(page.text(), "last words\n");
        drop(sink);
        writer.join().unwrap();
    }

    #[test]
    fn finishing_gives_up_on_a_stuck_writer() {
        let (sink, _entries) = Sink::new(1);
        sink.offer("stuck\n".to_owned());
        let before = std::time::Instant::now();
        sink.finish();
        assert!(before.elapsed() < FINISH_WAIT * 4);
    }

    #[test]
    fn other_crates_are_heard_from_warnings_on() {
        let (sink, entries) = Sink::new(8);
        log::set_max_level(LevelFilter::Info);
        let say = |level, target| {
            let mut record = Record::builder();
            record.level(level).target(target);
            sink.log(&record.args(format_args!("from {target}")).build());
        };
        say(log::Level::Info, "mio::poll");
        say(log::Level::Warn, "mio::poll");
        say(log::Level::Info, "downpour::cold");
        say(log::Level::Debug, "downpour::cold");
        drop(sink);
        let lines: Vec<String> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Line(line) => Some(line),
                Entry::Flush(_) => None,
            })
            .collect();
        let expected = [
            "downpour: warning: from mio::poll\n",
            "downpour: from downpour::cold\n",
        ];
        assert_eq!(lines, expected);
    }
}
