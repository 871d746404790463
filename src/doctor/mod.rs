//! `downpour doctor`: what this machine gives to each engine, what will hurt, and what to do.
//!
//! Looks and tells; changes nothing, needs no root, and knows nothing of requests.

mod findings;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::StartError;

use findings::Facts;

/// Prints the table. Succeeds whether or not it finds a weakness.
pub fn run() -> Result<ExitCode, StartError> {
    let facts = Facts::read();
    let kernel = facts.capabilities.kernel.to_string();
    let page = table::render(
        &kernel,
        &findings::engines(&facts),
        &findings::limits(&facts),
    );
    match io::stdout().write_all(page.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(StartError::machine(
            format!("standard output cannot be written to: {error}"),
            "redirect it elsewhere",
        )),
        _ => Ok(ExitCode::SUCCESS),
    }
}
