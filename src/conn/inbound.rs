//! The content of requests on its way in: from the bytes of a connection to the task that takes it.
//!
//! An [`Intake`] is what both protocols have in common: the bounded queue, how much may come and
//! how slowly, and when a client that waits for that is told to go on. Over HTTP/1 an [`Inbound`]
//! stands behind the head that waits for its answer, and feeds it.

use std::time::Duration;

use crate::base::Millis;
use crate::base::limits::{BODY_PROGRESS_BYTES_MIN, DRAIN_BYTES_MAX, REQUEST_BODY_QUEUE_BYTES};
use crate::engine::{Engine, SocketId};
use crate::exchange::{BodyFault, BodyInlet, RequestBody, request_body};
use crate::proto::h1::{BodyReader, CONTINUE, Head, Persistence};
use crate::proto::h2::StreamId;

use super::Connections;
use super::answer::Slow;
use super::connection::{Connection, Reading, Waiting};
use super::services::{ConnectionSettings, Event, Outbox, Services};

/// What a request says of its content.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Announced {
    /// Its length, where that is said.
    pub(super) length: Option<u64>,
    /// Its client waits for 100 (Continue) before it sends any.
    pub(super) expects_continue: bool,
}

/// The way of one request's content to its task. Dropped before the end, the peer has gone.
#[derive(Debug)]
pub(super) struct Intake {
    inlet: BodyInlet,
    /// Bytes that may still come.
    room: u64,
    /// The client waits for 100 (Continue), and has sent nothing.
    expects_continue: bool,
    /// Since the deadline was moved.
    progress_bytes: usize,
    deadline: Millis,
    /// The peer had to wait for the task.
    was_full: bool,
}

impl Intake {
    /// The way, and its other end. `place`: where the content comes from.
    pub(super) fn open(
        queue_bytes: usize,
        announced: Announced,
        (socket, stream): (SocketId, Option<StreamId>),
        services: &Services,
    ) -> (Intake, RequestBody) {
        let (inlet, body) = request_body(queue_bytes, announced.length);
        let outbox = Outbox::clone(&services.outbox);
        inlet.when_wanted(move || {
            let wanted = Event::BodyWanted { socket, stream };
            outbox.borrow_mut().push(wanted);
        });
        let now = services.now.monotonic;
        (Intake::new(inlet, announced, &services.settings, now), body)
    }

    fn new(
        inlet: BodyInlet,
        announced: Announced,
        settings: &ConnectionSettings,
        now: Millis,
    ) -> Intake {
        let room = settings.body_bytes_max;
        if announced.length.is_some_and(|length| length > room) {
            // Before any of it was asked for: who waits for that never sends it.
            inlet.fail(BodyFault::TooLarge);
        }
        Intake {
            inlet,
            room,
            expects_continue: announced.expects_continue,
            progress_bytes: 0,
            deadline: now + settings.body_timeout,
            was_full: false,
        }
    }

    /// True while content has somebody to go to.
    pub(super) fn is_open(&self) -> bool {
        self.inlet.is_open() && self.inlet.is_taken()
    }

    /// True while the task is behind: nothing more should be received.
    pub(super) fn is_full(&self) -> bool {
        self.is_open() && !self.inlet.has_room()
    }

    /// Bytes that wait for the task.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.inlet.len()
    }

    /// True while it is the peer's turn.
    pub(super) fn waits_for_peer(&self) -> bool {
        self.is_open() && self.inlet.has_room() && !self.expects_continue
    }

    /// When the peer has to have made progress, while it is its turn.
    pub(super) fn deadline(&self) -> Option<Millis> {
        self.waits_for_peer().then_some(self.deadline)
    }

    /// Something of the body has come: whoever sends need not be told to.
    pub(super) fn note_sending(&mut self) {
        self.expects_continue = false;
    }

    /// Hands content on.
    pub(super) fn push(&mut self, content: &[u8], settings: &ConnectionSettings, now: Millis) {
        if content.is_empty() {
            return;
        }
        self.note_sending();
        match self.room.checked_sub(content.len() as u64) {
            Some(room) => self.room = room,
            None => return self.inlet.fail(BodyFault::TooLarge),
        }
        self.inlet.push(content);
        self.was_full |= !self.inlet.has_room();
        self.progress_bytes += content.len();
        if self.progress_bytes >= BODY_PROGRESS_BYTES_MIN {
            self.give_time(settings.body_timeout, now);
        }
    }

    /// That was all.
    pub(super) fn end(&self) {
        self.inlet.end();
    }

    /// It will never be whole.
    pub(super) fn fail(&self, why: BodyFault) {
        self.inlet.fail(why);
    }

    /// The peer has its time from now on.
    pub(super) fn give_time(&mut self, timeout: Duration, now: Millis) {
        self.progress_bytes = 0;
        self.deadline = now + timeout;
    }

    /// Fails where the peer has let its time pass; true then.
    pub(super) fn fail_if_slow(&self, now: Millis) -> bool {
        let is_slow = self.deadline().is_some_and(|deadline| now >= deadline);
        if is_slow {
            self.fail(BodyFault::TooSlow);
        }
        is_slow
    }

    /// The task has asked for content, has taken some, or has gone. True, once, when the client is
    /// to be told to go on (RFC 9110 §10.1.1): it waits for that, and the task wants content before
    /// any has come. Who is refused without that is never told.
    pub(super) fn on_wanted(&mut self, timeout: Duration, now: Millis) -> bool {
        let is_asked = self.is_open() && self.inlet.is_asked_for();
        let owes_continue = is_asked && std::mem::take(&mut self.expects_continue);
        if owes_continue || std::mem::take(&mut self.was_full) {
            self.give_time(timeout, now);
        }
        owes_continue
    }
}

/// The body of a request of HTTP/1 that was not answered yet.
#[derive(Debug)]
pub(super) struct Inbound {
    reader: BodyReader,
    announced: Announced,
    /// Where it goes, once a task takes it.
    intake: Option<Intake>,
    /// Nothing that follows can be understood.
    is_broken: bool,
}

impl Inbound {
    /// What comes behind `head`, if anything.
    pub(super) fn of(head: &Head<'_>) -> Option<Inbound> {
        let reader = BodyReader::new(head.framing)?;
        let length = match reader {
            BodyReader::Length(length) => Some(length),
            BodyReader::Chunked(_) => None,
        };
        Some(Inbound {
            reader,
            announced: Announced {
                length,
                expects_continue: head.expect_continue,
            },
            intake: None,
            is_broken: false,
        })
    }

    /// What is left of it, for whoever throws that away.
    pub(super) fn into_reader(self) -> BodyReader {
        self.reader
    }

    /// Whether the connection goes on behind an answer that comes now, `otherwise` being what
    /// request and server want.
    pub(super) fn persistence(&self, otherwise: Persistence) -> Persistence {
        let is_too_long = matches!(self.reader, BodyReader::Length(left) if left > DRAIN_BYTES_MAX);
        // Without the 100 that was asked for the peer may or may not send the body (RFC 9110
        // §10.1.1): what follows on the connection would be a guess.
        let is_uncertain = match &self.intake {
            Some(intake) => intake.expects_continue,
            None => self.announced.expects_continue,
        };
        match self.is_broken || is_too_long || is_uncertain {
            true => Persistence::Close,
            false => otherwise,
        }
    }

    /// A task takes it from now on.
    fn open(&mut self, socket: SocketId, services: &Services) -> RequestBody {
        let place = (socket, None);
        let queue_bytes = REQUEST_BODY_QUEUE_BYTES;
        let (intake, body) = Intake::open(queue_bytes, self.announced, place, services);
        self.intake = Some(intake);
        body
    }

    /// True while bytes that come can be fed.
    fn takes_bytes(&self) -> bool {
        let intake = self.intake.as_ref();
        intake.is_some_and(|intake| intake.is_open() && !intake.is_full())
    }

    /// Feeds what there is room for; returns how many bytes are done with, and whether that was the
    /// end of the body.
    fn feed(&mut self, bytes: &[u8], settings: &ConnectionSettings, now: Millis) -> (usize, bool) {
        let mut used = 0;
        while used < bytes.len() && self.takes_bytes() {
            let Some(intake) = &mut self.intake else {
                break;
            };
            intake.note_sending();
            match self.reader.handle_input(&bytes[used..]) {
                Ok(step) => {
                    used += step.consumed;
                    intake.push(step.data, settings, now);
                    if step.ended {
                        intake.end();
                        return (used, true);
                    }
                }
                Err(fault) => {
                    intake.fail(BodyFault::Malformed(fault.reason));
                    self.is_broken = true;
                }
            }
        }
        (used, false)
    }

    /// The peer sends nothing more; what has come was fed.
    fn lose(&mut self) {
        if self.takes_bytes() {
            self.intake = None;
            self.is_broken = true;
        }
    }
}

/// The content for the task of a request, if it takes any.
pub(super) fn content_for(
    slow: &Slow,
    body: Option<&mut Inbound>,
    socket: SocketId,
    services: &Services,
) -> Option<RequestBody> {
    match (slow, body) {
        (Slow::Write, Some(body)) => Some(body.open(socket, services)),
        (Slow::Write, None) => Some(RequestBody::whole(b"")),
        (Slow::Load(_) | Slow::List(_) | Slow::Work(_), _) => None,
    }
}

impl Waiting {
    /// Feeds the body that is waited for; returns how many bytes are done with.
    pub(super) fn feed(&mut self, bytes: &[u8], services: &Services) -> usize {
        let Some(body) = &mut self.body else {
            return 0;
        };
        let (used, has_ended) = body.feed(bytes, &services.settings, services.now.monotonic);
        if has_ended {
            self.body = None;
        }
        used
    }

    /// True while bytes that come can be fed.
    pub(super) fn takes_bytes(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.takes_bytes())
    }

    fn intake(&self) -> Option<&Intake> {
        self.body.as_ref()?.intake.as_ref()
    }

    /// True while its task is behind.
    pub(super) fn is_full(&self) -> bool {
        self.intake().is_some_and(Intake::is_full)
    }
}

impl Connection {
    /// When the peer has to have brought more of a body; `None` while it is not its turn.
    pub(super) fn body_deadline(&self) -> Option<Millis> {
        match &self.reading {
            Reading::Waiting(waiting) => waiting.intake().and_then(Intake::deadline),
            Reading::Streams(streams) => streams.contents.deadline(),
            Reading::Head | Reading::Body(_) | Reading::Done => None,
        }
    }

    /// The peer sends nothing more: bodies that are not whole never will be. What it has sent
    /// before was taken in, as far as there was room.
    pub(super) fn lose_bodies(&mut self) {
        match &mut self.reading {
            Reading::Waiting(waiting) => {
                waiting.body.iter_mut().for_each(|body| body.lose());
            }
            Reading::Streams(streams) if !self.output.is_full() => streams.contents.lose(),
            Reading::Streams(_) | Reading::Head | Reading::Body(_) | Reading::Done => {}
        }
    }
}

impl<E: Engine> Connections<E> {
    /// A task wants more of the content that it takes, or none any more.
    pub(super) fn on_body_wanted(&mut self, socket: SocketId, stream: Option<StreamId>) {
        if let Some(stream) = stream {
            return self.on_stream_wanted(socket, stream);
        }
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        let Connection {
            reading: Reading::Waiting(Waiting {
                body: Some(body), ..
            }),
            output,
            ..
        } = connection
        else {
            return; // It was answered meanwhile.
        };
        let Some(intake) = &mut body.intake else {
            return;
        };
        let now = self.services.now.monotonic;
        if intake.on_wanted(self.services.settings.body_timeout, now) {
            let spare = &mut self.services.spare_batches;
            output
                .filling_or(|| spare.pop().unwrap_or_default())
                .push(CONTINUE);
            output.queued_bytes += CONTINUE.len();
        }
        self.resume_input(socket);
        self.receive_if_wanted(socket);
    }

    /// The time of a peer may be over that has to bring more of a body.
    pub(super) fn on_body_deadline(&mut self, socket: SocketId) {
        let now = self.services.now.monotonic;
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        match &mut connection.reading {
            Reading::Waiting(Waiting {
                body: Some(body), ..
            }) => {
                let intake = body.intake.as_ref();
                body.is_broken |= intake.is_some_and(|intake| intake.fail_if_slow(now));
            }
            Reading::Streams(streams) => streams.contents.fail_slow(now),
            _ => {}
        }
        self.wait_as_expected(socket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::h1::Framing;
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    const START: Millis = Millis(1000);

    fn settings() -> ConnectionSettings {
        ConnectionSettings {
            body_bytes_max: 5000,
            body_timeout: Duration::from_secs(10),
            ..ConnectionSettings::default()
        }
    }

    fn inbound(framing: Framing, expects_continue: bool) -> Inbound {
        let length = match framing {
            Framing::Length(length) => Some(length),
            Framing::None | Framing::Chunked => None,
        };
        Inbound {
            reader: BodyReader::new(framing).unwrap(),
            announced: Announced {
                length,
                expects_continue,
            },
            intake: None,
            is_broken: false,
        }
    }

    fn opened(mut inbound: Inbound, queue_bytes: usize) -> (Inbound, RequestBody) {
        let (inlet, body) = request_body(queue_bytes, inbound.announced.length);
        let intake = Intake::new(inlet, inbound.announced, &settings(), START);
        inbound.intake = Some(intake);
        (inbound, body)
    }

    fn next(body: &mut RequestBody) -> Poll<Result<Option<Bytes>, BodyFault>> {
        pin!(body.next()).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn deadline(inbound: &Inbound) -> Option<Millis> {
        inbound.intake.as_ref().unwrap().deadline()
    }

    fn on_wanted(inbound: &mut Inbound, now: Millis) -> bool {
        let timeout = settings().body_timeout;
        inbound.intake.as_mut().unwrap().on_wanted(timeout, now)
    }

    #[test]
    fn a_body_that_nobody_takes_yet_stays_where_it_is() {
        let mut inbound = inbound(Framing::Length(5), false);
        assert_eq!(inbound.feed(b"hello", &settings(), START), (0, false));
        let (mut inbound, mut body) = opened(inbound, 100);
        assert_eq!(inbound.feed(b"helloGET", &settings(), START), (5, true));
        assert_eq!(next(&mut body), Poll::Ready(Ok(Some("hello".into()))));
        assert_eq!(next(&mut body), Poll::Ready(Ok(None)));
    }

    #[test]
    fn a_full_queue_takes_nothing_and_it_is_the_tasks_turn() {
        let (mut inbound, mut body) = opened(inbound(Framing::Length(9), false), 4);
        assert_eq!(inbound.feed(b"abcdef", &settings(), START), (6, false));
        assert_eq!(inbound.feed(b"ghi", &settings(), START), (0, false));
        assert!(inbound.intake.as_ref().unwrap().is_full());
        assert_eq!(deadline(&inbound), None);
        assert_eq!(next(&mut body), Poll::Ready(Ok(Some("abcdef".into()))));
        // The peer's time begins anew.
        assert!(!on_wanted(&mut inbound, Millis(60_000)));
        assert_eq!(deadline(&inbound), Some(Millis(70_000)));
        assert_eq!(inbound.feed(b"ghi", &settings(), START), (3, true));
        assert_eq!(deadline(&inbound), None);
    }

    /// RFC 9110 §10.1.1
    #[test]
    fn the_client_is_told_to_go_on_once_and_only_when_it_waits() {
        let (mut inbound, mut body) = opened(inbound(Framing::Chunked, true), 100);
        assert_eq!(deadline(&inbound), None, "it waits for us");
        assert_eq!(
            inbound.persistence(Persistence::Implied),
            Persistence::Close
        );
        assert!(!on_wanted(&mut inbound, START), "nothing was asked for");
        assert_eq!(next(&mut body), Poll::Pending);
        assert!(on_wanted(&mut inbound, Millis(60_000)));
        assert!(!on_wanted(&mut inbound, Millis(60_000)));
        assert_eq!(deadline(&inbound), Some(Millis(70_000)));
        let goes_on = inbound.persistence(Persistence::Implied);
        assert_eq!(goes_on, Persistence::Implied);

        let (mut inbound, mut body) = opened(self::inbound(Framing::Chunked, true), 100);
        inbound.feed(b"1", &settings(), START);
        assert_eq!(next(&mut body), Poll::Pending);
        assert!(!on_wanted(&mut inbound, START), "it has not waited");
    }

    #[test]
    fn a_body_is_too_large_when_it_says_so_or_when_it_is() {
        let (inbound, mut body) = opened(inbound(Framing::Length(5001), true), 100);
        assert_eq!(next(&mut body), Poll::Ready(Err(BodyFault::TooLarge)));
        assert_eq!(deadline(&inbound), None);

        let (mut inbound, mut body) = opened(self::inbound(Framing::Chunked, false), 1 << 20);
        let mut chunk = b"1388\r\n".to_vec(); // 5000
        chunk.extend_from_slice(&[7; 5000]);
        chunk.extend_from_slice(b"\r\n");
        let len = chunk.len();
        assert_eq!(inbound.feed(&chunk, &settings(), START), (len, false));
        assert!(matches!(next(&mut body), Poll::Ready(Ok(Some(all))) if all.len() == 5000));
        inbound.feed(b"1\r\nx", &settings(), START);
        assert_eq!(next(&mut body), Poll::Ready(Err(BodyFault::TooLarge)));
        // What follows can be understood.
        let goes_on = inbound.persistence(Persistence::Implied);
        assert_eq!(goes_on, Persistence::Implied);
    }

    #[test]
    fn what_cannot_be_understood_ends_the_connection() {
        let (mut inbound, mut body) = opened(inbound(Framing::Chunked, false), 100);
        assert!(!inbound.feed(b"1\r\nxyz", &settings(), START).1);
        assert_eq!(next(&mut body), Poll::Ready(Ok(Some("x".into()))));
        let end = next(&mut body);
        assert!(
            matches!(end, Poll::Ready(Err(BodyFault::Malformed(_)))),
            "{end:?}"
        );
        assert_eq!(
            inbound.persistence(Persistence::Implied),
            Persistence::Close
        );
        assert_eq!(inbound.feed(b"more", &settings(), START), (0, false));
    }

    #[test]
    fn a_peer_that_has_gone_is_told_to_the_task() {
        let (mut inbound, mut body) = opened(inbound(Framing::Length(9), false), 4);
        inbound.feed(b"abcd", &settings(), START);
        inbound.lose();
        assert!(inbound.intake.is_some(), "more may wait for room");
        assert_eq!(next(&mut body), Poll::Ready(Ok(Some("abcd".into()))));
        inbound.lose();
        assert_eq!(next(&mut body), Poll::Ready(Err(BodyFault::Gone)));
        assert_eq!(
            inbound.persistence(Persistence::Implied),
            Persistence::Close
        );
    }

    #[test]
    fn only_what_is_worth_it_moves_the_deadline() {
        let (mut inbound, mut body) = opened(inbound(Framing::Length(4000), false), 1 << 20);
        let first = deadline(&inbound).unwrap();
        inbound.feed(&[1; BODY_PROGRESS_BYTES_MIN - 1], &settings(), Millis(3000));
        assert_eq!(deadline(&inbound), Some(first));
        assert!(next(&mut body).is_ready());
        assert!(!on_wanted(&mut inbound, Millis(3000)));
        assert_eq!(deadline(&inbound), Some(first), "taking it is no progress");
        inbound.feed(&[1], &settings(), Millis(4000));
        assert_eq!(deadline(&inbound), Some(Millis(14_000)));
        let intake = inbound.intake.as_ref().unwrap();
        assert!(!intake.fail_if_slow(Millis(13_999)));
        assert!(intake.fail_if_slow(Millis(14_000)));
        assert!(!intake.fail_if_slow(Millis(14_000)), "once");
        assert!(matches!(next(&mut body), Poll::Ready(Ok(Some(_)))));
        assert_eq!(next(&mut body), Poll::Ready(Err(BodyFault::TooSlow)));
    }

    proptest! {
        /// However it is cut, and whenever it is taken.
        #[test]
        fn every_split_brings_the_same(
            content in proptest::collection::vec(any::<u8>(), 1..400),
            cuts in proptest::collection::vec(1..50usize, 1..60),
            queue_bytes in 1..100usize,
            is_chunked: bool,
        ) {
            let mut input = content.clone();
            let mut framing = Framing::Length(content.len() as u64);
            if is_chunked {
                framing = Framing::Chunked;
                input = format!("{:x}\r\n", content.len()).into_bytes();
                input.extend_from_slice(&content);
                input.extend_from_slice(b"\r\n0\r\n\r\n");
            }
            let len = input.len();
            input.extend_from_slice(b"GET / HTTP/1.1");
            let (mut inbound, mut body) = opened(inbound(framing, false), queue_bytes);
            let (mut used, mut got, mut has_ended) = (0, Vec::new(), false);
            let mut cuts = cuts.iter().cycle();
            while !has_ended {
                let end = (used + cuts.next().unwrap()).min(input.len());
                let fed = inbound.feed(&input[used..end], &settings(), START);
                used += fed.0;
                has_ended = fed.1;
                let waiting = inbound.intake.as_ref().unwrap().waiting_bytes();
                prop_assert!(waiting < queue_bytes + 50);
                if fed.0 == 0 || has_ended {
                    let Poll::Ready(Ok(Some(piece))) = next(&mut body) else {
                        prop_assert!(has_ended, "full or fed");
                        break;
                    };
                    got.extend_from_slice(&piece);
                }
            }
            prop_assert_eq!(next(&mut body), Poll::Ready(Ok(None)));
            prop_assert_eq!((used, got), (len, content));
        }
    }
}
