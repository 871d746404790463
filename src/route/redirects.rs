//! The redirects and rewrites of a site, in order.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::condition::DependsOn;
use super::redirect::{Action, RedirectRule, RuleContext};

/// What rules made of a request, and what of it they looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steered {
    pub action: Action,
    /// What of the request, beside its path, the action depended on. While it is nothing, every
    /// request for the path gets the same.
    pub depends_on: DependsOn,
}

/// Rules of which the first that is for a request counts.
#[derive(Clone, Debug, Default)]
pub struct Redirects {
    rules: Box<[RedirectRule]>,
    /// Positions of the rules for one path alone, by that path without its final slash.
    by_path: HashMap<Vec<u8>, Vec<usize>, RandomState>,
    /// Positions of the others.
    others: Box<[usize]>,
}

impl Redirects {
    /// Takes rules in their order.
    pub fn new(rules: impl IntoIterator<Item = RedirectRule>) -> Redirects {
        let rules: Box<[RedirectRule]> = rules.into_iter().collect();
        let (mut by_path, mut others) = (HashMap::<_, Vec<usize>, _>::default(), Vec::new());
        for (position, rule) in rules.iter().enumerate() {
            match rule.from().literal() {
                Some(path) => by_path.entry(path).or_default().push(position),
                None => others.push(position),
            }
        }
        Redirects {
            rules,
            by_path,
            others: others.into(),
        }
    }

    /// What the first rule that is for the request makes of it.
    pub fn steer(&self, context: &RuleContext<'_>, country_field: Option<&str>) -> Steered {
        let mut depends_on = DependsOn::NOTHING;
        let mut candidates = self.candidates(context.path);
        let action = candidates
            .find_map(|rule| rule.apply(context, country_field, &mut depends_on))
            .unwrap_or(Action::Pass);
        Steered { action, depends_on }
    }

    /// The rules that may be for a path, in their order.
    fn candidates(&self, path: &[u8]) -> impl Iterator<Item = &RedirectRule> {
        let key = path.strip_suffix(b"/").unwrap_or(path);
        let own = self.by_path.get(key).map_or(&[][..], Vec::as_slice);
        let (mut own, mut others) = (own.iter().peekable(), self.others.iter().peekable());
        std::iter::from_fn(move || {
            let next = match (own.peek(), others.peek()) {
                (Some(first), Some(second)) if first < second => own.next(),
                (_, Some(_)) => others.next(),
                (_, None) => own.next(),
            };
            next.map(|position| &self.rules[*position])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Fields;
    use proptest::prelude::*;

    fn rules(texts: &[&str]) -> Redirects {
        Redirects::new(texts.iter().map(|text| RedirectRule::parse(text).unwrap()))
    }

    fn steer(redirects: &Redirects, path: &str, query: Option<&[u8]>) -> Steered {
        let context = RuleContext {
            host: None,
            path: path.as_bytes(),
            query,
            fields: Fields::new(&[]),
        };
        redirects.steer(&context, None)
    }

    fn location(redirects: &Redirects, path: &str, query: Option<&[u8]>) -> String {
        match steer(redirects, path, query).action {
            Action::Redirect { location, .. } => String::from_utf8(location).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_first_rule_wins_whatever_its_kind() {
        let redirects = rules(&[
            "/a/b /1",
            "/a/* /2",
            "/a/c /3",
            "/x id=1 /4",
            "/x id=2 /5",
            "/:any /6",
            "/x /7",
        ]);
        for (path, query, expected) in [
            ("/a/b", None, "/1"),
            ("/a/b/", None, "/1"),
            ("/a/c", None, "/2"),
            ("/x", Some(&b"id=2"[..]), "/5"),
            ("/x", Some(b"id=3"), "/6"),
            ("/y/", None, "/6"),
            ("/", None, "Pass"),
            ("/y/z", None, "Pass"),
        ] {
            assert_eq!(location(&redirects, path, query), expected, "{path}");
        }
    }

    #[test]
    fn only_rules_that_were_looked_at_are_depended_on() {
        let redirects = rules(&["/a /1", "/* q=1 /2", "/b /3"]);
        assert_eq!(steer(&redirects, "/a", None).depends_on, DependsOn::NOTHING);
        assert_eq!(steer(&redirects, "/b", None).depends_on, DependsOn::QUERY);
        assert_eq!(steer(&redirects, "/c", None).depends_on, DependsOn::QUERY);
    }

    proptest! {
        /// The map is a short cut and changes nothing.
        #[test]
        fn the_order_holds(
            sources in proptest::collection::vec("/[ab]|/[ab]/\\*|/\\*|/:x|/[ab]/[ab]", 1..12),
            path in "/[ab](/[ab])?",
        ) {
            let texts = sources.iter().enumerate().map(|(n, from)| format!("{from} /to/{n}"));
            let texts: Vec<String> = texts.collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let expected = texts.iter().find_map(|text| {
                let one = location(&rules(&[text]), &path, None);
                (one != "Pass").then_some(one)
            });
            let found = location(&rules(&texts), &path, None);
            prop_assert_eq!(found, expected.unwrap_or("Pass".to_owned()));
        }
    }
}
