//! All that holds for one path: the rules of a site whose globs match it, put together once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::address::{AddressList, AddressRule};
use super::cors::{Cors, CorsRule};
use super::forward::ForwardRule;
use super::limit::{LimitKey, LimitRule};
use super::permission::{AccessRule, Who};
use crate::base::limits::POLICIES_KEPT_MAX;
use crate::http::{Method, RenderedFields, SafePath};
use crate::route::Glob;

/// The rules of one site, each list in the order in which they were said: of those that match, the
/// last counts; of limits and lists of addresses, all.
#[derive(Debug, Default)]
pub struct AccessRules {
    pub cors: Vec<CorsRule>,
    pub access: Vec<AccessRule>,
    pub limits: Vec<LimitRule>,
    pub allow: Vec<AddressRule>,
    pub deny: Vec<AddressRule>,
    pub forward: Vec<ForwardRule>,
    /// What may be written, under the rules above.
    pub writable: Vec<Glob>,
}

/// All that holds for one path.
#[derive(Debug, Default)]
pub struct Policy {
    pub cors: Option<Cors>,
    /// `None`: anyone.
    pub read: Option<Who>,
    /// `None`: whoever may read, where it is writable.
    pub write: Option<Who>,
    pub limits: Vec<Limit>,
    /// Who comes from one of these may go on; all, where there is none.
    pub allow: Vec<AddressList>,
    pub deny: Vec<AddressList>,
    pub forward: Option<ForwardRule>,
    pub is_writable: bool,
}

/// One limit of a path.
#[derive(Debug)]
pub struct Limit {
    /// Its number among the rules of the server.
    pub number: u32,
    pub rule: LimitRule,
    /// `RateLimit-Policy`, which says the same in each answer.
    pub policy_field: RenderedFields,
    /// It counts what users do, so that they must be known first.
    pub counts_users: bool,
}

/// Which rules match, in the order in which [`Policies::matching`] asks them.
type Matching = Box<[bool]>;

/// The policies of one site, as one worker knows them.
#[derive(Debug)]
pub struct Policies {
    rules: Arc<AccessRules>,
    /// The number of the first limit among those of all sites.
    first_limit: u32,
    by_path: HashMap<Box<[u8]>, Rc<Policy>, RandomState>,
    by_rules: HashMap<Matching, Rc<Policy>, RandomState>,
}

impl AccessRules {
    /// True when they say nothing about anything.
    pub fn is_empty(&self) -> bool {
        self.cors.is_empty()
            && self.access.is_empty()
            && self.limits.is_empty()
            && self.allow.is_empty()
            && self.deny.is_empty()
            && self.forward.is_empty()
            && self.writable.is_empty()
    }
}

impl Limit {
    /// The `nth` limit of a path: each has a name of its own.
    fn new(number: u32, rule: &LimitRule, nth: usize) -> Limit {
        let mut rule = rule.clone();
        if nth > 0 && &*rule.name == "default" {
            rule.name = format!("default-{}", nth + 1).into();
        }
        let mut policy = Vec::new();
        rule.push_policy(&mut policy);
        let policy = String::from_utf8(policy).expect("a name is ASCII");
        Limit {
            number,
            policy_field: RenderedFields::new(&[("RateLimit-Policy", &policy)]),
            counts_users: rule.by.contains(&LimitKey::User),
            rule,
        }
    }
}

impl Policy {
    /// True unless the lists keep this address out. Who comes by a Unix socket has none: a list of
    /// who may come does not have it.
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        let is_in = |list: &AddressList| address.is_some_and(|address| list.contains(address));
        !self.deny.iter().any(is_in) && (self.allow.is_empty() || self.allow.iter().any(is_in))
    }

    /// True when it matters who asks.
    pub fn wants_identity(&self, method: Method) -> bool {
        let who = match method {
            Method::Get | Method::Head | Method::Options => &self.read,
            _ => &self.write,
        };
        who.as_ref().is_some_and(|who| !who.is_anyone())
            || self.limits.iter().any(|limit| limit.counts_users)
    }
}

impl Policies {
    /// Nothing is remembered yet.
    pub fn new(rules: Arc<AccessRules>, first_limit: u32) -> Policies {
        Policies {
            rules,
            first_limit,
            by_path: HashMap::default(),
            by_rules: HashMap::default(),
        }
    }

    /// What holds for a path as it was sent.
    #[inline]
    pub fn of(&mut self, raw_path: &[u8]) -> Rc<Policy> {
        match self.by_path.get(raw_path) {
            Some(policy) => Rc::clone(policy),
            None => self.put_together(raw_path),
        }
    }

    #[cold]
    fn put_together(&mut self, raw_path: &[u8]) -> Rc<Policy> {
        let matching = self.matching(raw_path);
        let policy = match self.by_rules.get(&matching) {
            Some(policy) => Rc::clone(policy),
            None => {
                let policy = Rc::new(self.fold(&matching));
                self.make_room();
                self.by_rules.insert(matching, Rc::clone(&policy));
                policy
            }
        };
        self.make_room();
        self.by_path.insert(raw_path.into(), Rc::clone(&policy));
        policy
    }

    /// Peers choose the paths: what is remembered is bounded, and quickly found again.
    fn make_room(&mut self) {
        if self.by_path.len() >= POLICIES_KEPT_MAX {
            self.by_path.clear();
        }
        if self.by_rules.len() >= POLICIES_KEPT_MAX {
            self.by_rules.clear();
        }
    }

    /// Which rules match. A path that names no file can have no rule but those for all paths.
    fn matching(&self, raw_path: &[u8]) -> Matching {
        let spellings = spellings(raw_path);
        let has = |glob: &Option<Glob>| match glob {
            None => true,
            Some(glob) => spellings.iter().any(|path| glob.matches(path)),
        };
        let exact = |glob: &Glob| spellings.first().is_some_and(|path| glob.matches(path));
        let rules = &*self.rules;
        let cors = rules.cors.iter().map(|rule| has(&rule.glob));
        let access = rules.access.iter().map(|rule| has(&rule.glob));
        let limits = rules.limits.iter().map(|rule| has(&rule.glob));
        let allow = rules.allow.iter().map(|rule| has(&rule.glob));
        let deny = rules.deny.iter().map(|rule| has(&rule.glob));
        let forward = rules.forward.iter().map(|rule| has(&rule.glob));
        let writable = rules.writable.iter().map(exact);
        let all = cors.chain(access).chain(limits).chain(allow).chain(deny);
        all.chain(forward).chain(writable).collect()
    }

    fn fold(&self, matching: &Matching) -> Policy {
        let mut matching = matching.iter().copied();
        let mut policy = Policy::default();
        let rules = &*self.rules;
        let mut is_next = || matching.next().expect("one answer for each rule");
        for rule in &rules.cors {
            if is_next() {
                policy.cors = Some(rule.cors.clone());
            }
        }
        for rule in &rules.access {
            if is_next() {
                policy.read = rule.read.clone().or(policy.read);
                policy.write = rule.write.clone().or(policy.write);
            }
        }
        for (number, rule) in (self.first_limit..).zip(&rules.limits) {
            if is_next() {
                policy
                    .limits
                    .push(Limit::new(number, rule, policy.limits.len()));
            }
        }
        for rule in &rules.allow {
            if is_next() {
                policy.allow.push(rule.list.clone());
            }
        }
        for rule in &rules.deny {
            if is_next() {
                policy.deny.push(rule.list.clone());
            }
        }
        for rule in &rules.forward {
            if is_next() {
                policy.forward = Some(rule.clone());
            }
        }
        policy.is_writable = rules.writable.iter().fold(false, |any, _| is_next() || any);
        policy
    }
}

/// The decoded path, and the files that it may stand for: what holds for `/private.html` holds for
/// `/private`, by which clean addresses reach it.
fn spellings(raw_path: &[u8]) -> Vec<Vec<u8>> {
    let Ok(path) = SafePath::parse(raw_path) else {
        return Vec::new();
    };
    let path = path.to_decoded();
    let more = match path.ends_with(b"/") {
        true => [&path[..], b"index.html"].concat(),
        false => [&path[..], b".html"].concat(),
    };
    let inside = [&path[..], b"/"].concat();
    match path.ends_with(b"/") {
        true => vec![path, more],
        false => vec![path, more, inside],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(rules: AccessRules) -> Policies {
        Policies::new(Arc::new(rules), 7)
    }

    fn access(texts: &[&str]) -> Vec<AccessRule> {
        let rules = texts.iter().map(|text| AccessRule::parse(text).unwrap());
        rules.collect()
    }

    fn limits(texts: &[&str]) -> Vec<LimitRule> {
        let rules = texts.iter().map(|text| LimitRule::parse(text).unwrap());
        rules.collect()
    }

    #[test]
    fn of_rules_the_last_counts_and_of_limits_all() {
        let mut policies = policies(AccessRules {
            access: access(&[
                "read=anyone write=nobody",
                "/a/** read=users",
                "/a/b/** write=users",
            ]),
            limits: limits(&["10/s", "/a/** 5/s"]),
            ..AccessRules::default()
        });
        let policy = policies.of(b"/a/b/c");
        let all = access(&["read=users write=users"]);
        assert_eq!((&policy.read, &policy.write), (&all[0].read, &all[0].write));
        let numbers: Vec<u32> = policy.limits.iter().map(|limit| limit.number).collect();
        assert_eq!(numbers, [7, 8]);
        assert_eq!(policies.of(b"/x").limits.len(), 1);
        assert!(Rc::ptr_eq(&policies.of(b"/x"), &policies.of(b"/y")));
    }

    #[test]
    fn no_spelling_of_a_path_gets_around_its_rules() {
        let mut policies = policies(AccessRules {
            access: access(&["/private/** read=users", "/page.html read=users"]),
            ..AccessRules::default()
        });
        for path in [
            "/private/a",
            "/%70rivate/a",
            "/private/",
            "/private",
            "/x/../private/a",
            "//private/a",
            "/private//a",
            "/page.html",
            "/page",
            "/pag%65",
        ] {
            let policy = policies.of(path.as_bytes());
            let parsed = SafePath::parse(path.as_bytes());
            assert!(policy.read.is_some() || parsed.is_err(), "{path}");
        }
        assert!(policies.of(b"/public").read.is_none());
    }

    #[test]
    fn what_peers_ask_for_is_remembered_within_bounds() {
        let mut policies = policies(AccessRules {
            limits: limits(&["10/s"]),
            ..AccessRules::default()
        });
        for number in 0..POLICIES_KEPT_MAX + 10 {
            policies.of(format!("/{number}").as_bytes());
        }
        assert!(policies.by_path.len() <= POLICIES_KEPT_MAX);
    }
}
