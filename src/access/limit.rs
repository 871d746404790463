//! How many requests whom may make: rules.
use super::limit_table::Taken;
use crate::http::{FieldWriter, RequestHead};
use crate::route::Glob;
#[derive(Clone, Debug)]
pub struct Quota;
#[derive(Clone, Debug)]
pub struct LimitRule {
    pub glob: Option<Glob>,
    pub quota: Quota,
    pub by: By,
}
#[derive(Clone, Debug)]
pub struct By;
impl By {
    pub fn counts_users(&self) -> bool {
        false
    }
    pub fn write(
        &self,
        _head: &RequestHead<'_>,
        network: [u8; 16],
        _user: Option<&str>,
        key: &mut Vec<u8>,
    ) {
        key.extend_from_slice(&network)
    }
}
impl LimitRule {
    pub fn parse(text: &str) -> Result<LimitRule, String> {
        let (glob, _) = super::split_glob(text)?;
        Ok(LimitRule {
            glob,
            quota: Quota,
            by: By,
        })
    }
    pub fn write_fields(&self, _taken: &Taken, _out: &mut FieldWriter<'_>) {}
}
