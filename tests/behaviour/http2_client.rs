//! A client of HTTP/2 that writes frames as they are and reads them strictly (RFC 9113), with a
//! bound on every wait. Field blocks are read by another implementation of HPACK than the server's.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::client::{Answer, End, connect_tcp, connect_tcp_narrow};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (§6).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Error codes (§7).
pub(crate) mod code {
    pub(crate) const NO_ERROR: u32 = 0;
    pub(crate) const PROTOCOL_ERROR: u32 = 1;
    pub(crate) const INTERNAL_ERROR: u32 = 2;
    pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
    pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
    pub(crate) const CANCEL: u32 = 8;
    pub(crate) const COMPRESSION_ERROR: u32 = 9;
    pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;
}

/// SETTINGS_INITIAL_WINDOW_SIZE.
pub(crate) const INITIAL_WINDOW: u16 = 4;

/// Bytes of a frame's payload that a client takes unless it says otherwise.
const FRAME_BYTES_MAX: usize = 16_384;
/// A window before anything was said of it.
const WINDOW: usize = 65_535;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in values {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(kind::SETTINGS, 0, 0, &payload)
}

pub(crate) fn window_update(stream: u32, more: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

pub(crate) fn rst_stream(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A literal field that is kept in no table, without Huffman coding (RFC 7541 §6.2.2).
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        let mut len = text.len();
        if len < 127 {
            bytes.push(len as u8);
        } else {
            bytes.push(127);
            len -= 127;
            while len >= 128 {
                bytes.push(len as u8 | 128);
                len >>= 7;
            }
            bytes.push(len as u8);
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields.iter();
    fields
        .flat_map(|(name, value)| literal(name, value))
        .collect()
}

/// The field block of a request.
pub(crate) fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a"),
    ];
    block(&[&pseudo[..], fields].concat())
}

/// HEADERS that are a whole request.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let block = request("GET", path, &[]);
    frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block)
}

/// What came of one stream.
#[derive(Default)]
struct Stream {
    head: Option<(u16, Vec<(String, String)>)>,
    body: Vec<u8>,
    is_complete: bool,
    reset: Option<u32>,
    /// Content that may still come; below zero after a change of settings (§6.9.2).
    window: isize,
    /// Content that may still be sent, in the same way.
    send_window: isize,
    /// 100 (Continue) has come.
    may_continue: bool,
}

/// What is read of a frame.
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// One connection.
pub(crate) struct Http2<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
    decoder: httlib_hpack::Decoder<'static>,
    streams: BTreeMap<u32, Stream>,
    last: u32,
    initial_window: usize,
    window: usize,
    /// What the server says of the windows that content is sent in.
    initial_send_window: isize,
    send_window: isize,
    /// Opens windows as content comes. Else the test does.
    pub(crate) opens_windows: bool,
    pub(crate) answers_pings: bool,
    /// Sends nothing by itself, since somebody else sends beside it.
    pub(crate) is_mute: bool,
    /// The last stream and the code of each GOAWAY.
    pub(crate) goaways: Vec<(u32, u32)>,
    /// Payloads of acknowledged PINGs.
    pub(crate) pongs: Vec<Vec<u8>>,
    /// How often the socket was read.
    pub(crate) reads: usize,
    /// The streams of DATA frames, in order.
    pub(crate) order: Vec<u32>,
}

impl Http2 {
    /// Connects with prior knowledge.
    pub(crate) fn connect(address: SocketAddr) -> Http2 {
        Http2::begin(connect_tcp(address), &[])
    }

    pub(crate) fn connect_with(address: SocketAddr, values: &[(u16, u32)]) -> Http2 {
        Http2::begin(connect_tcp(address), values)
    }

    /// Connects with little room for what it has not read.
    pub(crate) fn connect_narrow(address: SocketAddr, values: &[(u16, u32)]) -> Http2 {
        Http2::begin(connect_tcp_narrow(address), values)
    }

    pub(crate) fn set_send_patience(&self, patience: Duration) {
        self.stream.set_write_timeout(Some(patience)).unwrap();
    }

    /// Sends while answers are read, as far as the server lets it.
    pub(crate) fn send_beside(&self, bytes: Vec<u8>) -> JoinHandle<()> {
        let mut stream = self.stream.try_clone().unwrap();
        std::thread::spawn(move || drop(stream.write_all(&bytes)))
    }

    /// Sends FIN; answers can still come.
    pub(crate) fn shut_down_write(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Ends with a reset instead of FIN.
    pub(crate) fn abort(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl<S: Read + Write> Http2<S> {
    /// Sends the preface with these settings.
    pub(crate) fn begin(stream: S, values: &[(u16, u32)]) -> Http2<S> {
        let mut client = Http2::silent(stream);
        for (name, value) in values {
            if *name == INITIAL_WINDOW {
                client.initial_window = *value as usize;
            }
        }
        client.try_send([PREFACE, &settings(values)].concat());
        client
    }

    /// Sends nothing by itself before something comes.
    pub(crate) fn silent(stream: S) -> Http2<S> {
        Http2 {
            stream,
            buffer: Vec::new(),
            decoder: httlib_hpack::Decoder::default(),
            streams: BTreeMap::new(),
            last: 0,
            initial_window: WINDOW,
            window: WINDOW,
            initial_send_window: WINDOW as isize,
            send_window: WINDOW as isize,
            opens_windows: true,
            answers_pings: true,
            is_mute: false,
            goaways: Vec::new(),
            pongs: Vec::new(),
            reads: 0,
            order: Vec::new(),
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The id of a new stream, which the caller opens.
    pub(crate) fn open(&mut self) -> u32 {
        self.last = if self.last == 0 { 1 } else { self.last + 2 };
        let window = self.initial_window as isize;
        let stream = Stream {
            window,
            send_window: self.initial_send_window,
            ..Stream::default()
        };
        self.streams.insert(self.last, stream);
        self.last
    }

    /// Sends a request without content; its stream.
    pub(crate) fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> u32 {
        let id = self.open();
        let block = request(method, path, fields);
        self.send(frame(kind::HEADERS, END_HEADERS | END_STREAM, id, &block));
        id
    }

    /// Sends the head of a request whose content follows; its stream.
    pub(crate) fn ask_with_content(&mut self, method: &str, fields: &[(&str, &str)]) -> u32 {
        self.begin_content(method, "/a", fields)
    }

    /// The same for any path.
    pub(crate) fn begin_content(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> u32 {
        let id = self.open();
        let block = request(method, path, fields);
        self.send(frame(kind::HEADERS, END_HEADERS, id, &block));
        id
    }

    /// Sends content of a request as the windows allow, and its end where it `ends`. Stops when the
    /// answer is there before; says whether all was sent.
    #[track_caller]
    pub(crate) fn send_content(&mut self, id: u32, mut content: &[u8], ends: bool) -> bool {
        loop {
            let room = self.streams[&id].send_window.min(self.send_window);
            let len = content.len().min(FRAME_BYTES_MAX);
            if self.has_ended(id) {
                return false;
            }
            if len as isize > room {
                assert!(self.step().unwrap(), "ended; GOAWAY: {:?}", self.goaways);
                continue;
            }
            let (now, rest) = content.split_at(len);
            let is_last = ends && rest.is_empty();
            let flags = if is_last { END_STREAM } else { 0 };
            self.send_window -= len as isize;
            self.streams.get_mut(&id).unwrap().send_window -= len as isize;
            if !self.try_send(frame(kind::DATA, flags, id, now)) {
                return false;
            }
            content = rest;
            if content.is_empty() {
                return true;
            }
        }
    }

    /// True when the server has told the client to go on with this stream.
    pub(crate) fn may_continue(&self, id: u32) -> bool {
        self.streams[&id].may_continue
    }

    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        let id = self.ask("GET", path, &[]);
        self.answer(id)
    }

    /// The answer on a stream.
    #[track_caller]
    pub(crate) fn answer(&mut self, id: u32) -> Answer {
        let answer = self.outcome(id);
        answer.unwrap_or_else(|code| panic!("stream {id} was reset: {code}"))
    }

    /// The answer on a stream, or the code by which it was reset before it was complete.
    #[track_caller]
    pub(crate) fn outcome(&mut self, id: u32) -> Result<Answer, u32> {
        self.read_until(|client| client.has_ended(id));
        let stream = self.streams.remove(&id).expect("opened before");
        if !stream.is_complete {
            return Err(stream.reset.expect("one or the other"));
        }
        let (status, fields) = stream.head.expect("a body has a head before it");
        Ok(Answer::new(status, fields, stream.body))
    }

    pub(crate) fn has_ended(&self, id: u32) -> bool {
        let stream = &self.streams[&id];
        stream.is_complete || stream.reset.is_some()
    }

    /// How much of an answer's content has come.
    pub(crate) fn received(&self, id: u32) -> usize {
        self.streams[&id].body.len()
    }

    pub(crate) fn reset_code(&self, id: u32) -> Option<u32> {
        self.streams[&id].reset
    }

    /// Opens both windows.
    pub(crate) fn open_window(&mut self, id: u32, more: u32) {
        self.window += more as usize;
        let stream = self.streams.get_mut(&id).unwrap();
        stream.window += more as isize;
        let frames = [window_update(0, more), window_update(id, more)].concat();
        self.send(frames);
    }

    pub(crate) fn open_connection_window(&mut self, more: u32) {
        self.window += more as usize;
        self.send(window_update(0, more));
    }

    /// Changes the window of every stream (§6.9.2); it may go below zero.
    pub(crate) fn set_initial_window(&mut self, window: usize) {
        let (before, now) = (self.initial_window as isize, window as isize);
        for stream in self.streams.values_mut() {
            stream.window += now - before;
        }
        self.initial_window = window;
        self.send(settings(&[(INITIAL_WINDOW, window as u32)]));
    }

    pub(crate) fn has_head(&self, id: u32) -> bool {
        self.streams[&id].head.is_some()
    }

    /// All that the server has to say to this is here.
    #[track_caller]
    pub(crate) fn ping(&mut self) {
        let count = self.pongs.len();
        self.send(frame(kind::PING, 0, 0, b"question"));
        self.read_until(|client| client.pongs.len() > count);
        assert_eq!(self.pongs.last().unwrap(), b"question");
    }

    #[track_caller]
    pub(crate) fn read_until(&mut self, mut holds: impl FnMut(&Self) -> bool) {
        while !holds(self) {
            match self.step() {
                Ok(true) => {}
                Ok(false) => panic!("ended; GOAWAY: {:?}", self.goaways),
                Err(error) => panic!("{error}; GOAWAY: {:?}", self.goaways),
            }
        }
    }

    /// Reads to the end of the connection.
    #[track_caller]
    pub(crate) fn end(&mut self) -> End {
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return End::Closed(self.buffer.len()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return End::Reset,
                Err(error) => panic!("{error}; GOAWAY: {:?}", self.goaways),
            }
        }
    }

    /// Reads to the end of the connection, however it comes.
    pub(crate) fn read_rest(&mut self) {
        while self.step().is_ok_and(|goes_on| goes_on) {}
    }

    /// The connection ends in order, after a last GOAWAY with this code.
    #[track_caller]
    pub(crate) fn assert_ends_with(&mut self, code: u32) {
        assert_eq!(self.end(), End::Closed(0));
        let last = self.goaways.last().map(|(_, code)| *code);
        assert_eq!(last, Some(code), "{:?}", self.goaways);
    }

    /// Reads one frame and acts on it; false at the end of the connection.
    pub(crate) fn step(&mut self) -> io::Result<bool> {
        let Some(frame) = self.next_frame()? else {
            return Ok(false);
        };
        self.on_frame(frame);
        Ok(true)
    }

    /// The next frame, as it is.
    pub(crate) fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(header) = self.buffer.first_chunk::<9>() {
                let len = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
                assert!(len <= FRAME_BYTES_MAX, "a frame of {len}");
                if self.buffer.len() >= 9 + len {
                    let stream = u32::from_be_bytes(*header[5..].first_chunk().unwrap());
                    let (kind, flags) = (header[3], header[4]);
                    let payload = self.buffer[9..9 + len].to_vec();
                    self.buffer.drain(..9 + len);
                    return Ok(Some(Frame {
                        kind,
                        flags,
                        stream,
                        payload,
                    }));
                }
            }
            let mut piece = [0; 64 * 1024];
            let read = self.stream.read(&mut piece)?;
            self.reads += 1;
            if read == 0 {
                return Ok(None);
            }
            self.buffer.extend_from_slice(&piece[..read]);
        }
    }

    #[track_caller]
    fn on_frame(&mut self, frame: Frame) {
        let Frame { flags, payload, .. } = &frame;
        match frame.kind {
            kind::HEADERS => self.on_headers(&frame),
            kind::DATA => self.on_data(&frame),
            kind::RST_STREAM => {
                let code = u32::from_be_bytes(payload[..].try_into().unwrap());
                if let Some(stream) = self.streams.get_mut(&frame.stream) {
                    stream.reset = Some(code);
                }
            }
            kind::SETTINGS if flags & ACK != 0 => assert!(payload.is_empty()),
            kind::SETTINGS => {
                self.on_settings(payload);
                self.reply(self::frame(kind::SETTINGS, ACK, 0, &[]));
            }
            kind::PING if flags & ACK != 0 => self.pongs.push(payload.clone()),
            kind::PING => {
                if self.answers_pings {
                    self.reply(self::frame(kind::PING, ACK, 0, payload));
                }
            }
            kind::GOAWAY => {
                let number =
                    |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
                self.goaways.push((number(0), number(4)));
            }
            kind::WINDOW_UPDATE => {
                let more = u32::from_be_bytes(payload[..].try_into().unwrap()) as isize;
                match self.streams.get_mut(&frame.stream) {
                    _ if frame.stream == 0 => self.send_window += more,
                    Some(stream) => stream.send_window += more,
                    None => {}
                }
            }
            other => panic!("a frame of type {other}"),
        }
    }

    fn on_settings(&mut self, payload: &[u8]) {
        for setting in payload.chunks(6) {
            let name = u16::from_be_bytes(setting[..2].try_into().unwrap());
            let value = u32::from_be_bytes(setting[2..].try_into().unwrap()) as isize;
            if name == INITIAL_WINDOW {
                for stream in self.streams.values_mut() {
                    stream.send_window += value - self.initial_send_window;
                }
                self.initial_send_window = value;
            }
        }
    }

    fn reply(&mut self, bytes: Vec<u8>) {
        if !self.is_mute {
            self.try_send(bytes);
        }
    }

    fn on_headers(&mut self, frame: &Frame) {
        assert!(frame.flags & END_HEADERS != 0, "heads are short");
        let mut block = frame.payload.clone();
        let mut fields = Vec::new();
        self.decoder.decode(&mut block, &mut fields).unwrap();
        let mut fields = fields.into_iter().map(|(name, value, _)| {
            let text = |bytes| String::from_utf8(bytes).expect("heads are ASCII");
            (text(name), text(value))
        });
        let (name, status) = fields.next().unwrap();
        assert_eq!(name, ":status");
        let fields: Vec<_> = fields.collect();
        if status == "100" {
            assert!(fields.is_empty() && frame.flags & END_STREAM == 0);
            let stream = self.streams.get_mut(&frame.stream).unwrap();
            assert!(stream.head.is_none() && !stream.may_continue);
            stream.may_continue = true;
            return;
        }
        for (name, value) in &fields {
            assert_eq!(*name, name.to_ascii_lowercase(), "RFC 9113 §8.2");
            assert!(!name.starts_with(':') && value == value.trim(), "{name}");
            // §8.2.2
            let of_connection = ["connection", "keep-alive", "transfer-encoding", "upgrade"];
            assert!(!of_connection.contains(&name.as_str()), "{name}");
        }
        let count = |wanted| fields.iter().filter(|(name, _)| name == wanted).count();
        assert_eq!((count("date"), count("server")), (1, 1), "{fields:?}");
        let Some(stream) = self.streams.get_mut(&frame.stream) else {
            return; // The test has lost interest.
        };
        assert!(
            stream.head.is_none() && !stream.is_complete,
            "a second head"
        );
        stream.head = Some((status.parse().expect("three digits"), fields));
        stream.is_complete = frame.flags & END_STREAM != 0;
    }

    fn on_data(&mut self, frame: &Frame) {
        let len = frame.payload.len();
        let ends = frame.flags & END_STREAM != 0;
        self.order.push(frame.stream);
        assert!(len <= self.window, "more than the connection's window");
        self.window -= len;
        let mut more = Vec::new();
        if let Some(stream) = self.streams.get_mut(&frame.stream) {
            assert!(stream.head.is_some() && !stream.is_complete);
            assert!(
                len as isize <= stream.window,
                "more than the stream's window"
            );
            stream.window -= len as isize;
            stream.body.extend_from_slice(&frame.payload);
            stream.is_complete = ends;
            if self.opens_windows && len > 0 && !ends {
                stream.window += len as isize;
                more.extend(window_update(frame.stream, len as u32));
            }
        }
        if self.opens_windows && len > 0 {
            self.window += len;
            more.extend(window_update(0, len as u32));
            self.reply(more);
        }
    }
}
