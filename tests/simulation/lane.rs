//! One lane of a client of HTTP/2: requests one after the other, and how their answers are taken.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Uri};

use crate::driver::Driver;
use crate::exchange::Request;
use crate::response::Response;

#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) pause: Duration,
    pub(crate) trailers: bool,
}

/// How an answer is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    AtOnce,
    /// The window opens again after a pause.
    Slowly(Duration),
    /// The window is never opened again.
    Never,
    /// The stream is reset after a while.
    CancelledAfter(Duration),
    /// The stream is reset after so many bytes.
    CancelledAt(usize),
}

/// What came of one request.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) head: Option<(u16, Vec<(String, String)>)>,
    pub(crate) content: Vec<u8>,
    pub(crate) end: End,
}

#[derive(Debug, Default)]
pub(crate) enum End {
    #[default]
    Open,
    Whole,
    Cancelled,
    Failed(h2::Error),
}

impl Outcome {
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.end, End::Whole)
    }

    /// The answer, as far as it came.
    pub(crate) fn response(&self) -> Option<Response> {
        let (status, fields) = self.head.clone()?;
        Some(Response::of_parts(status, fields, self.content.len()))
    }
}

/// A request as its lane sends it.
pub(crate) struct Work {
    pub(crate) request: Request,
    pub(crate) pause: Duration,
    pub(crate) priority: Option<&'static str>,
    pub(crate) content: Option<Content>,
    pub(crate) taking: Taking,
    pub(crate) outcome: Rc<RefCell<Outcome>>,
}

/// Sends the requests of a lane, one after the other.
pub(crate) async fn walk(driver: Driver, requests: SendRequest<Bytes>, lane: VecDeque<Work>) {
    let mut before = None;
    for work in lane {
        driver.pause(work.pause).await;
        let end = loop {
            *work.outcome.borrow_mut() = Outcome::default();
            let end = match ask(&driver, requests.clone(), &work, before.as_ref()).await {
                Ok(end) => end,
                Err(error) => End::Failed(error),
            };
            match &end {
                // More streams than the server takes, which we could not know yet.
                End::Failed(error) if error.reason() == Some(Reason::REFUSED_STREAM) => {
                    driver.pause(Duration::from_millis(5)).await;
                }
                _ => break end,
            }
        };
        work.outcome.borrow_mut().end = end;
        before = Some(Rc::clone(&work.outcome));
    }
}

/// One request and its answer.
async fn ask(
    driver: &Driver,
    requests: SendRequest<Bytes>,
    work: &Work,
    before: Option<&Rc<RefCell<Outcome>>>,
) -> Result<End, h2::Error> {
    let mut requests = requests.ready().await?;
    let (request, fixed_content) = translate(work, before);
    let content = work.content.clone().or(fixed_content);
    let (response, upload) = requests.send_request(request, content.is_none())?;
    drop(requests);
    if let Some(content) = content {
        driver.spawn(send_content(driver.clone(), upload, content));
    }
    let outcome = Rc::clone(&work.outcome);
    let taking = work.taking;
    let take = async {
        let response = response.await?;
        let fields = response.headers().iter().map(|(name, value)| {
            let value = value.to_str().expect("ASCII").to_owned();
            (name.as_str().to_owned(), value)
        });
        let head = (response.status().as_u16(), fields.collect());
        outcome.borrow_mut().head = Some(head);
        take_content(driver, response.into_body(), taking, &outcome).await
    };
    let patience = match taking {
        Taking::CancelledAfter(patience) => Some(patience),
        _ => None,
    };
    // What is dropped unfinished is cancelled.
    driver
        .within(patience, take)
        .await
        .unwrap_or(Ok(End::Cancelled))
}

async fn take_content(
    driver: &Driver,
    mut body: RecvStream,
    taking: Taking,
    outcome: &RefCell<Outcome>,
) -> Result<End, h2::Error> {
    while let Some(piece) = body.data().await {
        let piece = match piece {
            Ok(piece) => piece,
            // After the answer was whole: the rest of the request is not wanted (RFC 9113 §8.1).
            Err(error) if error.reason() == Some(Reason::NO_ERROR) && error.is_reset() => break,
            Err(error) => return Err(error),
        };
        outcome.borrow_mut().content.extend_from_slice(&piece);
        match taking {
            Taking::Never => continue,
            Taking::Slowly(pause) => driver.pause(pause).await,
            Taking::CancelledAt(len) if outcome.borrow().content.len() >= len => {
                return Ok(End::Cancelled);
            }
            _ => {}
        }
        body.flow_control().release_capacity(piece.len())?;
    }
    if let Ok(Some(trailers)) = body.trailers().await {
        panic!("nobody sends trailers: {trailers:?}");
    }
    Ok(End::Whole)
}

/// Sends content as the windows allow, until it is out or nobody wants it any more.
async fn send_content(driver: Driver, mut upload: SendStream<Bytes>, content: Content) {
    let count = content.pieces.len();
    for (number, mut piece) in content.pieces.into_iter().enumerate() {
        let is_last = number + 1 == count && !content.trailers;
        while !piece.is_empty() {
            upload.reserve_capacity(piece.len());
            let room = match upload.capacity() {
                0 => poll_fn(|context| upload.poll_capacity(context)).await,
                room => Some(Ok(room)),
            };
            let Some(Ok(room)) = room else {
                return;
            };
            let part = piece.split_to(room.min(piece.len()));
            let is_end = is_last && piece.is_empty();
            if upload.send_data(part, is_end).is_err() {
                return;
            }
        }
        driver.pause(content.pause).await;
    }
    if content.trailers {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-trailer", HeaderValue::from_static("behind"));
        upload.send_trailers(trailers).ok(); // Or it was reset meanwhile.
    }
}

/// A request of HTTP/1.1 in terms of HTTP/2, and its content.
fn translate(
    work: &Work,
    before: Option<&Rc<RefCell<Outcome>>>,
) -> (http::Request<()>, Option<Content>) {
    let text = match &work.request {
        Request::Fixed(bytes) => String::from_utf8(bytes.clone()).expect("a text"),
        Request::AfterAnswer(text) => {
            let before = before.expect("something came before").borrow();
            // Nobody knows what a part of an answer stands for.
            let response = before.response().filter(|_| before.is_whole());
            let field = |name| response.as_ref().and_then(|response| response.field(name));
            let tag = field("etag").unwrap_or("\"none\"");
            let date = field("last-modified").unwrap_or("Thu, 01 Jan 1970 00:00:00 GMT");
            text.replace("{tag}", tag).replace("{date}", date)
        }
    };
    let (head, content) = text.split_once("\r\n\r\n").expect("a whole head");
    let mut lines = head.split("\r\n");
    let mut words = lines.next().expect("a request line").split(' ');
    let (method, target) = (words.next().expect("method"), words.next().expect("target"));
    let target = target.strip_prefix("http://sim.test").unwrap_or(target);
    let uri = Uri::builder().scheme("http").authority("sim.test");
    let uri = uri.path_and_query(target).build().expect("a target");
    let mut request = http::Request::builder().method(method).uri(uri);
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a field");
        // What is said otherwise in HTTP/2 (RFC 9113 §8.2.2).
        if !["Host", "Transfer-Encoding"].contains(&name) {
            request = request.header(name, value);
        }
    }
    if let Some(priority) = work.priority {
        request = request.header("priority", priority);
    }
    let content = (!content.is_empty()).then(|| Content {
        pieces: vec![Bytes::from(content.to_owned())],
        pause: Duration::ZERO,
        trailers: false,
    });
    (request.body(()).expect("a request"), content)
}
