//! Durable writes without HTTP: write, fsync, rename, fsync of the directory.

use std::process::ExitCode;

fn main() -> ExitCode {
    downpour_floor::write_durably("downpour-floor-put")
}
