//! Asks everything that must hold before a request is answered.
//!
//! In this order: where it comes from, what other origins may know, how often, who, and what that
//! one may do. What is cheap comes first, and a preflight never has to say who it is.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::address::{AddressList, ForwardedBy, client_address, network_key};
use super::cors::{is_cross_origin, is_preflight};
use super::credentials::{
    Authenticator, Costly, Credential, CredentialMemo, Guard, Identity, Source, Wrong,
};
use super::forward::{ForwardAnswer, ForwardMemo, ForwardQuestion, Verdict};
use super::limit::{Asker, LimitKey};
use super::limit_table::LimitTable;
use super::permission::{Permitted, Who};
use super::policy::{AccessRules, Policies, Policy};
use crate::base::Now;
use crate::http::{FieldWriter, Fields, Known, Method, RequestHead, SafePath, Status};

/// What the gates of all workers share.
#[derive(Debug)]
pub struct GateSettings {
    /// One for each site, in their order.
    pub sites: Vec<SiteAccess>,
    /// Whose word about the address of a client is taken.
    pub trusted: AddressList,
    /// Where it says so.
    pub forwarded_by: ForwardedBy,
    /// How often who has asked.
    pub limits: LimitTable,
    /// Who has tried wrong credentials.
    pub guard: Guard,
}

/// What one site asks.
#[derive(Debug, Default)]
pub struct SiteAccess {
    pub rules: Arc<AccessRules>,
    /// Where credentials are known.
    pub authenticator: Option<Arc<ArcSwap<Authenticator>>>,
    pub allows_anonymous_writes: bool,
    /// Certificates of clients stand for users.
    pub knows_certificates: bool,
    /// Fields of the answer to a forwarded question that name the user.
    pub user_fields: Arc<[String]>,
}

/// One worker's gate.
pub struct Gate {
    settings: Arc<GateSettings>,
    sites: Vec<Option<SiteGate>>,
    /// Memory for the keys of limits, and for what they say.
    text: Vec<u8>,
}

struct SiteGate {
    policies: Policies,
    authenticator: Option<Arc<ArcSwap<Authenticator>>>,
    memo: CredentialMemo,
    forwarded: ForwardMemo,
    allows_anonymous_writes: bool,
    knows_certificates: bool,
    user_fields: Arc<[String]>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// `None`: it comes by a Unix socket.
    pub address: Option<IpAddr>,
    /// The subject of its certificate.
    pub certificate: Option<Arc<str>>,
}

/// What the slow lane has found out about a request that has been at the gate before.
#[derive(Debug)]
pub enum Found {
    Credential(Credential),
    Forwarded(ForwardAnswer),
}

/// What must be found out in the slow lane.
#[derive(Debug)]
pub enum Work {
    /// A password is hashed. Blocks.
    Password(Costly),
    /// Another server is asked. Blocks.
    Forward(ForwardQuestion),
}

/// What the gate is asked about.
#[derive(Debug)]
pub struct Question<'a> {
    pub head: &'a RequestHead<'a>,
    /// Where it comes from, as far as that can be trusted.
    pub address: Option<IpAddr>,
    /// The subject of the certificate that its client has shown.
    pub certificate: Option<&'a str>,
    pub is_secure: bool,
    pub now: Now,
    /// Of a request that comes again.
    pub found: Option<Found>,
}

/// What the gate says. Fields for the answer were written, whatever it says.
#[derive(Debug)]
pub enum Asked {
    Passed(Passed),
    /// The answer to a preflight: 204.
    Preflight,
    Refused {
        status: Status,
        reason: &'static str,
        why: Why,
        /// Who asks, where that was known by then.
        identity: Option<Arc<Identity>>,
    },
    /// The same request is to come again, with what was found out.
    Work(Work),
}

/// Why a request was refused, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Address,
    /// A credential that is wrong.
    Credential,
    /// None, or one that is good and not enough.
    Permission,
    Limit,
}

/// What is known of a request that has passed.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// Who asks, where anybody wanted to know.
    pub identity: Option<Arc<Identity>>,
    /// Its path is one that can be written.
    pub is_writable: bool,
}

impl Work {
    /// Does it. Blocks: not for a worker.
    pub fn run(self) -> Found {
        match self {
            Work::Password(costly) => Found::Credential(costly.run()),
            Work::Forward(question) => Found::Forwarded(question.ask()),
        }
    }
}

impl GateSettings {
    /// True when some site asks something.
    pub fn asks(&self) -> bool {
        self.sites.iter().any(|site| !site.rules.is_empty())
    }

    /// Where a request comes from: the peer, or whom a trusted one says that it speaks for.
    #[inline]
    pub fn address_of(&self, peer: &Peer, fields: &Fields<'_>) -> Option<IpAddr> {
        let address = peer.address;
        address.map(|address| client_address(self.forwarded_by, address, fields, &self.trusted))
    }

    /// True where the word of this peer is taken.
    pub fn trusts(&self, peer: &Peer) -> bool {
        peer.address
            .is_some_and(|address| self.trusted.contains(address))
    }
}

impl Gate {
    /// The gate of one worker; `None` where no site asks anything.
    pub fn new(settings: &Arc<GateSettings>) -> Option<Gate> {
        let mut first_limit = 0;
        let mut sites = Vec::new();
        for site in &settings.sites {
            let gate = SiteGate {
                policies: Policies::new(Arc::clone(&site.rules), first_limit),
                authenticator: site.authenticator.clone(),
                memo: CredentialMemo::default(),
                forwarded: ForwardMemo::default(),
                allows_anonymous_writes: site.allows_anonymous_writes,
                knows_certificates: site.knows_certificates,
                user_fields: Arc::clone(&site.user_fields),
            };
            first_limit += site.rules.limits.len() as u32;
            sites.push((!site.rules.is_empty()).then_some(gate));
        }
        settings.asks().then(|| Gate {
            settings: Arc::clone(settings),
            sites,
            text: Vec::new(),
        })
    }

    /// Asks all that must hold for a request to a site, and writes what its answer says besides.
    pub fn ask(&mut self, site: usize, question: Question<'_>, out: &mut FieldWriter<'_>) -> Asked {
        let Some(site) = &mut self.sites[site] else {
            return Asked::Passed(Passed::default());
        };
        let Question { head, .. } = question;
        let policy = site.policies.of(head.path);
        let origin = head.fields.get_single(Known::Origin);
        let is_admitted = policy.admits(question.address);
        if let Some(cors) = &policy.cors {
            if is_admitted && is_preflight(head) {
                cors.write_preflight(head, out);
                return Asked::Preflight;
            }
            cors.write(origin, out);
        }
        if !is_admitted {
            return refuse(Status::FORBIDDEN, FROM_HERE, Why::Address);
        }
        let mut asking = Asking {
            site,
            settings: &self.settings,
            policy: &policy,
            question,
            text: &mut self.text,
        };
        asking.ask(origin, out).unwrap_or_else(|asked| asked)
    }

    /// Lets go of what is not good any more; for the tick of the worker.
    pub fn sweep(&mut self, now: Now) {
        for site in self.sites.iter_mut().flatten() {
            site.memo.sweep(now);
        }
    }
}

/// One question, on its way from one answer to the next. `Err` is what ends it.
struct Asking<'a> {
    site: &'a mut SiteGate,
    settings: &'a GateSettings,
    policy: &'a Policy,
    question: Question<'a>,
    text: &'a mut Vec<u8>,
}

impl Asking<'_> {
    fn ask(&mut self, origin: Option<&[u8]>, out: &mut FieldWriter<'_>) -> Result<Asked, Asked> {
        self.count(None, out)?;
        let forwarded = self.forward(out)?;
        let identity = match forwarded {
            Some(identity) => identity,
            None => self.identify(out)?,
        };
        let may = self.count(Some(identity.as_deref()), out);
        let may = may.and_then(|()| self.permit(identity.as_deref(), out));
        let may = may.and_then(|()| self.check_origin(origin));
        may.map_err(|asked| asked.by(&identity))?;
        Ok(Asked::Passed(Passed {
            identity,
            is_writable: self.policy.is_writable,
        }))
    }

    fn is_write(&self) -> bool {
        let reads = [Method::Get, Method::Head, Method::Options];
        !reads.contains(&self.question.head.method)
    }

    /// Counts the request against its limits: before it is known who asks, those that do not
    /// count users, and then the others. `who`: known or not, once that is settled. What was
    /// counted before something had to be found out is not counted again.
    fn count(
        &mut self,
        who: Option<Option<&Identity>>,
        out: &mut FieldWriter<'_>,
    ) -> Result<(), Asked> {
        let now = self.question.now.monotonic.0.saturating_mul(1_000_000);
        for limit in &self.policy.limits {
            if limit.counts_users != who.is_some() {
                continue;
            }
            let path = match limit.rule.by.contains(&LimitKey::Path) {
                true => decoded(self.question.head.path),
                false => Vec::new(),
            };
            let asker = Asker {
                network: self.question.address.map(network_key).unwrap_or_default(),
                user: who.flatten().map(Identity::name),
                path: &path,
                fields: &self.question.head.fields,
            };
            self.text.clear();
            limit.rule.push_key(&asker, self.text);
            let limits = &self.settings.limits;
            let (number, quota) = (limit.number, &limit.rule.quota);
            let taken = match who.is_none() && self.question.found.is_some() {
                true => limits.look(number, self.text, quota, now),
                false => limits.take(number, self.text, quota, now),
            };
            out.rendered(&limit.policy_field);
            self.text.clear();
            limit.rule.push_state(&taken, self.text);
            out.field("RateLimit", self.text);
            if !taken.allowed {
                let wait = taken.retry_after_seconds().to_string();
                out.field("Retry-After", wait.as_bytes());
                return Err(refuse(Status::TOO_MANY_REQUESTS, "", Why::Limit));
            }
        }
        Ok(())
    }

    /// What another server says, where one is to be asked: whom it has seen.
    fn forward(
        &mut self,
        out: &mut FieldWriter<'_>,
    ) -> Result<Option<Option<Arc<Identity>>>, Asked> {
        let Some(rule) = &self.policy.forward else {
            return Ok(None);
        };
        let (head, now) = (self.question.head, self.question.now);
        let from = (self.question.address, self.question.is_secure);
        let asked = ForwardQuestion::new(rule, &self.site.user_fields, head, from);
        let verdict = match self.question.found.take() {
            Some(Found::Forwarded(answer)) => {
                self.site.forwarded.keep(&answer, now);
                answer.verdict
            }
            _ => match self.site.forwarded.get(&asked, now) {
                Some(verdict) => verdict.clone(),
                None => return Err(Asked::Work(Work::Forward(asked))),
            },
        };
        match verdict {
            Verdict::Passed(user) => {
                let identity = |user: Arc<str>| Arc::new(Identity::new(&user, Source::Forwarded));
                Ok(Some(user.map(identity)))
            }
            Verdict::Refused(status, fields) => {
                for (name, value) in &fields {
                    out.field(name, value);
                }
                Err(refuse(status, "", Why::Permission))
            }
            Verdict::Failed => Err(refuse(Status::BAD_GATEWAY, NOT_ASKED, Why::Permission)),
        }
    }

    /// Who the request says it comes from, where anybody wants to know.
    fn identify(&mut self, out: &mut FieldWriter<'_>) -> Result<Option<Arc<Identity>>, Asked> {
        let Some(authenticator) = &self.site.authenticator else {
            return Ok(None);
        };
        if !self.policy.wants_identity(self.question.head.method) {
            return Ok(None);
        }
        let authenticator = authenticator.load();
        let (now, fields) = (self.question.now, &self.question.head.fields);
        let guard = &self.settings.guard;
        let network = self.question.address.map(network_key);
        if let Some(network) = network
            && fields.get(Known::Authorization).is_some()
            && let Some(delay) = guard.delay_for(&network, now.monotonic)
        {
            let wait = delay.as_millis().div_ceil(1000).max(1);
            out.field("Retry-After", wait.to_string().as_bytes());
            return Err(refuse(Status::TOO_MANY_REQUESTS, GUESSING, Why::Credential));
        }
        let credential = match self.question.found.take() {
            Some(Found::Credential(credential)) => credential,
            _ => {
                let authorization = fields.get_single(Known::Authorization);
                let certificate = self.question.certificate;
                let certificate = certificate.filter(|_| self.site.knows_certificates);
                let memo = &mut self.site.memo;
                memo.check(&authenticator, authorization, certificate, now)
            }
        };
        match credential {
            Credential::None => Ok(None),
            Credential::Known(identity) => Ok(Some(identity)),
            Credential::Costly(costly) => Err(Asked::Work(Work::Password(costly))),
            // Who may read without a credential may also read with one that means nothing here.
            Credential::Wrong(wrong) => {
                if let Some(network) = network.filter(|_| wrong.is_guess()) {
                    guard.note_failure(&network, now.monotonic);
                }
                match self.who().iter().all(Who::is_anyone) {
                    true => Ok(None),
                    false => Err(challenge(&authenticator, Some(wrong), out)),
                }
            }
        }
    }

    /// Who may do this: all of these permit it; none: anyone.
    fn who(&self) -> &[Who] {
        self.policy.who(self.question.head.method)
    }

    fn permit(&self, identity: Option<&Identity>, out: &mut FieldWriter<'_>) -> Result<(), Asked> {
        let forbidden = || Err(refuse(Status::FORBIDDEN, NOT_YOURS, Why::Permission));
        if self.who().is_empty() {
            // What is not writable answers for itself that it is not.
            let is_open = !self.policy.is_writable || self.site.allows_anonymous_writes;
            return match !self.is_write() || is_open {
                true => Ok(()),
                false => forbidden(),
            };
        }
        let answers = || self.who().iter().map(|who| who.allows(identity));
        if answers().any(|answer| answer == Permitted::No) {
            return forbidden();
        }
        match answers().any(|answer| answer == Permitted::AskForCredential) {
            false => Ok(()),
            true => match &self.site.authenticator {
                Some(authenticator) => Err(challenge(&authenticator.load(), None, out)),
                None => forbidden(),
            },
        }
    }

    /// Refuses a write that a page of another origin has its visitor send, with the visitor's
    /// certificate or password, though nobody allows that page anything.
    fn check_origin(&self, origin: Option<&[u8]>) -> Result<(), Asked> {
        let head = self.question.head;
        if !self.policy.is_writable || !self.is_write() {
            return Ok(());
        }
        let is_forged = match origin {
            None => head.fields.is_repeated(Known::Origin),
            Some(origin) => {
                let cors = self.policy.cors.as_ref();
                let is_allowed = cors.is_some_and(|cors| cors.allows(origin));
                !is_allowed && is_cross_origin(origin, head)
            }
        };
        match is_forged {
            true => Err(refuse(Status::FORBIDDEN, FORGED, Why::Permission)),
            false => Ok(()),
        }
    }
}

impl Asked {
    /// The same, said to somebody who is known.
    fn by(mut self, who: &Option<Arc<Identity>>) -> Asked {
        if let Asked::Refused { identity, .. } = &mut self {
            identity.clone_from(who);
        }
        self
    }
}

/// 401, with what may be shown instead; 403 where nothing can be.
fn challenge(
    authenticator: &Authenticator,
    why: Option<Wrong>,
    out: &mut FieldWriter<'_>,
) -> Asked {
    let challenges = authenticator.challenge(why);
    for challenge in challenges {
        out.field("WWW-Authenticate", challenge.as_bytes());
    }
    let is_wrong = why.is_some();
    let why = if is_wrong {
        Why::Credential
    } else {
        Why::Permission
    };
    match challenges.is_empty() {
        true => refuse(Status::FORBIDDEN, NOT_YOURS, why),
        false => refuse(Status::UNAUTHORIZED, "", why),
    }
}

const FROM_HERE: &str = "This address may not ask for it.";
const NOT_YOURS: &str = "You may not do this.";
const FORGED: &str = "A page of this origin may not change it.";
const GUESSING: &str = "Too many wrong credentials came from this address.";
const NOT_ASKED: &str = "The server that decides about it could not be asked.";

/// A path as globs see it; as it was sent, where it names no file.
fn decoded(raw_path: &[u8]) -> Vec<u8> {
    SafePath::parse(raw_path).map_or_else(|_| raw_path.to_vec(), |path| path.to_decoded())
}

fn refuse(status: Status, reason: &'static str, why: Why) -> Asked {
    Asked::Refused {
        status,
        reason,
        why,
        identity: None,
    }
}
