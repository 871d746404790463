//! Errors in the form that their reader asks for: text, HTML for people with a browser, JSON
//! (RFC 9457) for programs.

use super::errors::body_unless;
use crate::exchange::{Answer, AnswerHead, Body};
use crate::http::{Fields, Known, KnownSet, ResponseHead, Status, accept};
use crate::listing::escape::{Unseen, push_html};

/// The forms of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProblemForm {
    #[default]
    Text,
    Html,
    Json,
}

/// In the order of preference among what is wanted alike.
const FORMS: [(&str, ProblemForm); 4] = [
    ("text/plain", ProblemForm::Text),
    ("text/html", ProblemForm::Html),
    ("application/problem+json", ProblemForm::Json),
    ("application/json", ProblemForm::Json),
];

impl ProblemForm {
    /// The form that a request wants an error in, should there be one. Text where nothing else is
    /// preferred.
    pub fn wanted(fields: &Fields<'_>) -> ProblemForm {
        if !fields.has_any(KnownSet::of(&[Known::Accept])) {
            return ProblemForm::Text;
        }
        let types = FORMS.map(|(media_type, _)| media_type);
        accept::choose(fields, &types).map_or(ProblemForm::Text, |index| FORMS[index].1)
    }

    fn content_type(self) -> &'static str {
        match self {
            ProblemForm::Text => "text/plain; charset=utf-8",
            ProblemForm::Html => "text/html; charset=utf-8",
            ProblemForm::Json => "application/problem+json",
        }
    }
}

/// Puts an answer that has the usual text into another form; any other stays as it is. `id`: of
/// the request, as the log says it; empty for none.
pub fn in_form(answer: Answer, form: ProblemForm, id: &str) -> Answer {
    if form == ProblemForm::Text || !has_usual_text(&answer.head) {
        return answer;
    }
    let mut head = match answer.head {
        AnswerHead::Template(template) => template.to_head(),
        AnswerHead::Fresh(head) => head,
    };
    let detail = match &answer.body {
        Body::Bytes(text) => sentence(text),
        // An answer to HEAD has the same head, but for its length, which may be left out.
        _ => None,
    };
    let head_only = detail.is_none();
    let body = match form {
        ProblemForm::Html => html(head.status, detail.as_deref().unwrap_or_default(), id),
        ProblemForm::Json | ProblemForm::Text => {
            json(head.status, detail.as_deref().unwrap_or_default(), id)
        }
    };
    head.set("Content-Type".into(), form.content_type().into());
    head.remove("Content-Length");
    if !head_only {
        head = head.with_length(body.len() as u64);
    }
    if form == ProblemForm::Html {
        protect(&mut head);
    }
    Answer {
        head: AnswerHead::Fresh(head),
        body: body_unless(head_only, body.into()),
    }
}

/// True for an error of the server's own, which has several forms.
pub fn has_usual_text(head: &AnswerHead) -> bool {
    match head {
        AnswerHead::Template(template) => template.has_usual_text(),
        AnswerHead::Fresh(head) => head.has_usual_text,
    }
}

/// Nothing on the page may load or run anything but its own style.
fn protect(head: &mut ResponseHead) {
    if head.get("Content-Security-Policy").is_none() {
        let policy = "default-src 'none'; style-src 'unsafe-inline'";
        head.add("Content-Security-Policy".into(), policy.into());
    }
}

/// The second line of the usual text.
fn sentence(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    text.lines().nth(1).map(str::to_owned)
}

fn json(status: Status, detail: &str, id: &str) -> String {
    let mut problem = serde_json::json!({
        "type": "about:blank",
        "title": status.reason(),
        "status": status.code(),
    });
    if !detail.is_empty() {
        problem["detail"] = detail.into();
    }
    if !id.is_empty() {
        problem["request_id"] = id.into();
    }
    problem.to_string()
}

fn html(status: Status, detail: &str, id: &str) -> String {
    let (code, title) = (status.code(), status.reason());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{code} {title}</title>\n\
         <style>:root{{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}}\
         body{{margin:20vh auto;max-width:32rem;padding:0 1rem}}small{{opacity:.7}}</style>\n\
         <h1>{code} {title}</h1>\n"
    );
    if !detail.is_empty() {
        page = page + "<p>" + &escaped(detail) + "\n";
    }
    if !id.is_empty() {
        page = page + "<p><small>Request " + &escaped(id) + "</small>\n";
    }
    page
}

fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    push_html(&mut out, text.as_bytes(), Unseen::Plain);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::errors::{error_answer, page};
    use crate::http::{Field, HeadTemplate};

    fn wanted(accept: Option<&str>) -> ProblemForm {
        let list: Vec<Field<'_>> = accept
            .iter()
            .map(|value| Field {
                name: "accept",
                value: value.as_bytes(),
            })
            .collect();
        ProblemForm::wanted(&Fields::new(&list))
    }

    fn parts(answer: Answer) -> (ResponseHead, String) {
        let head = match answer.head {
            AnswerHead::Template(template) => template.to_head(),
            AnswerHead::Fresh(head) => head,
        };
        let body = match answer.body {
            Body::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            _ => String::new(),
        };
        (head, body)
    }

    #[test]
    fn the_form_is_what_is_preferred_and_text_where_all_is_alike() {
        use ProblemForm::*;
        for (accept, expected) in [
            (None, Text),
            (Some("*/*"), Text),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Html),
            (Some("application/json"), Json),
            (Some("application/json, text/plain, */*"), Text),
            (Some("application/problem+json"), Json),
            (Some("application/json;q=0.5, text/html;q=0.4"), Json),
            (Some("image/png"), Text),
            (Some("text/*"), Text),
        ] {
            assert_eq!(wanted(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn a_program_gets_a_problem_with_the_request_id() {
        let answer = error_answer(Status::NOT_FOUND, "Not here.", false);
        let (head, body) = parts(in_form(answer, ProblemForm::Json, "abc\"d"));
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        let expected = serde_json::json!({
            "type": "about:blank", "title": "Not Found", "status": 404,
            "detail": "Not here.", "request_id": "abc\"d",
        });
        assert_eq!(problem, expected);
        let length = body.len().to_string();
        assert_eq!(head.get("Content-Length"), Some(length.as_bytes()));
        assert_eq!(
            head.get("Content-Type"),
            Some(&b"application/problem+json"[..])
        );
        assert_eq!(head.get("Vary"), Some(&b"Accept"[..]));
    }

    #[test]
    fn a_person_gets_a_page_that_nothing_breaks_out_of() {
        let answer = error_answer(Status::BAD_REQUEST, "<script>alert(1)</script>", false);
        let (head, body) = parts(in_form(answer, ProblemForm::Html, "<b>"));
        assert!(
            !body.contains("<script>") && !body.contains("<b>"),
            "{body}"
        );
        assert!(
            body.contains("&lt;script>") || body.contains("&lt;script&gt;"),
            "{body}"
        );
        assert!(head.get("Content-Security-Policy").is_some());
    }

    #[test]
    fn fields_stay_and_head_has_no_body() {
        let usual = page(Status::METHOD_NOT_ALLOWED);
        let answer = |body| Answer {
            head: AnswerHead::Template(usual.head.clone()),
            body,
        };
        let (head, body) = parts(in_form(answer(Body::Empty), ProblemForm::Json, ""));
        assert_eq!(body, "");
        assert!(head.get("Allow").is_some() && head.get("Content-Length").is_none());
        let text = in_form(
            answer(Body::Bytes(usual.body.clone())),
            ProblemForm::Text,
            "",
        );
        assert_eq!(parts(text).1.as_bytes(), &usual.body[..]);
    }

    #[test]
    fn a_page_of_the_site_stays_as_it_is() {
        let mut head = ResponseHead::new(Status::NOT_FOUND).with("Content-Type", "text/html");
        head.has_usual_text = false;
        let answer = Answer {
            head: AnswerHead::Template(HeadTemplate::new(&head)),
            body: Body::Bytes("mine".into()),
        };
        assert_eq!(parts(in_form(answer, ProblemForm::Json, "")).1, "mine");
    }
}
