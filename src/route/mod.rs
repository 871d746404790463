//! From a request head to what answers it. Pure: no I/O, no state.
//!
//! `hosts` finds the site, and `rules` say what its operator wants for a path. What the operator
//! writes is parsed here once, whether it stands in a flag, the configuration or a rule file.

pub mod cache_control;
pub mod condition;
pub mod error_pages;
pub mod escape;
pub mod field_blocks;
pub mod fields;
#[doc(hidden)]
pub mod fuzz;
pub mod glob;
pub mod hosts;
pub mod maintenance;
pub mod pattern;
pub mod redirect;
pub mod redirects;
pub mod rule_files;
pub mod rules;
pub mod site;
pub mod target;
pub mod try_files;

use crate::http::{Method, RequestHead, TargetForm};

pub use cache_control::CacheRule;
pub use condition::DependsOn;
pub use error_pages::{ErrorPage, ErrorPageRule};
pub use fields::FieldRule;
pub use glob::Glob;
pub use hosts::{HostName, Hosts};
pub use maintenance::Maintenance;
pub use redirect::{Action, RedirectRule, RuleContext};
pub use redirects::Steered;
pub use rule_files::Complaint;
pub use rules::{Facts, RuleSettings, Rules};
pub use site::SiteSettings;

/// What answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The site's files.
    Files,
    /// A change of a resource.
    Write,
    /// 204 with `Allow`.
    Options,
    /// 405 with `Allow`.
    MethodNotAllowed,
    /// 501.
    NotImplemented,
    /// 400, for the reason given.
    BadRequest(&'static str),
}

/// Chooses by method and form of the target, and by whether it is a resource that can be written.
#[inline]
pub fn route(head: &RequestHead<'_>, is_writable: bool) -> Route {
    match head.method {
        Method::Get | Method::Head => match head.form {
            TargetForm::Origin | TargetForm::Absolute => Route::Files,
            // RFC 9112 §3.2.3 and §3.2.4: these forms belong to CONNECT and OPTIONS alone.
            TargetForm::Authority | TargetForm::Asterisk => {
                Route::BadRequest("This method needs a path.")
            }
        },
        // For one path and for the whole server (`*`) alike: there is one rule (RFC 9110 §9.3.7).
        Method::Options => Route::Options,
        Method::Post | Method::Put | Method::Patch | Method::Delete if is_writable => Route::Write,
        // Known and not allowed here (RFC 9110 §15.5.6). TRACE would echo credentials (§9.3.8).
        Method::Post | Method::Put | Method::Patch | Method::Delete | Method::Trace => {
            Route::MethodNotAllowed
        }
        // CONNECT's target is a host and port, never a resource of ours that could allow other
        // methods, so 405 with `Allow` would say something untrue; we are "not capable of
        // supporting it for any resource" (RFC 9110 §15.6.2).
        Method::Connect | Method::Unknown => Route::NotImplemented,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Fields, Version};

    fn routed(method: Method, form: TargetForm) -> Route {
        let head = RequestHead {
            method,
            version: Version::Http11,
            form,
            path: b"/",
            query: None,
            authority: Some(b"a.example"),
            fields: Fields::new(&[]),
        };
        let writes = [Method::Post, Method::Put, Method::Patch, Method::Delete];
        let if_writable = route(&head, true);
        match writes.contains(&method) {
            true => assert_eq!(if_writable, Route::Write),
            false => assert_eq!(if_writable, route(&head, false)),
        }
        route(&head, false)
    }

    #[test]
    fn each_method_has_its_answer() {
        use Method::*;
        for (method, expected) in [
            (Get, Route::Files),
            (Head, Route::Files),
            (Options, Route::Options),
            (Post, Route::MethodNotAllowed),
            (Put, Route::MethodNotAllowed),
            (Patch, Route::MethodNotAllowed),
            (Delete, Route::MethodNotAllowed),
            (Trace, Route::MethodNotAllowed),
            (Connect, Route::NotImplemented),
            (Unknown, Route::NotImplemented),
        ] {
            assert_eq!(routed(method, TargetForm::Origin), expected, "{method:?}");
        }
    }

    #[test]
    fn forms_without_a_path_are_not_for_files() {
        use TargetForm::*;
        assert_eq!(routed(Method::Options, Asterisk), Route::Options);
        assert_eq!(routed(Method::Get, Absolute), Route::Files);
        for form in [Asterisk, Authority] {
            assert!(matches!(routed(Method::Get, form), Route::BadRequest(_)));
        }
    }
}
