//! Why a write is not done, as an answer.

use std::borrow::Cow;

use rustix::io::Errno;

use crate::exchange::{Answer, AnswerHead, BodyFault};
use crate::handler::errors;
use crate::http::Status;

/// An error answer in the making.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: Status,
    reason: Cow<'static, str>,
    fields: Vec<(&'static str, Vec<u8>)>,
}

/// What a write comes to.
pub(super) type Result<T> = std::result::Result<T, Refusal>;

impl Refusal {
    /// With the usual sentence of its status.
    pub(super) fn new(status: Status) -> Refusal {
        Refusal::because(status, "")
    }

    /// With a sentence of its own.
    pub(super) fn because(status: Status, reason: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal {
            status,
            reason: reason.into(),
            fields: Vec::new(),
        }
    }

    /// With a further field.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Refusal {
        self.fields.push((name, value.into()));
        self
    }

    /// The answer.
    pub(super) fn into_answer(self) -> Answer {
        let mut answer = errors::error_answer(self.status, &self.reason, false);
        answer.head = match answer.head {
            AnswerHead::Template(template) if !self.fields.is_empty() => {
                let fields = self.fields.iter();
                let fields: Vec<(&str, &[u8])> =
                    fields.map(|(name, value)| (*name, &value[..])).collect();
                AnswerHead::Template(template.with_fields(&fields))
            }
            AnswerHead::Fresh(mut head) => {
                for (name, value) in self.fields {
                    head.set(name.into(), value);
                }
                AnswerHead::Fresh(head)
            }
            template => template,
        };
        answer
    }
}

/// What an error of the kernel means for the one who writes.
impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Refusal::new(Status::INSUFFICIENT_STORAGE),
            Errno::FBIG => Refusal::new(Status::CONTENT_TOO_LARGE),
            Errno::ACCESS | Errno::PERM | Errno::ROFS => {
                Refusal::because(Status::FORBIDDEN, "The server may not write here")
            }
            Errno::LOOP | Errno::XDEV => {
                let reason = "A symbolic link stands in the path; nothing is written through it";
                Refusal::because(Status::FORBIDDEN, reason)
            }
            Errno::NOENT | Errno::STALE => {
                let reason = "The directory that it should stand in is not there";
                Refusal::because(Status::CONFLICT, reason)
            }
            Errno::NOTDIR => {
                Refusal::because(Status::CONFLICT, "A part of the path is no directory")
            }
            Errno::NAMETOOLONG => Refusal::because(Status::URI_TOO_LONG, "A name is too long"),
            Errno::INVAL | Errno::ILSEQ => {
                let reason = "The file system does not take this name";
                Refusal::because(Status::BAD_REQUEST, reason)
            }
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => {
                Refusal::new(Status::SERVICE_UNAVAILABLE)
            }
            _ => {
                log::error!("cannot write: {}", std::io::Error::from(errno));
                Refusal::new(Status::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Refusal {
        Errno::from_io_error(&error).unwrap_or(Errno::IO).into()
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Refusal {
        match fault {
            BodyFault::TooLarge => Refusal::new(Status::CONTENT_TOO_LARGE),
            BodyFault::TooSlow => Refusal::new(Status::REQUEST_TIMEOUT),
            BodyFault::Malformed(reason) => Refusal::because(Status::BAD_REQUEST, reason),
            // Nobody hears it.
            BodyFault::Gone => Refusal::new(Status::BAD_REQUEST),
        }
    }
}
