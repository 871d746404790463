//! Contents of requests on their way to tasks that take them, over every protocol: whole, in
//! bounded memory, at the pace of whoever is slower, and told to come when they are wanted.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use downpour::base::limits::{
    DRAIN_BYTES_MAX, H2_CONNECTION_WINDOW_BYTES, H2_CONTENT_WAITING_BYTES_MAX,
    H2_STREAM_WINDOW_BYTES, REQUEST_BODY_QUEUE_BYTES,
};
use downpour::engine::sim::{ClientEnd, Random, Sim, SimSettings};
use downpour::exchange::{Body, BodyFault, RequestBody};
use downpour::handler::files::Loaded;
use downpour::http::{ResponseHead, Status};

use crate::driver::Driver;
use crate::secure::ClientConfigs;
use crate::streamed::{World, bytes_at, is_body, loaded, sleep};
use crate::wire::Wire;
use crate::{PLAIN, Replay, SECURE, alone};

/// A body that no buffer on its way holds.
const LARGE: usize = 5_000_000;
/// How long a body may rest, in these tests.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// The protocols, and how a length is told in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Http10,
    Http11,
    Chunked,
    Http11Tls,
    ChunkedTls,
    Http2,
    Http2Tls,
}

const ALL: [Speaks; 7] = [
    Speaks::Http10,
    Speaks::Http11,
    Speaks::Chunked,
    Speaks::Http11Tls,
    Speaks::ChunkedTls,
    Speaks::Http2,
    Speaks::Http2Tls,
];

impl Speaks {
    fn is_http2(self) -> bool {
        matches!(self, Speaks::Http2 | Speaks::Http2Tls)
    }

    fn is_secure(self) -> bool {
        use Speaks::{ChunkedTls, Http2Tls, Http11Tls};
        matches!(self, Http11Tls | ChunkedTls | Http2Tls)
    }

    fn is_chunked(self) -> bool {
        matches!(self, Speaks::Chunked | Speaks::ChunkedTls)
    }
}

/// What a task does about the content of one request.
#[derive(Clone)]
struct Take {
    /// Before it asks for any.
    asks_after: Duration,
    /// After each piece that it takes.
    rests: Duration,
    /// It answers when it has so many bytes.
    enough: usize,
}

impl Default for Take {
    fn default() -> Take {
        Take {
            asks_after: Duration::ZERO,
            rests: Duration::ZERO,
            enough: usize::MAX,
        }
    }
}

/// What became of it.
#[derive(Default)]
struct Took {
    content: RefCell<Vec<u8>>,
    /// What was there at a time, at most: taken without waiting for more.
    largest: Cell<usize>,
    end: Cell<Option<Result<(), BodyFault>>>,
    length: Cell<Option<u64>>,
    has_ended: Cell<bool>,
}

struct EndOf(Rc<Took>);

impl Drop for EndOf {
    fn drop(&mut self) {
        self.0.has_ended.set(true);
    }
}

impl Take {
    async fn run(self, sim: Sim, mut body: RequestBody, took: Rc<Took>) -> Loaded {
        let end = EndOf(took);
        let took = &end.0;
        took.length.set(body.length());
        if self.asks_after > Duration::ZERO {
            sleep(&sim, self.asks_after).await;
        }
        let mut at_once = 0;
        let result = loop {
            if took.content.borrow().len() >= self.enough {
                break None;
            }
            let mut has_waited = false;
            let next = poll_fn(|context| {
                let next = pin!(body.next()).poll(context);
                has_waited |= next.is_pending();
                next
            });
            match next.await {
                Ok(Some(piece)) => {
                    took.content.borrow_mut().extend_from_slice(&piece);
                    at_once = if has_waited { 0 } else { at_once } + piece.len();
                    took.largest.set(took.largest.get().max(at_once));
                }
                Ok(None) => break Some(Ok(())),
                Err(fault) => break Some(Err(fault)),
            }
            if self.rests > Duration::ZERO {
                sleep(&sim, self.rests).await;
                at_once = 0;
            }
        };
        took.end.set(result);
        let status = match result {
            Some(Ok(())) => Status::OK,
            None => Status::FORBIDDEN,
            Some(Err(BodyFault::TooLarge)) => Status::CONTENT_TOO_LARGE,
            Some(Err(BodyFault::TooSlow)) => Status::REQUEST_TIMEOUT,
            Some(Err(_)) => Status::BAD_REQUEST,
        };
        let content = took.content.borrow().len().to_string();
        let head = ResponseHead::new(status).with_length(content.len() as u64);
        loaded(head, Body::Bytes(content.into()))
    }
}

type Records = Rc<RefCell<Vec<Rc<Took>>>>;

/// A world whose requests are taken one after the other as `takes` says; its last one for all
/// further ones.
fn world_of(seed: u64, settings: SimSettings, takes: Vec<Take>) -> (World, Records) {
    world_with(seed, settings, takes, 1 << 30)
}

fn world_with(
    seed: u64,
    settings: SimSettings,
    takes: Vec<Take>,
    bytes_max: u64,
) -> (World, Records) {
    let records = Records::default();
    let all = Rc::clone(&records);
    let bounds = |settings: &mut downpour::conn::ConnectionSettings| {
        settings.body_timeout = BODY_TIMEOUT;
        settings.body_bytes_max = bytes_max;
    };
    let world = World::of(seed, settings, bounds, |sim, sites| {
        let sim = sim.clone();
        sites.with_taker(Rc::new(move |_, body| {
            let number = all.borrow().len();
            let take = takes[number.min(takes.len() - 1)].clone();
            let took = Rc::new(Took::default());
            all.borrow_mut().push(Rc::clone(&took));
            Box::pin(take.run(sim.clone(), body, took))
        }))
    });
    (world, records)
}

/// One request as its client sends it.
#[derive(Clone)]
struct Put {
    len: usize,
    piece_max: usize,
    expects: bool,
    /// After so many bytes it sends nothing for a while.
    rests: Option<(usize, Duration)>,
    /// Bytes that stand in the place of a chunk, from here on.
    breaks: Option<&'static [u8]>,
}

impl Put {
    fn of(len: usize) -> Put {
        Put {
            len,
            piece_max: 20_000,
            expects: false,
            rests: None,
            breaks: None,
        }
    }

    /// Sends so much, and no more.
    fn stopping(self, at: usize) -> Put {
        let rests = Some((at, Duration::from_secs(3000)));
        Put { rests, ..self }
    }
}

/// What its client got.
#[derive(Clone, Debug, Default)]
struct Got {
    continues: usize,
    status: u16,
    content: String,
    closes: bool,
    fault: Option<h2::Reason>,
}

/// A client that sends requests: over HTTP/1 one after the other, over HTTP/2 all at a time.
struct Sender {
    wire: Wire,
    driver: Driver,
    got: Rc<RefCell<Vec<Got>>>,
    sent: Rc<Cell<usize>>,
}

impl Sender {
    fn begin(sim: &Sim, speaks: Speaks, puts: Vec<Put>) -> Sender {
        let tls = ClientConfigs::new();
        let mut random = Random::new(sim.seed());
        let config = match speaks {
            Speaks::Http11Tls | Speaks::ChunkedTls => Some(tls.http1(&mut random)),
            Speaks::Http2Tls => Some(tls.http2(&mut random)),
            _ => None,
        };
        let client = sim.connect(if speaks.is_secure() { SECURE } else { PLAIN });
        let sender = Sender {
            wire: Wire::new(&client, config.as_ref()),
            driver: Driver::new(sim, &client),
            got: Rc::new(RefCell::new(vec![Got::default(); puts.len()])),
            sent: Rc::default(),
        };
        let pieces = Pieces {
            driver: sender.driver.clone(),
            random: Rc::new(RefCell::new(random)),
            sent: Rc::clone(&sender.sent),
        };
        let (wire, got) = (sender.wire.clone(), Rc::clone(&sender.got));
        // Handshakes go on while a body rests.
        let looking = wire.clone();
        sender.driver.spawn(poll_fn(move |_| {
            looking.look(|_| ());
            match looking.is_over() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }));
        match speaks.is_http2() {
            true => sender.driver.spawn(send_streams(pieces, wire, puts, got)),
            false => sender
                .driver
                .spawn(send_requests(pieces, speaks, wire, puts, got)),
        }
        sender.driver.go_on();
        sender
    }

    fn has_all(&self) -> bool {
        let got = self.got.borrow();
        got.iter().all(|got| got.status > 0 || got.fault.is_some())
    }

    fn statuses(&self) -> Vec<u16> {
        self.got.borrow().iter().map(|got| got.status).collect()
    }

    fn got(&self, number: usize) -> Got {
        self.got.borrow()[number].clone()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.driver.end(); // Its futures hold it.
    }
}

/// Where the pieces of bodies come from.
#[derive(Clone)]
struct Pieces {
    driver: Driver,
    random: Rc<RefCell<Random>>,
    sent: Rc<Cell<usize>>,
}

impl Pieces {
    /// The piece of a body at `at`, after a rest where there is one.
    async fn next(&self, put: &mut Put, at: usize) -> Vec<u8> {
        if let Some((_, rest)) = put.rests.take_if(|(after, _)| at >= *after) {
            self.driver.pause(rest).await;
        }
        let until = put.rests.map_or(put.len, |(after, _)| after.min(put.len));
        let len = 1 + self.random.borrow_mut().below(put.piece_max as u64) as usize;
        bytes_at(at, len.min(until.max(at + 1).min(put.len) - at))
    }
}

async fn send_requests(
    pieces: Pieces,
    speaks: Speaks,
    wire: Wire,
    puts: Vec<Put>,
    got: Rc<RefCell<Vec<Got>>>,
) {
    let mut heard = 0;
    for (number, mut put) in puts.into_iter().enumerate() {
        let version = if speaks == Speaks::Http10 {
            "1.0\r\nConnection: keep-alive"
        } else {
            "1.1"
        };
        let framing = match speaks.is_chunked() {
            true => "Transfer-Encoding: chunked".to_owned(),
            false => format!("Content-Length: {}", put.len),
        };
        let expect = if put.expects {
            "\r\nExpect: 100-continue"
        } else {
            ""
        };
        let head = format!("PUT /a HTTP/{version}\r\nHost: sim.test\r\n{framing}{expect}\r\n\r\n");
        wire.write(head.as_bytes());
        if put.expects {
            let status_line = b"HTTP/1.1 100 ".len();
            until(&wire, |bytes| bytes.len() >= heard + status_line).await;
        }
        let is_refused = wire.look(|bytes| {
            let answer = &bytes[heard.min(bytes.len())..];
            !answer.is_empty() && !answer.starts_with(b"HTTP/1.1 100 ")
        });
        let mut at = 0;
        while at < put.len && !wire.is_over() && !(put.expects && is_refused) {
            let piece = pieces.next(&mut put, at).await;
            at += piece.len();
            pieces.sent.set(pieces.sent.get() + piece.len());
            if !speaks.is_chunked() {
                wire.write(&piece);
                continue;
            }
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(&piece);
            chunk.extend_from_slice(put.breaks.unwrap_or(b"\r\n"));
            wire.write(&chunk);
        }
        if speaks.is_chunked() && !wire.is_over() && !(put.expects && is_refused) {
            wire.write(b"0\r\n\r\n");
        }
        let answer = until_some(&wire, |bytes| answer_of(&bytes[heard..])).await;
        let Some((answer, len)) = answer else {
            return;
        };
        heard += len;
        let closes = answer.closes;
        got.borrow_mut()[number] = answer;
        if closes {
            return;
        }
    }
}

async fn until(wire: &Wire, mut is_done: impl FnMut(&[u8]) -> bool) {
    until_some(wire, |bytes| is_done(bytes).then_some(())).await;
}

/// Waits for something to be heard; `None` when the connection has ended without it.
async fn until_some<T>(wire: &Wire, mut find: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
    poll_fn(|_| match wire.look(&mut find) {
        Some(found) => Poll::Ready(Some(found)),
        None if wire.is_over() => Poll::Ready(None),
        None => Poll::Pending,
    })
    .await
}

/// A whole answer, behind those that only say to go on.
fn answer_of(bytes: &[u8]) -> Option<(Got, usize)> {
    let mut got = Got::default();
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let len = rest.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&rest[..len]).expect("a text");
        let status = head[9..12].parse().expect("a status");
        at += len;
        if status == 100 {
            assert_eq!(head, "HTTP/1.1 100 Continue\r\n\r\n");
            got.continues += 1;
            continue;
        }
        let length = head
            .split("Content-Length: ")
            .nth(1)?
            .split("\r\n")
            .next()?;
        let length: usize = length.parse().expect("a number");
        let content = bytes.get(at..at + length)?;
        got.status = status;
        got.closes = head.contains("\r\nConnection: close\r\n");
        got.content = String::from_utf8(content.to_vec()).expect("a text");
        return Some((got, at + length));
    }
}

async fn send_streams(pieces: Pieces, wire: Wire, puts: Vec<Put>, got: Rc<RefCell<Vec<Got>>>) {
    let builder = h2::client::Builder::new();
    let (requests, connection) = match builder.handshake::<_, Bytes>(wire.clone()).await {
        Ok(both) => both,
        Err(_) => return,
    };
    for (number, put) in puts.into_iter().enumerate() {
        let (mut requests, got, pieces) = (requests.clone(), Rc::clone(&got), pieces.clone());
        let driver = pieces.driver.clone();
        driver.spawn(async move {
            let mut answer = Got::default();
            if let Err(error) = send_stream(&mut requests, &mut answer, put, pieces).await {
                answer.fault = Some(error.reason().unwrap_or(h2::Reason::CANCEL));
            }
            got.borrow_mut()[number] = answer;
        });
    }
    let _stay = requests;
    let _ = connection.await;
    wire.client().close();
}

async fn send_stream(
    requests: &mut h2::client::SendRequest<Bytes>,
    got: &mut Got,
    mut put: Put,
    pieces: Pieces,
) -> Result<(), h2::Error> {
    poll_fn(|context| requests.poll_ready(context)).await?;
    let mut request = http::Request::put("http://sim.test/a");
    if put.len.is_multiple_of(2) {
        request = request.header("content-length", put.len);
    }
    if put.expects {
        request = request.header("expect", "100-continue");
    }
    let request = request.body(()).expect("a request");
    let (mut response, mut content) = requests.send_request(request, false)?;
    if put.expects {
        let interim = poll_fn(|context| response.poll_informational(context));
        if let Some(interim) = interim.await {
            assert_eq!(interim?.status(), 100);
            got.continues += 1;
        }
    }
    let is_refused = put.expects && got.continues == 0;
    let mut sending = pin!(async move {
        let mut at = 0;
        while at < put.len && !is_refused {
            let mut piece = Bytes::from(pieces.next(&mut put, at).await);
            at += piece.len();
            while !piece.is_empty() {
                content.reserve_capacity(piece.len());
                let Some(room) = poll_fn(|context| content.poll_capacity(context)).await else {
                    return;
                };
                let Ok(room) = room else {
                    return;
                };
                let now = piece.split_to(room.min(piece.len()));
                pieces.sent.set(pieces.sent.get() + now.len());
                if content.send_data(now, false).is_err() {
                    return;
                }
            }
        }
        let _ = content.send_data(Bytes::new(), true);
    });
    let mut is_sent = false;
    let response = poll_fn(|context| {
        is_sent = is_sent || sending.as_mut().poll(context).is_ready();
        std::pin::Pin::new(&mut response).poll(context)
    })
    .await?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        got.content += std::str::from_utf8(&piece).expect("a text");
        body.flow_control().release_capacity(piece.len())?;
    }
    got.status = status;
    Ok(())
}

fn faultless(seed: u64) -> SimSettings {
    SimSettings {
        peer_reset: 0.0,
        peer_vanish: 0.0,
        peer_half_close: 0.0,
        accept_failure: 0.0,
        io_error: 0.0,
        ..SimSettings::random(seed)
    }
}

/// What one queue may hold: its bound and one receive, or the window of a stream.
fn held_max(speaks: Speaks) -> usize {
    match speaks.is_http2() {
        true => H2_STREAM_WINDOW_BYTES as usize,
        false => REQUEST_BODY_QUEUE_BYTES + 20_000,
    }
}

/// Bodies of every length and piece size, several on a connection, to tasks of every pace, in
/// worlds in which receives are cut, buffers are few and completions change places.
#[test]
fn contents_arrive_in_every_world() {
    let _alone = alone();
    for seed in 0..105 {
        let _replay = Replay(seed);
        let mut random = Random::new(seed);
        let speaks = ALL[seed as usize % ALL.len()];
        let mut puts = Vec::new();
        let mut takes = Vec::new();
        for _ in 0..3 {
            let len = random.any_size(19) as usize;
            puts.push(Put {
                piece_max: 1 + random.any_size(16) as usize + len / 500,
                expects: random.chance(0.3) && speaks != Speaks::Http10 && len > 0,
                rests: random.pick(&[None, Some((len / 2, Duration::from_millis(300)))]),
                ..Put::of(len)
            });
            takes.push(Take {
                asks_after: Duration::from_micros(random.any_size(22)),
                rests: Duration::from_micros(random.any_size(16)),
                ..Take::default()
            });
        }
        let lens: Vec<usize> = puts.iter().map(|put| put.len).collect();
        let (mut world, took) = world_of(seed, faultless(seed), takes);
        let sender = Sender::begin(&world.sim, speaks, puts);
        world.run_until(|| sender.has_all());
        assert_eq!(sender.statuses(), [200, 200, 200], "{speaks:?}");
        let mut got: Vec<usize> = Vec::new();
        for took in took.borrow().iter() {
            let content = took.content.borrow();
            assert!(is_body(&content, content.len()), "{speaks:?}");
            assert!(took.largest.get() <= held_max(speaks));
            assert_eq!(took.end.get(), Some(Ok(())));
            got.push(content.len());
        }
        let mut lens = lens;
        if speaks.is_http2() {
            lens.sort_unstable();
            got.sort_unstable();
        }
        assert_eq!(got, lens, "{speaks:?}");
        world.end();
    }
}

/// A task that is busy with other things is waited for, however long that takes; its client's
/// window closes meanwhile.
#[test]
fn a_task_that_takes_nothing_stops_its_client() {
    let _alone = alone();
    for speaks in ALL {
        let take = Take {
            asks_after: 5 * BODY_TIMEOUT,
            ..Take::default()
        };
        let (mut world, took) = world_of(1, SimSettings::calm(), vec![take]);
        let sender = Sender::begin(&world.sim, speaks, vec![Put::of(LARGE)]);
        world.run_until(|| sender.has_all());
        assert_eq!(sender.statuses(), [200], "{speaks:?}");
        assert!(world.sim.elapsed() > 5 * BODY_TIMEOUT);
        let took = Rc::clone(&took.borrow()[0]);
        assert!(is_body(&took.content.borrow(), LARGE));
        let largest = took.largest.get();
        let least = held_max(speaks) / 2;
        assert!(
            largest >= least && largest <= held_max(speaks),
            "{speaks:?}: {largest}"
        );
        world.end();
    }
}

/// A task that rests after each piece, for longer in all than a body may rest.
#[test]
fn a_slow_task_gets_all_of_it_in_bounded_memory() {
    let _alone = alone();
    for speaks in ALL {
        let take = Take {
            rests: BODY_TIMEOUT + Duration::from_secs(1),
            ..Take::default()
        };
        let (mut world, took) = world_of(1, SimSettings::calm(), vec![take]);
        let sender = Sender::begin(&world.sim, speaks, vec![Put::of(LARGE)]);
        world.run_until(|| sender.has_all());
        assert_eq!(sender.statuses(), [200], "{speaks:?}");
        let took = Rc::clone(&took.borrow()[0]);
        assert!(is_body(&took.content.borrow(), LARGE));
        assert!(took.largest.get() <= held_max(speaks), "{speaks:?}");
        world.end();
    }
}

/// RFC 9110 §15.5.9
#[test]
fn a_body_that_rests_too_long_is_given_up() {
    let _alone = alone();
    for speaks in ALL {
        for (len, at) in [(10_000, 0), (10_000, 9_999), (LARGE, 3_000_000)] {
            let (mut world, took) = world_of(1, SimSettings::calm(), vec![Take::default()]);
            let put = Put::of(len).stopping(at);
            let sender = Sender::begin(&world.sim, speaks, vec![put]);
            world.run_for(BODY_TIMEOUT - Duration::from_secs(1));
            assert!(!sender.has_all() && took.borrow()[0].end.get().is_none());
            world.run_for(Duration::from_secs(2));
            let took = Rc::clone(&took.borrow()[0]);
            assert_eq!(took.end.get(), Some(Err(BodyFault::TooSlow)), "{speaks:?}");
            world.run_for(Duration::from_secs(3));
            assert!(is_body(&took.content.borrow(), at));
            assert_eq!(world.connections.len(), usize::from(speaks.is_http2()));
            if speaks.is_http2() {
                assert_eq!(sender.statuses(), [408], "{speaks:?}");
            } else {
                // Its client would still send.
                let head = sender.wire.look(|bytes| answer_of(bytes).expect("whole").0);
                assert!(head.status == 408 && head.closes, "{speaks:?}");
            }
            drop(sender);
            world.end();
        }
    }
}

/// A byte now and then is no progress.
#[test]
fn a_body_that_trickles_is_given_up_and_one_that_flows_is_not() {
    let _alone = alone();
    for speaks in ALL {
        for (pause_ms, status) in [(10_000, 408), (5, 200)] {
            let (mut world, took) = world_of(1, SimSettings::calm(), vec![Take::default()]);
            let sender = trickle(&world.sim, speaks, 2000, Duration::from_millis(pause_ms));
            world.run_for(3 * BODY_TIMEOUT);
            let (took, is_flowing) = (Rc::clone(&took.borrow()[0]), status == 200);
            let end = took.end.get();
            match is_flowing {
                true => assert_eq!(end, Some(Ok(())), "{speaks:?}"),
                false => assert_eq!(end, Some(Err(BodyFault::TooSlow)), "{speaks:?}"),
            }
            drop(sender);
            world.end();
        }
    }
}

/// Sends a body byte by byte.
fn trickle(sim: &Sim, speaks: Speaks, len: usize, pause: Duration) -> Sender {
    if speaks.is_http2() {
        return trickle_streams(sim, speaks, len, pause);
    }
    let sender = Sender::begin(sim, speaks, vec![Put::of(len).stopping(0)]);
    let (wire, driver) = (sender.wire.clone(), sender.driver.clone());
    let pacing = driver.clone();
    driver.spawn(async move {
        poll_fn(|_| {
            wire.look(|_| ());
            match wire.is_handshaking() {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
        for at in 0..len {
            pacing.pause(pause).await;
            if wire.is_over() {
                return;
            }
            match speaks.is_chunked() {
                true => {
                    wire.write(b"1\r\n");
                    wire.write(&bytes_at(at, 1));
                    wire.write(b"\r\n");
                }
                false => wire.write(&bytes_at(at, 1)),
            }
        }
        if speaks.is_chunked() {
            wire.write(b"0\r\n\r\n");
        }
    });
    sender.driver.go_on();
    sender
}

fn trickle_streams(sim: &Sim, speaks: Speaks, len: usize, pause: Duration) -> Sender {
    let tls = ClientConfigs::new();
    let config = speaks
        .is_secure()
        .then(|| tls.http2(&mut Random::new(sim.seed())));
    let client = sim.connect(if speaks.is_secure() { SECURE } else { PLAIN });
    let sender = Sender {
        wire: Wire::new(&client, config.as_ref()),
        driver: Driver::new(sim, &client),
        got: Rc::new(RefCell::new(vec![Got::default()])),
        sent: Rc::default(),
    };
    let (wire, driver) = (sender.wire.clone(), sender.driver.clone());
    sender.driver.spawn(async move {
        let builder = h2::client::Builder::new();
        let (mut requests, connection) = match builder.handshake::<_, Bytes>(wire).await {
            Ok(both) => both,
            Err(_) => return,
        };
        let pacing = driver.clone();
        driver.spawn(async move {
            let request = http::Request::put("http://sim.test/a").body(());
            let request = request.expect("a request");
            let (_response, mut content) = requests.send_request(request, false).expect("sent");
            for at in 0..len {
                pacing.pause(pause).await;
                if content.send_data(bytes_at(at, 1).into(), false).is_err() {
                    return;
                }
            }
            let _ = content.send_data(Bytes::new(), true);
            pacing.pause(Duration::from_secs(3000)).await;
        });
        let _ = connection.await;
    });
    sender.driver.go_on();
    sender
}

/// RFC 9110 §10.1.1: who waits for that is told to go on when the task asks for content, and not
/// before.
#[test]
fn a_client_is_told_to_go_on_when_its_content_is_asked_for() {
    let _alone = alone();
    for speaks in ALL {
        if speaks == Speaks::Http10 {
            continue; // It knows no expectations.
        }
        let take = Take {
            asks_after: 2 * BODY_TIMEOUT,
            ..Take::default()
        };
        let (mut world, took) = world_of(1, SimSettings::calm(), vec![take, Take::default()]);
        let put = Put {
            expects: true,
            ..Put::of(50_000)
        };
        // Behind it the connection goes on.
        let sender = Sender::begin(&world.sim, speaks, vec![put, Put::of(300)]);
        world.run_for(BODY_TIMEOUT);
        assert_eq!(sender.got(0).status, 0);
        let sent = sender.sent.get();
        assert_eq!(sent, if speaks.is_http2() { 300 } else { 0 }, "{speaks:?}");
        world.run_until(|| sender.has_all());
        assert_eq!(sender.statuses(), [200, 200], "{speaks:?}");
        assert_eq!((sender.got(0).continues, sender.got(1).continues), (1, 0));
        assert!(is_body(&took.borrow()[0].content.borrow(), 50_000));
        world.end();
    }
}

#[test]
fn a_client_that_is_refused_is_not_told_to_go_on() {
    let _alone = alone();
    for speaks in ALL {
        if speaks == Speaks::Http10 {
            continue;
        }
        let take = Take {
            enough: 0,
            asks_after: Duration::from_millis(10),
            ..Take::default()
        };
        let (mut world, took) = world_of(1, SimSettings::calm(), vec![take]);
        let put = Put {
            expects: true,
            ..Put::of(50_000)
        };
        let sender = Sender::begin(&world.sim, speaks, vec![put]);
        world.run_until(|| sender.has_all());
        let got = sender.got(0);
        assert_eq!((got.status, got.continues), (403, 0), "{speaks:?}");
        assert_eq!(sender.sent.get(), 0);
        assert_eq!(
            took.borrow()[0].length.get().is_some(),
            !speaks.is_chunked()
        );
        // What would follow could be the body, or not (HTTP/1).
        assert_eq!(got.closes, !speaks.is_http2());
        world.run_for(Duration::from_secs(5));
        assert_eq!(world.connections.len(), usize::from(speaks.is_http2()));
        drop(sender);
        world.end();
    }
}

/// Who has not waited needs not be told.
#[test]
fn content_that_comes_unasked_is_taken_without_a_word() {
    let _alone = alone();
    let take = Take {
        asks_after: Duration::from_secs(1),
        ..Take::default()
    };
    let (mut world, took) = world_of(1, SimSettings::calm(), vec![take]);
    let client = world.sim.connect(PLAIN);
    client.write(
        b"PUT / HTTP/1.1\r\nHost: sim.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n01",
    );
    world.run_for(Duration::from_millis(500));
    client.write(b"234GET /a.css HTTP/1.1\r\nHost: sim.test\r\n\r\n");
    world.run_for(Duration::from_secs(2));
    assert_eq!(took.borrow()[0].content.borrow()[..], b"01234"[..]);
    let (got, len) = answer_of(&client.received()).expect("an answer");
    assert_eq!((got.status, got.continues, got.closes), (200, 0, false));
    let next = client.received()[len..].to_vec();
    assert!(next.starts_with(b"HTTP/1.1 "), "the connection goes on");
    client.close();
    world.end();
}

/// RFC 9110 §15.5.14: told without asking for it where the length is announced.
#[test]
fn a_body_that_is_too_large_is_refused() {
    let _alone = alone();
    for speaks in ALL {
        for (len, is_large) in [(30_000, false), (30_001, true), (LARGE, true)] {
            let (settings, takes) = (SimSettings::calm(), vec![Take::default()]);
            let (mut world, took) = world_with(1, settings, takes, 30_000);
            let expects = speaks != Speaks::Http10;
            let put = Put {
                expects,
                ..Put::of(len)
            };
            let sender = Sender::begin(&world.sim, speaks, vec![put]);
            world.run_until(|| sender.has_all());
            let (got, took) = (sender.got(0), Rc::clone(&took.borrow()[0]));
            let status = if is_large { 413 } else { 200 };
            assert_eq!(got.status, status, "{speaks:?}, {len}");
            assert!(took.content.borrow().len() <= 30_000);
            let is_announced = took.length.get().is_some();
            let is_asked_for = expects && !(is_announced && is_large);
            assert_eq!(got.continues, usize::from(is_asked_for), "{speaks:?}");
            drop(sender);
            world.run_for(Duration::from_secs(30));
            world.end();
        }
    }
}

#[test]
fn a_body_that_is_malformed_fails_and_ends_its_connection() {
    let _alone = alone();
    for speaks in [Speaks::Chunked, Speaks::ChunkedTls] {
        let (mut world, took) = world_of(1, SimSettings::calm(), vec![Take::default()]);
        let put = Put {
            breaks: Some(b"bad"),
            ..Put::of(100_000)
        };
        let sender = Sender::begin(&world.sim, speaks, vec![put, Put::of(1)]);
        world.run_for(Duration::from_secs(10));
        let end = took.borrow()[0].end.get();
        assert!(matches!(end, Some(Err(BodyFault::Malformed(_)))), "{end:?}");
        let got = sender.got(0);
        assert!(got.status == 400 && got.closes, "{speaks:?}: {got:?}");
        assert!(world.connections.is_empty());
        assert_eq!(took.borrow().len(), 1, "nothing behind it is understood");
        world.end();
    }
}

/// An answer may come before the body has: a short rest is thrown away, a long one is not waited
/// for.
#[test]
fn an_early_answer_lets_a_short_rest_come() {
    let _alone = alone();
    let drained = DRAIN_BYTES_MAX as usize;
    for speaks in ALL {
        for (len, goes_on) in [(drained / 2, true), (LARGE, false)] {
            let enough = |enough| Take {
                enough,
                ..Take::default()
            };
            let takes = vec![enough(1), Take::default()];
            let (mut world, took) = world_of(1, SimSettings::calm(), takes);
            let puts = vec![Put::of(len), Put::of(200)];
            let sender = Sender::begin(&world.sim, speaks, puts);
            world.run_for(Duration::from_millis(2900));
            assert_eq!(sender.got(0).status, 403, "{speaks:?}, {len}");
            if goes_on || speaks.is_http2() {
                assert_eq!(sender.got(1).status, 200, "{speaks:?}, {len}");
                assert!(is_body(&took.borrow()[1].content.borrow(), 200));
                assert_eq!(world.connections.len(), 1);
            } else {
                assert_eq!(took.borrow().len(), 1);
                assert!(world.connections.is_empty(), "{speaks:?}");
            }
            assert!(took.borrow()[0].content.borrow().len() < 600_000);
            drop(sender);
            world.end();
        }
    }
}

/// Also when the task has taken nothing, and the client had to stop.
#[test]
fn an_answer_comes_through_a_full_queue() {
    let _alone = alone();
    for speaks in ALL {
        let take = Take {
            enough: 0,
            asks_after: Duration::from_secs(1),
            ..Take::default()
        };
        let (mut world, _) = world_of(1, SimSettings::calm(), vec![take, Take::default()]);
        let puts = vec![Put::of(LARGE), Put::of(200)];
        let sender = Sender::begin(&world.sim, speaks, puts);
        world.run_for(Duration::from_secs(10));
        let is_http2 = speaks.is_http2();
        let statuses = if is_http2 { [403, 200] } else { [403, 0] };
        assert_eq!(sender.statuses(), statuses, "{speaks:?}");
        assert_eq!(sender.got(0).content, "0");
        if !is_http2 {
            assert!(world.connections.is_empty(), "{speaks:?}");
        }
        drop(sender);
        world.end();
    }
}

/// Ways for a peer to be gone in the middle.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    Closes,
    Resets,
    HalfCloses,
    Vanishes,
}

#[test]
fn a_peer_that_leaves_in_the_middle_ends_its_task() {
    let _alone = alone();
    for speaks in ALL {
        for leaves in [
            Leaves::Closes,
            Leaves::Resets,
            Leaves::HalfCloses,
            Leaves::Vanishes,
        ] {
            for rests in [Duration::ZERO, Duration::from_secs(1)] {
                let take = Take {
                    rests,
                    ..Take::default()
                };
                let (mut world, took) = world_of(1, SimSettings::calm(), vec![take]);
                let put = Put::of(LARGE).stopping(2_000_000);
                let sender = Sender::begin(&world.sim, speaks, vec![put]);
                world.run_for(Duration::from_secs(3));
                let client = sender.wire.client();
                match leaves {
                    Leaves::Closes => client.close(),
                    Leaves::Resets => client.reset(),
                    Leaves::HalfCloses => sender.wire.half_close(),
                    Leaves::Vanishes => client.vanish(),
                }
                world.run_for(Duration::from_secs(120));
                let took = Rc::clone(&took.borrow()[0]);
                let end = took.end.get();
                assert!(took.has_ended.get(), "{speaks:?}, {leaves:?}: {end:?}");
                assert_ne!(end, Some(Ok(())), "{speaks:?}, {leaves:?}");
                let content = took.content.borrow();
                assert!(is_body(&content, content.len()));
                if !(speaks.is_http2() && matches!(leaves, Leaves::Vanishes)) {
                    let open = world.connections.len();
                    assert_eq!(open, 0, "{speaks:?}, {leaves:?}: {end:?}");
                }
                drop(sender);
                world.end();
            }
        }
    }
}

/// In worlds in which clients are struck, each task ends, and nothing is left.
#[test]
fn no_task_is_left_in_any_world() {
    let _alone = alone();
    for seed in 0..70 {
        let _replay = Replay(seed);
        let mut random = Random::new(seed);
        let settings = SimSettings {
            peer_reset: 0.3,
            peer_vanish: 0.3,
            peer_half_close: 0.3,
            accept_failure: 0.0,
            ..SimSettings::random(seed)
        };
        let speaks = ALL[seed as usize % ALL.len()];
        let takes = (0..3).map(|_| Take {
            asks_after: Duration::from_micros(random.any_size(22)),
            rests: Duration::from_micros(random.any_size(18)),
            enough: random.pick(&[usize::MAX, usize::MAX, 1000]),
        });
        let (mut world, took) = world_of(seed, settings, takes.collect());
        let puts = (0..3).map(|_| Put {
            expects: random.chance(0.3),
            ..Put::of(1 + random.any_size(20) as usize)
        });
        let sender = Sender::begin(&world.sim, speaks, puts.collect());
        world.run_for(Duration::from_secs(300));
        for took in took.borrow().iter() {
            assert!(took.has_ended.get(), "{speaks:?}");
            let content = took.content.borrow();
            assert!(is_body(&content, content.len()), "{speaks:?}");
        }
        drop(sender);
        world.end();
    }
}

/// The connection's window is not a slow task's: others go on.
#[test]
fn slow_tasks_hold_up_nobody_else() {
    let _alone = alone();
    let windows = (H2_CONNECTION_WINDOW_BYTES / H2_STREAM_WINDOW_BYTES) as usize;
    for speaks in [Speaks::Http2, Speaks::Http2Tls] {
        let slow = windows + 2;
        let take = Take {
            asks_after: Duration::from_secs(100),
            ..Take::default()
        };
        let mut takes = vec![take; slow];
        takes.push(Take::default());
        let (mut world, took) = world_of(1, SimSettings::calm(), takes);
        let mut puts = vec![Put::of(LARGE / 5); slow];
        puts.push(Put::of(LARGE));
        let sender = Sender::begin(&world.sim, speaks, puts);
        world.run_until(|| sender.got(slow).status > 0);
        assert!(world.sim.elapsed() < Duration::from_secs(20), "{speaks:?}");
        assert!(is_body(&took.borrow()[slow].content.borrow(), LARGE));
        world.run_until(|| sender.has_all());
        assert!(sender.statuses().iter().all(|status| *status == 200));
        world.end();
    }
}

/// But what all of them hold is bounded, and nobody is called slow who may not send.
#[test]
fn many_slow_tasks_hold_no_more_than_the_connection_may() {
    let _alone = alone();
    for speaks in [Speaks::Http2, Speaks::Http2Tls] {
        let take = Take {
            asks_after: 3 * BODY_TIMEOUT,
            rests: Duration::from_millis(10),
            ..Take::default()
        };
        let (mut world, took) = world_of(1, SimSettings::calm(), vec![take]);
        let sender = Sender::begin(&world.sim, speaks, vec![Put::of(LARGE / 10); 30]);
        world.run_for(2 * BODY_TIMEOUT);
        let sent = sender.sent.get();
        let bound = H2_CONTENT_WAITING_BYTES_MAX + H2_CONNECTION_WINDOW_BYTES as usize;
        assert!(
            sent <= bound && sent >= bound - H2_CONNECTION_WINDOW_BYTES as usize / 2,
            "{sent} of {bound}"
        );
        world.run_until(|| sender.has_all());
        assert!(sender.statuses().iter().all(|status| *status == 200));
        for took in took.borrow().iter() {
            assert!(is_body(&took.content.borrow(), LARGE / 10));
        }
        world.end();
    }
}

/// What was begun may come to its end within the grace period.
#[test]
fn a_worker_that_ends_lets_bodies_come() {
    let _alone = alone();
    for speaks in ALL {
        let (mut world, took) = world_of(1, SimSettings::calm(), vec![Take::default()]);
        let put = Put {
            rests: Some((300_000, Duration::from_secs(5))),
            ..Put::of(600_000)
        };
        let sender = Sender::begin(&world.sim, speaks, vec![put]);
        world.run_for(Duration::from_secs(2));
        world.end();
        sender.driver.go_on();
        assert_eq!(sender.statuses(), [200], "{speaks:?}");
        assert!(is_body(&took.borrow()[0].content.borrow(), 600_000));
        assert_ne!(sender.wire.heard().end, Some(ClientEnd::Reset));
    }
}

/// And what does not is cut off.
#[test]
fn a_worker_that_is_cut_off_ends_tasks() {
    let _alone = alone();
    for speaks in ALL {
        let (mut world, took) = world_of(1, SimSettings::calm(), vec![Take::default()]);
        let put = Put::of(600_000).stopping(300_000);
        let _sender = Sender::begin(&world.sim, speaks, vec![put]);
        world.run_for(Duration::from_secs(2));
        world.connections.terminate_all();
        world.end();
        assert!(took.borrow()[0].has_ended.get(), "{speaks:?}");
    }
}
