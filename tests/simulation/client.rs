//! Clients: what they ask, how they go about it, and what they must have got in the end.

use std::time::Duration;

use downpour::engine::sim::{Client, ClientEnd, ClientScript, Random, Reading, Sim, Step};

use crate::exchange::{Exchange, Request, Truth};
use crate::response::{Counter, Parsed, Response, parse};

/// What one client is going to do.
pub(crate) struct Plan {
    pub(crate) manner: Manner,
    pub(crate) exchanges: Vec<Exchange>,
    /// When it connects.
    pub(crate) starts_at: Duration,
    /// It speaks TLS.
    pub(crate) is_secure: bool,
}

/// How it goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// One request, one answer, the next request.
    Polite,
    /// All requests at once.
    Pipelining,
    /// All requests, cut into pieces of at most so many bytes.
    Pieces(usize),
    /// All requests at once, then FIN, then it reads to the end.
    HalfClosing,
    /// All requests at once, and it reads so many bytes a millisecond.
    Slow(u32),
    /// All requests at once, and reads nothing for a while.
    Pausing,
    /// All requests at once; it goes without waiting, in one way or another.
    Leaving(Leave),
    /// Reads nothing for ever.
    Stuck,
    /// Sends nothing.
    Silent,
    /// Sends the beginning of a request.
    Unfinished,
}

/// Ways to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    Close,
    Reset,
    Vanish,
}

impl Plan {
    /// A plan that follows from the dice.
    pub(crate) fn new(random: &mut Random) -> Plan {
        let leave = random.pick(&[Leave::Close, Leave::Reset, Leave::Vanish]);
        let manner = match random.below(20) {
            0..=4 => Manner::Polite,
            5..=8 => Manner::Pipelining,
            9..=11 => Manner::Pieces(1 + random.any_size(8) as usize),
            12 | 13 => Manner::HalfClosing,
            14 => Manner::Slow(20 + random.any_size(12) as u32),
            15 => Manner::Pausing,
            16 | 17 => Manner::Leaving(leave),
            18 => Manner::Stuck,
            _ => random.pick(&[Manner::Silent, Manner::Unfinished]),
        };
        let mut exchanges = match manner {
            Manner::Silent | Manner::Unfinished => Vec::new(),
            Manner::Slow(_) | Manner::Stuck => vec![Exchange::big(random)],
            _ => (0..random.below(6))
                .map(|_| Exchange::any(random))
                .collect(),
        };
        match manner {
            Manner::Polite if random.chance(0.5) => {
                exchanges.extend(Exchange::revalidation(random));
            }
            Manner::Pipelining if random.chance(0.3) => {
                exchanges.extend((0..random.below(60)).map(|_| Exchange::small(random)));
            }
            Manner::Silent | Manner::Unfinished => {}
            _ if random.chance(0.3) => exchanges.push(Exchange::last(random)),
            _ => {}
        }
        Plan {
            manner,
            exchanges,
            starts_at: Duration::from_micros(random.any_size(23)),
            is_secure: false,
        }
    }

    /// The steps of the plan. `random` is for pauses.
    pub(crate) fn script(&self, random: &mut Random) -> ClientScript {
        let mut script = Vec::new();
        match self.manner {
            Manner::Polite => return self.polite_script(random),
            Manner::Slow(bytes) => script.push(Step::Read(Reading::BytesPerMs(bytes))),
            Manner::Pausing | Manner::Stuck => script.push(Step::Read(Reading::Stopped)),
            _ => {}
        }
        let all = self.all_requests();
        script.push(match self.manner {
            // Not so many pieces that the requests would rightly be late.
            Manner::Pieces(piece_max) => Step::SendInPieces {
                piece_max: piece_max.max(all.len() / 1000),
                bytes: all,
                pause: Duration::from_micros(random.any_size(12)),
            },
            Manner::Unfinished => Step::Send(b"GET /a.css HTTP/1.1\r\nHost: sim".to_vec()),
            _ => Step::Send(all),
        });
        match self.manner {
            Manner::HalfClosing => script.extend([Step::HalfClose, Step::UntilEnd]),
            Manner::Silent | Manner::Unfinished | Manner::Stuck => script.push(Step::UntilEnd),
            Manner::Leaving(leave) => {
                script.push(Step::Pause(Duration::from_micros(random.any_size(16))));
                script.push(match leave {
                    Leave::Close => Step::Close,
                    Leave::Reset => Step::Reset,
                    Leave::Vanish => Step::Vanish,
                });
            }
            Manner::Pausing => {
                script.push(Step::Pause(Duration::from_micros(random.any_size(21))));
                script.push(Step::Read(Reading::Eager));
                self.push_ending(&mut script);
            }
            _ => self.push_ending(&mut script),
        }
        script
    }

    fn polite_script(&self, random: &mut Random) -> ClientScript {
        let mut script = Vec::new();
        for (number, exchange) in self.exchanges.iter().enumerate() {
            script.push(match &exchange.request {
                Request::Fixed(bytes) => Step::Send(bytes.clone()),
                Request::AfterAnswer(text) => {
                    let (text, before) = (text.clone(), self.heads_only(number));
                    Step::SendMade(Box::new(move |got| fill_in(&text, got, &before)))
                }
            });
            script.push(self.until_answers(number + 1));
            if random.chance(0.3) {
                script.push(Step::Pause(Duration::from_micros(random.any_size(20))));
            }
        }
        self.push_ending(&mut script);
        script
    }

    /// Waits for all answers, and for the end when the server has to bring it about.
    fn push_ending(&self, script: &mut ClientScript) {
        script.push(self.until_answers(self.exchanges.len()));
        if self.exchanges.last().is_some_and(|last| last.ends) {
            script.push(Step::UntilEnd);
        }
    }

    fn until_answers(&self, count: usize) -> Step {
        let mut counter = Counter::new(self.heads_only(self.exchanges.len()));
        Step::Until(Box::new(move |got| counter.count(got) >= count))
    }

    fn heads_only(&self, count: usize) -> Vec<bool> {
        self.exchanges[..count]
            .iter()
            .map(|exchange| exchange.head_only)
            .collect()
    }

    fn all_requests(&self) -> Vec<u8> {
        let requests = self
            .exchanges
            .iter()
            .flat_map(|exchange| match &exchange.request {
                Request::Fixed(bytes) => bytes.clone(),
                Request::AfterAnswer(_) => unreachable!("only a polite client waits for answers"),
            });
        requests.collect()
    }

    /// True when a client that is left alone gets every answer.
    fn is_patient(&self) -> bool {
        !matches!(self.manner, Manner::Leaving(_) | Manner::Stuck)
    }
}

/// True for the only answer to a connection that is one too many. It comes before the request was
/// read: to a HEAD, too, it has content, and the client may leave without reading that.
fn is_refusal(bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return false;
    }
    let (Parsed::Whole(response) | Parsed::CutOff(response)) = parse(bytes, 0, false) else {
        return false;
    };
    response.status == 503 && response.says_close() && response.content.end == bytes.len()
}

/// Puts the validators of the last of the answers `before` into a request.
fn fill_in(text: &str, got: &[u8], before: &[bool]) -> Vec<u8> {
    let mut offset = 0;
    let mut last = None;
    for head_only in before {
        let Parsed::Whole(response) = parse(got, offset, *head_only) else {
            panic!("it was waited for");
        };
        offset = response.content.end;
        let is_last = response.says_close() || offset == got.len();
        last = Some(response);
        if is_last {
            break;
        }
    }
    let field = |name| last.as_ref().and_then(|last: &Response| last.field(name));
    // After a failure there are none; then the condition must not hold.
    let tag = field("etag").unwrap_or("\"none\"");
    let date = field("last-modified").unwrap_or("Thu, 01 Jan 1970 00:00:00 GMT");
    text.replace("{tag}", tag)
        .replace("{date}", date)
        .into_bytes()
}

/// What a client has heard, below or above TLS.
pub(crate) struct Heard {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: Option<ClientEnd>,
    /// A fault of the settings struck it.
    pub(crate) is_disturbed: bool,
}

impl Heard {
    /// What came as it is.
    pub(crate) fn of(client: &Client) -> Heard {
        Heard {
            bytes: client.received().to_vec(),
            end: client.end(),
            is_disturbed: client.is_disturbed(),
        }
    }
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checked {
    /// Whole answers.
    pub(crate) answers: usize,
    /// Those of them that came on streams of HTTP/2.
    pub(crate) streams: usize,
    /// Those of them that came over TLS.
    pub(crate) secure: usize,
    /// Clients that had to get every answer, and got some.
    pub(crate) without_excuse: usize,
}

impl std::ops::AddAssign for Checked {
    fn add_assign(&mut self, other: Checked) {
        self.answers += other.answers;
        self.streams += other.streams;
        self.secure += other.secure;
        self.without_excuse += other.without_excuse;
    }
}

/// What the whole run excuses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excuses {
    /// The worker was told to end before all clients were done.
    pub(crate) drained: bool,
    /// Connections that were not accepted for want of descriptors are closed.
    pub(crate) shed: bool,
    /// There may be more TLS handshakes than the worker takes at a time.
    pub(crate) may_wait_for_tls: bool,
}

impl Plan {
    /// Checks everything that the client has received; says how much that was.
    pub(crate) fn check(
        &self,
        heard: &Heard,
        sim: &Sim,
        mut truth: Truth<'_>,
        excuses: Excuses,
    ) -> Checked {
        let bytes = &heard.bytes;
        let is_surplus = is_refusal(bytes) || (self.is_secure && bytes.is_empty());
        if truth.may_be_full && is_surplus {
            return Checked::default();
        }
        let mut offset = 0;
        let mut answered = 0;
        let mut told_close = false;
        let mut cut_off = false;
        for exchange in &self.exchanges {
            if offset == bytes.len() || told_close {
                break;
            }
            match parse(bytes, offset, exchange.head_only) {
                Parsed::NoHead => cut_off = true,
                Parsed::CutOff(response) => {
                    let content = &bytes[response.content.clone()];
                    let expected = &exchange.expected;
                    expected.check_cut_off(&response, content, &truth);
                    cut_off = true;
                }
                Parsed::Whole(response) => {
                    check_date(&response, sim);
                    let content = &bytes[response.content.clone()];
                    let (expected, head_only) = (&exchange.expected, exchange.head_only);
                    expected.check(&response, content, head_only, &truth);
                    told_close = response.says_close();
                    assert!(told_close || !exchange.ends, "the connection must end");
                    assert!(
                        told_close <= (exchange.ends || excuses.drained),
                        "a needless close"
                    );
                    truth.tag_before = response.field("etag").map(str::to_owned);
                    offset = response.content.end;
                    answered += 1;
                    continue;
                }
            }
            offset = bytes.len();
        }
        if self.manner == Manner::Unfinished && offset < bytes.len() {
            let Parsed::Whole(response) = parse(bytes, offset, false) else {
                panic!("half of a 408");
            };
            assert!(response.status == 408 && response.says_close());
            offset = response.content.end;
        }
        assert_eq!(offset, bytes.len(), "bytes after the last answer");
        let all = answered == self.exchanges.len() && !cut_off;
        let excused = self.is_excused(heard, answered, excuses)
            || (truth.may_fail && (cut_off || heard.end == Some(ClientEnd::Reset)));
        assert!(
            all || excused,
            "{answered} of {} answers, end {:?}",
            self.exchanges.len(),
            heard.end
        );
        self.check_end(heard, all, excused);
        Checked {
            answers: answered,
            streams: 0,
            secure: if self.is_secure { answered } else { 0 },
            without_excuse: usize::from(!excused && answered > 0),
        }
    }

    /// True when a client may rightly have no more answers than so many.
    fn is_excused(&self, heard: &Heard, answered: usize, excuses: Excuses) -> bool {
        let nothing = heard.bytes.is_empty();
        let next = self.exchanges.get(answered);
        !self.is_patient()
            || heard.is_disturbed
            || excuses.drained
            || (excuses.may_wait_for_tls && self.is_secure && nothing)
            || (excuses.shed && nothing)
            || next.is_some_and(|next| next.expected.may_be_cut_off())
    }

    /// A client that was left alone and got all that it asked for sees an orderly end.
    fn check_end(&self, heard: &Heard, all: bool, excused: bool) {
        let last = self.exchanges.last();
        let waits_for_end = last.is_some_and(|last| last.ends && !last.is_long)
            || matches!(self.manner, Manner::HalfClosing | Manner::Silent);
        if all && !excused && waits_for_end {
            assert_eq!(heard.end, Some(ClientEnd::Eof), "the end was not orderly");
        }
    }

    /// For the message of a failure.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!(
            "{:?} (TLS: {}), from {:?}:",
            self.manner, self.is_secure, self.starts_at
        );
        for exchange in &self.exchanges {
            let request = match &exchange.request {
                Request::Fixed(bytes) => bytes.escape_ascii().to_string(),
                Request::AfterAnswer(text) => text.escape_default().to_string(),
            };
            let request: String = request.chars().take(120).collect();
            text += &format!("\n  {request} -> {:?}", exchange.expected);
        }
        text
    }
}

/// `Date` is the time at which the answer was made (RFC 9110 §6.6.1).
pub(crate) fn check_date(response: &Response, sim: &Sim) {
    let date = response.field("date").expect("RFC 9110 §6.6.1");
    let date = httpdate::parse_http_date(date).expect("an IMF-fixdate");
    let since = date.duration_since(std::time::UNIX_EPOCH);
    let unix = since.unwrap().as_secs();
    let latest = 2_000_000_000 + sim.elapsed().as_secs();
    assert!((2_000_000_000..=latest).contains(&unix), "Date is {unix}");
}
