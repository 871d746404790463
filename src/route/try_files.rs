//! What is tried for a path, one after the other (`--try`, `--spa`).

/// One thing to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Try {
    /// The path with something behind it: `$path` (nothing), `$path.html`, `$path/index.htm`. One
    /// that ends in a slash (`$path/`) means the directory by its index.
    Path { suffix: String },
    /// A file of the site, whatever was asked for: `/app.html`. Decoded, without its first slash.
    File(String),
    /// Nothing: this status (`=404`).
    Status(u16),
}

/// What is tried, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TryFiles(pub Vec<Try>);

impl Default for TryFiles {
    /// The path itself.
    fn default() -> Self {
        TryFiles(vec![Try::Path {
            suffix: String::new(),
        }])
    }
}
