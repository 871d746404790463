//! stub
use super::error_pages::PageName;
use std::path::PathBuf;
#[derive(Clone, Debug)]
pub struct Maintenance {
    pub page: Option<PageName>,
    pub retry_after_seconds: u64,
    pub when_file: Option<PathBuf>,
}
