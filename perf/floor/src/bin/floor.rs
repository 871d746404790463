//! HTTP/1.1: the ends of request heads are found, keep-alive, pipelining and closing work.

use std::process::ExitCode;

fn main() -> ExitCode {
    downpour_floor::run("downpour-floor", &[200, 304], downpour_floor::Http1::new)
}
