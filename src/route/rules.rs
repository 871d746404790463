//! stub
use crate::http::{Fields, ResponseHead, Status};

#[derive(Clone, Debug, Default)]
pub struct Rules {}

pub struct RuleContext<'a> {
    pub host: Option<&'a [u8]>,
    pub path: &'a [u8],
    pub query: Option<&'a [u8]>,
    pub fields: Fields<'a>,
}
pub enum Action {
    Pass,
    Redirect {
        status: Status,
        location: Vec<u8>,
        keeps_query: bool,
    },
    Rewrite {
        path: Vec<u8>,
        status: Status,
    },
}
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DependsOn(u8);
impl DependsOn {
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}
pub struct Steered {
    pub action: Action,
    pub depends_on: DependsOn,
}
pub struct Facts<'a> {
    pub path: &'a [u8],
    pub file_name: &'a [u8],
    pub media_type: &'a str,
    pub status: Status,
}
use super::error_pages::PageName;
use super::maintenance::Maintenance;
impl Rules {
    pub fn steer(&self, _context: &RuleContext<'_>) -> Steered {
        Steered {
            action: Action::Pass,
            depends_on: DependsOn::default(),
        }
    }
    pub fn steer_missing(&self, _context: &RuleContext<'_>) -> Steered {
        Steered {
            action: Action::Pass,
            depends_on: DependsOn::default(),
        }
    }
    pub fn dress(&self, _facts: &Facts<'_>, _head: &mut ResponseHead) {}
    pub fn error_page(&self, _path: &[u8], _status: Status) -> Option<&PageName> {
        None
    }
    pub fn maintenance(&self, _path: &[u8]) -> Option<&Maintenance> {
        None
    }
}
