//! What HTTP/2 costs in user space: requests out of frames, answers into frames.
//!
//! `cargo bench --bench http2`; under `cargo test --benches` each runs once. Every answer is
//! verified.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use downpour::base::Millis;
use downpour::proto::h2::{
    Event, FieldList, H2Connection, H2Settings, HeadStorage, PREFACE, StreamId,
};

/// GET, http, `/`, an authority and a user agent that go into the dynamic table.
const FIRST_BLOCK: &[u8] = b"\x82\x86\x84\x41\x0elocalhost:8080\x7a\x0ah2load/1.5";
/// The same fields out of the tables.
const BLOCK: &[u8] = b"\x82\x86\x84\xbf\xbe";
/// `:status: 200`, `content-length: 100`
const HEAD: &[u8] = b"\x88\x0f\x0d\x03100";
const STREAMS: u32 = 32;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A connection and its client, of whom only the requests are left.
struct Pair {
    core: H2Connection<()>,
    list: FieldList,
    out: Vec<u8>,
    requests: Vec<u8>,
    next: u32,
}

impl Pair {
    fn new() -> Pair {
        let mut out = Vec::new();
        let mut pair = Pair {
            core: H2Connection::new(&H2Settings::default(), Millis(0), &mut out),
            list: FieldList::new(16 * 1024),
            out,
            requests: frame(1, 5, 1, BLOCK).repeat(STREAMS as usize),
            next: 3,
        };
        let mut begin = PREFACE.to_vec();
        // SETTINGS_INITIAL_WINDOW_SIZE and WINDOW_UPDATE: all the room there is.
        begin.extend(frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]));
        begin.extend(frame(8, 0, 0, &0x7fff_0000_u32.to_be_bytes()));
        begin.extend(frame(1, 5, 1, FIRST_BLOCK));
        assert_eq!(pair.receive(&begin, 100), 1);
        pair
    }

    /// Takes `input` in and answers each request with `len` bytes; how many there were.
    fn receive(&mut self, input: &[u8], len: usize) -> u32 {
        let (mut used, mut requests) = (0, 0);
        while used < input.len() {
            let mut storage = HeadStorage::new();
            let (list, out) = (&mut self.list, &mut self.out);
            let step = self
                .core
                .step(&input[used..], list, &mut storage, Millis(0), out);
            used += step.consumed;
            if let Some(Event::Request { stream, head, .. }) = step.event {
                assert_eq!(black_box(head.path), b"/");
                requests += 1;
                answer(&mut self.core, stream, len, out);
            }
        }
        requests
    }

    /// One read of 32 requests, and their answers.
    fn round(&mut self, len: usize) {
        let mut requests = std::mem::take(&mut self.requests);
        for request in requests.chunks_mut(9 + BLOCK.len()) {
            request[5..9].copy_from_slice(&self.next.to_be_bytes());
            self.next += 2;
        }
        self.out.clear();
        assert_eq!(self.receive(&requests, len), STREAMS);
        self.requests = requests;
        let window = (len as u32 * STREAMS).to_be_bytes();
        self.receive(&frame(8, 0, 0, &window), 0);
    }
}

fn answer(core: &mut H2Connection<()>, stream: StreamId, len: usize, out: &mut Vec<u8>) {
    assert!(core.respond(stream, &[HEAD], false, out));
    assert!(core.room_now(stream) >= len);
    core.write_data(stream, len, true, out);
    out.resize(out.len() + len, b'x');
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("h2");
    group.throughput(Throughput::Elements(u64::from(STREAMS)));
    group.bench_function("32 requests in one read", |bencher| {
        let mut pair = Pair::new();
        bencher.iter(|| {
            if pair.next > 1 << 30 {
                pair = Pair::new();
            }
            pair.round(100);
        });
        assert_eq!(pair.core.open_streams(), 0);
        assert_eq!(
            pair.out.len(),
            STREAMS as usize * (9 + HEAD.len() + 9 + 100)
        );
    });
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
