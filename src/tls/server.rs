//! What all workers share: certificates, tickets and the rules of the handshake.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::{CipherSuite, KeyLog, NoKeyLog, ServerConfig, SupportedCipherSuite};

use super::TlsError;
use super::certificates::Credentials;
use super::client_auth::Authorities;
use super::key_log::KeyLogFile;
use super::names::Names;
use super::tickets::{Ticketer, Tickets};

/// Tickets that a client of TLS 1.3 gets. One is what a client that comes back uses; a browser that
/// opens several connections at once gets one on each.
const TICKETS_SENT: usize = 1;

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Without a valid one there is no connection.
    Required,
    /// One that is shown must be valid.
    Optional,
}

/// The oldest version that is spoken; the newest is 1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeastVersion {
    Tls12,
    Tls13,
}

/// What a client gets that names a host (or none) for which there is no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownName {
    /// The first certificate.
    Default,
    /// A fatal alert.
    Refused,
}

/// The rules of the handshake, which stay while the server runs.
#[derive(Debug)]
pub struct TlsSettings {
    /// Whether HTTP/2 is offered (ALPN `h2`).
    pub http2: bool,
    pub least_version: LeastVersion,
    /// Which client certificates are asked for, where there are authorities for them.
    pub client_auth: ClientAuth,
    pub unknown_name: UnknownName,
    /// Where the secrets of all connections are written to, if anywhere.
    pub key_log: Option<File>,
}

/// What all workers share. Certificates and tickets inside change as a whole, from one handshake to
/// the next; connections stay as they are.
#[derive(Clone)]
pub struct TlsServer {
    shared: Arc<Shared>,
}

struct Shared {
    configs: ArcSwap<Configs>,
    rules: Rules,
    tickets: Arc<Tickets>,
}

/// The rules as rustls takes them.
pub(super) struct Configs {
    /// For everybody.
    pub(super) aes_first: Arc<ServerConfig>,
    /// For clients without AES in hardware.
    pub(super) chacha_first: Arc<ServerConfig>,
}

struct Rules {
    provider: Arc<CryptoProvider>,
    provider_for_chacha: Arc<CryptoProvider>,
    http2: bool,
    least_version: LeastVersion,
    client_auth: ClientAuth,
    unknown_name: UnknownName,
    key_log: Arc<dyn KeyLog>,
}

/// The cryptography: X25519MLKEM768, X25519, P-256 and P-384 in the client's order of preference,
/// and ciphers that are all authenticated and forward secret, the cheapest first.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    })
}

/// The same ciphers for clients that would rather not have AES.
fn provider_for_chacha(provider: &CryptoProvider) -> Arc<CryptoProvider> {
    let mut provider = provider.clone();
    let is_chacha = |suite: &SupportedCipherSuite| {
        matches!(
            suite.suite(),
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        )
    };
    provider
        .cipher_suites
        .sort_by_key(|suite| !is_chacha(suite));
    Arc::new(provider)
}

impl TlsServer {
    /// `unix_seconds`: now.
    pub fn new(
        settings: TlsSettings,
        credentials: Credentials,
        unix_seconds: u64,
    ) -> Result<TlsServer, TlsError> {
        let provider = provider();
        let rules = Rules {
            provider_for_chacha: provider_for_chacha(&provider),
            provider,
            http2: settings.http2,
            least_version: settings.least_version,
            client_auth: settings.client_auth,
            unknown_name: settings.unknown_name,
            key_log: match settings.key_log {
                Some(file) => Arc::new(KeyLogFile::new(file)),
                None => Arc::new(NoKeyLog),
            },
        };
        let mut credentials = credentials;
        let keys = credentials.ticket_keys.take();
        let tickets = Arc::new(Tickets::new(keys, unix_seconds)?);
        let configs = ArcSwap::from_pointee(rules.configs(&credentials, &tickets)?);
        Ok(TlsServer {
            shared: Arc::new(Shared {
                configs,
                rules,
                tickets,
            }),
        })
    }

    /// Takes other credentials from the next handshake on; connections stay. On an error everything
    /// is as before.
    pub fn replace(&self, mut credentials: Credentials) -> Result<(), TlsError> {
        let Shared {
            configs,
            rules,
            tickets,
        } = &*self.shared;
        let fresh = rules.configs(&credentials, tickets)?;
        tickets.replace(credentials.ticket_keys.take())?;
        configs.store(Arc::new(fresh));
        Ok(())
    }

    /// Tells the time, once a second or so: tickets grow old, and random keys are made anew every
    /// twelve hours.
    pub fn rotate_tickets(&self, unix_seconds: u64) -> Result<(), TlsError> {
        self.shared.tickets.rotate(unix_seconds)
    }

    /// For the next handshake.
    pub(super) fn configs(&self) -> Guard<Arc<Configs>> {
        self.shared.configs.load()
    }
}

impl Rules {
    fn configs(
        &self,
        credentials: &Credentials,
        tickets: &Arc<Tickets>,
    ) -> Result<Configs, TlsError> {
        let names = Arc::new(Names::new(&credentials.certificates, self.unknown_name));
        let verifier = self.verifier(credentials.authorities.as_ref())?;
        let ticketer = Arc::new(Ticketer {
            tickets: Arc::clone(tickets),
            context: self.context(credentials.authorities.as_ref()),
        });
        let config = |provider: &Arc<CryptoProvider>| {
            let mut config = self.config(provider, verifier.clone(), Arc::clone(&names));
            config.ticketer = Arc::clone(&ticketer) as Arc<dyn ProducesTickets>;
            Arc::new(config)
        };
        Ok(Configs {
            aes_first: config(&self.provider),
            chacha_first: config(&self.provider_for_chacha),
        })
    }

    fn config(
        &self,
        provider: &Arc<CryptoProvider>,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
        names: Arc<Names>,
    ) -> ServerConfig {
        let versions: &[_] = match self.least_version {
            LeastVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            LeastVersion::Tls13 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)
            .expect("the provider has ciphers for both versions");
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(names);
        config.ignore_client_order = true;
        let protocols: &[&[u8]] = match self.http2 {
            true => &[b"h2", b"http/1.1"],
            false => &[b"http/1.1"],
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        // Tickets hold the session: no memory of ours grows with the number of clients.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = TICKETS_SENT;
        // Early data can be replayed by anybody (RFC 8446 §8).
        config.max_early_data_size = 0;
        config.key_log = Arc::clone(&self.key_log);
        config
    }

    fn verifier(
        &self,
        authorities: Option<&Authorities>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let verifier =
            |authorities: &Authorities| authorities.verifier(self.client_auth, &self.provider);
        authorities.map(verifier).transpose()
    }

    /// Who is asked for a certificate, and by whom it must be issued.
    fn context(&self, authorities: Option<&Authorities>) -> [u8; 33] {
        let mut context = [0; 33];
        if let Some(authorities) = authorities {
            context[0] = match self.client_auth {
                ClientAuth::Optional => 1,
                ClientAuth::Required => 2,
            };
            context[1..].copy_from_slice(&authorities.digest);
        }
        context
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TlsServer")
    }
}
