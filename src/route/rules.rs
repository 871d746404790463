//! What a site's rules say of a path: redirects, fields, error pages, maintenance.
//!
//! Asked when an answer is made for the first time, not when the cache holds it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::http::{ResponseHead, Status};

use super::cache_control::{CacheRule, cache_control};
use super::condition::DependsOn;
use super::error_pages::{ErrorPage, ErrorPageRule, error_page};
use super::field_blocks::{self, FieldBlock};
use super::fields::{FieldRule, SECURITY_PRESET};
use super::maintenance::Maintenance;
use super::redirect::{RedirectRule, RuleContext};
use super::redirects::{Redirects, Steered};
use super::rule_files::{Complaint, parse_headers, parse_redirects};

/// The rules of one site as the configuration gives them, each list in its order.
#[derive(Clone, Debug, Default)]
pub struct RuleSettings {
    /// `--redirect`, `--rewrite`
    pub redirects: Vec<RedirectRule>,
    /// `--header`
    pub fields: Vec<FieldRule>,
    /// `--cache-control`
    pub cache: Vec<CacheRule>,
    /// `--security-headers`
    pub security_headers: bool,
    /// `--error-page`
    pub error_pages: Vec<ErrorPageRule>,
    /// `--maintenance`
    pub maintenance: Vec<Maintenance>,
    /// The request field in which somebody whom the operator trusts says the client's country.
    pub country_header: Option<String>,
}

/// The rules of one site, compiled. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Rules(Arc<Compiled>);

#[derive(Debug, Default)]
struct Compiled {
    settings: Arc<RuleSettings>,
    /// Before files are looked for.
    forced: Redirects,
    /// When no file was found.
    unforced: Redirects,
    /// Of `_headers`.
    blocks: Vec<FieldBlock>,
}

/// What is known of an answer when its head is dressed.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Of the request: decoded, with its leading slash.
    pub path: &'a [u8],
    /// The authority of the request.
    pub host: Option<&'a [u8]>,
    /// The name of the file that is served; empty when it is none.
    pub file_name: &'a [u8],
    /// The value of `Content-Type`; empty when there is none.
    pub media_type: &'a str,
    pub status: Status,
}

impl Rules {
    /// Compiles rules.
    pub fn new(settings: RuleSettings) -> Rules {
        compile(Arc::new(settings), Vec::new(), Vec::new())
    }

    /// What the rules were made of.
    pub fn settings(&self) -> &RuleSettings {
        &self.0.settings
    }

    /// The configured rules together with those of the site's `_headers` and `_redirects`, which
    /// take the place of those of earlier files. Configured redirects come first and so win;
    /// configured fields come last, and so win, too. Lines that cannot be obeyed are skipped.
    pub fn with_files(
        &self,
        headers: Option<&[u8]>,
        redirects: Option<&[u8]>,
    ) -> (Rules, Vec<Complaint>) {
        let (blocks, mut complaints) = headers.map(parse_headers).unwrap_or_default();
        let (lines, further) = redirects.map(parse_redirects).unwrap_or_default();
        complaints.extend(further);
        (compile(self.0.settings.clone(), lines, blocks), complaints)
    }

    /// What becomes of a request before files are looked for.
    pub fn steer(&self, context: &RuleContext<'_>) -> Steered {
        self.0.forced.steer(context, self.country_header())
    }

    /// What becomes of a request for which no file was found. Whoever obeys a rewrite asks no
    /// further: there is one for each request.
    pub fn steer_missing(&self, context: &RuleContext<'_>) -> Steered {
        self.0.unforced.steer(context, self.country_header())
    }

    /// The fields of the request that something depended on, for `Vary`.
    pub fn vary(&self, depends_on: DependsOn) -> Vec<&str> {
        let names = [
            (DependsOn::LANGUAGE, Some("Accept-Language")),
            (DependsOn::COOKIE, Some("Cookie")),
            (DependsOn::COUNTRY, self.country_header()),
        ];
        let names = names.into_iter();
        let names = names.filter(|(field, _)| depends_on.has_any(*field));
        names.filter_map(|(_, name)| name).collect()
    }

    /// Gives the head of an answer its fields: the preset about security, `Cache-Control`, those of
    /// `_headers`, and the configured ones, so that what comes later wins. Says whether the host
    /// mattered.
    pub fn dress(&self, facts: &Facts<'_>, head: &mut ResponseHead) -> DependsOn {
        let settings = self.settings();
        if settings.security_headers {
            for (name, value) in SECURITY_PRESET {
                head.set(Cow::Borrowed(name), value.as_bytes().to_vec());
            }
        }
        let Facts {
            path,
            file_name,
            media_type,
            status,
            ..
        } = *facts;
        let cached = cache_control(&settings.cache, path, file_name, media_type, status);
        if let Some(value) = cached {
            head.set(Cow::Borrowed("Cache-Control"), value.as_bytes().to_vec());
        }
        let depends_on = field_blocks::apply(&self.0.blocks, path, facts.host, head);
        for rule in &settings.fields {
            rule.apply(path, head);
        }
        depends_on
    }

    /// True when what is said of an answer may differ from host to host.
    pub fn names_hosts(&self) -> bool {
        self.0.blocks.iter().any(FieldBlock::has_host)
    }

    /// The page that stands for an error at this path.
    pub fn error_page(&self, path: &[u8], status: Status) -> Option<&ErrorPage> {
        error_page(&self.settings().error_pages, path, status)
    }

    /// The maintenance that this path is under. Whether it holds right now may depend on a file.
    pub fn maintenance(&self, path: &[u8]) -> Option<&Maintenance> {
        let mut all = self.settings().maintenance.iter();
        all.find(|maintenance| maintenance.is_for(path))
    }

    fn country_header(&self) -> Option<&str> {
        self.settings().country_header.as_deref()
    }
}

fn compile(
    settings: Arc<RuleSettings>,
    lines: Vec<RedirectRule>,
    blocks: Vec<FieldBlock>,
) -> Rules {
    let redirects = settings.redirects.iter().cloned().chain(lines);
    let (forced, unforced): (Vec<_>, Vec<_>) = redirects.partition(RedirectRule::is_forced);
    Rules(Arc::new(Compiled {
        settings,
        forced: Redirects::new(forced),
        unforced: Redirects::new(unforced),
        blocks,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Field, Fields};
    use crate::route::redirect::Action;

    fn context<'a>(path: &'a str, list: &'a [Field<'a>]) -> RuleContext<'a> {
        RuleContext {
            host: Some(b"a.example"),
            path: path.as_bytes(),
            query: None,
            fields: Fields::new(list),
        }
    }

    fn location(steered: Steered) -> String {
        match steered.action {
            Action::Redirect { location, .. } => String::from_utf8(location).unwrap(),
            other => format!("{other:?}"),
        }
    }

    fn redirecting() -> Rules {
        Rules::new(RuleSettings {
            redirects: vec![RedirectRule::parse("/a /configured").unwrap()],
            country_header: Some("X-Country".to_owned()),
            ..RuleSettings::default()
        })
    }

    #[test]
    fn configured_redirects_come_before_those_of_the_file() {
        let file = b"/a /file 301!\n/b /forced 301!\n/* /missing 302\n/b /never\nnonsense\n";
        let (rules, complaints) = redirecting().with_files(None, Some(file));
        assert_eq!(complaints.len(), 1);
        for (path, before, missing) in [
            ("/a", "/configured", "/missing"),
            ("/b", "/forced", "/missing"),
            ("/c", "Pass", "/missing"),
        ] {
            assert_eq!(location(rules.steer(&context(path, &[]))), before, "{path}");
            assert_eq!(
                location(rules.steer_missing(&context(path, &[]))),
                missing,
                "{path}"
            );
        }
    }

    #[test]
    fn files_take_the_place_of_earlier_files() {
        let (old, _) = redirecting().with_files(Some(b"/*\n X-A: 1"), Some(b"/b /old 301!"));
        let (new, _) = old.with_files(None, Some(b"/c /new 301!"));
        assert_eq!(location(old.steer(&context("/b", &[]))), "/old");
        assert_eq!(location(new.steer(&context("/a", &[]))), "/configured");
        assert_eq!(location(new.steer(&context("/b", &[]))), "Pass");
        assert_eq!(location(new.steer(&context("/c", &[]))), "/new");
        assert_eq!(fields(&new, "/", Status::OK), "");
    }

    #[test]
    fn what_was_asked_of_the_request_is_known_for_vary() {
        let file = b"/ /de 302! Language=de\n/ /at 302! Country=at\n/ /c 302! Cookie=c";
        let (rules, _) = redirecting().with_files(None, Some(file));
        let list = [Field {
            name: "x-country",
            value: b"AT",
        }];
        let steered = rules.steer(&context("/", &list));
        assert_eq!(
            rules.vary(steered.depends_on),
            ["Accept-Language", "X-Country"]
        );
        assert_eq!(location(steered), "/at");
        let steered = rules.steer(&context("/", &[]));
        assert_eq!(
            rules.vary(steered.depends_on),
            ["Accept-Language", "Cookie", "X-Country"]
        );
        assert_eq!(steered.action, Action::Pass);
        let silent = Rules::default().with_files(None, Some(file)).0;
        let steered = silent.steer(&context("/", &list));
        assert_eq!(
            silent.vary(steered.depends_on),
            ["Accept-Language", "Cookie"]
        );
    }

    fn fields(rules: &Rules, path: &str, status: Status) -> String {
        let mut head = ResponseHead::new(status);
        let facts = Facts {
            path: path.as_bytes(),
            host: None,
            file_name: path.rsplit('/').next().unwrap().as_bytes(),
            media_type: "text/plain",
            status,
        };
        assert_eq!(rules.dress(&facts, &mut head), DependsOn::NOTHING);
        let lines = head.fields.iter();
        let lines = lines.map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
        lines.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn what_is_nearer_to_the_operator_wins() {
        let rules = Rules::new(RuleSettings {
            fields: [
                "!Cross-Origin-Opener-Policy",
                "/own/** Cache-Control: own",
                "!X-Frame-Options",
            ]
            .map(|rule| FieldRule::parse(rule).unwrap())
            .into(),
            cache: vec![CacheRule::parse("auto").unwrap()],
            security_headers: true,
            ..RuleSettings::default()
        });
        let file = b"/file/*\n Cache-Control: file\n Content-Security-Policy: mine\n\
            /own/*\n Cache-Control: file\n";
        let (rules, complaints) = rules.with_files(Some(file), None);
        assert_eq!(complaints, []);
        let preset =
            "X-Content-Type-Options=nosniff|Referrer-Policy=strict-origin-when-cross-origin";
        let frames = "|Content-Security-Policy=frame-ancestors 'self'";
        let immutable = "|Cache-Control=max-age=31536000, immutable";
        for (path, status, expected) in [
            ("/a.txt", Status::OK, format!("{preset}{frames}")),
            (
                "/a.3f2a9c1b.js",
                Status::OK,
                format!("{preset}{frames}{immutable}"),
            ),
            (
                "/a.3f2a9c1b.js",
                Status::NOT_FOUND,
                format!("{preset}{frames}"),
            ),
            (
                "/file/a.3f2a9c1b.js",
                Status::OK,
                format!("{preset}|Cache-Control=file|Content-Security-Policy=mine"),
            ),
            (
                "/own/a",
                Status::OK,
                format!("{preset}{frames}|Cache-Control=own"),
            ),
        ] {
            assert_eq!(fields(&rules, path, status), expected, "{path}");
        }
    }

    #[test]
    fn without_rules_nothing_happens() {
        let rules = Rules::default();
        assert_eq!(fields(&rules, "/a.3f2a9c1b.js", Status::OK), "");
        assert_eq!(rules.steer(&context("/", &[])).action, Action::Pass);
        assert_eq!(rules.error_page(b"/", Status::NOT_FOUND), None);
        assert_eq!(rules.maintenance(b"/"), None);
    }

    #[test]
    fn the_first_maintenance_for_a_path_counts() {
        let shop = Maintenance {
            retry_after_seconds: Some(60),
            ..Maintenance::parse("/shop/**").unwrap()
        };
        let rules = Rules::new(RuleSettings {
            maintenance: vec![shop.clone(), Maintenance::parse("/s*/**").unwrap()],
            error_pages: vec![ErrorPageRule::parse("503=/soon.html").unwrap()],
            ..RuleSettings::default()
        });
        assert_eq!(rules.maintenance(b"/shop/a"), Some(&shop));
        assert!(rules.maintenance(b"/site/a").is_some());
        assert_eq!(rules.maintenance(b"/a"), None);
        let page = rules.error_page(b"/shop/a", Status::SERVICE_UNAVAILABLE);
        assert_eq!(page, Some(&ErrorPage::At("/soon.html".to_owned())));
    }
}
