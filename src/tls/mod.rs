//! stub
#[derive(Clone, Debug)]
pub struct TlsServer;
#[derive(Debug)]
pub struct TlsFault;
impl std::fmt::Display for TlsFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("x")
    }
}
#[derive(Debug)]
pub struct Session;
pub struct Read {
    pub consumed: usize,
    pub closed: bool,
}
impl Session {
    pub fn new(_: &TlsServer) -> Session {
        Session
    }
    pub fn read(
        &mut self,
        _i: &mut [u8],
        _o: &mut Vec<u8>,
        _p: impl FnMut(bool, &[u8]),
    ) -> Result<Read, TlsFault> {
        Err(TlsFault)
    }
    pub fn write<'p>(
        &mut self,
        _p: impl Iterator<Item = &'p [u8]>,
        _o: &mut Vec<u8>,
    ) -> Result<(), TlsFault> {
        Ok(())
    }
    pub fn close_notify(&mut self, _o: &mut Vec<u8>) {}
    pub fn is_handshaking(&self) -> bool {
        true
    }
    pub fn alpn_is_h2(&self) -> bool {
        true
    }
}
pub fn looks_like_plain_http(_: &[u8]) -> bool {
    false
}
