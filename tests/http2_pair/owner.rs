//! The server's side: the core of HTTP/2, and an owner that takes its time.

use std::collections::BTreeMap;

use bytes::Bytes;
use downpour::base::Millis;
use downpour::engine::sim::Random;
use downpour::http::hpack_block;
use downpour::proto::h2::{
    ErrorCode, Event, FieldList, H2Connection, H2Settings, HeadStorage, StreamId, UNKNOWN_LENGTH,
};

use super::{How, Order, Sum};

/// A request that was taken in.
pub(super) struct Taken {
    pub(super) order: Order,
    sum: Sum,
    /// All of it has come.
    pub(super) is_whole: bool,
    /// Content that was not released.
    pub(super) held: usize,
}

/// The server's side.
pub(super) struct Owner {
    pub(super) core: H2Connection<(Bytes, How)>,
    list: Box<FieldList>,
    unread: Vec<u8>,
    pub(super) out: Vec<u8>,
    /// Requests that were not answered.
    pub(super) taken: BTreeMap<u32, Taken>,
    /// Answers whose bytes are not there for the moment.
    blocked: Vec<StreamId>,
    random: Random,
    now: u64,
}

impl Owner {
    pub(super) fn new(mut random: Random) -> Owner {
        let settings = H2Settings {
            max_concurrent_streams: random.pick(&[1, 4, 100]),
            initial_window: 65_535 + random.any_size(18) as u32,
            connection_window: 65_535 + random.any_size(18) as u32,
            ..H2Settings::default()
        };
        let mut out = Vec::new();
        Owner {
            core: H2Connection::new(&settings, Millis(0), &mut out),
            list: Box::new(FieldList::new(settings.header_list_bytes_max as usize)),
            unread: Vec::new(),
            out,
            taken: BTreeMap::new(),
            blocked: Vec::new(),
            random,
            now: 0,
        }
    }

    pub(super) fn receive(&mut self, bytes: impl Iterator<Item = u8>) {
        self.unread.extend(bytes);
        let input = std::mem::take(&mut self.unread);
        let mut used = 0;
        loop {
            self.now += 1;
            let mut storage = HeadStorage::new();
            let (core, now) = (&mut self.core, Millis(self.now));
            let list = &mut self.list;
            let step = core.step(&input[used..], list, &mut storage, now, &mut self.out);
            used += step.consumed;
            let Some(event) = step.event else {
                break;
            };
            if let Event::Request { stream, .. } = &event {
                let is_new = !self.taken.contains_key(&stream.0);
                assert!(is_new, "{stream:?} is used twice");
            }
            on_event(&mut self.taken, event);
        }
        self.unread = input[used..].to_vec();
        assert!(self.unread.len() <= 9 + 16_384, "more than a frame is kept");
        assert_eq!(self.core.failure(), None);
    }

    /// Does one thing that an owner can do, if there is such a thing to do.
    pub(super) fn act(&mut self) {
        match self.random.below(5) {
            0 => self.answer(),
            1 => self.release(),
            2 => {
                for stream in self.blocked.drain(..) {
                    self.core.set_ready(stream);
                }
            }
            _ => self.send(),
        }
    }

    fn answer(&mut self) {
        let whole = self.taken.iter().filter(|(_, taken)| taken.is_whole);
        let whole: Vec<u32> = whole.map(|(id, _)| *id).collect();
        if whole.is_empty() {
            return;
        }
        let id = self.random.pick(&whole);
        let Taken { order, sum, .. } = self.taken.remove(&id).unwrap();
        let (stream, out) = (StreamId(id), &mut self.out);
        let mut block = Vec::new();
        hpack_block::status(&mut block, 200);
        hpack_block::field(&mut block, "X-Sum", sum.0.to_string().as_bytes());
        if order.how != How::Unknown {
            let len = order.len.to_string();
            hpack_block::field(&mut block, "Content-Length", len.as_bytes());
        }
        let (first, second) = block.split_at(self.random.below(block.len() as u64) as usize);
        let is_end = order.len == 0 && order.how == How::Known;
        let responded = self.core.respond(stream, &[first, second], is_end, out);
        assert!(responded, "nobody has taken the stream away");
        if is_end {
            return;
        }
        let content = order.content();
        let fits = self.core.room_now(stream) >= content.len();
        if fits && matches!(order.how, How::Known | How::Unknown) {
            self.core.write_data(stream, content.len(), true, out);
            out.extend_from_slice(&content);
            return;
        }
        let len = match order.how {
            How::Known | How::Broken if order.len > 0 => order.len as u64,
            _ => UNKNOWN_LENGTH,
        };
        self.core.queue_body(stream, (content, order.how), len);
    }

    fn release(&mut self) {
        let ids: Vec<u32> = self.taken.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = self.random.pick(&ids);
        let taken = self.taken.get_mut(&id).unwrap();
        let bytes = self.random.between(0, taken.held as u64) as usize;
        taken.held -= bytes;
        let (stream, out) = (StreamId(id), &mut self.out);
        if self.random.chance(0.5) {
            self.core.release(stream, bytes, out);
        } else {
            self.core.release_to_connection(stream, bytes, out);
            self.core.release_to_stream(stream, bytes, out);
        }
    }

    fn send(&mut self) {
        assert!(self.core.wants_to_send() <= self.core.has_waiting_bodies());
        let Some(turn) = self.core.next_turn() else {
            return;
        };
        let (stream, out) = (turn.stream, &mut self.out);
        let (bytes, how) = turn.body;
        let how = *how;
        if self.random.chance(0.1) {
            self.core.set_blocked(stream);
            self.blocked.push(stream);
            return;
        }
        let is_broken = how == How::Broken && (bytes.is_empty() || self.random.chance(0.3));
        if is_broken {
            let body = self.core.reset(stream, ErrorCode::INTERNAL_ERROR, out);
            assert!(body.is_some(), "its body was just seen");
            return;
        }
        if bytes.is_empty() {
            if how == How::Trailers {
                let mut block = Vec::new();
                hpack_block::field(&mut block, "X-Trailer", b"behind");
                assert!(self.core.respond(stream, &[&block], true, out));
            } else {
                self.core.write_data(stream, 0, true, out);
            }
            return;
        }
        let most = turn.max.min(bytes.len());
        let len = match self.random.chance(0.5) {
            true => most,
            false => self.random.between(1, most as u64) as usize,
        };
        // A body that breaks never gets to its end.
        if how == How::Broken && len == bytes.len() {
            self.core.reset(stream, ErrorCode::INTERNAL_ERROR, out);
            return;
        }
        let piece = bytes.split_to(len);
        let is_end = bytes.is_empty()
            && (how == How::Known || how == How::Unknown && self.random.chance(0.5));
        self.core.write_data(stream, len, is_end, out);
        out.extend_from_slice(&piece);
    }
}

fn on_event(taken: &mut BTreeMap<u32, Taken>, event: Event<'_>) {
    match event {
        Event::Request {
            stream,
            head,
            has_content,
        } => {
            let mut sum = Sum::EMPTY;
            for field in head.fields.list() {
                sum.add(field.name.as_bytes());
                sum.add(field.value);
            }
            let fresh = Taken {
                order: Order::parse(head.path),
                sum,
                is_whole: !has_content,
                held: 0,
            };
            taken.insert(stream.0, fresh);
        }
        Event::Content {
            stream,
            bytes,
            flow,
            end,
        } => {
            let taken = taken.get_mut(&stream.0).expect("it was asked for");
            assert!(!taken.is_whole && flow >= bytes.len());
            taken.sum.add(bytes);
            taken.held += flow;
            taken.is_whole = end;
        }
        Event::Ended { stream } => {
            let taken = taken.get_mut(&stream.0).expect("it was asked for");
            assert!(!std::mem::replace(&mut taken.is_whole, true));
        }
        // Of a request, or of an answer that was begun.
        Event::Reset { stream } => drop(taken.remove(&stream.0)),
        Event::Refused { fault, .. } => panic!("a correct request: {fault:?}"),
        Event::Closed => panic!("the client has broken no rule"),
    }
}
