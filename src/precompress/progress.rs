//! What a run says of itself: one line that moves on a terminal, one line at the end.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::sidecar::Made;
use super::walk::{Plan, Source};

/// How often the line on a terminal is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(100);

/// What was done so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub files: u64,
    pub current: u64,
    pub compressed: u64,
    /// Files that do not shrink enough.
    pub unchanged: u64,
    pub failed: u64,
    /// Forms that were removed.
    pub removed: u64,
    /// Of the files that were compressed, and of the smallest form of each.
    bytes_before: u64,
    bytes_after: u64,
    /// Work, done and in all.
    bytes_done: u64,
    bytes_in_all: u64,
}

impl Tally {
    pub(super) fn of(plan: &Plan) -> Tally {
        let failed = plan.failed.len() as u64;
        Tally {
            files: plan.sources.len() as u64 + plan.current + failed,
            current: plan.current,
            failed,
            bytes_in_all: plan.sources.iter().map(|source| source.bytes).sum(),
            ..Tally::default()
        }
    }

    /// Takes in what came of a file; `None` when it failed.
    pub(super) fn count(&mut self, source: &Source, made: Option<Made>) {
        self.bytes_done += source.bytes;
        let Some(made) = made else {
            self.failed += 1;
            return;
        };
        self.removed += u64::from(made.removed);
        if made.written == 0 {
            self.unchanged += 1;
            return;
        }
        self.compressed += 1;
        self.bytes_before += source.bytes;
        self.bytes_after += made.smallest_bytes;
    }

    /// The line at the end.
    pub(super) fn summary(&self, took: Duration) -> String {
        let mut text = format!(
            "{}: {} compressed, {} current, {} failed",
            files(self.files),
            thousands(self.compressed),
            thousands(self.current),
            thousands(self.failed)
        );
        for (count, what) in [(self.unchanged, "not worth it"), (self.removed, "removed")] {
            if count > 0 {
                text.push_str(&format!(", {} {what}", thousands(count)));
            }
        }
        if self.compressed > 0 {
            let (before, after) = (megabytes(self.bytes_before), megabytes(self.bytes_after));
            text.push_str(&format!("; {before} -> {after}"));
        }
        text.push_str(&format!(" in {:.1} s\n", took.as_secs_f64()));
        text
    }

    /// The line at the end of a run that does nothing.
    pub(super) fn forecast(&self, plan: &Plan) -> String {
        format!(
            "{}: {} to compress ({}), {} current, {} to remove\n",
            files(self.files),
            thousands(plan.sources.len() as u64),
            megabytes(self.bytes_in_all),
            thousands(self.current),
            thousands(plan.orphans.len() as u64)
        )
    }

    /// The line on a terminal.
    fn line(&self, took: Duration) -> String {
        let done = self.compressed + self.unchanged + self.failed + self.current;
        let saved = match self.bytes_before {
            0 => 0,
            before => 100 - (100 * self.bytes_after).div_ceil(before).min(100),
        };
        let left = self.bytes_in_all.saturating_sub(self.bytes_done);
        let left = match self.bytes_done {
            0 => "-".to_owned(),
            done => {
                let seconds = took.as_secs_f64() * left as f64 / done as f64;
                format!("{} s", seconds.ceil())
            }
        };
        format!(
            "{}/{}, {} of {}, {saved} % saved, {left} left",
            thousands(done),
            files(self.files),
            megabytes(self.bytes_done),
            megabytes(self.bytes_in_all),
        )
    }
}

/// The moving line; nothing where standard error is no terminal.
#[derive(Debug)]
pub(super) struct Bar {
    is_terminal: bool,
    started: Instant,
    drawn: Option<Instant>,
}

impl Bar {
    pub(super) fn new(tally: &Tally) -> Bar {
        let mut bar = Bar {
            is_terminal: io::stderr().is_terminal() && tally.bytes_in_all > 0,
            started: Instant::now(),
            drawn: None,
        };
        bar.draw(tally);
        bar
    }

    pub(super) fn draw(&mut self, tally: &Tally) {
        let now = Instant::now();
        let is_early = self.drawn.is_some_and(|drawn| now - drawn < DRAWN_EVERY);
        if !self.is_terminal || is_early {
            return;
        }
        self.drawn = Some(now);
        let line = tally.line(now - self.started);
        let _ = write!(io::stderr(), "\r{line}\x1b[K");
    }

    /// Makes room for a line of another kind.
    pub(super) fn clear(&mut self) {
        if self.is_terminal && self.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn files(count: u64) -> String {
    match count {
        1 => "1 file".to_owned(),
        _ => format!("{} files", thousands(count)),
    }
}

/// `1,204`
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.char_indices() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `41.2 MB`, and kilobytes below a tenth of one.
pub(super) fn megabytes(bytes: u64) -> String {
    if bytes < 100_000 {
        return format!("{:.1} kB", bytes as f64 / 1e3);
    }
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::CodingSet;

    #[test]
    fn numbers_are_read_at_a_glance() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1204, "1,204"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(count), text);
        }
        assert_eq!(megabytes(512), "0.5 kB");
        assert_eq!(megabytes(41_234_567), "41.2 MB");
    }

    #[test]
    fn the_end_is_told_in_one_line() {
        let mut tally = Tally {
            files: 1204,
            compressed: 312,
            current: 892,
            bytes_before: 41_200_000,
            bytes_after: 9_800_000,
            ..Tally::default()
        };
        let took = Duration::from_millis(12_345);
        assert_eq!(
            tally.summary(took),
            "1,204 files: 312 compressed, 892 current, 0 failed; 41.2 MB -> 9.8 MB in 12.3 s\n"
        );
        (tally.compressed, tally.unchanged, tally.removed) = (0, 2, 1);
        assert_eq!(
            tally.summary(took),
            "1,204 files: 0 compressed, 892 current, 0 failed, 2 not worth it, 1 removed \
             in 12.3 s\n"
        );
    }

    #[test]
    fn the_line_on_a_terminal_says_how_far_it_is() {
        let source = |bytes| Source {
            path: "a.html".into(),
            bytes,
            wanted: CodingSet::EMPTY,
        };
        let mut tally = Tally {
            files: 3,
            bytes_in_all: 4_000_000,
            ..Tally::default()
        };
        let took = Duration::from_secs(10);
        assert_eq!(
            tally.line(took),
            "0/3 files, 0.0 kB of 4.0 MB, 0 % saved, - left"
        );
        let made = Made {
            written: 3,
            smallest_bytes: 250_000,
            removed: 0,
        };
        tally.count(&source(1_000_000), Some(made));
        tally.count(&source(1_000_000), None);
        assert_eq!(
            tally.line(took),
            "2/3 files, 2.0 MB of 4.0 MB, 75 % saved, 10 s left"
        );
        assert_eq!((tally.compressed, tally.failed), (1, 1));
    }
}
