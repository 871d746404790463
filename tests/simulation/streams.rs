//! Clients that speak HTTP/2 by means of the `h2` crate: what they ask on many streams at a time,
//! and what they must have got in the end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use downpour::engine::sim::{Client, ClientEnd, Random, Reading, Sim};
use h2::Reason;
use h2::client::Builder;
use rustls::ClientConfig;

use crate::client::{Checked, Excuses, Leave, check_date};
use crate::driver::Driver;
use crate::exchange::{Exchange, Request, Truth};
use crate::lane::{Content, End, Outcome, Taking, Work, walk};
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

impl StreamsPlan {
    /// Checks every answer; says how much that was.
    pub(crate) fn check(
        &self,
        begun: &StreamsClient,
        sim: &Sim,
        truth: Truth<'_>,
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
        let may_fail = truth.may_fail;
        let mut checked = self.check_answers(sim, truth, |ask, outcome| {
            assert!(
                outcome.is_whole() || excused || self.is_excused(ask, &outcome.end, may_fail),
                "no answer to {}: {:?}, {:?}; the connection: {:?}",
                ask.describe(),
                outcome.end,
                outcome.response(),
                begun.connection.borrow()
            );
        });
        checked.without_excuse += usize::from(!excused && checked.answers > 0);
        if !excused {
            self.check_end(begun, client);
        }
        checked
    }

    /// True when one request may rightly have failed alone.
    fn is_excused(&self, ask: &Ask, end: &End, may_fail: bool) -> bool {
        let End::Failed(error) = end else {
            return matches!(end, End::Cancelled);
        };
        // A file that cannot be sent as long as was promised.
        let may_fail = may_fail || ask.exchange.expected.may_be_cut_off();
        let has_failed = error.is_reset() && error.reason() == Some(Reason::INTERNAL_ERROR);
        // Who reads slowly asks again when for the server it was idle for long.
        let is_late = self.reading != Reading::Eager;
        let was_ended = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
        error.is_remote() && (may_fail && has_failed || is_late && was_ended)
    }

    /// The same for a client that takes every answer at once and says goodbye in the end.
    pub(crate) fn make_gentle(&mut self) {
        self.ending = Ending::Goodbye;
        self.reading = Reading::Eager;
        self.pings = false;
        for ask in self.lanes.iter_mut().flatten() {
            ask.taking = Taking::AtOnce;
        }
    }

    /// Checks that the worker has not ended in the middle of an answer.
    pub(crate) fn check_drained(&self, sim: &Sim, truth: Truth<'_>) -> Checked {
        self.check_answers(sim, truth, |ask, outcome| {
            let may_break = ask.exchange.expected.may_be_cut_off();
            let is_cut_off = outcome.head.is_some() && !outcome.is_whole();
            assert!(!is_cut_off || may_break, "cut off: {:?}", outcome.end);
        })
    }

    /// Checks every answer as far as it came, and what else must hold for each request.
    fn check_answers(
        &self,
        sim: &Sim,
        mut truth: Truth<'_>,
        check: impl Fn(&Ask, &Outcome),
    ) -> Checked {
        let mut checked = Checked::default();
        for lane in &self.lanes {
            truth.tag_before = None;
            for ask in lane {
                let outcome = ask.outcome.borrow();
                let is_whole = outcome.is_whole();
                if let Some(response) = outcome.response() {
                    ask.check_answer(&response, &outcome.content, is_whole, sim, &truth);
                    let tag = response.field("etag").filter(|_| is_whole);
                    truth.tag_before = tag.map(str::to_owned);
                }
                checked.answers += usize::from(is_whole);
                check(ask, &outcome);
            }
        }
        checked.streams = checked.answers;
        if self.tls.is_some() {
            checked.secure = checked.answers;
        }
        checked
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
                text += &format!("\n  {}", ask.describe());
            }
        }
        text
    }
}

impl Ask {
    fn describe(&self) -> String {
        let what = match &self.exchange.request {
            Request::Fixed(bytes) => bytes.escape_ascii().to_string(),
            Request::AfterAnswer(text) => text.escape_default().to_string(),
        };
        let what: String = what.chars().take(120).collect();
        let outcome = self.outcome.borrow();
        let status = outcome.head.as_ref().map(|(status, _)| *status);
        format!(
            "after {:?}: {what}, {:?}, content: {:?} -> {status:?} and {} bytes, {:?}",
            self.pause,
            self.taking,
            self.content.as_ref().map(|it| it.pieces.len()),
            outcome.content.len(),
            outcome.end
        )
    }

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
    let refusal = b"HTTP/1.1 503 ";
    let len = received.len().min(refusal.len());
    received[..len] == refusal[..len]
}
