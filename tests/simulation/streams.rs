//! Clients that speak HTTP/2 by means of the `h2` crate: what they ask on many streams at a time,
//! and what they must have got in the end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use downpour::engine::sim::{Client, ClientEnd, Random, Reading, Sim};
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Uri};
use rustls::ClientConfig;

use crate::client::{Checked, Excuses, Leave, check_date};
use crate::driver::Driver;
use crate::exchange::{Exchange, Request, Truth};
use crate::response::Response;
use crate::wire::Wire;

/// What one client is going to do.
pub(crate) struct StreamsPlan {
    pub(crate) starts_at: Duration,
    /// TLS, and which.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Each lane asks one thing after the other; all lanes at a time.
    lanes: Vec<Vec<Ask>>,
    builder: Builder,
    reading: Reading,
    pings: bool,
    ending: Ending,
}

/// One request, and how its answer is taken.
struct Ask {
    exchange: Exchange,
    /// Before it is sent.
    pause: Duration,
    priority: Option<&'static str>,
    /// Content in pieces with pauses between; perhaps with trailers behind.
    content: Option<Content>,
    taking: Taking,
    outcome: Rc<RefCell<Outcome>>,
}

#[derive(Clone)]
struct Content {
    pieces: Vec<Bytes>,
    pause: Duration,
    trailers: bool,
}

/// How an answer is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taking {
    AtOnce,
    /// The window opens again after a pause.
    Slowly(Duration),
    /// The window is never opened again.
    Never,
    /// The stream is reset after a while.
    CancelledAfter(Duration),
    /// The stream is reset after so many bytes.
    CancelledAt(usize),
}

/// How the connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ending {
    /// When everything was answered, with GOAWAY.
    Goodbye,
    /// The client stays until the server ends the connection.
    Idle,
    Left(Duration, Leave),
    HalfClosed(Duration),
    /// Bytes that are no frames, or no record.
    Rubbish(Duration, Vec<u8>),
}

/// What came of one request.
#[derive(Default)]
struct Outcome {
    head: Option<(u16, Vec<(String, String)>)>,
    content: Vec<u8>,
    end: End,
}

#[derive(Debug, Default)]
enum End {
    #[default]
    Open,
    Whole,
    Cancelled,
    Failed(h2::Error),
}

/// One client at work.
pub(crate) struct StreamsClient {
    pub(crate) wire: Wire,
    pub(crate) driver: Driver,
    connection: Rc<RefCell<Option<Result<(), h2::Error>>>>,
    pong: Rc<RefCell<Option<Result<(), h2::Error>>>>,
}

impl StreamsPlan {
    /// A plan that follows from the dice. `tls`: how it would speak TLS.
    /// `takes_long_requests`: they are not so slow that they would rightly be late.
    pub(crate) fn new(
        random: &mut Random,
        tls: Option<Arc<ClientConfig>>,
        takes_long_requests: bool,
    ) -> StreamsPlan {
        let mut builder = Builder::new();
        let window = match random.below(4) {
            0 => 100 + random.any_size(13),
            1 => 8_000 + random.any_size(17),
            2 => 1 << 24,
            _ => 65_535,
        };
        builder
            .initial_window_size(window as u32)
            .initial_connection_window_size(65_535 + random.any_size(20) as u32)
            .max_frame_size(16_384 + random.any_size(16) as u32)
            .header_table_size(random.any_size(13) as u32)
            .initial_max_send_streams(random.pick(&[1, 5, 100]))
            .enable_push(random.chance(0.5))
            .reset_stream_duration(Duration::from_secs(3600));
        let lanes = (0..1 + random.below(12)).map(|_| {
            let count = random.between(1, 4);
            Ask::lane(random, count, window < 8_000, takes_long_requests)
        });
        let lanes: Vec<Vec<Ask>> = lanes.collect();
        let after = Duration::from_micros(random.any_size(20));
        let ending = match random.below(16) {
            0 | 1 => Ending::Idle,
            2 | 3 => {
                let leave = random.pick(&[Leave::Close, Leave::Reset, Leave::Vanish]);
                Ending::Left(after, leave)
            }
            4 => Ending::HalfClosed(after),
            5 => {
                let len = 1 + random.any_size(11) as usize;
                Ending::Rubbish(after, crate::site::content(random, len))
            }
            _ => Ending::Goodbye,
        };
        let mut takings = lanes.iter().flatten().map(|ask| ask.taking);
        let ending = match takings.any(|taking| taking == Taking::Never) {
            // The other streams may creep on for hours in what is left of the window.
            true => Ending::Left(Duration::from_secs(60), Leave::Close),
            false => ending,
        };
        let reading = match random.below(8) {
            0 => Reading::BytesPerMs(100 + random.any_size(12) as u32),
            _ => Reading::Eager,
        };
        StreamsPlan {
            starts_at: Duration::from_micros(random.any_size(23)),
            tls,
            lanes,
            builder,
            reading,
            pings: random.chance(0.3),
            ending,
        }
    }

    /// Puts a connected client to work.
    pub(crate) fn begin(&self, sim: &Sim, client: &Client) -> StreamsClient {
        client.reads(self.reading);
        let begun = StreamsClient {
            wire: Wire::new(client, self.tls.as_ref()),
            driver: Driver::new(sim, client),
            connection: Rc::default(),
            pong: Rc::default(),
        };
        let driver = &begun.driver;
        driver.spawn(self.converse(&begun));
        if let Some((after, act)) = self.interruption(&begun.wire) {
            let pausing = driver.clone();
            driver.spawn(async move {
                pausing.pause(after).await;
                act();
            });
        }
        begun
    }

    /// What happens to the connection in the midst of it all, and when.
    fn interruption(&self, wire: &Wire) -> Option<(Duration, Box<dyn FnOnce()>)> {
        let wire = wire.clone();
        Some(match self.ending.clone() {
            Ending::Goodbye | Ending::Idle => return None,
            Ending::Left(after, leave) => {
                let client = wire.client().clone();
                let act = move || match leave {
                    Leave::Close => client.close(),
                    Leave::Reset => client.reset(),
                    Leave::Vanish => client.vanish(),
                };
                (after, Box::new(act))
            }
            Ending::HalfClosed(after) => (after, Box::new(move || wire.half_close())),
            // Below TLS: it is no record either.
            Ending::Rubbish(after, bytes) => (after, Box::new(move || wire.client().write(&bytes))),
        })
    }

    /// The whole conversation.
    fn converse(&self, begun: &StreamsClient) -> impl Future<Output = ()> + use<> {
        let (driver, wire) = (begun.driver.clone(), begun.wire.clone());
        let result = Rc::clone(&begun.connection);
        let pong = self.pings.then(|| Rc::clone(&begun.pong));
        let builder = self.builder.clone();
        let lanes: Vec<VecDeque<Work>> = self
            .lanes
            .iter()
            .map(|lane| lane.iter().map(Ask::work).collect())
            .collect();
        let stays = self.ending == Ending::Idle;
        async move {
            let (requests, mut connection) = match builder.handshake(wire.clone()).await {
                Ok(both) => both,
                Err(error) => {
                    *result.borrow_mut() = Some(Err(error));
                    wire.client().close();
                    return;
                }
            };
            if let Some((mut pinger, pong)) = connection.ping_pong().zip(pong) {
                driver.spawn(async move {
                    let answer = pinger.ping(h2::Ping::opaque()).await;
                    *pong.borrow_mut() = Some(answer.map(|_| ()));
                });
            }
            for lane in lanes {
                driver.spawn(walk(driver.clone(), requests.clone(), lane));
            }
            let stay = stays.then_some(requests);
            let end = connection.await;
            *result.borrow_mut() = Some(end);
            drop(stay);
            wire.client().close();
        }
    }
}

/// A request as its lane sends it.
struct Work {
    request: Request,
    pause: Duration,
    priority: Option<&'static str>,
    content: Option<Content>,
    taking: Taking,
    outcome: Rc<RefCell<Outcome>>,
}

/// Sends the requests of a lane, one after the other.
async fn walk(driver: Driver, requests: SendRequest<Bytes>, lane: VecDeque<Work>) {
    let mut before = None;
    for work in lane {
        driver.pause(work.pause).await;
        let end = loop {
            *work.outcome.borrow_mut() = Outcome::default();
            let end = match ask(&driver, requests.clone(), &work, before.as_ref()).await {
                Ok(end) => end,
                Err(error) => End::Failed(error),
            };
            match &end {
                // More streams than the server takes, which we could not know yet.
                End::Failed(error) if error.reason() == Some(Reason::REFUSED_STREAM) => {
                    driver.pause(Duration::from_millis(5)).await;
                }
                _ => break end,
            }
        };
        work.outcome.borrow_mut().end = end;
        before = Some(Rc::clone(&work.outcome));
    }
}

/// One request and its answer.
async fn ask(
    driver: &Driver,
    requests: SendRequest<Bytes>,
    work: &Work,
    before: Option<&Rc<RefCell<Outcome>>>,
) -> Result<End, h2::Error> {
    let mut requests = requests.ready().await?;
    let (request, fixed_content) = translate(work, before);
    let content = work.content.clone().or(fixed_content);
    let (response, upload) = requests.send_request(request, content.is_none())?;
    drop(requests);
    if let Some(content) = content {
        driver.spawn(send_content(driver.clone(), upload, content));
    }
    let outcome = Rc::clone(&work.outcome);
    let taking = work.taking;
    let take = async {
        let response = response.await?;
        let fields = response.headers().iter().map(|(name, value)| {
            let value = value.to_str().expect("ASCII").to_owned();
            (name.as_str().to_owned(), value)
        });
        let head = (response.status().as_u16(), fields.collect());
        outcome.borrow_mut().head = Some(head);
        take_content(driver, response.into_body(), taking, &outcome).await
    };
    let patience = match taking {
        Taking::CancelledAfter(patience) => Some(patience),
        _ => None,
    };
    // What is dropped unfinished is cancelled.
    driver
        .within(patience, take)
        .await
        .unwrap_or(Ok(End::Cancelled))
}

async fn take_content(
    driver: &Driver,
    mut body: RecvStream,
    taking: Taking,
    outcome: &RefCell<Outcome>,
) -> Result<End, h2::Error> {
    while let Some(piece) = body.data().await {
        let piece = match piece {
            Ok(piece) => piece,
            // After the answer was whole: the rest of the request is not wanted (RFC 9113 §8.1).
            Err(error) if error.reason() == Some(Reason::NO_ERROR) && error.is_reset() => break,
            Err(error) => return Err(error),
        };
        outcome.borrow_mut().content.extend_from_slice(&piece);
        match taking {
            Taking::Never => continue,
            Taking::Slowly(pause) => driver.pause(pause).await,
            Taking::CancelledAt(len) if outcome.borrow().content.len() >= len => {
                return Ok(End::Cancelled);
            }
            _ => {}
        }
        body.flow_control().release_capacity(piece.len())?;
    }
    if let Ok(Some(trailers)) = body.trailers().await {
        panic!("nobody sends trailers: {trailers:?}");
    }
    Ok(End::Whole)
}

/// Sends content as the windows allow, until it is out or nobody wants it any more.
async fn send_content(driver: Driver, mut upload: SendStream<Bytes>, content: Content) {
    let count = content.pieces.len();
    for (number, mut piece) in content.pieces.into_iter().enumerate() {
        let is_last = number + 1 == count && !content.trailers;
        while !piece.is_empty() {
            upload.reserve_capacity(piece.len());
            let room = match upload.capacity() {
                0 => poll_fn(|context| upload.poll_capacity(context)).await,
                room => Some(Ok(room)),
            };
            let Some(Ok(room)) = room else {
                return;
            };
            let part = piece.split_to(room.min(piece.len()));
            let is_end = is_last && piece.is_empty();
            if upload.send_data(part, is_end).is_err() {
                return;
            }
        }
        driver.pause(content.pause).await;
    }
    if content.trailers {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-trailer", HeaderValue::from_static("behind"));
        upload.send_trailers(trailers).ok(); // Or it was reset meanwhile.
    }
}

/// A request of HTTP/1.1 in terms of HTTP/2, and its content.
fn translate(
    work: &Work,
    before: Option<&Rc<RefCell<Outcome>>>,
) -> (http::Request<()>, Option<Content>) {
    let text = match &work.request {
        Request::Fixed(bytes) => String::from_utf8(bytes.clone()).expect("a text"),
        Request::AfterAnswer(text) => {
            let before = before.expect("something came before").borrow();
            // Nobody knows what a part of an answer stands for.
            let response = before.response().filter(|_| before.is_whole());
            let field = |name| response.as_ref().and_then(|response| response.field(name));
            let tag = field("etag").unwrap_or("\"none\"");
            let date = field("last-modified").unwrap_or("Thu, 01 Jan 1970 00:00:00 GMT");
            text.replace("{tag}", tag).replace("{date}", date)
        }
    };
    let (head, content) = text.split_once("\r\n\r\n").expect("a whole head");
    let mut lines = head.split("\r\n");
    let mut words = lines.next().expect("a request line").split(' ');
    let (method, target) = (words.next().expect("method"), words.next().expect("target"));
    let target = target.strip_prefix("http://sim.test").unwrap_or(target);
    let uri = Uri::builder().scheme("http").authority("sim.test");
    let uri = uri.path_and_query(target).build().expect("a target");
    let mut request = http::Request::builder().method(method).uri(uri);
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a field");
        // What is said otherwise in HTTP/2 (RFC 9113 §8.2.2).
        if !["Host", "Transfer-Encoding"].contains(&name) {
            request = request.header(name, value);
        }
    }
    if let Some(priority) = work.priority {
        request = request.header("priority", priority);
    }
    let content = (!content.is_empty()).then(|| Content {
        pieces: vec![Bytes::from(content.to_owned())],
        pause: Duration::ZERO,
        trailers: false,
    });
    (request.body(()).expect("a request"), content)
}

impl Ask {
    fn new(random: &mut Random, exchange: Exchange) -> Ask {
        let pause = Duration::from_micros(random.any_size(20));
        let taking = match random.below(16) {
            0..=2 => Taking::Slowly(Duration::from_micros(random.any_size(18))),
            3 => Taking::CancelledAfter(Duration::from_micros(random.any_size(18))),
            4 => Taking::CancelledAt(1 + random.any_size(18) as usize),
            5 if random.chance(0.1) => Taking::Never,
            _ => Taking::AtOnce,
        };
        Ask {
            exchange,
            pause: if random.chance(0.5) {
                Duration::ZERO
            } else {
                pause
            },
            priority: random.pick(&[None, None, Some("u=0"), Some("u=5, i"), Some("i")]),
            content: None,
            taking,
            outcome: Rc::default(),
        }
    }

    /// Requests of one lane; only small files when `is_narrow`.
    fn lane(
        random: &mut Random,
        count: u64,
        is_narrow: bool,
        takes_long_requests: bool,
    ) -> Vec<Ask> {
        if random.chance(0.1) && !is_narrow {
            let pair = Exchange::revalidation(random);
            return pair.into_iter().map(|it| Ask::new(random, it)).collect();
        }
        let mut asks = Vec::new();
        for _ in 0..count {
            asks.push(if random.chance(0.1) {
                Ask::upload(random, takes_long_requests)
            } else {
                let exchange = match is_narrow {
                    true => Exchange::small(random),
                    false => Exchange::any(random),
                };
                Ask::new(random, exchange)
            });
        }
        asks
    }

    /// Content that nobody takes.
    fn upload(random: &mut Random, may_be_long: bool) -> Ask {
        let (count, bits) = if may_be_long { (8, 17) } else { (3, 10) };
        let pieces = (0..1 + random.below(count)).map(|_| {
            let len = 1 + random.any_size(bits) as usize;
            Bytes::from(vec![b'z'; len])
        });
        let content = Content {
            pieces: pieces.collect(),
            pause: Duration::from_micros(random.any_size(14)),
            trailers: random.chance(0.3),
        };
        let len = content.pieces.iter().map(Bytes::len).sum();
        let said_len = random.chance(0.5).then_some(len);
        let exchange = Exchange::upload(random, said_len);
        let mut ask = Ask::new(random, exchange);
        ask.content = Some(content);
        ask
    }

    fn work(&self) -> Work {
        Work {
            request: self.exchange.request.clone(),
            pause: self.pause,
            priority: self.priority,
            content: self.content.clone(),
            taking: self.taking,
            outcome: Rc::clone(&self.outcome),
        }
    }
}

impl Outcome {
    fn is_whole(&self) -> bool {
        matches!(self.end, End::Whole)
    }

    /// The answer, as far as it came.
    fn response(&self) -> Option<Response> {
        let (status, fields) = self.head.clone()?;
        Some(Response::of_parts(status, fields, self.content.len()))
    }
}

impl StreamsPlan {
    /// Checks every answer; says how much that was.
    pub(crate) fn check(
        &self,
        begun: &StreamsClient,
        sim: &Sim,
        mut truth: Truth<'_>,
        excuses: Excuses,
    ) -> Checked {
        let client = begun.wire.client();
        let was_heard = !client.received().is_empty();
        let excused = !self.is_patient()
            || client.is_disturbed()
            || excuses.drained
            || (excuses.shed && !was_heard)
            || (truth.may_be_full && is_surplus(&client.received()))
            || (excuses.may_wait_for_tls && self.tls.is_some() && !was_heard);
        let mut checked = Checked::default();
        for (lane, asks) in self.lanes.iter().enumerate() {
            truth.tag_before = None;
            for (number, ask) in asks.iter().enumerate() {
                let outcome = ask.outcome.borrow();
                let response = outcome.response();
                let is_whole = outcome.is_whole();
                if let Some(response) = &response {
                    ask.check_answer(response, &outcome.content, is_whole, sim, &truth);
                    let tag = response.field("etag").filter(|_| is_whole);
                    truth.tag_before = tag.map(str::to_owned);
                }
                checked.answers += usize::from(is_whole);
                checked.streams += usize::from(is_whole);
                assert!(
                    is_whole || excused || self.is_excused(ask, &outcome.end, &truth),
                    "no answer in lane {lane} to request {number}: {:?}, {:?}; the connection: {:?}",
                    outcome.end,
                    response,
                    begun.connection.borrow()
                );
            }
        }
        if self.tls.is_some() {
            checked.secure = checked.answers;
        }
        checked.without_excuse += usize::from(!excused && checked.answers > 0);
        if !excused {
            self.check_end(begun, client);
        }
        checked
    }

    /// True when one request may rightly have failed alone.
    fn is_excused(&self, ask: &Ask, end: &End, truth: &Truth<'_>) -> bool {
        let End::Failed(error) = end else {
            return matches!(end, End::Cancelled);
        };
        // A file that cannot be sent as long as was promised.
        let may_fail = truth.may_fail || ask.exchange.expected.may_be_cut_off();
        let has_failed = error.is_reset() && error.reason() == Some(Reason::INTERNAL_ERROR);
        // Who reads slowly asks again when for the server it was idle for long.
        let is_late = self.reading != Reading::Eager;
        let was_ended = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
        error.is_remote() && (may_fail && has_failed || is_late && was_ended)
    }

    /// A client that was left alone sees an orderly end.
    fn check_end(&self, begun: &StreamsClient, client: &Client) {
        let end = begun.connection.borrow();
        assert!(matches!(&*end, Some(Ok(()))), "the connection: {end:?}");
        let is_reset = client.end() == Some(ClientEnd::Reset);
        assert!(!is_reset || self.ending != Ending::Idle, "not orderly");
        if self.pings {
            let pong = begun.pong.borrow();
            assert!(matches!(&*pong, Some(Ok(()))), "no pong: {pong:?}");
        }
    }

    /// True when a client that is left alone gets every answer.
    fn is_patient(&self) -> bool {
        matches!(self.ending, Ending::Goodbye | Ending::Idle)
    }

    /// For the message of a failure.
    pub(crate) fn describe(&self) -> String {
        let tls = self.tls.is_some();
        let mut text = format!(
            "HTTP/2 (TLS: {tls}) from {:?}, {:?}, {:?}, {:?}",
            self.starts_at, self.reading, self.ending, self.builder
        );
        for (number, lane) in self.lanes.iter().enumerate() {
            text += &format!("\n lane {number}");
            for ask in lane {
                let what = match &ask.exchange.request {
                    Request::Fixed(bytes) => bytes.escape_ascii().to_string(),
                    Request::AfterAnswer(text) => text.escape_default().to_string(),
                };
                let what: String = what.chars().take(120).collect();
                let outcome = ask.outcome.borrow();
                let status = outcome.head.as_ref().map(|(status, _)| *status);
                text += &format!(
                    "\n  after {:?}: {what}, {:?}, content: {:?} -> {status:?} and {} bytes, {:?}",
                    ask.pause,
                    ask.taking,
                    ask.content.as_ref().map(|it| it.pieces.len()),
                    outcome.content.len(),
                    outcome.end
                );
            }
        }
        text
    }
}

impl Ask {
    fn check_answer(
        &self,
        response: &Response,
        content: &[u8],
        is_whole: bool,
        sim: &Sim,
        truth: &Truth<'_>,
    ) {
        check_date(response, sim);
        let expected = &self.exchange.expected;
        if is_whole {
            let head_only = self.exchange.head_only;
            let length = response.field("content-length");
            let is_promised = length.is_none_or(|it| it.parse() == Ok(content.len()));
            let has_none = head_only || response.status == 304;
            assert!(
                if has_none {
                    content.is_empty()
                } else {
                    is_promised
                },
                "content of another length: {response:?}"
            );
            expected.check(response, content, head_only, truth);
        } else {
            expected.check_cut_off(response, content, truth);
        }
    }
}

/// True for a connection that was one too many: over TLS it hears nothing.
fn is_surplus(received: &[u8]) -> bool {
    received.is_empty() || received.starts_with(b"HTTP/1.1 503 ")
}
