//! The secrets of every connection in a file, for reading one's own traffic: `--tls-keylog`.
//!
//! Who has this file can read everything. Workers wait for its disk; it is for searching faults.

use std::fmt;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use rustls::KeyLog;
use zeroize::Zeroizing;

/// Writes lines as `SSLKEYLOGFILE` has them (draft-ietf-tls-keylogfile).
pub(super) struct KeyLogFile(Mutex<File>);

impl KeyLogFile {
    pub(super) fn new(file: File) -> KeyLogFile {
        KeyLogFile(Mutex::new(file))
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let size = label.len() + 2 * (client_random.len() + secret.len()) + 3;
        let mut line = Zeroizing::new(String::with_capacity(size));
        line.push_str(label);
        for bytes in [client_random, secret] {
            line.push(' ');
            for byte in bytes {
                write!(line, "{byte:02x}").expect("a String takes any text");
            }
        }
        line.push('\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not end connections; who reads the file will miss the line.
        let _ = file.write_all(line.as_bytes());
    }
}

impl fmt::Debug for KeyLogFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeyLogFile")
    }
}
