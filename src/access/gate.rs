//! Asks everything that must hold before a request is answered.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::Now;
use crate::http::{FieldWriter, RequestHead, Status};

/// One worker's gate.
pub struct Gate;

/// Who is at the other end of a connection.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// `None`: it comes by a Unix socket.
    pub address: Option<IpAddr>,
    /// The subject of its certificate.
    pub certificate: Option<Arc<str>>,
}

/// What the slow lane has found out about a request that has been at the gate before.
#[derive(Debug)]
pub struct Found;

/// What must be found out in the slow lane.
#[derive(Debug)]
pub struct Work;

/// What the gate says. Fields for the answer were written, whatever it says.
#[derive(Debug)]
pub enum Asked {
    Passed(Passed),
    /// The answer to a preflight: 204.
    Preflight,
    Refused {
        status: Status,
        reason: &'static str,
    },
    /// The same request is to come again, with what was found out.
    Work(Work),
}

/// What is known of a request that has passed.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// Who asks, where that is known.
    pub user: Option<Arc<str>>,
    /// Its path is one that can be written.
    pub is_writable: bool,
}

impl Work {
    /// Does it. Blocks: not for a worker.
    pub fn run(self) -> Found {
        Found
    }
}

impl Gate {
    /// Asks all that must hold for a request to a site, and writes what its answer says besides.
    pub fn ask(
        &mut self,
        _site: usize,
        _question: Question<'_>,
        _out: &mut FieldWriter<'_>,
    ) -> Asked {
        Asked::Passed(Passed::default())
    }
}

/// What the gate is asked about.
#[derive(Debug)]
pub struct Question<'a> {
    pub head: &'a RequestHead<'a>,
    pub peer: &'a Peer,
    pub now: Now,
    pub found: Option<Found>,
}
