//! The physical limit that the server is measured against.
//!
//! One thread, one ring, one fixed response. It parses nothing but the ends of request heads, knows
//! no file, no time-out and no error answer: what it spends is what the kernel's TCP and io_uring
//! cost. It must stay as fast as we can make it, and it must not cheat: every request is read,
//! every answer is a whole response of realistic size, and keep-alive, pipelining and closing work.

mod buffers;
mod connection;
mod request;
mod response;
mod server;
mod socket;

use std::process::ExitCode;

const USAGE: &str = "usage: downpour-floor [--port N] [--cpu N] [--bytes N]

Answers every request on 127.0.0.1 with one fixed response of N body bytes.

  --port N    TCP port (default 8090)
  --cpu N     pin the thread to this CPU (default: not pinned)
  --bytes N   body size, at most 10485760 (default 100)";

const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

struct Arguments {
    port: u16,
    cpu: Option<usize>,
    body_bytes: usize,
}

fn parse_arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        port: 8090,
        cpu: None,
        body_bytes: 100,
    };
    while let Some(flag) = words.next() {
        let value = words.next().ok_or(format!("{flag} needs a value"))?;
        let invalid = |_| format!("{flag}: {value} is not a valid number");
        match flag.as_str() {
            "--port" => arguments.port = value.parse().map_err(invalid)?,
            "--cpu" => arguments.cpu = Some(value.parse().map_err(invalid)?),
            "--bytes" => arguments.body_bytes = value.parse().map_err(invalid)?,
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    if arguments.body_bytes > BODY_BYTES_MAX {
        return Err(format!("--bytes is at most {BODY_BYTES_MAX}"));
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    let arguments = match parse_arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("downpour-floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> std::io::Result<()> {
    if let Some(cpu) = arguments.cpu {
        socket::pin_to(cpu)?;
    }
    socket::raise_descriptor_limit();
    let listener = socket::listen(arguments.port)?;
    let responses = response::Responses::new(arguments.body_bytes);
    server::Server::new(listener, responses)?.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        parse_arguments(words.iter().map(|word| word.to_string()))
    }

    #[test]
    fn flags_are_read_and_wrong_ones_refused() {
        let arguments = parse(&["--port", "1", "--cpu", "2", "--bytes", "3"]).unwrap();
        assert_eq!(
            (arguments.port, arguments.cpu, arguments.body_bytes),
            (1, Some(2), 3)
        );
        assert!(parse(&["--port"]).is_err());
        assert!(parse(&["--port", "x"]).is_err());
        assert!(parse(&["--what", "1"]).is_err());
        assert!(parse(&["--bytes", "99999999"]).is_err());
    }
}
