//! The checked settings of TLS and HTTP/2: what their flags agree on.

use std::path::PathBuf;

use super::tls_args::{HttpsRedirect, TlsArgs};
use super::{Listen, StartError};
use crate::tls::{ClientAuth, LeastVersion, PairFiles, Sources, UnknownName};

/// How TLS is spoken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Where to listen for it; never empty.
    pub listen: Vec<Listen>,
    /// The files of certificates and keys; without pairs, `self_signed` is set.
    pub sources: Sources,
    /// Names of the certificate that is made at the start; empty for those of this machine.
    pub self_signed: Option<Vec<String>>,
    pub client_auth: ClientAuth,
    pub least_version: LeastVersion,
    pub unknown_name: UnknownName,
    /// Where secrets are written to.
    pub key_log: Option<PathBuf>,
    /// The value of `Strict-Transport-Security`.
    pub hsts: Option<String>,
}

/// How HTTP/2 is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Config {
    /// Streams of one connection at a time.
    pub streams_max: u32,
}

/// What `--security-headers` says of `--hsts`: a year.
const CAREFUL_HSTS: &str = "max-age=31536000";

/// `None` when no place for TLS is named. `is_careful`: every site asks for `--security-headers`.
pub(super) fn check(
    args: &TlsArgs,
    listen: Vec<Listen>,
    is_careful: bool,
) -> Result<Option<TlsConfig>, StartError> {
    if listen.is_empty() {
        return match args.first_flag() {
            None => Ok(None),
            Some(flag) => Err(StartError::usage(
                format!("{flag} means nothing without --tls-listen"),
                "say where to listen for HTTPS, as in --tls-listen [::]:443",
            )),
        };
    }
    if args.tls_client_auth.is_some() && args.tls_client_ca.is_none() {
        return Err(StartError::usage(
            "--tls-client-auth needs to know whose certificates are valid",
            "name the file with the certificates of their issuers: --tls-client-ca FILE",
        ));
    }
    let self_signed = self_signed(&args.self_signed);
    let path = |text: &String| PathBuf::from(text);
    Ok(Some(TlsConfig {
        listen,
        sources: Sources {
            pairs: pairs(args, self_signed.is_some())?,
            client_authorities: args.tls_client_ca.as_ref().map(path),
            ticket_keys: args.tls_ticket_keys.iter().map(path).collect(),
        },
        self_signed,
        client_auth: args.tls_client_auth.unwrap_or(ClientAuth::Required),
        least_version: args.tls_min_version,
        unknown_name: match args.tls_sni_strict {
            true => UnknownName::Refused,
            false => UnknownName::Default,
        },
        key_log: args.tls_keylog.as_ref().map(path),
        hsts: args
            .hsts
            .clone()
            .or_else(|| is_careful.then(|| CAREFUL_HSTS.to_owned())),
    }))
}

impl TlsArgs {
    /// The first flag that only TLS gives a meaning.
    fn first_flag(&self) -> Option<&'static str> {
        let given = [
            (!self.tls_cert.is_empty(), "--tls-cert"),
            (!self.tls_key.is_empty(), "--tls-key"),
            (self_signed(&self.self_signed).is_some(), "--self-signed"),
            (self.tls_client_ca.is_some(), "--tls-client-ca"),
            (self.tls_client_auth.is_some(), "--tls-client-auth"),
            (!self.tls_ticket_keys.is_empty(), "--tls-ticket-keys"),
            (self.tls_keylog.is_some(), "--tls-keylog"),
            (self.hsts.is_some(), "--hsts"),
        ];
        given
            .iter()
            .find(|(is_given, _)| *is_given)
            .map(|(_, flag)| *flag)
    }
}

/// `--self-signed` alone comes as `true`.
fn self_signed(values: &[String]) -> Option<Vec<String>> {
    let last = values.last()?;
    if last == "false" {
        return None;
    }
    let names = values
        .iter()
        .filter(|name| !matches!(name.as_str(), "true" | "false"));
    Some(names.cloned().collect())
}

fn pairs(args: &TlsArgs, is_self_signed: bool) -> Result<Vec<PairFiles>, StartError> {
    let (certificates, keys) = (&args.tls_cert, &args.tls_key);
    match (certificates.len(), keys.len()) {
        (0, 0) if is_self_signed => Ok(Vec::new()),
        (0, 0) => Err(StartError::usage(
            "--tls-listen needs a certificate",
            "name one with --tls-cert FILE --tls-key FILE, or have one made for trying things out: \
             --self-signed",
        )),
        (_, _) if is_self_signed => Err(StartError::usage(
            "--self-signed and --tls-cert are two ways to get a certificate",
            "choose one of them",
        )),
        (some, 0) if some > 0 => Ok(certificates.iter().map(|file| pair(file, file)).collect()),
        (some, same) if some == same => {
            let pairs = certificates.iter().zip(keys);
            Ok(pairs
                .map(|(certificate, key)| pair(certificate, key))
                .collect())
        }
        (some, others) => Err(StartError::usage(
            format!("there are {some} of --tls-cert and {others} of --tls-key"),
            "give each certificate its key, in the same order",
        )),
    }
}

fn pair(certificate: &str, key: &str) -> PairFiles {
    PairFiles {
        certificate: certificate.into(),
        key: key.into(),
    }
}

/// Holds `--https-redirect` against the listeners: somebody must speak plain HTTP, and the port of
/// HTTPS must be known.
pub(super) fn check_redirect(
    redirect: HttpsRedirect,
    plain: &[Listen],
    tls: Option<&TlsConfig>,
) -> Result<(), StartError> {
    if redirect == HttpsRedirect::Off {
        return Ok(());
    }
    if plain.is_empty() {
        return Err(StartError::usage(
            "--https-redirect means nothing where nobody listens for plain HTTP",
            "add the port that is to be redirected, as in --port 80",
        ));
    }
    let port_is_known = match (redirect, tls.and_then(|tls| tls.listen.first())) {
        (HttpsRedirect::Port(_), _) => true,
        (_, Some(Listen::Unix(_)) | None) => false,
        (_, Some(_)) => true,
    };
    match port_is_known {
        true => Ok(()),
        false => Err(StartError::usage(
            "--https-redirect does not know the port of HTTPS",
            "add --tls-listen [::]:443, or say the port that clients reach it at: \
             --https-redirect=443",
        )),
    }
}
