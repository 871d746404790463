//! The address that a request comes from, and lists of networks.
use crate::http::Fields;
use crate::route::Glob;
use std::net::IpAddr;
#[derive(Clone, Debug, Default)]
pub struct AddressList(Vec<IpAddr>);
impl AddressList {
    pub fn parse(text: &str) -> Result<AddressList, String> {
        text.split_whitespace()
            .map(|one| one.parse().map_err(|_| "no network".to_owned()))
            .collect::<Result<_, _>>()
            .map(AddressList)
    }
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}
#[derive(Clone, Debug)]
pub struct AddressRule {
    pub glob: Option<Glob>,
    pub list: AddressList,
}
impl AddressRule {
    pub fn parse(text: &str) -> Result<AddressRule, String> {
        let (glob, text) = super::split_glob(text)?;
        Ok(AddressRule {
            glob,
            list: AddressList::parse(text)?,
        })
    }
}
pub fn client_address(peer: IpAddr, _fields: &Fields<'_>, _trusted: &AddressList) -> IpAddr {
    peer
}
pub fn network_key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
        IpAddr::V6(a) => a.octets(),
    }
}
