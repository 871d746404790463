//! What is known of one request beside its head: what the gate has said of it, and what its answer
//! and the log say besides.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::access::credentials::Identity;
use crate::access::gate::{Found, Passed, Peer};
use crate::exchange::{Answer, AnswerHead, Body};
use crate::handler::errors;
use crate::handler::problem::{self, ProblemForm};
use crate::http::{
    FieldForm, FieldWriter, Fields, HeadTemplate, Method, OwnedRequestHead, RequestHead, Status,
    TargetForm,
};
use crate::record::{CacheState, Entry, RequestId};

use super::reception::{Flight, Overloaded};
use super::services::Services;

/// One request at the reception.
#[derive(Debug)]
pub(super) struct Visit {
    /// Fields for its answer, rendered for its protocol.
    pub(super) fields: Vec<u8>,
    /// What the gate has said.
    pub(super) passed: Passed,
    /// Where it comes from, as far as that can be trusted.
    pub(super) address: Option<IpAddr>,
    pub(super) id: Option<RequestId>,
    /// Its answer says the id.
    says_id: bool,
    /// It is logged and counted.
    pub(super) is_told: bool,
    /// When its head had come.
    pub(super) began: Duration,
    pub(super) is_secure: bool,
    /// Its head, while the answer is being made.
    pub(super) head: Option<OwnedRequestHead>,
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
    /// It counts as one under way.
    flight: Option<Flight>,
}

/// How far the answer is to a request that the slow lane has not got.
pub(super) enum Made {
    /// It is in the output.
    Written(Outcome),
    Ready(Answer, CacheState),
}

impl Made {
    /// There is too much to do for one more request.
    #[cold]
    pub(super) fn busy(request: &RequestHead<'_>) -> Made {
        let head_only = request.method == Method::Head;
        Made::Ready(errors::busy_answer(head_only), CacheState::Bypass)
    }
}

/// How a request was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) status: Status,
    /// Bytes of content.
    pub(super) bytes: u64,
    pub(super) cache: CacheState,
}

/// What had to be found out about a request that is asked about again, and what it left behind.
#[derive(Debug)]
pub(super) struct Again {
    found: Found,
    visit: Option<Box<Visit>>,
    flight: Option<Flight>,
}

impl Again {
    pub(super) fn new(found: Found, left: Left) -> Again {
        Again {
            found,
            visit: left.visit,
            flight: left.flight,
        }
    }

    /// It goes on as the one request that it is.
    pub(super) fn take_flight(&mut self) -> Option<Flight> {
        self.flight.take()
    }
}

impl Outcome {
    /// Of an answer from memory.
    #[inline]
    pub(super) fn of_hit(head: &HeadTemplate, body: &Bytes) -> Outcome {
        Outcome {
            status: head.status(),
            bytes: body.len() as u64,
            cache: CacheState::Hit,
        }
    }

    /// Of an answer that is about to be written.
    pub(super) fn of(answer: &Answer, cache: CacheState) -> Outcome {
        Outcome {
            status: match &answer.head {
                AnswerHead::Template(template) => template.status(),
                AnswerHead::Fresh(head) => head.status,
            },
            bytes: match &answer.body {
                Body::Empty | Body::Stream(_) => 0,
                Body::Bytes(bytes) => bytes.len() as u64,
                Body::File(range) => range.len,
                Body::Parts(parts) => parts.len(),
            },
            cache,
        }
    }
}

impl Left {
    /// What `request` leaves behind.
    pub(super) fn of(
        request: &RequestHead<'_>,
        visit: Option<Box<Visit>>,
        flight: Option<Flight>,
    ) -> Left {
        let mut left = Left {
            head_only: request.method == Method::Head,
            problem_form: ProblemForm::wanted(&request.fields),
            visit,
            flight,
        };
        if let Some(visit) = &mut left.visit {
            visit.head = Some(OwnedRequestHead::new(request));
        }
        left
    }

    /// Puts an error into the form that is wanted.
    pub(super) fn form(&mut self, answer: Answer, form: FieldForm) -> Answer {
        if let Some(visit) = self.visit.as_deref_mut()
            && problem::has_usual_text(&answer.head)
        {
            visit.say_id(form);
        }
        problem::in_form(answer, self.problem_form, id_of(self.visit.as_deref()))
    }
}

impl Default for Visit {
    fn default() -> Self {
        Visit {
            fields: Vec::new(),
            passed: Passed::default(),
            address: None,
            id: None,
            says_id: false,
            is_told: true,
            began: Duration::ZERO,
            is_secure: false,
            head: None,
        }
    }
}

impl Services {
    /// The visit of a request, which may have been here before; none without a reception.
    #[inline]
    pub(super) fn visit(
        &mut self,
        request: &RequestHead<'_>,
        peer: Option<&Peer>,
        (is_secure, form): (bool, FieldForm),
        again: Option<Again>,
    ) -> (Option<Box<Visit>>, Option<Found>) {
        match again {
            None => (self.begin_visit(request, peer, (is_secure, form)), None),
            Some(Again {
                found, mut visit, ..
            }) => {
                if let Some(visit) = &mut visit {
                    self.begin_again(visit, form);
                }
                (visit, Some(found))
            }
        }
    }

    /// The visit of a request that comes for the first time; none without a reception.
    #[inline]
    pub(super) fn begin_visit(
        &mut self,
        request: &RequestHead<'_>,
        peer: Option<&Peer>,
        (is_secure, form): (bool, FieldForm),
    ) -> Option<Box<Visit>> {
        let reception = self.reception.as_deref_mut()?;
        let mut visit = self.spare_visit.take().unwrap_or_default();
        visit.fields.clear();
        let fields = self.tls_fields.get(is_secure, form);
        visit.fields.extend_from_slice(fields);
        visit.passed = Passed::default();
        visit.is_secure = is_secure;
        visit.began = reception.turn_began();
        visit.address = reception.address_of(request, peer);
        visit.id = reception.id_of(request, peer);
        visit.says_id = false;
        visit.is_told = true;
        if reception.says_request_id {
            visit.say_id(form);
        }
        Some(visit)
    }

    /// A request is asked about again: what the gate wrote before is forgotten.
    fn begin_again(&self, visit: &mut Visit, form: FieldForm) {
        visit.fields.clear();
        let fields = self.tls_fields.get(visit.is_secure, form);
        visit.fields.extend_from_slice(fields);
        visit.passed = Passed::default();
        if std::mem::take(&mut visit.says_id) {
            visit.say_id(form);
        }
    }

    /// A request was answered.
    #[inline]
    pub(super) fn end_visit(
        &mut self,
        visit: Option<Box<Visit>>,
        request: &RequestHead<'_>,
        outcome: Outcome,
    ) {
        let Some(mut visit) = visit else {
            return;
        };
        if let Some(reception) = &mut self.reception
            && reception.records()
            && visit.is_told
        {
            let now = since_epoch();
            let took = now.saturating_sub(visit.began).as_micros();
            let micros = u32::try_from(took).unwrap_or(u32::MAX);
            let entry = visit.entry(request, outcome, (now, micros));
            if reception.is_read() {
                reception.counters.on_request(&entry.answered());
            }
            if let Some(recorder) = &mut reception.recorder {
                recorder.record(&entry);
            }
        }
        visit.head = None;
        self.spare_visit = Some(visit);
    }

    /// One more request for the slow lane, unless there are enough; or one that is in it already.
    pub(super) fn take_off(&self, flight: Option<Flight>) -> Result<Option<Flight>, Overloaded> {
        match &self.reception {
            Some(reception) if flight.is_none() => reception.take_off(),
            _ => Ok(flight),
        }
    }

    /// A handler has panicked.
    #[cold]
    pub(super) fn count_panic(&self) {
        if let Some(reception) = &self.reception {
            reception.counters.on_panic();
        }
    }

    /// A request was answered by the slow lane.
    pub(super) fn end_left(&mut self, mut left: Left, outcome: Outcome) {
        if let Some(visit) = &mut left.visit
            && let Some(head) = visit.head.take()
        {
            let list = head.list();
            self.end_visit(left.visit, &head.borrow(&list), outcome);
        }
    }
}

impl Visit {
    /// Lets the answer say how the request is called in the log.
    fn say_id(&mut self, form: FieldForm) {
        if let Some(id) = self.id.filter(|_| !self.says_id) {
            self.says_id = true;
            FieldWriter::new(&mut self.fields, form).field("X-Request-Id", id.as_bytes());
        }
    }

    fn entry<'a>(
        &'a self,
        request: &RequestHead<'a>,
        outcome: Outcome,
        (now, micros): (Duration, u32),
    ) -> Entry<'a> {
        let (mut referer, mut user_agent) = (None, None);
        for field in request.fields.list() {
            match field.name.len() {
                7 if field.name.eq_ignore_ascii_case("referer") => referer = Some(field.value),
                10 if field.name.eq_ignore_ascii_case("user-agent") => {
                    user_agent = Some(field.value);
                }
                _ => {}
            }
        }
        Entry {
            unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            address: self.address,
            user: self.passed.identity.as_deref().map(Identity::name),
            method: request.method,
            target: match request.form {
                TargetForm::Asterisk => b"*",
                _ => request.path,
            },
            query: request.query,
            version: request.version,
            is_secure: self.is_secure,
            host: request.authority,
            status: outcome.status.code(),
            bytes: outcome.bytes,
            micros,
            id: self.id.expect("who records makes ids"),
            cache: outcome.cache,
            referer,
            user_agent,
        }
    }
}

/// The id of a request, where it has one.
pub(super) fn id_of(visit: Option<&Visit>) -> &str {
    match visit {
        Some(Visit { id: Some(id), .. }) => id.as_str(),
        _ => "",
    }
}

/// An error of its own in the form that the request wants; any other answer as it is.
pub(super) fn formed(
    answer: Answer,
    fields: &Fields<'_>,
    visit: Option<&mut Visit>,
    form: FieldForm,
) -> Answer {
    if !problem::has_usual_text(&answer.head) {
        return answer;
    }
    let wanted = ProblemForm::wanted(fields);
    match visit {
        None => problem::in_form(answer, wanted, ""),
        Some(visit) => {
            visit.say_id(form);
            problem::in_form(answer, wanted, id_of(Some(visit)))
        }
    }
}

/// The time by the clock of the machine.
pub(super) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
