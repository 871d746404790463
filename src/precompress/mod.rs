//! `downpour precompress DIR`: compressed forms beside the files of a site, made beforehand.
//!
//! Looks through the directory once, compresses what has no current form with all processors, and
//! says what came of it. Knows no request and no running server: the two agree only on names
//! (`page.html.br`) and times.

mod crew;
mod interrupt;
mod progress;
mod sidecar;
mod walk;

use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::config::{PrecompressArgs, StartError, error::THREADS};
use crate::log::complain;

use interrupt::Interrupt;
use progress::{Bar, Tally};
use walk::Plan;

/// Does what is asked for. Fails with a sentence when there is nothing to begin with; a file that
/// cannot be compressed is named, costs the exit status, and no other file.
pub fn run(args: &PrecompressArgs) -> Result<ExitCode, StartError> {
    check(&args.directory)?;
    let started = Instant::now();
    let plan = walk::plan(args);
    for (path, bytes) in &plan.too_large {
        let size = progress::megabytes(*bytes);
        complain(&format_args!(
            "{} is left out: {size} is too large",
            path.display()
        ));
    }
    if args.dry_run {
        return say(&foretell(&plan)).map(|()| status(plan.failed.len()));
    }
    let mut tally = Tally::of(&plan);
    let interrupt = Interrupt::start()
        .map_err(|error| StartError::machine(format!("no thread for signals: {error}"), THREADS))?;
    for (path, error) in &plan.failed {
        complain(&format_args!("{}: {error}", path.display()));
    }
    remove_orphans(&plan, &mut tally);
    let mut bar = Bar::new(&tally);
    crew::compress(&plan.sources, jobs(args), &interrupt, |done| {
        if let Some((source, made)) = done {
            if let Err(error) = &made {
                bar.clear();
                complain(&format_args!("{}: {error}", source.path.display()));
            }
            tally.count(source, made.ok());
        }
        bar.draw(&tally);
    });
    bar.clear();
    say(&tally.summary(started.elapsed()))?;
    Ok(status(tally.failed as usize))
}

fn check(directory: &Path) -> Result<(), StartError> {
    let shown = directory.display();
    match std::fs::metadata(directory) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(StartError::machine(
            format!("{shown} is not a directory"),
            "name the one that holds it",
        )),
        Err(error) => Err(StartError::machine(
            format!("the directory {shown} cannot be read: {error}"),
            "name another: downpour precompress DIR",
        )),
    }
}

fn jobs(args: &PrecompressArgs) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
    args.jobs.0.unwrap_or_else(processors)
}

fn status(failed: usize) -> ExitCode {
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn remove_orphans(plan: &Plan, tally: &mut Tally) {
    for path in &plan.orphans {
        match std::fs::remove_file(path) {
            Ok(()) => tally.removed += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tally.failed += 1;
                complain(&format_args!("{}: {error}", path.display()));
            }
        }
    }
    for path in &plan.left_over {
        let _ = std::fs::remove_file(path); // It is tried again by the next run.
    }
}

/// What a run would do, one line for each file.
fn foretell(plan: &Plan) -> String {
    let mut text = String::new();
    for source in &plan.sources {
        let endings: Vec<&str> = source
            .wanted
            .iter()
            .map(|coding| coding.extension())
            .collect();
        let line = format!(
            "would make {}{{{}}}\n",
            source.path.display(),
            endings.join(",")
        );
        text.push_str(&line);
    }
    for path in &plan.orphans {
        text.push_str(&format!("would remove {}\n", path.display()));
    }
    for (path, error) in &plan.failed {
        complain(&format_args!("{}: {error}", path.display()));
    }
    text.push_str(&Tally::of(plan).forecast(plan));
    text
}

fn say(text: &str) -> Result<(), StartError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(StartError::machine(
            format!("standard output cannot be written to: {error}"),
            "redirect it elsewhere",
        )),
        _ => Ok(()),
    }
}
