//! A TLS client in memory, for tests and fuzz bodies.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use super::{Agreed, Session, TlsFault, server};

/// Anything later than the year 2024 in which the certificates of tests are in force.
pub(super) const NOW: u64 = 1_800_000_000;

/// A client that trusts `root` and speaks one version.
pub(super) fn client_config(
    root: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    client_config_with(root, version, server::provider())
}

/// The same with other cryptography.
pub(super) fn client_config_with(
    root: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    provider: Arc<CryptoProvider>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).expect("a certificate of ours");
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(At(NOW)))
        .with_protocol_versions(&[version])
        .expect("the provider has ciphers for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A clock that stands.
#[derive(Debug)]
pub(super) struct At(pub(super) u64);

impl rustls::time_provider::TimeProvider for At {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let since = std::time::Duration::from_secs(self.0);
        Some(rustls::pki_types::UnixTime::since_unix_epoch(since))
    }
}

/// A client and what it has heard.
pub(super) struct Peer {
    pub(super) tls: ClientConnection,
    pub(super) heard: Vec<u8>,
}

impl Peer {
    pub(super) fn new(config: &Arc<ClientConfig>, name: &str) -> Peer {
        let name = ServerName::try_from(name.to_owned()).expect("a name of ours");
        Peer {
            tls: ClientConnection::new(Arc::clone(config), name).expect("the settings are right"),
            heard: Vec::new(),
        }
    }

    /// What it sends now.
    pub(super) fn output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).expect("a Vec takes all");
        }
        bytes
    }

    /// Takes what the server sent.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), rustls::Error> {
        while !bytes.is_empty() {
            let taken = self.tls.read_tls(&mut bytes).expect("a slice is read");
            self.tls.process_new_packets()?;
            let mut piece = [0; 4096];
            loop {
                match self.tls.reader().read(&mut piece) {
                    Ok(0) => break,
                    Ok(len) => self.heard.extend_from_slice(&piece[..len]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("the client cannot read: {error}"),
                }
            }
            if taken == 0 {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn say(&mut self, bytes: &[u8]) {
        // A client takes 64 KiB at once.
        self.tls.writer().write_all(bytes).expect("it has room");
    }
}

/// The server's side of a connection: what has not been consumed, and what was said.
pub(super) struct Served {
    pub(super) session: Session,
    pub(super) unread: Vec<u8>,
    pub(super) out: Vec<u8>,
    pub(super) plain: Vec<u8>,
    pub(super) said_h2: bool,
    pub(super) closed: bool,
}

impl Served {
    pub(super) fn new(session: Session) -> Served {
        Served {
            session,
            unread: Vec::new(),
            out: Vec::new(),
            plain: Vec::new(),
            said_h2: false,
            closed: false,
        }
    }

    /// Gives it bytes in pieces, as a connection does.
    pub(super) fn give(&mut self, bytes: &[u8], piece: usize) -> Result<(), TlsFault> {
        for bytes in bytes.chunks(piece.max(1)) {
            self.unread.extend_from_slice(bytes);
            let (plain, said_h2) = (&mut self.plain, &mut self.said_h2);
            let heard = |agreed: Agreed<'_>, bytes: &[u8]| {
                plain.extend_from_slice(bytes);
                *said_h2 = agreed.is_h2;
            };
            let read = self.session.read(&mut self.unread, &mut self.out, heard)?;
            self.unread.drain(..read.consumed);
            self.closed |= read.closed;
        }
        Ok(())
    }

    /// Lets both speak until neither has anything to say. An error is the client's.
    pub(super) fn converse(
        &mut self,
        peer: &mut Peer,
    ) -> Result<Result<(), TlsFault>, rustls::Error> {
        loop {
            let sent = peer.output();
            let heard = self.give(&sent, usize::MAX);
            let answer = std::mem::take(&mut self.out);
            peer.take(&answer)?;
            if heard.is_err() || sent.is_empty() && answer.is_empty() {
                return Ok(heard);
            }
        }
    }
}
