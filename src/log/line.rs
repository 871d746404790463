//! How one event becomes one line.

use std::fmt::{self, Write};

use log::Level;

use crate::base::limits::LOG_LINE_BYTES_MAX;

/// `downpour: warning: …` and a line feed. Control characters are escaped, so that bytes of a peer
/// can neither forge a line nor talk to a terminal.
pub(super) fn render(level: Level, message: fmt::Arguments<'_>) -> String {
    let prefix = match level {
        Level::Error => "downpour: error: ",
        Level::Warn => "downpour: warning: ",
        Level::Info => "downpour: ",
        Level::Debug => "downpour: debug: ",
        Level::Trace => "downpour: trace: ",
    };
    plain(prefix, message)
}

/// The same with a prefix of the caller's, which is taken as it is.
pub(super) fn plain(prefix: &str, message: fmt::Arguments<'_>) -> String {
    let mut line = Line::default();
    line.text.push_str(prefix);
    // The only error is ours, for a line that is long enough.
    if line.write_fmt(message).is_err() {
        line.text.push('…');
    }
    line.text.push('\n');
    line.text
}

#[derive(Default)]
struct Line {
    text: String,
}

impl Write for Line {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for character in piece.chars() {
            if self.text.len() >= LOG_LINE_BYTES_MAX {
                return Err(fmt::Error);
            }
            if character.is_control() {
                self.text.extend(character.escape_default());
            } else {
                self.text.push(character);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_stands_in_front() {
        assert_eq!(
            render(Level::Warn, format_args!("a {}", 1)),
            "downpour: warning: a 1\n"
        );
        assert_eq!(
            render(Level::Info, format_args!("hello")),
            "downpour: hello\n"
        );
    }

    #[test]
    fn a_peer_cannot_forge_a_line() {
        let hostile = "x\r\ndownpour: error: fire\x1b[2J\u{85}";
        let line = render(Level::Error, format_args!("{hostile}"));
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(
            line.contains("x\\r\\ndownpour") && !line.contains('\x1b'),
            "{line:?}"
        );
        assert!(line.contains("\\u{85}"), "{line:?}");
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = "\n".repeat(LOG_LINE_BYTES_MAX * 2);
        let line = render(Level::Error, format_args!("{long}"));
        assert!(line.len() <= LOG_LINE_BYTES_MAX + 16, "{}", line.len());
        assert!(line.ends_with("…\n"));
    }
}
