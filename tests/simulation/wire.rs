//! A client's end of a connection as a stream of bytes, with or without TLS.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use downpour::engine::sim::{Client, ClientEnd};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::Heard;

/// One connection. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Wire {
    client: Client,
    state: Rc<RefCell<State>>,
}

struct State {
    /// What of the received bytes was looked at.
    taken: usize,
    tls: Option<Box<Tls>>,
}

struct Tls {
    connection: ClientConnection,
    plain: Vec<u8>,
    /// What of `plain` was read.
    read: usize,
    fault: Option<rustls::Error>,
    is_closed: bool,
}

impl Wire {
    /// Bytes as they are, or over TLS to `sim.test`.
    pub(crate) fn new(client: &Client, tls: Option<&Arc<ClientConfig>>) -> Wire {
        let tls = tls.map(|config| {
            let name = ServerName::try_from("sim.test").expect("a name");
            let connection = ClientConnection::new(Arc::clone(config), name);
            Box::new(Tls {
                connection: connection.expect("the settings are right"),
                plain: Vec::new(),
                read: 0,
                fault: None,
                is_closed: false,
            })
        });
        let wire = Wire {
            client: client.clone(),
            state: Rc::new(RefCell::new(State { taken: 0, tls })),
        };
        wire.send_sealed();
        wire
    }

    /// The client below.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Writes one message.
    pub(crate) fn write(&self, bytes: &[u8]) {
        match &mut self.state.borrow_mut().tls {
            None => self.client.write(bytes),
            Some(tls) => {
                tls.connection.set_buffer_limit(None);
                tls.connection.writer().write_all(bytes).expect("no limit");
            }
        }
        self.send_sealed();
    }

    /// Says that nothing follows, and goes on reading.
    pub(crate) fn half_close(&self) {
        if let Some(tls) = &mut self.state.borrow_mut().tls
            && !tls.connection.is_handshaking()
        {
            tls.connection.send_close_notify();
        }
        self.send_sealed();
        self.client.half_close();
    }

    fn send_sealed(&self) {
        let mut sealed = Vec::new();
        if let Some(tls) = &mut self.state.borrow_mut().tls {
            while tls.connection.wants_write() {
                tls.connection.write_tls(&mut sealed).expect("a Vec grows");
            }
        }
        self.client.write(&sealed);
    }

    /// Takes in what has come since.
    pub(crate) fn pump(&self) {
        let State { taken, tls } = &mut *self.state.borrow_mut();
        let Some(tls) = tls else {
            return;
        };
        let received = self.client.received();
        let mut fresh = &received[*taken..];
        *taken = received.len();
        while !fresh.is_empty() && tls.fault.is_none() && !tls.is_closed {
            tls.take(&mut fresh);
        }
    }

    /// Looks at all that was heard so far.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        self.pump();
        self.send_sealed();
        match &self.state.borrow().tls {
            Some(tls) => look(&tls.plain),
            None => look(&self.client.received()),
        }
    }

    /// True while nothing can be said yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        let state = self.state.borrow();
        let tls = state.tls.as_ref();
        tls.is_some_and(|tls| tls.connection.is_handshaking())
    }

    /// True when nothing more will be heard.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.borrow();
        let tls = state.tls.as_ref();
        let tls_is_over = tls.is_some_and(|tls| tls.is_closed || tls.fault.is_some());
        self.client.is_closed() || tls_is_over
    }

    /// All that was heard, as far as it is understood, and how it ended.
    pub(crate) fn heard(&self) -> Heard {
        self.pump();
        let mut heard = Heard::of(&self.client);
        if let Some(tls) = &self.state.borrow().tls {
            heard.bytes = tls.plain.clone();
            let has_begun = !tls.connection.is_handshaking();
            if heard.end == Some(ClientEnd::Eof) && has_begun && !tls.is_closed {
                heard.end = Some(ClientEnd::Reset); // Cut off (RFC 8446 §6.1).
            }
        }
        heard
    }

    /// Why TLS went wrong, if it did.
    pub(crate) fn fault(&self) -> Option<rustls::Error> {
        let state = self.state.borrow();
        state.tls.as_ref().and_then(|tls| tls.fault.clone())
    }

    fn poll(&self, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.pump();
        self.send_sealed();
        let State { taken, tls } = &mut *self.state.borrow_mut();
        let received = self.client.received();
        let (bytes, position) = match tls {
            Some(tls) => (&tls.plain[..], &mut tls.read),
            None => (&received[..], taken),
        };
        let len = out.remaining().min(bytes.len() - *position);
        out.put_slice(&bytes[*position..*position + len]);
        *position += len;
        if len > 0 {
            return Poll::Ready(Ok(()));
        }
        let fault = tls.as_ref().and_then(|tls| tls.fault.clone());
        if let Some(fault) = fault {
            return Poll::Ready(Err(io::Error::other(fault)));
        }
        match self.client.end() {
            _ if tls.as_ref().is_some_and(|tls| tls.is_closed) => Poll::Ready(Ok(())),
            None => Poll::Pending,
            Some(ClientEnd::Eof) if tls.is_none() => Poll::Ready(Ok(())),
            Some(ClientEnd::Eof) => Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
            Some(ClientEnd::Reset) => Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
            Some(ClientEnd::Refused) => Poll::Ready(Err(ErrorKind::ConnectionRefused.into())),
        }
    }
}

impl Tls {
    fn take(&mut self, fresh: &mut &[u8]) {
        self.connection.read_tls(fresh).expect("a slice is read");
        match self.connection.process_new_packets() {
            Err(fault) => self.fault = Some(fault),
            Ok(state) => self.is_closed = state.peer_has_closed(),
        }
        // Says that it would block when there is no more, which is what we want to hear.
        let read = self.connection.reader().read_to_end(&mut self.plain);
        assert!(read.is_ok() || !self.is_closed, "the end can be read");
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(out)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.half_close();
        Poll::Ready(Ok(()))
    }
}
