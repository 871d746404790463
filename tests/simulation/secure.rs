//! TLS under simulation: the server's certificate, its clients, and scripts spoken over TLS.

use std::future::poll_fn;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use downpour::engine::sim::{ClientScript, Random, Step};
use downpour::tls::{
    ClientAuth, LeastVersion, PairFiles, Sources, TlsServer, TlsSettings, UnknownName, load,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{ClientConfig, RootCertStore};

use crate::driver::Driver;
use crate::wire::Wire;

/// Seconds: `Date` at the beginning of every simulation.
const NOW: u64 = 2_000_000_000;

/// A certificate for `sim.test`. Its key is Ed25519: the length of a signature is always the same,
/// so that a handshake has the same length in each run of a seed.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBOzCB7qADAgECAgERMAUGAytlcDATMREwDwYDVQQDDAhzaW0udGVzdDAgFw0y
NjExMjMxMDU2MThaGA8yMTI2MTAzMDEwNTYxOFowEzERMA8GA1UEAwwIc2ltLnRl
c3QwKjAFBgMrZXADIQDAlzlbgaJABkb1F8ObVnd22PO/L8fLGLoMcNAoFrg9caNl
MGMwHQYDVR0OBBYEFLUo1ChZgyxr7HFJrclEDVE/Az0tMB8GA1UdIwQYMBaAFLUo
1ChZgyxr7HFJrclEDVE/Az0tMBMGA1UdEQQMMAqCCHNpbS50ZXN0MAwGA1UdEwEB
/wQCMAAwBQYDK2VwA0EABtPq3BeEVo6szh32Hs/8lXFG3HUl66AkIyaEbiQ00AW1
fhmQm0N02iHxyP6s9SUwfYqB9CwtSPF1aSPDHrnIDw==
-----END CERTIFICATE-----
";
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIPHrWVaODLQtX3phvGHuz3q9ljfpb1+/mfbURg+8jDka
-----END PRIVATE KEY-----
";

/// The server's side; its files are written into `directory`.
pub(crate) fn server(directory: &Path) -> TlsServer {
    let pair = PairFiles {
        certificate: directory.join("sim.pem"),
        key: directory.join("sim.key"),
    };
    std::fs::write(&pair.certificate, CERTIFICATE).unwrap();
    std::fs::write(&pair.key, KEY).unwrap();
    std::fs::set_permissions(&pair.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let sources = Sources {
        pairs: vec![pair],
        ..Sources::default()
    };
    let settings = TlsSettings {
        http2: true,
        least_version: LeastVersion::Tls12,
        client_auth: ClientAuth::Optional,
        unknown_name: UnknownName::Refused,
        key_log: None,
    };
    let credentials = load(&sources, NOW).expect("the files are right");
    TlsServer::new(settings, credentials, NOW).expect("the settings are right")
}

/// How clients speak TLS; tickets that one has got serve the next.
pub(crate) struct ClientConfigs {
    /// TLS 1.3 and 1.2, each for HTTP/1.1.
    http1: [Arc<ClientConfig>; 2],
    /// The same for HTTP/2.
    http2: [Arc<ClientConfig>; 2],
}

impl ClientConfigs {
    pub(crate) fn new() -> ClientConfigs {
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let configs = |protocol: &[u8]| {
            versions.map(|version| {
                let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
                let mut roots = RootCertStore::empty();
                roots.add(certificate).unwrap();
                let provider = Arc::new(default_provider());
                let mut config = ClientConfig::builder_with_details(provider, Arc::new(Clock))
                    .with_protocol_versions(&[version])
                    .unwrap()
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                config.alpn_protocols = vec![protocol.to_vec()];
                Arc::new(config)
            })
        };
        ClientConfigs {
            http1: configs(b"http/1.1"),
            http2: configs(b"h2"),
        }
    }

    pub(crate) fn http1(&self, random: &mut Random) -> Arc<ClientConfig> {
        Arc::clone(&self.http1[random.below(2) as usize])
    }

    pub(crate) fn http2(&self, random: &mut Random) -> Arc<ClientConfig> {
        Arc::clone(&self.http2[random.below(2) as usize])
    }
}

/// It stands: nothing here lives long enough to expire.
#[derive(Debug)]
struct Clock;

impl rustls::time_provider::TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(NOW)))
    }
}

/// Follows a script as the engine does, but over TLS.
pub(crate) async fn follow(driver: Driver, wire: Wire, script: ClientScript) {
    for step in script {
        match step {
            Step::Send(bytes) => wire.write(&bytes),
            Step::SendMade(make) => {
                let bytes = wire.look(make);
                wire.write(&bytes);
            }
            Step::SendInPieces {
                bytes,
                piece_max,
                pause,
            } => {
                for piece in bytes.chunks(piece_max.max(1)) {
                    wire.write(piece);
                    driver.pause(pause).await;
                }
            }
            Step::Until(mut enough) => {
                let is_enough = poll_fn(|_| match wire.look(&mut enough) {
                    true => Poll::Ready(true),
                    false if wire.is_over() => Poll::Ready(false),
                    false => Poll::Pending,
                });
                if !is_enough.await {
                    break;
                }
            }
            Step::UntilEnd => {
                poll_fn(|_| match wire.look(|_| wire.client().is_closed()) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                })
                .await;
            }
            Step::Pause(pause) => driver.pause(pause).await,
            Step::Read(reading) => wire.client().reads(reading),
            Step::HalfClose => {
                poll_fn(|_| match wire.look(|_| wire.is_handshaking()) {
                    true if !wire.is_over() => Poll::Pending,
                    _ => Poll::Ready(()),
                })
                .await;
                wire.half_close();
            }
            Step::Close => break,
            Step::Reset => wire.client().reset(),
            Step::Vanish => wire.client().vanish(),
        }
    }
    wire.half_close();
    wire.client().close();
}
