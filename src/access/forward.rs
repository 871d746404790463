//! Asking another server whether a request may go on (`--forward-auth`).

use crate::route::Glob;

/// Whom to ask about the paths of a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardRule {
    /// `None`: every path.
    pub glob: Option<Glob>,
    pub url: String,
}
