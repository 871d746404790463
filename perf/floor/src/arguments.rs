//! The command line, which both programs share.

use std::io;
use std::process::ExitCode;

use crate::server::{Protocol, Server};
use crate::socket;

const USAGE: &str = "[--port N] [--cpu N] [--bytes N] [--status N]

Answers every request on 127.0.0.1 with one fixed response of N body bytes.

  --port N    TCP port (default 8090)
  --cpu N     pin the thread to this CPU (default: not pinned)
  --bytes N   body size, at most 10485760 (default 100)
  --status N  200, or over HTTP/1.1 also 304, which has no body (default 200)";

const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

struct Arguments {
    port: u16,
    cpu: Option<usize>,
    answer: Answer,
}

/// The fixed answer that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// One of those that the program knows.
    pub status: u16,
    /// Bytes of the body, where the status has one.
    pub body_bytes: usize,
}

/// The whole program `name`: `protocol` makes the fixed response, of one of the `statuses`.
pub fn run<P: Protocol>(
    name: &str,
    statuses: &[u16],
    protocol: impl FnOnce(Answer) -> P,
) -> ExitCode {
    let arguments = match parse(std::env::args().skip(1), statuses) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}\n\nusage: {name} {USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(&arguments, protocol) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>, statuses: &[u16]) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        port: 8090,
        cpu: None,
        answer: Answer {
            status: 200,
            body_bytes: 100,
        },
    };
    while let Some(flag) = words.next() {
        let value = words.next().ok_or(format!("{flag} needs a value"))?;
        let invalid = |_| format!("{flag}: {value} is not a valid number");
        match flag.as_str() {
            "--port" => arguments.port = value.parse().map_err(invalid)?,
            "--cpu" => arguments.cpu = Some(value.parse().map_err(invalid)?),
            "--bytes" => arguments.answer.body_bytes = value.parse().map_err(invalid)?,
            "--status" => arguments.answer.status = value.parse().map_err(invalid)?,
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    if arguments.answer.body_bytes > BODY_BYTES_MAX {
        return Err(format!("--bytes is at most {BODY_BYTES_MAX}"));
    }
    if !statuses.contains(&arguments.answer.status) {
        return Err(format!("--status is one of {statuses:?}"));
    }
    Ok(arguments)
}

fn serve<P: Protocol>(arguments: &Arguments, protocol: impl FnOnce(Answer) -> P) -> io::Result<()> {
    if let Some(cpu) = arguments.cpu {
        socket::pin_to(cpu)?;
    }
    socket::raise_descriptor_limit();
    let listener = socket::listen(arguments.port)?;
    Server::new(listener, protocol(arguments.answer))?.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Arguments, String> {
        parse(words.iter().map(|word| word.to_string()), &[200, 304])
    }

    #[test]
    fn flags_are_read_and_wrong_ones_refused() {
        let arguments = parse_words(&["--port", "1", "--cpu", "2", "--bytes", "3"]).unwrap();
        assert_eq!(
            (arguments.port, arguments.cpu, arguments.answer.body_bytes),
            (1, Some(2), 3)
        );
        assert_eq!(
            parse_words(&["--status", "304"]).unwrap().answer.status,
            304
        );
        assert!(parse_words(&["--status", "404"]).is_err());
        assert!(parse_words(&["--port"]).is_err());
        assert!(parse_words(&["--port", "x"]).is_err());
        assert!(parse_words(&["--what", "1"]).is_err());
        assert!(parse_words(&["--bytes", "99999999"]).is_err());
    }
}
