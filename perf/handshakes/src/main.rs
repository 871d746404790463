//! The client of the handshake workloads: each connection asks for one thing and ends.
//!
//! Several connections are made at once, each slot by a thread of its own. Every answer is compared
//! with what it must be, every certificate is verified, and every handshake is counted as what
//! rustls says it was: the clock is worthless when what should have resumed did not.

mod arguments;
mod exchange;
mod report;

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use arguments::Arguments;
use exchange::Slot;
use report::Report;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(report) => {
            println!("{report}");
            match report.is_clean() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(message) => {
            eprintln!("downpour-handshakes: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Report, String> {
    let trusted = std::fs::read_to_string(&arguments.trust)
        .map_err(|error| format!("{}: {error}", arguments.trust))?;
    let slots: Vec<Slot> = (0..arguments.connections)
        .map(|_| Slot::new(arguments, &trusted))
        .collect::<Result<_, _>>()?;
    let started = Instant::now();
    let deadline = started + arguments.duration;
    let reports: Vec<Report> = thread::scope(|scope| {
        let threads: Vec<_> = slots
            .into_iter()
            .map(|mut slot| scope.spawn(move || slot.run_until(deadline)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|report| report.expect("a slot's faults are values"))
            .collect()
    });
    Ok(Report::of_all(reports, started.elapsed()))
}
