//! TLS between the socket and the protocols: bytes are decrypted where they lie, and output is
//! encrypted on its way to the engine.
//!
//! ```text
//! Received -> on_ciphertext -> (Session::read) -> take_plain, as on a plain connection
//! Output, files -> seal_output -> (Session::write) -> one send
//! ```

use crate::base::Millis;
use crate::base::limits::{SEALED_AT_ONCE_MIN, SEALED_SEND_BYTES_MAX, SEALED_TURN_BYTES_MAX};
use crate::engine::{Engine, FileRange, Received, SendBatch, SocketId};
use crate::http::Fault;
use crate::proto::h1;
use crate::tls::{Agreed, Session, TlsFault, looks_like_plain_http};

use super::Connections;
use super::blocks::{BlockRead, Blocks};
use super::connection::{Connection, Item, Life, Reading, WaitsFor};
use super::receive::take_plain;
use super::request::on_fault;
use super::streams::begin_streams;

/// The TLS side of one connection.
pub(super) struct Secure {
    /// Made when the first bytes come: a connection that says nothing costs little.
    session: Option<Box<Session>>,
    /// The beginning of a record whose end is still to come.
    unread: Vec<u8>,
    /// Handshake messages and alerts that are to be sent before anything else.
    pending: Vec<u8>,
    /// Bytes of the first batch in the output that were encrypted already.
    sealed_of_batch: usize,
    /// The round in whose handshakes it is counted.
    round: Option<u64>,
    said_goodbye: bool,
}

impl Secure {
    pub(super) fn new() -> Box<Secure> {
        Box::new(Secure {
            session: None,
            unread: Vec::new(),
            pending: Vec::new(),
            sealed_of_batch: 0,
            round: None,
            said_goodbye: false,
        })
    }

    pub(super) fn has_output(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.session
            .as_ref()
            .is_none_or(|session| session.is_handshaking())
    }

    /// Queues close_notify (RFC 8446 §6.1) unless it was before; false when there is none to send.
    pub(super) fn say_goodbye(&mut self) -> bool {
        let Some(session) = self.session.as_mut().filter(|_| !self.said_goodbye) else {
            return false;
        };
        self.said_goodbye = true;
        session.close_notify(&mut self.pending);
        !self.pending.is_empty()
    }

    /// Decrypts what came; what is left of it waits for the rest of its record.
    fn read(
        &mut self,
        bytes: &mut [u8],
        plain: impl FnMut(Agreed<'_>, &[u8]),
    ) -> Result<bool, TlsFault> {
        let session = self.session.as_mut().expect("begun before the first read");
        if self.unread.is_empty() {
            let read = session.read(bytes, &mut self.pending, plain)?;
            self.unread.extend_from_slice(&bytes[read.consumed..]);
            return Ok(read.closed);
        }
        self.unread.extend_from_slice(bytes);
        let mut unread = std::mem::take(&mut self.unread);
        let read = session.read(&mut unread, &mut self.pending, plain)?;
        if read.consumed < unread.len() {
            unread.drain(..read.consumed);
            self.unread = unread;
        }
        Ok(read.closed)
    }
}

impl<E: Engine> Connections<E> {
    /// A new connection on a TLS listener: it may speak once there is room for a handshake.
    pub(super) fn begin_handshake(&mut self, socket: SocketId) {
        if self.handshakes >= self.services.settings.handshakes_max {
            self.waiting_handshakes.push_back(socket);
            return;
        }
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        if let Some(secure) = &mut connection.secure {
            secure.round = Some(self.handshake_round);
            self.handshakes += 1;
        }
        self.receive(socket);
    }

    /// A handshake has ended, well or not: the next one may begin.
    pub(super) fn on_handshake_ended(&mut self, secure: &mut Secure) {
        if secure.round.take() == Some(self.handshake_round) {
            self.handshakes -= 1;
            self.begin_waiting_handshakes();
        }
    }

    /// At each tick: a handshake from before waits for its peer and costs us nothing meanwhile, so
    /// that it does not count any more. Else a few silent peers would keep all others out.
    pub(super) fn begin_handshake_round(&mut self) {
        self.handshake_round += 1;
        self.handshakes = 0;
        self.begin_waiting_handshakes();
    }

    fn begin_waiting_handshakes(&mut self) {
        while self.handshakes < self.services.settings.handshakes_max {
            let Some(socket) = self.waiting_handshakes.pop_front() else {
                return;
            };
            let connection = self.table.get(socket.0);
            if connection.is_some_and(|connection| connection.life == Life::Open) {
                self.begin_handshake(socket);
            }
        }
    }

    /// Bytes on a connection that speaks TLS; those before `begin` were not a part of it.
    pub(super) fn on_ciphertext(&mut self, socket: SocketId, received: Received, begin: usize) {
        let Some((connection, server)) =
            self.table.get_mut(socket.0).zip(self.services.tls.as_ref())
        else {
            self.engine.recycle(received);
            return;
        };
        let mut secure = connection.secure.take().expect("the caller has seen it");
        let bytes = &mut self.engine.bytes(&received)[begin..];
        if secure.session.is_none() && looks_like_plain_http(bytes) {
            answer_plain_http(connection, &mut self.services, bytes);
            self.engine.recycle(received);
            self.on_handshake_ended(&mut secure);
            self.after_input(socket);
            return;
        }
        if secure.session.is_none() {
            secure.session = Some(Box::new(Session::new(server)));
        }
        let was_handshaking = secure.is_handshaking();
        let services = &mut self.services;
        let result = secure.read(bytes, |agreed, plain| {
            if connection.is_fresh {
                connection.note_certificate(agreed.client_subject);
                if agreed.is_h2 {
                    begin_streams(connection, services);
                }
            }
            take_plain(socket, connection, services, plain);
        });
        let is_h2 = secure
            .session
            .as_ref()
            .is_some_and(|session| session.alpn_is_h2());
        self.engine.recycle(received);
        if was_handshaking && (!secure.is_handshaking() || result.is_err()) {
            self.on_handshake_ended(&mut secure);
        }
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        if was_handshaking && !secure.is_handshaking() {
            let session = secure.session.as_ref();
            connection.note_certificate(session.and_then(|session| session.client_subject()));
            if connection.is_fresh && is_h2 {
                // The server's preface need not wait for the client's (RFC 9113 §3.4).
                begin_streams(connection, &mut self.services);
            }
            connection.waits = WaitsFor::Rest; // Another deadline begins.
        }
        connection.secure = Some(secure);
        self.after_ciphertext(socket, result);
    }

    fn after_ciphertext(&mut self, socket: SocketId, result: Result<bool, TlsFault>) {
        let Some(connection) = self.table.get_mut(socket.0) else {
            return;
        };
        match result {
            Ok(false) => self.after_input(socket),
            Ok(true) => {
                self.after_input(socket);
                self.on_peer_done(socket);
            }
            Err(fault) => {
                log::debug!("a TLS connection ends: {fault}");
                // The alert goes out; nothing behind it means anything.
                self.services.abandon_reading(connection);
                connection.output.drop_stream();
                connection.close_after_output = true;
                connection.linger = true;
                if let Some(secure) = &mut connection.secure {
                    secure.said_goodbye = true;
                }
                self.mark_dirty(socket);
            }
        }
    }

    /// Encrypts output and sends it; returns how much of files that took. Large output goes to the
    /// socket at once, so that the next piece is encrypted into the same memory, which is still in
    /// the processor's cache; what does not fit, and small output, goes with the turn's other
    /// sends.
    pub(super) fn seal_output(&mut self, socket: SocketId) -> u64 {
        let mut file_len = 0;
        let mut sent = 0;
        loop {
            let Some((mut sealed, sealing)) = self.seal_some(socket) else {
                return file_len;
            };
            file_len += sealing.file_len;
            if sealed.is_empty() || sealing.is_broken {
                self.services.give_batch(sealed);
                match sealing.cold {
                    _ if sealing.is_broken => self.terminate(socket),
                    Some(slice) => self.read_cold_slice(socket, None, slice),
                    None if sealing.has_stream_next => self.wait_for_producer(socket),
                    None => self.on_output_drained(socket),
                }
                return file_len;
            }
            let len = sealed.len();
            if len >= SEALED_AT_ONCE_MIN {
                let bytes = sealed.contiguous().expect("records are own bytes");
                let taken = self.engine.send_ahead(socket, bytes, false);
                sealed.drop_front(taken);
            }
            if !sealed.is_empty() {
                self.send_batch(socket, sealed, false);
                return file_len;
            }
            self.services.give_batch(sealed);
            sent += len;
            if sent >= SEALED_TURN_BYTES_MAX {
                self.mark_dirty(socket);
                return file_len;
            }
            self.pull_bodies(socket);
        }
    }

    /// Encrypts what makes one send.
    fn seal_some(&mut self, socket: SocketId) -> Option<(Box<SendBatch>, Sealed)> {
        let connection = self.table.get_mut(socket.0)?;
        let mut sealed = self.services.take_batch();
        sealed.own_mut().reserve(SEALED_ROOM);
        let sealing = Sealing {
            engine: &mut self.engine,
            connection,
            blocks: &mut self.services.blocks,
            now: self.services.now.monotonic,
            spent: &mut self.services.spent_batches,
        }
        .fill(&mut sealed);
        while let Some(batch) = self.services.spent_batches.pop() {
            self.services.give_batch(batch);
        }
        Some((sealed, sealing))
    }
}

/// Room for a send with the overhead of its records: then its memory never grows.
const SEALED_ROOM: usize = HEAD_ROOM + SEALED_SEND_BYTES_MAX + SEALED_SEND_BYTES_MAX / 64;
/// A head in its record, which comes before the blocks of a file.
const HEAD_ROOM: usize = 2048;

/// Says in plain HTTP that this port speaks HTTPS.
#[cold]
fn answer_plain_http(connection: &mut Connection, services: &mut super::Services, bytes: &[u8]) {
    connection.is_secure = false;
    let fault = Fault::bad_request("this port speaks HTTPS, and plain HTTP was sent to it");
    on_fault(connection, services, fault, h1::asks_for_head(bytes));
}

/// One filling of a send with ciphertext.
#[expect(clippy::vec_box, reason = "batches move as their boxes")]
struct Sealing<'a, E: Engine> {
    engine: &'a mut E,
    connection: &'a mut Connection,
    blocks: &'a mut Blocks,
    now: Millis,
    /// Takes the batches whose bytes were encrypted.
    spent: &'a mut Vec<Box<SendBatch>>,
}

/// What a filling has left to do.
struct Sealed {
    /// The next slice must be read first.
    cold: Option<FileRange>,
    is_broken: bool,
    /// Nothing is left but a body that has nothing to give.
    has_stream_next: bool,
    file_len: u64,
}

impl<E: Engine> Sealing<'_, E> {
    fn fill(mut self, sealed: &mut SendBatch) -> Sealed {
        let mut done = Sealed {
            cold: None,
            is_broken: false,
            has_stream_next: false,
            file_len: 0,
        };
        let secure = self.connection.secure.as_mut().expect("only TLS is sealed");
        sealed.own_mut().append(&mut secure.pending);
        while sealed.len() < SEALED_SEND_BYTES_MAX && !done.is_broken {
            let Some(item) = self.connection.output.pop() else {
                break;
            };
            match item {
                Item::Batch(batch) => self.seal_batch(batch, sealed, &mut done),
                Item::File(range) => {
                    if !self.seal_file(range, sealed, &mut done) {
                        break;
                    }
                }
                Item::Stream { .. } => {
                    self.connection.output.push_front(item);
                    done.has_stream_next = true;
                    break;
                }
            }
        }
        done
    }

    /// Seals what there is room for; the rest of the batch comes first the next time.
    fn seal_batch(&mut self, batch: Box<SendBatch>, sealed: &mut SendBatch, done: &mut Sealed) {
        let room = SEALED_SEND_BYTES_MAX - sealed.len();
        let secure = self.connection.secure.as_mut().expect("only TLS is sealed");
        let skip = std::mem::take(&mut secure.sealed_of_batch);
        let mut left = room;
        let pieces = batch.slices(skip).map_while(|piece| {
            let piece = &piece[..piece.len().min(left)];
            left -= piece.len();
            (!piece.is_empty()).then_some(piece)
        });
        done.is_broken |= !self.seal(pieces, sealed);
        if skip + room < batch.len() {
            let secure = self.connection.secure.as_mut().expect("only TLS is sealed");
            secure.sealed_of_batch = skip + room;
            self.connection.output.push_front(Item::Batch(batch));
        } else {
            self.spent.push(batch);
        }
    }

    fn seal<'p>(&mut self, pieces: impl Iterator<Item = &'p [u8]>, sealed: &mut SendBatch) -> bool {
        let secure = self.connection.secure.as_mut().expect("only TLS is sealed");
        let session = secure.session.as_mut();
        session.is_some_and(|session| session.write(pieces, sealed.own_mut()).is_ok())
    }

    /// Seals the next part of a file; false when that is all for now.
    fn seal_file(
        &mut self,
        mut range: FileRange,
        sealed: &mut SendBatch,
        done: &mut Sealed,
    ) -> bool {
        // Whole blocks behind a head, so that no record is a crumb.
        let room = match sealed.len() {
            ..=HEAD_ROOM => SEALED_SEND_BYTES_MAX,
            len => SEALED_SEND_BYTES_MAX - len,
        };
        let next = FileRange {
            len: range.len.min(room as u64),
            ..range.clone()
        };
        match self.blocks.read(self.engine, &next, self.now) {
            BlockRead::Piece(piece) => {
                done.is_broken |= !self.seal(std::iter::once(&piece[..]), sealed);
                let len = piece.len() as u64;
                done.file_len += len;
                range.offset += len;
                range.len -= len;
                if range.len > 0 {
                    self.connection.output.push_front(Item::File(range));
                }
                return !done.is_broken;
            }
            BlockRead::Cold => {
                done.cold = Some(FileRange {
                    len: range.slice_len(),
                    ..range.clone()
                });
                self.connection.output.push_front(Item::File(range));
            }
            // The length was promised: only ending the connection tells that it is not kept.
            BlockRead::Truncated | BlockRead::Failed(_) => done.is_broken = true,
        }
        false
    }
}

impl super::Services {
    /// Nothing is read as a request any more: tasks that make answers are dropped.
    pub(super) fn abandon_reading(&mut self, connection: &mut Connection) {
        match std::mem::replace(&mut connection.reading, Reading::Done) {
            Reading::Waiting(waiting) => self.executor.cancel(waiting.task),
            Reading::Streams(streams) => streams.cancel_tasks(&mut self.executor),
            Reading::Head | Reading::Body(_) | Reading::Done => {}
        }
    }
}
