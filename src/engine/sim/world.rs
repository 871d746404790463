//! The world of one simulation: its clock, its agenda, and what the rest of this room shares.
//!
//! Everything that will happen stands in the agenda with its time and its number, so that the order
//! of events follows from the seed. Nothing here iterates over a map with hashed keys.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::io;

use super::disk::{Pages, Started};
use super::listeners::Listener;
use super::network::{Peer, Socket};
use super::trace::{Trace, Who};
use super::{Action, Coverage, Fault, Random, SimSettings};
use crate::base::limits::TICK;
use crate::base::{Millis, Now, Slab};
use crate::engine::{Completion, ListenerId, OperationId, Received, SocketId, Waker};

/// The monotonic clock does not begin at zero, as a real one does not.
const MONOTONIC_START_MS: u64 = 1_000_000;

/// Something that will happen.
pub(super) enum Event {
    /// The peer's SYN arrives.
    Arrive(usize),
    /// The listener looks at its queue.
    AcceptReady(usize),
    /// [`crate::engine::Engine::stop_accepting`] takes effect on one arm.
    StopAccepting(usize, u64),
    /// Bytes of a client arrive in the kernel.
    Uplink(usize),
    /// The kernel gives bytes to an armed receive.
    Deliver(SocketId),
    /// A stop takes effect on one arm of a receive.
    StopReceive(SocketId, u64),
    /// The kernel takes bytes of a send.
    PushSend(SocketId),
    /// A send or poll is cancelled.
    CancelSend(SocketId),
    /// A poll ends.
    Writable(SocketId),
    /// Bytes held back for a file that has not come are sent all the same.
    Uncork(usize),
    /// Bytes arrive at a client.
    Downlink(usize),
    /// A client reads.
    ClientRead(usize),
    /// A client does the next step of its script.
    Script(usize),
    /// A RST arrives at a client.
    ResetAtClient(usize),
    /// The server learns that a connection is broken.
    ResetAtServer(usize, i32),
    /// A fault of a client that was decided when it connected.
    Doom(usize, Fault),
    /// A slow-lane operation ends.
    Finish(Box<Started>),
    /// A tick, of one call of `set_ticking`.
    Tick(u64),
    /// Something that the test does.
    Act(Action),
}

struct Planned {
    at_us: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    /// The earliest is the greatest, which a [`BinaryHeap`] gives first.
    fn cmp(&self, other: &Planned) -> Ordering {
        (other.at_us, other.number).cmp(&(self.at_us, self.number))
    }
}

/// The receive buffers, as far as they are numbers; their memory is the engine's.
pub(super) struct Pool {
    pub(super) free: Vec<u16>,
    pub(super) lent: Vec<bool>,
    pub(super) lent_count: usize,
    /// Filled in this turn; the engine copies it into its memory.
    pub(super) filled: Vec<(u16, Vec<u8>)>,
}

/// What [`World::next`] wants of the engine.
pub(super) enum Next {
    /// Do this, then go on.
    Act(Action),
    /// Return to the worker.
    Return,
}

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) settings: SimSettings,
    pub(super) random: Random,
    pub(super) trace: Trace,
    pub(super) coverage: Coverage,
    pub(super) time_us: u64,
    pub(super) pool: Pool,
    pub(super) listeners: Vec<Listener>,
    pub(super) sockets: Slab<Socket>,
    /// The last sockets that were closed, for stale completions.
    pub(super) closed: VecDeque<SocketId>,
    pub(super) peers: Vec<Peer>,
    pub(super) pages: Pages,
    pub(super) in_flight: HashSet<OperationId>,
    pub(super) ready: Vec<Completion>,
    pub(super) waker: Waker,
    agenda: BinaryHeap<Planned>,
    planned: u64,
    ticking: bool,
    ticking_arm: u64,
    waits: u64,
    now_at_wait: Now,
}

impl World {
    pub(super) fn new(seed: u64, settings: SimSettings) -> io::Result<World> {
        let buffers = settings.receive_buffers;
        let mut world = World {
            seed,
            random: Random::new(seed),
            trace: Trace::new(settings.trace_events),
            coverage: Coverage::default(),
            time_us: 0,
            pool: Pool {
                free: (0..buffers).rev().collect(),
                lent: vec![false; buffers.into()],
                lent_count: 0,
                filled: Vec::new(),
            },
            listeners: Vec::new(),
            sockets: Slab::new(),
            closed: VecDeque::new(),
            peers: Vec::new(),
            pages: Pages::default(),
            in_flight: HashSet::new(),
            ready: Vec::new(),
            waker: Waker::new()?,
            agenda: BinaryHeap::new(),
            planned: 0,
            ticking: false,
            ticking_arm: 0,
            waits: 0,
            now_at_wait: Now::default(),
            settings,
        };
        world.now_at_wait = world.clocks();
        Ok(world)
    }

    /// Both clocks as of the last wait.
    pub(super) fn now(&self) -> Now {
        self.now_at_wait
    }

    pub(super) fn plan(&mut self, delay_us: u64, event: Event) {
        self.planned += 1;
        self.agenda.push(Planned {
            at_us: self.time_us + delay_us,
            number: self.planned,
            event,
        });
    }

    /// Plans `event` after an ordinary delay.
    pub(super) fn plan_soon(&mut self, event: Event) {
        let delay_us = self.random.between(1, self.settings.latency_max_us);
        self.plan(delay_us, event);
    }

    pub(super) fn record(&mut self, who: Who, what: &'static str, amount: u64) {
        self.trace.record(self.time_us, who, what, amount);
    }

    /// Rolls for `fault`, and counts it when it happens.
    pub(super) fn strikes(&mut self, fault: Fault, probability: f64) -> bool {
        let strikes = self.random.chance(probability);
        if strikes {
            self.coverage.count(fault);
        }
        strikes
    }

    pub(super) fn set_ticking(&mut self, on: bool) {
        if self.ticking == on {
            return;
        }
        self.ticking = on;
        self.ticking_arm += 1;
        self.record(Who::Engine, "set ticking", on.into());
        if on {
            self.plan_tick();
        }
    }

    /// Gives a buffer back to the ring.
    pub(super) fn recycle(&mut self, received: &Received) {
        let lent = &mut self.pool.lent[usize::from(received.buffer)];
        let was_lent = std::mem::replace(lent, false);
        self.demand(was_lent, || {
            "a receive buffer of another engine was recycled".to_owned()
        });
        self.pool.lent_count -= 1;
        self.pool.free.push(received.buffer);
    }

    /// Begins a wait: time passes even for a worker that never sleeps.
    pub(super) fn enter_wait(&mut self) -> io::Result<()> {
        self.waits += 1;
        self.demand(self.pool.lent_count == 0, || {
            "a receive buffer was held over a wait".to_owned()
        });
        if self.waits > self.settings.waits_max {
            return Err(self.give_up("too many waits: the worker spins"));
        }
        self.time_us += self.random.between(1, 20);
        if self.strikes(Fault::Stalled, self.settings.stall) {
            self.time_us += self.random.any_size(14) + 1000;
        }
        if self.strikes(Fault::SpuriousWake, self.settings.spurious_wake) {
            self.ready.push(Completion::Woken);
        }
        if !self.closed.is_empty() && self.random.chance(self.settings.stale_completion) {
            self.add_stale_completion();
        }
        Ok(())
    }

    /// Lets everything happen that is due, or lets time pass when the worker may sleep.
    pub(super) fn next(&mut self, may_sleep: bool) -> io::Result<Next> {
        self.collect_wake();
        loop {
            let due = self.agenda.peek().map(|planned| planned.at_us);
            match due {
                Some(at_us) if at_us <= self.time_us => {
                    let planned = self.agenda.pop().expect("it was just seen");
                    if let Event::Act(action) = planned.event {
                        self.record(Who::Engine, "the test acts", 0);
                        return Ok(Next::Act(action));
                    }
                    self.happen(planned.event);
                }
                _ if !self.ready.is_empty() || !may_sleep => return Ok(Next::Return),
                Some(at_us) => self.sleep_until(at_us)?,
                None => return Err(self.give_up("deadlock: nothing will ever happen again")),
            }
        }
    }

    /// Ends a wait.
    pub(super) fn leave_wait(&mut self, completions: &mut Vec<Completion>) {
        self.now_at_wait = self.clocks();
        if self.ready.len() > 1 && self.random.chance(self.settings.reorder) {
            self.reorder();
        }
        for completion in &self.ready {
            let (who, what, amount) = describe(completion);
            self.trace.record(self.time_us, who, what, amount);
        }
        completions.append(&mut self.ready);
    }

    /// The engine is gone: nothing acts on the worker's behalf any more.
    pub(super) fn on_engine_gone(&mut self) {
        self.ticking = false;
        self.agenda
            .retain(|planned| !matches!(planned.event, Event::Act(_)));
        self.peers.iter_mut().for_each(|peer| peer.watcher = None);
    }

    /// After the worker: nothing may complete any more but a wake-up that came too late.
    pub(super) fn drop_late_wake(&mut self) {
        let late = std::mem::take(&mut self.ready);
        let all_wakes = late.iter().all(|it| matches!(it, Completion::Woken));
        self.demand(all_wakes, || {
            "something completed after the worker ended".to_owned()
        });
    }

    /// True with the probability of a signal that interrupts a sleep.
    pub(super) fn is_interrupted(&mut self) -> bool {
        self.ready.is_empty() && self.strikes(Fault::Interrupted, self.settings.interrupted)
    }

    /// Panics with a sentence when the worker broke the contract of the engine.
    #[track_caller]
    pub(super) fn demand(&self, kept: bool, sentence: impl FnOnce() -> String) {
        if !kept {
            let (seed, sentence) = (self.seed, sentence());
            panic!("contract of the engine broken (seed {seed}): {sentence}");
        }
    }

    fn give_up(&self, why: &str) -> io::Error {
        let (seed, ms) = (self.seed, self.time_us / 1000);
        let text = format!("simulation of seed {seed} after {ms} ms: {why}");
        io::Error::new(io::ErrorKind::TimedOut, text)
    }

    fn sleep_until(&mut self, at_us: u64) -> io::Result<()> {
        let limit_us = self.settings.virtual_time_max.as_micros();
        if u128::from(at_us) > limit_us {
            return Err(self.give_up("too much time has passed: the worker never ends"));
        }
        self.time_us = at_us;
        Ok(())
    }

    fn clocks(&self) -> Now {
        Now {
            monotonic: Millis(MONOTONIC_START_MS + self.time_us / 1000),
            unix_seconds: self.unix_seconds(),
        }
    }

    pub(super) fn unix_seconds(&self) -> u64 {
        self.settings.unix_seconds + self.time_us / 1_000_000
    }

    fn collect_wake(&mut self) {
        let mut count = [0; 8];
        let woken = rustix::io::read(self.waker.fd(), &mut count).is_ok();
        if woken && !self.ready.iter().any(|it| matches!(it, Completion::Woken)) {
            self.ready.push(Completion::Woken);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(peer) => self.on_arrive(peer),
            Event::AcceptReady(listener) => self.on_accept_ready(listener),
            Event::StopAccepting(listener, arm) => self.on_stop_accepting(listener, arm),
            Event::Uplink(peer) => self.on_uplink(peer),
            Event::Deliver(socket) => self.on_deliver(socket),
            Event::StopReceive(socket, arm) => self.on_stop_receive(socket, arm),
            Event::PushSend(socket) => self.on_push_send(socket),
            Event::CancelSend(socket) => self.on_cancel_send(socket),
            Event::Writable(socket) => self.on_writable(socket),
            Event::Uncork(peer) => self.on_uncork(peer),
            Event::Downlink(peer) => self.on_downlink(peer),
            Event::ClientRead(peer) => self.on_client_read(peer),
            Event::Script(peer) => self.on_script(peer),
            Event::ResetAtClient(peer) => self.on_reset_at_client(peer),
            Event::ResetAtServer(peer, errno) => self.on_reset_at_server(peer, errno),
            Event::Doom(peer, fault) => self.on_doom(peer, fault),
            Event::Finish(started) => self.on_finish(*started),
            Event::Tick(arm) => self.on_tick(arm),
            Event::Act(_) => unreachable!("actions are done by the engine"),
        }
    }

    fn plan_tick(&mut self) {
        let tick_us = TICK.as_micros() as u64;
        let jitters = self.strikes(Fault::TickJitter, self.settings.tick_jitter);
        let delay_us = if jitters {
            self.random.between(tick_us / 2, tick_us * 3 / 2)
        } else {
            tick_us
        };
        self.plan(delay_us, Event::Tick(self.ticking_arm));
    }

    fn on_tick(&mut self, arm: u64) {
        if self.ticking && arm == self.ticking_arm {
            self.ready.push(Completion::Ticked);
            self.plan_tick();
        }
    }

    fn add_stale_completion(&mut self) {
        let nth = self.random.below(self.closed.len() as u64) as usize;
        let socket = self.closed[nth];
        self.coverage.count(Fault::StaleCompletion);
        let completion = match self.random.below(3) {
            0 => Completion::Writable { socket },
            1 => Completion::ReceiveEnded {
                socket,
                end: crate::engine::ReceiveEnd::Stopped,
            },
            _ => match self.fill_buffer(b"GET /stale HTTP/1.1\r\n") {
                Some(received) => Completion::Received { socket, received },
                None => return,
            },
        };
        self.ready.push(completion);
    }

    /// Lends a buffer with at most its size of `bytes`; `None` when none is free.
    pub(super) fn fill_buffer(&mut self, bytes: &[u8]) -> Option<Received> {
        let buffer = self.pool.free.pop()?;
        let bytes = &bytes[..bytes.len().min(self.settings.receive_buffer_bytes)];
        self.pool.lent[usize::from(buffer)] = true;
        self.pool.lent_count += 1;
        self.pool.filled.push((buffer, bytes.to_vec()));
        Some(Received {
            buffer,
            len: bytes.len() as u32,
        })
    }

    /// Mixes the completions, but keeps the order of those that the contract orders.
    fn reorder(&mut self) {
        let mut lanes: Vec<(Lane, VecDeque<Completion>)> = Vec::new();
        for completion in self.ready.drain(..) {
            let lane = Lane::of(&completion);
            match lanes.iter_mut().find(|(known, _)| *known == lane) {
                Some((_, queue)) => queue.push_back(completion),
                None => lanes.push((lane, VecDeque::from([completion]))),
            }
        }
        if lanes.len() > 1 {
            self.coverage.count(Fault::Reordered);
        }
        while !lanes.is_empty() {
            let nth = self.random.below(lanes.len() as u64) as usize;
            let queue = &mut lanes[nth].1;
            self.ready.extend(queue.pop_front());
            if queue.is_empty() {
                lanes.remove(nth);
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("simulation of seed {}, {}", self.seed, self.trace);
        }
    }
}

/// Completions of one lane stay in order.
#[derive(PartialEq, Eq)]
enum Lane {
    Accept(ListenerId),
    Receive(SocketId),
    Send(SocketId),
    Operation(OperationId),
    Wake,
    Tick,
}

impl Lane {
    fn of(completion: &Completion) -> Lane {
        match completion {
            Completion::Accepted { listener, .. } => Lane::Accept(*listener),
            Completion::AcceptStopped { listener, .. } => Lane::Accept(*listener),
            Completion::Received { socket, .. } => Lane::Receive(*socket),
            Completion::ReceiveEnded { socket, .. } => Lane::Receive(*socket),
            Completion::Sent { socket, .. } => Lane::Send(*socket),
            Completion::Writable { socket } => Lane::Send(*socket),
            Completion::Finished { operation, .. } => Lane::Operation(*operation),
            Completion::Woken => Lane::Wake,
            Completion::Ticked => Lane::Tick,
        }
    }
}

fn describe(completion: &Completion) -> (Who, &'static str, u64) {
    match completion {
        Completion::Accepted { socket, .. } => (Who::Socket(*socket), "Accepted", 0),
        Completion::AcceptStopped { listener, error } => {
            let errno = error.map_or(0, |errno| errno.0 as u64);
            (Who::Listener(listener.0 as usize), "AcceptStopped", errno)
        }
        Completion::Received { socket, received } => {
            (Who::Socket(*socket), "Received", received.len.into())
        }
        Completion::ReceiveEnded { socket, end } => {
            use crate::engine::ReceiveEnd;
            let what = match end {
                ReceiveEnd::Eof => "ReceiveEnded Eof",
                ReceiveEnd::Starved => "ReceiveEnded Starved",
                ReceiveEnd::Stopped => "ReceiveEnded Stopped",
                ReceiveEnd::Failed(_) => "ReceiveEnded Failed",
            };
            (Who::Socket(*socket), what, 0)
        }
        Completion::Sent {
            socket,
            batch,
            result,
        } => {
            let what = if result.is_ok() { "Sent" } else { "Sent Err" };
            (Who::Socket(*socket), what, batch.len() as u64)
        }
        Completion::Writable { socket } => (Who::Socket(*socket), "Writable", 0),
        Completion::Finished { operation, .. } => {
            (Who::Operation(operation.0.index), "Finished", 0)
        }
        Completion::Woken => (Who::Engine, "Woken", 0),
        Completion::Ticked => (Who::Engine, "Ticked", 0),
    }
}
