//! What a site's rules say of a path: redirects, fields, error pages, maintenance.

/// The rules of one site, compiled.
#[derive(Clone, Debug, Default)]
pub struct Rules {}
