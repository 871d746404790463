//! How many requests whoever has made, in bounded memory, for all workers.
use super::limit::Quota;
use std::time::Duration;
#[derive(Debug)]
pub struct LimitTable;
#[derive(Debug)]
pub struct Taken {
    pub allowed: bool,
    pub remaining: u32,
    pub reset: Duration,
    pub retry_after: Duration,
}
impl LimitTable {
    pub fn new(_bytes_max: u64) -> LimitTable {
        LimitTable
    }
    pub fn take(&self, _rule: u32, _key: &[u8], _quota: &Quota, _now_ns: u64) -> Taken {
        Taken {
            allowed: true,
            remaining: 0,
            reset: Duration::ZERO,
            retry_after: Duration::ZERO,
        }
    }
}
