//! Who may do what, and how often: addresses, credentials, permissions, origins, limits.
//!
//! Everything here is a question about one request, answered from memory. The policy of a path says
//! what its operator wants; the gate of a worker asks it before any handler does. What must wait (a
//! password to be hashed, another server to be asked) comes out as work for the slow lane; the
//! request is asked about again when that is done.

pub mod address;
pub mod connections;
pub mod cors;
pub mod credentials;
pub mod forward;
#[doc(hidden)]
pub mod fuzz;
pub mod gate;
pub mod limit;
pub mod limit_table;
pub mod permission;
pub mod policy;
pub mod proxy_protocol;
pub mod spelling;

use crate::route::Glob;

/// A rule's text begins with its glob where the first word is a path or has an asterisk; origins
/// have asterisks, too, behind a scheme.
pub(crate) fn split_glob(text: &str) -> Result<(Option<Glob>, &str), String> {
    let text = text.trim();
    let (first, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let is_glob = first.starts_with('/')
        || first.contains('*') && first != "*" && first != "*;" && !first.contains("://");
    match is_glob {
        true => Ok((Some(Glob::parse(first)?), rest.trim_start())),
        false => Ok((None, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_stands_first() {
        let split = |text: &'static str| {
            let (glob, rest) = split_glob(text).unwrap();
            (glob.map(|glob| glob.as_str().to_owned()), rest)
        };
        let glob = |text: &str| Some(text.to_owned());
        assert_eq!(split("/a/** 10/s"), (glob("/a/**"), "10/s"));
        assert_eq!(split("*.json  x"), (glob("*.json"), "x"));
        assert_eq!(split("10/s"), (None, "10/s"));
        assert_eq!(split("*"), (None, "*"));
        assert_eq!(split("*; credentials"), (None, "*; credentials"));
        assert_eq!(split("https://*.a.b c"), (None, "https://*.a.b c"));
        assert!(split_glob("/a{ x").is_err());
    }
}
