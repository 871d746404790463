//! stub
use crate::http::Coding;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    Fast,
    Best,
}
pub fn tag(coding: Coding, _effort: Effort) -> &'static str {
    coding.name()
}
pub fn compress(_coding: Coding, _effort: Effort, _input: &[u8]) -> Option<Vec<u8>> {
    None
}
pub struct Kept;
pub struct KeptKey;
impl KeptKey {
    pub fn new(
        _device: (u32, u32),
        _inode: u64,
        _len: u64,
        _modified: (i64, u32),
        _coding: Coding,
        _effort: Effort,
    ) -> KeptKey {
        KeptKey
    }
}
impl Kept {
    pub fn get(&self, _key: &KeptKey) -> Option<Vec<u8>> {
        None
    }
    pub fn put(&self, _key: &KeptKey, _bytes: &[u8]) {}
}
