//! The command line.

use std::time::Duration;

pub const USAGE: &str = "usage: downpour-handshakes --port N --path P --trust FILE [FLAG…]

Makes TLS 1.3 connections to 127.0.0.1 with one request each and prints a line of JSON.

  --port N         TCP port
  --path P         what to ask for
  --trust FILE     the server's own certificate (PEM), for the name localhost
  --body-bytes N   length of the body, the repeated alphabet (default 1000)
  --connections N  connections at once (default 16)
  --seconds N      how long (default 3)
  --resume yes|no  whether each connection of a slot resumes the one before (default no)";

const CONNECTIONS_MAX: usize = 1024;

#[derive(Debug)]
pub struct Arguments {
    pub port: u16,
    pub path: String,
    pub trust: String,
    pub body_bytes: usize,
    pub connections: usize,
    pub duration: Duration,
    pub resume: bool,
}

impl Arguments {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut arguments = Arguments {
            port: 0,
            path: String::new(),
            trust: String::new(),
            body_bytes: 1000,
            connections: 16,
            duration: Duration::from_secs(3),
            resume: false,
        };
        while let Some(flag) = words.next() {
            let value = words.next().ok_or(format!("{flag} needs a value"))?;
            let number = || {
                let parsed = value.parse::<u32>();
                parsed.map_err(|_| format!("{flag}: {value} is no number"))
            };
            match flag.as_str() {
                "--port" => {
                    arguments.port = u16::try_from(number()?)
                        .map_err(|_| format!("--port: {value} is no port"))?;
                }
                "--path" => arguments.path = value,
                "--trust" => arguments.trust = value,
                "--body-bytes" => arguments.body_bytes = number()? as usize,
                "--connections" => arguments.connections = number()? as usize,
                "--seconds" => arguments.duration = Duration::from_secs(number()?.into()),
                "--resume" => {
                    arguments.resume = match value.as_str() {
                        "yes" => true,
                        "no" => false,
                        _ => return Err(format!("--resume: {value} is neither yes nor no")),
                    }
                }
                _ => return Err(format!("unknown flag {flag}")),
            }
        }
        if arguments.port == 0 || arguments.path.is_empty() || arguments.trust.is_empty() {
            return Err("--port, --path and --trust are needed".to_owned());
        }
        if !(1..=CONNECTIONS_MAX).contains(&arguments.connections) {
            return Err(format!("--connections: 1 to {CONNECTIONS_MAX}"));
        }
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Arguments, String> {
        Arguments::parse(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_are_read_and_wrong_ones_refused() {
        let needed = "--port 1 --path /a --trust b";
        let arguments = parse(&format!("{needed} --resume yes --connections 2")).unwrap();
        assert_eq!((arguments.port, arguments.path.as_str()), (1, "/a"));
        assert!(arguments.resume);
        assert_eq!(arguments.connections, 2);
        for wrong in [
            "--port 1",
            "--port",
            "--port 1 --path /a --trust b --connections 0",
            "--port 70000 --path /a --trust b",
            "--port 1 --path /a --trust b --resume maybe",
            "--port 1 --path /a --trust b --what 1",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
