//! The virtual network as its clients see it, and the scripts that they follow.
//!
//! A client knows nothing of HTTP: it writes bytes, reads bytes, and a test tells it when it has
//! read enough.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::network::{Link, Peer};
use super::trace::Who;
use super::world::{Event, World};
use super::{Fault, Sim};

/// How a connection ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEnd {
    /// The server has sent all that it will send, and the client has read it.
    Eof,
    /// The server has reset the connection; bytes may be missing.
    Reset,
    /// Nobody listened.
    Refused,
}

/// How fast a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All that is there.
    Eager,
    /// So many bytes each millisecond.
    BytesPerMs(u32),
    /// Not at all.
    Stopped,
}

/// Tells from all bytes received so far whether a client waits no longer.
pub type Enough = Box<dyn FnMut(&[u8]) -> bool>;

/// Makes a message from all bytes received so far.
pub type Maker = Box<dyn FnOnce(&[u8]) -> Vec<u8>>;

/// Is told that a client has read something, or that its connection has begun or ended.
pub type Watcher = Rc<dyn Fn(&Sim)>;

/// One thing that a scripted client does. After its last step it closes.
pub enum Step {
    /// Writes one message.
    Send(Vec<u8>),
    /// Writes one message that depends on what was received.
    SendMade(Maker),
    /// Writes one message in pieces of at most `piece_max` bytes.
    SendInPieces {
        bytes: Vec<u8>,
        piece_max: usize,
        pause: Duration,
    },
    /// Waits until it has read enough. When the server ends the connection first, the script ends.
    Until(Enough),
    /// Waits until the server ends the connection.
    UntilEnd,
    /// Does nothing for a while (but reads).
    Pause(Duration),
    /// Reads faster or slower from now on.
    Read(Reading),
    /// Sends FIN and goes on reading.
    HalfClose,
    /// Closes as a program does that has seen enough.
    Close,
    /// Resets the connection.
    Reset,
    /// Falls silent for ever: as when a cable is cut.
    Vanish,
}

impl fmt::Debug for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Send(bytes) => write!(out, "Send({} bytes)", bytes.len()),
            Step::SendInPieces {
                bytes, piece_max, ..
            } => write!(out, "SendInPieces({} bytes by {piece_max})", bytes.len()),
            Step::SendMade(_) => out.write_str("SendMade"),
            Step::Until(_) => out.write_str("Until"),
            Step::UntilEnd => out.write_str("UntilEnd"),
            Step::Pause(pause) => write!(out, "Pause({pause:?})"),
            Step::Read(reading) => write!(out, "Read({reading:?})"),
            Step::HalfClose => out.write_str("HalfClose"),
            Step::Close => out.write_str("Close"),
            Step::Reset => out.write_str("Reset"),
            Step::Vanish => out.write_str("Vanish"),
        }
    }
}

/// What a client does, step by step.
pub type ClientScript = Vec<Step>;

// What clients do.
impl World {
    pub(super) fn connect(&mut self, listener: usize) -> usize {
        self.peers.push(Peer::new(listener));
        let peer = self.peers.len() - 1;
        self.plan_soon(Event::Arrive(peer));
        for (fault, probability) in [
            (Fault::PeerReset, self.settings.peer_reset),
            (Fault::PeerHalfClosed, self.settings.peer_half_close),
            (Fault::PeerVanished, self.settings.peer_vanish),
        ] {
            if self.random.chance(probability) {
                let delay_us = self.random.any_size(18);
                self.plan(delay_us, Event::Doom(peer, fault));
            }
        }
        peer
    }

    pub(super) fn follow(&mut self, peer: usize, script: ClientScript) {
        self.peers[peer].script.extend(script);
        self.peers[peer].scripted = true;
        if self.peers[peer].link != Link::Dialing {
            self.plan_script(peer);
        }
    }

    pub(super) fn watch(&mut self, peer: usize, watcher: Watcher) {
        self.peers[peer].watcher = Some(watcher);
        if self.peers[peer].link != Link::Dialing {
            self.plan_watch(peer);
        }
    }

    pub(super) fn client_write(&mut self, peer: usize, bytes: &[u8]) {
        let it = &mut self.peers[peer];
        if bytes.is_empty() || it.fin_queued || it.left || it.vanished || it.end.is_some() {
            return; // A real write would fail, or go nowhere.
        }
        it.outgoing.extend(bytes);
        it.written += bytes.len() as u64;
        it.message_ends.push_back(it.written);
        self.record(Who::Client(peer), "writes", bytes.len() as u64);
        self.plan_uplink(peer);
    }

    pub(super) fn client_half_close(&mut self, peer: usize) {
        if !self.peers[peer].fin_queued {
            self.coverage.count(Fault::PeerHalfClosed);
            self.record(Who::Client(peer), "sends FIN", 0);
            self.peers[peer].fin_queued = true;
            self.plan_uplink(peer);
        }
    }

    pub(super) fn client_close(&mut self, peer: usize) {
        if std::mem::replace(&mut self.peers[peer].left, true) {
            return;
        }
        self.record(Who::Client(peer), "closes", 0);
        let it = &mut self.peers[peer];
        it.fin_queued = true;
        if it.arrived.is_empty() {
            self.plan_uplink(peer);
        } else {
            // As with a real kernel, bytes left unread turn the close into a reset.
            it.outgoing.clear();
            self.plan_soon(Event::ResetAtServer(peer, libc::ECONNRESET));
        }
    }

    pub(super) fn client_reset(&mut self, peer: usize) {
        if std::mem::replace(&mut self.peers[peer].left, true) {
            return;
        }
        self.coverage.count(Fault::PeerReset);
        self.record(Who::Client(peer), "resets", 0);
        self.peers[peer].outgoing.clear();
        self.plan_soon(Event::ResetAtServer(peer, libc::ECONNRESET));
    }

    pub(super) fn client_vanish(&mut self, peer: usize) {
        let it = &mut self.peers[peer];
        if it.left || std::mem::replace(&mut it.vanished, true) {
            return;
        }
        self.coverage.count(Fault::PeerVanished);
        self.record(Who::Client(peer), "vanishes", 0);
        // Rarely the kernel notices before the worker's deadlines do.
        if self.random.chance(0.25) {
            let delay_us = self.random.between(1_000_000, 60_000_000);
            self.plan(delay_us, Event::ResetAtServer(peer, libc::ETIMEDOUT));
        }
    }

    pub(super) fn client_reads(&mut self, peer: usize, reading: Reading) {
        self.peers[peer].reading = reading;
        self.plan_read(peer);
    }

    /// Something has changed for a client.
    pub(super) fn tell_client(&mut self, peer: usize) {
        self.plan_script(peer);
        self.plan_watch(peer);
    }

    fn plan_script(&mut self, peer: usize) {
        let it = &mut self.peers[peer];
        if it.scripted && !std::mem::replace(&mut it.script_planned, true) {
            self.plan(0, Event::Script(peer));
        }
    }

    fn plan_watch(&mut self, peer: usize) {
        let it = &mut self.peers[peer];
        let Some(watcher) = it.watcher.clone() else {
            return;
        };
        if !std::mem::replace(&mut it.watch_planned, true) {
            let action = move |sim: &Sim| {
                sim.change().peers[peer].watch_planned = false;
                watcher(sim);
            };
            self.plan(0, Event::Act(Box::new(action)));
        }
    }

    fn plan_read(&mut self, peer: usize) {
        let it = &mut self.peers[peer];
        if it.read_planned || it.left || it.reading == Reading::Stopped {
            return;
        }
        it.read_planned = true;
        match it.reading {
            Reading::Eager => self.plan_soon(Event::ClientRead(peer)),
            Reading::BytesPerMs(_) => self.plan(1000, Event::ClientRead(peer)),
            Reading::Stopped => unreachable!("it was just seen not to be"),
        }
    }
}

// What happens to clients.
impl World {
    pub(super) fn on_downlink(&mut self, peer: usize) {
        let it = &mut self.peers[peer];
        if it.vanished || it.end.is_some() || it.corked {
            return;
        }
        if it.left {
            if !it.unsent.is_empty() {
                // Nobody is there any more: the client's kernel answers with a reset.
                it.unsent.clear();
                self.plan_soon(Event::ResetAtServer(peer, libc::ECONNRESET));
            }
            return;
        }
        let room = self.settings.peer_room_bytes - it.arrived.len();
        let len = room.min(it.unsent.len());
        it.arrived.extend(it.unsent.drain(..len));
        it.taken += len as u64;
        self.plan_read(peer);
        if len > 0 {
            self.plan_output(peer);
        }
    }

    pub(super) fn on_client_read(&mut self, peer: usize) {
        let it = &mut self.peers[peer];
        it.read_planned = false;
        if it.vanished || it.left || it.end.is_some() {
            return;
        }
        let can = it.arrived.len();
        let len = match it.reading {
            Reading::Eager => can,
            Reading::BytesPerMs(bytes) => can.min(bytes as usize),
            Reading::Stopped => return,
        };
        it.received.extend(it.arrived.drain(..len));
        if len < can {
            self.plan_read(peer);
        }
        let it = &mut self.peers[peer];
        if it.arrived.is_empty() && it.unsent.is_empty() && it.server_fin {
            it.end = Some(ClientEnd::Eof);
            let total = it.received.len() as u64;
            self.record(Who::Client(peer), "reads to the end", total);
        } else if len > 0 {
            self.record(Who::Client(peer), "reads", len as u64);
            self.plan_soon(Event::Downlink(peer)); // There is room again.
        }
        self.tell_client(peer);
    }

    pub(super) fn on_reset_at_client(&mut self, peer: usize) {
        let keeps_bytes = self.random.chance(0.5);
        let it = &mut self.peers[peer];
        if it.vanished || it.left || it.end.is_some() {
            return;
        }
        it.end = Some(ClientEnd::Reset);
        it.outgoing.clear();
        if keeps_bytes {
            it.received.extend(it.arrived.drain(..));
        } else {
            it.arrived.clear();
        }
        self.record(Who::Client(peer), "is reset", 0);
        self.tell_client(peer);
    }

    pub(super) fn on_doom(&mut self, peer: usize, fault: Fault) {
        let it = &mut self.peers[peer];
        if it.end.is_some() || it.left || it.vanished {
            return;
        }
        it.disturbed = true;
        match fault {
            Fault::PeerReset => self.client_reset(peer),
            Fault::PeerHalfClosed => self.client_half_close(peer),
            Fault::PeerVanished => self.client_vanish(peer),
            other => unreachable!("{other:?} is no fault of a client"),
        }
    }

    pub(super) fn on_script(&mut self, peer: usize) {
        self.peers[peer].script_planned = false;
        loop {
            let it = &mut self.peers[peer];
            if it.left || it.vanished {
                return;
            }
            let Some(step) = it.script.pop_front() else {
                return self.client_close(peer);
            };
            if !self.do_step(peer, step) {
                return;
            }
        }
    }

    /// Does one step; false when the script has to wait.
    fn do_step(&mut self, peer: usize, step: Step) -> bool {
        match step {
            Step::Send(bytes) => self.client_write(peer, &bytes),
            Step::SendMade(make) => {
                let bytes = make(&self.peers[peer].received);
                self.client_write(peer, &bytes);
            }
            Step::SendInPieces {
                mut bytes,
                piece_max,
                pause,
            } => {
                let rest = bytes.split_off(bytes.len().min(piece_max.max(1)));
                self.client_write(peer, &bytes);
                if !rest.is_empty() {
                    self.peers[peer].script.push_front(Step::SendInPieces {
                        bytes: rest,
                        piece_max,
                        pause,
                    });
                    return self.pause_script(peer, pause);
                }
            }
            Step::Until(mut enough) => {
                let it = &mut self.peers[peer];
                if enough(&it.received) {
                    return true;
                }
                if it.end.is_some() {
                    it.script.clear();
                } else {
                    it.script.push_front(Step::Until(enough));
                    return false;
                }
            }
            Step::UntilEnd => {
                if self.peers[peer].end.is_none() {
                    self.peers[peer].script.push_front(Step::UntilEnd);
                    return false;
                }
            }
            Step::Pause(pause) => return self.pause_script(peer, pause),
            Step::Read(reading) => self.client_reads(peer, reading),
            Step::HalfClose => self.client_half_close(peer),
            Step::Close => self.client_close(peer),
            Step::Reset => self.client_reset(peer),
            Step::Vanish => self.client_vanish(peer),
        }
        true
    }

    /// Goes on with the script after `pause`, and not when bytes arrive before.
    fn pause_script(&mut self, peer: usize, pause: Duration) -> bool {
        self.peers[peer].script_planned = true;
        self.plan(pause.as_micros() as u64, Event::Script(peer));
        false
    }
}
