//! The engine of the tests: a whole world that follows from one seed.
//!
//! [`SimEngine`] keeps the contract of [`Engine`] over a virtual network and a virtual clock. It
//! has no threads, reads no clock and opens no socket; files are real, their delays are not. A
//! worker over it can be run for thousands of seeds, and every failure can be run again.
//!
//! - It does to the worker whatever the contract allows: see [`Fault`] and [`SimSettings`].
//! - It panics with a sentence when the worker breaks the contract.
//! - [`Sim`] is the test's hand in the world: it makes clients, gives them scripts, acts at given
//!   times, and looks at what is left in the end.
//!
//! `wait` lets virtual time pass until something happens. When nothing can ever happen again, it
//! fails with [`io::ErrorKind::TimedOut`]. When a test panics, the last events are printed.

mod client;
mod disk;
mod listeners;
mod network;
mod random;
mod settings;
mod trace;
mod world;

#[cfg(test)]
mod tests;

use std::cell::{Ref, RefCell};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

pub use client::{ClientEnd, ClientScript, Enough, Maker, Reading, Step, Watcher};
pub use random::Random;
pub use settings::SimSettings;
pub use trace::{Coverage, Fault};

use super::{
    Completion, Engine, FileRange, FileRead, FileSent, ListenerId, Operation, OperationId,
    Received, SendBatch, SocketId, Wait, Waker,
};
use crate::base::Now;
use world::{Event, Next, World};

/// Something that the test does at a given time, between two turns of the worker.
pub type Action = Box<dyn FnOnce(&Sim)>;

/// A seeded, deterministic engine.
pub struct SimEngine {
    sim: Sim,
    /// The memory of the receive buffers.
    memory: Vec<Vec<u8>>,
}

impl SimEngine {
    /// An engine in a world of its own. Fails when no eventfd can be had.
    pub fn new(seed: u64, settings: SimSettings) -> io::Result<SimEngine> {
        let buffer_bytes = settings.receive_buffer_bytes;
        let memory = vec![vec![0; buffer_bytes]; settings.receive_buffers.into()];
        let world = World::new(seed, settings)?;
        Ok(SimEngine {
            sim: Sim(Rc::new(RefCell::new(world))),
            memory,
        })
    }

    /// The test's hand in this engine's world.
    pub fn sim(&self) -> Sim {
        self.sim.clone()
    }
}

impl Engine for SimEngine {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn now(&self) -> Now {
        self.sim.world().now()
    }

    fn waker(&self) -> Waker {
        self.sim.world().waker.clone()
    }

    fn set_ticking(&mut self, on: bool) {
        self.sim.change().set_ticking(on);
    }

    fn add_listener(&mut self, listener: OwnedFd) -> ListenerId {
        self.sim.change().add_listener(listener)
    }

    fn accept(&mut self, listener: ListenerId) {
        self.sim.change().accept(listener);
    }

    fn stop_accepting(&mut self, listener: ListenerId) {
        self.sim.change().stop_accepting(listener);
    }

    fn close_listener(&mut self, listener: ListenerId) {
        self.sim.change().close_listener(listener);
    }

    fn shed(&mut self, listener: ListenerId) -> bool {
        self.sim.change().shed(listener)
    }

    fn receive(&mut self, socket: SocketId) {
        self.sim.change().receive(socket);
    }

    fn stop_receiving(&mut self, socket: SocketId) {
        self.sim.change().stop_receiving(socket);
    }

    fn bytes(&mut self, received: &Received) -> &mut [u8] {
        &mut self.memory[usize::from(received.buffer)][..received.len as usize]
    }

    fn recycle(&mut self, received: Received) {
        // What is read after it was given back is rubbish, as it is in a real ring.
        self.memory[usize::from(received.buffer)].fill(0xDD);
        self.sim.change().recycle(&received);
    }

    fn send(&mut self, socket: SocketId, batch: Box<SendBatch>, more: bool) {
        self.sim.change().send(socket, batch, more);
    }

    fn send_ahead(&mut self, socket: SocketId, bytes: &[u8], _more: bool) -> usize {
        self.sim.change().send_ahead(socket, bytes)
    }

    fn send_file(&mut self, socket: SocketId, range: &FileRange) -> FileSent {
        self.sim.change().send_file(socket, range)
    }

    fn read_file(&mut self, range: &FileRange, buf: &mut Vec<u8>) -> FileRead {
        self.sim.change().read_file(range, buf)
    }

    fn note_read(&mut self, _range: &FileRange) {
        // Whether a page is cold is a matter of chance here, each time anew.
    }

    fn poll_writable(&mut self, socket: SocketId) {
        self.sim.change().poll_writable(socket);
    }

    fn descriptor(&self, _socket: SocketId) -> Option<(BorrowedFd<'_>, u64)> {
        None
    }

    fn send_progress(&self, socket: SocketId) -> u64 {
        let mut world = self.sim.change();
        let peer = world.socket_mut(socket, "send_progress").peer;
        world.peers[peer].taken
    }

    fn shutdown_write(&mut self, socket: SocketId) {
        self.sim.change().shutdown_write(socket);
    }

    fn cancel(&mut self, socket: SocketId) {
        self.sim.change().cancel(socket);
    }

    fn close(&mut self, socket: SocketId) {
        self.sim.change().close(socket);
    }

    fn start(&mut self, id: OperationId, operation: Operation) {
        self.sim.change().start(id, operation);
    }

    fn wait(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()> {
        self.sim.change().enter_wait()?;
        let interrupted = wait == Wait::Block && self.sim.change().is_interrupted();
        let may_sleep = wait == Wait::Block && !interrupted;
        loop {
            let next = self.sim.change().next(may_sleep)?;
            match next {
                Next::Act(action) => action(&self.sim),
                Next::Return => break,
            }
        }
        let mut world = self.sim.change();
        for (buffer, bytes) in world.pool.filled.drain(..) {
            self.memory[usize::from(buffer)][..bytes.len()].copy_from_slice(&bytes);
        }
        world.leave_wait(completions);
        Ok(())
    }

    fn flush(&mut self) {}
}

impl Drop for SimEngine {
    fn drop(&mut self) {
        // Actions and watchers hold a `Sim` each: without this, a world with some left would hold
        // itself.
        if let Ok(mut world) = self.sim.0.try_borrow_mut() {
            world.on_engine_gone();
        }
    }
}

/// The test's hand in a simulated world. Clones reach into the same world.
#[derive(Clone)]
pub struct Sim(Rc<RefCell<World>>);

impl Sim {
    /// A client that connects to a listener; it does only what it is told to.
    pub fn connect(&self, listener: ListenerId) -> Client {
        let peer = self.change().connect(listener.0 as usize);
        Client {
            sim: self.clone(),
            peer,
        }
    }

    /// A client that connects to a listener and follows a script, then closes.
    pub fn connect_with(&self, listener: ListenerId, script: ClientScript) -> Client {
        let client = self.connect(listener);
        self.change().follow(client.peer, script);
        client
    }

    /// Lets the test do something once `delay` of virtual time has passed.
    pub fn after(&self, delay: Duration, action: impl FnOnce(&Sim) + 'static) {
        let delay_us = delay.as_micros() as u64;
        self.change().plan(delay_us, Event::Act(Box::new(action)));
    }

    /// Wakes the worker, as another thread would.
    pub fn wake(&self) {
        self.world().waker.wake();
    }

    /// Virtual time since the beginning.
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.world().time_us)
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.world().seed
    }

    /// How often each fault has happened.
    pub fn coverage(&self) -> Coverage {
        self.world().coverage.clone()
    }

    /// A number that differs when any event of two runs differs.
    pub fn fingerprint(&self) -> u64 {
        self.world().trace.fingerprint()
    }

    /// The last events, one a line.
    pub fn trace(&self) -> String {
        self.world().trace.to_string()
    }

    /// Sockets that the worker has not closed.
    pub fn open_sockets(&self) -> usize {
        self.world().sockets.len()
    }

    /// Lets everything happen that still can, without a worker: its last bytes reach their clients.
    /// Panics when a worker would still have been needed.
    pub fn settle(&self) {
        loop {
            let next = self.change().next(true);
            match next {
                Ok(Next::Act(action)) => action(self),
                Ok(Next::Return) => self.change().drop_late_wake(),
                Err(_) => return,
            }
        }
    }

    /// Panics unless the worker has given back all that it was lent: sockets, receive buffers,
    /// operations, listeners.
    pub fn assert_quiescent(&self) {
        let world = self.world();
        let listeners = world.listeners.iter();
        let open = listeners.filter(|it| it.descriptor.is_some()).count();
        for (count, what) in [
            (world.sockets.len(), "sockets are open"),
            (world.pool.lent_count, "receive buffers were not recycled"),
            (world.in_flight.len(), "operations are in flight"),
            (open, "listeners are open"),
        ] {
            world.demand(count == 0, || format!("{count} {what} in the end"));
        }
    }

    fn world(&self) -> Ref<'_, World> {
        self.0.borrow()
    }

    fn change(&self) -> std::cell::RefMut<'_, World> {
        self.0.borrow_mut()
    }
}

/// One virtual client.
#[derive(Clone)]
pub struct Client {
    sim: Sim,
    peer: usize,
}

impl Client {
    /// Its number, as the trace names it.
    pub fn number(&self) -> usize {
        self.peer
    }

    /// Writes one message; the network cuts it as it likes.
    pub fn write(&self, bytes: &[u8]) {
        self.sim.change().client_write(self.peer, bytes);
    }

    /// Sends FIN and goes on reading.
    pub fn half_close(&self) {
        self.sim.change().client_half_close(self.peer);
    }

    /// Closes; with unread bytes that is a reset.
    pub fn close(&self) {
        self.sim.change().client_close(self.peer);
    }

    /// Resets the connection.
    pub fn reset(&self) {
        self.sim.change().client_reset(self.peer);
    }

    /// Falls silent for ever.
    pub fn vanish(&self) {
        self.sim.change().client_vanish(self.peer);
    }

    /// Reads faster or slower from now on.
    pub fn reads(&self, reading: Reading) {
        self.sim.change().client_reads(self.peer, reading);
    }

    /// Lets `watcher` be told, between two turns of the worker, whenever the client has read
    /// something, and when its connection begins or ends.
    pub fn watch(&self, watcher: Watcher) {
        self.sim.change().watch(self.peer, watcher);
    }

    /// All that it has read.
    pub fn received(&self) -> Ref<'_, [u8]> {
        Ref::map(
            self.sim.world(),
            |world| &world.peers[self.peer].received[..],
        )
    }

    /// How the server ended the connection; `None` when it did not, or the client left first.
    pub fn end(&self) -> Option<ClientEnd> {
        self.sim.world().peers[self.peer].end
    }

    /// True once the server has ended the connection.
    pub fn is_closed(&self) -> bool {
        self.end().is_some()
    }

    /// True when the client itself has closed, reset or fallen silent.
    pub fn has_left(&self) -> bool {
        let world = self.sim.world();
        world.peers[self.peer].left || world.peers[self.peer].vanished
    }

    /// True when a fault of the settings struck this client: what it received may be cut off.
    pub fn is_disturbed(&self) -> bool {
        self.sim.world().peers[self.peer].disturbed
    }
}
