//! What runs inside the runtime: one task for each operation. Each ends with an [`Event`].
//!
//! Unsafe code is allowed for what has no safe way here: borrowing the descriptor of the crate's
//! stream, watching descriptors with Tokio, and dropping the runtime early or never.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use ::tokio_uring::Runtime;
use ::tokio_uring::buf::BoundedBuf;
use ::tokio_uring::net::TcpStream;
use rustix::io::Errno as Kernel;
use rustix::net::{SocketFlags, accept_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::batch_buf::{Rest, pieces};
use crate::base::limits::{ACCEPTS_PER_TURN, TICK};
use crate::engine::{Errno, ListenerId, OperationId, Outcome, SendBatch, SocketId, Waker};

/// What a task tells the engine.
pub(super) enum Event {
    Accepted(ListenerId, OwnedFd),
    AcceptFailed(ListenerId, Errno),
    Read(SocketId, Result<usize, Errno>, Vec<u8>),
    Sent(SocketId, Box<SendBatch>, Result<(), Errno>),
    Writable(SocketId),
    Finished(OperationId, Outcome),
    /// The mailbox has results.
    Mail,
    Woken,
    Ticked,
}

/// What tasks and engine share.
#[derive(Default)]
pub(super) struct Shared {
    events: RefCell<Vec<Event>>,
    news: Notify,
    in_flight: Cell<usize>,
}

impl Shared {
    fn push(&self, event: Event) {
        self.events.borrow_mut().push(event);
        self.news.notify_one();
    }

    /// Returns once there is at least one event.
    pub(super) async fn happened(&self) {
        while self.events.borrow().is_empty() {
            self.news.notified().await;
        }
    }

    /// Moves all events to an empty list.
    pub(super) fn take_events(&self, events: &mut Vec<Event>) {
        std::mem::swap(&mut *self.events.borrow_mut(), events);
    }

    /// Operations of which the kernel may still use the buffers.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        InFlight(Rc::clone(self))
    }
}

/// Counts one operation for as long as it lives.
struct InFlight(Rc<Shared>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

/// A connected socket, TCP or Unix: to the crate's type it makes no difference.
pub(super) struct Stream {
    inner: TcpStream,
    handed: Cell<u64>,
}

impl Stream {
    /// Takes over a socket in blocking mode, as the ring wants it: in the other mode it would not
    /// wait for bytes but end with `EAGAIN`.
    pub(super) fn new(fd: OwnedFd) -> Stream {
        Stream {
            inner: TcpStream::from_std(fd.into()),
            handed: Cell::new(0),
        }
    }

    /// Bytes that the kernel took since the socket was opened.
    pub(super) fn handed(&self) -> u64 {
        self.handed.get()
    }

    pub(super) fn add_handed(&self, bytes: u64) {
        self.handed.set(self.handed.get() + bytes);
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream owns the descriptor and closes it when it is dropped, not before; the
        // borrow does not outlive the stream.
        unsafe { BorrowedFd::borrow_raw(self.inner.as_raw_fd()) }
    }
}

/// Runs the runtime's destructor, now and never again.
pub(super) fn drop_runtime(runtime: &mut ManuallyDrop<Runtime>) {
    // SAFETY: called once, by the destructor of the engine, which does not use it any more. What
    // the crate frees too early at this point does not exist: no operation is in flight.
    unsafe { ManuallyDrop::drop(runtime) }
}

/// A type that owns one open descriptor for as long as it lives.
trait OwnsFd: AsRawFd {}
impl OwnsFd for OwnedFd {}
impl OwnsFd for Eventfd {}
impl OwnsFd for Rc<Stream> {}

/// Watches a descriptor with Tokio. Must be called inside the runtime.
fn register<T: OwnsFd>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: the types that implement `OwnsFd` keep one descriptor open until they are dropped and
    // name the same one each time; `AsyncFd` holds the owner as long as it watches.
    Ok(unsafe { AsyncFd::register_with_interest(owner, interest) }?)
}

/// Must be called inside the runtime.
pub(super) fn register_listener(listener: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    register(listener, Interest::READABLE)
}

/// The eventfd of a waker.
pub(super) struct Eventfd(Waker);

impl AsRawFd for Eventfd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd().as_raw_fd()
    }
}

/// Must be called inside the runtime.
pub(super) fn register_waker(waker: Waker) -> io::Result<AsyncFd<Eventfd>> {
    register(Eventfd(waker), Interest::READABLE)
}

/// Turns wake-ups into events, for ever. Tokio watches edge-triggered and every write to an eventfd
/// is an edge, so that it need not be read.
pub(super) async fn watch(shared: Rc<Shared>, fd: AsyncFd<Eventfd>, event: impl Fn() -> Event) {
    while let Ok(mut guard) = fd.readable().await {
        guard.clear_ready();
        shared.push(event());
    }
}

pub(super) async fn tick(shared: Rc<Shared>) {
    let mut interval = interval_at(Instant::now() + TICK, TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        shared.push(Event::Ticked);
    }
}

/// Accepts until it fails or is aborted.
pub(super) async fn accept(shared: Rc<Shared>, id: ListenerId, fd: Rc<AsyncFd<OwnedFd>>) {
    loop {
        let mut guard = match fd.readable().await {
            Ok(guard) => guard,
            Err(error) => return shared.push(Event::AcceptFailed(id, error.into())),
        };
        for _ in 0..ACCEPTS_PER_TURN {
            match accept_with(fd.get_ref(), SocketFlags::CLOEXEC) {
                Ok(socket) => shared.push(Event::Accepted(id, socket)),
                Err(Kernel::AGAIN) => {
                    guard.clear_ready();
                    break;
                }
                Err(errno) if Errno::from(errno).is_of_one_connection() => {}
                Err(errno) => return shared.push(Event::AcceptFailed(id, errno.into())),
            }
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn read(shared: Rc<Shared>, id: SocketId, stream: Rc<Stream>, buf: Vec<u8>) {
    let in_flight = shared.begin();
    let (result, buf) = stream.inner.read(buf).await;
    drop(in_flight);
    // The descriptor is closed before the engine hears of the end.
    drop(stream);
    shared.push(Event::Read(id, result.map_err(Errno::from), buf));
}

pub(super) async fn send(
    shared: Rc<Shared>,
    id: SocketId,
    stream: Rc<Stream>,
    batch: Box<SendBatch>,
) {
    let in_flight = shared.begin();
    let (batch, result) = match batch.contiguous() {
        Some(_) => send_contiguous(&stream, batch).await,
        None => send_pieces(&stream, batch).await,
    };
    drop(in_flight);
    drop(stream);
    shared.push(Event::Sent(id, batch, result.map_err(Errno::from)));
}

async fn send_contiguous(
    stream: &Stream,
    batch: Box<SendBatch>,
) -> (Box<SendBatch>, io::Result<()>) {
    let mut rest = Rest { batch, done: 0 };
    while rest.done < rest.batch.len() {
        let result;
        (result, rest) = stream.inner.write(rest).submit().await;
        match progressed(stream, result) {
            Ok(bytes) => rest.done += bytes,
            Err(error) => return (rest.batch, Err(error)),
        }
    }
    (rest.batch, Ok(()))
}

async fn send_pieces(stream: &Stream, batch: Box<SendBatch>) -> (Box<SendBatch>, io::Result<()>) {
    let batch = Rc::new(*batch);
    let mut done = 0;
    let mut end = Ok(());
    while done < batch.len() {
        let (result, sent_pieces) = stream.inner.writev(pieces(&batch, done)).await;
        drop(sent_pieces);
        match progressed(stream, result) {
            Ok(bytes) => done += bytes,
            Err(error) => {
                end = Err(error);
                break;
            }
        }
    }
    let batch = Rc::into_inner(batch).expect("the pieces of every write came back and are gone");
    (Box::new(batch), end)
}

/// Notes what a write did; one that did nothing would do nothing for ever.
fn progressed(stream: &Stream, result: io::Result<usize>) -> io::Result<usize> {
    let bytes = result?;
    if bytes == 0 {
        return Err(Kernel::PIPE.into());
    }
    stream.add_handed(bytes as u64);
    Ok(bytes)
}

/// Waits for room with Tokio: the crate has no poll operation.
pub(super) async fn poll_writable(shared: Rc<Shared>, id: SocketId, stream: Rc<Stream>) {
    if let Ok(fd) = register(stream, Interest::WRITABLE) {
        // Room or an error: the next attempt tells.
        let _ = fd.writable().await;
    }
    shared.push(Event::Writable(id));
}

pub(super) async fn read_file(
    shared: Rc<Shared>,
    id: OperationId,
    file: std::fs::File,
    offset: u64,
    buf: Vec<u8>,
) {
    let in_flight = shared.begin();
    let file = ::tokio_uring::fs::File::from_std(file);
    let filled = buf.len();
    let (result, slice) = file.read_at(buf.slice(filled..), offset).await;
    drop(in_flight);
    shared.push(Event::Finished(
        id,
        Outcome::Read {
            buf: slice.into_inner(),
            result: result.map_err(Errno::from),
        },
    ));
}
