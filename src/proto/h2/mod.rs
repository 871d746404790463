//! stub
use crate::base::Millis;
use crate::http::{Fault, RequestHead};
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#[derive(Clone, Debug)]
pub struct H2Settings;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(pub u32);
#[derive(Default)]
pub struct HeadScratch;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub u32);
impl ErrorCode {
    pub const NO_ERROR: ErrorCode = ErrorCode(0);
    pub const INTERNAL_ERROR: ErrorCode = ErrorCode(2);
    pub const ENHANCE_YOUR_CALM: ErrorCode = ErrorCode(11);
}
pub struct H2Connection<B>(std::marker::PhantomData<B>);
pub struct Turn<'a, B> {
    pub stream: StreamId,
    pub body: &'a mut B,
    pub max: usize,
    pub rest: u64,
}
pub struct Step<'a> {
    pub consumed: usize,
    pub event: Option<Event<'a>>,
}
pub enum Event<'a> {
    Request {
        stream: StreamId,
        head: RequestHead<'a>,
        has_content: bool,
    },
    Refused {
        stream: StreamId,
        fault: Fault,
        head_only: bool,
    },
    Content {
        stream: StreamId,
        bytes: &'a [u8],
        flow: usize,
        end: bool,
    },
    Ended {
        stream: StreamId,
    },
    Reset {
        stream: StreamId,
    },
    Closed {},
}
impl<B> H2Connection<B> {
    pub fn new(_: &H2Settings, _: Millis, _: &mut Vec<u8>) -> Self {
        todo!()
    }
    pub fn step<'a>(
        &mut self,
        _: &'a [u8],
        _: &'a mut HeadScratch,
        _: Millis,
        _: &mut Vec<u8>,
    ) -> Step<'a> {
        todo!()
    }
    pub fn respond(&mut self, _: StreamId, _: &[&[u8]], _: bool, _: &mut Vec<u8>) -> bool {
        todo!()
    }
    pub fn room_now(&self, _: StreamId) -> usize {
        todo!()
    }
    pub fn write_data(&mut self, _: StreamId, _: usize, _: bool, _: &mut Vec<u8>) {
        todo!()
    }
    pub fn queue_body(&mut self, _: StreamId, _: B, _: u64) {
        todo!()
    }
    pub fn next_turn(&mut self) -> Option<Turn<'_, B>> {
        todo!()
    }
    pub fn set_blocked(&mut self, _: StreamId) {
        todo!()
    }
    pub fn set_ready(&mut self, _: StreamId) {
        todo!()
    }
    pub fn body_mut(&mut self, _: StreamId) -> Option<&mut B> {
        todo!()
    }
    pub fn reset(&mut self, _: StreamId, _: ErrorCode, _: &mut Vec<u8>) -> Option<B> {
        todo!()
    }
    pub fn release(&mut self, _: StreamId, _: usize, _: &mut Vec<u8>) {
        todo!()
    }
    pub fn begin_drain(&mut self, _: &mut Vec<u8>) {
        todo!()
    }
    pub fn goaway_now(&mut self, _: ErrorCode, _: &mut Vec<u8>) {
        todo!()
    }
    pub fn open_streams(&self) -> usize {
        todo!()
    }
    pub fn is_drained(&self) -> bool {
        todo!()
    }
    pub fn wants_to_send(&self) -> bool {
        todo!()
    }
    pub fn has_waiting_bodies(&self) -> bool {
        todo!()
    }
}
