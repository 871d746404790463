//! The core of HTTP/2 and the `h2` crate as its client, face to face in memory: no engine, no
//! socket, no time. Bytes travel in pieces of any size; both sides hesitate, pause and give up.
//!
//! ```text
//! DOWNPOUR_PAIR_SEED=17 cargo test --test http2_pair      one pair
//! DOWNPOUR_PAIR_SEEDS=10000 cargo test --test http2_pair  the nightly size
//! ```

#![allow(
    clippy::unwrap_used,
    reason = "it is a test, though clippy sees a program"
)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use downpour::base::Millis;
use downpour::engine::sim::Random;
use downpour::http::hpack_block;
use downpour::proto::h2::{
    ErrorCode, Event, FieldList, H2Connection, H2Settings, HeadStorage, StreamId, UNKNOWN_LENGTH,
};
use h2::client::{Builder, SendRequest};
use h2::{Reason, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const SEEDS: u64 = 300;
/// Steps of one pair; more is a pair that hangs.
const STEPS_MAX: usize = 1_000_000;

/// The bytes under way, and the dice of this side of the world.
struct Pipe {
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    is_closed: bool,
    random: Random,
    steps: u64,
}

/// The client's end.
#[derive(Clone)]
struct End(Rc<RefCell<Pipe>>);

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let pipe = &mut *self.0.borrow_mut();
        if pipe.to_client.is_empty() {
            return match pipe.is_closed {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            };
        }
        let len = pipe.to_client.len().min(out.remaining());
        let bytes: Vec<u8> = pipe.to_client.drain(..len).collect();
        out.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let pipe = &mut *self.0.borrow_mut();
        if pipe.to_server.len() > 30_000 {
            return Poll::Pending;
        }
        let len = bytes.len().min(1 + pipe.random.any_size(15) as usize);
        pipe.to_server.extend(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl End {
    /// Lets so many steps pass.
    async fn pause(&self, steps: u64) {
        let until = self.0.borrow().steps + steps;
        poll_fn(|_| match self.0.borrow().steps >= until {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

/// What the server is asked to do with one request; it travels in the path.
#[derive(Clone, Copy, Debug)]
struct Order {
    len: usize,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// The length is known from the beginning.
    Known,
    Unknown,
    /// Trailers come behind.
    Trailers,
    /// Reset in the middle.
    Broken,
}

impl Order {
    const HOWS: [How; 4] = [How::Known, How::Unknown, How::Trailers, How::Broken];

    fn parse(path: &[u8]) -> Order {
        let path = std::str::from_utf8(path).unwrap();
        let (len, how) = path[1..].split_once('/').unwrap();
        let mut hows = Order::HOWS.into_iter();
        let how = hows.find(|it| format!("{it:?}") == how);
        Order {
            len: len.parse().unwrap(),
            how: how.unwrap(),
        }
    }

    fn content(self) -> Bytes {
        let byte = |at: usize| (at.wrapping_mul(2_654_435_761) >> 7) as u8;
        (0..self.len).map(byte).collect()
    }
}

/// FNV-1a, over what must arrive as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum(u64);

impl Sum {
    const EMPTY: Sum = Sum(0xcbf2_9ce4_8422_2325);

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A request that was taken in.
struct Taken {
    order: Order,
    sum: Sum,
    /// All of it has come.
    is_whole: bool,
    /// Content that was not released.
    held: usize,
}

/// The server's side.
struct Owner {
    core: H2Connection<(Bytes, How)>,
    list: Box<FieldList>,
    unread: Vec<u8>,
    out: Vec<u8>,
    /// Requests that were not answered.
    taken: BTreeMap<u32, Taken>,
    /// Answers whose bytes are not there for the moment.
    blocked: Vec<StreamId>,
    random: Random,
    now: u64,
}

impl Owner {
    fn new(mut random: Random) -> Owner {
        let settings = H2Settings {
            max_concurrent_streams: random.pick(&[1, 4, 100]),
            initial_window: 65_535 + random.any_size(18) as u32,
            connection_window: 65_535 + random.any_size(18) as u32,
            ..H2Settings::default()
        };
        let mut out = Vec::new();
        Owner {
            core: H2Connection::new(&settings, Millis(0), &mut out),
            list: Box::new(FieldList::new(settings.header_list_bytes_max as usize)),
            unread: Vec::new(),
            out,
            taken: BTreeMap::new(),
            blocked: Vec::new(),
            random,
            now: 0,
        }
    }

    fn receive(&mut self, bytes: impl Iterator<Item = u8>) {
        self.unread.extend(bytes);
        let input = std::mem::take(&mut self.unread);
        let mut used = 0;
        loop {
            self.now += 1;
            let mut storage = HeadStorage::new();
            let (core, now) = (&mut self.core, Millis(self.now));
            let list = &mut self.list;
            let step = core.step(&input[used..], list, &mut storage, now, &mut self.out);
            used += step.consumed;
            let Some(event) = step.event else {
                break;
            };
            if let Event::Request { stream, .. } = &event {
                let is_new = !self.taken.contains_key(&stream.0);
                assert!(is_new, "{stream:?} is used twice");
            }
            on_event(&mut self.taken, event);
        }
        self.unread = input[used..].to_vec();
        assert!(self.unread.len() <= 9 + 16_384, "more than a frame is kept");
        assert_eq!(self.core.failure(), None);
    }

    /// Does one thing that an owner can do, if there is such a thing to do.
    fn act(&mut self) {
        match self.random.below(5) {
            0 => self.answer(),
            1 => self.release(),
            2 => {
                for stream in self.blocked.drain(..) {
                    self.core.set_ready(stream);
                }
            }
            _ => self.send(),
        }
    }

    fn answer(&mut self) {
        let whole = self.taken.iter().filter(|(_, taken)| taken.is_whole);
        let whole: Vec<u32> = whole.map(|(id, _)| *id).collect();
        if whole.is_empty() {
            return;
        }
        let id = self.random.pick(&whole);
        let Taken { order, sum, .. } = self.taken.remove(&id).unwrap();
        let (stream, out) = (StreamId(id), &mut self.out);
        let mut block = Vec::new();
        hpack_block::status(&mut block, 200);
        hpack_block::field(&mut block, "X-Sum", sum.0.to_string().as_bytes());
        if order.how != How::Unknown {
            let len = order.len.to_string();
            hpack_block::field(&mut block, "Content-Length", len.as_bytes());
        }
        let (first, second) = block.split_at(self.random.below(block.len() as u64) as usize);
        let is_end = order.len == 0 && order.how == How::Known;
        let responded = self.core.respond(stream, &[first, second], is_end, out);
        assert!(responded, "nobody has taken the stream away");
        if is_end {
            return;
        }
        let content = order.content();
        let fits = self.core.room_now(stream) >= content.len();
        if fits && matches!(order.how, How::Known | How::Unknown) {
            self.core.write_data(stream, content.len(), true, out);
            out.extend_from_slice(&content);
            return;
        }
        let len = match order.how {
            How::Known | How::Broken if order.len > 0 => order.len as u64,
            _ => UNKNOWN_LENGTH,
        };
        self.core.queue_body(stream, (content, order.how), len);
    }

    fn release(&mut self) {
        let ids: Vec<u32> = self.taken.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = self.random.pick(&ids);
        let taken = self.taken.get_mut(&id).unwrap();
        let bytes = self.random.between(0, taken.held as u64) as usize;
        taken.held -= bytes;
        self.core.release(StreamId(id), bytes, &mut self.out);
    }

    fn send(&mut self) {
        assert!(self.core.wants_to_send() <= self.core.has_waiting_bodies());
        let Some(turn) = self.core.next_turn() else {
            return;
        };
        let (stream, out) = (turn.stream, &mut self.out);
        let (bytes, how) = turn.body;
        let how = *how;
        if self.random.chance(0.1) {
            self.core.set_blocked(stream);
            self.blocked.push(stream);
            return;
        }
        let is_broken = how == How::Broken && (bytes.is_empty() || self.random.chance(0.3));
        if is_broken {
            let body = self.core.reset(stream, ErrorCode::INTERNAL_ERROR, out);
            assert!(body.is_some(), "its body was just seen");
            return;
        }
        if bytes.is_empty() {
            if how == How::Trailers {
                let mut block = Vec::new();
                hpack_block::field(&mut block, "X-Trailer", b"behind");
                assert!(self.core.respond(stream, &[&block], true, out));
            } else {
                self.core.write_data(stream, 0, true, out);
            }
            return;
        }
        let most = turn.max.min(bytes.len());
        let len = match self.random.chance(0.5) {
            true => most,
            false => self.random.between(1, most as u64) as usize,
        };
        // A body that breaks never gets to its end.
        if how == How::Broken && len == bytes.len() {
            self.core.reset(stream, ErrorCode::INTERNAL_ERROR, out);
            return;
        }
        let piece = bytes.split_to(len);
        let is_end = bytes.is_empty()
            && (how == How::Known || how == How::Unknown && self.random.chance(0.5));
        self.core.write_data(stream, len, is_end, out);
        out.extend_from_slice(&piece);
    }
}

fn on_event(taken: &mut BTreeMap<u32, Taken>, event: Event<'_>) {
    match event {
        Event::Request {
            stream,
            head,
            has_content,
        } => {
            let mut sum = Sum::EMPTY;
            for field in head.fields.list() {
                sum.add(field.name.as_bytes());
                sum.add(field.value);
            }
            let fresh = Taken {
                order: Order::parse(head.path),
                sum,
                is_whole: !has_content,
                held: 0,
            };
            taken.insert(stream.0, fresh);
        }
        Event::Content {
            stream,
            bytes,
            flow,
            end,
        } => {
            let taken = taken.get_mut(&stream.0).expect("it was asked for");
            assert!(!taken.is_whole && flow >= bytes.len());
            taken.sum.add(bytes);
            taken.held += flow;
            taken.is_whole = end;
        }
        Event::Ended { stream } => {
            let taken = taken.get_mut(&stream.0).expect("it was asked for");
            assert!(!std::mem::replace(&mut taken.is_whole, true));
        }
        // Of a request, or of an answer that was begun.
        Event::Reset { stream } => drop(taken.remove(&stream.0)),
        Event::Refused { fault, .. } => panic!("a correct request: {fault:?}"),
        Event::Closed => panic!("the client has broken no rule"),
    }
}

/// What clients have seen.
#[derive(Debug, Default)]
struct Seen {
    whole: Cell<usize>,
    cancelled: Cell<usize>,
    broken: Cell<usize>,
    beyond_goaway: Cell<usize>,
}

/// What one client is going to ask.
struct Ask {
    order: Order,
    fields: Vec<(String, String)>,
    content: Vec<Bytes>,
    trailers: bool,
    pause: u64,
    slowness: u64,
    cancelled_at: Option<usize>,
}

impl Ask {
    fn new(random: &mut Random, len_bits: u64) -> Ask {
        let text = |random: &mut Random, len: u64| -> String {
            let letters = (0..len).map(|_| char::from(random.between(0x21, 0x7e) as u8));
            letters.collect()
        };
        let mut fields = Vec::new();
        for _ in 0..random.any_size(5) {
            let (name, bits) = (format!("x-{}", random.below(12)), random.below(9));
            let len = random.any_size(bits);
            fields.push((name, text(random, len)));
        }
        if random.chance(0.1) {
            // More than a frame: a field block with a CONTINUATION.
            fields.extend((0..2).map(|nth| (format!("x-long-{nth}"), text(random, 10_000))));
        }
        let count = if random.chance(0.3) {
            1 + random.below(4)
        } else {
            0
        };
        let content = (0..count).map(|_| {
            let len = random.any_size(16) as usize;
            Bytes::from(vec![b'c'; len])
        });
        let content = content.collect();
        Ask {
            order: Order {
                len: random.any_size(len_bits) as usize,
                how: random.pick(&Order::HOWS),
            },
            fields,
            content,
            trailers: random.chance(0.3),
            pause: random.any_size(8),
            slowness: random.any_size(5),
            cancelled_at: random.chance(0.15).then(|| random.any_size(17) as usize),
        }
    }

    async fn walk(self, end: End, requests: SendRequest<Bytes>, seen: Rc<Seen>) {
        end.pause(self.pause).await;
        let count = |cell: &Cell<usize>| cell.set(cell.get() + 1);
        loop {
            let result = self.ask(&end, requests.clone()).await;
            let error = match result {
                Ok(true) => return count(&seen.whole),
                Ok(false) => return count(&seen.cancelled),
                Err(error) => error,
            };
            assert!(error.is_remote(), "{error:?}");
            match error.reason() {
                // More streams than it takes, which the client could not know yet.
                Some(Reason::REFUSED_STREAM) => end.pause(10).await,
                Some(Reason::INTERNAL_ERROR) if self.order.how == How::Broken => {
                    return count(&seen.broken);
                }
                Some(Reason::NO_ERROR) if error.is_go_away() => {
                    return count(&seen.beyond_goaway);
                }
                _ => panic!("{:?}: {error:?}", self.order),
            }
        }
    }

    /// Sends content and trailers.
    async fn send(
        &self,
        end: &End,
        upload: &mut SendStream<Bytes>,
        sum: &mut Sum,
    ) -> Result<(), h2::Error> {
        for piece in &self.content {
            let mut piece = piece.clone();
            sum.add(&piece);
            while !piece.is_empty() {
                upload.reserve_capacity(piece.len());
                let room = match upload.capacity() {
                    0 => poll_fn(|context| upload.poll_capacity(context)).await,
                    room => Some(Ok(room)),
                };
                let Some(room) = room.transpose()? else {
                    return Err(Reason::STREAM_CLOSED.into());
                };
                upload.send_data(piece.split_to(room.min(piece.len())), false)?;
            }
            end.pause(self.slowness).await;
        }
        match self.trailers {
            true => upload.send_trailers(http::HeaderMap::new()),
            false => upload.send_data(Bytes::new(), true),
        }
    }

    /// True when the answer was whole; false when it was cancelled.
    async fn ask(&self, end: &End, requests: SendRequest<Bytes>) -> Result<bool, h2::Error> {
        let mut requests = requests.ready().await?;
        let Order { len, how } = self.order;
        let mut request = http::Request::builder().uri(format!("http://pair.test/{len}/{how:?}"));
        let mut sum = Sum::EMPTY;
        for (name, value) in &self.fields {
            request = request.header(name, value);
        }
        let request = request.body(()).unwrap();
        for (name, value) in request.headers() {
            sum.add(name.as_str().as_bytes());
            sum.add(value.as_bytes());
        }
        let is_bare = self.content.is_empty() && !self.trailers;
        let (response, mut upload) = requests.send_request(request, is_bare)?;
        drop(requests);
        let sent = match is_bare {
            true => Ok(()),
            false => self.send(end, &mut upload, &mut sum).await,
        };
        // When nothing can be sent any more, the answer says why.
        let response = response.await?;
        sent.expect("the server reads each request to its end");
        let said = response.headers()["x-sum"].to_str().unwrap();
        assert_eq!(
            said,
            sum.0.to_string(),
            "the request has changed on its way"
        );
        let mut body = response.into_body();
        let mut content = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece?;
            content.extend_from_slice(&piece);
            if self.cancelled_at.is_some_and(|at| content.len() >= at) {
                return Ok(false); // What is dropped unfinished is reset.
            }
            end.pause(self.slowness).await;
            body.flow_control().release_capacity(piece.len())?;
        }
        let trailers = body.trailers().await?;
        assert_eq!(trailers.is_some(), how == How::Trailers);
        assert!(
            content == self.order.content(),
            "not the content of {:?}",
            self.order
        );
        assert!(how != How::Broken, "it must not be whole");
        Ok(true)
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The futures of the client.
struct Tasks(Rc<RefCell<Vec<Task>>>);

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Tasks {
    fn go_on(&self) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        while woken.0.swap(false, Ordering::Relaxed) {
            let mut tasks = self.0.borrow_mut();
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        }
    }

    fn are_done(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

fn builder(random: &mut Random, window: u64) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(window as u32)
        .initial_connection_window_size(65_535 + random.any_size(18) as u32)
        .max_frame_size(16_384 + random.any_size(16) as u32)
        .header_table_size(random.any_size(13) as u32)
        .initial_max_send_streams(random.pick(&[1, 100]))
        .max_send_buffer_size(4096 + random.any_size(18) as usize)
        .reset_stream_duration(std::time::Duration::from_secs(3600));
    builder
}

fn client(end: &End, random: &mut Random, seen: &Rc<Seen>) -> (Tasks, usize) {
    // In a narrow window only short answers come to their end soon.
    let (window, len_bits) = match random.below(4) {
        0 => (1 + random.any_size(6), 10),
        1 => (100 + random.any_size(12), 14),
        2 => (65_535, 17),
        _ => (1 << 20, 17),
    };
    let builder = builder(random, window);
    let later = 1 + window / 2 + random.any_size(18);
    let window = random.chance(0.3).then_some(later as u32);
    let count = 1 + random.below(30);
    let asks: Vec<Ask> = (0..count).map(|_| Ask::new(random, len_bits)).collect();
    let count = asks.len();
    let (end, seen) = (end.clone(), Rc::clone(seen));
    let pause = random.any_size(10);
    let conversation = async move {
        let both = builder.handshake::<_, Bytes>(end.clone()).await;
        let (requests, mut connection) = both.expect("the server says what it should");
        let walks = asks.into_iter().map(|ask| {
            let (end, requests) = (end.clone(), requests.clone());
            let walk = ask.walk(end, requests, Rc::clone(&seen));
            Box::pin(walk) as Pin<Box<dyn Future<Output = ()>>>
        });
        let walks = Tasks(Rc::new(RefCell::new(walks.collect())));
        drop(requests);
        let mut change = std::pin::pin!(end.pause(pause));
        let (mut new_window, mut has_come) = (window, false);
        let result = poll_fn(|context| {
            // Windows move while they are in use (RFC 9113 §6.9.2).
            if !has_come && change.as_mut().poll(context).is_ready() {
                has_come = true;
            }
            // Fails while the settings from before are not acknowledged.
            if has_come
                && let Some(window) = new_window
                && connection.set_initial_window_size(window).is_ok()
            {
                new_window = None;
            }
            walks
                .0
                .borrow_mut()
                .retain_mut(|walk| walk.as_mut().poll(context).is_pending());
            Pin::new(&mut connection).poll(context)
        });
        result.await.expect("no side has broken a rule");
        poll_fn(|context| {
            let mut walks = walks.0.borrow_mut();
            walks.retain_mut(|walk| walk.as_mut().poll(context).is_pending());
            match walks.is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    };
    let tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = vec![Box::pin(conversation)];
    (Tasks(Rc::new(RefCell::new(tasks))), count)
}

/// One pair, from preface to GOAWAY.
fn run(seed: u64) -> Rc<Seen> {
    let _replay = Replay(seed);
    let mut random = Random::new(seed);
    let random_of = |random: &mut Random| Random::new(random.word());
    let pipe = Rc::new(RefCell::new(Pipe {
        to_server: VecDeque::new(),
        to_client: VecDeque::new(),
        is_closed: false,
        random: random_of(&mut random),
        steps: 0,
    }));
    let seen = Rc::new(Seen::default());
    let mut owner = Owner::new(random_of(&mut random));
    let (tasks, count) = client(&End(Rc::clone(&pipe)), &mut random, &seen);
    let drains_at = random.chance(0.3).then(|| random.any_size(12));
    let bits = random.between(9, 17);
    for step in 0.. {
        if step >= STEPS_MAX {
            let left: Vec<_> = owner
                .taken
                .iter()
                .map(|(id, taken)| (id, taken.order, taken.is_whole, taken.held))
                .collect();
            panic!(
                "the pair hangs: {seen:?} of {count}, {} streams, {left:?}, waiting: {}",
                owner.core.open_streams(),
                owner.core.has_waiting_bodies(),
            );
        }
        pipe.borrow_mut().steps += 1;
        if drains_at == Some(step as u64) {
            owner.core.begin_drain(&mut owner.out);
        }
        match random.below(4) {
            0 => tasks.go_on(),
            1 => {
                let pipe = &mut *pipe.borrow_mut();
                let len = pipe.to_server.len().min(1 + random.any_size(bits) as usize);
                owner.receive(pipe.to_server.drain(..len));
            }
            2 => {
                let pipe = &mut *pipe.borrow_mut();
                let len = owner.out.len().min(1 + random.any_size(bits) as usize);
                pipe.to_client.extend(owner.out.drain(..len));
            }
            _ => owner.act(),
        }
        if tasks.are_done() {
            break;
        }
        let is_drained = owner.core.is_drained() && owner.out.is_empty();
        pipe.borrow_mut().is_closed |= is_drained;
    }
    owner.receive(pipe.borrow_mut().to_server.drain(..));
    assert_eq!(owner.core.open_streams(), 0, "streams are left over");
    assert!(!owner.core.has_waiting_bodies() && !owner.core.wants_to_send());
    assert!(owner.taken.is_empty(), "requests are left over");
    let Seen {
        whole,
        cancelled,
        broken,
        beyond_goaway,
    } = &*seen;
    let told = whole.get() + cancelled.get() + broken.get() + beyond_goaway.get();
    assert_eq!(told, count, "{seen:?}");
    assert!(beyond_goaway.get() == 0 || drains_at.is_some(), "{seen:?}");
    seen
}

/// Says how to run a failure again.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!("again: DOWNPOUR_PAIR_SEED={seed} cargo test --test http2_pair");
        }
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn the_core_and_another_client_understand_each_other() {
    if let Some(seed) = number_from("DOWNPOUR_PAIR_SEED") {
        run(seed);
        return;
    }
    let seeds = number_from("DOWNPOUR_PAIR_SEEDS").unwrap_or(SEEDS);
    let mut sums = [0; 4];
    for seed in 0..seeds {
        let seen = run(seed);
        let counts = [
            &seen.whole,
            &seen.cancelled,
            &seen.broken,
            &seen.beyond_goaway,
        ];
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count.get() as u64;
        }
    }
    let enough = sums[0] > 4 * seeds && sums[1..].iter().all(|sum| *sum > seeds / 10);
    assert!(enough, "whole, cancelled, broken, beyond GOAWAY: {sums:?}");
}
