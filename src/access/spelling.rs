//! Under which paths a request may find its file: rules that are for one of them are for it, too.
//!
//! The gate asks before any file is looked for. So what a site might find counts, whether it is
//! there or not; what it never tries does not.

use crate::http::SafePath;
use crate::route::site::{CleanUrls, Finding, TrailingSlash};
use crate::route::try_files::Try;

/// How files are found whose names are not the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spellings {
    /// What is put behind a path: `.html`.
    suffixes: Vec<String>,
    /// What stands for a directory, and whether it does without a final slash.
    index_names: Vec<String>,
    has_bare_directories: bool,
    /// Pages for any path.
    pages: Vec<String>,
}

impl Default for Spellings {
    fn default() -> Self {
        Spellings::of(&Finding::default())
    }
}

impl Spellings {
    /// Those of a site.
    pub fn of(finding: &Finding) -> Spellings {
        let (mut suffixes, mut pages) = (Vec::new(), Vec::new());
        for attempt in &finding.try_files.0 {
            match attempt {
                Try::Path { suffix } if suffix.is_empty() => {}
                Try::Path { suffix } => suffixes.push(suffix.clone()),
                Try::File(page) => pages.push(format!("/{page}")),
                Try::Status(_) => {}
            }
        }
        if finding.clean_urls != CleanUrls::Off {
            suffixes.push(".html".to_owned());
        }
        Spellings {
            suffixes,
            index_names: finding.index_names.clone(),
            has_bare_directories: finding.trailing_slash != TrailingSlash::Add,
            pages,
        }
    }

    /// The decoded path first, and then the others; none for what no file can have.
    pub(super) fn all(&self, raw_path: &[u8]) -> Vec<Vec<u8>> {
        let Ok(path) = SafePath::parse(raw_path) else {
            return Vec::new();
        };
        let path = path.to_decoded();
        let mut all = vec![path.clone()];
        if path.ends_with(b"/") {
            self.push_indexes(&path, &mut all);
        } else {
            for suffix in &self.suffixes {
                let found = [&path[..], suffix.as_bytes()].concat();
                if suffix.ends_with('/') {
                    self.push_indexes(&found, &mut all);
                }
                all.push(found);
            }
            let inside = [&path[..], b"/"].concat();
            if self.has_bare_directories {
                self.push_indexes(&inside, &mut all);
            }
            all.push(inside);
        }
        all.extend(self.pages.iter().map(|page| page.as_bytes().to_vec()));
        all
    }

    fn push_indexes(&self, directory: &[u8], all: &mut Vec<Vec<u8>>) {
        let names = self.index_names.iter();
        all.extend(names.map(|name| [directory, name.as_bytes()].concat()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::try_files::TryFiles;

    fn all(finding: &Finding, path: &str) -> Vec<String> {
        let all = Spellings::of(finding).all(path.as_bytes());
        all.into_iter()
            .map(|path| String::from_utf8(path).unwrap())
            .collect()
    }

    #[test]
    fn a_path_is_what_its_site_makes_of_it() {
        let plain = Finding::default();
        assert_eq!(all(&plain, "/%61"), ["/a", "/a/"]);
        assert_eq!(all(&plain, "/a/"), ["/a/", "/a/index.html"]);
        assert!(all(&plain, "/%00").is_empty());
        let clean = Finding {
            clean_urls: CleanUrls::Serve,
            trailing_slash: TrailingSlash::Ignore,
            index_names: vec!["home.htm".to_owned()],
            ..Finding::default()
        };
        let expected = ["/a", "/a.html", "/a/home.htm", "/a/"];
        assert_eq!(all(&clean, "/a"), expected);
        let path = |suffix: &str| Try::Path {
            suffix: suffix.to_owned(),
        };
        let tries = [
            path(""),
            path(".txt"),
            path("/"),
            Try::File("app.html".into()),
        ];
        let tried = Finding {
            try_files: TryFiles(tries.into()),
            ..Finding::default()
        };
        let expected = ["/a", "/a.txt", "/a/index.html", "/a/", "/a/", "/app.html"];
        assert_eq!(all(&tried, "/a"), expected);
    }
}
