use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use proptest::prelude::*;

use super::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future under the test's hand.
struct Hand<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    wakes: Arc<Count>,
}

impl<'a, T> Hand<'a, T> {
    fn new(future: impl Future<Output = T> + 'a) -> Hand<'a, T> {
        let wakes = Arc::default();
        let future = Box::pin(future);
        Hand { future, wakes }
    }

    fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }
}

fn write(writer: &mut BodyWriter, piece: &[u8]) -> Poll<Result<(), Gone>> {
    Hand::new(writer.write(Bytes::copy_from_slice(piece))).poll()
}

fn told(body: &BodyStream) -> Rc<Cell<usize>> {
    let times = Rc::new(Cell::new(0));
    let counter = Rc::clone(&times);
    body.when_ready(move || counter.set(counter.get() + 1));
    times
}

const DONE: Poll<Result<(), Gone>> = Poll::Ready(Ok(()));
const LARGE: usize = COPY_BODY_BYTES_MAX + 1;

#[test]
fn what_goes_in_comes_out_in_order_and_ends() {
    let (mut writer, mut body) = body_stream(1 << 20);
    assert_eq!(body.state(), StreamState::Pending);
    assert_eq!(body.take(9), None);
    let large = vec![b'z'; LARGE];
    for piece in [b"ab", b"" as &[u8], b"cd", &large, b"ef"] {
        assert_eq!(write(&mut writer, piece), DONE);
    }
    writer.finish();
    assert_eq!(body.state(), StreamState::Ready(6 + LARGE));
    assert_eq!(
        body.take(3).unwrap(),
        b"abc"[..],
        "small pieces are gathered"
    );
    assert_eq!(body.take(3).unwrap(), b"d"[..]);
    assert_eq!(body.take(LARGE - 1).unwrap(), large[1..]);
    assert_eq!(body.take(9).unwrap(), b"z"[..]);
    assert_eq!(body.take(9).unwrap(), b"ef"[..]);
    assert_eq!(body.take(9), None);
    assert_eq!(body.state(), StreamState::Ended);
}

#[test]
fn large_pieces_are_not_copied() {
    let (mut writer, mut body) = body_stream(1 << 20);
    let large = Bytes::from(vec![1; LARGE]);
    let address = large.as_ptr();
    assert_eq!(Hand::new(writer.write(large)).poll(), DONE);
    assert_eq!(body.take(LARGE).unwrap().as_ptr(), address);
}

#[test]
fn a_full_queue_makes_the_producer_wait_until_half_of_it_was_taken() {
    let (mut writer, mut body) = body_stream(100);
    assert_eq!(write(&mut writer, &[0; 60]), DONE);
    let mut second = Hand::new(writer.write(Bytes::from(vec![1; 60])));
    assert!(second.poll().is_pending());
    assert_eq!(body.state(), StreamState::Ready(60), "no crumbs");
    body.take(9);
    assert_eq!(second.wakes(), 0);
    body.take(1);
    assert_eq!(second.wakes(), 1);
    assert!(second.poll().is_pending(), "a part of it went in");
    assert_eq!(body.state(), StreamState::Ready(100));
    while body.take(100).is_some() {}
    assert_eq!(second.wakes(), 2);
    assert_eq!(second.poll(), DONE);
    assert_eq!(body.state(), StreamState::Ready(10));
}

#[test]
fn a_piece_larger_than_the_queue_goes_through_it() {
    let (mut writer, mut body) = body_stream(3);
    let mut large = Hand::new(writer.write(Bytes::from_static(b"0123456789")));
    let mut got = Vec::new();
    while large.poll().is_pending() {
        assert!(matches!(body.state(), StreamState::Ready(1..=3)));
        got.extend_from_slice(&body.take(9).unwrap());
    }
    drop(large);
    writer.finish();
    got.extend_from_slice(&body.take(9).unwrap());
    assert_eq!(got, b"0123456789");
    assert_eq!(body.state(), StreamState::Ended);
}

#[test]
fn a_reader_that_goes_is_seen_by_the_writer_at_once() {
    let (mut writer, body) = body_stream(10);
    assert_eq!(write(&mut writer, &[0; 10]), DONE);
    let mut waiting = Hand::new(writer.write(Bytes::from_static(b"more")));
    assert!(waiting.poll().is_pending());
    drop(body);
    assert_eq!(waiting.wakes(), 1);
    assert_eq!(waiting.poll(), Poll::Ready(Err(Gone)));
    drop(waiting);
    assert_eq!(write(&mut writer, b"again"), Poll::Ready(Err(Gone)));
    assert_eq!(write(&mut writer, b""), Poll::Ready(Err(Gone)));
    writer.finish();
}

#[test]
fn a_producer_can_wait_for_the_end_of_its_reader() {
    let (mut writer, body) = body_stream(10);
    {
        let mut gone = Hand::new(writer.gone());
        assert!(gone.poll().is_pending());
        drop(body);
        assert_eq!(gone.wakes(), 1);
        assert!(gone.poll().is_ready());
    }
    assert!(Hand::new(writer.gone()).poll().is_ready());
}

#[test]
fn a_writer_that_is_dropped_breaks_the_body_behind_what_it_wrote() {
    let (mut writer, mut body) = body_stream(10);
    let times = told(&body);
    assert_eq!(write(&mut writer, b"part"), DONE);
    drop(writer);
    assert_eq!(times.get(), 1);
    assert_eq!(body.state(), StreamState::Ready(4));
    body.take(4);
    assert_eq!(body.state(), StreamState::Broken);

    let (writer, body) = body_stream(10);
    let times = told(&body);
    drop(writer);
    assert_eq!((times.get(), body.state()), (1, StreamState::Broken));
}

#[test]
fn a_reader_is_told_only_when_it_had_nothing_left() {
    let (mut writer, mut body) = body_stream(100);
    let times = told(&body);
    for (piece, expected) in [(b"a" as &[u8], 1), (b"b", 1), (b"", 1)] {
        assert_eq!(write(&mut writer, piece), DONE);
        assert_eq!(times.get(), expected);
    }
    body.take(1);
    assert_eq!(write(&mut writer, b"c"), DONE);
    assert_eq!(times.get(), 1, "there was something left");
    while body.take(9).is_some() {}
    assert_eq!(write(&mut writer, b"d"), DONE);
    assert_eq!(times.get(), 2);
    body.take(1);
    writer.finish();
    assert_eq!(times.get(), 3);
    assert_eq!(body.state(), StreamState::Ended);
}

#[test]
fn many_small_pieces_do_not_weigh_more_than_their_bytes() {
    let (mut writer, body) = body_stream(64 * 1024);
    while write(&mut writer, b"x").is_ready() {}
    let queue = body.0.queue.borrow();
    assert_eq!(queue.len, 64 * 1024);
    assert!(queue.pieces.len() <= 64 * 1024 / GATHERED_BYTES_MAX);
}

proptest! {
    /// Whatever the sizes, the bytes come out as they went in, and never more of them wait than
    /// the bound says.
    #[test]
    fn bytes_come_out_as_they_went_in(
        bytes_max in 1usize..20_000,
        sizes in prop::collection::vec(0usize..20_000, 0..20),
        takes in prop::collection::vec(1usize..20_000, 1..20),
    ) {
        let total = sizes.iter().sum::<usize>();
        let whole: Vec<u8> = (0..total).map(|position| (position % 251) as u8).collect();
        let (mut writer, mut body) = body_stream(bytes_max);
        let mut rest = Bytes::from(whole.clone());
        let mut producer = Hand::new(async move {
            for size in sizes {
                writer.write(rest.split_to(size)).await.unwrap();
            }
            writer.finish();
        });
        let mut got = Vec::new();
        let mut takes = takes.into_iter().cycle();
        let mut is_done = producer.poll().is_ready();
        loop {
            match body.state() {
                StreamState::Ready(len) => prop_assert!(len <= bytes_max),
                StreamState::Pending => prop_assert!(false, "the producer waits, and so do we"),
                StreamState::Ended => break,
                StreamState::Broken => prop_assert!(false, "nobody broke it"),
            }
            got.extend_from_slice(&body.take(takes.next().unwrap()).unwrap());
            if !is_done && producer.wakes() > 0 {
                is_done = producer.poll().is_ready();
            }
        }
        prop_assert!(is_done);
        prop_assert_eq!(got, whole);
    }
}
