//! HTTP/2 by prior knowledge: frames are walked, header blocks are not decoded.

use std::process::ExitCode;

fn main() -> ExitCode {
    downpour_floor::run("downpour-floor-h2", &[200], |answer| {
        downpour_floor::Http2::new(answer.body_bytes)
    })
}
