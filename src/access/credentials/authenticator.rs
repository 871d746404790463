//! Says whose credential it is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::authorization::{Presented, UserPass, presented};
use super::identity::Identity;
use super::jwt::Jwt;
use super::remembered::{Fingerprint, Remembered, Term};
use super::settings::{AuthSettings, check_realm};
use super::tokens::Tokens;
use super::users::Users;
use super::wrong::{Challenges, Scheme, Wrong};
use crate::base::Now;

const BASIC: &[u8] = b"basic ";
const BEARER: &[u8] = b"bearer ";

/// Whom a site knows. Shared by all workers; it does not change but for what it remembers: where
/// a file has changed, another takes its place.
pub struct Authenticator {
    users: Users,
    tokens: Tokens,
    jwt: Option<Jwt>,
    remembered: Remembered,
    remembered_for: Duration,
    challenges: Challenges,
    generation: u64,
}

/// What a request shows of who sends it.
#[derive(Debug)]
pub enum Credential {
    /// Nothing.
    None,
    /// This user sends it.
    Known(Arc<Identity>),
    /// Nobody that is known.
    Wrong(Wrong),
    /// It takes a while to say.
    Costly(Costly),
}

impl Authenticator {
    /// Reads all that it is made of. Faults name the file, and the line where there is one.
    pub fn new(settings: &AuthSettings) -> Result<Authenticator, String> {
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        let realm = check_realm(&settings.realm)?;
        let users = Users::parse(&settings.users)?;
        let tokens = Tokens::parse(&settings.tokens)?;
        let jwt = Jwt::new(settings)?;
        let takes_bearer = jwt.is_some() || !tokens.is_empty();
        Ok(Authenticator {
            challenges: Challenges::new(&realm, !users.is_empty(), takes_bearer),
            users,
            tokens,
            jwt,
            remembered: Remembered::new()?,
            remembered_for: settings.remembered,
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// Whom a request comes from, by its `Authorization` and, where it brings none of a scheme
    /// that is spoken here, by the subject of the certificate that was shown. Answers from memory;
    /// a JWT that was not seen lately costs the check of its signature.
    pub fn check(
        self: &Arc<Self>,
        authorization: Option<&[u8]>,
        client_certificate: Option<&str>,
        now: Now,
    ) -> Credential {
        match authorization.map(|value| self.check_field(value, now).0) {
            Some(Credential::Wrong(Wrong::UnknownScheme)) | None => {
                let unknown = authorization.map(|_| Wrong::UnknownScheme);
                self.check_certificate(client_certificate, unknown)
            }
            Some(credential) => credential,
        }
    }

    /// The values of `WWW-Authenticate`, each for a line of its own. Where only certificates are
    /// known there is none, and 403 to be sent instead of 401.
    pub fn challenge(&self, why: Option<Wrong>) -> &[String] {
        self.challenges.get(why)
    }

    /// Tells what one authenticator has found from what another has.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn check_certificate(
        &self,
        subject: Option<&str>,
        unknown: Option<Wrong>,
    ) -> Credential {
        match (subject.and_then(Identity::of_certificate), unknown) {
            (Some(identity), _) => Credential::Known(Arc::new(identity)),
            (None, Some(wrong)) => Credential::Wrong(wrong),
            (None, None) => Credential::None,
        }
    }

    /// How long what this moment has shown is good, where nothing else ends it.
    pub(super) fn term(&self, now: Now) -> Term {
        Term::new(now, self.remembered_for, u64::MAX)
    }

    /// The same for the field alone, and how long a known user stays known.
    pub(super) fn check_field(self: &Arc<Self>, value: &[u8], now: Now) -> (Credential, Term) {
        let wrong = |wrong| (Credential::Wrong(wrong), Term::NEVER);
        match presented(value) {
            Presented::Other(Wrong::Malformed(scheme)) if self.speaks(scheme) => {
                wrong(Wrong::Malformed(scheme))
            }
            Presented::Basic(token) if self.speaks(Scheme::Basic) => self.check_basic(token, now),
            Presented::Bearer(token) if self.speaks(Scheme::Bearer) => {
                match self.check_bearer(token, now) {
                    Ok((identity, term)) => (Credential::Known(identity), term),
                    Err(fault) => wrong(fault),
                }
            }
            _ => wrong(Wrong::UnknownScheme),
        }
    }

    fn speaks(&self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Basic => !self.users.is_empty(),
            Scheme::Bearer => self.jwt.is_some() || !self.tokens.is_empty(),
        }
    }

    fn check_basic(self: &Arc<Self>, token: &[u8], now: Now) -> (Credential, Term) {
        let wrong = |wrong| (Credential::Wrong(wrong), Term::NEVER);
        let Some(user_pass) = UserPass::decode(token) else {
            return wrong(Wrong::Malformed(Scheme::Basic));
        };
        let fingerprint = self.remembered.fingerprint(BASIC, user_pass.whole());
        if let Some((identity, term)) = self.remembered.known(&fingerprint, now) {
            return (Credential::Known(identity), term);
        }
        if self.remembered.is_refused(&fingerprint, now) {
            return wrong(Wrong::SameAgain(Scheme::Basic));
        }
        let costly = Costly {
            authenticator: Arc::clone(self),
            user_pass,
            fingerprint,
            now,
        };
        (Credential::Costly(costly), Term::NEVER)
    }

    fn check_bearer(&self, token: &[u8], now: Now) -> Result<(Arc<Identity>, Term), Wrong> {
        if let Some(identity) = self.tokens.find(token) {
            return Ok((Arc::clone(identity), self.term(now)));
        }
        let fingerprint = self.remembered.fingerprint(BEARER, token);
        if let Some(found) = self.remembered.known(&fingerprint, now) {
            return Ok(found);
        }
        if self.remembered.is_refused(&fingerprint, now) {
            return Err(Wrong::SameAgain(Scheme::Bearer));
        }
        let bad = Wrong::BadCredential(Scheme::Bearer);
        let checked = match (&self.jwt, str::from_utf8(token)) {
            (Some(jwt), Ok(text)) if text.contains('.') => jwt.check(text, now.unix_seconds),
            _ => Err(bad),
        };
        match checked {
            Ok((identity, ends)) => {
                let identity = Arc::new(identity);
                let term = Term::new(now, self.remembered_for, ends);
                self.remembered
                    .keep(fingerprint, &identity, term, token.len());
                Ok((identity, term))
            }
            Err(wrong) => {
                if wrong == bad {
                    self.remembered.refuse(fingerprint, now);
                }
                Err(wrong)
            }
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_tuple("Authenticator");
        shown.field(&self.generation).finish()
    }
}

/// A password that is to be hashed, which takes milliseconds and memory: off the worker.
pub struct Costly {
    authenticator: Arc<Authenticator>,
    user_pass: UserPass,
    fingerprint: Fingerprint,
    now: Now,
}

impl Costly {
    /// Hashes it, and remembers what came of it. Never answers [`Credential::Costly`] again.
    pub fn run(self) -> Credential {
        let remembered = &self.authenticator.remembered;
        // Somebody may have done it while this waited: the streams of one connection come at once.
        if let Some((identity, _)) = remembered.known(&self.fingerprint, self.now) {
            return Credential::Known(identity);
        }
        if remembered.is_refused(&self.fingerprint, self.now) {
            return Credential::Wrong(Wrong::SameAgain(Scheme::Basic));
        }
        let (name, password) = (self.user_pass.name(), self.user_pass.password());
        match self.authenticator.users.find(name, password) {
            Some(identity) => {
                let term = self.authenticator.term(self.now);
                remembered.keep(self.fingerprint, &identity, term, 0);
                Credential::Known(identity)
            }
            None => {
                remembered.refuse(self.fingerprint, self.now);
                Credential::Wrong(Wrong::BadCredential(Scheme::Basic))
            }
        }
    }
}

impl fmt::Debug for Costly {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Costly").finish_non_exhaustive()
    }
}
