//! The virtual network as the server sees it: sockets, and the bytes between them and clients.
//!
//! A connection has the stations of a real one in each direction: the client's own queue, the wire,
//! the kernel's buffer, and the worker's receive; and back. It outlives its socket: bytes that the
//! kernel took before a close still reach the client.

use std::collections::VecDeque;

use super::Fault;
use super::client::{ClientEnd, Reading, Step, Watcher};
use super::trace::Who;
use super::world::{Event, World};
use crate::engine::{Completion, Errno, ReceiveEnd, SendBatch, SocketId};

/// How long the kernel holds back a packet that is not full and that more bytes should follow.
const CORK_US: u64 = 200_000;
/// Closed sockets that are remembered for stale completions.
const CLOSED_KEPT: usize = 16;

/// What is in flight in the direction of the peer.
pub(super) enum Sending {
    Nothing,
    Batch {
        batch: Box<SendBatch>,
        sent: usize,
        more: bool,
    },
    Poll,
}

pub(super) struct Socket {
    pub(super) peer: usize,
    pub(super) receiving: bool,
    /// Which call of `receive`.
    pub(super) arm: u64,
    pub(super) sending: Sending,
    pub(super) cancelled: bool,
    pub(super) write_shut: bool,
    deliver_planned: bool,
}

impl Socket {
    pub(super) fn new(peer: usize) -> Socket {
        Socket {
            peer,
            receiving: false,
            arm: 0,
            sending: Sending::Nothing,
            cancelled: false,
            write_shut: false,
            deliver_planned: false,
        }
    }
}

/// Where a connection stands for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// The SYN is under way.
    Dialing,
    /// In the queue of a listener.
    Waiting,
    /// Accepted.
    Open(SocketId),
    /// Closed by the server, or refused.
    Gone,
}

/// A connection with its client.
pub(super) struct Peer {
    pub(super) listener: usize,
    pub(super) link: Link,

    /// Written by the client, not yet at the server.
    pub(super) outgoing: VecDeque<u8>,
    /// The client sends no more than what is in `outgoing`.
    pub(super) fin_queued: bool,
    /// In the server's kernel, not yet received.
    pub(super) incoming: VecDeque<u8>,
    /// The FIN of the client is in the server's kernel.
    pub(super) eof_arrived: bool,
    /// Bytes that the client has ever written, and where its messages ended.
    pub(super) written: u64,
    pub(super) message_ends: VecDeque<u64>,
    delivered: u64,

    /// In the server's kernel, not yet at the client.
    pub(super) unsent: VecDeque<u8>,
    /// The server sends no more than what is in `unsent`.
    pub(super) server_fin: bool,
    pub(super) corked: bool,
    /// At the client, not yet read.
    pub(super) arrived: VecDeque<u8>,
    /// Bytes that have left `unsent`.
    pub(super) taken: u64,
    /// Read by the client.
    pub(super) received: Vec<u8>,

    /// Why the server cannot use the connection any more.
    pub(super) broken: Option<i32>,
    /// How the server ended it for the client.
    pub(super) end: Option<ClientEnd>,
    /// The client itself has closed.
    pub(super) left: bool,
    pub(super) vanished: bool,
    /// A fault of the settings, not of the script, struck this client.
    pub(super) disturbed: bool,
    pub(super) reading: Reading,
    pub(super) script: VecDeque<Step>,
    pub(super) scripted: bool,
    pub(super) script_planned: bool,
    pub(super) watcher: Option<Watcher>,
    pub(super) watch_planned: bool,
    uplink_planned: bool,
    pub(super) read_planned: bool,
}

impl Peer {
    pub(super) fn new(listener: usize) -> Peer {
        Peer {
            listener,
            link: Link::Dialing,
            outgoing: VecDeque::new(),
            fin_queued: false,
            incoming: VecDeque::new(),
            eof_arrived: false,
            written: 0,
            message_ends: VecDeque::new(),
            delivered: 0,
            unsent: VecDeque::new(),
            server_fin: false,
            corked: false,
            arrived: VecDeque::new(),
            taken: 0,
            received: Vec::new(),
            broken: None,
            end: None,
            left: false,
            vanished: false,
            disturbed: false,
            reading: Reading::Eager,
            script: VecDeque::new(),
            scripted: false,
            script_planned: false,
            watcher: None,
            watch_planned: false,
            uplink_planned: false,
            read_planned: false,
        }
    }
}

// Sockets, as the worker uses them.
impl World {
    /// The socket behind an id, which the worker must not use once it has closed it.
    pub(super) fn socket_mut(&mut self, id: SocketId, verb: &str) -> &mut Socket {
        self.demand(self.sockets.get(id.0).is_some(), || {
            format!("{verb} on {id:?}, which is closed or never was")
        });
        self.sockets.get_mut(id.0).expect("it was just found")
    }

    /// Checks that a socket may be written to now, and gives its peer.
    pub(super) fn demand_idle_output(&mut self, id: SocketId, verb: &str) -> usize {
        let socket = self.socket_mut(id, verb);
        let idle = matches!(socket.sending, Sending::Nothing);
        let (cancelled, write_shut, peer) = (socket.cancelled, socket.write_shut, socket.peer);
        self.demand(idle, || {
            format!("{verb} on {id:?}, on which a send or poll is in flight")
        });
        self.demand(!cancelled, || format!("{verb} on {id:?} after cancel"));
        self.demand(!write_shut, || {
            format!("{verb} on {id:?} after shutdown_write")
        });
        peer
    }

    pub(super) fn receive(&mut self, id: SocketId) {
        let socket = self.socket_mut(id, "receive");
        let (receiving, cancelled) = (socket.receiving, socket.cancelled);
        socket.receiving = true;
        socket.arm += 1;
        self.demand(!receiving, || {
            format!("receive on {id:?}, which receives already")
        });
        self.demand(!cancelled, || format!("receive on {id:?} after cancel"));
        self.record(Who::Socket(id), "receive", 0);
        self.plan_deliver(id);
    }

    pub(super) fn stop_receiving(&mut self, id: SocketId) {
        let arm = self.socket_mut(id, "stop_receiving").arm;
        self.record(Who::Socket(id), "stop receiving", 0);
        self.plan_soon(Event::StopReceive(id, arm));
    }

    pub(super) fn send(&mut self, id: SocketId, batch: Box<SendBatch>, more: bool) {
        let peer = self.demand_idle_output(id, "send");
        self.record(Who::Socket(id), "send", batch.len() as u64);
        self.peers[peer].corked = false;
        self.socket_mut(id, "send").sending = Sending::Batch {
            batch,
            sent: 0,
            more,
        };
        self.plan_soon(Event::PushSend(id));
    }

    pub(super) fn poll_writable(&mut self, id: SocketId) {
        let peer = self.demand_idle_output(id, "poll_writable");
        self.record(Who::Socket(id), "poll writable", 0);
        self.socket_mut(id, "poll_writable").sending = Sending::Poll;
        let can_go_on = self.send_room(peer) > 0 || self.peers[peer].broken.is_some();
        let spurious = self.settings.spurious_writable;
        if can_go_on || self.strikes(Fault::SpuriousWritable, spurious) {
            self.plan_soon(Event::Writable(id));
        }
    }

    pub(super) fn shutdown_write(&mut self, id: SocketId) {
        let socket = self.socket_mut(id, "shutdown_write");
        let sending = matches!(socket.sending, Sending::Batch { .. });
        socket.write_shut = true;
        let peer = socket.peer;
        self.demand(!sending, || {
            format!("shutdown_write on {id:?} would cut off the send in flight")
        });
        self.record(Who::Socket(id), "shutdown write", 0);
        self.finish_output(peer);
    }

    pub(super) fn cancel(&mut self, id: SocketId) {
        let socket = self.socket_mut(id, "cancel");
        socket.cancelled = true;
        let arm = socket.arm;
        self.record(Who::Socket(id), "cancel", 0);
        for event in [Event::StopReceive(id, arm), Event::CancelSend(id)] {
            if self.random.chance(self.settings.late_cancel) {
                let delay_us = self.random.any_size(16);
                self.plan(delay_us, event);
            } else {
                self.plan_soon(event);
            }
        }
    }

    pub(super) fn close(&mut self, id: SocketId) {
        let socket = self.socket_mut(id, "close");
        let sending = !matches!(socket.sending, Sending::Nothing);
        self.demand(!sending, || {
            format!("close of {id:?}, on which a send or poll is in flight")
        });
        self.record(Who::Socket(id), "close", 0);
        let socket = self.sockets.remove(id.0).expect("it was just found");
        if self.closed.len() == CLOSED_KEPT {
            self.closed.pop_front();
        }
        self.closed.push_back(id);
        self.leave_connection(socket.peer);
    }

    pub(super) fn send_room(&self, peer: usize) -> usize {
        let room = self.settings.send_room_bytes;
        room.saturating_sub(self.peers[peer].unsent.len())
    }

    /// Bytes of a file join those of sends.
    pub(super) fn push_file_bytes(&mut self, peer: usize, bytes: &[u8]) {
        self.peers[peer].unsent.extend(bytes);
        self.peers[peer].corked = false;
        self.plan_soon(Event::Downlink(peer));
    }

    /// What the kernel does with a connection whose descriptor is closed.
    pub(super) fn leave_connection(&mut self, peer: usize) {
        self.peers[peer].link = Link::Gone;
        let it = &self.peers[peer];
        if it.broken.is_some() {
            return;
        }
        if it.incoming.is_empty() {
            self.finish_output(peer);
            self.plan_uplink(peer); // What still comes is answered with a reset.
        } else {
            self.coverage.count(Fault::ClosedUnread);
            self.reset_client(peer);
        }
    }

    fn finish_output(&mut self, peer: usize) {
        self.peers[peer].server_fin = true;
        self.peers[peer].corked = false;
        self.plan_soon(Event::Downlink(peer));
    }

    /// Sends a RST to the client; what it has not got by now it will never get.
    pub(super) fn reset_client(&mut self, peer: usize) {
        self.peers[peer].link = Link::Gone;
        self.peers[peer].unsent.clear();
        self.plan_soon(Event::ResetAtClient(peer));
    }
}

// What happens to sockets while the worker sleeps.
impl World {
    pub(super) fn plan_uplink(&mut self, peer: usize) {
        let planned = &mut self.peers[peer].uplink_planned;
        if !std::mem::replace(planned, true) {
            self.plan_soon(Event::Uplink(peer));
        }
    }

    fn plan_deliver(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        if socket.receiving && !std::mem::replace(&mut socket.deliver_planned, true) {
            self.plan_soon(Event::Deliver(id));
        }
    }

    pub(super) fn on_uplink(&mut self, peer: usize) {
        self.peers[peer].uplink_planned = false;
        let it = &self.peers[peer];
        if it.vanished || it.broken.is_some() || it.link == Link::Dialing {
            return;
        }
        if it.link == Link::Gone {
            if !it.outgoing.is_empty() {
                self.peers[peer].outgoing.clear();
                self.reset_client(peer);
            }
            return;
        }
        let room = self.settings.receive_room_bytes - it.incoming.len();
        let can = room.min(it.outgoing.len());
        if can > 0 {
            let len = self.cut(can, self.settings.short_receive);
            let it = &mut self.peers[peer];
            it.incoming.extend(it.outgoing.drain(..len));
        }
        let it = &mut self.peers[peer];
        if it.outgoing.is_empty() {
            it.eof_arrived = it.fin_queued;
        } else if can > 0 {
            self.plan_uplink(peer);
        }
        if let Link::Open(socket) = self.peers[peer].link {
            self.plan_deliver(socket);
        }
    }

    pub(super) fn on_deliver(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        socket.deliver_planned = false;
        if !socket.receiving {
            return;
        }
        let (peer, cancelled) = (socket.peer, socket.cancelled);
        let it = &self.peers[peer];
        if it.incoming.is_empty() {
            if let Some(errno) = it.broken {
                self.end_receive(id, ReceiveEnd::Failed(Errno(errno)));
            } else if it.eof_arrived {
                self.end_receive(id, ReceiveEnd::Eof);
            }
            return;
        }
        if self.strikes(Fault::SpontaneousStop, self.settings.spontaneous_stop) {
            return self.end_receive(id, ReceiveEnd::Stopped);
        }
        if self.random.chance(self.settings.starved) || self.pool.free.is_empty() {
            self.coverage.count(Fault::Starved);
            return self.end_receive(id, ReceiveEnd::Starved);
        }
        let can = self.peers[peer].incoming.len();
        let len = self
            .cut(can, self.settings.short_receive)
            .min(self.settings.receive_buffer_bytes);
        let bytes: Vec<u8> = self.peers[peer].incoming.drain(..len).collect();
        self.count_cuts(peer, len);
        let received = self.fill_buffer(&bytes).expect("one was free");
        self.ready.push(Completion::Received {
            socket: id,
            received,
        });
        if cancelled {
            self.coverage.count(Fault::LateAfterCancel);
        }
        let it = &self.peers[peer];
        if !it.incoming.is_empty() || it.eof_arrived || it.broken.is_some() {
            self.plan_deliver(id);
        }
        self.plan_uplink(peer); // There is room again.
    }

    pub(super) fn on_stop_receive(&mut self, id: SocketId, arm: u64) {
        let socket = self.sockets.get(id.0);
        if socket.is_some_and(|socket| socket.receiving && socket.arm == arm) {
            self.end_receive(id, ReceiveEnd::Stopped);
        }
    }

    fn end_receive(&mut self, id: SocketId, end: ReceiveEnd) {
        let socket = self.sockets.get_mut(id.0);
        socket.expect("only open sockets receive").receiving = false;
        self.ready
            .push(Completion::ReceiveEnded { socket: id, end });
    }

    pub(super) fn on_push_send(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        if !matches!(socket.sending, Sending::Batch { .. }) {
            return; // Two events led here, and the first was enough.
        }
        let Sending::Batch { batch, sent, more } =
            std::mem::replace(&mut socket.sending, Sending::Nothing)
        else {
            unreachable!("it was just seen to be a batch");
        };
        let (peer, cancelled) = (socket.peer, socket.cancelled);
        if let Some(errno) = self.peers[peer].broken {
            return self.end_send(id, batch, Err(Errno(errno)));
        }
        let left = batch.len() - sent;
        let can = left.min(self.send_room(peer));
        let len = self.cut(can, self.settings.short_send);
        let mut taken = Vec::with_capacity(len);
        for slice in batch.slices(sent) {
            let wanted = slice.len().min(len - taken.len());
            taken.extend_from_slice(&slice[..wanted]);
        }
        self.peers[peer].unsent.extend(taken);
        if len == left {
            if cancelled {
                self.coverage.count(Fault::LateAfterCancel);
            }
            self.peers[peer].corked = more;
            if more {
                self.plan(CORK_US, Event::Uncork(peer));
            }
            self.end_send(id, batch, Ok(()));
        } else {
            self.coverage.count(Fault::ShortSend);
            let sent = sent + len;
            self.socket_mut(id, "send").sending = Sending::Batch { batch, sent, more };
            if len > 0 {
                self.plan_soon(Event::PushSend(id));
            }
        }
        self.plan_soon(Event::Downlink(peer));
    }

    pub(super) fn on_cancel_send(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        match std::mem::replace(&mut socket.sending, Sending::Nothing) {
            Sending::Nothing => {}
            Sending::Poll => self.ready.push(Completion::Writable { socket: id }),
            Sending::Batch { batch, .. } => {
                self.end_send(id, batch, Err(Errno(libc::ECANCELED)));
            }
        }
    }

    fn end_send(&mut self, socket: SocketId, batch: Box<SendBatch>, result: Result<(), Errno>) {
        self.ready.push(Completion::Sent {
            socket,
            batch,
            result,
        });
    }

    pub(super) fn on_writable(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id.0) else {
            return;
        };
        if matches!(socket.sending, Sending::Poll) {
            socket.sending = Sending::Nothing;
            if socket.cancelled {
                self.coverage.count(Fault::LateAfterCancel);
            }
            self.ready.push(Completion::Writable { socket: id });
        }
    }

    pub(super) fn on_uncork(&mut self, peer: usize) {
        self.peers[peer].corked = false;
        self.on_downlink(peer);
    }

    /// The worker's send or poll goes on, as there is room again or never will be.
    pub(super) fn plan_output(&mut self, peer: usize) {
        let Link::Open(id) = self.peers[peer].link else {
            return;
        };
        match self.socket_mut(id, "output").sending {
            Sending::Nothing => {}
            Sending::Batch { .. } => self.plan_soon(Event::PushSend(id)),
            Sending::Poll => self.plan_soon(Event::Writable(id)),
        }
    }

    pub(super) fn on_reset_at_server(&mut self, peer: usize, errno: i32) {
        let keeps_bytes = self.random.chance(0.5);
        let it = &mut self.peers[peer];
        if it.broken.is_some() {
            return;
        }
        it.broken = Some(errno);
        it.outgoing.clear();
        it.unsent.clear();
        if !keeps_bytes {
            it.incoming.clear();
        }
        self.record(Who::Client(peer), "breaks the connection", errno as u64);
        if let Link::Open(socket) = self.peers[peer].link {
            self.plan_deliver(socket);
            self.plan_output(peer);
        }
    }

    /// All of `can`, or with `probability` at least one byte of it.
    pub(super) fn cut(&mut self, can: usize, probability: f64) -> usize {
        if can > 1 && self.random.chance(probability) {
            // Tiny pieces are as likely as large ones.
            let bits = u64::from(usize::BITS - can.leading_zeros());
            (1 + self.random.any_size(bits) as usize).min(can)
        } else {
            can
        }
    }

    /// Compares the end of a received piece with the ends of the client's messages.
    fn count_cuts(&mut self, peer: usize, len: usize) {
        let it = &mut self.peers[peer];
        let end = it.delivered + len as u64;
        it.delivered = end;
        let mut messages = 0;
        while it.message_ends.front().is_some_and(|at| *at < end) {
            it.message_ends.pop_front();
            messages += 1;
        }
        let whole = it.message_ends.front() == Some(&end);
        if whole {
            it.message_ends.pop_front();
        } else {
            self.coverage.count(Fault::ShortReceive);
        }
        if messages > 0 {
            self.coverage.count(Fault::CoalescedReceive);
        }
    }
}
