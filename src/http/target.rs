//! Request targets: the four forms of RFC 9112 §3.2, and the `:path` of HTTP/2 (RFC 9113 §8.3.1).

use super::{Authority, Fault, Method, TargetForm};

/// A request target, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    pub form: TargetForm,
    /// Empty unless the form is origin or absolute.
    pub path: &'a [u8],
    /// What follows the first `?`, without it.
    pub query: Option<&'a [u8]>,
    /// Only of the forms that hold one.
    pub authority: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Takes the target of a request line apart; its form must be one that `method` allows.
    #[inline]
    pub fn parse(method: Method, target: &'a [u8]) -> Result<Target<'a>, Fault> {
        if target.first() == Some(&b'/') && method != Method::Connect {
            return Self::parse_path(target);
        }
        Self::parse_rare(method, target)
    }

    /// Takes a path with an optional query apart; the caller has seen that it begins with `/`.
    #[inline]
    pub fn parse_path(target: &'a [u8]) -> Result<Target<'a>, Fault> {
        Self::with_path(TargetForm::Origin, None, target)
    }

    #[cold]
    fn parse_rare(method: Method, target: &'a [u8]) -> Result<Target<'a>, Fault> {
        if method == Method::Connect {
            return Self::parse_authority_form(target);
        }
        if target == b"*" {
            return if method == Method::Options {
                Ok(Self::without_path(TargetForm::Asterisk, None))
            } else {
                Err(Fault::bad_request("the target * is for OPTIONS only"))
            };
        }
        Self::parse_absolute_form(target)
    }

    /// §3.2.3: CONNECT names a host and a port, and nothing else.
    fn parse_authority_form(target: &'a [u8]) -> Result<Target<'a>, Fault> {
        match Authority::parse(target) {
            Some(Authority { port: Some(_), .. }) => {
                Ok(Self::without_path(TargetForm::Authority, Some(target)))
            }
            _ => Err(Fault::bad_request("CONNECT needs a target of host:port")),
        }
    }

    /// §3.2.2: what proxies send, and what every server must accept.
    fn parse_absolute_form(target: &'a [u8]) -> Result<Target<'a>, Fault> {
        const NOT_A_TARGET: Fault = Fault::bad_request("the request target has no known form");
        let scheme_end = memchr::memmem::find(target, b"://").ok_or(NOT_A_TARGET)?;
        let (scheme, rest) = (&target[..scheme_end], &target[scheme_end + 3..]);
        if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
            return Err(NOT_A_TARGET);
        }
        let authority_end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
            .unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        // RFC 9110 §4.2.1: an http URI with an empty host must be refused.
        if Authority::parse(authority).is_none() {
            return Err(Fault::bad_request(
                "the authority of the target is malformed",
            ));
        }
        let mut target = Self::with_path(TargetForm::Absolute, Some(authority), path)?;
        if target.path.is_empty() {
            target.path = b"/"; // RFC 9110 §4.2.3: the same resource.
        }
        Ok(target)
    }

    #[inline]
    fn with_path(
        form: TargetForm,
        authority: Option<&'a [u8]>,
        bytes: &'a [u8],
    ) -> Result<Target<'a>, Fault> {
        let mut path = bytes;
        let mut query = None;
        if let Some(mark) = memchr::memchr2(b'?', b'#', bytes) {
            let rest = &bytes[mark + 1..];
            // A fragment is never sent (RFC 9110 §4.2.5); who sends one may mean anything.
            if bytes[mark] == b'#' || memchr::memchr(b'#', rest).is_some() {
                return Err(Fault::bad_request("the target holds a fragment"));
            }
            path = &bytes[..mark];
            query = Some(rest);
        }
        Ok(Target {
            form,
            path,
            query,
            authority,
        })
    }

    fn without_path(form: TargetForm, authority: Option<&'a [u8]>) -> Target<'a> {
        Target {
            form,
            path: b"",
            query: None,
            authority,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(
        method: Method,
        target: &str,
    ) -> Option<(TargetForm, &str, Option<&str>, Option<&str>)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        let target = Target::parse(method, target.as_bytes()).ok()?;
        let (query, authority) = (target.query.map(text), target.authority.map(text));
        Some((target.form, text(target.path), query, authority))
    }

    /// RFC 9112 §3.2.1
    #[test]
    fn origin_form() {
        let get = |target| parse(Method::Get, target);
        assert_eq!(get("/"), Some((TargetForm::Origin, "/", None, None)));
        assert_eq!(get("/a?"), Some((TargetForm::Origin, "/a", Some(""), None)));
        assert_eq!(
            get("/a?b?c"),
            Some((TargetForm::Origin, "/a", Some("b?c"), None))
        );
        assert_eq!(
            get("//b/c"),
            Some((TargetForm::Origin, "//b/c", None, None))
        );
        for target in ["/#", "/a#b", "/a?b#c", "/a#b?c"] {
            assert_eq!(get(target), None, "{target}");
        }
    }

    /// RFC 9112 §3.2.2
    #[test]
    fn absolute_form() {
        let get = |target| parse(Method::Get, target);
        let absolute =
            |path, query, authority| Some((TargetForm::Absolute, path, query, authority));
        assert_eq!(get("http://a/b?c"), absolute("/b", Some("c"), Some("a")));
        assert_eq!(get("HTTPS://a:1"), absolute("/", None, Some("a:1")));
        assert_eq!(
            get("http://[::1]?c"),
            absolute("/", Some("c"), Some("[::1]"))
        );
        assert_eq!(
            get("http://a/http://b/"),
            absolute("/http://b/", None, Some("a"))
        );
        for target in [
            "http://",
            "http:///a",
            "http://:80/",
            "http://u@a/",
            "http://a#b",
            "http://a/#b",
            "ftp://a/",
            "://a/",
            "http:/a",
            "a",
            "a/b",
            "a:80",
            "?a",
            "http://a b/",
        ] {
            assert_eq!(get(target), None, "{target}");
        }
    }

    /// RFC 9112 §3.2.3, §3.2.4
    #[test]
    fn authority_and_asterisk_form() {
        let authority = Some((TargetForm::Authority, "", None, Some("a:443")));
        assert_eq!(parse(Method::Connect, "a:443"), authority);
        for target in ["a", "a:", "/", "*", "http://a:1/", "u@a:1"] {
            assert_eq!(parse(Method::Connect, target), None, "{target}");
        }
        let asterisk = Some((TargetForm::Asterisk, "", None, None));
        assert_eq!(parse(Method::Options, "*"), asterisk);
        assert_eq!(parse(Method::Options, "**"), None);
        assert_eq!(parse(Method::Get, "*"), None);
        assert_eq!(parse(Method::Unknown, "*"), None);
    }
}
