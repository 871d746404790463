//! stub
use std::path::PathBuf;
use super::error_pages::PageName;
#[derive(Clone, Debug)]
pub struct Maintenance { pub page: Option<PageName>, pub retry_after_seconds: u64, pub when_file: Option<PathBuf> }
