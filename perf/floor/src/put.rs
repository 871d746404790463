//! The limit of durable PUTs: what it costs that a file replaces another, without any HTTP.
//!
//! Each thread writes a file beside the one that it is to replace, waits until the disk has it,
//! renames it and waits until the disk has the directory too: nothing less survives a loss of
//! power. It must do all of what a PUT owes its client, and nothing else.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "--directory PATH [--threads N] [--seconds N] [--bytes N] [--names N]

Replaces files durably for a time and says in one line of JSON how many.

  --directory PATH  where the files are: name-0.txt to name-(N-1).txt
  --threads N       how many write at once (default 64)
  --seconds N       for how long (default 5)
  --bytes N         length of each file, at most 10485760 (default 10000)
  --names N         files in all, of which each thread has its share (default 1024)";

const FILE_BYTES_MAX: usize = 10 * 1024 * 1024;
const THREADS_MAX: usize = 1024;
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

#[derive(Debug)]
struct Arguments {
    directory: PathBuf,
    threads: usize,
    time: Duration,
    file_bytes: usize,
    names: usize,
}

/// The whole program `name`.
pub fn write_durably(name: &str) -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}\n\nusage: {name} {USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {}: {error}", arguments.directory.display());
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut directory = None;
    let (mut threads, mut seconds, mut file_bytes, mut names) = (64, 5, 10_000, 1024);
    while let Some(flag) = words.next() {
        let value = words.next().ok_or(format!("{flag} needs a value"))?;
        let number = match flag.as_str() {
            "--directory" => {
                directory = Some(PathBuf::from(value));
                continue;
            }
            "--threads" => &mut threads,
            "--seconds" => &mut seconds,
            "--bytes" => &mut file_bytes,
            "--names" => &mut names,
            _ => return Err(format!("unknown flag {flag}")),
        };
        let invalid = |_| format!("{flag}: {value} is not a valid number");
        *number = value.parse().map_err(invalid)?;
    }
    if !(1..=THREADS_MAX).contains(&threads) || names < threads {
        return Err("--threads is 1 to 1024, and --names not fewer".to_owned());
    }
    if file_bytes > FILE_BYTES_MAX {
        return Err(format!("--bytes is at most {FILE_BYTES_MAX}"));
    }
    Ok(Arguments {
        directory: directory.ok_or("--directory is missing")?,
        threads,
        time: Duration::from_secs(seconds as u64),
        file_bytes,
        names,
    })
}

/// Lets all threads begin at once; the line that says what came out.
fn run(arguments: &Arguments) -> io::Result<String> {
    let content: Vec<u8> = ALPHABET
        .iter()
        .copied()
        .cycle()
        .take(arguments.file_bytes)
        .collect();
    let barrier = Barrier::new(arguments.threads + 1);
    let (done, duration) = thread::scope(|scope| {
        let writers: Vec<_> = (0..arguments.threads)
            .map(|first| {
                let (content, barrier) = (&content, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    write_until_the_end(arguments, first, content)
                })
            })
            .collect();
        barrier.wait();
        let started = Instant::now();
        let done: Vec<_> = writers
            .into_iter()
            .map(|writer| writer.join().expect("no writer panics"))
            .collect();
        (done, started.elapsed())
    });
    let mut times_us = Vec::new();
    for times in done {
        times_us.extend(times?);
    }
    times_us.sort_unstable();
    let at = |share: f64| times_us[((times_us.len() - 1) as f64 * share) as usize];
    Ok(format!(
        "{{\"requests\": {}, \"duration_us\": {}, \"p50_us\": {}, \"p99_us\": {}, \
         \"p999_us\": {}, \"errors\": {{}}}}",
        times_us.len(),
        duration.as_micros(),
        at(0.5),
        at(0.99),
        at(0.999),
    ))
}

/// Replaces the files of one thread in turn, each at least once; how long each took.
fn write_until_the_end(
    arguments: &Arguments,
    first: usize,
    content: &[u8],
) -> io::Result<Vec<u128>> {
    let directory = File::open(&arguments.directory)?;
    let own: Vec<_> = (first..arguments.names)
        .step_by(arguments.threads)
        .map(|number| Names::new(&arguments.directory, number))
        .collect();
    let (started, mut times_us) = (Instant::now(), Vec::new());
    for names in own.iter().cycle() {
        let before = Instant::now();
        replace(names, &directory, content)?;
        times_us.push(before.elapsed().as_micros());
        if started.elapsed() >= arguments.time {
            break;
        }
    }
    Ok(times_us)
}

struct Names {
    partial: PathBuf,
    whole: PathBuf,
}

impl Names {
    fn new(directory: &Path, number: usize) -> Self {
        Self {
            partial: directory.join(format!(".name-{number}.partial")),
            whole: directory.join(format!("name-{number}.txt")),
        }
    }
}

fn replace(names: &Names, directory: &File, content: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(&names.partial)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&names.partial, &names.whole)?;
    directory.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Arguments, String> {
        parse(words.iter().map(|word| word.to_string()))
    }

    #[test]
    fn flags_are_read_and_wrong_ones_refused() {
        let read = parse_words(&["--directory", "/d", "--threads", "2", "--names", "3"]).unwrap();
        assert_eq!((read.threads, read.names, read.file_bytes), (2, 3, 10_000));
        for wrong in [
            &["--threads", "2"][..],
            &["--directory", "/d", "--threads", "0"],
            &["--directory", "/d", "--threads", "2", "--names", "1"],
            &["--directory", "/d", "--bytes", "99999999"],
            &["--directory", "/d", "--seconds", "x"],
            &["--directory", "/d", "--what", "1"],
            &["--directory"],
        ] {
            assert!(parse_words(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_file_is_whole_and_none_is_left_over() {
        let directory = std::env::temp_dir().join(format!("floor-put-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("name-0.txt"), "old").unwrap();
        let report = run(&Arguments {
            directory: directory.clone(),
            threads: 2,
            time: Duration::ZERO,
            file_bytes: 30,
            names: 2,
        });
        let mut found: Vec<_> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        fs::remove_dir_all(&directory).unwrap();
        found.dedup();
        assert_eq!(found, ["abcdefghijklmnopqrstuvwxyzabcd"]);
        assert!(report.unwrap().starts_with("{\"requests\": 2, "));
    }
}
