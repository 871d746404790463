//! Certificates for servers, and clients that trust them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::client::{Client, connect_tcp};
use crate::http2_client::Http2;
use crate::rig::{Engine, Server, Site};

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Both versions.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// A certificate for `localhost` and its key, in files.
pub(crate) struct Keys {
    scratch: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

impl Keys {
    pub(crate) fn new() -> Keys {
        let scratch = tempfile::tempdir().unwrap();
        let certificate = write_pair(&scratch);
        Keys {
            scratch,
            certificate,
        }
    }

    /// Puts another certificate into their place.
    pub(crate) fn renew(&mut self) {
        self.certificate = write_pair(&self.scratch);
    }

    pub(crate) fn certificate_path(&self) -> PathBuf {
        self.scratch.path().join("a.pem")
    }

    /// A server of HTTP and of HTTPS.
    pub(crate) fn server(&self, engine: Engine, site: &Site, flags: &[&str]) -> Server {
        let [certificate, key] = ["a.pem", "a.key"].map(|name| self.scratch.path().join(name));
        let files = [
            "--tls-cert",
            certificate.to_str().unwrap(),
            "--tls-key",
            key.to_str().unwrap(),
        ];
        let place = ["--tls-listen", "127.0.0.1:0"];
        Server::of(engine, site, &[&place[..], &files, flags].concat())
    }

    /// What a client that trusts the certificate says of itself.
    pub(crate) fn config(
        &self,
        version: &'static SupportedProtocolVersion,
        protocol: &str,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[version]).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Arc::new(config)
    }

    pub(crate) fn http1(&self, server: &Server) -> Client<Stream> {
        let config = self.config(&rustls::version::TLS13, "http/1.1");
        Client::new(stream(&config, connect_tcp(server.tls_address())))
    }

    pub(crate) fn http2(&self, server: &Server) -> Http2<Stream> {
        let config = self.config(&rustls::version::TLS13, "h2");
        Http2::begin(stream(&config, connect_tcp(server.tls_address())), &[])
    }
}

fn write_pair(scratch: &tempfile::TempDir) -> CertificateDer<'static> {
    use std::os::unix::fs::PermissionsExt;
    let key = KeyPair::generate().unwrap();
    let wanted = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let made = wanted.self_signed(&key).unwrap();
    for (name, text) in [("a.key", key.serialize_pem()), ("a.pem", made.pem())] {
        // Moved into its place whole, as tools do that renew certificates.
        let fresh = scratch.path().join("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::set_permissions(&fresh, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::rename(fresh, scratch.path().join(name)).unwrap();
    }
    made.der().clone()
}

/// The client's side of a new connection.
pub(crate) fn session(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = "localhost".try_into().unwrap();
    ClientConnection::new(Arc::clone(config), name).unwrap()
}

/// A connection whose handshake runs with its first bytes.
pub(crate) fn stream(config: &Arc<ClientConfig>, socket: TcpStream) -> Stream {
    StreamOwned::new(session(config), socket)
}

/// What the session wants to send now.
pub(crate) fn output(session: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Sends bytes in pieces that end at these places.
pub(crate) fn send_in_pieces(socket: &mut TcpStream, bytes: &[u8], cuts: &[usize]) {
    let mut from = 0;
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        let cut = cut.min(bytes.len());
        socket.write_all(&bytes[from..cut]).unwrap();
        from = cut;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Reads once from the socket into the session; false at the end of the connection.
pub(crate) fn take(session: &mut ClientConnection, socket: &mut TcpStream) -> bool {
    match session.read_tls(socket) {
        Ok(0) => false,
        Ok(_) => {
            session.process_new_packets().unwrap();
            true
        }
        Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
        Err(error) => panic!("{error}"),
    }
}

/// What came decrypted so far.
pub(crate) fn heard(session: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    match session.reader().read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => panic!("{error}"),
    }
    bytes
}
