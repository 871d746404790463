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
use super::spelling::Spellings;
use crate::base::limits::POLICIES_KEPT_MAX;
use crate::http::{Method, RenderedFields};
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
    /// How the site finds files that are not called as the path.
    pub spellings: Spellings,
}

/// All that holds for one path.
///
/// A path may lead to a file that is called otherwise (`spelling`), and it is not known yet to
/// which. What keeps somebody out holds for all that it may lead to: who asks must be permitted
/// under each of the names that has rules of its own.
#[derive(Debug, Default)]
pub struct Policy {
    pub cors: Option<Cors>,
    /// All of these must permit it; none: anyone.
    pub read: Vec<Who>,
    /// The same for writing, which is to the path itself; none: nobody has said who may.
    pub write: Vec<Who>,
    pub limits: Vec<Limit>,
    /// Who comes from one of each of these may go on; all, where there is none.
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

/// Which rules match, in the order in which [`Policies::matching`] asks them; for each name of the
/// file, one after the other.
type Matching = Box<[bool]>;

/// The names by which something is asked for: the path itself, and the same as a directory.
const OWN: usize = 2;

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
        !self.deny.iter().any(is_in) && self.allow.iter().all(is_in)
    }

    /// Who may do this: all of these must permit it.
    pub fn who(&self, method: Method) -> &[Who] {
        match method {
            Method::Get | Method::Head | Method::Options => &self.read,
            _ => &self.write,
        }
    }

    /// True when it matters who asks.
    pub fn wants_identity(&self, method: Method) -> bool {
        self.who(method).iter().any(|who| !who.is_anyone())
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
        let mut names = self.rules.spellings.all(raw_path);
        // The path as a directory comes second.
        let inside = [names.first().map_or(&b""[..], |path| path), b"/"].concat();
        if let Some(at) = names.iter().position(|name| *name == inside) {
            names[1..=at].rotate_right(1);
        }
        let names: Vec<Option<&[u8]>> = match names.is_empty() {
            true => vec![None],
            false => names.iter().map(|name| Some(&name[..])).collect(),
        };
        let matching = names.into_iter().flat_map(|name| self.matching_name(name));
        matching.collect()
    }

    fn matching_name(&self, name: Option<&[u8]>) -> Vec<bool> {
        let is = |glob: &Glob| name.is_some_and(|name| glob.matches(name));
        let has = |glob: &Option<Glob>| glob.as_ref().is_none_or(is);
        let rules = &*self.rules;
        let cors = rules.cors.iter().map(|rule| has(&rule.glob));
        let access = rules.access.iter().map(|rule| has(&rule.glob));
        let limits = rules.limits.iter().map(|rule| has(&rule.glob));
        let allow = rules.allow.iter().map(|rule| has(&rule.glob));
        let deny = rules.deny.iter().map(|rule| has(&rule.glob));
        let forward = rules.forward.iter().map(|rule| has(&rule.glob));
        let writable = rules.writable.iter().map(is);
        let all = cors.chain(access).chain(limits).chain(allow).chain(deny);
        all.chain(forward).chain(writable).collect()
    }

    fn fold(&self, matching: &Matching) -> Policy {
        let rules = &*self.rules;
        let mut policy = Policy::default();
        let names: Vec<Matched<'_>> = match rules.len() {
            0 => Vec::new(),
            len => matching.chunks(len).map(|one| rules.matched(one)).collect(),
        };
        let own = names.first();
        for (number, name) in names.iter().enumerate() {
            let is_own = number < OWN;
            add_new(
                &mut policy.read,
                name.last_not_of(own, |rule| rule.read.as_ref()),
            );
            if is_own {
                add_new(
                    &mut policy.write,
                    name.last_not_of(own, |rule| rule.write.as_ref()),
                );
            }
            add_new(&mut policy.allow, name.allowed_beside(own).as_ref());
            for rule in &name.deny {
                add_new(&mut policy.deny, Some(&rule.list));
            }
            // Of what cannot hold twice, the path itself comes first.
            let cors = name.cors.last().filter(|_| is_own);
            policy.cors = policy.cors.or_else(|| cors.map(|rule| rule.cors.clone()));
        }
        policy.forward = forward(&names, &rules.forward);
        for (at, rule) in rules.limits.iter().enumerate() {
            if names.iter().any(|name| name.limits.contains(&at)) {
                let number = self.first_limit + at as u32;
                let limit = Limit::new(number, rule, policy.limits.len());
                policy.limits.push(limit);
            }
        }
        policy.is_writable = names.first().is_some_and(|name| name.is_writable);
        policy
    }
}

/// The rules that are for one name of a file, each list in the order in which they were said.
struct Matched<'a> {
    cors: Vec<&'a CorsRule>,
    access: Vec<&'a AccessRule>,
    /// By their number.
    limits: Vec<usize>,
    allow: Vec<&'a AddressRule>,
    deny: Vec<&'a AddressRule>,
    /// By their number.
    forward: Vec<usize>,
    is_writable: bool,
}

impl Matched<'_> {
    /// Who may, by the last rule that says so; none where it is for the path itself, too, of which
    /// a later rule may say more.
    fn last_not_of(
        &self,
        own: Option<&Matched<'_>>,
        says: impl Fn(&AccessRule) -> Option<&Who>,
    ) -> Option<&Who> {
        let rule = self.access.iter().rev().find(|rule| says(rule).is_some());
        let is_of_own = |rule: &AccessRule| {
            own.is_some_and(|own| !std::ptr::eq(own, self) && has(&own.access, rule))
        };
        says(rule.filter(|rule| !is_of_own(rule))?)
    }

    /// Who may come, where some rule about it is not for the path itself.
    fn allowed_beside(&self, own: Option<&Matched<'_>>) -> Option<AddressList> {
        let is_new = |rule: &&AddressRule| {
            own.is_none_or(|own| std::ptr::eq(own, self) || !has(&own.allow, rule))
        };
        self.allow.iter().copied().find(is_new)?;
        let lists = self.allow.iter().map(|rule| rule.list.clone());
        lists.reduce(|all, list| all.joined(&list))
    }
}

fn has<T>(list: &[&T], one: &T) -> bool {
    list.iter().any(|rule| std::ptr::eq(*rule, one))
}

/// Whom to ask: of the rules for the path itself, or as a directory, the last; or else of any.
fn forward(names: &[Matched<'_>], rules: &[ForwardRule]) -> Option<ForwardRule> {
    let last = |names: &[Matched<'_>]| {
        names
            .iter()
            .filter_map(|name| name.forward.last())
            .max()
            .copied()
    };
    let own = last(&names[..OWN.min(names.len())]);
    own.or_else(|| last(names)).map(|at| rules[at].clone())
}

impl AccessRules {
    fn len(&self) -> usize {
        let lists = self.allow.len() + self.deny.len() + self.limits.len();
        lists + self.cors.len() + self.access.len() + self.forward.len() + self.writable.len()
    }

    /// The rules of which `matching` says that they match, in the order of `Matching`.
    fn matched(&self, matching: &[bool]) -> Matched<'_> {
        let mut matching = matching.iter().copied();
        let mut is_next = || matching.next().expect("one answer for each rule");
        Matched {
            cors: self.cors.iter().filter(|_| is_next()).collect(),
            access: self.access.iter().filter(|_| is_next()).collect(),
            limits: (0..self.limits.len()).filter(|_| is_next()).collect(),
            allow: self.allow.iter().filter(|_| is_next()).collect(),
            deny: self.deny.iter().filter(|_| is_next()).collect(),
            forward: (0..self.forward.len()).filter(|_| is_next()).collect(),
            is_writable: self.writable.iter().fold(false, |any, _| is_next() || any),
        }
    }
}

fn add_new<T: Clone + PartialEq>(list: &mut Vec<T>, one: Option<&T>) {
    if let Some(one) = one.filter(|one| !list.contains(one)) {
        list.push(one.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::SafePath;
    use crate::route::site::{CleanUrls, Finding, TrailingSlash};

    fn policies(rules: AccessRules) -> Policies {
        Policies::new(Arc::new(rules), 7)
    }

    fn access(texts: &[&str]) -> Vec<AccessRule> {
        let rules = texts.iter().map(|text| AccessRule::parse(text).unwrap());
        rules.collect()
    }

    fn addresses(texts: &[&str]) -> Vec<AddressRule> {
        let rules = texts.iter().map(|text| AddressRule::parse(text).unwrap());
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
        let users = [Who::parse("users").unwrap()];
        assert_eq!(
            (&policy.read[..], &policy.write[..]),
            (&users[..], &users[..])
        );
        let numbers: Vec<u32> = policy.limits.iter().map(|limit| limit.number).collect();
        assert_eq!(numbers, [7, 8]);
        assert_eq!(policies.of(b"/x").limits.len(), 1);
        assert!(Rc::ptr_eq(&policies.of(b"/x"), &policies.of(b"/y")));
    }

    #[test]
    fn no_spelling_of_a_path_gets_around_its_rules() {
        let mut policies = policies(AccessRules {
            access: access(&["/private/** read=users", "/page.html read=users"]),
            spellings: Spellings::of(&Finding {
                clean_urls: CleanUrls::Serve,
                ..Finding::default()
            }),
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
            assert!(!policy.read.is_empty() || parsed.is_err(), "{path}");
        }
        assert!(policies.of(b"/public").read.is_empty());
    }

    /// `/data` might be `/data.html`, but it might be a file of its own, too.
    #[test]
    fn a_rule_that_lets_in_does_not_open_what_is_called_otherwise() {
        let private = [Who::parse("users").unwrap()];
        for clean_urls in [CleanUrls::Off, CleanUrls::Serve] {
            let mut policies = policies(AccessRules {
                access: access(&["read=users write=users", "*.html read=anyone write=anyone"]),
                allow: addresses(&["10.0.0.0/8", "*.html any"]),
                cors: vec![CorsRule::parse("*.html *").unwrap()],
                writable: vec![Glob::parse("*.html").unwrap()],
                spellings: Spellings::of(&Finding {
                    clean_urls,
                    trailing_slash: TrailingSlash::Ignore,
                    ..Finding::default()
                }),
                ..AccessRules::default()
            });
            let open = policies.of(b"/page.html");
            assert!(open.admits(Some([192, 0, 2, 1].into())));
            assert!(open.cors.is_some() && open.is_writable);
            let policy = policies.of(b"/data");
            assert!(policy.read.contains(&private[0]), "{clean_urls:?}");
            assert_eq!(policy.write, private);
            assert!(!policy.admits(Some([192, 0, 2, 1].into())));
            assert!(policy.admits(Some([10, 0, 0, 1].into())));
            assert!(policy.cors.is_none() && !policy.is_writable);
        }
    }

    #[test]
    fn what_is_closed_but_for_some_files_is_open_for_those() {
        let mut policies = policies(AccessRules {
            access: access(&["read=nobody write=nobody", "*.json read=anyone write=users"]),
            allow: addresses(&["10.0.0.0/8", "*.json 192.0.2.1"]),
            ..AccessRules::default()
        });
        let policy = policies.of(b"/a.json");
        assert_eq!(policy.read, [Who::Anyone]);
        assert_eq!(policy.write, [Who::parse("users").unwrap()]);
        assert!(policy.admits(Some([192, 0, 2, 1].into())));
        assert_eq!(policies.of(b"/a").read, [Who::Nobody]);
    }

    #[test]
    fn a_rule_for_pages_says_nothing_of_what_is_none() {
        let mut policies = policies(AccessRules {
            access: access(&["*.html read=users"]),
            limits: limits(&["*.html 1/s"]),
            ..AccessRules::default()
        });
        let policy = policies.of(b"/style.css");
        assert!(policy.read.is_empty() && policy.limits.is_empty());
        assert_eq!(policies.of(b"/dir/").limits.len(), 1, "it may show a page");
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
