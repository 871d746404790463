//! The simulated engine against its own contract, with two tiny drivers: one that echoes, and one
//! that sends a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::Id;
use crate::engine::operation::SharedFile;
use crate::engine::{Outcome, ReceiveEnd};

fn any_descriptor() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

/// The connection of a driver.
#[derive(Default)]
struct Line {
    receiving: bool,
    output_busy: bool,
    eof: bool,
    leaving: bool,
    pending: Vec<u8>,
    file_at: u64,
    asked_file: bool,
    last_progress: (u64, u64),
}

/// What a connection is for.
enum Service {
    Echo,
    /// Sends the file once a byte was received.
    Send(SharedFile, u64),
}

/// Serves until it has seen so many clients, and keeps the contract.
struct Driver {
    engine: SimEngine,
    service: Service,
    listener: ListenerId,
    lines: BTreeMap<SocketId, Line>,
    reads: BTreeMap<u32, SocketId>,
    operations: u32,
    accepted: usize,
    shed: usize,
    accepting: bool,
    clients: usize,
}

const BACKLOG_BYTES: usize = 2000;
const IDLE_MS: u64 = 10_000;

impl Driver {
    fn new(seed: u64, settings: SimSettings, service: Service) -> Driver {
        let mut engine = SimEngine::new(seed, settings).unwrap();
        let listener = engine.add_listener(any_descriptor());
        engine.accept(listener);
        engine.set_ticking(true);
        Driver {
            engine,
            service,
            listener,
            lines: BTreeMap::new(),
            reads: BTreeMap::new(),
            operations: 0,
            accepted: 0,
            shed: 0,
            accepting: true,
            clients: 0,
        }
    }

    fn run(&mut self, clients: usize) -> io::Result<()> {
        let mut completions = Vec::new();
        self.clients = clients;
        while self.accepted + self.shed < clients || !self.lines.is_empty() || self.accepting {
            if self.accepted + self.shed == clients && self.accepting {
                self.engine.stop_accepting(self.listener);
            }
            self.engine.wait(Wait::Block, &mut completions)?;
            for completion in completions.drain(..) {
                self.on_completion(completion);
            }
        }
        while !self.reads.is_empty() {
            self.engine.wait(Wait::Block, &mut completions)?;
            for completion in completions.drain(..) {
                self.on_completion(completion);
            }
        }
        self.engine.close_listener(self.listener);
        self.engine.set_ticking(false);
        Ok(())
    }

    fn on_completion(&mut self, completion: Completion) {
        match completion {
            Completion::Accepted { socket, .. } => {
                self.accepted += 1;
                self.lines.insert(socket, Line::default());
                self.on_progress(socket);
            }
            Completion::AcceptStopped { error, .. } => {
                self.accepting = false;
                if error.is_some() && self.engine.shed(self.listener) {
                    self.shed += 1;
                }
            }
            Completion::Received { socket, received } => {
                if let Some(line) = self.lines.get_mut(&socket) {
                    line.pending.extend_from_slice(self.engine.bytes(&received));
                }
                self.engine.recycle(received);
                self.on_progress(socket);
            }
            Completion::ReceiveEnded { socket, end } => {
                let Some(line) = self.lines.get_mut(&socket) else {
                    return;
                };
                line.receiving = false;
                match end {
                    ReceiveEnd::Eof => line.eof = true,
                    ReceiveEnd::Failed(_) => self.leave(socket),
                    ReceiveEnd::Starved | ReceiveEnd::Stopped => {}
                }
                self.on_progress(socket);
            }
            Completion::Sent { socket, result, .. } => {
                let line = self
                    .lines
                    .get_mut(&socket)
                    .expect("a send holds its socket");
                line.output_busy = false;
                if result.is_err() {
                    self.leave(socket);
                }
                self.on_progress(socket);
            }
            Completion::Writable { socket } => {
                if let Some(line) = self.lines.get_mut(&socket) {
                    line.output_busy = false;
                }
                self.on_progress(socket);
            }
            Completion::Finished { operation, outcome } => self.on_finished(operation, outcome),
            Completion::Woken => {}
            Completion::Ticked => self.on_tick(),
        }
    }

    /// Does whatever a connection can do now.
    fn on_progress(&mut self, socket: SocketId) {
        let Some(line) = self.lines.get_mut(&socket) else {
            return;
        };
        if line.leaving {
            if !line.receiving && !line.output_busy {
                self.lines.remove(&socket);
                self.engine.close(socket);
            }
            return;
        }
        let full = line.pending.len() > BACKLOG_BYTES;
        if line.receiving && full {
            self.engine.stop_receiving(socket);
        } else if !line.receiving && !full && !line.eof {
            line.receiving = true;
            self.engine.receive(socket);
        }
        if line.output_busy {
            return;
        }
        match &self.service {
            Service::Echo if line.pending.is_empty() => {
                if line.eof {
                    self.engine.shutdown_write(socket);
                    self.leave(socket);
                    self.on_progress(socket);
                }
            }
            Service::Echo => {
                let mut batch = Box::new(SendBatch::default());
                let (own, shared) = line.pending.split_at(line.pending.len() / 2);
                batch.push(own);
                batch.push_shared(shared.to_vec().into());
                line.pending.clear();
                line.output_busy = true;
                self.engine.send(socket, batch, false);
            }
            Service::Send(file, len) => {
                if line.pending.is_empty() && !line.eof {
                    return;
                }
                let (file, len) = (file.clone(), *len);
                self.send_file(socket, file, len);
            }
        }
    }

    fn send_file(&mut self, socket: SocketId, file: SharedFile, len: u64) {
        let line = self.lines.get_mut(&socket).unwrap();
        if line.asked_file {
            return;
        }
        while line.file_at < len {
            let range = FileRange {
                file: file.clone(),
                offset: line.file_at,
                len: len - line.file_at,
            };
            match self.engine.send_file(socket, &range) {
                FileSent::Sent { bytes, .. } => line.file_at += bytes,
                FileSent::WouldBlock => {
                    line.output_busy = true;
                    return self.engine.poll_writable(socket);
                }
                FileSent::Cold => {
                    line.asked_file = true;
                    self.operations += 1;
                    let id = Id {
                        index: self.operations,
                        generation: 0,
                    };
                    self.reads.insert(self.operations, socket);
                    let read = Operation::Read {
                        file: range.file,
                        offset: range.offset,
                        buf: Vec::with_capacity(range.len.min(10_000) as usize),
                    };
                    return self.engine.start(OperationId(id), read);
                }
                FileSent::Truncated | FileSent::Failed(_) => break,
            }
        }
        self.leave(socket);
        self.on_progress(socket);
    }

    fn on_finished(&mut self, operation: OperationId, outcome: Outcome) {
        let socket = self.reads.remove(&operation.0.index).expect("it ends once");
        let Some(line) = self.lines.get_mut(&socket) else {
            return;
        };
        line.asked_file = false;
        if line.leaving {
            return;
        }
        match outcome {
            Outcome::Read {
                buf,
                result: Ok(bytes @ 1..),
            } => {
                assert_eq!(buf.len(), bytes);
                let mut batch = Box::new(SendBatch::default());
                batch.push(&buf);
                line.file_at += bytes as u64;
                line.output_busy = true;
                self.engine.send(socket, batch, true);
            }
            _ => {
                self.leave(socket);
                self.on_progress(socket);
            }
        }
    }

    fn on_tick(&mut self) {
        if !self.accepting && self.accepted + self.shed < self.clients {
            self.accepting = true;
            self.engine.accept(self.listener);
        }
        let now = self.engine.now().monotonic.0;
        let sockets: Vec<SocketId> = self.lines.keys().copied().collect();
        for socket in sockets {
            let progress = self.engine.send_progress(socket);
            let line = self.lines.get_mut(&socket).unwrap();
            if progress > line.last_progress.1 || line.last_progress.0 == 0 {
                line.last_progress = (now, progress);
            } else if now - line.last_progress.0 > IDLE_MS {
                self.leave(socket);
                self.on_progress(socket);
            }
        }
    }

    fn leave(&mut self, socket: SocketId) {
        let line = self.lines.get_mut(&socket).unwrap();
        if !std::mem::replace(&mut line.leaving, true) {
            self.engine.cancel(socket);
        }
    }
}

fn message(random: &mut Random) -> Vec<u8> {
    let len = 1 + random.any_size(13);
    (0..len).map(|_| random.word() as u8).collect()
}

/// A client that sends `messages` in some manner and waits for their echo.
fn echo_script(random: &mut Random, messages: &[Vec<u8>]) -> ClientScript {
    let mut script = Vec::new();
    let mut total = 0;
    for message in messages {
        total += message.len();
        match random.below(4) {
            0 => script.push(Step::SendInPieces {
                bytes: message.clone(),
                piece_max: 1 + message.len() / 3,
                pause: Duration::from_micros(random.below(3000)),
            }),
            1 => {
                let wanted = total;
                script.push(Step::Send(message.clone()));
                script.push(Step::Until(Box::new(move |got| got.len() >= wanted)));
            }
            2 => {
                script.push(Step::Read(Reading::BytesPerMs(500)));
                script.push(Step::Send(message.clone()));
            }
            _ => script.push(Step::Send(message.clone())),
        }
    }
    let wanted = total;
    match random.below(3) {
        0 => script.push(Step::HalfClose),
        1 => script.push(Step::Until(Box::new(move |got| got.len() >= wanted))),
        _ => {
            script.push(Step::Until(Box::new(move |got| got.len() >= wanted)));
            script.push(Step::HalfClose);
        }
    }
    if random.chance(0.5) {
        script.push(Step::Until(Box::new(move |got| got.len() >= wanted)));
    } else {
        script.push(Step::UntilEnd);
    }
    script
}

struct Outcomes {
    coverage: Coverage,
    fingerprint: u64,
    trace: String,
}

/// Some clients of an echo server; every byte is checked.
fn run_echo(seed: u64, settings: SimSettings) -> Outcomes {
    let mut random = Random::new(seed.wrapping_mul(31) + 7);
    let mut driver = Driver::new(seed, settings, Service::Echo);
    let sim = driver.engine.sim();
    let clients: Vec<(Client, Vec<u8>)> = (0..8)
        .map(|_| {
            let count = random.below(5);
            let messages: Vec<Vec<u8>> = (0..count).map(|_| message(&mut random)).collect();
            let script = echo_script(&mut random, &messages);
            (sim.connect_with(driver.listener, script), messages.concat())
        })
        .collect();
    let result = driver.run(clients.len());
    result.unwrap_or_else(|error| panic!("{error}"));
    sim.settle();
    sim.assert_quiescent();
    let mut short = 0;
    for (client, sent) in &clients {
        let received = client.received();
        assert!(sent.starts_with(&received), "client {}", client.number());
        let cut = received.len() < sent.len();
        short += usize::from(cut && !client.is_disturbed());
    }
    assert!(
        short <= driver.shed,
        "{short} clients lost bytes (seed {seed})"
    );
    Outcomes {
        coverage: sim.coverage(),
        fingerprint: sim.fingerprint(),
        trace: sim.trace(),
    }
}

struct Scratch {
    _directory: tempfile::TempDir,
    path: PathBuf,
    content: Vec<u8>,
}

fn scratch_file(len: usize) -> Scratch {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let mut random = Random::new(9);
    let content: Vec<u8> = (0..len).map(|_| random.word() as u8).collect();
    std::fs::write(&path, &content).unwrap();
    Scratch {
        _directory: directory,
        path,
        content,
    }
}

/// Some clients of a server that sends a file; with `truncates` the file shrinks meanwhile.
fn run_file(seed: u64, settings: SimSettings, truncates: bool) -> Outcomes {
    let scratch = scratch_file(300_000);
    let file: SharedFile = Arc::new(File::open(&scratch.path).unwrap().into());
    let len = scratch.content.len() as u64;
    let mut driver = Driver::new(seed, settings, Service::Send(file, len));
    let sim = driver.engine.sim();
    let clients: Vec<Client> = (0..4)
        .map(|n| {
            let pause = Step::Pause(Duration::from_millis(n * 2));
            let script = vec![pause, Step::Send(b"!".to_vec()), Step::UntilEnd];
            sim.connect_with(driver.listener, script)
        })
        .collect();
    if truncates {
        let path = scratch.path.clone();
        sim.after(Duration::from_millis(3), move |_| {
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(1000).unwrap();
        });
    }
    let result = driver.run(clients.len());
    result.unwrap_or_else(|error| panic!("{error}"));
    sim.settle();
    sim.assert_quiescent();
    let failures = sim.coverage().of(Fault::IoError);
    for client in &clients {
        let received = client.received();
        assert!(scratch.content.starts_with(&received));
        let excused = truncates || client.is_disturbed() || failures > 0 || driver.shed > 0;
        // The peer may also be too slow for the driver's idle limit; not in these worlds.
        let whole = received.len() == scratch.content.len();
        assert!(whole || excused, "{} bytes (seed {seed})", received.len());
    }
    Outcomes {
        coverage: sim.coverage(),
        fingerprint: sim.fingerprint(),
        trace: sim.trace(),
    }
}

#[test]
fn a_calm_world_echoes_every_byte() {
    for seed in 0..50 {
        let coverage = run_echo(seed, SimSettings::calm()).coverage;
        for fault in [Fault::Starved, Fault::AcceptFailed, Fault::SpontaneousStop] {
            assert_eq!(coverage.of(fault), 0);
        }
    }
}

#[test]
fn every_fault_happens_and_no_byte_is_lost_or_moved() {
    let mut coverage = Coverage::default();
    for seed in 0..400 {
        coverage.add(&run_echo(seed, SimSettings::random(seed)).coverage);
    }
    for seed in 0..100 {
        let settings = SimSettings::random(seed);
        coverage.add(&run_file(seed, settings, seed % 2 == 0).coverage);
    }
    assert_eq!(coverage.missing(), [], "{coverage:?}");
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let mut fingerprints = std::collections::BTreeSet::new();
    for seed in 0..30 {
        let (first, again) = (
            run_echo(seed, SimSettings::random(seed)),
            run_echo(seed, SimSettings::random(seed)),
        );
        assert_eq!(first.trace, again.trace, "seed {seed}");
        assert_eq!(first.fingerprint, again.fingerprint, "seed {seed}");
        fingerprints.insert(first.fingerprint);
        let (first, again) = (
            run_file(seed, SimSettings::random(seed), true),
            run_file(seed, SimSettings::random(seed), true),
        );
        assert_eq!(first.trace, again.trace, "seed {seed}");
        assert_eq!(first.fingerprint, again.fingerprint, "seed {seed}");
    }
    assert_eq!(fingerprints.len(), 30, "each seed is a run of its own");
}

/// An engine with one accepted client that has sent a few bytes.
fn one_socket() -> (SimEngine, SocketId, Client) {
    let mut engine = SimEngine::new(5, SimSettings::calm()).unwrap();
    let listener = engine.add_listener(any_descriptor());
    engine.accept(listener);
    let client = engine.sim().connect(listener);
    client.write(b"hello");
    let mut completions = Vec::new();
    engine.wait(Wait::Block, &mut completions).unwrap();
    let [Completion::Accepted { socket, .. }] = completions[..] else {
        panic!("{completions:?}");
    };
    (engine, socket, client)
}

fn batch_of(bytes: &[u8]) -> Box<SendBatch> {
    let mut batch = Box::new(SendBatch::default());
    batch.push(bytes);
    batch
}

/// Runs a misuse and gives the sentence of the panic.
fn broken_by(misuse: impl FnOnce(&mut SimEngine, SocketId)) -> String {
    let (mut engine, socket, _client) = one_socket();
    let panic = catch_unwind(AssertUnwindSafe(|| misuse(&mut engine, socket)));
    let panic = panic.expect_err("the contract was broken");
    panic.downcast_ref::<String>().expect("a sentence").clone()
}

#[test]
fn a_broken_contract_is_said_in_a_sentence() {
    type Misuse = Box<dyn FnOnce(&mut SimEngine, SocketId)>;
    let cases: Vec<(&str, Misuse)> = vec![
        (
            "receives already",
            Box::new(|engine, socket| {
                engine.receive(socket);
                engine.receive(socket);
            }),
        ),
        (
            "send or poll is in flight",
            Box::new(|engine, socket| {
                engine.send(socket, batch_of(b"a"), false);
                engine.send(socket, batch_of(b"b"), false);
            }),
        ),
        (
            "send or poll is in flight",
            Box::new(|engine, socket| {
                engine.send(socket, batch_of(b"a"), false);
                engine.poll_writable(socket);
            }),
        ),
        (
            "close of",
            Box::new(|engine, socket| {
                engine.poll_writable(socket);
                engine.close(socket);
            }),
        ),
        (
            "closed or never was",
            Box::new(|engine, socket| {
                engine.close(socket);
                engine.send(socket, batch_of(b"late"), false);
            }),
        ),
        (
            "after cancel",
            Box::new(|engine, socket| {
                engine.cancel(socket);
                engine.receive(socket);
            }),
        ),
        (
            "after shutdown_write",
            Box::new(|engine, socket| {
                engine.shutdown_write(socket);
                engine.send(socket, batch_of(b"late"), false);
            }),
        ),
        (
            "would cut off",
            Box::new(|engine, socket| {
                engine.send(socket, batch_of(b"a"), false);
                engine.shutdown_write(socket);
            }),
        ),
        (
            "held over a wait",
            Box::new(|engine, socket| {
                let mut completions = Vec::new();
                engine.receive(socket);
                engine.wait(Wait::Block, &mut completions).unwrap();
                engine.wait(Wait::Block, &mut completions).unwrap();
            }),
        ),
        (
            "accepts already",
            Box::new(|engine, _| engine.accept(ListenerId(0))),
        ),
        (
            "still accepts",
            Box::new(|engine, _| engine.close_listener(ListenerId(0))),
        ),
        (
            "sockets are open in the end",
            Box::new(|engine, _| engine.sim().assert_quiescent()),
        ),
        (
            "which is in flight",
            Box::new(|engine, _| {
                let file: SharedFile = Arc::new(any_descriptor());
                let id = OperationId(Id {
                    index: 1,
                    generation: 0,
                });
                engine.start(id, Operation::Stat { file: file.clone() });
                engine.start(id, Operation::Stat { file });
            }),
        ),
    ];
    for (sentence, misuse) in cases {
        let said = broken_by(misuse);
        assert!(
            said.contains(sentence),
            "{said:?} does not say {sentence:?}"
        );
        assert!(said.contains("seed 5"), "{said:?}");
    }
}

#[test]
fn a_wait_for_nothing_is_a_deadlock() {
    let (mut engine, _socket, client) = one_socket();
    let error = engine.wait(Wait::Block, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(error.to_string().contains("deadlock"), "{error}");
    assert_eq!(client.end(), None);
}

#[test]
fn a_worker_that_ticks_for_ever_is_stopped() {
    let mut engine = SimEngine::new(1, SimSettings::calm()).unwrap();
    engine.set_ticking(true);
    let mut completions = Vec::new();
    let error = loop {
        if let Err(error) = engine.wait(Wait::Block, &mut completions) {
            break error;
        }
    };
    assert!(error.to_string().contains("too much time"), "{error}");
    assert_eq!(completions.len(), 3600 * 10);
    let (seconds, unix) = (engine.now().monotonic, engine.now().unix_seconds);
    assert_eq!(seconds.0 / 1000 - 1000, unix - 2_000_000_000);
}

#[test]
fn a_wake_and_an_action_end_a_sleep() {
    let mut engine = SimEngine::new(1, SimSettings::calm()).unwrap();
    let sim = engine.sim();
    sim.after(Duration::from_secs(7), |sim| sim.wake());
    let mut completions = Vec::new();
    engine.wait(Wait::Block, &mut completions).unwrap();
    assert!(matches!(completions[..], [Completion::Woken]));
    assert_eq!(sim.elapsed().as_secs(), 7);
    completions.clear();
    engine.wait(Wait::Poll, &mut completions).unwrap();
    assert!(completions.is_empty());
}

#[test]
fn closing_with_unread_bytes_resets_the_client() {
    let (mut engine, socket, client) = one_socket();
    engine.send(socket, batch_of(b"answer"), false);
    while client.received().is_empty() {
        engine.wait(Wait::Poll, &mut Vec::new()).unwrap();
    }
    engine.close(socket);
    let sim = engine.sim();
    sim.settle();
    assert_eq!(client.end(), Some(ClientEnd::Reset));
    assert_eq!(sim.coverage().of(Fault::ClosedUnread), 1);
}

#[test]
fn a_receive_that_is_armed_ends_unheard_with_its_socket() {
    let (mut engine, socket, client) = one_socket();
    engine.receive(socket);
    engine.close(socket);
    let mut completions = Vec::new();
    let error = engine.wait(Wait::Block, &mut completions).unwrap_err();
    assert!(error.to_string().contains("deadlock"), "{error}");
    assert!(completions.is_empty(), "{completions:?}");
    assert_eq!(
        client.end(),
        Some(ClientEnd::Reset),
        "its bytes were not read"
    );
}

#[test]
fn a_read_to_the_end_closes_in_order() {
    let (mut engine, socket, client) = one_socket();
    let mut completions = Vec::new();
    engine.receive(socket);
    engine.wait(Wait::Block, &mut completions).unwrap();
    let Some(Completion::Received { received, .. }) = completions.pop() else {
        panic!("{completions:?}");
    };
    assert_eq!(engine.bytes(&received), b"hello");
    engine.recycle(received);
    engine.send(socket, batch_of(b"answer"), false);
    engine.wait(Wait::Block, &mut completions).unwrap();
    assert!(matches!(
        completions.pop(),
        Some(Completion::Sent { result: Ok(()), .. })
    ));
    engine.cancel(socket);
    engine.wait(Wait::Block, &mut completions).unwrap();
    let end = completions.pop();
    let stopped = ReceiveEnd::Stopped;
    assert!(matches!(end, Some(Completion::ReceiveEnded { end, .. }) if end == stopped));
    engine.close(socket);
    engine.sim().settle();
    assert_eq!(&*client.received(), b"answer");
    assert_eq!(client.end(), Some(ClientEnd::Eof));
}
