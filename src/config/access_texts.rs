//! The texts of rules about access, each held against its parser.
//!
//! Each function is the place of one parser: it says whether a text is right, with a sentence that
//! goes behind `--flag does not take "value"; `.

use super::site_values::field_name;
use crate::access::address::{AddressList, AddressRule};
use crate::access::cors::CorsRule;
use crate::access::forward::ForwardRule;
use crate::access::limit::LimitRule;
use crate::access::permission::AccessRule;
use crate::route::Glob;

/// Checks one text of a flag. Flags that are not about access take any.
pub(super) fn check_text(id: &str, text: &str) -> Result<(), String> {
    match id {
        "cors" => cors(text),
        "access" => access(text),
        "forward_auth" => forward_auth(text),
        "forward_auth_copy" => field_name(text),
        "limit" => limit(text),
        "allow" | "deny" => networks(text),
        "trusted_proxies" => trusted_proxies(text),
        "writable" => writable(text),
        "jwt_audience" | "jwt_issuer" if text.is_empty() => Err("it is empty".to_owned()),
        _ => Ok(()),
    }
}

fn cors(text: &str) -> Result<(), String> {
    CorsRule::parse(text).map(|_| ())
}

fn access(text: &str) -> Result<(), String> {
    AccessRule::parse(text).map(|_| ())
}

/// True when a text of `--access` says who may write.
pub(super) fn says_who_writes(text: &str) -> bool {
    text.split_whitespace()
        .any(|word| word.starts_with("write="))
}

fn forward_auth(text: &str) -> Result<(), String> {
    ForwardRule::parse(text).map(|_| ())
}

fn limit(text: &str) -> Result<(), String> {
    LimitRule::parse(text).map(|_| ())
}

fn networks(text: &str) -> Result<(), String> {
    AddressRule::parse(text).map(|_| ())
}

fn trusted_proxies(text: &str) -> Result<(), String> {
    AddressList::parse(text).map(|_| ())
}

/// The networks of a text, between blanks or commas.
pub(super) fn networks_of(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split([' ', ',', '\t', '\n']);
    parts.filter(|part| !part.is_empty())
}

fn writable(text: &str) -> Result<(), String> {
    Glob::parse(text.trim()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn right_texts_are_taken() {
        for (id, texts) in [
            ("cors", &["*", "/a/** https://a.example; credentials"][..]),
            (
                "access",
                &[
                    "read=users",
                    "/a/** write=user:b",
                    "*.json write=nobody read=claim:c=d",
                ],
            ),
            (
                "forward_auth",
                &["http://a", "/a/** https://[::1]:9000/verify?a=b"],
            ),
            ("forward_auth_copy", &["X-User"]),
            (
                "limit",
                &[
                    "10/s",
                    "/a/** 5/m burst=3",
                    "1/h by=header:X-Key burst=2",
                    "9/d by=user",
                ],
            ),
            ("allow", &["10.0.0.0/8", "/a/** ::1 10.0.0.1, fe80::/10"]),
            ("deny", &["0.0.0.0/0", "* ::/0"]),
            ("trusted_proxies", &["10.0.0.0/8", "10.0.0.0/8, ::1"]),
            ("writable", &["/notes/**", "*.json"]),
            ("jwt_audience", &["a"]),
            ("anything", &["", "a"]),
        ] {
            for text in texts {
                // A lone asterisk is an origin to the one and no network to the other.
                let expected = (id, *text) != ("deny", "* ::/0");
                assert_eq!(check_text(id, text).is_ok(), expected, "{id} {text}");
            }
        }
    }

    #[test]
    fn wrong_texts_are_told() {
        for (id, text, part) in [
            ("cors", "a", ""),
            ("cors", "*; credentials", "credentials"),
            ("access", "", "read="),
            ("access", "/a/**", "read="),
            ("access", "read=", "is nobody"),
            ("access", "reed=a", "read="),
            ("access", "read=users read=nobody", "a second time"),
            ("forward_auth", "/a/**", "http://127.0.0.1:9000/verify"),
            ("forward_auth", "ftp://a", "no address to ask"),
            ("forward_auth", "http:///a", "no address to ask"),
            ("forward_auth", "http://a b", "no address to ask"),
            ("forward_auth_copy", "a b", "name of a field"),
            ("limit", "", "10/s burst=20"),
            ("limit", "/a/**", "10/s burst=20"),
            ("limit", "10", "10/s burst=20"),
            ("limit", "0/s", "10/s burst=20"),
            ("limit", "10/y", "10/s burst=20"),
            ("limit", "10/s burst=x", "whole number"),
            ("limit", "10/s by=x", "header:NAME"),
            ("limit", "10/s by=header:", "name of a field"),
            ("limit", "10/s per=x", "neither burst"),
            ("allow", "/a/**", "no network"),
            ("allow", "10.0.0.0/33", "10.0.0.0/33 is no network"),
            ("deny", "::1/+1", "is no network"),
            ("deny", "localhost", "is no network"),
            ("trusted_proxies", "/a/** 10.0.0.0/8", "/a/** is no network"),
            ("trusted_proxies", ",", "names no network"),
            ("writable", "", "not empty"),
            ("writable", "/a{", "brace"),
            ("jwt_issuer", "", "empty"),
        ] {
            let why = check_text(id, text).unwrap_err();
            assert!(why.contains(part), "{id} {text:?}: {why}");
        }
    }

    #[test]
    fn who_writes_is_said_by_a_word() {
        assert!(says_who_writes("/a/** read=a write=b") && says_who_writes("write=b"));
        assert!(!says_who_writes("/write=b/** read=a") && !says_who_writes(""));
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(
            id in 0usize..9,
            text in "\\PC{0,32}|[a-z0-9 =/:.,*]{0,32}",
        ) {
            let ids = [
                "cors", "access", "forward_auth", "forward_auth_copy", "limit", "allow",
                "trusted_proxies", "writable", "jwt_audience",
            ];
            let _ = check_text(ids[id], &text);
        }
    }
}
