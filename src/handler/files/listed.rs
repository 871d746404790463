//! Directories that are shown.

use super::Loaded;
use super::answering::Answering;
use super::load::Loader;
use super::walk::Located;
use crate::cache::Entry;
use crate::http::{SafePath, Status};

pub(super) async fn load(
    _loader: &Loader<'_>,
    _path: &SafePath,
    _key: Box<[u8]>,
    _mount: usize,
    _inner: &SafePath,
    _located: &Located,
) -> Result<Entry, Status> {
    Err(Status::NOT_FOUND)
}

pub(super) async fn by_query(_answering: &Answering<'_>, _entry: &Entry) -> Option<Loaded> {
    None
}
