//! The client's side: the `h2` crate, and what is asked of it.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use downpour::engine::sim::Random;
use h2::client::{Builder, SendRequest};
use h2::{Reason, SendStream};

use super::{End, How, Order, Seen, Sum};

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

/// The futures of the client.
pub(super) struct Tasks(Rc<RefCell<Vec<Task>>>);

type Task = Pin<Box<dyn Future<Output = ()>>>;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Tasks {
    pub(super) fn go_on(&self) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        while woken.0.swap(false, Ordering::Relaxed) {
            let mut tasks = self.0.borrow_mut();
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        }
    }

    pub(super) fn are_done(&self) -> bool {
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

pub(super) fn client(end: &End, random: &mut Random, seen: &Rc<Seen>) -> (Tasks, usize) {
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
            Box::pin(walk) as Task
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
    let tasks: Vec<Task> = vec![Box::pin(conversation)];
    (Tasks(Rc::new(RefCell::new(tasks))), count)
}
