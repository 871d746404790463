//! What is known of one request beside its head: what the gate has said of it, and what its answer
//! and the log say besides.

use crate::access::gate::{Gate, Passed};
use crate::exchange::Answer;
use crate::handler::problem::{self, ProblemForm};
use crate::http::{FieldForm, Fields, Method, RequestHead};

use super::services::Services;

/// What stands between requests and the rooms that answer them. A server that was asked for nothing
/// of it has none.
#[derive(Debug)]
pub struct Reception {
    /// Where some site has rules about access.
    pub gate: Option<Gate>,
}

/// One request at the reception.
#[derive(Debug, Default)]
pub(super) struct Visit {
    /// Fields for its answer, rendered for its protocol.
    pub(super) fields: Vec<u8>,
    /// What the gate has said.
    pub(super) passed: Passed,
}

/// What a request leaves behind for its answer, while the slow lane makes that.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The request was HEAD: an answer made in its task's stead has no content either.
    pub(super) head_only: bool,
    /// The form that it wants an error in.
    pub(super) problem_form: ProblemForm,
    /// Where there is a reception.
    pub(super) visit: Option<Box<Visit>>,
}

impl Left {
    /// What `request` leaves behind.
    pub(super) fn of(request: &RequestHead<'_>, visit: Option<Box<Visit>>) -> Left {
        Left {
            head_only: request.method == Method::Head,
            problem_form: ProblemForm::wanted(&request.fields),
            visit,
        }
    }

    /// Puts an error into the form that is wanted.
    pub(super) fn form(&self, answer: Answer) -> Answer {
        problem::in_form(answer, self.problem_form, "")
    }
}

impl Services {
    /// A request begins; `None` without a reception.
    #[inline]
    pub(super) fn begin_visit(&mut self, is_secure: bool, form: FieldForm) -> Option<Box<Visit>> {
        self.reception.as_ref()?;
        let mut visit = self.spare_visit.take().unwrap_or_default();
        visit.fields.clear();
        let fields = self.tls_fields.get(is_secure, form);
        visit.fields.extend_from_slice(fields);
        visit.passed = Passed::default();
        Some(visit)
    }

    /// A request was answered.
    #[inline]
    pub(super) fn end_visit(&mut self, visit: Option<Box<Visit>>) {
        if visit.is_some() {
            self.spare_visit = visit;
        }
    }
}

/// An error of its own in the form that the request wants; any other answer as it is.
pub(super) fn formed(answer: Answer, fields: &Fields<'_>) -> Answer {
    match problem::has_usual_text(&answer.head) {
        true => problem::in_form(answer, ProblemForm::wanted(fields), ""),
        false => answer,
    }
}
