//! The binary: a table of contents.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use downpour::config::error::THREADS;
use downpour::config::usage::Refusal;
use downpour::config::{Asked, Command, StartError, args, schema, show};
use downpour::{cold, doctor, log, precompress};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match args::read(std::env::args_os()) {
        Ok(command) => command,
        Err(Refusal::Wrong(error)) => return refuse(&error),
        Err(Refusal::Answer(answer)) => {
            let _ = answer.print(); // A closed terminal is nobody's fault.
            return ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2));
        }
    };
    let done = match command {
        Command::Serve(asked) => serve(&asked),
        Command::Doctor => doctor::run(),
        Command::Check(file) => return check(&file),
        Command::Show(asked) => cold::serve::prepare(&asked).map(|_| print(&show::show(&asked))),
        Command::Precompress(args) => precompress::run(&args),
        Command::HashPassword(args) => args.line().map(|line| print(&line)),
        Command::HashToken(args) => args.line().map(|line| print(&line)),
        Command::Schema => Ok(print(&format!("{}\n", schema::schema()))),
    };
    done.unwrap_or_else(|error| refuse(&error))
}

/// What the file says is held against this machine, and nothing is started.
fn check(file: &Path) -> ExitCode {
    let checked = Asked::of_file(file).and_then(|asked| cold::serve::prepare(&asked));
    match checked {
        Ok(checked) => {
            let warnings = checked.warnings.iter();
            let mut page: String = warnings
                .map(|warning| format!("warning: {warning}\n"))
                .collect();
            page.push_str(&format!("{}: fine\n", file.display()));
            print(&page)
        }
        Err(error) => {
            let lines = error.sentences().map(|sentence| format!("{sentence}\n"));
            print(&lines.collect::<String>());
            ExitCode::from(2)
        }
    }
}

fn print(page: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(page.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE, // Nobody is left to hear why.
    }
}

fn serve(asked: &Asked) -> Result<ExitCode, StartError> {
    let checked = cold::serve::prepare(asked)?;
    let _written_at_the_end = log::start(checked.config.log.level)
        .map_err(|error| StartError::machine(format!("no thread for the log: {error}"), THREADS))?;
    log::log_panics();
    cold::serve(checked)
}

fn refuse(error: &StartError) -> ExitCode {
    error
        .sentences()
        .for_each(|sentence| log::complain(&sentence));
    error.exit_code()
}
