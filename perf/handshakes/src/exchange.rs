//! One slot: connections one after the other, each with one request.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, Stream};

use crate::arguments::Arguments;
use crate::report::Report;

const TIMEOUT: Duration = Duration::from_secs(30);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const TICKETS: usize = 8;

/// How an exchange failed; each kind is counted.
pub enum Fault {
    Connect(String),
    Tls(String),
    Answer(String),
}

/// A client with its own memory of tickets, so that a connection resumes the one before it.
pub struct Slot {
    config: Arc<ClientConfig>,
    port: u16,
    request: Vec<u8>,
    body: Vec<u8>,
    received: Vec<u8>,
}

impl Slot {
    pub fn new(arguments: &Arguments, trusted: &str) -> Result<Slot, String> {
        let Arguments {
            port,
            path,
            body_bytes,
            ..
        } = arguments;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
        Ok(Slot {
            config: Arc::new(client_config(trusted, arguments.resume)?),
            port: *port,
            request: request.into_bytes(),
            body: (b'a'..=b'z').cycle().take(*body_bytes).collect(),
            received: Vec::new(),
        })
    }

    /// Connects until `deadline`, or until something is wrong: that makes the run worthless.
    pub fn run_until(&mut self, deadline: Instant) -> Report {
        let mut report = Report::default();
        while Instant::now() < deadline {
            let began = Instant::now();
            match self.exchange() {
                Ok(kind) => {
                    let is_resumed = kind == HandshakeKind::Resumed;
                    report.count(is_resumed, began.elapsed(), self.received.len());
                }
                Err(fault) => {
                    report.fault(fault);
                    break;
                }
            }
        }
        report
    }

    /// One connection from its first packet to the end that the server makes.
    fn exchange(&mut self) -> Result<HandshakeKind, Fault> {
        let mut socket = connect(self.port).map_err(|error| Fault::Connect(error.to_string()))?;
        let name = ServerName::try_from("localhost").expect("it is a valid name");
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name)
            .map_err(|error| Fault::Tls(error.to_string()))?;
        let mut stream = Stream::new(&mut connection, &mut socket);
        self.received.clear();
        // The first write makes the handshake.
        stream.write_all(&self.request).map_err(tls_fault)?;
        let bound = HEAD_BYTES_MAX + self.body.len();
        stream
            .take(bound as u64)
            .read_to_end(&mut self.received)
            .map_err(tls_fault)?;
        self.check_answer()?;
        connection
            .handshake_kind()
            .ok_or_else(|| Fault::Tls("the handshake did not end".to_owned()))
    }

    fn check_answer(&self) -> Result<(), Fault> {
        let wrong = |what: &str| {
            let start = &self.received[..self.received.len().min(300)];
            Err(Fault::Answer(format!("{what}: {}", start.escape_ascii())))
        };
        if !self.received.starts_with(b"HTTP/1.1 200 ") {
            return wrong("status");
        }
        let end = b"\r\n\r\n";
        let Some(at) = self.received.windows(4).position(|window| window == end) else {
            return wrong("no end of the head");
        };
        if self.received[at + end.len()..] != self.body {
            return wrong("body");
        }
        Ok(())
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    Ok(socket)
}

/// An end without a close_notify is an error too (RFC 8446 §6.1): an answer might be cut off.
fn tls_fault(error: io::Error) -> Fault {
    Fault::Tls(error.to_string())
}

/// TLS 1.3 with the suite and the group that all clients of the comparison offer alone.
fn client_config(trusted: &str, resume: bool) -> Result<ClientConfig, String> {
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    provider.kx_groups = vec![ring::kx_group::X25519];
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(trusted.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("--trust: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("--trust: {error}"))?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the suite is of TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = if resume {
        Resumption::in_memory_sessions(TICKETS)
    } else {
        Resumption::disabled()
    };
    Ok(config)
}
