//! The least that one must know of a request: where its head ends, and whether it asks to close.
//!
//! Bodies, methods and targets are not looked at: the load that is measured sends GETs.

use memchr::memmem::Finder;

const HEAD_END: &[u8; 4] = b"\r\n\r\n";
const CARRY_MAX: usize = HEAD_END.len() - 1;

/// The searchers, built once.
pub struct Scanner {
    head_end: Finder<'static>,
    close: Finder<'static>,
}

/// The last bytes of what a connection sent, where a head's end may have begun.
#[derive(Clone, Copy, Default)]
pub struct Carry {
    bytes: [u8; CARRY_MAX],
    len: u8,
}

/// What one received buffer held.
#[derive(Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Heads that ended in it.
    pub requests: u32,
    /// `Connection: close` stood in it. Missed when split over two buffers, which the measured
    /// load never does.
    pub close: bool,
}

impl Scanner {
    /// Searchers for the end of a head and for the close option.
    pub fn new() -> Scanner {
        Scanner {
            head_end: Finder::new(HEAD_END),
            close: Finder::new(b"Connection: close"),
        }
    }

    /// Counts the heads that end in `received`, which follows what `carry` remembers.
    #[inline]
    pub fn scan(&self, carry: &mut Carry, received: &[u8]) -> Scanned {
        let mut requests = 0;
        let mut rest = received;
        if carry.len > 0
            && let Some(taken) = self.join(carry, received)
        {
            requests += 1;
            rest = &received[taken..];
            carry.len = 0;
        }
        while let Some(at) = self.head_end.find(rest) {
            requests += 1;
            rest = &rest[at + HEAD_END.len()..];
            carry.len = 0;
        }
        if !rest.is_empty() {
            carry.push(rest);
        }
        Scanned {
            requests,
            close: self.close.find(received).is_some(),
        }
    }

    /// How many bytes of `received` complete a head's end that began in `carry`.
    fn join(&self, carry: &Carry, received: &[u8]) -> Option<usize> {
        let carried = usize::from(carry.len);
        let fresh = received.len().min(CARRY_MAX);
        let mut window = [0; 2 * CARRY_MAX];
        window[..carried].copy_from_slice(&carry.bytes[..carried]);
        window[carried..carried + fresh].copy_from_slice(&received[..fresh]);
        let at = self.head_end.find(&window[..carried + fresh])?;
        Some(at + HEAD_END.len() - carried)
    }
}

impl Carry {
    /// Keeps the last three bytes of all that came since the last head ended.
    fn push(&mut self, rest: &[u8]) {
        let mut window = [0; 2 * CARRY_MAX];
        let carried = usize::from(self.len);
        let fresh = &rest[rest.len().saturating_sub(CARRY_MAX)..];
        window[..carried].copy_from_slice(&self.bytes[..carried]);
        window[carried..carried + fresh.len()].copy_from_slice(fresh);
        let total = carried + fresh.len();
        let kept = total.min(CARRY_MAX);
        self.bytes[..kept].copy_from_slice(&window[total - kept..total]);
        self.len = kept as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_counted_however_they_are_cut() {
        let scanner = Scanner::new();
        let stream = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3);
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let mut carry = Carry::default();
                let total: u32 = [&stream[..first], &stream[first..second], &stream[second..]]
                    .iter()
                    .map(|part| scanner.scan(&mut carry, part).requests)
                    .sum();
                assert_eq!(total, 3, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn single_bytes_are_counted_too() {
        let scanner = Scanner::new();
        let mut carry = Carry::default();
        let total: u32 = b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"
            .chunks(1)
            .map(|byte| scanner.scan(&mut carry, byte).requests)
            .sum();
        assert_eq!(total, 2);
    }

    #[test]
    fn an_end_is_not_counted_twice() {
        let scanner = Scanner::new();
        let mut carry = Carry::default();
        assert_eq!(scanner.scan(&mut carry, b"A\r\n\r\n").requests, 1);
        assert_eq!(scanner.scan(&mut carry, b"\r\n").requests, 0);
    }

    #[test]
    fn the_close_option_is_seen() {
        let scanner = Scanner::new();
        let mut carry = Carry::default();
        let head = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
        let expected = Scanned {
            requests: 1,
            close: true,
        };
        assert_eq!(scanner.scan(&mut carry, head), expected);
    }
}
