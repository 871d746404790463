//! Asks for a secret: typed on the terminal without being shown, or on the first line of the input.

use std::io::{self, IsTerminal, Stdin, Write};

use rustix::io::{Errno, read};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use super::StartError;

/// What the keys send while the terminal leaves them to us.
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL_LINE: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// A secret of its own choice: whoever types does so twice.
pub(super) fn new_secret(what: &str, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, StartError> {
    let first = secret(what, bytes_max)?;
    if io::stdin().is_terminal() && *secret("The same again", bytes_max)? != *first {
        return Err(StartError::usage("the two are not the same", "try again"));
    }
    Ok(first)
}

/// A secret without the end of its line.
pub(super) fn secret(what: &str, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, StartError> {
    let input = io::stdin();
    let line = match Unseen::begin(&input) {
        None => piped_line(&input, bytes_max),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(unseen)) => {
            // Whoever does not see it may type all the same.
            let _ = write!(io::stderr(), "{what}: ");
            let line = typed_line(&input, bytes_max);
            drop(unseen);
            let _ = writeln!(io::stderr());
            line
        }
    };
    let line = line.map_err(|error| {
        StartError::machine(
            format!("the input cannot be read: {error}"),
            "type it on a terminal, or give it on the first line of the input",
        )
    })?;
    line.ok_or_else(|| StartError::machine("stopped", "nothing was made"))
}

/// Shows something that does not belong to the output.
pub(super) fn show(what: &str, secret: &[u8]) -> Result<(), StartError> {
    let mut error = io::stderr().lock();
    let shown = [what.as_bytes(), b": ", secret, b"\n"].concat();
    error.write_all(&Zeroizing::new(shown)).map_err(|error| {
        StartError::machine(
            format!("nothing can be shown: {error}"),
            "open standard error",
        )
    })
}

/// A terminal that does not show what is typed, until this is dropped.
struct Unseen<'a> {
    input: &'a Stdin,
    before: Termios,
}

impl<'a> Unseen<'a> {
    /// `None` where there is no terminal.
    fn begin(input: &'a Stdin) -> Option<Result<Unseen<'a>, Errno>> {
        let before = tcgetattr(input).ok()?;
        let mut unseen = before.clone();
        // The keys that interrupt come as bytes, so that the terminal is left as it was.
        let shown = LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        unseen.local_modes.remove(shown);
        unseen.special_codes[SpecialCodeIndex::VMIN] = 1;
        unseen.special_codes[SpecialCodeIndex::VTIME] = 0;
        let set = tcsetattr(input, OptionalActions::Flush, &unseen);
        Some(set.map(|()| Unseen { input, before }))
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.input, OptionalActions::Flush, &self.before);
    }
}

/// Past the buffer of the standard library, which would keep the secret.
fn next_byte(input: &Stdin) -> io::Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match read(input, &mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn line_of(bytes_max: usize) -> Zeroizing<Vec<u8>> {
    // One more than is taken, so that what is too long is seen to be; and it never moves.
    Zeroizing::new(Vec::with_capacity(bytes_max + 1))
}

fn push(line: &mut Vec<u8>, byte: u8) {
    if line.len() < line.capacity() {
        line.push(byte);
    }
}

/// `None` when whoever types has changed their mind.
fn typed_line(input: &Stdin, bytes_max: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut line = line_of(bytes_max);
    loop {
        match next_byte(input)? {
            None | Some(INTERRUPT) => return Ok(None),
            Some(END) if line.is_empty() => return Ok(None),
            Some(b'\r' | b'\n' | END) => return Ok(Some(line)),
            Some(BACKSPACE | DELETE) => drop_character(&mut line),
            Some(KILL_LINE) => line.clear(),
            Some(byte) => push(&mut line, byte),
        }
    }
}

/// The last character, of which there may be several bytes.
fn drop_character(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

fn piped_line(input: &Stdin, bytes_max: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut line = line_of(bytes_max);
    while let Some(byte) = next_byte(input)?.filter(|byte| *byte != b'\n') {
        push(&mut line, byte);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backspace_takes_a_whole_character() {
        let mut line = "aß€".as_bytes().to_vec();
        for left in ["aß", "a", "", ""] {
            drop_character(&mut line);
            assert_eq!(line, left.as_bytes());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_seen_to_be() {
        let mut line = line_of(3);
        let place = line.as_ptr();
        let capacity = line.capacity();
        (0..100).for_each(|_| push(&mut line, b'a'));
        assert_eq!((line.len(), line.as_ptr()), (capacity, place));
        assert!(line.len() > 3);
    }
}
