//! stub
#[derive(Clone, Debug, Default)]
pub struct Pool;
#[derive(Clone, Copy, Debug)]
pub enum Urgency {
    Answer,
    Background,
}
#[derive(Debug)]
pub struct Full;
impl Pool {
    pub fn run<T: Send + 'static>(
        &self,
        _urgency: Urgency,
        _job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<impl Future<Output = Option<T>>, Full> {
        Ok(std::future::ready(None))
    }
}
