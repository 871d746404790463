//! stub
pub fn field(_: &mut Vec<u8>, _: &str, _: &[u8]) {}
