//! Paths that answer 503 for a while (`--maintenance`).

use std::path::PathBuf;

use super::glob::Glob;

/// Maintenance of a site, or of a part of it (RFC 9110 §15.6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// What is under maintenance; `None` for all.
    pub glob: Option<Glob>,
    /// The page to show: a path of the site, decoded and with its leading slash.
    pub page: Option<String>,
    /// For `Retry-After` (RFC 9110 §10.2.3).
    pub retry_after_seconds: Option<u64>,
    /// Only while this file exists; always, without one. Whoever obeys looks for it.
    pub when_file: Option<PathBuf>,
}

impl Maintenance {
    /// Reads a glob, or nothing for the whole site. The fault is a sentence for the operator.
    pub fn parse(text: &str) -> Result<Maintenance, String> {
        let text = text.trim();
        let glob = (!text.is_empty()).then(|| Glob::parse(text));
        Ok(Maintenance {
            glob: glob.transpose()?,
            page: None,
            retry_after_seconds: None,
            when_file: None,
        })
    }

    /// True when it is about a path, decoded and with its leading slash.
    pub fn is_for(&self, path: &[u8]) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.matches(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintenance_is_for_all_or_a_part() {
        let shop = Maintenance::parse("/shop/**").unwrap();
        assert!(shop.is_for(b"/shop/a") && !shop.is_for(b"/a"));
        assert!(Maintenance::parse(" ").unwrap().is_for(b"/a"));
        assert!(Maintenance::parse("/{").unwrap_err().contains("brace"));
    }
}
