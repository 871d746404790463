//! Bodies that are made while they are sent, and bodies of several parts, over every protocol: what
//! a slow-lane task would bring is put in the place of a file's answer.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use downpour::cache::Store;
use downpour::conn::{ConnectionCount, ConnectionSettings, Connections, Event, ListenerKind};
use downpour::engine::sim::{ClientEnd, Random, Reading, Sim, SimEngine, SimSettings};
use downpour::engine::{Completion, Engine, FileRange, Wait};
use downpour::exchange::{
    Answer, AnswerHead, Body, BodyWriter, Part, Parts, Producer, body_stream,
};
use downpour::handler::files::Loaded;
use downpour::handler::sites::Sites;
use downpour::http::{ResponseHead, Status};
use downpour::proto::h2::H2Settings;
use h2::Reason;

use crate::driver::Driver;
use crate::secure::ClientConfigs;
use crate::site::Site;
use crate::wire::Wire;
use crate::{
    PLAIN, Replay, SECURE, alone, connection_settings, make_sites, services_of, store_settings,
};

/// What a body may hold between its producer and its connection.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// A body that no buffer on its way holds.
const LARGE: usize = 5_000_000;
/// What may have left the producer of a client that reads nothing: the queue, the batch in flight,
/// and the kernel's and the network's room.
const HELD_BYTES_MAX: usize = BODY_BYTES_MAX + 256 * 1024 + 320 * 1024;

/// The protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http10,
    Http11,
    Http11Tls,
    Http2,
    Http2Tls,
}

const ALL: [Speaks; 5] = [
    Speaks::Http10,
    Speaks::Http11,
    Speaks::Http11Tls,
    Speaks::Http2,
    Speaks::Http2Tls,
];

impl Speaks {
    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Speaks::Http2 | Speaks::Http2Tls)
    }

    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Speaks::Http11Tls | Speaks::Http2Tls)
    }
}

/// The byte at each place of every body.
pub(crate) fn byte_at(position: usize) -> u8 {
    (position % 251) as u8
}

pub(crate) fn bytes_at(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(byte_at).collect()
}

pub(crate) fn is_body(bytes: &[u8], len: usize) -> bool {
    bytes.len() == len
        && bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| *byte == byte_at(at))
}

/// What one producer did.
#[derive(Default)]
struct Made {
    written: Cell<usize>,
    was_left: Cell<bool>,
    has_ended: Cell<bool>,
}

/// Says that its producer was dropped or has ended.
struct EndOf(Rc<Made>);

impl Drop for EndOf {
    fn drop(&mut self) {
        self.0.has_ended.set(true);
    }
}

/// What a producer is to do.
#[derive(Clone)]
struct Script {
    len: usize,
    piece_max: usize,
    /// After so many bytes it does nothing for a while.
    pauses: Option<(usize, Duration)>,
    breaks: bool,
}

impl Script {
    fn whole(len: usize) -> Script {
        Script {
            len,
            piece_max: 20_000,
            pauses: None,
            breaks: false,
        }
    }

    fn answer(self, sim: &Sim, seed: u64) -> (Loaded, Rc<Made>) {
        let (writer, body) = body_stream(BODY_BYTES_MAX);
        let made = Rc::new(Made::default());
        let rest = self.produce(sim.clone(), writer, Rc::clone(&made), Random::new(seed));
        let loaded = Loaded {
            rest: Some(Producer::new(rest)),
            ..loaded(ResponseHead::new(Status::OK), Body::Stream(body))
        };
        (loaded, made)
    }

    async fn produce(self, sim: Sim, mut writer: BodyWriter, made: Rc<Made>, mut random: Random) {
        let end = EndOf(made);
        let made = &end.0;
        let mut pauses = self.pauses;
        while made.written.get() < self.len {
            let at = made.written.get();
            if let Some((_, pause)) = pauses.take_if(|(after, _)| at >= *after) {
                sleep(&sim, pause).await;
            }
            let len = 1 + random.below(self.piece_max as u64) as usize;
            let piece = bytes_at(at, len.min(self.len - at));
            made.written.set(at + piece.len());
            if writer.write(piece.into()).await.is_err() {
                made.was_left.set(true);
                return;
            }
        }
        if let Some((_, pause)) = pauses {
            sleep(&sim, pause).await;
        }
        if !self.breaks {
            writer.finish();
        }
    }
}

/// Waits in virtual time, as for another server.
pub(crate) async fn sleep(sim: &Sim, delay: Duration) {
    let over = Rc::new(Cell::new(false));
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let (flag, sleeper) = (Rc::clone(&over), Rc::clone(&waker));
    sim.after(delay, move |sim| {
        flag.set(true);
        sleeper.take().inspect(Waker::wake_by_ref);
        sim.wake();
    });
    poll_fn(|context| {
        *waker.borrow_mut() = Some(context.waker().clone());
        match over.get() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

pub(crate) fn loaded(head: ResponseHead, body: Body) -> Loaded {
    Loaded {
        answer: Answer {
            head: AnswerHead::Fresh(head),
            body,
        },
        remember: None,
        aside: None,
        rest: None,
    }
}

/// A worker's loop; where the test says so, it answers every request as the test says.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) connections: Connections<SimEngine>,
    answers: Option<Answers>,
    completions: Vec<Completion>,
    _site: Site,
}

type Answers = Box<dyn FnMut() -> Loaded>;

impl World {
    fn new(
        seed: u64,
        settings: SimSettings,
        mut answers: impl FnMut(&Sim) -> Loaded + 'static,
    ) -> World {
        let mut world = World::of(seed, settings, |_| {}, |_, sites| sites);
        let inside = world.sim.clone();
        world.answers = Some(Box::new(move || answers(&inside)));
        world
    }

    pub(crate) fn of(
        seed: u64,
        settings: SimSettings,
        change: impl FnOnce(&mut ConnectionSettings),
        fill: impl FnOnce(&Sim, Sites) -> Sites,
    ) -> World {
        let mut random = Random::new(seed);
        let site = Site::new(&mut random);
        let engine = SimEngine::new(seed, settings).expect("an eventfd");
        let sim = engine.sim();
        let store = Arc::new(Store::new(store_settings(&mut random)));
        let mut settings = ConnectionSettings {
            handshakes_max: 256,
            h2: Some(H2Settings::default()),
            ..connection_settings(&mut random)
        };
        change(&mut settings);
        let sites = fill(&sim, make_sites(&site, &store));
        let services = services_of(&engine, settings, &site, sites);
        let mut connections = Connections::new(engine, services);
        for kind in [ListenerKind::Plain, ListenerKind::Tls] {
            let listener = File::open("/dev/null").expect("any descriptor stands for a listener");
            connections.listen(listener.into(), kind, ConnectionCount::new(1000));
        }
        World {
            sim,
            connections,
            answers: None,
            completions: Vec::new(),
            _site: site,
        }
    }

    pub(crate) fn turn(&mut self) -> io::Result<()> {
        let connections = &mut self.connections;
        let busy = connections.has_output() || connections.services_mut().has_ready_task();
        let wait = if busy { Wait::Poll } else { Wait::Block };
        let engine = connections.engine_mut();
        engine.wait(wait, &mut self.completions)?;
        let now = engine.now();
        connections.services_mut().set_now(now);
        for completion in self.completions.drain(..) {
            connections.on_completion(completion);
        }
        let mut events = Vec::new();
        connections.services_mut().run_tasks(&mut events);
        for mut event in events {
            if let Event::Loaded { loaded, .. } = &mut event
                && let Some(answers) = &mut self.answers
            {
                *loaded = answers();
            }
            connections.on_event(event);
        }
        connections.finish_turn();
        Ok(())
    }

    pub(crate) fn run_until(&mut self, is_done: impl Fn() -> bool) {
        while !is_done() {
            if let Err(error) = self.turn() {
                // The last thing to happen may have been a client's.
                assert!(is_done(), "{error}");
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let over = Rc::new(Cell::new(false));
        let flag = Rc::clone(&over);
        self.sim.after(time, move |sim| {
            flag.set(true);
            sim.wake();
        });
        self.run_until(|| over.get());
    }

    /// Ends in order; nothing may be left.
    pub(crate) fn end(mut self) {
        self.connections.drain();
        self.connections.finish_turn();
        while !self.connections.is_drained() {
            self.turn().expect("it has something to wait for");
        }
        drop(self.connections);
        self.sim.settle();
        self.sim.assert_quiescent();
    }
}

/// What a client has got of one answer.
#[derive(Clone, Debug, Default)]
struct Got {
    content: Vec<u8>,
    is_whole: bool,
    reset: Option<Reason>,
}

/// How a client takes an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taking {
    All,
    /// Windows are never opened again.
    WithoutWindow,
    /// The stream is cancelled after the first bytes.
    Cancelled,
}

/// A client that asks for a number of answers, over HTTP/1 one behind the other without waiting.
struct Caller {
    speaks: Speaks,
    wire: Wire,
    driver: Driver,
    got: Rc<RefCell<Vec<Got>>>,
}

impl Caller {
    fn begin(sim: &Sim, speaks: Speaks, count: usize, taking: Taking, window: u32) -> Caller {
        let tls = ClientConfigs::new();
        let mut random = Random::new(sim.seed());
        let config = match speaks {
            Speaks::Http11Tls => Some(tls.http1(&mut random)),
            Speaks::Http2Tls => Some(tls.http2(&mut random)),
            _ => None,
        };
        let client = sim.connect(if speaks.is_secure() { SECURE } else { PLAIN });
        let wire = Wire::new(&client, config.as_ref());
        let driver = Driver::new(sim, &client);
        let got = Rc::new(RefCell::new(vec![Got::default(); count]));
        if speaks.is_http2() {
            let ask = ask_streams(
                driver.clone(),
                wire.clone(),
                Rc::clone(&got),
                taking,
                window,
            );
            driver.spawn(ask);
        } else {
            let text = match speaks {
                Speaks::Http10 => "GET / HTTP/1.0\r\nHost: sim.test\r\n\r\n",
                _ => "GET / HTTP/1.1\r\nHost: sim.test\r\n\r\n",
            };
            wire.write(text.repeat(count).as_bytes());
            let (looking, ready) = (wire.clone(), Rc::clone(&got));
            driver.spawn(poll_fn(move |_| {
                looking.pump();
                if looking.is_over() {
                    parse_answers(&looking, speaks, &ready);
                    return Poll::Ready(());
                }
                // Looked at as a whole only when it may be done: it is megabytes.
                let is_done = looking.look(|bytes| bytes.ends_with(b"\r\n0\r\n\r\n"));
                if is_done {
                    parse_answers(&looking, speaks, &ready);
                }
                Poll::Pending
            }));
        }
        driver.go_on();
        Caller {
            speaks,
            wire,
            driver,
            got,
        }
    }

    fn has_all(&self) -> bool {
        self.got.borrow().iter().all(|got| got.is_whole)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.driver.end(); // Its futures hold it.
    }
}

async fn ask_streams(
    driver: Driver,
    wire: Wire,
    got: Rc<RefCell<Vec<Got>>>,
    taking: Taking,
    window: u32,
) {
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(window)
        .initial_connection_window_size(1 << 24);
    let (requests, connection) = match builder.handshake::<_, Bytes>(wire.clone()).await {
        Ok(both) => both,
        Err(_) => return,
    };
    let count = got.borrow().len();
    for number in 0..count {
        let (mut requests, got) = (requests.clone(), Rc::clone(&got));
        driver.spawn(async move {
            if let Err(error) = ask_stream(&mut requests, &got, number, taking).await {
                got.borrow_mut()[number].reset = error.reason();
            }
        });
    }
    let _stay = requests;
    let _ = connection.await;
    wire.client().close();
}

async fn ask_stream(
    requests: &mut h2::client::SendRequest<Bytes>,
    got: &RefCell<Vec<Got>>,
    number: usize,
    taking: Taking,
) -> Result<(), h2::Error> {
    poll_fn(|context| requests.poll_ready(context)).await?;
    let request = http::Request::get("http://sim.test/").body(());
    let (response, _) = requests.send_request(request.expect("a request"), true)?;
    let response = response.await?;
    let fields = response.headers();
    assert!(!fields.contains_key("transfer-encoding"), "{fields:?}");
    let mut body = response.into_body();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        got.borrow_mut()[number].content.extend_from_slice(&piece);
        match taking {
            Taking::All => body.flow_control().release_capacity(piece.len())?,
            Taking::WithoutWindow => {}
            Taking::Cancelled => return Ok(()),
        }
    }
    got.borrow_mut()[number].is_whole = true;
    Ok(())
}

/// Reads answers in chunks, with a length, or up to the end of the connection.
fn parse_answers(wire: &Wire, speaks: Speaks, got: &RefCell<Vec<Got>>) {
    let heard = wire.heard();
    let mut rest = &heard.bytes[..];
    for got in got.borrow_mut().iter_mut() {
        *got = Got::default();
        let Some(len) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            return;
        };
        let head = std::str::from_utf8(&rest[..len])
            .expect("a text")
            .to_owned();
        rest = &rest[len + 4..];
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = head.split("Content-Length: ").nth(1);
        if let Some(length) = length.and_then(|rest| rest.split("\r\n").next()) {
            let length: usize = length.parse().expect("a number");
            let there = rest.len().min(length);
            got.content.extend_from_slice(&rest[..there]);
            rest = &rest[there..];
            got.is_whole = there == length;
        } else if speaks == Speaks::Http10 {
            assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
            assert!(!head.contains("Transfer-Encoding"), "{head}");
            got.content.extend_from_slice(rest);
            got.is_whole = heard.end == Some(ClientEnd::Eof);
            rest = &[];
        } else {
            assert!(
                head.contains("\r\nTransfer-Encoding: chunked\r\n"),
                "{head}"
            );
            got.is_whole = take_chunks(&mut rest, &mut got.content);
        }
    }
}

/// RFC 9112 §7.1; false when the last chunk is missing.
fn take_chunks(rest: &mut &[u8], content: &mut Vec<u8>) -> bool {
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else {
            return false;
        };
        let size = std::str::from_utf8(&rest[..line]).expect("a number");
        let size = usize::from_str_radix(size, 16).expect("a size and no extensions");
        let chunk = &rest[line + 2..];
        let there = chunk.len().min(size);
        content.extend_from_slice(&chunk[..there]);
        if chunk.len() < size + 2 {
            return false;
        }
        assert_eq!(&chunk[size..size + 2], b"\r\n");
        *rest = &chunk[size + 2..];
        if size == 0 {
            return true;
        }
    }
}

/// A world in which every request is answered by one script; the producers' records come with it.
fn world_of(
    seed: u64,
    settings: SimSettings,
    script: Script,
) -> (World, Rc<RefCell<Vec<Rc<Made>>>>) {
    let all = Rc::<RefCell<Vec<Rc<Made>>>>::default();
    let records = Rc::clone(&all);
    let mut number = 0;
    let world = World::new(seed, settings, move |sim| {
        number += 1;
        let (loaded, made) = script.clone().answer(sim, seed ^ number);
        records.borrow_mut().push(made);
        loaded
    });
    (world, all)
}

pub(crate) const WINDOW: u32 = 65_535;

#[test]
fn a_large_body_arrives_byte_for_byte() {
    let _alone = alone();
    for speaks in ALL {
        let (mut world, made) = world_of(1, SimSettings::calm(), Script::whole(LARGE));
        let caller = Caller::begin(&world.sim, speaks, 1, Taking::All, WINDOW);
        world.run_until(|| caller.has_all());
        assert!(
            is_body(&caller.got.borrow()[0].content, LARGE),
            "{speaks:?}"
        );
        assert!(made.borrow()[0].has_ended.get() && !made.borrow()[0].was_left.get());
        world.end();
    }
}

/// Bodies of every length and piece size, several on a connection, in worlds in which sends are
/// cut, receive buffers are few and completions change places.
#[test]
fn bodies_arrive_in_every_world() {
    let _alone = alone();
    for seed in 0..60 {
        let _replay = Replay(seed);
        let mut random = Random::new(seed);
        let settings = SimSettings {
            peer_reset: 0.0,
            peer_vanish: 0.0,
            peer_half_close: 0.0,
            accept_failure: 0.0,
            io_error: 0.0,
            ..SimSettings::random(seed)
        };
        let speaks = ALL[seed as usize % ALL.len()];
        let len = random.any_size(18) as usize;
        let script = Script {
            len,
            piece_max: 1 + random.any_size(16) as usize,
            pauses: random.pick(&[None, Some((len / 2, Duration::from_millis(300)))]),
            breaks: false,
        };
        let (mut world, _) = world_of(seed, settings, script);
        let count = if speaks == Speaks::Http10 { 1 } else { 3 };
        let caller = Caller::begin(&world.sim, speaks, count, Taking::All, WINDOW);
        world.run_until(|| caller.has_all());
        for got in caller.got.borrow().iter() {
            assert!(
                is_body(&got.content, len),
                "{speaks:?}: {}",
                got.content.len()
            );
        }
        world.end();
    }
}

/// Longer than every deadline: we wait for ourselves.
#[test]
fn a_producer_may_take_its_time() {
    let _alone = alone();
    for speaks in ALL {
        let script = Script {
            pauses: Some((50_000, Duration::from_secs(900))),
            ..Script::whole(100_000)
        };
        let (mut world, _) = world_of(1, SimSettings::calm(), script);
        let caller = Caller::begin(&world.sim, speaks, 1, Taking::All, WINDOW);
        world.run_until(|| caller.has_all());
        assert!(world.sim.elapsed() > Duration::from_secs(900));
        assert!(
            is_body(&caller.got.borrow()[0].content, 100_000),
            "{speaks:?}"
        );
        world.end();
    }
}

#[test]
fn a_client_that_reads_nothing_makes_its_producer_wait_and_is_found() {
    let _alone = alone();
    for speaks in ALL {
        let (mut world, made) = world_of(1, SimSettings::calm(), Script::whole(LARGE));
        let caller = Caller::begin(&world.sim, speaks, 1, Taking::WithoutWindow, 1 << 20);
        world.run_until(|| !made.borrow().is_empty());
        caller.wire.client().reads(Reading::Stopped);
        let made = Rc::clone(&made.borrow()[0]);
        world.run_for(Duration::from_secs(2));
        let written = made.written.get();
        assert!(
            written > BODY_BYTES_MAX && !made.has_ended.get(),
            "{speaks:?}"
        );
        assert!(written <= HELD_BYTES_MAX, "{speaks:?}: {written}");
        world.run_for(Duration::from_secs(60));
        assert!(made.was_left.get() && made.has_ended.get(), "{speaks:?}");
        assert!(made.written.get() <= HELD_BYTES_MAX, "{speaks:?}");
        assert!(world.connections.is_empty());
        world.end();
    }
}

#[test]
fn a_shut_window_makes_a_producer_wait_and_is_found() {
    let _alone = alone();
    for speaks in [Speaks::Http2, Speaks::Http2Tls] {
        let (mut world, made) = world_of(1, SimSettings::calm(), Script::whole(LARGE));
        let caller = Caller::begin(&world.sim, speaks, 1, Taking::WithoutWindow, WINDOW);
        world.run_for(Duration::from_secs(2));
        let made = Rc::clone(&made.borrow()[0]);
        let written = made.written.get();
        let bound = WINDOW as usize + BODY_BYTES_MAX + 20_000;
        assert!(written <= bound && !made.has_ended.get(), "{written}");
        world.run_for(Duration::from_secs(60));
        assert!(made.was_left.get() && made.has_ended.get());
        assert!(is_body(&caller.got.borrow()[0].content, WINDOW as usize));
        world.end();
    }
}

/// Waiting for ourselves on one stream is no excuse for the peer on another.
#[test]
fn a_producer_that_rests_does_not_hide_a_shut_window() {
    let _alone = alone();
    let mut scripts = vec![
        Script::whole(LARGE),
        Script {
            pauses: Some((0, Duration::from_secs(900))),
            ..Script::whole(1000)
        },
    ];
    let mut world = World::new(1, SimSettings::calm(), move |sim| {
        let script = scripts.pop().expect("two requests");
        script.answer(sim, 1).0
    });
    let _caller = Caller::begin(&world.sim, Speaks::Http2, 2, Taking::WithoutWindow, WINDOW);
    world.run_for(Duration::from_secs(60));
    assert!(world.connections.is_empty());
    world.run_for(Duration::from_secs(900));
    world.end();
}

/// After bytes that are no record nobody can be sent anything: no producer is waited for.
#[test]
fn a_fault_of_tls_ends_a_body_that_rests() {
    let _alone = alone();
    for speaks in [Speaks::Http11Tls, Speaks::Http2Tls] {
        let script = Script {
            pauses: Some((50_000, Duration::from_secs(900))),
            ..Script::whole(LARGE)
        };
        let (mut world, made) = world_of(1, SimSettings::calm(), script);
        let caller = Caller::begin(&world.sim, speaks, 1, Taking::All, WINDOW);
        world.run_for(Duration::from_secs(1));
        caller.wire.client().write(&[0xff; 100]);
        world.run_for(Duration::from_secs(10));
        assert!(world.connections.is_empty(), "{speaks:?}");
        world.run_for(Duration::from_secs(900));
        assert!(made.borrow()[0].was_left.get(), "{speaks:?}");
        world.end();
    }
}

/// RFC 9113 §6.9.1: END_STREAM needs no window. The window is exactly as large as the body, and the
/// end comes later.
#[test]
fn an_end_comes_through_a_shut_window() {
    let _alone = alone();
    for speaks in [Speaks::Http2, Speaks::Http2Tls] {
        for pause in [None, Some((usize::MAX, Duration::from_secs(1)))] {
            let script = Script {
                pauses: pause,
                ..Script::whole(WINDOW as usize)
            };
            let (mut world, _) = world_of(1, SimSettings::calm(), script);
            let caller = Caller::begin(&world.sim, speaks, 1, Taking::WithoutWindow, WINDOW);
            world.run_for(Duration::from_secs(2));
            assert!(caller.has_all(), "{speaks:?}");
            assert!(is_body(&caller.got.borrow()[0].content, WINDOW as usize));
            world.end();
        }
    }
}

/// A break comes through it, too.
#[test]
fn a_break_comes_through_a_shut_window() {
    let _alone = alone();
    for pause in [None, Some((usize::MAX, Duration::from_secs(1)))] {
        let script = Script {
            pauses: pause,
            breaks: true,
            ..Script::whole(WINDOW as usize)
        };
        let (mut world, _) = world_of(1, SimSettings::calm(), script);
        let caller = Caller::begin(&world.sim, Speaks::Http2, 1, Taking::WithoutWindow, WINDOW);
        world.run_for(Duration::from_secs(2));
        let got = caller.got.borrow()[0].clone();
        assert_eq!(got.reset, Some(Reason::INTERNAL_ERROR));
        drop(caller);
        world.end();
    }
}

#[test]
fn a_client_that_leaves_ends_the_producer() {
    let _alone = alone();
    for speaks in ALL {
        for leaves_by_reset in [true, false] {
            let (mut world, made) = world_of(1, SimSettings::calm(), Script::whole(LARGE));
            let caller = Caller::begin(&world.sim, speaks, 1, Taking::All, WINDOW);
            world.run_until(|| {
                made.borrow()
                    .first()
                    .is_some_and(|it| it.written.get() > 200_000)
            });
            let made = Rc::clone(&made.borrow()[0]);
            match leaves_by_reset {
                true => caller.wire.client().reset(),
                false => caller.wire.client().close(),
            }
            world.run_for(Duration::from_millis(300));
            assert!(made.was_left.get() && made.has_ended.get(), "{speaks:?}");
            assert!(made.written.get() < LARGE);
            world.end();
        }
    }
}

/// Also where no further request is expected, and nothing is being sent.
#[test]
fn a_reset_is_heard_while_the_producer_makes_nothing() {
    let _alone = alone();
    for speaks in ALL {
        let script = Script {
            pauses: Some((1000, Duration::from_secs(30))),
            ..Script::whole(LARGE)
        };
        let (mut world, made) = world_of(1, SimSettings::calm(), script);
        let caller = Caller::begin(&world.sim, speaks, 1, Taking::All, WINDOW);
        world.run_for(Duration::from_secs(5));
        assert_eq!(world.connections.len(), 1);
        caller.wire.client().reset();
        world.run_for(Duration::from_secs(1));
        assert!(world.connections.is_empty(), "{speaks:?}");
        world.run_for(Duration::from_secs(30));
        assert!(made.borrow()[0].was_left.get(), "{speaks:?}");
        world.end();
    }
}

#[test]
fn a_cancelled_stream_ends_its_producer_and_no_other() {
    let _alone = alone();
    let (mut world, made) = world_of(1, SimSettings::calm(), Script::whole(LARGE));
    let caller = Caller::begin(&world.sim, Speaks::Http2, 2, Taking::Cancelled, WINDOW);
    world.run_for(Duration::from_millis(300));
    assert_eq!(made.borrow().len(), 2);
    for made in made.borrow().iter() {
        assert!(made.was_left.get() && made.has_ended.get());
    }
    assert_eq!(world.connections.len(), 1, "the connection stays");
    drop(caller);
    world.end();
}

#[test]
fn a_broken_body_is_seen_not_to_be_whole() {
    let _alone = alone();
    for speaks in ALL {
        for len in [0, 5_000, 300_000] {
            let script = Script {
                breaks: true,
                ..Script::whole(len)
            };
            let (mut world, _) = world_of(1, SimSettings::calm(), script);
            let count = if speaks == Speaks::Http10 { 1 } else { 2 };
            let caller = Caller::begin(&world.sim, speaks, count, Taking::All, WINDOW);
            world.run_for(Duration::from_secs(2));
            let got = caller.got.borrow().clone();
            match speaks {
                // Nothing in HTTP/1.0 could tell (RFC 9112 §8).
                Speaks::Http10 => assert!(world.connections.is_empty()),
                Speaks::Http11 | Speaks::Http11Tls => {
                    assert!(caller.wire.is_over() && !got[0].is_whole, "{speaks:?}");
                    assert!(got[1].content.is_empty() && !got[1].is_whole);
                    if speaks.is_secure() {
                        assert_eq!(caller.wire.heard().end, Some(ClientEnd::Reset));
                    }
                }
                Speaks::Http2 | Speaks::Http2Tls => {
                    for got in &got {
                        assert_eq!(got.reset, Some(Reason::INTERNAL_ERROR), "{got:?}");
                    }
                    assert_eq!(world.connections.len(), 1, "the connection stays");
                }
            }
            assert!(is_body(&got[0].content, len), "what was there has come");
            drop(caller);
            world.end();
        }
    }
}

/// What was begun is finished within the grace period.
#[test]
fn a_worker_that_ends_lets_bodies_end() {
    let _alone = alone();
    for speaks in ALL {
        let script = Script {
            pauses: Some((100_000, Duration::from_secs(3))),
            ..Script::whole(200_000)
        };
        let (mut world, _) = world_of(1, SimSettings::calm(), script);
        let caller = Caller::begin(&world.sim, speaks, 1, Taking::All, WINDOW);
        world.run_for(Duration::from_secs(1));
        let sim = world.sim.clone();
        world.end();
        caller.driver.go_on();
        assert!(caller.has_all(), "{speaks:?}");
        assert!(
            sim.elapsed() < Duration::from_secs(7),
            "{:?}",
            sim.elapsed()
        );
        assert!(
            is_body(&caller.got.borrow()[0].content, 200_000),
            "{speaks:?}"
        );
    }
}

/// And what has no end is cut off.
#[test]
fn a_worker_that_is_cut_off_ends_producers() {
    let _alone = alone();
    for speaks in ALL {
        let script = Script {
            pauses: Some((100_000, Duration::from_secs(3))),
            ..Script::whole(LARGE)
        };
        let (mut world, made) = world_of(1, SimSettings::calm(), script);
        let _caller = Caller::begin(&world.sim, speaks, 1, Taking::All, WINDOW);
        world.run_for(Duration::from_secs(1));
        world.connections.terminate_all();
        world.end();
        assert!(made.borrow()[0].was_left.get(), "{speaks:?}");
    }
}

/// Pieces of memory and of files, warm and cold, more of them than an output takes at a time.
#[test]
fn bodies_of_several_parts_arrive_in_every_world() {
    let _alone = alone();
    let file = tempfile::tempfile().expect("a file");
    let len = 700_000;
    file.write_all_at(&bytes_at(0, len), 0)
        .expect("it is written");
    let file = Arc::new(file.into());
    for seed in 0..50 {
        let _replay = Replay(seed);
        let mut random = Random::new(seed);
        let settings = SimSettings {
            peer_reset: 0.0,
            peer_vanish: 0.0,
            peer_half_close: 0.0,
            accept_failure: 0.0,
            io_error: 0.0,
            ..SimSettings::random(seed)
        };
        let speaks = ALL[seed as usize % ALL.len()];
        let count = random.pick(&[1, 3, 20, 150]);
        let mut at = 0;
        let mut parts = Parts::default();
        for _ in 0..count {
            let len = (random.any_size(17) as usize).min(len - at);
            parts.push(match random.chance(0.5) {
                true => Part::Bytes(bytes_at(at, len).into()),
                false => Part::File(FileRange {
                    file: Arc::clone(&file),
                    offset: at as u64,
                    len: len as u64,
                }),
            });
            at += len;
        }
        let mut world = World::new(seed, settings, move |_| {
            let head = ResponseHead::new(Status::OK).with_length(parts.len());
            loaded(head, Body::Parts(parts.clone()))
        });
        let asked = if speaks == Speaks::Http10 { 1 } else { 3 };
        let caller = Caller::begin(&world.sim, speaks, asked, Taking::All, WINDOW);
        let done = || {
            if !speaks.is_http2() {
                parse_answers(&caller.wire, speaks, &caller.got);
            }
            caller.has_all()
        };
        world.run_until(done);
        for got in caller.got.borrow().iter() {
            assert!(
                is_body(&got.content, at),
                "{speaks:?}: {}",
                got.content.len()
            );
        }
        assert_eq!(caller.speaks, speaks);
        world.end();
    }
}
