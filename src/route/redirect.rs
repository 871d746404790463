//! One redirect or rewrite: `FROM [query…] TO [STATUS[!]] [Condition=a,b…]`.
//!
//! One syntax for flags, the configuration and the lines of `_redirects`.

use std::fmt;

use crate::http::{Fields, Status};

use super::condition::{Condition, DependsOn, QueryCondition};
use super::pattern::{Captures, Pattern, strip_scheme};
use super::target::Target;

/// What a request says that rules ask about.
#[derive(Clone, Copy, Debug)]
pub struct RuleContext<'a> {
    /// The authority of the request: host and optional port.
    pub host: Option<&'a [u8]>,
    /// Decoded and normalised, with its leading slash, and with its final one when it was sent.
    pub path: &'a [u8],
    /// As it was sent.
    pub query: Option<&'a [u8]>,
    pub fields: Fields<'a>,
}

/// What rules make of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: its own path is served.
    Pass,
    /// It is sent elsewhere.
    Redirect {
        status: Status,
        /// The value of `Location`: no byte of it can end the line, and it names no host that the
        /// rule does not name.
        location: Vec<u8>,
        /// The query of the request goes with it: see [`with_query`](super::target::with_query).
        keeps_query: bool,
    },
    /// What this path of the site holds is served in its place.
    Rewrite {
        /// Decoded, below the root, with its leading slash.
        path: Vec<u8>,
        status: Status,
    },
}

/// Where a rule stands, which decides whether it goes before files without saying so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Configured,
    File,
}

/// A redirect or a rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectRule {
    text: Box<str>,
    from: Pattern,
    query: Box<[QueryCondition]>,
    to: Target,
    status: Status,
    is_forced: bool,
    conditions: Box<[Condition]>,
}

impl RedirectRule {
    /// Reads a redirect of a flag or the configuration: 301 unless it says otherwise, and before
    /// any file. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<RedirectRule, String> {
        parse(text, Place::Configured, Status::MOVED_PERMANENTLY)
    }

    /// The same for a rewrite, which is one with 200.
    pub fn parse_rewrite(text: &str) -> Result<RedirectRule, String> {
        let rule = parse(text, Place::Configured, Status::OK)?;
        match Kind::of(rule.status) {
            Kind::Rewrite => Ok(rule),
            Kind::Redirect => Err(format!(
                "{} sends the client elsewhere, which is a redirect and no rewrite",
                rule.status.code()
            )),
        }
    }

    /// Reads a line of `_redirects`: 301 unless it says otherwise, and before files only with `!`.
    pub fn parse_line(text: &str) -> Result<RedirectRule, String> {
        parse(text, Place::File, Status::MOVED_PERMANENTLY)
    }

    /// True when it goes before files.
    pub fn is_forced(&self) -> bool {
        self.is_forced
    }

    /// What it is for.
    pub fn from(&self) -> &Pattern {
        &self.from
    }

    /// The status with which it answers.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What becomes of a request; `None` when the rule is not for it. `depends_on` grows by what
    /// the answer depended on beside the path.
    pub fn apply(
        &self,
        context: &RuleContext<'_>,
        country_field: Option<&str>,
        depends_on: &mut DependsOn,
    ) -> Option<Action> {
        let mut captures = self.from.match_path(context.path)?;
        *depends_on |= self.depends_on(country_field);
        if !self.from.match_host(context.host, &mut captures) {
            return None;
        }
        let query = context.query.unwrap_or_default();
        let mut conditions = self.query.iter();
        if !conditions.all(|condition| condition.matches(query, &mut captures)) {
            return None;
        }
        let mut conditions = self.conditions.iter();
        if !conditions.all(|condition| condition.matches(&context.fields, country_field)) {
            return None;
        }
        match Kind::of(self.status) {
            Kind::Rewrite => self.rewrite(context, &captures),
            Kind::Redirect => self.redirect(context, &captures, depends_on),
        }
    }

    fn depends_on(&self, country_field: Option<&str>) -> DependsOn {
        let mut depends_on = DependsOn::NOTHING;
        if self.from.has_host() {
            depends_on |= DependsOn::HOST;
        }
        if !self.query.is_empty() {
            depends_on |= DependsOn::QUERY;
        }
        for condition in &self.conditions {
            depends_on |= condition.depends_on(country_field);
        }
        depends_on
    }

    fn rewrite(&self, context: &RuleContext<'_>, captures: &Captures<'_>) -> Option<Action> {
        let path = self.to.path(captures)?;
        // A rewrite to itself (`/keep/* 200`) shields a path from the rules that follow.
        if self.status == Status::OK && path == context.path {
            return Some(Action::Pass);
        }
        let status = self.status;
        Some(Action::Rewrite { path, status })
    }

    /// A redirect that leads to where the request came from would never end: it is not for it.
    fn redirect(
        &self,
        context: &RuleContext<'_>,
        captures: &Captures<'_>,
        depends_on: &mut DependsOn,
    ) -> Option<Action> {
        if self.to.is_at(captures, context.path) {
            if self.to.has_host() {
                *depends_on |= DependsOn::HOST;
            }
            if self.to.has_query() {
                *depends_on |= DependsOn::QUERY;
            }
            if self.to.is_on(context.host) && self.to.asks(captures, context.query) {
                return None;
            }
        }
        Some(Action::Redirect {
            status: self.status,
            location: self.to.location(captures)?,
            // What was captured of the query has its place in the target.
            keeps_query: !self.to.has_query() && self.query.is_empty(),
        })
    }
}

impl fmt::Display for RedirectRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Redirect,
    Rewrite,
}

impl Kind {
    fn of(status: Status) -> Kind {
        match status.code() {
            300..400 => Kind::Redirect,
            _ => Kind::Rewrite,
        }
    }
}

fn parse(text: &str, place: Place, default: Status) -> Result<RedirectRule, String> {
    let mut words = text
        .split_whitespace()
        .take_while(|word| !word.starts_with('#'));
    let source = words
        .next()
        .ok_or("a redirect says FROM and TO, as in /old /new")?;
    let from = Pattern::parse(source)?;
    let words: Vec<&str> = words.collect();
    let (query, to, rest) = split_words(source, &words)?;
    let query: Box<[QueryCondition]> = query
        .iter()
        .map(|word| QueryCondition::parse(word))
        .collect();
    let mut names: Vec<&str> = from.names().collect();
    for name in query.iter().filter_map(QueryCondition::capture) {
        if names.contains(&name) {
            return Err(format!("{text} captures :{name} twice"));
        }
        names.push(name);
    }
    let (status, forced, conditions) = parse_end(rest, default)?;
    if Kind::of(status) == Kind::Redirect {
        refuse_circle(source, &to)?;
    }
    let to = Target::parse(&to, &names)?;
    if to.has_host() && Kind::of(status) == Kind::Rewrite {
        return Err(format!(
            "{} with another server as its target is a proxy, which is not supported",
            status.code()
        ));
    }
    let conditions: Result<_, String> = conditions
        .iter()
        .map(|text| Condition::parse(text))
        .collect();
    Ok(RedirectRule {
        text: text.trim().into(),
        query,
        to,
        status,
        is_forced: forced || place == Place::Configured,
        conditions: conditions?,
        from,
    })
}

/// A redirect from everything to itself never does anything.
fn refuse_circle(source: &str, target: &str) -> Result<(), String> {
    if target.replace(":splat", "*") == source {
        return Err(format!("{source} leads to itself"));
    }
    match (strip_scheme(source), strip_scheme(target)) {
        (Some(from), Some(to)) if to.replace(":splat", "*") == from => Err(format!(
            "{source} leads to itself over another scheme, which rules do not look at: \
             --https-redirect sends clients to HTTPS"
        )),
        _ => Ok(()),
    }
}

/// The conditions on the query, the target, and what follows it.
fn split_words<'a, 't>(
    source: &str,
    words: &'a [&'t str],
) -> Result<(&'a [&'t str], String, &'a [&'t str]), String> {
    let is_target = |word: &&str| word.starts_with('/') || strip_scheme(word).is_some();
    if let Some(position) = words.iter().position(is_target) {
        let (query, rest) = words.split_at(position);
        return Ok((query, rest[0].to_owned(), &rest[1..]));
    }
    // Netlify's short form `/a/* 200` serves what is there.
    let is_served = words
        .first()
        .is_some_and(|word| matches!(*word, "200" | "200!"));
    match source.strip_suffix("/*") {
        Some(stem) if is_served => {
            let slash = strip_scheme(stem).map_or(Some(0), |rest| rest.find('/'));
            let scheme_len = stem.len() - strip_scheme(stem).unwrap_or(stem).len();
            let path = slash.map_or("", |slash| &stem[scheme_len + slash..]);
            Ok((&[], format!("{path}/:splat"), words))
        }
        _ => Err(format!(
            "{source} leads nowhere: a target that begins with a slash or https:// is missing"
        )),
    }
}

/// Status, force and conditions.
fn parse_end<'a, 't>(
    words: &'a [&'t str],
    default: Status,
) -> Result<(Status, bool, &'a [&'t str]), String> {
    let Some((first, rest)) = words.split_first() else {
        return Ok((default, false, words));
    };
    if !first.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok((default, false, words));
    }
    let digits = first.strip_suffix('!').unwrap_or(first);
    let forced = digits.len() < first.len();
    let known = matches!(
        digits,
        "200" | "301" | "302" | "303" | "307" | "308" | "404" | "410" | "451"
    );
    let code = digits.parse().ok().filter(|_| known);
    match code.and_then(Status::from_code) {
        Some(status) => Ok((status, forced, rest)),
        None => Err(format!(
            "{first} is no status of a redirect: there are 301, 302, 303, 307 and 308, and 200, \
             404, 410 and 451 to serve the target in place"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `status location[?]` of a redirect, `status=path` of a rewrite.
    fn applied(rule: &str, address: &str) -> Option<String> {
        let rule = RedirectRule::parse(rule).unwrap();
        let (address, host) = match strip_scheme(address) {
            Some(rest) => (&rest[rest.find('/').unwrap()..], rest.split('/').next()),
            None => (address, None),
        };
        let (path, query) = match address.split_once('?') {
            Some((path, query)) => (path, Some(query.as_bytes())),
            None => (address, None),
        };
        let context = RuleContext {
            host: host.map(str::as_bytes),
            path: path.as_bytes(),
            query,
            fields: Fields::new(&[]),
        };
        let action = rule.apply(&context, None, &mut DependsOn::default())?;
        Some(match action {
            Action::Pass => "pass".to_owned(),
            Action::Redirect {
                status,
                location,
                keeps_query,
            } => {
                let (code, mark) = (status.code(), if keeps_query { "?" } else { "" });
                format!("{code} {}{mark}", String::from_utf8(location).unwrap())
            }
            Action::Rewrite { path, status } => {
                format!("{}={}", status.code(), String::from_utf8(path).unwrap())
            }
        })
    }

    #[test]
    fn rules_are_applied() {
        for (rule, address, expected) in [
            ("/old /new", "/old", "301 /new?"),
            ("/old /new 302", "/old/", "302 /new?"),
            ("/old /new 308! # why", "/old", "308 /new?"),
            ("/old /new?x=1", "/old?y=2", "301 /new?x=1"),
            ("/old /new#part", "/old", "301 /new#part?"),
            ("/news/* /blog/:splat", "/news/2024/a", "301 /blog/2024/a?"),
            (
                "/news/:y/:m/:s /blog/:y-:m/:s.html",
                "/news/1/2/3",
                "301 /blog/1-2/3.html?",
            ),
            (
                "/store id=:id /blog/:id 301",
                "/store?id=my-post",
                "301 /blog/my-post",
            ),
            ("/a id=:id tag=:t /p/:t/:id", "/a?tag=x&id=y", "301 /p/x/y"),
            ("/a id=:id /b?i=:id", "/a?id=1%262", "301 /b?i=1%262"),
            ("/ page=news /news 302", "/?page=news", "302 /news"),
            (
                "http://b.example/* https://a.example/:splat",
                "http://b.example/x",
                "301 https://a.example/x?",
            ),
            (
                "/* https://a.example/:splat",
                "http://b.example/x",
                "301 https://a.example/x?",
            ),
            ("/app/* /index.html 200", "/app/x", "200=/index.html"),
            ("/en/* /en/404.html 404", "/en/x", "404=/en/404.html"),
            ("/gone /gone.html 410", "/gone", "410=/gone.html"),
            ("/law /law.html 451", "/law", "451=/law.html"),
            ("/keep/* 200", "/keep/x", "pass"),
            (
                "https://a.example/keep/* 200!",
                "https://a.example/keep/x",
                "pass",
            ),
            (
                "https://a.example/* 200",
                "https://a.example/keep/x",
                "pass",
            ),
            ("/* /:splat 200", "/a b", "pass"),
            ("/a%20b /c", "/a b", "301 /c?"),
            ("/trailing /trailing/", "/trailing", "301 /trailing/?"),
        ] {
            assert_eq!(
                applied(rule, address).as_deref(),
                Some(expected),
                "{rule} {address}"
            );
        }
    }

    #[test]
    fn rules_that_are_not_for_a_request_leave_it_alone() {
        for (rule, address) in [
            ("/old /new", "/older"),
            ("/store id=:id /blog/:id", "/store"),
            ("/store id=:id /blog/:id", "/store?id="),
            ("http://b.example/* /x", "http://a.example/y"),
            ("http://b.example/* /x", "/y"),
            ("/a /b 302 Role=admin", "/a"),
            ("/a /b 302 Country=de", "/a"),
            ("/a /b 302 Language=de", "/a"),
            // They would lead to themselves.
            ("/trailing /trailing/", "/trailing/"),
            ("/:a/* /a/:splat", "/a/b"),
            ("/a /a?x=1", "/a?x=1"),
            // No path of a site.
            ("/file name=:n /files/:n 200", "/file?name=..%2f..%2fetc"),
            ("/file name=:n /files/:n 200", "/file?name=.."),
        ] {
            assert_eq!(applied(rule, address), None, "{rule} {address}");
        }
    }

    #[test]
    fn a_rule_says_what_it_depends_on() {
        let list = [crate::http::Field {
            name: "Cookie",
            value: b"a=1",
        }];
        let depends = |rule: &str, path: &[u8]| {
            let context = RuleContext {
                host: None,
                path,
                query: None,
                fields: Fields::new(&list),
            };
            let mut depends_on = DependsOn::default();
            let rule = RedirectRule::parse(rule).unwrap();
            rule.apply(&context, Some("x-country"), &mut depends_on);
            depends_on
        };
        assert_eq!(depends("/a /b", b"/a"), DependsOn::NOTHING);
        assert_eq!(depends("/a x=1 /b", b"/a"), DependsOn::QUERY);
        assert_eq!(depends("/a x=1 /b", b"/c"), DependsOn::NOTHING);
        assert_eq!(depends("/a /b?x", b"/a"), DependsOn::NOTHING);
        assert_eq!(depends("/a /a?x", b"/a"), DependsOn::QUERY);
        assert_eq!(
            depends("/* https://o.example/:splat", b"/a"),
            DependsOn::HOST
        );
        assert_eq!(depends("/a https://o.example/b", b"/a"), DependsOn::NOTHING);
        assert_eq!(depends("https://a.example/a /b", b"/a"), DependsOn::HOST);
        assert_eq!(depends("/a /b 302 Language=de", b"/a"), DependsOn::LANGUAGE);
        let all = depends("/a /b 302 Country=de Cookie=a", b"/a");
        assert_eq!(all, DependsOn::COUNTRY | DependsOn::COOKIE);
        assert!(all.has_any(DependsOn::FIELDS) && !all.has_any(DependsOn::QUERY));
    }

    #[test]
    fn files_win_over_lines_without_force_only() {
        assert!(RedirectRule::parse("/a /b").unwrap().is_forced());
        assert!(!RedirectRule::parse_line("/a /b").unwrap().is_forced());
        assert!(!RedirectRule::parse_line("/a /b 200").unwrap().is_forced());
        assert!(RedirectRule::parse_line("/a /b 200!").unwrap().is_forced());
    }

    #[test]
    fn a_rewrite_serves_in_place() {
        let rule = RedirectRule::parse_rewrite("/a /b").unwrap();
        assert_eq!((rule.status(), rule.is_forced()), (Status::OK, true));
        assert!(RedirectRule::parse_rewrite("/a /b 404").is_ok());
        let why = RedirectRule::parse_rewrite("/a /b 302").unwrap_err();
        assert!(why.contains("no rewrite"), "{why}");
    }

    #[test]
    fn odd_rules_are_refused_with_a_sentence() {
        for (rule, says) in [
            ("", "FROM and TO"),
            ("# only words", "FROM and TO"),
            ("/a", "leads nowhere"),
            ("/a b", "leads nowhere"),
            ("/a 301", "leads nowhere"),
            ("/a/* 301", "leads nowhere"),
            ("a /b", "neither a slash"),
            ("/a /b 299", "no status of a redirect"),
            ("/a /b 301!!", "no status of a redirect"),
            ("/a /b 0301", "no status of a redirect"),
            ("/a /b soon", "neither a status nor"),
            ("/a /b 301 Moon=full", "no condition"),
            ("/api/* https://b.example/:splat 200", "proxy"),
            ("/a id=:x tag=:x /b", "captures :x twice"),
            ("/:x id=:x /b", "captures :x twice"),
            ("/a /b/:splat", "no * at the end"),
            ("/a /a", "leads to itself"),
            ("/a/* /a/:splat 302", "leads to itself"),
            (
                "http://a.example/* https://a.example/:splat",
                "--https-redirect",
            ),
        ] {
            let why = RedirectRule::parse(rule).unwrap_err();
            assert!(why.contains(says), "{rule}: {why}");
        }
        let text = "/a  /b 302 Language=de";
        assert_eq!(RedirectRule::parse(text).unwrap().to_string(), text);
    }

    proptest! {
        #[test]
        fn any_rule_and_any_request_are_answered_without_a_panic(
            rule in "(https://a)?/[a:*/]{0,6} ([a=:]{0,4} )?/[a:*/?#]{0,6}( 200!?)?|\\PC{0,32}",
            path in proptest::collection::vec(any::<u8>(), 0..32),
        ) {
            if let Ok(rule) = RedirectRule::parse(&rule) {
                let path = [b"/", &path[..]].concat();
                let context = RuleContext {
                    host: Some(b"a"),
                    path: &path,
                    query: Some(&path),
                    fields: Fields::new(&[]),
                };
                rule.apply(&context, None, &mut DependsOn::default());
            }
        }
    }
}
