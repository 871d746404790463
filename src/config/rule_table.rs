//! A `[[rule]]` of the file: what holds for the paths of one glob, as the texts of flags.

/// One table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTable {
    /// Which paths.
    pub path: String,
    /// Where the table stands in the file.
    pub line: usize,
    /// What it says.
    pub said: Vec<Said>,
}

/// One thing that a table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The flag that it would be.
    pub key: &'static str,
    /// The flag's text without the glob; empty for what is switched on.
    pub text: String,
    pub line: usize,
}

/// Flags that a rule is made of, each with its id.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("header", "header"),
    ("cache-control", "cache_control"),
    ("redirect", "redirect"),
    ("rewrite", "rewrite"),
    ("error-page", "error_page"),
    ("maintenance", "maintenance"),
    ("cors", "cors"),
    ("access", "access"),
    ("forward-auth", "forward_auth"),
    ("limit", "limit"),
    ("allow", "allow"),
    ("deny", "deny"),
    ("writable", "writable"),
];

/// Those of them that are only switched on: `maintenance = true`.
pub(super) const SWITCHES: &[&str] = &["maintenance", "writable"];

/// Further keys of a rule.
pub(super) const OWN_KEYS: &[&str] = &["path", "headers", "status"];

impl RuleTable {
    /// The texts that a flag would have.
    pub(super) fn texts(&self, key: &'static str) -> impl Iterator<Item = String> {
        let said = self.said.iter().filter(move |said| said.key == key);
        said.map(|said| said.as_flag(&self.path))
    }
}

impl Said {
    /// The text that its flag would have.
    pub(super) fn as_flag(&self, path: &str) -> String {
        // Redirects and rewrites have patterns, whose only asterisk takes any segments.
        let path = match (self.key, path.strip_suffix("/**")) {
            ("redirect" | "rewrite", Some(start)) if !start.contains('*') => format!("{start}/*"),
            // To --cors, an asterisk alone is an origin.
            _ if path == "*" => "**".to_owned(),
            _ => path.to_owned(),
        };
        match self.text.is_empty() {
            true => path,
            false => format!("{path} {}", self.text),
        }
    }
}

/// All texts of a flag of which the last that is for a path counts: what is said for all paths,
/// then the tables of all sites, then those of one.
pub(super) fn last_counts(
    key: &'static str,
    texts: &[String],
    of_all: &[RuleTable],
    of_site: &[RuleTable],
) -> Vec<String> {
    let tables = of_all.iter().chain(of_site);
    let in_tables = tables.flat_map(|table| table.texts(key));
    texts.iter().cloned().chain(in_tables).collect()
}
