//! Listeners of the virtual network: their queues, and accepting.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use super::Fault;
use super::client::ClientEnd;
use super::network::{Link, Socket};
use super::trace::Who;
use super::world::{Event, World};
use crate::engine::{Completion, Errno, ListenerId, SocketId};

pub(super) struct Listener {
    /// Held, never used: so that a worker's own listener can be given.
    pub(super) descriptor: Option<OwnedFd>,
    pub(super) accepting: bool,
    /// Which call of `accept`.
    pub(super) arm: u64,
    /// Peers that nobody has accepted yet.
    pub(super) waiting: VecDeque<usize>,
}

impl World {
    pub(super) fn add_listener(&mut self, descriptor: OwnedFd) -> ListenerId {
        self.listeners.push(Listener {
            descriptor: Some(descriptor),
            accepting: false,
            arm: 0,
            waiting: VecDeque::new(),
        });
        ListenerId(self.listeners.len() as u32 - 1)
    }

    pub(super) fn accept(&mut self, id: ListenerId) {
        let listener = self.open_listener(id, "accept");
        let was_accepting = std::mem::replace(&mut self.listeners[listener].accepting, true);
        self.demand(!was_accepting, || {
            format!("accept on {id:?}, which accepts already")
        });
        self.listeners[listener].arm += 1;
        self.record(Who::Listener(listener), "accept", 0);
        self.plan_soon(Event::AcceptReady(listener));
    }

    pub(super) fn stop_accepting(&mut self, id: ListenerId) {
        let listener = self.open_listener(id, "stop_accepting");
        let arm = self.listeners[listener].arm;
        self.record(Who::Listener(listener), "stop accepting", 0);
        self.plan_soon(Event::StopAccepting(listener, arm));
    }

    pub(super) fn close_listener(&mut self, id: ListenerId) {
        let listener = self.open_listener(id, "close_listener");
        let accepting = self.listeners[listener].accepting;
        self.demand(!accepting, || {
            format!("close_listener of {id:?}, which still accepts")
        });
        self.record(Who::Listener(listener), "close listener", 0);
        self.listeners[listener].descriptor = None;
        let waiting = std::mem::take(&mut self.listeners[listener].waiting);
        for peer in waiting {
            self.reset_client(peer);
        }
    }

    pub(super) fn shed(&mut self, id: ListenerId) -> bool {
        let listener = self.open_listener(id, "shed");
        let Some(peer) = self.listeners[listener].waiting.pop_front() else {
            return false;
        };
        self.record(Who::Listener(listener), "shed", peer as u64);
        self.leave_connection(peer);
        true
    }

    fn open_listener(&self, id: ListenerId, verb: &str) -> usize {
        let index = id.0 as usize;
        let listener = self.listeners.get(index);
        let open = listener.is_some_and(|listener| listener.descriptor.is_some());
        self.demand(open, || {
            format!("{verb} on {id:?}, which is closed or was never added")
        });
        index
    }

    pub(super) fn on_arrive(&mut self, peer: usize) {
        let listener = self.peers[peer].listener;
        self.tell_client(peer);
        if self.listeners[listener].descriptor.is_none() {
            self.peers[peer].link = Link::Gone;
            self.peers[peer].end = Some(ClientEnd::Refused);
            self.record(Who::Client(peer), "is refused", 0);
            return;
        }
        self.record(Who::Client(peer), "connects", 0);
        self.peers[peer].link = Link::Waiting;
        self.listeners[listener].waiting.push_back(peer);
        self.plan_soon(Event::AcceptReady(listener));
        self.plan_uplink(peer);
    }

    pub(super) fn on_accept_ready(&mut self, listener: usize) {
        let id = ListenerId(listener as u32);
        while self.listeners[listener].accepting && !self.listeners[listener].waiting.is_empty() {
            if self.strikes(Fault::AcceptFailed, self.settings.accept_failure) {
                let out = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];
                let error = Some(Errno(self.random.pick(&out)));
                self.listeners[listener].accepting = false;
                let stopped = Completion::AcceptStopped {
                    listener: id,
                    error,
                };
                self.ready.push(stopped);
                return;
            }
            let waiting = self.listeners[listener].waiting.pop_front();
            let peer = waiting.expect("it is not empty");
            let socket = SocketId(self.sockets.insert(Socket::new(peer)));
            self.peers[peer].link = Link::Open(socket);
            let accepted = Completion::Accepted {
                listener: id,
                socket,
            };
            self.ready.push(accepted);
        }
    }

    pub(super) fn on_stop_accepting(&mut self, listener: usize, arm: u64) {
        let it = &mut self.listeners[listener];
        if it.accepting && it.arm == arm {
            it.accepting = false;
            self.ready.push(Completion::AcceptStopped {
                listener: ListenerId(listener as u32),
                error: None,
            });
        }
    }
}
