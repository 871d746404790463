//! stub
#[derive(Clone, Debug, Default)]
pub struct Hosts;
impl Hosts {
    pub fn select(&self, _authority: Option<&[u8]>) -> Option<usize> {
        Some(0)
    }
}
