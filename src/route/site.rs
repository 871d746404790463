//! What one site is asked to do: written by the configuration, obeyed by the handlers.

use std::path::PathBuf;
use std::time::Duration;

use super::rules::Rules;
use super::try_files::TryFiles;

/// One site's settings, checked and complete.
#[derive(Clone, Debug, Default)]
pub struct SiteSettings {
    /// The hosts that it answers for; empty for every host that no other site has.
    pub names: Vec<String>,
    /// The directory; `None` for the welcome pages.
    pub root: Option<PathBuf>,
    /// Further directories, each below a path of its own.
    pub mounts: Vec<Mount>,
    /// How the file behind a path is found.
    pub finding: Finding,
    /// Which representations of it there are.
    pub representations: Representations,
    /// Whether and how a directory without an index is shown.
    pub listing: Option<ListingSettings>,
    /// Redirects, fields, error pages, maintenance: by path.
    pub rules: Rules,
    /// Read `_headers` and `_redirects` at the root.
    pub reads_rule_files: bool,
    /// How long what was removed is still served when its name holds a hash; zero for not at all.
    pub keep_removed: Duration,
}

/// A directory that is served below a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Decoded path below the site's root, without slashes at its ends; never empty.
    pub prefix: String,
    /// The directory.
    pub root: PathBuf,
}

/// How the file behind a path is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Names that stand for a directory, in order of preference (`--index`).
    pub index_names: Vec<String>,
    /// What is tried for a path, in order (`--try`, `--spa`).
    pub try_files: TryFiles,
    /// Whether addresses go without `.html`.
    pub clean_urls: CleanUrls,
    /// What becomes of a final slash that is missing or too much.
    pub trailing_slash: TrailingSlash,
    /// Serve names that begin with a dot, too.
    pub hidden: bool,
    /// Follow symbolic links that lead out of the root.
    pub follow_symlinks: bool,
}

impl Default for Finding {
    fn default() -> Self {
        Finding {
            index_names: vec!["index.html".to_owned()],
            try_files: TryFiles::default(),
            clean_urls: CleanUrls::default(),
            trailing_slash: TrailingSlash::default(),
            hidden: false,
            follow_symlinks: false,
        }
    }
}

/// Whether addresses go without `.html` (`--clean-urls`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CleanUrls {
    /// A path names its file.
    #[default]
    Off,
    /// `/about` is served from `about.html` when there is no file `about`.
    Serve,
    /// The same, and `/about.html` is redirected to `/about`, `/dir/index.html` to `/dir/`.
    Redirect,
}

/// What becomes of a final slash (`--trailing-slash`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailingSlash {
    /// `/dir` is redirected to `/dir/`.
    #[default]
    Add,
    /// `/dir/` is redirected to `/dir`, which shows the directory's index.
    Remove,
    /// Both show the directory's index.
    Ignore,
}

/// Which representations of a resource there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representations {
    /// Take `.br`, `.zst` and `.gz` beside a file as its compressed forms (`--precompressed`).
    pub sidecars: bool,
    /// Compress on the fly what has no sidecar (`--compress`).
    pub compress: bool,
    /// Where compressed forms are kept over a restart (`--compress-dir`).
    pub compress_dir: Option<PathBuf>,
    /// Languages of `page.de.html`, `page.html.de` and `/de/page.html`, as BCP 47 tags in lower
    /// case; the first is the default. Empty: names mean no languages (`--language`).
    pub languages: Vec<String>,
    /// Take `.avif` and `.webp` beside an image, and `.md` beside HTML, as its other media types
    /// (`--media-variants`).
    pub media_variants: bool,
    /// Answer 406 when nothing that is there is acceptable, instead of sending it all the same
    /// (`--not-acceptable`).
    pub refuses_unacceptable: bool,
}

impl Default for Representations {
    fn default() -> Self {
        Representations {
            sidecars: true,
            compress: true,
            compress_dir: None,
            languages: Vec::new(),
            media_variants: false,
            refuses_unacceptable: false,
        }
    }
}

/// How a directory without an index is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListingSettings {}
