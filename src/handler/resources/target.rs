//! From the path of a request to the name that is written, by the rules that reading has, too.

use std::sync::Arc;

use super::refusal::{Refusal, Result};
use crate::base::limits::RETRY_AFTER_SECONDS_DEFAULT;
use crate::handler::files::{MountPoint, Site, Tree, is_never_written};
use crate::http::{PathError, SafePath, Status};

/// What may be asked of a collection, whose path ends in a slash.
const ALLOW_COLLECTION: &str = "GET, HEAD, OPTIONS, POST, DELETE";
/// What may be asked of any other resource.
const ALLOW_RESOURCE: &str = "GET, HEAD, OPTIONS, PUT, PATCH, DELETE";

/// The value of `Allow` for a path that may be written.
pub(super) fn allow(is_collection: bool) -> &'static str {
    match is_collection {
        true => ALLOW_COLLECTION,
        false => ALLOW_RESOURCE,
    }
}

/// A name below a mount of a tree, that exists or not.
#[derive(Clone, Debug)]
pub(super) struct Target {
    tree: Arc<Tree>,
    mount: usize,
    /// As the site knows it.
    pub(super) path: SafePath,
    /// Below the mount; empty for the mount itself.
    pub(super) inner: SafePath,
}

impl Target {
    /// What `raw_path` names. Nothing is asked of the disk.
    pub(super) fn of(site: &Site, raw_path: &[u8]) -> Result<Target> {
        let path = match SafePath::parse(raw_path) {
            Ok(path) => path,
            Err(PathError::NotFound) => return Err(Refusal::new(Status::NOT_FOUND)),
            Err(PathError::BadRequest(reason)) => {
                return Err(Refusal::because(Status::BAD_REQUEST, reason));
            }
        };
        let Some(tree) = site.tree() else {
            return Err(Refusal::because(
                Status::FORBIDDEN,
                "These pages cannot be written",
            ));
        };
        if let Some(maintenance) = tree.maintenance(&path.to_decoded()) {
            let seconds = maintenance.retry_after_seconds;
            let seconds = seconds.unwrap_or(RETRY_AFTER_SECONDS_DEFAULT).to_string();
            let reason = "The site is being worked on";
            let refusal = Refusal::because(Status::SERVICE_UNAVAILABLE, reason);
            return Err(refusal.with("Retry-After", seconds));
        }
        if path.is_hidden() && !site.settings().finding.hidden {
            let reason = "Names that begin with a dot are not written";
            return Err(Refusal::because(Status::FORBIDDEN, reason));
        }
        Target::below(tree, path)
    }

    /// The member `name` of this collection.
    pub(super) fn member(&self, name: &str) -> Result<Target> {
        Target::below(Arc::clone(&self.tree), self.path.join_index(name))
    }

    /// Another name in the same directory.
    pub(super) fn beside(&self, name: &str) -> Result<Target> {
        if !SafePath::is_segment(name.as_bytes()) {
            return Err(Refusal::new(Status::INTERNAL_SERVER_ERROR));
        }
        let path = self.path.with_file_name(name.as_bytes());
        Target::below(Arc::clone(&self.tree), path)
    }

    /// Something inside of this collection, to find its directory by.
    pub(super) fn inside(&self, name: &str) -> Target {
        let path = self.path.join_index(name);
        let (mount, inner) = self.tree.mount_of(&path);
        Target {
            tree: Arc::clone(&self.tree),
            mount,
            path,
            inner,
        }
    }

    /// True when a file of this name beside the target is a rule.
    pub(super) fn is_rule(&self, name: &[u8]) -> bool {
        is_never_written(&self.tree, self.mount, &self.inner.with_file_name(name))
    }

    fn below(tree: Arc<Tree>, path: SafePath) -> Result<Target> {
        let (mount, inner) = tree.mount_of(&path);
        if is_never_written(&tree, mount, &inner) {
            let reason = "Files with this name are not written by clients";
            return Err(Refusal::because(Status::FORBIDDEN, reason));
        }
        Ok(Target {
            tree,
            mount,
            path,
            inner,
        })
    }

    /// The mount that it lies below.
    pub(super) fn mount(&self) -> &MountPoint {
        &self.tree.mounts[self.mount]
    }

    /// True when it asks for a directory.
    pub(super) fn is_collection(&self) -> bool {
        self.path.ends_in_slash()
    }

    /// The value of `Location` for it.
    pub(super) fn location(&self) -> Vec<u8> {
        let mut location = Vec::new();
        crate::handler::redirect::push_path(&self.path.to_decoded(), &mut location);
        location
    }

    /// What writers of one resource have in common.
    pub(super) fn key(&self) -> Box<[u8]> {
        let root = Arc::as_ptr(&self.mount().root) as usize;
        [&root.to_ne_bytes()[..], self.inner.as_bytes()]
            .concat()
            .into()
    }
}
