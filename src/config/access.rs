//! What the flags and tables say about access: texts and values, one [`AccessTexts`] for each site.
//!
//! The texts are right by themselves; who compiles them reads the files that they name, too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access_args::ServerAccessArgs;
use super::access_texts::{networks_of, says_who_writes};
use super::rule_table::{RuleTable, last_counts};
use super::site_args::SiteArgs;
use super::{SiteWriting, StartError};
use crate::access::address::ForwardedBy;
use crate::base::limits::SITE_RULES_MAX;

/// What is said about the access to one site. Of each list the later rule wins: what holds for all
/// sites stands before what a site says itself, and flags before tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessTexts {
    /// `[GLOB ]ORIGIN…[; PART…]`
    pub cors: Vec<String>,
    /// `[GLOB ]read=WHO write=WHO`
    pub access: Vec<String>,
    /// `[GLOB ]RATE[ burst=COUNT][ by=KEY]`
    pub limits: Vec<String>,
    /// `[GLOB ]NETWORK…`
    pub allow: Vec<String>,
    /// `[GLOB ]NETWORK…`
    pub deny: Vec<String>,
    /// `[GLOB ]URL`
    pub forward_auth: Vec<String>,
    /// Names of fields.
    pub forward_auth_copy: Vec<String>,
    pub credentials: CredentialTexts,
    pub writing: SiteWriting,
}

/// How users are known. Paths are absolute; the files have not been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialTexts {
    pub users: Option<PathBuf>,
    pub tokens: Option<PathBuf>,
    pub jwt_keys: Vec<PathBuf>,
    pub jwt_secrets: Vec<PathBuf>,
    /// One of them must be meant; empty for anybody.
    pub jwt_audiences: Vec<String>,
    /// One of them must have made it; empty for anybody.
    pub jwt_issuers: Vec<String>,
    pub jwt_leeway: Duration,
    pub jwt_user_claim: String,
    /// Needs no escapes between quotes.
    pub realm: String,
    pub has_certificate_users: bool,
}

/// What holds for all sites and connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAccess {
    /// Networks, one each.
    pub trusted_proxies: Vec<String>,
    pub forwarded_by: ForwardedBy,
    /// Every connection begins with the header of the PROXY protocol.
    pub has_proxy_protocol: bool,
    pub requests_in_flight_max: Option<usize>,
    pub connections_per_address_max: Option<usize>,
    /// Of one connection, a second.
    pub send_bytes_max: Option<u64>,
    /// Of all that limits count.
    pub limit_bytes_max: u64,
}

impl CredentialTexts {
    /// True when nobody is known.
    pub fn is_empty(&self) -> bool {
        let has_files = self.users.is_some() || self.tokens.is_some() || self.has_jwt();
        !has_files && !self.has_certificate_users
    }

    fn has_jwt(&self) -> bool {
        !self.jwt_keys.is_empty() || !self.jwt_secrets.is_empty()
    }
}

impl AccessTexts {
    /// Puts what flags and keys say together with the tables of the file, as
    /// [`RuleTexts`](super::RuleTexts) does.
    pub(super) fn new(args: &SiteArgs, of_all: &[RuleTable], of_site: &[RuleTable]) -> AccessTexts {
        let said = |key: &'static str, texts: &[String]| last_counts(key, texts, of_all, of_site);
        let (access, writing) = (&args.access, &args.writing);
        AccessTexts {
            cors: said("cors", &access.cors),
            access: said("access", &access.access),
            limits: said("limit", &access.limit),
            allow: said("allow", &access.allow),
            deny: said("deny", &access.deny),
            forward_auth: said("forward-auth", &access.forward_auth),
            forward_auth_copy: access.forward_auth_copy.clone(),
            credentials: CredentialTexts {
                users: access.users.as_deref().map(absolute),
                tokens: access.tokens.as_deref().map(absolute),
                jwt_keys: access.jwt_key.iter().map(|file| absolute(file)).collect(),
                jwt_secrets: access
                    .jwt_secret
                    .iter()
                    .map(|file| absolute(file))
                    .collect(),
                jwt_audiences: access.jwt_audience.clone(),
                jwt_issuers: access.jwt_issuer.clone(),
                jwt_leeway: access.jwt_leeway,
                jwt_user_claim: access.jwt_user_claim.clone(),
                realm: access.realm.clone(),
                has_certificate_users: access.client_cert_users,
            },
            writing: SiteWriting::new(writing, said("writable", &writing.writable)),
        }
    }

    /// Holds what is said against itself.
    pub(super) fn check(&self) -> Result<(), StartError> {
        for (flag, texts) in [
            ("--cors", &self.cors),
            ("--access", &self.access),
            ("--limit", &self.limits),
            ("--allow", &self.allow),
            ("--deny", &self.deny),
            ("--forward-auth", &self.forward_auth),
            ("--writable", &self.writing.writable),
        ] {
            if texts.len() > SITE_RULES_MAX {
                return Err(StartError::usage(
                    format!("{flag} is said {} times for one site", texts.len()),
                    format!("a site has at most {SITE_RULES_MAX} rules of a kind"),
                ));
            }
        }
        let names_certificates = |text: &String| text.contains("=cert:") || text.contains(",cert:");
        if self.access.iter().any(names_certificates) && !self.credentials.has_certificate_users {
            return Err(StartError::usage(
                "--access names a certificate, and certificates of clients stand for nobody",
                "say that they stand for users: --client-cert-users",
            ));
        }
        let is_open = !self.access.iter().any(|text| says_who_writes(text));
        if is_open && !self.writing.writable.is_empty() && !self.writing.allows_anonymous {
            return Err(StartError::usage(
                "--writable lets clients write, and nothing says which ones",
                "say who may, as in --access 'write=WHO', or that anybody may: \
                 --allow-anonymous-writes",
            ));
        }
        Ok(())
    }
}

/// Says of a flag that no site gives a meaning. What holds for all sites may mean nothing to some.
pub(super) fn check_meaning(
    sites: &[AccessTexts],
    has_client_authorities: bool,
) -> Result<(), StartError> {
    let any = |is_said: fn(&AccessTexts) -> bool| sites.iter().any(is_said);
    let has_keys = any(|site| site.credentials.has_jwt());
    let is_asked = any(|site| !site.forward_auth.is_empty());
    let nothing = [
        (
            any(|site| !site.credentials.jwt_audiences.is_empty()) && !has_keys,
            "--jwt-audience means nothing without --jwt-key",
            "name the key that tokens are signed with: --jwt-key FILE",
        ),
        (
            any(|site| !site.credentials.jwt_issuers.is_empty()) && !has_keys,
            "--jwt-issuer means nothing without --jwt-key",
            "name the key that tokens are signed with: --jwt-key FILE",
        ),
        (
            any(|site| !site.forward_auth_copy.is_empty()) && !is_asked,
            "--forward-auth-copy means nothing without --forward-auth",
            "say who is asked, as in --forward-auth http://127.0.0.1:9000/verify",
        ),
        (
            any(|site| site.credentials.has_certificate_users) && !has_client_authorities,
            "--client-cert-users means nothing without --tls-client-ca",
            "name the file with the certificates of their issuers: --tls-client-ca FILE",
        ),
    ];
    match nothing.iter().find(|(is_nothing, ..)| *is_nothing) {
        Some((_, what, remedy)) => Err(StartError::usage(*what, *remedy)),
        None => Ok(()),
    }
}

impl ServerAccess {
    pub(super) fn new(args: &ServerAccessArgs) -> ServerAccess {
        let networks = args
            .trusted_proxies
            .iter()
            .flat_map(|text| networks_of(text));
        ServerAccess {
            trusted_proxies: networks.map(str::to_owned).collect(),
            forwarded_by: args.forwarded_by,
            has_proxy_protocol: args.proxy_protocol,
            requests_in_flight_max: args.max_in_flight.0,
            connections_per_address_max: args.max_connections_per_address.0,
            send_bytes_max: args.send_rate.0,
            limit_bytes_max: args.limit_memory,
        }
    }
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
