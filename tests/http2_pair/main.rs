//! The core of HTTP/2 and the `h2` crate as its client, face to face in memory: no engine, no
//! socket, no time. Bytes travel in pieces of any size; both sides hesitate, pause and give up.
//!
//! ```text
//! DOWNPOUR_PAIR_SEED=17 cargo test --test http2_pair      one pair
//! DOWNPOUR_PAIR_SEEDS=10000 cargo test --test http2_pair  the nightly size
//! ```

#![allow(
    clippy::print_stdout,
    reason = "what a test prints is shown when it fails"
)]
#![allow(
    clippy::unwrap_used,
    reason = "it is a test, though clippy sees a program"
)]

mod client;
mod owner;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use downpour::engine::sim::Random;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use client::client;
use owner::Owner;

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

/// What clients have seen.
#[derive(Debug, Default)]
struct Seen {
    whole: Cell<usize>,
    cancelled: Cell<usize>,
    broken: Cell<usize>,
    beyond_goaway: Cell<usize>,
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
    println!("whole, cancelled, broken, beyond GOAWAY: {sums:?}");
    let enough = sums[0] > 4 * seeds && sums[1..].iter().all(|sum| *sum > seeds / 10);
    assert!(enough, "{sums:?}");
}
