//! A client that sends raw bytes and reads answers strictly (RFC 9112), with a bound on every wait.
//! It shares no code with the server, so that it does not share its mistakes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;

use crate::rig::PATIENCE;

/// Bytes of a head that the client accepts.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, fields: Vec<(String, String)>, body: Vec<u8>) -> Answer {
        Answer {
            status,
            fields,
            body,
        }
    }

    /// The value of a field, which must not be repeated.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert_eq!(values.next(), None, "{name} is repeated");
        value
    }

    /// All values of a field that may be repeated.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(known, _)| known == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }

    /// The fields without `date`, to compare two answers.
    pub(crate) fn fields_but_date(&self) -> Vec<(String, String)> {
        let fields = self.fields.iter().filter(|(name, _)| name != "date");
        fields.cloned().collect()
    }

    pub(crate) fn says_close(&self) -> bool {
        self.field("connection") == Some("close")
    }

    /// The body is right; says where it is not, instead of printing it.
    #[track_caller]
    pub(crate) fn assert_body(&self, expected: &[u8]) {
        if self.body == expected {
            return;
        }
        assert_eq!(self.body.len(), expected.len(), "length of the body");
        let wrong = self.body.iter().zip(expected).position(|(a, b)| a != b);
        assert_eq!(wrong, None, "first wrong byte of the body");
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In order, after so many bytes.
    Closed(usize),
    /// By a reset.
    Reset,
}

pub(crate) fn connect_tcp(address: SocketAddr) -> TcpStream {
    bounded(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
}

/// The same with little room for what is not read.
pub(crate) fn connect_tcp_narrow(address: SocketAddr) -> TcpStream {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&address.into()).unwrap();
    bounded(socket.into())
}

/// Every wait has a bound.
fn bounded(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// One connection, over TCP or anything else.
pub(crate) struct Client<S = TcpStream> {
    stream: S,
    /// Received and not yet taken.
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::new(connect_tcp(address))
    }

    /// Connects with little room for what it has not read; or none when the address refuses.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Client {
        Client::new(connect_tcp_narrow(address))
    }

    /// Sends while the answers are read, so that neither end waits for the other.
    pub(crate) fn send_beside(&self, bytes: Vec<u8>) -> JoinHandle<()> {
        let mut stream = self.stream.try_clone().unwrap();
        std::thread::spawn(move || stream.write_all(&bytes).unwrap())
    }

    /// Sends FIN; answers can still come.
    pub(crate) fn shut_down_write(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The same where the server may have ended the connection already.
    pub(crate) fn shut_down_write_if_open(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends with a reset instead of FIN.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    pub(crate) fn set_send_patience(&self, patience: std::time::Duration) {
        self.stream.set_write_timeout(Some(patience)).unwrap();
    }

    pub(crate) fn set_patience(&self, patience: std::time::Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn new(stream: S) -> Client<S> {
        let buffer = Vec::new();
        Client { stream, buffer }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends to a server that may have closed already; whether all could be sent.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends a GET and reads its answer.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    /// The same with further field lines, each ended by CR LF.
    #[track_caller]
    pub(crate) fn get_with(&mut self, path: &str, fields: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        self.answer()
    }

    /// Sends a HEAD and reads its answer.
    #[track_caller]
    pub(crate) fn head_with(&mut self, path: &str, fields: &str) -> Answer {
        self.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        self.answer_to_head()
    }

    /// The next answer, to anything but HEAD.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        let (mut answer, content_len) = self.answer_head();
        self.fill(content_len);
        answer.body = self.buffer.drain(..content_len).collect();
        answer
    }

    /// The next answer from a server that may have none to give: an error when it ends or keeps
    /// silent instead.
    pub(crate) fn try_answer(&mut self) -> std::io::Result<Answer> {
        let (mut answer, content_len) = self.try_answer_head()?;
        answer.body = self.try_content(content_len)?;
        Ok(answer)
    }

    /// The head of such an answer.
    pub(crate) fn try_answer_head(&mut self) -> std::io::Result<(Answer, usize)> {
        while self.buffer.is_empty() {
            self.try_read_some()?;
        }
        Ok(self.answer_head())
    }

    /// Content of such an answer.
    pub(crate) fn try_content(&mut self, len: usize) -> std::io::Result<Vec<u8>> {
        while self.buffer.len() < len {
            self.try_read_some()?;
        }
        Ok(self.buffer.drain(..len).collect())
    }

    fn try_read_some(&mut self) -> std::io::Result<()> {
        if self.try_read_more()? {
            return Ok(());
        }
        Err(ErrorKind::UnexpectedEof.into())
    }

    /// The server says to go on (RFC 9110 §15.2.1).
    #[track_caller]
    pub(crate) fn take_continue(&mut self) {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let told = self.content(CONTINUE.len());
        assert_eq!(
            told.escape_ascii().to_string(),
            CONTINUE.escape_ascii().to_string()
        );
    }

    /// The next answer, to HEAD: only its head.
    #[track_caller]
    pub(crate) fn answer_to_head(&mut self) -> Answer {
        self.take_head(true).0
    }

    /// The head of the next answer, and how long the content behind it is unless it answers HEAD.
    #[track_caller]
    pub(crate) fn answer_head(&mut self) -> (Answer, usize) {
        self.take_head(false)
    }

    #[track_caller]
    fn take_head(&mut self, is_of_head: bool) -> (Answer, usize) {
        let end = loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end;
            }
            assert!(self.buffer.len() < HEAD_BYTES_MAX, "a head without an end");
            assert!(self.read_more(), "ended: {:?}", self.buffer.escape_ascii());
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = std::str::from_utf8(&head[..end]).expect("heads are ASCII");
        parse_head(head, is_of_head)
    }

    /// Reads so many bytes of content.
    #[track_caller]
    pub(crate) fn content(&mut self, len: usize) -> Vec<u8> {
        self.fill(len);
        self.buffer.drain(..len).collect()
    }

    /// Reads until the connection ends; nothing may come any more.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        let end = self.end();
        assert_eq!(end, End::Closed(0), "{}", self.buffer.escape_ascii());
    }

    /// Reads until the connection ends.
    #[track_caller]
    pub(crate) fn end(&mut self) -> End {
        loop {
            match self.try_read_more() {
                Ok(true) => {}
                Ok(false) => return End::Closed(self.buffer.len()),
                Err(error) if is_reset(&error) => return End::Reset,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Nothing has come that was not asked for.
    pub(crate) fn has_nothing_left(&self) -> bool {
        self.buffer.is_empty()
    }

    #[track_caller]
    fn fill(&mut self, len: usize) {
        while self.buffer.len() < len {
            assert!(
                self.read_more(),
                "ended {} bytes early",
                len - self.buffer.len()
            );
        }
    }

    #[track_caller]
    fn read_more(&mut self) -> bool {
        self.try_read_more().unwrap()
    }

    fn try_read_more(&mut self) -> std::io::Result<bool> {
        let mut piece = [0; 64 * 1024];
        let read = self.stream.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..read]);
        Ok(read > 0)
    }
}

fn is_reset(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

/// Takes a head apart; every promise that all answers keep is checked here.
#[track_caller]
fn parse_head(head: &str, is_of_head: bool) -> (Answer, usize) {
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap();
    let rest = status_line.strip_prefix("HTTP/1.1 ");
    let (status, reason) = rest
        .and_then(|rest| rest.split_once(' '))
        .expect(status_line);
    assert_eq!(status.len(), 3, "{status_line}");
    assert!(
        !reason.is_empty() && !reason.contains('\n'),
        "{status_line}"
    );
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(": ").expect(line);
        assert!(!name.contains(' ') && value == value.trim(), "{line}");
        (name.to_ascii_lowercase(), value.to_owned())
    });
    let answer = Answer {
        status: status.parse().expect(status_line),
        fields: fields.collect(),
        body: Vec::new(),
    };
    assert!(
        answer
            .field("date")
            .is_some_and(|date| date.ends_with(" GMT")),
        "{head}"
    );
    assert_eq!(answer.field("server"), Some("downpour"), "{head}");
    assert_eq!(answer.field("transfer-encoding"), None, "{head}");
    let length = answer.field("content-length");
    let content_len = match answer.status {
        204 | 304 => {
            assert!(
                length.is_none() || answer.status == 304,
                "RFC 9110 §8.6: {head}"
            );
            0
        }
        // RFC 9110 §8.6: an answer to HEAD may leave it out, where GET would have to be made first.
        _ if length.is_none() && is_of_head => 0,
        _ => length.expect(head).parse().expect(head),
    };
    (answer, content_len)
}
