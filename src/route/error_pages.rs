//! stub
#[derive(Clone, Debug)]
pub enum PageName {
    At(String),
    Nearest(String),
}
