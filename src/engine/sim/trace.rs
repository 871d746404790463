//! What a simulation leaves behind: its last events, a fingerprint of all, and a count of faults.

use std::collections::VecDeque;
use std::fmt;

use crate::engine::SocketId;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a simulation can do to a worker; [`Coverage`] counts them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// All of them.
            pub const ALL: &[Fault] = &[$(Fault::$name,)*];
        }
    };
}

faults! {
    /// A piece of a message was received.
    ShortReceive,
    /// Two messages were received as one piece.
    CoalescedReceive,
    /// A send left in several pieces.
    ShortSend,
    /// Completions changed places.
    Reordered,
    /// No receive buffer was free.
    Starved,
    /// A receive ended unasked.
    SpontaneousStop,
    /// No descriptor was left.
    AcceptFailed,
    /// A client reset its connection.
    PeerReset,
    /// A client stopped sending.
    PeerHalfClosed,
    /// A client fell silent.
    PeerVanished,
    /// The worker closed with bytes unread, so that its own last bytes may be lost.
    ClosedUnread,
    /// `send_file` found the socket full.
    WouldBlock,
    /// `send_file` took less than it was given.
    PartialFile,
    /// `Writable` came for no reason.
    SpuriousWritable,
    /// The pages were not in memory.
    Cold,
    /// The file was shorter than its range.
    Truncated,
    /// An operation took long.
    SlowDisk,
    /// A read gave less than it could.
    ShortRead,
    /// An operation or `send_file` failed.
    IoError,
    /// An operation succeeded after it was cancelled.
    LateAfterCancel,
    /// `Woken` came for no reason.
    SpuriousWake,
    /// A completion of a closed socket came.
    StaleCompletion,
    /// `wait` returned with nothing.
    Interrupted,
    /// The worker was not scheduled for a while.
    Stalled,
    /// A tick came too early or too late.
    TickJitter,
}

/// How often each fault has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage([u64; Fault::ALL.len()]);

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage([0; Fault::ALL.len()])
    }
}

impl Coverage {
    /// How often `fault` has happened.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Coverage) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// The faults that have never happened.
    pub fn missing(&self) -> Vec<Fault> {
        let all = Fault::ALL.iter().copied();
        all.filter(|fault| self.of(*fault) == 0).collect()
    }

    pub(super) fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }
}

/// To whom an event happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Engine,
    Listener(usize),
    Socket(SocketId),
    Client(usize),
    Operation(u32),
}

impl fmt::Display for Who {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Engine => out.write_str("engine"),
            Who::Listener(number) => write!(out, "listener {number}"),
            Who::Socket(SocketId(id)) => write!(out, "socket {}.{}", id.index, id.generation),
            Who::Client(number) => write!(out, "client {number}"),
            Who::Operation(index) => write!(out, "operation {index}"),
        }
    }
}

struct Entry {
    at_us: u64,
    who: Who,
    what: &'static str,
    amount: u64,
}

/// The last events, and a fingerprint of all of them.
pub(super) struct Trace {
    kept: usize,
    last: VecDeque<Entry>,
    count: u64,
    fingerprint: u64,
}

impl Trace {
    /// Keeps the last `kept` events to be printed.
    pub(super) fn new(kept: usize) -> Trace {
        Trace {
            kept: kept.max(1),
            last: VecDeque::new(),
            count: 0,
            fingerprint: 0,
        }
    }

    pub(super) fn record(&mut self, at_us: u64, who: Who, what: &'static str, amount: u64) {
        self.count += 1;
        let (kind, name) = match who {
            Who::Engine => (0, 0),
            Who::Listener(number) => (1, number as u64),
            Who::Socket(SocketId(id)) => (2, id.pack()),
            Who::Client(number) => (3, number as u64),
            Who::Operation(index) => (4, u64::from(index)),
        };
        for word in [at_us, kind, name, amount] {
            self.mix(word);
        }
        what.bytes().for_each(|byte| self.mix(u64::from(byte)));
        if matches!(what, "Woken" | "Ticked" | "reads" | "the test acts") {
            return; // Those of an idle worker or a slow client would fill the list.
        }
        if self.last.len() == self.kept {
            self.last.pop_front();
        }
        self.last.push_back(Entry {
            at_us,
            who,
            what,
            amount,
        });
    }

    /// A number that differs when any event since the beginning differs.
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn mix(&mut self, word: u64) {
        let mixed = (self.fingerprint.rotate_left(5) ^ word).wrapping_mul(0x0000_0100_0000_01B3);
        self.fingerprint = mixed ^ (mixed >> 29);
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.last.len() as u64;
        writeln!(out, "the last {kept} of {} events:", self.count)?;
        for entry in &self.last {
            let (ms, us) = (entry.at_us / 1000, entry.at_us % 1000);
            let (who, what) = (entry.who.to_string(), entry.what);
            writeln!(
                out,
                "{ms:>8}.{us:03} ms  {who:<14} {what:<24} {}",
                entry.amount
            )?;
        }
        Ok(())
    }
}
