//! Which certificate a client gets: by the name it asks for, then by what it can verify.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::SignatureAlgorithm;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificates::Certificate;
use super::server::UnknownName;

/// Certificates that serve one name, the cheapest to sign with first.
type Choices = Vec<Arc<CertifiedKey>>;

/// Certificates by name.
pub(super) struct Names {
    exact: HashMap<Box<str>, Choices>,
    /// `*.example.org` stands under `example.org`: the star is exactly one label (RFC 9525 §6.3).
    below: HashMap<Box<str>, Choices>,
    /// For clients that name nobody, or nobody we know.
    default: Choices,
    unknown: UnknownName,
}

impl Names {
    /// The first certificate, and others for a name of its, are the default.
    pub(super) fn new(certificates: &[Certificate], unknown: UnknownName) -> Names {
        let mut names = Names {
            exact: HashMap::new(),
            below: HashMap::new(),
            default: Vec::new(),
            unknown,
        };
        for certificate in certificates {
            for name in &certificate.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut names.below, parent),
                    None => (&mut names.exact, &**name),
                };
                let choices = map.entry(name.into()).or_default();
                choices.push(Arc::clone(&certificate.key));
            }
        }
        if let Some(first) = certificates.first() {
            let shares_a_name = |other: &&Certificate| {
                std::ptr::eq(*other, first)
                    || other.names.iter().any(|name| first.names.contains(name))
            };
            let default = certificates.iter().filter(shares_a_name);
            names.default = default.map(|found| Arc::clone(&found.key)).collect();
        }
        let maps = [&mut names.exact, &mut names.below];
        for choices in maps.into_iter().flat_map(HashMap::values_mut) {
            choices.sort_by_key(cost);
        }
        names.default.sort_by_key(cost);
        names
    }

    fn choices(&self, name: Option<&str>) -> Option<&Choices> {
        let found = name.and_then(|name| {
            let name = name.strip_suffix('.').unwrap_or(name);
            let parent = || name.split_once('.').map(|(_, parent)| parent);
            let below = || parent().and_then(|parent| self.below.get(parent));
            self.exact.get(name).or_else(below)
        });
        match (found, self.unknown) {
            (None, UnknownName::Default) => Some(&self.default),
            (found, _) => found,
        }
    }

    /// The certificate for a client that asks for `name` (in small letters) and verifies `schemes`.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&Arc<CertifiedKey>> {
        let choices = self.choices(name)?;
        let fits = |choice: &&Arc<CertifiedKey>| choice.key.choose_scheme(schemes).is_some();
        // Where none fits, rustls finds that out and says it with the right alert.
        choices.iter().find(fits).or_else(|| choices.first())
    }
}

/// A signature with P-256 costs a server a tenth of one with RSA.
fn cost(choice: &Arc<CertifiedKey>) -> u8 {
    match choice.key.algorithm() {
        SignatureAlgorithm::ECDSA => 0,
        SignatureAlgorithm::ED25519 => 1,
        _ => 2,
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
            .map(Arc::clone)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys stand behind the names.
        let names = self.exact.keys().chain(self.below.keys());
        out.debug_list().entries(names).finish()
    }
}
