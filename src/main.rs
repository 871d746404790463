//! The binary: a table of contents.

use std::process::ExitCode;

use downpour::config::error::THREADS;
use downpour::config::usage::Refusal;
use downpour::config::{Command, StartError, args};
use downpour::{cold, config, doctor, log, precompress};

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
        Command::Check(asked) => check(&asked),
        Command::Show(asked) => print(&config::show::show(&asked)),
        Command::Schema => print(&config::schema::schema()),
        Command::Doctor => doctor::run(),
        Command::Precompress(args) => precompress::run(&args),
    };
    done.unwrap_or_else(|error| refuse(&error))
}

fn serve(asked: &config::Asked) -> Result<ExitCode, StartError> {
    let checked = cold::serve::prepare(asked)?;
    let _written_at_the_end = log::start(checked.config.log.level)
        .map_err(|error| StartError::machine(format!("no thread for the log: {error}"), THREADS))?;
    log::log_panics();
    cold::serve(checked)
}

fn check(asked: &config::Asked) -> Result<ExitCode, StartError> {
    cold::serve::prepare(asked)?;
    let file = asked.file.as_ref().map(|file| file.path.display());
    let file = file.expect("check reads a file");
    print(&format!("{file}: fine\n"))
}

fn print(text: &str) -> Result<ExitCode, StartError> {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes()); // A closed pipe is nobody's fault.
    Ok(ExitCode::SUCCESS)
}

fn refuse(error: &StartError) -> ExitCode {
    for sentence in error.sentences() {
        log::complain(&sentence);
    }
    error.exit_code()
}
