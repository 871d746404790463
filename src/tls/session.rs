//! The TLS state of one connection: records in, plaintext out; plaintext in, records out.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};

use super::client_auth;
use super::preference::{PROTOCOL_VERSION_ALERT, is_outdated, prefers_chacha};
use super::{TlsFault, TlsServer};
use crate::base::limits::{HANDSHAKE_FRAGMENT_BYTES_MAX, RECORD_BYTES_MAX};

/// Bytes of a record's header (RFC 8446 §5.1).
const HEADER_BYTES: usize = 5;
/// What a record is longer than its plaintext, at most: header, explicit nonce and tag of AES-GCM
/// in TLS 1.2.
const OVERHEAD_BYTES_MAX: usize = HEADER_BYTES + 8 + 16;
/// Ciphertext of one record (RFC 5246 §6.2.3; TLS 1.3 allows less).
const CIPHERTEXT_BYTES_MAX: usize = 16 * 1024 + 2048;
/// What a close_notify takes, with a record of its own.
const CLOSE_NOTIFY_BYTES: usize = 64;

const ENDED: TlsFault = TlsFault::stated("the TLS connection has ended");
const HANDSHAKING: TlsFault = TlsFault::stated("the TLS handshake is not complete");
const OUTDATED: TlsFault = TlsFault::stated("the client speaks no TLS 1.2");
const FRAGMENTS: TlsFault = TlsFault::stated("a handshake message in too many pieces");
const EXHAUSTED: TlsFault = TlsFault::stated("the keys of the connection are used up");
const UNEXPECTED: TlsFault = TlsFault::stated("TLS in a state that there is no use for");

thread_local! {
    /// Where small pieces are put together to one record: memory that is warm, and one for all.
    static GATHERED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One connection's TLS.
///
/// Call [`Session::read`] with what comes and send what it appends to its output, then
/// [`Session::write`] with what is to be said; at the end [`Session::close_notify`]. After a fault
/// every call is answered with one again.
pub struct Session {
    tls: UnbufferedServerConnection,
    /// For a client that would rather have ChaCha20, until it has said so.
    chacha_first: Option<Arc<ServerConfig>>,
    phase: Phase,
    is_h2: bool,
    client_subject: Option<Box<str>>,
    /// Records that hold the beginning of a handshake message. rustls puts the message together
    /// where they lie, so they stay until its end has come.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshaking,
    Established,
    /// A fault was met; rustls is not asked again.
    Ended,
}

/// What [`Session::read`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Bytes of the input that are done with. What is left is the beginning of a record.
    pub consumed: usize,
    /// The peer has said that it sends no more (close_notify); what follows is not looked at.
    pub closed: bool,
}

/// What the handshake has settled.
#[derive(Clone, Copy, Debug)]
pub struct Agreed<'a> {
    /// The client has chosen HTTP/2.
    pub is_h2: bool,
    /// Whom its verified certificate is about, as RFC 4514 writes names.
    pub client_subject: Option<&'a str>,
}

/// What is left to do after one state of rustls.
enum Step {
    Again,
    NeedsInput,
    PeerClosed,
}

impl Session {
    /// A connection on which nothing has been said.
    pub fn new(server: &TlsServer) -> Session {
        let configs = server.configs();
        Session {
            tls: connection(&configs.aes_first),
            chacha_first: Some(Arc::clone(&configs.chacha_first)),
            phase: Phase::Handshaking,
            is_h2: false,
            client_subject: None,
            held: Vec::new(),
        }
    }

    /// Takes ciphertext, which is decrypted where it lies. `input` is the start of what was not
    /// consumed before. `plain` gets the plaintext in order, and with it what was agreed on.
    /// Handshake messages and alerts to send are appended to `out`, on a fault too.
    pub fn read(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
        mut plain: impl FnMut(Agreed<'_>, &[u8]),
    ) -> Result<Read, TlsFault> {
        if self.phase == Phase::Ended {
            return Err(ENDED);
        }
        if self.phase == Phase::Handshaking && self.chacha_first.is_some() && is_outdated(input) {
            self.phase = Phase::Ended;
            out.extend_from_slice(PROTOCOL_VERSION_ALERT);
            return Err(OUTDATED);
        }
        self.choose_cipher(input);
        let whole = whole_records(input);
        if self.held.is_empty() {
            let mut read = self.pump(input, out, &mut plain)?;
            if whole > 0 {
                self.chacha_first = None; // A hello in small records is not waited for.
            }
            if read.consumed < whole && !read.closed {
                self.hold(&input[read.consumed..whole])?;
                read.consumed = whole;
            }
            return Ok(read);
        }
        // The rest of a message whose beginning is held. This is rare: one record holds 16 KiB.
        self.hold(&input[..whole])?;
        let mut held = std::mem::take(&mut self.held);
        let mut read = self.pump(&mut held, out, &mut plain)?;
        held.drain(..read.consumed);
        if read.closed {
            read.consumed = input.len();
        } else {
            read.consumed = whole;
            self.held = held;
        }
        Ok(read)
    }

    /// Starts anew by other rules when the hello asks for it. Only while nothing was consumed.
    fn choose_cipher(&mut self, input: &[u8]) {
        if self.chacha_first.is_none() {
            return;
        }
        let wish = prefers_chacha(input);
        if wish.is_some() {
            let config = self.chacha_first.take();
            if let Some(config) = config.filter(|_| wish == Some(true)) {
                self.tls = connection(&config);
            }
        }
    }

    fn hold(&mut self, records: &[u8]) -> Result<(), TlsFault> {
        if self.held.len() + records.len() > HANDSHAKE_FRAGMENT_BYTES_MAX {
            self.phase = Phase::Ended;
            return Err(FRAGMENTS);
        }
        self.held.extend_from_slice(records);
        Ok(())
    }

    /// Lets rustls work until it needs more input.
    fn pump(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
        plain: &mut impl FnMut(Agreed<'_>, &[u8]),
    ) -> Result<Read, TlsFault> {
        let mut consumed = 0;
        loop {
            self.note_progress();
            let status = self.tls.process_tls_records(&mut input[consumed..]);
            let UnbufferedStatus { discard, state, .. } = status;
            let step = match state {
                Ok(state) => {
                    let agreed = Agreed {
                        is_h2: self.is_h2,
                        client_subject: self.client_subject.as_deref(),
                    };
                    step(state, agreed, out, plain)
                }
                Err(error) => Err(error.into()),
            };
            consumed += discard;
            let closed = match step {
                Ok(Step::Again) => continue,
                Ok(Step::NeedsInput) => false,
                Ok(Step::PeerClosed) => true,
                Err(fault) => {
                    self.phase = Phase::Ended;
                    self.say_last_words(out);
                    return Err(fault);
                }
            };
            // "Any data received after a closure alert has been received MUST be ignored."
            // (RFC 8446 §6.1)
            if closed {
                consumed = input.len();
            }
            self.note_progress();
            return Ok(Read { consumed, closed });
        }
    }

    /// What was agreed on is asked for until the handshake is complete. The server has always
    /// answered between the hello that settles it and the first plaintext, so this comes in time.
    fn note_progress(&mut self) {
        if self.phase != Phase::Handshaking {
            return;
        }
        self.is_h2 = self.tls.alpn_protocol() == Some(b"h2");
        if !self.tls.is_handshaking() {
            self.phase = Phase::Established;
            let chain = self.tls.peer_certificates();
            let first = chain.and_then(|chain| chain.first());
            self.client_subject = first.and_then(client_auth::subject);
        }
    }

    /// rustls has queued the alert that goes with its error. While it has something queued it looks
    /// at no input; afterwards it must not look at any again.
    fn say_last_words(&mut self, out: &mut Vec<u8>) {
        while self.tls.wants_write() {
            let Ok(ConnectionState::EncodeTlsData(mut data)) =
                self.tls.process_tls_records(&mut []).state
            else {
                return;
            };
            if encode(&mut data, out).is_err() {
                return;
            }
        }
    }

    /// Encrypts pieces to records of up to 16 KiB and appends those to `out`. Small pieces share a
    /// record; large ones are encrypted where they lie.
    pub fn write<'p>(
        &mut self,
        pieces: impl Iterator<Item = &'p [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), TlsFault> {
        let written = self.with_traffic(out, |traffic, out| {
            GATHERED.with_borrow_mut(|gathered| {
                gathered.clear();
                gathered.resize(GATHERED_LEAD, 0);
                write_pieces(pieces, gathered, &mut |plain| encrypt(traffic, plain, out))
            })
        });
        if written.is_err() && self.phase == Phase::Established {
            self.phase = Phase::Ended;
        }
        written
    }

    /// Says that we send no more (RFC 8446 §6.1). Before the handshake is complete, and after a
    /// fault, there is nothing to say.
    pub fn close_notify(&mut self, out: &mut Vec<u8>) {
        let said = self.with_traffic(out, |traffic, out| {
            append(out, CLOSE_NOTIFY_BYTES, |room| {
                traffic.queue_close_notify(room)
            })
        });
        // A connection that cannot say it ends without.
        let _ = said;
    }

    /// Brings rustls to where application data may be sent.
    fn with_traffic(
        &mut self,
        out: &mut Vec<u8>,
        act: impl FnOnce(&mut Traffic<'_>, &mut Vec<u8>) -> Result<(), TlsFault>,
    ) -> Result<(), TlsFault> {
        match self.phase {
            Phase::Handshaking => return Err(HANDSHAKING),
            Phase::Established => {}
            Phase::Ended => return Err(ENDED),
        }
        loop {
            match self.tls.process_tls_records(&mut self.held).state? {
                ConnectionState::WriteTraffic(mut traffic) => return act(&mut traffic, out),
                // Answers to key updates, and keys of our own that are due.
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                _ => return Err(ENDED),
            }
        }
    }

    /// True until both sides have agreed; nothing can be written before.
    pub fn is_handshaking(&self) -> bool {
        self.phase == Phase::Handshaking
    }

    /// True when the client has chosen HTTP/2.
    pub fn alpn_is_h2(&self) -> bool {
        self.is_h2
    }

    /// Whom the client's verified certificate is about, as RFC 4514 writes names.
    pub fn client_subject(&self) -> Option<&str> {
        self.client_subject.as_deref()
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &UnbufferedServerConnection {
        &self.tls
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest is secrets.
        out.debug_struct("Session")
            .field("phase", &self.phase)
            .field("is_h2", &self.is_h2)
            .finish_non_exhaustive()
    }
}

fn connection(config: &Arc<ServerConfig>) -> UnbufferedServerConnection {
    UnbufferedServerConnection::new(Arc::clone(config))
        .expect("it fails for a fragment size alone, which is not set")
}

type Traffic<'a> = WriteTraffic<'a, ServerConnectionData>;

/// Bytes of the records that are there to their end. One that is too long will never be: it is
/// taken as it is, to be refused.
fn whole_records(input: &[u8]) -> usize {
    let mut whole = 0;
    while let Some([_, _, _, high, low]) = input[whole..].first_chunk::<HEADER_BYTES>() {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let end = whole + HEADER_BYTES + len;
        if len > CIPHERTEXT_BYTES_MAX {
            return input.len();
        }
        if end > input.len() {
            break;
        }
        whole = end;
    }
    whole
}

/// Acts on one state of rustls.
fn step(
    state: ConnectionState<'_, '_, ServerConnectionData>,
    agreed: Agreed<'_>,
    out: &mut Vec<u8>,
    plain: &mut impl FnMut(Agreed<'_>, &[u8]),
) -> Result<Step, TlsFault> {
    match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                plain(agreed, record?.payload);
            }
            Ok(Step::Again)
        }
        ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out).map(|()| Step::Again),
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Step::Again)
        }
        ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => {
            Ok(Step::NeedsInput)
        }
        ConnectionState::PeerClosed | ConnectionState::Closed => Ok(Step::PeerClosed),
        // Early data is never accepted, and rustls may invent further states.
        _ => Err(UNEXPECTED),
    }
}

/// Appends one message of rustls' own.
fn encode(
    data: &mut EncodeTlsData<'_, ServerConnectionData>,
    out: &mut Vec<u8>,
) -> Result<(), TlsFault> {
    let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) else {
        return Err(UNEXPECTED);
    };
    let start = out.len();
    out.resize(start + needed.required_size, 0);
    match data.encode(&mut out[start..]) {
        Ok(_) => Ok(()),
        Err(_) => Err(UNEXPECTED),
    }
}

/// Appends the records of some plaintext.
fn encrypt(traffic: &mut Traffic<'_>, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
    let records = plain.len().div_ceil(RECORD_BYTES_MAX);
    let room = plain.len() + records * OVERHEAD_BYTES_MAX;
    append(out, room, |room| traffic.encrypt(plain, room))
}

/// Appends what `write` makes in `room` bytes, or in as many as it says that it needs: a key update
/// may stand in front.
fn append(
    out: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), TlsFault> {
    let start = out.len();
    out.resize(start + room, 0);
    let mut written = write(&mut out[start..]);
    if let Err(EncryptError::InsufficientSize(needed)) = &written {
        out.resize(start + needed.required_size, 0);
        written = write(&mut out[start..]);
    }
    let Ok(written) = written else {
        out.truncate(start);
        return Err(EXHAUSTED);
    };
    out.truncate(start + written);
    Ok(())
}

/// Cuts pieces into what single calls of `encrypt` take: whole records where they lie, the rest put
/// together in `gathered`, behind its lead, with what follows.
fn write_pieces<'p>(
    pieces: impl Iterator<Item = &'p [u8]>,
    gathered: &mut Vec<u8>,
    encrypt: &mut impl FnMut(&[u8]) -> Result<(), TlsFault>,
) -> Result<(), TlsFault> {
    const FULL: usize = GATHERED_LEAD + RECORD_BYTES_MAX;
    let mut pieces = pieces.filter(|piece| !piece.is_empty()).peekable();
    while let Some(mut piece) = pieces.next() {
        while !piece.is_empty() {
            let has_begun = gathered.len() > GATHERED_LEAD;
            let is_last = pieces.peek().is_none();
            if !has_begun && (is_last || piece.len() >= RECORD_BYTES_MAX) && !is_slow_to_copy(piece)
            {
                let (lies, rest) = piece.split_at(piece.len().min(RECORD_BYTES_MAX));
                encrypt(lies)?;
                piece = rest;
                continue;
            }
            let (fits, rest) = piece.split_at(piece.len().min(FULL - gathered.len()));
            gathered.extend_from_slice(fits);
            piece = rest;
            if gathered.len() == FULL {
                encrypt(&gathered[GATHERED_LEAD..])?;
                gathered.truncate(GATHERED_LEAD);
            }
        }
    }
    match &gathered[GATHERED_LEAD..] {
        [] => Ok(()),
        rest => encrypt(rest),
    }
}

/// Bytes before what is gathered. Copies whose target lies 1 to 63 bytes behind their source,
/// modulo the page, are up to 30 times slower than others (`rep movsb`, which the C library uses
/// from a few kilobytes on, on AMD's Zen: 16 KiB take 8 µs instead of 0.3). rustls copies plaintext
/// to 5 bytes behind the start of an allocation, and allocations of that size start with a page.
const GATHERED_LEAD: usize = 128;
const PAGE_BYTES: usize = 4096;

/// Whether rustls would copy this piece so: then it is gathered first, which costs less.
fn is_slow_to_copy(piece: &[u8]) -> bool {
    const FAR: usize = 64;
    let position = piece.as_ptr().addr() % PAGE_BYTES;
    let behind = (PAGE_BYTES + HEADER_BYTES - position) % PAGE_BYTES;
    (1..FAR).contains(&behind) && piece.len() >= PAGE_BYTES / 2
}
